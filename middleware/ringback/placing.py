"""One attempt at a redial: call the user's function so that one call is placed, however often it is repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ringback.attempts import UNMEASURED, LeaseLost, described, tell_error_handlers
from ringback.calling import called
from ringback.hooks import GiveUp, HookContext, Retry
from ringback.redial import REPEATABLE_FOR, awake, repeatability
from ringback.stores.port import Progress, Settlement, State
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ringback.hooks import HookPolicy
    from ringback.observer import Observer, StoreGauge
    from ringback.router import HandlerRouter, RedialRegistration
    from ringback.stores.port import Claim, DeliveryStore

_TRIES = "placing"
_LONGEST_PAUSE = 86_400.0


@dataclass(eq=False, slots=True)
class RedialCaller:
    """Calls the redial functions of an app, as their policy and the hooks' say."""

    router: HandlerRouter
    observer: Observer
    store: DeliveryStore
    policy: HookPolicy
    clock: Callable[[], float]
    random: Callable[[], float]
    gauge: StoreGauge | None = None

    async def attempt(self, claim: Claim) -> Settlement:
        """Raises :class:`StoreError` if the store cannot be asked, and :class:`LeaseLost`."""
        item, progress = claim.item, claim.progress
        redial = next((each for each in self.router.redials if each.name == item.target), None)
        if redial is None:
            return Settlement(State.DEAD, progress, reason=f"no redial {item.target} is registered in this worker")
        now = self.clock()
        if progress.first_sent is None:
            try:
                zone = redial.zone_of(item.outcome)
            except Exception as error:
                return await self._failed(claim, redial, progress, error, progress.tries.get(_TRIES, 0) + 1)
            at = awake(redial.policy, now, zone)
            if at > now:
                # It was due in time, and its worker was late.
                return Settlement(State.READY, progress, due_at=at)
        elif not 0 <= now - progress.first_sent < REPEATABLE_FOR:
            # The service no longer knows the request: sent again, it could be a second call.
            reason = "an earlier attempt may have placed the call, too long ago to repeat it"
            return self._unknown(claim, reason)
        if claim.crashed:
            tries = progress.tries.get(_TRIES, 0) + 1
            progress = replace(progress, tries={_TRIES: tries})
            if tries >= self.policy.attempts:
                died = RuntimeError("the worker died during this call and every one before")
                return await self._failed(claim, redial, progress, died, tries)
        progress = replace(progress, first_sent=now if progress.first_sent is None else progress.first_sent)
        # Before the first request: after a crash it is repeated with the same time.
        if not await self.store.checkpoint(item.key, progress):
            raise LeaseLost
        return await self._place(claim, redial, progress)

    async def _place(self, claim: Claim, redial: RedialRegistration, progress: Progress) -> Settlement:
        item, attempt = claim.item, progress.tries.get(_TRIES, 0) + 1
        assert progress.first_sent is not None
        headers = repeatability(item.key, progress.generation, progress.first_sent)
        offered: Mapping[str, object] = {
            "outcome": item.outcome,
            "attempt": item.number,
            "headers": headers,
            "contact": item.contact,
            "ctx": HookContext(
                hook=redial.name,
                idempotency_key=headers["Repeatability-Request-ID"],
                attempt=attempt,
                redelivered=claim.redelivered,
            ),
        }
        taken = {name: value for name, value in offered.items() if name in redial.parameters}
        try:
            with UNMEASURED if self.gauge is None else self.gauge.redial(item.outcome, redial.name, attempt):
                placed = await called(redial.function, (), taken, timeout=self.policy.timeout)
        except Exception as error:
            return await self._failed(claim, redial, progress, error, attempt)
        leg = _leg_of(placed)
        self.observer.redial_placed(item.outcome, item.number, leg)
        return Settlement(State.DONE, progress, leg=leg)

    def _unknown(self, claim: Claim, reason: str) -> Settlement:
        """The call counts as placed; if it was, its events will tell."""
        self.observer.redial_unknown(claim.item.outcome, claim.item.number, reason)
        return Settlement(State.DONE, claim.progress, reason=reason)

    async def _failed(
        self, claim: Claim, redial: RedialRegistration, progress: Progress, error: Exception, attempt: int
    ) -> Settlement:
        status = getattr(error, "status_code", None)
        if status == 412:
            return self._unknown(claim, "the service no longer knows the request (412)")
        outcome = claim.item.outcome
        progress = replace(progress, tries={_TRIES: attempt})
        if refused(error):
            # No call was placed: the next request, also that of a replay, may and must be another one.
            progress = replace(progress, first_sent=None, generation=progress.generation + 1)
        retry_in = self.policy.retry_in(attempt, error, self.random)
        if retry_in is not None and not isinstance(error, Retry):
            asked = retry_after(error)
            cause = Cause.THROTTLED if status == 429 else Cause.SERVICE_ERROR
            usual = redial.policy.delay(cause, attempt - 1)
            retry_in = asked if asked is not None else usual * (1 + redial.policy.jitter * self.random())
        self.observer.hook_failed(outcome, redial.name, error, attempt, retry_in)
        if retry_in is None:
            await tell_error_handlers(self.router, self.observer, outcome, error, self.policy.timeout)
            return Settlement(State.DEAD, progress, reason=f"{redial.name}: {described(error)}")
        return Settlement(State.READY, progress, due_at=self.clock() + retry_in)


def _leg_of(placed: object) -> str | None:
    """The call connection id of what ``create_call`` returned, or that itself."""
    leg: object = placed
    if not isinstance(placed, str):
        try:
            leg = getattr(placed, "call_connection_id", None)
        except Exception:
            # The call was placed, whatever else its object says.
            leg = None
    return leg if isinstance(leg, str) and leg else None


def refused(error: Exception) -> bool:
    """Whether the error says for certain that no call was placed: the service refused, or was never reached."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status in (429, 503) or (400 <= status < 500 and status not in (408, 409, 412))
    return isinstance(error, Retry | GiveUp)


def retry_after(error: Exception) -> float | None:
    """Seconds of the Retry-After header of an HTTP error, as azure-core and httpx carry it; ``None`` without one."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    try:
        # azure-core's and httpx's headers know no case, a dict of a test does.
        seconds = float(headers["Retry-After"])
    except (KeyError, TypeError, ValueError):
        return None
    return seconds if 0 <= seconds <= _LONGEST_PAUSE else None
