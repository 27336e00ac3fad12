"""The example that calls a list of people, end to end: the real client, the simulator, a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ringback import RedialPolicy
from ringback.simulator import ACCESS_KEY, Simulator

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.untraced

ANN, BEN, CLEO = "+15550100200", "+15550100486", "+15550100603"


@pytest.fixture
def settings(example: Callable[[str], Any], listening: socket.socket, tmp_path: Path) -> Callable[[Simulator], Any]:
    """As a team would set it up, but that nobody waits for minutes."""

    def of(acs: Simulator, access_key: str = ACCESS_KEY) -> Any:
        return example("outbound_reminders.app").Settings(
            endpoint=acs.url,
            access_key=access_key,
            resource_id=acs.issuer.audience,
            jwks_uri=acs.jwks_uri,
            caller="+15550100100",
            callbacks=f"http://127.0.0.1:{listening.getsockname()[1]}/api/callbacks",
            speech="https://speech.invalid",
            database=str(tmp_path / "reminders.db"),
            store=f"sqlite:///{tmp_path / 'ringback.db'}",
            policy=RedialPolicy(delays={"busy": 0.05}, jitter=0, hours=None),
            settle=0.1,
        )

    return of


async def states(client: httpx.AsyncClient, over: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """What became of the reminders, as soon as it is so."""
    for _ in range(500):
        found: dict[str, str] = (await client.get("/reminders")).json()
        if over(found):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def test_the_list_is_called_and_whoever_is_busy_again(
    example: Callable[[str], Any], serving: Callable[[Any], Any], settings: Callable[..., Any]
) -> None:
    """Who picks up is reminded, who declines is left alone, who is busy is called three times; a list counts once."""
    people = [{"id": "ann", "number": ANN}, {"id": "ben", "number": BEN}, {"id": "cleo", "number": CLEO}]
    async with Simulator(numbers={ANN: "connected"}, seed=1) as acs:
        app = example("outbound_reminders.app").create_app(settings(acs))
        async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
            for _ in range(2):
                assert (await client.post("/reminders", json=people)).status_code == 202
            found = await states(client, lambda found: "calling" not in found.values())
            await acs.idle()
    called = sorted((call.operation_context, call.number) for call in acs.calls)
    assert called == [("ann", ANN), ("ben", BEN), ("ben", BEN), ("ben", BEN), ("cleo", CLEO)]
    assert found == {"ann": "ended", "ben": "busy", "cleo": "declined"}
    assert {each.status for each in acs.callbacks} == {204}


async def test_who_could_not_be_called_may_be_posted_again(
    example: Callable[[str], Any], serving: Callable[[Any], Any], settings: Callable[..., Any]
) -> None:
    """A refused request leaves no event; nobody but Microsoft may post one."""
    async with Simulator() as acs:
        app = example("outbound_reminders.app").create_app(settings(acs, access_key="d3Jvbmc="))
        async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
            failed = await client.post("/reminders", json=[{"id": "ann", "number": ANN}])
            found = (await client.get("/reminders")).json()
            refused = await client.post("/reminders", json=[{"id": "ben", "number": "no number"}])
            forged = await client.post("/api/callbacks", json=[{"type": "Microsoft.Communication.CallConnected"}])
    assert (failed.status_code, failed.json()) == (502, {"detail": "ann and those behind it were not called"})
    assert (refused.status_code, forged.status_code, acs.calls, found) == (422, 401, [], {})
