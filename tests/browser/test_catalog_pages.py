"""The catalog's pages in a browser: searched, by keyboard, without JavaScript, in the dark, on a phone, from a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.staticfiles import StaticFiles

import page_code
from ringback.cli import _site
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.untraced]

ENTRIES = Catalog.default().entries
PAGES = ["index.html", "causes/carrier_error.html", "entries/486-560486.html", "entries/sip-603-network-blocked.html"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the command writes them."""
    place = tmp_path_factory.mktemp("site")
    _site.write(ENTRIES, "html", place)
    return place


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(folder: Path, serving: Callable[[Any], AbstractAsyncContextManager[str]]) -> AsyncIterator[str]:
    """The address of the pages on a plain server."""
    app = Starlette()
    app.mount("/", StaticFiles(directory=folder))
    async with serving(app) as address:
        yield f"{address}/"


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_pages_are_accessible_and_fit(opened: Any, faults: Any, site: str, look: str) -> None:
    """Nothing serious for axe-core on any kind of page, and nothing to scroll sideways for."""
    page = await opened(site + PAGES[0], look)
    # All of the first page takes seconds, and its hundreds of lines are alike.
    await page.locator("#query").fill("network")
    for path in PAGES:
        if path != PAGES[0]:
            await page.goto(site + path)
        assert await faults(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_the_search_finds_while_one_types(opened: Any, site: str) -> None:
    """All words, in any order; the cause counts as one; the number is announced; clearing brings all back."""
    page = await opened(f"{site}index.html")
    box, status = page.get_by_role("searchbox", name="Search by code, event or words"), page.get_by_role("status")
    entries = page.locator("section[data-cause] li:visible")
    assert await entries.count() == len(ENTRIES)
    await box.press_sequentially("busy 486")
    assert await status.inner_text() == "5 entries"
    assert await entries.count() == 5
    assert await page.locator("section:visible h2").all_inner_texts() == ["busy"]
    await box.press_sequentially(" 560486")
    assert (await status.inner_text(), await entries.count()) == ("1 entry", 1)
    await box.press_sequentially(" nothing")
    assert (await status.inner_text(), await entries.count()) == ("No entry has all of these words.", 0)
    await box.press("Enter")
    assert await page.evaluate("location.href") == f"{site}index.html?q=busy+486+560486+nothing"
    await box.fill("")
    assert await page.evaluate("location.href") == f"{site}index.html"
    assert (await status.inner_text(), await entries.count()) == ("", len(ENTRIES))


async def test_a_pair_is_found_however_it_is_written(opened: Any, site: str) -> None:
    """As it stands in a log, in Microsoft's message, in the event; that one entry."""
    page = await opened(f"{site}index.html")
    for query in (
        "486#560486",
        "486/560486",
        "code 486 subcode 560486",
        "DiagCode: 486#560486.@",
        '{"code": 486, "subCode": 560486}',
        "Busy code=486, subCode=560486",
    ):
        await page.locator("#query").fill("")
        await page.locator("#query").fill(query)
        found = await page.locator("section[data-cause] li:visible a").all_inner_texts()
        assert (query, found) == (query, ["486/560486"])


async def test_the_cause_that_was_named_comes_first(opened: Any, site: str) -> None:
    """Before all others that have the word, also with the overview; without it all stand as they did."""
    page = await opened(f"{site}index.html")
    box, headings = page.locator("#query"), page.locator("section:visible h2")
    usual = await headings.all_inner_texts()
    for query, first in (
        ("unknown", "unknown"),
        ("timeout", "timeout"),
        ("no_answer", "no_answer"),
        ("no answer 480", "no_answer"),
    ):
        await box.fill(query)
        found = await headings.all_inner_texts()
        assert found[0] == first
        assert len(found) > 1 or "480" in query
    await box.fill("")
    assert await headings.all_inner_texts() == usual


async def test_an_address_shares_a_search(opened: Any, site: str, folder: Path) -> None:
    """What stands in it is searched for at once, on a server and from a disk; typing keeps it up to date."""
    for place in (f"{site}index.html", (folder / "index.html").as_uri()):
        page = await opened(f"{place}?q=486%23560486")
        assert await page.locator("#query").input_value() == "486#560486"
        assert await page.get_by_role("status").inner_text() == "1 entry"
        await page.locator("#query").fill("603 & <b>")
        assert await page.evaluate("location.href") == f"{place}?q=603+%26+%3Cb%3E"
        await page.reload()
        assert await page.locator("#query").input_value() == "603 & <b>"


async def test_samples_are_copied(opened: Any, site: str) -> None:
    """By a button, whole; and the text is there without one."""
    page = await opened(f"{site}entries/486-560486.html", permissions=["clipboard-read", "clipboard-write"])
    blocks = page.locator("pre")
    for number in range(2):
        button = page.get_by_role("button").nth(number)
        await button.click()
        # The button says it once the clipboard has the text.
        await page.wait_for_function(
            "number => document.querySelectorAll('button')[number].innerText === 'Copied'", arg=number
        )
        assert await page.evaluate("navigator.clipboard.readText()") == await blocks.nth(number).inner_text()
    page = await opened(f"{site}entries/486-560486.html", java_script_enabled=False)
    assert await page.get_by_role("button").count() == 0
    assert "ringback trigger 486/560486" in await page.locator("pre").nth(1).inner_text()


async def test_the_keyboard_reaches_everything(opened: Any, site: str) -> None:
    """Skip link, search, a found entry, back by its trail; the focus is always to be seen."""
    page = await opened(f"{site}index.html")
    focused = page.locator(":focus")
    await page.keyboard.press("Tab")
    assert await focused.inner_text() == "Skip to the text"
    assert await focused.is_visible()
    await page.keyboard.press("Tab")
    assert await focused.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    await page.keyboard.type("560486 person")
    for expected in ("busy", "486/560486"):
        await page.keyboard.press("Tab")
        assert await focused.inner_text() == expected
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{site}entries/486-560486.html")
    for _ in range(2):
        await page.keyboard.press("Tab")
    assert await focused.inner_text() == "The Ringback catalog"
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{site}index.html")


async def test_without_javascript_only_the_search_is_gone(opened: Any, site: str) -> None:
    """Every entry is in the document, and no box that does nothing."""
    page = await opened(f"{site}index.html", java_script_enabled=False)
    assert await page.locator("section[data-cause] li").count() == len(ENTRIES)
    assert not await page.locator("#query").is_visible()
    await page.get_by_role("link", name="486/560486", exact=True).click()
    assert await page.locator("h1").inner_text() == "486/560486"


async def test_pages_open_from_a_disk(opened: Any, folder: Path) -> None:
    """Styles and search work there as well."""
    page = await opened((folder / "index.html").as_uri())
    await page.locator("#query").fill("q.850 17")
    assert await page.locator("section[data-cause] li:visible").first.inner_text() != ""
    assert await page.locator("body").evaluate("each => getComputedStyle(each).maxWidth") == "800px"


async def test_screenshots(images: Path, opened: Any, site: str) -> None:
    """For docs/catalog.md: a search, and an entry in the dark."""
    page = await opened(f"{site}index.html")
    await page.locator("#query").fill("busy 486")
    await page.screenshot(path=images / "catalog-search.png", clip={"x": 160, "y": 0, "width": 960, "height": 600})
    page = await opened(f"{site}entries/486-560486.html", "dark")
    await page.screenshot(path=images / "catalog-entry.png", clip={"x": 160, "y": 0, "width": 960, "height": 740})
    page_code.write_down(images, "catalog")
