"""One call to a contact: what its events report, and what that makes of its state. Pure. Times are UTC seconds."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ringback.privacy.redaction import Shown
from ringback.work.keys import short
from ringback_catalog import START_FAILURES, Cause, RetryAction, RetryClass, action_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.core.outcome import Outcome

UNSEEN = 600.0
"""Seconds for which a call may be under way although no event of the call has come: longer than any call rings."""

LONGEST_CALL = 12 * 3600.0
"""Seconds after which a connected call that never reports its end no longer counts as in progress."""

LONGEST_WINDOW = 31 * 86_400.0
"""Seconds of the longest window of a policy. Stores remember calls for :data:`ringback.work.items.REMEMBER_CALLS`."""


NOT_RUNG = (Cause.THROTTLED, Cause.SERVICE_ERROR)
"""The causes of attempts that may never have left the service."""

CONNECTED = "CallConnected"
"""The event of a contact who has answered."""


class Word(StrEnum):
    """What the end of a call says of further calls to the contact; the later in this list, the stricter."""

    ASKS = "asks"
    """Another call may be placed."""
    STOPPED = "stopped"
    """The call has failed in a way that no further call mends, or was canceled by the app."""
    REACHED = "reached"
    """The contact has answered."""
    BLOCKED = "blocked"
    """A network blocks the calls."""
    REFUSED = "refused"
    """The person or the number says no: the retry class ``never``."""


FINAL = (Word.BLOCKED, Word.REFUSED)
"""The words that no other report of the same end takes back."""


class Report(Struct, frozen=True):
    """What one event reports of a contact: a call was answered or has ended.

    ``name`` is the key of the call unless a redial placed the call. ``word`` is what an end says of further calls;
    ``None`` if it says nothing. ``counts`` says that the app had called the contact. ``rung`` says whether the call
    may have rung; ``None`` if that event does not tell. ``cause`` is the cause of an end. ``sent_at`` is the time that
    the event itself tells: the event may come hours later, as after an outage.
    """

    name: str
    leg: str | None
    context: str | None
    connected: bool
    word: Word | None
    counts: bool
    rung: bool | None = True
    cause: str | None = None
    sent_at: float | None = None


def report_of(outcome: Outcome) -> Report | None:
    """The report of an outcome; ``None`` for an event that neither answers nor ends a call to a contact."""
    connected = outcome.event_name == CONNECTED
    if not connected and (not outcome.ends_call or outcome.unexplained):
        return None
    word = None if connected else _word(outcome)
    # A contact whose own call was not answered had not been called.
    called = connected or word is not None
    leg, context, sent = outcome.call_connection_id, outcome.operation_context, outcome.occurred_at
    return Report(
        name=short(f"leg:{leg or outcome.outcome_id}"),
        leg=short(leg),
        context=short(context),
        connected=connected,
        word=word,
        counts=called or action_after(outcome.event_name, outcome.subcode) is RetryAction.PLACE_CALL,
        rung=_rung(outcome),
        cause=None if connected else outcome.cause.value,
        sent_at=None if sent is None else sent.timestamp(),
    )


def _rung(outcome: Outcome) -> bool | None:
    """Whether the call may have rung. The service fails some calls before it has asked any network for them."""
    if outcome.cause not in NOT_RUNG or outcome.sip is not None or outcome.q850 is not None:
        return True
    return False if outcome.event_name in START_FAILURES else None


def _word(outcome: Outcome) -> Word | None:
    if outcome.retryable:
        return Word.ASKS if outcome.retry_action is RetryAction.PLACE_CALL else None
    if outcome.cause is Cause.CANCELED:
        return Word.STOPPED
    if outcome.cause is Cause.BLOCKED:
        return Word.BLOCKED
    if outcome.retry_class is RetryClass.NEVER:
        return Word.REFUSED
    if outcome.retry_class is RetryClass.NONE:
        return Word.REACHED
    return Word.STOPPED


class CallState(StrEnum):
    """What is known of one call to a contact."""

    PLANNED = "planned"
    """A redial that waits for its time."""
    PLACING = "placing"
    """The redial function was called, and has not returned: the call may have been placed."""
    UNKNOWN = "unknown"
    """The redial function has failed, and nobody can say whether the call was placed."""
    PLACED = "placed"
    """The redial function has returned, and no event of the call has come."""
    CONNECTED = "connected"
    OPEN = "open"
    """The call has ended, and nobody has decided yet whether a redial follows."""
    ENDED = "ended"
    CANCELED = "canceled"
    """A redial that placed no call, and does not count."""
    NOT_OURS = "not_ours"
    """The app has not called the contact: the contact had called and nobody answered, or ``connect_call`` has failed.
    Such a call does not count."""


class CallRecord(Shown, frozen=True, omit_defaults=True):
    """A call that was placed or is to be placed at ``at``, answered at ``answered_at``, and ended at ``ended_at``.

    ``leg`` is its call connection id, and ``context`` the operation context that Ringback offered for the call, where
    they are known. ``word`` is the strictest word of the reports of its end, until somebody decides, and ``cause`` says
    why the call ended. ``unrung`` says that the call has failed before anything can have rung. ``gave_up`` is the limit
    of the policy that forbade the redial of this call, or this redial.
    """

    key: str
    at: float
    leg: str | None = None
    state: CallState = CallState.ENDED
    ended_at: float | None = None
    context: str | None = None
    answered_at: float | None = None
    word: Word | None = None
    unrung: bool = False
    cause: str | None = None
    gave_up: str | None = None

    @property
    def by_app(self) -> bool:
        """Whether the app has placed the call by itself: no redial has told of the call."""
        return self.key.startswith("leg:")

    @property
    def last(self) -> float:
        """The last time that is known of the call."""
        return max(self.at, self.answered_at or 0.0, self.ended_at or 0.0)

    def after(self, report: Report, at: float, *, late: bool) -> CallRecord:
        """The record after a report. ``late``: hooks have the end already, and the report decides nothing more."""
        if report.connected:
            state = CallState.CONNECTED if self.ended_at is None else self.state
            return replace(self, state=state, answered_at=at if self.answered_at is None else self.answered_at)
        if self.ended_at is None:
            state = CallState.OPEN if report.word is Word.ASKS and not late else self.state
            if state is not CallState.OPEN and state is not CallState.NOT_OURS:
                state = CallState.ENDED
            return replace(self, state=state, ended_at=at, word=report.word, cause=report.cause)
        if late and report.word not in FINAL:
            return self
        state = CallState.OPEN if report.word is Word.ASKS else self.state
        word, ended_at = _stricter(self.word, report.word), min(at, self.ended_at)
        cause = self.cause if word is self.word else report.cause
        return replace(self, state=state, ended_at=ended_at, word=word, cause=cause)

    def says(self) -> Iterator[tuple[Word, float]]:
        """What speaks against calls to the contact, and since when."""
        # The end of a conversation may say that the conversation was lost.
        if self.answered_at is not None and self.word is not Word.ASKS:
            yield Word.REACHED, self.answered_at
        if self.word is not None and self.word is not Word.ASKS and self.ended_at is not None:
            yield self.word, self.ended_at


class PastCall(NamedTuple):
    """A call to a contact, for the redial function: when it was placed, answered and ended, as far as that is known."""

    at: float
    answered_at: float | None
    ended_at: float | None
    is_redial: bool


def _stricter(one: Word | None, other: Word | None) -> Word | None:
    words = [word for word in Word if word in (one, other)]
    return words[-1] if words else None


LASTS = {CallState.UNKNOWN: UNSEEN, CallState.PLACED: UNSEEN, CallState.CONNECTED: LONGEST_CALL}
"""Seconds for which a call in this state counts as in progress."""

UNCOUNTED = (CallState.CANCELED, CallState.NOT_OURS)
"""The states of a call that no limit of a policy counts."""

UNPLACED = (*UNCOUNTED, CallState.PLANNED)
"""The states of a call that the app has not placed."""
