"""Calls that come in, over sockets: Event Grid's handshake, its event in both schemas, and what the app does then."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.communication.callautomation import CommunicationUserIdentifier
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from live_server import serving
from ringback.exceptions import ConfigurationError
from ringback.simulator import Arrival, HandshakeFailed, Simulator
from ringback.simulator.arrivals import SCHEMAS, handshake
from ringback.simulator.posting import Answered

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from starlette.requests import Request

AGENT = CommunicationUserIdentifier("8:acs:5ac0ffee-0000-4000-8000-000000000001_1f0e5c1a-0000-4000-8000-000000000001")
JSON = {"content-type": "application/json"}


class Inbound:
    """An app in the manner of Microsoft's samples: it answers, rejects or redirects what comes in."""

    def __init__(self, acs: Simulator, what: str) -> None:
        self.client = CallAutomationClient(acs.url, acs.credential, retry_total=0)
        self.what = what
        self.origin = ""
        self.heard: list[tuple[str, str, str]] = []
        self.tokens: list[bool] = []
        self.callbacks: list[str] = []
        routes = [
            Route("/in", self.incoming, methods=["POST", "OPTIONS"]),
            Route("/cb/{guid}", self.called_back, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def incoming(self, request: Request) -> Response:
        self.tokens.append(request.headers.get("authorization", "").startswith("Bearer "))
        if request.method == "OPTIONS":
            return Response(headers={"webhook-allowed-origin": request.headers["webhook-request-origin"]})
        content = await request.json()
        if isinstance(content, dict):
            cloud: Any = CloudEvent.from_dict(content)
            await self.take(cloud.type, cloud.data)
            return Response()
        for each in content:
            event = EventGridEvent.from_dict(each)
            if event.event_type == "Microsoft.EventGrid.SubscriptionValidationEvent":
                return JSONResponse({"validationResponse": event.data["validationCode"]})
            await self.take(event.event_type, event.data)
        return Response()

    async def take(self, kind: str, data: Any) -> None:
        caller = (
            data["from"]["phoneNumber"]["value"] if data["from"]["kind"] == "phoneNumber" else data["from"]["rawId"]
        )
        self.heard.append((kind.rpartition(".")[2], caller, data["to"]["rawId"]))
        context = data["incomingCallContext"]
        if self.what == "redirect":
            await self.client.redirect_call(context, AGENT)
        elif self.what == "reject":
            await self.client.reject_call(context)
        else:
            # The samples do not escape the number's plus sign.
            uri = f"{self.origin}/cb/1f0e5c1a?callerId={data['from']['rawId']}"
            await self.client.answer_call(context, uri, operation_context="incomingCall")

    async def called_back(self, request: Request) -> Response:
        self.callbacks += [each["type"].rpartition(".")[2] for each in await request.json()]
        return Response()


@asynccontextmanager
async def inbound(what: str = "answer", **settings: Any) -> AsyncGenerator[tuple[Simulator, Inbound]]:
    async with Simulator(latency=(0, 0), **settings) as acs:
        app = Inbound(acs, what)
        async with app.client, serving(app.app) as app.origin:
            yield acs, app


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_an_app_is_validated_and_answers(schema: Any) -> None:
    """The handshake, the event, the answer, the caller in the call; what the samples read of the event is there."""
    async with inbound() as (acs, app):
        await acs.subscribe(f"{app.origin}/in", schema=schema)
        incoming = await acs.incoming(f"{app.origin}/in", callee="+15550100009", schema=schema)
        await acs.idle()
        assert (incoming.state, incoming.status, incoming.accepted) == ("answered", 200, True)
        assert app.heard == [("IncomingCall", "+15550100001", "4:+15550100009")]
        assert app.tokens == [True, True]
        assert app.callbacks[:2] == ["CallConnected", "ParticipantsUpdated"]
        assert incoming.call is not None
        assert list(incoming.call.participants) == ["4:+15550100001"]


async def test_a_user_may_call_too() -> None:
    """Whose kind the samples ask for; unsigned, if nothing is signed."""
    async with inbound(signed=False) as (acs, app):
        await acs.incoming(f"{app.origin}/in", caller=AGENT.raw_id)
        assert (app.heard[0][1], app.tokens) == (AGENT.raw_id, [False])


async def test_a_rejected_call_is_over() -> None:
    """Nothing is published for it."""
    async with inbound("reject") as (acs, app):
        incoming = await acs.incoming(f"{app.origin}/in")
        await acs.idle()
        assert (incoming.state, app.callbacks, len(app.heard)) == ("rejected", [], 1)


async def test_a_call_redirected_to_a_user_comes_in_for_that_user() -> None:
    """As documented, with the user in `to`; an app that redirects everything to one user is not told for ever."""
    async with inbound("redirect") as (acs, app):
        incoming = await acs.incoming(f"{app.origin}/in")
        await acs.idle()
        assert [to for _, _, to in app.heard] == ["4:+15550100002", AGENT.raw_id]
        assert (incoming.state, incoming.redirected_to) == (
            "redirected",
            {"rawId": AGENT.raw_id, "kind": "communicationUser", "communicationUser": {"id": AGENT.raw_id}},
        )
        assert [callback.events for callback in acs.callbacks] == [("IncomingCall",)] * 2


# The bodies, beside recorded ones

PAYLOADS = Path(__file__).parents[1] / "payloads"


def shape(value: Any) -> Any:
    """The keys of a value, all the way down."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


async def test_the_bodies_have_the_keys_of_recorded_ones() -> None:
    """No key more, none less; the recorded CloudEvent has a custom context, which its caller had given."""
    bodies: list[Any] = []

    async def keep(uri: str, body: bytes, headers: Any) -> int:
        bodies.append(json.loads(body))
        return 200

    async with Simulator(post=keep) as acs:
        for schema in SCHEMAS:
            await acs.incoming("https://app.example.com/in", caller=AGENT.raw_id, callee=AGENT.raw_id, schema=schema)
    bodies.append(json.loads(handshake("eventgrid", "code-1").body))
    recorded = [
        json.loads((PAYLOADS / f"{name}.json").read_bytes())
        for name in ("eg-incomingcall", "eg-incomingcall-cloudevent", "eg-subscriptionvalidation")
    ]
    del recorded[1]["data"]["customContext"]
    assert shape(bodies) == shape(recorded)


# The handshake

ANSWERS: list[tuple[str, int, Mapping[str, str], Any, str | None]] = [
    ("eventgrid", 200, {}, {"validationResponse": "code-1"}, None),
    ("eventgrid", 202, {}, {"validationResponse": "code-1"}, "202; Event Grid takes 200 alone"),
    ("eventgrid", 200, {}, {"validationResponse": "code-2"}, 'answer {"validationResponse": ...}'),
    ("eventgrid", 200, {}, ["code-1"], "the answer has no code"),
    ("eventgrid", 200, {}, None, "the answer has no code"),
    ("eventgrid", 401, {}, None, "before the app asks for a token"),
    ("eventgrid", 307, {}, None, "follows no redirect"),
    ("eventgrid", 404, {}, None, "check the path"),
    ("eventgrid", 405, {}, None, "takes no POST; let it take POST"),
    ("eventgrid", 503, {}, None, "503; the app failed"),
    ("cloudevents", 200, {"webhook-allowed-origin": "eventgrid.azure.net"}, None, None),
    ("cloudevents", 204, {"webhook-allowed-origin": "*"}, None, None),
    ("cloudevents", 200, {}, None, "no WebHook-Allowed-Origin; answer with the header"),
    ("cloudevents", 200, {"webhook-allowed-origin": "example.com"}, None, "another WebHook-Allowed-Origin"),
    ("cloudevents", 405, {}, None, "takes no OPTIONS; let it take OPTIONS"),
]


@pytest.mark.parametrize(("schema", "status", "headers", "content", "fault"), ANSWERS)
def test_an_answer_to_the_handshake_is_judged(
    schema: str, status: int, headers: Any, content: Any, fault: str | None
) -> None:
    """As Event Grid judges it; what is wrong comes with what mends it."""
    body = b"no JSON" if content is None else json.dumps(content).encode()
    found = handshake(schema, "code-1").fault(Answered(status, headers, body))
    assert found is None if fault is None else fault in str(found)


@given(st.sampled_from(SCHEMAS), st.integers(200, 599), st.dictionaries(st.text(), st.text()), st.binary())
def test_any_answer_is_judged(schema: str, status: int, headers: dict[str, str], body: bytes) -> None:
    """Whatever the bytes are: a fault is a line; none passes by chance."""
    fault = handshake(schema, "code-1").fault(Answered(status, headers, body))
    assert fault is not None
    assert "\n" not in fault


async def test_an_app_that_does_not_pass_is_told_why() -> None:
    """Without its query and its secrets; whether anybody answered is known."""
    async with inbound() as (acs, app):
        with pytest.raises(HandshakeFailed, match=r"/nowhere\?\[\.\.\.\] failed: 404; the app has no route") as wrong:
            await acs.subscribe(f"{app.origin}/nowhere?token=elided")
        assert wrong.value.reachable
        with pytest.raises(ConfigurationError, match="schema 'soap' is unknown; use one of eventgrid, cloudevents"):
            await acs.subscribe(f"{app.origin}/in", schema="soap")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        closed = f"{app.origin}/in"
    async with Simulator() as acs:
        with pytest.raises(HandshakeFailed, match=r"no answer \(Connection refused\); start the app") as nobody:
            await acs.subscribe(closed)
        assert not nobody.value.reachable


# The control endpoint


async def rung(acs: Simulator, body: Any = None, method: str = "POST", headers: Any = JSON) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    async with httpx.AsyncClient() as client:
        answer = await client.request(method, f"{acs.url}/simulator/ring", content=content, headers=headers)
    return answer.status_code, answer.json()


async def test_a_request_lets_a_call_come_in() -> None:
    """After the handshake, which is made once; the ids are those of the call."""
    async with inbound() as (acs, app):
        url = f"{app.origin}/in"
        status, content = await rung(acs, {"url": url, "from": "+15550100201", "to": AGENT.raw_id})
        assert (status, content["status"]) == (200, 200)
        status, _ = await rung(acs, {"url": url, "displayName": "Somebody", "scenario": "answered"})
        await acs.idle()
        assert status == 200
        assert app.heard == [
            ("IncomingCall", "+15550100201", AGENT.raw_id),
            ("IncomingCall", "+15550100001", "4:+15550100002"),
        ]
        # The handshake and two events; the ids of the first call.
        assert len(app.tokens) == 3
        assert acs.calls[0].server_call_id == content["serverCallId"]
        assert acs.calls[0].correlation_id == content["correlationId"]


async def test_a_request_without_words_lets_the_usual_call_come_in() -> None:
    """That which the simulator was made with."""
    async with inbound(arrival=Arrival(to="http://127.0.0.1:1/in", callee="+15550100009", schema="cloudevents")) as (
        acs,
        app,
    ):
        assert await rung(acs, {"url": f"{app.origin}/in"}) == (200, {"status": 200, **ids_of(acs)})
        assert app.heard == [("IncomingCall", "+15550100001", "4:+15550100009")]
        status, content = await rung(acs)
        assert (status, content["error"]["code"]) == (502, "HandshakeFailed")


def ids_of(acs: Simulator) -> dict[str, str]:
    return {"serverCallId": acs.calls[0].server_call_id, "correlationId": acs.calls[0].correlation_id}


@pytest.mark.parametrize(
    ("method", "headers", "body", "status", "said"),
    [
        ("GET", JSON, None, 405, "takes POST alone"),
        ("POST", {}, b"{}", 415, "application/json"),
        ("POST", {"content-type": "text/plain"}, b"{}", 415, "application/json"),
        ("POST", {**JSON, "origin": "https://example.com"}, {}, 403, "web page may not ring"),
        ("POST", {**JSON, "origin": "null"}, {}, 403, "web page may not ring"),
        ("POST", {**JSON, "host": "rebound.example.com"}, {}, 403, "web page may not ring"),
        ("POST", {**JSON, "host": "["}, {}, 403, "web page may not ring"),
        ("POST", JSON, b"[", 400, "The body is wrong"),
        ("POST", JSON, {"uri": "http://127.0.0.1"}, 400, "unknown field `uri`"),
        ("POST", JSON, {}, 400, "is no http(s) URL"),
        ("POST", JSON, {"url": "ftp://127.0.0.1"}, 400, "is no http(s) URL"),
        ("POST", JSON, {"url": "http://127.0.0.1:1", "from": "Jane"}, 400, "from is no phone number and no raw id"),
        ("POST", JSON, {"url": "http://127.0.0.1:1", "to": ""}, 400, "to is no phone number and no raw id"),
        ("POST", JSON, {"url": "http://127.0.0.1:1", "schema": "soap"}, 400, "Invalid enum value 'soap'"),
        ("POST", JSON, {"url": "http://127.0.0.1:1"}, 502, "no answer (Connection refused); start the app"),
    ],
)
async def test_who_may_not_ring_is_told_why(method: str, headers: Any, body: Any, status: int, said: str) -> None:
    """A browser sends JSON nowhere without asking, and names the page's origin."""
    async with Simulator() as acs:
        found, content = await rung(acs, body, method, headers)
        assert (found, said in content["error"]["message"]) == (status, True)
        assert (acs.callbacks, acs.calls) == ([], [])


async def test_an_unknown_scenario_is_told_of() -> None:
    """By name, with one that is near."""
    async with inbound() as (acs, app):
        status, content = await rung(acs, {"url": f"{app.origin}/in", "scenario": "bsy"})
        assert (status, content["error"]["message"]) == (400, "scenario 'bsy' is unknown; did you mean 'busy'?")


@pytest.mark.parametrize(("answers", "said"), [((200, 500), "IncomingCall event: 500."), ((200, None), "no answer.")])
async def test_an_endpoint_that_does_not_take_the_event_is_told_of(answers: Any, said: str) -> None:
    """By the status of its answer, or that there was none."""

    async def post(uri: str, body: bytes, headers: Any) -> int:
        if answers[1] is None:
            raise OSError
        return int(answers[1])

    async with inbound(post=post) as (acs, app):
        status, content = await rung(acs, {"url": f"{app.origin}/in"})
        assert (status, content["error"]["code"]) == (502, "NotAccepted")
        assert said in content["error"]["message"]


def test_blocking_code_can_do_the_same() -> None:
    """The handshake and the call, from a thread that has no loop."""

    async def run() -> None:
        async with inbound(signed=False) as (acs, app):
            await asyncio.to_thread(acs.wait_subscribed, f"{app.origin}/in", schema="cloudevents")
            incoming = await asyncio.to_thread(acs.ring, f"{app.origin}/in", schema="cloudevents")
            assert (incoming.state, app.heard[0][0]) == ("answered", "IncomingCall")

    asyncio.run(run())
