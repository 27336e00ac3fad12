"""One request at a door, from its head to its hooks. This file alone has the order of the steps.

The caller (the middleware, a decorator, or code of the app) makes an :class:`Exchange`, calls ``admit``, then ``take``,
and runs the route inside ``with exchange``. The hooks hang on ``take`` alone. This file imports no web framework.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Self

from msgspec.structs import replace

from ringback import logs
from ringback.core.outcome import Outcome, classify_event
from ringback.exceptions import ConfigurationError, StoreError, StoreUnavailable
from ringback.privacy.private import private_text
from ringback.receiving.gate import Gate, may_have_body
from ringback.receiving.intake import Received, carried_by, consent, delivery_of, headers_of_the_body
from ringback.receiving.replies import Reply, too_large, unavailable
from ringback.receiving.target import canonical_method
from ringback.stores.turns import Turns
from ringback.work.contact_call import CONNECTED
from ringback.work.deliveries import SENDER_LEFT, answer_of
from ringback_catalog import event_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, MutableMapping

    from ringback.core.delivery import Delivery
    from ringback.hooks.observer import DeliveryGauge
    from ringback.receiving.engine import Engine
    from ringback.receiving.gate import HasBody
    from ringback.settings import Door
    from ringback.web.endpoint import OutcomeRouter

    Scope = MutableMapping[str, Any]
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
_NEXT: dict[str, State] = {"admit": "new", "take": "reading", "with": "accepted"}


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
        self.carried = carried_by(door)
        # Compiles the patterns of the redaction, for which the first request would wait.
        private_text()

    def warn(self) -> None:
        """Log once that the door accepts every sender, if the app gives no ``auth``."""
        if self.gate.unverified:
            self.gate.unverified = False
            logs.callbacks_unverified()

    @property
    def engine(self) -> Engine:
        return self.router.engine


class Exchange:
    """One request. The caller calls every verb once; a verb out of order raises :class:`RuntimeError`.

    ``scope`` has ``method``, ``path``, ``query_string`` and ``headers`` as in ASGI. A verb that gives a
    :class:`~ringback.receiving.replies.Reply` has logged and counted the reply; the caller sends it.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
    """

    body: bytes
    """The body, after :meth:`take` has accepted the body."""
    received: Received
    """The delivery with its outcomes, after :meth:`take` has accepted the body."""

    _state: State = "new"
    _gauge: DeliveryGauge | None = None
    _denied: Reply | None = None

    def __init__(self, receiver: Receiver, scope: Scope) -> None:
        self._receiver = receiver
        # For each request: another router may include this router at any time, and the engine is that router's then.
        self._engine = receiver.router.engine
        self._scope = scope
        self.max_body = receiver.door.max_body
        """The most bytes of the body that the door accepts."""

    @property
    def body_timeout(self) -> float:
        """The seconds in which the whole body has to come; 0 is any time."""
        return self._receiver.door.body_timeout

    async def admit(self, has_body: HasBody = None) -> Reply | Admitted:
        """Verify the sender by the request's head alone. Gives the answer, or what the caller is to do next.

        ``has_body`` says whether a request that is no POST has a body. A function is called only where the answer
        matters; ``None`` leaves the question to the headers. Raises what ``Engine.check`` raises.
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
        method: str = self._scope["method"]
        if method != "POST" and (method := canonical_method(method)) != "POST":
            return await self._admit_no_post(method, has_body)
        if telemetry is not None:
            self._gauge = telemetry.delivery(self._scope["headers"])
        try:
            denied = None if len(self._scope["headers"]) <= gate.open_to else await gate.denied(self._scope)
        except BaseException:
            # The server may cancel the request while a check waits for keys.
            if self._gauge is not None:
                self._gauge.end()
            raise
        if denied is not None and not gate.may_handshake(self._scope):
            return self._answer(denied)
        headers = headers_of_the_body(self._scope, self.max_body)
        if headers is None:
            return self._answer(denied or too_large(self.max_body))
        self._headers, self._denied, self._state = headers, denied, "reading"
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
        engine, door = self._engine, self._receiver.door
        delivery = content if isinstance(content, Reply) else delivery_of(content, self._headers, door)
        if self._denied is not None and not (isinstance(delivery, Reply) and delivery.status == 200):
            # A sender whom the gate refuses may prove to be a handshake, and nothing else.
            delivery = self._denied
        if isinstance(delivery, Reply):
            return self._answer(delivery)
        assert isinstance(content, bytes)
        # Nearly every delivery has one event.
        turns = None if len(delivery.events) == 1 else Turns(self._receiver.clock)
        outcomes, heard = await self._classified(delivery, turns)
        try:
            # From here on the hooks do not depend on the route: on what it answers, whether it answers, or when.
            received = Received(delivery, outcomes, await engine.accept(outcomes + heard))
        except StoreError as error:
            # The dispatcher has logged the error, once for many senders: deliveries go on while a store is down.
            seconds = error.retry_after if isinstance(error, StoreUnavailable) else 30
            return self._answer(unavailable(seconds), is_logged=True)
        await engine.dispatcher.notebook.note(delivery.events, outcomes)
        self._bound = logs.bound_ids(delivery.events)
        for _ in logs.received(received, ids_are_open=self._bound.are_open):
            if turns is not None:
                await turns.next()
        if self._gauge is not None:
            self._gauge.received(received, content)
        if engine.router.roster.listeners:
            # The ids are bound, so that a listener's log lines and tasks have the ids.
            with self._bound:
                failures = engine.router.notify(received)
            logs.listeners_failed(failures)
        self.body, self.received, self._state = content, received, "accepted"
        return outcomes

    async def _classified(
        self, delivery: Delivery, turns: Turns | None
    ) -> tuple[tuple[Outcome, ...], tuple[Outcome, ...]]:
        """The outcomes of the delivery, and what redials alone hear: that a call was connected, in an event without a
        result. Many events take turns with the event loop.
        """
        carried, catalog = self._receiver.carried, self._engine.catalog
        outcomes: list[Outcome] = []
        heard: list[Outcome] = []
        if turns is not None:
            # Parsing the many events was a turn of its own.
            await asyncio.sleep(0)
        for event in delivery.events:
            outcome, found = classify_event(event, catalog), outcomes
            if outcome is None and event_name(event.type) == CONNECTED and self._engine.router.redials:
                outcome, found = Outcome(event, catalog.look_up(event.type, None, None)), heard
            if outcome is not None:
                found.append(replace(outcome, **carried) if carried else outcome)
            if turns is not None:
                await turns.next()
        return tuple(outcomes), tuple(heard)

    async def answered(self) -> None:
        """Let the hooks of operations wait no longer. A door that sees the end of the response calls this then."""
        await self._engine.dispatcher.hasten(self.received.early)

    def __enter__(self) -> Self:
        """The caller runs the route inside: the route's log lines have the call's ids, and its time is measured.

        The hooks do not hang on the route, nor on this block. ``async with exchange`` is the same.
        """
        if self._state != "accepted":
            raise self._out_of_order("with")
        if self._gauge is not None:
            self._gauge.inside().__enter__()
        self._bound.__enter__()
        self._state = "over"
        return self

    def __exit__(self, *raised: Any) -> None:
        self._bound.__exit__(*raised)
        if self._gauge is not None:
            self._gauge.inside().__exit__(*raised)
            self._gauge.end()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *raised: Any) -> None:
        self.__exit__(*raised)

    def _out_of_order(self, verb: str) -> RuntimeError:
        return RuntimeError(
            f"{verb} is out of order: the exchange is {self._state}, and {verb} is for one that is {_NEXT[verb]}; "
            f"the order is {', '.join(_NEXT)}"
        )

    async def _admit_no_post(self, method: str, has_body: HasBody) -> Reply | Admitted:
        """Pass a request that is no POST on to the route, but a body only from a verified sender."""
        gate, scope = self._receiver.gate, self._scope
        if method == "OPTIONS" and (consented := consent(scope["headers"])) is not None:
            telemetry = self._engine.telemetry
            self._gauge = None if telemetry is None else telemetry.delivery(scope["headers"])
            denied = await gate.denied(scope)
            return self._answer(consented if denied is None or gate.may_handshake(scope) else denied)
        if not gate.checks or (method in _BODILESS and not await may_have_body(scope, has_body)):
            return Admitted.PASS_ON
        denied = await gate.denied(scope)
        return Admitted.PASS_ON if denied is None else self._answer(denied, is_delivery=False)

    def _interrupted(self) -> Reply:
        if self._denied is not None:
            return self._answer(self._denied)
        logs.sender_disconnected()
        self._engine.tally.count(SENDER_LEFT)
        if self._gauge is not None:
            self._gauge.end()
        return Reply(400, b"", (), "interrupted")

    def _answer(self, reply: Reply, *, is_logged: bool = False, is_delivery: bool = True) -> Reply:
        if not is_logged:
            self._engine.log.answered(reply)
        if is_delivery:
            self._engine.tally.count(answer_of(reply.status, reply.reason or reply.fact))
        if self._gauge is not None:
            self._gauge.answered(reply)
            self._gauge.end()
        return reply


_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of people, browsers and health checks, whose requests rarely have a body."""
