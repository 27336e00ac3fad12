"""What a worker says of a claim in PostgreSQL, in a transaction of its own."""

from __future__ import annotations

import time

import pytest

from crew import CONTACT, known, plan, redial

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from ringback.stores.postgres import claims  # noqa: E402
from ringback.stores.postgres.store import PostgresStore  # noqa: E402
from ringback.work.contact import CallState  # noqa: E402
from ringback.work.items import Claim, Settlement, State  # noqa: E402


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
