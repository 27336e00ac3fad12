"""The file of an SQLite store: how the store makes and opens it, where it must not lie, whether it has room, and what
SQLite's faults mean.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import sqlite3
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.exceptions import StoreError, StoreUnavailable
from ringback.stores.sqlite import schema
from ringback.stores.sqlite.identity import ended_uncleanly, identity_of, log_of, same_log
from ringback.stores.sqlite.lock import opening_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

NETWORK = frozenset(
    "nfs nfs4 cifs smb2 smb3 smbfs 9p afs ceph glusterfs lustre fuse.sshfs fuse.glusterfs fuse.ceph fuse.s3fs "
    "fuse.rclone fuse.blobfuse fuse.blobfuse2 fuse.gcsfuse".split()
)
"""File systems on which the write-ahead log does not work, or not reliably: https://www.sqlite.org/wal.html"""


def opened(path: Path, timeout: float) -> tuple[sqlite3.Connection, bool | None]:
    """A connection that may write, to a file that the function makes if there is none. Raises :class:`StoreError`.

    Also whether the processes that wrote the file before have died, so that the whole file should be checked; ``None``
    if others have the file open.
    """
    with _opening(path) as on_fault:
        made = _made(path)
        log = identity_of(log_of(path))
        died = False if made else ended_uncleanly(path)
        connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, cached_statements=256)
        on_fault.callback(connection.close)
        connection.row_factory = sqlite3.Row
        # SQLite makes the log with the first reading, and whoever watches the file is to know the log.
        with same_log(path, log if died is None else None):
            connection.execute("PRAGMA page_count").fetchone()
        schema.prepare(connection, path)
        connection.execute("PRAGMA page_count").fetchone()
        return connection, died


@contextmanager
def _opening(path: Path) -> Generator[ExitStack]:
    """In the context nobody else opens or closes the file. A fault of SQLite becomes the store's; any exception calls
    what the context has registered.
    """
    with opening_lock(path), ExitStack() as on_fault:
        try:
            yield on_fault
        except sqlite3.Error as error:
            raise store_error(path, error) from error
        on_fault.pop_all()


def _made(path: Path) -> bool:
    """Whether there was no file. The function has made an empty one."""
    _refuse_log_alone(path)
    try:
        # Made before SQLite makes it, so that no other user can read the items. A file that exists is not opened: a
        # process that closes any descriptor of a file loses the locks of all its connections to the file, see
        # https://www.sqlite.org/howtocorrupt.html
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except FileNotFoundError as error:
        raise StoreError(f"{path} cannot be made: its folder does not exist; create it first") from error
    except OSError as error:
        kind = StoreUnavailable if error.errno in _PASSING else StoreError
        raise kind(
            f"{path} cannot be made ({error.strerror}); see that the process may enter its folder and write there"
        ) from error
    return True


def _refuse_log_alone(path: Path) -> None:
    """Raise :class:`StoreError` for a log whose file is gone: SQLite would write what is in the log into a new file."""
    log = log_of(path)
    if identity_of(path) is None and identity_of(log) is not None:
        raise StoreError(
            f"{path} is gone, and {log} is there, which may have outcomes of it; move the file back beside it, or move "
            "-wal and -shm away too"
        )


def closed(path: Path, connection: sqlite3.Connection) -> None:
    """Close a connection that may write. The last one puts the log into the file, and removes the log."""
    with opening_lock(path):
        connection.close()


def opened_to_read(path: Path, timeout: float) -> sqlite3.Connection:
    """A connection that cannot write, though it may make a log. Raises :class:`StoreError`."""
    with _opening(path) as on_fault:
        log = identity_of(log_of(path))
        if log is None and path.exists():
            ended_uncleanly(path)
        uri = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
        on_fault.callback(connection.close)
        connection.row_factory = sqlite3.Row
        with same_log(path, log):
            connection.execute("PRAGMA page_count").fetchone()
        return connection


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """The store's error for a fault of SQLite, with a remedy: :class:`StoreUnavailable` if the fault may pass."""
    code = getattr(error, "sqlite_errorcode", None)
    kind, remedy = _REMEDIES.get(code & 0xFF if isinstance(code, int) else -1, (StoreUnavailable, None))
    return kind(f"{path}: {error}" if remedy is None else f"{path}: {error}; {remedy}")


