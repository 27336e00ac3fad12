"""Each call that has ended is told once, when its end has settled, with the durations of the events' own times."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dispatching import CONNECTED, OPERATION, Bench, Fake, Recorder, turns
from ringback.core.delivery import Event, EventData, Result
from ringback.core.outcome import Outcome, classify_event
from ringback.exceptions import StoreUnavailable
from ringback.hooks.call_ends import CallEnds, RecentEnds
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.notebook import Notebook
from ringback.hooks.router import HandlerRouter
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore
from ringback.stores.turns import TURN
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from ringback.work.call_detail import EndedLeg

CALL = "1f0e5c1a-0000-4000-8000-00000000000c"


def made(name: str, leg: str = "a", second: float = 44.0, code: int | None = 200, subcode: int = 560000) -> Outcome:
    result = None if code is None else Result(code, subcode)
    data = EventData(call_connection_id=leg, correlation_id=CALL, result_information=result)
    time = f"2026-01-15T09:30:{second:09.6f}+00:00"
    event = Event(f"Microsoft.Communication.{name}", f"{name}-{leg}-{second}", time=time, data=data)
    outcome = classify_event(event)
    assert outcome is not None
    return outcome


def connected(leg: str = "a", second: float = 2.5) -> Outcome:
    return made("CallConnected", leg, second, 200, 0)


class Heard(Bench):
    """A dispatcher whose observer hears of ends. Without ``hooks`` nothing calls for the outcomes."""

    def __init__(self, *, hooks: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.observer.hears = True
        if hooks:
            self.router.on_retryable(self.hook("again"))
            self.router.on_terminal(self.hook("close"))

    async def arrives(self, *outcomes: Outcome) -> None:
        """As a door hands over a delivery."""
        await self.dispatcher.accept(outcomes)
        await self.dispatcher.notebook.note([each.event for each in outcomes], outcomes)

    @property
    def ended(self) -> list[tuple[str | None, bool | None, float | None, int]]:
        legs: list[EndedLeg] = [each[2] for each in self.observer.told if each[0] == "ended"]
        return [(leg.call_connection_id, leg.answered, leg.talk_seconds, leg.legs) for leg in legs]


STORIES: dict[str, tuple[list[Outcome], list[tuple[str, bool | None, float | None, int]]]] = {
    "answered": ([connected(), made("CallDisconnected")], [("a", True, 41.5, 1)]),
    "reordered": ([made("CallDisconnected"), connected()], [("a", True, 41.5, 1)]),
    "never connected": (
        [made("CallDisconnected", code=403, second=1.5), made("CreateCallFailed", code=403, second=1.0)],
        [("a", False, None, 1)],
    ),
    "no CallConnected seen": ([made("CallDisconnected")], [("a", True, None, 1)]),
    "two legs": (
        [connected(), connected("b", 5.0), made("CallDisconnected"), made("CallDisconnected", "b", 44.037)],
        [("a", True, 41.5, 2), ("b", True, 39.037, 2)],
    ),
    "transferred": (
        [connected(), made("CallTransferAccepted", second=9.0), made("CallDisconnected"), made("CallDisconnected")],
        [("a", True, 41.5, 1)],
    ),
    "an operation": ([OPERATION, CONNECTED], []),
}


@pytest.mark.parametrize("hooks", [True, False])
@pytest.mark.parametrize("name", STORIES)
async def test_a_call_is_told_once_its_end_has_settled(name: str, hooks: bool) -> None:
    """With and without hooks; not before the settle time is over."""
    bench = Heard(hooks=hooks, settle=0.05)
    outcomes, expected = STORIES[name]
    for outcome in outcomes:
        await bench.arrives(outcome)
    assert bench.ended == []
    bench.clock.now += 0.06
    await asyncio.sleep(0.1)
    await bench.dispatcher.drain(5)
    assert bench.ended == expected


@pytest.mark.parametrize("hooks", [True, False])
async def test_what_still_settles_at_the_end_is_told_at_the_end(hooks: bool) -> None:
    """Once, and nothing of it after that."""
    bench = Heard(hooks=hooks, settle=3600)
    await bench.arrives(connected(), made("CallDisconnected"))
    await bench.dispatcher.drain(5)
    await bench.dispatcher.drain(5)
    assert bench.ended == [("a", True, 41.5, 1)]


@pytest.mark.parametrize("hooks", [True, False])
async def test_where_nobody_listens_nothing_is_read(hooks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is off costs nothing."""
    bench = Heard(hooks=hooks)
    bench.observer.hears = False
    monkeypatch.setattr(MemoryStore, "recalled", None)
    await bench.arrives(made("CallDisconnected"))
    await bench.dispatcher.drain(5)
    assert bench.ended == []


