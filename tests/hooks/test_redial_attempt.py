"""One attempt at a redial: one call is placed, however often it is repeated."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass, replace
from ssl import SSLCertVerificationError, SSLEOFError
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
import requests
from aiohttp import ClientConnectorError, ClientOSError, ClientResponseError, RequestInfo, ServerDisconnectedError
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from msgspec.structs import replace as replace_record
from multidict import CIMultiDict, CIMultiDictProxy
from urllib3.exceptions import MaxRetryError
from yarl import URL

from redialing import (
    BUSY,
    HEADERS,
    KEY,
    LEG,
    NAME,
    NEW,
    NEW_LEG,
    NOW,
    ONE_SHOT,
    POLICY,
    Bench,
    HttpError,
    checkpoint,
    failed,
    named,
    sent,
)
from ringback import GiveUp, HookContext, HookPolicy, Outcome, Retry, StoreUnavailable, classify
from ringback.hooks.attempt import LeaseLost
from ringback.hooks.request_errors import not_placed, retry_after, status_of
from ringback.work.contact_call import CallState, PastCall
from ringback.work.items import Progress, Settlement, State
from ringback.work.redial import REPEATABLE_FOR, REQUEST_ID, repeatability

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from urllib3.connectionpool import ConnectionPool

LATE = TimeoutError("the function did not return within 0.01 s")


@dataclass
class Placed:
    """What ``create_call`` returns."""

    call_connection_id: Any


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def caused(cause: Exception) -> Exception:
    """An error of the app, raised from another."""
    return caused_by(RuntimeError("no call"), cause)


class Broken:
    """What a client of another kind may return."""

    @property
    def call_connection_id(self) -> str:
        raise RuntimeError("not known yet")


# A call is placed


async def test_a_call_is_placed_after_its_time_was_written_down() -> None:
    """After a crash it is repeated with the same headers, so the store must know them first."""
    bench = Bench(NEW_LEG)
    assert await bench.attempt() == Settlement(State.DONE, sent(), call=CallState.PLACED, leg=NEW_LEG)
    assert bench.happened() == [
        checkpoint(first_sent=NOW),
        ("called", HEADERS),
        ("redial_placed", BUSY, 2, NEW_LEG),
    ]


async def test_every_request_of_a_redial_has_the_same_headers() -> None:
    """While nobody can say whether the call was placed, it is the same request to the service."""
    bench = Bench(HttpError(500), TimeoutError(), NEW_LEG)
    first = await bench.attempt()
    assert first == Settlement(State.READY, sent(tries={"placing": 1}), due_at=NOW + 37.5)
    bench.now = first.due_at
    second = await bench.attempt(first.progress, attempt=2)
    assert second == Settlement(State.READY, sent(tries={"placing": 2}), due_at=NOW + 37.5 + 62.5)
    bench.now = second.due_at
    third = await bench.attempt(second.progress, attempt=3)
    assert third == Settlement(State.DONE, sent(tries={"placing": 2}), call=CallState.PLACED, leg=NEW_LEG)
    assert bench.happened() == [
        checkpoint(first_sent=NOW),
        ("called", HEADERS),
        failed(HttpError(500), 1, 37.5),
        checkpoint(first_sent=NOW, tries={"placing": 1}),
        ("called", HEADERS),
        failed(TimeoutError(), 2, 62.5),
        checkpoint(first_sent=NOW, tries={"placing": 2}),
        ("called", HEADERS),
        ("redial_placed", BUSY, 2, NEW_LEG),
    ]


@pytest.mark.parametrize("call_back", [False, True])
async def test_what_was_planned_and_is_no_call_places_none(call_back: bool) -> None:
    """An earlier release planned it, or another policy did: the line says why nobody is dialled."""
    missed = classify("AnswerFailed", 487, 10004)
    policy = replace(POLICY, call_back=call_back)
    bench = Bench(NEW_LEG, policy=policy)
    settlement = await bench.attempt(outcome=missed)
    if call_back:
        assert settlement == Settlement(State.DONE, sent(), call=CallState.PLACED, leg=NEW_LEG)
    else:
        reason = policy.skips(missed.retry_action)
        assert settlement == Settlement(State.DONE, NEW, reason=reason)
        assert bench.happened() == [("redial_skipped", missed, reason)]


async def test_a_claim_that_was_taken_over_places_no_call() -> None:
    """Somebody else does, by now."""
    bench = Bench()
    bench.store.answer = False
    with pytest.raises(LeaseLost):
        await bench.attempt()
    assert bench.happened() == [checkpoint(first_sent=NOW)]


async def test_a_store_that_cannot_be_asked_places_no_call() -> None:
    """Who asked for the attempt is told."""
    bench = Bench()
    bench.store.answer = StoreUnavailable("down")
    with pytest.raises(StoreUnavailable):
        await bench.attempt()
    assert bench.happened() == [checkpoint(first_sent=NOW)]


@pytest.mark.parametrize(
    ("returned", "leg"),
    [
        pytest.param(NEW_LEG, NEW_LEG, id="text"),
        pytest.param(Placed(NEW_LEG), NEW_LEG, id="what-create-call-returned"),
        pytest.param(None, None, id="nothing"),
        pytest.param("", None, id="empty-text"),
        pytest.param(Placed(""), None, id="empty-id"),
        pytest.param(Placed(17), None, id="id-that-is-no-text"),
        pytest.param(Broken(), None, id="id-that-raises"),
        pytest.param(object(), None, id="anything"),
    ],
)
async def test_what_the_function_returns_names_the_leg(returned: Any, leg: str | None) -> None:
    """With it the call's own end is known to be of a call that was counted."""
    bench = Bench(returned)
    assert await bench.attempt() == Settlement(State.DONE, sent(), call=CallState.PLACED, leg=leg)
    assert bench.happened()[-1] == ("redial_placed", BUSY, 2, leg)


