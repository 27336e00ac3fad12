"""The check of a whole file, in a thread of its own: it reads every page, which takes seconds in a large file."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class WholeCheck:
    """Checks a file that ``connect`` opens to read, and calls ``damaged`` with what is wrong, in the thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], damaged: Callable[[str], object]) -> None:
        self._connect = connect
        self._damaged = damaged
        self._guard = threading.Lock()
        self._stopped = False
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="ringback-store-check", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the check, and wait until its connection is closed."""
        with self._guard:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()
        self._thread.join()

    def _run(self) -> None:
        # What cannot be opened or read now, the store's own connections report.
        with suppress(Exception):
            connection = self._connect()
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
