"""Which dead letters an address or a form chooses, and how both name them. Pure, but for the search in a thread."""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING

from ringback.console.filters import fitting
from ringback.console.sealed import MARK, seal, unseal
from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact
from ringback.work.letters import Act
from ringback.work.selection import Selection
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ringback.work.items import DeadLetter

FILTERS = ("group", "cause", "code", "hook", "until")
"""The parameters that choose dead letters."""


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
    if not 0 <= found < _END_OF_TIME:
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


_END_OF_TIME = 253_402_300_799.0
"""Seconds since the epoch: the end of the year 9999."""
