"""What the line of a call that has ended says: how long, answered or not, legs, redials. Pure.

The line is about one leg, as hooks are, and about what is known of the call when the end of the leg has settled. A key
without a value is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.core.times import iso_of
from ringback.privacy.redaction import open_ids, redact, redact_if_told

if TYPE_CHECKING:
    from ringback.core.outcome import Outcome
    from ringback.work.call_detail import EndedLeg


def ended_fields(outcome: Outcome, leg: EndedLeg) -> dict[str, Any]:
    """The keys of ``call.ended``, redacted."""
    outcome_id, connection, call = outcome.outcome_id, leg.call_connection_id, leg.correlation_id
    # One look at all ids. The id of an outcome that ends a leg is made of the leg's.
    if not open_ids(outcome.event.id, connection, call, None):
        outcome_id, connection, call = redact(outcome_id), redact_if_told(connection), redact_if_told(call)
    entry, result, context = outcome.verdict.entry, outcome.event.data.result_information, leg.operation_context
    fields: dict[str, Any] = {
        "outcome_id": outcome_id,
        "cause": str(entry.cause),
        "disposition": str(outcome.disposition),
        "retry_class": str(entry.retry),
        "call_connection_id": connection,
        "correlation_id": call,
        "operation_context": None if context is None else redact(context),
        "code": None if result is None else result.code,
        "subcode": None if result is None else result.subcode,
        "answered": leg.answered,
        "duration_seconds": None if leg.talk_seconds is None else round(leg.talk_seconds, 3),
        "ring_seconds": None if leg.ring_seconds is None else round(leg.ring_seconds, 3),
        "connected_at": None if leg.connected_at is None else iso_of(leg.connected_at),
        "ended_at": iso_of(leg.ended_at),
        "transferred": leg.transferred or None,
        "leg": leg.number,
        "legs": leg.legs,
        "redials": leg.redials,
    }
    return {name: value for name, value in fields.items() if value is not None}
