"""The list of calls and the record of one: what the address chooses, in pages, as files, and nothing private in an
address.
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ringback import OutcomeRouter
from ringback.console import Console, export
from ringback.console.call import view_of
from ringback.console.export import COLUMNS
from ringback.core.events import Event, EventData, Result
from ringback.hooks.dispatcher import Dispatcher
from ringback.logs import LogObserver
from ringback.work.call_detail import CallDetailRecord, Ending, Leg
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord, CallState
from ringback.work.items import Progress, Settlement, State
from ringback.work.told import told_by
from ringback_catalog import Cause, Disposition, Match, ResultCategory, RetryClass

BUSY, GONE, FORBIDDEN = (486, 560486), (200, 7000), (403, 510403)


def leg(number: int) -> str:
    return f"1f0e5c1a-0000-4000-8000-{number:012d}"


async def three(calls: Any, outcome: Any) -> None:
    """A busy one, one that ended well, one that was forbidden: a minute apart."""
    noon = calls.clock.now
    await calls.put(outcome(1, *BUSY), noon - 180)
    await calls.put(outcome(2, *GONE), noon - 120)
    await calls.put(outcome(3, *FORBIDDEN, event="CreateCallFailed"), noon - 60)


# The list


async def test_the_list_has_what_the_address_chooses(calls, outcome, browser, parsed):
    """The newest first, each with its record behind it."""
    await three(calls, outcome)
    async with browser(calls.console()) as client:
        text = (await client.get("/calls")).text
        busy = (await client.get("/calls?cause=busy")).text
    assert parsed(text).figures["data-total"] == "3"
    assert parsed(text).tables["list"] == [
        ["Ended", "Call", "Cause", "Code, event", "Call again", "Who acts", "Answered", "Talk", "Hooks"],
        ["2026-01-01 11:59:00", leg(3), "blocked", "403/510403 CreateCallFailed", "✕ after a fix", "admin", "no", "–", "ready"],  # noqa: E501, RUF001
        ["2026-01-01 11:58:00", leg(2), "ended", "200/7000 CallDisconnected", "✓ as intended", "nobody", "yes", "–", "ready"],  # noqa: E501, RUF001
        ["2026-01-01 11:57:00", leg(1), "busy", "486/560486 CallDisconnected", "↻ later", "callee", "no", "–", "ready"],  # noqa: RUF001
    ]  # fmt: skip
    assert [row[1] for row in parsed(busy).tables["list"][1:]] == [leg(1)]
    assert f'href="calls/{leg(1)}"' in busy
    assert '<option value="busy" selected>' in busy


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code=486/560486", [1]),
        ("event=CreateCallFailed", [3]),
        ("disposition=terminal", [3, 2]),
        ("intended=no", [3, 1]),
        ("category=ExpectedError", [3]),
        ("owner=admin", [3]),
        ("since=150s", [3, 2]),
        ("until=90s", [2, 1]),
        ("since=2026-01-01 11:58&until=2026-01-01 11:59", [2]),
        ("order=oldest", [1, 2, 3]),
        (f"search={leg(2)}", [2]),
        ("search=event-3", [3]),
        ("search=nobody", []),
        ("recognized=no", []),
        ("contact=alice", []),
    ],
)
async def test_each_filter_chooses(calls, outcome, browser, parsed, query, expected):
    """As `ringback calls list` does."""
    await three(calls, outcome)
    async with browser(calls.console()) as client:
        response = await client.get(f"/calls?{query}")
    assert response.status_code == 200
    rows = parsed(response.text).tables.get("list", [[]])[1:]
    assert [row[1] for row in rows] == [leg(each) for each in expected]
    assert parsed(response.text).figures["data-total"] == str(len(expected))


async def test_what_is_wrong_stands_on_the_page_and_in_its_form(memory, outcome, browser, parsed):
    """400, every fault, no list, and the form as it was filled in; but nothing private."""
    await three(memory, outcome)
    async with browser(memory.console()) as client:
        response = await client.get("/calls?cause=buzy&code=abc&owner=admin&event=%2B15550100&page=x")
    assert response.status_code == 400
    assert "cause &#39;buzy&#39; is none; there are answered_elsewhere, " in response.text
    assert "code &#39;abc&#39; is no number of a result; write for example 486, 486/560486 or none" in response.text
    assert "page &#39;x&#39; is none; give a number from 1 to 10000" in response.text
    assert 'value="abc"' in response.text
    assert '<option value="admin" selected>' in response.text
    assert "15550100" not in response.text
    assert "data-total" not in response.text


async def test_what_the_store_refuses_is_said_as_well(memory, browser):
    """A number that no event can carry is refused where it is read, so that only the store's own rules are left."""
    async with browser(memory.console()) as client:
        response = await client.get("/calls?code=99999999999")
    assert response.status_code == 400


