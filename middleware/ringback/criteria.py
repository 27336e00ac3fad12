"""The criteria of ``on()``: how their values are read at registration, and what of an outcome they are compared with.

Every fault is raised as :class:`RegistrationError` with the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ringback.exceptions import RegistrationError
from ringback_catalog import (
    CALL_EVENTS,
    OPERATION_EVENTS,
    PREFIX,
    Cause,
    Disposition,
    Match,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
    event_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum

    from ringback.outcome import Outcome

Values = Collection[Any] | str | int | None
"""One value, a collection of values, or a ``range`` of codes."""

Criteria = tuple[tuple[str, Collection[Any]], ...]
"""Fields of an outcome, each with the values that are allowed. Two can be compared, which is how doubles are seen."""


def read_criteria(given: Mapping[str, Values]) -> Criteria:
    """What was asked for; a criterion that is ``None`` was not given."""
    return tuple((name, _ALLOWED[name](name, value)) for name, value in given.items() if value is not None)


def met(criteria: Criteria, outcome: Outcome) -> bool:
    """Whether the outcome meets every one."""
    return all(any(each in allowed for each in _VALUES[name](outcome)) for name, allowed in criteria)


def _many(value: Values) -> Iterable[Any]:
    if isinstance(value, range):
        return value
    return value if isinstance(value, Collection) and not isinstance(value, str) else (value,)


def _numbers(name: str, value: Values) -> Collection[int]:
    many = _many(value)
    for each in many if not isinstance(many, range) else ():
        if isinstance(each, bool) or not isinstance(each, int):
            raise RegistrationError(
                f"{name} {each!r} is not a whole number; write {name}=486 or {name}=range(400, 500)"
            )
    return _not_empty(name, many if isinstance(many, range) else frozenset(many))


def _slugs(kind: type[StrEnum]) -> Callable[[str, Values], Collection[StrEnum]]:
    def convert(name: str, value: Values) -> Collection[StrEnum]:
        known = [each.value for each in kind]
        for each in (many := list(_many(value))):
            if each not in known:
                raise RegistrationError(f"{name} {each!r} is not one of {', '.join(known)}{_nearest(each, known)}")
        return _not_empty(name, frozenset(kind(each) for each in many))

    return convert


def _event_names(name: str, value: Values) -> Collection[str]:
    known = CALL_EVENTS | OPERATION_EVENTS
    names: set[str] = set()
    for each in _many(value):
        short = event_name(each) if isinstance(each, str) else ""
        # A full type is taken at its word: the service adds events faster than we release.
        if short not in known and not (short and each.startswith(PREFIX)):
            raise RegistrationError(
                f"event {each!r} is not an event of Call Automation that carries a result"
                f"{_nearest(each, known)}; for a newer one write its full type, {PREFIX}{each}"
            )
        names.add(short)
    return _not_empty(name, frozenset(names))


def _not_empty(name: str, allowed: Collection[Any]) -> Collection[Any]:
    if not allowed:
        raise RegistrationError(f"{name} allows no value, so the handler could never be called; name at least one")
    return allowed


def _nearest(value: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(value), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


# How each criterion is read at registration.
_ALLOWED: dict[str, Callable[[str, Values], Collection[Any]]] = {
    "event": _event_names,
    "code": _numbers,
    "subcode": _numbers,
    "category": _slugs(ResultCategory),
    "cause": _slugs(Cause),
    "retry_class": _slugs(RetryClass),
    "owner": _slugs(Owner),
    "disposition": _slugs(Disposition),
    "match": _slugs(Match),
    "scope": _slugs(Scope),
}

_SAME = {0: (0, 200), 200: (200, 0)}

_VALUES: dict[str, Callable[[Outcome], Iterable[Any]]] = {
    # A merged outcome answers for both of its events.
    "event": lambda o: (o.event_name,) if o.sibling is None else (o.event_name, o.sibling.name),
    "code": lambda o: _SAME.get(o.code, (o.code,)) if o.code is not None else (),
    "subcode": lambda o: (o.subcode,),
    "category": lambda o: (o.category,),
    "cause": lambda o: (o.cause,),
    "retry_class": lambda o: (o.retry_class,),
    "owner": lambda o: (o.owner,),
    "disposition": lambda o: (o.disposition,),
    "match": lambda o: (o.match,),
    "scope": lambda o: (o.scope,),
}
