"""One request at a door, from its head to its hooks. This file alone has the order of the steps.

The caller (the middleware, a decorator, or code of the app) asks a :class:`Receiver` for an :class:`Exchange`, calls
``admit``, then ``take``, and runs the route inside ``async with exchange``. The hooks hang on ``take`` alone. No web
framework is imported here.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Self

from ringback import logs
from ringback.core.outcome import Outcome, classify_event
from ringback.exceptions import ConfigurationError, StoreError, StoreUnavailable
from ringback.receiving.gate import Gate
from ringback.receiving.handshakes import consent
from ringback.receiving.intake import Intake, Received, announces_more
from ringback.receiving.replies import Reply, too_large, unavailable
from ringback.receiving.target import canonical_method
from ringback.stores.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence

    from ringback.hooks.observer import DeliveryGauge
    from ringback.receiving.door import Door
    from ringback.receiving.engine import Engine
    from ringback.web.endpoint import OutcomeRouter

    Scope = MutableMapping[str, Any]
    HasBody = bool | Callable[[], Awaitable[bool]] | None
    Body = bytes | Reply | None


class Admitted(Enum):
    """What :meth:`Exchange.admit` gives for a request that Ringback does not answer by itself."""

    PASS_ON = "pass on"
    """The request is no delivery; the caller gives the request to the route, without outcomes."""
    READ_BODY = "read body"
    """The caller reads at most ``max_body`` bytes and gives these bytes to :meth:`Exchange.take`."""


Found = Reply | Admitted | tuple[Outcome, ...]
"""What a step gives: the answer to the sender, what the caller is to do next, or the outcomes for the route."""


State = Literal["new", "reading", "accepted", "over"]
"""How far an exchange has come."""

# The verbs in their order, with the state that a verb needs.
_NEXT: dict[str, State] = {"admit": "new", "take": "reading", "async with": "accepted"}


class Receiver:
    """A door in front of a router's engine. One event loop uses a receiver. ``clock`` gives seconds.

    Raises :class:`ConfigurationError` for a ``router`` that is none.
    """

    def __init__(
        self,
        router: OutcomeRouter,
        door: Door,
        *,
        measures_route: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # The class has the property as well. An instance would make its engine, and then no router could include it.
        if not hasattr(type(router), "engine"):
            raise ConfigurationError(f"router {router!r} is no OutcomeRouter; pass router=OutcomeRouter()")
        self.router = router
        self.door = door
        self.measures_route = measures_route
        """Whether the route runs in the same task, so that the delivery's span ends after the route."""
        self.clock = clock
        self.gate = Gate(door.auth, door.max_headers)
        self._engine: Engine | None = None
        self._intake: Intake | None = None

    def warn(self) -> None:
        """Log once that the door accepts every sender, if the app gives no ``auth``."""
        if self.gate.unverified:
            self.gate.unverified = False
            logs.callbacks_unverified()

    def exchange(self, scope: Scope) -> Exchange:
        """The exchange of one request. ``scope`` has ``method``, ``path``, ``query_string`` and ``headers`` as in ASGI.

        Source: https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
        """
        engine, door = self.router.engine, self.door
        if engine is not self._engine or self._intake is None:
            # This is the first request, or a router has included this router since, and the engine is that router's.
            self._engine = engine
            self._intake = Intake(engine.catalog, door.max_body, door.max_events, door.max_depth)
        return Exchange(self, engine, self._intake, scope)

    @property
    def engine(self) -> Engine:
        return self.router.engine


