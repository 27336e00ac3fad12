"""What is special to the store in an SQLite file; what all stores share is in test_port.py."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from crew import plan, until
from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import classify, classify_event
from ringback.core.times import DAY
from ringback.exceptions import ConfigurationError, StoreError, StoreFull, StoreUnavailable
from ringback.stores.sqlite import rows, schema
from ringback.stores.sqlite.database import CHECKPOINT
from ringback.stores.sqlite.store import SQLiteStore
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State, Stats
from ringback.work.latch import Offer

DONE = Settlement(State.DONE)

Make = Callable[..., SQLiteStore]


def item(leg: str | None, **told: Any) -> Item:
    data = EventData(call_connection_id=leg, result_information=Result(486, 560486), **told)
    outcome = classify_event(Event(type="Microsoft.Communication.CallDisconnected", id=f"event-{leg}", data=data))
    assert outcome is not None
    return Item(outcome.outcome_id, Kind.OUTCOME, 0.0, outcome)


def whole(call: str) -> Item:
    """Event Grid's end of a whole call."""
    ended = classify_event(Event(type="CallEnded", id="e", data=EventData(correlation_id=call)))
    assert ended is not None
    return Item(ended.outcome_id, Kind.OUTCOME, 0.0, ended)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ringback.db"


@pytest.fixture
async def make(path: Path) -> AsyncIterator[Make]:
    stores: list[SQLiteStore] = []

    def made(**settings: Any) -> SQLiteStore:
        store = SQLiteStore(settings.pop("path", path), **{"poll": 0.05, "lease": 1.0, "min_free": 0, **settings})
        stores.append(store)
        return store

    yield made
    for store in stores:
        await store.close()


async def finishes(_: Claim) -> Settlement:
    return DONE


async def drained(store: SQLiteStore, work: Callable[[Claim], Awaitable[Settlement]] = finishes) -> None:
    """Everything that is due has been worked on."""

    async def idle() -> bool:
        stats = await store.stats()
        return stats.ready + stats.running == 0

    task = asyncio.create_task(store.run(work, 4))
    await until(idle)
    await store.stop(5.0)
    await task


