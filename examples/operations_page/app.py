"""An app with callbacks, hooks, redials and the operations page. Its store may be filled with a made-up day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from ringback import CallOutcomeMiddleware, HookContext, Outcome, OutcomeRouter, RedialPolicy
from ringback.console import BasicAuth, Console

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.requests import Request

told: list[str] = []
"""The outcomes that the team was told of, by their idempotency keys."""


async def tell_the_team(outcome: Outcome, ctx: HookContext) -> None:
    print(f"{outcome.cause}: {outcome.summary}")
    told.append(ctx.idempotency_key)


async def call_again(contact: str, headers: Mapping[str, str]) -> None:
    """Here the app would call ``create_call`` with these headers."""


async def callbacks(_: Request) -> Response:
    return Response(status_code=204)


def create_app(store: Path, *, password: str, allow_changes: bool = True, settle: float = 1.0) -> Starlette:
    router = OutcomeRouter(store=f"sqlite:///{store}", settle=settle)
    router.on_retryable(tell_the_team)
    router.on_terminal(tell_the_team)
    # Nobody is rung here, so any hour will do.
    policy = RedialPolicy(delays={"busy": 600}, hours=None)
    router.redial(contact=lambda outcome: outcome.operation_context, policy=policy)(call_again)
    page = Console(router=router, auth=BasicAuth("on-call", password), allow_changes=allow_changes)
    app = Starlette(
        routes=[Route("/api/callbacks", callbacks, methods=["POST"]), Mount("/ringback", page)],
    )
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=None, path="/api/callbacks")
    return app
