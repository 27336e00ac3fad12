"""What a policy of redials may say: delays, attempts, hours and rests; its checks at the start. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from ringback.core.times import DAY
from ringback.exceptions import ConfigurationError
from ringback.settings import is_number, refuse_no_flag
from ringback.work.contact_call import LONGEST_WINDOW
from ringback.work.hours import Hours, HoursSetting, Pair, hours_of, outside
from ringback.work.policy import YEAR, refuse_uncountable
from ringback_catalog import Cause, RetryAction, RetryAfter, RetryClass

Time: TypeAlias = "float | timedelta"
"""Seconds, or a timedelta."""

Delays: TypeAlias = "Mapping[Any, Time | Sequence[Time]]"
"""The delay of each cause, or its delays by redial.

The keys are causes or their words. With ``Cause | str`` a type checker would refuse a ``dict[Cause, float]``.
"""

MayCall: TypeAlias = "Callable[[str, datetime], bool | str | datetime | Awaitable[bool | str | datetime]]"
"""``may_call(contact, at)``: whether, or from when on, or for which reason not."""

DELAYS: Mapping[Cause, float] = MappingProxyType(
    {Cause.BUSY: 600.0, Cause.NO_ANSWER: 1800.0, Cause.UNREACHABLE: 1800.0}
)
"""Seconds from the end of a call to the next call, by cause, where the catalog's entry has no ``retry_after``.

