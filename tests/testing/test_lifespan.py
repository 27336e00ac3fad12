"""The life of an app around the block of a client."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback.testing import AppNotStarted, CallbackClient, SyncCallbackClient, call_connected

if TYPE_CHECKING:
    from starlette.requests import Request


def app_with_lifespan(events: list[str]) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        events.append("started")
        yield {"pool": "open"}
        events.append("stopped")

    async def route(request: Request) -> Response:
        return Response(request.state.pool)

    return Starlette(routes=[Route("/cb", route, methods=["POST"])], lifespan=lifespan)


async def test_the_app_is_started_and_stopped_around_the_block() -> None:
    """Requests have the state that its start has made."""
    events: list[str] = []
    async with CallbackClient(app_with_lifespan(events), path="/cb") as client:
        assert (await client.deliver(call_connected())).body == b"open"
        assert events == ["started"]
    assert events == ["started", "stopped"]


async def test_an_app_without_lifespan_is_left_alone() -> None:
    """It may raise, or return at once."""

    async def raising(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"

    async def returning(scope: Any, receive: Any, send: Any) -> None: ...

    for app in (raising, returning):
        async with CallbackClient(app):
            pass


@pytest.mark.parametrize(("message", "told"), [("no database", "no database"), ("", "lifespan.startup.failed")])
async def test_an_app_that_cannot_start_says_so(message: str, told: str) -> None:
    """The test fails with what the app said."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": message})

    with pytest.raises(AppNotStarted, match=told):
        async with CallbackClient(app):
            pytest.fail("it has not started")


class NoPool(Exception):
    """What a lifespan raises."""


def starlette(*, at_start: bool) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        if at_start:
            raise NoPool("at the start")
        yield
        raise NoPool("at the end")

    return Starlette(lifespan=lifespan)


def raw(*, at_start: bool) -> Any:
    """An app that raises without a word, as no app may at its start: such an app knows no lifespan."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed" if at_start else "lifespan.startup.complete"})
        if not at_start:
            await receive()
        raise NoPool("at the start" if at_start else "at the end")

    return app


@pytest.mark.parametrize("app", [starlette, raw])
@pytest.mark.parametrize("at_start", [True, False])
def test_a_start_or_an_end_that_raises_is_an_error(app: Any, at_start: bool) -> None:
    """With the app's own exception as its cause; the loop of the client is closed all the same."""
    client = SyncCallbackClient(app(at_start=at_start))
    entered: list[bool] = []
    with pytest.raises(AppNotStarted) as raised, client:
        entered.append(True)
    assert entered == ([] if at_start else [True])
    assert isinstance(raised.value.__cause__, NoPool)
    if app is raw and not at_start:
        assert str(raised.value) == "NoPool: at the end"


async def test_an_app_that_ends_early_is_heard_at_the_end() -> None:
    """It raised while the test went on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        raise NoPool("meanwhile")

    with pytest.raises(AppNotStarted, match=r"^NoPool: meanwhile$"):
        async with CallbackClient(app):
            pass
