"""An outcome as bytes and back: the same but for what is private, and nothing beyond the white list."""

from __future__ import annotations

import hashlib
import json
import math
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringback import Catalog, Event, Outcome, classify, classify_event, parse_delivery, use_redaction
from ringback.core.events import Diagnostic, EventData, Result
from ringback.exceptions import StoreError
from ringback.privacy.redaction import redact
from ringback.stores.record import dump, dump_progress, dump_sibling, load, load_contact, load_progress
from ringback.stores.rows import Row, stored_row
from ringback.work.items import Item, Kind, Progress
from ringback.work.keys import short
from ringback_catalog import Match, RetryAction, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

PAYLOADS = Path(__file__).parents[1] / "payloads"
OVERRIDES = [
    {"code": 487, "subcode": 560487, "retry": "later"},
    {"code": 699, "subcode": 12345, "cause": "busy", "retry": "later", "summary": "Our own carrier's busy tone."},
]
STUBBORN = Catalog.default().with_overrides(
    [{"code": 603, "subcode": 0, "cause": "blocked", "retry": "later", "owner": "carrier"}]
)
OWN = Catalog.default().with_overrides(OVERRIDES)
LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-000000000002"


@pytest.fixture(autouse=True)
def _as_at_first() -> Iterator[None]:
    """The default mode, before and after: the mode is the whole process's."""
    use_redaction("mask")
    yield
    use_redaction("mask")


def outcome(message: str | None = None, *, sip: str | None = None, q850: str | None = None, **changes: Any) -> Outcome:
    """A busy call's end, with these texts of the service and of carriers."""
    told = Result(486, 560486, message, Diagnostic(486, sip), Diagnostic(17, q850))
    data = EventData(
        call_connection_id=LEG,
        server_call_id="c2VydmVy",
        correlation_id=CALL,
        operation_context="order-42",
        version="2026-03-12",
        result_information=told,
    )
    fields: dict[str, Any] = {
        "type": "Microsoft.Communication.CallDisconnected",
        "id": "1f0e5c1a-0000-4000-8000-000000000003",
        "source": f"calling/callConnections/{LEG}",
        "subject": f"calling/callConnections/{LEG}",
        "time": "2026-06-15T10:00:00.1234567+00:00",
        "data": data,
    } | changes
    found = classify_event(Event(**fields))
    assert found is not None
    return found


def kept(whole: Outcome) -> Outcome:
    """The outcome as it is to come back: written another way than the module, by rebuilding it redacted."""
    event, told = whole.event, whole.result
    data = event.data
    if told is not None:
        told = Result(
            told.code,
            told.subcode,
            told.message and redact(told.message),
            told.sip and Diagnostic(told.sip.code, told.sip.message and redact(told.sip.message)),
            told.q850 and Diagnostic(told.q850.code, told.q850.message and redact(told.q850.message)),
        )
    data = EventData(
        data.call_connection_id,
        data.server_call_id,
        data.correlation_id,
        data.operation_context,
        data.version,
        told,
        data.media_streaming_update,
        data.transcription_update,
    )
    source, subject = event.source and redact(event.source), event.subject and redact(event.subject)
    return Outcome(Event(event.type, event.id, source, subject, event.time, data), whole.verdict)


def bare(whole: Outcome) -> Outcome:
    """Without the bytes it came from, which are not stored."""
    event = whole.event
    return Outcome(
        Event(event.type, event.id, event.source, event.subject, event.time, event.data), whole.verdict, whole.sibling
    )


def test_an_outcome_comes_back_as_it_was() -> None:
    """Event, verdict and everything read from them, the redacted JSON form too."""
    whole = outcome("Busy here", sip="Busy Here", q850="USER_BUSY")
    assert load(dump(whole)) == whole
    assert load(dump(whole)).to_dict() == whole.to_dict()
    assert load(dump(whole)).outcome_id == f"call:{LEG}"


@pytest.mark.parametrize("place", sorted(PAYLOADS.glob("*.json")), ids=lambda place: place.stem)
def test_a_recorded_delivery_comes_back(place: Path) -> None:
    """Each outcome of each recorded body, but for what is private and the body itself."""
    for event in parse_delivery(place.read_bytes()).events:
        for catalog in (Catalog.default(), OWN):
            whole = classify_event(event, catalog)
            if whole is not None:
                assert load(dump(whole)) == kept(whole)
                assert not hasattr(load(dump(whole)).event, "raw")
                assert dump(load(dump(whole))) == dump(whole)


