"""Forged and broken requests over real sockets, a key server that changes its keys, and one that is gone.

Every request of the table is answered 401 by Ringback, but for the few whose bytes the server itself
refuses: those say 400 and have no reason.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm, RSAPSSAlgorithm
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from live_server import Served
from records import lines_in
from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, logs
from ringback.receiving.target import SPELLINGS
from ringback.senders.tokens import CALL_AUTOMATION, CallbackTokenVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

PATH = "/api/callbacks/1"
RESOURCE = "1f0e5c1a-0000-4000-8000-000000000001"
MOVED = "1f0e5c1a-0000-4000-8000-000000000002"
LEG = "1f0e5c1a-0000-4000-8000-000000000003"

BODY = json.dumps(
    [
        {
            "id": "1f0e5c1a-0000-4000-8000-000000000004",
            "source": f"calling/callConnections/{LEG}",
            "type": "Microsoft.Communication.CallDisconnected",
            "data": {
                "callConnectionId": LEG,
                "correlationId": "1f0e5c1a-0000-4000-8000-000000000005",
                "resultInformation": {"code": 486, "subCode": 560486, "message": ""},
            },
            "time": "2026-01-02T03:04:05.0629553+00:00",
            "specversion": "1.0",
        }
    ]
).encode()

UNAUTHORIZED = b'{"type":"about:blank","title":"Unauthorized","status":401}'
UNAVAILABLE = b'{"type":"about:blank","title":"Service unavailable","status":503}'

# Made once: keys take most of the time of this file.
A, B, ATTACKER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3))
CURVE = ec.generate_private_key(ec.SECP256R1())
RS256 = RSAAlgorithm(RSAAlgorithm.SHA256)


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def claims(**changed: Any) -> bytes:
    """The claims of a valid callback token, but for these; ``...`` leaves one out."""
    now = int(time.time())
    given = {"iss": CALL_AUTOMATION, "aud": RESOURCE, "iat": now, "nbf": now, "exp": now + 300} | changed
    return json.dumps({name: value for name, value in given.items() if value is not ...}).encode()


def rs256(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda content: RS256.sign(content, key)


def signed(header: bytes | dict[str, Any], payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    """A token of any bytes, with this signature."""
    start = f"{encoded(header if isinstance(header, bytes) else json.dumps(header).encode())}.{encoded(payload)}"
    return f"{start}.{encoded(sign(start.encode()))}"


def token(
    headers: dict[str, Any] | None = None,
    payload: bytes | None = None,
    *,
    key: rsa.RSAPrivateKey = A,
    kid: str = "a",
    **changed: Any,
) -> str:
    """A valid token signed by the published key ``a``, but for what is given; ``...`` leaves a header out."""
    header = {"alg": "RS256", "typ": "JWT", "kid": kid} | (headers or {})
    kept = {name: value for name, value in header.items() if value is not ...}
    return signed(kept, claims(**changed) if payload is None else payload, rs256(key))


def soon(seconds: float = 0) -> int:
    return int(time.time() + seconds)


def jwk(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


class KeyServer:
    """A key server in a thread: what it publishes, what it was asked for, and how long it takes."""

    def __init__(self) -> None:
        self.published = [jwk(A, "a")]
        self.asked: list[str] = []
        self.delay = 0.0
        self.answering = threading.Event()
        self.answering.set()
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                own.asked.append(self.path)
                time.sleep(own.delay)
                if not own.answering.wait(5):
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": own.published}).encode())

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self._running = True

    def stop(self) -> None:
        if self._running:
            self._running = False
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class Site(Served):
    """An app behind the middleware in a thread, its key server, and what reached the route and the hooks."""

    def __init__(self, **settings: Any) -> None:
        self.routed: list[bytes] = []
        self.hooked: list[str] = []
        self.keys = KeyServer()
        router = OutcomeRouter(settle=0)
        # Each refusal has its line, however many there are.
        router.engine.log.refusals = logs.Budget(lines=10_000, seconds=0)

        @router.on_retryable
        @router.on_terminal
        @router.on_unrecognized
        @router.on(scope="operation")
        async def note(outcome: Outcome) -> None:
            self.hooked.append(str(outcome.call_connection_id))

        async def callbacks(request: Request) -> Response:
            self.routed.append(await request.body())
            return Response("routed")

        verifier = CallbackTokenVerifier(audience=[RESOURCE, MOVED], jwks_uri=self.keys.url, **settings)
        middleware = Middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks/{id}", auth=verifier)
        app = Starlette(routes=[Route("/api/callbacks/{id}", callbacks, methods=["POST"])], middleware=[middleware])
        # Named, because httptools refuses other bytes than h11; 64 kB, for a long token may come in pieces.
        super().__init__(app, http="h11", h11_max_incomplete_event_size=65_536)
        self.url = f"{self.origin}{PATH}"

    def close(self) -> None:
        super().close()
        self.keys.stop()

    def ask(self, *fields: str | bytes, target: str = PATH, method: str = "POST") -> Answer:
        """POST the delivery with these header fields, byte for byte."""
        lines = [
            f"{method} {target} HTTP/1.1",
            "Host: app",
            "Connection: close",
            f"Content-Length: {len(BODY)}",
            *fields,
        ]
        raw = b"\r\n".join(each if isinstance(each, bytes) else each.encode() for each in lines)
        received = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            # Who refuses may close before all is read: a reset comes then where the end would (RFC 9112, 9.6).
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                client.sendall(raw + b"\r\n\r\n" + BODY)
            with contextlib.suppress(ConnectionResetError):
                while chunk := client.recv(65536):
                    received += chunk
        return Answer(received)


class Answer:
    def __init__(self, received: bytes) -> None:
        start, _, self.body = received.partition(b"\r\n\r\n")
        first, *fields = start.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}

    def problem(self) -> tuple[Any, ...]:
        names = ("content-type", "www-authenticate", "retry-after")
        return (self.status, self.body, *(self.headers.get(name) for name in names))


DENIED = (401, UNAUTHORIZED, "application/problem+json", "Bearer", None)
NOT_NOW = (503, UNAVAILABLE, "application/problem+json", None, "5")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    # One cool-down for the whole table, however long it takes.
    with Site(cooldown=3600) as running:
        yield running


@pytest.fixture
def fresh() -> Iterator[Site]:
    """A site of its own, for what changes the keys."""
    with Site() as running:
        yield running


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> None:
    """All lines of all loggers."""
    caplog.set_level(logging.DEBUG)
    # The server's own log of addresses is not ours to clean.
    caplog.set_level(logging.WARNING, "uvicorn.access")


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """All but the one of the start: these sites have no store."""
    ours = lines_in(caplog.records)
    return [line for line in ours if line["event"] != "hooks.volatile"]


def until(condition: Callable[[], Any]) -> bool:
    """Give the server's thread a moment."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def bearer(text: str) -> str:
    return f"Authorization: Bearer {text}"


