"""Nothing private reaches the page, wherever in a store it stands."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from ringback.console import Console, entries, now
from ringback.console.arrivals import Arrivals
from ringback.console.pages import page
from ringback.console.snapshot import DEFAULT, Hour, Snapshot, WorkSnapshot
from ringback.console.view import shown
from ringback.console.work import view_of as view_of_work
from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import Outcome
from ringback.stores import MemoryStore
from ringback.work.deliveries import LastDelivery
from ringback.work.history import Count, Ended, Pair, Waiting
from ringback.work.items import DeadLetter, Item, Kind, Progress, State, Stats
from ringback.work.programme import GivenUp, Programme, Share
from ringback.work.selection import grouped
from ringback_catalog import Catalog, Cause, Match, ResultCategory, RetryClass

NOON = 1_767_268_800.0

# Each with the part of it that must not be seen.
PRIVATE = st.one_of(
    st.from_regex(r"\A\+1555010[0-9]{1,2}\Z").map(lambda number: (number, number[1:])),
    st.from_regex(r"\A4:\+1555010[0-9]{1,2}\Z").map(lambda number: (number, number[3:])),
    st.from_regex(r"\A8:acs:[0-9a-f]{8}_[0-9a-f]{8}\Z").map(lambda raw: (raw, raw)),
    st.from_regex(r"\Asip:[a-z]{3,8}@example\.com\Z").map(lambda uri: (uri, uri)),
)
AROUND = st.sampled_from(["", " ", "<b>", '"', "&", "to: ", "\n", "</script>"])


def outcome_like(text: str) -> Outcome:
    """With the text wherever a text may stand."""
    verdict = Catalog.default().look_up("CallDisconnected", 486, 560486)
    # The catalog itself refuses a text of several lines.
    line = " ".join(text.split()) or "-"
    entry = dataclasses.replace(verdict.entry, summary=line, advice=(line,))
    told = dataclasses.replace(verdict, entry=entry)
    data = EventData(
        call_connection_id=text, server_call_id=text, correlation_id=text, operation_context=text,
        result_information=Result(486, 560486, text),
    )  # fmt: skip
    return Outcome(Event(type=f"Microsoft.Communication.{text}", id=text, source=text, subject=text, data=data), told)


def store_like(text: str) -> Snapshot:
    """With the text wherever a text may stand."""
    outcome = outcome_like(text)
    pair = Pair(outcome.event_name, 486, 560486, outcome.match, Cause.BUSY, RetryClass.LATER, 3, NOON)
    odd = Pair(text, 1, 2, Match.NONE, Cause.UNKNOWN, RetryClass.AFTER_FIX, 1, NOON)
    busy = Count(NOON - 60, Cause.BUSY, ResultCategory.SUCCESS, RetryClass.LATER, 3)
    return Snapshot(
        range=DEFAULT,
        at=NOON,
        since=DEFAULT.since(NOON),
        counts=(busy,),
        pairs=(pair, odd),
        unknown=(odd,),
        unrecognized=1,
        recent=(busy,),
        hour=Hour(NOON, (busy,) * 3, (pair, odd), 1),
        before=(),
        latest=(
            Ended(
                text, NOON, State.READY, text, 486, 560486, Match.PAIR, Cause.BUSY, ResultCategory.SUCCESS,
                RetryClass.LATER, 1, outcome,
            ),
            Ended(
                text, NOON, State.DONE, text, None, None, Match.NONE, Cause.UNKNOWN, ResultCategory.UNKNOWN,
                RetryClass.NEVER, 1, None,
            ),
        ),
        stats=Stats(dead=1),
    )  # fmt: skip


def work_like(text: str) -> WorkSnapshot:
    """With the text wherever a text may stand."""
    outcome = outcome_like(text)
    failed = Progress(done=(text,), failed={text: text})
    letters = (
        DeadLetter(text, Kind.REDIAL, outcome, 1, text, NOON, failed, text),
        DeadLetter(text, Kind.REDIAL, None, 1, text, NOON, Progress(), text),
    )
    return WorkSnapshot(
        range=DEFAULT,
        at=NOON,
        since=DEFAULT.since(NOON),
        hooks=tuple(Waiting(text, Kind.OUTCOME, State.READY, NOON, 1, each) for each in (outcome, None)),
        redials=(Waiting(text, Kind.REDIAL, State.READY, NOON, 1, outcome, text, text, 2),),
        letters=letters,
        groups=grouped(letters),
        stats=Stats(dead=2),
        programme=Programme(0.0, 1, 0, 0, (Share(text, 1, 0, 0),), (GivenUp(text, text, 1),), (), ()),
    )  # fmt: skip


TOKEN = "t" * 43
CATALOG = Catalog.default()
ARRIVED = shown(now.view_of_deliveries(Arrivals(NOON, 0, (), (), LastDelivery())))


@given(PRIVATE, AROUND, AROUND)
def test_no_number_and_no_id_reaches_the_page(private, left, right):
    """In a message, a source, a contact, a reason, a key, a name: as written, and as escaped."""
    text, hidden = private
    snapshot, work = store_like(left + text + right), work_like(left + text + right)
    around: dict[str, Any] = {"up": "", "token": "t", "stores": 1, "arrived": ARRIVED, "calls": ["calls/~"] * 9}
    pages = (
        (1, page("now.html", view=shown(now.view_of(snapshot, CATALOG)), **around)),
        (2, page("work.html", view=shown(view_of_work(work, TOKEN)), changes=True, undo={}, idle=True, **around)),
        (1, page("catalog.html", view=shown(entries.view_of(snapshot, CATALOG)), **around)),
    )
    for scripts, document in pages:
        assert hidden not in document
        assert "<b>" not in document
        assert document.count("</script>") == scripts


@given(st.text(min_size=6, max_size=40).filter(lambda text: not set(text) <= set("[contact] hash0123456789abcdef")))
def test_a_contact_is_never_shown(contact):
    """A name or an address has no pattern: only a keyed hash is shown, and only its head."""
    assert shown(view_of_work(work_like(contact), TOKEN))["redials"][0]["contact"] == "[contact]"


async def test_what_is_stored_as_it_came_is_not_shown_as_it_came():
    """Over a real store and HTTP: ids of the app's own, a number as a call's id."""
    store = MemoryStore()
    _ = store.history
    number = "+15550100"
    data = EventData(
        call_connection_id=number,
        correlation_id=number,
        operation_context=number,
        result_information=Result(486, 560486, number),
    )
    event = Event(type="Microsoft.Communication.CallDisconnected", id=number, source=f"calling/{number}", data=data)
    outcome = Outcome(event, Catalog.default().look_up("CallDisconnected", 486, 560486))
    await store.put([Item(outcome.outcome_id, Kind.OUTCOME, time.time() + 60, outcome)])
    console = Console(store=store, auth=lambda _: "me", allow_changes=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(console), base_url="http://127.0.0.1") as client:
        texts = [
            (await client.get(path)).text for path in ("/", "/calls", "/work", "/catalog", "/calls.csv", "/calls.json")
        ]
    assert "call:[phone]" in texts[2]
    assert all("15550100" not in text for text in texts)


def test_the_documentation_of_an_override_may_not_be_a_script():
    """Only http and https addresses become links."""
    view = shown(now.view_of(store_like("x"), CATALOG))
    rows = view["failing"]
    assert len(rows) == 2
    assert all(each["documentation"] is None or each["documentation"].startswith("https://") for each in rows)
