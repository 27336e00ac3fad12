"""Whether the file at a store's path is still the file that a connection has open, and who else has the file open.

A connection goes on with a file that was removed or renamed, and nobody finds at the next start what it writes there.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.exceptions import StoreUnavailable
from ringback.stores.sqlite.schema import PUT_LOG_IN_FILE

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_TRIES, _PAUSE = 100, 0.02

_GONE = "{0}-wal is gone, and other processes have {0} open; restart them, which puts into the file what is in the log"


class Loss(Struct, frozen=True):
    """What has happened to the file, and the remedy. ``reopens``: a new connection may write again."""

    text: str
    reopens: bool


class Watch:
    """Looks at the file, and at the log, of a connection that has just been opened to write."""

    __slots__ = ("_cut", "_file", "_log", "_log_path", "_path", "_shown", "_size")

    def __init__(self, path: Path) -> None:
        # SQLite resolves the path once, too. The log lies beside the file that a link names.
        self._shown, self._path, self._log_path = path, path.absolute(), log_of(path)
        found = self._path.stat()
        self._file, self._size, self._cut = (found.st_dev, found.st_ino), found.st_size, False
        self._log = identity_of(self._log_path)

    def is_theirs(self) -> bool:
        """Whether the path names the file that was opened: a reader goes on with a file that nobody finds any more."""
        return identity_of(self._path) == self._file

    def look(self, connection: sqlite3.Connection) -> Loss | None:
        """What has happened to the file since it was opened. Puts into the file what a lost log had, so far as it can.

        Two calls of the system, so that there may be one after each transaction.
        """
        path = self._shown
        try:
            found = self._path.stat()
        except OSError as error:
            _save(connection)
            if not isinstance(error, FileNotFoundError):
                return Loss(
                    f"{path} cannot be reached any more ({error.strerror}); see its folder, what the process may do "
                    "there, and the disk",
                    reopens=False,
                )
            return Loss(
                f"{path} is gone: somebody removed or renamed the file of the running app; move the file back, or "
                "restart the app, which then makes a new one",
                reopens=False,
            )
        if (found.st_dev, found.st_ino) != self._file:
            _save(connection)
            return Loss(
                f"{path} is another file than the one that the app has open, and Ringback opens it now; what waits in "
                "the other one is in that one alone: ringback worker --store works on it",
                reopens=True,
            )
        if self._cut or (found.st_size < self._size and _lacks_pages(connection, found.st_size)):
            self._cut = True
            return Loss(
                f"somebody cut {path} short under the running app; stop the app, restore a backup, or move the file "
                "away with its -wal and -shm, and start the app",
                reopens=False,
            )
        self._size = found.st_size
        if identity_of(self._log_path) != self._log:
            said = f"{path}-wal is gone or replaced, which belongs to the file of the running app"
            if not _has_content(self._log_path):
                _save(connection)
                return Loss(
                    f"{said}; Ringback has put into the file what was in it, and opens the file anew", reopens=True
                )
            # SQLite's index, which all processes share, may be that of the other log by now: it would put into the file
            # whatever stands in our log at the places of the other one.
            return Loss(f"{said}; Ringback opens the file anew, with the other one", reopens=True)
        return None


def log_of(path: Path) -> Path:
    """The path of the write-ahead log."""
    return path.resolve().with_name(f"{path.resolve().name}-wal")


def ended_uncleanly(path: Path) -> bool | None:
    """Whether the processes that wrote an existing file have all died, and left its log behind.

    ``None`` if others have the file open. Raises :class:`StoreUnavailable` if its log is gone then: whoever joined the
    others would make another log, and damage the file.
    """
    log = log_of(path)
    for _ in range(_TRIES):
        there, left = log.exists(), _has_content(log)
        # A tool that knows nothing of the lock may be opening or closing the file just now. SQLite itself waits for it.
        if _nobody_else(path, 0.0 if there else _PAUSE):
            return left
        if there:
            return None
    raise StoreUnavailable(_GONE.format(path))


@contextmanager
def same_log(path: Path, log: tuple[int, int] | None) -> Generator[None]:
    """In the context a connection reads for the first time, and joins others, whose log was ``log`` just before.

    If somebody has removed the log meanwhile, SQLite has made another one, with which nobody may work. The function
    removes that one and raises :class:`StoreUnavailable`. ``log`` is ``None`` for a file that nobody has open.
    """
    try:
        yield
    finally:
        if log is not None and identity_of(log_of(path)) not in (None, log):
            log_of(path).unlink(missing_ok=True)
            raise StoreUnavailable(_GONE.format(path))


def _nobody_else(path: Path, timeout: float) -> bool:
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        # What else is wrong with the file, the connection that is to be used will say.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    finally:
        connection.close()
    return True


def identity_of(path: Path) -> tuple[int, int] | None:
    """What tells this file from every other file; ``None`` if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _save(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        connection.execute(PUT_LOG_IN_FILE).fetchall()


def _lacks_pages(connection: sqlite3.Connection, size: int) -> bool:
    """Whether a file of so many bytes lacks pages. A vacuum makes the pages fewer."""
    try:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        (each,) = connection.execute("PRAGMA page_size").fetchone()
    except sqlite3.Error:
        return True
    return size < int(count * each)
