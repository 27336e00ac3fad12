"""What every store must do: one suite over the memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ringback.events import Event, EventData, Result
from ringback.latch import Offer
from ringback.outcome import Outcome, classify_event
from ringback.redial import Exhausted, Plan, Planned
from ringback.stores import MemoryStore
from ringback.stores.port import (
    CallRecord,
    Claim,
    DeadLetter,
    DeliveryStore,
    Item,
    Kind,
    Progress,
    Redial,
    Settlement,
    State,
    Stats,
)
from ringback.stores.record import short
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from pathlib import Path

OPENED, MERGED, DUPLICATE = Offer.OPENED, Offer.MERGED, Offer.DUPLICATE
DONE = Settlement(State.DONE)
CONTACT = "+15550100"
DAY = 86_400.0

Make = Callable[[], DeliveryStore]
Working = Callable[[Claim], Awaitable[Settlement]]


class Clock:
    """The time, moved on by ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Make]:
    """Stores, on one file or database if they are durable."""
    stores: list[DeliveryStore] = []
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""

    def made() -> DeliveryStore:
        store: DeliveryStore
        if request.param == "memory":
            store = MemoryStore(clock=clock)
        elif request.param == "sqlite":
            store = SQLiteStore(tmp_path / "ringback.db", poll=0.05, lease=5.0, timeout=10.0, min_free=0, clock=clock)
        else:
            from ringback.stores.postgres import PostgresStore

            store = PostgresStore(url, poll=0.05, lease=5.0, timeout=10.0, clock=clock)
        stores.append(store)
        return store

    yield made
    for store in stores:
        await store.close()


@pytest.fixture
async def store(make: Make) -> DeliveryStore:
    store = make()
    await store.open()
    return store


def outcome(
    leg: str | None, name: str = "CallDisconnected", *, call: str | None = None, result: bool = True, event: str = ""
) -> Outcome:
    data = EventData(
        call_connection_id=leg, correlation_id=call, result_information=Result(486, 560486) if result else None
    )
    told = Event(type=f"Microsoft.Communication.{name}", id=event or f"{name}-{leg}-{call}", data=data)
    classified = classify_event(told)
    assert classified is not None
    return classified


def item(leg: str | None, name: str = "CallDisconnected", *, due_at: float = 0.0, **told: Any) -> Item:
    ended = outcome(leg, name, **told)
    return Item(ended.outcome_id, Kind.OUTCOME, due_at, ended)


def whole(call: str) -> Item:
    """Event Grid's end of a whole call."""
    return item(None, "CallEnded", call=call, result=False)


def redial(leg: str, *, ended: bool = True, contact: str = CONTACT) -> Redial:
    told = outcome(leg)
    wish = Item(f"redial:{told.outcome_id}", Kind.REDIAL, 0.0, told, contact, "call_again")
    return Redial(contact, wish, leg if ended else None)


def at(when: float, number: int = 2) -> Callable[[Sequence[CallRecord]], Plan]:
    return lambda _: Planned(when, number)


def timeless(claim: Claim) -> Claim:
    return replace(claim, item=replace(claim.item, due_at=0.0))


async def finishes(_: Claim) -> Settlement:
    return DONE


