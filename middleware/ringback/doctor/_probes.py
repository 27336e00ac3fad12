"""What a deployment is asked: every request, and the made-up events in them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.intake import VALIDATION_EVENT

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGE = 2 * 1024 * 1024
"""Bytes of the body that is too large: twice what Ringback accepts unless told otherwise."""

EVENT_TYPE = "Microsoft.Communication.RingbackDoctor"
"""Of the test events. No such event exists and it reports no result, so it has no outcome and no hook hears of it."""

CALL = "d0c70d0c-0000-4000-8000-000000000001"
"""The id of the call that the test events speak of; there is no such call."""

CODE = "d0c70d0c-0000-4000-8000-000000000002"
ORIGIN = "eventgrid.azure.net"


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. ``bare``: without the URL's query; ``signed``: with a token of the test issuer, if there is one."""

    name: str
    method: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    bare: bool = False
    signed: bool = False


def strangers_event() -> Probe:
    """The first request: a made-up event that nobody has signed."""
    return Probe("sender", "POST", {"content-type": "application/json"}, _event(), bare=True)


def further(*, signed: bool) -> tuple[Probe, ...]:
    """The other requests, in order; the last one only makes sense with a token."""
    json_type = {"content-type": "application/json"}
    announced = {**json_type, "aeg-event-type": "SubscriptionValidation", "aeg-subscription-name": "RINGBACK-DOCTOR"}
    probes = (
        Probe("token", "POST", {**json_type, "authorization": f"Bearer {_forged()}"}, _event(), bare=True),
        # Without a token: Event Grid validates before it sends any, and never has one of Call Automation.
        Probe("handshake", "POST", announced, _validation()),
        Probe("consent", "OPTIONS", {"webhook-request-origin": ORIGIN, "webhook-request-rate": "120"}),
        Probe("not_json", "POST", json_type, b"this is not JSON", signed=True),
        Probe("too_large", "POST", json_type, b" " * LARGE, signed=True),
        Probe("get", "GET", signed=True),
        Probe("head", "HEAD", signed=True),
    )
    return (*probes, Probe("signed", "POST", json_type, _event(), signed=True)) if signed else probes


def _event() -> bytes:
    source = f"calling/callConnections/{CALL}"
    return _encoded(
        {
            "id": "d0c70d0c-0000-4000-8000-000000000003",
            "source": source,
            "type": EVENT_TYPE,
            "data": {"callConnectionId": CALL, "serverCallId": CALL, "correlationId": CALL},
            "time": "2026-01-01T00:00:00.0000000+00:00",
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "subject": source,
        }
    )


def _validation() -> bytes:
    return _encoded(
        {
            "id": "d0c70d0c-0000-4000-8000-000000000004",
            "topic": "/subscriptions/d0c70d0c-0000-4000-8000-000000000005",
            "subject": "",
            "data": {"validationCode": CODE},
            "eventType": VALIDATION_EVENT,
            "eventTime": "2026-01-01T00:00:00.0000000Z",
            "metadataVersion": "1",
            "dataVersion": "1",
        }
    )


def _forged() -> str:
    """A token of the right form that nobody has signed."""
    head = {"alg": "RS256", "typ": "JWT", "kid": "ringback-doctor"}
    claims = {"iss": "ringback doctor", "aud": CALL, "exp": 4102444800}
    parts = (json.dumps(head).encode(), json.dumps(claims).encode(), b"no signature" * 21)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _encoded(event: Mapping[str, Any]) -> bytes:
    return json.dumps([event]).encode()
