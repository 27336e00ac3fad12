"""When hooks are called, in what order, and what happens when one of them raises."""

from __future__ import annotations

import asyncio
import hmac
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from ringback import (
    ConfigurationError,
    Dispatcher,
    Event,
    HookContext,
    HookPolicy,
    Outcome,
    RedialPolicy,
    Result,
    Retry,
    StoreError,
    StoreUnavailable,
    classify_event,
    dispatch,
)
from ringback.events import EventData
from ringback.redial import repeatability
from ringback.router import HandlerRouter
from ringback.stores import DeadLetter, MemoryStore, Stats
from ringback.stores.port import Item, Kind, Progress
from ringback.stores.record import short
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from ringback.latch import Offer
    from ringback.stores import DeliveryStore
    from ringback.stores.port import Work

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
BUSY = Result(486, 560486)

bound_to: ContextVar[str | None] = ContextVar("bound_to", default=None)
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

    @contextmanager
    def bound(self, outcome: Outcome) -> Iterator[None]:
        token = bound_to.set(outcome.outcome_id)
        try:
            yield
        finally:
            bound_to.reset(token)

    def outcome_duplicate(self, outcome: Outcome) -> None:
        self.told.append(("duplicate", outcome))
        self.duplicates_bound.append(bound_to.get())

    def outcome_unhandled(self, outcome: Outcome) -> None:
        self.told.append(("unhandled", outcome))

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception, attempt: int, retry_in: float | None) -> None:
        self.told.append(("failed", outcome, hook.rpartition(".")[2], repr(error), attempt, retry_in))

    def hooks_abandoned(self, count: int, seconds: float) -> None:
        self.told.append(("abandoned", count, seconds))

    def hooks_given_back(self, count: int, seconds: float) -> None:
        self.told.append(("given back", count, seconds))

    def hooks_volatile(self) -> None:
        self.told.append(("volatile",))

    def lifespan_missing(self) -> None:
        self.told.append(("lifespan missing",))

    def lease_lost(self, outcome: Outcome) -> None:
        self.told.append(("lease lost", outcome))

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None:
        self.told.append(("scheduled", outcome, at, number))

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None:
        self.told.append(("exhausted", outcome, limit))

    def redial_canceled(self, outcome: Outcome) -> None:
        self.told.append(("canceled", outcome))

    def redial_placed(self, outcome: Outcome, number: int, leg: str | None) -> None:
        self.told.append(("placed", outcome, number, leg))

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
        self.canceled: list[str] = []
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

    async def run(self, work: Work, concurrency: int) -> None:
        self._may("run")
        await super().run(work, concurrency)
        if self.ends_with is not None:
            raise self.ends_with

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        self._may("checkpoint")
        return self.ours and await super().checkpoint(key, progress)

    async def cancel(self, contact: str, leg: str | None = None) -> int:
        self.canceled.append(contact)
        return await super().cancel(contact, leg)


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
        self.store._loop.wake()
        await turns()


async def test_accepting_returns_before_any_hook_is_called() -> None:
    """Who answers the request never waits for a hook, nor sees its exception."""
    bench = Bench()

    @bench.router.on_retryable
    async def fails(outcome: Outcome) -> None:
        bench.calls.append(outcome)
        raise ValueError("no line")

    await bench.dispatcher.accept([RETRYABLE])
    assert bench.calls == []
    await turns()
    assert bench.calls == [RETRYABLE]
    assert bench.observer.told == [("failed", RETRYABLE, "fails", "ValueError('no line')", 1, None)]


async def test_hooks_run_in_the_order_of_registration_one_after_the_other() -> None:
    """A hook may rely on those registered before it having returned."""
    bench = Bench()

    @bench.router.on(cause="busy")
    async def first(outcome: Outcome) -> None:
        bench.calls.append("first begins")
        await turns()
        bench.calls.append("first ends")

    @bench.router.on_retryable
    def second(outcome: Outcome) -> None:
        bench.calls.append("second")

    bench.router.on(code=486)(bench.hook("third"))
    bench.router.on_terminal(bench.hook("never"))
    await bench.dispatch(RETRYABLE)
    assert bench.calls == ["first begins", "first ends", "second", ("third", RETRYABLE)]
    assert bench.observer.told == []


async def test_hooks_of_different_calls_do_not_wait_for_each_other() -> None:
    """A slow hook holds up its own call alone."""
    bench, release = Bench(), asyncio.Event()
    slow, fast = told(leg="slow"), told(leg="fast")

    @bench.router.on_retryable
    async def hook(outcome: Outcome) -> None:
        if outcome is slow:
            await release.wait()
        bench.calls.append(outcome)

    await bench.dispatcher.accept([slow, fast])
    await turns()
    assert bench.calls == [fast]
    release.set()
    await turns()
    assert bench.calls == [fast, slow]


async def test_a_sync_hook_runs_in_a_worker_thread_and_sees_the_context() -> None:
    """A hook that blocks must not stop the loop; what was bound where it was accepted is there too."""
    bench = Bench()

    @bench.router.on_retryable
    def hook(outcome: Outcome) -> None:
        bench.calls.append((threading.get_ident(), bound_to.get(), request_of.get()))

    request_of.set("request 7")
    await bench.dispatch(RETRYABLE)
    ((ident, *context),) = bench.calls
    assert ident != threading.get_ident()
    assert context == [f"call:{LEG}", "request 7"]
    assert bound_to.get() is None


