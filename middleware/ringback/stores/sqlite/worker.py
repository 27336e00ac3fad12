"""A worker on an SQLite file: it leases items, renews its leases, and takes over items whose leases nobody renews."""

from __future__ import annotations

import asyncio
import math
import uuid
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ringback.core.times import SLACK
from ringback.exceptions import StoreError
from ringback.stores.claims import FAULT_PAUSE, PURGE_EVERY, ClaimLoop
from ringback.stores.leases import Pulse, Touch
from ringback.stores.sqlite import claims, redials
from ringback.work.items import Claim, Kind, Settlement, State, Work
from ringback.work.pace import UNPACED, Pace

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence

    from ringback.stores.clocks import Boot, Jumps
    from ringback.stores.sqlite.database import Database


class Suspects:
    """The one item, of all lanes of a process, that a dead worker has left and that the process tries now: an item that
    kills its worker harms itself alone.
    """

    __slots__ = ("_asking", "_refused", "_tried")

    def __init__(self) -> None:
        self._tried = set[tuple[str, int]]()
        self._asking = False
        self._refused: Kind | None = None

    @contextmanager
    def ask(self, kind: Kind) -> Generator[bool]:
        """Whether the lane, which claims inside the context, may claim an item that a dead worker has left. Lanes that
        always claim at the same time take turns.
        """
        mine = not self._tried and not self._asking and self._refused in (None, kind)
        self._refused = kind if self._asking else None
        self._asking = self._asking or mine
        try:
            yield mine
        finally:
            self._asking = self._asking and not mine

    def begin(self, claims: Iterable[Claim]) -> None:
        self._tried.update((claim.item.key, claim.attempt) for claim in claims if claim.crashed)

    def end(self, claim: Claim) -> bool:
        """Forget the claim. True if a dead worker had left its item: then either lane may try the next such item."""
        held = claim.item.key, claim.attempt
        found = held in self._tried
        self._tried.discard(held)
        return found


@dataclass(eq=False, kw_only=True)
class Worker:
    """Works on the items of a file until somebody stops the worker. Times are seconds, see ``SQLiteStore``."""

    database: Database
    lease: float
    poll: float
    purge: Callable[[], Awaitable[object]]
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    boot: Boot
    jumps: Jumps
    touch: Touch
    on_fault: Callable[[Exception], None]
    on_blocked: Callable[[str | None, float], None]
    pace: Pace = UNPACED
    owner: str = ""
    _held: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    """The owners of the items that are claimed, by key and attempt."""
    _suspects: Suspects = field(default_factory=Suspects)

    def __post_init__(self) -> None:
        self.lanes = ClaimLoop(self, *Kind, poll=self.poll, clock=self.clock, on_fault=self.on_fault)

    async def run(self, work: Work, concurrency: int, pace: Pace) -> None:
        self.pace = pace
        if not self.lanes.working:
            # A new owner: this run must not renew the leases of an earlier run, or of the parent process.
            self.owner = f"{self.boot.id}.{uuid.uuid4().hex}"
            self.jumps.is_followed = False
        pulse = Pulse(self.lease, self._renew, self.on_blocked, self.monotonic)
        renewing = asyncio.get_running_loop().create_task(self._keep_house(pulse), context=Context())
        try:
            await self.lanes.run(work, concurrency)
        finally:
            pulse.stop()
            # The event loop may be closed already.
            with suppress(RuntimeError):
                renewing.cancel()

    def _renew(self) -> None:
        """As :meth:`_keep_house` renews, from the thread of the pulse."""
        until, owner = self.boot.clock() + self.lease, self.owner
        self.database.post(lambda connection: connection.execute(claims.RENEW, (until, owner)))

    async def _keep_house(self, pulse: Pulse) -> None:
        """Renew the leases three times before they end, or soon after a fault; every ten minutes purge."""
        purge_at, pause = -math.inf, self.lease / 3
        self.touch.renewed(self.boot.clock())
        while True:
            await asyncio.sleep(pause)
            pause = self.lease / 3
            try:
                until = self.boot.clock() + self.lease
                await self.database.change(claims.RENEW, (until, self.owner))
                self.touch.renewed(self.boot.clock())
                pulse.beat()
                if self.boot.clock() >= purge_at:
                    purge_at = self.boot.clock() + PURGE_EVERY
                    # A clock may have been set forward and back between two looks.
                    self.jumps.is_followed = False
                    await self.purge()
            except StoreError as error:
                pause = min(pause, FAULT_PAUSE)
                self.on_fault(error)

    async def claim(self, limit: int, kind: Kind) -> tuple[Sequence[Claim], float | None]:
        await self.jumps.follow(self._set_right, self.on_fault)
        with self._suspects.ask(kind) as takes_over:
            found, next_at = await self._claimed(limit, kind, takes_over=takes_over)
        self._suspects.begin(found)
        return found, next_at

    async def _claimed(self, limit: int, kind: Kind, *, takes_over: bool) -> tuple[Sequence[Claim], float | None]:
        lease, owner, pace, boot = self.lease, self.owner, self.pace, self.boot

        def claim(connection: sqlite3.Connection) -> tuple[Sequence[Claim], float | None]:
            # Now and not before, because the writer may have waited for the disk, or for another process.
            now = self.clock()
            suspects = int(self.touch.claims(boot.clock()) and takes_over)
            some = partial(
                claims.claim, connection, kind, now=now, lease=lease, owner=owner, boot=boot, suspects=suspects
            )
            return redials.claim(connection, pace, limit, now, some) if kind is Kind.REDIAL else some(limit=limit)

        found, next_at = await self.database.do(claim)
        self.database.tell_loss()
        self._held.update(((claim.item.key, claim.attempt), owner) for claim in found)
        return found, next_at

    async def _set_right(self) -> int:
        now = self.clock()
        return await self.database.change(claims.SET_RIGHT, {"now": now, "soon": now + SLACK})

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        now, held = self.clock(), (claim.item.key, claim.attempt)
        owner = self._held.get(held, "")  # "": a function that took too long may return after its claim was settled
        await self.database.do(lambda connection: claims.settle(connection, claim, settlement, now, owner))
        self._held.pop(held, None)
        if self._suspects.end(claim):
            self.lanes.wake()
        if settlement.state is State.READY:
            self.lanes.wake(settlement.due_at, claim.item.kind)

    async def give_back(self, claim: Claim) -> None:
        held = (claim.item.key, claim.attempt)
        given = {"key": claim.item.key, "attempt": claim.attempt, "now": self.clock(), "owner": self._held[held]}
        await self.database.change(claims.GIVE_BACK, given)
        del self._held[held]
        self._suspects.end(claim)
        self.lanes.wake()
