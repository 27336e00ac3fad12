"""Items in the memory of one process, what readers of a store get of them, and the dead letters among them."""

from __future__ import annotations

import asyncio  # noqa: TC003 - msgspec reads the annotations
from collections import OrderedDict
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple, replace

from ringback.work.history import Waiting
from ringback.work.items import Before, DeadLetter, Item, Progress, State
from ringback.work.keys import short
from ringback.work.latch import remember
from ringback.work.letters import Act, LetterChange, Standing, standing, taken_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class Row(Struct):
    item: Item
    due_at: float
    put_at: float
    latched: str = ""
    """The name by which the latch knows the outcome's ending."""
    loop: asyncio.AbstractEventLoop | None = None
    state: State = State.READY
    attempts: int = 0
    taken: bool = False
    interrupted: bool = False
    progress: Progress = Progress()
    reason: str = ""
    finished_at: float = 0.0


def waiting_in(rows: Mapping[str, Row]) -> Iterable[Waiting]:
    for key, row in rows.items():
        _, kind, _, outcome, contact, target, number = astuple(row.item)
        place = row.state, row.due_at, row.attempts
        yield Waiting(key, kind, *place, outcome, contact, target, number, row.progress.without_change())


def letter_of(key: str, row: Row) -> DeadLetter:
    item = row.item
    tried = row.attempts, row.reason, row.finished_at, row.progress.without_change()
    return DeadLetter(key, item.kind, item.outcome, *tried, item.target, item.contact)


class MemoryLetters:
    """Remembers the last ``capacity`` dead letters, in the order in which they died. ``clock`` is the store's."""

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self._capacity = capacity
        self._clock = clock
        self.dead: OrderedDict[str, Row] = OrderedDict()
        self.discarded: dict[str, Row] = {}

    def add(self, key: str, row: Row) -> None:
        row.state = State.DEAD
        remember(self.dead, key, row, self._capacity)

    def newest(self, limit: int) -> Sequence[DeadLetter]:
        self._forget_discarded()
        return [letter_of(key, row) for key, row in list(reversed(self.dead.items()))[:limit]]

    def change(self, keys: Sequence[str], change: LetterChange) -> Sequence[tuple[str, Row]]:
        """Take the letters of these keys, and make their rows what the change says. Gives them."""
        self._forget_discarded()
        changed = [(short(key), row) for key in keys if (row := self.dead.pop(short(key), None)) is not None]
        for key, row in changed:
            before = change.before(row.attempts, row.reason, row.finished_at, row.progress)
            if change.act is Act.REPLAY:
                row.progress = row.progress.for_replay(before)
                row.state, row.attempts, row.due_at, row.reason = State.READY, 0, change.due_at, ""
            else:
                row.progress, row.finished_at = replace(row.progress, before=before), change.due_at
                self.discarded |= {key: row} if before is not None else {}
        return changed

    def take_back(self, rows: dict[str, Row], change: LetterChange) -> Sequence[tuple[str, Row]]:
        """Make the letters of the change dead again, which are among the ``rows`` that wait or were discarded."""
        found = self._changed(rows, change)
        for key, row, before in found:
            (rows if row.state is State.READY else self.discarded).pop(key)
            row.attempts, row.progress = before.attempts, taken_back(before)
            row.reason, row.finished_at = before.reason, before.died_at
            self.add(key, row)
        for key, _ in sorted(self.dead.items(), key=lambda letter: letter[1].finished_at):
            self.dead.move_to_end(key)
        return [(key, row) for key, row, _ in found]

    def standing(self, rows: dict[str, Row], change: LetterChange) -> Standing:
        times = [
            row.due_at if row.state is State.READY else row.finished_at for _, row, _ in self._changed(rows, change)
        ]
        return standing(times, sum(change.made(row.progress) is not None for row in self.dead.values()))

    def _changed(self, rows: dict[str, Row], change: LetterChange) -> Sequence[tuple[str, Row, Before]]:
        """The letters that may be taken back, each with what it was."""
        self._forget_discarded()
        every = [*rows.items(), *self.discarded.items()]
        return [(key, row, before) for key, row in every if (before := change.made(row.progress)) is not None]

    def _forget_discarded(self) -> None:
        now = self._clock()
        self.discarded = {key: row for key, row in self.discarded.items() if row.finished_at > now}
