"""The operations page on paper, and in the few colours of a viewer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

pytest.importorskip("jinja2")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from types import ModuleType

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.untraced]

PASSWORD = "correct horse battery staple"
KNOWN = {"http_credentials": {"username": "on-call", "password": PASSWORD}}
PAPER = {"width": 680, "height": 1000}
"""What A4 and Letter have between their margins."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(
    example: Callable[[str], ModuleType],
    serving: Callable[[Any], AbstractAsyncContextManager[str]],
    tmp_path_factory: pytest.TempPathFactory,
    browser: object,
) -> AsyncIterator[str]:
    """The example over the day that has just ended."""
    file = tmp_path_factory.mktemp("store") / "ringback.db"
    app, day = example("operations_page.app"), example("operations_page.day")
    await day.fill(file, datetime.now(UTC).timestamp(), 600)
    async with serving(app.create_app(file, password=PASSWORD)) as found:
        yield f"{found}/ringback/"


async def test_paper_cuts_nothing_and_is_light(opened: Any, address: str) -> None:
    """Tables fit with all that opens, no number is broken over two lines, and the dark stays on the screen."""
    page = await opened(address, "dark", **(KNOWN | {"viewport": PAPER}))
    for path in ("", "calls", "work", "work/letters", "catalog", "catalog/entry?code=486/560486"):
        await page.goto(address + path)
        await page.emulate_media(media="print")
        await page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        seen = await page.evaluate(
            """() => ({
                colour: getComputedStyle(document.body).color,
                wide: document.documentElement.scrollWidth > innerWidth,
                cut: [...document.querySelectorAll(".scroll, pre")].filter(each => each.checkVisibility()
                    && (each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1))
                    .map(each => each.getAttribute("aria-labelledby")),
                broken: [...document.querySelectorAll("td.number > a")]
                    .filter(each => each.getClientRects().length > 1).length,
            })"""
        )
        assert (path, seen) == (path, {"colour": "rgb(28, 32, 36)", "wide": False, "cut": [], "broken": 0})


async def test_forced_colours_show_whether_the_switch_is_on(opened: Any, address: str) -> None:
    """They take every ground away; the word beside the switch is not alone all the same."""
    page = await opened(f"{address}work", forced_colors="active", **KNOWN)
    knob = "getComputedStyle(document.querySelector('.knob')).backgroundColor"
    on = await page.evaluate(knob)
    await page.get_by_role("switch").click()
    assert on != await page.evaluate(knob)