async def test_an_async_hook_runs_in_the_loop_and_sees_the_context() -> None:
    """An async hook runs where it was accepted, also after the settle time."""
    bench = Bench(settle=1)

    @bench.router.on_retryable
    async def hook(outcome: Outcome) -> None:
        bench.calls.append((threading.get_ident(), bound_to.get(), request_of.get()))

    request_of.set("request 7")
    await bench.dispatcher.accept([RETRYABLE])
    request_of.set("another request")
    await bench.passes()
    assert bench.calls == [(threading.get_ident(), f"call:{LEG}", "request 7")]


class AsyncHook:
    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    async def __call__(self, outcome: Outcome) -> None:
        self.calls.append(("async object", outcome, threading.get_ident()))


class SyncHook(AsyncHook):
    def __call__(self, outcome: Outcome) -> None:  # type: ignore[override]
        self.calls.append(("object", outcome, threading.get_ident()))


async def test_callable_objects_are_called_as_their_call_is() -> None:
    """An object with an async ``__call__`` runs in the loop, any other in a thread."""
    bench = Bench()
    bench.router.on_retryable(AsyncHook(bench.calls))
    bench.router.on_retryable(SyncHook(bench.calls))
    await bench.dispatch(RETRYABLE)
    (*first, in_loop), (*second, in_thread) = bench.calls
    assert (first, second) == (["async object", RETRYABLE], ["object", RETRYABLE])
    assert in_loop == threading.get_ident() != in_thread


async def test_what_a_sync_hook_returns_is_awaited() -> None:
    """A plain function around an async one, as many decorators make it, is called to its end."""
    bench = Bench()
    inner = bench.hook("inner")
    bench.router.on_retryable(lambda outcome: inner(outcome))
    await bench.dispatch(RETRYABLE)
    assert bench.calls == [("inner", RETRYABLE)]


def breaks_async() -> Callable[..., Any]:
    async def breaks(outcome: Outcome) -> None:
        raise ValueError("no line")

    return breaks


def breaks_sync() -> Callable[..., Any]:
    def breaks(outcome: Outcome) -> None:
        raise ValueError("no line")

    return breaks


def breaks_later() -> Callable[..., Any]:
    hook = breaks_async()

    def breaks(outcome: Outcome) -> Any:
        return hook(outcome)

    return breaks