def query(path: Path, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        return connection.execute(statement, parameters).fetchall()
    finally:
        connection.close()


# URLs and settings


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///ringback.db", "ringback.db"),
        ("sqlite:////var/lib/app/ringback.db", "/var/lib/app/ringback.db"),
        ("sqlite:///a%20b/c%3F.db", "a b/c?.db"),
        ("sqlite:///x.db?lease=9&poll=1&timeout=1&max_backlog=5&min_free=0&keep=1&remember=2&network=1", "x.db"),
    ],
    ids=["relative", "absolute", "encoded", "settings"],
)
def test_a_url_names_a_file(url: str, file: str) -> None:
    """Three slashes for a relative path, four for an absolute one."""
    assert SQLiteStore.from_url(url).path == Path(file)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://me:hush@host/x.db", "names no file"),
        ("sqlite:///x.db#hush", "names no file"),
        ("sqlite:///x%00.db", "names no file"),
        ("sqlite://[hush/x.db", "cannot be read"),
        ("sqlite:///x.db?leese=1", "'leese' is no setting; there are lease, poll"),
        ("sqlite:///x.db?lease=long", "lease 'long' is no number"),
        ("sqlite:///x.db?network=yes", "network 'yes' is no number"),
        ("sqlite:///x.db?lease=", "lease '' is no number"),
        ("sqlite:///x.db?lease=0", "lease 0.0 is no positive number"),
        ("sqlite:///x.db?poll=nan", "poll nan is no positive number"),
        ("sqlite:///x.db?timeout=inf", "timeout inf is no positive number"),
        ("sqlite:///x.db?max_backlog=-1", "max_backlog -1 is no positive number"),
        ("sqlite:///x.db?lease=1", "lease 1.0 is too short for poll 0.5"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, says: str) -> None:
    """Found when the store is made; what may be a password is not repeated."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        SQLiteStore.from_url(url)
    assert "hush" not in str(caught.value)


# Files that are no store


def random_bytes(path: Path) -> None:
    path.write_bytes(bytes(range(1, 256)) * 40)


def empty_database(path: Path) -> None:
    query(path, "PRAGMA user_version = 7")


def foreign(path: Path) -> None:
    query(path, "CREATE TABLE users (name TEXT)")


def marked_by_another(path: Path) -> None:
    query(path, "PRAGMA application_id = 42")


def made(path: Path) -> None:
    async def fill() -> None:
        store = SQLiteStore(path, min_free=0)
        await store.put([item(f"leg-{number}") for number in range(200)])
        await store.close()

    asyncio.run(fill())
    query(path, "PRAGMA wal_checkpoint(TRUNCATE)")


def newer(path: Path) -> None:
    made(path)
    query(path, f"PRAGMA user_version = {schema.VERSION + 1}")


def truncated(path: Path) -> None:
    made(path)
    path.write_bytes(path.read_bytes()[:10_000])


def overwritten(path: Path) -> None:
    made(path)
    content = bytearray(path.read_bytes())
    content[4096:40960] = b"\xa5" * 36864
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (random_bytes, "it is no SQLite file; name another one"),
        (foreign, "is the database of another application"),
        (empty_database, "is the database of another application"),
        (marked_by_another, "is the database of another application"),
        (
            newer,
            f"made by a newer release .schema {schema.VERSION + 1}, this one knows {schema.VERSION}., or upgraded by "
            "it; upgrade ringback, or end all processes and put the copy from before the upgrade in the place of",
        ),
        (truncated, "restore it, or move it away"),
        (
            Path.mkdir,
            "name a file, in a folder that exists, which the process may read and write, "
            "or run the command as the app's user",
        ),
    ],
)
def test_a_file_that_is_no_store_of_ours_is_refused(path: Path, spoil: Callable[[Path], None], says: str) -> None:
    """A lasting error, with its remedy, and the file stays as it was."""
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""

    async def check() -> None:
        store = SQLiteStore(path, min_free=0)
        for use in (store.open(), store.put([item("a")]), store.stats()):
            with pytest.raises(StoreError, match=says) as caught:
                await use
            assert type(caught.value) is StoreError
        await store.close()

    asyncio.run(check())
    assert (path.read_bytes() if path.is_file() else b"") == before


async def test_damage_is_said_by_whoever_meets_it(make: Make, path: Path) -> None:
    """Nobody reads a whole file at each start: it takes seconds in a large one."""
    await asyncio.to_thread(overwritten, path)
    store = make()
    await store.open()
    with pytest.raises(StoreError, match="restore it, or move it away") as caught:
        await store.put([item("leg-1")])
    assert type(caught.value) is StoreError


async def test_a_missing_folder_is_an_error_until_it_is_made(make: Make, tmp_path: Path) -> None:
    """It is not made silently: a typing error would start with nothing. Made, the same store works."""
    store = make(path=tmp_path / "absent" / "x.db")
    with pytest.raises(StoreError, match="its folder does not exist; create it first"):
        await store.open()
    (tmp_path / "absent").mkdir()
    assert list(await store.put([item("a")])) == [Offer.OPENED]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EACCES, StoreError), (errno.EROFS, StoreError), (errno.ENOSPC, StoreUnavailable)],
)
async def test_a_file_that_cannot_be_made(
    make: Make, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StoreError]
) -> None:
    """No right to is lasting; no room may pass."""

    def refuses(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    store = make()
    with monkeypatch.context() as patched:
        # Root may write everywhere.
        patched.setattr(os, "open", refuses)
        with pytest.raises(StoreError, match="cannot be made") as caught:
            await store.open()
    assert type(caught.value) is kind


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


async def test_a_full_disk_answers_unavailable_and_loses_nothing(make: Make, small_disk: Path) -> None:
    """What was answered is there; when there is room again, the same store works."""
    store = make(path=small_disk / "x.db")
    kept = await fill(store)
    await make_room(store, kept)


async def test_a_disk_that_turns_read_only_is_refused_at_start_and_loses_nothing(make: Make, small_disk: Path) -> None:
    """As a disk does that has seen too many faults: the error says so, and what was put is there afterwards."""
    store = make(path=small_disk / "x.db")
    assert list(await store.put([item("before")])) == [Offer.OPENED]
    await store.close()
    remount(small_disk, "ro")
    with pytest.raises(
        StoreError,
        match=r"x\.db: unable to open database file; name a file, in a folder that exists, .* as the app's user",
    ):
        await make(path=small_disk / "x.db").open()
    remount(small_disk, "rw")
    assert list(await store.put([item("before"), item("after")])) == [Offer.DUPLICATE, Offer.OPENED]
    await store.close()


async def test_a_full_file_answers_unavailable_and_loses_nothing(make: Make) -> None:
    """The same without a disk of its own: SQLite's own limit gives the same error."""
    store = make()
    await store.open()
    await store._database.do(lambda connection: connection.execute("PRAGMA max_page_count = 60").fetchall())
    kept = await fill(store)
    await store._database.do(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchall())
    assert list(await store.put([item("after")])) == [Offer.OPENED]
    assert (await store.stats()).ready == kept + 1


