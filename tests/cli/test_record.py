"""`ringback record` forwards everything unchanged, keeps deliveries without what is private, and says each request."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from live_server import Served, listening, serving
from ringback.cli import _record, main
from ringback.exceptions import ConfigurationError
from ringback.simulator import Simulator
from ringback.simulator.recordings import proxy
from ringback.simulator.recordings.proxy import MAX_BODY, Proxy, forwarding, origin
from ringback.simulator.recordings.pseudonyms import Pseudonyms
from ringback.simulator.recordings.recorder import Recorder, opened
from ringback.testing import call_connected, call_disconnected, delivery, subscription_validation
from ringback.testing.calls import Call

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

CALL = Call()
END = call_disconnected(486, 560486, call=CALL)


class App:
    """An app that notes each request as it came, and answers with bytes and headers of its own."""

    def __init__(self, status: int = 207) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.requests.append(
            {**{key: scope[key] for key in ("method", "raw_path", "query_string", "headers")}, "body": body}
        )
        headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-own", "Zoë".encode("latin-1"))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"\x00answer\xff"})


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the recording goes."""
    return tmp_path / "calls.jsonl"


@pytest.fixture
def kept(path: Path, said: list[str]) -> Iterator[Recorder]:
    """A recorder whose clock counts."""
    with opened(path) as file:
        yield Recorder(file, Pseudonyms(), said.append, clock=iter(range(100)).__next__)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


SILENT = {"server_header": False, "date_header": False}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "DELETE"])
async def test_a_request_and_its_answer_pass_unchanged(
    kept: Recorder, path: Path, said: list[str], method: str
) -> None:
    """Method, path, query, headers and body byte for byte; only what belongs to one connection stays behind."""
    app = App()
    body = b"\x00 \r\n[not JSON\xff" if method in ("POST", "PUT") else b""
    headers = [
        ("x-one", "1"),
        ("x-one", "2"),
        ("Authorization", "Bearer abc"),
        ("x-mine", "no"),
        ("connection", "x-mine"),
    ]
    async with (
        serving(app, **SILENT) as to,
        serving(Proxy(forwarding(to), kept), **SILENT) as at,
        httpx.AsyncClient() as client,
    ):
        target = f"{at}/api/a%2Fb//c;d?x=%2B1%20&y"
        answer = await client.request(method, target, content=body, headers=headers)
    (request,) = app.requests
    assert (request["method"], request["raw_path"], request["query_string"]) == (
        method,
        b"/api/a%2Fb//c;d",
        b"x=%2B1%20&y",
    )
    assert request["body"] == body
    passed = [
        (name, value)
        for name, value in request["headers"]
        if name not in (b"user-agent", b"accept", b"accept-encoding")
    ]
    assert sorted(passed) == sorted(
        [
            (b"host", at.removeprefix("http://").encode()),
            (b"x-one", b"1"),
            (b"x-one", b"2"),
            (b"authorization", b"Bearer abc"),
            (b"connection", b"close"),
            *([(b"content-length", str(len(body)).encode())] if body else []),
        ]
    )
    assert (answer.status_code, answer.content) == (207, b"\x00answer\xff")
    own = [pair for pair in answer.headers.raw if pair[0].lower() not in (b"transfer-encoding", b"connection")]
    assert sorted(own) == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-own", "Zoë".encode("latin-1"))]
    assert said == [f"-> {method} /api/a%2Fb//c;d: 207; no events, not kept"]
    assert content_of(path) == b""


async def test_deliveries_are_kept_without_what_is_private(kept: Recorder, path: Path, said: list[str]) -> None:
    """A line for each, with the seconds since the first, the app's answer, and a path without secrets."""
    plain = delivery(call_connected(call=CALL), END)

    async def chunks() -> Any:
        for at in range(0, len(plain), 100):
            yield plain[at : at + 100]

    as_text = delivery({**END, "data": json.dumps(END["data"])})
    strange = delivery({**END, "data": "no JSON", "type": "\x1b[31m"})
    nothing = [delivery(subscription_validation()), delivery({**END, "type": 7}), b"[" * 10_000]
    async with serving(App()) as to, serving(Proxy(forwarding(to), kept)) as at, httpx.AsyncClient() as client:
        for body in (chunks(), as_text, *nothing, strange):
            answer = await client.post(f"{at}/api/0a1b2c3d4e5f6a7b8c9d/1?secret=hush", content=body)
            assert answer.status_code == 207
    lines = [json.loads(line) for line in content_of(path).splitlines()]
    assert [(line["at"], line["status"], line["path"]) for line in lines] == [
        (0, 207, "/api/[...]/1"),
        (1, 207, "/api/[...]/1"),
        (5, 207, "/api/[...]/1"),
    ]
    first, second, third = (line["events"] for line in lines)
    assert [event["data"]["callConnectionId"] for event in [*first, *second]] == ["call-1"] * 3
    assert (first[1], third[0]["data"]) == (second[0], "[text]")
    assert said == [
        "-> CallConnected CallDisconnected /api/[...]/1: 207",
        "-> CallDisconnected /api/[...]/1: 207",
        *["-> POST /api/[...]/1: 207; no events, not kept"] * 3,
        "-> event /api/[...]/1: 207",
    ]
    assert mode_of(path) == 0o600
    assert kept.kept == 3