@pytest.mark.parametrize("broken", [breaks_async, breaks_sync, breaks_later], ids=["async", "sync", "returned"])
async def test_a_hook_that_raises_is_reported_once_and_stops_nothing(broken: Callable[[], Callable[..., Any]]) -> None:
    """The log hears of it, then every error handler; the other hooks are called all the same."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("before"))
    bench.router.on_retryable(broken())
    bench.router.on_retryable(bench.hook("after"))

    @bench.router.on_error
    async def first(outcome: Outcome, error: Exception) -> None:
        bench.calls.append(("first", outcome, repr(error), bound_to.get()))

    @bench.router.on_error
    def second(outcome: Outcome, error: Exception) -> None:
        bench.calls.append(("second", outcome, repr(error), bound_to.get()))

    await bench.dispatch(RETRYABLE)
    error, leg = "ValueError('no line')", f"call:{LEG}"
    assert bench.calls == [
        ("before", RETRYABLE),
        ("first", RETRYABLE, error, leg),
        ("second", RETRYABLE, error, leg),
        ("after", RETRYABLE),
    ]
    assert bench.observer.told == [("failed", RETRYABLE, "breaks", error, 1, None)]


async def test_a_sync_hook_that_raises_stop_iteration_is_reported_like_any_other() -> None:
    """No future can carry a StopIteration out of its thread; it must not stall the hooks behind it."""
    bench = Bench()

    @bench.router.on_retryable
    def exhausted(outcome: Outcome) -> None:
        next(iter(()))

    bench.router.on_retryable(bench.hook("after"))
    await bench.dispatch(RETRYABLE)
    assert bench.calls == [("after", RETRYABLE)]
    raised = "RuntimeError('the handler raised StopIteration')"
    assert bench.observer.told == [("failed", RETRYABLE, "exhausted", raised, 1, None)]


async def test_an_error_handler_that_raises_is_only_reported() -> None:
    """It is not called with its own error, and the next error handler still is."""
    bench = Bench()
    bench.router.on_retryable(breaks_async())

    @bench.router.on_error
    def careless(outcome: Outcome, error: Exception) -> None:
        raise KeyError("pager")

    @bench.router.on_error
    def careful(outcome: Outcome, error: Exception) -> None:
        bench.calls.append(repr(error))

    await bench.dispatch(RETRYABLE)
    assert bench.calls == ["ValueError('no line')"]
    assert bench.observer.told == [
        ("failed", RETRYABLE, "breaks", "ValueError('no line')", 1, None),
        ("failed", RETRYABLE, "careless", "KeyError('pager')", 1, None),
    ]


async def test_a_predicate_that_raises_counts_as_no_and_is_reported() -> None:
    """Its handler is not called, the others are, and the error handlers hear of it."""
    bench = Bench()
    bench.router.on(cause="busy", when=lambda outcome: bool(1 / 0))(bench.hook("never"))
    bench.router.on_retryable(bench.hook("after"))

    @bench.router.on_error
    def report(outcome: Outcome, error: Exception) -> None:
        bench.calls.append(repr(error))

    await bench.dispatch(RETRYABLE)
    assert bench.calls == ["ZeroDivisionError('division by zero')", ("after", RETRYABLE)]
    assert bench.observer.told == [
        ("failed", RETRYABLE, "hook (when)", "ZeroDivisionError('division by zero')", 1, None)
    ]


async def test_a_hook_registered_for_several_criteria_is_called_once() -> None:
    """Stacked decorators mean *or*, not *again*."""
    bench = Bench()
    hook = bench.hook("once")
    bench.router.on(cause="busy")(bench.router.on(code=486)(bench.router.on_retryable(hook)))
    included = HandlerRouter()
    included.on_retryable(hook)
    bench.router.include(included)
    await bench.dispatch(RETRYABLE)
    assert bench.calls == [("once", RETRYABLE)]


async def test_a_hook_registered_later_is_called() -> None:
    """The router is read for each outcome, not when the dispatcher was made."""
    bench = Bench()
    await bench.dispatch(told(leg="early", result=Result(200, 560000)))
    bench.router.on_terminal(bench.hook("late"))
    await bench.dispatch(TERMINAL)
    assert bench.calls == [("late", TERMINAL)]


@pytest.mark.parametrize("pair", [(RETRYABLE, CREATE_FAILED), (CREATE_FAILED, RETRYABLE)], ids=["as-sent", "reversed"])
@pytest.mark.parametrize("together", [True, False], ids=["one-delivery", "two-deliveries"])
async def test_the_pair_of_a_failed_create_calls_its_hooks_once(pair: tuple[Outcome, Outcome], together: bool) -> None:
    """Two events of one call in either order are one outcome; on redelivery no hook is called."""
    bench = Bench(settle=1)
    bench.router.on_retryable(bench.hook("again"))
    bench.router.on(event="CallDisconnected")(bench.hook("disconnected"))
    bench.router.on(event="CreateCallFailed")(bench.hook("failed"))
    for delivery in [pair] if together else [[each] for each in pair]:
        await bench.dispatcher.accept(delivery)
        await turns()
    assert bench.calls == []
    await bench.passes()
    assert bench.calls == [("again", PAIR), ("disconnected", PAIR), ("failed", PAIR)]
    assert bench.observer.told == []
    bench.calls.clear()
    await bench.dispatcher.accept(pair)
    await bench.passes()
    assert bench.calls == []
    assert bench.observer.told == [("duplicate", each) for each in pair]


async def test_a_redelivery_while_the_call_settles_is_a_duplicate() -> None:
    """The settle time is for the sibling; the same event again adds nothing."""
    bench = Bench(settle=1)
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatcher.accept([RETRYABLE, RETRYABLE])
    await bench.passes()
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("duplicate", RETRYABLE)]
    assert bench.observer.duplicates_bound == [RETRYABLE.outcome_id]


@pytest.mark.parametrize(("settings", "seconds"), [({"settle": 0.25}, 0.25), ({}, 1.0)], ids=["given", "standard"])
async def test_the_settle_time_is_as_configured_and_one_second_by_default(
    settings: dict[str, float], seconds: float
) -> None:
    """No hook is called before it is over, and none later."""
    bench = Bench()
    bench.dispatcher = Dispatcher(bench.router, bench.observer, store=bench.store, clock=bench.clock, **settings)  # type: ignore[arg-type]
    bench.router.on_terminal(bench.hook("close"))
    other = told(leg="another", result=Result(200, 560000))
    await bench.dispatcher.accept([TERMINAL, other])
    await bench.passes(seconds / 2)
    assert bench.calls == []
    await bench.passes(seconds / 2)
    assert bench.calls == [("close", TERMINAL), ("close", other)]


async def test_without_a_settle_time_the_first_event_decides() -> None:
    """``settle=0`` trades the sibling for speed: no time passes, and the sibling is a duplicate."""
    bench = Bench(settle=0)
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert bench.calls == [("again", RETRYABLE)]
    await bench.dispatch(CREATE_FAILED)
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("duplicate", CREATE_FAILED)]


async def test_a_forgotten_call_is_news_again() -> None:
    """The memory of endings is bounded by the store's ``capacity``."""
    bench = Bench(capacity=1)
    bench.router.on_retryable(bench.hook("again"))
    other = told(leg="other")
    for outcome in (RETRYABLE, other, RETRYABLE, RETRYABLE):
        await bench.dispatch(outcome)
    assert bench.calls == [("again", RETRYABLE), ("again", other), ("again", RETRYABLE)]
    assert bench.observer.told == [("duplicate", RETRYABLE)]


async def test_operations_are_not_held_back() -> None:
    """An operation has no sibling to wait for; delivered again it is a duplicate."""
    bench = Bench(settle=1)
    bench.router.on(event="PlayFailed")(bench.hook("play"))
    await bench.dispatcher.accept([OPERATION, OPERATION])
    await turns()
    assert bench.calls == [("play", OPERATION)]
    assert bench.observer.told == [("duplicate", OPERATION)]


async def test_operations_are_passed_over_unless_somebody_asks() -> None:
    """They cost no memory and no duplicate line in an app that has no use for them."""
    bench = Bench(capacity=1)
    for register in (bench.router.on_retryable, bench.router.on_terminal, bench.router.on_unrecognized):
        register(bench.hook("call"))
    bench.router.on(cause="busy")(bench.hook("busy"))
    bench.router.on(when=lambda outcome: True)(bench.hook("all"))
    await bench.dispatch(TERMINAL)
    bench.calls.clear()
    await bench.dispatch(OPERATION, OPERATION, ADD_BUSY, TERMINAL)
    # That the call is still remembered shows that no operation took its place.
    assert (bench.calls, bench.observer.told) == ([], [("duplicate", TERMINAL)])


async def test_an_unknown_operation_reaches_the_unrecognized_hook() -> None:
    """What the catalog does not know is never dropped, whether anybody else asks for operations or not."""
    bench = Bench()
    bench.router.on_unrecognized(bench.hook("unrecognized"))
    await bench.dispatch(UNKNOWN_OPERATION, OPERATION)
    assert bench.calls == [("unrecognized", UNKNOWN_OPERATION)]


