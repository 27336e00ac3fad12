"""A stand-in for Azure Monitor: takes what Microsoft's exporter sends to 127.0.0.1, and keeps the envelopes.

`serving()` runs one; `environment` is what a process needs to send there, and only there. The fixture ``azure_monitor``
of tests/conftest.py is a running one.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "00000000-0000-4000-8000-000000000000"


class AzureMonitor:
    """What arrived. An envelope is a dictionary as the service takes it (Breeze's schema 2.1)."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        taken = self.bodies

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                count = 0
                if self.path.endswith("/track"):
                    taken.append(body)
                    count = len(_envelopes(body))
                answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{self.server.server_port}/"
        endpoints = f"InstrumentationKey={KEY};IngestionEndpoint={url};LiveEndpoint={url}"
        self.environment = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": endpoints,
            # What would be sent to Microsoft itself, or asked of a machine in Azure.
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
            "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
            "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
            "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "otel",
        }

    def envelopes(self, kind: str) -> list[dict[str, Any]]:
        """Those of one type, in the order of their arrival: MetricData, RequestData, RemoteDependencyData, MessageData.

        Each is the ``baseData``, with the envelope's ``tags`` beside it.
        """
        everything = [each for body in list(self.bodies) for each in _envelopes(body)]
        return [
            each["data"]["baseData"] | {"tags": each.get("tags", {})}
            for each in everything
            if each["data"]["baseType"] == kind
        ]


@contextlib.contextmanager
def serving() -> Iterator[AzureMonitor]:
    monitor = AzureMonitor()
    thread = threading.Thread(target=monitor.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield monitor
    finally:
        monitor.server.shutdown()
        thread.join()
        monitor.server.server_close()


def _envelopes(body: bytes) -> list[dict[str, Any]]:
    """A JSON array, or one envelope a line."""
    text = body.decode().strip()
    found: list[dict[str, Any]] = (
        json.loads(text) if text.startswith("[") else [json.loads(x) for x in text.splitlines()]
    )
    return found