CONTEXT = HookContext(NAME, HEADERS["Repeatability-Request-ID"], 1, redelivered=False)


def takes_nothing() -> None:
    taken.append({})


def takes_outcome(outcome: Outcome) -> None:
    taken.append({"outcome": outcome})


def takes_attempt(attempt: int) -> None:
    taken.append({"attempt": attempt})


async def takes_headers(headers: dict[str, str]) -> None:
    taken.append({"headers": headers})


def takes_contact(*, contact: str, tenant: str = "mine") -> None:
    taken.append({"contact": contact, "tenant": tenant})


async def takes_ctx(ctx: HookContext) -> None:
    taken.append({"ctx": ctx})


async def takes_all(**kwargs: Any) -> None:
    taken.append(kwargs)


def takes_some(contact: str, *rest: Any, **kwargs: Any) -> None:
    taken.append({"contact": contact, "rest": rest} | kwargs)


taken: list[dict[str, Any]] = []
OFFERED = {
    "outcome": BUSY,
    "attempt": 2,
    "headers": HEADERS,
    "contact": "customer-1",
    "history": (PastCall(NOW, None, NOW, is_redial=False),),
    "operation_context": HEADERS["Repeatability-Request-ID"],
    "ctx": CONTEXT,
}


@pytest.mark.parametrize(
    ("function", "given"),
    [
        pytest.param(takes_nothing, {}, id="nothing"),
        pytest.param(takes_outcome, {"outcome": BUSY}, id="outcome"),
        pytest.param(takes_attempt, {"attempt": 2}, id="attempt"),
        pytest.param(takes_headers, {"headers": HEADERS}, id="headers"),
        pytest.param(takes_contact, {"contact": "customer-1", "tenant": "mine"}, id="contact"),
        pytest.param(takes_ctx, {"ctx": CONTEXT}, id="ctx"),
        pytest.param(takes_all, OFFERED, id="kwargs"),
        pytest.param(takes_some, OFFERED | {"rest": ()}, id="kwargs-beside-others"),
    ],
)
async def test_a_function_takes_what_it_has_a_parameter_for(function: Any, given: dict[str, Any]) -> None:
    """Sync or async; what it has no parameter for is not passed."""

    taken.clear()
    assert await Bench(function=function).attempt() == Settlement(State.DONE, sent(), call=CallState.PLACED)
    assert taken == [given]