async def test_an_unhandled_retryable_call_is_reported_once_only() -> None:
    """One line tells the developer what to add; a line for each call would only be noise."""
    bench = Bench()
    bench.router.on_terminal(bench.hook("close"))
    bench.router.on(cause="declined")(bench.hook("declined"))
    await bench.dispatch(TERMINAL)
    assert bench.observer.told == []
    await bench.dispatch(told(leg="first"), told(leg="second"))
    assert bench.observer.told == [("unhandled", told(leg="first"))]


async def test_what_nobody_asks_for_is_not_kept() -> None:
    """An app that only reads its log pays for no hook; what comes again is told all the same, and what is unhandled."""
    bench = Bench()
    hung_up = told(leg="second", result=Result(200, 560000))
    await bench.dispatch(hung_up, RETRYABLE, OPERATION, hung_up, RETRYABLE, told(leg="third"))
    await turns()
    assert bench.observer.told == [("duplicate", hung_up), ("duplicate", RETRYABLE), ("unhandled", RETRYABLE)]
    assert await bench.dispatcher.store.stats() == Stats()


async def test_what_a_page_asks_for_is_kept() -> None:
    """Somebody looks at the calls that end, though no hook is called for them."""
    bench = Bench()
    history = bench.dispatcher.store.history
    await bench.dispatch(TERMINAL, TERMINAL)
    assert [each.outcome for each in await history.latest(10)] == [TERMINAL]
    assert bench.observer.told == [("duplicate", TERMINAL)]


async def test_the_unrecognized_hook_handles_no_retry() -> None:
    """It hears of gaps in the catalog; nobody has asked for the retryable call."""
    bench = Bench()
    bench.router.on_unrecognized(bench.hook("unrecognized"))
    await bench.dispatch(UNKNOWN_RETRYABLE)
    assert bench.calls == [("unrecognized", UNKNOWN_RETRYABLE)]
    assert bench.observer.told == [("unhandled", UNKNOWN_RETRYABLE)]


async def test_a_hook_that_is_both_unrecognized_and_retryable_handles_the_retry() -> None:
    """It is called once, and the call is not reported as unhandled, whichever came first."""
    bench = Bench()
    hook = bench.hook("both")
    bench.router.on_unrecognized(hook)
    bench.router.on_retryable(hook)
    await bench.dispatch(UNKNOWN_RETRYABLE)
    assert (bench.calls, bench.observer.told) == ([("both", UNKNOWN_RETRYABLE)], [])


async def test_a_retryable_operation_is_never_unhandled() -> None:
    """Only calls are called again."""
    bench = Bench()
    bench.router.on(scope="operation", cause="declined")(bench.hook("declined"))
    await bench.dispatch(ADD_BUSY)
    assert (bench.calls, bench.observer.told) == ([], [])


async def test_draining_ends_the_settle_time_at_once() -> None:
    """On shutdown a sibling is no longer waited for; what settles is told, in the order in which it came."""
    bench = Bench(settle=1)
    bench.router.on_retryable(bench.hook("again"))
    other = told(leg="other")
    await bench.dispatcher.accept([RETRYABLE, CREATE_FAILED])
    await bench.dispatcher.accept([other])
    await turns()
    assert bench.calls == []
    await bench.dispatcher.drain(5)
    assert bench.calls == [("again", PAIR), ("again", other)]
    await bench.passes()
    assert (bench.calls, bench.observer.told) == ([("again", PAIR), ("again", other)], [])


async def test_draining_with_nothing_due_returns() -> None:
    """A shutdown without calls waits for nothing and says nothing."""
    bench = Bench(settle=1)
    await bench.dispatcher.drain(5)
    assert (bench.calls, bench.observer.told) == ([], [])


async def test_draining_waits_for_hooks_that_run() -> None:
    """A hook that has begun may end, if it does so in time."""
    bench = Bench()

    @bench.router.on_retryable
    async def slow(outcome: Outcome) -> None:
        await asyncio.sleep(0.02)
        bench.calls.append(outcome)

    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert bench.calls == []
    await bench.dispatcher.drain(5)
    assert (bench.calls, bench.observer.told) == ([RETRYABLE], [])


async def test_draining_cancels_and_reports_late_hooks() -> None:
    """A cancellation is no error of the hook: it is not reported as one, and the hooks behind are not begun."""
    bench = Bench()

    @bench.router.on_retryable
    async def stuck(outcome: Outcome) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            bench.calls.append(("cancelled", outcome))
            raise

    bench.router.on_retryable(bench.hook("behind"))
    bench.router.on_terminal(bench.hook("in time"))
    terminal, other = told(leg="done", result=Result(200, 560000)), told(leg="other")
    await bench.dispatcher.accept([RETRYABLE, terminal, other])
    await bench.dispatcher.drain(0.02)
    await turns()
    in_time, *cancelled = bench.calls
    assert in_time == ("in time", terminal)
    # Cancelled as a set of tasks, in no order.
    assert sorted(cancelled, key=repr) == sorted([("cancelled", RETRYABLE), ("cancelled", other)], key=repr)
    assert bench.observer.told == [("abandoned", 2, 0.02)]


async def test_what_is_accepted_while_draining_is_called_too() -> None:
    """A request that ends during the shutdown does not lose its hooks, and waits for no sibling."""
    bench, other = Bench(settle=1), told(leg="other")

    @bench.router.on_retryable
    async def accepts(outcome: Outcome) -> None:
        bench.calls.append(outcome)
        await bench.dispatcher.accept([other])

    await bench.dispatch(RETRYABLE)
    assert bench.calls == [RETRYABLE, other]
    assert bench.observer.told == [("duplicate", other)]


