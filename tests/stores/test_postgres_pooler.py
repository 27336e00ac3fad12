"""The store in PostgreSQL through PgBouncer in transaction pooling, through which test_port.py runs as well."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from crew import DONE, Crew, item, until  # noqa: E402
from ringback.exceptions import StoreError, StoreUnavailable  # noqa: E402
from ringback.stores.postgres.store import PostgresStore  # noqa: E402
from ringback.work.items import Claim, Settlement, Stats  # noqa: E402
from ringback.work.latch import Offer  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pooler import Pooler

Make = Callable[..., PostgresStore]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    stores: list[PostgresStore] = []

    def made(url: str, **settings: Any) -> PostgresStore:
        stores.append(PostgresStore(url, **{"lease": 0.9, "poll": 0.05, "timeout": 10.0, **settings}))
        return stores[-1]

    yield made
    for store in stores:
        await store.close()


SESSION = """
    SELECT current_setting('statement_timeout'), (SELECT count(*) FROM pg_prepared_statements),
        (SELECT count(*) FROM pg_listening_channels()),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
"""


@pytest.mark.parametrize("settings", [{}, {"listen": False}], ids=["found", "said"])
async def test_two_workers_share_a_few_connections(
    pooler: Pooler, postgres_url: str, make: Make, settings: dict[str, Any]
) -> None:
    """Each item is worked on once, without a fault, and nothing stays in a connection: the next may be another's."""
    url = pooler.url(postgres_url)
    faults: list[Exception] = []
    stores = [make(url, **settings) for _ in range(2)]
    for store in stores:
        store.on_fault = faults.append
    async with Crew(stores[0]) as one, Crew(stores[1]) as other:
        for number in range(20):
            puts = [store.put([item(f"leg-{number}-{index}")]) for index, store in enumerate(stores)]
            assert [list(each) for each in await asyncio.gather(*puts)] == [[Offer.OPENED]] * 2
        await until(lambda: _done(stores[0], 40))
        keys = [claim.item.key for claim in one.claims + other.claims]
        assert (len(keys), len(set(keys)), faults) == (40, 40, [])
        # Three at a time, so each of the connections that the pooler has.
        async with AsyncExitStack() as stack:
            connecting = [psycopg.AsyncConnection.connect(url, prepare_threshold=None) for _ in range(3)]
            connections = [await stack.enter_async_context(await each) for each in connecting]
            found = [await (await each.execute(SESSION)).fetchone() for each in connections]
        assert found == [("0", 0, 0, 0)] * 3


async def test_without_a_pooler_statements_are_prepared(postgres_url: str, make: Make) -> None:
    """They are for a connection that stays: there the limit of a statement belongs to the connection as well."""
    store = make(postgres_url, timeout=2.0)
    await store.open()

    async def look(connection: Any) -> tuple[Any, ...]:
        (limit,) = await (await connection.execute("SELECT current_setting('statement_timeout')")).fetchone()
        return limit, connection.pooled, connection.prepare_threshold

    assert await store._databases.do(look) == ("30s", False, 5)


@pytest.mark.parametrize(("default", "used"), [("off", "on"), ("remote_apply", "remote_apply")])
@pytest.mark.parametrize("pooled", [False, True])
async def test_a_commit_waits_for_the_disk_whatever_the_databases_default_is(
    pooler: Pooler, postgres_url: str, make: Make, default: str, used: str, pooled: bool
) -> None:
    """A server that crashes would lose what was acknowledged just before. Whoever waits for more waits for it still."""
    name = postgres_url.rpartition("/")[2]

    async def look(connection: Any) -> Any:
        return await (await connection.execute("SHOW synchronous_commit")).fetchone()

    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
        await admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = {default}".encode())
        try:
            store = make(pooler.url(postgres_url) if pooled else postgres_url)
            found = [await database.do(look) for database in await store._databases.open()]
        finally:
            await admin.execute(f"ALTER DATABASE {name} RESET synchronous_commit".encode())
    assert found == [(used,)] * 2


async def test_a_put_that_is_given_up_leaves_the_pooler_alone(pooler: Pooler, postgres_url: str, make: Make) -> None:
    """Some releases of PgBouncer end when a client cancels a statement; the statement's own limit ends it, too.
    Whichever limit comes first, its error says where to look.
    """
    store = make(pooler.url(postgres_url), timeout=0.5)
    await store.open()
    async with await psycopg.AsyncConnection.connect(postgres_url) as holder:
        await holder.execute("LOCK TABLE ringback_items")
        with pytest.raises(StoreUnavailable, match=r"(within 0\.5 seconds|it took too long); look for locks .*disk$"):
            await store.put([item("a")])
    await until(lambda: _puts(store, "a"))
    assert "cancel" not in pooler.log()


async def test_a_parameter_that_no_pooler_takes_is_told(pooler: Pooler, postgres_url: str, make: Make) -> None:
    """PgBouncer refuses what a session would keep."""
    store = make(f"{pooler.url(postgres_url)}?options=-c%20search_path%3Dpublic")
    with pytest.raises(StoreError, match=r"unsupported startup parameter: options; leave the parameter out of the URL"):
        await store.open()


async def test_a_pooler_that_dies_under_load_loses_nothing(
    mortal_pooler: Pooler,
    postgres_url: str,
    make: Make,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Meanwhile puts are StoreUnavailable; then all that was acknowledged is worked on, once."""
    store = make(mortal_pooler.url(postgres_url), timeout=0.5)
    faults: list[Exception] = []
    store.on_fault = faults.append
    acknowledged: list[str] = []
    refused: list[type[Exception]] = []

    async def work(_: Claim) -> Settlement:
        await asyncio.sleep(0.01)
        return DONE

    async def send(name: str) -> None:
        while True:
            try:
                offers = await store.put([item(name)])
            except StoreError as error:
                refused.append(type(error))
                await asyncio.sleep(0.05)
            else:
                assert offers[0] in Offer
                acknowledged.append(f"call:{name}")
                return

    async with Crew(store, work) as crew:
        await asyncio.gather(*(send(f"before-{number}") for number in range(20)))
        await asyncio.to_thread(mortal_pooler.stop)
        sending = asyncio.gather(*(send(f"meanwhile-{number}") for number in range(20)))
        await until(lambda: bool(refused and faults))
        await asyncio.to_thread(mortal_pooler.start)
        await sending
        await crew.have(40)
    assert sorted(claim.item.key for claim in crew.claims) == sorted(acknowledged)
    assert await store.stats() == Stats(done=40)
    assert {*refused, *(type(each) for each in faults)} == {StoreUnavailable}
    gc.collect()
    assert capfd.readouterr().err == ""
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def _done(store: PostgresStore, count: int) -> bool:
    return (await store.stats()).done == count


async def _puts(store: PostgresStore, leg: str) -> bool:
    try:
        return (await store.put([item(leg)]))[0] in Offer
    except StoreUnavailable:
        return False