class Crew:
    """A worker for a while: what it has claimed, in order, without the times."""

    def __init__(self, store: DeliveryStore, work: Working = finishes, *, concurrency: int = 4) -> None:
        self.claims: list[Claim] = []
        self._store, self._work, self._concurrency = store, work, concurrency
        self._finished = 0
        self._told = asyncio.Event()

    async def __aenter__(self) -> Crew:
        self._task = asyncio.create_task(self._store.run(self._noted, self._concurrency))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._store.stop(10.0)
        await self._task

    async def _noted(self, claim: Claim) -> Settlement:
        self.claims.append(timeless(claim))
        try:
            return await self._work(claim)
        finally:
            self._finished += 1
            self._told.set()

    async def have(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self._finished < count:
                self._told.clear()
                await self._told.wait()


async def worked(
    store: DeliveryStore, count: int, work: Working = finishes, *, concurrency: int = 4
) -> Sequence[Claim]:
    """What was claimed, in order, until ``count`` claims had been worked on."""
    crew = Crew(store, work, concurrency=concurrency)
    async with crew:
        await crew.have(count)
    return crew.claims


def dies(reason: str = "no use", progress: Progress | None = None) -> Working:
    async def work(_: Claim) -> Settlement:
        return Settlement(State.DEAD, progress or Progress(), reason=reason)

    return work


# Putting


LEG, FAILED, OTHER, WHOLE = (
    item("leg-1", call="call-1"),
    item("leg-1", "CreateCallFailed", call="call-1"),
    item("leg-2", call="call-1"),
    whole("call-1"),
)
NAMELESS, MADE_UP = item(None, call="call-1"), item("x" * 400, call="y" * 400)
SILENT, SILENT_FAILED = item("leg-1", result=False), item("leg-1", "CreateCallFailed", result=False)
PLAYED = item("leg-1", "PlayCompleted", event="event-1")


def tells(best: Item, sibling: Item | None = None) -> Outcome:
    return best.outcome if sibling is None else Outcome(best.outcome.event, best.outcome.verdict, sibling.outcome.event)


@pytest.mark.parametrize(
    ("puts", "offers", "told"),
    [
        ([[]], [[]], []),
        ([[LEG]], [[OPENED]], [tells(LEG)]),
        ([[LEG], [LEG]], [[OPENED], [DUPLICATE]], [tells(LEG)]),
        ([[LEG, LEG]], [[OPENED, DUPLICATE]], [tells(LEG)]),
        ([[LEG], [FAILED]], [[OPENED], [MERGED]], [tells(FAILED, LEG)]),
        ([[FAILED], [LEG]], [[OPENED], [MERGED]], [tells(FAILED, LEG)]),
        ([[LEG, FAILED]], [[OPENED, MERGED]], [tells(FAILED, LEG)]),
        ([[FAILED, LEG]], [[OPENED, MERGED]], [tells(FAILED, LEG)]),
        ([[FAILED], [LEG], [LEG], [FAILED]], [[OPENED], [MERGED], [DUPLICATE], [DUPLICATE]], [tells(FAILED, LEG)]),
        ([[SILENT_FAILED], [LEG]], [[OPENED], [MERGED]], [tells(LEG, SILENT_FAILED)]),
        ([[SILENT], [SILENT_FAILED]], [[OPENED], [MERGED]], [tells(SILENT_FAILED, SILENT)]),
        ([[LEG], [OTHER]], [[OPENED], [OPENED]], [tells(LEG), tells(OTHER)]),
        ([[WHOLE]], [[OPENED]], [tells(WHOLE)]),
        ([[WHOLE], [WHOLE]], [[OPENED], [DUPLICATE]], [tells(WHOLE)]),
        ([[WHOLE], [LEG]], [[OPENED], [OPENED]], [tells(LEG)]),
        ([[WHOLE, LEG]], [[OPENED, OPENED]], [tells(LEG)]),
        ([[WHOLE], [LEG], [WHOLE]], [[OPENED], [OPENED], [DUPLICATE]], [tells(LEG)]),
        ([[LEG], [WHOLE]], [[OPENED], [DUPLICATE]], [tells(LEG)]),
        ([[LEG, OTHER, WHOLE]], [[OPENED, OPENED, DUPLICATE]], [tells(LEG), tells(OTHER)]),
        ([[WHOLE], [NAMELESS]], [[OPENED], [MERGED]], [tells(NAMELESS, WHOLE)]),
        ([[NAMELESS], [WHOLE]], [[OPENED], [MERGED]], [tells(NAMELESS, WHOLE)]),
        ([[WHOLE, NAMELESS], [LEG]], [[OPENED, MERGED], [OPENED]], [tells(LEG), tells(NAMELESS, WHOLE)]),
        ([[PLAYED], [LEG], [PLAYED]], [[OPENED], [OPENED], [DUPLICATE]], [tells(LEG), tells(PLAYED)]),
        ([[MADE_UP], [MADE_UP, whole("y" * 400)]], [[OPENED], [DUPLICATE, DUPLICATE]], [tells(MADE_UP)]),
        ([[whole("y" * 400)], [MADE_UP]], [[OPENED], [OPENED]], [tells(MADE_UP)]),
    ],
    ids=[
        "nothing",
        "one",
        "redelivered",
        "twice_in_one_put",
        "pair",
        "pair_reversed",
        "pair_in_one_put",
        "pair_reversed_in_one_put",
        "pair_redelivered",
        "result_wins",
        "start_failure_wins",
        "two_legs",
        "whole_call",
        "whole_call_redelivered",
        "whole_call_then_leg",
        "whole_call_and_leg_in_one_put",
        "whole_call_then_leg_redelivered",
        "leg_then_whole_call",
        "two_legs_and_whole_call_in_one_put",
        "whole_call_then_leg_without_id",
        "leg_without_id_then_whole_call",
        "whole_call_merged_is_told",
        "operation",
        "long_ids",
        "long_ids_whole_call_first",
    ],
)
async def test_a_call_is_told_once_by_its_best_event(
    store: DeliveryStore, puts: list[list[Item]], offers: list[list[Offer]], told: list[Outcome]
) -> None:
    """Whatever the order, and however often: one outcome for each leg, the more informative, with its sibling."""
    assert [list(await store.put(items)) for items in puts] == offers
    claims = await worked(store, len(told)) if told else []
    assert sorted(claims, key=lambda claim: claim.item.key) == sorted(
        (Claim(Item(short(each.outcome_id), Kind.OUTCOME, 0.0, each), attempt=1) for each in told),
        key=lambda claim: claim.item.key,
    )
    again = [offer for items in puts for offer in await store.put(items)]
    assert again == [DUPLICATE] * len(again)
    stats = await store.stats()
    opened = sum(offer is OPENED for put in offers for offer in put)
    assert stats == Stats(done=len(told), canceled=opened - len(told))


async def test_events_of_a_call_at_work_are_duplicates(store: DeliveryStore) -> None:
    """Once somebody works on it, a sibling comes too late; also while it waits for its next attempt, dead, or done."""
    offers: list[Offer] = []

    async def work(claim: Claim) -> Settlement:
        offers.extend(await store.put([LEG, FAILED, WHOLE]))
        return DONE if claim.attempt == 2 else Settlement(State.READY)

    await store.put([LEG])
    claims = await worked(store, 2, work)
    offers.extend(await store.put([LEG, FAILED, WHOLE]))
    assert offers == [DUPLICATE] * 9
    assert [claim.item.outcome for claim in claims] == [LEG.outcome] * 2
    await store.put([OTHER])
    await worked(store, 1, dies())
    assert list(await store.put([OTHER])) == [DUPLICATE]


async def test_odd_keys_are_keys(store: DeliveryStore) -> None:
    """Ids come from strangers: none makes a put fail, and no two are taken for one."""
    odd = ["", " ", "'", "\0", "\ud800", "é" * 300, "x" * 250, "x" * 251, "x" * 252, "%s", "\n"]
    items = [item(leg, call=f"c{number}{leg}") for number, leg in enumerate(odd)]
    assert list(await store.put(items)) == [OPENED] * len(odd)
    assert list(await store.put(items)) == [DUPLICATE] * len(odd)
    claims = await worked(store, len(odd), concurrency=1)
    assert sorted(claim.item.key for claim in claims) == sorted(short(each.key) for each in items)
    assert len({claim.item.key for claim in claims}) == len(odd)


async def test_many_who_put_the_same_open_it_once(store: DeliveryStore) -> None:
    """Whoever is first opens; 200 at the same time make no difference."""
    puts = [store.put([item(f"leg-{number % 50}")]) for number in range(200)]
    offers = [offer for (offer,) in await asyncio.gather(*puts)]
    assert (offers.count(OPENED), offers.count(DUPLICATE)) == (50, 150)
    assert (await store.stats()).ready == 50


async def test_all_of_a_put_or_nothing(store: DeliveryStore) -> None:
    """A put that fails leaves nothing behind, and its neighbours are not harmed."""
    unstorable: Any = replace(item("bad"), number=object())
    if not store.durable:
        pytest.skip("only what is written can fail to be")
    results = await asyncio.gather(
        store.put([item("a"), unstorable]), store.put([item("b")]), store.put([item("c")]), return_exceptions=True
    )
    assert isinstance(results[0], Exception)
    assert [list(each) for each in results[1:] if not isinstance(each, BaseException)] == [[OPENED], [OPENED]]
    assert (await store.stats()).ready == 2
    assert list(await store.put([item("a")])) == [OPENED]


# Working


async def test_only_what_is_due_is_claimed_in_the_order_of_time(store: DeliveryStore, clock: Clock) -> None:
    """Nothing is claimed before its time, and what waited longest first."""
    now = clock()
    await store.put([item("late", due_at=now + 3600), item("b", due_at=now - 5), item("a", due_at=now - 9)])
    await store.put([item("c", due_at=now - 1)])
    claims = await worked(store, 3, concurrency=1)
    legs = [claim.item.outcome.call_connection_id for claim in claims[:3]]
    # Jobs of PostgreSQL that are all late come in the order in which they were put.
    assert legs == ["a", "b", "c"] or (type(store).__name__ == "PostgresStore" and sorted(legs) == ["a", "b", "c"])
    stats = await store.stats()
    if store.durable:
        assert stats == Stats(ready=1, done=3)
        clock.ahead = 3700
        assert 99 < (await store.stats()).oldest_due < 200
    else:
        # In memory what waits for its sibling is worked on before the end.
        assert stats == Stats(done=4)


async def test_a_worker_wakes_when_something_is_due(store: DeliveryStore, clock: Clock) -> None:
    """Neither what is put later, nor what is put earlier than what is waited for, is left lying."""
    early: list[bool] = []

    async def work(claim: Claim) -> Settlement:
        early.append(clock() < claim.item.due_at)
        return DONE

    crew = Crew(store, work)
    async with crew:
        await store.put([item("a", due_at=clock() + 0.3)])
        await store.put([item("b", due_at=clock() + 0.1)])
        await store.put([item("c")])
        await crew.have(3)
    assert [claim.item.outcome.call_connection_id for claim in crew.claims] == ["c", "b", "a"]
    assert early == [False] * 3


async def test_no_more_is_claimed_than_agreed(store: DeliveryStore) -> None:
    """At most ``concurrency`` are worked on at a time, and as many are, if they wait."""
    running, most = 0, 0

    async def work(_: Claim) -> Settlement:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return DONE

    await store.put([item(f"leg-{number}") for number in range(20)])
    claims = await worked(store, 20, work, concurrency=3)
    assert len({claim.item.key for claim in claims}) == 20
    assert most == 3


async def test_work_is_tried_again_from_where_it_came(store: DeliveryStore, clock: Clock) -> None:
    """Attempts are counted by claiming; progress is what the settlement says; done is done."""
    progress = Progress(
        done=("a",), failed={"b": "no"}, tries={"c": 2}, wait={"c": 5.0}, trying="c", first_sent=1.5, generation=1
    )

    async def work(claim: Claim) -> Settlement:
        assert await store.checkpoint(claim.item.key, Progress(trying="x"))
        if claim.attempt == 3:
            return DONE
        return Settlement(State.READY, progress, due_at=clock() + 0.1 * (claim.attempt - 1))

    await store.put([LEG])
    claims = await worked(store, 3, work)
    plain = Item(LEG.key, Kind.OUTCOME, 0.0, LEG.outcome)
    assert claims == [Claim(plain, 1), Claim(plain, 2, progress=progress), Claim(plain, 3, progress=progress)]
    assert not await store.checkpoint(LEG.key, progress)
    assert not await store.checkpoint("call:unknown", progress)
    assert await store.stats() == Stats(done=1)


async def test_what_is_cut_short_is_given_back(store: DeliveryStore) -> None:
    """Cancelled by the end of its worker, an item is ready at once, redelivered, from its last checkpoint."""
    begun = asyncio.Event()

    async def hangs(claim: Claim) -> Settlement:
        assert await store.checkpoint(claim.item.key, Progress(trying="hook"))
        begun.set()
        await asyncio.Event().wait()
        return DONE

    await store.put([LEG])
    task = asyncio.create_task(store.run(hangs, 2))
    await begun.wait()
    assert (await store.stats()) == Stats(running=1)
    assert await store.stop(0.05) == 1
    await asyncio.wait_for(task, 5)
    assert (await store.stats()).ready == 1
    assert not await store.checkpoint(LEG.key, Progress())
    claims = await worked(store, 1)
    plain = Item(LEG.key, Kind.OUTCOME, 0.0, LEG.outcome)
    assert claims == [Claim(plain, 2, redelivered=True, progress=Progress(trying="hook"))]
    assert await store.stop(1.0) == 0


async def test_what_ends_in_time_is_not_cancelled(store: DeliveryStore) -> None:
    """Work that is under way when the worker is stopped has its time, and is done."""
    begun = asyncio.Event()

    async def takes_a_while(_: Claim) -> Settlement:
        begun.set()
        await asyncio.sleep(0.1)
        return DONE

    await store.put([LEG])
    task = asyncio.create_task(store.run(takes_a_while, 2))
    await begun.wait()
    assert await store.stop(10.0) == 0
    await asyncio.wait_for(task, 5)
    assert await store.stats() == Stats(done=1)


async def test_work_that_raises_is_reported_and_not_lost(store: DeliveryStore, clock: Clock) -> None:
    """Against the contract, but it happens: nothing is stuck, and somebody is told."""
    faults: list[Exception] = []
    store.on_fault = faults.append

    async def breaks(_: Claim) -> Settlement:
        raise ZeroDivisionError

    await store.put([LEG])
    await worked(store, 1, breaks)
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
    clock.ahead = 60
    claims = await worked(store, 1)
    assert [claim.attempt for claim in claims] == [2]


async def test_stores_are_opened_twice_and_used_by_one_loop_after_the_other(make: Make) -> None:
    """Opening what is open does nothing; what one loop puts, the next works on."""
    store = make()
    await store.open()
    await store.open()
    assert list(await store.put([LEG])) == [OPENED]
    assert (await worked(store, 1))[0].attempt == 1
    await store.close()
    await store.open()
    assert list(await store.put([LEG, OTHER])) == [DUPLICATE, OPENED]
    assert (await worked(store, 1))[0].item.key == OTHER.key


# Dead letters


async def test_dead_letters_are_listed_replayed_and_discarded(store: DeliveryStore, clock: Clock) -> None:
    """The newest first; replayed with all attempts, but what was done stays done; discarded for good."""
    progress = Progress(
        done=("a",), failed={"b": "no"}, tries={"b": 3}, wait={"c": 1.0}, trying="b", first_sent=9.0, generation=2
    )
    await store.put([LEG])
    await worked(store, 1, dies("b: no", progress))
    clock.ahead = 10
    await store.put([OTHER])
    await worked(store, 1, dies("worse"))
    letters = await store.dead()
    assert [replace(letter, died_at=0.0) for letter in letters] == [
        DeadLetter(OTHER.key, Kind.OUTCOME, OTHER.outcome, 1, "worse", 0.0, Progress()),
        DeadLetter(LEG.key, Kind.OUTCOME, LEG.outcome, 1, "b: no", 0.0, progress),
    ]
    assert 9 < letters[0].died_at - letters[1].died_at < 60
    assert [letter.key for letter in await store.dead(1)] == [OTHER.key]
    assert await store.stats() == Stats(dead=2)
    assert not await store.replay("call:unknown")
    assert not await store.discard("call:unknown")
    assert await store.replay(LEG.key)
    assert not await store.replay(LEG.key)
    kept = Progress(done=("a",), first_sent=9.0, generation=2)
    assert await worked(store, 1) == [Claim(Item(LEG.key, Kind.OUTCOME, 0.0, LEG.outcome), 1, progress=kept)]
    assert await store.discard(OTHER.key)
    assert not await store.discard(OTHER.key)
    assert list(await store.dead()) == []
    assert await store.stats() == Stats(done=1, canceled=1)
    assert list(await store.put([LEG, OTHER])) == [DUPLICATE, DUPLICATE]


async def test_a_dead_letter_with_a_long_key_is_found(store: DeliveryStore) -> None:
    """By the key it was put with, and by the one it is listed with."""
    await store.put([MADE_UP])
    await worked(store, 1, dies())
    assert [letter.key for letter in await store.dead()] == [short(MADE_UP.key)]
    assert await store.replay(MADE_UP.key)
    await worked(store, 1, dies())
    assert await store.discard(short(MADE_UP.key))


# Redials


async def test_a_redial_is_planned_and_placed(store: DeliveryStore, clock: Clock) -> None:
    """It is an item of its own, due when it was decided, with what its function needs."""
    seen: list[Sequence[CallRecord]] = []
    when = clock() + 0.1

    def decide(calls: Sequence[CallRecord]) -> Plan:
        seen.append(calls)
        return Planned(when, 2)

    wish = redial("leg-1")
    assert await store.plan(wish, decide) == Planned(when, 2)
    assert [[record.key for record in calls] for calls in seen] == [["leg:leg-1"]]
    assert await store.stats() == Stats(ready=1, redials=1)
    assert await worked(store, 1) == [Claim(replace(wish.item, number=2), 1)]
    assert await store.stats() == Stats(done=1)


async def test_the_same_redial_is_planned_once(store: DeliveryStore) -> None:
    """Neither while it is to come, nor after it was placed; and no other of its contact while it is to come."""
    assert await store.plan(redial("leg-1"), at(0.0)) == Planned(0.0, 2)
    assert await store.plan(redial("leg-1"), at(0.0)) is None
    assert await store.plan(redial("leg-2"), at(0.0)) is None
    other = redial("leg-3", contact="+15550101")
    assert await store.plan(other, at(0.0)) == Planned(0.0, 2)
    await worked(store, 2)
    assert await store.plan(redial("leg-1"), at(0.0)) is None
    assert await store.plan(redial("leg-2"), at(0.0)) == Planned(0.0, 2)


async def test_a_refusal_schedules_nothing(store: DeliveryStore) -> None:
    """What is decided is returned; the call that has ended is counted nevertheless, and the next asks anew."""
    seen: list[list[str]] = []

    def refuse(calls: Sequence[CallRecord]) -> Plan:
        seen.append(sorted(record.key for record in calls))
        return Exhausted("max_attempts")

    assert await store.plan(redial("leg-1"), refuse) == Exhausted("max_attempts")
    assert await store.plan(redial("leg-1"), refuse) == Exhausted("max_attempts")
    assert await store.plan(redial("leg-2", ended=False), refuse) == Exhausted("max_attempts")
    assert await store.stats() == Stats()
    assert seen == [["leg:leg-1"], ["leg:leg-1"], ["leg:leg-1", "leg:redial:call:leg-2"]]


def counting(seen: list[int]) -> Callable[[Sequence[CallRecord]], Plan]:
    def decide(calls: Sequence[CallRecord]) -> Plan:
        seen.append(len(calls))
        return Exhausted("max_attempts")

    return decide


async def test_a_call_that_a_redial_has_placed_counts_once(store: DeliveryStore) -> None:
    """Whether its function said which call it was, before or after that call's end, or not at all."""
    counts: list[int] = []

    async def says(_: Claim) -> Settlement:
        return Settlement(State.DONE, leg="leg-2")

    await store.plan(redial("leg-1"), at(time.time()))
    await worked(store, 1, says)
    await store.plan(redial("leg-2"), counting(counts))
    assert counts == [2]

    async def ends_first(_: Claim) -> Settlement:
        await store.cancel(CONTACT, "leg-3")
        return Settlement(State.DONE, leg="leg-3")

    await store.plan(redial("leg-2"), at(time.time()))
    await worked(store, 1, ends_first)
    await store.plan(redial("leg-3"), counting(counts))
    assert counts == [2, 3]
    await store.plan(redial("leg-3"), at(time.time()))
    await worked(store, 1)
    await store.plan(redial("leg-4"), counting(counts))
    await store.plan(redial("leg-5"), counting(counts))
    assert counts == [2, 3, 4, 5]


async def test_a_call_not_due_is_not_taken_for_one_that_ended(store: DeliveryStore, clock: Clock) -> None:
    """A redial to come is no call yet: the end of another does not stand for it."""
    counts: list[int] = []
    await store.plan(redial("leg-1"), at(clock() + 3600))
    assert await store.plan(redial("leg-2"), counting(counts)) is None
    assert await store.cancel(CONTACT) == 1
    await store.plan(redial("leg-3"), counting(counts))
    assert counts == [3]


async def test_redials_are_canceled(store: DeliveryStore, clock: Clock) -> None:
    """What has not begun is off, and counts no more; the call that was reached does. A key stays taken."""
    counts: list[int] = []
    assert await store.cancel(CONTACT) == 0
    await store.plan(redial("leg-1"), at(clock() + 3600))
    assert await store.cancel("+15550101") == 0
    assert await store.cancel(CONTACT, "leg-2") == 1
    assert await store.cancel(CONTACT, "leg-2") == 0
    assert await store.stats() == Stats(canceled=1)
    assert await store.plan(redial("leg-1"), at(0.0)) is None
    await store.plan(redial("leg-3"), counting(counts))
    assert counts == [3]


async def test_a_redial_that_waits_to_be_tried_again_is_canceled_and_counts(store: DeliveryStore, clock: Clock) -> None:
    """It may have been a call. One planned while it was tried is canceled with it."""
    counts: list[int] = []

    async def fails(_: Claim) -> Settlement:
        assert isinstance(await store.plan(redial("leg-2"), at(clock() + 3600)), Planned)
        return Settlement(State.READY, due_at=clock() + 3600)

    await store.plan(redial("leg-1"), at(clock()))
    await worked(store, 1, fails)
    assert await store.stats() == Stats(ready=2, redials=2)
    assert await store.cancel(CONTACT) == 2
    assert await store.stats() == Stats(canceled=2)
    # leg-1 and the call that may have been placed, which leg-2 is taken for.
    await store.plan(redial("leg-3"), counting(counts))
    assert counts == [3]


async def test_a_redial_at_work_is_not_canceled(store: DeliveryStore) -> None:
    """Whoever calls already is not interrupted."""
    canceled: list[int] = []

    async def calls(_: Claim) -> Settlement:
        canceled.append(await store.cancel(CONTACT))
        return DONE

    await store.plan(redial("leg-1"), at(0.0))
    await worked(store, 1, calls)
    assert canceled == [0]
    assert await store.stats() == Stats(done=1)


async def test_dead_redials_keep_their_target(store: DeliveryStore) -> None:
    """A dead letter says which function was to call; replayed, it can be canceled."""
    wish = redial("leg-1")
    await store.plan(wish, at(0.0, 3))
    await worked(store, 1, dies())
    (letter,) = await store.dead()
    assert replace(letter, died_at=0.0) == DeadLetter(
        wish.item.key, Kind.REDIAL, wish.item.outcome, 1, "no use", 0.0, Progress(), "call_again"
    )
    assert await store.replay(wish.item.key)
    assert await store.cancel(CONTACT) == 1
    assert await store.stats() == Stats(canceled=1)


async def test_nobody_else_plans_for_a_contact_meanwhile(make: Make) -> None:
    """Fifty at the same time, and a policy that allows one more: exactly one is planned."""
    stores = [make(), make()]
    if not stores[0].durable:
        stores = stores[:1]
    for store in stores:
        await store.open()

    def one(calls: Sequence[CallRecord]) -> Plan:
        return Exhausted("max_attempts") if any(call.key.startswith("redial:") for call in calls) else Planned(1.0, 2)

    plans = await asyncio.gather(*(stores[n % len(stores)].plan(redial(f"leg-{n}"), one) for n in range(50)))
    assert [type(plan) for plan in plans].count(Planned) == 1
    assert (await stores[0].stats()).redials == 1


async def test_old_items_are_forgotten_step_by_step(store: DeliveryStore, clock: Clock) -> None:
    """After a day the payload goes, after a week the key, after a month dead letters and calls."""
    if not store.durable:
        assert await store.purge() == 0
        return
    counts: list[int] = []
    await store.put([LEG])
    await worked(store, 1)
    await store.put([OTHER])
    await worked(store, 1, dies())
    await store.plan(redial("leg-9"), counting(counts))
    changed: list[tuple[int, Stats]] = []
    for ahead in (DAY / 2, 2 * DAY, 8 * DAY, 32 * DAY):
        clock.ahead = ahead
        changed.append((await store.purge(), await store.stats()))
    assert changed == [(0, Stats(done=1, dead=1)), (1, Stats(done=1, dead=1)), (1, Stats(dead=1)), (2, Stats())]
    assert list(await store.put([LEG, OTHER])) == [OPENED, OPENED]
    await store.plan(redial("leg-10"), counting(counts))
    assert counts == [1, 1]


def test_one_loop_after_the_other(tmp_path: Path) -> None:
    """A loop that ends without a word takes nothing with it."""
    for store in (MemoryStore(), SQLiteStore(tmp_path / "x.db", poll=0.05, lease=0.3, min_free=0)):
        assert list(asyncio.run(store.put([LEG]))) == [OPENED]
        assert list(asyncio.run(store.put([LEG, OTHER]))) == [DUPLICATE, OPENED]
        begun: list[Claim] = []

        async def hangs(claim: Claim, begun: list[Claim] = begun) -> Settlement:
            begun.append(claim)
            await asyncio.Event().wait()
            return DONE

        loop = asyncio.new_event_loop()
        tasks = [loop.create_task(store.run(hangs, 1))]
        while not begun:
            loop.run_until_complete(asyncio.sleep(0.01))
        tasks += asyncio.all_tasks(loop)
        loop.close()
        for task in tasks:
            # Nobody will: the loop is gone.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        claims = asyncio.run(worked(store, 2))
        assert sorted((claim.item.key, claim.attempt, claim.redelivered) for claim in claims) == [
            (LEG.key, 2, True),
            (OTHER.key, 1, False),
        ]
        asyncio.run(store.close())


# A model


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.lists(
                st.tuples(st.sampled_from("abc"), st.sampled_from(["CallDisconnected", "CreateCallFailed"])), max_size=4
            ),
        ),
        st.tuples(st.just("work"), st.sampled_from([State.DONE, State.DEAD, State.READY])),
        st.tuples(st.just("replay"), st.sampled_from("abc")),
        st.tuples(st.just("discard"), st.sampled_from("abc")),
    ),
    max_size=12,
)


