"""What a request to the callback path comes to: a reply of our own, or a delivery with its outcomes."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import small_stack
from ringback import Refusal
from ringback.core.events import Delivery, Fault
from ringback.exceptions import MalformedDelivery
from ringback.receiving.intake import consent, delivery_of
from ringback.receiving.replies import Reply, denial, refusal, unavailable
from ringback.settings import Door

DOOR = Door(max_body=2000, max_events=2)
PROBLEM = (("content-type", "application/problem+json"),)
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
NO_TYPE = "no type (CloudEvents) and no eventType (Event Grid); send one of the two schemas"


def disconnected(leg: str = "leg-1") -> dict[str, object]:
    return {
        "id": "1f0e5c1a-0000-4000-8000-000000000001",
        "type": "Microsoft.Communication.CallDisconnected",
        "data": {"callConnectionId": leg, "resultInformation": {"code": 486, "subCode": 560486, "message": "Busy"}},
    }


def validation(code: object = "code-1") -> dict[str, object]:
    return {"id": "2", "eventType": VALIDATION, "data": {"validationCode": code}}


def problem(status: int, title: str, detail: str, *faults: tuple[int, str], reason: str) -> Reply:
    """The reply that refuses a delivery, whole. ``reason`` is the word by which the reply is counted."""
    content: dict[str, object] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if faults:
        content["faults"] = [{"index": index, "reason": fault} for index, fault in faults]
    return Reply(status, json.dumps(content, separators=(",", ":")).encode(), PROBLEM, detail, reason=reason)


def test_a_delivery_has_its_events_in_order() -> None:
    """Also those that end no call."""
    read = delivery_of(
        json.dumps([disconnected(), {"type": "Microsoft.Communication.CallConnected"}]).encode(), {}, DOOR
    )
    assert isinstance(read, Delivery)
    assert [event.name for event in read.events] == ["CallDisconnected", "CallConnected"]


def test_an_empty_array_is_a_delivery_without_events() -> None:
    """Nothing to classify is no error."""
    assert delivery_of(b"[]", {}, DOOR) == Delivery(())


def test_one_element_that_is_no_event_does_not_hide_the_others() -> None:
    """The delivery goes on with the events it holds, and names the faults."""
    read = delivery_of(json.dumps([17, disconnected()]).encode(), {}, DOOR)
    assert isinstance(read, Delivery)
    assert read.faults == (Fault(0, "a JSON number, not an object; send a CloudEvent"),)
    assert [event.name for event in read.events] == ["CallDisconnected"]


@pytest.mark.parametrize(
    ("headers", "body", "reply"),
    [
        pytest.param(
            {},
            b"  ",
            problem(400, "Malformed delivery", "the body is empty; send a JSON array of CloudEvents", reason="empty"),
            id="empty",
        ),
        pytest.param(
            {},
            b"hello",
            problem(
                400,
                "Malformed delivery",
                "the body is neither a JSON array nor an object; send a JSON array of CloudEvents",
                reason="not_json",
            ),
            id="text",
        ),
        pytest.param(
            {},
            b'{"a": 1}',
            problem(400, "Malformed delivery", NO_TYPE, (0, NO_TYPE), reason="no_event"),
            id="object that is no event",
        ),
        pytest.param(
            {},
            b'[{}, "x"]',
            problem(
                400,
                "Malformed delivery",
                f"no element is an event; element 0: {NO_TYPE}",
                (0, NO_TYPE),
                (1, "a JSON string, not an object; send a CloudEvent"),
                reason="no_event",
            ),
            id="no element is an event",
        ),
        pytest.param(
            {},
            b" " * 2001,
            problem(413, "Delivery too large", "the body has 2001 bytes; at most 2000 are accepted", reason="body"),
            id="too many bytes",
        ),
        pytest.param(
            {},
            json.dumps([disconnected()] * 3).encode(),
            problem(413, "Delivery too large", "the body holds 3 events; at most 2 are accepted", reason="events"),
            id="too many events",
        ),
        pytest.param(
            {"content-encoding": "gzip"},
            b"[]",
            problem(
                415,
                "Unsupported encoding",
                "content-encoding 'gzip' is not accepted; send plain JSON",
                reason="encoding",
            ),
            id="compressed",
        ),
    ],
)
def test_what_is_no_delivery_is_answered_with_problem_details(
    headers: dict[str, str], body: bytes, reply: Reply
) -> None:
    """A bad request is a reply with what was wrong (RFC 9457), never an exception."""
    assert delivery_of(body, headers, DOOR) == reply


def test_a_hostile_batch_gets_a_short_answer() -> None:
    """At most twenty faults are listed."""
    reply = delivery_of(json.dumps([0] * 500).encode(), {}, Door())
    assert isinstance(reply, Reply)
    assert [fault["index"] for fault in json.loads(reply.body)["faults"]] == list(range(20))


def test_a_refusal_repeats_no_phone_number() -> None:
    """Details and reasons are redacted in the body and in the log's fact."""
    error = MalformedDelivery("no event for +1 555 010 0123", (Fault(0, "to 4:+15550100123"),))
    assert refusal(error) == problem(
        400, "Malformed delivery", "no event for [phone]", (0, "to [id]"), reason="not_json"
    )


