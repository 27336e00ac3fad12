"""One request at a door: its verbs, the order in which they are called, and what happens at each step."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import get_contextvars

from ringback import CallbackHandler, Catalog, Outcome, OutcomeRouter, Refusal, StoreUnavailable
from ringback.receiving.exchange import Admitted, Exchange, Receiver
from ringback.receiving.replies import Reply, too_large
from ringback.settings import Door
from ringback.stores import DeliveryStore, MemoryStore
from ringback.stores.sqlite import SQLiteStore
from ringback.telemetry import Telemetry
from ringback.web.handler import SyncExchange
from ticking import Ticking, others

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from ringback import Event, Head

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
BUSY = {
    "type": "Microsoft.Communication.CallDisconnected",
    "data": {"callConnectionId": LEG, "resultInformation": {"code": 486, "subCode": 560486, "message": ""}},
}
BODY = json.dumps([BUSY]).encode()
HANDSHAKE = json.dumps(
    [{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "code-1"}}]
).encode()


def scope(method: str = "POST", headers: Sequence[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    return {"method": method, "path": "/cb", "query_string": b"", "headers": list(headers)}


def exchange(
    router: OutcomeRouter | None = None, of: dict[str, Any] | None = None, *, measures_route: bool = True, **door: Any
) -> Exchange:
    """A request at a door of the router."""
    receiver = Receiver(router or OutcomeRouter(), Door.of({"auth": None} | door), measures_route=measures_route)
    return Exchange(receiver, of or scope())


def calling(into: list[Any], **engine: Any) -> OutcomeRouter:
    """A router whose hook notes that it was called."""
    router = OutcomeRouter(**{"settle": 0} | engine)

    @router.on_retryable
    async def again(outcome: Outcome) -> None:
        into.append("hook")

    return router


# The order of the verbs


async def new() -> Exchange:
    return exchange()


async def reading() -> Exchange:
    begun = await new()
    assert await begun.admit() is Admitted.READ_BODY
    return begun


async def accepted() -> Exchange:
    begun = await reading()
    assert [outcome.cause for outcome in await begun.take(BODY)] == ["busy"]  # type: ignore[union-attr]
    return begun


async def over() -> Exchange:
    begun = await accepted()
    assert await begun.__aenter__() is begun
    await begun.__aexit__(None, None, None)
    return begun


STATES = {"new": new, "reading": reading, "accepted": accepted, "over": over}
VERBS: dict[str, Callable[[Exchange], Any]] = {
    "admit": lambda begun: begun.admit(),
    "take": lambda begun: begun.take(BODY),
    "with": lambda begun: begun.__aenter__(),
}
ORDER = "the order is admit, take, with"
IN_ORDER = {("new", "admit"), ("reading", "take"), ("accepted", "with")}
OUT_OF_ORDER = {
    ("new", "take"): "take is out of order: the exchange is new, and take is for one that is reading",
    ("new", "with"): "with is out of order: the exchange is new, and with is for one that is accepted",
    ("reading", "admit"): "admit is out of order: the exchange is reading, and admit is for one that is new",
    ("reading", "with"): "with is out of order: the exchange is reading, and with is for one that is accepted",
    ("accepted", "admit"): "admit is out of order: the exchange is accepted, and admit is for one that is new",
    ("accepted", "take"): "take is out of order: the exchange is accepted, and take is for one that is reading",
    ("over", "admit"): "admit is out of order: the exchange is over, and admit is for one that is new",
    ("over", "take"): "take is out of order: the exchange is over, and take is for one that is reading",
    ("over", "with"): "with is out of order: the exchange is over, and with is for one that is accepted",
}


@pytest.fixture(autouse=True)
def _bound_in_no_other_test() -> Generator[None]:
    """A route that is entered by hand, and not left, binds ids in the test's own task alone."""
    yield
    assert get_contextvars() == {}


def test_each_verb_in_each_state_is_in_the_table() -> None:
    """Twelve cases, of which three are in order."""
    assert IN_ORDER | OUT_OF_ORDER.keys() == {(state, verb) for state in STATES for verb in VERBS}
    assert IN_ORDER & OUT_OF_ORDER.keys() == set()


