"""Rows as Azure Monitor exports them, and lines of schema 1: each is read, or said not to be."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from ringback import classify
from ringback.cli import main
from ringback.cli.reading import frames
from ringback.cli.reading.frames import TooLong, found_in
from ringback.cli.reading.line import Line, Reasons, Unread, Why

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LEG = "1f0e5c1a-0000-4000-8000-00000000000"
AT = "2026-01-15T09:30:00.123Z"
BUSY = (486, 560486)
BLOCKED = (403, 510403)


def dimensions(number: int = 1, pair: tuple[int, int] = BUSY, **more: Any) -> dict[str, str]:
    """What Application Insights keeps of a line: each value as text."""
    outcome = classify("Microsoft.Communication.CallDisconnected", *pair)
    return {
        "event": "call.outcome",
        "schema": "2",
        "event_type": outcome.event_type,
        "scope": "call",
        "code": str(outcome.code),
        "subcode": str(outcome.subcode),
        "cause": outcome.cause.value,
        "disposition": outcome.disposition.value,
        "retry_class": outcome.retry_class.value,
        "retry_action": outcome.retry_action.value,
        "category": outcome.category.value,
        "owner": outcome.owner.value,
        "match": outcome.match.value,
        "summary": outcome.summary,
        "advice": json.dumps(outcome.advice),
        "call_connection_id": f"{LEG}{number}",
        "occurred_at": "2026-01-15T09:29:59+00:00",
        **more,
    }


def rows(held: Any = lambda told: told, time: str = "timestamp") -> list[dict[str, Any]]:
    """Two outcomes and a line of the app's between them."""
    of_app = {"code.function": "order", "outcome": "paid, and\nsent"}
    text = 'call.outcome event_type=Microsoft.Communication.CallDisconnected summary="The person'
    return [
        {time: AT, "message": text, "severityLevel": 1, "customDimensions": held(dimensions(1))},
        {time: AT, "message": 'Paid, "twice"\nand sent', "severityLevel": 1, "customDimensions": held(of_app)},
        {time: AT, "message": text, "severityLevel": 2, "customDimensions": held(dimensions(2, BLOCKED))},
    ]


