"""The decorator around one endpoint of Starlette or FastAPI, and the router that carries it."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, overload

from starlette.background import BackgroundTasks
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ringback import logs
from ringback.asgi import replayed
from ringback.dispatch import SETTLE, Dispatcher
from ringback.events import MAX_BODY, MAX_EVENTS
from ringback.exceptions import DeliveryTooLarge, MalformedDelivery, RegistrationError
from ringback.intake import Intake, Reply, refusal
from ringback.router import HandlerRouter, handler_name
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.outcome import Outcome

E = TypeVar("E", bound="Callable[..., Any]")


@dataclass(eq=False)
class OutcomeRouter(HandlerRouter):
    """The handlers of an app, and the decorator :meth:`callback` for its callback endpoint.

    ``settle`` is the time in seconds that a decorated endpoint's calls wait for their sibling
    event; the middleware has its own.
    """

    settle: float = SETTLE
    _dispatcher: Dispatcher | None = field(default=None, init=False, repr=False)

    @overload
    def callback(self, endpoint: E) -> E: ...
    @overload
    def callback(
        self, *, catalog: Catalog | None = None, max_body: int = MAX_BODY, max_events: int = MAX_EVENTS
    ) -> Callable[[E], E]: ...
    def callback(
        self,
        endpoint: E | None = None,
        *,
        catalog: Catalog | None = None,
        max_body: int = MAX_BODY,
        max_events: int = MAX_EVENTS,
    ) -> Any:
        """Decorate a callback endpoint: the same as the middleware, for this endpoint alone.

        The endpoint finds the outcomes in ``request.state.call_outcomes`` and can read the body
        again. What is no delivery is answered without calling it. Await :meth:`drain` when the
        app shuts down. Raises :class:`RegistrationError` for what is no function.
        """
        if endpoint is None:
            return functools.partial(self.callback, catalog=catalog, max_body=max_body, max_events=max_events)
        if isinstance(endpoint, functools.partial) or not callable(endpoint):
            raise RegistrationError(f"callback {endpoint!r} is no endpoint; decorate the function itself")
        return _wrapped(endpoint, Intake(catalog or Catalog.default(), max_body, max_events), self.dispatcher)

    @property
    def dispatcher(self) -> Dispatcher:
        """Who calls this router's handlers for decorated endpoints; one for all of them."""
        if self._dispatcher is None:
            self._dispatcher = Dispatcher(self, logs.LogObserver(), settle=self.settle)
        return self._dispatcher

    async def drain(self, timeout: float = 20.0) -> None:
        """Call the handlers that are due and give them ``timeout`` seconds; for the app's shutdown."""
        await self.dispatcher.drain(timeout)


def _wrapped(endpoint: Callable[..., Any], intake: Intake, dispatcher: Dispatcher) -> Callable[..., Any]:
    signature, added = _signature(endpoint)
    is_async = inspect.iscoroutinefunction(endpoint)

    @functools.wraps(endpoint)
    async def callback(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        name = next((name for name, value in bound.arguments.items() if isinstance(value, Request)), None)
        if name is None:
            raise RegistrationError(
                f"callback {handler_name(endpoint)} was called without a starlette Request; "
                "give it a parameter request: Request"
            )
        original: Request = bound.arguments[name]
        body = await _body(original, intake.max_body)
        received = body if isinstance(body, Reply) else intake.receive(original.headers, body)
        if isinstance(received, Reply):
            logs.answered(received)
            return Response(received.body, received.status, dict(received.headers))
        assert isinstance(body, bytes)
        request = type(original)(original.scope, replayed(body, original.receive))
        request.state.call_outcomes = received.outcomes
        if added:
            del bound.arguments[name]
        else:
            bound.arguments[name] = request
        answered: Any = None
        with logs.bound_ids(received.delivery.events):
            logs.received(received)
            try:
                call = functools.partial(endpoint, *bound.args, **bound.kwargs)
                answered = await call() if is_async else await run_in_threadpool(call)
            finally:
                # A response takes the hooks along, to follow once it is sent; nothing else can.
                if isinstance(answered, Response):
                    answered.background = _followed(answered, dispatcher, received.outcomes)
                else:
                    dispatcher.submit(received.outcomes)
        return answered

    callback.__signature__ = signature  # type: ignore[attr-defined]
    return callback


def _signature(endpoint: Callable[..., Any]) -> tuple[inspect.Signature, bool]:
    """The endpoint's signature, with a parameter for the request if it has none, and whether that was added.

    FastAPI fills parameters by their annotation, so an endpoint need not ask for the request itself.
    """
    signature = inspect.signature(endpoint)
    parameters = list(signature.parameters.values())
    if any(each.name == "request" or _names_request(each.annotation) for each in parameters):
        return signature, False
    own = inspect.Parameter("ringback_request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    last = len(parameters)
    if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
        last -= 1
    return signature.replace(parameters=[*parameters[:last], own, *parameters[last:]]), True


def _names_request(annotation: object) -> bool:
    # Annotations may be text that only their own module can resolve.
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == "Request"
    return isinstance(annotation, type) and issubclass(annotation, Request)


async def _body(request: Request, limit: int) -> bytes | Reply:
    """The request's body, also if the framework has read it before; a reply if there is none to go on with."""
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                return refusal(DeliveryTooLarge(f"the body has more than {limit} bytes; no more are accepted"))
            chunks.append(chunk)
    except ClientDisconnect:
        return refusal(MalformedDelivery("the sender disconnected before the body was complete"))
    return b"".join(chunks)


def _followed(response: Response, dispatcher: Dispatcher, outcomes: tuple[Outcome, ...]) -> BackgroundTasks:
    async def submit() -> None:
        dispatcher.submit(outcomes)

    tasks = BackgroundTasks()
    tasks.add_task(submit)
    if response.background is not None:
        # After ours: a background task of the app that raises must not cost a hook.
        tasks.add_task(response.background)
    return tasks
