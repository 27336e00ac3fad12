"""Voice events of Event Grid in both of its schemas, and the handshakes before the first delivery."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from ringback.exceptions import ConfigurationError
from ringback.receiving.intake import VALIDATION_EVENT
from ringback.testing.calls import Call
from ringback.testing.wire import diagnosed, identifier, refuse_without_code, timestamp
from ringback_catalog import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.testing.builder import CloudEvent

Schema = Literal["eventgrid", "cloudevents"]

SUBSCRIPTION = "/subscriptions/50b50000-0000-4000-8000-000000000001"
TOPIC = f"{SUBSCRIPTION}/resourcegroups/calls/providers/microsoft.communication/communicationservices/ringback-tests"

VALIDATION_CODE = "5ca1ab1e-0000-4000-8000-000000000001"

USER = "8:acs:5ac0ffee-0000-4000-8000-000000000001_0e0e0e0e-0000-4000-8000-000000000001"
"""The participant where the call's own parties use telephones, which Event Grid's events do not name."""


class GridOptions(TypedDict, total=False):
    """What every builder here takes by name; :func:`grid_event` has the defaults."""

    call: Call | None
    """The call of the event, which also gives the event's id and time; by default a new call."""
    schema: Schema
    event_id: str | None
    time: datetime | str | None
    """The time, in UTC or with its zone."""


def grid_event(
    name: str,
    data: Mapping[str, Any],
    *,
    subject: str = "",
    schema: Schema = "eventgrid",
    call: Call | None = None,
    event_id: str | None = None,
    time: datetime | str | None = None,
) -> CloudEvent:
    """An Event Grid event of any type: in Event Grid's own schema, or as a CloudEvent.

    ``call`` gives the event's id and time where the caller gives none. Raises :class:`ConfigurationError` for an
    unknown ``schema``.
    """
    call = call or Call()
    event_id = call.ids() if event_id is None else event_id
    at = _grid_time(call.clock() if time is None else time)
    full_name = name if name.startswith("Microsoft.") else PREFIX + name
    if schema == "cloudevents":
        content = {"source": TOPIC, "subject": subject, "data": dict(data), "type": full_name}
        return {"id": event_id, **content, "specversion": "1.0", "time": at}
    if schema != "eventgrid":
        raise ConfigurationError(f"schema {schema!r} is unknown; use 'eventgrid' or 'cloudevents'")
    content = {"topic": TOPIC, "subject": subject, "data": dict(data), "eventType": full_name}
    return {"id": event_id, **content, "dataVersion": "1.0", "metadataVersion": "1", "eventTime": at}


def incoming_call(
    *,
    caller_display_name: str = "",
    incoming_call_context: str = "opaque",
    custom_context: Mapping[str, Any] | None = None,
    **options: Unpack[GridOptions],
) -> CloudEvent:
    """``call.caller`` calls ``call.callee``. ``custom_context`` holds ``sipHeaders`` and ``voipHeaders``."""
    call = options["call"] = options.get("call") or Call()
    to, by = identifier(call.callee), identifier(call.caller)
    content: dict[str, Any] = {
        "to": to,
        "from": by,
        "serverCallId": call.server_call_id,
        "callerDisplayName": caller_display_name,
        "incomingCallContext": incoming_call_context,
        "correlationId": call.correlation_id,
    }
    if custom_context is not None:
        content["customContext"] = dict(custom_context)
    subject = f"/caller/{by['rawId']}/recipient/{to['rawId']}"
    return grid_event("IncomingCall", content, subject=subject, **options)


def call_started(**options: Unpack[GridOptions]) -> CloudEvent:
    """A call has begun."""
    call = options["call"] = options.get("call") or Call()
    subject = f"call/{call.server_call_id}/startedBy/{_user(call.caller)}"
    return grid_event("CallStarted", _call_data(call), subject=subject, **options)


def call_ended(
    code: int | None = None,
    subcode: int = 0,
    *,
    message: str | None = None,
    duration: float = 42.5,
    **options: Unpack[GridOptions],
) -> CloudEvent:
    """A whole call has ended. ``duration`` is in seconds.

    Without a code the event has no reason, as in the documentation. With a code the event is that of the REST
    specification. Raises :class:`ConfigurationError` for a subcode or a message without a code. Sources:
    https://learn.microsoft.com/azure/event-grid/communication-services-voice-video-events and
    https://github.com/Azure/azure-rest-api-specs
    """
    call = options["call"] = options.get("call") or Call()
    content: dict[str, Any] = {"durationOfCall": duration}
    if code is None:
        refuse_without_code(subcode=subcode or None, message=message)
    else:
        content = {
            "endedBy": {**_communication(call.callee), "type": "Participant", "name": "callee"},
            "reason": {
                "code": code,
                "subCode": subcode,
                "phrase": diagnosed(code, subcode) if message is None else message,
            },
            "callDurationInSeconds": int(duration),
        }
    subject = f"call/{call.server_call_id}"
    return grid_event("CallEnded", content | _call_data(call), subject=subject, **options)


