"""What every store tells of its calls: one suite over the memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import math
import os
import re
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import Outcome, classify_event
from ringback.exceptions import ConfigurationError, StoreError
from ringback.stores import MemoryStore
from ringback.stores.history_rows import counts_of, pair_of, waiting_of
from ringback.stores.sqlite import SQLiteStore
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord, CallState
from ringback.work.delivery_store import DeliveryStore
from ringback.work.history import CallFilter, Count, Ended, Pair, Waiting
from ringback.work.hook_runs import tries_in
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State
from ringback.work.latch import Offer
from ringback_catalog import Cause, Match, ResultCategory, RetryClass

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

CONTACT = "+15550100"
DONE = Settlement(State.DONE)
START = 1_800_000_000.0
DAY = 86_400.0

BUSY = (Cause.BUSY, ResultCategory.SUCCESS, RetryClass.LATER)
BUSY_PAIR = ("CallDisconnected", 486, 560486, Match.PAIR, Cause.BUSY)

Make = Callable[..., DeliveryStore]


async def plan(store: DeliveryStore, leg: str, due_at: float, contact: str = CONTACT) -> None:
    told = outcome(leg)
    item = Item(f"redial:{told.outcome_id}", Kind.REDIAL, due_at, told, contact, "call_again", 2)
    await store.change(contact, lambda known: Step(known, None, put=item))


class Clock:
    """A time that only a test moves on."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


async def called(store: DeliveryStore, clock: Clock, contact: str) -> None:
    """A redial to the contact is to be placed now."""
    now = clock.now
    await store.change(contact, lambda known: Step(known.redial(f"redial:{contact}", CallState.PLANNED, now), None))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(make: Make) -> DeliveryStore:
    """A store whose history has begun."""
    store = make()
    assert store.history is not None
    await store.open()
    return store


def outcome(
    leg: str | None,
    name: str = "CallDisconnected",
    *,
    call: str | None = None,
    code: int | None = 486,
    subcode: int | None = 560486,
) -> Outcome:
    """An event; without a code, it has no result."""
    result = None if code is None else Result(code, subcode)
    data = EventData(call_connection_id=leg, correlation_id=call, result_information=result)
    told = Event(type=f"Microsoft.Communication.{name}", id=f"{name}-{leg}-{call}", data=data)
    classified = classify_event(told)
    assert classified is not None
    return classified


def item(leg: str | None, name: str = "CallDisconnected", **told: Any) -> Item:
    ended = outcome(leg, name, **told)
    return Item(ended.outcome_id, Kind.OUTCOME, START, ended)


def whole(call: str) -> Item:
    """Event Grid's end of a whole call."""
    return item(None, "CallEnded", call=call, code=None)


async def worked(store: DeliveryStore, count: int, settlement: Settlement = DONE) -> None:
    """Let a worker settle so many claims."""
    told = asyncio.Semaphore(0)

    async def work(_: Claim) -> Settlement:
        told.release()
        return settlement

    task = asyncio.create_task(store.run(work, 4))
    async with asyncio.timeout(20):
        for _ in range(count):
            await told.acquire()
        await store.stop(10.0)
        await task


async def all_worked(store: DeliveryStore) -> None:
    """Let a worker settle whatever is ready."""

    async def work(_: Claim) -> Settlement:
        return DONE

    task = asyncio.create_task(store.run(work, 4))
    async with asyncio.timeout(20):
        while (stats := await store.stats()).ready or stats.running:  # noqa: ASYNC110 - whatever it has
            await asyncio.sleep(0.001)
        await store.stop(10.0)
        await task


async def counted(store: DeliveryStore) -> int:
    return sum(each.count for each in await store.history.counts(START - DAY, START + 30 * DAY, DAY))


async def ended(store: DeliveryStore) -> Sequence[tuple[str, str, str, int | None, int]]:
    found = await store.history.latest(10)
    return [(each.key, each.event, each.state.value, each.code, each.duplicates) for each in found]


