"""What is known of a contact: which calls count, and what the app has said of further ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reports import DECLINED, MISSED, NOW, answered, report
from ringback import RedialPolicy
from ringback.work.contact import Contact
from ringback.work.contact_call import LONGEST_WINDOW, UNSEEN, CallRecord, CallState, PastCall
from ringback.work.obstacle import obstacle

if TYPE_CHECKING:
    from ringback.work.contact_call import Report

POLICY = RedialPolicy()
PLACED, PLACING, PLANNED, ENDED = CallState.PLACED, CallState.PLACING, CallState.PLANNED, CallState.ENDED


def words(known: Contact, ended: Report, *, now: float = NOW, redial: str | None = None) -> str | None:
    return obstacle(known, POLICY, ended, now=now, redial=redial)


def legs(known: Contact) -> list[str | None]:
    return [call.leg for call in known.calls]


# Cancellations


def test_a_cancellation_counts_what_it_prevents_and_holds_for_calls_that_nobody_has_seen() -> None:
    """Planned or not: an end that settles, a redial that waits, a call that still rings."""
    known = Contact().redial("redial:a", PLANNED, NOW + 60).noted(report("b"), NOW)
    canceled, keys, count = known.canceled(NOW + 0.5)
    assert (keys, count) == (("redial:a",), 2)
    assert [call.state for call in canceled.calls] == [CallState.CANCELED, ENDED]
    assert words(canceled, report("b")) == "the app has canceled the redials of the contact"
    rang = canceled.noted(report("c"), NOW + 0.5 + UNSEEN)
    assert words(rang, report("c")) == "the app has canceled the redials of the contact"
    later = canceled.noted(report("d"), NOW + 1 + UNSEEN)
    assert words(later, report("d")) is None
    assert canceled.canceled(NOW + 1)[1:] == ((), 0)


def test_a_contact_is_barred_until_it_is_allowed() -> None:
    """What waits is canceled as well. A store forgets the contact only when it is allowed again."""
    known = Contact().redial("redial:a", PLANNED, NOW + 60).noted(report("b"), NOW)
    barred, keys, count = known.barred(NOW)
    assert (barred, keys, count) == (replace(known.canceled(NOW)[0], never=True), ("redial:a",), 2)
    assert barred.barred(NOW)[2] == 0
    assert barred.recent(NOW + 2 * LONGEST_WINDOW).never
    assert barred.allowed() == (known.canceled(NOW)[0], (), 1)
    assert known.allowed() == (known, (), 0)
    assert barred.changed_at(NOW) > NOW + 1000 * LONGEST_WINDOW


def test_a_contact_is_remembered_for_as_long_as_its_redial_waits() -> None:
    """A delay may be longer than the memory of calls."""
    due_at = NOW + 2 * LONGEST_WINDOW
    known = Contact().noted(report("b"), NOW).redial("redial:a", PLANNED, due_at)
    assert known.changed_at(NOW) == due_at
    assert known.canceled(NOW)[0].changed_at(NOW) == NOW


def test_what_was_decided_is_not_prevented() -> None:
    known = Contact().noted(report("a"), NOW).decided(report("a"))
    assert known.decided(report("a")) == known
    assert known.canceled(NOW)[2] == 0


def test_who_was_reached_gets_none_of_the_redials_that_wait() -> None:
    known = Contact((CallRecord("leg:a", NOW, "a", ENDED, NOW),)).redial("redial:a", PLANNED, NOW + 60)
    after, keys = known.closed()
    assert keys == ("redial:a",)
    assert (after.planned, after.times()) == ((), [NOW])


# Which call a report is of


def test_a_call_that_a_redial_has_placed_counts_once() -> None:
    """Whether the function told the leg, before or after the call's events, or not at all."""
    waits = Contact().redial("redial:a", PLANNED, NOW).redial("redial:a", PLACING, NOW + 1, context="request-1")
    told = waits.redial("redial:a", PLACED, NOW + 2, leg="b").noted(report("b"), NOW + 9)
    late = waits.noted(report("b"), NOW + 2).redial("redial:a", PLACED, NOW + 3, leg="b")
    untold = waits.redial("redial:a", PLACED, NOW + 2).noted(report("b"), NOW + 9)
    silent = Contact().redial("redial:a", PLACING, NOW + 1)
    both = silent.noted(report("b"), NOW + 2).redial("redial:a", PLACED, NOW + 3)
    by_context = waits.noted(report("b", context="request-1"), NOW + 2).redial("redial:a", PLACED, NOW + 3)
    for known in (told, late, untold, both, by_context):
        assert [(call.key, call.leg, call.state) for call in known.calls] == [("redial:a", "b", CallState.OPEN)]


