"""What a carrier's details may do: stricter always, relaxed only where a row is vague, and a final word never."""

from __future__ import annotations

import random
from itertools import product

import pytest

from ringback_catalog import CALL_EVENTS, Catalog, Cause, Confidence, Match, RetryAction
from ringback_catalog._load import load_entries

CATALOG = Catalog.default()
ENTRIES = load_entries()
EVENTS = [None, *sorted(CALL_EVENTS), "AddParticipantFailed", "PlayFailed"]
KEYS = sorted(
    {(each.key.code, each.key.subcode) for each in ENTRIES if each.key.kind == "pair"}
    | {(each.key.code, None) for each in ENTRIES if each.key.kind == "code"}
    | {(480, each.key.subcode) for each in ENTRIES if each.key.kind == "subcode"}
    | {(480, 560486), (603, 560480), (999, 123), (599, 99)},
    key=str,
)
Q850 = {each.key.q850: each for each in ENTRIES if each.key.q850 is not None}
SIP = {(each.key.sip, each.key.phrase): each for each in ENTRIES if each.key.sip is not None}
REFUSED = frozenset({Cause.DECLINED, Cause.BLOCKED, Cause.INVALID_NUMBER})
FINAL_CAUSES = {number for number, row in Q850.items() if row.cause in REFUSED and row.specific}
FINAL_STATUSES = [(603, None), (603, "Network Blocked"), (604, None), (607, None), (608, None)]
MEANINGLESS = [{"q850": 16}, {"q850": 31}, {"q850": 127}, {"q850": 99999}, {"q850": -1}, {"sip": 183}, {"sip": 777}]


def fresh() -> Catalog:
    """The same answers, none remembered: what is asked millions of times should not fill one memory."""
    return CATALOG.with_overrides({})


def look_up(event, code, subcode, **details):
    return CATALOG.look_up(event, code, subcode, **details)


def told(verdict):
    row = verdict.entry
    return row.cause, row.retry, row.owner, row.confidence, verdict.match, verdict.refined_by


