"""Spans and metrics as a collector gets them: sent by the SDK's OTLP exporters over HTTP, read from the bytes received.

Skipped where there is no exporter, unless RINGBACK_REQUIRE_OTLP is set.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter
from ringback.stores.sqlite import SQLiteStore
from ringback.telemetry import Telemetry
from ringback.telemetry._telemetry import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

if not os.environ.get("RINGBACK_REQUIRE_OTLP"):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs opentelemetry-exporter-otlp-proto-http")

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
EVENT = "1f0e5c1a-0000-4000-8000-000000000003"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER = ("1" * 32, "2" * 16)
PATH = "/api/callbacks"
BODY = [
    {
        "id": EVENT,
        "source": f"calling/callConnections/{LEG}",
        "type": "Microsoft.Communication.CallDisconnected",
        "specversion": "1.0",
        "traceparent": f"00-{OTHER[0]}-{OTHER[1]}-01",
        "data": {
            "callConnectionId": LEG,
            "operationContext": "+1 555 0100",
            "resultInformation": {"code": 486, "subCode": 560486, "message": "to +1 555 0100"},
        },
    }
]
CLOUD_EVENT = {
    "cloudevents.event_id": EVENT,
    "cloudevents.event_source": f"calling/callConnections/{LEG}",
    "cloudevents.event_type": "Microsoft.Communication.CallDisconnected",
}
VERDICT = {
    "event": "CallDisconnected",
    "cause": "busy",
    "category": "Success",
    "disposition": "retryable",
    "match": "pair",
}
OUTCOME = {"outcome_id": f"call:{LEG}", **VERDICT, "retry_action": "place_call"}
CALL = {"cause": "busy", "category": "Success", "disposition": "retryable", "retry_action": "place_call"}


class Collector:
    """Takes what is posted, and keeps the bytes."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, bytes]] = []
        posted = self.posted

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def is_ours(self, told: Any) -> None:
        """Who measured, in which release, and whose names the attributes have."""
        assert (told.scope.name, told.scope.version) == ("ringback", version("ringback"))
        # The lowest versions of the exporter leave it out.
        assert told.schema_url == (SCHEMA if _minor(version("opentelemetry-exporter-otlp-proto-common")) >= 40 else "")

    def spans(self) -> dict[str, Any]:
        """The span of each name."""
        told: dict[str, Any] = {}
        for path, body in self.posted:
            if path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    (scope,) = resource.scope_spans
                    self.is_ours(scope)
                    for span in scope.spans:
                        assert span.name not in told
                        told[span.name] = span
        return told

    def metrics(self) -> dict[str, Any]:
        """What was sent last, by its name."""
        bodies = [body for path, body in self.posted if path == "/v1/metrics"]
        (resource,) = ExportMetricsServiceRequest.FromString(bodies[-1]).resource_metrics
        (scope,) = resource.scope_metrics
        self.is_ours(scope)
        return {each.name: each for each in scope.metrics}


def _minor(release: str) -> int:
    return int(release.split(".")[1])


def plain(attributes: Any) -> dict[str, str | int]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.05,))
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


async def route(_: Request) -> Response:
    return Response()


@pytest.mark.parametrize("durable", [False, True], ids=["in memory", "from a store"])
async def test_what_crosses_the_wire(collector: Collector, tmp_path: Path, durable: bool) -> None:
    """Parents, links, attributes and counts of one delivery and its hook, whole; and nothing private in any byte."""
    tracers = TracerProvider(shutdown_on_exit=False)
    sent = OTLPMetricExporter(f"{collector.url}/v1/metrics")
    reader = PeriodicExportingMetricReader(sent)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector.url}/v1/traces")))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    router = OutcomeRouter(
        settle=0.0,
        store=SQLiteStore(tmp_path / "ringback.db") if durable else None,
        telemetry=Telemetry(meters, tracers),
    )
    called = asyncio.Event()

    @router.on_retryable
    async def call_again(outcome: Outcome) -> None:
        called.set()
        raise ValueError("no line to +1 555 0100")

    app = CallOutcomeMiddleware(
        Starlette(routes=[Route(PATH, route, methods=["POST"])]),
        router=router,
        path=PATH,
        auth=None,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "authorization": "Bearer abc123.def456"}
        assert (await client.post(PATH, content=json.dumps(BODY), headers=headers)).status_code == 200
    async with asyncio.timeout(10):
        await called.wait()
    await router.drain(5)
    await asyncio.to_thread(tracers.shutdown)
    await asyncio.to_thread(meters.shutdown)

    spans = collector.spans()
    delivery, hook = spans.pop("ringback delivery"), spans.pop("ringback hook")
    assert spans == {}
    assert (delivery.trace_id.hex(), delivery.parent_span_id.hex()) == (TRACE, PARENT)
    assert delivery.kind == delivery.SPAN_KIND_CONSUMER
    assert plain(delivery.attributes) == {
        "messaging.system": "azure_call_automation",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.batch.message_count": 1,
        "result": "accepted",
    }
    (told,) = delivery.events
    version = {"cloudevents.event_spec_version": "1.0"}
    assert (told.name, plain(told.attributes)) == ("ringback event", CLOUD_EVENT | version | OUTCOME)
    (link,) = delivery.links
    assert (link.trace_id.hex(), link.span_id.hex(), plain(link.attributes)) == (*OTHER, CLOUD_EVENT | version)

    linked = [(each.trace_id, each.span_id) for each in hook.links]
    if durable:
        assert (hook.parent_span_id, linked) == (b"", [(delivery.trace_id, delivery.span_id)])
        assert hook.trace_id != delivery.trace_id
    else:
        assert (hook.trace_id, hook.parent_span_id, linked) == (delivery.trace_id, delivery.span_id, [])
    name = f"{__name__}.{call_again.__qualname__}"
    assert plain(hook.attributes) == CLOUD_EVENT | OUTCOME | {
        "hook": name,
        "attempt": 1,
        "result": "error",
        "error.type": "ValueError",
    }
    assert (hook.status.code, hook.status.message) == (hook.status.STATUS_CODE_ERROR, "")

    metrics = collector.metrics()
    deliveries, outcomes = metrics["ringback.deliveries"], metrics["ringback.outcomes"]
    counted = {plain(point.attributes)["result"]: point.as_int for point in deliveries.sum.data_points}
    assert {result: count for result, count in counted.items() if count} == {"accepted": 1}
    assert (deliveries.unit, deliveries.sum.is_monotonic) == ("{delivery}", True)
    assert [(plain(point.attributes), point.as_int) for point in outcomes.sum.data_points] == [(VERDICT, 1)]
    calls = metrics["ringback.calls"]
    assert [(plain(point.attributes), point.as_int) for point in calls.sum.data_points] == [(CALL, 1)]
    assert (calls.unit, calls.sum.is_monotonic) == ("{call}", True)
    (attempt,) = metrics["ringback.hook.duration"].histogram.data_points
    assert (plain(attempt.attributes), attempt.count) == ({"hook": name, "result": "error"}, 1)

    posted = b"".join(body for _, body in collector.posted)
    assert not [leak for leak in (b"555 0100", b"5550100", b"abc123", b"no line") if leak in posted]
