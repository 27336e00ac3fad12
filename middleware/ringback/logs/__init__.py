"""What is written to the log? The names, the keys and the levels of the lines; structlog is imported nowhere else.

The key table is in docs/logs.md. A line goes to the app's structlog if that is configured, else to the standard
library's logger ``ringback`` if logging has a handler, else to standard output as JSON.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import islice
from logging import ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, Literal, Protocol
from weakref import WeakSet

from ringback.core.times import iso_second
from ringback.exceptions import ClockJumped, error_text
from ringback.forks import lock
from ringback.logs._delivery import MOST_LISTED, Bound, ContextFilter, bound_ids, ended_fields, level_of, received
from ringback.logs._sinks import IDS, LOGGER, configure, emit, sink, write
from ringback.privacy.redaction import redact
from ringback.work.policy import GiveUp, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.core.outcome import Outcome
    from ringback.receiving.replies import Reply
    from ringback.work.call_detail import EndedLeg

__all__ = ["IDS", "LOGGER", "Bound", "ContextFilter", "bound_ids", "configure", "level_of", "received"]


class Witness(Protocol):
    """Somebody who hears, beside the log, what functions of the app raise: a client of ``ringback.testing``."""

    def raised(
        self, function: str, error: Exception, *, outcome: Outcome | None, by: LogObserver | None, is_last: bool
    ) -> None:
        """A hook raised for ``outcome``, in the engine whose observer is ``by``; a listener has neither of the two."""


def watch(witness: Witness) -> None:
    """Tell the witness from now on, for as long as the witness lives."""
    with _watching:
        _witnesses.add(witness)


def _tell(
    function: str,
    error: Exception,
    *,
    outcome: Outcome | None = None,
    by: LogObserver | None = None,
    is_last: bool = True,
) -> None:
    with _watching:
        witnesses = list(_witnesses)
    for witness in witnesses:
        witness.raised(function, error, outcome=outcome, by=by, is_last=is_last)


_witnesses: WeakSet[Witness] = WeakSet()
_watching = lock()


def listeners_failed(faults: Iterable[tuple[str, Exception]]) -> None:
    """Write a line for every listener that raised. The engine does nothing else about a listener's error."""
    for listener, error in faults:
        _tell(listener, error)
        emit(ERROR, "listener.failed", listener=listener, error=error_text(error), raised=error)


def wait_doubtful(name: str, advice: str) -> None:
    """The app waits for an event that no SDK knows. If the app misspelt the name, the event never comes."""
    emit(WARNING, "wait.event_unknown", awaited=name, advice=advice)


def callbacks_unverified() -> None:
    """No verifier checks the senders. A door writes the line once: when the app starts, or at the first request."""
    advice = (
        "anyone who can reach the callback URL can send events; pass auth=CallbackTokenVerifier(audience=...), "
        "or auth=None to accept every sender"
    )
    emit(WARNING, "callbacks.unverified", advice=advice)


def callback_near_miss(templates: Sequence[str], status: int, *, guarded: bool) -> None:
    """A POST came to nearly the callback path; the app answered ``status``. ``guarded``: a door took the POST."""
    if not guarded:
        advice = (
            "it passed by, neither verified nor classified; if it was a callback, give path= as the app gets it, "
            "with the prefix of every mount and router, and with its last {parameter}"
        )
    elif status < 300:
        advice = "the app routes other spellings of its path, too; they are verified and classified like the path"
    else:
        advice = (
            "the app has no route for this spelling; give Microsoft the URL as the route has it, and path= likewise"
        )
    emit(WARNING, "callback.near_miss", path=", ".join(templates), status=status, guarded=guarded, advice=advice)


ByPerson = Literal[
    "dead_letter.discarded",
    "dead_letter.replayed",
    "dead_letters.discarded",
    "dead_letters.replayed",
    "dead_letters.taken_back",
    "redial.blocked",
    "redial.ended",
    "redial.hastened",
    "redial.unblocked",
    "redials.canceled",
]
"""The lines about what a person did with the work that waits."""


