"""When to call again: the decision, and the headers that keep one redial one call. Pure.

:func:`decide` takes everything that the decision depends on, time and randomness included, and returns a
:data:`Plan`. The store carries the plan out.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, time, timedelta, tzinfo
from email.utils import format_datetime
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from msgspec import Struct

from ringback.core.times import DAY
from ringback.exceptions import ConfigurationError
from ringback.work.contact_call import LONGEST_WINDOW, NOT_RUNG
from ringback.work.redial_policy import RedialPolicy, seconds_of
from ringback_catalog import Cause, RetryAction, RetryAfter, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

REPEATABLE_FOR = 240.0
"""Seconds after the first request of a redial in which the same request may be sent again.

The service remembers a Repeatability-Request-ID for five minutes and answers 412 later. One minute of the five is
left for the request itself.
Source: https://learn.microsoft.com/en-us/rest/api/communication/repeatable-requests
"""


REQUEST_ID = "Repeatability-Request-ID"
"""The header whose value names one request, however often the request is sent."""

TimeZone: TypeAlias = "str | tzinfo"
"""An IANA name such as ``Europe/Berlin``, or a ``tzinfo``."""


class Planned(Struct, frozen=True):
    """Call again at ``at``, seconds since the epoch.

    ``number`` counts the calls to the contact in the policy's window, the call at ``at`` included: 2 or more.
    """

    at: float
    number: int


class Exhausted(Struct, frozen=True):
    """Do not call again: ``limit`` names the setting of the policy that forbids it.

    ``max_attempts`` and ``max_unrung``: the window that ends now has that many calls, planned calls included. The
    redial is given up, and does not wait until the window has moved on. ``max_per_day``, ``caps``, ``hours`` and
    ``may_call`` put a call off, and no moment up to the horizon is allowed. The horizon is one window after the delay,
    and at least eight days; for ``may_call`` the horizon is 31 days after the delay.
    """

    limit: str


class NotRetryable(Struct, frozen=True):
    """Do not call again: the outcome is terminal."""


class Skipped(Struct, frozen=True):
    """Do not call: the outcome asks for another retry action than a call, and ``reason`` says which."""

    reason: str


Plan: TypeAlias = "Planned | Exhausted | NotRetryable | Skipped"


def decide(
    policy: RedialPolicy,
    cause: Cause,
    retry_class: RetryClass,
    calls: Sequence[float],
    *,
    now: float,
    zone: tzinfo = UTC,
    random: Callable[[], float],
    retry_action: RetryAction = RetryAction.PLACE_CALL,
    retry_after: RetryAfter | None = None,
    unrung: Sequence[float] = (),
    unanswered: Sequence[float] = (),
    not_before: float = 0.0,
) -> Plan:
    """Whether and when to call a contact again.

    ``cause``, ``retry_class``, ``retry_action`` and ``retry_after`` are the outcome's. ``calls`` are the times of all
    known calls to the contact that may have rung, in seconds since the epoch: the call that has just ended and planned
    calls included. ``unrung`` are the times of the attempts that never left, and ``unanswered`` those of the ``calls``
    that the contact did not answer. ``now`` has the same unit, and so has ``not_before``, the earliest time that the
    app allows. ``random`` returns a number from 0 up to 1; ``decide`` calls it at most once.

    Never raises: a ``now`` outside the calendar's years gets ``Exhausted("max_attempts")``, because no attempt can be
    counted. The jitter also spreads redials that wait for the end of closed hours or of a full day, where these limits
    allow; else all redials of a night would be due in one second.
    """
    if retry_class not in (RetryClass.NOW, RetryClass.LATER):
        return NotRetryable()
    skipped = policy.skips(retry_action)
    if skipped is not None:
        return Skipped(skipped)
    rung, lost = policy.made(calls, now), policy.made(unrung, now)
    # The call that asks for a redial counts, whenever it began.
    made = max(1, rung + lost)
    if max(rung, 0 if lost else 1) >= policy.max_attempts or not _FIRST <= now <= _LAST:
        return Exhausted("max_attempts")
    if lost >= policy.max_unrung:
        return Exhausted("max_unrung")
    redials = lost - 1 if lost and cause in NOT_RUNG else rung - 1
    delay = policy.delay(cause, retry_class, max(0, redials), retry_after)
    if not_before > now + delay + LONGEST_WINDOW:
        return Exhausted("may_call")
    spread = delay * policy.jitter * random()
    earliest = max(now + delay + spread, not_before)
    hours_used = frozenset[int]()
    if policy.another_hour and cause is Cause.NO_ANSWER:
        since = now - seconds_of(policy.window)
        hours_used = frozenset(_local(call, zone).hour for call in unanswered if since < call < _BEYOND)
    found = _allowed_from(policy, calls, earliest, zone, hours_used)
    if isinstance(found, str) and hours_used:
        # No other hour of the day is left.
        found = _allowed_from(policy, calls, earliest, zone)
    if isinstance(found, str):
        return Exhausted(found)
    if found == earliest:
        return Planned(found, made + 1)
    later = found + spread
    same_day = _local(found, zone).date() == _local(later, zone).date()
    if same_day and _put_off(policy, calls, datetime.fromtimestamp(later, UTC), zone, hours_used) is None:
        found = later
    return Planned(found, made + 1)


def awake(policy: RedialPolicy, at: float, zone: tzinfo, calls: Sequence[float] = ()) -> float | Exhausted:
    """The first time from ``at`` on at which hours and limits allow a call beside these ``calls``.

    A redial that is due needs this second look: no worker may have run before, and other calls may have been placed.
    """
    if not _FIRST <= at <= _LAST:
        return at
    found = _allowed_from(policy, calls, at, zone)
    return Exhausted(found) if isinstance(found, str) else found


def repeatability(key: str, generation: int, first_sent: float) -> dict[str, str]:
    """The headers that make every request of one redial the same request to the service.

    ``key`` is the item's. ``generation`` counts the answers that said for certain that no call was placed; the request
    after such an answer is a new one. ``first_sent`` is in seconds since the epoch; its header has the date format of
    RFC 9110, section 5.6.7.
    Source: https://learn.microsoft.com/en-us/rest/api/communication/repeatable-requests
    """
    # Latin-1 turns every byte into one letter, so different keys stay different and a lone surrogate does not raise.
    name = f"{key}#{generation}".encode("utf-8", "surrogatepass").decode("latin-1")
    return {
        REQUEST_ID: str(uuid.uuid5(_NAMESPACE, name)),
        "Repeatability-First-Sent": format_datetime(datetime.fromtimestamp(first_sent, UTC), usegmt=True),
    }


def time_zone(zone: TimeZone) -> tzinfo:
    """The ``tzinfo`` of a name. Raises :class:`ConfigurationError` for an unknown name or a zone that tells no time."""
    # Here, because most apps redial nobody, and the import takes as long as ten modules of Ringback.
    from zoneinfo import ZoneInfo

    try:
        found = zone if isinstance(zone, tzinfo) else ZoneInfo(zone)
        datetime.fromtimestamp(0, found)
    except (KeyError, ValueError, OSError, TypeError, AttributeError, NotImplementedError) as error:
        raise ConfigurationError(
            f"redial: {zone!r} is no time zone; write an IANA name such as 'Europe/Berlin' "
            "(on a machine without time zone data, install tzdata)"
        ) from error
    return found


_FIRST, _LAST, _BEYOND = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2, 9990, 9998))
"""Seconds so far from the ends of the calendar that no delay or zone leads beyond the ends; and later than any plan."""

_NAMESPACE = uuid.UUID("6e5f0c53-7e0f-5f0b-9f5d-7d4e4b0b7a11")


class _Until(NamedTuple):
    """The first moment at which a limit may no longer forbid a call."""

    moment: datetime
    limit: str


def _allowed_from(
    policy: RedialPolicy, calls: Sequence[float], at: float, zone: tzinfo, hours_used: Container[int] = ()
) -> float | str:
    """The first time from ``at`` on that every limit allows; or the limit that stays until the horizon."""
    horizon = at + max(seconds_of(policy.window), 8 * DAY)
    earliest = moment = datetime.fromtimestamp(at, UTC)
    limits: list[str] = []
    while (until := _put_off(policy, calls, moment, zone, hours_used)) is not None:
        moment, limits = until.moment, [*limits, until.limit]
        if moment.timestamp() > horizon:
            # Closed hours end each day, so what kept the call back until now is the limit beside them.
            return next((limit for limit in limits if limit != "hours"), "hours")
    return at if moment is earliest else moment.timestamp()


def _put_off(
    policy: RedialPolicy, calls: Sequence[float], moment: datetime, zone: tzinfo, hours_used: Container[int] = ()
) -> _Until | None:
    """Until when a limit forbids a call at this moment, and which limit; ``None`` if the call is allowed."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    opening = None if policy.opened is None else policy.opened.closed_until(local)
    if opening is not None:
        return _Until(_next(moment, local, opening, zone), "hours")
    if local.hour in hours_used:
        hour = local.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return _Until(_next(moment, local, hour, zone), "another_hour")
    if policy.calendar_days and policy.max_per_day is not None:
        today = sum(_same_day(call, moment, zone) for call in calls)
        if today >= policy.max_per_day:
            tomorrow = datetime.combine(local.date() + timedelta(days=1), time.min)
            return _Until(_next(moment, local, tomorrow, zone), "max_per_day")
    for limit, most, span in policy.limits:
        near = sorted(call for call in calls if call + span > moment.timestamp())
        if len(near) >= most:
            return _Until(_after(near[-most] + span, moment), limit)
    return None


def _after(at: float, moment: datetime) -> datetime:
    """The moment of ``at``; later than ``moment`` although floats and microseconds round."""
    # A call beyond the calendar is beyond any horizon as well.
    return max(datetime.fromtimestamp(min(at, _BEYOND), UTC), moment + timedelta(microseconds=1))


def _next(moment: datetime, local: datetime, wall: datetime, zone: tzinfo) -> datetime:
    """When the clock of the zone, which shows ``local`` at ``moment``, next shows ``wall``.

    If the clock is put back meanwhile, the result is too early, and the caller asks :func:`_put_off` again. If the
    clock skips ``wall``, the result is later by as much. The sums are made in UTC, so that a zone without ``fold`` is
    right as well.
    """
    then = moment + (wall - local)
    over = then.astimezone(zone).replace(tzinfo=None) - wall
    exact = then - over
    if over > timedelta(0) and exact > moment and exact.astimezone(zone).replace(tzinfo=None) == wall:
        return exact
    return then


def _local(at: float, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone)


def _same_day(call: float, moment: datetime, zone: tzinfo) -> bool:
    # A day has up to 25 hours, or two days where the date line was moved, so calls further away need no calendar.
    near = abs(call - moment.timestamp()) < 3 * DAY
    return near and _local(call, zone).date() == moment.astimezone(zone).date()