class Watch:
    """The ends that a log hears of, in a loop whose clock the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.observer = Recorder()
        self.observer.hears = True
        self.store = MemoryStore()
        notebook = Notebook(self.store, self.observer.store_unavailable, lambda: self.now)
        self.ends = CallEnds(self.store, self.observer, None, notebook, lambda: self.now)

    def told(self) -> list[Outcome]:
        return [each[1] for each in self.observer.told if each[0] == "ended"]

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Runs a story in a loop of its own."""
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.time = lambda: self.now  # type: ignore[method-assign]
            runner.run(story)

    async def turns_to(self, now: float) -> None:
        self.now = now
        await turns()


def test_an_end_waits_for_its_sibling_and_no_longer() -> None:
    """The more informative event decides; what comes later ends no second call."""
    watch = Watch()

    async def story() -> None:
        watch.ends.settle([made("CallDisconnected", code=None)], 1.0)
        await watch.turns_to(0.9)
        watch.ends.settle([made("CreateCallFailed", code=486, subcode=560486)], 1.0)
        await watch.turns_to(0.95)
        assert watch.told() == []
        await watch.turns_to(1.0)
        assert [(each.cause, each.event_name) for each in watch.told()] == [(Cause.BUSY, "CreateCallFailed")]
        await watch.turns_to(5.0)
        watch.ends.settle([made("CallDisconnected"), made("CreateCallFailed")], 1.0)
        await watch.turns_to(9.0)

    watch.run(story())
    assert len(watch.told()) == 1


def test_the_end_of_a_whole_call_yields_to_a_legs() -> None:
    """Event Grid tells the end of a call besides its leg's own: one line."""
    watch = Watch()
    whole = made("CallEnded")
    whole = replace(whole, event=replace(whole.event, data=replace(whole.event.data, call_connection_id=None)))

    async def story() -> None:
        watch.ends.settle([whole], 1.0)
        watch.ends.settle([made("CallDisconnected")], 1.0)
        await watch.ends.settle_all()
        await watch.turns_to(2.0)

    watch.run(story())
    assert [each.outcome_id for each in watch.told()] == ["call:a"]


def test_each_end_is_told_when_it_has_settled_itself() -> None:
    """An end that came later waits for its own time, not for that of the end before it."""
    watch = Watch()

    async def story() -> None:
        watch.ends.settle([made("CallDisconnected")], 1.0)
        watch.now = 0.5
        watch.ends.settle([made("CallDisconnected", "b")], 1.0)
        await watch.turns_to(1.0)
        assert [each.call_connection_id for each in watch.told()] == ["a"]
        await watch.turns_to(1.5)

    watch.run(story())
    assert [each.call_connection_id for each in watch.told()] == ["a", "b"]


def test_ends_that_settle_at_once_are_told_in_turns_of_the_loop() -> None:
    """A batch holds the loop for a turn at a time: the other work of the app goes on meanwhile."""
    watch = Watch()
    seen: list[int] = []

    def told(outcome: Outcome, leg: EndedLeg) -> None:
        watch.observer.told.append(("ended", outcome, leg))
        watch.now += TURN

    watch.observer.call_ended = told  # type: ignore[method-assign]

    async def story() -> None:
        watch.ends.settle([made("CallDisconnected", f"leg-{number}") for number in range(5)], 1.0)
        watch.now = 1.0
        while len(watch.told()) < 5:
            await asyncio.sleep(0)
            seen.append(len(watch.told()))

    watch.run(story())
    assert set(seen) >= {1, 2, 3, 4, 5}


def test_another_loop_goes_on_with_what_a_closed_one_has_left() -> None:
    """As in tests, where each has a loop of its own."""
    watch = Watch()

    async def first() -> None:
        watch.ends.settle([made("CallDisconnected")], 1.0)

    async def second() -> None:
        watch.ends.settle([made("CallDisconnected", "b")], 1.0)
        await watch.turns_to(1.0)

    watch.run(first())
    watch.run(second())
    assert [each.call_connection_id for each in watch.told()] == ["a", "b"]


