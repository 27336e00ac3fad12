"""Which handlers an outcome concerns: registration, faults at registration, and selection. Pure."""

from __future__ import annotations

import hmac
import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

from ringback.exceptions import ConfigurationError, RegistrationError
from ringback.hooks import HookContext
from ringback.outcome import Outcome
from ringback.redial import RedialPolicy, TimeZone, time_zone
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
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import tzinfo

    from ringback.events import Event
    from ringback.intake import Received

Handler = Callable[[Outcome], Awaitable[None] | None] | Callable[[Outcome, HookContext], Awaitable[None] | None]
"""A hook: a sync or async function of one outcome, and of a :class:`HookContext` if it has a parameter
``ctx``. A sync one runs in a worker thread."""

ErrorHandler = Callable[[Outcome, Exception], Awaitable[None] | None]
"""Told of a hook's exception: the outcome it was called with, and what it raised."""

Listener = Callable[[Sequence["Event"], Sequence[Outcome]], object]
"""Told of every accepted delivery while it is handled: its events, and the outcomes of those that have one."""

TAPS: list[Listener] = []
"""Listeners to every router of the process. For tests: an app has :meth:`HandlerRouter.listen`."""

Predicate = Callable[[Outcome], bool]
Values = Collection[Any] | str | int | None
"""One value, a collection of values, or a ``range`` of codes."""

H = TypeVar("H", bound=Callable[..., Any])
L = TypeVar("L", bound=Listener)


class Sink(Protocol):
    """A hook that knows by itself which outcomes it wants."""

    def wants(self, outcome: Outcome) -> bool: ...

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None: ...


class Planner(Protocol):
    """Who plans redials and can take them back."""

    async def cancel_redials(self, contact: str) -> int: ...


class _Concern(StrEnum):
    """What a registration asked for."""

    RETRYABLE = "on_retryable"
    TERMINAL = "on_terminal"
    CHOSEN = "on"
    UNRECOGNIZED = "on_unrecognized"


class _Context(StrEnum):
    """How a handler asks for its context."""

    NONE = "none"
    NAMED = "named"
    SECOND = "second"


@dataclass(frozen=True, slots=True)
class Registration:
    """One handler and what it asked for. ``criteria`` maps a field of the outcome to allowed values."""

    handler: Handler
    concern: _Concern
    criteria: tuple[tuple[str, Collection[Any]], ...] = ()
    when: Predicate | None = None
    context: _Context = _Context.NONE

    @property
    def name(self) -> str:
        return handler_name(self.handler)

    def arguments(self, outcome: Outcome, ctx: HookContext) -> tuple[tuple[object, ...], Mapping[str, object]]:
        """What the handler is called with."""
        if self.context is _Context.NAMED:
            return (outcome,), {"ctx": ctx}
        return ((outcome, ctx) if self.context is _Context.SECOND else (outcome,)), {}

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


@dataclass(frozen=True, slots=True)
class RedialRegistration:
    """A function that calls a contact again, and the policy that says when."""

    function: Callable[..., Any]
    policy: RedialPolicy
    contact: Callable[[Outcome], str | None]
    time_zone: Callable[[Outcome], TimeZone] | tzinfo
    parameters: frozenset[str]
    hash_key: bytes | None = None
    number: int = 1
    """Which one of those whose functions are called the same, as functions made by another one are."""

    @property
    def name(self) -> str:
        name = handler_name(self.function)
        return name if self.number == 1 else f"{name}#{self.number}"

    def contact_of(self, outcome: Outcome) -> str | None:
        """The contact, hashed if that was asked for; ``None`` if the outcome is none of ours.

        Exceptions of the user's function propagate. Raises :class:`RegistrationError` for what is no text.
        """
        contact = self.contact(outcome)
        if contact is None or contact == "":
            return None
        if not isinstance(contact, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"contact of {self.name} returned a {type(contact).__name__}; return text or None")
        return self.stored(contact)

    def stored(self, contact: str) -> str:
        """The contact as stores know it."""
        if self.hash_key is None:
            return contact
        return hmac.digest(self.hash_key, contact.encode("utf-8", "surrogatepass"), "sha256").hex()

    def zone_of(self, outcome: Outcome) -> tzinfo:
        """The contact's time zone. Exceptions of the user's function propagate."""
        return time_zone(self.time_zone(outcome)) if callable(self.time_zone) else self.time_zone


