"""Outcomes: what happened, once classified, as a frozen value, as JSON and in a repr."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.events import Diagnostic, Event, EventData, Result, Update, parse_delivery
from ringback.core.outcome import LAST_WORD, LEVEL, REFUSED, Outcome, classify, classify_event, informs_more, level_of
from ringback_catalog import (
    CALL_EVENTS,
    EVENTS,
    OPERATION_EVENTS,
    START_FAILURES,
    Catalog,
    CategoryBasis,
    Cause,
    Confidence,
    Disposition,
    Match,
    Owner,
    ResultCategory,
    RetryAction,
    RetryAfter,
    RetryClass,
    Scope,
    source_lines,
)

# In the order of the dictionary.
KEYS = (
    "outcome_id event_id event_type scope code subcode category category_basis cause disposition retry_class "
    "retry_action attempts_exhausted owner confidence match recognized refined_by summary advice documentation "
    "sources call_connection_id server_call_id correlation_id operation_context occurred_at message sip q850"
).split()

# Public attributes of an outcome that the dictionary has not by name, and why.
LEFT_OUT = {
    "event": "event_id, event_type, occurred_at and the ids of the call are the event's; the body is the request's",
    "verdict": "its fields are keys of their own",
    "result": "code, subcode, message, sip and q850 are the result's",
    "sibling": "the other report of the same ending; outcome_id is the same in both, and each has its own line",
    "event_name": "event_type without its prefix",
    "retryable": "disposition says it",
    "ends_call": "scope says it",
    "reported": "whether code, sip or q850 has a value",
    "unexplained": "a CallEnded that is not reported",
    "level": "how stores compare two reports of one ending",
    "source_digest": "how a store that has redacted the source knows an operation again; outcome_id has it",
}

LEG = "2a0d7b3c-0000-4000-8000-000000000001"
WHOLE = "3b1c6d2e-0000-4000-8000-000000000001"
DECLINED = Result(603, 0, "Decline. DiagCode: 603#0.@")


def event(name, **parts):
    """An event of one made-up call; ``parts`` of its data replace or add."""
    data = {"call_connection_id": LEG, "correlation_id": WHOLE} | parts
    outer = {key: data.pop(key) for key in ("id", "source", "time") if key in data}
    return Event(type="Microsoft.Communication." + name, data=EventData(**data), **outer)


def outcome(name, **parts):
    found = classify_event(event(name, **parts))
    assert found is not None
    return found


def judged(found):
    """All that the verdict says of an outcome."""
    return found.cause, found.disposition, found.retry_class, found.category, found.owner, found.match, found.refined_by


# Classification

RETRYABLE, TERMINAL = Disposition.RETRYABLE, Disposition.TERMINAL
SUCCESS, EXPECTED = ResultCategory.SUCCESS, ResultCategory.EXPECTED_ERROR


@pytest.mark.parametrize(
    ("arguments", "details", "verdict"),
    [
        (
            ("AnswerFailed", 487, 10004),
            {},
            (Cause.NO_ANSWER, RETRYABLE, RetryClass.LATER, EXPECTED, Owner.APP, Match.EXACT, None),
        ),
        (
            (None, 486, 560486),
            {},
            (Cause.BUSY, RETRYABLE, RetryClass.LATER, SUCCESS, Owner.CALLEE, Match.PAIR, None),
        ),
        (
            (None, 500, 560503),
            {"sip": 486, "q850": 17},
            (Cause.BUSY, RETRYABLE, RetryClass.LATER, SUCCESS, Owner.CALLEE, Match.PAIR, "q850"),
        ),
        (
            (None, 999, 123),
            {},
            (Cause.UNKNOWN, TERMINAL, RetryClass.AFTER_FIX, ResultCategory.UNKNOWN, Owner.APP, Match.NONE, None),
        ),
        (
            ("CallDisconnected", None, None),
            {},
            (Cause.UNREPORTED, TERMINAL, RetryClass.AFTER_FIX, ResultCategory.UNKNOWN, Owner.APP, Match.NONE, None),
        ),
    ],
    ids=["no answer", "busy", "refined busy", "unknown", "unreported"],
)
def test_a_result_has_its_verdict(arguments, details, verdict):
    """The catalog's answer, whole, for the results that the project promises."""
    assert judged(classify(*arguments, **details)) == verdict


@pytest.mark.parametrize("name", [None, "CallDisconnected", "CreateCallFailed"])
def test_a_refusal_is_never_retried(name):
    """603/0: somebody declined, whichever event says so."""
    found = classify(name, 603, 0)
    assert (found.cause, found.disposition, found.retry_class) == (Cause.DECLINED, TERMINAL, RetryClass.NEVER)


