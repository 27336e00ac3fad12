"""The deliveries that the demo posts: bodies as the service sends them, with made-up ids and reserved numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringback.testing.builder import call_event
from ringback.testing.calls import Call
from ringback.testing.grid import grid_headers, incoming_call, subscription_validation

if TYPE_CHECKING:
    from ringback.testing.builder import CloudEvent


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
    number: int,
    result: tuple[int, int, str] | None,
    *,
    sibling_follows: bool = False,
    version: str = "2025-05-15",
    **details: Any,
) -> Posting:
    """An event of Call Automation: an array of one CloudEvent."""
    call = Call(
        call_connection_id=f"ca110{number:03}-0000-4000-8000-000000000000",
        server_call_id=f"c2VydmVyLWNhbGwt{number:04}",
        correlation_id=f"c0de0{number:03}-0000-4000-8000-000000000000",
        version=version,
    )
    code, subcode, message = result or (None, 0, None)
    event = call_event(
        name,
        code,
        subcode,
        message=message,
        call=call,
        # The service leaves operationContext out of CreateCallFailed, also where the app has set it.
        operation_context=None if name == "CreateCallFailed" else f"order-{number}",
        event_id=f"e0e17{number:03}-0000-4000-8000-{_NAMES.index(name):012}",
        time=f"2026-03-05T09:{number:02}:00.1234567+00:00",
        **details,
    )
    carries = f"{name} without a result" if result is None else f"{name} {code}/{subcode}"
    return Posting(title, carries, json.dumps([event]).encode(), sibling_follows=sibling_follows)


def _grid_event(title: str, event: CloudEvent) -> Posting:
    """An event in Event Grid's own schema: an array of one."""
    carries = event["eventType"].rpartition(".")[2]
    return Posting(title, carries, json.dumps([event]).encode(), tuple(grid_headers(event).items()))


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
        sip=(486, "Busy Here"),
        q850=(17, "User busy"),
    ),
    _call_event("a code nobody knows", "CallDisconnected", 10, (499, 99999, "Unheard of. DiagCode: 499#99999.@")),
    Posting("busy, delivered again", _BUSY.carries, _BUSY.body),
    Posting("a malformed body", "half of a JSON array", _BUSY.body[:150]),
    _grid_event("an Event Grid validation", subscription_validation("5ca1ab1e-0000-4000-8000-000000000000")),
    _grid_event(
        "an incoming call", incoming_call(call=Call.seeded("demo", callee="+15555550100", caller="+15555550101"))
    ),
)
"""In the order of posting. The first two deliveries report one call; the twelfth repeats the third."""
