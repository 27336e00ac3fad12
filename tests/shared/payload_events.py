"""Recorded and documented deliveries, the event that is read of each, and what a caller sees of any body."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from ringback.core.events import (
    Diagnostic,
    EventData,
    Result,
    Update,
    parse_delivery,
)
from ringback.exceptions import (
    DeliveryError,
)

PAYLOADS = Path(__file__).parents[1] / "payloads"
DEPTH = 100_000


def fields(event):
    """All that an event holds but where it stood."""
    return event.type, event.id, event.source, event.subject, event.time, event.data


def events_of(body, **limits):
    delivery = parse_delivery(body, **limits)
    assert delivery.faults == ()
    return [fields(event) for event in delivery.events]


def said(body, **limits):
    """The events' fields and the faults, or the error: everything a caller can see."""
    try:
        delivery = parse_delivery(body, **limits)
    except DeliveryError as error:
        return type(error), str(error), error.faults
    return [fields(event) for event in delivery.events], delivery.faults


def dumped(value):
    return json.dumps(value).encode()


# What the payloads hold, by the number that is in every id of theirs.


def guid(number):
    return f"1f0e5c1a-0000-4000-8000-{number:012d}"


def leg(number):
    return f"2a0d7b3c-0000-4000-8000-{number:012d}"


def correlation(number):
    return f"3b1c6d2e-0000-4000-8000-{number:012d}"


def server(number):
    return base64.b64encode(f"https://calls.example.com/conv/room-{number:04d}?i=0&e=1".encode()).decode()


def user(number):
    return f"8:acs:4c2b5e1f-0000-4000-8000-000000000001_5d3a4f10-0000-4000-8000-{number:012d}"


def call(number, **more):
    return EventData(
        call_connection_id=leg(number), server_call_id=server(number), correlation_id=correlation(number), **more
    )


def grid_data(number, **more):
    return EventData(server_call_id=server(number), correlation_id=correlation(number), **more)


CALL = "calling/callConnections/"
RECORDING_ID = base64.urlsafe_b64encode(dumped({"PlatformEndpointId": leg(11)})).decode().rstrip("=")
RECORDING = f"calling/recordings/{server(11)}/{RECORDING_ID}/RecordingStateChanged"
TOPIC = (
    "/subscriptions/6e490312-0000-4000-8000-000000000001/resourcegroups/calls/providers/"
    "microsoft.communication/communicationservices/ringback-tests"
)
DECLINE = Result(603, 0, "Decline. DiagCode: 603#0.@")
MICROSOFT = "Microsoft.Communication."

