"""``ringback doctor``: prepared servers with one fault each, healthy apps of ours, and each judgement by itself."""

from __future__ import annotations

import argparse
import json
import re
import socket
import ssl
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from live_server import Served
from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, SharedSecret
from ringback.cli import _doctor, main
from ringback.cli.doctor.faults import FAULTS, Finding, Severity
from ringback.cli.doctor.judgement import blocks, judge
from ringback.cli.doctor.probes import LARGE, Answer, Connected, Failure, Lost, further, strangers_event, target
from ringback.exceptions import ConfigurationError
from ringback.receiving.target import SPELLINGS
from ringback.simulator.authority import certificate_in
from ringback.testing import Issuer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from starlette.requests import Request

    from ringback.senders.auth import Check

NOW = 1_767_322_800.0
AUDIENCE = "1f0e5c1a-0000-4000-8000-000000000001"
PATH = "/api/callbacks/1"


class Asked(NamedTuple):
    """What came to a prepared server."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Told(NamedTuple):
    """What it answers; ``None`` instead closes the connection."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


def well(asked: Asked) -> Told | None:
    """A server as it should be, with Event Grid and no tokens but one that reads 'Bearer good'."""
    if asked.headers.get("webhook-request-origin"):
        return Told(200, {"WebHook-Allowed-Origin": "*"})
    if asked.headers.get("aeg-event-type"):
        code = json.loads(asked.body)[0]["data"]["validationCode"]
        return Told(200, {"content-type": "application/json"}, json.dumps({"validationResponse": code}).encode())
    if asked.method != "POST":
        return Told(405)
    if len(asked.body) >= LARGE:
        return Told(413)
    return Told(401 if asked.body.startswith(b"[") else 400)


def html(status: int) -> Told:
    return Told(status, {"content-type": "text/html; charset=utf-8"}, b"<html>please</html>")


def always(told: Told | None) -> Callable[[Asked], Told | None]:
    return lambda asked: told


def but(when: Callable[[Asked], object], told: Told | None) -> Callable[[Asked], Told | None]:
    """As it should be, but for some requests."""
    return lambda asked: told if when(asked) else well(asked)


def is_event(asked: Asked) -> bool:
    return b"RingbackDoctor" in asked.body


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    respond: Callable[[Asked], Told | None]
    date: str | None
    drips = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who refuses the certificate is no news."""


class _Handler(BaseHTTPRequestHandler):
    def _any(self) -> None:
        assert isinstance(self.server, _Server)
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = self.server.respond(Asked(self.command, self.path, headers, body))
        if told is None:
            return
        self.send_response_only(told.status)
        named = {"content-length": str(len(told.body)), **told.headers}
        if self.server.date is not None:
            named["date"] = self.server.date
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told.body)

    do_GET = do_HEAD = do_OPTIONS = do_POST = _any  # noqa: N815 - their names in the base class

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Nothing."""


@contextmanager
def serving(
    respond: Callable[[Asked], Told | None], *, date: str | None = formatdate(NOW), tls: Path | None = None
) -> Generator[int]:
    """A prepared server; gives its port. ``tls`` is a folder with a certificate."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.respond, server.date = respond, date
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "server.pem", tls / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def examined(
    url: str,
    capsys: pytest.CaptureFixture[str],
    *,
    timeout: float = 10.0,
    key: Path | None = None,
    at: float = NOW,
    **seams: Any,
) -> dict[str, Any]:
    """The report of one examination, whose exit code agrees with it."""
    arguments = argparse.Namespace(url=url, timeout=timeout, json=True, issuer_key=key, audience=key and AUDIENCE)
    status = _doctor.doctor(arguments, **{"clock": lambda: at, **seams})
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status == (1 if report["problems"] else 0)
    return report


def faults(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What is wrong: check, severity and fault. Each has its reason and its remedy, the ones of the table."""
    wrong = [each for each in report["findings"] if each["severity"] != "ok"]
    assert all((each["why"], each["remedy"]) == FAULTS[each["fault"]] for each in wrong)
    assert all(not each["fault"] for each in report["findings"] if each["severity"] == "ok")
    return [(each["check"], each["severity"], each["fault"]) for each in wrong]


def problem(check: str, fault: str) -> tuple[str, str, str]:
    return check, "problem", fault


