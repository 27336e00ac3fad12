"""Somebody sets the wall clock: no hook waits for it, runs twice for it, or runs again for what a purge forgot."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from crew import DONE, Crew, item, plan, until
from ringback.core.times import DAY
from ringback.exceptions import ClockJumped
from ringback.stores import MemoryStore
from ringback.stores.clocks import Boot, Jumps, jumped, since_boot
from ringback.stores.sqlite import SQLiteStore
from ringback.work.items import Claim, Kind, Settlement, State, Stats
from ringback.work.latch import Offer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ringback.work.delivery_store import DeliveryStore

    Make = Callable[[], Any]

HOUR = 3600.0
HERE = Boot("boot", since_boot)


class Wall:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.set = 0.0

    def __call__(self) -> float:
        return time.time() + self.set


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def make(
    request: pytest.FixtureRequest, engine: str, tmp_path: Path, wall: Wall
) -> AsyncIterator[Callable[[], DeliveryStore]]:
    stores: list[DeliveryStore] = []
    url = request.getfixturevalue("postgres_url") if engine == "postgres" else ""

    def made() -> DeliveryStore:
        store: DeliveryStore
        if engine == "memory":
            store = MemoryStore(clock=wall, elapsed=time.monotonic)
        elif engine == "sqlite":
            store = SQLiteStore(
                tmp_path / "x.db", poll=0.05, lease=30.0, timeout=10.0, min_free=0, clock=wall, boot=HERE
            )
        else:
            from ringback.stores.postgres import PostgresStore

            store = PostgresStore(url, poll=0.05, lease=30.0, timeout=10.0, clock=wall, elapsed=time.monotonic)
        stores.append(store)
        return store

    yield made
    for store in stores:
        await store.close()


def told(store: DeliveryStore) -> list[tuple[float, int]]:
    """What the store says of jumps: seconds in hours, and how many items."""
    said: list[tuple[float, int]] = []

    def on_fault(error: Exception) -> None:
        assert isinstance(error, ClockJumped)
        said.append((round(error.seconds / HOUR, 1), error.count))

    store.on_fault = on_fault
    return said


async def keeps(store: DeliveryStore, stats: Stats) -> bool:
    return replace(await store.stats(), oldest_due=0.0) == stats


async def test_what_was_acknowledged_does_not_wait_for_a_clock_that_was_set_back(store: Any, wall: Wall) -> None:
    """It waits as long as it would have; a redial waits for its time of the day."""
    said = told(store)
    await store.put([item("a", due_at=wall() + 20)])
    await plan(store, "b", wall() + 20)
    async with Crew(store) as crew:
        await store.put([item("first")])
        await crew.have(1)
        await store.put([item("c", due_at=wall() + 4)])
        wall.set = -HOUR
        await store.put([item("d", due_at=wall())])
        await crew.have(3)
        keys = [claim.item.key for claim in crew.claims]
    assert keys == ["call:first", "call:d", "call:c"]
    assert said == [(-1.0, 2)]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True)
async def test_a_start_looks_for_what_a_clock_holds_up(make: Make, wall: Wall) -> None:
    """The clock was set while no process ran that could have noticed."""
    before = make()
    await before.put([item("a", due_at=wall() + 3)])
    await before.close()
    wall.set = -HOUR
    after = make()
    said = told(after)
    async with Crew(after) as crew:
        await crew.have(1)
    assert ([claim.item.key for claim in crew.claims], said) == (["call:a"], [(0.0, 1)])


@pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True)
async def test_a_start_looks_for_attempts_that_a_clock_holds_up(make: Make, wall: Wall) -> None:
    """The item itself is older than the time to which the clock was set, and nobody saw by how much it was set."""
    before = make()
    wall.set = -2 * HOUR
    await before.put([item("a")])
    wall.set = 0.0

    async def fails(_: Claim) -> Settlement:
        return Settlement(State.READY, due_at=wall() + 3)

    async with Crew(before, fails) as crew:
        await crew.have(1)
        await until(lambda: keeps(before, Stats(ready=1)))
    await before.close()
    wall.set = -HOUR
    after = make()
    said = told(after)
    async with Crew(after) as crew:
        await crew.have(1)
    assert ([claim.attempt for claim in crew.claims], said) == ([2], [(0.0, 1)])


async def test_an_attempt_that_is_to_come_does_not_wait_either(store: Any, wall: Wall) -> None:
    """The item itself is older than the time to which the clock was set."""
    said = told(store)
    wall.set = -2 * HOUR
    await store.put([item("a")])
    wall.set = 0.0
    tried = asyncio.Event()

    async def work(claim: Claim) -> Settlement:
        if claim.attempt == 2:
            return DONE
        tried.set()
        return Settlement(State.READY, due_at=wall() + 3)

    async with Crew(store, work) as crew:
        await tried.wait()
        await until(lambda: keeps(store, Stats(ready=1)))
        wall.set = -HOUR
        # In memory nothing looks before the time has come.
        await store.put([item("b")])
        await crew.have(3)
    assert said == [(-1.0, 1)]


async def test_what_comes_after_a_clock_was_set_forward_is_not_behind_what_waits(store: Any, wall: Wall) -> None:
    """By the wall clock it is due later; by any other it is due now."""
    await store.put([item("later", due_at=wall() + HOUR)])
    async with Crew(store) as crew:
        await store.put([item("first")])
        await crew.have(1)
        wall.set = HOUR / 2
        await store.put([item("now", due_at=wall())])
        await crew.have(2)
        keys = [claim.item.key for claim in crew.claims]
    assert keys == ["call:first", "call:now"]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True)
async def test_running_hooks_are_nobody_elses_whatever_the_clock_says(make: Make, wall: Wall) -> None:
    """Nor are they if it goes back."""
    one, other = make(), make()
    begun, end = asyncio.Event(), asyncio.Event()

    async def hangs(_: Claim) -> Settlement:
        begun.set()
        await end.wait()
        return DONE

    async with Crew(one, hangs) as crew, Crew(other) as idle:
        await one.put([item("a")])
        # Either may have it.
        while not begun.is_set() and not idle.claims:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for number, seconds in enumerate((60.0, -HOUR)):
            wall.set = seconds
            await one.put([item(f"mark-{number}")])
            await until(lambda number=number: len(crew.claims) + len(idle.claims) == number + 2)
        end.set()
        await until(lambda: keeps(one, Stats(done=3)))
    keys = sorted(claim.item.key for claim in [*crew.claims, *idle.claims])
    assert keys == ["call:a", "call:mark-0", "call:mark-1"]
    assert not any(claim.redelivered for claim in [*crew.claims, *idle.claims])


@pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True)
async def test_what_is_known_stays_known_whatever_the_clock_says(store: Any, wall: Wall) -> None:
    """A purge forgets by the time that has passed, and not by the time that the clock shows."""
    async with Crew(store) as crew:
        await store.put([item("a")])
        await crew.have(1)
        await until(lambda: keeps(store, Stats(done=1)))
    wall.set = 8 * DAY
    assert await store.purge() == 0
    wall.set = 0.0
    assert list(await store.put([item("a")])) == [Offer.DUPLICATE]


# SQLite


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Callable[..., SQLiteStore]]:
    stores: list[SQLiteStore] = []

    def made(owner: str, boot: Boot = HERE, **settings: Any) -> SQLiteStore:
        stores.append(SQLiteStore(tmp_path / "x.db", lease=30.0, min_free=0, boot=boot, **settings))
        stores[-1].worker.owner = f"{boot.id}.{owner}"
        return stores[-1]

    yield made
    for store in stores:
        await store.close()


async def claimed(store: SQLiteStore) -> list[tuple[int, bool]]:
    return [(claim.attempt, claim.crashed) for claim in (await store.worker.claim(5, Kind.OUTCOME))[0]]


async def test_leases_count_by_the_time_since_boot(file: Callable[..., SQLiteStore]) -> None:
    """The worker of another process looks again when the lease ends."""
    now = [100.0]
    boot = Boot("boot", lambda: now[0])
    one, other = file("one", boot), file("other", boot)
    await one.put([item("a")])
    assert await claimed(one) == [(1, False)]
    claims, due_at = await other.worker.claim(5, Kind.OUTCOME)
    assert (claims, due_at) == ([], pytest.approx(time.time() + 30, abs=20))
    now[0] += 29
    assert await claimed(other) == []
    now[0] += 1
    assert await claimed(one) == []
    assert await claimed(other) == [(2, True)]


@pytest.mark.parametrize("boot", [Boot("next", since_boot), Boot("", time.time)], ids=["known", "without a name"])
async def test_leases_of_another_boot_are_void(file: Callable[..., SQLiteStore], boot: Boot) -> None:
    """Whoever had them died with it, however much of the lease is left."""
    one, other = file("one", Boot("boot", lambda: 1e12)), file("other", boot)
    await one.put([item("a")])
    assert await claimed(one) == [(1, False)]
    await one.close()
    assert await claimed(other) == [(2, True)]


async def test_leases_without_a_boot_count_by_the_wall_clock(file: Callable[..., SQLiteStore]) -> None:
    """As those of the release before, and of machines that do not name their boots."""
    wall = Wall()
    one, other = file("one", Boot("", wall), clock=wall), file("other", Boot("boot", wall), clock=wall)
    one.worker.owner = "f" * 32
    await one.put([item("a")])
    assert await claimed(one) == [(1, False)]
    assert await claimed(other) == []
    wall.set = 30.0
    assert await claimed(other) == [(2, True)]


# The clocks


@pytest.mark.parametrize(("set_by", "jump"), [(4.0, 0.0), (6.0, 6.0), (-HOUR, -HOUR)])
def test_a_jump_is_told_once(set_by: float, jump: float) -> None:
    """A clock that is off by less than the slack has not jumped."""
    now, set_to = [50.0], [1000.0]
    jumps = Jumps(lambda: now[0] + set_to[0], lambda: now[0])
    now[0] += 100
    assert jumps.look() == 0.0
    set_to[0] += set_by
    assert (jumps.look(), jumps.look()) == (jump, 0.0)
    assert jumps.passed() == now[0] + min(set_to[0], 1000.0 if jump > 0 else set_to[0])


@pytest.mark.parametrize(
    ("jump", "says"),
    [(60.4, "was set forward by 60 s"), (-HOUR, "was set back by 3600 s"), (0.0, "was set back earlier")],
)
def test_a_jump_says_how_far(jump: float, says: str) -> None:
    """And how many it would have held up."""
    error = jumped(jump, 3)
    assert str(error) == f"the wall clock {says}; outcomes whose hooks it would have held up: 3"
    assert (error.seconds, error.count) == (jump, 3)


def test_a_boot_has_a_name_where_the_machine_gives_one(tmp_path: Path) -> None:
    """Elsewhere leases count by the wall clock, and so they do by a wall clock of one's own."""
    named = tmp_path / "boot_id"
    named.write_text("d45739cc-2bed-482f-be49-6fc053e5a03a\n", "ascii")
    assert Boot.here(time.time, str(named)) == Boot("d45739cc", since_boot)
    assert Boot.here(time.time, str(tmp_path / "absent")) == Boot("", time.time)
    wall = Wall()
    assert Boot.here(wall, str(named)) == Boot("", wall)
    assert since_boot() <= since_boot()
