"""A worker's leases: what keeps them while the event loop stands still, and when those of others may be taken over."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Pulse:
    """A thread that watches the running loop until :meth:`stop`: while the loop stands still the process lives, and so
    does its work. Times in seconds.

    The loop renews the leases itself and calls :meth:`beat`. The thread calls ``renew`` if the loop has not done so for
    half of the ``lease``. For a loop that stands still, it calls ``blocked`` with the name of the task that ran and the
    time: after a third of the lease, after each further lease, and once the loop goes on. A server that watches its
    processes, as gunicorn does, kills this one before a whole lease is over.
    """

    def __init__(
        self,
        lease: float,
        renew: Callable[[], object],
        blocked: Callable[[str | None, float], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease, self._renew, self._blocked, self._now = lease, renew, blocked, monotonic
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._renewed_at = self._now()
        threading.Thread(target=self._watch, name="ringback-pulse", daemon=True).start()

    def beat(self) -> None:
        self._renewed_at = self._now()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        answered = threading.Event()
        # A loop that is closed, or that nobody runs, is not blocked: others may take its work over.
        while not self._stopped.is_set() and self._loop.is_running():
            asked_at, say_at = self._now(), self._lease / 3
            task: asyncio.Task[Any] | None = None
            with suppress(RuntimeError):
                answered.clear()
                self._loop.call_soon_threadsafe(answered.set)
            while not answered.wait(self._lease / 12) and self._loop.is_running() and not self._stopped.is_set():
                task = task or asyncio.current_task(self._loop)
                self._keep()
                seconds = self._now() - asked_at
                if seconds >= say_at:
                    say_at = seconds + self._lease
                    self._blocked(None if task is None else task.get_name(), seconds)
            seconds = self._now() - asked_at
            if answered.is_set() and seconds > self._lease / 3:
                self._blocked(None if task is None else task.get_name(), seconds)
            self._keep()
            self._stopped.wait(self._lease / 12)

    def _keep(self) -> None:
        if self._now() - self._renewed_at >= self._lease / 2:
            self._renew()
            self.beat()


_GAP = 2 / 3
"""The part of a lease that may pass between two writes. A worker renews after each third: one may be late or fail."""


class Touch:
    """Since when a worker has been in touch with its store. Times in seconds, by the clock by which leases count.

    While a store cannot be written no worker can renew its leases, so after that nobody takes over anything for the
    time of a ``lease``. A worker learns of it by a fault. If its event loop, its process, its machine or the store
    stood still meanwhile, no fault comes; the worker learns of it by the time since it last wrote.
    """

    __slots__ = ("_lease", "_renewed_at", "_since")

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._since = -math.inf
        self._renewed_at: float | None = None

    def lost(self, now: float) -> None:
        """Count from now on: perhaps the other workers could not renew their leases."""
        self._since = now

    def renewed(self, now: float) -> None:
        """Note that the worker has renewed its leases."""
        if self._stood_still(now):
            self._since = now
        self._renewed_at = now

    def for_a_lease(self, now: float) -> bool:
        """Whether the worker has been in touch for a whole lease, and so may take over what was not renewed."""
        return now >= self._since + self._lease and not self._stood_still(now)

    def claims(self, now: float) -> bool:
        """As :meth:`for_a_lease`, for a worker that writes now, and perhaps has renewed its leases before."""
        found = self.for_a_lease(now)
        if self._renewed_at is not None:
            self.renewed(now)
        return found

    def _stood_still(self, now: float) -> bool:
        # A clock that was set back tells as little as one that was set forward. The event loop and the store's thread
        # both write, so that one of the two may have read the clock a moment before the other wrote.
        return self._renewed_at is not None and abs(now - self._renewed_at) > self._lease * _GAP
