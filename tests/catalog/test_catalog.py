"""The look-up: the ladder rung by rung, aliases, refinement, and the event that outranks the code."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringback_catalog import (
    CALL_EVENTS,
    OPERATION_EVENTS,
    Catalog,
    CatalogError,
    Entry,
    ResultCategory,
    RetryClass,
    Source,
    Verdict,
    event_name,
)
from ringback_catalog._catalog import MEMO_SIZE
from ringback_catalog._load import Row, entry_of

SOURCES = {"doc#table": Source("doc#table", "A document", "a table", "2024", "https://example.com/")}
VERDICT: Row = {
    "cause": "busy",
    "category": "Success",
    "basis": "inferred",
    "retry": "later",
    "owner": "callee",
    "confidence": "high",
    "advice": ["Call again."],
    "sources": ["doc#table"],
}
UNKNOWN: Row = {"cause": "unknown", "category": "Unknown", "retry": "after_fix"}
INTENDED: Row = {"cause": "ended", "retry": "none"}


def entry(summary: str, **row: Any) -> Entry:
    """A row that is told from the others by its summary."""
    return entry_of(VERDICT | {"summary": summary} | row, SOURCES, "test")


FOUNDATION = [
    entry("contradicted", special="contradicted", **UNKNOWN | {"retry": "never"}),
    entry("unknown", special="unknown", **UNKNOWN),
    entry("unreported", special="unreported", **UNKNOWN | {"cause": "unreported"}),
    entry("succeeded", scope="operation", code=200, subcode=0, cause="succeeded", retry="none"),
]
CATALOG = Catalog(
    [
        *FOUNDATION,
        entry("exact", code=480, subcode=1, events=["CreateCallFailed", "SomethingNew"]),
        entry("pair", code=480, subcode=1),
        entry("event pair", code=480, subcode=2, events=["AnswerFailed"]),
        entry("ended", code=200, subcode=0, **INTENDED),
        entry("wide pattern", subcode="54xxxx"),
        entry("narrow pattern", subcode="549xxx"),
        entry("generic", subcode=8522),
        entry("generic of 404", subcode=8523, with_codes=["404", "500-599"]),
        entry("code", code=480),
        entry("event code", code=480, events=["PlayFailed"]),
        entry("scope code", code=480, scope="operation"),
        entry("range", code="400-499"),
        entry("narrow range", code="450-459"),
        entry("success range", code="200-299", **INTENDED),
        entry("server range", code="500-599"),
        entry("sip 486", sip=486),
        entry("sip 603", sip=603),
        entry("sip 603 blocked", sip=603, phrase="network blocked"),
        entry("q850 17", q850=17),
        entry("q850 31", q850=31, specific=False),
        entry("q850 16", q850=16, **INTENDED),
        entry("mixture", code=403, subcode=560403, mixture=["forbidden", "busy"]),
        entry("plain", code=403, subcode=560404),
        entry("server pair", code=503, subcode=560503),
        entry(
            "canceled mixture",
            code=487,
            subcode=560487,
            mixture=["canceled", "no_answer"],
            cause="canceled",
            retry="none",
        ),
        entry("intended server pair", code=500, subcode=7015, **INTENDED),
        entry("withdrawn", code=487, subcode=0, cause="canceled", retry="none"),
        entry("hung up", code=200, subcode=560000, cause="hung_up", retry="none"),
        entry("event succeeded", code=487, subcode=5234, events=["CancelAddParticipantSucceeded"]),
        entry("inbound busy", code=486, subcode=60486),
    ]
)


def short(verdict: Verdict) -> tuple[str, str, str | None]:
    return verdict.entry.summary, verdict.match, verdict.refined_by


@pytest.mark.parametrize(
    ("event", "code", "subcode", "details", "expected"),
    [
        pytest.param(
            "AnswerFailed",
            487,
            10004,
            {},
            {
                "cause": "no_answer",
                "disposition": "retryable",
                "retry": "later",
                "category": "ExpectedError",
                "match": "exact",
            },
            id="ring-time-out",
        ),
        pytest.param(
            None,
            486,
            560486,
            {},
            {"cause": "busy", "disposition": "retryable", "category": "Success"},
            id="busy",
        ),
        pytest.param(
            None, 603, 0, {}, {"cause": "declined", "disposition": "terminal", "retry": "never"}, id="declined"
        ),
        pytest.param(None, 0, 560000, {}, {"cause": "hung_up", "disposition": "terminal"}, id="tables-0"),
        pytest.param(None, 200, 560000, {}, {"cause": "hung_up", "disposition": "terminal"}, id="wire-200"),
        pytest.param(None, 497, 560487, {}, {"match": "pair", "key": "code 487, subcode 560487"}, id="alias-of-a-pair"),
        pytest.param(
            None,
            429,
            10110,
            {},
            {"cause": "limit_reached", "disposition": "terminal"},
            id="limit-not-throttled",
        ),
        pytest.param(
            None,
            500,
            560503,
            {"sip": 486, "q850": 17},
            {"cause": "busy", "disposition": "retryable", "owner": "callee", "refined_by": "q850"},
            id="busy-behind-a-server-error",
        ),
        pytest.param(
            None,
            999,
            123,
            {},
            {"match": "none", "category": "Unknown", "disposition": "terminal", "retry": "after_fix"},
            id="unknown",
        ),
        pytest.param(
            "CreateCallFailed",
            200,
            5002,
            {},
            {"cause": "declined", "category": "ExpectedError", "retry": "never", "match": "exact"},
            id="failed-with-200",
        ),
        pytest.param(
            "Microsoft.Communication.AnswerCallFailed",
            487,
            10004,
            {},
            {"cause": "no_answer", "match": "exact"},
            id="other-name-of-an-event",
        ),
        pytest.param(
            None,
            None,
            None,
            {},
            {"cause": "unreported", "category": "Unknown", "retry": "after_fix", "match": "none"},
            id="unreported",
        ),
        pytest.param(None, 599, 99, {}, {"retry": "later", "confidence": "low", "match": "range"}, id="unlisted-5xx"),
    ],
)
def test_what_must_hold(
    event: str | None, code: int | None, subcode: int | None, details: dict[str, int], expected: dict[str, str]
) -> None:
    """The answers that the project promises, on the catalog of the package."""
    verdict = Catalog.default().look_up(event, code, subcode, **details)  # type: ignore[arg-type]
    row = verdict.entry
    answer = {
        "key": str(row.key),
        "cause": row.cause,
        "disposition": row.disposition,
        "retry": row.retry,
        "category": row.category,
        "owner": row.owner,
        "confidence": row.confidence,
        "match": verdict.match,
        "refined_by": verdict.refined_by,
    }
    assert {name: answer[name] for name in expected} == expected


def test_0_and_200_are_one_code() -> None:
    """The tables' 0 and the wire's 200 reach the same entry."""
    assert Catalog.default().look_up(None, 0, 560000) == Catalog.default().look_up(None, 200, 560000)


def test_an_alias_is_read_as_the_key_it_means() -> None:
    """497/560487 answers exactly as 487/560487."""
    assert Catalog.default().look_up(None, 497, 560487) == Catalog.default().look_up(None, 487, 560487)


def test_one_subcode_may_mean_two_things() -> None:
    """404/8522 and 405/8522 differ."""
    gone, unset = (Catalog.default().look_up(None, code, 8522).entry.cause for code in (404, 405))
    assert (gone, unset) == ("not_found", "misconfigured")


@pytest.mark.parametrize(
    ("event", "code", "subcode", "answer"),
    [
        pytest.param("CreateCallFailed", 480, 1, ("exact", "exact", None), id="1-exact"),
        pytest.param("microsoft.communication.createcallfailed", 480, 1, ("exact", "exact", None), id="1-any-case"),
        pytest.param("SomethingNew", 480, 1, ("exact", "exact", None), id="1-event-nobody-knows"),
        pytest.param("CallDisconnected", 480, 1, ("pair", "pair", None), id="2-pair"),
        pytest.param(None, 480, 1, ("pair", "pair", None), id="2-no-event"),
        pytest.param("AnswerFailed", 480, 2, ("event pair", "exact", None), id="1-only-with-event"),
        pytest.param("ConnectFailed", 480, 2, ("event pair", "pair", None), id="2-pair-of-another-event"),
        pytest.param("CallConnected", 200, 0, ("succeeded", "pair", None), id="2-scope-operation"),
        pytest.param("CallDisconnected", 200, 0, ("ended", "pair", None), id="2-scope-call"),
        pytest.param(None, 0, 0, ("ended", "pair", None), id="0-zero-is-200"),
        pytest.param(None, 497, 560487, ("canceled mixture", "pair", None), id="0-alias-of-a-pair"),
        pytest.param(None, 499, 60486, ("sip 486", "sip_subcode", None), id="0-alias-of-a-subcode"),
        pytest.param(None, 480, 549001, ("narrow pattern", "sip_subcode", None), id="3-family-before-inbound"),
        pytest.param(None, None, 541001, ("wide pattern", "sip_subcode", None), id="3-family-without-code"),
        pytest.param(None, 480, 560486, ("sip 486", "sip_subcode", None), id="3-outbound"),
        pytest.param(None, 480, 560399, ("code", "code", None), id="3-below-400"),
        pytest.param(None, 480, 560700, ("code", "code", None), id="3-above-699"),
        pytest.param(None, 480, 550486, ("code", "code", None), id="3-no-leg-of-a-call"),
        pytest.param(None, 480, 560499, ("code", "code", None), id="3-no-such-status"),
        pytest.param(None, 480, 8522, ("generic", "generic_subcode", None), id="4-generic"),
        pytest.param(None, None, 8522, ("generic", "generic_subcode", None), id="4-generic-without-code"),
        pytest.param(None, 404, 8523, ("generic of 404", "generic_subcode", None), id="4-generic-agrees"),
        pytest.param(None, 599, 8523, ("generic of 404", "generic_subcode", None), id="4-generic-agrees-by-range"),
        pytest.param(None, None, 8523, ("generic of 404", "generic_subcode", None), id="4-no-code-to-contradict"),
        pytest.param(None, 480, 8523, ("code", "code", None), id="4-generic-contradicts-its-code"),
        pytest.param("PlayFailed", 480, 9, ("event code", "code", None), id="5-code-of-an-event"),
        pytest.param("PlayFailed", 480, None, ("event code", "code", None), id="5-code-of-an-event-alone"),
        pytest.param("HoldFailed", 480, 9, ("scope code", "code", None), id="5-code-of-a-scope"),
        pytest.param("CallDisconnected", 480, 9, ("code", "code", None), id="5-code"),
        pytest.param(None, 480, None, ("code", "code", None), id="5-code-alone"),
        pytest.param(None, 401, 9, ("range", "range", None), id="6-range"),
        pytest.param(None, 455, 9, ("narrow range", "range", None), id="6-narrowest-range"),
        pytest.param(None, 700, 9, ("unknown", "none", None), id="7-nothing"),
        pytest.param(None, -1, -1, ("unknown", "none", None), id="7-negative"),
        pytest.param(None, None, 9, ("unknown", "none", None), id="7-subcode-alone"),
        pytest.param("CallDisconnected", None, None, ("unreported", "none", None), id="no-result"),
        pytest.param("CreateCallFailed", None, None, ("unreported", "none", None), id="no-result-of-a-failure"),
    ],
)
def test_the_most_specific_rung_answers(
    event: str | None, code: int | None, subcode: int | None, answer: tuple[str, str, str | None]
) -> None:
    """Each rung of the ladder answers only where no rung above it does."""
    assert short(CATALOG.look_up(event, code, subcode)) == answer


def test_an_inbound_leg_is_less_sure() -> None:
    """540ZZZ may come from Microsoft's own proxy: the status is believed with low confidence."""
    catalog = Catalog([*FOUNDATION, entry("sip 486", sip=486)])
    outbound, inbound = (catalog.look_up(None, 486, subcode).entry for subcode in (560486, 540486))
    assert (outbound.confidence, inbound.confidence) == ("high", "low")
    assert (outbound.summary, inbound.summary) == ("sip 486", "sip 486")


