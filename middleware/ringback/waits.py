"""Wait for the next event of a call, or have it handed to a handler: typed, bounded, in order.

For asyncio. A wait is answered in the process that receives the event, whichever thread or loop it waits in.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self, TypeVar

from ringback.backlog import Answer, EventFilter, Said, Wanted, wanted
from ringback.exceptions import CallEnded, ConfigurationError, OperationFailed, RegistrationError, WaitTimeout
from ringback.legs import EventTask, Legs, Wait
from ringback_catalog import CALL_EVENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ringback.events import Event
    from ringback.outcome import Outcome
    from ringback.router import HandlerRouter

EventHandler = TypeVar("EventHandler", bound="Callable[[Event], Awaitable[None] | None]")

TIMEOUT = 30.0
"""Seconds that a wait takes at most, unless it says otherwise."""


class Calls:
    """The calls whose events come through ``router``, for whom waits for the next one.

    An event that comes before its wait is kept: ``backlog`` events of a call, until ``keep`` seconds after
    the call was last heard of, for the ``calls`` calls last heard of. An event goes to every wait under way that
    it answers, else to the first one later, and to each once however often it is delivered. That a
    call is connected and that it has ended, every wait gets to know. Raises :class:`ConfigurationError`
    for limits that keep nothing. Make it once, beside the router.

    Waits belong to this process: an event that another replica receives answers nobody here.
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
        for name, limit in (("backlog", backlog), ("keep", keep), ("calls", calls)):
            if limit <= 0:
                raise ConfigurationError(f"{name} {limit!r} keeps nothing; give a positive number")
        self._legs = Legs(backlog, keep, calls, clock)
        router.listen(self._legs.heard)

    def __len__(self) -> int:
        """How many calls something is known of, or asked of."""
        return len(self._legs)

    async def wait_for(
        self,
        event: EventFilter,
        *,
        call_connection_id: str | None = None,
        operation_context: str | None = None,
        timeout: float = TIMEOUT,
    ) -> Event:
        """The next event of this name, or of one of several, or that a predicate agrees to.

        Give the call, the ``operation_context`` that your app set for the operation, or both; a predicate needs
        neither. An event that came before is the next one if no wait has taken it. ``timeout`` is in seconds.

        Raises :class:`CallEnded` as soon as the call ends with an event that was not asked for,
        :class:`OperationFailed` when PlayFailed comes instead of PlayCompleted and the like, and
        :class:`WaitTimeout`. What a predicate raises, the wait raises.
        """
        if call_connection_id is None and operation_context is None and not callable(event):
            raise ConfigurationError("any call could answer; pass call_connection_id or operation_context")
        said = await _next(self._legs, wanted(event, call_connection_id, operation_context), timeout)
        return said.event

    async def ended(self, *, call_connection_id: str, timeout: float = TIMEOUT) -> Outcome:
        """How the call ended, as soon as it has, whichever event says so. Raises :class:`WaitTimeout`."""
        return self._legs.ending(await _next(self._legs, wanted(CALL_EVENTS, call_connection_id), timeout))

    def call(self, call_connection_id: str) -> Call:
        """One call, for ``async with``: while it is open, what the call says is not forgotten for its age."""
        return Call(self, self._legs, call_connection_id)

    def on(
        self, call_connection_id: str, *events: str | Callable[[Event], bool]
    ) -> Callable[[EventHandler], EventHandler]:
        """Call the decorated function with every such event of the call, one after the other, in order.

        ``events`` are names, or one predicate. Events that came before and that no wait has taken are handed
        over first. A sync function runs in a worker thread; what one raises is only logged. It takes nothing away
        from waits, and goes with the call: ``keep`` seconds after its end, or when ``calls`` others with
        handlers were heard of since. Raises :class:`RegistrationError` where no loop runs.
        """
        return _registering(self._legs, call_connection_id, events, [])


class Call:
    """One call of :class:`Calls`, for ``async with``. Handlers registered here go when it is left."""

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
        """As :meth:`Calls.wait_for`, of this call."""
        leg = self.call_connection_id
        return await self._calls.wait_for(
            event, call_connection_id=leg, operation_context=operation_context, timeout=timeout
        )

    async def ended(self, *, timeout: float = TIMEOUT) -> Outcome:
        """As :meth:`Calls.ended`, of this call."""
        return await self._calls.ended(call_connection_id=self.call_connection_id, timeout=timeout)

    def on(self, *events: str | Callable[[Event], bool]) -> Callable[[EventHandler], EventHandler]:
        """As :meth:`Calls.on`, of this call and until the block is left."""
        return _registering(self._legs, self.call_connection_id, events, self._registered)


async def _next(legs: Legs, filters: Wanted, timeout: float) -> Said:
    wait = Wait(filters, asyncio.get_running_loop().create_future())
    legs.begin(wait)
    try:
        # Not asyncio.timeout: an answer that comes together with the timeout counts.
        await asyncio.wait((wait.woken,), timeout=timeout)
    except BaseException:
        legs.finish(wait, lived=False)
        raise
    legs.finish(wait, lived=True)
    if wait.error is not None:
        raise wait.error
    said, about = wait.said, " or ".join(sorted(filters.names)) or "what the predicate asks for"
    if said is None:
        raise WaitTimeout(f"{about} did not come within {timeout:g} seconds")
    if wait.answer is Answer.ENDED:
        outcome = legs.ending(said)
        raise CallEnded(f"the call ended before {about}: {outcome.cause}", said.event, outcome)
    if wait.answer is Answer.FAILED:
        why = "" if said.outcome is None else f": {said.outcome.cause}"
        raise OperationFailed(f"{said.event.name} came instead of {about}{why}", said.event, said.outcome)
    return said


def _registering(
    legs: Legs, leg: str, events: tuple[str | Callable[[Event], bool], ...], registered: list[EventTask]
) -> Callable[[EventHandler], EventHandler]:
    names = [each for each in events if isinstance(each, str)]
    others = [each for each in events if not isinstance(each, str)]
    if len(others) > 1 or (others and names):
        raise RegistrationError("on() takes names or one predicate; register the function once for each")
    filters = wanted(others[0] if others else names, leg)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RegistrationError("on() was called where no loop runs; call it in the loop of the handler") from None

    def register(function: EventHandler) -> EventHandler:
        if not callable(function):
            raise RegistrationError(f"handler {function!r} is not callable; register a function (event)")
        handler = EventTask(filters, function, loop, legs.backlog)
        registered.append(handler)
        legs.attach(leg, handler)
        return function

    return register
