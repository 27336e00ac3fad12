"""Stand-ins for private texts in addresses, which proxies log: only the browser that got one can have it read. Pure.

A stand-in is the text encrypted with the token of the browser's cookie, so that every process can read it and no
process has to remember it. Equal texts have equal stand-ins for one browser: the tag is the nonce, as in RFC 5297.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from ringback.privacy.private import GUID
from ringback.privacy.redaction import redact

MARK = "~"
"""Begins every stand-in."""

_TAG = 16


def is_public(text: str) -> bool:
    """Whether the text may stand in an address: a GUID, as the log prints it."""
    return GUID.fullmatch(text) is not None and redact(text) == text


def addressed(text: str, token: str) -> str:
    """The text as an address has it: itself if it is public, else its stand-in for the browser of this ``token``."""
    return text if is_public(text) else seal(text, token)


def seal(text: str, token: str) -> str:
    content = text.encode("utf-8", "surrogatepass")
    tag = _tag(content, token)
    return MARK + base64.urlsafe_b64encode(tag + _mixed(content, tag, token)).decode().rstrip("=")


def unseal(given: str, token: str | None) -> str | None:
    """The text of an address; ``None`` for a stand-in of another browser, and for what is none."""
    if not given.startswith(MARK):
        return given
    try:
        sealed = base64.urlsafe_b64decode(given[len(MARK) :] + "===")
    except (binascii.Error, ValueError):
        return None
    tag, content = sealed[:_TAG], sealed[_TAG:]
    if token is None:
        return None
    content = _mixed(content, tag, token)
    return content.decode("utf-8", "surrogatepass") if hmac.compare_digest(tag, _tag(content, token)) else None


def _tag(content: bytes, token: str) -> bytes:
    return hmac.digest(b"tag " + token.encode(), content, "sha256")[:_TAG]


def _mixed(content: bytes, tag: bytes, token: str) -> bytes:
    """The content with the stream of this tag; mixed twice, it is the content again."""
    blocks = range(-(-len(content) // 32))
    stream = b"".join(
        hmac.digest(b"stream " + token.encode(), tag + number.to_bytes(4, "big"), "sha256") for number in blocks
    )
    return bytes(one ^ other for one, other in zip(content, stream, strict=False))
