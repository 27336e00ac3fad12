"""What is special to the store in PostgreSQL; what all stores share is in test_port.py."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from procrastinate.exceptions import ConnectorException  # noqa: E402

from ringback.events import Event, EventData, Result  # noqa: E402
from ringback.exceptions import ConfigurationError, StoreError, StoreFull, StoreUnavailable  # noqa: E402
from ringback.latch import Offer  # noqa: E402
from ringback.outcome import classify_event  # noqa: E402
from ringback.redial import Exhausted, Planned  # noqa: E402
from ringback.stores._postgres_faults import store_error, translated  # noqa: E402
from ringback.stores._postgres_jobs import Jobs  # noqa: E402
from ringback.stores._postgres_worker import Times, Worker  # noqa: E402
from ringback.stores.port import (  # noqa: E402
    CallRecord,
    Claim,
    Item,
    Kind,
    Progress,
    Redial,
    Settlement,
    State,
    Stats,
)
from ringback.stores.postgres import PostgresStore  # noqa: E402

DONE = Settlement(State.DONE)
CONTACT = "+15550100"

Make = Callable[..., PostgresStore]


def item(
    leg: str,
    name: str = "CallDisconnected",
    *,
    due_at: float = 0.0,
    call: str | None = None,
    kind: Kind = Kind.OUTCOME,
    contact: str | None = None,
) -> Item:
    connection = None if name == "CallEnded" else leg
    result = None if name == "CallEnded" else Result(486, 0)
    data = EventData(call_connection_id=connection, correlation_id=call, result_information=result)
    outcome = classify_event(Event(type=f"Microsoft.Communication.{name}", id=f"{name}-{leg}", data=data))
    assert outcome is not None
    key = outcome.outcome_id if kind is Kind.OUTCOME else f"redial:{leg}"
    return Item(key, kind, due_at, outcome, contact, None if kind is Kind.OUTCOME else "call_again")


def redial(leg: str, ended: str | None = None) -> Redial:
    return Redial(CONTACT, item(leg, kind=Kind.REDIAL), ended)


async def finishes(_: Claim) -> Settlement:
    return DONE


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.02)


async def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def running(
    store: PostgresStore, work: Callable[[Claim], Awaitable[Settlement]] = finishes
) -> AsyncIterator[None]:
    task = asyncio.create_task(store.run(work, 4))
    try:
        yield
    finally:
        await store.stop(5.0)
        await task


@pytest.fixture
async def make(postgres_url: str) -> AsyncIterator[Make]:
    """Stores of one database, with short times."""
    stores: list[PostgresStore] = []

    def made(url: str = postgres_url, **settings: Any) -> PostgresStore:
        store = PostgresStore(url, **{"lease": 0.9, "poll": 0.1, "sweep": 0.2, **settings})
        stores.append(store)
        return store

    yield made
    for store in stores:
        await store.close()


# Opening


def test_unreadable_url_is_refused_without_its_password() -> None:
    """A URL holds a password, so no message repeats it."""
    with pytest.raises(ConfigurationError) as caught:
        PostgresStore("postgresql://me:hush%ZZ@127.0.0.1/x")
    assert "cannot be read" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"lease": 0}, "lease 0 is not positive"), ({"lease": 1.0, "poll": 0.5}, "too short for poll 0.5")],
    ids=["nothing", "lease"],
)
def test_impossible_setting_is_refused(settings: dict[str, Any], says: str) -> None:
    """Settings that cannot work are found when the store is made."""
    with pytest.raises(ConfigurationError, match=says):
        PostgresStore("postgresql://127.0.0.1/x", **settings)


async def test_stores_that_open_together_make_the_tables_once(make: Make, postgres_url: str) -> None:
    """Whoever comes first makes the schema, the others wait for it; opening again does nothing."""
    stores = [make() for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores * 2))
    await stores[0].open()
    assert stores[0].durable
    assert await query(postgres_url, "SELECT name, value FROM ringback_meta") == [("schema", "2")]
    assert [await store.stats() for store in stores] == [Stats()] * 6


async def test_schema_of_a_newer_release_is_refused(make: Make, postgres_url: str) -> None:
    """A schema this release does not know is left alone."""
    await make().open()
    await query(postgres_url, "UPDATE ringback_meta SET value = '3'")
    with pytest.raises(StoreError, match=r"made by a newer release .schema 3, this one knows 2"):
        await make().open()
    await query(postgres_url, "DELETE FROM ringback_meta")
    with pytest.raises(StoreError, match="schema unknown"):
        await make().open()


async def test_procrastinate_of_another_version_is_refused(make: Make, postgres_url: str) -> None:
    """Tables of an older procrastinate are migrated by its own command, not by us."""
    await make().open()
    await query(postgres_url, "DROP FUNCTION procrastinate_retry_job_v2")
    with pytest.raises(StoreError, match=r"procrastinate_retry_job_v2 not found.*schema --migrations-path"):
        await make().open()


async def test_lasting_refusals_are_errors(make: Make, postgres: Any) -> None:
    """What no waiting mends is no StoreUnavailable, and no message has the password."""
    wrong = {
        "password": postgres.url(password="guessed"),
        "user": postgres.url(user="nobody"),
        "database": postgres.url("absent"),
    }
    for url in wrong.values():
        with pytest.raises(StoreError) as caught:
            await make(url).open()
        assert type(caught.value) is StoreError
        assert "guessed" not in str(caught.value)


async def test_role_without_rights_is_an_error_unless_the_tables_are_there(
    make: Make, postgres: Any, postgres_url: str
) -> None:
    """The right to create is needed once; whoever has the tables needs no more than to use them."""
    await query(postgres_url, "DROP ROLE IF EXISTS guest")
    await query(postgres_url, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = postgres_url.replace("ringback:of-the-tests", "guest:guest")
    with pytest.raises(StoreError, match="permission denied for schema public; give the role its rights"):
        await make(guest).open()
    await make().open()
    await query(postgres_url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest")
    await query(postgres_url, "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO guest")
    store = make(guest)
    assert await store.put([item("a")]) == [Offer.OPENED]
    async with running(store):
        await until(lambda: _is(store, done=1))
    await query(postgres_url, "DROP OWNED BY guest")


async def test_no_server_is_a_fault_that_may_pass(make: Make) -> None:
    """A refused connection answers 503, not an error for ever; also for a put without an open before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        store = make(f"postgresql://me:hush@127.0.0.1:{free.getsockname()[1]}/x")
        with pytest.raises(StoreUnavailable, match="cannot be used now"):
            await store.open()
        with pytest.raises(StoreUnavailable, match="cannot be used now"):
            await store.put([item("a")])
        await store.close()


