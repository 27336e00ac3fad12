"""What every store tells of one call, and of lists of calls: one suite over the memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import classify_event
from ringback.stores import MemoryStore
from ringback.stores.history_rows import item_of
from ringback.stores.memory.calls import MOST_TOLD
from ringback.stores.sqlite import SQLiteStore
from ringback.stores.stored_told import load_told, note_of, told_in
from ringback.work.call_detail import CallDetailRecord, Entry, HookResult, Leg
from ringback.work.call_fold import folded
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord
from ringback.work.delivery_store import DeliveryStore
from ringback.work.history import CallFilter
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State
from ringback.work.keys import numbered, short
from ringback.work.latch import Offer
from ringback.work.told import Told, told_by
from ringback_catalog import EMPTY_SUBCODES, Cause, Disposition, Owner, ResultCategory, RetryClass

if TYPE_CHECKING:
    from pathlib import Path

    from crew import Clock

DAY = 86_400.0
A, B, C = (f"1f0e5c1a-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
CALL, OTHER = "1f0e5c1a-0000-4000-8000-00000000000c", "1f0e5c1a-0000-4000-8000-00000000000d"

Make = Callable[[], DeliveryStore]


@pytest.fixture
async def store(make: Make) -> DeliveryStore:
    """A store whose history has begun."""
    store = make()
    assert store.history is not None
    await store.open()
    return store


def event(
    name: str,
    leg: str | None = A,
    call: str | None = CALL,
    *,
    code: int | None = 486,
    subcode: int | None = 560486,
    second: float = 20.0,
    context: str | None = None,
    number: int = 0,
) -> Event:
    data = EventData(
        call_connection_id=leg,
        correlation_id=call,
        server_call_id=None if call is None else f"server-{call}",
        operation_context=context,
        result_information=None if code is None else Result(code, subcode, "said +15550100"),
    )
    time = f"2026-01-15T09:30:{second:09.6f}+00:00"
    return Event(f"Microsoft.Communication.{name}", f"{name}-{leg}-{call}-{number}", "source", time=time, data=data)


def item(*given: Any, contact: str | None = None, **told: Any) -> Item:
    return item_for(event(*given, **told), contact)


def item_for(event: Event, contact: str | None = None) -> Item:
    outcome = classify_event(event)
    assert outcome is not None
    return Item(outcome.outcome_id, Kind.OUTCOME, 0.0, outcome, contact)


async def noted(store: DeliveryStore, *events: Event, key: str | None = None) -> None:
    await store.note([told_by(each, time.time(), key=key) for each in events])


async def record(store: DeliveryStore, name: str) -> CallDetailRecord | None:
    traces = await store.call(name)
    return None if traces is None else folded(traces)


async def found(store: DeliveryStore, name: str) -> CallDetailRecord:
    known = await record(store, name)
    assert known is not None
    return known


async def listed(store: DeliveryStore, limit: int = 10, offset: int = 0, **chosen: Any) -> tuple[list[str | None], int]:
    page = await store.history.calls(CallFilter(**chosen), limit, offset)
    records = [folded(each) for each in page.calls]
    return [leg.call_connection_id for each in records if each is not None for leg in each.legs], page.total


async def worked(store: DeliveryStore, settlement: Callable[[Claim], Settlement]) -> None:
    """Let a worker settle whatever is ready."""

    async def work(claim: Claim) -> Settlement:
        return settlement(claim)

    task = asyncio.create_task(store.run(work, 4))
    async with asyncio.timeout(20):
        while (stats := await store.stats()).ready or stats.running:  # noqa: ASYNC110 - whatever it has
            await asyncio.sleep(0.001)
        await store.stop(10.0)
        await task


def done(*hooks: str) -> Callable[[Claim], Settlement]:
    return lambda _: Settlement(State.DONE, Progress(done=hooks))


# One call


async def test_a_call_is_found_by_each_of_its_ids(store: DeliveryStore) -> None:
    """Of a leg, of the call, of an event, the operation context, the server call id, the key of its item."""
    await noted(store, event("CallConnected", code=200, subcode=0, second=2.5, context="order-1"))
    await store.put([item("CallDisconnected", context="order-1")])
    await store.put([item("CallDisconnected", B, OTHER, context="order-2")])
    first = await found(store, A)
    (leg,) = first.legs
    assert (leg.call_connection_id, leg.correlation_id, leg.operation_context) == (A, CALL, "order-1")
    assert (leg.connected_at, leg.ended_at, leg.talk_seconds) == (1_768_469_402.5, 1_768_469_420.0, 17.5)
    for name in (CALL, f"call:{A}", "order-1", f"CallConnected-{A}-{CALL}-0", f"CallDisconnected-{A}-{CALL}-0"):
        assert await record(store, name) == first, name
    assert await record(store, f"server-{CALL}") == first
    assert await record(store, "order-3") is None
    assert (await found(store, "order-2")).correlation_id == OTHER


async def test_a_call_is_found_before_it_has_ended(store: DeliveryStore) -> None:
    """By what its notes tell."""
    await noted(store, event("IncomingCall", None, code=None, second=1.0))
    await noted(store, event("CallConnected", code=200, subcode=0, second=2.5, context="order-1"))
    for name in (A, CALL, "order-1", f"CallConnected-{A}-{CALL}-0", f"server-{CALL}"):
        (leg,) = (await found(store, name)).legs
        assert (leg.answered, leg.ring_seconds, leg.ended_at, leg.ending) == (True, 1.5, None, None)
    assert [entry.event for entry in (await found(store, CALL)).entries] == ["IncomingCall"]


async def test_an_outbound_call_is_found_by_its_server_call_id_while_it_goes_on(store: DeliveryStore) -> None:
    """Any event that has told it is enough; the end, and the other calls, change nothing."""
    await noted(store, event("CallConnected", code=200, subcode=0, second=2.5))
    await noted(store, event("PlayFailed", B, OTHER, code=400, subcode=8565))
    (leg,) = (await found(store, f"server-{CALL}")).legs
    assert (leg.call_connection_id, leg.answered, leg.ending) == (A, True, None)
    (other,) = (await found(store, f"server-{OTHER}")).legs
    assert (other.call_connection_id, [entry.event for entry in other.entries]) == (B, ["PlayFailed"])
    assert await listed(store, name=f"server-{CALL}") == ([], 0)
    await store.put([item("CallDisconnected")])
    assert [leg.call_connection_id for leg in (await found(store, f"server-{CALL}")).legs] == [A]
    assert await listed(store, name=f"server-{CALL}") == ([A], 1)


async def test_a_context_that_is_used_again_means_the_last_call(store: DeliveryStore) -> None:
    """A redial has the context of the call before."""
    await store.put([item("CallDisconnected", A, CALL, context="order-1")])
    await asyncio.sleep(0.002)
    await store.put([item("CallDisconnected", B, OTHER, context="order-1")])
    assert (await found(store, "order-1")).correlation_id == OTHER
    assert await listed(store, name="order-1") == ([B, A], 2)


async def test_a_context_that_is_used_again_means_the_call_that_goes_on(store: DeliveryStore) -> None:
    """A redial with the context of the call before is what somebody asks for while it goes on."""
    await noted(store, event("CallConnected", A, CALL, code=200, subcode=0, context="order-1"))
    await store.put([item("CallDisconnected", A, CALL, context="order-1")])
    assert (await found(store, "order-1")).correlation_id == CALL
    await asyncio.sleep(0.002)
    await noted(store, event("CallConnected", B, OTHER, code=200, subcode=0, context="order-1"))
    assert (await found(store, "order-1")).correlation_id == OTHER
    assert (await found(store, A)).correlation_id == CALL
    assert await listed(store, name="order-1") == ([A], 1)


async def test_the_legs_of_a_call_stand_together(store: DeliveryStore) -> None:
    """Whichever leg is asked for, and whether it has ended."""
    await noted(store, event("CallConnected", code=200, subcode=0, second=2.0))
    await noted(store, event("CallConnected", B, code=200, subcode=0, second=5.0))
    await store.put([item("CallDisconnected", code=200, subcode=0, second=62.0 - 20)])
    for name in (A, B, CALL):
        known = await found(store, name)
        assert [(leg.call_connection_id, leg.talk_seconds) for leg in known.legs] == [(A, 40.0), (B, None)]


async def test_an_end_has_its_sibling_its_verdict_and_its_duplicates(store: DeliveryStore) -> None:
    """The sibling's own event; a redelivery only counts."""
    await store.put([item("CallDisconnected", code=403, subcode=9999, second=20.25)])
    await store.put([item("CreateCallFailed", code=486, subcode=560486, second=20.0)])
    assert list(await store.put([item("CallDisconnected", code=403, subcode=9999)])) == [Offer.DUPLICATE]
    (leg,) = (await found(store, A)).legs
    assert [(entry.kind.value, entry.event, entry.code) for entry in leg.entries] == [
        ("ended", "CreateCallFailed", 486),
        ("sibling", "CallDisconnected", 403),
    ]
    assert leg.ending is not None
    assert (leg.ending.event, leg.ending.cause, leg.ending.owner) == ("CreateCallFailed", Cause.BUSY, Owner.CALLEE)
    assert (leg.answered, leg.duplicates, leg.state) == (False, 1, State.READY)
    assert leg.ending.summary is not None


