"""A busy call and its lines, for the tests of the log."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from typing import TYPE_CHECKING, Any

from ringback import Event, Outcome, ResultCategory, classify, classify_event, logs
from ringback.core.events import Delivery, Diagnostic, EventData, Result, Update
from ringback.receiving.intake import Received
from ringback.receiving.replies import Reply
from ringback.work.call_detail import EndedLeg

if TYPE_CHECKING:
    from collections.abc import Iterator


LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-00000000000c"
EVENT_ID = "1f0e5c1a-0000-4000-8000-0000000000e1"


def wire(**data: Any) -> dict[str, Any]:
    """A busy call's event as the service sends it; ``data`` are keys of its data."""
    result = {
        "code": 486,
        "subCode": 560486,
        "message": "Busy here. Callee 4:+15550100001.",
        "sipDetails": {"code": 486, "message": "Busy Here"},
        "q850Details": {"code": 17, "message": "User busy"},
    }
    ids = {"callConnectionId": LEG, "correlationId": CALL}
    return {
        "id": EVENT_ID,
        "source": f"calling/callConnections/{LEG}",
        "type": "Microsoft.Communication.CallDisconnected",
        "specversion": "1.0",
        "time": "2026-01-02T03:04:05.0629553+00:00",
        "data": {**ids, "operationContext": "order 4711", "resultInformation": result, **data},
    }


def busy_event(**changed: Any) -> Event:
    """A busy call's event; ``changed`` are fields of its data."""
    fields: dict[str, Any] = {
        "call_connection_id": LEG,
        "server_call_id": "c2VydmVyLWNhbGw",
        "correlation_id": CALL,
        "operation_context": "reminder-17",
        "result_information": Result(
            486, 560486, "Callee +1 425 555 0100 is busy.", Diagnostic(486, "Busy Here"), Diagnostic(17, "User busy")
        ),
    }
    return Event(
        type="Microsoft.Communication.CallDisconnected",
        id=EVENT_ID,
        time="2026-01-15T09:30:00.1234567+00:00",
        data=EventData(**fields | changed),
    )


def judged(event: Event) -> Outcome:
    outcome = classify_event(event)
    assert outcome is not None
    return outcome


def tell(*outcomes: Outcome) -> None:
    """As it is done on the way in."""
    list(logs.received(Received(Delivery(tuple(each.event for each in outcomes)), outcomes)))


BUSY = judged(busy_event())
HUNG_UP = judged(busy_event(result_information=Result(200, 560000)))
TALKED = EndedLeg(
    correlation_id=CALL,
    call_connection_id=LEG,
    operation_context="reminder-17",
    connected_at=1_768_469_358.25,
    ended_at=1_768_469_400.123456,
    answered=True,
    ring_seconds=4.5,
    talk_seconds=41.873456,
    transferred=True,
    number=1,
    legs=1,
    redials=1,
)
"""A leg of which everything is known that the line of its end has."""
# No event has a carrier's details and a status of media streaming: for a line with every key.
STREAMED = judged(busy_event(media_streaming_update=Update("forbidden")))
SERVER_ERROR = classify("CallDisconnected", 599, 123)
KEYS_URL = "https://login.example.com/keys"
LOUDNESS = {
    ResultCategory.SUCCESS: "info",
    ResultCategory.EXPECTED_ERROR: "warning",
    ResultCategory.UNEXPECTED_CLIENT_ERROR: "warning",
    ResultCategory.UNEXPECTED_SERVER_ERROR: "error",
    ResultCategory.UNKNOWN: "warning",
}
REFUSED = Reply(401, b"", (), "token_missing", sender_refused=True)
BRIEF = {"outcome_id": f"call:{LEG}", "cause": "busy", "disposition": "retryable", "retry_class": "later"}


@contextlib.contextmanager
def no_handlers() -> Iterator[None]:
    """A root logger without the handlers that pytest gives it while a test runs."""
    root = logging.getLogger()
    theirs, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = theirs


class Kept(logging.Handler):
    """Keeps records, and their text as formatted."""

    def __init__(self, text: str = "%(message)s") -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(text))
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.lines.append(self.format(record))


def attach(handler: logging.Handler, level: int = logging.INFO) -> None:
    plain = logging.getLogger(logs.LOGGER)
    plain.addHandler(handler)
    plain.setLevel(level)


def lines_of(printed: str) -> list[dict[str, Any]]:
    """The JSON lines on standard output without their time, which is checked and dropped."""
    parsed = [json.loads(line) for line in printed.splitlines()]
    for line in parsed:
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    return parsed


def raised(error: Exception) -> Exception:
    """The exception as a hook's caller gets it, with a traceback."""
    try:
        raise error
    except Exception as caught:
        return caught
