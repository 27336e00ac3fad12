"""When something stands in the way of another call to a contact."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reports import DAY, DECLINED, HUNG_UP, NOW, answered, report
from ringback import RedialPolicy
from ringback.work.contact import Contact
from ringback.work.contact_call import LONGEST_CALL, UNSEEN, CallRecord, CallState, Report, Word
from ringback.work.obstacle import obstacle

POLICY = RedialPolicy(rest_after_answer=3600, rest_after_refusal=86_400)
PLACED, PLACING, PLANNED, ENDED = CallState.PLACED, CallState.PLACING, CallState.PLANNED, CallState.ENDED


def words(known: Contact, ended: Report, *, now: float = NOW, redial: str | None = None) -> str | None:
    return obstacle(known, POLICY, ended, now=now, redial=redial)


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


@pytest.mark.parametrize(
    ("sent_at", "allowed"), [(NOW, False), (NOW + 2 * DAY - 6, True), (NOW + 3 * DAY, True), (None, True)]
)
def test_an_end_that_was_told_late_has_ended_at_its_own_time(sent_at: float | None, allowed: bool) -> None:
    """What came between the end and its event came after the end. A clock that differs by seconds tells nothing."""
    between = Contact().noted(answered("b"), NOW + 60).noted(report("b", HUNG_UP), NOW + 120)
    late = replace(report("a"), sent_at=sent_at)
    for known in (between, replace(Contact(), canceled_at=NOW + 60)):
        assert (words(known.noted(late, NOW + 2 * DAY), late, now=NOW + 2 * DAY) is None) is allowed


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


def test_a_call_that_was_refused_itself_is_no_reason_to_call() -> None:
    """Of two reports of one end the stricter word stands, whichever the hooks get."""
    known = Contact().noted(report("a"), NOW).noted(report("a", DECLINED, "CreateCallFailed"), NOW)
    assert words(known, report("a")) == "a call to the contact was refused"


def test_whoever_must_never_be_called_is_not() -> None:
    """Whatever the calls say; a call that is refused itself says more."""
    known = replace(Contact().noted(report("a"), NOW), never=True)
    assert words(known, report("a")) == "the contact must never be called (never_call)"
    assert words(known, report("gone")) == "the contact must never be called (never_call)"
    refused = known.noted(report("a", DECLINED, "CreateCallFailed"), NOW)
    assert words(refused, report("a")) == "a call to the contact was refused"
