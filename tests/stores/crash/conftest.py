"""What the crash suite needs: a rig on each engine, a service that counts calls."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from crash_rig import Process, Rig

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

SCALE = float(os.environ.get("RINGBACK_CRASH_SCALE", "0.1"))
"""1 is the whole suite, as ``make crash`` runs it; the usual tests run a tenth of it."""


@pytest.fixture(params=["sqlite", "postgres"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, free_port: Callable[[], int]) -> Generator[Rig]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ringback.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    made = Rig(tmp_path, url, free_port)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def make_rig(tmp_path: Path, free_port: Callable[[], int]) -> Generator[Callable[[str], Rig]]:
    made: list[Rig] = []

    def make(url: str) -> Rig:
        made.append(Rig(tmp_path, url, free_port))
        return made[-1]

    try:
        yield make
    finally:
        for each in made:
            each.close()


@pytest.fixture
def scale() -> float:
    return SCALE


class Service:
    """Call Automation's REST interface as far as placing calls goes, which honours repeatability and can kill."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        """The connection id and the operation context of each call that was placed."""
        self.requests = 0
        self.deaths: list[str] = []
        self._known: dict[str, dict[str, Any]] = {}
        self._worker: Process | None = None
        self._crashes = 0
        self.url = ""

    @property
    def placed(self) -> list[str]:
        return [contact for _, contact in self.calls]

    def victims(self, worker: Process, crashes: int) -> None:
        """Kill the worker, and start it again, as soon as each of the first calls is accepted."""
        self._worker, self._crashes = worker, crashes

    async def create(self, request: web.Request) -> web.Response:
        self.requests += 1
        order = await request.json()
        key = request.headers["Repeatability-Request-ID"]
        assert request.headers["Repeatability-First-Sent"].endswith("GMT")
        call = self._known.get(key)
        if call is None:
            leg = str(uuid.uuid4())
            call = self._known[key] = {
                "callConnectionId": leg,
                "serverCallId": "made-up",
                "callConnectionState": "connecting",
                "callbackUri": order["callbackUri"],
                "targets": order["targets"],
                "operationContext": order["operationContext"],
                "correlationId": str(uuid.uuid4()),
            }
            self.calls.append((leg, order["operationContext"]))
            if self._worker is not None and len(self.deaths) < self._crashes:
                self.deaths.append(key)
                self._worker.kill()
                self._worker.start()
        return web.json_response(call, status=201)


@pytest.fixture
async def acs() -> AsyncGenerator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_post("/calling/callConnections", service.create)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()
