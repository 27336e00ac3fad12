"""Signed requests, and what verifies them: real RS256 keys as ``ringback.testing`` makes them, no network."""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import TYPE_CHECKING

from ringback.testing import Issuer

if TYPE_CHECKING:
    from ringback import CallbackTokenVerifier


@lru_cache(maxsize=1)
def _issuer() -> Issuer:
    # Longer than any run: an expired token would be refused sooner, and so cost less.
    return Issuer()


def verifier() -> CallbackTokenVerifier:
    """One that has its keys and has seen no token yet."""
    return _issuer().verifier()


def new() -> bytes:
    """The header of a request whose token no other request has."""
    return b"Bearer " + _issuer().token(jti=str(uuid.uuid4()), exp=2**32 - 1).encode()


@lru_cache(maxsize=1)
def known() -> bytes:
    """The header of all requests with one and the same token."""
    return new()
