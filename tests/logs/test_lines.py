"""What stands in the lines, and how loud they are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog.testing import capture_logs

import ringback
from logged import (
    BRIEF,
    BUSY,
    CALL,
    EVENT_ID,
    KEYS_URL,
    LEG,
    LOUDNESS,
    REFUSED,
    SERVER_ERROR,
    busy_event,
    judged,
    lines_of,
    raised,
    tell,
)
from ringback import Cause, Event, GiveUp, Outcome, ResultCategory, Retry, RetryClass, StoreUnavailable, logs
from ringback.core.events import Delivery, EventData, Fault, Update
from ringback.core.fields import Line
from ringback.receiving.intake import Received
from ringback.receiving.replies import Reply
from ringback.stores.clocks import jumped
from ringback_catalog import CategoryBasis

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("nothing_configured")


def test_call_outcome_is_one_whole_line() -> None:
    """Flat, redacted, with no key that has no value and none of the long ones; see docs/logs.md."""
    entry = BUSY.verdict.entry
    with capture_logs() as lines:
        tell(BUSY)
    assert lines == [
        {
            "event": "call.outcome",
            "log_level": "info",
            "schema": 2,
            "event_id": EVENT_ID,
            "event_type": "Microsoft.Communication.CallDisconnected",
            "scope": "call",
            "code": 486,
            "subcode": 560486,
            "cause": "busy",
            "disposition": "retryable",
            "retry_class": "later",
            "retry_action": "place_call",
            "retry_after_seconds": 600,
            "category": "Success",
            "owner": "callee",
            "confidence": entry.confidence.value,
            "match": "pair",
            "summary": entry.summary,
            "advice": list(entry.advice),
            "documentation": entry.documentation,
            "call_connection_id": LEG,
            "correlation_id": CALL,
            "operation_context": "reminder-17",
            "occurred_at": "2026-01-15T09:30:00.123456+00:00",
            "result_message": "Callee [phone] is busy.",
            "sip_code": 486,
            "sip_reason": "Busy Here",
            "q850_cause": 17,
            "q850_reason": "User busy",
        }
    ]


def test_full_detail_adds_the_long_keys() -> None:
    """Whoever has configured structlog."""
    structlog.configure()
    assert logs.configure(detail="full") is False
    try:
        with capture_logs() as lines:
            tell(BUSY)
    finally:
        logs.configure()
    assert lines[0].items() >= Line()(BUSY).items()
    assert {name: lines[0][name] for name in lines[0].keys() - Line()(BUSY).keys()} == {
        "event": "call.outcome",
        "log_level": "info",
        "ringback_version": ringback.__version__,
        "outcome_id": f"call:{LEG}",
        "category_basis": BUSY.category_basis.value,
        "server_call_id": "c2VydmVyLWNhbGw",
        "sources": list(BUSY.sources),
    }


CALM = {Cause.BUSY, Cause.NO_ANSWER, Cause.DECLINED}


@pytest.mark.parametrize("category", ResultCategory)
@pytest.mark.parametrize("cause", Cause)
def test_the_level_follows_from_category_and_cause(category: ResultCategory, cause: Cause) -> None:
    """What people do is calm whatever its category; else the category decides."""
    basis, retry = CategoryBasis.INFERRED, RetryClass.NEVER
    entry = dataclasses.replace(BUSY.verdict.entry, category=category, cause=cause, basis=basis, retry=retry)
    with capture_logs() as lines:
        tell(Outcome(BUSY.event, dataclasses.replace(BUSY.verdict, entry=entry)))
    assert [line["log_level"] for line in lines] == ["info" if cause in CALM else LOUDNESS[category]]


def test_the_mere_end_of_a_whole_call_is_calm() -> None:
    """Event Grid gives no reason as a rule, and nobody is at fault; a leg's end without one is worth a look."""
    data = EventData(correlation_id=CALL)
    with capture_logs() as lines:
        for name in ("CallEnded", "CallDisconnected"):
            tell(judged(Event(type=f"Microsoft.Communication.{name}", data=data)))
    assert [(line["cause"], line["log_level"]) for line in lines] == [("unreported", "info"), ("unreported", "warning")]


def test_a_line_says_why_media_streaming_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """In the service's own word, redacted like all it writes; other lines lack the key."""
    logs.configure()
    for outcome in (judged(busy_event(media_streaming_update=Update("from +14255550100"))), BUSY):
        tell(outcome)
    assert [line.get("status_details") for line in lines_of(capsys.readouterr().out)] == ["from [phone]", None]


def test_a_delivery_writes_its_faults_and_then_a_line_for_each_outcome() -> None:
    """Elements that are no events are one line, however many; reasons are redacted."""
    delivery = Delivery((BUSY.event,), (Fault(1, "no type near +1 425 555 0100"), Fault(3, "a JSON number")))
    with capture_logs() as lines:
        list(logs.received(Received(delivery, (BUSY, SERVER_ERROR))))
    assert lines == [
        {
            "event": "delivery.elements_rejected",
            "log_level": "warning",
            "count": 2,
            "faults": [{"index": 1, "reason": "no type near [phone]"}, {"index": 3, "reason": "a JSON number"}],
        },
        {"event": "call.outcome", "log_level": "info", **Line()(BUSY)},
        {"event": "call.outcome", "log_level": "error", **Line()(SERVER_ERROR)},
    ]


