"""What is known of a contact, and when it stands in the way of another call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import RedialPolicy
from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import classify_event
from ringback.work.contact import LONGEST_CALL, UNSEEN, CallRecord, CallState, Contact
from ringback.work.obstacle import obstacle
from ringback.work.redial_policy import LONGEST_WINDOW
from ringback.work.report import Report, Word, report_of

if TYPE_CHECKING:
    from ringback.core.outcome import Outcome

NOW = 1_700_000_000.0
POLICY = RedialPolicy(rest_after_answer=3600, rest_after_refusal=86_400)
DAY = 86_400.0

BUSY, DECLINED, HUNG_UP, MISSED = (486, 560486), (603, 560603), (200, 560000), (487, 10004)
PLACED, PLACING, PLANNED, ENDED = CallState.PLACED, CallState.PLACING, CallState.PLANNED, CallState.ENDED


def outcome(
    leg: str | None, result: tuple[int, int], name: str = "CallDisconnected", context: str | None = None
) -> Outcome:
    data = EventData(call_connection_id=leg, operation_context=context, result_information=Result(*result))
    classified = classify_event(Event(type=f"Microsoft.Communication.{name}", id=f"{name}-{leg}", data=data))
    assert classified is not None
    return classified


def report(
    leg: str | None, result: tuple[int, int] = BUSY, name: str = "CallDisconnected", context: str | None = None
) -> Report:
    found = report_of(outcome(leg, result, name, context))
    assert found is not None
    return found


def answered(leg: str, context: str | None = None) -> Report:
    return report(leg, (200, 0), "CallConnected", context)


def words(known: Contact, ended: Report, *, now: float = NOW, redial: str | None = None) -> str | None:
    return obstacle(known, POLICY, ended, now=now, redial=redial)


def legs(known: Contact) -> list[str | None]:
    return [call.leg for call in known.calls]


@pytest.mark.parametrize(
    ("told", "word", "counts"),
    [
        pytest.param(outcome("a", BUSY), Word.ASKS, True, id="busy"),
        pytest.param(outcome("a", (200, 0), "CallConnected"), None, True, id="connected"),
        pytest.param(outcome("a", BUSY, "CallConnected"), None, True, id="connected-whatever-it-reports"),
        pytest.param(outcome("a", HUNG_UP), Word.REACHED, True, id="hung-up"),
        pytest.param(outcome("a", DECLINED), Word.REFUSED, True, id="declined"),
        pytest.param(outcome("a", (404, 560404)), Word.REFUSED, True, id="no-such-number"),
        pytest.param(outcome("a", (608, 0)), Word.BLOCKED, True, id="blocked"),
        pytest.param(outcome("a", (487, 0), "CreateCallFailed"), Word.STOPPED, True, id="canceled-by-the-app"),
        pytest.param(outcome("a", (403, 0), "CreateCallFailed"), Word.STOPPED, True, id="forbidden"),
        pytest.param(outcome("a", MISSED, "AnswerFailed"), None, False, id="they-had-called"),
        pytest.param(outcome("a", (400, 8510)), None, True, id="an-operation-of-a-call-that-was-placed"),
    ],
)
def test_what_an_event_reports(told: Outcome, word: Word | None, counts: bool) -> None:
    connected = told.event_name == "CallConnected"
    cause = None if connected else told.cause.value
    assert report_of(told) == Report("leg:a", "a", None, connected, word, counts, cause=cause)


def test_an_operation_and_the_mere_end_of_a_whole_call_report_nothing() -> None:
    assert report_of(outcome("a", (400, 8536), "PlayFailed")) is None
    whole = classify_event(Event(type="Microsoft.Communication.CallEnded", data=EventData(correlation_id="call")))
    assert whole is not None
    assert report_of(whole) is None


# What stands in the way


def test_nothing_stands_in_the_way_of_a_call_that_was_busy() -> None:
    known = Contact().noted(report("a"), NOW)
    assert known == Contact((CallRecord("leg:a", NOW, "a", CallState.OPEN, NOW, word=Word.ASKS, cause="busy"),))
    assert words(known, report("a")) is None


def test_an_answer_after_the_end_is_in_the_way_however_late_the_redial_is_planned() -> None:
    known = Contact().noted(report("a"), NOW).noted(answered("b"), NOW + 0.3)
    assert words(known, report("a"), now=NOW + 30 * DAY) == "the contact was reached by another call"


def test_a_conversation_is_in_the_way_of_a_call_that_was_busy_meanwhile() -> None:
    known = Contact().noted(answered("b"), NOW - 2 * 3600).noted(report("a"), NOW)
    assert words(known, report("a")) == "another call to the contact is in progress"
    ended = known.noted(report("b", HUNG_UP), NOW + 1)
    assert words(ended, report("a")) == "the contact was reached by another call"


def test_a_call_that_ends_after_the_rest_may_be_followed_by_another() -> None:
    talked = Contact().noted(answered("b"), NOW).noted(report("b", HUNG_UP), NOW + 60)
    for after, allowed in ((3600, False), (3661, True)):
        known = talked.noted(report("a"), NOW + after)
        assert (words(known, report("a"), now=NOW + after) is None) is allowed


def test_a_refusal_is_in_the_way_for_the_rest_that_the_policy_gives() -> None:
    refused = Contact().noted(report("b", DECLINED), NOW)
    for after, reason in ((10, "a call to the contact was refused"), (DAY + 1, None)):
        known = refused.noted(report("a"), NOW + after)
        assert words(known, report("a"), now=NOW + after) == reason
    assert POLICY.rests == (3600, DAY)
    assert RedialPolicy(window=DAY).rests == (3600, DAY)


def test_a_network_that_blocks_is_in_the_way_as_a_refusal_is() -> None:
    known = Contact().noted(report("b", (608, 0)), NOW).noted(report("a"), NOW + 10)
    assert words(known, report("a")) == "a network blocks calls to the contact"


def test_a_failure_for_good_is_in_the_way_of_calls_that_ended_before() -> None:
    before = Contact().noted(report("a"), NOW).noted(report("b", (403, 0), "CreateCallFailed"), NOW + 1)
    assert words(before, report("a")) == "another call to the contact has ended for good"
    after = before.noted(report("c"), NOW + 2)
    assert words(after, report("c")) is None


def test_the_leg_that_had_reached_the_contact_and_was_lost_may_be_called_again() -> None:
    """And so may the redial that follows, if nobody answers it."""
    known = Contact().noted(answered("a"), NOW).noted(report("a", (500, 560500)), NOW + 30)
    assert words(known, report("a")) is None
    again = known.noted(report("b"), NOW + 60)
    assert words(again, report("b")) is None


@pytest.mark.parametrize(
    ("state", "longest"), [(PLACING, UNSEEN), (PLACED, UNSEEN), (CallState.CONNECTED, LONGEST_CALL)]
)
def test_a_call_in_progress_is_in_the_way_until_it_must_be_over(state: CallState, longest: float) -> None:
    known = Contact((CallRecord("redial:b", NOW, "b", state),)).noted(report("a"), NOW + 1)
    assert words(known, report("a"), now=NOW + longest - 1) == "another call to the contact is in progress"
    assert words(known, report("a"), now=NOW + longest) is None
    assert words(known, report("a"), now=NOW + 1, redial="redial:b") is None


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


def test_what_was_decided_is_not_prevented() -> None:
    known = Contact().noted(report("a"), NOW).decided(report("a"))
    assert known.decided(report("a")) == known
    assert known.canceled(NOW)[2] == 0


def test_who_was_reached_gets_none_of_the_redials_that_wait() -> None:
    known = Contact((CallRecord("leg:a", NOW, "a", ENDED, NOW),)).redial("redial:a", PLANNED, NOW + 60)
    after, keys = known.closed()
    assert keys == ("redial:a",)
    assert (after.has_planned, after.times()) == (False, [NOW])


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


def test_a_call_that_was_refused_itself_is_no_reason_to_call() -> None:
    """Of two reports of one end the stricter word stands, whichever the hooks get."""
    known = Contact().noted(report("a"), NOW).noted(report("a", DECLINED, "CreateCallFailed"), NOW)
    assert words(known, report("a")) == "a call to the contact was refused"


def test_a_call_has_the_cause_of_the_report_that_decides() -> None:
    """Of two reports of one end, of the stricter; what comes when hooks have the end changes it only with the word."""
    missed = report("a", (487, 10004), "CreateCallFailed")
    both = Contact().noted(missed, NOW).noted(report("a"), NOW)
    assert [each.calls[0].cause for each in (both, both.decided(report("a")))] == ["no_answer", "busy"]
    refused = both.noted(report("a", DECLINED), NOW)
    assert refused.calls[0].cause == refused.decided(report("a")).calls[0].cause == "declined"
    assert both.noted(answered("a"), NOW).calls[0].cause == "no_answer"


def test_only_a_redial_that_waits_can_be_hastened() -> None:
    """It is due from then on; one that is late stays so."""
    known = Contact().redial("redial:1", PLANNED, NOW + 60)
    assert known.hastened("redial:1", NOW) == Contact().redial("redial:1", PLANNED, NOW)
    assert known.hastened("redial:1", NOW + 90) == known
    assert known.hastened("redial:2", NOW) is None
    assert known.redial("redial:1", PLACED, NOW).hastened("redial:1", NOW) is None


def test_the_limit_that_gave_up_is_noted_of_a_call_that_is_known() -> None:
    """By its leg or its key; of a call that was forgotten nothing is."""
    known = Contact().noted(report("a"), NOW)
    assert known.given_up("a", "max_attempts").calls[0].gave_up == "max_attempts"
    assert known.given_up("b", "max_attempts") == known


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
