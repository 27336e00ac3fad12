"""A redial programme by a simulated clock: an evening of calls that failed, a night, an outage, several processes.

Whatever happens, redials are placed no faster than the pace, in the hours, below every cap, and fairly. The processes
share one store and take turns; each event comes to a process of the simulation's choice.
"""

from __future__ import annotations

import heapq
import itertools
import os
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from dispatching import Recorder, told
from ringback import HookPolicy, Pace, RedialPolicy
from ringback.core.events import Result
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.router import HandlerRouter
from ringback.stores.sqlite import SQLiteStore
from ringback.work.items import Claim, Kind, Settlement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from ringback.core.outcome import Outcome
    from ringback.work.delivery_store import DeliveryStore

pytestmark = pytest.mark.untraced

CONTACTS = int(5000 * float(os.environ.get("RINGBACK_CRASH_SCALE", "0.02")))
BERLIN = ZoneInfo("Europe/Berlin")
EVENING = datetime(2026, 6, 5, 18, 30, tzinfo=BERLIN).timestamp()
"""A Friday."""
OUTAGE = datetime(2026, 6, 6, 10, 0, tzinfo=BERLIN).timestamp()
OUTAGE_ENDS = OUTAGE + 300.0
"""The service throttles when the hours of Saturday begin."""
PACE = Pace(per_second=CONTACTS / 1000, in_progress=CONTACTS // 25)
"""So slow that what is due when the hours begin takes twenty minutes and more."""
POLICY = RedialPolicy(
    hours={"mon-fri": ("09:00", "20:00"), "sat": ("10:00", "14:00")},
    delays={"busy": [1800, 3600], "no_answer": 3600},
    max_attempts=4,
    max_per_day=2,
    caps=[(3, 2 * 86_400)],
    rest_after_answer=30 * 86_400,
)
ENDS = {
    "busy": Result(486, 560486),
    "no_answer": Result(480, 560480),
    "carrier_error": Result(503, 560503),
    "answered": Result(200, 0),
}


class Throttled(Exception):
    """The 429 of the service."""

    status_code = 429
    response = SimpleNamespace(headers={"Retry-After": "60"})


@dataclass(eq=False)
class Programme:
    """The world outside: the contacts, the service and the clock."""

    now: float = EVENING
    random: Random = field(default_factory=lambda: Random(5))
    placed: list[tuple[float, str]] = field(default_factory=list)
    """When a redial was placed, and to whom."""
    due: dict[str, float] = field(default_factory=dict)
    """When the redial that waits for a contact was first due."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    in_progress: set[str] = field(default_factory=set)
    most: int = 0
    whose: dict[str | None, str] = field(default_factory=dict)
    _events: list[tuple[float, int, Outcome]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def begin(self) -> None:
        for number in range(CONTACTS):
            contact = f"contact-{number}"
            self._call(contact, EVENING + self.random.random() * 5400.0, ["busy", "no_answer", "carrier_error"])

    def _call(self, contact: str, at: float, ways: Sequence[str]) -> str:
        leg = f"leg-{next(self._numbers)}"
        self.whose[leg] = contact
        way = self.random.choices(ways, [3, 5, 1, 3][: len(ways)])[0]
        if way == "answered":
            self._tell(at + 15.0, told("CallConnected", leg, Result(200, 0)))
        self._tell(at + 30.0 + 60.0 * self.random.random(), told("CallDisconnected", leg, ENDS[way]))
        return leg

    def _tell(self, at: float, outcome: Outcome) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), outcome))

    def next_event(self) -> float | None:
        return self._events[0][0] if self._events else None

    def event(self) -> Outcome | None:
        """The event that has come by now."""
        if not self._events or self._events[0][0] > self.now:
            return None
        outcome = heapq.heappop(self._events)[2]
        if outcome.event_name == "CallDisconnected":
            self.in_progress.discard(outcome.call_connection_id or "")
        return outcome

    async def dial(self, contact: str) -> str:
        """The service: it throttles during the outage."""
        if OUTAGE <= self.now < OUTAGE_ENDS:
            raise Throttled
        self.placed.append((self.now, contact))
        self.calls[contact] += 1
        if contact in self.due:
            due = self.due.pop(contact)
            self.waits.append((due, self.now - due))
        leg = self._call(contact, self.now, list(ENDS))
        self.in_progress.add(leg)
        self.most = max(self.most, len(self.in_progress))
        return leg


class Watch(Recorder):
    def __init__(self, programme: Programme) -> None:
        super().__init__()
        self._programme = programme

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None:  # noqa: ARG002
        self._programme.due[self._programme.whose[outcome.call_connection_id]] = at

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception, attempt: int, retry_in: float | None) -> None:
        if not isinstance(error, Throttled):
            super().hook_failed(outcome, hook, error, attempt, retry_in)


class Process:
    """A dispatcher over the shared store, which works when the simulation says so."""

    def __init__(self, programme: Programme, store: DeliveryStore) -> None:
        router = HandlerRouter()
        router.redial(
            contact=lambda outcome: programme.whose.get(outcome.call_connection_id), policy=POLICY, time_zone=BERLIN
        )(dial_of(programme))
        self.store: Any = store
        self.watch = Watch(programme)
        hooks = HookPolicy(attempts=8, jitter=0)
        self.dispatcher = Dispatcher(
            router,
            self.watch,
            store=store,
            hooks=hooks,
            clock=lambda: programme.now,
            random=programme.random.random,
        )
        self.dispatcher._work_here = lambda: None  # type: ignore[method-assign]

    async def claim(self, kind: Kind) -> tuple[Sequence[Claim], float | None]:
        self.store.worker.pace = PACE
        claims: tuple[Sequence[Claim], float | None] = await self.store.worker.claim(50, kind)
        return claims

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        await self.store.worker.settle(claim, settlement)


def dial_of(programme: Programme) -> Callable[[str], Awaitable[str]]:
    async def dial(contact: str) -> str:
        return await programme.dial(contact)

    return dial


class PostgresProcess(Process):
    """Claims as a worker does, without jobs, which would wake it by PostgreSQL's own clock."""

    def __init__(self, programme: Programme, store: DeliveryStore, number: int) -> None:
        super().__init__(programme, store)
        self._programme, self._owner = programme, f"{number}.0"
        self._number = number
        self.store._worker = SimpleNamespace(owner_of=lambda _: self._owner, look_at_redials=lambda *_: None)

    async def claim(self, kind: Kind) -> tuple[Sequence[Claim], float | None]:
        from ringback.stores.postgres import claims, redials

        now = self._programme.now

        async def claim(connection: Any) -> tuple[Sequence[Claim], float | None]:
            await connection.execute("UPDATE simulated.clock SET at = %s", (now,))
            if kind is Kind.REDIAL:
                one = partial(claims.claim, connection, kind=kind, owner=self._owner, worker=self._number, now=now)
                return await redials.claim(connection, PACE, 50, self._owner, self._number, now, one)
            found = await connection.execute(
                "SELECT key FROM ringback_items WHERE state = 'ready' AND kind = 'outcome' AND due_at <= %s "
                "ORDER BY due_at LIMIT 50",
                (now,),
            )
            keys = [key for (key,) in await found.fetchall()]
            some = [await claims.claim(connection, key, kind, self._owner, self._number, now) for key in keys]
            due = await connection.execute(
                "SELECT min(due_at) FROM ringback_items WHERE state = 'ready' AND kind = 'outcome'"
            )
            ((due_at,),) = await due.fetchall()
            return [claim for claim in some if claim is not None], due_at

        result: tuple[Sequence[Claim], float | None] = await self.store._databases.do(claim)
        return result

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        from ringback.stores.postgres import claims

        await self.store._databases.do(
            lambda connection: claims.settle(connection, claim, self._owner, settlement, self._programme.now)
        )


async def run(programme: Programme, processes: Sequence[Process]) -> None:
    """Events and redials in the order of time, until neither is to come."""
    programme.begin()
    while True:
        while (outcome := programme.event()) is not None:
            await programme.random.choice(processes).dispatcher.accept([outcome])
        following: list[float] = []
        worked = False
        for kind in Kind:
            process = programme.random.choice(processes)
            claims, next_at = await process.claim(kind)
            worked = worked or bool(claims)
            for claim in claims:
                await process.settle(claim, await process.dispatcher._work(claim))
            following += [] if next_at is None else [next_at]
        if worked:
            continue
        event_at = programme.next_event()
        following += [] if event_at is None else [event_at]
        if not following:
            return
        programme.now = max(min(following), programme.now + 0.001)


def check(programme: Programme, processes: Sequence[Process]) -> None:
    times = [at for at, _ in programme.placed]
    assert len(times) > CONTACTS / 2
    # The pace: in any ten seconds, and at any time.
    for start, at in enumerate(times):
        assert sum(other < at + 9.999 for other in times[start:]) <= max(1.0, 10 * (PACE.per_second or 0))
    assert programme.most <= (PACE.in_progress or 0)
    # The hours, on the clock of the contact.
    for at in times:
        local = datetime.fromtimestamp(at, UTC).astimezone(BERLIN)
        opens, closes = (10, 14) if local.weekday() == 5 else (9, 20)
        assert local.weekday() != 6
        assert opens <= local.hour < closes
    # The caps of each contact; the first call is not among the redials.
    by_contact: dict[str, list[float]] = defaultdict(list)
    for at, contact in programme.placed:
        by_contact[contact].append(at)
    for calls in by_contact.values():
        assert len(calls) + 1 <= 4
        for first, second, third in zip(calls, calls[1:], calls[2:], strict=False):
            assert third - first >= 86_400.0 - 0.001
            assert second > first
    # Fairness: the last of a queue waits twice the median; redials that were due later in the hour lower the median.
    hours: dict[int, list[float]] = defaultdict(list)
    for due, wait in programme.waits:
        hours[int(due // 3600)].append(wait)
    for waits in hours.values():
        if len(waits) >= 20:
            assert max(waits) <= max(2.5 * statistics.median(waits), 60.0)
    assert [line for process in processes for line in process.watch.told if line[0] in ("failed", "store")] == []


async def test_a_programme_on_sqlite_with_two_processes(tmp_path: Path) -> None:
    programme = Programme()
    stores = [
        SQLiteStore(tmp_path / "ringback.db", min_free=0, clock=lambda: programme.now, timeout=30.0) for _ in range(2)
    ]
    processes = [Process(programme, store) for store in stores]
    for number, store in enumerate(stores):
        await store.open()
        store.worker.owner = f"process-{number}"
    await run(programme, processes)
    check(programme, processes)
    assert (await stores[0].stats()).redials == 0
    for store in stores:
        await store.close()


async def test_a_programme_on_postgresql_with_three_processes(postgres: Any) -> None:
    import psycopg

    from ringback.stores.postgres import PostgresStore

    # Of its own, for it stays with the other clock.
    url = postgres.fresh()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE SCHEMA simulated; CREATE TABLE simulated.clock (at float8); INSERT INTO simulated.clock VALUES (0);"
            "CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
            "'SELECT to_timestamp(at) FROM simulated.clock'"
        )
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET search_path = simulated, pg_catalog, public".encode())
    programme = Programme()
    stores = [PostgresStore(url, timeout=30.0, clock=lambda: programme.now) for _ in range(3)]
    processes = [PostgresProcess(programme, store, number) for number, store in enumerate(stores, start=1)]
    await stores[0].open()
    await run(programme, processes)
    check(programme, processes)
    assert (await stores[0].stats()).redials == 0
    for store in stores:
        await store.close()
