"""The criteria of ``on()``: the reader of their values, and the fields of an outcome that the values are compared with.

Every fault is a :class:`RegistrationError` that names the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

from ringback.exceptions import RegistrationError
from ringback.settings import nearest
from ringback_catalog import (
    EVENTS,
    PREFIX,
    Cause,
    Disposition,
    Match,
    Owner,
    ResultCategory,
    RetryAction,
    RetryClass,
    Scope,
    event_name,
    scope_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

    from ringback.core.outcome import Outcome

Values = Collection[Any] | str | int | None
"""One value, a collection of values, or a ``range`` of codes."""

Criteria = tuple[tuple[str, Collection[Any]], ...]
"""Pairs of a field of an outcome and the allowed values. Equal criteria show a double registration."""


def read_criteria(given: Mapping[str, Values]) -> Criteria:
    """The criteria without those whose value is ``None``.

    Raises :class:`RegistrationError` for an impossible value, and for two criteria that no outcome meets together.
    """
    for name in given:
        if name not in _ALLOWED:
            raise RegistrationError(f"criterion {name!r} is not one of {', '.join(_ALLOWED)}{nearest(name, _ALLOWED)}")
    read = {name: _ALLOWED[name](name, value) for name, value in given.items() if value is not None}
    for one, other, meet in _TOGETHER:
        if one in read and other in read and not any(meet(a, b) for a in read[one] for b in read[other]):
            raise RegistrationError(
                f"{one} {given[one]!r} never comes with {other} {given[other]!r}, so the handler could never be "
                "called; leave one of them out"
            )
    return tuple(read.items())


def read_alternatives(given: object, sink: object) -> Iterable[Criteria]:
    """The criteria of a sink, each once: of one mapping or of several.

    Raises :class:`RegistrationError` for what is no mapping, for an empty one, and for an impossible value.
    """
    are_several = isinstance(given, Collection) and not isinstance(given, Mapping | str)
    criteria: dict[Criteria, None] = {}
    for one in cast("Collection[object]", given if are_several else [given]):
        criteria[read_criteria(cast("Mapping[str, Values]", one)) if isinstance(one, Mapping) else ()] = None
    if not criteria or () in criteria:
        raise RegistrationError(
            f"criteria {given!r} of sink {sink!r} choose no outcome; write a mapping such as {{'scope': 'operation'}}, "
            "or a list of several"
        )
    return criteria


def met(criteria: Criteria, outcome: Outcome) -> bool:
    """Whether the outcome meets every criterion."""
    return all(any(map(allowed.__contains__, _values(field, outcome))) for field, allowed in criteria)


def _values(field: str, outcome: Outcome) -> tuple[Any, ...]:
    """The values of an outcome that a criterion is compared with; one of them must be allowed."""
    if field == "event" and outcome.sibling is not None:
        # A merged outcome stands for two events.
        return outcome.event_name, outcome.sibling.name
    if field == "code" and outcome.code in _SAME:
        return _SAME
    return (getattr(outcome, "event_name" if field == "event" else field),)


def _many(value: Values) -> Iterable[Any]:
    return value if isinstance(value, Collection) and not isinstance(value, str) else (value,)


def _numbers(name: str, value: Values) -> Collection[int]:
    if isinstance(value, range):
        return _not_empty(name, value)
    numbers = _many(value)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int):
            raise RegistrationError(
                f"{name} {number!r} is not a whole number; write {name}=486 or {name}=range(400, 500)"
            )
    return _not_empty(name, frozenset(numbers))


def _slugs(kind: type[StrEnum]) -> Callable[[str, Values], Collection[StrEnum]]:
    def convert(name: str, value: Values) -> Collection[StrEnum]:
        known = [member.value for member in kind]
        for slug in (slugs := list(_many(value))):
            if slug not in known:
                raise RegistrationError(f"{name} {slug!r} is not one of {', '.join(known)}{nearest(slug, known)}")
        return _not_empty(name, frozenset(kind(slug) for slug in slugs))

    return convert


def _event_names(name: str, value: Values) -> Collection[str]:
    names: set[str] = set()
    for event in _many(value):
        short = event_name(event) if isinstance(event, str) else ""
        # A full type is accepted: the service adds events faster than Ringback makes releases.
        if short not in _WITH_RESULT and not (short and event.startswith(PREFIX)):
            raise RegistrationError(
                f"event {event!r} is not an event of Call Automation that carries a result"
                f"{nearest(event, _WITH_RESULT)}; for a newer one write its full type, {PREFIX}{event}"
            )
        names.add(short)
    return _not_empty(name, frozenset(names))


def _not_empty(name: str, allowed: Collection[Any]) -> Collection[Any]:
    if not allowed:
        raise RegistrationError(f"{name} allows no value, so the handler could never be called; name at least one")
    return allowed


# The reader of a criterion's values, by the criterion.
_ALLOWED: dict[str, Callable[[str, Values], Collection[Any]]] = {
    "event": _event_names,
    "code": _numbers,
    "subcode": _numbers,
    "category": _slugs(ResultCategory),
    "cause": _slugs(Cause),
    "retry_class": _slugs(RetryClass),
    "retry_action": _slugs(RetryAction),
    "owner": _slugs(Owner),
    "disposition": _slugs(Disposition),
    "match": _slugs(Match),
    "scope": _slugs(Scope),
}

# Two criteria, and whether an outcome may have a value of the first beside a value of the second. A redial policy that
# allows no further call makes a retryable outcome terminal.
_TOGETHER: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("event", "scope", lambda event, scope: scope_of(event) is scope),
    ("retry_class", "disposition", lambda retry, end: end in (retry.disposition, Disposition.TERMINAL)),
    ("retry_action", "disposition", lambda action, end: (action is RetryAction.NONE) is (end is Disposition.TERMINAL)),
    (
        "retry_class",
        "retry_action",
        lambda retry, action: action is RetryAction.NONE or retry.disposition is Disposition.RETRYABLE,
    ),
)

# The wire has code 200 where Microsoft's tables have 0.
_SAME = (0, 200)

# IncomingCall announces a call, and so has no result.
_WITH_RESULT = EVENTS.keys() - {"IncomingCall"}
