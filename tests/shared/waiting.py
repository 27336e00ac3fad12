"""Calls over a router, and the events that reach them."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import TYPE_CHECKING, Any

from ringback import (
    Calls,
    Catalog,
    OutcomeRouter,
    parse_delivery,
)
from ringback.core.outcome import classify_event
from ringback.receiving.intake import Received

if TYPE_CHECKING:
    from collections.abc import Callable


LEG = "8a17c001-0000-4000-8000-000000000001"
OTHER = "8a17c001-0000-4000-8000-000000000002"
IDS = count(1)


def event(name: str, leg: str | None = LEG, *result: int, context: str | None = None, id: str | None = "") -> Any:  # noqa: A002
    data: dict[str, Any] = {"callConnectionId": leg, "operationContext": context}
    if result:
        data["resultInformation"] = {"code": result[0], "subCode": result[1], "message": ""}
    number = f"8a17e001-0000-4000-8000-{next(IDS):012}" if id == "" else id
    return {"id": number, "source": "calling", "type": f"Microsoft.Communication.{name}", "data": data}


def busy(name: str = "CallDisconnected", leg: str = LEG, context: str | None = None) -> Any:
    return event(name, leg, 486, 560486, context=context)


class App:
    """A router with its calls, and a clock that stands still."""

    def __init__(self, catalog: Catalog | None = None, **options: Any) -> None:
        self.router = OutcomeRouter()
        self.now = 1000.0
        self.calls = Calls(self.router, clock=lambda: self.now, **options)
        self.catalog = catalog

    def hears(self, *events: Any) -> None:
        """One delivery, as the middleware hands it on."""
        delivery = parse_delivery(json.dumps(events))
        outcomes = (classify_event(each, self.catalog) for each in delivery.events)
        assert self.router.notify(Received(delivery, tuple(each for each in outcomes if each is not None))) == ()

    async def begin(self, *waits: Any) -> list[asyncio.Task[Any]]:
        """Waits under way."""
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.sleep(0)
        return tasks


async def turns(done: Callable[[], Any]) -> None:
    """Let the loop, and threads, go on until it is so."""
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.001)
    raise AssertionError
