"""The two lanes of a worker: outcomes whose hooks are due, and redials. Neither lane waits for the other."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ringback.stores.claims import ClaimLoop, is_ending
from ringback.work.items import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.stores.claims import Claims
    from ringback.work.items import Work


class Lanes:
    """A loop of claims for each kind of item; see :class:`~ringback.stores.claims.ClaimLoop` for the settings."""

    def __init__(
        self,
        store: Claims,
        *,
        poll: float | None,
        flush: bool = False,
        clock: Callable[[], float] = time.time,
        on_fault: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._flush = flush
        self._loops = {
            kind: ClaimLoop(store, kind, poll=poll, flush=flush, clock=clock, on_fault=on_fault) for kind in Kind
        }

    async def run(self, work: Work, concurrency: int) -> None:
        """Work on at most ``concurrency`` items of each kind at a time, until :meth:`stop`."""
        # Both begin in this turn of the event loop, so that a stop in the next turn ends both.
        works = [loop.run(work, concurrency) for loop in self._loops.values()]
        lanes = [asyncio.get_running_loop().create_task(each) for each in works]
        try:
            await asyncio.wait(lanes, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            await _end(lanes)
            raise
        except GeneratorExit:
            # The event loop is closed. Python warns of a coroutine that nobody awaits.
            for each in works:
                each.close()
            raise
        await _end(lanes)
        for lane in lanes:
            lane.result()

    @property
    def ending(self) -> bool:
        return any(map(is_ending, self._loops.values()))

    @property
    def working(self) -> bool:
        return any(loop.working for loop in self._loops.values())

    def wake(self, kind: Kind | None = None, due_at: float | None = None) -> None:
        """Look at the lane of this kind at ``due_at``, or now; without a kind, at both lanes."""
        for loop in self._loops.values() if kind is None else (self._loops[kind],):
            loop.wake(due_at)

    async def stop(self, timeout: float) -> int:
        """End both lanes; after ``timeout`` seconds cancel what still runs. Gives the number of cancelled claims."""
        if not self._flush:
            return sum(await asyncio.gather(*(loop.stop(timeout) for loop in self._loops.values())))
        # The outcomes that are flushed may ask for redials, which are flushed as well.
        end = asyncio.get_running_loop().time() + timeout
        late = await self._loops[Kind.OUTCOME].stop(timeout)
        return late + await self._loops[Kind.REDIAL].stop(max(0.0, end - asyncio.get_running_loop().time()))


async def _end(lanes: Sequence[asyncio.Task[None]]) -> None:
    for lane in lanes:
        lane.cancel()
    await asyncio.wait(lanes)
