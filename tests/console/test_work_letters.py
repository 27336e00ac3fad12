"""Dead letters on the page: in groups, chosen by an address or by hand, asked about, changed, and taken back."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from ringback.console.access import COOKIE
from ringback.exceptions import StoreUnavailable
from ringback.work.items import Kind, Progress, Settlement, State
from ringback.work.letters import UNDO

GONE, BUSY = (200, 7000), (486, 560486)
CRM = "TimeoutError: crm did not answer order {} in 5 s"
KEY = "call:1f0e5c1a-0000-4000-8000-{:012d}"


def fields(text: str) -> list[tuple[str, str]]:
    """The hidden fields of the last form of a page."""
    form = text.rpartition("<form")[2]
    return re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)


async def died(calls: Any, outcome: Any, count: int, code: tuple[int, int] = GONE, first: int = 1) -> None:
    """So many calls whose hook was given up, each a second later, for equal reasons."""
    for number in range(first, first + count):
        await calls.put(outcome(number, *code))
        reason = CRM.format(1000 + number)
        await calls.kill(f"write_crm: {reason}", Progress(done=("notify",), failed={"write_crm": reason}))
        calls.clock.now += 1


async def sent(client: Any, question: Any, act: str = "replay", **changed: str) -> Any:
    """The answer to the form of a question."""
    assert question.status_code == 200, question.text
    form: dict[str, list[str]] = {}
    for name, value in [*fields(question.text), ("act", act)]:
        form.setdefault(name, []).append(value)
    return await client.post("/work/change", data=form | changed)


async def asked(client: Any, query: str = "", act: str = "replay") -> Any:
    return await client.get(f"/work/confirm?act={act}{query}")


def told(response: Any) -> dict[str, str]:
    assert response.status_code == 303, response.text
    return {name: texts[0] for name, texts in parse_qs(urlsplit(response.headers["location"]).query).items()}


async def said(client: Any, response: Any) -> str:
    """What the page says of what was done; nothing else that may stand beside it."""
    page = (await client.get(f"/work/{response.headers['location']}")).text
    return re.search(r'<section id="made".*?<strong>(.*?)</strong>', page, re.DOTALL)[1]


async def begin(calls: Any, count: int) -> None:
    """Workers have begun with so many of the letters that are replayed, and have not come to an end."""
    calls.clock.now += UNDO + 2
    begun, left = asyncio.Event(), count

    async def work(_: Any) -> Settlement:
        nonlocal left
        left -= 1
        if not left:
            begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    running = asyncio.create_task(calls.store.run(work, count))
    await begun.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_equal_reasons_are_one_group(calls, outcome, browser, parsed):
    """With their number, the first and the last, an example, and what would help; the largest group first."""
    await died(calls, outcome, 3)
    await died(calls, outcome, 1, BUSY, first=9)
    async with browser(calls.console()) as client:
        tables = parsed((await client.get("/work")).text).tables
    reason = "TimeoutError: crm did not answer order <number> in <number> s in write_crm"
    helps = "See why what the function waits for is slow. Replay when that answers in time. For example {}"
    first = f"{helps.format(KEY.format(3))} ; the first died at 2026-01-01 12:00:00"
    assert tables["dead-letters"] == [
        ["Letters", "Reason", "Cause", "Last died (UTC)", "What would help"],
        ["3", reason, "ended", "2026-01-01 12:00:02", first],
        ["1", reason, "busy", "2026-01-01 12:00:03", helps.format(KEY.format(9))],
    ]  # fmt: skip


async def test_each_letter_says_why(calls, outcome, browser, parsed):
    """Behind its group's link; without a button, for this page may change nothing."""
    await died(calls, outcome, 1)
    async with browser(calls.console()) as client:
        (group,) = set(re.findall(r'href="(work/letters\?group=\w+)"', (await client.get("/work")).text))
        text = (await client.get(f"/{group}")).text
    assert parsed(text).tables["letters"] == [
        ["Key", "Work", "Code", "Cause", "Tries", "Died (UTC)", "Reason"],
        [
            KEY.format(1), "outcome", "200/7000", "ended", "1", "2026-01-01 12:00:00",
            "write_crm: TimeoutError: crm did not answer order 1001 in 5 s done, not called again: notify",
        ],
    ]  # fmt: skip
    assert "with the reason" in text
    assert "<button" not in text.partition("</form>")[2]


