"""Parsing: every acceptable body is a whole value, every other one is one error type."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringback.events import (
    MAX_BODY,
    MAX_EVENTS,
    Delivery,
    Diagnostic,
    Event,
    EventData,
    Fault,
    Result,
    parse_delivery,
    refuse_encoded,
)
from ringback.exceptions import (
    ConfigurationError,
    DeliveryError,
    DeliveryTooLarge,
    MalformedDelivery,
    RegistrationError,
    RingbackError,
    UnsupportedEncoding,
)

PAYLOADS = Path(__file__).parent / "payloads"
DEPTH = 100_000
NO_TYPE = "no type (CloudEvents) and no eventType (Event Grid); send one of the two schemas"

property_of = settings(deadline=None, max_examples=150, derandomize=True, database=None)


def fields(event):
    """All that an event holds but where it stood."""
    return event.type, event.id, event.source, event.subject, event.time, event.data


def events_of(body, **limits):
    delivery = parse_delivery(body, **limits)
    assert delivery.faults == ()
    return [fields(event) for event in delivery.events]


def said(body, **limits):
    """The events' fields and the faults, or the error: everything a caller can see."""
    try:
        delivery = parse_delivery(body, **limits)
    except DeliveryError as error:
        return type(error), str(error), error.faults
    return [fields(event) for event in delivery.events], delivery.faults


def dumped(value):
    return json.dumps(value).encode()


# What the payloads hold, by the number that is in every id of theirs.


def guid(number):
    return f"1f0e5c1a-0000-4000-8000-{number:012d}"


def leg(number):
    return f"2a0d7b3c-0000-4000-8000-{number:012d}"


def correlation(number):
    return f"3b1c6d2e-0000-4000-8000-{number:012d}"


def server(number):
    return base64.b64encode(f"https://calls.example.com/conv/room-{number:04d}?i=0&e=1".encode()).decode()


def user(number):
    return f"8:acs:4c2b5e1f-0000-4000-8000-000000000001_5d3a4f10-0000-4000-8000-{number:012d}"


def call(number, **more):
    return EventData(
        call_connection_id=leg(number), server_call_id=server(number), correlation_id=correlation(number), **more
    )


def grid_data(number, **more):
    return EventData(server_call_id=server(number), correlation_id=correlation(number), **more)


CALL = "calling/callConnections/"
RECORDING_ID = base64.urlsafe_b64encode(dumped({"PlatformEndpointId": leg(11)})).decode().rstrip("=")
RECORDING = f"calling/recordings/{server(11)}/{RECORDING_ID}/RecordingStateChanged"
TOPIC = (
    "/subscriptions/6e490312-0000-4000-8000-000000000001/resourcegroups/calls/providers/"
    "microsoft.communication/communicationservices/ringback-tests"
)
DECLINE = Result(603, 0, "Decline. DiagCode: 603#0.@")
MICROSOFT = "Microsoft.Communication."

