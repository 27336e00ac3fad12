"""What a person does with dead letters: one change of many, which the person may take back for a while. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.work.items import Before

if TYPE_CHECKING:
    from ringback.work.items import Progress

UNDO = 10.0
"""Seconds for which a person may take a change on the operations page back."""


class Act(StrEnum):
    """What becomes of a dead letter."""

    REPLAY = "replay"
    """It is ready again, with all its attempts; hooks that are done stay done."""
    DISCARD = "discard"
    """It is given up for good; its key stays taken."""


class LetterChange(Struct, frozen=True):
    """A change that takes effect at ``due_at``, in seconds since the epoch.

    A change with a ``name`` may be taken back: a replay until a worker has begun with the letter, which none does
    before ``due_at``, and a discard until ``due_at``. The name is unique, and any process of the store may take the
    change back. A change without a name is final.
    """

    act: Act
    due_at: float
    name: str | None = None

    def before(self, attempts: int, reason: str, died_at: float, progress: Progress) -> Before | None:
        """What the store keeps of a letter that this change takes; ``None`` if the change is final."""
        return None if self.name is None else Before(self.name, attempts, reason, died_at, progress)

    def made(self, progress: Progress | None) -> Before | None:
        """What a letter was, if this is the change that took the letter; ``None`` if it is not."""
        before = None if progress is None else progress.before
        return before if before is not None and before.change == self.name else None
