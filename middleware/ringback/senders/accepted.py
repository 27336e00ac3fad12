"""The tokens that a verifier has accepted, so that a token which comes again costs one look-up.

Event Grid sends one token of Microsoft Entra ID with many deliveries. A digest stands for a token: nobody can read a
token out of the memory, and the time of a look-up says nothing of a token that the verifier has not seen.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from ringback.senders.claims import Validity

MOST = 1024
"""Tokens that one verifier remembers, a third of a megabyte; the token that was used longest ago goes first."""


class Accepted(Struct, frozen=True):
    """What the verifier checked once: that ``key``, with this id, has signed the token, and the lasting claims."""

    key_id: str
    key: Any
    validity: Validity


class AcceptedTokens:
    """Accepted tokens by digest, at most ``most``."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._tokens: OrderedDict[bytes, Accepted] = OrderedDict()

    def find(self, digest: bytes) -> Accepted | None:
        # Out of its place and in at the end. Each step is atomic, because a verifier may serve the event loops of
        # several threads: another thread that looks in between verifies the token again.
        found = self._tokens.pop(digest, None)
        if found is not None:
            self._tokens[digest] = found
        return found

    def add(self, digest: bytes, accepted: Accepted) -> None:
        self._tokens[digest] = accepted
        if len(self._tokens) > self._most:
            self._tokens.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        self._tokens.pop(digest, None)