class Model:
    """What is to be expected: state, attempts and the names of the events, by leg."""

    def __init__(self) -> None:
        self.legs: dict[str, list[Any]] = {}

    def put(self, leg: str, name: str) -> Offer:
        if leg not in self.legs:
            self.legs[leg] = [State.READY, 0, {name}]
            return OPENED
        state, attempts, names = self.legs[leg]
        if state is State.READY and attempts == 0 and not self.replayed(leg) and name not in names:
            names.add(name)
            return MERGED
        return DUPLICATE

    def replayed(self, leg: str) -> bool:
        return len(self.legs[leg]) > 3

    def work(self, state: State) -> list[tuple[str, int]]:
        """Each item that is ready is worked on once."""
        worked = []
        for leg, row in sorted(self.legs.items()):
            if row[0] is State.READY:
                row[0], row[1] = state, row[1] + 1
                worked.append((f"call:{leg}", row[1]))
        return worked

    def replay(self, leg: str) -> bool:
        if leg not in self.legs or self.legs[leg][0] is not State.DEAD:
            return False
        self.legs[leg] = [State.READY, 0, {"CallDisconnected", "CreateCallFailed"}, "replayed"]
        return True

    def discard(self, leg: str) -> bool:
        if leg not in self.legs or self.legs[leg][0] is not State.DEAD:
            return False
        self.legs[leg][0] = State.CANCELED
        return True

    def stats(self) -> dict[str, int]:
        states = [row[0] for row in self.legs.values()]
        return {state.value: states.count(state) for state in State}