@pytest.mark.parametrize("names", [("CallDisconnected", "CreateCallFailed"), ("CreateCallFailed", "CallDisconnected")])
async def test_the_event_that_said_most_stands_first(store: DeliveryStore, names: tuple[str, str]) -> None:
    """Whichever came first: evidence of the verdict is looked for among the events from the first on."""
    for name in names:
        await store.put([item(name)])
    traces = await store.call(A)
    assert traces is not None
    assert [each.event for each in traces.items[0].told] == ["CreateCallFailed", "CallDisconnected"]


async def test_the_reason_of_an_end_may_come_late(store: DeliveryStore) -> None:
    """The leg then has that verdict, and the hooks of both."""
    await store.put([item("CallDisconnected", code=None)])
    await worked(store, done("first"))
    await store.put([item("CreateCallFailed")])
    await worked(store, done("second"))
    (leg,) = (await found(store, A)).legs
    assert leg.ending is not None
    assert leg.ending.cause is Cause.BUSY
    assert [run.hook for run in leg.hooks] == ["first", "second"]
    assert await listed(store, cause=Cause.BUSY) == ([A], 1)


@pytest.mark.parametrize("order", [1, -1])
async def test_the_end_of_a_whole_call_stands_behind_the_leg_s_own(store: DeliveryStore, order: int) -> None:
    """Whichever comes first; it has no line in a list."""
    for each in [("CallEnded", None), ("CallDisconnected", A)][::order]:
        await store.put([item(*each, code=None if each[0] == "CallEnded" else 486)])
    known = await found(store, CALL)
    assert [leg.call_connection_id for leg in known.legs] == [A]
    if order == 1:
        assert [entry.event for entry in known.entries] == ["CallEnded"]
    assert await listed(store) == ([A], 1)


