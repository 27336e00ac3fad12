"""The shortcut of the outcome's line: to a reader of the log it makes no difference."""

from __future__ import annotations

import io
import json
import logging
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars
from structlog.processors import (
    EventRenamer,
    JSONRenderer,
    KeyValueRenderer,
    StackInfoRenderer,
    TimeStamper,
    UnicodeDecoder,
    add_log_level,
    format_exc_info,
)
from structlog.testing import capture_logs

from ringback import Catalog, Delivery, Diagnostic, Event, Outcome, Result, classify, lines, logs, use_redaction
from ringback.events import EventData
from ringback.intake import Received
from ringback.outcome import classify_event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
EVENT_ID = "1f0e5c1a-0000-4000-8000-0000000000e1"

property_of = settings(deadline=None, max_examples=150, derandomize=True, database=None)


@pytest.fixture(autouse=True)
def _nothing_configured() -> Iterator[None]:
    """structlog, the bound context, the shortcut and the redaction as in a new process."""
    as_at_first()
    yield
    as_at_first()


def as_at_first() -> None:
    structlog.reset_defaults()
    clear_contextvars()
    lines.use_shortcut(True)
    use_redaction("mask")


def outcome_of(event: Event) -> Outcome:
    outcome = classify_event(event)
    assert outcome is not None
    return outcome


def told(name: str = "CallDisconnected", **fields: Any) -> Outcome:
    given: dict[str, Any] = {"call_connection_id": LEG, "result_information": Result(486, 560486, "Busy here.")}
    return outcome_of(Event(type=f"Microsoft.Communication.{name}", id=EVENT_ID, data=EventData(**given | fields)))


BUSY = told()
FAILED = told("PlayFailed", result_information=Result(400, 8535))
BROKEN = told(result_information=Result(500, 1))

# Any text, half surrogate pairs and what must be redacted included.
odd = st.one_of(
    st.none(),
    st.uuids().map(str),
    st.text(st.characters(exclude_categories=()), max_size=12),
    st.sampled_from(
        ["", "null", "%s %(context)s", 'a "b"\n\\', "4:+15550100199", "call +1 555 010 0199", "\u0660a", "a\ud800"]
    ),
)
numbers = st.none() | st.integers(-(2**31) + 1, 2**31 - 1) | st.sampled_from([0, 200, 404, 486, 500, 8522, 560486])
details = st.none() | st.builds(Diagnostic, numbers, odd)
times = odd | st.sampled_from(
    [
        "2026-01-15T09:30:00.1234567+00:00",
        "2026-01-15T09:30:00.123456Z",
        "2026-01-15T09:30:00.0000000+00:00",
        "2026-13-45T09:30:00.1234567+00:00",
        "2026-01-15T09:30:00Z",
        "2026-01-15T09:30:00",
        "2026-01-15T09:30:00+05:30",
    ]
)
types = st.sampled_from(["CallDisconnected", "CreateCallFailed", "PlayFailed", "CallConnected"]).map(
    lambda name: f"Microsoft.Communication.{name}"
) | odd.map(lambda text: text or " ")
events = st.builds(
    Event,
    type=types,
    id=odd,
    time=times,
    data=st.builds(
        EventData,
        call_connection_id=odd,
        server_call_id=odd,
        correlation_id=odd,
        operation_context=odd,
        result_information=st.none() | st.builds(Result, numbers, numbers, odd, details, details),
    ),
)


@st.composite
def outcomes_of(draw: st.DrawFn) -> Outcome:
    event = draw(events)
    result = event.result
    verdict = Catalog.default().look_up(
        event.type, None if result is None else result.code, None if result is None else result.subcode
    )
    return Outcome(event, verdict, draw(st.none() | events), draw(st.sampled_from([False, False, False, True])))


