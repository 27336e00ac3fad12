"""Hooks and redials that survive a crash. Run with: uvicorn --factory examples.durable:create_app

What was answered is in ringback.db before it is: kill the process, start it again, and the hooks are called.
"""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, HookContext, Outcome, OutcomeRouter, RedialPolicy

router = OutcomeRouter(store="sqlite:///ringback.db")


@router.on_terminal
async def close(outcome: Outcome, ctx: HookContext) -> None:
    # Only a crash within this function can call it twice; the key tells your database that it did.
    print(f"close {outcome.operation_context}: {outcome.cause}, key {ctx.idempotency_key}, attempt {ctx.attempt}")


def customer(outcome: Outcome) -> str | None:
    return outcome.operation_context


# Nobody is rung here, so any hour will do. Without `hours`, people are called from 09:00 to 20:00 in their time zone.
@router.redial(contact=customer, policy=RedialPolicy(delays={"busy": 600}, max_attempts=3, hours=None))
async def call_again(contact: str, attempt: int, headers: Mapping[str, str]) -> str:
    # With these headers ACS places one call, however often the request is repeated:
    # call = await client.create_call(target, callback_url, operation_context=contact, headers=headers)
    print(f"call {contact} again, call {attempt}, {', '.join(headers)}")
    return "the call_connection_id of the new call"


async def callbacks(_: Request) -> Response:
    return Response(status_code=204)


def create_app() -> Starlette:
    app = Starlette(routes=[Route("/api/callbacks", callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=None, path="/api/callbacks")
    return app
