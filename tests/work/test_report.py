"""What an event reports of the contact of its call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reports import BUSY, DECLINED, HUNG_UP, MISSED, outcome
from ringback import classify, classify_event
from ringback.core.events import Event, EventData
from ringback.work.contact_call import Report, Word, report_of

if TYPE_CHECKING:
    from ringback import Outcome


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


def test_a_report_has_the_event_s_own_time() -> None:
    at = Event(type="Microsoft.Communication.CallDisconnected", time="2023-11-14T22:13:20Z", data=EventData())
    told = classify_event(at)
    assert told is not None
    found = report_of(told)
    assert found is not None
    assert found.sent_at == 1_700_000_000


def test_an_operation_and_the_mere_end_of_a_whole_call_report_nothing() -> None:
    assert report_of(outcome("a", (400, 8536), "PlayFailed")) is None
    whole = classify_event(Event(type="Microsoft.Communication.CallEnded", data=EventData(correlation_id="call")))
    assert whole is not None
    assert report_of(whole) is None


@pytest.mark.parametrize(
    ("code", "subcode", "name", "sip", "rung"),
    [
        pytest.param(429, 0, "CreateCallFailed", None, False, id="throttled"),
        pytest.param(500, 0, "CreateCallFailed", None, False, id="service"),
        pytest.param(503, 0, "CallDisconnected", None, None, id="an end that does not tell"),
        pytest.param(503, 0, "CreateCallFailed", (503, None), True, id="a carrier was asked"),
        pytest.param(486, 560486, "CreateCallFailed", None, True, id="busy"),
    ],
)
def test_a_call_that_the_service_failed_first_has_not_rung(
    code: int, subcode: int, name: str, sip: tuple[int, str | None] | None, rung: bool | None
) -> None:
    """Only the failure to create a call says so, and only without a word of a carrier."""
    found = report_of(classify(name, code, subcode, sip=sip))
    assert found is not None
    assert found.rung is rung
