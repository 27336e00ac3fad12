"""``ringback catalog diff``: what a copy of Microsoft's tables lists against what the catalog knows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ringback.cli._listing import read_listing
from ringback.exceptions import ConfigurationError
from ringback_catalog import Catalog, Match

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from ringback.cli._listing import Listed, Listing
    from ringback_catalog import Entry

_LISTED_ON = {
    (True, True): (Match.EXACT, Match.PAIR),
    (True, False): (Match.CODE,),
    (False, True): (Match.GENERIC_SUBCODE,),
}
"""The rungs that know a key itself, by whether it has a code and a subcode; any other rung only comes near it."""

_Pair = tuple[int | None, int | None]
"""A code, 200 for the tables' 0, and a subcode."""

_SINGLE = ("pair", "code", "subcode")
"""The kinds of key that a row of a table can name. Families, ranges and carriers' codes are no rows of these tables."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs: rows without an entry, rows of another category with the entry, entries without a row."""

    new: tuple[Listed, ...]
    changed: tuple[tuple[Listed, Entry], ...]
    gone: tuple[Entry, ...]

    @property
    def count(self) -> int:
        return len(self.new) + len(self.changed) + len(self.gone)


def compare(listing: Listing, catalog: Catalog, source: str | None = None) -> Drift:
    """The differences, each key once. Nothing is ``gone`` without a source, as a page holds only some of the tables.

    ``source`` is a document's id or ``document#table``; a wrong one raises :class:`ConfigurationError`.
    """
    cited = () if source is None else _citing(catalog, source)
    new: dict[tuple[object, ...], Listed] = {}
    changed: dict[tuple[object, ...], tuple[Listed, Entry]] = {}
    listed: set[_Pair] = set()
    for row in listing.rows:
        verdict = catalog.look_up(row.event, row.code, row.subcode)
        entry = verdict.entry
        listed.add((200 if row.code == 0 else row.code, row.subcode))
        if verdict.match not in _LISTED_ON[row.code is not None, row.subcode is not None]:
            new.setdefault((row.event, row.code, row.subcode), row)
            continue
        listed.add((entry.key.code, entry.key.subcode))
        if row.category is not None and row.category is not entry.category:
            changed.setdefault((entry, row.category), (row, entry))
    gone = tuple(entry for entry in cited if not _stands(entry, listed))
    return Drift(tuple(new.values()), tuple(changed.values()), gone)


def _stands(entry: Entry, listed: set[_Pair]) -> bool:
    """Whether a row still bears an entry out. The catalog says more than its sources: it tells events apart where
    they do not, and cites all that is said of a code for the code alone, and of a subcode for each code it comes with.
    """
    code, subcode = entry.key.code, entry.key.subcode
    if subcode is None:
        return any(each == code for each, _ in listed)
    # Six digits have a meaning of their own: documents print 560503 with 500 and with 503.
    return bool(listed & {(code, subcode), (None, subcode)}) or (
        subcode >= 100_000 and any(each == subcode for _, each in listed)
    )


def _citing(catalog: Catalog, source: str) -> tuple[Entry, ...]:
    def cites(entry: Entry) -> bool:
        return any(source in (each.id, each.id.partition("#")[0]) for each in entry.sources)

    found = [entry for entry in catalog.entries if cites(entry)]
    if not found:
        tables = {each.id for entry in catalog.entries for each in entry.sources}
        known = sorted(tables | {each.partition("#")[0] for each in tables})
        close = get_close_matches(source, known, n=3, cutoff=0.3) or known[:3]
        raise ConfigurationError(f"no entry cites source {source!r}; write for example {', '.join(close)}")
    return tuple(entry for entry in found if entry.key.kind in _SINGLE)


def diff(arguments: argparse.Namespace) -> int:
    """Print the differences. 0 there are none, 1 there are; a file without a table of codes is refused."""
    listing = read_listing(_text(arguments.file))
    if not listing.rows:
        raise ConfigurationError(
            f"file '{arguments.file}' has no table with a column for codes; save the page as Markdown or HTML"
        )
    catalog = Catalog.default()
    if arguments.overrides is not None:
        catalog = catalog.with_overrides(arguments.overrides)
    drift = compare(listing, catalog, arguments.source)
    print(json.dumps(_as_json(drift, listing), indent=2) if arguments.json else "\n".join(_lines(drift, listing)))
    return 1 if drift.count else 0


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"file '{file}' cannot be read ({error.strerror}); name a saved page") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"file '{file}' is not UTF-8; save the page as Markdown or HTML in UTF-8") from error


def _lines(drift: Drift, listing: Listing) -> Iterator[str]:
    for row in drift.new:
        yield f"new      {row}  {row.category or 'no category'}, line {row.line}: {row.text}"
    for row, entry in drift.changed:
        yield f"changed  {row}  {entry.category} in the catalog, {row.category} in line {row.line}"
    for entry in drift.gone:
        yield f"gone     {entry.key}  {entry.summary}"
    for note in listing.notes:
        yield f"note     {note}"
    rows, differences = len(listing.rows), drift.count
    yield (
        f"{differences or 'no'} difference{'' if differences == 1 else 's'} "
        f"in {rows} row{'' if rows == 1 else 's'} of the file"
    )


def _as_json(drift: Drift, listing: Listing) -> dict[str, Any]:
    return {
        "rows": len(listing.rows),
        "new": [_row(row) for row in drift.new],
        "changed": [{**_row(row), "catalog_category": entry.category} for row, entry in drift.changed],
        "gone": [entry.to_dict() for entry in drift.gone],
        "notes": list(listing.notes),
    }


def _row(row: Listed) -> dict[str, Any]:
    return {
        "event": row.event,
        "code": row.code,
        "subcode": row.subcode,
        "category": row.category,
        "text": row.text,
        "line": row.line,
    }
