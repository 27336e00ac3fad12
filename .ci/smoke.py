"""One call, start to end, with the versions that are installed: the real client, our simulator, an app over uvicorn."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import uvicorn
from azure.communication.callautomation import CallInvite, CommunicationUserIdentifier
from azure.communication.callautomation.aio import CallAutomationClient
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, classify, parse_delivery
from ringback.testing import Simulator

BODY = b'[{"id":"1","source":"x","specversion":"1.0","type":"Microsoft.Communication.CallDisconnected","data":{}}]'


async def called() -> list[Outcome]:
    """The outcomes that the app's hook got of one call to a busy line."""
    router = OutcomeRouter(settle=0.05)
    outcomes: list[Outcome] = []

    @router.on_retryable
    async def again(outcome: Outcome) -> None:
        outcomes.append(outcome)

    async def callbacks(_: object) -> Response:
        return Response()

    async with Simulator("busy") as acs:
        app = Starlette(routes=[Route("/callbacks", callbacks, methods=["POST"])])
        auth = acs.issuer.verifier()
        app.add_middleware(CallOutcomeMiddleware, router=router, path="/callbacks", auth=auth)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with CallAutomationClient(acs.url, acs.credential) as client:
            target = CommunicationUserIdentifier("8:acs:4c2b5e1f-0000-4000-8000-000000000001_5d3a4f10")
            await client.create_call(CallInvite(target), f"http://127.0.0.1:{port}/callbacks")
            await acs.idle()
        server.should_exit = True
        await serving
    return outcomes


assert classify("CallDisconnected", 486, 560486).cause == "busy"
assert len(parse_delivery(BODY).events) == 1
assert EventGridEvent is not None
assert EventGridPublisherClient is not None
[outcome] = asyncio.run(called())
assert (outcome.cause, outcome.disposition) == ("busy", "retryable"), outcome
names = ("azure-communication-callautomation", "azure-eventgrid", "azure-core", "starlette", "structlog", "uvicorn")
print("a call was placed, and its end heard, with", *(f"{name} {version(name)}" for name in names))
