"""Where the lines go: through structlog, through logging, to standard output; and what is said if they go nowhere."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import bind_contextvars
from structlog.testing import capture_logs

from logged import (
    BRIEF,
    BUSY,
    CALL,
    KEYS_URL,
    LEG,
    REFUSED,
    SERVER_ERROR,
    Kept,
    attach,
    busy_event,
    judged,
    lines_of,
    no_handlers,
    tell,
)
from records import line_in, lines_in
from ringback import ConfigurationError, Outcome, classify, logs
from ringback.core.fields import Line
from ringback.logs._text import LONGEST_TEXT
from ringback.receiving.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("nothing_configured")


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
    tell(BUSY)
    assert json.loads(output.getvalue()) == {
        "msg": "call.outcome",
        "level": "info",
        "tenant": "contoso",
        **Line()(BUSY),
    }


class Costly(Outcome):
    """An outcome that must not be put into words."""

    @property
    def summary(self) -> str:
        raise AssertionError("the line was put together")


@pytest.mark.parametrize("level", [logging.ERROR, logging.CRITICAL])
@pytest.mark.parametrize("plain", [False, True], ids=["structlog", "logging"])
def test_a_line_nobody_hears_is_not_put_together(plain: bool, level: int) -> None:
    """A level that the app's logging drops costs no redaction and no rendering."""
    if plain:
        logging.getLogger("ringback").addHandler(logging.NullHandler())
        logging.getLogger("ringback").setLevel(level)
    else:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    tell(Costly(BUSY.event, BUSY.verdict))


def test_a_wrapper_class_that_cannot_tell_its_level_gets_every_line() -> None:
    """Not every wrapper class of structlog knows is_enabled_for; then the line is written and it decides."""
    structlog.configure(wrapper_class=structlog.BoundLogger)
    with capture_logs() as lines:
        tell(BUSY)
    assert [line["event"] for line in lines] == ["call.outcome"]


