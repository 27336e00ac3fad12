"""The embedded store: one SQLite file, on the standard library alone.

Write-ahead log, ``synchronous=FULL``, one writer thread with group commit. Several processes of one
machine may share a file: work is leased, and a lease that its owner no longer renews is taken over.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
import time
import uuid
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from ringback.exceptions import ConfigurationError, StoreError, StoreFull, StoreUnavailable
from ringback.latch import Offer
from ringback.redial import Planned
from ringback.stores import _sqlite_rows as rows
from ringback.stores import _sqlite_schema as schema
from ringback.stores._sqlite_file import opened, opened_to_read, refuse_network, store_error
from ringback.stores._sqlite_history import SQLiteHistory
from ringback.stores.claims import ClaimLoop
from ringback.stores.patience import Patience
from ringback.stores.port import DAY, REMEMBER_CALLS, Claim, DeadLetter, Item, Progress, State, Stats
from ringback.stores.record import dump_progress, short
from ringback.stores.writer import Later, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.redial import Plan
    from ringback.stores.port import Decide, Redial, Settlement, Work
    from ringback.stores.record import Row

T = TypeVar("T")

CHECKPOINT = 600
"""Rows that are changed before the write-ahead log is put into the file."""


class SQLiteStore:
    """Items in the file ``path``, which is made if there is none; its folder must exist. Times in seconds.

    A worker that has not been heard of for ``lease`` is taken for dead. ``poll`` is how often
    work that other processes put is looked for; ``timeout`` how long a locked file is waited for.
    A put is refused with :class:`StoreFull` when ``max_backlog`` items wait or fewer than ``min_free`` bytes
    are free. What is done loses its payload after ``keep``, and its key after ``remember``; dead
    letters and calls to contacts stay for 31 days.
    """

    @property
    def durable(self) -> bool:
        return True

    def __init__(
        self,
        path: str | Path,
        *,
        lease: float = 30.0,
        poll: float = 0.5,
        timeout: float = 2.0,
        max_backlog: int = 100_000,
        min_free: int = 64 * 1024 * 1024,
        keep: float = DAY,
        remember: float = 7 * DAY,
        network: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        numbers = {"lease": lease, "poll": poll, "timeout": timeout, "max_backlog": max_backlog}
        for name, number in numbers.items():
            if not 0 < number < math.inf:
                raise ConfigurationError(f"store: {name} {number!r} is no positive number")
        if not lease > 3 * poll:
            raise ConfigurationError(
                f"store: lease {lease!r} is too short for poll {poll!r}; make it several times longer"
            )
        self.path = Path(path)
        self._lease = lease
        self._timeout = timeout
        self._max_backlog = max_backlog
        self._min_free = min_free
        self._keep = keep
        self._remember = remember
        self._network = network
        self._clock = clock
        self._monotonic = monotonic
        self._owner = ""
        self._held: dict[tuple[str, int], str] = {}
        self._writer = Writer(self._connect, rest=_LogKeeper())
        self._reader = Writer(self._connect_to_read, begin="BEGIN")
        self._patience = Patience(timeout * 2)
        self._puts = _Puts(self._refuses)
        self.history = SQLiteHistory(self._read)
        self.on_fault: Callable[[Exception], None] = lambda _: None
        self._loop = ClaimLoop(self, poll=poll, clock=clock, on_fault=self._told)
        self._looked_at = -math.inf
        self._full: str | None = None

    @classmethod
    def from_url(cls, url: str) -> SQLiteStore:
        """``sqlite:///file.db`` is relative, ``sqlite:////file.db`` absolute; settings follow, ``?lease=30&poll=1``."""
        remedy = (
            "write 'sqlite:///ringback.db' for a file in the working directory, "
            "'sqlite:////var/lib/app/ringback.db' for any other, or None to keep everything in memory"
        )
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ConfigurationError(f"the URL of the SQLite store cannot be read; {remedy}") from None
        path = unquote(parts.path).removeprefix("/")
        if parts.netloc or parts.fragment or not path or path == ":memory:" or "\0" in path:
            # Not repeated: who mistook the scheme may have written a password.
            raise ConfigurationError(f"the URL of the SQLite store names no file; {remedy}")
        settings: dict[str, Any] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            if name not in _SETTINGS:
                raise ConfigurationError(f"store {path!r}: {name!r} is no setting; there are {', '.join(_SETTINGS)}")
            try:
                settings[name] = _SETTINGS[name](value)
            except ValueError:
                raise ConfigurationError(f"store {path!r}: {name} {value!r} is no number") from None
        return cls(path, **settings)

    async def open(self) -> None:
        await self._writer.open()

    async def close(self) -> None:
        # The last to close puts the log into the file, which a reader cannot.
        await self._reader.close()
        await self._writer.close()

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        now = self._clock()
        puts = [rows.row_of(item, now) for item in items]
        try:
            if not self._writer.is_open:
                async with asyncio.timeout(self._patience.seconds):
                    await self.open()
            offers = await self._writer.together(self._puts, puts, self._patience)
        except TimeoutError as error:
            late = f"{self.path} was not written within {self._patience.seconds:g} seconds"
            raise StoreUnavailable(late) from error
        except _FAULTS as error:
            raise self._fault(error) from error
        if offers is None:
            raise StoreFull(self._full)
        if Offer.OPENED in offers:
            self._loop.wake(min([item.due_at for item in items]))
        return offers

    def _refuses(self, connection: sqlite3.Connection) -> bool:
        """Looked for once a second at most, by the writer: a limit passed by a second's work does no harm."""
        now = self._monotonic()
        if now >= self._looked_at + 1.0:
            self._full = self._what_is_full(connection)
            self._looked_at = now
        return self._full is not None

    def _what_is_full(self, connection: sqlite3.Connection) -> str | None:
        free = shutil.disk_usage(self.path.parent).free
        if free < self._min_free:
            return f"{free} bytes are free for {self.path}; at least {self._min_free} must stay so"
        (ready,) = connection.execute(schema.COUNT_READY).fetchone()
        if ready >= self._max_backlog:
            return f"{ready} items wait in {self.path}; at most {self._max_backlog} may; see that workers run"
        return None

    async def run(self, work: Work, concurrency: int) -> None:
        if not self._loop.working:
            # What an earlier run left behind, in this process or before it forked, is not ours to renew.
            self._owner = uuid.uuid4().hex
        renewing = asyncio.get_running_loop().create_task(self._keep_house(), context=Context())
        try:
            await self._loop.run(work, concurrency)
        finally:
            # The loop may have been closed around us.
            with suppress(RuntimeError):
                renewing.cancel()

    async def stop(self, timeout: float) -> int:
        return await self._loop.stop(timeout)

    def _told(self, error: Exception) -> None:
        self.on_fault(error)

    async def _keep_house(self) -> None:
        """Renew the leases three times before they end; now and then forget what is old."""
        purge_at = 0.0
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                until = self._clock() + self._lease
                await self._change(schema.RENEW, (until, self._owner))
                if self._clock() >= purge_at:
                    purge_at = self._clock() + 600.0
                    await self.purge()
            except StoreError as error:
                self.on_fault(error)

    async def claim(self, limit: int) -> tuple[Sequence[Claim], float | None]:
        await self.open()
        now = self._clock()
        owner = self._owner
        claims, due_at = await self._do(lambda connection: rows.claim(connection, limit, now, now + self._lease, owner))
        self._held.update(((claim.item.key, claim.attempt), owner) for claim in claims)
        return claims, due_at

    def context(self, claim: Claim) -> Context:  # noqa: ARG002 - the loop's protocol
        # Whoever put it may have been another process.
        return Context()

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        now, held = self._clock(), (claim.item.key, claim.attempt)
        owner = self._held[held]
        await self._do(lambda connection: rows.settle(connection, claim, settlement, now, owner))
        del self._held[held]
        if settlement.state is State.READY:
            self._loop.wake(settlement.due_at)

    async def give_back(self, claim: Claim) -> None:
        held = (claim.item.key, claim.attempt)
        parameters = {"key": claim.item.key, "attempt": claim.attempt, "now": self._clock(), "owner": self._held[held]}
        await self._change(schema.GIVE_BACK, parameters)
        del self._held[held]
        self._loop.wake()

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        await self.open()
        parameters = {"key": short(key), "progress": dump_progress(progress), "owner": self._owner}
        return await self._change(schema.CHECKPOINT, parameters) == 1

    async def plan(self, redial: Redial, decide: Decide) -> Plan | None:
        await self.open()
        now = self._clock()
        plan = await self._do(lambda connection: rows.plan(connection, redial, decide, now))
        if isinstance(plan, Planned):
            self._loop.wake(plan.at)
        return plan

    async def cancel(self, contact: str, leg: str | None = None) -> int:
        await self.open()
        now = self._clock()
        return await self._do(lambda connection: rows.cancel(connection, contact, leg, now))

    async def stats(self) -> Stats:
        now = self._clock()
        return await self._read(lambda connection: rows.stats(connection, now))

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        found = await self._read(lambda connection: connection.execute(schema.DEAD, (limit,)).fetchall())
        return [rows.letter(row) for row in found]

    async def replay(self, key: str) -> bool:
        await self.open()
        now = self._clock()
        replayed = await self._do(lambda connection: rows.replay(connection, short(key), now))
        self._loop.wake(now)
        return replayed

    async def discard(self, key: str) -> bool:
        await self.open()
        return await self._change(schema.DISCARD, (short(key),)) == 1

    async def purge(self) -> int:
        await self.open()
        now, count = self._clock(), 0
        times = {"keep": now - self._keep, "remember": now - self._remember, "long": now - REMEMBER_CALLS}
        for statement in schema.PURGE:
            # A thousand rows at a time: puts wait in the same line.
            while changed := await self._change(statement, times):
                count += changed
        return count

    async def _change(self, statement: str, parameters: Sequence[Any] | dict[str, Any]) -> int:
        """The number of rows that the statement has changed."""
        return await self._do(lambda connection: connection.execute(statement, parameters).rowcount)

    async def _read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        await self.open()
        await self._reader.open()
        return await self._do(operation, self._reader)

    async def _do(self, operation: Callable[[sqlite3.Connection], T], thread: Writer | None = None) -> T:
        try:
            return await (thread or self._writer).do(operation)
        except _FAULTS as error:
            raise self._fault(error) from error

    def _fault(self, error: sqlite3.Error | OSError) -> StoreError:
        """What a fault of SQLite or of the disk is to who uses the store: one that may pass, or one that will not."""
        if isinstance(error, sqlite3.Error):
            return store_error(self.path, error)
        return StoreUnavailable(f"{self.path}: {error.strerror}")

    def _connect(self) -> sqlite3.Connection:
        refuse_network(self.path, self._network)
        return opened(self.path, self._timeout)

    def _connect_to_read(self) -> sqlite3.Connection:
        return opened_to_read(self.path, self._timeout)