@pytest.mark.parametrize(
    ("event", "code", "subcode", "details", "expected"),
    [
        ("AnswerFailed", 400, 8500, {}, {"disposition": "retryable", "action": "repeat_operation"}),
        (
            "CreateCallFailed",
            486,
            560486,
            {"q850": 21},
            {"cause": "declined", "retry": "never", "refined_by": "q850"},
        ),
        ("CreateCallFailed", 480, 560480, {"q850": 1}, {"cause": "invalid_number", "retry": "never"}),
        ("CreateCallFailed", 480, 560480, {"q850": 21}, {"cause": "declined", "retry": "never"}),
        ("CreateCallFailed", 480, 560480, {"q850": 22}, {"cause": "invalid_number", "disposition": "terminal"}),
        ("CreateCallFailed", 480, 560480, {"q850": 28}, {"cause": "invalid_number", "disposition": "terminal"}),
        (
            "CreateCallFailed",
            603,
            0,
            {"sip": 603, "sip_message": "Network Blocked", "q850": 21},
            {"cause": "blocked", "retry": "after_fix", "owner": "admin"},
        ),
        (
            "CreateCallFailed",
            603,
            560603,
            {"sip": 603, "sip_message": "NETWORK - blocked;v=1", "q850": 34},
            {"cause": "blocked", "retry": "after_fix", "owner": "admin"},
        ),
        ("CreateCallFailed", 603, 560603, {"q850": 34}, {"cause": "carrier_error", "disposition": "retryable"}),
        ("CreateCallFailed", 603, 560603, {"sip": 603, "q850": 17}, {"cause": "declined", "retry": "never"}),
        ("CreateCallFailed", 500, 511404, {}, {"cause": "not_found", "retry": "after_fix", "confidence": "low"}),
        (None, 500, 511404, {}, {"match": "subcode"}),
        (None, 403, 9999, {}, {"cause": "forbidden", "retry": "after_fix", "match": "code"}),
        (None, 412, 9998, {}, {"cause": "conflict", "match": "code"}),
        (None, 401, 9001, {}, {"cause": "unauthenticated", "match": "code"}),
        (None, 429, 9002, {}, {"cause": "throttled", "match": "code"}),
        (None, None, 0, {}, {"cause": "unreported"}),
        ("CallDisconnected", None, 560486, {}, {"cause": "unreported"}),
        ("CallEnded", None, None, {}, {"cause": "unreported", "owner": "nobody", "retry": "never"}),
        ("AnswerFailed", 487, 10004, {}, {"disposition": "retryable", "action": "call_back"}),
        ("ConnectFailed", 408, 10057, {}, {"disposition": "retryable", "action": "connect_call"}),
        ("CreateCallFailed", 409, 8519, {}, {"disposition": "retryable", "action": "repeat_operation"}),
        ("CallDisconnected", 400, 8510, {}, {"disposition": "retryable", "action": "repeat_operation"}),
        ("CallDisconnected", 200, 8534, {}, {"cause": "ended", "disposition": "terminal"}),
        (None, 404, 560404, {"q850": 3}, {"cause": "misconfigured", "retry": "after_fix", "owner": "carrier"}),
        (None, 404, 560404, {"q850": 17}, {"cause": "busy", "disposition": "retryable"}),
        (None, 404, 560404, {"q850": 34}, {"cause": "carrier_error", "disposition": "retryable"}),
        (None, 480, 560480, {"sip": 404, "q850": 98}, {"cause": "invalid_number", "retry": "never"}),
        (None, 480, 560480, {"sip": 404, "q850": 34}, {"cause": "carrier_error", "disposition": "retryable"}),
        (None, 404, 560404, {"q850": 98}, {"cause": "invalid_number", "retry": "never"}),
        (None, 603, 560603, {"q850": 111}, {"cause": "declined", "retry": "never"}),
        (None, 999, 123, {"q850": 98}, {"cause": "carrier_error", "disposition": "retryable"}),
        ("CallDisconnected", 487, 560487, {"q850": 19}, {"cause": "no_answer", "disposition": "retryable"}),
        ("CreateCallFailed", 487, 560487, {"q850": 19}, {"cause": "no_answer", "disposition": "retryable"}),
        ("CallDisconnected", 487, 560487, {"q850": 17}, {"cause": "canceled", "retry": "none"}),
        ("CreateCallFailed", 603, 560480, {}, {"cause": "declined", "retry": "never", "confidence": "low"}),
        ("CallDisconnected", 200, 560486, {}, {"cause": "ended", "retry": "none"}),
        ("CreateCallFailed", 200, 560486, {}, {"cause": "unknown", "retry": "never"}),
        (None, 480, 560480, {}, {"cause": "no_answer", "confidence": "medium"}),
        (None, 408, 560408, {}, {"cause": "no_answer", "confidence": "medium"}),
        (None, 999, 123, {"q850": 41}, {"cause": "carrier_error", "retry": "later", "confidence": "low"}),
        (None, 403, 560403, {"q850": 41}, {"cause": "forbidden", "retry": "after_fix"}),
        ("RemoveParticipantFailed", 404, 8522, {}, {"match": "generic_subcode", "retry": "never"}),
        ("PlayFailed", 400, 8523, {}, {"match": "generic_subcode", "cause": "bad_request"}),
        ("CallDisconnected", 486, 560486, {"q850": 26}, {"cause": "answered_elsewhere", "retry": "none"}),
        ("CallDisconnected", 400, 8500, {"q850": 17}, {"cause": "conflict", "action": "repeat_operation"}),
        (None, 404, 511404, {"sip": 404}, {"cause": "not_found", "refined_by": None}),
        (None, 480, 8603, {"sip": 603}, {"cause": "declined", "refined_by": "sip"}),
        ("CreateCallFailed", 200, 5002, {"q850": 17}, {"cause": "declined", "retry": "never"}),
        (None, 500, 7000, {}, {"cause": "service_error", "match": "code"}),
        (None, 405, 8522, {}, {"cause": "misconfigured", "match": "pair"}),
    ],
)
def test_what_must_hold(event, code, subcode, details, expected) -> None:
    """The answers on which somebody is called again, or is not."""
    verdict = look_up(event, code, subcode, **details)
    row = verdict.entry
    answer = {
        "cause": row.cause,
        "retry": row.retry,
        "disposition": row.disposition,
        "owner": row.owner,
        "confidence": row.confidence,
        "match": verdict.match,
        "refined_by": verdict.refined_by,
        "action": verdict.retry_action,
    }
    assert {name: answer[name] for name in expected} == expected


