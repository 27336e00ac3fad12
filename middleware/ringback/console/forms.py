"""Forms that a browser sends: read in one place, and refused if they are not the page's own."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from ringback.console.access import fault
from ringback.console.desk import refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk

LONGEST_FORM = 32_768
"""Bytes. A form with all the letters of a page has a third of them."""


def first(form: Mapping[str, Sequence[str]], name: str) -> str:
    """The first text of a field; an empty one for a field that the form has not."""
    return form[name][0] if name in form else ""


async def form_of(request: Request) -> dict[str, list[str]] | Response:
    """The fields of a form; the refusal of one that is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return refused(413, f"the form is longer than {LONGEST_FORM} bytes")
    return parse_qs(body.decode("latin-1"), keep_blank_values=True)


async def form_to_change(desk: Desk, request: Request) -> dict[str, list[str]] | Response:
    """The fields of a form of ours; why it is refused, if it is none or the person may change nothing."""
    if not await desk.access.may_change(request):
        return refused(403, "this page is read-only for you")
    form = await form_of(request)
    if not isinstance(form, dict):
        return form
    wrong = fault(request, desk.access.token(request), first(form, "token"))
    return form if wrong is None else refused(403, wrong)