class Exchange:
    """One request. The caller calls every verb once; a verb out of order raises :class:`RuntimeError`.

    A verb that gives a :class:`Reply` has logged and counted the reply; the caller sends it.
    """

    body: bytes
    """The body, after :meth:`take` has accepted the body."""
    received: Received
    """The delivery with its outcomes, after :meth:`take` has accepted the body."""
    early: Sequence[str]
    """The keys of operations whose hooks wait for the end of the response, and for the settle time at most."""
    sender_left = False
    """Whether the sender disconnected before the whole body came, so that nobody waits for the answer."""

    _state: State = "new"
    _gauge: DeliveryGauge | None = None
    _denied: Reply | None = None

    def __init__(self, receiver: Receiver, engine: Engine, intake: Intake, scope: Scope) -> None:
        self._receiver = receiver
        self._engine = engine
        self._intake = intake
        self._scope = scope
        self.max_body = intake.max_body
        """The most bytes of the body that the door accepts."""

    async def admit(self, has_body: HasBody = None) -> Reply | Admitted:
        """Verify the sender by the request's head alone. Gives the answer, or what the caller is to do next.

        ``has_body`` says whether a request that is no POST has a body. A function is called only where the answer
        matters; ``None`` leaves the question to the headers. Raises what :meth:`Engine.check` raises.
        """
        if self._state != "new":
            raise self._out_of_order("admit")
        self._state = "over"
        if not self._engine.is_checked:
            # Nobody has started the engine. Without this check a request could hang, or its outcome get lost.
            self._engine.check()
        gate, telemetry = self._receiver.gate, self._engine.telemetry
        if gate.unverified:
            # The door warns at the first delivery, because the app sets up its logging after imports.
            self._receiver.warn()
        method = canonical_method(self._scope["method"])
        if method != "POST":
            return await self._admit_no_post(method, has_body)
        if telemetry is not None:
            self._gauge = telemetry.delivery(self._scope["headers"])
        try:
            denied = None if gate.admits(self._scope) else await gate.denied(self._scope)
        except BaseException:
            # The server may cancel the request while a check waits for keys.
            if self._gauge is not None:
                self._gauge.end()
            raise
        if denied is not None and not gate.may_handshake(self._scope):
            return self._answer(denied)
        self._headers, self._denied = _headers_of_the_body(self._scope), denied
        if announces_more(self._headers, self.max_body):
            return self._answer(denied or too_large(self.max_body))
        self._state = "reading"
        return Admitted.READ_BODY

    def take(self, body: Body | Callable[[], Awaitable[Body]]) -> Coroutine[Any, Any, Reply | tuple[Outcome, ...]]:
        """Parse, classify, persist and log, in this order. Gives the outcomes for the route, or the answer.

        ``body`` is the body's bytes, a reply where no whole body came, ``None`` where the sender left, or an async
        function that gives one of these. The answer to a sender who left reaches nobody; frameworks want one.
        """
        if self._state != "reading":
            raise self._out_of_order("take")
        self._state = "over"
        return self._accept(body) if self._gauge is None else self._measured(body, self._gauge)

    async def _measured(
        self, body: Body | Callable[[], Awaitable[Body]], gauge: DeliveryGauge
    ) -> Reply | tuple[Outcome, ...]:
        try:
            with gauge.inside():
                return await self._accept(body)
        except BaseException:
            gauge.end()
            raise
        finally:
            if not self._receiver.measures_route:
                gauge.end()
                self._gauge = None

    async def _accept(self, body: Body | Callable[[], Awaitable[Body]]) -> Reply | tuple[Outcome, ...]:
        content = await body() if callable(body) else body
        if content is None:
            return self._interrupted()
        delivery = self._intake.read(self._headers, content, self._denied)
        if isinstance(delivery, Reply):
            return self._answer(delivery)
        assert isinstance(content, bytes)
        # Nearly every delivery has one event.
        turns = None if len(delivery.events) == 1 else Turns(self._receiver.clock)
        outcomes, catalog = list[Outcome](), self._intake.catalog
        if turns is not None:
            # Parsing the many events was a turn of its own.
            await asyncio.sleep(0)
        for event in delivery.events:
            outcome = classify_event(event, catalog)
            if outcome is not None:
                outcomes.append(outcome)
            if turns is not None:
                await turns.next()
        received = Received(delivery, tuple(outcomes))
        try:
            # From here on the hooks do not depend on the route: on what it answers, whether it answers, or when.
            self.early = await self._engine.accept(received.outcomes)
        except StoreError as error:
            # The dispatcher has logged the error, once for many senders: deliveries go on while a store is down.
            seconds = error.retry_after if isinstance(error, StoreUnavailable) else 30
            return self._answer(unavailable(seconds), is_logged=True)
        self._bound = logs.bound_ids(received.delivery.events)
        for _ in logs.received(received, ids_are_open=self._bound.are_open):
            if turns is not None:
                await turns.next()
        if self._gauge is not None:
            self._gauge.received(received, content)
        if self._engine.router.roster.listeners:
            # The ids are bound, so that a listener's log lines and tasks have the ids.
            with self._bound:
                failures = self._engine.router.notify(received)
            logs.listeners_failed(failures)
        self.body, self.received, self._state = content, received, "accepted"
        return received.outcomes

    async def answered(self) -> None:
        """Let the hooks of operations wait no longer. A door that sees the end of the response calls this then."""
        await self._engine.dispatcher.hasten(self.early)

    async def __aenter__(self) -> Self:
        """The caller runs the route inside: the route's log lines have the call's ids, and its time is measured.

        The hooks do not hang on the route, nor on this block.
        """
        self._enter()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        self._leave(*raised)

    def _enter(self) -> None:
        if self._state != "accepted":
            raise self._out_of_order("async with")
        if self._gauge is not None:
            self._gauge.inside().__enter__()
        self._bound.__enter__()
        self._state = "over"

    def _leave(self, *raised: Any) -> None:
        self._bound.__exit__(*raised)
        if self._gauge is not None:
            self._gauge.inside().__exit__(*raised)
            self._gauge.end()

    def _out_of_order(self, verb: str) -> RuntimeError:
        return RuntimeError(
            f"{verb} is out of order: the exchange is {self._state}, and {verb} is for one that is {_NEXT[verb]}; "
            f"the order is {', '.join(_NEXT)}"
        )

    async def _admit_no_post(self, method: str, has_body: HasBody) -> Reply | Admitted:
        """Pass a request that is no POST on to the route, but a body only from a verified sender."""
        gate, scope = self._receiver.gate, self._scope
        if method == "OPTIONS" and (consented := consent(_texts(scope))) is not None:
            telemetry = self._engine.telemetry
            self._gauge = None if telemetry is None else telemetry.delivery(scope["headers"])
            denied = await gate.denied(scope)
            return self._answer(consented if denied is None or gate.may_handshake(scope) else denied)
        if not gate.checks or (method in _BODILESS and not await _may_have_body(scope, has_body)):
            return Admitted.PASS_ON
        denied = await gate.denied(scope)
        return Admitted.PASS_ON if denied is None else self._answer(denied)

    def _interrupted(self) -> Reply:
        self.sender_left = True
        if self._denied is not None:
            return self._answer(self._denied)
        logs.sender_disconnected()
        if self._gauge is not None:
            self._gauge.end()
        return Reply(400, b"", (), "interrupted")

    def _answer(self, reply: Reply, *, is_logged: bool = False) -> Reply:
        if not is_logged:
            self._engine.log.answered(reply)
        if self._gauge is not None:
            self._gauge.answered(reply)
            self._gauge.end()
        return reply


