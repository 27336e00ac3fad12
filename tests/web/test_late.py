"""What is said late: a setting is refused, and a hook, a listener or a router is heard as if it had been there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response
from starlette.routing import Route

from endpoints import BODY, LEG, post
from ringback import CallbackHandler, CallOutcomeMiddleware, ConfigurationError, HookPolicy, Outcome, OutcomeRouter
from ringback.console import BasicAuth, Console
from ringback.settings import DOOR, ENGINE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def callbacks(request: Request) -> Response:
    return Response(status_code=204)


# Settings


def middleware() -> object:
    return CallOutcomeMiddleware(Starlette(), router=OutcomeRouter(), path="/cb", auth=None)


MADE: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "OutcomeRouter": (OutcomeRouter, ENGINE),
    "CallbackHandler": (lambda: CallbackHandler(OutcomeRouter(), auth=None), ("router", *DOOR)),
    "CallOutcomeMiddleware": (middleware, ("router", "path", *DOOR)),
    "Console": (
        lambda: Console(router=OutcomeRouter(), auth=BasicAuth("ops", "a-long-and-random-one")),
        ("router", "store", "auth", "allow_changes", "catalog"),
    ),
}


@pytest.mark.parametrize(("maker", "name"), [(maker, name) for maker, (_, own) in MADE.items() for name in own])
def test_a_setting_that_is_set_later_is_refused(maker: str, name: str) -> None:
    """It would have changed nothing: a store would be none, and a check of the sender, too."""
    made = MADE[maker][0]()
    with pytest.raises(ConfigurationError) as refused:
        setattr(made, name, None)
    assert str(refused.value) == f"{name} cannot be set later; pass it at once: {maker}({name}=...)"


@pytest.mark.parametrize(
    ("maker", "name", "place"),
    [
        ("OutcomeRouter", "auth", "auth is a setting of a door; pass it to CallOutcomeMiddleware"),
        ("CallbackHandler", "store", "store is a setting of the engine, which all doors of a router share; pass it to"),
        ("CallOutcomeMiddleware", "settle", "settle is a setting of the engine"),
    ],
)
def test_a_setting_of_another_is_refused_with_its_place(maker: str, name: str, place: str) -> None:
    """Wherever it is said too late and at the wrong place."""
    with pytest.raises(ConfigurationError, match=f"^{place}"):
        setattr(MADE[maker][0](), name, None)


@pytest.mark.parametrize("maker", MADE)
def test_what_is_no_setting_is_the_apps_own(maker: str) -> None:
    """Apps hang things of their own on objects."""
    made: Any = MADE[maker][0]()
    made.team = "support"
    assert made.team == "support"


# Hooks, after the start


class Told:
    """What was called, in order."""

    def __init__(self) -> None:
        self._queue = asyncio.Queue[str]()

    def __call__(self, name: str) -> None:
        self._queue.put_nowait(name)

    async def these(self, *names: str) -> None:
        async with asyncio.timeout(20):
            assert sorted([await self._queue.get() for _ in names]) == sorted(names)
        assert self._queue.empty()


STORES = pytest.mark.parametrize("store", ["memory", "sqlite:///{}/ringback.db"], ids=["memory", "sqlite"])
WHEN = pytest.mark.parametrize("delivered", [False, True], ids=["after the start", "after a delivery"])


def body(leg: int) -> bytes:
    return BODY.replace(LEG.encode(), f"leg-{leg}".encode())


async def idle(router: OutcomeRouter) -> None:
    """Until the store has no work."""
    for _ in range(4000):
        stats = await router.engine.store.stats()
        if not stats.ready and not stats.running:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the store still has work after twenty seconds")


@STORES
@WHEN
@pytest.mark.parametrize("where", ["router", "included", "included later"])
async def test_what_is_registered_late_is_called(store: str, delivered: bool, where: str, tmp_path: Path) -> None:
    """Hooks, listeners and error handlers, of the router or of one that it includes."""
    told = Told()
    router = OutcomeRouter(settle=0.01, store=store.format(tmp_path), hooks=HookPolicy(attempts=1))
    inner = OutcomeRouter()
    if where == "included":
        router.include(inner)
    app = Starlette(routes=[Route("/cb/{context}", callbacks, methods=["POST"])])
    door = CallOutcomeMiddleware(app, router=router, path="/cb/{context}", auth=None)
    async with router.lifespan():
        if delivered:
            assert (await post(door, body(1))).status_code == 204
            await idle(router)
        late = router if where == "router" else inner

        @late.on_retryable
        async def again(outcome: Outcome) -> None:
            told("on_retryable")
            raise LookupError("the hook's own")

        @late.on(cause="busy")
        def busy(outcome: Outcome) -> None:
            told("on")

        @late.listen
        def listen(events: object, outcomes: object) -> None:
            told("listen")

        @late.on_error
        def failed(outcome: Outcome, error: Exception) -> None:
            told("on_error")

        if where == "included later":
            router.include(inner)
        assert (await post(door, body(2))).status_code == 204
        await told.these("listen", "on_retryable", "on", "on_error")


# The doors of included routers


def decorated(inner: OutcomeRouter) -> APIRouter:
    """A module of an app: endpoints that a router of the module decorates."""
    routes = APIRouter()
    routes.post("/cb/{context}")(inner.callback(auth=None)(callbacks))
    return routes


@STORES
@pytest.mark.parametrize("included", ["before", "after", "through another"])
@pytest.mark.parametrize("started", ["outer", "inner"])
async def test_the_endpoint_of_an_included_router_is_started_and_drained(
    store: str, included: str, started: str, tmp_path: Path
) -> None:
    """Whichever of the routers the app's lifespan is of; there is one engine."""
    called: list[str] = []
    outer, inner = OutcomeRouter(settle=0.01, store=store.format(tmp_path)), OutcomeRouter()
    outer.on_retryable(name="outer")(lambda outcome: called.append("outer"))
    inner.on_retryable(name="inner")(lambda outcome: called.append("inner"))
    if included == "before":
        outer.include(inner)
    routes = decorated(inner)
    if included == "after":
        outer.include(inner)
    elif included == "through another":
        between = OutcomeRouter()
        between.include(inner)
        outer.include(between)
    app = FastAPI(lifespan=(outer if started == "outer" else inner).lifespan)
    app.include_router(routes)
    async with app.router.lifespan_context(app):
        assert (await post(app)).status_code == 204
        await idle(outer)
    assert sorted(called) == ["inner", "outer"]
    assert inner.engine is outer.engine


async def test_what_waits_from_the_endpoint_of_an_included_router_is_called_at_the_stop() -> None:
    """In memory it is nowhere else."""
    called: list[str] = []
    outer, inner = OutcomeRouter(settle=3600), OutcomeRouter()
    inner.on_retryable(lambda outcome: called.append("inner"))
    outer.include(inner)
    app = FastAPI(lifespan=outer.lifespan)
    app.include_router(decorated(inner))
    async with app.router.lifespan_context(app):
        assert (await post(app)).status_code == 204
        assert called == []
    assert called == ["inner"]


async def test_an_app_that_is_made_anew_has_the_doors_of_its_modules() -> None:
    """A module's router lives as long as the process; the router that includes it, and its engine, are the app's."""
    called: list[str] = []
    inner = OutcomeRouter()
    routes = decorated(inner)
    for number in ("one", "two"):
        outer = OutcomeRouter(settle=3600)
        outer.on_retryable(lambda outcome, number=number: called.append(number))
        outer.include(inner)
        app = FastAPI(lifespan=outer.lifespan)
        app.include_router(routes)
        async with app.router.lifespan_context(app):
            assert (await post(app)).status_code == 204
    assert called == ["one", "two"]
