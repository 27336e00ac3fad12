"""Measure everything and write docs/performance.md anew: its tables, its plots, and the figures of the run beside them.

make performance                                         in less than ten minutes
make performance ARGS="--from build/benchmark.json"      of a run that has been made
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apps
import inprocess
import plots
import run
import tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCS = Path(__file__).parents[1] / "docs"
_MARKED = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str, parts: Mapping[str, str]) -> str:
    """The page with each marked place filled; one of which the run has nothing stays as it is.

    Raises :class:`ValueError` for a part that has no place.
    """
    missing = parts.keys() - {match[2] for match in _MARKED.finditer(text)}
    if missing:
        raise ValueError(
            f"the page has no place for {', '.join(sorted(missing))}; add '<!-- begin NAME --><!-- end -->'"
        )

    def filled(match: re.Match[str]) -> str:
        part = parts.get(match[2])
        return match[0] if part is None else f"{match[1]}{part}\n{match[3]}"

    return _MARKED.sub(filled, text)


def parts(results: Mapping[str, Any]) -> dict[str, str]:
    """By mark: the tables, and on what the run was made."""
    made = {table.name: tables.as_markdown(table) for table in tables.tables(results)}
    environment = dict(results["environment"])
    first = "; ".join(environment.pop(name) for name in ("date", "python", "machine"))
    made["environment"] = f"{first}; {', '.join(' '.join(each) for each in environment.items())}."
    if "start" in results:
        found = results["start"]["import"]["ringback"]
        packages = ", ".join(f"`{name}`" for name in found["packages"])
        slowest = ", ".join(f"`{each['module']}` {each['ms']:.0f}" for each in found["slowest"][:5])
        made["modules"] = f"`import ringback` loads {packages}. Most of its time, in ms: {slowest}."
    return made


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="figures", type=Path, help="figures that `make bench` has written")
    parser.add_argument("--quick", action="store_true", help="a smoke run, whose figures are worth nothing")
    given = parser.parse_args(argv)
    if given.figures is None:
        sizes = inprocess.QUICK_SIZES if given.quick else inprocess.SIZES
        results = run.run(run.SECTIONS, list(apps.CANDIDATES), sizes, quick=given.quick, say=run.to_terminal)
        run.to_terminal("")
    else:
        results = json.loads(given.figures.read_text("utf-8"))
    file = DOCS / "performance.md"
    # Last what is read first: a run that cannot be told leaves the page as it was.
    written = page(file.read_text("utf-8"), parts(results))
    plots.draw(results, DOCS / "performance")
    run.write(results, DOCS / "performance" / "results.json")
    file.write_text(written, "utf-8")


if __name__ == "__main__":
    main()
