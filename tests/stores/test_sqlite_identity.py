"""The file of a running app, or its log, is removed, renamed, replaced or cut; nothing is acknowledged in vain."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from crew import Crew, item, until
from ringback.exceptions import StoreError, StoreUnavailable
from ringback.stores.sqlite import SQLiteStore, file, identity
from ringback.stores.sqlite.database import CHECKPOINT
from ringback.stores.sqlite.lock import opening_lock
from ringback.stores.sqlite.whole import WholeCheck
from ringback.work.items import Stats
from ringback.work.latch import Offer

Make = Callable[..., SQLiteStore]

FILES = ("", "-wal", "-shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ringback.db"


@pytest.fixture
async def make(path: Path) -> AsyncIterator[Make]:
    stores: list[SQLiteStore] = []

    def made(at: Path = path, **settings: Any) -> SQLiteStore:
        stores.append(SQLiteStore(at, **{"poll": 0.05, "lease": 5.0, "min_free": 0, **settings}))
        return stores[-1]

    yield made
    for store in stores:
        await store.close()


@pytest.fixture
async def store(make: Make) -> SQLiteStore:
    made = make()
    await made.put([item("kept")])
    return made


def beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def move(path: Path, to: Path) -> None:
    path.rename(to)


def there(path: Path) -> bool:
    return path.exists()


def keys(path: Path) -> list[str]:
    """What a process finds that starts when the others have died: they leave their files as they are."""
    copy = path.with_name("copy.db")
    # A store that opens the file anew closes it first, which removes the log.
    with opening_lock(path):
        for end in FILES[:2]:
            if beside(path, end).exists():
                shutil.copy(beside(path, end), beside(copy, end))
    connection = sqlite3.connect(copy)
    try:
        return sorted(key for (key,) in connection.execute("SELECT key FROM items"))
    finally:
        connection.close()
        for end in FILES:
            beside(copy, end).unlink(missing_ok=True)


async def refused(store: SQLiteStore, says: str, leg: str = "vain") -> None:
    with pytest.raises(StoreUnavailable, match=says) as caught:
        await store.put([item(leg)])
    assert type(caught.value) is StoreUnavailable


@pytest.mark.parametrize("removed", [("",), FILES])
async def test_a_file_that_was_removed_takes_nothing_until_a_restart(
    make: Make, store: SQLiteStore, path: Path, removed: tuple[str, ...]
) -> None:
    """What was acknowledged before reaches its hooks, while the app runs. The app does not make a file by itself."""
    for end in removed:
        beside(path, end).unlink()
    faults = list[Exception]()
    store.on_fault = faults.append
    for _ in range(2):
        await refused(store, "is gone: somebody removed or renamed.*move the file back, or restart the app")
    assert not there(path)
    async with Crew(store) as crew:
        await crew.have(2)
    assert {claim.item.key for claim in crew.claims} >= {"call:kept"}
    # A worker says it once, for there may be no put for hours.
    assert [str(fault)[:40] for fault in faults] == [f"{path} is gone"[:40]]
    await store.close()
    if removed == FILES:
        assert list(await make().put([item("new")])) == [Offer.OPENED]


async def test_a_file_that_was_renamed_has_all_and_may_come_back(store: SQLiteStore, path: Path) -> None:
    """The log stays at the old name, so what was in it is put into the file; back in its place, the file works on."""
    away = path.with_name("away.db")
    move(path, away)
    await refused(store, "is gone")
    assert keys(away) == ["call:kept", "call:vain"]
    move(away, path)
    assert list(await store.put([item("new")])) == [Offer.OPENED]
    assert keys(path) == ["call:kept", "call:new", "call:vain"]


async def test_a_file_that_nobody_can_look_at_is_not_said_to_be_gone(store: SQLiteStore, path: Path) -> None:
    """Whoever has taken a right from the folder finds the file there. Once it can be reached, the file works on."""
    away = path.parent.with_name("away")
    move(path.parent, away)
    path.parent.write_text("no folder")
    await refused(
        store, r"cannot be reached any more \(Not a directory\); see its folder, what the process may do there"
    )
    path.parent.unlink()
    move(away, path.parent)
    assert list(await store.put([item("new")])) == [Offer.OPENED]


async def test_nobody_reads_a_file_that_nobody_finds(make: Make, store: SQLiteStore, path: Path) -> None:
    """The page, the health of a process and the metrics would say that all is well, while every sender gets 503.

    Also in a process that only reads, as the page does by itself.
    """
    reader, away = make(), path.with_name("away.db")
    assert ((await store.stats()).ready, (await reader.stats()).ready) == (1, 1)
    move(path, away)
    for each in (store, reader, store):
        with pytest.raises(StoreUnavailable, match="is gone: somebody removed or renamed"):
            await each.stats()
    move(away, path)
    assert ((await store.stats()).ready, len(await reader.history.latest(10))) == (1, 1)


async def test_a_file_that_comes_back_between_two_looks_is_read(store: SQLiteStore, path: Path) -> None:
    """Only the writer's look counts."""

    class Away(identity.Watch):
        def is_theirs(self) -> bool:
            return False

    store._database._watch = Away(path)
    assert (await store.stats()).ready == 1


