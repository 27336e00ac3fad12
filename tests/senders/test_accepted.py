"""A verifier remembers the tokens that it accepted, and nobody can tell but by the time that it takes."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from ringback.senders import bearer, rs256
from ringback.senders.auth import Head, Refusal
from ringback.senders.bearer import BearerCheck
from ringback.senders.jwt import Rules
from ringback.senders.keys import GRACE, LIFETIME, KeySet

if TYPE_CHECKING:
    from collections.abc import Generator

START = 1_790_000_000
LEEWAY = 60.0
RULES = Rules(frozenset({"us"}), frozenset({"them"}), LEEWAY)
FIRST, SECOND = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


class Place:
    """A clock and a key server. ``published`` are private keys by id, whose public ones the server shows."""

    def __init__(self) -> None:
        self.now = float(START)
        self.published = {"a": FIRST}
        self.keys = KeySet("https://keys.example.org/keys", self.fetch, self, clock=lambda: self.now, cooldown=0.0)
        self.check = self.new_check()

    def new_check(self) -> BearerCheck:
        return BearerCheck(RULES, clock=lambda: self.now)

    async def fetch(self) -> Any:
        return {
            "keys": [
                {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}
                for kid, key in self.published.items()
            ]
        }

    def keys_fetched(self, url: str, count: int) -> None:
        """Nobody asks."""

    def keys_unreachable(self, *told: object) -> None:
        raise AssertionError(told)

    async def refusal(self, token: str, check: BearerCheck | None = None) -> Refusal | None:
        answer = await (check or self.check).refusal(presented(token), self.keys)
        # A renewal of the keys in the background comes to its end.
        for _ in range(5):
            await asyncio.sleep(0)
        return answer


def presented(token: str) -> Head:
    return Head("POST", "/api/callbacks", "", (("authorization", f"Bearer {token}"),))


def signed(kid: str = "a", key: rsa.RSAPrivateKey = FIRST, **claims: Any) -> str:
    ours = {"iss": "them", "aud": "us", "exp": START + 300}
    return jwt.encode(ours | claims, key, algorithm="RS256", headers={"kid": kid})


@contextmanager
def verified(monkeypatch: pytest.MonkeyPatch) -> Generator[list[str]]:
    """The ids of the keys by which signatures are verified, each time that one is."""
    ids: list[str] = []
    verify = rs256.is_signed

    def noted(token: Any, key: Any) -> bool:
        ids.append(token.key_id)
        return verify(token, key)

    with monkeypatch.context() as patched:
        patched.setattr(rs256, "is_signed", noted)
        yield ids


async def test_the_signature_of_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event Grid sends one token with many deliveries."""
    place, token = Place(), signed()
    with verified(monkeypatch) as ids:
        assert [await place.refusal(token) for _ in range(5)] == [None] * 5
        assert ids == ["a"]
        assert await place.refusal(signed(jti="other")) is None
        assert ids == ["a", "a"]


async def test_a_remembered_token_is_refused_after_its_end() -> None:
    """At the second that a new one would be, and from then on."""
    place, token = Place(), signed()
    assert await place.refusal(token) is None
    place.now = START + 300 + LEEWAY - 0.5
    assert await place.refusal(token) is None
    place.now = START + 300 + LEEWAY
    assert [await place.refusal(token) for _ in range(2)] == [Refusal("token_expired")] * 2


async def test_a_remembered_token_is_refused_before_its_beginning() -> None:
    """A clock may be set back."""
    place, token = Place(), signed(nbf=START)
    assert await place.refusal(token) is None
    place.now = START - LEEWAY - 1
    assert await place.refusal(token) == Refusal("token_not_yet_valid")


async def test_a_remembered_token_is_refused_once_its_key_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key goes what it signed, as soon as a new token of that key would be refused."""
    place, token = Place(), signed(exp=START + 10**6)
    assert await place.refusal(token) is None
    place.published = {"b": SECOND}
    assert await place.refusal(signed("b", SECOND)) is None
    place.now += GRACE - 1
    with verified(monkeypatch) as ids:
        assert await place.refusal(token) is None
        assert ids == []
    place.now += 1
    assert await place.refusal(token) == Refusal("key_unknown")


async def test_a_renewal_of_the_keys_has_every_token_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another key may be published under the same id."""
    place, token = Place(), signed(exp=START + 10**6)
    assert await place.refusal(token) is None
    place.now += LIFETIME
    assert await place.refusal(token) is None
    with verified(monkeypatch) as ids:
        assert [await place.refusal(token) for _ in range(3)] == [None] * 3
        assert ids == ["a"]
    place.published = {"a": SECOND}
    place.now += LIFETIME
    assert await place.refusal(token) is None
    assert [await place.refusal(token) for _ in range(2)] == [Refusal("signature_wrong")] * 2


REFUSED = {
    "signature_wrong": signed(key=SECOND),
    "audience_wrong": signed(aud="others"),
    "issuer_wrong": signed(iss="others"),
    "claim_missing": signed(aud=[]),
    "token_expired": signed(exp=START - 1000),
    "token_not_yet_valid": signed(nbf=START + 1000),
    "time_invalid": signed(exp=START * 1000),
}


@pytest.mark.parametrize(("reason", "token"), REFUSED.items(), ids=REFUSED)
async def test_a_refused_token_is_never_remembered(monkeypatch: pytest.MonkeyPatch, reason: str, token: str) -> None:
    """Each time it is verified from the beginning."""
    place = Place()
    with verified(monkeypatch) as ids:
        assert [await place.refusal(token) for _ in range(3)] == [Refusal(reason)] * 3
        assert ids == ["a"] * 3


async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier that remembers as many tokens as it may forgets them all, and verifies each anew."""
    monkeypatch.setattr(bearer, "MOST", 2)
    place, (first, second, third) = Place(), (signed(jti=str(number)) for number in range(3))
    with verified(monkeypatch) as ids:
        assert [await place.refusal(token) for token in (first, second, first, second)] == [None] * 4
        assert ids == ["a"] * 2
        assert [await place.refusal(token) for token in (third, third, first)] == [None] * 3
        assert ids == ["a"] * 4


TOKENS = [
    signed(),
    signed(exp=START + 100, nbf=START + 30),
    signed(exp=START + 10**5),
    signed("b", SECOND, exp=START + 10**5),
    signed("a", SECOND, exp=START + 10**5),
    signed(aud="others"),
    "no.token.atall",
]
STEPS = st.lists(
    st.one_of(
        st.sampled_from(TOKENS),
        st.sampled_from([-60.0, 1.0, 45.0, 200.0, GRACE, LIFETIME]),
        st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([FIRST, SECOND]), min_size=1),
    ),
    max_size=30,
)


@example(steps=[TOKENS[0], LIFETIME, {"a": SECOND}, TOKENS[0]])
@given(steps=STEPS)
async def test_what_is_remembered_changes_no_answer(steps: list[str | float | dict[str, rsa.RSAPrivateKey]]) -> None:
    """Whatever comes in which order, while time goes by and keys change: as if nothing had come before."""
    place = Place()
    for step in steps:
        if isinstance(step, float):
            place.now += step
        elif isinstance(step, dict):
            place.published = step
        else:
            # The first who asks has aged keys renewed, for those who ask after that.
            await place.refusal(step, place.new_check())
            assert await place.refusal(step) == await place.refusal(step, place.new_check()), json.dumps(step)
