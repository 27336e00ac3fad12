"""The page Work: what waits for a hook or a redial, what was given up, and what becomes of redials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import RedirectResponse

from ringback import logs
from ringback.console.access import fault, handle
from ringback.console.desk import LONGEST_FORM, form_of, only, range_of, refused
from ringback.console.snapshot import DEFAULT, RANGES, WorkSnapshot
from ringback.console.view import Moment, moment, shown
from ringback.exceptions import StoreError
from ringback.privacy.redaction import redact, redact_contact
from ringback.work.programme import Programme  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.core.outcome import Outcome
    from ringback.work.history import Waiting
    from ringback.work.items import DeadLetter

PARAMETERS = frozenset({"range", "told"})

TOLD = {
    "replayed": "Replayed: its hooks are called again as soon as a worker is free.",
    "discarded": "Discarded: it will not be worked on again.",
    "gone": "Nothing changed: that dead letter is gone. Somebody else may have replayed or discarded it.",
}
"""The page's sentence after a form, by ``told`` in the page's URL."""


class WaitingRow(Struct, frozen=True):
    """``late`` is the seconds since the due time, negative before it."""

    key: str
    state: str
    due: Moment
    late: float
    attempts: int
    code: int | None
    subcode: int | None
    cause: str | None
    contact: str | None
    target: str | None
    number: int


class DeadRow(Struct, frozen=True):
    key: str
    kind: str
    code: int | None
    subcode: int | None
    cause: str | None
    attempts: int
    died: Moment
    reason: str
    failed: tuple[str, ...]
    done: tuple[str, ...]
    target: str | None


class WorkView(Struct, frozen=True):
    range: str
    at: Moment
    since: Moment
    counts: Waits
    hooks: tuple[WaitingRow, ...]
    redials: tuple[WaitingRow, ...]
    dead: tuple[DeadRow, ...]
    programme: Programme


class Waits(Struct, frozen=True):
    """How many there are, whatever the tables show."""

    dead: int
    redials: int


async def page(desk: Desk, request: Request) -> Response:
    """What waits now; the programme of the range that the address names."""
    only(request, PARAMETERS)
    snapshot = await desk.reader.work(range_of(request))
    changes, token = await desk.access.may_change(request), desk.token(request)
    return desk.answer(
        request,
        "work.html",
        view=shown(view_of(snapshot)),
        handles=[_handle(letter.key, token) for letter in snapshot.dead],
        changes=changes,
        told=TOLD.get(request.query_params.get("told", "")),
    )


async def change(desk: Desk, request: Request) -> Response:
    """Replay or discard the dead letter of a form."""
    if not await desk.access.may_change(request):
        return refused(403, "this page is read-only for you")
    form = await form_of(request)
    if form is None:
        return refused(413, f"the form is longer than {LONGEST_FORM} bytes")
    token = desk.access.token(request)
    wrong = fault(request, token, form.get("token", ""))
    if token is None or wrong is not None:
        return refused(403, str(wrong))
    changes: dict[str, tuple[Callable[[str], Awaitable[bool]], str, Callable[[str, str | None], None]]] = {
        "replay": (desk.reader.replay, "replayed", logs.dead_letter_replayed),
        "discard": (desk.reader.discard, "discarded", logs.dead_letter_discarded),
    }
    if form.get("action", "") not in changes:
        return refused(400, f"the form's action is none of {', '.join(changes)}")
    apply, done, tell = changes[form["action"]]
    try:
        key = await _key(desk, form.get("letter", ""), token)
        outcome = "gone"
        if key is not None and await apply(key):
            outcome = done
            tell(key, request.state.ringback_user)
    except StoreError as error:
        return refused(503, f"nothing is known to have changed: {redact(str(error))}")
    chosen = RANGES.get(form.get("range", ""), DEFAULT)
    return RedirectResponse(f"work?range={chosen.name}&told={outcome}#dead-letters", 303)


def view_of(snapshot: WorkSnapshot) -> WorkView:
    return WorkView(
        range=snapshot.range.name,
        at=moment(snapshot.at),
        since=moment(snapshot.since),
        counts=Waits(snapshot.stats.dead, snapshot.stats.redials),
        hooks=tuple(_waiting(item, snapshot.at) for item in snapshot.hooks),
        redials=tuple(_waiting(item, snapshot.at) for item in snapshot.redials),
        dead=tuple(map(_dead, snapshot.dead)),
        programme=snapshot.programme,
    )


def _waiting(item: Waiting, now: float) -> WaitingRow:
    code, subcode, cause = _result(item.outcome)
    return WaitingRow(
        key=item.key,
        state=item.state.value,
        due=moment(item.due_at),
        late=now - item.due_at,
        attempts=item.attempts,
        code=code,
        subcode=subcode,
        cause=cause,
        contact=redact_contact(item.contact),
        target=item.target,
        number=item.number,
    )


def _dead(letter: DeadLetter) -> DeadRow:
    code, subcode, cause = _result(letter.outcome)
    return DeadRow(
        key=letter.key,
        kind=letter.kind.value,
        code=code,
        subcode=subcode,
        cause=cause,
        attempts=letter.attempts,
        died=moment(letter.died_at),
        reason=letter.reason,
        failed=tuple(f"{hook}: {reason}" for hook, reason in letter.progress.failed.items()),
        done=letter.progress.done,
        target=letter.target,
    )


def _result(outcome: Outcome | None) -> tuple[int | None, int | None, str | None]:
    return (None, None, None) if outcome is None else (outcome.code, outcome.subcode, outcome.cause.value)


def _handle(key: str, token: str) -> str:
    """The form's name for a dead letter: the letter's key, or a stand-in for a private key."""
    return key if redact(key) == key and not key.startswith("~") else handle(key, token)


async def _key(desk: Desk, given: str, token: str) -> str | None:
    if not given.startswith("~"):
        return given
    return await desk.reader.letter(lambda key: handle(key, token) == given)
