"""The statements of the PostgreSQL store, each in a transaction of its own."""

from __future__ import annotations

import time

import pytest

from crew import CONTACT, known, plan, redial

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from ringback.stores.postgres import rows  # noqa: E402
from ringback.stores.postgres.store import PostgresStore  # noqa: E402
from ringback.work.contact import CallState  # noqa: E402
from ringback.work.items import Settlement, State  # noqa: E402


async def test_a_worker_that_has_lost_its_claim_notes_no_call_of_the_contact(postgres_url: str) -> None:
    """The redial is somebody else's by then, and so is the call that it places."""
    store, now = PostgresStore(postgres_url), time.time()
    await plan(store, "leg-1", now + 60)
    before = await known(store)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        settlement = Settlement(State.DONE, call=CallState.PLACED, leg="leg-2")
        settled = await rows.settle(connection, redial("leg-1"), "a worker that is gone", settlement, now)
    after = await known(store)
    await store.close()
    assert settled is False
    assert redial("leg-1").contact == CONTACT
    assert after == before
