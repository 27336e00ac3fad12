"""What the page Now says of deliveries: red before anybody asks, and each number that of the store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ringback import OutcomeRouter
from ringback.console import Console
from ringback.console.pages import asset_address
from ringback.exceptions import StoreUnavailable
from ringback.hooks.dispatcher import Dispatcher
from ringback.logs import LogObserver
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore
from ringback.work.deliveries import SENDER_LEFT, Counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import httpx

    from ringback.work.deliveries import Result

NOON = 1_767_268_800


def counted(ago: int, count: int, result: Result = "accepted", reason: str = "") -> Counted:
    at = (NOON - ago) // 60 * 60
    return Counted(at, result, reason, count, at)


async def page(browser: Callable[..., httpx.AsyncClient], counts: Sequence[Counted], path: Path | None = None) -> str:
    clock = lambda: float(NOON)  # noqa: E731 - a clock that stands still
    store = MemoryStore(clock=clock) if path is None else SQLiteStore(path / "ringback.db", min_free=0, clock=clock)
    await store.open()
    await store.count_deliveries(counts)
    console = Console(store=store, auth=lambda _: "ada", clock=clock)
    async with browser(console) as client:
        text = (await client.get("/")).text
    await store.close()
    return text


def told(text: str) -> tuple[str, str, list[str], bool]:
    """The word for the page's state, its title, its alarms, and whether its icon is red."""
    [state] = re.findall(r'<body [^>]*data-status="(\w*)"', text)
    [title] = re.findall(r"<title>(.*) - Ringback</title>", text)
    return state, title, re.findall(r'data-alarm="(\w+)"', text), asset_address("icon-problem.svg") in text


def numbers(text: str) -> dict[str, str]:
    return dict(re.findall(r'data-count="([\w-]+)">([^<]*)<', text))


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "sqlite"])
async def test_a_deployment_that_refuses_everything_is_red(
    browser: Callable[..., httpx.AsyncClient], tmp_path: Path, on_disk: bool
) -> None:
    """20 of 20 callbacks with 401: the page says so first, with the cause, and what to do."""
    counts = [counted(600, 20, "refused", "audience_wrong")]
    text = await page(browser, counts, tmp_path if on_disk else None)
    assert told(text) == ("problem", "✕ Now", ["every_refused"], True)
    assert "Every delivery is refused with 401: 20 of 20, because of audience_wrong." in text
    assert "the immutable resource id" in text
    assert "ringback doctor --url" in text
    assert "None has ever been accepted." in text
    assert numbers(text) == {"age": "10 min", "accepted": "0", "refused-audience_wrong": "20"}
    assert text.index("data-alarm") < text.index('id="headline" class="headline quiet"')


async def test_a_deployment_to_which_nothing_has_come_is_red(browser: Callable[..., httpx.AsyncClient]) -> None:
    """Nothing has ever arrived is a state of its own, and a handshake is no delivery."""
    text = await page(browser, [])
    assert told(text) == ("problem", "✕ Now", ["never"], True)
    assert "No delivery has been counted yet." in text
    shaken = await page(browser, [counted(60, 1, "handshake", "eventgrid")])
    assert told(shaken) == ("problem", "✕ Now", ["never"], True)
    assert "A handshake has come, and no delivery yet." in shaken


class Locked(MemoryStore):
    """Can be read, and keeps nothing."""

    async def count_deliveries(self, counted: Sequence[Counted]) -> None:  # noqa: ARG002
        raise StoreUnavailable("database is locked")


async def test_a_store_that_cannot_be_written_is_red(browser: Callable[..., httpx.AsyncClient]) -> None:
    """Every delivery is answered with 503, and the store cannot keep the counts of it: the process has them."""
    router, now = OutcomeRouter(), float(NOON)
    dispatcher = Dispatcher(router, LogObserver(), store=Locked(clock=lambda: float(NOON)), clock=lambda: now)
    tally = dispatcher.notebook.tally
    for ago in (90 * 60, 200, 100):
        now = float(NOON - ago)
        tally.count(("unavailable", "store"))
        tally.count(("handshake", "eventgrid") if ago == 200 else ("accepted", "") if ago > 200 else SENDER_LEFT)
    assert not await tally.flush()
    async with browser(Console(router=router, auth=lambda _: "ada", clock=lambda: float(NOON))) as client:
        text = (await client.get("/")).text
    assert told(text) == ("problem", "✕ Now", ["most_unavailable"], True)
    assert "Last accepted" in text
    assert numbers(text) == {
        "age": "1 min 40 s", "accepted": "0", "unavailable-store": "2", "interrupted-sender_left": "1"
    }  # fmt: skip