def tables(several: Sequence[dict[str, Any]], *, old: bool = False) -> dict[str, Any]:
    names = list(several[0])
    values = [[row[name] for name in names] for row in several]
    if old:
        return {"Tables": [{"TableName": "T", "Columns": [{"ColumnName": name} for name in names], "Rows": values}]}
    columns = [{"name": name, "type": "string"} for name in names]
    return {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": values}]}


def as_csv(several: Iterable[dict[str, Any]], *, separator: str = ",", mark: str = "", quoted: bool = True) -> str:
    out = io.StringIO()
    several = list(several)
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(out, list(several[0]), delimiter=separator, lineterminator="\r\n", quoting=quoting)
    writer.writeheader()
    writer.writerows(several)
    return mark + out.getvalue()


def portal(time: str = "1/15/2026, 9:30:00.123 AM") -> list[dict[str, Any]]:
    return [row | {"timestamp [UTC]": time} for row in rows(json.dumps, "timestamp [UTC]")]


def projected(*, json_numbers: bool = False) -> list[dict[str, Any]]:
    """What a query makes of it: columns of one's own choice."""
    keys = ("event_type", "scope", "code", "subcode", "cause", "disposition", "call_connection_id")
    each = [{key: held[key] for key in keys} for held in (dimensions(1), dimensions(2, BLOCKED))]
    if json_numbers:
        each = [row | {"code": int(row["code"]), "subcode": int(row["subcode"])} for row in each]
    return [{"timestamp": AT, **row} for row in each]


LOG_S = [
    {"TimeGenerated": AT, "ContainerAppName_s": "calls", "Log_s": json.dumps(held)}
    for held in (dimensions(1), {"event": "order", "outcome": "paid"}, dimensions(2, BLOCKED))
]

EXPORTS = {
    "array, object": json.dumps(rows()),
    "array, text": json.dumps(rows(json.dumps)),
    "array over lines": json.dumps(rows(json.dumps), indent=2),
    "array, a row a line": "[\n" + ",\n".join(map(json.dumps, rows())) + "\n]\n",
    "rows a line": "\n".join(map(json.dumps, rows())),
    "tables": json.dumps(tables(rows(json.dumps))),
    "tables over lines": json.dumps(tables(rows(json.dumps)), indent=4),
    "tables of version 1": json.dumps(tables(rows(json.dumps), old=True)),
    "container's lines": json.dumps(LOG_S),
    "container's lines in CSV": as_csv(LOG_S),
    "az containerapp logs show": "\n".join(json.dumps({"TimeStamp": AT, "Log": f"F {row['Log_s']}"}) for row in LOG_S),
    "journalctl": "\n".join(json.dumps({"timestamp": AT, "_PID": "7", "MESSAGE": row["Log_s"]}) for row in LOG_S),
    "CSV": as_csv(portal()),
    "CSV of a spreadsheet": as_csv(portal(), separator=";", mark="\ufeff", quoted=False),
    "CSV after a blank line": "\n" + as_csv(rows(json.dumps), separator="\t"),
    "CSV of a query": as_csv(projected()),
    "rows of a query": "\n".join(map(json.dumps, projected())),
    "query": json.dumps(tables(projected(json_numbers=True))),
}


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS)
def test_every_export_is_read(export: str) -> None:
    """The same two outcomes, and the app's own row is none."""
    found = list(found_in([export.encode()]))
    lines = [each for each in found if isinstance(each, Line)]
    assert [
        (line.event, line.code, line.subcode, line.cause, line.disposition, line.scope, line.ending) for line in lines
    ] == [
        ("call.outcome", 486, 560486, "busy", "retryable", "call", f"call:{LEG}1"),
        ("call.outcome", 403, 510403, "blocked", "terminal", "call", f"call:{LEG}2"),
    ]
    assert all(line.timestamp in (AT, "2026-01-15T09:30:00.123000+00:00") for line in lines)
    # What begins and ends an array of a row a line is no row.
    assert [each for each in found if isinstance(each, Unread) and each.raw not in (b"[", b"]")] == []


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("length", [1, 3, 10_000])
@pytest.mark.parametrize("export", ["rows a line", "array over lines", "CSV"])
def test_what_powershell_wrote_is_read(export: str, length: int, codec: str) -> None:
    """Windows PowerShell writes UTF-16 where a command's output goes into a file; in whatever pieces it is read."""
    content = ("\ufeff" + EXPORTS[export]).encode(codec)
    found = found_in(content[at : at + length] for at in range(0, len(content), length))
    assert [line.cause for line in found if isinstance(line, Line)] == ["busy", "blocked"]


@pytest.mark.parametrize(
    ("time", "read"),
    [
        ("1/15/2026, 9:30:00 PM", "2026-01-15T21:30:00+00:00"),
        ("12/31/2026, 12:00:00.5 AM", "2026-12-31T00:00:00.500000+00:00"),
        ("15.1.2026, 09:30:00", "15.1.2026, 09:30:00"),
    ],
)
def test_the_portals_times(time: str, read: str) -> None:
    """In English as the portal writes it; another language's stays, for nobody knows its order of day and month."""
    lines = [each for each in found_in([as_csv(portal(time)).encode()]) if isinstance(each, Line)]
    assert [line.timestamp for line in lines] == [read, read]


def schema_1(**more: Any) -> dict[str, Any]:
    told = classify("Microsoft.Communication.CallDisconnected", *BUSY, sip=(486, "Busy Here"), q850=17).to_dict()
    return {"event": "call.outcome"} | told | {"outcome_id": f"call:{LEG}1", "call_connection_id": f"{LEG}1"} | more


TEXT_1 = (
    "call.outcome event_type=Microsoft.Communication.CallDisconnected code=486 subcode=560486 cause=busy "
    f'disposition=retryable retry_class=later owner=callee match=pair summary="Busy." call_connection_id={LEG}1'
)
SCHEMA_1 = {
    "JSON": json.dumps(schema_1()),
    "prefixed": f"app-1  | {json.dumps(schema_1())}",
    "docker": json.dumps({"log": json.dumps(schema_1()) + "\n", "stream": "stderr", "time": AT}),
    "json-logger": json.dumps({"message": TEXT_1, "ringback": schema_1()}),
    "Azure": json.dumps([{"message": TEXT_1, "customDimensions": {"ringback": repr(schema_1())}}]),
    "Azure as text": json.dumps([{"message": TEXT_1, "customDimensions": json.dumps({"ringback": repr(schema_1())})}]),
    "console": "2026-01-15T09:30:00Z [info ] call.outcome [ringback] "
    + " ".join(f"{key}={value!r}" for key, value in schema_1().items()),
    "text": f"INFO:ringback:{TEXT_1}",
}