async def test_draining_ends_though_hooks_accept_without_end() -> None:
    """The time-out is for the whole shutdown, not for each round of it."""
    bench = Bench()

    @bench.router.on_retryable
    async def endless(outcome: Outcome) -> None:
        bench.calls.append(outcome)
        await asyncio.sleep(0.01)
        await bench.dispatcher.accept([told(leg=f"leg-{len(bench.calls)}")])

    await bench.dispatcher.accept([RETRYABLE])
    await bench.dispatcher.drain(0.05)
    await turns()
    count = len(bench.calls)
    await turns()
    assert len(bench.calls) == count
    assert bench.observer.told == [("abandoned", 1, 0.05)]


def test_draining_leaves_alone_what_runs_in_another_loop() -> None:
    """Tests and tools use one router in several loops: what was begun in one ends there."""
    bench = Bench(settle=1)
    settling, running, release = told(leg="settling"), told("PlayFailed"), asyncio.Event()

    @bench.router.on(scope=["call", "operation"])
    async def hook(outcome: Outcome) -> None:
        if outcome is running:
            await release.wait()
        bench.calls.append(outcome)

    async def begin() -> None:
        await bench.dispatcher.accept([settling, running])
        await turns()

    async def finish() -> None:
        release.set()
        await bench.passes()
        await bench.dispatcher.drain(5)

    with asyncio.Runner() as first:
        first.run(begin())
        asyncio.run(bench.dispatcher.drain(0.02))
        assert bench.calls == []
        first.run(finish())
    assert (bench.calls, bench.observer.told) == ([running, settling], [])


def test_what_a_loop_that_was_ended_has_left_is_called_when_another_one_drains() -> None:
    """In memory it is nowhere else; a hook that had begun is told that it may have run before."""
    bench, began = Bench(settle=1), asyncio.Event()

    @bench.router.on(scope=["call", "operation"])
    async def hook(outcome: Outcome, ctx: HookContext) -> None:
        bench.calls.append((outcome, ctx.redelivered))
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()

    async def begin() -> None:
        await bench.dispatcher.accept([OPERATION, RETRYABLE])
        await turns()

    asyncio.run(begin())
    asyncio.run(bench.dispatcher.drain(5))
    assert bench.calls == [(OPERATION, False), (OPERATION, True), (RETRYABLE, False)]
    assert bench.observer.told == []


def test_what_a_loop_that_was_only_closed_has_left_is_called_when_another_one_drains() -> None:
    """Its worker never ended, and will never run again."""
    bench = Bench(settle=1)
    bench.router.on_retryable(bench.hook("again"))

    async def begin() -> None:
        await bench.dispatcher.accept([RETRYABLE])
        await turns()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    asyncio.run(bench.dispatcher.drain(5))
    assert (bench.calls, bench.observer.told) == ([("again", RETRYABLE)], [])