A cause without a delay here backs off: see :class:`RedialPolicy`.
"""

FIRST_OF_NOW = 30.0
"""Seconds to the first redial of the retry class ``now``, where neither policy nor catalog says how long."""

WORKING_HOURS = hours_of(("09:00", "20:00"))
"""The hours of a policy that says nothing of hours."""

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

    **How long to wait.** ``delays`` by cause outrank everything else: one delay, or a list with the delay of the first
    redial, of the second, and so on, of which the last stays. Without one the outcome's ``retry_after`` counts, which
    the catalog took from Microsoft's documents; further redials wait longer by its factor. Without a ``retry_after``
    the delay in :data:`DELAYS` counts. A cause that has none there waits ``backoff``, which doubles with each further
    redial up to ``max_backoff``; only the first redial of the retry class ``now`` comes after :data:`FIRST_OF_NOW`
    seconds. Up to ``jitter`` of the delay, a share from 0 to 1, is added, so that calls that failed together are not
    placed together. A delay makes no outcome retryable: the catalog alone decides.

    **What may be redialled.** The retry action ``place_call``, and with ``call_back`` also ``call_back``: the contact
    had called the app.

    **How often.** One contact gets at most ``max_attempts`` calls in any ``window``, the first call included, however
    the calls ended; then the redials are given up. ``max_per_day`` calls in any 24 hours, and each of ``caps``, pairs
    of a number of calls and the time for which it holds, put a redial off instead. With ``calendar_days`` the day of
    ``max_per_day`` is that of the contact's calendar, so six calls may come together around midnight. ``None`` sets no
    limit. Attempts that never left, because the service was throttled or failed before anything rang, are no such
    calls: of these there are at most ``max_unrung`` in the window.

    **At what time.** ``hours`` in the contact's time zone: a pair such as ``("09:00", "20:00")`` for every day, or
    pairs by day, ``{"mon-fri": ("09:00", "20:00"), "sat": ("10:00", "14:00")}``; a day that is not named has none.
    ``None`` allows any hour. ``quiet_hours``, a pair, is another way to say the hours: all others. With
    ``another_hour`` a redial after ``no_answer`` is placed at an hour of the day at which nobody has failed to answer
    in the window, if there is one. A redial that would be due outside the hours waits.

    **Who must be left alone.** ``may_call(contact, at)`` is asked when the redial is planned and again when it is due;
    ``at`` is an aware datetime in the contact's zone. It may be async, and returns ``True``, or ``False``, or the
    reason as text, or the later datetime from which on a call is allowed. A contact that has answered a call gets no
    redial for other calls that end within ``rest_after_answer`` of the answer, and a contact that has refused a call
    none within ``rest_after_refusal``, by default the window.

    Raises :class:`ConfigurationError` for settings that cannot work, for a window, a cap or a rest longer than 31 days,
    and for times longer than a year.
    """

    delays: Delays = field(default_factory=dict[Any, "Time | Sequence[Time]"])
    backoff: Time = 300.0
    max_backoff: Time = 3600.0
    jitter: float = 0.1
    max_attempts: int = 3
    window: Time = timedelta(days=7)
    max_per_day: int | None = 3
    quiet_hours: Pair | None = None
    call_back: bool = False
    rest_after_answer: Time = 3600.0
    rest_after_refusal: Time | None = None
    hours: HoursSetting | Hours | None = WORKING_HOURS
    caps: Sequence[tuple[int, Time]] = ()
    calendar_days: bool = False
    max_unrung: int = 10
    another_hour: bool = False
    may_call: MayCall | None = None

    def __post_init__(self) -> None:
        for name in ("call_back", "calendar_days", "another_hour"):
            refuse_no_flag(f"redial: {name}", getattr(self, name))
        if self.may_call is not None and not callable(self.may_call):
            raise ConfigurationError(
                f"redial: may_call {self.may_call!r} is not callable; write a function (contact, at)"
            )
        refuse_uncountable("redial: max_attempts", self.max_attempts)
        refuse_uncountable("redial: max_unrung", self.max_unrung)
        if self.max_per_day is not None:
            refuse_uncountable("redial: max_per_day", self.max_per_day)
        if not is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ConfigurationError(
                f"redial: jitter {self.jitter!r} is no share of the delay; write one from 0 to 1, such as 0.1"
            )
        for name in ("backoff", "max_backoff"):
            object.__setattr__(self, name, _checked_seconds(name, getattr(self, name)))
        for name in ("window", "rest_after_answer", "rest_after_refusal"):
            if (span := getattr(self, name)) is not None or name != "rest_after_refusal":
                object.__setattr__(self, name, _remembered(name, span))
        if not self.window:
            raise ConfigurationError("redial: window 0 limits nothing; write how long a call counts, such as 86400")
        object.__setattr__(self, "delays", MappingProxyType(_delays(self.delays)))
        object.__setattr__(self, "caps", _caps(self.caps))
        self._read_hours()

    def _read_hours(self) -> None:
        if self.quiet_hours is not None:
            if self.hours is not WORKING_HOURS:
                raise ConfigurationError("redial: hours and quiet_hours say the same thing twice; write one of the two")
            object.__setattr__(self, "hours", outside(self.quiet_hours))
            # A copy of the policy, as of `dataclasses.replace`, has the hours alone.
            object.__setattr__(self, "quiet_hours", None)
        elif self.hours is not None:
            object.__setattr__(self, "hours", hours_of(self.hours))

    def delay(self, cause: Cause, retry_class: RetryClass, redials: int, advised: RetryAfter | None = None) -> float:
        """Seconds from the end of a call with this cause to its redial. ``redials`` counts the redials before this one.

        ``advised`` is the outcome's ``retry_after``.
        """
        own = self.delays.get(cause)
        if own is not None:
            steps = [own] if isinstance(own, float | int | timedelta) else own
            return seconds_of(steps[min(redials, len(steps) - 1)])
        longest = seconds_of(self.max_backoff)
        if advised is not None:
            # `max_backoff` bounds the growth of the advised wait, and not the advised wait itself.
            return max(advised.seconds, min(longest, _grown(advised.seconds, advised.factor, redials)))
        usual = DELAYS.get(cause)
        if usual is not None:
            return usual
        if retry_class is RetryClass.NOW and not redials:
            return FIRST_OF_NOW
        return min(longest, _grown(seconds_of(self.backoff), 2.0, redials))

    @property
    def limits(self) -> tuple[tuple[str, int, float], ...]:
        """The limits that put a redial off: the setting, the calls, and the seconds in which they may be placed."""
        a_day = () if self.max_per_day is None or self.calendar_days else (("max_per_day", self.max_per_day, DAY),)
        return (*a_day, *(("caps", calls, seconds_of(span)) for calls, span in self.caps))

    @property
    def opened(self) -> Hours | None:
        """The hours as read; ``None`` for any hour."""
        return cast("Hours | None", self.hours)

    @property
    def reads_clock(self) -> bool:
        """Whether the hour or the day at the contact's place counts."""
        return self.hours is not None or self.calendar_days or self.another_hour

    def made(self, calls: Sequence[float], now: float) -> int:
        """How many of the calls count at ``now``."""
        return sum(at > now - seconds_of(self.window) for at in calls)

    @property
    def rests(self) -> tuple[float, float]:
        """Seconds of rest after an answer, and after a refusal."""
        refusal = self.window if self.rest_after_refusal is None else self.rest_after_refusal
        return seconds_of(self.rest_after_answer), seconds_of(refusal)

    def skips(self, action: RetryAction) -> str | None:
        """Why an outcome with this retry action gets no redial; ``None`` if the outcome may get one."""
        if action is RetryAction.PLACE_CALL or (action is RetryAction.CALL_BACK and self.call_back):
            return None
        return _SKIPPED[action]


