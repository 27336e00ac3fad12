"""``python -m ringback_catalog``: check the rows of the catalog, or show those of one code."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ringback_catalog import _load
from ringback_catalog._catalog import Catalog
from ringback_catalog._check import check
from ringback_catalog._sources import source_lines
from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ringback_catalog._model import Entry


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or 1 for findings. Raises :class:`SystemExit` (2) for bad input."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "check":
        return _check()
    return _show(arguments.code, arguments.subcode)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ringback_catalog", description="Check the rows of the catalog, or show those of one code."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "check",
        help="check every file of entries; prints 'file: key: rule' for each finding",
        description="Check order, uniqueness, sources, causes and lengths. Exit code 1 if anything is found.",
    )
    show = commands.add_parser(
        "show",
        help="print the entries of a code, or of a code and subcode",
        description="Print the entries with this key, CODE or CODE and SUBCODE; if none has it, the one that answers.",
        epilog="example: python -m ringback_catalog show 486 560486",
    )
    show.add_argument("code", metavar="CODE", type=_number, help="the code of resultInformation, such as 486; 0 is 200")
    show.add_argument("subcode", metavar="SUBCODE", type=_number, nargs="?", help="its subCode, such as 560486")
    return parser


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number; write digits only, such as 486")


def _check() -> int:
    try:
        files = _load.load_files()
    except CatalogError as error:
        print(error)
        return 1
    findings = check(files, _load.load_sources())
    for finding in findings:
        print(finding)
    if not findings:
        print(f"{sum(map(len, files.values()))} entries, no finding")
    return 1 if findings else 0


def _show(code: int, subcode: int | None) -> int:
    catalog = Catalog.default()
    rows = [entry for entry in catalog.entries if (entry.key.code, entry.key.subcode) == (code or 200, subcode)]
    if not rows:
        verdict = catalog.look_up(None, code, subcode)
        print(f"no entry has this key itself; match {verdict.match} answers:")
        rows = [verdict.entry]
    print("\n\n".join("\n".join(_lines(entry)) for entry in rows))
    return 0


def _lines(entry: Entry) -> Iterator[str]:
    yield str(entry.key)
    yield f"  {entry.summary}"
    action = "" if entry.retry_action is None else f", again {entry.retry_action}"
    wait = "" if entry.retry_after is None else f", wait {entry.retry_after}"
    yield f"  cause {entry.cause}, {entry.disposition}, retry {entry.retry}{action}{wait}, owner {entry.owner}"
    yield f"  category {entry.category} ({entry.basis}), confidence {entry.confidence}"
    yield from (f"  {number}. {step}" for number, step in enumerate(entry.advice, start=1))
    if entry.mixture:
        yield f"  mixture of {', '.join(entry.mixture)}"
    yield from (f"  source: {line}" for line in source_lines(entry.sources))
    if entry.note is not None:
        yield f"  note: {entry.note}"


if __name__ == "__main__":
    sys.exit(main())
