"""Nobody takes over what a live worker has leased but could not renew, because something stood still for both."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from crew import DONE, Crew, item, until
from ringback.exceptions import StoreUnavailable
from ringback.stores.clocks import Boot
from ringback.stores.leases import Touch
from ringback.stores.sqlite import SQLiteStore
from ringback.work.items import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from ringback.work.items import Claim, Settlement

LEASE = 0.9


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([(0, "look")], [True]),
        ([(0, "lost"), (29, "look"), (30, "look")], [False, True]),
        ([(0, "lost"), (20, "lost"), (49, "look"), (50, "look")], [False, True]),
        (
            [(0, "claims"), (3600, "look"), (3600, "renewed"), (3620, "claims"), (3640, "look")],
            [True, True, True, True],
        ),
        ([(0, "renewed"), (20, "look"), (20, "renewed"), (40, "look")], [True, True]),
        # Nobody has renewed anything yet.
        ([(0, "renewed"), (21, "look")], [False]),
        ([(0, "renewed"), (21, "renewed"), (41, "renewed"), (50, "look"), (51, "look")], [False, True]),
        ([(0, "renewed"), (3600, "renewed"), (3600, "look")], [False]),
        (
            [(3600, "renewed"), (0, "look"), (0, "renewed"), (20, "renewed"), (29, "look"), (30, "look")],
            [False, False, True],
        ),
        # The event loop has read the clock before the store's thread, and writes after it.
        ([(0, "renewed"), (10.001, "claims"), (10, "renewed"), (11, "look")], [True, True]),
    ],
    ids=[
        "at first",
        "a fault",
        "two faults",
        "claims",
        "as usual",
        "no renewal",
        "a late renewal",
        "forward",
        "back",
        "two threads",
    ],
)
def test_after_a_gap_others_have_a_whole_lease(steps: Sequence[tuple[float, str]], found: list[bool]) -> None:
    """A gap is a fault, more than two thirds of a lease without a renewal, or a clock that was set."""
    touch = Touch(30.0)
    seen: list[bool] = []
    for now, what in steps:
        steps_of = {"look": touch.for_a_lease, "claims": touch.claims, "renewed": touch.renewed, "lost": touch.lost}
        said = steps_of[what](now)
        if said is not None:
            seen.append(said)
    assert seen == found


# SQLite


class Now:
    """The time since boot, as a test sets it."""

    def __init__(self) -> None:
        self.set = 100.0

    def __call__(self) -> float:
        return self.set


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def make(tmp_path: Path, now: Now) -> AsyncIterator[Callable[..., SQLiteStore]]:
    """Stores of one file, each as of a process of its own."""
    stores: list[SQLiteStore] = []

    def made(timeout: float = 10.0) -> SQLiteStore:
        path, boot = tmp_path / "x.db", Boot("boot", now)
        stores.append(SQLiteStore(path, lease=LEASE, poll=0.05, timeout=timeout, min_free=0, boot=boot))
        stores[-1].worker.owner = f"boot.{len(stores)}"
        return stores[-1]

    yield made
    for store in stores:
        await store.close()


async def claimed(store: SQLiteStore) -> list[tuple[int, bool]]:
    return [(claim.attempt, claim.crashed) for claim in (await store.worker.claim(5, Kind.OUTCOME))[0]]


async def test_a_process_that_joins_others_takes_over_nothing_at_once(make: Any, now: Now) -> None:
    """It cannot know whether they live, and could not renew their leases until just now."""
    one, other = make(), make()
    await one.put([item("a")])
    assert await claimed(one) == [(1, False)]
    now.set += 10 * LEASE
    assert await claimed(other) == []
    now.set += LEASE
    assert await claimed(other) == [(2, True)]


async def test_a_process_alone_takes_over_when_the_lease_has_ended(make: Any, now: Now) -> None:
    """Whoever had the lease has no longer the file open, and so has died."""
    one = make()
    await one.put([item("a")])
    assert await claimed(one) == [(1, False)]
    await one.close()
    other = make()
    assert await claimed(other) == []
    now.set += LEASE
    assert await claimed(other) == [(2, True)]


async def test_after_a_fault_of_the_file_nothing_is_taken_over_at_once(make: Any, now: Now) -> None:
    """As long as it was locked nobody could renew a lease."""
    one, other = make(), make(timeout=0.05)
    await one.put([item("a")])
    assert await claimed(one) == [(1, False)]
    await other.open()
    now.set += 10 * LEASE
    locked = one._database._connect()
    locked.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await claimed(other)
    locked.close()
    assert await claimed(other) == []
    now.set += LEASE
    assert await claimed(other) == [(2, True)]


async def test_what_stood_still_with_all_processes_is_no_death(make: Any, now: Now) -> None:
    """Whoever is the first to go on, after a disk or a machine stood still, gives the others the time of a lease."""
    one, other = make(), make()
    await one.put([item("a")])
    assert await claimed(one) == [(1, False)]
    async with Crew(other) as crew:
        await until(lambda: other.worker.touch._renewed_at == now.set)
        for seconds in (10 * LEASE, LEASE / 2, LEASE / 4):
            now.set += seconds
            await until(lambda: other.worker.touch._renewed_at == now.set)
            assert await claimed(other) == []
            assert crew.claims == []
        now.set += LEASE / 2
        await crew.have(1)
    assert [(claim.attempt, claim.crashed) for claim in crew.claims] == [(2, True)]


# PostgreSQL

_OF_ANOTHER = """
    WITH entry AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)
    UPDATE ringback_items SET state = 'running', owner = 'another', attempts = 1, worker = entry.id FROM entry
    WHERE key = %s
