"""The page Work: what waits for a hook or a redial, what was given up and why, and what becomes of redials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.console.changes import TOLD, Made, made_of
from ringback.console.desk import only, range_of
from ringback.console.letters import call_link, entry_link
from ringback.console.view import Moment, moment, shown
from ringback.privacy.redaction import redact_contact
from ringback.work.hook_runs import tries_in
from ringback.work.programme import Programme  # noqa: TC001 - msgspec reads the annotations
from ringback.work.selection import help_for

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.console.snapshot import WorkSnapshot
    from ringback.work.history import Waiting
    from ringback.work.selection import LetterGroup

PARAMETERS = frozenset({"range"}) | TOLD

GROUPS = 50
"""Groups of dead letters that the page shows, the largest."""


class WaitingRow(Struct, frozen=True):
    """``late`` is the seconds since the due time, negative before it."""

    key: str
    state: str
    due: Moment
    late: float
    tries: int
    code: int | None
    subcode: int | None
    cause: str | None
    contact: str | None
    target: str | None
    number: int
    link: str
    entry: str | None


class GroupRow(Struct, frozen=True):
    """Dead letters with equal reasons. ``key`` and ``link`` are of the newest, which is the example."""

    name: str
    reason: str
    hooks: tuple[str, ...]
    cause: str | None
    count: int
    first: Moment
    last: Moment
    help: str
    key: str
    link: str


class Waits(Struct, frozen=True):
    """How many there are, whatever the tables show."""

    dead: int
    grouped: int
    groups: int
    ready: int
    running: int
    redials: int


class WorkView(Struct, frozen=True):
    range: str
    at: Moment
    since: Moment
    counts: Waits
    hooks: tuple[WaitingRow, ...]
    redials: tuple[WaitingRow, ...]
    groups: tuple[GroupRow, ...]
    programme: Programme
    made: Made | None = None


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


def view_of(snapshot: WorkSnapshot, token: str, made: Made | None = None) -> WorkView:
    stats = snapshot.stats
    return WorkView(
        range=snapshot.range.name,
        at=moment(snapshot.at),
        since=moment(snapshot.since),
        counts=Waits(
            stats.dead, len(snapshot.letters), len(snapshot.groups), stats.ready, stats.running, stats.redials
        ),
        hooks=tuple(_waiting(item, snapshot.at, token) for item in snapshot.hooks),
        redials=tuple(_waiting(item, snapshot.at, token) for item in snapshot.redials),
        groups=tuple(_group(group, token) for group in snapshot.groups[:GROUPS]),
        programme=snapshot.programme,
        made=made,
    )


def _group(group: LetterGroup, token: str) -> GroupRow:
    reason, example = group.reason, group.example
    return GroupRow(
        name=reason.name,
        reason=reason.text,
        hooks=reason.hooks,
        cause=None if reason.cause is None else reason.cause.value,
        count=group.count,
        first=moment(group.first_at),
        last=moment(group.last_at),
        help=help_for(reason),
        key=example.key,
        link=call_link(example.key, example.outcome, token),
    )


def _waiting(item: Waiting, now: float, token: str) -> WaitingRow:
    outcome = item.outcome
    return WaitingRow(
        key=item.key,
        state=item.state.value,
        due=moment(item.due_at),
        late=now - item.due_at,
        tries=tries_in(item.progress),
        code=None if outcome is None else outcome.code,
        subcode=None if outcome is None else outcome.subcode,
        cause=None if outcome is None else outcome.cause.value,
        contact=redact_contact(item.contact),
        target=item.target,
        number=item.number,
        link=call_link(item.key, outcome, token),
        entry=entry_link(outcome),
    )
