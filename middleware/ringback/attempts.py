"""One attempt at an outcome: plan the redial, call the hooks that are still to be called, and say how far it came."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringback.callables import handler_name
from ringback.calling import called
from ringback.exceptions import StoreError, error_text
from ringback.hooks import HookContext
from ringback.redaction import redact
from ringback.redial import Exhausted, Planned, decide
from ringback.stores.port import Item, Kind, Progress, Redial, Settlement, State
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from ringback.hooks import HookPolicy
    from ringback.observer import Observer, StoreGauge
    from ringback.outcome import Outcome
    from ringback.redial import Plan
    from ringback.router import HandlerRouter, RedialRegistration, Registration
    from ringback.stores.port import CallRecord, Claim, DeliveryStore


CONNECTED = "CallConnected"
"""The event that says that a contact was reached."""

UNMEASURED = nullcontext[None]()
"""Where there is no telemetry. One for all: it has no state."""

STORE_PAUSE = 1.0
"""Seconds until an item is tried again whose store could not be asked."""


@dataclass(slots=True)
class _Course:
    """How far an item has come, while an attempt is under way. What has not changed is the progress's own."""

    done: tuple[str, ...]
    failed: Mapping[str, str]
    tries: Mapping[str, int]
    wait: Mapping[str, float]
    trying: str | None = None

    @classmethod
    def of(cls, progress: Progress) -> _Course:
        return cls(progress.done, progress.failed, progress.tries, progress.wait)

    def progress(self) -> Progress:
        return Progress(self.done, self.failed, self.tries, self.wait, self.trying)

    def returned(self, name: str) -> None:
        self.done += (name,)

    def failed_for_good(self, name: str, reason: str) -> None:
        self.failed = {**self.failed, name: reason}
        self.no_wait([name])

    def tried(self, name: str, times: int) -> None:
        self.tries = {**self.tries, name: times}

    def waits(self, name: str, until: float) -> None:
        self.wait = {**self.wait, name: until}

    def no_wait(self, names: Iterable[str]) -> None:
        if self.wait:
            self.wait = {name: until for name, until in self.wait.items() if name not in names}

    def settlement(self) -> Settlement:
        if self.wait:
            return Settlement(State.READY, self.progress(), due_at=min(self.wait.values()))
        if self.failed:
            reason = "; ".join(f"{hook}: {reason}" for hook, reason in self.failed.items())
            return Settlement(State.DEAD, self.progress(), reason=reason)
        return Settlement(State.DONE, self.progress())


class LeaseLost(Exception):
    """Somebody else works on the claim now."""


