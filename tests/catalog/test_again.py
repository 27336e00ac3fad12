"""What is to be made again: the events' rule, the row that knows better, and how long to wait."""

from dataclasses import replace

import pytest

from ringback_catalog import OPERATION_EVENTS, Catalog, CatalogError, RetryAction, RetryAfter, RetryClass
from ringback_catalog._load import entry_of, load_sources

ROW = {
    "code": 480,
    "subcode": 1,
    "cause": "no_answer",
    "category": "ExpectedError",
    "basis": "inferred",
    "retry": "later",
    "owner": "callee",
    "confidence": "low",
    "summary": "Nobody answered.",
    "advice": ["Call again in ten minutes."],
    "sources": ["recorded#events"],
}


def entry(**changes):
    return entry_of(ROW | changes, load_sources(), "test")


@pytest.mark.parametrize(
    ("event", "subcode", "action"),
    [
        (None, 560486, "place_call"),
        ("", 560486, "place_call"),
        ("CallDisconnected", 560486, "place_call"),
        ("Microsoft.Communication.CallDisconnected", 560486, "place_call"),
        ("CallEnded", 560486, "place_call"),
        ("CreateCallFailed", 560486, "place_call"),
        ("CreateCallFailed", 540486, "place_call"),
        ("AnswerFailed", 560486, "call_back"),
        ("AnswerCallFailed", 560486, "call_back"),
        ("ConnectFailed", 560486, "connect_call"),
        ("ConnectFailed", 540486, "connect_call"),
        ("AddParticipantFailed", 560486, "repeat_operation"),
        ("AddParticipantFailed", 540486, "repeat_operation"),
        ("SomethingNew", 560486, "repeat_operation"),
        (None, 540486, "call_back"),
        ("CallDisconnected", 540486, "call_back"),
        ("CallEnded", 540486, "call_back"),
    ],
)
def test_the_event_says_what_is_to_be_made_again(event: str | None, subcode: int, action: str) -> None:
    """A busy line: dial again if we had dialled, connect again if we had connected, else a person decides."""
    verdict = Catalog.default().look_up(event, 486, subcode)
    assert (verdict.entry.disposition, verdict.retry_action) == ("retryable", action)


@pytest.mark.parametrize("event", [None, "CallDisconnected", "CreateCallFailed", "AnswerFailed", "PlayFailed"])
def test_a_row_that_knows_better_is_believed(event: str | None) -> None:
    """Where a media action still runs, the person is on the line, whatever event says so."""
    verdict = Catalog.default().look_up(event, 400, 8500)
    assert (verdict.entry.disposition, verdict.retry_action) == ("retryable", "repeat_operation")


@pytest.mark.parametrize("event", sorted(OPERATION_EVENTS))
def test_no_row_makes_a_call_again_where_an_operation_failed(event: str) -> None:
    """Who waited in a lobby in vain (200/5855) connects again; where an operation failed the operation is repeated."""
    catalog = Catalog.default()
    assert catalog.look_up("CallDisconnected", 200, 5855).retry_action == "connect_call"
    found = {catalog.look_up(event, each.key.code, each.key.subcode).retry_action for each in catalog.entries}
    assert found - {"repeat_operation"} == {"none"}


def test_an_override_may_say_a_call_where_an_operation_failed() -> None:
    """The app knows what its participant is; a row of the catalog cannot."""
    row = {"code": 486, "subcode": 560486, "events": ["AddParticipantFailed"], "retry_action": "place_call"}
    verdict = Catalog.default().with_overrides(row).look_up("AddParticipantFailed", 486, 560486)
    assert (verdict.entry.cause, verdict.retry_action) == ("busy", "place_call")


