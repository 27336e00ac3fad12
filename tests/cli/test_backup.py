"""ringback store backup: a whole copy, or none, and why."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from ringback import classify_event
from ringback.cli import main
from ringback.core.events import Event, EventData, Result
from ringback.stores.sqlite import SQLiteStore, schema, whole
from ringback.work.items import Item, Kind
from ringback.work.latch import Offer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE, COPY = "ringback.db", "copy.db"


def item(leg: str) -> Item:
    data = EventData(call_connection_id=leg, result_information=Result(486, 560486))
    outcome = classify_event(Event(type="Microsoft.Communication.CallDisconnected", id=f"event-{leg}", data=data))
    assert outcome is not None
    return Item(outcome.outcome_id, Kind.OUTCOME, 0.0, outcome)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGBACK_STORE", f"sqlite:///{FILE}")
    return tmp_path


async def put(store: SQLiteStore, *legs: str) -> list[Offer]:
    return list(await store.put([item(leg) for leg in legs]))


def filled(*legs: str, file: str = FILE) -> None:
    async def fill() -> None:
        store = SQLiteStore(file, min_free=0)
        await put(store, *legs)
        await store.close()

    asyncio.run(fill())


def looked_at(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, stat.S_IMODE(found.st_mode)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int) -> str:
    assert main(["store", "backup", *arguments]) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


async def test_a_copy_is_made_while_the_app_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has all that was acknowledged before, nobody else may read it, and a store opens it."""
    store = SQLiteStore(FILE, min_free=0)
    await put(store, "a", "b")
    puts = asyncio.ensure_future(put(store, *(f"leg-{number}" for number in range(500))))
    told = await asyncio.to_thread(said, capsys, COPY, status=0)
    await puts
    await store.close()
    size, mode = looked_at(folder / COPY)
    assert told == (
        f"{size} bytes in {COPY}, a copy of {FILE}: to use it, end all processes of the app, remove "
        f"{FILE}-wal and {FILE}-shm, move the copy into place\n"
    )
    assert (mode, names(folder)) == (
        0o600,
        [COPY, FILE],
    )
    restored = SQLiteStore(COPY, min_free=0)
    assert await put(restored, "a", "b", "new") == [Offer.DUPLICATE, Offer.DUPLICATE, Offer.OPENED]
    await restored.close()


def test_an_older_store_is_copied_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So who goes to this release, from one without a backup of its own, can go back."""
    with closing(sqlite3.connect(folder / FILE)) as old:
        for statement in chain.from_iterable(schema.MIGRATIONS[:4]):
            old.execute(statement)
        old.execute(f"PRAGMA application_id = {schema.APPLICATION}")
        old.execute("PRAGMA user_version = 4")
    said(capsys, COPY, status=0)
    for name in (FILE, COPY):
        with closing(sqlite3.connect(folder / name)) as store:
            assert store.execute("PRAGMA user_version").fetchone() == (4,)


def test_a_copy_is_not_replaced_unless_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json it says the same to a program."""
    filled("a")
    assert json.loads(said(capsys, COPY, "--json", status=0)) == {
        "file": COPY,
        "bytes": (folder / COPY).stat().st_size,
    }
    filled("b")
    assert said(capsys, COPY, status=2) == (
        "ringback store backup: 'copy.db' is there already; name another file, or pass --force to replace it\n"
    )
    assert said(capsys, COPY, "--force", status=0) != ""
    with sqlite3.connect(COPY) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (2,)
    connection.close()


@pytest.mark.parametrize("target", [FILE, "."])
def test_what_is_no_file_of_its_own_is_refused(capsys: pytest.CaptureFixture[str], target: str) -> None:
    """Also with --force: it would take the store itself."""
    filled("a")
    assert said(capsys, target, "--force", status=2) == (
        f"ringback store backup: '{target}' is a folder, or the store itself; name a file of its own for the copy\n"
    )


def test_a_folder_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """With what to name instead."""
    filled("a")
    assert said(capsys, "absent/copy.db", status=2) == (
        "ringback store backup: 'absent/copy.db.part' cannot be made (No such file or directory); name a file in a "
        "folder that is there and writable, and remove what a backup left that was broken off\n"
    )


def test_there_must_be_a_store(capsys: pytest.CaptureFixture[str]) -> None:
    """As for every command."""
    assert said(capsys, COPY, status=2).startswith("ringback store backup: there is no store in ")


def test_postgresql_has_a_tool_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is connected to."""
    pytest.importorskip("psycopg")
    assert said(capsys, COPY, "--store", "postgresql://nobody@127.0.0.1:1/x", status=2) == (
        "ringback store backup: a PostgreSQL store is backed up by PostgreSQL: "
        "pg_dump --format=custom --file=ringback.dump DATABASE\n"
    )


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE users (name TEXT)")
    connection.close()


def random_bytes(path: Path) -> None:
    path.write_bytes(bytes(range(1, 256)) * 40)


def unordered(path: Path) -> None:
    """An index that lacks a row."""
    filled("a")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'items') "
        "WHERE name = 'contacts'"
    )
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (foreign, "is no store of Ringback; name the file that the app writes"),
        (random_bytes, "it is no SQLite file; name another one"),
        (unordered, "is damaged"),
    ],
)
def test_what_is_no_whole_store_leaves_no_copy(
    folder: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], says: str
) -> None:
    """And the copy before stays."""
    (folder / COPY).write_text("the one before", "utf-8")
    spoil(folder / FILE)
    assert says in said(capsys, COPY, "--force", status=1)
    assert (folder / COPY).read_text("utf-8") == "the one before"
    assert not (folder / f"{COPY}.part").exists()


def test_a_copy_for_which_there_is_no_room_is_removed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As on a full disk: here no file may be longer than 32 kB."""
    resource = pytest.importorskip("resource")
    filled("a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32_768, hard))
    try:
        said(capsys, COPY, status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not {COPY, f"{COPY}.part"} & set(names(folder))


def test_a_copy_that_cannot_be_put_in_place_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may have removed it meanwhile, which changes nothing of the error."""
    filled("a")

    def fails(_: Path, part: Path) -> None:
        os.unlink(part)  # noqa: PTH108
        raise KeyboardInterrupt

    monkeypatch.setattr(whole, "_copy", fails)
    with pytest.raises(KeyboardInterrupt):
        whole.back_up(folder / FILE, folder / COPY)
    assert names(folder) == [FILE]
