"""`ringback simulate --ring` and `ringback trigger incoming`, as they are typed, before an app on a socket."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from live_server import Served, listening
from ringback.cli import _incoming, main
from ringback.exceptions import ConfigurationError
from ringback.simulator import Arrival, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    Capture = pytest.CaptureFixture


class Phone(Served):
    """An app that takes what comes in; ``heard`` are the events. ``rang`` is set at each call."""

    def __init__(self, port: int = 0, status: int = 200) -> None:
        self.heard: list[str] = []
        self.rang = threading.Semaphore(0)
        self.status = status
        super().__init__(Starlette(routes=[Route("/in", self.incoming, methods=["POST", "OPTIONS"])]), port)
        self.url = f"{self.origin}/in"

    async def incoming(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(headers={"webhook-allowed-origin": "*"})
        content = await request.json()
        event = content if isinstance(content, dict) else content[0]
        if "validationCode" in event["data"]:
            return JSONResponse({"validationResponse": event["data"]["validationCode"]})
        self.heard.append(event["data"]["from"]["rawId"])
        self.rang.release()
        return Response(status_code=self.status)


@pytest.fixture
def phone() -> Iterator[Phone]:
    with Phone() as app:
        yield app


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No simulator runs, whatever runs on the tests' machine."""
    monkeypatch.setattr(_incoming, "SIMULATOR", "http://127.0.0.1:1")


def simulated(acs: Simulator, arrival: Arrival, every: float | None = None) -> tuple[_incoming.Bell, list[str]]:
    lines: list[str] = []
    return _incoming.Bell(acs, arrival, every, lines.append, poll=0.01), lines


def heard(phone: Phone, times: int) -> list[str]:
    for _ in range(times):
        assert phone.rang.acquire(timeout=20)
    return phone.heard


def test_a_call_comes_in_at_the_start_and_at_each_ring(phone: Phone) -> None:
    """One after the other; none after the end."""
    with Simulator() as acs:
        bell, lines = simulated(acs, Arrival(to=phone.url, caller="+15550100201"))
        bell.start()
        heard(phone, 1)
        bell.ring()
        heard(phone, 1)
        bell.stop()
        bell.ring()
    assert (phone.heard, lines) == (["4:+15550100201"] * 2, [])


def test_calls_come_in_every_so_often(phone: Phone) -> None:
    """Without anybody's asking."""
    with Simulator() as acs:
        bell, _ = simulated(acs, Arrival(to=phone.url, schema="cloudevents"), every=0.01)
        bell.start()
        heard(phone, 3)
        bell.stop()


def test_a_call_waits_for_an_app_that_starts_later() -> None:
    """Which is said once."""
    sock = listening()
    port = sock.getsockname()[1]
    sock.close()
    with Simulator() as acs:
        said = threading.Event()
        bell, lines = simulated(acs, Arrival(to=f"http://127.0.0.1:{port}/in"))
        bell._say = lambda line: (lines.append(line), said.set())
        bell.start()
        assert said.wait(20)
        with Phone(port) as phone:
            heard(phone, 1)
            bell.stop()
    assert lines == [
        f"Event Grid's handshake with http://127.0.0.1:{port}/in failed: no answer (Connection refused); "
        "start the app, and check host and port; the call comes in when the app answers"
    ]


class Asking(Simulator):
    """Counts how often an app was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)

    def wait_subscribed(self, *arguments: Any, **options: Any) -> None:
        self.asked.release()
        super().wait_subscribed(*arguments, **options)


def test_waiting_for_an_app_ends_with_the_command() -> None:
    """Nobody waits for an app that never comes; that it does not answer is said once."""
    with Asking() as acs:
        bell, lines = simulated(acs, Arrival(to="http://127.0.0.1:1/in"))
        bell.start()
        for _ in range(3):
            assert acs.asked.acquire(timeout=20)
        bell.stop()
        assert not bell._thread.is_alive()
    assert len(lines) == 1


@pytest.mark.parametrize("ended", [CancelledError, ConfigurationError])
def test_the_end_of_the_simulator_ends_the_bell(ended: type[Exception]) -> None:
    """Also while a request of it is under way; quietly."""

    class Ended(Simulator):
        def wait_subscribed(self, *_: Any, **__: Any) -> None:
            raise ended

    bell, lines = simulated(Ended(), Arrival(to="http://127.0.0.1:1/in"))
    bell.start()
    bell._thread.join(20)
    assert (bell._thread.is_alive(), lines) == (False, [])


def test_an_app_that_does_not_pass_the_handshake_is_told_at_each_call(phone: Phone) -> None:
    """With the remedy; no call comes in."""
    with Simulator() as acs:
        said = threading.Semaphore(0)
        bell, lines = simulated(acs, Arrival(to=f"{phone.origin}/nowhere"))
        bell._say = lambda line: (lines.append(line), said.release())
        bell.start()
        assert said.acquire(timeout=20)
        bell.ring()
        assert said.acquire(timeout=20)
        bell.stop()
    remedy = "404; the app has no route there; check the path of the address. After that, let the call come in again"
    assert lines == [f"Event Grid's handshake with {phone.origin}/nowhere failed: {remedy}"] * 2
    assert phone.heard == []


@pytest.mark.parametrize("terminal", [True, False])
def test_the_start_says_how_to_let_a_call_come_in(
    phone: Phone, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a key only where somebody can type; r and Enter, or Enter alone."""
    parent, child = os.openpty()
    with os.fdopen(child) as stdin, Simulator() as acs:
        monkeypatch.setattr("sys.stdin", stdin if terminal else None)
        lines: list[str] = []
        with _incoming.ringing(acs, Arrival(to=phone.url), None, lines.append):
            heard(phone, 1)
            if terminal:
                for typed in (b"R\n", b"\n", b"x\n", b"r\n"):
                    os.write(parent, typed)
                    if typed != b"x\n":
                        heard(phone, 1)
            os.close(parent)
    by = f"curl -X POST -H 'content-type: application/json' {acs.url}/simulator/ring"
    assert lines == [f"let a call come in  {'r and Enter, or ' if terminal else ''}{by}"]
    assert len(phone.heard) == (4 if terminal else 1)


