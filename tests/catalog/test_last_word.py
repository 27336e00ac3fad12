"""A person's word is last: no carrier's detail changes a field that an override states, unless the row asks for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ringback_catalog import CALL_EVENTS, Catalog, CatalogError, Owner, Verdict
from ringback_catalog._model import VERDICT
from ringback_catalog._words import STATUS

DEFAULT = Catalog.default()
SIP = [(each.key.sip, each.key.phrase) for each in DEFAULT.entries if each.key.sip is not None]
Q850 = [each.key.q850 for each in DEFAULT.entries if each.key.q850 is not None]
MEDIA = ("MediaStreamingFailed", "TranscriptionFailed")
EVENTS = (None, *sorted(CALL_EVENTS), "AddParticipantFailed", "CallConnected", *MEDIA)
REFUSED = {"q850": 21}
"""The detail of a person who has declined."""


class Asked(NamedTuple):
    """A result as it is reported, and the keys of overrides by which it is reached, the most specific first."""

    code: int | None
    subcode: int | None
    keys: tuple[dict[str, Any], ...]


ASKED = [
    Asked(480, 560480, ({"code": 480, "subcode": 560480},)),
    Asked(486, 60486, ({"code": 486, "subcode": 560486},)),
    Asked(497, 560487, ({"code": 487, "subcode": 560487}, {"code": 497, "subcode": 560487})),
    Asked(0, 560000, ({"code": 200, "subcode": 560000}, {"code": 0, "subcode": 560000})),
    Asked(503, 560503, ({"code": 503, "subcode": 560503},)),
    Asked(603, 560603, ({"code": 603, "subcode": 560603},)),
    Asked(503, 0, ({"code": 503},)),
    Asked(503, None, ({"code": 503},)),
    Asked(404, 8522, ({"subcode": 8522},)),
    Asked(500, 549123, ({"subcode": "549xxx"},)),
    Asked(577, 123, ({"code": "500-599"}, {"code": "577-577"}, {"code": 577})),
    Asked(999, 123, ({"special": "unknown"},)),
    Asked(None, None, ({"special": "unreported"},)),
    Asked(400, 560401, ({"sip": 401},)),
]

DETAILS = st.fixed_dictionaries(
    {},
    optional={
        "sip": st.sampled_from(SIP),
        "q850": st.sampled_from(Q850),
        "status": st.sampled_from(STATUS),
    },
)
JUDGED: list[dict[str, Any]] = [
    {},
    *({"retry": retry} for retry in ("now", "later", "after_fix", "never")),
    *({"cause": cause} for cause in ("unreachable", "busy", "hung_up", "declined")),
    {"cause": "canceled", "retry": "none"},
    {"cause": "declined", "retry": "never"},
    {"retry_action": "none"},
    {"retry_action": "call_back", "retry_after": 77},
]
FIELDS = st.builds(
    dict.__or__,
    st.sampled_from(JUDGED),
    st.fixed_dictionaries(
        {},
        optional={
            "owner": st.sampled_from(Owner),
            "category": st.sampled_from(["Success", "ExpectedError", "UnexpectedServerError"]),
            "basis": st.just("inferred"),
            "confidence": st.just("medium"),
            "summary": st.just("Ours."),
            "advice": st.just(["Do this."]),
            "note": st.just("We know better."),
        },
    ),
)
NEW = {"cause": "service_error", "retry": "after_fix", "summary": "New."}


def look_up(catalog: Catalog, event: str | None, asked: Asked, details: dict[str, Any]) -> Verdict:
    sip, phrase = details.get("sip", (None, None))
    return catalog.look_up(
        event,
        asked.code,
        asked.subcode,
        sip=sip,
        sip_message=phrase,
        q850=details.get("q850"),
        status=details.get("status"),
    )


def judged(verdict: Verdict, *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of the judgement."""
    return {name: getattr(verdict.entry, name) for name in VERDICT if name not in but}


def with_row(key: dict[str, Any], event: str | None, by_event: bool, fields: dict[str, Any], **more: Any) -> Catalog:
    """The catalog with one override. A row that the catalog lacks says what such a row must say."""
    row = key | ({"events": [event]} if by_event else {}) | fields | more
    try:
        return DEFAULT.with_overrides([row])
    except CatalogError as error:
        assume("missing" in str(error))
    try:
        return DEFAULT.with_overrides([NEW | row])
    except CatalogError:
        # No row of this key can say that.
        assume(False)
        raise


@st.composite
def overrides(draw: st.DrawFn) -> tuple[dict[str, Any], str | None, bool, Asked, dict[str, Any]]:
    asked = draw(st.sampled_from(ASKED))
    key, event = draw(st.sampled_from(asked.keys)), draw(st.sampled_from(EVENTS))
    by_event = event is not None and draw(st.booleans())
    return key, event, by_event, asked, draw(DETAILS)


