"""The route as people write it by hand, in the style of Microsoft's public samples.

``published`` does what the samples do: a CloudEvent for each event, a line that says it came, a look at the result.
``one_line`` has the ids as keys of one line instead, for an app whose log is JSON.
``same_work`` does what Ringback does, by the same means, carefully: nothing is decoded or built twice, the look-up is
one dictionary, the line is one call of structlog and has every key that Ringback's has.
``by_contexts`` and ``by_name`` are the dispatch of two public apps in our own words, without what the apps then do.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from azure.communication.callautomation._generated.models import CallDisconnected
from azure.core.messaging import CloudEvent
from loglines import app_logger
from starlette.responses import Response

from ringback import classify
from ringback.core.fields import Line
from ringback.logs import level_of
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from starlette.requests import Request


async def published(request: Request) -> Response:
    """A CloudEvent for each event and lines of text."""
    lines(await request.json())
    return Response()


def lines(events: Any) -> None:
    log = app_logger()
    for each in events:
        event: Any = CloudEvent.from_dict(each)
        leg = event.data["callConnectionId"]
        log.info(f"{event.type} event received for call connection id: {leg}")
        if event.type == "Microsoft.Communication.CallDisconnected":
            result = event.data["resultInformation"]
            log.info(f"call ended, message={result['message']}, subCode={result['subCode']}")


async def one_line(request: Request) -> Response:
    """A CloudEvent for each event, and that it came."""
    log = app_logger()
    for each in await request.json():
        event: Any = CloudEvent.from_dict(each)
        log.info("event received", event_type=event.type, call_connection_id=event.data["callConnectionId"])
    return Response()


async def by_contexts(request: Request) -> Response:
    """A CloudEvent and its context for each event, then one comparison after the other until a type is the event's."""
    log = app_logger()
    for each in await request.json():
        event: Any = CloudEvent.from_dict(each)
        leg, told = event.data["callConnectionId"], event.data.get("operationContext")
        try:
            contexts = json.loads(told) if told else None
        except ValueError:
            contexts = None
        log.info(f"{event.type} of call {leg}")
        if event.type == "Microsoft.Communication.CallConnected":
            log.info(f"call {leg} is answered")
        elif event.type == "Microsoft.Communication.CallDisconnected":
            log.info(f"call {leg} has ended")
        elif event.type == "Microsoft.Communication.RecognizeCompleted":
            log.info(f"call {leg} has said something, asked for {contexts}")
    return Response()


_LIVE: dict[str, str] = {}


async def by_name(request: Request) -> Response:
    """No CloudEvent: the type and the data as they are, and a dictionary of the calls that are live."""
    log = app_logger()
    for each in await request.json():
        name, data = each.get("type"), each.get("data", {})
        leg = data.get("callConnectionId")
        if name == "Microsoft.Communication.CallConnected":
            _LIVE[leg] = data.get("correlationId")
            log.info(f"call connected: {leg}")
        elif name == "Microsoft.Communication.RecognizeFailed":
            log.warning(f"nothing understood: {leg}")
        elif name == "Microsoft.Communication.CallDisconnected":
            log.info(f"call disconnected: {leg}")
            _LIVE.pop(leg, None)
    return Response()


_OF_THE_VERDICT = (
    "cause disposition retry_class retry_action retry_after_seconds category owner confidence match summary advice "
    "documentation"
).split()


def _facts() -> dict[tuple[int, int], tuple[str, dict[str, Any]]]:
    """By code and subcode, a line's level and its share that is the same for all calls with that verdict."""
    table: dict[tuple[int, int], tuple[str, dict[str, Any]]] = {}
    for entry in Catalog.default().entries:
        code, subcode = entry.key.code, entry.key.subcode
        if isinstance(code, int) and subcode is not None:
            outcome = classify("CallDisconnected", code, subcode)
            line = as_line(outcome)
            level = logging.getLevelName(level_of(outcome)).lower()
            table[code, subcode] = level, {name: line[name] for name in _OF_THE_VERDICT if name in line}
    return table


as_line = Line()
_TABLE = _facts()


async def same_work(request: Request) -> Response:
    """The verdict of every event, and one line with all that is known of it."""
    log = app_logger()
    for each in await request.json():
        event: Any = CloudEvent.from_dict(each)
        ended = CallDisconnected.deserialize(event.data)
        result: Any = ended.result_information
        level, facts = _TABLE[result.code, result.sub_code]
        line: dict[str, Any] = {
            "schema": 2,
            "event_id": event.id,
            "event_type": event.type,
            "scope": "call",
            "code": result.code,
            "subcode": result.sub_code,
            **facts,
            "call_connection_id": ended.call_connection_id,
            "correlation_id": ended.correlation_id,
            "operation_context": ended.operation_context,
            "occurred_at": event.time.isoformat(),
            "result_message": result.message,
        }
        getattr(log, level)("call.outcome", **line)
    return Response()