"""
_RENEW = """
    UPDATE procrastinate_workers SET last_heartbeat = clock_timestamp()
    WHERE id = (SELECT worker FROM ringback_items WHERE owner = 'another')
"""


async def test_a_worker_whose_loop_stood_still_takes_over_nothing_at_once(postgres_url: str) -> None:
    """It has not noticed that PostgreSQL was away meanwhile. Another, which has, renews its entry a bit later."""
    psycopg = pytest.importorskip("psycopg")
    from ringback.stores.postgres import PostgresStore

    async def execute(statement: str, *parameters: str) -> None:
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            await connection.execute(statement, parameters)

    # Longer than a busy machine keeps a process from its turn.
    lease = 3.0
    rounds, stood_still = asyncio.Event(), False

    async def pause(seconds: float) -> None:
        rounds.set()
        if stood_still:
            await execute(_RENEW)
        await asyncio.sleep(seconds)

    async def work(claim: Claim) -> Settlement:
        worked.append(claim.item.key)
        return DONE

    worked: list[str] = []
    store: Any = PostgresStore(postgres_url, lease=lease, poll=0.1, timeout=10.0, sleep=pause)
    far = time.time() + 3600
    await store.put([item("a", due_at=far), item("b", due_at=far)])
    await execute(_OF_ANOTHER, "call:a")
    running = asyncio.create_task(store.run(work, 4))
    # That worker is dead: this one has been in touch for a lease, and takes over.
    await until(lambda: worked == ["call:a"])
    await execute(_OF_ANOTHER, "call:b")
    store._worker.entry.beat = lambda _: None
    time.sleep(1.3 * lease)  # noqa: ASYNC251
    stood_still = True
    for _ in range(4):
        rounds.clear()
        await rounds.wait()
    assert worked == ["call:a"]
    await store.stop(5.0)
    await running
    await store.close()


async def test_a_postgresql_that_stood_still_makes_no_worker_dead(postgres_url: str) -> None:
    """Its clock goes on, and nobody's entry is any newer than the others'."""
    psycopg = pytest.importorskip("psycopg")
    from ringback.stores.postgres import PostgresStore
    from ringback.stores.postgres.repair import repair

    store: Any = PostgresStore(postgres_url, timeout=10.0)
    await store.put([item("a", due_at=time.time() + 3600)])
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(_OF_ANOTHER, ("call:a",))
        await connection.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
        assert await store._databases.do(lambda pooled: repair(pooled, 30.0, time.time())) == set()
        # Somebody goes on, and that worker does not.
        await connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
        assert await store._databases.do(lambda pooled: repair(pooled, 30.0, time.time())) == {"call:a"}
    await store.close()