async def test_an_unreadable_letter_is_still_a_row(memory, outcome, browser, parsed):
    """Damaged, or of a newer release: its key and reason are there, and it can be discarded."""
    from ringback.work.items import DeadLetter

    class Damaged(type(memory.store)):
        async def dead(self, limit: int = 100) -> list[DeadLetter]:  # noqa: ARG002
            return [
                DeadLetter(
                    "call:x",
                    Kind.REDIAL,
                    None,
                    3,
                    "call_again: cannot be read",
                    1_767_268_800.0,
                    Progress(tries={"placing": 2}),
                    "call_again",
                )
            ]

    async with browser(memory.console(store=Damaged(clock=memory.clock))) as client:
        pages = [(await client.get(path)).text for path in ("/work", "/work/letters")]
    tables = parsed(pages[0]).tables | parsed(pages[1]).tables
    assert tables["dead-letters"][1] == [
        "1", "cannot be read in call_again", "unreadable", "2026-01-01 12:00:00",
        "Upgrade the workers to the newest release, then replay. If the letter is damaged, discard it. "
        "For example call:x",
    ]  # fmt: skip
    assert tables["letters"][1] == [
        "call:x", "redial call_again", "–", "unreadable", "2", "2026-01-01 12:00:00",  # noqa: RUF001
        "call_again: cannot be read",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [9, 3, 2, 1]),
        ("?cause=busy", [9]),
        ("?code=200", [3, 2, 1]),
        ("?code=200/7000", [3, 2, 1]),
        ("?code=+486%23560486+", [9]),
        ("?code=486/1", []),
        ("?hook=write_crm&cause=ended", [3, 2, 1]),
        ("?hook=other", []),
        ("?until=1767268801.5", [2, 1]),
        ("?cause=&code=&hook=+", [9, 3, 2, 1]),
    ],
)
async def test_letters_are_chosen_by_the_address(memory, outcome, browser, parsed, query, numbers):
    """By what every filter given says together; the number above is that of the rows, and of what is asked about."""
    await died(memory, outcome, 3)
    await died(memory, outcome, 1, BUSY, first=9)
    async with browser(memory.console(allow_changes=True)) as client:
        text = (await client.get(f"/work/letters{query}")).text
        question = await asked(client, query.replace("?", "&"))
    rows = parsed(text).tables.get("letters", [[]])[1:]
    assert [row[1] for row in rows] == [KEY.format(number) for number in numbers]
    count = f"{len(numbers)} dead letter{'' if len(numbers) == 1 else 's'}"
    assert count in text
    assert f"Replay {count}?" in question.text


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("letters?cause=bussy", "cause 'bussy' is none; there are "),
        ("letters?code=abc", "code 'abc' is none; write for example 486"),
        ("letters?group=x", "group 'x' is none"),
        ("letters?until=never", "until 'never' is no time"),
        ("letters?until=inf", "until 'inf' is no time"),
        ("letters?page=0", "page '0' is none"),
        ("letters?hook=" + "x" * 400, "hook has 400 characters; give 300 at most"),
        ("letters?causes=busy", "'causes' is no part of this address"),
        ("confirm?act=purge", "act is none of replay, discard"),
        ("confirm", "act is none of replay, discard"),
        ("confirm?act=replay&code=abc", "code 'abc' is none"),
        ("confirm?act=replay&causes=busy", "'causes' is no part of this address; there are act, cause, "),
        ("confirm?act=replay&page=2", "'page' is no part of this address"),
        ("confirm?act=replay&cause=busy&cause=media", "cause is given twice"),
    ],
)
async def test_what_chooses_nothing_is_refused(memory, browser, path, why):
    """With what is wrong and what would be right."""
    async with browser(memory.console(allow_changes=True)) as client:
        response = await client.get(f"/work/{path}")
    assert response.status_code == 400
    assert why in response.text.replace("&#39;", "'")


