"""``ringback stats``: what is counted, what is skipped, how it is shown, and that memory has bounds."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import classify
from ringback.cli import main
from ringback.cli._screen import Progress
from ringback.cli._stats import columns_in, page
from ringback.cli.reading.frames import found_in
from ringback.cli.reading.line import second_of
from ringback.cli.stats import tally
from ringback.cli.stats.tally import OTHERS, Tally
from ringback.cli.stats.timeline import Columns, Timeline

START = "2026-01-15T09:30:00Z"
BUSY = "The person called was on another call."


def line(event: str = "call.outcome", /, **fields: Any) -> bytes:
    return json.dumps({"timestamp": START, "level": "info", "event": event, **fields}).encode()


def outcome(number: int, code: int = 486, subcode: int = 560486, **fields: Any) -> bytes:
    return line(**(classify(None, code, subcode).to_dict() | {"outcome_id": f"call:{number}"} | fields))


def built(*lines: bytes, **options: Any) -> Any:
    counted = Tally(**options)
    counted.count(found_in([b"\n".join(lines)]), "app.log")
    return counted.summary()


LOG = (
    outcome(1),
    outcome(2, timestamp="2026-01-15T09:30:05.5Z"),
    outcome(2),
    outcome(3, 403, 510403, timestamp="2026-01-15T09:31:00+00:00"),
    outcome(4, 500, 8501, scope="operation", timestamp=None, occurred_at=None),
    line("delivery.rejected", status=400, reason="the body is empty"),
    line("callback.rejected", status=401, reason="token_expired", suppressed=4),
    line("hook.failed", outcome_id="call:1", hook="jobs.again", retry_in_seconds=4.5),
    line("hook.failed", outcome_id="call:1", hook="jobs.again", retry_in_seconds=None),
    line("redial.scheduled", outcome_id="call:1"),
    line("redial.placed", outcome_id="call:1"),
    line("redial.exhausted", outcome_id="call:2"),
    line("call.outcome_duplicate", outcome_id="call:2"),
    line("order.rejected", message={"not": "ours"}, reason="rejected"),
    line("request.done"),
    b"Traceback (most recent call last):",
    b"",
    b"  ",
)


def log(folder: Path, *lines: bytes) -> str:
    file = folder / "app.log"
    file.write_bytes(b"\n".join(lines))
    return str(file)


def test_a_log_adds_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints the whole summary, and the lines' counts add up to those that were read."""
    assert main(["stats", log(tmp_path, *LOG), "--json"]) == 0
    captured = capsys.readouterr()
    operation = classify(None, 500, 8501)
    blocked = classify(None, 403, 510403)
    assert captured.err == ""
    assert json.loads(captured.out) == {
        "lines": {"read": 16, "counted": 12, "others": 3, "no_json": 1, "unreadable": 0, "out_of_range": 0},
        "not_read": [
            {
                "why": "no JSON object and no line of Ringback's",
                "count": 1,
                "first": f"line 16 of {tmp_path / 'app.log'}",
            }
        ],
        "first": "2026-01-15T09:30:00+00:00",
        "last": "2026-01-15T09:31:00+00:00",
        "outcomes": 4,
        "repeated": 1,
        "bucket_seconds": 2,
        "buckets_from": "2026-01-15T09:30:00+00:00",
        "causes": [
            {
                "scope": "call",
                "cause": "busy",
                "disposition": "retryable",
                "count": 2,
                "share": 0.6667,
                "series": [1, 0, 1] + [0] * 28,
            },
            {
                "scope": "call",
                "cause": "blocked",
                "disposition": "terminal",
                "count": 1,
                "share": 0.3333,
                "series": [0] * 30 + [1],
            },
            {
                "scope": "operation",
                "cause": operation.cause,
                "disposition": operation.disposition,
                "count": 1,
                "share": 1.0,
                "series": [],
            },
        ],
        "pairs": [
            {
                "code": 486,
                "subcode": 560486,
                "scope": "call",
                "cause": "busy",
                "disposition": "retryable",
                "count": 2,
                "share": 0.5,
                "summary": BUSY,
            },
            {
                "code": 403,
                "subcode": 510403,
                "scope": "call",
                "cause": "blocked",
                "disposition": "terminal",
                "count": 1,
                "share": 0.25,
                "summary": blocked.summary,
            },
            {
                "code": 500,
                "subcode": 8501,
                "scope": "operation",
                "cause": operation.cause,
                "disposition": operation.disposition,
                "count": 1,
                "share": 0.25,
                "summary": operation.summary,
            },
        ],
        "different_pairs": 3,
        "deliveries_rejected": {"400": 1},
        "callbacks_rejected": {"token_expired": 5},
        "hooks_failed": {"jobs.again": 2},
        "hooks_given_up": 1,
        "redials": {"scheduled": 1, "placed": 1, "exhausted": 1, "canceled": 0, "unknown": 0},
    }


