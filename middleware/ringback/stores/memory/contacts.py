"""What is known of contacts, in the memory of one process."""

from __future__ import annotations

from collections import ChainMap, OrderedDict
from typing import TYPE_CHECKING

from ringback.work.contact import Contact
from ringback.work.latch import remember

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class MemoryContacts:
    """Remembers the last ``capacity`` contacts, and all that nobody may call. ``clock`` is the store's."""

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self._capacity = capacity
        self._clock = clock
        self._last: OrderedDict[str, Contact] = OrderedDict()
        self._barred: dict[str, Contact] = {}
        self.all: Mapping[str, Contact] = ChainMap(self._barred, self._last)

    def known(self, contact: str) -> Contact:
        return self.all.get(contact, Contact()).recent(self._clock())

    def note(self, contact: str, known: Contact) -> None:
        self._last.pop(contact, None)
        self._barred.pop(contact, None)
        if known.never:
            self._barred[contact] = known
        else:
            remember(self._last, contact, known, self._capacity)
