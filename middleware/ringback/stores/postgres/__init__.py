"""Work that waits in PostgreSQL, for several machines."""

from ringback.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