@pytest.mark.parametrize(
    ("event", "code", "subcode", "sip", "message", "q850", "answer"),
    [
        pytest.param(None, 403, 560403, 486, None, None, ("sip 486", "pair", "sip"), id="mixture-by-sip"),
        pytest.param(None, 403, 560403, 486, None, 17, ("q850 17", "pair", "q850"), id="q850-outranks-sip"),
        pytest.param(None, 403, 560403, 486, None, 31, ("sip 486", "pair", "sip"), id="q850-that-says-nothing"),
        pytest.param(None, 403, 560403, 486, None, 99, ("sip 486", "pair", "sip"), id="q850-nobody-lists"),
        pytest.param(None, 403, 560403, None, None, 99, ("mixture", "pair", None), id="only-an-unlisted-q850"),
        pytest.param(None, 403, 560403, 499, None, None, ("mixture", "pair", None), id="sip-nobody-lists"),
        pytest.param(None, 403, 560403, 183, None, None, ("mixture", "pair", None), id="provisional-sip"),
        pytest.param(None, 403, 560403, None, "Network Blocked", None, ("mixture", "pair", None), id="only-a-text"),
        pytest.param(
            None, 403, 560403, 603, "Network Blocked (v1)", None, ("sip 603 blocked", "pair", "sip"), id="phrase"
        ),
        pytest.param(None, 403, 560403, 603, "Decline", None, ("sip 603", "pair", "sip"), id="no-phrase"),
        pytest.param(
            None, 480, 560603, 603, None, None, ("sip 603", "sip_subcode", None), id="sip-repeats-the-subcode"
        ),
        pytest.param(
            None,
            480,
            560603,
            603,
            "network blocked",
            None,
            ("sip 603 blocked", "sip_subcode", "sip"),
            id="phrase-says-more-than-the-subcode",
        ),
        pytest.param(None, 403, 560404, 486, None, 17, ("plain", "pair", None), id="a-plain-pair-stands"),
        pytest.param(None, 503, 560503, 486, None, None, ("sip 486", "pair", "sip"), id="any-5xx"),
        pytest.param(None, 480, 8522, None, None, 17, ("q850 17", "generic_subcode", "q850"), id="generic"),
        pytest.param(None, 480, None, None, None, 17, ("q850 17", "code", "q850"), id="code"),
        pytest.param(None, 700, 9, 486, None, None, ("sip 486", "none", "sip"), id="unknown"),
        pytest.param(None, 299, 1, 486, None, 17, ("success range", "range", None), id="a-success-stands"),
        pytest.param(None, 487, 560487, 486, None, 17, ("canceled mixture", "pair", None), id="a-cancel-stands"),
        pytest.param(
            None, 500, 7015, 486, None, 17, ("intended server pair", "pair", None), id="an-intended-ending-stands"
        ),
        pytest.param(
            "CreateCallFailed",
            299,
            1,
            486,
            None,
            17,
            ("q850 17", "range", "q850"),
            id="a-success-that-failed-is-refined",
        ),
    ],
)
def test_a_carrier_refines_only_what_is_vague(
    event: str | None,
    code: int | None,
    subcode: int | None,
    sip: int | None,
    message: str | None,
    q850: int | None,
    answer: tuple[str, str, str | None],
) -> None:
    """A specific Q.850 cause, then a SIP status, sharpen an unknown, a generic answer, a mixture or a 5xx."""
    assert short(CATALOG.look_up(event, code, subcode, sip=sip, sip_message=message, q850=q850)) == answer


