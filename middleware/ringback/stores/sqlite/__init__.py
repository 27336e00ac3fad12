"""Work that waits in a file of SQLite."""

from ringback.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