async def test_a_server_that_does_not_answer_is_given_up(make: Make) -> None:
    """Neither a put nor an open waits for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = make(f"postgresql://me:hush@127.0.0.1:{silent.getsockname()[1]}/x", timeout=0.02)
        with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.02 seconds"):
            await store.put([item("a")])
        with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.3 seconds"):
            await store.open()


# Putting


async def test_the_same_keys_put_in_any_order_by_many_open_once(make: Make) -> None:
    """Replicas that receive the same events in opposite order neither deadlock nor open one twice."""
    stores = [make(timeout=20.0) for _ in range(2)]
    items = [item(f"leg-{number}", call=f"call-{number}") for number in range(8)]
    puts = [store.put(order) for store in stores for order in (items, items[::-1]) for _ in range(5)]
    offers = [offer for each in await asyncio.gather(*puts) for offer in each]
    assert offers.count(Offer.OPENED) == 8
    assert offers.count(Offer.DUPLICATE) == len(offers) - 8
    assert (await stores[0].stats()).ready == 8


async def test_a_whole_calls_end_and_a_legs_do_not_miss_each_other(make: Make, postgres_url: str) -> None:
    """Put at the same time by two replicas, the leg's own end is the one that stays."""
    one, other = make(timeout=20.0), make(timeout=20.0)
    for number in range(10):
        call = f"call-{number}"
        await asyncio.gather(one.put([item("x", "CallEnded", call=call)]), other.put([item(f"leg-{call}", call=call)]))
    rows = await query(postgres_url, "SELECT event, count(*) FROM ringback_items WHERE state = 'ready' GROUP BY 1")
    assert rows == [("CallDisconnected", 10)]


async def test_siblings_merge_and_a_whole_calls_end_comes_too_late(make: Make) -> None:
    """The more informative of two events of a leg is told, whichever came first; what adds nothing is a duplicate."""
    store = make()
    both = [item("a", "CreateCallFailed", call="x"), item("a", call="x")]
    assert await store.put(both[:1]) == [Offer.OPENED]
    assert await store.put([*both[1:], item("-", "CallEnded", call="x")]) == [Offer.MERGED, Offer.DUPLICATE]
    assert await store.put([item("b"), item("b", "CreateCallFailed")]) == [Offer.OPENED, Offer.MERGED]
    seen: dict[str, tuple[str, str | None]] = {}

    async def work(claim: Claim) -> Settlement:
        outcome = claim.item.outcome
        assert outcome.sibling is not None
        seen[claim.item.key] = (outcome.event_name, outcome.sibling.id)
        return DONE

    async with running(store, work):
        await until(lambda: _is(store, done=2))
    assert seen == {
        "call:a": ("CreateCallFailed", "CallDisconnected-a"),
        "call:b": ("CreateCallFailed", "CallDisconnected-b"),
    }


