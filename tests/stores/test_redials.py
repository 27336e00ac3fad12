"""What every store must do with redials, and with the calls to a contact."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from crew import (
    CONTACT,
    DONE,
    Clock,
    at,
    counting,
    dies,
    redial,
    worked,
)
from ringback.work.items import (
    CallRecord,
    Claim,
    DeadLetter,
    DeliveryStore,
    Kind,
    Progress,
    Settlement,
    State,
    Stats,
)
from ringback.work.latch import Offer
from ringback.work.redial import Exhausted, Plan, Planned

OPENED, MERGED, DUPLICATE = Offer.OPENED, Offer.MERGED, Offer.DUPLICATE
DAY = 86_400.0

Make = Callable[[], DeliveryStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


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
    # It is still to come, however slow the machine is.
    clock.ahead = -60.0
    assert await store.stats() == Stats(ready=1, redials=1)
    clock.ahead = 0.0
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
