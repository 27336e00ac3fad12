"""The whole file of an SQLite store: a check of every page, which takes seconds in a large file, and a copy."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sqlite3
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError, StoreError
from ringback.forks import lock
from ringback.stores.sqlite.file import opened_to_read, store_error
from ringback.stores.sqlite.schema import APPLICATION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TIMEOUT = 10.0


class WholeCheck:
    """Checks a file that ``connect`` opens to read, and calls ``damaged`` with what is wrong, in its own thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], damaged: Callable[[str], object]) -> None:
        self._connect = connect
        self._damaged = damaged
        self._guard = lock()
        self._stopped = False
        self._connection: sqlite3.Connection | None = None
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="ringback-store-check", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the check, and wait until its connection is closed."""
        self._interrupt()
        self._thread.join()

    async def close(self) -> None:
        """As :meth:`stop`, in an event loop. No thread waits, because the threads of the app may all be taken."""
        self._interrupt()
        # A process that was forked has no such thread.
        if self._thread.is_alive():
            await asyncio.shield(asyncio.wrap_future(self._ended))

    def _interrupt(self) -> None:
        with self._guard:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()

    def _run(self) -> None:
        try:
            # What cannot be opened or read now, the store's own connections report.
            with suppress(Exception):
                self._look(self._connect())
        finally:
            self._ended.set_result(None)

    def _look(self, connection: sqlite3.Connection) -> None:
        try:
            with self._guard:
                if self._stopped:
                    return
                self._connection = connection
            self._check(connection)
        finally:
            with self._guard:
                self._connection = None
            connection.close()

    def _check(self, connection: sqlite3.Connection) -> None:
        try:
            (verdict, *_) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                return
            verdict = str(error)
        if verdict != "ok":
            self._damaged(verdict)


def back_up(path: Path, target: Path, *, overwrite: bool = False) -> int:
    """Copy the store of one moment to ``target``, which is there as a whole or not at all. Gives the bytes of the copy.

    Raises :class:`ConfigurationError` for a target that cannot be, :class:`StoreError` for a file that is no store, or
    a damaged one.
    """
    if target.exists():
        if target.is_dir() or target.samefile(path):
            raise ConfigurationError(
                f"'{target}' is a folder, or the store itself; name a file of its own for the copy"
            )
        if not overwrite:
            raise ConfigurationError(f"'{target}' is there already; name another file, or pass --force to replace it")
    part = target.with_name(f"{target.name}.part")
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"'{part}' cannot be made ({error.strerror}); name a file in a folder that is there and writable, and "
            "remove what a backup left that was broken off"
        ) from error
    try:
        _copy(path, part)
        size = part.stat().st_size
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return size


def _copy(path: Path, part: Path) -> None:
    try:
        with closing(opened_to_read(path, _TIMEOUT)) as source, closing(sqlite3.connect(part)) as copy:
            if source.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
                raise StoreError(f"{path} is no store of Ringback; name the file that the app writes")
            # In one step: what is written meanwhile would make SQLite begin again after each of several steps.
            source.backup(copy)
            # The copy is one file, without a log.
            copy.execute("PRAGMA journal_mode = DELETE")
            (verdict, *_) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    if verdict != "ok":
        raise StoreError(f"{path} is damaged ({verdict}), and so was the copy, which is removed; keep older copies")