async def test_a_whole_call_alone_is_a_call(store: DeliveryStore) -> None:
    """Nobody reports its legs."""
    await store.put([item("CallEnded", None, code=None)])
    assert [leg.call_connection_id for leg in (await found(store, CALL)).legs] == [None]
    assert await listed(store) == ([None], 1)


async def test_hooks_are_told_with_their_attempts(store: DeliveryStore) -> None:
    """Those of the end, and those of an operation that failed."""
    played = item("PlayFailed", code=400, subcode=8535)
    await noted(store, event("PlayFailed", code=400, subcode=8535, second=9.0), key=short(played.key))
    await store.put([played, item("CallDisconnected")])

    def settled(claim: Claim) -> Settlement:
        if claim.item.key == played.key:
            return Settlement(State.DONE, Progress(done=("play",)))
        progress = Progress(done=("again",), failed={"close": "no line"}, tries={"again": 1, "close": 2})
        return Settlement(State.DEAD, progress, reason="close: no line")

    await worked(store, settled)
    (leg,) = (await found(store, A)).legs
    assert [[(run.hook, run.attempts) for run in entry.hooks] for entry in leg.entries] == [[("play", 1)], []]
    assert [(run.hook, run.result, run.attempts, run.reason) for run in leg.hooks] == [
        ("again", HookResult.RETURNED, 2, None),
        ("close", HookResult.GIVEN_UP, 3, "no line"),
    ]
    assert (leg.state, leg.reason) == (State.DEAD, "close: no line")
    await store.discard(f"call:{A}")
    assert (await found(store, A)).legs[0].state is State.CANCELED