@pytest.mark.parametrize(
    ("event", "code", "subcode", "q850", "answer"),
    [
        pytest.param(
            "CreateCallFailed", 200, 0, None, ("contradicted", "Unknown", "never", "event"), id="failed-but-ended"
        ),
        pytest.param(
            "PlayFailed", 200, 0, None, ("contradicted", "Unknown", "never", "event"), id="operation-failed-but-ended"
        ),
        pytest.param(
            "AnswerFailed", 200, 560000, None, ("contradicted", "Unknown", "never", "event"), id="failed-by-hanging-up"
        ),
        pytest.param(
            "CreateCallFailed", 487, 0, None, ("withdrawn", "Success", "never", "event"), id="failed-by-canceling"
        ),
        pytest.param(
            "CreateCallFailed", 700, 1, 16, ("contradicted", "Unknown", "never", "event"), id="failed-but-cleared"
        ),
        pytest.param("CreateCallFailed", 480, 1, None, ("exact", "Success", "later", None), id="failed-and-says-so"),
        pytest.param("CallDisconnected", 200, 0, None, ("ended", "Success", "none", None), id="no-failure"),
        pytest.param(
            "AddParticipantSucceeded", 500, 1, None, ("succeeded", "Success", "none", "event"), id="succeeded-with-500"
        ),
        pytest.param(
            "AddParticipantSucceeded",
            None,
            None,
            None,
            ("succeeded", "Success", "none", "event"),
            id="succeeded-unreported",
        ),
        pytest.param(
            "AddParticipantSucceeded", 200, 0, None, ("succeeded", "Success", "none", None), id="succeeded-with-200"
        ),
        pytest.param(
            "CancelAddParticipantSucceeded",
            487,
            5234,
            None,
            ("event succeeded", "Success", "later", None),
            id="an-exact-row-knows-better",
        ),
    ],
)
def test_the_event_outranks_the_code(
    event: str, code: int | None, subcode: int | None, q850: int | None, answer: tuple[str, str, str, str | None]
) -> None:
    """What failed did not end as intended, and what succeeded did, whatever the code says."""
    verdict = CATALOG.look_up(event, code, subcode, q850=q850)
    row = verdict.entry
    assert (row.summary, row.category, row.retry, verdict.refined_by) == answer


