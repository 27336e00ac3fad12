"""The app that the crash suite starts, kills and starts again. Run by uvicorn in a process of its own.

What it does is written to a journal, a line for each fact, so that it outlives the process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - as an app has it
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, HookContext, HookPolicy, Outcome, OutcomeRouter, RedialPolicy
from ringback.hooks.dispatcher import Dispatcher
from ringback.logs import LogObserver

if TYPE_CHECKING:
    from ringback.stores import DeliveryStore

LEASE = float(os.environ.get("LEASE", "2"))
KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
CAPS = RedialPolicy(
    delays=dict.fromkeys(("busy", "no_answer", "unreachable", "client_network", "service_error", "throttled"), 0.05),
    backoff=0.05,
    jitter=0.0,
    max_attempts=int(os.environ.get("MAX_ATTEMPTS", "100")),
    max_per_day=None,
    # The test may run at any hour.
    hours=None,
)

HOOKS = HookPolicy(attempts=1000, backoff=0.05, max_backoff=0.2)

_journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_hook_seconds = float(os.environ.get("HOOK_SECONDS", "0.005"))

router = OutcomeRouter()


def note(fact: str, key: str) -> None:
    # One write of one line to a file opened for appending: lines of several processes do not mix.
    os.write(_journal, f"{time.time():.6f} {os.getpid()} {fact} {key}\n".encode())


@router.on_retryable
@router.on_terminal
async def hook(outcome: Outcome, ctx: HookContext) -> None:
    note("begin", outcome.outcome_id)
    await asyncio.sleep(_hook_seconds)
    note("redelivered" if ctx.redelivered else "end", outcome.outcome_id)


if "SERVICE" in os.environ:
    # A third of the time that this process takes to start, so not for those that place no call.
    from azure.communication.callautomation import PhoneNumberIdentifier
    from azure.communication.callautomation.aio import CallAutomationClient
    from azure.core.credentials import AzureKeyCredential

    client = CallAutomationClient(os.environ["SERVICE"], AzureKeyCredential(KEY), retry_total=0)

    @router.redial(policy=CAPS, contact=lambda outcome: outcome.operation_context)
    async def call_again(outcome: Outcome, attempt: int, headers: dict[str, str]) -> object:
        note("redial", str(outcome.operation_context))
        return await client.create_call(
            PhoneNumberIdentifier("+15550100002"),
            "https://app.example.invalid/callbacks",
            source_caller_id_number=PhoneNumberIdentifier("+15550100001"),
            operation_context=outcome.operation_context,
            headers=headers,
        )


def store() -> DeliveryStore:
    url = os.environ["STORE"]
    if url.startswith("sqlite"):
        from ringback.stores.sqlite import SQLiteStore

        return SQLiteStore(Path(url.removeprefix("sqlite:///")), lease=LEASE, poll=0.1)
    from ringback.stores.postgres import PostgresStore

    return PostgresStore(url, lease=LEASE, poll=0.1)


async def callbacks(_: Request) -> Response:
    return Response(status_code=204)


def create_app() -> Starlette:
    app = Starlette(routes=[Route("/callbacks", callbacks, methods=["POST"])])
    outer = OutcomeRouter(
        store=store(),
        settle=float(os.environ.get("SETTLE", "0.5")),
        worker=os.environ.get("WORKER", "1") == "1",
        hooks=HOOKS,
        drain=5.0,
    )
    outer.include(router)
    app.add_middleware(CallOutcomeMiddleware, router=outer, path="/callbacks", auth=None)
    return app


def work() -> None:
    """A worker by itself, until it is terminated."""

    async def run() -> None:
        dispatcher = Dispatcher(router, LogObserver(), store=store(), hooks=HOOKS)
        await dispatcher.start()
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        await dispatcher.drain(5.0)

    asyncio.run(run())
