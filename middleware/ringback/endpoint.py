"""The decorator around one endpoint of Starlette or FastAPI, and the router that carries it."""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, overload

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ringback import logs
from ringback.asgi import BODY_TIMEOUT, refuse_negative, replayed, response
from ringback.callables import handler_name
from ringback.dispatch import SETTLE, Dispatcher, OnStoreFailure
from ringback.entrance import Admission, Entrance
from ringback.events import MAX_BODY, MAX_EVENTS
from ringback.exceptions import RegistrationError
from ringback.gate import MAX_HEADERS, UNSET, Gate, Unset
from ringback.intake import Intake, Reply, too_large, too_slow
from ringback.router import HandlerRouter
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection

    from starlette.types import Receive, Scope, Send

    from ringback.auth import Check
    from ringback.hooks import HookPolicy
    from ringback.observer import Gauge
    from ringback.stores import DeliveryStore

E = TypeVar("E", bound="Callable[..., Any]")


@dataclass(eq=False)
class OutcomeRouter(HandlerRouter):
    """The handlers of an app, and the decorator :meth:`callback` for its callback endpoint.

    ``settle``, ``store``, ``hooks``, ``on_store_failure``, ``worker`` and ``telemetry`` are for decorated endpoints,
    and mean what they mean for :class:`CallOutcomeMiddleware`, which has its own. Nobody tells a decorator that the app
    starts or stops: run :meth:`lifespan` in the app's, or await :meth:`start` and :meth:`drain`.
    """

    settle: float = SETTLE
    store: str | DeliveryStore | None = None
    hooks: HookPolicy | None = None
    on_store_failure: OnStoreFailure = "refuse"
    worker: bool = True
    telemetry: Gauge | None = None
    _dispatcher: Dispatcher | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        refuse_negative("settle", self.settle)

    @overload
    def callback(self, endpoint: E) -> E: ...
    @overload
    def callback(
        self,
        *,
        catalog: Catalog | None = None,
        auth: Check | Collection[Check] | Unset | None = UNSET,
        max_body: int = MAX_BODY,
        max_events: int = MAX_EVENTS,
        max_depth: int | None = None,
        max_headers: int = MAX_HEADERS,
        body_timeout: float = BODY_TIMEOUT,
    ) -> Callable[[E], E]: ...
    def callback(
        self,
        endpoint: Callable[..., Any] | None = None,
        *,
        catalog: Catalog | None = None,
        auth: Check | Collection[Check] | Unset | None = UNSET,
        max_body: int = MAX_BODY,
        max_events: int = MAX_EVENTS,
        max_depth: int | None = None,
        max_headers: int = MAX_HEADERS,
        body_timeout: float = BODY_TIMEOUT,
    ) -> Any:
        """Decorate a callback endpoint: the same as the middleware, for this endpoint alone.

        The endpoint finds the outcomes in ``request.state.call_outcomes`` and can read the body
        again. What is no delivery is answered without calling it. Await :meth:`drain` when the
        app shuts down. Raises :class:`RegistrationError` for what is no function.
        """
        if endpoint is None:
            return functools.partial(
                self.callback,
                catalog=catalog,
                auth=auth,
                max_body=max_body,
                max_events=max_events,
                max_depth=max_depth,
                max_headers=max_headers,
                body_timeout=body_timeout,
            )
        refuse_negative("body_timeout", body_timeout)
        is_function = callable(endpoint) and inspect.isroutine(endpoint)
        if not is_function or isinstance(endpoint, functools.partial):
            raise RegistrationError(f"callback {endpoint!r} is no endpoint; decorate the function itself")
        if inspect.isgeneratorfunction(endpoint) or inspect.isasyncgenfunction(endpoint):
            raise RegistrationError(f"callback {handler_name(endpoint)} yields; decorate a function that returns")
        intake = Intake(catalog or Catalog.default(), max_body, max_events, max_depth)
        entrance = Entrance(self, self.dispatcher, intake, Gate(auth, max_headers), self.telemetry)
        return _wrapped(endpoint, entrance, body_timeout)

    @property
    def dispatcher(self) -> Dispatcher:
        """Who calls this router's handlers for decorated endpoints; one for all of them."""
        if self._dispatcher is None:
            self._dispatcher = Dispatcher(
                self,
                logs.LogObserver(),
                store=self.store,
                settle=self.settle,
                hooks=self.hooks,
                on_store_failure=self.on_store_failure,
                worker=self.worker,
                telemetry=self.telemetry,
            )
        return self._dispatcher

    async def start(self) -> None:
        """Begin to work on what waits in the store; for the app's start. Raises :class:`StoreError`."""
        await self.dispatcher.start()

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncGenerator[None]:
        """:meth:`start` and :meth:`drain` around the app's life: ``FastAPI(lifespan=router.lifespan)``."""
        await self.start()
        try:
            yield
        finally:
            await self.drain()

    async def drain(self, timeout: float = 20.0) -> None:
        """Give the handlers that are due ``timeout`` seconds, see :meth:`Dispatcher.drain`; for the app's shutdown."""
        await self.dispatcher.drain(timeout)


