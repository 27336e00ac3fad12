"""Event names: one spelling, one scope."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback_catalog import (
    CALL_EVENTS,
    EVENTS,
    INSTEAD_OF,
    OPERATION_EVENTS,
    START_FAILURES,
    EventKind,
    Scope,
    event_name,
    scope_of,
)


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
        ("PlayCompletedEvent", "PlayCompleted"),
        ("Microsoft.Communication.callDisconnectedEvent", "CallDisconnected"),
        ("AddParticipantsSucceededEvent", "AddParticipantSucceeded"),
        ("CallRecordingStateChanged", "RecordingStateChanged"),
        ("SomethingNewEvent", "SomethingNewEvent"),
        ("Microsoft.Communication.SomethingNew", "SomethingNew"),
        ("Contoso.SomethingElse", "Contoso.SomethingElse"),
        ("", ""),
    ],
)
def test_an_event_has_one_name(received: str, name: str) -> None:
    """Prefix, case and other spellings do not matter; an unknown name stays as it is."""
    assert event_name(received) == name


@given(st.text() | st.sampled_from(sorted(CALL_EVENTS | OPERATION_EVENTS)).map(str.upper))
def test_a_name_keeps_its_name(text: str) -> None:
    """Reading a known name twice changes nothing more."""
    name = event_name(text)
    assert name in CALL_EVENTS | OPERATION_EVENTS or name == event_name(f"Microsoft.Communication.{text.strip()}")
    assert event_name(f"MICROSOFT.communication.{name}") == event_name(name) or name != name.strip()


def test_five_events_end_a_call() -> None:
    """Any other event reports on an operation; no event at all is read as the end of a call."""
    assert {event for event in (*CALL_EVENTS, *OPERATION_EVENTS) if scope_of(event) is Scope.CALL} == CALL_EVENTS
    assert {scope_of(event) for event in (*OPERATION_EVENTS, "SomethingNew", "")} == {Scope.OPERATION}
    assert scope_of(None) is Scope.CALL


def test_start_failures_end_calls() -> None:
    """The events that say that a call never started are among those that end one."""
    assert START_FAILURES < CALL_EVENTS


@pytest.mark.parametrize("name", sorted(name for name in EVENTS if name.endswith("Failed")))
def test_every_failure_says_what_will_not_come(name: str) -> None:
    """Except those that end the call: who waits for anything of it hears of that end."""
    row = EVENTS[name]
    assert (row.kind is EventKind.END) is (row.instead_of == ())


def test_every_event_that_may_be_replaced_is_known() -> None:
    """The table read backwards: a failure and a cancellation are never what another event comes instead of."""
    assert set(INSTEAD_OF) <= set(EVENTS)
    assert all(EVENTS[name].kind is EventKind.ANSWER for names in INSTEAD_OF.values() for name in names)
    assert not [name for name in INSTEAD_OF if name.endswith(("Failed", "Canceled"))]
    assert INSTEAD_OF["PlayCompleted"] == {"PlayCanceled", "PlayFailed"}


def test_the_python_sdk_s_events_stand_in_the_table() -> None:
    """Every model of the installed SDK that carries a result, and nothing else, is an event that carries one."""
    models = pytest.importorskip("azure.communication.callautomation._generated.models._models")
    with_result = {
        name
        for name, model in vars(models).items()
        if "resultInformation" in {each["key"] for each in getattr(model, "_attribute_map", {}).values()}
    }
    assert with_result == (CALL_EVENTS | OPERATION_EVENTS) - {"CallEnded"}