@pytest.mark.parametrize("event", sorted(name for name in CALL_EVENTS | OPERATION_EVENTS if name.endswith("Failed")))
def test_an_overruled_success_has_the_words_of_its_event(event: str) -> None:
    """Nothing that a success says is left: not its cause, not its category, and no sentence of it."""
    known = Catalog.default()
    for subcode in (0, 5000, 5300, 7000, 7015, 8514, 18503, 540000, 560000):
        row = known.look_up(event, 200, subcode).entry
        ended = known.look_up("CallDisconnected", 200, subcode).entry
        verdict = (row.key.special, row.cause, row.retry, row.confidence)
        assert verdict == ("contradicted", "unknown", "never", "low"), subcode
        assert row.key.events == ((event,) if event in CALL_EVENTS else ()), subcode
        assert not {row.summary, *row.advice} & {ended.summary, *ended.advice}, subcode


NUMBERS = st.none() | st.integers() | st.sampled_from([0, 200, 486, 487, 500, 8522, 560403, 560486, 540480])
EVENTS = st.none() | st.text() | st.sampled_from(sorted(CALL_EVENTS | OPERATION_EVENTS))


@given(EVENTS, NUMBERS, NUMBERS, NUMBERS, st.none() | st.text() | st.just("Network Blocked"), NUMBERS)
@example("x" * 10_000, 10**5_000, 10**5_000, -(10**5_000), "\udc80\x00", 10**5_000)
@example("", -(10**5_000), -(10**5_000), 0, "", 0)
def test_any_result_has_one_verdict(
    event: str | None,
    code: int | None,
    subcode: int | None,
    sip: int | None,
    message: str | None,
    q850: int | None,
) -> None:
    """Any text, any integers, any diagnostics give a verdict, the same each time, and never a made-up success."""
    known = Catalog.default()
    verdict = known.look_up(event, code, subcode, sip=sip, sip_message=message, q850=q850)
    again = known.look_up(event, code, subcode, sip=sip, sip_message=message, q850=q850)
    afresh = known.with_overrides({}).look_up(event, code, subcode, sip=sip, sip_message=message, q850=q850)
    assert verdict == again == afresh
    if verdict.match == "none" and verdict.refined_by is None:
        assert (verdict.entry.category, verdict.entry.disposition) == (ResultCategory.UNKNOWN, "terminal")
    if event is not None and event_name(event).endswith("Failed"):
        assert verdict.entry.retry is not RetryClass.NONE


