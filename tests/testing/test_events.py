"""Builders of Call Automation events, against the recorded deliveries and the catalog's list of types."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import ringback.testing
from ringback import ConfigurationError, classify_event, parse_delivery
from ringback.testing import (
    Builder,
    Call,
    CallEvents,
    add_participant_failed,
    add_participant_succeeded,
    batch,
    call_connected,
    call_disconnected,
    call_ended,
    call_event,
    create_call_failed,
    delivery,
    failed_call,
    identifier,
    incoming_call,
    media_streaming_started,
    old_api,
    play_completed,
    play_failed,
    play_started,
    recognize_completed,
    recognize_failed,
    recording_state_changed,
    redelivered,
    rejected_call,
    remove_participant_succeeded,
)
from ringback.testing.bound import BOUND
from ringback_catalog import CALL_EVENTS, OPERATION_EVENTS, Disposition

PAYLOADS = Path(__file__).parents[1] / "payloads"
BUILDERS = {name: each for name, each in vars(ringback.testing).items() if isinstance(each, Builder)}
USER = "8:acs:4c2b5e1f-0000-4000-8000-000000000001_5d3a4f10-0000-4000-8000-000000000009"
CALL = Call.seeded(1, callee=USER, caller=USER)
SET = Call.seeded(2, callee=USER, caller=USER, operation_context="order-1")


def shape(value: Any) -> Any:
    """A value's keys, nested, with the types of its leaves."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


RECORDED = {
    # Documented as a fragment that leaves the participant out; the SDK's model has it.
    "addparticipantfailed-408-10057": [
        add_participant_failed(call=CALL, operation_context="add-agent", participant=None)
    ],
    "callconnected-2024-04-15": old_api(call_connected(call=CALL)),
    "calldisconnected-200-560000-data-only": call_disconnected(call=SET)["data"],
    "calldisconnected-603-0": [call_disconnected(603, 0, call=SET)],
    "calldisconnected-no-result-2023": [old_api(version=None)],
    "calldisconnected-no-result-2024-04-15": old_api(),
    "calldisconnected-no-result-2024-06-15-preview": [
        old_api(call_disconnected(call=SET), version="2024-06-15-preview")
    ],
    "createcallfailed-603-0": [create_call_failed(603, 0, call=SET)],
    "mediastreamingstarted-200-0": media_streaming_started(call=CALL),
    "playfailed-400-8535": [play_failed(call=CALL, operation_context="greeting")],
    "playstarted-200-0": [play_started(call=CALL, operation_context="greeting")],
    "recognizefailed-400-8510": [recognize_failed(call=CALL, operation_context="menu")],
    "recordingstatechanged-200-0": recording_state_changed(call=SET),
    "removeparticipantsucceeded-200-0": [remove_participant_succeeded(call=CALL, operation_context="remove-agent")],
}


@pytest.mark.parametrize("name", RECORDED)
def test_an_event_has_the_shape_of_the_recorded_delivery(name: str) -> None:
    """Key for key, nested, with the same types; only values differ."""
    assert shape(RECORDED[name]) == shape(json.loads((PAYLOADS / f"{name}.json").read_bytes()))


def test_every_known_type_has_a_builder_of_its_name() -> None:
    """Event Grid's CallEnded has one of its own, see test_grid; the audio of a hold is known to other SDKs alone."""
    holding = {f"HoldAudio{what}" for what in ("Started", "Paused", "Resumed", "Completed")}
    assert {each.name for each in BUILDERS.values()} == (CALL_EVENTS | OPERATION_EVENTS | holding) - {"CallEnded"}
    assert all(name == re.sub(r"(?<!^)([A-Z])", r"_\1", each.name).lower() for name, each in BUILDERS.items())
    assert repr(play_failed) == "<builder of PlayFailed>"


@pytest.mark.parametrize("name", BUILDERS)
def test_an_event_without_arguments_is_one_the_catalog_knows(name: str) -> None:
    """A default result that nobody knows would teach users something wrong."""
    event = BUILDERS[name]()
    (parsed,) = parse_delivery(delivery(event)).events
    outcome = classify_event(parsed)
    assert outcome is not None
    assert outcome.recognized
    assert outcome.event_name == BUILDERS[name].name
    ended_well = outcome.code in range(200, 300) or name == "cancel_add_participant_succeeded"
    assert ended_well == (not name.endswith(("_failed", "_canceled")))


