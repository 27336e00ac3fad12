"""A process that works under callgrind, and marks where each piece of work begins and ends.

The mark is a call of getppid, which nothing else makes; callgrind writes down its counters at each and begins anew.
One piece does nothing: what the marks themselves cost.
"""

from __future__ import annotations

import asyncio
import gc
import os

import apps
import loglines
from life import Life
from traffic import body, handle

WORK = {1: 80, 100: 2}
"""Requests of a piece, by the events of each."""
WARM = 10
CANDIDATES = {
    "ringback, log off": "what is done whatever is logged: gate, parse, classify, attach, replay. The goal is 1.60.",
    "ringback": "the line as `ringback.logs.configure()` has it written.",
    "ringback, plain structlog": "structlog's documented JSON set-up: what its JSONRenderer takes for a line.",
    "ringback, structlog with orjson": "structlog's own advice for speed.",
    "ringback, structlog through logging": "ProcessorFormatter: what structlog and logging take one after the other.",
    "ringback, plain logging": "a line of text and a record with every key. The goal is 3.2 for one event.",
    "ringback, route uses the outcomes": "as `ringback`, and the route does not decode the body again.",
    "ringback, hooks called": "as `ringback`, and a hook for each call, latched, called and taken off the books.",
}
"""What is counted, and what its limit is for."""
NOTHING = "nothing"


def pieces() -> list[tuple[str, int]]:
    """What is counted, in its order: name and events of a request."""
    names = (NOTHING, apps.BARE, *CANDIDATES)
    return [(name, events) for events in WORK for name in names]


async def piece(name: str, events: int) -> None:
    """Warm up, then between two marks the requests of one piece."""
    if name == NOTHING:
        os.getppid()
        os.getppid()
        return
    candidate = apps.Candidate(lambda: apps.starlette(apps.bare)) if name == apps.BARE else apps.CANDIDATES[name]
    app = candidate.make()
    life = Life(app) if candidate.to_the_end else None
    if life is not None:
        await life.begin()
    for _ in range(WARM):
        assert await handle(app, body(events)) == 200
    if life is not None:
        # Another life: what the first requests have left to do is not to be counted.
        await life.end()
        app = candidate.make()
        life = Life(app)
        await life.begin()
    bodies = [body(events) for _ in range(WORK[events])]
    gc.collect()
    # A collection in one piece and not in the next would be a difference that is none.
    gc.disable()
    os.getppid()
    for content in bodies:
        await handle(app, content)
    if life is not None:
        await life.end()
    os.getppid()
    gc.enable()


def main() -> None:
    for name, events in pieces():
        candidate = apps.CANDIDATES.get(name)
        with loglines.configuration(loglines.off if candidate is None else candidate.log):
            asyncio.run(piece(name, events))


if __name__ == "__main__":
    main()
