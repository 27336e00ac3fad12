"""The usual set-ups of structlog and logging: each carries the same keys and values of an outcome."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import logging
import logging.config
import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs import export as sdk
from pythonjsonlogger.json import JsonFormatter

from logged import wire
from records import line_in
from ringback import logs, parse_delivery
from ringback.core.events import Delivery
from ringback.core.fields import ROWS, Line
from ringback.core.outcome import classify_event
from ringback.receiving.intake import Received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ringback import Outcome

# The lowest SDK has older names for both.
LogRecordExporter: Any = getattr(sdk, "LogRecordExporter", None) or sdk.LogExporter
LogRecordExportResult: Any = getattr(sdk, "LogRecordExportResult", None) or sdk.LogExportResult

# The SDK's own handler, which its successor in an instrumentation package is to replace.
pytestmark = pytest.mark.filterwarnings("ignore:`LoggingHandler` in `opentelemetry-sdk`:DeprecationWarning")

EVENT = wire(serverCallId="aHR0cHM6Ly9leGFtcGxl")
DELIVERY = parse_delivery(json.dumps([EVENT]).encode(), {})
OUTCOME = classify_event(DELIVERY.events[0])
assert OUTCOME is not None
EXPECTED = Line()(OUTCOME)
BEFORE = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]


def through(**settings: Any) -> Callable[[io.StringIO], None]:
    """structlog, with a renderer and a place to write to."""

    def set_up(out: io.StringIO) -> None:
        structlog.configure(**{"logger_factory": structlog.WriteLoggerFactory(out), **settings})  # type: ignore[arg-type]

    return set_up


def rename(_: object, __: str, line: Any) -> Any:
    line["service"] = "reminders"
    return line


class _Bytes(io.BytesIO):
    """What structlog's bytes logger writes, as text."""

    def __init__(self, out: io.StringIO) -> None:
        super().__init__()
        self._out = out

    def write(self, given: Any) -> int:
        self._out.write(bytes(given).decode())
        return len(given)


def with_bytes(out: io.StringIO) -> None:
    structlog.configure(
        processors=[*BEFORE, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
        logger_factory=structlog.BytesLoggerFactory(_Bytes(out)),
    )


def with_formatter(out: io.StringIO) -> None:
    """As structlog's documentation has it for an app whose libraries log, too."""
    shared = [*BEFORE, structlog.processors.TimeStamper(fmt="iso")]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.JSONRenderer(),
                    ],
                    "foreign_pre_chain": shared,
                }
            },
            "handlers": {"out": {"class": "logging.StreamHandler", "stream": out, "formatter": "json"}},
            "root": {"handlers": ["out"], "level": "INFO"},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def handler_of(handler: logging.Handler) -> None:
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def json_logger(out: io.StringIO) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    handler_of(handler)


