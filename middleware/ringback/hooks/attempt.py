"""One attempt at an outcome: plans the redial, calls the hooks that have not returned, and gives a settlement."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringback.exceptions import StoreError, error_text
from ringback.hooks.contacts import contact_of, zone_of
from ringback.hooks.invoke import called, decided
from ringback.privacy.redaction import redact
from ringback.stores.record import short
from ringback.work.items import Item, Kind, Progress, Redial, Settlement, State
from ringback.work.latch import informed
from ringback.work.policy import HookContext
from ringback.work.redial import Exhausted, Planned, decide
from ringback_catalog import RetryAction, Scope, action_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from ringback.core.outcome import Outcome
    from ringback.hooks.observer import Observer, StoreGauge
    from ringback.hooks.registration import RedialRegistration, Registration, Roster
    from ringback.hooks.router import HandlerRouter
    from ringback.work.items import CallRecord, Claim, DeliveryStore
    from ringback.work.policy import HookPolicy
    from ringback.work.redial import Plan


CONNECTED = "CallConnected"
"""The event of a contact who has answered."""

UNMEASURED = nullcontext[None]()
"""The context of an attempt without telemetry. All attempts share the context, which has no state."""

STORE_PAUSE = 1.0
"""Seconds until the next attempt at an item after a fault of the store."""


@dataclass(slots=True)
class _Course:
    """The progress of an item while an attempt runs. Fields that have not changed are the objects of the claim."""

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

    def no_wait(self, names: Iterable[str]) -> None:
        self.wait = {name: until for name, until in self.wait.items() if name not in names}

    def settlement(self) -> Settlement:
        if self.wait:
            return Settlement(State.READY, self.progress(), due_at=min(self.wait.values()))
        if self.failed:
            reason = "; ".join(f"{hook}: {reason}" for hook, reason in self.failed.items())
            return Settlement(State.DEAD, self.progress(), reason=reason)
        return Settlement(State.DONE, self.progress())


class LeaseLost(Exception):
    """Another worker has taken the claim over."""


@dataclass(eq=False, slots=True)
class HookCaller:
    """Calls the hooks of an app for the outcome of a claim, as the hook policy says."""

    router: HandlerRouter
    observer: Observer
    store: DeliveryStore
    policy: HookPolicy
    clock: Callable[[], float]
    random: Callable[[], float]
    gauge: StoreGauge | None = None
    _warned_unhandled: bool = field(default=False, init=False)

    async def attempt(self, claim: Claim) -> Settlement:
        """The settlement of the claim. After a fault of the store the remaining hooks wait for another attempt.

        Raises :class:`LeaseLost`.
        """
        if self.gauge is not None and _ends_call(claim):
            self.gauge.call_settled(claim.item.outcome)
        if claim.crashed and claim.attempt > _HOPELESS * self.policy.attempts:
            # No attempt reached a hook: a predicate or a contact function kills the process.
            error = RuntimeError(f"the worker died again, in attempt {claim.attempt - 1}, before any hook was called")
            self.observer.hook_failed(claim.item.outcome, "ringback", error, claim.attempt - 1, None)
            return Settlement(State.DEAD, claim.progress, reason=described(error))
        course = _Course.of(claim.progress)
        try:
            await self._run(claim, course)
        except StoreError as error:
            # The settlement has the hooks that returned after the last checkpoint, so no worker calls them again.
            self.observer.store_unavailable(error)
            course.trying = None
            return Settlement(State.READY, course.progress(), due_at=self.clock() + STORE_PAUSE)
        course.trying = None
        return course.settlement()

    async def _run(self, claim: Claim, course: _Course) -> None:
        outcome, handled = await self._planned(course, claim.item.outcome)
        due: dict[str, Registration] = {}
        doubts: dict[str, Exception] = {}
        roster, now = self.router.roster, self.clock()
        for name, registration in roster.hooks:
            if name in course.done or name in course.failed:
                continue
            if name not in course.wait and not await self._concerns(course, registration, outcome, name, now, doubts):
                continue
            handled = handled or registration.concern != "on_unrecognized"
            if course.wait.get(name, 0.0) <= now:
                due[name] = registration
        if course.wait:
            _forget(course, roster, now)
        if doubts:
            # A hook that another of its registrations wants is called all the same.
            handled = True
            await self._ask_again(course, outcome, {name: doubts[name] for name in doubts if name not in due})
        if claim.attempt == 1 and not handled:
            self.warn_unhandled(outcome)
        if claim.crashed:
            await self._blame(claim, course, outcome, due)
        # The hook that may have killed the last worker runs last, so that the other hooks are called.
        last = claim.progress.trying if claim.crashed else None
        for name in sorted(due, key=lambda name: name == last) if last in due else due:
            await self._call(claim, course, outcome, name, due[name], alone=len(due) == 1)

    def warn_unhandled(self, outcome: Outcome) -> None:
        """Reports the first retryable end of a call for which the app has no hook."""
        if outcome.retryable and outcome.scope is Scope.CALL and not self._warned_unhandled:
            self._warned_unhandled = True
            self.observer.outcome_unhandled(outcome)

    async def _blame(self, claim: Claim, course: _Course, outcome: Outcome, due: dict[str, Registration]) -> None:
        """Counts the death of a worker as a failed attempt of the running hook, or of all hooks if that is unknown."""
        course.trying = claim.progress.trying
        blamed = [course.trying] if course.trying in due else list(due)
        for name in blamed:
            course.tried(name, course.tries.get(name, 0) + 1)
        # Written before any hook is called, so that another death counts on top of this one.
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
        if course.wait:
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
        course.wait = {**course.wait, name: self.clock() + retry_in}

    async def _give_up(self, course: _Course, outcome: Outcome, name: str, error: Exception, attempt: int) -> None:
        self.observer.hook_failed(outcome, name, error, attempt, None)
        course.failed_for_good(name, described(error))
        await call_error_handlers(self.router, self.observer, outcome, error, self.policy.timeout)

    async def _concerns(
        self,
        course: _Course,
        registration: Registration,
        outcome: Outcome,
        name: str,
        now: float,
        doubts: dict[str, Exception],
    ) -> bool:
        """Whether the registration wants the outcome. ``doubts`` gets what the predicate raises, by the hook's name."""
        if not registration.fits(outcome):
            return False
        if registration.when is None:
            return True
        if _predicate(name) in course.failed or course.wait.get(_predicate(name), 0.0) > now:
            return False
        try:
            return bool(await decided(registration.when, outcome, timeout=self.policy.timeout))
        except Exception as error:
            doubts.setdefault(name, error)
            return False

    async def _ask_again(self, course: _Course, outcome: Outcome, doubts: Mapping[str, Exception]) -> None:
        """Lets the predicates of these hooks be asked later, as the policy says, or gives the hooks up."""
        for hook, error in doubts.items():
            name = _predicate(hook)
            await self._failed(course, outcome, name, error, course.tries.get(name, 0) + 1)

    async def _checkpoint(self, claim: Claim, course: _Course) -> None:
        if not await self.store.checkpoint(claim.item.key, course.progress()):
            raise LeaseLost

    async def _planned(self, course: _Course, outcome: Outcome) -> tuple[Outcome, bool]:
        """The outcome, terminal if its redials are exhausted; and whether a redial function handles the outcome."""
        registered = self.router.roster.redials
        if not registered or outcome.unexplained:
            return outcome, False
        if outcome.scope is not Scope.CALL and outcome.event_name != CONNECTED:
            return outcome, False
        redials = _by_contact(registered)
        if not redials.keys().isdisjoint(course.done):
            # The first decision stands, whatever another contact function would return now.
            return (outcome.exhausted() if _EXHAUSTED in course.done else outcome), True
        for name, redial in redials.items():
            if name in course.failed or course.wait.get(name, 0.0) > self.clock():
                return outcome, True
            attempt = course.tries.get(name, 0) + 1
            course.no_wait([name])
            try:
                contact = await contact_of(redial, outcome, self.policy.timeout)
                if contact is None:
                    # The app may know no time zone where it knows no contact, so it is not asked.
                    continue
                zone = await zone_of(redial, outcome, self.policy.timeout)
            except Exception as error:
                # No other contact function is called again, so a wait of another one would keep the item due for ever.
                course.no_wait(redials)
                await self._failed(course, outcome, name, error, attempt)
                return outcome, True
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
            # The contact has answered or must not be called, so no planned redial may be placed.
            if await self.store.cancel(contact, leg):
                self.observer.redial_canceled(outcome)
            return None
        item = Item(f"redial:{outcome.outcome_id}", Kind.REDIAL, 0.0, outcome, contact, redial.name)
        skipped = redial.policy.skips(outcome.retry_action)

        def decided(calls: Sequence[CallRecord]) -> Plan:
            return decide(
                redial.policy,
                outcome.cause,
                outcome.retry_class,
                [call.at for call in calls],
                now=self.clock(),
                zone=zone,
                random=self.random,
                retry_action=outcome.retry_action,
                retry_after=outcome.retry_after,
            )

        plan: Plan | None = None
        if skipped is None or action_after(outcome.event_name, outcome.subcode) is RetryAction.PLACE_CALL:
            # The store records a call that the app has placed, also if no redial follows.
            plan = await self.store.plan(Redial(contact, item, leg), decided)
        if skipped is not None:
            self.observer.redial_skipped(outcome, skipped)
        elif isinstance(plan, Planned):
            self.observer.redial_scheduled(outcome, plan.at, plan.number)
        elif isinstance(plan, Exhausted):
            self.observer.redial_exhausted(outcome, plan.limit)
        return plan


