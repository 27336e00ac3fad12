"""The table of keys: whatever names the keys of an outcome is made of it, or agrees with it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from logged import STREAMED
from ringback import Event, Outcome, classify, classify_event, logs
from ringback.core.events import Delivery, Diagnostic, EventData, Result
from ringback.core.fields import ROWS, SCHEMA, Line, Row
from ringback.logs._text import Text
from ringback.receiving.intake import Received
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCS = Path(__file__).parents[2] / "docs"
# No outcome has a carrier's details and a status of media streaming.
OURS = Catalog.default().with_overrides({"code": 486, "subcode": 560486, "owner": "callee"})
EVERYTHING = Outcome(STREAMED.event, replace(OURS.look_up(None, 486, 560486), refined_by="q850", unheard="sip"))
TENANT = Row("tenant", lambda o: "acme", "whose call it was", "private", "text")


@dataclass(frozen=True)
class Kind:
    """What JSON Schema, the documented table and an example say of a value."""

    schema: dict[str, Any]
    words: str
    example: str


def kinds(rows: Sequence[Row]) -> list[tuple[Row, Kind]]:
    """The rows of the line, each with what its value is in a line that has every key."""
    line = Line(rows, full=True)(EVERYTHING)
    return [(row, kind(line[row.name])) for row in rows if "dictionary" not in row.marks]


def kind(value: object) -> Kind:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    example = text if len(text) <= 40 else f"{text[:38]}…"
    if isinstance(value, list):
        return Kind({"type": "array", "items": {"type": "string"}}, "list of strings", example)
    word = {str: "string", int: "integer"}[type(value)]
    return Kind({"type": word}, word, example)


def table(rows: Sequence[Row] = ROWS) -> str:
    """The key table of docs/logs.md."""
    lines = ["| Key | Type | Meaning | Example | Detail |", "|---|---|---|---|---|"]
    for row, its in kinds(rows):
        detail = "full" if "full" in row.marks else "lean, text" if "text" in row.marks else "lean"
        lines.append(f"| `{row.name}` | {its.words} | {row.meaning} | `{its.example}` | {detail} |")
    return "\n".join(lines)


def schema(rows: Sequence[Row] = ROWS) -> dict[str, Any]:
    """docs/log-line.schema.json."""
    properties: dict[str, Any] = {"event": {"const": "call.outcome"}}
    for row, its in kinds(rows):
        properties[row.name] = {**its.schema, "description": row.meaning}
    properties["schema"] = {"const": SCHEMA, "description": properties["schema"]["description"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "call.outcome, a log line of Ringback",
        "type": "object",
        "required": ["event", "schema", "event_type", "scope", "cause", "disposition", "retry_class", "retry_action"],
        "properties": properties,
    }


def test_the_documented_table_and_the_schema_are_those_of_the_code() -> None:
    """RINGBACK_WRITE_DOCS=1 writes them anew."""
    page, file = DOCS / "logs.md", DOCS / "log-line.schema.json"
    before, _, rest = page.read_text("utf-8").partition("<!-- keys -->\n")
    written, _, after = rest.partition("\n<!-- end of keys -->")
    if os.environ.get("RINGBACK_WRITE_DOCS"):
        page.write_text(f"{before}<!-- keys -->\n{table()}\n<!-- end of keys -->{after}", "utf-8")
        file.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    else:
        assert written == table()
        assert json.loads(file.read_text("utf-8")) == schema()


def test_a_key_is_added_by_a_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the dictionary, the line, its text, the documentation and the schema."""
    outcome = classify("CallDisconnected", 486, 560486)
    rows, before = (*ROWS, TENANT), outcome.to_dict()
    monkeypatch.setattr("ringback.core.fields.ROWS", rows)
    assert outcome.to_dict() == {**before, "tenant": "acme"}
    monkeypatch.undo()
    assert Line(rows)(outcome) == {**Line()(outcome), "tenant": "acme"}
    line_of = Line(rows)
    assert str(Text("call.outcome", line_of(outcome), line_of.in_text)).count(" tenant=acme ") == 1
    assert "| `tenant` | string | whose call it was | `acme` | lean, text |" in table(rows)
    assert "tenant" in schema(rows)["properties"]


def every_outcome() -> list[Outcome]:
    entries = Catalog.default().entries
    return [
        classify(event, entry.key.code, entry.key.subcode)
        for entry in entries
        for event in (sorted(entry.key.events) or ["CallDisconnected"])
    ]


def test_the_line_is_flat_without_nulls_and_lean() -> None:
    """Of every row of the catalog: text, whole numbers and lists of texts, and none of the long keys."""
    full = {row.name for row in ROWS if "full" in row.marks}
    for outcome in every_outcome():
        line = Line()(outcome)
        assert all(isinstance(value, str | int) or _texts(value) for value in line.values())
        assert full & line.keys() == set()
        assert Line(full=True)(outcome).items() >= line.items()


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def test_a_line_of_text_is_one_line_of_at_most_400_characters() -> None:
    """Whatever the catalog says, and whatever context the app has set."""
    for outcome in every_outcome():
        line = {**Line()(outcome), "operation_context": "x" * 256, "call_connection_id": "y" * 36}
        written = f"call.outcome{Text('call.outcome', line, Line().in_text)}"
        assert len(written) <= 400
        assert written.isprintable()


