"""The operations page in a browser, over a real server and a store with a day of calls."""

from __future__ import annotations

import csv
import sqlite3
import tomllib
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

import page_code
from ringback import classify
from ringback.testing import Call, call_event
from ringback_catalog import Catalog

pytest.importorskip("jinja2")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import ModuleType

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.untraced]

PASSWORD = "correct horse battery staple"
KNOWN = {"http_credentials": {"username": "on-call", "password": PASSWORD}}

# What each call said and was judged as, from what was stored of it and not from the columns that the page counts by.
CALLS = """
    SELECT key, state, duplicates, created_at, event,
        json_extract(text, '$.result.code') AS code, json_extract(text, '$.result.subcode') AS subcode,
        json_extract(judged, '$.cause') AS cause, json_extract(judged, '$.retry') AS retry,
        json_extract(judged, '$.match') AS "match", json_extract(judged, '$.owner') AS owner,
        json_extract(judged, '$.summary') AS summary,
        json_extract(text, '$.call_connection_id') AS leg, json_extract(text, '$.correlation_id') AS call
    FROM (
        SELECT items.*, CAST(payload AS TEXT) AS text, CAST(verdicts.text AS TEXT) AS judged
        FROM items JOIN verdicts ON verdicts.id = items.verdict WHERE kind = 'outcome' AND ends_call
    )
    WHERE created_at >= ? ORDER BY created_at DESC, id DESC
"""


class Seen(NamedTuple):
    """The example on a server: its address, its modules, its file."""

    address: str
    callbacks: str
    app: ModuleType
    file: Path

    def query(self, statement: str, *parameters: object) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(statement, parameters).fetchall()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen(
    example: Callable[[str], ModuleType],
    serving: Callable[[Any], AbstractAsyncContextManager[str]],
    tmp_path_factory: pytest.TempPathFactory,
    browser: object,
) -> AsyncIterator[Seen]:
    """The example as somebody starts it, over a day that has just ended."""
    file = tmp_path_factory.mktemp("store") / "ringback.db"
    app = example("operations_page.app")
    await example("operations_page.day").fill(file, datetime.now(UTC).timestamp())
    async with serving(app.create_app(file, password=PASSWORD, settle=0.05)) as address:
        yield Seen(f"{address}/ringback/", f"{address}/api/callbacks", app, file)


async def texts(page: Any, selector: str) -> list[str]:
    """What stands in each of these, in one line."""
    return [" ".join(text.split()) for text in await page.locator(selector).all_inner_texts()]


async def cells(page: Any, section: str) -> list[list[str]]:
    """A table's rows. Read in one go: the page may change meanwhile."""
    return await page.evaluate(
        """section => [...document.querySelectorAll(`#${section} table.cards tbody tr`)]
            .map(row => [...row.children].map(cell => cell.innerText.replace(/\\s+/g, " ").trim()))""",
        section,
    )


def pair(row: sqlite3.Row) -> str:
    return "–" if row["code"] is None else f"{row['code']}/{row['subcode']}"  # noqa: RUF001 - as the page writes it


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def unknown(row: sqlite3.Row) -> bool:
    if row["match"] == "code":
        return row["subcode"] not in (None, 0)
    return row["match"] in ("range", "none") and (row["code"], row["subcode"]) != (None, None)


# What it shows


async def numbers(page: Any) -> dict[str, int]:
    """Each figure by its name, and in what it leads to."""
    found = await page.evaluate(
        """[...document.querySelectorAll("[data-figure]")].map(each => [each.dataset.figure, each.textContent])"""
    )
    return {name: int(text.replace(",", "")) for name, text in found if text.replace(",", "").isdigit()}


def within(rows: list[sqlite3.Row], since: float, until: float) -> list[sqlite3.Row]:
    return [row for row in rows if since <= row["created_at"] < until]


