"""The calls that have had events, waits or handlers: who gets an event, and when a call is forgotten."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from ringback import logs
from ringback.exceptions import WaitError
from ringback.forks import reentrant_lock
from ringback.waits.backlog import Answer, Arrival, Backlog, KeptByContext, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.core.events import Event
    from ringback.core.outcome import Outcome
    from ringback.waits.handlers import EventTask


class Legs:
    """Calls by their ``callConnectionId``. Every public method takes the lock, so any thread may call it.

    A call is kept as long as a wait or an open block needs it. A call with handlers is kept until the call ends, unless
    ``most`` other calls with handlers have had events since. Any other call is kept for ``keep`` seconds after its last
    event or wait, unless ``most`` other such calls have had one since.
    """

    def __init__(self, backlog: int, keep: float, most: int, clock: Callable[[], float]) -> None:
        self.backlog = backlog
        self.running = set[asyncio.Task[None]]()
        """The tasks of handlers. An event loop has only weak references to its tasks, so a task needs one more:
        https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task"""
        self.doubted = set[str]()
        """Names of events that the app waits for and that no SDK knows. The app's code bounds their number."""
        self._keep = keep
        self._most = most
        self._clock = clock
        self._numbers = count()
        # The lock is reentrant because predicates run under the lock and may use `Calls` themselves.
        self._lock = reentrant_lock()
        self._legs: dict[str, Leg] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._handled: OrderedDict[str, None] = OrderedDict()
        self._kept = KeptByContext()
        # The waits that name no call, by their operation context; those of a predicate alone have none.
        self._anywhere: dict[str | None, list[Wait]] = {}

    def __len__(self) -> int:
        with self._lock:
            self._forget()
            return len(self._legs)

    def receive(self, events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        """Hands the events of one delivery to waits and handlers, in order. The router calls this listener."""
        outcome_of = {id(outcome.event): outcome for outcome in outcomes}
        with self._lock:
            for event in events:
                arrival = Arrival(event, outcome_of.get(id(event)), next(self._numbers))
                name = event.data.call_connection_id
                if not name:
                    # Event Grid's events name no leg. No later wait could name their call, so the event is not kept.
                    self._answer_waits(Leg("", Backlog(1, KeptByContext())), arrival)
                    continue
                leg = self._leg(name)
                if leg.backlog.add(arrival):
                    for handler in leg.handlers:
                        handler.offer(arrival)
                    self._answer_waits(leg, arrival)
                self._file(leg)

    def begin(self, wait: Wait) -> None:
        """Answers the wait with an event of the backlog; if none fits, registers the wait for the events to come."""
        with self._lock:
            self._forget()
            wait.began = next(self._numbers)
            if wait.wanted.leg is None:
                self._anywhere.setdefault(wait.wanted.context, []).append(wait)
                earlier = self._kept.of(wait.wanted.context)
            else:
                leg = self._leg(wait.wanted.leg)
                leg.waits.append(wait)
                self._file(leg)
                earlier = list(leg.backlog)
            # An event of the call outranks the end of the call, in whichever order the two arrived. A wait that names
            # no call is ended by no earlier event.
            for endings in (False, True) if wait.wanted.leg is not None else (False,):
                for kept in earlier:
                    backlog = self._legs[kept.event.data.call_connection_id or ""].backlog
                    if wait.offer(kept, backlog.ended, endings):
                        backlog.take(kept)
                    if wait.over:
                        return

    def finish(self, wait: Wait, *, cancelled: bool) -> None:
        """Ends the wait. An event that a cancelled wait has taken goes to the next wait."""
        with self._lock:
            if wait.wanted.leg is None:
                waits = self._anywhere[wait.wanted.context]
                waits.remove(wait)
                if not waits:
                    del self._anywhere[wait.wanted.context]
            else:
                leg = self._legs[wait.wanted.leg]
                leg.waits.remove(wait)
                self._file(leg)
            if not cancelled or wait.arrival is None:
                return
            sender = self._legs.get(wait.arrival.event.data.call_connection_id or "")
            if sender is not None and sender.backlog.give_back(wait.arrival):
                self._answer_waits(sender, wait.arrival)

    def ending(self, arrival: Arrival) -> Outcome:
        """The outcome of the call's end that ``arrival`` reports. Of two reports the more informative one counts."""
        with self._lock:
            # The call may have been forgotten since, and a later wait may have made it known again.
            leg = self._legs.get(arrival.event.data.call_connection_id or "")
            outcome = arrival.outcome if leg is None or leg.backlog.ending is None else leg.backlog.ending
        if outcome is None:
            raise WaitError(f"{arrival.event.name} ended the call, and came to the router without its outcome")
        return outcome

    def open(self, leg: str) -> None:
        """Keeps the call until :meth:`close`."""
        with self._lock:
            known = self._leg(leg)
            known.blocks += 1
            self._file(known)

    def close(self, leg: str, handlers: Sequence[EventTask]) -> None:
        """Reverses :meth:`open` and removes these handlers."""
        with self._lock:
            known = self._legs[leg]
            known.blocks -= 1
            known.handlers = [handler for handler in known.handlers if handler not in handlers]
            self._file(known)

    def attach(self, leg: str, handler: EventTask) -> None:
        """Offers the kept events of the call to the handler, then every later event."""
        with self._lock:
            known = self._leg(leg)
            known.handlers.append(handler)
            for arrival in known.backlog:
                handler.offer(arrival)
            self._file(known)

    def detach(self, leg: str, function: object) -> None:
        """Removes the handlers that call this function, with the events that they have not seen."""
        with self._lock:
            known = self._legs.get(leg)
            if known is None:
                return
            for handler in known.handlers:
                if handler.calls(function):
                    handler.stop()
            known.handlers = [handler for handler in known.handlers if not handler.calls(function)]
            self._file(known)

    def _answer_waits(self, leg: Leg, arrival: Arrival) -> None:
        context = arrival.event.data.operation_context
        of_context = () if context is None else self._anywhere.get(context, ())
        for wait in (*leg.waits, *of_context, *self._anywhere.get(None, ())):
            if wait.offer(arrival, leg.backlog.ended):
                leg.backlog.take(arrival)

    def _leg(self, leg: str) -> Leg:
        self._forget()
        known = self._legs.get(leg)
        if known is None:
            known = self._legs[leg] = Leg(leg, Backlog(self.backlog, self._kept))
        return known

    def _file(self, leg: Leg) -> None:
        """Decides anew when the call is forgotten: now, after others, or not yet."""
        self._idle.pop(leg.id, None)
        self._handled.pop(leg.id, None)
        if leg.waits or leg.blocks:
            return
        if leg.handlers and leg.backlog.ending is None:
            self._handled[leg.id] = None
        elif leg.backlog.blank:
            del self._legs[leg.id]
        else:
            leg.forget_at = self._clock() + self._keep
            self._idle[leg.id] = None
        self._forget()

    def _forget(self) -> None:
        now = self._clock()
        while self._idle:
            oldest = next(iter(self._idle))
            if len(self._idle) <= self._most and self._legs[oldest].forget_at > now:
                break
            del self._idle[oldest]
            self._legs.pop(oldest).backlog.forget()
        while len(self._handled) > self._most:
            oldest, _ = self._handled.popitem(last=False)
            fault = WaitError(f"more than {self._most} calls with handlers have not ended; this one is forgotten")
            leg = self._legs.pop(oldest)
            leg.backlog.forget()
            logs.listeners_failed([(handler.name, fault) for handler in leg.handlers])


@dataclass(eq=False, slots=True)
class Leg:
    """A leg with its kept events, its waits and its handlers. ``blocks`` counts the open ``async with`` blocks."""

    id: str
    backlog: Backlog
    waits: list[Wait] = field(default_factory=list["Wait"])
    handlers: list[EventTask] = field(default_factory=list["EventTask"])
    blocks: int = 0
    forget_at: float = 0.0


@dataclass(eq=False, slots=True)
class Wait:
    """A wait that has begun. :class:`Legs` sets its answer under the lock and wakes the wait in the wait's own loop.

    ``began`` is the wait's place in the order of arrivals. ``passed_over`` says that the wait has the operation context
    of a call that had ended before.
    """

    wanted: Wanted
    woken: asyncio.Future[None]
    began: int = 0
    passed_over: bool = False
    answer: Answer | None = None
    arrival: Arrival | None = None
    error: Exception | None = None

    @property
    def over(self) -> bool:
        return self.answer is not None or self.error is not None

    def offer(self, arrival: Arrival, ended: int | None, endings: bool = True) -> bool:
        """Takes the event and wakes the wait if the event answers the wait. True if the wait took the event.

        ``ended`` is the place of the call's end. With ``endings`` false the end of the call does not answer a wait for
        something else.
        """
        if self.over:
            return False
        if self.wanted.by_context and ended is not None and ended < self.began:
            # The app uses an operation context again, so a call that had ended before the wait is an earlier call.
            self.passed_over = True
            return False
        try:
            answer = self.wanted.answer(arrival.event)
        except Exception as error:
            self.error = error
            self._wake()
            return False
        if answer is None or (answer is Answer.ENDED and not endings):
            return False
        self.answer, self.arrival = answer, arrival
        self._wake()
        return True

    def _wake(self) -> None:
        # The wait is gone if its loop is closed.
        with suppress(RuntimeError):
            self.woken.get_loop().call_soon_threadsafe(self.woken.set_result, None)