@pytest.mark.parametrize(("state", "verb"), [pytest.param(*each, id=" ".join(each)) for each in sorted(IN_ORDER)])
async def test_a_verb_is_called_in_its_state(state: str, verb: str) -> None:
    """Each once."""
    begun = await STATES[state]()
    await VERBS[verb](begun)
    with pytest.raises(RuntimeError, match=f"^{verb} is out of order"):
        await VERBS[verb](begun)


@pytest.mark.parametrize(
    ("state", "verb", "said"), [pytest.param(*each, said, id=" ".join(each)) for each, said in OUT_OF_ORDER.items()]
)
async def test_a_verb_out_of_its_order_raises(state: str, verb: str, said: str) -> None:
    """With the order; and the exchange is what it was."""
    begun = await STATES[state]()
    for _ in range(2):
        with pytest.raises(RuntimeError) as raised:
            await VERBS[verb](begun)
        assert str(raised.value) == f"{said}; {ORDER}"
    for right in [each for each, after in zip(VERBS, STATES, strict=False) if after == state]:
        await VERBS[right](begun)


class Down(MemoryStore):
    """A store that cannot be used now."""

    @property
    def durable(self) -> bool:
        return True

    async def put(self, items: Any) -> Any:  # noqa: ARG002 - the store's signature
        raise StoreUnavailable("away")


async def nobody(head: Head) -> Refusal:
    return Refusal("nobody")


CLOUD_EVENTS = scope("OPTIONS", [(b"webhook-request-origin", b"eventgrid.azure.net")])


@pytest.mark.parametrize(
    ("begun", "body", "found"),
    [
        pytest.param(lambda: exchange(auth=nobody), BODY, 401, id="refused"),
        pytest.param(lambda: exchange(max_body=5, of=scope(headers=[(b"content-length", b"6")])), BODY, 413, id="long"),
        pytest.param(lambda: exchange(of=CLOUD_EVENTS), BODY, 200, id="handshake by OPTIONS"),
        pytest.param(lambda: exchange(of=scope("GET")), BODY, Admitted.PASS_ON, id="passed on"),
        pytest.param(exchange, b"no json", 400, id="malformed"),
        pytest.param(exchange, HANDSHAKE, 200, id="handshake by POST"),
        pytest.param(exchange, too_large(5), 413, id="a reply for a body"),
        pytest.param(exchange, None, 400, id="the sender left"),
        pytest.param(lambda: exchange(OutcomeRouter(store=Down())), BODY, 503, id="store down"),
    ],
)
async def test_what_is_answered_or_passed_on_is_over(
    begun: Callable[[], Exchange], body: bytes | Reply | None, found: object
) -> None:
    """No other verb is in order, and there is no delivery to be had."""
    asked = begun()
    got: object = await asked.admit()
    if got is Admitted.READ_BODY:
        got = await asked.take(body)
    assert (got.status if isinstance(got, Reply) else got) == found
    for verb, call in VERBS.items():
        with pytest.raises(RuntimeError, match=f"^{verb} is out of order: the exchange is over,"):
            await call(asked)
    assert not hasattr(asked, "received")


async def test_the_body_may_be_read_by_a_function() -> None:
    """Which is awaited inside of what is measured; the body is then the exchange's, with the delivery."""
    begun = await reading()

    async def read() -> bytes:
        return BODY

    taken = await begun.take(read)
    assert begun.body == BODY
    assert begun.received.outcomes == taken
    assert [each.name for each in begun.received.delivery.events] == ["CallDisconnected"]


# The steps


class Noting(Catalog):
    """The default catalog, which notes when it is asked."""

    steps: list[str]

    def look_up(self, *asked: Any, **more: Any) -> Any:
        self.steps.append("classify")
        return super().look_up(*asked, **more)


