"""Locks for what lives longer than one call. A forked process finds them free.

It has no thread that could let go what a thread of its parent held at that moment, and would wait for ever.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any
from weakref import WeakSet

_locks: WeakSet[Any] = WeakSet()


def lock() -> threading.Lock:
    """A lock as ``threading.Lock()`` makes it."""
    made = threading.Lock()
    _locks.add(made)
    return made


def reentrant_lock() -> threading.RLock:
    """A lock as ``threading.RLock()`` makes it."""
    made = threading.RLock()
    _locks.add(made)
    return made


def _let_go() -> None:
    for each in tuple(_locks):
        # No public function frees a lock of another thread's. Python's own modules, as `logging`, call this one.
        each._at_fork_reinit()


if sys.platform != "win32":  # pragma: no branch - Windows does not fork
    os.register_at_fork(after_in_child=_let_go)
