"""The calls that somebody has heard of or asks for: what each said, who is told, and when it is forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from ringback import logs
from ringback.backlog import Answer, Backlog, Said, Wanted
from ringback.callables import handler_name, is_async
from ringback.exceptions import WaitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ringback.events import Event
    from ringback.outcome import Outcome


class Legs:
    """Calls by their ``callConnectionId``. What is public here takes the lock: any thread may call it.

    A call is kept while somebody waits or has it open. One with handlers is kept until it ends, unless ``most`` others
    were heard of since. Any other one is for ``keep`` seconds, unless ``most`` others were.
    """

    def __init__(self, backlog: int, keep: float, most: int, clock: Callable[[], float]) -> None:
        self.backlog = backlog
        self._keep = keep
        self._most = most
        self._clock = clock
        self._numbers = count()
        # Predicates run under it, and may ask for calls themselves.
        self._lock = threading.RLock()
        self._legs: dict[str, Leg] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._handled: OrderedDict[str, None] = OrderedDict()
        self._anywhere: list[Wait] = []

    def __len__(self) -> int:
        with self._lock:
            self._forget()
            return len(self._legs)

    def heard(self, events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        """Take events in and answer with them, in order. A listener of the router."""
        judged = {id(each.event): each for each in outcomes}
        with self._lock:
            for event in events:
                said = Said(event, judged.get(id(event)), next(self._numbers))
                name = event.data.call_connection_id
                if not name:
                    # Event Grid's events name no leg: they are for whom waits now, nobody could ask for them later.
                    self._tell(Leg("", Backlog(1)), said)
                    continue
                leg = self._leg(name)
                if leg.backlog.add(said):
                    for handler in leg.handlers:
                        handler.hear(said)
                    self._tell(leg, said)
                self._file(leg)

    def begin(self, wait: Wait) -> None:
        """Let the wait be answered: with what was said before, else with what is said next."""
        with self._lock:
            self._forget()
            if wait.wanted.leg is None:
                legs = list(self._legs.values())
                self._anywhere.append(wait)
            else:
                legs = [self._leg(wait.wanted.leg)]
                legs[0].waits.append(wait)
                self._file(legs[0])
            earlier = sorted(((said, leg) for leg in legs for said in leg.backlog), key=lambda pair: pair[0].number)
            # What the call still said comes before that it has ended, in whichever order they arrived.
            for endings in (False, True):
                for said, leg in earlier:
                    if wait.hears(said, endings):
                        leg.backlog.take(said)

    def finish(self, wait: Wait, *, lived: bool) -> None:
        """The wait is over. What it was told and did not live to see goes to the next."""
        with self._lock:
            if wait.wanted.leg is None:
                self._anywhere.remove(wait)
            else:
                leg = self._legs[wait.wanted.leg]
                leg.waits.remove(wait)
                self._file(leg)
            if lived or wait.said is None:
                return
            told = self._legs.get(wait.said.event.data.call_connection_id or "")
            if told is not None and told.backlog.give_back(wait.said):
                self._tell(told, wait.said)

    def ending(self, said: Said) -> Outcome:
        """The best that is known of a call's end: of two events, the more informative."""
        with self._lock:
            leg = self._legs.get(said.event.data.call_connection_id or "")
            outcome = said.outcome if leg is None else leg.backlog.ending
        assert outcome is not None
        return outcome

    def open(self, leg: str) -> None:
        """Keep the call until :meth:`close`."""
        with self._lock:
            known = self._leg(leg)
            known.blocks += 1
            self._file(known)

    def close(self, leg: str, handlers: Sequence[EventTask]) -> None:
        """The opposite of :meth:`open`; these handlers go."""
        with self._lock:
            known = self._legs[leg]
            known.blocks -= 1
            known.handlers = [each for each in known.handlers if each not in handlers]
            self._file(known)

    def attach(self, leg: str, handler: EventTask) -> None:
        """Hand the call's events to the handler, first those of before."""
        with self._lock:
            known = self._leg(leg)
            known.handlers.append(handler)
            for said in known.backlog:
                handler.hear(said)
            self._file(known)

    def _tell(self, leg: Leg, said: Said) -> None:
        for wait in (*leg.waits, *self._anywhere):
            if wait.hears(said):
                leg.backlog.take(said)

    def _leg(self, leg: str) -> Leg:
        self._forget()
        known = self._legs.get(leg)
        if known is None:
            known = self._legs[leg] = Leg(leg, Backlog(self.backlog))
        return known

    def _file(self, leg: Leg) -> None:
        """Put the call where it is forgotten in its turn, or where it is not."""
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
            del self._idle[oldest], self._legs[oldest]
        while len(self._handled) > self._most:
            oldest, _ = self._handled.popitem(last=False)
            fault = WaitError(f"more than {self._most} calls with handlers have not ended; this one is forgotten")
            logs.listeners_failed([(handler.name, fault) for handler in self._legs.pop(oldest).handlers])


