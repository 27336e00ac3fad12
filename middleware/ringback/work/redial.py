"""When to call again: the policy, the decision, and the headers that keep one redial one call. Pure.

:func:`decide` takes everything that the decision depends on, time and randomness included, and returns a
:data:`Plan`. The store carries the plan out.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from email.utils import format_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast
from zoneinfo import ZoneInfo

from ringback.exceptions import ConfigurationError
from ringback.settings import is_number
from ringback.work.policy import YEAR, refuse_uncountable
from ringback_catalog import Cause, RetryAction, RetryAfter, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPEATABLE_FOR = 240.0
"""Seconds after the first request of a redial in which the same request may be sent again.

The service remembers a Repeatability-Request-ID for five minutes and answers 412 later. One minute of the five is
left for the request itself.
Source: https://learn.microsoft.com/en-us/rest/api/communication/repeatable-requests
"""


DELAYS: Mapping[Cause, float] = MappingProxyType(
    {
        Cause.BUSY: 600.0,
        Cause.NO_ANSWER: 1800.0,
        Cause.UNREACHABLE: 1800.0,
        Cause.CLIENT_NETWORK: 60.0,
    }
)
"""Seconds from the end of a call to the next call, by cause, where the catalog's entry has no ``retry_after``.

A cause without a delay here backs off: see :class:`RedialPolicy`.
"""

LONGEST_WINDOW = 31 * 86_400.0
"""Seconds of the longest window of a policy. Stores remember calls for :data:`ringback.work.items.REMEMBER_CALLS`."""

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

# The reasons of `Skipped`, by retry action.
_SKIPPED: Mapping[RetryAction, str] = MappingProxyType(
    {
        RetryAction.NONE: "nothing is to be made again",
        RetryAction.CONNECT_CALL: "connect_call is to be sent again, which is not a call to the contact",
        RetryAction.REPEAT_OPERATION: "an operation is to be sent again, not the call",
        RetryAction.CALL_BACK: (
            "the contact had called; to dial them is a person's decision, or RedialPolicy(call_back=True)"
        ),
    }
)


@dataclass(frozen=True, slots=True)
class RedialPolicy:
    """When, and how often, a contact is called again. Times in seconds or as timedeltas.

    ``delays`` by cause outrank everything else. Without one, no redial is placed before the outcome's ``retry_after``,
    which the catalog took from Microsoft's documents, and further redials wait longer by its factor. Without a
    ``retry_after`` the delay in :data:`DELAYS` counts. A cause that has none there waits ``backoff``, which doubles
    with each further redial up to ``max_backoff``. Up to ``jitter`` of the delay, a share from 0 to 1, is added, so
    that calls that failed together are not placed together. A delay makes no
    outcome retryable: the catalog alone decides.

    A redial answers only an outcome with the retry action ``place_call``, and with ``call_back`` also ``call_back``:
    the contact had called the app.

    One contact gets at most ``max_attempts`` calls in any ``window``, the first call included, however the calls ended,
    and at most ``max_per_day`` calls in one day of the contact's calendar; ``None`` sets no such limit. ``quiet_hours``
    is a pair of times of day, such as ``("21:00", "08:00")``, in the contact's time zone. A redial that would be due in
    these hours waits for their end. Raises :class:`ConfigurationError` for settings that cannot work, for a window
    longer than 31 days, and for times longer than a year.
    """

    delays: Mapping[Cause | str, float | timedelta] = field(default_factory=dict["Cause | str", "float | timedelta"])
    backoff: float | timedelta = 30.0
    max_backoff: float | timedelta = 3600.0
    jitter: float = 0.1
    max_attempts: int = 3
    window: float | timedelta = timedelta(days=7)
    max_per_day: int | None = 3
    quiet_hours: tuple[str | time, str | time] | None = None
    call_back: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.call_back, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"redial: call_back {self.call_back!r} is neither True nor False; write one")
        refuse_uncountable("redial: max_attempts", self.max_attempts)
        if self.max_per_day is not None:
            refuse_uncountable("redial: max_per_day", self.max_per_day)
        if not is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ConfigurationError(
                f"redial: jitter {self.jitter!r} is no share of the delay; write one from 0 to 1, such as 0.1"
            )
        for name in ("backoff", "max_backoff", "window"):
            object.__setattr__(self, name, _checked_seconds(name, getattr(self, name)))
        if _seconds(self.window) > LONGEST_WINDOW:
            raise ConfigurationError(
                f"redial: window {self.window!r} is longer than calls are remembered; write at most "
                f"{LONGEST_WINDOW:.0f} seconds, 31 days"
            )
        if not self.window:
            raise ConfigurationError("redial: window 0 limits nothing; write how long a call counts, such as 86400")
        object.__setattr__(self, "delays", MappingProxyType(_delays(self.delays)))
        if self.quiet_hours is not None:
            object.__setattr__(self, "quiet_hours", _quiet_hours(self.quiet_hours))

    def delay(self, cause: Cause, redials: int, advised: RetryAfter | None = None) -> float:
        """Seconds from the end of a call with this cause to its redial. ``redials`` counts the redials before this one.

        ``advised`` is the outcome's ``retry_after``.
        """
        own = self.delays.get(cause)
        if own is not None:
            return _seconds(own)
        usual = DELAYS.get(cause)
        if usual is not None and advised is None:
            return usual
        longest = _seconds(self.max_backoff)
        backoff = 0.0 if usual is not None else min(longest, _grown(_seconds(self.backoff), 2.0, redials))
        if advised is None:
            return backoff
        # `max_backoff` bounds the growth of the advised wait, and not the advised wait itself.
        return max(backoff, advised.seconds, min(longest, _grown(advised.seconds, advised.factor, redials)))

    def skips(self, action: RetryAction) -> str | None:
        """Why an outcome with this retry action gets no redial; ``None`` if the outcome may get one."""
        if action is RetryAction.PLACE_CALL or (action is RetryAction.CALL_BACK and self.call_back):
            return None
        return _SKIPPED[action]


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
    window = _seconds(policy.window)
    # The call that has just ended counts, even if that call began before the window.
    made = max(1, sum(at > now - window for at in calls))
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


def awake(policy: RedialPolicy, at: float, zone: tzinfo) -> float:
    """The first time from ``at`` on outside the quiet hours; ``at`` itself if there is no such time in three days.

    A redial that is late, because no worker ran when the redial was due, needs this second look.
    """
    if not _FIRST <= at <= _LAST:
        return at
    moment = datetime.fromtimestamp(at, UTC)
    while (until := _put_off(policy, (), moment, zone)) is not None:
        moment = until.moment
        if moment.timestamp() > at + 3 * _DAY:
            return at
    return max(at, moment.timestamp())


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
        "Repeatability-Request-ID": str(uuid.uuid5(_NAMESPACE, name)),
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


def _grown(seconds: float, factor: float, times: int) -> float:
    # The growth stops at 64, because 10.0 ** 400 is no float.
    return seconds * factor ** min(times, 64)


class _Until(NamedTuple):
    """The first moment at which a limit may no longer forbid a call."""

    moment: datetime
    limit: str


def _put_off(policy: RedialPolicy, calls: Sequence[float], moment: datetime, zone: tzinfo) -> _Until | None:
    """Until when a limit forbids a call at this moment, and which limit; ``None`` if the call is allowed."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    tomorrow = local.date() + timedelta(days=1)
    if policy.quiet_hours is not None:
        start, end = _quiet_hours(policy.quiet_hours)
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


