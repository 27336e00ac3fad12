"""Whether the file of an SQLite store has room for more."""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

_READY = "SELECT count(*) FROM items WHERE state = 'ready'"


class Room:
    """Looks once a second at most: the work of one second beyond a limit does no harm. ``now`` gives seconds."""

    def __init__(self, path: Path, min_free: int, max_backlog: int, now: Callable[[], float]) -> None:
        self._path, self._min_free, self._max_backlog, self._now = path, min_free, max_backlog, now
        self._looked_at = -math.inf
        self.full: str | None = None
        """What the last look has found full; ``None`` if there was room."""

    def look(self, connection: sqlite3.Connection) -> str | None:
        """What is full: the disk, of which some bytes must stay free, or the store; ``None`` if there is room."""
        now = self._now()
        if now >= self._looked_at + 1.0:
            self.full, self._looked_at = self._found(connection), now
        return self.full

    def _found(self, connection: sqlite3.Connection) -> str | None:
        free = shutil.disk_usage(self._path.parent).free
        if free < self._min_free:
            return f"{free} bytes are free for {self._path}; at least {self._min_free} must stay so"
        (ready,) = connection.execute(_READY).fetchone()
        if ready >= self._max_backlog:
            return f"{ready} items wait in {self._path}; at most {self._max_backlog} may; see that workers run"
        return None