async def test_many_letters_have_pages_of_the_same_letters(memory, outcome, browser, parsed):
    """Whatever dies meanwhile."""
    await died(memory, outcome, 120)
    async with browser(memory.console()) as client:
        text = (await client.get("/work/letters?page=2")).text
        links = dict(re.findall(r'<a href="(letters\?[^"]*)" rel="(\w+)"', text))
        older = {rel: href.replace("&amp;", "&") for href, rel in links.items()}
        await died(memory, outcome, 5, first=500)
        memory.clock.now += 60
        last = (await client.get(f"/work/{older['next']}")).text
        newest = (await client.get(f"/work/{older['prev']}")).text
        none = (await client.get(f"/work/{older['next'][:-1]}9")).text
    assert len(parsed(text).tables["letters"]) == 51
    assert [row[0] for row in parsed(last).tables["letters"][1:]] == [KEY.format(number) for number in range(20, 0, -1)]
    assert parsed(newest).tables["letters"][1][0] == KEY.format(120)
    assert "This page has none." in none


@pytest.mark.parametrize("act", ["replay", "discard"])
async def test_a_group_is_changed_after_a_question(calls, outcome, browser, act):
    """The count is asked about; then the page says what was done, and for ten seconds how to take it back."""
    await died(calls, outcome, 3)
    await died(calls, outcome, 1, BUSY, first=9)
    async with browser(calls.console(allow_changes=True)) as client:
        text = (await client.get("/work")).text
        address = re.search(rf'href="work/confirm\?(act={act}&amp;group=\w+)"', text)[1].replace("&amp;", "&")
        question = await client.get(f"/work/confirm?{address}")
        assert f"{act.title()} 3 dead letters?" in question.text
        assert len(await calls.store.dead()) == 4
        response = await sent(client, question, act)
        due = repr(calls.clock.now + 1 + UNDO)
        name = dict(fields(question.text))["change"]
        assert told(response) == {"made": act, "count": "3", "of": "3", "due": due, "change": name}
        page = (await client.get(f"/work/{response.headers['location']}")).text
        assert len(await calls.store.dead()) == 1
        assert "3 dead letters" in page
        assert ">Undo<" in page
        calls.clock.now += UNDO + 1
        later = (await client.get(f"/work/{response.headers['location']}")).text
        assert "3 dead letters" in later
        assert ">Undo<" not in later
        calls.clock.now += 60
        assert 'id="made"' not in (await client.get(f"/work/{response.headers['location']}")).text
    assert len(await calls.work()) == (3 if act == "replay" else 0)


@pytest.mark.parametrize("act", ["replay", "discard"])
async def test_a_change_is_taken_back(calls, outcome, browser, act):
    """Also by another worker; later it is too late."""
    await died(calls, outcome, 3)
    before = await calls.store.dead()
    one, other = calls.console(allow_changes=True), calls.console(allow_changes=True)
    async with browser(one) as client, browser(other) as second:
        made = await sent(client, await asked(client, act=act), act)
        page = (await client.get(f"/work/{made.headers['location']}")).text
        second.cookies = client.cookies
        undone = await second.post("/work/undo", data=dict(fields(page)))
        assert told(undone) == {"made": "undone", "count": "3", "of": "3", "due": repr(calls.clock.now + 1)}
        assert await said(client, undone) == "3 dead letters are as before: the change was taken back."
        assert list(await calls.store.dead()) == list(before)


