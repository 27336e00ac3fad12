"""The bearer token of a request (RFC 6750, section 2.1): the order in which a verifier checks the token."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ringback.senders.auth import Refusal
from ringback.senders.jwt import Validity, read_claims, read_token
from ringback.senders.keys import KeysUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.senders.auth import Head
    from ringback.senders.jwt import Rules, SignedToken
    from ringback.senders.keys import KeySet

LONGEST = 16 * 1024
"""Characters of the longest token; Microsoft's tokens have one to two thousand."""

MOST = 1024
"""Tokens that one verifier remembers, a third of a megabyte; it forgets all of them before it remembers one more."""


class Accepted(Struct, frozen=True):
    """What the verifier checked once: that ``key``, with this id, has signed the token, and the lasting claims."""

    key_id: str
    key: Any
    validity: Validity


class BearerCheck:
    """Checks tokens by ``rules``, and remembers those that it accepted. ``clock`` gives seconds since 1970.

    A token which comes again costs one look-up: Event Grid sends one token of Microsoft Entra ID with many deliveries.
    A digest stands for a token: nobody can read a token out of the memory, and the time of a look-up says nothing of a
    token that the verifier has not seen. Each step is atomic, because the event loops of several threads may use one
    check.

    A remembered token is as good as a new one while its key set gives the very key that the check verified it with:
    after a key has gone, and after each renewal of the keys, the signature is verified again.
    """

    def __init__(self, rules: Rules, *, clock: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._clock = clock
        self._accepted: dict[bytes, Accepted] = {}

    async def refusal(self, head: Head, keys: KeySet) -> Refusal | None:
        """Why the token in the head of a request is refused."""
        given = head.values("authorization")
        if len(given) != 1:
            return Refusal("token_repeated" if given else "token_missing")
        digest = sha256(given[0].encode("utf-8", "surrogatepass")).digest()
        known = self._accepted.get(digest)
        if known is None or keys.at_hand(known.key_id) is not known.key:
            return await self._new(given[0], digest, keys)
        refusal = known.validity.refusal(self._clock())
        if refusal is not None:
            self._accepted.pop(digest, None)
        return refusal

    async def _new(self, credentials: str, digest: bytes, keys: KeySet) -> Refusal | None:
        # Not with this module: it imports cryptography.
        from ringback.senders.rs256 import is_signed

        self._accepted.pop(digest, None)
        token = _token(credentials)
        if isinstance(token, Refusal):
            return token
        try:
            key = await keys.find(token.key_id)
        except KeysUnavailable as error:
            return Refusal("keys_unavailable", 503, error.retry_after)
        if key is None:
            return Refusal("key_unknown")
        if not is_signed(token, key):
            return Refusal("signature_wrong")
        validity = read_claims(token.payload, self._rules, self._clock())
        if isinstance(validity, Refusal):
            return validity
        if len(self._accepted) >= MOST:
            self._accepted.clear()
        self._accepted[digest] = Accepted(token.key_id, key, validity)
        return None


def _token(credentials: str) -> SignedToken | Refusal:
    # White space around a header's value is not part of the value (RFC 9110, section 5.5). Spaces, and no tab, follow
    # the scheme (section 11.4). `read_token` refuses anything but the token behind them.
    scheme, _, token = credentials.strip(" \t").partition(" ")
    token = token.lstrip(" ")
    if scheme.lower() != "bearer":
        return Refusal("scheme_unknown")
    return Refusal("token_too_long") if len(token) > LONGEST else read_token(token)