WIDE = """\
2 outcomes in 3 lines
from 2026-01-15T09:30:00+00:00 to 2026-01-15T09:30:02+00:00

Ends of calls: 2
  busy                 retryable           2  100.0%  █ █
  a column is 1 second, from 2026-01-15T09:30:00+00:00

Top codes: 1 of 1
  486/560486  busy  2  100.0%
    The person called was on another call.

Besides
  deliveries rejected: 0
  callbacks refused: 0
  hooks failed: 0
  redials: 0 scheduled, 0 placed, 0 exhausted, 0 canceled, 0 unknown

Not read: 1 line
  1  no JSON object and no line of Ringback's; the first is line 2 of {file}
"""


def test_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotated and packed files count as one log."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    packed = Path("app.log.1.gz")
    packed.write_bytes(gzip.compress(outcome(1) + b"\nnot JSON\n"))
    assert main(["stats", str(packed), log(tmp_path, outcome(2, timestamp="2026-01-15T09:30:02Z"))]) == 0
    assert capsys.readouterr() == (WIDE.format(file="app.log.1.gz"), "")


@pytest.mark.parametrize("width", [40, 55, 66, 80, 100])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_page(width: int, encoding: str) -> None:
    """Whatever the width; and an encoding without blocks gets other signs."""
    many = [line("hook.failed", outcome_id="x", hook=f"hook_{number}") for number in range(9)]
    odd = outcome(6, cause="x" * 70, summary="Beschäftigt", code=None, subcode=None)
    counted = Tally(since=0.0)
    found = [*LOG, *many, odd, b'{"event":"call.outcome","cause":"busy","code":[1]}']
    counted.count(found_in([b"\n".join(found)]), "app.log")
    shown = list(page(counted.summary(columns_in(width)), width, styled=False, encoding=encoding))
    assert max(map(len, shown)) <= width
    text = " ".join(" ".join(shown).split())
    assert text.encode(encoding).decode(encoding) == text
    assert ("█" in text, "@" in text) == ((True, False) if encoding == "utf-8" else (False, True))
    assert "2 more" in text
    assert "range of" in text
    assert "another type" in text
    assert "-/-" in text


def test_the_page_of_nothing_has_no_range_and_no_codes() -> None:
    """Where nothing was counted the page says so, and names no time."""
    shown = list(page(built(b"{}"), 80, styled=False, encoding="utf-8"))
    assert shown[0] == "0 outcomes in 1 line"
    assert not [each for each in shown if "from " in each or "Top codes" in each]


def test_colour_is_for_terminals() -> None:
    """Titles are bold and what may be tried again is green, else there is no escape."""
    plain = list(page(built(*LOG), 80, styled=False, encoding="utf-8"))
    styled = list(page(built(*LOG), 80, styled=True, encoding="utf-8"))
    assert styled[0] == f"\x1b[1m{plain[0]}\x1b[0m"
    assert any("\x1b[32mretryable\x1b[0m" in each for each in styled)
    assert not any("\x1b" in each for each in plain)


