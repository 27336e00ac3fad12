"""Which handlers an outcome concerns: registration, faults at registration, and selection. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from ringback.exceptions import RegistrationError
from ringback.outcome import Outcome
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
    from collections.abc import Iterable, Iterator

Handler = Callable[[Outcome], Awaitable[None] | None]
"""A hook: a sync or async function of one outcome. A sync one runs in a worker thread."""

ErrorHandler = Callable[[Outcome, Exception], Awaitable[None] | None]
"""Told of a hook's exception: the outcome it was called with, and what it raised."""

Predicate = Callable[[Outcome], bool]
Values = Collection[Any] | str | int | None
"""One value, a collection of values, or a ``range`` of codes."""

H = TypeVar("H", bound=Callable[..., Any])


class _Concern(StrEnum):
    """What a registration asked for."""

    RETRYABLE = "on_retryable"
    TERMINAL = "on_terminal"
    CHOSEN = "on"
    UNRECOGNIZED = "on_unrecognized"


@dataclass(frozen=True, slots=True)
class Registration:
    """One handler and what it asked for. ``criteria`` maps a field of the outcome to allowed values."""

    handler: Handler
    concern: _Concern
    criteria: tuple[tuple[str, Collection[Any]], ...] = ()
    when: Predicate | None = None

    @property
    def name(self) -> str:
        return handler_name(self.handler)

    def hears_of(self, outcome: Outcome) -> bool:
        """Whether the outcome can concern the registration at all; asks no predicate, so it never raises."""
        if self.concern is _Concern.UNRECOGNIZED:
            return not outcome.recognized
        # Operations are many and mostly fine: only who names an event or the scope hears of them.
        return outcome.scope is Scope.CALL or any(name in ("event", "scope") for name, _ in self.criteria)

    def concerns(self, outcome: Outcome) -> bool:
        """Whether this outcome is what the registration asked for. A predicate's exception propagates."""
        if not self.hears_of(outcome):
            return False
        if self.concern is _Concern.UNRECOGNIZED:
            return True
        if self.concern is not _Concern.CHOSEN:
            wanted = Disposition.RETRYABLE if self.concern is _Concern.RETRYABLE else Disposition.TERMINAL
            return outcome.disposition is wanted
        matched = all(any(each in allowed for each in _VALUES[name](outcome)) for name, allowed in self.criteria)
        return matched and (self.when is None or bool(self.when(outcome)))