# file: (type without the common prefix, id, source, subject, time, data)
EXPECTED = {
    "calldisconnected-603-0": (
        "CallDisconnected",
        guid(1),
        CALL + leg(1),
        CALL + leg(1),
        "2025-02-11T10:20:30.0629553+00:00",
        call(1, version="2024-09-01-preview", operation_context="order-1001", result_information=DECLINE),
    ),
    "createcallfailed-603-0": (
        "CreateCallFailed",
        guid(2),
        CALL + leg(1),
        CALL + leg(1),
        "2025-02-11T10:20:30.0623639+00:00",
        call(1, version="2024-09-01-preview", result_information=DECLINE),
    ),
    "calldisconnected-no-result-2024-06-15-preview": (
        "CallDisconnected",
        guid(3),
        CALL + leg(3),
        CALL + leg(3),
        "2024-07-09T21:16:52.1810679+00:00",
        call(3, version="2024-06-15-preview", operation_context="order-1003"),
    ),
    "calldisconnected-no-result-2023": (
        "CallDisconnected",
        guid(4),
        CALL + leg(4),
        CALL + leg(4),
        "2023-07-20T07:49:19.5531571+00:00",
        call(4),
    ),
    "calldisconnected-no-result-2024-04-15": (
        "CallDisconnected",
        guid(5),
        CALL + leg(5),
        CALL + leg(5),
        "2024-04-12T19:10:45.2640745+00:00",
        call(5, version="2024-04-15"),
    ),
    "callconnected-2024-04-15": (
        "CallConnected",
        guid(6),
        CALL + leg(5),
        CALL + leg(5),
        "2024-04-12T19:10:42.4046861+00:00",
        call(5, version="2024-04-15"),
    ),
    "calldisconnected-200-560000-data-only": (
        "CallDisconnected",
        None,
        None,
        None,
        None,
        call(
            7,
            version="2024-09-15",
            operation_context="order-1007",
            result_information=Result(200, 560000, "The conversation has ended. DiagCode: 0#560000.@"),
        ),
    ),
    "playfailed-400-8535": (
        "PlayFailed",
        guid(8),
        CALL + leg(8),
        CALL + leg(8),
        "2025-02-11T11:02:14.8558433+00:00",
        call(
            8,
            version="2024-09-01-preview",
            operation_context="greeting",
            result_information=Result(400, 8535, "Action failed, file format is invalid."),
        ),
    ),
    "removeparticipantsucceeded-200-0": (
        "RemoveParticipantSucceeded",
        guid(9),
        CALL + leg(9),
        CALL + leg(9),
        "2025-02-11T10:59:11.3331906+00:00",
        call(9, version="2024-09-01-preview", operation_context="remove-agent", result_information=Result(200, 0, "")),
    ),
    "mediastreamingstarted-200-0": (
        "MediaStreamingStarted",
        guid(10),
        CALL + leg(10),
        CALL + leg(10),
        "2025-05-13T16:31:54.8331644+00:00",
        call(10, version="2025-05-15", result_information=Result(200, 0, "Action completed successfully.")),
    ),
    "recordingstatechanged-200-0": (
        "RecordingStateChanged",
        guid(11),
        RECORDING,
        RECORDING,
        "2025-03-18T05:20:58.6333565+00:00",
        call(11, version="2024-09-01-preview", result_information=Result(200, 0, "")),
    ),
    "addparticipantfailed-408-10057": (
        "AddParticipantFailed",
        guid(12),
        CALL + leg(12),
        CALL + leg(12),
        "2025-06-03T09:12:13.456789+00:00",
        call(
            12,
            version="2025-05-15",
            operation_context="add-agent",
            result_information=Result(
                408,
                10057,
                f"addParticipants failed for participant {user(12)} "
                "Underlying reason: Request Timeout. DiagCode: 408#10057.@",
            ),
        ),
    ),
    "calldisconnected-pascalcase-500-560503": (
        "CallDisconnected",
        guid(13),
        CALL + leg(13),
        CALL + leg(13),
        "2025-06-03T09:15:00.1234567+00:00",
        call(
            13,
            result_information=Result(
                500,
                560503,
                "Unexpected server error",
                sip=Diagnostic(486, "Busy Here"),
                q850=Diagnostic(17, "User busy"),
            ),
        ),
    ),
    "playcompleted-resultinfo-2022": (
        "PlayCompleted",
        guid(29),
        CALL + leg(29) + "/PlayCompleted",
        CALL + leg(29) + "/PlayCompleted",
        "2022-08-16T03:13:25.0252763+00:00",
        call(29, result_information=Result(200, 0, "Action completed successfully.")),
    ),
    "calldisconnected-specversion-casing": (
        "CallDisconnected",
        guid(14),
        CALL + leg(14),
        None,
        "2025-06-03T10:35:30Z",
        call(14),
    ),
    "eg-callstarted": (
        "CallStarted",
        guid(20),
        TOPIC,
        f"call/{server(20)}/startedBy/{user(20)}",
        "2021-10-05T17:02:38.6905856Z",
        grid_data(20),
    ),
    "eg-callended-no-reason": (
        "CallEnded",
        guid(21),
        TOPIC,
        f"call/{server(20)}",
        "2021-10-05T17:03:12.6143005Z",
        grid_data(20),
    ),
    "eg-callended-reason": (
        "CallEnded",
        guid(22),
        TOPIC,
        f"call/{server(22)}",
        "2025-04-22T08:09:10.1112131Z",
        grid_data(22, result_information=DECLINE),
    ),
    "eg-callparticipantadded": (
        "CallParticipantAdded",
        guid(23),
        TOPIC,
        f"call/{server(20)}/participant/{user(23)}",
        "2021-10-05T17:02:39.2843314Z",
        grid_data(20),
    ),
    "eg-callparticipantremoved": (
        "CallParticipantRemoved",
        guid(24),
        TOPIC,
        f"call/{server(20)}/participant/{user(23)}",
        "2021-10-05T17:03:11.1497652Z",
        grid_data(20),
    ),
    "eg-incomingcall": (
        "IncomingCall",
        guid(25),
        TOPIC,
        f"/caller/{user(25)}/recipient/{user(26)}",
        "2022-09-06T19:27:24.2415391Z",
        grid_data(25),
    ),
    "eg-incomingcall-cloudevent": (
        "IncomingCall",
        guid(26),
        TOPIC,
        f"/caller/{user(25)}/recipient/{user(26)}",
        "2023-04-11T17:18:42.5542219Z",
        grid_data(26),
    ),
    "eg-recordingfilestatusupdated": (
        "RecordingFileStatusUpdated",
        guid(27),
        TOPIC,
        f"/recording/call/{leg(27)}/serverCallId/{server(27)}/recordingId/recording-27",
        "2021-08-10T15:20:34.2199328Z",
        EventData(),
    ),
    "eg-subscriptionvalidation": (
        "Microsoft.EventGrid.SubscriptionValidationEvent",
        guid(28),
        "/subscriptions/6e490312-0000-4000-8000-000000000001",
        "",
        "2022-11-04T04:23:35.1981776Z",
        EventData(),
    ),
}