def test_an_empty_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page is printed, and 1 says that there is nothing in a file: it may be the wrong one."""
    whole, empty = log(tmp_path, outcome(1)), tmp_path / "empty.log"
    empty.write_bytes(b"")
    assert main(["stats", str(empty), whole]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "1 outcome in 1 line"
    assert captured.err == (
        f"ringback stats: file '{empty}' holds no outcome; give it a log with call.outcome lines (see "
        "https://ringback.github.io/ringback/stats.html for what is read), and see that your logging lets "
        "level info through\n"
    )
    assert main(["stats", str(empty), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcomes"] == 0


@pytest.mark.parametrize(
    ("options", "counted"),
    [
        (["--since", "2026-01-15T09:30:05Z"], (2, 1)),
        (["--until", "2026-01-15T11:30:05+02:00"], (1, 2)),
        (["--since", "2026-01-15 09:30:01", "--until", "2026-01-15T09:30:09"], (1, 2)),
        (["--since", "2026-01-16"], (0, 3)),
    ],
)
def test_a_range_of_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], counted: tuple[int, int]
) -> None:
    """From --since on and before --until; a time without an offset is UTC."""
    stamps = (START, "2026-01-15T09:30:05Z", "2026-01-15T09:30:09Z")
    lines = [outcome(number, timestamp=stamp) for number, stamp in enumerate(stamps)]
    assert main(["stats", log(tmp_path, *lines), "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["outcomes"], found["lines"]["out_of_range"]) == counted


def test_a_range_leaves_out_what_has_no_time() -> None:
    """Nobody knows whether it belongs."""
    found = built(outcome(1, timestamp=None), since=0.0)
    assert (found.outcomes, found.lines.out_of_range) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({"timestamp": "2026-01-15 09:30:00,250"}, "2026-01-15T09:30:00.250+00:00"),
        ({"timestamp": 1768469400}, "2026-01-15T09:30:00+00:00"),
        ({"timestamp": 1768469400500}, "2026-01-15T09:30:00.500+00:00"),
        ({"timestamp": None, "time": START}, "2026-01-15T09:30:00+00:00"),
        ({"timestamp": None, "ts": 1768469400.0}, "2026-01-15T09:30:00+00:00"),
        ({"timestamp": None, "@timestamp": START}, "2026-01-15T09:30:00+00:00"),
        ({"timestamp": None, "occurred_at": START}, "2026-01-15T09:30:00+00:00"),
        ({"timestamp": "soon", "occurred_at": START}, None),
        ({"timestamp": -5}, None),
        ({"timestamp": None, "occurred_at": None}, None),
    ],
)
def test_times_in_every_dress(fields: dict[str, Any], first: str | None) -> None:
    """ISO 8601 or seconds or milliseconds since 1970, under the names that logs give it."""
    assert built(outcome(1, **fields)).first == first


@pytest.mark.parametrize("key", ["msg", "message"])
def test_renamed_events_are_known(key: str) -> None:
    """structlog's EventRenamer moves the event to another key."""
    said = json.loads(outcome(1))
    said[key] = said.pop("event")
    assert built(json.dumps(said).encode()).outcomes == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"app-1  | " + outcome(1), (1, 0, 0, 0)),
        (b" " + outcome(1) + b"\r", (1, 0, 0, 0)),
        (b' {"event": "request.done"}\r', (0, 1, 0, 0)),
        (b'{"event": "call.outcome", "outcome_id": 7}', (0, 0, 0, 1)),
        (b'{"event": "ours.not", "outcome_id": 7}', (0, 1, 0, 0)),
        (b'{"outcome_id": "call:1"', (0, 0, 1, 0)),
        (b'"outcome_id"', (0, 0, 1, 0)),
        (b'{"outcome_id": "\xff"}', (0, 0, 1, 0)),
        (b'{"outcome_id":' + b"[" * 9999, (0, 0, 1, 0)),
        (b"[]", (0, 0, 1, 0)),
    ],
)
def test_every_line_is_of_one_kind(text: bytes, expected: tuple[int, ...]) -> None:
    """Counted, another's, no JSON object, or of a wrong type; never a fault."""
    lines = built(text).lines
    assert (lines.counted, lines.others, lines.no_json, lines.unreadable) == expected
    assert lines.read == 1


@given(st.lists(st.binary() | st.sampled_from(LOG) | st.binary().map(lambda tail: LOG[0][:200] + tail)))
def test_no_line_is_a_fault(lines: list[bytes]) -> None:
    """Any bytes: the kinds add up to what was read, and a page can be printed."""
    # After a first line that tells that it is a file of lines.
    found = built(b"{}", *lines)
    kinds = found.lines
    parts = kinds.counted + kinds.others + kinds.no_json + kinds.unreadable + kinds.out_of_range
    assert kinds.read == parts == 1 + sum(bool(each.strip()) for each in b"\n".join(lines).split(b"\n"))
    assert kinds.no_json + kinds.unreadable == sum(each.count for each in found.not_read)
    assert all(each.isprintable() for each in page(found, 60, styled=False, encoding="utf-8"))


def test_texts_are_fit_to_be_shown() -> None:
    """Nothing private, nothing that a terminal obeys, nothing long, nothing absent."""
    (row,) = built(outcome(1, cause="\x1b[2Jred", scope=None, disposition="y" * 999, summary="To +1 555 0100.")).causes
    assert (row.scope, row.cause, row.disposition) == ("-", "\\x1b[2Jred", "y" * 200)
    (pair,) = built(outcome(1, summary="Call +15550100 again.")).pairs
    assert pair.summary == "Call [phone] again."


