"""When to call again: the policy, the decision, and the headers that keep one redial one call. Pure.

:func:`decide` takes everything it depends on, the clock and chance included, and returns a
:data:`Plan`; who asked carries it out.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from email.utils import format_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeGuard, cast
from zoneinfo import ZoneInfo

from ringback.exceptions import ConfigurationError
from ringback_catalog import Cause, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPEATABLE_FOR = 240.0
"""Seconds after its first request in which a create_call may be repeated with the same headers.

The service remembers a Repeatability-Request-ID for five minutes and answers 412 later; a minute is
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
"""Seconds from the end of a call to the next one, by cause; what is not here backs off, see :class:`RedialPolicy`."""

LONGEST_WINDOW = 31 * 86_400.0
"""Seconds of the longest window of a policy: stores remember calls for as long, see
:data:`ringback.stores.port.REMEMBER_CALLS`."""

TimeZone: TypeAlias = "str | tzinfo"
"""An IANA name such as ``Europe/Berlin``, or a ``tzinfo``."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Call again at ``at``, seconds since the epoch; it will be call ``number`` to this contact, from 2.

    Numbered are the calls of the policy's window.
    """

    at: float
    number: int


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Do not call again: ``limit`` names the setting of the policy that forbids it.

    ``max_attempts``: the window that ends now holds as many calls, those to come included. The call
    is given up, not put off until the window has moved on.
    ``max_per_day``: a full day puts a call off to the next; no day up to the horizon has room.
    ``quiet_hours``: the clock of the zone shows no other time up to the horizon.
    The horizon is one window after the delay, and at least three days.
    """

    limit: str


@dataclass(frozen=True, slots=True)
class NotRetryable:
    """Do not call again: the outcome is terminal."""


Plan: TypeAlias = "Planned | Exhausted | NotRetryable"


@dataclass(frozen=True, slots=True)
class RedialPolicy:
    """When, and how often, a contact is called again. Times in seconds or as timedeltas.

    ``delays`` by cause replaces single rows of :data:`DELAYS`. A cause that is in neither waits
    ``backoff``, twice as long with each further call, at most ``max_backoff``. Up to ``jitter`` of the
    delay, a share from 0 to 1, is added, so that calls that failed together are not repeated together.
    A delay for a cause makes nothing retryable: whether to call again is the catalog's to say.

    ``max_attempts`` calls to one contact in any ``window``, the first call included, whatever
    ended them; ``max_per_day`` in one day of the contact's calendar, ``None`` for no such limit.
    No call in ``quiet_hours``, a pair of times of day such as ``("21:00", "08:00")`` in the contact's time
    zone: one that would fall into them is put off to their end. Raises :class:`ConfigurationError`
    for settings that cannot work, for a window longer than 31 days, and for times longer than a year.
    """

    delays: Mapping[Cause | str, float | timedelta] = field(default_factory=dict["Cause | str", "float | timedelta"])
    backoff: float | timedelta = 30.0
    max_backoff: float | timedelta = 3600.0
    jitter: float = 0.1
    max_attempts: int = 3
    window: float | timedelta = timedelta(days=7)
    max_per_day: int | None = 3
    quiet_hours: tuple[str | time, str | time] | None = None

    def __post_init__(self) -> None:
        _refuse_uncountable("max_attempts", self.max_attempts)
        if self.max_per_day is not None:
            _refuse_uncountable("max_per_day", self.max_per_day)
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
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

    def delay(self, cause: Cause, redials: int) -> float:
        """Seconds to wait after a call that ended with this cause, when ``redials`` were made before."""
        fixed = self.delays.get(cause, DELAYS.get(cause))
        if fixed is not None:
            return _seconds(fixed)
        # Doubled no further than it matters: 2.0 ** 1024 is no float.
        return min(_seconds(self.max_backoff), _seconds(self.backoff) * 2.0 ** min(redials, 64))


def decide(
    policy: RedialPolicy,
    cause: Cause,
    retry_class: RetryClass,
    calls: Sequence[float],
    *,
    now: float,
    zone: tzinfo = UTC,
    random: Callable[[], float],
) -> Plan:
    """Whether and when to call a contact again.

    ``calls`` are the times of all calls to the contact that are known, the one that has just
    ended and those still to come included; ``random`` returns a number from 0 up to 1, and is asked
    once at most. Never raises: a clock that shows no year of the calendar gets ``Exhausted("max_attempts")``,
    for no attempt can be counted by it. A call that is put off is spread by the same jitter after the
    quiet hours or the full day, where that is allowed, lest all calls of a night be made in one second.
    """
    if retry_class not in (RetryClass.NOW, RetryClass.LATER):
        return NotRetryable()
    window = _seconds(policy.window)
    # The call that has just ended counts even if it was so long that it began before the window.
    made = max(1, sum(at > now - window for at in calls))
    if made >= policy.max_attempts or not _FIRST <= now <= _LAST:
        return Exhausted("max_attempts")
    delay = policy.delay(cause, made - 1)
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
    """The first time from ``at`` on that is not quiet; ``at`` itself if there is none within three days.

    For a call that is made later than it was planned, because no worker ran.
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

    ``generation`` counts how often the service said for certain that no call was placed: only then is
    another request another call. ``first_sent`` is in seconds since the epoch; the header's date is
    RFC 9110's, in GMT.
    """
    # Latin-1 gives each byte one letter: keys stay different, and a lone surrogate does not raise.
    name = f"{key}#{generation}".encode("utf-8", "surrogatepass").decode("latin-1")
    return {
        "Repeatability-Request-ID": str(uuid.uuid5(_NAMESPACE, name)),
        "Repeatability-First-Sent": format_datetime(datetime.fromtimestamp(first_sent, UTC), usegmt=True),
    }


def time_zone(zone: TimeZone) -> tzinfo:
    """The zone of that name. Raises :class:`ConfigurationError` for one that is none, or that can tell no time."""
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
_YEAR = 366 * _DAY
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2, 9990))
"""So far from the calendar's ends that no delay or zone leads beyond them."""