async def test_a_context_tells_the_attempt_and_whether_an_earlier_one_may_have_begun() -> None:
    """Its key is the request's id, which stays the same."""
    taken.clear()
    bench = Bench(function=takes_ctx)
    await bench.attempt(sent(tries={"placing": 1}), attempt=2, redelivered=True)
    await bench.attempt(sent(tries={"placing": 1}, overran=(NAME,)), attempt=2)
    told = {"ctx": HookContext(NAME, HEADERS["Repeatability-Request-ID"], 2, redelivered=True)}
    assert taken == [told, told]


# What failed


def connector_error() -> Exception:
    return ClientConnectorError(ConnectionKey("acs.example", 443, True, True, None, None, None), OSError())


def requested(fault: Exception) -> Exception:
    """The error of requests for a fault of urllib3, which azure-core wraps."""
    return requests.ConnectionError(MaxRetryError(cast("ConnectionPool", None), "/calling", fault))


def by_httpx(status: int, url: str) -> Exception:
    response = httpx.Response(status, headers={"Retry-After": "7"}, request=httpx.Request("POST", url))
    return httpx.HTTPStatusError("refused", request=response.request, response=response)


def by_requests(status: int, url: str) -> Exception:
    response = requests.Response()
    response.status_code, response.headers["Retry-After"] = status, "7"
    response.request = requests.Request("POST", url).prepare()
    return requests.HTTPError(response=response)


def by_aiohttp(status: int, url: str) -> Exception:
    request = RequestInfo(URL(url), "POST", CIMultiDictProxy(CIMultiDict()), URL(url))
    return ClientResponseError(request, (), status=status, headers=CIMultiDict({"Retry-After": "7"}))


CREATE_CALL = "https://acs.example/calling/callConnections?api-version=2025-06-15"
HANG_UP = f"https://acs.example/calling/callConnections/{LEG}:terminate?api-version=2025-06-15"


@pytest.mark.parametrize(
    ("error", "certain"),
    [
        *(pytest.param(HttpError(status), True, id=str(status)) for status in (400, 401, 403, 404, 422, 429, 499, 503)),
        *(
            pytest.param(HttpError(status), False, id=str(status))
            for status in (200, 302, 408, 409, 412, 500, 502, 504)
        ),
        pytest.param(HttpError("429"), False, id="status-that-is-no-number"),
        pytest.param(HttpError(429, url=CREATE_CALL), True, id="of-the-request-for-a-call"),
        pytest.param(HttpError(404, url=HANG_UP), False, id="of-a-request-after-the-call"),
        pytest.param(HttpError(429, url="https://tables.example/calls"), False, id="of-another-service"),
        pytest.param(HttpError(403, url="<Mock>"), True, id="of-no-known-request"),
        pytest.param(httpx.ConnectError("away", request=httpx.Request("POST", CREATE_CALL)), True, id="unsent-call"),
        pytest.param(httpx.ConnectError("away", request=httpx.Request("PUT", HANG_UP)), False, id="unsent-other"),
        pytest.param(httpx.ConnectError("away"), True, id="unsent-and-unnamed"),
        pytest.param(caused(HttpError(404, url=HANG_UP)), False, id="wrapped-of-a-request-after-the-call"),
        pytest.param(caused(caused_by(HttpError(404, url=HANG_UP), ConnectionRefusedError())), False, id="its-cause"),
        pytest.param(HttpError(None), False, id="never-answered"),
        pytest.param(Retry(), True, id="retry"),
        pytest.param(GiveUp(), True, id="give-up"),
        pytest.param(ConnectionResetError(), False, id="connection-reset"),
        pytest.param(ConnectionRefusedError(), False, id="connection-refused-by-whomever"),
        pytest.param(socket.gaierror(), False, id="no-address-of-whomever"),
        pytest.param(caused(ConnectionRefusedError()), False, id="a-database-that-is-away"),
        pytest.param(caused_by(ServiceRequestError("no route"), ConnectionRefusedError()), True, id="azure-refused"),
        pytest.param(ServiceRequestError("no route to the service"), True, id="azure-core-nothing-sent"),
        pytest.param(ServiceRequestError("refused", error=connector_error()), True, id="azure-aiohttp-refused"),
        pytest.param(ServiceRequestError("gone", error=ServerDisconnectedError()), False, id="azure-aiohttp-hung-up"),
        pytest.param(caused_by(ServiceRequestError("gone"), ClientOSError()), False, id="azure-aiohttp-reset"),
        pytest.param(
            ServiceRequestError("name", error=requested(socket.gaierror())), True, id="azure-requests-no-address"
        ),
        pytest.param(ServiceRequestError("tls", error=requested(SSLEOFError())), False, id="azure-requests-tls-cut"),
        pytest.param(
            ServiceRequestError("tls", error=requested(SSLCertVerificationError())), True, id="azure-requests-untrusted"
        ),
        pytest.param(ServiceResponseError("no answer"), False, id="azure-core-no-answer"),
        pytest.param(caused(ServiceRequestError("no route")), True, id="wrapped-nothing-sent"),
        pytest.param(caused(ServiceResponseError("no answer")), False, id="wrapped-no-answer"),
        pytest.param(caused(HttpError(403)), True, id="wrapped-403"),
        pytest.param(caused(HttpError(500)), False, id="wrapped-500"),
        pytest.param(TimeoutError(), False, id="time-out"),
        pytest.param(ValueError(), False, id="any-other"),
    ],
)
def test_which_errors_say_for_certain_that_no_call_was_placed(error: Exception, certain: bool) -> None:
    """A refusal, and what the function itself says; everything else may have come after the call."""
    assert not_placed(error) is certain