async def test_the_list_is_turned_in_pages_that_stand_still(memory, outcome, browser, parsed):
    """Calls that end meanwhile move no page; each call is on one page."""
    for number in range(120):
        await memory.put(outcome(number, *BUSY), memory.clock.now - number)
    seen: list[str] = []
    async with browser(memory.console()) as client:
        address = "/calls"
        while address:
            text = (await client.get(address)).text
            assert parsed(text).figures["data-total"] == "120"
            seen += [row[1] for row in parsed(text).tables["list"][1:]]
            await memory.put(outcome(500 + len(seen), *BUSY), memory.clock.now + len(seen))
            following = re.search(r'rel="next" href="([^"]*)"', text)
            address = following and f"/{following[1].replace('&amp;', '&')}"
        back = re.search(r'rel="prev" href="([^"]*)"', text)[1]
        oldest = (await client.get("/calls?order=oldest")).text
    assert seen == [leg(number) for number in range(120)]
    assert "page=2" in back
    assert "Page 1 of 3" in oldest
    assert parsed(oldest).tables["list"][1][1] == leg(119)
    assert ">Newest first</a>" in oldest


async def test_a_page_beyond_the_last_is_empty(memory, outcome, browser, parsed):
    """It says how many calls there are, and leads to the first page."""
    await three(memory, outcome)
    async with browser(memory.console()) as client:
        text = (await client.get("/calls?page=7&order=oldest")).text
        first = re.search(r'This page has none. <a href="([^"]*)">To the first page</a>', text)[1]
        back = (await client.get("/" + first.replace("&amp;", "&"))).text
        none = (await client.get("/calls?cause=transferred")).text
    assert parsed(text).figures["data-total"] == "3"
    assert "meets all of this" not in text
    assert len(parsed(back).tables["list"]) == 4
    assert "order=oldest" in first
    assert "No call that the store remembers has ended and meets all of this." in none
    assert "still goes on" not in none


async def test_a_search_leads_to_a_call_that_goes_on(calls, browser):
    """It is in no list before it ends, and has a page."""
    await told(calls, "CallConnected", 1, calls.clock.now - 200)
    async with browser(calls.console()) as client:
        text = (await client.get(f"/calls?search={leg(1)}")).text
        found = re.search(r'still goes on is in no list: <a href="([^"]*)">', text)[1]
        page = await client.get(f"/{found}")
    assert (page.status_code, leg(1) in page.text) == (200, True)


async def test_a_call_is_found_by_any_event_of_it(calls, outcome, browser, parsed):
    """Also by one before its end, as the page of the call; conditions beside it hold as before."""
    await three(calls, outcome)
    await told(calls, "CallConnected", 1, calls.clock.now - 200)
    async with browser(calls.console()) as client:
        record = (await client.get(f"/calls/{leg(1)}.json")).json()
        (name,) = [
            entry["event_id"]
            for each in record["legs"]
            for entry in each["entries"]
            if entry["event"] == "CallConnected"
        ]
        found = [
            parsed((await client.get(f"/calls?search={text}")).text).figures["data-total"]
            for text in (name, f"{name}&cause=busy", f"{name}&cause=blocked", f"{leg(1)}&cause=blocked", "nobody")
        ]
    assert found == ["1", "1", "0", "0", "0"]


async def test_calls_come_before_their_filters(memory, outcome, browser):
    """On a phone the open form is longer than the screen: the list says its filters in a line, and a fault is first."""
    await three(memory, outcome)
    async with browser(memory.console(), follow_redirects=True) as client:
        text = (await client.get("/calls?cause=busy&code=486")).text
        wrong = (await client.get("/calls?cause=bsy")).text
        private = (await client.post("/calls", data={"contact": "+15550100"})).text
    assert '<details id="more-filters"><summary class="break">Filters: cause busy, code 486</summary>' in text
    assert '<details id="more-filters" open><summary class="break">Filters: cause bsy</summary>' in wrong
    assert wrong.index('id="faults-title"') < wrong.index('id="more-filters"')
    assert '<summary class="break">Filters: contact</summary>' in private


# The form


