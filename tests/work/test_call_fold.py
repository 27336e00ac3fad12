"""What was told of a call is folded into one record: whatever the order, durations are those of the events' times."""

from __future__ import annotations

import json
from itertools import permutations
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from private_texts import PRIVATE
from ringback.core.delivery import Event, EventData, Result
from ringback.core.outcome import Outcome, classify, classify_event
from ringback.work.call_detail import (
    CallDetailRecord,
    EndedLeg,
    Ending,
    Entry,
    EntryKind,
    HookResult,
    HookRun,
    Leg,
    OtherCall,
    StoredItem,
    Traces,
)
from ringback.work.call_fold import _ending, ended_leg, folded
from ringback.work.contact import Contact
from ringback.work.contact_call import CallRecord, CallState
from ringback.work.hook_runs import EXHAUSTED
from ringback.work.items import Progress, State
from ringback.work.told import Told, told_by
from ringback_catalog import Cause, Disposition

A, B = "1f0e5c1a-0000-4000-8000-000000000001", "1f0e5c1a-0000-4000-8000-000000000002"
CALL = "1f0e5c1a-0000-4000-8000-00000000000c"
START = 1_768_469_400.0
"""2026-01-15 09:30:00 UTC."""


Durations: TypeAlias = "list[tuple[bool | None, float | None, float | None]]"
"""Of each leg: whether somebody answered, the ring time, the talk time."""


def event(
    name: str,
    second: float | None,
    leg: str | None = A,
    code: int | None = 200,
    subcode: int | None = 0,
    number: int = 0,
) -> Event:
    """An event of the call, so many seconds after half past nine."""
    time = None if second is None else f"2026-01-15T09:{30 + int(second // 60):02}:{second % 60:09.6f}+00:00"
    result = None if code is None else Result(code, subcode)
    data = EventData(call_connection_id=leg, correlation_id=CALL, result_information=result)
    return Event(f"Microsoft.Communication.{name}", f"{name}-{leg}-0", time=time, data=data)


def note(name: str, second: float | None, leg: str | None = A, at: float = START, **result: Any) -> Told:
    return told_by(event(name, second, leg, **result), at)


def ended(*events: Event, at: float = START, **fields: Any) -> StoredItem:
    """The item of an end, as a store has it after these reports."""
    outcomes = [outcome for each in events if (outcome := classify_event(each)) is not None]
    best = outcomes[0]
    for other in outcomes[1:]:
        best = best.merged_with(other)
    told = tuple(told_by(each, at) for each in events)
    entry = best.verdict.entry
    given: dict[str, Any] = {
        "told": told,
        "code": best.code,
        "subcode": best.subcode,
        "match": best.match,
        "cause": entry.cause,
        "category": entry.category,
        "retry": entry.retry,
        "owner": entry.owner,
        "verdict": best.verdict,
    }
    given |= {"progress": Progress(), **fields}
    return StoredItem(best.outcome_id, at, State.DONE, best.event_name, 1, **given)


def record(*told: Told, items: tuple[StoredItem, ...] = (), **known: Any) -> CallDetailRecord:
    found = folded(Traces(told, items, **known))
    assert found is not None
    return found


def durations(found: CallDetailRecord) -> Durations:
    return [(leg.answered, leg.ring_seconds, leg.talk_seconds) for leg in found.legs]


