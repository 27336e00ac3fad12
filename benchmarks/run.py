"""Ratios to a bare Starlette route, measured pair by pair in one run.

    make bench                      the table
    make bench ARGS="--rounds 60"   steadier
    make bench ARGS="--json"        machine-readable

Each candidate handles the same requests in this process, without sockets. Candidates take turns
within a round, so that whatever else the machine does hits them alike; a ratio is the median over
rounds of the thread's CPU time divided by the bare route's in the same round. Absolute times are
printed for orientation only: on a shared machine they mean little.

Every request carries a token signed by a key of this run, which only the verified candidate looks at.
The verifier by itself is measured against the floor: OpenSSL's RS256 verification of the same token,
called through cryptography, in turns likewise.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import logging
import os
import statistics
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import structlog
from azure.core.messaging import CloudEvent
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - FastAPI reads annotations
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallbackTokenVerifier, CallOutcomeMiddleware, Catalog, Head, Outcome, OutcomeRouter
from ringback.tokens import CALL_AUTOMATION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, MutableMapping

    App = Callable[[Any, Any, Any], Awaitable[None]]

PATH = "/api/callbacks"
SIZES = (1, 10, 1000)
AUDIENCE = "1f0e5c1a-0000-4000-8000-000000000001"
KEY = rsa.generate_private_key(65537, 2048)
TOKEN = jwt.encode(
    {"iss": CALL_AUTOMATION, "aud": AUDIENCE, "nbf": int(time.time()) - 60, "exp": int(time.time()) + 365 * 24 * 3600},
    KEY,
    algorithm="RS256",
    headers={"kid": "benchmark"},
)
AUTHORIZATION = f"Bearer {TOKEN}"
VERIFICATIONS = 500
SINK = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process

TEMPLATE = json.dumps(
    {
        "id": "ID",
        "source": "calling/callConnections/LEG",
        "type": "Microsoft.Communication.CallDisconnected",
        "data": {
            "version": "2024-09-15",
            "operationContext": "order-4711/attempt-1",
            "resultInformation": {
                "code": 486,
                "subCode": 560486,
                "message": "Busy here. DiagCode: 486#560486.@",
            },
            "callConnectionId": "LEG",
            "serverCallId": "aHR0cHM6Ly9hcGkuZXhhbXBsZS5pbnZhbGlkL2FwaS92Mi9jcC9leGFtcGxlLTAx",
            "correlationId": "CALL",
            "publicEventType": "Microsoft.Communication.CallDisconnected",
        },
        "time": "2026-01-15T08:58:50.0629553+00:00",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": "calling/callConnections/LEG",
    },
    separators=(",", ":"),
)


def body(events: int) -> bytes:
    """A fresh delivery: every event ends another call, as in real traffic."""
    made = []
    for _ in range(events):
        event = TEMPLATE
        for name in ("ID", "LEG", "CALL"):
            event = event.replace(name, str(uuid.uuid4()))
        made.append(event)
    return f"[{','.join(made)}]".encode()


async def bare(request: Request) -> Response:
    """A route that reads and decodes the body and does nothing with it."""
    await request.json()
    return Response()


async def reads_outcomes(request: Request) -> Response:
    """A route that uses the attached outcomes instead of decoding again."""
    for outcome in request.state.call_outcomes:
        if outcome.retryable:
            request.scope["seen"] = outcome.cause
    return Response()


def log_line(fields: MutableMapping[str, Any]) -> None:
    structlog.get_logger("app").info("call.outcome", **fields)


async def sample(request: Request) -> Response:
    """The style of the public Azure samples: a CloudEvent object for each event, one line of text."""
    for each in await request.json():
        event = CloudEvent.from_dict(each)
        structlog.get_logger("app").info(f"{event.type}", call_connection_id=event.data["callConnectionId"])
    return Response()


CATALOG = Catalog.default()


async def sample_same_result(request: Request) -> Response:
    """The samples' style, written carefully to the same result: the verdict and the whole log line."""
    for each in await request.json():
        event = CloudEvent.from_dict(each)
        data = event.data
        result = data.get("resultInformation") or {}
        verdict = CATALOG.look_up(event.type, result.get("code"), result.get("subCode"))
        entry = verdict.entry
        log_line(
            {
                "event_id": event.id,
                "event_type": event.type,
                "code": result.get("code"),
                "subcode": result.get("subCode"),
                "cause": entry.cause,
                "category": entry.category,
                "disposition": entry.disposition,
                "retry_class": entry.retry,
                "owner": entry.owner,
                "match": verdict.match,
                "summary": entry.summary,
                "advice": list(entry.advice),
                "sources": [str(source) for source in entry.sources],
                "documentation": entry.documentation,
                "call_connection_id": data.get("callConnectionId"),
                "server_call_id": data.get("serverCallId"),
                "correlation_id": data.get("correlationId"),
                "operation_context": data.get("operationContext"),
                "occurred_at": event.time.isoformat() if event.time else None,
                "message": result.get("message"),
            }
        )
    return Response()


