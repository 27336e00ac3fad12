"""What a person does with dead letters: one change of many, which the person may take back for a while. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ringback.work.items import Before, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable

UNDO = 10.0
"""Seconds for which a person may take a change on the operations page back."""


SENT_AGAIN = 60.0
"""The most seconds between the two effects of a change that is carried out twice, because its form was sent twice."""


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
    change back. Whoever carries a change out again under its name, within ``SENT_AGAIN`` seconds, adds to it. A change
    without a name is final.
    """

    act: Act
    due_at: float
    name: str | None = None

    def before(self, attempts: int, reason: str, died_at: float, progress: Progress) -> Before | None:
        """What the store keeps of a letter that this change takes; ``None`` if the change is final."""
        if self.name is None:
            return None
        return Before(self.name, attempts, reason, died_at, progress.without_change())

    def made(self, progress: Progress | None) -> Before | None:
        """What a letter was, if this is the change that took the letter; ``None`` if it is not."""
        before = None if progress is None else progress.before
        return before if before is not None and before.change == self.name else None

    def span(self) -> tuple[float, float]:
        """The first and the last time at which letters of this change may take effect."""
        return self.due_at - SENT_AGAIN, self.due_at + SENT_AGAIN


def taken_back(before: Before) -> Progress:
    """The progress of a letter that is as it was. The name of the change stays: an undo may be sent twice, too."""
    return replace(before.progress, before=replace(before, progress=Progress()))


class Standing(Struct, frozen=True):
    """What a store has of a change: ``waiting`` letters may be taken back, of which the first takes effect at
    ``due_at``, and ``back`` letters were taken back. Letters that somebody changed since are among neither.
    """

    waiting: int = 0
    back: int = 0
    due_at: float | None = None


def standing(waiting: Iterable[float], back: int) -> Standing:
    """The standing of a change whose letters take effect at these times."""
    times = list(waiting)
    return Standing(len(times), back, min(times, default=None))
