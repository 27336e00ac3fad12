"""Ended calls on an Event Grid topic. Run with: uvicorn --factory examples.eventgrid_sink:create_app

EVENT_GRID_ENDPOINT is the topic's endpoint, https://NAME.REGION-1.eventgrid.azure.net/api/events,
EVENT_GRID_KEY one of its two access keys.
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, OutcomeRouter
from ringback.eventgrid import EventGridSink


async def callbacks(_: Request) -> Response:
    return Response(status_code=204)


def create_app() -> Starlette:
    router = OutcomeRouter(store="sqlite:///ringback.db")  # what is not published yet survives a crash
    router.add_sink(EventGridSink(os.environ["EVENT_GRID_ENDPOINT"], os.environ["EVENT_GRID_KEY"]))
    app = Starlette(routes=[Route("/api/callbacks", callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=None, path="/api/callbacks")
    return app
