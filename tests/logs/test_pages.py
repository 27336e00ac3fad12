"""docs/logs.md says of the lines what they are."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from logged import (
    BUSY,
    HUNG_UP,
    KEYS_URL,
    LEG,
    LOUDNESS,
    REFUSED,
    STREAMED,
    TALKED,
    busy_event,
    judged,
    no_handlers,
    raised,
    tell,
)
from ringback import Event, Outcome, StoreUnavailable, logs, use_redaction
from ringback.core.events import Delivery, Fault
from ringback.core.fields import Line
from ringback.exceptions import MalformedDelivery
from ringback.logs import _sinks
from ringback.receiving.intake import Received
from ringback.receiving.replies import Reply, refusal
from ringback.stores.clocks import jumped

pytestmark = pytest.mark.usefixtures("nothing_configured")

DOCUMENT = Path(__file__).parents[2] / "docs" / "logs.md"


def every_line() -> dict[str, dict[str, Any]]:
    """A line of every event, by its name."""
    observer, fault = logs.LogObserver(), Fault(1, "a JSON null")
    with capture_logs() as lines:
        again = Outcome(replace(STREAMED.event), STREAMED.verdict)
        list(logs.received(Received(Delivery((STREAMED.event, again.event), (fault,)), (STREAMED, again))))
        observer.outcomes_duplicate([BUSY, BUSY])
        observer.outcome_unhandled(BUSY)
        ended = observer.writes_ends()
        assert ended is not None
        ended(HUNG_UP, TALKED)
        observer.hook_failed(BUSY, "jobs.call_again", raised(ValueError("no line")), 1, 2.0)
        observer.hook_overran(BUSY, "jobs.call_again", 60.0, 1, 16)
        observer.lease_lost(BUSY)
        observer.loop_blocked("jobs.call_again", 12.5)
        observer.hooks_abandoned(2, 0.5)
        observer.hooks_given_back(2, 0.5)
        observer.hooks_volatile(2)
        observer.lifespan_missing(durable=False)
        observer.redial_scheduled(BUSY, 1768470031.7, 2)
        observer.redial_put_off(BUSY, 1768470031.7, 2)
        observer.redial_exhausted(BUSY, "max_attempts")
        observer.redial_skipped(BUSY, "an operation is to be sent again, not the call")
        observer.redial_canceled(BUSY)
        observer.redial_placed(BUSY, 2, LEG)
        observer.redial_unknown(BUSY, 2, "412")
        observer.redial_zone_unset("jobs.call_again")
        observer.redials_paused(BUSY, 30.0)
        observer.store_unavailable(StoreUnavailable("locked"))
        observer.store_unavailable(jumped(-3600.0, 3))
        observer.store_bypassed(1)
        logs.done_by("ops", "dead_letter.replayed", key=f"call:{LEG}")
        logs.done_by(None, "dead_letter.discarded", key=f"call:{LEG}")
        several: dict[str, Any] = {"count": 500, "chosen": "cause busy", "change": "5f0c1e9a7d3b2c48"}
        logs.done_by("ops", "dead_letters.replayed", **several)
        logs.done_by(None, "dead_letters.discarded", **several | {"chosen": "all", "change": None})
        logs.done_by("ops", "dead_letters.taken_back", count=500, change="5f0c1e9a7d3b2c48")
        logs.done_by("ops", "redial.blocked", count=1)
        logs.done_by("ops", "redial.unblocked")
        logs.done_by("ops", "redial.hastened", key=f"redial:call:{LEG}")
        logs.done_by("ops", "redial.ended", key=f"redial:call:{LEG}")
        logs.done_by(None, "redials.canceled", count=1)
        logs.wait_doubtful("CallConected", "did you mean 'CallConnected'?")
        logs.listeners_failed([("calls.next_step", raised(ValueError("no line")))])
        observer.check_failed("senders.from_inside", raised(ValueError("no line")))
        observer.answered(refusal(MalformedDelivery("no event")))
        observer.answered(Reply(200, b"", (), "eventgrid"))
        logs.sender_disconnected()
        observer.answered(REFUSED)
        logs.callback_near_miss(["/api/callbacks"], 307, guarded=True)
        logs.callbacks_unverified()
        observer.keys_fetched(KEYS_URL, 4)
        observer.keys_unreachable(KEYS_URL, TimeoutError("5 s"), 4)
        _sinks._advise_once(f"what, and its remedy: {id(lines)}", _sinks.sink())
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
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int),
    "number": lambda value: isinstance(value, int | float),
    "object": lambda value: isinstance(value, dict) and list(value) == ["code", "message"],
    "list of strings": lambda value: all(isinstance(each, str) for each in value),
    "list of objects": lambda value: all(list(each) == ["index", "reason"] for each in value),
    "null": lambda value: value is None,
}


def test_no_key_is_one_of_the_logging_modules_own() -> None:
    """It would change what the record says of itself."""
    own = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
    assert {name for line in every_line().values() for name in line} & own == set()


def test_every_line_of_the_source_is_among_the_lines() -> None:
    """A new event name needs a line above, and so a place in docs/logs.md."""
    trees = [ast.parse(file.read_text("utf-8")) for file in Path(logs.__file__).parent.glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = {"emit": 1, "write": 2}
    named = [(each.func.id, each.args) for each in calls if isinstance(each.func, ast.Name)]
    events = [args[given[name]] for name, args in named if name in given]
    written = {each.value for each in events if isinstance(each, ast.Constant)}
    assert written | {*get_args(logs.ByPerson)} == {*every_line()}


def test_the_documented_keys_are_the_emitted_keys() -> None:
    """docs/logs.md names every key of every line in its order, and none that is not written."""
    emitted = {event: [key for key in line if key != "log_level"] for event, line in every_line().items()}
    told = {event: [row[0].strip("`") for row in rows] for event, rows in documented().items()}
    # That of an outcome is made of the table of keys; see logs/test_fields.py.
    assert set(told.pop("call.outcome")) == set(emitted.pop("call.outcome")) | Line(full=True)(STREAMED).keys() | {
        "refined_by",
        "override",
        "unheard",
    }
    assert told == emitted


@pytest.mark.parametrize("missing", [False, True], ids=["everything-reported", "nothing-reported"])
def test_the_documented_types_are_the_emitted_types(missing: bool) -> None:
    """Every value is of a type that docs/logs.md names for its key, also where an event lacks everything."""
    lines = every_line()
    if missing:
        bare = Outcome(Event(type="Microsoft.Communication.CallDisconnected"), BUSY.verdict)
        with capture_logs() as written:
            logs.LogObserver().outcomes_duplicate([bare, bare])
            logs.LogObserver().hook_failed(bare, "jobs.call_again", raised(ValueError("no line")), 5, None)
            logs.LogObserver().redial_placed(bare, 2, None)
        lines = {line.pop("event"): line for line in written}
    rows = [
        (event, *row)
        for event, table in documented().items()
        if event in lines.keys() - {"call.outcome"}
        for row in table
    ]
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
    found: set[str] = set()
    for file in Path(logs.__file__).parents[1].rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Refusal":
                given = call.args[0]
                texts = (each.value for each in ast.walk(given) if isinstance(each, ast.Constant))
                found |= {text for text in texts if isinstance(text, str)}
    return found


@pytest.mark.untraced
def test_the_documented_reasons_are_those_of_the_source() -> None:
    """docs/logs.md explains every reason for which a sender is refused, once, and none that is not given."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("\n### Reasons\n")[2].partition("\n##")[0]
    reasons = re.findall(r"^\| `(\w+)` \| ", section, re.MULTILINE)
    assert sorted(reasons) == sorted(slugs())