HUNG_UP = event("CallDisconnected", 44.25, subcode=560000)
BUSY = event("CallDisconnected", 20.5, code=486, subcode=560486)
SCENARIOS: dict[str, tuple[tuple[Told, ...], tuple[StoredItem, ...], Durations]] = {
    "answered": ((note("CallConnected", 2.5),), (ended(HUNG_UP),), [(True, None, 41.75)]),
    "incoming, answered": (
        (note("IncomingCall", 0.25, None), note("CallConnected", 2.5)),
        (ended(HUNG_UP),),
        [(True, 2.25, 41.75)],
    ),
    "incoming, never answered": (
        (note("IncomingCall", 0.0, None),),
        (ended(event("CallDisconnected", 31.5, code=487, subcode=540487)),),
        [(False, 31.5, None)],
    ),
    "transferred": (
        (note("CallConnected", 2.0), note("CallTransferAccepted", 12.0)),
        (ended(event("CallDisconnected", 13.5), duplicates=1),),
        [(True, None, 11.5)],
    ),
    "two legs": (
        (note("CallConnected", 2.0), note("CallConnected", 5.0, B)),
        (ended(event("CallDisconnected", 62.0)), ended(event("CallDisconnected", 62.037, B))),
        [(True, None, 60.0), (True, None, 57.037)],
    ),
    "one of two legs still talks": (
        (note("CallConnected", 2.0), note("CallConnected", 5.0, B)),
        (ended(event("CallDisconnected", 9.0)),),
        [(True, None, 7.0), (True, None, None)],
    ),
    "never connected": ((), (ended(BUSY),), [(False, None, None)]),
    "never created": (
        (),
        (ended(event("CallDisconnected", 1.5, code=403), event("CreateCallFailed", 1.0, code=403)),),
        [(False, None, None)],
    ),
    "reordered": (
        (note("CallConnected", 2.5, at=START + 90),),
        (ended(HUNG_UP, at=START + 10),),
        [(True, None, 41.75)],
    ),
    "no CallConnected seen": ((), (ended(HUNG_UP),), [(True, None, None)]),
    "no CallConnected seen, and a fault": (
        (),
        (ended(event("CallDisconnected", 9.0, code=500, subcode=560500)),),
        [(None, None, None)],
    ),
    "no result": (
        (note("CallConnected", 2.0),),
        (ended(event("CallDisconnected", 4.0, code=None)),),
        [(True, None, 2.0)],
    ),
    "no times of the events": (
        (note("CallConnected", None, at=START + 1),),
        (ended(event("CallDisconnected", None), at=START + 4),),
        [(True, None, 3.0)],
    ),
    "the clock of the service went back": (
        (note("CallConnected", 9.0),),
        (ended(event("CallDisconnected", 8.0)),),
        [(True, None, 0.0)],
    ),
    "a leg without an id": (
        (note("IncomingCall", 1.0, None),),
        (ended(event("CallDisconnected", 9.0, None)),),
        [(True, 8.0, None)],
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_durations_are_those_of_the_events_own_times(name: str) -> None:
    """In whatever order the events came."""
    told, items, expected = SCENARIOS[name]
    for some in permutations(told):
        for others in permutations(items):
            assert durations(record(*some, items=tuple(others))) == expected


def test_a_record_has_what_was_told_in_its_order() -> None:
    """Each event once, with how often it came again; the sibling of an end, verdict and evidence; hooks."""
    played = note("PlayFailed", 3.0, code=400, subcode=8535)
    operation = StoredItem("event:p", START, State.DONE, "PlayFailed", 1, Progress(done=("jobs.play",)))
    end = ended(
        event("CallDisconnected", 20.25, code=486, subcode=560486),
        event("CreateCallFailed", 20.0, code=486, subcode=560486),
        progress=Progress(done=("jobs.again",), tries={"jobs.again": 1}),
        duplicates=2,
    )
    end = replace(end, told=(replace(end.told[0], sip=486, q850=17, refined_by="q850"), end.told[1]))
    connected = note("CallConnected", 2.0)
    found = record(
        replace(played, key="event:p"),
        connected,
        replace(connected, at=START + 9),
        items=(operation, end),
        contact="bob",
    )
    failed = end.verdict
    assert failed is not None
    entries = (
        Entry(EntryKind.CONNECTED, "CallConnected", START, START + 2.0, f"CallConnected-{A}-0", copies=1),
        Entry(
            EntryKind.OPERATION_FAILED,
            "PlayFailed",
            START,
            START + 3.0,
            f"PlayFailed-{A}-0",
            400,
            8535,
            hooks=(HookRun("jobs.play", HookResult.RETURNED, 1),),
        ),
        Entry(EntryKind.ENDED, "CreateCallFailed", START, START + 20.0, f"CreateCallFailed-{A}-0", 486, 560486),
        Entry(
            EntryKind.SIBLING,
            "CallDisconnected",
            START,
            START + 20.25,
            f"CallDisconnected-{A}-0",
            486,
            560486,
            486,
            17,
        ),
    )
    assert end.event == "CreateCallFailed"
    assert found == CallDetailRecord(
        CALL,
        (
            Leg(
                A,
                CALL,
                None,
                entries,
                Ending(
                    "CreateCallFailed",
                    486,
                    560486,
                    failed.match,
                    Cause.BUSY,
                    failed.entry.category,
                    failed.entry.retry,
                    Disposition.RETRYABLE,
                    failed.entry.owner,
                    summary=failed.entry.summary,
                    advice=failed.entry.advice,
                ),
                connected_at=START + 2.0,
                ended_at=START + 20.0,
                answered=True,
                talk_seconds=18.0,
                state=State.DONE,
                seen_at=START,
                duplicates=2,
                hooks=(HookRun("jobs.again", HookResult.RETURNED, 2),),
            ),
        ),
        contact="bob",
    )
    assert found.leg(A) is found.legs[0]
    assert found.leg(B) is None


def test_a_transferred_leg_says_so() -> None:
    """And a leg that was not, does not."""
    told = note("CallConnected", 2.0), note("CallTransferAccepted", 9.0), note("CallConnected", 9.5, B)
    assert [leg.transferred for leg in record(*told).legs] == [True, False]


def test_the_end_of_a_whole_call_belongs_to_no_leg() -> None:
    """It is a leg of its own only where no leg has an end; IncomingCall and CallStarted never are."""
    incoming, started = note("IncomingCall", 0.0, None), note("CallStarted", 0.5, None)
    whole = ended(event("CallEnded", 30.0, None, code=None))
    alone = record(incoming, started, items=(whole,))
    assert [(leg.call_connection_id, leg.ended_at) for leg in alone.legs] == [(None, START + 30.0)]
    assert [entry.kind for entry in alone.entries] == [EntryKind.INCOMING, EntryKind.STARTED]
    yielded = replace(whole, cause=None, state=State.CANCELED)
    both = record(incoming, started, items=(yielded, ended(event("CallDisconnected", 29.0))))
    assert [leg.call_connection_id for leg in both.legs] == [A]
    assert [entry.event for entry in both.entries] == ["IncomingCall", "CallStarted", "CallEnded"]


def test_an_end_whose_reason_comes_late_has_that_verdict() -> None:
    """The hooks of both items are the leg's."""
    first = ended(event("CallDisconnected", 9.0, code=None), progress=Progress(done=("a",)))
    silent = replace(first, cause=None)
    late = ended(event("CreateCallFailed", 8.0, code=486, subcode=560486), progress=Progress(done=("b",)))
    late = replace(late, key=f"call:{A}/informed")
    for items in permutations((silent, late)):
        (leg,) = record(items=tuple(items)).legs
        assert leg.ending is not None
        assert (leg.ending.cause, [run.hook for run in leg.hooks]) == (Cause.BUSY, ["a", "b"])


def test_nothing_is_known_of_nothing() -> None:
    """And of a redial alone."""
    assert folded(Traces()) is None
    waiting = StoredItem(f"redial:call:{A}", START, State.READY, "CallDisconnected", 0, Progress())
    assert folded(Traces(items=(waiting,))) is None


def test_a_policy_that_allows_no_further_call_makes_the_end_terminal() -> None:
    """As the hooks were told."""
    (leg,) = record(items=(ended(BUSY, progress=Progress(done=(EXHAUSTED,))),)).legs
    assert leg.ending is not None
    assert leg.ending.disposition is Disposition.TERMINAL


def test_the_calls_before_and_after_this_one() -> None:
    """Redials are counted from the last call that the app placed itself, this one included."""
    calls = (
        CallRecord("redial:0", START - 900, "z", ended_at=START - 890, cause="busy"),
        CallRecord("leg:y", START - 600, "y", ended_at=START - 590, cause="busy"),
        CallRecord("redial:1", START - 300, state=CallState.CANCELED),
        CallRecord("redial:2", START, A, CallState.CONNECTED, answered_at=START + 2),
        CallRecord("redial:3", START + 900, state=CallState.PLANNED),
    )
    found = record(note("CallConnected", 2.0), contact="bob", known=Contact(tuple(reversed(calls))))
    assert found.redials == 1
    assert [(call.at, call.is_redial) for call in found.before] == [
        (START - 900, True),
        (START - 600, False),
        (START - 300, True),
    ]
    assert found.after == (OtherCall(START + 900, CallState.PLANNED, True),)
    assert record(note("CallConnected", 2.0), contact="bob", known=Contact(calls[:2])).redials is None


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_line_of_an_end_says_what_the_record_says(name: str) -> None:
    """Of each leg that has ended, with and without a store that has the end."""
    told, items, _ = SCENARIOS[name]
    found = record(*told, items=items)
    for item in items:
        leg = item.told[0].leg
        known = found.leg(leg)
        assert known is not None
        events = [
            event(each.event, each.time and each.time - START, leg, each.code, each.subcode) for each in item.told
        ]
        outcomes = [outcome for each in events if (outcome := classify_event(each)) is not None]
        outcome = outcomes[0] if len(outcomes) == 1 else outcomes[0].merged_with(outcomes[1])
        others = tuple(each for each in items if each is not item)
        for kept in (items, others):
            said = ended_leg(outcome, Traces(told, kept), item.at)
            assert said == EndedLeg(
                CALL,
                leg,
                known.operation_context,
                known.connected_at,
                known.ended_at or 0.0,
                known.answered,
                known.ring_seconds,
                known.talk_seconds,
                known.transferred,
                found.legs.index(known) + 1,
                len(found.legs),
                None,
            )


def test_the_line_of_an_end_counts_redials() -> None:
    """And has the context that CreateCallFailed lacks."""
    outcome = classify_event(HUNG_UP)
    assert outcome is not None
    known = Contact((CallRecord("leg:y", START - 9, "y"), CallRecord("redial:1", START, A)))
    told = replace(note("CallConnected", 4.0), context="order-1")
    said = ended_leg(outcome, Traces((told,), known=known), START)
    assert (said.redials, said.operation_context, said.talk_seconds) == (1, "order-1", 40.25)
    nowhere = ended_leg(classify("CallDisconnected", 486, 560486), Traces(), START)
    assert (nowhere.call_connection_id, nowhere.ended_at, nowhere.legs) == (None, START, 1)


WHERE = ("context", "leg", "call", "hook", "reason", "contact")
"""Where a sender or an app may put a private text."""


def outcome_of(context: str, leg: str, call: str) -> Outcome:
    data = EventData(call_connection_id=leg, correlation_id=call, operation_context=context)
    found = classify_event(Event("Microsoft.Communication.CallDisconnected", context, data=data))
    assert found is not None
    return found


@given(
    st.sampled_from([text for text, _ in PRIVATE]),
    st.sampled_from(["context", "leg", "call", "hook", "reason", "contact"]),
)
def test_no_private_text_is_shown_of_a_record(private: str, where: str) -> None:
    """Neither in its dictionary nor in its repr, wherever a sender or an app has put it."""
    text = dict.fromkeys(WHERE, "x") | {where: private}
    item = ended(BUSY)
    end = outcome_of(text["context"], text["leg"], text["call"]).event
    told = told_by(end, START)
    item = replace(
        item,
        told=(told,),
        contact=text["contact"],
        reason=text["reason"],
        progress=Progress(failed={text["hook"]: text["reason"]}),
    )
    known = Contact((CallRecord("leg:1", START, told.leg), CallRecord("leg:2", START + 1, text["leg"])))
    found = record(items=(item,), contact=text["contact"], known=known)
    for shown in (json.dumps(found.to_dict(), ensure_ascii=False), repr(found), repr(found.legs[0])):
        assert private not in shown


def test_an_end_of_an_earlier_release_has_no_verdict() -> None:
    """Its row has no columns of one."""
    row: Any = SimpleNamespace(cause=None, retry=None, category=None, match=None)
    assert _ending(row, ()) is None


def test_a_leg_is_shown_as_its_dictionary() -> None:
    """A repr ends up in logs, and the dictionary is redacted."""
    (leg,) = record(items=(ended(BUSY),)).legs
    assert repr(leg) == f"<Leg {leg.to_dict()}>"
