"""What telemetry costs a delivery, in rounds: off, on, and what OpenTelemetry's SDK alone takes for the same.

    python benchmarks/telemetry.py                      needs opentelemetry-sdk
    python benchmarks/telemetry.py --rounds 10
    python benchmarks/telemetry.py --served             behind uvicorn, the CPU time of its thread
    python benchmarks/telemetry.py --json               machine-readable

One event with its log line, in process, without a server, which hides most of what is asked for. All cases take turns
in each round and who begins moves on, so that whatever else the machine does hits all alike; a ratio is the median over
rounds of CPU time to the round's `off`. Hooks are not called.

Nothing is exported. The last three are the same app without telemetry, with the SDK used by hand around it, as its
documentation shows: a span with one attribute and a counter; and all that Ringback records of the delivery, from dicts
made beforehand, for every delivery and for a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import json
import os
import socket
import statistics
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import structlog
import uvicorn
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, OutcomeRouter
from ringback.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    from starlette.requests import Request

    App = Callable[..., Awaitable[None]]

Spent: TypeAlias = "dict[str, list[float]]"
"""Microseconds of CPU for one delivery, of each case, a number a round."""

PATH = "/api/callbacks"
EVENT = {
    "id": "1f0e5c1a-0000-4000-8000-000000000003",
    "source": "calling/callConnections/1f0e5c1a-0000-4000-8000-000000000001",
    "type": "Microsoft.Communication.CallDisconnected",
    "specversion": "1.0",
    "time": "2026-01-02T03:04:05+00:00",
}
TOLD = {f"cloudevents.event_{name}": EVENT[name] for name in ("id", "source", "type")} | {
    "cloudevents.event_spec_version": "1.0",
    "ringback.outcome_id": "call:1f0e5c1a-0000-4000-8000-000000000001",
}
VERDICT = {
    "event": "CallDisconnected",
    "cause": "busy",
    "category": "Success",
    "disposition": "retryable",
    "match": "pair",
}
SPAN_VERDICT = {f"ringback.{name}": word for name, word in VERDICT.items()}
RESULT = {"result": "accepted"}


class Silent(SpanProcessor):
    """Is called for every span, and keeps none."""


async def route(_: Request) -> Response:
    return Response()


def app(telemetry: Telemetry | None = None) -> App:
    inner = Starlette(routes=[Route(PATH, route, methods=["POST"])])
    return CallOutcomeMiddleware(
        inner, router=OutcomeRouter(), path=PATH, auth=None, settle=3600.0, telemetry=telemetry
    )


def meters() -> MeterProvider:
    return MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


def tracers(**options: Any) -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False, **options)


def bare() -> App:
    inner, tracer = app(), tracers().get_tracer("floor")
    counter = meters().get_meter("floor").create_counter("deliveries")

    async def measured(scope: Any, receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("delivery", kind=SpanKind.CONSUMER, attributes=RESULT):
            await inner(scope, receive, send)
        counter.add(1, RESULT)

    return measured


def floor(**options: Any) -> App:
    inner, tracer, meter = app(), tracers(**options).get_tracer("floor"), meters().get_meter("floor")
    deliveries, outcomes = meter.create_counter("deliveries"), meter.create_counter("outcomes")

    async def measured(scope: Any, receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("delivery", kind=SpanKind.CONSUMER) as span:
            await inner(scope, receive, send)
            if span.is_recording():
                span.add_event("ringback event", TOLD | SPAN_VERDICT)
                span.set_attributes({"ringback.events": 1, "ringback.result": "accepted"})
        outcomes.add(1, VERDICT)
        deliveries.add(1, RESULT)

    return measured


def on(**options: Any) -> App:
    return app(Telemetry(meters(), tracers(**options)))


def processed() -> App:
    provider = tracers()
    provider.add_span_processor(Silent())
    return app(Telemetry(meters(), provider))


TENTH = ParentBased(TraceIdRatioBased(0.1))
CASES: dict[str, Callable[[], App]] = {
    "off": app,
    "off again": app,
    "metrics only": lambda: app(Telemetry(meters())),
    "sampled never": partial(on, sampler=ALWAYS_OFF),
    "sampled 10 %": partial(on, sampler=TENTH),
    "every span": on,
    "every span, processed": processed,
    "by hand, bare span": bare,
    "by hand, the same": floor,
    "by hand, sampled 10 %": partial(floor, sampler=TENTH),
}


def body(number: int) -> bytes:
    leg = f"1f0e5c1a-0000-4000-8000-{number:012d}"
    result = {"code": 486, "subCode": 560486, "message": "Busy here."}
    ids = {"callConnectionId": leg, "correlationId": leg, "serverCallId": "c2VydmVy"}
    source = f"calling/callConnections/{leg}"
    return json.dumps([{**EVENT, "id": leg, "source": source, "data": {**ids, "resultInformation": result}}]).encode()


async def send(_: MutableMapping[str, Any]) -> None: ...


async def taken(case: App, bodies: list[bytes]) -> float:
    """Microseconds of CPU for one delivery."""
    gc.collect()
    gc.disable()
    begun = time.thread_time()
    for each in bodies:
        waiting = [{"type": "http.request", "body": each, "more_body": False}]

        async def receive(waiting: list[dict[str, Any]] = waiting) -> dict[str, Any]:
            return waiting.pop()

        scope = {"type": "http", "method": "POST", "path": PATH, "root_path": "", "query_string": b"", "headers": []}
        await case(scope, receive, send)
    spent = time.thread_time() - begun
    gc.enable()
    return spent / len(bodies) * 1e6


def turns(rounds: int, deliveries: int) -> Iterator[tuple[int, str, list[bytes]]]:
    """Round, case and bodies. Round 0 only warms up."""
    names = list(CASES)
    for number in range(rounds + 1):
        bodies = [body(number * deliveries + each) for each in range(deliveries)]
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            yield number, name, bodies


async def in_process(rounds: int, deliveries: int) -> Spent:
    apps = {name: made() for name, made in CASES.items()}
    spent: Spent = {name: [] for name in CASES}
    for number, name, bodies in turns(rounds, deliveries):
        took = await taken(apps[name], bodies)
        if number:
            spent[name].append(took)
    return spent


def served(rounds: int, deliveries: int) -> Spent:
    """Each case a server of its own, all in one thread, whose time is taken; this one is the client."""
    clients: dict[str, http.client.HTTPConnection] = {}
    ready, over = threading.Event(), threading.Event()

    async def serving() -> None:
        servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []
        for name, made in CASES.items():
            listening = socket.create_server(("127.0.0.1", 0))
            clients[name] = http.client.HTTPConnection(*listening.getsockname())
            server = uvicorn.Server(
                uvicorn.Config(made(), log_level="critical", timeout_keep_alive=600, lifespan="off")
            )
            servers.append((server, asyncio.create_task(server.serve([listening]))))
        ready.set()
        await asyncio.to_thread(over.wait)
        for server, task in servers:
            server.should_exit = True
            await task

    thread = threading.Thread(target=asyncio.run, args=(serving(),))
    thread.start()
    ready.wait()
    clock = time.pthread_getcpuclockid(cast("int", thread.ident))
    spent: Spent = {name: [] for name in CASES}
    for number, name, bodies in turns(rounds, deliveries):
        begun = time.clock_gettime(clock)
        for each in bodies:
            clients[name].request("POST", PATH, each)
            clients[name].getresponse().read()
        if number:
            spent[name].append((time.clock_gettime(clock) - begun) / len(bodies) * 1e6)
    for client in clients.values():
        client.close()
    over.set()
    thread.join()
    return spent


def summary(spent: Spent) -> dict[str, dict[str, float]]:
    return {
        name: {
            "us": round(statistics.median(spent[name]), 1),
            "ratio": round(statistics.median(x / y for x, y in zip(spent[name], spent["off"], strict=True)), 2),
        }
        for name in spent
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--deliveries", type=int, default=300, help="of each case in a round")
    parser.add_argument("--served", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - it is no path
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.PrintLoggerFactory(nowhere)
        )
        if arguments.served:
            spent = served(arguments.rounds, arguments.deliveries)
        else:
            spent = asyncio.run(in_process(arguments.rounds, arguments.deliveries))
        found = summary(spent)
    if arguments.json:
        print(json.dumps({"telemetry": found}))
    else:
        print("\n".join(f"{name:<24} {each['us']:>7} us  {each['ratio']:.2f}x" for name, each in found.items()))


if __name__ == "__main__":
    main()
