"""One request to an app: what is posted is what was given, and what the app answers is what the test gets."""

from __future__ import annotations

import asyncio
import json
from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from ringback import ConfigurationError, OutcomeRouter
from ringback.testing import (
    CallbackClient,
    NoAnswer,
    call_connected,
    default_issuer,
    failed_call,
)


class App:
    """An ASGI app that keeps its last request."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.body = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.body = scope, (await receive())["body"]
        await Response(headers={"x-a": "1"})(scope, receive, send)

    @property
    def headers(self) -> dict[str, str]:
        names = [name for name, _ in self.scope["headers"]]
        assert len(names) == len(set(names))
        return {name.decode(): value.decode() for name, value in self.scope["headers"]}


@pytest.fixture
def app() -> App:
    return App()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", bytearray(b"[1]"), memoryview(b"x")], ids=bytes)
async def test_a_body_goes_as_it_is(app: App, body: Any) -> None:
    """Also none at all: what is no delivery is refused by the endpoint, not by the client."""
    await CallbackClient(app).deliver(body)
    assert app.body == bytes(body)
    assert app.headers["content-length"] == str(len(bytes(body)))


@pytest.mark.parametrize("given", [(), ([],), ((), [])], ids=repr)
async def test_no_event_is_an_empty_delivery(app: App, given: Any) -> None:
    """An array without elements, as a delivery of no events is."""
    await CallbackClient(app).deliver(*given)
    assert app.body == b"[]"


async def test_events_go_in_the_shapes_in_which_they_come(app: App) -> None:
    """Alone, in pairs, in iterators and in mappings that are no dictionaries."""
    one, pair = call_connected(), failed_call(486, 560486)
    for given_ in (
        (one, pair),
        ([one, *pair],),
        (iter([one]), list(pair)),
        (MappingProxyType(one), UserDict(pair[0]), pair[1]),
    ):
        await CallbackClient(app).deliver(*given_)
        assert json.loads(app.body) == [one, *pair]


@pytest.mark.parametrize(
    "given",
    [
        (b"[]", b"[]"),
        (call_connected(), b""),
        ([], b"[]"),
        ("[]",),
        (None,),
        (call_connected(), None),
        ([[call_connected()]],),
        (["text"],),
        ([b"[]"],),
        (486,),
    ],
    ids=lambda given: "+".join(type(each).__name__ for each in given),
)
async def test_what_would_be_posted_otherwise_than_given_is_refused(app: App, given: Any) -> None:
    """Nothing is left out, taken apart or joined; no request is made."""
    with pytest.raises(ConfigurationError):
        await CallbackClient(app).deliver(*given)
    assert app.scope == {}


NAMES = ("authorization", "content-type", "host", "content-length", "x-own")
cased = st.sampled_from(NAMES).flatmap(lambda name: st.sampled_from([name, name.title(), name.upper()]))
layer = st.dictionaries(cased, st.none() | st.sampled_from(["a", "b"]), max_size=4)


@given(own=layer, given_=layer)
async def test_the_last_word_on_a_header_counts(own: Any, given_: Any) -> None:
    """In whatever case its name is written; None leaves it out, whoever would have sent it."""
    app, issuer = App(), default_issuer()
    await CallbackClient(app, issuer=issuer, headers=own).deliver(call_connected(), headers=given_)
    said = {name.lower(): value for each in (own, given_) for name, value in each.items()}
    sent = app.headers
    assert {name: sent.get(name) for name in said} == said
    unsaid = sent.keys() - said.keys()
    assert unsaid == {"authorization", "content-type", "host", "content-length"} - said.keys()


async def test_requests_may_leave_headers_out_as_well(app: App) -> None:
    """They have those that are given, a host, and a content length where there is a body."""
    client = CallbackClient(app, headers={"x-own": "1"})
    await client.request("OPTIONS", headers={"Origin": "o"})
    assert app.headers == {"host": "callbacks.example.com", "origin": "o"}
    await client.request("POST")
    assert app.headers == {"host": "callbacks.example.com", "content-length": "0"}
    await client.request("PUT", body=b"1", headers={"Host": None, "Content-Length": None})
    assert app.headers == {}


@pytest.mark.parametrize("path", ["", "cb", "cb/1", "?x=1", "https://callbacks.example.com/cb"])
async def test_a_path_begins_at_the_root(app: App, path: str) -> None:
    """A server could not route another; the client says so at once."""
    with pytest.raises(ConfigurationError, match="does not begin with /"):
        CallbackClient(app, path=path)
    with pytest.raises(ConfigurationError, match="does not begin with /"):
        await CallbackClient(app).deliver(call_connected(), path=path)


@pytest.mark.parametrize(
    ("path", "decoded", "raw", "query"),
    [
        ("/cb/1?caller=%2B1", "/cb/1", b"/cb/1", b"caller=%2B1"),
        ("/cb/a%20b%2Fc", "/cb/a b/c", b"/cb/a%20b%2Fc", b""),
        ("/cb/ä b", "/cb/ä b", b"/cb/%C3%A4%20b", b""),
        ("/cb/{order}:@;v=1,2", "/cb/{order}:@;v=1,2", b"/cb/%7Border%7D:@;v=1,2", b""),
    ],
)
async def test_a_path_is_decoded_as_a_server_decodes_it(
    app: App, path: str, decoded: str, raw: bytes, query: bytes
) -> None:
    """The raw path is what stands in the request line."""
    await CallbackClient(app).deliver(call_connected(), path=path)
    assert (app.scope["path"], app.scope["raw_path"], app.scope["query_string"]) == (decoded, raw, query)


async def test_a_repeated_header_is_whole() -> None:
    """Its values in order, as RFC 9110 joins them; an app may leave its headers out."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Vary", b"a"), (b"x", b"1"), (b"vary", b"b")]
        start = {"type": "http.response.start", "status": 200}
        await send(start if scope["path"] == "/bare" else {**start, "headers": headers})
        await send({"type": "http.response.body"})

    client = CallbackClient(app)
    assert (await client.request("GET", "/")).headers == {"vary": "a, b", "x": "1"}
    assert (await client.request("GET", "/bare")).headers == {}


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([], "the app returned and sent nothing"),
        (
            [{"type": "http.response.start", "status": 200, "headers": []}],
            "began a response with status 200 and did not",
        ),
        (
            [
                {"type": "http.response.start", "status": 204, "headers": []},
                {"type": "http.response.body", "body": b"a", "more_body": True},
            ],
            "began a response with status 204 and did not end it",
        ),
    ],
    ids=["nothing", "no body", "half"],
)
async def test_an_app_that_does_not_answer_is_an_error(messages: list[Any], fault: str) -> None:
    """A server would answer 500, or break off."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    with pytest.raises(NoAnswer, match=fault):
        await CallbackClient(app, router=OutcomeRouter()).deliver(call_connected())


async def test_a_streamed_answer_is_whole_and_a_disconnect_comes_after_it() -> None:
    """Frameworks listen for the sender's going away while they answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        gone = asyncio.create_task(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one, ", "more_body": True})
        assert not gone.done()
        await send({"type": "http.response.body", "body": b"two"})
        assert await gone == {"type": "http.disconnect"}

    assert (await CallbackClient(app).request("GET", "/")).body == b"one, two"
