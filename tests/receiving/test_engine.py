"""The engine of a router: one behind all its doors, made of settings that stand on the outermost router."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from ringback import (
    CallbackHandler,
    CallOutcomeMiddleware,
    Calls,
    Catalog,
    ConfigurationError,
    HookPolicy,
    Outcome,
    OutcomeRouter,
    Pace,
    RegistrationError,
    StoreError,
)
from ringback.hooks.router import HandlerRouter
from ringback.receiving import engine
from ringback.receiving.engine import Settings
from ringback.settings import ENGINE, EngineSettings
from ringback.stores import MemoryStore, Stats
from ringback.stores.sqlite import SQLiteStore
from ringback.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from ringback import Event

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
BUSY = {
    "id": "1f0e5c1a-0000-4000-8000-000000000003",
    "type": "Microsoft.Communication.CallDisconnected",
    "data": {"callConnectionId": LEG, "resultInformation": {"code": 486, "subCode": 560486, "message": ""}},
}
BODY = json.dumps([BUSY]).encode()


def written(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The names of the lines, in their order, but of one about the test's own logging."""
    names = [record.getMessage().split(" ")[0] for record in caplog.records if record.name == "ringback"]
    return [name for name in names if name != "logs.unheard"]


def calling(into: list[Any], **engine: Any) -> OutcomeRouter:
    """A router whose hook notes that it was called."""
    router = OutcomeRouter(**{"settle": 0} | engine)

    @router.on_retryable
    async def again(outcome: Outcome) -> None:
        into.append("hook")

    return router


async def until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


async def settled(router: OutcomeRouter) -> Stats:
    """What the store counts when nothing of it waits, or is worked on."""
    for _ in range(3000):
        stats = await router.engine.store.stats()
        if stats.ready == stats.running == 0:
            return stats
        await asyncio.sleep(0.01)
    raise AssertionError


async def accepted(request: Request) -> Response:
    return Response(status_code=204)


async def post(app: Any, path: str = "/cb") -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        return (await client.post(path, content=BODY)).status_code


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[None]:
    """The app between its start and its end, as a server tells it of them."""
    told, answers = asyncio.Queue[dict[str, str]](), asyncio.Queue[Any]()
    life = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, told.get, answers.put))
    told.put_nowait({"type": "lifespan.startup"})
    assert await answers.get() == {"type": "lifespan.startup.complete"}
    yield
    told.put_nowait({"type": "lifespan.shutdown"})
    assert await answers.get() == {"type": "lifespan.shutdown.complete"}
    await life


# Its settings

SET: dict[str, Any] = {
    "store": "memory",
    "catalog": Catalog.default(),
    "settle": 1.0,
    "hooks": HookPolicy(),
    "worker": True,
    "on_store_failure": "refuse",
    "drain": 20.0,
    "telemetry": None,
    "pace": Pace(per_second=1.0),
}


def test_what_a_router_takes_and_what_its_engine_has_are_called_the_same() -> None:
    """One table for type checkers, one with the defaults, one of the names for doors."""
    assert (
        tuple(EngineSettings.__annotations__) == tuple(inspect.signature(Settings).parameters) == ENGINE == tuple(SET)
    )
    assert not EngineSettings.__required_keys__


def test_a_pace_that_is_none_is_refused() -> None:
    """A number would be read as what nobody meant."""
    with pytest.raises(ConfigurationError, match=r"pace 3 is no Pace; pass Pace\(per_second=1.0\), or leave it out"):
        OutcomeRouter(pace=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stroe", "there is no setting 'stroe'; did you mean store?"),
        ("hook", "there is no setting 'hook'; did you mean hooks?"),
        (
            "auth",
            "auth is a setting of a door; pass it to CallOutcomeMiddleware, CallbackHandler or "
            "router.callback(auth=...)",
        ),
        (
            "colour",
            "there is no setting 'colour'; there are store, catalog, settle, hooks, worker, on_store_failure, drain, "
            "telemetry, pace",
        ),
    ],
)
def test_a_setting_that_there_is_not_is_refused(name: str, said: str) -> None:
    """With the one that may have been meant, or the place where it belongs."""
    with pytest.raises(ConfigurationError) as refused:
        OutcomeRouter(**{name: 1})  # type: ignore[arg-type]
    assert str(refused.value) == said