plain_values = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=()), max_size=5)
values = plain_values | st.floats() | st.binary(max_size=3) | st.lists(st.integers(), max_size=2)
names = st.sampled_from(
    [*BUSY.to_dict(), "event", "level", "timestamp", "exc_info", "stack_info", "stack", "exception", "tenant", "a b"]
) | st.text(min_size=1, max_size=4)
contexts = st.dictionaries(names, values, max_size=4) | st.dictionaries(st.sampled_from("abc"), plain_values)

stampers = st.sampled_from(
    [
        TimeStamper(fmt="iso"),
        TimeStamper(fmt="ISO"),
        TimeStamper(fmt="iso", utc=False),
        TimeStamper(),
        TimeStamper(fmt='"%Y" \xe9'),
    ]
)


@st.composite
def pipelines(draw: st.DrawFn) -> list[Any]:
    """Known processors, some or all of them, in any order."""
    known = [
        merge_contextvars,
        add_log_level,
        draw(stampers),
        StackInfoRenderer(),
        format_exc_info,
        UnicodeDecoder(),
    ]
    chosen = draw(st.permutations(known))[: draw(st.integers(0, len(known)))]
    if draw(st.booleans()):
        return [*chosen, JSONRenderer()]
    return [*chosen, *draw(st.sampled_from([[], [lines.leading]])), JSONRenderer(serializer=lines.to_json)]


FACTORIES = [structlog.PrintLoggerFactory, structlog.WriteLoggerFactory]
LEVELS = [0, 10, 20, 30, 40, 50]


def configure(processors: list[Any], level: int = 0, factory: Any = structlog.PrintLoggerFactory) -> io.StringIO:
    sink = io.StringIO()
    structlog.configure(processors, structlog.make_filtering_bound_logger(level), dict, factory(sink), False)
    return sink


def tell(outcomes: Sequence[Outcome], *, shortcut: bool = True) -> None:
    lines.use_shortcut(shortcut)
    are_open = logs.bound_ids([each.event for each in outcomes]).are_open
    received = Received(Delivery(()), tuple(outcomes))
    logs.received(received, logs.rendered(received, ids_are_open=are_open))
    lines.use_shortcut(True)


