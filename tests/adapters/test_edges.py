"""What single adapters have beside the common behaviour."""

from __future__ import annotations

import ast
import asyncio
import importlib
import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from django.http import HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from flask import Flask, g, request
from quart import Quart

import ringback
from ringback import CallbackHandler, DeliveryError, OutcomeRouter, SharedSecret, StoreUnavailable
from ringback.adapters import azure_functions, django, flask, quart
from ringback.stores import MemoryStore

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
SECRET = "a-shared-secret-of-this-app"
EVENT = {
    "type": "Microsoft.Communication.CallDisconnected",
    "data": {"callConnectionId": LEG, "resultInformation": {"code": 486, "subCode": 560486}},
}
DELIVERY = json.dumps([EVENT]).encode()


def handler(store: MemoryStore | None = None, **settings: Any) -> CallbackHandler:
    return CallbackHandler(OutcomeRouter(store=store), **{"auth": None, "max_body": 1000} | settings)


def flask_app(made: CallbackHandler) -> Flask:
    app = Flask(__name__)
    app.post("/cb")(flask.callback(made)(lambda: {"causes": [each.cause for each in g.call_outcomes]}))
    return app


@pytest.mark.parametrize("size", [1000, 1001, 5000])
def test_flask_reads_no_more_than_the_limit_of_a_body_without_a_length(size: int) -> None:
    """Chunked, as servers hand it over that have not counted it; what fits is read whole."""
    made = handler()
    app, body = flask_app(made), io.BytesIO(DELIVERY.ljust(size))
    inner = app.wsgi_app

    def server(environ: dict[str, Any], start_response: Any) -> Any:
        environ |= {"wsgi.input_terminated": True, "wsgi.input": body, "CONTENT_LENGTH": ""}
        return inner(environ, start_response)

    app.wsgi_app = server  # type: ignore[method-assign]
    answer = app.test_client().post("/cb")
    assert answer.status_code == (200 if size == 1000 else 413)
    assert body.tell() <= 1001
    made.sync.drain()


@pytest.mark.parametrize("size", [len(DELIVERY), 5000])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
def test_flask_lets_no_body_by_that_nobody_announced(method: str, size: int) -> None:
    """A WSGI server of HTTP/2, as granian is, has a body that no header announces, and perhaps a long one."""
    made, app, reached = handler(auth=SharedSecret(SECRET)), Flask(__name__), []
    route = flask.callback(made)(lambda: reached.append(request.stream.read()) or "the route")
    app.route("/cb", methods=["GET", "PUT"])(route)
    inner, bodies = app.wsgi_app, iter([DELIVERY.ljust(size), b"", DELIVERY])

    def server(environ: dict[str, Any], start_response: Any) -> Any:
        body = io.BytesIO(next(bodies))
        environ |= {"SERVER_PROTOCOL": "HTTP/2", "wsgi.input_terminated": True, "wsgi.input": body}
        return inner(environ, start_response)

    app.wsgi_app = server  # type: ignore[method-assign]
    client = app.test_client()
    assert (client.open("/cb", method=method).status_code, reached) == (401, [])
    # Without a body it is the app's but for a PUT; with one, and a secret, the route has the body.
    assert client.open("/cb", method=method).status_code == (401 if method == "PUT" else 200)
    reached.clear()
    assert client.open(f"/cb?secret={SECRET}", method=method).status_code == 200
    assert reached == ([] if method == "OPTIONS" else [DELIVERY])
    made.sync.drain()


def test_flasks_own_limit_is_answered_alike() -> None:
    """As problem details, not as its page."""
    made = handler()
    app = flask_app(made)
    app.config["MAX_CONTENT_LENGTH"] = 10
    answer = app.test_client().post("/cb", data=DELIVERY)
    assert (answer.status_code, answer.mimetype) == (413, "application/problem+json")
    made.sync.drain()