@pytest.mark.parametrize(
    ("range_", "seconds", "bar"), [("1h", 3600, 300), ("24h", 86_400, 3600), ("7d", 604_800, 21_600)]
)
async def test_figures_and_charts_are_those_of_the_store(
    opened: Any, seen: Seen, range_: str, seconds: int, bar: int
) -> None:
    """Counted by a query of our own: the hour, the range, and each bar of each series, in the table and as drawn."""
    page = await opened(f"{seen.address}?range={range_}", **KNOWN)
    at = datetime.fromisoformat(await page.locator("#as-of time").get_attribute("datetime")).timestamp()
    since = datetime.fromisoformat(await page.locator("#figures-title time").get_attribute("datetime")).timestamp()
    assert since % bar == 0
    assert seconds <= at - since < seconds + bar
    calls = within(seen.query(CALLS, since), since, at)
    assert len(calls) == 5400 if seconds > 3600 else 300 < len(calls) < 900
    found = await numbers(page)
    for name, rows in (("range", calls), ("hour", within(calls, at - 3600, at))):
        retries = Counter(row["retry"] for row in rows)
        assert {each: found[f"{each}.{name}"] for each in ("ended", "intended", "retryable", "failed")} == {
            "ended": len(rows),
            "intended": retries["none"],
            "retryable": retries["now"] + retries["later"],
            "failed": retries["after_fix"] + retries["never"],
        }
        assert found[f"unrecognized.{name}"] == sum(map(unknown, rows))
    bars = seconds // bar + 1
    for number in range(bars):
        rows = within(calls, since + number * bar, since + (number + 1) * bar)
        causes = Counter(row["cause"] for row in rows if row["retry"] != "none")
        drawn = {name.split(".")[2]: count for name, count in found.items() if name.startswith(f"causes.{number}.")}
        assert drawn == causes
        assert found.get(f"causes.{number}", 0) == causes.total()
        assert found.get(f"dispositions.{number}", 0) == len(rows)
        assert found[f"rates.{number}.ended"] == len(rows)
    # Higher pieces are more calls, wherever they are.
    pieces = await page.evaluate(
        """[...document.querySelectorAll("#causes .bar a")].map(each => [
            each.querySelector("rect").getBoundingClientRect().height,
            parseInt(each.textContent.match(/: ([0-9,]+) of/)[1].replace(",", ""))
        ])"""
    )
    assert len(pieces) == len([name for name in found if name.count(".") == 2 and name.startswith("causes.")])
    scale = max(count for _, count in pieces) / max(height for height, _ in pieces)
    assert all(abs(height * scale - count) <= scale + 1 for height, count in pieces)


async def test_from_the_banner_to_a_call_in_three_clicks(opened: Any, seen: Seen) -> None:
    """The number in the banner, a call of the list, and its record; each is what a query of our own finds."""
    page = await opened(seen.address, **KNOWN)
    at = datetime.fromisoformat(await page.locator("#as-of time").get_attribute("datetime")).timestamp()
    calls = within(seen.query(CALLS, at - 3600), at - 3600, at)
    failing = [row for row in calls if row["cause"] == "carrier_error" and row["retry"] != "none"]
    assert await page.locator("#headline").get_attribute("class") == "headline failing"
    assert (await texts(page, "#headline .lead"))[0].startswith(
        f"FAILING carrier error {len(failing):,} of {len(calls):,} calls in the last hour"
    )
    await page.locator('#headline [data-figure="worst"]').click()
    await page.wait_for_url("**/calls?**")
    assert await page.locator("[data-total]").inner_text() == f"{len(failing):,}"
    rows = await cells(page, "list")
    assert {row[2] for row in rows} == {"carrier error"}
    assert sorted(row[1] for row in rows) == sorted(row["leg"] for row in failing[: len(rows)])
    name = rows[0][1]
    await page.get_by_role("link", name=name).click()
    await page.wait_for_url(f"**/calls/{name}")
    (row,) = (each for each in failing if each["leg"] == name)
    told = " ".join(await texts(page, "main"))
    assert row["summary"] in told
    assert "carrier: the carrier or the SBC's operator" in told
    assert len(await texts(page, ".timeline li")) >= 1
    await page.go_back()
    await page.go_back()
    await page.locator("#causes .bar a").last.click()
    await page.wait_for_url("**/calls?cause=**")


