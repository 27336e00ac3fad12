"""Which workers live, and the one repair of the items and jobs that dead workers have left behind.

Every process that runs a worker has an entry among procrastinate's workers, and renews the entry. An item that is
running names the entry of the worker that has claimed it; so does a job that was fetched. A worker that has not renewed
its entry for a lease counts as dead.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from ringback.stores.postgres.jobs import QUEUE
from ringback.work.items import Kind

if TYPE_CHECKING:
    from collections.abc import Collection

    from ringback.stores.postgres.database import Connection

BATCH = 1000
"""Items of one repair: a longer repair would make puts wait for the disk."""

_ENLIST = "SELECT worker_id, extract(epoch FROM clock_timestamp())::float8 FROM procrastinate_register_worker_v1()"
# Without the INSERT test_a_live_worker_keeps_its_work fails: a worker of procrastinate that starts after an outage
# removes every old entry, also those of live workers.
_BEAT = """
    INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%s)
    ON CONFLICT (id) DO UPDATE SET last_heartbeat = clock_timestamp()
    RETURNING id, extract(epoch FROM clock_timestamp())::float8
"""
_LEAVE = "DELETE FROM procrastinate_workers WHERE id = %s"

# One process repairs at a time, so that the next process sees the jobs that the last one made.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%(queue)s, 2))"
# By the newest entry, because PostgreSQL itself may have stood still since: then no entry was renewed.
_LIVES = """
    SELECT FROM procrastinate_workers AS worker
    WHERE worker.last_heartbeat > least(clock_timestamp(), (SELECT max(last_heartbeat) FROM procrastinate_workers))
            - make_interval(secs => %(lease)s)
        AND worker.id =
"""
# Without this test_a_job_that_was_fetched_by_a_dead_worker_is_made_again fails, and of the crash suite
# test_redials_are_placed_once_however_often_the_worker_dies: a worker was killed between job and claim.
_DROP_JOBS = f"""
    DELETE FROM procrastinate_jobs
    WHERE queue_name = %(queue)s AND status = 'doing' AND NOT EXISTS ({_LIVES} procrastinate_jobs.worker_id)
"""
# Without this test_work_of_a_killed_process_is_taken_over fails: a worker was killed between claim and settlement.
_TAKE_OVER = f"""
    UPDATE ringback_items SET state = 'ready', due_at = least(due_at, %(now)s), owner = NULL, worker = NULL,
        interrupted = 2
    WHERE key IN (
        SELECT key FROM ringback_items AS item
        WHERE state = 'running' AND NOT EXISTS ({_LIVES} item.worker)
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    RETURNING key, kind
"""
# Without this test_a_worker_of_somebody_elses_that_takes_a_job_loses_no_item fails. The query also finds the items
# whose jobs `_DROP_JOBS` deleted. A job for later is none: test_a_job_for_later_is_no_job_for_what_is_due.
_WITHOUT_JOB = """
    SELECT key FROM ringback_items AS item
    WHERE kind = 'outcome' AND state = 'ready' AND due_at < %(now)s - %(lease)s AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS job
        WHERE job.queue_name = %(queue)s AND job.status IN ('todo', 'doing') AND job.args ->> 'key' = item.key
            AND coalesce(job.scheduled_at <= clock_timestamp() + make_interval(secs => %(lease)s), true)
    )
    ORDER BY due_at LIMIT %(limit)s
"""


async def beat(connection: Connection, worker: int | None) -> tuple[int, float]:
    """Renew the worker's entry, or make one. Gives the entry's id and PostgreSQL's time in seconds since the epoch."""
    cursor = await (connection.execute(_ENLIST) if worker is None else connection.execute(_BEAT, (worker,)))
    row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1]


def beat_alone(conninfo: str, worker: int) -> None:
    """Renew the worker's entry by a connection of its own, for a thread. A fault is left to the next time."""
    with suppress(psycopg.Error), psycopg.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
        connection.execute(_BEAT, (worker,))


async def leave(connection: Connection, worker: int) -> None:
    """Delete the worker's entry, so that others take over its work without waiting for the end of the lease."""
    await connection.execute(_LEAVE, (worker,))


async def repair(connection: Connection, lease: float, now: float) -> Collection[str]:
    """Take jobs and items from dead workers. Gives the keys of the items for which the caller must make a job.

    An item has no job if the worker that fetched the job died, or was another app's: a worker of procrastinate fetches
    from every queue unless its settings name queues. ``lease`` is in seconds, ``now`` in seconds since the epoch.
    """
    parameters = {"queue": QUEUE, "lease": lease, "now": now, "limit": BATCH}
    await connection.execute(_LOCK, parameters)
    await connection.execute(_DROP_JOBS, parameters)
    taken = await (await connection.execute(_TAKE_OVER, parameters)).fetchall()
    waiting = await (await connection.execute(_WITHOUT_JOB, parameters)).fetchall()
    # Workers claim redials without jobs.
    return {key for key, kind in taken if kind == Kind.OUTCOME} | {key for (key,) in waiting}
