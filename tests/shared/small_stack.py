"""A thread with a small stack. From Python 3.14 on the stack alone limits how deeply C code nests.

https://docs.python.org/3.14/whatsnew/3.14.html
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
BYTES = 256 * 1024
"""The same bound on every machine: the stack of the main thread is as large as its shell says."""


def called(function: Callable[[], T]) -> T:
    """What the function returns or raises, in such a thread; before Python 3.14, which counts levels, in this one."""
    if sys.version_info < (3, 14):
        return function()
    told: Future[T] = Future()

    def run() -> None:
        try:
            told.set_result(function())
        except Exception as error:
            told.set_exception(error)

    before = threading.stack_size(BYTES)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return told.result()
