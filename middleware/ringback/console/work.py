"""The page Work: what waits for a hook or a redial, what was given up and why, and what becomes of redials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.console.changes import TOLD, made_of
from ringback.console.desk import only, range_of
from ringback.console.rows import row_of_item
from ringback.console.view import shown
from ringback.privacy.redaction import redact_contact
from ringback.work.selection import help_for

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.changes import Made
    from ringback.console.desk import Desk
    from ringback.console.snapshot import WorkSnapshot
    from ringback.work.history import Waiting
    from ringback.work.selection import LetterGroup

PARAMETERS = frozenset({"range"}) | TOLD

GROUPS = 50
"""Groups of dead letters that the page shows, the largest."""


async def page(desk: Desk, request: Request) -> Response:
    """What waits now; the programme of the range that the address names."""
    only(request, PARAMETERS)
    made = made_of(request, desk.clock())
    snapshot = await desk.reader.work(range_of(request))
    changes = await desk.access.may_change(request)
    # Numbers that redaction would take for those of a telephone.
    undo = {name: request.query_params.get(name, "") for name in ("due", "change")}
    view = shown(view_of(snapshot, desk.token(request), made))
    return desk.answer(request, "work.html", view=view, changes=changes, undo=undo, idle=desk.idle())


def view_of(snapshot: WorkSnapshot, token: str, made: Made | None = None) -> dict[str, Any]:
    return {
        "range": snapshot.range.name,
        "at": snapshot.at,
        "since": snapshot.since,
        "stats": snapshot.stats,
        "grouped": len(snapshot.letters),
        "hooks": [_waiting(item, snapshot.at, token) for item in snapshot.hooks],
        "redials": [_waiting(item, snapshot.at, token) for item in snapshot.redials],
        "groups": [_group(group, token) for group in snapshot.groups[:GROUPS]],
        "all_groups": len(snapshot.groups),
        "programme": snapshot.programme,
        "made": made,
    }


def _group(group: LetterGroup, token: str) -> dict[str, Any]:
    """Dead letters with equal reasons. The newest of them is the example."""
    reason = group.reason
    return row_of_item(group.example, token) | {
        "name": reason.name,
        "reason": reason.text,
        "hooks": reason.hooks,
        "cause": reason.cause,
        "count": group.count,
        "first": group.first_at,
        "last": group.last_at,
        "help": help_for(reason),
    }


def _waiting(item: Waiting, now: float, token: str) -> dict[str, Any]:
    """``late`` is the seconds since the due time, negative before it."""
    return row_of_item(item, token) | {
        "state": item.state,
        "due": item.due_at,
        "late": now - item.due_at,
        "contact": redact_contact(item.contact),
        "number": item.number,
    }