_ADDED = "ringback_request"


def _wrapped(endpoint: Callable[..., Any], entrance: Entrance, body_timeout: float) -> Callable[..., Any]:
    is_async = inspect.iscoroutinefunction(endpoint)

    @functools.wraps(endpoint)
    async def callback(*args: Any, **kwargs: Any) -> Any:
        given = (*args, *kwargs.values())
        kwargs.pop(_ADDED, None)
        original: Request | None = next(filter(_is_request, given), None)
        if original is None:
            raise RegistrationError(
                f"callback {handler_name(endpoint)} was called without a starlette Request; "
                "give it a parameter request: Request"
            )
        try:
            return await handled(original, args, kwargs)
        finally:
            # Before the framework sends the answer, and the server logs the URL.
            entrance.hide(original.scope)

    async def handled(original: Request, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        admission = await entrance.admit(original.scope)
        if isinstance(admission, Reply):
            return response(admission)
        if admission is None:
            return await endpoint(*args, **kwargs) if is_async else await run_in_threadpool(endpoint, *args, **kwargs)
        try:
            return await admitted(original, admission, args, kwargs)
        finally:
            entrance.done(admission)

    async def admitted(original: Request, admission: Admission, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            async with asyncio.timeout(body_timeout or None):
                body = await _body(original, admission.max_body)
        except TimeoutError:
            body = too_slow(body_timeout)
        except ClientDisconnect:
            return response(entrance.interrupted(admission))
        received = await entrance.take(admission, body)
        if isinstance(received, Reply):
            return response(received)
        assert isinstance(body, bytes)
        request = type(original)(original.scope, replayed(body, original.receive))
        request.state.call_outcomes = received.outcomes
        call = functools.partial(
            endpoint,
            *(request if each is original else each for each in args),
            **{name: request if each is original else each for name, each in kwargs.items()},
        )
        answered: Any = None
        with entrance.measured(admission), entrance.bound(received):
            try:
                answered = await call() if is_async else await run_in_threadpool(call)
            finally:
                # A response takes the hooks along, to follow once it is sent; nothing else can.
                if not isinstance(answered, Response):
                    await entrance.follow(received)
        follows = isinstance(answered, Response) and entrance.follows
        return _Followed(answered, functools.partial(entrance.accept, received)) if follows else answered

    callback.__signature__ = _signature(endpoint)  # type: ignore[attr-defined]
    return callback


def _is_request(argument: object) -> bool:
    return isinstance(argument, Request)


def _signature(endpoint: Callable[..., Any]) -> inspect.Signature:
    """The endpoint's signature, with a parameter for the request if it has none.

    FastAPI fills parameters by their annotation, so an endpoint need not ask for the request itself.
    """
    try:
        # Resolved in the endpoint's module: older FastAPI would look the names up in the wrapper's, which is ours.
        signature = inspect.signature(endpoint, eval_str=True)
    except Exception:
        # Names that only a type checker sees, or that are defined further down.
        signature = inspect.signature(endpoint)
    parameters = list(signature.parameters.values())
    if any(_takes_request(each) for each in parameters):
        return signature
    own = inspect.Parameter(_ADDED, inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    last = len(parameters)
    if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
        last -= 1
    return signature.replace(parameters=[*parameters[:last], own, *parameters[last:]])


def _takes_request(parameter: inspect.Parameter) -> bool:
    # FastAPI fills one parameter with the request: ours must not take it from the endpoint's own.
    annotation = getattr(parameter.annotation, "__origin__", parameter.annotation)
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == "Request"
    return isinstance(annotation, type) and issubclass(annotation, Request)


async def _body(request: Request, limit: int) -> bytes | Reply:
    """The request's body, also if the framework has read it before; a reply if it is too large."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            return too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


class _Followed(Response):
    """A response after which something happens, also if it could not be sent."""

    __slots__ = ("_response", "_then")

    def __init__(self, response: Response, then: Callable[[], Awaitable[None]]) -> None:
        # One state for both: the headers and background tasks that a framework adds here belong to the response.
        self.__dict__ = response.__dict__
        self._response = response
        self._then = then

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._response(scope, receive, send)
        finally:
            await self._then()
