"""Threads for sync functions of the app. No event loop's executor is used, which belongs to the app."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ringback.forks import lock
from ringback.hooks.guarded import returned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

IDLE = 10.0
"""Seconds after which a thread without work ends."""


class Call:
    """One call of a function. ``answer`` is its result, in the loop that asked for it."""

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[object, ...], named: Mapping[str, object]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._function, self._arguments, self._named = function, arguments, named
        self.answer: asyncio.Future[Any] = self._loop.create_future()
        self.began_at: float | None = None
        """When the function began, by the loop's clock; ``None`` while the call waits for a thread."""
        self.has_overrun = self.is_over = False

    def left(self, timeout: float) -> float:
        """How many of its ``timeout`` seconds the function still has."""
        return timeout if self.began_at is None else self.began_at + timeout - self._loop.time()

    def run(self) -> None:
        self.began_at = self._loop.time()
        value: Any = None
        error: BaseException | None = None
        try:
            value = self._context.run(returned, self._function, self._arguments, self._named)
        except BaseException as raised:
            error = raised
        # In a loop that is closed, which raises RuntimeError, nobody waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end, value, error)

    def _end(self, value: Any, error: BaseException | None) -> None:
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(value)
        else:
            self.answer.set_exception(error)
            # Nobody may wait any more, and asyncio reports an error that nobody reads.
            self.answer.exception()


class Threads:
    """At most ``most`` threads, each made when a call finds none idle. Further calls wait, in order.

    The threads are daemons: a process that ends waits for no function that hangs. A fork gets threads of its own.
    """

    def __init__(self, most: int, name: str, idle: float = IDLE) -> None:
        self.most = most
        self.overran = 0
        """How many threads are held by functions that have overrun their time-outs."""
        self._name = name
        self._seconds = idle
        self._guard = lock()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._alive = self.overran = 0
        # The inboxes of the threads that wait for work: the thread that worked last gets the next call.
        self._idle: list[SimpleQueue[Call]] = []
        self._waiting: deque[Call] = deque()

    def call(self, function: Callable[..., Any], arguments: tuple[object, ...], named: Mapping[str, object]) -> Call:
        """Begin the call as soon as a thread is free. Raises :class:`RuntimeError` if the system allows no thread."""
        call = Call(function, arguments, named)
        with self._guard:
            if self._process != os.getpid():
                self._begin()
            if self._idle:
                self._idle.pop().put(call)
            elif self._alive < self.most:
                self._start(call)
            else:
                self._waiting.append(call)
        return call

    def withdraw(self, call: Call) -> None:
        """Forget the call if it waits for a thread. A function that has begun cannot be stopped."""
        with self._guard, suppress(ValueError):
            self._waiting.remove(call)

    def overrun(self, call: Call) -> bool:
        """Count the thread as held until the function returns. False if the function has returned in this moment."""
        with self._guard:
            if not call.is_over:
                call.has_overrun = True
                self.overran += 1
            return call.has_overrun

    def _start(self, call: Call) -> None:
        try:
            threading.Thread(target=self._work, args=(call,), name=self._name, daemon=True).start()
        except RuntimeError:
            if not self._alive:
                raise
            self._waiting.append(call)
        else:
            self._alive += 1

    def _work(self, call: Call) -> None:
        inbox: SimpleQueue[Call] = SimpleQueue()
        while True:
            call.run()
            with self._guard:
                call.is_over = True
                self.overran -= call.has_overrun
                if self._waiting:
                    call = self._waiting.popleft()
                    continue
                self._idle.append(inbox)
            # A thread that waits must not keep what the last call was about.
            del call
            try:
                call = inbox.get(timeout=self._seconds)
            except Empty:
                with self._guard:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        self._alive -= 1
                        return
                # Somebody has put a call into the inbox just now.
                call = inbox.get()
