"""procrastinate's jobs: each says that an item is to be looked at, and when. What is to be done, its row says."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition, Job

from ringback.stores._postgres_faults import translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ringback.stores._postgres_database import Connection, Pool

QUEUE = "ringback"
TASK = "ringback.deliver"

_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_GONE = 3
"""Leases after which a silent worker's entry is removed; its work was taken over long before."""
_AT_ONCE = datetime.fromtimestamp(0, UTC)


class Jobs:
    """An app of procrastinate's that nobody else sees, with one task: to look at an item."""

    def __init__(self) -> None:
        self._app = App(connector=PsycopgConnector())
        self._ahead = 0.0

    async def open(self, pool: Pool, deliver: Callable[[str], Awaitable[None]]) -> None:
        """Make ready for :meth:`work`, which has items delivered by their keys."""
        # A new one each time: an app keeps the first pool it was given, also after that is closed.
        app = App(connector=PsycopgConnector())

        # What could not be looked at, or was stopped before it was, is looked at again soon.
        @app.task(name=TASK, queue=QUEUE, retry=RetryStrategy(wait=1))
        async def look(key: str) -> None:
            await deliver(key)

        await app.open_async(pool)
        self._app = app

    def set_clock(self, theirs: float, ours: float) -> None:
        """Jobs are due by PostgreSQL's clock, items by ours."""
        self._ahead = theirs - ours

    async def defer(self, connection: Connection, due: Iterable[tuple[str, float | None]]) -> None:
        """Jobs for items by key and time, ``None`` for at once, in the transaction of the connection."""
        jobs = [
            Job(
                queue=QUEUE,
                lock=None,
                queueing_lock=None,
                task_name=TASK,
                task_kwargs={"key": key},
                scheduled_at=None if at is None else self._scheduled(at),
            )
            for key, at in due
        ]
        if jobs:
            await self._app.job_manager.batch_defer_jobs_async(jobs, connection=connection)

    async def work(self, concurrency: int, *, poll: float, lease: float, listen: bool) -> None:
        """Run a worker of procrastinate until it is cancelled, or PostgreSQL goes away."""
        await self._app.run_worker_async(
            queues=[QUEUE],
            name="ringback",
            concurrency=concurrency,
            fetch_job_polling_interval=poll,
            update_heartbeat_interval=lease / 3,
            stalled_worker_timeout=lease * _GONE,
            # Jobs only watch: what they started goes on without them.
            shutdown_graceful_timeout=0,
            listen_notify=listen,
            delete_jobs=DeleteJobCondition.ALWAYS,
            install_signal_handlers=False,
        )

    async def enlist(self) -> int:
        """A new entry among procrastinate's workers."""
        with translated():
            return await self._app.job_manager.register_worker()

    async def beat(self, worker: int) -> None:
        with translated():
            await self._app.job_manager.update_heartbeat(worker)

    async def leave(self, worker: int) -> None:
        with translated():
            await self._app.job_manager.unregister_worker(worker)

    async def rescue(self, lease: float) -> None:
        """Put the jobs of workers without a heartbeat back into the queue, and forget workers long gone."""
        manager = self._app.job_manager
        with translated():
            for job in await manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=lease):
                # Somebody else may have been faster.
                with contextlib.suppress(ConnectorException):
                    await manager.retry_job(job, retry_at=_AT_ONCE)
            await manager.prune_stalled_workers(lease * _GONE)

    def _scheduled(self, at: float) -> datetime:
        return datetime.fromtimestamp(min(max(0.0, at + self._ahead), _LATEST), UTC)