def test_keys_end_with_their_stream() -> None:
    """At the end of what is typed, without a call."""
    reader, writer = os.pipe()
    os.close(writer)
    rings: list[bool] = []
    _incoming._read_keys(reader, lambda: rings.append(True))
    os.close(reader)
    assert rings == []


# ringback trigger incoming


def test_a_running_simulator_lets_the_call_come_in(phone: Phone, capsys: Capture[str]) -> None:
    """So that the app can answer; what is wrong is said, too."""
    with Simulator() as acs:
        command = ["trigger", "incoming", "--schema", "cloudevents", "--from", "+15550100201"]
        command += ["--simulator", acs.url, "--to"]
        assert main([*command, f"{phone.url}?token=elided"]) == 0
        assert phone.heard == ["4:+15550100201"]
        assert main([*command, f"{phone.origin}/nowhere"]) == 1
    refused = f"Event Grid's handshake with {phone.origin}/nowhere failed: 404; the app has no route there"
    assert capsys.readouterr().out.splitlines() == [
        f"-> IncomingCall to {phone.url}?[...]: 200",
        f"{refused}; check the path of the address",
    ]


@pytest.mark.usefixtures("nobody")
def test_without_a_simulator_the_command_posts_the_event_itself(phone: Phone, capsys: Capture[str]) -> None:
    """And says that nobody can answer; an answer of the app that is no success is 1."""
    assert main(["trigger", "incoming", "--to", phone.url]) == 0
    phone.status = 500
    assert main(["trigger", "incoming", "--to", phone.url, "--seed", "7"]) == 1
    assert main(["trigger", "incoming", "--to", f"{phone.origin}/nowhere", "--seed", "7"]) == 1
    validated = f"-> SubscriptionValidation to {phone.url}: 200"
    assert capsys.readouterr().out.splitlines() == [
        "no simulator answers at http://127.0.0.1:1 (Connection refused), so the app cannot answer this call: "
        "start ringback simulate",
        validated,
        f"-> IncomingCall to {phone.url}: 200",
        validated,
        f"-> IncomingCall to {phone.url}: 500",
        f"-> SubscriptionValidation to {phone.origin}/nowhere: 404",
        f"Event Grid's handshake with {phone.origin}/nowhere failed: 404; "
        "the app has no route there; check the path of the address",
    ]


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"error": "x"}', b'{"detail": "Not Found"}'])
def test_another_server_on_the_simulators_port_is_no_simulator(
    content: bytes, phone: Phone, capsys: Capture[str]
) -> None:
    """Whatever it answers."""

    async def answer(request: Request) -> Response:
        return Response(content, 404)

    with Served(Starlette(routes=[Route("/simulator/ring", answer, methods=["POST"])])) as other:
        assert main(["trigger", "incoming", "--to", phone.url, "--simulator", f"{other.origin}/"]) == 0
    told = f"no simulator answers at {other.origin} (another server does, with 404), so"
    assert capsys.readouterr().out.startswith(told)


def test_with_tls_the_start_names_whom_curl_is_to_trust(phone: Phone) -> None:
    """The authority of the simulator."""
    lines: list[str] = []
    with Simulator(tls=True) as acs, _incoming.ringing(acs, Arrival(to=phone.url), None, lines.append):
        heard(phone, 1)
    assert f"curl -X POST --cacert {acs.ca_file} -H" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trigger", "incoming"], "name the endpoint of IncomingCall"),
        (["trigger", "incoming", "--to", "http://127.0.0.1", "--delay", "1"], "incoming has no result"),
        (["trigger", "incoming", "--to", "app"], "is no http(s) URL"),
        (["trigger", "busy", "--to", "http://127.0.0.1", "--from", "+15550100001"], "ringback trigger incoming"),
        (["simulate", "--from", "+15550100001"], "go with --ring URL"),
        (["simulate", "--ring", "app"], "is no http(s) URL"),
        (["simulate", "--ring", "http://127.0.0.1", "--from", "Jane"], "--from is no phone number and no raw id"),
        (["simulate", "--ring", "http://127.0.0.1", "--to", "Jane"], "--to is no phone number and no raw id"),
        (["simulate", "--ring", "http://127.0.0.1", "--every", "0"], "every 0.0 is out of range"),
        (["simulate", "--ring", "http://127.0.0.1", "--schema", "soap"], "invalid choice: 'soap'"),
    ],
)
def test_what_cannot_work_is_told_in_a_line(arguments: list[str], said: str, capsys: Capture[str]) -> None:
    """2, as for every command; the value of a party is not repeated."""
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Jane" not in told


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("--port", "'x' is no whole number; write for example 8765"),
        ("--speed", "'x' is no factor; write for example 10 or 0.5"),
        ("--every", "'x' is no number of seconds; write for example 20"),
    ],
)
def test_what_is_no_number_is_refused_with_what_to_write(option: str, remedy: str, capsys: Capture[str]) -> None:
    """In words, and not by the name of a type."""
    assert main(["simulate", option, "x"]) == 2
    told = f"ringback simulate: argument {option}: {remedy}; see ringback simulate --help\n"
    assert capsys.readouterr() == ("", told)
