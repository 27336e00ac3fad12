"""Refused-only and silent deployments are red in a browser, before anybody asks: the banner, the title, the icon."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from ringback import CallOutcomeMiddleware, OutcomeRouter
from ringback.console import Console
from ringback.stores.sqlite import SQLiteStore
from ringback.testing import Issuer, call_connected
from ringback.work.deliveries import Counted

pytest.importorskip("jinja2")

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    Serving = Callable[[Any], AbstractAsyncContextManager[str]]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.untraced]

EVENT = json.dumps([call_connected()]).encode()
ISSUER = Issuer()
RED = 'body[data-status="problem"]'


async def callbacks(_: object) -> Response:
    return Response(status_code=204)


def deployment(file: Path) -> Starlette:
    router = OutcomeRouter(store=f"sqlite:///{file}")
    app = Starlette(
        routes=[
            Route("/api/callbacks", callbacks, methods=["POST"]),
            Mount("/ringback", Console(router=router, auth=lambda _: "ada")),
        ]
    )
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks", auth=ISSUER.verifier())
    return app


async def deliver(address: str, token: str, count: int = 1) -> set[int]:
    async with httpx.AsyncClient(base_url=address, headers={"authorization": f"Bearer {token}"}) as client:
        return {(await client.post("/api/callbacks", content=EVENT)).status_code for _ in range(count)}


async def shot(page: Any, name: str) -> None:
    """A picture to be looked at, where RINGBACK_LOOK names a folder."""
    if folder := os.environ.get("RINGBACK_LOOK"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def first(page: Any) -> tuple[str, str, bool, float]:
    """The page's title, its first heading of the content, whether its icon is red, and where its first section is."""
    heading, top = await page.evaluate(
        """() => { const first = document.querySelector("main section");
            return [first.querySelector("h2").innerText, first.getBoundingClientRect().top]; }"""
    )
    icon = await page.locator("#icon").get_attribute("href")
    return await page.title(), " ".join(heading.split()), "icon-problem.svg" in icon, top


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_a_deployment_that_refuses_everything_is_red(
    opened: Any, faults: Any, serving: Serving, tmp_path: Path, look: str
) -> None:
    """20 of 20 callbacks are refused with 401: no call ends, and the page is not green."""
    async with serving(deployment(tmp_path / "ringback.db")) as address:
        assert await deliver(address, ISSUER.wrong_audience(), 20) == {401}
        page = await opened(f"{address}/ringback/", look)
        await page.locator('[data-alarm="every_refused"]').wait_for()
        await page.locator(RED).wait_for()
        title, heading, red, top = await first(page)
        assert title == "✕ Now - Ringback"
        assert heading.endswith("Every delivery is refused with 401: 20 of 20, because of audience_wrong.")
        assert red
        assert top < page.viewport_size["height"] / 2
        assert await page.locator('[data-count="refused-audience_wrong"]').inner_text() == "20"
        assert await faults(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await shot(page, f"refused-{look}")


async def test_a_silent_deployment_is_red(opened: Any, serving: Serving, tmp_path: Path) -> None:
    """An hour's calls are usual at this time of each day, and none has come for two hours."""
    file, now = tmp_path / "ringback.db", time.time()
    store = SQLiteStore(file)
    minutes = [int((now - day * 86_400 - hour * 3600) // 60) * 60 for day in range(1, 28) for hour in range(24)]
    await store.count_deliveries([Counted(at, "accepted", "", 60, at) for at in [*minutes, int(now // 60 - 120) * 60]])
    await store.close()
    async with serving(deployment(file)) as address:
        page = await opened(f"{address}/ringback/")
        title, heading, red, _ = await first(page)
        assert (title, red, await page.locator(RED).count()) == ("✕ Now - Ringback", True, 1)
        assert "No delivery has been accepted for 2 hours." in heading
        await shot(page, "silent")


async def test_the_page_turns_by_itself(opened: Any, serving: Serving, tmp_path: Path) -> None:
    """Red while nothing has ever arrived; not with the first delivery; red again when the next ones are refused."""
    async with serving(deployment(tmp_path / "ringback.db")) as address:
        page = await opened(f"{address}/ringback/")
        assert (await first(page))[:3] == ("✕ Now - Ringback", "✕ Nothing has ever arrived.", True)
        await shot(page, "never")
        assert await deliver(address, ISSUER.token()) == {204}
        await page.locator('body[data-status="ok"]').wait_for()
        assert await page.title() == "Now - Ringback"
        assert "icon.svg" in await page.locator("#icon").get_attribute("href")
        await shot(page, "accepted")
        assert await deliver(address, ISSUER.expired(), 20) == {401}
        await page.locator(RED).wait_for()
        assert await page.title() == "✕ Now - Ringback"
        await shot(page, "turned")