async def test_a_call_has_its_contact_and_the_other_calls_to_it(store: DeliveryStore) -> None:
    """As far as the store knows of the contact."""
    await store.put([item("CallDisconnected", contact="bob")])
    assert (await found(store, A)).redials == 0
    redial = CallRecord("redial:1", 4e9, B)
    await store.change("bob", lambda known: Step(Contact((*known.calls, redial)), None))
    known = await found(store, A)
    assert (known.contact, known.before, [call.call_connection_id for call in known.after]) == ("bob", (), [B])
    assert await listed(store, contacts=frozenset({"bob", "bobby"})) == ([A], 1)
    assert await listed(store, contacts=frozenset({"ann"})) == ([], 0)


async def test_events_without_ids_of_a_call(store: DeliveryStore) -> None:
    """An end has an item all the same, and is found by its event's id."""
    await store.put([item("CallDisconnected", None, None)])
    (leg,) = (await found(store, "CallDisconnected-None-None-0")).legs
    assert (leg.call_connection_id, leg.answered) == (None, False)
    await store.put([item("CallDisconnected", B, None)])
    await noted(store, event("CallConnected", B, None, code=200, second=9.0))
    (leg,) = (await found(store, B)).legs
    assert leg.talk_seconds == 11.0


async def test_long_and_odd_ids_are_found_as_they_are_kept(store: DeliveryStore) -> None:
    """A store keeps the hash of what is too long, and finds it by the whole id."""
    leg, call = f"leg-{'x' * 300}", "call \ud800 \0"
    await noted(store, event("CallConnected", leg, call, code=200, second=9.0, context="\ud800\0"))
    await store.put([item("CallDisconnected", leg, call, context="\ud800\0")])
    for name in (leg, call):
        (known,) = (await found(store, name)).legs
        assert known.talk_seconds == 11.0


# Lists


SEARCHES: dict[str, list[str | None]] = {
    "the first leg": [A],
    "the second leg": [B],
    "the call": [B, A],
    "the server call id": [B, A],
    "the key of an end": [A],
    "the context of the first leg": [A],
    "the event of an end": [B],
    "the event of a leg": [A],
    "the event of an operation": [B],
    "the event of a call": [B, A],
    "a leg that only the call's end ended": [None],
    "the event of such a leg": [None],
    "a leg that has not ended": [],
    "nothing": [],
}


@pytest.mark.parametrize("what", SEARCHES)
async def test_an_end_is_found_by_each_id_of_its_leg_and_call(store: DeliveryStore, clock: Clock, what: str) -> None:
    """Also by what only other events have: the id of a leg's event means the leg's end, of a call's all its ends."""
    incoming, connected = event("IncomingCall", None, code=None), event("CallConnected", code=200, context="order-1")
    failed, whole = event("PlayFailed", B, code=400, subcode=8535), event("CallConnected", C, OTHER, code=200)
    await noted(store, incoming, connected, failed, whole, event("CallConnected", "going on", code=200))
    ends = [event("CallDisconnected"), event("CallDisconnected", B), event("CallEnded", None, OTHER, code=None)]
    for each in ends:
        await store.put([item_for(each)])
        clock.ahead += 1
    names = [A, B, CALL, f"server-{CALL}", f"call:{A}", "order-1", *(each.id for each in (ends[1], connected, failed))]
    names += [incoming.id, C, whole.id, "going on", "nobody's"]
    (name,) = (name for each, name in zip(SEARCHES, names, strict=True) if each == what)
    assert await listed(store, name=name) == (SEARCHES[what], len(SEARCHES[what]))