@pytest.mark.parametrize("act", ["replay", "discard"])
async def test_a_question_that_is_answered_twice_has_one_answer(calls, outcome, browser, act):
    """A double click, or a slow network, and another worker: the same page, with its undo while the seconds last."""
    await died(calls, outcome, 3)
    one, other = calls.console(allow_changes=True), calls.console(allow_changes=True)
    async with browser(one) as client, browser(other) as second:
        question = await asked(client, act=act)
        first = await sent(client, question, act)
        second.cookies = client.cookies
        calls.clock.now += 4
        again = await sent(second, question, act)
        assert again.headers["location"] == first.headers["location"]
        page = (await second.get(f"/work/{again.headers['location']}")).text
        assert ">Undo<" in page
        undone = [await second.post("/work/undo", data=dict(fields(page))) for _ in range(2)]
        assert {each.headers["location"] for each in undone} == {undone[0].headers["location"]}
        assert await said(client, undone[1]) == "3 dead letters are as before: the change was taken back."
        assert len(await calls.store.dead()) == 3
        # Whoever goes back to a question and answers it again means it.
        assert told(await sent(client, question, act))["count"] == "3"


async def test_two_answers_at_once_are_one(calls, outcome, browser):
    """Each letter is changed once, and either page takes all of them back."""
    await died(calls, outcome, 3)
    one, other = calls.console(allow_changes=True), calls.console(allow_changes=True)
    async with browser(one) as client, browser(other) as second:
        question = await asked(client)
        second.cookies = client.cookies
        with capture_logs() as written:
            both = await asyncio.gather(sent(client, question), sent(second, question))
        assert {each.headers["location"] for each in both} == {both[0].headers["location"]}
        assert [(line["event"], line["count"]) for line in written] == [("dead_letters.replayed", 3)]
        page = (await client.get(f"/work/{both[0].headers['location']}")).text
        assert told(await client.post("/work/undo", data=dict(fields(page))))["count"] == "3"


async def test_two_answers_at_once_share_what_takes_several_transactions(calls, outcome, browser, monkeypatch):
    """Either takes what the other has not; the last one says how many those are, and takes all of them back."""
    monkeypatch.setattr("ringback.hooks.operators.AT_ONCE", 1)
    await died(calls, outcome, 6)
    ahead = calls.console(allow_changes=True, clock=lambda: calls.clock() + 3)
    async with browser(calls.console(allow_changes=True)) as client, browser(ahead) as second:
        question = await asked(client)
        second.cookies = client.cookies
        with capture_logs() as written:
            both = await asyncio.gather(sent(client, question), sent(second, question))
        assert sum(line["count"] for line in written) == 6
        assert "6" in [told(each)["count"] for each in both]
        undo = {name: told(both[0])[name] for name in ("due", "change")} | {"act": "replay", "of": "6"}
        undo["token"] = dict(fields(question.text))["token"]
        undone = await client.post("/work/undo", data=undo)
        assert await said(client, undone) == "6 dead letters are as before: the change was taken back."


async def test_a_question_that_was_answered_long_ago_changes_nothing(calls, outcome, browser):
    """Also if the letters have died again: the question was about what had died before."""
    await died(calls, outcome, 2)
    async with browser(calls.console(allow_changes=True)) as client:
        text = (await client.get("/work/letters")).text
        form = {"act": "replay", "letter": re.findall(r'name="letter" value="([^"]*)"', text)}
        form["token"] = re.search(r'name="token" value="([^"]*)"', text)[1]
        question = await client.post("/work/confirm", data=form)
        await sent(client, question)
        calls.clock.now += 61
        await calls.kill()
        assert len(await calls.store.dead()) == 2
        again = await sent(client, question)
        assert told(again)["made"] == "gone"
        assert await said(client, again) == (
            "None of 2 dead letters could be changed; this question was answered before, or somebody else has changed "
            "them."
        )
    assert len(await calls.store.dead()) == 2


async def test_a_change_of_fewer_says_of_how_many(calls, outcome, browser):
    """Somebody else was faster with one."""
    await died(calls, outcome, 3)
    async with browser(calls.console(allow_changes=True)) as client:
        question = await asked(client)
        await calls.store.discard(KEY.format(2))
        response = await sent(client, question)
        assert await said(client, response) == (
            "2 of 3 dead letters will be replayed; 1 had been changed by somebody else, or cannot be read."
        )