def test_call_ended_without_a_reason_is_its_own_row():
    """Event Grid sends none as a rule: nobody's fault, nothing to fix, and no ground for another call."""
    found = outcome("CallEnded")
    assert judged(found) == (
        Cause.UNREPORTED,
        TERMINAL,
        RetryClass.NEVER,
        ResultCategory.UNKNOWN,
        Owner.NOBODY,
        Match.NONE,
        None,
    )
    assert found.recognized
    assert found.retry_action is RetryAction.NONE


@pytest.mark.parametrize("subcode", [0, 560486, 8531])
def test_a_subcode_without_a_code_reports_nothing(subcode):
    """An event whose result has no code is unreported, never a success."""
    found = outcome("CallDisconnected", result_information=Result(None, subcode))
    assert (found.cause, found.disposition) == (Cause.UNREPORTED, TERMINAL)
    assert classify(None, None, 0).cause is Cause.UNREPORTED


@pytest.mark.parametrize(
    ("arguments", "action", "wait"),
    [
        (("CreateCallFailed", 486, 560486), RetryAction.PLACE_CALL, RetryAfter(600, 2.0)),
        (("AnswerFailed", 400, 8500), RetryAction.REPEAT_OPERATION, None),
        (("AnswerFailed", 487, 10004), RetryAction.CALL_BACK, None),
        (("ConnectFailed", 408, 10057), RetryAction.CONNECT_CALL, RetryAfter(30)),
        (("CreateCallFailed", 603, 0), RetryAction.NONE, None),
    ],
)
def test_what_to_make_again_and_when(arguments, action, wait):
    """The verdict's action and wait, as values and as JSON; an outcome that may not be repeated has neither."""
    found = classify(*arguments)
    assert (found.retry_action, found.retry_after) == (action, wait)
    told = found.to_dict()
    assert told["retry_action"] == action.value
    assert told.get("retry_after") == (None if wait is None else wait.to_dict())
    ended = found.exhausted()
    assert (ended.retry_action, ended.retry_after) == (RetryAction.NONE, None)
    assert "retry_after" not in ended.to_dict()


def test_zero_and_two_hundred_are_one_code():
    """The tables' 0 is the wire's 200: one entry, and the outcome keeps the number that came."""
    table, wire = classify("CallDisconnected", 0, 560000), classify("CallDisconnected", 200, 560000)
    assert table.verdict == wire.verdict
    assert (table.cause, table.disposition, table.retry_class) == (Cause.HUNG_UP, TERMINAL, RetryClass.NONE)
    assert (table.code, wire.code) == (0, 200)


def test_an_aliased_pair_reads_as_the_pair_it_means():
    """497/560487 is a misprint of 487/560487, and */60486 of */560486."""
    assert classify(None, 497, 560487).verdict == classify(None, 487, 560487).verdict
    assert classify(None, 486, 60486).verdict == classify(None, 486, 560486).verdict


def test_one_subcode_under_two_codes_is_two_verdicts():
    """404/8522 and 405/8522 are different faults."""
    assert classify(None, 404, 8522).verdict.entry != classify(None, 405, 8522).verdict.entry


def test_a_limit_is_no_throttling():
    """429/10110 is a limit that was reached."""
    assert classify(None, 429, 10110).cause is Cause.LIMIT_REACHED


@pytest.mark.parametrize("name", sorted(START_FAILURES))
@pytest.mark.parametrize(("code", "subcode"), [(200, 5002), (200, 0), (0, 0), (200, 560000), (200, None)])
def test_a_failed_start_is_never_an_intended_success(name, code, subcode):
    """The event's name outranks a code that says success."""
    found = classify(name, code, subcode)
    assert found.category is not SUCCESS
    assert found.retry_class is not RetryClass.NONE


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("AnswerCallFailed", "AnswerFailed"),
        ("answerfailed", "AnswerFailed"),
        ("Microsoft.Communication.AnswerCallFailed", "AnswerFailed"),
        ("microsoft.communication.CALLDISCONNECTED", "CallDisconnected"),
        (" CallDisconnected ", "CallDisconnected"),
        ("AddParticipantsFailed", "AddParticipantFailed"),
        ("TransferFailed", "CallTransferFailed"),
    ],
)
def test_an_alias_of_an_event_is_the_event(alias, name):
    """Every spelling that Microsoft uses of a name gives the same verdict, scope and name; the type stays."""
    found, known = classify(alias, 487, 10004), classify(name, 487, 10004)
    assert (found.verdict, found.scope, found.event_name) == (known.verdict, known.scope, name)
    assert (found.event_type, known.event_type) == (alias, name)