def test_the_memo_is_bounded() -> None:
    """A sender of nonsense does not fill memory, and what was forgotten is answered alike."""
    catalog = CATALOG.with_overrides({})
    first = catalog.look_up(None, 480, 0)
    sizes = {len(catalog._memo) for n in range(2 * MEMO_SIZE) if catalog.look_up(None, 480, n)}
    assert max(sizes) == MEMO_SIZE
    assert catalog.look_up(None, 480, 0) == first


def test_an_answer_is_remembered() -> None:
    """The same question costs one climb; texts that differ without meaning are one question."""
    catalog = CATALOG.with_overrides({})
    answers = [catalog.look_up(None, 480, 1, sip=603, sip_message=text) for text in ("Decline", "decline", None)]
    assert len(catalog._memo) == 1
    assert answers[0] is answers[1] is answers[2]


def test_the_default_catalog_is_loaded_once() -> None:
    """Every caller shares the one immutable catalog."""
    assert Catalog.default() is Catalog.default()


def test_the_entries_make_the_same_catalog_again() -> None:
    """Each entry stands once in ``entries``, and together they are the catalog."""
    entries = Catalog.default().entries
    assert len(set(entries)) == len(entries)
    assert Catalog(entries).entries == entries


def test_two_entries_with_one_key_are_refused() -> None:
    """A key has one answer."""
    with pytest.raises(CatalogError) as refused:
        Catalog([*FOUNDATION, entry("one", code=1), entry("two", code=1)])
    assert str(refused.value) == "code 1: this key stands twice; keep one entry"


