"""The log lines: what stands in them, how loud they are, where they go, and what never leaves."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import io
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars
from structlog.testing import capture_logs

from ringback import (
    CategoryBasis,
    Cause,
    ConfigurationError,
    Delivery,
    DeliveryError,
    Diagnostic,
    Event,
    Fault,
    GiveUp,
    MalformedDelivery,
    Outcome,
    Result,
    ResultCategory,
    Retry,
    RetryClass,
    StoreUnavailable,
    classify,
    classify_event,
    logs,
    parse_delivery,
    tokens,
    use_redaction,
)
from ringback.events import EventData
from ringback.intake import Received, Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-00000000000c"
EVENT_ID = "1f0e5c1a-0000-4000-8000-0000000000e1"
DOCUMENT = Path(__file__).parents[1] / "docs" / "logs.md"


def told(**changed: Any) -> Event:
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


def tell(received: Received) -> None:
    """As it is done on the way in: rendered when it has come, written when it is kept."""
    logs.received(received, logs.rendered(received))


BUSY = judged(told())
SERVER_ERROR = classify("CallDisconnected", 599, 123)
BRIEF = {"outcome_id": f"call:{LEG}", "cause": "busy", "disposition": "retryable", "retry_class": "later"}


@pytest.fixture(autouse=True, params=[True, False], ids=["shortcut", "plain"])
def _shortcut(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything twice: with the shortcut to the log line, and without."""
    logs.lines.use_shortcut(request.param)
    yield
    logs.lines.use_shortcut(True)


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """structlog, the logger ``ringback``, the bound context and the budget of refusals, as in a new process."""
    root, plain = logging.getLogger(), logging.getLogger(logs.LOGGER)
    level = root.level
    structlog.reset_defaults()
    clear_contextvars()
    # One for the process, and other tests of the same process have been refused before.
    monkeypatch.setattr(logs, "_refusals", logs.Budget(lines=20, seconds=10.0, clock=lambda: 0.0))
    monkeypatch.setattr(logs, "_store_faults", logs.Budget(lines=5, seconds=10.0, clock=lambda: 0.0))
    yield
    structlog.reset_defaults()
    clear_contextvars()
    root.setLevel(level)
    plain.handlers.clear()
    plain.filters.clear()
    plain.setLevel(logging.NOTSET)


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


# The lines.


def test_call_outcome_is_one_whole_line() -> None:
    """The line has every key of ``to_dict``, redacted, and no other."""
    entry = BUSY.verdict.entry
    with capture_logs() as lines:
        logs.call_outcome(BUSY)
    assert lines == [
        {
            "event": "call.outcome",
            "log_level": "info",
            "outcome_id": f"call:{LEG}",
            "event_id": EVENT_ID,
            "event_type": "Microsoft.Communication.CallDisconnected",
            "scope": "call",
            "code": 486,
            "subcode": 560486,
            "category": "Success",
            "category_basis": entry.basis.value,
            "cause": "busy",
            "disposition": "retryable",
            "retry_class": "later",
            "owner": "callee",
            "confidence": entry.confidence.value,
            "match": "pair",
            "refined_by": None,
            "summary": entry.summary,
            "advice": list(entry.advice),
            "documentation": entry.documentation,
            "sources": [str(source) for source in entry.sources],
            "call_connection_id": LEG,
            "server_call_id": "c2VydmVyLWNhbGw",
            "correlation_id": CALL,
            "operation_context": "reminder-17",
            "occurred_at": "2026-01-15T09:30:00.123456+00:00",
            "message": "Callee [phone] is busy.",
            "sip": {"code": 486, "message": "Busy Here"},
            "q850": {"code": 17, "message": "User busy"},
        }
    ]


CALM = {Cause.BUSY, Cause.NO_ANSWER, Cause.DECLINED}
LOUDNESS = {
    ResultCategory.SUCCESS: "info",
    ResultCategory.EXPECTED_ERROR: "warning",
    ResultCategory.UNEXPECTED_CLIENT_ERROR: "warning",
    ResultCategory.UNEXPECTED_SERVER_ERROR: "error",
    ResultCategory.UNKNOWN: "warning",
}


@pytest.mark.parametrize("category", ResultCategory)
@pytest.mark.parametrize("cause", Cause)
def test_the_level_follows_from_category_and_cause(category: ResultCategory, cause: Cause) -> None:
    """What people do is calm whatever its category; else the category decides."""
    basis, retry = CategoryBasis.INFERRED, RetryClass.NEVER
    entry = dataclasses.replace(BUSY.verdict.entry, category=category, cause=cause, basis=basis, retry=retry)
    with capture_logs() as lines:
        logs.call_outcome(Outcome(BUSY.event, dataclasses.replace(BUSY.verdict, entry=entry)))
    assert [line["log_level"] for line in lines] == ["info" if cause in CALM else LOUDNESS[category]]


def test_a_delivery_writes_its_faults_and_then_a_line_for_each_outcome() -> None:
    """Elements that are no events are one line, however many; reasons are redacted."""
    delivery = Delivery((BUSY.event,), (Fault(1, "no type near +1 425 555 0100"), Fault(3, "a JSON number")))
    with capture_logs() as lines:
        tell(Received(delivery, (BUSY, SERVER_ERROR)))
    assert lines == [
        {
            "event": "delivery.elements_rejected",
            "log_level": "warning",
            "count": 2,
            "faults": [{"index": 1, "reason": "no type near [phone]"}, {"index": 3, "reason": "a JSON number"}],
        },
        {"event": "call.outcome", "log_level": "info", **BUSY.to_dict()},
        {"event": "call.outcome", "log_level": "error", **SERVER_ERROR.to_dict()},
    ]


def test_a_hostile_delivery_does_not_fill_the_log() -> None:
    """All faults are counted, the first 20 listed."""
    faults = tuple(Fault(index, "a JSON null") for index in range(500))
    with capture_logs() as lines:
        tell(Received(Delivery((), faults), ()))
    listed = [{"index": index, "reason": "a JSON null"} for index in range(20)]
    assert lines == [{"event": "delivery.elements_rejected", "log_level": "warning", "count": 500, "faults": listed}]