def test_a_given_catalog_answers():
    """An app's own catalog is asked instead of the package's."""
    own = Catalog.default().with_overrides(
        {"entry": [{"code": 486, "subcode": 560486, "cause": "declined", "retry": "never"}]}
    )
    assert classify(None, 486, 560486, catalog=own).cause is Cause.DECLINED
    busy = event("CallDisconnected", result_information=Result(486, 560486))
    assert classify_event(busy, own).cause is Cause.DECLINED
    assert classify_event(busy).cause is Cause.BUSY


def test_what_is_no_event_is_refused():
    """Such as the JSON of an event, with what makes events of it."""
    with pytest.raises(TypeError) as raised:
        classify_event({"type": "Microsoft.Communication.CallDisconnected"})  # type: ignore[arg-type]
    assert str(raised.value) == "a dict is no Event; parse_delivery(body).events has those of a body"


def test_a_received_event_and_its_numbers_agree():
    """An event's verdict is that of its numbers and details, the phrase of the SIP status included."""
    sip, q850 = Diagnostic(486, "Busy Here"), Diagnostic(17, "User busy")
    found = outcome("CallDisconnected", result_information=Result(500, 560503, "text", sip, q850))
    assert found.verdict == classify("CallDisconnected", 500, 560503, sip=sip, q850=q850).verdict
    only = outcome("CallDisconnected", result_information=Result(None, None, "text"))
    assert judged(only) == judged(classify("CallDisconnected", None, None))


@pytest.mark.parametrize("name", sorted(CALL_EVENTS))
def test_the_end_of_a_call_without_a_result_is_unreported(name):
    """Older API versions report no result: never a success, never dropped."""
    found = outcome(name)
    assert (found.cause, found.category, found.disposition, found.result) == (
        Cause.UNREPORTED,
        ResultCategory.UNKNOWN,
        TERMINAL,
        None,
    )
    assert (found.code, found.subcode, found.message, found.sip, found.q850) == (None,) * 5


@pytest.mark.parametrize("name", ["CallConnected", "ParticipantsUpdated", "CallStarted", "IncomingCall", "Unheard"])
def test_an_event_without_a_result_that_ends_no_call_has_no_outcome(name):
    """There is nothing to classify."""
    assert classify_event(event(name)) is None


@pytest.mark.parametrize("name", [*sorted(name for name in EVENTS if name.endswith("Failed")), "DreamFailed"])
def test_a_failure_without_a_result_is_an_outcome(name):
    """Ids alone, as older API versions send them: what failed has failed, and why is not reported."""
    found = outcome(name)
    assert (found.cause, found.category, found.retryable) == (Cause.UNREPORTED, ResultCategory.UNKNOWN, False)
    assert found.scope is (Scope.CALL if name in CALL_EVENTS else Scope.OPERATION)


def test_a_failure_that_is_of_no_call_has_no_outcome():
    """Other services of the resource have failures, too, such as the job router's."""
    assert classify_event(event("RouterJobClassificationFailed", call_connection_id=None)) is None


def test_status_details_are_the_outcome_s():
    """Why media streaming failed, in the service's own word, wherever an outcome is told."""
    found = outcome("MediaStreamingFailed", media_streaming_update=Update("authenticationFailure"))
    assert (found.status_details, found.to_dict()["status_details"]) == ("authenticationFailure",) * 2
    assert outcome("TranscriptionFailed", transcription_update=Update(None, "forbidden")).status_details == "forbidden"
    assert "status_details" not in outcome("PlayFailed").to_dict()


@pytest.mark.parametrize("name", [*sorted(OPERATION_EVENTS), "Unheard"])
def test_an_operation_with_a_result_has_an_outcome_of_its_own(name):
    """Whatever reports a result is classified; only five events end a call."""
    assert outcome(name, result_information=Result(200, 0, "")).scope is Scope.OPERATION


def test_the_reason_of_call_ended_is_its_result():
    """Event Grid's CallEnded carries the numbers under another key, and ends the call as they say."""
    (ended,) = parse_delivery(
        b'[{"eventType":"Microsoft.Communication.CallEnded","id":"1","data":{"serverCallId":"s","correlationId":"c",'
        b'"reason":{"code":603,"subCode":0,"phrase":"Decline."}}}]'
    ).events
    found = classify_event(ended)
    assert found is not None
    assert (found.cause, found.scope, found.message, found.outcome_id) == (
        Cause.DECLINED,
        Scope.CALL,
        "Decline.",
        "call:c",
    )


