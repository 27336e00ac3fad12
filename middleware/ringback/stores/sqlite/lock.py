"""A lock for whoever opens or closes the file of an SQLite store."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if sys.platform != "win32":  # pragma: no branch - Windows can open no folder either
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_TRIES, _PAUSE = 100, 0.02


@contextmanager
def opening_lock(path: Path) -> Generator[None]:
    """In the context no other process, and no other thread, opens or closes the file at ``path``.

    Two that looked at the same moment who else has the file open would find each other, and whoever closes the file
    last removes the log that another one may just have found. The lock is one of the folder, for a process that closes
    any descriptor of the file loses all its locks of the file. The context begins without the lock where the folder
    cannot be locked, and after two seconds: somebody may have stopped the process that has the lock.
    """
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError:
        # What is wrong with the folder, SQLite will say.
        yield
        return
    try:
        _lock(folder)
        yield
    finally:
        # A process that was forked meanwhile has the descriptor, too: to close it here would not end the lock.
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_UN)
        os.close(folder)


def pause(seconds: float) -> None:
    """Let the thread wait. ``time.sleep`` raises in a process whose clock libfaketime 0.9 sets."""
    threading.Event().wait(seconds)


def _lock(folder: int) -> None:
    for _ in range(_TRIES):
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pause(_PAUSE)
        except OSError:
            return None
    return None