def warning(check: str, fault: str) -> tuple[str, str, str]:
    return check, "warning", fault


LOGIN = "https://login.example.com/authorize?client=1"

MISCONFIGURED: dict[str, tuple[Callable[[Asked], Told | None], list[tuple[str, str, str]], str]] = {
    "anyone can post": (but(is_event, Told(200)), [problem("sender", "anyone_can_post")], "auth="),
    "a signature is not checked": (
        but(lambda asked: "authorization" in asked.headers, Told(204)),
        [problem("token", "forgery_accepted")],
        "Verify the signature",
    ),
    "the keys cannot be had": (
        but(lambda asked: "authorization" in asked.headers, Told(503)),
        [problem("token", "keys_unreachable")],
        "Allow the app https",
    ),
    "a slash is missing": (
        lambda asked: Told(308, {"location": f"{asked.path}/"}),
        [problem("route", "redirect")],
        "Use the final URL",
    ),
    "moved": (always(Told(302, {"location": "/elsewhere"})), [problem("route", "redirect")], "Use the final URL"),
    "moved to nowhere": (always(Told(301)), [problem("route", "redirect")], "Use the final URL"),
    "moved to what is no address": (
        always(Told(301, {"location": "mailto:a@example.com"})),
        [problem("route", "redirect")],
        "Use the final URL",
    ),
    "sent to a login": (always(Told(302, {"location": LOGIN})), [problem("route", "login_page")], "Exclude"),
    "sent to a login here": (always(Told(302, {"location": "/.auth/login"})), [problem("route", "login_page")], "Excl"),
    "a login page": (always(html(200)), [problem("route", "login_page")], "Exclude the callback path"),
    "a page that forbids": (always(html(403)), [problem("route", "login_page")], "Exclude the callback path"),
    "a browser's password": (
        always(Told(401, {"www-authenticate": 'Basic realm="staging"'})),
        [problem("route", "login_page")],
        "Exclude the callback path",
    ),
    "a page instead of a problem": (but(is_event, html(401)), [warning("sender", "login_page")], "Exclude"),
    "a firewall": (always(Told(403)), [problem("route", "forbidden")], "Allow POST"),
    "no app behind the proxy": (always(html(502)), [problem("route", "no_upstream")], "Start the app"),
    "no such route": (always(html(404)), [problem("route", "no_route")], "check the route"),
    "no POST": (always(Told(405)), [problem("route", "no_post")], "Register the route for POST"),
    "refused in another way": (but(is_event, Told(400)), [warning("sender", "refused_otherwise")], "let POST through"),
    "an exception for what is not JSON": (
        but(lambda asked: asked.body.startswith(b"this"), Told(500)),
        [problem("not_json", "server_error")],
        "traceback",
    ),
    "nonsense is welcome": (
        but(lambda asked: asked.body.startswith(b"this"), Told(200)),
        [problem("not_json", "nonsense_accepted")],
        "CallOutcomeMiddleware",
    ),
    "no limit": (but(lambda asked: len(asked.body) >= LARGE, Told(200)), [warning("too_large", "no_limit")], "1 MiB"),
    "large bodies crash": (
        but(lambda asked: len(asked.body) >= LARGE, Told(500)),
        [problem("too_large", "server_error")],
        "traceback",
    ),
    "large bodies are cut off": (
        but(lambda asked: len(asked.body) >= LARGE, None),
        [warning("too_large", "large_cut_off")],
        "answer 413",
    ),
    "a handshake is taken for an event": (
        but(lambda asked: "aeg-event-type" in asked.headers, Told(200, {}, b"ok")),
        [problem("handshake", "handshake_ignored")],
        "CallOutcomeMiddleware",
    ),
    "a handshake is not understood": (
        but(lambda asked: "aeg-event-type" in asked.headers, Told(400)),
        [warning("handshake", "handshake_ignored")],
        "CallOutcomeMiddleware",
    ),
    "a handshake crashes": (
        but(lambda asked: "aeg-event-type" in asked.headers, Told(500)),
        [problem("handshake", "server_error")],
        "traceback",
    ),
    "CORS answers OPTIONS": (
        but(lambda asked: asked.method == "OPTIONS", Told(200)),
        [warning("consent", "consent_ignored")],
        "Let OPTIONS through",
    ),
    "OPTIONS is not allowed": (
        but(lambda asked: asked.method == "OPTIONS", Told(405)),
        [warning("consent", "consent_ignored")],
        "Let OPTIONS through",
    ),
    "GET crashes": (but(lambda asked: asked.method == "GET", Told(500)), [problem("get", "server_error")], "traceback"),
    "HEAD is unavailable": (
        but(lambda asked: asked.method == "HEAD", Told(503)),
        [problem("head", "unavailable")],
        "store",
    ),
    "the store is down": (
        but(is_event, Told(503)),
        # There every event with a token is answered with 503, too: one cause, two findings.
        [problem("sender", "unavailable"), problem("token", "keys_unreachable")],
        "store",
    ),
    "the gate compares text": (
        but(lambda asked: asked.path.endswith("/"), Told(200)),
        [problem("spelling", "spelling_accepted")],
        "let Ringback verify",
    ),
    "the connection is closed": (always(None), [problem("sender", "connection_closed")], "crash"),
}


