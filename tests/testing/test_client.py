"""The client: one delivery through ASGI, the outcomes it made, the hooks it led to."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback import CallbackHandler, CallOutcomeMiddleware, Outcome, OutcomeRouter, Retry, RingbackError
from ringback.exceptions import ConfigurationError
from ringback.settings import ENGINE
from ringback.testing import (
    CallbackClient,
    HooksLate,
    Issuer,
    RouterUnknown,
    SyncCallbackClient,
    batch,
    call_connected,
    call_disconnected,
    default_issuer,
    delivery,
    failed_call,
    incoming_call,
    subscription_validation,
    webhook_validation,
)

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request


class Shop:
    """An app, and the causes its hook was called with."""

    def __init__(self, **settings: Any) -> None:
        self.hooked: list[str] = []
        self.requests: list[Request] = []
        settings = {"auth": None, "path": "/cb/{order}"} | settings
        self.router = OutcomeRouter(**{name: settings.pop(name) for name in ENGINE if name in settings})
        self.router.on_retryable(self.hook)
        self.router.on_terminal(self.hook)
        self.app = Starlette(routes=[Route("/cb/{order}", self.route, methods=["POST", "OPTIONS"])])
        self.app.add_middleware(CallOutcomeMiddleware, router=self.router, **settings)

    async def hook(self, outcome: Outcome) -> None:
        self.hooked.append(outcome.cause)

    async def route(self, request: Request) -> Response:
        self.requests.append(request)
        return JSONResponse([each.cause for each in request.state.call_outcomes], 202, {"x-order": "1"})


async def test_a_delivery_gives_what_the_sender_gets_and_the_outcomes() -> None:
    """Posted as Call Automation posts, to the path with its query."""
    shop = Shop()
    pair = failed_call(486, 560486)
    reply = await CallbackClient(shop.app, path="/cb/42?caller=1").deliver(batch(pair))
    assert (reply.status, reply.json(), reply.headers["x-order"]) == (202, ["busy", "busy"], "1")
    assert [each.event_name for each in reply.outcomes] == ["CallDisconnected", "CreateCallFailed"]
    (request,) = shop.requests
    assert (request.method, str(request.url)) == ("POST", "https://callbacks.example.com/cb/42?caller=1")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(delivery(*pair)))
    assert "authorization" not in request.headers


async def test_hooks_run_without_the_settle_time_and_once_for_each_call() -> None:
    """Two reports of one call meet, as they would within the second; there may be further deliveries after."""
    shop = Shop(settle=3600)
    client = CallbackClient(shop.app, path="/cb/1")
    for event in failed_call(486, 560486):
        await client.deliver(event)
    assert shop.hooked == []
    await client.hooks()
    assert shop.hooked == ["busy"]
    await client.deliver(call_disconnected(603))
    await client.hooks()
    assert shop.hooked == ["busy", "declined"]
    await client.hooks()
    assert shop.hooked == ["busy", "declined"]


async def test_decorated_endpoints_have_hooks_too() -> None:
    """Their dispatcher is the router's own."""
    router, hooked = OutcomeRouter(settle=3600), []
    router.on_retryable(lambda outcome: hooked.append(outcome.cause))

    @router.callback(auth=None)
    async def route(request: Request) -> Response:
        return Response()

    client = CallbackClient(Starlette(routes=[Route("/cb", route, methods=["POST"])]), path="/cb")
    await client.deliver(call_disconnected(486, 560486))
    await client.hooks()
    assert hooked == ["busy"]