numbers = st.none() | st.integers() | st.sampled_from([0, 200, 404, 486, 487, 500, 603, 560486, 560503, 8522, 10004])
messages = st.none() | st.text(max_size=20)
details = st.one_of(
    st.none(), st.integers(), st.tuples(numbers, messages), st.builds(Diagnostic, code=numbers, message=messages)
)
names = st.none() | st.text(max_size=30) | st.sampled_from(sorted(CALL_EVENTS | OPERATION_EVENTS))


@given(names, numbers, numbers, details, details)
def test_anything_has_an_outcome_and_always_the_same(name, code, subcode, sip, q850):
    """No name, number or detail raises; the same question has the same answer, whoever asked before."""
    found = classify(name, code, subcode, sip=sip, q850=q850)
    again = classify(name, code, subcode, sip=sip, q850=q850, catalog=Catalog(Catalog.default().entries))
    assert again.verdict == found.verdict
    assert again.to_dict() == found.to_dict()
    assert repr(again) == repr(found)
    assert (found.code, found.subcode) == (code, subcode)
    assert [key for key in found.to_dict() if key != "retry_after"] == KEYS
    assert found.retryable is (found.retry_class in (RetryClass.NOW, RetryClass.LATER))


@given(st.sampled_from(sorted(CALL_EVENTS)), st.integers(1000, 10**6), st.integers(10**6, 10**9))
def test_the_unknown_is_never_a_success(name, code, subcode):
    """A result that nobody knows is not recognized, and never passes for one that was meant."""
    found = classify(name, code, subcode)
    assert (found.recognized, found.match, found.category) == (False, Match.NONE, ResultCategory.UNKNOWN)
    assert found.retry_class is RetryClass.AFTER_FIX


def test_an_outcome_cannot_be_changed():
    """An outcome is handed to several hooks; none can change it for the next."""
    with pytest.raises(AttributeError):
        classify(None, 486, 560486).sibling = event("CallDisconnected")


# Recognized


@pytest.mark.parametrize(
    ("arguments", "details", "match", "recognized"),
    [
        (("CallDisconnected", None, None), {}, Match.NONE, True),
        (("CallDisconnected", 603, 0), {}, Match.EXACT, True),
        ((None, 486, 560486), {}, Match.PAIR, True),
        ((None, None, 560486), {}, Match.SIP_SUBCODE, True),
        ((None, None, 8531), {}, Match.GENERIC_SUBCODE, True),
        (("CallDisconnected", 503, None), {}, Match.CODE, True),
        (("CallDisconnected", 503, 0), {}, Match.CODE, True),
        (("CallDisconnected", 503, 123456), {}, Match.CODE, False),
        (("CallDisconnected", 403, 9999), {}, Match.CODE, True),
        (("CallDisconnected", None, 123), {}, Match.NONE, True),
        (("CallDisconnected", 500, 511404), {}, Match.SUBCODE, True),
        ((None, 599, 1), {}, Match.RANGE, False),
        ((None, 599, None), {}, Match.RANGE, False),
        ((None, 999, 123), {}, Match.NONE, False),
        ((None, None, 123), {}, Match.NONE, False),
    ],
)
def test_recognized_means_that_the_catalog_knows_the_result(arguments, details, match, recognized):
    """A known code under an unknown subcode, a range and nothing at all are not knowledge of the result."""
    found = classify(*arguments, **details)
    assert (found.match, found.recognized) == (match, recognized)


# Identity


@pytest.mark.parametrize(
    ("name", "parts", "outcome_id"),
    [
        ("CallDisconnected", {"id": "1"}, f"call:{LEG}"),
        ("CreateCallFailed", {"id": "2", "result_information": DECLINED}, f"call:{LEG}"),
        ("CallDisconnected", {"id": "1", "call_connection_id": None}, f"call:{WHOLE}"),
        (
            "CallEnded",
            {"id": "1", "call_connection_id": None, "correlation_id": None, "server_call_id": "s"},
            "call:s",
        ),
        ("CallEnded", {"id": "1", "call_connection_id": None, "correlation_id": None}, "event:1"),
        (
            "CallEnded",
            {"call_connection_id": None, "correlation_id": None, "time": "t"},
            "CallEnded:None:None:None:t",
        ),
        ("PlayFailed", {"id": "1", "result_information": Result(400, 8535)}, "event:1"),
        (
            "PlayFailed",
            {"time": "t", "result_information": Result(400, 8535)},
            f"PlayFailed:{LEG}:400:8535:t",
        ),
    ],
)
def test_the_id_names_the_ending_or_the_operation(name, parts, outcome_id):
    """One id for each call leg; else for the call; else for the event, by its id or by what it says."""
    assert outcome(name, **parts).outcome_id == outcome_id