async def test_every_table_is_that_of_the_store(opened: Any, seen: Seen) -> None:
    """The failing pairs, those that nobody knows, and the newest calls: row for row."""
    page = await opened(seen.address, **KNOWN)
    at = datetime.fromisoformat(await page.locator("#as-of time").get_attribute("datetime")).timestamp()
    calls = within(seen.query(CALLS, 0), 0, at)
    await page.locator("#more-failing summary").first.click()
    groups = Counter(
        (row["cause"].replace("_", " "), pair(row), row["event"]) for row in calls if row["retry"] != "none"
    )
    hour = Counter(
        (row["cause"].replace("_", " "), pair(row), row["event"])
        for row in calls
        if row["retry"] != "none" and row["created_at"] >= at - 3600
    )
    found = [(row[0], *row[1].split(" "), row[2], row[3].split(" ")[0]) for row in await cells(page, "failing")]
    assert sorted(found) == sorted((*key, f"{hour[key]:,}", f"{count:,}") for key, count in groups.items())
    newest = await cells(page, "latest")
    assert sorted([row[0], row[5]] for row in newest) == sorted(
        [moment(row["created_at"]), row["leg"]] for row in calls[: len(newest)]
    )
    # The contacts that calls and redials have in the store.
    assert "customer-" not in await page.content()
    await page.goto(f"{seen.address}catalog")
    rare = Counter((pair(row), row["event"]) for row in calls if unknown(row))
    assert len(rare) == 2
    assert sorted(text.split(" calls, ")[0] for text in await texts(page, ".unknown > p")) == sorted(
        f"{code} {event}, {count}" for (code, event), count in rare.items()
    )


async def test_an_override_can_be_copied(opened: Any, seen: Seen) -> None:
    """The block is one that a catalog takes, for the pair that it stands at."""
    page = await opened(f"{seen.address}catalog", permissions=["clipboard-read", "clipboard-write"], **KNOWN)
    await page.get_by_text("Override for 488/977001").click()
    await page.locator(".unknown", has_text="488/977001").get_by_role("button", name="Copy").click()
    await page.get_by_text("Copied.").wait_for()
    block = await page.evaluate("navigator.clipboard.readText()")
    ours = Catalog.default().with_overrides(tomllib.loads(block))
    assert classify("CallDisconnected", 488, 977001, catalog=ours).recognized


# How it behaves


async def test_a_new_call_appears_by_itself(opened: Any, seen: Seen) -> None:
    """Delivered over HTTP, it is in the figures and in the table without a reload; the focus stays where it was."""
    page = await opened(seen.address, **KNOWN)
    before = (await numbers(page))["ended.range"]
    await page.evaluate("window.stays = true")
    await page.get_by_role("link", name="7 days").focus()
    call = Call()
    async with httpx.AsyncClient() as client:
        event = call_event("CallDisconnected", 486, 560486, call=call, operation_context="customer-new")
        assert (await client.post(seen.callbacks, json=[event])).status_code == 204
    await page.locator("#latest").get_by_text(call.call_connection_id).wait_for()
    assert (await numbers(page))["ended.range"] == before + 1
    assert await page.evaluate("window.stays")
    assert await page.evaluate("document.activeElement.textContent") == "7 days"


async def test_without_javascript_it_says_the_same(opened: Any, seen: Seen) -> None:
    """Figures, charts, filters, the list and a call; times are in UTC, and only what is live is gone."""
    page = await opened(seen.address, java_script_enabled=False, **KNOWN)
    assert not await page.locator("#live-box").is_visible()
    assert await page.locator("#causes .bar").count() > 10
    assert "UTC" in await page.locator("#as-of").inner_text()
    await page.get_by_role("link", name="Calls", exact=True).click()
    await page.locator("#more-filters summary").click()
    await page.locator("#cause").select_option("busy")
    await page.locator("#since").fill("3h")
    await page.get_by_role("button", name="Show these calls").click()
    assert page.url.endswith("/calls?cause=busy&since=3h")
    assert {row[2] for row in await cells(page, "list")} == {"busy"}
    await page.locator("#search").fill("customer-17")
    await page.get_by_role("button", name="Find").click()
    assert "customer" not in page.url
    assert "search=~" in page.url
    # By the side: a browser writes the status of a page that refuses to its console.
    refused = await page.request.post(f"{seen.address}calls", form={"code": "busy", "cause": "busy"})
    assert refused.status == 400
    assert "code &#39;busy&#39; is no number of a result" in await refused.text()