@pytest.mark.parametrize("text", ["Network Blocked", "network  blocked", "Network-Blocked", "NETWORK_BLOCKED (v2)"])
@pytest.mark.parametrize("q850", [None, 16, 17, 21, 34])
def test_a_block_is_read_however_it_is_written(text: str, q850: int | None) -> None:
    """ATIS-1000099 fixes the words; carriers space and hyphenate them as they like."""
    verdict = look_up("CreateCallFailed", 603, 0, sip=603, sip_message=text, q850=q850)
    assert told(verdict) == ("blocked", "after_fix", "admin", "high", "exact", "sip")


@pytest.mark.untraced
def test_a_final_cause_is_never_followed_by_another_call() -> None:
    """Whatever rung answered and whatever the SIP status: refused, blocked and unallocated are terminal."""
    catalog, statuses = fresh(), [None, *{sip for sip, _ in SIP}]
    wrong = [
        (event, *key, q850)
        for event, key, q850 in product(EVENTS, KEYS, sorted(FINAL_CAUSES))
        if catalog.look_up(event, *key, q850=q850).entry.disposition == "retryable"
    ]
    wrong += [
        (event, sip, q850)
        for event, sip, q850 in product(EVENTS, statuses, sorted(FINAL_CAUSES))
        if catalog.look_up(event, 480, 560480, sip=sip, q850=q850).entry.disposition == "retryable"
    ]
    assert wrong == []


@pytest.mark.untraced
def test_a_final_status_is_never_followed_by_another_call() -> None:
    """603, its phrase, 604, 607 and 608 outlast each of the 74 causes, on every key."""
    catalog = fresh()
    causes = [None, 16, 17, 19, 20, 21, 31, 34, 41, 42]
    wrong = [
        (event, *key, sip, q850)
        for event, key, (sip, text), q850 in product(EVENTS[:5], KEYS, FINAL_STATUSES, causes)
        if catalog.look_up(event, *key, sip=sip, sip_message=text, q850=q850).entry.disposition == "retryable"
    ]
    wrong += [
        (event, sip, q850)
        for event, (sip, text), q850 in product(EVENTS, FINAL_STATUSES, Q850)
        if catalog.look_up(event, 480, 560480, sip=sip, sip_message=text, q850=q850).entry.disposition == "retryable"
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "key",
    [(480, 560480), (404, 560404), (603, 560603), (500, 560503), (403, 560403), (487, 560487), (999, 123)],
    ids=str,
)
def test_of_two_details_a_final_one_decides(key: tuple[int, int]) -> None:
    """Every status with every cause: if either is a refusal, a block or no number, nobody is called again."""
    catalog = fresh()
    final = {sip for sip, _ in FINAL_STATUSES}
    wrong = [
        (event, sip, text, q850)
        for event, (sip, text), q850 in product(("CallDisconnected", "CreateCallFailed"), SIP, Q850)
        if (sip in final or q850 in FINAL_CAUSES)
        and catalog.look_up(event, *key, sip=sip, sip_message=text, q850=q850).entry.disposition == "retryable"
    ]
    assert wrong == []


def test_a_refusal_without_details_stays_one_with_any() -> None:
    """What the codes call a refusal, a block or no number, and no mixture, stays terminal."""
    catalog = fresh()
    refused = [
        (event, key)
        for event, key in product(EVENTS, KEYS)
        if (row := catalog.look_up(event, *key).entry).cause in REFUSED and not row.mixture
    ]
    assert refused
    wrong = [
        (event, *key, q850)
        for (event, key), q850 in product(refused, Q850)
        if catalog.look_up(event, *key, q850=q850).entry.disposition == "retryable"
    ]
    wrong += [
        (event, *key, sip)
        for (event, key), (sip, text) in product(refused, SIP)
        if catalog.look_up(event, *key, sip=sip, sip_message=text).entry.disposition == "retryable"
    ]
    assert wrong == []


