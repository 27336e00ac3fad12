"""Five hundred dead letters in a browser: in groups, asked about, replayed, and taken back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Mount

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter
from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import classify_event
from ringback.stores.sqlite import SQLiteStore
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State
from ringback.work.letters import UNDO

pytest.importorskip("jinja2")

from ringback.console import BasicAuth, Console

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.untraced]

PASSWORD = "correct horse battery staple"
KNOWN = {"http_credentials": {"username": "on-call", "password": PASSWORD}}
LETTERS = 500
REASONS = (
    "HTTPStatusError: Server error '503 Service Unavailable' for url 'https://crm.example/calls/{}'",
    "TimeoutError: crm.example did not answer order {} within 5 s",
    "KeyError: 'customer-{:04d}'",
)


class Seen(NamedTuple):
    """A page that leaves five minutes for an undo, one whose changes are due at once, and what the hook was told."""

    patient: str
    hasty: str
    store: SQLiteStore
    told: list[str]
    called: asyncio.Event


def _busy(number: int) -> Outcome:
    leg = f"1f0e5c1a-0000-4000-8000-{number:012d}"
    code = Result(*((486, 560486) if number % 10 < 6 else (487, 10004)))
    data = EventData(call_connection_id=leg, correlation_id=leg, result_information=code)
    outcome = classify_event(Event("Microsoft.Communication.CallDisconnected", f"event-{number}", data=data))
    assert outcome is not None
    return outcome


async def _died(store: SQLiteStore) -> None:
    """Six of ten for the first reason, three for the second, one for the third."""
    outcomes = [_busy(number) for number in range(LETTERS)]
    await store.put([Item(each.outcome_id, Kind.OUTCOME, 0.0, each) for each in outcomes])
    left = LETTERS

    async def work(claim: Claim) -> Settlement:
        nonlocal left
        left -= 1
        number = int(claim.item.key[-12:])
        reason = REASONS[0 if number % 10 < 6 else 1 if number % 10 < 9 else 2].format(number)
        if not left:
            done.set()
        failed = Progress(failed={"jobs.write_crm": reason})
        return Settlement(State.DEAD, failed, reason=f"jobs.write_crm: {reason}")

    done = asyncio.Event()
    running = asyncio.create_task(store.run(work, 8))
    await done.wait()
    await store.stop(10.0)
    await running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen(
    serving: Callable[[Any], AbstractAsyncContextManager[str]],
    tmp_path_factory: pytest.TempPathFactory,
    browser: object,
) -> AsyncIterator[Seen]:
    """An app with its worker, over a file with dead letters."""
    store = SQLiteStore(tmp_path_factory.mktemp("store") / "ringback.db", min_free=0, timeout=20.0)
    await store.open()
    await _died(store)
    router, told = OutcomeRouter(store=store), list[str]()

    called = asyncio.Event()

    @router.on(scope="call")
    async def write_crm(outcome: Outcome) -> None:
        told.append(outcome.outcome_id)
        if len(told) == 150:
            called.set()

    auth = BasicAuth("on-call", PASSWORD)
    consoles = {
        "patient": Console(router=router, auth=auth, allow_changes=True, clock=lambda: time.time() + 300),
        "hasty": Console(router=router, auth=auth, allow_changes=True, clock=lambda: time.time() - UNDO),
    }
    app = Starlette(routes=[Mount(f"/{name}", console) for name, console in consoles.items()])
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks", auth=None)
    async with serving(app) as address:
        yield Seen(f"{address}/patient/work", f"{address}/hasty/work", store, told, called)


async def rows(page: Any, section: str) -> list[list[str]]:
    return await page.evaluate(
        """section => [...document.querySelectorAll(`#${section} table tbody tr`)]
            .map(row => [...row.children].map(cell => cell.innerText.replace(/\\s+/g, " ").trim()))""",
        section,
    )


async def test_screenshots_of_work(images: Path, opened: Any, seen: Seen) -> None:
    """What was given up, by reason, and the way back from a change."""
    page = await opened(seen.patient, viewport={"width": 1280, "height": 640}, **KNOWN)
    await page.get_by_role("link", name="Replay 50").last.click()
    await page.get_by_role("button", name="Replay 50").click()
    assert len(await page.screenshot(path=images / "console-work.png")) > 20_000
    await page.get_by_role("button", name="Undo").click()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_it_is_accessible_and_fits(opened: Any, faults: Any, seen: Seen, look: str) -> None:
    """Nothing serious, and no page is wider than its window."""
    page = await opened(seen.patient, look, **KNOWN)
    for path in ("", "/letters", "/confirm?act=discard", "?made=replay&count=400&of=500&due={}&change=x"):
        await page.goto(seen.patient + path.format(time.time() + 305))
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert (path, await faults(page)) == (path, [])


@pytest.mark.parametrize("width", [320, 2560])
async def test_no_width_cuts_a_column(opened: Any, seen: Seen, width: int) -> None:
    """Nor does the narrowest, which is a window of 1280 at 400 %."""
    for path in ("", "/letters", "/confirm?act=replay"):
        page = await opened(seen.patient + path, viewport={"width": width, "height": 800}, **KNOWN)
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_five_hundred_are_replayed_and_taken_back(opened: Any, seen: Seen) -> None:
    """The count is asked about; what was done and the way back stand where the person looks, also on a later page."""
    before = await seen.store.dead(LETTERS)
    page = await opened(seen.patient, **KNOWN)
    groups = await rows(page, "dead-letters")
    assert [group[0] for group in groups] == ["300", "150", "50"]
    await page.get_by_role("link", name="Each letter").click()
    await page.get_by_role("link", name="Replay 500 dead letters").click()
    assert await page.title() == "Replay 500 dead letters? - Ringback"
    # As somebody does whose network is slow: the form may be sent twice.
    await page.get_by_role("button", name="Replay 500").dblclick()
    made = page.locator("#made")
    await made.get_by_role("button", name="Undo").wait_for()
    assert "500 dead letters will be replayed." in await made.inner_text()
    box = await made.bounding_box()
    assert 0 <= box["y"] < box["y"] + box["height"] < 900
    assert (await seen.store.stats()).dead == 0
    # Another tab may be another worker's.
    tab = await opened(page.url, **KNOWN)
    assert await tab.get_by_role("button", name="Undo").is_visible()
    await page.get_by_role("button", name="Undo").click()
    assert "500 dead letters are as before" in await page.locator("#made").inner_text()
    assert list(await seen.store.dead(LETTERS)) == list(before)
    assert [group[0] for group in await rows(page, "dead-letters")] == ["300", "150", "50"]
    assert seen.told == []


async def test_the_seconds_are_counted_and_then_undo_is_gone(opened: Any, seen: Seen) -> None:
    """Without loading the page again. Nothing was changed here, so that an undo would find nothing."""
    page = await opened(f"{seen.patient}?made=replay&count=3&of=3&due={time.time() + 301.5}&change=none", **KNOWN)
    await page.get_by_role("button", name="Undo").wait_for(state="detached")
    assert "3 dead letters" in await page.locator("#made").inner_text()


async def test_the_chosen_of_a_page_are_discarded_and_taken_back_without_javascript(opened: Any, seen: Seen) -> None:
    """A box for each letter, and every step is a page."""
    page = await opened(f"{seen.patient}/letters?cause=busy", java_script_enabled=False, **KNOWN)
    boxes = page.locator('input[name="letter"]')
    assert await boxes.count() == 50
    for number in (0, 3, 7):
        await boxes.nth(number).check()
    await page.get_by_role("button", name="Discard the chosen").click()
    assert len(await rows(page, "chosen")) == 3
    await page.get_by_role("button", name="Discard 3").click()
    assert "3 dead letters are discarded" in await page.locator("#made").inner_text()
    await page.get_by_role("button", name="Undo").click()
    assert "3 dead letters are as before" in await page.locator("#made").inner_text()
    assert (await seen.store.stats()).dead == LETTERS


async def test_one_box_chooses_a_whole_page(opened: Any, seen: Seen) -> None:
    """And is no longer checked once a letter is not."""
    page = await opened(f"{seen.patient}/letters", **KNOWN)
    every = page.get_by_label("all of this page")
    await every.check()
    boxes = page.locator('input[name="letter"]')
    assert await boxes.evaluate_all("boxes => boxes.every(box => box.checked)")
    await boxes.first.uncheck()
    assert not await every.is_checked()


async def test_going_back_chooses_no_letter_and_no_filter(opened: Any, seen: Seen) -> None:
    """Other letters may stand where the chosen ones stood, and no list follows what a browser fills in again."""
    page = await opened(f"{seen.patient}/letters", **KNOWN)
    await page.locator('input[name="letter"]').nth(3).check()
    await page.get_by_role("button", name="Discard the chosen").click()
    assert len(await rows(page, "chosen")) == 1
    await page.go_back()
    assert await page.locator('input[name="letter"]:checked').count() == 0
    await page.goto(f"{seen.patient}/../calls")
    await page.locator("#more-filters summary").click()
    await page.select_option("#cause", "busy")
    await page.get_by_role("button", name="Show these calls").click()
    assert page.url.endswith("calls?cause=busy")
    await page.go_back()
    assert await page.input_value("#cause") == ""


async def test_forced_colours_draw_a_line_below_the_current_page_alone(opened: Any, seen: Seen) -> None:
    """They draw what is transparent otherwise."""
    page = await opened(seen.patient, forced_colors="active", **KNOWN)
    drawn = """[...document.querySelectorAll(".pages a")].filter(each =>
        getComputedStyle(each).borderBottomColor !== getComputedStyle(document.body).backgroundColor)
        .map(each => each.textContent)"""
    assert await page.evaluate(drawn) == ["Work"]


async def test_a_group_is_replayed_for_good(opened: Any, seen: Seen) -> None:
    """Each hook is called once, whatever is loaded again; the other groups stay. This test comes last."""
    page = await opened(seen.hasty, **KNOWN)
    await page.locator("#dead-letters tbody tr").nth(1).get_by_role("link", name="Replay").click()
    await page.get_by_role("button", name="Replay 150").click()
    assert "150 dead letters" in await page.locator("#made").inner_text()
    await page.reload()
    await asyncio.wait_for(seen.called.wait(), 60.0)
    assert len(set(seen.told)) == len(seen.told) == 150
    assert (await seen.store.stats()).dead == LETTERS - 150
