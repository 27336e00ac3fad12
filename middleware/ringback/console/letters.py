"""Dead letters: those that an address chooses, the question before they are changed, the change, and its undo."""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import RedirectResponse

from ringback.console.access import fault
from ringback.console.choosing import (
    FILTERS,
    act_of,
    chosen_of,
    fields_of,
    first,
    handle_of,
    named,
    page_of,
    seconds,
    selection,
)
from ringback.console.desk import only, refused
from ringback.console.rows import call_address, entry_address
from ringback.console.snapshot import DEFAULT, LETTERS
from ringback.console.view import Moment, moment, shown
from ringback.exceptions import ConfigurationError, StoreError
from ringback.hooks.operators import Operator
from ringback.privacy.redaction import redact
from ringback.work.letter_groups import grouped, reason_of
from ringback.work.letters import UNDO, Act, LetterChange
from ringback.work.selection import Selection
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.console.snapshot import WorkSnapshot
    from ringback.core.outcome import Outcome
    from ringback.work.items import DeadLetter

LONGEST_FORM = 32_768
"""Bytes. A form with all the letters of a page has a third of them."""

PAGE = 50
"""Dead letters of one page."""

REASONS = 10
"""Groups that the question names before letters are changed."""

CHANGED = frozenset({"made", "count", "due", "change"})
"""The parameters by which the page Work says what was done."""

SHOWN = 60.0
"""Seconds for which the page says what was done."""

MADE = {
    "replay": ("will be replayed", "are replayed: their hooks are called as soon as a worker is free"),
    "discard": ("are discarded", "are discarded for good"),
    "undone": ("", "are as they were: the change was taken back"),
    "late": ("", "were taken back: they are back already, workers have begun with them, or the discard is final"),
    "gone": ("", "were changed: none of them is there any more"),
}
"""What the page says of so many dead letters, before and after the change is due."""


class Made(Struct, frozen=True):
    """What a person has just done to ``count`` letters. ``left``: seconds in which it can be taken back, if any."""

    act: str
    count: int
    text: str
    left: float | None
    until: Moment


class LetterRow(Struct, frozen=True):
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
    link: str
    entry: str | None


class ChosenView(Struct, frozen=True):
    """Dead letters that were chosen: how many, and one page of them. ``reason`` is that of their group, if one was
    chosen. ``groups`` has the largest groups among them, if they are to be changed, and ``more`` counts the letters of
    the others.
    """

    count: int
    page: int
    pages: int
    rows: tuple[LetterRow, ...]
    reason: str | None = None
    groups: tuple[tuple[str, int], ...] = ()
    more: int = 0