def expected(name):
    short, *rest = EXPECTED[name]
    return (short if "." in short else MICROSOFT + short, *rest)


ELEMENTS = {
    name: element[0] if isinstance(element, list) else element
    for name in EXPECTED
    for element in [json.loads((PAYLOADS / f"{name}.json").read_bytes())]
}


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


@property_of
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
            ("A", None, None, None, None, EventData(result_information=Result())),
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


def test_a_made_event_has_no_raw_bytes():
    """An event that never stood in a body has no bytes of its own, and its names work all the same."""
    event = Event(type="microsoft.communication.ANSWERCALLFAILED", data=EventData(result_information=DECLINE))
    assert (event.raw, event.name, event.result, event.occurred_at) == (b"", "AnswerFailed", DECLINE, None)


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
    """A whole number in the place of a text is its digits; anything else reads as absent."""
    content = '{"type":"A","id":#,"time":#,"data":{"callConnectionId":#}}'.replace("#", text)
    event = "A", value, None, None, value, EventData(call_connection_id=value)
    assert events_of(content) == events_of(f"[{content}]") == [event]


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("2025-02-11T10:20:30.0629553+00:00", datetime(2025, 2, 11, 10, 20, 30, 62955, UTC)),
        ("2025-02-11T10:20:30.062955Z", datetime(2025, 2, 11, 10, 20, 30, 62955, UTC)),
        ("2025-02-11T10:20:30.1Z", datetime(2025, 2, 11, 10, 20, 30, 100000, UTC)),
        ("2025-02-11T10:20:30Z", datetime(2025, 2, 11, 10, 20, 30, 0, UTC)),
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


@property_of
@given(st.text() | st.datetimes(timezones=st.sampled_from([None, timezone(timedelta(hours=14))])).map(str))
def test_any_time_is_utc_or_none(time):
    """No text of a time is an error."""
    moment = Event(type="A", time=time).occurred_at
    assert moment is None or moment.tzinfo is UTC


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        '[{"type":"A"}]',
        b'[{"type":"A"}]',
        bytearray(b'[{"type":"A"}]'),
        memoryview(b'[{"type":"A"}]'),
        b'\xef\xbb\xbf[{"type":"A"}]',
        '\ufeff[{"type":"A"}]',
        b' \r\n\t[ {"type":"A"} ]\n ',
        b'\xef\xbb\xbf\n{"type":"A"}\n',
        '[{"type":"A","x":' + "1" * 5000 + "}]",
        b'[{"type":"A","x":[1,1e999,"\\ud83d\\ude00"]}]',
    ],
    ids=["str", "bytes", "bytearray", "memoryview", "BOM", "BOM str", "whitespace", "BOM bare", "huge", "unknown key"],
)
def test_one_event_in_any_wrapping(body):
    """A body may be text or bytes, with a byte order mark and white space around."""
    assert events_of(body) == [("A", None, None, None, None, EventData())]