def test_duplicates_are_known_within_bounds() -> None:
    """The last ids are remembered: as many as said, at most twice as many; each counts once meanwhile."""
    ids = [1, 2, 3, 4, 3, 2, 1, 5, 6, 7, 8, 9, 1]
    found = built(*(outcome(each) for each in ids), remembered=4)
    assert (found.outcomes, found.repeated) == (10, 3)
    assert built(outcome(1, outcome_id=None), outcome(1, outcome_id=None)).outcomes == 2


def test_different_things_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bounds all count as others, so that no log fills the memory."""
    monkeypatch.setattr(tally, "MOST_PAIRS", 2)
    monkeypatch.setattr(tally, "MOST_NAMES", 2)
    found = built(*(outcome(number, subcode=number) for number in range(5)))
    assert [(each.code, each.subcode, each.count) for each in found.pairs] == [
        (None, None, 3),
        (486, 0, 1),
        (486, 1, 1),
    ]
    found = built(*(line("callback.rejected", reason=f"r{number}") for number in range(4)), line("delivery.rejected"))
    assert found.callbacks_rejected == {OTHERS: 2, "r0": 1, "r1": 1}
    assert found.deliveries_rejected == {OTHERS: 1}


def test_lines_longer_than_what_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line without end loses its middle, and those around it are whole."""
    file = log(tmp_path, outcome(1), b"x" * 3_000_000, outcome(2))
    assert main(["stats", file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["outcomes"], found["lines"]["no_json"]) == (2, 1)


def test_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """- reads it; if it is closed, that is said."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(outcome(1))))
    assert main(["stats", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"] == 1
    monkeypatch.setattr("sys.stdin", None)
    assert main(["stats", "-"]) == 2
    assert capsys.readouterr() == ("", "ringback stats: standard input is closed; name a file\n")


def test_files_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says which and why, exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(outcome(1) * 9)[:-20])
    (tmp_path / "text.gz").write_bytes(b"text")
    for name, why in {
        "none.log": "No such file or directory",
        "cut.gz": "Compressed file ended before the end-of-stream marker was reached",
        "text.gz": "Not a gzipped file (b'te')",
    }.items():
        assert main(["stats", name]) == 2
        assert capsys.readouterr() == ("", f"ringback stats: file {name!r} cannot be read to its end ({why})\n")


def test_a_time_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    """The message has an example."""
    assert main(["stats", "x", "--since", "today"]) == 2
    message = "argument --since: 'today' is no time; write for example 2026-01-15T09:30:00Z"
    assert capsys.readouterr().err == f"ringback stats: {message}; see ringback stats --help\n"
    assert second_of("1969-12-31T23:59:59Z") is None
    assert second_of("9999-12-31T23:59:59Z") is None


def test_buckets_widen() -> None:
    """More buckets than are kept become fewer and wider; nothing is lost, and every width is one that has a name."""
    line = Timeline[str](most=4)
    for second in range(0, 100, 3):
        line.add("x", second)
    line.add("y", 1.5)
    assert line.columns(9) == Columns(60, 0, {"x": [20, 14], "y": [1, 0]})
    assert Timeline[str]().columns(9) == Columns(1, 0, {})


@given(st.lists(st.floats(0, 253370764799), min_size=1, max_size=60), st.integers(1, 50), st.integers(1, 9))
def test_no_time_is_lost(times: list[float], most: int, kept: int) -> None:
    """Any times in any order, in few columns, from few buckets."""
    line = Timeline[str](kept)
    for each in times:
        line.add("x", each)
    drawn = line.columns(most)
    assert sum(drawn.counts["x"]) == len(times)
    assert len(drawn.counts["x"]) <= most
    assert drawn.start <= min(times)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar() -> None:
    """After half a second, ten times a second, and gone in the end."""
    times = iter([0.0, 0.1, 0.6, 0.65, 0.8])
    screen = Terminal()
    progress = Progress(200, screen, lambda: next(times))
    for done in (10, 50, 60, 300):
        progress.at(done, done * 1000)
    progress.end()
    progress.end()
    first, last = "[######..................]  25%  50,000 lines", f"[{'#' * 24}] 100%  300,000 lines"
    assert screen.getvalue() == f"\r{first}\r{last}\r{' ' * len(last)}\r"


def test_the_bar_without_a_size_or_a_terminal() -> None:
    """Lines are counted where nobody knows how many there are; nothing is written to a file."""
    times = iter([0.0, 1.0])
    screen = Terminal()
    Progress(0, screen, lambda: next(times)).at(5, 7)
    assert screen.getvalue() == "\r7 lines"
    file = io.StringIO()
    quiet = Progress(9, file, lambda: 0.0)
    quiet.at(9, 9)
    quiet.end()
    assert file.getvalue() == ""
