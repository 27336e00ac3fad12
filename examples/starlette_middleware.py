"""A route that answers with what Ringback found, and hooks for chosen outcomes.

Run with: uvicorn --factory examples.starlette_middleware:create_app
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter

router = OutcomeRouter()


@router.on_retryable
async def call_again(outcome: Outcome) -> None:
    print(f"call {outcome.operation_context} again {outcome.retry_class}: {outcome.summary}")


@router.on_terminal
def close(outcome: Outcome) -> None:
    print(f"close {outcome.operation_context}: {outcome.summary}")


@router.on(owner=["admin", "carrier", "azure"])
@router.on(code=range(500, 600))
async def page_someone(outcome: Outcome) -> None:
    print(f"page {outcome.owner}: {outcome.advice[0]}")


@router.on(event="PlayFailed")
async def prompt_failed(outcome: Outcome) -> None:
    print(f"a prompt was not played, {outcome.cause}")


async def callbacks(request: Request) -> Response:
    outcomes: tuple[Outcome, ...] = request.state.call_outcomes
    return JSONResponse([outcome.cause for outcome in outcomes])


def create_app() -> Starlette:
    app = Starlette(routes=[Route("/api/callbacks/{order}", callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=None, path="/api/callbacks/{order}")
    return app
