"""Azure Functions without a web framework: HTTP triggers, and triggers for events from a queue or Event Grid."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from ringback.adapters._registration import refuse_no_handler
from ringback.exceptions import DeliveryError, RegistrationError, StoreUnavailable, needs_extra
from ringback.hooks.signatures import handler_name, is_async
from ringback.receiving.exchange import Admitted, Found
from ringback.receiving.replies import Reply

with needs_extra("the decorator for Azure Functions", "azure-functions"):
    from azure.functions import EventGridEvent, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from azure.functions import QueueMessage, ServiceBusMessage

    from ringback.core.outcome import Outcome
    from ringback.web.handler import CallbackHandler

    Function = Callable[..., Awaitable[HttpResponse]]

F = TypeVar("F", bound="Function")
"""A function, which stays what it is to a type checker."""


def callback(handler: CallbackHandler) -> Callable[[F], F]:
    """Decorate the async function of an HTTP trigger, below ``@app.route(...)``. Only deliveries reach the function.

    The function's request parameter is ``req``, and the outcomes are in ``req.call_outcomes``. The handler's router
    needs a store, because Azure Functions does not tell a function that its worker process ends. Raises
    :class:`RegistrationError` for a function that is not async, or that takes no ``req``.
    """
    refuse_no_handler(handler)

    def decorate(function: F) -> F:
        _refuse_unfit(function)

        @functools.wraps(function)
        async def callback(req: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            url = urlsplit(req.url)
            exchange = handler.exchange(req.headers, method=req.method, path=url.path, query=url.query)
            # The host has read the body, and may have dropped the headers that announce a body.
            found: Found = await exchange.admit(bool(req.get_body()))
            if found is Admitted.READ_BODY:
                found = await exchange.take(req.get_body())
            if isinstance(found, Reply):
                return response(found)
            if found is Admitted.PASS_ON:
                return await function(req, *args, **kwargs)
            req.call_outcomes = found  # type: ignore[attr-defined]
            with exchange:
                return await function(req, *args, **kwargs)

        return cast("F", callback)

    return decorate


async def respond(handler: CallbackHandler, req: HttpRequest) -> HttpResponse:
    """The whole response of an HTTP trigger that does nothing but receive deliveries."""
    url = urlsplit(req.url)
    path, query = url.path, url.query
    return response(await handler.handle(req.get_body(), req.headers, method=req.method, path=path, query=query))


async def consume(
    handler: CallbackHandler, message: QueueMessage | ServiceBusMessage | EventGridEvent
) -> tuple[Outcome, ...]:
    """Handle the message of a trigger, and give its outcomes. The platform has verified the sender: use ``auth=None``.

    Raises :class:`DeliveryError` for a message that is no event, and :class:`StoreUnavailable`. The platform then
    retries the message, and moves a message that always fails to its dead letters.
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
    content_type = headers.pop("content-type", None)
    return HttpResponse(reply.body, status_code=reply.status, headers=headers, mimetype=content_type)


def _refuse_unfit(function: object) -> None:
    """Raise :class:`RegistrationError` for what the decorator cannot call."""
    if not callable(function):
        raise RegistrationError(f"callback {function!r} is no function; decorate the function itself")
    if not is_async(function):
        # A function of @app.route is no function any more, but what the platform registers.
        raise RegistrationError(
            f"callback {handler_name(function)} is not async; write async def, and @callback(handler) below @app.route"
        )
    if "req" not in inspect.signature(function).parameters:
        raise RegistrationError(f"callback {handler_name(function)} has no parameter req; name the request's so")


def _event(message: EventGridEvent) -> bytes:
    # The SDK gives the event's members one by one, so they are put together again in Event Grid's schema.
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
