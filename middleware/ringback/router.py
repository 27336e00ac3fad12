"""Which handlers an outcome concerns: registrations, the router they are made with, and the roster of all. Pure.

What can be registered is in :mod:`ringback.callables`, what ``on()`` can ask for in :mod:`ringback.criteria`.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from weakref import WeakSet

from ringback.callables import ContextBy, context_by, handler_name, is_async, redial_parameters, refuse_uncallable
from ringback.criteria import Criteria, Values, met, read_criteria
from ringback.exceptions import ConfigurationError, RegistrationError
from ringback.hooks import HookContext
from ringback.outcome import Outcome
from ringback.redaction import SHORTEST_KEY
from ringback.redial import RedialPolicy, TimeZone, time_zone
from ringback_catalog import Disposition, Scope

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
H = TypeVar("H", bound=Callable[..., Any])
T = TypeVar("T")
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


@dataclass(frozen=True, slots=True)
class Registration:
    """One handler and what it asked for. ``criteria`` maps a field of the outcome to allowed values."""

    handler: Handler
    concern: _Concern
    criteria: Criteria = ()
    when: Predicate | None = None
    context: ContextBy = ContextBy.NONE

    @property
    def name(self) -> str:
        return handler_name(self.handler)

    def arguments(self, outcome: Outcome, ctx: HookContext) -> tuple[tuple[object, ...], Mapping[str, object]]:
        """What the handler is called with."""
        if self.context is ContextBy.NAMED:
            return (outcome,), {"ctx": ctx}
        return ((outcome, ctx) if self.context is ContextBy.SECOND else (outcome,)), {}

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
        return met(self.criteria, outcome) and (self.when is None or bool(self.when(outcome)))


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


class Roster(NamedTuple):
    """What is registered with a router and with those it includes, when ``changes`` registrations had been made."""

    changes: int
    hooks: tuple[tuple[str, Registration], ...]
    """Every registration in order, with a name of its handler's own."""
    redials: tuple[RedialRegistration, ...]
    error_handlers: tuple[ErrorHandler, ...]
    listeners: tuple[Listener, ...]
    calls_nobody: bool
    """Whether no outcome reaches a function of the app: there is no hook and no redial."""


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
    _roster: Roster | None = None
    _watchers: list[Callable[[Planner], object]] = field(default_factory=list[Callable[["Planner"], object]])

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
        refuse_uncallable(handler, 2, "(outcome, error)")
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
        criteria = read_criteria(given)
        if not criteria and when is None:
            raise RegistrationError(
                "on() needs at least one criterion, such as cause='busy'; for all calls that ended use "
                "on_retryable and on_terminal"
            )
        if when is not None:
            refuse_uncallable(when, 1, "(outcome)", "when")
            if is_async(when):
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
        refuse_uncallable(listener, 2, "(events, outcomes)", "listener")
        if is_async(listener):
            # What it returns, a coroutine, nobody would await.
            raise RegistrationError(f"listener {handler_name(listener)} is async; register a function that returns")
        if listener in self._listeners:
            raise RegistrationError(f"listener {handler_name(listener)} is already registered; remove one of the two")
        self._listeners.append(listener)
        _changed()
        return listener

    def heard(self, received: Received) -> tuple[tuple[str, Exception], ...]:
        """Tell the listeners of a delivery, each once; the names of those that raised, and what."""
        listeners = self.roster.listeners
        if TAPS:
            listeners = _once((*TAPS, *listeners))
        if not listeners:
            return ()
        faults: list[tuple[str, Exception]] = []
        for listener in listeners:
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
        refuse_uncallable(contact, 1, "(outcome)", "contact")
        if is_async(contact):
            raise RegistrationError(f"contact {handler_name(contact)} is async; write a function that returns text")
        if policy is not None and not isinstance(policy, RedialPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"policy {policy!r} is no RedialPolicy")
        if callable(time_zone):
            refuse_uncallable(time_zone, 1, "(outcome)", "time_zone")
        zone = time_zone if callable(time_zone) else _zone(time_zone)
        key = hash_contacts.encode() if isinstance(hash_contacts, str) else hash_contacts
        if key is not None and len(key) < SHORTEST_KEY:
            raise RegistrationError(f"hash_contacts of {len(key)} bytes can be guessed; use at least {SHORTEST_KEY}")

        def register(function: H) -> H:
            parameters = redial_parameters(function)
            if any(each.function is function for each in self._redials):
                raise RegistrationError(f"redial {handler_name(function)} is already registered; remove one of the two")
            self._redials.append(RedialRegistration(function, policy or RedialPolicy(), contact, zone, parameters, key))
            _changed()
            return function

        return register

    def include(self, other: HandlerRouter) -> None:
        """Add the handlers of another router here, also those it registers later."""
        if not isinstance(other, HandlerRouter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"include() takes an OutcomeRouter, not {other!r}")
        if self in other.routers():
            raise RegistrationError("include() would make the router include itself; include it in one direction only")
        self._parts.append(other)
        _changed()
        for planner in list(self._planners):
            other.attach(planner)

    def attach(self, planner: Planner) -> None:
        """Let :meth:`cancel_redials` reach who plans the redials of this router."""
        for router in self.routers():
            if planner not in router._planners:
                router._planners.add(planner)
                for watcher in tuple(router._watchers):
                    watcher(planner)

    def watch_planners(self, watcher: Callable[[Planner], object]) -> None:
        """Call this at once with everyone who plans for this router, and with each who comes later.

        So are their stores found: a planner of an app is the dispatcher of a middleware or an endpoint.
        """
        self._watchers.append(watcher)
        for planner in list(self._planners):
            watcher(planner)

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
    def roster(self) -> Roster:
        """All that is registered now. Made anew only when something was registered since: each delivery asks."""
        roster = self._roster
        if roster is None or roster.changes != _changes:
            changes, routers = _changes, list(self.routers())
            hooks = tuple(_named(self.registrations))
            # By what they are: a function may be registered with two routers.
            redials = _numbered({id(redial): redial for router in routers for redial in router._redials}.values())
            self._roster = roster = Roster(
                changes,
                hooks,
                redials,
                _once(handler for router in routers for handler in router._error_handlers),
                _once(listener for router in routers for listener in router._listeners),
                calls_nobody=not hooks and not redials,
            )
        return roster

    @property
    def redials(self) -> tuple[RedialRegistration, ...]:
        """Every redial in order, those of included routers behind."""
        return self.roster.redials

    @property
    def error_handlers(self) -> tuple[ErrorHandler, ...]:
        return self.roster.error_handlers

    def _register(
        self,
        handler: H,
        concern: _Concern,
        criteria: Criteria = (),
        when: Predicate | None = None,
    ) -> H:
        registration = Registration(handler, concern, criteria, when, context_by(handler))
        if registration in self._parts:
            raise RegistrationError(
                f"handler {registration.name} is already registered with {concern} for the same criteria; "
                "remove one of the two registrations"
            )
        self._parts.append(registration)
        _changed()
        return handler