def mac(hash_name: str, secret: bytes) -> Callable[[bytes], bytes]:
    return lambda content: hmac.digest(secret, content, hash_name)


PEM = A.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PKCS1 = A.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
DER = A.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
MODULUS = RSAAlgorithm.to_jwk(A.public_key(), as_dict=True)["n"].encode()


def confused(algorithm: str, secret: bytes) -> str:
    """An HMAC with what everybody knows of the key as its secret."""
    hash_name = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[algorithm]
    return signed({"alg": algorithm, "typ": "JWT", "kid": "a"}, claims(), mac(hash_name, secret))


def unsigned(algorithm: Any) -> str:
    return signed({"alg": algorithm, "typ": "JWT", "kid": "a"}, claims(), lambda content: b"")


def other(algorithm: str, sign: Callable[[bytes], bytes]) -> str:
    return signed({"alg": algorithm, "typ": "JWT", "kid": "a"}, claims(), sign)


def pointed(**header: Any) -> str:
    """Signed by the attacker, whose key the token itself offers under the id of ours."""
    return token(header, key=ATTACKER)


def cut(part: int, characters: int) -> str:
    parts = token().split(".")
    parts[part] = parts[part][:-characters]
    return ".".join(parts)


def changed(part: int, text: str) -> str:
    parts = token().split(".")
    parts[part] = text
    return ".".join(parts)


