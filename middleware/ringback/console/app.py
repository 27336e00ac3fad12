"""The ASGI app: routes, answers, and the headers that keep other sites from using the page."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

from ringback.console import call, calls, changes, entries, export, letters, now, work
from ringback.console.access import Access
from ringback.console.desk import Desk
from ringback.console.pages import asset, environment
from ringback.exceptions import ConfigurationError, StoreError
from ringback.hooks.router import HandlerRouter
from ringback.privacy.redaction import redact
from ringback.settings import refuse_late, refuse_no_catalog
from ringback.stores import open_store
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ringback.console.access import AllowChanges, Auth
    from ringback.stores import DeliveryStore

Page = Callable[[Desk, Request], Awaitable[Response]]

PAGES: tuple[tuple[str, Page, str], ...] = (
    ("/", now.page, "GET"),
    ("/calls", calls.page, "GET"),
    ("/calls", calls.search, "POST"),
    ("/calls.csv", export.csv, "GET"),
    ("/calls.json", export.json, "GET"),
    ("/calls/{name}.json", call.record, "GET"),
    ("/calls/{name}", call.page, "GET"),
    ("/work", work.page, "GET"),
    ("/work/letters", letters.page, "GET"),
    ("/work/confirm", letters.confirm, "GET"),
    ("/work/confirm", letters.confirm, "POST"),
    ("/work/change", changes.change, "POST"),
    ("/work/undo", changes.undo, "POST"),
    ("/catalog", entries.page, "GET"),
    ("/catalog/entry", entries.entry, "GET"),
)
"""The pages by their addresses from the console's root."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
}


_SETTINGS = ("router", "store", "auth", "allow_changes", "catalog")


class Console:
    """The operations page: an ASGI app to mount, ``app.mount("/ringback", Console(router=router, auth=...))``.

    The page shows the stores of the middlewares that serve ``router`` in this process, or ``store``. ``auth`` decides
    who sees the page, and ``allow_changes`` who may replay and discard dead letters: see
    :data:`~ringback.console.access.Auth`. ``catalog`` explains the pairs; pass the catalog with your overrides.
    ``clock`` gives seconds since 1970, ``monotonic`` seconds; ``token`` returns 43 characters that are safe in a URL.
    Raises :class:`ConfigurationError` for an ``auth`` that is not callable, for no or both of router and store, and for
    a router or a catalog that is none.
    """

    def __init__(
        self,
        *,
        auth: Auth,
        router: HandlerRouter | None = None,
        store: str | DeliveryStore | None = None,
        allow_changes: AllowChanges = False,
        catalog: Catalog | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        if (router is None) == (store is None):
            raise ConfigurationError(
                "a Console shows the stores of a router or one store; pass router=, or store= in another process, "
                "and not both"
            )
        if router is not None and not isinstance(cast("object", router), HandlerRouter):
            raise ConfigurationError(f"router {router!r} is no OutcomeRouter; pass router=OutcomeRouter()")
        refuse_no_catalog(catalog)
        # Raises at once what every page would raise.
        environment()
        self._store = None if store is None else open_store(store)
        access = Access(auth, allow_changes, token)
        self._desk = Desk(access, catalog or Catalog.default(), self._store, router, clock, monotonic)
        self._router: ASGIApp = Router(
            [
                *(Route(path, self._answered(page), methods=[method]) for path, page, method in PAGES),
                Route("/static/{name}", asset),
            ],
            redirect_slashes=False,
            default=self._not_found,
        )

    def __setattr__(self, name: str, value: object) -> None:
        refuse_late(name, _SETTINGS, "Console")
        super().__setattr__(name, value)

    async def close(self) -> None:
        """Close the console's own store. The app closes the stores of its router."""
        if self._store is not None:
            await self._store.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        request = Request(scope, receive)
        guarded = _guarded(send)
        refusal = await self._desk.access.refusal(request)
        if refusal is not None:
            await refusal(scope, receive, guarded)
        elif scope["path"] == scope.get("root_path", ""):
            # The page's links are relative to its folder, so that they work behind any proxy.
            await RedirectResponse(f"{scope['path'].rpartition('/')[2] or '.'}/")(scope, receive, guarded)
        else:
            # The scope names no outer app, because the outer app's error pages would leave the headers out.
            inner = {name: value for name, value in scope.items() if name not in ("app", "router")}
            await self._router(inner, receive, guarded)

    def _answered(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """The page as a route; in its place a reason, for an address that is wrong and of a store that fails."""

        async def answered(request: Request) -> Response:
            try:
                return await page(self._desk, request)
            except ConfigurationError as error:
                return self._desk.answer(request, "wrong.html", 400, reason=redact(str(error)))
            except StoreError as error:
                response = self._desk.answer(request, "down.html", 503, reason=redact(str(error)))
                response.headers["retry-after"] = "5"
                return response

        return answered

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A page with the way back: an address is mistyped, or was kept too long."""
        response = self._desk.answer(Request(scope), "wrong.html", 404, reason="There is no such page.")
        await response(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Close the store when a process ends that serves the page alone. A mounted app gets no lifespan events."""
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return guarded
