"""Calls the people on a list, and again those who were busy or did not pick up; see README.md beside this file."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from azure.communication.callautomation import CallConnectionProperties, PhoneNumberIdentifier, TextSource
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError, ResourceNotFoundError
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, StringConstraints

from ringback import CallbackTokenVerifier, CallOutcomeMiddleware, Outcome, OutcomeRouter, RedialPolicy


def env(name: str) -> Any:
    return field(default_factory=lambda: os.environ[name], repr=False)


@dataclass(frozen=True)
class Settings:
    """Where everything is. What is secret comes from the environment."""

    endpoint: str = env("ACS_ENDPOINT")
    access_key: str = env("ACS_ACCESS_KEY")
    resource_id: str = env("ACS_RESOURCE_ID")
    caller: str = env("ACS_PHONE_NUMBER")
    callbacks: str = env("CALLBACK_URL")
    speech: str = env("COGNITIVE_SERVICES_ENDPOINT")
    jwks_uri: str | None = None  # Azure's
    database: str = "reminders.db"
    store: str = "sqlite:///ringback.db"
    policy: RedialPolicy = RedialPolicy(delays={"busy": 600}, hours=("08:00", "21:00"))  # noqa: RUF009 - frozen
    settle: float = 1.0


class Reminder(BaseModel):
    id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    number: Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{6,14}$")]


class Reminders:
    """The list, in a database of the app's own: a redial may come after a restart."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.run("CREATE TABLE IF NOT EXISTS reminders (id PRIMARY KEY, number, state DEFAULT 'calling')")

    def run(self, statement: str, *values: str | None) -> list[Any]:
        with closing(sqlite3.connect(self._path)) as database, database:
            return database.execute(statement, values).fetchall()


def create_app(settings: Settings | None = None) -> FastAPI:
    chosen = settings or Settings()
    reminders, caller = Reminders(chosen.database), PhoneNumberIdentifier(chosen.caller)
    # Ringback repeats a request itself, and has to know the answer to each.
    client = CallAutomationClient(chosen.endpoint, AzureKeyCredential(chosen.access_key), retry_total=0)
    router = OutcomeRouter(store=chosen.store, settle=chosen.settle)

    async def place(key: str, **options: Any) -> CallConnectionProperties:
        [(number,)] = await asyncio.to_thread(reminders.run, "SELECT number FROM reminders WHERE id = ?", key)
        options.update(operation_context=key, source_caller_id_number=caller, cognitive_services_endpoint=chosen.speech)
        return await client.create_call(PhoneNumberIdentifier(number), chosen.callbacks, **options)

    @router.redial(contact=lambda outcome: outcome.operation_context, policy=chosen.policy, time_zone="Europe/Berlin")
    async def call_again(contact: str, headers: Mapping[str, str]) -> CallConnectionProperties:
        return await place(contact, headers=headers)  # a request that is repeated places one call

    @router.on_terminal
    def close(outcome: Outcome) -> None:
        reminders.run("UPDATE reminders SET state = ? WHERE id = ?", outcome.cause, outcome.operation_context)

    @router.on(event="CallConnected")
    async def remind(outcome: Outcome) -> None:
        text = TextSource(text="This is a reminder of your appointment.", voice_name="en-US-AvaNeural")
        with suppress(ResourceNotFoundError):  # they were quicker
            await client.get_call_connection(outcome.call_connection_id or "").play_media(text)

    @router.on(event=["PlayCompleted", "PlayFailed"])
    async def hang_up(outcome: Outcome) -> None:
        with suppress(ResourceNotFoundError):
            await client.get_call_connection(outcome.call_connection_id or "").hang_up(is_for_everyone=True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/reminders", status_code=202)
    async def call_all(listed: list[Reminder]) -> None:
        for reminder in listed:
            # A list that is posted twice calls nobody twice.
            insert = "INSERT OR IGNORE INTO reminders (id, number) VALUES (?, ?) RETURNING id"
            if await asyncio.to_thread(reminders.run, insert, reminder.id, reminder.number):
                try:
                    await place(reminder.id)
                except AzureError as error:
                    # Off the list again, so that it may be posted again.
                    await asyncio.to_thread(reminders.run, "DELETE FROM reminders WHERE id = ?", reminder.id)
                    raise HTTPException(502, f"{reminder.id} and those behind it were not called") from error

    @app.get("/reminders")
    def states() -> dict[str, str]:
        return dict(reminders.run("SELECT id, state FROM reminders ORDER BY id"))

    @app.post("/api/callbacks", status_code=204)
    async def callbacks() -> None: ...

    verifier = CallbackTokenVerifier(audience=chosen.resource_id, jwks_uri=chosen.jwks_uri)
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks", auth=verifier)
    return app