async def test_the_form_leads_to_an_address(memory, outcome, browser, parsed):
    """Without a script; what it leaves empty is not in it, and what is public stands in it as it is."""
    await three(memory, outcome)
    async with browser(memory.console(), follow_redirects=True) as client:
        fields = {"cause": "busy", "code": "", "search": leg(1), "since": " 2h ", "else": "x"}
        response = await client.post("/calls", data=fields)
        empty = await client.post("/calls", data={"cause": ""})
    assert str(response.url) == f"https://ops.example/calls?search={leg(1)}&cause=busy&since=2h"
    assert parsed(response.text).figures["data-total"] == "1"
    assert str(empty.url) == "https://ops.example/calls"


@pytest.mark.parametrize("field", ["search", "contact", "event"])
async def test_what_is_private_is_sealed_in_the_address(memory, browser, field):
    """And is found by it; another browser is told to type it again."""
    number = "+15550100"
    data = EventData(
        call_connection_id=number, correlation_id=number, operation_context="x", result_information=Result(*BUSY)
    )
    from ringback.core.outcome import classify_event

    type_ = f"Microsoft.Communication.{number}" if field == "event" else "Microsoft.Communication.CallDisconnected"
    outcome = classify_event(Event(type=type_, id="1", data=data))
    if outcome is not None:
        await memory.put(outcome, contact=number)
    async with browser(memory.console()) as client, browser(memory.console()) as other:
        sent = await client.post("/calls", data={field: number, "order": "oldest"})
        address = sent.headers["location"]
        text = (await client.get(f"/{address}")).text
        refused = await other.get(f"/{address}")
        links = re.findall(r'href="(calls[^"]*)"', text)
    assert "15550100" not in address + text
    assert refused.status_code == 400
    assert f"{field} is a stand-in that only the browser it was made for can use" in refused.text
    if field != "event":
        assert "data-total>1<" in text
        assert any(link.startswith("calls/~") for link in links)
    assert all("15550100" not in link for link in links)


async def test_a_form_that_is_too_long_is_refused(memory, browser):
    """No page of ours makes one."""
    async with browser(memory.console()) as client:
        response = await client.post("/calls", data={"search": "x" * 40_000})
    assert (response.status_code, response.text) == (413, "413: the form is longer than 32768 bytes\n")


async def test_a_private_value_is_as_long_as_a_public_one_may_be(memory, browser):
    """Its stand-in is longer than 300 characters, and nobody sees that."""
    async with browser(memory.console()) as client:
        statuses = {
            length: (await client.post("/calls", data={"search": "x" * length}, follow_redirects=True)).status_code
            for length in (300, 301)
        }
        refused = await client.post("/calls", data={"search": "x" * 301}, follow_redirects=True)
    assert statuses == {300: 200, 301: 400}
    assert "search has 301 characters; give 300 at most" in refused.text


# One call


async def told(calls: Any, name: str, number: int, at: float, code: int = 200, **texts: Any) -> None:
    data = EventData(
        call_connection_id=leg(number), correlation_id=leg(number), result_information=Result(code, 0), **texts
    )
    event = Event(type=f"Microsoft.Communication.{name}", id=f"{name}-{number}", data=data)
    await calls.store.note([told_by(event, at)])


async def test_a_call_is_told_in_order(calls, outcome, browser):
    """Connected, the end with its verdict and advice, how long they talked, the hooks with their attempts."""
    noon = calls.clock.now
    await told(calls, "CallConnected", 1, noon - 100)
    await calls.put(outcome(1, *BUSY), noon - 40)
    await calls.put(outcome(1, *BUSY), noon - 30)
    progress = Progress(
        done=("jobs.close",), failed={"jobs.mail": "TimeoutError: of +1 555 0100"}, tries={"jobs.mail": 3}
    )
    await calls.work(lambda _: Settlement(State.DEAD, progress, reason="jobs.mail: TimeoutError"))
    async with browser(calls.console()) as client:
        text = (await client.get(f"/calls/{leg(1)}")).text
        record = (await client.get(f"/calls/{leg(1)}.json")).json()
    said = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "busy 486/560486 CallDisconnected ↻ later" in said
    assert "Talked 1 min" in said
    assert "Answered yes" in said
    assert "dead ( dead letters like it ); 1 further report of the end changed nothing; jobs.mail: TimeoutError" in said
    assert 'href="../work/letters?cause=busy&amp;hook=jobs.mail"' in text
    assert "jobs.close ✓ returned after 1 attempt" in said
    assert "jobs.mail ✕ given up after 4 attempts: TimeoutError: of [phone]" in said
    assert "2026-01-01 11:58:20 +0.0 s connected CallConnected" in said
    assert "2026-01-01 11:59:20 +1 min ended CallDisconnected 486/560486" in said
    assert record["legs"][0]["talk_seconds"] == 60.0
    assert "operation_context" not in json.dumps(record)


