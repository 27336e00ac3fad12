"""A JSON Web Token, from the text to frozen values: its compact form (RFC 7515, section 7.1), and its claims (RFC 7519,
section 4.1), which a verifier demands and which hold for a time. Pure.
"""

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


class Rules(Struct, frozen=True):
    """What every token of a sender must claim. ``leeway`` is in seconds.

    ``applications`` are ids that ``azp`` or ``appid`` may have; ``None`` accepts a token without these claims.
    """

    audiences: frozenset[str]
    issuers: frozenset[str]
    leeway: float
    applications: frozenset[str] | None = None


class Validity(Struct, frozen=True):
    """The time in which a verifier accepts a token, in seconds since 1970; the leeway is in both ends."""

    begins: float
    ends: float

    def refusal(self, now: float) -> Refusal | None:
        """Why the token is not valid now; the verifier asks again each time that the token is used."""
        if self.begins > now:
            return Refusal("token_not_yet_valid")
        return Refusal("token_expired") if self.ends <= now else None


def read_claims(payload: bytes, rules: Rules, now: float) -> Validity | Refusal:
    """When a token with this payload is valid, or why the claims are refused."""
    try:
        claims = json.loads(payload.decode())
    except (ValueError, RecursionError):
        return Refusal("token_invalid")
    if not isinstance(claims, dict):
        return Refusal("token_invalid")
    given = cast("dict[str, Any]", claims)
    if any(given.get(name) is None for name in ("exp", "iss", "aud")):
        return Refusal("claim_missing")
    validity = _validity(given, rules.leeway)
    if isinstance(validity, Refusal):
        return validity
    return validity.refusal(now) or _lasting_refusal(given, rules) or validity


def _validity(claims: dict[str, Any], leeway: float) -> Validity | Refusal:
    try:
        # A fraction of a second is cut off (RFC 7519, section 2, allows it). No other type than a number gets far.
        begins = max(int(claims.get(name, 0)) for name in ("iat", "nbf"))
        return Validity(begins - leeway, int(claims["exp"]) + leeway)
    except (ValueError, TypeError, OverflowError):
        return Refusal("token_invalid")


def _lasting_refusal(claims: dict[str, Any], rules: Rules) -> Refusal | None:
    """Why the claims are refused at any time."""
    issuer, audience = claims["iss"], claims["aud"]
    if not isinstance(issuer, str) or issuer not in rules.issuers:
        return Refusal("issuer_wrong")
    if not audience:
        return Refusal("claim_missing")
    if not _is_meant(audience, rules.audiences):
        return Refusal("audience_wrong")
    # Digits in a text, and times in another unit.
    for time in (claims[name] for name in ("exp", "nbf", "iat") if name in claims):
        if not isinstance(time, int | float) or not 0 <= time < _YEAR_10000:
            return Refusal("time_invalid")
    application = claims.get("azp") or claims.get("appid")
    if rules.applications is not None and not (isinstance(application, str) and application in rules.applications):
        return Refusal("application_unknown")
    return None


def _is_meant(audience: object, audiences: frozenset[str]) -> bool:
    """Whether ``aud``, a text or a list of texts, names one of the audiences."""
    named = cast("list[object]", audience) if isinstance(audience, list) else [audience]
    texts = {each for each in named if isinstance(each, str)}
    return len(texts) > 0 and all(isinstance(each, str) for each in named) and not texts.isdisjoint(audiences)


_YEAR_10000 = 253_402_300_800
