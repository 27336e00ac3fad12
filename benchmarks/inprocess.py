"""In process, without sockets: each candidate in turns with the bare route, over the same bodies.

What is measured is CPU time of the thread that runs the loop; of all threads where a store writes in one of its own.
The garbage collector runs as it does in a server: it begins each turn with nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import apps
import loglines
from life import Life, stopped
from pairs import compared
from traffic import body, handle

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from traffic import App

SIZES = (1, 10, 100, 1000, 5000)
QUICK_SIZES = (1, 100)
_CHUNK = 200
"""Events of one turn, or one request if that has more: some milliseconds of the bare route."""


class Round(NamedTuple):
    """CPU seconds a request, of the bare route and of the candidate."""

    bare: float
    candidate: float


@contextlib.asynccontextmanager
async def running(candidate: apps.Candidate, folder: Path) -> AsyncGenerator[tuple[App, Life | None]]:
    """A fresh app, so that no turn finds what another has left; at the end nothing of it goes on."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        url = f"sqlite:///{place}/ringback.db?max_backlog=100000000"
        app = candidate.make(store=url) if candidate.durable else candidate.make()
        life = Life(app) if candidate.durable or candidate.to_the_end else None
        if life is not None:
            await life.begin()
        yield app, life
        if life is not None:
            await life.end()
        await stopped()


async def turn(
    app: App, clock: Callable[[], float], requests: Sequence[tuple[bytes, bytes | None]], life: Life | None = None
) -> float:
    """CPU seconds a request, with the end of the ``life`` if one is given.

    The first request of an app builds what it needs, and is not counted.
    """
    first, *counted = requests
    assert await handle(app, *first) == 200
    gc.collect()
    start = clock()
    for content, authorization in counted:
        status = await handle(app, content, authorization)
    if life is not None:
        await life.end()
    spent = clock() - start
    assert status == 200, status
    return spent / len(counted)


async def one_round(candidate: apps.Candidate, events: int, folder: Path, *, bare_first: bool) -> Round:
    # Of one event the first, whose hook may be called among those that are counted.
    sizes = [1, *[events] * max(1, _CHUNK // events)]
    requests = [(body(size), candidate.token and candidate.token()) for size in sizes]

    async def bare() -> float:
        with loglines.configuration(loglines.off):
            return await turn(apps.starlette(apps.bare), candidate.clock, requests)

    async def other() -> float:
        with loglines.configuration(candidate.log):
            async with running(candidate, folder) as (app, life):
                return await turn(app, candidate.clock, requests, life if candidate.to_the_end else None)

    if bare_first:
        return Round(await bare(), await other())
    taken = await other()
    return Round(await bare(), taken)


async def measured(candidate: apps.Candidate, events: int, seconds: float, least: int, most: int) -> list[Round]:
    """Rounds until ``seconds`` have gone by, but at least and at most so many. The first warms up."""
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory() as place:
        await one_round(candidate, events, Path(place), bare_first=True)
        end = time.perf_counter() + seconds
        while len(rounds) < least or (len(rounds) < most and time.perf_counter() < end):
            rounds.append(await one_round(candidate, events, Path(place), bare_first=len(rounds) % 2 == 0))
    return rounds


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """The ratio, and microseconds a request of both."""
    bare, candidate = ([each[number] for each in rounds] for number in (0, 1))
    us = [round(statistics.median(figures) * 1e6, 1) for figures in (candidate, bare)]
    return {"ratio": compared(candidate, bare), "us": us[0], "bare_us": us[1]}


def section(
    candidates: Mapping[str, apps.Candidate], sizes: Iterable[int], *, quick: bool, say: Callable[[str], object]
) -> dict[str, Any]:
    """By candidate and number of events, what :func:`summary` makes of the rounds."""
    seconds, least, most = (0.1, 2, 3) if quick else (2.5, 5, 101)
    table: dict[str, Any] = {name: {} for name in candidates}
    for events in sizes:
        for name, candidate in candidates.items():
            say(f"in process: {name}, {events} events")
            table[name][str(events)] = summary(asyncio.run(measured(candidate, events, seconds, least, most)))
    return table
