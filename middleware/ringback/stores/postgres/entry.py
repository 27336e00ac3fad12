"""The entry by which a worker says that it lives, and the house that every worker keeps for all: repairs and purges."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringback.exceptions import StoreError
from ringback.stores.claims import PURGE_EVERY
from ringback.stores.leases import Pulse, Touch
from ringback.stores.postgres import claims, repair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ringback.stores.clocks import Jumps
    from ringback.stores.postgres.database import Connection, Database
    from ringback.stores.postgres.databases import Databases
    from ringback.stores.postgres.jobs import Jobs


@dataclass(eq=False, kw_only=True)
class Entry:
    """Says that the worker lives, and lets nothing wait for a clock. Times are seconds, see ``PostgresStore``."""

    databases: Databases
    jobs: Jobs
    lease: float
    purge: Callable[[], Awaitable[object]]
    clock: Callable[[], float]
    jumps: Jumps
    sleep: Callable[[float], Awaitable[None]]
    on_fault: Callable[[Exception], None]
    on_blocked: Callable[[str | None, float], None]
    id: int | None = None
    """The entry's id; ``None`` before the first :meth:`renew`, and after :meth:`leave`."""
    _in_touch: bool = False
    _purged_at: float = -math.inf
    database: Database = field(init=False)
    pulse: Pulse = field(init=False)

    def __post_init__(self) -> None:
        self._touch = Touch(self.lease)
        self.jumps.is_followed = False

    def start(self) -> None:
        """Keep the entry also while the running event loop stands still."""
        self.pulse = Pulse(self.lease, lambda: self.databases.beat_alone(self.id), self.on_blocked)

    async def keep_house(self) -> None:
        """Renew the entry three times within a lease, repair what dead workers have left, and purge."""
        while True:
            try:
                if self._touch.for_a_lease(await self.renew()):
                    await self.database.do(self._repair)
                now = asyncio.get_running_loop().time()
                if now >= self._purged_at + PURGE_EVERY:
                    await self.purge()
                    self._purged_at = now
            except StoreError as error:
                self.on_fault(error)
            await self.sleep(self.lease / 3)

    async def renew(self) -> float:
        """Renew the entry, or make one. Gives PostgreSQL's time."""
        in_touch, self._in_touch = self._in_touch, False
        _, self.database = await self.databases.open()
        self.id, theirs = await self.database.do(lambda connection: repair.beat(connection, self.id))
        self.jobs.set_clock(theirs)
        if not in_touch:
            self._touch.lost(theirs)
        self._touch.renewed(theirs)
        self._in_touch = True
        self.pulse.beat()
        if not self.jumps.is_followed:
            await self.follow_clock()
        return theirs

    async def follow_clock(self) -> None:
        async def set_right(connection: Connection) -> int:
            now = self.clock()
            due = await claims.set_right(connection, now)
            await self.jobs.defer(connection, due, now)
            return len(due)

        await self.jumps.follow(lambda: self.database.do(set_right), self.on_fault)

    async def _repair(self, connection: Connection) -> None:
        keys = await repair.repair(connection, self.lease, self.clock())
        await self.jobs.defer_now(connection, keys)

    async def leave(self) -> None:
        """Delete the entry, so that others take over without waiting."""
        worker, self.id = self.id, None
        if worker is not None:
            try:
                await self.database.do(lambda connection: repair.leave(connection, worker))
            except StoreError as error:
                self.on_fault(error)
