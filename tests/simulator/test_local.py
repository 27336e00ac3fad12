"""The simulator as a server: where it is, whom it trusts, what it says, and when it is done."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import socket
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.communication.callautomation import CallAutomationClient as BlockingClient
from azure.communication.callautomation import CommunicationUserIdentifier
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.exceptions import HttpResponseError

from ringback import CallbackTokenVerifier
from ringback.exceptions import ConfigurationError
from ringback.simulator import SCENARIOS, Simulator, StillBusy
from ringback.simulator.posting import http_post, shown
from ringback.simulator.server import Application
from ringback.testing.signing import Issuer, default_issuer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USER = CommunicationUserIdentifier("8:acs:5ac0ffee-0000-4000-8000-000000000001_1f0e5c1a-0000-4000-8000-000000000001")
URL = "https://app.example.com/cb?token=elided"


async def accept(uri: str, body: bytes, headers: Mapping[str, str]) -> int:
    return 200


async def test_over_tls_a_connection_string_works() -> None:
    """With the local authority trusted; gone afterwards."""
    async with Simulator("busy", tls=True, post=accept) as acs:
        assert acs.ca_file is not None
        trusting = {"connection_verify": str(acs.ca_file)}
        async with CallAutomationClient.from_connection_string(acs.connection_string, **trusting) as client:
            placed = await client.create_call(USER, URL)
        with BlockingClient.from_connection_string(acs.connection_string, **trusting) as blocking:
            blocking.create_call(USER, URL)
        await acs.idle()
        assert acs.calls[0].call_connection_id == placed.call_connection_id
        assert [callback.events for callback in acs.callbacks][:1] == [("CallDisconnected",)]
        trusted = ssl.create_default_context(cafile=acs.ca_file)
        port = int(acs.url.rpartition(":")[2])
        connection = http.client.HTTPSConnection("localhost", port, context=trusted)
        connection.request("GET", "/calling/keys")
        assert connection.getresponse().status == 200
        connection.close()
    assert not acs.ca_file.exists()


async def test_the_access_log_of_an_app_in_the_same_process_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """The simulator writes no line to the access log, and leaves the logger as it was."""
    access = logging.getLogger("uvicorn.access")
    caplog.set_level(logging.INFO)
    before = (access.handlers[:], access.propagate, access.disabled)
    async with Simulator("busy", post=accept) as acs, httpx.AsyncClient() as client:
        assert (await client.get(f"{acs.url}/calling/keys")).status_code == 200
    assert (access.handlers, access.propagate, access.disabled) == before
    assert [record for record in caplog.records if record.name == access.name] == []


async def test_callbacks_may_go_to_an_endpoint_with_tls() -> None:
    """Whose authority is to be trusted; without that there is no answer."""
    async with Simulator(tls=True) as other:
        url = f"{other.url}/calling/keys"
        context = ssl.create_default_context(cafile=other.ca_file)
        assert context.verify_mode is ssl.CERT_REQUIRED
        trusting = http_post(other.ca_file)
        assert [await trusting(url, b"{}", {}) for _ in range(2)] == [401, 401]
        with pytest.raises(OSError, match="CERTIFICATE"):
            await http_post()(url, b"{}", {})


async def test_signed_callbacks_pass_a_verifier_that_knows_the_key_set(start: Callable[..., Any]) -> None:
    """By the key set or by the OpenID configuration, which name each other; unsigned ones are refused."""
    async with Simulator("busy") as acs:
        settings = {"audience": acs.issuer.audience, "issuer": acs.issuer.issuer}
        for auth in (
            CallbackTokenVerifier(**settings, jwks_uri=acs.jwks_uri),
            CallbackTokenVerifier(**settings, openid_configuration=acs.openid_configuration),
        ):
            app = start(auth=auth)
            async with CallAutomationClient(acs.url, acs.credential) as client:
                placed = await client.create_call(USER, app.url)
                await acs.idle()
            async with Simulator("busy", signed=False) as unsigned:
                async with CallAutomationClient(unsigned.url, unsigned.credential) as client:
                    await client.create_call(USER, app.url)
                await unsigned.idle()
                assert [callback.status for callback in unsigned.callbacks] == [401, 401]
                with pytest.raises(ConfigurationError, match="signs nothing"):
                    _ = unsigned.issuer
            hooks = await asyncio.to_thread(app.ended)
            assert hooks == [("retryable", "busy", placed.call_connection_id)]


async def test_an_issuer_of_ones_own_signs() -> None:
    """With a key that every run knows."""
    issuer = Issuer(audience="5ac0ffee-0000-4000-8000-00000000000a", kid="mine")
    issuer.__dict__["_key"] = default_issuer()._key
    async with Simulator(issuer=issuer) as acs, httpx.AsyncClient() as client:
        assert (await client.get(acs.jwks_uri)).json()["keys"][0]["kid"] == "mine"
        assert acs.issuer is issuer


def test_an_incoming_call_reaches_the_app(app: Any) -> None:
    """Blocking: by Event Grid, and callbacks once it was answered."""
    with Simulator(signed=False) as acs, BlockingClient(acs.url, acs.credential) as client:
        incoming = acs.ring(app.grid_url, scenario="answered", display_name="Somebody")
        assert (incoming.status, app.seen) == (200, ["IncomingCall"])
        answered = client.answer_call(incoming.context, app.url)
        acs.wait_idle()
    assert app.ended() == [("terminal", "hung_up", answered.call_connection_id)]


async def test_what_it_says_has_nothing_private_in_it(app: Any) -> None:
    """A line a step, without numbers, queries and ids."""
    lines: list[str] = []
    scenario = SCENARIOS["flaky"]
    acs = Simulator(scenario, say=lines.append, allow_http=True)
    async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
        app.refusals = 1
        placed = await client.create_call(USER, app.url)
        await acs.idle()
        with pytest.raises(HttpResponseError):
            await client.get_call_connection(placed.call_connection_id).hang_up(True)
    bare = app.url.partition("?")[0]
    assert lines == [
        "<- POST /calling/callConnections: 201",
        f"-> CallDisconnected to {bare}?[...]: 503",
        f"-> CallDisconnected (attempt 2) to {bare}?[...]: 200",
        f"-> CreateCallFailed to {bare}?[...]: 200",
        "<- POST /calling/callConnections/[...]:terminate: 404 8522",
    ]


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        ("https://me:secret@app.example.com/cb/+15550100001?a=1", "https://app.example.com/cb/[phone]?[...]"),
        ("http://[::1]:80/cb/a-shared-secret-of-this-app", "http://[::1]:80/cb/[...]"),
    ],
)
def test_addresses_are_shown_without_what_is_private(uri: str, line: str) -> None:
    """User, numbers, secrets in the path, query."""
    assert shown(uri) == line


async def test_an_endpoint_that_gives_no_answer_is_told_of() -> None:
    """Refused connections and answers that are not HTTP; given up after so many attempts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def babble() -> None:
            connection, _ = server.accept()
            with connection:
                heard = b""
                # All of the request first, or the system resets the connection.
                while not heard.endswith(b"}]"):
                    heard += connection.recv(65536)
                connection.sendall(b"hello, who is there?\r\n\r\n")

        async with Simulator() as acs:
            incoming, _ = await asyncio.gather(acs.incoming(url), asyncio.to_thread(babble))
            assert incoming.status is None
            assert acs.callbacks[0].error == "no HTTP answer (BadStatusLine)"

    async def never(uri: str, body: bytes, headers: Mapping[str, str]) -> int:
        raise OSError

    async with Simulator("flaky", post=never, sleep=lambda _: asyncio.sleep(0)) as acs:
        async with CallAutomationClient(acs.url, acs.credential) as client:
            await client.create_call(USER, URL)
        await acs.idle()
        told = [(callback.attempt, callback.status, callback.error) for callback in acs.callbacks]
        assert told == [(attempt, None, "OSError") for attempt in (1, 2, 3, 4, 5)] * 2


