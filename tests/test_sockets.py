"""A real uvicorn on a loopback socket: whatever is thrown at it, it answers and stays alive."""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from live_server import Served
from records import lines_in
from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, SharedSecret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

    from ringback.senders.auth import Check

PATH = "/api/callbacks/1"
PATHS = ("/api/callbacks/{id}", "/api/callbacks/{id}/{secret}")
DECORATED = "/decorated/1"
MAX_BODY = 20_000
SEED = 20260102


def delivery(leg: str) -> bytes:
    """What Call Automation sends when the person called was on another call."""
    event = {
        "id": "1f0e5c1a-0000-4000-8000-000000000003",
        "source": f"calling/callConnections/{leg}",
        "type": "Microsoft.Communication.CallDisconnected",
        "data": {
            "version": "2025-06-15",
            "operationContext": "context-1",
            "resultInformation": {
                "code": 486,
                "subCode": 560486,
                "message": "Busy Here. DiagCode: 486#560486.@",
                "sipDetails": {"code": 486, "message": "Busy Here"},
            },
            "callConnectionId": leg,
            "serverCallId": "server-1",
            "correlationId": f"call of {leg}",
        },
        "time": "2026-01-02T03:04:05.0629553+00:00",
        "specversion": "1.0",
        "datacontenttype": "application/json",
    }
    return json.dumps([event]).encode()


RAISING = delivery("raise")


class Running(Served):
    """A server in a thread, and what its hook was called with."""

    def __init__(self, auth: Check | None = None, body_timeout: float = 10.0) -> None:
        self.ended: list[str | None] = []
        self.urls: list[str] = []
        router = OutcomeRouter(settle=0)

        @router.on_retryable
        async def note(outcome: Outcome) -> None:
            self.ended.append(outcome.call_connection_id)

        @router.on_terminal
        @router.on(scope="operation")
        def ignore(outcome: Outcome) -> None: ...

        async def callbacks(request: Request) -> Response:
            self.urls.append(f"{request.url.path}?{request.url.query}")
            body = await request.body()
            if body == RAISING:
                raise LookupError("the route's own")
            return JSONResponse({"outcomes": len(request.state.call_outcomes), "bytes": len(body)})

        middleware = Middleware(
            CallOutcomeMiddleware,
            router=router,
            path=PATHS,
            max_body=MAX_BODY,
            auth=auth,
            body_timeout=body_timeout,
        )
        routes = [Route(path, callbacks, methods=["POST"]) for path in PATHS]
        routes.append(Route("/decorated/{id}", router.callback(auth=auth)(callbacks), methods=["POST"]))
        app = Starlette(routes=routes, middleware=[middleware])
        super().__init__(app)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)


@pytest.fixture
def running() -> Iterator[Running]:
    with Running() as server:
        yield server


def ask(
    connection: http.client.HTTPConnection, body: Any, method: str = "POST", path: str = PATH, **headers: str
) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named, encode_chunked=headers.get("transfer_encoding") == "chunked")
    answer = connection.getresponse()
    return answer.status, answer.read()


def answered(outcomes: int, size: int) -> tuple[int, bytes]:
    return 200, b'{"outcomes":%d,"bytes":%d}' % (outcomes, size)


def until(condition: Any) -> bool:
    """Give the server's thread a moment."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """All but the one of the start: these servers have no store."""
    ours = lines_in(caplog.records)
    return [line for line in ours if line["event"] != "hooks.volatile"]


def complaints(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Exceptions in any log, and all that the server and the loop find worth a warning."""
    return [
        each for each in caplog.records if each.exc_info or (each.name != "ringback" and each.levelno > logging.INFO)
    ]


