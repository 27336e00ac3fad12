"""The documentation site in a browser: searched by symptom, in the dark, on a phone, from a disk, with its diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.staticfiles import StaticFiles

import built_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.documentation, pytest.mark.untraced]

PAGES = [
    "index.html",
    "start/simulator.html",
    "howto/scale-out.html",
    "reference/settings.html",
    "reference/python/router.html",
    "troubleshooting.html",
    "verdicts.html",
]
SYMPTOMS = {
    "nothing happens": "troubleshooting.html#nothing-happens",
    "hooks twice": "troubleshooting.html#hooks-twice",
    "hooks missing after a deploy": "troubleshooting.html#hooks-missing-after-a-deploy",
    "401 for all": "troubleshooting.html#for-all",
    "lines missing in Azure Monitor": "troubleshooting.html#lines-missing-in-azure-monitor",
    "PlayFailed calls nothing": "troubleshooting.html#playfailed-calls-nothing",
    "RedialPolicy": "reference/python/redials.html#ringback.RedialPolicy",
    "hook.failed": "logs.html#hook-failed",
}


@pytest.fixture(scope="session")
def folder(folder_of_the_run: Path) -> Path:
    for module in ("furo", "myst_parser", "sphinx", "sphinx_copybutton"):
        pytest.importorskip(module)
    return built_site.built(folder_of_the_run)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def address(folder: Path, serving: Callable[[Any], AbstractAsyncContextManager[str]]) -> AsyncIterator[str]:
    """The pages on a plain server."""
    app = Starlette()
    app.mount("/", StaticFiles(directory=folder))
    async with serving(app) as found:
        yield f"{found}/"


async def first_found(page: Any, address: str, question: str) -> str:
    """Where the first result of a search leads."""
    await page.goto(f"{address}search.html?q={quote_plus(question)}")
    await page.get_by_text("Search finished").wait_for()
    found: str = await page.locator("ul.search > li > a").first.get_attribute("href")
    return found


async def test_one_search_finds_each_symptom(opened: Any, address: str) -> None:
    """The section of the symptom is the first result; so are a name's and a log event's own place."""
    page = await opened(f"{address}search.html")
    assert {question: await first_found(page, address, question) for question in SYMPTOMS} == SYMPTOMS


async def test_a_search_finds_the_row_of_a_result(opened: Any, address: str) -> None:
    """By the subcode, and by code and subcode."""
    page = await opened(f"{address}search.html")
    for question in ("560486", "486/560486"):
        found = await first_found(page, address, question)
        await page.goto(f"{address}{found}")
        row = page.locator(f"[id='{found.partition('#')[2]}']")
        assert "486/560486" in await row.inner_text()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_pages_are_accessible_and_fit(opened: Any, faults: Any, address: str, look: str) -> None:
    """Nothing serious for axe-core; nothing to scroll sideways for but a table or a block of code, within itself."""
    page = await opened(f"{address}index.html", look)
    for each in PAGES:
        await page.goto(address + each)
        # Sphinx writes the parameters of a long signature as a list of definitions without terms.
        assert [fault for fault in await faults(page) if not fault.startswith("definition-list")] == []
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), each


async def test_diagrams_are_drawn(opened: Any, address: str, folder: Path) -> None:
    """On a server and from a disk; again when the reader changes to the dark."""
    page = await opened(f"{address}durability.html")
    for place in (f"{address}durability.html", (folder / "durability.html").as_uri()):
        await page.goto(place)
        await page.locator("pre.mermaid svg").nth(8).wait_for()
        assert await page.locator("pre.mermaid").count() == await page.locator("pre.mermaid svg").count() == 9
    light = await page.locator("pre.mermaid svg style").first.inner_html()
    await page.evaluate("document.body.dataset.theme = 'dark'")
    await page.locator("pre.mermaid[data-processed] svg").nth(8).wait_for()
    assert await page.locator("pre.mermaid svg style").first.inner_html() != light
