"""The engine behind all doors of one router. The router makes its engine when a door first needs one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback import logs
from ringback.exceptions import ConfigurationError, RegistrationError, StoreError
from ringback.hooks.checked_store import checked_store
from ringback.hooks.dispatcher import SETTLE, Dispatcher
from ringback.receiving.background_loop import BackgroundLoop, at_exit
from ringback.settings import ENGINE, refuse_misplaced, refuse_negative, refuse_no_catalog
from ringback.work.deliveries import ACCEPTED
from ringback.work.pace import Pace
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ringback.core.outcome import Outcome
    from ringback.hooks.observer import Gauge
    from ringback.hooks.router import HandlerRouter
    from ringback.settings import OnStoreFailure
    from ringback.stores import DeliveryStore
    from ringback.work.policy import HookPolicy

DRAIN = 20.0
"""Seconds that hooks may still run when the server shuts down."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The checked settings of one engine, named as in :class:`ringback.settings.EngineSettings`. Opens no store."""

    store: str | DeliveryStore | None = None
    catalog: Catalog | None = None
    settle: float = SETTLE
    hooks: HookPolicy | None = None
    worker: bool = True
    on_store_failure: OnStoreFailure = "refuse"
    drain: float = DRAIN
    telemetry: Gauge | None = None
    pace: Pace | None = None
    opened: DeliveryStore | None = field(default=None, init=False, repr=False, compare=False)
    """The store that ``store`` names, not yet connected; ``None`` where the app names no store."""

    def __post_init__(self) -> None:
        refuse_no_catalog(self.catalog)
        refuse_negative("drain", self.drain)
        if not isinstance(self.pace, Pace | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"pace {self.pace!r} is no Pace; pass Pace(per_second=1.0), or leave it out")
        opened = checked_store(self.store, self.settle, self.hooks, self.on_store_failure, self.worker, self.telemetry)
        object.__setattr__(self, "opened", opened)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Settings:
        """Settings by name. Raises :class:`ConfigurationError` for a name that no engine has."""
        refuse_misplaced(given, ENGINE)
        return cls(**given)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the settings that differ from their defaults."""
        return tuple(name for name in ENGINE if getattr(self, name) != type(self).__dataclass_fields__[name].default)


class Engine:
    """Classifies with one catalog, keeps outcomes in one store, and calls one router's hooks, for every door.

    The app's lifespan calls :meth:`start` and :meth:`drain`. Where nobody calls :meth:`start`, the first delivery
    starts the work, a log line says how to mend that, and the engine drains its memory when the interpreter exits. A
    signal that ends a process without Python's exit, as SIGTERM ends uvicorn, leaves no time for that. One event loop
    at a time uses an engine, for what waits in memory is not for two threads.
    """

    def __init__(self, router: HandlerRouter, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.router = router
        self._clock = clock
        self._last_delivery: float | None = None
        self.log = logs.LogObserver()
        self.catalog = settings.catalog or Catalog.default()
        self.telemetry = settings.telemetry
        self.drain_seconds = settings.drain
        self.dispatcher = Dispatcher(
            router,
            self.log,
            store=settings.opened,
            settle=settings.settle,
            hooks=settings.hooks,
            on_store_failure=settings.on_store_failure,
            worker=settings.worker,
            telemetry=settings.telemetry,
            pace=settings.pace,
        )
        self.tally = self.dispatcher.notebook.tally
        self.durable = self.dispatcher.store.durable
        """Whether the store survives the process."""
        self._names_store = settings.opened is not None
        self._has_worker = settings.worker
        self.is_checked = False
        """Whether :meth:`check` has found nothing wrong."""
        self._started = self._works = self._is_noticed = False
        self.background = BackgroundLoop(self._start_in_background, self.drain)
        """The loop of all doors without one of their own."""

    @property
    def store(self) -> DeliveryStore:
        return self.dispatcher.store

    @property
    def since_delivery(self) -> float | None:
        """Seconds since the last delivery that was accepted; ``None`` before the first one."""
        return None if self._last_delivery is None else round(self._clock() - self._last_delivery, 3)

    def check(self) -> None:
        """Raise :class:`ConfigurationError` in a loop that is not asyncio's, and for a redial without a named store.

        There the engine would lose outcomes, or place calls twice. :meth:`start` calls this; without a start the first
        request at a door does, in the loop of the app.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "Ringback needs asyncio's event loop, and this app runs in another, such as Trio's; run the app with "
                "asyncio or uvloop: hypercorn --worker-class asyncio, anyio.run(..., backend='asyncio')"
            ) from None
        self.refuse_redials()
        self.is_checked = True

    def refuse_redials(self) -> None:
        """Raise :class:`RegistrationError` for a redial, if the app has named no store."""
        redials = self.router.roster.redials
        if redials and not self._names_store:
            raise RegistrationError(
                f"redial {redials[0].name} needs a store: a crash loses the redials that wait in memory, and each "
                "worker process places its own; pass store='sqlite:///ringback.db' to OutcomeRouter, or "
                "store='memory' if that will do"
            )

    async def start(self) -> None:
        """Begin to work on the items in the store. Every door may call this; only the first call starts the work.

        Raises :class:`StoreError` for a store that cannot work, and what :meth:`check` raises.
        """
        self.check()
        if not self._started:
            await self.dispatcher.start()
            self._started = self._works = self._is_noticed = True

    async def _start_in_background(self) -> None:
        try:
            await self.start()
        except StoreError as error:
            # A delivery asks the store again, and its sender gets 503. `SyncHandler.start` raises.
            self.log.store_unavailable(error)

    async def accept(self, outcomes: Sequence[Outcome]) -> Sequence[str]:
        """Give the outcomes of a delivery to the dispatcher, and count the delivery once the outcomes are persisted.

        Gives the keys for :meth:`Dispatcher.hasten`. Raises :class:`StoreError` if the store cannot keep the outcomes.
        """
        if not self._works and outcomes and (self.durable or not self.router.roster.calls_nobody):
            self._begin_late()
        early = await self.dispatcher.accept(outcomes)
        self._last_delivery = self._clock()
        self.tally.count(ACCEPTED)
        return early

    async def drain(self, timeout: float | None = None) -> None:
        """Let the hooks that are due run for ``timeout`` seconds, by default the setting ``drain``, and stop."""
        self._started = self._works = False
        await self.dispatcher.drain(self.drain_seconds if timeout is None else timeout)

    def _begin_late(self) -> None:
        """For a delivery before :meth:`start`: log that once if hooks run here, and drain the memory at the exit."""
        self._works = True
        if not self._is_noticed:
            self._is_noticed = True
            # With `worker=False` the app may well end at any time: the hooks run in another process.
            if self._has_worker:
                self.log.lifespan_missing(durable=self.durable)
            if self.dispatcher.in_memory is not None:
                at_exit(self._drain_at_exit)

    def _drain_at_exit(self) -> None:
        """Call the hooks that wait in memory, also those of a router that the app has dropped."""
        memory = self.dispatcher.in_memory if self._works else None
        if memory is None or memory.loop is None:
            return
        draining = memory.drain(self.drain_seconds)
        if memory.loop.is_running():
            # The loop runs in a daemon thread, which works until the interpreter is gone.
            asyncio.run_coroutine_threadsafe(draining, memory.loop).result()
        elif memory.loop.is_closed():
            asyncio.run(draining)
        else:
            memory.loop.run_until_complete(draining)