def flipped(bit: int) -> str:
    start, _, signature = token().rpartition(".")
    content = bytearray(base64.urlsafe_b64decode(signature + "=="))
    content[bit // 8] ^= 1 << bit % 8
    return f"{start}.{encoded(bytes(content))}"


def respelled() -> str:
    """The same signature in other characters: the last one of 256 bytes has four bits to spare."""
    valid = token()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return valid[:-1] + letters[letters.index(valid[-1]) + 1]


def twice(claim: bytes) -> str:
    """A claim given two times; the last is the one that is read."""
    return token(payload=claims()[:-1] + b"," + claim + b"}")


CERTIFICATE = base64.b64encode(DER).decode()
THUMBPRINT = encoded(hashlib.sha256(DER).digest())

# name: the reason in the log, and the header fields of the request
FORGED: dict[str, tuple[str, Callable[[], list[str | bytes]]]] = {
    # no or another algorithm
    "alg none": ("algorithm_refused", lambda: [bearer(unsigned("none") + "AAAA")]),
    "alg None": ("algorithm_refused", lambda: [bearer(unsigned("None") + "AAAA")]),
    "alg NONE": ("algorithm_refused", lambda: [bearer(unsigned("NONE") + "AAAA")]),
    "alg nOnE": ("algorithm_refused", lambda: [bearer(unsigned("nOnE") + "AAAA")]),
    "alg none without a signature": ("token_malformed", lambda: [bearer(unsigned("none"))]),
    "alg none with our signature": ("algorithm_refused", lambda: [bearer(token({"alg": "none"}))]),
    "alg empty": ("algorithm_refused", lambda: [bearer(token({"alg": ""}))]),
    "alg missing": ("algorithm_refused", lambda: [bearer(token({"alg": ...}))]),
    "alg null": ("algorithm_refused", lambda: [bearer(token({"alg": None}))]),
    "alg in a list": ("algorithm_refused", lambda: [bearer(token({"alg": ["RS256"]}))]),
    "alg in lower case": ("algorithm_refused", lambda: [bearer(token({"alg": "rs256"}))]),
    "alg with a space": ("algorithm_refused", lambda: [bearer(token({"alg": "RS256 "}))]),
    "alg twice, the last none": (
        "algorithm_refused",
        lambda: [bearer(signed(b'{"alg":"RS256","kid":"a","alg":"none"}', claims(), rs256(A)))],
    ),
    "HS256 with the public key as PEM": ("algorithm_refused", lambda: [bearer(confused("HS256", PEM))]),
    "HS256 with the PEM stripped": ("algorithm_refused", lambda: [bearer(confused("HS256", PEM.strip()))]),
    "HS256 with the public key as PKCS 1": ("algorithm_refused", lambda: [bearer(confused("HS256", PKCS1))]),
    "HS256 with the public key as DER": ("algorithm_refused", lambda: [bearer(confused("HS256", DER))]),
    "HS256 with the modulus": ("algorithm_refused", lambda: [bearer(confused("HS256", MODULUS))]),
    "HS256 with an empty secret": ("algorithm_refused", lambda: [bearer(confused("HS256", b""))]),
    "HS384 with the public key as PEM": ("algorithm_refused", lambda: [bearer(confused("HS384", PEM))]),
    "HS512 with the public key as PEM": ("algorithm_refused", lambda: [bearer(confused("HS512", PEM))]),
    "HS512 with the public key as DER": ("algorithm_refused", lambda: [bearer(confused("HS512", DER))]),
    "an HMAC that calls itself RS256": ("signature_wrong", lambda: [bearer(other("RS256", mac("sha256", PEM)))]),
    "RS384 by our key": (
        "algorithm_refused",
        lambda: [bearer(other("RS384", lambda content: RSAAlgorithm(RSAAlgorithm.SHA384).sign(content, A)))],
    ),
    "RS512 by our key": (
        "algorithm_refused",
        lambda: [bearer(other("RS512", lambda content: RSAAlgorithm(RSAAlgorithm.SHA512).sign(content, A)))],
    ),
    "RS512 by our key that calls itself RS256": (
        "signature_wrong",
        lambda: [bearer(other("RS256", lambda content: RSAAlgorithm(RSAAlgorithm.SHA512).sign(content, A)))],
    ),
    "PS256 by our key": (
        "algorithm_refused",
        lambda: [bearer(other("PS256", lambda content: RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256).sign(content, A)))],
    ),
    "PS256 by our key that calls itself RS256": (
        "signature_wrong",
        lambda: [bearer(other("RS256", lambda content: RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256).sign(content, A)))],
    ),
    "ES256": (
        "algorithm_refused",
        lambda: [bearer(other("ES256", lambda content: ECAlgorithm(ECAlgorithm.SHA256).sign(content, CURVE)))],
    ),
    "EdDSA": ("algorithm_refused", lambda: [bearer(other("EdDSA", lambda content: b"x" * 64))]),
    # another key
    "signed by the attacker": ("signature_wrong", lambda: [bearer(token(key=ATTACKER))]),
    "kid wrong": ("key_unknown", lambda: [bearer(token({"kid": "b"}))]),
    "kid in capitals": ("key_unknown", lambda: [bearer(token({"kid": "A"}))]),
    "kid with a space": ("key_unknown", lambda: [bearer(token({"kid": "a "}))]),
    "kid with a NUL": ("key_unknown", lambda: [bearer(token({"kid": "a\0"}))]),
    "kid missing": ("key_id_missing", lambda: [bearer(token({"kid": ...}))]),
    "kid empty": ("key_id_missing", lambda: [bearer(token({"kid": ""}))]),
    "kid of ten thousand characters": ("key_id_missing", lambda: [bearer(token({"kid": "a" * 10_000}))]),
    "kid null": ("token_malformed", lambda: [bearer(token({"kid": None}))]),
    "kid a number": ("token_malformed", lambda: [bearer(token({"kid": 1}))]),
    "kid a list": ("token_malformed", lambda: [bearer(token({"kid": ["a"]}))]),
    "kid an object": ("token_malformed", lambda: [bearer(token({"kid": {"a": "a"}}))]),
    "kid with path traversal": ("key_unknown", lambda: [bearer(token({"kid": "../../../../dev/null"}, key=ATTACKER))]),
    "kid an address": ("key_unknown", lambda: [bearer(token({"kid": "http://example.org/keys"}, key=ATTACKER))]),
    "kid with SQL": ("key_unknown", lambda: [bearer(token({"kid": "x' UNION SELECT 'a"}, key=ATTACKER))]),
    "kid with half a surrogate pair": ("key_unknown", lambda: [bearer(token({"kid": "\ud800"}))]),
    "jwk of the attacker": ("signature_wrong", lambda: [bearer(pointed(jwk=jwk(ATTACKER, "a")))]),
    "jwk of the attacker and no kid": (
        "key_id_missing",
        lambda: [bearer(pointed(jwk=jwk(ATTACKER, "a"), kid=...))],
    ),
    "jwk of the attacker under its own kid": (
        "key_unknown",
        lambda: [bearer(pointed(jwk=jwk(ATTACKER, "mine"), kid="mine"))],
    ),
    "jku of the attacker": ("signature_wrong", lambda: [bearer(pointed(jku="http://127.0.0.1:9/keys"))]),
    "jku of the attacker under its own kid": (
        "key_unknown",
        lambda: [bearer(pointed(jku="http://127.0.0.1:9/keys", kid="mine"))],
    ),
    "x5u of the attacker": ("signature_wrong", lambda: [bearer(pointed(x5u="http://127.0.0.1:9/certificate"))]),
    "x5c of the attacker": ("signature_wrong", lambda: [bearer(pointed(x5c=[CERTIFICATE]))]),
    "x5t of our key": ("signature_wrong", lambda: [bearer(pointed(**{"x5t#S256": THUMBPRINT}))]),
    # extensions
    "crit unknown": ("token_malformed", lambda: [bearer(token({"crit": ["x"], "x": True}))]),
    "crit empty": ("token_malformed", lambda: [bearer(token({"crit": []}))]),
    "crit with exp": ("token_malformed", lambda: [bearer(token({"crit": ["exp"], "exp": soon(300)}))]),
    "crit with b64": ("extension_refused", lambda: [bearer(token({"crit": ["b64"], "b64": True}))]),
    "b64 false": ("token_malformed", lambda: [bearer(token({"b64": False}))]),
    "b64 true": ("extension_refused", lambda: [bearer(token({"b64": True}))]),
    "b64 false with crit and no payload": (
        "token_malformed",
        lambda: [bearer(token({"b64": False, "crit": ["b64"]}, payload=b""))],
    ),
    # times
    "expired": ("token_expired", lambda: [bearer(token(exp=soon(-3600)))]),
    "expired beyond the leeway": ("token_expired", lambda: [bearer(token(exp=soon(-125)))]),
    "not yet valid": ("token_not_yet_valid", lambda: [bearer(token(nbf=soon(600)))]),
    "issued in the future": ("token_not_yet_valid", lambda: [bearer(token(iat=soon(600)))]),
    "exp missing": ("claim_missing", lambda: [bearer(token(exp=...))]),
    "exp null": ("claim_missing", lambda: [bearer(token(exp=None))]),
    "exp a word": ("token_invalid", lambda: [bearer(token(exp="tomorrow"))]),
    "exp digits in a text": ("time_invalid", lambda: [bearer(token(exp=str(soon(300))))]),
    "exp negative": ("token_expired", lambda: [bearer(token(exp=-1))]),
    "exp nought": ("token_expired", lambda: [bearer(token(exp=0))]),
    "exp huge": ("time_invalid", lambda: [bearer(token(exp=10**30))]),
    "exp of five thousand digits": (
        "token_invalid",
        lambda: [bearer(token(payload=claims(exp=...)[:-1] + b',"exp":' + b"9" * 5000 + b"}"))],
    ),
    "exp infinite": ("token_invalid", lambda: [bearer(token(exp=float("inf")))]),
    "exp 1e400": ("token_invalid", lambda: [bearer(token(payload=claims(exp=...)[:-1] + b',"exp":1e400}'))]),
    "exp not a number": ("token_invalid", lambda: [bearer(token(exp=float("nan")))]),
    "exp a list": ("token_invalid", lambda: [bearer(token(exp=[soon(300)]))]),
    "exp true": ("token_expired", lambda: [bearer(token(exp=True))]),
    "nbf a word": ("token_invalid", lambda: [bearer(token(nbf="now"))]),
    "iat an object": ("token_invalid", lambda: [bearer(token(iat={}))]),
    # for somebody else, from somebody else
    "aud wrong": ("audience_wrong", lambda: [bearer(token(aud="1f0e5c1a-0000-4000-8000-00000000000f"))]),
    "aud a list without ours": ("audience_wrong", lambda: [bearer(token(aud=["x", "y"]))]),
    "aud a list with ours inside a list": ("audience_wrong", lambda: [bearer(token(aud=[[RESOURCE]]))]),
    "aud a list with ours and a number": ("audience_wrong", lambda: [bearer(token(aud=[RESOURCE, 1]))]),
    "aud missing": ("claim_missing", lambda: [bearer(token(aud=...))]),
    "aud empty": ("claim_missing", lambda: [bearer(token(aud=""))]),
    "aud an empty list": ("claim_missing", lambda: [bearer(token(aud=[]))]),
    "aud an object": ("audience_wrong", lambda: [bearer(token(aud={RESOURCE: RESOURCE}))]),
    "aud in capitals": ("audience_wrong", lambda: [bearer(token(aud=RESOURCE.upper()))]),
    "aud ours and more": ("audience_wrong", lambda: [bearer(token(aud=f"{RESOURCE} x"))]),
    "aud a part of ours": ("audience_wrong", lambda: [bearer(token(aud=RESOURCE[:8]))]),
    "iss wrong": ("issuer_wrong", lambda: [bearer(token(iss="https://example.org"))]),
    "iss missing": ("claim_missing", lambda: [bearer(token(iss=...))]),
    "iss empty": ("issuer_wrong", lambda: [bearer(token(iss=""))]),
    "iss with a trailing slash": ("issuer_wrong", lambda: [bearer(token(iss=f"{CALL_AUTOMATION}/"))]),
    "iss in capitals": ("issuer_wrong", lambda: [bearer(token(iss=CALL_AUTOMATION.upper()))]),
    "iss over http": ("issuer_wrong", lambda: [bearer(token(iss=CALL_AUTOMATION.replace("https", "http")))]),
    "iss of another host": ("issuer_wrong", lambda: [bearer(token(iss=f"{CALL_AUTOMATION}.example.org"))]),
    "iss in a list": ("issuer_wrong", lambda: [bearer(token(iss=[CALL_AUTOMATION]))]),
    "iss twice, the last wrong": ("issuer_wrong", lambda: [bearer(twice(b'"iss":"https://example.org"'))]),
    "aud twice, the last wrong": ("audience_wrong", lambda: [bearer(twice(b'"aud":"x"'))]),
    "exp twice, the last past": ("token_expired", lambda: [bearer(twice(b'"exp":1'))]),
    # signatures
    "first bit of the signature": ("signature_wrong", lambda: [bearer(flipped(0))]),
    "last bit of the signature": ("signature_wrong", lambda: [bearer(flipped(2047))]),
    "signature of another token": ("signature_wrong", lambda: [bearer(changed(2, token(sub="x").split(".")[2]))]),
    "payload of another token": ("signature_wrong", lambda: [bearer(changed(1, encoded(claims(sub="x"))))]),
    "header of another token": ("signature_wrong", lambda: [bearer(changed(0, token({"x": 1}).split(".")[0]))]),
    "signature empty": ("token_malformed", lambda: [bearer(changed(2, ""))]),
    "signature of noughts": ("signature_wrong", lambda: [bearer(changed(2, encoded(bytes(256))))]),
    "signature of ones": ("signature_wrong", lambda: [bearer(changed(2, encoded(b"\xff" * 256)))]),
    "signature twice": ("signature_wrong", lambda: [bearer(changed(2, encoded(RS256.sign(b"x", A) * 2)))]),
    "signature in other characters": ("token_malformed", lambda: [bearer(respelled())]),
    # shape
    "header cut": ("token_malformed", lambda: [bearer(cut(0, 3))]),
    "payload cut": ("signature_wrong", lambda: [bearer(cut(1, 4 + len(encoded(claims())) % 4))]),
    "signature cut": ("signature_wrong", lambda: [bearer(changed(2, encoded(RS256.sign(b"x", A)[:-3])))]),
    "header alone": ("token_malformed", lambda: [bearer(token().split(".")[0])]),
    "no signature": ("token_malformed", lambda: [bearer(token().rpartition(".")[0])]),
    "a fourth part": ("token_malformed", lambda: [bearer(f"{token()}.x")]),
    "two tokens in one": ("token_malformed", lambda: [bearer(f"{token()}.{token()}")]),
    "trailing dot": ("token_malformed", lambda: [bearer(f"{token()}.")]),
    "leading dot": ("token_malformed", lambda: [bearer(f".{token()}")]),
    "dots alone": ("token_malformed", lambda: [bearer("..")]),
    "many dots": ("token_malformed", lambda: [bearer("." * 10_000)]),
    "padding": ("token_malformed", lambda: [bearer(f"{token()}==")]),
    "padding of the payload": ("token_malformed", lambda: [bearer(token().replace(".", "=.", 2))]),
    "standard base64": ("token_malformed", lambda: [bearer(changed(2, "+/" * 171))]),
    "a space inside": ("token_malformed", lambda: [bearer(token().replace(".", ". "))]),
    "a tab before": ("token_malformed", lambda: [bearer(f"\t{token()}")]),
    "words after": ("token_malformed", lambda: [bearer(f"{token()} please")]),
    "a tab inside": ("token_malformed", lambda: [bearer(token().replace(".", "\t."))]),
    "escaped line feed": ("token_malformed", lambda: [bearer(rf"{token()}\n")]),
    "line feed as a percent code": ("token_malformed", lambda: [bearer(f"{token()}%0A")]),
    "quoted": ("token_malformed", lambda: [bearer(f'"{token()}"')]),
    "Latin letters": ("token_malformed", lambda: [bearer(token()).encode() + b"\xe9"]),
    "letters of other scripts": ("token_malformed", lambda: [bearer(f"{token()}\u0430\U0001f600")]),
    "digits of other scripts": ("token_malformed", lambda: [bearer(changed(2, "\u0661\u0662\u0663"))]),
    "a JWT in a JWT": ("token_invalid", lambda: [bearer(token({"cty": "JWT"}, payload=token().encode()))]),
    "JWE": ("token_malformed", lambda: [bearer(".".join([encoded(b'{"alg":"RSA-OAEP","enc":"A256GCM"}'), *"abcd"]))]),
    "JSON serialization": (
        "token_malformed",
        lambda: [bearer(json.dumps(dict(zip(("protected", "payload", "signature"), token().split("."), strict=True))))],
    ),
    "header no JSON": ("token_malformed", lambda: [bearer(signed(b"RS256", claims(), rs256(A)))]),
    "header a list": ("token_malformed", lambda: [bearer(signed(b'["RS256"]', claims(), rs256(A)))]),
    "header deeply nested": ("token_malformed", lambda: [bearer(signed(b"[" * 4000, claims(), rs256(A)))]),
    "header no UTF-8": (
        "token_malformed",
        lambda: [bearer(signed('{"alg":"none","kid":"é"}'.encode("latin-1"), claims(), rs256(A)))],
    ),
    "payload no JSON": ("token_invalid", lambda: [bearer(token(payload=b"not json"))]),
    "payload empty JSON": ("claim_missing", lambda: [bearer(token(payload=b"{}"))]),
    "payload a list": ("token_invalid", lambda: [bearer(token(payload=b"[" + claims() + b"]"))]),
    "payload null": ("token_invalid", lambda: [bearer(token(payload=b"null"))]),
    "payload deeply nested": ("token_invalid", lambda: [bearer(token(payload=b"[" * 8000))]),
    "payload no UTF-8": ("token_invalid", lambda: [bearer(token(payload=b'{"iss":"\xff"}'))]),
    "token of 17 kB": ("token_too_long", lambda: [bearer(token(more="x" * 17_000))]),
    "token of 60 kB": ("token_too_long", lambda: [bearer(token() + "x" * 60_000)]),
    # the header field
    "no Authorization": ("token_missing", list),
    "Authorization twice, the forged first": ("token_repeated", lambda: [bearer(unsigned("none")), bearer(token())]),
    "Authorization twice, the forged last": ("token_repeated", lambda: [bearer(token()), bearer(unsigned("none"))]),
    "Authorization twice, both valid": ("token_repeated", lambda: [bearer(token()), bearer(token())]),
    "Authorization twice, one empty": ("token_repeated", lambda: ["Authorization:", bearer(token())]),
    "Authorization twice in two cases": (
        "token_repeated",
        lambda: [bearer(token()), f"AUTHORIZATION: Basic {encoded(b'u:p')}"],
    ),
    "two tokens with a comma": ("token_malformed", lambda: [bearer(f"{token()}, Bearer {token()}")]),
    "two tokens without a space": ("token_malformed", lambda: [bearer(f"{token()},{token()}")]),
    "Basic": ("scheme_unknown", lambda: ["Authorization: Basic dXNlcjpwYXNzd29yZA=="]),
    "Basic with the token": ("scheme_unknown", lambda: [f"Authorization: Basic {token()}"]),
    "DPoP": ("scheme_unknown", lambda: [f"Authorization: DPoP {token()}"]),
    "no scheme": ("scheme_unknown", lambda: [f"Authorization: {token()}"]),
    "scheme without a space": ("scheme_unknown", lambda: [f"Authorization: Bearer{token()}"]),
    "scheme with a colon": ("scheme_unknown", lambda: [f"Authorization: Bearer: {token()}"]),
    "scheme with a tab": ("scheme_unknown", lambda: [f"Authorization: Bearer\t{token()}"]),
    "scheme with a letter that looks alike": ("scheme_unknown", lambda: [f"Authorization: \u0412earer {token()}"]),
    "scheme twice": ("token_malformed", lambda: [bearer(f"Bearer {token()}")]),
    "scheme alone": ("token_malformed", lambda: ["Authorization: Bearer"]),
    "scheme and a space": ("token_malformed", lambda: ["Authorization: Bearer "]),
    "Authorization empty": ("scheme_unknown", lambda: ["Authorization:"]),
    "Bearer null": ("token_malformed", lambda: [bearer("null")]),
    "X-Authorization": ("token_missing", lambda: [f"X-Authorization: Bearer {token()}"]),
    "Proxy-Authorization": ("token_missing", lambda: [f"Proxy-Authorization: Bearer {token()}"]),
    "Authentication": ("token_missing", lambda: [f"Authentication: Bearer {token()}"]),
    "underscore for a dash": ("token_missing", lambda: [f"X_Authorization: Bearer {token()}"]),
    "token in a cookie": ("token_missing", lambda: [f"Cookie: Authorization={token()}; access_token={token()}"]),
    "a handshake is announced": ("token_missing", lambda: ["aeg-event-type: SubscriptionValidation"]),
    "another method is announced": ("token_missing", lambda: ["X-HTTP-Method-Override: GET"]),
    "another address is announced": ("token_missing", lambda: ["X-Original-URL: /", "X-Forwarded-For: 127.0.0.1"]),
}


