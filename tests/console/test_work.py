"""The page Work shows what waits, what was given up, and what becomes of redials."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord

BUSY, GONE = (486, 560486), (200, 7000)


async def page(calls: Any, browser: Any, path: str = "/work", **settings: Any) -> str:
    async with browser(calls.console(**{"clock": calls.clock} | settings)) as client:
        response = await client.get(path)
    assert response.status_code == 200
    return response.text


async def test_what_waits_says_when_it_is_due(calls, outcome, browser, parsed):
    """Hooks with their key; redials with their contact only if it is a hash."""
    now = calls.clock.now
    await calls.put(outcome(1, *GONE), due_at=now - 90)
    await calls.put(outcome(2, *BUSY), due_at=now + 1)
    await calls.plan(outcome(3, *BUSY), "+1 555 0100", now + 7260)
    await calls.plan(outcome(4, 480, 560480), "ab" * 32, now + 86_400 * 3)
    tables = parsed(await page(calls, browser)).tables
    assert tables["hooks"][1:] == [
        [
            "call:1f0e5c1a-0000-4000-8000-000000000001", "2026-01-01 11:58:30 1 min 30 s late", "200/7000", "ended",
            "ready", "0",
        ],
        ["call:1f0e5c1a-0000-4000-8000-000000000002", "2026-01-01 12:00:01 in 1 s", "486/560486", "busy", "ready", "0"],
    ]  # fmt: skip
    key = "redial:call:1f0e5c1a-0000-4000-8000-00000000000{}"
    busy = ["486/560486", "busy", "2", "ready", "0", "call_again"]
    heading = ["Call", "Due (UTC)", "Contact", "Because of", "Cause", "Call number", "State", "Tries", "Function"]
    assert tables["redials"] == [
        heading,
        [key.format(3), "2026-01-01 14:01:00 in 2 h 1 min", "[contact]", *busy],
        [
            key.format(4), "2026-01-04 12:00:00 in 3 d", "hash abababababab", "480/560480", "no answer", "2", "ready",
            "0", "call_again",
        ],
    ]  # fmt: skip


async def test_what_is_most_urgent_comes_first_and_the_rest_is_folded(calls, outcome, browser, parsed):
    """For a phone at night: dead letters, then the next two of each queue, and a line that opens the others."""
    now = calls.clock.now
    for number in range(6):
        await calls.put(outcome(number, *GONE))
        await calls.kill(f"jobs.{'abcdef'[number]}: RuntimeError")
    for number in range(10, 16):
        await calls.put(outcome(number, *BUSY), due_at=now + number)
        await calls.plan(outcome(number + 10, *BUSY), "+1 555 0100", now + number)
    text = await page(calls, browser)
    sections = re.findall(r'<section id="([a-z-]+)"', text)
    assert sections == ["dead-letters", "redials", "hooks", "programme"]
    folded = re.findall(r'<details id="(more-[a-z-]+)"><summary>([0-9a-z ]+)</summary>', text)
    assert folded == [("more-dead-letters", "1 more"), ("more-redials", "4 more"), ("more-hooks", "4 more")]
    assert [len(parsed(text).tables[name]) for name in ("dead-letters", "redials", "hooks")] == [8, 8, 8]


async def test_what_waits_beyond_the_table_is_told(calls, outcome, browser):
    """A reader sees that the table is not all of the queue, and how long that is."""
    now = calls.clock.now
    for number in range(10):
        await calls.put(outcome(number, *BUSY), due_at=now + 60)
        await calls.plan(outcome(50 + number, *BUSY), "+1 555 0100", now + 60)
    whole = await page(calls, browser)
    await calls.put(outcome(10, *BUSY), due_at=now + 60)
    await calls.plan(outcome(60, *BUSY), "+1 555 0100", now + 60)
    calls.clock.now += 60
    cut = await page(calls, browser)
    titles = re.compile(r'<h2 id="(?:redials|hooks)-title">(.*?)</h2>')
    assert [titles.findall(text) for text in (whole, cut)] == [
        [
            'Scheduled redials <span class="dim">10</span>',
            'Hook queue <span class="dim">0 at work, 10 waiting</span>',
        ],
        [
            'Scheduled redials <span class="dim">11, the next 10</span>',
            'Hook queue <span class="dim">0 at work, 11 waiting, the next 10</span>',
        ],
    ]


async def test_contacts_that_are_not_hashed_take_no_room(calls, outcome, browser, parsed):
    """Every row would have the same word."""
    await calls.plan(outcome(1, *BUSY), "+1 555 0100", calls.clock.now + 60)
    assert parsed(await page(calls, browser)).tables["redials"] == [
        ["Call", "Due (UTC)", "Because of", "Cause", "Call number", "State", "Tries", "Function"],
        [
            "redial:call:1f0e5c1a-0000-4000-8000-000000000001", "2026-01-01 12:01:00 in 1 min", "486/560486", "busy",
            "2", "ready", "0", "call_again",
        ],
    ]  # fmt: skip


async def test_the_programme_says_which_attempt_reached_whom(calls, browser, parsed):
    """By attempt, cause, hour and limit, of the calls of the range; nothing of nothing."""
    assert "No contact of a redial was called in this range." in await page(calls, browser)
    at = calls.clock.now
    contacts = {
        "ann": (
            CallRecord("leg:1", at, ended_at=at, cause="no_answer", unrung=True),
            CallRecord("redial:1", at + 1, answered_at=at + 9),
        ),
        "eve": (CallRecord("leg:2", at, ended_at=at, cause="busy", gave_up="max_attempts"),),
        "old": (CallRecord("leg:3", at - 9 * 86_400, ended_at=at - 9 * 86_400),),
    }
    for name, known in contacts.items():
        await calls.store.change(name, lambda _, known=known: Step(Contact(known), None))
    calls.clock.now += 60
    text = await page(calls, browser)
    tables = parsed(text).tables
    assert "2 contacts called, 1 reached (50.0 %)." in text
    assert [tables[name][1:] for name in ("attempts", "after", "hours", "given-up")] == [
        [["1", "2", "0", "0.0 %", "1"], ["2", "1", "1", "100.0 %", "0"]],
        [["no answer", "1", "1", "100.0 %", "0"]],
        [["12", "3", "1", "33.3 %", "1"]],
        [["max attempts", "busy", "1"]],
    ]
    await calls.store.change("ann", lambda known: Step(replace(known, calls=known.calls[:1]), None))
    await calls.store.change("eve", lambda _: Step(Contact(), None))
    calls.clock.now += 60
    assert set(parsed(await page(calls, browser)).tables) >= {"attempts", "hours"}
    assert parsed(await page(calls, browser)).tables.keys().isdisjoint({"after", "given-up"})
