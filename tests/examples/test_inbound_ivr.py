"""The example that answers calls, end to end: Event Grid, the real client, the simulator, a real server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ringback.simulator import ACCESS_KEY, SCENARIOS, Scenario, Simulator

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

pytestmark = pytest.mark.untraced

CONNECTED = SCENARIOS["connected"]


@pytest.fixture
def made(example: Callable[[str], Any], listening: socket.socket) -> Callable[[Simulator], Any]:
    """The app, as a team would set it up."""

    def make(acs: Simulator) -> Any:
        module = example("inbound_ivr.app")
        settings = module.Settings(
            endpoint=acs.url,
            access_key=ACCESS_KEY,
            resource_id=acs.issuer.audience,
            tenant=acs.issuer.tenant,
            app_id=acs.issuer.grid_audience,
            callbacks=f"http://127.0.0.1:{listening.getsockname()[1]}/api/callbacks",
            speech="https://speech.invalid",
            jwks_uri=acs.jwks_uri,
        )
        return module.create_app(settings)

    return make


@pytest.mark.parametrize(
    ("scenario", "choice"),
    [
        pytest.param(replace(CONNECTED, tones="2"), "two", id="a choice"),
        pytest.param(replace(CONNECTED, tones=""), "none", id="silence"),
        pytest.param(replace(SCENARIOS["impatient"], media=36000.0), "hung up", id="hangs up"),
    ],
)
async def test_a_caller_is_served(
    made: Callable[..., Any], serving: Callable[[Any], Any], scenario: Scenario, choice: str
) -> None:
    """Whatever they do, the conversation comes to its end at once, and so does the call."""
    async with Simulator(seed=1) as acs, serving(made(acs)) as url, httpx.AsyncClient(base_url=url) as client:
        incoming = await acs.incoming(f"{url}/api/events", scenario=scenario)
        assert incoming.status == 204
        for _ in range(300):
            if incoming.call is not None and incoming.call.ended and (await client.get("/choices")).json():
                break
            await asyncio.sleep(0.02)
        await acs.idle()
        assert (await client.get("/choices")).json() == {choice: 1}
        assert incoming.call is not None
        assert incoming.call.ended
        assert {each.status for each in acs.callbacks} == {204}


async def test_a_call_that_is_gone_serves_nobody(made: Callable[..., Any], serving: Callable[[Any], Any]) -> None:
    """The service refuses the answer; the app stays as it is, and lets in nobody but the two senders."""
    async with Simulator(seed=1) as acs, serving(made(acs)) as url, httpx.AsyncClient(base_url=url) as client:
        acs.fail_next(404, times=1)
        assert (await acs.incoming(f"{url}/api/events")).status == 204
        forged = await client.post("/api/events", json=[{"eventType": "Microsoft.Communication.IncomingCall"}])
        await acs.idle()
        assert (forged.status_code, acs.calls, (await client.get("/choices")).json()) == (401, [], {})