def test_a_delivery_without_outcomes_and_faults_writes_nothing() -> None:
    """Events that report nothing are the route's business alone."""
    with capture_logs() as lines:
        tell(Received(Delivery((Event(type="Microsoft.Communication.IncomingCall"),)), ()))
    assert lines == []


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        pytest.param(
            Reply(200, b"", (), "cloudevents"),
            {"event": "handshake.answered", "log_level": "info", "schema": "cloudevents"},
            id="handshake",
        ),
        pytest.param(
            Reply(400, b"", (), "no event from +1 425 555 0100"),
            {"event": "delivery.rejected", "log_level": "warning", "status": 400, "reason": "no event from [phone]"},
            id="rejected",
        ),
        pytest.param(
            Reply(401, b"", (), "audience_wrong", sender_refused=True),
            {
                "event": "callback.rejected",
                "log_level": "warning",
                "status": 401,
                "reason": "audience_wrong",
                "suppressed": 0,
            },
            id="refused",
        ),
        pytest.param(
            Reply(503, b"", (), "keys_unavailable", sender_refused=True),
            {
                "event": "callback.rejected",
                "log_level": "warning",
                "status": 503,
                "reason": "keys_unavailable",
                "suppressed": 0,
            },
            id="cannot-be-judged",
        ),
        pytest.param(
            Reply(401, b"", (), "+1 425 555 0100 is unknown", sender_refused=True),
            {
                "event": "callback.rejected",
                "log_level": "warning",
                "status": 401,
                "reason": "[phone] is unknown",
                "suppressed": 0,
            },
            id="refused-by-a-check-of-the-app",
        ),
    ],
)
def test_an_answer_of_our_own_is_one_line(reply: Reply, line: dict[str, Any]) -> None:
    """A request that the route never saw leaves a trace."""
    with capture_logs() as lines:
        logs.answered(reply)
    assert lines == [line]


