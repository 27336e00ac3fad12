"""Bearer tokens of Call Automation and Event Grid: who is let through, and why not."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from ringback.exceptions import ConfigurationError
from ringback.senders.auth import Head, Refusal
from ringback.senders.bearer import LONGEST
from ringback.senders.tokens import CALL_AUTOMATION, EVENT_GRID_APPS, LEEWAY, CallbackTokenVerifier
from ringback.senders.tokens import EventGridTokenVerifier as GridVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESOURCE = "1f0e5c1a-0000-4000-8000-000000000001"
MOVED = "1f0e5c1a-0000-4000-8000-000000000002"
TENANT = "1f0e5c1a-0000-4000-8000-000000000003"
APP = "1f0e5c1a-0000-4000-8000-000000000004"
KID = "key-1"
V1 = f"https://sts.windows.net/{TENANT}/"
V2 = f"https://login.microsoftonline.com/{TENANT}/v2.0"
PUBLIC, GOVERNMENT = EVENT_GRID_APPS


class Issuer:
    """An issuer on this machine: its key, and the server that publishes it at ``/keys``."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        documents: dict[str, Any] = {"/keys": {"keys": [{**public, "kid": KID, "use": "sig"}]}}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path in documents else 404)
                self.end_headers()
                self.wfile.write(json.dumps(documents.get(self.path)).encode())

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        documents["/openid"] = {"issuer": CALL_AUTOMATION, "jwks_uri": f"{url}/keys"}
        self.openid, self.jwks, self.nothing = f"{url}/openid", f"{url}/keys", f"{url}/nothing"

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that Call Automation would send, but for these claims; ``...`` leaves one out."""
        now = int(time.time())
        given = {"iss": CALL_AUTOMATION, "aud": RESOURCE, "iat": now, "nbf": now, "exp": now + 300} | claims
        kept = {name: value for name, value in given.items() if value is not ...}
        return self.signed(json.dumps(kept).encode(), {"alg": "RS256", "typ": "JWT", "kid": KID} | (headers or {}))

    def signed(self, payload: bytes, header: dict[str, Any]) -> str:
        """A token of any payload and header with a valid RS256 signature."""
        start = f"{encoded(json.dumps(header).encode())}.{encoded(payload)}"
        return f"{start}.{encoded(RSAAlgorithm(RSAAlgorithm.SHA256).sign(start.encode(), self.key))}"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def soon(seconds: float = 0) -> int:
    return int(time.time() + seconds)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield issuer
    issuer.server.shutdown()
    thread.join()
    issuer.server.server_close()


def head(*authorization: str, **headers: str) -> Head:
    others = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Head("POST", "/api/callbacks", "", (*(("authorization", each) for each in authorization), *others))


def bearer(token: str, **headers: str) -> Head:
    return head(f"Bearer {token}", **headers)


def callback(issuer: Issuer, /, **more: Any) -> CallbackTokenVerifier:
    return CallbackTokenVerifier(**{"audience": RESOURCE, "jwks_uri": issuer.jwks} | more)


def grid(issuer: Issuer, /, **more: Any) -> GridVerifier:
    return GridVerifier(**{"tenant": TENANT, "audience": APP, "jwks_uri": issuer.jwks} | more)


ACCEPTED: dict[str, Callable[[Issuer], Head]] = {
    "as Microsoft sends it": lambda own: bearer(own.token()),
    "scheme in lower case": lambda own: head(f"bearer {own.token()}"),
    "scheme in capitals": lambda own: head(f"BEARER {own.token()}"),
    "audience in a list": lambda own: bearer(own.token(aud=["x", RESOURCE])),
    "no nbf and no iat": lambda own: bearer(own.token(nbf=..., iat=...)),
    "times with fractions": lambda own: bearer(own.token(nbf=soon(-5) + 0.5, exp=soon(300) + 0.5)),
    "expired within the leeway": lambda own: bearer(own.token(exp=soon(-LEEWAY / 2))),
    "not yet valid within the leeway": lambda own: bearer(own.token(nbf=soon(LEEWAY / 2), iat=soon(LEEWAY / 2))),
    "other claims": lambda own: bearer(own.token(sub="x", jti="y", more={"a": [1]})),
    "no typ": lambda own: bearer(own.token({"typ": None})),
    "thumbprint of a certificate": lambda own: bearer(own.token({"x5t": "abc"})),
}


@pytest.mark.parametrize("request_of", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_a_valid_token_is_let_through(issuer: Issuer, request_of: Callable[[Issuer], Head]) -> None:
    """Signed by the issuer, for us, and in time."""
    assert await callback(issuer)(request_of(issuer)) is None


REFUSED: dict[str, tuple[str, Callable[[Issuer], Head]]] = {
    "no header": ("token_missing", lambda own: head()),
    "two headers": ("token_repeated", lambda own: head(f"Bearer {own.token()}", f"Bearer {own.token()}")),
    "empty header": ("scheme_unknown", lambda own: head("")),
    "other scheme": ("scheme_unknown", lambda own: head("Basic dTpw")),
    "no scheme": ("scheme_unknown", lambda own: head(own.token())),
    "too long": ("token_too_long", lambda own: bearer("x" * (LONGEST + 1))),
    "as long as may be": ("token_malformed", lambda own: bearer("x" * LONGEST)),
    "no dots": ("token_malformed", lambda own: bearer("abc")),
    "five parts": ("token_malformed", lambda own: bearer("a.b.c.d.e")),
    "header is no base64": ("token_malformed", lambda own: bearer("a.e30.e30")),
    "header is no JSON": ("token_malformed", lambda own: bearer(f"{encoded(b'x')}.e30.e30")),
    "header is a list": ("token_malformed", lambda own: bearer(f"{encoded(b'[]')}.e30.e30")),
    "header is deep": ("token_malformed", lambda own: bearer(f"{encoded(b'[' * 5000)}.e30.e30")),
    "header has a long number": (
        "token_malformed",
        lambda own: bearer(encoded(b'{"alg":' + b"9" * 5000 + b"}") + ".e30.e30"),
    ),
    "no algorithm": ("algorithm_refused", lambda own: bearer(own.token({"alg": None}))),
    "algorithm none": ("algorithm_refused", lambda own: bearer(own.token({"alg": "none"}))),
    "algorithm HS256": ("algorithm_refused", lambda own: bearer(own.token({"alg": "HS256"}))),
    "algorithm is a list": ("algorithm_refused", lambda own: bearer(own.token({"alg": ["RS256"]}))),
    "b64": ("extension_refused", lambda own: bearer(own.token({"b64": True}))),
    "crit with b64": ("extension_refused", lambda own: bearer(own.token({"b64": True, "crit": ["b64"]}))),
    "no key id": ("key_id_missing", lambda own: bearer(own.signed(b"{}", {"alg": "RS256"}))),
    "empty key id": ("key_id_missing", lambda own: bearer(own.token({"kid": ""}))),
    "long key id": ("key_id_missing", lambda own: bearer(own.token({"kid": "k" * 257}))),
    "key id is a number": ("token_malformed", lambda own: bearer(own.token({"kid": 1}))),
    "other key id": ("key_unknown", lambda own: bearer(own.token({"kid": "k" * 256}))),
    "other payload": ("signature_wrong", lambda own: bearer(swapped(own, 1))),
    "other header": ("signature_wrong", lambda own: bearer(swapped(own, 0))),
    "expired": ("token_expired", lambda own: bearer(own.token(exp=soon(-LEEWAY - 5)))),
    "not yet valid": ("token_not_yet_valid", lambda own: bearer(own.token(nbf=soon(LEEWAY + 60)))),
    "issued in the future": ("token_not_yet_valid", lambda own: bearer(own.token(iat=soon(LEEWAY + 60)))),
    "exp missing": ("claim_missing", lambda own: bearer(own.token(exp=...))),
    "exp null": ("claim_missing", lambda own: bearer(own.token(exp=None))),
    "exp is a word": ("token_invalid", lambda own: bearer(own.token(exp="never"))),
    "exp is digits in a text": ("time_invalid", lambda own: bearer(own.token(exp=str(soon(300))))),
    "exp in milliseconds": ("time_invalid", lambda own: bearer(own.token(exp=soon(300) * 1000))),
    "exp is infinite": ("token_invalid", lambda own: bearer(own.token(exp=float("inf")))),
    "exp is not a number": ("token_invalid", lambda own: bearer(own.token(exp=float("nan")))),
    "exp is a list": ("token_invalid", lambda own: bearer(own.token(exp=[soon(300)]))),
    "exp is true": ("token_expired", lambda own: bearer(own.token(exp=True))),
    "nbf is digits in a text": ("time_invalid", lambda own: bearer(own.token(nbf=str(soon())))),
    "nbf is negative": ("time_invalid", lambda own: bearer(own.token(nbf=-1))),
    "nbf is null": ("token_invalid", lambda own: bearer(own.token(nbf=None))),
    "iat is digits in a text": ("time_invalid", lambda own: bearer(own.token(iat=str(soon())))),
    "iat is null": ("token_invalid", lambda own: bearer(own.token(iat=None))),
    "other audience": ("audience_wrong", lambda own: bearer(own.token(aud=MOVED))),
    "no audience of ours": ("audience_wrong", lambda own: bearer(own.token(aud=["x", MOVED]))),
    "audience is a number": ("audience_wrong", lambda own: bearer(own.token(aud=5))),
    "audience missing": ("claim_missing", lambda own: bearer(own.token(aud=...))),
    "audience empty": ("claim_missing", lambda own: bearer(own.token(aud=[]))),
    "other issuer": ("issuer_wrong", lambda own: bearer(own.token(iss="https://example.org"))),
    "issuer with a slash": ("issuer_wrong", lambda own: bearer(own.token(iss=f"{CALL_AUTOMATION}/"))),
    "issuer is a list": ("issuer_wrong", lambda own: bearer(own.token(iss=[CALL_AUTOMATION]))),
    "issuer missing": ("claim_missing", lambda own: bearer(own.token(iss=...))),
    "payload is no JSON": ("token_invalid", lambda own: bearer(own.signed(b"x", {"alg": "RS256", "kid": KID}))),
    "payload is a list": ("token_invalid", lambda own: bearer(own.signed(b"[]", {"alg": "RS256", "kid": KID}))),
    "payload is no UTF-8": (
        "token_invalid",
        lambda own: bearer(own.signed(b'"\xff"', {"alg": "RS256", "kid": KID})),
    ),
    "payload is deep": (
        "token_invalid",
        lambda own: bearer(own.signed(b"[" * 5000, {"alg": "RS256", "kid": KID})),
    ),
}


def swapped(own: Issuer, part: int) -> str:
    """A valid token with one part of another valid token."""
    mine, other = own.token().split("."), own.token({"typ": "jwt"}, sub="someone").split(".")
    mine[part] = other[part]
    return ".".join(mine)


@pytest.mark.parametrize(("reason", "request_of"), REFUSED.values(), ids=REFUSED.keys())
async def test_any_other_token_is_refused_with_its_reason(
    issuer: Issuer, reason: str, request_of: Callable[[Issuer], Head]
) -> None:
    """401, a slug for the log, and nothing of the token."""
    assert await callback(issuer)(request_of(issuer)) == Refusal(reason)


async def test_an_extension_of_its_own_is_refused(issuer: Issuer) -> None:
    """By us, or by PyJWT from 2.11 on, which says no more than that the token is malformed."""
    answer = await callback(issuer)(bearer(issuer.token({"crit": ["x"], "x": 1})))
    assert answer in (Refusal("extension_refused"), Refusal("token_malformed"))


# How a request may write a valid token, and which sentence of an RFC decides. ``None`` lets it through.
SPELLINGS: list[tuple[str, str | None, str]] = [
    # RFC 9110, section 11.4: credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
    ("Bearer {token}", None, "9110, 11.4: one space"),
    ("Bearer  {token}", None, "9110, 11.4: 1*SP"),
    ("Bearer     {token}", None, "9110, 11.4: 1*SP"),
    ("Bearer\t{token}", "scheme_unknown", "9110, 11.4: SP, no HTAB"),
    ("Bearer \t{token}", "token_malformed", "9110, 11.4: SP, no HTAB"),
    ("Bearer\u00a0{token}", "scheme_unknown", "9110, 11.4: SP"),
    ("Bearer{token}", "scheme_unknown", "9110, 11.4: 1*SP, not none"),
    ("Bearer", "token_malformed", "6750, 2.1: a token must follow"),
    ("Bearer ", "token_malformed", "6750, 2.1: a token must follow"),
    # RFC 9110, section 11.1: the scheme is case-insensitive
    ("bearer {token}", None, "9110, 11.1"),
    ("BEARER  {token}", None, "9110, 11.1"),
    ("bEaReR {token}", None, "9110, 11.1"),
    # RFC 9110, section 5.5: a field value does not include leading or trailing white space
    (" Bearer {token}", None, "9110, 5.5"),
    ("\tBearer {token}\t ", None, "9110, 5.5"),
    ("Bearer {token} ", None, "9110, 5.5"),
    ("Bearer {token}\n", "token_malformed", "9110, 5.5: line feeds are invalid"),
    ("Bearer {token}\r\n", "token_malformed", "9110, 5.5: line feeds are invalid"),
    ("Bearer {token}\0", "token_malformed", "9110, 5.5: NUL is invalid"),
    ("Bearer {token}\f", "token_malformed", "9110, 5.6.3: no white space of HTTP"),
    # RFC 6750, section 2.1: credentials = "Bearer" 1*SP b64token
    ("Bearer Bearer {token}", "token_malformed", "6750, 2.1: one scheme"),
    ("Bearer {token} {token}", "token_malformed", "6750, 2.1: one token"),
    ("Bearer {token}, Bearer {token}", "token_malformed", "6750, 2.1: one token"),
    ("Bearer {token},", "token_malformed", "6750, 2.1: no comma"),
    ('Bearer "{token}"', "token_malformed", "6750, 2.1: no quotes"),
    ("Bearer token={token}", "token_malformed", "6750, 2.1: a b64token, no auth-param"),
    ("Bearer {middle}", "token_malformed", "6750, 2.1: no white space within"),
    ("Token {token}", "scheme_unknown", "6750, 2.1"),
    ("{token}", "scheme_unknown", "9110, 11.4: the scheme first"),
    # RFC 7515, sections 2 and 7.1: base64url without padding, white space or other characters; three parts.
    # PyJWT's decoder pads and skips what it does not know.
    ("Bearer {token}=", "token_malformed", "7515, 2: all trailing '=' omitted"),
    ("Bearer {token}==", "token_malformed", "7515, 2: all trailing '=' omitted"),
    ("Bearer {padded}", "token_malformed", "7515, 2: all trailing '=' omitted"),
    ("Bearer {standard}", "token_malformed", "7515, 2: the URL- and filename-safe alphabet"),
    ("Bearer {token}.", "token_malformed", "7515, 7.1: three parts"),
    ("Bearer {token}~", "token_malformed", "7515, 2: no further characters"),
    ("Bearer .{token}", "token_malformed", "7515, 7.1: three parts"),
]


@pytest.mark.parametrize(("written", "reason", "source"), SPELLINGS, ids=[repr(row[0]) for row in SPELLINGS])
async def test_a_token_is_written_as_the_rfcs_say(
    issuer: Issuer, written: str, reason: str | None, source: str
) -> None:
    """Every spelling that the grammar has is accepted, and no other, whatever PyJWT would take."""
    token = issuer.token()
    start, payload, signature = token.split(".")
    middle = f"{start}.{payload[:5]} {payload[5:]}.{signature}"
    standard = f"{start}.{payload}.+/{signature[2:]}"
    field = written.format(token=token, middle=middle, padded=f"{start}=.{payload}.{signature}", standard=standard)
    assert await callback(issuer)(head(field)) == (None if reason is None else Refusal(reason)), source


async def test_the_key_itself_is_looked_at(issuer: Issuer) -> None:
    """A token signed by another key under a known id is refused."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = soon()
    forged = jwt.encode(
        {"iss": CALL_AUTOMATION, "aud": RESOURCE, "exp": now + 300}, other, algorithm="RS256", headers={"kid": KID}
    )
    assert await callback(issuer)(bearer(forged)) == Refusal("signature_wrong")


