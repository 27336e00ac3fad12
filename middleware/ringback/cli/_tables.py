"""The tables in a page, Markdown or HTML: text to rows of cells. What is no table is passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDEST = 100
"""Columns that a cell may span at most: a page of others must not fill memory."""


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row from left to right, and the line of the text where it starts, from 1."""

    cells: tuple[str, ...]
    line: int


Table = tuple[Row, ...]
"""The rows of one table, its heading first."""


def tables(text: str) -> list[Table]:
    """Every table of a text, those in Markdown first; a Markdown page may have both."""
    return [*_markdown_tables(text), *_html_tables(text)]


def _markdown_tables(text: str) -> Iterator[Table]:
    fenced = False
    above = ""
    rows: list[Row] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        if fenced or "|" not in line:
            if rows:
                yield tuple(rows)
            above, rows = "", None
        elif rows is not None:
            _add(rows, Row(_cells(line), number), line)
        elif above and all(re.fullmatch(":?-+:?", cell) for cell in _cells(line)):
            rows = [Row(_cells(above), number - 1)]
        else:
            above = line
    if rows:
        yield tuple(rows)


def _add(rows: list[Row], row: Row, line: str) -> None:
    # A copied page breaks a row in two; the second half starts without a bar where all others have one.
    if not line.lstrip().startswith("|") and rows[-1].cells and len(rows[-1].cells) < len(rows[0].cells):
        rows[-1] = Row(rows[-1].cells + row.cells, rows[-1].line)
    else:
        rows.append(row)


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|")
    if not inner.endswith("\\|"):
        inner = inner.removesuffix("|")
    return tuple(cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", inner))


@dataclass(slots=True)
class _Open:
    """A table whose end has not come: tags may be left out, and tables stand within tables."""

    rows: list[Row] = field(default_factory=list[Row])
    cells: list[str] | None = None
    line: int = 0
    text: list[str] | None = None
    columns: int = 1
    rows_down: int = 1
    below: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    """What spans several rows, by column: for how many more, and its text."""

    def start_row(self, line: int) -> None:
        self.end_row()
        self.cells, self.line = [], line

    def start_cell(self, line: int, columns: int, rows_down: int) -> None:
        self.end_cell()
        if self.cells is None:
            self.start_row(line)
        self.text, self.columns, self.rows_down = [], columns, rows_down

    def end_cell(self) -> None:
        if self.text is None or self.cells is None:
            return
        self._fill(self.cells)
        text = " ".join("".join(self.text).split())
        for _ in range(self.columns):
            if self.rows_down > 1:
                self.below[len(self.cells)] = (self.rows_down - 1, text)
            self.cells.append(text)
        self.text = None

    def end_row(self) -> None:
        self.end_cell()
        if self.cells:
            self._fill(self.cells)
            self.rows.append(Row(tuple(self.cells), self.line))
        self.cells = None

    def _fill(self, cells: list[str]) -> None:
        while len(cells) in self.below:
            left, text = self.below.pop(len(cells))
            if left > 1:
                self.below[len(cells)] = (left - 1, text)
            cells.append(text)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[_Open] = []
        self.found: list[Table] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        if tag == "table":
            self.open.append(_Open())
        elif not self.open:
            return
        elif tag == "tr":
            self.open[-1].start_row(line)
        elif tag in ("td", "th"):
            spans = dict(attrs)
            self.open[-1].start_cell(line, _span(spans.get("colspan")), _span(spans.get("rowspan")))
        else:
            # A code in its own span is one code: `0`/`200`. A break is a space.
            self.handle_data("`" if tag == "code" else " " if tag in ("br", "p", "li") else "")

    def handle_endtag(self, tag: str) -> None:
        if not self.open:
            return
        if tag == "table":
            self.end_table()
        elif tag == "tr":
            self.open[-1].end_row()
        elif tag in ("td", "th"):
            self.open[-1].end_cell()
        elif tag == "code":
            self.handle_data("`")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1].text is not None:
            self.open[-1].text.append(data)

    def end_table(self) -> None:
        ended = self.open.pop()
        ended.end_row()
        if ended.rows:
            self.found.append(tuple(ended.rows))


def _html_tables(text: str) -> list[Table]:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    while reader.open:
        reader.end_table()
    return reader.found


def _span(given: str | None) -> int:
    given = given or ""
    return min(int(given), _WIDEST) if re.fullmatch("[1-9][0-9]{0,5}", given) else 1