def test_a_flood_of_refusals_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty lines in ten seconds; the first one after that tells how many there were besides."""
    now = [100.0]
    monkeypatch.setattr(logs, "_refusals", logs.Budget(lines=20, seconds=10.0, clock=lambda: now[0]))
    with capture_logs() as lines:
        for _ in range(1000):
            logs.callback_rejected(401, "token_missing")
        now[0] += 10.0
        logs.callback_rejected(401, "token_expired")
    line = {"event": "callback.rejected", "log_level": "warning", "status": 401, "reason": "token_missing"}
    last = line | {"reason": "token_expired", "suppressed": 980}
    assert lines == [line | {"suppressed": 0}] * 20 + [last]


def attempts(lines: int, seconds: float, gaps: list[float]) -> tuple[list[tuple[float, int | None]], int]:
    """What a budget said at each time, and what it says long after: the suppressed ones not yet told."""
    now = [0.0]
    budget = logs.Budget(lines, seconds, clock=lambda: now[0])
    said: list[tuple[float, int | None]] = []
    for gap in gaps:
        now[0] += gap
        said.append((now[0], budget.spend()))
    now[0] += seconds + 1.0
    rest = budget.spend()
    assert rest is not None
    return said, rest


GAPS = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 15)), max_size=200)


@given(lines=st.integers(1, 6), seconds=st.floats(0.1, 12), gaps=GAPS)
@settings(deadline=None)
def test_a_budget_is_never_exceeded(lines: int, seconds: float, gaps: list[float]) -> None:
    """However the attempts are spread, no span of ``seconds`` holds more than ``lines`` written ones."""
    said, _ = attempts(lines, seconds, gaps)
    written = [time for time, suppressed in said if suppressed is not None]
    assert [late - early for early, late in zip(written, written[lines:], strict=False) if late - early < seconds] == []


@given(lines=st.integers(1, 6), seconds=st.floats(0.1, 12), gaps=GAPS)
@settings(deadline=None)
def test_a_budget_suppresses_only_what_exceeds_it(lines: int, seconds: float, gaps: list[float]) -> None:
    """What is left out came while the span before it was full."""
    said, _ = attempts(lines, seconds, gaps)
    for index, (time, suppressed) in enumerate(said):
        if suppressed is None:
            written = [each for each, told in said[:index] if told is not None]
            assert len([each for each in written if time - each < seconds]) == lines


@given(lines=st.integers(1, 6), seconds=st.floats(0.1, 12), gaps=GAPS)
@settings(deadline=None)
def test_a_budget_counts_every_suppressed_line_once(lines: int, seconds: float, gaps: list[float]) -> None:
    """Nothing is left out in silence: each written line tells of those left out since the one before."""
    said, rest = attempts(lines, seconds, gaps)
    suppressed = [told for _, told in said].count(None)
    assert sum(told for _, told in said if told is not None) + rest == suppressed
    since = 0
    for _, told in said:
        assert told is None or told == since
        since = since + 1 if told is None else 0


def test_an_app_that_checks_nobody_is_told_what_to_do() -> None:
    """The warning names both ways out: to verify, or to say that every sender is welcome."""
    with capture_logs() as lines:
        logs.callbacks_unverified()
    advice = (
        "anyone who can reach the callback URL can send events; pass auth=CallbackTokenVerifier(audience=...), "
        "or auth=None to accept every sender"
    )
    assert lines == [{"event": "callbacks.unverified", "log_level": "warning", "advice": advice}]


KEYS_URL = "https://login.example.com/keys"


def test_keys_that_arrived_are_counted() -> None:
    """Once in half a day, so it may say so."""
    with capture_logs() as lines:
        logs.KeyLog().keys_fetched(KEYS_URL, 4)
    assert lines == [{"event": "keys.fetched", "log_level": "info", "url": KEYS_URL, "count": 4}]


@pytest.mark.parametrize(("cached", "level"), [(4, "warning"), (0, "error")], ids=["keys-at-hand", "none-at-hand"])
def test_keys_that_did_not_arrive_are_loud_if_none_are_at_hand(cached: int, level: str) -> None:
    """With keys at hand nobody notices; without, every caller is refused."""
    with capture_logs() as lines:
        logs.KeyLog().keys_unreachable(KEYS_URL, ValueError("no answer, call +1 425 555 0100"), cached)
    assert lines == [
        {
            "event": "keys.unreachable",
            "log_level": level,
            "url": KEYS_URL,
            "error": "ValueError: no answer, call [phone]",
            "cached": cached,
        }
    ]


def test_a_sender_that_left_is_one_line() -> None:
    """There was nobody to answer, so the log is all there is."""
    with capture_logs() as lines:
        logs.sender_disconnected()
    reason = "the sender disconnected before the body was complete"
    assert lines == [{"event": "delivery.interrupted", "log_level": "warning", "reason": reason}]


@pytest.mark.parametrize("event_id", [EVENT_ID, None], ids=["with-id", "without-id"])
def test_a_duplicate_is_a_short_line(event_id: str | None) -> None:
    """The outcome was told in full before; what differs is the event."""
    event = Event(type="Microsoft.Communication.CreateCallFailed", id=event_id, data=BUSY.event.data)
    with capture_logs() as lines:
        logs.LogObserver().outcome_duplicate(judged(event))
    assert lines == [
        {
            "event": "call.outcome_duplicate",
            "log_level": "info",
            **BRIEF,
            "event_id": event_id,
            "event_type": "Microsoft.Communication.CreateCallFailed",
        }
    ]


def test_an_unhandled_outcome_shows_a_handler_to_paste() -> None:
    """The example registers with a router as it stands."""
    with capture_logs() as lines:
        logs.LogObserver().outcome_unhandled(BUSY)
    example = "@router.on_retryable\nasync def call_again(outcome: Outcome) -> None: ..."
    advice = "a call may be tried again and no handler asked for it; add one; this line is not repeated"
    assert lines == [
        {"event": "outcome.unhandled", "log_level": "warning", **BRIEF, "advice": advice, "example": example}
    ]
    from ringback import OutcomeRouter

    pasted: dict[str, Any] = {"router": OutcomeRouter(), "Outcome": Outcome}
    exec(example, pasted)
    assert [each.handler for each in pasted["router"].registrations] == [pasted["call_again"]]


def test_a_failed_hook_is_one_line_with_its_traceback_redacted() -> None:
    """What a hook raises may name the number it was to call, in its text, its cause and its notes."""
    error = ValueError("cannot dial +14255550100")
    error.add_note("tried 4:+14255550101")
    error.__cause__ = KeyError("sip:+14255550102@sbc.example.com")
    with capture_logs() as lines:
        logs.LogObserver().hook_failed(BUSY, "jobs.call_again", raised(error), 2, 4.5678)
    exception = lines[0].pop("exception")
    assert lines == [
        {
            "event": "hook.failed",
            "log_level": "error",
            **BRIEF,
            "hook": "jobs.call_again",
            "error": "ValueError: cannot dial [phone]",
            "attempt": 2,
            "retry_in_seconds": 4.568,
        }
    ]
    assert exception.startswith("KeyError: '[sip]'\n\nThe above exception was the direct cause")
    assert f'File "{__file__}"' in exception
    assert exception.endswith("ValueError: cannot dial [phone]\ntried [id]\n")


def test_an_exception_without_readable_text_is_reported_all_the_same() -> None:
    """An error in reporting an error must not stop the hooks behind it."""

    class Unreadable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with capture_logs() as lines:
        logs.LogObserver().hook_failed(BUSY, "jobs.call_again", raised(Unreadable()), 1, None)
    assert lines[0]["error"] == "Unreadable: its text cannot be read"


SHORT: dict[str, tuple[Callable[[logs.LogObserver], None], dict[str, Any]]] = {
    "abandoned": (
        lambda observer: observer.hooks_abandoned(2, 0.5),
        {"event": "hooks.abandoned", "log_level": "error", "count": 2, "timeout_seconds": 0.5},
    ),
    "given back": (
        lambda observer: observer.hooks_given_back(2, 0.5),
        {"event": "hooks.given_back", "log_level": "warning", "count": 2, "timeout_seconds": 0.5},
    ),
    "lease lost": (
        lambda observer: observer.lease_lost(BUSY),
        {"event": "hook.lease_lost", "log_level": "warning", **BRIEF},
    ),
    "scheduled": (
        lambda observer: observer.redial_scheduled(BUSY, 1768470031.7, 2),
        {
            "event": "redial.scheduled",
            "log_level": "info",
            **BRIEF,
            "attempt": 2,
            "due_at": "2026-01-15T09:40:31+00:00",
        },
    ),
    "exhausted": (
        lambda observer: observer.redial_exhausted(BUSY, "max_attempts"),
        {"event": "redial.exhausted", "log_level": "warning", **BRIEF, "limit": "max_attempts"},
    ),
    "canceled": (
        lambda observer: observer.redial_canceled(BUSY),
        {"event": "redial.canceled", "log_level": "info", **BRIEF},
    ),
    "placed": (
        lambda observer: observer.redial_placed(BUSY, 2, LEG),
        {"event": "redial.placed", "log_level": "info", **BRIEF, "attempt": 2, "placed_call_connection_id": LEG},
    ),
    "placed, and nobody says which": (
        lambda observer: observer.redial_placed(BUSY, 2, None),
        {"event": "redial.placed", "log_level": "info", **BRIEF, "attempt": 2, "placed_call_connection_id": None},
    ),
    "unknown": (
        lambda observer: observer.redial_unknown(BUSY, 2, "an earlier attempt to +1 425 555 0100"),
        {
            "event": "redial.unknown",
            "log_level": "warning",
            **BRIEF,
            "attempt": 2,
            "reason": "an earlier attempt to [phone]",
        },
    ),
    "store unavailable": (
        lambda observer: observer.store_unavailable(StoreUnavailable("db: no room for +1 425 555 0100")),
        {
            "event": "store.unavailable",
            "log_level": "error",
            "error": "StoreUnavailable: db: no room for [phone]",
            "suppressed": 0,
        },
    ),
    "store bypassed": (
        lambda observer: observer.store_bypassed(3),
        {"event": "store.bypassed", "log_level": "error", "count": 3},
    ),
}


@pytest.mark.parametrize(("write", "line"), SHORT.values(), ids=SHORT.keys())
def test_what_becomes_of_hooks_redials_and_the_store_is_one_line_each(
    write: Callable[[logs.LogObserver], None], line: dict[str, Any]
) -> None:
    """Short, and joined to the outcome by its id; times are text, so that people can read them."""
    with capture_logs() as lines:
        write(logs.LogObserver())
    assert lines == [line]


@pytest.mark.parametrize("error", [Retry("the line is taken"), GiveUp("no such order")], ids=["retry", "give up"])
def test_what_a_hook_asked_for_is_no_fault_of_it(error: Exception) -> None:
    """A warning without a traceback: the hook decided, it did not fail."""
    with capture_logs() as lines:
        logs.LogObserver().hook_failed(BUSY, "jobs.call_again", raised(error), 1, None)
    assert lines == [
        {
            "event": "hook.failed",
            "log_level": "warning",
            **BRIEF,
            "hook": "jobs.call_again",
            "error": f"{type(error).__name__}: {error}",
            "attempt": 1,
            "retry_in_seconds": None,
        }
    ]


@pytest.mark.parametrize("line", ["hooks_volatile", "lifespan_missing"])
def test_what_a_start_lacks_is_one_line_with_its_remedy(line: str) -> None:
    """The advice names what to write."""
    with capture_logs() as lines:
        getattr(logs.LogObserver(), line)()
    remedies = {"hooks_volatile": ["store='sqlite:///ringback.db'"], "lifespan_missing": ["await router.start()"]}
    assert [(each["event"], each["log_level"]) for each in lines] == [(line.replace("_", "."), "warning")]
    assert [remedy for remedy in remedies[line] if remedy not in lines[0]["advice"]] == []


def test_a_store_that_is_down_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five lines in ten seconds, whoever asks; the first one after that tells how many there were besides."""
    now = [100.0]
    monkeypatch.setattr(logs, "_store_faults", logs.Budget(lines=5, seconds=10.0, clock=lambda: now[0]))
    with capture_logs() as lines:
        for _ in range(1000):
            logs.LogObserver().store_unavailable(StoreUnavailable("locked"))
        now[0] += 10.0
        logs.LogObserver().store_unavailable(StoreUnavailable("locked"))
    assert [line["suppressed"] for line in lines] == [0] * 5 + [995]


