"""The client's side of ASGI, without a server: one request with its response, and the app's start-up and shutdown.

Source of the second: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import msgspec

from ringback.exceptions import ConfigurationError, RingbackError, error_text

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ringback.core.outcome import Outcome

Message = dict[str, Any]

ASGIApp = Callable[[Any, Any, Any], "Awaitable[None]"]
"""Any ASGI application: Starlette, FastAPI, Litestar, Quart, Django, or a function."""

Headers = Mapping[str, str | None]
"""Headers by name, in any case. ``None`` removes a header that would be sent otherwise."""

HOST = "callbacks.example.com"


class NoAnswer(RingbackError):
    """The app returned without a whole response; a server would answer 500, or break the connection off."""


class AppNotStarted(RingbackError):
    """The app's start-up or shutdown failed; the message is the app's."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to the sender, and the outcomes that the endpoint got: none for a refused delivery.

    The values of a repeated header are joined with commas.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    outcomes: tuple[Outcome, ...]

    def json(self) -> Any:
        """The body, decoded as JSON. Raises ``msgspec.DecodeError`` for a body that is no JSON."""
        return msgspec.json.decode(self.body)


def checked_path(path: str) -> str:
    """The path. Raises :class:`ConfigurationError` for what no sender can request."""
    if not path.startswith("/"):
        raise ConfigurationError(f"path {path!r} does not begin with /; write one such as /api/callbacks/7")
    return path


def merged(*layers: Headers) -> Headers:
    """The headers of all layers with names in lower case. A later layer wins, also with ``None``."""
    return {name.lower(): value for layer in layers for name, value in layer.items()}


def scope_of(method: str, path: str, headers: Headers, body: bytes) -> dict[str, Any]:
    """The scope of a request as a server makes it. The request has a host, and a content length where it has a body.

    ``path`` may have a query. A POST without a body has the content length 0.
    """
    plain, _, query = checked_path(path).partition("?")
    raw = quote(plain, safe="/%:@!$&'()*+,;=~")
    # WSGI and Django read no body without a content length.
    length = {"content-length": str(len(body))} if body or method.upper() == "POST" else {}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in merged({"host": HOST}, length, headers).items()
            if value is not None
        ],
        "server": (HOST, 443),
        "client": ("127.0.0.1", 50000),
    }


class Exchange:
    """The messages of one request and of its response."""

    def __init__(self, body: bytes) -> None:
        self._pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._answered = asyncio.Event()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = b""

    async def receive(self) -> Message:
        if self._pending:
            return self._pending.pop()
        await self._answered.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            for key, value in message.get("headers", ()):
                name, text = key.decode("latin-1").lower(), value.decode("latin-1")
                self._headers[name] = f"{self._headers[name]}, {text}" if name in self._headers else text
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self._answered.set()

    def reply(self, outcomes: tuple[Outcome, ...]) -> Reply:
        """The response. Raises :class:`NoAnswer` if the app has sent none, or has not sent it to its end."""
        if not self._status or not self._answered.is_set():
            begun = (
                f"began a response with status {self._status} and did not end it" if self._status else "sent nothing"
            )
            raise NoAnswer(f"the app returned and {begun}; a route has to return a response")
        return Reply(self._status, self._headers, self._body, outcomes)


class Lifespan:
    """One life of an app. An app that does not know the protocol raises at its start, and runs without it."""

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._has_started = False
        self._error: Exception | None = None

    async def start(self) -> None:
        """Raises :class:`AppNotStarted` if the app says that its start-up has failed."""
        self._task = asyncio.create_task(self._run())
        answer = await self._answer("lifespan.startup")
        if answer["type"] == "lifespan.startup.failed":
            self._task.cancel()
            await asyncio.wait({self._task})
            raise self._failed(answer)
        self._has_started = answer["type"] == "lifespan.startup.complete"

    async def stop(self) -> None:
        """Raises :class:`AppNotStarted` if the app says that its shutdown has failed, or has raised since its start."""
        assert self._task is not None
        answer: Message = {"type": "ended"}
        if not self._task.done():
            answer = await self._answer("lifespan.shutdown")
        await self._task
        if answer["type"] == "lifespan.shutdown.failed" or (self._has_started and self._error is not None):
            raise self._failed(answer)

    async def _answer(self, message: str) -> Message:
        self._messages.put_nowait({"type": message})
        return await self._answers.get()

    def _failed(self, answer: Message) -> AppNotStarted:
        told = str(answer.get("message", "")) or (self._error and error_text(self._error))
        failed = AppNotStarted(told or f"the app answered {answer['type']}")
        failed.__cause__ = self._error
        return failed

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._messages.get, self._answers.put)
        except Exception as error:
            # An app without lifespan raises ("Lifespan Protocol", "Scope").
            self._error = error
        finally:
            self._answers.put_nowait({"type": "ended"})
