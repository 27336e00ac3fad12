"""The issuer: its tokens against the verifiers that an app has."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ringback import CallbackTokenVerifier, Head, Refusal
from ringback.testing import AUDIENCE, Issuer, default_issuer, delivery, sign
from ringback.testing.events import call_connected

if TYPE_CHECKING:
    from collections.abc import Callable


def head(token: str) -> Head:
    return Head("POST", "/api/callbacks", "", (("authorization", f"Bearer {token}"),))


TOKENS: dict[str, tuple[Callable[[Issuer], str], str | None]] = {
    "good": (Issuer.token, None),
    "expired": (Issuer.expired, "token_expired"),
    "wrong audience": (Issuer.wrong_audience, "audience_wrong"),
    "wrong issuer": (Issuer.wrong_issuer, "issuer_wrong"),
    "forged": (Issuer.forged, "signature_wrong"),
    "no expiry": (lambda issuer: issuer.token(exp=None), "claim_missing"),
    "another key's": (lambda _: Issuer().token(), "signature_wrong"),
    "unknown key": (lambda _: Issuer(kid="other").token(), "key_unknown"),
}


@pytest.mark.parametrize("name", TOKENS)
async def test_a_verifier_tells_tokens_apart(name: str) -> None:
    """Without any network."""
    make, reason = TOKENS[name]
    verifier = default_issuer().verifier()
    assert await verifier(head(make(default_issuer()))) == (None if reason is None else Refusal(reason))


def test_every_call_gives_the_issuer_that_the_first_one_has_made() -> None:
    """A key takes a tenth of a second to make."""
    default_issuer.cache_clear()
    assert default_issuer() is default_issuer()


async def test_claims_and_settings_can_be_replaced() -> None:
    """An app with several resources verifies several audiences."""
    issuer = default_issuer()
    other = "1f0e5c1a-0000-4000-8000-000000000002"
    assert await issuer.verifier(audience=[AUDIENCE, other])(head(issuer.token(aud=other))) is None
    assert await issuer.verifier(leeway=0)(head(issuer.token(exp=1))) == Refusal("token_expired")


async def test_event_grids_tokens_have_their_own_verifier() -> None:
    """Neither takes the other's."""
    issuer = default_issuer()
    grid = issuer.grid_verifier()
    assert await grid(head(issuer.grid_token())) is None
    assert await grid(head(issuer.grid_token(azp="somebody"))) == Refusal("application_unknown")
    assert await grid(head(issuer.token())) == Refusal("issuer_wrong")
    assert await issuer.verifier()(head(issuer.grid_token())) == Refusal("issuer_wrong")


def test_tokens_are_those_of_microsoft() -> None:
    """RS256 with a key id, five minutes long, from the clock that was given."""
    issuer = Issuer(clock=lambda: 1_772_701_200.5)
    token = issuer.token()
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT", "kid": "ringback-tests"}
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "iss": "https://acscallautomation.communication.azure.com",
        "aud": AUDIENCE,
        "iat": 1_772_701_200,
        "nbf": 1_772_701_200,
        "exp": 1_772_701_500,
    }


def test_a_forged_token_differs_in_its_signature_alone() -> None:
    """Whatever character stands in the middle. Both are made at one time, as a clock tells it that stands still."""
    issuer = Issuer(clock=lambda: 1_772_701_200.5)
    for number in range(100):
        head_, payload, signature = issuer.forged(jti=number).split(".")
        good = issuer.token(jti=number).split(".")
        assert (head_, payload) == tuple(good[:2])
        assert signature != good[2]


def test_a_key_may_be_given() -> None:
    """Processes of one test then agree without a key server."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert Issuer(key=pem).key_set == Issuer(key=pem).key_set
    (entry,) = Issuer(key=pem, kid="k").key_set["keys"]
    assert sorted(entry) == ["alg", "e", "kid", "kty", "n", "use"]


async def test_a_key_set_can_be_served() -> None:
    """A verifier fetches it as it fetches Microsoft's, by either address; others are not found."""
    issuer = default_issuer()
    with issuer.serve() as url:
        base = url.removesuffix("/calling/keys")
        configuration = f"{base}/calling/.well-known/acsopenidconfiguration"
        for settings in ({"jwks_uri": url}, {"openid_configuration": configuration}):
            assert await CallbackTokenVerifier(audience=AUDIENCE, **settings)(head(issuer.token())) is None  # type: ignore[arg-type]
        with pytest.raises(HTTPError) as raised:
            urlopen(f"{base}/keys")  # noqa: ASYNC210 - the server has a thread of its own
        raised.value.close()
        assert raised.value.code == 404


async def test_signed_headers_are_ready_to_post() -> None:
    """With a content type; for another audience or issuer if one is given."""
    headers = sign(delivery(call_connected()))
    assert headers["content-type"] == "application/json"
    assert await default_issuer().verifier()(Head("POST", "/", "", tuple(headers.items()))) is None
    other = sign(audience="other")
    assert await default_issuer().verifier()(Head("POST", "/", "", tuple(other.items()))) == Refusal("audience_wrong")
    own = Issuer(kid="own", audience="0ddba115-0000-4000-8000-000000000002")
    assert await own.verifier()(Head("POST", "/", "", tuple(sign(issuer=own).items()))) is None