@dataclass(eq=False)
class HandlerRouter:
    """The handlers of an app in the order of their registration.

    Every fault of a registration is raised at once as :class:`RegistrationError` with the remedy.
    """

    _parts: list[Registration | HandlerRouter] = field(default_factory=list["Registration | HandlerRouter"])
    _error_handlers: list[ErrorHandler] = field(default_factory=list[ErrorHandler])

    def on_retryable(self, handler: H) -> H:
        """Call this for every call that ended and may be tried again: retry class ``now`` or ``later``."""
        return self._register(handler, _Concern.RETRYABLE)

    def on_terminal(self, handler: H) -> H:
        """Call this for every call that ended and must not be tried again as it was."""
        return self._register(handler, _Concern.TERMINAL)

    def on_unrecognized(self, handler: H) -> H:
        """Call this for every result the catalog does not know, beside the other handlers."""
        return self._register(handler, _Concern.UNRECOGNIZED)

    def on_error(self, handler: H) -> H:
        """Call this as ``handler(outcome, error)`` when a hook has raised. What it raises is only logged."""
        _refuse_uncallable(handler, 2, "(outcome, error)")
        if handler in self._error_handlers:
            raise RegistrationError(
                f"handler {handler_name(handler)} is already registered with on_error; "
                "remove one of the two registrations"
            )
        self._error_handlers.append(handler)
        return handler

    def on(
        self,
        *misused: object,
        event: Values = None,
        code: Values = None,
        subcode: Values = None,
        category: Values = None,
        cause: Values = None,
        retry_class: Values = None,
        owner: Values = None,
        disposition: Values = None,
        match: Values = None,
        scope: Values = None,
        when: Predicate | None = None,
    ) -> Callable[[H], H]:
        """Call the decorated function for outcomes that meet every criterion given.

        Each criterion is a value, a collection of values or a ``range``. Outcomes of operations
        are left out unless ``event`` or ``scope`` asks for them. ``when`` is asked last. Stacked
        decorators mean *or*; a function is called once for an outcome, however many match.
        """
        if misused:
            raise RegistrationError("on() takes criteria by name; write @router.on(cause='busy'), not @router.on")
        given = {
            "event": event,
            "code": code,
            "subcode": subcode,
            "category": category,
            "cause": cause,
            "retry_class": retry_class,
            "owner": owner,
            "disposition": disposition,
            "match": match,
            "scope": scope,
        }
        criteria = tuple((name, _ALLOWED[name](name, value)) for name, value in given.items() if value is not None)
        if not criteria and when is None:
            raise RegistrationError(
                "on() needs at least one criterion, such as cause='busy'; for all calls that ended use "
                "on_retryable and on_terminal"
            )
        if when is not None:
            _refuse_uncallable(when, 1, "(outcome)", "when")
            if inspect.iscoroutinefunction(when) or inspect.iscoroutinefunction(type(when).__call__):
                # What it returns, a coroutine, would count as true for every outcome.
                raise RegistrationError(f"when {handler_name(when)} is async; write a predicate that returns a bool")

        def register(handler: H) -> H:
            return self._register(handler, _Concern.CHOSEN, criteria, when)

        return register

    def include(self, other: HandlerRouter) -> None:
        """Add the handlers of another router here, also those it registers later."""
        if not isinstance(other, HandlerRouter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"include() takes an OutcomeRouter, not {other!r}")
        if self in other.routers():
            raise RegistrationError("include() would make the router include itself; include it in one direction only")
        self._parts.append(other)

    def routers(self) -> Iterator[HandlerRouter]:
        """This router and every one included, in order."""
        yield self
        for part in self._parts:
            if isinstance(part, HandlerRouter):
                yield from part.routers()

    @property
    def registrations(self) -> Iterator[Registration]:
        """Every registration in order, those of included routers at their place."""
        for part in self._parts:
            if isinstance(part, HandlerRouter):
                yield from part.registrations
            else:
                yield part

    @property
    def error_handlers(self) -> tuple[ErrorHandler, ...]:
        handlers: list[ErrorHandler] = []
        for router in self.routers():
            # A router may be included by two ways; its handlers still hear of an error once.
            handlers += (each for each in router._error_handlers if each not in handlers)
        return tuple(handlers)

    def _register(
        self,
        handler: H,
        concern: _Concern,
        criteria: tuple[tuple[str, Collection[Any]], ...] = (),
        when: Predicate | None = None,
    ) -> H:
        _refuse_uncallable(handler, 1, "(outcome)")
        registration = Registration(handler, concern, criteria, when)
        if registration in self._parts:
            raise RegistrationError(
                f"handler {registration.name} is already registered with {concern} for the same criteria; "
                "remove one of the two registrations"
            )
        self._parts.append(registration)
        return handler


def handler_name(handler: Callable[..., Any]) -> str:
    """``module.qualname`` of a function, the class of any other callable."""
    named: Any = handler if hasattr(handler, "__qualname__") else type(handler)
    module = getattr(named, "__module__", None)  # methods of builtins have none
    return named.__qualname__ if module is None else f"{module}.{named.__qualname__}"


def _refuse_uncallable(handler: object, arguments: int, shape: str, role: str = "handler") -> None:
    if not callable(handler):
        raise RegistrationError(f"{role} {handler!r} is not callable; register a function {shape}")
    name = handler_name(handler)
    called = (handler, type(handler).__call__)
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in called):
        raise RegistrationError(f"{role} {name} yields; register a function that returns")
    try:
        signature = inspect.signature(handler)
    except ValueError:
        # Some builtins tell nothing about their arguments; they get the benefit of the doubt.
        return
    try:
        signature.bind(*[None] * arguments)
    except TypeError:
        raise RegistrationError(
            f"{role} {name}{signature} cannot be called as {shape}; change its parameters"
        ) from None


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


# How each criterion is read at registration, and what of an outcome it is compared with.
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
