"""The store of a process that was given none: the same rules, in dictionaries. A crash loses what waits in it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextvars import Context, copy_context
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ringback.latch import Latch, Offer, remember
from ringback.redial import Planned
from ringback.stores._memory_history import MemoryHistory
from ringback.stores.claims import ClaimLoop
from ringback.stores.history import Waiting
from ringback.stores.port import REMEMBER_CALLS, CallRecord, Claim, DeadLetter, Item, Kind, Progress, State, Stats
from ringback.stores.record import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.redial import Plan
    from ringback.stores.port import Decide, Redial, Settlement, Work


class _Row(Struct):
    item: Item
    context: Context
    due_at: float
    loop: asyncio.AbstractEventLoop | None = None
    state: State = State.READY
    attempts: int = 0
    taken: bool = False
    interrupted: bool = False
    progress: Progress = Progress()
    reason: str = ""
    finished_at: float = 0.0


@dataclass(slots=True)
class _Call:
    at: float
    leg: str | None


class MemoryStore:
    """Remembers the last ``capacity`` endings, dead letters and contacts; what waits or runs is never forgotten."""

    @property
    def durable(self) -> bool:
        return False

    def __init__(self, *, capacity: int = 10_000, clock: Callable[[], float] = time.time) -> None:
        self._capacity = capacity
        self._clock = clock
        self._latch = Latch(capacity)
        self._rows: dict[str, _Row] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._pushed = 0
        self._hastened = -1
        self._counts = dict.fromkeys((State.DONE, State.CANCELED), 0)
        self._dead: OrderedDict[str, _Row] = OrderedDict()
        self._planned: OrderedDict[str, None] = OrderedDict()
        self._calls: OrderedDict[str, dict[str, _Call]] = OrderedDict()
        self._redials: dict[str, set[str]] = {}
        self._history: MemoryHistory | None = None
        self.watched = False
        """Whether somebody asked for the history: then it matters what is put, also if no hook waits for it."""
        self.on_fault: Callable[[Exception], None] = lambda _: None
        self._loop = ClaimLoop(self, poll=None, flush=True, clock=clock, on_fault=self._told)

    @property
    def history(self) -> MemoryHistory:
        # Not before: who never asks pays nothing.
        self._history = self._history or MemoryHistory(self._capacity, self._waiting)
        self.watched = True
        return self._history

    def _waiting(self) -> Iterable[Waiting]:
        for key, row in self._rows.items():
            item = row.item
            yield Waiting(
                key,
                item.kind,
                row.state,
                row.due_at,
                row.attempts,
                item.outcome,
                item.contact,
                item.target,
                item.number,
            )

    async def open(self) -> None:
        """Nothing to do."""

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        offers: list[Offer] = []
        context: Context | None = None
        for item in items:
            offer = self._latch.offer(item.outcome)
            key = short(item.key)
            if offer is Offer.OPENED and (key in self._rows or key in self._dead):
                # Forgotten by the latch, but not yet done with.
                self._latch.take(item.outcome.outcome_id)
                offer = Offer.DUPLICATE
            if offer is Offer.OPENED:
                if context is None:
                    # One for all: each is worked on in a copy.
                    context = copy_context()
                self._keep(key, _Row(item if key is item.key else replace(item, key=key), context, item.due_at))
            if self._history is not None:
                self._history.put(key, item, offer, self._clock())
            offers.append(offer)
        if context is not None:
            self._loop.wake(min([item.due_at for item in items]))
        return offers

    def _keep(self, key: str, row: _Row) -> None:
        self._rows[key] = row
        if row.item.kind is Kind.REDIAL and row.item.contact is not None:
            self._redials.setdefault(row.item.contact, set()).add(key)
        self._queue(key, row.due_at)

    def _drop(self, key: str) -> _Row:
        row = self._rows.pop(key)
        if row.item.kind is Kind.REDIAL and row.item.contact is not None:
            of_contact = self._redials[row.item.contact]
            of_contact.discard(key)
            if not of_contact:
                del self._redials[row.item.contact]
        return row

    def _queue(self, key: str, due_at: float) -> None:
        self._pushed += 1
        heappush(self._heap, (due_at, self._pushed, key))

    def _push(self, key: str, due_at: float) -> None:
        self._queue(key, due_at)
        self._loop.wake(due_at)

    async def run(self, work: Work, concurrency: int) -> None:
        for key, row in self._rows.items():
            if row.state is State.RUNNING and row.loop is not None and row.loop.is_closed():
                # It will not be heard of again.
                row.state, row.interrupted = State.READY, True
                self._push(key, row.due_at)
        await self._loop.run(work, concurrency)

    async def stop(self, timeout: float) -> int:
        """Work on every outcome first, settled or not. Retries and redials to come are lost with the process."""
        late = await self._loop.stop(timeout)
        left = (row for row in self._rows.values() if row.state is State.READY and not row.interrupted)
        return late + sum(row.item.kind is Kind.OUTCOME for row in left)

    def _told(self, error: Exception) -> None:
        self.on_fault(error)

    async def claim(self, limit: int) -> tuple[Sequence[Claim], float | None]:
        now = self._clock()
        claims: list[Claim] = []
        if self._loop.ending and self._pushed != self._hastened:
            self._hasten(now)
            self._hastened = self._pushed
        while self._heap and len(claims) < limit:
            due_at, _, key = self._heap[0]
            row = self._rows.get(key)
            if row is not None and row.state is State.READY and row.due_at == due_at:
                if due_at > now:
                    break
                claim = self._claimed(row)
                if claim is not None:
                    claims.append(claim)
            heappop(self._heap)
        return claims, None if self._loop.ending or not self._heap else self._heap[0][0]

    def _hasten(self, now: float) -> None:
        """Make outcomes due that still wait for their siblings; whatever is due before them stays where it is."""
        for key, row in self._rows.items():
            if row.item.kind is Kind.OUTCOME and not row.taken and row.due_at > now:
                row.due_at = now
                self._push(key, now)

    def _claimed(self, row: _Row) -> Claim | None:
        if not row.taken and row.item.kind is Kind.OUTCOME:
            row.taken = True
            outcome = self._latch.take(row.item.outcome.outcome_id)
            if outcome is None:
                # The whole call's end, that a leg has told better since.
                self._drop(row.item.key)
                self._counts[State.CANCELED] += 1
                return None
            row.item = replace(row.item, outcome=outcome)
        row.state, row.loop = State.RUNNING, asyncio.get_running_loop()
        row.attempts += 1
        interrupted, row.interrupted = row.interrupted, False
        return Claim(row.item, row.attempts, redelivered=interrupted, progress=row.progress)

    def context(self, claim: Claim) -> Context:
        return self._rows[claim.item.key].context.copy()

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        key = claim.item.key
        row = self._rows[key]
        row.progress = settlement.progress
        if settlement.leg is not None and row.item.contact is not None:
            self._bind(row.item.contact, key, settlement.leg)
        if settlement.state is State.READY:
            row.state, row.due_at = State.READY, settlement.due_at
            self._push(key, row.due_at)
            return
        self._drop(key)
        self._ended(key, settlement.state)
        if settlement.state is State.DEAD:
            row.reason, row.finished_at = settlement.reason or "", self._clock()
            remember(self._dead, key, row, self._capacity)
        else:
            self._counts[State.DONE] += 1

    def _ended(self, key: str, state: State) -> None:
        if self._history is not None:
            self._history.settled(key, state)

    async def give_back(self, claim: Claim) -> None:
        row = self._rows[claim.item.key]
        row.state, row.interrupted, row.due_at = State.READY, True, self._clock()
        self._push(claim.item.key, row.due_at)

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        row = self._rows.get(short(key))
        if row is None or row.state is not State.RUNNING:
            return False
        row.progress = progress
        return True

    async def plan(self, redial: Redial, decide: Decide) -> Plan | None:
        item = replace(redial.item, key=short(redial.item.key), contact=redial.contact)
        calls = self._calls_of(redial.contact)
        self._note(calls, redial.leg or item.key, redial.leg)
        if item.key in self._planned or self._redials_to_come(redial.contact):
            return None
        plan = decide([CallRecord(key, call.at) for key, call in sorted(calls.items(), key=lambda each: each[1].at)])
        if isinstance(plan, Planned):
            remember(self._planned, item.key, None, self._capacity)
            calls[item.key] = _Call(plan.at, None)
            self._keep(item.key, _Row(replace(item, due_at=plan.at, number=plan.number), copy_context(), plan.at))
            self._loop.wake(plan.at)
        return plan

    async def cancel(self, contact: str, leg: str | None = None) -> int:
        calls = self._calls_of(contact)
        if leg is not None:
            self._note(calls, leg, leg)
        waiting = self._redials_to_come(contact)
        for key in waiting:
            if self._drop(key).attempts == 0:
                # Begun, it may have been a call, and counts as one.
                calls.pop(key, None)
        self._counts[State.CANCELED] += len(waiting)
        return len(waiting)

    def _redials_to_come(self, contact: str) -> Sequence[str]:
        """Several, if one is to be tried again: while that was being tried, the next could be planned."""
        return [key for key in self._redials.get(contact, ()) if self._rows[key].state is State.READY]

    def _calls_of(self, contact: str) -> dict[str, _Call]:
        old = self._clock() - REMEMBER_CALLS
        calls = {key: call for key, call in self._calls.pop(contact, {}).items() if call.at > old}
        remember(self._calls, contact, calls, self._capacity)
        return calls

    def _note(self, calls: dict[str, _Call], key: str, leg: str | None) -> None:
        """Count the call that has ended, unless it is one that a redial has placed."""
        now = self._clock()
        if leg is not None:
            if any(call.leg == leg for call in calls.values()):
                return
            for call in sorted(calls.values(), key=lambda call: call.at):
                if call.leg is None and call.at <= now:
                    call.leg = leg
                    return
        calls.setdefault(f"leg:{key}", _Call(now, leg))

    def _bind(self, contact: str, key: str, leg: str) -> None:
        calls = self._calls_of(contact)
        calls.pop(f"leg:{leg}", None)
        if key in calls:
            calls[key].leg = leg

    async def stats(self) -> Stats:
        rows = list(self._rows.values())
        ready = [row for row in rows if row.state is State.READY]
        due = [row.due_at for row in ready]
        return Stats(
            ready=len(ready),
            running=len(rows) - len(ready),
            dead=len(self._dead),
            done=self._counts[State.DONE],
            canceled=self._counts[State.CANCELED],
            redials=sum(row.item.kind is Kind.REDIAL for row in ready),
            oldest_due=max(0.0, self._clock() - min(due, default=self._clock())),
        )

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        newest = list(reversed(self._dead.items()))[:limit]
        return [
            DeadLetter(
                key,
                row.item.kind,
                row.item.outcome,
                row.attempts,
                row.reason,
                row.finished_at,
                row.progress,
                row.item.target,
            )
            for key, row in newest
        ]

    async def replay(self, key: str) -> bool:
        key = short(key)
        row = self._dead.pop(key, None)
        if row is None:
            return False
        row.progress = row.progress.replayed()
        row.state, row.attempts, row.due_at = State.READY, 0, self._clock()
        self._keep(key, row)
        self._loop.wake()
        return True

    async def discard(self, key: str) -> bool:
        if self._dead.pop(short(key), None) is None:
            return False
        self._counts[State.CANCELED] += 1
        self._ended(short(key), State.CANCELED)
        return True

    async def purge(self) -> int:
        """Nothing to do: what is done is not kept."""
        return 0

    async def close(self) -> None:
        """Nothing to do."""