@pytest.mark.parametrize(
    ("begun", "sentence"),
    [
        (
            2,
            "3 of 5 dead letters are as before: the change was taken back; it was too late for 2: workers had begun "
            "with them, or their discard was final.",
        ),
        (
            5,
            "None of 5 dead letters could be taken back; it was too late: workers have begun with them, or the discard "
            "is final.",
        ),
    ],
)
async def test_an_undo_of_fewer_says_of_how_many(calls, outcome, browser, begun, sentence):
    """A worker that has begun with a letter keeps it; a second undo says the same."""
    await died(calls, outcome, 5)
    async with browser(calls.console(allow_changes=True)) as client:
        made = await sent(client, await asked(client))
        undo = dict(fields((await client.get(f"/work/{made.headers['location']}")).text))
        await begin(calls, begun)
        for _ in range(2):
            assert await said(client, await client.post("/work/undo", data=undo)) == sentence
    assert len(await calls.store.dead()) == 5 - begun


async def test_letters_beyond_those_that_a_page_looks_at_are_told(memory, outcome, browser, monkeypatch):
    """A count that is not of all says of how many."""
    monkeypatch.setattr("ringback.console.reading.LETTERS", 2)
    await died(memory, outcome, 3)
    async with browser(memory.console(allow_changes=True)) as client:
        pages = [(await client.get("/work/letters")).text, (await asked(client)).text]
    assert ["Of the newest 2 of 3 dead letters." in text for text in pages] == [True, True]


async def test_chosen_letters_are_changed(calls, outcome, browser, parsed):
    """Those that were marked, with a private key among them, which is not on the page."""
    await died(calls, outcome, 3)
    await calls.put(outcome(4, *GONE, call="+15550100"))
    await calls.kill()
    async with browser(calls.console(allow_changes=True)) as client:
        text = (await client.get("/work/letters")).text
        assert "15550100" not in text
        boxes = re.findall(r'name="letter" value="([^"]*)"', text)
        token = re.search(r'name="token" value="([^"]*)"', text)[1]
        assert [box.startswith("~") for box in boxes] == [True, False, False, False]
        chosen = {"token": token, "act": "replay", "letter": [*boxes[:2], "~" + "0" * 64, "call:none"]}
        question = await client.post("/work/confirm", data=chosen)
        assert "Replay 2 dead letters?" in question.text
        assert "15550100" not in question.text
        assert len(parsed(question.text).tables["chosen"]) == 3
        assert told(await sent(client, question))["count"] == "2"
        nameless = await client.post("/work/change", data=chosen)
        assert nameless.status_code == 400
        assert "is no name of a question; load the page again, and answer anew" in nameless.text
        none = await client.post("/work/confirm", data={"token": token, "act": "replay"})
        assert (none.status_code, "no letter was chosen" in none.text) == (400, True)
    calls.clock.now += UNDO + 1
    assert sorted(await calls.work()) == ["call:+15550100", KEY.format(3)]


async def test_who_dies_after_the_question_is_not_changed(memory, outcome, browser):
    """The answer is about what was asked."""
    await died(memory, outcome, 2)
    async with browser(memory.console(allow_changes=True)) as client:
        question = await asked(client)
        memory.clock.now += 1
        await died(memory, outcome, 1, first=7)
        response = await sent(client, question)
    assert told(response)["count"] == "2"
    assert [letter.key for letter in await memory.store.dead()] == [KEY.format(7)]


async def test_who_changed_letters_is_in_the_log(memory, outcome, browser):
    """One line for all of them, as the page's auth called the person; and one for the undo. All of it redacted."""
    await died(memory, outcome, 3)
    async with browser(memory.console(auth=lambda _: "ops, +1 555 0100", allow_changes=True)) as client:
        with capture_logs() as written:
            made = await sent(client, await asked(client, "&cause=ended"))
            page = (await client.get(f"/work/{made.headers['location']}")).text
            await client.post("/work/undo", data=dict(fields(page)))
            await client.post("/work/undo", data=dict(fields(page)))
    common = {"log_level": "info", "count": 3, "change": told(made)["change"], "by": "ops, [phone]"}
    assert written == [
        common | {"event": "dead_letters.replayed", "chosen": "cause ended, until 2026-01-01T12:00:02Z"},
        common | {"event": "dead_letters.taken_back"},
    ]


