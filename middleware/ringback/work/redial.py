"""When to call again: the decision, and the headers that keep one redial one call. Pure.

:func:`decide` takes everything that the decision depends on, time and randomness included, and returns a
:data:`Plan`. The store carries the plan out.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from email.utils import format_datetime
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from ringback.exceptions import ConfigurationError
from ringback.work.redial_policy import RedialPolicy, quiet_hours_of, seconds_of
from ringback_catalog import Cause, RetryAction, RetryAfter, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


@dataclass(frozen=True, slots=True)
class Planned:
    """Call again at ``at``, seconds since the epoch.

    ``number`` counts the calls to the contact in the policy's window, the call at ``at`` included: 2 or more.
    """

    at: float
    number: int


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Do not call again: ``limit`` names the setting of the policy that forbids it.

    ``max_attempts``: the window that ends now has that many calls, planned calls included. The redial is given up, and
    does not wait until the window has moved on.
    ``max_per_day``: a full day puts a call off to the next day, and no day up to the horizon has room.
    ``quiet_hours``: the clock of the zone shows only quiet hours up to the horizon.
    The horizon is one window after the delay, and at least three days.
    """

    limit: str


@dataclass(frozen=True, slots=True)
class NotRetryable:
    """Do not call again: the outcome is terminal."""


@dataclass(frozen=True, slots=True)
class Skipped:
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
) -> Plan:
    """Whether and when to call a contact again.

    ``cause``, ``retry_class``, ``retry_action`` and ``retry_after`` are the outcome's. ``calls`` are the times of all
    known calls to the contact, in seconds since the epoch: the call that has just ended and planned calls included.
    ``now`` has the same unit. ``random`` returns a number from 0 up to 1; ``decide`` calls it at most once.

    Never raises: a ``now`` outside the calendar's years gets ``Exhausted("max_attempts")``, because no attempt can be
    counted. The jitter also spreads redials that wait for the end of quiet hours or of a full day, where these limits
    allow; else all redials of a night would be due in one second.
    """
    if retry_class not in (RetryClass.NOW, RetryClass.LATER):
        return NotRetryable()
    skipped = policy.skips(retry_action)
    if skipped is not None:
        return Skipped(skipped)
    window = seconds_of(policy.window)
    made = policy.made(calls, now)
    if made >= policy.max_attempts or not _FIRST <= now <= _LAST:
        return Exhausted("max_attempts")
    delay = policy.delay(cause, made - 1, retry_after)
    spread = delay * policy.jitter * random()
    at = now + delay + spread
    horizon = at + max(window, 3 * _DAY)
    earliest = moment = datetime.fromtimestamp(at, UTC)
    limit = "quiet_hours"
    while (until := _put_off(policy, calls, moment, zone)) is not None:
        if until.limit == "max_per_day":
            limit = until.limit
        moment = until.moment
        if moment.timestamp() > horizon:
            return Exhausted(limit)
    if moment is earliest:
        return Planned(at, made + 1)
    later = moment + timedelta(seconds=spread)
    if _same_day(moment, later, zone) and _put_off(policy, calls, later, zone) is None:
        moment = later
    return Planned(moment.timestamp(), made + 1)


def awake(policy: RedialPolicy, at: float, zone: tzinfo, calls: Sequence[float] = ()) -> float | None:
    """The first time from ``at`` on outside the quiet hours, on a day with room beside these ``calls``; ``None`` if
    there is no such time in three days.

    A redial that is due needs this second look: no worker may have run before, and other calls may have filled the day.
    """
    if not _FIRST <= at <= _LAST:
        return at
    now = moment = datetime.fromtimestamp(at, UTC)
    while (until := _put_off(policy, calls, moment, zone)) is not None:
        moment = until.moment
        if moment.timestamp() > at + 3 * _DAY:
            return None
    return at if moment is now else moment.timestamp()


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
    try:
        found = zone if isinstance(zone, tzinfo) else ZoneInfo(zone)
        datetime.fromtimestamp(0, found)
    except (KeyError, ValueError, OSError, TypeError, AttributeError, NotImplementedError) as error:
        raise ConfigurationError(
            f"redial: {zone!r} is no time zone; write an IANA name such as 'Europe/Berlin' "
            "(on a machine without time zone data, install tzdata)"
        ) from error
    return found


_DAY = 86_400.0
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2, 9990))
"""Seconds so far from the ends of the calendar that no delay or zone leads beyond the ends."""

_NAMESPACE = uuid.UUID("6e5f0c53-7e0f-5f0b-9f5d-7d4e4b0b7a11")


class _Until(NamedTuple):
    """The first moment at which a limit may no longer forbid a call."""

    moment: datetime
    limit: str


def _put_off(policy: RedialPolicy, calls: Sequence[float], moment: datetime, zone: tzinfo) -> _Until | None:
    """Until when a limit forbids a call at this moment, and which limit; ``None`` if the call is allowed."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    tomorrow = local.date() + timedelta(days=1)
    if policy.quiet_hours is not None:
        start, end = quiet_hours_of(policy.quiet_hours)
        if _within(local.time(), start, end):
            day = local.date() if local.time() < end else tomorrow
            return _Until(_next(moment, local, datetime.combine(day, end), zone), "quiet_hours")
    if policy.max_per_day is not None and _calls_on_day(calls, moment, zone) >= policy.max_per_day:
        return _Until(_next(moment, local, datetime.combine(tomorrow, time.min), zone), "max_per_day")
    return None


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


def _within(now: time, start: time, end: time) -> bool:
    return start <= now < end if start < end else now >= start or now < end


def _calls_on_day(calls: Sequence[float], moment: datetime, zone: tzinfo) -> int:
    # A day has up to 25 hours, or two days where the date line was moved, so calls further away need no calendar.
    at = moment.timestamp()
    near = (datetime.fromtimestamp(call, UTC) for call in calls if abs(call - at) < 3 * _DAY)
    return sum(_same_day(call, moment, zone) for call in near)


def _same_day(one: datetime, other: datetime, zone: tzinfo) -> bool:
    return one.astimezone(zone).date() == other.astimezone(zone).date()
