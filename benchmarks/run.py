"""What Ringback costs, as ratios to a bare route that are measured pair by pair in one run.

    make bench                                     everything, in less than ten minutes
    make bench ARGS="--quick"                      a smoke run: every part, no figure worth a look
    make bench ARGS="--section inprocess"          only that; again for another one
    make bench ARGS="--section inprocess --candidate ringback --events 1 --events 1000"

Prints tables, and writes all figures to build/benchmark.json, or where ``--json`` says. What is measured and how:
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apps
import environment
import inprocess
import sockets
import start
import tables
import tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECTIONS = ("inprocess", "tokens", "sockets", "start")
RESULTS = Path(__file__).parents[1] / "build" / "benchmark.json"


def run(
    sections: Sequence[str],
    candidates: Sequence[str],
    sizes: Sequence[int],
    *,
    quick: bool,
    say: Callable[[str], object],
) -> dict[str, Any]:
    """All figures as plain values, by section."""
    results: dict[str, Any] = {"environment": environment.described()}
    for name in sections:
        if name == "inprocess":
            results[name] = inprocess.section(candidates, sizes, quick=quick, say=say)
        else:
            section = {"tokens": tokens, "sockets": sockets, "start": start}[name].section
            results[name] = section(quick=quick, say=say)
    return results


def to_terminal(text: str) -> None:
    """One line that the next one replaces, beside the tables; nothing where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def write(results: dict[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", action="append", choices=SECTIONS, help="only this; may be repeated")
    parser.add_argument("--candidate", action="append", choices=apps.CANDIDATES, help="in process, only this one")
    parser.add_argument("--events", action="append", type=int, help="in process, only bodies of so many events")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds a section")
    parser.add_argument("--json", type=Path, default=RESULTS, help="the file of the figures")
    given = parser.parse_args(argv)
    results = run(
        given.section or SECTIONS,
        given.candidate or list(apps.CANDIDATES),
        given.events or (inprocess.QUICK_SIZES if given.quick else inprocess.SIZES),
        quick=given.quick,
        say=to_terminal,
    )
    to_terminal("")
    write(results, given.json)
    print("\n\n".join(map(tables.as_text, tables.tables(results))))


if __name__ == "__main__":
    main()
