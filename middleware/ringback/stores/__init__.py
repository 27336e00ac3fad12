"""Where outcomes wait for their hooks: in memory, in an SQLite file, or in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError
from ringback.redaction import redact
from ringback.stores.memory import MemoryStore
from ringback.stores.port import DeadLetter, DeliveryStore, Stats

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DeadLetter", "DeliveryStore", "MemoryStore", "Stats", "open_store"]


def open_store(store: str | DeliveryStore | None) -> DeliveryStore:
    """The store of a URL; a store itself is returned as it is, and ``None`` means in memory.

    ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``postgresql://user:password@host/database``.
    Nothing is opened yet. The engine is imported here, and only if it is asked for. Raises
    :class:`ConfigurationError` for any other URL, and for an engine that is not installed.
    """
    if store is None:
        return MemoryStore()
    if not isinstance(store, str):
        return store
    scheme, found, _ = store.partition("://")
    if not found or scheme not in _ENGINES:
        # A URL may hold a password, so what follows its scheme is not repeated.
        shown = f"{scheme}://..." if found else redact(store.rpartition("@")[2])
        raise ConfigurationError(
            f"store {shown!r} is no URL of a store; write 'sqlite:///ringback.db', "
            "'postgresql://user:password@host/database', or None to keep everything in memory"
        )
    return _ENGINES[scheme](store)


def _sqlite(url: str) -> DeliveryStore:
    from ringback.stores.sqlite import SQLiteStore

    return SQLiteStore.from_url(url)


def _postgres(url: str) -> DeliveryStore:
    try:
        from ringback.stores.postgres import PostgresStore
    except ImportError as error:
        raise ConfigurationError(
            f"store 'postgresql://...' needs the extra postgres ({error}); pip install 'ringback[postgres]'"
        ) from error
    return PostgresStore(url)


_ENGINES: dict[str, Callable[[str], DeliveryStore]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
}