async def test_a_reader_goes_over_to_another_file(make: Make, path: Path) -> None:
    """Whoever only reads says it once, and then reads the file that is there."""
    for name, count in (("ringback.db", 1), ("made.db", 2)):
        made = make(path.with_name(name))
        await made.put([item(f"{name}-{number}") for number in range(count)])
        await made.close()
    reader = make()
    assert (await reader.stats()).ready == 1
    for end in FILES:
        beside(path, end).rename(path.with_name(f"away.db{end}"))
    path.with_name("made.db").rename(path)
    with pytest.raises(StoreUnavailable, match="is another file than the one that the app has open"):
        await reader.stats()
    assert (await reader.stats()).ready == 2


async def test_a_worker_says_each_loss(store: SQLiteStore, path: Path) -> None:
    """Once, and again if the file is gone again."""
    away, faults = path.with_name("away.db"), list[Exception]()
    store.on_fault = faults.append
    async with Crew(store):
        for count in (1, 2):
            move(path, away)
            await until(lambda count=count: len(faults) == count)
            move(away, path)
            await until(lambda: store._database._told is None)
    assert len(faults) == 2


async def test_a_log_without_its_file_is_not_taken_for_a_new_files(make: Make, store: SQLiteStore, path: Path) -> None:
    """SQLite would write what is in it into the new file."""
    move(path, path.with_name("away.db"))
    other = make()
    with pytest.raises(StoreError, match=r"is gone, and .*-wal is there.*move the file back") as caught:
        await other.open()
    assert (type(caught.value), there(path)) == (StoreError, False)
    for end in FILES[1:]:
        beside(path, end).unlink()
    assert list(await other.put([item("new")])) == [Offer.OPENED]
    await refused(store, "is another file")


async def test_another_file_in_its_place_is_opened(make: Make, store: SQLiteStore, path: Path) -> None:
    """The first answer is 503, for the file before has what came; a restored copy then takes what comes."""
    copy = make(path.with_name("made.db"))
    await copy.put([item("other")])
    await copy.close()
    assert (await store.stats()).ready == 1
    for end in FILES:
        beside(path, end).rename(path.with_name(f"away.db{end}"))
    copy.path.rename(path)
    await refused(store, "is another file than the one that the app has open")
    assert list(await store.put([item("new"), item("other")])) == [Offer.OPENED, Offer.DUPLICATE]
    assert (await store.stats(), keys(path)) == (
        Stats(ready=2, oldest_due=pytest.approx(0, abs=4e9)),
        ["call:new", "call:other"],
    )