async def test_letters_of_two_stores_are_changed_together(memory, outcome, browser, clock):
    """As they are shown together."""
    other = type(memory)(type(memory.store)(clock=clock), clock)
    await died(memory, outcome, 2)
    await died(other, outcome, 1, first=7)
    console = memory.console(allow_changes=True)
    object.__setattr__(console._desk, "stores", lambda: [memory.store, other.store])
    console._desk.reader._stores = lambda: [memory.store, other.store]
    async with browser(console) as client:
        made = await sent(client, await asked(client))
        assert told(made)["count"] == "3"
        page = (await client.get(f"/work/{made.headers['location']}")).text
        undone = await client.post("/work/undo", data=dict(fields(page)))
    assert told(undone)["count"] == "3"


# Who may, and which forms are the page's own


@pytest.mark.parametrize(("headers", "status"), [
    ({}, 403),
    ({"sec-fetch-site": "same-origin"}, 303),
    ({"sec-fetch-site": "same-site"}, 403),
    ({"sec-fetch-site": "cross-site", "origin": "https://ops.example"}, 403),
    ({"sec-fetch-site": "none"}, 403),
    ({"origin": "https://ops.example"}, 303),
    ({"origin": "https://ops.example:444"}, 403),
    ({"origin": "https://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": "https://["}, 403),
])  # fmt: skip
@pytest.mark.parametrize("path", ["change", "undo", "confirm"])
async def test_a_form_comes_from_the_page_itself(memory, outcome, browser, headers, status, path):
    """As the browser says; one that says nothing is not believed."""
    await died(memory, outcome, 1)
    async with browser(memory.console(allow_changes=True), headers={}) as client:
        form = dict(fields((await asked(client)).text)) | {"act": "replay", "due": "1", "letter": "y"}
        response = await client.post(f"/work/{path}", data=form, headers=headers)
    assert response.status_code == (200 if path == "confirm" and status == 303 else status)


@pytest.mark.parametrize(("changed", "cookies", "status"), [
    ({"token": ""}, None, 403), ({"token": "u" * 43}, None, 403), ({"token": "ü"}, None, 403), ({}, {}, 403),
    ({}, {COOKIE: "short"}, 403), ({"act": "purge"}, None, 400), ({"act": ""}, None, 400),
    ({"letter": "x" * 40_000}, None, 413), ({"code": "x"}, None, 400), ({"until": "nan"}, None, 400),
])  # fmt: skip
async def test_a_form_must_have_the_cookies_token(memory, outcome, browser, changed, cookies, status):
    """And do something that the page offers."""
    await died(memory, outcome, 1)
    async with browser(memory.console(allow_changes=True)) as client:
        form = dict(fields((await asked(client)).text)) | {"act": "replay"}
        if cookies is not None:
            client.cookies = cookies
        response = await client.post("/work/change", data=form | changed)
    assert response.status_code == status
    assert len(await memory.store.dead()) == 1


@pytest.mark.parametrize("path", ["change", "undo", "confirm"])
async def test_a_form_without_fields_does_nothing(memory, outcome, browser, path):
    """A stray POST."""
    await died(memory, outcome, 1)
    async with browser(memory.console(allow_changes=True)) as client:
        await client.get("/work")
        assert (await client.post(f"/work/{path}")).status_code == 403
    assert len(await memory.store.dead()) == 1


@pytest.mark.parametrize(("changed", "status"), [
    ({"due": "x"}, 400), ({"due": "1e300"}, 400), ({"act": "x"}, 400), ({"change": "0" * 16}, 303),
    ({"change": ""}, 303), ({"act": "discard"}, 303),
])  # fmt: skip
async def test_a_forged_undo_takes_nothing_back(memory, outcome, browser, changed, status):
    """Only the store knows which letters a change took."""
    await died(memory, outcome, 1)
    async with browser(memory.console(allow_changes=True)) as client:
        made = await sent(client, await asked(client))
        form = dict(fields((await client.get(f"/work/{made.headers['location']}")).text))
        response = await client.post("/work/undo", data=form | changed)
    assert response.status_code == status
    assert status == 400 or told(response)["made"] == ("undone" if changed == {"act": "discard"} else "late")


