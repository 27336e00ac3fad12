"""What is special to the store in PostgreSQL; what all stores share is in test_port.py."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from procrastinate import App, PsycopgConnector  # noqa: E402

from crew import Held, until  # noqa: E402
from ringback.core.events import Event, EventData, Result  # noqa: E402
from ringback.core.outcome import classify_event  # noqa: E402
from ringback.exceptions import ConfigurationError, StoreError, StoreFull, StoreUnavailable  # noqa: E402
from ringback.stores.clocks import Jumps  # noqa: E402
from ringback.stores.postgres import rows  # noqa: E402
from ringback.stores.postgres import store as store_module  # noqa: E402
from ringback.stores.postgres import worker as worker_module  # noqa: E402
from ringback.stores.postgres.entry import Entry  # noqa: E402
from ringback.stores.postgres.jobs import Jobs  # noqa: E402
from ringback.stores.postgres.repair import beat_alone, repair  # noqa: E402
from ringback.stores.postgres.schema import VERSION, prepare  # noqa: E402
from ringback.stores.postgres.store import PostgresStore  # noqa: E402
from ringback.stores.postgres.worker import Worker  # noqa: E402
from ringback.work.items import (  # noqa: E402
    Claim,
    Item,
    Kind,
    Progress,
    Settlement,
    State,
    Stats,
)
from ringback.work.latch import Offer  # noqa: E402
from ringback.work.pace import UNPACED, Pace  # noqa: E402

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


async def finishes(_: Claim) -> Settlement:
    return DONE


async def soon(seconds: float) -> None:
    """A pause for the machine's sake alone."""
    await asyncio.sleep(min(seconds, 0.05))


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
        store = PostgresStore(url, **{"lease": 0.9, "poll": 0.1, **settings})
        stores.append(store)
        return store

    yield made
    for store in stores:
        await store.close()


# The lane of redials


async def test_a_claim_whose_answer_was_lost_is_claimed_again(make: Make) -> None:
    """By the same owner, whatever the pace says by now; of what a dead worker has left, one at a time."""
    from ringback.stores.postgres import claims, redials

    store, pace = make(), Pace(per_second=0.001)
    await store.put([item(f"leg-{number}", kind=Kind.REDIAL, contact=f"contact-{number}") for number in range(3)])

    async def claim(owner: str, *, again: bool = False, pace: Pace = UNPACED) -> list[tuple[str, bool]]:
        def operation(connection: Any) -> Awaitable[tuple[list[Claim], float | None]]:
            one = partial(claims.claim, connection, kind=Kind.REDIAL, owner=owner, worker=7, now=1.0)
            limit = 1 if pace is not UNPACED else 9
            return redials.claim(connection, pace, limit, owner, 7, 1.0, one, again=again)

        found, _ = await store._databases.do(operation)
        return [(claim.item.key, claim.crashed) for claim in found]

    first = await claim("one", pace=pace)
    assert len(first) == 1
    assert await claim("one", again=True, pace=pace) == first
    assert await claim("two", again=True, pace=pace) == []
    await store._databases.do(
        lambda connection: connection.execute("UPDATE ringback_items SET state = 'ready', interrupted = 2")
    )
    assert len(await claim("three")) == 1


# Opening


def test_unreadable_url_is_refused_without_its_password() -> None:
    """A URL holds a password, so no message repeats it."""
    with pytest.raises(ConfigurationError) as caught:
        PostgresStore("postgresql://me:hush%ZZ@127.0.0.1/x")
    assert "cannot be read" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_lease_that_no_worker_can_renew_in_time_is_refused() -> None:
    """Found when the store is made; what else is refused is in test_settings.py."""
    with pytest.raises(ConfigurationError, match=r"too short for poll 0\.5"):
        PostgresStore("postgresql://127.0.0.1/x", lease=1.0, poll=0.5)