@pytest.mark.parametrize("left", [0, 8192])
async def test_a_file_that_was_cut_short_takes_nothing(store: SQLiteStore, path: Path, left: int) -> None:
    """Also once SQLite has made it longer again: what it had is gone. A vacuum makes a file shorter, too."""
    await store.put([item(f"leg-{number}") for number in range(CHECKPOINT + 200)])
    await store._database.do(lambda _: None)
    os.truncate(path, left)
    for _ in range(2):
        await refused(store, "somebody cut .* short.*restore a backup")


async def test_a_file_that_cannot_say_its_size_was_cut(store: SQLiteStore, path: Path) -> None:
    """What SQLite itself cannot read any more is no file to write to."""
    await store._database.do(lambda _: None)
    watch, broken = identity.Watch(path), sqlite3.connect(":memory:")
    broken.close()
    os.truncate(path, 0)
    loss = watch.look(broken)
    assert loss is not None
    assert "cut" in loss.text
    os.truncate(path, 10**6)
    assert watch.look(broken) == loss


async def test_a_vacuum_is_no_loss(store: SQLiteStore, path: Path) -> None:
    """The file is shorter afterwards, and whole."""
    await store.put([item(f"leg-{number}") for number in range(CHECKPOINT + 200)])
    await store._database.do(lambda connection: connection.execute("DELETE FROM items").rowcount)
    # Behind what follows the transaction.
    await store._database.do(lambda _: None)

    def vacuum() -> int:
        connection = sqlite3.connect(path, isolation_level=None)
        before = path.stat().st_size
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        return before - path.stat().st_size

    assert await asyncio.to_thread(vacuum) > 0
    assert list(await store.put([item("new")])) == [Offer.OPENED]


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_log_that_is_gone_is_made_anew(store: SQLiteStore, path: Path, replaced: bool) -> None:
    """What was in it is put into the file at once. Reading it as well does not stand in the way."""
    assert (await store.stats()).ready == 1
    log = beside(path, "-wal")
    if replaced:
        beside(path, "-new").touch()
        beside(path, "-new").rename(log)
    else:
        log.unlink()
    await refused(store, "-wal is gone or replaced")
    assert keys(path) == ["call:kept", "call:vain"]
    assert list(await store.put([item("new")])) == [Offer.OPENED]
    assert ((await store.stats()).ready, keys(path)) == (3, ["call:kept", "call:new", "call:vain"])


async def test_nobody_joins_those_whose_log_is_gone(
    make: Make, store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two logs of one file would damage it. Once the others have noticed, all go on with one log."""
    beside(path, "-wal").unlink()
    other = make()
    with monkeypatch.context() as patched:
        patched.setattr(identity, "_TRIES", 2)
        with pytest.raises(StoreUnavailable, match=r"-wal is gone, and other processes have .* open; restart them"):
            await other.open()
    await refused(store, "-wal is gone")
    assert list(await other.put([item("new")])) == [Offer.OPENED]
    assert list(await store.put([item("also")])) == [Offer.OPENED]
    assert keys(path) == ["call:also", "call:kept", "call:new", "call:vain"]


async def test_many_open_and_close_one_file_at_once(path: Path) -> None:
    """As workers do that start together after a clean end, and while others end: nobody takes another for a worker
    whose log is gone, and all have one log.
    """
    crowd, each = 6, 12
    start = threading.Barrier(crowd)

    def opens() -> None:
        for _ in range(each):
            start.wait()
            connection, _died = file.opened(path, 5.0)
            watch = identity.Watch(path)
            assert watch.look(connection) is None
            file.closed(path, connection)

    await asyncio.gather(*[asyncio.to_thread(opens) for _ in range(crowd)])
    assert [there(beside(path, end)) for end in FILES] == [True, False, False]


@pytest.mark.parametrize("reads", [False, True])
async def test_nobody_joins_those_whose_log_is_removed_just_then(
    make: Make, store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    """SQLite makes another log for who joins, to write or to read. It is removed before anybody works with it."""
    other = store if reads else make()
    step = "identity_of" if reads else "ended_uncleanly"
    found = getattr(identity, step)

    def removed_after(path_of_step: Path) -> object:
        try:
            return found(path_of_step)
        finally:
            beside(path, "-wal").unlink(missing_ok=True)

    with monkeypatch.context() as patched:
        patched.setattr(file, step, removed_after)
        with pytest.raises(StoreUnavailable, match=r"-wal is gone, and other processes have .* open; restart them"):
            await (other.stats() if reads else other.open())
    assert not there(beside(path, "-wal"))
    await refused(store, "-wal is gone")
    assert list(await other.put([item("new")])) == [Offer.OPENED]
    assert list(await store.put([item("also")])) == [Offer.OPENED]
    assert (await store.stats()).ready == 4
    assert keys(path) == ["call:also", "call:kept", "call:new", "call:vain"]


async def test_the_index_of_another_log_puts_nothing_into_the_file(make: Make, store: SQLiteStore, path: Path) -> None:
    """Others work with another log already, and share its index with this process: what they wrote stays whole."""
    beside(path, "-new").write_bytes(b"the log of others")
    beside(path, "-new").rename(beside(path, "-wal"))
    await refused(store, "-wal is gone or replaced, .* with the other one")
    assert list(await store.put([item("new")])) == [Offer.OPENED]


async def test_what_waits_when_the_file_is_lost_is_refused_too(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of it was written, and nobody waits for ever."""
    monkeypatch.setattr("ringback.stores.sqlite.writer.MOST", 2)
    beside(path, "-wal").unlink()
    puts = [asyncio.ensure_future(store.put([item(f"leg-{number}")])) for number in range(5)]
    told = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(each) for each in told] == [StoreUnavailable] * 5
    assert list(await store.put([item("leg-4")])) == [Offer.OPENED]


# How the processes before have ended


DIES = """
import asyncio, os, sys
from crew import item
from ringback.stores.sqlite import SQLiteStore

async def main():
    await SQLiteStore(sys.argv[1], min_free=0).put([item("kept")])
    os._exit(0)

asyncio.run(main())
"""


def dead(path: Path) -> None:
    """Leave the file as a process that was killed."""
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", DIES, str(path)], check=True, env={**os.environ, "PYTHONPATH": here})


class Checks:
    """Counts the checks of whole files, and says what each finds."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, connect: Callable[[], sqlite3.Connection], damaged: Callable[[str], object]) -> WholeCheck:
        self.count += 1
        return WholeCheck(connect, damaged)


async def test_a_whole_check_is_made_after_a_death_alone(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of a new file, not after a clean end, and not beside a process that works."""
    checks = Checks()
    monkeypatch.setattr("ringback.stores.sqlite.database.WholeCheck", checks)
    first = make()
    await first.put([item("a")])
    await make().open()
    await first.close()
    await make().open()
    assert checks.count == 0
    for each in list(path.parent.iterdir()):
        each.unlink()


