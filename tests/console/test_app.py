"""The page as an app: mounted or alone, of a router or of a store, many looking at once, and with the store down."""

from __future__ import annotations

import asyncio
import html
import re
import sys
import time
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from ringback import CallOutcomeMiddleware, OutcomeRouter
from ringback.console import Console
from ringback.console.pages import _percent, _seconds, _span, environment
from ringback.console.snapshot import DEFAULT
from ringback.exceptions import ConfigurationError, StoreUnavailable
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.router import HandlerRouter
from ringback.logs import LogObserver
from ringback.stores import MemoryStore, open_store
from ringback.stores.sqlite import SQLiteStore
from ringback.work.items import Item, Kind
from ringback.work.letters import UNDO
from ringback.work.policy import GiveUp


def me(_: Any) -> str:
    return "me"


def soon() -> float:
    """A page counts the seconds that are over."""
    return time.time() + 1


def mounted_in_starlette(console: Console) -> Any:
    return Starlette(routes=[Mount("/ops/calls", console)])


def mounted_in_fastapi(console: Console) -> Any:
    app = FastAPI()
    app.mount("/ops/calls", console)
    return app


def behind_a_prefix(console: Console) -> Any:
    """As by a framework that takes the prefix off the path."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix("/ops/calls")
        await console(scope | {"root_path": "/ops/calls", "path": f"/ops/calls{path}"}, receive, send)

    return app


@pytest.mark.parametrize("mounted", [mounted_in_starlette, mounted_in_fastapi, behind_a_prefix])
async def test_it_may_be_mounted_anywhere(memory, browser, mounted):
    """Its addresses are relative to the page; without the last slash it leads there."""
    async with browser(mounted(memory.console()), follow_redirects=True) as client:
        page = await client.get("/ops/calls")
        assert str(page.url) == "https://ops.example/ops/calls/"
        for address in re.findall(r'(?:src|href)="((?:static|calls|work|catalog|\./|\?)[^"]*)"', page.text):
            assert (await client.get(page.url.join(html.unescape(address)))).status_code == 200


@pytest.mark.parametrize("store_path", ["/calls", "/"])
async def test_the_slash_is_added_relative_to_the_address(memory, store_path):
    """A proxy may have taken off a prefix that we do not know."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    root = store_path.rstrip("/")
    scope = {"type": "http", "method": "GET", "path": root, "root_path": root, "query_string": b"", "headers": []}
    await memory.console()(scope, receive, send)
    location = dict(sent[0]["headers"])[b"location"]
    assert (sent[0]["status"], location) == (307, b"calls/" if root else b"./")


