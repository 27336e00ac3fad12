"""The thread that owns a connection: in order, in one transaction, and gone when it is closed."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ringback.exceptions import StoreUnavailable
from ringback.stores.sqlite import writer as module
from ringback.stores.sqlite.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence


def connect() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def threads() -> int:
    return sum(thread.name == "ringback-store" for thread in threading.enumerate())


async def become(count: int) -> None:
    """Wait until there are so many: a thread ends a moment after it has closed its connection."""
    async with asyncio.timeout(10):
        while threads() != count:  # noqa: ASYNC110 - a thread's end sets no event
            await asyncio.sleep(0.005)


async def test_operations_are_done_in_order_and_the_thread_ends() -> None:
    """Closing finishes what waits; opening and closing twice does nothing."""
    writer = Writer(connect)
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        await writer.do(lambda _: 1)
    await asyncio.gather(writer.open(), writer.open())
    await writer.open()
    before = threads()
    done: list[int] = []
    tasks = [asyncio.create_task(writer.do(lambda _, n=n: done.append(n))) for n in range(20)]  # type: ignore[misc]
    await asyncio.sleep(0)
    await writer.close()
    await asyncio.gather(*tasks)
    assert done == list(range(20))
    await become(before - 1)
    await writer.close()


async def test_a_connection_that_cannot_be_closed_ends_the_thread_all_the_same() -> None:
    """Whoever closes the writer hears nothing of it, and no thread ends with a traceback."""

    def cannot(connection: sqlite3.Connection) -> None:
        connection.close()
        raise sqlite3.OperationalError("unable to close")

    writer, before = Writer(connect, cannot), threads()
    await writer.open()
    await writer.close()
    await become(before)


async def test_a_thread_may_have_something_done_that_nobody_awaits() -> None:
    """A writer that is closed does nothing of it."""
    writer, done = Writer(connect), list[str]()
    writer.post(lambda _: done.append("closed"))
    await writer.open()
    await asyncio.to_thread(writer.post, lambda _: done.append("open"))
    await writer.close()
    assert done == ["open"]


async def test_what_cannot_connect_says_so_to_all_and_is_tried_again() -> None:
    """Whoever waits hears the reason; the next who opens it starts anew."""
    failing = True

    def connects() -> sqlite3.Connection:
        time.sleep(0.05)
        if failing:
            raise StoreUnavailable("no luck")
        return connect()

    writer = Writer(connects)
    opening = [asyncio.create_task(writer.open()) for _ in range(3)]
    await asyncio.sleep(0)
    results = await asyncio.gather(*opening, writer.do(lambda _: 1), writer.do(lambda _: 2), return_exceptions=True)
    assert [str(each) for each in results] == ["no luck"] * 5
    failing = False
    await writer.open()
    assert await writer.do(lambda _: 3) == 3
    await writer.close()


async def test_an_open_that_is_cancelled_harms_nobody() -> None:
    """Another who waits for it gets it."""
    begin = threading.Event()

    def connects() -> sqlite3.Connection:
        begin.wait(5)
        return connect()

    writer = Writer(connects)
    impatient, patient = asyncio.create_task(writer.open()), asyncio.create_task(writer.open())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})
    begin.set()
    await patient
    assert await writer.do(lambda _: 1) == 1
    await writer.close()


async def test_closed_and_opened_at_once_the_new_thread_is_not_ended() -> None:
    """The end of one line is not that of the next."""
    writer = Writer(connect)
    await writer.open()
    blocked = asyncio.create_task(writer.do(lambda _: time.sleep(0.1)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    await writer.open()
    assert await writer.do(lambda _: 1) == 1
    await asyncio.gather(blocked, closing)
    assert await writer.do(lambda _: 2) == 2
    await writer.close()


async def test_whoever_has_gone_is_not_answered() -> None:
    """A caller that was cancelled, or whose loop is closed, stops nobody; what it asked for is done."""
    writer = Writer(connect)
    await writer.open()
    done: list[str] = []
    gone = asyncio.create_task(writer.do(lambda _: (time.sleep(0.05), done.append("cancelled"))))
    await asyncio.sleep(0)
    gone.cancel()

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(writer.do(lambda _: (time.sleep(0.05), done.append("closed"))))
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    await asyncio.to_thread(elsewhere)
    assert await writer.do(lambda _: 1) == 1
    assert sorted(done) == ["cancelled", "closed"]
    await writer.close()


async def test_a_transaction_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, only so many share one; closing ends it, too."""
    monkeypatch.setattr(module, "MOST", 10)
    writer = Writer(connect)
    await writer.open()
    statements: list[str] = []
    await writer.do(lambda connection: connection.set_trace_callback(statements.append))
    blocked = asyncio.create_task(writer.do(lambda _: time.sleep(0.05)))
    await asyncio.sleep(0.01)
    tasks = [asyncio.create_task(writer.do(lambda _: None)) for _ in range(25)]
    await asyncio.sleep(0)
    await writer.close()
    await asyncio.gather(blocked, *tasks)
    # The one that blocks by itself or with others, then 10, 10, 5.
    assert statements.count("BEGIN IMMEDIATE") in (3, 4)


