"""The file of an SQLite store: what makes it one, where it must not lie, what its faults mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ringback.exceptions import StoreError, StoreUnavailable
from ringback.stores.sqlite import SQLiteStore, schema
from ringback.stores.sqlite.file import opened, refuse_network, store_error

AS_THE_APP = "or run the command as the app's user"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ringback.db"


def fault(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code  # type: ignore[misc]
    return error


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (sqlite3.SQLITE_BUSY, StoreUnavailable, "; another program holds the lock; lsof says who has it open"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable, "; another program holds the lock; lsof says who has it open"),
        (sqlite3.SQLITE_LOCKED, StoreUnavailable, ""),
        (sqlite3.SQLITE_FULL, StoreUnavailable, "; make room on the disk"),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable, "; a disk fails; read the kernel's log"),
        (sqlite3.SQLITE_NOMEM, StoreUnavailable, ""),
        (sqlite3.SQLITE_PERM, StoreError, "; give the process the right to write it"),
        (sqlite3.SQLITE_READONLY, StoreError, f"; make the file and its folder writable for the process, {AS_THE_APP}"),
        (
            sqlite3.SQLITE_READONLY_DIRECTORY,
            StoreError,
            f"; make the file and its folder writable for the process, {AS_THE_APP}",
        ),
        (sqlite3.SQLITE_CORRUPT, StoreError, "; restore it, or move it away and start with a new one"),
        (
            sqlite3.SQLITE_CANTOPEN,
            StoreError,
            f"; name a file, in a folder that exists, which the process may read and write, {AS_THE_APP}",
        ),
        (sqlite3.SQLITE_AUTH, StoreError, "; give the process the right to write it"),
        (sqlite3.SQLITE_NOTADB, StoreError, "; it is no SQLite file; name another one"),
    ],
)
def test_faults_that_may_pass_are_told_from_those_that_will_not(
    path: Path, code: int, kind: type[StoreError], remedy: str
) -> None:
    """By SQLite's primary result code. What helps stands behind what SQLite says."""
    error = store_error(path, fault(code))
    assert type(error) is kind
    assert str(error) == f"{path}: it failed{remedy}"
    assert type(store_error(path, sqlite3.ProgrammingError("no code"))) is StoreUnavailable


class Contested:
    """A connection to a file that another process is switching to the write-ahead log."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def execute(self, statement: str) -> Any:
        assert statement == "PRAGMA journal_mode = WAL"
        if self.refusals:
            self.refusals -= 1
            raise sqlite3.OperationalError("database is locked")
        return self

    def fetchone(self) -> tuple[str]:
        return ("wal",)


def test_processes_that_start_together_wait_for_the_log_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite refuses at once there, whatever time-out it was given; who is refused too often is told so."""
    monkeypatch.setattr(schema, "_PAUSE", 0.0)
    assert schema._with_log(Contested(3)) == "wal"  # type: ignore[arg-type]
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        schema._with_log(Contested(1000))  # type: ignore[arg-type]


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
nas:/export /data nfs4 rw,vers=4.2 0 0
/dev/sdb1 /data/local ext4 rw 0 0
//nas/share /mnt/my\\040share cifs rw 0 0
blobfuse2 /mnt/blobs fuse.blobfuse2 rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/x.db", None),
        ("/data/x.db", "nfs4"),
        ("/data/deeper/x.db", "nfs4"),
        ("/data/local/x.db", None),
        ("/database/x.db", None),
        ("/mnt/my share/x.db", "cifs"),
        ("/mnt/blobs/x.db", "fuse.blobfuse2"),
    ],
)
def test_network_file_systems_are_refused(file: str, kind: str | None) -> None:
    """SQLite loses data there; whoever knows better may say so. The server is not named."""
    if kind is None:
        refuse_network(Path(file), False, MOUNTS)
        return
    with pytest.raises(StoreError, match=rf"lies on a network file system .{kind}.*use a local disk") as caught:
        refuse_network(Path(file), False, MOUNTS)
    assert "nas" not in str(caught.value)
    refuse_network(Path(file), True, MOUNTS)


def test_without_a_list_of_mounts_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Not Linux: nothing to go by."""

    def absent(*_: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    refuse_network(path, False)


class Refusing(sqlite3.Connection):
    """Does not want what it is told to refuse."""

    refused = ""

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
        if statement.startswith("PRAGMA journal_mode") and self.refused == "wal":
            return super().execute("SELECT 'delete'")
        if statement.startswith("PRAGMA user_version =") and self.refused.startswith("version"):
            if self.refused == "version, and all is rolled back":
                super().execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")
        return super().execute(statement, *parameters)


@pytest.mark.parametrize(
    ("refused", "kind", "says"),
    [
        ("wal", StoreError, "cannot have a write-ahead log .journal mode 'delete'.; use a file on a local disk"),
        ("version", sqlite3.OperationalError, "disk is full"),
        ("version, and all is rolled back", sqlite3.OperationalError, "disk is full"),
    ],
)
def test_a_file_that_cannot_be_made_a_store_is_left_as_it_was(
    path: Path, refused: str, kind: type[Exception], says: str
) -> None:
    """All of a schema or nothing."""
    connection = sqlite3.connect(path, isolation_level=None, factory=Refusing)
    connection.refused = refused
    with pytest.raises(kind, match=says):
        schema.prepare(connection, path)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


async def test_a_path_that_cannot_be_looked_at_is_refused(path: Path) -> None:
    """As one in a folder that the process may not enter, which is an error of the system and none of SQLite."""
    store = SQLiteStore(path.with_name("x" * 300))
    with pytest.raises(
        StoreError, match=r"cannot be made \(File name too long\); see that the process may enter its f"
    ):
        await store.open()


def test_a_new_file_that_was_made_by_somebody_else_meanwhile_is_kept(path: Path) -> None:
    """Two processes that start together both find nothing, and one makes the tables."""
    opened(path, 1.0)[0].close()
    connection = sqlite3.connect(path, isolation_level=None)
    before = connection.execute("SELECT * FROM sqlite_master").fetchall()
    schema._migrate(connection, path)
    assert connection.execute("SELECT * FROM sqlite_master").fetchall() == before
    connection.close()
