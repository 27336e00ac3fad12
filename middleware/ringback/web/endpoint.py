"""The router of an app, and its decorator for one endpoint of Starlette or FastAPI."""

from __future__ import annotations

import functools
import inspect
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ringback.exceptions import ConfigurationError, RegistrationError
from ringback.forks import lock
from ringback.hooks.call_records import CallRecords
from ringback.hooks.router import HandlerRouter
from ringback.hooks.signatures import handler_name
from ringback.privacy.redaction import redact
from ringback.receiving.engine import Engine, Settings
from ringback.receiving.exchange import Admitted, Exchange, Found, Receiver
from ringback.receiving.health import Health, health_of
from ringback.receiving.replies import Reply
from ringback.settings import ENGINE, Door, DoorSettings, EngineSettings, refuse_late
from ringback.web.body import BodyReader, PeekedReceive, replayed, response
from ringback.web.state import give_outcomes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.types import Receive

    from ringback.hooks.dispatcher import Dispatcher
    from ringback.hooks.router_tree import RouterTree

E = TypeVar("E", bound="Callable[..., Any]")

_MAKING = lock()


class OutcomeRouter(HandlerRouter):
    """The handlers of an app, the engine behind its doors, and the decorator :meth:`callback` for an endpoint.

    The settings are the engine's, see :class:`ringback.settings.EngineSettings`: ``store``, ``catalog``, ``settle``,
    ``hooks``, ``worker``, ``on_store_failure``, ``drain``, ``telemetry``, ``pace``. All doors of a router share one
    engine, so that a call's hook runs once in this process, or once in all processes that share a store. The middleware
    starts and drains the engine with the app. An app that only decorates endpoints runs :meth:`lifespan` in its own
    lifespan. Raises :class:`ConfigurationError` for settings that cannot work.
    """

    def __init__(self, **settings: Unpack[EngineSettings]) -> None:
        super().__init__()
        # The settings are checked here, before the engine is made: a setting that cannot work ends the app's start.
        self._settings = Settings.of(settings)
        self._named = tuple(settings)
        self._engine: Engine | None = None
        self._included_by: OutcomeRouter | None = None

    @property
    def _is_stored(self) -> bool:
        store = self.settings.opened
        return store is not None and store.durable

    def _refuse_mixed_up(self) -> None:
        super()._refuse_mixed_up()
        if self._engine is not None and self._engine.is_checked:
            # The app works already, so nothing else would look at a redial that is registered now.
            self._engine.refuse_redials()

    def __setattr__(self, name: str, value: object) -> None:
        refuse_late(name, ENGINE, "OutcomeRouter")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={redact(repr(getattr(self.settings, name)))}" for name in self.settings.given)
        return f"OutcomeRouter({given})"

    @property
    def settings(self) -> Settings:
        """The engine's settings: those of the router that includes this one, or else this router's."""
        return self._settings if self._included_by is None else self._included_by.settings

    @property
    def engine(self) -> Engine:
        """The engine behind all doors of this router and of the routers that this router includes."""
        if self._included_by is not None:
            return self._included_by.engine
        if self._engine is None:
            with _MAKING:
                # The first requests of several threads may come here. Two engines would be two stores in memory.
                if self._engine is None:
                    self._engine = Engine(self, self.settings)
        return self._engine

    @property
    def calls(self) -> CallRecords:
        """The records of the calls in the store: ``await router.calls.record(id)``, ``router.calls.list(...)``."""
        dispatcher = self.engine.dispatcher
        return CallRecords(dispatcher.store, self.redials, dispatcher.notebook.flush)

    def include(self, other: RouterTree) -> None:
        """Add the handlers of another router, also later ones. This router's engine serves the other router's doors.

        Of several routers that include the other router, the last one's engine serves its doors. Raises
        :class:`ConfigurationError` for a router with settings or an engine of its own.
        """
        if isinstance(other, OutcomeRouter):
            if other._named:
                names = ", ".join(f"{name}=" for name in other._named)
                raise ConfigurationError(
                    f"include() takes a router without settings of its own, this one has {names}; pass them to the "
                    "router that includes it: one engine serves both"
                )
            if other._engine is not None:
                raise ConfigurationError(
                    "include() comes too late: the router has an engine of its own, for it was used; include it first"
                )
        super().include(other)
        if isinstance(other, OutcomeRouter):
            # Who makes an app anew, as tests do, includes the routers of the app's modules in a new router.
            other._included_by = self

    @overload
    def callback(self, endpoint: E) -> E: ...
    @overload
    def callback(self, **door: Unpack[DoorSettings]) -> Callable[[E], E]: ...
    def callback(self, endpoint: Callable[..., Any] | None = None, **door: Unpack[DoorSettings]) -> Any:
        """Decorate a callback endpoint. The decorator does for this endpoint what the middleware does for paths.

        The endpoint finds the outcomes with :func:`ringback.call_outcomes` and can read the body again. The decorator
        answers what is no acceptable delivery without calling the endpoint. Raises :class:`RegistrationError` for an
        endpoint that is no function, and :class:`ConfigurationError` for settings that cannot work.
        """
        checked = Door.of(door)
        if endpoint is None:
            return functools.partial(self.callback, **door)
        is_function = callable(endpoint) and inspect.isroutine(endpoint)
        if not is_function or isinstance(endpoint, functools.partial):
            raise RegistrationError(f"callback {endpoint!r} is no endpoint; decorate the function itself")
        if inspect.isgeneratorfunction(endpoint) or inspect.isasyncgenfunction(endpoint):
            raise RegistrationError(f"callback {handler_name(endpoint)} yields; decorate a function that returns")
        return _decorated(endpoint, Receiver(self, checked))

    async def start(self) -> None:
        """Begin to work on the items in the store; for the app's start. Raises :class:`StoreError` for a store that
        cannot work, and :class:`ConfigurationError` outside of asyncio, and for a redial without a store.
        """
        await self.engine.start()

    async def health(self) -> Health:
        """What this process can do now, for a probe: whether its store answers and its worker runs, and since when no
        delivery came. Takes 5 seconds at most, and raises nothing for a store that is away.
        """
        return await health_of(self.engine)

    def dispatchers(self) -> list[Dispatcher]:
        if not self._dispatchers:
            # The engine makes the dispatcher of the store, in which another process may have planned redials.
            _ = self.engine
        return super().dispatchers()

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncGenerator[None]:
        """:meth:`start` and :meth:`drain` around the app's life: ``FastAPI(lifespan=router.lifespan)``."""
        await self.start()
        try:
            yield
        finally:
            await self.drain()

    async def drain(self, timeout: float | None = None) -> None:
        """Let due hooks run for ``timeout`` seconds, by default the setting ``drain``, and stop; for the app's end."""
        await self.engine.drain(timeout)