def test_there_are_enough_forged_requests() -> None:
    """The issue asks for sixty."""
    assert len(FORGED) >= 60


@pytest.mark.parametrize(("reason", "fields"), FORGED.values(), ids=FORGED.keys())
def test_a_forged_request_is_denied(
    site: Site, caplog: pytest.LogCaptureFixture, reason: str, fields: Callable[[], list[str | bytes]]
) -> None:
    """401 without a detail, one line with the reason alone, and neither the route nor a hook hears of it."""
    sent = fields()
    assert site.ask(*sent).problem() == DENIED
    kept_out(site, caplog, [{"event": "callback.rejected", "status": 401, "reason": reason, "suppressed": 0}], sent)


def kept_out(
    site: Site, caplog: pytest.LogCaptureFixture, expected: list[dict[str, Any]], sent: list[str | bytes]
) -> None:
    """Nothing was routed or hooked, these lines were written, and no line of any logger shows what was sent."""
    assert (site.routed, site.hooked) == ([], [])
    fetched = {"event": "keys.fetched", "url": site.keys.url, "count": 1}
    assert [line for line in lines(caplog) if line != fetched] == expected
    written = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    texts = [each if isinstance(each, str) else each.decode("latin-1") for each in sent]
    pieces = {piece for text in texts for piece in text.replace(",", ".").split(".") if len(piece) > 30}
    assert [piece for piece in pieces if piece[-30:] in written] == []