# Where they go.


def test_with_structlog_configured_a_line_runs_through_the_apps_own_processors() -> None:
    """The app's renderer, names and bound context win; Ringback adds nothing to its pipeline."""
    output = io.StringIO()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.EventRenamer("msg"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(output),
    )
    bind_contextvars(tenant="contoso")
    logs.call_outcome(BUSY)
    assert json.loads(output.getvalue()) == {
        "msg": "call.outcome",
        "level": "info",
        "tenant": "contoso",
        **BUSY.to_dict(),
    }


class Costly(Outcome):
    """An outcome that must not be put into words."""

    def to_dict(self) -> dict[str, Any]:
        raise AssertionError("the line was put together")


@pytest.mark.parametrize("plain", [False, True], ids=["structlog", "logging"])
def test_a_line_nobody_hears_is_not_put_together(plain: bool) -> None:
    """A level that the app's logging drops costs no redaction and no rendering."""
    if plain:
        logging.getLogger("ringback").addHandler(logging.NullHandler())
        logging.getLogger("ringback").setLevel(logging.ERROR)
    else:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logs.call_outcome(Costly(BUSY.event, BUSY.verdict))


def test_a_wrapper_class_that_cannot_tell_its_level_gets_every_line() -> None:
    """Not every wrapper class of structlog knows is_enabled_for; then the line is written and it decides."""
    structlog.configure(wrapper_class=structlog.BoundLogger)
    with capture_logs() as lines:
        logs.call_outcome(BUSY)
    assert [line["event"] for line in lines] == ["call.outcome"]


def test_a_configuration_that_cannot_work_does_not_cost_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The app's fault in configuring its log is no reason to lose the outcome."""

    def broken(*_: object) -> object:
        raise RuntimeError("no logger today")

    structlog.configure(logger_factory=broken)
    logs.call_outcome(BUSY)
    assert json.loads(capsys.readouterr().out)["event"] == "call.outcome"


def test_with_structlog_on_top_of_logging_the_logger_is_called_ringback() -> None:
    """Levels and handlers of the logger ``ringback`` apply."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    attach(kept := Kept("%(name)s %(levelname)s %(message)s"), logging.WARNING)
    logs.answered(Reply(200, b"", (), "eventgrid"))
    logs.LogObserver().hooks_abandoned(2, 0.5)
    assert kept.lines == ["ringback ERROR event='hooks.abandoned' count=2 timeout_seconds=0.5"]


def test_a_wrapper_class_without_a_method_log_is_enough() -> None:
    """structlog's plain BoundLogger knows methods by level alone."""
    output = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.BoundLogger,
        logger_factory=structlog.PrintLoggerFactory(output),
    )
    logs.LogObserver().hooks_abandoned(2, 0.5)
    assert output.getvalue() == "event='hooks.abandoned' count=2 timeout_seconds=0.5\n"


def test_with_plain_logging_a_line_is_text_and_the_whole_line_is_in_the_record() -> None:
    """Readers of text get what they need, formatters of JSON get everything."""
    attach(kept := Kept("%(name)s %(levelname)s %(message)s"))
    logs.call_outcome(BUSY)
    advice = json.dumps(" ".join(BUSY.advice), ensure_ascii=False)
    assert kept.lines == [
        f"ringback INFO call.outcome outcome_id=call:{LEG} event_type=Microsoft.Communication.CallDisconnected "
        "code=486 subcode=560486 category=Success cause=busy disposition=retryable retry_class=later owner=callee "
        f'match=pair summary="{BUSY.summary}" advice={advice} call_connection_id={LEG} correlation_id={CALL} '
        "operation_context=reminder-17"
    ]
    assert [record.ringback for record in kept.records] == [  # type: ignore[attr-defined]
        {"event": "call.outcome", **BUSY.to_dict()}
    ]


