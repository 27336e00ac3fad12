"""Event names: one spelling, one scope."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback_catalog import CALL_EVENTS, OPERATION_EVENTS, START_FAILURES, Scope, event_name, scope_of


@pytest.mark.parametrize(
    ("received", "name"),
    [
        ("Microsoft.Communication.CallDisconnected", "CallDisconnected"),
        ("microsoft.communication.calldisconnected", "CallDisconnected"),
        (" CallDisconnected ", "CallDisconnected"),
        ("Microsoft.Communication.AnswerCallFailed", "AnswerFailed"),
        ("answercallfailed", "AnswerFailed"),
        ("AddParticipantSucceed", "AddParticipantSucceeded"),
        ("AddParticipantsFailed", "AddParticipantFailed"),
        ("CanAddParticipantFailed", "CancelAddParticipantFailed"),
        ("ParticipantUpdated", "ParticipantsUpdated"),
        ("RemoveParticipantsFailed", "RemoveParticipantFailed"),
        ("SendDtmfCompleted", "SendDtmfTonesCompleted"),
        ("SendDtmfFailed", "SendDtmfTonesFailed"),
        ("TransferFailed", "CallTransferFailed"),
        ("Microsoft.Communication.SomethingNew", "SomethingNew"),
        ("Contoso.SomethingElse", "Contoso.SomethingElse"),
        ("", ""),
    ],
)
def test_an_event_has_one_name(received: str, name: str) -> None:
    """Prefix, case and other spellings do not matter; an unknown name stays as it is."""
    assert event_name(received) == name


@settings(deadline=None)
@given(st.text() | st.sampled_from(sorted(CALL_EVENTS | OPERATION_EVENTS)).map(str.upper))
def test_a_name_keeps_its_name(text: str) -> None:
    """Reading a known name twice changes nothing more."""
    name = event_name(text)
    assert name in CALL_EVENTS | OPERATION_EVENTS or name == event_name(f"Microsoft.Communication.{text.strip()}")
    assert event_name(f"MICROSOFT.communication.{name}") == event_name(name) or name != name.strip()


@pytest.mark.parametrize(
    ("event", "scope"),
    [
        *[(event, Scope.CALL) for event in sorted(CALL_EVENTS)],
        *[(event, Scope.OPERATION) for event in sorted(OPERATION_EVENTS)],
        ("SomethingNew", Scope.OPERATION),
        ("", Scope.OPERATION),
        (None, Scope.CALL),
    ],
)
def test_five_events_end_a_call(event: str | None, scope: Scope) -> None:
    """Any other event reports on an operation; no event at all is read as the end of a call."""
    assert scope_of(event) is scope


def test_start_failures_end_calls() -> None:
    """The events that say that a call never started are among those that end one."""
    assert START_FAILURES < CALL_EVENTS
