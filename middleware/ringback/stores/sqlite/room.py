"""Whether the file of an SQLite store has room for more."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


_READY = "SELECT count(*) FROM items WHERE state = 'ready'"


def what_is_full(connection: sqlite3.Connection, path: Path, min_free: int, max_backlog: int) -> str | None:
    """What is full: the disk, of which ``min_free`` bytes must stay free, or the store; ``None`` if there is room."""
    free = shutil.disk_usage(path.parent).free
    if free < min_free:
        return f"{free} bytes are free for {path}; at least {min_free} must stay so"
    (ready,) = connection.execute(_READY).fetchone()
    if ready >= max_backlog:
        return f"{ready} items wait in {path}; at most {max_backlog} may; see that workers run"
    return None