def test_with_plain_logging_absent_values_are_left_out_of_the_text() -> None:
    """``None`` is noise to a reader."""
    attach(kept := Kept())
    logs.call_outcome(classify("CallDisconnected", None, None))
    assert "=None" not in kept.lines[0]
    assert " code=" not in kept.lines[0]


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (
            lambda: logs.callback_rejected(401, "token_missing"),
            "callback.rejected status=401 reason=token_missing suppressed=0",
        ),
        (
            lambda: logs.KeyLog().keys_fetched(KEYS_URL, 4),
            f"keys.fetched url={KEYS_URL} count=4",
        ),
        (
            lambda: logs.KeyLog().keys_unreachable(KEYS_URL, TimeoutError("5 s"), 0),
            f'keys.unreachable url={KEYS_URL} error="TimeoutError: 5 s" cached=0',
        ),
    ],
    ids=["rejected", "fetched", "unreachable"],
)
def test_with_plain_logging_the_lines_about_senders_show_all_their_fields(write: Callable[[], None], text: str) -> None:
    """They are few and short; a zero is a fact and stays."""
    kept = Kept()
    attach(kept)
    write()
    assert kept.lines == [text]


def test_with_plain_logging_a_traceback_and_an_example_stand_below_the_line() -> None:
    """They are meant to be read, or pasted, as they are."""
    attach(kept := Kept())
    error = ValueError("no line")
    logs.LogObserver().outcome_unhandled(BUSY)
    logs.LogObserver().hook_failed(BUSY, "jobs.call_again", error, 1, None)
    brief = f"outcome_id=call:{LEG} cause=busy disposition=retryable retry_class=later"
    assert kept.lines == [
        f'outcome.unhandled {brief} advice="a call may be tried again and no handler asked for it; add one; this line '
        'is not repeated"\n@router.on_retryable\nasync def call_again(outcome: Outcome) -> None: ...',
        f'hook.failed {brief} hook=jobs.call_again error="ValueError: no line" attempt=1\nValueError: no line',
    ]


def test_a_handler_of_the_root_logger_is_a_configuration_too() -> None:
    """``logging.basicConfig`` is how most apps begin."""
    root, kept = logging.getLogger(), Kept()
    with no_handlers():
        root.addHandler(kept)
        root.setLevel(logging.WARNING)
        logs.answered(Reply(200, b"", (), "eventgrid"))
        logs.answered(Reply(413, b"", (), "too large"))
    assert kept.lines == ['delivery.rejected status=413 reason="too large"']


def test_a_level_that_logging_drops_costs_no_text() -> None:
    """The text is put together only if a handler wants it."""
    attach(kept := Kept(), logging.ERROR)
    logs.call_outcome(BUSY)
    assert kept.lines == []


@given(text=st.text() | st.sampled_from(["a\nb", "a\x85b", "a\u2028ERROR b", "\x1b[31m", 'say "no"', "a=b c", "\\"]))
@settings(deadline=None)
def test_no_text_of_a_sender_begins_a_line_of_its_own(text: str) -> None:
    """In plain text too, one line stays one line, and a value reads back as what it was."""
    kept = Kept()
    attach(kept)
    logs.call_outcome(judged(told(operation_context=f"<{text}")))
    logging.getLogger(logs.LOGGER).removeHandler(kept)
    assert len(kept.lines[0].splitlines()) == 1
    assert "\x1b" not in kept.lines[0]
    shown = kept.lines[0].rpartition("operation_context=")[2] if "operation_context=" not in text else None
    redacted = kept.records[0].ringback["operation_context"]  # type: ignore[attr-defined]
    assert shown is None or (json.loads(shown) if shown.startswith('"') else shown) == redacted


def test_with_nothing_configured_a_line_is_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """A process without any logging still says why its calls ended, with the bound ids, from level info."""
    with no_handlers(), logs.bound_ids([BUSY.event]):
        logs.call_outcome(BUSY)
        logs.LogObserver().hooks_abandoned(2, 0.5)
    ids = {"call_connection_id": LEG, "server_call_id": "c2VydmVyLWNhbGw", "correlation_id": CALL}
    printed = capsys.readouterr()
    assert lines_of(printed.out) == [
        {"level": "info", "event": "call.outcome", **BUSY.to_dict()},
        {"level": "error", "event": "hooks.abandoned", "count": 2, "timeout_seconds": 0.5, **ids},
    ]
    assert printed.err == ""
    assert not structlog.is_configured()


