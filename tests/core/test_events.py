"""Reading events: keys, schemas and values, from recorded deliveries and from odd ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payload_events import (
    BUSY,
    BUSY_DATA,
    DECLINE,
    ELEMENTS,
    EXPECTED,
    MICROSOFT,
    PAYLOADS,
    dumped,
    encoded,
    events_of,
    expected,
    said,
)
from ringback.core.events import (
    Diagnostic,
    Event,
    EventData,
    Fault,
    Result,
    Update,
    parse_delivery,
)
from ringback.exceptions import (
    MalformedDelivery,
    NoRawBytes,
    RingbackError,
)

# Payloads


def test_every_payload_has_its_expectation():
    """A file of tests/payloads that nobody expects is not tested."""
    assert {path.stem for path in PAYLOADS.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payload_parses_to_its_event(name):
    """A recorded or documented body is one whole event, as it stands."""
    assert events_of((PAYLOADS / f"{name}.json").read_bytes()) == [expected(name)]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payload_is_the_same_event_bare_and_in_an_array(name):
    """Whether an element comes in an array or alone changes nothing of it."""
    element = dumped(ELEMENTS[name])
    assert events_of(element) == events_of(b"[" + element + b"]") == [expected(name)]


def test_all_payloads_in_one_batch_keep_their_order():
    """Events of both schemas in one array are all read, in order."""
    assert events_of(dumped(list(ELEMENTS.values()))) == [expected(name) for name in ELEMENTS]


# Casing of keys


@st.composite
def recased(draw, value):
    """The value with every key of every object in some other case, as drawn."""
    if isinstance(value, list):
        return [draw(recased(each)) for each in value]
    if not isinstance(value, dict):
        return value
    return {draw(respelled(key)): draw(recased(each)) for key, each in value.items()}


def respelled(key):
    return st.integers(0, 2 ** len(key) - 1).map(
        lambda bits: "".join(c.swapcase() if bits >> i & 1 else c for i, c in enumerate(key))
    )


@given(st.sampled_from(sorted(ELEMENTS)), st.data())
def test_any_casing_of_any_key_gives_the_same_event(name, data):
    """Keys are read whatever their case, alone and in a batch with others in the service's spelling."""
    other = data.draw(st.sampled_from(sorted(ELEMENTS)))
    odd = data.draw(recased(ELEMENTS[name]))
    assert events_of(dumped(odd)) == [expected(name)]
    batch = data.draw(st.permutations([(odd, name), (ELEMENTS[name], name), (ELEMENTS[other], other)]))
    assert events_of(dumped([element for element, _ in batch])) == [expected(each) for _, each in batch]


def paths_of(value, path=()):
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*path, key)
            yield from paths_of(each, (*path, key))


def with_one_key(value, path, spell):
    key, *rest = path
    return {
        (spell(name) if name == key and not rest else name): (
            with_one_key(each, rest, spell) if name == key and rest else each
        )
        for name, each in value.items()
    }


@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title], ids=["upper", "lower", "title"])
@pytest.mark.parametrize("name", EXPECTED)
def test_one_key_in_another_case_loses_nothing(name, spell):
    """A single odd key in an otherwise well-spelled batch is found, at whatever level it stands."""
    for path in paths_of(ELEMENTS[name]):
        odd = with_one_key(ELEMENTS[name], path, spell)
        assert events_of(dumped([ELEMENTS[name], odd])) == [expected(name)] * 2, path


@pytest.mark.parametrize(
    ("key", "escaped"),
    [
        ("callConnectionId", "call\\u0043onnectionId"),
        ("callConnectionId", "\\u0043allConnectionId"),
        ("operationContext", "OPERATION\\u0043ONTEXT"),
        ("resultInformation", "\\u0052esultInformation"),
    ],
)
def test_a_key_written_with_escapes_is_the_key(key, escaped):
    """JSON allows any letter of a key as an escape; the case of what it means does not matter either."""
    body = json.dumps([ELEMENTS["calldisconnected-603-0"]]).replace(f'"{key}"', f'"{escaped}"').encode()
    assert escaped.encode() in body
    assert events_of(body) == [expected("calldisconnected-603-0")]


