"""Lets calls come in: Event Grid's handshake with the endpoint, then the IncomingCall event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ringback.simulator.bodies import incoming_event
from ringback.simulator.posting import shown, web_address
from ringback.simulator.subscription import HandshakeFailed, handshake
from ringback.testing.deliveries import delivery
from ringback.testing.grid import grid_headers

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from ringback.simulator.calls import Arrival, Incoming
    from ringback.simulator.courier import Callback, Courier
    from ringback.simulator.posting import Ask
    from ringback.simulator.switchboard import Switchboard
    from ringback.testing.builder import CloudEvent

TOKEN_LIFETIME = 3600


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
