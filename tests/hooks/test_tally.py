"""Deliveries are counted without a store, and the store is given the counts together, every few seconds."""

from __future__ import annotations

import ast
import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ringback
from ringback.exceptions import StoreError, StoreUnavailable
from ringback.hooks import tally
from ringback.hooks.tally import MOST, Tally
from ringback.stores import MemoryStore
from ringback.work.deliveries import ACCEPTED, OTHER, REASONS, RESULTS, SENDER_LEFT, Counted, answer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringback.work.deliveries import Answer

WRONG: Answer = ("refused", "audience_wrong")
START = 1_800_000_000.0


class Kept(MemoryStore):
    """A store that says what it was given, and fails as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[list[Counted]] = []
        self.fault: StoreError | None = None
        self.asked = 0
        self.holds: asyncio.Event | None = None

    async def count_deliveries(self, counted: Sequence[Counted]) -> None:
        self.asked += 1
        if self.holds is not None:
            await self.holds.wait()
        if self.fault is not None:
            raise self.fault
        self.kept.append(list(counted))


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "PERIOD", 0.005)
    monkeypatch.setattr(tally, "PAUSE", 0.005)


def made(clock: Clock) -> tuple[Kept, Tally, list[Any]]:
    store, faults = Kept(), list[Any]()
    return store, Tally(store, faults.append, clock), faults


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.001)


async def test_many_deliveries_are_one_write(clock: Clock) -> None:
    """A flood of refused requests costs the store what a single one costs."""
    store, counts, _ = made(clock)
    for number in range(10_000):
        clock.now = START + number / 10_000
        counts.count(WRONG)
    counts.count(ACCEPTED)
    assert store.asked == 0
    assert counts.totals() == {"refused": 10_000, "accepted": 1}
    assert await counts.flush()
    assert store.kept == [
        [
            Counted(int(START), "refused", "audience_wrong", 10_000, START + 0.9999),
            Counted(int(START), "accepted", "", 1, START + 0.9999),
        ]
    ]
    assert await counts.flush()
    assert store.asked == 1
    assert counts.totals() == {"refused": 10_000, "accepted": 1}


@pytest.mark.usefixtures("quick")
async def test_the_counts_are_written_soon(clock: Clock) -> None:
    """Also where no further delivery comes."""
    store, counts, _ = made(clock)
    counts.count(SENDER_LEFT)
    await until(lambda: store.kept)
    assert store.kept == [[Counted(int(START), "interrupted", "sender_left", 1, START)]]


@pytest.mark.usefixtures("quick")
async def test_a_store_that_is_away_costs_nothing_but_a_try_now_and_then(clock: Clock) -> None:
    """The counts wait, and add up; once the store is back, it has them all."""
    store, counts, faults = made(clock)
    store.fault = StoreUnavailable("away")
    counts.count(WRONG)
    await until(lambda: len(faults) > 1)
    clock.now += 1
    counts.count(WRONG)
    clock.now += 60
    counts.count(WRONG)
    store.fault = None
    await until(lambda: sum(each.count for batch in store.kept for each in batch) == 3)
    assert {type(each) for each in faults} == {StoreUnavailable}
    assert sorted(each.at for batch in store.kept for each in batch) == [int(START), int(START) + 60]


async def test_what_a_store_could_not_keep_is_told_until_it_has(clock: Clock) -> None:
    """What is counted waits for a while in any case, and is no news before a store has refused it."""
    store, counts, _ = made(clock)
    counts.count(WRONG)
    assert list(counts.unwritten()) == []
    store.fault = StoreUnavailable("away")
    assert not await counts.flush()
    counts.count(WRONG)
    assert list(counts.unwritten()) == [Counted(int(START), *WRONG, 1, START)]
    assert not await counts.flush()
    assert list(counts.unwritten()) == [Counted(int(START), *WRONG, 2, START)]
    store.fault = None
    assert await counts.flush()
    assert list(counts.unwritten()) == []


async def test_of_a_long_outage_the_latest_counts_are_kept(clock: Clock) -> None:
    """What waits for a store is bounded."""
    store, counts, _ = made(clock)
    for _ in range(MOST + 10):
        clock.now += 60
        counts.count(WRONG)
    await counts.flush()
    [batch] = store.kept
    assert len(batch) == MOST
    assert max(each.at for each in batch) == int(clock.now // 60) * 60


@pytest.mark.usefixtures("quick")
async def test_a_slow_store_is_asked_once_at_a_time(clock: Clock) -> None:
    """What is counted meanwhile is written afterwards."""
    store, counts, _ = made(clock)
    store.holds = asyncio.Event()
    counts.count(WRONG)
    await until(lambda: store.asked)
    clock.now += 1
    counts.count(ACCEPTED)
    await asyncio.sleep(0.03)
    assert store.asked == 1
    store.holds.set()
    await until(lambda: len(store.kept) == 2)
    assert [[each.result for each in batch] for batch in store.kept] == [["refused"], ["accepted"]]


@pytest.mark.usefixtures("quick")
async def test_the_end_of_the_app_writes_what_was_counted(clock: Clock) -> None:
    """A write under way is stopped, and its counts are written with the others."""
    store, counts, faults = made(clock)
    counts.count(WRONG)
    await counts.close()
    store.holds = asyncio.Event()
    counts.count(ACCEPTED)
    await until(lambda: store.asked == 2)
    counts.count(ACCEPTED)
    store.holds = None
    await counts.close()
    assert [[(each.result, each.count) for each in batch] for batch in store.kept] == [
        [("refused", 1)],
        [("accepted", 2)],
    ]
    assert faults == []


def test_another_event_loop_goes_on(clock: Clock, quick: None) -> None:
    """An app may live in several event loops, and one of them may be closed with counts that nobody wrote."""
    store, counts, _ = made(clock)

    async def one() -> None:
        counts.count(WRONG)
        store.holds = asyncio.Event()
        await until(lambda: store.asked)

    first = asyncio.new_event_loop()
    first.run_until_complete(one())
    store.holds = None

    async def other() -> None:
        clock.now += 1
        counts.count(ACCEPTED)
        await counts.close()
        counts.count(ACCEPTED)
        await until(lambda: sum(each.result == "accepted" for batch in store.kept for each in batch) % 2 == 0)

    asyncio.run(other())
    first.run_until_complete(asyncio.wait(asyncio.all_tasks(first)))
    first.close()
    asyncio.run(other())
    assert sum(each.count for batch in store.kept for each in batch) == 5


async def test_a_clock_that_was_set_back_stops_no_counting(clock: Clock) -> None:
    """A count belongs to the minute that the clock shows."""
    store, counts, _ = made(clock)
    counts.count(WRONG)
    clock.now -= 3600
    counts.count(WRONG)
    await counts.flush()
    assert sorted(each.at for each in store.kept[0]) == [int(START) - 3600, int(START)]


def test_every_reason_of_a_check_is_in_the_table() -> None:
    """The checks of the package give no refusal, and its errors no reason, that would count as another."""
    slugs = set[tuple[str, int]]()
    for source in (Path(ringback.__file__).parent / "senders").glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Refusal":
                words = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
                slugs |= {(word, 503 if len(node.args) > 1 else 401) for word in words if isinstance(word, str)}
    assert len(slugs) > 20
    named = {answer_of(status, slug) for slug, status in slugs}
    assert ("refused", OTHER) not in named
    assert ("unavailable", OTHER) not in named


@given(status=st.integers(100, 599), reason=st.text(max_size=20))
def test_no_word_of_a_sender_becomes_a_reason(status: int, reason: str) -> None:
    """The table is closed: whatever the status and the text, the answer is in it."""
    result, known = answer_of(status, reason)
    assert result in RESULTS
    assert known in REASONS[result]


async def test_doors_in_several_event_loops_count_one_after_the_other(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that counted at the same moment left counts without a time, and no delivery was answered any more."""
    store = Kept()
    counts, waits = Tally(store, print, clock), list[bool]()

    async def counted() -> None:
        counts.count(ACCEPTED)

    other = threading.Thread(target=lambda: asyncio.run(counted()))

    def meanwhile(*_: object, **__: object) -> None:
        other.start()
        other.join(0.1)
        waits.append(other.is_alive())

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", meanwhile)
    counts.count(ACCEPTED)
    await asyncio.to_thread(other.join)
    await counts.close()
    assert waits == [True]
    assert [sum(each.count for each in kept) for kept in store.kept] == [2]
