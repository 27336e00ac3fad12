"""The end of a dispatcher: what waits is called, what is late is counted, and no event loop keeps a task."""

from __future__ import annotations

import asyncio

from dispatching import CREATE_FAILED, OPERATION, PAIR, RETRYABLE, Bench, told, turns
from ringback import (
    HookContext,
    Outcome,
    Retry,
)
from ringback.core.events import Result


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
    # One is cancelled, or waits; or one is cancelled that has put another just before.
    assert bench.observer.told in ([("abandoned", 1, 0.05)], [("abandoned", 2, 0.05)])


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
        await bench.dispatcher.hasten(await bench.dispatcher.accept([settling, running]))
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
        await bench.dispatcher.hasten(await bench.dispatcher.accept([OPERATION, RETRYABLE]))
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
    # The test's own task, and the worker with its two lanes until it is drained.
    assert (tasks, left) == ([4, 4, 4, 4], [1, 1])
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
