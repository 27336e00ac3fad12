"""The router behind decorated endpoints: its settings, its store, its start and its end."""

from __future__ import annotations

import asyncio
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response

from asgi_apps import until
from endpoints import BODY, FRAMEWORKS, collecting, fastapi, lines, post, starlette
from faulty_store import Faulty
from ringback import (
    ConfigurationError,
    Outcome,
    OutcomeRouter,
    RegistrationError,
    StoreError,
    StoreUnavailable,
)
from ringback.receiving.engine import Engine
from ringback.web import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ringback.stores.sqlite import SQLiteStore


# The router


def test_first_requests_in_several_threads_get_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines would call a hook twice."""
    router, made, begun = OutcomeRouter(), list[Engine](), threading.Event()

    def slow(*given: Any) -> Engine:
        begun.set()
        made.append(Engine(*given))
        threading.Event().wait(0.1)
        return made[-1]

    monkeypatch.setattr(endpoint, "Engine", slow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(lambda: router.engine)
        begun.wait()
        assert router.engine is first.result(10)
    assert made == [router.engine]


async def test_drain_does_not_wait_for_siblings() -> None:
    """At shutdown the hooks that are due run at once."""
    called: list[str] = []
    router = collecting(called, settle=3600)

    @router.callback
    async def callbacks(request: Request) -> Response:
        return Response()

    await post(starlette(callbacks))
    assert called == []
    await router.drain()
    assert called == ["hook"]


async def test_all_endpoints_of_a_router_share_what_it_knows_of_calls(caplog: pytest.LogCaptureFixture) -> None:
    """A call that is reported to two endpoints ends once."""
    called: list[str] = []
    router = collecting(called)

    @router.callback
    async def one(request: Request) -> Response:
        return Response()

    @router.callback
    async def two(request: Request) -> Response:
        return Response()

    await post(starlette(one))
    await post(starlette(two))
    await router.drain()
    assert called == ["hook"]


def test_a_negative_settle_time_is_refused_at_once() -> None:
    """The message names the setting, its value and the remedy."""
    with pytest.raises(ConfigurationError) as refused:
        OutcomeRouter(settle=-1)
    assert str(refused.value) == "settle -1 is negative; give seconds, 0 for none"


def test_a_limit_that_accepts_nothing_is_refused_when_decorating() -> None:
    """Not on the first call of the night."""
    with pytest.raises(ConfigurationError) as refused:

        @OutcomeRouter().callback(max_body=0)
        async def callbacks(request: Request) -> None: ...

    assert str(refused.value) == "max_body 0 accepts nothing; give a positive number"


class Endpoint:
    def __call__(self, request: Request) -> None: ...

    def __repr__(self) -> str:
        return "<endpoint>"


async def function(request: Request) -> None: ...


def generator(request: Request) -> Any:
    yield


async def async_generator(request: Request) -> Any:
    yield


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        pytest.param(
            "/api/callbacks",
            "callback '/api/callbacks' is no endpoint; decorate the function itself",
            id="path",
        ),
        pytest.param(
            functools.partial(function),
            f"callback {functools.partial(function)!r} is no endpoint; decorate the function itself",
            id="partial",
        ),
        pytest.param(Endpoint, f"callback {Endpoint!r} is no endpoint; decorate the function itself", id="class"),
        pytest.param(
            Endpoint(), "callback <endpoint> is no endpoint; decorate the function itself", id="callable object"
        ),
        pytest.param(
            generator, f"callback {__name__}.generator yields; decorate a function that returns", id="generator"
        ),
        pytest.param(
            async_generator,
            f"callback {__name__}.async_generator yields; decorate a function that returns",
            id="async generator",
        ),
    ],
)
def test_what_is_no_endpoint_is_refused_when_decorating(endpoint: Any, message: str) -> None:
    """The message names what was decorated and the remedy."""
    with pytest.raises(RegistrationError) as refused:
        OutcomeRouter().callback(endpoint)
    assert str(refused.value) == message


async def test_an_endpoint_called_without_a_request_says_so() -> None:
    """Only the framework's request has the body."""
    callback: Any = OutcomeRouter().callback(function)
    with pytest.raises(RegistrationError) as refused:
        await callback("no request")
    assert str(refused.value) == (
        f"callback {__name__}.function was called without a starlette Request; give it a parameter request: Request"
    )


# With a store


@pytest.fixture
def store(tmp_path: Path) -> Faulty:
    return Faulty(tmp_path / "ringback.db")


class Site:
    """A decorated endpoint of a router with a store, and the order of what happens."""

    def __init__(self, store: Faulty, framework: Callable[..., Any], **options: Any) -> None:
        self.log: list[str] = []
        self.fails = False
        self.router = OutcomeRouter(**{"settle": 0.0, "store": store, **options})

        @self.router.on_retryable
        async def hook(outcome: Outcome) -> None:
            self.log.append("hook")

        @self.router.callback(auth=None)
        async def callbacks(request: Request) -> Response:
            self.log.append(f"endpoint, {(await store.stats()).ready} kept" if store.fault is None else "endpoint")
            if self.fails:
                raise HTTPException(500) if framework is fastapi else LookupError("the endpoint's own")
            return Response(status_code=204)

        self.app = framework(callbacks)

    async def post(self) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.post("/cb/1", content=BODY)


