"""The way in for one request, step by step, for who runs the route between the steps: a decorator, or code of yours."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ringback import logs
from ringback.attempts import UNMEASURED
from ringback.exceptions import StoreError, StoreUnavailable
from ringback.intake import Intake, Received, Reply, announces_more, consent, too_large, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Mapping, MutableMapping
    from contextlib import AbstractContextManager

    from ringback.dispatch import Dispatcher
    from ringback.gate import Gate
    from ringback.lines import Written
    from ringback.observer import DeliveryGauge, Gauge
    from ringback.router import HandlerRouter

    Scope = MutableMapping[str, Any]


class Admission(Struct, frozen=True):
    """A request whose body may be read; of more than ``max_body`` bytes nothing is of use.

    ``denied`` is the answer that stands unless the body proves to be a handshake. ``gauge`` measures it, if anything.
    """

    headers: Mapping[str, str]
    max_body: int
    denied: Reply | None = None
    gauge: DeliveryGauge | None = None


class Entrance:
    """Verifies, parses, classifies, persists and logs. What it answers by itself is logged when it is returned."""

    def __init__(
        self,
        router: HandlerRouter,
        dispatcher: Dispatcher,
        intake: Intake,
        gate: Gate,
        telemetry: Gauge | None = None,
    ) -> None:
        self._router = router
        self._dispatcher = dispatcher
        self._intake = intake
        self._gate = gate
        self._telemetry = telemetry
        self.follows = not dispatcher.durable
        """Whether hooks are told after the route: only what cannot be persisted waits for it."""
        # What nearly every head comes to. A number of so few digits is below the limit.
        self._plain = Admission({}, intake.max_body)
        self._few = len(str(intake.max_body)) - 1

    def warn(self) -> None:
        """Say once if every sender is accepted because nobody said who may send."""
        if self._gate.unverified:
            self._gate.unverified = False
            logs.callbacks_unverified()

    def admitted(self, scope: Scope) -> Admission | None:
        """What :meth:`admit` returns, where that is an admission and nothing has to be awaited for it. Mostly it is."""
        if scope["method"] != "POST" or self._telemetry is not None or not self._gate.admits(scope):
            return None
        for name, value in scope["headers"]:
            if name in _READ and not (name == b"content-length" and len(value) <= self._few):
                return None
        return self._plain

    async def admit(self, scope: Scope) -> Admission | Reply | None:
        """Look at the head alone: read the body, answer this, or ``None`` for a request that is the route's own.

        ``scope`` has ``method``, ``path``, ``query_string`` and ``headers`` as in ASGI.
        """
        # When the first delivery comes, not when the module is imported: logging is set up by then.
        self.warn()
        if scope["method"] == "OPTIONS":
            return await self._consent(scope)
        if scope["method"] != "POST":
            return None
        gauge = None if self._telemetry is None else self._telemetry.delivery(scope["headers"])
        denied = await self._gate.denied(scope)
        if denied is not None and not self._gate.may_handshake(scope):
            return self._answered(denied, gauge)
        headers, limit = told(scope), self._intake.max_body
        if announces_more(headers, limit):
            return self._answered(denied or too_large(limit), gauge)
        return Admission(headers, limit, denied, gauge)

    async def take(self, admission: Admission, body: bytes | Reply) -> Received | Reply:
        """Decide on the body, or on the reply that there is instead of one. With a store, what is received is in it."""
        with self.measured(admission):
            received = self.decide(admission, body)
            if isinstance(received, Reply):
                return received
            assert isinstance(body, bytes)
            bound, written = self.prepared(received)
            if not self.follows:
                try:
                    await self.persist(received)
                except StoreError as error:
                    return self.unpersisted(admission, error)
            with bound:
                self.tell(admission, received, body, written)
            return received

    def decide(self, admission: Admission, body: bytes | Reply) -> Received | Reply:
        """The first step of :meth:`take`: what the body is."""
        received = self._intake.receive(admission.headers, body, admission.denied)
        return self._answered(received, admission.gauge) if isinstance(received, Reply) else received

    def prepared(self, received: Received) -> tuple[logs.Bound, Written | None]:
        """The second: the context :meth:`bound`, and the lines for :meth:`tell`, while all that they say is at hand."""
        bound = self.bound(received)
        return bound, logs.rendered(received, ids_are_open=bound.are_open)

    def persist(self, received: Received) -> Awaitable[None]:
        """The third, unless it :attr:`follows`: persist it. Raises :class:`StoreError` if that failed."""
        return self._dispatcher.accept(received.outcomes)

    def unpersisted(self, admission: Admission, error: StoreError) -> Reply:
        """What the sender is told then: to come again."""
        # The dispatcher has reported it, not each time: many senders come while a store is down.
        reply = unavailable(retry_after(error))
        if admission.gauge is not None:
            admission.gauge.answered(reply)
            admission.gauge.end()
        return reply

    def tell(self, admission: Admission, received: Received, body: bytes, written: Written | None) -> None:
        """The fourth, in that context: the log, the telemetry and the listeners hear of it."""
        logs.received(received, written)
        if admission.gauge is not None:
            admission.gauge.received(received, body)
        faults = self._router.heard(received)
        if faults:
            logs.listeners_failed(faults)

    def measured(self, admission: Admission) -> AbstractContextManager[None]:
        """A context for a part of the work on a request, such as the route."""
        return UNMEASURED if admission.gauge is None else admission.gauge.inside()

    def done(self, admission: Admission) -> None:
        """Nothing more of the request is to be measured. May be called again."""
        if admission.gauge is not None:
            admission.gauge.end()

    async def accept(self, received: Received) -> None:
        """Let the hooks follow; to be called once after the route, also if that raised."""
        with self.bound(received):
            await self.follow(received)

    @asynccontextmanager
    async def route(self, received: Received) -> AsyncGenerator[None]:
        """The route runs inside: its log lines carry the call's ids, and the hooks follow it."""
        with self.bound(received):
            try:
                yield
            finally:
                await self.follow(received)

    def heard(self, received: Received) -> bool:
        """If something :attr:`follows`, whether nothing has to: nobody asks for more than the line."""
        return self._dispatcher.heard(received.outcomes)

    async def follow(self, received: Received) -> None:
        """As :meth:`accept`, inside of :meth:`bound`."""
        if self.follows:
            await self._dispatcher.accept(received.outcomes)

    def bound(self, received: Received) -> logs.Bound:
        """A context in which log lines carry the ids of the call."""
        return logs.bound_ids(received.delivery.events)

    def interrupted(self, admission: Admission) -> Reply:
        """The sender left before its body was whole; the reply is for nobody, but a framework wants one."""
        if admission.denied is not None:
            return self._answered(admission.denied, admission.gauge)
        logs.sender_disconnected()
        self.done(admission)
        return Reply(400, b"", (), "interrupted")

    def hide(self, scope: Scope) -> None:
        """Take shared secrets out of the URL, once the route has read it and before the server logs it."""
        self._gate.hide(scope)

    async def _consent(self, scope: Scope) -> Reply | None:
        reply = consent({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})
        if reply is None:
            return None
        denied = await self._gate.denied(scope)
        gauge = None if self._telemetry is None else self._telemetry.delivery(scope["headers"])
        return self._answered(reply if denied is None or self._gate.may_handshake(scope) else denied, gauge)

    def _answered(self, reply: Reply, gauge: DeliveryGauge | None) -> Reply:
        logs.answered(reply)
        if gauge is not None:
            gauge.answered(reply)
            gauge.end()
        return reply


# The headers that say something of the body. Names are in lower case, as ASGI has them.
_READ = frozenset({b"content-length", b"content-encoding", b"aeg-event-type"})


def told(scope: Scope) -> dict[str, str]:
    """What the head says of the body; a header that is repeated is one, with commas."""
    told: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            told[key] = f"{told[key]}, {text}" if key in told else text
    return told


def retry_after(error: StoreError) -> int:
    """Seconds after which the sender may come again."""
    return error.retry_after if isinstance(error, StoreUnavailable) else 30