async def test_stores_that_open_together_make_the_tables_once(make: Make, postgres_url: str) -> None:
    """Whoever comes first makes the schema, the others wait for it; opening again does nothing."""
    stores = [make() for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores * 2))
    assert stores[0].durable
    assert await query(postgres_url, "SELECT name, value FROM ringback_meta") == [("schema", str(VERSION))]
    assert [await store.stats() for store in stores] == [Stats()] * 6


async def test_a_database_whose_default_is_serializable_is_worked_on_as_any_other(
    make: Make, postgres_url: str
) -> None:
    """A transaction that has waited for a lock sees what its holder did. With the database's default it would not: the
    second process of a first start found no version of the schema, and puts failed that met at one call.
    """
    name = postgres_url.rpartition("/")[2]
    await query(postgres_url, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    first, second = make(), make()
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    try:
        async with await psycopg.AsyncConnection.connect(postgres_url) as holder, holder.transaction():
            await prepare(holder)
            opening = asyncio.create_task(first.open())
            await until(lambda: _found(postgres_url, waiting))
        await opening
        puts, others = await first._databases.open()
        for database in (puts, others):
            assert await database.do(_isolation) == [("read committed",)]
        async with await psycopg.AsyncConnection.connect(postgres_url) as holder:
            await holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('call:c', 1))")
            putting = asyncio.create_task(second.put([item("", "CallEnded", call="c")]))
            await until(lambda: _found(postgres_url, waiting))
            await rows.put(holder, rows.row_of(item("leg", call="c"), 0.0))
        assert await putting == [Offer.DUPLICATE]
    finally:
        await query(postgres_url, f"ALTER DATABASE {name} RESET default_transaction_isolation")


async def test_schema_of_a_newer_release_is_refused(make: Make, postgres_url: str) -> None:
    """A schema this release does not know is left alone."""
    await make().open()
    await query(postgres_url, f"UPDATE ringback_meta SET value = '{VERSION + 1}'")
    says = rf"made by a newer release .schema {VERSION + 1}, this one knows {VERSION}., .*restore the dump from before"
    with pytest.raises(StoreError, match=says):
        await make().open()
    await query(postgres_url, "DELETE FROM ringback_meta")
    with pytest.raises(StoreError, match="schema unknown"):
        await make().open()


async def test_a_state_that_nobody_knows_is_told(make: Make, postgres_url: str) -> None:
    """Counts that leave an item out would mislead."""
    store = make()
    await store.put([item("a")])
    await query(postgres_url, "UPDATE ringback_items SET state = 'odd'")
    with pytest.raises(StoreError, match="has the state 'odd', which is none of ready, running"):
        await store.stats()


async def test_a_database_that_cannot_hold_every_text_is_refused(make: Make, postgres: Any, postgres_url: str) -> None:
    """Where no locale was set, a new server has SQL_ASCII."""
    await query(postgres_url, "DROP DATABASE IF EXISTS ascii")
    made = "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    await query(postgres_url, made)
    with pytest.raises(StoreError, match=r"has the encoding SQL_ASCII, .*; create one with ENCODING 'UTF8' TEMPLATE"):
        await make(postgres.url("ascii")).open()