async def fill(store: SQLiteStore) -> int:
    """Put until there is no room. How many were accepted."""
    kept = 0
    with pytest.raises(StoreUnavailable, match="disk is full; make room") as caught:  # noqa: PT012 - the one that fails is not known
        for number in range(10_000):
            await store.put([item(f"leg-{number}", operation_context="x" * 2000)])
            kept += 1
    assert type(caught.value) is StoreUnavailable
    return kept


async def make_room(store: SQLiteStore, kept: int) -> None:
    subprocess.run(["mount", "-o", "remount,size=16m", store.path.parent], check=True)  # noqa: ASYNC221
    assert (await store.stats()).ready == kept
    assert list(await store.put([item("after")])) == [Offer.OPENED]
    await drained(store)
    assert await store.stats() == Stats(done=kept + 1)


async def test_too_little_room_is_refused_before_the_disk_is_full(make: Make) -> None:
    """The limit is looked at once a second at most."""
    times = [0.0]
    store = make(min_free=2**60, monotonic=lambda: times[0])
    for _ in range(2):
        with pytest.raises(StoreFull, match=r"\d+ bytes are free for .*; at least \d+ must stay so \(min_free\)"):
            await store.put([item("a")])
    store._room._min_free = 0
    with pytest.raises(StoreFull):
        await store.put([item("a")])
    times[0] = 1.0
    assert list(await store.put([item("a")])) == [Offer.OPENED]
    assert await store.stats() == Stats(ready=1, oldest_due=pytest.approx(time.time(), abs=3600))


async def test_a_backlog_is_limited_until_somebody_works(make: Make) -> None:
    """Too much that waits is refused, looked at once a second."""
    times = [0.0]
    store = make(max_backlog=2, monotonic=lambda: times[0])
    await store.put([item("a"), item("b")])
    times[0] = 1.0
    with pytest.raises(StoreFull, match=r"2 items wait in .*; at most 2 may; see that workers run"):
        await store.put([item("c")])
    await drained(store)
    times[0] = 2.0
    assert list(await store.put([item("c")])) == [Offer.OPENED]


async def test_a_folder_that_is_gone_is_a_fault(make: Make, path: Path) -> None:
    """Whatever the operating system says of the disk is one of our errors."""
    store = make()
    await store.open()
    store._room._path = path.parent / "gone" / "x.db"
    with pytest.raises(StoreUnavailable, match="No such file"):
        await store.put([item("a")])


async def test_a_locked_file_answers_unavailable_and_recovers(make: Make, path: Path) -> None:
    """Somebody else's lock is waited for, then refused; nothing is lost, and nothing is written twice."""
    store = make(timeout=0.5)
    await store.put([item("before")])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    faults: list[Exception] = []
    store.on_fault = faults.append
    with pytest.raises(StoreUnavailable, match=r"database is locked|was not written within"):
        await store.put([item("a")])
    fresh = make()
    task = asyncio.create_task(store.run(finishes, 1))
    await until(lambda: bool(faults))
    holder.execute("ROLLBACK")
    holder.close()
    assert list(await fresh.put([item("b")])) == [Offer.OPENED]
    await until(lambda: is_done(store, 2))
    await store.stop(5.0)
    await task
    assert {type(each) for each in faults} == {StoreUnavailable}
    assert (await store.put([item("a")]))[0] in Offer