async def test_without_keys_the_sender_is_to_come_again(issuer: Issuer) -> None:
    """503 and when: nobody repeats a 401."""
    unreachable = callback(issuer, jwks_uri=issuer.nothing)
    assert await unreachable(bearer(issuer.token())) == Refusal("keys_unavailable", 503, 5)
    assert await unreachable(head()) == Refusal("token_missing")


async def test_the_keys_may_be_named_by_an_openid_configuration(issuer: Issuer) -> None:
    """As Microsoft documents it."""
    named = CallbackTokenVerifier(audience=RESOURCE, openid_configuration=issuer.openid)
    assert await named(bearer(issuer.token())) is None


async def test_several_audiences_and_issuers_are_accepted(issuer: Issuer) -> None:
    """While a resource moves, or for several clouds; any other is not."""
    check = callback(issuer, audience={RESOURCE, MOVED}, issuer=[CALL_AUTOMATION, "https://example.org"])
    answers = [
        await check(bearer(issuer.token(aud=audience, iss=iss)))
        for audience in (RESOURCE, MOVED)
        for iss in (CALL_AUTOMATION, "https://example.org")
    ]
    assert answers == [None] * 4
    assert await check(bearer(issuer.token(aud=TENANT))) == Refusal("audience_wrong")
    assert await check(bearer(issuer.token(iss="https://example.com"))) == Refusal("issuer_wrong")


