"""Whether a request is signed with the access key: HMAC-SHA256 over method, path, date, host and body.

https://learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from ringback.simulator.wire import Request

_SIGNED = re.compile(r"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=(?P<signature>\S+)")


def fault_of(request: Request, key: str) -> str | None:
    """Why the request's signature is wrong, or ``None``. The simulator does not check the age of x-ms-date."""
    given = _SIGNED.fullmatch(request.header("authorization"))
    if given is None:
        return "the Authorization header is no HMAC-SHA256 signature of x-ms-date, host and x-ms-content-sha256"
    digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
    if not hmac.compare_digest(request.header("x-ms-content-sha256").encode(), digest.encode()):
        return "x-ms-content-sha256 is not the hash of the body"
    stamped = f"{request.header('x-ms-date')};{request.header('host')};{digest}"
    secret = base64.b64decode(key)
    for target in _spellings(request.target):
        text = f"{request.method}\n{target}\n{stamped}"
        expected = base64.b64encode(hmac.digest(secret, text.encode(), "sha256"))
        if hmac.compare_digest(given["signature"].encode(), expected):
            return None
    return "the signature does not match; sign with the access key of this simulator"


def _spellings(target: str) -> list[str]:
    """The target as it came, and as the client signed it: aiohttp sends the %3A of a signed raw id as a colon."""
    path, mark, query = target.partition("?")
    escaped = _RAW_ID.sub(lambda found: found[1] + quote(unquote(found[2]), safe=""), path)
    return [target, f"{escaped}{mark}{query}"]


_RAW_ID = re.compile(r"(/participants/|^/identities/)([^/]+)")