async def test_hanging_up_stops_a_callback_that_is_to_be_repeated() -> None:
    """Its next attempt does not come, nor the next event."""
    refused, statuses = asyncio.Event(), iter([500])
    loop = asyncio.get_running_loop()

    async def refuse(uri: str, body: bytes, headers: Mapping[str, str]) -> int:
        loop.call_soon_threadsafe(refused.set)
        return next(statuses, 200)

    scenario = Simulator().scenarios["answered"]
    flaky = type(scenario)(name="mine", steps=scenario.steps, attempts=2)

    async def sleep(seconds: float) -> None:
        # A backoff is the one that is longest.
        await asyncio.sleep(60 if seconds == 0.1 else 0)

    acs = Simulator(flaky, post=refuse, sleep=sleep, latency=(0, 0))
    async with acs, CallAutomationClient(acs.url, acs.credential) as client:
        placed = await client.create_call(USER, URL)
        await refused.wait()
        with pytest.raises(StillBusy, match=r"still to be posted after 0\.01 seconds"):
            await acs.idle(0.01)
        await client.get_call_connection(placed.call_connection_id).hang_up(True)
        await acs.idle()
    assert [callback.events for callback in acs.callbacks] == [("CallConnected",), ("CallDisconnected",)]


@pytest.mark.parametrize(("speed", "naps"), [(1, [2.5, 3.0]), (10, [0.25, 3.0])])
async def test_speed_divides_the_time_of_people(speed: float, naps: list[float]) -> None:
    """And not the time of the service: a late event is late at any speed."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    acs = Simulator("late_create_failed", post=accept, latency=(0, 0), speed=speed, sleep=sleep)
    async with acs, CallAutomationClient(acs.url, acs.credential) as client:
        await client.create_call(USER, URL)
        await acs.idle()
    assert slept == naps


async def test_a_seed_makes_two_runs_alike() -> None:
    """Ids, and an order that is drawn."""
    shuffled = type(SCENARIOS["busy"])(name="mine", steps=SCENARIOS["busy"].steps, shuffled=True)
    seen: list[Any] = []
    for seed in (5, 5, 6):
        acs = Simulator(shuffled, seed=seed, post=accept)
        async with acs, CallAutomationClient(acs.url, acs.credential) as client:
            for _ in range(5):
                placed = await client.create_call(USER, URL)
                await acs.idle()
            seen.append([placed.call_connection_id, *(callback.events for callback in acs.callbacks)])
    assert seen[0] == seen[1] != seen[2]
    assert set(seen[0][1::2]) == {("CallDisconnected",), ("CreateCallFailed",)}


async def test_http_callbacks_are_allowed_or_not() -> None:
    """To this machine unless they are forbidden; elsewhere only if they are allowed."""
    for allow, host, good in ((True, "app.example.com", True), (False, "127.0.0.1", False)):
        async with Simulator(allow_http=allow, post=accept) as acs:
            async with CallAutomationClient(acs.url, acs.credential) as client:
                try:
                    await client.create_call(USER, f"http://{host}/cb")
                    placed = True
                except HttpResponseError as error:
                    placed = error.status_code != 400
            assert placed is good


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scenario": "bsy"}, "did you mean 'busy'"),
        ({"scenario": "xyz"}, "there are answered, "),
        ({"scenario": []}, "is empty"),
        ({"latency": (2, 1)}, "no range of seconds"),
        ({"speed": 0}, "no factor above 0"),
        ({"speed": float("nan")}, "no factor above 0"),
        ({"scenarios": "/nowhere.toml"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, said: str) -> None:
    """At once, with what to do."""
    with pytest.raises(ConfigurationError, match=said):
        Simulator(**settings)


def test_it_runs_once_and_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before its block, not twice at a time, not on a taken port or on none, not without uvicorn."""
    idle = Simulator()
    with pytest.raises(ConfigurationError, match="not running"):
        idle.wait_idle()
    with Simulator() as acs:
        with pytest.raises(ConfigurationError, match="running already"):
            acs.__enter__()
        with pytest.raises(ConfigurationError, match="cannot be used"):
            Simulator(port=int(acs.url.rpartition(":")[2])).__enter__()
        with pytest.raises(ConfigurationError, match=r"^port 65536 is out of range; give 1 to 65535, or 0 for any$"):
            Simulator(port=65536).__enter__()
        with pytest.raises(ConfigurationError, match=r"^to .* is no"):
            acs.ring("http://[x/")
        with pytest.raises(ConfigurationError, match="no error"):
            acs.fail_next(200)
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(ConfigurationError, match=r"^tls needs the extra simulator .*'ringback\[simulator\]'$"):
        Simulator(tls=True).__enter__()
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigurationError, match=r"ringback\[simulator\]"):
        idle.__enter__()
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigurationError, match=r"ringback\[simulator\]"):
        Simulator(tls=True).__enter__()


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/calling/callConnections?api-version=1", {}, b"{}", 401),
        ("/calling/callConnections?api-version=1", {"x-ms-content-sha256": "x"}, b"{}", 401),
        ("/calling/callConnections", {}, b"x" * (1024 * 1024 + 1), 413),
    ],
)
async def test_requests_of_no_client_are_refused(path: str, headers: Any, body: bytes, status: int) -> None:
    """Without a signature, with the hash of another body, larger than any."""
    authorization = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=x"
    signed = {**headers, "authorization": authorization} if headers else {}
    async with Simulator() as acs, httpx.AsyncClient() as client:
        assert (await client.post(f"{acs.url}{path}", content=body, headers=signed)).status_code == status


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("", b"{}", "MissingApiVersionParameter"),
        ("?api-version=1", b"[", "8523"),
        (":connect?api-version=1", b"{}", "8523"),
    ],
)
def test_requests_that_no_client_makes_are_refused(query: str, body: bytes, code: str) -> None:
    """Signed well, and still no request."""
    import base64
    import hashlib
    import hmac
    from random import Random

    from ringback.simulator import ACCESS_KEY
    from ringback.simulator.outside import Outside
    from ringback.simulator.playbook import Playbook
    from ringback.simulator.service import Service
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.wire import Request

    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    target = f"/calling/callConnections{query}"
    text = f"POST\n{target}\ntoday;here;{digest}".encode()
    signature = base64.b64encode(hmac.digest(base64.b64decode(ACCESS_KEY), text, "sha256")).decode()
    headers = {
        "host": "here",
        "x-ms-date": "today",
        "x-ms-content-sha256": digest,
        "authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    }
    service = Service(Switchboard(Playbook(), Outside(clock=lambda: 0.0, random=Random(1))), key=ACCESS_KEY)
    reply, _ = service.handle(Request("POST", target, headers, body))
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, code)


