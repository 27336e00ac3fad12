"""What a policy of redials may say: delays, attempts, hours and rests; its checks at the start. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from ringback.exceptions import ConfigurationError
from ringback.settings import is_number
from ringback.work.policy import YEAR, refuse_uncountable
from ringback_catalog import Cause, RetryAction, RetryAfter

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    these hours waits for their end.

    A contact that has answered a call gets no redial for other calls that end within ``rest_after_answer`` of the
    answer, and a contact that has refused a call none within ``rest_after_refusal``, by default the window. Raises
    :class:`ConfigurationError` for settings that cannot work, for a window or a rest longer than 31 days, and for times
    longer than a year.
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
    rest_after_answer: float | timedelta = 3600.0
    rest_after_refusal: float | timedelta | None = None

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
        for name in ("backoff", "max_backoff", "window", "rest_after_answer"):
            object.__setattr__(self, name, _checked_seconds(name, getattr(self, name)))
        if self.rest_after_refusal is not None:
            rest = _checked_seconds("rest_after_refusal", self.rest_after_refusal)
            object.__setattr__(self, "rest_after_refusal", rest)
        for name in ("window", "rest_after_answer", "rest_after_refusal"):
            seconds: float | None = getattr(self, name)
            if seconds is not None and seconds > LONGEST_WINDOW:
                raise ConfigurationError(
                    f"redial: {name} {seconds!r} is longer than calls are remembered; write at most "
                    f"{LONGEST_WINDOW:.0f} seconds, 31 days"
                )
        if not self.window:
            raise ConfigurationError("redial: window 0 limits nothing; write how long a call counts, such as 86400")
        object.__setattr__(self, "delays", MappingProxyType(_delays(self.delays)))
        if self.quiet_hours is not None:
            object.__setattr__(self, "quiet_hours", quiet_hours_of(self.quiet_hours))

    def delay(self, cause: Cause, redials: int, advised: RetryAfter | None = None) -> float:
        """Seconds from the end of a call with this cause to its redial. ``redials`` counts the redials before this one.

        ``advised`` is the outcome's ``retry_after``.
        """
        own = self.delays.get(cause)
        if own is not None:
            return seconds_of(own)
        usual = DELAYS.get(cause)
        if usual is not None and advised is None:
            return usual
        longest = seconds_of(self.max_backoff)
        backoff = 0.0 if usual is not None else min(longest, _grown(seconds_of(self.backoff), 2.0, redials))
        if advised is None:
            return backoff
        # `max_backoff` bounds the growth of the advised wait, and not the advised wait itself.
        return max(backoff, advised.seconds, min(longest, _grown(advised.seconds, advised.factor, redials)))

    def made(self, calls: Sequence[float], now: float) -> int:
        """How many of the calls count at ``now``. The call that asks for a redial counts, whenever it began."""
        return max(1, sum(at > now - seconds_of(self.window) for at in calls))

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


def quiet_hours_of(hours: object) -> tuple[time, time]:
    remedy = "write a pair of different times such as ('21:00', '08:00')"
    given = cast("Sequence[object]", hours) if isinstance(hours, tuple | list) else ()
    try:
        start, end = (hour if isinstance(hour, time) else time.fromisoformat(cast("str", hour)) for hour in given)
    except (TypeError, ValueError):
        raise ConfigurationError(f"redial: quiet_hours {hours!r} is no pair of times of day; {remedy}") from None
    if start.tzinfo is not None or end.tzinfo is not None or start == end:
        raise ConfigurationError(f"redial: quiet_hours {hours!r} are equal or have a time zone; {remedy}")
    return start, end


def seconds_of(time: float | timedelta) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time


def _checked_seconds(name: str, given: object) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if not is_number(seconds) or not 0 <= seconds <= YEAR:
        raise ConfigurationError(
            f"redial: {name} {given!r} is no time from 0 to a year; write seconds as a number, or a timedelta"
        )
    return float(seconds)