class Records(logging.StreamHandler[io.StringIO]):
    """Text by the handler's formatter, and below it, as JSON, what else stands in the record."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.stream.write(json.dumps(line_in(record)) + "\n")


def basic(out: io.StringIO) -> None:
    handler_of(Records(out))


class _Exporter(LogRecordExporter):
    """Writes the attributes, and the body, of each record that is exported."""

    def __init__(self, out: io.StringIO) -> None:
        self._out = out

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        for each in batch:
            attributes = {**(each.log_record.attributes or {}), "body": each.log_record.body}
            self._out.write(json.dumps(attributes) + "\n")
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the name is the SDK's
        return True


def open_telemetry(out: io.StringIO) -> None:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(sdk.SimpleLogRecordProcessor(_Exporter(out)))
    handler_of(LoggingHandler(logger_provider=provider))


SET_UPS: dict[str, Callable[[io.StringIO], None]] = {
    "configure()": lambda out: logs.configure(),
    "JSONRenderer": through(processors=[*BEFORE, structlog.processors.JSONRenderer()]),
    "orjson and bytes": with_bytes,
    "ProcessorFormatter": with_formatter,
    "EventRenamer and callsite": through(
        processors=[
            *BEFORE,
            structlog.processors.CallsiteParameterAdder(),
            structlog.processors.EventRenamer("msg"),
            structlog.processors.JSONRenderer(),
        ]
    ),
    "a processor of the app's": through(processors=[*BEFORE, rename, structlog.processors.JSONRenderer()]),
    "ConsoleRenderer": through(processors=[*BEFORE, structlog.dev.ConsoleRenderer(colors=False)]),
    "LogfmtRenderer": through(processors=[*BEFORE, structlog.processors.LogfmtRenderer(bool_as_flag=False)]),
    "basicConfig": basic,
    "python-json-logger": json_logger,
    "OpenTelemetry": open_telemetry,
}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The root logger as pytest has it, and nothing of structlog."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    structlog.reset_defaults()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(set_up: Callable[[io.StringIO], object], *outcomes: Outcome) -> str:
    """All that a set-up writes of these."""
    out = io.StringIO()
    root = logging.getLogger()
    handlers = root.handlers[:]
    try:
        with contextlib.redirect_stdout(out):
            set_up(out)
            list(logs.received(Received(Delivery(tuple(each.event for each in outcomes)), outcomes)))
    finally:
        root.handlers[:] = handlers
        structlog.reset_defaults()
    return out.getvalue()


def in_json(text: str) -> dict[str, Any]:
    """The last line, which all but two set-ups write as JSON."""
    line: dict[str, Any] = json.loads(text.splitlines()[-1])
    return line


def in_logfmt(text: str) -> dict[str, Any]:
    """``key=value`` or ``key="value"``, as logfmt has it; its values are texts."""
    pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ \n]*)', text)
    return {name: json.loads(value) if value.startswith('"') else value for name, value in pairs}


def on_the_console(text: str) -> dict[str, Any]:
    """``key=repr``: what holds a blank stands in quotes, and a list in brackets."""
    pairs = re.findall(r"(\w+)=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\[.*?\](?= )|[^ \n]*)", text)
    return {name: ast.literal_eval(value) if value[:1] in ("'", '"', "[") else value for name, value in pairs}


READERS = {"LogfmtRenderer": in_logfmt, "ConsoleRenderer": on_the_console}
AS_TEXT: dict[str, tuple[type, ...]] = {"LogfmtRenderer": (int, list), "ConsoleRenderer": (int,)}


@pytest.mark.parametrize("name", SET_UPS)
def test_every_set_up_carries_the_same_keys_and_values(name: str) -> None:
    """Whatever the app logs with; renderers of text write numbers, and one of them lists, as text."""
    found = READERS.get(name, in_json)(written(SET_UPS[name], OUTCOME))
    texts = AS_TEXT.get(name, ())
    expected = {key: str(value) if isinstance(value, texts) else value for key, value in EXPECTED.items()}
    assert {key: found.get(key) for key in expected} == expected
    assert found.keys() & {row.name for row in ROWS if "dictionary" not in row.marks} == expected.keys()


def test_there_are_eleven_set_ups() -> None:
    """Eight of structlog, three of logging."""
    assert len(SET_UPS) == 11


NUMBERS = st.sampled_from(["+1 555 010 0199", "+15550100199", "4:+15550100199", "\\u002B15550100199", "%2B15550100199"])
BESIDE = st.text(st.characters(codec="utf-8", exclude_characters="0123456789"), max_size=8)
PLANTED = st.builds("{} {} {}".format, BESIDE, NUMBERS, BESIDE)


@pytest.mark.parametrize("name", SET_UPS)
@given(texts=st.lists(PLANTED, min_size=9, max_size=9))
def test_nothing_private_leaves_through_any_set_up(name: str, texts: list[str]) -> None:
    """A sender may hide a number in any text of an event."""
    kind, event_id, leg, server, call, context, message, sip, q850 = texts
    data = EVENT["data"] | {
        "callConnectionId": leg,
        "serverCallId": server,
        "correlationId": call,
        "operationContext": context,
        "resultInformation": {
            "code": 486,
            "subCode": 560486,
            "message": message,
            "sipDetails": {"code": 486, "message": sip},
            "q850Details": {"code": 17, "message": q850},
        },
    }
    events = [EVENT | {"id": event_id, "data": data}, EVENT | {"type": kind, "id": event_id, "data": data}]
    outcomes = [classify_event(event) for event in parse_delivery(json.dumps(events)).events]
    text = written(SET_UPS[name], *(each for each in outcomes if each is not None))
    assert text.count("call.outcome") >= 2
    assert re.search(r"0\D{0,3}1\D{0,3}0\D{0,3}0\D{0,3}1\D{0,3}9\D{0,3}9", text) is None
