"""Requests that nearly fit a guarded path, of which the log has one line for each status of the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback import logs

if TYPE_CHECKING:
    from ringback.receiving.target import GuardedPaths


class NearMisses:
    """Logs that the app and the sender differ in the path: once for a status with which the app answered."""

    def __init__(self, guarded: GuardedPaths) -> None:
        self._templates = guarded.templates
        self._told: set[int] = set()

    def answered(self, status: int, *, guarded: bool) -> None:
        """Log this status of a request that nearly fits, once. ``guarded``: the gate has verified the sender."""
        # Other errors come from Ringback's own refusals or from the route, and say nothing of the path.
        if (status < 400 or status in _NO_ROUTE) and status not in self._told:
            self._told.add(status)
            logs.callback_near_miss(self._templates, status, guarded=guarded)


_NO_ROUTE = (404, 405)
"""The statuses of an app without a route for a path, or for the method."""