def test_a_setting_is_not_set_later() -> None:
    """The engine may be there already, and would not hear of it; any other attribute is the app's own."""
    router = OutcomeRouter()
    with pytest.raises(ConfigurationError) as refused:
        router.store = "sqlite:///ringback.db"
    assert str(refused.value) == "store cannot be set later; pass it at once: OutcomeRouter(store=...)"
    router.team = "support"
    assert router.team == "support"


@pytest.mark.parametrize("name", ENGINE)
def test_a_setting_of_an_included_router_is_refused_with_its_place(name: str) -> None:
    """Also one with the value that it has by itself: whoever writes it wants it to hold."""
    with pytest.raises(ConfigurationError) as refused:
        OutcomeRouter(settle=0).include(OutcomeRouter(**{name: SET[name]}))
    assert str(refused.value) == (
        f"include() takes a router without settings of its own, this one has {name}=; pass them to the router that "
        "includes it: one engine serves both"
    )


def test_several_settings_of_an_included_router_are_named() -> None:
    """All of them, and the router stays as it was."""
    outer, inner = OutcomeRouter(), OutcomeRouter(settle=0, drain=5)
    with pytest.raises(ConfigurationError, match=r"this one has settle=, drain=; pass them"):
        outer.include(inner)
    assert list(outer.routers()) == [outer]
    assert inner.engine is not outer.engine


async def test_a_router_that_has_worked_is_included_no_more() -> None:
    """It has an engine, whose work would be done twice."""
    called: list[str] = []
    inner = OutcomeRouter()
    inner.on_retryable(called.append)
    await inner.start()
    with pytest.raises(ConfigurationError) as refused:
        OutcomeRouter().include(inner)
    assert str(refused.value) == (
        "include() comes too late: the router has an engine of its own, for it was used; include it first"
    )
    await inner.drain()


async def test_handlers_alone_are_included() -> None:
    """A HandlerRouter has no engine to be given up."""
    called: list[Any] = []
    outer, inner = OutcomeRouter(settle=0), HandlerRouter()
    inner.on_retryable(called.append)
    outer.include(inner)
    async with outer.lifespan():
        await CallbackHandler(outer, auth=None).handle(BODY, {})
    assert [outcome.cause for outcome in called] == ["busy"]


def test_an_included_router_has_the_engine_and_the_settings_of_the_outermost() -> None:
    """By whichever way, and however often."""
    inner, left, right = OutcomeRouter(), OutcomeRouter(), OutcomeRouter()
    outer = OutcomeRouter(settle=7, store="sqlite:///x.db")
    left.include(inner)
    right.include(inner)
    outer.include(left)
    outer.include(right)
    outer.include(inner)
    assert inner.engine is left.engine is outer.engine
    assert (inner.settings.settle, inner.engine.dispatcher.settle) == (7, 7)
    assert repr(inner) == repr(outer) == "OutcomeRouter(store='sqlite:///x.db', settle=7)"


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        pytest.param({}, "OutcomeRouter()", id="nothing"),
        pytest.param({"settle": 1.0, "drain": 3}, "OutcomeRouter(drain=3)", id="what it would have anyway"),
        pytest.param(
            {"store": "postgresql://me:hush@host:5432/calls", "worker": False},
            "OutcomeRouter(store='postgresql://[secret]@host:5432/calls', worker=False)",
            id="password",
        ),
        pytest.param(
            {"store": "postgresql://host/calls?user=me&password=hush"},
            "OutcomeRouter(store='postgresql://host/calls?user=me&password=[secret]')",
            id="password as a parameter",
        ),
    ],
)
def test_a_router_shows_its_settings_and_no_password(settings: dict[str, Any], shown: str) -> None:
    """A router stands in tracebacks and in logs."""
    assert repr(OutcomeRouter(**settings)) == shown


# One behind all doors


def wrapped_twice(router: OutcomeRouter) -> tuple[Any, Sequence[str]]:
    app: Any = Starlette(routes=[Route("/cb", accepted, methods=["POST"])])
    for _ in range(2):
        app = CallOutcomeMiddleware(app, router=router, path="/cb", auth=None)
    return app, ["/cb"]


