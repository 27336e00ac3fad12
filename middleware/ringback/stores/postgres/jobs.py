"""procrastinate's jobs: a job tells a worker to look at an item, and when. The item's row says what is to be done."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision
from procrastinate.jobs import DeleteJobCondition, Job

from ringback.stores.clocks import measure_of
from ringback.stores.postgres.database import Connection, Pool, read_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable


QUEUE = "ringback"
TASK = "ringback.deliver"

# What procrastinate and the pool say of a fault, Ringback's own line says in one. An app that configures logging still
# gets their lines; without a handler Python would write them to standard error as they are.
for _name in ("procrastinate", "psycopg.pool"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


def _not_about_our_jobs(record: logging.LogRecord) -> bool:
    return TASK not in str(vars(record))


# procrastinate's lines about a job have the key of the item in their text or their fields. A phone number may be in the
# key, and Ringback's own lines say what becomes of the item.
for _name in ("procrastinate.worker", f"procrastinate.worker.{QUEUE}"):
    logging.getLogger(_name).addFilter(_not_about_our_jobs)

_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


class Jobs:
    """Makes jobs for items, and runs procrastinate's worker, which fetches the jobs.

    Items are due by the ``clock``, jobs by PostgreSQL's. ``elapsed`` gives seconds that nobody sets.
    """

    def __init__(self, clock: Callable[[], float] = time.time, elapsed: Callable[[], float] | None = None) -> None:
        self._app = App(connector=PsycopgConnector())
        self._elapsed = elapsed or measure_of(clock)
        self._theirs_less_elapsed = clock() - self._elapsed()

    def set_clock(self, theirs: float) -> None:
        """Set PostgreSQL's clock, in seconds since the epoch, as it is now."""
        self._theirs_less_elapsed = theirs - self._elapsed()

    async def defer(self, connection: Connection, due: Iterable[tuple[str, float]], now: float) -> None:
        """Make jobs in the transaction of the connection. ``due`` has the items' keys and times.

        The times are of the clock as it showed ``now``, for somebody may have set the clock since.
        """
        await self._defer(connection, [_job(key, self._scheduled(at - now)) for key, at in due])

    async def defer_now(self, connection: Connection, keys: Iterable[str]) -> None:
        await self._defer(connection, [_job(key, None) for key in keys])

    async def _defer(self, connection: Connection, jobs: list[Job]) -> None:
        if jobs:
            await self._app.job_manager.batch_defer_jobs_async(jobs, connection=connection)

    async def work(
        self,
        pool: Pool,
        deliver: Callable[[str], Awaitable[None]],
        concurrency: int,
        *,
        poll: float,
        lease: float,
        listen: bool,
    ) -> None:
        """Run a worker of procrastinate until it is cancelled or fails. It calls ``deliver`` with the key of every job.

        ``poll`` and ``lease`` are in seconds; with ``listen`` PostgreSQL notifies the worker of new jobs.
        """
        # A new app for every run: an app keeps its first pool, also after the pool is closed.
        app = App(connector=PsycopgConnector())

        @app.task(name=TASK, queue=QUEUE, retry=_Again(lambda: self._scheduled(1.0)))
        async def look(key: str) -> None:
            # procrastinate runs a job in a task that nobody awaits. While PostgreSQL is away the task fails, because it
            # cannot write that the job is done; the repair deletes the job later.
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(read_error)
            await deliver(key)

        await app.open_async(pool)
        await app.run_worker_async(
            queues=[QUEUE],
            name=QUEUE,
            concurrency=concurrency,
            fetch_job_polling_interval=poll,
            update_heartbeat_interval=lease / 3,
            # Long after other workers have taken over the work of the entries that procrastinate removes.
            stalled_worker_timeout=lease * 3,
            # A job only waits for its hook, and the hook goes on without the job.
            shutdown_graceful_timeout=0,
            listen_notify=listen,
            delete_jobs=DeleteJobCondition.ALWAYS,
            install_signal_handlers=False,
        )

    def _scheduled(self, after: float) -> datetime:
        """The time of PostgreSQL's clock ``after`` seconds from now, however this machine's clock was set meanwhile."""
        theirs = self._theirs_less_elapsed + self._elapsed() + after
        return datetime.fromtimestamp(min(max(0.0, theirs), _LATEST), UTC)


def _job(key: str, at: datetime | None) -> Job:
    return Job(queue=QUEUE, lock=None, queueing_lock=None, task_name=TASK, task_kwargs={"key": key}, scheduled_at=at)


class _Again(BaseRetryStrategy):
    """After an error or a stop a job is due again in a second. procrastinate's own strategy goes by our clock."""

    def __init__(self, at: Callable[[], datetime]) -> None:
        self._at = at

    def get_retry_decision(self, **_: object) -> RetryDecision:
        return RetryDecision(retry_at=self._at())
