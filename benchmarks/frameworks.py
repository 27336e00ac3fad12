"""Apps as users of FastAPI and of Flask have them: the bare route, Ringback's decorator, and the samples' two lines."""

from __future__ import annotations

from typing import Any

import apps
import loglines
import samples
from fastapi import FastAPI
from flask import Flask, g, request
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002 - likewise
from traffic import PATH

from ringback import CallbackHandler, OutcomeRouter, call_outcomes
from ringback.adapters.flask import callback

SETTLE = 1.0
"""Seconds, as an app has it: what is to be done after the answer is done while the server is measured."""


def fastapi(route: apps.Endpoint) -> FastAPI:
    app = FastAPI()

    @app.post(PATH)
    async def callbacks(request: Request) -> Response:
        return await route(request)

    return app


def fastapi_decorated() -> FastAPI:
    router = OutcomeRouter(settle=SETTLE)
    app = FastAPI(lifespan=router.lifespan)

    @app.post(PATH)
    @router.callback
    async def callbacks(request: Request) -> dict[str, Any]:
        return {"causes": [outcome.cause for outcome in call_outcomes(request)]}

    return app


def flask() -> Flask:
    app = Flask("app")

    @app.post(PATH)
    def callbacks() -> str:
        assert request.json
        return ""

    return app


def flask_decorated() -> Flask:
    app = Flask("app")

    @app.post(PATH)
    @callback(CallbackHandler(OutcomeRouter(settle=SETTLE), auth=None))
    def callbacks() -> dict[str, Any]:
        return {"causes": [outcome.cause for outcome in g.call_outcomes]}

    return app


def flask_sample() -> Flask:
    app = Flask("app")

    @app.post(PATH)
    def callbacks() -> str:
        samples.lines(request.json)
        return ""

    return app


FASTAPI = {
    apps.BARE: apps.Candidate(lambda: fastapi(apps.bare)),
    "ringback, the route uses the outcomes": apps.Candidate(fastapi_decorated, loglines.configured),
    "sample style, as published": apps.Candidate(lambda: fastapi(samples.published), loglines.plain),
}
FLASK = {
    apps.BARE: apps.Candidate(flask),
    "ringback, the route uses the outcomes": apps.Candidate(flask_decorated, loglines.configured),
    "sample style, as published": apps.Candidate(flask_sample, loglines.plain),
}
