"""From an outcome to its hooks: persisted before the answer, called after it, once for each call."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ringback.attempts import CONNECTED, STORE_PAUSE, HookCaller, LeaseLost, described
from ringback.exceptions import ConfigurationError, StoreError, StoreUnavailable
from ringback.hooks import HookPolicy
from ringback.latch import Echo, Offer
from ringback.placing import RedialCaller
from ringback.stores import MemoryStore, open_store
from ringback.stores.port import Item, Kind, Settlement, State
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.observer import Gauge, Observer
    from ringback.outcome import Outcome
    from ringback.router import HandlerRouter
    from ringback.stores.port import Claim, DeliveryStore

SETTLE = 1.0
"""Seconds a call's ending waits for its sibling event before the hooks are called."""

IN_MEMORY = HookPolicy(retry_errors=False, concurrency=256)
"""How hooks are called where no store was given: an exception is reported and ends the matter."""

OnStoreFailure = Literal["refuse", "inline"]

WATCHERS: list[Callable[[Dispatcher], None]] = []
"""Told of a dispatcher whenever it takes outcomes. For tests, which find it by that behind any app."""


@dataclass(eq=False, slots=True)
class _Runner:
    """A worker in one event loop, until it is told to stop or its loop is gone."""

    task: asyncio.Task[None]
    stopping: asyncio.Event
    loop: asyncio.AbstractEventLoop

    @property
    def gone(self) -> bool:
        return self.task.done() or self.loop.is_closed()