def _grown(seconds: float, factor: float, times: int) -> float:
    # The growth stops at 64, because 10.0 ** 400 is no float.
    return seconds * factor ** min(times, 64)


def _delays(delays: object) -> dict[Cause, float | tuple[float, ...]]:
    if not isinstance(delays, Mapping):
        raise ConfigurationError(f"redial: delays {delays!r} is no mapping; write one such as {{'busy': 600}}")
    known = [cause.value for cause in Cause]
    checked: dict[Cause, float | tuple[float, ...]] = {}
    for cause, delay in cast("Mapping[object, object]", delays).items():
        if cause not in known:
            raise ConfigurationError(f"redial: delays names {cause!r}, which is no cause; there are {', '.join(known)}")
        name = f"the delay of {Cause(cause).value}"
        if isinstance(delay, tuple | list):
            steps = tuple(_checked_seconds(name, step) for step in cast("Sequence[object]", delay))
            if not steps:
                raise ConfigurationError(f"redial: {name} is an empty list; write seconds such as [1800, 3600]")
            checked[Cause(cause)] = steps
        else:
            checked[Cause(cause)] = _checked_seconds(name, delay)
    return checked


def _caps(caps: object) -> tuple[tuple[int, float], ...]:
    remedy = "write pairs of a number of calls and a time, such as [(3, 86400), (5, timedelta(days=30))]"
    try:
        pairs = [(number, span) for number, span in cast("Sequence[tuple[object, object]]", caps)]
    except (TypeError, ValueError):
        raise ConfigurationError(f"redial: caps {caps!r} are no pairs; {remedy}") from None
    for number, span in pairs:
        refuse_uncountable("redial: the calls of a cap", number)
        if not _remembered("the time of a cap", span):
            raise ConfigurationError(f"redial: a cap over no time limits nothing; {remedy}")
    return tuple((cast("int", number), _remembered("the time of a cap", span)) for number, span in pairs)


def seconds_of(time: float | timedelta) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time


def _remembered(name: str, given: object) -> float:
    seconds = _checked_seconds(name, given)
    if seconds > LONGEST_WINDOW:
        raise ConfigurationError(
            f"redial: {name} {seconds!r} is longer than calls are remembered; write at most "
            f"{LONGEST_WINDOW:.0f} seconds, 31 days"
        )
    return seconds


def _checked_seconds(name: str, given: object) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if not is_number(seconds) or not 0 <= seconds <= YEAR:
        raise ConfigurationError(
            f"redial: {name} {given!r} is no time from 0 to a year; write seconds as a number, or a timedelta"
        )
    return float(seconds)