async def test_a_failed_transaction_is_nobody_elses_unless_it_is_the_files() -> None:
    """An error of one operation is its own; one of SQLite's operation is everybody's."""
    writer = Writer(connect)
    await writer.open()

    def breaks(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT * FROM nowhere")

    async def together(*operations: object) -> list[object]:
        blocked = asyncio.create_task(writer.do(lambda _: time.sleep(0.05)))
        await asyncio.sleep(0.01)
        results = await asyncio.gather(*(writer.do(each) for each in operations), return_exceptions=True)  # type: ignore[arg-type]
        await blocked
        return [type(each) for each in results]

    assert await together(lambda _: 1, lambda _: 1 / 0, lambda _: 2) == [int, ZeroDivisionError, int]
    assert await together(lambda _: 1, breaks) == [sqlite3.OperationalError] * 2
    assert await writer.do(lambda connection: connection.in_transaction)
    await writer.close()


async def test_what_is_asked_for_in_one_turn_is_one_transaction() -> None:
    """The thread does not begin with the first while the others are still to come."""
    writer = Writer(connect)
    await writer.open()
    statements: list[str] = []
    await writer.do(lambda connection: connection.set_trace_callback(statements.append))
    statements.clear()
    await asyncio.gather(*(writer.do(lambda _: None) for _ in range(100)))
    assert statements == ["BEGIN IMMEDIATE", "COMMIT"]
    await writer.close()


async def test_who_waits_is_told_before_what_nobody_waits_for_is_done() -> None:
    """The answer has come while the rest goes on; a rest that fails is nobody's matter, and there is one for each."""
    told, told_before = threading.Semaphore(0), list[bool]()

    def rest(_: sqlite3.Connection) -> None:
        told_before.append(told.acquire(timeout=5))
        raise sqlite3.OperationalError("database is locked")

    writer = Writer(connect, rest=rest)
    await writer.open()
    for number in range(2):
        assert await writer.do(lambda _, n=number: n) == number  # type: ignore[misc]
        told.release()
    await writer.close()
    assert told_before == [True, True]


async def test_what_is_asked_for_in_the_turn_of_the_end_is_done_or_refused() -> None:
    """Before the end it is done; after it nobody is there to do it."""
    writer = Writer(connect)
    await writer.open()
    before = asyncio.ensure_future(writer.do(lambda _: 1))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(writer.close())
    await asyncio.sleep(0)
    after = asyncio.ensure_future(writer.do(lambda _: 2))
    assert await before == 1
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        await after
    await closing


async def test_what_is_asked_for_together_is_done_together() -> None:
    """One after the other in the line, whoever asked; each has its own result, in order with all the rest."""
    writer = Writer(connect)
    await writer.open()
    asked: list[list[int]] = []

    def doubled(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[int]:
        assert connection.in_transaction
        asked.append(list(numbers))
        return [2 * number for number in numbers]

    blocked = asyncio.create_task(writer.do(lambda _: time.sleep(0.05)))
    await asyncio.sleep(0.01)
    first = [writer.together(doubled, number) for number in range(3)]
    between = asyncio.create_task(writer.do(lambda _: asked.append([])))
    await asyncio.sleep(0)
    last = writer.together(doubled, 3)
    assert await asyncio.gather(blocked, *first, between, last) == [None, 0, 2, 4, None, 6]
    assert asked == [[0, 1, 2], [], [3]]
    await writer.close()


async def test_who_asks_together_waits_no_longer_than_the_limit() -> None:
    """The limit counts from the turn of the loop, the connecting included; what was asked for is done after all."""
    release = threading.Event()
    noted: list[int] = []

    def connects() -> sqlite3.Connection:
        release.wait(20)
        return connect()

    def note(_: sqlite3.Connection, numbers: Sequence[int]) -> Sequence[int]:
        noted.extend(numbers)
        return numbers

    writer = Writer(connects, limit=0.01)
    cancelled, *others = (writer.together(note, number) for number in range(3))
    cancelled.cancel()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError, TimeoutError]
    release.set()
    await writer.open()
    assert await writer.do(lambda _: list(noted)) == [0, 1, 2]
    await writer.close()


async def test_a_connection_that_fails_before_the_turn_is_over_gives_the_reason() -> None:
    """The next connection is tried for what was asked meanwhile; nobody is told that the store is closed."""

    def connects() -> sqlite3.Connection:
        raise StoreUnavailable("no luck")

    writer = Writer(connects)
    before = threads()
    opening = asyncio.create_task(writer.open())
    await asyncio.sleep(0)
    asked = writer.together(lambda _, numbers: numbers, 1)
    while threads() > before:
        # The event loop's turn lasts longer than the thread lives.
        time.sleep(0.001)  # noqa: ASYNC251
    with pytest.raises(StoreUnavailable, match="no luck"):
        await asked
    with pytest.raises(StoreUnavailable, match="no luck"):
        await opening
    await writer.close()


async def test_who_asks_together_fails_alone() -> None:
    """What cannot be done for one is done for the others."""
    writer = Writer(connect)
    await writer.open()
    asked: list[list[int]] = []

    def inverted(_: sqlite3.Connection, numbers: Sequence[int]) -> list[float]:
        asked.append(list(numbers))
        return [1 / number for number in numbers]

    blocked = asyncio.create_task(writer.do(lambda _: time.sleep(0.05)))
    await asyncio.sleep(0.01)
    results = await asyncio.gather(*(writer.together(inverted, number) for number in (1, 0, 2)), return_exceptions=True)
    await blocked
    assert [each if isinstance(each, float) else type(each) for each in results] == [1.0, ZeroDivisionError, 0.5]
    assert asked == [[1, 0, 2], [1], [0], [2]]
    await writer.close()


async def test_a_forked_process_has_no_thread_of_its_parents() -> None:
    """What another process opened is not ours to use; it must be opened anew."""
    writer = Writer(connect)
    await writer.open()
    line = writer._line
    assert line is not None
    line.process = os.getpid() + 1
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        await writer.do(lambda _: 1)
    await writer.open()
    assert writer._line is not line
    assert await writer.do(lambda _: 1) == 1
    await writer.close()
    line.jobs.put(None)


def test_a_fork_is_noticed() -> None:
    """In the child the line is nobody's; in another process, for a fork has no threads to go on with."""
    code = (
        "import asyncio, os, sqlite3, sys\n"
        "from ringback.stores.sqlite.writer import Writer\n"
        "writer = Writer(lambda: sqlite3.connect(':memory:', isolation_level=None))\n"
        "asyncio.run(writer.open())\n"
        "if os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]) or writer._ours() is None)\n"
        "os._exit(writer._ours() is not None)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_closed_while_it_cannot_connect() -> None:
    """Whoever opened it hears the reason, whoever closed it need not wait for more."""

    def connects() -> sqlite3.Connection:
        time.sleep(0.05)
        raise StoreUnavailable("no luck")

    writer = Writer(connects)
    opening = asyncio.create_task(writer.open())
    await asyncio.sleep(0)
    await writer.close()
    with pytest.raises(StoreUnavailable, match="no luck"):
        await opening
