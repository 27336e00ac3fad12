"""Where the hooks of a worker run: sync ones in threads of their own, so that one that hangs costs no other a turn.

:class:`Caller` is what calls hooks and what calls redial functions, each with a bulkhead of its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ringback.hooks.guarded import NONE, refuse_awaitable
from ringback.hooks.invoke import called
from ringback.hooks.overheard import Overheard
from ringback.hooks.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ringback.core.outcome import Outcome
    from ringback.hooks.observer import Observer, StoreGauge
    from ringback.hooks.router import HandlerRouter
    from ringback.work.delivery_store import DeliveryStore
    from ringback.work.items import Claim, Progress, Settlement
    from ringback.work.policy import HookPolicy

Late: TypeAlias = "Callable[[Claim, str, Progress, Any], Settlement]"
"""Gives the settlement of an item whose function has returned too late. Takes the claim, the function's name, the
progress that the last attempt has settled, and what the function has returned."""


class _Overrun(Struct, eq=False):
    """A function that has overrun its time-out, and what the last attempt at its item has settled meanwhile."""

    claim: Claim
    name: str
    late: Late
    answer: asyncio.Future[Any]
    settlement: Settlement | None = None

    async def ended(self) -> tuple[Claim, Settlement] | None:
        """What to settle; ``None`` if the function has raised, for its attempt counts as failed already."""
        await asyncio.wait({self.answer})
        if self.settlement is None or self.answer.exception() is not None:
            return None
        try:
            value = refuse_awaitable(self.answer.result())
        except TypeError:
            return None
        return self.claim, self.late(self.claim, self.name, self.settlement.progress, value)


class Bulkhead:
    """Calls hooks, redial functions and error handlers, as the policy says."""

    def __init__(self, observer: Observer, policy: HookPolicy) -> None:
        self.observer, self.policy = observer, policy
        most = policy.threads or policy.concurrency
        self._threads = Threads(most, "ringback-hook")
        # One that hangs keeps no place among the claims. In a hook's thread it would have a redial wait that was
        # begun, and be placed whatever is said of the contact meanwhile.
        self._for_errors = Threads(most, "ringback-error")
        self._overran: dict[tuple[str, str], _Overrun] = {}

    def call(
        self,
        outcome: Outcome,
        name: str,
        function: Callable[..., Any],
        arguments: tuple[object, ...] = (),
        named: Mapping[str, object] = NONE,
        claim: Claim | None = None,
        late: Late | None = None,
    ) -> Awaitable[Any]:
        """What the function returns. Raises as :func:`called`, and :class:`TimeoutError` at once while an earlier call
        of the function for the same item still runs: each further attempt would hold one more thread. An error handler
        has no ``claim``.
        """
        if self._overran and claim is not None and (claim.item.key, name) in self._overran:
            raise TimeoutError("an earlier attempt has overrun its time-out, and still runs")
        timeout, threads = self.policy.timeout, self._for_errors if claim is None else self._threads
        overran = partial(self._has_overrun, outcome, name, threads, claim, late)
        return called(function, arguments, named, timeout=timeout, threads=threads, overran=overran, hook=name)

    def overran(self, claim: Claim, name: str, before: tuple[str, ...]) -> tuple[str, ...]:
        """The functions that attempts at this item left running: those ``before``, and this one if it still runs."""
        return (*before, name) if (claim.item.key, name) in self._overran and name not in before else before

    def settled(self, claim: Claim, settlement: Settlement) -> Settlement:
        """The settlement of an attempt, with the functions of the item that still run."""
        if not self._overran:
            return settlement
        new: list[_Overrun] = []
        for overrun in self._overran.values():
            if overrun.claim.item.key == claim.item.key:
                if overrun.settlement is None:
                    new.append(overrun)
                overrun.claim, overrun.settlement = claim, settlement
        return replace(settlement, late=tuple(overrun.ended() for overrun in new)) if new else settlement

    def _has_overrun(
        self,
        outcome: Outcome,
        name: str,
        threads: Threads,
        claim: Claim | None,
        late: Late | None,
        answer: asyncio.Future[Any],
    ) -> None:
        self.observer.hook_overran(outcome, name, self.policy.timeout or 0.0, threads.overran, threads.most)
        if claim is not None and late is not None:
            key = claim.item.key, name
            self._overran[key] = _Overrun(claim, name, late, answer)
            answer.add_done_callback(lambda _: self._overran.pop(key))


@dataclass(eq=False)
class Caller:
    """Calls functions of an app for the claims of a worker. The threads are its own: no hook waits behind a redial."""

    router: HandlerRouter
    observer: Observer
    store: DeliveryStore
    policy: HookPolicy
    clock: Callable[[], float]
    random: Callable[[], float]
    gauge: StoreGauge | None = None
    overheard: Overheard = field(default_factory=Overheard)
    bulkhead: Bulkhead = field(init=False)

    def __post_init__(self) -> None:
        self.bulkhead = Bulkhead(self.observer, self.policy)

    async def call_error_handlers(self, outcome: Outcome, error: Exception, *, final: bool) -> None:
        """Calls every error handler that wants an attempt of this kind. One that raises is reported as a hook is."""
        for registered in self.router.roster.error_handlers:
            if not final and not registered.takes_final:
                continue
            named = {"final": final} if registered.takes_final else {}
            try:
                await self.bulkhead.call(outcome, registered.name, registered.handler, (outcome, error), named)
            except Exception as further:
                self.observer.hook_failed(outcome, registered.name, further, 1, None)
