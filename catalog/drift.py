"""What a saved page of Microsoft's tables lists, compared with the catalog: ``python catalog/drift.py page.md``.

A tool for whoever maintains the catalog. It needs the extra ``dev``, and is not in the wheel.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from ringback_catalog import Catalog, Match, ResultCategory, event_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ringback_catalog import Entry

_COLUMNS = {
    "code": ("code", "errorcode", "statuscode", "responsecode", "codesubcode"),
    "subcode": ("subcode",),
    "event": ("callbackevent", "event", "eventtype"),
    "category": ("category", "resultcategory", "resultcategorie"),
    "text": ("message", "description"),
}
"""What a column holds, by its heading in small letters, without signs, remarks in brackets and a last ``s``."""

_CATEGORIES = {each.lower(): each for each in ResultCategory if each is not ResultCategory.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Listed:
    """One key that the page lists: an event or any, a code, a subcode, or both; what it says of the key, and where."""

    event: str | None
    code: int | None
    subcode: int | None
    category: ResultCategory | None
    text: str
    line: int

    def __str__(self) -> str:
        numbers = "/".join(str(each) for each in (self.code, self.subcode) if each is not None)
        return " ".join(filter(None, [self.event, "subcode" if self.code is None else "", numbers]))


def tables(text: str) -> Iterator[list[tuple[int, list[str]]]]:
    """Every table of a page as rows, the heading first: the line where a row starts, from 1, and its cells.

    First come the tables in Markdown, then those in HTML. Cells that span columns or rows count once.
    """
    lines, numbers = [""], [0]
    for number, line in enumerate(text.splitlines(), start=1):
        # A copied page breaks a row in two: the second half has a bar, and starts without one.
        if lines[-1].startswith("|") and re.match(r"[^|\s].*\|", line):
            lines[-1] += f" {line}"
            continue
        # A copied page has lost the blank lines around its tables.
        if lines[-1].startswith("|") is not line.startswith("|"):
            lines.append("")
            numbers.append(number)
        lines.append(line)
        numbers.append(number)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse("\n".join(lines))
    for token in tokens:
        if token.type == "tr_open" and token.map:
            token.attrSet("data-line", str(numbers[token.map[0]]))
    for page in (markdown.renderer.render(tokens, markdown.options, {}), text):
        for table in BeautifulSoup(page, "html.parser")("table"):
            rows = [row for row in table("tr") if row.find_parent("table") is table]
            for tag in table(["br", "p", "li"]):
                tag.insert_before(" ")
            # A code in its own span is one code: `0`/`200`.
            for tag in table("code"):
                tag.insert(0, "`")
                tag.append("`")
            yield [
                (
                    int(str(row.get("data-line") or row.sourceline)),
                    [" ".join(cell.get_text().split()) for cell in row(["th", "td"], recursive=False)],
                )
                for row in rows
            ]


def read(text: str) -> tuple[list[Listed], list[str]]:
    """The keys in every table that has a column for codes, and a note wherever a row was repaired or passed over."""
    listed: list[Listed] = []
    notes: list[str] = []
    for heading, *rows in filter(None, tables(text)):
        names = [re.sub(r"\([^)]*\)|[^a-z]", "", cell.lower()).removesuffix("s") for cell in heading[1]]
        places = {
            name: place
            for name, headings in _COLUMNS.items()
            if (place := next((place for place, each in enumerate(names) if each in headings), None)) is not None
        }
        if "code" in places or "subcode" in places:
            for line, cells in rows:
                row = {name: cells[place] for name, place in places.items() if place < len(cells)}
                listed += _row(line, row, notes)
    return listed, notes


def _row(line: int, cells: dict[str, str], notes: list[str]) -> Iterator[Listed]:
    code, subcode, text = (cells.get(name, "") for name in ("code", "subcode", "text"))
    if re.search("[A-Za-z]{4}", code) and _numbers(subcode):
        notes.append(f"line {line}: {_short(subcode)} stands in the column of the subcodes, but is read as a code")
        code, subcode, text = subcode, "", code
    pair = re.fullmatch(r"([0-9]{1,9}) */ *([0-9]{1,9})", code.strip("` "))
    if pair is not None and not subcode:
        code, subcode = pair.groups()
    codes, subcodes = _numbers(code), _numbers(subcode)
    if codes is None or subcodes is None or not codes + subcodes:
        both = " / ".join(filter(None, [code, subcode])) or "nothing"
        notes.append(f"line {line}: {_short(both)} is no code, or a range of them; ignored")
        return
    category = _category(line, cells.get("category", ""), notes)
    events = dict.fromkeys(event_name(name) for name in _words(cells.get("event", ""))) or [None]
    for event, each, sub in product(events, codes or (None,), subcodes or (None,)):
        yield Listed(event, each, sub, category, _short(text), line)


def _numbers(cell: str) -> list[int] | None:
    """The numbers of a cell, none for an empty one; ``None`` if the cell holds anything else."""
    words = [word for word in _words(cell) if word not in ("or", "and")]
    return [int(word) for word in words] if all(re.fullmatch("[0-9]{1,9}", word) for word in words) else None


def _words(cell: str) -> list[str]:
    return re.findall(r"[^\s,;/`*]+", cell)


def _category(line: int, cell: str, notes: list[str]) -> ResultCategory | None:
    word = re.sub("[^a-z]", "", cell.lower())
    close = get_close_matches(word, _CATEGORIES, n=1, cutoff=0.9)
    if word and not close:
        notes.append(f"line {line}: {_short(cell)} is no result category; ignored")
    elif word not in ("", *close):
        notes.append(f"line {line}: category {_short(cell)} is read as {_CATEGORIES[close[0]]}")
    return _CATEGORIES[close[0]] if close else None


def _short(text: str) -> str:
    """One line that a terminal shows as it is, of 80 letters at most."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return plain if len(plain) <= 80 else f"{plain[:79]}…"