def done_by(person: str | None, event: ByPerson, **fields: Any) -> None:
    """A person did something with the work that waits; ``None`` for somebody whose name is not known."""
    emit(INFO, event, **fields, by=person)


def sender_disconnected() -> None:
    """A sender left before the body was complete, so the door neither answered nor called the route."""
    emit(WARNING, "delivery.interrupted", reason="the sender disconnected before the body was complete")


class Budget:
    """Allows at most ``lines`` lines in any ``seconds``, and counts the lines that the budget suppressed."""

    def __init__(self, lines: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock, self._suppressed = seconds, clock, 0
        self._written: deque[float] = deque(maxlen=lines)

    def spend(self) -> int | None:
        """How many lines the budget suppressed since the last written one; ``None`` if it suppresses this one, too."""
        now = self._clock()
        if len(self._written) == self._written.maxlen and now - self._written[0] < self._seconds:
            self._suppressed += 1
            return None
        self._written.append(now)
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed


class LogObserver:
    """Writes what became of requests, keys, outcomes and hooks. An engine has one observer, which owns the budgets."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.refusals = Budget(lines=20, seconds=10.0, clock=clock)
        self.store_faults = Budget(lines=5, seconds=10.0, clock=clock)
        self.check_faults = Budget(lines=5, seconds=10.0, clock=clock)

    def answered(self, reply: Reply) -> None:
        """A door answered a request and did not call the route. A budget limits the lines about refused senders."""
        if reply.status == 200:
            emit(INFO, "handshake.answered", delivery_schema=reply.fact)
        elif not reply.sender_refused:
            emit(WARNING, "delivery.rejected", status=reply.status, reason=reply.fact)
        elif (suppressed := self.refusals.spend()) is not None:
            emit(WARNING, "callback.rejected", status=reply.status, reason=reply.fact, suppressed=suppressed)

    def check_failed(self, check: str, error: Exception) -> None:
        """A check of the app raised, so the sender got 503. A budget limits the lines, for anybody may send."""
        if (suppressed := self.check_faults.spend()) is not None:
            emit(ERROR, "check.failed", check=check, error=error_text(error), suppressed=suppressed, raised=error)

    def keys_fetched(self, url: str, count: int) -> None:
        emit(INFO, "keys.fetched", url=url, count=count)

    def keys_unreachable(self, url: str, error: Exception, cached: int) -> None:
        emit(WARNING if cached else ERROR, "keys.unreachable", url=url, error=error_text(error), cached=cached)

    def outcomes_duplicate(self, outcomes: Sequence[Outcome]) -> None:
        first = outcomes[0]
        fields: dict[str, Any] = {"event_id": first.event_id, "event_type": first.event_type}
        if len(outcomes) > 1:
            # One line, however many outcomes of a batch come again.
            ids = dict.fromkeys(outcome.outcome_id for outcome in outcomes)
            fields.update(count=len(outcomes), outcome_ids=[redact(each) for each in islice(ids, MOST_LISTED)])
        emit(INFO, "call.outcome_duplicate", first, **fields)

    def writes_ends(self) -> Callable[[Outcome, EndedLeg], None] | None:
        to = sink()

        def call_ended(outcome: Outcome, leg: EndedLeg) -> None:
            # Each call has this line, so only those of its texts are redacted that a sender writes.
            write(to, INFO, "call.ended", ended_fields(outcome, leg))

        return call_ended if to.takes(INFO) else None

    def outcome_unhandled(self, outcome: Outcome) -> None:
        advice = "a call may be tried again and no handler asked for it; add one; this line is not repeated"
        example = "@router.on_retryable\nasync def call_again(outcome: Outcome) -> None: ..."
        emit(WARNING, "outcome.unhandled", outcome, advice=advice, example=example)

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception, attempt: int, retry_in: float | None) -> None:
        _tell(hook, error, outcome=outcome, by=self, is_last=retry_in is None)
        fields: dict[str, Any] = {"hook": hook, "error": error_text(error), "attempt": attempt}
        fields["retry_in_seconds"] = retry_in and round(retry_in, 3)
        # A hook that raises Retry or GiveUp decides, and has no fault to trace.
        decided = isinstance(error, Retry | GiveUp)
        emit(WARNING if decided else ERROR, "hook.failed", outcome, raised=None if decided else error, **fields)

    def hook_overran(self, outcome: Outcome, hook: str, seconds: float, held: int, threads: int) -> None:
        emit(WARNING, "hook.overran", outcome, hook=hook, seconds=seconds, held=held, threads=threads)

    def hooks_abandoned(self, count: int, seconds: float) -> None:
        emit(ERROR, "hooks.abandoned", count=count, timeout_seconds=seconds)

    def hooks_given_back(self, count: int, seconds: float) -> None:
        emit(WARNING, "hooks.given_back", count=count, timeout_seconds=seconds)

    def hooks_volatile(self, processes: int) -> None:
        several, fields = "", dict[str, Any]()
        if processes > 1:
            several = f", and {processes} processes serve the app, each with hooks of its own"
            fields["processes"] = processes
        advice = (
            "outcomes wait for their hooks in the memory of this process, so a crash loses what waits, and a call's "
            f"hooks run once in this process alone{several}; pass store='sqlite:///ringback.db' to keep outcomes, for "
            "all processes that share the file"
        )
        emit(WARNING, "hooks.volatile", advice=advice, **fields)

    def lifespan_missing(self, *, durable: bool) -> None:
        ended = "a hook that is running runs again" if durable else "what waits in memory is lost"
        advice = (
            f"nobody announced the app's start, so nothing was worked on before this delivery, and {ended} if a signal "
            "ends the process; pass lifespan=router.lifespan to the outermost app, or await router.start() and "
            "router.drain()"
        )
        emit(WARNING, "lifespan.missing", advice=advice)

    def lease_lost(self, outcome: Outcome) -> None:
        emit(WARNING, "hook.lease_lost", outcome)

    def loop_blocked(self, hook: str | None, seconds: float) -> None:
        advice = "nothing of the app goes on meanwhile; let what blocks be a plain def, which runs in a thread"
        emit(WARNING, "loop.blocked", hook=hook, seconds=round(seconds, 3), advice=advice)

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None:
        emit(INFO, "redial.scheduled", outcome, attempt=number, due_at=iso_second(at))

    def redial_put_off(self, outcome: Outcome, at: float, number: int) -> None:
        emit(INFO, "redial.put_off", outcome, attempt=number, due_at=iso_second(at))

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None:
        emit(WARNING, "redial.exhausted", outcome, limit=limit)

    def redial_skipped(self, outcome: Outcome, reason: str) -> None:
        emit(INFO, "redial.skipped", outcome, retry_action=outcome.retry_action.value, reason=reason)

    def redial_canceled(self, outcome: Outcome) -> None:
        emit(INFO, "redial.canceled", outcome)

    def redials_paused(self, outcome: Outcome, seconds: float) -> None:
        emit(WARNING, "redials.paused", outcome, retry_in_seconds=round(seconds, 3))

    def redial_placed(self, outcome: Outcome, number: int, leg: str | None) -> None:
        emit(INFO, "redial.placed", outcome, attempt=number, placed_call_connection_id=leg)

    def redial_zone_unset(self, redial: str) -> None:
        advice = (
            "hours and days of its contacts are read as UTC; pass time_zone='Europe/Berlin' or a function of the "
            "outcome to redial(), time_zone='UTC' if UTC is meant, or hours=None to the policy to call at any hour"
        )
        emit(WARNING, "redial.zone_unset", hook=redial, advice=advice)

    def redial_unknown(self, outcome: Outcome, number: int, reason: str) -> None:
        emit(WARNING, "redial.unknown", outcome, attempt=number, reason=reason)

    def store_unavailable(self, error: Exception) -> None:
        if isinstance(error, ClockJumped):
            emit(WARNING, "clock.jumped", seconds=round(error.seconds, 1), count=error.count)
        elif (suppressed := self.store_faults.spend()) is not None:
            emit(ERROR, "store.unavailable", error=error_text(error), suppressed=suppressed)

    def store_bypassed(self, count: int) -> None:
        emit(ERROR, "store.bypassed", count=count)
