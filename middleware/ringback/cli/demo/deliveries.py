"""The deliveries that the demo posts: bodies as the service sends them, with made-up ids and reserved numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Posting:
    """One request: what the request shows, its event in words, and whether the call's other event follows at once."""

    title: str
    carries: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    sibling_follows: bool = False


_NAMES = ("CallDisconnected", "CreateCallFailed")


def _call_event(
    title: str,
    name: str,
    call: int,
    result: tuple[int, int, str] | None,
    *,
    sibling_follows: bool = False,
    version: str = "2025-05-15",
    **details: Any,
) -> Posting:
    """An event of Call Automation: an array of one CloudEvent."""
    leg = f"ca110{call:03}-0000-4000-8000-000000000000"
    content: dict[str, Any] = {
        "version": version,
        "callConnectionId": leg,
        "serverCallId": f"c2VydmVyLWNhbGwt{call:04}",
        "correlationId": f"c0de0{call:03}-0000-4000-8000-000000000000",
        "publicEventType": f"Microsoft.Communication.{name}",
    }
    # The service leaves operationContext out of CreateCallFailed, also where the app has set it.
    if name != "CreateCallFailed":
        content["operationContext"] = f"order-{call}"
    carries = f"{name} without a result"
    if result is not None:
        code, subcode, message = result
        carries = f"{name} {code}/{subcode}"
        content["resultInformation"] = {"code": code, "subCode": subcode, "message": message} | details
    event = {
        "id": f"e0e17{call:03}-0000-4000-8000-{_NAMES.index(name):012}",
        "source": f"calling/callConnections/{leg}",
        "type": f"Microsoft.Communication.{name}",
        "data": content,
        "time": f"2026-03-05T09:{call:02}:00.1234567+00:00",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": f"calling/callConnections/{leg}",
    }
    return Posting(title, carries, json.dumps([event]).encode(), sibling_follows=sibling_follows)


def _grid_event(
    title: str, event_type: str, content: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()
) -> Posting:
    """An event in Event Grid's own schema: an array of one."""
    event = {
        "id": "e0e17900-0000-4000-8000-000000000000",
        "topic": "/subscriptions/50b50000-0000-4000-8000-000000000000",
        "subject": "",
        "data": content,
        "eventType": event_type,
        "eventTime": "2026-03-05T09:30:00.1234567Z",
        "metadataVersion": "1",
        "dataVersion": "1.0",
    }
    return Posting(title, event_type.rpartition(".")[2], json.dumps([event]).encode(), headers)


def _phone(number: str) -> dict[str, Any]:
    return {"kind": "phoneNumber", "rawId": f"4:{number}", "phoneNumber": {"value": number}}


_DECLINED = (603, 0, "Decline. DiagCode: 603#0.@")
_BUSY = _call_event("busy", "CallDisconnected", 2, (486, 560486, "Busy here, +1 555 555 0102. DiagCode: 486#560486.@"))

POSTINGS = (
    _call_event("a rejected call, 1st event", "CallDisconnected", 1, _DECLINED, sibling_follows=True),
    _call_event("a rejected call, 2nd event", "CreateCallFailed", 1, _DECLINED),
    _BUSY,
    _call_event("no answer", "CallDisconnected", 3, (480, 560480, "Temporarily unavailable. DiagCode: 480#560480.@")),
    _call_event("rang until time ran out", "CallDisconnected", 4, (487, 10004, "Canceled. DiagCode: 487#10004.@")),
    _call_event("hung up by telephone", "CallDisconnected", 5, (200, 560000, "Call ended. DiagCode: 0#560000.@")),
    _call_event("ended by a server bot", "CallDisconnected", 6, (200, 7000, "Call ended. DiagCode: 0#7000.@")),
    _call_event("an event of an old API", "CallDisconnected", 7, None, version="2023-10-15"),
    _call_event("blocked as spam", "CreateCallFailed", 8, (403, 510403, "Forbidden. DiagCode: 403#510403.@")),
    _call_event(
        "trouble at the carrier",
        "CallDisconnected",
        9,
        (500, 560503, "Service unavailable. DiagCode: 503#560503.@"),
        sipDetails={"code": 486, "message": "Busy Here"},
        q850Details={"code": 17, "message": "User busy"},
    ),
    _call_event("a code nobody knows", "CallDisconnected", 10, (499, 99999, "Unheard of. DiagCode: 499#99999.@")),
    Posting("busy, delivered again", _BUSY.carries, _BUSY.body),
    Posting("a malformed body", "half of a JSON array", _BUSY.body[:150]),
    _grid_event(
        "an Event Grid validation",
        "Microsoft.EventGrid.SubscriptionValidationEvent",
        {"validationCode": "5ca1ab1e-0000-4000-8000-000000000000"},
        (("aeg-event-type", "SubscriptionValidation"),),
    ),
    _grid_event(
        "an incoming call",
        "Microsoft.Communication.IncomingCall",
        {
            "to": _phone("+15555550100"),
            "from": _phone("+15555550101"),
            "serverCallId": "c2VydmVyLWNhbGwtMDAxMQ",
            "callerDisplayName": "",
            "incomingCallContext": "opaque",
            "correlationId": "c0de0011-0000-4000-8000-000000000000",
        },
        (("aeg-event-type", "Notification"),),
    ),
)
"""In the order of posting. The first two deliveries report one call; the twelfth repeats the third."""
