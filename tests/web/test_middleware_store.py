"""The middleware before an ASGI app with a store: what it keeps, and how it lives beside the app."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from asgi_apps import (
    LEG,
    MISSING,
    App,
    Check,
    Server,
    chunked,
    collecting,
    delivery,
    event,
    http,
    lifespan_only,
    lines,
    shut_down,
    silent,
    until,
    wrapped,
)
from faulty_store import Faulty
from ringback import ConfigurationError, GiveUp, HookContext, Outcome, OutcomeRouter, StoreError, StoreUnavailable, logs
from ringback.exceptions import StoreFull
from ringback.stores import Stats

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from ringback.stores.sqlite import SQLiteStore


# With a store


@pytest.fixture
def store(tmp_path: Path) -> Faulty:
    return Faulty(tmp_path / "ringback.db")


def locked(store: SQLiteStore) -> sqlite3.Connection:
    """The lock that another process holds; closing the connection ends it."""
    connection = sqlite3.connect(store.path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def settled(store: SQLiteStore) -> None:
    """Until something is done, and the store knows."""
    for _ in range(2000):
        stats = await store.stats()
        if stats.done or stats.dead:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it was not settled within ten seconds")


@asynccontextmanager
async def living(app: Any, *answers: dict[str, Any]) -> AsyncGenerator[None]:
    """The app's life as a server leads it; its answers are these, by default that all went well."""
    expected = answers or ({"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"})
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, told.get, heard.put))
    async with asyncio.timeout(10):
        await told.put({"type": "lifespan.startup"})
        assert await heard.get() == expected[0]
        yield
        await told.put({"type": "lifespan.shutdown"})
        for answer in expected[1:]:
            assert await heard.get() == answer
        await task


async def posted(app: Any, body: bytes | None = None) -> Server:
    server = Server(*chunked(delivery() if body is None else body))
    await app(http(), server.receive, server.send)
    return server


class Site:
    """A raw app that keeps the order of what happens, and speaks the lifespan protocol."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.fails = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.log.append("route")
            if self.fails:
                raise LookupError("the route's own")
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        await receive()
        self.log.append("opened")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive()) == {"type": "lifespan.shutdown"}
        self.log.append("closed")
        await send({"type": "lifespan.shutdown.complete"})

    def router(self) -> OutcomeRouter:
        return collecting(self.log, lambda _: "hook")


UNAVAILABLE = {"type": "about:blank", "title": "Service unavailable", "status": 503}


def not_now(seconds: int) -> list[dict[str, Any]]:
    problem = json.dumps({**UNAVAILABLE, "detail": "the store cannot be used now"}, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"retry-after", str(seconds).encode()),
        (b"content-length", str(len(problem)).encode()),
    ]
    return [
        {"type": "http.response.start", "status": 503, "headers": headers},
        {"type": "http.response.body", "body": problem},
    ]


async def test_an_outcome_is_in_the_store_before_the_route_is_called(store: Faulty) -> None:
    """What the route answers is an acknowledgement: nothing may be lost after it."""
    waiting: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiting.append((await store.stats()).ready)
        await silent(scope, receive, send)

    middleware = wrapped(app, store=store, settle=3600)
    await posted(middleware)
    assert waiting == [1]
    await shut_down(middleware)


async def test_the_hooks_run_within_the_life_of_the_app(store: Faulty) -> None:
    """They may use what it opens, also for what an earlier process left behind, and what it has not closed yet."""
    site = Site()
    left = wrapped(site, site.router(), store=Faulty(store.path), worker=False)
    async with living(left):
        assert (await posted(left)).status == 204
    middleware = wrapped(site, site.router(), store=store)
    async with living(middleware):
        await until(lambda: "hook" in site.log)
    assert site.log == ["opened", "route", "closed", "opened", "hook", "closed"]


async def test_what_the_server_does_not_wait_for_is_given_back(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """The next start calls the hook again, and tells it that it may have begun before."""
    begun: list[tuple[int, bool]] = []
    ended = asyncio.Event()
    router = OutcomeRouter()

    @router.on_retryable
    async def slow(outcome: Outcome, ctx: HookContext) -> None:
        begun.append((ctx.attempt, ctx.redelivered))
        await ended.wait()

    middleware = wrapped(Site(), router, store=store, drain=0.01)
    async with living(middleware):
        await posted(middleware)
        await until(lambda: begun)
    assert {"event": "hooks.given_back", "count": 1, "timeout_seconds": 0.01} in lines(caplog)
    ended.set()
    async with living(middleware):
        await until(lambda: len(begun) == 2)
    assert begun == [(1, False), (1, True)]


async def test_while_the_store_is_locked_the_sender_is_asked_to_come_again(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    """503 before the route; the delivery is logged and counted when it comes again, once."""
    caplog.set_level("INFO", "ringback")
    site = Site()
    middleware = wrapped(site, site.router(), store=store, worker=False)
    async with living(middleware):
        other = locked(store)
        refused = [await posted(middleware) for _ in range(2)]
        assert [each.sent for each in refused] == [not_now(5)] * 2
        assert site.log == ["opened"]
        remedy = "another program holds the lock; lsof says who has it open"
        error = f"StoreUnavailable: {store.path}: database is locked; {remedy}"
        assert lines(caplog) == [{"event": "store.unavailable", "error": error, "suppressed": 0}] * 2
        other.close()
        assert (await posted(middleware)).status == 204
        assert (await store.stats()).ready == 1
    assert site.log == ["opened", "route", "closed"]
    assert [line["event"] for line in lines(caplog)] == ["store.unavailable"] * 2 + ["call.outcome"]


async def test_a_store_that_is_down_does_not_fill_the_log(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """However many senders come: the budget's lines, and no other line for any of them."""
    router = collecting([])
    middleware = wrapped(Site(), router, store=store, worker=False)
    router.engine.log.store_faults = logs.Budget(lines=5, seconds=10.0, clock=lambda: 0.0)
    async with living(middleware):
        store.fault = StoreUnavailable("down")
        assert {(await posted(middleware)).status for _ in range(50)} == {503}
        assert lines(caplog) == [{"event": "store.unavailable", "error": "StoreUnavailable: down", "suppressed": 0}] * 5