@given(
    told=st.lists(
        st.tuples(
            st.sampled_from(["CallDisconnected", "CreateCallFailed", "AnswerFailed", "ConnectFailed", "PlayFailed"]),
            st.sampled_from(["leg-1", "leg-2", "leg-3"]),
            st.integers(0, 16),
        )
    ),
    settle=st.sampled_from([0.0, 1.0]),
)
def test_whatever_comes_in_whatever_order_a_leg_ends_once(told: list[tuple[str, str, int]], settle: float) -> None:
    """As many lines as there are legs that ended, and never one before its time."""
    watch = Watch()
    first: dict[str, float] = {}

    async def story() -> None:
        for name, leg, pause in told:
            await watch.turns_to(watch.now + pause / 8)
            due = [each for each, at in first.items() if at + settle <= watch.now]
            assert [each.call_connection_id for each in watch.told()] == due
            if name != "PlayFailed":
                first.setdefault(leg, watch.now)
            watch.ends.settle([made(name, leg)], settle)
        await watch.ends.settle_all()

    watch.run(story())
    assert [each.call_connection_id for each in watch.told()] == list(first)


async def test_a_later_attempt_tells_nothing() -> None:
    """Nor does a reason that comes late; the first attempt has told the call."""
    bench = Heard(hooks=True)
    await bench.arrives(made("CallDisconnected", code=None))
    await turns()
    await bench.arrives(made("CreateCallFailed", code=403))
    await bench.dispatcher.drain(5)
    assert bench.ended == [("a", None, None, 1)]


async def test_a_store_that_is_away_costs_what_it_knows() -> None:
    """The line is made of the outcome alone; the fault is told."""
    store = Fake(lambda: 1.0)
    bench = Heard(hooks=True, store=store)

    async def fails(_: str) -> None:
        raise StoreUnavailable("down")

    store.call = fails  # type: ignore[method-assign]
    await bench.arrives(made("CallDisconnected"))
    await bench.dispatcher.drain(5)
    assert bench.ended == [("a", True, None, 1)]
    assert ("store", repr(StoreUnavailable("down"))) in bench.observer.told


async def test_two_processes_on_one_store_tell_a_call_once(tmp_path: Path) -> None:
    """Whichever works on it, with what the other has noted."""
    observers = [Recorder(), Recorder()]
    dispatchers: list[Dispatcher] = []
    for observer in observers:
        observer.hears = True
        router = HandlerRouter()

        @router.on_terminal
        async def close(_: Outcome) -> None: ...

        store = SQLiteStore(tmp_path / "ringback.db", poll=0.02, min_free=0)
        dispatchers.append(Dispatcher(router, observer, store=store, settle=1.0))
    for dispatcher in dispatchers:
        await dispatcher.start()
    legs = [f"leg-{number}" for number in range(12)]
    for number, leg in enumerate(legs):
        begin = connected(leg)
        begin = replace(begin, event=replace(begin.event, data=replace(begin.event.data, correlation_id=leg)))
        await dispatchers[number % 2].notebook.note([begin.event], [begin])
        end = made("CallDisconnected", leg)
        end = replace(end, event=replace(end.event, data=replace(end.event.data, correlation_id=leg)))
        # Each event comes to both, as from a sender that repeats.
        await asyncio.gather(*(dispatcher.accept([end]) for dispatcher in dispatchers))

    def told() -> list[tuple[str | None, float | None]]:
        ended = [each[2] for observer in observers for each in observer.told if each[0] == "ended"]
        return [(leg.call_connection_id, leg.talk_seconds) for leg in ended]

    async with asyncio.timeout(20):
        while len(told()) < len(legs):  # noqa: ASYNC110 - the observers set no event
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    for dispatcher in dispatchers:
        await dispatcher.drain(5)
    assert sorted(told()) == sorted((leg, 41.5) for leg in legs)


def test_the_end_of_a_call_without_ids_is_known_by_source_and_id() -> None:
    """Also where no hook needs the latch."""
    recent = RecentEnds()
    ended = [
        replace(made("CallEnded"), event=Event("Microsoft.Communication.CallEnded", "1", source))
        for source in ("/subscriptions/a", "/subscriptions/b", None)
    ]
    assert list(recent.repeated(ended)) == []
    assert list(recent.repeated(ended)) == ended


def test_a_repetition_is_the_same_event_of_the_same_ending_again() -> None:
    """The other event of a call that failed to start is none, nor is what was forgotten; the last two are not."""
    recent = RecentEnds(capacity=2)
    first, sibling, other = made("CallDisconnected"), made("CreateCallFailed"), made("CallDisconnected", leg="another")
    third, fourth = made("CallDisconnected", leg="a third"), made("CallDisconnected", leg="a fourth")
    assert recent.repeated([first, first, sibling]) == [first]
    assert recent.repeated([sibling, other, other]) == [sibling, other]
    assert recent.repeated([first, third, other, fourth, first]) == [first, other]


def test_an_operation_is_never_a_repetition() -> None:
    """It ends no call, and may be told as often as it happens."""
    played = made("PlayFailed")
    assert RecentEnds().repeated([played, played]) == []
