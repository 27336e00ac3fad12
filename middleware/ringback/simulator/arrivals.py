"""Lets calls come in: Event Grid's handshake with the endpoint, then the IncomingCall event.

https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.core.times import HOUR
from ringback.exceptions import ConfigurationError, RingbackError
from ringback.simulator.bodies import incoming_event
from ringback.simulator.posting import shown, web_address
from ringback.testing.deliveries import delivery
from ringback.testing.grid import grid_headers, subscription_validation, webhook_validation

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from ringback.simulator.calls import Arrival, Incoming
    from ringback.simulator.courier import Callback, Courier
    from ringback.simulator.posting import Answered, Ask
    from ringback.simulator.switchboard import Switchboard
    from ringback.testing.builder import CloudEvent
    from ringback.testing.grid import Schema

TOKEN_LIFETIME = HOUR
SCHEMAS: tuple[Schema, ...] = ("eventgrid", "cloudevents")
ORIGIN = "eventgrid.azure.net"


class HandshakeFailed(RingbackError):
    """An endpoint did not pass Event Grid's handshake. ``reachable`` says whether anybody answered at all."""

    def __init__(self, uri: str, reason: str, *, reachable: bool = True) -> None:
        super().__init__(f"Event Grid's handshake with {shown(uri)} failed: {reason}")
        self.reachable = reachable


@dataclass(frozen=True, slots=True)
class Handshake:
    """The request that asks an endpoint whether it wants the events. ``code`` is empty for CloudEvents."""

    name: str
    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    code: str = ""

    def fault(self, answer: Answered) -> str | None:
        """What is wrong with the answer and what mends it; ``None`` if Event Grid would begin to deliver."""
        if answer.status in _REMEDIES:
            return f"{answer.status}; {_REMEDIES[answer.status].format(method=self.method)}"
        if answer.status >= 500:
            return f"{answer.status}; the app failed, and its log says why"
        return self._unvalidated(answer) if self.code else self._not_granted(answer)

    def _unvalidated(self, answer: Answered) -> str | None:
        if answer.status != 200:
            return f"{answer.status}; Event Grid takes 200 alone as the answer to its validation"
        try:
            content: Any = json.loads(answer.body)
            valid = content["validationResponse"] == self.code
        except (ValueError, RecursionError, KeyError, TypeError):
            valid = False
        fault = 'the answer has no code; answer {"validationResponse": ...} with the event\'s data.validationCode'
        return None if valid else fault

    def _not_granted(self, answer: Answered) -> str | None:
        granted = answer.headers.get("webhook-allowed-origin", "")
        if granted.strip().lower() in ("*", ORIGIN):
            return None
        has = "another WebHook-Allowed-Origin" if granted else "no WebHook-Allowed-Origin"
        return f"the answer to OPTIONS has {has}; answer with the header WebHook-Allowed-Origin: {ORIGIN}"


def handshake(schema: str, code: str) -> Handshake:
    """The request before the first delivery. ``code`` is the one that the app is to send back.

    Raises :class:`ConfigurationError` for an unknown schema.
    """
    if schema == "cloudevents":
        return Handshake("the handshake of CloudEvents", "OPTIONS", webhook_validation(ORIGIN))
    if schema != "eventgrid":
        raise ConfigurationError(f"schema {schema!r} is unknown; use one of {', '.join(SCHEMAS)}")
    event = subscription_validation(code)
    return Handshake("SubscriptionValidation", "POST", grid_headers(event), delivery([event]), code)


class Arrivals:
    """Event Grid, for calls that come in."""

    def __init__(self, switchboard: Switchboard, courier: Courier, ask: Ask) -> None:
        self._switchboard = switchboard
        self._outside = switchboard.outside
        self._courier = courier
        self._ask = ask
        self._subscribed: set[tuple[str, str]] = set()
        self._announcing: set[asyncio.Task[None]] = set()

    async def subscribe(self, to: str, schema: str) -> None:
        """Ask the endpoint at ``to`` whether it wants the events. Raises :class:`HandshakeFailed` if it does not."""
        uri = web_address("to", to)
        asked = handshake(schema, self._switchboard.new_id())
        try:
            answer = await self._ask(asked.method, uri, asked.body, self._signed(asked.headers))
        except OSError as error:
            why = error.strerror or str(error) or type(error).__name__
            reason = f"no answer ({why}); start the app, and check host and port"
            raise HandshakeFailed(uri, reason, reachable=False) from error
        self._outside.say(f"-> {asked.name} to {shown(uri)}: {answer.status}")
        fault = asked.fault(answer)
        if fault is not None:
            raise HandshakeFailed(uri, fault)
        self._subscribed.add((uri, schema))

    async def subscribed(self, to: str, schema: str) -> None:
        """:meth:`subscribe`, unless the endpoint has passed the handshake before."""
        if (to, schema) not in self._subscribed:
            await self.subscribe(to, schema)

    async def ring(self, arrival: Arrival) -> Incoming:
        """Post the IncomingCall event of a new call, and return the call with the status of the endpoint's answer.

        Raises :class:`ConfigurationError` for an address that is no http(s) URL, and for an unknown party or scenario.
        """
        web_address("to", arrival.to)
        return await self._announce(self._switchboard.ring(arrival))

    def redirected(self, incoming: Incoming, after: asyncio.Event) -> None:
        """Post the IncomingCall event of a call that the app has redirected, once ``after`` is set."""

        async def announce() -> None:
            await after.wait()
            await self._announce(incoming)

        self.later(announce())

    def later(self, announcement: Coroutine[Any, Any, None]) -> None:
        """Announce something beside the requests; :meth:`idle` waits for it."""
        task = asyncio.create_task(announcement)
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def idle(self) -> None:
        """Wait until the app has heard of every redirected call and of every file."""
        while self._announcing:
            await asyncio.wait(self._announcing)

    async def _announce(self, incoming: Incoming) -> Incoming:
        event = incoming_event(incoming, self._switchboard)
        incoming.status = (await self.deliver("IncomingCall", incoming.arrival.to, event)).status
        return incoming

    async def deliver(self, name: str, to: str, event: CloudEvent) -> Callback:
        """Post one event as Event Grid does."""
        return await self._courier.deliver((name,), to, delivery(event), self._signed(grid_headers(event)))

    def _signed(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        issuer = self._outside.issuer
        if issuer is None:
            return headers
        token = issuer.grid_token(**self._outside.validity(TOKEN_LIFETIME))
        return {**headers, "authorization": f"Bearer {token}"}


_TOKEN = "let the validation through before the app asks for a token"
_MOVED = "the address leads elsewhere, and Event Grid follows no redirect; name the last address"
_REMEDIES = {
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),
    **dict.fromkeys((401, 403), _TOKEN),
    404: "the app has no route there; check the path of the address",
    405: "the app's route takes no {method}; let it take {method}, too",
}