class LockedFile(SQLiteStore):
    """Keeps no count while another connection has the file locked."""

    locked = True

    async def count_deliveries(self, counted: Sequence[Counted]) -> None:
        if self.locked:
            raise StoreUnavailable("database is locked")
        await super().count_deliveries(counted)


async def test_once_the_store_is_back_every_page_has_what_each_process_has_answered(
    browser: Callable[..., httpx.AsyncClient], tmp_path: Path
) -> None:
    """Two processes answer 503 and cannot count that; a page of a third one has it once they have written."""
    file = tmp_path / "ringback.db"
    stores = [LockedFile(file, min_free=0) for _ in range(2)]
    dispatchers = [
        Dispatcher(OutcomeRouter(), LogObserver(), store=store, clock=lambda: NOON - 90.0) for store in stores
    ]
    for dispatcher in dispatchers:
        dispatcher.notebook.tally.count(("unavailable", "store"))
    texts: list[str] = []
    for store in stores:
        await store.open()
    for _ in range(2):
        for dispatcher, store in zip(dispatchers, stores, strict=True):
            assert await dispatcher.notebook.tally.flush() == (not store.locked)
            store.locked = False
        # A console of its own, because one reads the store every few seconds at most.
        console = Console(store=f"sqlite:///{file}", auth=lambda _: "ada", clock=lambda: float(NOON))
        async with browser(console) as client:
            texts.append((await client.get("/")).text)
        await console.close()
    assert [told(text)[2] for text in texts] == [["never"], ["every_unavailable"]]
    assert [numbers(text).get("unavailable-store") for text in texts] == [None, "2"]
    for store in stores:
        await store.close()


async def test_a_silent_deployment_is_red(browser: Callable[..., httpx.AsyncClient]) -> None:
    """Where calls are usual at this hour."""
    counts = [counted(day * 86_400 + hour * 3600, 60) for day in range(1, 28) for hour in range(24)]
    text = await page(browser, [*counts, counted(7200, 60)])
    assert told(text) == ("problem", "✕ Now", ["silent"], True)
    assert "No delivery has been accepted for 2 hours." in text


async def test_a_doubt_is_no_red(browser: Callable[..., httpx.AsyncClient]) -> None:
    """A fifth refused: the title is marked, the icon is not red, and the reason is in the table."""
    counts = [counted(60 * minute, 4) for minute in range(50)]
    counts += [counted(60 * minute, 1, "refused", "token_expired") for minute in range(50)]
    text = await page(browser, [*counts, counted(5 * 3600, 7, "malformed", "not_json")])
    assert told(text) == ("warning", "▲ Now", ["some_refused"], False)
    assert numbers(text) == {
        "age": "0 s", "accepted": "200", "refused-token_expired": "50", "malformed-not_json": "0"
    }  # fmt: skip
    assert 'data-label="24 hours" class="number">7</td>' in text


async def test_what_is_in_order_is_quiet(browser: Callable[..., httpx.AsyncClient]) -> None:
    """No alarm, no mark, and when the last delivery came."""
    text = await page(browser, [counted(120, 3), counted(5 * 3600, 4)])
    assert told(text) == ("ok", "Now", [], False)
    assert "Nothing was refused, malformed or answered with 503 within 24 hours." in text
    assert "in 24 hours: 7." in text
    assert "It was accepted." in text


async def test_the_last_accepted_delivery_is_told_beside_the_last(browser: Callable[..., httpx.AsyncClient]) -> None:
    """They differ where the last was refused."""
    text = await page(browser, [counted(900, 3), counted(60, 1, "refused", "token_expired")])
    assert "Last accepted 15 min ago" in text