def timeless(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Members in their order; of a time only what does not depend on when that was."""
    return [
        (name, type(value) if name == "timestamp" and not str(value).startswith('"') else value)
        for name, value in pairs
    ]


def parsed(text: str) -> list[Any]:
    return [json.loads(line, object_pairs_hook=timeless) for line in text.splitlines()]


def both_ways(sink: io.StringIO, outcomes: Sequence[Outcome]) -> tuple[list[Any], list[Any]]:
    """What is written with the shortcut, and without."""
    tell(outcomes)
    short = parsed(sink.getvalue())
    sink.seek(0)
    sink.truncate()
    tell(outcomes, shortcut=False)
    return short, parsed(sink.getvalue())


# The same line


@property_of
@given(st.lists(outcomes_of(), min_size=1, max_size=3), pipelines(), st.sampled_from(LEVELS), contexts, st.data())
def test_the_line_is_the_one_that_structlog_writes(
    outcomes: list[Outcome], processors: list[Any], level: int, bound: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever is told, bound and configured: the same members in the same order, in as many lines."""
    sink = configure(processors, level, data.draw(st.sampled_from(FACTORIES)))
    clear_contextvars()
    bind_contextvars(**bound)
    short, long = both_ways(sink, outcomes)
    assert repr(short) == repr(long)  # as text, for NaN is not itself


@property_of
@given(st.lists(outcomes_of(), min_size=1, max_size=3), pipelines(), st.sampled_from(LEVELS))
def test_a_known_configuration_takes_the_shortcut(outcomes: list[Outcome], processors: list[Any], level: int) -> None:
    """All that it refuses is an outcome that is terminal only because nobody calls again."""
    configure(processors, level)
    assert (lines.written(outcomes) is None) is any(each.attempts_exhausted for each in outcomes)


@pytest.mark.parametrize("mode", ["mask", "hash", None])
def test_it_redacts_as_the_app_chose(mode: Any) -> None:
    """The mode is looked at for each line."""
    outcome = told(operation_context="for 4:+15550100199", result_information=Result(486, 0, "+1 555 010 0199"))
    sink = configure([JSONRenderer()])
    use_redaction(mode, b"a made-up key of the tests" if mode == "hash" else None)
    short, long = both_ways(sink, [outcome])
    assert short == long
    assert ("15550100199" in repr(short)) is (mode is None)


@property_of
@given(st.integers(0, 4_000_000_000_000_000), st.sampled_from([1, 1000, 1_000_000]))
def test_a_time_is_written_as_structlog_writes_it(microseconds: int, unit: int) -> None:
    """To the microsecond, which a whole second has not."""
    microseconds = microseconds // unit * unit
    then = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    assert lines.iso(microseconds * 1000 + 999) == then.isoformat().replace("+00:00", "Z")


def test_the_lines_of_a_delivery_are_written_at_once_and_have_one_time() -> None:
    """In the order of the outcomes, each with its own level, those left out that nobody hears."""
    writes: list[str] = []

    class Sink(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    structlog.configure(
        [add_log_level, TimeStamper(fmt="iso"), JSONRenderer()],
        structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(Sink()),
    )
    tell([BUSY, BROKEN, FAILED, BUSY])
    [text] = writes
    written = [json.loads(line) for line in text.splitlines()]
    assert [(line["code"], line["level"]) for line in written] == [(500, "error"), (400, "warning")]
    assert len({line["timestamp"] for line in written}) == 1


def test_the_configuration_of_ringback_itself_is_a_known_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The same text, time apart: time, level and event first, without spaces."""
    logs.configure()
    bind_contextvars(tenant="contoso")
    tell([BUSY])
    short = capsys.readouterr().out
    tell([BUSY], shortcut=False)
    long = capsys.readouterr().out
    start = len('{"timestamp":"2026-01-15T09:30:00.')
    assert short[:15] == long[:15] == '{"timestamp":"2'
    assert short[start:].partition('Z"')[2] == long[start:].partition('Z"')[2]
    assert lines.written([BUSY]) is not None


def test_what_a_verdict_says_is_rendered_once() -> None:
    """By its signs, the event's type, code and subcode; another call that ended like this adds nothing."""
    verdict = replace(BUSY.verdict)
    configure([JSONRenderer()])
    tell([Outcome(BUSY.event, verdict)])
    [first] = verdict.rendered.values()
    tell([Outcome(told(call_connection_id="another").event, verdict)])
    [again] = verdict.rendered.values()
    assert again is first
    configure([JSONRenderer(serializer=lines.to_json)])
    tell([Outcome(BUSY.event, verdict)])
    tell([Outcome(FAILED.event, verdict)])
    assert len(verdict.rendered) == 3


def test_what_is_rendered_once_is_never_without_end() -> None:
    """Codes are what a sender says, and one verdict answers for all that nobody knows."""
    configure([JSONRenderer()])
    verdict = replace(BUSY.verdict)
    tell([Outcome(told(result_information=Result(code, 0)).event, verdict) for code in range(1000)])
    assert len(verdict.rendered) < 100


def test_a_type_that_holds_a_number_is_redacted_as_the_app_chose_last() -> None:
    """What had to be redacted is not kept: the mode may change."""
    sink = configure([JSONRenderer()])
    outcome = Outcome(Event(type="Microsoft.Communication.+15550100199", data=BUSY.event.data), BUSY.verdict)
    use_redaction(None)
    tell([outcome])
    use_redaction("mask")
    assert "5550100199" in sink.getvalue()
    short, long = both_ways(configure([JSONRenderer()]), [outcome])
    assert short == long
    assert "5550100199" not in repr(short)


# All else goes its own way


def custom(_: object, __: str, line: Any) -> Any:
    return line | {"mine": 1}


def subclassed(base: type) -> type:
    return type("Mine", (base,), {})


OTHERS: dict[str, dict[str, Any]] = {
    "a processor of the app": {"processors": [custom, JSONRenderer()]},
    "a processor after leading": {"processors": [lines.leading, custom, JSONRenderer()]},
    "leading in the middle": {"processors": [lines.leading, add_log_level, JSONRenderer(serializer=lines.to_json)]},
    "a renamed event": {"processors": [EventRenamer("msg"), JSONRenderer()]},
    "the time under another name": {"processors": [TimeStamper(fmt="%Y", key="at"), JSONRenderer()]},
    "the level twice": {"processors": [add_log_level, TimeStamper(fmt="%Y"), add_log_level, JSONRenderer()]},
    "two times": {"processors": [TimeStamper(fmt="%Y"), TimeStamper(fmt='"%y'), JSONRenderer()]},
    "a stamper of the app": {"processors": [subclassed(TimeStamper)(fmt="%Y"), JSONRenderer()]},
    "sorted keys": {"processors": [JSONRenderer(sort_keys=True)]},
    "another default": {"processors": [JSONRenderer(default=str)]},
    "another serializer": {"processors": [JSONRenderer(serializer=lambda line, **_: json.dumps(list(line)))]},
    "a renderer of the app": {"processors": [subclassed(JSONRenderer)()]},
    "no JSON": {"processors": [KeyValueRenderer()]},
    "another wrapper class": {"wrapper_class": structlog.BoundLogger},
    "a wrapper class of the app": {"wrapper_class": subclassed(structlog.make_filtering_bound_logger(0))},
    "another context class": {"context_class": OrderedDict},
    "a factory of the app": {"factory": subclassed(structlog.PrintLoggerFactory)},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_any_other_configuration_is_structlog_s_own_affair(other: dict[str, Any]) -> None:
    """The shortcut is not taken, and the lines are what they were."""
    sink = io.StringIO()
    settings: dict[str, Any] = {
        "processors": [JSONRenderer()],
        "wrapper_class": structlog.make_filtering_bound_logger(0),
        "context_class": dict,
        "logger_factory": other.get("factory", structlog.PrintLoggerFactory)(sink),
    }
    structlog.configure(**settings | {name: value for name, value in other.items() if name != "factory"})
    assert lines.written([BUSY]) is None
    tell([BUSY, FAILED])
    short = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    tell([BUSY, FAILED], shortcut=False)
    assert short == sink.getvalue() != ""


def test_structlog_on_top_of_logging_is_structlog_s_own_affair(caplog: pytest.LogCaptureFixture) -> None:
    """The line comes by the app's handlers."""
    caplog.set_level("INFO")
    structlog.configure(
        [JSONRenderer()],
        structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    assert lines.written([BUSY]) is None
    tell([BUSY])
    assert [json.loads(record.message)["event"] for record in caplog.records] == ["call.outcome"]


def test_no_processors_at_all_are_no_known_configuration() -> None:
    """structlog's own fault of it takes the way that it took before."""
    structlog.configure([], structlog.make_filtering_bound_logger(0))
    assert lines.written([BUSY]) is None


def test_a_configuration_is_looked_at_each_time() -> None:
    """Configured anew, captured, changed in place and changed back: each line follows what is then."""
    sink = configure(processors := [JSONRenderer()])
    tell([BUSY])
    with capture_logs() as captured:
        tell([BUSY])
    tell([BUSY])
    processors.insert(0, custom)
    tell([BUSY])
    processors[0] = add_log_level
    tell([BUSY])
    later = configure([add_log_level, JSONRenderer()], logging.ERROR)
    tell([BUSY, BROKEN])
    assert [line["event"] for line in captured] == ["call.outcome"]
    own = [json.loads(line) for line in sink.getvalue().splitlines()]
    event = {"event": "call.outcome"}
    assert own == [BUSY.to_dict() | event] * 2 + [
        BUSY.to_dict() | event | {"mine": 1},
        BUSY.to_dict() | event | {"level": "info"},
    ]
    assert [json.loads(line)["level"] for line in later.getvalue().splitlines()] == ["error"]


def test_what_only_structlog_can_sort_in_is_left_to_it() -> None:
    """A level of the context, and values that a renderer of the app may write in its own way."""
    configure([merge_contextvars, add_log_level, JSONRenderer()])
    for name, value in {"level": "mine", "cost": 1.5, "blob": b"1", "big": 2**60}.items():
        clear_contextvars()
        bind_contextvars(**{name: value})
        assert lines.written([BUSY]) is None


# Faults


class Fails:
    """A stream that takes so many characters, and then no more."""

    def __init__(self, takes: int) -> None:
        self.taken = ""
        self.calls = 0
        self._takes = takes

    def write(self, text: str) -> int:
        self.calls += 1
        self.taken += text[: self._takes]
        raise OSError("no space left")

    def flush(self) -> None: ...


@pytest.mark.parametrize("takes", [0, 3000], ids=["nothing arrives", "half arrives"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_lines_that_the_app_s_output_refuses_go_to_standard_output_once(
    factory: Any, takes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """As each of them would by itself; what refused them is not asked again."""
    sink = Fails(takes)
    structlog.configure(
        [JSONRenderer()], structlog.make_filtering_bound_logger(logging.INFO), logger_factory=factory(sink)
    )
    tell([BUSY, FAILED, BROKEN])
    assert [json.loads(line)["code"] for line in capsys.readouterr().out.splitlines()] == [486, 400, 500]
    assert sink.calls == 1
    assert len(sink.taken) == takes


def test_lines_that_nobody_hears_are_not_told_after_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """What the app's level leaves out stays out."""
    structlog.configure(
        [JSONRenderer()],
        structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.WriteLoggerFactory(Fails(0)),
    )
    tell([BUSY, BROKEN])
    assert [json.loads(line)["code"] for line in capsys.readouterr().out.splitlines()] == [500]


def test_with_no_output_left_the_delivery_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is lost with the last place it could go to, the outcome is not."""
    structlog.configure(
        [JSONRenderer()],
        structlog.make_filtering_bound_logger(0),
        logger_factory=structlog.WriteLoggerFactory(Fails(0)),
    )
    monkeypatch.setattr("sys.stdout", Fails(0))
    tell([BUSY])


def unreadable(*_: object) -> Any:
    raise LookupError("no logger today")


def test_what_cannot_be_put_together_is_left_to_structlog(capsys: pytest.CaptureFixture[str]) -> None:
    """A stamper that fails fails there, too; the line goes where it went before, once."""
    stamper = TimeStamper(fmt="%Y")
    stamper._stamper = unreadable
    sink = configure([stamper, JSONRenderer()])
    tell([BUSY])
    assert sink.getvalue() == ""
    assert [json.loads(line)["code"] for line in capsys.readouterr().out.splitlines()] == [486]


def test_an_outcome_without_a_call_is_told_under_its_own_name() -> None:
    """Nothing was reported and nothing identifies it: the id is what is left."""
    sink = configure([JSONRenderer()])
    short, long = both_ways(sink, [classify("CallDisconnected", 486, None), classify(None, None, None)])
    assert short == long


def test_a_percent_sign_of_a_catalog_is_one() -> None:
    """What a verdict says is text, whatever stands in it."""
    entry = replace(BUSY.verdict.entry, summary='100 % "%s" %(context)s', advice=("%",))
    sink = configure([JSONRenderer()])
    short, long = both_ways(sink, [Outcome(BUSY.event, replace(BUSY.verdict, entry=entry))])
    assert short == long
