"""An app whose telemetry a test looks at, and the attributes that it must have."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - the decorator reads the annotations
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback import (
    CallOutcomeMiddleware,
    OutcomeRouter,
)
from ringback.settings import ENGINE
from ringback.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-000000000002"
EVENT = "1f0e5c1a-0000-4000-8000-000000000003"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"
PATH = "/api/callbacks"


def event(name: str = "CallDisconnected", code: int = 486, subcode: int = 560486, **more: Any) -> dict[str, Any]:
    return {
        "id": EVENT,
        "source": f"calling/callConnections/{LEG}?secret=hush-hush-hush",
        "type": f"Microsoft.Communication.{name}",
        "data": {
            "callConnectionId": LEG,
            "correlationId": CALL,
            "resultInformation": {"code": code, "subCode": subcode, "message": "Busy. +1 555 0100"},
        },
        "time": "2026-01-02T03:04:05+00:00",
        "specversion": "1.0",
        **more,
    }


def delivery(*events: object) -> bytes:
    return json.dumps(events or [event()]).encode()


CLOUD_EVENT = {
    "cloudevents.event_id": EVENT,
    "cloudevents.event_source": f"calling/callConnections/{LEG}",
    "cloudevents.event_spec_version": "1.0",
    "cloudevents.event_type": "Microsoft.Communication.CallDisconnected",
}
CLASSIFIED = {
    "event": "CallDisconnected",
    "cause": "busy",
    "category": "Success",
    "disposition": "retryable",
    "match": "pair",
}
OUTCOME = {"outcome_id": f"call:{LEG}", **CLASSIFIED, "retry_action": "place_call"}
SETTLED = {"cause": "busy", "category": "Success", "disposition": "retryable", "retry_action": "place_call"}
PROCESSED = {
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.system": "azure_call_automation",
}
ONE_ACCEPTED = PROCESSED | {"messaging.batch.message_count": 1, "result": "accepted"}
STORED = {name: value for name, value in CLOUD_EVENT.items() if name != "cloudevents.event_spec_version"}


class Sight:
    """Telemetry into memory, with a clock that the test turns."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False, **options)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracer = tracers.get_tracer("app")
        self.telemetry = Telemetry(meters, tracers, clock=lambda: self.now)

    def spans(self, name: str) -> list[Any]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    @property
    def delivery(self) -> Any:
        (span,) = self.spans("ringback delivery")
        return span

    def metrics(self) -> dict[str, Any]:
        """Every data point: a counter's or gauge's value, a histogram's count and sum, by its attributes.

        Without results that no delivery has had.
        """
        found = self.reader.get_metrics_data()
        told: dict[str, Any] = {}
        for each in () if found is None else found.resource_metrics[0].scope_metrics[0].metrics:
            told[each.name] = [
                (dict(point.attributes), point.value if hasattr(point, "value") else (point.count, point.sum))
                for point in each.data.data_points
                if each.name != "ringback.deliveries" or point.value
            ]
        return {name: points for name, points in told.items() if points}


async def accepted(request: Request) -> Response:
    return JSONResponse({"trace": trace.get_current_span().get_span_context().trace_id})


def behind(sight: Sight, route: Callable[..., Any] = accepted, router: OutcomeRouter | None = None, **more: Any) -> Any:
    app = Starlette(routes=[Route(PATH, route, methods=["GET", "POST", "OPTIONS"])])
    more = {"auth": None, "settle": 0.0} | more
    outer = OutcomeRouter(telemetry=sight.telemetry, **{name: more.pop(name) for name in ENGINE if name in more})
    outer.include(router or OutcomeRouter())
    return CallOutcomeMiddleware(app, router=outer, path=PATH, **more)


def decorated(sight: Sight, route: Callable[..., Any] = accepted, **more: Any) -> Any:
    router = OutcomeRouter(settle=0.0, telemetry=sight.telemetry, store=more.pop("store", None))
    endpoint = router.callback(**({"auth": None} | more))(route)
    return Starlette(routes=[Route(PATH, endpoint, methods=["GET", "POST", "OPTIONS"])])


async def ask(app: Any, method: str = "POST", **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, PATH, **more)


async def settled(until: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not until():  # noqa: ASYNC110 - it is not ours to set an event
            await asyncio.sleep(0.005)


BOTH = pytest.mark.parametrize("made", [behind, decorated], ids=["middleware", "decorator"])
