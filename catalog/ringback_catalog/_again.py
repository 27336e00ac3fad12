"""What the app is to make again after an event, and how long to wait before it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RetryAction(StrEnum):
    """What the app is to make again: a retryable outcome does not mean "dial again" by itself.

    ``place_call`` dials again, ``connect_call`` sends the same connect request again, ``repeat_operation`` sends an
    operation again while the call is up. ``call_back`` stands for an inbound call: whether to dial the caller is a
    person's decision. A terminal outcome has ``none``.
    """

    PLACE_CALL = "place_call"
    CONNECT_CALL = "connect_call"
    CALL_BACK = "call_back"
    REPEAT_OPERATION = "repeat_operation"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """How long a row's sources advise to wait: at least ``seconds``, and every further wait ``factor`` times the last.

    The source is the document behind the row's advice. Raises :class:`ValueError` for numbers that are no wait.
    """

    seconds: int
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= LONGEST:
            raise ValueError(f"seconds {self.seconds} is no wait; write whole seconds from 1 to {LONGEST} (a week)")
        if not 1 <= self.factor <= STEEPEST:
            raise ValueError(f"factor {self.factor} is no growth; write a number from 1 (the same wait) to {STEEPEST}")

    def __str__(self) -> str:
        """The wait in words: ``10 minutes``, or ``10 minutes, then 2 times as long each time``."""
        unit, length = next(row for row in _UNITS if self.seconds % row[1] == 0)
        count = self.seconds // length
        grows = "" if self.factor == 1 else f", then {self.factor:g} times as long each time"
        return f"{count} {unit}{'' if count == 1 else 's'}{grows}"

    def to_dict(self) -> dict[str, float]:
        return {"seconds": self.seconds, "factor": self.factor}


LONGEST = 7 * 24 * 3600
STEEPEST = 10


_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))

# What the app is to make again after a retryable event, unless the row says otherwise. An event that is not listed
# reports on an operation. No event at all means the end of a call that the app placed.
_BY_EVENT: dict[str | None, RetryAction] = {
    None: RetryAction.PLACE_CALL,
    "AnswerFailed": RetryAction.CALL_BACK,
    "CallDisconnected": RetryAction.PLACE_CALL,
    "CallEnded": RetryAction.PLACE_CALL,
    "ConnectFailed": RetryAction.CONNECT_CALL,
    "CreateCallFailed": RetryAction.PLACE_CALL,
}

# The events of inbound and outbound calls alike: here an inbound subcode means that the other side had called.
_EITHER_WAY = frozenset({None, "CallDisconnected", "CallEnded"})

# Microsoft's subcodes of the inbound leg of a phone call: 540ZZZ with a SIP status, and 549xxx, which the pages of
# Teams direct routing list for the messages of an incoming call.
_INBOUND = (540, 549)


def action_after(event: str | None, subcode: int | None) -> RetryAction:
    """What the app is to make again after an event, given by its short name, without regard to any row."""
    if event in _EITHER_WAY and subcode is not None and subcode // 1000 in _INBOUND:
        return RetryAction.CALL_BACK
    return _BY_EVENT.get(event, RetryAction.REPEAT_OPERATION)