@pytest.mark.parametrize("answered", [by_httpx, by_requests, by_aiohttp])
def test_a_refusal_is_read_in_the_errors_of_other_clients(answered: Callable[[int, str], Exception]) -> None:
    """An app may place its calls by the REST interface. Ringback hears the status, the request and the wait."""
    refused = answered(429, CREATE_CALL)
    assert (status_of(refused), not_placed(refused), retry_after(refused, NOW)) == (429, True, 7.0)
    assert status_of(caused(answered(403, CREATE_CALL))) == 403
    assert (status_of(answered(404, HANG_UP)), not_placed(answered(404, HANG_UP))) == (None, False)
    assert not_placed(answered(500, CREATE_CALL)) is False


@pytest.mark.parametrize(
    ("headers", "certain"),
    [({"repeatability-request-id": "ours"}, True), ({}, True), ({"repeatability-request-id": "another"}, False)],
)
def test_a_second_call_that_is_refused_says_nothing_of_the_first(headers: dict[str, str], certain: bool) -> None:
    """Azure's client gives each request an id of its own where the app gives none."""
    request = httpx.Request("POST", CREATE_CALL, headers=headers)
    refused = httpx.HTTPStatusError("refused", request=request, response=httpx.Response(429, request=request))
    assert (not_placed(refused, "ours"), status_of(refused, "ours")) == (certain, 429 if certain else None)
    assert (not_placed(refused), status_of(refused)) == (True, 429)


@pytest.mark.parametrize(("theirs", "generation"), [(True, 0), (False, 1)])
async def test_the_request_that_was_refused_is_known_by_its_id(theirs: bool, generation: int) -> None:
    """A function that places two calls, of which the second is refused, has placed the first."""

    async def call(headers: Mapping[str, str]) -> object:
        request = httpx.Request("POST", CREATE_CALL, headers={REQUEST_ID: "another"} if theirs else headers)
        raise httpx.HTTPStatusError("refused", request=request, response=httpx.Response(503, request=request))

    settlement = await Bench(function=call).attempt()
    assert (settlement.state, settlement.progress.generation) == (State.READY, generation)


async def test_another_request_that_is_refused_pauses_nobody_and_repeats_the_call() -> None:
    """The function has placed the call, and then asked for something else: also 412 says nothing of the call."""
    for status in (404, 412, 429):
        bench = Bench(HttpError(status, {"Retry-After": "7"}, HANG_UP), NEW_LEG)
        first = await bench.attempt()
        assert first == Settlement(State.READY, sent(tries={"placing": 1}), due_at=NOW + 7)
        assert [entry[0] for entry in bench.happened()] == ["checkpoint", "called", "hook_failed"]