def malformed(chance: random.Random) -> bytes:
    """A valid body broken in some way, or bytes that never were one."""
    body = bytearray(delivery(f"1f0e5c1a-0000-4000-8000-{chance.randrange(10**12):012}"))
    way = chance.randrange(6)
    if way == 0:
        return bytes(body[: chance.randrange(len(body))])
    if way == 1:
        for _ in range(chance.randrange(1, 8)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        return bytes(body)
    if way == 2:
        start = chance.randrange(len(body))
        del body[start : start + chance.randrange(1, 40)]
        return bytes(body)
    if way == 3:
        return chance.randbytes(chance.randrange(200))
    if way == 4:
        return json.dumps(wrong_types(json.loads(body), chance)).encode()
    return chance.choice(ODDITIES)


ODDITIES = (
    b"",
    b"\xef\xbb\xbf[]",
    b"null",
    b"NaN",
    b"[NaN]",
    b"[1e999]",
    b"[" * 5000,
    b'[{"type":' * 500,
    b'{"type":"' + b"x" * 5000 + b'"}',
    b'[{"type":"\\ud800"}]',
    b'[{"type":"Microsoft.Communication.CallDisconnected","data":[]}]',
    b'[{"type":"Microsoft.Communication.CallDisconnected","data":{"resultInformation":{"code":1e400}}}]',
    b'[{"type":"Microsoft.Communication.CallDisconnected","data":{"resultInformation":{"code":%s}}}]' % (b"9" * 5000),
    b'[{"type":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"\xff"}}]',
    b"x" * (MAX_BODY + 1),
)


def wrong_types(value: Any, chance: random.Random) -> Any:
    """The value with some of its parts replaced by what nobody expects there."""
    if chance.random() < 0.1:
        return chance.choice([None, True, -1, 1.5, 10**30, "", "+1 555 0100", [], {}, [[]], {"code": {}}])
    if isinstance(value, dict):
        return {name: wrong_types(each, chance) for name, each in value.items()}
    if isinstance(value, list):
        return [wrong_types(each, chance) for each in value]
    return value


@pytest.mark.untraced
def test_two_thousand_malformed_bodies_do_no_harm(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """No 5xx, no exception in any log; afterwards a delivery is answered and its hook runs once."""
    caplog.set_level(logging.INFO)
    chance = random.Random(SEED)
    connection = running.connect()
    statuses = {ask(connection, malformed(chance))[0] for _ in range(2000)}
    assert statuses == {200, 400, 413}
    valid = delivery("the last")
    assert ask(connection, valid) == answered(1, len(valid))
    assert until(lambda: "the last" in running.ended)
    connection.close()
    assert running.ended.count("the last") == 1
    assert complaints(caplog) == []
    assert {line["event"] for line in lines(caplog)} <= {
        "call.ended",
        "call.outcome",
        "call.outcome_duplicate",
        "delivery.elements_rejected",
        "delivery.rejected",
        "handshake.answered",
    }


def test_a_chunked_upload_reaches_the_route_whole(running: Running) -> None:
    """Chunks are the sender's business."""
    body = delivery("chunked")
    connection = running.connect()
    parts = (body[start : start + 50] for start in range(0, len(body), 50))
    assert ask(connection, parts, transfer_encoding="chunked") == answered(1, len(body))
    connection.close()
    assert until(lambda: running.ended == ["chunked"])


def refused(detail: str, status: int = 413, title: str = "Delivery too large") -> tuple[int, bytes]:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return status, json.dumps(problem, separators=(",", ":")).encode()


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_client_may_go_on_after_a_body_that_is_too_large(running: Running, chunked: bool) -> None:
    """It gets its 413; the next request is answered as if nothing had been."""
    connection = running.connect()
    large = b" " * (MAX_BODY + 5000)
    upload: dict[str, Any] = {"body": iter([large]), "transfer_encoding": "chunked"} if chunked else {"body": large}
    first = ask(connection, **upload)
    assert first == refused(f"the body has more than {MAX_BODY} bytes; at most {MAX_BODY} are accepted")
    body = delivery("after")
    assert ask(connection, body) == answered(1, len(body))
    connection.close()
    assert until(lambda: running.ended == ["after"])


def test_a_client_that_leaves_inside_its_body_is_only_logged(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, no exception; the server goes on."""
    caplog.set_level(logging.INFO)
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(b"POST /api/callbacks/1 HTTP/1.1\r\nHost: app\r\nContent-Length: 500\r\n\r\n[{")
    assert until(lambda: lines(caplog))
    reason = "the sender disconnected before the body was complete"
    assert lines(caplog) == [{"event": "delivery.interrupted", "reason": reason}]
    connection = running.connect()
    body = delivery("after")
    assert ask(connection, body) == answered(1, len(body))
    connection.close()
    assert complaints(caplog) == []


def test_event_grid_can_validate_its_subscription(running: Running) -> None:
    """The Event Grid schema: a POST that wants its code back."""
    event = {
        "id": "1f0e5c1a-0000-4000-8000-000000000004",
        "topic": "/subscriptions/1f0e5c1a-0000-4000-8000-000000000005",
        "subject": "",
        "data": {"validationCode": "1f0e5c1a-0000-4000-8000-000000000006", "validationUrl": "https://example.org/v"},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-01-02T03:04:05.1981776Z",
        "metadataVersion": "1",
        "dataVersion": "1",
    }
    connection = running.connect()
    answer = ask(
        connection,
        json.dumps([event]),
        content_type="application/json; charset=utf-8",
        aeg_event_type="SubscriptionValidation",
        aeg_subscription_name="CALLS",
    )
    connection.close()
    assert answer == (200, b'{"validationResponse":"1f0e5c1a-0000-4000-8000-000000000006"}')


def test_event_grid_can_ask_for_consent(running: Running) -> None:
    """The CloudEvents schema: OPTIONS that wants its origin allowed."""
    connection = running.connect()
    connection.request("OPTIONS", PATH, headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    assert {name: headers[name] for name in ("allow", "webhook-allowed-origin", "webhook-allowed-rate")} == {
        "allow": "OPTIONS, POST",
        "webhook-allowed-origin": "eventgrid.azure.net",
        "webhook-allowed-rate": "*",
    }


# Who may call

SECRET = "a-shared-secret-of-this-app"
OLD_SECRET = "the-secret-that-is-replaced"
SPELLED = "".join(f"%{byte:02x}" for byte in SECRET.encode())
IN_QUERY = SharedSecret(SECRET, OLD_SECRET)
IN_PATH = SharedSecret(SECRET, OLD_SECRET, parameter=None)
CONSENT = {"webhook_request_origin": "eventgrid.azure.net"}


@pytest.mark.parametrize(
    ("auth", "target", "method", "headers", "body", "status", "seen", "logged"),
    [
        pytest.param(
            IN_QUERY,
            f"{PATH}?a=1&secret={SECRET}",
            "POST",
            {},
            delivery("one"),
            200,
            [f"{PATH}?a=1&secret={SECRET}"],
            f"{PATH}?a=1&secret=[secret]",
            id="query",
        ),
        pytest.param(
            IN_QUERY,
            f"{PATH}?secret={OLD_SECRET}",
            "POST",
            {},
            delivery("one"),
            200,
            [f"{PATH}?secret={OLD_SECRET}"],
            f"{PATH}?secret=[secret]",
            id="the other of a rotation",
        ),
        pytest.param(
            IN_QUERY,
            f"{PATH}?secret={SPELLED}",
            "POST",
            {},
            delivery("one"),
            200,
            [f"{PATH}?secret={SPELLED}"],
            f"{PATH}?secret=[secret]",
            id="query, percent-encoded",
        ),
        pytest.param(
            IN_PATH,
            f"{PATH}/{SECRET}",
            "POST",
            {},
            delivery("one"),
            200,
            [f"{PATH}/{SECRET}?"],
            f"{PATH}/%5Bsecret%5D",
            id="path",
        ),
        pytest.param(
            IN_PATH,
            f"{PATH}/{SPELLED}",
            "POST",
            {},
            delivery("one"),
            200,
            [f"{PATH}/{SECRET}?"],
            f"{PATH}/%5Bsecret%5D",
            id="path, percent-encoded",
        ),
        pytest.param(
            IN_QUERY,
            f"{DECORATED}?secret={SECRET}",
            "POST",
            {},
            delivery("one"),
            200,
            [f"{DECORATED}?secret={SECRET}"],
            f"{DECORATED}?secret=[secret]",
            id="decorator",
        ),
        pytest.param(
            IN_QUERY,
            f"{PATH}?secret={SECRET}",
            "POST",
            {},
            b"[{",
            400,
            [],
            f"{PATH}?secret=[secret]",
            id="no delivery",
        ),
        pytest.param(
            IN_QUERY,
            f"{PATH}?secret={SECRET}&secret={SECRET}",
            "POST",
            {},
            delivery("one"),
            401,
            [],
            f"{PATH}?secret=[secret]&secret=[secret]",
            id="refused for saying it twice",
        ),
        pytest.param(
            IN_QUERY,
            f"{PATH}?secret={SECRET}",
            "OPTIONS",
            CONSENT,
            None,
            200,
            [],
            f"{PATH}?secret=[secret]",
            id="handshake",
        ),
        pytest.param(
            IN_QUERY,
            f"{PATH}?secret={SECRET}",
            "GET",
            {},
            None,
            405,
            [],
            f"{PATH}?secret=[secret]",
            id="another method",
        ),
        pytest.param(
            IN_QUERY,
            f"{PATH}?secret={SECRET}",
            "POST",
            {},
            RAISING,
            500,
            [f"{PATH}?secret={SECRET}"],
            f"{PATH}?secret=[secret]",
            id="route that raises",
        ),
    ],
)
def test_a_shared_secret_is_in_no_log_and_the_route_sees_the_url_as_it_was(
    caplog: pytest.LogCaptureFixture,
    auth: Check,
    target: str,
    method: str,
    headers: dict[str, str],
    body: bytes | None,
    status: int,
    seen: list[str],
    logged: str,
) -> None:
    """Neither the server's access log nor a line of ours nor a traceback names it."""
    caplog.set_level(logging.DEBUG)
    with Running(auth) as server:
        connection = server.connect()
        assert ask(connection, body, method, target, **headers)[0] == status
        connection.close()
    access = [each.args for each in caplog.records if each.name == "uvicorn.access"]
    assert [(each[1], each[2], each[4]) for each in access] == [(method, logged, status)]
    assert server.urls == seen
    everything = "\n".join([caplog.text, *(repr(each.__dict__) for each in caplog.records)])
    assert [each for each in (SECRET, OLD_SECRET, SPELLED) if each in everything] == []


@pytest.mark.parametrize("path", [PATH, DECORATED], ids=["middleware", "decorator"])
def test_a_client_may_go_on_after_it_was_refused(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its body is not read, and does not become its next request."""
    caplog.set_level(logging.INFO)
    problem = b'{"type":"about:blank","title":"Unauthorized","status":401}'
    with Running(IN_QUERY) as server:
        connection = server.connect()
        body = delivery("smuggled")
        assert ask(connection, body, path=path) == (401, problem)
        assert ask(connection, body, path=f"{path}?secret=wrong") == (401, problem)
        body = delivery("after")
        assert ask(connection, body, path=f"{path}?secret={SECRET}") == answered(1, len(body))
        connection.close()
    assert server.ended == ["after"]
    assert complaints(caplog) == []
    reasons = [line["reason"] for line in lines(caplog) if line["event"] == "callback.rejected"]
    assert reasons == ["secret_missing", "secret_wrong"]


def test_a_client_that_never_ends_its_body_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """It gets its 408 while it still holds the connection."""
    caplog.set_level(logging.INFO)
    with Running(body_timeout=0.5) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(b"POST /api/callbacks/1 HTTP/1.1\r\nHost: app\r\nContent-Length: 500\r\n\r\n[{")
            assert client.recv(20) == b"HTTP/1.1 408 Request"
        connection = server.connect()
        body = delivery("after")
        assert ask(connection, body) == answered(1, len(body))
        connection.close()
    assert complaints(caplog) == []
    assert lines(caplog)[0] == {
        "event": "delivery.rejected",
        "status": 408,
        "reason": "the body did not arrive within 0.5 seconds",
    }


# With a store, in a process of its own

APP = """
import asyncio, os, sys

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, OutcomeRouter

router = OutcomeRouter(settle=0, store="sqlite:///ringback.db?lease=0.5&poll=0.1")


@router.on_retryable
async def hook(outcome, ctx):
    print("hook", outcome.call_connection_id, ctx.attempt, ctx.redelivered, file=sys.stderr, flush=True)
    if os.environ.get("HANG"):
        await asyncio.Event().wait()


async def callbacks(request):
    return Response(status_code=204)


app = Starlette(routes=[Route("/api/callbacks/{id}", callbacks, methods=["POST"])])
app = CallOutcomeMiddleware(app, router=router, path="/api/callbacks/{id}", auth=None)
"""


class Process:
    """`uvicorn app:app` in a folder, as people run it. Its lines: log lines and prints, in their order."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        (folder / "app.py").write_text(APP, "utf-8")
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--ws", "none", *arguments]
        self._popen = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        self.lines.extend(iter(self._popen.stdout.readline, ""))

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)

    def said(self, text: str) -> list[str]:
        return [line.strip() for line in self.lines if text in line]

    def hooks(self) -> list[str]:
        return self.said("hook one")

    def post(self, leg: str) -> int:
        assert until(lambda: self.said("Uvicorn running on"))
        [line] = self.said("Uvicorn running on")
        port = int(line.partition("http://127.0.0.1:")[2].split()[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        status, _ = ask(connection, delivery(leg))
        connection.close()
        return status

    def end(self, number: int | None) -> int:
        """The exit code; ``None`` waits for the process to end by itself."""
        if number is not None and self._popen.poll() is None:
            self._popen.send_signal(number)
        code = self._popen.wait(20)
        self._reader.join()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        return code


def test_a_restart_runs_what_a_kill_has_left(tmp_path: Path) -> None:
    """Answered with 204, so never lost: the hook that died is called again, and told so; later starts leave it."""
    with Process(tmp_path, HANG="yes") as first:
        assert first.post("one") == 204
        assert until(first.hooks)
        first.end(signal.SIGKILL)
        assert first.hooks() == ["hook one 1 False"]
    with Process(tmp_path) as second:
        assert until(second.hooks)
        assert second.post("one") == 204
        assert until(lambda: second.said("call.outcome_duplicate"))
        # uvicorn raises the signal again once it is done.
        assert second.end(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert second.hooks() == ["hook one 2 True"]
    with Process(tmp_path) as third:
        assert third.post("two") == 204
        assert until(lambda: third.said("hook two"))
        assert third.hooks() == []


def test_a_store_that_cannot_work_ends_the_server_with_the_reason(tmp_path: Path) -> None:
    """A start that would lose calls is none; the last lines say what to do."""
    (tmp_path / "ringback.db").write_bytes(b"This is a letter, and no SQLite file at all." * 100)
    with Process(tmp_path) as server:
        code = server.end(None)
        assert (code, server.said("Uvicorn running on")) == (3, [])
        assert len(server.said("it is no SQLite file; name another one")) == 1
        assert server.said("Application startup failed") != []


def test_a_server_with_its_lifespan_off_works_and_is_told(tmp_path: Path) -> None:
    """From the first delivery on; once."""
    with Process(tmp_path, "--lifespan", "off") as server:
        assert server.post("one") == 204
        assert server.post("two") == 204
        assert until(lambda: server.hooks() and server.said("hook two"))
        assert len(server.said('"event":"lifespan.missing"')) == 1
        assert server.said("hooks.volatile") == []


def test_with_its_lifespan_on_a_server_is_told_nothing(tmp_path: Path) -> None:
    """All is as it should be: the outcome's own line is all there is."""
    with Process(tmp_path, "--lifespan", "on") as server:
        assert server.post("one") == 204
        assert until(server.hooks)
        server.end(signal.SIGTERM)
        assert [json.loads(line)["event"] for line in server.said('"event"')] == ["call.outcome", "call.ended"]


def test_a_server_without_a_store_warns_once_for_each_start(caplog: pytest.LogCaptureFixture) -> None:
    """Of what a crash loses; not with each delivery."""
    caplog.set_level(logging.INFO)
    with Running() as server:
        connection = server.connect()
        for leg in ("one", "two"):
            assert ask(connection, delivery(leg))[0] == 200
        connection.close()
    ours = [line["event"] for line in lines_in(caplog.records)]
    assert ours.count("hooks.volatile") == 1
