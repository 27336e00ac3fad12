"""An app for Azure Container Apps: a callback route behind Ringback, a store, and an answer to the probes.

Its settings are variables: RINGBACK_STORE, ACS_RESOURCE_ID, INCOMING_SECRET and, where the database knows the app by
its managed identity, AZURE_CLIENT_ID. main.bicep sets them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from azure.identity import ManagedIdentityCredential
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import ringback.logs
from ringback import CallbackTokenVerifier, CallOutcomeMiddleware, Outcome, OutcomeRouter, SharedSecret
from ringback.stores.postgres import PostgresStore

if TYPE_CHECKING:
    from starlette.requests import Request

CALLBACKS = "/api/callbacks/{context_id}"
INCOMING = "/api/incoming"


# https://learn.microsoft.com/azure/postgresql/flexible-server/how-to-connect-with-managed-identity
SCOPE = "https://ossrdbms-aad.database.windows.net/.default"


def store() -> str | PostgresStore:
    """The store of the URL. In Azure the password of each connection is a token of the app's managed identity."""
    url, client_id = os.environ["RINGBACK_STORE"], os.environ.get("AZURE_CLIENT_ID")
    if client_id is None:
        return url
    credential = ManagedIdentityCredential(client_id=client_id)
    return PostgresStore(url, password=lambda: credential.get_token(SCOPE).token)


def create_app() -> Starlette:
    """The app. Raises KeyError, which names the variable, if one is missing."""
    ringback.logs.configure()
    router = OutcomeRouter(store=store())

    @router.on_retryable
    async def call_again(outcome: Outcome) -> None:
        """What your app does about a call that is worth another try."""

    @router.on_terminal
    async def close(outcome: Outcome) -> None:
        """What your app does about a call that is over."""

    async def callbacks(_: Request) -> Response:
        return Response()

    async def incoming(_: Request) -> Response:
        """Where Event Grid says that somebody calls: answer_call() of Microsoft's client goes here."""
        return Response()

    async def healthz(_: Request) -> Response:
        health = await router.health()
        return JSONResponse(health.to_dict(), status_code=200 if health.ok else 503)

    async def livez(_: Request) -> Response:
        # No word of the store: a restart mends no database.
        return PlainTextResponse("alive")

    routes = [
        Route(CALLBACKS, callbacks, methods=["POST"]),
        Route(INCOMING, incoming, methods=["POST"]),
        Route("/healthz", healthz),
        Route("/livez", livez),
    ]
    app = Starlette(routes=routes)
    verifier = CallbackTokenVerifier(audience=os.environ["ACS_RESOURCE_ID"])
    app.add_middleware(CallOutcomeMiddleware, router=router, path=CALLBACKS, auth=verifier)
    # Event Grid's handshake is answered by Ringback, too; ?secret=... stands in the subscription's address.
    secret = SharedSecret(os.environ["INCOMING_SECRET"])
    app.add_middleware(CallOutcomeMiddleware, router=router, path=INCOMING, auth=secret)
    return app
