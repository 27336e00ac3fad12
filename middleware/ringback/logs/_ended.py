"""What the line of a call that has ended says: how long, answered or not, legs, redials. Pure.

The line is about one leg, as hooks are, and about what is known of the call when the end of the leg has settled. A key
without a value is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.privacy.redaction import redact, redact_if_told
from ringback.work.call_json import iso

if TYPE_CHECKING:
    from ringback.core.outcome import Outcome
    from ringback.work.call_detail import EndedLeg


def ended_fields(outcome: Outcome, leg: EndedLeg) -> dict[str, Any]:
    """The keys of ``call.ended``, redacted."""
    entry = outcome.verdict.entry
    fields: dict[str, Any] = {
        "outcome_id": redact(outcome.outcome_id),
        "cause": entry.cause.value,
        "disposition": outcome.disposition.value,
        "retry_class": entry.retry.value,
        "call_connection_id": redact_if_told(leg.call_connection_id),
        "correlation_id": redact_if_told(leg.correlation_id),
        "operation_context": redact_if_told(leg.operation_context),
        "code": outcome.code,
        "subcode": outcome.subcode,
        "answered": leg.answered,
        "duration_seconds": _rounded(leg.talk_seconds),
        "ring_seconds": _rounded(leg.ring_seconds),
        "connected_at": None if leg.connected_at is None else iso(leg.connected_at),
        "ended_at": iso(leg.ended_at),
        "transferred": leg.transferred or None,
        "leg": leg.number,
        "legs": leg.legs,
        "redials": leg.redials,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _rounded(seconds: float | None) -> float | None:
    """Seconds to the millisecond."""
    return None if seconds is None else round(seconds, 3)
