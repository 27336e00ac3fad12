"""A person's answer to the question about dead letters: the change, its undo, and what the page Work says of both."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from msgspec import Struct
from starlette.responses import RedirectResponse

from ringback.console.choosing import FILTERS, act_of, chosen_of, seconds, selection
from ringback.console.desk import first, form_to_change, refused
from ringback.console.snapshot import LETTERS
from ringback.exceptions import ConfigurationError, StoreError
from ringback.hooks.operators import Operator
from ringback.privacy.redaction import redact
from ringback.work.letters import UNDO, Act, LetterChange

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk

LENGTH = 16
"""Characters of the name that a question has, and the change that answers it. A form that is sent twice is so known."""

TOLD = frozenset({"made", "count", "of", "due", "change"})
"""The parameters by which the page Work says what was done."""

SHOWN = 60.0
"""Seconds for which the page says what was done."""

_DONE = {
    "replay": ("will be replayed", "{} replayed: hooks are called as soon as a worker is free"),
    "discard": ("{} discarded", "{} discarded for good"),
    "undone": ("", "{} as before: the change was taken back"),
    "late": ("", "could be taken back"),
    "gone": ("", "could be changed"),
}
"""What the page says of so many dead letters, before and after the change is due. ``{}``: is, or are."""

_NOTHING = ("late", "gone")
_OTHERS = {
    "replay": "{} had been changed by somebody else, or cannot be read",
    "discard": "{} had been changed by somebody else, or cannot be read",
    "undone": "it was too late for {}: workers had begun with them, or their discard was final",
    "late": "it was too late: workers have begun with them, or the discard is final",
    "gone": "this question was answered before, or somebody else has changed them",
}
"""What the page says of those for which that is not so."""


class Made(Struct, frozen=True):
    """What a person has just done to ``count`` of ``of`` letters. ``left``: seconds in which it can be taken back, if
    any; ``others`` says what became of the rest.
    """

    act: str
    count: int
    of: int
    text: str
    others: str | None
    left: float | None
    until: float


async def change(desk: Desk, request: Request) -> Response:
    """Replay or discard the letters of a form, from ten seconds on; until then the change can be taken back."""
    form = await form_to_change(desk, request)
    if not isinstance(form, dict):
        return form
    name, of, due = first(form, "change"), _number(first(form, "of")), desk.clock() + UNDO
    if re.fullmatch(f"[A-Za-z0-9_-]{{{LENGTH}}}", name) is None:
        raise ConfigurationError(f"change {name!r} is no name of a question; load the page again, and answer anew")
    made = LetterChange(act_of(first(form, "act")), due, name)
    chosen = selection({name: form[name][0] for name in FILTERS if name in form})
    handles, token, count = form.get("letter", ()), desk.token(request), 0
    words = f"{len(handles)} of one page" if handles else chosen.words()
    try:
        for store in await desk.reader.opened():
            letters = await chosen_of(await store.dead(LETTERS), chosen, handles, token)
            # The oldest first, as the items came.
            keys = [letter.key for letter in reversed(letters)]
            took = await Operator(store, _user(request)).change_dead(made, keys, words)
            # A form that is sent twice has one answer, whichever process got it. Workers may have begun with some.
            standing = await store.standing(made)
            count += max(took, standing.waiting)
            due = min(due, standing.due_at or due)
    except StoreError as error:
        return refused(503, f"{count} dead letters were changed, and then the store failed: {redact(str(error))}")
    finally:
        desk.reader.shared.forget()
    return _told(made.act.value if count else "gone", count, of, due, name)


async def undo(desk: Desk, request: Request) -> Response:
    """Take the change of a form back, with whose letters no worker has begun."""
    form = await form_to_change(desk, request)
    if not isinstance(form, dict):
        return form
    due, name, of = seconds("due", first(form, "due")), first(form, "change"), _number(first(form, "of"))
    made, count = LetterChange(act_of(first(form, "act")), due, name), 0
    try:
        for store in await desk.reader.opened():
            took = await Operator(store, _user(request)).take_back(made)
            count += max(took, (await store.standing(made)).back)
    except StoreError as error:
        return refused(503, f"{count} dead letters were taken back, and then the store failed: {redact(str(error))}")
    finally:
        desk.reader.shared.forget()
    return _told("undone" if count else "late", count, of, desk.clock(), "")


def made_of(request: Request, now: float) -> Made | None:
    """What the address says was done. Whatever it says, only the store knows what can be taken back."""
    given = request.query_params
    act, count, of = given.get("made", ""), _number(given.get("count", "")), _number(given.get("of", ""))
    due = seconds("due", given.get("due", "0"))
    if act not in _DONE or (count == 0) != (act in _NOTHING) or not now - SHOWN < due <= now + UNDO:
        return None
    left = due - now if act in tuple(Act) and due > now else None
    text = _DONE[act][0 if left is not None else 1].format("is" if count == 1 else "are")
    others = None if 0 < count >= of else _OTHERS[act].format(f"{of - count:,}")
    return Made(act, count, max(of, count), text, others, left, due)


def _number(text: str) -> int:
    """How many letters a form or an address says; 0 for what is no such number."""
    return int(text) if re.fullmatch("[0-9]{1,7}", text) else 0


def _told(made: str, count: int, of: int, due: float, name: str) -> Response:
    what = {"made": made, "count": count, "of": of, "due": repr(due), "change": name}
    return RedirectResponse(f"../work?{urlencode(what)}#made", 303)


def _user(request: Request) -> str | None:
    user: str | None = request.state.ringback_user
    return user