@dataclass(eq=False, slots=True)
class HookCaller:
    """Calls the hooks of an app for one outcome after the other, as their policy says."""

    router: HandlerRouter
    observer: Observer
    store: DeliveryStore
    policy: HookPolicy
    clock: Callable[[], float]
    random: Callable[[], float]
    gauge: StoreGauge | None = None
    _told_unhandled: bool = field(default=False, init=False)

    async def attempt(self, claim: Claim) -> Settlement:
        """Raises :class:`LeaseLost`. If the store cannot be asked, the rest is for another attempt."""
        if claim.crashed and claim.attempt > _HOPELESS * self.policy.attempts:
            # Not even the hooks were reached: a predicate or a contact function kills the process.
            error = RuntimeError(f"the worker died again, in attempt {claim.attempt - 1}, before any hook was called")
            self.observer.hook_failed(claim.item.outcome, "ringback", error, claim.attempt - 1, None)
            return Settlement(State.DEAD, claim.progress, reason=described(error))
        course = _Course.of(claim.progress)
        try:
            await self._run(claim, course)
        except StoreError as error:
            # What has returned meanwhile must not be called again, though no checkpoint tells of it.
            self.observer.store_unavailable(error)
            course.trying = None
            return Settlement(State.READY, course.progress(), due_at=self.clock() + STORE_PAUSE)
        course.trying = None
        return course.settlement()

    async def _run(self, claim: Claim, course: _Course) -> None:
        outcome, handled = await self._planned(course, claim.item.outcome)
        due: dict[str, Registration] = {}
        roster = self.router.roster
        for name, registration in roster.hooks:
            if name in course.done or name in course.failed:
                continue
            if name not in course.wait and not await self._concerns(registration, outcome):
                continue
            handled = handled or registration.concern != "on_unrecognized"
            if course.wait.get(name, 0.0) <= self.clock():
                due[name] = registration
        if course.wait:
            known = {name for name, _ in roster.hooks} | _asked(roster.redials).keys()
            for name in [each for each in course.wait if each not in known]:
                # Renamed or removed since it asked for another attempt: nobody is there to be called.
                course.failed_for_good(name, "no hook of this name is registered in this worker")
        if claim.attempt == 1 and not handled:
            self.tell_unhandled(outcome)
        if claim.crashed:
            await self._blame(claim, course, outcome, due)
        # Whoever killed the last worker goes last, so that the others are called.
        last = claim.progress.trying if claim.crashed else None
        for name in sorted(due, key=lambda name: name == last) if last in due else due:
            await self._call(claim, course, outcome, name, due[name], alone=len(due) == 1)

    def tell_unhandled(self, outcome: Outcome) -> None:
        """Say once that a call may be tried again and that nobody asked for it."""
        if outcome.retryable and outcome.scope is Scope.CALL and not self._told_unhandled:
            self._told_unhandled = True
            self.observer.outcome_unhandled(outcome)

    async def _blame(self, claim: Claim, course: _Course, outcome: Outcome, due: dict[str, Registration]) -> None:
        """A worker died during the last attempt: it counts against the hook that was being called, if that is known."""
        course.trying = claim.progress.trying
        blamed = [course.trying] if course.trying in due else list(due)
        for name in blamed:
            course.tried(name, course.tries.get(name, 0) + 1)
        # Before anything is called: the next death must count from here.
        await self._checkpoint(claim, course)
        for name in blamed:
            if course.tries[name] >= self.policy.attempts:
                error = RuntimeError("the worker died during this call and every one before")
                await self._give_up(course, outcome, name, error, course.tries[name])
                del due[name]

    async def _call(
        self, claim: Claim, course: _Course, outcome: Outcome, name: str, registration: Registration, *, alone: bool
    ) -> None:
        if not alone:
            course.trying = name
            await self._checkpoint(claim, course)
        attempt = course.tries.get(name, 0) + 1
        ctx = HookContext(
            hook=name,
            idempotency_key=f"{claim.item.key}/{name}",
            attempt=attempt,
            redelivered=claim.redelivered and claim.progress.trying in (None, name),
        )
        course.no_wait([name])
        try:
            with UNMEASURED if self.gauge is None else self.gauge.hook(outcome, name, attempt):
                await called(registration.handler, *registration.arguments(outcome, ctx), timeout=self.policy.timeout)
        except Exception as error:
            await self._failed(course, outcome, name, error, attempt)
        else:
            course.returned(name)

    async def _failed(self, course: _Course, outcome: Outcome, name: str, error: Exception, attempt: int) -> None:
        retry_in = self.policy.retry_in(attempt, error, self.random)
        if retry_in is None:
            await self._give_up(course, outcome, name, error, attempt)
            return
        self.observer.hook_failed(outcome, name, error, attempt, retry_in)
        course.tried(name, attempt)
        course.waits(name, self.clock() + retry_in)

    async def _give_up(self, course: _Course, outcome: Outcome, name: str, error: Exception, attempt: int) -> None:
        self.observer.hook_failed(outcome, name, error, attempt, None)
        course.failed_for_good(name, described(error))
        await tell_error_handlers(self.router, self.observer, outcome, error, self.policy.timeout)

    async def _concerns(self, registration: Registration, outcome: Outcome) -> bool:
        """Ask the registration; a predicate that raises counts as no, and is reported like a hook."""
        try:
            return registration.concerns(outcome)
        except Exception as error:
            self.observer.hook_failed(outcome, f"{registration.name} (when)", error, 1, None)
            await tell_error_handlers(self.router, self.observer, outcome, error, self.policy.timeout)
            return False

    async def _checkpoint(self, claim: Claim, course: _Course) -> None:
        if not await self.store.checkpoint(claim.item.key, course.progress()):
            raise LeaseLost

    async def _planned(self, course: _Course, outcome: Outcome) -> tuple[Outcome, bool]:
        """The outcome, terminal if its contact may not be called again; and whether a redial was asked for it."""
        if outcome.scope is not Scope.CALL and outcome.event_name != CONNECTED:
            return outcome, False
        redials = _asked(self.router.redials)
        if not redials.keys().isdisjoint(course.done):
            # Decided, whatever another contact function would say by now.
            return (outcome.exhausted() if _EXHAUSTED in course.done else outcome), True
        for name, redial in redials.items():
            if name in course.failed or course.wait.get(name, 0.0) > self.clock():
                return outcome, True
            attempt = course.tries.get(name, 0) + 1
            course.no_wait([name])
            try:
                contact, zone = redial.contact_of(outcome), redial.zone_of(outcome)
            except Exception as error:
                # Nobody will be asked under the others' names: what they wait for would make the item due for ever.
                course.no_wait(redials)
                await self._failed(course, outcome, name, error, attempt)
                return outcome, True
            if contact is not None:
                plan = await self._plan(redial, outcome, contact, zone)
                course.no_wait(redials)
                course.returned(name)
                if isinstance(plan, Exhausted):
                    course.returned(_EXHAUSTED)
                    return outcome.exhausted(), True
                return outcome, True
        return outcome, False

    async def _plan(self, redial: RedialRegistration, outcome: Outcome, contact: str, zone: tzinfo) -> Plan | None:
        leg = outcome.call_connection_id
        if not outcome.retryable or outcome.scope is not Scope.CALL:
            # It was reached, or must not be called: either way what was planned is off.
            if await self.store.cancel(contact, leg):
                self.observer.redial_canceled(outcome)
            return None
        item = Item(f"redial:{outcome.outcome_id}", Kind.REDIAL, 0.0, outcome, contact, redial.name)

        def decided(calls: Sequence[CallRecord]) -> Plan:
            times = [call.at for call in calls]
            now = self.clock()
            return decide(
                redial.policy, outcome.cause, outcome.retry_class, times, now=now, zone=zone, random=self.random
            )

        plan = await self.store.plan(Redial(contact, item, leg), decided)
        if isinstance(plan, Planned):
            self.observer.redial_scheduled(outcome, plan.at, plan.number)
        elif isinstance(plan, Exhausted):
            self.observer.redial_exhausted(outcome, plan.limit)
        return plan


async def tell_error_handlers(
    router: HandlerRouter, observer: Observer, outcome: Outcome, error: Exception, timeout: float | None
) -> None:
    """Call every error handler; what one raises is only reported."""
    for handler in router.error_handlers:
        try:
            await called(handler, (outcome, error), timeout=timeout)
        except Exception as further:
            observer.hook_failed(outcome, handler_name(handler), further, 1, None)


def described(error: Exception) -> str:
    """What a dead letter says of an exception: redacted, one line, not long."""
    return redact(" ".join(error_text(error).split()))[:500]


def _asked(redials: Iterable[RedialRegistration]) -> dict[str, RedialRegistration]:
    """By the names under which it is noted that their contact functions were asked."""
    return {f"{redial.name} (contact)": redial for redial in redials}


_HOPELESS = 10
_EXHAUSTED = "attempts_exhausted"