@pytest.mark.parametrize("name", MISCONFIGURED)
def test_a_misconfiguration_is_found_and_its_remedy_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One fault in the server, that fault in the report and no other."""
    respond, expected, remedy = MISCONFIGURED[name]
    with serving(respond) as port:
        report = examined(f"http://127.0.0.1:{port}{PATH}", capsys)
    assert faults(report) == expected
    first = next(each for each in report["findings"] if each["fault"] == expected[0][2])
    assert remedy in first["remedy"]


def test_a_server_as_it_should_be_has_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Every check is made, each once."""
    with serving(well) as port:
        report = examined(f"http://127.0.0.1:{port}{PATH}", capsys)
    assert (report["complete"], report["problems"], report["warnings"]) == (True, 0, 0)
    first, rest = "https connection sender", "token handshake consent not_json too_large get head time clock"
    checks = [*first.split(), *["spelling"] * len(SPELLINGS), *rest.split()]
    assert [each["check"] for each in report["findings"]] == checks


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (formatdate(NOW - 61), [problem("clock", "clock_skewed")]),
        (formatdate(NOW + 61), [problem("clock", "clock_skewed")]),
        (formatdate(NOW + 59), []),
        ("yesterday", [warning("clock", "clock_unknown")]),
        (None, [warning("clock", "clock_unknown")]),
    ],
    ids=["behind", "ahead", "near", "no date", "none"],
)
def test_the_clocks_are_compared(
    date: str | None, expected: list[tuple[str, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """More than a minute is too much, in either direction."""
    with serving(well, date=date) as port:
        assert faults(examined(f"http://127.0.0.1:{port}{PATH}", capsys)) == expected


def test_a_server_that_is_late_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    """The time of the slowest answer counts."""
    passed = [0.0]

    def respond(asked: Asked) -> Told | None:
        passed[0] += 31.0 if asked.method == "GET" else 0.0
        return well(asked)

    with serving(respond) as port:
        report = examined(f"http://127.0.0.1:{port}{PATH}", capsys, stopwatch=lambda: passed[0])
    assert faults(report) == [problem("time", "too_slow")]
    assert report["findings"][-2]["what"] == "the slowest answer (get) took 31.0 s"


def test_a_server_that_never_answers_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    """After the time-out, once, and not for every check."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        report = examined(f"http://127.0.0.1:{server.getsockname()[1]}{PATH}", capsys, timeout=0.1)
    assert faults(report) == [problem("sender", "no_answer")]
    assert report["complete"] is False
    assert report["findings"][-1]["what"] == "nothing came within 0.1 s"


def test_an_answer_that_drips_is_not_read_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    """What has come by then is judged."""
    passed = iter(range(0, 10_000, 6))
    endless = but(lambda asked: asked.method == "GET", Told(200, {"content-length": "100000"}, b"x"))
    with serving(endless) as port:
        url = f"http://127.0.0.1:{port}{PATH}"
        report = examined(url, capsys, stopwatch=lambda: float(next(passed)), timeout=5.0)
    assert faults(report) == [warning("time", "too_slow")]


def test_an_answer_before_the_body_is_read_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that refuses by the announced length need not take the bytes."""

    def serve(server: socket.socket) -> None:
        with ExitStack() as held:
            while True:
                try:
                    connection = held.enter_context(server.accept()[0])
                except OSError:
                    return
                # The connections of the examiner's first look and of its last have nothing to say.
                head = connection.recv(4096)
                status = b"413 Large" if b"%d\r\n" % LARGE in head else b"400 Bad"
                connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status if head else b"")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        report = examined(f"http://127.0.0.1:{server.getsockname()[1]}{PATH}", capsys, timeout=20.0)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert what(report, "too_large") == f"a body of {LARGE} bytes is refused with 413"


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    """The first thing is to start the app."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        report = examined(f"http://127.0.0.1:{unused.getsockname()[1]}{PATH}", capsys)
    assert faults(report) == [problem("connection", "unreachable")]
    assert "Start the app" in report["findings"][-1]["remedy"]


@pytest.mark.parametrize("host", ["callbacks.invalid", f"{'a' * 64}.example.com"], ids=["unknown", "impossible"])
def test_a_name_that_does_not_resolve(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A top-level domain that never exists (RFC 6761), and a label that is too long."""
    report = examined(f"https://{host}{PATH}", capsys)
    assert faults(report) == [problem("connection", "name_unknown")]


# TLS


@pytest.fixture
def week(tmp_path: Path) -> Path:
    """A folder with a certificate that is valid for a week from now."""
    certificate_in(tmp_path)
    return tmp_path


def trusting(folder: Path) -> Callable[[], ssl.SSLContext]:
    return lambda: ssl.create_default_context(cafile=str(folder / "ca.pem"))


def test_a_certificate_that_ends_soon_is_a_warning(week: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A week before its end it should have been renewed."""
    at = time.time()
    with serving(well, tls=week, date=formatdate(at)) as port:
        report = examined(f"https://localhost:{port}{PATH}", capsys, at=at, trust=trusting(week))
    assert faults(report) == [warning("certificate", "certificate_expiring")]


def test_a_certificate_with_time_left_is_fine(week: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen from three weeks before its end."""
    at = time.time() - 15 * 86400
    with serving(well, tls=week, date=formatdate(at)) as port:
        report = examined(f"https://localhost:{port}{PATH}", capsys, at=at, trust=trusting(week))
    assert faults(report) == []
    assert {"check": "certificate", "what": "valid for 21 more days"}.items() <= report["findings"][2].items()


@pytest.mark.parametrize(
    ("made", "host", "said"),
    [
        (None, "127.0.0.1", "self-signed certificate in certificate chain|unable to get local issuer certificate"),
        (datetime(2020, 1, 1, tzinfo=UTC), "127.0.0.1", "certificate has expired"),
        # Another way to write this machine's address, for which the certificate is not.
        (datetime.now(UTC), "127.1", "Hostname mismatch, certificate is not valid for '127.1'[.]"),
    ],
    ids=["unknown authority", "expired", "another host"],
)
def test_a_certificate_that_nobody_can_verify(
    made: datetime | None, host: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """OpenSSL's own word says why."""
    certificate_in(tmp_path, made)
    trust = ssl.create_default_context if made is None else trusting(tmp_path)
    with serving(well, tls=tmp_path) as port:
        report = examined(f"https://{host}:{port}{PATH}", capsys, trust=trust)
    assert faults(report) == [problem("connection", "certificate_invalid")]
    assert re.fullmatch(f"the certificate is refused: ({said})", report["findings"][-1]["what"])


def test_https_on_a_port_that_speaks_http(capsys: pytest.CaptureFixture[str]) -> None:
    """TLS that cannot begin is not a certificate's fault."""
    with serving(well) as port:
        report = examined(f"https://127.0.0.1:{port}{PATH}", capsys)
    assert faults(report) == [problem("connection", "tls_failed")]


# Apps of ours


class Running(Served):
    """A uvicorn in a thread before which the middleware stands, and every outcome that any hook heard of."""

    def __init__(self, auth: Check | None) -> None:
        self.heard: list[Outcome] = []
        router = OutcomeRouter(settle=0)

        @router.on_retryable
        @router.on_terminal
        @router.on_unrecognized
        @router.on(scope="operation")
        def note(outcome: Outcome) -> None:
            self.heard.append(outcome)

        async def callbacks(request: Request) -> Response:
            return PlainTextResponse(str(len(request.state.call_outcomes)))

        middleware = Middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks/{id}", auth=auth)
        app = Starlette(
            routes=[Route("/api/callbacks/{id}", callbacks, methods=["POST"])],
            middleware=[middleware],
        )
        super().__init__(app)
        self.url = f"{self.origin}{PATH}"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private key of a test issuer, in PEM."""
    return written(rsa.generate_private_key(65537, 2048), tmp_path_factory.mktemp("issuer"))


def written(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, folder: Path) -> Path:
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "key.pem"
    file.write_bytes(pem)
    return file


def what(report: dict[str, Any], check: str) -> str:
    return str(next(each["what"] for each in report["findings"] if each["check"] == check))


CUT_OFF = warning("too_large", "large_cut_off")


def lasting(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What is wrong, but for a race: an answer sent before all was read may be lost to a reset."""
    return [each for each in faults(report) if each != CUT_OFF]


def test_a_verified_app_is_healthy_and_no_hook_hears_of_the_examination(
    key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signed test event is accepted and has no outcome."""
    issuer = Issuer(key=key.read_bytes(), audience=AUDIENCE)
    with Running(issuer.verifier()) as app:
        report = examined(app.url, capsys, key=key, at=time.time())
    assert lasting(report) == []
    assert what(report, "signed") == "a signed test event is accepted with 200"
    assert what(report, "handshake").startswith("Event Grid's validation is refused with 401")
    assert CUT_OFF in faults(report) or what(report, "too_large") == f"a body of {LARGE} bytes is refused with 413"
    assert what(report, "not_json") == "a body that is no JSON is refused with 400"
    assert app.heard == []


def test_an_app_that_verifies_nothing_has_one_problem(capsys: pytest.CaptureFixture[str]) -> None:
    """Anyone can post; all else is in order, and no hook hears of the examination."""
    with Running(None) as app:
        report = examined(app.url, capsys, at=time.time())
    assert lasting(report) == [problem("sender", "anyone_can_post")]
    assert what(report, "handshake") == "Event Grid's validation is answered with its code"
    assert what(report, "consent") == "the CloudEvents handshake (OPTIONS) allows Event Grid"
    assert app.heard == []


def test_a_secret_in_the_query_is_not_given_to_a_stranger(capsys: pytest.CaptureFixture[str]) -> None:
    """A stranger does not have it; what is asked with it is let in, and it is never printed."""
    with Running(SharedSecret("a-shared-secret-of-this-app")) as app:
        report = examined(f"{app.url}?secret=a-shared-secret-of-this-app", capsys, at=time.time())
    assert lasting(report) == []
    assert what(report, "not_json") == "a body that is no JSON is refused with 400"
    assert report["url"] == f"{app.url}?[...]"
    assert "a-shared-secret" not in json.dumps(report)


def test_a_key_that_the_app_does_not_know_is_refused(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signed event that is refused is a problem of the set-up."""
    other = written(rsa.generate_private_key(65537, 2048), tmp_path)
    with Running(Issuer(key=key.read_bytes(), audience=AUDIENCE).verifier()) as app:
        report = examined(app.url, capsys, key=other, at=time.time())
    assert faults(report) == [problem("signed", "signed_refused")]


# Each judgement by itself


FAR_AWAY = f"Fri, 02 Jan {10**20} 03:00:00 GMT"
FAIR = Answer(401, {"date": formatdate(NOW)}, b"", 0.1, NOW)
PUBLIC = Connected(("8.8.8.8",), NOW)
WHERE = target(f"https://app.example.com{PATH}")


def wrong(findings: Iterable[Finding]) -> list[tuple[str, str, str]]:
    return [(each.check, each.severity.value, each.fault) for each in findings if each.severity is not Severity.OK]


def test_http_is_for_this_machine_alone() -> None:
    """Anywhere else it is a problem."""
    findings = [*judge(target(f"http://app.example.com{PATH}"), PUBLIC, {"sender": FAIR})]
    assert wrong(findings) == [problem("https", "not_https")]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("10.0.0.4", "fe80::1%eth0"), [warning("connection", "address_private")]),
        (("10.0.0.4", "8.8.8.8"), []),
    ],
    ids=["private", "one is public"],
)
def test_a_name_must_lead_to_a_public_address(addresses: tuple[str, ...], expected: list[tuple[str, str, str]]) -> None:
    """Microsoft calls from the internet."""
    assert wrong(judge(WHERE, Connected(addresses, NOW), {"sender": FAIR})) == expected


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        ("sender", replace(FAIR, status=500), [problem("sender", "server_error")]),
        ("sender", replace(FAIR, status=103), [problem("sender", "odd_answer")]),
        ("sender", replace(FAIR, status=502), [problem("sender", "server_error")]),
        ("token", replace(FAIR, status=500), [problem("token", "server_error")]),
        ("handshake", replace(FAIR, status=200, body=b"[" * 100_000), [problem("handshake", "handshake_ignored")]),
        ("handshake", replace(FAIR, status=200, body=b"\xff"), [problem("handshake", "handshake_ignored")]),
        ("consent", replace(FAIR, status=500), [problem("consent", "server_error")]),
        ("consent", replace(FAIR, status=403), []),
        ("spelling: a slash at the end", replace(FAIR, status=204), [problem("spelling", "spelling_accepted")]),
        ("spelling: a slash at the end", replace(FAIR, status=200, headers={"content-type": "text/html"}), []),
        ("spelling: a slash at the end", replace(FAIR, status=404), []),
        ("spelling: the method in lower case", replace(FAIR, status=501), []),
        ("spelling: a parameter", replace(FAIR, status=500), [problem("spelling", "server_error")]),
        ("signed", replace(FAIR, status=404), [problem("route", "no_route")]),
        ("signed", replace(FAIR, status=403), [problem("route", "forbidden")]),
        ("signed", replace(FAIR, status=500), [problem("signed", "server_error")]),
        ("get", Failure(Lost.CLOSED, "closed"), [problem("get", "connection_closed")]),
        ("too_large", Failure(Lost.TIMEOUT, "late"), [problem("too_large", "no_answer")]),
        ("sender", replace(FAIR, seconds=10.1), [warning("time", "too_slow")]),
        ("sender", replace(FAIR, headers={"date": formatdate(NOW - 61)}, seconds=2.0), []),
        ("sender", replace(FAIR, headers={"date": FAR_AWAY}), [warning("clock", "clock_unknown")]),
    ],
)  # fmt: skip
def test_an_answer_is_judged(name: str, answer: Any, expected: list[tuple[str, str, str]]) -> None:
    """One answer beside a fair one."""
    seen = {"sender": FAIR, name: answer}
    assert wrong(judge(WHERE, PUBLIC, seen)) == expected