@dataclass(eq=False)
class HandlerRouter:
    """The handlers of an app in the order of their registration.

    Every fault of a registration is raised at once as :class:`RegistrationError` with the remedy.
    """

    _parts: list[Registration | HandlerRouter] = field(default_factory=list["Registration | HandlerRouter"])
    _error_handlers: list[ErrorHandler] = field(default_factory=list[ErrorHandler])
    _redials: list[RedialRegistration] = field(default_factory=list[RedialRegistration])
    _planners: WeakSet[Planner] = field(default_factory=WeakSet["Planner"])
    _listeners: list[Listener] = field(default_factory=list["Listener"])

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

    def listen(self, listener: L) -> L:
        """Call this as ``listener(events, outcomes)``, at once, for every accepted delivery.

        After the delivery was persisted, if there is a store, and before the route. It runs in the server's
        loop, or the thread of the request where there is none, so it must be quick, and it is no hook: it hears of
        duplicates, in no other process, and not again if it raises, which is only logged.
        """
        _refuse_uncallable(listener, 2, "(events, outcomes)", "listener")
        if inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(type(listener).__call__):
            # What it returns, a coroutine, nobody would await.
            raise RegistrationError(f"listener {handler_name(listener)} is async; register a function that returns")
        if listener in self._listeners:
            raise RegistrationError(f"listener {handler_name(listener)} is already registered; remove one of the two")
        self._listeners.append(listener)
        return listener

    def heard(self, received: Received) -> tuple[tuple[str, Exception], ...]:
        """Tell the listeners of a delivery, each once; the names of those that raised, and what."""
        told: list[Listener] = []
        faults: list[tuple[str, Exception]] = []
        for listeners in (TAPS, *(router._listeners for router in self.routers())):
            for listener in tuple(listeners):
                # A router may be included by two ways.
                if listener in told:
                    continue
                told.append(listener)
                try:
                    listener(received.delivery.events, received.outcomes)
                except Exception as error:
                    faults.append((handler_name(listener), error))
        return tuple(faults)

    def add_sink(self, sink: Sink) -> None:
        """Send every outcome that the sink wants to it, of calls and of operations."""
        if not callable(getattr(sink, "wants", None)):
            raise RegistrationError(f"sink {sink!r} has no wants(outcome); pass an EventGridSink, or register a hook")
        self._register(sink, _Concern.CHOSEN, (("scope", frozenset(Scope)),), sink.wants)

    def redial(
        self,
        *misused: object,
        contact: Callable[[Outcome], str | None],
        policy: RedialPolicy | None = None,
        time_zone: Callable[[Outcome], TimeZone] | TimeZone = "UTC",
        hash_contacts: bytes | str | None = None,
    ) -> Callable[[H], H]:
        """Let the decorated function call a contact again when the policy says so.

        ``contact`` returns the key of whom the call was to reach, the same for every call to them, or
        ``None`` for calls that are not to be repeated. Limits hold for a contact, whatever its calls
        ended with. ``time_zone`` is the contact's, or a function of the outcome, for quiet hours and days.
        With ``hash_contacts``, a secret of 16 bytes or more, only a keyed hash of the contact is stored.

        The function may take any of ``outcome``; ``attempt``, which call to the contact this is, from
        2; ``headers``, to be passed to ``create_call`` so that it places one call however often it is
        repeated; ``contact``; and ``ctx``, a :class:`HookContext`. Let it return what ``create_call``
        returned. The first registration that names a contact has the call.
        """
        if misused:
            raise RegistrationError("redial() takes settings by name; write @router.redial(contact=...)")
        _refuse_uncallable(contact, 1, "(outcome)", "contact")
        if inspect.iscoroutinefunction(contact) or inspect.iscoroutinefunction(type(contact).__call__):
            raise RegistrationError(f"contact {handler_name(contact)} is async; write a function that returns text")
        if policy is not None and not isinstance(policy, RedialPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"policy {policy!r} is no RedialPolicy")
        if callable(time_zone):
            _refuse_uncallable(time_zone, 1, "(outcome)", "time_zone")
        zone = time_zone if callable(time_zone) else _zone(time_zone)
        key = hash_contacts.encode() if isinstance(hash_contacts, str) else hash_contacts
        if key is not None and len(key) < _SHORTEST_KEY:
            raise RegistrationError(f"hash_contacts of {len(key)} bytes can be guessed; use at least {_SHORTEST_KEY}")

        def register(function: H) -> H:
            parameters = _redial_parameters(function)
            if any(each.function is function for each in self._redials):
                raise RegistrationError(f"redial {handler_name(function)} is already registered; remove one of the two")
            self._redials.append(RedialRegistration(function, policy or RedialPolicy(), contact, zone, parameters, key))
            return function

        return register

    def include(self, other: HandlerRouter) -> None:
        """Add the handlers of another router here, also those it registers later."""
        if not isinstance(other, HandlerRouter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"include() takes an OutcomeRouter, not {other!r}")
        if self in other.routers():
            raise RegistrationError("include() would make the router include itself; include it in one direction only")
        self._parts.append(other)
        for planner in list(self._planners):
            other.attach(planner)

    def attach(self, planner: Planner) -> None:
        """Let :meth:`cancel_redials` reach who plans the redials of this router."""
        for router in self.routers():
            router._planners.add(planner)

    async def cancel_redials(self, contact: str) -> int:
        """Cancel the redials to a contact that have not begun, wherever this router is used. How many there were.

        Raises :class:`~ringback.exceptions.StoreError` if a store cannot be asked.
        """
        return sum([await planner.cancel_redials(contact) for planner in list(self._planners)])

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
    def redials(self) -> tuple[RedialRegistration, ...]:
        """Every redial in order, those of included routers behind."""
        known: list[RedialRegistration] = []
        for router in self.routers():
            # A router may be included by two ways; its redials are still there once.
            known += (each for each in router._redials if all(each is not other for other in known))
        names = [each.name for each in known]
        return tuple(
            replace(each, number=number) if (number := names[: index + 1].count(each.name)) > 1 else each
            for index, each in enumerate(known)
        )

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
        registration = Registration(handler, concern, criteria, when, _context(handler))
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


