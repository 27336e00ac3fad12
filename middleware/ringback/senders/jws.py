"""A token in its compact form (RFC 7515, section 7.1): from the text to a frozen value. Pure."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, cast

from msgspec import Struct

from ringback.senders.auth import Refusal


class SignedToken(Struct, frozen=True):
    """The parts of a token whose signature nobody has verified yet. ``signed`` is what the signature is of."""

    key_id: str
    signed: bytes
    payload: bytes
    signature: bytes


def read_token(text: str) -> SignedToken | Refusal:
    """The token in a text, or why the text is no token of RS256."""
    try:
        signed, _, signature = text.encode("ascii").rpartition(b".")
        header, payload, signature = map(_octets, (*signed.split(b"."), signature))
        decoded = json.loads(header.decode())
    except (ValueError, RecursionError):
        return Refusal("token_malformed")
    if not isinstance(decoded, dict):
        return Refusal("token_malformed")
    fields = cast("dict[str, Any]", decoded)
    if _is_invalid(fields):
        return Refusal("token_malformed")
    if fields.get("alg") != "RS256":
        return Refusal("algorithm_refused")
    # Both change what is signed (RFC 7797), and no sender of ours uses them.
    if "crit" in fields or "b64" in fields:
        return Refusal("extension_refused")
    key_id = fields.get("kid", "")
    return SignedToken(key_id, signed, payload, signature) if 0 < len(key_id) <= 256 else Refusal("key_id_missing")


def _is_invalid(header: dict[str, Any]) -> bool:
    """Whether a member that Ringback knows is no such member, or the header demands an extension that nobody knows.

    Source: RFC 7515, sections 4.1.4 and 4.1.11, and RFC 7797, section 6.
    """
    return (
        not isinstance(header.get("kid", ""), str)
        or header.get("crit", ["b64"]) != ["b64"]
        or header.get("b64", True) is False
    )


def _octets(segment: bytes) -> bytes:
    """The bytes of one part. Raises :class:`ValueError` for any spelling but that of RFC 7515, section 2."""
    octets = urlsafe_b64decode(segment + b"==")
    # The decoder skips what it does not know, and ignores the bits that the last character has to spare.
    if not octets or urlsafe_b64encode(octets).rstrip(b"=") != segment:
        raise ValueError("a part of a token has one spelling")
    return octets