def test_a_forgery_says_nothing_new_where_a_stranger_is_let_in() -> None:
    """One cause, one finding."""
    welcome = replace(FAIR, status=200)
    assert wrong(judge(WHERE, PUBLIC, {"sender": welcome, "token": welcome})) == [problem("sender", "anyone_can_post")]


def test_what_is_printed_of_an_address_has_nothing_private() -> None:
    """No query, no long part of the path, no telephone number, also where a redirect leads."""
    where = target("https://app.example.com:8443/cb/+15550100001/a-shared-secret-of-this-app?key=1#x")
    assert str(where) == "https://app.example.com:8443/cb/[phone]/[...]?[...]"
    assert str(target("http://[::1]")) == "http://[::1]/"
    to = replace(FAIR, status=307, headers={"location": "https://app.example.com/cb/+15550100001?token=abc"})
    moved = next(each for each in judge(where, PUBLIC, {"sender": to}) if each.fault)
    assert moved.what == "307 to https://app.example.com/cb/[phone]?[...]"
    assert replace(where, query="").asked(bare=False) == where.asked(bare=True) == where.path


def test_a_redirect_to_what_cannot_be_read_leads_nowhere() -> None:
    """No exception of the address's parser comes out."""
    to = replace(FAIR, status=307, headers={"location": "https://[broken"})
    moved = next(each for each in judge(WHERE, PUBLIC, {"sender": to}) if each.fault)
    assert (moved.fault, moved.what) == ("redirect", "307 to nowhere")