def test_each_loop_has_one_worker_however_deliveries_alternate() -> None:
    """A delivery in one loop must not make the dispatcher forget the worker of another."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("again"))
    outcomes = [told(leg=f"leg-{number}") for number in range(4)]

    async def accepts(outcome: Outcome) -> int:
        await bench.dispatcher.accept([outcome])
        await turns()
        return len(asyncio.all_tasks())

    async def drains() -> int:
        await bench.dispatcher.drain(5)
        return len(asyncio.all_tasks())

    with asyncio.Runner() as one, asyncio.Runner() as other:
        tasks = [runner.run(accepts(each)) for runner, each in zip([one, other, one, other], outcomes, strict=True)]
        left = [runner.run(drains()) for runner in (one, other)]
    # The test's own task, and the worker until it is drained.
    assert (tasks, left) == ([2, 2, 2, 2], [1, 1])
    assert (bench.calls, bench.observer.told) == ([("again", each) for each in outcomes], [])


async def test_draining_leaves_no_task_behind() -> None:
    """A task that outlives the shutdown would be cancelled by the loop, or keep it from ending."""
    bench = Bench(settle=1)
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatch(RETRYABLE)
    await turns()
    assert (bench.calls, asyncio.all_tasks()) == ([("again", RETRYABLE)], {asyncio.current_task()})


async def test_in_memory_only_retry_leads_to_another_attempt() -> None:
    """A hook that asks for it is called again when its time has come."""
    bench = Bench()

    @bench.router.on_retryable
    async def hook(outcome: Outcome, ctx: HookContext) -> None:
        bench.calls.append(ctx.attempt)
        if ctx.attempt == 1:
            raise Retry("busy", after=30)

    await bench.dispatcher.accept([RETRYABLE])
    await bench.passes(29)
    assert bench.calls == [1]
    await bench.passes(1)
    await bench.dispatcher.drain(5)
    assert bench.calls == [1, 2]
    assert bench.observer.told == [("failed", RETRYABLE, "hook", "Retry('busy')", 1, 30.0)]


def test_an_unknown_store_failure_policy_is_refused() -> None:
    """A typing error must not decide about lost outcomes."""
    with pytest.raises(ConfigurationError) as refused:
        Bench(on_store_failure="ignore")
    assert str(refused.value) == "on_store_failure 'ignore' is unknown; use 'refuse' or 'inline'"


@pytest.mark.parametrize("store", [None, MemoryStore()], ids=["none", "in-memory"])
def test_without_a_worker_a_store_in_memory_is_refused(store: MemoryStore | None) -> None:
    """Nobody else could ever work on what waits in it."""
    with pytest.raises(ConfigurationError) as refused:
        Dispatcher(HandlerRouter(), Recorder(), store=store, worker=False)
    assert str(refused.value) == "worker=False needs a store that another process can work on; pass store="


def with_hook(bench: Bench) -> None:
    bench.router.on_retryable(bench.hook("again"))


def with_redial(bench: Bench) -> None:
    bench.router.redial(contact=lambda outcome: None)(bench.hook("redial"))


def with_nothing(bench: Bench) -> None:
    pass


@pytest.mark.parametrize(
    ("registered", "durable", "expected"),
    [
        (with_hook, False, [("volatile",)]),
        (with_redial, False, [("volatile",)]),
        (with_nothing, False, []),
        (with_hook, True, []),
    ],
    ids=["hook", "redial", "nothing", "with-store"],
)
async def test_what_a_crash_would_lose_is_told_at_the_start(
    registered: Callable[[Bench], None], durable: bool, expected: list[Any]
) -> None:
    """Only where there is something to lose, and no store that keeps it."""
    bench = Bench(store=Fake(Clock()) if durable else None)
    registered(bench)
    await bench.dispatcher.start()
    await bench.dispatcher.drain(5)
    assert (bench.dispatcher.durable, bench.observer.told) == (durable, expected)


def sqlite(path: Path, **settings: Any) -> Bench:
    """A dispatcher with a real store, in real time."""
    return Bench(store=SQLiteStore(path / "queue.db", poll=0.05, lease=5.0, min_free=0), clock=time.time, **settings)


def fake(**settings: Any) -> tuple[Bench, Fake]:
    clock = Clock()
    store = Fake(clock)
    bench = Bench(store=store, **settings)
    clock.now, bench.clock = bench.clock.now, clock
    bench.dispatcher = Dispatcher(
        bench.router, bench.observer, store=store, settle=0, clock=clock, random=lambda: 0.0, **settings
    )
    return bench, store


async def test_without_a_worker_outcomes_are_only_persisted_and_another_start_works_on_them(tmp_path: Path) -> None:
    """What waits in the store is worked on from the start, before any delivery, in the order in which it came."""
    outcomes = [told(leg=f"leg-{number}") for number in range(3)]
    persists = sqlite(tmp_path, worker=False)
    persists.router.on_retryable(persists.hook("never"))
    await persists.dispatcher.start()
    await persists.dispatcher.accept(outcomes)
    waiting = await persists.store.stats()
    await persists.dispatcher.drain(5)
    assert (waiting.ready, persists.calls, persists.observer.told) == (3, [], [])
    works = sqlite(tmp_path, hooks=HookPolicy(concurrency=1))
    works.router.on_retryable(works.hook("again"))
    await works.dispatcher.start()
    await until(lambda: len(works.calls) == 3)
    await works.dispatcher.drain(5)
    assert (works.calls, works.observer.told) == ([("again", each) for each in outcomes], [])
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_durable_outcome_is_called_once_in_a_context_without_a_request(tmp_path: Path) -> None:
    """Another process may have put it, so a hook sees what the observer binds and nothing else."""
    bench = sqlite(tmp_path)

    @bench.router.on_retryable
    async def hook(outcome: Outcome) -> None:
        bench.calls.append((outcome, bound_to.get(), request_of.get()))

    request_of.set("request 7")
    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await bench.dispatcher.accept([RETRYABLE])
    await until(lambda: bench.calls)
    await bench.dispatcher.drain(5)
    assert bench.calls == [(RETRYABLE, f"call:{LEG}", None)]
    assert bench.observer.told == [("duplicate", RETRYABLE)]


async def test_a_late_hook_is_given_back_and_the_next_start_calls_it_again(tmp_path: Path) -> None:
    """It may have done its work, so it is told of the earlier attempt."""
    first = sqlite(tmp_path)

    @first.router.on_retryable
    async def stuck(outcome: Outcome, ctx: HookContext) -> None:
        first.calls.append(ctx)
        await asyncio.Event().wait()

    await first.dispatcher.start()
    await first.dispatcher.accept([RETRYABLE])
    await until(lambda: first.calls)
    await first.dispatcher.drain(0.02)
    assert first.observer.told == [("given back", 1, 0.02)]
    second = sqlite(tmp_path)
    second.router.on_retryable(second.hook("again"))

    @second.router.on_retryable
    async def hook(outcome: Outcome, ctx: HookContext) -> None:
        second.calls.append(ctx)

    await second.dispatcher.start()
    await until(lambda: len(second.calls) == 2)
    await second.dispatcher.drain(5)
    (begun,), (again, ctx) = first.calls, second.calls
    assert again == ("again", RETRYABLE)
    assert begun == HookContext(begun.hook, f"call:{LEG}/{begun.hook}", 1, False)
    assert ctx == HookContext(ctx.hook, f"call:{LEG}/{ctx.hook}", 1, True)
    assert second.observer.told == []


async def test_a_store_that_cannot_work_stops_the_start(tmp_path: Path) -> None:
    """Nobody would know of outcomes that are never kept; no worker is left behind."""
    bench = sqlite(tmp_path / "missing")
    with pytest.raises(StoreError, match="its folder does not exist"):
        await bench.dispatcher.start()
    assert (bench.observer.told, asyncio.all_tasks()) == ([], {asyncio.current_task()})
    await bench.dispatcher.drain(5)


async def test_a_store_that_is_down_at_the_start_is_reported_and_used_when_it_is_back() -> None:
    """An app must be able to start before its database."""
    bench, store = fake()
    bench.router.on_retryable(bench.hook("again"))
    store.faults["open"] = StoreUnavailable("down")
    await bench.dispatcher.start()
    assert bench.observer.told == [("store", "StoreUnavailable('down')")]
    store.faults.clear()
    await bench.dispatch(RETRYABLE)
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("store", "StoreUnavailable('down')")]


@pytest.mark.parametrize("error", [StoreUnavailable("down"), StoreError("corrupt")], ids=["passing", "lasting"])
async def test_what_the_store_does_not_take_is_not_accepted(error: StoreError) -> None:
    """The sender hears of it and comes again; then it is news, and no duplicate."""
    bench, store = fake()
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatcher.start()
    store.faults["put"] = error
    with pytest.raises(StoreError) as raised:
        await bench.dispatcher.accept([RETRYABLE, told(leg="other")])
    await turns()
    assert (raised.value, bench.calls, bench.observer.told) == (error, [], [("store", repr(error))])
    assert await store.stats() == Stats()
    store.faults.clear()
    await bench.dispatch(RETRYABLE)
    assert (bench.calls, bench.observer.told) == ([("again", RETRYABLE)], [("store", repr(error))])


async def test_inline_keeps_in_memory_what_the_store_does_not_take() -> None:
    """The hooks are called from memory, once, and draining waits for them too."""
    bench, store = fake(on_store_failure="inline")

    @bench.router.on_retryable
    async def slow(outcome: Outcome) -> None:
        await asyncio.sleep(0.02)
        bench.calls.append(outcome)

    await bench.dispatcher.start()
    store.faults["put"] = StoreUnavailable("down")
    await bench.dispatcher.accept([RETRYABLE])
    await bench.dispatcher.accept([RETRYABLE])
    await bench.dispatcher.drain(5)
    bypassed = [("store", "StoreUnavailable('down')"), ("bypassed", 1)]
    assert (bench.calls, bench.observer.told) == ([RETRYABLE], [*bypassed, *bypassed, ("duplicate", RETRYABLE)])
    assert (await store.stats(), asyncio.all_tasks()) == (Stats(), {asyncio.current_task()})


async def test_redials_planned_inline_are_canceled_too() -> None:
    """A contact that asks not to be called is not called, wherever the redial waits."""
    bench, store = fake(on_store_failure="inline")
    bench.router.redial(contact=lambda outcome: "contact 7", policy=RedialPolicy(jitter=0))(bench.hook("never"))
    await bench.dispatcher.start()
    store.faults["put"] = StoreUnavailable("down")
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    await bench.dispatcher.accept([told(leg="other")])
    await turns()
    assert await bench.router.cancel_redials("contact 7") == 1
    await bench.dispatcher.drain(5)
    bypassed = [("store", "StoreUnavailable('down')"), ("bypassed", 1)]
    scheduled = ("scheduled", RETRYABLE, bench.clock.now + 600, 2)
    assert (bench.calls, bench.observer.told) == ([], [*bypassed, scheduled, *bypassed])


async def test_a_missing_lifespan_is_told_once() -> None:
    """Without a start the store's backlog waits for the first delivery; a server that tells of its start is silent."""
    bench, _ = fake()
    await bench.dispatcher.accept([RETRYABLE])
    await bench.dispatcher.accept([TERMINAL, told(leg="other", result=Result(200, 560000))])
    await bench.dispatcher.drain(5)
    started, _ = fake()
    await started.dispatcher.start()
    await started.dispatcher.accept([RETRYABLE])
    await started.dispatcher.drain(5)
    # A straggler, after the end that the server has told of.
    await started.dispatcher.accept([told(leg="late")])
    await started.dispatcher.drain(5)
    volatile = Bench()
    await volatile.dispatch(TERMINAL)
    assert bench.observer.told.count(("lifespan missing",)) == 1
    assert ("lifespan missing",) not in [*started.observer.told, *volatile.observer.told]