def test_while_a_redial_function_runs_its_own_call_is_known_by_the_context_alone() -> None:
    """Another call's end would ask for a redial while the contact rings, so the doubt ends the attempts."""
    end = report("b", context="request-1")
    for context, said in ((None, "another call to the contact is in progress"), ("request-1", None)):
        runs = Contact().redial("redial:a", PLACING, NOW, context=context)
        assert words(runs.noted(end, NOW + 1), end) == said


def test_a_redial_that_was_not_placed_stands_for_no_call() -> None:
    """Three calls are three, also if a redial function has asked to be called again in between."""
    known = Contact().noted(report("a"), NOW).redial("redial:a", PLANNED, NOW + 1).redial("redial:a", PLACING, NOW + 1)
    again = known.redial("redial:a", PLANNED, NOW + 60)
    other = again.noted(report("x"), NOW + 10)
    placed = other.redial("redial:a", PLACING, NOW + 60).redial("redial:a", PLACED, NOW + 61, leg="b")
    assert legs(placed) == ["a", "b", "x"]
    assert legs(placed.noted(report("b"), NOW + 90)) == ["a", "b", "x"]


def test_a_redial_that_gave_up_counts_no_more() -> None:
    known = Contact().redial("redial:a", PLACING, NOW).redial("redial:a", CallState.CANCELED, NOW + 1)
    assert known.times() == []


def test_another_leg_than_the_context_told_is_the_function_s_word() -> None:
    known = Contact().redial("redial:a", PLACING, NOW, context="request-1").noted(report("b", context="request-1"), NOW)
    assert known.redial("redial:a", PLACED, NOW + 1, leg="b") is known
    assert legs(known.redial("redial:a", PLACED, NOW + 1, leg="c")) == ["b", "c"]


def test_a_leg_that_two_redials_tell_is_the_first_one_s() -> None:
    """The second was placed, and has told no leg of its own."""
    known = Contact().redial("redial:a", PLACED, NOW, leg="b").redial("redial:c", PLACED, NOW + 1, leg="b")
    assert [(call.key, call.state, call.leg) for call in known.calls] == [
        ("redial:a", PLACED, "b"),
        ("redial:c", PLACED, None),
    ]


def test_a_report_without_a_leg_is_of_a_call_of_its_own() -> None:
    known = Contact().redial("redial:a", PLACED, NOW).noted(report(None), NOW + 1)
    assert legs(known) == [None, None]


def test_a_call_of_theirs_is_no_call_to_them() -> None:
    known = Contact().noted(report("a", MISSED, "AnswerFailed"), NOW)
    assert known.times() == []


def test_calls_of_long_ago_count_no_more() -> None:
    known = Contact().noted(report("a", DECLINED), NOW).noted(report("b"), NOW + 10)
    assert known.recent(NOW + LONGEST_WINDOW - 1) is known
    assert known.recent(NOW + LONGEST_WINDOW + 5) == Contact(known.calls[1:])


def test_a_redial_that_begins_again_is_another_call_than_the_one_an_event_has_told_of() -> None:
    known = Contact().redial("redial:a", PLACING, NOW, context="request-1")
    told = known.noted(report("b", context="request-1"), NOW + 1)
    assert legs(told.redial("redial:a", PLANNED, NOW + 60)) == ["b", None]