async def test_the_encoding_of_the_environment_does_no_harm(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a shell in which somebody has read an old database with psql."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    store = make()
    assert await store.put([item("日本")]) == [Offer.OPENED]
    async with running(store):
        await until(lambda: _is(store, done=1))


async def test_procrastinate_of_another_version_is_refused(make: Make, postgres_url: str) -> None:
    """Tables of an older procrastinate are migrated by its own command, not by us."""
    await make().open()
    await query(postgres_url, "DROP FUNCTION procrastinate_retry_job_v2")
    with pytest.raises(StoreError, match=r"procrastinate_retry_job_v2 not found.*schema --migrations-path"):
        await make().open()


async def test_lasting_refusals_are_errors(make: Make, postgres: Any) -> None:
    """What no waiting mends is no StoreUnavailable, and no message has the password."""
    for url in (postgres.url(password="guessed"), postgres.url(user="nobody"), postgres.url("absent")):
        with pytest.raises(StoreError) as caught:
            await make(url).open()
        assert type(caught.value) is StoreError
        assert "guessed" not in str(caught.value)


async def test_why_no_connection_can_be_made_is_said_while_the_store_is_open(
    make: Make, postgres: Any, postgres_url: str
) -> None:
    """The pool's own error says after how many seconds it gave up, and nothing else: whoever reads the line at night
    must learn whether the server, its name or the password is at fault.
    """
    await query(postgres_url, "DROP ROLE IF EXISTS guest")
    await query(postgres_url, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    await make().open()
    name = postgres_url.rpartition("/")[2]
    await query(postgres_url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO guest")
    await query(postgres_url, "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO guest")
    store = make(postgres.url(name, user="guest", password="guest"), timeout=1.0)
    assert (await store.stats()).ready == 0
    await query(postgres_url, "ALTER ROLE guest PASSWORD 'another'")
    await query(postgres_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'")
    said = r"^PostgreSQL (did not do it|gave no connection) within 1 seconds; PostgreSQL refuses: .*"
    with pytest.raises(StoreUnavailable, match=said + "; check the user, the password and pg_hba[.]conf$"):
        await store.put([item("a")])
    await query(postgres_url, "ALTER ROLE guest PASSWORD 'guest'")
    await until(lambda: _puts(store, item("b")))
    await query(postgres_url, "DROP OWNED BY guest")


async def test_role_without_rights_is_an_error_unless_the_tables_are_there(
    make: Make, postgres: Any, postgres_url: str
) -> None:
    """The right to create is needed once; whoever has the tables needs no more than to use them."""
    await query(postgres_url, "DROP ROLE IF EXISTS guest")
    await query(postgres_url, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = postgres_url.replace("ringback:of-the-tests", "guest:guest")
    with pytest.raises(StoreError, match=r"permission denied for schema public .*; give the role its rights"):
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


async def test_a_key_that_is_forgotten_while_it_is_put_is_new(make: Make, postgres_url: str) -> None:
    """A purge may come between the insert, which finds the key taken, and the look at the row that has it."""
    store = make()
    await store.open()
    await query(
        postgres_url,
        """
        CREATE SEQUENCE tries;
        CREATE FUNCTION taken_once() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF nextval('tries') = 1 THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER taken_once BEFORE INSERT ON ringback_items FOR EACH ROW EXECUTE FUNCTION taken_once();
        """,
    )
    assert await store.put([item("a")]) == [Offer.OPENED]
    assert (await store.stats()).ready == 1


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
    store = make(timeout=1.0, pool_size=2)
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


async def test_what_was_given_up_is_not_written_even_if_its_cancellation_is_lost(make: Make) -> None:
    """As by ``asyncio.wait_for`` before Python 3.12: the caller was told that nothing was written."""
    store = make()
    await store.put([item("before")])
    begun = asyncio.Event()

    async def operation(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        await connection.execute("UPDATE ringback_items SET key = 'changed'")
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    changes = asyncio.create_task(store._databases.do(operation))
    await begun.wait()
    changes.cancel()
    await asyncio.wait({changes})
    assert changes.cancelled()
    assert await store.put([item("before")]) == [Offer.DUPLICATE]


async def test_a_put_of_many_rows_may_take_longer_than_one_of_few(
    make: Make, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large delivery that is refused for its size would come again as large, and be refused again, for ever."""
    monkeypatch.setattr(store_module, "ROWS_A_TIMEOUT", 1)
    store = make(timeout=1.0)
    await store.open()
    nap = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.4); RETURN NEW; END $$"
    await query(postgres_url, f"CREATE FUNCTION nap() {nap}")
    await query(postgres_url, "CREATE TRIGGER nap BEFORE INSERT ON ringback_items FOR EACH ROW EXECUTE FUNCTION nap()")
    assert await store.put([item(f"leg-{number}") for number in range(4)]) == [Offer.OPENED] * 4


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

    assert await store._databases.do(operation) == "written"

    async def never(_: object) -> str:
        raise psycopg.errors.SerializationFailure

    with pytest.raises(StoreUnavailable):
        await store._databases.do(never)


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
    now = [time.time()]
    store = make(clock=lambda: now[0])
    await store.put([item("a", due_at=now[0])])
    now[0] -= 0.4
    async with running(store):
        # The clock stands until the first job has come too early.
        await until(lambda: _counts(postgres_url, "SELECT count(*) FROM procrastinate_jobs WHERE id > 1", 1))
        now[0] += 0.4
        await until(lambda: _is(store, done=1))
    assert await query(postgres_url, "SELECT attempts FROM ringback_items") == [(1,)]


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


async def test_what_has_returned_is_recorded_though_the_worker_stops_in_that_moment(
    make: Make, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is over while PostgreSQL still writes. Otherwise the next worker would call the hook again."""
    monkeypatch.setattr(worker_module, "GRACE", 30.0)
    store = make()
    await store.put([item("a")])
    work = Held()
    task = asyncio.create_task(store.run(work, 1))
    await work.begun.wait()
    worker = store._worker
    assert worker is not None
    async with await psycopg.AsyncConnection.connect(postgres_url) as holder:
        await holder.execute("SELECT FROM ringback_items FOR UPDATE")
        work.go.set()
        await until(lambda: _found(postgres_url, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        stopping = asyncio.create_task(store.stop(0.0))
        await until(lambda: any(each.cancelling() for each in worker._hooks))
    assert await stopping == 1
    await task
    assert await query(postgres_url, "SELECT state, attempts FROM ringback_items") == [("done", 1)]


async def test_running_work_may_finish_while_the_worker_stops(make: Make) -> None:
    """Stopping waits for what can end in time, and claims nothing more."""
    store = make()
    await store.put([item("a"), item("b")])
    work = Held()
    task = asyncio.create_task(store.run(work, 1))
    await work.begun.wait()
    worker = store._worker
    assert worker is not None
    stopping = asyncio.create_task(store.stop(5.0))
    await asyncio.sleep(0.1)
    late = asyncio.create_task(worker._deliver("call:b"))
    await asyncio.sleep(0)
    work.go.set()
    assert await stopping == 0
    await task
    with pytest.raises(StoreUnavailable, match="the worker stops"):
        await late
    stats = await store.stats()
    assert (stats.done, stats.ready) == (1, 1)


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
from ringback.work.items import Settlement, State
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


async def test_what_a_dead_worker_has_left_is_tried_one_at_a_time(make: Make, postgres_url: str) -> None:
    """Whichever of its items killed it, the next death is of that item's doing alone. What is new does not wait."""
    store, running_now, most = make(), list[str](), list[list[str]]()
    await store.put([item(name) for name in "abcd"])
    await query(postgres_url, "UPDATE ringback_items SET attempts = 1, interrupted = 2")
    await store.put([item("new")])

    async def work(claim: Claim) -> Settlement:
        running_now.append(claim.item.key)
        most.append([key for key in running_now if key != "call:new"])
        await asyncio.sleep(0.05)
        running_now.remove(claim.item.key)
        return DONE

    async with running(store, work):
        await until(lambda: _is(store, done=5))
    assert max(len(keys) for keys in most) == 1


async def test_a_job_that_finds_every_place_held_goes_to_another_worker(make: Make) -> None:
    """A function that hangs holds a place of its own worker alone."""
    one, other = make(), make()
    go, first = asyncio.Event(), list[str]()

    async def hangs(claim: Claim) -> Settlement:
        async def late() -> None:
            await go.wait()

        first.append(claim.item.key)
        return Settlement(State.DEAD, reason="too late", late=(late(),))

    task = asyncio.create_task(one.run(hangs, 1))
    await one.put([item("a")])
    await until(lambda: _is(one, dead=1))
    await one.put([item("b")])
    # The first worker has fetched the job by then, or the other one does.
    await asyncio.sleep(0.3)
    async with running(other):
        await until(lambda: _is(one, dead=1, done=1))
    assert first == ["call:a"]
    go.set()
    await one.stop(5.0)
    await task


async def test_a_live_process_renews_its_entry_without_its_loop(postgres_url: str, make: Make) -> None:
    """By a connection of its own; a database that is away is left to the next time."""
    store = make()
    await store.open()
    await query(
        postgres_url,
        "INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE VALUES (77, 'epoch')",
    )
    beat_alone(postgres_url, 77)
    found = await query(postgres_url, "SELECT last_heartbeat > now() - interval '1 minute' FROM procrastinate_workers")
    assert found == [(True,)]
    beat_alone("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=2", 77)


async def test_a_job_that_was_fetched_by_a_dead_worker_is_made_again(make: Make, postgres_url: str) -> None:
    """A process that dies between its job and its claim takes nothing with it, and leaves no job behind."""
    store = make()
    await store.put([item("a")])
    await query(
        postgres_url,
        "SELECT procrastinate_fetch_job_v2(NULL, (SELECT worker_id FROM procrastinate_register_worker_v1()))",
    )
    assert await query(postgres_url, "SELECT status::text FROM procrastinate_jobs") == [("doing",)]
    await query(postgres_url, "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    async with running(store):
        await until(lambda: _is(store, done=1))
        await until(lambda: _empty(postgres_url, "procrastinate_jobs"))
    assert await query(postgres_url, "SELECT attempts, interrupted FROM ringback_items") == [(1, 0)]


async def test_a_worker_of_somebody_elses_that_takes_a_job_loses_no_item(make: Make, postgres_url: str) -> None:
    """An app's own procrastinate in the same database fetches from every queue, and fails what it does not know."""
    store = make()
    await store.put([item("a")])
    app = App(connector=PsycopgConnector(conninfo=postgres_url))
    async with app.open_async():
        await app.run_worker_async(wait=False, listen_notify=False, install_signal_handlers=False)
    assert await query(postgres_url, "SELECT status::text FROM procrastinate_jobs") == [("failed",)]
    async with running(store):
        await until(lambda: _is(store, done=1))


async def test_a_job_for_later_is_no_job_for_what_is_due(make: Make, postgres_url: str) -> None:
    """Such a job may be left of a clock that was set back. The item gets another one."""
    store = make()
    await store.put([item("a")])
    await query(postgres_url, "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour'")
    async with running(store):
        await until(lambda: _is(store, done=1))


async def test_a_job_is_as_far_from_now_as_its_item(postgres_url: str, make: Make) -> None:
    """Whatever the clock was set to since somebody said when the item is due."""
    await make().open()
    jobs = Jobs(lambda: 0.0, time.monotonic)
    jobs.set_clock(time.time())
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await jobs.defer(connection, [("a", 7_300.0)], now=7_200.0)
    ((seconds,),) = await query(postgres_url, "SELECT extract(epoch FROM scheduled_at)::float8 FROM procrastinate_jobs")
    assert 0 < seconds - time.time() <= 100


async def test_a_live_worker_keeps_its_work(make: Make, postgres_url: str) -> None:
    """A hook longer than the lease runs once, also if the worker's entry was removed meanwhile."""
    store, other = make(), make()
    await store.put([item("a")])
    begun, go, runs = asyncio.Event(), asyncio.Event(), []

    async def work(claim: Claim) -> Settlement:
        runs.append(claim.attempt)
        begun.set()
        await go.wait()
        return DONE

    async with running(store, work):
        await begun.wait()
        await query(postgres_url, "DELETE FROM procrastinate_workers")
        entries = "SELECT count(*) FROM procrastinate_workers w JOIN ringback_items i ON i.worker = w.id"
        await until(lambda: _counts(postgres_url, entries, 1))
        # Sure to be longer than the machine takes to come here, and what another worker does in each third of a lease.
        assert await other._databases.do(lambda connection: repair(connection, 60.0, time.time())) == set()
        go.set()
        await until(lambda: _is(store, done=1))
    assert runs == [1]


async def test_after_an_outage_all_have_a_lease_to_say_that_they_live(make: Make, postgres_url: str) -> None:
    """While PostgreSQL was away nobody could: a worker that is back takes over nothing at once."""
    await make().put([item("a")])
    await query(postgres_url, "UPDATE ringback_items SET state = 'running', owner = 'its worker lives'")
    kept = asyncio.Event()

    async def pause(_: float) -> None:
        kept.set()
        await asyncio.Event().wait()

    async with running(make(lease=60.0, sleep=pause)):
        # The first round of the housekeeping.
        await kept.wait()
        assert await query(postgres_url, "SELECT state FROM ringback_items") == [("running",)]


async def test_a_claim_that_cannot_be_written_is_left_when_the_worker_stops(
    make: Make, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claiming is tried again while the worker runs; then the item is left to the next, however this clock is set."""
    await make().put([item("a")])
    monkeypatch.setattr("procrastinate.utils.utcnow", lambda: datetime.now(UTC) + timedelta(days=2))
    # PostgreSQL gives up what waits for a lock, long before the store does.
    store = make(f"{postgres_url}?options=-c%20lock_timeout%3D50", sleep=soon)
    faults: list[Exception] = []
    store.on_fault = faults.append
    async with await psycopg.AsyncConnection.connect(postgres_url) as holder:
        await holder.execute("LOCK TABLE ringback_items IN SHARE MODE")
        async with running(store):
            await until(lambda: len(faults) >= 2)
    assert {type(each) for each in faults} == {StoreUnavailable}
    assert await query(postgres_url, "SELECT state, attempts FROM ringback_items") == [("ready", 0)]
    due = "scheduled_at < clock_timestamp() + interval '1 minute'"
    assert await query(postgres_url, f"SELECT status::text, {due} FROM procrastinate_jobs") == [("todo", True)]


def entry_of(databases: Any, on_fault: Callable[[Exception], None]) -> Entry:
    return Entry(
        databases=databases, jobs=Jobs(), lease=1, purge=asyncio.Event().wait, clock=time.time, jumps=Jumps(time.time),
        sleep=soon, on_fault=on_fault, on_blocked=lambda _, __: None,
    )  # fmt: skip


async def test_a_claim_is_tried_again_until_the_worker_stops() -> None:
    """Whenever that happens: during a try, as here, or between two."""
    faults: list[Exception] = []
    stopping = asyncio.Event()

    async def pause(_: float) -> None:
        stopping.set()

    async def claims() -> Any:
        raise StoreUnavailable("locked")

    entry = replace(entry_of(None, faults.append), sleep=pause)
    worker = Worker(entry=entry, poll=1, listen=False, pace=UNPACED)
    with pytest.raises(StoreUnavailable, match="locked"):
        await worker._insist(claims, until=stopping)
    assert [str(each) for each in faults] == ["locked", "locked"]


async def test_what_is_written_late_waits_for_no_clock_that_was_set_back_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with every store, see ``test_claims.py``."""
    now, written = [10_000.0], list[float]()

    async def absent(*_: Any) -> Any: ...

    async def settle(_: Worker, __: Claim, ___: str, settlement: Settlement) -> None:
        if now[0] == 10_000.0:
            now[0] -= 3600
            raise StoreUnavailable("away")
        written.append(settlement.due_at - now[0])

    monkeypatch.setattr(Worker, "_settle", settle)
    entry = replace(entry_of(None, [].append), clock=lambda: now[0], sleep=absent)
    worker = Worker(entry=entry, poll=1, listen=False, pace=UNPACED)
    await worker._settle_outcome(Claim(item("a"), 1), "1.1", Settlement(State.READY, due_at=10_010.0))
    assert written == [10.0]


async def test_what_runs_in_a_process_does_not_begin_there_again(make: Make, postgres_url: str) -> None:
    """Others took the item over while the worker was cut off from the store; what it returns then counts."""
    store = make()
    await store.put([item("a")])
    attempts: list[int] = []

    async def work(claim: Claim) -> Settlement:
        attempts.append(claim.attempt)
        await query(postgres_url, "UPDATE ringback_items SET state = 'ready', owner = NULL, interrupted = 2")
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            await Jobs().defer_now(connection, [claim.item.key])
        # Both jobs, that of this attempt and the new one.
        await until(lambda: _counts(postgres_url, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'", 2))
        return DONE

    async with running(store, work):
        await until(lambda: _is(store, done=1))
        await until(lambda: _counts(postgres_url, "SELECT count(*) FROM procrastinate_jobs", 0))
    assert attempts == [1]


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


async def test_a_server_that_is_restarted_under_load(
    mortal_postgres: Any, make: Make, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Meanwhile puts are StoreUnavailable; then everything that was acknowledged is worked on; no raw text says so."""
    store = make(mortal_postgres.fresh(), timeout=1.0)
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
        await until(lambda: len(asyncio.all_tasks()) <= before[0] + 8)
        assert threading.active_count() <= before[1] + 1
        await asyncio.to_thread(mortal_postgres.start)
        await until(lambda: _puts(store, item("after")))
        await until(lambda: _is(store, done=22))
    assert runs == dict.fromkeys([*runs], 1)
    assert {type(each) for each in faults} == {StoreUnavailable}
    gc.collect()
    assert capfd.readouterr().err == ""
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


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
    url = mortal_postgres.fresh()
    # A busy machine takes long to connect; only the store whose server is gone is to give up soon.
    store, other = make(url, timeout=0.3), make(url)
    begun = asyncio.Event()

    async def hangs(_: Claim) -> Settlement:
        begun.set()
        await asyncio.Event().wait()
        return DONE

    await other.put([item("a")])
    task = asyncio.create_task(store.run(hangs, 1))
    await begun.wait()
    await asyncio.to_thread(mortal_postgres.stop)
    try:
        assert await store.stop(0.1) == 1
        await task
    finally:
        await asyncio.to_thread(mortal_postgres.start)
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
    url = mortal_postgres.fresh()
    # A busy machine takes long to connect; only the store whose server is gone is to give up soon.
    store = make(url, timeout=0.3)
    work = Held()
    faults: list[Exception] = []
    store.on_fault = faults.append

    await make(url).put([item("a")])
    task = asyncio.create_task(store.run(work, 1))
    await work.begun.wait()
    await asyncio.to_thread(mortal_postgres.stop)
    try:
        work.go.set()
        await until(lambda: len(faults) >= 2)
        assert await store.stop(0.05) == 1
        await task
    finally:
        await asyncio.to_thread(mortal_postgres.start)


async def test_a_fault_that_lasts_ends_the_run(make: Make, postgres: Any) -> None:
    """A worker that can never work says so instead of trying for ever."""
    with pytest.raises(StoreError, match="create the database first"):
        await make(postgres.url("absent")).run(finishes, 1)


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


async def _isolation(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return await (await connection.execute("SHOW transaction_isolation")).fetchall()


async def _found(url: str, statement: str) -> bool:
    return bool(await query(url, statement))


async def _empty(url: str, table: str) -> bool:
    return await _counts(url, f"SELECT count(*) FROM {table}", 0)