@pytest.mark.parametrize(
    ("content", "event_id"),
    [
        ('{"type":"A","id":"own","ID":"other"}', "own"),
        ('{"type":"A","ID":"other","id":"own"}', "own"),
        ('{"type":"A","ID":"first","Id":"last"}', "last"),
        ('{"type":"A","id":"first","id":"last"}', "last"),
        ('{"type":"A","id":null,"ID":"other"}', None),
    ],
    ids=["own first", "own last", "two variants", "the same key twice", "own null"],
)
def test_the_service_s_own_spelling_wins(content, event_id):
    """Of several spellings the service's own counts, else the last; of one key twice the last."""
    event = "A", event_id, None, None, None, EventData()
    assert events_of(content) == events_of(f"[{content}]") == [event]


def test_own_spelling_wins_in_data_and_result():
    """The rule holds at every level."""
    content = (
        '{"type":"A","Type":"B","data":{"RESULTINFORMATION":{"code":1},"resultInformation":{"Code":2,"code":486,'
        '"subcode":3,"subCode":560486,"SIPDETAILS":{"code":4},"sipDetails":{"CODE":5,"code":486}},'
        '"callconnectionid":"other","callConnectionId":"own"},"Data":{"callConnectionId":"another"}}'
    )
    data = EventData(call_connection_id="own", result_information=Result(486, 560486, sip=Diagnostic(486)))
    assert events_of(content) == events_of(f"[{content}]") == [("A", None, None, None, None, data)]


# Schemas


@pytest.mark.parametrize(
    ("content", "event"),
    [
        ('{"type":"A","topic":"t","eventTime":"2025"}', ("A", None, "t", None, "2025", EventData())),
        ('{"type":"A","source":"s","topic":"t"}', ("A", None, "s", None, None, EventData())),
        ('{"type":"A","time":"1","eventTime":"2"}', ("A", None, None, None, "1", EventData())),
        ('{"type":"A","eventType":"B"}', ("A", None, None, None, None, EventData())),
        ('{"type":7,"eventType":"B"}', ("B", None, None, None, None, EventData())),
        ('{"type":"A","publicEventType":"B"}', ("A", None, None, None, None, EventData())),
        ('{"eventType":"A","publicEventType":"B"}', ("A", None, None, None, None, EventData())),
        ('{"PublicEventType":"A","publicEventType":"B"}', ("B", None, None, None, None, EventData())),
        ('{"type":"A","data":null}', ("A", None, None, None, None, EventData())),
        ('{"type":"A","data":"text"}', ("A", None, None, None, None, EventData())),
        ('{"type":"A","data":[{}]}', ("A", None, None, None, None, EventData())),
        (
            '{"type":"A","data":{"resultInformation":null,"resultInfo":{"code":1}}}',
            ("A", None, None, None, None, EventData(result_information=Result(1))),
        ),
        (
            '{"type":"A","data":{"resultInformation":"none","reason":{"code":1,"phrase":"p"}}}',
            ("A", None, None, None, None, EventData(result_information=Result(1, message="p"))),
        ),
        (
            '{"type":"A","data":{"resultInformation":{},"reason":{"code":1}}}',
            ("A", None, None, None, None, EventData(result_information=Result())),
        ),
        (
            '{"type":"A","data":{"resultInformation":{"message":"m","phrase":"p","new":1}}}',
            ("A", None, None, None, None, EventData(result_information=Result(message="m"))),
        ),
        (
            '{"type":"A","data":{"reason":"a word"}}',
            ("A", None, None, None, None, EventData()),
        ),
        (
            '{"type":"A","data":{"resultInformation":{"sipDetails":{},"q850Details":{"new":1}}}}',
            ("A", None, None, None, None, EventData(result_information=Result(sip=Diagnostic(), q850=Diagnostic()))),
        ),
        (
            '{"type":"A","data":{"RESULTINFORMATION":{"sipDetails":{},"q850Details":null}}}',
            ("A", None, None, None, None, EventData(result_information=Result(sip=Diagnostic()))),
        ),
        (
            '{"type":"A","data":{"resultInformation":{"sipDetails":486,"q850Details":[17]}}}',
            ("A", None, None, None, None, EventData(result_information=Result(sip=Diagnostic(486)))),
        ),
        (
            '{"type":"A","ringback:origin":{"body":"","index":9}}',
            ("A", None, None, None, None, EventData()),
        ),
        ('{"type":"Contoso.Unheard","new":{"deep":[1,{"a":null}]}}', ("Contoso.Unheard", *[None] * 4, EventData())),
    ],
)
def test_schemas_mix_without_loss(content, event):
    """Unknown keys and types are kept or passed over; a name of the other schema fills a gap."""
    assert events_of(content) == events_of(f"[{content}]") == [event]