async def test_a_dead_letter_without_a_hook_is_among_those_of_its_cause(calls, outcome, browser):
    """As of a hook that no worker has any more."""
    await calls.put(outcome(1, *BUSY), calls.clock.now)
    await calls.work(lambda _: Settlement(State.DEAD, Progress(), reason="no hook of this name is registered"))
    async with browser(calls.console()) as client:
        text = (await client.get(f"/calls/{leg(1)}")).text
    assert 'href="../work/letters?cause=busy"' in text


async def test_a_call_with_two_legs_and_a_contact(calls, outcome, browser):
    """Each leg by itself, the events of both in one order, and the other calls to the contact."""
    noon = calls.clock.now
    records = (
        CallRecord(f"call:{leg(7)}", noon - 900, leg=leg(7), ended_at=noon - 800, cause="no_answer"),
        CallRecord(f"call:{leg(1)}", noon - 100, leg=leg(1), ended_at=noon),
        CallRecord("redial:x", noon + 900, state=CallState.PLANNED),
    )
    await calls.store.change("ann", lambda _: Step(Contact(records), None))
    await calls.put(outcome(1, *BUSY), noon - 40, contact="ann")
    data = EventData(call_connection_id=leg(2), correlation_id=leg(1), result_information=Result(*GONE))
    from ringback.core.outcome import classify_event

    second = classify_event(Event(type="Microsoft.Communication.CallDisconnected", id="2", data=data))
    await calls.put(second, noon - 20)
    async with browser(calls.console()) as client:
        text = (await client.get(f"/calls/{leg(1)}")).text
    said = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "Leg 1" in said
    assert "Leg 2" in said
    assert "leg 2 200/7000" in said
    assert "[contact]" in said
    assert "before this one" in said
    assert "after this one" in said
    assert f'href="../calls/{leg(7)}"' in text
    assert ">ann<" not in text


def test_the_evidence_says_what_a_verdict_rests_on() -> None:
    """The carrier's codes, and which of them changed the verdict; an end that nobody judged has no owner."""
    end = Ending(
        "CallDisconnected", 500, 560500, Match.PAIR, Cause.BUSY, ResultCategory.SUCCESS, RetryClass.LATER,
        Disposition.RETRYABLE, None, sip=486, q850=17, refined_by="sip",
    )  # fmt: skip
    (leg_of_it,) = view_of(CallDetailRecord(None, (Leg(None, None, None, (), end),)))["legs"]
    assert leg_of_it["ending"]["evidence"] == [
        "Found by code and subcode, whatever the event",
        "SIP 486",
        "Q.850 17",
        "Refined by the carrier's SIP status, which says more than the subcode",
    ]
    assert leg_of_it["ending"]["acts"] is None


