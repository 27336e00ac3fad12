"""Whoever opens or closes the file of an SQLite store has the lock of its folder, where a folder can be locked."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ringback.stores.sqlite import file, lock
from ringback.stores.sqlite.lock import opening_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ringback.db"


@pytest.mark.parametrize("way", ["open", "read", "close"])
async def test_who_opens_or_closes_the_file_waits_for_the_lock(path: Path, way: str) -> None:
    # Another thread closes it.
    connection = sqlite3.connect(path, check_same_thread=False)
    ways: dict[str, Callable[[], object]] = {
        "open": lambda: file.opened(path, 5.0)[0].close(),
        "read": lambda: file.opened_to_read(path, 5.0).close(),
        "close": lambda: file.closed(path, connection),
    }
    with opening_lock(path):
        other = asyncio.create_task(asyncio.to_thread(ways[way]))
        await asyncio.sleep(0.1)
        assert not other.done()
    await other
    connection.close()


def test_a_process_that_was_forked_meanwhile_does_not_keep_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same descriptors, and lives on."""
    forked: list[int] = []
    lock_folder = lock._lock

    def forks(folder: int) -> None:
        lock_folder(folder)
        forked.append(os.dup(folder))

    with monkeypatch.context() as patched:
        patched.setattr(lock, "_lock", forks)
        with opening_lock(path):
            assert not can_be_locked(path)
    assert can_be_locked(path)
    os.close(forked[0])


def can_be_locked(path: Path) -> bool:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(folder)


@pytest.mark.parametrize("fault", ["the file system has no locks", "a stopped process has it", "no such folder"])
def test_nobody_waits_for_ever_for_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_TRIES", 2)
    with ExitStack() as stack:
        if fault == "the file system has no locks":
            monkeypatch.setattr(fcntl, "flock", refuses)
        elif fault == "a stopped process has it":
            stack.enter_context(opening_lock(path))
        else:
            path = path.parent / "absent" / path.name
        with opening_lock(path):
            entered = True
    assert entered
