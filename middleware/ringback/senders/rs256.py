"""RS256 (RFC 7518, section 3.3) by cryptography: public keys, and signatures by them.

This module imports cryptography, so other modules import this one when an app verifies tokens.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.senders.jwt import SignedToken


def public_key(entry: Mapping[str, Any]) -> RSAPublicKey:
    """The key of a JSON Web Key (RFC 7518, section 6.3.1). Raises an exception of any type for a malformed one."""
    exponent, modulus = (int.from_bytes(urlsafe_b64decode(entry[name] + "==")) for name in ("e", "n"))
    return RSAPublicNumbers(exponent, modulus).public_key()


def is_signed(token: SignedToken, key: RSAPublicKey) -> bool:
    """Whether the holder of the key has signed the token."""
    try:
        key.verify(token.signature, token.signed, _PADDING, _HASH)
    except InvalidSignature:
        return False
    return True


_PADDING, _HASH = PKCS1v15(), SHA256()