@pytest.mark.parametrize("text", ["größer", "\u96fb\u8a71", "half \ud83d", "\u2028"], ids=ascii)
def test_json_lines_are_ascii(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal that knows ASCII alone, or half a character, must not cost the line."""
    with no_handlers():
        logs.LogObserver().hook_failed(BUSY, "jobs.call_again", ValueError(text), 1, None)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert lines_of(printed) == [
        {
            "level": "error",
            "event": "hook.failed",
            **BRIEF,
            "hook": "jobs.call_again",
            "error": f"ValueError: {text}",
            "attempt": 1,
            "retry_in_seconds": None,
            "exception": f"ValueError: {text}\n",
        }
    ]


def test_what_json_cannot_hold_is_shown_by_its_repr(capsys: pytest.CaptureFixture[str]) -> None:
    """An app may bind anything to its context."""
    bind_contextvars(tenant=1j, name="größer")
    with no_handlers():
        logs.sender_disconnected()
        bind_contextvars(name="plain")
        logs.sender_disconnected()
    assert [line["tenant"] for line in lines_of(capsys.readouterr().out)] == ["1j", "1j"]


def refuses(*_: object) -> Any:
    raise KeyError("no such index")


@pytest.mark.parametrize(
    "configuration",
    [
        pytest.param({"processors": [refuses]}, id="broken-processor"),
        pytest.param(
            {
                "processors": [structlog.stdlib.render_to_log_kwargs],
                "wrapper_class": structlog.stdlib.BoundLogger,
                "logger_factory": structlog.stdlib.LoggerFactory(),
            },
            id="logging-keeps-the-key-message",
        ),
    ],
)
def test_a_line_that_structlog_refuses_goes_to_standard_output(
    configuration: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the line nor the request it reports on is lost for a fault of the app's logging."""
    structlog.configure(**configuration)
    logging.getLogger(logs.LOGGER).setLevel(logging.INFO)
    logs.call_outcome(BUSY)
    assert lines_of(capsys.readouterr().out) == [{"level": "info", "event": "call.outcome", **BUSY.to_dict()}]


def test_a_line_that_plain_logging_refuses_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """A filter that raises is the app's fault, and not the call's."""
    attach(Kept())
    logging.getLogger(logs.LOGGER).addFilter(refuses)
    logs.LogObserver().hooks_abandoned(2, 0.5)
    line = {"level": "error", "event": "hooks.abandoned", "count": 2, "timeout_seconds": 0.5}
    assert lines_of(capsys.readouterr().out) == [line]


def test_a_closed_standard_output_costs_nothing_but_the_line() -> None:
    """A daemon without standard output must go on answering."""
    closed = io.StringIO()
    closed.close()
    with no_handlers(), contextlib.redirect_stdout(closed):
        logs.call_outcome(BUSY)


# configure().


def test_configure_writes_json_lines_of_the_app_and_of_ringback(capsys: pytest.CaptureFixture[str]) -> None:
    """An app that has no configuration gets one for all its lines, with the bound ids."""
    assert logs.configure() is True
    with logs.bound_ids([told(server_call_id=None)]):
        structlog.get_logger().info("order.found", order=7)
        structlog.get_logger().debug("order.details")
    logs.call_outcome(SERVER_ERROR)
    assert lines_of(capsys.readouterr().out) == [
        {"level": "info", "event": "order.found", "order": 7, "call_connection_id": LEG, "correlation_id": CALL},
        {"level": "error", "event": "call.outcome", **SERVER_ERROR.to_dict()},
    ]


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("Error", ["error"]),
    ],
)
def test_configure_writes_from_the_level_given(
    level: str, written: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The level is written in any case."""
    logs.configure(level=level)
    for each in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), each)("order.found")
    assert [line["level"] for line in lines_of(capsys.readouterr().out)] == written


def test_configure_for_the_console_is_readable_and_without_colour_in_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Codes of a terminal have no place in a file or a pipe."""
    assert logs.configure(renderer="console") is True
    logs.LogObserver().hooks_abandoned(2, 0.5)
    _, _, line = capsys.readouterr().out.partition(" ")
    assert line == "[error    ] hooks.abandoned                count=2 timeout_seconds=0.5\n"


def test_configure_for_the_console_is_coloured_on_a_terminal() -> None:
    """On a terminal the level stands out."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with contextlib.redirect_stdout(Terminal()) as terminal:
        logs.configure(renderer="console")
        logs.LogObserver().hooks_abandoned(2, 0.5)
    assert "\x1b[" in terminal.getvalue()


def test_configure_leaves_an_existing_configuration_alone() -> None:
    """Whoever configured structlog knows better; the return value says so."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    before = structlog.get_config()
    assert logs.configure(level="debug", renderer="console") is False
    assert structlog.get_config() == before


@pytest.mark.parametrize(
    ("settings_given", "message"),
    [
        ({"level": "loud"}, "level 'loud' is unknown; use debug, info, warning or error"),
        ({"level": 20}, "level 20 is unknown; use debug, info, warning or error"),
        ({"renderer": "xml"}, "renderer 'xml' is unknown; use 'json' or 'console'"),
    ],
    ids=["level", "level-number", "renderer"],
)
@pytest.mark.parametrize("configured", [False, True], ids=["first", "configured-before"])
def test_configure_refuses_what_it_does_not_know(
    settings_given: dict[str, Any], message: str, configured: bool
) -> None:
    """A mistyped setting is an error even where it would not be used."""
    if configured:
        structlog.configure()
    with pytest.raises(ConfigurationError) as refused:
        logs.configure(**settings_given)
    assert str(refused.value) == message
    assert structlog.is_configured() is configured


# The bound context.

BOUND = {"call_connection_id": LEG, "server_call_id": "c2VydmVyLWNhbGw", "correlation_id": CALL}


@pytest.mark.parametrize(
    ("events", "bound"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([told()], BOUND, id="one"),
        pytest.param([told(), told(operation_context=None)], BOUND, id="same-ids"),
        pytest.param([told(), told(server_call_id=None)], BOUND, id="one-lacks-an-id"),
        pytest.param(
            [told(), told(call_connection_id="1f0e5c1a-0000-4000-8000-000000000002")],
            {"server_call_id": "c2VydmVyLWNhbGw", "correlation_id": CALL},
            id="two-legs",
        ),
        pytest.param(
            [told(), told(call_connection_id="c-2", server_call_id="s-2", correlation_id="k-2")], {}, id="two-calls"
        ),
        pytest.param([Event(type="Microsoft.Communication.IncomingCall")], {}, id="no-ids"),
        pytest.param(
            [told(call_connection_id="+14255550100", server_call_id=None, correlation_id=None)],
            {"call_connection_id": "[phone]"},
            id="redacted",
        ),
    ],
)
def test_the_ids_that_events_agree_on_are_bound(events: list[Event], bound: dict[str, str]) -> None:
    """The app's own lines carry them too; an id that differs within a delivery would mislead."""
    with logs.bound_ids(events):
        assert get_contextvars() == bound
    assert get_contextvars() == {}


def test_ids_are_unbound_whatever_happens() -> None:
    """An exception of the route must not leave its ids to the next request, nor lose those bound before."""
    bind_contextvars(call_connection_id="before", tenant="contoso")
    with pytest.raises(ValueError, match="no line"), logs.bound_ids([told()]):
        raise ValueError("no line")
    assert get_contextvars() == {"call_connection_id": "before", "tenant": "contoso"}


def test_a_hooks_own_lines_carry_the_ids_of_its_outcome() -> None:
    """Also where the request held several calls."""
    with logs.bound_ids([told(), told(call_connection_id="c-2")]):
        with logs.LogObserver().bound(BUSY):
            assert get_contextvars() == BOUND
        assert get_contextvars() == {"server_call_id": "c2VydmVyLWNhbGw", "correlation_id": CALL}


def test_the_context_filter_gives_every_record_the_ids() -> None:
    """Plain logging knows no context of its own; ``-`` stands where there is none."""
    kept = Kept("%(call_connection_id)s %(server_call_id)s %(correlation_id)s %(message)s")
    kept.addFilter(logs.ContextFilter())
    attach(kept)
    app = logging.getLogger(f"{logs.LOGGER}.app")
    app.info("outside")
    with logs.bound_ids([told(server_call_id=None)]):
        app.info("inside")
    assert kept.lines == ["- - - outside", f"{LEG} - {CALL} inside"]


# What never leaves.

NUMBERS = st.builds(
    lambda shape, last: shape.format(last),
    st.sampled_from(
        [
            "+142555501{:02}",
            "+1 425 555 01{:02}",
            "+1 (425) 555-01{:02}",
            "+1.425.555.01{:02}",
            "4:+142555501{:02}",
            "sip:+142555501{:02}@sbc.example.com",
            "tel:+1-425-555-01{:02}",
            " 142555501{:02} ",
            " (425) 555-01{:02} ",
            " 425-555-01{:02},",
        ]
    ),
    st.integers(0, 99),
)
PLANTED = st.builds(lambda before, number, after: f"{before}{number}{after}", st.text(), NUMBERS, st.text())
NUMBER = re.compile(r"425\D{0,3}555\D{0,3}01\d\d")


@given(texts=st.lists(PLANTED, min_size=9, max_size=9), error=PLANTED, encoding=PLANTED, plain=st.booleans())
@settings(deadline=None, max_examples=150)
def test_no_phone_number_is_ever_written(texts: list[str], error: str, encoding: str, plain: bool) -> None:
    """Wherever a sender, a header or a hook's exception hides a number, no rendered line shows it."""
    kind, event_id, leg, server, call, context, message, sip, q850 = texts
    details = {"code": 486, "message": sip}, {"code": 17, "message": q850}
    result = {"code": 486, "subCode": 1, "message": message, "sipDetails": details[0], "q850Details": details[1]}
    ids = {"callConnectionId": leg, "serverCallId": server, "correlationId": call, "operationContext": context}
    events = [
        {"type": event_type, "id": event_id, "data": {**ids, "resultInformation": result}}
        for event_type in (kind, "Microsoft.Communication.CallDisconnected")
    ]
    delivery = parse_delivery(json.dumps([*events, error]))
    outcomes = tuple(map(judged, delivery.events))
    observer, kept = logs.LogObserver(), Kept("%(call_connection_id)s %(correlation_id)s %(message)s")
    kept.addFilter(logs.ContextFilter())
    logs._store_faults = logs.Budget(lines=1000, seconds=10.0)
    if plain:
        attach(kept)
    with no_handlers(), contextlib.redirect_stdout(io.StringIO()) as printed, logs.bound_ids(delivery.events):
        tell(Received(delivery, outcomes))
        for outcome in outcomes:
            with observer.bound(outcome):
                observer.outcome_duplicate(outcome)
                observer.outcome_unhandled(outcome)
                observer.hook_failed(outcome, "jobs.call_again", raised(ValueError(error)), 1, None)
                observer.hook_failed(outcome, "jobs.call_again", raised(Retry(error)), 1, 2.0)
                observer.lease_lost(outcome)
                observer.redial_scheduled(outcome, 1768470031.7, 2)
                observer.redial_exhausted(outcome, "max_attempts")
                observer.redial_canceled(outcome)
                observer.redial_placed(outcome, 2, leg)
                observer.redial_unknown(outcome, 2, error)
                observer.store_unavailable(StoreUnavailable(error))
        with pytest.raises(DeliveryError) as refused:
            parse_delivery(b"[]", {"content-encoding": encoding})
        logs.answered(refusal(refused.value))
    logging.getLogger(logs.LOGGER).removeHandler(kept)
    records = [repr(vars(record)["ringback"]) for record in kept.records]
    written = [*kept.lines, *records, printed.getvalue()]
    assert len(kept.lines) == (26 if plain else 0)
    assert len(printed.getvalue().splitlines()) == (0 if plain else 26)
    assert [line for line in written if NUMBER.search(line)] == []


# The documentation.


def every_line() -> dict[str, dict[str, Any]]:
    """A line of every event, by its name."""
    observer, fault = logs.LogObserver(), Fault(1, "a JSON null")
    with capture_logs() as lines:
        tell(Received(Delivery((BUSY.event,), (fault,)), (BUSY,)))
        observer.outcome_duplicate(BUSY)
        observer.outcome_unhandled(BUSY)
        observer.hook_failed(BUSY, "jobs.call_again", raised(ValueError("no line")), 1, 2.0)
        observer.lease_lost(BUSY)
        observer.hooks_abandoned(2, 0.5)
        observer.hooks_given_back(2, 0.5)
        observer.hooks_volatile()
        observer.lifespan_missing()
        observer.redial_scheduled(BUSY, 1768470031.7, 2)
        observer.redial_exhausted(BUSY, "max_attempts")
        observer.redial_canceled(BUSY)
        observer.redial_placed(BUSY, 2, LEG)
        observer.redial_unknown(BUSY, 2, "412")
        observer.store_unavailable(StoreUnavailable("locked"))
        observer.store_bypassed(1)
        logs.dead_letter_replayed(f"call:{LEG}", "ops")
        logs.dead_letter_discarded(f"call:{LEG}", None)
        logs.listeners_failed([("calls.next_step", raised(ValueError("no line")))])
        logs.answered(refusal(MalformedDelivery("no event")))
        logs.answered(Reply(200, b"", (), "eventgrid"))
        logs.sender_disconnected()
        logs.answered(Reply(401, b"", (), "token_missing", sender_refused=True))
        logs.callbacks_unverified()
        logs.KeyLog().keys_fetched(KEYS_URL, 4)
        logs.KeyLog().keys_unreachable(KEYS_URL, TimeoutError("5 s"), 4)
    return {line.pop("event"): line for line in lines}


def documented() -> dict[str, list[list[str]]]:
    """The rows of the key table below each event's heading."""
    tables: dict[str, list[list[str]]] = {}
    for section in DOCUMENT.read_text(encoding="utf-8").split("\n### `")[1:]:
        name, _, text = section.partition("`")
        text = text.partition("\n##")[0]
        rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
        tables[name] = [[cell.strip() for cell in row] for row in rows[2:]]
    return tables


TYPES: dict[str, Any] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int),
    "number": lambda value: isinstance(value, int | float),
    "object": lambda value: isinstance(value, dict) and list(value) == ["code", "message"],
    "list of strings": lambda value: all(isinstance(each, str) for each in value),
    "list of objects": lambda value: all(list(each) == ["index", "reason"] for each in value),
    "null": lambda value: value is None,
}


