"""One attempt at a redial: calls the app's redial function so that repeated attempts place one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ringback.hooks.attempt import UNMEASURED, LeaseLost, call_error_handlers, described
from ringback.hooks.contacts import zone_of
from ringback.hooks.invoke import called
from ringback.work.items import Progress, Settlement, State
from ringback.work.policy import GiveUp, HookContext, Retry
from ringback.work.redial import REPEATABLE_FOR, awake, repeatability
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ringback.hooks.observer import Observer, StoreGauge
    from ringback.hooks.registration import RedialRegistration
    from ringback.hooks.router import HandlerRouter
    from ringback.work.items import Claim, DeliveryStore
    from ringback.work.policy import HookPolicy

_TRIES = "placing"
_LONGEST_PAUSE = 86_400.0


@dataclass(eq=False, slots=True)
class RedialCaller:
    """Calls the redial function of a claim, as the redial policy and the hook policy say."""

    router: HandlerRouter
    observer: Observer
    store: DeliveryStore
    policy: HookPolicy
    clock: Callable[[], float]
    random: Callable[[], float]
    gauge: StoreGauge | None = None

    async def attempt(self, claim: Claim) -> Settlement:
        """The settlement of the claim. Raises :class:`StoreError` for a fault of the store, and :class:`LeaseLost`."""
        item, progress = claim.item, claim.progress
        redial = next((redial for redial in self.router.redials if redial.name == item.target), None)
        if redial is None:
            return Settlement(State.DEAD, progress, reason=f"no redial {item.target} is registered in this worker")
        now = self.clock()
        if progress.first_sent is None:
            skipped = redial.policy.skips(item.outcome.retry_action)
            if skipped is not None:
                # An earlier release or another policy has planned this redial.
                self.observer.redial_skipped(item.outcome, skipped)
                return Settlement(State.DONE, progress, reason=skipped)
            try:
                zone = await zone_of(redial, item.outcome, self.policy.timeout)
            except Exception as error:
                return await self._failed(claim, redial, progress, error, progress.tries.get(_TRIES, 0) + 1)
            at = awake(redial.policy, now, zone)
            if at > now:
                # The redial was due outside the quiet hours, and the worker was late.
                return Settlement(State.READY, progress, due_at=at)
        elif not 0 <= now - progress.first_sent < REPEATABLE_FOR:
            # The service has forgotten the request by now, and could place a second call for the same request.
            return self._unknown(claim, "an earlier attempt may have placed the call, too long ago to repeat it")
        if claim.crashed:
            tries = progress.tries.get(_TRIES, 0) + 1
            progress = replace(progress, tries={_TRIES: tries})
            if tries >= self.policy.attempts:
                died = RuntimeError("the worker died during this call and every one before")
                return await self._failed(claim, redial, progress, died, tries)
        progress = replace(progress, first_sent=now if progress.first_sent is None else progress.first_sent)
        # Written before the first request, so that a request after a crash has the same time.
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
        """Counts the call as placed. If the call was placed, its own events report its end."""
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
            # No call was placed, so the next request, also after a replay, is a new one with an id of its own.
            progress = replace(progress, first_sent=None, generation=progress.generation + 1)
        retry_in = self.policy.retry_in(attempt, error, self.random)
        if retry_in is not None and not isinstance(error, Retry):
            advised = retry_after(error)
            cause = Cause.THROTTLED if status == 429 else Cause.SERVICE_ERROR
            usual = redial.policy.delay(cause, attempt - 1)
            retry_in = advised if advised is not None else usual * (1 + redial.policy.jitter * self.random())
        self.observer.hook_failed(outcome, redial.name, error, attempt, retry_in)
        if retry_in is None:
            await call_error_handlers(self.router, self.observer, outcome, error, self.policy.timeout)
            return Settlement(State.DEAD, progress, reason=f"{redial.name}: {described(error)}")
        return Settlement(State.READY, progress, due_at=self.clock() + retry_in)


def _leg_of(placed: object) -> str | None:
    """The call connection id that the redial function returned, as text or as an attribute; ``None`` without one."""
    leg: object = placed
    if not isinstance(placed, str):
        try:
            leg = getattr(placed, "call_connection_id", None)
        except Exception:
            # The call was placed, even if the returned object cannot be read.
            leg = None
    return leg if isinstance(leg, str) and leg else None


def refused(error: Exception) -> bool:
    """Whether the error says for certain that no call was placed, by its HTTP status or by its type."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status in (429, 503) or (400 <= status < 500 and status not in (408, 409, 412))
    return isinstance(error, Retry | GiveUp)


def retry_after(error: Exception) -> float | None:
    """Seconds of the Retry-After header of an HTTP error; ``None`` without one. A date counts as none.

    Source: RFC 9110, section 10.2.3. The errors of azure-core and httpx have the header in ``response.headers``.
    """
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    try:
        # The headers of azure-core and httpx ignore the case of a name.
        seconds = float(headers["Retry-After"])
    except (KeyError, TypeError, ValueError):
        return None
    return seconds if 0 <= seconds <= _LONGEST_PAUSE else None