LEGS = st.sampled_from("abcd")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ends"), LEGS),
        st.tuples(st.just("answers"), LEGS),
        st.tuples(st.just("places"), LEGS, st.sampled_from(["told", "untold", "context"])),
        st.tuples(st.just("refused"), LEGS),
    ),
    max_size=12,
)


@given(STEPS)
def test_no_call_that_was_placed_goes_uncounted(steps: list[tuple[str, ...]]) -> None:
    """In any order of events and returns: as many calls count as there were legs, or more, never fewer."""
    known, seen = Contact(), set[str]()
    for number, (what, leg, *how) in enumerate(steps):
        now = NOW + number
        context = f"request-{leg}"
        if what == "ends":
            known = known.noted(report(leg, context=context if how == ["context"] else None), now)
        elif what == "answers":
            known = known.noted(answered(leg), now)
        else:
            key = f"redial:{number}"
            known = known.redial(key, PLACING, now, context=context if how == ["context"] else None)
            if what == "refused":
                known = known.redial(key, PLANNED, now + 100)
                known = known.redial(key, CallState.CANCELED, now)
                continue
            known = known.redial(key, PLACED, now, leg=leg if how == ["told"] else None)
        if what in ("ends", "answers") or how == ["told"]:
            seen.add(leg)
        assert seen <= {call.leg for call in known.calls}
        assert len(known.times()) >= len(seen)
        assert known.times() == sorted(known.times())


# What rang, and when


def test_an_attempt_that_never_left_is_counted_apart() -> None:
    """Also where the end of the call tells nothing of it, before or after."""
    throttled, end = report("a", (429, 0), "CreateCallFailed"), report("a", (429, 0))
    for reports in ([throttled], [throttled, end], [end, throttled], [throttled, throttled]):
        known = Contact().redial("redial:1", PLACED, NOW, leg="a").noted(report("b"), NOW - 5)
        for each in reports:
            known = known.noted(each, NOW + 1)
        assert (known.times(), known.times(unrung=True)) == ([NOW - 5], [NOW])
        assert known.unanswered == [NOW - 5]
    told = known.noted(report("a"), NOW + 2)
    assert (told.times(), told.times(unrung=True)) == ([NOW - 5, NOW], [])


def test_unanswered_are_calls_to_the_contact_that_have_ended() -> None:
    """Not those that were answered, still ring, wait, or that the contact made."""
    known = Contact().noted(report("a"), NOW).noted(report("b", MISSED, "AnswerFailed"), NOW + 1)
    known = known.noted(answered("c"), NOW + 2).redial("redial:1", PLACED, NOW + 3).redial("redial:2", PLANNED, NOW + 9)
    assert known.unanswered == [NOW]


def test_the_history_is_of_calls_that_were_placed() -> None:
    """The earliest first, without the redial that asks, and without what was planned or canceled."""
    known = Contact().noted(answered("c"), NOW + 2).noted(report("c", (200, 560000)), NOW + 60)
    known = known.redial("redial:1", PLACED, NOW - 30, leg="r").noted(report("r"), NOW - 9)
    known = known.redial("redial:2", PLANNED, NOW + 90).redial("redial:3", CallState.CANCELED, NOW + 80)
    known = known.redial("redial:4", PLACING, NOW + 70)
    assert known.history("redial:4") == (
        PastCall(NOW - 30, None, NOW - 9, is_redial=True),
        PastCall(NOW + 2, NOW + 2, NOW + 60, is_redial=False),
    )
    assert len(known.history("none")) == 3


def test_a_replay_that_is_taken_back_leaves_the_redial_dead() -> None:
    """Only one that waits: what was placed, or canceled meanwhile, stays so."""
    dead = Contact().redial("redial:1", CallState.CANCELED, NOW)
    waits = dead.replayed("redial:1", NOW + 9)
    assert waits.call("redial:1") == CallRecord("redial:1", NOW + 9, state=PLANNED)
    assert waits.taken_back("redial:1") == Contact((CallRecord("redial:1", NOW + 9, state=CallState.CANCELED),))
    placed = Contact().redial("redial:1", PLACED, NOW)
    for known in (dead, placed, Contact()):
        assert known.taken_back("redial:1") is known
