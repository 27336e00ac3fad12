"""The ASGI app: routes, answers, and the headers that keep other sites from using the page."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from weakref import WeakSet

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, Router

from ringback import logs
from ringback.console import assets
from ringback.console.access import Access, fault, give_token, handle
from ringback.console.pages import TOLD, Pages
from ringback.console.reading import Reader
from ringback.console.snapshot import DEFAULT, RANGES, Range, Snapshot
from ringback.console.view import shown
from ringback.exceptions import ConfigurationError, StoreError
from ringback.hooks.dispatcher import Dispatcher
from ringback.privacy.redaction import redact
from ringback.settings import refuse_late
from ringback.stores import open_store
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ringback.console.access import AllowChanges, Auth
    from ringback.hooks.registration import Planner
    from ringback.hooks.router import HandlerRouter
    from ringback.stores import DeliveryStore

LONGEST_FORM = 8192
"""Bytes. A form of the page has a tenth of them."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}


_SETTINGS = ("router", "store", "auth", "allow_changes", "catalog")


class Console:
    """The operations page: an ASGI app to mount, ``app.mount("/ringback", Console(router=router, auth=...))``.

    The page shows the stores of the middlewares that serve ``router`` in this process, or ``store``. ``auth`` decides
    who sees the page, and ``allow_changes`` who may replay and discard dead letters: see
    :data:`~ringback.console.access.Auth`. ``catalog`` explains the pairs; pass the catalog with your overrides.
    ``clock`` gives seconds since 1970, ``monotonic`` seconds; ``token`` returns 43 characters that are safe in a URL.
    Raises :class:`ConfigurationError` for an ``auth`` that is not callable, and for no or both of router and store.
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
        self._access = Access(auth, allow_changes, token)
        self._pages = Pages()
        self._catalog = catalog or Catalog.default()
        self._dispatchers: WeakSet[Dispatcher] = WeakSet()
        self._store = None if store is None else open_store(store)
        self._reader = Reader(self._stores, clock, monotonic)
        self._viewed: dict[str, tuple[Snapshot, dict[str, Any]]] = {}
        self._router: ASGIApp = Router(
            [
                Route("/", self._page),
                Route("/live", self._live),
                Route("/dead", self._change, methods=["POST"]),
                Route("/static/{name}", assets.answer),
            ],
            redirect_slashes=False,
            default=_not_found,
        )
        for opened in self._stores():
            # The history of a store in memory begins when somebody first reads the attribute.
            _ = opened.history
        if router is not None:
            router.watch_planners(self._attached)

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
        refusal = await self._access.refusal(request)
        if refusal is not None:
            await refusal(scope, receive, guarded)
        elif scope["path"] == scope.get("root_path", ""):
            # The page's links are relative to its folder, so that they work behind any proxy.
            await RedirectResponse(f"{scope['path'].rpartition('/')[2] or '.'}/")(scope, receive, guarded)
        else:
            # The scope names no outer app, because the outer app's error pages would leave the headers out.
            inner = {name: value for name, value in scope.items() if name not in ("app", "router")}
            await self._router(inner, receive, guarded)

    def _attached(self, planner: Planner) -> None:
        if isinstance(planner, Dispatcher):
            self._dispatchers.add(planner)
            _ = planner.store.history

    def _stores(self) -> Sequence[DeliveryStore]:
        """The stores without duplicates: two middlewares may share a store or open the same file."""
        if self._store is not None:
            return [self._store]
        return list({_identity(planner.store): planner.store for planner in list(self._dispatchers)}.values())

    async def _page(self, request: Request) -> Response:
        return await self._shown(request, self._pages.page)

    async def _live(self, request: Request) -> Response:
        return await self._shown(request, self._pages.live)

    async def _shown(self, request: Request, render: Callable[..., str]) -> Response:
        chosen = RANGES.get(request.query_params.get("range", ""), DEFAULT)
        changes = await self._access.may_change(request)
        given = self._access.token(request) if changes else None
        token = given or self._access.new_token() if changes else None
        try:
            snapshot, view = await self._view(chosen)
        except StoreError as error:
            return HTMLResponse(self._pages.down(chosen.name, redact(str(error))), 503, {"retry-after": "5"})
        text = render(
            view,
            handles=[] if token is None else [_handle(letter.key, token) for letter in snapshot.dead],
            changes=changes,
            token=token,
            stores=len(self._stores()),
            told=TOLD.get(request.query_params.get("told", "")),
        )
        response = HTMLResponse(text)
        if token is not None and given is None:
            give_token(response, token, secure=request.url.scheme == "https")
        return response

    async def _view(self, chosen: Range) -> tuple[Snapshot, Mapping[str, Any]]:
        """The snapshot and its view. All requests for a snapshot share one view."""
        snapshot = await self._reader.snapshot(chosen)
        known = self._viewed.get(chosen.name)
        if known is None or known[0] is not snapshot:
            known = self._viewed[chosen.name] = (snapshot, shown(snapshot, self._catalog))
        return known

    async def _change(self, request: Request) -> Response:
        if not await self._access.may_change(request):
            return _refused(403, "this page is read-only for you")
        form = await _form(request)
        if form is None:
            return _refused(413, f"the form is longer than {LONGEST_FORM} bytes")
        token = self._access.token(request)
        wrong = fault(request, token, form.get("token", ""))
        if token is None or wrong is not None:
            return _refused(403, str(wrong))
        changes: dict[str, tuple[Callable[[str], Awaitable[bool]], str, Callable[[str, str | None], None]]] = {
            "replay": (self._reader.replay, "replayed", logs.dead_letter_replayed),
            "discard": (self._reader.discard, "discarded", logs.dead_letter_discarded),
        }
        if form.get("action", "") not in changes:
            return _refused(400, f"the form's action is none of {', '.join(changes)}")
        change, done, tell = changes[form["action"]]
        try:
            key = await self._key(form.get("letter", ""), token)
            outcome = "gone"
            if key is not None and await change(key):
                outcome = done
                tell(key, request.state.ringback_user)
        except StoreError as error:
            return _refused(503, f"nothing is known to have changed: {redact(str(error))}")
        chosen = RANGES.get(form.get("range", ""), DEFAULT)
        return RedirectResponse(f"./?range={chosen.name}&told={outcome}#dead-letters", 303)

    async def _key(self, given: str, token: str) -> str | None:
        if not given.startswith("~"):
            return given
        return await self._reader.letter(lambda key: handle(key, token) == given)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Close the store when a process ends that serves the page alone. A mounted app gets no lifespan events."""
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})


def _handle(key: str, token: str) -> str:
    """The form's name for a dead letter: the letter's key, or a stand-in for a private key."""
    return key if redact(key) == key and not key.startswith("~") else handle(key, token)


def _identity(store: DeliveryStore) -> object:
    path = getattr(store, "path", None)
    return id(store) if path is None else path.resolve()


async def _form(request: Request) -> Mapping[str, str] | None:
    """The fields of a form, the first of each name; ``None`` for more than :data:`LONGEST_FORM` bytes."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return None
    fields = parse_qs(body.decode("latin-1"), keep_blank_values=True, max_num_fields=None)
    return {name: values[0] for name, values in fields.items()}


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return guarded


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await _refused(404, "there is no such page")(scope, receive, send)


def _refused(status: int, why: str) -> Response:
    return PlainTextResponse(f"{status}: {why}\n", status)