def test_a_success_a_cancel_and_an_answer_elsewhere_stand() -> None:
    """No detail makes an end that was meant into a reason to call, but for what its own row names."""
    catalog = fresh()
    meant = [(key, row) for key in KEYS if (row := catalog.look_up("CallDisconnected", *key).entry).retry == "none"]
    changed = {
        (key, number)
        for (key, _), number in product(meant, Q850)
        if catalog.look_up("CallDisconnected", *key, q850=number).entry.disposition == "retryable"
    }
    assert changed == {((487, 560487), 18), ((487, 560487), 19)}


def test_a_meaningless_detail_changes_nothing() -> None:
    """Causes that say nothing, numbers nobody lists, provisional statuses and what the subcode said already."""
    catalog = fresh()
    for event, (code, subcode) in product(EVENTS, KEYS):
        plain = told(catalog.look_up(event, code, subcode))
        repeated = [{"sip": subcode % 1000}] if subcode is not None and 500_000 <= subcode < 600_000 else []
        for details in [*MEANINGLESS, *repeated]:
            assert told(catalog.look_up(event, code, subcode, **details)) == plain, (event, code, subcode, details)


def test_an_unknown_subcode_is_never_sure() -> None:
    """Beside any code, under any event, with any detail: confidence low."""
    catalog = fresh()
    codes = sorted({each.key.code for each in ENTRIES if each.key.code is not None} | {299, 333, 499, 599, 699, 999})
    sure = [
        (event, code, details)
        for event, code, details in product(EVENTS, codes, [{}, {"q850": 17}, {"sip": 486}, {"q850": 21}])
        if catalog.look_up(event, code, 987654, **details).entry.confidence is not Confidence.LOW
    ]
    assert sure == []


@pytest.mark.parametrize("empty", [None, 0, 9001, 9002, 9998, 9999])
def test_an_empty_subcode_leaves_the_word_to_the_code(empty: int | None) -> None:
    """Beside a failing code it says nothing, unless a document has the very pair."""
    listed = {(each.key.code, each.key.subcode) for each in ENTRIES if each.key.kind == "pair"}
    codes = {each.key.code for each in ENTRIES if each.key.kind == "code"} - {200}
    for event, code in product(EVENTS, sorted(code for code in codes if (code, empty) not in listed)):
        assert told(look_up(event, code, empty)) == told(look_up(event, code, None)), (event, code)
        assert look_up(event, code, empty).match is Match.CODE


def test_no_subcode_makes_a_call_that_succeeded_retryable() -> None:
    """Under 200 only a row with that very pair says that a call may be made again."""
    listed = {each.key.subcode for each in ENTRIES if each.key.kind == "pair" and each.key.code == 200}
    subcodes = {each.key.subcode for each in ENTRIES if each.key.subcode is not None} - listed
    families = {leg * 1000 + status for leg in (540, 560) for status in range(400, 700)}
    wrong = [
        (event, subcode)
        for event, subcode in product([None, *sorted(CALL_EVENTS)], sorted(subcodes | families))
        if look_up(event, 200, subcode).entry.disposition == "retryable"
    ]
    assert wrong == []


def test_a_suffix_does_not_beat_a_final_code() -> None:
    """603 with any other decoded status stays a refusal, and 604 stays no number."""
    wrong = [
        (event, code, status)
        for event, code, status in product(EVENTS, (603, 604, 607, 608), range(400, 700))
        if look_up(event, code, 560000 + status).entry.disposition == "retryable"
    ]
    assert wrong == []


def test_the_order_of_questions_plays_no_part() -> None:
    """The same question has the same answer in a catalog that was asked other things before."""
    questions = [(event, *key, q850) for event, key in product(EVENTS, KEYS[::7]) for q850 in (None, 1, 17, 21, 34)]
    answers = {each: told(fresh().look_up(*each[:3], q850=each[3])) for each in questions[::97]}
    shuffled = questions[:]
    random.Random(7).shuffle(shuffled)
    catalog = fresh()
    again = {each: told(catalog.look_up(*each[:3], q850=each[3])) for each in shuffled}
    assert {each: again[each] for each in answers} == answers