async def test_a_search_finds_the_last_of_many(store: DeliveryStore, clock: Clock) -> None:
    """If an app gives all calls one context, as many as a statement of the store takes."""
    for start in range(0, 500, 100):
        numbers = range(start, start + 100)
        await noted(store, *(event("CallConnected", f"leg-{each}", f"call-{each}", context="all") for each in numbers))
        await store.put([item("CallDisconnected", f"leg-{each}", f"call-{each}") for each in numbers])
        clock.ahead += 1
    legs, total = await listed(store, 100, name="all")
    assert 40 <= total < 500
    assert {leg and int(leg[4:]) // 100 for leg in legs} == {4}


async def test_calls_are_listed_the_newest_first(store: DeliveryStore, clock: Clock) -> None:
    """In pages, with the number of all."""
    for number in range(5):
        await store.put([item("CallDisconnected", f"leg-{number}", f"call-{number}")])
        clock.ahead += 1
    assert await listed(store, 2) == (["leg-4", "leg-3"], 5)
    assert await listed(store, 2, 2) == (["leg-2", "leg-1"], 5)
    assert await listed(store, 2, 4) == (["leg-0"], 5)
    assert await listed(store, 2, 9) == ([], 5)
    assert await listed(store, 0) == ([], 5)


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["c", "b", "a"]),
    ({"cause": Cause.BUSY}, ["a"]),
    ({"code": 603}, ["b"]),
    ({"code": 486, "subcode": 560486}, ["a"]),
    ({"subcode": 1}, []),
    ({"event": "CreateCallFailed"}, ["c"]),
    ({"disposition": Disposition.RETRYABLE}, ["a"]),
    ({"disposition": Disposition.TERMINAL}, ["c", "b"]),
    ({"category": ResultCategory.UNEXPECTED_CLIENT_ERROR}, ["c"]),
    ({"owner": Owner.CALLEE}, ["b", "a"]),
    ({"owner": Owner.CALLEE, "code": 603}, ["b"]),
    ({"name": "call-b"}, ["b"]),
    ({"name": "b"}, ["b"]),
    ({"name": "nobody's"}, []),
    ({"name": "b", "cause": Cause.BUSY}, []),
    ({"code": "none"}, []),
    ({"intended": False}, ["c", "b", "a"]),
    ({"intended": True, "disposition": Disposition.RETRYABLE}, []),
    ({"intended": False, "disposition": Disposition.TERMINAL}, ["c", "b"]),
    ({"recognized": True}, ["c", "b", "a"]),
    ({"recognized": False}, []),
]


@pytest.mark.parametrize(("chosen", "expected"), FILTERS)
async def test_calls_are_chosen(
    store: DeliveryStore, clock: Clock, chosen: dict[str, Any], expected: list[str]
) -> None:
    """Each condition, and several together; an operation is no call."""
    ends = (
        ("a", "CallDisconnected", 486, 560486),
        ("b", "CallDisconnected", 603, 0),
        ("c", "CreateCallFailed", 401, 0),
    )
    for leg, name, code, subcode in ends:
        await store.put([item(name, leg, f"call-{leg}", code=code, subcode=subcode)])
        clock.ahead += 1
    await store.put([item("PlayFailed", "d", "call-d", code=400, subcode=8535)])
    assert await listed(store, **chosen) == (expected, len(expected))


async def test_calls_without_a_code_and_without_an_entry_are_chosen(store: DeliveryStore) -> None:
    """As an outcome itself says whether the catalog knows it."""
    results = [
        (486, 560486),
        (486, 999_999),
        (486, None),
        (486, 0),
        (499, 1),
        (799, 1),
        (799, None),
        (None, 0),
        (200, 0),
        (None, None),
        (None, 123),
        *[(403, subcode) for subcode in sorted(EMPTY_SUBCODES)],
    ]
    given = [
        item("CallDisconnected", f"leg-{each}", f"call-{each}", code=code, subcode=subcode)
        for each, (code, subcode) in enumerate(results)
    ]
    await store.put(given)
    outcomes = {each.outcome.call_connection_id: each.outcome for each in given if each.outcome is not None}
    unknown = {leg for leg, outcome in outcomes.items() if not outcome.recognized}
    assert set((await listed(store, 20, recognized=False))[0]) == unknown
    assert set((await listed(store, 20, recognized=True))[0]) == outcomes.keys() - unknown
    assert 1 < len(unknown) < len(results) - 1
    assert set((await listed(store, 20, code="none"))[0]) == {"leg-7", "leg-9", "leg-10"}
    assert set((await listed(store, 20, subcode="none"))[0]) == {
        leg for leg, outcome in outcomes.items() if outcome.subcode is None
    }
    ended = {leg for leg, outcome in outcomes.items() if outcome.retry_class is RetryClass.NONE}
    assert set((await listed(store, 20, intended=True))[0]) == ended == {"leg-8"}


async def test_the_oldest_may_come_first(store: DeliveryStore, clock: Clock) -> None:
    """The same calls in the opposite order, page by page."""
    for leg in "abcd":
        await store.put([item("CallDisconnected", leg, f"call-{leg}")])
        clock.ahead += 10
    for offset, expected in ((0, ["a", "b"]), (2, ["c", "d"])):
        page = await store.history.calls(CallFilter(), 2, offset, oldest_first=True)
        assert [folded(each).legs[0].call_connection_id for each in page.calls] == expected  # type: ignore[union-attr]
        assert page.total == 4


