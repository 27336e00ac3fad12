"""One thread that owns an SQLite connection: what waits for it is done in one transaction, and one fsync."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sqlite3
import threading
from contextlib import suppress
from enum import Enum
from itertools import groupby
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct

from ringback.exceptions import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.stores.patience import Patience

A = TypeVar("A")
T = TypeVar("T")
Argument = TypeVar("Argument", contravariant=True)
Result = TypeVar("Result", covariant=True)

MOST = 512
"""Operations of one transaction."""


class Later(Enum):
    """Said of what could not be done at once."""

    LATER = "later"


class Shared(Protocol[Argument, Result]):
    """An operation that does for many what each of them asks for."""

    def __call__(self, connection: sqlite3.Connection, arguments: Sequence[Argument], /) -> Sequence[Result]:
        """What each gets, within a transaction."""
        ...

    def at_once(self, connection: sqlite3.Connection, arguments: Sequence[Argument], /) -> Sequence[Result | Later]:
        """The same in a single statement, which is a transaction by itself, for as many of them as it can be done."""
        ...


_process = os.getpid()


def _forked() -> None:
    global _process
    _process = os.getpid()


# Asked for each operation, the system would have to be called each time.
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_forked)


# Part of no cycle, and as many as the operations that wait: as with items, the garbage collector need not look.
class _Job(Struct, gc=False, eq=False):
    operation: Any
    argument: Any
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class _Line:
    """A thread and what waits for it. Each has a queue of its own: the end of one is not the end of the next."""

    def __init__(self, run: Callable[[_Line], None]) -> None:
        self.process = _process
        self.jobs: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self.opened: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.ready = False
        """Whether it was opened; asked for each operation, which the future is too slow for."""
        # Not a thread of a pool: it lives as long as the store. A process that ends does not wait for it.
        self.thread = threading.Thread(target=run, args=(self,), name="ringback-store", daemon=True)


class Writer:
    """Runs operations in order. ``connect`` is called in the thread; what it raises comes out of :meth:`open`.

    An operation is a function of the connection, within a transaction. It may be run a second
    time, if another one of the same transaction failed: it must do nothing but use the connection.
    May be used by several event loops. ``begin`` begins a transaction: ``BEGIN`` for a connection that only reads.
    ``rest`` is called after each, when those who waited for it have been told, for what nobody waits for.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        begin: str = "BEGIN IMMEDIATE",
        rest: Callable[[sqlite3.Connection], object] = lambda _: None,
    ) -> None:
        self._connect = connect
        self._begin = begin
        self._rest = rest
        self._line: _Line | None = None
        # By loop, what was asked for in its turn. It goes to the thread as one when the turn is over: the thread
        # would else begin with the first, and each of the others would wait for a transaction more.
        self._asked: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        # Held for as long as it takes to look and to act on it, never across a wait.
        self._guard = threading.Lock()

    async def open(self) -> None:
        """Start the thread and connect. Raises what ``connect`` raises; then the next call tries again."""
        with self._guard:
            line = self._ours() or self._start()
        if line.opened.done():
            line.opened.result()
        else:
            # Others may wait for it: it goes on if we are cancelled.
            await asyncio.shield(asyncio.wrap_future(line.opened))

    @property
    def is_open(self) -> bool:
        line = self._ours()
        return line is not None and line.ready

    async def do(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """The operation's result, once it is committed."""
        result: T = await self._queued(_alone, operation)
        return result

    def together(self, operation: Shared[A, T], argument: A, patience: Patience) -> asyncio.Future[T]:
        """What the operation returns for this argument, once it is committed; raises :class:`TimeoutError` when
        the ``patience`` ends. It is given the arguments of all who ask for it one after the other, at once.
        """
        future: asyncio.Future[T] = self._queued(operation, argument)
        patience.limit(future)
        return future

    def _queued(self, operation: object, argument: object) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        job = _Job(operation, argument, loop, future)
        asked = self._asked.get(loop)
        if asked is None:
            self._asked[loop] = [job]
            loop.call_soon(self._hand_in, loop)
        else:
            asked.append(job)
        return future

    def _hand_in(self, loop: asyncio.AbstractEventLoop) -> None:
        asked = self._asked.pop(loop, None)
        if asked is None:
            # Closed meanwhile, which has handed it in.
            return
        with self._guard:
            line = self._ours()
            if line is not None:
                line.jobs.put(asked)
                return
        for job in asked:
            job.error = StoreUnavailable("the store is closed")
        _hand_over(asked)

    async def close(self) -> None:
        """Finish what waits, close the connection, end the thread."""
        self._hand_in(asyncio.get_running_loop())
        with self._guard:
            line, self._line = self._ours(), None
            if line is None:
                return
            line.jobs.put(None)
        await asyncio.to_thread(line.thread.join)

    def _ours(self) -> _Line | None:
        """The line, unless it was left behind in the process that forked this one."""
        line = self._line
        return line if line is not None and line.process == _process else None

    def _start(self) -> _Line:
        line = self._line = _Line(self._run)
        line.thread.start()
        return line

    def _run(self, line: _Line) -> None:
        try:
            connection = self._connect()
        except BaseException as error:
            self._refuse(line, error)
            return
        line.ready = True
        line.opened.set_result(None)
        try:
            _work(connection, line.jobs, self._begin, self._rest)
        finally:
            with suppress(sqlite3.Error):
                connection.close()

    def _refuse(self, line: _Line, error: BaseException) -> None:
        with self._guard:
            if self._line is line:
                self._line = None
        line.opened.set_exception(error)
        with suppress(Empty):
            while (jobs := line.jobs.get_nowait()) is not None:
                for job in jobs:
                    job.error = error
                _resolve(jobs)


def _work(
    connection: sqlite3.Connection,
    jobs: SimpleQueue[list[_Job] | None],
    begin: str,
    rest: Callable[[sqlite3.Connection], object],
) -> None:
    """Until there are no jobs but ``None``."""
    came = jobs.get()
    while came is not None:
        waiting = came
        # Whoever came while the last transaction was written shares the next one.
        while len(waiting) < MOST and not jobs.empty():
            came = jobs.get()
            if came is None:
                break
            waiting += came
        for start in range(0, len(waiting), MOST):
            batch = waiting[start : start + MOST]
            _commit(connection, batch, begin)
            _resolve(batch)
            with suppress(sqlite3.Error):
                rest(connection)
        if came is not None:
            came = jobs.get()


def _commit(connection: sqlite3.Connection, batch: list[_Job], begin: str) -> None:
    try:
        batch = _left(connection, batch)
        if not batch:
            return
        connection.execute(begin)
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
            # A lock, a full disk, a fault of the disk: it is the same for all.
            for job in batch:
                job.error = error
        else:
            for job in batch:
                _commit(connection, [job], begin)


def _left(connection: sqlite3.Connection, batch: list[_Job]) -> list[_Job]:
    """Those for whom a transaction has to be begun. Mostly all ask for one and the same, and it is done at once."""
    operation = batch[0].operation
    if operation is _alone or any(job.operation is not operation for job in batch):
        return batch
    results = operation.at_once(connection, [job.argument for job in batch])
    left: list[_Job] = []
    for job, result in zip(batch, results, strict=True):
        if result is Later.LATER:
            left.append(job)
        else:
            job.result = result
    return left


def _alone(connection: sqlite3.Connection, operations: Sequence[Callable[[sqlite3.Connection], T]]) -> Sequence[T]:
    return [operation(connection) for operation in operations]


def _resolve(batch: Iterable[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        # The loop may have been closed meanwhile: then nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_hand_over, jobs)


def _hand_over(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            # Whoever asked has gone; what was done stays done.
            continue
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)