def test_nothing_is_made_again_after_a_terminal_end() -> None:
    """Every terminal answer of the catalog has none, every retryable one something."""
    catalog = Catalog.default()
    for each in catalog.entries:
        verdict = catalog.look_up(next(iter(each.key.events), None), each.key.code, each.key.subcode)
        nothing = verdict.retry_action is RetryAction.NONE
        assert nothing is (verdict.entry.disposition == "terminal"), str(each.key)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (90, RetryAfter(90)),
        ({"seconds": 600}, RetryAfter(600)),
        ({"seconds": 600, "factor": 2}, RetryAfter(600, 2.0)),
        ({"seconds": 600, "factor": 1.5}, RetryAfter(600, 1.5)),
    ],
)
def test_a_row_may_say_how_long_to_wait(value: object, wait: RetryAfter) -> None:
    """Whole seconds, and how the wait grows."""
    assert entry(retry_after=value).retry_after == wait


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (RetryAfter(1), "1 second"),
        (RetryAfter(90), "90 seconds"),
        (RetryAfter(60), "1 minute"),
        (RetryAfter(600, 2.0), "10 minutes, then 2 times as long each time"),
        (RetryAfter(7200, 1.5), "2 hours, then 1.5 times as long each time"),
        (RetryAfter(86400), "1 day"),
    ],
)
def test_a_wait_as_words(wait: RetryAfter, said: str) -> None:
    """In the largest unit that has no rest."""
    assert str(wait) == said


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"retry_after": "soon"},
            "retry_after: 'soon' is no wait; write { seconds = 600 } or { seconds = 600, factor = 2 }",
        ),
        (
            {"retry_after": True},
            "retry_after: True is no wait; write { seconds = 600 } or { seconds = 600, factor = 2 }",
        ),
        (
            {"retry_after": {"seconds": 600, "factor": True}},
            "retry_after: {'seconds': 600, 'factor': True} is no wait; "
            "write { seconds = 600 } or { seconds = 600, factor = 2 }",
        ),
        (
            {"retry_after": {"minutes": 10, "seconds": 0}},
            "retry_after: {'minutes': 10, 'seconds': 0} is no wait; "
            "write { seconds = 600 } or { seconds = 600, factor = 2 }",
        ),
        (
            {"retry_after": 0},
            "retry_after: seconds 0 is no wait; write whole seconds from 1 to 604800 (a week)",
        ),
        (
            {"retry_after": {"seconds": 60, "factor": 0.5}},
            "retry_after: factor 0.5 is no growth; write a number from 1 (the same wait) to 10",
        ),
        (
            {"retry_action": "again"},
            "retry_action 'again' is unknown; known are call_back, connect_call, none, place_call, repeat_operation",
        ),
    ],
)
def test_a_wrong_value_is_explained(changes: dict[str, object], rule: str) -> None:
    """The message names the place, the value and what to write."""
    with pytest.raises(CatalogError) as refused:
        entry(**changes)
    assert str(refused.value) == f"test (code 480, subcode 1): {rule}"


def test_a_retryable_row_says_what_to_make_again() -> None:
    """Now and later ask for something; none cannot be it."""
    with pytest.raises(CatalogError) as refused:
        replace(entry(), retry_action=RetryAction.NONE)
    assert str(refused.value) == (
        "code 480, subcode 1: retry now or later asks for something again; write what, or leave retry_action out "
        "for the event's"
    )


@pytest.mark.parametrize("field", [{"retry_action": "place_call"}, {"retry_after": 60}])
def test_a_terminal_row_has_nothing_to_wait_for(field: dict[str, object]) -> None:
    """Refused in a row and in an override, by name."""
    (name,) = field
    with pytest.raises(CatalogError) as refused:
        entry(retry="never", **field)
    assert str(refused.value) == (f"test (code 480, subcode 1): {name} goes only with retry now or later; leave it out")
    with pytest.raises(CatalogError) as overridden:
        Catalog.default().with_overrides({"code": 603, "subcode": 0, **field})
    assert str(overridden.value) == (
        f"overrides: entry 1 (code 603, subcode 0): {name} goes only with retry now or later; leave it out"
    )
    assert entry(retry="never", retry_action="none").retry_action is RetryAction.NONE


def test_a_terminal_verdict_waits_for_nothing() -> None:
    """Also where somebody's code made the entry terminal after it was read."""
    ended = replace(entry(retry_after=60), retry=RetryClass.NEVER)
    catalog = Catalog([each if each.key != ended.key else ended for each in [*Catalog.default().entries, ended]])
    verdict = catalog.look_up("CreateCallFailed", 480, 1)
    assert (verdict.retry_action, verdict.retry_after) == ("none", None)


def test_an_override_may_say_both() -> None:
    """A user's row changes what is made again and when; the other fields stay."""
    row = {"code": 486, "subcode": 560486, "retry_action": "call_back", "retry_after": 1200}
    verdict = Catalog.default().with_overrides(row).look_up(None, 486, 560486)
    assert (verdict.entry.cause, verdict.retry_action, verdict.retry_after) == ("busy", "call_back", RetryAfter(1200))


def test_an_override_that_ends_it_leaves_nothing_to_repeat() -> None:
    """A terminal verdict over a retryable row takes the row's action and wait with it."""
    verdict = (
        Catalog.default().with_overrides({"code": 400, "subcode": 8500, "retry": "never"}).look_up(None, 400, 8500)
    )
    assert (verdict.entry.retry, verdict.retry_action, verdict.retry_after) == ("never", "none", None)
