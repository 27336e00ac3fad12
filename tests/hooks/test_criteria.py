"""Criteria: what a handler of ``on()`` can ask for, and which outcomes meet it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import (
    Catalog,
    Cause,
    ConfigurationError,
    Disposition,
    Outcome,
    Owner,
    RegistrationError,
    ResultCategory,
    RetryClass,
    Scope,
    classify,
)
from ringback.hooks.router import HandlerRouter
from ringback_catalog import Match

BUSY = classify("CallDisconnected", 486, 560486)
HUNG_UP = classify("CallDisconnected", 200, 560000)
CREATE_FAILED = classify("CreateCallFailed", 487, 10004)
UNKNOWN = classify("CallDisconnected", 999, 123)
SERVER_ERROR = classify("CallDisconnected", 599, 123)
UNREPORTED = classify("CallDisconnected", None, None)
PLAY_FAILED = classify("PlayFailed", 400, 8536)


def asks(outcome: Outcome, **criteria: Any) -> bool:
    """Whether a handler registered with these criteria is concerned by the outcome."""
    router = HandlerRouter()
    router.on(**criteria)(print)
    return any(each.fits(outcome) for each in router.registrations)


@pytest.mark.parametrize(
    ("criteria", "matching", "other_outcome"),
    [
        pytest.param({"event": "CreateCallFailed"}, CREATE_FAILED, BUSY, id="event"),
        pytest.param({"event": ["CreateCallFailed", "AnswerFailed"]}, CREATE_FAILED, BUSY, id="events"),
        pytest.param({"code": 486}, BUSY, HUNG_UP, id="code"),
        pytest.param({"code": {486, 487}}, CREATE_FAILED, HUNG_UP, id="codes"),
        pytest.param({"code": range(400, 500)}, BUSY, SERVER_ERROR, id="code-range"),
        pytest.param({"subcode": 560486}, BUSY, HUNG_UP, id="subcode"),
        pytest.param({"subcode": (560486, 10004)}, CREATE_FAILED, HUNG_UP, id="subcodes"),
        pytest.param({"subcode": range(560000, 561000)}, HUNG_UP, UNREPORTED, id="subcode-range"),
        pytest.param({"category": ResultCategory.EXPECTED_ERROR}, CREATE_FAILED, BUSY, id="category"),
        pytest.param({"category": "ExpectedError"}, CREATE_FAILED, BUSY, id="category-text"),
        pytest.param({"category": [ResultCategory.SUCCESS, "Unknown"]}, UNKNOWN, CREATE_FAILED, id="categories"),
        pytest.param({"cause": Cause.BUSY}, BUSY, HUNG_UP, id="cause"),
        pytest.param({"cause": "busy"}, BUSY, HUNG_UP, id="cause-text"),
        pytest.param({"cause": {"no_answer", Cause.BUSY}}, CREATE_FAILED, HUNG_UP, id="causes"),
        pytest.param({"retry_class": RetryClass.LATER}, BUSY, HUNG_UP, id="retry-class"),
        pytest.param({"retry_action": "place_call"}, BUSY, HUNG_UP, id="retry-action"),
        pytest.param({"retry_class": "none"}, HUNG_UP, BUSY, id="retry-class-text"),
        pytest.param({"retry_class": ("none", "after_fix")}, UNKNOWN, BUSY, id="retry-classes"),
        pytest.param({"owner": Owner.CALLEE}, BUSY, HUNG_UP, id="owner"),
        pytest.param({"owner": "azure"}, SERVER_ERROR, BUSY, id="owner-text"),
        pytest.param({"owner": {"app", "azure"}}, UNKNOWN, BUSY, id="owners"),
        pytest.param({"disposition": Disposition.RETRYABLE}, BUSY, HUNG_UP, id="disposition"),
        pytest.param({"disposition": "terminal"}, HUNG_UP, BUSY, id="disposition-text"),
        pytest.param({"disposition": ["terminal"]}, HUNG_UP, BUSY, id="dispositions"),
        pytest.param({"match": Match.NONE}, UNKNOWN, BUSY, id="match"),
        pytest.param({"match": ("range", "none")}, SERVER_ERROR, BUSY, id="matches"),
        pytest.param({"scope": Scope.CALL}, BUSY, PLAY_FAILED, id="scope"),
        pytest.param({"scope": "operation"}, PLAY_FAILED, BUSY, id="scope-text"),
        pytest.param({"cause": "busy", "code": range(400, 500)}, BUSY, CREATE_FAILED, id="two-criteria"),
    ],
)
def test_a_criterion_selects_the_outcomes_it_names(
    criteria: dict[str, Any], matching: Outcome, other_outcome: Outcome
) -> None:
    """A criterion is a value, a collection or a range; every one given must hold."""
    assert (asks(matching, **criteria), asks(other_outcome, **criteria)) == (True, False)


@pytest.mark.parametrize("scope", [("call", "operation"), {Scope.CALL, Scope.OPERATION}], ids=["tuple", "set"])
def test_both_scopes_select_calls_and_operations(scope: Any) -> None:
    """Whoever names both scopes hears of everything."""
    assert [asks(each, scope=scope) for each in (BUSY, PLAY_FAILED)] == [True, True]


@pytest.mark.parametrize(
    "event",
    ["AnswerFailed", "Microsoft.Communication.AnswerFailed", "AnswerCallFailed", "answerfailed", " AnswerFailed "],
    ids=["short", "full", "alias", "case", "spaces"],
)
def test_an_event_is_meant_however_it_is_written(event: str) -> None:
    """Short name, full type, alias and case all mean the same event."""
    heard = [classify(name, 401, 71005) for name in ("AnswerFailed", "Microsoft.Communication.AnswerCallFailed")]
    assert [asks(each, event=event) for each in (*heard, BUSY)] == [True, True, False]


def test_an_unknown_full_type_is_taken_at_its_word() -> None:
    """The service adds events faster than we release, so a full type needs no place in a table."""
    newer = "Microsoft.Communication.CallSangFailed"
    assert [asks(classify(name, 400, 1), event=newer) for name in (newer, "CallSangFailed")] == [True, True]
    assert not asks(BUSY, event=newer)


@pytest.mark.parametrize("asked", [0, 200, (0,), range(1), range(200, 300)], ids=str)
@pytest.mark.parametrize("reported", [0, 200])
def test_code_0_is_200(asked: Any, reported: int) -> None:
    """The tables write 0 where the wire has 200; a handler hears of both, whichever it names."""
    assert asks(classify("CallDisconnected", reported, 560000), code=asked)


@pytest.mark.parametrize("number", ["code", "subcode"])
def test_an_absent_number_meets_no_number(number: str) -> None:
    """An unreported result has no code, not the code 0."""
    assert not asks(UNREPORTED, **{number: range(-1_000_000, 1_000_000)})
    assert not asks(UNREPORTED, **{number: 0})


@given(low=st.integers(-10, 700), size=st.integers(1, 300), code=st.integers(1, 699).filter(lambda code: code != 200))
def test_a_range_means_the_same_as_its_members(low: int, size: int, code: int) -> None:
    """A range is a collection that was not written out."""
    outcome, codes = classify("CallDisconnected", code, 1), range(low, low + size)
    assert asks(outcome, code=codes) == asks(outcome, code=list(codes)) == (code in codes)


@pytest.mark.parametrize("event", ["CallDisconnected", "CreateCallFailed"])
def test_a_merged_outcome_answers_for_both_of_its_events(event: str) -> None:
    """A handler for either event of the pair hears of their one outcome."""
    pair = classify("CallDisconnected", 487, 10004).merged_with(CREATE_FAILED)
    assert pair == Outcome(CREATE_FAILED.event, CREATE_FAILED.verdict, classify("CallDisconnected", 487, 10004).event)
    assert asks(pair, event=event)
    assert not asks(pair, event="AnswerFailed")


CAUSES = ", ".join(Cause)
CATEGORIES = "Success, ExpectedError, UnexpectedClientError, UnexpectedServerError, Unknown"
NOT_EVENT = "is not an event of Call Automation that carries a result"


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        pytest.param({"cause": "bussy"}, f"cause 'bussy' is not one of {CAUSES}; did you mean 'busy'?", id="cause"),
        pytest.param({"cause": "zzz"}, f"cause 'zzz' is not one of {CAUSES}", id="cause-like-none"),
        pytest.param({"cause": ["busy", 7]}, f"cause 7 is not one of {CAUSES}", id="cause-number"),
        pytest.param(
            {"cause": [["busy"]]}, f"cause ['busy'] is not one of {CAUSES}; did you mean 'busy'?", id="cause-nested"
        ),
        pytest.param(
            {"category": "success"},
            f"category 'success' is not one of {CATEGORIES}; did you mean 'Success'?",
            id="case",
        ),
        pytest.param(
            {"category": Cause.BUSY}, f"category <Cause.BUSY: 'busy'> is not one of {CATEGORIES}", id="another-enum"
        ),
        pytest.param(
            {"retry_class": "soon"}, "retry_class 'soon' is not one of none, now, later, after_fix, never", id="retry"
        ),
        pytest.param(
            {"owner": "admins"},
            "owner 'admins' is not one of nobody, callee, app, admin, carrier, azure; did you mean 'admin'?",
            id="owner",
        ),
        pytest.param(
            {"disposition": "retriable"},
            "disposition 'retriable' is not one of retryable, terminal; did you mean 'retryable'?",
            id="disposition",
        ),
        pytest.param({"scope": "leg"}, "scope 'leg' is not one of call, operation", id="scope"),
        pytest.param(
            {"match": "pairs"},
            "match 'pairs' is not one of exact, pair, subcode, sip_subcode, generic_subcode, code, range, none; "
            "did you mean 'pair'?",
            id="match",
        ),
        pytest.param(
            {"event": "CallDisconected"},
            f"event 'CallDisconected' {NOT_EVENT}; did you mean 'CallDisconnected'?; for a newer one write its "
            "full type, Microsoft.Communication.CallDisconected",
            id="event",
        ),
        pytest.param(
            {"event": 486},
            f"event 486 {NOT_EVENT}; for a newer one write its full type, Microsoft.Communication.486",
            id="event-number",
        ),
        pytest.param(
            {"event": [["CallDisconnected"]]},
            f"event ['CallDisconnected'] {NOT_EVENT}; did you mean 'CallDisconnected'?; for a newer one write its "
            "full type, Microsoft.Communication.['CallDisconnected']",
            id="event-nested",
        ),
        pytest.param(
            {"event": "Microsoft.Communication."},
            f"event 'Microsoft.Communication.' {NOT_EVENT}; for a newer one write its full type, "
            "Microsoft.Communication.Microsoft.Communication.",
            id="event-prefix-alone",
        ),
        pytest.param(
            {"code": "486"}, "code '486' is not a whole number; write code=486 or code=range(400, 500)", id="code-text"
        ),
        pytest.param(
            {"code": [486, 487.5]},
            "code 487.5 is not a whole number; write code=486 or code=range(400, 500)",
            id="code-fraction",
        ),
        pytest.param(
            {"subcode": True},
            "subcode True is not a whole number; write subcode=486 or subcode=range(400, 500)",
            id="subcode-bool",
        ),
        *(
            pytest.param(
                criteria,
                f"{one} {criteria[one]!r} never comes with {other} {criteria[other]!r}, so the handler could never be "
                "called; leave one of them out",
                id=f"{one}-{other}",
            )
            for one, other, criteria in (
                ("event", "scope", {"event": ["PlayFailed", "HoldFailed"], "scope": "call", "cause": "busy"}),
                ("event", "scope", {"scope": Scope.OPERATION, "event": "CallDisconnected"}),
                ("retry_class", "disposition", {"retry_class": ("never", "after_fix"), "disposition": "retryable"}),
                ("retry_action", "disposition", {"retry_action": "none", "disposition": "retryable"}),
                ("retry_action", "disposition", {"retry_action": "place_call", "disposition": "terminal"}),
                ("retry_class", "retry_action", {"retry_class": "none", "retry_action": "call_back"}),
            )
        ),
        *(
            pytest.param(
                {name: empty},
                f"{name} allows no value, so the handler could never be called; name at least one",
                id=f"empty-{name}-{type(empty).__name__}",
            )
            for name, empty in (("code", ()), ("subcode", range(5, 5)), ("cause", []), ("event", set()))
        ),
    ],
)
def test_a_criterion_that_cannot_work_is_refused_at_once(criteria: dict[str, Any], message: str) -> None:
    """A fault of configuration is raised with its remedy when registering, not on the first call of the night."""
    with pytest.raises(RegistrationError) as raised:
        HandlerRouter().on(**criteria)
    assert str(raised.value) == message
    assert isinstance(raised.value, ConfigurationError)


PAIRS = (
    ("event", "scope"),
    ("retry_class", "disposition"),
    ("retry_action", "disposition"),
    ("retry_class", "retry_action"),
)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@given(
    event=st.sampled_from(["CallDisconnected", "AnswerFailed", "ConnectFailed", "PlayFailed", "AddParticipantFailed"]),
    result=st.sampled_from([(entry.key.code, entry.key.subcode) for entry in Catalog.default().entries]),
    spent=st.booleans(),
)
def test_what_an_outcome_has_together_may_be_asked_together(
    pair: tuple[str, str], event: str, result: tuple[int | None, int | None], spent: bool
) -> None:
    """No criteria are refused that some outcome meets, also one whose redial policy allows no further call."""
    found = classify(event, *result)
    found = found.exhausted() if spent else found
    criteria = {name: found.event_name if name == "event" else getattr(found, name) for name in pair}
    assert asks(found, **{"scope": found.scope} | criteria)
