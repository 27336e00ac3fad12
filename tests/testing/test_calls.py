"""A call's ids, seeded and not."""

from __future__ import annotations

import base64
import re

import pytest

from ringback import ConfigurationError
from ringback.testing import Call, call_connected, call_disconnected

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_a_seeded_call_is_the_same_in_every_run() -> None:
    """Its ids, and the ids and times of its events in order."""
    first, second = Call.seeded(7), Call.seeded(7)
    assert first == second
    assert [call_connected(call=first), call_disconnected(call=first)] == [
        call_connected(call=second),
        call_disconnected(call=second),
    ]
    assert first != Call.seeded(8)
    assert first.call_connection_id == "fd0a0415-5e32-4c02-a7d4-5563be53fdd1"


def test_unseeded_calls_differ() -> None:
    """Two tests must not meet in a store they share."""
    first, second = Call(), Call()
    ids = [first.call_connection_id, first.correlation_id, second.call_connection_id, second.correlation_id]
    assert len(set(ids)) == 4
    assert all(GUID.fullmatch(each) for each in ids)
    assert first.server_call_id != second.server_call_id


def test_events_of_a_call_have_ids_and_times_of_their_own() -> None:
    """Their id tells deliveries apart, their time puts them in order."""
    call = Call.seeded(1)
    events = [call_connected(call=call) for _ in range(3)]
    assert len({event["id"] for event in events}) == 3
    assert [event["time"] for event in events] == [
        "2026-03-05T09:00:00.1234567+00:00",
        "2026-03-05T09:00:01.1234567+00:00",
        "2026-03-05T09:00:02.1234567+00:00",
    ]


def test_ids_may_be_given() -> None:
    """A test may need the id that its app has stored."""
    call = Call.seeded(1, call_connection_id="1f0e5c1a-0000-4000-8000-000000000001", operation_context="order-1")
    assert call_connected(call=call)["data"] == {
        "version": "2025-06-15",
        "operationContext": "order-1",
        "resultInformation": {"code": 200, "subCode": 0, "message": ""},
        "callConnectionId": "1f0e5c1a-0000-4000-8000-000000000001",
        "serverCallId": call.server_call_id,
        "correlationId": call.correlation_id,
        "publicEventType": "Microsoft.Communication.CallConnected",
    }


def test_an_unknown_field_is_refused() -> None:
    """The message names the fields there are."""
    with pytest.raises(ConfigurationError, match="no field 'to'; give any of call_connection_id, callee"):
        Call.seeded(1, to="+15555550100")


def test_a_leg_shares_the_call_and_has_its_own_connection() -> None:
    """As the wire has it: correlationId joins legs, callConnectionId events of a leg."""
    call = Call.seeded(1)
    leg = call.leg()
    assert (leg.correlation_id, leg.server_call_id) == (call.correlation_id, call.server_call_id)
    assert leg.call_connection_id != call.call_connection_id


def test_a_recording_id_is_encoded_json() -> None:
    """Like the service's, which names the call connection."""
    call = Call.seeded(1)
    padded = call.recording_id + "=" * (-len(call.recording_id) % 4)
    assert base64.urlsafe_b64decode(padded) == b'{"PlatformEndpointId": "%s"}' % call.call_connection_id.encode()