# What is read though it is written otherwise


@pytest.mark.parametrize(
    ("element", "data"),
    [
        ({"data": dumped(BUSY_DATA).decode()}, BUSY),
        ({"data_base64": encoded(BUSY_DATA)}, BUSY),
        ({"data": None, "data_base64": encoded(BUSY_DATA)}, BUSY),
        ({"DATA_BASE64": encoded(BUSY_DATA)}, BUSY),
        ({"data": BUSY_DATA, "data_base64": "no base64"}, BUSY),
        ({"data": BUSY_DATA | {"resultInformation": dumped(BUSY_DATA["resultInformation"]).decode()}}, BUSY),
        (
            {"data": {"resultInformation": {"code": 486, "sipCode": 486, "q850Cause": "17"}}},
            EventData(result_information=Result(486, sip=Diagnostic(486), q850=Diagnostic(17))),
        ),
        (
            {"data": {"resultInformation": {"code": 486, "SIPCODE": 486, "q850code": 17.0}}},
            EventData(result_information=Result(486, sip=Diagnostic(486), q850=Diagnostic(17))),
        ),
        (
            {"data": {"resultInformation": {"code": 486, "sipDetails": 486, "q850Details": 17}}},
            EventData(result_information=Result(486, sip=Diagnostic(486), q850=Diagnostic(17))),
        ),
        (
            {
                "data": {
                    "resultInformation": {"sipDetails": ' {"code": 603, "message": "Decline"}', "q850Details": "{}"}
                }
            },
            EventData(result_information=Result(sip=Diagnostic(603, "Decline"), q850=Diagnostic())),
        ),
        (
            {"data": {"resultInformation": {"sipDetails": {"sipCode": 486, "sipMessage": "Busy"}, "q850Details": {}}}},
            EventData(result_information=Result(sip=Diagnostic(486, "Busy"), q850=Diagnostic())),
        ),
        (
            {"data": {"resultInformation": {"sipDetails": None, "sipCode": {"code": 486, "message": "Busy"}}}},
            EventData(result_information=Result(sip=Diagnostic(486, "Busy"))),
        ),
    ],
)
@pytest.mark.parametrize("name", ["CreateCallFailed", "MediaStreamingFailed", "Unheard"])
def test_what_is_written_otherwise_is_read(name, element, data):
    """Data as text or in base64, a result as text, a carrier's code by itself: alone and in an array."""
    body = dumped({"type": MICROSOFT + name} | element)
    event = (MICROSOFT + name, None, None, None, None, data)
    assert events_of(body) == events_of(b"[" + body + b"]") == [event]