async def test_a_worker_whose_store_gives_up_is_reported_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a worker runs no delivery would start it, and it would idle for ever."""
    monkeypatch.setattr(dispatch, "STORE_PAUSE", 0.01)
    bench, store = fake()
    bench.router.on_retryable(bench.hook("again"))
    store.faults["run"] = StoreError("no rights")
    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await until(lambda: len(bench.observer.told) >= 2)
    assert (set(bench.observer.told), bench.calls) == ({("store", "StoreError('no rights')")}, [])
    store.faults.clear()
    await until(lambda: bench.calls)
    await bench.dispatcher.drain(5)
    assert (bench.calls, asyncio.all_tasks()) == ([("again", RETRYABLE)], {asyncio.current_task()})


async def test_draining_waits_for_no_worker_that_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause of a worker whose store gave up ends with the shutdown."""
    monkeypatch.setattr(dispatch, "STORE_PAUSE", 3600.0)
    bench, store = fake()
    store.faults["run"] = ValueError("not ours")
    await bench.dispatcher.start()
    await turns()
    async with asyncio.timeout(5):
        await bench.dispatcher.drain(4)
    assert bench.observer.told == [("store", "ValueError('not ours')")]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_store_that_raises_while_it_stops_is_reported_and_not_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Started again then, it would never end."""
    monkeypatch.setattr(dispatch, "STORE_PAUSE", 3600.0)
    bench, store = fake()
    store.ends_with = StoreError("gone")
    await bench.dispatcher.start()
    await turns()
    async with asyncio.timeout(5):
        await bench.dispatcher.drain(4)
    assert bench.observer.told == [("store", "StoreError('gone')")]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_delivery_while_the_worker_pauses_starts_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loop has one worker, also when that has to wait for its store."""
    monkeypatch.setattr(dispatch, "STORE_PAUSE", 3600.0)
    bench, store = fake()
    store.faults["run"] = StoreError("no rights")
    await bench.dispatcher.start()
    await turns()
    before = asyncio.all_tasks()
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert asyncio.all_tasks() == before
    await bench.dispatcher.drain(5)