SET_UPS, _, REDACTION = DOCUMENT.read_text(encoding="utf-8").partition("\n## Redaction\n")
SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)
*WAYS, SENTRY = SNIPPET.findall(SET_UPS)


@pytest.mark.parametrize("snippet", WAYS, ids=range(3))
def test_the_documented_snippets_show_an_outcome(snippet: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each set-up of docs/logs.md stands alone, works as it is, and lets an info line through."""
    with no_handlers():
        exec(snippet, {"__name__": "snippet"})
        tell(BUSY)
    printed = capsys.readouterr()
    written = (printed.out + printed.err).splitlines()
    assert ["call.outcome" in line for line in written] == [True]


def test_the_documented_function_keeps_the_request_from_sentry() -> None:
    """The snippet in docs/logs.md works as it is: an event of Sentry's goes out without the request, or has none."""
    defined: dict[str, Any] = {}
    exec(SENTRY, defined)
    sent = [defined["without_request"](event, {}) for event in ({"message": "m", "request": {"data": "[]"}}, {})]
    assert sent == [{"message": "m"}, {}]


def test_the_documented_hash_joins_the_lines_about_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet in docs/logs.md works as it is: one number is one hash, however it was written."""
    (snippet,) = SNIPPET.findall(REDACTION)
    monkeypatch.setenv("RINGBACK_REDACTION_KEY", "a key of 16 bytes or more")
    try:
        exec(snippet, {"__name__": "snippet"})
        with capture_logs() as lines:
            for number in ("+1 425 555 0100", "+14255550100", "+1 425 555 0101"):
                tell(judged(busy_event(operation_context=number)))
    finally:
        use_redaction("mask")
    one, same, other = (line["operation_context"] for line in lines)
    assert re.fullmatch(r"\[phone:[0-9a-f]{10}\]", one)
    assert (one == same, one == other) == (True, False)