async def test_another_issuer_replaces_that_of_the_public_cloud(issuer: Issuer) -> None:
    """Configured for one cloud, a token of the other is refused."""
    check = callback(issuer, issuer="https://example.org")
    assert await check(bearer(issuer.token(iss="https://example.org"))) is None
    assert await check(bearer(issuer.token())) == Refusal("issuer_wrong")


async def test_the_leeway_is_for_each_end_of_the_time(issuer: Issuer) -> None:
    """None at all, or as much as is given."""
    late, early = bearer(issuer.token(exp=soon(-200))), bearer(issuer.token(nbf=soon(200)))
    strict, lax = callback(issuer, leeway=0), callback(issuer, leeway=600)
    assert [await strict(late), await strict(early)] == [Refusal("token_expired"), Refusal("token_not_yet_valid")]
    assert [await lax(late), await lax(early)] == [None, None]


@given(
    authorization=st.lists(st.text(st.characters(max_codepoint=255)) | st.text().map("Bearer {}".format), max_size=2)
)
async def test_no_header_does_harm(issuer: Issuer, authorization: list[str]) -> None:
    """Any text is refused, never an exception."""
    refusal = await callback(issuer)(head(*authorization))
    assert refusal is not None
    assert refusal.status == 401


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    claims=st.dictionaries(st.sampled_from("exp nbf iat iss aud sub jti".split()), json_values, min_size=1),
    headers=st.dictionaries(st.sampled_from("typ kid alg jwk jku crit b64 zip cty".split()), json_values, max_size=2),
)
async def test_no_signed_claims_and_no_header_do_harm(
    issuer: Issuer, claims: dict[str, Any], headers: dict[str, Any]
) -> None:
    """Whatever stands in a token, the answer is a decision; it is yes only for our audience and our issuer."""
    answer = await callback(issuer)(bearer(issuer.token(headers, **claims)))
    assert answer is None or (answer.status, answer.retry_after) == (401, None)
    if {"iss", "aud"} & set(claims):
        assert answer is not None