async def follows(store: DeliveryStore, clock: Clock, steps: list[tuple[str, Any]]) -> None:
    model = Model()
    for step, argument in steps:
        if step == "put":
            items = [item(leg, name) for leg, name in argument]
            assert list(await store.put(items)) == [model.put(leg, name) for leg, name in argument]
        elif step == "work":
            expected = model.work(argument)

            async def work(_: Claim, state: State = argument) -> Settlement:
                return Settlement(state, due_at=clock() + 60)

            claims = await worked(store, len(expected), work)
            assert sorted((claim.item.key, claim.attempt) for claim in claims) == expected
            clock.ahead += 120
        else:
            asked = await getattr(store, step)(f"call:{argument}")
            assert asked == getattr(model, step)(argument)
        stats = await store.stats()
        assert {state.value: getattr(stats, state.value) for state in State} == model.stats()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(steps=STEPS)
def test_any_sequence_follows_the_model(kind: str, tmp_path_factory: pytest.TempPathFactory, steps: Any) -> None:
    """Any order of deliveries, attempts, replays: what a simple model says."""

    async def check() -> None:
        clock = Clock()
        store: DeliveryStore = MemoryStore(clock=clock)
        if kind == "sqlite":
            path = tmp_path_factory.mktemp("model") / "x.db"
            store = SQLiteStore(path, poll=0.05, lease=5.0, min_free=0, clock=clock)
        await follows(store, clock, steps)
        await store.close()

    asyncio.run(check())
