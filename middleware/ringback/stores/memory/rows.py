"""Items in the memory of one process, and what readers of a store get of them."""

from __future__ import annotations

import asyncio  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple

from ringback.work.history import Waiting
from ringback.work.items import DeadLetter, Item, Progress, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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