def wrapped_and_decorated(router: OutcomeRouter) -> tuple[Any, Sequence[str]]:
    app: Any = Starlette(routes=[Route("/cb", router.callback(auth=None)(accepted), methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
    return app, ["/cb"]


def wrapped_beside_decorated(router: OutcomeRouter) -> tuple[Any, Sequence[str]]:
    routes = [
        Route("/cb", accepted, methods=["POST"]),
        Route("/own", router.callback(auth=None)(accepted), methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=router.lifespan)
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
    return app, ["/cb", "/own"]


def in_two_apps(router: OutcomeRouter) -> tuple[Any, Sequence[str]]:
    mounted = []
    for _ in range(2):
        mounted.append(Starlette(routes=[Route("/cb", accepted, methods=["POST"])]))
        mounted[-1].add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
    app = Starlette(routes=[Mount("/a", mounted[0]), Mount("/b", mounted[1])], lifespan=router.lifespan)
    return app, ["/a/cb", "/b/cb"]


def decorated_in_an_included_router(router: OutcomeRouter) -> tuple[Any, Sequence[str]]:
    inner = OutcomeRouter()
    routes = [Route("/inner", inner.callback(auth=None)(accepted), methods=["POST"])]
    router.include(inner)
    routes.append(Route("/outer", router.callback(auth=None)(accepted), methods=["POST"]))
    return Starlette(routes=routes, lifespan=router.lifespan), ["/inner", "/outer"]


SITES = pytest.mark.parametrize(
    "site",
    [wrapped_twice, wrapped_and_decorated, wrapped_beside_decorated, in_two_apps, decorated_in_an_included_router],
)


@SITES
@pytest.mark.parametrize("durable", [False, True], ids=["in memory", "from a store"])
async def test_a_hook_runs_once_for_a_call_however_many_doors_it_comes_by(
    site: Callable[[OutcomeRouter], tuple[Any, Sequence[str]]],
    durable: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And what a crash would lose is said once, where it would."""
    called: list[str] = []
    router = calling(called, store=SQLiteStore(tmp_path / "ringback.db", poll=0.01) if durable else None)
    app, paths = site(router)
    async with served(app):
        for path in (*paths, *paths):
            assert await post(app, path) == 204
        await until(lambda: called)
        if durable:
            assert (await settled(router)).done == 1
    assert called == ["hook"]
    assert written(caplog) == ([] if durable else ["hooks.volatile"])


async def test_memory_that_was_asked_for_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever writes store="memory" knows what a crash loses."""
    for store in ("memory", MemoryStore()):
        called: list[str] = []
        router = calling(called, store=store)
        app, _ = wrapped_twice(router)
        async with served(app):
            assert await post(app) == 204
        assert called == ["hook"]
    assert written(caplog) == []


async def test_the_door_of_an_included_router_is_heard_of_outside() -> None:
    """Its deliveries are the outer router's: the hooks, the listeners and who waits for a call."""
    called: list[str] = []
    inner, outer = OutcomeRouter(), calling(called)
    heard: list[str] = []

    @outer.listen
    def listen(events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        heard.append("outer")

    @inner.listen
    def listen_inside(events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        heard.append("inner")

    door = CallbackHandler(inner, auth=None)
    outer.include(inner)
    calls = Calls(outer)
    async with outer.lifespan(), asyncio.timeout(10):
        call = calls.call(LEG)
        assert (await door.handle(BODY, {})).status == 200
        assert (await call.ended()).cause == "busy"
    assert sorted(heard) == ["inner", "outer"]
    assert called == ["hook"]


def test_nothing_is_opened_before_the_engine_is_used(tmp_path: Path) -> None:
    """Settings are checked when the router is made, and doors are made of it."""
    router = OutcomeRouter(store=f"sqlite:///{tmp_path}/ringback.db")
    in_two_apps(router)
    assert router.engine.durable
    assert list(tmp_path.iterdir()) == []


# Where no lifespan reaches it


def raw(router: OutcomeRouter) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response(status_code=204)(scope, receive, send)

    return CallOutcomeMiddleware(app, router=router, path="/cb", auth=None)


def mounted(router: OutcomeRouter) -> Any:
    inner = Starlette(routes=[Route("/cb", accepted, methods=["POST"])])
    inner.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
    return Starlette(routes=[Mount("/", inner)])


def decorated(router: OutcomeRouter) -> Any:
    app = FastAPI()

    @app.post("/cb", status_code=204)
    @router.callback(auth=None)
    async def callbacks() -> None: ...

    return app


UNSERVED = pytest.mark.parametrize("app_of", [raw, mounted, decorated])
ADVICE = "pass lifespan=router.lifespan to the outermost app, or await router.start() and router.drain()"


@UNSERVED
@pytest.mark.parametrize("durable", [False, True], ids=["in memory", "from a store"])
async def test_an_engine_that_nobody_starts_says_so_once(
    app_of: Callable[[OutcomeRouter], Any], durable: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the first delivery for which there is a hook, and how to mend it; hooks run all the same."""
    called: list[str] = []
    router = calling(called, store=SQLiteStore(tmp_path / "ringback.db", poll=0.01) if durable else None)
    app = app_of(router)
    for _ in range(3):
        assert await post(app) == 204
    await until(lambda: called)
    await router.drain()
    assert called == ["hook"]
    assert written(caplog) == ["lifespan.missing"]
    assert ADVICE in caplog.text


@UNSERVED
async def test_where_no_function_of_the_app_is_called_nothing_is_said(
    app_of: Callable[[OutcomeRouter], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing to lose."""
    app = app_of(OutcomeRouter(settle=0))
    assert await post(app) == 204
    assert written(caplog) == []


@UNSERVED
async def test_where_another_process_calls_the_hooks_nothing_is_said(
    app_of: Callable[[OutcomeRouter], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """This process only keeps outcomes, whether somebody announces its start or not."""
    called: list[str] = []
    router = calling(called, store=SQLiteStore(tmp_path / "ringback.db"), worker=False)
    app = app_of(router)
    assert await post(app) == 204
    await router.drain()
    assert (called, written(caplog)) == ([], [])


async def test_an_engine_that_was_drained_and_goes_on_says_nothing_new(caplog: pytest.LogCaptureFixture) -> None:
    """How to mend it was said."""
    called: list[str] = []
    router = calling(called)
    handler = CallbackHandler(router, auth=None)
    for number in range(3):
        await handler.handle(BODY.replace(LEG.encode(), b"leg-%d" % number), {})
        await router.drain()
    assert called == ["hook"] * 3
    assert written(caplog) == ["lifespan.missing"]


class Newer(MemoryStore):
    """A store that this release cannot use."""

    @property
    def durable(self) -> bool:
        return True

    async def open(self) -> None:
        raise StoreError("of a newer release")


async def test_a_start_after_the_first_delivery_is_a_start() -> None:
    """A store that cannot work is raised then, too."""
    called: list[str] = []
    router = calling(called, store=Newer())
    assert (await CallbackHandler(router, auth=None).handle(BODY, {})).status == 200
    with pytest.raises(StoreError, match="newer release"):
        await router.start()
    await router.drain()


PROGRAM = """
import asyncio, json, logging, sys, time

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from ringback import CallOutcomeMiddleware, OutcomeRouter

router = OutcomeRouter(settle=3600, {settings})
BODY = {body!r}

{hook}


async def callbacks(request):
    return Response(status_code=204)


def raw():
    async def app(scope, receive, send):
        await Response(status_code=204)(scope, receive, send)

    return CallOutcomeMiddleware(app, router=router, path="/cb", auth=None)


def mounted():
    inner = Starlette(routes=[Route("/cb", callbacks, methods=["POST"])])
    inner.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
    return Starlette(routes=[Mount("/", inner)])


def decorated():
    return Starlette(routes=[Route("/cb", router.callback(auth=None)(callbacks), methods=["POST"])])


async def deliver(app):
    async def receive():
        return {{"type": "http.request", "body": BODY}}

    async def send(message):
        assert message.get("status", 204) == 204

    scope = {{"type": "http", "method": "POST", "path": "/cb", "query_string": b"", "headers": [], "asgi": {{}}}}
    await app(scope, receive, send)


{run}
print("end", flush=True)
"""
CALLED = """
@router.on_retryable
async def again(outcome):
    await asyncio.sleep(0)
    print("hook", outcome.cause, flush=True)
"""
IN_A_THREAD = """
@router.on_retryable
def again(outcome):
    print("hook", outcome.cause, flush=True)
"""
LATE = """
@router.on_retryable
async def again(outcome):
    await asyncio.sleep(3600)
"""
RUN = "asyncio.run(deliver({app}()))"
LEFT_OPEN = "loop = asyncio.new_event_loop()\nloop.run_until_complete(deliver(raw()))"
IN_A_DAEMON = """
import threading
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(deliver(raw()), loop).result()
"""
FORGOTTEN = RUN.format(app="raw") + "\nimport gc\ndel router, again, raw, mounted, decorated\ngc.collect()"
DRAINED = "async def whole():\n    await deliver(raw())\n    await router.drain()\n\nasyncio.run(whole())"


def program(hook: str = CALLED, run: str = "", settings: str = "") -> tuple[int, list[Any]]:
    """How a program ended that delivers one event: its status, and what it printed, log lines by their names."""
    source = PROGRAM.format(body=BODY, hook=hook, run=run or RUN.format(app="raw"), settings=settings)
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stderr == ""
    printed = [json.loads(each) if each.startswith("{") else each for each in ended.stdout.splitlines()]
    return ended.returncode, [each["event"] if isinstance(each, dict) else each for each in printed]


@pytest.mark.parametrize(
    ("hook", "run"),
    [
        *(pytest.param(CALLED, RUN.format(app=app), id=app) for app in ("raw", "mounted", "decorated")),
        pytest.param(IN_A_THREAD, "", id="a hook in a thread"),
        pytest.param(CALLED, FORGOTTEN, id="an app that is gone"),
        pytest.param(CALLED, LEFT_OPEN, id="a loop that nobody closed"),
        pytest.param(IN_A_THREAD, LEFT_OPEN, id="a hook in a thread of a loop that nobody closed"),
        pytest.param(CALLED, IN_A_DAEMON, id="a loop in a daemon thread"),
        pytest.param(IN_A_THREAD, IN_A_DAEMON, id="a hook in a thread of a loop in a daemon thread"),
        pytest.param(CALLED, f"{RUN.format(app='raw')}\n{RUN.format(app='raw')}", id="twice, in two loops"),
    ],
)
def test_what_waits_in_memory_is_called_when_the_interpreter_exits(hook: str, run: str) -> None:
    """Though nobody drained, and the sibling event has not come."""
    status, printed = program(hook, run)
    assert status == 0
    assert [each for each in printed if not each.startswith("call.")] == ["lifespan.missing", "end", "hook busy"]


# The same in this process, where what is to run at exit is run by hand


@pytest.fixture
def at_exit(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What engines want to have called when the interpreter exits."""
    wanted: list[Callable[[], None]] = []
    monkeypatch.setattr(engine, "at_exit", wanted.append)
    return wanted


def delivered(router: OutcomeRouter, loop: asyncio.AbstractEventLoop) -> None:
    """One delivery, in this loop, of a router that nobody has started."""
    handled = CallbackHandler(router, auth=None).handle(BODY, {})
    if loop.is_running():
        assert asyncio.run_coroutine_threadsafe(handled, loop).result().status == 200
    else:
        assert loop.run_until_complete(handled).status == 200


@pytest.mark.parametrize("state", ["closed", "standing", "running"])
def test_an_engine_is_drained_where_it_works(at_exit: list[Callable[[], None]], state: str) -> None:
    """In its loop if there still is one; and once, though it is called again."""
    called: list[str] = []
    router, loop = calling(called, settle=3600), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    if state == "running":
        thread.start()
    delivered(router, loop)
    if state == "closed":
        # As asyncio.run ends.
        for task in asyncio.all_tasks(loop):
            task.cancel()
            loop.run_until_complete(asyncio.wait({task}))
        loop.close()
    [end] = at_exit
    assert called == []
    end()
    assert called == ["hook"]
    end()
    assert called == ["hook"]
    if state == "running":
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
    loop.close()


async def test_at_exit_nothing_is_done_for_an_engine_that_was_drained(at_exit: list[Callable[[], None]]) -> None:
    """Nothing waits."""
    called: list[str] = []
    router = calling(called, settle=3600)
    await CallbackHandler(router, auth=None).handle(BODY, {})
    await router.drain()
    [end] = at_exit
    end()
    assert called == ["hook"]


def test_what_was_drained_is_not_called_again_at_exit() -> None:
    """Once is once."""
    status, printed = program(run=DRAINED)
    assert (status, printed) == (0, ["lifespan.missing", "call.outcome", "call.ended", "hook busy", "end"])


def test_what_is_late_at_exit_is_counted() -> None:
    """In one line, after as many seconds as the router's drain says."""
    status, printed = program(LATE, settings="drain=0.1")
    assert (status, printed) == (0, ["lifespan.missing", "call.outcome", "end", "call.ended", "hooks.abandoned"])


def test_what_a_store_has_stays_there_at_exit(tmp_path: Path) -> None:
    """The next start calls it: nothing is lost, and nothing holds the exit up."""
    status, printed = program(settings=f"store='sqlite:///{tmp_path}/ringback.db'")
    assert (status, printed) == (0, ["lifespan.missing", "call.outcome", "end"])

    async def waiting() -> int:
        store = SQLiteStore(tmp_path / "ringback.db")
        await store.open()
        ready = (await store.stats()).ready
        await store.close()
        return ready

    assert asyncio.run(waiting()) == 1


DOWN = """
from ringback import StoreUnavailable
from ringback.stores import MemoryStore


class Down(MemoryStore):
    @property
    def durable(self):
        return True

    async def put(self, items):
        raise StoreUnavailable("down")


router = OutcomeRouter(settle=3600, store=Down(), on_store_failure="inline")
"""


def test_what_waits_in_memory_for_a_store_that_is_down_is_called_at_exit() -> None:
    """on_store_failure="inline": it is nowhere else."""
    status, printed = program(DOWN + CALLED)
    assert (status, printed) == (
        0,
        ["lifespan.missing", "store.unavailable", "store.bypassed", "call.outcome", "end", "call.ended", "hook busy"],
    )


def test_telemetry_is_one_for_all_doors() -> None:
    """The engine's."""
    telemetry = Telemetry()
    inner, outer = OutcomeRouter(), OutcomeRouter(telemetry=telemetry)
    outer.include(inner)
    assert inner.engine.telemetry is telemetry


# Redials


def redialing(**settings: Any) -> OutcomeRouter:
    router = OutcomeRouter(**settings)

    @router.redial(contact=lambda outcome: outcome.operation_context)
    async def call_again(contact: str) -> None: ...

    return router


def included() -> OutcomeRouter:
    outer = OutcomeRouter()
    outer.include(redialing())
    return outer


UNSTORED = (
    r"^redial \S*call_again needs a store: a crash loses the redials that wait in memory, and each worker process "
    r"places its own; pass store='sqlite:///ringback.db' to OutcomeRouter, or store='memory' if that will do$"
)


@pytest.mark.parametrize("made", [redialing, included])
async def test_a_redial_without_a_store_ends_the_start(made: Callable[[], OutcomeRouter]) -> None:
    """Whoever starts; and where nobody does, each delivery is refused before its route is called."""
    router = made()
    with pytest.raises(ConfigurationError, match=UNSTORED):
        await router.start()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=UNSTORED):
            await CallbackHandler(router, auth=None).handle(BODY, {})
    answers: list[Any] = []
    app = CallOutcomeMiddleware(Starlette(), router=router, path="/cb", auth=None)

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        answers.append(message)

    with pytest.raises(ConfigurationError, match=UNSTORED):
        await app({"type": "lifespan"}, receive, send)
    assert [answer["type"] for answer in answers] == ["lifespan.startup.failed"]


@pytest.mark.parametrize("store", ["memory", "memory?max_backlog=9", "a store", "sqlite:///{}/ringback.db"])
async def test_a_store_that_is_said_will_do_for_redials(store: str, tmp_path: Path) -> None:
    """Memory, too: then the app knows what it has."""
    router = redialing(store=MemoryStore() if store == "a store" else store.format(tmp_path))
    await router.start()
    assert (await CallbackHandler(router, auth=None).handle(BODY, {})).status == 200
    await router.drain()


async def test_a_redial_that_comes_late_is_refused_and_not_registered() -> None:
    """The start has looked at those before; an app that runs goes on."""
    router = OutcomeRouter()
    await router.start()
    with pytest.raises(RegistrationError, match=UNSTORED):
        router.redial(contact=lambda _: None)(call_again)
    assert router.redials == ()
    assert (await CallbackHandler(router, auth=None).handle(BODY, {})).status == 200
    await router.drain()


async def call_again(contact: str) -> None: ...
