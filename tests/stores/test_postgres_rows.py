"""The statements of the PostgreSQL store, each in a transaction of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from crew import CONTACT, redial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringback.work.items import CallRecord
    from ringback.work.redial import Plan

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from ringback.stores.postgres import rows  # noqa: E402
from ringback.stores.postgres.store import PostgresStore  # noqa: E402
from ringback.work.items import Settlement, State  # noqa: E402
from ringback.work.redial import Planned  # noqa: E402


async def test_a_worker_that_has_lost_its_claim_adds_no_call_to_the_contact(postgres_url: str) -> None:
    """The redial is somebody else's by then, and so is the call that it places."""
    seen: list[list[str]] = []

    def decide(calls: Sequence[CallRecord]) -> Plan:
        seen.append([record.key for record in calls])
        return Planned(time.time() + 60, 2)

    store = PostgresStore(postgres_url)
    planned = redial("leg-1")
    await store.plan(planned, decide)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        settled = await rows.settle(
            connection, planned.item, "a worker that is gone", Settlement(State.DONE, leg="leg-2"), time.time()
        )
    await store.plan(redial("leg-3"), decide)
    await store.close()
    assert settled is False
    assert "leg:leg-2" not in seen[-1]
    assert planned.item.contact == CONTACT
