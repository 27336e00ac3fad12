"""What a ``repr`` of a value shows: apps log values, and frameworks print them with an error."""

from __future__ import annotations

import json

import pytest

from ringback import Head, HookContext, parse_delivery
from ringback.core.delivery import Diagnostic
from ringback.core.outcome import classify_event
from ringback.stores import DeadLetter
from ringback.work.contact_call import CallRecord
from ringback.work.history import Waiting
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State

NUMBER = "+1 555 010 0100"
DETAIL = {"code": 486, "message": NUMBER}
EVENT = {
    "type": f"Call {NUMBER}",
    "id": NUMBER,
    "source": NUMBER,
    "subject": NUMBER,
    "data": {
        "callConnectionId": f"4:{NUMBER}",
        "serverCallId": NUMBER,
        "correlationId": NUMBER,
        "operationContext": NUMBER,
        "resultInformation": {"code": 486, "message": NUMBER, "sipDetails": DETAIL, "q850Details": DETAIL},
    },
}
DELIVERY = parse_delivery(json.dumps([EVENT, {"type": 5, NUMBER: NUMBER}]))
OUTCOME = classify_event(DELIVERY.events[0])
assert OUTCOME is not None
assert OUTCOME.result is not None
PROGRESS = Progress(failed={"jobs.again": f"no line to {NUMBER}"})
ITEM = Item(f"call:{NUMBER}", Kind.OUTCOME, 0.0, OUTCOME, contact="Alice")
VALUES = [
    DELIVERY,
    *DELIVERY.events,
    *DELIVERY.faults,
    OUTCOME,
    OUTCOME.event.data,
    OUTCOME.result,
    OUTCOME.sip,
    PROGRESS,
    ITEM,
    Claim(ITEM, 1, progress=PROGRESS),
    Settlement(State.DEAD, PROGRESS, reason=NUMBER, leg=NUMBER),
    DeadLetter(NUMBER, Kind.OUTCOME, OUTCOME, 1, NUMBER, 0.0, PROGRESS, contact="Alice"),
    Waiting(NUMBER, Kind.REDIAL, State.READY, 0.0, 1, OUTCOME, contact="Alice"),
    CallRecord(f"leg:{NUMBER}", 0.0, NUMBER, context=NUMBER),
    HookContext("jobs.again", f"call:{NUMBER}/jobs.again"),
    Head("POST", f"/{NUMBER}/a-secret", f"secret={NUMBER}", (("authorization", f"Bearer {NUMBER}"),)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_repr_shows_nothing_private(value: object) -> None:
    """Neither a number, wherever a sender wrote it, nor a contact, which may be a name, nor a secret of a request."""
    shown = repr(value)
    assert [each for each in ("555", "Alice", "secret", "Bearer") if each in shown] == []


def test_a_repr_shows_what_is_not_private() -> None:
    """Whoever looks for a fault knows which value stands there."""
    assert repr(Diagnostic(486, NUMBER)) == "Diagnostic(code=486, message='[phone]')"
    assert repr(ITEM) == (
        f"Item(key='call:[phone]', kind=<Kind.OUTCOME: 'outcome'>, due_at=0.0, outcome={OUTCOME!r}, "
        "contact='[contact]', target=None, number=1)"
    )
    assert repr(VALUES[-1]) == "<Head POST, 1 header fields>"
    assert repr(VALUES[-2]) == "<HookContext jobs.again, attempt 1: call:[phone]/jobs.again>"
    again = HookContext("jobs.again", "call:a/jobs.again", 2, redelivered=True)
    assert repr(again) == "<HookContext jobs.again, attempt 2, redelivered: call:a/jobs.again>"