async def test_times_are_those_of_the_viewer(opened: Any, seen: Seen) -> None:
    """With UTC at hand."""
    page = await opened(seen.address, timezone_id="Asia/Kolkata", **KNOWN)
    time = page.locator("#as-of time")
    utc = datetime.fromisoformat(await time.get_attribute("datetime"))
    assert await time.inner_text() == f"{utc + timedelta(hours=5, minutes=30):%Y-%m-%d %H:%M:%S}"
    assert await time.get_attribute("title") == f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    assert "Asia/Calcutta" in (zone := await page.locator("#zone").inner_text()) or "Asia/Kolkata" in zone


async def test_a_file_has_the_calls_of_the_list(opened: Any, seen: Seen) -> None:
    """By the link that stands above the list."""
    page = await opened(f"{seen.address}calls?cause=declined", **KNOWN)
    total = int((await page.locator("[data-total]").inner_text()).replace(",", ""))
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    path = await (await download.value).path()
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert len(rows) == total
    assert {row["cause"] for row in rows} == {"declined"}


async def test_the_keyboard_reaches_everything(opened: Any, seen: Seen) -> None:
    """In the order of the page, with a focus that is to be seen; the switch and the details answer to it."""
    page = await opened(seen.address, **KNOWN)
    focused = page.locator(":focus")
    walked: list[str] = []
    for _ in range(9):
        await page.keyboard.press("Tab")
        walked.append(" ".join((await focused.inner_text()).split()))
        assert await focused.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    assert walked == [
        "Skip to the text", "Now", "Calls", "Work", "Catalog", "1 hour", "24 hours", "7 days", "Live on",
    ]  # fmt: skip
    await page.keyboard.press("Space")
    assert await focused.get_attribute("aria-checked") == "false"
    assert await page.locator("#status").inner_text() == "Live updates off."
    reached: set[str] = set()
    for _ in range(400):
        await page.keyboard.press("Tab")
        # A page that ends gives the focus back to the browser.
        if await page.evaluate("document.activeElement === document.body"):
            break
        reached.add(
            await page.evaluate(
                """(() => { const each = document.activeElement;
                return each.dataset.figure || `${each.tagName} ${each.textContent.trim()}` })()"""
            )
        )
    else:
        pytest.fail("the keyboard does not come to the end of the page")
    assert {"worst", "ended.hour", "ended.range", "pair.hour", "pair.range", "SUMMARY The same as a table"} <= reached
    await page.locator("#failing summary").first.focus()
    await page.keyboard.press("Enter")
    assert await page.locator("#failing details").first.get_attribute("open") is not None


PATHS = ("", "calls?cause=busy", "work", "work/letters", "catalog", "catalog/entry?code=486/560486", "calls?code=x")


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_it_is_accessible(opened: Any, faults: Any, seen: Seen, look: str) -> None:
    """Nothing serious for axe-core, also in what can be opened."""
    # One after the other in one window: a new one takes four times as long.
    page = await opened(seen.address, look, **KNOWN)
    for path in (*PATHS, f"calls/{seen.query(CALLS, 0)[0]['leg']}"):
        await quietly(page, f"{seen.address}{path}")
        # One chart's table stands for all three: what is checked takes its time by the cell.
        closed = "details:not(#causes-details, #dispositions-details)"
        await page.evaluate(f"document.querySelectorAll('{closed}').forEach(each => each.open = true)")
        assert (path, await faults(page)) == (path, [])


