"""Call Automation's REST interface for the real client: takes a request, returns a turn. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ringback.simulator.access import fault_of
from ringback.simulator.operations import OPERATIONS
from ringback.simulator.repeats import Repeats
from ringback.simulator.turns import Asked, Turn
from ringback.simulator.wire import Refused, Reply, object_of, scripted

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
        fault = fault_of(request, self._key)
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
    return object_of(content)
