"""What `ringback stats` costs beside one msgspec decode a line, in pairs over the same file.

    python benchmarks/stats.py                          1,000,000 lines, a quarter of them outcomes
    python benchmarks/stats.py --lines 100000 --outcomes 1
    python benchmarks/stats.py --json                   machine-readable

The log is written to a temporary file. The two take turns and who begins alternates, so that whatever else the
machine does hits both alike; the ratio is the median over pairs of CPU time. The floor reads the file line by line and
decodes each with one `msgspec.json.Decoder`. Peak memory is that of a process of its own running the command,
for the whole log and for its first tenth.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from ringback import classify
from ringback.cli._progress import Progress
from ringback.cli._stats import read
from ringback.tally import Tally

CODES = (
    (200, 0),
    (486, 560486),
    (480, 560480),
    (487, 540487),
    (603, 560603),
    (500, 560503),
    (403, 510403),
    (408, 10057),
)
REST = (
    {"event": "request.done", "path": "/orders/17", "status": 200, "duration_ms": 12.5, "user_agent": "x" * 120},
    {"event": "order.rejected", "order": 17, "reason": "sold out", "trace_id": "0af7651916cd43dd8448eb211c80319c"},
    {
        "event": "hook.failed",
        "outcome_id": "call:1",
        "hook": "jobs.again",
        "error": "ValueError",
        "retry_in_seconds": 4.0,
    },
    {"event": "redial.scheduled", "outcome_id": "call:1", "cause": "busy", "disposition": "retryable", "attempt": 2},
)
PEAK = """
import os, re, sys
from ringback.cli import main
sys.stdout = open(os.devnull, "w")
main(["stats", sys.argv[1]])
# Linux; the peak of getrusage would begin with that of the process that started this one.
print(re.search(r"VmHWM:\\s+([0-9]+)", open("/proc/self/status").read())[1], file=sys.__stdout__)
"""


def write(path: Path, lines: int, share: float) -> None:
    """A log as ringback.logs.configure() writes it, with one outcome in twenty repeated."""
    chance = random.Random(17)
    codes = [classify(None, *code).to_dict() for code in CODES]
    said = [json.dumps({"level": "info", "event": "call.outcome", **each})[1:] for each in codes]
    rest = [json.dumps(each)[1:] for each in REST]
    moment = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
    leg = 0
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            moment += timedelta(milliseconds=37)
            start = f'{{"timestamp": "{moment.isoformat().replace("+00:00", "Z")}", '
            if chance.random() < share:
                leg = number if chance.random() > 0.05 else leg
                line = chance.choice(said).replace('"outcome_id": "', f'"outcome_id": "call:{leg:012}', 1)
            else:
                line = chance.choices(rest, (90, 2, 4, 4))[0]
            file.write(f"{start}{line}\n")


def floor(path: Path) -> float:
    decode = msgspec.json.Decoder().decode
    begun = time.process_time()
    with path.open("rb") as file:
        for line in file:
            decode(line)
    return time.process_time() - begun


def ours(path: Path) -> float:
    begun = time.process_time()
    tally = Tally()
    read([str(path)], tally, Progress(0))
    tally.summary()
    return time.process_time() - begun


def peak(path: Path) -> float:
    """MiB at most, of a process that does nothing else."""
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--outcomes", type=float, default=0.25, help="their share of the lines, 0 to 1")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, tenth = Path(folder, "app.log"), Path(folder, "tenth.log")
        write(path, arguments.lines, arguments.outcomes)
        write(tenth, arguments.lines // 10, arguments.outcomes)
        taken: list[tuple[float, float]] = []
        for number in range(arguments.pairs):
            if number % 2:
                mine = ours(path)
                taken.append((mine, floor(path)))
            else:
                base = floor(path)
                taken.append((ours(path), base))
        ratios = [mine / base for mine, base in taken]
        found = {
            "lines": arguments.lines,
            "outcomes": arguments.outcomes,
            "megabytes": round(path.stat().st_size / 1e6),
            "ratio": round(statistics.median(ratios), 2),
            "worst_ratio": round(max(ratios), 2),
            "stats_seconds": round(statistics.median(mine for mine, _ in taken), 2),
            "decode_seconds": round(statistics.median(base for _, base in taken), 2),
            "peak_mib": round(peak(path), 1),
            "peak_mib_of_a_tenth": round(peak(tenth), 1),
        }
    if arguments.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:<20} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
