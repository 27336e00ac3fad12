"""What hooks raise reaches the test: with a store in memory, on a disk, and for every function of an app."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import (
    CallOutcomeMiddleware,
    Calls,
    Event,
    GiveUp,
    HookPolicy,
    Outcome,
    OutcomeRouter,
    Retry,
    RingbackError,
)
from ringback.testing import (
    AppNotStarted,
    Call,
    CallbackClient,
    HooksFailed,
    HooksLate,
    SyncCallbackClient,
    call_connected,
    call_disconnected,
    redelivered,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

BUSY = (486, 560486)


class Boom(Exception):
    """What a function of the app raises."""


def app_of(router: OutcomeRouter) -> Starlette:
    async def route(request: Request) -> Response:
        return Response()

    app = Starlette(routes=[Route("/cb", route, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
    return app


@pytest.fixture(params=["memory", "memory, tried again", "sqlite"])
def router(request: pytest.FixtureRequest, tmp_path: Path) -> OutcomeRouter:
    """Routers whose hooks are called once, several times, and out of a file."""
    if request.param == "memory":
        return OutcomeRouter(store="memory")
    hooks = HookPolicy(attempts=2, backoff=3600, max_backoff=3600)
    if request.param == "sqlite":
        return OutcomeRouter(store=f"sqlite:///{tmp_path / 'hooks.db'}", settle=0, hooks=hooks)
    return OutcomeRouter(store="memory", hooks=hooks)


async def told_by(client: CallbackClient) -> list[str]:
    """What hooks() raises: the functions with their exceptions."""
    with pytest.raises(HooksFailed) as raised:
        await client.hooks()
    assert isinstance(raised.value, RingbackError)
    return [f"{type(each).__name__}: {each}" for each in raised.value.exceptions]


async def test_a_hook_that_raised_fails_the_wait(router: OutcomeRouter) -> None:
    """With the hook's name, its exception and the traceback of it, also if the hook is to be tried again; once."""

    @router.on_retryable
    def again(outcome: Outcome) -> None:
        raise Boom("no line")

    async with CallbackClient(app_of(router), path="/cb") as client:
        await client.deliver(call_disconnected(*BUSY))
        with pytest.raises(HooksFailed, match=r"\.again raised Boom: no line") as raised:
            await client.hooks()
        (boom,) = raised.value.exceptions
        assert boom.__traceback__ is not None
        await client.hooks()


async def test_every_hook_that_raised_is_told(router: OutcomeRouter) -> None:
    """In their order; those that returned are not."""

    @router.on_retryable
    async def first(outcome: Outcome) -> None:
        raise Boom("first")

    @router.on(cause="busy")
    async def second(outcome: Outcome) -> None: ...

    @router.on(scope="call")
    async def third(outcome: Outcome) -> None:
        raise GiveUp("third")

    @router.on_terminal
    async def fourth(outcome: Outcome) -> None:
        raise Boom("fourth")

    async with CallbackClient(app_of(router), path="/cb") as client:
        await client.deliver(call_disconnected(*BUSY))
        assert await told_by(client) == ["Boom: first", "GiveUp: third"]
        await client.deliver(call_disconnected(603))
        assert sorted(await told_by(client)) == ["Boom: fourth", "GiveUp: third"]


async def test_a_hook_that_asks_for_a_later_call_has_not_failed(router: OutcomeRouter) -> None:
    """But that it is called later is not waited for."""

    @router.on_retryable
    async def later(outcome: Outcome) -> None:
        raise Retry(after=3600)

    async with CallbackClient(app_of(router), path="/cb") as client:
        await client.deliver(call_disconnected(*BUSY))
        await client.hooks()


async def test_a_hook_that_asks_for_more_calls_than_there_are_has_failed() -> None:
    """It is given up."""
    router = OutcomeRouter(hooks=HookPolicy(attempts=1))

    @router.on_retryable
    async def later(outcome: Outcome) -> None:
        raise Retry(after=3600)

    client = CallbackClient(app_of(router), path="/cb")
    await client.deliver(call_disconnected(*BUSY))
    assert [each.partition(":")[0] for each in await told_by(client)] == ["Retry"]


def fails_in_when(router: OutcomeRouter) -> None:
    def raises(outcome: Outcome) -> bool:
        raise Boom("when")

    router.on(cause="busy", when=raises)(print)


def fails_in_contact(router: OutcomeRouter) -> None:
    def raises(outcome: Outcome) -> str:
        raise Boom("contact")

    @router.redial(contact=raises)
    async def place(contact: str) -> None: ...


def fails_in_listener(router: OutcomeRouter) -> None:
    @router.listen
    def heard(events: Any, outcomes: Any) -> None:
        raise Boom("listener")


