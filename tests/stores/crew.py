"""What tests of the stores put, and a worker for what was put."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import Outcome, classify_event
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallState
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State
from ringback.work.pace import UNPACED, Pace

if TYPE_CHECKING:
    from ringback.work.delivery_store import DeliveryStore

DONE = Settlement(State.DONE)
CONTACT = "+15550100"

Working = Callable[[Claim], Awaitable[Settlement]]


class Clock:
    """The time, moved on by ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def outcome(
    leg: str | None,
    name: str = "CallDisconnected",
    *,
    call: str | None = None,
    result: bool = True,
    event: str = "",
    source: str | None = None,
) -> Outcome:
    data = EventData(
        call_connection_id=leg, correlation_id=call, result_information=Result(486, 560486) if result else None
    )
    told = Event(f"Microsoft.Communication.{name}", event or f"{name}-{leg}-{call}", source, data=data)
    classified = classify_event(told)
    assert classified is not None
    return classified


def item(leg: str | None, name: str = "CallDisconnected", *, due_at: float = 0.0, **told: Any) -> Item:
    ended = outcome(leg, name, **told)
    return Item(ended.outcome_id, Kind.OUTCOME, due_at, ended)


def whole(call: str) -> Item:
    """Event Grid's end of a whole call."""
    return item(None, "CallEnded", call=call, result=False)


def redial(leg: str, due_at: float = 0.0, number: int = 2, contact: str | None = CONTACT) -> Item:
    """The redial that the end of this leg asks for."""
    ended = outcome(leg)
    return Item(f"redial:{ended.outcome_id}", Kind.REDIAL, due_at, ended, contact, "call_again", number)


async def plan(store: DeliveryStore, leg: str, due_at: float | None = None, contact: str = CONTACT) -> bool | None:
    """Plans the redial of this leg, unless a redial to the contact waits or this one was planned before."""
    due_at = time.time() if due_at is None else due_at
    wanted = redial(leg, due_at, contact=contact)

    def step(known: Contact) -> Step[bool]:
        if known.planned or known.call(wanted.key) is not None:
            return Step(known, False)
        return Step(known.redial(wanted.key, CallState.PLANNED, due_at), True, put=wanted)

    return await store.change(contact, step)


async def cancel(store: DeliveryStore, contact: str = CONTACT) -> int | None:
    def step(known: Contact) -> Step[int]:
        after, keys, count = known.canceled(0.0)
        return Step(after, count, cancel=keys)

    return await store.change(contact, step)


async def known(store: DeliveryStore, contact: str = CONTACT) -> Contact:
    """What the store knows of the contact."""
    found = await store.change(contact, lambda known: Step(known, known))
    assert found is not None
    return found


def timeless(claim: Claim) -> Claim:
    return replace(claim, item=replace(claim.item, due_at=0.0), put_at=0.0)


async def finishes(_: Claim) -> Settlement:
    return DONE


class Held:
    """Work that has ``begun``, and ends once a test sets ``go``."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: Claim) -> Settlement:
        self.begun.set()
        await self.go.wait()
        return DONE


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until the condition is met, at most 20 seconds."""
    async with asyncio.timeout(20):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.02)


class Crew:
    """A worker for a while: what it has claimed, in order, without the times."""

    def __init__(
        self, store: DeliveryStore, work: Working = finishes, *, concurrency: int = 4, pace: Pace = UNPACED
    ) -> None:
        self.claims: list[Claim] = []
        self._store, self._work, self._concurrency, self._pace = store, work, concurrency, pace
        self._finished = 0
        self._told = asyncio.Event()

    async def __aenter__(self) -> Crew:
        self._task = asyncio.create_task(self._store.run(self._noted, self._concurrency, self._pace))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._store.stop(10.0)
        await self._task

    async def _noted(self, claim: Claim) -> Settlement:
        self.claims.append(timeless(claim))
        try:
            return await self._work(claim)
        finally:
            self._finished += 1
            self._told.set()

    async def have(self, count: int) -> None:
        async with asyncio.timeout(60):
            while self._finished < count:
                self._told.clear()
                await self._told.wait()


async def worked(
    store: DeliveryStore, count: int, work: Working = finishes, *, concurrency: int = 4
) -> Sequence[Claim]:
    """What was claimed, in order, until ``count`` claims had been worked on."""
    crew = Crew(store, work, concurrency=concurrency)
    async with crew:
        await crew.have(count)
    return crew.claims


def dies(reason: str = "no use", progress: Progress | None = None) -> Working:
    async def work(_: Claim) -> Settlement:
        return Settlement(State.DEAD, progress or Progress(), reason=reason)

    return work