def differences(rows: Sequence[Listed], catalog: Catalog, source: str | None = None) -> list[str]:
    """A line for each difference, and each key once: rows without an entry, rows of another category than the entry's,
    and with a source the entries that no row bears out any more. A page holds only some of the tables.

    ``source`` is a document's id or ``document#table``; a wrong one raises :class:`ValueError`.
    """
    cited = () if source is None else _citing(catalog, source)
    new: list[str] = []
    changed: list[str] = []
    listed: set[tuple[int | None, int | None]] = set()
    alone = {entry.key.subcode: entry for entry in catalog.entries if entry.key.kind == "subcode"}
    seen: set[object] = set()
    for row in rows:
        verdict = catalog.look_up(row.event, row.code, row.subcode)
        # These rungs know the key itself; any other rung only comes near it.
        known = (Match.CODE,) if row.subcode is None else (Match.EXACT, Match.PAIR)
        entry = verdict.entry if verdict.match in known else None
        # A subcode without a code is a row of a table, though as an event's result it would report nothing.
        entry = alone.get(row.subcode) if row.code is None else entry
        listed.add((200 if row.code == 0 else row.code, row.subcode))
        same = str(row) if entry is None else (entry, row.category)
        if same in seen:
            continue
        seen.add(same)
        if entry is None:
            new.append(f"new      {row}  {row.category or 'no category'}, line {row.line}: {row.text}")
            continue
        listed.add((entry.key.code, entry.key.subcode))
        if row.category not in (None, entry.category):
            changed.append(f"changed  {row}  {entry.category} in the catalog, {row.category} in line {row.line}")
    return new + changed + [f"gone     {each.key}  {each.summary}" for each in cited if not _stands(each, listed)]


def _stands(entry: Entry, listed: set[tuple[int | None, int | None]]) -> bool:
    """Whether a row still bears an entry out. The catalog says more than its sources: the catalog tells events apart
    where they do not, and cites all that is said of a code for the code alone, and of a subcode for each of its codes.
    """
    code, subcode = entry.key.code, entry.key.subcode
    if subcode is None:
        return code in {row_code for row_code, _ in listed}
    # Six digits have a meaning of their own: documents print 560503 with 500 and with 503.
    return any(row[1] == subcode and (row[0] in (code, None) or subcode >= 100_000) for row in listed)


def _citing(catalog: Catalog, source: str) -> Iterator[Entry]:
    """The entries that cite a source and whose key a row of a table can name: no family, range or carrier's code."""
    cited = [(entry, each.id) for entry in catalog.entries for each in entry.sources]
    known = sorted({part for _, name in cited for part in (name, name.partition("#")[0])})
    if source not in known:
        close = get_close_matches(source, known, n=3, cutoff=0.3) or known[:3]
        raise ValueError(f"no entry cites source {source!r}; write for example {', '.join(close)}")
    found = dict.fromkeys(entry for entry, name in cited if source in (name, name.partition("#")[0]))
    return (entry for entry in found if entry.key.kind in ("pair", "code", "subcode"))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the differences. 0 there are none, 1 there are, 2 the page or an argument is of no use."""
    parser = argparse.ArgumentParser(prog="drift", description=__doc__, allow_abbrev=False)
    parser.add_argument("file", metavar="FILE", type=Path, help="the saved page, Markdown or HTML")
    parser.add_argument("--source", metavar="ID", help="what the page is a copy of: a document, or document#table")
    arguments = parser.parse_args(argv)
    try:
        rows, notes = read(arguments.file.read_bytes().decode("utf-8-sig"))
        if not rows:
            raise ValueError("no table has a column for codes; save the page as Markdown or HTML")
        found = differences(rows, Catalog.default(), arguments.source)
    except (OSError, ValueError) as error:
        print(f"drift: {arguments.file}: {error}", file=sys.stderr)
        return 2
    count = len(found)
    found += [f"note     {note}" for note in notes]
    print(*found, f"{count} differences in {len(rows)} rows of the page", sep="\n")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