@pytest.mark.parametrize(
    ("key", "written", "code"),
    [
        ("sipDetails", "603 Decline", 603),
        ("sipDetails", " SIP/2.0 603 Decline ", 603),
        ("sipDetails", "603: Network Blocked", 603),
        ("sipDetails", 'SIP;cause=603;text="Decline"', 603),
        ("sipDetails", 'Q.850;cause=16;text="Normal", sip ;text="Decline" ; cause = 603', 603),
        ("q850Details", "21 Call Rejected", 21),
        ("q850Details", 'Q.850 ;cause=21;text="Call Rejected"', 21),
        ("q850Details", "SIP;cause=480, q850;cause=21", 21),
    ],
)
def test_a_carrier_s_detail_may_be_a_text_of_sip(key, written, code):
    """A status line, or a value of the header Reason: as the detail, and as its code. A text of its own stays."""
    for value, message in (
        (written, written.strip()),
        ({"code": written}, written.strip()),
        ({"code": written, "message": "x"}, "x"),
    ):
        [event] = parse_delivery(
            dumped({"type": MICROSOFT + "CallDisconnected", "data": {"resultInformation": {key: value}}})
        ).events
        assert (event.result.sip or event.result.q850) == Diagnostic(code, message)
        assert (event.result.sip is None) == (key == "q850Details")


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_text_is_no_value(empty):
    """Serializers write an empty text for no value: the rest of the result counts, and no call's end is lost."""
    result = {"code": 486, "subCode": empty, "sipDetails": empty, "q850Details": {"code": empty}}
    read = EventData(result_information=Result(486, q850=Diagnostic()))
    for written, data in ((result, read), (empty, EventData())):
        body = dumped([{"type": MICROSOFT + "CallDisconnected", "data": {"resultInformation": written}}])
        assert said(body) == ([(MICROSOFT + "CallDisconnected", None, None, None, None, data)], ())


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        (
            "TranscriptionFailed",
            {"transcriptionUpdate": {"TRANSCRIPTIONSTATUSDETAILS": "forbidden", "new": 1}},
            EventData(transcription_update=Update(transcription_status_details="forbidden")),
        ),
        (
            "mediastreamingFAILED",
            {"mediaStreamingUpdate": {"mediaStreamingStatusDetails": "forbidden"}},
            EventData(media_streaming_update=Update(media_streaming_status_details="forbidden")),
        ),
        (
            "MediaStreamingStopped",
            {"MEDIASTREAMINGUPDATE": {"mediaStreamingStatusDetails": "forbidden"}},
            EventData(media_streaming_update=Update(media_streaming_status_details="forbidden")),
        ),
        ("TranscriptionFailed", {"transcriptionUpdate": {}}, EventData(transcription_update=Update())),
    ],
)
def test_status_details_are_read_whatever_their_case(name, data, found):
    """Why media streaming or transcription failed stands beside the result, or in its place."""
    body = dumped({"type": MICROSOFT + name, "data": data})
    event = (MICROSOFT + name, None, None, None, None, found)
    assert events_of(body) == events_of(b"[" + body + b"]") == [event]
    assert found.status_details in (None, "forbidden")


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ({"data": [{}]}, "data is a JSON array, not an object"),
        ({"data": 5}, "data is a JSON number, not an object"),
        ({"data": True}, "data is a JSON boolean, not an object"),
        ({"data": "text"}, "data is text that is not the JSON of an object"),
        ({"data": "[1]"}, "data is text that is not the JSON of an object"),
        ({"data": "[" * 100_000}, "data is text that is not the JSON of an object"),
        ({"data_base64": "no base64"}, "data_base64 is not base64"),
        ({"data_base64": "\u00e9"}, "data_base64 is not base64"),
        ({"data_base64": 5}, "data_base64 is not base64"),
        ({"data_base64": encoded([1])}, "data_base64 is text that is not the JSON of an object"),
        ({"data": {"resultInformation": 486}}, "resultInformation is a JSON number, not an object"),
        ({"data": {"RESULTINFORMATION": []}}, "resultInformation is a JSON array, not an object"),
        ({"data": {"resultInfo": "busy"}}, "resultInfo is text that is not the JSON of an object"),
        ({"data": {"resultInformation": {"code": "six"}}}, "code is a JSON string, not a whole number"),
        ({"data": {"resultInformation": {"sipDetails": "Busy"}}}, "sipDetails is a JSON string, not a whole number"),
        (
            {"data": {"resultInformation": {"q850Details": "SIP;cause=603"}}},
            "q850Details is a JSON string, not a whole number",
        ),
        (
            {"data": {"resultInformation": {"code": 486, "subCode": True}}},
            "subCode is a JSON boolean, not a whole number",
        ),
        ({"data": {"resultInformation": {"code": 4.5}}}, "code is a JSON number, not a whole number"),
        ({"data": {"resultInformation": {"code": 2**31}}}, "code is a number out of range"),
        ({"data": {"resultInformation": {"code": "1" * 5000}}}, "code is a number out of range"),
        ({"data": {"resultInformation": {"code": {}}}}, "code is a JSON object, not a whole number"),
        ({"data": {"resultInformation": {"q850Details": [21]}}}, "q850Details is a JSON array, not a whole number"),
        (
            {"data": {"resultInformation": {"sipDetails": "{603}"}}},
            "sipDetails is text that is not the JSON of an object",
        ),
        (
            {"data": {"resultInformation": {"sipDetails": {"code": "Decline"}}}},
            "sipDetails.code is a JSON string, not a whole number",
        ),
        ({"data": {"mediaStreamingUpdate": 5}}, "mediaStreamingUpdate is a JSON number, not an object"),
    ],
)
@pytest.mark.parametrize("name", ["CallDisconnected", "PlayFailed", "HoldAudioStarted"])
def test_a_wrong_type_is_said_and_never_taken_as_absent(name, element, reason):
    """By index and reason, while the others go on; an event that Call Automation does not know may hold anything."""
    wrong = {"type": MICROSOFT + name} | element
    events, faults = said(dumped([{"type": "A"}, wrong, {"type": "B"} | element]))
    assert ([event[0] for event in events], faults) == (["A", "B"], (Fault(1, reason),))
    with pytest.raises(MalformedDelivery) as refused:
        parse_delivery(dumped(wrong))
    assert refused.value.faults == (Fault(0, reason),)


