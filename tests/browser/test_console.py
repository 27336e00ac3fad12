"""The operations page in a browser, over a real server and a store with a day of calls."""

from __future__ import annotations

import sqlite3
import tomllib
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

import page_code
from ringback import classify
from ringback.console.snapshot import DEAD, LATEST, WAITING
from ringback.testing import Call, call_event
from ringback_catalog import Catalog

pytest.importorskip("jinja2")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import ModuleType

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSWORD = "correct horse battery staple"
KNOWN = {"http_credentials": {"username": "on-call", "password": PASSWORD}}
SIGNS = {"none": "✓ as intended", "now": "↻ now", "later": "↻ later", "after_fix": "✕ after a fix", "never": "✕ never"}

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


async def figure(page: Any, name: str) -> str:
    return await page.locator(f'[data-figure="{name}"]').inner_text()


def pair(row: sqlite3.Row) -> str:
    return "–" if row["code"] is None else f"{row['code']}/{row['subcode']}"  # noqa: RUF001 - as the page writes it


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def unknown(row: sqlite3.Row) -> bool:
    if row["match"] == "code":
        return row["subcode"] not in (None, 0)
    return row["match"] in ("range", "none") and (row["code"], row["subcode"]) != (None, None)


# What it shows


@pytest.mark.parametrize(
    ("range_", "seconds", "bar"), [("1h", 3600, 300), ("24h", 86_400, 3600), ("7d", 604_800, 21_600)]
)
async def test_figures_and_charts_are_those_of_the_store(
    opened: Any, seen: Seen, range_: str, seconds: int, bar: int
) -> None:
    """Counted by a query of our own: the totals, and each bar of each series, as data, as drawn and as a table."""
    page = await opened(f"{seen.address}?range={range_}", **KNOWN)
    since = datetime.fromisoformat(await page.locator("#figures-title time").get_attribute("datetime")).timestamp()
    at = datetime.fromisoformat(await page.locator("#as-of time").get_attribute("datetime")).timestamp()
    assert since % bar == 0
    assert seconds <= at - since < seconds + bar
    calls = seen.query(CALLS, since)
    assert len(calls) == 5400 if seconds > 3600 else 300 < len(calls) < 900
    retries = Counter(row["retry"] for row in calls)
    states = Counter(row["state"] for row in seen.query("SELECT state FROM items"))
    intended = retries["none"]
    assert {name: await figure(page, name) for name in ("ended", "rate", "retryable", "failed", "unrecognized")} == {
        "ended": f"{len(calls):,}",
        "rate": f"{100 * intended / len(calls):.1f} %",
        "retryable": f"{retries['now'] + retries['later']:,}",
        "failed": f"{retries['after_fix'] + retries['never']:,}",
        "unrecognized": f"{sum(map(unknown, calls)):,}",
    }
    assert await figure(page, "dead") == str(states["dead"])
    assert await figure(page, "redials") == str(len(seen.query("SELECT 1 FROM items WHERE kind = 'redial'")))
    assert f"{states['ready']} ready, 0 running" in (await texts(page, "#figures dl > div"))[-2]

    def bars(rows: list[sqlite3.Row]) -> list[int]:
        counts = Counter(int((row["created_at"] - since) // bar) for row in rows)
        return [counts[each] for each in range(seconds // bar + 1)]

    causes = await page.evaluate("JSON.parse(document.getElementById('causes-data').textContent)")
    ranked = Counter(row["cause"] for row in calls).most_common()
    drawn = {each["name"]: each["values"] for each in causes["series"]}
    own = [name for name in drawn if name != "other"]
    for name in own:
        assert drawn[name] == bars([row for row in calls if row["cause"].replace("_", " ") == name])
    assert [sum(values) for values in zip(*drawn.values(), strict=True)] == bars(calls)
    assert sorted(map(sum, drawn.values()), reverse=True)[: len(own) - 1] == [n for _, n in ranked][: len(own) - 1]
    dispositions = await page.evaluate("JSON.parse(document.getElementById('dispositions-data').textContent)")
    assert [each["values"] for each in dispositions["series"]] == [
        bars([row for row in calls if row["retry"] in kinds])
        for kinds in (("none",), ("now", "later"), ("after_fix", "never"))
    ]
    for name, chart in (("causes", causes), ("dispositions", dispositions)):
        # What the library drew, and what stands in the table for those who do not see it.
        assert await page.evaluate(f"Chart.getChart('{name}-canvas').data.datasets.map(each => each.data)") == [
            each["values"] for each in chart["series"]
        ]
        table = await page.evaluate(
            f"""[...document.querySelectorAll('#{name}-details tbody tr')]
                .map(row => [...row.children].map(cell => cell.textContent))"""
        )
        columns = [[f"{number:,}" for number in each["values"]] for each in chart["series"]]
        assert table == [list(row) for row in zip(chart["labels"], *columns, strict=True)]
    rates = await page.evaluate("JSON.parse(document.getElementById('rates-data').textContent)")
    point = seconds // (len(rates["values"]) - bar // (300 if range_ == "1h" else 3600))
    ended = Counter(int((row["created_at"] - since) // point) for row in calls)
    good = Counter(int((row["created_at"] - since) // point) for row in calls if row["retry"] == "none")
    assert rates["values"] == [
        pytest.approx(good[each] / ended[each]) if ended[each] else None for each in range(len(rates["values"]))
    ]
    assert await page.evaluate("Chart.getChart('rates-canvas').data.datasets[0].data") == rates["values"]


async def test_the_sentence_at_the_top_names_cause_count_and_owner(opened: Any, seen: Seen) -> None:
    """What failed most, how often, and who must act."""
    page = await opened(seen.address, **KNOWN)
    calls = seen.query(CALLS, 0)
    (cause, count), *_ = Counter(row["cause"] for row in calls if row["retry"] != "none").most_common()
    assert cause == "carrier_error"
    (sentence,) = await texts(page, "#headline .lead")
    assert sentence.startswith(f"Failing most: carrier error, {count:,} of {len(calls):,} calls (")
    assert "; the carrier must act. " in sentence


async def test_every_table_is_that_of_the_store(opened: Any, seen: Seen) -> None:
    """Pairs, unrecognized pairs, dead letters, redials, the queue and the latest calls: row for row."""
    page = await opened(seen.address, **KNOWN)
    calls = seen.query(CALLS, 0)
    groups: dict[tuple[str, str, str], list[sqlite3.Row]] = {}
    for row in calls:
        groups.setdefault((row["event"], pair(row), row["cause"].replace("_", " ")), []).append(row)
    expected, told = [], {}
    for (event, code, cause), rows in groups.items():
        count, share = f"{len(rows):,}", f"{100 * len(rows) / len(calls):.1f} %"
        ((retry, owner, summary),) = {(row["retry"], row["owner"], row["summary"]) for row in rows}
        again = classify(event, rows[0]["code"], rows[0]["subcode"]).retry_action
        # To dial again is what most take "later" for; anything else is said.
        sign = SIGNS[retry] if again in ("place_call", "none") else f"{SIGNS[retry]} {again.value.replace('_', ' ')}"
        expected.append([event, code, count, share, cause, sign, owner, moment(rows[0]["created_at"])])
        # A call of the pair that is at hand speaks for it, else the catalog without a carrier's details.
        told[event, code] = {summary, classify(event, rows[0]["code"], rows[0]["subcode"]).summary}
    found = await cells(page, "pairs")
    assert sorted([*row[:7], row[8]] for row in found) == sorted(expected)
    for event, code, *_, summary, _ in found:
        assert summary.removesuffix(" What to do") in told[event, code]
    counts = [int(row[2].replace(",", "")) for row in found]
    assert counts == sorted(counts, reverse=True)

    rare = Counter((pair(row), row["event"]) for row in calls if unknown(row))
    assert len(rare) == 2
    assert [text.split(" calls, ")[0] for text in await texts(page, ".unknown > p")] == [
        f"{code} {event}, {count}" for (code, event), count in rare.most_common()
    ]

    dead = seen.query("SELECT * FROM items WHERE state = 'dead' ORDER BY finished_at DESC, id DESC")
    assert [row[:1] + row[4:7] for row in await cells(page, "dead-letters")] == [
        [row["key"], str(row["attempts"]), moment(row["finished_at"]), row["reason"]] for row in dead[:DEAD]
    ]
    redials = seen.query("SELECT * FROM items WHERE kind = 'redial' ORDER BY due_at, id")
    assert len(redials) > 20
    assert [[row[0][:19], *row[1:3], row[5]] for row in await cells(page, "redials")] == [
        [moment(row["due_at"]), "[contact]", str(row["number"]), row["target"]] for row in redials[:WAITING]
    ]
    queue = seen.query("SELECT * FROM items WHERE kind = 'outcome' AND state = 'ready' ORDER BY due_at, id")
    assert queue
    assert [[row[0], row[1], row[2][:19], row[3]] for row in await cells(page, "hooks")] == [
        [row["key"], "ready", moment(row["due_at"]), str(row["attempts"])] for row in queue[:WAITING]
    ]
    latest = await cells(page, "latest")
    assert [[*row[:5], *row[6:]] for row in latest] == [
        [
            moment(row["created_at"]),
            row["event"],
            pair(row),
            row["cause"].replace("_", " "),
            SIGNS[row["retry"]],
            row["state"],
            str(row["duplicates"]),
            f"{row['leg']} {row['call']}",
        ]
        for row in calls[:LATEST]
    ]
    # The contacts that calls and redials have in the store.
    assert "customer-" not in await page.content()


async def test_an_override_can_be_copied(opened: Any, seen: Seen) -> None:
    """The block is one that a catalog takes, for the pair that it stands at."""
    page = await opened(seen.address, permissions=["clipboard-read", "clipboard-write"], **KNOWN)
    await page.get_by_text("Override for 488/977001").click()
    await page.locator(".unknown").first.get_by_role("button", name="Copy").click()
    await page.get_by_text("Copied.").wait_for()
    block = await page.evaluate("navigator.clipboard.readText()")
    ours = Catalog.default().with_overrides(tomllib.loads(block))
    assert classify("CallDisconnected", 488, 977001, catalog=ours).recognized


# How it behaves


async def test_a_new_call_appears_by_itself(opened: Any, seen: Seen) -> None:
    """Delivered over HTTP, it is in figures, chart and table without a reload; the focus stays where it was."""
    page = await opened(seen.address, **KNOWN)
    before = int((await figure(page, "ended")).replace(",", ""))
    await page.evaluate("window.stays = true")
    await page.get_by_role("link", name="7 days").focus()
    call = Call()
    async with httpx.AsyncClient() as client:
        event = call_event("CallDisconnected", 486, 560486, call=call, operation_context="customer-new")
        assert (await client.post(seen.callbacks, json=[event])).status_code == 204
    await page.locator("#latest").get_by_text(call.call_connection_id).wait_for()
    assert await figure(page, "ended") == f"{before + 1:,}"
    drawn = await page.evaluate("Chart.getChart('causes-canvas').data.datasets.flatMap(each => each.data)")
    assert sum(drawn) == before + 1
    assert await page.evaluate("window.stays")
    assert await page.evaluate("document.activeElement.textContent") == "7 days"


async def test_a_dead_letter_is_replayed_once(opened: Any, seen: Seen) -> None:
    """By keyboard: its hook runs once, it is done, and the page says so; loading the page again repeats nothing."""
    page = await opened(seen.address, **KNOWN)
    key, *_ = (await cells(page, "dead-letters"))[0]
    dead = int(await figure(page, "dead"))
    seen.app.told.clear()
    await page.get_by_role("button", name=f"Replay {key}").focus()
    await page.keyboard.press("Enter")
    await page.get_by_text("Replayed: its hooks are called again").wait_for()
    assert await figure(page, "dead") == str(dead - 1)
    assert key not in [row[0] for row in await cells(page, "dead-letters")]
    await page.reload()
    await page.reload()
    while seen.query("SELECT state FROM items WHERE key = ?", key)[0]["state"] != "done":
        await page.wait_for_timeout(20)
    assert len(seen.app.told) == 1
    assert key in seen.app.told[0]


async def test_without_javascript_it_shows_and_does_the_same(opened: Any, seen: Seen) -> None:
    """Figures, tables in place of charts, time ranges, and a form that discards; only what is live is gone."""
    page = await opened(seen.address, java_script_enabled=False, **KNOWN)
    dead = seen.query("SELECT key FROM items WHERE state = 'dead' ORDER BY finished_at DESC, id DESC")
    assert await figure(page, "dead") == str(len(dead))
    assert not await page.locator("#live-box").is_visible()
    assert not await page.locator("canvas").first.is_visible()
    await page.locator("#causes-details summary").click()
    assert await page.locator("#causes-details tbody tr").count() == 25
    await page.get_by_role("link", name="1 hour").click()
    assert await page.locator("[aria-current]").inner_text() == "1 hour"
    key = dead[-1]["key"]
    await page.get_by_role("button", name=f"Discard {key}").click()
    assert "Discarded" in await page.locator(".told").inner_text()
    assert await page.locator("[aria-current]").inner_text() == "1 hour"
    assert seen.query("SELECT state FROM items WHERE key = ?", key)[0]["state"] not in ("dead", "ready", "running")


async def test_read_only_shows_no_buttons(
    opened: Any, seen: Seen, serving: Callable[[Any], AbstractAsyncContextManager[str]]
) -> None:
    """A page of another process over the same file: the same letters, nothing to press, and no form is taken."""
    from ringback.console import BasicAuth, Console

    console = Console(store=f"sqlite:///{seen.file}", auth=BasicAuth("on-call", PASSWORD))
    async with serving(console) as address:
        page = await opened(f"{address}/", **KNOWN)
        assert len(await cells(page, "dead-letters")) > 5
        assert await page.locator("form, button.replay, button.discard").count() == 0
        key, *_ = (await cells(page, "dead-letters"))[0]
        refused = await page.request.post(f"{address}/dead", form={"action": "replay", "letter": key})
        assert refused.status == 403
    assert seen.query("SELECT state FROM items WHERE key = ?", key)[0]["state"] == "dead"


async def test_the_keyboard_reaches_everything(opened: Any, seen: Seen) -> None:
    """In the order of the page, with a focus that is to be seen; the switch and the details answer to it."""
    page = await opened(seen.address, **KNOWN)
    focused = page.locator(":focus")
    walked: list[str] = []
    for _ in range(5):
        await page.keyboard.press("Tab")
        walked.append(" ".join((await focused.inner_text()).split()))
        assert await focused.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    assert walked == ["Skip to the figures", "1 hour", "24 hours", "7 days", "Live on"]
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
                return `${each.tagName} ${each.getAttribute("aria-label") || each.textContent.trim()}` })()"""
            )
        )
    else:
        pytest.fail("the keyboard does not come to the end of the page")
    letters = [row[0] for row in await cells(page, "dead-letters")]
    assert {f"BUTTON {name} {key}" for key in letters for name in ("Replay", "Discard")} <= reached
    assert {"SUMMARY The same as a table", "SUMMARY What to do", "SUMMARY Override for 488/977001"} <= reached
    await page.locator("#pairs summary").first.focus()
    await page.keyboard.press("Enter")
    assert await page.locator("#pairs details").first.get_attribute("open") is not None
    await page.goto(f"{seen.address}#main")


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_it_is_accessible_and_fits(opened: Any, faults: Any, seen: Seen, look: str) -> None:
    """Nothing serious for axe-core, also in what can be opened, and nothing to scroll the whole page sideways for."""
    page = await opened(seen.address, look, **KNOWN)
    # One chart's table stands for all three: what is checked takes its time by the cell.
    closed = "details:not(#causes-details, #dispositions-details)"
    await page.evaluate(f"document.querySelectorAll('{closed}').forEach(each => each.open = true)")
    assert await faults(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_screenshots(images: Path, opened: Any, seen: Seen, look: str) -> None:
    """For docs/console.md."""
    page = await opened(seen.address, look, **KNOWN)
    await page.locator("canvas").last.wait_for()
    heights = {"light": 1100, "dark": 1100, "phone": 1280}
    width = page.viewport_size["width"]
    await page.set_viewport_size({"width": width, "height": heights[look]})
    await page.wait_for_timeout(300)
    shot = await page.screenshot(path=images / f"console-{look}.png")
    assert len(shot) > 20_000
    page_code.write_down(images, "console")