@pytest.mark.parametrize("application", EVENT_GRID_APPS, ids=["public", "US Government"])
@pytest.mark.parametrize(("iss", "claim"), [(V1, "appid"), (V2, "azp")], ids=["version 1", "version 2"])
async def test_event_grid_is_let_through(issuer: Issuer, iss: str, claim: str, application: str) -> None:
    """Tokens of both versions of Entra ID, of both clouds."""
    token = issuer.token(iss=iss, aud=APP, **{claim: application})
    assert await grid(issuer)(bearer(token)) is None


@pytest.mark.parametrize(
    ("reason", "claims"),
    [
        pytest.param("application_unknown", {"appid": MOVED}, id="another application"),
        pytest.param("application_unknown", {"azp": MOVED, "appid": PUBLIC}, id="azp comes first"),
        pytest.param("application_unknown", {}, id="no application"),
        pytest.param("application_unknown", {"appid": [PUBLIC]}, id="application is a list"),
        pytest.param("application_unknown", {"azp": {"id": PUBLIC}}, id="application is an object"),
        pytest.param("application_unknown", {"appid": 5}, id="application is a number"),
        pytest.param("issuer_wrong", {"appid": PUBLIC, "iss": f"https://sts.windows.net/{MOVED}/"}, id="other tenant"),
        pytest.param("issuer_wrong", {"appid": PUBLIC, "iss": CALL_AUTOMATION}, id="Call Automation"),
        pytest.param("audience_wrong", {"appid": PUBLIC, "aud": RESOURCE}, id="other audience"),
        pytest.param("token_expired", {"appid": PUBLIC, "exp": 1}, id="expired"),
    ],
)
async def test_any_other_application_is_refused(issuer: Issuer, reason: str, claims: dict[str, Any]) -> None:
    """A token of the same tenant proves nothing if it is not Event Grid's."""
    assert await grid(issuer)(bearer(issuer.token(**{"iss": V1, "aud": APP} | claims))) == Refusal(reason)


