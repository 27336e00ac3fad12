"""Waits for the next event of a call, and handlers for all events of a call: typed, bounded, in order.

A wait needs asyncio. Any thread of the process may receive the event, and any event loop may wait for the event.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Self, TypeVar

from ringback import logs
from ringback.exceptions import CallEnded, ConfigurationError, OperationFailed, RegistrationError, WaitTimeout
from ringback.hooks.router import HandlerRouter
from ringback.hooks.signatures import refuse_uncallable
from ringback.settings import is_number, refuse_negative, refuse_nothing
from ringback.waits.backlog import Answer, Arrival, EventFilter, Wanted, doubtful, wanted
from ringback.waits.handlers import EventTask
from ringback.waits.registry import Legs, Wait
from ringback_catalog import CALL_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ringback.core.events import Event
    from ringback.core.outcome import Outcome

EventHandler = TypeVar("EventHandler", bound="Callable[[Event], object]")

TIMEOUT = 30.0
"""Seconds until a wait without ``timeout`` gives up."""


class Calls:
    """Lets code of the app wait for events of the calls whose callbacks ``router`` receives.

    An app makes one ``Calls`` beside its router. An event goes to every wait that it answers; if there is none, the
    event is kept, and the first later wait takes it. A redelivered event counts once. CallConnected and the end of a
    call go to every wait of the call, also to later ones.

    ``backlog`` is how many events of one call are kept. A call is forgotten ``keep`` seconds after its last
    event or wait, or when ``calls`` other calls have had one since. Raises :class:`ConfigurationError` for a limit
    that is no number or keeps nothing.

    A wait sees only the events that its own process receives.
    """

    def __init__(
        self,
        router: HandlerRouter,
        *,
        backlog: int = 32,
        keep: float = 60.0,
        calls: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(router, HandlerRouter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"router {router!r} is no OutcomeRouter; pass the router of the app")
        refuse_nothing("backlog", backlog)
        refuse_nothing("calls", calls)
        refuse_negative("keep", keep)
        if not keep:
            raise ConfigurationError(f"keep {keep!r} keeps nothing; give a positive number of seconds")
        self._legs = Legs(backlog, keep, calls, clock)
        router.listen(self._legs.receive)

    def __len__(self) -> int:
        """How many calls have an event, a wait, a handler or an open block."""
        return len(self._legs)

    async def wait_for(
        self,
        event: EventFilter,
        *,
        call_connection_id: str | None = None,
        operation_context: str | None = None,
        timeout: float = TIMEOUT,
    ) -> Event:
        """The next event with this name, with one of these names, or for which the predicate returns true.

        Give the call, the ``operation_context`` that your app set for the operation, or both; a predicate needs
        neither. An earlier event counts if no wait has taken it; with ``operation_context`` alone, only an event of a
        call that had not ended when the wait began, because an app may use a context again. A predicate is called where
        an event arrives and must be quick; an async one is refused. ``timeout`` is in seconds.

        Raises :class:`CallEnded` as soon as the call ends and ``event`` does not name the end,
        :class:`OperationFailed` when a failure comes instead, such as PlayFailed instead of PlayCompleted,
        :class:`WaitTimeout` after ``timeout`` seconds, :class:`ConfigurationError` if any call could answer, and what
        the predicate raises.
        """
        if call_connection_id is None and operation_context is None and not callable(event):
            raise ConfigurationError("any call could answer; pass call_connection_id or operation_context")
        filters = wanted(event, call_connection_id, operation_context)
        _warn_of_unknown(self._legs, [event] if isinstance(event, str) else [] if callable(event) else event)
        return (await _next(self._legs, filters, timeout)).event

    async def ended(self, *, call_connection_id: str, timeout: float = TIMEOUT) -> Outcome:
        """The outcome of the call's end. If two events report the end, the more informative one counts.

        Raises :class:`WaitTimeout` after ``timeout`` seconds.
        """
        return self._legs.ending(await _next(self._legs, wanted(CALL_EVENTS, call_connection_id), timeout))

    def call(self, call_connection_id: str) -> Call:
        """One call, for ``async with``: the events of the call are not forgotten before the block is left."""
        return Call(self, self._legs, call_connection_id)

    def on(
        self, call_connection_id: str, *events: str | Callable[[Event], bool]
    ) -> Callable[[EventHandler], EventHandler]:
        """Registers the decorated function for events of the call: one event after the other, in order.

        ``events`` are names, or one predicate, which must not be async. The function first gets the earlier events that
        no wait has taken. A sync function runs in a worker thread; what the function returns is awaited if it is
        awaitable, and what the function raises is only logged. A handler takes no event
        away from a wait. The handler is removed ``keep`` seconds after the call's end, or when ``calls`` other calls
        with handlers have had events since. Raises :class:`RegistrationError` where no event loop runs.
        """
        return _registering(self._legs, call_connection_id, events, [])

    def off(self, call_connection_id: str, function: Callable[[Event], object]) -> None:
        """Removes every registration of this function for the call, whichever ``on`` made the registration.

        A run of the function that has begun goes on. A function that is not registered is no error.
        """
        self._legs.detach(call_connection_id, function)


class Call:
    """One call of :class:`Calls`, for ``async with``. The end of the block removes the handlers of :meth:`on`."""

    def __init__(self, calls: Calls, legs: Legs, call_connection_id: str) -> None:
        self.call_connection_id = call_connection_id
        self._calls = calls
        self._legs = legs
        self._registered: list[EventTask] = []

    async def __aenter__(self) -> Self:
        self._legs.open(self.call_connection_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._legs.close(self.call_connection_id, self._registered)

    async def wait_for(
        self, event: EventFilter, *, operation_context: str | None = None, timeout: float = TIMEOUT
    ) -> Event:
        """As :meth:`Calls.wait_for`, for this call."""
        leg = self.call_connection_id
        return await self._calls.wait_for(
            event, call_connection_id=leg, operation_context=operation_context, timeout=timeout
        )

    async def ended(self, *, timeout: float = TIMEOUT) -> Outcome:
        """As :meth:`Calls.ended`, for this call."""
        return await self._calls.ended(call_connection_id=self.call_connection_id, timeout=timeout)

    def on(self, *events: str | Callable[[Event], bool]) -> Callable[[EventHandler], EventHandler]:
        """As :meth:`Calls.on`, for this call, until the block is left."""
        return _registering(self._legs, self.call_connection_id, events, self._registered)

    def off(self, function: Callable[[Event], object]) -> None:
        """As :meth:`Calls.off`, for this call."""
        self._calls.off(self.call_connection_id, function)


def _warn_of_unknown(legs: Legs, names: Iterable[str]) -> None:
    """Warns once of each name that no SDK knows. The wait begins all the same, because the name may be a newer one."""
    for name in names:
        advice = None if name in legs.doubted else doubtful(name)
        if advice is not None:
            legs.doubted.add(name)
            logs.wait_doubtful(name, advice)


async def _next(legs: Legs, filters: Wanted, timeout: float) -> Arrival:
    if not is_number(timeout) or math.isnan(timeout):
        raise ConfigurationError(f"timeout {timeout!r} is no time; give seconds")
    wait = Wait(filters, asyncio.get_running_loop().create_future())
    legs.begin(wait)
    try:
        # asyncio.timeout would discard an answer that comes together with the time-out.
        await asyncio.wait((wait.woken,), timeout=timeout)
    except BaseException:
        legs.finish(wait, cancelled=True)
        raise
    legs.finish(wait, cancelled=False)
    if wait.error is not None:
        raise wait.error
    arrival, about = wait.arrival, " or ".join(sorted(filters.names)) or "what the predicate asks for"
    if arrival is None:
        ended = "; a call of this operation_context ended before: pass call_connection_id" if wait.passed_over else ""
        raise WaitTimeout(f"{about} did not come within {timeout:g} seconds{ended}")
    if wait.answer is Answer.ENDED:
        outcome = legs.ending(arrival)
        raise CallEnded(f"the call ended before {about}: {outcome.cause}", arrival.event, outcome)
    if wait.answer is Answer.FAILED:
        why = "" if arrival.outcome is None else f": {arrival.outcome.cause}"
        raise OperationFailed(f"{arrival.event.name} came instead of {about}{why}", arrival.event, arrival.outcome)
    return arrival


def _registering(
    legs: Legs, leg: str, events: tuple[str | Callable[[Event], bool], ...], registered: list[EventTask]
) -> Callable[[EventHandler], EventHandler]:
    names = [event for event in events if isinstance(event, str)]
    predicates = [event for event in events if not isinstance(event, str)]
    if len(predicates) > 1 or (predicates and names):
        raise RegistrationError("on() takes names or one predicate; register the function once for each")
    filters = wanted(predicates[0] if predicates else names, leg)
    _warn_of_unknown(legs, names)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RegistrationError("on() was called where no loop runs; call it in the loop of the handler") from None

    def register(function: EventHandler) -> EventHandler:
        refuse_uncallable(function, 1, "(event)")
        handler = EventTask(filters, function, loop, legs.backlog, legs.running)
        registered.append(handler)
        legs.attach(leg, handler)
        return function

    return register
