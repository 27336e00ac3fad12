"""What a copy of Microsoft's documentation lists: rows of cells to codes, repaired where their meaning is clear."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import TYPE_CHECKING

from ringback.cli._tables import tables
from ringback_catalog import ResultCategory, event_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.cli._tables import Row, Table

_COLUMNS = {
    "code": "code",
    "errorcode": "code",
    "statuscode": "code",
    "responsecode": "code",
    "codesubcode": "code",
    "subcode": "subcode",
    "callbackevent": "event",
    "event": "event",
    "eventtype": "event",
    "category": "category",
    "resultcategory": "category",
    "resultcategorie": "category",
    "message": "text",
    "description": "text",
}
"""A heading in small letters, without signs, remarks in brackets and a last ``s``: what its column holds."""

_CATEGORIES = {
    category.value.lower(): category for category in ResultCategory if category is not ResultCategory.UNKNOWN
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One key that the copy lists: an event or any, a code, a subcode, or both; what it says of it, and where."""

    event: str | None
    code: int | None
    subcode: int | None
    category: ResultCategory | None
    text: str
    line: int

    def __str__(self) -> str:
        code = "subcode" if self.code is None else str(self.code)
        numbers = code if self.subcode is None else f"{code}{' ' if self.code is None else '/'}{self.subcode}"
        return numbers if self.event is None else f"{self.event} {numbers}"


@dataclass(frozen=True, slots=True)
class Listing:
    """All keys of a copy in its order, and a note wherever a row was repaired or passed over."""

    rows: tuple[Listed, ...]
    notes: tuple[str, ...]


def read_listing(text: str) -> Listing:
    """The codes in every table that has a column for them. Any text gives a listing, most an empty one."""
    rows: list[Listed] = []
    notes: list[str] = []
    for table in tables(text):
        rows += _of_table(table, notes)
    return Listing(tuple(rows), tuple(notes))


def _of_table(table: Table, notes: list[str]) -> Iterator[Listed]:
    heading, *rows = table
    places: dict[str, int] = {}
    for place, cell in enumerate(heading.cells):
        name = _COLUMNS.get(re.sub(r"\([^)]*\)|[^a-z]", "", cell.lower()).removesuffix("s"))
        if name is not None:
            places.setdefault(name, place)
    if "code" in places or "subcode" in places:
        for row in rows:
            yield from _of_row(row, places, notes)


def _of_row(row: Row, places: dict[str, int], notes: list[str]) -> Iterator[Listed]:
    cells = {name: row.cells[place] for name, place in places.items() if place < len(row.cells)}
    code, subcode = cells.get("code", ""), cells.get("subcode", "")
    text = cells.get("text", "")
    if re.search("[A-Za-z]{4}", code) and _numbers(subcode):
        notes.append(f"line {row.line}: {_short(subcode)} stands in the column of the subcodes, but is read as a code")
        code, subcode, text = subcode, "", code
    pair = re.fullmatch(r"([0-9]{1,9}) */ *([0-9]{1,9})", code.strip("` "))
    if pair is not None and not subcode:
        code, subcode = pair.groups()
    codes, subcodes = _numbers(code), _numbers(subcode)
    if codes is None or subcodes is None or not codes + subcodes:
        both = " / ".join(filter(None, [code, subcode])) or "nothing"
        notes.append(f"line {row.line}: {_short(both)} is no code, or a range of them; ignored")
        return
    category = _category(cells.get("category", ""), row.line, notes)
    for event in _events(cells.get("event", "")):
        for each, sub in product(codes or (None,), subcodes or (None,)):
            yield Listed(event, each, sub, category, _short(text), row.line)


def _numbers(cell: str) -> list[int] | None:
    """The numbers of a cell, none for an empty one; ``None`` if it holds anything else."""
    parts = [part for part in re.split(r"[\s,;/`*]+|\bor\b|\band\b", cell) if part]
    return [int(part) for part in parts] if all(re.fullmatch("[0-9]{1,9}", part) for part in parts) else None


def _events(cell: str) -> list[str | None]:
    names = [event_name(part) for part in re.split(r"[\s,;/`*]+", cell) if part]
    return [*dict.fromkeys(names)] or [None]


def _category(cell: str, line: int, notes: list[str]) -> ResultCategory | None:
    word = re.sub(r"[^a-z]", "", cell.lower())
    if not word:
        return None
    close = get_close_matches(word, _CATEGORIES, n=1, cutoff=0.9)
    if not close:
        notes.append(f"line {line}: {_short(cell)} is no result category; ignored")
        return None
    category = _CATEGORIES[close[0]]
    if word != close[0]:
        notes.append(f"line {line}: category {_short(cell)} is read as {category}")
    return category


def _short(text: str) -> str:
    """One line that a terminal shows as it is, of 80 letters at most."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return plain if len(plain) <= 80 else f"{plain[:79]}…"
