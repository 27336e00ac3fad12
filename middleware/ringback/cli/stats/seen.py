"""Knows an outcome again whose line came before, in bounded memory. Pure."""

from __future__ import annotations

REMEMBERED = 65_536
"""Outcomes that a command surely knows again when their line is repeated; it keeps up to twice as many."""


class Seen:
    """Remembers the latest ids, in two halves: to forget the older half costs nothing.

    A half keeps the hash of an id, which is small. Python keys the hash by the process, so that no sender can make two
    ids with one hash.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: set[int] = set()
        self._old: set[int] = set()

    def again(self, name: str) -> bool:
        """Whether the id came before; from now on the id is remembered."""
        known = hash(name)
        if known in self._young:
            return True
        before = known in self._old
        self._young.add(known)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, set()
        return before
