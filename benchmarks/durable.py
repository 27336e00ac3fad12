"""What durability costs: acknowledged requests a second over sockets, as ratios within one run.

    make bench-durable                      the table
    make bench-durable ARGS="--rounds 9"    steadier

Each candidate is an app under uvicorn in a process of its own, on a store or without; it takes turns
with the others. wrk keeps 64 connections busy, each with one event of another call, and leaves most of a core
to the server. What is measured is the acknowledgement: calls settle long after the run, so that no hook runs
beside it. Ids of calls come in no order, as the service's do.

The route decodes the body, as it did before Ringback stood before it, unless it "uses the outcomes": then it does
with them what the samples' route does with the events. The samples keep nothing. "As published" they write two lines of
text with structlog's fastest logger; "through logging" it is one, in JSON, the way an app has it whose libraries log.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import served
import sockets
from pairs import compared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockets import Load

BASES = ("without store", "sample style, as published", "sample style, through logging")
CONNECTIONS = 64
SECONDS = 3


def measure(name: str, folder: Path, file: Path) -> Load:
    """One turn of a candidate in a fresh process, on a fresh store."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        store = f"sqlite:///{place}/ringback.db?max_backlog=100000000" if "sqlite" in name else ""
        with sockets.serving("uvicorn", name, STORE=store) as (process, port):
            sockets.loaded(process.pid, port, 1, file, CONNECTIONS)  # warms up
            return sockets.loaded(process.pid, port, SECONDS, file, CONNECTIONS)


def section(*, quick: bool) -> dict[str, Any]:
    """Acknowledged requests a second with SQLite and without a store, and the ratio of the two."""
    taken: dict[str, list[Load]] = {"without store": [], "sqlite": []}
    with tempfile.TemporaryDirectory() as place:
        file = sockets.request(Path(place))
        for _ in range(1 if quick else 7):
            for name, loads in taken.items():
                loads.append(measure(name, Path(place), file))
    without, durable = ([each.rate for each in loads] for loads in taken.values())
    rates = {name: round(statistics.median(each.rate for each in loads)) for name, loads in taken.items()}
    return {"rate": rates, "ratio": compared(durable, without)}


def _extremes(loads: Sequence[Load], base: Sequence[Load]) -> str:
    each = sorted(one.rate / other.rate for one, other in zip(loads, base, strict=True))
    return f"{statistics.median(each):.2f} ({each[0]:.2f}-{each[-1]:.2f})".ljust(19)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    arguments = parser.parse_args(argv)
    sockets.refuse_without_wrk()
    taken: dict[str, list[Load]] = {name: [] for name in served.ACKNOWLEDGED}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = sockets.request(folder)
        for _ in range(arguments.rounds):
            for name in served.ACKNOWLEDGED:
                taken[name].append(measure(name, folder, file))
    print(f"requests/s as a ratio to others of the same round, median of {arguments.rounds} rounds (least-most)\n")
    print(f"{'':34}{'without store':20}{'samples, published':20}{'samples, logging':20}")
    for name, loads in taken.items():
        ratios = " ".join(_extremes(loads, taken[base]) for base in BASES)
        figures = ("rate", "cpu_us", "p99_us")
        rate, cpu, p99 = (statistics.median(getattr(load, figure) for load in loads) for figure in figures)
        print(f"{name:34}{ratios} {rate:6.0f}/s {cpu:5.0f} us of CPU a request, p99 {p99 / 1000:.0f} ms")


if __name__ == "__main__":
    main()