def test_an_empty_array_is_a_delivery_without_events():
    """Nothing was sent wrong, so the route sees it."""
    assert parse_delivery(b"[]") == Delivery((), ())


EMPTY = "the body is empty; send a JSON array of CloudEvents"
NEITHER = "the body is neither a JSON array nor an object; send a JSON array of CloudEvents"


@pytest.mark.parametrize(
    ("body", "message", "faults"),
    [
        (b"", EMPTY, ()),
        ("", EMPTY, ()),
        (b" \r\n\t", EMPTY, ()),
        (b"\xef\xbb\xbf", EMPTY, ()),
        (b"\xef\xbb\xbf\xef\xbb\xbf[]", NEITHER, ()),
        (b"null", NEITHER, ()),
        (b"12", NEITHER, ()),
        (b'"text"', NEITHER, ()),
        (b"\x1f\x8b\x08", NEITHER, ()),
        (b"type=A&id=1", NEITHER, ()),
        (b"[", "the body is not JSON: Input data was truncated", ()),
        (b'[{"type":"A"}', "the body is not JSON: Input data was truncated", ()),
        (b'[{"type":"A"}] []', "the body is not JSON: trailing characters (byte 16)", ()),
        (b'[{"type":NaN}]', "the body is not JSON: invalid character (byte 9)", ()),
        (b"{}", NO_TYPE, (Fault(0, NO_TYPE),)),
        (
            b'{"type":"A"',
            "not JSON: Input data was truncated",
            (Fault(0, "not JSON: Input data was truncated"),),
        ),
        (b'{"type":"A","x":"\xff"}', "not JSON: not UTF-8", (Fault(0, "not JSON: not UTF-8"),)),
        (
            b'[{"type":"\xff"}]',
            "no element is an event; element 0: not JSON: not UTF-8",
            (Fault(0, "not JSON: not UTF-8"),),
        ),
        (
            b'{"type":"A","x":' + b"1" * 5000 + b"}",
            "not JSON: a number is out of range",
            (Fault(0, "not JSON: a number is out of range"),),
        ),
        (
            b'[1,{"type":""}]',
            "no element is an event; element 0: a JSON number, not an object; send a CloudEvent",
            (Fault(0, "a JSON number, not an object; send a CloudEvent"), Fault(1, NO_TYPE)),
        ),
    ],
)
def test_a_body_that_is_no_delivery_says_why(body, message, faults):
    """What is not JSON or holds no event is one error type with status 400 and the reason."""
    assert said(body) == (MalformedDelivery, message, faults)
    assert MalformedDelivery.status == 400


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ("1", "a JSON number, not an object; send a CloudEvent"),
        ("1.5", "a JSON number, not an object; send a CloudEvent"),
        ("true", "a JSON boolean, not an object; send a CloudEvent"),
        ("null", "a JSON null, not an object; send a CloudEvent"),
        ('"x"', "a JSON string, not an object; send a CloudEvent"),
        ('[{"type":"A"}]', "a JSON array, not an object; send a CloudEvent"),
        ("{}", NO_TYPE),
        ('{"id":"1"}', NO_TYPE),
        ('{"type":""}', NO_TYPE),
        ('{"type":" \\n"}', NO_TYPE),
        ('{"type":null}', NO_TYPE),
        ('{"type":5}', NO_TYPE),
        ('{"type":5,"Type":"A"}', NO_TYPE),
        ('{"eventType":["A"]}', NO_TYPE),
        ('{"publicEventType":5}', NO_TYPE),
        ('{"publicEventType":"A","data":{}}', NO_TYPE),
        ('{"serverCallId":"1","incomingCallContext":"(elided)"}', NO_TYPE),
        ('{"type":"A","id":1e999}', "not JSON: a number is out of range"),
    ],
)
def test_one_bad_element_never_hides_the_others(element, reason):
    """An element that is no event is reported by index and reason while the others go on."""
    body = f'[{{"type":"A"}},{element},{{"type":"B"}}]'
    events = [("A", None, None, None, None, EventData()), ("B", None, None, None, None, EventData())]
    assert said(body) == (events, (Fault(1, reason),))
    assert said(f"[{element}]") == (
        MalformedDelivery,
        f"no element is an event; element 0: {reason}",
        (Fault(0, reason),),
    )


