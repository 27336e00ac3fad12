"""Work that waits in the memory of one process."""

from ringback.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