def test_a_hostile_delivery_does_not_fill_the_log() -> None:
    """All faults are counted, the first 20 listed."""
    faults = tuple(Fault(index, "a JSON null") for index in range(500))
    with capture_logs() as lines:
        list(logs.received(Received(Delivery((), faults), ())))
    listed = [{"index": index, "reason": "a JSON null"} for index in range(20)]
    assert lines == [{"event": "delivery.elements_rejected", "log_level": "warning", "count": 500, "faults": listed}]


def test_what_a_delivery_repeats_is_counted_in_one_line() -> None:
    """An element that says what an earlier one said, under the same id, has no line of its own. Any other one has."""
    event = busy_event()
    others = [
        busy_event(operation_context="reminder-18"),
        replace(event, id=f"{EVENT_ID[:-1]}f"),
        replace(event, time=None),
        replace(event, type="Microsoft.Communication.CreateCallFailed"),
    ]
    outcomes = tuple(map(judged, [event, *others, *(replace(event) for _ in range(400))]))
    with capture_logs() as lines:
        steps = list(logs.received(Received(Delivery(tuple(each.event for each in outcomes)), outcomes)))
    told = [{"event": "call.outcome", "log_level": "info", **Line()(each)} for each in outcomes[:5]]
    assert lines == [*told, {"event": "delivery.elements_repeated", "log_level": "info", "count": 400}]
    assert len(steps) == 5