async def test_calls_of_a_time(store: DeliveryStore, clock: Clock) -> None:
    """From since on, and before until: when the store got the end."""
    times: list[float] = []
    for leg in "abc":
        times.append(clock())
        await store.put([item("CallDisconnected", leg, f"call-{leg}")])
        clock.ahead += 10
    page = await store.history.calls(CallFilter(), 3)
    at = [folded(each).legs[0].seen_at for each in page.calls][::-1]  # type: ignore[union-attr]
    assert await listed(store, since=at[1]) == (["c", "b"], 2)
    assert await listed(store, until=at[1]) == (["a"], 1)
    assert await listed(store, since=at[1], until=at[2]) == (["b"], 1)


async def test_a_listed_call_has_what_was_told_of_its_leg(store: DeliveryStore) -> None:
    """And not what was told of the other leg."""
    await noted(store, event("IncomingCall", None, code=None, second=1.0))
    for leg in (A, B):
        await noted(store, event("CallConnected", leg, code=200, second=2.5))
        await store.put([item("CallDisconnected", leg, code=200, subcode=0)])
    await noted(store, event("CallConnected", C, OTHER, code=200))
    page = await store.history.calls(CallFilter(), 10)
    records = [folded(each) for each in page.calls]
    legs = [leg for each in records if each is not None for leg in each.legs]
    assert {leg.call_connection_id: (leg.ring_seconds, leg.talk_seconds) for leg in legs} == {
        A: (1.5, 17.5),
        B: (1.5, 17.5),
    }


# Keeping


async def test_a_record_outlives_the_payload_and_ends_with_the_key(make: Make, engine: str, clock: Clock) -> None:
    """Evidence, hooks and contact stay; the summary goes with the payload, in SQLite it stays with the verdict."""
    if engine == "memory":
        pytest.skip("what is in memory is not purged")
    store = make()
    await store.open()
    await noted(store, event("CallConnected", code=200, second=2.5, context="order-1"))
    await store.put([item("CallDisconnected", contact="bob", context="order-1")])
    await worked(store, done("again"))
    before = await found(store, A)
    clock.ahead += 2 * DAY
    await store.purge()
    after = await found(store, "order-1")
    (leg,), (kept,) = before.legs, after.legs
    assert kept.ending is not None
    assert leg.ending is not None
    bare = replace(leg.ending, summary=None, advice=())
    assert replace(kept, ending=replace(kept.ending, summary=None, advice=())) == replace(leg, ending=bare)
    assert (after.contact, after.redials) == ("bob", 0)
    await store.note([Told("CallConnected", clock() - 8 * DAY, leg="old"), Told("CallConnected", clock(), leg="new")])
    clock.ahead += 6 * DAY
    await store.purge()
    assert await record(store, A) is None
    assert await record(store, CALL) is None
    assert await record(store, "old") is None
    assert await record(store, "new") is not None


async def test_what_a_release_before_has_put_has_a_record(tmp_path: Path) -> None:
    """Made of the payload, for as long as it is there; what cannot be read is left out."""
    store = SQLiteStore(tmp_path / "ringback.db", min_free=0)
    await store.put([item("CallDisconnected", contact="bob")])
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("UPDATE items SET told = NULL, acts = NULL, context = NULL")
        (leg,) = (await found(store, A)).legs
        assert (leg.ended_at, leg.ending and leg.ending.owner) == (1_768_469_420.0, None)
        connection.execute("UPDATE items SET told = x'7b', progress = x'7b', payload = x'7b'")
        assert (await found(store, A)).legs[0].entries == ()
    await store.close()


def test_what_is_told_is_read_as_it_was_written() -> None:
    """And what nobody wrote is nothing."""
    told = Told("CallConnected", 1.5, 1.25, "e", "l", "c", "s", "x", 200, 0, 486, 17, "sip", "k")
    note = note_of(told)
    assert list(told_in([(note.at, note.told + b"," + note.told)])) == [told, told]
    assert load_told(None) == load_told(b"") == load_told(b"{") == load_told(b"\xff") == ()


