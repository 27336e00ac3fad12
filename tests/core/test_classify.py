"""What may be said to :func:`ringback.classify`, and what is refused."""

from __future__ import annotations

import pytest

from ringback.core.events import Diagnostic
from ringback.core.outcome import classify


def test_numbers_may_be_written_as_text():
    """As on the wire: a number in quotes is that number."""
    assert classify("AnswerFailed", "487", " 10004 ").verdict == classify("AnswerFailed", 487, 10004).verdict
    assert (classify(None, "487", "10004").code, classify(None, "-1", None).code) == (487, -1)


@pytest.mark.parametrize("value", ["busy", "", "4.5", "9" * 20, True, 4.5])
def test_what_is_no_number_is_refused_by_name(value):
    """The message names the argument, the value and what to write."""
    with pytest.raises(TypeError) as refused:
        classify(None, 480, value)
    assert str(refused.value) == f"subcode {value!r} is not a whole number; write for example 486, '486' or None"


FORMS = (17, "17", (17, None), (" 17 ", None), Diagnostic(17))


def test_details_may_be_a_code_a_pair_or_a_diagnostic():
    """Some ways to write a carrier's detail, one outcome; a number in quotes is that number."""
    found = [classify(None, 500, 560503, sip=detail, q850=detail) for detail in FORMS]
    assert [(each.sip, each.q850) for each in found] == [(Diagnostic(17), Diagnostic(17))] * len(FORMS)
    assert len({each.verdict for each in found}) == 1
    assert classify(None, 500, 560503, sip=(486, "Busy Here")).sip == Diagnostic(486, "Busy Here")


@pytest.mark.parametrize("argument", ["sip", "q850"])
@pytest.mark.parametrize("value", ["603 Decline", "", True, 603.0, b"603", (603,), (603, 5), {}])
def test_what_is_no_detail_is_refused_by_name(argument, value):
    """The message names the argument, the value and what to write: a code, or a code with its text."""
    with pytest.raises(TypeError) as refused:
        classify(None, 603, 560603, **{argument: value})
    assert str(refused.value) == (
        f"{argument} {value!r} is not a whole number; write for example 486, '486' or (486, 'Busy Here')"
    )


def test_what_is_no_code_of_a_detail_is_refused_by_name():
    """A detail's text says nothing without its status, which may be absent but no other text."""
    with pytest.raises(TypeError) as refused:
        classify(None, 603, 560603, sip=("Decline", "Network Blocked"))
    assert str(refused.value) == "sip 'Decline' is not a whole number; write for example 486, '486' or None"


def test_a_refused_value_shows_no_number():
    """An error may stand in a log, and the text of a carrier may hold a telephone number."""
    with pytest.raises(TypeError) as refused:
        classify(None, 603, 560603, sip="Decline from +1 555 0100")
    assert str(refused.value) == (
        "sip 'Decline from [phone]' is not a whole number; write for example 486, '486' or (486, 'Busy Here')"
    )


def test_an_unknown_event_is_read_as_an_operation():
    """Microsoft adds events faster than Ringback makes releases, and a misspelled end of a call places no call."""
    found = classify("CallDisconected", 486, 560486)
    assert (found.scope, found.cause, found.retry_action) == ("operation", "busy", "repeat_operation")