async def is_done(store: SQLiteStore, count: int) -> bool:
    return (await store.stats()).done >= count


async def test_a_put_is_given_up_in_time(make: Make) -> None:
    """It does not wait for ever in a line that stands; what is written after all is a duplicate when it comes again."""
    store = make(timeout=0.05)
    await store.open()
    release = threading.Event()
    blocking = asyncio.create_task(store._database.do(lambda _: release.wait(20)))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match=r"was not written within 0\.1 seconds"):
        await store.put([item("a")])
    release.set()
    assert await blocking
    assert list(await make().put([item("a")])) == [Offer.DUPLICATE]


async def test_a_closed_store_is_opened_by_whoever_uses_it(make: Make) -> None:
    """Also when twenty open it at the same time, and by stores of other processes."""
    stores = [make(timeout=10.0) for _ in range(10)]
    await asyncio.gather(*(store.open() for store in stores * 2))
    offers = await asyncio.gather(*(store.put([item("a")]) for store in stores))
    assert sorted(offer.value for (offer,) in offers) == ["duplicate"] * 9 + ["opened"]
    assert not await stores[0].checkpoint("call:a", Progress())
    assert all(store.durable for store in stores)


async def test_the_file_is_nobody_elses_to_read(make: Make, path: Path) -> None:
    """Neither the file nor what SQLite puts beside it."""
    await make().put([item("a")])
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"ringback.db": 0o600, "ringback.db-wal": 0o600, "ringback.db-shm": 0o600}


# Reading what cannot be read


async def test_a_record_that_cannot_be_read_is_a_dead_letter(make: Make, path: Path) -> None:
    """It blocks nobody: its neighbours are worked on, it is listed without outcome, and may be discarded."""
    store = make()
    await store.put([item("a"), item("b"), item("c")])
    query(path, "UPDATE items SET payload = x'00' WHERE key = 'call:a'")
    query(path, "UPDATE items SET payload = NULL WHERE key = 'call:b'")
    await drained(store)
    letters = await store.dead()
    assert sorted((letter.key, letter.outcome, letter.attempts, letter.progress) for letter in letters) == [
        ("call:a", None, 1, Progress()),
        ("call:b", None, 1, Progress()),
    ]
    assert all("cannot be read" in letter.reason for letter in letters)
    assert await store.stats() == Stats(done=1, dead=2)
    assert await store.discard("call:a")


async def test_text_that_no_file_can_hold_is_kept_in_another_form(make: Make) -> None:
    """A lone surrogate in a reason is replaced."""
    store = make()

    async def dies(_: Claim) -> Settlement:
        return Settlement(State.DEAD, reason="bad \ud800")

    await store.put([item("a")])
    await drained(store, dies)
    assert [letter.reason for letter in await store.dead()] == ["bad ?"]


# Group commit


async def test_puts_at_the_same_time_share_transactions(make: Make) -> None:
    """One fsync for many: counted by SQLite's own trace."""
    store = make()
    await store.open()
    statements: list[str] = []
    await store._database.do(lambda connection: connection.set_trace_callback(statements.append))
    await asyncio.gather(*(store.put([item(f"leg-{number}")]) for number in range(100)))
    commits = statements.count("COMMIT")
    assert (await store.stats()).ready == 100
    assert commits <= 10


async def test_no_put_makes_schema(make: Make, path: Path) -> None:
    """Legs are found by their call before a whole call comes, and a put changes no more than rows."""
    store = make()
    await store.open()
    before = query(path, "SELECT * FROM sqlite_master ORDER BY name")
    await store.put([item("leg-1", correlation_id="call-1"), item("leg-2", correlation_id="call-2")])
    assert list(await store.put([whole("call-2")])) == [Offer.DUPLICATE]
    assert query(path, "SELECT * FROM sqlite_master ORDER BY name") == before
    (plan,) = query(path, f"EXPLAIN QUERY PLAN {rows._LEG_HAS_ENDED}", "", "")
    assert "INDEX items_call" in plan[-1]


