"""Every panel shows what was put into the store."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from ringback.work.contact import CallRecord, CallState, Contact, Step
from ringback_catalog import Catalog, Match

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
BUSY, GONE, FORBIDDEN = (486, 560486), (200, 7000), (403, 510403)


async def page(calls: Any, browser: Any, path: str = "/", **settings: Any) -> str:
    async with browser(calls.console(**settings)) as client:
        response = await client.get(path)
    assert response.status_code == 200
    return response.text


async def day(calls: Any, outcome: Callable[..., Any]) -> None:
    """Ten calls of a day: five as intended, three busy, one forbidden and one of a pair that nobody knows."""
    noon = calls.clock.now
    for number in range(5):
        await calls.put(outcome(number, *GONE), noon - number * HOUR)
    for number in range(5, 8):
        await calls.put(outcome(number, *BUSY), noon - 2 * HOUR)
    await calls.put(outcome(8, *FORBIDDEN, event="CreateCallFailed"), noon - 60)
    await calls.put(outcome(9, 499, 123456), noon - 30 * 60)


async def test_the_figures_are_of_the_range(calls, outcome, browser, parsed):
    """What ended before the range is not in them; what waits is, whenever it was put."""
    await day(calls, outcome)
    await calls.put(outcome(10, *BUSY), calls.clock.now - 26 * HOUR)
    await calls.plan(outcome(5, *BUSY), "alice", calls.clock.now + 600)
    figures = parsed(await page(calls, browser)).figures
    assert figures == {
        "ended": "10",
        "rate": "50.0 %",
        "retryable": "3",
        "failed": "2",
        "unrecognized": "1",
        "dead": "0",
        "oldest_due": "1 d 2 h",
        "redials": "1",
    }


@pytest.mark.parametrize(
    ("chosen", "ended", "rate"), [("1h", "4", "50.0 %"), ("24h", "10", "50.0 %"), ("7d", "10", "50.0 %")]
)
async def test_the_range_is_chosen_by_a_link(calls, outcome, browser, parsed, chosen, ended, rate):
    """The link of the range that is shown says so."""
    await day(calls, outcome)
    text = await page(calls, browser, f"/?range={chosen}")
    figures = parsed(text).figures
    assert (figures["ended"], figures["rate"]) == (ended, rate)
    assert re.findall(r'href="\?range=(\w+)" aria-current="page"', text) == [chosen]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/?range=2h", "range &#39;2h&#39; is none; there are 1h, 24h, 7d"),
        ("/?cuase=busy", "&#39;cuase&#39; is no part of this address; there are range"),
        ("/?range=<script>", "range &#39;&lt;script&gt;&#39; is none"),
    ],
)
async def test_what_no_page_knows_is_refused(memory, browser, path, why):
    """Nothing of an address is ignored."""
    async with browser(memory.console()) as client:
        response = await client.get(path)
    assert response.status_code == 400
    assert why in response.text


async def test_the_pairs_are_explained(calls, outcome, browser, parsed):
    """The most frequent first, with what the catalog says of each."""
    await day(calls, outcome)
    table = parsed(await page(calls, browser)).tables["pairs"]
    assert table[0] == [
        "Event", "Code", "Calls", "Share", "Cause", "Call again", "Who acts", "What happened", "Last seen (UTC)",
    ]  # fmt: skip
    entry = Catalog.default().look_up("CallDisconnected", *BUSY).entry
    told = f"{entry.summary} What to do {' '.join(entry.advice)} Documentation"
    assert [row[:7] for row in table[1:]] == [
        ["CallDisconnected", "200/7000", "5", "50.0 %", "ended", "✓ as intended", "nobody"],
        ["CallDisconnected", "486/560486", "3", "30.0 %", "busy", "↻ later", "callee"],
        ["CreateCallFailed", "403/510403", "1", "10.0 %", "blocked", "✕ after a fix", "admin"],
        ["CallDisconnected", "499/123456", "1", "10.0 %", "unknown", "✕ after a fix", "app"],
    ]
    assert table[2][7:] == [told, "2026-01-01 10:00:00"]


async def test_the_sentence_says_what_fails_since_when_and_who_must_act(calls, outcome, browser):
    """And, if nobody of ours can act on that, what fails most of the rest."""
    await day(calls, outcome)
    text = " ".join(re.sub(r"<[^>]+>", "", await page(calls, browser)).split())
    assert (
        "Failing most: busy, 3 of 10 calls (30.0 %), all of them from 01 Jan 10:00 to 01 Jan 11:00, none since then; "
        "only the person called can act." in text
    )
    assert (
        "Of what somebody can repair: blocked, 1 of 10 calls (10.0 %), all of them since 01 Jan 11:00; "
        "the administrator of the Azure resource must act."
    ) in text


async def test_a_failure_lasts_until_calls_end_without_it(memory, outcome, browser):
    """A night without calls does not end it; an hour in which all others fared better does."""
    noon = memory.clock.now
    for number, (hours, pair) in enumerate(
        [(20, BUSY), (15, GONE), (12, BUSY), (3, BUSY), (3, GONE), (2, BUSY), (0, GONE)]
    ):
        await memory.put(outcome(number, *pair), noon - hours * HOUR)
    text = " ".join(re.sub(r"<[^>]+>", "", await page(memory, browser)).split())
    assert "Failing most: busy, 4 of 7 calls (57.1 %), 3 of them since 01 Jan 00:00; only" in text
    assert "Of what somebody can repair" not in text


async def test_a_failure_as_old_as_the_calls_is_said_to_be_so(memory, outcome, browser):
    """There is nothing to compare it with."""
    for hours in (20, 3, 0):
        await memory.put(outcome(hours, *BUSY), memory.clock.now - hours * HOUR)
    text = " ".join(re.sub(r"<[^>]+>", "", await page(memory, browser)).split())
    assert "Failing most: busy, 3 of 3 calls (100.0 %), all through this range; only" in text


async def test_the_charts_have_the_numbers_of_their_tables(calls, outcome, browser, parsed):
    """A bar is an hour; the last one is not full yet."""
    await day(calls, outcome)
    text = await page(calls, browser)
    data = {
        name: json.loads(found)
        for name, found in re.findall(r'data-chart="(\w+)">(.*?)</script>', text, flags=re.DOTALL)
    }
    tables = parsed(text).tables
    assert list(data) == ["causes", "dispositions", "rates"]
    for name in ("causes", "dispositions"):
        names = [each["name"] for each in data[name]["series"]]
        assert tables[name][0] == ["From (UTC)", *names]
        columns = zip(data[name]["labels"], *(each["values"] for each in data[name]["series"]), strict=True)
        assert tables[name][1:] == [[str(cell) for cell in row] for row in columns]
    assert [(each["name"], sum(each["values"])) for each in data["causes"]["series"]] == [
        ("ended", 5), ("busy", 3), ("blocked", 1), ("unknown", 1),
    ]  # fmt: skip
    by_name = {each["name"]: each["values"] for each in data["dispositions"]["series"]}
    assert by_name == {
        "terminal, as intended": [0] * 20 + [1, 1, 1, 1, 1],
        "retryable": [0] * 22 + [3, 0, 0],
        "terminal, failed": [0] * 23 + [2, 0],
    }
    assert data["rates"] == {"labels": data["causes"]["labels"], "values": [None] * 20 + [1.0, 1.0, 0.25, 1 / 3, 1.0]}
    assert tables["rates"][-3:] == [
        ["01 Jan 10:00", "25.0 %", "1", "4"],
        ["01 Jan 11:00", "33.3 %", "1", "3"],
        ["01 Jan 12:00", "100.0 %", "1", "1"],
    ]


async def test_causes_without_a_colour_of_their_own_share_one(memory, outcome, browser, parsed):
    """The small ones, as one series."""
    pairs = [GONE, BUSY, FORBIDDEN, (480, 560480), (404, 560404), (603, 560603), (408, 10057), (500, 560500), (499, 1)]
    for number, pair in enumerate(pairs):
        for again in range(20 - number):
            await memory.put(outcome(100 * number + again, *pair))
    table = parsed(await page(memory, browser)).tables["causes"]
    assert len(table[0]) == 1 + 8
    assert table[0][-1] == "other"
    assert [int(cell) for cell in table[-1][1:]] == [20, 19, 18, 17, 16, 15, 14, 13 + 12]


async def test_the_latest_calls_have_their_state_and_duplicates(calls, outcome, browser, parsed):
    """A call is one row, however often it was told."""
    await calls.put(outcome(1, *GONE), calls.clock.now - 60)
    await calls.work()
    await calls.put(outcome(1, *GONE))
    await calls.put(outcome(2, *BUSY))
    first, second = (f"1f0e5c1a-0000-4000-8000-{number:012d}" for number in (1, 2))
    assert parsed(await page(calls, browser)).tables["latest"][1:] == [
        [
            "2026-01-01 12:00:00", "CallDisconnected", "486/560486", "busy", "↻ later", "retryable", "ready", "0",
            f"{second} {second}",
        ],
        [
            "2026-01-01 11:59:00", "CallDisconnected", "200/7000", "ended", "✓ as intended", "terminal", "done", "1",
            f"{first} {first}",
        ],
    ]  # fmt: skip


async def test_the_lane_says_what_is_in_progress_and_how_long_it_is_paused(calls, browser):
    """A pause is marked, for nobody is redialled meanwhile."""
    assert "0 in progress" in await page(calls, browser)
    placed = CallRecord("redial:1", calls.clock.now, state=CallState.PLACED)
    await calls.store.change("alice", lambda _: Step(Contact((placed,)), None))
    await calls.store.pause_redials(calls.clock.now + 90)
    calls.clock.now += 30
    text = await page(calls, browser)
    assert "▲ paused for 1 min, 1 in progress, " in text
    assert text.count('class="mark"') == 1


async def test_unrecognized_pairs_come_with_an_override_that_loads(calls, outcome, browser, parsed):
    """As they are on the page, as TOML: the pair is then known, and judged as it was before."""
    # By a range, by nothing, by its code alone: as the look-up has it.
    odd = [(499, 123456), (799, 1), (486, 999999)]
    for number, pair in enumerate(odd):
        await calls.put(outcome(number, *pair), calls.clock.now - number)
    # A code that was sent without a subcode is as much as there is to know; nothing was sent with an older version.
    await calls.put(outcome(8, None, None))
    await calls.put(outcome(9, 486, None))
    matches = {Catalog.default().look_up("CallDisconnected", *pair).match for pair in odd}
    assert matches == {Match.RANGE, Match.NONE, Match.CODE}
    text = await page(calls, browser, "/catalog")
    blocks = [
        found.replace("&#34;", '"') for found in re.findall(r"<pre[^>]*><code>(.*?)</code>", text, flags=re.DOTALL)
    ]
    assert [tuple(tomllib.loads(block)["entry"][0][name] for name in ("code", "subcode")) for block in blocks] == odd
    assert parsed(await page(calls, browser)).figures["unrecognized"] == "3"
    for block, pair in zip(blocks, odd, strict=True):
        before = Catalog.default().look_up("CallDisconnected", *pair).entry
        after = Catalog.default().with_overrides(tomllib.loads(block)).look_up("CallDisconnected", *pair)
        assert after.match is Match.PAIR
        assert (after.entry.retry, after.entry.owner) == (before.retry, before.owner)


async def test_what_is_rare_and_unknown_is_found_behind_the_frequent(memory, outcome, browser, parsed):
    """More different pairs than are asked for at once: those of the unknown are asked for by themselves."""
    for number in range(201):
        await memory.put(outcome(number, 499, 100_000 + number), memory.clock.now - number)
    # The least frequent and the oldest, of another kind.
    await memory.put(outcome(999, 799, 1), memory.clock.now - 999)
    assert parsed(await page(memory, browser)).figures["unrecognized"] == "at least 201"
    text = await page(memory, browser, "/catalog")
    assert "Override for 499/100000" in text
    text = await page(memory, browser, "/catalog?range=1h")
    assert len(re.findall(r'<li class="unknown">', text)) == 25


async def test_nothing_is_said_of_nothing(calls, browser, parsed):
    """An empty store has no failure, no rate and no table but those of the charts."""
    text = await page(calls, browser)
    assert parsed(text).figures == {
        "ended": "0",
        "rate": "–",  # noqa: RUF001
        "retryable": "0",
        "failed": "0",
        "unrecognized": "0",
        "dead": "0",
        "oldest_due": "0 s",
        "redials": "0",
    }
    assert "No call has ended since 2025-12-31 12:00:00 UTC." in text
    assert set(parsed(text).tables) == {"causes", "dispositions", "rates"}


async def test_all_is_well_in_words(memory, outcome, browser):
    """Nothing is marked."""
    await memory.put(outcome(1, *GONE))
    text = await page(memory, browser)
    assert "Nothing fails: all 1 calls ended as intended." in text
    assert 'class="mark"' not in text


async def test_two_stores_are_shown_as_their_sum(memory, outcome, browser, parsed, clock):
    """A router may be served by several middlewares, each with a store of its own."""
    from ringback import OutcomeRouter
    from ringback.hooks.dispatcher import Dispatcher
    from ringback.logs import LogObserver

    router = OutcomeRouter()
    console = memory.console(store=None, router=router)
    dispatchers = [Dispatcher(router, LogObserver(), clock=clock) for _ in range(2)]
    for number, dispatcher in enumerate(dispatchers):
        other = type(memory)(dispatcher.store, clock)
        await other.put(outcome(number, *BUSY), clock.now - number)
        await other.put(outcome(10 + number, *GONE), clock.now - number)
    async with browser(console) as client:
        text = (await client.get("/")).text
    assert "The sum of 2 stores." in text
    assert parsed(text).figures["ended"] == "4"
    assert [row[1:3] for row in parsed(text).tables["pairs"][1:]] == [["200/7000", "2"], ["486/560486", "2"]]
    assert [row[0] for row in parsed(text).tables["latest"][1:]] == ["2026-01-01 12:00:00"] * 2 + [
        "2026-01-01 11:59:59"
    ] * 2


async def test_a_refined_verdict_is_not_explained_as_the_plain_one(memory, outcome, browser, parsed):
    """Of a pair whose cause the catalog does not have, only a call of it knows more."""
    from ringback.work.history import Pair
    from ringback_catalog import Cause

    class Refined(type(memory.store)):
        @property
        def history(self) -> Any:
            kept = super().history

            class History:
                counts, latest, waiting, contacts = kept.counts, kept.latest, kept.waiting, kept.contacts
                deliveries, last_delivery = kept.deliveries, kept.last_delivery

                async def pairs(self, since: float, _: int, match: Match | None = None) -> list[Pair]:
                    return [Pair("CallDisconnected", 500, 560500, Match.PAIR, Cause.BUSY, 1, since)][: match is None]

            return History()

    text = await page(memory, browser, store=Refined(clock=memory.clock))
    assert parsed(text).tables["pairs"][1][4:8] == [
        "busy", "–", "–",  # noqa: RUF001
        "Its verdict rests on SIP or Q.850 details, or on overrides; a single call of it says more.",
    ]  # fmt: skip