@dataclass(eq=False, slots=True)
class Leg:
    """A call: what it said, and who wants to know."""

    id: str
    backlog: Backlog
    waits: list[Wait] = field(default_factory=list["Wait"])
    handlers: list[EventTask] = field(default_factory=list["EventTask"])
    blocks: int = 0
    forget_at: float = 0.0


@dataclass(eq=False, slots=True)
class Wait:
    """A wait under way. It is answered under the lock, and woken in its own loop."""

    wanted: Wanted
    woken: asyncio.Future[None]
    answer: Answer | None = None
    said: Said | None = None
    error: Exception | None = None

    def hears(self, said: Said, endings: bool = True) -> bool:
        """Whether the event is the answer, and the wait has it now."""
        if self.answer is not None or self.error is not None:
            return False
        try:
            answer = self.wanted.answer(said.event)
        except Exception as error:
            self.error = error
            self._wake()
            return False
        if answer is None or (answer is Answer.ENDED and not endings):
            return False
        self.answer, self.said = answer, said
        self._wake()
        return True

    def _wake(self) -> None:
        # A loop that is closed has nobody left to wake.
        with suppress(RuntimeError):
            self.woken.get_loop().call_soon_threadsafe(self.woken.set_result, None)


_RUNNING: set[asyncio.Task[None]] = set()
# A loop holds its tasks by weak references only.


class EventTask:
    """A handler and the events it has not seen yet, at most ``most``; it is called with one at a time."""

    def __init__(
        self,
        wanted: Wanted,
        function: Callable[[Event], Awaitable[None] | None],
        loop: asyncio.AbstractEventLoop,
        most: int,
    ) -> None:
        self._wanted = wanted
        self._function = function
        self._loop = loop
        self._most = most
        self._pending: deque[Event] = deque()
        self._runs = False

    @property
    def name(self) -> str:
        return handler_name(self._function)

    def hear(self, said: Said) -> None:
        """Hand the event on, if it is one of the handler's. Never raises."""
        try:
            if self._wanted.answer(said.event) is not Answer.WANTED:
                return
            if len(self._pending) == self._most:
                raise WaitError(f"the handler is {self._most} events behind; {said.event.name} is not handed to it")
        except Exception as error:
            logs.listeners_failed([(self.name, error)])
            return
        self._pending.append(said.event)
        # A loop that is closed has nobody left to call.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        if self._runs:
            return
        self._runs = True
        # In a context of its own: it outlives the request that happens to start it.
        task = self._loop.create_task(self._run(), context=Context())
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)

    async def _run(self) -> None:
        try:
            while self._pending:
                await self._call(self._pending.popleft())
        finally:
            self._runs = False

    async def _call(self, event: Event) -> None:
        function: Any = self._function
        try:
            with logs.bound_ids([event]):
                if is_async(function):
                    await function(event)
                else:
                    await asyncio.to_thread(function, event)
        except Exception as error:
            logs.listeners_failed([(self.name, error)])