async def test_an_exception_of_ours_makes_a_dead_letter() -> None:
    """It is visible and may be replayed, where the outcome would else be tried for ever."""
    bench, store = fake()
    bench.router.on_retryable(bench.hook("one"))
    bench.router.on_retryable(bench.hook("two"))
    store.faults["checkpoint"] = ValueError("no line")
    await bench.dispatcher.start()
    await bench.dispatch(RETRYABLE)
    assert bench.calls == []
    assert bench.observer.told == [("failed", RETRYABLE, "ringback", "ValueError('no line')", 1, None)]
    letter = DeadLetter(f"call:{LEG}", Kind.OUTCOME, RETRYABLE, 1, "ValueError: no line", bench.clock.now, Progress())
    assert await store.dead() == [letter]


async def test_work_that_was_taken_over_is_left_to_the_other_worker() -> None:
    """It is told, and no hook is called here; settled as ready, for a store that is wrong about it."""
    bench, store = fake()
    bench.router.on_retryable(bench.hook("one"))
    bench.router.on_retryable(bench.hook("two"))
    await bench.dispatcher.start()
    store.ours = False
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert (bench.calls, bench.observer.told) == ([], [("lease lost", RETRYABLE)])
    store.ours = True
    await bench.passes(1)
    await bench.dispatcher.drain(5)
    assert (bench.calls, bench.observer.told) == ([("one", RETRYABLE), ("two", RETRYABLE)], [("lease lost", RETRYABLE)])


async def test_a_redial_whose_store_is_down_is_tried_again() -> None:
    """The function is not called before it is written down that it will be."""
    bench, store = fake()

    @bench.router.redial(contact=lambda outcome: "contact 7", policy=RedialPolicy(jitter=0))
    async def again(attempt: int) -> None:
        bench.calls.append(attempt)

    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    at = bench.clock.now + 600
    store.faults["checkpoint"] = StoreUnavailable("down")
    await bench.passes(600)
    expected = [("scheduled", RETRYABLE, at, 2), ("store", "StoreUnavailable('down')")]
    assert (bench.calls, bench.observer.told) == ([], expected)
    store.faults.clear()
    await bench.passes(1)
    await bench.dispatcher.drain(5)
    assert (bench.calls, bench.observer.told) == ([2], [*expected, ("placed", RETRYABLE, 2, None)])


async def test_a_busy_contact_is_called_again_until_its_attempts_are_exhausted() -> None:
    """Busy, scheduled, called with the headers of one call, busy again, and then terminal; nothing happens twice."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("retryable"))
    bench.router.on_terminal(bench.hook("terminal"))

    @bench.router.redial(contact=lambda outcome: "contact 7", policy=RedialPolicy(jitter=0, max_attempts=2))
    async def again(outcome: Outcome, attempt: int, headers: dict[str, str], contact: str) -> str:
        bench.calls.append(("again", outcome, attempt, headers, contact))
        return "leg-2"

    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    at = bench.clock.now + 600
    assert bench.calls == [("retryable", RETRYABLE)]
    assert bench.observer.told == [("scheduled", RETRYABLE, at, 2)]
    await bench.passes(599)
    assert len(bench.calls) == 1
    await bench.passes(1)
    headers = repeatability(short(f"redial:call:{LEG}"), 0, at)
    assert bench.calls[1:] == [("again", RETRYABLE, 2, headers, "contact 7")]
    assert bench.observer.told[1:] == [("placed", RETRYABLE, 2, "leg-2")]
    second = told(leg="leg-2")
    await bench.dispatcher.accept([second])
    await turns()
    assert bench.calls[2:] == [("terminal", second.exhausted())]
    assert bench.observer.told[2:] == [("exhausted", second, "max_attempts")]
    await bench.dispatch(RETRYABLE, second)
    assert (len(bench.calls), bench.observer.told[3:]) == (3, [("duplicate", RETRYABLE), ("duplicate", second)])
    assert await bench.store.stats() == Stats(done=3)


async def test_redials_are_canceled_by_the_contact_as_the_app_knows_it() -> None:
    """The router asks every dispatcher; stores know the contact by the hash of each registration that has one."""
    bench, store = fake()
    key, contact = b"0123456789abcdef", "+15550100"

    @bench.router.redial(contact=lambda outcome: contact, hash_contacts=key, policy=RedialPolicy(jitter=0))
    async def hashed() -> None:
        bench.calls.append("hashed")

    @bench.router.redial(contact=lambda outcome: None)
    async def plain() -> None:
        bench.calls.append("plain")

    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert bench.observer.told == [("scheduled", RETRYABLE, bench.clock.now + 600, 2)]
    # The standard library's own words for it.
    stored = hmac.new(key, contact.encode(), "sha256").hexdigest()
    assert await bench.router.cancel_redials(contact) == 1
    assert store.canceled == sorted([contact, stored])
    assert await bench.router.cancel_redials(contact) == 0
    await bench.passes(600)
    await bench.dispatcher.drain(5)
    assert bench.calls == []


async def test_without_a_redial_the_contact_itself_is_canceled() -> None:
    """A process that only persists may know nothing of the functions that another one calls."""
    bench, store = fake()
    assert (await bench.router.cancel_redials("contact 7"), store.canceled) == (0, ["contact 7"])


async def test_a_connected_call_is_taken_only_where_there_are_redials() -> None:
    """It takes back a planned redial; an app without any has no use for it."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatch(CONNECTED)
    assert await bench.store.stats() == Stats()
    bench.router.redial(contact=lambda outcome: "contact 7", policy=RedialPolicy(jitter=0))(bench.hook("never"))
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    await bench.dispatcher.accept([CONNECTED])
    await turns()
    await bench.passes(600)
    await bench.dispatcher.drain(5)
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("scheduled", RETRYABLE, bench.clock.now, 2), ("canceled", CONNECTED)]
    assert await bench.store.stats() == Stats(done=2, canceled=1)
