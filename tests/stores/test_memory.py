"""What is special to the store in memory; what all stores share is in test_port.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crew import CONTACT, Held, cancel, plan
from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import classify_event
from ringback.exceptions import StoreFull
from ringback.stores import MemoryStore
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallState
from ringback.work.items import Claim, Item, Kind, Settlement, State, Stats
from ringback.work.latch import Offer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DONE = Settlement(State.DONE)


def item(leg: str, due_at: float = 0.0) -> Item:
    data = EventData(call_connection_id=leg, result_information=Result(486, 560486))
    outcome = classify_event(Event(type="Microsoft.Communication.CallDisconnected", id=f"event-{leg}", data=data))
    assert outcome is not None
    return Item(outcome.outcome_id, Kind.OUTCOME, due_at, outcome)


async def finishes(_: Claim) -> Settlement:
    return DONE


async def drained(store: MemoryStore, work: Callable[[Claim], Awaitable[Settlement]] = finishes) -> int:
    task = asyncio.create_task(store.run(work, 4))
    late = await store.stop(5.0)
    await task
    return late


async def test_at_the_end_outcomes_are_worked_on_that_still_settle() -> None:
    """Nothing can be kept, so nothing is waited for; redials to come and retries are lost."""
    store, seen = MemoryStore(clock=lambda: 100.0), list[str]()

    async def work(claim: Claim) -> Settlement:
        seen.append(claim.item.key)
        return Settlement(State.READY, due_at=200.0) if claim.item.key == "call:again" else DONE

    await store.open()
    await store.put([item("late", 160.0), item("again")])
    await plan(store, "x", 150.0)
    assert await drained(store, work) == 1
    assert sorted(seen) == ["call:again", "call:late"]
    assert await store.stats() == Stats(ready=2, done=1, redials=1)
    await store.close()


async def test_what_had_no_time_is_counted() -> None:
    """Cancelled or never begun: whoever stops is told how many outcomes are lost."""
    store = MemoryStore()

    async def hangs(_: Claim) -> Settlement:
        await asyncio.Event().wait()
        return DONE

    await store.put([item(leg) for leg in "abc"])
    task = asyncio.create_task(store.run(hangs, 1))
    await asyncio.sleep(0.01)
    assert await store.stop(0.05) == 3
    await task


@pytest.mark.parametrize("state", [State.READY, State.DEAD])
async def test_what_is_not_done_with_is_not_opened_again(state: State) -> None:
    """However small the memory for endings: an item that waits for its next attempt, or is dead, has its key."""
    store = MemoryStore(capacity=1, clock=lambda: 100.0)

    async def work(claim: Claim) -> Settlement:
        return Settlement(state, due_at=200.0) if claim.item.key == "call:a" else DONE

    await store.put([item("a")])
    await drained(store, work)
    await store.put([item("b")])
    await drained(store, work)
    assert list(await store.put([item("a"), item("a")])) == [Offer.DUPLICATE, Offer.DUPLICATE]


async def test_memory_is_limited() -> None:
    """The last endings, dead letters and contacts are remembered, as many as agreed."""
    store = MemoryStore(capacity=2)

    async def dies(_: Claim) -> Settlement:
        return Settlement(State.DEAD)

    await store.put([item(leg) for leg in "abc"])
    await drained(store, dies)
    assert [letter.key for letter in await store.dead()] == ["call:c", "call:b"]
    assert list(await store.put([item("a")])) == [Offer.OPENED]


async def test_no_capacity_forgets_whom_nobody_may_call() -> None:
    """A contact that is allowed again is remembered as any other."""
    store = MemoryStore(capacity=2)

    async def known(contact: str) -> Contact | None:
        return await store.change(contact, lambda known: Step(known, known))

    await store.change("barred", lambda known: Step(known.barred(0.0)[0], None))
    for contact in "abc":
        await store.change(contact, lambda known: Step(known.canceled(0.0)[0], None))
    assert await known("barred") == Contact(canceled_at=0.0, never=True)
    await store.change("barred", lambda known: Step(known.allowed()[0], None))
    for contact in "de":
        await store.change(contact, lambda known: Step(known.canceled(0.0)[0], None))
    assert await known("barred") == Contact()


async def test_no_more_waits_than_agreed() -> None:
    """What is ready or running takes memory. Somebody who delivers again later finds room, and nothing was kept."""
    store = MemoryStore(max_backlog=2)
    await store.put([item("a")])
    # As in the other stores, the items of one put that finds room are kept.
    await store.put([item("b"), item("c")])
    for again in (item("d"), item("a")):
        with pytest.raises(StoreFull, match=r"^3 items wait in the memory of this process; at most 2 may; see that"):
            await store.put([again])
    assert (await store.stats()).ready == 3
    work = Held()
    task = asyncio.create_task(store.run(work, 3))
    await work.begun.wait()
    with pytest.raises(StoreFull):
        await store.put([item("d")])
    work.go.set()
    await store.stop(5.0)
    await task
    assert list(await store.put([item("d")])) == [Offer.OPENED]


async def test_two_redials_of_a_contact_are_both_known() -> None:
    """One that was planned while the other was tried does not replace it."""
    store = MemoryStore(clock=lambda: 100.0)

    async def tries(_: Claim) -> Settlement:
        await store.change(CONTACT, lambda known: Step(known.redial("redial:call:a", CallState.PLACING, 100.0), None))
        await plan(store, "b", 150.0)
        return Settlement(State.DONE, call=CallState.PLACED)

    await plan(store, "a", 50.0)
    task = asyncio.create_task(store.run(tries, 1))
    await asyncio.sleep(0.02)
    await store.stop(1.0)
    await task
    assert await plan(store, "c", 50.0) is False
    assert await cancel(store) == 1
    assert await store.stats() == Stats(done=1, canceled=1, redials_in_progress=1)


async def test_of_an_attempt_that_another_has_followed_only_a_return_counts() -> None:
    """A function that took too long may return while the next attempt is under way, or after its end."""
    now = [100.0]
    store = MemoryStore(clock=lambda: now[0])
    await store.put([item("a", 100.0)])
    ((first,), _) = await store.claim(1, Kind.OUTCOME)
    await store.settle(first, Settlement(State.READY, due_at=100.0))
    ((second,), _) = await store.claim(1, Kind.OUTCOME)
    await store.settle(first, Settlement(State.DEAD, reason="too late"))
    assert await store.stats() == Stats(running=1)
    await store.settle(first, DONE)
    await store.settle(second, Settlement(State.DEAD, reason="not any more"))
    assert await store.stats() == Stats(done=1)