async def test_an_app_that_does_not_answer_is_said(kept: Recorder, path: Path, said: list[str]) -> None:
    """The sender gets 502, and the delivery is kept without a status."""
    with listening() as closed:
        port = closed.getsockname()[1]
    forward = forwarding(f"http://127.0.0.1:{port}")
    async with serving(Proxy(forward, kept)) as at, httpx.AsyncClient() as client:
        answer = await client.post(f"{at}/cb", content=delivery(END))
    why = "the app does not answer (Connection refused)"
    assert (answer.status_code, answer.text) == (502, f"ringback record: {why}\n")
    assert "status" not in json.loads(content_of(path))
    assert said == [f"-> CallDisconnected /cb: {why}"]


async def test_an_answer_that_is_no_http_is_said() -> None:
    """As of another program at that port."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await forwarding(f"http://127.0.0.1:{port}")(proxy.Request("GET", "/", [], b""))
    server.close()
    assert (answer.status, answer.error) == (502, "the app's answer is no HTTP (BadStatusLine)")


async def test_an_app_with_tls_is_verified() -> None:
    """By the authorities of this machine."""
    async with Simulator(tls=True) as acs:
        answer = await forwarding(acs.url)(proxy.Request("GET", "/calling/keys", [], b""))
    assert answer.status == 502
    assert answer.error is not None
    assert answer.error.startswith("the app does not answer (")


async def test_more_than_the_limit_is_refused(kept: Recorder) -> None:
    """The proxy holds a body in memory."""
    app = App()
    async with serving(app) as to, serving(Proxy(forwarding(to), kept)) as at, httpx.AsyncClient() as client:
        answer = await client.post(f"{at}/cb", content=b" " * (MAX_BODY + 1))
    assert (answer.status_code, answer.text) == (413, f"ringback record: the body has more than {MAX_BODY} bytes\n")
    assert app.requests == []


async def test_who_leaves_before_the_end_of_the_body_has_sent_nothing(kept: Recorder, said: list[str]) -> None:
    """Nothing is forwarded."""
    sent = list[Any]()
    messages = [{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await Proxy(forwarding("http://127.0.0.1:1"), kept)({"type": "http"}, receive, send)
    assert (sent, said) == ([], [])


async def test_a_full_disk_ends_nothing(said: list[str]) -> None:
    """The app goes on to be called; the person is told."""
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: ASYNC230, PTH123
        kept = Recorder(full, Pseudonyms(), said.append)
        async with serving(App()) as to, serving(Proxy(forwarding(to), kept)) as at, httpx.AsyncClient() as client:
            assert (await client.post(f"{at}/cb", content=delivery(END))).status_code == 207
    assert said == ["-> CallDisconnected /cb: 207; cannot be kept (No space left on device)"]
    assert kept.kept == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("127.0.0.1:8000", "--to is no origin of an app; write for example --to http://127.0.0.1:8000"),
        ("http://[x/", "--to is no origin of an app; write for example --to http://127.0.0.1:8000"),
        ("http://a:b@c", "--to is no origin of an app; write for example --to http://127.0.0.1:8000"),
        (
            "http://127.0.0.1:8000/api/callbacks",
            "--to has a path, and each request keeps its own; write --to http://127.0.0.1:8000",
        ),
    ],
)
def test_what_is_no_origin_is_refused(given: str, said: str) -> None:
    """With what to write."""
    with pytest.raises(ConfigurationError) as refused:
        origin(given)
    assert str(refused.value) == said


def test_an_origin_may_end_in_a_slash() -> None:
    """As browsers write it."""
    assert origin("https://app.example:8443/") == "https://app.example:8443"


def test_no_file_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recording may be the only one of a rare fault."""
    path = tmp_path / "calls.jsonl"
    path.write_text("precious", "utf-8")
    command = ["record", "--to", "http://127.0.0.1:1", "--port", "0", "--out"]
    assert main([*command, str(path)]) == 2
    assert capsys.readouterr().err == (
        f"ringback record: --out '{path}' is there already; name another file, or move it away\n"
    )
    assert main([*command, str(tmp_path / "none" / "calls.jsonl")]) == 2
    assert "cannot be written (No such file" in capsys.readouterr().err
    assert path.read_text("utf-8") == "precious"