async def fastapi_sample(request: FastAPIRequest) -> Response:
    return await sample_same_result(request)


class NoOp:
    """A middleware that only passes on: what being in the way costs."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def starlette(route: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(routes=[Route(PATH, route, methods=["POST"])])


@contextmanager
def key_server() -> Generator[str]:
    """The address of a key set on this machine; asked once by each verifier, while it warms up."""
    key = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    key_set = json.dumps({"keys": [{**key, "kid": "benchmark", "use": "sig"}]}).encode()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(key_set)))
            self.end_headers()
            self.wfile.write(key_set)

        def log_message(self, *_: object) -> None:
            """Nothing: the table is what is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/keys"
        finally:
            server.shutdown()
            thread.join()


def ringback(route: Callable[[Request], Awaitable[Response]], auth: CallbackTokenVerifier | None = None) -> Starlette:
    app = starlette(route)
    router = OutcomeRouter()

    @router.on(cause="throttled")
    async def never_asked(outcome: Outcome) -> None:
        raise AssertionError(outcome)

    @router.on_retryable
    async def call_again(_: Outcome) -> None:
        """Costs nothing by itself; its calls fall outside the measured requests."""

    # Calls settle long after the run, so that hooks are not measured; see the durable benchmarks for those.
    app.add_middleware(
        CallOutcomeMiddleware, router=router, auth=auth, path=PATH, settle=3600, max_body=64 * 1024 * 1024
    )
    return app


def candidates(keys: str) -> dict[str, tuple[App, bool]]:
    """Each by name, with whether the log is written."""
    fast = FastAPI()
    fast.post(PATH)(fastapi_sample)
    noop = starlette(bare)
    noop.add_middleware(NoOp)
    return {
        "bare route": (starlette(bare), True),
        "no-op middleware": (noop, True),
        "ringback, log off": (ringback(bare), False),
        "ringback": (ringback(bare), True),
        "ringback, verified": (ringback(bare, CallbackTokenVerifier(audience=AUDIENCE, jwks_uri=keys)), True),
        "ringback, route uses the outcomes": (ringback(reads_outcomes), True),
        "sample style": (starlette(sample), True),
        "sample style, same result": (starlette(sample_same_result), True),
        "FastAPI, same result": (fast, True),
    }


def configure_log(level: int) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(SINK),
        cache_logger_on_first_use=False,
    )


async def handle(app: App, content: bytes) -> int:
    """One request through the app, as a server would call it; the response's status."""
    status = 0
    pending = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"authorization", AUTHORIZATION.encode()),
    ]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return status


