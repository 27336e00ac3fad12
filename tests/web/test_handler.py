"""The way in without a framework: bytes and headers, a reply, and a route in between."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from structlog.contextvars import get_contextvars

from records import lines_in
from ringback import (
    CallbackHandler,
    ConfigurationError,
    Outcome,
    OutcomeRouter,
    Refusal,
    SharedSecret,
    StoreError,
    StoreUnavailable,
)
from ringback.receiving.exchange import Admitted
from ringback.receiving.intake import Received
from ringback.receiving.replies import Reply
from ringback.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ringback import Event

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
SECRET = "a-shared-secret-of-this-app"


def delivery(leg: str = LEG) -> bytes:
    result = {"code": 486, "subCode": 560486, "message": "Busy Here"}
    data = {"callConnectionId": leg, "resultInformation": result}
    return json.dumps([{"type": "Microsoft.Communication.CallDisconnected", "data": data}]).encode()


VALIDATION = json.dumps(
    [{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "code-1"}}]
).encode()


class Site:
    """A router that notes what its hook was called with, and may tell when."""

    def __init__(self, expected: int = 1, **engine: Any) -> None:
        self.legs: list[str | None] = []
        self.heard: list[tuple[int, int]] = []
        self.called = threading.Event()
        self.router = OutcomeRouter(**{"settle": 0} | engine)

        @self.router.on_retryable
        async def again(outcome: Outcome) -> None:
            self.legs.append(outcome.call_connection_id)
            if len(self.legs) == expected:
                self.called.set()

        @self.router.listen
        def hear(events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
            self.heard.append((len(events), len(outcomes)))


class KeepingStore(MemoryStore):
    """In memory, but says that it keeps what it was given; or fails as it is told to."""

    def __init__(self, opening: StoreError | None = None, putting: StoreError | None = None) -> None:
        super().__init__()
        self.opening = opening
        self.putting = putting

    @property
    def durable(self) -> bool:
        return True

    async def open(self) -> None:
        if self.opening is not None:
            raise self.opening

    async def put(self, items: Any) -> Any:
        if self.putting is not None:
            raise self.putting
        return await super().put(items)

    async def close(self) -> None: ...


async def test_a_delivery_is_accepted_and_its_outcomes_come_with_the_reply() -> None:
    """The whole of it in one line, for who has no route."""
    site = Site()
    handler = CallbackHandler(site.router, auth=None)
    reply = await handler.handle(delivery(), {"Content-Type": "application/json"})
    assert (reply.status, reply.body, reply.headers) == (200, b"", ())
    assert [outcome.cause for outcome in reply.outcomes] == ["busy"]
    await handler.drain()
    assert (site.legs, site.heard) == ([LEG], [(1, 1)])


@pytest.mark.parametrize("kind", [str, bytearray, memoryview])
async def test_a_body_may_be_what_a_framework_gives(kind: Any) -> None:
    """As in :func:`ringback.parse_delivery`: text, or any kind of bytes."""
    site = Site()
    handler = CallbackHandler(site.router, auth=None)
    reply = await handler.handle(delivery().decode() if kind is str else kind(delivery()), {})
    await handler.drain()
    assert (reply.status, site.legs) == (200, [LEG])


@pytest.mark.parametrize(
    ("body", "method", "headers", "status"),
    [
        pytest.param(b"no json", "POST", {}, 400, id="malformed"),
        pytest.param(b" " * 101, "POST", {}, 413, id="too large"),
        pytest.param(b"", "POST", {"content-length": "9" * 5000}, 413, id="announced too large"),
        pytest.param(b"{}", "POST", {"Content-Encoding": "gzip"}, 415, id="compressed"),
        pytest.param(b"", "POST", [(f"x-{i}", "") for i in range(101)], 431, id="many headers"),
        pytest.param(b"", "GET", {}, 405, id="GET"),
        pytest.param(b"", "OPTIONS", {}, 405, id="OPTIONS without a handshake"),
    ],
)
async def test_bad_input_is_a_reply(body: bytes, method: str, headers: Any, status: int) -> None:
    """As problem details, and never an exception."""
    site = Site()
    handler = CallbackHandler(site.router, auth=None, max_body=100)
    reply = await handler.handle(body, headers, method=method)
    assert (reply.status, json.loads(reply.body)["status"]) == (status, status)
    assert dict(reply.headers)["content-type"] == "application/problem+json"
    assert (reply.outcomes, site.heard) == ((), [])


async def test_a_method_that_is_not_allowed_says_which_are() -> None:
    """RFC 9110, section 15.5.6."""
    reply = await CallbackHandler(OutcomeRouter(), auth=None).handle(b"", {}, method="DELETE")
    assert dict(reply.headers)["allow"] == "OPTIONS, POST"


async def test_handshakes_are_answered() -> None:
    """Event Grid's by POST, that of CloudEvents by OPTIONS, in any spelling of the header's name."""
    handler = CallbackHandler(OutcomeRouter(), auth=None)
    reply = await handler.handle(VALIDATION, {"Aeg-Event-Type": "SubscriptionValidation"})
    assert (reply.status, json.loads(reply.body)) == (200, {"validationResponse": "code-1"})
    reply = await handler.handle(b"", [("WebHook-Request-Origin", "eventgrid.azure.net")], method="options")
    assert (reply.status, dict(reply.headers)["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")


async def test_senders_are_verified_before_anything_else() -> None:
    """With the query and the path that the app says they used; a name is in Latin-1 at most."""
    handler = CallbackHandler(OutcomeRouter(), auth=SharedSecret(SECRET))
    for body in (delivery(), b"no json", b" " * 2_000_000):
        reply = await handler.handle(body, {"x-name": "\u2603"}, query="secret=another-secret-of-the-app")
        assert (reply.status, reply.sender_refused) == (401, True)
    origin = {"webhook-request-origin": "eventgrid.azure.net"}
    assert (await handler.handle(b"", origin, method="OPTIONS")).status == 401
    assert (await handler.handle(delivery(), {}, query=f"secret={SECRET}")).status == 200
    assert handler.hide(f"/api?secret={SECRET}") == "/api?secret=[secret]"
    scope = {"path": "/api", "query_string": f"secret={SECRET}".encode()}
    handler.hide_in(scope)
    assert scope == {"path": "/api", "query_string": b"secret=[secret]"}
    await handler.drain()


class Handshaking:
    """A check that refuses everybody, but lets handshakes of Event Grid through."""

    async def __call__(self, _: object) -> Refusal:
        return Refusal("nobody")

    def allows_handshake(self, _: object) -> bool:
        return True


async def test_a_sender_without_a_token_may_shake_hands_and_no_more() -> None:
    """What is announced as a handshake, and is none, is refused as it would have been."""
    handler = CallbackHandler(OutcomeRouter(), auth=Handshaking(), max_body=1000)
    announced = {"aeg-event-type": "SubscriptionValidation"}
    assert (await handler.handle(VALIDATION, announced)).status == 200
    assert (await handler.handle(delivery(), announced)).status == 401
    assert (await handler.handle(b"", announced | {"content-length": "1001"})).status == 401
    assert (await handler.handle(b"", {"webhook-request-origin": "a"}, method="OPTIONS")).status == 200
    exchange = handler.exchange(announced)
    assert await exchange.admit() is Admitted.READ_BODY
    left = await exchange.take(None)
    assert isinstance(left, Reply)
    assert left.status == 401


async def test_code_of_ones_own_runs_between_with_the_calls_ids_bound() -> None:
    """And the hooks follow it, also if it raises."""
    site = Site()
    handler = CallbackHandler(site.router, auth=None)
    received = await handler.receive(delivery(), {})
    assert isinstance(received, Received)
    bound: list[object] = []

    async def own() -> None:
        async with handler.route(received):
            bound.append(get_contextvars())
            raise LookupError

    with pytest.raises(LookupError):
        await own()
    assert bound == [{"call_connection_id": LEG}]
    assert get_contextvars() == {}
    await handler.drain()
    assert site.legs == [LEG]


def played() -> bytes:
    result = {"code": 400, "subCode": 8536, "message": ""}
    data = {"callConnectionId": LEG, "resultInformation": result}
    return json.dumps([{"type": "Microsoft.Communication.PlayFailed", "id": "1", "data": data}]).encode()


@pytest.mark.parametrize("way", ["handle", "route", "accept"])
async def test_the_hook_of_an_operation_is_due_once_the_program_has_answered(way: str) -> None:
    """The settle time, an hour here, is for the ends of calls."""
    router, hooked = OutcomeRouter(settle=3600), asyncio.Event()

    @router.on(event="PlayFailed")
    async def hook(outcome: Outcome) -> None:
        hooked.set()

    handler = CallbackHandler(router, auth=None)
    if way == "handle":
        await handler.handle(played(), {})
    else:
        received = await handler.receive(played(), {})
        assert isinstance(received, Received)
        await asyncio.sleep(0)
        assert not hooked.is_set()
        if way == "accept":
            await handler.accept(received)
        else:
            async with handler.route(received):
                assert not hooked.is_set()
    async with asyncio.timeout(20):
        await hooked.wait()
    await handler.drain()


async def test_with_a_store_a_delivery_is_in_it_before_the_route() -> None:
    """So there is nothing to do after it."""
    site = Site(store=KeepingStore())
    handler = CallbackHandler(site.router, auth=None)
    await handler.start()
    assert isinstance(await handler.receive(delivery(), {}), Received)
    await asyncio.to_thread(site.called.wait, 10)
    async with handler.route(await handler.receive(delivery(), {})):  # type: ignore[arg-type]
        pass
    await handler.drain(5)
    assert (site.legs, site.heard) == ([LEG], [(1, 1), (1, 1)])


async def test_while_the_store_is_down_nothing_is_received() -> None:
    """The sender is asked to come again, and no listener hears of it."""
    site = Site(store=KeepingStore(putting=StoreUnavailable("down")))
    handler = CallbackHandler(site.router, auth=None)
    reply = await handler.handle(delivery(), {})
    assert (reply.status, dict(reply.headers)["retry-after"], site.heard) == (503, "5", [])
    await handler.drain()


async def test_without_auth_the_first_request_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """By then the app has set its logging up."""
    handler = CallbackHandler(OutcomeRouter())
    for _ in range(2):
        await handler.handle(b"", {}, method="GET")
    events = [line["event"] for line in lines_in(caplog.records)]
    assert events == ["callbacks.unverified"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({"router": None}, "router None is no OutcomeRouter", id="router"),
        pytest.param({"max_body": 0}, "max_body 0 accepts nothing", id="max_body"),
        pytest.param({"auth": []}, "auth names no check", id="auth"),
        pytest.param({"worker": False}, r"pass it to the router: OutcomeRouter\(worker=...\)", id="of the engine"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, told: str) -> None:
    """When the handler is made, not with the first call of the night."""
    with pytest.raises(ConfigurationError, match=told):
        CallbackHandler(**{"router": OutcomeRouter(), "auth": None} | settings)


# Without async


@pytest.fixture
def ended() -> Iterator[list[CallbackHandler]]:
    """Handlers whose loops end with the test."""
    handlers: list[CallbackHandler] = []
    yield handlers
    for handler in handlers:
        handler.sync.drain()


def test_any_number_of_threads_may_use_it(ended: list[CallbackHandler]) -> None:
    """Each call is accepted once, whoever brings it."""
    legs = [f"1f0e5c1a-0000-4000-8000-{number:012}" for number in range(50)]
    site = Site(expected=len(legs))
    handler = CallbackHandler(site.router, auth=None)
    ended.append(handler)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda leg: handler.sync.handle(delivery(leg), {}), [*legs, *legs]))
    assert {reply.status for reply in replies} == {200}
    assert site.called.wait(10)
    assert sorted(map(str, site.legs)) == legs


def test_the_steps_are_the_same_without_async(ended: list[CallbackHandler]) -> None:
    """Head, body, route; log lines of the thread carry the call's ids."""
    site = Site()
    handler = CallbackHandler(site.router, auth=None)
    ended.append(handler)
    assert handler.sync.exchange({}, method="GET").admit() is Admitted.PASS_ON
    exchange = handler.sync.exchange([("a", "b")])
    assert exchange.admit() is Admitted.READ_BODY
    assert isinstance(exchange.take(b"no json"), Reply)
    received = handler.sync.receive(delivery(), {})
    assert isinstance(received, Received)
    bound: list[object] = []

    def own() -> None:
        with handler.sync.route(received):
            bound.append(get_contextvars())
            raise LookupError

    with pytest.raises(LookupError):
        own()
    assert bound == [{"call_connection_id": LEG}]
    assert get_contextvars() == {}
    assert site.called.wait(10)


