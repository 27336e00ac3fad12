"""The page Calls: the calls that its address chooses, with a form for the filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse

from ringback.console import export, filters
from ringback.console.desk import first, form_of, listed
from ringback.console.filters import Chosen, address, pinned
from ringback.console.rows import call_address, name_of, row_of_leg
from ringback.console.sealed import MARK, is_public, seal, unseal
from ringback.console.view import shown
from ringback.exceptions import ConfigurationError
from ringback.hooks.call_records import PAGE, CallPage
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk


async def page(desk: Desk, request: Request) -> Response:
    """The calls that the address chooses; 400 with what is wrong if a filter is."""
    now, token = desk.clock(), desk.token(request)
    chosen = filters.chosen(request.query_params.multi_items(), now, lambda text: unseal(text, token))
    faults = chosen.faults
    found = CallPage((), 0)
    if not faults:
        try:
            offset = (chosen.page - 1) * PAGE
            found = await listed(desk, pinned(chosen, now), PAGE, offset, oldest_first=chosen.oldest_first)
        except ConfigurationError as error:
            faults = (redact(str(error)),)
    return desk.answer(
        request,
        "calls.html",
        400 if faults else 200,
        view=shown(view_of(found, chosen.page, now)),
        form=form_values(chosen),
        faults=faults,
        calls=[call_address(name_of(leg), token) for leg in found.calls],
        going_on=call_address(name, token) if (name := chosen.values.get("search")) else None,
        links=links(chosen, found, now, token),
        fields=filters.FIELDS,
        most=export.MOST_CALLS,
    )


async def search(desk: Desk, request: Request) -> Response:
    """Lead to the address that the form chooses, in which stand-ins are in the place of what is private."""
    form = await form_of(request)
    if not isinstance(form, dict):
        return form
    token = desk.token(request)
    texts = {name: first(form, name).strip() for name in form if name in filters.NAMES}
    given = {name: text for name, text in texts.items() if text}
    return desk.with_token(request, RedirectResponse(address(_safe(given, token)), 303))


def _safe(values: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The values as an address may have them: stand-ins in the place of what is private, or may be."""
    return {
        name: seal(value, token)
        if isinstance(value, str)
        and not value.startswith(MARK)
        and (redact(value) != value or (name in filters.PRIVATE and not is_public(value)))
        else value
        for name, value in values.items()
    }


def view_of(found: CallPage, page: int, now: float) -> dict[str, Any]:
    return {
        "at": now,
        "rows": list(map(row_of_leg, found.calls)),
        "total": found.total,
        "first": found.offset + 1,
        "last": found.offset + len(found.calls),
        "page": page,
        "pages": max(1, -(-found.total // PAGE)),
    }


def form_values(chosen: Chosen) -> dict[str, str]:
    """What stands in the form: the texts of the address, redacted."""
    return {name: text if text.startswith(MARK) else redact(text) for name, text in chosen.given.items()}


def links(chosen: Chosen, found: CallPage, now: float, token: str) -> dict[str, str | None]:
    """The addresses of the other pages, the other order and the exports, with ``until`` pinned for all of them."""
    given = _safe(pinned(chosen, now), token)
    order = "oldest" if chosen.oldest_first else None
    last = -(-found.total // PAGE)
    export = address({**given, "order": order}).removeprefix("calls")
    page = chosen.page
    return {
        "newer": address({**given, "order": order, "page": page - 1}) if page > 1 else None,
        "older": address({**given, "order": order, "page": page + 1}) if page < min(last, filters.MOST_PAGES) else None,
        "first": address({**given, "order": order}),
        "newest": address(given) if chosen.oldest_first else None,
        "oldest": None if chosen.oldest_first else address({**given, "order": "oldest"}),
        "csv": f"calls.csv{export}",
        "json": f"calls.json{export}",
    }
