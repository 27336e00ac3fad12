"""One attempt at an outcome: plans the redial, calls the hooks that have not returned, and gives a settlement."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.exceptions import StoreError, error_text
from ringback.hooks.bulkhead import Caller
from ringback.hooks.contacts import contact_of
from ringback.hooks.invoke import decided
from ringback.hooks.planning import LeaseLost, Planner
from ringback.privacy.redaction import redact
from ringback.work.contact_call import report_of
from ringback.work.hook_runs import EXHAUSTED, TOLD_WITHOUT_CONTACT
from ringback.work.items import NOBODY, Progress, Settlement, State
from ringback.work.keys import short
from ringback.work.latch import informed
from ringback.work.policy import HookContext
from ringback.work.redial import Exhausted
from ringback_catalog import RetryAction

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from ringback.core.outcome import Outcome
    from ringback.hooks.call_ends import CallEnds
    from ringback.hooks.registration import Predicate, RedialRegistration, Registration, Roster
    from ringback.work.items import Claim


UNMEASURED = nullcontext[None]()
"""The context of an attempt without telemetry. All attempts share the context, which has no state."""

HOPELESS = 10
"""An item that no hook can be blamed for is given up after this many times the attempts of a hook."""

STORE_PAUSE = 1.0
"""Seconds until the next attempt at an item after a fault of the store."""


class _Course(Struct):
    """The progress of an item while an attempt runs. Fields that have not changed are the objects of the claim."""

    done: tuple[str, ...]
    failed: Mapping[str, str]
    tries: Mapping[str, int]
    wait: Mapping[str, float]
    overran: tuple[str, ...]

    def progress(self, trying: str | None = None, alone: bool = False) -> Progress:
        return Progress(self.done, self.failed, self.tries, self.wait, trying, alone, overran=self.overran)

    def returned(self, name: str) -> None:
        self.done += (name,)

    def failed_for_good(self, name: str, reason: str) -> None:
        self.failed = {**self.failed, name: reason}
        self.no_wait([name])

    def tried(self, name: str, times: int) -> None:
        self.tries = {**self.tries, name: times}

    def decided(self, name: str, redials: Container[str], plan: object) -> Progress:
        """The progress once it is decided, for the contact of this name, whether a redial follows."""
        done = (*self.done, name)
        if isinstance(plan, Exhausted) and TOLD_WITHOUT_CONTACT not in done:
            done = (*done, EXHAUSTED)
        wait = {name: until for name, until in self.wait.items() if name not in redials}
        return Progress(done, self.failed, self.tries, wait, overran=self.overran)

    def no_wait(self, names: Iterable[str]) -> None:
        self.wait = {name: until for name, until in self.wait.items() if name not in names}


@dataclass(eq=False)
class HookCaller(Caller):
    """Calls the hooks of an app for the outcome of a claim, as the hook policy says."""

    blind: bool = False
    ends: CallEnds | None = None
    planner: Planner = field(init=False)
    _warned_unhandled: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.planner = Planner(
            self.observer, self.store, self.clock, self.random, self.policy.timeout, self.overheard, self.blind
        )

    async def attempt(self, claim: Claim) -> Settlement:
        """The settlement of the claim. After a fault of the store the remaining hooks wait for another attempt.

        Raises :class:`LeaseLost`.
        """
        if self.ends is not None and _ends_call(claim):
            await self.ends.tell(claim.item.outcome)
        if claim.crashed and claim.attempt > HOPELESS * self.policy.attempts:
            # No attempt reached a hook: a predicate or a contact function kills the process.
            error = RuntimeError(f"the worker died again, in attempt {claim.attempt - 1}, before any hook was called")
            self.observer.hook_failed(claim.item.outcome, "ringback", error, claim.attempt - 1, None)
            return Settlement(State.DEAD, claim.progress, reason=described(error))
        before = claim.progress
        start = before.done, before.failed, before.tries, before.wait, before.overran
        course = _Course(*start)
        try:
            await self._run(claim, course)
            if course.wait and course == _Course(*start):
                # The item is due and none of its hooks is: the clock was set back since, which moved the item alone.
                early = min(course.wait.values()) - self.clock()
                course.wait = {name: until - early for name, until in course.wait.items()}
                await self._run(claim, course)
        except LeaseLost as lost:
            lost.progress = course.progress()
            raise
        except StoreError as error:
            # The settlement has the hooks that returned after the last checkpoint, so no worker calls them again.
            self.observer.store_unavailable(error)
            again = Settlement(State.READY, course.progress(), due_at=self.clock() + STORE_PAUSE)
            return self.bulkhead.settled(claim, again)
        return self.bulkhead.settled(claim, course.progress().settlement())

    async def _run(self, claim: Claim, course: _Course) -> None:
        roster, outcome, handled = self.router.roster, claim.item.outcome, False
        if roster.redials:
            planned = await self._planned(course, claim, roster.redials)
            if planned is None:
                return
            outcome, handled = planned
            if claim.attempt == 1 and not handled and outcome.retry_action is RetryAction.PLACE_CALL:
                # CreateCallFailed has no operation context: where it comes alone, many an app cannot name the contact.
                self.observer.redial_skipped(outcome, "no contact function says whom the call was to")
        due: dict[str, Registration] = {}
        doubts: dict[str, Exception] = {}
        now = self.clock()
        for name, registration in roster.hooks:
            if name in course.done or name in course.failed:
                continue
            if name not in course.wait:
                if not registration.fits(outcome):
                    continue
                when = registration.when
                if when is not None and not await self._agrees(course, when, outcome, name, now, doubts):
                    continue
            handled = handled or registration.concern != "on_unrecognized"
            if course.wait.get(name, 0.0) <= now:
                due[name] = registration
        if course.wait:
            await self._forget(course, roster, outcome, now)
        if doubts:
            # A hook that another of its registrations wants is called all the same.
            handled = True
            for name in [name for name in doubts if name not in due]:
                asked = _predicate(name)
                await self._failed(course, outcome, asked, doubts[name], course.tries.get(asked, 0) + 1)
        if claim.attempt == 1 and not handled:
            self.warn_unhandled(outcome)
        if claim.crashed:
            await self._blame(claim, course, outcome, due)
        # The hook that may have killed the last worker runs last, so that the other hooks are called.
        last = claim.progress.trying if claim.crashed else None
        for name in sorted(due, key=lambda name: name == last) if last in due else due:
            await self._call(claim, course, outcome, name, due[name], noted=claim.crashed or len(due) > 1)

    def warn_unhandled(self, outcome: Outcome) -> None:
        """Reports the first retryable end of a call for which the app has no hook."""
        if outcome.retryable and outcome.ends_call and not self._warned_unhandled:
            self._warned_unhandled = True
            self.observer.outcome_unhandled(outcome)

    async def _blame(self, claim: Claim, course: _Course, outcome: Outcome, due: dict[str, Registration]) -> None:
        """Counts the death of a worker as a failed attempt of the running hook, or of all hooks if that is unknown.

        No hook is given up for a death that another item may have caused: the item is tried by itself first.
        """
        trying = claim.progress.trying
        for name in [trying] if trying in due else due:
            course.tried(name, course.tries.get(name, 0) + 1)
        # Written before any hook is called, so that another death counts on top of this one.
        await self._checkpoint(claim, course, trying, alone=False)
        if claim.progress.alone and trying in due and course.tries[trying] >= self.policy.attempts:
            attempt = course.tries[trying]
            error = RuntimeError(f"the worker died while this hook ran, in attempt {attempt}")
            # As of every hook that is given up: the last attempt is not among those before it.
            course.tried(trying, attempt - 1)
            await self._give_up(course, outcome, trying, error, attempt)
            del due[trying]

    async def _call(
        self, claim: Claim, course: _Course, outcome: Outcome, name: str, registration: Registration, *, noted: bool
    ) -> None:
        if noted:
            await self._checkpoint(claim, course, name, alone=claim.crashed)
        attempt = course.tries.get(name, 0) + 1
        again = name in course.overran or (claim.redelivered and claim.progress.trying in (None, name))
        ctx = HookContext(name, f"{claim.item.key}/{name}", attempt, again)
        if course.wait:
            course.no_wait([name])
        try:
            with UNMEASURED if self.gauge is None else self.gauge.hook(outcome, name, attempt):
                arguments, named = registration.arguments(outcome, ctx)
                await self.bulkhead.call(outcome, name, registration.handler, arguments, named, claim, _late)
        except Exception as error:
            course.overran = self.bulkhead.overran(claim, name, course.overran)
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
        await self.call_error_handlers(outcome, error, final=False)

    async def _give_up(self, course: _Course, outcome: Outcome, name: str, error: Exception, attempt: int) -> None:
        self.observer.hook_failed(outcome, name, error, attempt, None)
        course.failed_for_good(name, described(error))
        await self.call_error_handlers(outcome, error, final=True)

    async def _forget(self, course: _Course, roster: Roster, outcome: Outcome, now: float) -> None:
        """Ends the waits of predicates that were asked now, and gives up what no registration stands for any more."""
        hooks = {name for name, _ in roster.hooks}
        predicates = set(map(_predicate, hooks))
        course.no_wait([name for name, until in course.wait.items() if name in predicates and until <= now])
        known = hooks | predicates | _by_contact(roster.redials).keys()
        for name in [name for name in course.wait if name not in known]:
            # The app has renamed or removed the hook since the hook asked for another attempt.
            error = LookupError("no hook of this name is registered in this worker")
            await self._give_up(course, outcome, name, error, course.tries.get(name, 0) + 1)

    async def _agrees(
        self, course: _Course, when: Predicate, outcome: Outcome, name: str, now: float, doubts: dict[str, Exception]
    ) -> bool:
        """Whether a hook's predicate wants the outcome. ``doubts`` gets what it raises, by the hook's name."""
        if _predicate(name) in course.failed or course.wait.get(_predicate(name), 0.0) > now:
            return False
        try:
            return bool(await decided(when, outcome, timeout=self.policy.timeout))
        except Exception as error:
            doubts.setdefault(name, error)
            return False

    async def _checkpoint(self, claim: Claim, course: _Course, trying: str | None, *, alone: bool) -> None:
        if not await self.store.checkpoint(claim.item.key, course.progress(trying, alone)):
            raise LeaseLost

    async def _planned(
        self, course: _Course, claim: Claim, registered: Sequence[RedialRegistration]
    ) -> tuple[Outcome, bool] | None:
        """The outcome, terminal if its redials are exhausted; and whether a redial function handles the outcome.

        ``None`` while a contact function that has failed waits for its next attempt: no hook gets an outcome whose
        disposition may still change.
        """
        item = claim.item
        outcome = item.outcome
        if item.target == NOBODY or report_of(outcome) is None:
            return outcome, False
        redials = _by_contact(registered)
        if not redials.keys().isdisjoint(course.done):
            # The first decision stands, whatever another contact function would return now.
            return (outcome.exhausted() if EXHAUSTED in course.done else outcome), True
        # If a redial knew the contact when the event came, no contact function is asked again.
        known = {name: redial for name, redial in redials.items() if item.contact and redial.name == item.target}
        for name, redial in (known or redials).items():
            if name in course.failed:
                return outcome, True
            if course.wait.get(name, 0.0) > self.clock():
                return None
            attempt = course.tries.get(name, 0) + 1
            course.no_wait([name])
            try:
                contact = item.contact if known else await contact_of(redial, outcome, self.policy.timeout)
                if contact is None:
                    continue
                decided = partial(course.decided, name, redials)
                plan = await self.planner.plan(claim, redial, contact, decided)
            except (StoreError, LeaseLost):
                raise
            except Exception as error:
                # No other contact function is called again, so a wait of another one would keep the item due for ever.
                course.no_wait(redials)
                await self._failed(course, outcome, name, error, attempt)
                if name not in course.failed:
                    return None
                # Hooks are told now, so no later decision, after a replay, makes the outcome terminal.
                course.returned(TOLD_WITHOUT_CONTACT)
                return outcome, True
            after = decided(plan)
            course.done, course.wait = after.done, after.wait
            return (outcome.exhausted() if EXHAUSTED in course.done else outcome), True
        return outcome, False


def described(error: Exception) -> str:
    """The reason of a dead letter: the exception's text, redacted, in one line of at most 500 characters."""
    return redact(" ".join(error_text(error).split()))[:500]


def _late(_: Claim, hook: str, progress: Progress, __: object) -> Settlement:
    """What an item comes to once a hook has returned that an attempt took for failed."""
    return progress.late(hook).settlement()


def _ends_call(claim: Claim) -> bool:
    """Whether the claim is the first attempt at a call's end. A late reason for the same end does not count."""
    item = claim.item
    outcome = item.outcome
    # The attempts of a replayed dead letter count from 1 again.
    if claim.attempt > 1 or claim.progress.replayed or not outcome.ends_call:
        return False
    return item.key == outcome.outcome_id or item.key != short(informed(outcome.outcome_id))


def _predicate(hook: str) -> str:
    """The name that stands for the predicates of a hook in a :class:`Progress`."""
    return f"{hook} (when)"


def _by_contact(redials: Iterable[RedialRegistration]) -> dict[str, RedialRegistration]:
    """The redials by the names that stand for their contact functions in a :class:`Progress`."""
    return {f"{redial.name} (contact)": redial for redial in redials}
