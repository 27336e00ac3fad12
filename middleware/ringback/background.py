"""An event loop in a thread of its own, for programs that have none: WSGI servers and scripts."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")

# Python stops worker threads before it runs what atexit knows, and sync hooks need them. There is no public
# way to be earlier (python/cpython#86128): what is registered here runs in reverse, so before that of the
# import of ThreadPoolExecutor. Without it sync hooks fail at exit, and the log says so.
_at_exit: Callable[..., object] = getattr(threading, "_register_atexit", atexit.register)


class BackgroundLoop:
    """Runs coroutines for any thread. The loop begins with the first, and ends with :meth:`stop` or the process.

    A fork does not take threads along: each process gets a loop of its own. ``begin`` is awaited
    in a new loop before anything else, ``end`` before it is closed.
    """

    def __init__(self, begin: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]]) -> None:
        self._begin = begin
        self._end = end
        self._lives: dict[int, _Life] = {}

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result, or what it raises. It runs in a copy of the caller's context."""
        try:
            loop = self._life().loop(self._begin, self.stop)
        except BaseException:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        except BaseException:
            # Interrupted, as by a server that has lost its patience; without effect on one that has ended.
            future.cancel()
            raise

    def stop(self, end: Callable[[], Awaitable[None]] | None = None) -> None:
        """End the loop if there is one; the next :meth:`run` begins another."""
        self._life().stop(end or self._end)

    def _life(self) -> _Life:
        # By process, with a lock that nobody held when it was made: one of the parent's may be held for ever.
        return self._lives.setdefault(os.getpid(), _Life())


class _Life:
    """The loop of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._registered = False

    def loop(self, begin: Callable[[], Awaitable[None]], at_exit: Callable[[], None]) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._start(begin)
                if not self._registered:
                    _at_exit(at_exit)
                    self._registered = True
            assert self._loop is not None
            return self._loop

    def _start(self, begin: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="ringback"))
        # A daemon: Python would wait for any other before it lets anybody stop it.
        thread = threading.Thread(target=_run, args=(loop,), name="ringback", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(_awaited(begin), loop).result()
        except BaseException:
            _end(loop, thread)
            raise
        self._loop, self._thread = loop, thread

    def stop(self, end: Callable[[], Awaitable[None]]) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            if loop is None or thread is None:
                return
            try:
                asyncio.run_coroutine_threadsafe(_awaited(end), loop).result()
            finally:
                _end(loop, thread)


async def _awaited(function: Callable[[], Awaitable[None]]) -> None:
    await function()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    asyncio.run_coroutine_threadsafe(_cleared(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


async def _cleared() -> None:
    """As :func:`asyncio.run` ends: nothing pending, no thread left."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
