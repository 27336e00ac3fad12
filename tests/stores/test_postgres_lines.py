"""What the libraries under a PostgreSQL store write to the app's log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from crew import DONE, Crew, item
from ringback.stores.postgres.store import PostgresStore

if TYPE_CHECKING:
    from ringback.work.items import Claim, Settlement


async def finishes(_: Claim) -> Settlement:
    return DONE


async def test_a_key_with_a_number_in_it_is_in_no_line(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """procrastinate writes the arguments of each job, at INFO and at DEBUG, also as fields for a formatter of JSON."""
    caplog.set_level(logging.DEBUG)
    store = PostgresStore(postgres_url, poll=0.05)
    try:
        await store.put([item("4:+15550100100")])
        async with Crew(store, finishes) as crew:
            await crew.have(1)
    finally:
        await store.close()
    assert any(record.name == "procrastinate.worker.ringback" for record in caplog.records)
    assert [record.getMessage() for record in caplog.records if "15550100100" in str(vars(record))] == []


def test_another_worker_of_procrastinate_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    """The app may have jobs of its own, and their lines are the app's."""
    caplog.set_level(logging.INFO)
    logging.getLogger("procrastinate.worker").info("Job app.mail[1](to=5) ended with status: Success")
    assert caplog.messages == ["Job app.mail[1](to=5) ended with status: Success"]
