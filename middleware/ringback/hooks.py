"""How often a hook is tried, what it is told, and what it may say by raising. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeGuard, cast

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class HookContext:
    """What a hook may know of its call, beside the outcome. Ask for it with a second parameter, ``ctx``.

    ``idempotency_key`` is the same for every attempt of this hook for this outcome, in any
    process. ``attempt`` counts from 1. ``redelivered`` is true if an earlier attempt may have
    begun and nobody knows how far it came: its process died, or the server stopped.
    """

    hook: str
    idempotency_key: str
    attempt: int = 1
    redelivered: bool = False


class Retry(Exception):
    """Raised by a hook: not now, call me again, ``after`` seconds or a timedelta; left out, after the usual time.

    A negative ``after`` means at once, more than a year a year, and what is no number the usual time:
    a slip in a hook must not turn "call me again" into something else. In a redial function it also
    says that no call was placed.
    """

    after: float | None = None
    """Seconds. Of the class, for subclasses whose ``__init__`` does not call this one."""

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason or "the hook asked to be called again")
        self.after = _bounded(after)


class GiveUp(Exception):
    """Raised by a hook: trying again cannot help. The item becomes a dead letter with this reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the hook gave up")


@dataclass(frozen=True, slots=True)
class HookPolicy:
    """How hooks are called. Times in seconds.

    A hook is tried up to ``attempts`` times, ``backoff`` seconds after the first failure, twice as
    long after each further one, at most ``max_backoff``, and up to ``jitter`` of that longer. Each
    attempt may take ``timeout``; a sync hook that takes longer is no longer waited for, but its
    thread cannot be stopped. ``concurrency`` calls of one worker run at a time. With
    ``retry_errors`` false an exception ends the matter, and only :class:`Retry` leads to another
    attempt. Raises :class:`ConfigurationError` for numbers that cannot work.
    """

    attempts: int = 5
    backoff: float = 2.0
    max_backoff: float = 600.0
    jitter: float = 0.25
    timeout: float | None = 60.0
    concurrency: int = 16
    retry_errors: bool = True

    def __post_init__(self) -> None:
        for name in ("attempts", "concurrency"):
            count: object = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ConfigurationError(f"hooks: {name} {count!r} is no number of calls; write a whole number from 1")
        for name, most in (("backoff", _YEAR), ("max_backoff", _YEAR), ("jitter", 1.0), ("timeout", _YEAR)):
            value: object = getattr(self, name)
            if name == "timeout" and value is None:
                continue
            if not _is_number(value) or not 0 <= value <= most:
                meant = "a share of the waiting time, from 0 to 1" if name == "jitter" else "seconds, from 0 to a year"
                raise ConfigurationError(f"hooks: {name} {value!r} is out of range; write {meant}")
        if self.timeout == 0:
            raise ConfigurationError(f"hooks: timeout {self.timeout!r} lets no hook finish; give seconds, or None")
        if not isinstance(cast("object", self.retry_errors), bool):
            raise ConfigurationError(
                f"hooks: retry_errors {self.retry_errors!r} is neither True nor False; write one of them"
            )

    def retry_in(self, attempt: int, error: Exception, random: Callable[[], float]) -> float | None:
        """Seconds until a hook whose ``attempt`` raised ``error`` is called again; ``None`` to give up."""
        asked = isinstance(error, Retry)
        if attempt >= self.attempts or isinstance(error, GiveUp) or not (asked or self.retry_errors):
            return None
        after = _bounded(error.after) if isinstance(error, Retry) else None
        if after is not None:
            return after
        # Doubled no further than it matters: 2.0 ** 1024 is no float.
        usual = min(self.max_backoff, self.backoff * 2.0 ** min(attempt - 1, 64))
        return usual * (1 + self.jitter * random())


_YEAR = 366 * 86_400.0


def _bounded(after: object) -> float | None:
    """Seconds from 0 to a year; ``None`` for what is no number."""
    seconds = after.total_seconds() if isinstance(after, timedelta) else after
    # A NaN is the number that is not equal to itself.
    if not _is_number(seconds) or seconds != seconds:
        return None
    return float(min(max(0, seconds), _YEAR))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