async def test_text_that_postgresql_cannot_hold_is_kept_in_another_form(make: Make) -> None:
    """Ids come from strangers; none of them makes a put fail."""
    store = make()
    strange = item("leg\0", call="call\0", contact="a\0\ud800")
    assert await store.put([strange]) == [Offer.OPENED]
    assert await store.put([strange]) == [Offer.DUPLICATE]
    seen: list[Claim] = []

    async def work(claim: Claim) -> Settlement:
        seen.append(claim)
        return Settlement(State.DEAD, reason="bad\0 \ud800")

    async with running(store, work):
        await until(lambda: _is(store, dead=1))
    assert seen[0].item.contact == "a\ufffd?"
    assert [letter.reason for letter in await store.dead()] == ["bad\ufffd ?"]


async def test_backlog_is_limited(make: Make) -> None:
    """More than the limit is refused, until somebody has worked."""
    store = make(max_backlog=2)
    assert await store.put([item("a"), item("b")]) == [Offer.OPENED, Offer.OPENED]
    with pytest.raises(StoreFull, match="2 items wait in PostgreSQL"):
        await store.put([item("c")])
    async with running(store):
        await until(lambda: _is(store, done=2))
        await until(lambda: _puts(store, item("c")))


async def test_puts_that_cannot_be_written_are_unavailable_in_time(make: Make, postgres_url: str) -> None:
    """A table locked by somebody, and a pool that is exhausted by it, answer StoreUnavailable, and leave nothing."""
    store = make(timeout=0.3, pool_size=2)
    await store.put([item("before")])
    await asyncio.sleep(0.1)
    before = len(asyncio.all_tasks())
    async with await psycopg.AsyncConnection.connect(postgres_url) as holder:
        await holder.execute("LOCK TABLE ringback_items")
        puts = await asyncio.gather(*(store.put([item(f"leg-{n}")]) for n in range(20)), return_exceptions=True)
        assert {type(each) for each in puts} == {StoreUnavailable}
        cut = asyncio.create_task(store.put([item("cut")]))
        await asyncio.sleep(0.05)
        cut.cancel()
        await asyncio.wait({cut})
        assert cut.cancelled()
    await until(lambda: _puts(store, item("after")))
    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert (await store.stats()).ready == 2


async def test_a_deadlock_is_tried_again(make: Make) -> None:
    """What PostgreSQL ends for the sake of another goes again; only the third time in a row it counts."""
    store = make()
    await store.open()
    tries: list[int] = []

    async def operation(_: object) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise psycopg.errors.DeadlockDetected
        return "written"

    assert await store._do(operation) == "written"

    async def never(_: object) -> str:
        raise psycopg.errors.SerializationFailure

    with pytest.raises(StoreUnavailable):
        await store._do(never)


# Working


async def test_finished_jobs_leave_nothing_behind(make: Make, postgres_url: str) -> None:
    """procrastinate's tables do not grow: not by jobs, events, or workers."""
    store = make()
    await store.put([item(f"leg-{number}", due_at=time.time() + 0.2) for number in range(10)])
    async with running(store):
        await until(lambda: _is(store, done=10))
        await until(lambda: _empty(postgres_url, "procrastinate_jobs"))
    for table in ("procrastinate_jobs", "procrastinate_events", "procrastinate_workers"):
        assert await query(postgres_url, f"SELECT count(*) FROM {table}") == [(0,)]


