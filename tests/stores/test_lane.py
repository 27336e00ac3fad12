"""What every store must do with its lane of redials: all processes that share the store keep to one pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from crew import CONTACT, DONE, Clock, Crew, item, known, plan, until
from ringback.stores.clocks import Boot
from ringback.stores.sqlite import SQLiteStore
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallState
from ringback.work.delivery_store import DeliveryStore
from ringback.work.items import Claim, Kind, Settlement, State, Stats
from ringback.work.pace import Pace

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[[], DeliveryStore]

ONCE = Pace(per_second=0.001)
"""One redial, and the next in a quarter of an hour."""


@pytest.fixture(params=["memory", "sqlite", "postgres", "pgbouncer"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _plan(store: DeliveryStore, count: int, clock: Clock) -> None:
    """Redials to as many contacts, each due a second before the one planned before it."""
    for number in range(count):
        await plan(store, f"leg-{number}", clock() - 10.0 - number, contact=f"contact-{number}")


async def _places(claim: Claim) -> Settlement:
    if claim.item.kind is Kind.OUTCOME:
        return DONE
    return Settlement(State.DONE, call=CallState.PLACED, leg=f"placed-{claim.item.contact}")


async def test_the_rate_holds_for_all_processes(make: Make, clock: Clock) -> None:
    """One redial is placed, by whichever process comes first, and the one that was due first."""
    store = make()
    await store.open()
    await _plan(store, 4, clock)
    other = make() if store.durable else store
    async with Crew(store, pace=ONCE) as crew, Crew(other, pace=ONCE) as others:
        await until(lambda: len(crew.claims + others.claims) == 1)
        # Another item shows that both have looked since.
        await store.put([item("a")])
        await until(lambda: len(crew.claims + others.claims) == 2)
    placed = [claim.item.contact for claim in crew.claims + others.claims if claim.item.kind is Kind.REDIAL]
    assert placed == ["contact-3"]
    assert (await store.stats()).redials == 3


async def test_a_process_whose_clock_is_behind_keeps_to_the_rate(make: Make, clock: Clock) -> None:
    """As is one that has waited for the others since it looked at the clock."""
    store = make()
    await store.open()
    await _plan(store, 2, clock)
    async with Crew(store, pace=ONCE) as crew:
        await crew.have(1)
    clock.ahead -= 1.0
    await store.put([item("a")])
    async with Crew(make() if store.durable else store, pace=ONCE) as others:
        await others.have(1)
    assert [claim.item.kind for claim in others.claims] == [Kind.OUTCOME]
    assert (await store.stats()).redials == 1


async def test_without_a_pace_all_that_are_due_are_placed(store: DeliveryStore, clock: Clock) -> None:
    """The oldest due first."""
    await _plan(store, 4, clock)
    async with Crew(store, concurrency=1) as crew:
        await crew.have(4)
    assert [claim.item.contact for claim in crew.claims] == ["contact-3", "contact-2", "contact-1", "contact-0"]


async def test_no_more_are_in_progress_than_the_bound(make: Make, clock: Clock) -> None:
    """From the placing until an event tells of the end, in whichever process; then the next is placed."""
    store = make()
    await store.open()
    await _plan(store, 4, clock)
    other = make() if store.durable else store
    pace = Pace(in_progress=2)
    async with Crew(store, _places, pace=pace) as crew, Crew(other, _places, pace=pace) as others:
        await until(lambda: len(crew.claims + others.claims) == 2)
        assert (await store.stats()).redials_in_progress == 2
        ended = (crew.claims + others.claims)[0].item.contact
        await store.put([replace(item(f"placed-{ended}"), contact=ended, target="call_again")])
        await until(lambda: sum(claim.item.kind is Kind.REDIAL for claim in crew.claims + others.claims) == 3)
    assert (await store.stats()).redials_in_progress == 2


async def test_a_call_of_which_an_event_comes_early_counts_once(store: DeliveryStore, clock: Clock) -> None:
    """Its function runs, and its event has come. Counted twice, it would keep another redial waiting."""
    counts: list[int] = []

    async def work(claim: Claim) -> Settlement:
        told = CallState.CONNECTED
        await store.change(CONTACT, lambda known: Step(known.redial(claim.item.key, told, clock(), leg="placed"), None))
        counts.append((await store.stats()).redials_in_progress)
        return DONE

    await plan(store, "leg", clock() - 10.0)
    async with Crew(store, work) as crew:
        await crew.have(1)
    assert counts == [1]
    assert (await store.stats()).redials_in_progress == 1


async def test_what_a_dead_worker_has_left_needs_no_room_of_its_own(tmp_path: Path) -> None:
    """It counts as in progress until another worker has taken it over; the rate holds for it."""
    now = [100.0]
    pace, wall = Pace(in_progress=2, per_second=100.0), [1000.0]
    stores = [
        SQLiteStore(tmp_path / "x.db", lease=30.0, min_free=0, clock=lambda: wall[0], boot=Boot("boot", lambda: now[0]))
        for _ in range(2)
    ]
    for number, store in enumerate(stores):
        store.worker.owner, store.worker.pace = f"boot.{number}", pace
        await store.open()
    dead, other = stores

    async def claimed(store: SQLiteStore) -> list[tuple[str | None, bool]]:
        return [(claim.item.contact, claim.crashed) for claim in (await store.worker.claim(5, Kind.REDIAL))[0]]

    for number in range(3):
        await plan(dead, f"leg-{number}", 900.0 + number, contact=f"contact-{number}")
    assert await claimed(dead) == [("contact-0", False), ("contact-1", False)]
    now[0] += 30.0
    assert await claimed(other) == []
    wall[0] += 1.0
    ((taken,), _) = await other.worker.claim(5, Kind.REDIAL)
    assert (taken.item.contact, taken.crashed) == ("contact-0", True)
    wall[0] += 1.0
    assert await claimed(other) == []
    await other.worker.settle(taken, Settlement(State.CANCELED))
    assert await claimed(other) == [("contact-2", False), ("contact-1", True)]
    for store in stores:
        await store.close()


async def test_a_pause_stops_the_redials_of_every_contact_and_nothing_else(make: Make, clock: Clock) -> None:
    """Hooks go on meanwhile; when the pause is over, so do the redials."""
    store = make()
    await store.open()
    await _plan(store, 2, clock)
    await store.pause_redials(clock() + 3600.0)
    other = make() if store.durable else store
    async with Crew(other) as crew:
        await store.put([item("a")])
        await crew.have(1)
        assert [claim.item.kind for claim in crew.claims] == [Kind.OUTCOME]
        stats = await store.stats()
        assert 3500 < stats.redials_paused <= 3600
        assert stats.redials == 2


async def test_a_pause_ends(store: DeliveryStore, clock: Clock) -> None:
    """The worker looks again by itself."""
    await _plan(store, 1, clock)
    await store.pause_redials(clock() + 0.2)
    async with Crew(store) as crew:
        await crew.have(1)
    assert (await store.stats()).redials_paused == 0


async def test_hooks_do_not_wait_for_redials(store: DeliveryStore, clock: Clock) -> None:
    """However long a redial function takes, and however many redials are due."""
    release = asyncio.Event()

    async def work(claim: Claim) -> Settlement:
        if claim.item.kind is Kind.REDIAL:
            await release.wait()
        return DONE

    await _plan(store, 3, clock)
    async with Crew(store, work, concurrency=1) as crew:
        await until(lambda: len(crew.claims) == 1)
        await store.put([item("a")])
        await crew.have(1)
        assert [claim.item.kind for claim in crew.claims] == [Kind.REDIAL, Kind.OUTCOME]
        release.set()
        await crew.have(4)


async def test_a_contact_that_is_called_counts_until_the_call_has_ended(store: DeliveryStore, clock: Clock) -> None:
    """A call by another than a redial does not: the pace is that of redials."""
    at = clock()
    await store.change("one", lambda known: Step(known.redial("redial:1", CallState.PLACED, at, leg="leg"), None))
    assert (await known(store, "one")).busy_until == at + 600.0
    assert await store.stats() == Stats(redials_in_progress=1)
    clock.ahead = 601.0
    assert await store.stats() == Stats()


async def test_a_redial_is_made_due_with_the_state_of_its_contact(store: DeliveryStore, clock: Clock) -> None:
    """In one transaction; a worker places it at once. What is unknown or is being worked on is left alone."""
    await plan(store, "leg-1", clock() + 3600.0)
    keys = ("redial:call:leg-1", "redial:unknown")

    def hastened(known: Contact) -> Step[None]:
        return Step(known.hastened(keys[0], clock()) or known, None, hasten=keys)

    release = asyncio.Event()

    async def work(_: Claim) -> Settlement:
        await release.wait()
        return DONE

    async with Crew(store, work) as crew:
        await store.change(CONTACT, hastened)
        await until(lambda: len(crew.claims) == 1)
        (call,) = (await known(store)).calls
        assert (call.state, call.at <= clock()) == (CallState.PLANNED, True)
        await store.change(CONTACT, hastened)
        assert (await store.stats()).running == 1
        release.set()
    assert len(crew.claims) == 1


async def test_a_redial_whose_function_is_late_at_the_stop_waits_again(store: DeliveryStore, clock: Clock) -> None:
    """For the next worker, which is told that it was begun."""
    await _plan(store, 1, clock)
    began = asyncio.Event()

    async def hangs(_: Claim) -> Settlement:
        began.set()
        await asyncio.Event().wait()
        return DONE

    task = asyncio.create_task(store.run(hangs, 2))
    await began.wait()
    assert await store.stop(0.05) == 1
    await task
    assert (await store.stats()).redials == 1
    async with Crew(store) as crew:
        await crew.have(1)
    assert [claim.redelivered for claim in crew.claims] == [True]


async def test_a_contact_that_is_blocked_during_a_call_is_known_as_before(store: DeliveryStore, clock: Clock) -> None:
    """The call goes on and counts, and the report of the programme has it."""
    at = clock()
    await store.change("one", lambda known: Step(known.redial("redial:1", CallState.PLACED, at, leg="leg"), None))
    await store.change("one", lambda known: Step(known.barred(at)[0], None))
    assert await store.stats() == Stats(redials_in_progress=1)
    assert [name for name, _ in await store.history.contacts(0.0, "", 9)] == ["one"]
