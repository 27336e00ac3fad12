"""When the write-ahead log goes into the file: after a thousand rows, when no caller waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.sqlite import schema

if TYPE_CHECKING:
    import sqlite3

CHECKPOINT = 1200
"""Changed rows after which the writer puts the write-ahead log into the file."""


class LogKeeper:
    """Puts the write-ahead log into the file every :data:`CHECKPOINT` changed rows, once callers have their results.

    SQLite itself would do so within a commit, and all callers of the transaction would wait several times as long.
    """

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed = 0

    def __call__(self, connection: sqlite3.Connection) -> None:
        # A changed row takes a page or two. `total_changes` counts from 0 for every new connection.
        if abs(connection.total_changes - self._changed) >= CHECKPOINT:
            self._changed = connection.total_changes
            connection.execute(schema.PUT_LOG_IN_FILE).fetchall()
