"""The documentation site has every public name, every link leads somewhere, and no page asks another host."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag

import pytest
from bs4 import BeautifulSoup

import ringback
from ringback.cli import _parser
from ringback.settings import DOOR, ENGINE
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.documentation, pytest.mark.untraced]

DOCS = Path(__file__).parents[2] / "docs"
ROOMS = (
    "ringback ringback.console ringback.eventgrid ringback.logs ringback.simulator ringback.stores ringback.telemetry "
    "ringback.testing ringback_catalog"
).split()


Found = list[tuple[str, dict[str, str]]]


class Tags(HTMLParser):
    """The name and the attributes of each tag of a page: a tree of all pages takes ten times as long to make."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: Found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: text or "" for name, text in attrs}))


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Found]:
    """The tags of every page, by its address from the site's root."""
    return {str(file.relative_to(site)): Tags(file.read_text("utf-8")).found for file in site.rglob("*.html")}


def parsed(site: Path, page: str) -> BeautifulSoup:
    return BeautifulSoup((site / page).read_text("utf-8"), "html.parser")


@pytest.fixture(scope="session")
def documented(site: Path) -> set[str]:
    """The full names of all objects of Python that the site documents."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda _, name: name)
    return {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}


def public() -> Iterator[tuple[str, str]]:
    """Every public name with its module: the lists of the rooms, what ``ringback`` finds, and what pages import."""
    for room in ROOMS:
        yield from ((room, name) for name in importlib.import_module(room).__all__)
    yield from (("ringback", name) for names in ringback._ELSEWHERE.values() for name in names.split())
    for page in DOCS.rglob("*.md"):
        for module, names in re.findall(r"^from (ringback[\w.]*) import ([\w, ]+)$", page.read_text("utf-8"), re.M):
            yield from ((module, name) for name in names.split(", "))


def test_every_public_name_is_documented(documented: set[str]) -> None:
    """Under the module that a user imports it from, or under its own."""
    missing = set()
    for module, name in public():
        found = getattr(importlib.import_module(module), name)
        own = f"{getattr(found, '__module__', None)}.{name}"
        if not {f"{module}.{name}", own} & documented:
            missing.add(f"{module}.{name}")
    assert missing == set()


def test_every_public_function_and_class_says_what_it_is() -> None:
    """By a docstring of its own, and not by that of a class above it."""
    silent = set()
    for module, name in public():
        found = getattr(importlib.import_module(module), name)
        told = vars(found).get("__doc__") if isinstance(found, type) else found.__doc__
        if callable(found) and not told:
            silent.add(f"{module}.{name}")
    assert silent == set()


def test_every_link_leads_to_a_place_of_the_site(pages: dict[str, Found], site: Path) -> None:
    """To a file that is there, and to an anchor that it has. So does every picture."""
    anchors = {page: {given["id"] for _, given in tags if "id" in given} for page, tags in pages.items()}
    assert all(anchors.values())
    broken = set()
    for page, tags in pages.items():
        names = {"a": "href", "img": "src"}
        for link in {given[names[tag]] for tag, given in tags if tag in names and names[tag] in given}:
            address, anchor = urldefrag(link)
            if re.match(r"[a-z]+:", address):
                continue
            target = (site / page).parent / unquote(address) if address else site / page
            known = anchors.get(str(target.resolve().relative_to(site.resolve())))
            if not target.exists() or (anchor and known is not None and unquote(anchor) not in known):
                broken.add((page, link))
    assert broken == set()


def test_no_page_asks_another_host(pages: dict[str, Found], site: Path) -> None:
    """Nothing that a browser loads by itself is elsewhere: scripts, styles, pictures, fonts."""
    loaded = {
        given.get("src") or given.get("href")
        for tags in pages.values()
        for tag, given in tags
        if tag in ("script", "img", "iframe", "source")
        or (tag == "link" and set(given.get("rel", "").split()) & {"stylesheet", "icon", "preload", "preconnect"})
    }
    assert len(loaded) > 5
    assert [each for each in loaded if each and re.match(r"(https?:)?//", each)] == []
    styles = [file.read_text("utf-8") for file in site.rglob("*.css")]
    assert [found for text in styles for found in re.findall(r"url\(['\"]?(?:https?:)?//[^)]*", text)] == []


def test_every_setting_and_every_command_is_on_its_page(site: Path) -> None:
    """A row for each setting, in the table of the router or of a door; a heading for each command."""
    first, second = parsed(site, "reference/settings.html").find_all("table")[:2]
    for table, names in ((first, ENGINE), (second, DOOR)):
        rows = [[cell.get_text() for cell in row.find_all("td")] for row in table.find_all("tr")[1:]]
        assert [row[0] for row in rows] == list(names)
        assert [row for row in rows if not all(row)] == []
    headings = {each.get_text().rstrip("¶") for each in parsed(site, "reference/command-line.html").find_all("h2")}
    commands = next(each for each in _parser()._actions if each.dest == "==SUPPRESS==" and each.choices).choices
    assert commands
    assert {f"ringback {name}" for name in commands} <= headings


def test_every_entry_of_the_catalog_is_on_its_page(site: Path) -> None:
    """In the order of the catalog."""
    rows = [
        tuple(cell.get_text() for cell in row.find_all("td"))
        for row in parsed(site, "reference/catalog.html").find_all("tr")
        if row.find("td")
    ]
    entries = Catalog.default().entries
    assert sorted(row[1:4] for row in rows) == sorted((each.cause, each.retry, each.owner) for each in entries)


@pytest.mark.parametrize(
    ("page", "link", "led"),
    [
        ("durability.md", "logs.md#keys", "logs.md#keys"),
        ("durability.md", "https://example.com/", "https://example.com/"),
        ("durability.md", "../examples", "https://github.com/ringback/ringback/tree/main/examples"),
        ("howto/alerts.md", "../logs.md", "../logs.md"),
        ("howto/alerts.md", "../../LICENSE", "https://github.com/ringback/ringback/blob/main/LICENSE"),
        (
            "security.md",
            "../README.md#install",
            "https://github.com/ringback/ringback/blob/main/README.md#install",
        ),
    ],
)
def test_a_link_beyond_the_pages_leads_to_the_file(
    page: str, link: str, led: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not part of the site is on GitHub."""
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    beyond = importlib.import_module("beyond")
    monkeypatch.delitem(sys.modules, "beyond")
    assert beyond.led_out(f"[a]({link})", (DOCS / page).parent, DOCS) == f"[a]({led})"


def test_the_script_that_draws_diagrams_is_the_one_that_is_written_down() -> None:
    """Nobody has changed it."""
    told = (DOCS / "_static" / "VENDORED.md").read_text("utf-8")
    script = (DOCS / "_static" / "mermaid.tiny.js").read_bytes()
    assert f"sha256 {hashlib.sha256(script).hexdigest()}" in told
