"""Only Microsoft gets in. Run with: uvicorn --factory examples.verified:create_app

Call Automation's callbacks and Event Grid's IncomingCall on one path: one of the checks must agree.
Set ACS_RESOURCE_ID, the immutable id of the Communication Services resource, ENTRA_TENANT_ID and
ENTRA_APP_ID; docs/security.md says where to find them, and how to set up the event subscription
`incoming-calls`.
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback import (
    CallbackTokenVerifier,
    CallOutcomeMiddleware,
    EventGridTokenVerifier,
    Outcome,
    OutcomeRouter,
)

router = OutcomeRouter()


@router.on_retryable
@router.on_terminal
async def tell(outcome: Outcome) -> None:
    print(f"Microsoft says {outcome.cause}: {outcome.summary}")


async def callbacks(request: Request) -> Response:
    return JSONResponse({"received": len(request.state.call_outcomes)})


def create_app() -> Starlette:
    app = Starlette(routes=[Route("/api/callbacks", callbacks, methods=["POST"])])
    callback = CallbackTokenVerifier(audience=os.environ["ACS_RESOURCE_ID"])
    event_grid = EventGridTokenVerifier(
        tenant=os.environ["ENTRA_TENANT_ID"], audience=os.environ["ENTRA_APP_ID"], subscriptions=["incoming-calls"]
    )
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=[callback, event_grid], path="/api/callbacks")
    return app