def call_participant_added(**options: Unpack[GridOptions]) -> CloudEvent:
    """The callee has joined."""
    return _participant("CallParticipantAdded", options)


def call_participant_removed(**options: Unpack[GridOptions]) -> CloudEvent:
    """The callee has left."""
    return _participant("CallParticipantRemoved", options)


def recording_file_status_updated(
    *,
    document: str | None = None,
    place: str = "https://storage.example.com/v1/objects",
    content: str = "video",
    start: datetime | str | None = None,
    duration: float = 6.62,
    **options: Unpack[GridOptions],
) -> CloudEvent:
    """An app can download a recording: ``content`` is video or audio. ``duration`` is in seconds.

    ``place`` is the address of the storage, ``document`` the recording's name there, by default made of the call's id.
    ``start`` is when the recording began, by default the call's next time.
    """
    call = options["call"] = options.get("call") or Call()
    document = document or f"0-eus-d1-{call.correlation_id.replace('-', '')}"
    place = f"{place}/{document}"
    chunk = {
        "documentId": document,
        "index": 0,
        "endReason": "SessionEnded",
        "contentLocation": f"{place}/content/{content}",
        "metadataLocation": f"{place}/content/acsmetadata",
        "deleteLocation": place,
    }
    told = {
        "recordingStorageInfo": {"recordingChunks": [chunk]},
        "recordingStartTime": _grid_time(call.clock() if start is None else start),
        "recordingDurationMs": round(duration * 1000),
        "sessionEndReason": "CallEnded",
    }
    subject = (
        f"/recording/call/{call.call_connection_id}/serverCallId/{call.server_call_id}/recordingId/{call.recording_id}"
    )
    return grid_event("RecordingFileStatusUpdated", told, subject=subject, **options)


def subscription_validation(code: str = VALIDATION_CODE) -> CloudEvent:
    """The event that Event Grid POSTs before deliveries in its own schema; the app's answer has the same ``code``.

    Source: https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
    """
    url = f"https://eventgrid.example.com:553/eventsubscriptions/ringback/validate?id={code}&token=elided"
    at = _grid_time(datetime(2026, 3, 5, 9, tzinfo=UTC))
    return {
        "id": "5ca1ab1e-0000-4000-8000-000000000002",
        "topic": SUBSCRIPTION,
        "subject": "",
        "data": {"validationCode": code, "validationUrl": url},
        "eventType": VALIDATION_EVENT,
        "eventTime": at,
        "metadataVersion": "1",
        "dataVersion": "1",
    }


def webhook_validation(origin: str = "eventgrid.azure.net") -> dict[str, str]:
    """The headers of the OPTIONS request that Event Grid sends before deliveries of CloudEvents.

    Source: https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema
    """
    return {"webhook-request-origin": origin, "webhook-request-rate": "120"}


def grid_headers(event: CloudEvent, *, subscription: str = "RINGBACK-TESTS", deliveries: int = 0) -> dict[str, str]:
    """The headers of a delivery of Event Grid; ``deliveries`` is the number of earlier attempts."""
    is_validation = event.get("eventType") == VALIDATION_EVENT
    is_cloud_event = "specversion" in event
    return {
        "content-type": f"application/{'cloudevents+json' if is_cloud_event else 'json'}; charset=utf-8",
        "aeg-event-type": "SubscriptionValidation" if is_validation else "Notification",
        "aeg-subscription-name": subscription,
        "aeg-delivery-count": str(deliveries),
    }


def is_grid_event(event: CloudEvent) -> bool:
    """Whether the event is one of Event Grid and not of Call Automation."""
    return "eventType" in event or str(event.get("source", "")).startswith("/subscriptions/")


def _grid_time(time: datetime | str) -> str:
    """A time as Event Grid writes it."""
    return timestamp(time).replace("+00:00", "Z")


def _participant(name: str, options: GridOptions) -> CloudEvent:
    call = options["call"] = options.get("call") or Call()
    user = _user(call.callee)
    content = {
        "user": _person(call.callee, "callee"),
        "displayName": "Guest One",
        "participantId": call.ids(),
        "endpointType": "acs-web-test-client-ACSWeb(1000/1.0.0.0/os=windows; browser=chrome; deviceType=Desktop)",
        **_call_data(call),
    }
    subject = f"call/{call.server_call_id}/participant/{user}"
    return grid_event(name, content, subject=subject, **options)


def _call_data(call: Call) -> dict[str, Any]:
    """The data that every event of a whole call has."""
    return {
        "startedBy": _person(call.caller, "caller"),
        "serverCallId": call.server_call_id,
        "group": {"id": "00000000-0000-0000-0000-000000000000"},
        "room": {"id": ""},
        "isTwoParty": False,
        "correlationId": call.correlation_id,
        "isRoomsCall": False,
    }


def _person(who: str, role: str) -> dict[str, Any]:
    return {**_communication(who), "role": role}


def _communication(who: str) -> dict[str, Any]:
    user = _user(who)
    return {"communicationIdentifier": {"rawId": user, "communicationUser": {"id": user}}}


def _user(who: str) -> str:
    return who if who.startswith("8:") else USER