def test_every_line_of_the_source_is_among_the_lines() -> None:
    """A new event name needs a line above, and so a place in docs/logs.md."""
    calls = (node for node in ast.walk(ast.parse(Path(logs.__file__).read_text("utf-8"))) if isinstance(node, ast.Call))
    named = {each.args[1] for each in calls if isinstance(each.func, ast.Name) and each.func.id == "_emit"}
    assert {each.value for each in named if isinstance(each, ast.Constant)} == set(every_line())


def test_the_documented_keys_are_the_emitted_keys() -> None:
    """docs/logs.md names every key of every line in its order, and none that is not written."""
    emitted = {event: [key for key in line if key != "log_level"] for event, line in every_line().items()}
    assert {event: [row[0].strip("`") for row in rows] for event, rows in documented().items()} == emitted


@pytest.mark.parametrize("missing", [False, True], ids=["everything-reported", "nothing-reported"])
def test_the_documented_types_are_the_emitted_types(missing: bool) -> None:
    """Every value is of a type that docs/logs.md names for its key, also where an event lacks everything."""
    lines = every_line()
    if missing:
        bare = Outcome(Event(type="Microsoft.Communication.CallDisconnected"), BUSY.verdict)
        with capture_logs() as written:
            logs.call_outcome(bare)
            logs.LogObserver().outcome_duplicate(bare)
            logs.LogObserver().hook_failed(bare, "jobs.call_again", raised(ValueError("no line")), 5, None)
            logs.LogObserver().redial_placed(bare, 2, None)
        lines = {line.pop("event"): line for line in written}
    rows = [(event, *row) for event, table in documented().items() if event in lines for row in table]
    wrong = [
        (event, key, lines[event][key.strip("`")])
        for event, key, kinds, *_ in rows
        if not any(TYPES[kind](lines[event][key.strip("`")]) for kind in kinds.split(" or "))
    ]
    assert wrong == []
    assert {row[-1] for row in rows} == {"0.1.0"}


