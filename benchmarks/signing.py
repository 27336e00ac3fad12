"""Signed requests, and what verifies them: real RS256 keys as ``ringback.testing`` makes them, no network."""

from __future__ import annotations

import itertools
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING

from ringback.testing import Issuer

if TYPE_CHECKING:
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
