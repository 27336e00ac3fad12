"""Where does the work wait? In memory, in an SQLite file, or in PostgreSQL."""

from __future__ import annotations

from pathlib import PurePath

from ringback.exceptions import ConfigurationError, needs_extra
from ringback.privacy.redaction import redact
from ringback.stores.memory.store import MemoryStore
from ringback.work.delivery_store import DeliveryStore
from ringback.work.items import DeadLetter, Stats

__all__ = ["DeadLetter", "DeliveryStore", "MemoryStore", "Stats", "open_store"]


def open_store(store: str | DeliveryStore | None) -> DeliveryStore:
    """The store of a URL; ``"memory"`` or ``None`` gives a store in memory, and a store gives itself.

    A URL is ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql://<user>:<password>@host/database``.
    Settings follow ``memory`` as they follow a URL: ``memory?max_backlog=1000``. The function imports the module of
    that store alone, and opens nothing. Raises :class:`ConfigurationError` for any other URL, and for a store whose
    packages are not installed.
    """
    if store is None:
        return MemoryStore()
    if not isinstance(store, str):
        _refuse_no_store(store)
        return store
    # A secret that is mounted as a file ends with a line feed.
    store = store.strip()
    if store.partition("?")[0] == "memory":
        return MemoryStore.from_url(store)
    scheme, found, _ = store.partition("://")
    if found and scheme == "sqlite":
        from ringback.stores.sqlite.store import SQLiteStore

        return SQLiteStore.from_url(store)
    if found and scheme in ("postgresql", "postgres"):
        with needs_extra("store 'postgresql://...'", "postgres"):
            from ringback.stores.postgres.store import PostgresStore
        return PostgresStore(store)
    # A URL may hold a password, so the message repeats the scheme alone.
    shown = f"{scheme}://..." if found else redact(store.rpartition("@")[2])
    raise ConfigurationError(
        f"store {shown!r} is no URL of a store; write 'sqlite:///ringback.db', "
        "'postgresql://<user>:<password>@host/database', or 'memory'"
    )


def _refuse_no_store(store: object) -> None:
    if isinstance(store, PurePath):
        raise ConfigurationError(f"store {str(store)!r} is a path; write its URL, 'sqlite:///{store}'")
    if isinstance(store, type) or not all(hasattr(store, name) for name in ("put", "run", "stop", "close")):
        raise ConfigurationError(
            f"store of type {type(store).__name__} is no store; write a URL such as 'sqlite:///ringback.db', "
            "or pass a store"
        )
