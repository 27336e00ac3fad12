"""Handlers of one call: which events they get, when they go, and what is refused."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

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


async def test_a_handler_that_could_not_be_called_is_refused(app: App) -> None:
    """When it is registered."""
    with pytest.raises(RegistrationError, match="handler 7 is not callable"):
        app.calls.on(LEG, "CallConnected")(7)  # type: ignore[type-var]
    with pytest.raises(RegistrationError, match="names or one predicate"):
        app.calls.on(LEG, "CallConnected", lambda event: True)
