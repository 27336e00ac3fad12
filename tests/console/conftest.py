"""Stores with known calls in them, and the page read back as figures and tables."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ringback.console import Console
from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import Outcome, classify_event
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore
from ringback.work.contact import Step
from ringback.work.contact_call import CallState
from ringback.work.items import Item, Kind, Progress, Settlement, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ringback.stores import DeliveryStore
    from ringback.work.items import Claim

NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""


@dataclass
class Clock:
    """Stands still until it is set."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Table(HTMLParser):
    """Every table of a page by the id of its section, as rows of texts; its figures by name; and each number of calls,
    with the address that it leads to.
    """

    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, int, str]] = field(default_factory=list)
    inputs: list[dict[str, str | None]] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)
    _figure: tuple[str, str] | None = None
    _cell: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "section":
            self._ids.append(named.get("id") or str(named["aria-labelledby"]).removesuffix("-title"))
        elif tag == "tr":
            self.tables.setdefault(self._ids[-1], []).append([])
        elif tag in ("td", "th"):
            self.tables[self._ids[-1]][-1].append("")
            self._cell = True
        elif tag == "input":
            self.inputs.append(named)
        for kind in ("data-figure", "data-work", "data-total"):
            if kind in named:
                self._figure = named[kind] or kind, named.get("href") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._ids.pop()
        elif tag in ("td", "th"):
            self._cell = False
        elif tag in ("a", "span"):
            self._figure = None

    def handle_data(self, data: str) -> None:
        if self._figure:
            name, link = self._figure
            self.figures[name] = data
            if link.startswith(("calls?", "../calls?")):
                self.links.append((name, int(data.replace(",", "")), link))
        if self._cell:
            row = self.tables[self._ids[-1]][-1]
            row[-1] = " ".join(f"{row[-1]} {data}".split())


def ended(number: int, code: int | None, subcode: int | None, event: str = "CallDisconnected", **texts: Any) -> Outcome:
    """The end of call ``number``."""
    call = f"1f0e5c1a-0000-4000-8000-{number:012d}"
    data = EventData(
        call_connection_id=texts.pop("call", call),
        correlation_id=call,
        result_information=None
        if code is None and subcode is None
        else Result(code, subcode, texts.pop("message", None)),
    )
    outcome = classify_event(Event(type=f"Microsoft.Communication.{event}", id=f"event-{number}", data=data, **texts))
    assert outcome is not None
    return outcome


@dataclass
class Calls:
    """A store and what is done to it."""

    store: DeliveryStore
    clock: Clock

    async def put(self, outcome: Outcome, at: float | None = None, **settings: Any) -> None:
        """At that time, due at once unless ``due_at`` is given."""
        now, self.clock.now = self.clock.now, self.clock.now if at is None else at
        settings = {"key": outcome.outcome_id, "kind": Kind.OUTCOME, "due_at": self.clock.now} | settings
        await self.store.put([Item(outcome=outcome, **settings)])
        self.clock.now = now

    async def plan(self, outcome: Outcome, contact: str, due_at: float, target: str = "call_again") -> None:
        """A redial to come."""
        item = Item(f"redial:{outcome.outcome_id}", Kind.REDIAL, due_at, outcome, contact, target, 2)
        await self.store.change(
            contact, lambda known: Step(known.redial(item.key, CallState.PLANNED, due_at), None, put=item)
        )

    async def work(self, settle: Callable[[Claim], Settlement] = lambda _: Settlement(State.DONE)) -> list[str]:
        """Until nothing is due; the keys that were worked on."""
        worked: list[str] = []

        async def work(claim: Claim) -> Settlement:
            worked.append(claim.item.key)
            return settle(claim)

        running = asyncio.create_task(self.store.run(work, 1))
        while True:
            await asyncio.sleep(0.01)
            due = await self.store.history.waiting(Kind.OUTCOME, 100)
            if all(each.due_at > self.clock.now for each in due):
                break
        await self.store.stop(1.0)
        await running
        return worked

    async def kill(self, reason: str = "RuntimeError: no", progress: Progress | None = None) -> None:
        """Whatever is due is given up."""
        await self.work(lambda _: Settlement(State.DEAD, progress or Progress(), reason=reason))

    def console(self, **settings: Any) -> Console:
        """A second later: a page shows seconds that are over."""
        given = {"store": self.store, "auth": lambda _: "ops", "clock": lambda: self.clock() + 1}
        return Console(**given | {"monotonic": self.clock} | settings)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def calls(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[Calls]:
    """On each store that needs no server."""
    store = MemoryStore(clock=clock) if request.param == "memory" else SQLiteStore(tmp_path / "calls.db", clock=clock)
    await store.open()
    _ = store.history
    yield Calls(store, clock)
    await store.close()


@pytest.fixture
async def memory(clock: Clock) -> Calls:
    """Where the store does not matter."""
    store = MemoryStore(clock=clock)
    _ = store.history
    return Calls(store, clock)


@pytest.fixture
def outcome() -> Callable[..., Outcome]:
    return ended


@pytest.fixture
def parsed() -> Callable[[str], Table]:
    def parsed(text: str) -> Table:
        table = Table()
        table.feed(re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
        return table

    return parsed


@pytest.fixture
def browser() -> Callable[..., httpx.AsyncClient]:
    """A client whose forms are those of the page, as a browser says."""

    def browser(app: Any, **settings: Any) -> httpx.AsyncClient:
        settings = {"base_url": "https://ops.example", "headers": {"sec-fetch-site": "same-origin"}} | settings
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), **settings)

    return browser
