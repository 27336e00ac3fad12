"""What events tell of calls beside their ends is written soon, together, and never before an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dispatching import CONNECTED, OPERATION, RETRYABLE
from ringback.core.delivery import Event, EventData
from ringback.exceptions import StoreError, StoreUnavailable
from ringback.hooks import notebook
from ringback.hooks.notebook import MOST, Notebook
from ringback.stores import MemoryStore
from ringback.work.told import Told, told_by

if TYPE_CHECKING:
    from collections.abc import Sequence

INCOMING = Event("Microsoft.Communication.IncomingCall", data=EventData(correlation_id="call"))


class Kept(MemoryStore):
    """A store that says what it is asked to keep, and fails as it is told."""

    def __init__(self, *, durable: bool = True) -> None:
        super().__init__()
        self.is_durable = durable
        self.kept: list[list[Told]] = []
        self.fault: StoreError | None = None

    @property
    def durable(self) -> bool:
        return self.is_durable

    async def note(self, told: Sequence[Told]) -> None:
        if self.fault is not None:
            raise self.fault
        self.kept.append(list(told))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "DELAY", 0.005)
    monkeypatch.setattr(notebook, "PAUSE", 0.005)


def made(store: Kept) -> tuple[Notebook, list[Any]]:
    faults: list[Any] = []
    return Notebook(store, faults.append, lambda: 9.0), faults


async def until_kept(store: Kept, count: int) -> None:
    async with asyncio.timeout(5):
        while sum(map(len, store.kept)) < count:  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.001)


async def test_notes_are_gathered_and_written_together() -> None:
    """Those of several deliveries; an end, and what no record has, are no notes."""
    store = Kept()
    book, faults = made(store)
    await book.note([RETRYABLE.event], [RETRYABLE])
    await book.note([INCOMING, CONNECTED.event], [CONNECTED])
    await book.note([OPERATION.event, RETRYABLE.event], [OPERATION, RETRYABLE])
    assert store.kept == []
    await until_kept(store, 3)
    connected = told_by(CONNECTED.event, 9.0, None, CONNECTED.outcome_id)
    assert store.kept == [
        [told_by(INCOMING, 9.0), connected, told_by(OPERATION.event, 9.0, OPERATION.refined_by, OPERATION.outcome_id)]
    ]
    await book.note([CONNECTED.event], [CONNECTED])
    await until_kept(store, 4)
    assert (store.kept[1], faults) == ([connected], [])


async def test_in_memory_nothing_waits() -> None:
    """There is nothing to wait for."""
    store = Kept(durable=False)
    book, _ = made(store)
    await book.note([CONNECTED.event], [CONNECTED])
    assert [len(each) for each in store.kept] == [1]


async def test_notes_wait_while_the_store_is_away() -> None:
    """In their order; each attempt that fails is reported, and the oldest of too many are lost."""
    store = Kept()
    book, faults = made(store)
    store.fault = StoreUnavailable("down")
    await book.note([INCOMING], [])
    assert await book.flush() is False
    await book.note([CONNECTED.event], [CONNECTED])
    async with asyncio.timeout(5):
        while len(faults) < 2:  # noqa: ASYNC110 - the observer sets no event
            await asyncio.sleep(0.001)
    store.fault = None
    await until_kept(store, 2)
    assert [told.event for told in store.kept[0]] == ["IncomingCall", "CallConnected"]
    store.fault = StoreUnavailable("down")
    await book.note([INCOMING] * (MOST + 5), [])
    assert await book.flush() is False
    store.fault = None
    assert await book.flush()
    assert len(store.kept[1]) == MOST


async def test_what_waits_is_written_at_the_end() -> None:
    """At once, and nothing is written after it."""
    store = Kept()
    book, _ = made(store)
    await book.close()
    await book.note([CONNECTED.event], [CONNECTED])
    await book.close()
    assert [len(each) for each in store.kept] == [1]
    await asyncio.sleep(0.02)
    assert [len(each) for each in store.kept] == [1]


async def test_who_reads_a_record_waits_for_the_notes_that_are_being_written() -> None:
    """Otherwise the line of a call's end would say that nobody had answered."""
    store, begun, goes_on = Kept(), asyncio.Event(), asyncio.Event()
    book, _ = made(store)
    note = store.note

    async def slow(told: Sequence[Told]) -> None:
        begun.set()
        await goes_on.wait()
        await note(told)

    store.note = slow  # type: ignore[method-assign]
    await book.note([CONNECTED.event], [CONNECTED])
    await begun.wait()
    readers = [asyncio.create_task(book.flush()) for _ in range(2)]
    await asyncio.wait(readers, timeout=0.01)
    assert not any(reader.done() for reader in readers)
    await book.note([INCOMING], [])
    goes_on.set()
    assert await asyncio.gather(*readers) == [True, True]
    assert [[told.event for told in each] for each in store.kept] == [["CallConnected"], ["IncomingCall"]]


async def test_what_is_being_written_at_the_end_is_not_lost() -> None:
    """The write is broken off, so that a database that is away keeps nobody, and what it had is written again."""
    store, begun = Kept(), asyncio.Event()
    book, faults = made(store)
    note = store.note

    async def slow(_: Sequence[Told]) -> None:
        store.note = note  # type: ignore[method-assign]
        begun.set()
        await asyncio.sleep(600)

    store.note = slow  # type: ignore[method-assign]
    await book.note([CONNECTED.event], [CONNECTED])
    await begun.wait()
    await book.close()
    assert ([[told.event for told in each] for each in store.kept], faults) == ([["CallConnected"]], [])


def test_a_loop_that_is_closed_leaves_what_waits_to_the_next() -> None:
    """As where each request has a loop of its own."""
    store = Kept()
    book, _ = made(store)
    asyncio.run(book.note([INCOMING], []))

    async def again() -> None:
        await book.note([CONNECTED.event], [CONNECTED])
        await until_kept(store, 2)

    asyncio.run(again())
    assert [told.event for told in store.kept[0]] == ["IncomingCall", "CallConnected"]
    asyncio.run(book.note([INCOMING], []))
    asyncio.run(book.close())
    assert len(store.kept) == 2