async def test_after_a_death_the_file_is_checked_and_taken(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the background: whoever opens it does not wait, and whoever closes it ends the check."""
    checks = Checks()
    monkeypatch.setattr("ringback.stores.sqlite.database.WholeCheck", checks)
    await asyncio.to_thread(dead, path)
    store = make()
    assert list(await store.put([item("kept"), item("new")])) == [Offer.DUPLICATE, Offer.OPENED]
    await store.close()
    assert checks.count == 1


async def test_a_check_makes_room_for_a_file_that_is_opened_anew(make: Make, path: Path) -> None:
    """It has the file open, too, and nobody else may have it."""
    await asyncio.to_thread(dead, path)
    store = make()
    await store.open()
    beside(path, "-wal").unlink()
    await refused(store, "-wal is gone")
    assert list(await store.put([item("new")])) == [Offer.OPENED]


async def test_what_the_check_finds_ends_the_acknowledging(make: Make, path: Path) -> None:
    """The line says it at once, and each put then."""
    await asyncio.to_thread(dead, path)
    store = make()
    faults = list[Exception]()
    store.on_fault = faults.append
    await store.open()
    store._database._damaged("page 7 is never used")
    with pytest.raises(StoreError, match=r"is damaged .page 7 is never used.; restore it") as caught:
        await store.put([item("new")])
    assert [str(fault) for fault in faults] == [str(caught.value)]
    assert type(caught.value) is StoreError


def overwrite(path: Path, start: int = 4096) -> None:
    content = bytearray(path.read_bytes())
    content[start:40960] = b"\xa5" * (40960 - start)
    path.write_bytes(content)


@pytest.mark.parametrize(("spoil", "says"), [(None, []), (overwrite, ["damaged"]), (Path.unlink, [])])
async def test_the_check_says_what_is_damaged(
    make: Make, path: Path, spoil: Callable[[Path], None] | None, says: list[str]
) -> None:
    """A file that cannot be opened is no matter of the check's."""
    store = make()
    await store.put([item(f"leg-{number}") for number in range(200)])
    await store.close()
    if spoil is not None:
        spoil(path)
    found = list[str]()
    check = WholeCheck(lambda: file.opened_to_read(path, 1.0), found.append)
    await asyncio.to_thread(check._thread.join)
    assert ["damaged" for _ in found] == says
    check.stop()


class Slow:
    """A connection whose check takes until somebody interrupts it."""

    def __init__(self, code: int) -> None:
        self._code = code
        self.begun, self._told = threading.Event(), threading.Event()
        self.closed = False

    def execute(self, _: str) -> Any:
        self.begun.set()
        assert self._told.wait(30)
        error = sqlite3.DatabaseError("it ended")
        error.sqlite_errorcode = self._code  # type: ignore[misc]
        raise error

    def interrupt(self) -> None:
        self._told.set()

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("code", "says"), [(sqlite3.SQLITE_INTERRUPT, []), (sqlite3.SQLITE_CORRUPT_INDEX, ["it ended"])]
)
def test_a_check_is_ended(code: int, says: list[str]) -> None:
    """At once. Damage that SQLite raises is said, an interruption not."""
    found, slow = list[str](), Slow(code)
    check = WholeCheck(lambda: slow, found.append)  # type: ignore[arg-type,return-value]
    assert slow.begun.wait(30)
    check.stop()
    assert (found, slow.closed) == (says, True)


def test_a_check_that_is_ended_before_it_begins_does_nothing() -> None:
    """Its connection is closed all the same."""
    slow, let = Slow(0), threading.Event()

    def connect() -> Any:
        assert let.wait(30)
        return slow

    check = WholeCheck(connect, lambda _: None)
    ending = threading.Thread(target=check.stop)
    ending.start()
    while not check._stopped:
        pass
    let.set()
    ending.join()
    assert (slow.begun.is_set(), slow.closed) == (False, True)


async def test_a_check_ends_although_all_threads_of_the_app_are_taken() -> None:
    """The end of a store waits for no thread of the event loop's executor, which belongs to the app."""
    slow, let = Slow(sqlite3.SQLITE_INTERRUPT), threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
    taken = loop.run_in_executor(None, let.wait, 30)
    check = WholeCheck(lambda: slow, lambda _: None)  # type: ignore[arg-type,return-value]
    try:
        async with asyncio.timeout(10):
            await check.close()
    finally:
        let.set()
    assert (slow.closed, await taken) == (True, True)


async def test_a_forked_process_waits_for_no_check_of_its_parent() -> None:
    """It has no such thread, so nobody would tell it of the end."""
    check = WholeCheck(lambda: Slow(0), lambda _: None)  # type: ignore[arg-type,return-value]
    check.stop()
    check._ended = concurrent.futures.Future()
    async with asyncio.timeout(10):
        await check.close()
