"""What Ringback costs, as ratios to a bare route that are measured pair by pair in one run.

    make bench                                     everything, in a quarter of an hour
    make bench ARGS="--events 1 --events 100 --events 5000"    everything, with fewer sizes: ten minutes
    make bench ARGS="--quick"                      a smoke run: every part, no figure worth a look
    make bench ARGS="--section inprocess --candidate ringback --events 1 --events 1000"
    make performance                               everything, and docs/performance.md with what lies beside it

Prints tables, and writes all figures to build/benchmark.json. What is measured and how: docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tomllib
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apps
import durable
import gate
import handshake
import inprocess
import plots
import soak
import sockets
import start
import tables
import verifying

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECTIONS = ("inprocess", "setups", "verifying", "sockets", "durable", "memory", "start")
RESULTS = Path(__file__).parents[1] / "build" / "benchmark.json"
DOCS = Path(__file__).parents[1] / "docs"
PACKAGES = ("ringback", "starlette", "structlog", "msgspec", "uvicorn", "httptools", "uvloop", "granian")
_MARKED = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def environment() -> dict[str, str]:
    """On what a run was made: enough to compare two of them by, and nothing of whose machine it is."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    installed = {each.name: each.version for each in distributions()}
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{model[1] if model else platform.machine()} ({os.cpu_count()} cores, {platform.system()})",
        **{name: f"{name} {installed.get(name, 'not installed')}" for name in PACKAGES},
    }


def page(text: str, parts: Mapping[str, str]) -> str:
    """The page with each marked place filled; one of which the run has nothing stays as it is.

    Raises :class:`ValueError` for a part that has no place.
    """
    missing = sorted(parts.keys() - {match[2] for match in _MARKED.finditer(text)})
    if missing:
        raise ValueError(f"the page has no place for {', '.join(missing)}; add '<!-- begin NAME --><!-- end -->'")
    return _MARKED.sub(
        lambda found: f"{found[1]}{parts[found[2]]}\n{found[3]}" if found[2] in parts else found[0], text
    )


def say(text: str) -> None:
    """One line that the next one replaces, beside the tables; nothing where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def write(results: Mapping[str, Any], file: Path) -> None:
    """As JSON, each innermost object on a line of its own."""
    text = re.sub(r"{[^{}]*}", lambda found: " ".join(found[0].split()), json.dumps(results, indent=1))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", "utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", action="append", choices=SECTIONS, help="only this; may be repeated")
    parser.add_argument("--candidate", action="append", choices=apps.CANDIDATES, help="in process, only this one")
    parser.add_argument("--events", action="append", type=int, help="in process, only bodies of so many events")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds a section")
    parser.add_argument("--from", dest="figures", type=Path, help="figures of a run that has been made")
    parser.add_argument("--page", action="store_true", help="write docs/performance.md and what lies beside it")
    given = parser.parse_args(argv)
    sections = given.section or SECTIONS
    if given.figures is not None:
        results = json.loads(given.figures.read_text("utf-8"))
    else:
        limits = tomllib.loads(gate.LIMITS.read_text("utf-8"))
        results = {"environment": environment(), "instructions": limits.get(gate.VERSION, {})}
        sizes = given.events or (inprocess.QUICK_SIZES if given.quick else inprocess.SIZES)
        if "inprocess" in sections:
            chosen = {name: apps.CANDIDATES[name] for name in given.candidate or apps.CANDIDATES}
            results["inprocess"] = inprocess.section(chosen, sizes, quick=given.quick, say=say)
        if "setups" in sections:
            results["setups"] = inprocess.section(apps.SIDE_BY_SIDE, inprocess.QUICK_SIZES, quick=given.quick, say=say)
        if "verifying" in sections:
            say("verifying")
            results["verifying"] = verifying.section(3 if given.quick else 41)
        if "sockets" in sections:
            results["handshake_us"] = handshake.microseconds(9 if given.quick else 301)
            results["sockets"] = sockets.section(quick=given.quick, say=say)
        if "durable" in sections:
            say("durable")
            results["durable"] = durable.section(quick=given.quick)
        if "memory" in sections:
            say("memory")
            results["memory"] = soak.section(5_000 if given.quick else 100_000)
        if "start" in sections:
            say("start")
            results["start"] = start.section(1 if given.quick else 11)
        say("")
        write(results, RESULTS)
    parts = tables.parts(results)
    print("\n\n".join(parts.values()))
    if given.page:
        file = DOCS / "performance.md"
        # Last what is read first: a run that cannot be told leaves the page as it was.
        written = page(file.read_text("utf-8"), parts)
        plots.draw(results, DOCS / "performance")
        write(results, DOCS / "performance" / "results.json")
        file.write_text(written, "utf-8")


if __name__ == "__main__":
    main()