_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of people, browsers and health checks, whose requests rarely have a body."""

# The headers that describe the body, in lower case as in ASGI.
_BODY_HEADERS = frozenset({b"content-length", b"content-encoding", b"aeg-event-type"})


async def _may_have_body(scope: Scope, has_body: HasBody) -> bool:
    """Whether a request may have a body: the caller knows, the headers announce a body, or the server has one."""
    if isinstance(has_body, bool):
        return has_body
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
        return True
    version: str = scope.get("http_version", "1.1")
    # A request of HTTP/1.1 that announces no body has none (RFC 9112, section 6.3). HTTP/2 and HTTP/3 need no header
    # for a body. For an unknown version the function answers, and without a function the headers decide.
    if version.startswith("1") or (not version and has_body is None):
        return False
    return True if has_body is None else await has_body()


def _headers_of_the_body(scope: Scope) -> Mapping[str, str]:
    """The headers that describe the body. The values of a repeated header are joined with commas."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _BODY_HEADERS:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _texts(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


class SyncExchange:
    """An :class:`Exchange` for code without ``async``: ``run`` runs the coroutines of the verbs in another thread."""

    def __init__(self, exchange: Exchange, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._exchange = exchange
        self._run = run

    @property
    def max_body(self) -> int:
        return self._exchange.max_body

    def admit(self, has_body: bool | None = None) -> Reply | Admitted:
        """See :meth:`Exchange.admit`."""
        admitted: Reply | Admitted = self._run(self._exchange.admit(has_body))
        return admitted

    def take(self, body: Body) -> Reply | tuple[Outcome, ...]:
        """See :meth:`Exchange.take`."""
        taken: Reply | tuple[Outcome, ...] = self._run(self._exchange.take(body))
        return taken

    def __enter__(self) -> Self:
        """The caller runs the route inside, in this thread."""
        self._exchange._enter()  # pyright: ignore[reportPrivateUsage]
        return self

    def __exit__(self, *raised: Any) -> None:
        self._exchange._leave(*raised)  # pyright: ignore[reportPrivateUsage]
