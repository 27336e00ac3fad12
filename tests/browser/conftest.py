"""A headless Chromium, pages in it that are watched, and a checker of accessibility.

Skipped without Chromium or Playwright, unless RINGBACK_REQUIRE_BROWSER is set.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

import live_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import ModuleType

    from playwright.async_api import Browser, Page

ROOT = Path(__file__).parents[2]

# What a browser asks its maker for on its own is none of the page's requests.
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


def without(reason: str) -> NoReturn:
    if os.environ.get("RINGBACK_REQUIRE_BROWSER"):
        pytest.fail(f"RINGBACK_REQUIRE_BROWSER is set, but {reason}")
    pytest.skip(reason)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium of the machine; Playwright downloads none."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        without("Playwright is not installed; pip install 'ringback[dev]'")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("RINGBACK_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        without("there is no Chromium; apt-get install chromium, or set RINGBACK_CHROMIUM")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def opened(browser: Browser) -> AsyncIterator[Callable[..., Any]]:
    """Opens an address in a fresh profile: ``await opened(url, "phone")``. Further settings are Playwright's.

    At the end of the test no page has written an error or a warning to its console, and none has asked another host.
    """
    heard: list[str] = []
    contexts: list[Any] = []

    async def open_(url: str, look: str = "light", **settings: Any) -> Page:
        context = await browser.new_context(**(LOOKS[look] | settings))
        contexts.append(context)
        page = await context.new_page()
        host = urlsplit(url).netloc

        def asked(request: Any) -> None:
            if urlsplit(request.url).netloc not in (host, ""):
                heard.append(f"request to another host: {request.url}")

        page.on("console", lambda line: heard.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", asked)
        await page.goto(url)
        return page

    yield open_
    for context in contexts:
        await context.close()
    assert heard == []


@pytest.fixture
def faults() -> Callable[[Page], Any]:
    """What axe-core finds serious or critical on a page as it stands, each with where it is."""

    async def found(page: Page) -> list[str]:
        from axe_playwright_python.async_playwright import Axe

        results = await Axe().run(page, options={"resultTypes": ["violations"]})
        return [
            f"{each['id']} ({each['impact']}): {node['html']}"
            for each in results.response["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    return found


@pytest.fixture(scope="module")
def example() -> Iterator[Callable[[str], ModuleType]]:
    """A module of an example, afresh for each file of tests, by its name in ``examples``."""
    with pytest.MonkeyPatch.context() as patched:

        def load(name: str) -> ModuleType:
            file = ROOT / "examples" / f"{name.replace('.', '/')}.py"
            spec = importlib.util.spec_from_file_location(f"example_{name.replace('.', '_')}", file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            patched.setitem(sys.modules, spec.name, module)
            spec.loader.exec_module(module)
            return module

        yield load


@pytest.fixture(scope="session")
def serving() -> Callable[[Any], AbstractAsyncContextManager[str]]:
    """Serve an app on a free port of 127.0.0.1, in this loop; its address."""
    return live_server.serving


@pytest.fixture(scope="session")
def images() -> Path:
    """Where ``make screenshots`` keeps its pictures; nobody else takes any."""
    if "RINGBACK_SCREENSHOTS" not in os.environ:
        pytest.skip("`make screenshots` takes the pictures of the documentation")
    return Path(os.environ["RINGBACK_SCREENSHOTS"])
