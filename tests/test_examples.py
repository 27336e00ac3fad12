"""The examples, run as their readers run them: each shows what its first line promises."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from records import lines_in
from ringback import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import ModuleType

EXAMPLES = Path(__file__).parents[1] / "examples"
LEG = "1f0e5c1a-0000-4000-8000-000000000001"
FILES = sorted(EXAMPLES.glob("*.py"))


def example(name: str) -> ModuleType:
    """A module of its own for each test: its router has seen no call yet."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(name: str, code: int, subcode: int) -> dict[str, Any]:
    return {
        "id": "e0e17001-0000-4000-8000-000000000001",
        "source": f"calling/callConnections/{LEG}",
        "type": f"Microsoft.Communication.{name}",
        "specversion": "1.0",
        "time": "2026-03-05T09:00:00+00:00",
        "data": {
            "callConnectionId": LEG,
            "correlationId": "c0de0001-0000-4000-8000-000000000001",
            "operationContext": "order-7",
            "resultInformation": {"code": code, "subCode": subcode, "message": "Told by +1 555 555 0100."},
        },
    }


async def posted(
    app: Any, *events: dict[str, Any], path: str = "/api/callbacks/7", until: Callable[[], Any] = lambda: True
) -> tuple[int, Any]:
    """The route's answer to one delivery; afterwards the app is shut down, which drains the hooks.

    With a store a shutdown leaves to the next start what is not due yet: ``until`` says what to wait for.
    """
    told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    heard: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    lifespan = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    assert await heard.get() == {"type": "lifespan.startup.complete"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app") as client:
        response = await client.post(path, json=list(events))
    for _ in range(1000):
        if until():
            break
        await asyncio.sleep(0.01)
    await told.put({"type": "lifespan.shutdown"})
    assert await heard.get() == {"type": "lifespan.shutdown.complete"}
    await lifespan
    return response.status_code, json.loads(response.content) if response.content else None


@contextmanager
def bare_logging() -> Generator[None]:
    """Logging as a fresh process has it, without pytest's own handlers."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_short_and_says_how_to_run_it(file: Path) -> None:
    """Under 60 lines, and its docstring has the command."""
    text = file.read_text("utf-8")
    assert text.count("\n") < 60
    assert f"examples.{file.stem}:create_app" in text or f"python examples/{file.name}" in text


def test_every_example_is_among_the_tests() -> None:
    """A new example needs a test here, or in tests/examples/test_talking.py."""
    assert [file.stem for file in FILES] == [
        "durable",
        "eventgrid_sink",
        "fastapi_decorator",
        "inbound_speech",
        "outbound_choices",
        "overrides",
        "quickstart",
        "starlette_middleware",
        "stdlib_logging",
        "streaming",
        "verified",
    ]


@pytest.mark.parametrize(
    ("result", "printed"),
    [
        ((486, 560486), "   hook call_again: busy, so dial again later\n"),
        ((603, 0), "   hook close: declined, so no further call (never)\n"),
    ],
    ids=["retryable", "terminal"],
)
async def test_quickstart(capsys: pytest.CaptureFixture[str], result: tuple[int, int], printed: str) -> None:
    """The route answers as it always did; each of the two hooks gets its calls."""
    app = example("quickstart").create_app()
    assert await posted(app, event("CallDisconnected", *result)) == (200, {"received": 1})
    assert capsys.readouterr().out == printed


async def test_starlette_middleware_a_busy_call(capsys: pytest.CaptureFixture[str]) -> None:
    """The route sees the outcomes, the hook what the app set when it placed the call."""
    app = example("starlette_middleware").create_app()
    assert await posted(app, event("CallDisconnected", 486, 560486)) == (200, ["busy"])
    assert capsys.readouterr().out == f"call order-7 again later: {classify(None, 486, 560486).summary}\n"


async def test_starlette_middleware_a_fault_pages_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Two criteria of one hook mean or; in the order of registration."""
    outcome = classify("CallDisconnected", 500, 560500)
    assert (outcome.code, outcome.owner) == (500, "carrier")
    app = example("starlette_middleware").create_app()
    assert await posted(app, event("CallDisconnected", 500, 560500)) == (200, [outcome.cause])
    assert capsys.readouterr().out.splitlines() == [
        f"call order-7 again {outcome.retry_class}: {outcome.summary}",
        f"page carrier: {outcome.advice[0]}",
    ]


async def test_starlette_middleware_an_operation(capsys: pytest.CaptureFixture[str]) -> None:
    """A failed prompt ends no call: only the hook that names the event hears of it. The next event ends it."""
    app = example("starlette_middleware").create_app()
    delivered = event("PlayFailed", 400, 8535), event("CallDisconnected", 603, 0)
    assert await posted(app, *delivered) == (200, ["media", "declined"])
    assert capsys.readouterr().out.splitlines() == [
        "a prompt was not played, media",
        f"close order-7: {classify('CallDisconnected', 603, 0).summary}",
    ]


@pytest.mark.parametrize(
    ("result", "cause", "printed"),
    [
        ((486, 560486), "busy", ["call again later: {summary}"]),
        ((603, 0), "declined", ["close: {summary}"]),
        ((499, 99999), "unknown", ["close: {summary}", "not in the catalog: 499/99999"]),
    ],
    ids=["retryable", "terminal", "unrecognized"],
)
async def test_fastapi_decorator(
    capsys: pytest.CaptureFixture[str], result: tuple[int, int], cause: str, printed: list[str]
) -> None:
    """FastAPI fills the endpoint as ever, and its shutdown drains the hooks."""
    app = example("fastapi_decorator").create_app()
    delivered = event("CallDisconnected", *result)
    assert await posted(app, delivered) == (200, {"order": "7", "causes": [cause]})
    summary = classify("CallDisconnected", *result).summary
    assert capsys.readouterr().out.splitlines() == [line.format(summary=summary) for line in printed]


OVERRIDDEN = """\
480/560480: no_answer later -> no_answer now
503/599001: service_error later -> limit_reached later
486/560486: busy later -> busy later
"""


def test_overrides_as_a_script() -> None:
    """Run as the docstring says, it shows what the file beside it changes, and what not."""
    command = [sys.executable, str(EXAMPLES / "overrides.py")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == (OVERRIDDEN, "")


async def test_overrides_serve_an_app(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """The app's log says the verdict of its own catalog."""
    module = example("overrides")
    module.main()
    assert capsys.readouterr().out == OVERRIDDEN
    with caplog.at_level(logging.INFO):
        answer = await posted(module.create_app(), event("CallDisconnected", 503, 599001), path="/api/callbacks")
    assert answer == (200, {"received": 1})
    outcome = lines_in(caplog.records)[0]
    assert outcome["summary"] == "Our SBC refuses calls outside of calling hours."
    assert outcome["retry_class"] == "later"


async def test_stdlib_logging(capsys: pytest.CaptureFixture[str]) -> None:
    """Ringback's line and the app's own carry the id of the call, and the number in the message is redacted."""
    with bare_logging():
        app = example("stdlib_logging").create_app()
        assert await posted(app, event("CallDisconnected", 603, 0)) == (204, None)
    lines = [line for line in capsys.readouterr().err.splitlines() if " httpx " not in line]
    assert len(lines) == 3
    assert lines[0].startswith(
        f"INFO ringback [{LEG}] call.outcome "
        "event_type=Microsoft.Communication.CallDisconnected scope=call code=603 subcode=0 "
    )
    assert "cause=declined disposition=terminal retry_class=never" in lines[0]
    assert "555" not in lines[0]
    assert lines[1] == f"INFO shop [{LEG}] order 7: 1 events"
    assert lines[2].startswith(f"INFO ringback [{LEG}] call.ended ")


async def test_verified(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a token nothing reaches the route or a hook, and the answer does not say what was missing."""
    monkeypatch.setenv("ACS_RESOURCE_ID", "1f0e5c1a-0000-4000-8000-00000000000a")
    monkeypatch.setenv("ENTRA_TENANT_ID", "1f0e5c1a-0000-4000-8000-00000000000b")
    monkeypatch.setenv("ENTRA_APP_ID", "1f0e5c1a-0000-4000-8000-00000000000c")
    app = example("verified").create_app()
    problem = {"type": "about:blank", "title": "Unauthorized", "status": 401}
    assert await posted(app, event("CallDisconnected", 486, 560486), path="/api/callbacks") == (401, problem)
    assert capsys.readouterr().out == ""


async def test_durable(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A busy customer is called again, though the app was started anew meanwhile, and gets to the end but once."""
    caplog.set_level(logging.INFO, "ringback")
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []

    def shown(text: str) -> bool:
        printed.extend(capsys.readouterr().out.splitlines())
        return any(text in line for line in printed)

    def lines() -> list[str]:
        return [line["event"] for line in lines_in(caplog.records)]

    app = example("durable").create_app()
    busy = event("CallDisconnected", 486, 560486)
    planned = await posted(app, busy, path="/api/callbacks", until=lambda: "redial.scheduled" in lines())
    assert planned == (204, None)
    with closing(sqlite3.connect("ringback.db")) as connection, connection:
        # Ten minutes pass.
        connection.execute("UPDATE items SET due_at = 0 WHERE kind = 'redial'")
    declined = event("CallDisconnected", 603, 0)
    declined["data"]["callConnectionId"] = "1f0e5c1a-0000-4000-8000-000000000002"
    app = example("durable").create_app()
    await posted(app, busy, path="/api/callbacks", until=lambda: shown("again"))
    await posted(app, declined, path="/api/callbacks", until=lambda: shown("close"))
    key = f"call:{declined['data']['callConnectionId']}/example_durable.close"
    assert printed == [
        "call order-7 again, call 2, Repeatability-Request-ID, Repeatability-First-Sent",
        f"close order-7: declined, key {key}, attempt 1",
    ]
    assert lines()[:3] == ["call.outcome", "call.ended", "redial.scheduled"]
    # The second start works on the redial while the delivery comes in.
    assert sorted(lines()[3:]) == [
        "call.ended",
        "call.outcome",
        "call.outcome",
        "call.outcome_duplicate",
        "redial.placed",
    ]


async def test_eventgrid_sink(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The topic gets one event for the ended call, with the key."""
    received: list[tuple[str | None, list[dict[str, Any]]]] = []

    class Topic(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            received.append((self.headers["aeg-sas-key"], json.loads(body)))

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    with HTTPServer(("127.0.0.1", 0), Topic) as topic:
        thread = threading.Thread(target=topic.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("EVENT_GRID_ENDPOINT", f"http://127.0.0.1:{topic.server_port}/api/events")
        monkeypatch.setenv("EVENT_GRID_KEY", "a-made-up-key-of-a-topic=")
        app = example("eventgrid_sink").create_app()
        delivered = event("CallDisconnected", 486, 560486)
        try:
            answer = await posted(app, delivered, path="/api/callbacks", until=lambda: received)
        finally:
            topic.shutdown()
            thread.join()
    assert answer == (204, None)
    [(key, [published])] = received
    assert key == "a-made-up-key-of-a-topic="
    assert (published["type"], published["id"], published["data"]["cause"]) == (
        "Ringback.CallRetryable",
        f"call:{LEG}",
        "busy",
    )