@pytest.mark.parametrize("opening", ["[", '{"a":'], ids=["arrays", "objects"])
@pytest.mark.parametrize(
    "frame",
    [
        "%s",
        "[%s]",
        '{"type":"A","x":%s}',
        '[{"type":"A","x":%s}]',
        '{"type":"A","data":%s}',
        '[{"type":"A","data":%s}]',
        '[{"type":"A","data":{"resultInformation":{"code":%s}}}]',
        '[{"type":"A"},{"type":%s}]',
    ],
    ids=["all", "element", "bare key", "key", "bare data", "data", "code", "type"],
)
def test_deep_nesting_is_an_error_not_a_crash(frame, opening):
    """Ten thousands of levels, closed or not, in a known or unknown place, are refused as one error."""
    closing = "]" if opening == "[" else "}"
    for nested in (opening * DEPTH, opening * DEPTH + "1" + closing * DEPTH):
        with pytest.raises(MalformedDelivery, match="nested too deeply"):
            parse_delivery(frame % nested)


# Raw bytes


@property_of
@given(
    st.lists(
        st.sampled_from([*map(dumped, ELEMENTS.values()), b'{ "TYPE" : "A\\u002B",\n"id" :1.50,"type":"B" }']),
        min_size=1,
        max_size=5,
    ),
    st.text(" \t\r\n", max_size=3).map(str.encode),
)
def test_raw_is_the_element_s_own_bytes(elements, space):
    """Nothing of an element is rebuilt: its spaces, escapes and numbers stay as they came."""
    body = b"%s[%s" % (space, space) + (space + b"," + space).join(elements) + b"%s]%s" % (space, space)
    assert [event.raw for event in parse_delivery(body).events] == elements
    assert parse_delivery(space + elements[0] + space).events[0].raw == elements[0]


def test_raw_of_events_beside_a_fault():
    """The index of raw bytes counts the elements, not the events."""
    delivery = parse_delivery(b'[1,{"type":"A"},{},{"type":"B"}]')
    assert [event.raw for event in delivery.events] == [b'{"type":"A"}', b'{"type":"B"}']


# Limits and headers


@pytest.mark.parametrize("frame", ['[{"type":"%s"}]', '{"type":"%s"}'])
def test_the_byte_limit_is_inclusive_and_counts_bytes(frame):
    """A body of exactly the limit is accepted; a letter of two bytes counts twice."""
    body = frame % ("\u00e9" * 10)
    size = len(body.encode())
    assert len(parse_delivery(body, max_body=size).events) == 1
    refused = DeliveryTooLarge, f"the body has {size} bytes; at most {size - 1} are accepted", ()
    assert said(body, max_body=size - 1) == said(body.encode(), max_body=size - 1) == refused
    assert DeliveryTooLarge.status == 413


@pytest.mark.parametrize("element", ['{"type":"A"}', '{"TYPE":"A"}', "1"], ids=["fast", "tolerant", "bad"])
def test_the_event_limit_is_inclusive_and_counts_elements(element):
    """Exactly as many elements as allowed are read, be they good, odd or bad."""
    three = f'[{{"type":"A"}},{element},{element}]'
    assert len(parse_delivery(three, max_events=3).events) == (1 if element == "1" else 3)
    assert said(three, max_events=2) == (DeliveryTooLarge, "the body holds 3 events; at most 2 are accepted", ())


def test_the_default_limits():
    """Without other limits: one mebibyte, and the most events that Event Grid batches."""
    assert (MAX_BODY, MAX_EVENTS) == (1048576, 5000)
    fits = dumped([{"type": "A"}] * MAX_EVENTS)
    assert len(parse_delivery(fits).events) == MAX_EVENTS
    assert said(dumped([{"type": "A"}] * (MAX_EVENTS + 1)))[0] is DeliveryTooLarge
    assert len(parse_delivery(fits.ljust(MAX_BODY)).events) == MAX_EVENTS
    assert said(fits.ljust(MAX_BODY + 1))[0] is DeliveryTooLarge


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "gzip"},
        {"Content-Encoding": " BR "},
        {"content-encoding": "identity, gzip"},
        [("content-type", "application/json"), ("Content-Encoding", "gzip")],
        [(b"content-encoding", b"deflate")],
        ((name, value) for name, value in [(b"Content-Encoding", b"\xff")]),
    ],
    ids=["mapping", "other case", "list", "text pairs", "byte pairs", "any iterable"],
)
def test_a_compressed_body_is_refused(headers):
    """Microsoft sends plain JSON: another encoding is 415, before the body is looked at."""
    with pytest.raises(UnsupportedEncoding, match="is not accepted; send plain JSON") as caught:
        parse_delivery(b"\x1f\x8b", headers)
    assert (caught.value.status, caught.value.faults) == (415, ())


