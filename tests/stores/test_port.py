"""What every store must do: one suite over the memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from crew import (
    CONTACT,
    DONE,
    Clock,
    Crew,
    dies,
    item,
    plan,
    until,
    whole,
    worked,
)
from ringback.core.events import Diagnostic, Event, EventData, Result
from ringback.core.outcome import Outcome, classify_event
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore
from ringback.work.delivery_store import DeliveryStore
from ringback.work.items import Claim, DeadLetter, Item, Kind, Progress, Settlement, State, Stats
from ringback.work.keys import short
from ringback.work.latch import Offer
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

OPENED, MERGED, DUPLICATE = Offer.OPENED, Offer.MERGED, Offer.DUPLICATE
DAY = 86_400.0

Make = Callable[[], DeliveryStore]


@pytest.fixture(params=["memory", "sqlite", "postgres", "pgbouncer"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# A pooler reads no value of a statement: tables of values are asked of the other stores. Tests without a table send the
# same statements through PgBouncer.
UNPOOLED = pytest.mark.parametrize("engine", ["memory", "sqlite", "postgres"], indirect=True)


# Putting


LEG, FAILED, OTHER, WHOLE = (
    item("leg-1", call="call-1"),
    item("leg-1", "CreateCallFailed", call="call-1"),
    item("leg-2", call="call-1"),
    whole("call-1"),
)
NAMELESS, MADE_UP = item(None, call="call-1"), item("x" * 400, call="y" * 400)
SILENT, SILENT_FAILED = item("leg-1", result=False), item("leg-1", "CreateCallFailed", result=False)
UNANSWERED = item("leg-1", "AnswerFailed", call="call-1")
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
        ([[SILENT], [SILENT_FAILED], [LEG]], [[OPENED], [MERGED], [MERGED]], [tells(LEG, SILENT_FAILED)]),
        ([[SILENT], [LEG], [FAILED]], [[OPENED], [MERGED], [MERGED]], [tells(FAILED, LEG)]),
        ([[LEG, FAILED, UNANSWERED]], [[OPENED, MERGED, DUPLICATE]], [tells(FAILED, LEG)]),
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
        "third_brings_the_result",
        "third_says_more",
        "third_says_no_more",
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
@UNPOOLED
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


@pytest.mark.parametrize("turned", [False, True], ids=["judged_first", "refined_first"])
@pytest.mark.parametrize("together", [False, True])
@UNPOOLED
async def test_a_persons_word_outlasts_the_siblings_detail(store: DeliveryStore, turned: bool, together: bool) -> None:
    """An override judges one report of the end; a carrier's detail comes with the other."""
    data = EventData(call_connection_id="leg-1", result_information=Result(480, 560480))
    detailed = EventData("leg-1", result_information=Result(480, 560480, None, None, Diagnostic(21)))
    row = {"events": ["CallDisconnected"], "code": 480, "subcode": 560480, "retry": "later"}
    ours = Catalog.default().with_overrides(row)
    outcomes = [
        classify_event(Event(type=f"Microsoft.Communication.{name}", id=name, data=data), ours)
        for name, data in (("CallDisconnected", data), ("CreateCallFailed", detailed))
    ]
    items = [Item(each.outcome_id, Kind.OUTCOME, 0.0, each) for each in outcomes if each is not None]
    items = items[::-1] if turned else items
    if together:
        await store.put(items)
    else:
        for each in items:
            await store.put([each])
    (claim,) = await worked(store, 1)
    told = claim.item.outcome
    assert (told.event_name, told.retry_class) == ("CallDisconnected", "later")
    assert (told.override, told.verdict.entry.stated) == (
        "overrides: entry 1 (event CallDisconnected, code 480, subcode 560480)",
        ("retry",),
    )


@pytest.mark.parametrize("state", [State.DONE, State.DEAD, State.READY])
@pytest.mark.parametrize("together", [False, True])
@UNPOOLED
async def test_the_first_event_with_a_reason_is_told_after_an_end_without_one(
    store: DeliveryStore, clock: Clock, state: State, together: bool
) -> None:
    """Whatever became of that, and once: with its sibling, under a key of its own, of the same ending."""
    await store.put([SILENT])
    settled = Settlement(state, reason="no use", due_at=clock() + 3600)

    async def work(_: Claim) -> Settlement:
        return settled

    await worked(store, 1, work)
    assert list(await store.put([SILENT, SILENT_FAILED])) == [DUPLICATE] * 2
    for items in [[LEG, FAILED]] if together else [[LEG], [FAILED]]:
        offers = list(await store.put(items))
        assert offers == [OPENED if each is LEG else MERGED for each in items]
    claims = await worked(store, 1)
    best = tells(FAILED, LEG)
    assert claims == [Claim(Item("call:leg-1/informed", Kind.OUTCOME, 0.0, best), attempt=1)]
    assert list(await store.put([LEG, FAILED, WHOLE, SILENT])) == [DUPLICATE] * 4