@pytest.mark.parametrize("error", [HttpError(403), HttpError(429), HttpError(503), Retry(), GiveUp()], ids=repr)
async def test_after_a_certain_refusal_the_next_request_is_another_one(error: Exception) -> None:
    """The service would answer the same request as it did before; also that of a dead letter that is replayed."""
    for hooks in (HookPolicy(attempts=3), ONE_SHOT):
        bench = Bench(error, NEW_LEG, hooks=hooks)
        first = await bench.attempt()
        assert first.progress == Progress(tries={"placing": 1}, generation=1)
        bench.happened()
        bench.now = NOW + 3600
        second = await bench.attempt(first.progress, attempt=2)
        progress = sent(first_sent=NOW + 3600, tries={"placing": 1}, generation=1)
        assert second == Settlement(State.DONE, progress, call=CallState.PLACED, leg=NEW_LEG)
        assert bench.happened()[:2] == [
            ("checkpoint", KEY, progress),
            ("called", repeatability(KEY, 1, NOW + 3600)),
        ]


@pytest.mark.parametrize("error", [HttpError(500), HttpError(408), HttpError(409), TimeoutError()], ids=repr)
async def test_after_an_uncertain_failure_the_next_request_is_the_same(error: Exception) -> None:
    """Its call may ring already."""
    for hooks in (HookPolicy(attempts=3), ONE_SHOT):
        assert (await Bench(error, hooks=hooks).attempt()).progress == sent(tries={"placing": 1})


@pytest.mark.parametrize(
    ("error", "tries", "retry_in"),
    [
        pytest.param(HttpError(500), 0, 37.5, id="backoff-of-the-redial-policy"),
        pytest.param(HttpError(500), 1, 62.5, id="twice-as-long-at-most-max-backoff"),
        pytest.param(HttpError(429), 0, 125.0, id="throttled"),
        pytest.param(HttpError(429, {"Retry-After": "7"}), 0, 7.0, id="retry-after-of-429"),
        pytest.param(HttpError(503, {"Retry-After": "7"}), 0, 7.0, id="retry-after-of-503"),
        pytest.param(HttpError(503, {"Retry-After": "0"}), 0, 0.0, id="retry-after-at-once"),
        pytest.param(HttpError(503, {"Retry-After": "soon"}), 0, 37.5, id="retry-after-that-is-no-number"),
        pytest.param(ValueError(), 0, 37.5, id="any-other"),
        pytest.param(Retry(after=5), 0, 5.0, id="retry"),
        pytest.param(Retry(), 1, 5.0, id="retry-after-the-usual-time-of-a-hook"),
    ],
)
async def test_when_a_redial_that_failed_is_tried_again(error: Exception, tries: int, retry_in: float) -> None:
    """As the service or the function says, else as the redial policy does; the observer is told the same."""
    bench = Bench(error, policy=replace(POLICY, delays={"throttled": 100}))
    settlement = await bench.attempt(Progress(tries={"placing": tries}))
    attempt = tries + 1
    assert (settlement.state, settlement.due_at) == (State.READY, NOW + retry_in)
    assert settlement.progress.tries == {"placing": attempt}
    assert bench.happened()[-1] == failed(error, attempt, retry_in)


@pytest.mark.parametrize(
    ("error", "reason", "progress"),
    [
        (GiveUp("no consent"), "GiveUp: no consent", Progress(tries={"placing": 1}, generation=1)),
        (HttpError(500), "HttpError: status 500", sent(tries={"placing": 1})),
    ],
    ids=["give-up", "no-attempt-left"],
)
async def test_a_redial_that_is_given_up_is_a_dead_letter(error: Exception, reason: str, progress: Progress) -> None:
    """The error handlers are told."""
    bench = Bench(error, hooks=HookPolicy(attempts=3 if isinstance(error, GiveUp) else 1))

    @bench.router.on_error
    def complain(outcome: Outcome, error: Exception) -> None:
        bench.log.append(("complained", outcome, repr(error)))

    call = CallState.CANCELED if isinstance(error, GiveUp) else CallState.UNKNOWN
    assert await bench.attempt() == Settlement(State.DEAD, progress, reason=f"{NAME}: {reason}", call=call)
    assert bench.happened() == [
        checkpoint(first_sent=NOW),
        ("called", HEADERS),
        failed(error),
        ("complained", BUSY, repr(error)),
    ]