@pytest.mark.parametrize(
    "url",
    ["", "app.example.com", "ftp://app.example.com/", "https://", "https://[broken", "https://app.example.com:0/",
     "https://app.example.com:99999/", "https://app.example.com/a b", "https://app.example.com/\n", "https://\xfcber.example/"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(url: str) -> None:
    """With a remedy, and without repeating it."""
    with pytest.raises(ConfigurationError, match=r"^url: that is no web address in plain ASCII; write for example"):
        target(url)


def test_only_the_first_answer_can_end_the_examination() -> None:
    """What would be answered the same for everything."""
    assert blocks(WHERE, Failure(Lost.CLOSED, "closed"))
    assert blocks(WHERE, replace(FAIR, status=404))
    assert blocks(WHERE, replace(FAIR, status=403))
    assert not blocks(WHERE, replace(FAIR, status=500))


def test_the_signed_event_comes_last_and_only_with_a_key() -> None:
    """Strangers' probes carry no token of ours."""
    names = [each.name for each in further(signed=True)]
    assert names[-1] == "signed"
    assert names[:-1] == [each.name for each in further(signed=False)]
    assert strangers_event().bare


# The command


def test_the_page_says_what_why_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each finding, and the verdict; the status says it as well."""
    with serving(always(Told(403)), date=formatdate(time.time())) as port:
        assert main(["doctor", "--url", f"http://127.0.0.1:{port}{PATH}?key=1"]) == 1
    lines = re.sub(r"took \d+\.\d s", "took 0.0 s", capsys.readouterr().out).splitlines()
    assert lines == [
        f"http://127.0.0.1:{port}{PATH}?[...]",
        "  ok       https        http, which will do on this machine",
        "                        alone",
        "  ok       connection   the name resolves and the port answers",
        "  problem  route        403",
        "           why          Ringback never answers 403, so something",
        "                        else does; Event Grid does not try again",
        "                        after a 403.",
        "           do           Allow POST to the callback path in the",
        "                        firewall, gateway or access",
        "                        restrictions; check that the app is not",
        "                        stopped.",
        "  ok       time         the slowest answer (sender) took 0.0 s",
        "  ok       clock        its clock and this machine's are within",
        "                        60 s",
        "1 problem, 0 warnings",
        "The other checks were not made: fix this first.",
    ]


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "64")


def test_the_page_says_what_was_not_tested(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a key nothing signed is sent; nothing else is wrong, so the status is 0."""
    with serving(well, date=formatdate(time.time())) as port:
        assert main(["doctor", "--url", f"http://127.0.0.1:{port}{PATH}"]) == 0
        assert capsys.readouterr().out.splitlines()[-2:] == [
            "0 problems, 0 warnings",
            "Whether a signed event is accepted was not tested; --issuer-key does that.",
        ]
        # This server refuses it, and then it is tested.
        arguments = ["--issuer-key", str(key), "--audience", AUDIENCE]
        assert main(["doctor", "--url", f"http://127.0.0.1:{port}{PATH}", *arguments]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 problem, 0 warnings"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "the following arguments are required: --url; see ringback doctor --help"),
        ("--url app", "url: that is no web address in plain ASCII; write for example https://app.example.com/api/"
         "callbacks/1"),
        ("--url https://me:secret@app.example.com/", "url: it has a user or a password in it, which nobody would send; "
         "leave them out"),
        ("--url https://a.example/ --timeout 0", "timeout 0 leaves no time for an answer; give seconds, such as 30"),
        ("--url https://a.example/ --audience x", "--audience says nothing without a key to sign with; add "
         "--issuer-key FILE"),
        ("--url https://a.example/ --issuer-key nowhere.pem", "issuer key 'nowhere.pem' is no file; name the key of "
         "the issuer that the app trusts"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(arguments: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, nothing on standard output."""
    assert main(["doctor", *arguments.split()]) == 2
    assert capsys.readouterr() == ("", f"ringback doctor: {said}\n")


def test_a_key_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is sent."""
    file = written(ec.generate_private_key(ec.SECP256R1()), tmp_path)
    assert main(["doctor", "--url", "https://a.example/", "--issuer-key", str(file)]) == 2
    assert "holds a key that is not RSA" in capsys.readouterr().err


def test_signing_needs_its_extra(
    key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names it."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    assert main(["doctor", "--url", "https://a.example/", "--issuer-key", str(key)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ringback doctor: signing needs the extra testing (")
    assert error.endswith("); pip install 'ringback[testing]'\n")


def test_the_documentation_names_every_fault() -> None:
    """And no other, with the program's own words."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text("utf-8")
    rows = [line for line in page.partition("## Every fault")[2].splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {why} | {remedy} |" for name, (why, remedy) in FAULTS.items()]