class Dispatcher:
    """Takes outcomes, keeps them in a store, and calls the router's handlers for each of them.

    The end of a call waits ``settle`` seconds for its sibling event, then its handlers run in the
    order of registration. A handler that raises stops nothing; ``hooks`` says whether it is called
    again. ``store`` is a URL or a store; ``None`` keeps everything in memory, and what was not
    called when the process dies is lost. With ``worker`` false this process only persists, and others work.

    If the store cannot be used, :meth:`accept` raises, so that the sender may be asked to come again;
    with ``on_store_failure="inline"`` it keeps the outcomes in memory instead.
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
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = random.random,
    ) -> None:
        if on_store_failure not in ("refuse", "inline"):
            raise ConfigurationError(f"on_store_failure {on_store_failure!r} is unknown; use 'refuse' or 'inline'")
        self.store = MemoryStore(clock=clock) if store is None else open_store(store)
        if not worker and not self.store.durable:
            raise ConfigurationError("worker=False needs a store that another process can work on; pass store=")
        self._router = router
        self._gauge = None if telemetry is None else telemetry.over(self.store)
        # The fallback's own counts for itself.
        plain, observer = observer, observer if self._gauge is None else self._gauge.observing(observer)
        self._observer = observer
        self._settle = settle
        self._clock = clock
        self._policy = hooks or (HookPolicy() if self.store.durable else IN_MEMORY)
        self._worker = worker
        self._hooks = HookCaller(router, observer, self.store, self._policy, clock, random, self._gauge)
        self._redials = RedialCaller(router, observer, self.store, self._policy, clock, random, self._gauge)
        self._echo = Echo()
        self._warned = False
        self._runners: set[_Runner] = set()
        self._last: _Runner | None = None
        self._started = False
        self._fallback: Dispatcher | None = None
        if on_store_failure == "inline" and self.store.durable:
            self._fallback = Dispatcher(
                router,
                plain,
                settle=settle,
                hooks=hooks or IN_MEMORY,
                telemetry=telemetry,
                clock=clock,
                random=random,
            )
        self.store.on_fault = observer.store_unavailable
        router.attach(self)

    @property
    def durable(self) -> bool:
        """Whether outcomes must be accepted before the sender is answered."""
        return self.store.durable

    @property
    def settle(self) -> float:
        """Seconds that the end of a call waits for its sibling event."""
        return self._settle

    async def start(self) -> None:
        """Open the store and begin to work on what waits in it, before the first delivery.

        Raises :class:`StoreError` for a store that cannot work. One that is only down now is
        reported, and tried again with each delivery.
        """
        self._started = True
        if not self.store.durable:
            if not self._router.roster.calls_nobody:
                self._observer.hooks_volatile()
            return
        if self._gauge is not None:
            self._gauge.awake()
        try:
            await self.store.open()
        except StoreUnavailable as error:
            self._observer.store_unavailable(error)
        self._work_here()

    async def accept(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes in the order of their events; returns when they are persisted. Needs a running loop.

        Raises :class:`StoreError` if they could not be: then none was.
        """
        if self.heard(outcomes):
            return
        now = self._clock()
        items: list[Item] = []
        for outcome in outcomes:
            if outcome.scope is Scope.CALL:
                items.append(Item(outcome.outcome_id, Kind.OUTCOME, now + self._settle, outcome))
            elif self._asked_for(outcome):
                # An operation has no sibling to wait for.
                items.append(Item(outcome.outcome_id, Kind.OUTCOME, now, outcome))
        if not items:
            return
        if WATCHERS:
            for watch in tuple(WATCHERS):
                watch(self)
        if not self._started and self.store.durable:
            self._started = True
            self._observer.lifespan_missing()
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
            await self._fallback.accept([item.outcome for item in items])
            return
        for item, offer in zip(items, offers, strict=True):
            if offer is Offer.DUPLICATE:
                with self._observer.bound(item.outcome):
                    self._observer.outcome_duplicate(item.outcome)

    async def drain(self, timeout: float) -> None:
        """Give the handlers ``timeout`` seconds to return, and stop.

        In memory every handler that is due is called first, without waiting for siblings, and what is
        late is lost. With a store what is late is given back to it, and what is due stays there.
        """
        if self._fallback is None:
            await self._stop_working(timeout)
        else:
            await asyncio.gather(self._stop_working(timeout), self._fallback.drain(timeout))
        if self._gauge is not None:
            self._gauge.asleep()
        if self.store.durable:
            await self.store.close()

    async def cancel_redials(self, contact: str) -> int:
        """Cancel the contact's redials that have not begun; how many there were."""
        keys = {redial.stored(contact) for redial in self._router.redials} or {contact}
        return sum([await self.store.cancel(key) for key in sorted(keys)])

    def heard(self, outcomes: Sequence[Outcome]) -> bool:
        """Take outcomes of which no hook, no redial and no page will ever ask for more than the log line.

        False if somebody may: then they are to be accepted. Needs a running loop.
        """
        store = self.store
        # Who has a store of another kind may have other processes to read it.
        if type(store) is not MemoryStore or store.watched or not self._router.roster.calls_nobody:
            return False
        for outcome in self._echo.repeated(outcomes):
            self._observer.outcome_duplicate(outcome)
        if not self._warned:
            first = next((each for each in outcomes if each.scope is Scope.CALL and each.retryable), None)
            if first is not None:
                # When a hook would have been called.
                self._warned = True
                asyncio.get_running_loop().call_later(self._settle, self._hooks.tell_unhandled, first)
        return True

    def _asked_for(self, operation: Outcome) -> bool:
        if operation.event_name == CONNECTED and self._router.redials:
            return True
        return any(each.hears_of(operation) for each in self._router.registrations)

    def _runner_here(self) -> _Runner | None:
        """The worker of this loop. One of another loop has gone with it, or is not ours to wait for."""
        loop = asyncio.get_running_loop()
        return next((each for each in tuple(self._runners) if not each.gone and each.loop is loop), None)

    def _work_here(self) -> None:
        """See that a worker runs in this loop."""
        loop = asyncio.get_running_loop()
        last = self._last
        # Mostly one loop runs in a process: its worker is asked for with each delivery.
        if not self._worker or (last is not None and last.loop is loop and not last.task.done()):
            return
        self._last = self._runner_here()
        if self._last is None:
            self._forget_gone()
            stopping = asyncio.Event()
            # In a context of its own: it outlives the request that happens to start it.
            task = loop.create_task(self._run(stopping), context=Context())
            self._last = _Runner(task, stopping, loop)
            self._runners.add(self._last)

    def _forget_gone(self) -> None:
        for each in tuple(self._runners):
            if each.gone:
                self._runners.discard(each)

    async def _run(self, stopping: asyncio.Event) -> None:
        while True:
            try:
                await self.store.run(self._work, self._policy.concurrency)
            except Exception as error:
                self._observer.store_unavailable(error)
            else:
                return
            # Started again from here: where only a worker runs, no delivery would do it.
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), STORE_PAUSE)
            if stopping.is_set():
                return

    async def _stop_working(self, timeout: float) -> None:
        if not self.store.durable and any(each.gone for each in tuple(self._runners)):
            # What was left by a loop that is gone is nowhere else.
            self._work_here()
        loop, late = asyncio.get_running_loop(), 0
        end = loop.time() + timeout
        # Not forgotten before it has ended: a delivery that comes meanwhile must start no second one beside it.
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
        outcome = claim.item.outcome
        with self._observer.bound(outcome):
            try:
                if claim.item.kind is Kind.REDIAL:
                    return await self._redials.attempt(claim)
                return await self._hooks.attempt(claim)
            except LeaseLost:
                self._observer.lease_lost(outcome)
            except StoreError as error:
                self._observer.store_unavailable(error)
            except Exception as error:
                # Ours, not a hook's. Visible and to be replayed, where it would else be stuck.
                self._observer.hook_failed(outcome, "ringback", error, claim.attempt, None)
                return Settlement(State.DEAD, claim.progress, reason=described(error))
        # Not done and not failed: again, unless somebody else has it.
        return Settlement(State.READY, claim.progress, due_at=self._clock() + STORE_PAUSE)
