"""Publishing to Event Grid: the SDK's real client against a topic on a loopback socket."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken, AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

from ringback import Outcome, classify, parse_delivery
from ringback.core.outcome import classify_event
from ringback.eventgrid import EventGridSink, PublishedType, cloud_event, published_type
from ringback.exceptions import ConfigurationError
from ringback.hooks.signatures import handler_name
from ringback.work.policy import GiveUp, HookContext, Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

KEY = "a-made-up-key-of-a-topic="
CTX = HookContext(hook="sink", idempotency_key="call:1|sink")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRETS = ("+1 555 555 0100", "15555550100", "5555550100", KEY)

Answer = tuple[int, dict[str, str]]
OK: Answer = (200, {})


def leg(number: int) -> str:
    return f"1f0e5c1a-0000-4000-8000-{number:012}"


def ended(number: int = 1, *, code: int = 486, message: str | None = None, **keys: Any) -> Outcome:
    """The end of a call leg as received."""
    event = {
        "id": f"e0e17001-0000-4000-8000-{number:012}",
        "source": f"calling/callConnections/{leg(number)}",
        "type": "Microsoft.Communication.CallDisconnected",
        "specversion": "1.0",
        "time": "2026-01-02T03:04:05.0629553+00:00",
        "data": {
            "callConnectionId": leg(number),
            "correlationId": "c0de0001-0000-4000-8000-000000000001",
            "operationContext": "order-7",
            "resultInformation": {"code": code, "subCode": code + 560000, "message": message},
        },
    } | keys
    outcome = classify_event(parse_delivery(json.dumps([event])).events[0])
    assert outcome is not None
    return outcome


class Topic:
    """A topic that answers as told, and notes what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[Answer] = []
        self.judge: Callable[[list[str]], Answer] | None = None
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()
        topic = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                topic.requests.append((f"POST {self.path}", headers, body))
                topic.asked.set()
                assert topic.open.wait(10)
                if topic.judge is not None:
                    status, extra = topic.judge([event["id"] for event in json.loads(body)])
                else:
                    status, extra = topic.answers.pop(0) if topic.answers else OK
                self.send_response(status)
                for name, value in {**extra, "content-length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/api/events"

    def batches(self) -> list[list[str]]:
        """The subjects' last digits, request by request."""
        return [[event["subject"][-1] for event in sent] for sent in self.events()]

    def events(self) -> list[list[dict[str, Any]]]:
        return [json.loads(body) for _, _, body in self.requests]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def topic() -> Iterator[Topic]:
    topic = Topic()
    yield topic
    topic.open.set()
    topic.close()


@pytest.fixture
def sink_to(topic: Topic) -> Iterator[Callable[..., EventGridSink]]:
    """Sinks without linger, closed afterwards."""
    made: list[EventGridSink] = []

    def make(endpoint: str | None = None, credential: Any = KEY, **options: Any) -> EventGridSink:
        sink = EventGridSink(endpoint or topic.endpoint, credential, **{"linger": 0, **options})
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


async def results(*calls: Awaitable[None]) -> list[str | None]:
    """What became of calls made at once, by the name of the exception."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    return [None if each is None else type(each).__name__ for each in done]


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


# What is published.


async def test_an_outcome_arrives_as_a_cloud_event(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """The request and its one event, whole."""
    outcome = ended(message="Busy: told by +1 555 555 0100.")
    await sink_to()(outcome, CTX)
    [(line, headers, body)] = topic.requests
    assert line == "POST /api/events?api-version=2018-01-01"
    assert headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert headers["aeg-sas-key"] == KEY
    [sent] = json.loads(body)
    # Releases of the client before 4.20 write UTC as an offset; RFC 3339 has both.
    sent["time"] = sent["time"].replace("+00:00", "Z")
    assert [sent] == [
        {
            "specversion": "1.0",
            "id": f"call:{leg(1)}",
            "source": "/ringback",
            "type": "Ringback.CallRetryable",
            "subject": f"callConnections/{leg(1)}",
            "time": "2026-01-02T03:04:05.062955Z",
            "datacontenttype": "application/json",
            "data": outcome.to_dict(),
        }
    ]
    assert outcome.to_dict()["message"] == "Busy: told by [phone]."


async def test_nothing_private_is_sent(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """Wherever a number stands, ids among them, it is redacted in the bytes."""
    number = "+15555550100"
    data = {
        "callConnectionId": number,
        "correlationId": number,
        "operationContext": f"call {number}",
        "resultInformation": {"code": 486, "subCode": 560486, "message": f"4:{number} and +1 555 555 0100"},
    }
    await sink_to()(ended(id=number, data=data), CTX)
    [(_, _, body)] = topic.requests
    assert [secret for secret in SECRETS if secret.encode() in body] == []
    [[event]] = topic.events()
    assert event["subject"] == "callConnections/[phone]"
    assert event["id"] == "call:[phone]:2026-01-02T03:04:05.0629553+00:00:[phone]"


def test_ids_that_read_the_same_redacted_stay_apart() -> None:
    """Consumers that deduplicate by id must not take two calls for one."""
    legs = [{"callConnectionId": f"+1555555010{digit}"} for digit in (0, 1)]
    first, other = (ended(number, data=data) for number, data in enumerate(legs))
    assert cloud_event(first, "/a")["id"] != cloud_event(other, "/a")["id"]
    assert cloud_event(first, "/a")["id"] == cloud_event(ended(0, data=legs[0]), "/a")["id"]


async def test_what_an_outcome_lacks_its_event_lacks(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """No subject without a connection, and no time of our own."""
    await sink_to()(classify("CallDisconnected", 603, 0), CTX)
    [[event]] = topic.events()
    assert sorted(event) == ["data", "datacontenttype", "id", "source", "specversion", "type"]
    assert event["type"] == "Ringback.CallTerminal"


@pytest.mark.parametrize(
    ("outcome", "published"),
    [
        (classify("CallDisconnected", 486, 560486), "Ringback.CallRetryable"),
        (classify("CreateCallFailed", 503, 0), "Ringback.CallRetryable"),
        (classify("CallDisconnected", 0, 560000), "Ringback.CallTerminal"),
        (classify("CallDisconnected", None, None), "Ringback.CallTerminal"),
        (classify("PlayFailed", 400, 8535), "Ringback.OperationFailed"),
        (classify("PlayFailed", 200, 0), "Ringback.OperationFailed"),
        (classify("AddParticipantFailed", 486, 560486), "Ringback.OperationFailed"),
        (classify("PlayCompleted", 200, 0), "Ringback.OperationSucceeded"),
        (classify("PlayCanceled", 200, 0), "Ringback.OperationSucceeded"),
    ],
    ids=lambda value: f"{value.event_name} {value.code}" if isinstance(value, Outcome) else "",
)
def test_scope_and_retry_class_choose_the_type(outcome: Outcome, published: str) -> None:
    """Two for the end of a call, two for an operation; the event's type outranks a code that says success."""
    assert published_type(outcome) == published
    sink = EventGridSink("https://t.example/api/events", KEY, types=list(PublishedType))
    assert sink.wants(outcome)
    assert cloud_event(outcome, "/a")["type"] == published


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, ["Ringback.CallRetryable", "Ringback.CallTerminal"]),
        ({"types": {"Ringback.OperationFailed"}}, ["Ringback.OperationFailed"]),
        ({"types": "Ringback.CallTerminal"}, ["Ringback.CallTerminal"]),
        ({"types": [PublishedType.OPERATION_SUCCEEDED]}, ["Ringback.OperationSucceeded"]),
    ],
    ids=["default", "one", "text", "member"],
)
async def test_only_wanted_types_are_published(
    topic: Topic, sink_to: Callable[..., EventGridSink], options: dict[str, Any], sent: list[str]
) -> None:
    """What is not among them is passed over, and is no failure."""
    outcomes = (
        ended(1),
        ended(2, code=603),
        classify("PlayFailed", 400, 8535),
        classify("PlayCompleted", 200, 0),
    )
    sink = sink_to(**options)
    for outcome in outcomes:
        await sink(outcome, CTX)
    assert [event["type"] for [event] in topic.events()] == sent
    assert [published_type(outcome) for outcome in outcomes if sink.wants(outcome)] == sent


