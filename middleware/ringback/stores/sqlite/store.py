"""The embedded store: one SQLite file, on the standard library alone.

The store uses SQLite's write-ahead log, ``synchronous=FULL`` and one writer thread with group commit. Several processes
of one machine may share a file: a worker leases an item, and others take over items whose leases are not renewed.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
import uuid
from contextlib import suppress
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ringback.exceptions import StoreError, StoreFull, StoreUnavailable
from ringback.settings import refuse_for_store, refuse_no_flag, refuse_short_lease
from ringback.stores.claims import FAULT_PAUSE
from ringback.stores.clocks import SLACK, Boot, Jumps, jumped
from ringback.stores.lanes import Lanes
from ringback.stores.pulse import Pulse
from ringback.stores.query import settings_in
from ringback.stores.sqlite import calls, deliveries, letters, rows, schema
from ringback.stores.sqlite.file import opened, opened_to_read, refuse_network, store_error
from ringback.stores.sqlite.history import SQLiteHistory
from ringback.stores.sqlite.identity import Watch
from ringback.stores.sqlite.log_keeper import LogKeeper
from ringback.stores.sqlite.room import what_is_full
from ringback.stores.sqlite.suspects import Suspects
from ringback.stores.sqlite.url import SETTINGS, parts_of
from ringback.stores.sqlite.whole import WholeCheck
from ringback.stores.sqlite.writer import Writer
from ringback.stores.touch import Touch
from ringback.stores.turns import Turns
from ringback.work.items import REMEMBER_CALLS, Claim, DeadLetter, Item, Kind, Progress, State, Stats
from ringback.work.keys import short
from ringback.work.latch import Offer
from ringback.work.letters import Act, LetterChange, Standing
from ringback.work.pace import UNPACED
from ringback.work.redial_policy import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.stores.rows import Row
    from ringback.stores.sqlite.identity import Loss
    from ringback.work.call_detail import Traces
    from ringback.work.contact import Change
    from ringback.work.deliveries import Counted
    from ringback.work.items import Settlement, Work
    from ringback.work.pace import Pace
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
        self._boot = boot or Boot.here(clock)
        self._jumps = Jumps(clock, self._boot.clock)
        self._set_right = False
        self._owner = ""
        self._held: dict[tuple[str, int], str] = {}
        self._suspects = Suspects()
        self._touch = Touch(lease)
        self._writer = Writer(self._connect, look=self._look, rest=LogKeeper(), limit=2 * timeout)
        self._reader = Writer(self._connect_to_read, begin="BEGIN")
        self.history = SQLiteHistory(self._read)
        self.on_fault: Callable[[Exception], None] = lambda _: None
        self.on_blocked: Callable[[str | None, float], None] = lambda _, __: None
        self._lanes = Lanes(self, poll=poll, clock=clock, on_fault=lambda error: self.on_fault(error))
        self._pace = UNPACED
        self._looked_at = -math.inf
        self._full: str | None = None
        self._watch: Watch | None = None
        self._loss: Loss | None = None
        self._told: Loss | None = None
        self._whole: WholeCheck | None = None
        self._damage: str | None = None

    @classmethod
    def from_url(cls, url: str) -> SQLiteStore:
        """The store of a URL: ``sqlite:///file.db`` is relative, ``sqlite:////file.db`` absolute, and settings follow,
        as in ``?lease=30&poll=1``. Raises :class:`ConfigurationError` for any other URL.
        """
        path, query = parts_of(url)
        return cls(path, **settings_in(query, SETTINGS, path))

    async def open(self) -> None:
        await self._writer.open()

    async def close(self) -> None:
        if self._whole is not None:
            await asyncio.to_thread(self._whole.stop)
        # The connection that closes last puts the log into the file, which the reader cannot.
        await self._reader.close()
        await self._writer.close()

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        now, turns = self._clock(), Turns(self._monotonic)
        puts: list[Row] = []
        for item in items:
            puts.append(rows.row_of(item, now))
            await turns.next()
        try:
            offers = await self._writer.together(self._put, puts)
        except TimeoutError as error:
            raise StoreUnavailable(f"{self.path} was not written within {2 * self._timeout:g} seconds") from error
        except _FAULTS as error:
            raise self._fault(error) from error
        if offers is None:
            raise StoreFull(self._full)
        if Offer.OPENED in offers:
            self._lanes.wake(Kind.OUTCOME, min([item.due_at for item in items]))
        return offers

    async def note(self, told: Sequence[Told]) -> None:
        await self._do(lambda connection: calls.note(connection, told))

    async def count_deliveries(self, counted: Sequence[Counted]) -> None:
        await self._do(lambda connection: deliveries.add(connection, counted))

    async def call(self, name: str) -> Traces | None:
        return await self._read(lambda connection: calls.call(connection, name))

    async def hasten(self, keys: Sequence[str]) -> None:
        now = self._clock()
        waiting = [{"key": short(key), "now": now} for key in keys]
        await self._do(lambda connection: connection.executemany(schema.HASTEN, waiting))
        self._lanes.wake(Kind.OUTCOME, now)

    def _put(
        self, connection: sqlite3.Connection, puts: Sequence[Sequence[Row]]
    ) -> Sequence[Sequence[Offer]] | Sequence[None]:
        """Within a transaction: the offers of several puts, put by put; ``None`` for every put if the store is full."""
        if self._damage is not None:
            raise StoreError(self._damage)
        now = self._monotonic()
        # Once a second at most: the work of one second beyond the limit does no harm.
        if now >= self._looked_at + 1.0:
            self._full = what_is_full(connection, self.path, self._min_free, self._max_backlog)
            self._looked_at = now
        return rows.put(connection, puts) if self._full is None else [None] * len(puts)

    async def run(self, work: Work, concurrency: int, pace: Pace = UNPACED) -> None:
        self._pace = pace
        if not self._lanes.working:
            # A new owner: this run must not renew the leases of an earlier run, or of the parent process.
            self._owner = f"{self._boot.id}.{uuid.uuid4().hex}"
            self._set_right = False
        pulse = Pulse(self._lease, self._renew, lambda task, seconds: self.on_blocked(task, seconds), self._monotonic)
        renewing = asyncio.get_running_loop().create_task(self._keep_house(pulse), context=Context())
        try:
            await self._lanes.run(work, concurrency)
        finally:
            pulse.stop()
            # The event loop may be closed already.
            with suppress(RuntimeError):
                renewing.cancel()

    async def stop(self, timeout: float) -> int:
        return await self._lanes.stop(timeout)

    def _renew(self) -> None:
        """As :meth:`_keep_house` renews, from the thread of the pulse."""
        until, owner = self._boot.clock() + self._lease, self._owner
        self._writer.post(lambda connection: connection.execute(schema.RENEW, (until, owner)))

    async def _keep_house(self, pulse: Pulse) -> None:
        """Renew the leases three times before they end, or soon after a fault; every ten minutes purge."""
        purge_at, pause = -math.inf, self._lease / 3
        self._touch.renewed(self._boot.clock())
        while True:
            await asyncio.sleep(pause)
            pause = self._lease / 3
            try:
                until = self._boot.clock() + self._lease
                await self._rows_changed(schema.RENEW, (until, self._owner))
                self._touch.renewed(self._boot.clock())
                pulse.beat()
                if self._boot.clock() >= purge_at:
                    purge_at = self._boot.clock() + 600.0
                    # A clock may have been set forward and back between two looks.
                    self._set_right = False
                    await self.purge()
            except StoreError as error:
                pause = min(pause, FAULT_PAUSE)
                self.on_fault(error)

    async def claim(self, limit: int, kind: Kind) -> tuple[Sequence[Claim], float | None]:
        await self._follow_clock()
        with self._suspects.ask(kind) as takes_over:
            claims, next_at = await self._claimed(limit, kind, takes_over=takes_over)
        self._suspects.begin(claims)
        return claims, next_at

    async def _claimed(self, limit: int, kind: Kind, *, takes_over: bool) -> tuple[Sequence[Claim], float | None]:
        now, lease, owner, pace, boot = self._clock(), self._lease, self._owner, self._pace, self._boot

        def claim(connection: sqlite3.Connection) -> tuple[Sequence[Claim], float | None]:
            # Now and not before, because the writer may have waited for the disk.
            suspects = int(self._touch.claims(boot.clock()) and takes_over)
            some = partial(
                rows.claim, connection, kind, now=now, lease=lease, owner=owner, boot=boot, suspects=suspects
            )
            return rows.claim_redials(connection, pace, limit, now, some) if kind is Kind.REDIAL else some(limit=limit)

        claims, next_at = await self._do(claim)
        if self._loss != self._told:
            # A put says it, too, and there may be none for hours.
            self._told = self._loss
            if self._loss is not None:
                self.on_fault(StoreUnavailable(self._loss.text))
        self._held.update(((claim.item.key, claim.attempt), owner) for claim in claims)
        return claims, next_at

    async def pause_redials(self, until: float) -> None:
        await self._do(lambda connection: rows.pause_redials(connection, until))

    async def _follow_clock(self) -> None:
        """After the wall clock was set back, and at a start, let nothing wait for it that waits for hooks."""
        jump = self._jumps.look()
        if jump or not self._set_right:
            now, self._set_right = self._clock(), False
            count = await self._rows_changed(schema.SET_RIGHT, {"now": now, "soon": now + SLACK})
            self._set_right = True
            if jump or count:
                self.on_fault(jumped(jump, count))

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        now, held = self._clock(), (claim.item.key, claim.attempt)
        owner = self._held.get(held, "")  # "": a function that took too long may return after its claim was settled
        await self._do(lambda connection: rows.settle(connection, claim, settlement, now, owner))
        self._held.pop(held, None)
        if self._suspects.end(claim):
            self._lanes.wake()
        if settlement.state is State.READY:
            self._lanes.wake(claim.item.kind, settlement.due_at)

    async def give_back(self, claim: Claim) -> None:
        held = (claim.item.key, claim.attempt)
        given = {"key": claim.item.key, "attempt": claim.attempt, "now": self._clock(), "owner": self._held[held]}
        await self._rows_changed(schema.GIVE_BACK, given)
        del self._held[held]
        self._suspects.end(claim)
        self._lanes.wake()

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        return await self._do(lambda connection: rows.checkpoint(connection, key, progress, self._owner))

    async def change(self, contact: str, step: Change[T]) -> T | None:
        made = await self._do(lambda connection: rows.change(connection, contact, step, self._clock(), self._owner))
        if made is None:
            return None
        if made.put is not None:
            self._lanes.wake(made.put.kind, made.put.due_at)
        if made.hasten:
            self._lanes.wake(Kind.REDIAL)
        return made.result

    async def stats(self) -> Stats:
        return await self._read(lambda connection: rows.stats(connection, self._clock()))

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        return await self._read(lambda connection: letters.dead(connection, limit))

    async def replay(self, key: str) -> bool:
        return bool(await self.change_letters([key], LetterChange(Act.REPLAY, self._clock())))

    async def discard(self, key: str) -> bool:
        return bool(await self.change_letters([key], LetterChange(Act.DISCARD, self._clock())))

    async def change_letters(self, keys: Sequence[str], change: LetterChange) -> Sequence[str]:
        changed = await self._do(lambda connection: letters.carry_out(connection, change, keys, self._clock()))
        self._lanes.wake(due_at=change.due_at)
        return changed

    async def take_back(self, change: LetterChange) -> int:
        return await self._do(lambda connected: letters.take_back(connected, change, self._clock()))

    async def standing(self, change: LetterChange) -> Standing:
        return await self._read(lambda connection: letters.standing_of(connection, change, self._clock()))

    async def purge(self) -> int:
        now, count, ages = self._jumps.passed(), 0, (0.0, self._keep, self._remember, REMEMBER_CALLS)
        times: dict[str, Any] = dict(zip(("now", "keep", "remember", "long"), (now - age for age in ages), strict=True))
        for statement in schema.PURGE:
            # A thousand rows at a time, because puts wait for the same writer.
            while changed := await self._rows_changed(statement, times):
                count += changed
        return count + await self._do(lambda connection: deliveries.fold(connection, now, times["long"]))

    async def _rows_changed(self, statement: str, parameters: Sequence[Any] | dict[str, Any]) -> int:
        return await self._do(lambda connection: connection.execute(statement, parameters).rowcount)

    async def _read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        # The writer makes the file that the reader opens.
        await self.open()
        if self._watch is not None and not self._watch.is_theirs():
            await self._do(lambda _: None)  # The writer looks after each transaction, and may open the other file.
            if self._loss is not None:
                raise StoreUnavailable(self._loss.text)
        return await self._do(operation, self._reader)

    async def _do(self, operation: Callable[[sqlite3.Connection], T], thread: Writer | None = None) -> T:
        thread = thread or self._writer
        try:
            await thread.open()
            return await thread.do(operation)
        except _FAULTS as error:
            raise self._fault(error) from error

    def _fault(self, error: sqlite3.Error | OSError) -> StoreError:
        """The store's error for a fault of SQLite or of the disk."""
        self._touch.lost(self._boot.clock())
        if isinstance(error, sqlite3.Error):
            return store_error(self.path, error)
        return StoreUnavailable(f"{self.path}: {error.strerror}")

    def _connect(self) -> sqlite3.Connection:
        refuse_network(self.path, self._network)
        connection, died = opened(self.path, self._timeout)
        if died is None or self._watch is not None:
            # Of an outage that others had just now this process knows nothing.
            self._touch.lost(self._boot.clock())
        self._watch = Watch(self.path)
        if died:
            self._whole = WholeCheck(self._connect_to_read, self._damaged)
        return connection

    def _connect_to_read(self) -> sqlite3.Connection:
        return opened_to_read(self.path, self._timeout)

    def _look(self, connection: sqlite3.Connection) -> Loss | None:
        loss = None if self._watch is None else self._watch.look(connection)
        if loss is not None and loss.reopens:
            # A reader of the other file, or of the other log, would keep the writer from opening the file anew.
            self._reader.end()
            if self._whole is not None:
                self._whole.stop()
            self._damage = None
        self._loss = loss
        return loss

    def _damaged(self, what: str) -> None:
        self._damage = f"{self.path} is damaged ({what}); restore it, or move it away and start with a new one"
        self.on_fault(StoreError(self._damage))


_FAULTS = (sqlite3.Error, OSError)
