"""The sources of a row: tables of documents, and the web pages of the documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


OVERRIDE = "override"
"""The id of the source that stands for a row of overrides; its table says where that row is."""


@dataclass(frozen=True, slots=True)
class Source:
    """One table of one document, and the date of the copy that the row's author read.

    ``url`` leads to the table where the page has pivots or sections. ``page`` is the name of the page, of which
    several documents may be editions; empty means the document's name.
    """

    id: str
    document: str
    table: str
    date: str
    url: str
    page: str = ""

    def __str__(self) -> str:
        return f"{self.document} ({self.date}), {self.table}"


def source_lines(sources: Iterable[Source]) -> tuple[str, ...]:
    """One line for a page, in the order of first sources: the page's tables with the dates of the copies."""
    pages: dict[str, list[Source]] = {}
    for source in sources:
        pages.setdefault(source.page or source.document, []).append(source)
    return tuple(str(same[0]) if len(same) == 1 else f"{page}: {_tables(same)}" for page, same in pages.items())


def _tables(sources: Iterable[Source]) -> str:
    dates: dict[str, dict[str, None]] = {}
    for source in sources:
        dates.setdefault(source.table, {})[source.date] = None
    return "; ".join(f"{table} ({', '.join(found)})" for table, found in dates.items())
