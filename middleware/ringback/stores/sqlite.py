"""The embedded store: one SQLite file, on the standard library alone.

Write-ahead log, ``synchronous=FULL``, one writer thread with group commit. Several processes of one
machine may share a file: work is leased, and a lease that its owner no longer renews is taken over.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
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
from ringback.stores import _sqlite_schema as schema
from ringback.stores.claims import ClaimLoop
from ringback.stores.port import (
    CallRecord,
    Claim,
    DeadLetter,
    Item,
    Kind,
    Progress,
    State,
    Stats,
)
from ringback.stores.record import dump, dump_progress, dump_sibling, load, load_progress, short
from ringback.stores.writer import Writer
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.redial import Plan
    from ringback.stores.port import Decide, Redial, Settlement, Work

T = TypeVar("T")
S = TypeVar("S", str, "str | None")

DAY = 86_400.0
NETWORK = frozenset(
    "nfs nfs4 cifs smb2 smb3 smbfs 9p afs ceph glusterfs lustre fuse.sshfs fuse.glusterfs fuse.ceph fuse.s3fs "
    "fuse.rclone fuse.blobfuse fuse.blobfuse2 fuse.gcsfuse".split()
)
"""File systems on which the write-ahead log does not work, or not reliably."""


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
        self._writer = Writer(self._connect)
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
        await self._writer.close()

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        rows = [_row(item) for item in items]
        now = self._clock()

        def operation(connection: sqlite3.Connection) -> Sequence[Offer] | None:
            if self._refuses(connection):
                return None
            return [_put(connection, row, now) for row in rows]

        try:
            async with asyncio.timeout(self._timeout * 2):
                await self.open()
                offers = await self._do(operation)
        except TimeoutError as error:
            raise StoreUnavailable(f"{self.path} was not written within {self._timeout * 2:g} seconds") from error
        if offers is None:
            raise StoreFull(self._full)
        if Offer.OPENED in offers:
            self._loop.wake(min(item.due_at for item in items))
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
        claims, due_at = await self._do(lambda connection: _claim(connection, limit, now, now + self._lease, owner))
        self._held.update(((claim.item.key, claim.attempt), owner) for claim in claims)
        return claims, due_at

    def context(self, claim: Claim) -> Context:  # noqa: ARG002 - the loop's protocol
        # Whoever put it may have been another process.
        return Context()

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        now, held = self._clock(), (claim.item.key, claim.attempt)
        owner = self._held[held]
        await self._do(lambda connection: _settle(connection, claim, settlement, now, owner))
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
        plan = await self._do(lambda connection: _plan(connection, redial, decide, now))
        if isinstance(plan, Planned):
            self._loop.wake(plan.at)
        return plan

    async def cancel(self, contact: str, leg: str | None = None) -> int:
        await self.open()
        now = self._clock()
        return await self._do(lambda connection: _cancel(connection, contact, leg, now))

    async def stats(self) -> Stats:
        await self.open()
        now = self._clock()

        def read(connection: sqlite3.Connection) -> Stats:
            counts: dict[str, int] = dict(connection.execute(schema.COUNT_STATES).fetchall())
            redials, oldest = connection.execute(schema.COUNT_DUE).fetchone()
            return Stats(**counts, redials=redials, oldest_due=0.0 if oldest is None else max(0.0, now - oldest))

        return await self._do(read)

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        await self.open()
        rows = await self._do(lambda connection: connection.execute(schema.DEAD, (limit,)).fetchall())
        return [_letter(row) for row in rows]

    async def replay(self, key: str) -> bool:
        await self.open()
        now = self._clock()
        replayed = await self._do(lambda connection: _replay(connection, short(key), now))
        self._loop.wake(now)
        return replayed

    async def discard(self, key: str) -> bool:
        await self.open()
        return await self._change(schema.DISCARD, (short(key),)) == 1

    async def purge(self) -> int:
        await self.open()
        now, count = self._clock(), 0
        times = {"keep": now - self._keep, "remember": now - self._remember, "long": now - 31 * DAY}
        for statement in schema.PURGE:
            # A thousand rows at a time: puts wait in the same line.
            while changed := await self._change(statement, times):
                count += changed
        return count

    async def _change(self, statement: str, parameters: Sequence[Any] | dict[str, Any]) -> int:
        """The number of rows that the statement has changed."""
        return await self._do(lambda connection: connection.execute(statement, parameters).rowcount)

    async def _do(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._writer.do(operation)
        except sqlite3.Error as error:
            raise self._fault(error) from error
        except OSError as error:
            raise StoreUnavailable(f"{self.path}: {error.strerror}") from error

    def _connect(self) -> sqlite3.Connection:
        refuse_network(self.path, self._network)
        try:
            # Made before SQLite makes it: what waits in it is for nobody else to read. Never opened if it is there:
            # whoever closes any descriptor of a file loses the locks of all his connections to it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            raise StoreError(f"{self.path} cannot be made: its folder does not exist; create it first") from error
        except OSError as error:
            kind = StoreUnavailable if error.errno in _PASSING else StoreError
            raise kind(f"{self.path} cannot be made ({error.strerror}); see that its folder is writable") from error
        try:
            connection = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None, cached_statements=256)
            try:
                connection.row_factory = sqlite3.Row
                schema.prepare(connection, self.path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise self._fault(error) from error
        return connection

    def _fault(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", None)
        remedy = _LASTING.get(code & 0xFF) if isinstance(code, int) else None
        if remedy is None:
            return StoreUnavailable(f"{self.path}: {error}")
        return StoreError(f"{self.path}: {error}; {remedy}")


def refuse_network(path: Path, allowed: bool, mounts: str | None = None) -> None:
    """Raise :class:`StoreError` for a file on a network file system. ``mounts`` is the text of /proc/self/mounts."""
    if allowed:
        return
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
        except OSError:
            # Not Linux: nothing to go by.
            return
    place = Path(os.path.realpath(path))
    best, kind = Path("/"), ""
    for line in mounts.splitlines():
        _, point, system, *_ = [*line.split(" "), "", "", ""]
        folder = Path(point.replace("\\040", " "))
        if place.is_relative_to(folder) and len(folder.parts) >= len(best.parts):
            best, kind = folder, system
    if kind in NETWORK:
        raise StoreError(
            f"{path} lies on a network file system ({kind}), where SQLite loses data; use a local disk, "
            "PostgreSQL, or say network=1 in the URL if you know better"
        )


def _row(item: Item) -> dict[str, Any]:
    outcome = item.outcome
    reported, failed_to_start = outcome.informs()
    call = outcome.correlation_id
    return {
        "key": short(item.key),
        "kind": item.kind.value,
        "due_at": item.due_at,
        "ends_call": item.kind is Kind.OUTCOME and outcome.scope is Scope.CALL,
        "event": short(outcome.event_name),
        "call": None if call is None else short(call),
        "ended": None if call is None else short(f"call:{call}"),
        "contact": _storable(item.contact),
        "target": item.target,
        "number": item.number,
        "rank": 2 * reported + failed_to_start,
        "payload": dump(outcome),
        "sibling": dump_sibling(outcome),
    }


def _put(connection: sqlite3.Connection, row: dict[str, Any], now: float) -> Offer:
    if row["ends_call"] and row["call"] is not None:
        if row["event"] == "CallEnded":
            if connection.execute(schema.TOLD_BY_A_LEG, row).fetchone():
                return Offer.DUPLICATE
        else:
            connection.execute(schema.YIELD_TO_LEG, {**row, "now": now})
    if connection.execute(schema.INSERT, {**row, "now": now}).rowcount:
        return Offer.OPENED
    if connection.execute(schema.MERGE, row).rowcount:
        return Offer.MERGED
    connection.execute(schema.DUPLICATE, row)
    return Offer.DUPLICATE


def _claim(
    connection: sqlite3.Connection, limit: int, now: float, until: float, owner: str
) -> tuple[list[Claim], float | None]:
    found = connection.execute(schema.DUE, (now, limit)).fetchall()
    if len(found) < limit:
        found += connection.execute(schema.EXPIRED, (now, owner, limit - len(found))).fetchall()
    claims: list[Claim] = []
    for row in found:
        try:
            claims.append(_claim_of(row))
        except StoreError as error:
            connection.execute(schema.BROKEN, {"id": row["id"], "reason": _storable(str(error)), "now": now})
        else:
            connection.execute(schema.CLAIM, {"id": row["id"], "owner": owner, "until": until})
    (due_at,) = connection.execute(schema.NEXT_DUE, (owner,)).fetchone()
    return claims, due_at


def _claim_of(row: sqlite3.Row) -> Claim:
    """The claim on a row as it was before."""
    crashed = row["state"] == State.RUNNING
    return Claim(
        Item(
            key=row["key"],
            kind=Kind(row["kind"]),
            due_at=row["due_at"],
            outcome=load(row["payload"] or b"", row["sibling"]),
            contact=row["contact"],
            target=row["target"],
            number=row["number"],
        ),
        attempt=row["attempts"] + 1,
        redelivered=crashed or bool(row["interrupted"]),
        crashed=crashed,
        progress=load_progress(row["progress"]),
    )


def _settle(connection: sqlite3.Connection, claim: Claim, settlement: Settlement, now: float, owner: str) -> None:
    key, again = claim.item.key, settlement.state is State.READY
    written = connection.execute(
        schema.SETTLE,
        {
            "key": key,
            "owner": owner,
            "attempt": claim.attempt,
            "state": settlement.state.value,
            "progress": dump_progress(settlement.progress),
            "due_at": settlement.due_at if again else claim.item.due_at,
            "reason": _storable(settlement.reason),
            "finished_at": None if again else now,
        },
    ).rowcount
    if written and settlement.leg is not None:
        # The call's end may have been faster than its function's return, and was counted by itself.
        connection.execute(schema.FORGET_LEG, (short(f"leg:{settlement.leg}"),))
        connection.execute(schema.BIND_LEG, {"key": key, "leg": short(settlement.leg)})


def _note(connection: sqlite3.Connection, contact: str, key: str, leg: str | None, now: float) -> None:
    """Count the call that has ended, unless it is one that a redial has placed."""
    call = {
        "key": short(f"leg:{leg or key}"),
        "contact": contact,
        "at": now,
        "leg": None if leg is None else short(leg),
    }
    if leg is not None:
        if connection.execute(schema.CALL_OF_LEG, call).fetchone():
            return
        if connection.execute(schema.ADOPT_LEG, call).rowcount:
            return
    connection.execute(schema.NOTE_CALL, call)


def _plan(connection: sqlite3.Connection, redial: Redial, decide: Decide, now: float) -> Plan | None:
    contact = _storable(redial.contact)
    row = _row(redial.item)
    _note(connection, contact, row["key"], redial.leg, now)
    if connection.execute(schema.KNOWN, (row["key"],)).fetchone():
        return None
    if connection.execute(schema.TO_COME, (contact,)).fetchone():
        return None
    plan = decide([CallRecord(key, at) for key, at in connection.execute(schema.CALLS, (contact,))])
    if isinstance(plan, Planned):
        row |= {"due_at": plan.at, "number": plan.number, "contact": contact, "now": now}
        connection.execute(schema.INSERT, row)
        call = {"key": row["key"], "contact": contact, "at": plan.at, "leg": None}
        connection.execute(schema.NOTE_CALL, call)
    return plan


def _cancel(connection: sqlite3.Connection, contact: str, leg: str | None, now: float) -> int:
    contact = _storable(contact)
    if leg is not None:
        _note(connection, contact, leg, leg, now)
    waiting = connection.execute(schema.TO_COME, (contact,)).fetchall()
    for key, attempts in waiting:
        connection.execute(schema.CANCEL, (now, key))
        if attempts == 0:
            # Begun, it may have been a call, and counts as one.
            connection.execute(schema.FORGET_LEG, (key,))
    return len(waiting)


def _replay(connection: sqlite3.Connection, key: str, now: float) -> bool:
    row = connection.execute(schema.DEAD_PROGRESS, (key,)).fetchone()
    if row is None:
        return False
    kept = load_progress(row["progress"])
    progress = Progress(done=kept.done, first_sent=kept.first_sent, generation=kept.generation)
    connection.execute(schema.REPLAY, {"key": key, "now": now, "progress": dump_progress(progress)})
    return True


def _letter(row: sqlite3.Row) -> DeadLetter:
    try:
        outcome, progress = load(row["payload"] or b"", row["sibling"]), load_progress(row["progress"])
    except StoreError:
        outcome, progress = None, Progress()
    return DeadLetter(
        key=row["key"],
        kind=Kind(row["kind"]),
        outcome=outcome,
        attempts=row["attempts"],
        reason=row["reason"] or "",
        died_at=row["finished_at"],
        progress=progress,
        target=row["target"],
    )


def _storable(text: S) -> S:
    """The text without what no file can hold: lone surrogates."""
    return text if text is None else text.encode("utf-8", "replace").decode()


# What waiting mends, of the faults of the operating system.
_PASSING = frozenset({errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC})

# What no waiting mends, by SQLite's primary result code.
_LASTING = {
    sqlite3.SQLITE_PERM: "give the process the right to write it",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for the process",
    sqlite3.SQLITE_CORRUPT: "restore it, or move it away and start with a new one",
    sqlite3.SQLITE_CANTOPEN: "see that its folder exists and is writable",
    sqlite3.SQLITE_AUTH: "give the process the right to write it",
    sqlite3.SQLITE_NOTADB: "it is no SQLite file; name another one",
}


def _flag(text: str) -> bool:
    return bool(int(text))


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