@given(st.text(max_size=50), st.booleans())
def test_what_a_verdict_says_is_made_once_and_is_nobodys_to_change(event: str, exhausted: bool) -> None:
    """Two lines of one verdict are equal, and changing one does not change the next."""
    line_of = Line()
    outcome = classify(event or None, 486, 560486)
    outcome = outcome.exhausted() if exhausted else outcome
    first = line_of(outcome)
    kept = json.loads(json.dumps(first))
    first["advice"].append("of a processor of the app's")
    first.clear()
    assert line_of(outcome) == kept


def test_an_exhausted_outcome_says_that_it_is_terminal() -> None:
    """The verdict is the same, and what is made of it is not."""
    outcome = classify("CallDisconnected", 486, 560486)
    line_of = Line()
    assert (line_of(outcome)["disposition"], line_of(outcome.exhausted())["disposition"]) == ("retryable", "terminal")


def test_what_is_kept_is_bounded() -> None:
    """Types and codes are a sender's, and without end."""
    line_of = Line()
    for code in range(5000):
        line_of(classify("CallDisconnected", 900 + code, 1))
    assert len(line_of._facts) <= 2048


@pytest.mark.parametrize("event", ["4:+15550100001", "Microsoft.Communication.a b"])
def test_a_type_that_a_sender_made_up_is_not_kept(event: str) -> None:
    """What had to be redacted may be redacted otherwise tomorrow."""
    line_of = Line()
    line_of(classify(event, 486, 560486))
    assert not line_of._facts


COMMON = [
    # The ends of calls that an app sees most, with the carrier's details that come with them.
    ("CallDisconnected", 200, 0, None, None),
    ("CallDisconnected", 200, 5000, None, None),
    ("CallDisconnected", 200, 7000, None, None),
    ("CallDisconnected", 487, 5003, None, None),
    ("CallDisconnected", 487, 540487, (487, "Request Terminated"), None),
    ("CallDisconnected", 487, 560487, (487, "Request Terminated"), None),
    ("CallDisconnected", 486, 560486, (486, "Busy Here"), (17, "User busy")),
    ("CallDisconnected", 480, 560480, (480, "Temporarily Unavailable"), (19, "No answer from user")),
    ("CallDisconnected", 408, 560408, (408, "Request Timeout"), None),
    ("CallDisconnected", 404, 560404, (404, "Not Found"), (1, "Unallocated (unassigned) number")),
    ("CallDisconnected", 603, 560603, (603, "Decline"), (21, "Call rejected")),
    ("CallDisconnected", 403, 560403, (403, "Forbidden"), None),
    ("CallDisconnected", 503, 560503, (503, "Service Unavailable"), (41, "Temporary failure")),
    ("CallDisconnected", 500, 9999, None, None),
    ("CallDisconnected", 410, 3100, None, None),
    ("CreateCallFailed", 486, 560486, (486, "Busy Here"), (17, "User busy")),
    ("CreateCallFailed", 403, 10206, None, None),
    ("AnswerFailed", 400, 8523, None, None),
    ("PlayFailed", 400, 8535, None, None),
    ("RecognizeFailed", 400, 8510, None, None),
]


def test_the_usual_line_is_short() -> None:
    """A log bill is paid by the byte: of twenty common results the median line of configure() has at most 1,100."""
    outcomes = []
    for name, code, subcode, sip, q850 in COMMON:
        result = Result(
            code, subcode, f"The conversation has ended. DiagCode: {code}#{subcode}.@", _detail(sip), _detail(q850)
        )
        data = EventData(
            call_connection_id=str(UUID(int=1)),
            server_call_id="a" * 220,
            correlation_id=str(UUID(int=2)),
            operation_context="reminder-17",
            result_information=result,
        )
        event = Event(
            type=f"Microsoft.Communication.{name}",
            id=str(UUID(int=3)),
            time="2026-01-15T08:58:50.0629553+00:00",
            data=data,
        )
        outcomes.append(classify_event(event))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        structlog.reset_defaults()
        logs.configure()
        received = tuple(each for each in outcomes if each is not None)
        list(logs.received(Received(Delivery(()), received)))
        structlog.reset_defaults()
    sizes = [len(line) for line in out.getvalue().splitlines()]
    assert len(sizes) == len(COMMON) == 20
    assert statistics.median(sizes) <= 1100, sizes


def _detail(told: tuple[int, str] | None) -> Diagnostic | None:
    return None if told is None else Diagnostic(*told)
