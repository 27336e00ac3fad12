"""Whether a worker may take over what others have leased: whoever lives must have had the time to renew its leases."""

from __future__ import annotations

import math

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
        # A clock that was set back tells as little as one that was set forward.
        return self._renewed_at is not None and not 0 <= now - self._renewed_at <= self._lease * _GAP
