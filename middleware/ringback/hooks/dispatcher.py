"""Takes outcomes from a door, keeps them in a store, and calls their hooks: once a call, in all that share the store.

A store on a disk has the outcomes before the sender gets an answer. Without one, outcomes wait in the memory of one
process, and "once" holds in that process alone.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.exceptions import StoreError, StoreUnavailable
from ringback.hooks.attempt import STORE_PAUSE, HookCaller, described
from ringback.hooks.call_ends import CallEnds, RecentEnds
from ringback.hooks.checked_store import checked_store
from ringback.hooks.contacts import Asking
from ringback.hooks.invoke import hook_of
from ringback.hooks.names import refuse_mixed_up
from ringback.hooks.notebook import Notebook
from ringback.hooks.overheard import Overheard
from ringback.hooks.planning import LeaseLost, say_of
from ringback.hooks.processes import serving
from ringback.hooks.redial_attempt import RedialCaller
from ringback.hooks.signatures import is_async
from ringback.logs import bound_ids
from ringback.stores import MemoryStore
from ringback.work.contact import Contact
from ringback.work.contact_call import CONNECTED, CallState
from ringback.work.items import Item, Kind, Settlement, State
from ringback.work.latch import Offer
from ringback.work.pace import UNPACED
from ringback.work.policy import HookPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.core.outcome import Outcome
    from ringback.hooks.observer import Gauge, Observer
    from ringback.hooks.router import HandlerRouter
    from ringback.settings import OnStoreFailure
    from ringback.work.delivery_store import DeliveryStore
    from ringback.work.items import Claim
    from ringback.work.pace import Pace

SETTLE = 1.0
"""Seconds that the end of a call waits for its sibling event before its hooks are called."""

GRACE = 0.75
"""Seconds beyond its time-out that :meth:`Dispatcher.drain` takes at most."""

IN_MEMORY = HookPolicy(retry_errors=False, concurrency=256)
"""How hooks are called without a store: an exception is reported, and the hook is not called again."""


class _Runner(Struct, eq=False):
    """A worker in one event loop. ``stopping`` is set when the worker has to stop."""

    task: asyncio.Task[None]
    stopping: asyncio.Event
    loop: asyncio.AbstractEventLoop

    @property
    def gone(self) -> bool:
        return self.task.done() or self.loop.is_closed()


class Dispatcher:
    """Takes outcomes, keeps them in a store, and calls the router's hooks for every outcome.

    The end of a call waits ``settle`` seconds for its sibling event, and an operation at most that long for the end of
    the response; then the hooks run in the order of registration. A hook that raises stops no other hook; ``hooks``
    says whether the hook is called again. ``store`` is a URL or a store; with ``None`` outcomes wait in memory, and are
    lost when the process dies. With ``worker`` false this process only persists outcomes, and another process calls the
    hooks.

    If the store cannot be used, :meth:`accept` raises, so that the door can ask the sender to try again;
    with ``on_store_failure="inline"`` the dispatcher keeps the outcomes in memory instead. It then ``stands_in`` for a
    store, and places no redials, because what is known of contacts is in the store.
    """

    def __init__(
        self,
        router: HandlerRouter,
        observer: Observer,
        *,
        store: str | DeliveryStore | None = None,
        settle: float = SETTLE,
        hooks: HookPolicy | None = None,
        on_store_failure: OnStoreFailure = "refuse",
        worker: bool = True,
        telemetry: Gauge | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = random.random,
        stands_in: Overheard | None = None,
    ) -> None:
        given = checked_store(store, settle, hooks, on_store_failure, worker, telemetry)
        self.store = MemoryStore(clock=clock) if given is None else given
        if self.store.durable:
            # The store may be another one than the router's, as that of `ringback worker`.
            refuse_mixed_up(router.roster, stored=True)
        self._memory_is_chosen = store is not None
        self._router = router
        self._gauge = None if telemetry is None else telemetry.over(self.store)
        # The fallback makes a gauge of its own, so it gets the observer that does not measure.
        plain, observer = observer, observer if self._gauge is None else self._gauge.observing(observer)
        self._observer = observer
        self.settle = settle
        """Seconds that the end of a call waits for its sibling event."""
        self._clock = clock
        self._policy = hooks or (HookPolicy() if self.store.durable else IN_MEMORY)
        self._worker = worker
        self._pace = pace or UNPACED
        self._overheard = Overheard() if stands_in is None else stands_in
        self.notebook = Notebook(self.store, observer.store_unavailable, clock)
        """Notes for the records of calls."""
        self._ends = CallEnds(self.store, observer, self._gauge, self.notebook, clock)
        around = router, observer, self.store, self._policy, clock, random, self._gauge, self._overheard
        self._hooks = HookCaller(*around, blind=stands_in is not None, ends=self._ends)
        self._redials = RedialCaller(*around)
        self._recent = RecentEnds()
        self._warns = False
        self._runners: set[_Runner] = set()
        self._last: _Runner | None = None
        self._fallback: Dispatcher | None = None
        if on_store_failure == "inline" and self.store.durable:
            self._fallback = Dispatcher(
                router,
                plain,
                settle=settle,
                hooks=hooks or IN_MEMORY,
                telemetry=telemetry,
                pace=pace,
                clock=clock,
                random=random,
                stands_in=self._overheard,
            )
        self.store.on_fault = observer.store_unavailable
        self.store.on_blocked = lambda task, seconds: observer.loop_blocked(hook_of(task), seconds)
        router.attach(self)

    @property
    def in_memory(self) -> Dispatcher | None:
        """The dispatcher whose outcomes wait in memory: this one, or its fallback; ``None`` if there is none."""
        return self._fallback if self.store.durable else self

    @property
    def is_working(self) -> bool | None:
        """Whether a worker runs in this process; ``None`` if none is to run here, or none has been needed yet."""
        if not self._worker or (self._last is None and not self.store.durable):
            return None
        return self._last is not None and not self._last.gone

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the worker that ran last. This loop may be closed by now."""
        return None if self._last is None else self._last.loop

    async def start(self) -> None:
        """Opens the store and starts a worker, before the first delivery.

        Raises :class:`StoreError` for a store that cannot work. A store that is only down now is reported, and the
        worker tries again.
        """
        for redial in self._router.redials:
            if redial.lacks_zone:
                self._observer.redial_zone_unset(redial.name)
        if not self.store.durable:
            self._report_volatile()
            return
        if self._gauge is not None:
            self._gauge.awake()
        try:
            await self.store.open()
        except StoreUnavailable as error:
            self._observer.store_unavailable(error)
        self._work_here()

    def _report_volatile(self) -> None:
        """Reports what dies with the process; to an app that chose memory, only redials in several processes."""
        if self._router.roster.calls_nobody or (self._memory_is_chosen and not self._router.redials):
            return
        processes = serving(os.getpid())
        if processes > 1 or not self._memory_is_chosen:
            self._observer.hooks_volatile(processes)

    async def accept(self, outcomes: Sequence[Outcome], items: Sequence[Item] | None = None) -> Sequence[str]:
        """Takes outcomes in the order of their events, and returns when the store has them. Needs a running loop.

        The hooks are due after the settle time. Gives the keys of the outcomes for which :meth:`hasten` may shorten
        that time. Raises :class:`StoreError` if the store could not persist the outcomes. Then none is persisted. A
        dispatcher that stands in gets the ``items`` that the other one has made of the outcomes.
        """
        roster = self._router.roster
        if roster.calls_nobody and self._only_logged(outcomes):
            return ()
        if items is None:
            due_at, redials = self._clock() + self.settle, roster.redials
            asking = Asking(redials, self.settle) if redials else None
            made: list[Item] = []
            for outcome in outcomes:
                if outcome.ends_call or self._wants(outcome):
                    known = (None, None) if asking is None else await asking.whom(outcome)
                    made.append(Item(outcome.outcome_id, Kind.OUTCOME, due_at, outcome, *known))
            items = made
        if not items:
            return ()
        if self._gauge is not None:
            self._gauge.awake()
        self._work_here()
        try:
            offers = await self.store.put(items)
        except StoreError as error:
            self._observer.store_unavailable(error)
            if self._fallback is None:
                raise
            self._observer.store_bypassed(len(items))
            self._overheard.note_all(items, self._clock())
            return await self._fallback.accept([item.outcome for item in items], items)
        if Offer.DUPLICATE in offers:
            told = zip(items, offers, strict=True)
            self._tell_duplicates([item.outcome for item, offer in told if offer is Offer.DUPLICATE])
        # The end of a call waits for its sibling. An operation has none.
        return [item.key for item in items if not item.outcome.ends_call] if self.settle else ()

    async def hasten(self, keys: Sequence[str]) -> None:
        """Makes hooks of operations due now, by the keys of :meth:`accept`; after a fault of the store they wait."""
        if not keys:
            return
        try:
            await self.store.hasten(keys)
        except StoreError as error:
            self._observer.store_unavailable(error)
        if self._fallback is not None:
            await self._fallback.hasten(keys)

    async def drain(self, timeout: float) -> None:
        """Gives running hooks ``timeout`` seconds to return, then stops the worker and closes a durable store.

        In memory the worker first calls every hook that waits, without waiting for siblings, and hooks that are late
        are lost. A durable store keeps the items that wait, and gets back the items whose hooks are late. Whatever does
        not end, such as a hook that ignores its cancellation or a database that is away, is left ``GRACE`` later.
        """
        ending = asyncio.get_running_loop().create_task(self._drain(timeout))
        try:
            await asyncio.wait({ending}, timeout=timeout + GRACE)
        finally:
            ending.cancel()
        if ending.done():
            ending.result()

    async def _drain(self, timeout: float) -> None:
        if self._fallback is None:
            await self._stop_working(timeout)
        else:
            await asyncio.gather(self._stop_working(timeout), self._fallback.drain(timeout))
        if self._gauge is not None:
            self._gauge.asleep()
        await self._ends.settle_all()
        if self.store.durable:
            await self.notebook.close()
            await self.store.close()

    async def cancel_redials(self, contact: str) -> int:
        """Notes that the app wants no redials of the contact. Returns how many calls that prevents, planned or not."""
        if self._hooks.blind:
            # This dispatcher places no redials, and the router asks the dispatcher of the store as well.
            return 0
        return await say_of(self._router.redials, self.store, contact, partial(Contact.canceled, now=self._clock()))

    async def never_call(self, contact: str) -> int:
        """Notes that the contact gets no redial any more. Returns how many calls that prevents now."""
        return await say_of(self._router.redials, self.store, contact, partial(Contact.barred, now=self._clock()))

    async def allow_call(self, contact: str) -> bool:
        """Takes :meth:`never_call` back. Returns whether it was in force."""
        return await say_of(self._router.redials, self.store, contact, Contact.allowed) > 0

    def _only_logged(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether neither a hook nor a reader of the store needs these outcomes. If so, reports redeliveries alone."""
        # Other processes may read a store of another kind, and a console that reads this one sets `watched`.
        if type(self.store) is not MemoryStore or self.store.watched:
            return False
        self._ends.settle(outcomes, self.settle)
        if repeated := self._recent.repeated(outcomes):
            self._tell_duplicates(repeated)
        if not self._warns:
            first = next((outcome for outcome in outcomes if outcome.ends_call and outcome.retryable), None)
            if first is not None:
                self._warns = True
                # At the time when a hook would have been called.
                asyncio.get_running_loop().call_later(self.settle, self._hooks.warn_unhandled, first)
        return True

    def _tell_duplicates(self, outcomes: Sequence[Outcome]) -> None:
        with bound_ids([outcomes[0].event]):
            self._observer.outcomes_duplicate(outcomes)

    def _wants(self, operation: Outcome) -> bool:
        """Whether a hook or a redial may want the outcome of an operation."""
        if operation.event_name == CONNECTED and self._router.redials:
            return True
        return any(registration.may_concern(operation) for registration in self._router.registrations)

    def _runner_here(self) -> _Runner | None:
        """The worker of the running loop. A worker of another loop cannot be awaited here."""
        loop = asyncio.get_running_loop()
        return next((runner for runner in tuple(self._runners) if not runner.gone and runner.loop is loop), None)

    def _work_here(self) -> None:
        """Starts a worker in the running loop if there is none."""
        loop = asyncio.get_running_loop()
        last = self._last
        # Most processes have one loop, and every delivery comes through here, so the last worker is looked at first.
        if not self._worker or (last is not None and last.loop is loop and not last.task.done()):
            return
        self._last = self._runner_here()
        if self._last is None:
            self._forget_gone()
            stopping = asyncio.Event()
            # A new context, because the task outlives the request that starts it.
            task = loop.create_task(self._run(stopping), context=Context())
            self._last = _Runner(task, stopping, loop)
            self._runners.add(self._last)

    def _forget_gone(self) -> None:
        self._runners -= {runner for runner in tuple(self._runners) if runner.gone}

    def _places(self) -> int:
        """How many items the worker may work on at once: what waits for a thread waits in the store, for any worker."""
        concurrency, threads = self._policy.concurrency, self._policy.threads
        if threads is None or threads >= concurrency:
            return concurrency
        roster = self._router.roster
        functions = [hook.handler for _, hook in roster.hooks] + [redial.function for redial in roster.redials]
        return concurrency if all(map(is_async, functions)) else threads

    async def _run(self, stopping: asyncio.Event) -> None:
        while True:
            try:
                await self.store.run(self._work, self._places(), self._pace)
            except Exception as error:
                self._observer.store_unavailable(error)
            else:
                return
            # The store is tried again from here, because a process without a door gets no delivery that would start it.
            with suppress(TimeoutError):
                async with asyncio.timeout(STORE_PAUSE):
                    await stopping.wait()
            if stopping.is_set():
                return

    async def _stop_working(self, timeout: float) -> None:
        if not self.store.durable and any(runner.gone for runner in tuple(self._runners)):
            # A loop that is gone has left items in memory, and only a worker of this loop can take them.
            self._work_here()
        loop, late = asyncio.get_running_loop(), 0
        end = loop.time() + timeout
        # A worker stays in the list until it has ended, so that a delivery meanwhile starts no second worker.
        while (runner := self._runner_here()) is not None:
            runner.stopping.set()
            late += await self.store.stop(max(0.0, end - loop.time()))
            await asyncio.wait({runner.task})
        self._forget_gone()
        if late and self.store.durable:
            self._observer.hooks_given_back(late, timeout)
        elif late:
            self._observer.hooks_abandoned(late, timeout)

    async def _work(self, claim: Claim) -> Settlement:
        outcome, progress = claim.item.outcome, claim.progress
        with bound_ids([outcome.event]):
            try:
                if claim.item.kind is Kind.REDIAL:
                    return await self._redials.attempt(claim)
                return await self._hooks.attempt(claim)
            except LeaseLost as lost:
                progress = lost.progress or progress
                self._observer.lease_lost(outcome)
            except StoreError as error:
                self._observer.store_unavailable(error)
            except Exception as error:
                # The fault is Ringback's own, not a hook's. A dead letter is visible and can be replayed.
                self._observer.hook_failed(outcome, "ringback", error, claim.attempt, None)
                call = CallState.UNKNOWN if claim.item.kind is Kind.REDIAL else None
                return Settlement(State.DEAD, claim.progress, reason=described(error), call=call)
        # The item is neither done nor dead, so it is due again, unless another worker has the lease.
        return Settlement(State.READY, progress, due_at=self._clock() + STORE_PAUSE)