@pytest.mark.parametrize("catalog", [Catalog.default(), OWN], ids=["default", "overrides"])
def test_every_entry_comes_back(catalog: Catalog) -> None:
    """Whatever verdict an outcome has, also one of an override or one that a carrier's detail changed."""
    event = outcome().event
    for entry in catalog.entries:
        for match, by in ((Match.EXACT, None), (Match.NONE, "sip")):
            whole = Outcome(event, Verdict(entry, match, by))
            assert load(dump(whole)) == whole
            assert load(dump(whole)).to_dict() == whole.to_dict()


@pytest.mark.parametrize(
    ("event", "code", "subcode", "action"),
    [
        ("CallDisconnected", 486, 560486, RetryAction.PLACE_CALL),
        ("AnswerFailed", 486, 560486, RetryAction.CALL_BACK),
        ("ConnectFailed", 486, 560486, RetryAction.CONNECT_CALL),
        ("PlayFailed", 486, 560486, RetryAction.REPEAT_OPERATION),
        ("CallDisconnected", 603, 0, RetryAction.NONE),
    ],
)
def test_a_record_of_an_earlier_release_says_what_is_to_be_made_again(
    event: str, code: int, subcode: int, action: RetryAction
) -> None:
    """It lacks the action: that is today's catalog's, and where that is terminal by now, the event's."""
    for whole in (classify(event, code, subcode), classify(event, code, subcode, catalog=STUBBORN)):
        stored = json.loads(dump(whole))
        assert stored["verdict"].pop("action") == whole.retry_action
        stored["verdict"].pop("retry_after", None)
        old = load(json.dumps(stored).encode())
        assert (old.cause, old.disposition) == (whole.cause, whole.disposition)
        assert old.retry_action == whole.retry_action
    assert classify(event, code, subcode).retry_action is action


def test_the_verdict_is_of_the_time_when_the_event_came() -> None:
    """An override's row comes back in a process that has no overrides."""
    whole = classify("CallDisconnected", 699, 12345, catalog=OWN)
    assert load(dump(whole)) == whole
    assert load(dump(whole)).summary == "Our own carrier's busy tone."


numbers = st.none() | st.integers() | st.sampled_from([200, 487, 500, 2**31 - 1, 2**31, -(2**31), 2**64, 10**30])
events = st.none() | st.sampled_from(["CallDisconnected", "CreateCallFailed", "PlayFailed", "CallEnded"]) | st.text()


def carried(number: int | None) -> int | None:
    return number if number is not None and abs(number) < 2**31 else None


@given(event=events, code=numbers, subcode=numbers, sip=numbers, q850=numbers)
def test_any_classified_result_comes_back(event: Any, code: Any, subcode: Any, sip: Any, q850: Any) -> None:
    """What ``classify`` takes can be stored; a number that no event can carry reads as absent, as in an event."""
    whole = classify(event, code, subcode, sip=sip, q850=q850)
    back = load(dump(whole))
    assert back.verdict == whole.verdict
    assert (back.code, back.subcode) == (carried(code), carried(subcode))
    assert (back.sip, back.q850) == tuple(None if each is None else Diagnostic(carried(each)) for each in (sip, q850))
    assert dump(back) == dump(whole)


texts = st.none() | st.text() | st.text(st.characters(categories=["Cs", "Cc", "Lu", "Nd"]))


@given(texts=st.lists(texts, min_size=13, max_size=13))
@example(texts=["\ud800"] * 13)
@example(texts=["\0\x7f\u2028"] * 13)
def test_no_text_can_make_it_raise(texts: list[Any]) -> None:
    """Lone surrogates are stored as their escapes; a record that was read is written the same again."""
    kind, *ids, message, sip, q850 = texts
    told = Result(486, 560486, message, Diagnostic(486, sip), Diagnostic(17, q850))
    event = Event(kind or "", *ids[:4], EventData(*ids[4:9], told))
    whole = classify_event(event)
    assert whole is not None
    stored = dump(whole)
    back = load(stored)
    assert back.verdict == whole.verdict
    assert dump(back) == stored
    if all(each is None or each.isprintable() for each in texts) and not any(c in f"{ids[1]}{ids[2]}" for c in "?#@"):
        assert back == kept(whole)


def test_a_lone_surrogate_is_stored_as_its_escape() -> None:
    """In any text, also one of a user's override."""
    whole = outcome("a\ud800b")
    whole = Outcome(whole.event, Verdict(replace(whole.verdict.entry, note="\udfff"), Match.PAIR))
    back = load(dump(whole))
    assert back.message == "a\\ud800b"
    assert back.verdict.entry.note == "\\udfff"