def test_draining_calls_what_waits_and_the_next_delivery_begins_anew() -> None:
    """Threads do not outlive it."""
    site = Site(expected=2, settle=600)
    handler = CallbackHandler(site.router, auth=None)
    before = set(threading.enumerate())
    handler.sync.start()
    for number in (1, 2):
        handler.sync.handle(delivery(f"1f0e5c1a-0000-4000-8000-{number:012}"), {})
        handler.sync.drain(5)
        assert len(site.legs) == number
        assert set(threading.enumerate()) <= before


def test_the_handlers_of_a_router_share_one_loop() -> None:
    """As doors with different auth do: what waits in memory is not for two threads."""
    site = Site(expected=2)
    before = set(threading.enumerate())
    handlers = [CallbackHandler(site.router, auth=None) for _ in range(2)]
    for number, handler in enumerate(handlers):
        handler.sync.handle(delivery(f"1f0e5c1a-0000-4000-8000-{number:012}"), {})
    loops = [thread for thread in set(threading.enumerate()) - before if thread.name == "ringback"]
    handlers[0].sync.drain()
    assert (len(loops), len(site.legs)) == (1, 2)
    assert set(threading.enumerate()) <= before


def test_a_store_that_cannot_work_is_told_by_start_and_answered_to_senders() -> None:
    """Who does not start by hand finds it in the log, and senders come again."""
    fault = StoreError("of a newer release")
    handler = CallbackHandler(OutcomeRouter(store=KeepingStore(opening=fault, putting=fault)), auth=None)
    assert handler.sync.handle(delivery(), {}).status == 503
    with pytest.raises(StoreError, match="newer"):
        handler.sync.start()
    handler.sync.drain()
