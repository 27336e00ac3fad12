"""Azure Functions without a web framework: HTTP triggers, and triggers that bring events by queue or Event Grid."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from azure.functions import EventGridEvent, HttpRequest, HttpResponse

from ringback.entrance import Admission
from ringback.exceptions import DeliveryError, StoreUnavailable
from ringback.intake import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from azure.functions import QueueMessage, ServiceBusMessage

    from ringback.handler import CallbackHandler, Found
    from ringback.outcome import Outcome

    Function = Callable[..., Awaitable[HttpResponse]]


def callback(handler: CallbackHandler) -> Callable[[Function], Function]:
    """Decorate the async function of an HTTP trigger, below ``@app.route(...)``: only deliveries reach it.

    The function's request is called ``req``; outcomes are in ``req.call_outcomes``. Nobody tells a function that its
    worker ends: give the handler a store.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        async def callback(req: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            url = urlsplit(req.url)
            found: Found = await handler.admit(req.headers, method=req.method, path=url.path, query=url.query)
            if isinstance(found, Admission):
                found = await handler.take(found, req.get_body())
            if isinstance(found, Reply):
                return response(found)
            if found is None:
                return await function(req, *args, **kwargs)
            req.call_outcomes = found.outcomes  # type: ignore[attr-defined]
            async with handler.route(found):
                return await function(req, *args, **kwargs)

        return callback

    return decorate


async def respond(handler: CallbackHandler, req: HttpRequest) -> HttpResponse:
    """All there is to do for an HTTP trigger that has nothing else to do."""
    url = urlsplit(req.url)
    path, query = url.path, url.query
    return response(await handler.handle(req.get_body(), req.headers, method=req.method, path=path, query=query))


async def consume(
    handler: CallbackHandler, message: QueueMessage | ServiceBusMessage | EventGridEvent
) -> tuple[Outcome, ...]:
    """Handle what a trigger brings, and give its outcomes. The platform has verified the sender: use ``auth=None``.

    Raises :class:`DeliveryError` for what is no event, and :class:`StoreUnavailable`; the platform then tries
    again, and puts aside what stays bad.
    """
    body = _event(message) if isinstance(message, EventGridEvent) else message.get_body()
    reply = await handler.handle(body, {})
    if reply.status == 503:
        raise StoreUnavailable(reply.fact)
    if reply.status != 200:
        raise DeliveryError(reply.fact)
    return reply.outcomes


def response(reply: Reply) -> HttpResponse:
    """A reply as the response of an HTTP trigger."""
    headers = dict(reply.headers)
    kind = headers.pop("content-type", None)
    return HttpResponse(reply.body, status_code=reply.status, headers=headers, mimetype=kind)


def _event(message: EventGridEvent) -> bytes:
    # The trigger has taken the event apart; its schema puts it together again.
    event = {
        "id": message.id,
        "topic": message.topic,
        "subject": message.subject,
        "eventType": message.event_type,
        "eventTime": message.event_time,
        "dataVersion": message.data_version,
        "data": message.get_json(),
    }
    return msgspec.json.encode([event])