def test_two_operations_of_one_call_have_two_ids():
    """Operations are not the end of their call: each event stands for itself."""
    parts = {"result_information": Result(400, 8535)}
    first, second = outcome("PlayFailed", id="1", **parts), outcome("PlayFailed", id="2", **parts)
    assert first.outcome_id != second.outcome_id


SOURCES = st.none() | st.sampled_from(["", "/calls", "calling/callConnections/a"]) | st.text()
IDS = st.sampled_from(["1", "2", "1:a", ""]) | st.text()


@given(one=st.tuples(SOURCES, IDS), other=st.tuples(SOURCES, IDS), name=st.sampled_from(["PlayFailed", "CallEnded"]))
def test_an_operation_is_known_by_source_and_id(one, other, name):
    """As CloudEvents says: equal ids of two sources are two events; a redelivery of one has the same outcome id."""
    parts = {"call_connection_id": None, "correlation_id": None, "result_information": Result(400, 8535)}
    ids = [outcome(name, source=source, id=event_id, **parts).outcome_id for source, event_id in (one, other)]
    assert (ids[0] == ids[1]) is (one == other)
    assert all(each.startswith(f"event:{event_id}") for each, (_, event_id) in zip(ids, (one, other), strict=True))


def test_the_source_of_an_operation_stands_in_its_id_as_letters():
    """A source may be long, and private; without one the event's id is all."""
    parts = {"id": "1", "result_information": Result(400, 8535)}
    private = outcome("PlayFailed", source="calling/callConnections/+15550100123", **parts)
    assert private.outcome_id == "event:1:edingnoidaomjgmm"
    assert outcome("PlayFailed", **parts).outcome_id == "event:1"


def test_two_legs_of_one_call_have_two_ids():
    """Each leg of a call ends for itself."""
    other = outcome("CallDisconnected", call_connection_id="2a0d7b3c-0000-4000-8000-000000000002")
    assert other.outcome_id != outcome("CallDisconnected").outcome_id


# Merging


CANDIDATES = {
    "disconnected with result": event(
        "CallDisconnected", id="1", operation_context="order-1", result_information=Result(486, 560486)
    ),
    "failed with result": event("CreateCallFailed", id="2", result_information=Result(487, 10004)),
    "disconnected without": event("CallDisconnected", id="3", operation_context="order-1"),
    "failed without": event("CreateCallFailed", id="4"),
}


@pytest.mark.parametrize(
    ("one", "other", "wins"),
    [
        ("disconnected with result", "failed with result", "failed with result"),
        ("disconnected with result", "failed without", "disconnected with result"),
        ("disconnected without", "failed with result", "failed with result"),
        ("disconnected without", "failed without", "failed without"),
    ],
)
def test_the_more_informative_event_of_a_pair_wins_in_either_order(one, other, wins):
    """A result first, then a failed start, then CallDisconnected; the other event becomes the sibling."""
    pair = [classify_event(CANDIDATES[name]) for name in (one, other)]
    loser = CANDIDATES[other if wins == one else one]
    for first, second in permutations(pair):
        merged = first.merged_with(second)
        assert (merged.event, merged.sibling) == (CANDIDATES[wins], loser)
        assert merged.verdict == classify_event(CANDIDATES[wins]).verdict
        assert merged.operation_context == "order-1"


results = st.none() | st.builds(Result, st.sampled_from([200, 486, 603]), st.sampled_from([0, 5002, 560486]))


@given(st.sampled_from(sorted(START_FAILURES)), results, results, st.none() | st.just("order-1"), st.booleans())
def test_a_pair_merges_to_the_same_in_any_order_and_however_often(name, ended, failed, context, repeat):
    """The order of the two events, and a redelivery of either, make no difference."""
    pair = (
        outcome("CallDisconnected", id="1", result_information=ended, operation_context=context),
        outcome(name, id="2", result_information=failed),
    )
    merged = {first.merged_with(second).event.id for first, second in permutations(pair)}
    assert len(merged) == 1
    for first, second in permutations(pair):
        once = first.merged_with(second)
        assert once.operation_context == context
        assert once.to_dict() == pair[0].merged_with(pair[1]).to_dict()
        for again in pair if repeat else ():
            assert once.merged_with(again).to_dict() == once.to_dict()


