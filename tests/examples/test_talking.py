"""The examples that talk, as their readers run them: uvicorn in a process, the real client, a simulator with TLS."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from ringback.simulator import SCENARIOS, Scenario, Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

pytestmark = pytest.mark.untraced

ROOT = Path(__file__).parents[2]
sdk = pytest.importorskip("azure.communication.callautomation")
if not hasattr(sdk, "MediaStreamingOptions"):
    pytest.skip("this release of the client has no streams", allow_module_level=True)


class Running:
    """An example in a process; ``origin`` is its address."""

    def __init__(self, process: asyncio.subprocess.Process, origin: str) -> None:
        assert process.stdout is not None
        self._lines, self.origin = process.stdout, origin

    async def printed(self) -> tuple[list[str], list[str]]:
        """What the app printed until a hook said how the call had ended, and the causes in the log of the calls."""
        said, causes = list[str](), list[str]()
        async with asyncio.timeout(60):
            while not said or said[-1].split()[0] not in ("terminal", "retryable"):
                line = (await self._lines.readline()).decode()
                assert line, said
                if line.startswith("{"):
                    outcome = json.loads(line)
                    causes += [outcome["cause"]] if outcome.get("scope") == "call" else []
                else:
                    said.append(line.strip())
        return said, causes


@asynccontextmanager
async def running(acs: Simulator, name: str, port: int) -> AsyncGenerator[Running]:
    origin = f"http://127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-B", "-m", "uvicorn", "--factory", f"examples.{name}:create_app"),
        *("--port", str(port), "--no-access-log"),
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "ACS_CONNECTION_STRING": acs.connection_string,
            "CALLBACK_URI_HOST": origin,
            "REQUESTS_CA_BUNDLE": str(acs.ca_file),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while b"running on" not in (line := await process.stderr.readline()):
                assert line, name
        yield Running(process, origin)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


CHOICES: list[tuple[str | Scenario, list[str]]] = [
    ("answered", ["chosen: Confirm", "keys: 4", "terminal ended"]),
    (replace(SCENARIOS["answered"], choice="Cancel", tones=""), ["chosen: Cancel", "keys: 0", "terminal ended"]),
    ("silent", ["keys: 0", "terminal ended"]),
    ("busy", ["retryable busy"]),
]


async def test_outbound_choices(free_port: Callable[[], int]) -> None:
    """Whatever the callee does, who confirms, cancels, is silent or busy: the app hangs up, and one hook is called."""
    async with (
        Simulator(numbers={"+15550100200": [scenario for scenario, _ in CHOICES]}, tls=True, seed=1) as acs,
        running(acs, "outbound_choices", free_port()) as app,
        httpx.AsyncClient() as client,
    ):
        for scenario, printed in CHOICES:
            assert (await client.post(f"{app.origin}/call")).status_code == 202
            said, causes = await app.printed()
            assert (said, causes) == (printed, [printed[-1].split()[1]] * (2 if scenario == "busy" else 1))
        assert {callback.status for callback in acs.callbacks} == {204}


async def test_inbound_speech(free_port: Callable[[], int]) -> None:
    """The handshake is the middleware's; the call is answered and ended."""
    async with Simulator(tls=True, seed=1) as acs, running(acs, "inbound_speech", free_port()) as app:
        await acs.subscribe(f"{app.origin}/api/incomingCall")
        for scenario, printed in (("answered", ["said: 2 words", "terminal ended"]), ("silent", ["terminal ended"])):
            incoming = await acs.incoming(f"{app.origin}/api/incomingCall", scenario=scenario)
            assert (incoming.status, await app.printed()) == (204, (printed, ["ended"]))
        assert {callback.status for callback in acs.callbacks} == {204}


async def test_streaming(free_port: Callable[[], int]) -> None:
    """Audio comes, goes back, and is heard by the caller."""
    async with Simulator(tls=True, seed=1) as acs, running(acs, "streaming", free_port()) as app:
        incoming = await acs.incoming(f"{app.origin}/api/incomingCall")
        assert await app.printed() == (["sent back a second of audio", "terminal ended"], ["ended"])
        assert incoming.call is not None
        assert incoming.call.heard.frames >= 49
        assert {callback.status for callback in acs.callbacks} == {204}