PRIVATE = [
    "+15550100199",
    "+1 (555) 010-0199",
    "4:+15550100199",
    "8:acs:1f0e5c1a-0000-4000-8000-000000000001_00000014-0000-4000-8000-000000000002",
    "sip:alice@example.com",
    "https://example.com/cb?secret=hunter2hunter2",
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtYWRlLXVwIn0.c2lnbmF0dXJl-_A",
    "Bearer abcdef0123456789.xyz",
]
TOLD = ["15550100199", "010-0199", "00000014-0000", "alice", "hunter2", "c2lnbmF0dXJl", "abcdef0123456789"]


@given(source=st.none() | st.sampled_from(PRIVATE) | st.text(), event_id=st.none() | st.text())
def test_an_outcome_keeps_its_id(source: str | None, event_id: str | None) -> None:
    """The id has a digest of the source as it came, which the record keeps only redacted."""
    event = Event("Microsoft.Communication.PlayFailed", event_id, source, data=EventData(LEG))
    whole = classify_event(event)
    assert whole is not None
    back = load(dump(whole))
    assert back.outcome_id == whole.outcome_id
    assert load(dump(back)) == back


@given(private=st.lists(st.sampled_from(PRIVATE), min_size=5, max_size=5), words=st.sampled_from(["", "Busy ", "to: "]))
def test_nothing_private_is_stored(private: list[str], words: str) -> None:
    """Phone numbers, ids, tokens and secrets in any text of the service or of a carrier, in source and subject."""
    message, sip, q850, source, subject = (f"{words}{each}." for each in private)
    whole = outcome(message, sip=sip, q850=q850, source=source, subject=subject)
    merged = Outcome(whole.event, whole.verdict, whole.event)
    for stored in (dump(whole), dump_sibling(merged)):
        assert stored is not None
        assert [each for each in TOLD if each.encode() in stored] == []


@pytest.mark.parametrize(
    ("place", "stored"),
    [
        (None, None),
        ("calling/callConnections/1", "calling/callConnections/1"),
        ("/caller/4:+15550100199/recipient/4:+15550100198", "/caller/[id]/recipient/[id]"),
        ("https://example.com/cb?auth=hunter2&x=1", "https://example.com/cb"),
        ("https://example.com/cb#access=hunter2", "https://example.com/cb"),
        ("https://user:hunter2@example.com/cb", "https://example.com/cb"),
        ("https://example.com/@user", "https://example.com/@user"),
        ("a?b\nhunter2", "a"),
    ],
)
def test_a_source_is_stored_without_what_its_url_hides(place: str | None, stored: str | None) -> None:
    """A query, a fragment and a user's name and password are nobody's to join on."""
    event = load(dump(outcome(source=place, subject=place))).event
    assert (event.source, event.subject) == (stored, stored)


def test_what_is_stored_is_a_list_of_fields() -> None:
    """These keys and no others; the rest of a body, raw bytes included, is left out."""
    body = json.dumps(
        [
            {
                "id": "1",
                "type": "Microsoft.Communication.CallDisconnected",
                "source": "s",
                "subject": "t",
                "time": "2026-06-15T10:00:00Z",
                "specversion": "1.0",
                "traceparent": "left-out",
                "data": {
                    "callConnectionId": LEG,
                    "serverCallId": "server",
                    "correlationId": CALL,
                    "operationContext": "order-42",
                    "version": "2026-03-12",
                    "participants": ["left-out"],
                    "resultInformation": {
                        "code": 500,
                        "subCode": 560503,
                        "message": "m",
                        "sipDetails": {"code": 503, "message": "s"},
                        "q850Details": {"code": 34, "message": "q"},
                    },
                },
            }
        ]
    )
    whole = classify_event(parse_delivery(body).events[0])
    assert whole is not None
    stored = json.loads(dump(whole))
    verdict = stored.pop("verdict")
    assert (verdict["match"], verdict["refined_by"]) == (whole.match.value, whole.refined_by)
    known = "match key cause category basis retry owner confidence summary advice sources note mixture specific"
    assert set(verdict) <= {*known.split(), "with_codes", "refined_by", "retry_action", "retry_after", "action"}
    assert stored == {
        "type": "Microsoft.Communication.CallDisconnected",
        "id": "1",
        "source": "s",
        "subject": "t",
        "time": "2026-06-15T10:00:00Z",
        "call_connection_id": LEG,
        "server_call_id": "server",
        "correlation_id": CALL,
        "operation_context": "order-42",
        "version": "2026-03-12",
        "result": {
            "code": 500,
            "subcode": 560503,
            "message": "m",
            "sip": {"code": 503, "message": "s"},
            "q850": {"code": 34, "message": "q"},
        },
    }


