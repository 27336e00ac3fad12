"""A dispatcher over a store of tests, and what it has told its observer."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from structlog.contextvars import get_contextvars

from ringback import (
    Event,
    Outcome,
    classify_event,
)
from ringback.core.events import EventData, Result
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.router import HandlerRouter
from ringback.stores import MemoryStore
from ringback.work.pace import UNPACED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ringback.stores import DeliveryStore
    from ringback.work.call_detail import EndedLeg
    from ringback.work.contact import Change
    from ringback.work.items import Item, Progress, Work
    from ringback.work.latch import Offer
    from ringback.work.pace import Pace

T = TypeVar("T")


def bound_to() -> str | None:
    """The outcome of a call whose leg is in the log lines that are written now."""
    leg = get_contextvars().get("call_connection_id")
    return None if leg is None else f"call:{leg}"


LEG = "1f0e5c1a-0000-4000-8000-000000000001"
BUSY = Result(486, 560486)

request_of: ContextVar[str | None] = ContextVar("request_of", default=None)


def told(name: str = "CallDisconnected", leg: str = LEG, result: Result = BUSY) -> Outcome:
    data = EventData(call_connection_id=leg, result_information=result)
    outcome = classify_event(Event(type=f"Microsoft.Communication.{name}", id=f"{name}-{leg}", data=data))
    assert outcome is not None
    return outcome


RETRYABLE = told()
TERMINAL = told(result=Result(200, 560000))
UNKNOWN_RETRYABLE = told(result=Result(599, 123))
CREATE_FAILED = told("CreateCallFailed")
PAIR = Outcome(CREATE_FAILED.event, CREATE_FAILED.verdict, RETRYABLE.event)
OPERATION = told("PlayFailed", result=Result(400, 8536))
UNKNOWN_OPERATION = told("PlayFailed", result=Result(999, 123))
ADD_BUSY = told("AddParticipantFailed")
CONNECTED = told("CallConnected", leg="leg-2", result=Result(200, 0))


class Recorder:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.duplicates_bound: list[str | None] = []

    def outcomes_duplicate(self, outcomes: Sequence[Outcome]) -> None:
        self.told.append(("duplicate", *outcomes))
        self.duplicates_bound.append(bound_to())

    hears = False
    """Whether :meth:`call_ended` is called."""

    def writes_ends(self) -> Callable[[Outcome, EndedLeg], None] | None:
        return self.call_ended if self.hears else None

    def call_ended(self, outcome: Outcome, leg: EndedLeg) -> None:
        self.told.append(("ended", outcome, leg))

    def outcome_unhandled(self, outcome: Outcome) -> None:
        self.told.append(("unhandled", outcome))

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception, attempt: int, retry_in: float | None) -> None:
        self.told.append(("failed", outcome, hook.rpartition(".")[2], repr(error), attempt, retry_in))

    def hook_overran(self, outcome: Outcome, hook: str, seconds: float, held: int, threads: int) -> None:
        self.told.append(("overran", outcome, hook.rpartition(".")[2], seconds, held, threads))

    def hooks_abandoned(self, count: int, seconds: float) -> None:
        self.told.append(("abandoned", count, seconds))

    def hooks_given_back(self, count: int, seconds: float) -> None:
        self.told.append(("given back", count, seconds))

    def hooks_volatile(self, _: int) -> None:
        self.told.append(("volatile",))

    def lifespan_missing(self, *, durable: bool) -> None:
        self.told.append(("lifespan missing", durable))

    def lease_lost(self, outcome: Outcome) -> None:
        self.told.append(("lease lost", outcome))

    def loop_blocked(self, hook: str | None, seconds: float) -> None:
        self.told.append(("blocked", hook, seconds))

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None:
        self.told.append(("scheduled", outcome, at, number))

    def redial_put_off(self, outcome: Outcome, at: float, number: int) -> None:
        self.told.append(("put off", outcome, at, number))

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None:
        self.told.append(("exhausted", outcome, limit))

    def redial_skipped(self, outcome: Outcome, reason: str) -> None:
        self.told.append(("skipped", outcome, reason))

    def redial_canceled(self, outcome: Outcome) -> None:
        self.told.append(("canceled", outcome))

    def redials_paused(self, outcome: Outcome, seconds: float) -> None:
        self.told.append(("paused", outcome, seconds))

    def redial_placed(self, outcome: Outcome, number: int, leg: str | None) -> None:
        self.told.append(("placed", outcome, number, leg))

    def redial_zone_unset(self, redial: str) -> None:
        self.told.append(("zone unset", redial))

    def redial_unknown(self, outcome: Outcome, number: int, reason: str) -> None:
        self.told.append(("unknown", outcome, number, reason))

    def store_unavailable(self, error: Exception) -> None:
        self.told.append(("store", repr(error)))

    def store_bypassed(self, count: int) -> None:
        self.told.append(("bypassed", count))


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Fake(MemoryStore):
    """A store that says it is durable, and fails as it is told."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.faults: dict[str, Exception] = {}
        self.changed: list[str] = []
        self.ours = True
        self.ends_with: Exception | None = None

    @property
    def durable(self) -> bool:
        return True

    def _may(self, name: str) -> None:
        if name in self.faults:
            raise self.faults[name]

    async def open(self) -> None:
        self._may("open")

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        self._may("put")
        return await super().put(items)

    async def run(self, work: Work, concurrency: int, pace: Pace = UNPACED) -> None:
        self._may("run")
        await super().run(work, concurrency, pace)
        if self.ends_with is not None:
            raise self.ends_with

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        self._may("checkpoint")
        return self.ours and await super().checkpoint(key, progress)

    async def change(self, contact: str, step: Change[T]) -> T | None:
        self.changed.append(contact)
        return await super().change(contact, step)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what happens in threads and in real time."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


class Bench:
    """A dispatcher with everything that is around it."""

    def __init__(
        self,
        *,
        settle: float = 0,
        capacity: int = 10_000,
        store: DeliveryStore | None = None,
        clock: Callable[[], float] | None = None,
        **settings: Any,
    ) -> None:
        self.router, self.observer, self.clock = HandlerRouter(), Recorder(), Clock()
        self.store = store or MemoryStore(capacity=capacity, clock=self.clock)
        self.dispatcher = Dispatcher(
            self.router,
            self.observer,
            store=self.store,
            settle=settle,
            clock=clock or self.clock,
            random=lambda: 0.0,
            **settings,
        )
        self.calls: list[Any] = []

    def hook(self, name: str) -> Callable[[Outcome], Awaitable[None]]:
        """An async hook that records its name and the outcome."""

        async def hook(outcome: Outcome) -> None:
            self.calls.append((name, outcome))

        return hook

    async def dispatch(self, *outcomes: Outcome) -> None:
        """Accept, and wait until every hook has returned."""
        await self.dispatcher.accept(outcomes)
        await self.dispatcher.drain(5)

    async def passes(self, seconds: float = 1.0) -> None:
        """Let time pass, and all async hooks that are due run."""
        await turns()
        self.clock.now += seconds
        assert isinstance(self.store, MemoryStore)
        # A real timer of the store knows nothing of this clock.
        self.store._lanes.wake()
        await turns()