@pytest.mark.parametrize("fails", [fails_in_when, fails_in_contact, fails_in_listener], ids=lambda each: each.__name__)
async def test_every_function_of_the_app_is_told(router: OutcomeRouter, fails: Callable[[OutcomeRouter], None]) -> None:
    """Whatever the log alone would say."""
    fails(router)
    async with CallbackClient(app_of(router), path="/cb") as client:
        await client.deliver(call_disconnected(*BUSY))
        (told,) = await told_by(client)
    assert told.startswith("Boom: ")


async def test_a_handler_of_a_call_is_told(router: OutcomeRouter) -> None:
    """Once it has run: the client does not wait for those."""
    call, ran = Call(), asyncio.Event()

    @Calls(router).on(call.call_connection_id, "CallDisconnected")
    async def ended(event: Event) -> None:
        ran.set()
        raise Boom("handler")

    async with CallbackClient(app_of(router), path="/cb") as client:
        await client.deliver(call_disconnected(*BUSY, call=call))
        await ran.wait()
        await asyncio.sleep(0)
        assert await told_by(client) == ["Boom: handler"]


async def test_an_error_handler_that_raises_is_told_beside_the_hook() -> None:
    """Its own fault hides nothing."""
    router = OutcomeRouter()

    @router.on_retryable
    async def again(outcome: Outcome) -> None:
        raise Boom("hook")

    @router.on_error
    def report(outcome: Outcome, error: Exception) -> None:
        raise Boom("handler")

    client = CallbackClient(app_of(router), path="/cb")
    await client.deliver(call_disconnected(*BUSY))
    assert await told_by(client) == ["Boom: hook", "Boom: handler"]


async def test_another_client_s_hooks_are_not_told(router: OutcomeRouter) -> None:
    """Of another app, and of another delivery to the same app."""
    other = OutcomeRouter()
    for each in (router, other):

        @each.on_retryable
        async def again(outcome: Outcome) -> None:
            raise Boom("again")

    event = call_disconnected(*BUSY)
    async with (
        CallbackClient(app_of(router), path="/cb") as client,
        CallbackClient(app_of(other), path="/cb") as stranger,
    ):
        await client.deliver(event)
        await stranger.deliver(redelivered(event))
        assert await told_by(client) == ["Boom: again"]
        assert await told_by(stranger) == ["Boom: again"]
        second = CallbackClient(client.app, path="/cb")
        await second.deliver(call_connected())
        await client.deliver(call_disconnected(*BUSY))
        await second.hooks()
        assert await told_by(client) == ["Boom: again"]


async def test_a_late_hook_does_not_hide_one_that_raised() -> None:
    """The error names the one, and its cause the other."""
    router = OutcomeRouter()
    release = asyncio.Event()

    @router.on_retryable
    async def again(outcome: Outcome) -> None:
        raise Boom("again")

    @router.on(cause="busy")
    async def slow(outcome: Outcome) -> None:
        await release.wait()

    client = CallbackClient(app_of(router), path="/cb")
    await client.deliver(call_disconnected(*BUSY))
    with pytest.raises(HooksLate) as raised:
        await client.hooks(timeout=0.05)
    assert isinstance(raised.value.__cause__, HooksFailed)
    release.set()
    await client.hooks()


def raising() -> OutcomeRouter:
    router = OutcomeRouter()

    @router.on_retryable
    async def again(outcome: Outcome) -> None:
        raise Boom("again")

    return router


def test_what_nobody_waited_for_is_told_at_the_end_of_the_block() -> None:
    """The shutdown of the app calls hooks as well. What was told before is not told again."""
    with pytest.raises(HooksFailed), SyncCallbackClient(app_of(raising()), path="/cb") as client:
        client.deliver(call_disconnected(*BUSY))
    with SyncCallbackClient(app_of(raising()), path="/cb") as client:
        client.deliver(call_disconnected(*BUSY))
        with pytest.raises(HooksFailed):
            client.hooks()


class OfTheTest(Exception):
    """What the block of a test raises."""


def stuck(router: OutcomeRouter) -> Any:
    """An app whose hooks raise at its shutdown, which then fails."""
    app = app_of(router)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await router.drain()
        await send({"type": "lifespan.shutdown.failed", "message": "the pool is stuck"})

    return asgi


def test_the_test_s_own_failure_is_the_failure() -> None:
    """Its notes tell of the shutdown that failed and of the hooks that raised."""
    with pytest.raises(OfTheTest) as raised, SyncCallbackClient(stuck(raising()), path="/cb") as client:  # noqa: PT012
        client.deliver(call_disconnected(*BUSY))
        raise OfTheTest
    shutdown, hooks = raised.value.__notes__
    assert "AppNotStarted: the pool is stuck" in shutdown
    assert "Boom: again" in hooks


def test_a_shutdown_that_failed_does_not_hide_a_hook() -> None:
    """The error names the one, and its note the other."""
    with (
        pytest.raises(AppNotStarted, match="the pool is stuck") as raised,
        SyncCallbackClient(stuck(raising()), path="/cb") as client,
    ):
        client.deliver(call_disconnected(*BUSY))
    (hooks,) = raised.value.__notes__
    assert "Boom: again" in hooks
