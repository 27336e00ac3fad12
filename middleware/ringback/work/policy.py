"""How often a hook is tried, what a hook gets beside the outcome, and what a hook says by raising. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact
from ringback.settings import is_number, refuse_no_flag

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class HookContext:
    """What a hook gets beside the outcome, if the hook has a second parameter ``ctx``.

    ``hook`` is the name of the hook. ``idempotency_key`` is the same for every attempt of this hook at this outcome, in
    any process. ``attempt`` counts from 1. ``redelivered`` is true if an earlier attempt may have begun and did not
    end: the process died, the server stopped, or a sync hook overran its time-out and may still run somewhere.
    """

    hook: str
    idempotency_key: str
    attempt: int = 1
    redelivered: bool = False

    def __repr__(self) -> str:
        # A repr ends up in logs, and the key has an id that a sender chose.
        key, again = redact(self.idempotency_key), ", redelivered" if self.redelivered else ""
        return f"<HookContext {self.hook}, attempt {self.attempt}{again}: {key}>"


class Retry(Exception):
    """A hook raises this to be called again after ``after``, in seconds or as a timedelta; else after the usual time.

    A negative ``after`` means at once, more than a year means a year, and anything but a number means the usual time:
    a slip in a hook must not turn "call me again" into something else. A redial function that raises ``Retry`` also
    says that it placed no call.
    """

    after: float | None = None
    """Seconds. The class has this default for subclasses whose ``__init__`` does not call ``Retry.__init__``."""

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason or "the hook asked to be called again")
        # Who raises Retry(60) means a minute, and would be called again after two seconds.
        self.after = _bounded(reason if after is None else after)


class GiveUp(Exception):
    """A hook raises this when another attempt cannot help. The item becomes a dead letter with this reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the hook gave up")


@dataclass(frozen=True, slots=True)
class HookPolicy:
    """How hooks are called. Times in seconds.

    A hook is tried up to ``attempts`` times. The first retry waits ``backoff``, and each further retry twice as long,
    at most ``max_backoff``; a random share of up to ``jitter`` is added to the wait. One attempt may take ``timeout``.
    The worker stops waiting for a sync hook that takes longer, but cannot stop the hook, which keeps its thread until
    it returns. One worker works on ``concurrency`` items at a time. At most ``threads`` sync hooks run at once, by
    default as many as ``concurrency``, because an item calls one hook at a time; where hooks are sync, fewer threads
    mean fewer items. With ``retry_errors`` false only :class:`Retry` leads to another attempt. Raises
    :class:`ConfigurationError` for numbers that cannot work.
    """

    attempts: int = 5
    backoff: float = 2.0
    max_backoff: float = 600.0
    jitter: float = 0.25
    timeout: float | None = 60.0
    concurrency: int = 16
    retry_errors: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("attempts", "concurrency", "threads"):
            if name != "threads" or self.threads is not None:
                refuse_uncountable(f"hooks: {name}", getattr(self, name))
        for name, most in (("backoff", YEAR), ("max_backoff", YEAR), ("jitter", 1.0), ("timeout", YEAR)):
            value: object = getattr(self, name)
            if name == "timeout" and value is None:
                continue
            if not is_number(value) or not 0 <= value <= most:
                meant = "a share of the waiting time, from 0 to 1" if name == "jitter" else "seconds, from 0 to a year"
                raise ConfigurationError(f"hooks: {name} {value!r} is out of range; write {meant}")
        if self.timeout == 0:
            raise ConfigurationError(f"hooks: timeout {self.timeout!r} lets no hook finish; give seconds, or None")
        refuse_no_flag("hooks: retry_errors", self.retry_errors)

    def retry_in(self, attempt: int, error: Exception, random: Callable[[], float]) -> float | None:
        """Seconds until a hook whose ``attempt`` raised ``error`` is called again; ``None`` if the hook is given up.

        ``random`` returns a number from 0 up to 1.
        """
        asked = isinstance(error, Retry)
        if attempt >= self.attempts or isinstance(error, GiveUp) or not (asked or self.retry_errors):
            return None
        after = _bounded(error.after) if isinstance(error, Retry) else None
        if after is not None:
            return after
        # The growth stops at 64, because 2.0 ** 1024 is no float.
        usual = min(self.max_backoff, self.backoff * 2.0 ** min(attempt - 1, 64))
        return usual * (1 + self.jitter * random())


YEAR = 366 * 86_400.0
"""Seconds of the longest time that a policy takes."""


def refuse_uncountable(name: str, count: object) -> None:
    """Raises :class:`ConfigurationError` unless ``count`` is a whole number from 1."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(f"{name} {count!r} is no number of calls; write a whole number from 1")


def _bounded(after: object) -> float | None:
    """``after`` in seconds, from 0 to a year; ``None`` if ``after`` is no number."""
    seconds = after.total_seconds() if isinstance(after, timedelta) else after
    # Only a NaN differs from itself.
    if not is_number(seconds) or seconds != seconds:
        return None
    return float(min(max(0, seconds), YEAR))