def test_flask_takes_secrets_out_of_what_gunicorn_logs() -> None:
    """The URL is in several places of the environment."""
    made = handler(auth=SharedSecret(SECRET))
    app, seen = flask_app(made), []
    inner = app.wsgi_app

    def server(environ: dict[str, Any], start_response: Any) -> Any:
        environ["RAW_URI"] = f"/cb?secret={SECRET}"
        seen.append(environ)
        return inner(environ, start_response)

    app.wsgi_app = server  # type: ignore[method-assign]
    answer = app.test_client().post("/cb", query_string={"secret": SECRET}, data=DELIVERY)
    assert (answer.status_code, answer.json) == (200, {"causes": ["busy"]})
    (environ,) = seen
    assert (environ["RAW_URI"], environ["QUERY_STRING"]) == ("/cb?secret=[secret]", "secret=[secret]")
    made.sync.drain()


async def test_quarts_own_limits_are_answered_alike() -> None:
    """Quart reads the body by itself, however long it is said to be."""
    app = Quart(__name__)
    app.post("/cb")(quart.callback(handler())(lambda: "the route"))
    app.config |= {"MAX_CONTENT_LENGTH": 10}
    answer = await app.test_client().post("/cb", data=DELIVERY)
    assert (answer.status_code, answer.mimetype) == (413, "application/problem+json")
    app.config |= {"MAX_CONTENT_LENGTH": None, "BODY_TIMEOUT": 0.01}
    async with app.test_client().request("/cb", method="POST") as connection:
        # Nothing more is sent, and the body does not end.
        while not connection.status_code:  # noqa: ASYNC110 - Quart's test client tells nobody
            await asyncio.sleep(0.005)
        assert connection.status_code == 408


async def test_quart_does_not_let_a_long_body_of_another_method_by() -> None:
    """Quart's limit says that there is a body; who sends it is not verified."""
    app = Quart(__name__)
    app.route("/cb", methods=["PUT"])(quart.callback(handler(auth=SharedSecret(SECRET)))(lambda: "the route"))
    app.config |= {"MAX_CONTENT_LENGTH": 10}
    assert (await app.test_client().put("/cb", data=DELIVERY)).status_code == 401
    assert (await app.test_client().put(f"/cb?secret={SECRET}", data=b"[]")).status_code == 200


async def test_quart_does_not_let_a_long_body_by_that_nobody_announced() -> None:
    """Over HTTP/2 a GET need not say that it has a body; one that is longer than Quart reads is one."""
    app = Quart(__name__)
    app.get("/cb")(quart.callback(handler(auth=SharedSecret(SECRET)))(lambda: "the route"))
    app.config |= {"MAX_CONTENT_LENGTH": 10}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "2",
        "method": "GET",
        "scheme": "https",
        "path": "/cb",
        "raw_path": b"/cb",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": None,
        "server": None,
    }
    messages = [{"type": "http.request", "body": DELIVERY, "more_body": False}]
    sent: list[dict[str, Any]] = []
    answered = asyncio.Event()

    async def receive() -> Any:
        if messages:
            return messages.pop()
        # Quart from 0.23 on ends when the client has gone.
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    await app(scope, receive, send)
    assert sent[0]["status"] == 401


@pytest.fixture
def _django() -> None:
    """Its settings, which a process has once."""
    importlib.import_module("django_app")


@pytest.mark.usefixtures("_django")
def test_djangos_own_limit_is_answered_alike() -> None:
    """As problem details, not as its page."""
    made = handler()
    view = django.callback(made)(lambda request: HttpResponse())
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        answer = view(RequestFactory().post("/cb", DELIVERY, content_type="application/json"))
    assert (answer.status_code, answer["content-type"]) == (413, "application/problem+json")
    made.sync.drain()


@pytest.mark.usefixtures("_django")
def test_django_does_not_let_a_long_body_of_another_method_by() -> None:
    """Django's limit says that there is a body; who sends it is not verified."""
    made = handler(auth=SharedSecret(SECRET))
    view = django.callback(made)(lambda request: HttpResponse())
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert view(RequestFactory().put("/cb", DELIVERY, content_type="application/json")).status_code == 401
        assert view(RequestFactory().put(f"/cb?secret={SECRET}", b"[]")).status_code == 200
    made.sync.drain()