async def test_an_end_without_a_reason_that_settles_is_told_with_the_reason(store: DeliveryStore) -> None:
    """Also where the same event brings it: then nothing has been told yet."""
    assert list(await store.put([SILENT, LEG])) == [OPENED, MERGED]
    assert [claim.item.outcome for claim in await worked(store, 1)] == [tells(LEG, SILENT)]


async def test_operations_are_known_by_source_and_id(store: DeliveryStore) -> None:
    """Equal ids of two sources are two events; each comes back with the id that it was put with, once."""
    sources = ["calling/a", "calling/b", "tel:+15550100123", "https://user:secret@app/calls?id=7", None]
    played = [item("leg-1", "PlayCompleted", event="event-1", source=source) for source in sources]
    assert len({each.key for each in played}) == len(played)
    assert list(await store.put(played)) == [OPENED] * len(played)
    assert list(await store.put(played)) == [DUPLICATE] * len(played)
    claims = await worked(store, len(played))
    assert {claim.item.key for claim in claims} == {each.key for each in played}
    assert [claim.item.outcome.outcome_id for claim in claims] == [claim.item.key for claim in claims]


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


async def test_what_is_due_later_is_ready_and_not_late(
    store: DeliveryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redial to come and a hook that waits for its next attempt count as ready; the oldest is late from its due time
    on, and the later of the two changes nothing of that.
    """
    now = clock()
    monkeypatch.setattr(Clock, "__call__", lambda self: now + self.ahead)
    await plan(store, "redial", now + 60)
    await store.put([item("again", due_at=now + 90)])
    late: list[float] = []
    for clock.ahead in (0, 60, 75, 100):
        stats = await store.stats()
        assert replace(stats, oldest_due=0.0) == Stats(ready=2, redials=1)
        late.append(round(stats.oldest_due, 3))
    assert late == [0, 0, 15, 40]


async def test_a_worker_wakes_when_something_is_due(store: DeliveryStore, clock: Clock) -> None:
    """Neither what is put later, nor what is put earlier than what is waited for, is left lying."""
    early: list[bool] = []

    async def work(claim: Claim) -> Settlement:
        early.append(clock() < claim.item.due_at)
        return DONE

    crew = Crew(store, work)
    async with crew:
        # While the worker waits for this one, which is not to come in this test, it takes those.
        await store.put([item("a", due_at=clock() + 3600)])
        await store.put([item("b", due_at=clock() + 0.3)])
        await store.put([item("c", due_at=clock() + 0.1)])
        await store.put([item("d")])
        await crew.have(3)
        legs = [claim.item.outcome.call_connection_id for claim in crew.claims]
        assert (sorted(map(str, legs)), early) == (["b", "c", "d"], [False] * 3)


async def test_no_more_is_claimed_than_agreed(store: DeliveryStore) -> None:
    """At most ``concurrency`` are worked on at a time, and as many are, if they wait."""
    running, most = 0, 0
    full = asyncio.Event()

    async def work(_: Claim) -> Settlement:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        # However slowly they are claimed, the first wait for the third; then time for one too many.
        await full.wait()
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


who: ContextVar[str] = ContextVar("who", default="nobody")


async def test_work_is_done_in_no_context_of_a_request(store: DeliveryStore) -> None:
    """Neither in that of the put nor in that of the worker's start: another process may do the work, in any store."""
    seen: list[str] = []

    async def work(_: Claim) -> Settlement:
        seen.append(who.get())
        return DONE

    token = who.set("a request")
    await store.put([LEG])
    await plan(store, "leg-2")
    await worked(store, 2, work)
    who.reset(token)
    assert seen == ["nobody", "nobody"]


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


# Functions that return too late


@pytest.mark.parametrize("state", [State.READY, State.DEAD])
@pytest.mark.parametrize("returns", [True, False], ids=["returns", "raises"])
@UNPOOLED
async def test_what_returns_too_late_counts_if_nobody_has_worked_on_the_item_since(
    store: DeliveryStore, clock: Clock, state: State, returns: bool
) -> None:
    """It keeps its place in the worker until then."""
    go, seen = asyncio.Event(), list[str]()

    async def work(claim: Claim) -> Settlement:
        async def late() -> tuple[Claim, Settlement] | None:
            await go.wait()
            return (claim, DONE) if returns else None

        seen.append(claim.item.key)
        if claim.item.key == OTHER.key:
            return DONE
        return Settlement(state, due_at=clock() + 3600, late=(late(),))

    task = asyncio.create_task(store.run(work, 1))
    await store.put([LEG])
    before = {"ready": 1} if state is State.READY else {"dead": 1}
    # What nobody has begun yet is ready, too.
    await until(lambda: bool(seen))
    await until(lambda: _counts(store, **before))
    await store.put([OTHER])
    await asyncio.sleep(0.2)
    assert seen == [LEG.key]
    go.set()
    after = {"done": 2} if returns else {"done": 1, **before}
    await until(lambda: _counts(store, **after))
    await store.stop(0.0 if isinstance(store, MemoryStore) else 5.0)
    await task


async def _counts(store: DeliveryStore, **counts: int) -> bool:
    return replace(await store.stats(), oldest_due=0.0) == Stats(**counts)


async def test_a_worker_that_stops_waits_for_no_function_that_took_too_long(store: DeliveryStore, clock: Clock) -> None:
    """Its attempt has failed, and the item waits for the next one."""

    async def work(claim: Claim) -> Settlement:
        async def late() -> None:
            await asyncio.Event().wait()

        return Settlement(State.DEAD, reason="too late", late=(late(), late()))

    task = asyncio.create_task(store.run(work, 4))
    await store.put([LEG])
    await until(lambda: _counts(store, dead=1))
    assert await store.stop(5.0) == 0
    await task
    assert await store.stats() == Stats(dead=1)


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
    kept = Progress(done=("a",), first_sent=9.0, generation=2, replayed=True)
    (again,) = await worked(store, 1)
    assert again == Claim(Item(LEG.key, Kind.OUTCOME, 0.0, LEG.outcome), 1, progress=kept)
    assert await store.discard(OTHER.key)
    assert not await store.discard(OTHER.key)
    assert list(await store.dead()) == []
    assert await store.stats() == Stats(done=1, canceled=1)
    assert list(await store.put([LEG, OTHER])) == [DUPLICATE, DUPLICATE]


async def test_a_dead_letter_names_its_function_and_its_contact(store: DeliveryStore) -> None:
    """So that a person can choose by either."""
    await store.put([replace(LEG, contact="bob", target="call_again")])
    await worked(store, 1, dies())
    assert [(letter.target, letter.contact) for letter in await store.dead()] == [("call_again", "bob")]


async def test_what_waits_can_be_made_due(store: DeliveryStore, clock: Clock) -> None:
    """By its keys, however long; what another claim is for, what is due and what is unknown are left alone."""
    later = clock() + 3600
    waiting = [replace(each, due_at=later) for each in (PLAYED, MADE_UP, LEG)]
    await store.put([*waiting, OTHER])

    async def again(claim: Claim) -> Settlement:
        state = State.READY if claim.item.key == OTHER.key and claim.attempt == 1 else State.DONE
        return Settlement(state, due_at=later)

    async with Crew(store, again) as crew:
        await crew.have(1)
        await store.hasten([PLAYED.key, MADE_UP.key, OTHER.key, "event:nobody-has-put"])
        await crew.have(3)
        await store.hasten([PLAYED.key])
        claimed = [claim.item.key for claim in crew.claims]
        assert (claimed[0], sorted(claimed[1:])) == (OTHER.key, sorted([PLAYED.key, short(MADE_UP.key)]))


async def test_a_dead_letter_with_a_long_key_is_found(store: DeliveryStore) -> None:
    """By the key it was put with, and by the one it is listed with."""
    await store.put([MADE_UP])
    await worked(store, 1, dies())
    assert [letter.key for letter in await store.dead()] == [short(MADE_UP.key)]
    assert await store.replay(MADE_UP.key)
    await worked(store, 1, dies())
    assert await store.discard(short(MADE_UP.key))


async def test_old_items_are_forgotten_step_by_step(store: DeliveryStore, clock: Clock) -> None:
    """After a day the payload goes, after a week the key, after a month dead letters and contacts."""
    if not store.durable:
        assert await store.purge() == 0
        return
    await store.put([LEG])
    await worked(store, 1)
    await store.put([OTHER])
    await worked(store, 1, dies())
    await store.put([replace(item("leg-9"), contact=CONTACT)])
    await worked(store, 1)
    changed: list[tuple[int, Stats]] = []
    for ahead in (DAY / 2, 2 * DAY, 8 * DAY, 32 * DAY):
        clock.ahead = ahead
        changed.append((await store.purge(), await store.stats()))
    assert changed == [(0, Stats(done=2, dead=1)), (2, Stats(done=2, dead=1)), (2, Stats(dead=1)), (2, Stats())]
    assert list(await store.put([LEG, OTHER])) == [OPENED, OPENED]


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