@pytest.mark.parametrize("query", [
    "made=replay&count=9&due=x", "made=replay&count=-1&due=1767268805", "made=x&count=1", "count=1",
    "made=replay&count=9&due=1767269800", "made=replay&count=99999999&due=1767268805", "made=replay&count=9",
])  # fmt: skip
async def test_a_forged_address_says_little(memory, browser, query):
    """Nothing was done by it, and what cannot be is not said."""
    async with browser(memory.console(allow_changes=True)) as client:
        response = await client.get(f"/work?{query}")
    assert response.status_code == (400 if "due=x" in query else 200)
    assert 'id="made"' not in response.text


@pytest.mark.parametrize("allowed", [False, lambda _: None])
async def test_a_read_only_page_changes_nothing(memory, outcome, browser, allowed):
    """Also for who has a form of an earlier day."""
    await died(memory, outcome, 1)
    async with browser(memory.console(allow_changes=True)) as writable:
        form = dict(fields((await asked(writable)).text)) | {"act": "discard", "due": "1", "change": "x"}
        async with browser(memory.console(allow_changes=allowed)) as client:
            client.cookies = writable.cookies
            responses = [await client.post(f"/work/{path}", data=form) for path in ("change", "undo", "confirm")]
            responses.append(await asked(client))
            page = (await client.get("/work")).text
            letters = (await client.get("/work/letters")).text
    assert {(each.status_code, each.text) for each in responses} == {(403, "403: this page is read-only for you\n")}
    assert "<form" not in page
    assert 'type="checkbox"' not in letters
    assert "confirm" not in letters
    assert len(await memory.store.dead()) == 1


async def test_a_store_that_fails_meanwhile_is_said_so(memory, outcome, browser):
    """Nobody is told that something was done which was not."""

    class Failing(type(memory.store)):
        async def change_letters(self, keys: Any, change: Any) -> Any:  # noqa: ARG002
            raise StoreUnavailable("disk of +1 555 0100 is full")

        async def take_back(self, change: Any) -> int:  # noqa: ARG002
            raise StoreUnavailable("disk of +1 555 0100 is full")

    failing = type(memory)(Failing(clock=memory.clock), memory.clock)
    _ = failing.store.history
    await died(failing, outcome, 1)
    async with browser(failing.console(allow_changes=True)) as client:
        question = await asked(client)
        response = await sent(client, question)
        undone = await client.post("/work/undo", data=dict(fields(question.text)) | {"act": "replay", "due": "1"})
    why = "and then the store failed: disk of [phone] is full\n"
    assert (response.status_code, response.text) == (503, f"503: 0 dead letters were changed, {why}")
    assert (undone.status_code, undone.text) == (503, f"503: 0 dead letters were taken back, {why}")


@pytest.mark.untraced
async def test_ten_thousand_letters_are_grouped_asked_about_and_changed(memory, outcome, browser, parsed):
    """In pages and in parts; the form has none of their keys."""
    count = 10_000
    for number in range(count):
        await memory.put(outcome(number, *(GONE if number % 2 else BUSY)))

    await memory.work(
        lambda claim: Settlement(State.DEAD, Progress(), reason=f"KeyError: 'customer-{claim.item.key[-9:]}'")
    )
    async with browser(memory.console(allow_changes=True)) as client:
        tables = parsed((await client.get("/work")).text).tables
        assert [row[0] for row in tables["dead-letters"][1:]] == ["5,000", "5,000"]
        question = await asked(client)
        assert "Replay 10,000 dead letters?" in question.text
        assert len(question.text) < 10_000
        made = await sent(client, question)
        page = (await client.get(f"/work/{made.headers['location']}")).text
        undone = await client.post("/work/undo", data=dict(fields(page)))
    assert (told(made)["count"], told(undone)["count"]) == (str(count), str(count))
