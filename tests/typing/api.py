"""What a user's type checker makes of the public API. Never run: mypy and pyright read it, both strict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, assert_type
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ringback import (
    CallbackHandler,
    CallbackTokenVerifier,
    CallOutcomeMiddleware,
    Catalog,
    Cause,
    DeliveryError,
    Disposition,
    Event,
    EventGridTokenVerifier,
    GiveUp,
    Head,
    HookContext,
    HookPolicy,
    Outcome,
    OutcomeRouter,
    Owner,
    RedialPolicy,
    Refusal,
    ResultCategory,
    Retry,
    RetryClass,
    Scope,
    SharedSecret,
    call_outcomes,
    classify,
    classify_event,
    parse_delivery,
)
from ringback.core.events import Delivery, Diagnostic, Fault, Result
from ringback.stores import DeadLetter, DeliveryStore, MemoryStore, Stats, open_store
from ringback.work.letters import Act, LetterChange, Standing
from ringback_catalog import CategoryBasis, Confidence, Match

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


router = OutcomeRouter()
patient = OutcomeRouter(settle=2.5)
router.include(patient)


# A decorated handler stays what it was: the decorators return the very function.


@router.on_retryable
async def call_again(outcome: Outcome) -> None: ...


@router.on_terminal
def close(outcome: Outcome) -> None: ...


@router.on(category=ResultCategory.UNEXPECTED_SERVER_ERROR)
@router.on(cause="busy")
@router.on(event="CreateCallFailed", code=range(400, 500), when=lambda outcome: outcome.sip is not None)
@router.on(cause=[Cause.BUSY, "no_answer"], retry_class={RetryClass.LATER}, owner=Owner.CALLEE, scope="operation")
async def page_someone(outcome: Outcome) -> None: ...


@router.on_unrecognized
async def tell_us(outcome: Outcome) -> int:
    return 1


@router.on_retryable
async def once_only(outcome: Outcome, ctx: HookContext) -> None:
    assert_type(ctx.hook, str)
    assert_type(ctx.idempotency_key, str)
    assert_type(ctx.attempt, int)
    assert_type(ctx.redelivered, bool)
    if ctx.attempt == 1:
        raise Retry("not yet", after=timedelta(minutes=5))
    if ctx.redelivered:
        raise Retry(after=2.5)
    raise GiveUp("no such customer")


@router.on_terminal
def by_keyword(outcome: Outcome, *, ctx: HookContext) -> None: ...


@router.on_error
def complain(outcome: Outcome, error: Exception) -> None: ...


# A name, by which a store knows the handler, makes a decorator of each of them.


@router.on_retryable(name="call_again")
@router.on_terminal(name="call_again")
@router.on_unrecognized(name="call_again")
@router.on(cause="busy", name="call_again")
async def told(outcome: Outcome) -> int:
    return 1


@router.on_error(name="pager")
def page(outcome: Outcome, error: Exception) -> None: ...


async def decides(outcome: Outcome) -> bool:
    return outcome.retryable


@router.on(when=decides)
def when_async(outcome: Outcome) -> None: ...


async def directly(outcome: Outcome) -> None:
    await call_again(outcome)
    await page_someone(outcome)
    page(outcome, ValueError())
    assert_type(await tell_us(outcome), int)
    assert_type(await told(outcome), int)
    close(outcome)
    complain(outcome, ValueError())


plain_handler: Callable[[Outcome], None] = close
async_handler: Callable[[Outcome], Awaitable[None]] = call_again


# A redial function stays what it was too, whatever it takes of what is offered.


def customer(outcome: Outcome) -> str | None:
    return outcome.operation_context


policy = RedialPolicy(
    delays={Cause.BUSY: timedelta(minutes=5), "no_answer": 1800},
    backoff=30,
    max_backoff=timedelta(hours=1),
    jitter=0.1,
    max_attempts=4,
    window=timedelta(days=2),
    max_per_day=None,
    quiet_hours=("21:00", "08:00"),
)


async def may_call(contact: str, at: datetime) -> bool | str | datetime:
    return "a list" if contact else at + timedelta(hours=1)


RedialPolicy(
    hours={"mon-fri": [("09:00", "12:00"), (time(14), "20:00")], "sat": ("10:00", "14:00")},
    delays={"busy": [1800, timedelta(hours=1)]},
    caps=[(3, 86_400), (5, timedelta(days=30))],
    calendar_days=True,
    max_unrung=3,
    another_hour=True,
    may_call=may_call,
)
RedialPolicy(hours=None, may_call=lambda contact, at: True)
RedialPolicy(hours=("09:00", "20:00"), calendar_days=1)  # type: ignore[arg-type]
RedialPolicy(hours=5)  # type: ignore[arg-type]


@router.redial(contact=customer)
async def place(outcome: Outcome, attempt: int, headers: dict[str, str], contact: str, ctx: HookContext) -> str:
    return headers["Repeatability-Request-ID"]


@router.redial(contact=customer, policy=policy, time_zone=ZoneInfo("Europe/Berlin"), hash_contacts=b"sixteen-bytes-ok")
def place_sync(headers: dict[str, str]) -> None: ...


@router.redial(contact=lambda outcome: None, time_zone=lambda outcome: "Asia/Tokyo", hash_contacts="sixteen-bytes-ok")
async def place_anything(**offered: object) -> object: ...


async def looked_up(outcome: Outcome) -> str | None:
    return outcome.operation_context


async def zone_of(outcome: Outcome) -> ZoneInfo:
    return ZoneInfo("Asia/Tokyo")


@router.redial(contact=looked_up, time_zone=zone_of, name="place")
def place_looked_up(contact: str) -> None: ...


async def redials(outcome: Outcome, ctx: HookContext) -> None:
    assert_type(await place(outcome, 2, {}, "customer-1", ctx), str)
    place_sync({})
    assert_type(await router.cancel_redials("customer-1"), int)
    assert_type(await router.never_call("customer-1"), int)
    assert_type(await router.allow_call("customer-1"), bool)


# A sink is a hook that says what it wants.


class Archive:
    criteria = ({"scope": "call"}, {"event": ["PlayFailed"], "code": range(400, 500)})

    def wants(self, outcome: Outcome) -> bool:
        return outcome.retryable

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None: ...


class Later:
    async def wants(self, outcome: Outcome) -> bool:
        return outcome.retryable

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None: ...


router.add_sink(Archive())
router.add_sink(Later(), name="archive")


# So does a decorated endpoint, with parentheses or without, async or not.


@router.callback
async def bare(request: Request) -> Response:
    outcomes: tuple[Outcome, ...] = request.state.call_outcomes
    return JSONResponse([outcome.to_dict() for outcome in outcomes])


@router.callback()
async def called(request: Request) -> JSONResponse:
    return JSONResponse([])


@router.callback(max_body=1000, max_events=10)
def sync(request: Request, verbose: bool = False) -> dict[str, int]:
    return {}


@router.callback(auth=None, max_headers=50)
async def unchecked(request: Request) -> Response:
    return Response()


@router.callback
def sync_bare(events: list[dict[str, object]]) -> list[str]:
    return []


async def endpoints(request: Request) -> None:
    assert_type(await bare(request), Response)
    assert_type(await called(request), JSONResponse)
    assert_type(sync(request, verbose=True), dict[str, int])
    assert_type(sync_bare([]), list[str])
    assert_type(await router.drain(), None)
    await router.drain(timeout=5)


# The middleware goes where Starlette takes one.

app = Starlette(middleware=[Middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks")])
app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks/{context_id}")
app.add_middleware(
    CallOutcomeMiddleware,
    router=router,
    path=["/a", "/b/{id}"],
    max_body=1000,
    max_events=10,
    max_headers=50,
    body_timeout=2.5,
    auth=None,
)
wrapped = CallOutcomeMiddleware(app, router=router, path=("/a",))


# Where outcomes are kept: a URL or a store.

hooks = HookPolicy(attempts=5, backoff=2, max_backoff=600, jitter=0.25, timeout=None, concurrency=8, retry_errors=False)
durable = OutcomeRouter(store="sqlite:///ringback.db", hooks=hooks, on_store_failure="inline")
OutcomeRouter(store=MemoryStore(), hooks=hooks, on_store_failure="refuse")
OutcomeRouter(store="sqlite:///ringback.db", worker=False, catalog=Catalog.default(), settle=0.5, drain=10)
OutcomeRouter(store="memory", telemetry=None)

# Settings of the engine are no door's, and the other way round.
CallOutcomeMiddleware(app, router=router, path="/g", store="memory")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
CallbackHandler(router, settle=0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
router.callback(drain=10)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
OutcomeRouter(auth=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
OutcomeRouter(settle="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(router.engine.store, DeliveryStore)
assert_type(open_store("sqlite:///ringback.db"), DeliveryStore)


async def kept(store: DeliveryStore) -> None:
    stats = await store.stats()
    assert_type(stats, Stats)
    assert_type(stats.dead, int)
    assert_type(stats.oldest_due, float)
    for letter in await store.dead(limit=10):
        assert_type(letter, DeadLetter)
        assert_type(letter.outcome, Outcome | None)
        assert_type(letter.reason, str)
        assert_type(await store.replay(letter.key), bool)
        assert_type(await store.discard(letter.key), bool)
    change = LetterChange(Act.REPLAY, 0.0, "change")
    assert_type(await store.change_letters(["call:x"], change), Sequence[str])
    assert_type(await store.take_back(change), int)
    assert_type(await store.standing(change), Standing)


# Who may call: a verifier, a secret, a function, or several of them.


async def from_inside(head: Head) -> Refusal | None:
    assert_type(head.method, str)
    assert_type(head.path, str)
    assert_type(head.query, str)
    assert_type(head.headers, tuple[tuple[str, str], ...])
    return None if head.values("x-from") == ["inside"] else Refusal("from_outside", 503, retry_after=5)


def sync_check(head: Head) -> Refusal | None:
    return None


CallOutcomeMiddleware(app, router=router, path="/s", auth=[sync_check, from_inside])


callback_token = CallbackTokenVerifier(audience="1f0e5c1a-0000-4000-8000-000000000007", leeway=30)
event_grid = EventGridTokenVerifier(tenant="1f0e5c1a-0000-4000-8000-000000000008", audience=["api://app"])
secret = SharedSecret("first-secret-of-this-app", "second-secret-of-this-app", parameter=None)
assert_type(secret.hide("/cb"), str)

app.add_middleware(CallOutcomeMiddleware, router=router, path="/a", auth=callback_token)
app.add_middleware(CallOutcomeMiddleware, router=router, path="/b", auth=secret)
app.add_middleware(CallOutcomeMiddleware, router=router, path="/c", auth=from_inside)
CallOutcomeMiddleware(app, router=router, path="/d", auth=[callback_token, event_grid, secret, from_inside])
CallOutcomeMiddleware(app, router=router, path="/e", auth=(callback_token, event_grid))
CallOutcomeMiddleware(app, router=router, path="/f", auth={from_inside})


@router.callback(auth=[callback_token, event_grid])
async def checked(request: Request) -> Response:
    return Response()


async def asked(head: Head) -> None:
    assert_type(await callback_token(head), Refusal | None)
    assert_type(await event_grid(head), Refusal | None)
    assert_type(await secret(head), Refusal | None)
    assert_type(await checked(Request({})), Response)


# An outcome, without HTTP and without a loop.

outcome = classify("AnswerFailed", 487, 10004)
assert_type(outcome, Outcome)
classify(None, 500, 560503, sip=486, q850=17)
classify(None, 603, 560603, sip=(603, "Network Blocked"), q850=Diagnostic(21, None))
classify(None, 603, 560603, sip=("603", "Network Blocked"), q850="21")
classify("CallDisconnected", None, None, catalog=Catalog.default())

assert_type(outcome.outcome_id, str)
assert_type(outcome.event, Event)
assert_type(outcome.sibling, Event | None)
assert_type(outcome.event_id, str | None)
assert_type(outcome.event_type, str)
assert_type(outcome.event_name, str)
assert_type(outcome.scope, Scope)
assert_type(outcome.result, Result | None)
assert_type(outcome.code, int | None)
assert_type(outcome.subcode, int | None)
assert_type(outcome.message, str | None)
assert_type(outcome.sip, Diagnostic | None)
assert_type(outcome.q850, Diagnostic | None)
assert_type(outcome.category, ResultCategory)
assert_type(outcome.category_basis, CategoryBasis)
assert_type(outcome.cause, Cause)
assert_type(outcome.disposition, Disposition)
assert_type(outcome.retryable, bool)
assert_type(outcome.attempts_exhausted, bool)
assert_type(outcome.retry_class, RetryClass)
assert_type(outcome.owner, Owner)
assert_type(outcome.confidence, Confidence)
assert_type(outcome.match, Match)
assert_type(outcome.refined_by, str | None)
assert_type(outcome.override, str | None)
assert_type(outcome.unheard, str | None)
assert_type(outcome.recognized, bool)
assert_type(outcome.summary, str)
assert_type(outcome.advice, tuple[str, ...])
assert_type(outcome.documentation, str)
assert_type(outcome.sources, tuple[str, ...])
assert_type(outcome.call_connection_id, str | None)
assert_type(outcome.server_call_id, str | None)
assert_type(outcome.correlation_id, str | None)
assert_type(outcome.operation_context, str | None)
assert_type(outcome.occurred_at, datetime | None)


# The catalog, with overrides of the user's own.

catalog = Catalog.default().with_overrides("my.toml")
assert_type(catalog, Catalog)
assert_type(catalog.with_overrides({"entry": [{"code": 486, "subcode": 560486, "owner": "app"}]}), Catalog)


# A delivery.


def read(body: bytes, headers: dict[str, str]) -> Delivery | tuple[Fault, ...]:
    try:
        delivery = parse_delivery(body, headers, max_body=1000, max_events=10)
    except DeliveryError as error:
        assert_type(error.status, int)
        return error.faults
    assert_type(delivery.events, tuple[Event, ...])
    assert_type(delivery.faults, tuple[Fault, ...])
    for event in delivery.events:
        assert_type(event.name, str)
        assert_type(event.raw, bytes)
        assert_type(classify_event(event, catalog), Outcome | None)
    parse_delivery(body, [(b"content-type", b"application/json")])
    parse_delivery(body.decode())
    return delivery


def hooks_are_checked(checked: OutcomeRouter) -> None:
    """What a hook takes is an outcome, and a context if it asks for one; what ``on()`` asks for are known words."""

    @checked.on_retryable
    def returns_what_it_likes(outcome: Outcome) -> int:
        return outcome.code or 0

    @checked.on_terminal
    async def takes_a_context(outcome: Outcome, *, ctx: HookContext) -> None: ...

    @checked.on_terminal  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    async def takes_a_number(outcome: int) -> None: ...

    @checked.on_error  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    async def takes_no_error(outcome: Outcome) -> None: ...

    @checked.on_terminal(name="number")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    async def takes_a_number_by_name(outcome: int) -> None: ...

    checked.on_retryable(name=7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    checked.on(when=takes_a_context)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    @checked.on(cause="busy", category=ResultCategory.SUCCESS, code=range(400, 500), owner=["callee", Owner.NOBODY])
    async def knows_the_words(outcome: Outcome) -> None: ...

    checked.on(cause="bsuy")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    checked.on(code="486")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(classify(None, "486", "560486"), Outcome)


def outcomes_of(request: Request) -> None:
    """Of a request, and of its scope."""
    assert_type(call_outcomes(request), tuple[Outcome, ...])
    assert_type(call_outcomes(request.scope), tuple[Outcome, ...])
    call_outcomes(486)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