async def test_a_call_nobody_knows_is_not_found(memory, browser):
    """404, with a form to look again; as JSON, too."""
    async with browser(memory.console()) as client:
        page, record, foreign = [
            await client.get(f"/calls/{name}") for name in (leg(1), f"{leg(1)}.json", "~AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        ]
    assert (page.status_code, record.status_code, foreign.status_code) == (404, 404, 404)
    assert "No call that the store remembers has this id." in page.text
    assert 'action="../calls"' in page.text
    assert record.json() == {"error": "no call has this id"}


async def test_the_console_of_a_router_has_what_the_process_heard_last(outcome, browser):
    """Events that are not yet in the store are put there before it is asked."""
    router = OutcomeRouter()
    console = Console(router=router, auth=lambda _: "me")
    dispatcher = Dispatcher(router, LogObserver(), settle=0.0)
    await dispatcher.accept([outcome(1, *BUSY)])
    async with browser(console) as client:
        text = (await client.get(f"/calls/{leg(1)}")).text
    await dispatcher.drain(1.0)
    assert "486/560486" in text


# Files


async def rows_of(client: Any, path: str) -> list[list[str]]:
    response = await client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="calls.csv"'
    return list(csv.reader(io.StringIO(response.text)))


async def test_the_chosen_calls_are_a_file(calls, outcome, browser):
    """The same calls as the list's, by the link that stands there."""
    await three(calls, outcome)
    async with browser(calls.console()) as client:
        text = (await client.get("/calls?intended=no")).text
        links = [each.replace("&amp;", "&") for each in re.findall(r'href="(calls\.\w+\?[^"]*)"', text)]
        rows = await rows_of(client, f"/{links[0]}")
        whole = await client.get(f"/{links[1]}")
    assert rows[0] == list(COLUMNS)
    table = [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]]
    assert [(row["call_connection_id"], row["code"], row["cause"], row["answered"]) for row in table] == [
        (leg(3), "403", "blocked", "no"),
        (leg(1), "486", "busy", "no"),
    ]
    assert table[0]["seen_at"] == "2026-01-01T11:59:00+00:00"
    found = whole.json()
    assert found["total"] == 2
    assert [each["call_connection_id"] for each in found["calls"]] == [leg(3), leg(1)]
    assert "operation_context" not in found["calls"][0]


async def test_a_long_file_comes_in_pages_and_ends(memory, outcome, browser, monkeypatch):
    """All calls once; no more than its bound, with the number of all."""
    for number in range(25):
        await memory.put(outcome(number, *BUSY), memory.clock.now - number)
    monkeypatch.setattr(export, "BATCH", 10)
    async with browser(memory.console()) as client:
        rows = await rows_of(client, "/calls.csv?order=oldest")
        assert [row[COLUMNS.index("call_connection_id")] for row in rows[1:]] == [leg(each) for each in range(25)[::-1]]
        assert len((await client.get("/calls.json")).json()["calls"]) == 25
        monkeypatch.setattr(export, "MOST_CALLS", 20)
        cut = (await client.get("/calls.json")).json()
        nothing = (await client.get("/calls.json?cause=media")).json()
        notes = ["A file has the first 20." in (await client.get(path)).text for path in ("/calls", "/calls?since=15s")]
    assert (len(cut["calls"]), cut["total"], notes) == (20, 25, [True, False])
    assert nothing == {"total": 0, "calls": []}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
async def test_a_cell_is_no_formula(memory, outcome, browser, start):
    """A sender writes ids; a spreadsheet would take one for a formula."""
    await memory.put(outcome(1, *BUSY, call=f'{start}HYPERLINK("x")'))
    async with browser(memory.console()) as client:
        rows = await rows_of(client, "/calls.csv")
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert len(rows) == 2


@pytest.mark.parametrize("path", ["/calls.csv", "/calls.json"])
async def test_a_file_is_refused_as_the_list_is(memory, browser, path):
    """Nothing wrong is ignored."""
    async with browser(memory.console()) as client:
        response = await client.get(f"{path}?cause=buzy")
    assert response.status_code == 400
    assert "cause &#39;buzy&#39; is none" in response.text


@pytest.mark.parametrize("path", ["/calls.csv", "/calls.json"])
async def test_a_file_has_no_pages(memory, outcome, browser, path):
    """It has every call; a page in its address is refused, and stands in no link to it."""
    for number in range(60):
        await memory.put(outcome(number, *BUSY), memory.clock.now - 60)
    async with browser(memory.console()) as client:
        response = await client.get(f"{path}?cause=busy&page=2")
        text = (await client.get("/calls?cause=busy&page=2")).text
        link = re.search(rf'href="({path[1:]}[^"]*)"', text)[1].replace("&amp;", "&")
        whole = (await client.get(f"/{link}")).text
    assert response.status_code == 400
    assert "page 2 is no part of a file, which has every call that is found; take page away" in response.text
    assert "page" not in link
    assert whole.count(leg(59)) == whole.count(leg(0)) > 0


@pytest.mark.parametrize("path", ["calls/{}", "calls/{}.json"])
async def test_a_call_has_no_parameters(memory, outcome, browser, path):
    """None is ignored."""
    await three(memory, outcome)
    async with browser(memory.console()) as client:
        response = await client.get(f"/{path.format(leg(1))}?page=2")
    assert response.status_code == 400
    why = "&#39;page&#39; is no part of this address; it has no part behind a question mark"
    assert why in response.text


async def test_addresses_of_a_list_say_what_it_was_made_of(memory, outcome, browser):
    """The links to pages and files keep every condition, and until is in each."""
    for number in range(60):
        await memory.put(outcome(number, *BUSY), memory.clock.now - 60)
    async with browser(memory.console()) as client:
        text = (await client.get("/calls?cause=busy&since=1h")).text
    for link in re.findall(r'href="(calls[^"/]*\?[^"]*)"', text):
        asked = parse_qs(urlsplit(link.replace("&amp;", "&")).query)
        assert asked["cause"] == ["busy"]
        assert asked["since"] == ["2026-01-01T11:00:01Z"]
        assert asked["until"] == ["2026-01-01T12:00:01Z"]
