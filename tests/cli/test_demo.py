"""The demo: what it shows of each delivery, how it counts hooks, and that nothing of it stays behind."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import threading
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from ringback import ConfigurationError, classify
from ringback.cli.demo import POSTINGS, DemoUnavailable, quickstart, run
from ringback.cli.demo.screen import Report, Screen
from ringback.core.fields import Line
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

ROWS = """\
delivery                    status  outcome     disposition           hook
a rejected call, 1st event  200     declined    terminal (never)      waits for the 2nd
a rejected call, 2nd event  200     declined    terminal (never)      close once
busy                        200     busy        retryable (later)     call_again once
no answer                   200     no_answer   retryable (later)     call_again once
rang until time ran out     200     no_answer   retryable (later)     call_again once
hung up by telephone        200     hung_up     terminal (none)       close once
ended by a server bot       200     ended       terminal (none)       close once
an event of an old API      200     unreported  terminal (after_fix)  close once
blocked as spam             200     blocked     terminal (after_fix)  close once
trouble at the carrier      200     busy        retryable (later)     call_again once
a code nobody knows         200     unknown     terminal (after_fix)  close once
busy, delivered again       200     busy        retryable (later)     not again
a malformed body            400     -           -                     -
an Event Grid validation    200     -           -                     -
an incoming call            200     -           -                     -

15 deliveries, 10 calls that ended, 10 hooks called. The server has stopped.
To see the log lines whole:  ringback demo --json-logs
To ask about any code:       ringback explain 486 560486
"""

BUSY = f"""\
-> POST /api/callbacks/demo  busy: CallDisconnected 486/560486
   info     call.outcome  486/560486  busy, retryable (later)  call ca110002
            {classify(None, 486, 560486).summary} \
"""

AGAIN = """\
   info     call.outcome_duplicate  busy, retryable (later)  call ca110002
<- 200 {"received":1}"""

VALIDATION = """\
-> POST /api/callbacks/demo  an Event Grid validation: SubscriptionValidationEvent
   info     handshake.answered  eventgrid
<- 200 {"validationResponse":"5ca1ab1e-0000-4000-8000-000000000000"}"""

APP = """
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, OutcomeRouter

outer, router = OutcomeRouter(), OutcomeRouter()
outer.include(router)


class Pager:
    def __call__(self, outcome):
        print("paged")


@router.on(cause="busy")
@router.on(code=486)
async def busy(outcome):
    raise ValueError("cannot dial +1 555 555 0100")


outer.on_terminal(Pager())


async def callbacks(request):
    return Response(status_code=204)