def test_the_documented_levels_are_the_emitted_levels() -> None:
    """The tables of events and levels in docs/logs.md are those of the code."""
    text = DOCUMENT.read_text(encoding="utf-8")
    of_events = dict(re.findall(r"^\| \[`([\w.]+)`\]\(#\w+\) \| `?([\w ]+)`? \|", text, re.MULTILINE))
    emitted = {event: line["log_level"] for event, line in every_line().items()}
    assert of_events == emitted | {"call.outcome": "see below"}
    of_categories = dict(re.findall(r"^\| category `(\w+)` \| `(\w+)` \|", text, re.MULTILINE))
    assert of_categories == {category.value: level for category, level in LOUDNESS.items()}


def test_the_documented_links_lead_to_a_heading() -> None:
    """Each event of the first table links to its own key table."""
    text = DOCUMENT.read_text(encoding="utf-8")
    links = re.findall(r"^\| \[`[\w.]+`\]\(#(\w+)\)", text, re.MULTILINE)
    assert links == [event.replace(".", "") for event in documented()]


def slugs() -> set[str]:
    """Every reason of a refusal that the source can give."""
    found = set(tokens._REASONS.values())
    for file in Path(logs.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Refusal":
                given = call.args[0]
                texts = (each.value for each in ast.walk(given) if isinstance(each, ast.Constant))
                found |= {text for text in texts if isinstance(text, str)}
    return found


def test_the_documented_reasons_are_those_of_the_source() -> None:
    """docs/logs.md explains every reason for which a sender is refused, once, and none that is not given."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("\n### Reasons\n")[2].partition("\n##")[0]
    reasons = re.findall(r"^\| `(\w+)` \| ", section, re.MULTILINE)
    assert sorted(reasons) == sorted(slugs())


SET_UPS, _, REDACTION = DOCUMENT.read_text(encoding="utf-8").partition("\n## Redaction\n")
SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPET.findall(SET_UPS), ids=range(4))
def test_the_documented_snippets_show_an_outcome(snippet: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each set-up of docs/logs.md stands alone, works as it is, and lets an info line through."""
    with no_handlers():
        exec(snippet, {"__name__": "snippet"})
        logs.call_outcome(BUSY)
    printed = capsys.readouterr()
    written = (printed.out + printed.err).splitlines()
    assert ["call.outcome" in line for line in written] == [True]


def test_the_documented_hash_joins_the_lines_about_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet in docs/logs.md works as it is: one number is one hash, however it was written."""
    (snippet,) = SNIPPET.findall(REDACTION)
    monkeypatch.setenv("RINGBACK_REDACTION_KEY", "a key of 16 bytes or more")
    try:
        exec(snippet, {"__name__": "snippet"})
        with capture_logs() as lines:
            for number in ("+1 425 555 0100", "+14255550100", "+1 425 555 0101"):
                logs.call_outcome(judged(told(operation_context=number)))
    finally:
        use_redaction("mask")
    one, same, other = (line["operation_context"] for line in lines)
    assert re.fullmatch(r"\[phone:[0-9a-f]{10}\]", one)
    assert (one == same, one == other) == (True, False)
