"""What `ringback stats` costs beside one msgspec decode a line, in pairs over the same file.

    python benchmarks/stats.py                          1,000,000 lines, all of them outcomes
    python benchmarks/stats.py --lines 100000 --outcomes 0.25

A temporary file has lines as Ringback writes them, one in twenty of them repeated, and lines of an app. The two take
turns, so that whatever else the machine does hits both alike; the ratio is the median of pairs of CPU time. The peak of
memory is that of a process that does nothing but run the command, for the whole file and for its first tenth.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from traffic import body

from ringback import classify_event, logs, parse_delivery
from ringback.cli._stats import read
from ringback.cli.stats.tally import Tally
from ringback.receiving.intake import Received

if TYPE_CHECKING:
    from collections.abc import Callable

APP = '{"timestamp": "2026-01-15T09:30:00Z", "event": "request.done", "path": "/orders/17", "status": 200}'
PEAK = """
import os, re, sys
from ringback.cli import main
sys.stdout = open(os.devnull, "w")
main(["stats", sys.argv[1]])
# Linux; the peak of getrusage would begin with that of the process that started this one.
print(re.search(r"VmHWM:\\s+([0-9]+)", open("/proc/self/status").read())[1], file=sys.__stdout__)
"""


def outcome_lines() -> list[str]:
    """The lines of the usual traffic's results, as Ringback writes them for an app that has configured no logging."""
    delivery = parse_delivery(body(100), {})
    outcomes = tuple(outcome for event in delivery.events if (outcome := classify_event(event)) is not None)
    out = io.StringIO()
    with redirect_stdout(out):
        list(logs.received(Received(delivery, outcomes)))
    return out.getvalue().splitlines()


def write(path: Path, lines: int, share: float) -> None:
    """Each outcome is of a leg of its own, but for one in twenty, which is that of the line before."""
    chance, known, leg = random.Random(17), outcome_lines(), 0
    ids = [json.loads(line)["call_connection_id"] for line in known]
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            if chance.random() < share:
                leg = number if chance.random() > 0.05 else leg
                which = leg % len(known)
                file.write(known[which].replace(ids[which], f"{ids[which][:-12]}{leg:012}") + "\n")
            else:
                file.write(APP + "\n")


def decode(path: Path) -> None:
    decoder = msgspec.json.Decoder()
    with path.open("rb") as file:
        for line in file:
            decoder.decode(line)


def count(path: Path) -> None:
    tally = Tally()
    read([str(path)], tally, "stats")
    tally.summary()


def seconds(function: Callable[[Path], None], path: Path) -> float:
    begun = time.process_time()
    function(path)
    return time.process_time() - begun


def peak(path: Path) -> float:
    """MiB at most, of a process that does nothing else."""
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--outcomes", type=float, default=1.0, help="their share of the lines, 0 to 1")
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, tenth = Path(folder, "app.log"), Path(folder, "tenth.log")
        write(path, arguments.lines, arguments.outcomes)
        write(tenth, arguments.lines // 10, arguments.outcomes)
        ratios = [seconds(count, path) / seconds(decode, path) for _ in range(arguments.pairs)]
        print(f"CPU beside one decode a line  {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"peak of memory, MiB           {peak(path):.1f}, of a tenth {peak(tenth):.1f}")


if __name__ == "__main__":
    main()