def create_app():
    app = Starlette(routes=[Route("/api/callbacks/{context_id}", callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=outer, path="/api/callbacks/{context_id}")
    return app
"""


FAILING = """
async def failing(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


def create_app():
    return failing
"""

# The busy call, the one hung up, the one that nobody answered, and the busy one again.
FOUR = (POSTINGS[2], POSTINGS[5], POSTINGS[3], POSTINGS[11])


@dataclass(frozen=True)
class Shown:
    """One run of the demo: what it printed, and what was left when it was over."""

    text: str
    reports: list[Report]
    configured: bool
    threads: set[str]
    modules: set[str]

    @property
    def blocks(self) -> list[str]:
        return self.text.split("\n\n")


def ran(app: Path | None = None, **options: Any) -> Shown:
    screen = io.StringIO()
    modules = set(sys.modules)
    with redirect_stdout(screen):
        reports = run(app, **options)
    return Shown(
        screen.getvalue(),
        reports,
        structlog.is_configured(),
        {each.name for each in threading.enumerate()},
        {name for name in set(sys.modules) - modules if name.startswith("ringback_demo")},
    )


@pytest.fixture(scope="module")
def shown() -> Shown:
    """The demo as `ringback demo` runs it, once for all tests of what it shows."""
    return ran()


def written(folder: Path, content: str) -> Path:
    file = folder / "app.py"
    file.write_text(content, "utf-8")
    return file


# What is shown


def test_the_table_says_what_became_of_each_delivery(shown: Shown) -> None:
    """One hook for the two events of one call, none for a redelivery, none for what ends no call."""
    assert shown.text.endswith(f"\n\n{ROWS}")


def test_each_delivery_has_a_block_of_its_own(shown: Shown) -> None:
    """The headings stand in the order of posting, between the opening line and the table."""
    opening, *blocks, _, _ = shown.blocks
    assert re.fullmatch(r"Ringback demo: quickstart\.py on a real server at http://127\.0\.0\.1:\d+", opening)
    assert [block.splitlines()[0] for block in blocks] == [
        f"-> POST /api/callbacks/demo  {posting.title}: {posting.carries}" for posting in POSTINGS
    ]


def test_a_block_shows_the_log_line_the_answer_and_the_hook(shown: Shown) -> None:
    """In the order in which they happen: the line is logged, the route answers, the end has settled, the hook runs."""
    block = shown.blocks[3]
    assert block.startswith(BUSY)
    assert block.endswith(
        '\n<- 200 {"received":1}\n   info     call.ended  busy, retryable (later)  call ca110002'
        "\n   hook call_again: busy, so dial again later"
    )


def test_the_hook_of_a_rejected_call_runs_after_its_second_event(shown: Shown) -> None:
    """The first event waits for its sibling, so its block shows no hook."""
    first, second = shown.blocks[1:3]
    assert first.splitlines()[-1] == '<- 200 {"received":1}'
    assert second.splitlines()[-1] == "   hook close: declined, so no further call (never)"


def test_a_redelivery_is_logged_as_a_duplicate_and_calls_no_hook(shown: Shown) -> None:
    """What came before is told, and not acted on."""
    _, duplicate, *_, answer = shown.blocks[12].splitlines()
    assert [duplicate, answer] == AGAIN.splitlines()


def test_what_is_no_delivery_is_shown_with_its_answer(shown: Shown) -> None:
    """A malformed body is refused with the reason, a handshake is answered, an incoming call passes."""
    malformed, validation, incoming = shown.blocks[13:16]
    assert malformed.splitlines()[1] == "   warning  delivery.rejected  400"
    assert malformed.splitlines()[2].startswith(" " * 12 + "the body is not JSON: ")
    assert malformed.splitlines()[3].startswith(
        '<- 400 {"type":"about:blank","title":"Malformed delivery","status":400'
    )
    assert validation == VALIDATION
    assert incoming == '-> POST /api/callbacks/demo  an incoming call: IncomingCall\n<- 200 {"received":1}'


def test_a_log_line_takes_three_lines_of_a_hundred_columns_at_most(shown: Shown) -> None:
    """The demo is to be read in a terminal."""
    assert [line for line in shown.text.splitlines() if len(line) > 100] == []
    for block in shown.blocks[1:-2]:
        facts = [line for line in block.splitlines() if line.startswith("   ") and not line.startswith("   hook")]
        entries = sum(not line.startswith(" " * 4) for line in facts)
        assert len(facts) <= 3 * entries


def test_no_phone_number_is_shown(shown: Shown) -> None:
    """The bodies hold reserved numbers; nothing that is printed does."""
    assert any(b"+1" in posting.body for posting in POSTINGS)
    for private in ("555 0", "5555550", "4:+"):
        assert private not in shown.text
    assert [line for line in shown.text.splitlines() if redact(line) != line] == []


def test_json_logs_are_the_lines_as_they_are_written() -> None:
    """--json-logs prints each log line whole, with the keys of an outcome, and redacted."""
    text = ran(json_logs=True, postings=(POSTINGS[2], *POSTINGS[11:])).text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"timestamp"')]
    assert [line["event"] for line in lines] == [
        "hooks.volatile",
        "call.outcome",
        "call.ended",
        "call.outcome_duplicate",
        "call.outcome",
        "delivery.rejected",
        "handshake.answered",
    ]
    assert list(lines[0])[:3] == ["timestamp", "level", "event"]
    assert set(Line()(classify(None, 486, 560486))) <= set(lines[1])
    assert lines[1]["result_message"] == "Busy here, [phone]. DiagCode: 486#560486.@"
    assert "   info " not in text


@pytest.mark.parametrize(
    ("width", "facts", "table"),
    [
        (
            100,
            "   warning  call.outcome  499/99999  bad_request, terminal (after_fix)  call ca110010",
            [
                "delivery             status  outcome      disposition           hook",
                "a code nobody knows  200     bad_request  terminal (after_fix)  close 2 times",
            ],
        ),
        (
            72,
            "   warning  call.outcome  499/99999  bad_request, terminal (after_fix)",
            [
                "delivery             outcome      disposition           hook",
                "a code nobody knows  bad_request  terminal (after_fix)  close 2 times",
            ],
        ),
        (
            60,
            "   warning  call.outcome  499/99999  bad_request, termina...",
            [
                "delivery             outcome      disposition           hook",
                "a code nobody knows  bad_request  terminal (after_fix)  c...",
            ],
        ),
    ],
    ids=str,
)
def test_a_narrow_terminal_gets_shorter_lines(
    capsys: pytest.CaptureFixture[str], width: int, facts: str, table: list[str]
) -> None:
    """The call's id goes first, then the column of the status, then the ends of lines."""
    screen = Screen(width)
    line = {
        "event": "call.outcome",
        "level": "warning",
        "code": 499,
        "subcode": 99999,
        "cause": "bad_request",
        "disposition": "terminal",
        "retry_class": "after_fix",
        "call_connection_id": "ca110010-0000-4000-8000-000000000000",
        "outcome_id": "call:ca110010-0000-4000-8000-000000000000",
    }
    screen.log_line(line)
    screen.closing([Report(POSTINGS[10], 200, [line], ["close", "close"])])
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == [facts, "", *table]


def test_advice_of_one_sentence_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """An outcome has a list of steps, of which the first is shown; other lines have a text."""
    line = {
        "event": "outcome.unhandled",
        "level": "warning",
        "cause": "busy",
        "disposition": "retryable",
        "retry_class": "later",
        "advice": "no handler asked for it; add one",
    }
    Screen(100).log_line(line)
    assert capsys.readouterr().out.splitlines() == [
        "   warning  outcome.unhandled  busy, retryable (later)",
        "            no handler asked for it; add one",
    ]


WITH_CONTEXT = """
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, OutcomeRouter

router = OutcomeRouter()


@router.on_retryable
async def second(outcome, ctx):
    print("second:", ctx.attempt)


@router.on_retryable
def named(outcome, *, ctx):
    print("named:", ctx.attempt)


async def callbacks(request):
    return Response(status_code=204)


def create_app():
    app = Starlette(routes=[Route("/api/callbacks/{context_id}", callbacks, methods=["POST"])])
    path = "/api/callbacks/{context_id}"
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=None, path=path)
    return app
"""


def test_hooks_that_ask_for_their_context_get_it(tmp_path: Path) -> None:
    """Counting them changes nothing about how they are called."""
    shown = ran(written(tmp_path, WITH_CONTEXT), postings=(POSTINGS[2],))
    assert [report.hooks for report in shown.reports] == [["second", "named"]]
    assert "\nsecond: 1\nnamed: 1\n" in shown.text


def test_headings_are_bold_where_style_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    """Bold leads the eye from delivery to delivery; nothing else is styled."""
    Screen(100, styled=True).heading(POSTINGS[2], "/cb")
    assert capsys.readouterr().out == "\n\x1b[1m-> POST /cb  busy: CallDisconnected 486/560486\x1b[0m\n"


# What stays behind: nothing


def test_nothing_listens_afterwards(shown: Shown) -> None:
    """The server is stopped, its port closed and its thread over."""
    port = int(shown.blocks[0].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    assert "ringback-demo" not in shown.threads


def test_the_module_of_the_app_is_forgotten(shown: Shown) -> None:
    """It was loaded for the demo alone."""
    assert shown.modules == set()


def test_structlog_stays_unconfigured(shown: Shown) -> None:
    """The demo configures structlog for itself alone."""
    assert not shown.configured


def test_a_configuration_of_structlog_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was configured before is there again, also after a failure, and no bytecode is written."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def mine(_: object, __: str, line: object) -> str:
        return str(line)

    structlog.configure(processors=[mine])
    try:
        before = structlog.get_config()
        with pytest.raises(ConfigurationError, match=r"^the app did not start up; look at its lifespan$"):
            run(written(tmp_path, FAILING))
        assert structlog.get_config() == before
    finally:
        structlog.reset_defaults()
    assert list(tmp_path.iterdir()) == [tmp_path / "app.py"]
    assert not sys.dont_write_bytecode


# Apps of one's own


def test_an_app_of_ones_own_has_its_hooks_counted(tmp_path: Path) -> None:
    """Also those of included routers, callable objects, and hooks that raise; several criteria call a hook once."""
    shown = ran(written(tmp_path, APP), postings=FOUR)
    rows = {report.posting.title: report.row()[1:] for report in shown.reports}
    assert rows["busy"] == ("204", "busy", "retryable (later)", "busy once")
    assert rows["hung up by telephone"] == ("204", "hung_up", "terminal (none)", "Pager once")
    assert rows["no answer"] == ("204", "no_answer", "retryable (later)", "-")
    assert "            app.busy ValueError: cannot dial [phone]" in shown.text.replace("ringback_demo_", "")
    assert "paged\n" in shown.text


def test_hooks_of_routers_out_of_sight_are_not_counted(tmp_path: Path) -> None:
    """Where the module names no router the table says so, and claims no number."""
    hidden = "\n".join(f"    {line}" for line in APP.strip().splitlines())
    app = written(tmp_path, f"def create_app():\n{hidden}\n    return create_app()\n")
    shown = ran(app, postings=FOUR)
    rows = {report.posting.title: report.row()[1:] for report in shown.reports}
    assert rows["busy"] == ("204", "busy", "retryable (later)", "not counted")
    assert rows["busy, delivered again"] == ("204", "busy", "retryable (later)", "not again")
    assert "paged\n" in shown.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("app.py", "app '{place}' has no create_app; define create_app() that returns an ASGI app"),
        ("none.py", "app '{place}' is no Python file; name a file with create_app()"),
        ("app.txt", "app '{place}' is no Python file; name a file with create_app()"),
    ],
)
def test_a_file_that_is_no_app_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """The message names the file and what it lacks."""
    written(tmp_path, "create_app = None\n")
    (tmp_path / "app.txt").write_text("", "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        run(tmp_path / name)
    assert str(refused.value) == message.format(place=tmp_path / name)


# What it needs


def test_the_quickstart_is_found_in_a_wheel_and_in_a_checkout(tmp_path: Path) -> None:
    """A wheel has it beside the demo, a checkout among the examples; the wheel's own comes first."""
    here = tmp_path / "middleware" / "ringback" / "cli" / "demo" / "__init__.py"
    examples = tmp_path / "examples" / "quickstart.py"
    with pytest.raises(DemoUnavailable, match=r"^quickstart\.py is missing from this installation; pass --app FILE"):
        quickstart(here)
    for place in (examples, here.with_name("quickstart.py")):
        place.parent.mkdir(parents=True)
        place.touch()
        assert quickstart(here) == place


def test_the_last_lines_name_the_command_that_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    """One that is not on the PATH is named by its path."""
    run(command=".venv/bin/ringback", postings=())
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "To see the log lines whole:  .venv/bin/ringback demo --json-logs",
        "To ask about any code:       .venv/bin/ringback explain 486 560486",
    ]


def test_a_missing_uvicorn_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn is an extra, and the message says which."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(DemoUnavailable, match=r"^uvicorn is not installed; run: pip install 'ringback\[demo\]'$"):
        run()