@pytest.mark.untraced
def test_twenty_thousand_ends_of_calls_lead_to_no_call_that_must_not_be_placed() -> None:
    """Random events, codes and details: none that says no leads to ``place_call``, and no operation does."""
    chance = random.Random(20261128)
    catalog = fresh()
    events = [*sorted(CALL_EVENTS), "AddParticipantFailed", "PlayFailed", "RecognizeFailed", "SomethingNew"]
    keys = [*KEYS, *[(code, chance.choice(KEYS)[1]) for code in (200, 404, 480, 486, 500, 503, 603) for _ in range(40)]]
    statuses = [(None, None), *[(sip, phrase) for sip, phrase in SIP], (603, "Network  Blocked"), (183, "Ringing")]
    causes = [None, *Q850]
    rung: list[object] = []
    for _ in range(20_000):
        event, (code, subcode) = chance.choice(events), chance.choice(keys)
        (sip, text), q850 = chance.choice(statuses), chance.choice(causes)
        verdict = catalog.look_up(event, code, subcode, sip=sip, sip_message=text, q850=q850)
        if verdict.retry_action is not RetryAction.PLACE_CALL:
            continue
        no = sip in (603, 604, 607, 608) or q850 in FINAL_CAUSES or (code, subcode) == (603, 0)
        if no or event not in CALL_EVENTS or event in ("AnswerFailed", "ConnectFailed"):
            rung.append((event, code, subcode, sip, text, q850))
    assert rung == []


@pytest.mark.parametrize(
    ("code", "subcode", "sip", "message", "q850", "cause"),
    [
        # A code that is a final word, beside the subcode of something else.
        (607, 560603, None, None, 17, "declined"),
        (608, 560603, None, None, 34, "declined"),
        (607, 10119, None, None, 34, "bad_request"),
        (604, 8528, 486, None, None, "not_found"),
        (484, 560400, None, None, 17, "bad_request"),
        (433, 0, None, None, 17, "blocked"),
        (485, 0, None, None, 34, "invalid_number"),
        (485, 560480, None, None, None, "invalid_number"),
        (608, 0, None, None, 21, "blocked"),
        (608, 0, None, None, 1, "blocked"),
        # A status that the subcode ends in by chance.
        (503, 510607, 607, None, None, "declined"),
        (503, 500608, 608, None, None, "blocked"),
        (486, 511410, 410, None, None, "invalid_number"),
        (500, 510604, 604, None, None, "invalid_number"),
        (503, 580603, 603, None, None, "declined"),
        # A phrase without its status.
        (603, 560603, None, "Network Blocked", 17, "blocked"),
        (603, 0, 0, "network-blocked", 34, "blocked"),
        (500, 560603, None, "NETWORK_BLOCKED", 19, "blocked"),
        # A final word within a subcode that has no code.
        (None, 560607, None, None, 17, "unreported"),
        (None, 560604, None, None, 17, "unreported"),
    ],
)
def test_a_final_word_is_heard_wherever_it_stands(
    code: int | None, subcode: int, sip: int | None, message: str | None, q850: int | None, cause: str
) -> None:
    """In the code, in the subcode, in the status or in its text: no call is placed again."""
    verdict = Catalog.default().look_up("CreateCallFailed", code, subcode, sip=sip, sip_message=message, q850=q850)
    assert (verdict.entry.cause, verdict.entry.disposition, verdict.retry_action) == (cause, "terminal", "none")


def test_beside_a_final_code_nothing_asks_for_another_call() -> None:
    """Every known subcode, status and cause beside 603, 604, 607 and 608; 603 is a mixture where its pair is."""
    catalog = Catalog.default()
    subcodes = sorted({entry.key.subcode for entry in catalog.entries if entry.key.subcode is not None})
    for code in (604, 607, 608):
        for subcode in subcodes:
            for sip, q850 in ((None, 17), (None, 34), (486, None), (480, 19), (503, 41)):
                verdict = catalog.look_up("CreateCallFailed", code, subcode, sip=sip, q850=q850)
                assert verdict.retry_action != "place_call", (code, subcode, sip, q850)
