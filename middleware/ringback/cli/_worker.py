"""``ringback worker``: a process that calls the hooks of an app until a signal ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.cli._router import loaded
from ringback.cli._screen import tell
from ringback.cli._store import VARIABLE, chosen, file_of, settings_of, store_name
from ringback.cli._values import count, seconds, some
from ringback.exceptions import ConfigurationError
from ringback.hooks.dispatcher import Dispatcher
from ringback.logs import LogObserver
from ringback.work.policy import HookPolicy

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator
    from types import FrameType


_NAME, _THREADS = "ringback worker", "ringback-worker"
_GRACE = 1.0
"""Seconds in which idle threads end."""


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("router", metavar="MODULE:ROUTER", help="where the router is, such as app:router")
    command.add_argument("--concurrency", metavar="N", type=count, help="hooks at a time; default: the router's, or 16")
    command.add_argument(
        "--drain", metavar="SECONDS", type=seconds, help="time for hooks to finish; default: the router's, or 20"
    )
    command.add_argument("--store", metavar="URL", type=some, help=f"default: ${VARIABLE}, or the router's")


def work(arguments: argparse.Namespace, leave: Callable[[int], object] = os._exit) -> int:
    """Work on the items of the store until SIGTERM or SIGINT. ``leave`` ends the process at once, with a status."""
    router = loaded(arguments.router)
    if router.roster.calls_nobody:
        raise ConfigurationError(
            f"router {arguments.router!r} has no handlers, so every outcome would be done with nothing done; name the "
            "router that the app registers them on, in a module that imports those that do"
        )
    store = chosen(arguments.store, router)
    settings = settings_of(router)
    policy = settings.hooks or HookPolicy()
    if arguments.concurrency is not None:
        policy = replace(policy, concurrency=arguments.concurrency)
    path = file_of(store)
    new = "" if path is None or path.exists() else ", which is new"
    url = arguments.store or os.environ.get(VARIABLE) or (settings.store if isinstance(settings.store, str) else None)
    works = f"works on {store_name(store, url)}{new}, {policy.concurrency} hooks at a time; Ctrl-C or SIGTERM ends it"
    dispatcher = Dispatcher(
        router, LogObserver(), store=store, hooks=policy, telemetry=settings.telemetry, pace=settings.pace
    )
    drain = settings.drain if arguments.drain is None else arguments.drain
    return asyncio.run(_serve(dispatcher, policy, works, drain, leave))


async def _serve(
    dispatcher: Dispatcher, policy: HookPolicy, works: str, drain: float, leave: Callable[[int], object]
) -> int:
    loop = asyncio.get_running_loop()
    # For async hooks that ask for a thread: the loop's own executor has few on a small machine, and the process would
    # wait for its threads. Sync hooks have daemon threads of their own.
    threads = ThreadPoolExecutor(policy.concurrency, _THREADS)
    loop.set_default_executor(threads)
    stopping = asyncio.Event()

    def stop(name: str) -> None:
        tell(_NAME, f"{name}: hooks get {drain:g} s to finish; a second signal ends it at once")
        loop.call_soon_threadsafe(stopping.set)

    with _signals(stop, leave):
        starting = asyncio.ensure_future(dispatcher.start())
        stopped = asyncio.ensure_future(stopping.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting})
            else:
                # Raises the error of a store that does not work.
                starting.result()
                tell(_NAME, works)
                await stopped
        finally:
            stopped.cancel()
            await dispatcher.drain(drain)
            _end_threads(threads, leave)
    return 0


@contextmanager
def _signals(stop: Callable[[str], object], leave: Callable[[int], object]) -> Generator[None]:
    """The first SIGTERM or SIGINT calls ``stop``; the second calls ``leave``, also while a hook blocks the loop."""
    came = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal came
        if came:
            _flush()
            leave(128 + number)
        else:
            came = True
            stop(signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_threads(threads: ThreadPoolExecutor, leave: Callable[[int], object]) -> None:
    """End idle threads. If one does not end, end the process: Python would wait for it for ever."""
    threads.shutdown(wait=False, cancel_futures=True)
    end = time.monotonic() + _GRACE
    alive = [thread for thread in threading.enumerate() if thread.name.startswith(_THREADS)]
    for thread in alive:
        thread.join(max(0.0, end - time.monotonic()))
    stuck = sum(thread.is_alive() for thread in alive)
    if stuck:
        tell(
            _NAME,
            f"threads of hooks that did not end: {stuck}; they end with the process, and the next worker has the hooks",
        )
        _flush()
        leave(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