AGAIN = ("retry", "retry_action", "retry_after")
"""The fields that a call which nobody makes again does not have."""


@given(overrides(), FIELDS)
def test_no_detail_changes_what_an_override_states(drawn: Any, fields: dict[str, Any]) -> None:
    """Of whatever row the result reaches: by pair, event, code, range, family, status, or knowing nothing."""
    key, event, by_event, asked, details = drawn
    ours = with_row(key, event, by_event, fields)
    row, verdict = (look_up(ours, event, asked, given) for given in ({}, details))
    assume(row.entry.stated)
    if "retry" in row.entry.stated:
        assert judged(verdict) == judged(row)
        assert (verdict.match, verdict.retry_action, verdict.refined_by) == (
            row.match,
            row.retry_action,
            row.refined_by,
        )
        return
    kept = [name for name in row.entry.stated if name not in AGAIN]
    assert {name: getattr(verdict.entry, name) for name in kept} == {name: getattr(row.entry, name) for name in kept}
    assert verdict.unheard is None


@given(overrides(), FIELDS)
def test_a_detail_still_says_what_an_override_does_not_state(drawn: Any, fields: dict[str, Any]) -> None:
    """And whoever a detail forbids to call is not called, unless the row says when to call again."""
    key, event, by_event, asked, details = drawn
    assume(fields.keys() & set(VERDICT))
    last, refined = (with_row(key, event, by_event, fields, **more) for more in ({}, {"refine": True}))
    verdict, theirs = (look_up(catalog, event, asked, details) for catalog in (last, refined))
    assume("retry" not in verdict.entry.stated)
    stated = verdict.entry.stated
    assert judged(verdict, but=(*stated, *AGAIN)) == judged(theirs, but=(*stated, *AGAIN))
    assert (verdict.match, verdict.refined_by) == (theirs.match, theirs.refined_by)
    if theirs.entry.disposition == "terminal":
        assert verdict.entry.disposition == "terminal"


@pytest.mark.parametrize("refine", [{}, {"refine": False}, {"refine": True}], ids=str)
@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ({"code": 503, "subcode": 560503}, (None, 503, 560503)),
        ({"events": ["CreateCallFailed"], "code": 503, "subcode": 560503}, ("CreateCallFailed", 503, 560503)),
        ({"code": 503}, ("CallDisconnected", 503, 0)),
        ({"events": "CallDisconnected", "code": 503}, ("CallDisconnected", 503, None)),
        ({"code": "500-599"}, (None, 577, 5)),
        ({"code": 503, "subcode": 599001, "cause": "unreachable", "summary": "Ours."}, (None, 503, 599001)),
    ],
    ids=["pair", "event", "code", "code of an event", "range", "added"],
)
@pytest.mark.parametrize("detail", [{"q850": 17}, {"sip": 486}], ids=str)
def test_never_is_never(key: dict[str, Any], asked: Any, detail: dict[str, int], refine: dict[str, bool]) -> None:
    """Busy, later: unless the row asks for that."""
    ours = DEFAULT.with_overrides([key | {"retry": "never"} | refine])
    verdict = ours.look_up(*asked, **detail)  # type: ignore[arg-type]
    (by,) = detail
    if refine == {"refine": True}:
        assert (verdict.entry.cause, verdict.entry.retry) == ("busy", "later")
        assert (verdict.refined_by, verdict.unheard) == (by, None)
    else:
        assert verdict.entry == ours.look_up(*asked).entry
        assert (verdict.entry.retry, verdict.refined_by, verdict.unheard) == ("never", None, by)


