"""The registrations of a router as frozen values: one hook, one redial, and the roster of all. Pure.

:mod:`ringback.hooks.signatures` says which functions can be registered, and :mod:`ringback.hooks.criteria` what
``on()`` can ask for.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.outcome import Outcome
from ringback.exceptions import ConfigurationError, RegistrationError
from ringback.hooks.criteria import Criteria, met
from ringback.hooks.signatures import ContextBy, handler_name, refuse_uncallable
from ringback.privacy.redaction import SHORTEST_KEY
from ringback.work.contact_call import CONNECTED
from ringback.work.policy import HookContext
from ringback.work.redial import time_zone
from ringback_catalog import Disposition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import tzinfo

    from ringback.core.events import Event
    from ringback.work.redial import TimeZone
    from ringback.work.redial_policy import RedialPolicy

T = TypeVar("T")


class HookWithContext(Protocol):
    """A hook whose parameter ``ctx`` takes the context by name."""

    def __call__(self, outcome: Outcome, /, *, ctx: HookContext) -> object: ...


Handler = Callable[[Outcome], object] | Callable[[Outcome, HookContext], object] | HookWithContext
"""A hook: a sync or async function that takes an outcome, and a :class:`HookContext` if there is a parameter ``ctx``.
A sync hook runs in a worker thread. The dispatcher ignores what a hook returns."""


class ErrorHandlerOfEach(Protocol):
    """An error handler whose parameter ``final`` says by name whether the attempt was the last one."""

    def __call__(self, outcome: Outcome, error: Exception, /, *, final: bool) -> object: ...


ErrorHandler = Callable[[Outcome, Exception], object] | ErrorHandlerOfEach
"""The dispatcher calls this when a hook has raised, with the outcome and the exception."""

Listener = Callable[[Sequence["Event"], Sequence[Outcome]], object]
"""A door calls this for every accepted delivery with its events, and with the outcomes of those that have one."""

Predicate = Callable[[Outcome], bool | Awaitable[bool]]
ContactFunction = Callable[[Outcome], str | Awaitable[str | None] | None]
ZoneFunction: TypeAlias = "Callable[[Outcome], TimeZone | Awaitable[TimeZone]]"


class Sink(Protocol):
    """A hook with its own rule, ``wants``, for the outcomes that it gets. As any hook, it may be sync or async.

    A worker alone asks ``wants``, which may be slow. A sink may also have ``criteria``, which are compared before the
    store keeps an operation: the arguments of ``on()`` without ``when`` in a mapping, such as
    ``{"event": "PlayFailed"}``, or several mappings, of which an outcome has to meet one. As with ``on()``, criteria
    without ``event`` and ``scope`` are for calls alone. For a sink without ``criteria`` a store keeps every operation.
    """

    def wants(self, outcome: Outcome) -> bool | Awaitable[bool]: ...

    def __call__(self, outcome: Outcome, /, *, ctx: HookContext) -> object: ...


class SinkWithoutContext(Protocol):
    """A :class:`Sink` whose call has no parameter ``ctx``."""

    def wants(self, outcome: Outcome) -> bool | Awaitable[bool]: ...

    def __call__(self, outcome: Outcome, /) -> object: ...


class Concern(StrEnum):
    """Which method of the router made a registration."""

    RETRYABLE = "on_retryable"
    TERMINAL = "on_terminal"
    CHOSEN = "on"
    UNRECOGNIZED = "on_unrecognized"


_WANTED = {Concern.RETRYABLE: Disposition.RETRYABLE, Concern.TERMINAL: Disposition.TERMINAL}


@dataclass(frozen=True, slots=True)
class Registration:
    """One handler, and the outcomes that the handler is registered for."""

    handler: Handler
    concern: Concern
    criteria: Criteria = ()
    when: Predicate | None = None
    context: ContextBy = ContextBy.NONE
    told: str | None = field(default=None, compare=False)
    """The name that the app gives the handler, if it gives one."""

    @property
    def name(self) -> str:
        return self.told or handler_name(self.handler)

    def arguments(self, outcome: Outcome, ctx: HookContext) -> tuple[tuple[object, ...], Mapping[str, object]]:
        """The positional and the named arguments of the handler."""
        if self.context is ContextBy.NONE:
            return (outcome,), {}
        return ((outcome,), {"ctx": ctx}) if self.context is ContextBy.NAMED else ((outcome, ctx), {})

    def may_concern(self, outcome: Outcome) -> bool:
        """Whether the registration may want the outcome. Calls no function of the app, so is quick and never raises."""
        if self.concern is Concern.UNRECOGNIZED:
            return not outcome.recognized
        if not outcome.ends_call:
            if outcome.event_name == CONNECTED and outcome.result is None:
                # An event without a result that reports no failure is no outcome. Only redials hear this one.
                return False
            # Most operations succeed, so a hook gets them only if its criteria name an event or the scope. An operation
            # has no sibling that would change what the criteria are compared with.
            return any(name in ("event", "scope") for name, _ in self.criteria) and met(self.criteria, outcome)
        # The legs of a call report their own ends, and hooks get those. Only a hook that names the event gets the bare
        # end of the whole call.
        return not outcome.unexplained or any(name == "event" for name, _ in self.criteria)

    def fits(self, outcome: Outcome) -> bool:
        """Whether the handler is registered for this outcome, if its predicate agrees. Never raises."""
        if not self.may_concern(outcome):
            return False
        if self.concern is Concern.UNRECOGNIZED:
            return True
        wanted = _WANTED.get(self.concern)
        return met(self.criteria, outcome) if wanted is None else outcome.disposition is wanted


class RedialRegistration(Struct, frozen=True):
    """A redial function, and the policy that says when the function is called."""

    function: Callable[..., Any]
    policy: RedialPolicy
    contact: ContactFunction
    time_zone: ZoneFunction | tzinfo | None
    parameters: frozenset[str]
    hash_key: bytes | None = None
    told: str | None = None
    number: int = 1
    """The place among redials whose functions have the same name, as functions made by one factory have."""

    @property
    def name(self) -> str:
        name = self.told or handler_name(self.function)
        return name if self.number == 1 else f"{name}#{self.number}"

    @property
    def lacks_zone(self) -> bool:
        """Whether the policy reads the clock of a contact whose zone nobody told."""
        return self.time_zone is None and self.policy.reads_clock

    def stored(self, contact: str) -> str:
        """The contact as a store keeps it: a keyed SHA-256 in hexadecimal digits if the redial hashes contacts."""
        if self.hash_key is None:
            return contact
        return hmac.digest(self.hash_key, contact.encode("utf-8", "surrogatepass"), "sha256").hex()


def contact_key(secret: bytes | str | None) -> bytes | None:
    """The key of a keyed hash of contacts. Raises :class:`RegistrationError` for a secret that can be guessed."""
    key = secret.encode() if isinstance(secret, str) else secret
    if not isinstance(cast("object", key), bytes | None):
        raise RegistrationError(
            f"hash_contacts is neither text nor bytes but {type(key).__name__}; give a secret of at least "
            f"{SHORTEST_KEY} bytes, or leave it out"
        )
    if key is not None and len(key) < SHORTEST_KEY:
        raise RegistrationError(f"hash_contacts of {len(key)} bytes can be guessed; use at least {SHORTEST_KEY}")
    return key


def contact_zone(zone: ZoneFunction | TimeZone | None) -> ZoneFunction | tzinfo | None:
    """A zone, or a function that returns one. Raises :class:`RegistrationError` for anything else."""
    if zone is None:
        return None
    if callable(zone):
        refuse_uncallable(zone, 1, "(outcome)", "time_zone")
        return zone
    try:
        return time_zone(zone)
    except ConfigurationError as error:
        raise RegistrationError(str(error)) from error


class ErrorHook(Struct, frozen=True):
    """An error handler, with its name for the log.

    A handler that takes ``final`` gets the error of each attempt, any other handler that of the last attempt alone.
    """

    handler: ErrorHandler
    name: str
    takes_final: bool


class Roster(Struct, frozen=True):
    """The registrations of a router and of the routers that it includes. ``changes`` counts the changes so far."""

    changes: int
    hooks: tuple[tuple[str, Registration], ...]
    """Every registration in order, with a name that only its handler has."""
    redials: tuple[RedialRegistration, ...]
    error_handlers: tuple[ErrorHook, ...]
    listeners: tuple[Listener, ...]
    calls_nobody: bool
    """Whether there is neither a hook nor a redial."""

    @classmethod
    def of(
        cls,
        changes: int,
        registrations: Iterable[Registration],
        redials: Iterable[RedialRegistration],
        error_handlers: Iterable[ErrorHook],
        listeners: Iterable[Listener],
    ) -> Roster:
        """Makes a roster. A redial, an error handler or a listener stands there once, even if two ways lead there."""
        hooks = tuple(_named(registrations))
        # Told apart by identity, because two routers may register one function with different policies.
        distinct = _numbered({id(redial): redial for redial in redials}.values())
        calls_nobody = not hooks and not distinct
        return cls(changes, hooks, distinct, _once(error_handlers), _once(listeners), calls_nobody)


def _once(many: Iterable[T]) -> tuple[T, ...]:
    """The functions in order, without doubles: a router may be included by two ways."""
    known: list[T] = []
    # A handler may be any callable object, so it may have no hash.
    for function in many:
        if function not in known:
            known.append(function)
    return tuple(known)


def _numbered(redials: Collection[RedialRegistration]) -> tuple[RedialRegistration, ...]:
    names = [redial.name for redial in redials]
    return tuple(
        replace(redial, number=number) if (number := names[: index + 1].count(redial.name)) > 1 else redial
        for index, redial in enumerate(redials)
    )


def _named(registrations: Iterable[Registration]) -> Iterator[tuple[str, Registration]]:
    """Every registration with a name of its handler. A number tells two handlers of one name apart, such as lambdas."""
    registrations = list(registrations)
    given: list[tuple[object, str]] = []
    for registration in registrations:
        handler = registration.handler
        name = next((name for known, name in given if known == handler), None)
        if name is None:
            # One registration may tell the name for all registrations of the handler.
            told = next((each.told for each in registrations if each.told and each.handler == handler), None)
            own = told or registration.name
            earlier = sum(known.partition("#")[0] == own for _, known in given)
            name = f"{own}#{earlier + 1}" if earlier else own
            given.append((handler, name))
        yield name, registration
