"""Whether a redial that is due is placed now, put off, or not placed at all. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ringback.work.contact_call import LONGEST_WINDOW, report_of
from ringback.work.obstacle import obstacle
from ringback.work.redial import REPEATABLE_FOR, Exhausted, Planned, Skipped, awake

if TYPE_CHECKING:
    from datetime import tzinfo

    from ringback.work.contact import Contact
    from ringback.work.contact_call import PastCall
    from ringback.work.items import Claim
    from ringback.work.redial_policy import RedialPolicy


class Place(NamedTuple):
    """Nothing stands in the way. The calls to the contact so far are for the redial function."""

    history: tuple[PastCall, ...]


class Placed(NamedTuple):
    """An event has told the leg of the call."""

    leg: str


class Doubt(NamedTuple):
    """The call may have been placed, and the request must not be repeated."""

    reason: str


Answer: TypeAlias = "Planned | Exhausted | Skipped | Place | Placed | Doubt"


def answer_of(
    known: Contact, claim: Claim, policy: RedialPolicy, zone: tzinfo, allowed: float | str, now: float
) -> Answer:
    """What becomes of the redial of ``claim`` now, after what is known of its contact.

    ``allowed`` is the earliest time that the app allows, or why it allows none.
    """
    item, ended = claim.item, report_of(claim.item.outcome)
    assert ended is not None
    # A request that was sent may have placed the call already, and is the same call if it is repeated.
    is_new = claim.progress.first_sent is None
    call, others = known.call(item.key), known.times(without=item.key)
    if not is_new and call is not None and call.leg is not None:
        return Placed(call.leg)
    if claim.progress.first_sent is not None and not 0 <= now - claim.progress.first_sent < REPEATABLE_FOR:
        # The service has forgotten the request by now, and could place a second call for the same request.
        return Doubt("an earlier attempt may have placed the call, too long ago to repeat it")
    forbidden, earliest = (allowed, now) if isinstance(allowed, str) else (None, max(now, allowed))
    reason = policy.skips(item.outcome.retry_action)
    reason = reason or obstacle(known, policy, ended, now=now, redial=item.key) or forbidden
    if reason is not None:
        return Skipped(reason) if is_new else Doubt(reason)
    at: float | Exhausted = Exhausted("max_attempts")
    if policy.made(others, now) < policy.max_attempts:
        at = awake(policy, earliest, zone, others)
    if at == now:
        return Place(known.history(without=item.key))
    if not is_new:
        return Doubt("a limit of the policy forbids to repeat the request now")
    if isinstance(at, Exhausted):
        return at
    if earliest > now and at > claim.put_at + _longest_delay(claim, policy) + LONGEST_WINDOW:
        # The app has put the redial off again and again.
        return Exhausted("may_call")
    return Planned(at, item.number)


def _longest_delay(claim: Claim, policy: RedialPolicy) -> float:
    """Seconds that the policy alone may have had the redial wait since it was planned."""
    item, outcome = claim.item, claim.item.outcome
    delay = policy.delay(outcome.cause, outcome.retry_class, max(0, item.number - 2), outcome.retry_after)
    return delay * (1 + policy.jitter)
