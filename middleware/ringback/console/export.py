"""The chosen calls as a file, CSV or JSON, read and sent page by page."""

from __future__ import annotations

import asyncio
import csv as csv_
import io
from json import dumps
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from ringback.console import filters
from ringback.console.access import token_of
from ringback.console.desk import listed
from ringback.console.filters import pinned
from ringback.console.sealed import unseal
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.hooks.call_records import CallPage

MOST_CALLS = 100_000
"""Calls of one file."""

BATCH = 200
"""Calls that are read and written at once: the app's loop does its other work between two batches."""

HIDDEN = frozenset({"operation_context"})
"""Fields of a leg that no page shows."""

COLUMNS = (
    "seen_at", "ended_at", "event", "code", "subcode", "cause", "category", "disposition", "retry_class", "owner",
    "match", "refined_by", "sip", "q850", "answered", "connected_at", "ring_seconds", "talk_seconds", "transferred",
    "state", "duplicates", "call_connection_id", "correlation_id", "reason",
)  # fmt: skip
"""The columns of the CSV file, by the names of the fields of a leg and of its ending."""


async def csv(desk: Desk, request: Request) -> Response:
    """The calls that the address chooses, a row each."""
    pages = await _pages(desk, request)

    async def text() -> AsyncIterator[str]:
        yield _row(COLUMNS)
        async for page in pages:
            yield await asyncio.to_thread(_rows, page)

    return _file(text(), "text/csv; charset=utf-8", "calls.csv")


async def json(desk: Desk, request: Request) -> Response:
    """The calls that the address chooses, as an object with their ``total``, those beyond the file included."""
    pages = await _pages(desk, request)

    async def text() -> AsyncIterator[str]:
        begun = False
        async for page in pages:
            legs = await asyncio.to_thread(_objects, page)
            yield (",\n" if legs else "") + legs if begun else f'{{"total": {page.total}, "calls": [\n{legs}'
            begun = True
        yield "\n]}\n"

    return _file(text(), "application/json", "calls.json")


async def _pages(desk: Desk, request: Request) -> AsyncIterator[CallPage]:
    """The pages of the file; the first one is read at once, so that what is wrong is answered with a status."""
    now, token = desk.clock(), token_of(request)
    chosen = filters.chosen(request.query_params.multi_items(), now, lambda text: unseal(text, token))
    if chosen.faults:
        raise ConfigurationError("; ".join(chosen.faults))
    if "page" in chosen.given:
        raise ConfigurationError(
            f"page {chosen.page} is no part of a file, which has every call that is found; take page away"
        )
    values = pinned(chosen, now)
    first = await listed(desk, values, BATCH, oldest_first=chosen.oldest_first)

    async def pages() -> AsyncIterator[CallPage]:
        page = first
        yield page
        while page.calls and (offset := page.offset + len(page.calls)) < min(page.total, MOST_CALLS):
            page = await listed(desk, values, BATCH, offset, oldest_first=chosen.oldest_first)
            yield page

    return pages()


def visible(leg: dict[str, Any]) -> dict[str, Any]:
    """A leg's values for JSON without what no page shows."""
    return {name: value for name, value in leg.items() if name not in HIDDEN}


def _legs(page: CallPage) -> list[dict[str, Any]]:
    return [visible(leg.to_dict()) for leg in page.calls]


def _rows(page: CallPage) -> str:
    return "".join(_row([_cell(each.get(name)) for name in COLUMNS]) for each in map(_flat, _legs(page)))


def _objects(page: CallPage) -> str:
    return ",\n".join(dumps(each) for each in _legs(page))


def _flat(leg: dict[str, Any]) -> dict[str, Any]:
    return leg | (leg["ending"] or {})


def _cell(value: Any) -> str:
    """The text of a cell. A text that a spreadsheet would take for a formula gets an apostrophe before it:
    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def _row(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv_.writer(line).writerow(cells)
    return line.getvalue()


def _file(text: AsyncIterator[str], kind: str, name: str) -> Response:
    return StreamingResponse(text, 200, {"content-disposition": f'attachment; filename="{name}"'}, kind)