_NAMESPACE = uuid.UUID("6e5f0c53-7e0f-5f0b-9f5d-7d4e4b0b7a11")


class _Until(NamedTuple):
    """The first moment at which a limit may no longer forbid a call."""

    moment: datetime
    limit: str


def _put_off(policy: RedialPolicy, calls: Sequence[float], moment: datetime, zone: tzinfo) -> _Until | None:
    """Until when a call at this moment is forbidden, and by what; ``None`` if it is allowed."""
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
    """When the clock of the zone, now at ``local``, next shows ``wall``.

    If it is put back meanwhile, sooner: who asks looks again. If it skips ``wall``, as much later as ``wall``
    was skipped. Reckoned from UTC alone, so that zones that know nothing of ``fold`` are right as well.
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
    # A day is 25 hours long, or two days where the date line was moved; the rest need no calendar.
    at = moment.timestamp()
    near = (datetime.fromtimestamp(each, UTC) for each in calls if abs(each - at) < 3 * _DAY)
    return sum(_same_day(each, moment, zone) for each in near)


def _same_day(one: datetime, other: datetime, zone: tzinfo) -> bool:
    return one.astimezone(zone).date() == other.astimezone(zone).date()


def _delays(delays: object) -> dict[Cause | str, float | timedelta]:
    if not isinstance(delays, Mapping):
        raise ConfigurationError(f"redial: delays {delays!r} is no mapping; write one such as {{'busy': 600}}")
    checked: dict[Cause | str, float | timedelta] = {}
    for cause, delay in cast("Mapping[object, object]", delays).items():
        if cause not in [each.value for each in Cause]:
            known = ", ".join(each.value for each in Cause)
            raise ConfigurationError(f"redial: delays names {cause!r}, which is no cause; there are {known}")
        checked[Cause(cause)] = _checked_seconds(f"the delay of {Cause(cause).value}", delay)
    return checked


def _quiet_hours(hours: object) -> tuple[time, time]:
    remedy = "write a pair of different times such as ('21:00', '08:00')"
    given = cast("Sequence[object]", hours) if isinstance(hours, tuple | list) else ()
    try:
        start, end = (each if isinstance(each, time) else time.fromisoformat(cast("str", each)) for each in given)
    except (TypeError, ValueError):
        raise ConfigurationError(f"redial: quiet_hours {hours!r} is no pair of times of day; {remedy}") from None
    if start.tzinfo is not None or end.tzinfo is not None or start == end:
        raise ConfigurationError(f"redial: quiet_hours {hours!r} are equal or have a time zone; {remedy}")
    return start, end


def _seconds(time: float | timedelta) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time


def _checked_seconds(name: str, given: object) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if not _is_number(seconds) or not 0 <= seconds <= _YEAR:
        raise ConfigurationError(
            f"redial: {name} {given!r} is no time from 0 to a year; write seconds as a number, or a timedelta"
        )
    return float(seconds)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_uncountable(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"redial: {name} {value!r} is no number of calls; write a whole number from 1")