async def test_a_function_that_takes_too_long_may_have_placed_the_call() -> None:
    """The time-out of the hooks' policy; the next request is the same."""

    async def stuck() -> None:
        await asyncio.Event().wait()

    bench = Bench(function=stuck, hooks=HookPolicy(attempts=2, timeout=0.01))
    progress = sent(tries={"placing": 1})
    assert await bench.attempt() == Settlement(State.READY, progress, due_at=NOW + 37.5)
    assert bench.happened() == [checkpoint(first_sent=NOW), failed(LATE, 1, 37.5)]


# What nobody can say


async def test_a_412_is_done_as_unknown() -> None:
    """The service no longer knows the request, which it may have carried out."""
    reason = "the service no longer knows the request (412)"
    bench = Bench(HttpError(412))
    assert await bench.attempt(sent(tries={"placing": 1}), attempt=2) == Settlement(
        State.DONE, sent(tries={"placing": 1}), reason=reason, call=CallState.UNKNOWN
    )
    assert bench.happened()[1:] == [("called", HEADERS), ("redial_unknown", BUSY, 2, reason)]


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize("since", [REPEATABLE_FOR, 86_400.0, -1.0], ids=["just", "a-day", "the-clock-was-put-back"])
async def test_a_request_too_old_to_be_repeated_is_done_as_unknown(since: float, crashed: bool) -> None:
    """Sent again it could be a second call, so the function is not called."""
    reason = "an earlier attempt may have placed the call, too long ago to repeat it"
    bench = Bench()
    bench.now = NOW + since
    assert await bench.attempt(sent(), attempt=2, crashed=crashed) == Settlement(
        State.DONE, sent(), reason=reason, call=CallState.UNKNOWN
    )
    assert bench.happened() == [("redial_unknown", BUSY, 2, reason)]


async def test_a_request_whose_call_has_been_told_of_is_not_repeated() -> None:
    """An event with the operation context has named the leg, so the call was placed."""
    bench = Bench(NEW_LEG)
    placing = bench.store.known.redial(KEY, CallState.PLACING, NOW, context="request-1")
    bench.store.known = placing._with(replace_record(placing.call(KEY), leg="leg-2"))
    assert await bench.attempt(sent(), attempt=2) == Settlement(State.DONE, sent(), call=CallState.PLACED, leg="leg-2")
    assert bench.happened() == [("redial_placed", BUSY, 2, "leg-2")]


async def test_a_request_that_grows_too_old_while_the_app_is_asked_is_not_repeated() -> None:
    """``contact``, ``time_zone`` and ``may_call`` may take as long as a hook."""

    def slow(contact: str, at: datetime) -> bool:
        bench.now = NOW + REPEATABLE_FOR
        return True

    reason = "an earlier attempt may have placed the call, too long ago to repeat it"
    bench = Bench(policy=replace(POLICY, may_call=slow))
    bench.now = NOW + REPEATABLE_FOR - 1
    assert await bench.attempt(sent(), attempt=2) == Settlement(
        State.DONE, sent(), reason=reason, call=CallState.UNKNOWN
    )
    assert bench.happened() == [("redial_unknown", BUSY, 2, reason)]


async def test_a_repeated_request_is_the_call_of_the_first_one() -> None:
    """An event may have told of the call before: it is the call of a function that names none."""
    bench = Bench(None)
    bench.store.known = bench.store.known.redial(KEY, CallState.PLACING, NOW)
    bench.now = NOW + 30
    await bench.attempt(sent(), attempt=2)
    call = bench.store.known.call(KEY)
    assert call is not None
    assert (call.state, call.at) == (CallState.PLACING, NOW)


async def test_a_request_is_repeated_while_the_service_knows_it() -> None:
    """With the headers of the first one."""
    bench = Bench(NEW_LEG)
    bench.now = NOW + REPEATABLE_FOR - 1
    assert await bench.attempt(sent(), attempt=2) == Settlement(State.DONE, sent(), call=CallState.PLACED, leg=NEW_LEG)
    assert bench.happened()[:2] == [checkpoint(first_sent=NOW), ("called", HEADERS)]


# Crashes