async def test_a_retry_is_a_job_of_its_own(make: Make) -> None:
    """An item that is ready again comes back at its time, with its progress."""
    store = make()
    await store.put([item("a")])
    seen: list[tuple[int, Progress]] = []

    async def work(claim: Claim) -> Settlement:
        seen.append((claim.attempt, claim.progress))
        assert await store.checkpoint(claim.item.key, Progress(trying="x"))
        return DONE if claim.attempt == 3 else Settlement(State.READY, Progress(done=("h",)), time.time() + 0.1)

    async with running(store, work):
        await until(lambda: _is(store, done=1))
    assert seen == [(1, Progress()), (2, Progress(done=("h",))), (3, Progress(done=("h",)))]
    assert not await store.checkpoint("call:a", Progress())


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0], ids=["behind", "ahead"])
async def test_clocks_that_differ_lose_nothing(make: Make, ahead: float) -> None:
    """An item is due by our clock, whatever PostgreSQL's says; none comes early, none is forgotten."""
    store = make(clock=lambda: time.time() + ahead)
    due_at = time.time() + ahead + 0.3
    await store.put([item("a", due_at=due_at)])
    early: list[bool] = []

    async def work(claim: Claim) -> Settlement:
        early.append(time.time() + ahead < due_at)
        return DONE

    async with running(store, work):
        await until(lambda: _is(store, done=1))
    assert early == [False]


async def test_a_job_that_comes_too_early_is_made_again(make: Make, postgres_url: str) -> None:
    """A clock that was put back after the put does not lose the item."""
    shift = [0.0]
    store = make(clock=lambda: time.time() + shift[0])
    await store.put([item("a", due_at=time.time())])
    shift[0] = -0.4
    async with running(store):
        await until(lambda: _is(store, done=1))
    assert await query(postgres_url, "SELECT attempts FROM ringback_items") == [(1,)]


async def test_an_item_without_a_job_gets_one(make: Make, postgres_url: str) -> None:
    """Whatever became of its job, an item that waits is found."""
    store = make()
    await store.put([item("a")])
    await query(postgres_url, "DELETE FROM procrastinate_jobs")
    async with running(store):
        await until(lambda: _is(store, done=1))


async def test_stopping_gives_back_what_is_late(make: Make) -> None:
    """The next worker has it at once, and is told that somebody began."""
    store, next_store = make(), make()
    await store.put([item("a")])
    begun = asyncio.Event()

    async def hangs(claim: Claim) -> Settlement:
        await store.checkpoint(claim.item.key, Progress(trying="hook"))
        begun.set()
        await asyncio.Event().wait()
        return DONE

    assert await store.stop(1.0) == 0
    task = asyncio.create_task(store.run(hangs, 1))
    await begun.wait()
    assert await store.stop(0.05) == 1
    await task
    seen: list[Claim] = []

    async def work(claim: Claim) -> Settlement:
        seen.append(claim)
        return DONE

    async with running(next_store, work):
        await until(lambda: _is(store, done=1))
    claim = seen[0]
    assert (claim.attempt, claim.redelivered, claim.crashed, claim.progress) == (
        2,
        True,
        False,
        Progress(trying="hook"),
    )


async def test_a_run_that_is_cancelled_gives_back_too(make: Make, postgres_url: str) -> None:
    """Whoever cancels the task instead of stopping loses nothing either."""
    store = make()
    await store.put([item("a")])
    begun = asyncio.Event()

    async def hangs(_: Claim) -> Settlement:
        begun.set()
        await asyncio.Event().wait()
        return DONE

    task = asyncio.create_task(store.run(hangs, 1))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert await query(postgres_url, "SELECT state, interrupted, owner FROM ringback_items") == [("ready", 1, None)]
    assert await query(postgres_url, "SELECT count(*) FROM procrastinate_workers") == [(0,)]


async def test_running_work_may_finish_while_the_worker_stops(make: Make) -> None:
    """Stopping waits for what can end in time, and claims nothing more."""
    store = make()
    await store.put([item("a"), item("b")])
    begun, go = asyncio.Event(), asyncio.Event()

    async def work(_: Claim) -> Settlement:
        begun.set()
        await go.wait()
        return DONE

    task = asyncio.create_task(store.run(work, 1))
    await begun.wait()
    worker = store._worker
    assert worker is not None
    stopping = asyncio.create_task(store.stop(5.0))
    await asyncio.sleep(0.1)
    late = asyncio.create_task(worker._deliver("call:b"))
    await asyncio.sleep(0)
    go.set()
    assert await stopping == 0
    await task
    with pytest.raises(StoreUnavailable, match="the worker stops"):
        await late
    stats = await store.stats()
    assert (stats.done, stats.ready) == (1, 1)


async def test_work_that_raises_is_told_and_comes_again_later(make: Make) -> None:
    """It is against the contract; the item is neither lost nor tried in a tight loop."""
    store = make()
    faults: list[Exception] = []
    store.on_fault = faults.append
    await store.put([item("a")])
    attempts: list[int] = []

    async def work(claim: Claim) -> Settlement:
        attempts.append(claim.attempt)
        if claim.attempt == 1:
            raise ZeroDivisionError
        return DONE

    async with running(store, work):
        await until(lambda: _is(store, done=1))
    assert attempts == [1, 2]
    assert [type(each) for each in faults] == [ZeroDivisionError]


