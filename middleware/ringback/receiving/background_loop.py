"""An event loop in a thread of its own, for programs without a loop: WSGI servers and scripts."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]

# At exit Python ends the threads of executors, which a hook may need, before Python calls the functions of `atexit`. No
# public function is earlier (python/cpython#86128). The private one calls in reverse order, and ThreadPoolExecutor has
# registered its end at its import. With `atexit` such hooks fail at exit, and the log says so.
_register: Callable[..., object] = getattr(threading, "_register_atexit", atexit.register)

LEAVE = 5.0
"""Seconds that the end of a loop waits for the coroutines that threads wait for."""


def at_exit(function: Callable[[], object]) -> None:
    """Have the function called when this process exits. A process that is forked meanwhile has other work to end."""
    process = os.getpid()

    def called() -> None:
        if os.getpid() == process:
            function()

    _register(called)


class BackgroundLoop:
    """Runs coroutines for any thread. The first coroutine starts the loop; :meth:`stop` or the process's exit ends it.

    A fork copies no threads, so each process gets a loop of its own. A new loop first awaits ``begin``. A loop that is
    to end takes no more coroutines, waits :data:`LEAVE` seconds at most for those that it has, and awaits ``end``.
    """

    def __init__(self, begin: Work, end: Work) -> None:
        self._begin = begin
        self._end = end
        self._loops: dict[int, _ProcessLoop] = {}

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in a copy of the caller's context, and give its result or raise its exception."""
        try:
            future = self._of_this_process().submit(coroutine, self._begin, self.stop)
        except BaseException:
            coroutine.close()
            raise
        try:
            return future.result()
        except BaseException:
            # A server may interrupt the thread that waits here. A future that is done ignores the cancellation.
            future.cancel()
            raise

    def stop(self, end: Work | None = None) -> None:
        """End this process's loop, if there is one, after ``end`` or the constructor's. :meth:`run` starts another."""
        self._of_this_process().stop(end or self._end)

    def _of_this_process(self) -> _ProcessLoop:
        # Each process has a lock of its own: at a fork a thread may hold the parent's lock, and the copy stays locked.
        return self._loops.setdefault(os.getpid(), _ProcessLoop())


class _ProcessLoop:
    """The loop of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # noqa: TID251 - of one process, see above
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._awaited = set[Future[Any]]()
        self._registered = False

    def submit(self, coroutine: Coroutine[Any, Any, T], begin: Work, stop: Callable[[], None]) -> Future[T]:
        """Begin the coroutine. The first call starts the loop and has ``stop`` called at the process's exit."""
        # One hold of the lock for both steps: a loop that ends would forget what comes later, and a thread would wait
        # for it for ever.
        with self._lock:
            loop = self._loop or self._start(begin)
            if not self._registered:
                at_exit(stop)
                self._registered = True
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
            self._awaited.add(future)
        future.add_done_callback(self._awaited.discard)
        return future

    def _start(self, begin: Work) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="ringback"))
        # A daemon: Python waits at exit for any other thread, perhaps before Python calls what ends the thread.
        thread = threading.Thread(target=_run, args=(loop,), name="ringback", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(begin(), loop).result()
        except BaseException:
            _end(loop, thread)
            raise
        self._loop, self._thread = loop, thread
        return loop

    def stop(self, end: Work) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            if loop is None or thread is None:
                return
            wait(tuple(self._awaited), LEAVE)
            try:
                asyncio.run_coroutine_threadsafe(end(), loop).result()
            finally:
                _end(loop, thread)


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
    """Cancel the pending tasks, as :func:`asyncio.run` does, but wait for no thread, where a hook may hang."""
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
