"""The lines that Ringback writes through the usual set-ups of structlog and logging are read, each with its values."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from pythonjsonlogger.json import JsonFormatter

from logged import LEG, wire
from ringback import logs, parse_delivery
from ringback.cli.reading.frames import found_in
from ringback.cli.reading.line import Line
from ringback.cli.reading.text import WHOLE, literal
from ringback.core.events import Diagnostic, Result
from ringback.core.fields import ROWS
from ringback.core.outcome import classify_event
from ringback.receiving.intake import Received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The oldest OpenTelemetry that is tested has the handler there alone.
pytestmark = pytest.mark.filterwarnings("ignore:`LoggingHandler` in:DeprecationWarning")

CONTEXT = 'order "47" cause=declined it\'s \\d'
"""What a sender may write to pass for a key of ours."""
EVENT = wire(
    operationContext=CONTEXT,
    resultInformation={
        "code": 480,
        "subCode": 560480,
        "message": "Declined. Callee 4:+15550100001.",
        "sipDetails": {"code": 480, "message": "Temporarily Unavailable"},
        "q850Details": {"code": 21, "message": "Call rejected"},
    },
)
DELIVERY = parse_delivery(json.dumps([EVENT]).encode(), {})
OUTCOME = classify_event(DELIVERY.events[0])
assert OUTCOME is not None
RESULT = Result(
    480,
    560480,
    "Declined. Callee [id].",
    Diagnostic(480, "Temporarily Unavailable"),
    Diagnostic(21, "Call rejected"),
)
NUMBERS = Result(480, 560480, None, Diagnostic(480), Diagnostic(21))
VERDICT = {
    "cause": "declined",
    "disposition": "terminal",
    "retry_class": "never",
    "retry_action": "none",
    "category": "ExpectedError",
    "owner": "callee",
}
IN_TEXT = {row.name: "text" in row.marks for row in ROWS}
BEFORE: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso")]


def through(*processors: Any) -> Callable[[io.StringIO], None]:
    def set_up(out: io.StringIO) -> None:
        structlog.configure(processors=[*BEFORE, *processors], logger_factory=structlog.WriteLoggerFactory(out))

    return set_up


def json_logger(out: io.StringIO) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


class _Attributes(logging.Handler):
    """What OpenTelemetry's own handler makes of a record, as this makes a row of it."""

    def __init__(self, out: io.StringIO, row: Callable[[str, dict[str, Any]], str]) -> None:
        super().__init__()
        self._out, self._row = out, row
        self._exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider()
        provider.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))
        self._inner = LoggingHandler(logger_provider=provider)

    def emit(self, record: logging.LogRecord) -> None:
        self._inner.emit(record)
        for each in self._exporter.get_finished_logs():
            attributes = dict(each.log_record.attributes or {})
            told = {key: list(value) if isinstance(value, tuple) else value for key, value in attributes.items()}
            self._out.write(self._row(str(each.log_record.body), told) + "\n")


def row(made: Callable[[str, dict[str, Any]], Any]) -> Callable[[io.StringIO], None]:
    def set_up(out: io.StringIO) -> None:
        handler = _Attributes(out, lambda body, told: json.dumps(made(body, told)))
        logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)

    return set_up