async def test_a_record_that_cannot_be_read_is_a_dead_letter(make: Make, postgres_url: str) -> None:
    """It does not block what comes after it; replayed, it dies again."""
    store = make()
    await store.put([item("a"), item("b")])
    await query(postgres_url, "UPDATE ringback_items SET payload = 'no record' WHERE key = 'call:a'")
    async with running(store):
        await until(lambda: _is(store, done=1, dead=1))
        (letter,) = await store.dead()
        assert (letter.key, letter.outcome, letter.attempts) == ("call:a", None, 1)
        assert "cannot be read" in letter.reason
        assert await store.replay("call:a")
        await until(lambda: _is(store, done=1, dead=1))
    assert await store.discard("call:a")
    assert not await store.discard("call:a")
    assert not await store.replay("call:a")


# Dying


_VICTIM = """
import asyncio, sys
from ringback.stores.port import Settlement, State
from ringback.stores.postgres import PostgresStore

async def work(claim):
    print("begun", flush=True)
    await asyncio.Event().wait()

asyncio.run(PostgresStore(sys.argv[1], lease=0.9, poll=0.1).run(work, 1))
"""


async def test_work_of_a_killed_process_is_taken_over(make: Make, postgres_url: str) -> None:
    """A process that dies without a word is noticed when its lease ends; the next is told that it died."""
    store = make()
    await store.put([item("a"), item("b")])
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _VICTIM, postgres_url, stdout=asyncio.subprocess.PIPE
    )
    assert victim.stdout is not None
    assert await victim.stdout.readline() == b"begun\n"
    os.kill(victim.pid, signal.SIGKILL)
    await victim.wait()
    seen: list[tuple[bool, bool, int]] = []

    async def work(claim: Claim) -> Settlement:
        seen.append((claim.redelivered, claim.crashed, claim.attempt))
        return DONE

    async with running(store, work):
        await until(lambda: _is(store, done=2))
    assert sorted(seen) == [(False, False, 1), (True, True, 2)]


async def test_a_live_worker_keeps_its_work(make: Make, postgres_url: str) -> None:
    """A hook longer than the lease runs once, also if the worker's entry was removed meanwhile."""
    one, other = make(lease=2.0, sweep=1.0), make(lease=2.0)
    await one.put([item("a")])
    begun, go, runs = asyncio.Event(), asyncio.Event(), []

    async def work(claim: Claim) -> Settlement:
        runs.append(claim.attempt)
        begun.set()
        await go.wait()
        return DONE

    async with running(one, work):
        await begun.wait()
        async with running(other, work):
            await query(postgres_url, "DELETE FROM procrastinate_workers")
            beats = "SELECT count(*) FROM procrastinate_workers w JOIN ringback_items i ON i.worker = w.id"
            await until(lambda: _counts(postgres_url, beats, 1))
            # Longer than a lease, in which the other would have taken it.
            for _ in range(10):
                await asyncio.sleep(0.25)
            go.set()
            await until(lambda: _is(one, done=1))
    assert runs == [1]


async def test_a_claim_that_cannot_be_written_is_left_when_the_worker_stops(make: Make, postgres_url: str) -> None:
    """Claiming is tried again while the worker runs; then the item is left to the next."""
    await make().put([item("a")])
    store = make(timeout=0.05)
    faults: list[Exception] = []
    store.on_fault = faults.append
    async with await psycopg.AsyncConnection.connect(postgres_url) as holder:
        await holder.execute("LOCK TABLE ringback_items IN SHARE MODE")
        async with running(store):
            doing = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'"
            await until(lambda: _counts(postgres_url, doing, 1))
    assert {type(each) for each in faults} == {StoreUnavailable}
    assert await query(postgres_url, "SELECT state, attempts FROM ringback_items") == [("ready", 0)]
    assert await query(postgres_url, "SELECT status::text FROM procrastinate_jobs") == [("todo",)]


async def test_a_claim_is_tried_again_until_the_worker_stops() -> None:
    """Whenever that happens: during a try, as here, or between two."""
    faults: list[Exception] = []
    stopping = asyncio.Event()

    async def nothing(*_: object) -> Any:
        raise AssertionError

    async def pause(_: float) -> None:
        stopping.set()

    async def claims() -> Claim:
        raise StoreUnavailable("locked")

    worker = Worker(
        nothing, Jobs(), Times(1, 1, 1, 1), purge=nothing, listen=False, clock=time.time, sleep=pause,
        on_fault=faults.append,
    )  # fmt: skip
    with pytest.raises(StoreUnavailable, match="locked"):
        await worker._insist(claims, until=stopping)
    assert [str(each) for each in faults] == ["locked", "locked"]


