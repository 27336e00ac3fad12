"""One thread that owns an SQLite connection, and does all operations that wait in one transaction, with one fsync."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import os
import sqlite3
import threading
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from ringback.exceptions import StoreUnavailable
from ringback.forks import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.stores.sqlite.identity import Loss

A = TypeVar("A")
T = TypeVar("T")

MOST = 512
"""Operations of one transaction."""


# There are as many jobs as operations that wait, and no job is part of a cycle: the collector need not look at jobs.
class _Job(Struct, gc=False, eq=False):
    operation: Any
    argument: Any
    loop: asyncio.AbstractEventLoop | None
    future: asyncio.Future[Any] | None
    limited: bool
    result: Any = None
    error: BaseException | None = None
    timer: asyncio.TimerHandle | None = None


class _Line:
    """A thread with its queue of jobs. A new thread gets a new queue, so what ends one thread cannot end the next."""

    def __init__(self, run: Callable[[_Line], None]) -> None:
        self.process = os.getpid()
        self.jobs: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self.opened: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.closed: concurrent.futures.Future[None] = concurrent.futures.Future()
        # Not a thread of a pool: the thread lives as long as the store, and a process that ends does not wait for it.
        self.thread = threading.Thread(target=run, args=(self,), name="ringback-store", daemon=True)


class Writer:
    """Runs operations in order. The thread calls ``connect``; what that raises comes out of :meth:`open`. When it is
    done with a connection, the thread calls ``disconnect``, whose faults of SQLite nobody hears.

    An operation is a function of the connection, within a transaction. The writer may run an operation a second
    time, if another one of the same transaction failed: an operation must do nothing but use the connection.
    Several event loops may use one writer. ``begin`` begins a transaction: ``BEGIN`` for a connection that only
    reads. The thread calls ``look`` after each transaction; after a loss the callers of :meth:`together` get
    :class:`StoreUnavailable`, and the next operation connects anew if that helps. The thread calls ``rest`` once the
    callers have their results. ``limit`` is how many seconds a caller of :meth:`together` waits.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        disconnect: Callable[[sqlite3.Connection], object] = sqlite3.Connection.close,
        begin: str = "BEGIN IMMEDIATE",
        look: Callable[[sqlite3.Connection], Loss | None] = lambda _: None,
        rest: Callable[[sqlite3.Connection], object] = lambda _: None,
        limit: float = math.inf,
    ) -> None:
        self._connect = connect
        self._disconnect = disconnect
        self._begin = begin
        self._look = look
        self._rest = rest
        self._limit = limit
        self._line: _Line | None = None
        # The jobs that each event loop asked for in its turn. They go to the thread together when the turn is over:
        # otherwise the thread would commit the first job alone, and the other jobs would wait for that transaction.
        self._turns: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        # Guards `_line`, and is never held across a wait.
        self._guard = lock()

    async def open(self) -> None:
        """Start the thread and connect. Raises what ``connect`` raises; the next call then starts another thread."""
        with self._guard:
            line = self._started()
        if line.opened.done():
            line.opened.result()
        else:
            # Shielded, because other callers may wait for the same connection.
            await asyncio.shield(asyncio.wrap_future(line.opened))

    async def do(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """The operation's result, once committed. Raises :class:`StoreUnavailable` if the writer is not open."""
        return await self._submit(_one_by_one, operation, limited=False)

    def together(
        self, operation: Callable[[sqlite3.Connection, Sequence[A]], Sequence[T]], argument: A
    ) -> asyncio.Future[T]:
        """What ``operation`` returns for this argument, once it is committed. Connects if the writer is not open.

        The thread calls ``operation`` once with the arguments of all callers that ask for it one after the other. The
        future raises what ``connect`` raises, and :class:`TimeoutError` after the limit, from which on the thread may
        still do the operation.
        """
        return self._submit(operation, argument, limited=True)

    def _submit(
        self, operation: Callable[[sqlite3.Connection, Sequence[A]], Sequence[T]], argument: A, *, limited: bool
    ) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = _Job(operation, argument, loop, future, limited)
        turn = self._turns.get(loop)
        if turn is None:
            self._turns[loop] = [job]
            loop.call_soon(self._hand_in, loop)
        else:
            turn.append(job)
        return future

    def _hand_in(self, loop: asyncio.AbstractEventLoop) -> None:
        turn = self._turns.pop(loop, None)
        if turn is None:
            # `close` has handed the jobs in.
            return
        limited = [job for job in turn if job.limited]
        with self._guard:
            # One hold of the guard for both steps: a thread that cannot connect refuses the jobs of its line, and would
            # not see a job that comes later.
            line = self._started() if limited else self._ours()
            if line is not None:
                if limited:
                    # One timer for all, which ends with the last result: a timer for every job takes a fifth of the
                    # CPU of a put.
                    futures = [job.future for job in limited if job.future is not None]
                    limited[-1].timer = loop.call_later(self._limit, _give_up, futures)
                line.jobs.put(turn)
                return
        for job in turn:
            job.error = StoreUnavailable("the store is closed")
        _hand_over(turn)

    def post(self, operation: Callable[[sqlite3.Connection], object]) -> None:
        """Have the operation done, if the writer is open. Any thread may call this, and nobody learns the result."""
        with self._guard:
            line = self._ours()
            if line is not None:
                line.jobs.put([_Job(_one_by_one, operation, None, None, limited=False)])

    async def close(self) -> None:
        """Finish the operations that wait, close the connection, end the thread."""
        self._hand_in(asyncio.get_running_loop())
        if (line := self.end()) is not None:
            # No thread waits for the end, because the threads of the app may all be taken.
            await asyncio.shield(asyncio.wrap_future(line.closed))

    def end(self) -> _Line | None:
        """Tell the thread to finish what it has, and to close the connection. Any thread may call this."""
        with self._guard:
            line, self._line = self._ours(), None
            if line is not None:
                line.jobs.put(None)
        return line

    def _ours(self) -> _Line | None:
        """The line, unless it is that of the process that forked this process, which has no such thread."""
        return self._line if self._line is not None and self._line.process == os.getpid() else None

    def _started(self) -> _Line:
        """The line, with a new thread if there is none. The caller holds the guard."""
        line = self._ours()
        if line is None:
            line = self._line = _Line(self._run)
            line.thread.start()
        return line

    def _run(self, line: _Line) -> None:
        ended = False
        try:
            while not ended:
                try:
                    connection = self._connect()
                except BaseException as error:
                    self._refuse(line, error)
                    return
                if not line.opened.done():
                    line.opened.set_result(None)
                try:
                    ended = self._work(connection, line.jobs)
                finally:
                    with suppress(sqlite3.Error):
                        self._disconnect(connection)
        finally:
            line.closed.set_result(None)

    def _refuse(self, line: _Line, error: BaseException) -> None:
        with self._guard:
            if self._line is line:
                self._line = None
        # A line that was open before has told so, and waits for no more.
        with suppress(concurrent.futures.InvalidStateError):
            line.opened.set_exception(error)
        with suppress(Empty):
            while (jobs := line.jobs.get_nowait()) is not None:
                _refuse_all(jobs, error)

    def _work(self, connection: sqlite3.Connection, jobs: SimpleQueue[list[_Job] | None]) -> bool:
        """Do jobs until the queue gives ``None``. False after a loss for which a new connection helps."""
        turn = jobs.get()
        while turn is not None:
            waiting = turn
            # All jobs that came during the last transaction share the next one.
            while len(waiting) < MOST and not jobs.empty() and (turn := jobs.get()) is not None:
                waiting += turn
            for start in range(0, len(waiting), MOST):
                batch = waiting[start : start + MOST]
                self._commit(connection, batch)
                # The look comes before the callers hear: what the file has then, the next start reads.
                lost = self._look(connection)
                if lost is not None:
                    for job in batch:
                        if job.limited and job.error is None:
                            job.error = StoreUnavailable(lost.text)
                _resolve(batch)
                if lost is not None and lost.reopens:
                    _refuse_all(waiting[start + MOST :], StoreUnavailable(lost.text))
                    return turn is None
                with suppress(sqlite3.Error):
                    self._rest(connection)
            if turn is not None:
                turn = jobs.get()
        return True

    def _commit(self, connection: sqlite3.Connection, batch: list[_Job]) -> None:
        try:
            connection.execute(self._begin)
            for operation, grouped in groupby(batch, attrgetter("operation")):
                jobs = list(grouped)
                results = operation(connection, [job.argument for job in jobs])
                for job, result in zip(jobs, results, strict=True):
                    job.result = result
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            if len(batch) == 1 or isinstance(error, sqlite3.OperationalError):
                # A lock, a full disk or a fault of the disk fails every job in the same way.
                for job in batch:
                    job.error = error
            else:
                for job in batch:
                    self._commit(connection, [job])


def _one_by_one(connection: sqlite3.Connection, operations: Sequence[Callable[[sqlite3.Connection], T]]) -> Sequence[T]:
    return [operation(connection) for operation in operations]


def _refuse_all(jobs: Iterable[_Job], error: BaseException) -> None:
    for job in jobs:
        job.error = error
    _resolve(jobs)


def _resolve(batch: Iterable[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        if job.loop is not None:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        # In a loop that is closed, which raises RuntimeError, nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_hand_over, jobs)


def _give_up(futures: Iterable[asyncio.Future[Any]]) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(TimeoutError())


def _hand_over(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.timer is not None:
            job.timer.cancel()
        if job.future is None or job.future.done():
            # The caller waits no longer; the operation stays done.
            continue
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)