def test_a_sibling_is_stored_beside_its_outcome() -> None:
    """Its event comes back as the sibling's, with the context that it lends."""
    failed = outcome(type="Microsoft.Communication.CreateCallFailed", data=EventData(call_connection_id=LEG))
    merged = bare(outcome("Busy").merged_with(failed))
    assert dump_sibling(outcome()) is None
    assert load(dump(merged), dump_sibling(merged)) == merged
    assert load(dump(merged)).sibling is None


def test_fields_of_a_newer_release_are_passed_over() -> None:
    """On every level: a rolling redeploy has both releases at work on one store."""
    whole = outcome("Busy", sip="s", q850="q")
    stored = json.loads(dump(whole))
    for part in (
        stored,
        stored["verdict"],
        stored["result"],
        stored["result"]["sip"],
        stored["result"]["q850"],
    ):
        part["of_a_newer_release"] = {"deep": [1]}
    assert load(json.dumps(stored).encode()) == whole
    assert load_progress(b'{"done":["close"],"of_a_newer_release":1}') == Progress(done=("close",))


def test_a_source_of_a_newer_release_keeps_its_name() -> None:
    """A worker that does not have the document can still say which one it was."""
    stored = json.loads(dump(outcome("Busy")))
    stored["verdict"]["sources"] = ["of-a-newer-release"]
    (source,) = load(json.dumps(stored).encode()).verdict.entry.sources
    assert (source.id, source.document) == ("of-a-newer-release", "of-a-newer-release")


def test_a_verdict_is_read_once() -> None:
    """Outcomes with one verdict share it, as they did before they were stored."""
    one, other = load(dump(outcome(id="1"))), load(dump(outcome(id="2")))
    assert one.verdict is other.verdict


def changed(**fields: Any) -> bytes:
    stored = json.loads(dump(outcome()))
    stored["verdict"] |= fields
    return json.dumps(stored).encode()


UNREADABLE = {
    "empty": b"",
    "cut": dump(outcome())[:-2],
    "not JSON": b"\x80\x04]",
    "not UTF-8": b'{"type":"\xff"}',
    "an array": b"[]",
    "wrong type": b'{"type":5}',
    "too deep": b'{"x":' + b"[" * 100_000,
}
UNJUDGED = {
    "no verdict": b'{"type":"x"}',
    "a cause of a newer release": changed(cause="of_a_newer_release"),
    "an impossible row": changed(cause="declined", retry="later"),
}
REMEDY = r"^a stored outcome cannot be read \(.*upgrade this worker, or discard the item$"


@pytest.mark.parametrize("stored", UNREADABLE.values(), ids=UNREADABLE)
def test_what_no_release_wrote_is_refused(stored: bytes) -> None:
    """By one error, for the outcome as for its sibling, and with the remedy."""
    with pytest.raises(StoreError, match=REMEDY):
        load(stored)
    with pytest.raises(StoreError, match=REMEDY):
        load(dump(outcome()), stored)


@pytest.mark.parametrize("stored", UNJUDGED.values(), ids=UNJUDGED)
def test_of_a_sibling_the_event_is_enough(stored: bytes) -> None:
    """An outcome without a verdict is refused; what its sibling's was is of no use."""
    with pytest.raises(StoreError, match=REMEDY):
        load(stored)
    assert load(dump(outcome()), stored).sibling is not None


def apart(told: Outcome) -> Row:
    return stored_row(Item(told.outcome_id, Kind.OUTCOME, 0.0, told), None, 0.0, apart=True)


def test_a_verdict_may_be_kept_apart() -> None:
    """The record has all else, and the two make the same outcome; equal verdicts have one number, others another."""
    whole, busy, declined = outcome(), apart(outcome()), apart(classify("CallDisconnected", 603, 0))
    assert busy.verdict is not None
    assert declined.verdict is not None
    assert load(busy.payload, None, busy.verdict.text) == load(dump(whole))
    assert "verdict" not in json.loads(busy.payload)
    assert json.loads(dump(whole)) == {**json.loads(busy.payload), "verdict": json.loads(busy.verdict.text)}
    assert apart(outcome(id="another")).verdict == busy.verdict
    assert declined.verdict.id != busy.verdict.id
    assert all(0 <= each.id < 2**63 for each in (busy.verdict, declined.verdict))
    for damaged in (b"", b"\x80", b"{}"):
        with pytest.raises(StoreError, match=REMEDY):
            load(busy.payload, None, damaged)