async def test_a_claim_taken_over_in_the_same_process_is_the_later_ones(make: Make, postgres_url: str) -> None:
    """The earlier of two claims ends without touching the later."""
    store = make()
    await store.put([item("a")])
    attempts: list[int] = []
    kept: list[bool] = []
    first_ended = asyncio.Event()

    async def work(claim: Claim) -> Settlement:
        attempts.append(claim.attempt)
        if claim.attempt == 1:
            await query(postgres_url, "UPDATE ringback_items SET state = 'ready', owner = NULL")
            async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
                await Jobs().defer(connection, [(claim.item.key, None)])
            await until(lambda: len(attempts) == 2)
            asyncio.get_running_loop().call_later(0.1, first_ended.set)
            return Settlement(State.DEAD, reason="too late")
        await first_ended.wait()
        kept.append(await store.checkpoint(claim.item.key, Progress(trying="x")))
        return DONE

    async with running(store, work):
        await until(lambda: _is(store, done=1))
    assert (attempts, kept) == ([1, 2], [True])


async def test_a_bug_in_the_housekeeping_is_not_silent(make: Make, postgres_url: str) -> None:
    """A worker whose leases nobody renews ends, and says why."""
    wrong: list[bool] = []

    def clock() -> float:
        if wrong:
            raise ZeroDivisionError
        return time.time()

    store = make(clock=clock)
    await store.open()
    task = asyncio.create_task(store.run(finishes, 1))
    # Our entry, and that of procrastinate's worker, which starts after the housekeeping.
    await until(lambda: _counts(postgres_url, "SELECT count(*) FROM procrastinate_workers", 2))
    wrong.append(True)
    with pytest.raises(ZeroDivisionError):
        await task


async def test_who_was_taken_over_changes_nothing(make: Make, postgres_url: str) -> None:
    """A worker that was thought dead and was not finds its claim gone."""
    store = make()
    await store.put([item("a"), item("b")])
    owned: list[bool] = []

    async def work(claim: Claim) -> Settlement:
        await query(postgres_url, "UPDATE ringback_items SET owner = 'somebody else'")
        owned.append(await store.checkpoint(claim.item.key, Progress(trying="x")))
        if claim.item.key == "call:b":
            await asyncio.Event().wait()
        return Settlement(State.READY)

    task = asyncio.create_task(store.run(work, 4))
    await until(lambda: len(owned) == 2)
    await store.stop(0.1)
    await task
    assert owned == [False, False]
    rows = await query(postgres_url, "SELECT state, owner, progress FROM ringback_items")
    assert rows == [("running", "somebody else", None)] * 2


# The server goes and comes


async def test_a_server_that_is_restarted_under_load(mortal_postgres: Any, make: Make) -> None:
    """Meanwhile puts are StoreUnavailable; then everything that was acknowledged is worked on, by itself."""
    store = make(mortal_postgres.fresh(), timeout=0.5)
    faults: list[Exception] = []
    store.on_fault = faults.append
    runs: dict[str, int] = {}
    begun, go = asyncio.Event(), asyncio.Event()
    written: list[str] = []

    async def work(claim: Claim) -> Settlement:
        runs[claim.item.key] = runs.get(claim.item.key, 0) + 1
        if claim.item.key == "call:long":
            begun.set()
            await go.wait()
        return DONE

    async def put(name: str) -> bool:
        offers = await store.put([item(name)])
        written.append(name)
        return offers == [Offer.OPENED]

    async with running(store, work):
        assert await put("long")
        await begun.wait()
        for number in range(20):
            assert await put(f"before-{number}")
        await until(lambda: len(runs) == 21)
        before = len(asyncio.all_tasks()), threading.active_count()
        await asyncio.to_thread(mortal_postgres.stop)
        # It ends while there is nobody to tell.
        go.set()
        puts = await asyncio.gather(*(store.put([item(f"x-{n}")]) for n in range(50)), return_exceptions=True)
        assert {type(each) for each in puts} == {StoreUnavailable}
        await until(lambda: len(faults) >= 3)
        assert len(asyncio.all_tasks()) <= before[0] + 8
        assert threading.active_count() <= before[1] + 1
        await asyncio.to_thread(mortal_postgres.start)
        await until(lambda: _puts(store, item("after")))
        await until(lambda: _is(store, done=22))
    assert runs == dict.fromkeys([*runs], 1)
    assert {type(each) for each in faults} <= {StoreUnavailable, ConnectorException}


