"""Nothing reaches a guarded route unverified, however method and path are spelled: every framework on every server."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import h2.connection
import h2.events
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.untraced

ASGI = ["uvicorn", "uvicorn, httptools", "hypercorn", "granian"]
WSGI = ["gunicorn", "werkzeug"]
SERVERS = {
    "Starlette": ASGI,
    "Starlette, mounted": ASGI,
    "Starlette, decorator": ASGI,
    "FastAPI": ASGI,
    "FastAPI, root_path": ASGI,
    "FastAPI, decorator": ASGI,
    "Litestar": ASGI,
    "Quart": ASGI,
    "Quart, decorator": ASGI,
    "Django": ASGI,
    "Django, decorator": ASGI,
    "Django, sync decorator": WSGI,
    "ASGI without a framework": ASGI,
    "Flask": ASGI,
    "Flask, a bridge there and back": WSGI,
    "Flask, decorator": WSGI,
    "Azure Functions": ["Functions host"],
    "Azure Functions, decorator": ["Functions host"],
    "aiohttp": ["aiohttp", "gunicorn"],
    "aiohttp, mounted": ["aiohttp"],
    "aiohttp, decorator": ["aiohttp"],
    "anything else": ["http.server"],
}
SITES = [(app, server) for app, servers in SERVERS.items() for server in servers]
SECRET = "a-shared-secret-of-this-app"
LEG = "1f0e5c1a-0000-4000-8000-000000000001"
BODY = json.dumps(
    [
        {
            "id": LEG,
            "source": f"calling/callConnections/{LEG}",
            "type": "Microsoft.Communication.CallDisconnected",
            "data": {"callConnectionId": LEG, "correlationId": LEG},
            "time": "2026-01-02T03:04:05Z",
            "specversion": "1.0",
        }
    ]
).encode()


def asked(port: int, method: str, target: str, body: bytes = BODY) -> int:
    """The status of the answer to a request line that no client would write; 0 for none."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection:
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with contextlib.suppress(ConnectionError):
            connection.sendall(head.encode("latin-1") + body)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
    return int(answer.split(None, 2)[1]) if answer.startswith(b"HTTP/") else 0


ROUTES = ["/api/callbacks", "/cb/7", "/number/7", "/rest/a/b", "/sub/api/callbacks"]


def encoded(path: str, at: int, times: int) -> str:
    """One character of the path in percent-encoding, as often as said."""
    at %= len(path)
    code = f"%{ord(path[at]):02X}"
    for _ in range(times - 1):
        code = quote(code)
    return path[:at] + code + path[at + 1 :]


def inserted(path: str, at: int, text: str) -> str:
    slashes = [index for index, letter in enumerate(path) if letter == "/"] or [0]
    at = slashes[at % len(slashes)]
    return path[:at] + text + path[at:]


PLACES = st.integers(0, 20)
CHANGES: st.SearchStrategy[Callable[[str], str]] = st.one_of(
    st.builds(lambda at, times: lambda path: encoded(path, at, times), PLACES, st.integers(1, 3)),
    st.builds(
        lambda at, text: lambda path: inserted(path, at, text),
        PLACES,
        st.sampled_from(
            ["/", "//", "/.", "/x/..", ";", ";a=1", "%2F", "%2f", "%252F", "%09", "%0A", "%20", "/%2e", "/%2E%2e"]
        ),
    ),
    st.builds(
        lambda text: lambda path: path + text,
        st.sampled_from(
            ["/", "//", "/.", ";a", "%2F", "%0A", "%0D%0A", "%00", "%20", "#a", "%23a", "%3Fa", "?a=1", "/..", "%5C"]
        ),
    ),
    st.builds(
        lambda text: lambda path: text + path,
        st.sampled_from(["http://127.0.0.1", "HTTPS://a.example:1", "x:", "//a.example", "/x/..", "/."]),
    ),
    st.just(lambda path: path.lstrip("/")),
    st.just(lambda path: path.replace("7", "%D9%A7")),
    st.just(lambda path: path.replace("7", "+7")),
)
METHODS = st.sampled_from(
    ["POST", "POST", "post", "Post", "pOST", "PUT", "put", "PATCH", "QUERY", "GET", "HEAD", "OPTIONS"]
)


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """Method and request target: up to four changes of a guarded path."""
    path = draw(st.sampled_from(ROUTES))
    for change in draw(st.lists(CHANGES, max_size=4)):
        path = change(path)
    return draw(METHODS), path or "/"