def test_later_is_later() -> None:
    """Also beside a refusal, which no override can call worth another try by a cause of its own."""
    ours = DEFAULT.with_overrides({"code": 480, "subcode": 560480, "retry": "later"})
    verdict = ours.look_up(None, 480, 560480, **REFUSED)
    assert (verdict.entry.cause, verdict.entry.retry, verdict.retry_action) == ("no_answer", "later", "place_call")
    assert verdict.unheard == "q850"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"owner": "app"}, ("declined", "never", "app")),
        ({"cause": "unreachable"}, ("unreachable", "never", "callee")),
        ({"summary": "Ours.", "retry_after": 60}, ("declined", "never", "callee")),
    ],
    ids=str,
)
def test_a_row_that_does_not_say_when_to_call_again_rings_nobody_who_declined(
    fields: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """A translated summary, for example, says nothing of the person who was called."""
    verdict = DEFAULT.with_overrides([{"code": 480, "subcode": 560480} | fields]).look_up(None, 480, 560480, **REFUSED)
    entry = verdict.entry
    assert (entry.cause, entry.retry, entry.owner) == expected
    assert (verdict.refined_by, verdict.unheard) == ("q850", None)
    assert set(entry.stated) == fields.keys()
    assert entry.overrides == ("overrides: entry 1 (code 480, subcode 560480)",)


def test_a_stated_cause_that_cannot_end_as_intended_is_not_called_again() -> None:
    """Somebody else has answered: that is no reason to call, whatever the cause is called."""
    ours = DEFAULT.with_overrides({"code": 480, "subcode": 560480, "cause": "unreachable"})
    verdict = ours.look_up(None, 480, 560480, q850=26)
    assert (verdict.entry.cause, verdict.entry.retry) == ("unreachable", "never")


@pytest.mark.parametrize("q850", [{}, {"q850": 17}, {"q850": 34}], ids=str)
def test_a_persons_word_on_a_status_outranks_a_q850_cause(q850: dict[str, int]) -> None:
    """A row of a SIP status is a detail to other rows, and to a cause it is the row."""
    ours = DEFAULT.with_overrides({"sip": 486, "retry": "never"})
    for code, subcode in ((503, 560503), (486, 560486), (486, 0)):
        verdict = ours.look_up("CreateCallFailed", code, subcode, sip=486, **q850)
        assert (verdict.entry.cause, verdict.entry.retry) == ("busy", "never")


def test_a_persons_word_on_a_cause_is_a_details_word() -> None:
    """The row of the code has the last word, where there is one."""
    cause = {"q850": 17, "retry": "never"}
    assert DEFAULT.with_overrides(cause).look_up(None, 503, 560503, q850=17).entry.retry == "never"
    both = DEFAULT.with_overrides([cause, {"code": 503, "subcode": 560503, "retry": "now"}])
    assert both.look_up(None, 503, 560503, q850=17).entry.retry == "now"


def test_the_services_own_word_is_a_detail_too() -> None:
    """Of media streaming and transcription."""
    key = {"events": ["MediaStreamingFailed"], "code": 500, "subcode": 1, "cause": "media", "summary": "Ours."}
    ours = DEFAULT.with_overrides(key | {"retry": "later"})
    verdict = ours.look_up("MediaStreamingFailed", 500, 1, status="authenticationFailure")
    assert (verdict.entry.cause, verdict.entry.retry, verdict.unheard) == ("media", "later", "status")


def test_a_later_override_takes_the_word_or_gives_it_back() -> None:
    """Overrides stack; what the later one says of a field is said of it."""
    key = {"code": 503, "subcode": 560503}
    ours = DEFAULT.with_overrides([key | {"retry": "never", "owner": "admin"}])
    assert ours.look_up(None, 503, 560503).entry.stated == ("retry", "owner")
    assert ours.with_overrides(key | {"summary": "Ours."}).look_up(None, 503, 560503).entry.stated == (
        "retry",
        "owner",
        "summary",
    )
    again = ours.with_overrides(key | {"retry": "never", "refine": True})
    assert again.look_up(None, 503, 560503).entry.stated == ("owner",)
    assert again.look_up(None, 503, 560503, q850=17).entry.retry == "later"


def test_a_row_of_a_failed_event_starts_from_the_words_of_a_failure() -> None:
    """Its code says success, which the event outranks: without that, the row would have changed nothing."""
    key = {"events": ["CreateCallFailed"], "code": 200, "subcode": 5002}
    before = DEFAULT.look_up("CreateCallFailed", 200, 5002)
    ours = DEFAULT.with_overrides(key | {"owner": "admin"})
    after = ours.look_up("CreateCallFailed", 200, 5002)
    assert (after.entry.owner, after.entry.cause, after.entry.summary, after.refined_by) == (
        "admin",
        before.entry.cause,
        before.entry.summary,
        None,
    )
    assert ours.look_up("CallDisconnected", 200, 5002) == DEFAULT.look_up("CallDisconnected", 200, 5002)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"refine": "yes"}, "refine: 'yes' is neither true nor false; write one of them, without quotes"),
        ({"refine": 1}, "refine: 1 is neither true nor false; write one of them, without quotes"),
        (
            {"refine": True},
            "refine = true lets carriers' details change what the row states, and the row states nothing; state for "
            "example retry, or leave refine out",
        ),
        ({"refin": True}, "unknown field 'refin'; did you mean 'refine'?"),
    ],
    ids=str,
)
def test_a_wrong_refine_is_refused(row: dict[str, Any], message: str) -> None:
    """With the value and the remedy, when the overrides are read."""
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides([{"code": 486, "subcode": 560486} | row])
    assert str(refused.value) == f"overrides: entry 1 (code 486, subcode 560486): {message}"


@pytest.mark.parametrize("key", [{"q850": 17}, {"sip": 603, "phrase": "network blocked"}, {"special": "forbidden"}])
@pytest.mark.parametrize("refine", [True, False])
def test_refine_is_refused_where_nothing_refines(key: dict[str, Any], refine: bool) -> None:
    """A row that is itself a detail."""
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides([key | {"retry": "never", "refine": refine}])
    assert str(refused.value).endswith(
        "refine goes with a row that details refine, and this row is a detail; leave it out"
    )