async def test_the_applications_and_the_issuer_can_be_chosen(issuer: Issuer) -> None:
    """For other clouds; the defaults count no more."""
    check = grid(issuer, applications=[MOVED], issuer="https://example.org", audience=[APP, "api://ringback"])
    token = issuer.token(iss="https://example.org", aud="api://ringback", azp=MOVED)
    assert await check(bearer(token)) is None
    assert await check(bearer(issuer.token(iss="https://example.org", aud=APP, azp=PUBLIC))) == Refusal(
        "application_unknown"
    )
    assert await check(bearer(issuer.token(iss=V2, aud=APP, azp=MOVED))) == Refusal("issuer_wrong")


SUBSCRIPTIONS = [
    pytest.param(head(aeg_subscription_name="CALLS"), True, id="in capitals"),
    pytest.param(head(aeg_subscription_name="calls"), True, id="in lower case"),
    pytest.param(head(aeg_subscription_name="OTHERS"), False, id="another"),
    pytest.param(head(aeg_subscription_name=""), False, id="empty"),
    pytest.param(head(), False, id="none"),
    pytest.param(Head("POST", "/", "", (("aeg-subscription-name", "CALLS"),) * 2), False, id="two headers"),
]


@pytest.mark.parametrize(("sent", "known"), SUBSCRIPTIONS)
async def test_only_listed_subscriptions_are_let_through(issuer: Issuer, sent: Head, known: bool) -> None:
    """Whatever their case, and whatever their token says; their handshakes, too."""
    check = grid(issuer, subscriptions=["Calls", "more"])
    token = issuer.token(iss=V2, aud=APP, azp=PUBLIC)
    with_token = Head("POST", "/", "", (*sent.headers, ("authorization", f"Bearer {token}")))
    assert await check(with_token) == (None if known else Refusal("subscription_unknown"))
    assert await check(sent) == Refusal("token_missing" if known else "subscription_unknown")
    assert check.allows_handshake(sent) is known


