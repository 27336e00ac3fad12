"""When hooks are called, in what order, and what happens when one of them raises."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from ringback import Dispatcher, Event, Outcome, Result, classify_event
from ringback.events import EventData
from ringback.router import HandlerRouter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

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


class Recorder:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    @contextmanager
    def bound(self, outcome: Outcome) -> Iterator[None]:
        token = bound_to.set(outcome.outcome_id)
        try:
            yield
        finally:
            bound_to.reset(token)

    def outcome_duplicate(self, outcome: Outcome) -> None:
        self.told.append(("duplicate", outcome))

    def outcome_unhandled(self, outcome: Outcome) -> None:
        self.told.append(("unhandled", outcome))

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception) -> None:
        self.told.append(("failed", outcome, hook.rpartition(".")[2], repr(error)))

    def hooks_abandoned(self, count: int, seconds: float) -> None:
        self.told.append(("abandoned", count, seconds))


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.cancelled = 0
        self._sleeping: list[asyncio.Event] = []

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        over = asyncio.Event()
        self._sleeping.append(over)
        try:
            await over.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def passes(self) -> None:
        """Let all that sleeps wake, and all async hooks that are due run."""
        await turns()
        for over in self._sleeping:
            over.set()
        await turns()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Bench:
    """A dispatcher with everything that is around it."""

    def __init__(self, *, settle: float = 0, capacity: int = 10_000) -> None:
        self.router, self.observer, self.clock = HandlerRouter(), Recorder(), Clock()
        self.dispatcher = Dispatcher(
            self.router, self.observer, settle=settle, capacity=capacity, sleep=self.clock.sleep
        )
        self.calls: list[Any] = []

    def hook(self, name: str) -> Callable[[Outcome], Awaitable[None]]:
        """An async hook that records its name and the outcome."""

        async def hook(outcome: Outcome) -> None:
            self.calls.append((name, outcome))

        return hook

    async def dispatch(self, *outcomes: Outcome) -> None:
        """Submit, and wait until every hook has returned."""
        self.dispatcher.submit(outcomes)
        await self.dispatcher.drain(5)


async def test_submitting_returns_before_any_hook_is_called() -> None:
    """Who answers the request never waits for a hook, nor sees its exception."""
    bench = Bench()

    @bench.router.on_retryable
    async def fails(outcome: Outcome) -> None:
        bench.calls.append(outcome)
        raise ValueError("no line")

    bench.dispatcher.submit([RETRYABLE])
    assert bench.calls == []
    await turns()
    assert bench.calls == [RETRYABLE]
    assert bench.observer.told == [("failed", RETRYABLE, "fails", "ValueError('no line')")]


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

    bench.dispatcher.submit([slow, fast])
    await turns()
    assert bench.calls == [fast]
    release.set()
    await turns()
    assert bench.calls == [fast, slow]


async def test_a_sync_hook_runs_in_a_worker_thread_and_sees_the_context() -> None:
    """A hook that blocks must not stop the loop; what was bound where it was submitted is there too."""
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
    """An async hook runs where it was submitted, also after the settle time."""
    bench = Bench(settle=1)

    @bench.router.on_retryable
    async def hook(outcome: Outcome) -> None:
        bench.calls.append((threading.get_ident(), bound_to.get(), request_of.get()))

    request_of.set("request 7")
    bench.dispatcher.submit([RETRYABLE])
    request_of.set("another request")
    await bench.clock.passes()
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
    assert bench.observer.told == [("failed", RETRYABLE, "breaks", error)]


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
    assert bench.observer.told == [("failed", RETRYABLE, "exhausted", raised)]


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
        ("failed", RETRYABLE, "breaks", "ValueError('no line')"),
        ("failed", RETRYABLE, "careless", "KeyError('pager')"),
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
    assert bench.observer.told == [("failed", RETRYABLE, "hook (when)", "ZeroDivisionError('division by zero')")]


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
        bench.dispatcher.submit(delivery)
        await turns()
    assert bench.calls == []
    await bench.clock.passes()
    assert bench.calls == [("again", PAIR), ("disconnected", PAIR), ("failed", PAIR)]
    assert (bench.clock.asked, bench.observer.told) == ([1], [])
    bench.calls.clear()
    bench.dispatcher.submit(pair)
    await bench.clock.passes()
    assert (bench.calls, bench.clock.asked) == ([], [1])
    assert bench.observer.told == [("duplicate", each) for each in pair]


async def test_a_redelivery_while_the_call_settles_is_a_duplicate() -> None:
    """The settle time is for the sibling; the same event again adds nothing."""
    bench = Bench(settle=1)
    bench.router.on_retryable(bench.hook("again"))
    bench.dispatcher.submit([RETRYABLE, RETRYABLE])
    await bench.clock.passes()
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("duplicate", RETRYABLE)]


async def test_the_settle_time_is_as_configured_and_one_second_by_default() -> None:
    """One delivery waits once, however many calls end in it."""
    bench = Bench(settle=0.25)
    bench.dispatcher.submit([TERMINAL, told(leg="another", result=Result(200, 560000))])
    standard, clock = HandlerRouter(), Clock()
    default = Dispatcher(standard, bench.observer, sleep=clock.sleep)
    default.submit([TERMINAL])
    await turns()
    assert (bench.clock.asked, clock.asked) == ([0.25], [1.0])
    await bench.clock.passes()
    await clock.passes()


async def test_without_a_settle_time_the_first_event_decides() -> None:
    """``settle=0`` trades the sibling for speed: nothing sleeps, and the sibling is a duplicate."""
    bench = Bench(settle=0)
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatch(RETRYABLE, CREATE_FAILED)
    assert (bench.calls, bench.clock.asked) == ([("again", RETRYABLE)], [])
    assert bench.observer.told == [("duplicate", CREATE_FAILED)]


async def test_a_forgotten_call_is_news_again() -> None:
    """The memory of endings is bounded by ``capacity``."""
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
    bench.dispatcher.submit([OPERATION, OPERATION])
    await turns()
    assert (bench.calls, bench.clock.asked) == ([("play", OPERATION)], [])
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
    bench.dispatcher.submit([RETRYABLE, CREATE_FAILED])
    bench.dispatcher.submit([other])
    await turns()
    await bench.dispatcher.drain(5)
    assert (bench.calls, bench.clock.cancelled) == ([("again", PAIR), ("again", other)], 2)
    await bench.clock.passes()
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

    bench.dispatcher.submit([RETRYABLE])
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
    bench.dispatcher.submit([RETRYABLE, terminal, other])
    await bench.dispatcher.drain(0.02)
    await turns()
    in_time, *cancelled = bench.calls
    assert in_time == ("in time", terminal)
    # Cancelled as a set of tasks, in no order.
    assert sorted(cancelled, key=repr) == sorted([("cancelled", RETRYABLE), ("cancelled", other)], key=repr)
    assert bench.observer.told == [("abandoned", 2, 0.02)]


async def test_what_is_submitted_while_draining_is_called_too() -> None:
    """A request that ends during the shutdown does not lose its hooks, and waits for no sibling."""
    bench, other = Bench(settle=1), told(leg="other")

    @bench.router.on_retryable
    async def submits(outcome: Outcome) -> None:
        bench.calls.append(outcome)
        bench.dispatcher.submit([other])

    await bench.dispatch(RETRYABLE)
    assert bench.calls == [RETRYABLE, other]
    assert bench.observer.told == [("duplicate", other)]


async def test_draining_ends_though_hooks_submit_without_end() -> None:
    """The time-out is for the whole shutdown, not for each round of it."""
    bench = Bench()

    @bench.router.on_retryable
    async def endless(outcome: Outcome) -> None:
        bench.calls.append(outcome)
        await asyncio.sleep(0.01)
        bench.dispatcher.submit([told(leg=f"leg-{len(bench.calls)}")])

    bench.dispatcher.submit([RETRYABLE])
    await bench.dispatcher.drain(0.05)
    await turns()
    count = len(bench.calls)
    await turns()
    assert len(bench.calls) == count
    assert bench.observer.told == [("abandoned", 1, 0.05)]


def test_draining_leaves_alone_what_runs_in_another_loop() -> None:
    """Tests and tools use one router in several loops: settling calls are told here, running hooks end there."""
    bench = Bench(settle=1)
    settling, running, release = told(leg="settling"), told("PlayFailed"), asyncio.Event()

    @bench.router.on(scope=["call", "operation"])
    async def hook(outcome: Outcome) -> None:
        if outcome is running:
            await release.wait()
        bench.calls.append(outcome)

    async def begin() -> None:
        bench.dispatcher.submit([settling, running])
        await turns()

    async def finish() -> None:
        release.set()
        await bench.clock.passes()

    with asyncio.Runner() as first:
        first.run(begin())
        asyncio.run(bench.dispatcher.drain(0.02))
        assert bench.calls == [settling]
        first.run(finish())
    assert (bench.calls, bench.clock.cancelled) == ([settling, running], 0)
    assert bench.observer.told == []
