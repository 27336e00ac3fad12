"""Signed requests, and what verifies them: real RS256 keys as ``ringback.testing`` makes them, no network."""

from __future__ import annotations

import base64
import itertools
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ringback.testing import Issuer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback import CallbackTokenVerifier

_POOL = 200
"""Tokens of a run; signing one takes far longer than verifying it."""


@lru_cache(maxsize=1)
def _issuer() -> Issuer:
    # Longer than any run: an expired token would be refused sooner, and so cost less.
    return Issuer()


def verifier() -> CallbackTokenVerifier:
    """One that has its keys and has seen no token yet."""
    return _issuer().verifier()


@lru_cache(maxsize=1)
def _tokens() -> itertools.cycle[bytes]:
    issuer = _issuer()
    signed = [issuer.token(jti=str(uuid.uuid4()), exp=2**32 - 1).encode() for _ in range(_POOL)]
    return itertools.cycle(signed)


def authorization() -> bytes:
    """The header of the next request. Microsoft sends a new token with every event."""
    return b"Bearer " + next(_tokens())


def floor(token: str) -> Callable[[], None]:
    """OpenSSL's own verification of a token's signature, called through cryptography: none can be cheaper."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    public: Any = jwt.algorithms.RSAAlgorithm.from_jwk(_issuer().key_set["keys"][0])
    assert isinstance(public, rsa.RSAPublicKey)
    signed, _, signature = token.rpartition(".")
    message, proof = signed.encode(), base64.urlsafe_b64decode(signature + "==")
    scheme, digest = padding.PKCS1v15(), SHA256()
    return lambda: public.verify(proof, message, scheme, digest)