@pytest.mark.parametrize(
    ("auth", "body", "status"),
    [
        pytest.param(Check(MISSING), delivery(), 401, id="sender refused"),
        pytest.param(None, b"[{", 400, id="no delivery"),
        pytest.param(None, b" " * 2000, 413, id="too large"),
    ],
)
async def test_what_is_refused_is_not_kept(store: Faulty, auth: Any, body: bytes, status: int) -> None:
    """A stranger cannot write to the store."""
    middleware = wrapped(Site(), collecting([]), store=store, auth=auth, max_body=1000)
    async with living(middleware):
        assert (await posted(middleware, body)).status == status
        assert await store.stats() == Stats()


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [(StoreUnavailable("down"), 5), (StoreFull("the disk is full"), 30), (StoreError("corrupt"), 30)],
    ids=["unavailable", "full", "broken"],
)
async def test_the_sender_is_told_when_to_come_again(store: Faulty, fault: StoreError, seconds: int) -> None:
    """Sooner for what may pass soon."""
    middleware = wrapped(App(), collecting([]), store=store)
    store.fault = fault
    assert (await posted(middleware)).sent == not_now(seconds)


async def test_without_a_store_outcomes_may_be_kept_in_memory(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """on_store_failure="inline": the route and the hooks are called all the same, and the log says so."""
    site = Site()
    middleware = wrapped(site, site.router(), store=store, on_store_failure="inline")
    async with living(middleware):
        store.fault = StoreUnavailable("down")
        assert (await posted(middleware)).status == 204
        await until(lambda: "hook" in site.log)
        assert {"event": "store.bypassed", "count": 1} in lines(caplog)
    assert sorted(site.log) == ["closed", "hook", "opened", "route"]


async def test_a_redelivery_after_the_routes_own_error_calls_the_route_and_no_hook(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    """The outcome was kept the first time; what the route does is its own business."""
    caplog.set_level("INFO", "ringback")
    site = Site()
    middleware = wrapped(site, site.router(), store=store)
    async with living(middleware):
        site.fails = True
        with pytest.raises(LookupError, match="the route's own"):
            await posted(middleware)
        await settled(store)
        site.fails = False
        assert (await posted(middleware)).status == 204
        stats = await store.stats()
        assert (stats.ready, stats.running, stats.done) == (0, 0, 1)
    assert site.log.count("hook") == 1
    assert site.log.count("route") == 2
    told = ["call.outcome", "call.ended", "call.outcome_duplicate", "call.outcome"]
    assert [line["event"] for line in lines(caplog)] == told


async def test_without_a_worker_it_only_persists(store: Faulty) -> None:
    """Another process calls the hooks."""
    site = Site()
    middleware = wrapped(site, site.router(), store=store, worker=False)
    async with living(middleware):
        await posted(middleware)
        await asyncio.sleep(0.1)
        assert (await store.stats()).ready == 1
    assert site.log == ["opened", "route", "closed"]


def test_without_a_worker_a_store_is_needed() -> None:
    """Nobody else could call the hooks."""
    with pytest.raises(ConfigurationError, match="worker=False needs a store"):
        wrapped(silent, worker=False)


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"type": "websocket", "path": "/api/callbacks/1"}, id="websocket"),
        pytest.param(http("/elsewhere"), id="foreign path"),
        pytest.param(http(method="GET"), id="GET"),
    ],
)
async def test_all_else_passes_through_untouched_while_the_store_is_down(store: Faulty, scope: Any) -> None:
    """It is no business of the store."""
    store.fault = StoreUnavailable("down")
    app, server = App(), Server()
    await wrapped(app, collecting([]), store=store)(scope, server.receive, server.send)
    assert app.calls == [(scope, server.receive, server.send)]
    assert "state" not in scope


