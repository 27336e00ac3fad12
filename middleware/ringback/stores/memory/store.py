"""The store of an app that names none: the rules of the other stores, in dictionaries. A crash loses all items."""

from __future__ import annotations

import asyncio
import time
from collections import ChainMap
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from ringback.exceptions import StoreFull
from ringback.settings import refuse_for_store
from ringback.stores.claims import ClaimLoop
from ringback.stores.clocks import Jumps, jumped
from ringback.stores.memory.calls import MemoryCalls
from ringback.stores.memory.contacts import MemoryContacts
from ringback.stores.memory.deliveries import MemoryDeliveries
from ringback.stores.memory.letters import MemoryLetters, Row, waiting_in
from ringback.stores.query import settings_in
from ringback.work.contact_call import report_of
from ringback.work.items import REMEMBER_CALLS, Claim, Kind, Progress, State, Stats, whom
from ringback.work.keys import short
from ringback.work.latch import Latch, Offer, informed
from ringback.work.letters import Act, LetterChange, Standing
from ringback.work.pace import UNPACED, Lane, Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.core.outcome import Outcome
    from ringback.stores.memory.history import MemoryHistory
    from ringback.work.call_detail import Traces
    from ringback.work.contact import Change
    from ringback.work.deliveries import Counted
    from ringback.work.items import DeadLetter, Item, Settlement, Work
    from ringback.work.told import Told

T = TypeVar("T")