def as_text(told: dict[str, Any]) -> dict[str, str]:
    """Application Insights keeps every value as text."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()}


def otlp(body: str, told: dict[str, Any]) -> Any:
    pairs = [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in told.items()
        if not isinstance(value, list)
    ]
    record = {"timeUnixNano": "1767323045062955300", "body": {"stringValue": body}, "attributes": pairs}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


SET_UPS: dict[str, Callable[[io.StringIO], None]] = {
    "JSON": through(structlog.processors.JSONRenderer()),
    "EventRenamer": through(structlog.processors.EventRenamer("msg"), structlog.processors.JSONRenderer()),
    "any other name": through(structlog.processors.EventRenamer("what"), structlog.processors.JSONRenderer()),
    "console": through(structlog.dev.ConsoleRenderer(colors=False)),
    "console in colour": through(structlog.dev.ConsoleRenderer(colors=True)),
    "logfmt": through(structlog.processors.LogfmtRenderer(bool_as_flag=False)),
    "logfmt, event first": through(structlog.processors.LogfmtRenderer(key_order=["event"], bool_as_flag=False)),
    "key and value": through(structlog.processors.KeyValueRenderer()),
    "python-json-logger": json_logger,
    "attributes": row(lambda body, told: {"body": body, "attributes": told}),
    "OTLP": row(otlp),
    "traces": row(lambda body, told: {"timestamp": "2026-01-02T03:04:05Z", "message": body, "customDimensions": told}),
    "traces as text": row(lambda body, told: {"message": body, "customDimensions": json.dumps(as_text(told))}),
    "AppTraces": row(lambda body, told: {"Message": body, "TimeGenerated": "2026-01-02", "Properties": as_text(told)}),
    "diagnostic setting": row(lambda body, told: {"records": [{"Message": body, "Properties": as_text(told)}]}),
}


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    """logging as it was before."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def written(set_up: Callable[[io.StringIO], None]) -> str:
    assert OUTCOME is not None
    out = io.StringIO()
    set_up(out)
    list(logs.received(Received(DELIVERY, (OUTCOME,))))
    return out.getvalue()


def told(line: Line) -> dict[str, Any]:
    event = line.to_event()
    assert event is not None
    return {
        "name": line.event,
        "ending": line.ending,
        "scope": line.scope,
        "verdict": (line.cause, line.disposition, line.retry_class, line.retry_action, line.category, line.owner),
        "event": (event.id, event.type, event.occurred_at, event.result, event.data.operation_context),
        "whole": line.schema == 2,
    }


@pytest.mark.parametrize("set_up", SET_UPS.values(), ids=SET_UPS)
def test_every_set_up_is_read(set_up: Callable[[io.StringIO], None]) -> None:
    """Whole values, and a sender's text passes for no key."""
    (line,) = found_in([written(set_up).encode()])
    assert isinstance(line, Line)
    assert told(line) == {
        "name": "call.outcome",
        "ending": f"call:{LEG}",
        "scope": "call",
        "verdict": ("declined", "terminal", "never", "none", "ExpectedError", "callee"),
        "event": (EVENT["id"], EVENT["type"], DELIVERY.events[0].occurred_at, RESULT, CONTEXT),
        "whole": True,
    }


@pytest.mark.parametrize("text", ["%(message)s", "%(levelname)s:%(name)s:%(message)s", "[%(asctime)s] %(message)s"])
def test_a_line_of_text_is_read(text: str) -> None:
    """All that it says: the carrier's numbers without words, and the context whole; its verdict is what it was."""

    def set_up(out: io.StringIO) -> None:
        logging.basicConfig(stream=out, level=logging.INFO, force=True, format=text)

    (line,) = found_in([written(set_up).encode()])
    assert isinstance(line, Line)
    assert told(line) == {
        "name": "call.outcome",
        "ending": f"call:{LEG}",
        "scope": "call",
        "verdict": tuple(value if IN_TEXT[name] else None for name, value in VERDICT.items()),
        "event": (None, EVENT["type"], None, NUMBERS, CONTEXT),
        "whole": False,
    }
    assert (line.timestamp is None) == ("asctime" not in text)


def test_a_quote_in_each_of_two_values_encloses_neither() -> None:
    """A renderer of logfmt writes single quotes as they are."""
    text = "call.outcome event_type=x cause=busy disposition=retryable operation_context=' summary='"
    (line,) = found_in([text.encode()])
    assert isinstance(line, Line)
    assert (line.cause, line.operation_context, line.summary) == ("busy", None, None)


def test_what_tells_text_from_the_other_forms() -> None:
    """A key that every line has but those of logging's text."""
    row = next(row for row in ROWS if row.name == WHOLE)
    assert {"text", "full", "seldom"}.isdisjoint(row.marks)


def test_a_long_value_is_not_read_as_python() -> None:
    """Its parser needs many times the memory of the text."""
    assert literal("[" + "1," * 10 + "'']") == [1] * 10 + [""]
    assert literal("[" + "1," * 100_000 + "'']") is None
