"""Answers incoming calls, asks for a choice, says the answer and hangs up; see README.md beside this file."""

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from azure.communication import callautomation as acs
from azure.communication.callautomation.aio import CallAutomationClient, CallConnectionClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError
from fastapi import FastAPI, Request

from ringback import (
    CallbackTokenVerifier,
    CallEnded,
    CallOutcomeMiddleware,
    Calls,
    EventGridTokenVerifier,
    OutcomeRouter,
    parse_delivery,
)
from ringback.exceptions import WaitError
from ringback.waits.calls import Call

log = logging.getLogger(__name__)
MENU = "For opening hours press one, for the address press two."
ANSWERS = {"one": "We are open from eight to six.", "two": "Our address is in your confirmation."}


def env(name: str) -> Any:
    return field(default_factory=lambda: os.environ[name], repr=False)


@dataclass(frozen=True)
class Settings:
    """Where everything is, and who may post: Microsoft's two senders. What is secret comes from the environment."""

    endpoint: str = env("ACS_ENDPOINT")
    access_key: str = env("ACS_ACCESS_KEY")
    resource_id: str = env("ACS_RESOURCE_ID")
    tenant: str = env("ENTRA_TENANT_ID")
    app_id: str = env("ENTRA_APP_ID")
    callbacks: str = env("CALLBACK_URL")
    speech: str = env("COGNITIVE_SERVICES_ENDPOINT")
    jwks_uri: str | None = None  # Azure's


def text(words: str) -> acs.TextSource:
    return acs.TextSource(text=words, voice_name="en-US-AvaNeural")


async def converse(call: Call, connection: CallConnectionClient, caller: dict[str, Any]) -> str:
    """What the caller chose. Raises CallEnded as soon as they hang up."""
    phone = caller.get("phoneNumber")
    who = acs.PhoneNumberIdentifier(phone["value"]) if phone else acs.CommunicationUserIdentifier(caller["rawId"])
    await call.wait_for("CallConnected")
    options: dict[str, Any] = {"dtmf_max_tones_to_collect": 1, "operation_context": "menu"}
    await connection.start_recognizing_media(acs.RecognizeInputType.DTMF, who, play_prompt=text(MENU), **options)
    heard = await call.wait_for(["RecognizeCompleted", "RecognizeFailed"], operation_context="menu", timeout=60)
    tones = json.loads(heard.raw)["data"].get("dtmfResult", {}).get("tones", [])
    choice = tones[0] if tones else "none"
    await connection.play_media(text(ANSWERS.get(choice, "Good-bye.")), operation_context="answer")
    await call.wait_for("PlayCompleted", operation_context="answer", timeout=60)
    return choice


def create_app(settings: Settings | None = None) -> FastAPI:
    chosen = settings or Settings()
    client = CallAutomationClient(chosen.endpoint, AzureKeyCredential(chosen.access_key))
    calls = Calls(router := OutcomeRouter())
    choices, under_way = Counter[str](), set[asyncio.Task[None]]()

    async def serve(incoming: dict[str, Any]) -> None:
        try:
            context, speech = incoming["incomingCallContext"], chosen.speech
            answered = await client.answer_call(context, chosen.callbacks, cognitive_services_endpoint=speech)
            async with calls.call(answered.call_connection_id or "") as call:
                connection = client.get_call_connection(call.call_connection_id)
                try:
                    choices[await converse(call, connection, incoming["from"])] += 1
                except CallEnded:
                    choices["hung up"] += 1  # why is in the log line of the outcome
                    return
                except WaitError as error:
                    if error.outcome is not None and error.outcome.cause == "canceled":
                        choices["hung up"] += 1  # who hangs up cancels the prompt first
                        return
                    log.warning("%s", error)
                await connection.hang_up(is_for_everyone=True)
        except AzureError as error:
            # Gone, or answered already: Event Grid delivers at least once.
            log.warning("the call was not served: %s", type(error).__name__)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with client:
            yield
            await asyncio.gather(*under_way)

    app = FastAPI(lifespan=lifespan)

    @app.post("/api/{sender}", status_code=204)
    async def events(request: Request) -> None:
        for event in parse_delivery(await request.body()).events:
            if event.name == "IncomingCall":
                under_way.add(task := asyncio.create_task(serve(json.loads(event.raw)["data"])))
                task.add_done_callback(under_way.discard)

    @app.get("/choices")
    async def chosen_so_far() -> dict[str, int]:
        return choices

    callback = CallbackTokenVerifier(audience=chosen.resource_id, jwks_uri=chosen.jwks_uri)
    grid = EventGridTokenVerifier(tenant=chosen.tenant, audience=chosen.app_id, jwks_uri=chosen.jwks_uri)
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/{sender}", auth=[callback, grid])
    return app
