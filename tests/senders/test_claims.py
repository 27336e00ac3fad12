"""The claims that a token must have: PyJWT, which we do not use for them, says the same."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringback.senders.auth import Refusal
from ringback.senders.jwt import Rules, Validity, read_claims

AUDIENCES, ISSUERS = frozenset({"us", "we"}), frozenset({"them"})
RULES = Rules(AUDIENCES, ISSUERS, 60.0)
NOW = int(time.time())
SECRET = "of no use, for the claims are what is looked at"


def theirs(payload: bytes) -> bool:
    """Whether PyJWT accepts the claims."""
    token = jwt.PyJWS().encode(payload, SECRET, "HS256")
    required: Any = {"require": ["exp", "iss", "aud"], "verify_sub": False, "verify_jti": False}
    try:
        jwt.decode(token, SECRET, ["HS256"], required, audience=list(AUDIENCES), issuer=list(ISSUERS), leeway=60)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return False
    return True


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
times = st.sampled_from([0, 1, NOW - 1000, NOW + 1000, NOW + 1000.5, 10**30, str(NOW + 1000), True, None]) | junk


@given(
    claims=st.fixed_dictionaries(
        {},
        optional={
            "exp": st.just(NOW + 1000) | times,
            "nbf": st.just(NOW - 1000) | times,
            "iat": st.just(NOW - 1000) | times,
            "iss": st.sampled_from(["them", "them", ["them"], "others"]) | junk,
            "aud": st.sampled_from(["us", ["x", "we"], ["us", 1], [["us"]], {"us": 1}, "x", "", [], None]) | junk,
            "sub": junk,
        },
    )
)
@example(claims={"exp": NOW + 1000, "iss": "them", "aud": "us"})
@example(claims={"exp": NOW + 1000, "iss": "them", "aud": ["x", "we"], "nbf": NOW - 1000, "iat": NOW - 1000})
@example(claims={"exp": NOW + 1000, "iss": "them", "aud": "us", "nbf": NOW + 1000})
def test_the_claims_are_judged_as_pyjwt_does(claims: dict[str, Any]) -> None:
    """But for times that a calendar does not have, which PyJWT accepts."""
    payload = json.dumps(claims).encode()
    read = read_claims(payload, RULES, NOW)
    if isinstance(read, Refusal):
        assert read.reason == "time_invalid" or not theirs(payload)
    else:
        begins = max(int(claims.get(name, 0)) for name in ("nbf", "iat"))
        assert read == Validity(begins - 60.0, int(claims["exp"]) + 60.0)
        assert theirs(payload)


@given(payload=st.binary(max_size=50) | junk.map(lambda value: json.dumps(value).encode()))
def test_any_other_payload_is_refused(payload: bytes) -> None:
    """Never an exception."""
    assert read_claims(payload, RULES, NOW) in (Refusal("token_invalid"), Refusal("claim_missing"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_claims_are_utf_8(encoding: str) -> None:
    """RFC 7519, section 3; Python's decoder of JSON guesses others."""
    payload = json.dumps({"exp": NOW + 1000, "iss": "them", "aud": "us"}).encode(encoding)
    assert read_claims(payload, RULES, NOW) == Refusal("token_invalid")
