"""What every store must do with redials, and with what is known of a contact."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from crew import CONTACT, DONE, Clock, cancel, dies, item, known, outcome, plan, redial, worked
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord, CallState, report_of
from ringback.work.delivery_store import DeliveryStore
from ringback.work.items import REMEMBER_CALLS, Claim, DeadLetter, Kind, Progress, Settlement, State, Stats
from ringback.work.latch import Offer

Make = Callable[[], DeliveryStore]


@pytest.fixture(params=["memory", "sqlite", "postgres", "pgbouncer"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_redial_is_planned_and_placed(store: DeliveryStore, clock: Clock) -> None:
    """It is an item of its own, due when it was decided, with what its function needs."""
    # It is still to come, however slow the machine is.
    clock.ahead = -60.0
    assert await plan(store, "leg-1", clock() + 60.1)
    assert await store.stats() == Stats(ready=1, redials=1)
    clock.ahead = 0.0
    assert await worked(store, 1) == [Claim(redial("leg-1"), 1)]
    assert await store.stats() == Stats(done=1)


async def test_what_is_known_of_a_contact_is_kept(make: Make) -> None:
    """In every process that shares the store; of each contact by itself."""
    store = make()
    await store.open()
    await plan(store, "leg-1", 4e9)
    other = make() if store.durable else store
    key = redial("leg-1").key
    assert await known(other) == Contact((CallRecord(key, 4e9, state=CallState.PLANNED),))
    assert await known(other, "someone else") == Contact()


async def test_a_step_that_raises_changes_nothing(store: DeliveryStore) -> None:
    """The caller gets the error, and the store goes on."""

    def fails(_: Contact) -> Step[None]:
        raise LookupError("no tenant")

    with pytest.raises(LookupError):
        await store.change(CONTACT, fails)
    assert await known(store) == Contact()


async def test_the_same_redial_is_planned_once(store: DeliveryStore) -> None:
    """Neither while it is to come, nor after it was placed; and no other of its contact while it is to come."""
    assert await plan(store, "leg-1")
    assert not await plan(store, "leg-1")
    assert not await plan(store, "leg-2")
    assert await plan(store, "leg-3", contact="+15550101")

    async def places(_: Claim) -> Settlement:
        return Settlement(State.DONE, call=CallState.PLACED)

    await worked(store, 2, places)
    assert not await plan(store, "leg-1")
    assert await plan(store, "leg-2")


async def test_what_becomes_of_a_redial_is_noted_with_its_settlement(store: DeliveryStore, clock: Clock) -> None:
    """The leg that its function told; the time of the next attempt; nothing if no call was placed."""
    now = clock()
    ends = [
        Settlement(State.READY, due_at=now + 0.1, call=CallState.PLANNED),
        Settlement(State.DONE, call=CallState.PLACED, leg="leg-2"),
    ]

    async def ends_so(_: Claim) -> Settlement:
        (noted,) = (await known(store)).calls
        seen.append(replace(noted, key=""))
        return ends.pop(0)

    seen: list[CallRecord] = []
    await plan(store, "leg-1", now)
    await worked(store, 2, ends_so)
    (noted,) = (await known(store)).calls
    seen.append(replace(noted, key=""))
    planned = CallRecord("", now, state=CallState.PLANNED)
    again = replace(planned, at=now + 0.1)
    assert seen == [planned, again, replace(again, state=CallState.PLACED, leg="leg-2")]


async def test_what_an_event_reports_is_noted_when_the_event_comes(store: DeliveryStore) -> None:
    """Once, whatever comes again; in one put for several; and of an event without a contact nothing."""
    busy = replace(item("leg-1"), contact=CONTACT, target="call_again")
    sibling = replace(item("leg-1", "CreateCallFailed"), contact=CONTACT, target="call_again")
    answered = replace(item("leg-2", "CallConnected"), contact=CONTACT, target="call_again")
    assert await store.put([busy, answered, item("leg-3")]) == [Offer.OPENED] * 3
    first = await known(store)
    assert [(call.leg, call.state) for call in first.calls] == [
        ("leg-1", CallState.OPEN),
        ("leg-2", CallState.CONNECTED),
    ]
    assert [call.answered_at is None for call in first.calls] == [True, False]
    assert await store.put([sibling]) == [Offer.MERGED]
    assert await store.put([busy]) == [Offer.DUPLICATE]
    assert await known(store) == first
    assert await known(store, "someone else") == Contact()


async def test_redials_are_canceled(store: DeliveryStore, clock: Clock) -> None:
    """What waits is off. A key stays taken."""
    assert await cancel(store) == 0
    await plan(store, "leg-1", clock() + 3600)
    assert await cancel(store, "+15550101") == 0
    assert await cancel(store) == 1
    assert await cancel(store) == 0
    assert await store.stats() == Stats(canceled=1)
    assert not await plan(store, "leg-1")


async def test_a_redial_at_work_is_not_canceled(store: DeliveryStore) -> None:
    """Whoever calls already is not interrupted; the state of the contact says so to who asks before placing."""
    seen: list[CallState] = []

    async def calls(_: Claim) -> Settlement:
        await cancel(store)
        seen.extend(call.state for call in (await known(store)).calls)
        return DONE

    await plan(store, "leg-1")
    await worked(store, 1, calls)
    assert seen == [CallState.CANCELED]
    assert await store.stats() == Stats(done=1)


async def test_dead_redials_keep_their_target(store: DeliveryStore) -> None:
    """A dead letter says which function was to call."""
    wish = redial("leg-1")
    await plan(store, "leg-1")
    await worked(store, 1, dies())
    (letter,) = await store.dead()
    assert replace(letter, died_at=0.0) == DeadLetter(
        wish.key, Kind.REDIAL, wish.outcome, 1, "no use", 0.0, Progress(), "call_again", wish.contact
    )
    assert await store.replay(wish.key)
    assert replace(await store.stats(), oldest_due=0.0) == Stats(ready=1, redials=1)


async def test_a_step_with_a_checkpoint_is_for_who_has_the_claim(store: DeliveryStore) -> None:
    """Anybody else gets nothing, and changes nothing."""
    key, progress = redial("leg-1").key, Progress(first_sent=7.0)
    seen: list[object] = []

    def placing(known: Contact) -> Step[str]:
        return Step(known.redial(key, CallState.PLACING, 4e9), "place", checkpoint=(key, progress))

    async def places(claim: Claim) -> Settlement:
        seen.append(await store.change(CONTACT, placing))
        return Settlement(State.DONE, claim.progress) if claim.attempt > 1 else Settlement(State.READY, progress)

    await plan(store, "leg-1")
    assert await store.change(CONTACT, placing) is None
    assert [call.state for call in (await known(store)).calls] == [CallState.PLANNED]
    claims = await worked(store, 2, places)
    assert seen == ["place", "place"]
    assert [claim.progress for claim in claims] == [Progress(), progress]
    assert [call.state for call in (await known(store)).calls] == [CallState.PLACING]


async def test_a_contact_that_nobody_has_called_for_long_is_forgotten(store: DeliveryStore, clock: Clock) -> None:
    """After the longest window of a policy."""
    await store.put([replace(item("leg-1"), contact=CONTACT, target="call_again")])
    clock.ahead = REMEMBER_CALLS + 60
    await store.purge()
    assert await known(store) == Contact()


async def test_a_contact_that_must_never_be_called_is_never_forgotten(store: DeliveryStore, clock: Clock) -> None:
    """Its calls are; once the contact is allowed again, it is forgotten as any other."""

    def changed(known: Contact) -> Step[None]:
        return Step(known.barred(clock())[0], None)

    await store.put([replace(item("leg-1"), contact=CONTACT, target="call_again")])
    await store.change(CONTACT, changed)
    clock.ahead = 10 * REMEMBER_CALLS
    await store.purge()
    assert replace(await known(store), canceled_at=None) == Contact(never=True)
    await store.put([replace(item("leg-2"), contact=CONTACT, target="call_again")])
    clock.ahead = 20 * REMEMBER_CALLS
    await store.purge()
    assert replace(await known(store), canceled_at=None) == Contact(never=True)
    await store.change(CONTACT, lambda known: Step(known.allowed()[0], None))
    clock.ahead = 22 * REMEMBER_CALLS
    await store.purge()
    assert not (await known(store)).never


async def test_any_text_is_a_contact_and_a_leg(store: DeliveryStore) -> None:
    """Long, with a lone surrogate, with NUL."""
    for contact, leg in (("a" * 5000, "b" * 5000), ("\ud800", "\ud801"), ("a\0b", "c\0d")):
        await store.put([replace(item(leg), contact=contact, target="call_again")])
        report = report_of(outcome(leg))
        assert report is not None
        assert [call.leg for call in (await known(store, contact)).calls] == [report.leg]


async def test_nobody_else_changes_a_contact_meanwhile(make: Make) -> None:
    """Fifty plans at the same time: exactly one is planned."""
    stores = [make(), make()]
    if not stores[0].durable:
        stores = stores[:1]
    for store in stores:
        await store.open()
    plans = await asyncio.gather(*(plan(stores[n % len(stores)], f"leg-{n}", 4e9) for n in range(50)))
    assert plans.count(True) == 1
    assert (await stores[0].stats()).redials == 1


async def test_a_cancellation_is_kept(store: DeliveryStore) -> None:
    """What speaks against a call outlives the calls."""
    assert await cancel(store) == 0
    assert (await known(store)).canceled_at == 0.0
