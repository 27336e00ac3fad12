"""Event Grid's events in both schemas, against the documented bodies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ringback import ConfigurationError, classify_event, parse_delivery
from ringback.testing import (
    Call,
    call_connected,
    call_ended,
    call_participant_added,
    call_participant_removed,
    call_started,
    delivery,
    grid_event,
    grid_headers,
    incoming_call,
    recording_file_status_updated,
    subscription_validation,
    webhook_validation,
)
from ringback.testing.grid import USER, is_grid_event

PAYLOADS = Path(__file__).parents[1] / "payloads"
CALL = Call.seeded(1, callee="8:acs:a_b", caller="8:acs:a_c")
CONTEXT = {
    "sipHeaders": {"userToUser": "6f72646572;encoding=hex", "X-MS-Custom-order": "1"},
    "voipHeaders": {"customHeader": "customValue"},
}


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


DOCUMENTED = {
    "eg-callended-no-reason": call_ended(call=CALL),
    "eg-callended-reason": call_ended(603, call=CALL),
    "eg-callparticipantadded": call_participant_added(call=CALL),
    "eg-callparticipantremoved": call_participant_removed(call=CALL),
    "eg-callstarted": call_started(call=CALL),
    "eg-incomingcall": incoming_call(call=CALL),
    "eg-incomingcall-cloudevent": incoming_call(call=CALL, custom_context=CONTEXT, schema="cloudevents"),
    "eg-recordingfilestatusupdated": recording_file_status_updated(call=CALL),
    "eg-subscriptionvalidation": subscription_validation(),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_an_event_has_the_shape_of_the_documented_body(name: str) -> None:
    """Key for key, nested, as the body that is posted."""
    posted = json.loads(delivery(DOCUMENTED[name]))
    assert shape(posted) == shape(json.loads((PAYLOADS / f"{name}.json").read_bytes()))


MADE = [
    call_ended,
    call_participant_added,
    call_participant_removed,
    call_started,
    incoming_call,
    recording_file_status_updated,
]


@pytest.mark.parametrize("build", MADE, ids=lambda each: each.__name__)
def test_both_schemas_say_the_same(build: Any) -> None:
    """They differ in the envelope; without a call each event has one of its own."""
    given = {"event_id": "e-1", "time": datetime(2026, 1, 2, tzinfo=UTC)}
    own = build(call=Call.seeded(2), **given)
    cloud = build(call=Call.seeded(2), schema="cloudevents", **given)
    assert own["data"] == cloud["data"]
    assert (own["id"], own["topic"], own["eventType"], own["eventTime"]) == (
        cloud["id"],
        cloud["source"],
        cloud["type"],
        cloud["time"],
    )
    assert cloud["time"] == "2026-01-02T00:00:00.0000007Z"
    assert build()["id"] != build()["id"]


def test_ends_without_a_reason_are_no_outcome_and_others_are() -> None:
    """As the documentation prints it, CallEnded says nothing of why."""
    reasons = [
        classify_event(parse_delivery(delivery(event)).events[0])
        for event in (call_ended(486, 560486), call_ended(486, 560486, message="m"), call_ended())
    ]
    assert [(each.cause, each.message) for each in reasons if each] == [
        ("busy", "Busy Here. DiagCode: 486#560486.@"),
        ("busy", "m"),
        ("unreported", None),
    ]


def test_telephones_do_not_appear_where_event_grid_has_none() -> None:
    """Its voice events tell of users only, except that somebody calls."""
    call = Call.seeded(3)
    assert call_started(call=call)["data"]["startedBy"]["communicationIdentifier"]["rawId"] == USER
    assert incoming_call(call=call)["data"]["from"]["phoneNumber"] == {"value": call.caller}


def test_any_type_can_be_built() -> None:
    """A full name stays as it is; a schema that is none is refused."""
    event = grid_event("Microsoft.Storage.BlobCreated", {"url": "u"}, subject="s")
    assert (event["eventType"], event["subject"], event["data"]) == ("Microsoft.Storage.BlobCreated", "s", {"url": "u"})
    with pytest.raises(ConfigurationError, match="schema 'cloud' is unknown"):
        grid_event("CallStarted", {}, schema="cloud")  # type: ignore[arg-type]


def test_headers_say_what_is_delivered() -> None:
    """A validation, or a notification in one of the two content types."""
    assert grid_headers(subscription_validation()) == {
        "content-type": "application/json; charset=utf-8",
        "aeg-event-type": "SubscriptionValidation",
        "aeg-subscription-name": "RINGBACK-TESTS",
        "aeg-delivery-count": "0",
    }
    assert grid_headers(incoming_call(schema="cloudevents"), subscription="S", deliveries=2) == {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "aeg-event-type": "Notification",
        "aeg-subscription-name": "S",
        "aeg-delivery-count": "2",
    }
    assert webhook_validation("o.example.com")["webhook-request-origin"] == "o.example.com"


def test_event_grids_events_are_told_from_call_automations() -> None:
    """By their envelope: both may reach one path."""
    events = [incoming_call(), incoming_call(schema="cloudevents"), call_connected(), {}]
    assert [is_grid_event(each) for each in events] == [True, True, False, False]
