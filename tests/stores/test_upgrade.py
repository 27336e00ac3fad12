"""Stores of schema version 1 are brought to the newest: nothing is lost, and what was not counted stays so."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import asdict

from crew import known
from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import classify_event
from ringback.exceptions import StoreError, StoreUnavailable
from ringback.stores.rows import stored_row
from ringback.stores.sqlite import SQLiteStore, schema
from ringback.work.contact_call import CallRecord, CallState
from ringback.work.items import Claim, Item, Kind, Settlement, State
from ringback.work.latch import Offer

if TYPE_CHECKING:
    from ringback.work.delivery_store import DeliveryStore

SQLITE_1 = """
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    leased_until REAL,
    interrupted INTEGER NOT NULL DEFAULT 0,
    ends_call INTEGER NOT NULL,
    event TEXT NOT NULL,
    call TEXT,
    contact TEXT,
    target TEXT,
    number INTEGER NOT NULL DEFAULT 1,
    rank INTEGER NOT NULL,
    payload BLOB,
    sibling BLOB,
    progress BLOB,
    reason TEXT,
    duplicates INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    finished_at REAL
);
CREATE INDEX items_due ON items (due_at) WHERE state = 'ready';
CREATE INDEX items_leased ON items (leased_until) WHERE state = 'running';
CREATE INDEX items_finished ON items (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX items_call ON items (call) WHERE call IS NOT NULL;
CREATE INDEX items_contact ON items (contact) WHERE contact IS NOT NULL;
CREATE TABLE calls (
    key TEXT PRIMARY KEY,
    contact TEXT NOT NULL,
    at REAL NOT NULL,
    leg TEXT
) WITHOUT ROWID;
CREATE INDEX calls_contact ON calls (contact, at);
CREATE INDEX calls_leg ON calls (leg) WHERE leg IS NOT NULL;
PRAGMA application_id = 0x5242434B;
PRAGMA user_version = 1;
"""
POSTGRES_1 = b"""
CREATE TABLE ringback_meta (
    name text PRIMARY KEY,
    value text NOT NULL
);
CREATE TABLE ringback_items (
    key text PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL,
    due_at double precision NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    owner text,
    worker bigint,
    interrupted smallint NOT NULL DEFAULT 0,
    ends_call boolean NOT NULL,
    event text NOT NULL,
    call text,
    contact text,
    target text,
    number integer NOT NULL DEFAULT 1,
    rank smallint NOT NULL,
    payload bytea,
    sibling bytea,
    progress bytea,
    reason text,
    duplicates integer NOT NULL DEFAULT 0,
    created_at double precision NOT NULL,
    finished_at double precision
);
CREATE INDEX ringback_items_due ON ringback_items (due_at) WHERE state = 'ready';
CREATE INDEX ringback_items_running ON ringback_items (worker) WHERE state = 'running';
CREATE INDEX ringback_items_finished ON ringback_items (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ringback_items_call ON ringback_items (call) WHERE call IS NOT NULL AND ends_call;
CREATE INDEX ringback_items_contact ON ringback_items (contact) WHERE kind = 'redial' AND state = 'ready';
CREATE TABLE ringback_calls (
    key text PRIMARY KEY,
    contact text NOT NULL,
    at double precision NOT NULL,
    leg text
);
CREATE INDEX ringback_calls_contact ON ringback_calls (contact, at);
CREATE INDEX ringback_calls_leg ON ringback_calls (leg) WHERE leg IS NOT NULL;
INSERT INTO ringback_meta (name, value) VALUES ('schema', '1');
"""
OLD = "key kind due_at ends_call event call contact target number rank payload sibling".split()
"""The columns that a process of the release before knows."""


def item(leg: str, name: str = "CallDisconnected", subcode: int = 560486) -> Item:
    data = EventData(call_connection_id=leg, correlation_id=f"c-{leg}", result_information=Result(486, subcode))
    outcome = classify_event(Event(type=f"Microsoft.Communication.{name}", id=f"{name}-{leg}", data=data))
    assert outcome is not None
    return Item(outcome.outcome_id, Kind.OUTCOME, 0.0, outcome)


def old_row(leg: str) -> dict[str, Any]:
    columns = asdict(stored_row(item(leg), None, 0.0))
    return {"state": "ready", "created_at": time.time(), **{name: columns[name] for name in OLD}}


def ended_row(leg: str, rank: int = 2) -> dict[str, Any]:
    """An end with a result whose hooks have returned, with the rank that 0.1.0 wrote: 3 for CreateCallFailed."""
    return old_row(leg) | {"state": "done", "rank": rank, "finished_at": time.time()}


CALLS = [("redial:call:y", "bob", 4e9, None), ("leg:x", "bob", 3e9, "x")]
"""What version 1 knew of a contact: key, contact, time, leg. The redial has an item that is ready."""
KNOWN = {
    CallRecord("redial:call:y", 4e9, state=CallState.PLANNED),
    CallRecord("leg:x", 3e9, "x"),
}


def old_redial() -> dict[str, Any]:
    return old_row("y") | {
        "key": "redial:call:y",
        "kind": "redial",
        "due_at": 4e9,
        "ends_call": False,
        "contact": "bob",
    }


async def finished(store: DeliveryStore, count: int) -> list[str]:
    """Keys of so many claims, once they are settled."""
    told, keys = asyncio.Semaphore(0), list[str]()

    async def work(claim: Claim) -> Settlement:
        keys.append(claim.item.key)
        told.release()
        return Settlement(State.DONE)

    task = asyncio.create_task(store.run(work, 4))
    async with asyncio.timeout(30):
        for _ in range(count):
            await told.acquire()
        await store.stop(10.0)
        await task
    return sorted(keys)


async def check(store: DeliveryStore) -> None:
    """Three rows were put without what a history counts: "a" and "b" before, "late" after the upgrade."""
    assert await store.history.latest(10) == []
    assert list(await store.put([item("a"), item("new")])) == [Offer.DUPLICATE, Offer.OPENED]
    # A better event of the same call brings its verdict with it.
    assert list(await store.put([item("b", "CreateCallFailed")])) == [Offer.MERGED]
    assert {each.key for each in await store.history.latest(10)} == {"call:b", "call:new"}
    assert await finished(store, 4) == ["call:a", "call:b", "call:late", "call:new"]
    assert {each.key for each in await store.history.latest(10)} == {"call:b", "call:new"}
    assert (await store.stats()).done == 4
    assert set((await known(store, "bob")).calls) == KNOWN


async def test_a_file_of_version_1_is_upgraded(tmp_path: Path) -> None:
    """Also while a process of the release before has it open, which goes on putting and reading as it knows."""
    path = tmp_path / "ringback.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.row_factory = sqlite3.Row
    old.execute("PRAGMA journal_mode = WAL")
    old.executescript(SQLITE_1)
    row = old_row("a")
    insert = f"INSERT INTO items ({', '.join(row)}) VALUES (:{', :'.join(row)})"
    everything = "SELECT * FROM items ORDER BY id"
    for leg in "ab":
        old.execute(insert, old_row(leg))
    old.execute(insert, old_redial())
    old.executemany("INSERT INTO calls (key, contact, at, leg) VALUES (?, ?, ?, ?)", CALLS)
    before = [dict(row) for row in old.execute(everything)]
    stores = [SQLiteStore(path, min_free=0, poll=0.05, timeout=10.0) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    old.execute(insert, old_row("late"))
    after = [dict(row) for row in old.execute(everything)]
    new = dict.fromkeys(
        ("cause", "category", "retry", "match", "acts", "code", "subcode", "told", "context", "verdict", "waits_since")
    )
    assert after[:3] == [{**row, **new} for row in before]
    assert old.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
    old.close()
    await check(stores[0])
    for store in stores:
        await store.close()


@pytest.mark.parametrize("told", [True, False])
async def test_a_whole_call_of_a_file_of_version_1_yields_to_its_leg(tmp_path: Path, told: bool) -> None:
    """It was put before the upgrade, the leg after it; the schema is the same whether a whole call came or not."""
    path = tmp_path / "ringback.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(SQLITE_1)
    row = old_row("a")
    if told:
        ended = classify_event(Event(type="CallEnded", id="e", data=EventData(correlation_id="c-b")))
        assert ended is not None
        columns = asdict(stored_row(Item(ended.outcome_id, Kind.OUTCOME, 0.0, ended), None, 0.0))
        row = {**row, **{name: columns[name] for name in OLD}}
    old.execute(f"INSERT INTO items ({', '.join(row)}) VALUES (:{', :'.join(row)})", row)
    store = SQLiteStore(path, min_free=0)
    assert list(await store.put([item("b")])) == [Offer.OPENED]
    await store.close()
    states = old.execute("SELECT key, state FROM items ORDER BY id").fetchall()
    assert states == [(row["key"], "canceled" if told else "ready"), ("call:b", "ready")]
    made = old.execute("SELECT name FROM sqlite_master WHERE name IN ('items_call', 'yields_to_leg')").fetchall()
    assert made == [("items_call",)]
    old.close()


async def test_an_end_that_0_1_0_has_done_is_not_done_again_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ringback.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(SQLITE_1)
    for row in (ended_row("a"), ended_row("b", 3), ended_row("silent", 0), ended_row("started", 1)):
        old.execute(f"INSERT INTO items ({', '.join(row)}) VALUES (:{', :'.join(row)})", row)
    old.close()
    store = SQLiteStore(path, min_free=0)
    assert list(await store.put([item("a"), item("b", "CreateCallFailed")])) == [Offer.DUPLICATE] * 2
    # 0.1.0 had no reason of these.
    assert list(await store.put([item("silent"), item("started")])) == [Offer.OPENED] * 2
    await store.close()


async def test_a_file_of_version_4_loses_what_a_put_made_in_it(tmp_path: Path) -> None:
    """The trigger goes, the index stays: the file has the schema of a new one."""
    path, new = tmp_path / "ringback.db", tmp_path / "new.db"
    old = sqlite3.connect(path, isolation_level=None)
    for statement in chain.from_iterable(schema.MIGRATIONS[:4]):
        old.execute(statement)
    old.execute("CREATE INDEX items_call ON items (call) WHERE call IS NOT NULL")
    old.execute("CREATE TRIGGER yields_to_leg AFTER INSERT ON items BEGIN UPDATE items SET state = 'canceled'; END")
    old.execute(f"PRAGMA application_id = {schema.APPLICATION}")
    old.execute("PRAGMA user_version = 4")
    store = SQLiteStore(path, min_free=0)
    assert list(await store.put([item("a"), item("b")])) == [Offer.OPENED] * 2
    assert (await store.stats()).ready == 2
    await store.close()
    await (fresh := SQLiteStore(new, min_free=0)).open()
    await fresh.close()
    names = "SELECT type, name FROM sqlite_master ORDER BY name"
    with closing(sqlite3.connect(new)) as made:
        assert old.execute(names).fetchall() == made.execute(names).fetchall()
    old.close()


def test_the_page_names_the_versions() -> None:
    """Whoever looks into a file finds there what docs/durability.md says."""
    pytest.importorskip("psycopg")
    from ringback.stores.postgres.schema import VERSION

    page = (Path(__file__).parents[2] / "docs" / "durability.md").read_text("utf-8")
    said = re.findall(r"`PRAGMA user_version`, now (\d+)\) or the table `ringback_meta` \(now (\d+)\)", page)
    assert said == [(str(schema.VERSION), str(VERSION))]


def newest() -> int:
    from ringback.stores.postgres.schema import VERSION

    return VERSION


async def made_1(url: str) -> Any:
    """A connection to a database of version 1, with two rows."""
    psycopg = pytest.importorskip("psycopg")
    from procrastinate.schema import SchemaManager

    old = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await old.execute(SchemaManager.get_schema().encode())
    await old.execute(POSTGRES_1)
    for leg in "ab":
        await put_1(old, old_row(leg))
    await put_1(old, old_redial())
    statement = "INSERT INTO ringback_calls (key, contact, at, leg) VALUES (%s, %s, %s, %s)"
    await old.cursor().executemany(statement, CALLS)
    return old


async def put_1(old: Any, row: dict[str, Any]) -> None:
    values = ", ".join(f"%({name})s" for name in row)
    await old.execute(f"INSERT INTO ringback_items ({', '.join(row)}) VALUES ({values})".encode(), row)


async def test_a_database_of_version_1_is_upgraded(postgres_url: str) -> None:
    """Once, by whoever comes first of several; old rows have no jobs here, which the repair makes up for."""
    old = await made_1(postgres_url)
    from ringback.stores.postgres import PostgresStore

    stores = [PostgresStore(postgres_url, poll=0.05, timeout=10.0, lease=0.6) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    await put_1(old, old_row("late"))
    assert await (await old.execute("SELECT value FROM ringback_meta")).fetchall() == [(str(newest()),)]
    await old.close()
    await check(stores[0])
    for store in stores:
        await store.close()


async def test_an_end_that_0_1_0_has_done_is_not_done_again_from_a_database(postgres_url: str) -> None:
    old = await made_1(postgres_url)
    await put_1(old, ended_row("done"))
    await old.close()
    from ringback.stores.postgres import PostgresStore

    store = PostgresStore(postgres_url, poll=0.05, timeout=10.0)
    assert list(await store.put([item("done")])) == [Offer.DUPLICATE]
    await store.close()


async def test_an_upgrade_that_cannot_be_had_changes_nothing(postgres_url: str) -> None:
    """It waits for the table for a moment only, since whoever comes next waits behind it; and is tried again."""
    old = await made_1(postgres_url)
    from ringback.stores.postgres import PostgresStore

    store = PostgresStore(postgres_url, poll=0.05, timeout=10.0)
    async with old.transaction():
        await old.execute("LOCK TABLE ringback_items IN ACCESS SHARE MODE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await store.open()
    assert await (await old.execute("SELECT value FROM ringback_meta")).fetchall() == [("1",)]
    await store.open()
    assert await (await old.execute("SELECT value FROM ringback_meta")).fetchall() == [(str(newest()),)]
    await old.execute("UPDATE ringback_meta SET value = '0'")
    with pytest.raises(StoreError, match=f"schema 0, this one knows {newest()}"):
        await PostgresStore(postgres_url).open()
    await old.close()
    await store.close()
