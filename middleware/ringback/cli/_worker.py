"""``ringback worker``: the hooks of an app in a process of their own, until a signal ends it."""

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
from ringback.cli._store import VARIABLE, chosen, file_of, named
from ringback.dispatch import Dispatcher
from ringback.exceptions import ConfigurationError
from ringback.hooks import HookPolicy
from ringback.logs import LogObserver

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator
    from types import FrameType

    from ringback.router import HandlerRouter

DRAIN = 20.0
"""Seconds that hooks get to finish after the first signal."""

_THREADS = "ringback-hook"
_GRACE = 1.0
"""Seconds in which threads that do nothing end."""


def work(arguments: argparse.Namespace, leave: Callable[[int], object] = os._exit) -> int:
    """Work on what is in the store until SIGTERM or SIGINT. ``leave`` ends the process without a word."""
    router = loaded(arguments.router)
    if router.roster.calls_nobody:
        raise ConfigurationError(
            f"router {arguments.router!r} has no handlers, so every outcome would be done with nothing done; name the "
            "router that the app registers them on, in a module that imports those that do"
        )
    store = chosen(arguments.store, router)
    policy = _policy(router, arguments.concurrency)
    path = file_of(store)
    new = "" if path is None or path.exists() else ", which is new"
    of_router: object = getattr(router, "store", None)
    url = arguments.store or os.environ.get(VARIABLE) or (of_router if isinstance(of_router, str) else None)
    works = f"works on {named(store, url)}{new}, {policy.concurrency} hooks at a time; Ctrl-C or SIGTERM ends it"
    telemetry = getattr(router, "telemetry", None)
    dispatcher = Dispatcher(router, LogObserver(), store=store, hooks=policy, telemetry=telemetry)
    return asyncio.run(_serve(dispatcher, policy, works, arguments.drain, leave))


def _policy(router: HandlerRouter, concurrency: int | None) -> HookPolicy:
    of_router = getattr(router, "hooks", None)
    policy = of_router if isinstance(of_router, HookPolicy) else HookPolicy()
    return policy if concurrency is None else replace(policy, concurrency=concurrency)


async def _serve(
    dispatcher: Dispatcher, policy: HookPolicy, works: str, drain: float, leave: Callable[[int], object]
) -> int:
    loop = asyncio.get_running_loop()
    # The loop's own has few threads on a small machine: sync hooks would wait for each other, and the store for them.
    threads = ThreadPoolExecutor(policy.concurrency + 4, _THREADS)
    loop.set_default_executor(threads)
    stopping = asyncio.Event()

    def stop(name: str) -> None:
        _say(f"{name}: hooks get {drain:g} s to finish; a second signal ends it at once")
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
                # Raises what makes the store of no use.
                starting.result()
                _say(works)
                await stopped
        finally:
            stopped.cancel()
            await dispatcher.drain(drain)
            _end_threads(threads, leave)
    return 0


@contextmanager
def _signals(stop: Callable[[str], object], leave: Callable[[int], object]) -> Generator[None]:
    """The first SIGTERM or SIGINT stops, a second one leaves at once, also while a hook blocks the loop."""
    came = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal came
        if came:
            _flush()
            leave(128 + number)
        else:
            came = True
            stop(signal.Signals(number).name)

    before = {each: signal.signal(each, handle) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _end_threads(threads: ThreadPoolExecutor, leave: Callable[[int], object]) -> None:
    """Python would wait for a sync hook that never returns; who stops a worker would have to kill it."""
    threads.shutdown(wait=False, cancel_futures=True)
    end = time.monotonic() + _GRACE
    alive = [each for each in threading.enumerate() if each.name.startswith(_THREADS)]
    for each in alive:
        each.join(max(0.0, end - time.monotonic()))
    stuck = sum(each.is_alive() for each in alive)
    if stuck:
        _say(f"sync hooks that did not return: {stuck}; they end with the process, and the next worker has them")
        _flush()
        leave(0)


def _say(text: str) -> None:
    print(f"ringback worker: {text}", file=sys.stderr, flush=True)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