async def test_an_answer_that_is_not_http_is_an_error_like_no_answer() -> None:
    """Whoever listens there speaks another protocol: an OSError, as for a port where nobody listens."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # All of the request first, or the system resets the connection.
        await reader.readuntil(b"{}")
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match=r"^no HTTP answer \(BadStatusLine\)$"):
            await http_post()(f"http://127.0.0.1:{port}/callbacks", b"{}", {})


async def test_closing_ends_what_is_still_to_be_posted() -> None:
    """Nobody waits for a call that rings while the simulator goes away."""
    # The simulator has a loop and a thread of its own.
    begun, posted = threading.Event(), []

    async def never_ends(_: float) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def post(uri: str, body: bytes, headers: Mapping[str, str]) -> int:
        posted.append(uri)
        return 200

    async with Simulator("busy", post=post, sleep=never_ends, latency=(1, 2)) as acs:
        async with CallAutomationClient(acs.url, acs.credential) as client:
            await client.create_call(USER, URL)
        assert await asyncio.to_thread(begun.wait, 10)
    assert posted == []


async def test_a_sender_who_leaves_before_the_end_of_a_body_gets_no_answer() -> None:
    """Nobody knows what was to be asked."""
    none: Any = None
    arrived: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    answers: list[object] = []

    async def receive() -> dict[str, Any]:
        return arrived.pop(0)

    async def send(message: object) -> None:
        answers.append(message)

    await Application(none, none, none, none, none, {}, answers.append)({}, receive, send)
    assert (arrived, answers) == ([], [])