MESSAGES = {
    "Decline. DiagCode: 603#0.@": lambda: call_disconnected(603),
    "The conversation has ended. DiagCode: 0#560000.@": lambda: call_disconnected(),
    "The conversation has ended. DiagCode: 0#7000.@": lambda: call_disconnected(200, 7000),
    "Call failed. DiagCode: 499#1.@": lambda: call_disconnected(499, 1),
    "": lambda: add_participant_succeeded(),
    f"addParticipants failed for participant {USER}. Underlying reason: Request Timeout. DiagCode: 408#10057.@": (
        lambda: add_participant_failed(call=CALL)
    ),
    "Forbidden. DiagCode: 403#8501.@": lambda: BUILDERS["remove_participant_failed"](403, 8501),
    "Action completed successfully.": lambda: play_completed(),
    "Action failed, file format is invalid.": lambda: play_failed(),
    "Action failed.": lambda: play_failed(400, 1),
    "Action completed, max digits received.": lambda: recognize_completed(),
    "Action failed, initial silence timeout reached.": lambda: recognize_failed(),
    "Ocupado.": lambda: call_disconnected(486, 560486, message="Ocupado."),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_reads_like_the_services(message: str) -> None:
    """One form for calls and participants, another for media, nothing for a success in call control."""
    assert MESSAGES[message]()["data"]["resultInformation"]["message"] == message


@pytest.mark.parametrize("name", ["dtmf_result", "choice_result", "speech_result"])
def test_a_recognition_has_one_result(name: str) -> None:
    """The one that is given, without the usual keys beside it."""
    data = recognize_completed(**{name: {"a": 1}})["data"]
    assert [key for key in data if key.endswith("Result")] == [f"{name.partition('_')[0]}Result"]


def test_a_participant_added_has_no_complaint() -> None:
    """Its builder's words are about a failure; a success by code has none."""
    assert add_participant_failed(200, 0)["data"]["resultInformation"]["message"] == ""


def test_a_code_brings_its_details_and_no_subcode_of_another() -> None:
    """The default subcode belongs to the default code."""
    given = call_disconnected(486, 560486, sip=486, q850=(17, "besetzt"), message="m")
    assert given["data"]["resultInformation"] == {
        "code": 486,
        "subCode": 560486,
        "message": "m",
        "sipDetails": {"code": 486, "message": "Busy Here"},
        "q850Details": {"code": 17, "message": "besetzt"},
    }
    bare = call_disconnected(503, sip=(503, "Trunk down"), q850=99, message="m")
    assert bare["data"]["resultInformation"] == {
        "code": 503,
        "subCode": 0,
        "message": "m",
        "sipDetails": {"code": 503, "message": "Trunk down"},
        "q850Details": {"code": 99, "message": ""},
    }


def test_an_operation_context_is_the_calls_or_the_actions() -> None:
    """An action's own context does not leak into the call's end, nor the call's into an action's result."""
    assert call_disconnected(call=SET)["data"]["operationContext"] == "order-1"
    assert call_disconnected(call=SET, operation_context="other")["data"]["operationContext"] == "other"
    assert "operationContext" not in play_completed(call=SET)["data"]
    assert "operationContext" not in call_disconnected(call=CALL)["data"]
    with pytest.raises(ConfigurationError, match="no operationContext into CreateCallFailed"):
        create_call_failed(operation_context="order-1")


def test_keys_of_a_type_are_given_by_name() -> None:
    """In snake case; None leaves one out."""
    chosen = recognize_completed(
        200, 8545, recognition_type="choices", dtmf_result=None, choice_result={"label": "Confirm", "confidence": 0.9}
    )
    assert {key: chosen["data"].get(key) for key in ("recognitionType", "dtmfResult", "choiceResult")} == {
        "recognitionType": "choices",
        "dtmfResult": None,
        "choiceResult": {"label": "Confirm", "confidence": 0.9},
    }
    with pytest.raises(ConfigurationError, match="PlayFailed has no 'tone'; it has failed_play_source_index"):
        play_failed(tone="one")
    with pytest.raises(ConfigurationError, match="PlayCompleted has no 'tone'; it has no further ones"):
        play_completed(tone="one")


def test_an_id_and_a_time_may_be_given() -> None:
    """As text they are taken as they are."""
    event = call_connected(event_id="e-1", time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert (event["id"], event["time"]) == ("e-1", "2026-01-02T03:04:05.0000007+00:00")
    assert call_connected(time="2026-01-02T03:04:05Z")["time"] == "2026-01-02T03:04:05Z"
    (parsed,) = parse_delivery(delivery(event)).events
    assert parsed.occurred_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_any_type_and_any_key_can_be_built() -> None:
    """The service adds types faster than anybody releases."""
    event = call_event("SomethingNew", data={"newKey": [1]}, call=Call.seeded(3), source="somewhere")
    assert event["type"] == event["data"]["publicEventType"] == "Microsoft.Communication.SomethingNew"
    assert (event["data"]["newKey"], event["source"], event["subject"]) == ([1], "somewhere", "somewhere")
    assert "resultInformation" not in event["data"]
    whole = call_event("Microsoft.Other.Thing", 500, 1, operation_context="x")
    assert whole["type"] == "Microsoft.Other.Thing"
    assert whole["data"]["resultInformation"]["message"] == "Server Internal Error. DiagCode: 500#1.@"


def test_a_time_has_its_zone() -> None:
    """A time without one is in UTC, whatever the zone of the machine."""
    there = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert call_connected(time=there)["time"] == "2026-01-02T01:04:05.0000007+00:00"
    assert call_connected(time=datetime(2026, 1, 2))["time"] == "2026-01-02T00:00:00.0000007+00:00"
    assert incoming_call(time=there)["eventTime"] == "2026-01-02T01:04:05.0000007Z"


GRID = {
    name: getattr(ringback.testing, name) for name in ringback.testing.__all__ if name in BOUND and name not in BUILDERS
}
ALONE = {name: build for name, build in (BUILDERS | GRID).items() if name not in ("failed_call", "rejected_call")}


@pytest.mark.parametrize("name", ALONE)
def test_an_empty_value_is_a_value(name: str) -> None:
    """Of every builder: it is what a test asks for, and no default takes its place."""
    needed = {"call_event": ("SomethingNew",), "grid_event": ("SomethingNew", {})}.get(name, ())
    event = ALONE[name](*needed, event_id="", time="")
    assert (event["id"], event.get("time", event.get("eventTime"))) == ("", "")
    if name in BUILDERS:
        assert ALONE[name](message="")["data"]["resultInformation"]["message"] == ""
    if name in BUILDERS and ALONE[name].context != "none":
        assert ALONE[name](operation_context="")["data"]["operationContext"] == ""
    assert call_event("SomethingNew", source="")["source"] == ""


def test_a_key_that_is_given_replaces_the_event_s_own() -> None:
    """Also an id of the call, the version and the result."""
    given = {"callConnectionId": None, "version": "2020", "resultInformation": {"code": "486"}, "publicEventType": "x"}
    event = call_event("CallDisconnected", 603, operation_context="a", data=given | {"operationContext": "b"})
    assert {key: event["data"][key] for key in given} == given
    assert event["data"]["operationContext"] == "b"
    assert list(event["data"]) == list(call_event("CallDisconnected", 603, operation_context="a", data=given)["data"])


@pytest.mark.parametrize("part", [{"subcode": 560486}, {"message": ""}, {"sip": 486}, {"q850": (17, "busy")}], ids=str)
def test_a_part_of_a_result_needs_a_code(part: Any) -> None:
    """It would be left out of the event without a word."""
    with pytest.raises(ConfigurationError, match="is a part of a result, and a result has a code; give a code, too"):
        call_event("SomethingNew", **part)
    if part.keys() & {"subcode", "message"}:
        with pytest.raises(ConfigurationError, match="give a code, too"):
            call_ended(**part)
    assert "resultInformation" not in call_event("SomethingNew", None, 0)["data"]


@pytest.mark.parametrize("given", ["text", b"[]", None, 486, ["text"], [[{}]], [None]], ids=repr)
def test_what_is_no_event_is_refused(given: Any) -> None:
    """And neither taken apart nor posted as it is."""
    with pytest.raises(ConfigurationError, match=r"^an? \w+ is no event; pass what a builder gives"):
        batch(given)
    with pytest.raises(ConfigurationError):
        delivery(call_connected(), given)


@pytest.mark.parametrize(
    ("who", "raw", "key"),
    [
        ("+15555550100", "4:+15555550100", "phoneNumber"),
        ("4:+15555550100", "4:+15555550100", "phoneNumber"),
        (USER, USER, "communicationUser"),
    ],
)
def test_a_participant_is_a_telephone_or_a_user(who: str, raw: str, key: str) -> None:
    """By what it is called."""
    found = identifier(who)
    assert (found["rawId"], found["kind"], sorted(found)) == (raw, key, sorted(["rawId", "kind", key]))


def test_a_rejected_call_is_reported_twice() -> None:
    """The same ids and result; CallDisconnected is recorded first although its time is later."""
    call = Call.seeded(4, operation_context="order-4")
    first, second = rejected_call(call=call)
    assert [each["type"].rpartition(".")[2] for each in (first, second)] == ["CallDisconnected", "CreateCallFailed"]
    for key in ("callConnectionId", "correlationId", "serverCallId", "resultInformation"):
        assert first["data"][key] == second["data"][key]
    assert first["id"] != second["id"]
    assert first["time"] > second["time"]
    assert first["data"]["operationContext"] == "order-4"
    assert "operationContext" not in second["data"]


def test_a_failed_call_carries_any_result() -> None:
    """In a call of its own unless one is given."""
    first, second = failed_call(486, 560486, sip=486, q850=17, message="m", operation_context="order-5")
    result = {
        "code": 486,
        "subCode": 560486,
        "message": "m",
        "sipDetails": {"code": 486, "message": "Busy Here"},
        "q850Details": {"code": 17, "message": "User busy"},
    }
    assert first["data"]["resultInformation"] == second["data"]["resultInformation"] == result
    assert first["data"]["operationContext"] == "order-5"
    outcomes = [classify_event(each) for each in parse_delivery(delivery(first, second)).events]
    assert [each.disposition for each in outcomes if each] == [Disposition.RETRYABLE] * 2


def test_a_redelivery_is_equal_and_independent() -> None:
    """The same id; changing one leaves the other."""
    event = call_connected()
    again = redelivered(event)
    assert again == event
    again["data"]["version"] = "x"
    assert event["data"]["version"] == "2025-06-15"


def test_old_events_keep_what_old_versions_sent() -> None:
    """The event given stays as it is; the operation context was echoed then, too."""
    event = call_disconnected(603, call=SET)
    old = old_api(event)
    assert "resultInformation" in event["data"]
    assert old["data"] == {
        "version": "2024-04-15",
        "operationContext": "order-1",
        "callConnectionId": SET.call_connection_id,
        "serverCallId": SET.server_call_id,
        "correlationId": SET.correlation_id,
        "publicEventType": "Microsoft.Communication.CallDisconnected",
    }
    outcome = classify_event(parse_delivery(delivery(old)).events[0])
    assert outcome is not None
    assert outcome.cause == "unreported"


def test_a_delivery_is_an_array_of_what_was_given() -> None:
    """Pairs may be given as they are; Event Grid's single CloudEvent is no array."""
    one, pair = call_connected(), rejected_call()
    assert batch(one, pair) == (one, *pair)
    assert json.loads(delivery(one)) == [one]
    assert json.loads(delivery(one, pair)) == [one, *pair]
    assert json.loads(delivery()) == []
    cloud = incoming_call(schema="cloudevents")
    assert json.loads(delivery(cloud)) == cloud
    assert json.loads(delivery(cloud, cloud)) == [cloud, cloud]
    assert json.loads(delivery(incoming_call(call=CALL)))[0]["eventType"] == "Microsoft.Communication.IncomingCall"


def test_bound_builders_share_a_call() -> None:
    """Every builder that takes a call is a method; another leg has its own connection."""
    bound = CallEvents(Call.seeded(5))
    ids = {event["data"]["callConnectionId"] for event in (bound.call_connected(), *bound.rejected_call())}
    assert ids == {bound.call.call_connection_id}
    assert bound.call_ended()["data"]["correlationId"] == bound.call.correlation_id
    leg = bound.leg()
    assert leg.call_connected()["data"]["callConnectionId"] == leg.call.call_connection_id not in ids
    assert {*BUILDERS, "call", "leg", "incoming_call"} <= set(dir(bound))
    assert CallEvents().call != CallEvents().call
    with pytest.raises(
        AttributeError, match="no builder 'call_connectd' that takes a call; did you mean 'call_connected'"
    ):
        _ = bound.call_connectd
    with pytest.raises(AttributeError, match=r"no builder 'zzz' that takes a call$"):
        _ = bound.zzz


def test_the_package_names_everything_public() -> None:
    """Sorted, and each of them there; the simulator when it is used."""
    names = ringback.testing.__all__
    assert list(names) == sorted(names)
    assert all(hasattr(ringback.testing, name) for name in names)
    with pytest.raises(AttributeError, match="has no attribute 'Simulater'"):
        _ = ringback.testing.Simulater