class Steps(logging.Handler):
    """A router with all that takes part in a delivery, and the order in which it does."""

    def __init__(self, store: DeliveryStore | None = None, refusal: Refusal | None = None) -> None:
        super().__init__()
        self.log: list[str] = []
        self.hooked = asyncio.Event()
        self.refusal = refusal
        catalog = Noting(Catalog.default().entries)
        catalog.steps = self.log
        self.router = OutcomeRouter(settle=0, catalog=catalog, store=store)

        @self.router.listen
        def listen(events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
            self.log.append("listener")

        @self.router.on_retryable
        async def again(outcome: Outcome) -> None:
            self.log.append("hook")
            self.hooked.set()

    async def verify(self, head: Head) -> Refusal | None:  # noqa: ARG002 - a check's signature
        self.log.append("verify")
        return self.refusal

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("call.outcome "):
            self.log.append("log")

    async def deliver(self, body: bytes = BODY) -> object:
        begun = exchange(self.router, auth=self.verify)
        found: object = await begun.admit()
        if found is Admitted.READ_BODY:
            found = await begun.take(body)
        if isinstance(found, Reply):
            return found.status
        with begun:
            self.log.append("route")
        return found


@pytest.fixture
def steps() -> Generator[Callable[..., Steps]]:
    """Makes those of one test, whose lines are handled in the order of everything else."""
    logger, level, made = logging.getLogger("ringback"), logging.getLogger("ringback").level, []
    logger.setLevel(logging.INFO)

    def make(**more: Any) -> Steps:
        made.append(Steps(**more))
        logger.addHandler(made[-1])
        return made[-1]

    yield make
    logger.setLevel(level)
    for each in made:
        logger.removeHandler(each)


class Persisting:
    """Notes when outcomes are in the store, or cannot be."""

    log: list[str]
    down = False

    async def put(self, items: Any) -> Any:
        if self.down:
            self.log.append("not persisted")
            raise StoreUnavailable("away")
        offers = await super().put(items)  # type: ignore[misc]
        self.log.append("persist")
        return offers


class InMemory(Persisting, MemoryStore): ...


class OnDisk(Persisting, SQLiteStore): ...


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "sqlite"])
async def test_a_delivery_is_in_the_store_before_anything_is_said_of_it(
    steps: Callable[..., Steps], tmp_path: Path, durable: bool
) -> None:
    """Neither the log nor a listener nor the route hears of what may come again. The hook is the store's from then."""
    store = OnDisk(tmp_path / "ringback.db") if durable else InMemory()
    tried = steps(store=store)
    store.log = tried.log
    async with tried.router.lifespan():
        await tried.deliver()
        await tried.hooked.wait()
    assert [step for step in tried.log if step != "hook"] == [
        "verify",
        "classify",
        "persist",
        "log",
        "listener",
        "route",
    ]
    assert tried.log.count("hook") == 1


@pytest.mark.parametrize(
    ("refusal", "body", "down", "answer", "log"),
    [
        pytest.param(Refusal("nobody"), b"no json", True, 401, ["verify"], id="verify before parse"),
        pytest.param(None, b"no json", True, 400, ["verify"], id="parse before classify"),
        pytest.param(None, BODY, True, 503, ["verify", "classify", "not persisted"], id="persist before log"),
    ],
)
async def test_a_step_that_fails_is_the_last(
    steps: Callable[..., Steps],
    tmp_path: Path,
    refusal: Refusal | None,
    body: bytes,
    down: bool,
    answer: int,
    log: list[str],
) -> None:
    """Of what is wrong in several ways the first step says so."""
    store = OnDisk(tmp_path / "ringback.db")
    tried = steps(store=store, refusal=refusal)
    store.log, store.down = tried.log, down
    async with tried.router.lifespan():
        assert await tried.deliver(body) == answer
    assert tried.log == log


# The hooks


STORES = pytest.mark.parametrize("store", ["memory", "sqlite:///{}/ringback.db"], ids=["memory", "sqlite"])


async def under_way(router: OutcomeRouter, *events: object) -> Exchange:
    """An exchange whose route may run now."""
    begun = exchange(router)
    await begun.admit()
    assert isinstance(await begun.take(json.dumps(events or [BUSY]).encode()), tuple)
    return begun


@STORES
async def test_the_hooks_do_not_wait_for_the_route(store: str, tmp_path: Path) -> None:
    """Nor do they need an end of it: the settle time counts from the moment when the store had the outcome."""
    called = asyncio.Event()
    router = OutcomeRouter(settle=0.01, store=store.format(tmp_path))

    @router.on_retryable
    async def again(outcome: Outcome) -> None:
        assert not called.is_set()
        called.set()

    async with router.lifespan():
        begun = await under_way(router)
        with begun:
            await called.wait()