def test_how_much_an_event_informs():
    """A result outranks a failed start, which outranks a mere end, which outranks that of a whole call."""
    names = ("CallDisconnected", *sorted(START_FAILURES))
    ranks = {
        (name, result is DECLINED): outcome(name, result_information=result).informs()
        for name, result in product(names, (Result(None, 0, "text"), None, DECLINED))
    }
    detailed = 2 * (DECLINED.sip is not None or DECLINED.q850 is not None)
    told_all = REFUSED + 4 + detailed
    assert ranks == {(name, told): told_all * told + (name in START_FAILURES) for name, told in ranks}
    assert outcome("CallEnded").informs() == outcome("CallEnded", result_information=Result()).informs() == -4
    assert outcome("CallEnded", result_information=DECLINED).informs() == told_all
    assert outcome("CallDisconnected", result_information=Result(None, None, None, Diagnostic(486))).informs() == 6


def test_of_two_reports_the_one_with_a_carriers_detail_speaks():
    """The detail may be that the person refused; the other report of the same end knows nothing of it."""
    refused = outcome("CallDisconnected", result_information=Result(480, 560480, None, None, Diagnostic(21)))
    vague = outcome("CreateCallFailed", result_information=Result(480, 560480))
    for first, second in ((refused, vague), (vague, refused)):
        merged = first.merged_with(second)
        assert (merged.event_name, merged.cause, merged.retry_class) == ("CallDisconnected", "declined", "never")


@pytest.mark.parametrize("names", [("CallDisconnected", "CreateCallFailed"), ("CreateCallFailed", "CallDisconnected")])
@pytest.mark.parametrize("q850", [None, Diagnostic(17)])
def test_of_two_reports_the_one_that_says_never_speaks(names, q850):
    """The two contradict each other. Doubt rings no person, whichever event says what."""
    refused = outcome(names[0], result_information=DECLINED)
    busy = outcome(names[1], result_information=Result(486, 560486, None, None, q850))
    for first, second in ((refused, busy), (busy, refused)):
        merged = first.merged_with(second)
        assert (merged.event_name, merged.cause, merged.retry_class) == (names[0], "declined", "never")
        assert merged.sibling is busy.event


def test_only_the_end_of_a_whole_call_may_be_unexplained():
    """Event Grid gives no reason as a rule; a leg's own end that gives none is unreported."""
    assert outcome("CallEnded").unexplained
    assert outcome("CallEnded", result_information=Result()).unexplained
    assert not outcome("CallEnded", result_information=DECLINED).unexplained
    assert not outcome("CallDisconnected").unexplained


def test_an_event_s_own_context_outranks_its_sibling_s():
    """The sibling lends its context only where the event has none."""
    own = outcome("CreateCallFailed", operation_context="own", result_information=DECLINED)
    assert own.merged_with(outcome("CallDisconnected", operation_context="lent")).operation_context == "own"
    assert outcome("CreateCallFailed").operation_context is None
    lent = outcome("CreateCallFailed").merged_with(outcome("CallDisconnected", operation_context="lent"))
    assert (lent.operation_context, lent.to_dict()["operation_context"]) == ("lent", "lent")


# As JSON and in a repr


def test_an_outcome_as_json_is_whole_redacted_and_in_order():
    """Every key in its order, ready for JSON, with nothing private in it."""
    found = outcome(
        "CallDisconnected",
        id="1f0e5c1a-0000-4000-8000-000000000001",
        time="2025-02-11T10:20:30.0629553+00:00",
        server_call_id="server 4:+15550100199",
        operation_context="order for +1 555 010 0199",
        result_information=Result(
            500,
            560503,
            "Failed for 8:acs:made-up and (555) 010-0199. DiagCode: 500#560503.@",
            Diagnostic(486, "Busy sip:alice@example.com"),
            Diagnostic(17, "User busy +15550100199"),
        ),
    )
    entry = found.verdict.entry
    told = found.to_dict()
    assert told == {
        "outcome_id": f"call:{LEG}",
        "event_id": "1f0e5c1a-0000-4000-8000-000000000001",
        "event_type": "Microsoft.Communication.CallDisconnected",
        "scope": "call",
        "code": 500,
        "subcode": 560503,
        "category": "Success",
        "category_basis": entry.basis.value,
        "cause": "busy",
        "disposition": "retryable",
        "retry_class": "later",
        "retry_action": "place_call",
        "attempts_exhausted": False,
        "retry_after": {"seconds": 600, "factor": 1.0},
        "owner": "callee",
        "confidence": entry.confidence.value,
        "match": "pair",
        "recognized": True,
        "refined_by": "q850",
        "summary": entry.summary,
        "advice": list(entry.advice),
        "documentation": entry.documentation,
        "sources": list(source_lines(entry.sources)),
        "call_connection_id": LEG,
        "server_call_id": "server [id]",
        "correlation_id": WHOLE,
        "operation_context": "order for [phone]",
        "occurred_at": "2025-02-11T10:20:30.062955+00:00",
        "message": "Failed for [id] and [phone]. DiagCode: 500#560503.@",
        "sip": {"code": 486, "message": "Busy [sip]"},
        "q850": {"code": 17, "message": "User busy [phone]"},
    }
    assert [key for key in told if key != "retry_after"] == KEYS
    assert json.loads(json.dumps(told)) == told