async def page(desk: Desk, request: Request) -> Response:
    """One page of the dead letters that the address chooses, the newest first."""
    only(request, frozenset({*FILTERS, "page"}))
    snapshot = await desk.reader.work(DEFAULT)
    given = dict(request.query_params)
    # The later pages are of the same letters, whatever dies meanwhile.
    chosen = selection(_until(snapshot) | given)
    letters = await chosen_of(snapshot.letters, chosen)
    number = page_of(given.get("page", "1"))
    rows = letters[(number - 1) * PAGE : number * PAGE]
    token = desk.token(request)
    return desk.answer(
        request,
        "letters.html",
        view=shown(_view(letters, rows, chosen, number, token)),
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
    form: Mapping[str, Sequence[str]] = {name: [text] for name, text in request.query_params.items()}
    token = desk.token(request)
    if request.method == "POST":
        read = await _sent(desk, request)
        if not isinstance(read, dict):
            return read
        form = read
    act = act_of(form)
    snapshot = await desk.reader.work(DEFAULT)
    handles = form.get("letter", ())
    if handles:
        chosen, letters = Selection(), named(snapshot.letters, handles, token)
    elif request.method == "POST":
        raise ConfigurationError("no letter was chosen; go back, and mark those to change")
    else:
        chosen = selection(_until(snapshot) | {name: texts[0] for name, texts in form.items() if name != "act"})
        letters = await chosen_of(snapshot.letters, chosen)
    groups = await asyncio.to_thread(grouped, letters)
    largest = tuple((group.reason.text, group.count) for group in groups[:REASONS])
    view = replace(
        _view(letters, letters[:PAGE] if handles else (), chosen, 1, token),
        groups=largest,
        more=len(letters) - sum(count for _, count in largest),
    )
    return desk.answer(
        request, "confirm.html", view=shown(view), act=act.value, handles=handles, fields=fields_of(chosen)
    )


async def change(desk: Desk, request: Request) -> Response:
    """Replay or discard the letters of a form, from ten seconds on; until then the change can be taken back."""
    form = await _sent(desk, request)
    if not isinstance(form, dict):
        return form
    made = LetterChange(act_of(form), desk.clock() + UNDO, desk.access.new_token()[:16])
    chosen = selection({name: form[name][0] for name in FILTERS if name in form})
    handles, count = form.get("letter", ()), 0
    try:
        for store in await desk.reader.opened():
            dead = await store.dead(LETTERS)
            if handles:
                letters, words = named(dead, handles, desk.token(request)), f"{len(handles)} of one page"
            else:
                letters, words = await chosen_of(dead, chosen), chosen.words()
            # The oldest first, as the items came.
            keys = [letter.key for letter in reversed(letters)]
            count += await Operator(store, _user(request)).change_dead(made, keys, words)
    except StoreError as error:
        return refused(503, f"{count} dead letters were changed, and then the store failed: {redact(str(error))}")
    finally:
        desk.reader.shared.forget()
    return _told(made.act.value if count else "gone", count, made)


async def undo(desk: Desk, request: Request) -> Response:
    """Take the change of a form back, with whose letters no worker has begun."""
    form = await _sent(desk, request)
    if not isinstance(form, dict):
        return form
    due, name = seconds("due", first(form, "due")), first(form, "change")
    made, count = LetterChange(act_of(form), due, name), 0
    try:
        for store in await desk.reader.opened():
            count += await Operator(store, _user(request)).take_back(made)
    except StoreError as error:
        return refused(503, f"{count} dead letters were taken back, and then the store failed: {redact(str(error))}")
    finally:
        desk.reader.shared.forget()
    return _told("undone" if count else "late", count)


def call_link(key: str, outcome: Outcome | None, token: str) -> str:
    """The address of the call of an item."""
    ids = (None, None) if outcome is None else (outcome.call_connection_id, outcome.correlation_id)
    return call_address(next((each for each in ids if each), key), token)


def entry_link(outcome: Outcome | None) -> str | None:
    """The address of what the catalog knows of a result."""
    return None if outcome is None else entry_address(outcome.event_name, outcome.code, outcome.subcode)


def made_of(request: Request, now: float) -> Made | None:
    """What the address says was done. Whatever it says, only the store knows what can be taken back."""
    given = request.query_params
    act, count = given.get("made", ""), given.get("count", "0")
    if act not in MADE or re.fullmatch("[0-9]{1,7}", count) is None or _NAME.fullmatch(given.get("change", "")) is None:
        return None
    due = seconds("due", given.get("due", repr(now)))
    if not now - SHOWN < due <= now + UNDO:
        return None
    left = due - now if act in tuple(Act) and due > now else None
    text = MADE[act][0 if left is not None else 1]
    return Made(act, int(count), text, left, moment(due))


def _until(snapshot: WorkSnapshot) -> dict[str, str]:
    """The parameter that chooses what had died when the snapshot was read, by whatever clock."""
    return {"until": repr(max((letter.died_at for letter in snapshot.letters), default=snapshot.at))}


def _told(made: str, count: int, change: LetterChange | None = None) -> Response:
    what = {"made": made, "count": str(count)}
    if change is not None and count:
        what |= {"due": repr(change.due_at), "change": str(change.name)}
    return RedirectResponse(f"../work?{urlencode(what)}#made", 303)


async def _sent(desk: Desk, request: Request) -> dict[str, list[str]] | Response:
    """The fields of a form of ours; why it is refused, if it is none or the person may change nothing."""
    if not await desk.access.may_change(request):
        return refused(403, "this page is read-only for you")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return refused(413, f"the form is longer than {LONGEST_FORM} bytes")
    form = parse_qs(body.decode("latin-1"), keep_blank_values=True)
    wrong = fault(request, desk.access.token(request), first(form, "token"))
    return form if wrong is None else refused(403, wrong)


def _user(request: Request) -> str | None:
    user: str | None = request.state.ringback_user
    return user


def _view(
    letters: Sequence[DeadLetter], rows: Sequence[DeadLetter], chosen: Selection, number: int, token: str
) -> ChosenView:
    pages = max(1, math.ceil(len(letters) / PAGE))
    reason = reason_of(letters[0]).text if letters and chosen.group is not None else None
    return ChosenView(len(letters), number, pages, tuple(_row(letter, token) for letter in rows), reason)


def _row(letter: DeadLetter, token: str) -> LetterRow:
    outcome = letter.outcome
    return LetterRow(
        key=letter.key,
        kind=letter.kind.value,
        code=None if outcome is None else outcome.code,
        subcode=None if outcome is None else outcome.subcode,
        cause=None if outcome is None else outcome.cause.value,
        attempts=letter.attempts,
        died=moment(letter.died_at),
        reason=letter.reason,
        failed=tuple(f"{hook}: {reason}" for hook, reason in letter.progress.failed.items()),
        done=letter.progress.done,
        target=letter.target,
        link=call_link(letter.key, outcome, token),
        entry=entry_link(outcome),
    )


_NAME = re.compile("[A-Za-z0-9_-]{0,43}")
