"""The apps that are compared, by name.

The bare route is a Starlette app with one route that does ``events = await request.json()`` and answers 200: what
every receiver of callbacks has to do. Unless a name says otherwise the route behind Ringback is that very route.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import loglines
import signing
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from traffic import PATH

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter
from ringback.settings import ENGINE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from traffic import App

    Endpoint = Callable[[Request], Awaitable[Response]]

BARE = "bare route"
LARGEST = 64 * 1024 * 1024
"""Bytes: more than 5000 events have, so that no limit is met."""


async def bare(request: Request) -> Response:
    """Reads and decodes the body and does nothing with it."""
    events = await request.json()
    assert events
    return Response()


async def reads_outcomes(request: Request) -> Response:
    """Uses what Ringback has attached instead of decoding again."""
    for outcome in request.state.call_outcomes:
        if outcome.retryable:
            request.scope["seen"] = outcome.cause
    return Response()


def starlette(route: Endpoint) -> Starlette:
    """An app with this one route."""
    return Starlette(routes=[Route(PATH, route, methods=["POST"])])


def ringback(route: Endpoint = bare, *, hooks: bool = False, settle: float = 3600.0, **options: Any) -> Starlette:
    """The app with Ringback in front. A call settles long after the measuring, so that no hook is measured."""
    app = starlette(route)
    engine = {"settle": settle, "drain": 0.0} | {name: options.pop(name) for name in ENGINE if name in options}
    router = OutcomeRouter(**engine)
    if hooks:

        @router.on(cause="throttled")
        async def never_asked(outcome: Outcome) -> None:
            raise AssertionError(outcome)

        @router.on_retryable
        async def call_again(_: Outcome) -> None:
            """What a hook costs beyond being called is the app's."""

    settings = {"auth": None, "max_body": LARGEST} | options
    app.add_middleware(CallOutcomeMiddleware, router=router, path=PATH, **settings)
    return app


def measured() -> App:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    from ringback.telemetry import Telemetry

    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    return ringback(telemetry=Telemetry(meters, TracerProvider(shutdown_on_exit=False)))


def verified() -> App:
    return ringback(auth=signing.verifier())


def sample(name: str) -> Callable[[], App]:
    """The app of that name in samples.py."""

    def make() -> App:
        import samples

        return starlette(getattr(samples, name))

    return make


@dataclass(frozen=True, slots=True)
class Candidate:
    """An app to be compared, and how it is to be run."""

    make: Callable[..., Any]
    """An ASGI app, or a WSGI app for a server of such."""
    log: loglines.Configure = loglines.off
    clock: Callable[[], float] = time.thread_time
    """CPU seconds; of all threads where another thread has a share in the work."""
    token: Callable[[], bytes] | None = None
    """The header ``authorization`` of the next request, if requests have one."""
    durable: bool = False
    """Whether ``make`` takes ``store=``, and the app is told of its start and its end."""
    to_the_end: bool = False
    """Whether the app is told of its end, and what it does then is measured, too: the hooks of all calls."""


ROUTE = Candidate(lambda: starlette(bare))
CANDIDATES = {
    "ringback, log off": Candidate(ringback),
    "ringback": Candidate(ringback, loglines.configured),
    "ringback, plain structlog": Candidate(ringback, loglines.plain),
    "ringback, structlog with orjson": Candidate(ringback, loglines.fast),
    "ringback, structlog through logging": Candidate(ringback, loglines.through_logging),
    "ringback, plain logging": Candidate(ringback, loglines.plain_logging),
    "ringback, route uses the outcomes": Candidate(lambda: ringback(reads_outcomes), loglines.configured),
    "ringback, hooks called": Candidate(
        lambda: ringback(hooks=True, drain=600.0), loglines.configured, to_the_end=True
    ),
    "ringback, metrics and spans": Candidate(measured, loglines.configured),
    "ringback, verified": Candidate(verified, loglines.configured, token=signing.new),
    "ringback, verified, known token": Candidate(verified, loglines.configured, token=signing.known),
    "ringback, durable hooks (SQLite)": Candidate(
        lambda store: ringback(hooks=True, store=store), loglines.configured, time.process_time, durable=True
    ),
    "sample style, as published": Candidate(sample("published"), loglines.plain),
    "sample style, same work": Candidate(sample("same_work"), loglines.plain),
    "public app, a comparison a type": Candidate(sample("by_contexts"), loglines.plain),
    "public app, without CloudEvent": Candidate(sample("by_name"), loglines.plain),
}
"""What is compared with the bare route, in the order of the table."""

SIDES = {
    "ringback": lambda: ringback(reads_outcomes),
    "samples": sample("published"),
    "same work": sample("same_work"),
}
"""Three ways to the same end: the route uses the outcomes, writes the samples' two lines, or does the work by hand."""
SIDE_BY_SIDE = {
    f"{side}; {setup}": Candidate(make, log) for setup, log in loglines.SETUPS.items() for side, make in SIDES.items()
}
"""Each of them through each log set-up."""