async def test_a_route_that_raises_costs_no_hook() -> None:
    """The call has ended, whatever the route makes of it; and the ids are bound no longer."""
    called: list[str] = []
    router = calling(called)
    begun = await under_way(router)

    async def route() -> None:
        with begun:
            assert get_contextvars() == {"call_connection_id": LEG}
            raise LookupError

    with pytest.raises(LookupError):
        await route()
    assert get_contextvars() == {}
    await router.drain()
    assert called == ["hook"]


PLAYED = {
    "id": "1f0e5c1a-0000-4000-8000-000000000004",
    "type": "Microsoft.Communication.PlayFailed",
    "data": {"callConnectionId": LEG, "resultInformation": {"code": 400, "subCode": 8536, "message": ""}},
}


def telling(told: asyncio.Queue[str], **engine: Any) -> OutcomeRouter:
    """A router whose hook for everything tells the events."""
    router = OutcomeRouter(**engine)

    @router.on(scope=["call", "operation"])
    async def hook(outcome: Outcome) -> None:
        told.put_nowait(outcome.event_name)

    return router


@dataclass(frozen=True)
class Final(Door):
    """A door with a setting that has the name of a field of an outcome."""

    attempts_exhausted: bool = True


async def test_an_outcome_carries_the_settings_of_its_door_that_it_has_a_field_for() -> None:
    """The door travels whole to the place where outcomes are made, so nothing in between names the setting."""
    begun = Exchange(Receiver(OutcomeRouter(), Final(auth=None)), scope())
    await begun.admit()
    outcomes = await begun.take(json.dumps([BUSY, BUSY]).encode())
    assert [outcome.attempts_exhausted for outcome in outcomes] == [True, True]  # type: ignore[union-attr]


async def test_outcomes_are_classified_with_the_catalog_of_the_router() -> None:
    """An override of the app's catalog reaches the outcome. An event that reports no result has no outcome."""
    catalog = Catalog.default().with_overrides({"entry": [{"code": 486, "subcode": 560486, "owner": "app"}]})
    begun = exchange(OutcomeRouter(catalog=catalog))
    await begun.admit()
    outcomes = await begun.take(json.dumps([{"type": "Microsoft.Communication.CallConnected"}, BUSY]).encode())
    assert [outcome.owner for outcome in outcomes] == ["app"]  # type: ignore[union-attr]
    assert outcomes[0].event is begun.received.delivery.events[1]  # type: ignore[union-attr]


@STORES
async def test_redials_alone_hear_of_a_connected_call_without_a_result(store: str, tmp_path: Path) -> None:
    """Versions of the API before September 2024 send none: it is no outcome, and nobody else is told."""
    told: list[Any] = []
    router = OutcomeRouter(settle=0, store=store.format(tmp_path))
    router.on(event="CallConnected")(told.append)
    router.on(scope="operation")(told.append)

    @router.redial(contact=lambda outcome: told.append(outcome.event_name))
    async def dial(contact: str) -> None: ...

    connected = {"id": "c-1", "type": "Microsoft.Communication.CallConnected", "data": {"callConnectionId": LEG}}
    async with router.lifespan():
        begun = await under_way(router, connected)
        with begun:
            await begun.answered()
        assert begun.received.outcomes == ()
    assert told == ["CallConnected"]


@STORES
async def test_the_hook_of_an_operation_follows_the_end_of_the_response(store: str, tmp_path: Path) -> None:
    """It has no sibling to wait for; the end of the call that came with it has."""
    told = asyncio.Queue[str]()
    router = telling(told, settle=3600, store=store.format(tmp_path))
    async with router.lifespan():
        begun = await under_way(router, PLAYED, BUSY)
        assert begun.received.early == [f"event:{PLAYED['id']}"]
        with begun:
            assert told.empty()
            await begun.answered()
            assert await told.get() == "PlayFailed"
            await begun.answered()
        assert (await router.engine.store.stats()).ready == 1


@STORES
async def test_where_nobody_sees_the_end_the_hook_of_an_operation_waits_for_the_settle_time(
    store: str, tmp_path: Path
) -> None:
    """As the end of a call does."""
    told = asyncio.Queue[str]()
    router = telling(told, settle=0.01, store=store.format(tmp_path))
    async with router.lifespan(), await under_way(router, PLAYED):
        assert await told.get() == "PlayFailed"


