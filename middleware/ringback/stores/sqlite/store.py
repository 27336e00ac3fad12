"""The embedded store: one SQLite file, on the standard library alone.

The store uses SQLite's write-ahead log, ``synchronous=FULL`` and one writer thread with group commit. Several processes
of one machine may share a file: a worker leases an item, and others take over items whose leases are not renewed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from ringback.core.times import DAY
from ringback.exceptions import ConfigurationError, StoreFull
from ringback.settings import refuse_for_store, refuse_no_flag, refuse_no_text, refuse_short_lease
from ringback.stores.clocks import Boot, Jumps
from ringback.stores.leases import Touch
from ringback.stores.query import settings_in
from ringback.stores.sqlite import calls, claims, deliveries, letters, redials, retention, rows
from ringback.stores.sqlite.database import Database
from ringback.stores.sqlite.file import Room
from ringback.stores.sqlite.history import SQLiteHistory, stats
from ringback.stores.sqlite.worker import Worker
from ringback.stores.turns import Turns
from ringback.work.items import DeadLetter, Item, Kind, Progress, Stats, Work
from ringback.work.latch import Offer
from ringback.work.letters import Act, LetterChange, Standing
from ringback.work.pace import UNPACED, Pace

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from ringback.stores.rows import Row
    from ringback.work.call_detail import Traces
    from ringback.work.contact import Change
    from ringback.work.deliveries import Counted
    from ringback.work.told import Told

T = TypeVar("T")


class SQLiteStore:
    """Items in the file ``path``; the store makes the file if there is none, in a folder that exists. Times in seconds.

    A worker that has not renewed its leases for ``lease`` counts as dead, and others take over its work. ``poll`` is
    how often a worker looks for items that other processes put. ``timeout`` is how long SQLite waits for a locked file;
    a put may take twice as long, and then raises :class:`StoreUnavailable`. A put raises :class:`StoreFull` when
    ``max_backlog`` items wait or fewer than ``min_free`` bytes are free. An item that is done loses its payload after
    ``keep`` and its key after ``remember``; dead letters and calls to contacts stay for 31 days. ``network`` allows a
    file on a network file system. :meth:`run` calls ``on_fault`` with the faults that it survives. Leases count by the
    time since ``boot``, which is this machine's: nobody sets it, and no other boot has it.

    Raises :class:`ConfigurationError` for settings that cannot work.
    """

    durable = True

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
        boot: Boot | None = None,
    ) -> None:
        for name, number in (("lease", lease), ("poll", poll), ("timeout", timeout), ("max_backlog", max_backlog)):
            refuse_for_store(name, number)
        for name, number in (("min_free", min_free), ("keep", keep), ("remember", remember)):
            refuse_for_store(name, number, zero=True)
        refuse_no_flag("store: network", network)
        refuse_short_lease(lease, poll)
        if not isinstance(path, Path):
            refuse_no_text("store: path", path)
        self.path = Path(path)
        self._keep = keep
        self._remember = remember
        self._clock = clock
        self._monotonic = monotonic
        self._room = Room(self.path, min_free, max_backlog, monotonic)
        boot, touch = boot or Boot.here(clock), Touch(lease)
        self._jumps = Jumps(clock, boot.clock)
        self.on_fault: Callable[[Exception], None] = lambda _: None
        self.on_blocked: Callable[[str | None, float], None] = lambda _, __: None
        self._database = Database(
            self.path,
            timeout=timeout,
            network=network,
            on_fault=lambda error: self.on_fault(error),
            on_outage=lambda: touch.lost(boot.clock()),
        )
        self.worker = Worker(
            database=self._database,
            lease=lease,
            poll=poll,
            purge=self.purge,
            clock=clock,
            monotonic=monotonic,
            boot=boot,
            jumps=self._jumps,
            touch=touch,
            on_fault=lambda error: self.on_fault(error),
            on_blocked=lambda task, seconds: self.on_blocked(task, seconds),
        )
        self.history = SQLiteHistory(self._database)

    @classmethod
    def from_url(cls, url: str) -> SQLiteStore:
        """The store of a URL: ``sqlite:///file.db`` is relative, ``sqlite:////file.db`` absolute, and settings follow,
        as in ``?lease=30&poll=1``. Raises :class:`ConfigurationError` for any other URL.
        """
        path, query = _parts_of(url)
        return cls(path, **settings_in(query, _SETTINGS, path))

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        now, turns = self._clock(), Turns(self._monotonic)
        puts: list[Row] = []
        for item in items:
            puts.append(rows.row_of(item, now))
            await turns.next()
        offers = await self._database.together(self._put, puts)
        if offers is None:
            raise StoreFull(self._room.full)
        if Offer.OPENED in offers:
            self.worker.lanes.wake(min([item.due_at for item in items]), Kind.OUTCOME)
        return offers

    async def note(self, told: Sequence[Told]) -> None:
        await self._database.do(lambda connection: calls.note(connection, told))

    async def count_deliveries(self, counted: Sequence[Counted]) -> None:
        await self._database.do(lambda connection: deliveries.add(connection, counted))

    async def call(self, name: str) -> Traces | None:
        return await self._database.read(lambda connection: calls.call(connection, name))

    async def hasten(self, keys: Sequence[str]) -> None:
        now = self._clock()
        await self._database.do(lambda connection: rows.hasten(connection, keys, now))
        self.worker.lanes.wake(now, Kind.OUTCOME)

    def _put(
        self, connection: sqlite3.Connection, puts: Sequence[Sequence[Row]]
    ) -> Sequence[Sequence[Offer]] | Sequence[None]:
        """Within a transaction: the offers of several puts, put by put; ``None`` for every put if the store is full."""
        self._database.refuse_damaged()
        return rows.put(connection, puts) if self._room.look(connection) is None else [None] * len(puts)

    async def run(self, work: Work, concurrency: int, pace: Pace = UNPACED) -> None:
        await self.worker.run(work, concurrency, pace)

    async def stop(self, timeout: float) -> int:
        return await self.worker.lanes.stop(timeout)

    async def pause_redials(self, until: float) -> None:
        await self._database.do(lambda connection: redials.pause(connection, until))

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        owner = self.worker.owner
        return await self._database.do(lambda connection: claims.checkpoint(connection, key, progress, owner))

    async def change(self, contact: str, step: Change[T]) -> T | None:
        owner = self.worker.owner
        made = await self._database.do(lambda connection: rows.change(connection, contact, step, self._clock(), owner))
        if made is None:
            return None
        if made.put is not None:
            self.worker.lanes.wake(made.put.due_at, made.put.kind)
        if made.hasten:
            self.worker.lanes.wake(kind=Kind.REDIAL)
        return made.result

    async def stats(self) -> Stats:
        return await self._database.read(lambda connection: stats(connection, self._clock()))

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        return await self._database.read(lambda connection: letters.dead(connection, limit))

    async def replay(self, key: str) -> bool:
        return bool(await self.change_letters([key], LetterChange(Act.REPLAY, self._clock())))

    async def discard(self, key: str) -> bool:
        return bool(await self.change_letters([key], LetterChange(Act.DISCARD, self._clock())))

    async def change_letters(self, keys: Sequence[str], change: LetterChange) -> Sequence[str]:
        changed = await self._database.do(lambda connection: letters.carry_out(connection, change, keys, self._clock()))
        self.worker.lanes.wake(change.due_at)
        return changed

    async def take_back(self, change: LetterChange) -> int:
        return await self._database.do(lambda connected: letters.take_back(connected, change, self._clock()))

    async def standing(self, change: LetterChange) -> Standing:
        return await self._database.read(lambda connection: letters.standing_of(connection, change, self._clock()))

    async def purge(self) -> int:
        return await retention.purge(self._database, self._jumps.passed(), self._keep, self._remember)


def _parts_of(url: str) -> tuple[str, str]:
    """The path and the query of a URL. Raises :class:`ConfigurationError` for a URL that names no file."""
    remedy = (
        "write 'sqlite:///ringback.db' for a file in the working directory, "
        "'sqlite:////var/lib/app/ringback.db' for any other, or None to keep everything in memory"
    )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"the URL of the SQLite store cannot be read; {remedy}") from None
    path = unquote(parts.path).removeprefix("/")
    if path.startswith("~"):
        raise ConfigurationError(f"store {path!r}: nobody expands '~' in a URL; write 'sqlite:////' and the whole path")
    if parts.netloc or parts.fragment or not path or path == ":memory:" or "\0" in path:
        # Without the URL, which may hold a password if its scheme is a mistake.
        raise ConfigurationError(f"the URL of the SQLite store names no file; {remedy}")
    return path, parts.query


_SETTINGS: dict[str, Callable[[str], Any]] = {
    "lease": float,
    "poll": float,
    "timeout": float,
    "max_backlog": int,
    "min_free": int,
    "keep": float,
    "remember": float,
    "network": {"0": False, "1": True}.__getitem__,
}
"""The settings that may follow the path, and how the text of each is read."""
