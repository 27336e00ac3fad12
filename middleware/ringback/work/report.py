"""What one event reports of the contact of its call: an answer, or an end and what it says of further calls. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.work.keys import short
from ringback_catalog import START_FAILURES, Cause, RetryAction, RetryClass, action_after

if TYPE_CHECKING:
    from ringback.core.outcome import Outcome

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
    may have rung; ``None`` if that event does not tell. ``cause`` is the cause of an end.
    """

    name: str
    leg: str | None
    context: str | None
    connected: bool
    word: Word | None
    counts: bool
    rung: bool | None = True
    cause: str | None = None


def report_of(outcome: Outcome) -> Report | None:
    """The report of an outcome; ``None`` for an event that neither answers nor ends a call to a contact."""
    connected = outcome.event_name == CONNECTED
    if not connected and (not outcome.ends_call or outcome.unexplained):
        return None
    word = None if connected else _word(outcome)
    # A contact whose own call was not answered had not been called.
    called = connected or word is not None
    leg, context = outcome.call_connection_id, outcome.operation_context
    return Report(
        name=short(f"leg:{leg or outcome.outcome_id}"),
        leg=short(leg),
        context=short(context),
        connected=connected,
        word=word,
        counts=called or action_after(outcome.event_name, outcome.subcode) is RetryAction.PLACE_CALL,
        rung=_rung(outcome),
        cause=None if connected else outcome.cause.value,
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