def test_a_recorded_call_is_posted_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From `ringback record` to `ringback trigger --recording`: with other ids, and to the same app."""
    app, path = App(204), tmp_path / "calls.jsonl"

    def serve(asgi: Any, sock: socket.socket) -> None:
        with Served(asgi) as proxied:
            for event in (call_connected(call=CALL), END):
                assert httpx.post(f"{proxied.origin}/cb", content=delivery(event)).status_code == 204
        raise KeyboardInterrupt

    with Served(app) as running:
        arguments = _parsed("record", "--to", running.origin, "--out", str(path), "--port", "0")
        assert _record.record(arguments, serve) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].endswith(f" forwards to {running.origin}, and deliveries go to {path}")
        assert lines[1:] == [
            "send callbacks here in place of your app; Ctrl-C ends it",
            "-> CallConnected /cb: 204",
            "-> CallDisconnected /cb: 204",
            f"ended; 2 deliveries in {path}",
        ]
        to = f"{running.origin}/cb"
        command = ["trigger", "--recording", str(path), "--to", to, "--delay", "0", "--seed", "7"]
        assert main(command) == 0
        assert capsys.readouterr().out.splitlines() == [
            "call-1: recorded, 2 events",
            f"-> CallConnected to {to}: 204",
            f"-> CallDisconnected to {to}: 204",
        ]
    again = [json.loads(request["body"])[0] for request in app.requests]
    assert [event["type"] for event in again] == [*[event["type"] for event in again[:2]]] * 2
    assert again[3]["data"]["resultInformation"] == END["data"]["resultInformation"]
    assert again[3]["data"].keys() == END["data"].keys()
    assert again[3]["data"]["callConnectionId"] not in (CALL.call_connection_id, "call-1")


def test_a_recorded_call_is_played_with_a_client(
    kept: Recorder, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ringback simulate --recording`: each call takes the next recorded one."""
    from ringback.cli import _simulate

    for event in (call_connected(call=CALL), END):
        kept.keep(kept.now(), proxy.Request("POST", "/cb", [], delivery(event)), proxy.Answer(200, [], b""))
    arguments = _parsed("simulate", "--recording", str(path), "--port", "0")
    assert _simulate.simulate(arguments, lambda: None) == 0
    assert capsys.readouterr().out.splitlines()[0] == "call-1: recorded, 2 events"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--call", "call-1"], "--call names a call of a recording; add --recording FILE"),
        (["--recording", "x"], "a scenario and --recording say the opposite; give one of them"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By both commands."""
    assert main(["trigger", "busy", "--to", "http://127.0.0.1:1", *options]) == 2
    assert capsys.readouterr().err == f"ringback trigger: {said}\n"
    assert main(["simulate", "--scenario", "busy", *options]) == 2
    assert capsys.readouterr().err == f"ringback simulate: {said}\n"


def test_a_missing_uvicorn_leaves_no_file(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever installs it and tries again may name the same file."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["record", "--to", "http://127.0.0.1:1", "--out", str(path), "--port", "0"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ringback record: recording needs the extra simulator (")
    assert captured.err.endswith("pip install 'ringback[simulator]'\n")
    assert not path.exists()


def test_the_command_ends_by_sigterm(
    path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """As by a person's Ctrl-C, with the number of deliveries; of headers the app's alone pass."""
    port, headers = free_port(), list[Any]()

    def post() -> None:
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            headers.extend(client.post(f"http://127.0.0.1:{port}/cb", content=delivery(END)).headers.keys())
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=post)
    with Served(App(), **SILENT) as running:
        sender.start()
        assert main(["record", "--to", running.origin, "--out", str(path), "--port", str(port)]) == 0
        sender.join()
    assert capsys.readouterr().out.splitlines()[2:] == [
        "-> CallDisconnected /cb: 207",
        f"ended; 1 deliveries in {path}",
    ]
    assert sorted(headers) == ["set-cookie", "transfer-encoding", "x-own"]


def _parsed(*argv: str) -> Any:
    from ringback.cli import _parser

    return _parser().parse_args(argv)