async def test_a_crash_counts_as_an_attempt_before_the_next_one() -> None:
    """The next death must count from there, so it is written down with the time of the first request."""
    bench = Bench(NEW_LEG)
    settlement = await bench.attempt(sent(), attempt=2, redelivered=True, crashed=True)
    progress = sent(tries={"placing": 1})
    assert settlement == Settlement(State.DONE, progress, call=CallState.PLACED, leg=NEW_LEG)
    assert bench.happened() == [
        ("checkpoint", KEY, sent(tries={"placing": 1}, alone=True)),
        ("called", HEADERS),
        ("redial_placed", BUSY, 2, NEW_LEG),
    ]


@pytest.mark.parametrize("tries", [3, 30])
async def test_a_redial_is_not_given_up_for_a_death_that_another_may_have_caused(tries: int) -> None:
    """It is tried by itself, unless deaths without number have come before its function was called."""
    bench = Bench(NEW_LEG)
    progress = sent(tries={"placing": tries - 1})
    settlement = await bench.attempt(progress, attempt=tries, redelivered=True, crashed=True)
    assert settlement.state is (State.DONE if tries == 3 else State.DEAD)


async def test_a_function_that_kills_its_worker_every_time_is_given_up() -> None:
    """Its request is kept: whoever replays the dead letter repeats it, or is told that nobody knows."""
    bench = Bench()
    progress = sent(tries={"placing": 2}, alone=True)
    settlement = await bench.attempt(progress, attempt=3, redelivered=True, crashed=True)
    error = RuntimeError("the worker died while this function ran, in attempt 3")
    reason = f"{NAME}: RuntimeError: {error}"
    assert settlement == Settlement(State.DEAD, sent(tries={"placing": 3}), reason=reason, call=CallState.UNKNOWN)
    assert bench.happened() == [failed(error, 3)]


async def test_a_redial_that_is_not_registered_here_is_a_dead_letter() -> None:
    """Renamed or removed: it is for a person to say what becomes of it. The log and the error handlers hear of it."""
    bench = Bench()

    @bench.router.on_error
    def complain(outcome: Outcome, error: Exception) -> None:
        bench.log.append(("complained", outcome, repr(error)))

    error = LookupError("no redial app.gone is registered in this worker")
    assert await bench.attempt(sent(), target="app.gone") == Settlement(
        State.DEAD, sent(), reason=f"LookupError: {error}", call=CallState.UNKNOWN
    )
    assert bench.happened() == [
        ("hook_failed", BUSY, "app.gone", repr(error), 1, None),
        ("complained", BUSY, repr(error)),
    ]


async def test_functions_of_one_name_are_told_apart_by_their_order() -> None:
    """Two functions made by another one are two redials."""
    bench = Bench("first")
    contact: Any = lambda outcome: None  # noqa: E731
    bench.router.redial(contact=contact, policy=POLICY)(named(lambda: "second"))
    assert await bench.attempt(target=f"{NAME}#2") == Settlement(
        State.DONE, sent(), call=CallState.PLACED, leg="second"
    )
    assert bench.happened() == [checkpoint(first_sent=NOW), ("redial_placed", BUSY, 2, "second")]


async def test_a_sync_function_that_returns_too_late_has_placed_the_call() -> None:
    """What it returns counts, unless somebody has worked on the redial since; nobody calls it meanwhile."""
    go = threading.Event()

    def stuck() -> str:
        go.wait(30)
        return NEW_LEG

    bench = Bench(function=stuck, hooks=HookPolicy(attempts=3, timeout=0.01))
    first = await bench.attempt()
    (late,) = first.late
    still = TimeoutError("an earlier attempt has overrun its time-out, and still runs")
    second = await bench.attempt(first.progress, attempt=2)
    assert bench.happened() == [
        checkpoint(first_sent=NOW),
        ("hook_overran", BUSY, NAME, 0.01, 1, 16),
        failed(LATE, 1, 37.5),
        checkpoint(first_sent=NOW, tries={"placing": 1}, overran=(NAME,)),
        failed(still, 2, 62.5),
    ]
    go.set()
    ended = await late
    assert ended is not None
    claim, settlement = ended
    assert (claim.attempt, second.late) == (2, ())
    assert settlement == Settlement(State.DONE, second.progress, call=CallState.PLACED, leg=NEW_LEG)
    assert bench.happened() == [("redial_placed", BUSY, 2, NEW_LEG)]
    assert second.progress == sent(tries={"placing": 2}, overran=(NAME,))
