"""Before any hook is called: whether the contact of a call gets a redial, and what the contact's state then is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from ringback.work.items import DeliveryStore
    from ringback.work.redial import Plan


async def cancel_redials(redials: Iterable[RedialRegistration], store: DeliveryStore, contact: str, now: float) -> int:
    """Notes that the app wants no redials of the contact. Returns how many calls that prevents, planned or not."""

    def canceled(known: Contact) -> Step[int]:
        after, keys, count = known.canceled(now)
        return Step(after, count, cancel=keys)

    keys = {redial.stored(contact) for redial in redials} or {contact}
    return sum([await store.change(key, canceled) or 0 for key in sorted(keys)])


@dataclass(eq=False, slots=True)
class Planner:
    """Plans the redial of an outcome, or cancels the redials that wait, in one transaction with the contact's state."""

    observer: Observer
    store: DeliveryStore
    clock: Callable[[], float]
    random: Callable[[], float]
    timeout: float | None
    """Seconds that the app's ``time_zone`` may take."""

    async def plan(self, item: Item, redial: RedialRegistration, contact: str) -> Plan | None:
        """The plan; ``None`` if none is asked for, or if another redial to the contact waits.

        Raises :class:`StoreError`, and what the app's ``time_zone`` raises.
        """
        outcome = item.outcome
        report = report_of(outcome)
        if report is None:
            return None
        noted = item.contact is not None
        if not outcome.retryable or outcome.scope is not Scope.CALL:
            # The contact has answered or must not be called, so no planned redial may be placed.
            if await self.store.change(contact, lambda known: _closed(self._after(known, report, noted))):
                self.observer.redial_canceled(outcome)
            return None
        zone = await zone_of(redial, outcome, self.timeout)
        plan = await self.store.change(
            contact, lambda known: self._planned(self._after(known, report, noted), outcome, redial, report, zone)
        )
        if isinstance(plan, Planned):
            self.observer.redial_scheduled(outcome, plan.at, plan.number)
        elif isinstance(plan, Exhausted):
            self.observer.redial_exhausted(outcome, plan.limit)
        elif isinstance(plan, Skipped):
            self.observer.redial_skipped(outcome, plan.reason)
        return plan

    def _after(self, known: Contact, report: Report, noted: bool) -> Contact:
        """The contact after the event, which the store has noted already if the contact was known when it came."""
        return known if noted else known.noted(report, self.clock())

    def _planned(
        self, known: Contact, outcome: Outcome, redial: RedialRegistration, report: Report, zone: tzinfo
    ) -> Step[Plan | None]:
        known, key, now = known.decided(report), short(f"redial:{outcome.outcome_id}"), self.clock()
        skipped = redial.policy.skips(outcome.retry_action)
        if skipped is not None:
            return Step(known, Skipped(skipped))
        if known.has_planned or known.call(key) is not None:
            return Step(known, None)
        reason = obstacle(known, redial.policy, report, now=now)
        if reason is not None:
            return Step(known, Skipped(reason))
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
            return Step(known, plan)
        item = Item(key, Kind.REDIAL, plan.at, outcome, target=redial.name, number=plan.number)
        return Step(known.redial(key, CallState.PLANNED, plan.at), plan, put=item)


def _closed(known: Contact) -> Step[int]:
    after, keys = known.closed()
    return Step(after, len(keys), cancel=keys)