@pytest.mark.parametrize("target", ["?access_token={}", "?token={}", "?Authorization=Bearer%20{}", ";{}", "?{}#x"])
def test_a_token_in_the_address_counts_for_nothing(site: Site, caplog: pytest.LogCaptureFixture, target: str) -> None:
    """Not even a valid one: RFC 6750 warns of it, and Microsoft does not send it."""
    valid = token()
    assert site.ask(target=PATH + target.format(valid)).problem() == DENIED
    line = {"event": "callback.rejected", "status": 401, "reason": "token_missing", "suppressed": 0}
    kept_out(site, caplog, [line], [valid])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_of_the_address_is_no_way_around(
    site: Site, caplog: pytest.LogCaptureFixture, spelling: str
) -> None:
    """The gate compares what a framework may read, not what was sent; adapters/test_gate.py draws spellings."""
    method, target = SPELLINGS[spelling](PATH)
    assert site.ask(bearer(token(key=ATTACKER)), target=target, method=method).problem() == DENIED
    line = {"event": "callback.rejected", "status": 401, "reason": "signature_wrong", "suppressed": 0}
    kept_out(site, caplog, [line], [])


# What h11 refuses before any app sees it.
REFUSED_BY_THE_SERVER: dict[str, Callable[[], list[str | bytes]]] = {
    "NUL inside": lambda: [bearer(f"{token()}\0")],
    "carriage return inside": lambda: [bearer(f"{token()}\rx")],
    "line feed inside": lambda: [bearer(f"{token()}\nx")],
    "space before the colon": lambda: [f"Authorization : Bearer {token()}"],
    "letters of other scripts in the name": lambda: [f"Authorizati\u043en: Bearer {token()}"],
}


