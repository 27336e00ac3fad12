"""What a redial programme has reached, as the calls to its contacts tell."""

from __future__ import annotations

from datetime import timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ringback.work.contact import Contact
from ringback.work.contact_call import CallRecord, CallState, Report, Word
from ringback.work.programme import GivenUp, Programme, Share, Tally

NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""
HOUR = 3600.0


def told(*contacts: Contact, since: float = 0.0, hours: int = 0) -> Programme:
    tally = Tally(since, timezone(timedelta(hours=hours)))
    for contact in contacts:
        tally.add(contact)
    return tally.programme()


def own(name: str, at: float, cause: str | None = "busy", **fields: object) -> CallRecord:
    """A call that the app placed itself, and that ended at once."""
    return CallRecord(f"leg:{name}", at, ended_at=at, cause=cause, **fields)  # type: ignore[arg-type]


def redial(name: str, at: float, cause: str | None = "busy", **fields: object) -> CallRecord:
    return CallRecord(f"redial:{name}", at, ended_at=at, cause=cause, **fields)  # type: ignore[arg-type]


ANNE = Contact(
    (
        own("1", NOON),
        redial("1", NOON + HOUR, "no_answer", unrung=True),
        redial("2", NOON + 2 * HOUR, "hung_up", answered_at=NOON + 2 * HOUR),
        own("4", NOON + 3 * HOUR, "busy"),
        CallRecord("redial:4", NOON + 9 * HOUR, state=CallState.PLANNED),
    )
)
BOB = Contact(
    (
        own("1", NOON, None),
        redial("1", NOON + HOUR, "busy", gave_up="max_attempts"),
        CallRecord("redial:2", NOON + HOUR, state=CallState.CANCELED),
    )
)
EVE = Contact(
    (
        own("1", NOON, "hung_up", word=Word.REACHED),
        CallRecord("leg:2", NOON, state=CallState.NOT_OURS),
        own("3", NOON, "no_answer"),
        CallRecord("redial:3", NOON + HOUR, state=CallState.CANCELED, gave_up="may_call"),
    )
)


def test_each_call_counts_by_its_number_its_hour_and_the_cause_before_it() -> None:
    """A call of the app's own is attempt 1, and the redials follow; what is canceled or not the app's is no attempt."""
    assert told(ANNE, BOB, EVE) == Programme(
        since=0.0,
        contacts=3,
        reached=2,
        waiting=1,
        attempts=(Share("1", 5, 1, 0), Share("2", 2, 0, 1), Share("3", 1, 1, 0)),
        given_up=(GivenUp("max_attempts", "busy", 1), GivenUp("may_call", "no_answer", 1)),
        causes=(Share("busy", 1, 0, 1), Share("no_answer", 1, 1, 0), Share("unknown", 1, 0, 0)),
        hours=(Share("12", 4, 1, 0), Share("13", 2, 0, 1), Share("14", 1, 1, 0), Share("15", 1, 0, 0)),
    )


def test_only_calls_since_then_count_by_the_number_that_they_have() -> None:
    """Hours are those of the zone."""
    assert told(ANNE, BOB, EVE, since=NOON + 2 * HOUR, hours=-12) == Programme(
        since=NOON + 2 * HOUR,
        contacts=1,
        reached=1,
        waiting=1,
        attempts=(Share("1", 1, 0, 0), Share("3", 1, 1, 0)),
        given_up=(),
        causes=(Share("no_answer", 1, 1, 0),),
        hours=(Share("02", 1, 1, 0), Share("03", 1, 0, 0)),
    )


def test_a_redial_whose_first_call_is_forgotten_is_the_second() -> None:
    """It cannot be the first, and what came before it is unknown."""
    found = told(Contact((redial("1", NOON),)))
    assert (found.attempts, found.causes) == ((Share("2", 1, 0, 0),), (Share("unknown", 1, 0, 0),))
    assert told() == Programme(0.0)


def test_a_redial_that_may_have_been_placed_counts_when_an_event_tells() -> None:
    """Once: as the redial where the event has its operation context, and else as a call of the app's own."""
    report = Report("leg:a", "a", "id", connected=True, word=None, counts=True)
    first = Contact((own("1", NOON),))
    unknown = first.redial("redial:1", CallState.PLACING, NOON + HOUR, context="id").redial(
        "redial:1", CallState.UNKNOWN, NOON + HOUR
    )
    assert told(unknown).attempts == (Share("1", 1, 0, 0),)
    ours = unknown.noted(report, NOON + HOUR + 1)
    assert told(ours).attempts == (Share("1", 1, 0, 0), Share("2", 1, 1, 0))
    anyones = unknown.noted(replace(report, context=None), NOON + HOUR + 1)
    assert told(anyones).attempts == (Share("1", 2, 1, 0),)


calls = st.builds(
    CallRecord,
    st.tuples(st.sampled_from(["leg:", "redial:"]), st.integers(0, 99)).map(lambda key: f"{key[0]}{key[1]}"),
    st.floats(NOON, NOON + 40 * 86_400.0),
    state=st.sampled_from(CallState),
    answered_at=st.none() | st.just(NOON),
    cause=st.none() | st.sampled_from(["busy", "no_answer"]),
    unrung=st.booleans(),
    gave_up=st.none() | st.just("max_attempts"),
)


@given(st.lists(st.lists(calls, max_size=6).map(lambda each: Contact(tuple(each))), max_size=5))
def test_no_call_is_counted_twice_or_lost(contacts: list[Contact]) -> None:
    """By number and by hour the same calls; by cause those that are redials; in whatever order the contacts come."""
    found = told(*contacts)
    uncounted = (CallState.PLANNED, CallState.CANCELED, CallState.NOT_OURS, CallState.UNKNOWN)
    placed = [call for contact in contacts for call in contact.calls if call.state not in uncounted]
    for shares, counted in (
        (found.attempts, placed),
        (found.hours, placed),
        (found.causes, [call for call in placed if not call.by_app]),
    ):
        assert sum(share.calls for share in shares) == len(counted)
        assert sum(share.reached for share in shares) == sum(call.answered_at is not None for call in counted)
        assert sum(share.unrung for share in shares) == sum(call.unrung for call in counted)
    assert found.reached <= found.contacts <= len(contacts)
    assert told(*reversed(contacts)) == found
