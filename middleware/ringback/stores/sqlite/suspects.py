"""What a dead worker has left is tried one at a time, so that an item that kills its worker harms itself alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from ringback.work.items import Claim, Kind


class Suspects:
    """The one item, of all lanes of a process, that a dead worker has left and that the process tries now."""

    __slots__ = ("_asking", "_refused", "_tried")

    def __init__(self) -> None:
        self._tried = set[tuple[str, int]]()
        self._asking = False
        self._refused: Kind | None = None

    @contextmanager
    def ask(self, kind: Kind) -> Generator[bool]:
        """Whether the lane, which claims inside the context, may claim an item that a dead worker has left. Lanes that
        always claim at the same time take turns.
        """
        mine = not self._tried and not self._asking and self._refused in (None, kind)
        self._refused = kind if self._asking else None
        self._asking = self._asking or mine
        try:
            yield mine
        finally:
            self._asking = self._asking and not mine

    def begin(self, claims: Iterable[Claim]) -> None:
        self._tried.update((claim.item.key, claim.attempt) for claim in claims if claim.crashed)

    def end(self, claim: Claim) -> bool:
        """Forget the claim. True if a dead worker had left its item: then either lane may try the next such item."""
        held = claim.item.key, claim.attempt
        found = held in self._tried
        self._tried.discard(held)
        return found
