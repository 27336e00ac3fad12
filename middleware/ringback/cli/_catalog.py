"""``ringback catalog``: exports the whole catalog, as one text or as a folder of pages."""

from __future__ import annotations

import csv
import io
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ringback.cli import _site
from ringback.cli._outcomes import catalog_of
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ringback_catalog import Entry


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format", choices=list(dict.fromkeys([*FORMATS, *_site.FORMATS])), default="json", help="default: json"
    )
    command.add_argument("--output", metavar="FILE", type=Path, help="write to FILE, not to standard output")
    command.add_argument(
        "--out", metavar="DIR", type=Path, help="write a page for each entry and cause: html, markdown (extra console)"
    )
    command.add_argument("--overrides", metavar="FILE", help="apply a TOML file of your own verdicts first")


def catalog(arguments: argparse.Namespace) -> int:
    if arguments.out is not None or arguments.format not in FORMATS:
        return _pages(arguments)
    text = FORMATS[arguments.format](catalog_of(arguments.overrides).entries)
    if arguments.output is None:
        print(text)
        return 0
    try:
        arguments.output.write_text(f"{text}\n", "utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(
            f"output '{arguments.output}' cannot be written ({error.strerror}); name a file in an existing folder"
        ) from error
    return 0


def _pages(arguments: argparse.Namespace) -> int:
    if arguments.out is None or arguments.output is not None or arguments.format not in _site.FORMATS:
        raise ConfigurationError(
            "--out goes with --format html or markdown, html only with --out, and --output with neither; write for "
            "example: ringback catalog --format html --out site"
        )
    count = _site.write(catalog_of(arguments.overrides).entries, arguments.format, arguments.out)
    print(f"{count} files in {arguments.out}")
    return 0


def _as_json(entries: Iterable[Entry]) -> str:
    return json.dumps({"version": version("ringback"), "entries": [entry.to_dict() for entry in entries]}, indent=2)


def _as_csv(entries: Iterable[Entry]) -> str:
    rows = [{name: _cell(value) for name, value in entry.to_dict().items()} for entry in entries]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().removesuffix("\n")


def _cell(value: Any) -> str:
    """One line of text: a list is joined by bars, ``None`` is empty."""
    return " ".join(" | ".join(_texts(value)).split())


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return list(map(str, cast("list[object]", value)))
    if isinstance(value, dict):
        # retry_after: seconds, and the factor of every further wait.
        return [" x ".join(f"{number:g}" for number in cast("dict[str, float]", value).values())]
    return [] if value is None else [str(value)]


_KINDS = {
    "pair": "A code and a subcode",
    "pattern": "Families of subcodes",
    "subcode": "Generic subcodes, whatever the code",
    "code": "A code alone",
    "range": "A range of codes",
    "sip": "A carrier's SIP status",
    "q850": "A carrier's Q.850 cause",
    "special": "When no key answers",
}
_KEYS = ("code", "subcode", "events", "scope", "sip", "phrase", "q850", "special")
_COLUMNS = "cause disposition retry_class retry_action retry_after category owner confidence summary advice".split()


def _as_markdown(entries: Iterable[Entry]) -> str:
    tables = {kind: [entry.to_dict() for entry in entries if entry.key.kind == kind] for kind in _KINDS}
    parts = ["# The Ringback catalog"]
    for kind, rows in tables.items():
        keys = [name for name in _KEYS if any(row[name] not in (None, []) for row in rows)]
        parts.append(f"## {_KINDS[kind]}\n\n" + "\n".join(_table([*keys, *_COLUMNS], rows)))
    return "\n\n".join(parts)


def _table(columns: Sequence[str], rows: Iterable[Any]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(_markdown(row[name]) for name in columns)} |"


def _markdown(value: Any) -> str:
    # A cell of Markdown is one line of source; the items of a list stand below each other.
    lines = map(_cell, _texts(value))
    return "<br>".join(line.replace("<", "&lt;").replace("|", "\\|") for line in lines)


FORMATS: dict[str, Callable[[Iterable[Entry]], str]] = {"json": _as_json, "markdown": _as_markdown, "csv": _as_csv}