@pytest.mark.parametrize(("name", "told"), [("CallEnded", False), ("CallDisconnected", True)])
def test_only_the_reason_of_call_ended_is_a_result(name, told):
    """Other events have a reason of their own, which may be a word."""
    body = dumped([{"type": "A"}, {"eventType": MICROSOFT + name, "data": {"reason": "a word"}}])
    fault = Fault(1, "reason is text that is not the JSON of an object")
    assert said(body)[1] == (() if told else (fault,))


def test_a_made_event_has_no_raw_bytes():
    """An event that never stood in a body says so instead of giving no bytes; its names work all the same."""
    event = Event(type="microsoft.communication.ANSWERCALLFAILED", data=EventData(result_information=DECLINE))
    assert (event.name, event.result, event.occurred_at) == ("AnswerFailed", DECLINE, None)
    with pytest.raises(NoRawBytes, match=r"^event 'AnswerFailed' has no raw bytes .* in the route .* or in a listener"):
        _ = event.raw
    assert isinstance(NoRawBytes(), RingbackError)
    # Whatever looks at all attributes of an event, such as `inspect.getmembers`, passes this one by.
    assert getattr(event, "raw", None) is None


def test_a_repr_shows_no_content():
    """A repr ends up in logs; the data stays out of it."""
    body = '{"type":"A","id":"1","subject":"+15550100199","data":{"operationContext":"+15550100199"}}'
    assert repr(parse_delivery(body)) == "Delivery(events=(<Event A id=1>,), faults=())"