@pytest.mark.parametrize("fields", REFUSED_BY_THE_SERVER.values(), ids=REFUSED_BY_THE_SERVER.keys())
def test_what_is_no_http_is_refused_by_the_server(
    site: Site, caplog: pytest.LogCaptureFixture, fields: Callable[[], list[str | bytes]]
) -> None:
    """400, before Ringback: no line of ours, and nothing of the token in the server's."""
    sent = fields()
    answer = site.ask(*sent)
    assert (answer.status, answer.body) == (400, b"Invalid HTTP request received.")
    kept_out(site, caplog, [], sent)


def test_a_token_of_64_kb_is_refused_by_whoever_is_first(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The server refuses with 400 a head above 64 kB that comes in pieces, Ringback one that comes whole."""
    sent = [bearer(token() + "x" * 65_536)]
    answer = site.ask(*sent)
    ours = answer.problem() == DENIED
    assert ours or (answer.status, answer.body) == (400, b"Invalid HTTP request received.")
    line = {"event": "callback.rejected", "status": 401, "reason": "token_too_long", "suppressed": 0}
    kept_out(site, caplog, [line] if ours else [], list(sent))


def test_no_attack_made_the_key_server_work(site: Site) -> None:
    """Whatever key ids, addresses and keys were sent: one first fetch, one for unknown ids, from our address alone."""
    for number in range(5):
        assert site.ask(bearer(token({"kid": f"made up {number}", "jku": site.keys.url + "/mine"}))).status == 401
    assert site.keys.asked == ["/keys"] * 2


ACCEPTED: dict[str, Callable[[], str]] = {
    "Bearer": lambda: f"Authorization: Bearer {token()}",
    "bearer": lambda: f"Authorization: bearer {token()}",
    "BEARER": lambda: f"Authorization: BEARER {token()}",
    "bEaReR": lambda: f"authorization: bEaReR {token()}",
    "white space around": lambda: f"AUTHORIZATION: \t Bearer {token()} \t ",
    "the other audience": lambda: bearer(token(aud=MOVED)),
    "audience in a list": lambda: bearer(token(aud=["x", RESOURCE])),
    "no nbf and no iat": lambda: bearer(token(nbf=..., iat=...)),
    "just expired": lambda: bearer(token(exp=soon(-60))),
    "just too early": lambda: bearer(token(nbf=soon(60), iat=soon(60))),
    "header fields nobody reads": lambda: bearer(token({"x5t": "x", "jku": "http://127.0.0.1:9/", "typ": "at+jwt"})),
}


@pytest.mark.parametrize("field", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_valid_request_is_let_through(fresh_routes: Site, field: Callable[[], str]) -> None:
    """To the route, with its body, and from there to the hooks."""
    answer = fresh_routes.ask(field())
    assert (answer.status, answer.body) == (200, b"routed")
    assert fresh_routes.routed == [BODY]


@pytest.fixture(scope="module")
def welcoming() -> Iterator[Site]:
    """A site for what is let through, so that the other's hooks stay untouched."""
    with Site() as running:
        yield running


@pytest.fixture
def fresh_routes(welcoming: Site) -> Site:
    welcoming.routed.clear()
    return welcoming


def test_what_was_let_through_reaches_a_hook_once(fresh: Site) -> None:
    """The forged copy of a delivery neither counts nor takes the place of the true one."""
    assert [fresh.ask(bearer(each)).status for each in (unsigned("none"), token(), flipped(9))] == [401, 200, 401]
    assert until(lambda: fresh.hooked)
    assert (fresh.hooked, fresh.routed) == ([LEG], [BODY])


def test_a_new_key_is_accepted_after_a_rotation(fresh: Site) -> None:
    """With the old one beside it, or without; at the price of one fetch."""
    assert fresh.ask(bearer(token())).status == 200
    fresh.keys.published = [jwk(A, "a"), jwk(B, "b")]
    assert fresh.ask(bearer(token(key=B, kid="b"))).status == 200
    assert fresh.ask(bearer(token())).status == 200
    assert fresh.ask(bearer(token(key=B, kid="a"))).problem() == DENIED
    assert fresh.keys.asked == ["/keys"] * 2


async def posted(client: aiohttp.ClientSession, site: Site, text: str) -> int:
    async with client.post(site.url, data=BODY, headers={"authorization": f"Bearer {text}"}) as answer:
        return answer.status


def many() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=200)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(10))


