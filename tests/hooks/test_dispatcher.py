"""When hooks are called, in what order, and what happens when one of them raises."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from dispatching import LEG, RETRYABLE, TERMINAL, Bench, bound_to, request_of, told, turns
from ringback.core.events import Result
from ringback.hooks.router import HandlerRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback import (
        Outcome,
    )


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


async def test_a_sync_hook_runs_in_a_worker_thread_in_a_context_without_a_request() -> None:
    """A hook that blocks must not stop the loop. It sees what the observer binds and nothing else, as with a store."""
    bench = Bench()

    @bench.router.on_retryable
    def hook(outcome: Outcome) -> None:
        bench.calls.append((threading.get_ident(), bound_to(), request_of.get()))

    request_of.set("request 7")
    await bench.dispatch(RETRYABLE)
    ((ident, *context),) = bench.calls
    assert ident != threading.get_ident()
    assert context == [f"call:{LEG}", None]
    assert bound_to() is None


async def test_an_async_hook_runs_in_the_loop_in_a_context_without_a_request() -> None:
    """An async hook runs in the loop in which it was accepted, and sees what the observer binds, as with a store."""
    bench = Bench(settle=1)

    @bench.router.on_retryable
    async def hook(outcome: Outcome) -> None:
        bench.calls.append((threading.get_ident(), bound_to(), request_of.get()))

    request_of.set("request 7")
    await bench.dispatcher.accept([RETRYABLE])
    await bench.passes()
    assert bench.calls == [(threading.get_ident(), f"call:{LEG}", None)]


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
        bench.calls.append(("first", outcome, repr(error), bound_to()))

    @bench.router.on_error
    def second(outcome: Outcome, error: Exception) -> None:
        bench.calls.append(("second", outcome, repr(error), bound_to()))

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
    raised = "RuntimeError('the function raised StopIteration')"
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


async def test_a_predicate_that_raises_fails_its_hook_alone() -> None:
    """The others are called, and the error handlers hear of it. In memory no exception is tried again."""
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