TEXTS = st.text(alphabet="ZQXJ", min_size=4, max_size=30)


@given(secret=TEXTS, shape=st.sampled_from(['{}"', '["{}"', '[{{"{}": 1}}]', '["{}"]', '{{"a":"{}"}}', '[{{"a":{}}}]']))
def test_a_refusal_repeats_nothing_of_the_body(secret: str, shape: str) -> None:
    """What was sent does not come back, and does not reach the log."""
    reply = delivery_of(shape.format(secret).encode(), {}, DOOR)
    assert isinstance(reply, Reply)
    assert reply.status == 400
    assert secret not in reply.body.decode()
    assert secret not in reply.fact


@given(
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "data", "id"]), inner),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    event_type=st.sampled_from(["", "SubscriptionValidation", "Notification"]),
)
def test_any_bytes_are_a_reply_or_a_delivery(body: bytes, event_type: str) -> None:
    """Bad input never raises, and is never our fault."""
    decision = delivery_of(body, {"aeg-event-type": event_type}, DOOR)
    assert isinstance(decision, Delivery) or decision.status in (200, 400, 413)


HANDSHAKE = Reply(200, b'{"validationResponse":"code-1"}', (("content-type", "application/json"),), "eventgrid")


@pytest.mark.parametrize(
    ("headers", "events"),
    [
        pytest.param({"aeg-event-type": "SubscriptionValidation"}, [validation()], id="header and event"),
        pytest.param({"aeg-event-type": "subscriptionvalidation"}, [validation()], id="header in lower case"),
        pytest.param({}, [validation()], id="event without header"),
        pytest.param({}, validation(), id="bare event"),
        pytest.param({}, [{"type": VALIDATION, "data": {"validationCode": "code-1"}}], id="as CloudEvent"),
        pytest.param({}, [{"EventType": VALIDATION, "Data": {"ValidationCode": "code-1"}}], id="keys in another case"),
        pytest.param({}, [{"eventType": VALIDATION.lower(), "data": {"validationCode": "code-1"}}], id="type in lower"),
        pytest.param({}, [{"eventType": VALIDATION, "data": '{"validationcode":"code-1"}'}], id="data as text"),
    ],
)
def test_a_validation_of_event_grid_is_answered_with_its_code(headers: dict[str, str], events: object) -> None:
    """The event proves the handshake; the header only announces it."""
    assert delivery_of(json.dumps(events).encode(), headers, DOOR) == HANDSHAKE


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param([disconnected()], id="another event"),
        pytest.param([], id="no event"),
        pytest.param([validation(), disconnected()], id="before another event"),
        pytest.param([disconnected(), validation()], id="after another event"),
        pytest.param([validation(), validation()], id="twice"),
        pytest.param([validation(), 17], id="beside what is no event"),
    ],
)
def test_an_announced_validation_that_is_not_one_event_alone_is_malformed(elements: list[object]) -> None:
    """There is no code to echo, or more comes with it than a handshake."""
    reply = delivery_of(json.dumps(elements).encode(), {"aeg-event-type": "SubscriptionValidation"}, DOOR)
    detail = f"aeg-event-type announces a validation, but the body is no single {VALIDATION}"
    assert reply == problem(400, "Malformed delivery", detail, reason="validation")


@pytest.mark.parametrize(
    ("elements", "types", "faults"),
    [
        pytest.param(
            [validation(), disconnected()],
            [VALIDATION, "Microsoft.Communication.CallDisconnected"],
            (),
            id="before another event",
        ),
        pytest.param(
            [disconnected(), validation()],
            ["Microsoft.Communication.CallDisconnected", VALIDATION],
            (),
            id="after another event",
        ),
        pytest.param([validation(), validation()], [VALIDATION, VALIDATION], (), id="twice"),
        pytest.param(
            [validation(), 17],
            [VALIDATION],
            (Fault(1, "a JSON number, not an object; send a CloudEvent"),),
            id="beside what is no event",
        ),
    ],
)
def test_a_validation_beside_other_elements_is_passed_on(
    elements: list[object], types: list[str], faults: tuple[Fault, ...]
) -> None:
    """A validation does not swallow what came with it: only one event alone is a handshake."""
    read = delivery_of(json.dumps(elements).encode(), {}, DOOR)
    assert isinstance(read, Delivery)
    assert [event.type for event in read.events] == types
    assert read.faults == faults