@pytest.mark.parametrize("stays", [True, False], ids=["the old key stays published", "the old key is withdrawn"])
async def test_a_rotation_under_load_refuses_nothing_valid(fresh: Site, stays: bool) -> None:
    """Two hundred at once, signed by the key of their moment: all accepted, and one fetch more than before."""
    current = {"key": A, "kid": "a"}

    async def call(number: int) -> int:
        if number == 100:
            fresh.keys.published = [jwk(A, "a"), jwk(B, "b")] if stays else [jwk(B, "b")]
            current.update(key=B, kid="b")
        # Old and new ones in turn: what the old key signed is still on its way.
        signer = current if number % 4 or number < 100 else {"key": A, "kid": "a"}
        return await posted(client, fresh, token(**signer))

    async with many() as client:
        assert await posted(client, fresh, token()) == 200
        fresh.keys.delay = 0.1
        assert await asyncio.gather(*map(call, range(200))) == [200] * 200
        assert fresh.keys.asked == ["/keys"] * 2
        made_up = [posted(client, fresh, token(kid=f"made up {number}")) for number in range(50)]
        assert await asyncio.gather(*made_up) == [401] * 50
        assert await posted(client, fresh, token(key=B, kid="b")) == 200
    assert fresh.keys.asked == ["/keys"] * 2
    assert len(fresh.routed) == 202