# file: (type without the common prefix, id, source, subject, time, data)
EXPECTED = {
    "calldisconnected-603-0": (
        "CallDisconnected",
        guid(1),
        CALL + leg(1),
        CALL + leg(1),
        "2025-02-11T10:20:30.0629553+00:00",
        call(1, version="2024-09-01-preview", operation_context="order-1001", result_information=DECLINE),
    ),
    "createcallfailed-603-0": (
        "CreateCallFailed",
        guid(2),
        CALL + leg(1),
        CALL + leg(1),
        "2025-02-11T10:20:30.0623639+00:00",
        call(1, version="2024-09-01-preview", result_information=DECLINE),
    ),
    "calldisconnected-no-result-2024-06-15-preview": (
        "CallDisconnected",
        guid(3),
        CALL + leg(3),
        CALL + leg(3),
        "2024-07-09T21:16:52.1810679+00:00",
        call(3, version="2024-06-15-preview", operation_context="order-1003"),
    ),
    "calldisconnected-no-result-2023": (
        "CallDisconnected",
        guid(4),
        CALL + leg(4),
        CALL + leg(4),
        "2023-07-20T07:49:19.5531571+00:00",
        call(4),
    ),
    "calldisconnected-no-result-2024-04-15": (
        "CallDisconnected",
        guid(5),
        CALL + leg(5),
        CALL + leg(5),
        "2024-04-12T19:10:45.2640745+00:00",
        call(5, version="2024-04-15"),
    ),
    "callconnected-2024-04-15": (
        "CallConnected",
        guid(6),
        CALL + leg(5),
        CALL + leg(5),
        "2024-04-12T19:10:42.4046861+00:00",
        call(5, version="2024-04-15"),
    ),
    "calldisconnected-200-560000-data-only": (
        "CallDisconnected",
        None,
        None,
        None,
        None,
        call(
            7,
            version="2024-09-15",
            operation_context="order-1007",
            result_information=Result(200, 560000, "The conversation has ended. DiagCode: 0#560000.@"),
        ),
    ),
    "playfailed-400-8535": (
        "PlayFailed",
        guid(8),
        CALL + leg(8),
        CALL + leg(8),
        "2025-02-11T11:02:14.8558433+00:00",
        call(
            8,
            version="2024-09-01-preview",
            operation_context="greeting",
            result_information=Result(400, 8535, "Action failed, file format is invalid."),
        ),
    ),
    "playstarted-200-0": (
        "PlayStarted",
        guid(36),
        CALL + leg(36),
        CALL + leg(36),
        "2024-07-17T22:37:57.4997462+00:00",
        call(
            36,
            version="2024-06-15-preview",
            operation_context="greeting",
            result_information=Result(200, 0, "Action completed successfully."),
        ),
    ),
    "recognizefailed-400-8510": (
        "RecognizeFailed",
        guid(35),
        CALL + leg(35),
        CALL + leg(35),
        "2025-07-15T09:24:36.4870207+00:00",
        call(
            35,
            version="2024-09-01-preview",
            operation_context="menu",
            result_information=Result(400, 8510, "Action failed, initial silence timeout reached."),
        ),
    ),
    "removeparticipantsucceeded-200-0": (
        "RemoveParticipantSucceeded",
        guid(9),
        CALL + leg(9),
        CALL + leg(9),
        "2025-02-11T10:59:11.3331906+00:00",
        call(9, version="2024-09-01-preview", operation_context="remove-agent", result_information=Result(200, 0, "")),
    ),
    "mediastreamingstarted-200-0": (
        "MediaStreamingStarted",
        guid(10),
        CALL + leg(10),
        CALL + leg(10),
        "2025-05-13T16:31:54.8331644+00:00",
        call(
            10,
            version="2025-05-15",
            result_information=Result(200, 0, "Action completed successfully."),
            media_streaming_update=Update("subscriptionStarted"),
        ),
    ),
    "recordingstatechanged-200-0": (
        "RecordingStateChanged",
        guid(11),
        RECORDING,
        RECORDING,
        "2025-03-18T05:20:58.6333565+00:00",
        call(11, version="2024-09-01-preview", result_information=Result(200, 0, "")),
    ),
    "addparticipantfailed-408-10057": (
        "AddParticipantFailed",
        guid(12),
        CALL + leg(12),
        CALL + leg(12),
        "2025-06-03T09:12:13.456789+00:00",
        call(
            12,
            version="2025-05-15",
            operation_context="add-agent",
            result_information=Result(
                408,
                10057,
                f"addParticipants failed for participant {user(12)} "
                "Underlying reason: Request Timeout. DiagCode: 408#10057.@",
            ),
        ),
    ),
    "calldisconnected-pascalcase-500-560503": (
        "CallDisconnected",
        guid(13),
        CALL + leg(13),
        CALL + leg(13),
        "2025-06-03T09:15:00.1234567+00:00",
        call(
            13,
            result_information=Result(
                500,
                560503,
                "Unexpected server error",
                sip=Diagnostic(486, "Busy Here"),
                q850=Diagnostic(17, "User busy"),
            ),
        ),
    ),
    "playcompleted-resultinfo-2022": (
        "PlayCompleted",
        guid(29),
        CALL + leg(29) + "/PlayCompleted",
        CALL + leg(29) + "/PlayCompleted",
        "2022-08-16T03:13:25.0252763+00:00",
        call(29, result_information=Result(200, 0, "Action completed successfully.")),
    ),
    "calldisconnected-specversion-casing": (
        "CallDisconnected",
        guid(14),
        CALL + leg(14),
        None,
        "2025-06-03T10:35:30Z",
        call(14),
    ),
    "createcallfailed-403-9999": (
        "CreateCallFailed",
        guid(30),
        CALL + leg(30),
        CALL + leg(30),
        "2026-01-15T10:00:00+00:00",
        call(
            30,
            version="2025-06-15",
            result_information=Result(
                403,
                9999,
                "Underlying reason: the call lacks what a call to a phone number needs. DiagCode: 403#10151",
            ),
        ),
    ),
    "calldisconnected-486-560486-data-as-text": (
        "CallDisconnected",
        guid(31),
        CALL + leg(31),
        CALL + leg(31),
        "2026-01-15T10:00:00+00:00",
        call(31, result_information=Result(486, 560486, "")),
    ),
    "calldisconnected-480-560480-q850-21": (
        "CallDisconnected",
        guid(32),
        CALL + leg(32),
        CALL + leg(32),
        "2026-01-15T10:00:00+00:00",
        call(
            32,
            version="2026-03-12",
            result_information=Result(
                480,
                560480,
                "Temporarily unavailable. DiagCode: 480#560480.@",
                sip=Diagnostic(480, "Temporarily Unavailable"),
                q850=Diagnostic(21, "Call Rejected"),
            ),
        ),
    ),
    "mediastreamingfailed-authenticationfailure": (
        "MediaStreamingFailed",
        guid(33),
        CALL + leg(33),
        CALL + leg(33),
        "2026-01-15T10:00:00+00:00",
        call(
            33,
            version="2025-08-15-preview",
            media_streaming_update=Update("authenticationFailure"),
        ),
    ),
    "playfailed-ids-alone-2024-04-15": (
        "PlayFailed",
        guid(34),
        CALL + leg(34),
        CALL + leg(34),
        "2026-01-15T10:00:00+00:00",
        call(34, version="2024-04-15"),
    ),
    "eg-callstarted": (
        "CallStarted",
        guid(20),
        TOPIC,
        f"call/{server(20)}/startedBy/{user(20)}",
        "2021-10-05T17:02:38.6905856Z",
        grid_data(20),
    ),
    "eg-callended-no-reason": (
        "CallEnded",
        guid(21),
        TOPIC,
        f"call/{server(20)}",
        "2021-10-05T17:03:12.6143005Z",
        grid_data(20),
    ),
    "eg-callended-reason": (
        "CallEnded",
        guid(22),
        TOPIC,
        f"call/{server(22)}",
        "2025-04-22T08:09:10.1112131Z",
        grid_data(22, result_information=DECLINE),
    ),
    "eg-callparticipantadded": (
        "CallParticipantAdded",
        guid(23),
        TOPIC,
        f"call/{server(20)}/participant/{user(23)}",
        "2021-10-05T17:02:39.2843314Z",
        grid_data(20),
    ),
    "eg-callparticipantremoved": (
        "CallParticipantRemoved",
        guid(24),
        TOPIC,
        f"call/{server(20)}/participant/{user(23)}",
        "2021-10-05T17:03:11.1497652Z",
        grid_data(20),
    ),
    "eg-incomingcall": (
        "IncomingCall",
        guid(25),
        TOPIC,
        f"/caller/{user(25)}/recipient/{user(26)}",
        "2022-09-06T19:27:24.2415391Z",
        grid_data(25),
    ),
    "eg-incomingcall-cloudevent": (
        "IncomingCall",
        guid(26),
        TOPIC,
        f"/caller/{user(25)}/recipient/{user(26)}",
        "2023-04-11T17:18:42.5542219Z",
        grid_data(26),
    ),
    "eg-recordingfilestatusupdated": (
        "RecordingFileStatusUpdated",
        guid(27),
        TOPIC,
        f"/recording/call/{leg(27)}/serverCallId/{server(27)}/recordingId/recording-27",
        "2021-08-10T15:20:34.2199328Z",
        EventData(),
    ),
    "eg-subscriptionvalidation": (
        "Microsoft.EventGrid.SubscriptionValidationEvent",
        guid(28),
        "/subscriptions/6e490312-0000-4000-8000-000000000001",
        "",
        "2022-11-04T04:23:35.1981776Z",
        EventData(),
    ),
}


def expected(name):
    short, *rest = EXPECTED[name]
    return (short if "." in short else MICROSOFT + short, *rest)


ELEMENTS = {
    name: element[0] if isinstance(element, list) else element
    for name in EXPECTED
    for element in [json.loads((PAYLOADS / f"{name}.json").read_bytes())]
}

BUSY = EventData(call_connection_id="leg", result_information=Result(486, 560486, "Busy."))
BUSY_DATA = {"callConnectionId": "leg", "resultInformation": {"code": 486, "subCode": 560486, "message": "Busy."}}


def encoded(value):
    return base64.b64encode(dumped(value)).decode()
