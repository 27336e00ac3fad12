"""Handlers of one call: which events they get, when they go, and what is refused."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from records import lines_in
from ringback import (
    RegistrationError,
)
from waiting import LEG, OTHER, App, busy, event, turns

if TYPE_CHECKING:
    from ringback import Event


@pytest.fixture
def app() -> App:
    return App()


# Handlers of one call.


async def test_a_handler_gets_the_events_of_its_call_in_order(app: App) -> None:
    """Those from before first, one at a time however long it takes, and takes nothing from waits."""
    seen: list[str | None] = []
    app.hears(event("PlayCompleted", context="a"), event("PlayCompleted", OTHER), event("RecognizeCompleted"))

    async def step(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.data.operation_context)

    assert app.calls.on(LEG, "PlayCompleted", "PlayFailed")(step) is step
    app.hears(event("PlayFailed", LEG, 400, 8535, context="b"), event("PlayCompleted", context="c"))
    await turns(lambda: len(seen) == 3)
    app.hears(event("PlayCompleted", context="d"))
    await turns(lambda: len(seen) == 4)
    assert seen == ["a", "b", "c", "d"]
    await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)


async def test_a_sync_handler_runs_in_a_thread_and_a_predicate_may_choose(app: App) -> None:
    """It may block; so may an object that is called be async."""
    threads: list[int] = []
    seen: list[str] = []

    class Steps:
        async def __call__(self, event: Event) -> None:
            seen.append(event.name)

    app.calls.on(LEG, lambda event: event.name == "CallConnected")(lambda event: threads.append(threading.get_ident()))
    app.calls.on(LEG, "CallConnected")(Steps())
    app.hears(event("CallConnected"))
    await turns(lambda: threads and seen)
    assert threads != [threading.get_ident()]
    assert seen == ["CallConnected"]


async def test_what_a_handler_returns_is_awaited(app: App) -> None:
    """A lambda around an async function is a handler as any other: one event at a time, in order."""
    seen: list[str | None] = []

    async def step(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.data.operation_context)

    app.calls.on(LEG, "PlayCompleted")(lambda event: step(event))
    app.hears(*(event("PlayCompleted", context=each) for each in "abc"))
    await turns(lambda: len(seen) == 3)
    assert seen == ["a", "b", "c"]


async def cancelled_inside(error: BaseException) -> None:
    other = asyncio.ensure_future(asyncio.Event().wait())
    other.cancel()
    await other


async def raised_inside(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StopIteration(), "raised StopIteration"),
        (StopAsyncIteration(), "raised StopAsyncIteration"),
        (SystemExit(3), "the function raised SystemExit"),
        (KeyboardInterrupt(), "the function raised KeyboardInterrupt"),
        (GeneratorExit(), "the function raised GeneratorExit"),
        (asyncio.CancelledError(), "cancelled"),
        (ValueError("no"), "ValueError: no"),
    ],
    ids=repr,
)
async def test_whatever_a_handler_raises_the_next_event_comes(
    app: App, caplog: pytest.LogCaptureFixture, error: BaseException, told: str, sync: bool
) -> None:
    """The queue of the handler goes on, and so does the server."""
    caplog.set_level(logging.ERROR, "ringback")
    seen: list[str | None] = []

    def step(event: Event) -> Any:
        seen.append(event.data.operation_context)
        if len(seen) == 1:
            if sync and not isinstance(error, asyncio.CancelledError):
                raise error
            return cancelled_inside(error) if isinstance(error, asyncio.CancelledError) else raised_inside(error)
        return None

    app.calls.on(LEG, "PlayCompleted")(step)
    app.hears(*(event("PlayCompleted", context=each) for each in "ab"))
    await turns(lambda: len(seen) == 2 and caplog.records)
    assert seen == ["a", "b"]
    (line,) = lines_in(caplog.records)
    assert told in line["error"]


@pytest.mark.parametrize("by", ["calls", "call"])
async def test_a_detached_handler_gets_nothing_more(app: App, by: str) -> None:
    """Not even what it was still to get; another handler of the call goes on."""
    seen: dict[str, list[str | None]] = {"gone": [], "stays": []}

    def gone(event: Event) -> None:
        seen["gone"].append(event.data.operation_context)

    def stays(event: Event) -> None:
        seen["stays"].append(event.data.operation_context)

    async with app.calls.call(LEG) as call:
        call.on("PlayCompleted")(gone)
        app.calls.on(LEG, "PlayCompleted")(stays)
        app.hears(event("PlayCompleted", context="a"))
        await turns(lambda: seen == {"gone": ["a"], "stays": ["a"]})
        app.hears(event("PlayCompleted", context="b"))
        if by == "call":
            call.off(gone)
        else:
            app.calls.off(LEG, gone)
        app.hears(event("PlayCompleted", context="c"))
        await turns(lambda: seen["stays"] == ["a", "b", "c"])
    assert seen == {"gone": ["a"], "stays": ["a", "b", "c"]}


def test_who_is_not_registered_is_detached_without_a_word(app: App) -> None:
    """A call may have been forgotten meanwhile."""
    app.calls.off(LEG, print)
    assert len(app.calls) == 0


async def test_a_handler_that_raises_is_logged_and_called_again(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """So is one whose predicate raises; events go on."""
    caplog.set_level(logging.ERROR, "ringback")
    seen: list[str] = []

    async def step(event: Event) -> None:
        seen.append(event.name)
        raise ValueError("no line to +15550100123")

    def predicate(event: Event) -> bool:
        raise KeyError(event.name)

    app.calls.on(LEG, "PlayCompleted")(step)
    app.calls.on(LEG, predicate)(step)
    app.hears(event("PlayCompleted"), event("PlayCompleted"))
    await turns(lambda: len(caplog.records) == 4)
    lines = lines_in(caplog.records)
    assert seen == ["PlayCompleted"] * 2
    assert {line["listener"] for line in lines} == {f"{__name__}.{step.__qualname__}"}
    assert [line["error"] for line in lines] == ["KeyError: 'PlayCompleted'"] * 2 + [
        "ValueError: no line to [phone]"
    ] * 2


async def test_a_handler_that_is_too_far_behind_misses_events(caplog: pytest.LogCaptureFixture) -> None:
    """Bounded as the backlog is, and said."""
    caplog.set_level(logging.ERROR, "ringback")
    app = App(backlog=2)
    seen: list[str | None] = []

    @app.calls.on(LEG, "PlayCompleted")
    async def step(event: Event) -> None:
        seen.append(event.data.operation_context)

    app.hears(*(event("PlayCompleted", context=each) for each in "abc"))
    await turns(lambda: len(seen) == 2)
    assert seen == ["a", "b"]
    (line,) = lines_in(caplog.records)
    assert line["error"] == "WaitError: the handler is 2 events behind; PlayCompleted is not handed to it"


async def test_handlers_go_with_their_call() -> None:
    """Not before the sibling of the event that ended it has had its time."""
    app = App(keep=60)
    seen: list[str] = []

    @app.calls.on(LEG, "CallDisconnected", "CreateCallFailed", "PlayCompleted")
    async def step(event: Event) -> None:
        seen.append(event.name)

    app.now += 100_000
    app.hears(busy())
    app.now += 59
    app.hears(busy("CreateCallFailed"))
    app.now += 60
    assert len(app.calls) == 0
    app.hears(event("PlayCompleted"))
    await turns(lambda: len(seen) == 2)
    assert seen == ["CallDisconnected", "CreateCallFailed"]


async def test_handlers_of_an_open_call_go_with_its_block(app: App) -> None:
    """Those that were registered elsewhere stay."""
    seen: list[str] = []
    app.calls.on(LEG, "PlayCompleted")(lambda event: seen.append("outside"))
    async with app.calls.call(LEG) as call:
        call.on("PlayCompleted")(lambda event: seen.append("inside"))
        app.hears(event("PlayCompleted"))
        await turns(lambda: len(seen) == 2)
    app.hears(event("PlayCompleted"))
    await turns(lambda: len(seen) == 3)
    assert sorted(seen) == ["inside", "outside", "outside"]


async def test_of_too_many_calls_with_handlers_the_oldest_loses_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """A call whose end never came must not stay for ever; it is said, as its handler may miss something."""
    caplog.set_level(logging.ERROR, "ringback")
    app = App(calls=2)

    async def step(event: Event) -> None: ...

    for leg in ("leg-1", "leg-2", "leg-3"):
        app.calls.on(leg, "CallDisconnected")(step)
    assert len(app.calls) == 2
    (line,) = lines_in(caplog.records)
    assert (line["listener"], line["error"]) == (
        f"{__name__}.{step.__qualname__}",
        "WaitError: more than 2 calls with handlers have not ended; this one is forgotten",
    )


def test_a_handler_belongs_to_a_loop(app: App) -> None:
    """Where none runs nobody could call it."""
    with pytest.raises(RegistrationError, match="where no loop runs"):
        app.calls.on(LEG, "CallConnected")


def yields(event: Event) -> Any:
    yield event


async def yields_async(event: Event) -> Any:
    yield event


def takes_two(event: Event, other: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (7, "is not callable; register a function"),
        (yields, "yields; register a function that returns"),
        (yields_async, "yields; register a function that returns"),
        (takes_two, "cannot be called as (event); change its parameters"),
    ],
    ids=["nothing", "generator", "async-generator", "arity"],
)
async def test_a_function_that_could_not_be_called_is_refused(app: App, function: Any, rule: str) -> None:
    """When it is registered, as a handler or as a predicate, and when a wait begins; nothing is left behind."""
    with pytest.raises(RegistrationError) as refused:
        app.calls.on(LEG, "CallConnected")(function)
    assert str(refused.value).startswith("handler ")
    assert rule in str(refused.value)
    if callable(function):
        for begins in (
            lambda: app.calls.on(LEG, function),
            lambda: app.calls.wait_for(function, call_connection_id=LEG).send(None),
        ):
            with pytest.raises(RegistrationError) as refused:
                begins()
            assert str(refused.value).startswith("predicate ")
            assert rule in str(refused.value)
    assert len(app.calls) == 0


async def is_connected(event: Event) -> bool:
    return event.name == "CallConnected"


class Connected:
    async def __call__(self, event: Event) -> bool:
        return await is_connected(event)


@pytest.mark.parametrize(
    "predicate", [is_connected, Connected(), functools.partial(is_connected)], ids=["function", "object", "partial"]
)
async def test_an_async_predicate_is_refused(app: App, predicate: Any) -> None:
    """It is called where an event arrives, in any thread; its coroutine would be true for every event."""
    with pytest.raises(RegistrationError, match=r"^predicate .* is async; register a function that returns$"):
        await app.calls.wait_for(predicate)
    with pytest.raises(RegistrationError, match=r"^predicate .* is async; register a function that returns$"):
        app.calls.on(LEG, predicate)


@pytest.mark.parametrize(
    ("predicate", "told"),
    [
        (lambda event: is_connected(event), "TypeError: the function returned an awaitable"),
        (lambda event: yields(event), "TypeError: the function returned a generator"),
        (lambda event: next(iter(())), "RuntimeError: the function raised StopIteration"),
        (lambda event: sys.exit(), "RuntimeError: the function raised SystemExit"),
    ],
    ids=["awaitable", "generator", "stop", "exit"],
)
async def test_a_predicate_that_fails_says_no_yes(
    app: App, caplog: pytest.LogCaptureFixture, predicate: Any, told: str
) -> None:
    """The wait raises that, a handler's is logged, and the delivery goes on."""
    caplog.set_level(logging.ERROR, "ringback")
    seen: list[Event] = []
    app.calls.on(LEG, predicate)(seen.append)
    (waiting,) = await app.begin(app.calls.wait_for(predicate))
    app.hears(event("PlayCompleted"))
    (line,) = lines_in(caplog.records)
    with pytest.raises(Exception, match=r"^the function (returned|raised)") as raised:
        await waiting
    assert line["error"].startswith(told)
    assert f"{type(raised.value).__name__}: {raised.value}" == line["error"]
    assert seen == []


async def test_names_and_a_predicate_are_not_mixed(app: App) -> None:
    """Register the function once for each."""
    with pytest.raises(RegistrationError, match="names or one predicate"):
        app.calls.on(LEG, "CallConnected", lambda event: True)