@given(stored=st.binary())
def test_any_bytes_are_a_value_or_our_one_error(stored: bytes) -> None:
    for read in (load, load_progress):
        with suppress(StoreError):
            assert isinstance(read(stored), Outcome | Progress)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
seconds = st.floats(allow_nan=False, allow_infinity=False)


@given(
    progress=st.builds(
        Progress,
        done=st.lists(names).map(tuple),
        failed=st.dictionaries(names, st.sampled_from(["ValueError: no such order", ""])),
        tries=st.dictionaries(names, st.integers(0, 99)),
        wait=st.dictionaries(names, seconds),
        trying=st.none() | names,
        first_sent=st.none() | seconds,
        generation=st.integers(0, 99),
        overran=st.lists(names).map(tuple),
    )
)
def test_progress_comes_back_as_it_was(progress: Progress) -> None:
    assert load_progress(dump_progress(progress)) == progress


def test_no_progress_is_no_bytes() -> None:
    assert dump_progress(Progress()) is None
    assert load_progress(None) == Progress()


def test_progress_is_stored_whatever_a_hook_raised() -> None:
    """Reasons are redacted and cut, lone surrogates escaped, times that are none left out."""
    progress = Progress(
        failed={"a": "no +15550100199", "b": "x" * 2000, "c\ud800": "\udcff"},
        wait={"a": math.nan, "b": math.inf, "c": 5.0},
        first_sent=math.nan,
        generation=1,
    )
    assert load_progress(dump_progress(progress)) == Progress(
        failed={"a": "no [phone]", "b": "x" * 1000, "c\\ud800": "\\udcff"}, wait={"c": 5.0}, generation=1
    )
    assert load_progress(dump_progress(Progress(first_sent=math.inf))) == Progress()


@pytest.mark.parametrize(
    "stored", [b"", b"[]", b'{"done":5}', b"\xff", b'{"trying":"\xff"}', b'{"x":' + b"[" * 100_000]
)
def test_progress_that_no_release_wrote_is_refused(stored: bytes) -> None:
    with pytest.raises(StoreError, match=r"^the progress of an item cannot be read \(.*or discard the item$"):
        load_progress(stored)


@pytest.mark.parametrize(
    ("key", "stored"),
    [
        ("", ""),
        (f"call:{LEG}", f"call:{LEG}"),
        ("k" * 255, "k" * 255),
        ("call:" + "k" * 251, "call:sha256:8042cc6a7b40cd5d2116f3109ad1dc1068e1fe0ae0929cf53ef134c8dd04b5c5"),
        ("k" * 256, "key:sha256:ce16fe78208a4e93f7158e62393680e025b2ad584f4e875ce903a654bb74cf93"),
        ("call:a\0b", "call:sha256:8a094de8a657a882fe744c33c17157970d99f79bba845374e3251687f2799384"),
        ("call:\ud800", "call:sha256:8da4182f2dcd3d8c4a2adbea14b989495af230a684459da9ac9096ba8a592c85"),
        ("\0call:a", "key:sha256:1a8faf3b42eb603360cd85a5a77f4d2d340b9e6feedb90d989d2639f84fe61cf"),
    ],
)
def test_a_key_that_a_store_cannot_keep_is_hashed(key: str, stored: str) -> None:
    """One too long, and one with letters that a database refuses; the same on every machine."""
    assert short(key) == stored


