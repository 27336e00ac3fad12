"""The fields of a block in TOML as values, with an error message that explains a bad field."""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ringback_catalog._again import RetryAction, RetryAfter
from ringback_catalog._codes import Codes
from ringback_catalog._words import CategoryBasis, Cause, Confidence, Owner, ResultCategory, RetryClass
from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringback_catalog._sources import Source

E_ = TypeVar("E_", bound=StrEnum)

_CODES = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


def did_you_mean(value: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(value), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def integer(value: object, where: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise CatalogError(f"{where}: {value!r} is not a whole number; write it without quotes, such as 486")


def code_range(value: object, where: str) -> Codes:
    found = _CODES.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise CatalogError(f"{where}: {value!r} is not a code or a range such as '400-499'")
    low, high = int(found[1]), int(found[2] or found[1])
    if low > high:
        raise CatalogError(f"{where}: {value!r} runs backwards; write '{high}-{low}'")
    return Codes(low, high)


def enum_of(kind: type[E_]) -> Any:
    def convert(value: Any, where: str) -> E_:
        try:
            return kind(value)
        except ValueError:
            known = did_you_mean(value, [member.value for member in kind])
            raise CatalogError(f"{where} {value!r} is unknown{known}") from None

    return convert


def text(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    raise CatalogError(f"{where}: {value!r} is not text; write it in quotes")


def texts(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(text, str) for text in cast("Sequence[object]", value)):
        return tuple(cast("Sequence[str]", value))
    raise CatalogError(f"{where}: {value!r} is not a list of texts such as ['one', 'two']")


def flag(value: object, where: str) -> bool:
    if isinstance(value, bool):
        return value
    raise CatalogError(f"{where}: {value!r} is neither true nor false; write one of them, without quotes")


def _causes(value: object, where: str) -> tuple[Cause, ...]:
    if isinstance(value, bool):
        raise CatalogError(f"{where}: {value!r} names no cause; list the causes that arrive under this key")
    return tuple(enum_of(Cause)(cause, where) for cause in texts(value, where))


def _wait(value: object, where: str) -> RetryAfter:
    """A wait from a number of seconds, or from ``{ seconds = 600, factor = 2.0 }``."""
    given: Any = {"seconds": value} if isinstance(value, int) else value
    parts = dict(cast("Mapping[str, Any]", given)) if isinstance(given, dict) else {}
    seconds, factor = parts.pop("seconds", None), parts.pop("factor", 1.0)
    if parts or type(seconds) is not int or type(factor) not in (int, float):
        raise CatalogError(
            f"{where}: {value!r} is no wait; write {{ seconds = 600 }} or {{ seconds = 600, factor = 2 }}"
        )
    try:
        return RetryAfter(seconds, float(factor))
    except ValueError as error:
        raise CatalogError(f"{where}: {error}") from None


def sources_in(value: object, where: str, sources: Mapping[str, Source]) -> tuple[Source, ...]:
    names = texts(value, where)
    for name in names:
        if name not in sources:
            raise CatalogError(f"{where} {name!r} is not in sources.toml{did_you_mean(name, sources)}")
    return tuple(sources[name] for name in names)


def _ranges(value: object, where: str) -> tuple[Codes, ...]:
    return tuple(code_range(codes, where) for codes in texts(value, where))


CONVERT: dict[str, Any] = {
    "cause": enum_of(Cause),
    "category": enum_of(ResultCategory),
    "basis": enum_of(CategoryBasis),
    "retry": enum_of(RetryClass),
    "retry_action": enum_of(RetryAction),
    "retry_after": _wait,
    "owner": enum_of(Owner),
    "confidence": enum_of(Confidence),
    "summary": text,
    "advice": texts,
    "note": text,
    "mixture": _causes,
    "specific": flag,
    "with_codes": _ranges,
}
"""The converter of every field but the key's and ``sources``, in the order of a block."""