async def call_error_handlers(
    router: HandlerRouter, observer: Observer, outcome: Outcome, error: Exception, timeout: float | None
) -> None:
    """Calls every error handler of the router. An error handler that raises is reported as a hook is."""
    for handler, name in router.roster.error_handlers:
        try:
            await called(handler, (outcome, error), timeout=timeout)
        except Exception as further:
            observer.hook_failed(outcome, name, further, 1, None)


def described(error: Exception) -> str:
    """The reason of a dead letter: the exception's text, redacted, in one line of at most 500 characters."""
    return redact(" ".join(error_text(error).split()))[:500]


def _ends_call(claim: Claim) -> bool:
    """Whether the claim is the first attempt at a call's end. A late reason for the same end does not count."""
    item = claim.item
    outcome = item.outcome
    return claim.first and outcome.scope is Scope.CALL and item.key != short(informed(outcome.outcome_id))


def _forget(course: _Course, roster: Roster, now: float) -> None:
    """Ends the waits of predicates that were asked now, and gives up what no registration stands for any more."""
    hooks = {name for name, _ in roster.hooks}
    predicates = set(map(_predicate, hooks))
    course.no_wait([name for name, until in course.wait.items() if name in predicates and until <= now])
    known = hooks | predicates | _by_contact(roster.redials).keys()
    for name in [name for name in course.wait if name not in known]:
        # The app has renamed or removed the hook since the hook asked for another attempt.
        course.failed_for_good(name, "no hook of this name is registered in this worker")


def _predicate(hook: str) -> str:
    """The name that stands for the predicates of a hook in a :class:`Progress`."""
    return f"{hook} (when)"


def _by_contact(redials: Iterable[RedialRegistration]) -> dict[str, RedialRegistration]:
    """The redials by the names that stand for their contact functions in a :class:`Progress`."""
    return {f"{redial.name} (contact)": redial for redial in redials}


_HOPELESS = 10
_EXHAUSTED = "attempts_exhausted"
