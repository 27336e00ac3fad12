"""Reports of what has become of a call to a contact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import classify_event
from ringback.work.contact_call import Report, report_of

if TYPE_CHECKING:
    from ringback import Outcome

NOW = 1_700_000_000.0
DAY = 86_400.0

BUSY, DECLINED, HUNG_UP, MISSED = (486, 560486), (603, 560603), (200, 560000), (487, 10004)


def outcome(
    leg: str | None, result: tuple[int, int], name: str = "CallDisconnected", context: str | None = None
) -> Outcome:
    data = EventData(call_connection_id=leg, operation_context=context, result_information=Result(*result))
    classified = classify_event(Event(type=f"Microsoft.Communication.{name}", id=f"{name}-{leg}", data=data))
    assert classified is not None
    return classified


def report(
    leg: str | None, result: tuple[int, int] = BUSY, name: str = "CallDisconnected", context: str | None = None
) -> Report:
    found = report_of(outcome(leg, result, name, context))
    assert found is not None
    return found


def answered(leg: str, context: str | None = None) -> Report:
    return report(leg, (200, 0), "CallConnected", context)
