"""The forms in which people write a result: a code and a subcode in some spelling, Microsoft's own text, or JSON."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from ringback.core.events import Diagnostic, Event, EventData, Result
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BIGGEST = 2**31 - 1

_NUMBER = "([+-]?[0-9]+)"
_FORMS = (
    # The service writes this into its messages: "Busy here. DiagCode: 486#560486.@"
    re.compile(rf"DiagCode\s*:?\s*{_NUMBER}\s*#\s*{_NUMBER}", re.IGNORECASE),
    # 486/560486, 486#560486, 486:560486, 486,560486, 486 560486
    re.compile(rf"^\s*{_NUMBER}\s*[/#:,\s]\s*{_NUMBER}(?:\.@?)?\s*$"),
    # code 486 subcode 560486, code=486, subCode: 560486
    re.compile(rf"^\W*code[\s:=]*{_NUMBER}\W+sub[_-]?code[\s:=]*{_NUMBER}\W*$", re.IGNORECASE),
)

_RESULT = frozenset({"code", "subcode", "message", "phrase", "sip", "sipdetails", "q850", "q850details"})
_WRAPPERS = ("data", "resultinformation", "resultinfo")
FORMS = (
    "486 560486, 486/560486, 486#560486, 'DiagCode: 486#560486.@', "
    """'{"code": 486, "subCode": 560486}', or the body of a delivery"""
)
"""For messages: the forms that :func:`pair_in`, :func:`result_in` and the reader of standard input take."""


def pair_in(text: str) -> tuple[str, str] | None:
    """The digits of the code and of the subcode in a text, ``None`` for a text without the two."""
    found = next(filter(None, (form.search(text) for form in _FORMS)), None)
    return None if found is None else (found[1], found[2])


def status(given: str | None) -> int | tuple[int, str] | None:
    """The SIP status of an argument such as ``603``, or ``603 Network Blocked`` with the carrier's words."""
    number, _, words = (given or "").strip().partition(" ")
    sip = whole("sip", number or None)
    return sip if sip is None or not words else (sip, words.strip())


def whole(name: str, value: object) -> int | None:
    """The whole number that ``value`` is or spells, ``None`` for ``None``.

    Raises :class:`ConfigurationError`, which says ``name``, for any other value.
    """
    if value is None:
        return None
    option = f"--{name} 17 " if name in ("sip", "q850") else ""
    remedy = f"write for example: ringback explain {option}486 560486"
    text = value if isinstance(value, str) else json.dumps(value)
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        shown = repr(text[:60])
        if re.search("[/#:]", text) is not None:
            raise ConfigurationError(f"{name} {shown} is neither a whole number nor a code with its subcode; {remedy}")
        raise ConfigurationError(f"{name} {shown} is not a whole number; {remedy}")
    # The length comes first: Python refuses to read a number of thousands of digits.
    if len(text) > 12 or abs(int(text)) > _BIGGEST:
        raise ConfigurationError(f"{name} {text[:20]!r} is larger than any code, which is at most {_BIGGEST}; {remedy}")
    return int(text)


def result_in(content: object) -> Result | None:
    """The result in decoded JSON: the result itself, ``resultInformation``, or an event's ``data``.

    ``None`` for any other value, also for an object with keys that no result has. Raises
    :class:`ConfigurationError` for a result whose code is no number.
    """
    given = _folded(content)
    for name in _WRAPPERS:
        if isinstance(given.get(name), dict):
            given = _folded(given[name])
    if not given.keys() & {"code", "subcode"} or given.keys() - _RESULT:
        return None
    message = given.get("message", given.get("phrase"))
    return Result(
        whole("code", given.get("code")),
        whole("subcode", given.get("subcode")),
        message if isinstance(message, str) else None,
        _detail("sip", given.get("sipdetails", given.get("sip"))),
        _detail("q850", given.get("q850details", given.get("q850"))),
    )


def close_to(event: str, known: Iterable[str]) -> str:
    """The end of a message that names the known event closest to a misspelled event; empty if no event is close."""
    close = get_close_matches(event, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def event_of(result: Result, event: str | None = None) -> Event:
    """An event of type ``event`` that reports the result; without a type, the end of some call."""
    return Event(type=event or "", data=EventData(result_information=result))


def _detail(name: str, given: object) -> Diagnostic | None:
    if not isinstance(given, dict):
        return None if given is None else Diagnostic(whole(name, given))
    keys = _folded(cast("object", given))
    message = keys.get("message")
    return Diagnostic(whole(name, keys.get("code")), message if isinstance(message, str) else None)


def _folded(content: object) -> Mapping[str, Any]:
    """The object with its keys in one spelling: ``subCode``, ``SubCode`` and ``sub_code`` are the same key."""
    if not isinstance(content, dict):
        return {}
    return {str(key).lower().replace("_", ""): value for key, value in cast("dict[object, Any]", content).items()}
