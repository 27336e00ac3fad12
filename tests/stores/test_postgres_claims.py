"""What a worker says of a claim in PostgreSQL, in a transaction of its own, and what others wait for meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from crew import CONTACT, dies, item, known, plan, redial, until, worked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from ringback.stores.postgres import claims, redials  # noqa: E402
from ringback.stores.postgres.store import PostgresStore  # noqa: E402
from ringback.work.contact import CallState  # noqa: E402
from ringback.work.items import Claim, Settlement, State  # noqa: E402
from ringback.work.latch import Offer  # noqa: E402
from ringback.work.letters import Act, LetterChange  # noqa: E402


@pytest.mark.parametrize(
    ("settlement", "counts"),
    [
        (Settlement(State.DEAD, call=CallState.UNKNOWN), False),
        (Settlement(State.DONE, call=CallState.PLACED, leg="leg-2"), True),
    ],
    ids=["failed", "placed"],
)
async def test_of_a_worker_that_has_lost_its_claim_only_a_return_counts(
    postgres_url: str, settlement: Settlement, counts: bool
) -> None:
    """A call that was placed is placed, whoever has the redial by then; what failed is the next worker's to try."""
    store, now = PostgresStore(postgres_url), time.time()
    await plan(store, "leg-1", now + 60)
    before = await known(store)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        claim = Claim(redial("leg-1"), 1)
        settled = await claims.settle(connection, claim, "a worker that is gone", settlement, now)
    after = await known(store)
    await store.close()
    assert redial("leg-1").contact == CONTACT
    assert (settled, after != before) == (counts, counts)


WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.mark.parametrize("what", ["put", "replay", "take back"])
async def test_whoever_waits_for_a_contact_holds_no_row_of_it(postgres_url: str, what: str) -> None:
    """A worker locks the contact, then the item. Who did that the other way round waited for it, and it for them."""
    store, change = PostgresStore(postgres_url, timeout=10.0), LetterChange(Act.REPLAY, time.time() + 600, "change-1")
    told = replace(item("leg-1"), contact=CONTACT, target="call_again")
    await store.put([told])
    await worked(store, 1, dies())
    if what == "take back":
        await store.change_letters([told.key], change)
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: store.put([told]),
        "replay": lambda: store.change_letters([told.key], change),
        "take back": lambda: store.take_back(change),
    }
    async with await psycopg.AsyncConnection.connect(postgres_url) as worker:
        await redials.lock(worker, [CONTACT])
        other = asyncio.ensure_future(ways[what]())

        async def waits() -> bool:
            return (await (await worker.execute(WAITS)).fetchone()) == (1,)

        await until(waits)
        found = await worker.execute("SELECT key FROM ringback_items FOR UPDATE NOWAIT")
        assert await found.fetchall() == [(told.key,)]
    assert await other == {"put": [Offer.DUPLICATE], "replay": [told.key], "take back": 1}[what]
    await store.close()
