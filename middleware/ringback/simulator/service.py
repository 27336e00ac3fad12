"""Call Automation's REST interface for the real client: takes a signed request, gives a reply and a turn. No I/O.

The signature is HMAC-SHA256 over method, path, date, host and body:
https://learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote

from ringback.simulator.operations import OPERATIONS
from ringback.simulator.repeats import Repeats
from ringback.simulator.turns import Asked, Turn
from ringback.simulator.wire import Refused, Reply, scripted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.simulator.scenarios import Answer
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.wire import Request


class Service:
    """Answers requests that are signed with ``key``, a repeated one from memory."""

    def __init__(self, switchboard: Switchboard, *, key: str) -> None:
        self._switchboard = switchboard
        self._key = key
        self._repeats = Repeats(switchboard.outside.clock)
        self._faults: list[Refused] = []

    def fail_next(self, answer: Answer, times: int = 1) -> None:
        """Answer the next requests with this error, whatever they ask for."""
        self._faults += [scripted(answer)] * times

    def handle(self, request: Request) -> tuple[Reply, Turn]:
        """Answer one request, and say what follows. Nothing follows an error, or a request that came before."""
        try:
            return self._answered(request)
        except Refused as refused:
            return refused.reply, Turn()

    def _answered(self, request: Request) -> tuple[Reply, Turn]:
        fault = _fault_of(request, self._key)
        if fault is not None:
            raise Refused(401, "Unauthorized", fault)
        if request.version is None:
            raise Refused(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        if self._faults:
            raise self._faults.pop(0)
        before = self._repeats.recall(request)
        if before is not None:
            return before, Turn()
        status, turn = self._routed(request)
        return self._repeats.remember(request, Reply(status, turn.content)), turn

    def _routed(self, request: Request) -> tuple[int, Turn]:
        for operation in OPERATIONS:
            found = operation.path.fullmatch(request.path)
            if found is not None and operation.verb == request.method:
                named = {name: unquote(value) for name, value in found.groupdict().items()}
                asked = Asked(_content(request), request.version or "", **named)
                return operation.status, operation.act(self._switchboard, asked)
        raise Refused(404, "NotFound", "The simulator has no such operation.")


def _content(request: Request) -> Mapping[str, Any]:
    if not request.body:
        return {}
    try:
        content = json.loads(request.body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refused(400, "8523", "The body is no JSON object.")
    return cast("dict[str, Any]", content)


_SIGNED = re.compile(r"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=(?P<signature>\S+)")


def _fault_of(request: Request, key: str) -> str | None:
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