# Counts


async def test_calls_are_counted_by_time_cause_category_and_retry_class(store: DeliveryStore, clock: Clock) -> None:
    """Steps begin at since, which is in; until is not; what has none is left out."""
    for after, leg, told in (
        (-0.001, "before", {}),
        (0.0, "first", {}),
        (59.999, "same-step", {}),
        (59.999, "other", {"code": 603, "subcode": 560603}),
        (60.0, "next-step", {}),
        (300.0, "at-the-end", {}),
        (240.0, "fifth-step", {"code": None}),
    ):
        clock.now = START + after
        await store.put([item(leg, **told)])
    other = outcome("x", code=603, subcode=560603)
    silent = outcome("x", code=None)
    assert await store.history.counts(START, START + 300, 60) == [
        Count(START, *BUSY, 2),
        Count(START, other.cause, other.category, other.retry_class, 1),
        Count(START + 60, *BUSY, 1),
        Count(START + 240, silent.cause, silent.category, silent.retry_class, 1),
    ]
    assert await store.history.counts(START + 1000, math.inf, 60) == []


async def test_counts_by_fractions(store: DeliveryStore, clock: Clock) -> None:
    """A step need be no whole number of seconds, and is the same in every store."""
    clock.now = START + 1.0
    await store.put([item("a")])
    assert await store.history.counts(START, START + 2, 0.1) == [Count(START + 10 * 0.1, *BUSY, 1)]


@pytest.mark.parametrize(
    ("since", "step"),
    [(START, 0), (START, -1.0), (START, math.inf), (START, math.nan), (-math.inf, 60), (math.nan, 60)],
)
async def test_times_that_make_no_steps_are_refused(store: DeliveryStore, since: float, step: float) -> None:
    """Found before anything is asked."""
    with pytest.raises(ConfigurationError, match=r"history: since .* make no bars; give seconds"):
        await store.history.counts(since, START, step)


# Pairs


async def test_pairs_come_by_their_number_then_their_time(store: DeliveryStore, clock: Clock) -> None:
    """The most frequent first, of as many the latest; a pair with no result is one too; old calls do not count."""
    clock.now = START - 1
    await store.put([item(f"old-{number}", code=404, subcode=560404) for number in range(5)])
    clock.now = START
    await store.put([item("a"), item("b", code=603, subcode=560603), item("s", code=None)])
    clock.now = START + 5
    await store.put([item("c"), item("d", "CreateCallFailed"), item("u", code=499, subcode=1), item("z", code=499)])
    declined, silent = outcome("x", code=603, subcode=560603), outcome("x", code=None)
    odd, odder = outcome("x", code=499, subcode=1), outcome("x", code=499)
    failed = outcome("x", "CreateCallFailed")

    def pair(told: Outcome, count: int, last_at: float) -> Pair:
        return Pair(told.event_name, told.code, told.subcode, told.match, told.cause, told.retry_class, count, last_at)

    pairs = [
        pair(outcome("x"), 2, START + 5),
        pair(odd, 1, START + 5),
        pair(odder, 1, START + 5),
        pair(failed, 1, START + 5),
        pair(silent, 1, START),
        pair(declined, 1, START),
    ]
    assert await store.history.pairs(START, 10) == pairs
    assert await store.history.pairs(START, 2) == pairs[:2]
    assert await store.history.pairs(START, -1) == []
    for match in Match:
        assert await store.history.pairs(START, 10, match) == [each for each in pairs if each.match is match]
    before = await store.history.pairs(START, 10, until=START + 5)
    assert [(each.count, each.last_at) for each in before] == [(1, START)] * 3
    assert len({each.match for each in pairs}) > 2


