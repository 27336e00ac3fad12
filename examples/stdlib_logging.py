"""Plain logging, no structlog: the call ids in every line.

Run with: uvicorn --factory examples.stdlib_logging:create_app

Ringback's lines go to the logger `ringback`; the filter gives your own lines of the same request
the ids of the call. Every key of the outcome is in the record (`record.cause`), for JSON formatters.
"""

import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, OutcomeRouter
from ringback.logs import ContextFilter

log = logging.getLogger("shop")
router = OutcomeRouter()


async def callbacks(request: Request) -> Response:
    log.info("order %s: %d events", request.path_params["order"], len(await request.json()))
    return Response(status_code=204)


def configure_logging() -> None:
    handler = logging.StreamHandler()
    handler.addFilter(ContextFilter())
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s [%(call_connection_id)s] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def create_app() -> Starlette:
    configure_logging()
    app = Starlette(routes=[Route("/api/callbacks/{order}", callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=None, path="/api/callbacks/{order}")
    return app
