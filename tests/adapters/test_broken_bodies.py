"""A body that breaks off on a WSGI server, where the framework raises what the server raises."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from flask import Flask

from records import lines_in
from ringback import CallbackHandler, OutcomeRouter, SharedSecret
from ringback.adapters import django, flask

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "a-shared-secret-of-this-app"


class WrongChunk(Exception):
    """What a server raises for chunks that are none; gunicorn's are no OSError."""


class Broken:
    """The ``wsgi.input`` of a body that may begin, and ends or raises then."""

    def __init__(self, raised: Exception | None, *parts: bytes) -> None:
        self._raised = raised
        self._parts = list(parts)

    def read(self, _: int = -1) -> bytes:
        if self._parts:
            return self._parts.pop()
        if self._raised is not None:
            raise self._raised
        return b""

    readline = read


INTERRUPTED = {"event": "delivery.interrupted", "reason": "the sender disconnected before the body was complete"}


def rejected(reason: str) -> dict[str, object]:
    return {"event": "delivery.rejected", "status": 400, "reason": reason}


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [line for line in lines_in(caplog.records) if line["event"].startswith("delivery.")]


def handler() -> CallbackHandler:
    return CallbackHandler(OutcomeRouter(), auth=SharedSecret(SECRET))


def served(made: CallbackHandler, **environment: object) -> Any:
    """A client of an app of Flask, behind a server that gives this environment."""
    app = Flask(__name__)
    app.route("/cb", methods=["GET", "POST"])(flask.callback(made)(lambda: "the route"))
    inner: Callable[..., Any] = app.wsgi_app
    app.wsgi_app = lambda environ, start_response: inner(environ | environment, start_response)  # type: ignore[method-assign]
    return app.test_client()


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        pytest.param(None, INTERRUPTED, id="shorter than announced"),
        pytest.param(ConnectionResetError(), INTERRUPTED, id="the connection is gone"),
        pytest.param(
            WrongChunk(), rejected("the body breaks off or is framed wrongly; send it whole"), id="wrong chunks"
        ),
    ],
)
def test_in_flask_it_is_no_fault_of_the_app(
    raised: Exception | None, line: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server raises, the sender gets 400 and the log has one line."""
    made = handler()
    client = served(made, **{"CONTENT_LENGTH": "9", "wsgi.input": Broken(raised, b"[")})
    assert client.post(f"/cb?secret={SECRET}").status_code == 400
    assert told(caplog) == [line]
    made.sync.drain()


def test_in_flask_a_body_that_nobody_announced_is_one_though_it_breaks_off() -> None:
    """Over HTTP/2, where a GET need not say that it has a body: its sender must be verified."""
    made = handler()
    broken = {"wsgi.input_terminated": True, "wsgi.input": Broken(ConnectionResetError())}
    assert served(made, SERVER_PROTOCOL="HTTP/2", **broken).get("/cb").status_code == 401
    made.sync.drain()


@pytest.mark.parametrize(
    ("length", "line"),
    [
        pytest.param("9", INTERRUPTED, id="the connection is gone"),
        pytest.param("0x9", rejected("the content length is no number; send the body's"), id="no number"),
    ],
)
def test_in_django_it_is_no_fault_of_the_app(
    length: str, line: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """The sender gets 400, and the log has one line. With another method than POST it must be verified, too."""
    importlib.import_module("django_app")
    made = handler()
    environment: dict[str, Any] = {"CONTENT_LENGTH": length, "wsgi.input": Broken(ConnectionResetError())}
    view = django.callback(made)(lambda request: HttpResponse("the view"))
    assert view(RequestFactory().post(f"/cb?secret={SECRET}", **environment)).status_code == 400
    assert told(caplog) == [line]
    assert view(RequestFactory().put("/cb", **environment)).status_code == 401
    made.sync.drain()