def refuse_network(path: Path, allowed: bool, mounts: str | None = None) -> None:
    """Raise :class:`StoreError` for a file on a network file system. ``mounts`` is the text of /proc/self/mounts."""
    if allowed:
        return
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
        except OSError:
            # Only Linux lists its file systems there.
            return
    place = Path(os.path.realpath(path))
    best, kind = Path("/"), ""
    for line in mounts.splitlines():
        _, point, system, *_ = [*line.split(" "), "", "", ""]
        folder = Path(point.replace("\\040", " "))
        if place.is_relative_to(folder) and len(folder.parts) >= len(best.parts):
            best, kind = folder, system
    if kind in NETWORK:
        raise StoreError(
            f"{path} lies on a network file system ({kind}), where SQLite loses data; use a local disk, "
            "PostgreSQL, or say network=1 in the URL if you know better"
        )


_READY = "SELECT count(*) FROM items WHERE state = 'ready'"


class Room:
    """Looks once a second at most: the work of one second beyond a limit does no harm. ``now`` gives seconds."""

    def __init__(self, path: Path, min_free: int, max_backlog: int, now: Callable[[], float]) -> None:
        self._path, self._min_free, self._max_backlog, self._now = path, min_free, max_backlog, now
        self._looked_at = -math.inf
        self.full: str | None = None
        """What the last look has found full; ``None`` if there was room."""

    def look(self, connection: sqlite3.Connection) -> str | None:
        """What is full: the disk, of which some bytes must stay free, or the store; ``None`` if there is room."""
        now = self._now()
        if now >= self._looked_at + 1.0:
            self.full, self._looked_at = self._found(connection), now
        return self.full

    def _found(self, connection: sqlite3.Connection) -> str | None:
        free = shutil.disk_usage(self._path.parent).free
        if free < self._min_free:
            return (
                f"{free} bytes are free for {self._path}; at least {self._min_free} must stay so (min_free); make room"
            )
        (ready,) = connection.execute(_READY).fetchone()
        if ready >= self._max_backlog:
            return f"{ready} items wait in {self._path}; at most {self._max_backlog} may; see that workers run"
        return None


# Faults of the operating system that may pass.
_PASSING = frozenset({errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC})

# The store makes its file for the app's user alone, so that a person's command is what usually lacks a right.
_AS_THE_APP = "or run the command as the app's user"

# What faults are, and their remedies, by SQLite's primary result code: https://www.sqlite.org/rescode.html. Any other
# fault may pass by itself.
_REMEDIES: dict[int, tuple[type[StoreError], str | None]] = {
    sqlite3.SQLITE_BUSY: (StoreUnavailable, "another program holds the lock; lsof says who has it open"),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, "a disk fails; read the kernel's log"),
    sqlite3.SQLITE_FULL: (StoreUnavailable, "make room on the disk"),
    sqlite3.SQLITE_PERM: (StoreError, "give the process the right to write it"),
    sqlite3.SQLITE_READONLY: (StoreError, f"make the file and its folder writable for the process, {_AS_THE_APP}"),
    sqlite3.SQLITE_CORRUPT: (StoreError, "restore it, or move it away and start with a new one"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreError,
        f"name a file, in a folder that exists, which the process may read and write, {_AS_THE_APP}",
    ),
    sqlite3.SQLITE_AUTH: (StoreError, "give the process the right to write it"),
    sqlite3.SQLITE_NOTADB: (StoreError, "it is no SQLite file; name another one"),
}
