"""Servers for the suite of adapters: each runs one app, in a thread, or in a process where it insists on one."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from live_server import Served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APPS = Path(__file__).parent / "apps"


class Running:
    """An app behind a server: where it listens, and what it has written down."""

    def __init__(self, record: Path, port: int) -> None:
        self.port = port
        self._record = record

    def ask(
        self, path: str, body: bytes | None = None, method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    @contextlib.contextmanager
    def sent(self, path: str, body: bytes) -> Iterator[None]:
        """A sender that does not wait for the answer, and leaves at the end of the block."""
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(head.encode() + body)
            yield

    def entries(self, **wanted: object) -> list[dict[str, Any]]:
        # The app may be in the middle of its last line.
        written = [line for line in self._record.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
        entries: list[dict[str, Any]] = [json.loads(line) for line in written]
        return [each for each in entries if wanted.items() <= each.items()]

    def wait_for(self, **wanted: object) -> None:
        """Until this was written down; the limit is for a suite that fails."""
        for _ in range(1000):
            if self.entries(**wanted):
                return
            time.sleep(0.02)
        raise AssertionError(f"{wanted} was never written down: {self.entries()}")


@contextlib.contextmanager
def _in_thread(serve: Callable[[], None], stop: Callable[[], None], port: int) -> Iterator[None]:
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        _until_open(port)
        yield
    finally:
        stop()
        thread.join(30)
    assert not thread.is_alive()


def _until_open(port: int) -> None:
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the server does not listen")


@contextlib.contextmanager
def _hypercorn(app: Any, port: int) -> Iterator[None]:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve(app, config, shutdown_trigger=stopped.wait))  # type: ignore[arg-type]

    with _in_thread(run, lambda: loop.call_soon_threadsafe(stopped.set), port):
        yield


@contextlib.contextmanager
def _granian(app: Any, port: int) -> Iterator[None]:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    loop = asyncio.new_event_loop()
    servers: list[Any] = []

    async def serve() -> None:
        servers.append(Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False))
        await servers[0].serve()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    with _in_thread(run, lambda: loop.call_soon_threadsafe(servers[0].stop), port):
        yield


@contextlib.contextmanager
def _werkzeug(app: Any, port: int) -> Iterator[None]:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None: ...  # noqa: A002 - the name of the base class

    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    try:
        with _in_thread(server.serve_forever, server.shutdown, port):
            yield
    finally:
        server.server_close()


@contextlib.contextmanager
def _aiohttp(app: Any, port: int) -> Iterator[None]:
    from aiohttp import web

    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await stopped.wait()
        await runner.cleanup()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as running:
            running.run(serve())

    with _in_thread(run, lambda: loop.call_soon_threadsafe(stopped.set), port):
        yield


@contextlib.contextmanager
def _plain(app: Any, port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), app)
    try:
        with _in_thread(server.serve_forever, server.shutdown, port):
            yield
    finally:
        server.server_close()


@contextlib.contextmanager
def _gunicorn(app: str, record: Path, port: int, worker: str = "gthread") -> Iterator[None]:
    app = f"wsgi_main:{app}"
    options = ["--workers=1", "--threads=4", "--no-control-socket", f"--bind=127.0.0.1:{port}", f"--chdir={APPS}"]
    options.append(f"--worker-class={worker}")
    environment = os.environ | {"PYTHONWARNINGS": "default"}
    log = record.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, app], stdout=output, stderr=output, env=environment
        )
    try:
        _until_open(port)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()


_uvicorn = functools.partial(Served, http="h11", timeout_graceful_shutdown=5)

SERVERS: dict[str, Callable[[Any, int], contextlib.AbstractContextManager[object]]] = {
    "uvicorn": _uvicorn,
    "uvicorn, httptools": functools.partial(Served, http="httptools", timeout_graceful_shutdown=5),
    "hypercorn": _hypercorn,
    "granian": _granian,
    "werkzeug": _werkzeug,
    "aiohttp": _aiohttp,
    "http.server": _plain,
    # The host is an app of ours, see functions_app.py.
    "Functions host": _uvicorn,
}

# The rows of docs/frameworks.md, by their first columns: framework, way, server; and which app of ours that is.
CASES = {
    ("Starlette", "middleware", "uvicorn"): ("starlette_app", "middleware"),
    ("Starlette", "decorator", "uvicorn"): ("starlette_app", "decorator"),
    ("FastAPI", "middleware", "granian"): ("fastapi_app", "middleware"),
    ("FastAPI", "decorator", "uvicorn"): ("fastapi_app", "decorator"),
    ("Litestar", "middleware", "uvicorn"): ("litestar_app", "middleware"),
    ("Quart", "middleware", "hypercorn"): ("quart_app", "middleware"),
    ("Quart", "decorator", "hypercorn"): ("quart_app", "decorator"),
    ("Django", "middleware", "uvicorn"): ("django_app", "middleware"),
    ("Django, async views", "decorator", "uvicorn"): ("django_app", "async_decorator"),
    ("Django, sync views", "decorator", "gunicorn"): ("django_app", "decorator"),
    ("Django, sync views", "decorator", "werkzeug"): ("django_app", "decorator"),
    ("ASGI without a framework", "middleware", "hypercorn"): ("raw", "middleware"),
    ("Flask", "middleware, a2wsgi", "uvicorn"): ("flask_app", "bridged"),
    ("Flask", "middleware, a2wsgi", "gunicorn"): ("flask_app", "bridged_twice"),
    ("Flask", "decorator", "gunicorn"): ("flask_app", "decorator"),
    ("Flask", "decorator", "werkzeug"): ("flask_app", "decorator"),
    ("aiohttp.web", "middleware", "aiohttp"): ("aiohttp_app", "middleware"),
    ("aiohttp.web", "middleware", "gunicorn"): ("aiohttp_app", "middleware"),
    ("aiohttp.web", "decorator", "aiohttp"): ("aiohttp_app", "decorator"),
    ("aiohttp.web", "decorator", "gunicorn"): ("aiohttp_app", "decorator"),
    ("Azure Functions", "middleware, `AsgiFunctionApp`", "Functions host"): ("functions_app", "middleware"),
    ("Azure Functions", "decorator", "Functions host"): ("functions_app", "decorator"),
    ("anything else", "handler", "http.server"): ("plain_app", "handler"),
}


def worker_of(app: str) -> str:
    """The class of gunicorn's workers for an app, by the name of the app or of its module."""
    return "aiohttp.GunicornWebWorker" if app.startswith("aiohttp") else "gthread"