async def test_it_serves_alone_and_closes_its_store(tmp_path):
    """As the whole app of a process."""
    console = Console(store=f"sqlite:///{tmp_path}/calls.db".replace("///", "////", 1), auth=me)
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await console({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_it_speaks_no_websocket(memory):
    """The connection is refused, not left open."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await memory.console()({"type": "websocket", "path": "/"}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_closing_the_page_of_a_router_leaves_its_stores_alone(browser):
    """They belong to the app. Handlers alone have none."""
    console = Console(router=HandlerRouter(), auth=me)
    await console.close()
    async with browser(console) as client:
        text = (await client.get("/")).text
    assert "there is no store to read" in text


async def test_a_store_is_shown_before_anybody_has_started_the_app(tmp_path, outcome, browser, parsed):
    """A middleware in a mounted app hears nothing of the start: what died before the restart is there all the same."""
    url = f"sqlite:///{tmp_path}/calls.db"
    store = open_store(url)
    await store.open()
    await store.put([Item("call:1", Kind.OUTCOME, time.time(), outcome(1, 486, 560486))])
    await store.close()
    router = OutcomeRouter(store=url)
    console = Console(router=router, auth=me, clock=soon)
    included = OutcomeRouter()
    router.include(included)
    async with browser(console) as client:
        shown = parsed((await client.get("/")).text)
    assert shown.figures["ended.range"] == "1"
    assert included.engine is router.engine
    await router.drain()


async def test_calls_in_memory_are_counted_from_the_first_delivery(outcome, browser, parsed):
    """Not only from the first look at the page: the console asks for the history when a dispatcher comes."""
    router = OutcomeRouter()
    console = Console(router=router, auth=me, clock=soon)
    dispatcher = Dispatcher(router, LogObserver(), settle=0.0)
    await dispatcher.accept([outcome(1, 486, 560486)])
    async with browser(console) as client:
        text = (await client.get("/")).text
    await dispatcher.drain(1.0)
    assert parsed(text).figures["ended.range"] == "1"


async def test_a_page_beside_its_middleware_shows_what_was_delivered(browser, parsed):
    """The app of the documentation, from the delivery to the figure."""
    router = OutcomeRouter()
    app = Starlette(
        routes=[Mount("/ringback", Console(router=router, auth=me, clock=soon))],
        middleware=[Middleware(CallOutcomeMiddleware, router=router, path="/callbacks", auth=None)],
    )
    event = {
        "specversion": "1.0", "id": "1", "source": "calling/x", "type": "Microsoft.Communication.CallDisconnected",
        "data": {
            "callConnectionId": "1f0e5c1a-0000-4000-8000-000000000001",
            "resultInformation": {"code": 486, "subCode": 560486},
        },
    }  # fmt: skip
    async with browser(app) as client:
        await client.post("/callbacks", json=[event])
        await asyncio.sleep(0)
        text = (await client.get("/ringback/")).text
    assert parsed(text).figures["ended.range"] == "1"


async def test_two_that_opened_the_same_file_are_one_store(tmp_path, outcome, browser, parsed):
    """Two middlewares with the same URL."""
    router = OutcomeRouter()
    dispatchers = [Dispatcher(router, LogObserver(), store=SQLiteStore(tmp_path / "calls.db")) for _ in range(2)]
    console = Console(router=router, auth=me, clock=soon)
    await dispatchers[0].start()
    await dispatchers[0].accept([outcome(1, 486, 560486)])
    async with browser(console) as client:
        text = (await client.get("/")).text
    for each in dispatchers:
        await each.drain(1.0)
    assert parsed(text).figures["ended.range"] == "1"
    assert "The sum of" not in text


class Counting(MemoryStore):
    """Counts how often it is read; may be slow or down."""

    reads = 0
    down: Exception | None = None
    gate: asyncio.Event | None = None

    async def open(self) -> None:
        self.reads += 1
        gate = self.gate
        if gate is not None:
            await gate.wait()
        if self.down is not None:
            raise self.down


async def test_many_who_look_cost_one_read(memory, browser, clock):
    """At once, and within two seconds; each range has its own."""
    store = Counting(clock=clock)
    store.gate = asyncio.Event()
    async with browser(memory.console(store=store)) as client:
        looking = [asyncio.create_task(client.get("/")) for _ in range(5)]
        await asyncio.sleep(0.05)
        store.gate.set()
        assert {each.status_code for each in await asyncio.gather(*looking)} == {200}
        assert store.reads == 1
        clock.now += 1.9
        await client.get("/")
        assert store.reads == 1
        await client.get("/?range=7d")
        assert store.reads == 2
        clock.now += 0.1
        await client.get("/")
        assert store.reads == 3


async def test_a_store_that_answers_slowly_is_asked_less(memory, browser, clock):
    """What took three seconds is not asked for in the next twelve."""

    class Slow(Counting):
        async def open(self) -> None:
            await super().open()
            clock.now += 3.0

    store = Slow(clock=clock)
    async with browser(memory.console(store=store)) as client:
        await client.get("/")
        clock.now += 11.9
        await client.get("/")
        assert store.reads == 1
        clock.now += 0.1
        await client.get("/")
        assert store.reads == 2


async def test_who_goes_away_takes_nobody_along(memory, browser, clock):
    """Others wait for the same answer; a fault nobody waits for any more is nobody's."""
    store = Counting(clock=clock)
    store.gate = asyncio.Event()
    console = memory.console(store=store)
    first = asyncio.create_task(console._desk.reader.snapshot(DEFAULT))
    await asyncio.sleep(0)
    second = asyncio.create_task(console._desk.reader.snapshot(DEFAULT))
    await asyncio.sleep(0)
    first.cancel()
    store.gate.set()
    assert (await second).at == clock.now + 1
    assert first.cancelled()


async def test_a_reading_that_is_stopped_with_its_loop_is_no_fault(memory, clock):
    """At the end of a process."""
    store = Counting(clock=clock)
    store.gate = asyncio.Event()
    console = memory.console(store=store)
    looking = asyncio.create_task(console._desk.reader.snapshot(DEFAULT))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in console._desk.reader.shared._reading.values():
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_what_was_read_before_a_change_is_not_shown_after_it(memory, browser, clock, outcome, parsed):
    """A slow read that began before the replay does not bring the letter back."""
    gated = Counting(clock=clock)
    calls = type(memory)(gated, clock)
    _ = gated.history
    await calls.put(outcome(1, 200, 7000))
    await calls.kill()
    console = calls.console()
    gated.gate = asyncio.Event()
    early = asyncio.create_task(console._desk.reader.work(DEFAULT))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate, gated.gate = gated.gate, None
    assert await gated.replay("call:1f0e5c1a-0000-4000-8000-000000000001")
    console._desk.reader.shared.forget()
    gate.set()
    await early
    assert console._desk.reader.shared._known == {}
    assert (await console._desk.reader.work(DEFAULT)).letters == ()


async def test_a_store_that_is_down_is_said_so_and_nothing_is_invented(memory, browser, clock, outcome):
    """503 with the reason, without what is private and without a figure; then the page is back."""
    store = Counting(clock=clock)
    async with browser(memory.console(store=store)) as client:
        assert (await client.get("/")).status_code == 200
        clock.now += 2.0
        store.down = StoreUnavailable("/data/calls.db of +1 555 0100 is <locked>")
        for path in ("/?range=7d", "/work", "/catalog"):
            response = await client.get(path)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
            assert "/data/calls.db of [phone] is &lt;locked&gt;" in response.text
            assert "data-figure" not in response.text
        store.down = None
        assert (await client.get("/")).status_code == 200


def test_without_jinja2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the app starts, not at the first look."""
    environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'ringback\[console\]'"):
        Console(store=MemoryStore(), auth=me)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-0.5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3661, "1 h 1 min"),
        (-86_400, "1 d"),
        (1e8, "1,157 d 9 h"),
    ],
)
def test_a_span_is_read_at_a_glance(seconds, text):
    """The two greatest units."""
    assert _span(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(None, "–"), (0.04, "0.0 s"), (59.94, "59.9 s"), (61.5, "1 min 1 s")])  # noqa: RUF001
def test_a_duration_is_exact_where_it_is_short(seconds, text):
    """Tenths of a second up to a minute."""
    assert _seconds(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (0.0, "0.0 %"), (1.0, "100.0 %"), (0.99999, "> 99.9 %"), (0.0001, "< 0.1 %"), (0.5, "50.0 %")],  # noqa: RUF001
)
def test_a_share_is_never_rounded_to_all_or_nothing(share, text):
    """One failure in a million is one."""
    assert _percent(share) == text


async def test_a_replay_runs_the_hook_once(browser, outcome, tmp_path):
    """From the hook that gave up to the button, and to the hook again: with its worker, on a real file."""
    router = OutcomeRouter()
    fixed = False
    called: list[str] = []
    done = asyncio.Event()

    @router.on_retryable
    async def write_crm(outcome: Any) -> None:
        called.append(outcome.outcome_id)
        if not fixed:
            raise GiveUp("crm is down")
        done.set()

    @router.on(cause="busy")
    async def notify(outcome: Any) -> None:
        called.append("notify")

    # What is changed is due at once.
    console = Console(router=router, auth=me, allow_changes=True, clock=lambda: time.time() - UNDO)
    dispatcher = Dispatcher(router, LogObserver(), store=SQLiteStore(tmp_path / "calls.db", poll=0.05), settle=0.0)
    await dispatcher.start()
    await dispatcher.accept([outcome(1, 486, 560486)])
    while not await dispatcher.store.dead():  # noqa: ASYNC110 - a store tells nobody
        await asyncio.sleep(0.01)
    fixed = True
    async with browser(console) as client:
        text = (await client.get("/work/confirm?act=replay")).text
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))
        await client.post("/work/change", data=form | {"act": "replay"})
        await asyncio.wait_for(done.wait(), 5.0)
        await client.post("/work/change", data=form | {"act": "replay"})
    await dispatcher.drain(2.0)
    assert "crm is down" in text
    assert called == [
        "call:1f0e5c1a-0000-4000-8000-000000000001",
        "notify",
        "call:1f0e5c1a-0000-4000-8000-000000000001",
    ]
    await console.close()


@pytest.mark.parametrize("worker", [True, False], ids=["to-work", "not-to-work"])
async def test_a_process_that_calls_no_hook_says_so_at_once(tmp_path, outcome, browser, worker):
    """With what to do: beside what waits, and beside a replay. A delivery wakes the worker, and then there is no such
    line; nor is there one where another process is to call the hooks, or nothing waits.
    """
    url = f"sqlite:///{tmp_path}/calls.db"
    router = OutcomeRouter(store=url, worker=worker)
    router.on_retryable(name="again")(lambda outcome: None)
    replayed = f"/work?made=replay&count=1&of=1&due={soon()}&change="
    lines: list[int] = []

    async def look(path: str) -> None:
        async with browser(Console(router=router, auth=me, clock=soon)) as client:
            text = (await client.get(path)).text
        lines.append(text.count("▲ This process calls no hook"))
        assert ("<code>lifespan=router.lifespan</code>" in text) == (lines[-1] > 0)

    await look("/work")
    await look(replayed)
    store = open_store(url)
    await store.open()
    await store.put([Item("call:1", Kind.OUTCOME, time.time() + 600, outcome(1, 486, 560486))])
    await store.close()
    await look("/work")
    await look(replayed)
    await look(replayed.replace("replay", "discard"))
    await router.engine.accept([outcome(2, 486, 560486)])
    await look(replayed)
    assert lines == ([0, 1, 1, 2, 1, 0] if worker else [0] * 6)
    await router.drain()
