"""Each scenario end to end: the real client places a call, over sockets, and hooks are called."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from azure.communication.callautomation import CallAutomationClient as BlockingClient
from azure.communication.callautomation import PhoneNumberIdentifier
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.exceptions import HttpResponseError

from ringback.simulator import SCENARIOS, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

CALLER = PhoneNumberIdentifier("+15550100001")

PAIR = ["CallDisconnected", "CreateCallFailed"]
CONNECTED = ["CallConnected", "ParticipantsUpdated"]

EXPECTED: dict[str, tuple[str | None, str | None, list[str]]] = {
    "answered": ("terminal", "hung_up", [*CONNECTED, "CallDisconnected"]),
    "silent": ("terminal", "hung_up", [*CONNECTED, "CallDisconnected"]),
    "no_match": ("terminal", "hung_up", [*CONNECTED, "CallDisconnected"]),
    "impatient": ("terminal", "hung_up", [*CONNECTED, "CallDisconnected"]),
    "connected": (None, None, CONNECTED),
    "ringing": (None, None, []),
    "busy": ("retryable", "busy", PAIR),
    "no_answer": ("retryable", "no_answer", PAIR),
    "declined": ("terminal", "declined", PAIR),
    "invalid_number": ("terminal", "invalid_number", PAIR),
    "blocked": ("terminal", "blocked", PAIR),
    "throttled": ("retryable", "throttled", PAIR),
    "service_error": ("retryable", "service_error", PAIR),
    "network_drop": ("retryable", "client_network", [*CONNECTED, "CallDisconnected"]),
    "transfer": ("terminal", "transferred", [*CONNECTED, "CallTransferAccepted", *["CallDisconnected"] * 2]),
    "old_api": ("terminal", "unreported", ["CallDisconnected"]),
    "two_events_reordered": ("retryable", "busy", PAIR[::-1]),
    "duplicate": ("retryable", "busy", [each for each in PAIR for _ in range(2)]),
    "late_create_failed": ("retryable", "busy", PAIR),
    "flaky": ("retryable", "busy", ["CallDisconnected", *PAIR]),
    "early": ("retryable", "busy", PAIR),
}


async def short(seconds: float) -> None:
    """Long enough for the app to settle, and no longer."""
    await asyncio.sleep(min(seconds, 0.15))


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_call_that_follows_a_scenario_calls_the_hook_once(name: str, start: Callable[..., Any]) -> None:
    """Exactly one hook, for the connection that the client was told, with the cause that the scenario is about."""
    disposition, cause, events = EXPECTED[name]
    app = start(refusals=1 if name == "flaky" else 0)
    async with Simulator(sleep=short, seed=1) as acs, CallAutomationClient(acs.url, acs.credential) as client:
        target = PhoneNumberIdentifier(SCENARIOS[name].number or "")
        placed = await client.create_call(target, app.url, source_caller_id_number=CALLER)
        await acs.idle()
        assert app.seen == events
        assert [callback.accepted for callback in acs.callbacks] == [name != "flaky", *[True] * (len(events) - 1)][
            : len(events)
        ]
        [call] = acs.calls
        assert (call.call_connection_id, call.number) == (placed.call_connection_id, target.properties["value"])
    if cause is None:
        app.close()
        assert app.hooks == []
    else:
        hooks = await asyncio.to_thread(app.ended)
        assert hooks == [(disposition, cause, placed.call_connection_id)]


@pytest.mark.parametrize("name", ["answered", "busy", "declined", "transfer"])
def test_the_blocking_client_is_called_back_likewise(name: str, app: Any) -> None:
    """`with` in place of `async with`, and the same service."""
    disposition, cause, _ = EXPECTED[name]
    with Simulator(name) as acs, BlockingClient(acs.url, acs.credential) as client:
        placed = client.create_call(PhoneNumberIdentifier("+15550100002"), app.url, source_caller_id_number=CALLER)
        acs.wait_idle()
    assert app.ended() == [(disposition, cause, placed.call_connection_id)]


REFUSED = {"too_many_requests": (429, "TooManyRequests", "1"), "unavailable": (503, "ServiceUnavailable", "1")}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_scenario_may_refuse_the_request_itself(name: str) -> None:
    """The client raises what it raises in production, and nothing is placed."""
    async with Simulator() as acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
        target = PhoneNumberIdentifier(SCENARIOS[name].number or "")
        with pytest.raises(HttpResponseError) as raised:
            await client.create_call(target, "https://app.example.com/cb", source_caller_id_number=CALLER)
        assert raised.value.response is not None
        assert raised.value.error is not None
        told = raised.value.status_code, raised.value.error.code, raised.value.response.headers["retry-after"]
        assert told == REFUSED[name]
        assert (acs.calls, acs.callbacks) == ([], [])


def test_every_scenario_is_tested() -> None:
    """One row a scenario, one number a scenario."""
    assert {*EXPECTED, *REFUSED} == set(SCENARIOS)
    assert len({each.number for each in SCENARIOS.values()}) == len(SCENARIOS)
