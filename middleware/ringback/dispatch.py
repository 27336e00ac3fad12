"""Calling the hooks: after the response, once for each call, isolated from it and from each other."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Protocol

from ringback.latch import Latch, Offer
from ringback.router import handler_name
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from contextlib import AbstractContextManager

    from ringback.outcome import Outcome
    from ringback.router import HandlerRouter, Registration

SETTLE = 1.0
"""Seconds a call's ending waits for its sibling event before the hooks are called."""


class Observer(Protocol):
    """Who is told what happened to outcomes and hooks; the log implements it."""

    def bound(self, outcome: Outcome) -> AbstractContextManager[None]:
        """A context in which log lines carry the outcome's ids."""
        ...

    def outcome_duplicate(self, outcome: Outcome) -> None: ...

    def outcome_unhandled(self, outcome: Outcome) -> None: ...

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception) -> None: ...

    def hooks_abandoned(self, count: int, seconds: float) -> None: ...


class Dispatcher:
    """Takes outcomes and calls the router's handlers in the process, in tasks of the running loop.

    The end of a call waits ``settle`` seconds for its sibling event, then its handlers run in the
    order of registration. A handler that raises is reported once, goes to the error handlers and
    stops nothing. What was not called when the process dies is lost.
    """

    def __init__(
        self,
        router: HandlerRouter,
        observer: Observer,
        *,
        settle: float = SETTLE,
        capacity: int = 10_000,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._router = router
        self._observer = observer
        self._settle = settle
        self._sleep = sleep
        self._latch = Latch(capacity)
        self._settling: set[asyncio.Task[None]] = set()
        self._calling: set[asyncio.Task[None]] = set()
        self._told_unhandled = False

    def submit(self, outcomes: Iterable[Outcome]) -> None:
        """Take outcomes in the order of their events; returns at once. Needs a running loop."""
        opened: list[str] = []
        for outcome in outcomes:
            ends_call = outcome.scope is Scope.CALL
            if not ends_call and not any(each.hears_of(outcome) for each in self._router.registrations):
                continue
            offer = self._latch.offer(outcome)
            if offer is Offer.DUPLICATE:
                self._observer.outcome_duplicate(outcome)
            elif offer is Offer.OPENED:
                if ends_call and self._settle > 0:
                    opened.append(outcome.outcome_id)
                else:
                    self._act(outcome.outcome_id)
        if opened:
            self._start(self._settling, self._after_settling(opened))

    async def drain(self, timeout: float) -> None:
        """Stop waiting for siblings, call every handler that is due, give them ``timeout`` seconds.

        What is submitted meanwhile is called too. Handlers that are late are cancelled and reported.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        late: set[asyncio.Task[None]] = set()
        while not late and (calling := self._due(loop)):
            _, late = await asyncio.wait(calling, timeout=max(0.0, end - loop.time()))
        for task in late:
            task.cancel()
        if late:
            self._observer.hooks_abandoned(len(late), timeout)

    def _due(self, loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[None]]:
        """The tasks that call handlers, once nothing settles any more. Those of another loop cannot be awaited."""
        for waiting in self._settling:
            if waiting.get_loop() is loop:
                waiting.cancel()
        for outcome_id in self._latch.settling():
            self._act(outcome_id)
        return {task for task in self._calling if task.get_loop() is loop}

    async def _after_settling(self, outcome_ids: list[str]) -> None:
        await self._sleep(self._settle)
        for outcome_id in outcome_ids:
            self._act(outcome_id)

    def _act(self, outcome_id: str) -> None:
        outcome = self._latch.take(outcome_id)
        if outcome is not None:
            self._start(self._calling, self._call_all(outcome))

    def _start(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        # The loop keeps only weak references to tasks; the set keeps them alive until they end.
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _call_all(self, outcome: Outcome) -> None:
        with self._observer.bound(outcome):
            handled = False
            called: list[object] = []
            for registration in list(self._router.registrations):
                if not await self._concerns(registration, outcome):
                    continue
                handled = handled or registration.concern != "on_unrecognized"
                if registration.handler not in called:
                    called.append(registration.handler)
                    await self._call(registration, outcome)
            if outcome.retryable and outcome.scope is Scope.CALL and not handled and not self._told_unhandled:
                self._told_unhandled = True
                self._observer.outcome_unhandled(outcome)

    async def _concerns(self, registration: Registration, outcome: Outcome) -> bool:
        """Ask the registration; a predicate that raises counts as no, and is reported like a hook."""
        try:
            return registration.concerns(outcome)
        except Exception as error:
            await self._failed(outcome, f"{registration.name} (when)", error)
            return False

    async def _call(self, registration: Registration, outcome: Outcome) -> None:
        try:
            await _call(registration.handler, outcome)
        except Exception as error:
            await self._failed(outcome, registration.name, error)

    async def _failed(self, outcome: Outcome, hook: str, error: Exception) -> None:
        self._observer.hook_failed(outcome, hook, error)
        for handler in self._router.error_handlers:
            try:
                await _call(handler, outcome, error)
            except Exception as further:
                self._observer.hook_failed(outcome, handler_name(handler), further)


async def _call(handler: Callable[..., Any], *arguments: object) -> None:
    """Call a sync handler in a worker thread, an async one here."""
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
        await handler(*arguments)
        return
    returned = await asyncio.to_thread(_returned, handler, *arguments)
    if inspect.isawaitable(returned):
        await returned


def _returned(handler: Callable[..., Any], *arguments: object) -> Any:
    try:
        return handler(*arguments)
    except StopIteration as error:
        # No future can carry it out of the thread (python/cpython#112182): who awaits would wait for ever.
        raise RuntimeError("the handler raised StopIteration") from error