@pytest.mark.parametrize(("caches", "made"), [(False, 2), (True, 1)])
def test_a_logger_lives_as_long_as_the_apps_configuration_says(caches: bool, made: int) -> None:
    """An app that lets no logger be cached gets a new one for each line: what it writes to may be another by then."""
    outputs: list[io.StringIO] = []

    def logger(*_: object) -> object:
        outputs.append(io.StringIO())
        return structlog.PrintLogger(outputs[-1])

    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=logger,
        cache_logger_on_first_use=caches,
    )
    logs.sender_disconnected()
    logs.sender_disconnected()
    assert [output.getvalue().count("delivery.interrupted") for output in outputs] == [2 // made] * made


def test_a_line_of_another_thread_does_not_take_the_logger_away(capsys: pytest.CaptureFixture[str]) -> None:
    """A line goes where the app's configuration sends it, and not to standard output."""
    output = io.StringIO()

    class Context(dict[str, Any]):
        """Made while the line is written."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            logs._sinks.sink()

    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        context_class=Context,
        logger_factory=structlog.PrintLoggerFactory(output),
    )
    tell(BUSY)
    assert json.loads(output.getvalue())["event"] == "call.outcome"
    assert capsys.readouterr().out == ""


def test_a_configuration_that_cannot_work_does_not_cost_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The app's fault in configuring its log is no reason to lose the outcome."""

    def broken(*_: object) -> object:
        raise RuntimeError("no logger today")

    structlog.configure(logger_factory=broken)
    tell(BUSY)
    assert json.loads(capsys.readouterr().out)["event"] == "call.outcome"


def test_with_structlog_on_top_of_logging_the_logger_is_called_ringback() -> None:
    """Levels and handlers of the logger ``ringback`` apply."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    attach(kept := Kept("%(name)s %(levelname)s %(message)s"), logging.WARNING)
    logs.LogObserver().answered(Reply(200, b"", (), "eventgrid"))
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


def test_with_plain_logging_a_line_is_text_and_the_record_has_every_key() -> None:
    """Readers of text get what they need, formatters of JSON and exporters get everything, flat."""
    attach(kept := Kept("%(name)s %(levelname)s %(message)s"))
    tell(BUSY)
    assert kept.lines == [
        "ringback INFO call.outcome event_type=Microsoft.Communication.CallDisconnected scope=call "
        "code=486 subcode=560486 cause=busy disposition=retryable retry_class=later "
        f"retry_action=place_call owner=callee call_connection_id={LEG} correlation_id={CALL} sip_code=486 "
        'q850_cause=17 operation_context=reminder-17 summary="The person called was on another c..."'
    ]
    assert lines_in(kept.records) == [{"event": "call.outcome", **Line()(BUSY)}]


def test_with_plain_logging_a_cut_spares_what_nobody_can_look_up() -> None:
    """A carrier's numbers may change a verdict, and the context is the app's; the summary follows from the codes."""
    attach(kept := Kept())
    tell(judged(busy_event(operation_context="o" * 500)))
    text = kept.lines[0]
    assert (len(text), text.isascii(), " summary=" in text) == (LONGEST_TEXT, True, False)
    assert " sip_code=486 q850_cause=17 operation_context=o" in text
    assert text.endswith("oo...")


def test_where_a_handler_fails_logging_shows_the_line_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Logging prints the arguments of a record that it cannot write, and Sentry sends them beside each issue."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("%(request_id)s %(message)s"))
    attach(handler)
    logs.LogObserver().hooks_abandoned(2, 0.5)
    assert "\nArguments: (' count=2 timeout_seconds=0.5',)\n" in capsys.readouterr().err


def test_with_plain_logging_the_message_before_its_arguments_names_the_event() -> None:
    """Sentry and its kin make one issue of all records with one message: a failed hook is none with a lost store."""
    attach(kept := Kept())
    logs.LogObserver().hooks_abandoned(2, 0.5)
    logs.done_by(None, "redial.unblocked")
    assert [record.msg for record in kept.records] == ["hooks.abandoned%s", "redial.unblocked%s"]
    assert kept.lines == ["hooks.abandoned count=2 timeout_seconds=0.5", "redial.unblocked"]


def test_a_key_that_the_apps_own_records_have_costs_no_line() -> None:
    """A factory of records that sets correlation_id is a usual one; logging's `extra` would raise."""
    factory = logging.getLogRecordFactory()

    def with_ids(*given: Any, **named: Any) -> logging.LogRecord:
        record = factory(*given, **named)
        record.correlation_id = "of the app's request"
        return record

    attach(kept := Kept())
    logging.setLogRecordFactory(with_ids)
    try:
        tell(BUSY)
    finally:
        logging.setLogRecordFactory(factory)
    assert lines_in(kept.records) == [{"event": "call.outcome", **Line()(BUSY)}]


def test_with_plain_logging_absent_values_are_left_out_of_the_text() -> None:
    """``None`` is noise to a reader."""
    attach(kept := Kept())
    tell(classify("CallDisconnected", None, None))
    assert "=None" not in kept.lines[0]
    assert " code=" not in kept.lines[0]


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (
            lambda: logs.LogObserver().answered(REFUSED),
            "callback.rejected status=401 reason=token_missing suppressed=0",
        ),
        (
            lambda: logs.LogObserver().keys_fetched(KEYS_URL, 4),
            f"keys.fetched url={KEYS_URL} count=4",
        ),
        (
            lambda: logs.LogObserver().keys_unreachable(KEYS_URL, TimeoutError("5 s"), 0),
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


def test_a_text_that_is_cut_ends_its_line_of_a_traceback() -> None:
    """What follows, such as a note, stands in a line of its own."""
    attach(kept := Kept())
    error = ValueError("word " * 1000)
    error.add_note("made by nobody")
    logs.LogObserver().hook_failed(BUSY, "jobs.call_again", error, 1, None)
    assert kept.lines[0].splitlines()[2:] == ["made by nobody"]


HIDDEN = "<\x1b[2J \u202e\r\ud83d>"


def test_no_sign_of_an_exception_is_obeyed_by_a_terminal() -> None:
    """A traceback keeps its lines; what an exception says moves no cursor."""
    attach(kept := Kept())
    logs.LogObserver().hook_failed(BUSY, "jobs.call_again", ValueError(f"one\n\ttwo {HIDDEN}"), 1, None)
    assert kept.lines[0].partition("\n")[2] == f"ValueError: one\n\ttwo {HIDDEN.encode('unicode_escape').decode()}"


def test_no_sign_of_a_sender_is_obeyed_by_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    """Senders choose every text of an event, and the renderer of structlog writes a word as it is."""
    logs.configure(renderer="console")
    tell(judged(busy_event(operation_context="<\x1b[31mred\u202e>", version="1")))
    logs.LogObserver().hook_failed(BUSY, "jobs.call_again", ValueError(f"one\ntwo {HIDDEN}"), 1, None)
    printed = capsys.readouterr().out
    assert r"operation_context=<\x1b[31mred\u202e>" in printed
    assert f"\nValueError: one\ntwo {HIDDEN.encode('unicode_escape').decode()}\n" in printed
    assert printed.replace("\n", "").isprintable()


def test_half_a_character_in_a_traceback_does_not_cost_the_line() -> None:
    """A stream of UTF-8 refuses it, and logging then writes the error in the place of the line."""
    attach(kept := Kept())
    logs.LogObserver().hook_failed(BUSY, "jobs.call_again", ValueError("half \ud83d, größer"), 1, None)
    (line,) = kept.lines
    assert line.endswith(
        'error="ValueError: half \\ud83d, gr\\u00f6\\u00dfer" attempt=1\nValueError: half \\ud83d, größer'
    )


def test_a_handler_of_the_root_logger_is_a_configuration_too() -> None:
    """``logging.basicConfig`` is how most apps begin."""
    root, kept = logging.getLogger(), Kept()
    with no_handlers():
        root.addHandler(kept)
        root.setLevel(logging.WARNING)
        logs.LogObserver().answered(Reply(200, b"", (), "eventgrid"))
        logs.LogObserver().answered(Reply(413, b"", (), "too large"))
    assert [line.partition(" ")[0] for line in kept.lines] == ["logs.unheard", "delivery.rejected"]


def test_a_level_that_logging_drops_costs_no_text() -> None:
    """The text is put together only if a handler wants it."""
    attach(kept := Kept(), logging.ERROR)
    tell(BUSY)
    assert kept.lines == []


@given(text=st.text() | st.sampled_from(["a\nb", "a\x85b", "a\u2028ERROR b", "\x1b[31m", 'say "no"', "a=b c", "\\"]))
def test_no_text_of_a_sender_begins_a_line_of_its_own(text: str) -> None:
    """In plain text too, one line stays one line, and a value reads back as what it was."""
    kept = Kept()
    attach(kept)
    tell(judged(busy_event(operation_context=f"<{text}")))
    logging.getLogger(logs.LOGGER).removeHandler(kept)
    assert len(kept.lines[0].splitlines()) == 1
    assert "\x1b" not in kept.lines[0]
    _, _, shown = kept.lines[0].partition(" operation_context=")
    value, _ = json.JSONDecoder().raw_decode(shown) if shown.startswith('"') else (shown.partition(" ")[0], 0)
    redacted = line_in(kept.records[0])["operation_context"]
    assert value == redacted or (value.endswith("...") and redacted.startswith(value[:-3]))


def test_with_nothing_configured_a_line_is_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """A process without any logging still says why its calls ended, with the bound ids, from level info."""
    with no_handlers(), logs.bound_ids([BUSY.event]):
        tell(BUSY)
        logs.LogObserver().hooks_abandoned(2, 0.5)
    ids = {"call_connection_id": LEG, "server_call_id": "c2VydmVyLWNhbGw", "correlation_id": CALL}
    printed = capsys.readouterr()
    assert lines_of(printed.out) == [
        {"level": "info", "event": "call.outcome", **ids, **Line()(BUSY)},
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
        pytest.param({"wrapper_class": structlog.stdlib.AsyncBoundLogger}, id="nobody-would-await-it"),
    ],
)
async def test_a_line_that_structlog_refuses_goes_to_standard_output(
    configuration: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the line nor the request it reports on is lost for a fault of the app's logging."""
    structlog.configure(**configuration)
    logging.getLogger(logs.LOGGER).setLevel(logging.INFO)
    tell(BUSY)
    assert lines_of(capsys.readouterr().out) == [{"level": "info", "event": "call.outcome", **Line()(BUSY)}]


def test_a_line_that_plain_logging_refuses_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """A filter that raises is the app's fault, and not the call's."""
    attach(Kept())
    logging.getLogger(logs.LOGGER).addFilter(refuses)
    logs.LogObserver().hooks_abandoned(2, 0.5)
    line = {"level": "error", "event": "hooks.abandoned", "count": 2, "timeout_seconds": 0.5}
    assert lines_of(capsys.readouterr().out) == [line]


def test_a_handler_that_fails_shows_nothing_of_what_was_raised(capsys: pytest.CaptureFixture[str]) -> None:
    """Logging prints a handler's error with its context, and that is the hook's exception, as the hook raised it."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(nobody_gives_this)s"))
    attach(handler)
    try:
        raise ValueError("no line to +15550100199")
    except ValueError as error:
        logs.LogObserver().hook_failed(BUSY, "jobs.again", error, 1, None)
    printed = capsys.readouterr().err
    assert "KeyError: 'nobody_gives_this'" in printed
    assert "_Handled: hook.failed: the line has what was raised, redacted" in printed
    assert "ValueError: no line to [phone]" in printed
    assert "15550100199" not in printed


def test_a_closed_standard_output_costs_nothing_but_the_line() -> None:
    """A daemon without standard output must go on answering."""
    closed = io.StringIO()
    closed.close()
    with no_handlers(), contextlib.redirect_stdout(closed):
        tell(BUSY)


def test_configure_writes_json_lines_of_the_app_and_of_ringback(capsys: pytest.CaptureFixture[str]) -> None:
    """An app that has no configuration gets one for all its lines, with the bound ids."""
    assert logs.configure() is True
    with logs.bound_ids([busy_event(server_call_id=None)]):
        structlog.get_logger().info("order.found", order=7)
        structlog.get_logger().debug("order.details")
    tell(SERVER_ERROR)
    assert lines_of(capsys.readouterr().out) == [
        {"level": "info", "event": "order.found", "order": 7, "call_connection_id": LEG, "correlation_id": CALL},
        {"level": "error", "event": "call.outcome", **Line()(SERVER_ERROR)},
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
        ({"detail": "short"}, "detail 'short' is unknown; use 'lean' or 'full'"),
    ],
    ids=["level", "level-number", "renderer", "detail"],
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


def advice_in(kept: Kept) -> list[str]:
    return [line["advice"] for line in lines_in(kept.records) if line["event"] == "logs.unheard"]


def test_outcomes_below_loggings_own_level_are_said_once_with_the_remedy() -> None:
    """After ``basicConfig()`` or ``configure_azure_monitor()`` nobody has set a level, and a busy line is info."""
    root, kept = logging.getLogger(), Kept()
    with no_handlers():
        root.addHandler(kept)
        root.setLevel(logging.WARNING)
        tell(BUSY)
        tell(SERVER_ERROR, BUSY)
        (advice,) = advice_in(kept)
        assert [line["event"] for line in lines_in(kept.records)] == ["logs.unheard", "call.outcome"]
        exec(advice.partition("; add ")[2], {"logging": logging})
        tell(BUSY)
    assert [line["event"] for line in lines_in(kept.records)][2:] == ["call.outcome"]


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_a_level_that_somebody_has_set_is_left_alone(level: int) -> None:
    """Whoever wants no line of a busy call says so."""
    attach(kept := Kept(), level)
    tell(BUSY)
    assert advice_in(kept) == []


def test_a_root_logger_that_is_quieter_than_by_default_is_left_alone() -> None:
    """Somebody has chosen that level."""
    root, kept = logging.getLogger(), Kept()
    with no_handlers():
        root.addHandler(kept)
        root.setLevel(logging.ERROR)
        tell(BUSY)
    assert kept.records == []


@pytest.mark.parametrize("disabled", [logging.INFO, logging.WARNING, logging.CRITICAL])
def test_who_has_disabled_levels_of_logging_is_left_alone(disabled: int) -> None:
    """``logging.disable`` is a choice, and the remedy would change nothing."""
    root, kept = logging.getLogger(), Kept()
    with no_handlers():
        root.addHandler(kept)
        root.setLevel(logging.WARNING)
        logging.disable(disabled)
        try:
            tell(BUSY)
        finally:
            logging.disable(logging.NOTSET)
    assert kept.records == []


@pytest.mark.parametrize("through", ["logging", "structlog"])
def test_a_logger_that_a_configuration_has_disabled_goes_to_standard_output(
    through: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``disable_existing_loggers`` is true unless one says otherwise, and disables what nobody meant."""
    attach(kept := Kept())
    if through == "structlog":
        structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    tell(BUSY)
    logging.getLogger("ringback").disabled = True
    tell(BUSY)
    tell(BUSY)
    written = lines_of(capsys.readouterr().out)
    assert [line["event"] for line in written] == ["logs.unheard", "call.outcome", "call.outcome"]
    assert written[0]["advice"].endswith("configure with disable_existing_loggers=False")
    assert len(kept.records) == 1


def test_a_logger_without_handlers_that_does_not_propagate_goes_to_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Logging would write nothing of an outcome at info."""
    logging.getLogger("ringback").propagate = False
    tell(BUSY)
    assert [line["event"] for line in lines_of(capsys.readouterr().out)] == ["call.outcome"]


def test_structlog_on_top_of_a_logging_without_handlers_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Logging then writes warnings, and nothing below, to standard error."""
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    with no_handlers():
        logging.getLogger("ringback").setLevel(logging.INFO)
        tell(BUSY)
        tell(BUSY)
        assert capsys.readouterr().err.count("basicConfig(level=logging.INFO") == 1