async def test_an_answer_hastens_nothing_that_no_hook_wants_or_that_is_due() -> None:
    """So the store is not asked."""
    for settings, events in (({}, [BUSY]), ({"settle": 0}, [PLAYED])):
        router = telling(asyncio.Queue(), **settings)
        begun = await under_way(router, *events)
        assert list(begun.received.early) == []
        await router.drain()
    begun = await under_way(calling([], settle=3600), PLAYED)
    assert list(begun.received.early) == []


class Failing(MemoryStore):
    """A store that cannot be used once it has the outcome."""

    async def hasten(self, keys: Sequence[str]) -> None:  # noqa: ARG002 - the store's signature
        raise StoreUnavailable("away")


async def test_a_store_that_fails_at_the_end_of_the_response_delays_the_hook_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The response is sent, so nobody is to hear of that but the log."""
    told = asyncio.Queue[str]()
    router = telling(told, settle=0.01, store=Failing())
    begun = await under_way(router, PLAYED)
    await begun.answered()
    assert await told.get() == "PlayFailed"
    assert "store.unavailable" in caplog.text


def test_without_async_the_verbs_are_the_same() -> None:
    """Each runs in the loop, the route here; the hooks follow also a route that raises."""
    called: list[Any] = []
    router = calling(called)

    def route(begun: SyncExchange) -> None:
        with begun:
            assert get_contextvars() == {"call_connection_id": LEG}
            raise LookupError

    with asyncio.Runner() as runner:
        begun = SyncExchange(exchange(router, max_body=5000), runner)
        assert begun.max_body == 5000
        with pytest.raises(RuntimeError, match=r"^take is out of order: the exchange is new"):
            begun.take(BODY)
        assert begun.admit() is Admitted.READ_BODY
        with pytest.raises(RuntimeError, match=r"^with is out of order: the exchange is reading"):
            begun.__enter__()
        assert [outcome.cause for outcome in begun.take(BODY)] == ["busy"]  # type: ignore[union-attr]
        with pytest.raises(LookupError):
            route(begun)
        assert get_contextvars() == {}
        runner.run(router.drain())
    assert called == ["hook"]


# What is measured


class Spans:
    """Telemetry whose spans are kept as they end."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.telemetry = Telemetry(MeterProvider(shutdown_on_exit=False), tracers)

    @property
    def ended(self) -> list[tuple[str, dict[str, Any]]]:
        return [(each.name, dict(each.attributes or {})) for each in self._exporter.get_finished_spans()]


@pytest.mark.parametrize("measures_route", [True, False])
async def test_a_delivery_that_is_canceled_while_its_body_comes_is_measured(measures_route: bool) -> None:
    """Its span ends, though nothing was taken."""
    spans = Spans()
    begun = exchange(OutcomeRouter(telemetry=spans.telemetry), measures_route=measures_route)
    await begun.admit()
    asked = asyncio.Event()

    async def never() -> bytes:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    taking = asyncio.create_task(begun.take(never))
    await asked.wait()
    assert spans.ended == []
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert [name for name, _ in spans.ended] == ["ringback delivery"]
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("measured", [True, False])
async def test_a_delivery_that_is_canceled_while_its_sender_is_verified_is_measured(measured: bool) -> None:
    """As keys are fetched, which takes its time. Where nothing is measured nothing is lost, either."""
    spans, asked = Spans(), asyncio.Event()

    async def waiting(head: Head) -> None:
        asked.set()
        await asyncio.Event().wait()

    begun = exchange(OutcomeRouter(telemetry=spans.telemetry if measured else None), auth=waiting)
    admitting = asyncio.create_task(begun.admit())  # type: ignore[arg-type, var-annotated]
    await asked.wait()
    admitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await admitting
    assert [name for name, _ in spans.ended] == ["ringback delivery"] * measured