async def test_numbers_no_event_can_carry_are_none(store: DeliveryStore) -> None:
    """``classify`` takes any number; a store need not."""
    await store.put([item("a", code=2**70, subcode=-(2**31))])
    assert [(each.code, each.subcode) for each in await store.history.pairs(0, 10)] == [(None, None)]
    assert [(each.code, each.subcode) for each in await store.history.latest(10)] == [(None, None)]


# What is a call


async def test_a_merged_pair_is_one_call_with_the_verdict_that_won(store: DeliveryStore) -> None:
    """Whichever came first; what is counted is what hooks are told."""
    first, better = item("a", call="c", code=None), item("a", "CreateCallFailed", call="c", code=404, subcode=560404)
    for leg, puts in (("a", (first, better)), ("b", (better, first))):
        for each in puts:
            told = outcome(leg, each.outcome.event_name, call=leg, code=each.outcome.code, subcode=each.outcome.subcode)
            await store.put([Item(told.outcome_id, Kind.OUTCOME, START, told)])
    told = better.outcome
    assert told.cause is not first.outcome.cause
    assert await store.history.counts(START, START + 1, 1) == [
        Count(START, told.cause, told.category, told.retry_class, 2)
    ]
    assert await store.history.pairs(START, 10) == [
        Pair("CreateCallFailed", 404, 560404, told.match, told.cause, told.retry_class, 2, START)
    ]
    (newest, _) = sorted(await store.history.latest(10), key=lambda each: each.key)
    assert newest.outcome is not None
    assert (newest.outcome.event_name, newest.outcome.sibling is not None) == ("CreateCallFailed", True)


async def test_a_redelivered_event_is_no_other_call(store: DeliveryStore) -> None:
    """It is counted among the duplicates of its call, also when that is done."""
    await store.put([item("a"), item("a")])
    await store.put([item("a")])
    await worked(store, 1)
    await store.put([item("a")])
    assert await ended(store) == [("call:a", "CallDisconnected", "done", 486, 3)]
    assert await counted(store) == 1


async def test_operations_are_no_calls(store: DeliveryStore) -> None:
    """What happens in a call is not its end; nor is a redial."""
    await store.put([item("a", "PlayCompleted"), item("a", "PlayFailed", code=500, subcode=8536)])
    await plan(store, "b", START + 60)
    assert await store.history.latest(10) == []
    assert await store.history.pairs(0, 10) == []
    assert await counted(store) == 0


LEG, OTHER, WHOLE = item("leg-1", call="c"), item("leg-2", call="c"), whole("c")
NAMELESS = item(None, call="c")


