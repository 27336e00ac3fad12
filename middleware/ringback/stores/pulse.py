"""A thread that keeps a worker's leases while its event loop stands still: the process lives, and so does its work."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Pulse:
    """Watches the running loop until :meth:`stop`. Times in seconds.

    The loop renews the leases itself and calls :meth:`beat`. The thread calls ``renew`` if the loop has not done so for
    half of the ``lease``. For a loop that stands still longer than a third of the lease, it calls ``blocked`` with the
    name of the task that ran and the time: after each whole lease, and once the loop goes on.
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
            asked_at, said_at = self._now(), 0.0
            task: asyncio.Task[Any] | None = None
            with suppress(RuntimeError):
                answered.clear()
                self._loop.call_soon_threadsafe(answered.set)
            while not answered.wait(self._lease / 12) and self._loop.is_running() and not self._stopped.is_set():
                task = task or asyncio.current_task(self._loop)
                self._keep()
                seconds = self._now() - asked_at
                if seconds >= said_at + self._lease:
                    said_at = seconds
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
