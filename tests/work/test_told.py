"""What one event tells of its call is kept, and nothing else of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ringback.core.delivery import Diagnostic, Event, EventData, Result, digest_of
from ringback.work.told import Told, is_noted, told_by

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-00000000000c"


@pytest.mark.parametrize(
    ("event", "noted"),
    [
        ("Microsoft.Communication.CallConnected", True),
        ("Microsoft.Communication.IncomingCall", True),
        ("Microsoft.Communication.CallStarted", True),
        ("Microsoft.Communication.CallTransferAccepted", True),
        ("Microsoft.Communication.PlayFailed", True),
        ("Microsoft.Communication.SomethingNewFailed", True),
        ("microsoft.communication.callconnected", True),
        ("Microsoft.Communication.CallDisconnected", False),
        ("Microsoft.Communication.CreateCallFailed", False),
        ("Microsoft.Communication.AnswerCallFailed", False),
        ("Microsoft.Communication.PlayCompleted", False),
        ("Microsoft.Communication.ParticipantsUpdated", False),
        ("com.example.Anything", False),
    ],
)
def test_what_is_noted(event: str, noted: bool) -> None:
    """That a call began, went on or was transferred, and failures; ends are in the items, and the rest is no news."""
    assert is_noted(event) is noted


def test_what_an_event_tells() -> None:
    """Names, times, ids and numbers: no text of the service, and of the server call id a digest."""
    told = told_by(
        Event(
            type="Microsoft.Communication.PlayFailed",
            id="event-1",
            source="calling/+15550100",
            subject="+15550100",
            time="2026-01-15T09:30:02.5000001Z",
            data=EventData(
                call_connection_id=LEG,
                server_call_id="server +15550100",
                correlation_id=CALL,
                operation_context="order-1",
                result_information=Result(486, 560486, "+15550100", Diagnostic(486, "+15550100"), Diagnostic(17)),
            ),
        ),
        1_768_469_402.98765,
        "sip",
        "event:1",
    )
    assert told == Told(
        "PlayFailed",
        1_768_469_402.988,
        datetime(2026, 1, 15, 9, 30, 2, 500_000, UTC).timestamp(),
        "event-1",
        LEG,
        CALL,
        digest_of("server +15550100"),
        "order-1",
        486,
        560486,
        486,
        17,
        "sip",
        "event:1",
    )
    assert told.happened_at == told.time


def test_an_event_that_tells_little() -> None:
    """It has no time of its own, so the door's counts; numbers that no event carries are left out; ids are cut."""
    event = Event(
        type="PlayFailed", data=EventData(operation_context="x" * 300, result_information=Result(2**40, None))
    )
    told = told_by(event, 5.0)
    assert (told.time, told.happened_at, told.code) == (None, 5.0, None)
    assert told.context is not None
    assert len(told.context) <= 255