def test_what_is_no_entry_is_refused() -> None:
    """Such as the letters of a file's name: the file is for ``with_overrides``."""
    name: Any = "x.toml"
    with pytest.raises(CatalogError) as refused:
        Catalog(name)
    assert str(refused.value) == (
        "a catalog has entries, and 'x' is none; for rows of your own write "
        "Catalog.default().with_overrides('overrides.toml')"
    )


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        (0, "special contradicted"),
        (1, "special unknown"),
        (2, "special unreported"),
        (3, "scope operation, code 200, subcode 0"),
    ],
)
def test_a_catalog_without_its_last_resort_is_refused(left_out: int, named: str) -> None:
    """The look-up never raises, so what it falls back on must be there from the start."""
    with pytest.raises(CatalogError) as refused:
        Catalog([each for number, each in enumerate(FOUNDATION) if number != left_out])
    assert str(refused.value) == (
        f"a catalog needs an entry for {named}; start from Catalog.default() and use with_overrides"
    )


# Status details of media streaming and transcription


@pytest.mark.parametrize(
    ("word", "cause", "retry", "action"),
    [
        ("authenticationFailure", "unauthenticated", "after_fix", "none"),
        ("AUTHENTICATIONFAILURE", "unauthenticated", "after_fix", "none"),
        ("badRequest", "bad_request", "after_fix", "none"),
        ("forbidden", "forbidden", "after_fix", "none"),
        ("initialWebSocketConnectionFailed", "misconfigured", "after_fix", "none"),
        ("serviceShutdown", "service_error", "later", "repeat_operation"),
        ("serviceTimeout", "timeout", "later", "repeat_operation"),
        ("speechServicesConnectionError", "service_error", "later", "repeat_operation"),
        ("streamConnectionInterrupted", "client_network", "later", "repeat_operation"),
        ("streamConnectionUnsuccessful", "misconfigured", "after_fix", "none"),
        ("streamUrlMissing", "bad_request", "after_fix", "none"),
        ("tooManyRequests", "throttled", "later", "repeat_operation"),
    ],
)
def test_the_services_own_word_says_why_a_stream_failed(word: str, cause: str, retry: str, action: str) -> None:
    """Whatever code comes with it, and without any."""
    catalog = Catalog.default()
    for event in ("MediaStreamingFailed", "Microsoft.Communication.transcriptionfailed"):
        for code in ((None, None), (500, 8581), (400, 8500), (200, 0)):
            verdict = catalog.look_up(event, *code, status=word)
            found = (verdict.entry.cause, verdict.entry.retry, verdict.retry_action, verdict.refined_by)
            assert found == (cause, retry, action, "status"), (event, code)


@pytest.mark.parametrize("word", ["unspecifiedError", "subscriptionStopped", "", "somethingNew", None])
def test_a_word_that_says_nothing_changes_nothing(word: str | None) -> None:
    """Code and subcode decide."""
    for code in ((None, None), (500, 8581), (999, 123)):
        catalog = Catalog.default()
        told = catalog.look_up("MediaStreamingFailed", *code, status=word)
        assert told == catalog.look_up("MediaStreamingFailed", *code)


def test_only_those_two_events_have_such_a_word() -> None:
    """A stream that stopped, and a call that ended, are judged without it: no refusal is relaxed by one."""
    catalog = Catalog.default()
    for event in (CALL_EVENTS | OPERATION_EVENTS) - {"MediaStreamingFailed", "TranscriptionFailed"}:
        for code in ((None, None), (200, 0), (603, 0), (500, 8581)):
            assert catalog.look_up(event, *code, status="serviceShutdown") == catalog.look_up(event, *code), event


def test_a_user_may_judge_such_a_word_otherwise() -> None:
    """By the word itself."""
    row = {"special": "serviceShutdown", "retry": "after_fix", "owner": "admin"}
    verdict = Catalog.default().with_overrides(row).look_up("TranscriptionFailed", None, None, status="serviceShutdown")
    assert (verdict.entry.cause, verdict.entry.retry, verdict.entry.owner) == ("service_error", "after_fix", "admin")
