"""Workers that claim and settle when a test says so, by the test's clock, over each kind of store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore, claims
from ringback.work.items import Kind

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

    from ringback.stores import DeliveryStore
    from ringback.work.items import Claim, Settlement

T = TypeVar("T")

LEASE = 30.0


class Process(Protocol):
    """One process; ``owner`` is the name under which it claims, another one after each start."""

    store: DeliveryStore
    owner: str


class Bench:
    """A kind of store, in one loop for all examples. A store in memory has one process, which never dies."""

    mortal = False

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.now = 0.0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def stores(self) -> list[DeliveryStore]:
        """Fresh stores for another example."""
        return [MemoryStore(clock=lambda: self.now)]

    def worker(self, process: Process) -> Any:
        """What claims and settles."""
        return process.store

    async def claim(self, process: Process) -> Sequence[Claim]:
        claims: list[Claim] = []
        for kind in Kind:
            claims += (await self.worker(process).claim(4, kind))[0]
        return claims

    async def next_due(self, process: Process) -> float | None:
        found = [(await self.worker(process).claim(0, kind))[1] for kind in Kind]
        return min((due_at for due_at in found if due_at is not None), default=None)

    async def settle(self, process: Process, claim: Claim, settlement: Settlement) -> None:
        await self.worker(process).settle(claim, settlement)

    async def give_back(self, process: Process, claim: Claim) -> None:
        await self.worker(process).give_back(claim)

    async def renew(self, owners: Sequence[str]) -> None:
        """The processes that live renew their leases."""

    async def forget(self, owner: str) -> None:
        """The leases of the process end, though the process may go on."""

    async def close(self) -> None: ...


class SQLiteBench(Bench):
    mortal = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._stores = [SQLiteStore(path, lease=LEASE, min_free=0, clock=lambda: self.now) for _ in range(2)]

    def worker(self, process: Process) -> Any:
        return process.store.worker  # type: ignore[attr-defined]

    async def stores(self) -> list[DeliveryStore]:
        for statement in ("DELETE FROM items", "DELETE FROM contacts"):
            await self._stores[0]._database.change(statement, ())
        return [*self._stores]

    async def claim(self, process: Process) -> Sequence[Claim]:
        self.worker(process).owner = process.owner
        return await super().claim(process)

    async def renew(self, owners: Sequence[str]) -> None:
        for owner in owners:
            await self._stores[0]._database.change(claims.RENEW, (self.now + LEASE, owner))

    async def forget(self, owner: str) -> None:
        await self._stores[0]._database.change(claims.RENEW, (self.now, owner))

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


class PostgresBench(Bench):
    """Claims rows as a worker does, without the jobs that would wake a worker by a clock of PostgreSQL's own."""

    mortal = True

    def __init__(self, url: str) -> None:
        super().__init__()
        from ringback.stores.postgres import PostgresStore, claims

        self._claims: Any = claims
        self._stores: list[Any] = [PostgresStore(url, clock=lambda: self.now, timeout=10.0) for _ in range(2)]

    async def stores(self) -> list[DeliveryStore]:
        await self._do("TRUNCATE ringback_items, ringback_contacts, procrastinate_jobs CASCADE")
        self._leases = dict[tuple[str, str], float]()
        self._owners = dict[str, str]()
        return [*self._stores]

    async def _do(self, statement: str, *parameters: object) -> list[Any]:
        async def operation(connection: Any) -> list[Any]:
            done = await connection.execute(statement, parameters)
            return [] if done.description is None else await done.fetchall()

        found: list[Any] = await self._stores[0]._databases.do(operation)
        return found

    async def claim(self, process: Process) -> Sequence[Claim]:
        for (key, owner), until in [*self._leases.items()]:
            if until <= self.now:
                del self._leases[key, owner]
                await self._do(
                    "UPDATE ringback_items SET state = 'ready', interrupted = 2, owner = NULL, due_at = %s "
                    "WHERE key = %s AND state = 'running' AND owner = %s",
                    self.now,
                    key,
                    owner,
                )
        due = await self._do(
            "SELECT key, kind FROM ringback_items WHERE state = 'ready' AND due_at <= %s ORDER BY due_at LIMIT 4",
            self.now,
        )
        claims: list[Claim] = []
        store: Any = process.store
        store._worker = Owner(process.owner)
        for key, kind in due:
            claim = await store._databases.do(
                lambda connection, key=key, kind=kind: self._claims.claim(
                    connection, key, Kind(kind), process.owner, None, self.now
                )
            )
            self._leases[key, process.owner] = self.now + LEASE
            claims.append(claim)
        return claims

    async def next_due(self, _: Process) -> float | None:
        ((due_at,),) = await self._do("SELECT min(due_at) FROM ringback_items WHERE state = 'ready'")
        return due_at

    async def settle(self, process: Process, claim: Claim, settlement: Settlement) -> None:
        store: Any = process.store
        await store._databases.do(
            lambda connection: self._claims.settle(connection, claim, process.owner, settlement, self.now)
        )
        self._leases.pop((claim.item.key, process.owner), None)

    async def give_back(self, process: Process, claim: Claim) -> None:
        store: Any = process.store
        await store._databases.do(
            lambda connection: self._claims.give_back(connection, claim.item.key, process.owner, self.now)
        )

    async def renew(self, owners: Sequence[str]) -> None:
        self._leases |= {lease: self.now + LEASE for lease in self._leases if lease[1] in owners}

    async def forget(self, owner: str) -> None:
        self._leases |= {lease: self.now for lease in self._leases if lease[1] == owner}

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


class Owner:
    def __init__(self, name: str) -> None:
        self._name = name

    def owner_of(self, _: str) -> str:
        return self._name

    def look_at_redials(self, _: float | None = None) -> None:
        """The test looks when it says so."""
