"""The keys under which stores keep items, calls and legs. Pure."""

from __future__ import annotations

import hashlib
from typing import overload

END = "call:"
"""What the key of an end begins with, before the id of the leg, or of the call if no leg is named."""

LONGEST_KEY = 255
"""Characters of a key; stores keep the hash of a longer key."""


@overload
def short(key: str) -> str: ...
@overload
def short(key: str | None) -> str | None: ...
def short(key: str | None) -> str | None:
    """The key, or a text with the key's SHA-256 if the key is unprintable or longer than :data:`LONGEST_KEY`.

    ``None`` for ``None``.
    """
    if key is None or (len(key) <= LONGEST_KEY and key.isprintable()):
        return key
    # A word, as keys begin with. Any other beginning may be of something private, which nobody knows from its half.
    kind, colon, _ = key[:32].partition(":")
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kind if colon and kind.isalpha() else 'key'}:sha256:{digest}"


def numbered(text: str) -> int:
    """A number of 63 bits that stands for the text in an index, which a number keeps short."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    # The integers of SQLite and PostgreSQL have 63 bits and a sign: https://www.sqlite.org/datatype3.html
    return int.from_bytes(digest, "big") >> 1
