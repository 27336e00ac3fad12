"""Before any hook is called: whether the contact of a call gets a redial, and what the contact's state then is."""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace

from ringback.exceptions import ConfigurationError
from ringback.hooks.contacts import allowed_from, contact_again, zone_of
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallState, Report, report_of
from ringback.work.items import Item, Kind
from ringback.work.keys import short
from ringback.work.obstacle import obstacle
from ringback.work.redial import Exhausted, Planned, Skipped, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

    from ringback.core.outcome import Outcome
    from ringback.hooks.observer import Observer
    from ringback.hooks.overheard import Overheard
    from ringback.hooks.registration import RedialRegistration
    from ringback.work.delivery_store import DeliveryStore
    from ringback.work.items import Claim, Progress
    from ringback.work.redial import Plan


def names_of(redials: Iterable[RedialRegistration], contact: str) -> frozenset[str]:
    """The names under which a store may have the app's contact: redials may hash contacts with different secrets."""
    return frozenset(redial.stored(contact) for redial in redials) or frozenset((contact,))


async def say_of(
    redials: Iterable[RedialRegistration],
    store: DeliveryStore,
    contact: str,
    said: Callable[[Contact], tuple[Contact, tuple[str, ...], int]],
) -> int:
    """Notes what somebody says of a contact, under each name that a redial gives the contact: that calls are canceled,
    barred or allowed again, as the methods of :class:`Contact` with these names do. Returns how many calls that
    concerns.

    Raises :class:`ConfigurationError` for what names no contact: it is about a person, and nobody else would hear that
    the word was kept for nobody.
    """
    if not isinstance(cast("object", contact), str) or not contact:
        told = "an empty text" if contact == "" else f"no text but {type(contact).__name__}"
        raise ConfigurationError(f"the contact is {told}; give the key that the contact function returns")

    def noted(known: Contact) -> Step[int]:
        after, keys, count = said(known)
        return Step(after, count, cancel=keys)

    return sum([await store.change(key, noted) or 0 for key in sorted(names_of(redials, contact))])


class LeaseLost(Exception):
    """Another worker has taken the claim over. ``progress`` has the hooks of this worker that had returned before."""

    progress: Progress | None = None


Allowed: TypeAlias = "float | Skipped | Exhausted"
"""From when on the app allows a call, in seconds since the epoch; or why the app allows none."""


class Decision(NamedTuple):
    """What was decided for an outcome: the plan, if one was asked for, and how many redials were canceled."""

    plan: Plan | None = None
    canceled: int = 0


class Planner(Struct, eq=False):
    """Plans the redial of an outcome, or cancels the redials that wait, in one transaction with the contact's state."""

    observer: Observer
    store: DeliveryStore
    clock: Callable[[], float]
    random: Callable[[], float]
    timeout: float | None
    """Seconds that the app's ``time_zone`` may take."""
    overheard: Overheard
    blind: bool = False
    """Whether what is known of contacts is in another store, which is away: then nobody is called."""

    async def plan(
        self, claim: Claim, redial: RedialRegistration, contact: str, progress: Callable[[Plan | None], Progress]
    ) -> Plan | None:
        """The plan; ``None`` if none is asked for, or if the redial of this call is planned already.

        ``progress`` gives the progress of the claim once that is planned. The store writes the progress in the same
        transaction, so that no worker decides again after a crash. Raises :class:`StoreError`, :class:`LeaseLost`, and
        what the app's ``time_zone`` raises.
        """
        outcome, report = claim.item.outcome, report_of(claim.item.outcome)
        assert report is not None
        asks = outcome.retryable and outcome.ends_call
        if self.blind:
            self.overheard.note(contact, report, claim.put_at)
            if not asks:
                return None
            away = Skipped("the store is away, so nobody knows whether the contact may be called")
            self.observer.redial_skipped(outcome, away.reason)
            return away
        zone = await zone_of(redial, outcome, self.timeout) if asks else UTC
        # One time and one number for all looks, so that the app is asked about the very time that is planned.
        now, chance = self.clock(), self.random() if asks else 0.0

        def asked(known: Contact, allowed: Allowed) -> Step[Decision]:
            known = self.overheard.added(contact, known).noted(report, claim.put_at).decided(report)
            return self._planned(known, outcome, redial, report, zone, now, chance, allowed) if asks else _closed(known)

        allowed: Allowed = 0.0
        if asks and redial.policy.may_call is not None:
            allowed = await self._allowed(redial, contact, outcome, zone, asked)

        def decided(known: Contact) -> Step[Decision]:
            step = asked(known, allowed)
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

    async def _allowed(
        self,
        redial: RedialRegistration,
        contact: str,
        outcome: Outcome,
        zone: tzinfo,
        asked: Callable[[Contact, Allowed], Step[Decision]],
    ) -> Allowed:
        """What the policy's ``may_call`` says of the time that would be planned: from when on, or why not at all."""
        person = await contact_again(redial, outcome, contact, self.timeout)
        allowed = 0.0
        for _ in range(_LOOKS):
            seen = await self.store.change(contact, partial(_looked_at, asked=asked, allowed=allowed))
            if not isinstance(seen, Planned):
                return allowed
            answer = await allowed_from(redial, person, seen.at, zone, self.timeout)
            if isinstance(answer, str):
                return Skipped(answer)
            if answer == seen.at:
                return allowed
            allowed = answer
        return Exhausted("may_call")

    def _planned(
        self,
        known: Contact,
        outcome: Outcome,
        redial: RedialRegistration,
        report: Report,
        zone: tzinfo,
        now: float,
        chance: float,
        allowed: Allowed,
    ) -> Step[Decision]:
        key = short(f"redial:{outcome.outcome_id}")
        skipped = redial.policy.skips(outcome.retry_action)
        if skipped is not None:
            return Step(known, Decision(Skipped(skipped)))
        if known.call(key) is not None:
            return Step(known, Decision())
        if known.planned:
            return Step(known, Decision(Skipped("another redial to the contact waits")))
        reason = obstacle(known, redial.policy, report, now=now)
        if reason is not None:
            return Step(known, Decision(Skipped(reason)))
        call = report.leg or report.name
        if isinstance(allowed, Skipped | Exhausted):
            return Step(known.given_up(call, "may_call"), Decision(allowed))
        plan = decide(
            redial.policy,
            outcome.cause,
            outcome.retry_class,
            known.times(),
            now=now,
            zone=zone,
            random=lambda: chance,
            retry_action=outcome.retry_action,
            retry_after=outcome.retry_after,
            unrung=known.times(unrung=True),
            unanswered=known.unanswered,
            not_before=allowed,
        )
        if not isinstance(plan, Planned):
            return Step(known.given_up(call, plan.limit) if isinstance(plan, Exhausted) else known, Decision(plan))
        item = Item(key, Kind.REDIAL, plan.at, outcome, target=redial.name, number=plan.number)
        return Step(known.redial(key, CallState.PLANNED, plan.at), Decision(plan), put=item)


def _looked_at(
    known: Contact, asked: Callable[[Contact, Allowed], Step[Decision]], allowed: Allowed
) -> Step[Plan | None]:
    """What would be planned. The contact stays as it is."""
    return Step(known, asked(known, allowed).result.plan)


_LOOKS = 10
"""How often ``may_call`` may name a later time for one redial before the redial is given up."""


def _closed(known: Contact) -> Step[Decision]:
    """The contact has answered or must not be called, so no planned redial may be placed."""
    after, keys = known.closed()
    return Step(after, Decision(canceled=len(keys)), cancel=keys)
