"""Turns of the event loop: what is many does not hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crew import item
from ringback.stores.sqlite import SQLiteStore
from ringback.stores.turns import Turns
from ringback.work.latch import Offer
from ticking import Ticking, others

if TYPE_CHECKING:
    from pathlib import Path


async def test_others_have_the_loop_when_a_turn_is_over() -> None:
    """And not before: a delivery of one event has no turns."""
    turns, passed, seen = Turns(Ticking()), others(), list[int]()
    for _ in range(10):
        await turns.next()
        seen.append(len(passed))
    assert seen == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]


async def test_many_rows_of_one_put_are_made_in_turns(tmp_path: Path) -> None:
    """Redacting and encoding a megabyte of a sender's text takes a second."""
    store, passed = SQLiteStore(tmp_path / "ringback.db", monotonic=Ticking()), others()
    seen: list[int] = []

    async def together(_: object, rows: list[object]) -> list[Offer]:
        seen.append(len(passed))
        return [Offer.OPENED] * len(rows)

    store._database.together = together  # type: ignore[method-assign, assignment]
    assert len(await store.put([item(f"leg-{number}") for number in range(30)])) == 30
    assert seen == [9]