@pytest.mark.parametrize("log", SCHEMA_1.values(), ids=SCHEMA_1)
def test_schema_1_is_read(log: str) -> None:
    """Nested, as a repr, and as text, which left the scope out."""
    (line,) = found_in([log.encode()])
    assert isinstance(line, Line)
    assert (line.event, line.cause, line.scope, line.ending) == ("call.outcome", "busy", "call", f"call:{LEG}1")
    event = line.to_event()
    assert event is not None
    assert event.result is not None
    sip, q850 = event.result.sip, event.result.q850
    whole = not log.startswith("INFO")
    assert (sip is not None and sip.code == 486, q850 is not None and q850.code == 17) == (whole, whole)
    assert line.schema == whole


NAMED = b'{"event": "call.outcome", '


@pytest.mark.parametrize(
    ("content", "why", "place"),
    [
        (b"Started.", Why.NO_LINE, (1, "line")),
        (b'{}\n{"a": "outcome', Why.BROKEN, (2, "line")),
        (b'{"outcome": "\xff', Why.BROKEN, (1, "line")),
        (b"outcome \xff", Why.NO_LINE, (1, "line")),
        (b"delivery.elements_rejected count=1 faults=\"{'index': 1, 'reason': 'no type'}\"", Why.NO_LINE, (1, "line")),
        (b'{ "outcome": ', Why.BROKEN, (1, "line")),
        (b'"outcome"', Why.NO_LINE, (1, "line")),
        (NAMED + b'"cause": "busy", "code": [1]}', Why.WRONG_TYPE, (1, "line")),
        (NAMED + b'"cause": "busy", "disposition": "terminal", "schema": 3}', Why.NEWER, (1, "line")),
        (NAMED + b'"code": 486, "sch": []}', Why.CUT, (1, "line"))
        if False
        else (b"call.outcome code=486", Why.CUT, (1, "line")),
        (b"call.outcome cause=busy cause=declined", Why.TWICE, (1, "line")),
        (
            b'call.outcome event_type=x cause=busy operation_context="disposition=termin\xe2\x80\xa6',
            Why.CUT,
            (1, "line"),
        ),
        (b"call.outcome event_type=x cause=busy disposition=term\xe2\x80\xa6", Why.CUT, (1, "line")),
        (b"call.outcome event_type=x cause=busy disposition=retryable hook=[ summary=]", Why.CUT, (1, "line")),
        (b"a,\rcustomDimensions\n", Why.NO_LINE, (1, "line")),
        (
            b'[\n{"a": 1},\n{"message": "disposition", "customDimensions": "{\\"event\\": \\"call.outcome\\""}\n,1]',
            Why.BROKEN,
            (2, "row"),
        ),
        (b'a,customDimensions\n1,"{""event"": ""call.outcome"', Why.BROKEN, (2, "line")),
        (b"a,message\n1,call.outcome", Why.CUT, (2, "line")),
        (b'a,message\n1,"' + b"x" * 140_000, Why.BROKEN, (2, "line")),
    ],
)
def test_what_cannot_be_read_has_a_reason(content: bytes, why: Why, place: tuple[int, str]) -> None:
    """And a place: a line of the file, or a row of what is one value."""
    (unread,) = [each for each in found_in([content]) if isinstance(each, Unread)]
    assert (unread.why, (unread.number, unread.unit)) == (why, place)


def test_a_lines_own_time_is_its_time() -> None:
    """Not that of the row which holds it: what collects lines may be late."""
    own = json.dumps(schema_1(timestamp=AT))
    (line,) = found_in([json.dumps({"log": own, "time": "2026-01-15T10:00:00Z"}).encode()])
    assert isinstance(line, Line)
    assert line.timestamp == AT


def test_reasons_are_counted() -> None:
    """By reason, the most frequent first, each with the place of its first."""
    reasons = Reasons()
    for number in (4, 7):
        reasons.add(Unread(Why.CUT, b"", number), "\x1b[1m+15550100001.log")
    reasons.add(Unread(Why.NO_LINE, b"", 5), "app.log")
    assert [reason.text for reason in reasons.ranked] == [
        "2 not read: an outcome without its cause or its disposition; the first is line 4 of \\x1b[1m[phone].log",
        "1 not read: no JSON object and no line of Ringback's; the first is line 5 of app.log",
    ]
    assert (reasons.count(), reasons.count(Why.CUT), reasons.count(Why.NEWER)) == (3, 2, 0)


