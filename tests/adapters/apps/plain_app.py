"""The standard library's HTTP server with the handler, as anything can be adapted that has no adapter."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any

from ringback.receiving.replies import Reply


def handler(rig: Any) -> type[BaseHTTPRequestHandler]:
    handlers = rig.handlers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            found = handlers.get(path.split("/")[1])
            received: Any = None
            if found is not None:
                received = found.sync.receive(body, self.headers.items(), method=self.command, path=path, query=query)
            if received is None or (isinstance(received, Reply) and received.status == 405):
                self.answer(*rig.route(self.command, path, body, self.headers, None))
                return
            if isinstance(received, Reply):
                self.answer(received.status, received.body, dict(received.headers))
                return
            assert found is not None
            with found.sync.route(received):
                try:
                    self.answer(*rig.route(self.command, path, body, self.headers, received.outcomes))
                except LookupError:
                    self.answer(500, b"", {})

        do_GET = do_OPTIONS = do_POST  # noqa: N815 - the names of the base class

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler
