"""Which calls an address chooses, read from its parameters and written into one. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from msgspec import Struct

from ringback.core.delivery import BIGGEST
from ringback.core.times import span_in
from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact
from ringback_catalog import Cause, Disposition, Owner, ResultCategory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from enum import StrEnum

MOST_PAGES = 10_000
"""The last page that an address can name; a time says better what is so far away."""

LONGEST = 300
"""Characters of a value, as it was typed: a stand-in for it in an address is longer."""


class Field(Struct, frozen=True):
    """A filter: its name in the address, its title in the form, the words it takes, and an example where it takes any.

    ``private``: the value may name a person, so the form never writes it into an address as it is.
    """

    name: str
    title: str
    words: tuple[str, ...] = ()
    example: str = ""
    private: bool = False


_YES = ("yes", "no")


def _words(kind: type[StrEnum]) -> tuple[str, ...]:
    return tuple(each.value for each in kind)


FIELDS = (
    Field("search", "Any id of a call", example="of a leg, a call, an event, or your operation context", private=True),
    Field("cause", "Cause", tuple(sorted(_words(Cause)))),
    Field("code", "Code", example="486, 486/560486 or none"),
    Field("subcode", "Subcode", example="560486 or none"),
    Field("event", "Event", example="CreateCallFailed"),
    Field("intended", "Ended as intended", _YES),
    Field("disposition", "Disposition", _words(Disposition)),
    Field("category", "Category", _words(ResultCategory)),
    Field("owner", "Who acts", _words(Owner)),
    Field("recognized", "In the catalog", _YES),
    Field("since", "Since", example="2h, 3d or 2026-01-15 09:30"),
    Field("until", "Before", example="2h, 3d or 2026-01-15 09:30"),
    Field("contact", "Contact", example="as your contact function returns it", private=True),
)
"""The filters in the order of the form."""

PRIVATE = frozenset(field.name for field in FIELDS if field.private)

ORDERS = ("newest", "oldest")

_BY_NAME = {field.name: field for field in FIELDS}
NAMES = (*_BY_NAME, "order", "page")
"""The parameters that an address of calls may have."""


class Chosen(Struct, frozen=True):
    """What an address chooses. ``given`` has its texts by name, ``values`` what
    :meth:`~ringback.hooks.call_records.CallRecords.list` takes, and ``faults`` a sentence for each that is wrong.
    """

    given: dict[str, str]
    values: dict[str, Any]
    faults: tuple[str, ...] = ()
    oldest_first: bool = False
    page: int = 1


def chosen(parameters: Iterable[tuple[str, str]], now: float, opened: Callable[[str], str | None]) -> Chosen:
    """Read the parameters of an address, with ``now`` in seconds since 1970. ``opened`` reads a stand-in."""
    given: dict[str, str] = {}
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, text in parameters:
        if name not in NAMES:
            faults.append(f"{redact(name)!r} is no filter; there are {', '.join(NAMES)}")
        elif name in given:
            faults.append(f"{name} is given twice; give it once")
        elif text.strip():
            given[name] = text.strip()
            try:
                read = _read(name, given[name], now, opened)
                faults += [f"{each} is given twice; give it once" for each in read.keys() & values.keys()]
                values |= read
            except ValueError as error:
                faults.append(str(error))
    if values.get("since", 0.0) > values.get("until", now + BIGGEST):
        faults.append("since is later than until; there is no time between them")
    page, order = values.pop("page", 1), values.pop("order", ORDERS[0])
    return Chosen(given, values, tuple(faults), order == "oldest", page)


def pinned(chosen: Chosen, now: float) -> dict[str, Any]:
    """The values, with ``until`` at this second if the address has none: calls that end while somebody turns the pages
    or reads a file would move the others.
    """
    return {"until": float(math.floor(now))} | chosen.values


def address(conditions: Mapping[str, object]) -> str:
    """The address of the calls that meet these conditions, from the console's root. ``None`` is no condition, and a
    time in seconds since 1970 is written in UTC.
    """
    texts = [(name, _written(conditions[name])) for name in NAMES if conditions.get(name) is not None]
    return f"calls?{urlencode(texts, safe=':/')}" if texts else "calls"


def stamp(at: float) -> str:
    """The second in UTC, as addresses have it."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return stamp(value) if isinstance(value, float) else str(value)


def _read(name: str, text: str, now: float, opened: Callable[[str], str | None]) -> dict[str, Any]:
    text = _typed(name, text, opened)
    if name in _READERS:
        return _READERS[name](name, text, now)
    field = _BY_NAME.get(name)
    if field is None or field.words:
        words = ORDERS if field is None else field.words
        if text not in words:
            raise ValueError(f"{name} {redact(text)!r} is none; there are {', '.join(words)}")
        return {name: text == "yes" if words is _YES else text}
    return {name: text}


def _typed(name: str, text: str, opened: Callable[[str], str | None]) -> str:
    """What somebody typed, of a text in an address."""
    typed = opened(text)
    if typed is None:
        raise ValueError(f"{name} is a stand-in that only the browser it was made for can use; type the {name} again")
    return fitting(name, typed)


def fitting(name: str, text: str) -> str:
    """The text. Raises :class:`ConfigurationError` for more than :data:`LONGEST` characters."""
    if len(text) > LONGEST:
        raise ConfigurationError(f"{name} has {len(text)} characters; give {LONGEST} at most")
    return text


def _code(name: str, text: str, _: float) -> dict[str, Any]:
    code, slash, subcode = text.partition("/") if name == "code" else (text, "", "")
    read = {name: _number(name, code)}
    return read | {"subcode": _number("subcode", subcode)} if slash else read


def _number(name: str, text: str) -> Any:
    if text == "none":
        return text
    if re.fullmatch("-?[0-9]{1,10}", text) is None or abs(int(text)) > BIGGEST:
        raise ValueError(f"{name} {redact(text)!r} is no number of a result; write for example 486, 486/560486 or none")
    return int(text)


def _time(name: str, text: str, now: float) -> dict[str, Any]:
    if (span := span_in(text)) is not None:
        return {name: max(0.0, now - span)}
    try:
        read = datetime.fromisoformat(text)
        # To UTC first: the last day of the calendar, in a zone behind UTC, is no time that an address can have.
        at = (read.astimezone(UTC) if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
        return {name: max(0.0, at)}
    except (ValueError, OverflowError):
        raise ValueError(
            f"{name} {redact(text)!r} is no time; write for example 2026-01-15 09:30, which is in UTC, or 2h, or 3d"
        ) from None


def _page(name: str, text: str, _: float) -> dict[str, Any]:
    if re.fullmatch("[0-9]{1,5}", text) is None or not 1 <= int(text) <= MOST_PAGES:
        raise ValueError(f"page {redact(text)!r} is none; give a number from 1 to {MOST_PAGES}")
    return {name: int(text)}


_READERS = {"code": _code, "subcode": _code, "since": _time, "until": _time, "page": _page}