async def test_a_worker_that_starts_before_the_server(mortal_postgres: Any, make: Make) -> None:
    """It waits, and begins when the server is there."""
    store = make(mortal_postgres.fresh())
    faults: list[Exception] = []
    store.on_fault = faults.append
    await asyncio.to_thread(mortal_postgres.stop)
    try:
        task = asyncio.create_task(store.run(finishes, 1))
        await until(lambda: len(faults) >= 2)
    finally:
        await asyncio.to_thread(mortal_postgres.start)
    await until(lambda: _puts(store, item("a")))
    await until(lambda: _is(store, done=1))
    await store.stop(1.0)
    await task


async def test_stopping_without_a_server_ends(mortal_postgres: Any, make: Make) -> None:
    """What cannot be given back is left to the end of the lease; stopping does not wait for the server."""
    store = make(mortal_postgres.fresh(), timeout=0.3)
    begun = asyncio.Event()

    async def hangs(_: Claim) -> Settlement:
        begun.set()
        await asyncio.Event().wait()
        return DONE

    await store.put([item("a")])
    task = asyncio.create_task(store.run(hangs, 1))
    await begun.wait()
    await asyncio.to_thread(mortal_postgres.stop)
    try:
        assert await store.stop(0.1) == 1
        await task
    finally:
        await asyncio.to_thread(mortal_postgres.start)
    other = make(store._conninfo)
    seen: list[bool] = []

    async def work(claim: Claim) -> Settlement:
        seen.append(claim.crashed)
        return DONE

    async with running(other, work):
        await until(lambda: bool(seen))
    assert seen == [True]


async def test_a_settlement_that_cannot_be_written_is_tried_until_the_worker_stops(
    mortal_postgres: Any, make: Make
) -> None:
    """The hook has run; forgotten, it would run again, so that is the last to be given up."""
    store = make(mortal_postgres.fresh(), timeout=0.3)
    begun, go = asyncio.Event(), asyncio.Event()
    faults: list[Exception] = []
    store.on_fault = faults.append

    async def work(_: Claim) -> Settlement:
        begun.set()
        await go.wait()
        return DONE

    await store.put([item("a")])
    task = asyncio.create_task(store.run(work, 1))
    await begun.wait()
    await asyncio.to_thread(mortal_postgres.stop)
    try:
        go.set()
        await until(lambda: len(faults) >= 2)
        assert await store.stop(0.05) == 1
        await task
    finally:
        await asyncio.to_thread(mortal_postgres.start)


async def test_a_fault_that_lasts_ends_the_run(make: Make, postgres: Any) -> None:
    """A worker that can never work says so instead of trying for ever."""
    with pytest.raises(StoreError, match="create the database first"):
        await make(postgres.url("absent")).run(finishes, 1)


# Calls and what is old


async def test_plans_for_one_contact_wait_for_each_other(make: Make) -> None:
    """However many replicas plan at once, each sees the calls of those before."""
    stores = [make(), make()]
    known: list[int] = []

    def decide(calls: Any) -> Any:
        known.append(len(calls))
        return Exhausted("max_attempts")

    plans = [stores[number % 2].plan(redial(f"leg-{number}", f"leg-{number}"), decide) for number in range(6)]
    assert await asyncio.gather(*plans) == [Exhausted("max_attempts")] * 6
    assert known == [1, 2, 3, 4, 5, 6]


async def test_a_redial_is_planned_placed_and_counted_once(make: Make, postgres_url: str) -> None:
    """The call of a redial is the redial's row, whichever of the two is known first."""
    store = make()
    at = time.time()
    histories: list[list[CallRecord]] = []

    def decide(calls: Any) -> Any:
        histories.append(list(calls))
        return Planned(at, 2)

    assert await store.plan(redial("leg-1", "leg-1"), decide) == Planned(at, 2)
    assert await store.plan(redial("leg-1", "leg-1"), decide) is None
    assert await store.plan(redial("leg-9", None), decide) is None
    numbers: list[int] = []

    async def work(claim: Claim) -> Settlement:
        numbers.append(claim.item.number)
        # The end of the new call comes while its function still runs.
        await store.cancel("+15550101", "leg-2")
        return Settlement(State.DONE, leg="leg-2")

    async with running(store, work):
        await until(lambda: _is(store, done=1))
    assert numbers == [2]
    assert [[call.key for call in calls] for calls in histories] == [["leg:leg-1"]]
    rows = await query(postgres_url, 'SELECT key, contact, leg FROM ringback_calls ORDER BY key COLLATE "C"')
    assert rows == [
        ("leg:leg-1", CONTACT, "leg-1"),
        ("leg:redial:leg-9", CONTACT, None),
        ("redial:leg-1", CONTACT, "leg-2"),
    ]


