"""The regression gate: instructions a request as ratios to the bare route, against benchmarks/limits.toml.

    make gate                   measure and compare; fails if a ratio is over its limit by more than the margin
    make gate ARGS=--write      take what is measured for the limits

Instructions are counted by callgrind in a process that does all the work, so that a busy machine changes nothing: two
runs differ by less than half a percent. Counts depend on the interpreter: limits are kept by its version.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import apps
import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

LIMITS = Path(__file__).parent / "limits.toml"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
HEAD = """\
# Instructions a request, as ratios to the bare route, that `make gate` allows: set by `make gate ARGS=--write`.
# The margin is a share of the limit; two runs of the same code differ by less than a tenth of it.
"""


class Uncounted(Exception):
    """callgrind did not tell what was asked: why, and what helps."""


def counts(events: int) -> list[int]:
    """Instructions of each of :func:`counted.pieces`."""
    if shutil.which("valgrind") is None:
        raise Uncounted("valgrind is not installed; apt-get install valgrind")
    with tempfile.TemporaryDirectory() as place:
        out = f"{place}/callgrind"
        finished = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={out}",
                "--dump-before=getppid",
                sys.executable,
                str(Path(counted.__file__)),
                str(events),
            ],
            # The order of a set, and thus of much else, depends on the seed.
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            raise Uncounted(f"the counted process ended with {finished.returncode}:\n{finished.stderr[-2000:]}")
        marks = sorted(Path(place).glob("callgrind.*"), key=lambda file: int(file.suffix[1:]))
        totals = [total(file.read_text()) for file in marks]
    return between(totals, len(counted.pieces(events)))


def total(dump: str) -> int:
    """The instructions of one dump of callgrind."""
    found = re.search(r"^totals: (\d+)$", dump, re.MULTILINE)
    if found is None:
        raise Uncounted("a dump of callgrind has no line 'totals:'; is this valgrind older than 3.15?")
    return int(found[1])


def between(totals: Sequence[int], pieces: int) -> list[int]:
    """What was counted between the two marks of each piece, of all that was counted before each mark."""
    if len(totals) != 2 * pieces:
        raise Uncounted(f"{len(totals)} marks were counted, not {2 * pieces}: something else calls getppid")
    return list(totals[1::2])


def ratios(events: int, taken: Sequence[int]) -> dict[str, float]:
    """By what it is called in the table, the ratio to the bare route with as many events."""
    counted_as = dict(zip(counted.pieces(events), taken, strict=True))
    idle, bare = counted_as.pop(counted.NOTHING), counted_as.pop(apps.BARE)
    return {label(name, events): (count - idle) / (bare - idle) for name, count in counted_as.items()}


def label(name: str, events: int) -> str:
    return f"{name}, {events} event{'s' if events > 1 else ''}"


def over(found: Mapping[str, float], limits: Mapping[str, float], margin: float) -> list[str]:
    """What is wrong, a line each: ratios over their limits, and ratios that have none."""
    wrong: list[str] = []
    for name, value in found.items():
        limit = limits.get(name)
        if limit is None:
            wrong.append(f"{name} has no limit in limits.toml; make gate ARGS=--write")
        elif value > limit * (1 + margin):
            allowed = f"{limit:.3f} and {margin:.0%} are allowed"
            wrong.append(
                f"{name} takes {value:.3f} times the bare route; {allowed}: find the cause, or make gate ARGS=--write"
            )
    return wrong


def text(limits: Mapping[str, Mapping[str, float]], margin: float) -> str:
    """The content of limits.toml: by version of the interpreter, by name."""
    lines = [HEAD + f"margin = {margin}"]
    for version in sorted(limits):
        lines.append(f'\n["{version}"]')
        for name, value in limits[version].items():
            purpose = counted.CANDIDATES.get(name.rpartition(", ")[0])
            lines += [] if purpose is None else [f"# {purpose}"]
            lines.append(f'"{name}" = {value:.3f}')
    return "\n".join(lines) + "\n"


def table(found: Mapping[str, float], limits: Mapping[str, float]) -> Iterable[str]:
    for name, value in found.items():
        limit = limits.get(name)
        yield f"{name:62}{value:8.3f}" + ("" if limit is None else f"{limit:8.3f} {value / limit - 1:+7.1%}")


def main(
    argv: Sequence[str] | None = None, *, measure: Callable[[int], Sequence[int]] = counts, file: Path = LIMITS
) -> int:
    """0 if all is within its limit, 1 if not, 2 if nothing could be counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="take what is measured for the limits")
    arguments = parser.parse_args(argv)
    kept = tomllib.loads(file.read_text("utf-8"))
    margin: float = kept.pop("margin")
    try:
        with ThreadPoolExecutor() as side_by_side:
            taken = side_by_side.map(measure, counted.WORK)
            found = {name: ratio for each in map(ratios, counted.WORK, taken) for name, ratio in each.items()}
    except Uncounted as error:
        print(f"gate: {error}", file=sys.stderr)
        return 2
    limits = kept.get(VERSION, {})
    print(f"instructions a request as ratios to the bare route, Python {VERSION}: measured, limit, difference\n")
    print(*table(found, limits), sep="\n")
    if arguments.write:
        file.write_text(text({**kept, VERSION: found}, margin), "utf-8")
        return 0
    wrong = over(found, limits, margin)
    print(*(f"\n{each}" for each in wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
