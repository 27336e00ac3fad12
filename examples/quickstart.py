"""An ordinary callback route, wrapped. Run with: uvicorn --factory examples.quickstart:create_app"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter

router = OutcomeRouter()


@router.on_retryable
async def call_again(outcome: Outcome) -> None:
    print(f"   hook call_again: {outcome.cause}, so dial again {outcome.retry_class}")


@router.on_terminal
def close(outcome: Outcome) -> None:
    print(f"   hook close: {outcome.cause}, so no further call ({outcome.retry_class})")


async def callbacks(request: Request) -> Response:
    """The route as it was before: it reads the events itself and knows nothing of Ringback."""
    events = await request.json()
    return JSONResponse({"received": len(events)})


def create_app() -> Starlette:
    app = Starlette(routes=[Route("/api/callbacks/{context_id}", callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=None, path="/api/callbacks/{context_id}")
    return app