_changes = 0


def _changed() -> None:
    global _changes
    _changes += 1


def _once(many: Iterable[T]) -> tuple[T, ...]:
    """Each in its order. A router may be included by two ways; what is registered with it is still there once."""
    known: list[T] = []
    # Compared, not hashed: a handler may be any object that can be called.
    known += (each for each in many if each not in known)
    return tuple(known)


def _numbered(redials: Collection[RedialRegistration]) -> tuple[RedialRegistration, ...]:
    names = [each.name for each in redials]
    return tuple(
        replace(each, number=number) if (number := names[: index + 1].count(each.name)) > 1 else each
        for index, each in enumerate(redials)
    )


def _named(registrations: Iterable[Registration]) -> Iterator[tuple[str, Registration]]:
    """Every registration, with the name of its handler. Two handlers may be called the same, as lambdas are."""
    given: list[tuple[object, str]] = []
    for registration in registrations:
        name = next((name for handler, name in given if handler == registration.handler), None)
        if name is None:
            earlier = sum(known.partition("#")[0] == registration.name for _, known in given)
            name = f"{registration.name}#{earlier + 1}" if earlier else registration.name
            given.append((registration.handler, name))
        yield name, registration


def _zone(zone: TimeZone) -> tzinfo:
    try:
        return time_zone(zone)
    except ConfigurationError as error:
        raise RegistrationError(str(error)) from error
