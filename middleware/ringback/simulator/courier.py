"""Posts the events of scripts on time, signed and in order, and retries where a scenario says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringback.simulator.bodies import event_of
from ringback.simulator.media import MEDIA
from ringback.simulator.posting import shown
from ringback.simulator.turns import ENDS, closing, happened
from ringback.testing.deliveries import delivery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.simulator.calls import Call
    from ringback.simulator.posting import Post
    from ringback.simulator.scenarios import Step
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Script

Prepare = Callable[["Script", "Step"], Awaitable["Step"]]
"""Does what a step tells of before the courier posts it, and gives the step to post: a failure if it cannot be done."""

TOKEN_LIFETIME = 300


@dataclass(frozen=True, slots=True)
class Callback:
    """One POST: its events' names, and the endpoint's status or, in ``error``, why there was no answer.

    ``attempt`` is 2 or more for a retry.
    """

    events: tuple[str, ...]
    uri: str = field(repr=False)
    body: bytes = field(repr=False)
    attempt: int = 1
    status: int | None = None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status <= 299


@dataclass(slots=True, eq=False)
class _Run:
    key: str
    nap: asyncio.Future[object]
    halted: bool = False


class Courier:
    """Runs scripts at once and a script's steps in order."""

    def __init__(self, switchboard: Switchboard, post: Post, prepare: Prepare | None = None) -> None:
        self._switchboard = switchboard
        self._outside = switchboard.outside
        self._post = post
        self._prepare = prepare
        self._runs: dict[asyncio.Task[None], _Run] = {}
        self.callbacks: list[Callback] = []

    def begin(self, script: Script, after: asyncio.Event | None = None) -> asyncio.Task[None]:
        """Start a script once ``after`` is set: when the service has answered the script's request."""
        run = _Run(script.key, asyncio.get_running_loop().create_future())
        task = asyncio.create_task(self._play(run, script, after))
        self._runs[task] = run
        task.add_done_callback(self._runs.pop)
        return task

    def stop(self, prefix: str, but: _Run | None = None) -> None:
        """Stop the scripts whose keys begin with ``prefix``. A POST that has begun goes on."""
        for run in self._runs.values():
            if run is not but and run.key.startswith(prefix):
                run.halted = True
                run.nap.cancel()

    async def idle(self) -> None:
        """Wait until no script has anything left to post."""
        while self._runs:
            await asyncio.wait(list(self._runs))

    async def close(self) -> None:
        tasks = list(self._runs)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def deliver(
        self, names: tuple[str, ...], uri: str, body: bytes, headers: Mapping[str, str], attempt: int = 1
    ) -> Callback:
        """Post one body once, and keep the result in ``callbacks``."""
        status, error = None, None
        try:
            status = await self._post(uri, body, headers)
        except OSError as failed:
            error = failed.strerror or str(failed) or type(failed).__name__
        callback = Callback(names, uri, body, attempt, status, error)
        self.callbacks.append(callback)
        again = f" (attempt {attempt})" if attempt > 1 else ""
        self._outside.say(f"-> {' '.join(names)}{again} to {shown(uri)}: {error if status is None else status}")
        return callback

    def headers(self) -> Mapping[str, str]:
        """The headers of a callback, with a new token if callbacks are signed."""
        issuer = self._outside.issuer
        if issuer is None:
            return {"content-type": "application/json"}
        return issuer.headers(**self._outside.validity(TOKEN_LIFETIME))

    async def _play(self, run: _Run, script: Script, after: asyncio.Event | None) -> None:
        if after is not None:
            await after.wait()
        for first in script.prelude:
            for step in first.steps:
                await self._emit(run, first, step)
        for step in script.steps:
            if not await self._due(run, script.call, step):
                return
            happened(script, step)
            if step.event in ENDS:
                await self._close(run, script.call)
            await self._emit(run, script, step)
            # A stream or an invitation that ends makes no room for the next prompt.
            if step.closes is not None and step.closes.startswith(MEDIA) and script.call.queue:
                self.begin(script.call.queue.pop(0))

    async def _due(self, run: _Run, call: Call, step: Step) -> bool:
        """Wait for the step's time, and return whether the script goes on."""
        seconds = step.after / self._outside.speed + step.lag + self._outside.random.uniform(*self._outside.latency)
        while True:
            before = call.stirred
            if not await self._nap(run, seconds):
                return False
            if not step.quiet or (call.stirred == before and not call.attended):
                return True

    async def _close(self, run: _Run, call: Call) -> None:
        """Stop the other scripts of a call that ends, and post the events of what is open in the call."""
        self.stop(call.call_connection_id, but=run)
        for script in closing(call):
            for step in script.steps:
                await self._emit(run, script, step)

    async def _emit(self, run: _Run, script: Script, step: Step) -> None:
        if self._prepare is not None:
            halted = run.halted
            step = await self._prepare(script, step)
            if run.halted and not halted:
                # The call has ended while the step was prepared, which takes time for a stream alone.
                return
        body = delivery(event_of(script, step, self._switchboard))
        script.call.posting += 1
        try:
            for _ in range(step.copies):
                await self._insist(run, script, step, body)
        finally:
            script.call.posting -= 1
            script.call.stirred += 1

    async def _insist(self, run: _Run, script: Script, step: Step, body: bytes) -> None:
        attempt = 1
        while True:
            callback = await self.deliver((step.event,), script.address(step), body, self.headers(), attempt)
            if callback.accepted or attempt == script.call.scenario.attempts:
                return
            if not await self._nap(run, _BACKOFF * 2 ** (attempt - 1)):
                return
            attempt += 1

    async def _nap(self, run: _Run, seconds: float) -> bool:
        """Sleep, and return whether the script goes on."""
        if not run.halted:
            run.nap = asyncio.ensure_future(self._outside.sleep(seconds))
            try:
                await asyncio.wait({run.nap})
            finally:
                run.nap.cancel()
        return not run.halted


_BACKOFF = 0.1