def _delays(delays: object) -> dict[Cause | str, float | timedelta]:
    if not isinstance(delays, Mapping):
        raise ConfigurationError(f"redial: delays {delays!r} is no mapping; write one such as {{'busy': 600}}")
    known = [cause.value for cause in Cause]
    checked: dict[Cause | str, float | timedelta] = {}
    for cause, delay in cast("Mapping[object, object]", delays).items():
        if cause not in known:
            raise ConfigurationError(f"redial: delays names {cause!r}, which is no cause; there are {', '.join(known)}")
        checked[Cause(cause)] = _checked_seconds(f"the delay of {Cause(cause).value}", delay)
    return checked


def _quiet_hours(hours: object) -> tuple[time, time]:
    remedy = "write a pair of different times such as ('21:00', '08:00')"
    given = cast("Sequence[object]", hours) if isinstance(hours, tuple | list) else ()
    try:
        start, end = (hour if isinstance(hour, time) else time.fromisoformat(cast("str", hour)) for hour in given)
    except (TypeError, ValueError):
        raise ConfigurationError(f"redial: quiet_hours {hours!r} is no pair of times of day; {remedy}") from None
    if start.tzinfo is not None or end.tzinfo is not None or start == end:
        raise ConfigurationError(f"redial: quiet_hours {hours!r} are equal or have a time zone; {remedy}")
    return start, end


def _seconds(time: float | timedelta) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time


def _checked_seconds(name: str, given: object) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if not is_number(seconds) or not 0 <= seconds <= YEAR:
        raise ConfigurationError(
            f"redial: {name} {given!r} is no time from 0 to a year; write seconds as a number, or a timedelta"
        )
    return float(seconds)