@pytest.mark.parametrize(
    ("puts", "keys"),
    [
        ([WHOLE], ["call:c"]),
        ([WHOLE, LEG], ["call:leg-1"]),
        ([LEG, WHOLE], ["call:leg-1"]),
        ([LEG, WHOLE, OTHER, WHOLE], ["call:leg-1", "call:leg-2"]),
        ([WHOLE, NAMELESS], ["call:c"]),
        ([WHOLE, NAMELESS, LEG], ["call:c", "call:leg-1"]),
    ],
    ids=["whole", "whole_then_leg", "leg_then_whole", "legs", "merged", "merged_then_leg"],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_end_of_a_whole_call_is_not_counted_beside_a_leg(
    store: DeliveryStore, puts: list[Item], keys: list[str], at_once: bool
) -> None:
    """Event Grid's CallEnded counts only while no leg has told its end."""
    for items in [puts] if at_once else [[each] for each in puts]:
        await store.put(items)
    assert sorted(each.key for each in await store.history.latest(10)) == keys
    assert await counted(store) == len(keys)


async def test_an_end_that_is_told_again_with_a_reason_is_one_call(store: DeliveryStore) -> None:
    """It is counted by the reason, when that came, and its redeliveries with it."""
    await store.put([item("leg-1", code=None)])
    await worked(store, 1)
    assert await ended(store) == [("call:leg-1", "CallDisconnected", "done", None, 0)]
    assert list(await store.put([LEG])) == [Offer.OPENED]
    assert await ended(store) == [("call:leg-1/informed", "CallDisconnected", "ready", 486, 0)]
    assert list(await store.put([LEG])) == [Offer.DUPLICATE]
    await worked(store, 1)
    assert list(await store.put([LEG, item("leg-1", code=None)])) == [Offer.DUPLICATE] * 2
    assert await ended(store) == [("call:leg-1/informed", "CallDisconnected", "done", 486, 3)]
    assert await counted(store) == 1
    assert (await store.history.calls(CallFilter(), 10)).total == 1


async def test_a_leg_that_comes_late_replaces_the_whole_call(store: DeliveryStore) -> None:
    """Hooks have been told of both, which is still one call; the next leg changes nothing."""
    await store.put([WHOLE])
    await worked(store, 1)
    assert await ended(store) == [("call:c", "CallEnded", "done", None, 0)]
    assert list(await store.put([LEG])) == [Offer.OPENED]
    assert await ended(store) == [("call:leg-1", "CallDisconnected", "ready", 486, 0)]
    stats = await store.stats()
    assert (stats.ready, stats.done, stats.canceled) == (1, 1, 0)
    await store.put([OTHER])
    assert await counted(store) == 2


async def test_a_call_counts_whatever_becomes_of_its_hooks(store: DeliveryStore) -> None:
    """Dead, replayed or discarded: the call has ended."""
    await store.put([item("a")])
    await worked(store, 1, Settlement(State.DEAD, reason="no use"))
    assert await ended(store) == [("call:a", "CallDisconnected", "dead", 486, 0)]
    await store.replay("call:a")
    assert await ended(store) == [("call:a", "CallDisconnected", "ready", 486, 0)]
    await worked(store, 1, Settlement(State.DEAD, reason="no use"))
    await store.discard("call:a")
    assert await ended(store) == [("call:a", "CallDisconnected", "canceled", 486, 0)]
    assert await counted(store) == 1


# The latest, and what waits


async def test_the_latest_calls_are_told_in_full(store: DeliveryStore, clock: Clock) -> None:
    """Newest first, with all that was stored."""
    for number in range(4):
        clock.now = START + number
        await store.put([item(f"leg-{number}")])
    newest = await store.history.latest(2)
    assert newest == [
        Ended(
            key=f"call:leg-{number}",
            at=START + number,
            state=State.READY,
            event="CallDisconnected",
            code=486,
            subcode=560486,
            match=BUSY_PAIR[3],
            cause=BUSY[0],
            category=BUSY[1],
            retry=BUSY[2],
            duplicates=0,
            outcome=outcome(f"leg-{number}"),
        )
        for number in (3, 2)
    ]
    assert await store.history.latest(-1) == []


async def test_a_forgotten_payload_leaves_the_verdict(store: DeliveryStore, clock: Clock) -> None:
    """A day after it was done, a call is known by what it is counted by; after a week it is gone."""
    if not store.durable:
        pytest.skip("what is in memory is not purged")
    await store.put([item("a")])
    await worked(store, 1)
    clock.now = START + 2 * DAY
    assert await store.purge() == 1
    (left,) = await store.history.latest(10)
    assert (left.cause, left.category, left.retry, left.match) == (*BUSY, BUSY_PAIR[3])
    assert left.outcome is None
    assert await counted(store) == 1
    clock.now = START + 8 * DAY
    assert await store.purge() == 1
    assert await counted(store) == 0


async def test_what_waits_is_told_by_its_time(store: DeliveryStore) -> None:
    """Ready and running, hooks and redials apart; the first due first."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def works(_: Claim) -> Settlement:
        begun.set()
        await release.wait()
        return DONE

    await store.put([Item("call:b", Kind.OUTCOME, START - 5, outcome("b"))])
    task = asyncio.create_task(store.run(works, 1))
    async with asyncio.timeout(20):
        await begun.wait()
    await store.put(
        [Item(f"call:{leg}", Kind.OUTCOME, at, outcome(leg)) for leg, at in (("c", START + 90), ("a", START + 60))]
    )
    await plan(store, "x", START + 600)
    await plan(store, "y", START + 300, "someone")
    hooks = [
        Waiting("call:b", Kind.OUTCOME, State.RUNNING, START - 5, 1, outcome("b")),
        Waiting("call:a", Kind.OUTCOME, State.READY, START + 60, 0, outcome("a")),
        Waiting("call:c", Kind.OUTCOME, State.READY, START + 90, 0, outcome("c")),
    ]
    redials = [
        Waiting("redial:call:y", Kind.REDIAL, State.READY, START + 300, 0, outcome("y"), "someone", "call_again", 2),
        Waiting("redial:call:x", Kind.REDIAL, State.READY, START + 600, 0, outcome("x"), CONTACT, "call_again", 2),
    ]
    assert await store.history.waiting(Kind.OUTCOME, 10) == hooks
    assert await store.history.waiting(Kind.OUTCOME, 2) == hooks[:2]
    assert await store.history.waiting(Kind.OUTCOME, -1) == []
    assert await store.history.waiting(Kind.REDIAL, 10) == redials
    assert await store.history.waiting(Kind.REDIAL, 1) == redials[:1]
    release.set()
    await store.stop(10.0)
    await task


async def test_an_item_is_found_by_its_key(store: DeliveryStore) -> None:
    """In whatever state, as long as the store remembers it."""
    await plan(store, "x", START + 600)
    found = Waiting("redial:call:x", Kind.REDIAL, State.READY, START + 600, 0, outcome("x"), CONTACT, "call_again", 2)
    assert await store.history.item("redial:call:x") == found
    assert await store.history.item("redial:call:y") is None
    await store.put([item("dead")])
    await worked(store, 1, Settlement(State.DEAD, reason="no"))
    dead = await store.history.item("call:dead")
    assert dead is not None
    assert (dead.state, dead.attempts, dead.outcome) == (State.DEAD, 1, outcome("dead"))


async def test_an_item_that_was_given_back_was_not_tried(store: DeliveryStore, clock: Clock) -> None:
    """A worker may take an item without a call: the claims are counted, and beside them the calls of a hook."""
    await store.put([item("a")])
    await worked(store, 1, Settlement(State.READY, due_at=START + 1))
    clock.now += 1
    await worked(store, 1, Settlement(State.READY, Progress(wait={"h": START + 9}, tries={"h": 1}), due_at=START + 9))
    found = await store.history.item("call:a")
    assert found is not None
    assert [found] == await store.history.waiting(Kind.OUTCOME, 10)
    assert (found.attempts, tries_in(found.progress)) == (2, 1)


async def test_contacts_are_read_in_pages(store: DeliveryStore, clock: Clock) -> None:
    """Each page goes on behind the name that the last one ended with; whoever was not called since then is not read."""
    for number, name in enumerate(["old", "a", "b", "c"]):
        clock.now = START + number * 60
        await called(store, clock, name)
    page, rest = [await store.history.contacts(START, after, 2) for after in ("", "b")]
    assert [name for name, _ in page] == ["a", "b"]
    assert [name for name, _ in rest] == ["c", "old"]
    assert page[0][1] == Contact((CallRecord("redial:a", START + 60, state=CallState.PLANNED),))
    assert [name for name, _ in await store.history.contacts(START + 30, "", 9)] == ["a", "b", "c"]
    assert await store.history.contacts(START, "", -1) == []


# Together

_puts = st.lists(
    st.tuples(
        st.sampled_from(["leg", "failed", "whole", "played"]),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([486, 404, None]),
    ),
    max_size=12,
)


def _item(kind: str, leg: int, call: int, code: int | None) -> Item:
    if kind == "whole":
        return whole(f"c{call}")
    name = {"leg": "CallDisconnected", "failed": "CreateCallFailed", "played": "PlayCompleted"}[kind]
    code = 200 if kind == "played" else code
    return item(f"{call}-{leg}", name, call=f"c{call}", code=code, subcode=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(puts=_puts, works=st.sets(st.integers(0, 11), max_size=3))
def test_the_counts_are_the_calls(tmp_path_factory: pytest.TempPathFactory, puts: Any, works: set[int]) -> None:
    """Whatever comes in whatever order and however often, worked on between or not, each call is counted once."""
    items = [_item(*each) for each in puts]
    ends = [each.outcome for each in items if each.outcome.event_name != "PlayCompleted"]
    legs = {each.outcome_id for each in ends if each.event_name != "CallEnded"}
    told = {each.correlation_id for each in ends if each.event_name != "CallEnded"}
    calls = legs | {each.outcome_id for each in ends if each.correlation_id not in told}

    async def main() -> None:
        clock = Clock()
        file = tmp_path_factory.mktemp("history") / "ringback.db"
        for store in (MemoryStore(clock=clock), SQLiteStore(file, min_free=0, clock=clock)):
            assert store.history is not None
            for number, each in enumerate(items):
                await store.put([each])
                if number in works:
                    clock.now += 10
                    await all_worked(store)
            # A leg's end that is told once more, with a reason, has a key of its own.
            assert {each.key.removesuffix("/informed") for each in await store.history.latest(100)} == calls
            assert await counted(store) == len(calls)
            assert sum(each.count for each in await store.history.pairs(0, 100)) == len(calls)
            await store.close()

    asyncio.run(main())


# What is special to one store


async def test_the_memory_begins_to_remember_when_it_is_asked() -> None:
    """What was put before is not known; nor is what becomes of it."""
    store = MemoryStore(clock=Clock())
    await store.put([item("a"), item("dead")])
    assert await store.history.latest(10) == []
    await store.put([item("a"), item("a", "CreateCallFailed"), item("b")])
    assert [each.key for each in await store.history.latest(10)] == ["call:b"]
    assert [each.key for each in await store.history.waiting(Kind.OUTCOME, 10)] == ["call:a", "call:dead", "call:b"]
    await worked(store, 3)
    assert [(each.key, each.state) for each in await store.history.latest(10)] == [("call:b", State.DONE)]
    assert store.history is store.history


async def test_the_memory_is_bounded() -> None:
    """The oldest are forgotten; of the same time, the last put is the newest."""
    store = MemoryStore(capacity=3, clock=Clock())
    assert store.history is not None
    await store.put([item(str(number)) for number in range(5)])
    assert [each.key for each in await store.history.latest(10)] == ["call:4", "call:3", "call:2"]
    assert await counted(store) == 3


async def test_a_slow_read_holds_up_no_put(tmp_path: Path) -> None:
    """The history of a file is read over a connection and in a thread of its own, which ends with the store."""
    store = SQLiteStore(tmp_path / "a b?.db", min_free=0)
    begun, release = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> int:
        begun.set()
        assert release.wait(20)
        return int(connection.execute("SELECT count(*) FROM items").fetchone()[0])

    await store.put([item("a")])
    reading = asyncio.create_task(store._database.read(slow))
    await asyncio.to_thread(begun.wait, 20)
    assert list(await store.put([item("b")])) == [Offer.OPENED]
    assert not reading.done()
    release.set()
    assert await reading == 2
    await store.close()
    # Nothing is left of the log: the reader was not the last to close.
    assert [each.name for each in os.scandir(tmp_path)] == ["a b?.db"]
    assert len(await store.history.latest(10)) == 2
    await store.close()


async def test_the_history_of_a_file_cannot_write(tmp_path: Path) -> None:
    """Whatever is asked of it; and what SQLite says comes as an error of the store."""
    store = SQLiteStore(tmp_path / "ringback.db", min_free=0)
    await store.put([item("a")])
    with pytest.raises(StoreError, match=r"ringback\.db: attempt to write a readonly database; make the file"):
        await store._database.read(lambda connection: connection.execute("DELETE FROM items"))
    assert len(await store.history.latest(10)) == 1
    await store.close()


async def test_a_file_that_is_gone_has_no_history(tmp_path: Path) -> None:
    """A fault of the reader is an error of the store too; the next call tries again."""
    store = SQLiteStore(tmp_path / "ringback.db", min_free=0)
    await store.put([item("a")])
    (tmp_path / "ringback.db").rename(tmp_path / "away.db")
    for _ in range(2):
        with pytest.raises(StoreError, match="is gone: somebody removed or renamed the file"):
            await store.history.latest(10)
    (tmp_path / "away.db").rename(tmp_path / "ringback.db")
    assert len(await store.history.latest(10)) == 1
    await store.close()


async def test_a_contact_that_cannot_be_read_is_one_without_calls(tmp_path: Path, clock: Clock) -> None:
    """A report counts the others."""
    store = SQLiteStore(tmp_path / "ringback.db", min_free=0, clock=clock)
    await called(store, clock, "a")
    await store._database.change("UPDATE contacts SET state = ?", (b"{",))
    assert await store.history.contacts(0.0, "", 9) == [("a", Contact())]
    await store.close()


async def test_a_record_that_cannot_be_read_is_a_call_without_its_outcome(tmp_path: Path) -> None:
    """A page shows what it has."""
    store = SQLiteStore(tmp_path / "ringback.db", min_free=0)
    await store.put([item("a")])
    await store._database.change("UPDATE items SET payload = ?", (b"{",))
    (call,) = await store.history.latest(10)
    assert (call.cause, call.outcome) == (Cause.BUSY, None)
    (waits,) = await store.history.waiting(Kind.OUTCOME, 10)
    assert (waits.key, waits.outcome) == ("call:a", None)
    await store.close()


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("kind", "odd", "the kind 'odd', which is none of outcome, redial; it is damaged, or of a newer release"),
        ("state", "odd", "the state 'odd', which is none of ready, running, done, dead, canceled; it is damaged"),
        ("due_at", math.nan, "the due_at nan, which is no time; it is damaged"),
        ("due_at", 1e18, "the due_at 1e+18, which is no time"),
        ("due_at", -math.inf, "the due_at -inf, which is no time"),
    ],
)
def test_a_row_that_somebody_spoiled_is_told(column: str, value: object, says: str) -> None:
    """With the value, by which whoever reads the message finds the row."""
    names = (
        "key",
        "kind",
        "state",
        "due_at",
        "attempts",
        "payload",
        "sibling",
        "contact",
        "target",
        "number",
        "progress",
    )
    row = dict.fromkeys(names) | {"key": "call:a", "kind": "redial", "state": "ready", "due_at": 1.0}
    with pytest.raises(StoreError, match=re.escape(f"an item in the store has {says}")):
        waiting_of(*(row | {column: value}).values())
    assert waiting_of(*row.values()).due_at == 1.0


def test_words_of_a_newer_release_are_unknown() -> None:
    """During a rolling update, a page shows what it does not know as unknown, and adds it up."""
    unknown = (Cause.UNKNOWN, ResultCategory.UNKNOWN, RetryClass.AFTER_FIX)
    rows = [(1, "eclipse", "Wonder", "soon", 2), (1, "unknown", "Unknown", "after_fix", 3), (0, *BUSY, 1)]
    assert counts_of(rows, 100.0, 10.0) == [Count(100.0, *BUSY, 1), Count(110.0, *unknown, 5)]
    assert pair_of("Risen", 1, None, "dream", "eclipse", "soon", 1, 2.0) == Pair(
        "Risen", 1, None, Match.NONE, Cause.UNKNOWN, RetryClass.AFTER_FIX, 1, 2.0
    )
