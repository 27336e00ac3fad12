"""Serves the simulator: uvicorn runs in another thread, so that a blocking client may call the simulator."""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ringback.exceptions import ConfigurationError
from ringback.simulator.control import RING, ring
from ringback.simulator.files import OBJECTS
from ringback.simulator.posting import shown
from ringback.simulator.wire import Reply, Request, read

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from concurrent.futures import Future

    from ringback.simulator.arrivals import Arrivals
    from ringback.simulator.authority import Certificate
    from ringback.simulator.calls import Arrival
    from ringback.simulator.courier import Courier
    from ringback.simulator.files import Files
    from ringback.simulator.outside import Say
    from ringback.simulator.service import Service
    from ringback.simulator.wire import Message, Receive, Send
    from ringback.testing.signing import Issuer

T = TypeVar("T")

MAX_BODY = 1024 * 1024
KEYS = "/calling/keys"
CONFIGURATION = "/calling/.well-known/acsopenidconfiguration"


def documents_of(issuer: Issuer | None, jwks_uri: str) -> Mapping[str, Any]:
    """What a verifier of the callbacks' tokens asks for, by path."""
    if issuer is None:
        return {}
    return {KEYS: issuer.key_set, CONFIGURATION: {"issuer": issuer.issuer, "jwks_uri": jwks_uri}}


@dataclass(frozen=True, slots=True)
class Application:
    """The ASGI application. It answers requests for keys, control and files; the service answers all others."""

    service: Service
    courier: Courier
    arrivals: Arrivals
    usual: Arrival
    files: Files
    documents: Mapping[str, Any]
    say: Say

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        # The client signs the escaped path, so the path stays escaped.
        if (found := await read(scope, receive, MAX_BODY)) is None:
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(scope["method"], found[0], headers, found[1])
        answered = asyncio.Event()
        try:
            await _send(send, await self._reply(request, answered))
        finally:
            answered.set()

    async def _reply(self, request: Request, answered: asyncio.Event) -> Reply:
        if len(request.body) > MAX_BODY:
            return Reply(413)
        if request.method == "GET" and request.path in self.documents:
            return Reply(200, self.documents[request.path])
        if request.path == RING:
            return self._said(request, await ring(request, self.arrivals, self.usual))
        if request.path.startswith(f"{OBJECTS}/"):
            return self._said(request, self.files.answer(request))
        reply, turn = self.service.handle(request)
        self._said(request, reply)
        if turn.stopped is not None:
            self.courier.stop(turn.stopped)
        for script in turn.scripts:
            # The script begins before the answer leaves, so that a client with the answer can wait for all callbacks.
            if script.call.scenario.early:
                await self.courier.begin(script)
            else:
                self.courier.begin(script, answered)
        if turn.rings is not None:
            self.arrivals.redirected(turn.rings, answered)
        return reply

    def _said(self, request: Request, reply: Reply) -> Reply:
        path, _, action = shown(f"http://simulator{request.path}").removeprefix("http://simulator").partition(":")
        fault = f" {reply.content['error']['code']}" if reply.status >= 400 else ""
        self.say(f"<- {request.method} {path}{':' if action else ''}{action}: {reply.status}{fault}")
        return reply


async def _send(send: Send, reply: Reply) -> None:
    body = reply.body
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    if reply.status != 204:
        headers += [(b"content-type", reply.media_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def listening(port: int) -> socket.socket:
    """A socket on this machine only. Raises :class:`ConfigurationError` if the port is taken, or is none."""
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port {port} is out of range; give 1 to 65535, or 0 for any")
    # asyncio switches Nagle's algorithm off only for a named protocol; else every answer waits 40 ms.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise ConfigurationError(f"port {port} cannot be used ({error.strerror}); name another, or 0") from error
    return found


def protocol_without_access_log(**settings: Any) -> asyncio.Protocol:
    """uvicorn's HTTP/1.1 protocol for one connection; it writes no line to the access log.

    uvicorn's own setting ``access_log=False`` ends the logger ``uvicorn.access`` for the whole process, and with it the
    access log of an app that uvicorn serves in this process.
    """
    module: Any = importlib.import_module("uvicorn.protocols.http.h11_impl")
    protocol: Any = module.H11Protocol(**settings)
    protocol.access_log = False
    return cast("asyncio.Protocol", protocol)


class Server:
    """A thread whose loop serves an application until :meth:`stop`."""

    def __init__(self, app: Application, courier: Courier, sock: socket.socket, tls: Certificate | None) -> None:
        uvicorn: Any = importlib.import_module("uvicorn")
        files = {} if tls is None else {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.key)}
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            http=protocol_without_access_log,
            ws="none",
            # The server does not wait for a client that keeps its connection.
            timeout_graceful_shutdown=1,
            **files,
        )
        self._server = uvicorn.Server(config)
        self._courier = courier
        self._socket = sock
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="ringback-simulator", daemon=True
        )

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run the work in the simulator's loop; the future of its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._server.serve([self._socket])
        await self._courier.close()