async def test_hooks_of_another_loop_are_waited_for_as_well() -> None:
    """An adapter for WSGI works in a thread of its own; once its loop is gone, so are its hooks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    router, hooked = OutcomeRouter(settle=3600), []
    router.on_retryable(lambda outcome: hooked.append(outcome.cause))
    handler = CallbackHandler(router, auth=None)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handled = handler.handle(delivery(call_disconnected(486, 560486)), {})
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(handled, loop))
        await Response()(scope, receive, send)

    client = CallbackClient(app)
    await client.deliver(call_connected())
    await client.hooks()
    assert hooked == ["busy"]
    loop.call_soon_threadsafe(loop.stop)
    await asyncio.to_thread(thread.join)
    loop.close()
    await client.hooks()
    assert hooked == ["busy"]


def deliver_in_a_loop(client: CallbackClient) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.deliver(call_disconnected(486, 560486)))
    return loop


@pytest.mark.parametrize("store", [None, "sqlite"])
def test_what_a_closed_loop_has_left_is_worked_on(store: str | None, tmp_path: Path) -> None:
    """As with an asyncio.run() for each call of the client."""
    settings = {} if store is None else {"store": f"sqlite:///{tmp_path / 'hooks.db'}", "settle": 0.2}
    shop = Shop(**settings)
    client = CallbackClient(shop.app, path="/cb/1")

    async def hooks() -> None:
        await client.hooks()
        await shop.router.drain()

    deliver_in_a_loop(client).close()
    assert shop.hooked == []
    asyncio.run(hooks())
    assert shop.hooked == ["busy"]


def test_hooks_in_a_loop_that_stands_still_are_an_error() -> None:
    """Nobody but the loop's owner can run them; where none waits there is nothing to say."""
    shop = Shop()
    client = CallbackClient(shop.app, path="/cb/1")
    loop = deliver_in_a_loop(client)
    with pytest.raises(HooksLate, match="wait in an event loop that does not run"):
        asyncio.run(client.hooks())
    loop.run_until_complete(client.hooks())
    assert shop.hooked == ["busy"]
    asyncio.run(client.hooks())
    loop.close()


async def test_a_router_that_a_delivery_makes_is_an_error() -> None:
    """As where a framework imports its routes with the first request; the next delivery is seen."""
    made: list[Shop] = []

    async def lazy(scope: Any, receive: Any, send: Any) -> None:
        made.extend([] if made else [Shop()])
        await made[0].app(scope, receive, send)

    client = CallbackClient(lazy, path="/cb/1")
    with pytest.raises(RouterUnknown, match="name the router"):
        await client.deliver(call_disconnected(486, 560486))
    assert (await client.deliver(call_disconnected(603))).outcomes[0].cause == "declined"
    await client.hooks()
    made.clear()
    assert (await client.request("GET")).status == 405
    made.clear()
    assert (await client.deliver(call_connected())).outcomes == ()
    assert (await CallbackClient(lazy, path="/cb/1", router=made[0].router).deliver(call_connected())).outcomes != ()


async def test_hooks_without_any_delivery_are_none() -> None:
    """There is nothing to wait for."""
    await CallbackClient(Shop().app).hooks()


async def test_hooks_that_take_too_long_are_an_error() -> None:
    """Of the family, and a time-out to those who look for one."""
    shop = Shop()
    begun, release = asyncio.Event(), asyncio.Event()

    @shop.router.on(cause="busy")
    async def slow(outcome: Outcome) -> None:
        begun.set()
        await release.wait()

    client = CallbackClient(shop.app, path="/cb/1")
    await client.deliver(call_disconnected(486, 560486))
    await begun.wait()
    with pytest.raises(HooksLate, match=r"not returned within 0\.05 seconds") as raised:
        await client.hooks(timeout=0.05)
    assert isinstance(raised.value, RingbackError)
    assert isinstance(raised.value, TimeoutError)
    # Else the process waits at its exit for the hook, as long as a server does.
    release.set()
    await client.hooks()


async def test_with_a_store_what_is_due_has_run(tmp_path: Path) -> None:
    """Also what takes several turns; a retry in the future is not due."""
    shop = Shop(store=f"sqlite:///{tmp_path / 'hooks.db'}", settle=0)
    begun: list[int] = []

    @shop.router.on(cause="busy")
    async def slow(outcome: Outcome) -> None:
        await asyncio.sleep(0.05)
        begun.append(1)

    @shop.router.on(cause="declined")
    async def later(outcome: Outcome) -> None:
        raise Retry(after=3600)

    async with CallbackClient(shop.app, path="/cb/1") as client:
        await client.deliver(call_disconnected(486, 560486))
        await client.hooks()
        assert (shop.hooked, begun) == (["busy"], [1])
        await client.deliver(call_disconnected(603))
        await client.hooks()
        assert shop.hooked == ["busy", "declined"]


