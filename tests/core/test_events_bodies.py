"""Reading bodies: what holds events and what does not, its limits, and its one error."""

from __future__ import annotations

import contextlib
import gc
import gzip
import json
from datetime import UTC

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import small_stack
from payload_events import DEPTH, ELEMENTS, MICROSOFT, PAYLOADS, dumped, events_of, said
from ringback.core.events import (
    MAX_BODY,
    MAX_EVENTS,
    Delivery,
    EventData,
    Fault,
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

NO_TYPE = "no type (CloudEvents) and no eventType (Event Grid); send one of the two schemas"


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


@pytest.mark.parametrize("body", [[{"type": "A"}], {"type": "A"}, None, 5])
def test_what_is_no_body_is_refused_by_its_type(body):
    """Who gives the JSON that a framework has read has not the body that was sent."""
    with pytest.raises(TypeError) as refused:
        parse_delivery(body)
    assert str(refused.value) == (
        f"a body of type {type(body).__name__} is neither bytes nor text; give the request's raw body, such as "
        "await request.body()"
    )


def test_an_empty_array_is_a_delivery_without_events():
    """Nothing was sent wrong, so the route sees it."""
    assert parse_delivery(b"[]") == Delivery((), ())


EMPTY = "the body is empty; send a JSON array of CloudEvents"
GZIP = "the body is compressed with gzip, and no content-encoding says so; send JSON"
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
        (b"\x1f\x8b\x08", GZIP, ()),
        (gzip.compress(b'[{"type":"A"}]', mtime=0), GZIP, ()),
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
        (b'{"type":"A","id":"\xff"}', "not JSON: not UTF-8", (Fault(0, "not JSON: not UTF-8"),)),
        (
            b'[{"type":"\xff"}]',
            "no element is an event; element 0: not JSON: not UTF-8",
            (Fault(0, "not JSON: not UTF-8"),),
        ),
        (
            b'{"type":"A","id":' + b"1" * 5000 + b"}",
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


@pytest.mark.parametrize("unread", [b'"\xff"', b"1" * 5000, b"1e999"])
@pytest.mark.parametrize("body", [b'{"type":"A","x":%b}', b'[{"type":"A","x":%b}]', b'[{"Type":"A","x":%b}]'])
def test_what_nobody_reads_is_not_judged(body, unread):
    """However the keys that are read are spelled: an event is an event, also with a member that no decoder takes."""
    assert [event.type for event in parse_delivery(body % unread).events] == ["A"]


PLACES = [b'"x":%b', b'"id":%b', b'"data":%b', b'"data":{"x":%b}', b'"data":{"reason":%b}', b'"data":"{\\"x\\":%b}"']


@pytest.mark.parametrize("place", PLACES)
def test_what_nobody_reads_costs_the_collector_nothing(place):
    """A megabyte of brackets in any place: no list is made of it, so that the garbage collector has nothing to do."""
    body = b'[{"Type":"A",%b}]' % (place % (b"[" + b",".join([b"[[[]]]"] * 40_000) + b"]"))
    collections: list[str] = []
    gc.collect()
    gc.callbacks.append(lambda phase, _: collections.append(phase))
    try:
        assert parse_delivery(body).events
    finally:
        gc.callbacks.pop()
    assert len(collections) < 10


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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_another_encoding_is_named(encoding):
    """With a byte order mark and without."""
    assert said('[{"type":"A"}]'.encode(encoding)) == (
        MalformedDelivery,
        "the body is UTF-16 or UTF-32; send UTF-8",
        (),
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\uDE00 cut", "\ufffd cut"),
        (r"\ud83d\ud83d\ude00\ude00", "\ufffd\U0001f600\ufffd"),
        (r"\u00e9\\ud83d\\\ud83d\n", "\u00e9\\ud83d\\\ufffd\n"),
        (r"\\\\ud83d\\\\\ud83d", "\\\\ud83d\\\\\ufffd"),
        (r"\\\ud83d\ude00\\ud83d\ude00", "\\\U0001f600\\ud83d\ufffd"),
    ],
)
@pytest.mark.parametrize("frame", ["%s", "[%s]"])
def test_half_a_surrogate_pair_is_read_as_no_character(frame, written, read):
    """JSON's grammar has such an escape; a sender that cuts a text within an emoji writes one."""
    body = frame % f'{{"type":"A","id":"{written}"}}'
    assert said(body) == ([("A", read, None, None, None, EventData())], ())
    assert said(f'[{{"type":"B"}},1,{body.strip("[]")}]')[0][1][1] == read


@pytest.mark.parametrize("frame", ["%s", " %s\n", "[%s]", "[ 1, %s,{}]", '[{"type":"B"} ,[],%s , {"type":"C"}]'])
def test_raw_is_the_element_as_it_came_also_with_half_a_pair(frame):
    """The reading of such a body is Ringback's own; the event's bytes are the sender's."""
    element = r'{"type":"A", "id":"cut \ud83d", "x":"\udc00\ud83d\ude00"}'
    delivery = parse_delivery(frame % element)
    assert [event.raw.decode() for event in delivery.events if event.type == "A"] == [element]
    assert b"".join(event.raw for event in delivery.events if event.type != "A") in (b"", b'{"type":"B"}{"type":"C"}')


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
            small_stack.called(lambda body=frame % nested: parse_delivery(body))


# Raw bytes


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


@given(st.binary() | st.text() | st.binary().map(lambda each: b"[" + each) | st.binary().map(lambda each: b"{" + each))
@example(b'[{"type":"A","id":"\\ud800"}]')
@example('[{"type":"A\ud800"}]')
def test_any_bytes_are_a_delivery_or_a_delivery_error(body):
    """Nothing else ever leaves the parser, whatever the bytes."""
    check(body)


@given(json_values | st.lists(json_values, max_size=4))
def test_any_json_is_a_delivery_or_a_delivery_error(value):
    """Nothing else ever leaves the parser, whatever the shape; NaN and infinity included."""
    check(json.dumps(value))


@given(st.sampled_from(sorted(ELEMENTS)), st.data())
def test_a_damaged_payload_is_a_delivery_or_a_delivery_error(name, data):
    """Nothing else ever leaves the parser when bytes of a real body are cut out or replaced."""
    body = (PAYLOADS / f"{name}.json").read_bytes()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    check(body[:start] + data.draw(st.binary(max_size=4)) + body[end:])


@given(
    st.sampled_from(["CallDisconnected", "CreateCallFailed", "PlayFailed", "CallEnded"]),
    st.fixed_dictionaries(
        {},
        optional={
            "resultInformation": json_values,
            "resultInfo": json_values,
            "reason": json_values,
            "sipDetails": json_values,
        },
    )
    | json_values,
)
def test_what_was_reported_is_read_or_said(name, data):
    """No value in the place of a result makes an event that passes for one without: it is read, or it is a fault."""
    try:
        (event,) = parse_delivery(json.dumps([{"type": MICROSOFT + name, "data": data}])).events
    except DeliveryError:
        return
    assert data is None or isinstance(data, dict | str)
    given = [data.get(key) for key in ("resultInformation", "resultInfo")] if isinstance(data, dict) else []
    said = next((each for each in given if each is not None), None)
    if isinstance(said, dict):
        lowered = {key.lower(): value for key, value in said.items()}
        assert (event.result.code is None) is (lowered.get("code") is None)
        assert (event.result.subcode is None) is (lowered.get("subcode") is None)
    elif said is not None:
        assert isinstance(said, str)
        assert isinstance(json.loads(said), dict)


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
    assert [event.id for event in delivery.events] == [element.get("id") or None for element in good]
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


@given(st.binary(max_size=200))
def test_any_bytes_are_a_delivery_or_refused_with_a_depth_too(body: bytes) -> None:
    """The scan for the depth is no new way to fail."""
    with contextlib.suppress(DeliveryError):
        parse_delivery(body, max_depth=1)
