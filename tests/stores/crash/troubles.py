"""The app of the tests about troublesome hooks. The leg of a call says what its hook does: ``hangs-3``, ``good-17``.

Run by uvicorn in a process of its own; what happens is written to the journal, as in ``service.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - as an app has it
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallbackTokenVerifier, CallOutcomeMiddleware, HookContext, HookPolicy, Outcome, OutcomeRouter
from ringback.cli import main
from ringback.testing.signing import AUDIENCE

if TYPE_CHECKING:
    from ringback.stores import DeliveryStore

# On the disk before the hook goes on.
_journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_DSYNC, 0o600)


def note(fact: str, key: str) -> None:
    os.write(_journal, f"{time.time():.6f} {os.getpid()} {fact} {key}\n".encode())


def number(name: str, usual: float) -> float:
    return float(os.environ.get(name, usual))


url = os.environ["STORE"]
policy = HookPolicy(
    attempts=int(number("ATTEMPTS", 5)),
    backoff=0.05,
    timeout=number("TIMEOUT", 60.0),
    concurrency=256 if url == "memory" else 16,
    retry_errors=url != "memory",
)
lease = number("LEASE", 2.0)


def store() -> str | DeliveryStore:
    if not url.startswith("postgresql"):
        return url if url == "memory" else f"{url}?lease={lease}&poll=0.1"
    from ringback.stores.postgres import PostgresStore

    return PostgresStore(url, lease=lease, poll=0.1)


router = OutcomeRouter(store=store(), settle=number("SETTLE", 0.3), hooks=policy, drain=number("DRAIN", 5.0))


def block(seconds: float) -> None:
    # As time.sleep does, which raises OSError under libfaketime once a clock was set.
    select.select([], [], [], seconds)


def kind(outcome: Outcome) -> str:
    return str(outcome.call_connection_id).partition("-")[0]


@router.on_error
def failed(outcome: Outcome, error: Exception) -> None:
    note("given-up", f"{outcome.outcome_id} {type(error).__name__}")


@router.on(when=lambda outcome: kind(outcome) in ("good", "slow", "hangs", "exits", "dies"))
def hook(outcome: Outcome, ctx: HookContext) -> None:
    note("begin", outcome.outcome_id)
    what = kind(outcome)
    if what == "slow":
        block(number("SECONDS", 1.0))
    elif what == "hangs":
        threading.Event().wait()
    elif what == "exits":
        raise SystemExit(3)
    elif what == "dies":
        os._exit(9)
    note("redelivered" if ctx.redelivered else "end", outcome.outcome_id)


@router.on(when=lambda outcome: kind(outcome) in ("blocks", "leaves", "quick"))
async def hook_in_loop(outcome: Outcome, ctx: HookContext) -> None:
    note("begin", outcome.outcome_id)
    what = kind(outcome)
    if what == "blocks":
        block(number("SECONDS", 1.0))
    elif what == "leaves":
        raise KeyboardInterrupt
    note("redelivered" if ctx.redelivered else "end", outcome.outcome_id)


async def callbacks(_: Request) -> Response:
    return Response(status_code=204)


async def resolves(_: Request) -> Response:
    """What any client of HTTP does first: it asks for a thread of the loop's own."""
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    return Response(status_code=204)


def create_app() -> Starlette:
    app = Starlette(routes=[Route("/callbacks", callbacks, methods=["POST"]), Route("/resolves", resolves)])
    keys = os.environ.get("KEYS")
    auth = None if keys is None else CallbackTokenVerifier(audience=AUDIENCE, jwks_uri=keys)
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/callbacks", auth=auth)
    return app


def work() -> None:
    """A worker by itself, as an operator starts one."""
    with contextlib.redirect_stderr(sys.stdout):
        main(["worker", "troubles:router"])
