"""A million events through one app in this process: its memory must not grow.

    make soak                                1,000,000 events, some minutes
    make soak ARGS="--events 100000"         fewer

Every event ends another call, in single deliveries and in batches of up to 500 by turns; each call gets its log line
and its hook, for the app settles calls at once. Memory is what is resident. It is looked at when the first fifth is
done, for by then every bounded memory of Ringback is full; from there on it may grow by ``--bound`` MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import apps
import loglines
import procfs
from life import Life
from traffic import PATH, body, handle

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHAPE = (1, 1, 1, 1, 10, 1, 1, 1, 1, 500)
"""Events of the deliveries, over and over."""
BOUND = 4.0
"""MiB. Pages that the allocator keeps come and go by about one."""
SAMPLES = 20


class Sample(NamedTuple):
    """After so many events: MiB resident, seconds since the start."""

    events: int
    resident: float
    seconds: float


def growth(samples: Sequence[Sample]) -> float:
    """MiB by which memory grew after the warm-up, the first fifth. Raises :class:`ValueError` for too few samples."""
    if len(samples) < 5:
        raise ValueError(f"{len(samples)} samples are too few to tell a warm-up from the rest; take at least 5")
    warm = samples[len(samples) // 5 - 1]
    return max(each.resident for each in samples) - warm.resident


async def soak(events: int, sampled: Callable[[Sample], object]) -> int:
    """Handle at least so many events; how many hooks were called for them, which is one for each."""
    router, caught_up = OutcomeRouter(settle=0.0), asyncio.Event()
    called = done = last = 0

    @router.on_retryable
    async def call_again(_: Outcome) -> None:
        nonlocal called
        called += 1
        if called == done:
            caught_up.set()

    app = apps.starlette(apps.bare)
    app.add_middleware(CallOutcomeMiddleware, router=router, path=PATH, auth=None)
    life = Life(app)
    await life.begin()
    start = time.monotonic()
    for size in itertools.cycle(SHAPE):
        # Before the request: its hooks may be called while it is handled.
        done += size
        caught_up.clear()
        assert await handle(app, body(size)) == 200
        # As between two requests of a server: whoever waits for the loop has it now.
        await asyncio.sleep(0)
        if done - last >= events / SAMPLES:
            last = done
            await caught_up.wait()
            gc.collect()
            sampled(Sample(done, procfs.resident_mib(), time.monotonic() - start))
        if done >= events:
            break
    await life.end()
    assert called == done, f"{done} calls ended and {called} hooks were called"
    return called


def section(events: int) -> dict[str, float]:
    """How many MiB memory grows by in so many events, in a process of its own."""
    command = [sys.executable, __file__, "--events", str(events)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"memory grew by (-?[0-9.]+) MiB", told)
    if found is None:
        raise RuntimeError(f"the soak came to no end: {told[-500:]}")
    return {"events": events, "grown_mib": float(found[1])}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="events (default 1,000,000)")
    parser.add_argument("--bound", type=float, default=BOUND, help=f"MiB it may grow by (default {BOUND})")
    arguments = parser.parse_args(argv)
    samples: list[Sample] = []
    out = sys.stdout
    print("    events  MiB resident   events/s", file=out)

    def sampled(sample: Sample) -> None:
        samples.append(sample)
        rate = sample.events / sample.seconds
        print(f"{sample.events:10,}{sample.resident:14.1f}{rate:11,.0f}", file=out, flush=True)

    with loglines.configuration(loglines.configured):
        calls = asyncio.run(soak(arguments.events, sampled))
    grown = growth(samples)
    print(f"\n{calls:,} hooks called; after the warm-up memory grew by {grown:.1f} MiB, {arguments.bound} are allowed")
    return 1 if grown > arguments.bound else 0


if __name__ == "__main__":
    sys.exit(main())