def test_an_empty_outcome_as_json_has_the_same_keys():
    """What is absent is null, never missing."""
    found = classify(None, None, None)
    told = found.to_dict()
    assert list(told) == KEYS
    assert {key for key, value in told.items() if value is None} == {
        "event_id",
        "code",
        "subcode",
        "refined_by",
        "call_connection_id",
        "server_call_id",
        "correlation_id",
        "operation_context",
        "occurred_at",
        "message",
        "sip",
        "q850",
    }
    assert (told["outcome_id"], told["event_type"], told["scope"]) == (":None:None:None:None", "", "call")
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("private", ["+15550100199", "8:acs:made-up", "sip:alice@example.com", "4:15550100199"])
def test_ids_that_are_private_leave_as_their_kind(private):
    """A sender may put anything into an id: no text of an event leaves unredacted."""
    result = Result(603, 0, private, Diagnostic(603, private), Diagnostic(21, private))
    data = EventData(private, private, private, private, private, result)
    for kind in ("CallDisconnected", "PlayFailed", private):
        found = classify_event(Event(kind, private, private, private, private, data))
        assert private not in json.dumps(found.to_dict())
        assert private not in repr(found)
        assert (found.event_id, found.message, found.sip.message) == (private,) * 3


def test_an_outcome_keeps_the_originals():
    """Hooks get what came: redaction is for logs and JSON."""
    message = "Failed for 4:+15550100199."
    found = outcome(
        "CallDisconnected",
        id="1",
        time="2025-02-11T10:20:30Z",
        server_call_id="s",
        operation_context="+15550100199",
        result_information=Result(603, 0, message, Diagnostic(603, "+15550100199"), Diagnostic(21)),
    )
    assert (found.message, found.operation_context, found.sip, found.q850) == (
        message,
        "+15550100199",
        Diagnostic(603, "+15550100199"),
        Diagnostic(21),
    )
    assert (found.event_id, found.event_type, found.event_name) == (
        "1",
        "Microsoft.Communication.CallDisconnected",
        "CallDisconnected",
    )
    assert (found.call_connection_id, found.server_call_id, found.correlation_id) == (LEG, "s", WHOLE)
    assert found.occurred_at == datetime(2025, 2, 11, 10, 20, 30, tzinfo=UTC)
    assert found.result is found.event.data.result_information


def test_the_verdict_is_read_through():
    """What the catalog says is the outcome's own: nothing is copied wrong on the way."""
    found = classify("CallDisconnected", 603, 0)
    entry = found.verdict.entry
    assert (found.summary, found.advice, found.documentation) == (entry.summary, entry.advice, entry.documentation)
    assert found.sources == source_lines(entry.sources)
    assert (found.category, found.owner) == (SUCCESS, Owner.CALLEE)
    assert (found.category_basis, found.confidence) == (CategoryBasis.DOCUMENTED, Confidence.HIGH)
    assert (found.match, found.refined_by, found.retryable) == (Match.EXACT, None, False)
    assert classify(None, 486, 560486).retryable is True


def test_a_repr_is_one_line_for_an_engineer():
    """Event, numbers, cause, what to do and the call; no text of a person's."""
    found = outcome("CallDisconnected", operation_context="+15550100199", result_information=DECLINED)
    assert repr(found) == f"<Outcome CallDisconnected 603/0 declined terminal (never) call:{LEG}>"
    assert repr(classify("PlayFailed", 400, 8535)).startswith("<Outcome PlayFailed 400/8535 ")
    assert (
        repr(classify("CallDisconnected", 486, 560486))
        == "<Outcome CallDisconnected 486/560486 busy retryable (later)>"
    )


