"""A process that works under callgrind, and marks where each piece of work begins and ends.

    python benchmarks/counted.py 100        the pieces with so many events a request

The mark is a call of getppid, which nothing else makes; callgrind writes down its counters at each and begins anew.
One piece does nothing: what the marks themselves cost.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
from pathlib import Path

import apps
import loglines
from inprocess import running
from traffic import body, handle

from ringback.stores import turns

WORK = {1: 80, 100: 2}
"""Requests of a piece, by the events of each."""
WARM = 10
SLOWER = 100
"""About as many times slower than by itself a process runs under callgrind."""
CANDIDATES = {
    "ringback, log off": "what is done whatever is logged: gate, parse, classify, attach, replay. The goal is 1.55.",
    "ringback": "the line as `ringback.logs.configure()` has it written.",
    "ringback, plain structlog": "structlog's documented JSON set-up: what its JSONRenderer takes for a line.",
    "ringback, structlog with orjson": "structlog's own advice for speed.",
    "ringback, structlog through logging": "ProcessorFormatter: what structlog and logging take one after the other.",
    "ringback, plain logging": "a line of text and a record with every key.",
    "ringback, route uses the outcomes": "as `ringback`, and the route does not decode the body again.",
    "ringback, hooks called": "as `ringback`, and a hook called for each call. The goals are 3.0 and 7.5.",
    "ringback, verified": "as `ringback`, and a token of its own, most of it OpenSSL's.",
    "ringback, verified, known token": "as `ringback`, and a token that an earlier request had.",
    "ringback, durable hooks (SQLite)": "as `ringback`, and every event on disk first; its runs differ by 5 %.",
}
"""What is counted, and what its limit is for."""
NOTHING = "nothing"


def pieces(events: int) -> list[str]:
    """What is counted with so many events a request, in its order."""
    # A token is one a request, and a request of one event shows what the token costs.
    return [NOTHING, apps.BARE, *(name for name in CANDIDATES if events == 1 or "verified" not in name)]


async def piece(candidate: apps.Candidate, events: int, folder: Path) -> None:
    """Warm up, then between two marks the requests of one piece."""
    token = candidate.token
    # What the first requests have left to do is not to be counted, so each has a life of its own.
    async with running(candidate, folder) as (app, _):
        for _ in range(WARM):
            assert await handle(app, body(events), token and token()) == 200
    async with running(candidate, folder) as (app, life):
        # The first request of an app builds what the app needs.
        assert await handle(app, body(1), token and token()) == 200
        requests = [(body(events), token and token()) for _ in range(WORK[events])]
        gc.collect()
        # A collection in one piece and not in the next would be a difference that is none.
        gc.disable()
        os.getppid()
        for request in requests:
            await handle(app, *request)
        if candidate.to_the_end and life is not None:
            await life.end()
        os.getppid()
        gc.enable()


def main(events: int) -> None:
    # Or what is counted would depend on how busy the machine is.
    turns.TURN *= SLOWER
    with tempfile.TemporaryDirectory() as place:
        for name in pieces(events):
            if name == NOTHING:
                os.getppid()
                os.getppid()
                continue
            candidate = apps.CANDIDATES.get(name, apps.ROUTE)
            with loglines.configuration(candidate.log):
                asyncio.run(piece(candidate, events, Path(place)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
