"""The router, with which an app registers its hooks. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Never, TypeVar, overload

from ringback.exceptions import RegistrationError
from ringback.hooks.criteria import Criteria, Values, read_alternatives, read_criteria
from ringback.hooks.guarded import told
from ringback.hooks.names import checked_name
from ringback.hooks.registration import (
    Concern,
    ErrorHandler,
    ErrorHook,
    Handler,
    Listener,
    RedialRegistration,
    Registration,
    contact_key,
    contact_zone,
)
from ringback.hooks.router_tree import RouterTree
from ringback.hooks.signatures import (
    context_by,
    handler_name,
    redial_parameters,
    refuse_async,
    refuse_uncallable,
    takes,
)
from ringback.work.redial_policy import RedialPolicy
from ringback_catalog import Scope

if TYPE_CHECKING:
    from ringback.core.literals import (
        CategoryName,
        CauseName,
        DispositionName,
        MatchName,
        OwnerName,
        RetryActionName,
        RetryClassName,
        ScopeName,
        Some,
    )
    from ringback.hooks.registration import ContactFunction, Predicate, Sink, SinkWithoutContext, ZoneFunction
    from ringback.receiving.intake import Received
    from ringback.work.redial import TimeZone
    from ringback_catalog import Cause, Disposition, Match, Owner, ResultCategory, RetryAction, RetryClass


H = TypeVar("H", bound=Handler)
F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=ErrorHandler)
L = TypeVar("L", bound=Listener)


class HandlerRouter(RouterTree):
    """The hooks of an app in the order of their registration.

    A registration that cannot work raises :class:`RegistrationError` at once; the message names the remedy.
    """

    @overload
    def on_retryable(self, handler: H, /) -> H: ...
    @overload
    def on_retryable(self, *, name: str | None = None) -> Callable[[H], H]: ...
    def on_retryable(self, *handler: Any, name: str | None = None) -> Any:
        """Registers a hook for every call that ended and is worth another try: retry class ``now`` or ``later``.

        ``outcome.retry_action`` says what to try: another call only for ``place_call``. ``outcome.retry_after`` says
        how long to wait at least, where Microsoft's documents say so. With a store, a hook without a name of its own,
        or with that of another hook, needs a ``name``: ``@router.on_retryable(name="call_again")``.
        """
        return self._decorating(handler, Concern.RETRYABLE, name)

    @overload
    def on_terminal(self, handler: H, /) -> H: ...
    @overload
    def on_terminal(self, *, name: str | None = None) -> Callable[[H], H]: ...
    def on_terminal(self, *handler: Any, name: str | None = None) -> Any:
        """Registers a hook for every call that ended and must not be tried again as it was; ``name`` is as above."""
        return self._decorating(handler, Concern.TERMINAL, name)

    @overload
    def on_unrecognized(self, handler: H, /) -> H: ...
    @overload
    def on_unrecognized(self, *, name: str | None = None) -> Callable[[H], H]: ...
    def on_unrecognized(self, *handler: Any, name: str | None = None) -> Any:
        """Registers a hook for every result that the catalog does not know. Other hooks get the outcome as well."""
        return self._decorating(handler, Concern.UNRECOGNIZED, name)

    @overload
    def on_error(self, handler: R, /) -> R: ...
    @overload
    def on_error(self, *, name: str | None = None) -> Callable[[R], R]: ...
    def on_error(self, *handler: Any, name: str | None = None) -> Any:
        """Registers ``handler(outcome, error)`` for a hook, redial or predicate that raised and was given up.

        A handler with a parameter ``final`` is called for every attempt that raised, with ``final=True`` for the last
        one. What the handler raises is only logged, with the ``name``.
        """
        told = checked_name(name)

        def register(handler: Any) -> Any:
            takes_final = takes(handler, "final")
            shape = "(outcome, error, final)" if takes_final else "(outcome, error)"
            refuse_uncallable(handler, 2, shape, named=("final",) if takes_final else ())
            if any(known.handler == handler for known in self._error_handlers):
                raise RegistrationError(
                    f"handler {handler_name(handler)} is already registered with on_error; "
                    "remove one of the two registrations"
                )
            self._error_handlers.append(ErrorHook(handler, told or handler_name(handler), takes_final))
            self._changed()
            return handler

        return register(*handler) if handler else register

    def on(
        self,
        *misused: Never,
        event: Some[str] | None = None,
        code: Some[int] | None = None,
        subcode: Some[int] | None = None,
        category: Some[ResultCategory | CategoryName] | None = None,
        cause: Some[Cause | CauseName] | None = None,
        retry_class: Some[RetryClass | RetryClassName] | None = None,
        retry_action: Some[RetryAction | RetryActionName] | None = None,
        owner: Some[Owner | OwnerName] | None = None,
        disposition: Some[Disposition | DispositionName] | None = None,
        match: Some[Match | MatchName] | None = None,
        scope: Some[Scope | ScopeName] | None = None,
        when: Predicate | None = None,
        name: str | None = None,
    ) -> Callable[[H], H]:
        """Registers the decorated function as a hook for outcomes that meet every criterion given.

        A criterion is a value, a collection of values or a ``range``. The hook gets outcomes of operations only if
        ``event`` or ``scope`` asks for them. ``when``, a predicate of the outcome, is called last; it may be async, and
        a sync one runs in the event loop, and so must be quick. A predicate that raises is asked again, as the hook
        policy says. Stacked decorators mean *or*, and the function still runs once for an outcome. ``name`` is as for
        :meth:`on_retryable`.
        """
        if misused:
            raise RegistrationError("on() takes criteria by name; write @router.on(cause='busy'), not @router.on")
        given: dict[str, Values] = {
            "event": event,
            "code": code,
            "subcode": subcode,
            "category": category,
            "cause": cause,
            "retry_class": retry_class,
            "retry_action": retry_action,
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
        told = checked_name(name)

        def register(handler: H) -> H:
            return self._register(handler, Concern.CHOSEN, criteria, when, told)

        return register

    def listen(self, listener: L) -> L:
        """Registers ``listener(events, outcomes)`` for every accepted delivery.

        A door calls the listener after the store has the outcomes and before the route: in the server's event loop, or
        in the request's thread where there is no loop. So a listener must be quick. A listener is no hook: a listener
        gets redeliveries as well, in the process of the door alone, and has one attempt at a delivery. What a listener
        raises is only logged. Nobody awaits a listener: an async one is refused, and an awaitable that a listener
        returns is logged as an error.
        """
        refuse_uncallable(listener, 2, "(events, outcomes)", "listener")
        refuse_async(listener, "listener")
        if listener in self._listeners:
            raise RegistrationError(f"listener {handler_name(listener)} is already registered; remove one of the two")
        self._listeners.append(listener)
        self._changed()
        return listener

    def unlisten(self, listener: Listener) -> None:
        """Removes a listener. Raises :class:`RegistrationError` for a listener that is not registered here."""
        if listener not in self._listeners:
            raise RegistrationError(f"listener {handler_name(listener)} is not registered; pass it to listen() first")
        self._listeners.remove(listener)
        self._changed()

    def notify(self, received: Received) -> tuple[tuple[str, Exception], ...]:
        """Calls every listener for a delivery. Returns the name and the exception of every listener that raised."""
        faults: list[tuple[str, Exception]] = []
        for listener in self.roster.listeners:
            try:
                told(listener, received.delivery.events, received.outcomes)
            except Exception as error:
                faults.append((handler_name(listener), error))
        return tuple(faults)

    def add_sink(self, sink: Sink | SinkWithoutContext, *, name: str | None = None) -> None:
        """Registers a sink as a hook for every outcome that the sink wants, of calls and of operations.

        A sink with ``criteria`` gets only outcomes that meet them; see :class:`~ringback.hooks.registration.Sink`. A
        sink has the name of its class, so with a store a second sink of a class needs a ``name``.
        """
        if not callable(getattr(sink, "wants", None)):
            raise RegistrationError(f"sink {sink!r} has no wants(outcome); pass an EventGridSink, or register a hook")
        refuse_uncallable(sink.wants, 1, "(outcome)", "wants")
        told = checked_name(name) or handler_name(sink)
        for criteria in read_alternatives(getattr(sink, "criteria", {"scope": Scope}), sink):
            self._register(sink, Concern.CHOSEN, criteria, sink.wants, told)

    def redial(
        self,
        *misused: Never,
        contact: ContactFunction,
        policy: RedialPolicy | None = None,
        time_zone: ZoneFunction | TimeZone | None = None,
        hash_contacts: bytes | str | None = None,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Registers the decorated function, which calls a contact again when the policy says so.

        ``contact`` is a function of the outcome. ``contact`` returns the app's key for the person whom the call was to
        reach, the same key for every call, however the call ended, or ``None`` for a call to nobody whom the app would
        redial. The limits of the policy hold for a contact. ``time_zone``, a zone or a function of the outcome, is the
        contact's, for hours and days; without one they are read as UTC, and a line at the start says so. Both functions
        may be async; a sync one runs in the event loop, and so must be quick. With ``hash_contacts``, a secret of 16
        bytes or more, stores keep only a keyed hash of a contact.

        The function may take any of these by name: ``outcome``; ``attempt``, the number of this call to the contact,
        from 2; ``headers``, for ``create_call``, so that repeated requests place one call; ``contact``; ``history``,
        the calls so far, each a :class:`PastCall`; ``operation_context``, one that names this call; and ``ctx``, a
        :class:`HookContext`. The function should return what ``create_call`` returned, or pass the
        ``operation_context`` on, so that Ringback knows the call. If several redials are registered, the first whose
        ``contact`` returns a key handles the outcome. ``name`` is as for :meth:`on_retryable`.
        """
        if misused:
            raise RegistrationError("redial() takes settings by name; write @router.redial(contact=...)")
        refuse_uncallable(contact, 1, "(outcome)", "contact")
        if policy is not None and not isinstance(policy, RedialPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"policy {policy!r} is no RedialPolicy")
        if policy is not None and policy.may_call is not None:
            refuse_uncallable(policy.may_call, 2, "(contact, at)", "may_call")
        zone, key = contact_zone(time_zone), contact_key(hash_contacts)
        told = checked_name(name)

        def register(function: F) -> F:
            parameters = redial_parameters(function)
            if any(redial.function is function for redial in self._redials):
                raise RegistrationError(f"redial {handler_name(function)} is already registered; remove one of the two")
            redial = RedialRegistration(function, policy or RedialPolicy(), contact, zone, parameters, key, told)
            self._add(self._redials, redial)
            return function

        return register

    def _decorating(self, handler: tuple[Any, ...], concern: Concern, name: str | None) -> Any:
        """The registered handler; without a handler, a decorator that registers one."""
        register = partial(self._register, concern=concern, told=checked_name(name))
        return register(*handler) if handler else register

    def _register(
        self,
        handler: H,
        concern: Concern,
        criteria: Criteria = (),
        when: Predicate | None = None,
        told: str | None = None,
    ) -> H:
        registration = Registration(handler, concern, criteria, when, context_by(handler), told)
        if registration in self._parts:
            raise RegistrationError(
                f"handler {registration.name} is already registered with {concern} for the same criteria; "
                "remove one of the two registrations"
            )
        self._add(self._parts, registration)
        return handler