# Values


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("603", 603),
        ("0", 0),
        ("-1", -1),
        ("603.0", 603),
        ("6.03e2", 603),
        ("603.5", None),
        ('"603"', 603),
        ('" 603 "', 603),
        ('"-1"', -1),
        ('"603.0"', None),
        ('"six"', None),
        ('""', None),
        ('"-"', None),
        ('"--1"', None),
        ("true", None),
        ("false", None),
        ("null", None),
        ("[]", None),
        ("{}", None),
        ("2147483647", 2147483647),
        ("-2147483647", -2147483647),
        ("2147483648", None),
        ("-2147483648", None),
        ("1" * 25, None),
        ('"2147483648"', None),
        ('"' + "1" * 5000 + '"', None),
        ("1e300", None),
        ("-0.0", 0),
    ],
)
def test_numbers_are_whole_or_absent(text, number):
    """A whole number counts, also as text or with a zero fraction; anything else reads as absent."""
    content = '{"type":"A","data":{"resultInformation":{"code":#,"sipDetails":{"code":#}}}}'.replace("#", text)
    data = EventData(result_information=Result(code=number, sip=Diagnostic(number)))
    assert events_of(content) == events_of(f"[{content}]") == [("A", None, None, None, None, data)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"x"', "x"),
        ('""', ""),
        ('" x "', " x "),
        ('"\\u002B\\ud83d\\ude00"', "+\U0001f600"),
        ("5", "5"),
        ("-5", "-5"),
        ("1.5", None),
        ("true", None),
        ("null", None),
        ("[1]", None),
        ('{"a":1}', None),
    ],
)
def test_texts_are_texts_or_absent(text, value):
    """A whole number in the place of a text is its digits; anything else reads as absent, and so does an empty name."""
    content = '{"type":"A","id":#,"time":#,"data":{"callConnectionId":#}}'.replace("#", text)
    name = value or None
    event = "A", name, None, None, value, EventData(call_connection_id=name)
    assert events_of(content) == events_of(f"[{content}]") == [event]


@pytest.mark.parametrize("key", ["callConnectionId", "correlationId", "serverCallId", "operationContext"])
def test_an_empty_name_names_nothing(key):
    """Serializers write an empty text for no value; calls that share no name must not be taken for one call."""
    content = json.dumps({"type": "A", "id": "e", "subject": "", "data": BUSY_DATA | {key: ""}})
    without = json.dumps({"type": "A", "id": "e", "subject": "", "data": BUSY_DATA | {key: None}})
    assert events_of(content) == events_of(f"[{content}]") == events_of(f"[{content}, {content}]")[1:]
    assert events_of(content) == events_of(without)


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("2025-02-11T10:20:30.0629553+00:00", datetime(2025, 2, 11, 10, 20, 30, 62955, UTC)),
        ("2025-02-11T10:20:30.062955Z", datetime(2025, 2, 11, 10, 20, 30, 62955, UTC)),
        ("2025-02-11T10:20:30.1Z", datetime(2025, 2, 11, 10, 20, 30, 100000, UTC)),
        ("2025-02-11T10:20:30Z", datetime(2025, 2, 11, 10, 20, 30, 0, UTC)),
        ("2025-02-11t10:20:30.1z", datetime(2025, 2, 11, 10, 20, 30, 100000, UTC)),
        ("2025-02-11T10:20:30", datetime(2025, 2, 11, 10, 20, 30, 0, UTC)),
        ("2025-02-11T10:20:30+05:30", datetime(2025, 2, 11, 4, 50, 30, 0, UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("10000-01-01T00:00:00Z", None),
        ("2025-02-30T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        ("\u0662\u0660\u0662\u0665-02-11", None),
        (None, None),
    ],
)
def test_occurred_at_is_utc_or_none(time, moment):
    """A time without a zone is UTC; a seventh digit is cut off; what is no time is none."""
    found = parse_delivery(dumped([{"type": "A", "time": time}])).events[0].occurred_at
    assert found == moment
    assert found is None or found.utcoffset() == timedelta(0)


@given(st.text() | st.datetimes(timezones=st.sampled_from([None, timezone(timedelta(hours=14))])).map(str))
def test_any_time_is_utc_or_none(time):
    """No text of a time is an error."""
    moment = Event(type="A", time=time).occurred_at
    assert moment is None or moment.tzinfo is UTC


# Bodies
