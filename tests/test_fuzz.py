"""Fuzzing: whatever strangers send, nothing raises but what is documented, nothing is answered with 5xx.

A short slice runs with the other tests; `make fuzz` runs RINGBACK_FUZZ_EXAMPLES inputs of each kind.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import math
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ringback import (
    CallbackTokenVerifier,
    CallOutcomeMiddleware,
    DeliveryError,
    EventGridTokenVerifier,
    OutcomeRouter,
    Refusal,
    SharedSecret,
    classify_event,
    parse_delivery,
)
from ringback.core.events import Delivery
from ringback.receiving.gate import Gate
from ringback.receiving.intake import VALIDATION_EVENT, delivery_of
from ringback.senders.bearer import LONGEST
from ringback.senders.keys import KeySet
from ringback.senders.tokens import CALL_AUTOMATION
from ringback.settings import MAX_HEADERS, Door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Scope = dict[str, Any]

EXAMPLES = int(os.environ.get("RINGBACK_FUZZ_EXAMPLES", "200"))
SLICE = 2000
"""Inputs of one run of hypothesis, which remembers all of them: memory is to tell of Ringback's own."""

LARGEST = 1024**3
LONG_RUN = "RINGBACK_FUZZ_EXAMPLES" in os.environ

fuzz = settings(
    deadline=None,
    max_examples=min(EXAMPLES, SLICE),
    database=None,
    derandomize=not LONG_RUN,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
slices = pytest.mark.parametrize("nth", range(-(-EXAMPLES // SLICE)))

INPUTS: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _counted(request: pytest.FixtureRequest) -> Iterator[None]:
    """The lines are rendered and thrown away; at the end, the inputs are counted and the memory is measured."""
    with Path(os.devnull).open("w", encoding="utf-8") as sink:
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
            logger_factory=structlog.PrintLoggerFactory(sink),
        )
        started = time.monotonic()
        yield
        structlog.reset_defaults()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if LONG_RUN:
        told = ", ".join(f"{name} {count}" for name, count in sorted(INPUTS.items()))
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            sys.stdout.write(
                f"\nfuzzed {sum(INPUTS.values())} inputs ({told}) in {time.monotonic() - started:.0f} s; "
                f"peak memory {peak / 1024**2:.0f} MiB\n"
            )
        assert request.session.testsfailed or min(INPUTS.values()) >= EXAMPLES
    assert peak <= LARGEST


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """One loop for all requests, as in a server: what piles up in it shows."""
    with asyncio.Runner() as runner:
        yield runner


# What is put where a value may stand.
GUIDS = st.uuids(version=4).map(str)
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["", " ", "+15550100199", "8:acs:x", "\x00", "\ud800", "\r\nx: y", "486", "-1", "9" * 5000, "Ä", "K", "1e999"]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([486, 560486, 0, -0.0, 2**31, -(2**63), 10**30, 1e308])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5
)
TIMES = st.sampled_from(
    ["2026-01-15T08:58:50.0629553+00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026", "T"]
)
TYPES = st.sampled_from(
    [
        "Microsoft.Communication.CallDisconnected",
        "microsoft.communication.calldisconnected",
        "Microsoft.Communication.AddParticipantFailed",
        "Microsoft.Communication.CreateCallFailed",
        "CallDisconnected",
        "Microsoft.Communication.",
        VALIDATION_EVENT,
    ]
)


def often(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual value, mostly."""
    return st.one_of(usual, usual, usual, JUNK)


def cased(keys: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these keys, some of them in another case."""
    whole = st.fixed_dictionaries({}, optional=keys)
    return st.one_of(whole, whole, st.tuples(whole, st.sampled_from([str.lower, str.upper, str.title])).map(recased))


def recased(given: tuple[dict[str, Any], Callable[[str], str]]) -> dict[str, Any]:
    return {given[1](key): value for key, value in given[0].items()}


DETAILS = cased({"code": often(st.integers(0, 700)), "message": often(TEXTS)})
RESULTS = cased(
    {
        "code": often(st.sampled_from([0, 200, 408, 486, 603, "486"])),
        "subCode": often(st.sampled_from([0, 560000, 560486, 10057])),
        "message": often(st.just("Busy here. DiagCode: 486#560486.@")),
        "sipDetails": often(DETAILS),
        "q850Details": often(DETAILS),
    }
)
DATA = cased(
    {
        "callConnectionId": often(GUIDS),
        "serverCallId": often(TEXTS),
        "correlationId": often(GUIDS),
        "operationContext": often(TEXTS),
        "version": often(st.just("2024-09-15")),
        "resultInformation": often(RESULTS),
        "resultInfo": often(RESULTS),
        "publicEventType": often(TYPES),
        "validationCode": often(TEXTS),
    }
)
EVENTS = cased(
    {
        "id": often(GUIDS),
        "type": often(TYPES),
        "eventType": often(TYPES),
        "source": often(TEXTS),
        "subject": often(TEXTS),
        "time": often(TIMES),
        "data": often(DATA),
    }
)
DOCUMENTS = st.one_of(st.lists(often(EVENTS), max_size=3), often(EVENTS), JUNK)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A delivery, mostly broken: bytes cut out, put in, doubled; or nothing but bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    # As json writes it: NaN, Infinity and half surrogate pairs are what others write, too.
    text = json.dumps(draw(DOCUMENTS), ensure_ascii=draw(st.booleans()))
    content = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig"])), "surrogatepass")
    if draw(st.booleans()):
        at = draw(st.integers(0, len(content)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=3))
        content = content[:at] + piece + content[at + draw(st.integers(0, 3)) :]
    return content


PIECES = [
    b"[" * 3000,
    b'{"a":' * 2000,
    b"9" * 400,
    b'"',
    b"\\",
    b"\\ud800",
    b"\x00",
    b"\xff",
    b",",
    b"}]",
    b"1e999",
    b"",
]

NAMES = st.sampled_from(
    "authorization content-type content-length content-encoding aeg-event-type webhook-request-origin "
    "webhook-request-callback aeg-subscription-name x-forwarded-for".split()
)
LATIN = st.characters(max_codepoint=255)
VALUES = st.text(LATIN, max_size=12) | st.sampled_from(
    ["identity", "gzip", "SubscriptionValidation", "subscriptionvalidation", "Bearer x", "9" * 5000, "-1", "1", "\xb2"]
)
HEADERS = st.lists(st.tuples(NAMES | st.text(LATIN, max_size=8), VALUES), max_size=6)


@slices
@fuzz
@given(bodies(), HEADERS)
def test_any_bytes_are_a_delivery_or_the_one_documented_error(
    nth: int, body: bytes, headers: list[tuple[str, str]]
) -> None:
    """What a delivery holds can be looked at, judged, shown and written, whatever it is."""
    INPUTS["deliveries"] += 1
    try:
        delivery = parse_delivery(body, headers)
    except DeliveryError:
        return
    assert isinstance(delivery, Delivery)
    for event in delivery.events:
        assert event.type.strip()
        assert event.raw in body
        assert event.occurred_at is None or event.occurred_at.utcoffset() is not None
        outcome = classify_event(event)
        if outcome is not None:
            json.dumps(outcome.to_dict())
            assert repr(outcome)


DOOR = Door(max_body=10_000, max_events=2)


@slices
@fuzz
@given(bodies(), HEADERS)
def test_any_request_is_a_reply_or_outcomes(nth: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    """The reply to bad input is problem+json with a 4xx status; nothing raises."""
    INPUTS["requests"] += 1
    found = delivery_of(body, {name.lower(): value for name, value in headers}, DOOR)
    if isinstance(found, Delivery):
        assert len([classify_event(event) for event in found.events]) <= 2
        return
    answer = json.loads(found.body)
    if found.status == 200:
        assert list(answer) == ["validationResponse"]
    else:
        assert 400 <= found.status < 500
        assert answer["status"] == found.status


KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
AUDIENCE = "1f0e5c1a-0000-4000-8000-000000000001"
NOW = int(time.time())


class Nobody:
    """Who is told of fetches, and does not care."""

    def keys_fetched(self, url: str, count: int) -> None: ...

    def keys_unreachable(self, url: str, error: Exception, cached: int) -> None: ...


async def key_set() -> Any:
    return {"keys": [jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "ours"}]}


@pytest.fixture(scope="module")
def gate() -> Gate:
    """A verifier whose keys are in memory: only where they come from is not as in an app."""
    verifier = CallbackTokenVerifier(audience=AUDIENCE, jwks_uri="https://keys.example.invalid")
    verifier._keys = KeySet("https://keys.example.invalid", key_set, Nobody())
    return Gate(verifier, MAX_HEADERS)


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


HEAD = {"alg": "RS256", "kid": "ours", "typ": "JWT"}
CLAIMS = {"iss": CALL_AUTOMATION, "aud": AUDIENCE, "exp": NOW + 10**7, "nbf": NOW - 60, "iat": NOW - 60}
ODD_HEAD = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["none", "None", "HS256", "rs256", "RS512", "PS256", "ES256", ""]) | JUNK,
        "kid": st.sampled_from(["theirs", "Ours", "", "../ours", "o" * 300]) | JUNK,
        "typ": JUNK,
        "jku": st.just("https://attacker.example.invalid/keys"),
        "jwk": st.just(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER.public_key(), as_dict=True)) | JUNK,
        "x5u": TEXTS,
        "x5c": st.lists(TEXTS, max_size=2),
        "crit": JUNK,
        "b64": st.booleans(),
        "zip": st.just("DEF"),
    },
)
ODD_TIME = st.sampled_from([0, NOW - 10**6, NOW + 10**6, str(NOW + 10**6), 10**400, -1, float("inf"), 1e300]) | JUNK
ODD_CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "iss": st.sampled_from([CALL_AUTOMATION + "/", [CALL_AUTOMATION], CALL_AUTOMATION.upper()]) | JUNK,
        "aud": st.sampled_from([[AUDIENCE], [AUDIENCE, "x"], [[AUDIENCE]], AUDIENCE + " "]) | JUNK,
        "exp": ODD_TIME,
        "nbf": ODD_TIME,
        "iat": ODD_TIME,
        "sub": JUNK,
        "jti": JUNK,
    },
)
SIGNERS: dict[str, Callable[[bytes], bytes]] = {
    "ours": lambda signed: KEY.sign(signed, padding.PKCS1v15(), hashes.SHA256()),
    "theirs": lambda signed: OTHER.sign(signed, padding.PKCS1v15(), hashes.SHA256()),
    "other padding": lambda signed: KEY.sign(signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
    "public key as secret": lambda signed: hmac.digest(PUBLIC, signed, "sha256"),
    "none": lambda signed: b"",
}
SCHEMES = st.sampled_from(["Bearer ", "Bearer ", "Bearer ", "bearer ", "BEARER ", "Bearer", "Bearer  ", "Basic ", ""])


@st.composite
def tokens(draw: st.DrawFn) -> tuple[list[str], bytes, bool]:
    """Values of ``authorization``; the part of a token of ours that is signed and valid; whether it was left alone."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.lists(VALUES | st.text("eyJ.=-_ ", max_size=20).map("Bearer ".__add__), max_size=2)), b"", False
    head = HEAD | draw(st.one_of(st.just({}), ODD_HEAD))
    claims = CLAIMS | draw(st.one_of(st.just({}), ODD_CLAIMS))
    signer = draw(st.sampled_from(["ours", "ours", *SIGNERS]))
    signed = f"{segment(json.dumps(head).encode())}.{segment(json.dumps(claims).encode())}".encode()
    token = f"{signed.decode()}.{segment(SIGNERS[signer](signed))}"
    odd = draw(st.sampled_from(["", "", "", "cut", "put in", "repeated", "nested", "dots", "long"]))
    at = draw(st.integers(0, len(token)))
    if odd == "cut":
        token = token[:at] + token[at + draw(st.integers(1, 5)) :]
    elif odd == "put in":
        token = token[:at] + draw(VALUES) + token[at:]
    elif odd == "nested":
        inner = segment(json.dumps(HEAD | {"cty": "JWT"}).encode())
        token = f"{inner}.{segment(token.encode())}.{token.rpartition('.')[2]}"
    elif odd == "dots":
        token += "." * draw(st.integers(1, 3))
    elif odd == "long":
        token += "A" * LONGEST
    scheme = draw(SCHEMES)
    given = [scheme + token] * (2 if odd == "repeated" else 1)
    alone = not odd and scheme.strip().lower() == "bearer" and scheme.count(" ") == 1
    good = signer == "ours" and trusted(head, claims)
    return given, signed if good else b"", alone and good


def trusted(head: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Whether this is what Microsoft may say, by rules written a second time."""
    audience = claims["aud"]
    return (
        (head["alg"], head["kid"]) == ("RS256", "ours")
        and not head.keys() & {"crit", "b64"}
        and claims["iss"] == CALL_AUTOMATION
        and AUDIENCE in ([audience] if isinstance(audience, str) else audience if isinstance(audience, list) else [])
        and seconds(claims["exp"]) > NOW - 200
        and max(seconds(claims["nbf"]), seconds(claims["iat"])) < NOW + 3600
    )


def seconds(claim: Any) -> float:
    try:
        return float(claim)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def scope_of(headers: list[tuple[str, str]], **changed: Any) -> Scope:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": PATH,
        "query_string": b"",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    return scope | changed


@slices
@fuzz
@given(tokens())
def test_only_a_token_of_the_issuer_passes(
    nth: int, loop: asyncio.Runner, gate: Gate, made: tuple[list[str], bytes, bool]
) -> None:
    """What passes was signed with the issuer's key and says what it must; everything else is a 401."""
    given, signed, alone = made
    INPUTS["tokens"] += 1
    denied = loop.run(gate.denied(scope_of([("authorization", value) for value in given])))
    if denied is not None:
        assert denied.status == 401
        assert denied.sender_refused
        assert not (alone and json.loads(unsegment(signed)) == CLAIMS), denied.fact
        return
    assert signed
    # Any number of spaces may stand before a token (RFC 9110, section 11.4).
    tokens = [value.partition(" ")[2].strip(" ") for value in given]
    assert [token.rpartition(".")[0].encode("latin-1") for token in tokens] == [signed]


def unsegment(signed: bytes) -> bytes:
    return base64.urlsafe_b64decode(signed.rpartition(b".")[2] + b"==")


PATH = "/api/callbacks"
SECRET = "a-made-up-secret-of-many-characters"


async def route(scope: Scope, receive: Any, send: Any) -> None:
    """Reads the body, as most do, and says yes."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def app(**options: Any) -> CallOutcomeMiddleware:
    paths = [PATH, PATH + "/{secret}", "/files/{rest:path}", "/calls/{number:int}"]
    return CallOutcomeMiddleware(route, router=OutcomeRouter(settle=0), path=paths, max_body=10_000, **options)


async def strict(head: Any) -> Any:
    """Lets nobody through: what is answered all the same is answered to strangers."""
    return Refusal("nobody")


@pytest.fixture(scope="module")
def apps() -> list[CallOutcomeMiddleware]:
    """Everybody, a secret in the query, one in the path, known subscriptions, nobody."""
    known = EventGridTokenVerifier(
        tenant=AUDIENCE, audience=AUDIENCE, subscriptions=["known"], jwks_uri="https://keys.example.invalid"
    )
    known._keys = KeySet("https://keys.example.invalid", key_set, Nobody())
    checks = [None, SharedSecret(SECRET), SharedSecret(SECRET, parameter=None), [SharedSecret(SECRET), known], strict]
    return [app(auth=each) for each in checks]


async def status_of(app: CallOutcomeMiddleware, scope: Scope, messages: list[dict[str, Any]]) -> tuple[int, bytes]:
    """The response as a server would get it; status 0 if the sender left before there was one."""
    pending = list(reversed(messages))
    sent: list[Any] = []

    async def receive() -> Any:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    for message in sent[:1]:
        assert all(type(each) is bytes for pair in message["headers"] for each in pair)
    return (sent[0]["status"] if sent else 0), b"".join(each.get("body", b"") for each in sent)


def whole(body: bytes) -> list[dict[str, Any]]:
    return [{"type": "http.request", "body": body, "more_body": False}]


ANSWERED = {200, 204, 400, 401, 408, 413, 415, 431}

HANDSHAKES = st.builds(
    lambda code, more, around: json.dumps(
        around([{"eventType": VALIDATION_EVENT, "data": {"validationCode": code}} | more])
    ),
    TEXTS | GUIDS | JUNK,
    EVENTS | st.just({}),
    st.sampled_from([lambda events: events, lambda events: events[0], lambda events: events * 2]),
).map(str.encode)
CALLS = st.sampled_from(["POST", "POST", "POST", "OPTIONS", "GET", "post", ""])
HANDSHAKE_HEADERS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["aeg-event-type", "Aeg-Event-Type"]), st.sampled_from(["SubscriptionValidation"]) | VALUES
        ),
        st.tuples(st.just("aeg-subscription-name"), st.sampled_from(["known", "KNOWN", "other"]) | VALUES),
        st.tuples(st.just("webhook-request-origin"), st.just("eventgrid.azure.net") | VALUES),
        st.tuples(NAMES, VALUES),
    ),
    max_size=5,
)


@slices
@fuzz
@given(st.integers(0, 4), CALLS, HANDSHAKES | bodies(), HANDSHAKE_HEADERS)
def test_any_handshake_is_answered_or_refused(
    nth: int,
    loop: asyncio.Runner,
    apps: list[CallOutcomeMiddleware],
    which: int,
    method: str,
    body: bytes,
    headers: list[tuple[str, str]],
) -> None:
    """An answer of ours echoes the code and nothing else; a stranger never reaches the route by POST."""
    INPUTS["handshakes"] += 1
    status, answer = loop.run(status_of(apps[which], scope_of(headers, method=method), whole(body)))
    assert status in ANSWERED
    if answer and status == 200:
        assert list(json.loads(answer)) == ["validationResponse"]
    posted = method.upper() == "POST"
    if which and posted:
        assert status != 204
    if which == 4:
        bodiless = method in ("GET", "OPTIONS")
        assert status == 401 if posted or not bodiless else status == 204 or (status, method) == (401, "OPTIONS")


ODD_PATHS = st.one_of(
    st.sampled_from(
        [PATH, PATH + "/", PATH + "//", PATH.upper(), "", "*", "/", "//", "/files/", "/calls/" + "9" * 5000]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text("./%2Fapicalbks\\;\x00\r\n", max_size=20).map(f"{PATH}/".__add__),
    st.text("./%2F", max_size=10).map("/files/".__add__),
    st.just(f"{PATH}/{SECRET}"),
    st.just(f"{PATH}/{quote(SECRET)}%00"),
)
QUERIES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [b"secret=" + SECRET.encode(), b"secret=" + SECRET.encode() * 2, b"secret", b"&" * 200, b"a=b&" * 200]
    ),
    st.text("secrt=&;%+2\xff", max_size=20).map(lambda text: text.encode("latin-1")),
)
PARTS = st.lists(
    st.one_of(
        bodies().map(lambda body: {"type": "http.request", "body": body, "more_body": True}),
        st.sampled_from(
            [
                {"type": "http.request"},
                {"type": "http.request", "body": b"x" * 20_000, "more_body": True},
                {"type": "http.request", "more_body": True},
                {"type": "http.disconnect"},
            ]
        ),
    ),
    max_size=3,
)
MANY_HEADERS = st.sampled_from([99, 100, 101, 300]).map(lambda count: [("x-a", "b")] * count)


@slices
@fuzz
@given(
    which=st.integers(0, 4),
    method=CALLS,
    path=ODD_PATHS,
    root=st.sampled_from(["", "", "/", "//", "/api", "/api/", PATH, "api", "\u212a"]) | ODD_PATHS,
    query=QUERIES,
    headers=HEADERS | MANY_HEADERS,
    messages=PARTS | bodies().map(whole),
    bare=st.booleans(),
)
def test_any_path_is_passed_on_or_answered(
    nth: int,
    loop: asyncio.Runner,
    apps: list[CallOutcomeMiddleware],
    which: int,
    method: str,
    path: str,
    root: str,
    query: bytes,
    headers: list[tuple[str, str]],
    messages: list[dict[str, Any]],
    bare: bool,
) -> None:
    """Whatever the request line, the headers and the pieces of the body: an answer below 500, or none if it left."""
    INPUTS["paths"] += 1
    scope = scope_of(headers, method=method, path=path, query_string=query)
    if not bare:
        scope |= {"root_path": root, "raw_path": path.encode(), "state": {}}
    status, _ = loop.run(status_of(apps[which], scope, messages))
    assert status in ANSWERED or status == 0