async def test_a_delivery_that_concerns_no_hook_needs_no_store(store: Faulty) -> None:
    """Nothing of it is to be kept."""
    middleware = wrapped(Site(), collecting([]), store=store)
    store.fault = StoreUnavailable("down")
    assert (await posted(middleware, delivery(event("PlayFailed", 400, 8535)))).status == 204


# The lifespan


async def test_a_start_without_a_store_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """Of what a crash loses; without hooks nothing is to lose."""
    async with living(wrapped(Site(), collecting([]))):
        pass
    async with living(wrapped(Site())):
        pass
    assert [line["event"] for line in lines(caplog)] == ["hooks.volatile"]


async def test_a_store_that_cannot_work_ends_the_start(store: Faulty) -> None:
    """The server hears of it with the message, after the app has closed what it had opened."""
    store.fault = StoreError("ringback.db is of a newer release; install that")
    site = Site()
    answers = {"type": "lifespan.startup.failed", "message": "ringback.db is of a newer release; install that"}
    async with living(wrapped(site, site.router(), store=store), answers):
        pass
    assert site.log == ["opened", "closed"]


async def test_a_store_that_cannot_work_is_told_though_the_app_raises_when_it_closes(store: Faulty) -> None:
    """Neither fault hides the other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise LookupError("already closed")

    store.fault = StoreError("corrupt")
    server = Server({"type": "lifespan.startup"})
    with pytest.raises(LookupError, match="already closed"):
        await wrapped(app, store=store)({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == [{"type": "lifespan.startup.failed", "message": "corrupt"}]


async def test_an_app_starts_though_its_store_is_down_for_now(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """It answers 503 until the store is back, and goes on by itself."""
    store.fault = StoreUnavailable("connection refused")
    site = Site()
    middleware = wrapped(site, site.router(), store=store)
    async with living(middleware):
        assert (await posted(middleware)).sent == not_now(5)
        store.fault = None
        assert (await posted(middleware)).status == 204
        await until(lambda: "hook" in site.log)
    assert lines(caplog)[0]["error"] == "StoreUnavailable: connection refused"


async def raises_at_once(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await App()(scope, receive, send)


async def returns_at_once(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await App()(scope, receive, send)


async def returns_without_an_answer(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    if scope["type"] == "http":
        await App()(scope, receive, send)


async def returns_when_it_has_started(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
    else:
        await App()(scope, receive, send)


@pytest.mark.parametrize(
    "app", [raises_at_once, returns_at_once, returns_without_an_answer, returns_when_it_has_started]
)
async def test_for_an_app_that_leaves_the_protocol_the_server_is_answered(
    store: Faulty, caplog: pytest.LogCaptureFixture, app: Any
) -> None:
    """With a store: what waits is worked on from the start, and drained at the end."""
    called: list[str] = []
    left = wrapped(silent, collecting([]), store=Faulty(store.path), worker=False)
    async with living(left):
        await posted(left)
    middleware = wrapped(app, collecting(called), store=store)
    async with living(middleware):
        await until(lambda: called)
    assert called == ["CallDisconnected"]
    assert lines(caplog) == []


async def test_for_an_app_that_leaves_the_protocol_a_bad_store_ends_the_start_too(store: Faulty) -> None:
    """The server is told as ever."""
    store.fault = StoreError("corrupt")
    async with living(wrapped(raises_at_once, store=store), {"type": "lifespan.startup.failed", "message": "corrupt"}):
        pass


async def test_without_a_store_an_app_that_leaves_the_protocol_is_left_alone() -> None:
    """There is nothing to open and to close; servers know what to do."""
    server = Server({"type": "lifespan.startup"})
    with pytest.raises(NotImplementedError):
        await wrapped(raises_at_once)({"type": "lifespan"}, server.receive, server.send)
    await wrapped(returns_at_once)({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == []
    assert len(server.messages) == 1


async def test_an_app_that_fails_to_start_is_not_overruled(store: Faulty) -> None:
    """Its answer and its exception reach the server, and no hook is called."""
    site = Site()
    left = wrapped(silent, collecting([]), store=Faulty(store.path), worker=False)
    async with living(left):
        await posted(left)
    failed = {"type": "lifespan.startup.failed", "message": "no database"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(failed)
        raise LookupError("no database")

    middleware, server = wrapped(app, site.router(), store=store), Server({"type": "lifespan.startup"})
    with pytest.raises(LookupError, match="no database"):
        await middleware({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == [failed]
    await asyncio.sleep(0.1)
    assert site.log == []


@pytest.mark.parametrize("failed", ["lifespan.startup.failed", "lifespan.shutdown.failed"])
async def test_after_an_app_has_said_that_it_failed_nobody_is_waited_for(store: Faulty, failed: str) -> None:
    """The server has its last answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": failed, "message": "no"})

    server = Server({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await wrapped(app, store=store)({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == [{"type": failed, "message": "no"}]
    assert len(server.messages) == 1


async def test_an_app_that_raises_while_it_lives_is_not_hidden(store: Faulty) -> None:
    """Servers go on without its lifespan, and the hooks do."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            raise LookupError("lost")
        await App()(scope, receive, send)

    called: list[str] = []
    middleware, server = wrapped(app, collecting(called), store=store), Server({"type": "lifespan.startup"})
    with pytest.raises(LookupError, match="lost"):
        await middleware({"type": "lifespan"}, server.receive, server.send)
    assert (await posted(middleware)).status == 204
    await until(lambda: called)
    middleware.app = lifespan_only
    await shut_down(middleware)


async def test_a_cancelled_lifespan_is_cancelled(store: Faulty) -> None:
    """A server that has no time ends at once: no app is taken for one without a lifespan by that."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    server = Server({"type": "lifespan.startup"})
    task = asyncio.create_task(wrapped(app, store=store)({"type": "lifespan"}, server.receive, server.send))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.sent == []


async def test_a_server_without_lifespan_is_noticed_once(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """The hooks run all the same, from the first delivery on."""
    called: list[str] = []
    middleware = wrapped(App(), collecting(called, lambda outcome: outcome.call_connection_id), store=store)
    legs = [f"1f0e5c1a-0000-4000-8000-00000000010{number}" for number in range(3)]
    for leg in legs:
        assert (await posted(middleware, delivery(event(leg=leg)))).status == 204
    await until(lambda: len(called) == 3)
    assert sorted(called) == legs
    assert [line["event"] for line in lines(caplog)] == ["lifespan.missing"]
    middleware.app = lifespan_only
    await shut_down(middleware)


# What is kept


async def test_nothing_private_is_in_the_bytes_of_the_store(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """No number of a message, no token, no secret of a URL: neither on disk nor in the log."""
    caplog.set_level("INFO", "ringback")
    told = event("CreateCallFailed")
    told["source"] = "calling/callConnections/1?secret=sesame-of-the-app"
    told["token"] = "sesame-of-the-event"
    told["data"]["resultInformation"]["message"] = "Callee 4:+14255550100, +1 425 555 0101 is busy."
    told["data"]["resultInformation"]["sipDetails"] = {"code": 486, "message": "sip:+14255550102@sbc.example.com"}
    router = OutcomeRouter()

    @router.on_retryable
    def fails(outcome: Outcome) -> None:
        raise GiveUp("cannot reach +1 425 555 0103")

    middleware, body = wrapped(Site(), router, store=store), delivery(told)
    headers = [(b"authorization", b"Bearer sesame-of-the-sender"), (b"content-type", b"application/json")]
    written = b""
    async with living(middleware):
        server = Server(*chunked(body))
        await middleware(http(headers=headers, query_string=b"secret=sesame-of-the-query"), server.receive, server.send)
        await settled(store)
        written = b"".join(file.read_bytes() for file in store.path.parent.iterdir())
    written += b"".join(file.read_bytes() for file in store.path.parent.iterdir())
    assert LEG.encode() in written
    shown = repr([vars(record) for record in caplog.records]).encode()
    for private in (b"sesame", b"4255550", b"425 555", b"Bearer"):
        assert private not in written
        assert private not in shown