async def test_a_whole_call_yields_to_a_leg_of_another_process(make: Make, path: Path) -> None:
    """Also if that has opened the file, and has put legs, before the first whole call came."""
    one, other = make(), make()
    await other.put([item("leg-1", correlation_id="call-1")])
    assert list(await one.put([whole("call-2")])) == [Offer.OPENED]
    assert list(await other.put([item("leg-2", correlation_id="call-2")])) == [Offer.OPENED]
    assert query(path, "SELECT key, state FROM items ORDER BY id") == [
        ("call:leg-1", "ready"),
        ("call:call-2", "canceled"),
        ("call:leg-2", "ready"),
    ]


async def test_a_verdict_is_in_the_file_once(make: Make, path: Path) -> None:
    """For all outcomes it answers for; also where it came in a transaction that failed, or in another file before."""
    store = make()
    many = [[item(f"leg-{number}")] for number in range(3)]
    await asyncio.gather(*(store.put(each) for each in many))
    await store.put([item("leg-2"), item("leg-3")])
    assert query(path, "SELECT count(*) FROM verdicts") == [(1,)]

    def fails(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    other = classify("CallDisconnected", 603, 0)
    puts = (store._database.do(fails), store.put([Item(other.outcome_id, Kind.OUTCOME, 0.0, other)]))
    assert [type(each) for each in await asyncio.gather(*puts, return_exceptions=True)] == [ZeroDivisionError, list]
    assert query(path, "SELECT count(*) FROM verdicts") == [(2,)]
    assert query(path, "SELECT DISTINCT typeof(verdict), instr(payload, 'verdict') FROM items") == [("integer", 0)]
    assert [each.outcome for each in await store.history.latest(1)] == [other]
    await store.close()
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    await store.put([item("leg-4")])
    assert [each.outcome for each in await store.history.latest(10)] == [item("leg-4").outcome]
    query(path, "DELETE FROM verdicts")
    await drained(store)
    (letter,) = await store.dead()
    assert (letter.key, letter.outcome) == ("call:leg-4", None)
    assert "it has no verdict" in letter.reason


async def test_the_log_is_put_into_the_file_after_a_thousand_rows(make: Make, path: Path) -> None:
    """Not with each transaction, and by the writer itself; SQLite would only begin at a longer log."""
    store = make()
    await store.open()
    sizes = list[int]()
    # With the verdict they share, and the lane of redials.
    for count in (0, CHECKPOINT - 3, 1, 1):
        await store.put([item(f"{len(sizes)}-{number}") for number in range(count)])
        # Behind what follows the transaction.
        await store._database.do(lambda _: sizes.append(path.stat().st_size))
    before, short_of_it, filled, after = sizes
    assert before == short_of_it < filled == after


async def test_a_put_makes_no_temporary_file(make: Make) -> None:
    """The old pages of a statement of many rows stay in memory: there may be no folder for temporary files."""
    store = make()
    await store.open()
    kept = await store._database.do(lambda connection: connection.execute("PRAGMA temp_store").fetchone()[0])
    assert kept == 2  # MEMORY, see https://www.sqlite.org/pragma.html#pragma_temp_store


async def test_a_failure_is_nobody_elses(make: Make) -> None:
    """An operation that fails takes none of those of its transaction with it."""
    store = make()
    await store.open()

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO contacts (contact, state, changed_at) VALUES ('x', '{}', 1)")
        raise ZeroDivisionError

    results = await asyncio.gather(
        store._database.do(lambda _: time.sleep(0.05)),
        store.put([item("a")]),
        store._database.do(fails),
        store.put([item("b")]),
        return_exceptions=True,
    )
    assert [type(each) for each in results] == [type(None), list, ZeroDivisionError, list]
    assert (await store.stats()).ready == 2
    assert await store._database.do(lambda connection: connection.execute("SELECT * FROM contacts").fetchall()) == []


# Leases


WORKER = """
import asyncio, sys
from ringback.work.items import *
from ringback.stores.sqlite import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1], poll=0.05, lease=float(sys.argv[2]), min_free=0)
    async def hangs(claim):
        await store.checkpoint(claim.item.key, Progress(trying="hook"))
        print(claim.item.key, flush=True)
        await asyncio.sleep(float(sys.argv[3]))
        return Settlement(State.DONE)
    await store.run(hangs, 1)

asyncio.run(main())
"""


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def started(lease: float, takes: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WORKER, str(path), str(lease), str(takes)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


async def test_the_work_of_a_dead_process_is_taken_over(
    make: Make, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """When its lease has ended, the item is claimed again, from its last checkpoint, and said to have crashed."""
    store = make(lease=0.6)
    await store.put([item("a")])
    process = start(0.6, 60)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "call:a\n"
    process.send_signal(signal.SIGKILL)
    seen: list[Claim] = []

    async def work(claim: Claim) -> Settlement:
        seen.append(claim)
        return DONE

    await drained(store, work)
    claimed = Claim(item("a"), 2, redelivered=True, crashed=True, progress=Progress(trying="hook"))
    assert [replace(claim, put_at=0.0) for claim in seen] == [claimed]


async def test_a_lease_is_renewed_while_work_takes_longer(
    make: Make, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Nobody takes over from who is only slow."""
    store = make(lease=1.5)
    await store.put([item("a")])
    process = start(1.5, 2.5)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "call:a\n"
    seen: list[Claim] = []

    async def work(claim: Claim) -> Settlement:
        seen.append(claim)
        return DONE

    await drained(store, work)
    assert seen == []
    assert await store.stats() == Stats(done=1)


async def test_what_was_taken_over_is_not_ours_to_settle(make: Make) -> None:
    """Neither checkpoint nor failure nor giving back changes what somebody else works on, or has done."""
    now = [1000.0]
    one, other = make(clock=lambda: now[0]), make(clock=lambda: now[0])
    await one.put([item("a")])
    await other.open()
    one.worker.owner, other.worker.owner = "one", "other"
    ((first,), _) = await one.worker.claim(5, Kind.OUTCOME)
    now[0] += 2.0
    ((second,), _) = await other.worker.claim(5, Kind.OUTCOME)
    assert (second.attempt, second.crashed) == (2, True)
    assert not await one.checkpoint("call:a", Progress(trying="late"))
    await one.worker.settle(first, Settlement(State.DEAD, reason="late"))
    assert await one.stats() == Stats(running=1)
    assert await other.checkpoint("call:a", Progress(trying="x"))
    await other.worker.settle(second, DONE)
    assert await one.stats() == Stats(done=1)


async def test_a_return_counts_while_the_item_is_open_whoever_has_it(make: Make) -> None:
    """The work is done. What the other worker says later comes too late."""
    now = [1000.0]
    one, other = make(clock=lambda: now[0]), make(clock=lambda: now[0])
    await one.put([item("a")])
    await other.open()
    one.worker.owner, other.worker.owner = "one", "other"
    ((first,), _) = await one.worker.claim(5, Kind.OUTCOME)
    now[0] += 2.0
    ((second,), _) = await other.worker.claim(5, Kind.OUTCOME)
    await one.worker.settle(first, DONE)
    await other.worker.settle(second, Settlement(State.DEAD, reason="late"))
    assert await one.stats() == Stats(done=1)


async def test_a_worker_that_lives_keeps_its_work_when_nobody_could_write_for_a_lease(make: Make, path: Path) -> None:
    """Who finds a lease ended after a fault waits for another lease; whoever is dead then has not renewed it."""
    now = [1000.0]
    one, other = make(clock=lambda: now[0]), make(clock=lambda: now[0], timeout=0.05)
    await one.put([item("a")])
    await other.open()
    one.worker.owner, other.worker.owner = "one", "other"
    await one.worker.claim(5, Kind.OUTCOME)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    now[0] += 2.0
    with pytest.raises(StoreUnavailable):
        await other.worker.claim(5, Kind.OUTCOME)
    holder.execute("ROLLBACK")
    holder.close()
    now[0] += 0.5
    assert await other.worker.claim(5, Kind.OUTCOME) == ([], None)
    now[0] += 0.5
    ((taken,), _) = await other.worker.claim(5, Kind.OUTCOME)
    assert (taken.item.key, taken.crashed) == ("call:a", True)


async def test_lanes_that_claim_at_the_same_time_take_turns_with_a_dead_worker_s(make: Make) -> None:
    """As both do that look each half second: neither waits for ever for what was left in it."""
    now = [1000.0]
    dead, other = make(clock=lambda: now[0]), make(clock=lambda: now[0])
    await other.open()
    dead.worker.owner, other.worker.owner = "dead", "other"
    await plan(dead, "a", now[0])
    await dead.worker.claim(5, Kind.REDIAL)
    now[0] += 2.0
    taken = []
    for _ in range(2):
        looks = await asyncio.gather(*(other.worker.claim(5, kind) for kind in (Kind.OUTCOME, Kind.REDIAL)))
        taken += [claim.item.kind for claims, _ in looks for claim in claims]
    assert taken == [Kind.REDIAL]


async def test_what_a_dead_worker_has_left_is_tried_one_at_a_time(make: Make) -> None:
    """Whichever of its items killed it, the next death is of that item's doing alone. What is new does not wait."""
    now = [1000.0]
    dead, other = make(clock=lambda: now[0]), make(clock=lambda: now[0])
    await dead.put([item("a"), item("b"), item("c")])
    await other.open()
    dead.worker.owner, other.worker.owner = "dead", "other"
    await dead.worker.claim(5, Kind.OUTCOME)
    now[0] += 2.0
    ((first,), _) = await other.worker.claim(5, Kind.OUTCOME)
    assert (first.item.key, first.crashed) == ("call:a", True)
    await other.put([item("new")])
    ((new,), next_at) = await other.worker.claim(5, Kind.OUTCOME)
    assert (new.item.key, new.crashed, next_at) == ("call:new", False, None)
    await other.worker.settle(first, DONE)
    ((second,), _) = await other.worker.claim(5, Kind.OUTCOME)
    await other.worker.give_back(second)
    assert second.item.key == "call:b"
    claims, _ = await other.worker.claim(5, Kind.OUTCOME)
    assert [(claim.item.key, claim.crashed) for claim in claims] == [("call:b", False), ("call:c", True)]


async def test_a_late_attempt_of_the_same_process_is_not_taken_for_the_next(make: Make) -> None:
    """A claim is known by its attempt, too."""
    now = [1000.0]
    store = make(clock=lambda: now[0])
    await store.put([item("a")])
    store.worker.owner = "one"
    ((first,), _) = await store.worker.claim(5, Kind.OUTCOME)
    store.worker.owner = "two"
    now[0] += 2.0
    ((second,), _) = await store.worker.claim(5, Kind.OUTCOME)
    await store.worker.give_back(first)
    assert await store.stats() == Stats(running=1)
    await store.worker.give_back(second)
    assert (await store.stats()).ready == 1


async def test_the_housekeeping_survives_faults_and_purges(make: Make, path: Path) -> None:
    """A lease that cannot be renewed now is renewed soon after; what is old goes by itself."""
    now = [time.time()]
    store = make(lease=0.3, timeout=0.05, clock=lambda: now[0])
    await make().put([item("a")])
    await drained(store)
    now[0] += 8 * DAY
    faults: list[Exception] = []
    store.on_fault = faults.append
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    task = asyncio.create_task(store.run(finishes, 1))
    await until(lambda: len(faults) >= 3)
    holder.execute("ROLLBACK")
    holder.close()

    async def empty() -> bool:
        return await store.stats() == Stats()

    await until(empty)
    await asyncio.sleep(0.25)
    await store.stop(5.0)
    await task
    assert {type(each) for each in faults} == {StoreUnavailable}


async def test_two_loops_may_work_on_one_store(make: Make) -> None:
    """A second run of the same store keeps the claims of the first alive."""
    store = make()
    tasks = [asyncio.create_task(store.run(finishes, 1)) for _ in range(2)]
    await store.put([item(leg) for leg in "abc"])
    await until(lambda: is_done(store, 3))
    assert await store.stop(5.0) == 0
    await asyncio.gather(*tasks)
