"""Which dead letters a person has chosen, and the change of them: its undo, and what the page Work says of both."""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from msgspec import Struct
from starlette.responses import RedirectResponse

from ringback.console.desk import first, form_to_change, refused
from ringback.console.filters import fitting
from ringback.console.reading import LETTERS
from ringback.console.sealed import MARK, seal, unseal
from ringback.core.times import END_OF_TIME
from ringback.exceptions import ConfigurationError, StoreError
from ringback.hooks.operators import Operator
from ringback.privacy.redaction import redact
from ringback.work.letters import UNDO, Act, LetterChange
from ringback.work.selection import Selection
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.work.items import DeadLetter

FILTERS = ("group", "cause", "code", "hook", "until")
"""The parameters that choose dead letters."""

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


def act_of(text: str) -> Act:
    try:
        return Act(text)
    except ValueError:
        raise ConfigurationError(f"act is none of {', '.join(Act)}; use the buttons of the page") from None


def selection(given: Mapping[str, str]) -> Selection:
    """What the parameters choose, all together. Raises :class:`ConfigurationError` for a value that cannot be."""
    code, subcode = _code(given.get("code", ""))
    cause, group = given.get("cause", ""), given.get("group", "")
    if cause and cause not in tuple(Cause):
        raise ConfigurationError(f"cause {cause!r} is none; there are {', '.join(sorted(Cause))}")
    if group and re.fullmatch("[0-9a-f]{16}", group) is None:
        raise ConfigurationError(f"group {group!r} is none; follow a link of the page Work")
    hook = fitting("hook", given.get("hook", "").strip())
    return Selection(
        cause=Cause(cause) if cause else None,
        code=code,
        subcode=subcode,
        hook=hook or None,
        group=group or None,
        until=seconds("until", given["until"]) if given.get("until") else None,
    )


def _code(text: str) -> tuple[int | None, int | None]:
    found = re.fullmatch(r"\s*([0-9]{1,6})(?:[/#]([0-9]{1,9}))?\s*", text)
    if found is None and text.strip():
        raise ConfigurationError(f"code {text!r} is none; write for example 486, or 486/560486")
    return (None, None) if found is None else (int(found[1]), None if found[2] is None else int(found[2]))


def seconds(name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < END_OF_TIME:
        raise ConfigurationError(f"{name} {text!r} is no time in seconds since 1970; use the links of the page")
    return found


def page_of(text: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,4}", text) is None:
        raise ConfigurationError(f"page {text!r} is none; pages are numbered from 1")
    return int(text)


async def chosen_of(
    letters: Sequence[DeadLetter], chosen: Selection, handles: Sequence[str], token: str
) -> Sequence[DeadLetter]:
    """The letters that are chosen; with handles, those among them that a form names."""
    named = {unseal(each, token) for each in handles}
    some = [letter for letter in letters if letter.key in named] if handles else letters
    # In a thread, because reasons are compared, and there may be thousands.
    return await asyncio.to_thread(lambda: [letter for letter in some if chosen.has_letter(letter)])


def handle_of(key: str, token: str) -> str:
    """The form's name for a dead letter: the letter's key, or a stand-in for a private key."""
    return key if redact(key) == key and not key.startswith(MARK) else seal(key, token)


def fields_of(chosen: Selection) -> dict[str, str]:
    """The parameters that choose the same."""
    code = None if chosen.code is None else "/".join(str(n) for n in (chosen.code, chosen.subcode) if n is not None)
    until = None if chosen.until is None else repr(chosen.until)
    values = {"group": chosen.group, "cause": chosen.cause, "code": code, "hook": chosen.hook, "until": until}
    return {name: str(value) for name, value in values.items() if value is not None}