async def test_two_hundred_first_requests_share_one_fetch(fresh: Site) -> None:
    """An app that starts under load waits once for its keys."""
    fresh.keys.delay = 0.1
    async with many() as client:
        answers = await asyncio.gather(*(posted(client, fresh, token()) for _ in range(200)))
    assert answers == [200] * 200
    assert fresh.keys.asked == ["/keys"]


async def test_cached_keys_serve_while_the_key_server_is_gone(fresh: Site) -> None:
    """Valid requests go through, forged ones do not, and of an unknown key nobody can tell: 503, to come again."""
    assert fresh.ask(bearer(token())).status == 200
    fresh.keys.stop()
    assert fresh.ask(bearer(token(key=B, kid="b"))).problem() == NOT_NOW
    async with many() as client:
        known = [posted(client, fresh, token()) for _ in range(50)]
        forged = [posted(client, fresh, token(key=ATTACKER)) for _ in range(50)]
        unknown = [posted(client, fresh, token(key=B, kid="b")) for _ in range(50)]
        answers = await asyncio.gather(*known, *forged, *unknown)
    assert answers == [200] * 50 + [401] * 50 + [503] * 50
    assert len(fresh.routed) == 51


def test_without_any_key_valid_requests_are_to_come_again(fresh: Site, caplog: pytest.LogCaptureFixture) -> None:
    """503 and when; what needs no key to be refused is refused."""
    fresh.keys.stop()
    assert fresh.ask(bearer(token())).problem() == NOT_NOW
    assert fresh.ask(bearer(unsigned("none") + "AAAA")).problem() == DENIED
    assert fresh.routed == []
    told = lines(caplog)
    assert [line["event"] for line in told] == ["keys.unreachable", *["callback.rejected"] * 2]
    assert told[0] == {"event": "keys.unreachable", "url": fresh.keys.url, "error": told[0]["error"], "cached": 0}
    assert told[0]["error"].startswith("ConnectError: ")
    assert told[1] == {"event": "callback.rejected", "status": 503, "reason": "keys_unavailable", "suppressed": 0}


def test_a_key_server_that_hangs_holds_nobody_up() -> None:
    """Those with a known key do not wait, the others for the time-out at most."""
    with Site(timeout=2.0) as site:
        assert site.ask(bearer(token())).status == 200
        site.keys.answering.clear()
        assert site.ask(bearer(token(key=B, kid="b"))).problem() == NOT_NOW
        assert site.ask(bearer(token())).status == 200
        site.keys.answering.set()