class MemoryStore:
    """Remembers the last ``capacity`` endings, dead letters and contacts, and all items that are ready or running.

    A put raises :class:`StoreFull` when ``max_backlog`` items are ready or running. ``elapsed`` gives seconds that
    nobody sets, beside the wall ``clock``. Raises :class:`ConfigurationError` for settings that cannot work.
    """

    durable = False

    def __init__(
        self,
        *,
        capacity: int = 10_000,
        max_backlog: int = 100_000,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] | None = None,
    ) -> None:
        for name, number in (("capacity", capacity), ("max_backlog", max_backlog)):
            refuse_for_store(name, number)
        self._max_backlog = max_backlog
        self._clock = clock
        self._jumps = Jumps(clock, elapsed)
        self._latch = Latch(capacity)
        self._rows: dict[str, Row] = {}
        self._heaps: dict[Kind, list[tuple[float, int, str]]] = {kind: [] for kind in Kind}
        self._lane, self._pace, self._deliveries = Lane(), UNPACED, MemoryDeliveries(REMEMBER_CALLS)
        self._pushed, self._hastened = 0, -1
        self._counts = dict.fromkeys((State.DONE, State.CANCELED), 0)
        self._letters = MemoryLetters(capacity, clock)
        self._contacts = MemoryContacts(capacity, clock)
        self._calls = MemoryCalls(capacity, self._contacts.all, ChainMap(self._rows, self._letters.dead))
        self._history: MemoryHistory | None = None
        self.watched = False
        """Whether somebody has read :attr:`history`: the dispatcher then puts outcomes that no hook waits for, too."""
        self.on_fault: Callable[[Exception], None] = lambda _: None
        self.on_blocked: Callable[[str | None, float], None] = lambda _, __: None
        self._lanes = ClaimLoop(
            self, *Kind, poll=None, flush=True, clock=clock, on_fault=lambda error: self.on_fault(error)
        )

    @property
    def history(self) -> MemoryHistory:
        # Imported and made by the first read: an app that reads no history pays nothing.
        from ringback.stores.memory.history import MemoryHistory

        work, dead = partial(waiting_in, self._rows), partial(waiting_in, self._letters.dead)
        about = self._contacts.all, self._calls, self._deliveries
        self._history = self._history or MemoryHistory(work, dead, *about)
        self.watched = True
        return self._history

    async def open(self) -> None:
        """Nothing to do."""

    @classmethod
    def from_url(cls, url: str) -> MemoryStore:
        """The store of ``memory``, which settings may follow, as in ``memory?max_backlog=1000``.

        Raises :class:`ConfigurationError` for a setting that the store does not know, or that cannot work.
        """
        return cls(**settings_in(url.partition("?")[2], {"capacity": int, "max_backlog": int}, "memory"))

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        if len(self._rows) >= self._max_backlog:
            raise StoreFull(
                f"{len(self._rows)} items wait in the memory of this process; at most {self._max_backlog} may; "
                "see that hooks return, or keep items in a store"
            )
        offers: list[Offer] = []
        dead, discarded = self._letters.dead, self._letters.discarded
        for item in items:
            outcome_id = item.outcome.outcome_id
            latched = self._latch.name_of(item.outcome, outcome_id)
            offer = self._latch.offer(item.outcome, latched)
            key = short(item.key)
            if latched is not outcome_id:
                key = short(informed(item.key))
            if offer is Offer.OPENED and (key in self._rows or key in dead or key in discarded):
                # The latch has forgotten the ending; the store has not.
                self._latch.take(latched)
                offer = Offer.DUPLICATE
            if offer is Offer.OPENED:
                kept = item if key is item.key else replace(item, key=key)
                self._rows[key] = row = Row(kept, item.due_at, self._clock(), latched)
                self._queue(key, row)
            elif offer is Offer.MERGED:
                row = self._rows[key]
                contact, target = whom((row.item.contact, row.item.target), (item.contact, item.target))
                row.item = replace(row.item, contact=contact, target=target)
            if item.contact is not None and (report := report_of(item.outcome)) is not None:
                known, late = self._contacts.known(item.contact), offer is Offer.DUPLICATE
                self._contacts.note(item.contact, known.noted(report, self._clock(), late=late))
            if self._history is not None:
                self._calls.put(key, item, offer, self._clock())
            offers.append(offer)
        if Offer.OPENED in offers:
            self._lanes.wake(min([item.due_at for item in items]), Kind.OUTCOME)
        return offers

    async def note(self, told: Sequence[Told]) -> None:
        for each in told:
            self._calls.note(each)

    async def count_deliveries(self, counted: Sequence[Counted]) -> None:
        self._deliveries.add(counted, self._clock())

    async def call(self, name: str) -> Traces | None:
        return self._calls.call(name)

    def recalled(self, outcome: Outcome) -> Traces | None:
        """What is known of the call of this outcome, without a search."""
        return self._calls.of(outcome)

    async def hasten(self, keys: Sequence[str]) -> None:
        self._hasten([(key, self._rows[key]) for key in map(short, keys) if key in self._rows], self._clock())

    def _hasten(self, items: Iterable[tuple[str, Row]], now: float) -> None:
        """Make those due that still wait for their siblings, behind the items that are due already."""
        for key, row in items:
            if not row.taken and row.due_at > now:
                row.due_at = now
                self._push(key, row)

    def _queue(self, key: str, row: Row) -> None:
        self._pushed += 1
        heappush(self._heaps[row.item.kind], (row.due_at, self._pushed, key))

    def _push(self, key: str, row: Row) -> None:
        self._queue(key, row)
        self._lanes.wake(row.due_at, row.item.kind)

    async def run(self, work: Work, concurrency: int, pace: Pace = UNPACED) -> None:
        self._pace = pace
        for key, row in self._rows.items():
            if row.state is State.RUNNING and row.loop is not None and row.loop.is_closed():
                # The worker's event loop is closed, so nobody will settle the item.
                row.state, row.interrupted = State.READY, True
                self._push(key, row)
        await self._lanes.run(work, concurrency)

    async def stop(self, timeout: float) -> int:
        """Work on every outcome first, also if its call still settles. The process's end loses retries and redials."""
        late = await self._lanes.stop(timeout)
        left = (row for row in self._rows.values() if row.state is State.READY and not row.interrupted)
        return late + sum(row.item.kind is Kind.OUTCOME for row in left)

    async def claim(self, limit: int, kind: Kind) -> tuple[Sequence[Claim], float | None]:
        now, heap = self._clock(), self._heaps[kind]
        if jump := self._jumps.look():
            self._follow_clock(jump, now)
        claims: list[Claim] = []
        if self._lanes.ending and self._pushed != self._hastened:
            self._hasten([each for each in self._rows.items() if each[1].item.kind is Kind.OUTCOME], now)
            self._hastened = self._pushed
        if kind is Kind.REDIAL:
            in_progress = 0 if self._pace.in_progress is None else self._in_progress(now)
            room = self._lane.room(self._pace, in_progress, now)
            limit = limit if room is None else min(limit, room)
        while heap and len(claims) < limit:
            due_at, _, key = heap[0]
            row = self._rows.get(key)
            if row is not None and row.state is State.READY and row.due_at == due_at:
                if due_at > now:
                    break
                claim = self._claimed(row)
                if claim is not None:
                    claims.append(claim)
            heappop(heap)
        next_at = None if self._lanes.ending or not heap else heap[0][0]
        if kind is Kind.REDIAL:
            self._lane = self._lane.after(self._pace, len(claims), now)
            next_at = self._lane.next_look(self._pace, next_at, now, full=not limit)
        return claims, next_at

    def _in_progress(self, now: float) -> int:
        """How many redials have begun and are not known to have ended."""
        redials = (row.item for row in self._rows.values() if row.state is State.RUNNING)
        running = {item.contact for item in redials if item.kind is Kind.REDIAL}
        # An event may tell of a call before the function that placed the call has returned: that is one redial.
        return len(running.union(name for name, known in self._contacts.all.items() if (known.busy_until or 0.0) > now))

    async def pause_redials(self, until: float) -> None:
        self._lane = self._lane.paused(until)

    def _follow_clock(self, jump: float, now: float) -> None:
        """After the wall clock was set back, let no outcome wait until it has caught up. A redial waits for a time."""
        waiting = [
            (key, row)
            for key, row in self._rows.items()
            if jump < 0 and row.item.kind is Kind.OUTCOME and row.state is State.READY and row.due_at > now
        ]
        for key, row in waiting:
            row.due_at = max(now, row.due_at + jump)
            self._push(key, row)
        self.on_fault(jumped(jump, len(waiting)))

    def _claimed(self, row: Row) -> Claim | None:
        if not row.taken and row.item.kind is Kind.OUTCOME:
            row.taken = True
            outcome = self._latch.take(row.latched)
            if outcome is None:
                # The end of a whole call, for which the latch has since let a leg's own end through.
                del self._rows[row.item.key]
                self._ended(row.item.key, State.CANCELED, row)
                self._counts[State.CANCELED] += 1
                return None
            row.item = row.item if outcome is row.item.outcome else replace(row.item, outcome=outcome)
        row.state, row.loop = State.RUNNING, asyncio.get_running_loop()
        row.attempts += 1
        interrupted, row.interrupted = row.interrupted, False
        progress = row.progress = row.progress if row.progress.before is None else row.progress.without_change()
        return Claim(row.item, row.attempts, redelivered=interrupted, progress=progress, put_at=row.put_at)

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        key = claim.item.key
        row = self._rows.get(key) or self._letters.dead.get(key)
        is_open = key in self._rows
        if row is None or (row.attempts != claim.attempt and not (is_open and settlement.state is State.DONE)):
            return
        if not is_open:
            self._rows[key] = self._letters.dead.pop(key)
        row.progress = settlement.progress
        contact = row.item.contact
        if settlement.call is not None and contact is not None:
            self._contacts.note(contact, settlement.noted_in(self._contacts.known(contact), key, self._clock()))
        if settlement.state is State.READY:
            row.state, row.due_at = State.READY, settlement.due_at
            self._push(key, row)
            return
        del self._rows[key]
        self._ended(key, settlement.state, row)
        if settlement.state is State.DEAD:
            row.reason, row.finished_at = settlement.reason or "", self._clock()
            self._letters.add(key, row)
        else:
            self._counts[State.DONE] += 1

    def _ended(self, key: str, state: State, row: Row) -> None:
        # Calls note items only from the first read of the history on.
        if self._history is not None:
            self._calls.settled(key, state, row)

    async def give_back(self, claim: Claim) -> None:
        row = self._rows[claim.item.key]
        row.state, row.interrupted, row.due_at = State.READY, True, self._clock()
        self._push(claim.item.key, row)

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        row = self._rows.get(short(key))
        if row is None or row.state is not State.RUNNING:
            return False
        row.progress = progress
        return True

    async def change(self, contact: str, step: Change[T]) -> T | None:
        made = step(self._contacts.known(contact))
        if made.checkpoint is not None and not await self.checkpoint(*made.checkpoint):
            return None
        if made.put is not None:
            item = replace(made.put, key=short(made.put.key), contact=contact)
            self._rows[item.key] = row = Row(item, item.due_at, self._clock())
            self._push(item.key, row)
        for key in made.cancel:
            if key in self._rows and self._rows[key].state is State.READY:
                del self._rows[key]
                self._counts[State.CANCELED] += 1
        for key in made.hasten:
            if key in self._rows and self._rows[key].state is State.READY:
                self._rows[key].due_at = min(self._rows[key].due_at, self._clock())
                self._push(key, self._rows[key])
        self._contacts.note(contact, made.contact)
        return made.result

    async def stats(self) -> Stats:
        rows = list(self._rows.values())
        ready = [row for row in rows if row.state is State.READY]
        due = [row.due_at for row in ready]
        return Stats(
            ready=len(ready),
            running=len(rows) - len(ready),
            dead=len(self._letters.dead),
            done=self._counts[State.DONE],
            canceled=self._counts[State.CANCELED],
            redials=sum(row.item.kind is Kind.REDIAL for row in ready),
            oldest_due=max(0.0, self._clock() - min(due, default=self._clock())),
            redials_in_progress=self._in_progress(self._clock()),
            redials_paused=max(0.0, self._lane.paused_until - self._clock()),
        )

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        return self._letters.newest(limit)

    async def replay(self, key: str) -> bool:
        return bool(await self.change_letters([key], LetterChange(Act.REPLAY, self._clock())))

    async def discard(self, key: str) -> bool:
        return bool(await self.change_letters([key], LetterChange(Act.DISCARD, self._clock())))

    async def change_letters(self, keys: Sequence[str], change: LetterChange) -> Sequence[str]:
        changed = self._letters.change(keys, change)
        for key, row in changed:
            if change.act is Act.DISCARD:
                self._counts[State.CANCELED] += 1
                self._ended(key, State.CANCELED, row)
                continue
            self._rows[key] = row
            self._queue(key, row)
            if (contact := row.item.contact) is not None:
                self._contacts.note(contact, self._contacts.known(contact).replayed(key, change.due_at))
        self._lanes.wake()
        return [key for key, _ in changed]

    async def take_back(self, change: LetterChange) -> int:
        found = self._letters.take_back(self._rows, change)
        for key, row in found:
            if (contact := row.item.contact) is not None:
                self._contacts.note(contact, self._contacts.known(contact).taken_back(key))
            self._ended(key, State.DEAD, row)
        if change.act is Act.DISCARD:
            self._counts[State.CANCELED] -= len(found)
        return len(found)

    async def standing(self, change: LetterChange) -> Standing:
        return self._letters.standing(self._rows, change)

    async def purge(self) -> int:
        """Nothing to do: the store does not keep items that are done."""
        return 0

    async def close(self) -> None:
        """Nothing to do."""
