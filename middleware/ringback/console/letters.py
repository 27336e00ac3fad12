"""Dead letters: those that an address chooses, and the question before they are changed."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ringback.console.changes import FILTERS, LENGTH, act_of, chosen_of, fields_of, handle_of, page_of, selection
from ringback.console.desk import first, form_to_change, only, refused
from ringback.console.rows import row_of_item
from ringback.console.snapshot import DEFAULT
from ringback.console.view import shown
from ringback.exceptions import ConfigurationError
from ringback.work.hook_runs import returned_in
from ringback.work.selection import grouped, reason_of
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.console.snapshot import WorkSnapshot
    from ringback.work.items import DeadLetter
    from ringback.work.selection import Selection

PAGE = 50
"""Dead letters of one page."""

REASONS = 10
"""Groups that the question names before letters are changed."""


async def page(desk: Desk, request: Request) -> Response:
    """One page of the dead letters that the address chooses, the newest first."""
    only(request, frozenset({*FILTERS, "page"}))
    snapshot = await desk.reader.work(DEFAULT)
    given, token = dict(request.query_params), desk.token(request)
    # The later pages are of the same letters, whatever dies meanwhile.
    chosen = selection(_until(snapshot) | given)
    letters = await chosen_of(snapshot.letters, chosen, (), token)
    number = page_of(given.get("page", "1"))
    rows = letters[(number - 1) * PAGE : number * PAGE]
    return desk.answer(
        request,
        "letters.html",
        view=shown(_view(snapshot, letters, rows, chosen, number, token)),
        query=urlencode(fields_of(chosen)),
        handles=[handle_of(letter.key, token) for letter in rows],
        changes=await desk.access.may_change(request),
        filters=given,
        causes=sorted(Cause),
    )


async def confirm(desk: Desk, request: Request) -> Response:
    """Ask whether the letters are to be changed: those of a filter in the address, or those of a form."""
    if not await desk.access.may_change(request):
        return refused(403, "this page is read-only for you")
    snapshot = await desk.reader.work(DEFAULT)
    token, handles = desk.token(request), list[str]()
    if request.method == "POST":
        form = await form_to_change(desk, request)
        if not isinstance(form, dict):
            return form
        act, handles = act_of(first(form, "act")), form.get("letter", [])
        if not handles:
            raise ConfigurationError("no letter was chosen; go back, and mark those to change")
        chosen = selection(_until(snapshot))
    else:
        only(request, frozenset({*FILTERS, "act"}))
        given = dict(request.query_params)
        act, chosen = act_of(given.pop("act", "")), selection(_until(snapshot) | given)
    letters = await chosen_of(snapshot.letters, chosen, handles, token)
    groups = await asyncio.to_thread(grouped, letters)
    largest = tuple((group.reason.text, group.count) for group in groups[:REASONS])
    view = _view(snapshot, letters, letters[:PAGE] if handles else (), chosen, 1, token)
    view |= {"groups": largest, "more": len(letters) - sum(count for _, count in largest)}
    fields = fields_of(chosen) | {"of": str(len(letters)), "change": desk.access.new_token()[:LENGTH]}
    return desk.answer(request, "confirm.html", view=shown(view), act=act.value, handles=handles, fields=fields)


def _until(snapshot: WorkSnapshot) -> dict[str, str]:
    """The parameter that chooses what had died when the snapshot was read, by whatever clock."""
    return {"until": repr(max((letter.died_at for letter in snapshot.letters), default=snapshot.at))}


def _view(
    snapshot: WorkSnapshot,
    letters: Sequence[DeadLetter],
    rows: Sequence[DeadLetter],
    chosen: Selection,
    number: int,
    token: str,
) -> dict[str, Any]:
    """Dead letters that were chosen among the newest ones, and the rows of one page of them."""
    return {
        "count": len(letters),
        "among": len(snapshot.letters),
        "dead": snapshot.stats.dead,
        "page": number,
        "pages": max(1, math.ceil(len(letters) / PAGE)),
        "rows": [_row(letter, token) for letter in rows],
        "reason": reason_of(letters[0]).text if letters and chosen.group is not None else None,
    }


def _row(letter: DeadLetter, token: str) -> dict[str, Any]:
    return row_of_item(letter, token) | {
        "kind": letter.kind,
        "died": letter.died_at,
        "reason": letter.reason,
        "failed": [f"{hook}: {reason}" for hook, reason in letter.progress.failed.items()],
        "done": returned_in(letter.progress),
    }