@pytest.fixture(scope="module", params=SITES, ids=", ".join)
def site(
    request: pytest.FixtureRequest, guarding: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Any]]:
    """A guarded app behind a server: its port, and what reached its routes."""
    with guarding(*request.param, tmp_path_factory.mktemp("gate") / "reached.jsonl") as found:
        yield found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings.default.max_examples // 5)
@given(spellings())
def test_no_spelling_reaches_a_guarded_route_unverified(site: tuple[int, Any], spelling: tuple[str, str]) -> None:
    """The gate is as wide as the route, whatever a framework or a server makes of a request line."""
    port, reached = site
    reached.forget()
    asked(port, *spelling)
    assert reached.requests == []


def test_who_knows_the_secret_reaches_it(site: tuple[int, Any]) -> None:
    """Else the test above would prove nothing."""
    port, reached = site
    reached.forget()
    assert asked(port, "POST", f"/api/callbacks?secret={SECRET}") in (200, 201)
    [[method, _, verified]] = reached.requests
    assert (method, verified) == ("POST", True)


SPELLED = [
    ("Litestar", "POST", "/api/callbacks/"),
    ("Litestar", "POST", "//api/callbacks"),
    ("Litestar", "POST", "/api//callbacks"),
    ("Litestar", "POST", "/api/callbacks%2F"),
    ("Quart", "POST", "//api/callbacks"),
    ("Quart", "POST", "api/callbacks"),
    ("Quart", "POST", "http://127.0.0.1/api/callbacks"),
    ("Quart", "post", "/api/callbacks"),
    ("Flask", "POST", "//api/callbacks"),
    ("Flask", "Post", "/api/callbacks"),
    ("Django", "post", "/api/callbacks"),
    ("Starlette", "POST", "/api/callbacks%0A"),
]


@pytest.mark.parametrize("app", sorted({app for app, _, _ in SPELLED}))
def test_spellings_that_a_framework_routes_are_callbacks_like_any_other(
    guarding: Any, tmp_path: Path, app: str
) -> None:
    """They reach the route, as they would without a gate, and have their outcomes."""
    with guarding(app, "uvicorn", tmp_path / "reached.jsonl") as (port, reached):
        for _, method, target in (each for each in SPELLED if each[0] == app):
            reached.forget()
            assert (asked(port, method, target), reached.requests) == (401, [])
            assert asked(port, method, f"{target}?secret={SECRET}") in (200, 201)
            [[_, _, verified]] = reached.requests
            assert verified


def asked_over_http_2(port: int, method: str, target: str, body: bytes) -> int:
    """The status of the answer to a request that announces no body and may have one; 0 for none."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    fields = {":method": method, ":scheme": "http", ":authority": "127.0.0.1", ":path": target}
    connection.send_headers(1, list(fields.items()), end_stream=not body)
    if body:
        connection.send_data(1, body, end_stream=True)
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as client:
        client.sendall(connection.data_to_send())
        while part := client.recv(65536):
            for event in connection.receive_data(part):
                if isinstance(event, h2.events.ResponseReceived):
                    return int(dict(event.headers or [])[b":status"])
    return 0


@pytest.mark.parametrize(
    "app", ["Starlette", "Starlette, decorator", "Django", "Django, decorator", "Quart", "Quart, decorator"]
)
def test_over_http_2_no_body_comes_by_unseen(guarding: Any, tmp_path: Path, app: str) -> None:
    """There a GET may have one without saying so; without one it is the app's, as in HTTP/1."""
    with guarding(app, "hypercorn", tmp_path / "reached.jsonl") as (port, reached):
        for method in ("GET", "HEAD", "OPTIONS", "PUT"):
            assert asked_over_http_2(port, method, "/api/callbacks", BODY) in (401, 405)
            assert [each for each in reached.requests if not each[2]] == []
        assert asked_over_http_2(port, "GET", "/api/callbacks", b"") in (200, 405)