async def settled(store: SQLiteStore) -> None:
    """Until something is done, and the store knows."""
    for _ in range(2000):
        if (await store.stats()).done:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it was not settled within ten seconds")


@FRAMEWORKS
async def test_an_outcome_is_in_the_store_before_the_endpoint_is_called(
    store: Faulty, framework: Callable[..., Any]
) -> None:
    """What it answers is an acknowledgement: nothing may be lost after it. The hook follows."""
    site = Site(store, framework, settle=0.1)
    async with site.router.lifespan():
        assert (await site.post()).status_code == 204
        await until(lambda: len(site.log) == 2)
    assert site.log == ["endpoint, 1 kept", "hook"]


@FRAMEWORKS
async def test_while_the_store_is_down_the_sender_is_asked_to_come_again(
    store: Faulty, caplog: pytest.LogCaptureFixture, framework: Callable[..., Any]
) -> None:
    """503 before the endpoint; the delivery is logged and counted when it comes again, once."""
    caplog.set_level("INFO", "ringback")
    site = Site(store, framework)
    async with site.router.lifespan():
        store.fault = StoreUnavailable("down")
        answer = await site.post()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "type": "about:blank",
            "title": "Service unavailable",
            "status": 503,
            "detail": "the store cannot be used now",
        }
        assert site.log == []
        assert {line["event"] for line in lines(caplog)} == {"store.unavailable"}
        store.fault = None
        assert (await site.post()).status_code == 204
        await until(lambda: "hook" in site.log)
    assert len(site.log) == 2
    told = [line["event"] for line in lines(caplog) if line["event"] != "store.unavailable"]
    assert told == ["call.outcome", "call.ended"]


@FRAMEWORKS
async def test_a_redelivery_after_the_endpoints_own_error_calls_no_hook(
    store: Faulty, caplog: pytest.LogCaptureFixture, framework: Callable[..., Any]
) -> None:
    """The outcome was kept the first time; the endpoint is called again."""
    caplog.set_level("INFO", "ringback")
    site = Site(store, framework)
    async with site.router.lifespan():
        site.fails = True
        assert (await site.post()).status_code == 500
        await settled(store)
        site.fails = False
        assert (await site.post()).status_code == 204
        assert (await store.stats()).done == 1
    assert [each.partition(",")[0] for each in site.log].count("endpoint") == 2
    assert site.log.count("hook") == 1
    told = ["call.outcome", "call.ended", "call.outcome_duplicate", "call.outcome"]
    assert [line["event"] for line in lines(caplog)] == told


async def test_outcomes_may_be_kept_in_memory_while_the_store_is_down(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    """on_store_failure="inline": the endpoint and the hooks are called all the same, and the log says so."""
    site = Site(store, starlette, on_store_failure="inline")
    store.fault = StoreUnavailable("down")
    async with site.router.lifespan():
        assert (await site.post()).status_code == 204
        await until(lambda: "hook" in site.log)
    assert sorted(site.log) == ["endpoint", "hook"]
    assert {"event": "store.bypassed", "count": 1} in lines(caplog)


async def test_start_and_drain_do_for_an_app_without_a_lifespan(store: Faulty) -> None:
    """What an earlier process left behind is worked on from the start."""
    site = Site(Faulty(store.path), starlette)
    site.router.engine.dispatcher._worker = False
    await site.router.start()
    assert (await site.post()).status_code == 204
    await site.router.drain()
    site = Site(store, starlette)
    await site.router.start()
    await until(lambda: site.log)
    await site.router.drain()
    assert site.log == ["hook"]


async def test_a_router_that_is_never_started_is_noticed_once(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """The hooks run all the same, from the first delivery on."""
    site = Site(store, starlette)
    for _ in range(2):
        assert (await site.post()).status_code == 204
    await until(lambda: "hook" in site.log)
    await site.router.drain()
    assert [line["event"] for line in lines(caplog)].count("lifespan.missing") == 1


async def test_a_store_that_cannot_work_is_raised_at_the_start(store: Faulty) -> None:
    """The framework tells the server, with the message."""
    site = Site(store, starlette)
    store.fault = StoreError("ringback.db is of a newer release; install that")
    with pytest.raises(StoreError, match="newer release"):
        async with site.router.lifespan():
            raise AssertionError("it started")


async def test_the_lifespan_of_a_router_is_one_for_frameworks(store: Faulty) -> None:
    """FastAPI(lifespan=router.lifespan) and Starlette(lifespan=...) work as they are."""
    for framework in (FastAPI, Starlette):
        site = Site(Faulty(store.path.with_name(f"{framework.__name__}.db")), starlette)
        app: Any = framework(lifespan=site.router.lifespan)
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[Any] = []

        async def receive(messages: list[dict[str, str]] = messages) -> dict[str, str]:
            return messages.pop(0)

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan", "state": {}, "app": app}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_start_without_a_store_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """Of what a crash loses."""
    async with collecting([]).lifespan():
        pass
    assert [line["event"] for line in lines(caplog)] == ["hooks.volatile"]