@pytest.mark.parametrize(
    "headers",
    [
        (),
        {},
        {"content-encoding": "identity"},
        {"Content-Encoding": " Identity "},
        {"content-encoding": ""},
        {"content-encoding": "identity, Identity"},
        [(b"content-encoding", b"identity"), (b"content-type", b"text/plain")],
        [("accept-encoding", "gzip")],
    ],
)
def test_a_plain_body_is_accepted_whatever_its_headers(headers):
    """No encoding and identity are the same; no other header decides."""
    assert refuse_encoded(headers) is None
    assert len(parse_delivery(b'{"type":"A"}', headers).events) == 1


def test_the_encoding_is_named_in_short():
    """The refusal repeats at most forty letters of a header."""
    with pytest.raises(UnsupportedEncoding) as caught:
        refuse_encoded({"content-encoding": "x" * 1000})
    assert str(caught.value) == f"content-encoding '{'x' * 40}' is not accepted; send plain JSON"


# Errors


def test_the_family_of_errors():
    """One root; everything wrong with a request is one type; a wrong setting is a ValueError too."""
    assert issubclass(DeliveryError, RingbackError)
    assert {each.__base__ for each in (MalformedDelivery, DeliveryTooLarge, UnsupportedEncoding)} == {DeliveryError}
    assert RegistrationError.__mro__[1:4] == (ConfigurationError, RingbackError, ValueError)
    error = DeliveryError("why", (Fault(3, "what"),))
    assert (str(error), error.faults, error.status) == ("why", (Fault(3, "what"),), 400)


# Properties

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                "type Type eventType publicEventType id time data Data callConnectionId resultInformation ResultInfo "
                "reason code subCode SubCode message sipDetails q850Details operationContext x".split()
            )
            | st.text(max_size=4),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def check(body):
    """The whole promise: a delivery whose events can be used, or the one error type."""
    try:
        delivery = parse_delivery(body)
    except DeliveryError:
        return
    for event in delivery.events:
        assert event.type.strip()
        assert isinstance(event.name, str)
        assert event.raw
        assert event.occurred_at is None or event.occurred_at.tzinfo is UTC
    indexes = [fault.index for fault in delivery.faults]
    assert indexes == sorted(set(indexes))


@property_of
@given(st.binary() | st.text() | st.binary().map(lambda each: b"[" + each) | st.binary().map(lambda each: b"{" + each))
@example(b'[{"type":"A","id":"\\ud800"}]')
@example('[{"type":"A\ud800"}]')
def test_any_bytes_are_a_delivery_or_a_delivery_error(body):
    """Nothing else ever leaves the parser, whatever the bytes."""
    check(body)


@property_of
@given(json_values | st.lists(json_values, max_size=4))
def test_any_json_is_a_delivery_or_a_delivery_error(value):
    """Nothing else ever leaves the parser, whatever the shape; NaN and infinity included."""
    check(json.dumps(value))


@property_of
@given(st.sampled_from(sorted(ELEMENTS)), st.data())
def test_a_damaged_payload_is_a_delivery_or_a_delivery_error(name, data):
    """Nothing else ever leaves the parser when bytes of a real body are cut out or replaced."""
    body = (PAYLOADS / f"{name}.json").read_bytes()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    check(body[:start] + data.draw(st.binary(max_size=4)) + body[end:])


texts = st.none() | st.text(max_size=6)
good_elements = st.fixed_dictionaries(
    {"type": st.sampled_from(["A", "Microsoft.Communication.CallDisconnected", "+"])},
    optional={"id": texts, "time": texts, "data": st.fixed_dictionaries({}, optional={"callConnectionId": texts})},
)
bad_elements = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.fixed_dictionaries({}, optional={"id": st.integers(), "type": st.sampled_from(["", " ", None, 1, []])}),
)