@pytest.mark.usefixtures("_django")
async def test_django_takes_secrets_out_of_what_the_server_logs() -> None:
    """In the scope, for ASGI."""
    made = handler(auth=SharedSecret(SECRET))

    async def view(request: Any) -> HttpResponse:
        return HttpResponse(request.call_outcomes[0].cause)

    request = AsyncRequestFactory().post(f"/cb?secret={SECRET}", DELIVERY, content_type="application/json")
    answer = await django.callback(made)(view)(request)
    assert (answer.status_code, answer.content) == (200, b"busy")
    assert SECRET not in str(request.scope)
    assert SECRET not in str({name: value for name, value in request.META.items() if isinstance(value, str)})
    await made.drain()


async def test_functions_may_leave_the_answer_to_ringback() -> None:
    """For an HTTP trigger that does nothing else."""
    made = handler()
    answer = await azure_functions.respond(made, func.HttpRequest("POST", "http://127.0.0.1/cb?a=b", body=DELIVERY))
    assert (answer.status_code, answer.get_body()) == (200, b"")
    answer = await azure_functions.respond(made, func.HttpRequest("POST", "http://127.0.0.1/cb", body=b"no json"))
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    await made.drain()


MESSAGES = [
    pytest.param(func.QueueMessage(body=DELIVERY), id="queue"),
    pytest.param(func.ServiceBusMessage(body=json.dumps(EVENT).encode()), id="service bus, one event"),
    pytest.param(
        func.EventGridEvent(
            id="1f0e5c1a-0000-4000-8000-0000000000ff",
            data=EVENT["data"],  # type: ignore[arg-type]
            topic="/subscriptions/1",
            subject="calling",
            event_type=str(EVENT["type"]),
            event_time=datetime(2026, 1, 2, tzinfo=UTC),
            data_version="1",
        ),
        id="event grid",
    ),
]


@pytest.mark.parametrize("message", MESSAGES)
async def test_other_triggers_bring_events_too(message: Any) -> None:
    """Their outcomes come back, and hooks follow."""
    made = handler()
    assert [each.cause for each in await azure_functions.consume(made, message)] == ["busy"]
    await made.drain()


class DownStore(MemoryStore):
    @property
    def durable(self) -> bool:
        return True

    async def put(self, items: Any) -> Any:  # noqa: ARG002
        raise StoreUnavailable("down")


async def test_a_trigger_raises_what_the_platform_is_to_try_again() -> None:
    """There is nobody to answer, and what stays bad it puts aside."""
    with pytest.raises(DeliveryError, match="JSON"):
        await azure_functions.consume(handler(), func.QueueMessage(body=b"no json"))
    made = handler(store=DownStore())
    with pytest.raises(StoreUnavailable):
        await azure_functions.consume(made, func.QueueMessage(body=DELIVERY))
    await made.drain()


def test_no_adapter_loads_the_framework_of_another() -> None:
    """Nor does the handler load any."""
    program = """
import sys, ringback.web.handler, ringback.adapters
print(sorted({"aiohttp", "azure", "django", "flask", "quart", "litestar"} & set(sys.modules)))
import ringback.adapters.flask
print(sorted({"aiohttp", "azure", "django", "flask", "quart", "litestar"} & set(sys.modules)))
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n['flask']\n"


def test_the_python_of_the_page_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Top to bottom; nothing is opened by that."""
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {name: getattr(ringback, name) for name in ringback.__all__}
    names["__name__"] = "__main__"
    handlers: set[CallbackHandler] = set()
    for block in blocks:
        exec(compile(ast.parse(block), "docs/frameworks.md", "exec"), names)
        handlers |= {each for each in names.values() if isinstance(each, CallbackHandler)}
    answer = names["flask_app"].test_client().post("/api/callbacks", data=DELIVERY)
    assert answer.json == {"causes": ["busy"]}
    assert asyncio.run(names["endpoint"]("POST", "/cb?a=b", {}, b"no json"))[0] == 400
    assert asyncio.run(names["with_work_of_its_own"]({}, b"no json")) == 400
    for each in handlers:
        each.sync.drain()
    assert list(tmp_path.iterdir()) == []