# Everything that an outcome tells


def test_the_dictionary_has_every_public_attribute():
    """Whatever an outcome tells in Python it tells in JSON, but for what the table names with its reason."""
    busy = classify("CreateCallFailed", 486, 560486, sip=486, q850=17)
    streamed = outcome("MediaStreamingFailed", media_streaming_update=Update("authenticationFailure"))
    told = {name for name in dir(Outcome) if not name.startswith("_") and not callable(getattr(busy, name))}
    ours = Catalog.default().with_overrides({"code": 503, "subcode": 560503, "retry": "never"})
    said = classify("CreateCallFailed", 503, 560503, q850=17, catalog=ours)
    keys = {key for each in (busy, streamed, said) for key in each.to_dict()}
    assert keys & LEFT_OUT.keys() == set()
    assert keys | LEFT_OUT.keys() == told


# Exhausted


def test_an_exhausted_outcome_is_the_same_but_terminal():
    """The policy forbids the call, not the catalog: only the disposition and what follows from it change."""
    found = outcome("CreateCallFailed", result_information=Result(486, 560486))
    found = found.merged_with(outcome("CallDisconnected", operation_context="lent"))
    exhausted = found.exhausted()
    assert (found.attempts_exhausted, found.disposition, found.retryable) == (False, RETRYABLE, True)
    assert (exhausted.attempts_exhausted, exhausted.disposition, exhausted.retryable) == (True, TERMINAL, False)
    assert (exhausted.event, exhausted.verdict, exhausted.sibling) == (found.event, found.verdict, found.sibling)
    assert exhausted.to_dict() == {key: value for key, value in found.to_dict().items() if key != "retry_after"} | {
        "disposition": "terminal",
        "retry_action": "none",
        "attempts_exhausted": True,
    }
    assert repr(exhausted) == f"<Outcome CreateCallFailed 486/560486 busy terminal (later) call:{LEG}>"
    assert exhausted.exhausted() == exhausted
    assert exhausted != found


def test_an_exhausted_terminal_outcome_stays_terminal():
    """Nothing becomes retryable by it."""
    found = outcome("CallDisconnected", result_information=DECLINED)
    assert found.exhausted().disposition is found.disposition is TERMINAL


@pytest.mark.parametrize("fields", [{"retry": "never"}, {"cause": "busy", "retry": "later", "summary": "Ours."}])
def test_of_two_reports_the_one_that_an_override_judges_speaks(fields):
    """An override of one event's row outlasts whatever a carrier's detail makes of the sibling."""
    row = {"events": ["CallDisconnected"], "code": 480, "subcode": 560480} | fields
    ours = Catalog.default().with_overrides(row)
    judged, refined = (
        classify_event(event(name, result_information=result), ours)
        for name, result in (
            ("CallDisconnected", Result(480, 560480)),
            ("CreateCallFailed", Result(480, 560480, None, None, Diagnostic(21))),
        )
    )
    assert (refined.refined_by, refined.override) == ("q850", None)
    for first, second in ((judged, refined), (refined, judged)):
        merged = first.merged_with(second)
        assert (merged.retry_class, merged.override) == (fields["retry"], f"overrides: entry 1 ({key_of(row)})")
        assert merged.sibling is refined.event


def key_of(row):
    return f"event {row['events'][0]}, code {row['code']}, subcode {row['subcode']}"


def test_an_override_of_what_reports_nothing_does_not_outlast_a_result():
    """The row speaks of an event without a result; the sibling has one."""
    ours = Catalog.default().with_overrides({"special": "unreported", "retry": "later"})
    silent = classify_event(event("CallDisconnected"), ours)
    told = classify_event(event("CreateCallFailed", result_information=DECLINED), ours)
    assert (silent.override, told.override) == ("overrides: entry 1 (special unreported)", None)
    for first, second in ((silent, told), (told, silent)):
        assert first.merged_with(second).cause == "declined"
    assert not informs_more(silent.informs(), told.informs())


RANKS = st.tuples(st.integers(-1, 1), st.booleans(), st.booleans(), st.integers(0, 3))


@given(RANKS, RANKS)
def test_the_level_counts_first_then_a_persons_word_then_a_refusal(rank, other):
    """Whatever number a store has kept of an outcome, also one of an earlier release."""
    one, two = (LEVEL * level + LAST_WORD * word + REFUSED * no + more for level, word, no, more in (rank, other))
    assert (level_of(one), level_of(two)) == (rank[0], other[0])
    assert informs_more(one, two) is (rank > other)
    assert not informs_more(one, one)
