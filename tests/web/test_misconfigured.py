"""A configuration error ends the start of the server, wherever the app's middleware is made."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette

from ringback import CallOutcomeMiddleware, ConfigurationError, OutcomeRouter
from ringback.testing import CallbackClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ADDED = """
from {module} import {name}
from ringback import CallOutcomeMiddleware, OutcomeRouter

app = {name}()
app.add_middleware(CallOutcomeMiddleware, router=OutcomeRouter(), **{settings})
"""
SERVERS = {
    "uvicorn": ["uvicorn", "--port", "0", "app:app"],
    "hypercorn": ["hypercorn", "--bind", "127.0.0.1:0", "app:app"],
    "granian": ["granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "app:app"],
}
SAID = r"path 'callbacks' does not start with '/'; write '/callbacks'"


@pytest.mark.parametrize(("module", "name"), [("fastapi", "FastAPI"), ("starlette.applications", "Starlette")])
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_ends_with_the_reason(
    server: str, module: str, name: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    """It does not start to answer 500 to everything, health included."""
    source = ADDED.format(module=module, name=name, settings={"path": "callbacks", "auth": None})
    (tmp_path / "app.py").write_text(source)
    command = [part.format(port=unused_tcp_port) for part in SERVERS[server]]
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert SAID in ended.stdout + ended.stderr
    # Hypercorn says 0 of every end.
    assert ended.returncode != 0 or server == "hypercorn"


def bad(**settings: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(CallOutcomeMiddleware, **{"router": OutcomeRouter(), "path": "/c", "auth": None} | settings)
    return app


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"path": "callbacks"}, ConfigurationError, SAID),
    ({"body_timeout": -1}, ConfigurationError, "body_timeout -1 is negative; give seconds, 0 for none"),
    (
        {"settle": 1},
        ConfigurationError,
        "settle is a setting of the engine, which all doors of a router share; "
        "pass it to the router: OutcomeRouter(settle=...)",
    ),
    # A misspelled name is as bad as a wrong value.
    ({"max_bdoy": 1}, ConfigurationError, "there is no setting 'max_bdoy'; did you mean max_body?"),
]


@pytest.mark.parametrize(("settings", "kind", "said"), REFUSED, ids=[repr(row[0]) for row in REFUSED])
async def test_the_lifespan_is_told_and_everything_else_refused(
    settings: dict[str, Any], kind: type[Exception], said: str
) -> None:
    """As the protocol has it; nothing gets past the middleware."""
    app = bad(**settings)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(kind, match=re.escape(said)):
        await app({"type": "lifespan", "asgi": {}, "state": {}}, receive, send)
    [failed] = sent
    assert failed["type"] == "lifespan.startup.failed"
    # Newer Pythons add what may have been meant.
    assert failed["message"].startswith(f"{kind.__name__}: {said}")
    for kept_out in ("http", "websocket"):
        with pytest.raises(kind, match=re.escape(said)):
            await app({"type": kept_out, "method": "GET", "path": "/health", "headers": []}, receive, send)


def test_whoever_makes_it_at_once_hears_at_once() -> None:
    """An app that is wrapped when its module is imported; a router and a verifier are made there in any case."""
    with pytest.raises(ConfigurationError, match=re.escape(SAID)):
        CallOutcomeMiddleware(Starlette(), router=OutcomeRouter(), path="callbacks", auth=None)


async def test_a_running_loop_makes_no_difference() -> None:
    """Servers import an app inside of one."""
    with pytest.raises(ConfigurationError, match=re.escape(SAID)):
        CallOutcomeMiddleware(Starlette(), router=OutcomeRouter(), path="callbacks", auth=None)


class NoApp:
    def __call__(self, environ: object, start_response: object) -> None: ...


def wsgi(environ: object, start_response: object) -> None: ...


def behind(app: Any) -> CallOutcomeMiddleware:
    return CallOutcomeMiddleware(app, router=OutcomeRouter(), path="/api/callbacks", auth=None)


@pytest.mark.parametrize(
    ("app", "name"),
    [
        pytest.param(Flask("shop"), "flask.app.Flask", id="Flask"),
        pytest.param(Flask("shop").wsgi_app, "flask.app.Flask.wsgi_app", id="what Flask lets wrap"),
        pytest.param(NoApp(), f"{__name__}.NoApp", id="object"),
        pytest.param(wsgi, f"{__name__}.wsgi", id="function"),
        pytest.param("shop:app", "builtins.str", id="the name of an app"),
        pytest.param(None, "builtins.NoneType", id="nothing"),
    ],
)
@pytest.mark.parametrize("door", [behind, CallbackClient])
def test_what_speaks_no_asgi_is_refused(door: Callable[[Any], object], app: Any, name: str) -> None:
    """A WSGI app behind the middleware would take each delivery, and answer it with 500."""
    with pytest.raises(ConfigurationError) as raised:
        door(app)
    assert str(raised.value) == (
        f"app {name} is no ASGI app: it cannot be called as (scope, receive, send); a WSGI app, such as Flask's, goes "
        "through a bridge: a2wsgi.WSGIMiddleware(app); or decorate its route: ringback.adapters"
    )


def test_an_app_without_a_signature_is_taken() -> None:
    """A builtin does not say what it takes."""
    app: Any = {}.update
    assert CallbackClient(app).app is app