@pytest.mark.parametrize(("sent", "known"), SUBSCRIPTIONS)
def test_without_a_list_every_handshake_is_answered(issuer: Issuer, sent: Head, known: bool) -> None:
    """Event Grid validates before it sends tokens."""
    assert grid(issuer).allows_handshake(sent) is True


BOTH = "openid_configuration and jwks_uri name the same keys; give one of them"
HTTP = "key server {!r} is not https; keys fetched over http can be anybody's"
NAMES_NOTHING = "{} {!r} names nothing; give a text, or several"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"openid_configuration": "https://x/a", "jwks_uri": "https://x/b"}, BOTH),
        ({"jwks_uri": "http://keys.example.org"}, HTTP.format("http://keys.example.org")),
        ({"jwks_uri": "http://localhost.example.org"}, HTTP.format("http://localhost.example.org")),
        ({"openid_configuration": "http://example.org"}, HTTP.format("http://example.org")),
        ({"jwks_uri": ""}, HTTP.format("")),
        ({"openid_configuration": ""}, HTTP.format("")),
        ({"audience": ""}, NAMES_NOTHING.format("audience", "")),
        ({"audience": None}, NAMES_NOTHING.format("audience", None)),
        ({"audience": []}, NAMES_NOTHING.format("audience", [])),
        ({"audience": [RESOURCE, ""]}, NAMES_NOTHING.format("audience", [RESOURCE, ""])),
        ({"audience": [None]}, NAMES_NOTHING.format("audience", [None])),
        ({"issuer": ""}, NAMES_NOTHING.format("issuer", "")),
        ({"leeway": -1}, "leeway -1 is out of range; give 0 to 600 seconds"),
        ({"leeway": 601}, "leeway 601 is out of range; give 0 to 600 seconds"),
        ({"leeway": float("nan")}, "leeway nan is out of range; give 0 to 600 seconds"),
    ],
    ids=repr,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    """At start-up, with the value, the rule and the remedy."""
    with pytest.raises(ConfigurationError) as caught:
        CallbackTokenVerifier(**{"audience": RESOURCE} | settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tenant": ""}, "tenant '' is no tenant id; give the directory (tenant) id, a GUID"),
        ({"tenant": V1}, f"tenant {V1!r} is no tenant id; give the directory (tenant) id, a GUID"),
        ({"audience": []}, NAMES_NOTHING.format("audience", [])),
        ({"applications": []}, NAMES_NOTHING.format("applications", [])),
        ({"subscriptions": []}, NAMES_NOTHING.format("subscriptions", [])),
        ({"issuer": []}, NAMES_NOTHING.format("issuer", [])),
        ({"jwks_uri": ""}, HTTP.format("")),
        ({"jwks_uri": "http://keys.example.org"}, HTTP.format("http://keys.example.org")),
        ({"leeway": -1}, "leeway -1 is out of range; give 0 to 600 seconds"),
    ],
    ids=repr,
)
def test_event_grid_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    """An empty list never means everybody."""
    with pytest.raises(ConfigurationError) as caught:
        GridVerifier(**{"tenant": TENANT, "audience": APP} | settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("missing", ["cryptography", "httpx"])
def test_a_missing_extra_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """At start-up, not with the first callback of the night."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError) as caught:
        CallbackTokenVerifier(audience=RESOURCE)
    assert str(caught.value) == f"verifying tokens needs {missing}; pip install 'ringback[verify]'"


def test_the_public_cloud_is_the_default() -> None:
    """Nothing but an audience, or a tenant and an audience, need be given; nothing is fetched for that."""
    CallbackTokenVerifier(audience=RESOURCE)
    GridVerifier(tenant=TENANT, audience=APP)