@property_of
@given(st.lists(good_elements.map(lambda e: (True, e)) | bad_elements.map(lambda e: (False, e)), max_size=8))
def test_good_elements_keep_their_order_among_bad_ones(elements):
    """Every good element is an event, every bad one a fault with its index; order is kept."""
    good = [element for valid, element in elements if valid]
    bad = [index for index, (valid, _) in enumerate(elements) if not valid]
    body = dumped([element for _, element in elements])
    if bad and not good:
        with pytest.raises(MalformedDelivery) as caught:
            parse_delivery(body)
        assert [fault.index for fault in caught.value.faults] == bad
        return
    delivery = parse_delivery(body)
    assert [json.loads(event.raw) for event in delivery.events] == good
    assert [event.id for event in delivery.events] == [element.get("id") for element in good]
    assert [fault.index for fault in delivery.faults] == bad


MARKER = "zqmarkerqz"
carriers = st.sampled_from(
    [
        "%s",
        '"%s"',
        '{"%s":1}',
        '{"type":{"%s":1}}',
        '{"type":["%s"]}',
        '{"type":"","%s":1}',
        '{"type":"A","id":1e999,"%s":"%s"}',
        '{"type":"A","id":"%s',
        '{"type":"A","id":"\\%s"}',
        '{"type":"A" %s}',
        '{"type":"A","data":{"resultInformation":{"code":%s}}}',
    ]
)


@property_of
@given(
    st.lists(carriers, min_size=1, max_size=3),
    st.sampled_from(["[%s]", "%s", "[%s"]),
    st.sampled_from([b"", b"\xff", b"\x00"]),
    st.sampled_from([{}, {"max_body": 5}, {"max_events": 1}]),
)
def test_errors_repeat_nothing_of_the_body(parts, frame, junk, limits):
    """An error text goes to a log and back to the sender: it never holds what was sent."""
    body = (frame % ",".join(part.replace("%s", MARKER) for part in parts)).encode() + junk
    try:
        delivery = parse_delivery(body, **limits)
    except DeliveryError as error:
        told = [repr(error), *(fault.reason for fault in error.faults)]
        told += [str(error.__cause__)]
    else:
        told = [fault.reason for fault in delivery.faults]
    assert not [text for text in told if MARKER in text]


# The nesting of the body


def nested(levels: int, *, text: str = "") -> bytes:
    """An event whose data nest so many levels deep, the array around it counted."""
    inner = "[" * (levels - 3) + "]" * (levels - 3)
    return f'[{{"type": "Some.Event", "data": {{"text": {json.dumps(text)}, "deep": {inner or 0}}}}}]'.encode()


@pytest.mark.parametrize("levels", [3, 4, 8, 40])
def test_nesting_is_refused_beyond_its_limit_and_no_sooner(levels: int) -> None:
    """max_depth counts the levels of arrays and objects; without it the decoder's own bound holds."""
    body = nested(levels)
    assert len(parse_delivery(body).events) == 1
    assert len(parse_delivery(body, max_depth=levels).events) == 1
    with pytest.raises(MalformedDelivery) as refused:
        parse_delivery(body, max_depth=levels - 1)
    assert str(refused.value) == f"the body is nested more than {levels - 1} levels deep"


@pytest.mark.parametrize("text", ["[[[[[[[[", "{{{{{{{{", '"[[[[[[', "\\\\[[[[[[", "]]]]]]"], ids=ascii)
def test_brackets_in_a_text_nest_nothing(text: str) -> None:
    """What stands in a string is passed over, escapes and all."""
    assert len(parse_delivery(nested(4, text=text), max_depth=4).events) == 1


def test_elements_beside_each_other_are_not_nested() -> None:
    """A large batch is flat, however many brackets it has."""
    body = b"[" + b",".join(nested(4)[1:-1] for _ in range(50)) + b"]"
    assert len(parse_delivery(body, max_depth=4).events) == 50


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_delivery_or_refused_with_a_depth_too(body: bytes) -> None:
    """The scan for the depth is no new way to fail."""
    with contextlib.suppress(DeliveryError):
        parse_delivery(body, max_depth=1)