def _refuse_uncallable(
    handler: object, arguments: int, shape: str, role: str = "handler", named: tuple[str, ...] = ()
) -> None:
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
        signature.bind(*[None] * arguments, **dict.fromkeys(named))
    except TypeError:
        raise RegistrationError(
            f"{role} {name}{signature} cannot be called as {shape}; change its parameters"
        ) from None


def _context(handler: Callable[..., Any]) -> _Context:
    """How the handler asks for its context: by a parameter ``ctx``. Refuses a handler that cannot be called."""
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        # Not callable, which is refused below, or a builtin that tells nothing.
        parameters = []
    kind = next((each.kind for each in parameters if each.name == "ctx"), None)
    if kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        _refuse_uncallable(handler, 1, "(outcome, ctx)", named=("ctx",))
        return _Context.NAMED
    if kind is inspect.Parameter.POSITIONAL_ONLY and parameters[1:] and parameters[1].name == "ctx":
        _refuse_uncallable(handler, 2, "(outcome, ctx)")
        return _Context.SECOND
    _refuse_uncallable(handler, 1, "(outcome)")
    return _Context.NONE


def _redial_parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Which of the values that a redial offers the function takes."""
    if not callable(function):
        raise RegistrationError(f"redial {function!r} is not callable; decorate a function")
    name = handler_name(function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise RegistrationError(f"redial {name} yields; register a function that returns")
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:
        raise RegistrationError(f"redial {name} does not tell its parameters; decorate a function") from None
    taken: set[str] = set()
    for parameter in parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            taken |= _OFFERED
        elif parameter.name in _OFFERED and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY:
            taken.add(parameter.name)
        elif parameter.default is parameter.empty and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            raise RegistrationError(
                f"redial {name} has a parameter {parameter.name!r}; it may have {', '.join(sorted(_OFFERED))}"
            )
    return frozenset(taken)


def _zone(zone: TimeZone) -> tzinfo:
    try:
        return time_zone(zone)
    except ConfigurationError as error:
        raise RegistrationError(str(error)) from error


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


_OFFERED = frozenset({"outcome", "attempt", "headers", "contact", "ctx"})
_SHORTEST_KEY = 16

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
