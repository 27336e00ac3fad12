"""capture_outcomes: whatever was classified while a block ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, ConfigurationError, OutcomeRouter
from ringback.testing import CallbackClient, batch, call_connected, call_disconnected, capture_outcomes, redelivered

if TYPE_CHECKING:
    from starlette.requests import Request


async def route(request: Request) -> Response:
    return Response()


def wrapped(router: OutcomeRouter | None = None) -> Starlette:
    app = Starlette(routes=[Route("/cb", route, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router or OutcomeRouter(), path="/cb", auth=None)
    return app


def decorated() -> Starlette:
    return Starlette(routes=[Route("/cb", OutcomeRouter().callback(auth=None)(route), methods=["POST"])])


@pytest.mark.parametrize("make", [wrapped, decorated])
async def test_every_outcome_is_captured_in_order(make) -> None:
    """From the middleware and the decorator alike; what comes again is there again."""
    client = CallbackClient(make(), path="/cb")
    event = call_disconnected(486, 560486)
    with capture_outcomes() as outcomes:
        assert outcomes == []
        await client.deliver(batch(call_connected(), event))
        assert [each.cause for each in outcomes] == ["succeeded", "busy"]
        await client.deliver(redelivered(event))
    assert [each.cause for each in outcomes] == ["succeeded", "busy", "busy"]


async def test_blocks_nest_and_end() -> None:
    """Each has its own list, also if it is left by an exception; nothing stays behind."""
    router = OutcomeRouter()
    client = CallbackClient(wrapped(router), path="/cb")
    with capture_outcomes() as outer:
        try:
            with capture_outcomes() as inner:
                await client.deliver(call_disconnected(486, 560486))
                raise LookupError
        except LookupError:
            assert router.roster.listeners != ()
        await client.deliver(call_disconnected(603))
    await client.deliver(call_disconnected(480, 560480))
    assert [each.cause for each in inner] == ["busy"]
    assert [each.cause for each in outer] == ["busy", "declined"]
    assert router.roster.listeners == ()


async def test_refused_deliveries_have_no_outcome() -> None:
    """They never were events."""
    client = CallbackClient(wrapped(), path="/cb")
    with capture_outcomes() as outcomes:
        assert (await client.deliver(b"{")).status == 400
    assert outcomes == []


async def test_the_routers_may_be_named() -> None:
    """Then the others' are left out; of a router that is named twice, or included, an outcome comes once."""
    router, inner = OutcomeRouter(), OutcomeRouter()
    router.include(inner)
    with capture_outcomes(router, inner, router) as outcomes:
        await CallbackClient(wrapped(router), path="/cb").deliver(call_disconnected(486, 560486))
        await CallbackClient(wrapped(), path="/cb").deliver(call_disconnected(603))
    assert [each.cause for each in outcomes] == ["busy"]


@pytest.mark.parametrize("given", [None, "router", wrapped()], ids=["none", "text", "app"])
def test_what_is_no_router_is_refused(given) -> None:
    """The message names what was passed; the client says the same."""
    fault = f"a {type(given).__name__} is no OutcomeRouter; pass the router of the app"
    with pytest.raises(ConfigurationError, match=fault), capture_outcomes(given):
        pytest.fail("nothing could be captured")
    if given is not None:
        with pytest.raises(ConfigurationError, match=fault):
            CallbackClient(wrapped(), router=given)


def test_no_router_is_an_error_and_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the app is made within the block, nothing of it would be captured."""
    monkeypatch.setattr("ringback.testing.capture.routers_of_this_process", lambda: ())
    with pytest.raises(ConfigurationError, match="no OutcomeRouter exists yet"), capture_outcomes():
        pytest.fail("nothing could be captured")