@pytest.mark.parametrize(
    ("refused", "reply"),
    [
        pytest.param(
            Refusal("token_expired"),
            Reply(
                401,
                b'{"type":"about:blank","title":"Unauthorized","status":401}',
                (*PROBLEM, ("www-authenticate", "Bearer")),
                "token_expired",
                sender_refused=True,
            ),
            id="401",
        ),
        pytest.param(
            Refusal("keys_unavailable", 503, 5),
            Reply(
                503,
                b'{"type":"about:blank","title":"Service unavailable","status":503}',
                (*PROBLEM, ("retry-after", "5")),
                "keys_unavailable",
                sender_refused=True,
            ),
            id="503",
        ),
        pytest.param(
            Refusal("store_unavailable", 503),
            Reply(
                503,
                b'{"type":"about:blank","title":"Service unavailable","status":503}',
                PROBLEM,
                "store_unavailable",
                sender_refused=True,
            ),
            id="503 without a time",
        ),
    ],
)
def test_a_denial_tells_the_sender_no_reason(refused: Refusal, reply: Reply) -> None:
    """The reason is for the log; 401 names the scheme, 503 when to come again."""
    assert denial(refused) == reply


def test_a_delivery_that_cannot_be_kept_is_to_come_again() -> None:
    """503 and when, as RFC 9110 has it; what is wrong with the store is nobody's business."""
    problem = {
        "type": "about:blank",
        "title": "Service unavailable",
        "status": 503,
        "detail": "the store cannot be used now",
    }
    reply = unavailable(30)
    assert json.loads(reply.body) == problem
    assert (reply.status, reply.headers) == (
        503,
        (("content-type", "application/problem+json"), ("retry-after", "30")),
    )
    assert (reply.fact, reply.sender_refused) == ("the store cannot be used now", False)


NO_CODE = problem(400, "Malformed delivery", "the validation event has no data.validationCode", reason="validation")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps([{"eventType": VALIDATION}]).encode(), id="no data"),
        pytest.param(json.dumps([{"eventType": VALIDATION, "data": {}}]).encode(), id="no code"),
        pytest.param(json.dumps([validation(None)]).encode(), id="null"),
        pytest.param(json.dumps([validation(17)]).encode(), id="number"),
        pytest.param(b'[{"type":"%s","data":{"validationCode":"\xff"}}]' % VALIDATION.encode(), id="not UTF-8"),
    ],
)
def test_a_validation_without_a_code_is_malformed(body: bytes) -> None:
    """Only a text can be echoed."""
    assert delivery_of(body, {}, DOOR) == NO_CODE


def test_nesting_of_any_depth_is_never_an_exception() -> None:
    """A depth that the first reading still bears and a later one does not is a malformed delivery."""
    door = Door()
    shell = '[{"type":"%s","data":{"validationCode":"code-1","deep":%s%s}}]'
    # Python 3.12 and newer have a bound for C of their own, which is not the recursion limit: 100,000 is beyond any.
    limit = sys.getrecursionlimit()
    bodies = [
        (shell % (VALIDATION, "[" * depth, "]" * depth)).encode()
        for depth in (*range(limit - 200, limit + 10), 100_000)
    ]
    replies = small_stack.called(lambda: [delivery_of(body, {}, door) for body in bodies])
    assert replies[0] == HANDSHAKE
    assert {reply.status for reply in replies if isinstance(reply, Reply)} == {200, 400}


@pytest.mark.parametrize(
    ("headers", "reply"),
    [
        pytest.param(
            {"webhook-request-origin": "eventgrid.azure.net"},
            Reply(
                200,
                b"",
                (
                    ("allow", "OPTIONS, POST"),
                    ("webhook-allowed-origin", "eventgrid.azure.net"),
                    ("webhook-allowed-rate", "*"),
                ),
                "cloudevents",
            ),
            id="CloudEvents handshake",
        ),
        pytest.param({"origin": "https://example.org"}, None, id="CORS preflight"),
        pytest.param({}, None, id="no header"),
    ],
)
def test_consent_answers_the_handshake_of_cloudevents_alone(headers: dict[str, str], reply: Reply | None) -> None:
    """Any other OPTIONS request is the app's."""
    assert consent((name.encode(), value.encode()) for name, value in headers.items()) == reply
