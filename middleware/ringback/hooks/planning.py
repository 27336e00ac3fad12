"""Before any hook is called: whether the contact of a call gets a redial, and what the contact's state then is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from ringback.hooks.contacts import zone_of
from ringback.work.contact import CallState, Contact, Report, Step, obstacle, report_of
from ringback.work.items import Item, Kind
from ringback.work.keys import short
from ringback.work.redial import Exhausted, Planned, Skipped, decide
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

    from ringback.core.outcome import Outcome
    from ringback.hooks.observer import Observer
    from ringback.hooks.registration import RedialRegistration
    from ringback.work.items import Claim, DeliveryStore, Progress
    from ringback.work.redial import Plan


async def cancel_redials(redials: Iterable[RedialRegistration], store: DeliveryStore, contact: str, now: float) -> int:
    """Notes that the app wants no redials of the contact. Returns how many calls that prevents, planned or not."""

    def canceled(known: Contact) -> Step[int]:
        after, keys, count = known.canceled(now)
        return Step(after, count, cancel=keys)

    keys = {redial.stored(contact) for redial in redials} or {contact}
    return sum([await store.change(key, canceled) or 0 for key in sorted(keys)])


class LeaseLost(Exception):
    """Another worker has taken the claim over. ``progress`` has what this one's hooks have returned before that."""

    progress: Progress | None = None


class Decision(NamedTuple):
    """What was decided for an outcome: the plan, if one was asked for, and how many redials were canceled."""

    plan: Plan | None = None
    canceled: int = 0


@dataclass(eq=False, slots=True)
class Planner:
    """Plans the redial of an outcome, or cancels the redials that wait, in one transaction with the contact's state."""

    observer: Observer
    store: DeliveryStore
    clock: Callable[[], float]
    random: Callable[[], float]
    timeout: float | None
    """Seconds that the app's ``time_zone`` may take."""

    async def plan(
        self, claim: Claim, redial: RedialRegistration, contact: str, progress: Callable[[Plan | None], Progress]
    ) -> Plan | None:
        """The plan; ``None`` if none is asked for, or if another redial to the contact waits.

        ``progress`` gives the progress of the claim once that is planned. The store writes the progress in the same
        transaction, so that no worker decides again after a crash. Raises :class:`StoreError`, :class:`LeaseLost`, and
        what the app's ``time_zone`` raises.
        """
        outcome, report = claim.item.outcome, report_of(claim.item.outcome)
        assert report is not None
        asks = outcome.retryable and outcome.scope is Scope.CALL
        zone = await zone_of(redial, outcome, self.timeout) if asks else UTC

        def decided(known: Contact) -> Step[Decision]:
            known = known.noted(report, claim.put_at).decided(report)
            step = self._planned(known, outcome, redial, report, zone) if asks else _closed(known)
            return replace(step, checkpoint=(claim.item.key, progress(step.result.plan)))

        decision = await self.store.change(contact, decided)
        if decision is None:
            raise LeaseLost
        plan = decision.plan
        if decision.canceled:
            self.observer.redial_canceled(outcome)
        if isinstance(plan, Planned):
            self.observer.redial_scheduled(outcome, plan.at, plan.number)
        elif isinstance(plan, Exhausted):
            self.observer.redial_exhausted(outcome, plan.limit)
        elif isinstance(plan, Skipped):
            self.observer.redial_skipped(outcome, plan.reason)
        return plan

    def _planned(
        self, known: Contact, outcome: Outcome, redial: RedialRegistration, report: Report, zone: tzinfo
    ) -> Step[Decision]:
        key, now = short(f"redial:{outcome.outcome_id}"), self.clock()
        skipped = redial.policy.skips(outcome.retry_action)
        if skipped is not None:
            return Step(known, Decision(Skipped(skipped)))
        if known.has_planned or known.call(key) is not None:
            return Step(known, Decision())
        reason = obstacle(known, redial.policy, report, now=now)
        if reason is not None:
            return Step(known, Decision(Skipped(reason)))
        plan = decide(
            redial.policy,
            outcome.cause,
            outcome.retry_class,
            known.times(),
            now=now,
            zone=zone,
            random=self.random,
            retry_action=outcome.retry_action,
            retry_after=outcome.retry_after,
        )
        if not isinstance(plan, Planned):
            return Step(known, Decision(plan))
        item = Item(key, Kind.REDIAL, plan.at, outcome, target=redial.name, number=plan.number)
        return Step(known.redial(key, CallState.PLANNED, plan.at), Decision(plan), put=item)


def _closed(known: Contact) -> Step[Decision]:
    """The contact has answered or must not be called, so no planned redial may be placed."""
    after, keys = known.closed()
    return Step(after, Decision(canceled=len(keys)), cancel=keys)