async def test_an_issuer_signs_each_delivery() -> None:
    """As Call Automation, or as Event Grid its own; a header may be left out or replaced."""
    issuer = default_issuer()
    shop = Shop(auth=[issuer.verifier(), issuer.grid_verifier()])
    client = CallbackClient(shop.app, path="/cb/1", issuer=issuer, headers={"X-Proxy": "p"})
    event = call_connected()
    assert (await client.deliver(event)).status == 202
    assert (await client.deliver(incoming_call())).status == 202
    assert [each.headers["x-proxy"] for each in shop.requests] == ["p", "p"]
    assert shop.requests[1].headers["aeg-event-type"] == "Notification"
    for bad in (None, f"Bearer {issuer.expired()}", f"Bearer {Issuer(kid='other').token()}"):
        reply = await client.deliver(event, headers={"authorization": bad})
        assert (reply.status, reply.outcomes) == (401, ())


async def test_handshakes_are_answered() -> None:
    """Both of Event Grid's; the body and the headers come back."""
    client = CallbackClient(Shop().app, path="/cb/1")
    reply = await client.deliver(subscription_validation("code-1"))
    assert (reply.status, reply.json()) == (200, {"validationResponse": "code-1"})
    reply = await client.request("OPTIONS", headers=webhook_validation("o.example.com"))
    assert (reply.status, reply.headers["webhook-allowed-origin"]) == (200, "o.example.com")


async def test_concurrent_deliveries_keep_their_outcomes_apart() -> None:
    """Each reply has those of its own request, also while the other one is under way."""
    shop, both = Shop(), asyncio.Barrier(2)

    async def meeting(scope: Any, receive: Any, send: Any) -> None:
        await both.wait()
        await shop.app(scope, receive, send)
        await both.wait()

    client = CallbackClient(meeting, path="/cb/1")
    busy, declined = await asyncio.gather(
        client.deliver(call_disconnected(486, 560486)), client.deliver(call_disconnected(603))
    )
    assert [each.cause for each in busy.outcomes] == ["busy"]
    assert [each.cause for each in declined.outcomes] == ["declined"]
    await client.hooks()


async def test_what_the_app_raises_reaches_the_test_and_nothing_stays_behind() -> None:
    """As a test should see it, not as a 500."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such order")

    router = OutcomeRouter()
    with pytest.raises(LookupError, match="no such order"):
        await CallbackClient(app, router=router).deliver(call_connected())
    assert router.roster.listeners == ()


async def test_deliveries_within_a_delivery_are_told_apart() -> None:
    """An app that posts to another app: the outer reply has no outcome of the inner one."""
    inner = CallbackClient(Shop().app, path="/cb/1")
    seen: list[Outcome] = []

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        seen.extend((await inner.deliver(call_disconnected(603))).outcomes)
        await Response()(scope, receive, send)

    reply = await CallbackClient(outer).deliver(call_connected())
    assert reply.outcomes == ()
    assert [each.cause for each in seen] == ["declined"]


def test_the_sync_client_does_the_same_without_a_coroutine() -> None:
    """The same reply, the same hooks, the app's life around the block."""
    shop = Shop(settle=3600)
    with SyncCallbackClient(shop.app, path="/cb/1", issuer=default_issuer(), headers={"x-a": "b"}) as client:
        assert client.deliver(call_disconnected(486, 560486)).outcomes[0].cause == "busy"
        client.hooks()
        assert client.request("OPTIONS", headers=webhook_validation()).status == 200
    assert shop.hooked == ["busy"]
    assert shop.requests[0].headers["x-a"] == "b"


def test_the_sync_client_may_live_without_a_block() -> None:
    """Then it is closed by itself; what waits is gone with its loop."""
    shop = Shop(settle=3600)
    client = SyncCallbackClient(shop.app, path="/cb/1")
    client.deliver(call_disconnected(486, 560486))
    client.close()
    assert shop.hooked == []


async def test_the_sync_client_in_an_async_test_names_the_other_client() -> None:
    """asyncio said that a runner cannot be called, of which a test knows nothing, and warned of a coroutine."""
    client = SyncCallbackClient(Shop().app)
    for use in (lambda: client.deliver(call_connected()), lambda: client.request("GET"), client.hooks):
        with pytest.raises(ConfigurationError, match="take ringback_client, the fixture of CallbackClient"):
            use()
    with pytest.raises(ConfigurationError, match="take ringback_client"), client:
        raise AssertionError("unreachable")
    client.close()