def named(case: tuple[str, str, str]) -> str:
    return " ".join(case).replace(",", "").replace("`", "")


@contextlib.contextmanager
def serving(case: tuple[str, str, str], record: Path, port: int) -> Iterator[Running]:
    """The app of a row behind its server, until the context ends as a server ends."""
    module, way = CASES[case]
    record.touch()
    if case[2] == "gunicorn":
        with _gunicorn(f"build('{module}', '{way}', '{record}')", record, port, worker_of(module)):
            yield Running(record, port)
        return
    rig = importlib.import_module("rig").Rig(str(record))
    with SERVERS[case[2]](getattr(importlib.import_module(module), way)(rig), port):
        yield Running(record, port)
    rig.end()


@pytest.fixture(scope="module", autouse=True)
def _apps() -> Iterator[None]:
    """The apps import each other, as gunicorn finds them too."""
    sys.path.insert(0, str(APPS))
    yield
    sys.path.remove(str(APPS))


@pytest.fixture(scope="module", params=CASES, ids=named)
def case(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    found: tuple[str, str, str] = request.param
    return found


@pytest.fixture(scope="module")
def running(
    case: tuple[str, str, str], tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Running]:
    with serving(case, tmp_path_factory.mktemp("adapter") / "record.jsonl", free_port()) as server:
        yield server


@pytest.fixture
def serve(tmp_path: Path, free_port: Callable[[], int]) -> Callable[[tuple[str, str, str]], Any]:
    """A server of the test's own, to see it end."""
    return lambda case: serving(case, tmp_path / "record.jsonl", free_port())


@pytest.fixture
def cases() -> set[tuple[str, str, str]]:
    return set(CASES)


@contextlib.contextmanager
def _guarding(app: str, server: str, record: Path, port: int) -> Iterator[tuple[int, Any]]:
    guarded = importlib.import_module("guarded")
    reached = guarded.Reached(str(record))
    if server == "gunicorn":
        serving = _gunicorn(f"build_guarded('{app}', '{record}')", record, port, worker_of(app))
    else:
        serving = SERVERS[server](guarded.APPS[app](reached), port)
    with serving:
        yield port, reached


@pytest.fixture(scope="session")
def guarding(free_port: Callable[[], int]) -> Callable[[str, str, Path], Any]:
    """A guarded app by name, behind a server by name: its port, and what reaches its routes."""
    return lambda app, server, record: _guarding(app, server, record, free_port())