@pytest.mark.parametrize(
    ("measures_route", "before", "after"),
    [
        pytest.param(True, [], ["ringback delivery"], id="in the same task"),
        pytest.param(False, ["ringback delivery"], ["ringback delivery"], id="somewhere else"),
    ],
)
async def test_the_span_of_a_delivery_ends_after_its_route_where_that_is_measured(
    measures_route: bool, before: list[str], after: list[str]
) -> None:
    """Once, also where the route raises."""
    spans = Spans()
    begun = exchange(OutcomeRouter(telemetry=spans.telemetry), measures_route=measures_route)
    await begun.admit()
    await begun.take(BODY)

    async def route() -> None:
        with begun:
            assert [name for name, _ in spans.ended] == before
            assert trace.get_current_span().get_span_context().is_valid is measures_route
            raise LookupError

    with pytest.raises(LookupError):
        await route()
    assert [name for name, _ in spans.ended] == after


# What a request that is no delivery brings


@pytest.mark.parametrize(
    ("has_body", "headers", "version", "found"),
    [
        pytest.param(None, [], "1.1", Admitted.PASS_ON, id="HTTP/1.1 announces a body"),
        pytest.param(None, [(b"content-length", b"0")], "1.1", Admitted.PASS_ON, id="of no length"),
        pytest.param(None, [(b"content-length", b"1")], "1.1", 401, id="of a length"),
        pytest.param(None, [(b"transfer-encoding", b"chunked")], "1.1", 401, id="in chunks"),
        pytest.param(None, [], "2", 401, id="HTTP/2 need not, and nobody knows"),
        pytest.param(False, [], "2", Admitted.PASS_ON, id="known to have none"),
        pytest.param(True, [], "1.1", 401, id="known to have one"),
    ],
)
async def test_a_request_of_another_method_brings_no_body_unverified(
    has_body: bool | None, headers: list[tuple[bytes, bytes]], version: str, found: object
) -> None:
    """RFC 9112, section 6.3."""
    begun = exchange(of=scope("GET", headers) | {"http_version": version}, auth=nobody)
    got = await begun.admit(has_body)
    assert (got.status if isinstance(got, Reply) else got) == found


@pytest.mark.parametrize(("brought", "found"), [(True, 401), (False, Admitted.PASS_ON)])
async def test_where_nobody_knows_the_version_of_http_a_function_is_asked(brought: bool, found: object) -> None:
    """A handler is not told it, and it may be HTTP/2; without a function the headers are believed."""

    async def brings() -> bool:
        return brought

    handler = CallbackHandler(OutcomeRouter(), auth=nobody)
    got = await handler.exchange({}, method="GET").admit(brings)
    assert (got.status if isinstance(got, Reply) else got) == found
    assert await handler.exchange({}, method="GET").admit() is Admitted.PASS_ON
    said = await handler.exchange({"content-length": "1"}, method="GET").admit()
    assert isinstance(said, Reply)


@pytest.mark.parametrize(("brought", "found"), [(True, 401), (False, Admitted.PASS_ON)])
async def test_a_function_is_asked_for_the_body_only_if_it_matters(brought: bool, found: object) -> None:
    """It may have to wait for the first message."""
    asked: list[bool] = []

    async def brings() -> bool:
        asked.append(True)
        return brought

    begun = exchange(of=scope("GET") | {"http_version": "2"}, auth=nobody)
    got = await begun.admit(brings)
    assert (got.status if isinstance(got, Reply) else got) == found
    assert asked == [True]
    for of in (scope("GET"), scope("POST"), scope("DELETE")):
        await exchange(of=of, auth=nobody).admit(brings)
    await exchange(of=scope("GET") | {"http_version": "2"}).admit(brings)
    assert asked == [True]


# Many events


async def test_many_events_let_others_have_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """A body of a megabyte has five thousand events. They are classified by turns, and their lines are written so."""
    play = {"type": "Microsoft.Communication.PlayFailed"}
    body = json.dumps([{**BUSY, **play, "id": str(number)} for number in range(30)]).encode()
    receiver = Receiver(OutcomeRouter(), Door.of({"auth": None}), clock=Ticking())
    begun = Exchange(receiver, scope())
    assert await begun.admit() is Admitted.READ_BODY
    caplog.set_level(logging.INFO, "ringback")
    passed, when = others(), list[int]()
    caplog.handler.addFilter(lambda _: when.append(len(passed)) is None)
    assert len(await begun.take(body)) == 30  # type: ignore[arg-type]
    # The turns before were for the classifying.
    assert when[:12] == [*[10] * 4, *[11] * 4, *[12] * 4]