async def quietly(page: Any, address: str) -> None:
    """Go there; a browser writes the status of what is refused to its console, which is as it should be."""
    await page.goto(address.partition("?")[0] if "code=x" in address else address)
    if "code=x" in address:
        await page.set_content(await (await page.request.get(address)).text())


@pytest.mark.parametrize("width", [320, 390, 1280, 2560])
async def test_it_fits_every_width(opened: Any, seen: Seen, width: int) -> None:
    """A phone, a desk, a wall, and 400 % of 1280: nothing is cut or has to be scrolled to, and no labels meet."""
    call = seen.query(CALLS, 0)[0]["leg"]
    page = await opened(seen.address, viewport={"width": width, "height": 900}, **KNOWN)
    for path in (
        "",
        "?range=7d",
        "?range=1h",
        "calls?cause=busy",
        f"calls/{call}",
        "work",
        "work/letters",
        "work/confirm?act=discard",
        "catalog",
        "catalog/entry?code=486",
    ):
        await page.goto(f"{seen.address}{path}")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        cut = await page.evaluate(
            """[...document.querySelectorAll(".scroll")].filter(each => each.checkVisibility()
                && each.scrollWidth > each.clientWidth + 1).map(each => each.getAttribute("aria-labelledby"))"""
        )
        assert cut == [], path
        meeting = await page.evaluate(
            """[...document.querySelectorAll(".times")].flatMap(axis => {
                const shown = each => getComputedStyle(each).display !== "none";
                const seen = [...axis.querySelectorAll("text")].filter(shown)
                    .map(each => each.getBoundingClientRect()).sort((one, other) => one.left - other.left);
                return seen.filter((each, at) => at && each.left < seen[at - 1].right + 2).map(each => each.left);
            })"""
        )
        assert meeting == [], path


async def test_a_phone_shows_first_what_fails(opened: Any, seen: Seen) -> None:
    """The banner and the figures of the hour, before anybody scrolls."""
    page = await opened(seen.address, "phone", **KNOWN)
    for selector in ("#headline", '[data-figure="ended.hour"]', '[data-figure="intended.hour"]'):
        box = await page.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= 844


@pytest.mark.parametrize("width", [320, 390])
async def test_work_is_read_on_a_phone_at_night(opened: Any, seen: Seen, width: int) -> None:
    """In some three screens, the dead letters on the first; what is folded opens and is not cut."""
    page = await opened(f"{seen.address}work", viewport={"width": width, "height": 800}, **KNOWN)
    assert await page.evaluate("document.documentElement.scrollHeight") <= 2700
    assert (await page.locator("#dead-letters tbody tr").first.bounding_box())["y"] < 400
    for each in await page.locator("main summary").all():
        if await each.is_visible():
            await each.click()
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert await page.locator("#more-hooks tbody tr").last.is_visible()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_screenshots(images: Path, opened: Any, seen: Seen, look: str) -> None:
    """For docs/console.md."""
    page = await opened(seen.address, look, **KNOWN)
    heights = {"light": 1100, "dark": 1100, "phone": 1280}
    width = page.viewport_size["width"]
    await page.set_viewport_size({"width": width, "height": heights[look]})
    await page.wait_for_timeout(300)
    shot = await page.screenshot(path=images / f"console-{look}.png")
    assert len(shot) > 20_000
    page_code.write_down(images, "console")


async def test_screenshots_of_the_other_pages(images: Path, opened: Any, seen: Seen) -> None:
    """A list, a call, an entry, what nobody knows."""
    talked = seen.query("SELECT key FROM items WHERE code = 200 AND duplicates > 0 ORDER BY created_at DESC")[0]["key"]
    pages = {
        "calls": "calls?cause=carrier_error&since=2h",
        "call": f"calls/{talked.removeprefix('call:')}",
        "entry": "catalog/entry?code=503/560503",
        "catalog": "catalog",
    }
    for name, path in pages.items():
        page = await opened(f"{seen.address}{path}", viewport={"width": 1280, "height": 900}, **KNOWN)
        assert len(await page.screenshot(path=images / f"console-{name}.png")) > 20_000