def test_numbers_stand_for_ids() -> None:
    """They fit into an integer of 63 bits, and no two of ten thousand are the same."""
    numbers = {numbered(f"leg-{number}") for number in range(10_000)}
    assert len(numbers) == 10_000
    assert 0 <= min(numbers) < max(numbers) < 2**63


async def test_ids_that_share_a_number_are_told_apart(store: DeliveryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number only finds; the ids decide."""
    monkeypatch.setattr("ringback.stores.stored_told.numbered", lambda _: 7)
    for name in ("ringback.stores.sqlite.calls.numbered", "ringback.stores.postgres.calls.numbered"):
        monkeypatch.setattr(name, lambda _: 7)
    await noted(store, event("CallConnected", code=200), event("CallConnected", B, OTHER, code=200))
    await store.put([item("CallDisconnected")])
    assert [len(leg.entries) for leg in (await found(store, A)).legs] == [2]
    assert [leg.call_connection_id for leg in (await found(store, OTHER)).legs] == [B]
    assert await record(store, C) is None


async def test_memory_is_bounded() -> None:
    """By the number of calls, and by the events of one call."""
    store = MemoryStore(capacity=2)
    assert store.history is not None
    for leg in "abc":
        await noted(store, *(event("PlayFailed", leg, f"call-{leg}", number=number) for number in range(300)))
    assert await record(store, "a") is None
    assert [len(leg.entries) for leg in (await found(store, "b")).legs] == [MOST_TOLD]
    await store.put([item("CallDisconnected", "d", "call-d")])
    assert [(await record(store, leg)) is not None for leg in "abcd"] == [False, False, True, True]


async def test_an_end_that_the_history_has_forgotten_is_merged_in_the_record_of_its_call() -> None:
    """The history remembers so many ends, the records so many calls, and a call may have more legs than that."""
    store = MemoryStore(capacity=1)
    history = store.history
    for name, leg in (("CallDisconnected", "a"), ("CallDisconnected", "b"), ("CreateCallFailed", "a")):
        await store.put([item(name, leg, "call")])
    assert [ended.key for ended in await history.latest(10)] == ["call:b"]
    assert [len(leg.entries) for leg in (await found(store, "call")).legs] == [2, 1]


def told_of(number: int, name: str) -> Event:
    """An event as the service sends one: each id is a GUID, and so is the app's operation context."""
    event_id, leg, call, context = (str(uuid.UUID(int=numbered(f"{of} {number}"))) for of in (name, "leg", "call", "x"))
    code = 200 if name == "CallConnected" else 486
    return replace(event(name, leg, call, code=code, context=context), id=event_id)


async def test_a_call_takes_at_most_500_bytes(tmp_path: Path) -> None:
    """More than without its record: a call that was connected and has ended, in the file as the store leaves it."""
    sizes: dict[bool, int] = {}
    for has_record in (False, True):
        store = SQLiteStore(tmp_path / f"{has_record}.db", min_free=0)
        await store.open()
        if not has_record:
            with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
                connection.execute(
                    "CREATE TRIGGER bare AFTER INSERT ON items BEGIN "
                    "UPDATE items SET told = NULL, acts = NULL, context = NULL WHERE id = new.id; END"
                )
        for start in range(0, 3000, 100):
            numbers = range(start, start + 100)
            if has_record:
                await noted(store, *(told_of(number, "CallConnected") for number in numbers))
            outcomes = [classify_event(told_of(number, "CallDisconnected")) for number in numbers]
            await store.put([Item(each.outcome_id, Kind.OUTCOME, 0.0, each) for each in outcomes if each is not None])
        await store.close()
        with closing(sqlite3.connect(store.path)) as connection:
            pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            sizes[has_record] = pages * size
    assert (sizes[True] - sizes[False]) / 3000 <= 500, sizes


def test_a_row_whose_words_only_a_newer_release_knows_is_read() -> None:
    """As unknown."""
    row = ("call:a", 1.0, "done", "CallDisconnected", 1, None, None, None, 0, None, 1, 2, "m", "c", "k", "r", "o")
    stored = item_of(*row, None, None, None, None)
    assert (stored.cause, stored.owner, stored.told) == (Cause.UNKNOWN, Owner.NOBODY, ())
    assert Entry.__struct_fields__
    assert Leg.__struct_fields__