@pytest.mark.parametrize("private", ["to +1 555 010 0100", "4:+15550100", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJt.c2ln"])
def test_a_hashed_key_keeps_nothing_but_a_word(private: str) -> None:
    """A beginning that is cut somewhere may be half of a number or of a token, which no redaction knows."""
    key = f"{private}\n"
    assert short(key) == f"key:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


@given(one=st.text() | st.text(min_size=250), other=st.text() | st.text(min_size=250))
@example(one="a" * 300 + "b", other="a" * 300 + "c")
@example(one="\ud800", other="\udfff")
def test_short_keys_are_as_different_as_the_keys(one: str, other: str) -> None:
    """Equal only for the same key, never too long or unprintable, and shortened once for all."""
    assert (short(one) == short(other)) is (one == other)
    assert len(short(one)) <= 255
    assert short(one).isprintable()
    assert short(short(one)) == short(one)


COUNTED = {
    "cause": "busy",
    "category": "Success",
    "retry": "later",
    "match": "pair",
    "acts": "callee",
    "code": 486,
    "subcode": 560486,
}


@pytest.mark.parametrize(
    ("kind", "event", "counted"),
    [
        (Kind.OUTCOME, "CallDisconnected", COUNTED),
        (Kind.OUTCOME, "RecognizeFailed", dict.fromkeys(COUNTED)),
        (Kind.REDIAL, "CallDisconnected", dict.fromkeys(COUNTED)),
    ],
    ids=["end_of_a_call", "operation", "redial"],
)
def test_only_the_end_of_a_call_is_counted(kind: Kind, event: str, counted: dict[str, Any]) -> None:
    """What else is put has the same columns, empty."""
    stored = stored_row(Item("key", kind, 0.0, classify(event, 486, 560486)), None, 0.0)
    assert {name: getattr(stored, name) for name in COUNTED} == counted
    assert stored.ends_call is (counted is COUNTED)


@pytest.mark.parametrize("length", [249, 250, 251, 255, 256])
def test_a_call_and_the_key_of_its_end_are_stored_as_far_as_they_fit(length: int) -> None:
    """Each by itself: the key is longer than the id."""
    call = "c" * length
    event = Event(type="CallDisconnected", data=EventData(call_connection_id=LEG, correlation_id=call))
    told = classify_event(event)
    assert told is not None
    stored = stored_row(Item(told.outcome_id, Kind.OUTCOME, 1.0, told), "contact", 2.0)
    assert (stored.key, stored.call, stored.ended) == (f"call:{LEG}", short(call), short(f"call:{call}"))
    assert (stored.contact, stored.due_at, stored.created_at, stored.rank) == ("contact", 1.0, 2.0, 0)


def test_an_event_without_a_call_has_no_end_of_one() -> None:
    """Nor the rank of one that says less than nothing."""
    stored = stored_row(Item("key", Kind.OUTCOME, 0.0, classify("CreateCallFailed", 486, 560486)), None, 0.0)
    assert (stored.call, stored.ended, stored.rank, type(stored.rank)) == (None, None, 5, int)


def test_a_result_is_redacted_as_it_is_asked_for_now() -> None:
    """What is remembered of a result that came before is of the mode of that time; a long text is not remembered."""
    key = b"0123456789abcdef"
    for message in ("called +1 555 0100 999", f"called +1 555 0100 999 {'x' * 600}"):
        told = outcome(message)
        assert b"[phone]" in dump(told)
        assert dump(told) == dump(outcome(message))
        use_redaction("hash", key=key)
        assert b"[phone:" in dump(told)
        use_redaction("mask")
        assert b"[phone]" in dump(told)


def test_a_call_that_tells_no_result_is_counted_without_numbers() -> None:
    """Nor with numbers that no event can carry."""
    for told in (classify("CallDisconnected", None, None), classify("CallDisconnected", 2**31, -(2**31))):
        counted = stored_row(Item(told.outcome_id, Kind.OUTCOME, 0.0, told), None, 0.0)
        assert (counted.cause, counted.code, counted.subcode) == (told.cause.value, None, None)


@pytest.mark.parametrize("stored", [b"", b"[]", b'{"calls":5}', b"\xff"])
def test_a_contact_that_no_release_wrote_is_refused(stored: bytes) -> None:
    """The store says so, and the hooks wait."""
    with pytest.raises(StoreError, match="what is known of a contact cannot be read"):
        load_contact(stored)


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        (b'{"canceled_at":1e300}', "1e+300"),
        (b'{"calls":[{"key":"leg:a","at":1.0},{"key":"leg:b","at":-1e300}]}', "-1e+300"),
        (b'{"calls":[{"key":"leg:a","at":1.0,"answered_at":99999999999999}]}', "99999999999999.0"),
        (b'{"calls":[{"key":"leg:a","at":1.0,"ended_at":1e18}]}', "1e+18"),
    ],
)
def test_a_time_of_a_contact_that_somebody_spoiled_is_told(stored: bytes, value: str) -> None:
    """With the value, by which whoever reads the message finds the row."""
    says = f"a contact in the store has the time {value}, which is no time; it is damaged"
    with pytest.raises(StoreError, match=f"^{re.escape(says)}"):
        load_contact(stored)