async def measure(events: int, rounds: int, keys: str) -> dict[str, list[float]]:
    """Seconds of CPU a request, by candidate, one figure a round."""
    requests = max(2, 200 // events)
    apps = candidates(keys)
    taken: dict[str, list[float]] = {name: [] for name in apps}
    order = list(apps)
    for number in range(rounds + 1):
        order.append(order.pop(0))
        for name in order:
            app, logged = apps[name]
            configure_log(logging.INFO if logged else logging.CRITICAL)
            bodies = [body(events) for _ in range(requests)]
            gc.collect()
            gc.disable()
            start = time.thread_time()
            for content in bodies:
                status = await handle(app, content)
            spent = time.thread_time() - start
            gc.enable()
            assert status == 200, (name, status)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)
            if number:  # the first round warms up
                taken[name].append(spent / requests)
    return taken


def ratios(taken: dict[str, list[float]], to: str = "bare route") -> dict[str, dict[str, float]]:
    """Median ratio to one candidate and its spread (first to third quartile), by candidate."""
    reference = taken[to]
    table = {}
    for name, figures in taken.items():
        each = [one / base for one, base in zip(figures, reference, strict=True)]
        low, middle, high = statistics.quantiles(each, n=4)
        table[name] = {"ratio": middle, "low": low, "high": high, "microseconds": statistics.median(figures) * 1e6}
    return table


async def measure_tokens(rounds: int, keys: str) -> dict[str, list[float]]:
    """Seconds of CPU a verification, by Ringback's verifier and by OpenSSL alone, one figure a round."""
    verifier = CallbackTokenVerifier(audience=AUDIENCE, jwks_uri=keys)
    head = Head("POST", PATH, "", (("authorization", AUTHORIZATION),))
    signed, _, signature = TOKEN.rpartition(".")
    message, proof = signed.encode(), base64.urlsafe_b64decode(signature + "==")
    public, scheme, digest = KEY.public_key(), padding.PKCS1v15(), SHA256()

    async def verified() -> None:
        assert await verifier(head) is None

    async def floor() -> None:
        public.verify(proof, message, scheme, digest)

    ways = {"OpenSSL": floor, "ringback": verified}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for number in range(rounds + 1):
        order.reverse()
        for name in order:
            way = ways[name]
            gc.collect()
            gc.disable()
            start = time.thread_time()
            for _ in range(VERIFICATIONS):
                await way()
            spent = time.thread_time() - start
            gc.enable()
            if number:  # the first round warms up, and fetches the key
                taken[name].append(spent / VERIFICATIONS)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="measured rounds (default 30)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    arguments = parser.parse_args()
    configure_log(logging.CRITICAL)  # for what is said at start-up
    with key_server() as keys:
        tables = {size: ratios(asyncio.run(measure(size, arguments.rounds, keys))) for size in SIZES}
        tokens = ratios(asyncio.run(measure_tokens(arguments.rounds, keys)), to="OpenSSL")
    if arguments.json:
        json.dump({**tables, "tokens": tokens}, sys.stdout, indent=2)
        return
    print(f"CPU time as a ratio to the bare route, median of {arguments.rounds} rounds (quartiles)\n")
    print(f"{'':36}" + "".join(f"{size:>7} event{'s' if size > 1 else ' '}     " for size in SIZES))
    for name in tables[1]:
        cells = [tables[size][name] for size in SIZES]
        print(f"{name:36}" + "".join(f"{c['ratio']:7.2f} ({c['low']:.2f}-{c['high']:.2f})" for c in cells))
    same = "sample style, same result"
    print("\ntimes cheaper than the samples' style written to the same result: ", end="")
    print(", ".join(f"{tables[s][same]['ratio'] / tables[s]['ringback']['ratio']:.1f} at {s}" for s in SIZES))
    ours, floor = tokens["ringback"], tokens["OpenSSL"]
    print(
        f"RS256 verification, times the OpenSSL floor: {ours['ratio']:.2f} ({ours['low']:.2f}-{ours['high']:.2f}), ",
        end="",
    )
    print(f"{ours['microseconds']:.0f} us against {floor['microseconds']:.0f} us")
    print("bare route, for orientation: ", end="")
    print(", ".join(f"{tables[s]['bare route']['microseconds']:.0f} us at {s}" for s in SIZES))


if __name__ == "__main__":
    main()