async def test_the_end_of_a_redials_call_is_joined_to_it(make: Make, postgres_url: str) -> None:
    """A redial whose function said no leg is joined with the next call of the contact that ends."""
    store = make()
    await store.plan(redial("leg-1", "leg-1"), lambda _: Planned(time.time() - 1, 2))
    assert await store.cancel(CONTACT, "leg-2") == 1
    assert await store.plan(redial("leg-3", "leg-3"), lambda _: Planned(time.time() + 60, 2)) is not None
    assert (await store.stats()).redials == 1
    assert await store.cancel(CONTACT, "leg-3") == 1
    assert await store.cancel(CONTACT) == 0
    rows = await query(postgres_url, 'SELECT key, leg FROM ringback_calls ORDER BY key COLLATE "C"')
    assert rows == [("leg:leg-1", "leg-1"), ("leg:leg-3", "leg-3")]


async def test_what_is_old_is_forgotten_in_steps(make: Make, postgres_url: str) -> None:
    """First the payload, then the key; dead letters and calls later still."""
    now = [time.time()]
    store = make(clock=lambda: now[0], keep=100.0, remember=1000.0, remember_dead=5000.0)
    await store.plan(redial("leg-1", "leg-1"), lambda _: Exhausted("max_attempts"))
    await store.put([item("a"), item("b")])

    async def work(claim: Claim) -> Settlement:
        return DONE if claim.item.key == "call:a" else Settlement(State.DEAD, reason="no")

    async with running(store, work):
        await until(lambda: _is(store, done=1, dead=1))
    assert await store.purge() == 0
    changed = []
    for age in (200.0, 1200.0, 6000.0, 32 * 86_400.0):
        now[0] = time.time() + age
        changed.append(await store.purge())
    assert changed == [1, 1, 1, 1]
    for table in ("items", "calls"):
        assert await query(postgres_url, f"SELECT count(*) FROM ringback_{table}") == [(0,)]


# Faults in words


@pytest.mark.parametrize(
    ("error", "type_", "says"),
    [
        (psycopg.errors.DiskFull("no space"), StoreFull, "no room left: no space"),
        (psycopg.errors.UndefinedTable("gone"), StoreError, "refuses: gone; give the role its rights"),
        (psycopg.errors.ReadOnlySqlTransaction("standby"), StoreUnavailable, "cannot be used now: standby"),
        (psycopg.errors.NotNullViolation("null"), StoreError, "refuses: null"),
        (psycopg.OperationalError('database "x" does not exist'), StoreError, "create the database first"),
        (psycopg.OperationalError(), StoreUnavailable, "OperationalError"),
    ],
    ids=["full", "table", "standby", "row", "database", "silent"],
)
def test_a_fault_says_whether_it_may_pass(error: Any, type_: type[StoreError], says: str) -> None:
    """StoreUnavailable is tried again, StoreError is for a person."""
    found = store_error(error)
    assert type(found) is type_
    assert says in str(found)


def test_a_fault_without_a_cause_may_pass() -> None:
    """procrastinate's own error says nothing of what happened."""
    with pytest.raises(StoreUnavailable), translated():
        raise ConnectorException


def test_no_time_is_too_late_for_a_job() -> None:
    """A time beyond the calendar is its last day."""
    assert Jobs()._scheduled(1e30) == datetime(9999, 1, 1, tzinfo=UTC)


async def _is(store: PostgresStore, **counts: int) -> bool:
    stats = await store.stats()
    return {"done": stats.done, "dead": stats.dead} == {"done": 0, "dead": 0, **counts}


async def _puts(store: PostgresStore, each: Item) -> bool:
    try:
        return await store.put([each]) == [Offer.OPENED]
    except StoreUnavailable:
        return False


async def _counts(url: str, statement: str, expected: int) -> bool:
    return await query(url, statement) == [(expected,)]


async def _empty(url: str, table: str) -> bool:
    return await _counts(url, f"SELECT count(*) FROM {table}", 0)