@pytest.mark.parametrize(
    ("more", "ending", "has_event"),
    [
        ({"code": 486}, "call:x", True),
        ({"code": 486, "call_connection_id": None, "correlation_id": "y"}, "call:y", True),
        ({"event_type": "CallDisconnected", "call_connection_id": None, "event_id": "z"}, "event:z", True),
        ({"scope": "operation", "event_id": "z", "call_connection_id": None}, "event:z", False),
        ({"scope": "operation", "event_id": "z"}, "event:z:ajgojanjdkgkdlmo", False),
        ({"scope": "operation"}, None, False),
        ({"outcome_id": "event:a"}, "event:a", False),
    ],
)
def test_what_a_line_is_about(more: dict[str, Any], ending: str | None, has_event: bool) -> None:
    """Its ending is known by the ids that it has; a line of neither a type nor a code is of no event."""
    line = Line(**{"scope": "call", "call_connection_id": "x"} | more)
    assert (line.ending, line.to_event() is not None) == (ending, has_event)


def test_values_over_lines_have_a_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """They are read whole. The message says what to do."""
    monkeypatch.setattr(frames, "MOST", 100)
    file = tmp_path / "rows.json"
    file.write_text(EXPORTS["array over lines"])
    with pytest.raises(TooLong, match="longer than 100 bytes; write each JSON value on one line"):
        list(found_in([file.read_bytes()]))
    assert main(["stats", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"ringback stats: file '{file}': values over several lines are longer than 100 bytes; "
        "write each JSON value on one line\n"
    )


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS)
def test_stats_reads_them(export: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a file, as from a log."""
    file = tmp_path / "rows"
    file.write_text(export, encoding="utf-8", newline="")
    assert main(["stats", "--json", str(file)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["cause"]: row["count"] for row in told["causes"]} == {"busy": 1, "blocked": 1}
    assert told["first"] == "2026-01-15T09:30:00.123+00:00"


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS)
def test_explain_and_whatif_read_them(
    export: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same outcomes; against its own catalog nothing would have changed."""
    file = tmp_path / "rows"
    file.write_bytes(export.encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(export.encode())))
    assert main(["explain", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["code"], each["cause"]) for each in told] == [(486, "busy"), (403, "blocked")]
    assert main(["whatif", "--json", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"] == 2


def test_text_is_not_judged_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves out what a carrier said: explain says what the verdict was, whatif does not compare it."""
    file = tmp_path / "app.log"
    text = TEXT_1.replace("cause=busy", "cause=declined").replace("=later", "=never")
    file.write_text(f"INFO:ringback:{text}\n{TEXT_1}\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert main(["explain"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("486/560486  busy  retryable (later)") == 2
    assert captured.err == (
        "ringback explain: a line of text leaves out what the carrier said: its verdict was 'declined (never)'\n"
    )
    assert main(["whatif", str(file)]) == 0
    assert capsys.readouterr() == (
        "0 outcomes: 0 would have had another verdict, 0 another redial\n"
        "2 in text, which leaves out what the carrier said: not compared\n",
        "",
    )


def test_text_with_the_carrier_s_numbers_is_explained_with_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal stays one: the line of text ends with the SIP status and the Q.850 cause."""
    text = TEXT_1.replace("cause=busy", "cause=declined").replace(
        "retryable retry_class=later", "terminal retry_class=never"
    )
    line = f"INFO:ringback:{text} sip_code=486 q850_cause=21\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    assert main(["explain", "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert (told["cause"], told["retry_class"], told["q850"]) == ("declined", "never", {"code": 21, "message": None})
    assert captured.err == ""


def test_whatif_of_a_file_without_outcomes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is 1, as a change: nothing was compared."""
    file = tmp_path / "app.log"
    file.write_text("Started.\n")
    assert main(["whatif", str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1:] == [
        f"1 not read: no JSON object and no line of Ringback's; the first is line 1 of {file}"
    ]
    assert captured.err.startswith(f"ringback whatif: file '{file}' holds no outcome; ")
