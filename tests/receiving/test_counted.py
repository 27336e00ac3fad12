"""Each delivery that comes to a door is counted once, by what it was answered; the end of the app writes the counts."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from ringback import CallOutcomeMiddleware, OutcomeRouter, SharedSecret
from ringback.exceptions import StoreFull
from ringback.senders.auth import Head, Refusal
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ringback.work.items import Item
    from ringback.work.latch import Offer

SECRET = "s" * 16
BUSY = json.dumps(
    [
        {
            "id": "1",
            "source": "calling/callConnections/leg-1",
            "specversion": "1.0",
            "type": "Microsoft.Communication.CallDisconnected",
            "data": {"callConnectionId": "leg-1", "resultInformation": {"code": 486, "subCode": 560486}},
        }
    ]
).encode()
VALIDATION = b'[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"code-1"}}]'


class Full(MemoryStore):
    """A store that takes no more."""

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:  # noqa: ARG002 - the port has it
        raise StoreFull("full")


async def route(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def sent(
    app: Any,
    body: bytes | None,
    *,
    method: str = "POST",
    query: str = f"secret={SECRET}",
    headers: Sequence[tuple[bytes, bytes]] = (),
    slow: bool = False,
) -> int | None:
    """The status of the answer. A body of ``None``: the sender leaves before the body is complete."""
    answers: list[int] = []

    async def receive() -> Any:
        if slow:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"} if body is None else {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    scope = {
        "type": "http", "method": method, "path": "/callbacks", "query_string": query.encode(),
        "headers": list(headers), "http_version": "1.1",
    }  # fmt: skip
    await app(scope, receive, send)
    return answers[0] if answers else None


def odd(_: Head) -> Refusal:
    """A check of the app's own, with a reason of its own."""
    return Refusal("the moon is wrong")


class Grid:
    """A check that lets handshakes through."""

    def __call__(self, _: Head) -> Refusal:
        return Refusal("token_missing")

    def allows_handshake(self, _: Head) -> bool:
        return True


def broken(_: Head) -> Refusal:
    raise RuntimeError("a fault of the app")


CASES: dict[str, tuple[dict[str, Any], bytes | None, int | None, tuple[str, str] | None]] = {
    "accepted": ({}, BUSY, 204, ("accepted", "")),
    "an empty array": ({}, b"[]", 204, ("accepted", "")),
    "no secret": ({"query": ""}, BUSY, 401, ("refused", "secret_missing")),
    "another secret": ({"query": "secret=other"}, BUSY, 401, ("refused", "secret_wrong")),
    "no token, a handshake is announced, and the sender leaves": (
        {"auth": Grid(), "headers": [(b"aeg-event-type", b"SubscriptionValidation")]},
        None, 401, ("refused", "token_missing"),
    ),
    "a check of one's own": ({"auth": odd}, BUSY, 401, ("refused", "other")),
    "a check that raises": ({"auth": broken}, BUSY, 503, ("unavailable", "check_failed")),
    "keys that are away": (
        {"auth": lambda _: Refusal("keys_unavailable", 503, 5)}, BUSY, 503, ("unavailable", "keys_unavailable")
    ),
    "a store that is full": ({"store": Full()}, BUSY, 503, ("unavailable", "store")),
    "no JSON": ({}, b"busy", 400, ("malformed", "not_json")),
    "broken JSON": ({}, b"[}", 400, ("malformed", "not_json")),
    "nothing": ({}, b"", 400, ("malformed", "empty")),
    "a broken object": ({}, b"{broken", 400, ("malformed", "not_json")),
    "no event": ({}, b"[1]", 400, ("malformed", "no_event")),
    "a bare object that is no event": ({}, b"{}", 400, ("malformed", "no_event")),
    "nested too deep": ({"max_depth": 3}, b"[[[[[]]]]]", 400, ("malformed", "too_deep")),
    "compressed": ({"headers": [(b"content-encoding", b"gzip")]}, b"[]", 415, ("malformed", "encoding")),
    "no code": (
        {"headers": [(b"aeg-event-type", b"SubscriptionValidation")]}, BUSY, 400, ("malformed", "validation")
    ),
    "too many bytes": ({"max_body": 10}, b"[" + b" " * 20 + b"]", 413, ("too_large", "body")),
    "too many bytes announced": (
        {"max_body": 10, "headers": [(b"content-length", b"11")]}, b"[]", 413, ("too_large", "body")
    ),
    "too many events": ({"max_events": 1}, b"[{},{}]", 413, ("too_large", "events")),
    "too many headers": ({"max_headers": 1, "headers": [(b"a", b"b")] * 2}, b"[]", 431, ("too_large", "headers")),
    "a sender who leaves": ({}, None, 400, ("interrupted", "sender_left")),
    "a slow sender": ({"slow": True, "body_timeout": 0.01}, b"[]", 408, ("interrupted", "too_slow")),
    "Event Grid's handshake": ({}, VALIDATION, 200, ("handshake", "eventgrid")),
    "the handshake of CloudEvents": (
        {"method": "OPTIONS", "headers": [(b"webhook-request-origin", b"eventgrid.azure.net")]},
        b"", 200, ("handshake", "cloudevents"),
    ),
    "a health check": ({"method": "GET", "query": ""}, b"", 204, None),
    "a PUT of a stranger": ({"method": "PUT", "query": ""}, b"x", 401, None),
}  # fmt: skip

DOOR = ("max_body", "max_depth", "max_events", "max_headers", "body_timeout")


@pytest.mark.parametrize("case", CASES)
async def test_each_delivery_is_counted_by_its_answer(case: str) -> None:
    """Result and reason are words of a closed table. What is no delivery is not counted."""
    given, body, status, answer = CASES[case]
    store = given.get("store", MemoryStore())
    router = OutcomeRouter(store=store)
    door = {name: given[name] for name in DOOR if name in given}
    auth = given.get("auth", SharedSecret(SECRET))
    app = CallOutcomeMiddleware(route, router=router, path="/callbacks", auth=auth, **door)
    request = {name: value for name, value in given.items() if name not in (*DOOR, "auth", "store")}
    router.on_retryable(hook)
    assert await sent(app, body, **request) == status
    assert await router.engine.tally.flush()
    told = [(each.result, each.reason, each.count) for each in await store.history.deliveries(0.0, 4e9, 60.0)]
    assert told == ([] if answer is None else [(*answer, 1)])
    assert router.engine.tally.totals() == {result: count for result, _, count in told}
    await router.drain()


async def hook(_: Any) -> None: ...


async def test_the_end_of_the_app_writes_the_counts(tmp_path: Path) -> None:
    """Nobody waits three seconds at a deployment. A start after that counts on."""
    url = f"sqlite:///{tmp_path}/ringback.db"
    for _ in range(2):
        router = OutcomeRouter(store=url)
        app = CallOutcomeMiddleware(route, router=router, path="/callbacks", auth=SharedSecret(SECRET))
        await router.start()
        await sent(app, BUSY)
        await sent(app, BUSY, query="secret=wrong")
        await router.drain()
    store = SQLiteStore(tmp_path / "ringback.db")
    told = await store.history.deliveries(0.0, 4e9, 4e9)
    await store.close()
    assert [(each.result, each.reason, each.count) for each in told] == [
        ("accepted", "", 2),
        ("refused", "secret_wrong", 2),
    ]
