"""The page Work shows what waits, what was given up, and what becomes of redials."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ringback.work.contact import CallRecord, Contact, Step
from ringback.work.items import Kind, Progress

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
            "call:1f0e5c1a-0000-4000-8000-000000000001", "ready", "2026-01-01 11:58:30 1 min 30 s late", "0",
            "200/7000", "ended",
        ],
        ["call:1f0e5c1a-0000-4000-8000-000000000002", "ready", "2026-01-01 12:00:01 in 1 s", "0", "486/560486", "busy"],
    ]  # fmt: skip
    assert tables["redials"][1:] == [
        ["2026-01-01 14:01:00 in 2 h 1 min", "[contact]", "2", "486/560486", "busy", "call_again", "ready", "0"],
        ["2026-01-04 12:00:00 in 3 d", "hash abababababab", "2", "480/560480", "no answer", "call_again", "ready", "0"],
    ]


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


async def test_dead_letters_say_why(calls, outcome, browser, parsed):
    """The newest first; without a button, for this page may change nothing."""
    await calls.put(outcome(1, *GONE))
    await calls.kill("gave up", Progress(done=("notify",), failed={"write_crm": "TimeoutError: 5 s"}))
    text = await page(calls, browser)
    assert parsed(text).tables["dead-letters"] == [
        ["Key", "Work", "Code", "Cause", "Tries", "Died (UTC)", "Reason"],
        [
            "call:1f0e5c1a-0000-4000-8000-000000000001", "outcome", "200/7000", "ended", "1", "2026-01-01 12:00:00",
            "gave up failed: write_crm: TimeoutError: 5 s done, not called again: notify",
        ],
    ]  # fmt: skip
    assert "<form" not in text


async def test_an_unreadable_letter_is_still_a_row(memory, outcome, browser, parsed):
    """Damaged, or of a newer release: its key and reason are there, and it can be discarded."""
    from ringback.work.items import DeadLetter

    class Damaged(type(memory.store)):
        async def dead(self, limit: int = 100) -> list[DeadLetter]:  # noqa: ARG002
            return [DeadLetter("call:x", Kind.REDIAL, None, 3, "unreadable", 1e20, Progress(), "call_again")]

    text = await page(memory, browser, store=Damaged(clock=memory.clock))
    assert parsed(text).tables["dead-letters"][1] == [
        "call:x", "redial call_again", "–", "unreadable", "3", "never", "unreadable",  # noqa: RUF001
    ]  # fmt: skip
