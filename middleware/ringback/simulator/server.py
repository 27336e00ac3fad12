"""The simulator on a socket: uvicorn in a thread of its own, so that blocking clients may talk to it."""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError
from ringback.simulator.posting import shown
from ringback.simulator.wire import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping

    from ringback.simulator.certificate import Certificate
    from ringback.simulator.courier import Courier, Say
    from ringback.simulator.service import Service

MAX_BODY = 1024 * 1024
KEYS = "/calling/keys"
CONFIGURATION = "/calling/.well-known/acsopenidconfiguration"


class Application:
    """The ASGI application: key documents for everybody, all else for the service."""

    def __init__(self, service: Service, courier: Courier, documents: Mapping[str, Any], say: Say) -> None:
        self._service = service
        self._courier = courier
        self._documents = documents
        self._say = say

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        body = b""
        more = True
        while more and len(body) <= MAX_BODY:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope["query_string"].decode("latin-1")
        # As it came: the signature is over the escaped path.
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(scope["method"], target, headers, body)
        answered = asyncio.Event()
        try:
            await _send(send, await self._reply(request, answered))
        finally:
            answered.set()

    async def _reply(self, request: Request, answered: asyncio.Event) -> Reply:
        if len(request.body) > MAX_BODY:
            return Reply(413)
        if request.method == "GET" and request.path in self._documents:
            return Reply(200, self._documents[request.path])
        turn = self._service.handle(request)
        path, _, action = shown(f"http://simulator{request.path}").removeprefix("http://simulator").partition(":")
        fault = f" {turn.reply.content['error']['code']}" if turn.reply.status >= 400 else ""
        self._say(f"<- {request.method} {path}{':' if action else ''}{action}: {turn.reply.status}{fault}")
        if turn.stopped is not None:
            self._courier.stop(turn.stopped)
        for script in turn.scripts:
            # Begun before the answer leaves, so that whoever has it can wait until all is delivered.
            if script.call.scenario.early:
                await self._courier.begin(script)
            else:
                self._courier.begin(script, answered)
        return turn.reply


async def _send(send: Callable[[MutableMapping[str, Any]], Awaitable[None]], reply: Reply) -> None:
    body = reply.body
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    if reply.status != 204:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def listening(port: int) -> socket.socket:
    """A socket on this machine only. Raises :class:`ConfigurationError` if the port is taken."""
    # With its protocol named, asyncio switches Nagle's algorithm off; else each answer waits 40 ms.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise ConfigurationError(f"port {port} cannot be used ({error.strerror}); name another, or 0") from error
    return found


class Server:
    """A thread with a loop that serves an application until it is stopped."""

    def __init__(self, app: Application, courier: Courier, sock: socket.socket, tls: Certificate | None) -> None:
        try:
            uvicorn: Any = importlib.import_module("uvicorn")
        except ImportError as error:
            raise ConfigurationError("the simulator needs uvicorn; pip install 'ringback[simulator]'") from error
        files = {} if tls is None else {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.key)}
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http="h11",
            ws="none",
            # A client that keeps its connection is not waited for.
            timeout_graceful_shutdown=1,
            **files,
        )
        self._server = uvicorn.Server(config)
        self._courier = courier
        self._socket = sock
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="ringback-simulator", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def submit(self, work: Coroutine[Any, Any, Any]) -> Any:
        """A future of the work, which is done in the simulator's own loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._server.serve([self._socket])
        await self._courier.close()
