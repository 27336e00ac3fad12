"""The page Now shows what was put into the store, and each of its numbers leads to as many calls."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ringback.stores import MemoryStore
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord, CallState
from ringback_catalog import Catalog, Cause, Match, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
BUSY, GONE, FORBIDDEN = (486, 560486), (200, 7000), (403, 510403)


async def page(calls: Any, browser: Any, path: str = "/", **settings: Any) -> str:
    async with browser(calls.console(**settings)) as client:
        response = await client.get(path)
    assert response.status_code == 200
    return response.text


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", re.sub(r"<title>.*?</title>", "", text)).split())


async def day(calls: Any, outcome: Callable[..., Any]) -> None:
    """Ten calls of a day: five as intended, three busy, one forbidden and one of a pair that nobody knows."""
    noon = calls.clock.now
    for number in range(5):
        await calls.put(outcome(number, *GONE), noon - number * HOUR)
    for number in range(5, 8):
        await calls.put(outcome(number, *BUSY), noon - 2 * HOUR)
    await calls.put(outcome(8, *FORBIDDEN, event="CreateCallFailed"), noon - 60)
    await calls.put(outcome(9, 499, 123456), noon - 30 * 60)


async def test_the_figures_are_of_the_hour_and_of_the_range(calls, outcome, browser, parsed):
    """What ended before the range is not in them; what waits is, whenever it was put."""
    await day(calls, outcome)
    await calls.put(outcome(10, *BUSY), calls.clock.now - 26 * HOUR)
    await calls.plan(outcome(5, *BUSY), "alice", calls.clock.now + 600)
    text = await page(calls, browser)
    figures = parsed(text).figures
    assert {name: figures[name] for name in figures if re.fullmatch(r"\w+\.(hour|range)", name)} | {
        name: figures[name] for name in ("dead", "oldest_due", "redials")
    } == {
        "ended.hour": "3", "ended.range": "10",
        "intended.hour": "1", "intended.range": "5",
        "retryable.hour": "0", "retryable.range": "3",
        "failed.hour": "2", "failed.range": "2",
        "unrecognized.hour": "1", "unrecognized.range": "1",
        "pair.hour": "0", "pair.range": "3", "good.hour": "1", "good.range": "5",
        "dead": "0", "oldest_due": "1 d 2 h", "redials": "1",
    }  # fmt: skip
    assert "0 at work, 11 waiting<" in text
    assert re.findall(r'class="share">([^<]*)', text) == ["33.3 %", "0.0 %", "66.7 %", "33.3 %"]


@pytest.mark.parametrize("path", ["/", "/?range=1h", "/?range=7d", "/catalog", "/catalog/entry?code=486/560486"])
async def test_every_number_is_that_of_the_list_it_leads_to(calls, outcome, browser, parsed, path):
    """Each cell of each chart, each figure, each pair: also for calls without a code, and for a failure of the hour."""
    await day(calls, outcome)
    noon = calls.clock.now
    for number in range(20, 26):
        await calls.put(outcome(number, *BUSY), noon - 1800 + number)
    await calls.put(outcome(30, None, 0), noon - 40)
    await calls.put(outcome(31, None, None, event="CreateCallFailed"), noon - 3 * 86_400)
    async with browser(calls.console()) as client:
        links = parsed((await client.get(path)).text).links
        totals: dict[str, int] = {}
        for link in {link for _, _, link in links}:
            answer = await client.get(f"/{link.removeprefix('../')}")
            assert answer.status_code == 200
            totals[link] = int(parsed(answer.text).figures["data-total"])
    assert len(links) >= (60 if path == "/" else 1)
    assert [(name, link, count) for name, count, link in links if totals[link] != count] == []


@pytest.mark.parametrize(("chosen", "ended"), [("1h", "4"), ("24h", "10"), ("7d", "10")])
async def test_the_range_is_chosen_by_a_link(calls, outcome, browser, parsed, chosen, ended):
    """The link of the range that is shown says so."""
    await day(calls, outcome)
    text = await page(calls, browser, f"/?range={chosen}")
    assert parsed(text).figures["ended.range"] == ended
    assert re.findall(r'href="\?range=(\w+)" aria-current="page"', text) == [chosen]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/?range=2h", "range &#39;2h&#39; is none; there are 1h, 24h, 7d"),
        ("/?range=1h&range=24h", "range is given twice; give it once"),
        ("/work?range=1h&range=1h", "range is given twice; give it once"),
        ("/?cuase=busy", "&#39;cuase&#39; is no part of this address; there are range"),
        ("/?range=24h&cause=busy", "&#39;cause&#39; is no part of this address; there are range"),
        ("/?range=<script>", "range &#39;&lt;script&gt;&#39; is none"),
        ("/work?when=now", "&#39;when&#39; is no part of this address; there are change, count, due, made, of, range"),
        ("/catalog?code=486", "&#39;code&#39; is no part of this address; there are range"),
    ],
)
async def test_what_no_page_knows_is_refused(memory, browser, path, why):
    """Nothing of an address is ignored."""
    async with browser(memory.console()) as client:
        response = await client.get(path)
    assert response.status_code == 400
    assert why in response.text


async def test_filters_lead_to_the_list(memory, browser):
    """A page of figures cannot choose calls, and the list can."""
    async with browser(memory.console()) as client:
        response = await client.get("/?cause=busy&since=2h")
    assert (response.status_code, response.headers["location"]) == (303, "calls?cause=busy&since=2h")


async def test_failures_come_first_and_are_explained(calls, outcome, browser, parsed):
    """Those of the last hour first, with what the catalog says of each; what went well is one row."""
    await day(calls, outcome)
    text = await page(calls, browser)
    table = parsed(text).tables["failing"]
    assert table[0] == ["Cause", "Code, event", "Last hour", "24 hours", "Call again", "Who acts", "What happened"]
    assert [row[:6] for row in table[1:]] == [
        ["unknown", "499/123456 CallDisconnected", "1", "1 10.0 %", "✕ after a fix", "app"],
        ["blocked", "403/510403 CreateCallFailed", "1", "1 10.0 %", "✕ after a fix", "admin"],
        ["busy", "486/560486 CallDisconnected", "0", "3 30.0 %", "↻ later", "callee"],
    ]
    entry = Catalog.default().look_up("CallDisconnected", *BUSY).entry
    assert table[3][6] == f"{entry.summary} {' '.join(entry.advice)} Documentation"
    assert "✓ 5 ended as intended 1 in the last hour, 5 in 24 hours. 5 ended 200/7000 CallDisconnected" in words(text)


async def test_many_failing_pairs_are_folded(memory, outcome, browser, parsed):
    """The page stays short; each of them is there."""
    for number in range(12):
        await memory.put(outcome(number, 499, 100_000 + number), memory.clock.now - number)
    text = await page(memory, browser)
    assert "4 more" in text
    assert len(parsed(text).tables["failing"]) == 2 + 12


async def test_the_banner_compares_with_the_same_hour_of_the_days_before(calls, outcome, browser, parsed):
    """Many busy lines are usual at this hour; that calls are forbidden is not, and it is what the banner says."""
    noon = calls.clock.now
    number = 0
    for days in (0, 1, 2):
        for pair, often in ((GONE, 10), (BUSY, 10), (FORBIDDEN, 0 if days else 6)):
            for each in range(often):
                number += 1
                event = "CreateCallFailed" if pair == FORBIDDEN else "CallDisconnected"
                await calls.put(outcome(number, *pair, event=event), noon - days * 86_400 - 600 - 10 * each)
    text = await page(calls, browser)
    said = words(text)
    assert 'class="headline failing"' in text
    assert (
        "Failing blocked 6 of 26 calls in the last hour (23.1 %, usually 0.0 %); since 11:45, 15 min 1 s ago: 6 calls."
        in said
    )
    assert "The administrator of the Azure resource must act." in said
    assert "Usual is what this hour of the 2 days before had: 20 calls an hour." in said


async def test_a_failure_that_nobody_can_repair_does_not_hide_one_that_somebody_can(memory, outcome, browser):
    """The banner says both, each with its own calls and since when."""
    noon = memory.clock.now
    for number in range(30):
        await memory.put(outcome(number, *GONE), noon - 20 * HOUR + number * 1800)
    for number in range(30, 50):
        await memory.put(outcome(number, *BUSY), noon - 1200 + number)
    for number in range(50, 60):
        await memory.put(outcome(number, *FORBIDDEN, event="CreateCallFailed"), noon - 900 + number)
    said = words(await page(memory, browser))
    assert "Failing busy 20 of " in said
    assert "since 11:" in said
    assert "Only the person called can act." in said
    assert "Yours to repair blocked 10 of " in said
    assert "Usual is what the 19 hours before had" in said


async def test_what_fails_as_usual_is_no_alarm(memory, outcome, browser):
    """Half of the calls are busy at this hour every day."""
    noon = memory.clock.now
    for number in range(60):
        await memory.put(outcome(number, *(BUSY if number % 2 else GONE)), noon - number % 3 * 86_400 - 60 - number)
    text = await page(memory, browser)
    assert 'class="headline usual"' in text
    assert (
        "As usual for this hour: 10 of 20 calls in the last hour did not end as intended (50.0 %, usually 50.0 %)."
        in (words(text))
    )


async def test_with_nothing_to_compare_a_share_decides(memory, outcome, browser):
    """A few failures of many calls are said; a fifth of them is an alarm."""
    for number in range(30):
        await memory.put(outcome(number, *(BUSY if number < 5 else GONE)), memory.clock.now - 60)
    text = await page(memory, browser)
    assert 'class="headline usual"' in text
    assert "Nothing earlier to compare with: 5 of 30 calls in the last hour did not end as intended (16.7 %)." in (
        words(text)
    )
    for number in range(30, 35):
        await memory.put(outcome(number, *BUSY), memory.clock.now - 30)
    memory.clock.now += 5
    assert 'class="headline failing"' in await page(memory, browser)


async def test_an_hour_without_calls_is_said_to_be_one(memory, outcome, browser):
    """With how many there usually are."""
    assert "No call has ended in the last hour." in words(await page(memory, browser))
    for number in range(40):
        await memory.put(outcome(number, *GONE), memory.clock.now - 86_400 - 60 - number)
    text = await page(memory, browser)
    assert 'class="headline quiet"' in text
    assert "No call has ended in the last hour. At this time about 40 do." in words(text)


async def test_all_is_well_in_words(memory, outcome, browser):
    """Nothing is marked."""
    await memory.put(outcome(1, *GONE))
    text = await page(memory, browser)
    assert "Nothing fails: the 1 call of the last hour ended as intended." in words(text)
    assert 'class="mark"' not in text


async def test_the_charts_have_the_numbers_of_their_tables(calls, outcome, browser, parsed):
    """A bar is an hour; the last one is not full yet."""
    await day(calls, outcome)
    text = await page(calls, browser)
    tables = parsed(text).tables
    assert tables["causes"][0] == ["From (UTC)", "All", "busy", "blocked", "unknown"]
    assert tables["causes"][-4:] == [
        ["2026-01-01 09:00", "0", "0", "0", "0"],
        ["2026-01-01 10:00", "3", "3", "0", "0"],
        ["2026-01-01 11:00", "2", "0", "1", "1"],
        ["2026-01-01 12:00", "0", "0", "0", "0"],
    ]
    assert tables["dispositions"][0] == ["From (UTC)", "All", "as intended", "retryable", "terminal, failed"]
    assert tables["dispositions"][-3:] == [
        ["2026-01-01 10:00", "4", "1", "3", "0"],
        ["2026-01-01 11:00", "3", "1", "0", "2"],
        ["2026-01-01 12:00", "1", "1", "0", "0"],
    ]
    assert tables["rates"][-4:] == [
        ["2026-01-01 09:00", "100.0 %", "1", "1"],
        ["2026-01-01 10:00", "25.0 %", "1", "4"],
        ["2026-01-01 11:00", "33.3 %", "1", "3"],
        ["2026-01-01 12:00", "100.0 %", "1", "1"],
    ]
    # As many pieces are drawn as the table has numbers, and each leads to the same calls.
    for name in ("causes", "dispositions"):
        part = text[text.index(f'id="{name}"') : text.index(f'id="{name}-details"')]
        drawn = re.findall(r'<a href="([^"]*)" tabindex="-1"><rect', part)
        listed = re.findall(rf'data-figure="{name}\.\d+\.\w+" href="([^"]*)"', text)
        assert sorted(drawn) == sorted(listed)


async def test_the_newest_calls_lead_to_their_records(calls, outcome, browser, parsed):
    """A call is one row, however often it was told."""
    await calls.put(outcome(1, *GONE), calls.clock.now - 60)
    await calls.work()
    await calls.put(outcome(1, *GONE))
    await calls.put(outcome(2, *BUSY))
    first, second = (f"1f0e5c1a-0000-4000-8000-{number:012d}" for number in (1, 2))
    async with browser(calls.console()) as client:
        text = (await client.get("/")).text
        assert parsed(text).tables["latest"][1:] == [
            ["2026-01-01 12:00:00", "busy", "486/560486 CallDisconnected", "↻ later", "ready", second],
            ["2026-01-01 11:59:00", "ended", "200/7000 CallDisconnected", "✓ as intended", "done", first],
        ]
        for each in (first, second):
            assert each in (await client.get(f"/{re.search(f'href=.(calls/{each}).', text)[1]}")).text


async def test_the_lane_says_what_is_in_progress_and_how_long_it_is_paused(calls, browser):
    """A pause is marked, for nobody is redialled meanwhile."""
    assert "0 in progress" in await page(calls, browser)
    placed = CallRecord("redial:1", calls.clock.now, state=CallState.PLACED)
    await calls.store.change("alice", lambda _: Step(Contact((placed,)), None))
    await calls.store.pause_redials(calls.clock.now + 90)
    calls.clock.now += 30
    text = await page(calls, browser)
    assert "▲ paused for 1 min, 1 in progress" in text
    assert text.count('class="mark"') == 1


async def test_what_is_rare_and_unknown_is_counted_behind_the_frequent(memory, outcome, browser, parsed):
    """More different pairs than are asked for at once: the calls are counted by themselves."""
    for number in range(201):
        await memory.put(outcome(number, 499, 100_000 + number), memory.clock.now - number)
    # The least frequent and the oldest, of another kind.
    await memory.put(outcome(999, 799, 1), memory.clock.now - 999)
    assert parsed(await page(memory, browser)).figures["unrecognized.range"] == "202"
    text = await page(memory, browser, "/catalog")
    assert parsed(text).figures["unrecognized.range"] == "202"
    assert "Override for 499/100000" in text
    assert len(re.findall(r'<li class="unknown">', text)) == 25


class Asked(MemoryStore):
    """Counts the questions to its history."""

    questions: ClassVar[Counter[str]] = Counter()

    @property
    def history(self) -> Any:
        kept, questions = super().history, self.questions

        class History:
            def __getattr__(self, name: str) -> Any:
                questions[name] += 1
                return getattr(kept, name)

        return History()


@pytest.mark.parametrize(
    ("path", "questions"),
    [
        ("/", {"counts": 9, "pairs": 2, "latest": 2, "deliveries": 2, "last_delivery": 1}),
        ("/?range=7d", {"counts": 10, "pairs": 2, "latest": 2, "deliveries": 2, "last_delivery": 1}),
        ("/calls?cause=busy", {"calls": 1}),
        ("/catalog/entry?code=486", {"calls": 1}),
    ],
)
async def test_a_page_asks_few_questions(clock, memory, outcome, browser, path, questions):
    """However many calls there are, and however many people look within two seconds at what is shared."""
    store = Asked(clock=clock)
    calls = type(memory)(store, clock)
    _ = store.history
    await day(calls, outcome)
    async with browser(calls.console()) as client:
        Asked.questions.clear()
        assert (await client.get(path)).status_code == 200
        asked = dict(Asked.questions)
        if "calls" not in questions:
            await client.get(path)
    assert asked == dict(Asked.questions) == questions


async def test_nothing_is_said_of_nothing(calls, browser, parsed):
    """An empty store has no failure, no rate and no table but those of the charts."""
    text = await page(calls, browser)
    assert {figure for name, figure in parsed(text).figures.items() if name not in ("oldest_due",)} == {"0"}
    assert set(parsed(text).tables) == {"dispositions", "rates"}
    assert parsed(text).links


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
        listed = (await client.get("/calls?order=oldest")).text
        far = await client.get("/calls?page=21")
        call = await client.get("/calls/1f0e5c1a-0000-4000-8000-000000000001")
    assert "The sum of 2 stores." in text
    assert parsed(text).figures["ended.range"] == "4"
    assert [row[2:4] for row in parsed(text).tables["failing"][1:]] == [["2", "2 50.0 %"]]
    times = ["2026-01-01 12:00:00"] * 2 + ["2026-01-01 11:59:59"] * 2
    assert [row[0] for row in parsed(text).tables["latest"][1:]] == times
    assert [row[0] for row in parsed(listed).tables["list"][1:]] == times[::-1]
    assert far.status_code == 400
    assert "call 1050 of several stores is too far to count to (1000); give since and until" in far.text
    assert "486/560486" in call.text


async def test_a_refined_verdict_is_not_explained_as_the_plain_one(memory, outcome, browser, parsed):
    """Of a pair whose cause the catalog does not have, only a call of it knows more."""
    from ringback.work.history import Pair

    class Refined(type(memory.store)):
        @property
        def history(self) -> Any:
            kept = super().history

            class History:
                counts, latest = kept.counts, kept.latest
                deliveries, last_delivery = kept.deliveries, kept.last_delivery

                async def pairs(self, since: float, _: int, match: Any = None, until: float = 0) -> list[Pair]:  # noqa: ARG002
                    verdict = Match.PAIR, Cause.BUSY, RetryClass.LATER
                    return [Pair("CallDisconnected", 500, 560500, *verdict, 1, since)][: match is None]

            return History()

    text = await page(memory, browser, store=Refined(clock=memory.clock))
    row = parsed(text).tables["failing"][1]
    assert [row[0], *row[4:]] == [
        "busy", "↻ later", "–",  # noqa: RUF001
        "Its verdict rests on SIP or Q.850 details, or on overrides; a single call of it says more.",
    ]  # fmt: skip