_ADDED_PARAMETER = "ringback_request"


def _decorated(endpoint: Callable[..., Any], receiver: Receiver) -> Callable[..., Any]:
    is_async = inspect.iscoroutinefunction(endpoint)
    reader = BodyReader(receiver.door.body_timeout)

    async def call_endpoint(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return await endpoint(*args, **kwargs) if is_async else await run_in_threadpool(endpoint, *args, **kwargs)

    @functools.wraps(endpoint)
    async def callback(*args: Any, **kwargs: Any) -> Any:
        arguments = (*args, *kwargs.values())
        kwargs.pop(_ADDED_PARAMETER, None)
        request: Request | None = next(filter(_is_request, arguments), None)
        if request is None:
            raise RegistrationError(
                f"callback {handler_name(endpoint)} was called without a starlette Request; "
                "give it a parameter request: Request"
            )
        try:
            exchange = Exchange(receiver, request.scope)
            # FastAPI has read the body if the endpoint has a parameter for the body.
            read = await request.body() if hasattr(request, "_body") else None
            peeked = PeekedReceive(request.receive, receiver.door.body_timeout)
            found: Found = await exchange.admit(peeked.has_body if read is None else bool(read))
            if found is Admitted.PASS_ON:
                _let_read(request, peeked.channel)
                return await call_endpoint(args, kwargs)
            if found is Admitted.READ_BODY:
                reading = functools.partial(reader.read, request.receive, exchange.max_body)
                found = await exchange.take(reading if read is None else read)
            if isinstance(found, Reply):
                return response(found)
            if read is None:
                _let_read(request, replayed(exchange.body, request.receive))
            give_outcomes(request.scope, found)
            with exchange:
                return await call_endpoint(args, kwargs)
        finally:
            # The secret leaves the URL before the framework sends the answer and the server logs the URL.
            receiver.gate.hide(request.scope)

    callback.__signature__ = _signature(endpoint)  # type: ignore[attr-defined]
    return callback


def _let_read(request: Request, receive: Receive) -> None:
    """Let the endpoint's request read from ``receive``; Starlette has no public way.

    A second request would lack what the app has set on the first, and the app's own class may take other arguments.
    """
    request._receive = receive  # pyright: ignore[reportPrivateUsage]


def _is_request(argument: object) -> bool:
    return isinstance(argument, Request)


def _signature(endpoint: Callable[..., Any]) -> inspect.Signature:
    """The endpoint's signature, with a parameter for the request if the endpoint has none.

    FastAPI fills parameters by their annotations, so FastAPI gives the decorator the request.
    """
    try:
        # The annotations are names of the endpoint's module, but older FastAPI looks names up in this module.
        signature = inspect.signature(endpoint, eval_str=True)
    except Exception:
        # An annotation may name what only a type checker imports, or what the module defines further down.
        signature = inspect.signature(endpoint)
    parameters = list(signature.parameters.values())
    if any(_takes_request(parameter) for parameter in parameters):
        return signature
    own = inspect.Parameter(_ADDED_PARAMETER, inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    last = len(parameters)
    if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
        last -= 1
    return signature.replace(parameters=[*parameters[:last], own, *parameters[last:]])


def _takes_request(parameter: inspect.Parameter) -> bool:
    # FastAPI fills one parameter with the request, so an added parameter would leave the endpoint's own one empty.
    annotation = getattr(parameter.annotation, "__origin__", parameter.annotation)
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == "Request"
    return isinstance(annotation, type) and issubclass(annotation, Request)