def test_a_delivery_without_outcomes_and_faults_writes_nothing() -> None:
    """Events that report nothing are the route's business alone."""
    with capture_logs() as lines:
        list(logs.received(Received(Delivery((Event(type="Microsoft.Communication.IncomingCall"),)), ())))
    assert lines == []


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        pytest.param(
            Reply(200, b"", (), "cloudevents"),
            {"event": "handshake.answered", "log_level": "info", "delivery_schema": "cloudevents"},
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
        logs.LogObserver().answered(reply)
    assert lines == [line]


def test_a_flood_of_refusals_does_not_fill_the_log() -> None:
    """Twenty lines in ten seconds; the first one after that tells how many there were besides."""
    now = [100.0]
    observer = logs.LogObserver(clock=lambda: now[0])
    with capture_logs() as lines:
        for _ in range(1000):
            observer.answered(REFUSED)
        now[0] += 10.0
        observer.answered(Reply(401, b"", (), "token_expired", sender_refused=True))
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
def test_a_budget_is_never_exceeded(lines: int, seconds: float, gaps: list[float]) -> None:
    """However the attempts are spread, no span of ``seconds`` holds more than ``lines`` written ones."""
    said, _ = attempts(lines, seconds, gaps)
    written = [time for time, suppressed in said if suppressed is not None]
    assert [late - early for early, late in zip(written, written[lines:], strict=False) if late - early < seconds] == []


@given(lines=st.integers(1, 6), seconds=st.floats(0.1, 12), gaps=GAPS)
def test_a_budget_suppresses_only_what_exceeds_it(lines: int, seconds: float, gaps: list[float]) -> None:
    """What is left out came while the span before it was full."""
    said, _ = attempts(lines, seconds, gaps)
    for index, (time, suppressed) in enumerate(said):
        if suppressed is None:
            written = [each for each, told in said[:index] if told is not None]
            assert len([each for each in written if time - each < seconds]) == lines


@given(lines=st.integers(1, 6), seconds=st.floats(0.1, 12), gaps=GAPS)
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


def test_keys_that_arrived_are_counted() -> None:
    """Once in half a day, so it may say so."""
    with capture_logs() as lines:
        logs.LogObserver().keys_fetched(KEYS_URL, 4)
    assert lines == [{"event": "keys.fetched", "log_level": "info", "url": KEYS_URL, "count": 4}]


@pytest.mark.parametrize(("cached", "level"), [(4, "warning"), (0, "error")], ids=["keys-at-hand", "none-at-hand"])
def test_keys_that_did_not_arrive_are_loud_if_none_are_at_hand(cached: int, level: str) -> None:
    """With keys at hand nobody notices; without, every caller is refused."""
    with capture_logs() as lines:
        logs.LogObserver().keys_unreachable(KEYS_URL, ValueError("no answer, call +1 425 555 0100"), cached)
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
        logs.LogObserver().outcomes_duplicate([judged(event)])
    assert lines == [
        {
            "event": "call.outcome_duplicate",
            "log_level": "info",
            **BRIEF,
            "event_id": event_id,
            "event_type": "Microsoft.Communication.CreateCallFailed",
        }
    ]


def test_duplicates_of_one_delivery_are_one_line() -> None:
    """About the first, with their number and the first twenty ids."""
    outcomes = [judged(busy_event(call_connection_id=f"8:acs:{number // 2}")) for number in range(100)]
    with capture_logs() as lines:
        logs.LogObserver().outcomes_duplicate(outcomes)
    (line,) = lines
    assert (line["event"], line["outcome_id"], line["count"]) == ("call.outcome_duplicate", "call:[id]", 100)
    assert line["outcome_ids"] == ["call:[id]"] * 20


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
    assert f'File "{raised.__code__.co_filename}"' in exception
    assert exception.endswith("ValueError: cannot dial [phone]\ntried [id]\n")


def test_a_long_text_of_an_exception_leaves_its_traceback() -> None:
    """The text may be a sender's: its beginning is kept, and all of the way to the line that raised."""
    with capture_logs() as lines:
        logs.LogObserver().hook_failed(BUSY, "jobs.call_again", raised(ValueError("no line " * 9000)), 1, None)
    assert lines[0]["error"].startswith("ValueError: no line no line")
    assert f'File "{raised.__code__.co_filename}"' in lines[0]["exception"]
    assert "ValueError: no line no line" in lines[0]["exception"]
    assert len(lines[0]["exception"]) < 5000


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
    "overran": (
        lambda observer: observer.hook_overran(BUSY, "jobs.call_again", 60.0, 1, 16),
        {
            "event": "hook.overran",
            "log_level": "warning",
            **BRIEF,
            "hook": "jobs.call_again",
            "seconds": 60.0,
            "held": 1,
            "threads": 16,
        },
    ),
    "blocked": (
        lambda observer: observer.loop_blocked("jobs.call_again", 12.34567),
        {
            "event": "loop.blocked",
            "log_level": "warning",
            "hook": "jobs.call_again",
            "seconds": 12.346,
            "advice": "nothing of the app goes on meanwhile; let what blocks be a plain def, which runs in a thread",
        },
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
    "put off": (
        lambda observer: observer.redial_put_off(BUSY, 1768470031.7, 2),
        {
            "event": "redial.put_off",
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
    "clock jumped": (
        lambda observer: observer.store_unavailable(jumped(-3600.04, 2)),
        {"event": "clock.jumped", "log_level": "warning", "seconds": -3600.0, "count": 2},
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


def test_a_policy_without_a_zone_is_one_line_with_its_remedies() -> None:
    """Hours of a place that nobody told may be the night of a person."""
    with capture_logs() as lines:
        logs.LogObserver().redial_zone_unset("jobs.call_again")
    assert [(each["event"], each["log_level"], each["hook"]) for each in lines] == [
        ("redial.zone_unset", "warning", "jobs.call_again")
    ]
    remedies = ("time_zone='Europe/Berlin'", "time_zone='UTC'", "hours=None")
    assert [remedy for remedy in remedies if remedy not in lines[0]["advice"]] == []


STARTS: dict[str, tuple[Callable[[logs.LogObserver], None], str, dict[str, int], list[str]]] = {
    "one-process": (
        lambda observer: observer.hooks_volatile(1),
        "hooks.volatile",
        {},
        ["the memory of this process", "once in this process alone; pass store='sqlite:///ringback.db'"],
    ),
    "several-processes": (
        lambda observer: observer.hooks_volatile(3),
        "hooks.volatile",
        {"processes": 3},
        ["3 processes serve the app, each with hooks of its own; pass store='sqlite:///ringback.db'"],
    ),
    "no-start": (
        lambda observer: observer.lifespan_missing(durable=False),
        "lifespan.missing",
        {},
        ["what waits in memory is lost if a signal ends the process", "await router.start()"],
    ),
    "no-start-with-a-store": (
        lambda observer: observer.lifespan_missing(durable=True),
        "lifespan.missing",
        {},
        ["a hook that is running runs again if a signal ends the process", "await router.start()"],
    ),
}


@pytest.mark.parametrize(("write", "event", "keys", "said"), STARTS.values(), ids=STARTS)
def test_what_a_start_lacks_is_one_line_with_its_remedy(
    write: Callable[[logs.LogObserver], None], event: str, keys: dict[str, int], said: list[str]
) -> None:
    """The advice names what is at stake, and what to write."""
    with capture_logs() as lines:
        write(logs.LogObserver())
    ((advice, line),) = [(line.pop("advice"), line) for line in lines]
    assert line == {"event": event, "log_level": "warning", **keys}
    assert [part for part in said if part not in advice] == []


def test_a_store_that_is_down_does_not_fill_the_log() -> None:
    """Five lines in ten seconds, whoever asks; the first one after that tells how many there were besides."""
    now = [100.0]
    observer = logs.LogObserver(clock=lambda: now[0])
    with capture_logs() as lines:
        for _ in range(1000):
            observer.store_unavailable(StoreUnavailable("locked"))
        now[0] += 10.0
        observer.store_unavailable(StoreUnavailable("locked"))
    assert [line["suppressed"] for line in lines] == [0] * 5 + [995]
