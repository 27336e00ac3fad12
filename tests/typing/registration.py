"""Which hooks, sinks and delays a type checker takes, and which it refuses. Never run: mypy and pyright read it."""

from __future__ import annotations

from datetime import timedelta

from ringback import Cause, HookContext, Outcome, OutcomeRouter, RedialPolicy
from ringback.work.redial_policy import DELAYS

router = OutcomeRouter()


# A sink is called as a hook is: sync or async, with a context or without.


class Plain:
    def wants(self, outcome: Outcome) -> bool:
        return outcome.retryable

    def __call__(self, outcome: Outcome) -> None: ...


class InContext:
    async def wants(self, outcome: Outcome) -> bool:
        return outcome.retryable

    def __call__(self, outcome: Outcome, *, ctx: HookContext) -> tuple[str, int]:
        return outcome.summary, ctx.attempt


class OfNumbers:
    def wants(self, outcome: Outcome) -> bool:
        return outcome.retryable

    def __call__(self, outcome: int) -> None: ...


router.add_sink(Plain())
router.add_sink(InContext())
router.add_sink(OfNumbers())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Delays by cause may stand in a variable of the app, with causes or with their words.

by_cause: dict[Cause, timedelta] = {Cause.BUSY: timedelta(minutes=5)}
by_word: dict[str, list[int]] = {"busy": [300, 600]}
RedialPolicy(delays=by_cause)
RedialPolicy(delays=by_word)
RedialPolicy(delays={**DELAYS, Cause.BUSY: 300})
RedialPolicy(delays={Cause.BUSY: timedelta(minutes=5), "no_answer": [1800, 3600]})
RedialPolicy(delays={"busy": "5 minutes"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


# A criterion and a setting have names: the decorators refuse at the start what stands without one.

router.on("busy")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@router.on  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def no_criterion(outcome: Outcome) -> None: ...


router.redial("busy", contact=str)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