async def test_published_again_it_is_the_same_event(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """After a crash another process publishes it anew: consumers know it by its id, in fact by every byte."""
    await sink_to()(ended(), CTX)
    await sink_to()(ended(), CTX)
    (_, _, first), (_, _, second) = topic.requests
    assert first == second


# Together.


async def test_calls_within_linger_go_out_together(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """One request for what came while the sink waited."""
    waits: list[float] = []
    over = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await over.wait()

    sink = sink_to(linger=0.2, sleep=sleep)
    calls = asyncio.gather(*(sink(ended(number), CTX) for number in range(1, 4)))
    await turns()
    assert topic.requests == []
    over.set()
    await calls
    assert (waits, topic.batches()) == ([0.2], [["1", "2", "3"]])


async def test_calls_during_a_request_share_the_next(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """One request at a time; each is followed at once by all that came meanwhile."""
    sink = sink_to()
    topic.open.clear()
    first = asyncio.create_task(sink(ended(1), CTX))
    assert await asyncio.to_thread(topic.asked.wait, 10)
    rest = [asyncio.create_task(sink(ended(number), CTX)) for number in (2, 3)]
    await turns()
    assert len(topic.requests) == 1
    topic.open.set()
    await asyncio.gather(first, *rest)
    assert topic.batches() == [["1"], ["2", "3"]]


async def test_a_request_has_no_more_than_max_batch(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """In order, and each caller hears of its own request."""
    topic.answers = [OK, (500, {}), OK]
    sink = sink_to(max_batch=2)
    told = await results(*(sink(ended(number), CTX) for number in range(1, 6)))
    assert topic.batches() == [["1", "2"], ["3", "4"], ["5"]]
    assert told == [None, None, "HttpResponseError", "HttpResponseError", None]


async def test_a_request_is_no_larger_than_event_grid_takes(
    topic: Topic, sink_to: Callable[..., EventGridSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit goes with the next request; what alone is too large goes alone, for Event Grid to judge."""
    monkeypatch.setattr("ringback.eventgrid.MAX_BYTES", 9_000)
    messages = ["x" * 2_000, "x" * 2_000, "x" * 2_000, "é" * 2_000, "x"]
    sink = sink_to()
    await asyncio.gather(*(sink(ended(number, message=text), CTX) for number, text in enumerate(messages, 1)))
    assert topic.batches() == [["1", "2"], ["3"], ["4"], ["5"]]
    assert [len(body) <= 9_000 for _, _, body in topic.requests] == [True, True, False, True]


async def test_a_full_request_is_measured_as_it_is_sent(
    topic: Topic, sink_to: Callable[..., EventGridSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters that JSON escapes count six times, as they do on the wire."""
    monkeypatch.setattr("ringback.eventgrid.MAX_BYTES", 20_000)
    sink = sink_to()
    await asyncio.gather(*(sink(ended(number, message="é" * 1_200), CTX) for number in range(1, 5)))
    assert [len(body) <= 20_000 for _, _, body in topic.requests] == [True, True]


@pytest.mark.parametrize("number", [1, 2], ids=["first", "second"])
async def test_a_cancelled_caller_does_not_break_the_others(
    topic: Topic, sink_to: Callable[..., EventGridSink], number: int
) -> None:
    """Before the request it is left out: the store has it, and calls again."""
    over = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await over.wait()

    sink = sink_to(sleep=sleep)
    calls = {each: asyncio.create_task(sink(ended(each), CTX)) for each in (1, 2, 3)}
    await turns()
    calls[number].cancel()
    await turns()
    over.set()
    told = await results(*calls.values())
    assert told == ["CancelledError" if each == number else None for each in calls]
    assert topic.batches() == [[str(each) for each in calls if each != number]]


@pytest.mark.parametrize("status", [200, 500])
async def test_a_caller_cancelled_during_its_request(
    topic: Topic, sink_to: Callable[..., EventGridSink], status: int
) -> None:
    """The request goes on for the others."""
    topic.answers = [(status, {})]
    topic.open.clear()
    sink = sink_to()
    calls = [asyncio.create_task(sink(ended(number), CTX)) for number in (1, 2)]
    assert await asyncio.to_thread(topic.asked.wait, 10)
    calls[0].cancel()
    await turns()
    topic.open.set()
    assert await results(*calls) == ["CancelledError", None if status == 200 else "HttpResponseError"]
    assert topic.batches() == [["1", "2"]]


async def test_nobody_left_means_no_request(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """All callers were cancelled: there is nothing to send, and the next call begins anew."""
    over = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await over.wait()

    sink = sink_to(sleep=sleep)
    call = asyncio.create_task(sink(ended(1), CTX))
    await turns()
    call.cancel()
    await turns()
    over.set()
    await turns()
    assert topic.requests == []
    await sink(ended(2), CTX)
    assert topic.batches() == [["2"]]


def test_one_loop_after_another(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """The sink may outlive its loop, even one that was closed with a call on its way."""
    stuck = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()

    sink = sink_to(sleep=sleep)

    async def left_behind() -> None:
        async with asyncio.timeout(10):
            call = asyncio.create_task(sink(ended(1), CTX))
            await stuck.wait()
            assert not call.done()

    asyncio.run(left_behind())
    asyncio.run(sink(ended(2), CTX))
    asyncio.run(sink(ended(3), CTX))
    assert topic.batches() == [["2"], ["3"]]


def test_a_loop_that_ends_late_leaves_the_next_ones_group_alone(
    topic: Topic, sink_to: Callable[..., EventGridSink]
) -> None:
    """Two loops at once: each has its own group."""
    begun, over = threading.Event(), threading.Event()

    async def sleep(seconds: float) -> None:
        if not begun.is_set():
            begun.set()
            assert await asyncio.to_thread(over.wait, 10)

    sink = sink_to(sleep=sleep)
    slow = threading.Thread(target=lambda: asyncio.run(sink(ended(1), CTX)))
    slow.start()
    assert begun.wait(10)

    async def both() -> None:
        topic.open.clear()
        call = asyncio.create_task(sink(ended(2), CTX))
        assert await asyncio.to_thread(topic.asked.wait, 10)
        over.set()
        topic.open.set()
        await call
        await asyncio.to_thread(slow.join)

    asyncio.run(both())
    assert sorted(topic.batches()) == [["1"], ["2"]]


# Refused.


@pytest.mark.parametrize(
    ("header", "after"),
    [
        pytest.param("17", 17.0, id="seconds"),
        pytest.param("Fri, 02 Jan 2026 03:05:05 GMT", 60.0, id="date"),
        pytest.param("Fri Jan  2 03:05:05 2026", 60.0, id="date without a zone"),
        pytest.param("Thu, 01 Jan 2026 00:00:00 GMT", 0.0, id="past"),
        pytest.param("99999999", 3600.0, id="too long"),
        pytest.param("9" * 400, 3600.0, id="endless"),
        pytest.param("soon", None, id="neither"),
        pytest.param(None, None, id="absent"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_topic_that_takes_no_more_says_when(
    topic: Topic, sink_to: Callable[..., EventGridSink], status: int, header: str | None, after: float | None
) -> None:
    """One request, and then it is the store that waits."""
    topic.answers = [(status, {} if header is None else {"Retry-After": header})]
    with pytest.raises(Retry, match=f"event grid: status {status}: the topic takes no more for now") as raised:
        await sink_to(clock=NOW.timestamp)(ended(), CTX)
    assert raised.value.after == after
    assert len(topic.requests) == 1


REMEDIES = {
    400: "the topic does not take this event; its input schema must be Cloud Event Schema v1.0",
    401: "the key or token is wrong or has expired; pass a current key of this topic",
    403: "this credential or address may not publish; grant the role EventGrid Data Sender, or look at the topic's "
    "network rules",
    404: "there is no such topic; pass the endpoint that the topic's overview shows, with its path /api/events",
    413: "the event is larger than the 1 MB that Event Grid takes",
}


@pytest.mark.parametrize(("status", "remedy"), REMEDIES.items(), ids=str)
async def test_what_cannot_get_better_is_given_up(
    topic: Topic, sink_to: Callable[..., EventGridSink], status: int, remedy: str
) -> None:
    """The reason is the status and the remedy, and nothing else."""
    topic.answers = [(status, {})]
    with pytest.raises(GiveUp) as raised:
        await sink_to()(ended(message="+1 555 555 0100"), CTX)
    assert str(raised.value) == f"event grid: status {status}: {remedy}"
    assert len(topic.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 500, 502, 504])
async def test_any_other_status_is_the_sdks_exception(
    topic: Topic, sink_to: Callable[..., EventGridSink], status: int
) -> None:
    """It may pass, so the hook is tried again; not by the SDK."""
    topic.answers = [(status, {"Retry-After": "0"})]
    with pytest.raises(HttpResponseError) as raised:
        await sink_to()(ended(), CTX)
    assert raised.value.status_code == status
    assert len(topic.requests) == 1


async def test_a_topic_that_is_not_there(sink_to: Callable[..., EventGridSink]) -> None:
    """Connection refused is an exception like another; it says where, and has no key."""
    gone = Topic()
    gone.close()
    with pytest.raises(ServiceRequestError) as raised:
        await sink_to(gone.endpoint)(ended(message="+1 555 555 0100"), CTX)
    assert [secret for secret in SECRETS if secret in str(raised.value)] == []


@pytest.mark.parametrize("status", [400, 413])
async def test_one_bad_event_does_not_hold_back_the_others(
    topic: Topic, sink_to: Callable[..., EventGridSink], status: int
) -> None:
    """A refused request is sent again event by event."""
    bad = f"call:{leg(2)}"
    topic.judge = lambda ids: (status, {}) if bad in ids else OK
    sink = sink_to()
    assert await results(*(sink(ended(number), CTX) for number in (1, 2, 3))) == [None, "GiveUp", None]
    assert topic.batches() == [["1", "2", "3"], ["1"], ["2"], ["3"]]


@pytest.mark.parametrize("leaving", [(1,), (3,), (2, 3, 5), (1, 2, 3, 4, 5)], ids=str)
async def test_nothing_is_sent_alone_for_a_caller_who_has_left(
    topic: Topic, sink_to: Callable[..., EventGridSink], leaving: tuple[int, ...]
) -> None:
    """A hook's time-out cancels the call, and the store makes it again: what is sent meanwhile is sent twice."""
    numbers = (1, 2, 3, 4, 5)
    first_alone = asyncio.Event()
    loop = asyncio.get_running_loop()

    def judge(ids: list[str]) -> Answer:
        if len(ids) > 1:
            return (413, {})
        if len(topic.requests) == 2:
            # The first of those sent alone waits for an answer while callers leave.
            topic.open.clear()
            loop.call_soon_threadsafe(first_alone.set)
            assert topic.open.wait(10)
        return OK

    topic.judge = judge
    sink = sink_to()
    calls = {number: asyncio.create_task(sink(ended(number), CTX)) for number in numbers}
    await first_alone.wait()
    for number in leaving:
        calls[number].cancel()
    await turns()
    topic.open.set()
    told = await results(*calls.values())
    assert told == ["CancelledError" if number in leaving else None for number in numbers]
    while sink._group is not None:  # noqa: ASYNC110 - callers who have left hear nothing of the end
        await asyncio.sleep(0.005)
    alone = [number for number in numbers if number == 1 or number not in leaving]
    assert topic.batches() == [[str(number) for number in numbers], *([str(number)] for number in alone)]


async def test_a_topic_that_fails_meanwhile_is_not_asked_again(
    topic: Topic, sink_to: Callable[..., EventGridSink]
) -> None:
    """Event by event, but not one time-out after another: the rest hears the same, and comes again."""
    topic.answers = [(413, {}), OK, (429, {"Retry-After": "3"})]
    sink = sink_to()
    assert await results(*(sink(ended(number), CTX) for number in (1, 2, 3))) == [None, "Retry", "Retry"]
    assert topic.batches() == [["1", "2", "3"], ["1"], ["2"]]


async def test_what_concerns_no_event_is_not_split(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """A wrong key is wrong for each of them."""
    topic.answers = [(401, {})]
    sink = sink_to()
    assert await results(*(sink(ended(number), CTX) for number in (1, 2))) == ["GiveUp", "GiveUp"]
    assert len(topic.requests) == 1


# Credentials and the client.


class Token:
    """A TokenCredential whose issuer refuses."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or AssertionError("no token was to be asked for")

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        raise self.error


@pytest.mark.parametrize(
    ("credential", "header"),
    [(KEY, "aeg-sas-key"), (AzureKeyCredential(KEY), "aeg-sas-key"), (AzureSasCredential(KEY), "aeg-sas-token")],
    ids=["text", "key", "sas"],
)
async def test_a_credential_is_sent_in_its_header(
    topic: Topic, sink_to: Callable[..., EventGridSink], credential: Any, header: str
) -> None:
    """Text is a key."""
    await sink_to(credential=credential)(ended(), CTX)
    [(_, headers, _)] = topic.requests
    assert {name: value for name, value in headers.items() if value == KEY} == {header: KEY}


async def test_a_refusal_of_the_issuer_is_not_the_topics(topic: Topic, sink_to: Callable[..., EventGridSink]) -> None:
    """No token, no request: the exception propagates, whatever status Entra gave."""

    class Issuer:
        status_code = 400
        reason = "Bad Request"
        headers: dict[str, str] = {}  # noqa: RUF012
        request = type("Request", (), {"url": "https://login.example/token"})

    refused = ClientAuthenticationError("no such client", response=Issuer())  # type: ignore[arg-type]
    sink = sink_to("https://127.0.0.1:9/api/events", Token(refused))
    with pytest.raises(ClientAuthenticationError, match="no such client"):
        await sink(ended(), CTX)


async def test_the_client_is_used_again_and_after_close_another(
    topic: Topic, sink_to: Callable[..., EventGridSink]
) -> None:
    """close() may come before the first event, twice, and before another one."""
    sink = sink_to()
    sink.close()
    await sink(ended(1), CTX)
    await sink(ended(2), CTX)
    sink.close()
    sink.close()
    await sink(ended(3), CTX)
    assert topic.batches() == [["1"], ["2"], ["3"]]


async def test_the_sdk_does_not_fill_the_log(
    topic: Topic, sink_to: Callable[..., EventGridSink], caplog: pytest.LogCaptureFixture
) -> None:
    """It warns of its own options with each event; other warnings of that logger get through."""
    await sink_to()(ended(), CTX)
    models = logging.getLogger("azure.eventgrid._legacy._generated._serialization")
    models.warning("%s is something else", "colour")
    models.warning("no arguments")
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ["colour is something else", "no arguments"]


PROBE = """
import asyncio, sys
from ringback import classify
from ringback.eventgrid import EventGridSink
from ringback.work.policy import HookContext
def azure(): return any(name.partition(".")[0] == "azure" for name in sys.modules)
sink = EventGridSink({endpoint!r}, {key!r})
outcome = classify("CallDisconnected", 486, 560486)
before = sink.wants(outcome), azure()
asyncio.run(sink(outcome, HookContext("sink", "1")))
sink.close()
print(before, azure())
"""


def test_the_sdk_is_imported_with_the_first_event(topic: Topic) -> None:
    """Who makes a sink and publishes nothing loads no azure module."""
    probe = PROBE.format(endpoint=topic.endpoint, key=KEY)
    ran = subprocess.run([sys.executable, "-W", "error", "-c", probe], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("(True, False) True\n", "")
    assert len(topic.requests) == 1


def test_a_sink_keeps_its_name() -> None:
    """Stores hold it beside what is still to be published."""
    assert handler_name(EventGridSink(TOPIC, KEY)) == "ringback.eventgrid.EventGridSink"


# Settings that cannot work.

TOPIC = "https://t.westeurope-1.eventgrid.azure.net/api/events"


class AsyncToken:
    async def get_token(self, *scopes: str) -> None: ...


@pytest.mark.parametrize(
    ("endpoint", "credential", "options", "says"),
    [
        ("t.eventgrid.azure.net", KEY, {}, "is not https; pass the topic's endpoint, such as https://NAME."),
        ("", KEY, {}, "endpoint '://' is not https"),
        ("ftp://t.example/api", KEY, {}, "endpoint 'ftp://t.example' is not https"),
        ("http://t.example/api?sig=x", KEY, {}, "endpoint 'http://t.example' is not https"),
        ("http://127.0.0.1.example/", KEY, {}, "(http only to 127.0.0.1, for tests)"),
        ("https://[::1/api", KEY, {}, "the endpoint is no URL; pass the topic's endpoint"),
        ("https://t.example:port/", KEY, {}, "the endpoint is no URL"),
        (f"{TOPIC}?sig=abc", KEY, {}, "has a query, fragment or user; leave it out; a secret is a credential"),
        (f"{TOPIC}#abc", KEY, {}, "has a query"),
        ("https://me:abc@t.example/api", KEY, {}, "endpoint 'https://t.example' has a query"),
        (TOPIC, None, {}, "a credential cannot be a NoneType; pass a key as text, an AzureKeyCredential"),
        (TOPIC, b"abc", {}, "a credential cannot be a bytes"),
        (TOPIC, "", {}, "the credential is empty or has white space"),
        (TOPIC, f"{KEY}\n", {}, "no header can have; pass one of the topic's two access keys as it stands"),
        (TOPIC, AzureKeyCredential("abcé"), {}, "the credential is empty or has"),
        (TOPIC, AzureSasCredential("a b"), {}, "the credential is empty or has"),
        (TOPIC, AsyncToken(), {}, "the credential is async; pass one of azure.identity, not of its aio"),
        ("http://127.0.0.1:80/", Token(), {}, "a token is not sent over http; pass an https endpoint, or a key"),
        (TOPIC, KEY, {"types": ()}, "types is empty: nothing would be published; name some of Ringback.CallRetryable"),
        (TOPIC, KEY, {"types": ["Ringback.CallTerminated"]}, "did you mean 'Ringback.CallTerminal'?"),
        (TOPIC, KEY, {"types": ["x"]}, "type 'x' is not one of Ringback.CallRetryable, Ringback.CallTerminal, "),
        (TOPIC, KEY, {"source": ""}, "source '' is no URI; write one such as '/ringback'"),
        (TOPIC, KEY, {"source": "our app"}, "source 'our app' is no URI"),
        (None, KEY, {}, "the endpoint is no text but None; see that the environment variable is set"),
        (
            TOPIC,
            KEY,
            {"types": None},
            "types is empty: nothing would be published; name some of Ringback.CallRetryable",
        ),
        (TOPIC, KEY, {"source": None}, "source is no text but None; see that the environment variable is set"),
        (TOPIC, KEY, {"max_batch": 0}, "max_batch 0 accepts nothing; give a positive number"),
        (TOPIC, KEY, {"max_batch": "9"}, "max_batch '9' is no whole number; give a positive one"),
        (TOPIC, KEY, {"linger": -0.1}, "linger -0.1 is negative; give seconds, 0 for none"),
        (TOPIC, KEY, {"linger": float("nan")}, "linger nan is no time; give seconds, 0 for none"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(
    endpoint: str, credential: Any, options: dict[str, Any], says: str
) -> None:
    """When the sink is made, with the remedy and without the secret."""
    with pytest.raises(ConfigurationError) as raised:
        EventGridSink(endpoint, credential, **options)
    text = str(raised.value)
    assert text.startswith("event grid: ")
    assert says in text
    assert [secret for secret in (KEY, "abc", "sig") if secret in text] == []


@pytest.mark.parametrize("endpoint", [TOPIC, "HTTPS://t.example/api/events", "http://localhost:1/", "http://[::1]:1/"])
def test_an_endpoint_that_may_work_is_taken(endpoint: str) -> None:
    """Any host over https, and this machine."""
    EventGridSink(endpoint, KEY).close()


def test_a_token_credential_is_taken() -> None:
    """Over https."""
    EventGridSink("HTTPS://t.example/api/events", Token()).close()