class _Puts:
    """Puts rows for who asks, unless the store is full: ``None`` then."""

    __slots__ = ("_connection", "_kept", "_refuses")

    def __init__(self, refuses: Callable[[sqlite3.Connection], bool]) -> None:
        self._refuses = refuses
        self._connection: sqlite3.Connection | None = None
        # The verdicts that are known to be in the file.
        self._kept: set[int] = set()

    def __call__(
        self, connection: sqlite3.Connection, puts: Sequence[Sequence[Row]]
    ) -> Sequence[Sequence[Offer] | None]:
        return self._unless_full(rows.put_all, connection, puts)

    def at_once(
        self, connection: sqlite3.Connection, puts: Sequence[Sequence[Row]]
    ) -> Sequence[Sequence[Offer] | Later | None]:
        return self._unless_full(rows.put_at_once, connection, puts)

    def _unless_full(
        self,
        put: Callable[[sqlite3.Connection, Sequence[Sequence[Row]], set[int]], Sequence[T]],
        connection: sqlite3.Connection,
        puts: Sequence[Sequence[Row]],
    ) -> Sequence[T | None]:
        if self._refuses(connection):
            return [None] * len(puts)
        if connection is not self._connection:
            # The file, too, may be another one.
            self._connection, self._kept = connection, set()
        return put(connection, puts, self._kept)


class _LogKeeper:
    """Puts the write-ahead log into the file, now and then, when a transaction has been told to those who waited.

    SQLite would do it as a part of one, for which all who share it would wait several times as long.
    """

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed = 0

    def __call__(self, connection: sqlite3.Connection) -> None:
        # A page or two each. Counts from the connection's beginning, which may be a new one.
        if abs(connection.total_changes - self._changed) >= CHECKPOINT:
            self._changed = connection.total_changes
            connection.execute(schema.PUT_LOG_IN_FILE).fetchall()


def _flag(text: str) -> bool:
    return bool(int(text))


_FAULTS = (sqlite3.Error, OSError)
_SETTINGS: dict[str, Callable[[str], Any]] = {
    "lease": float,
    "poll": float,
    "timeout": float,
    "max_backlog": int,
    "min_free": int,
    "keep": float,
    "remember": float,
    "network": _flag,
}
