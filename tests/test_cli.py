"""The command line: each command, its whole output, its exit codes and its messages."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import ringback
from ringback import Catalog, classify
from ringback.cli import main
from ringback.demo import POSTINGS

EXAMPLE = "write for example: ringback explain 486 560486"

OVERRIDES = """
[[entry]]
code = 486
subcode = 560486
retry = "now"
summary = "Besetzt: der Müller spricht."
advice = ["Call a | b at once.", "Then <wait>."]
note = "First line.\\nSecond line."

[[entry]]
code = 299
subcode = 5
cause = "limit_reached"
retry = "later"
summary = "A code of our own."
"""

OWN_ROW = """
[[entry]]
code = 499
subcode = 4242
events = ["AnswerFailed"]
cause = "declined"
category = "ExpectedError"
retry = "never"
owner = "callee"
summary = "The person called sent the call away with our own app."
advice = ["Write it down in the list of calls that are over.", "Do not call this person again by machine."]
note = "One document says this, another one says that, and a third says nothing."
"""

PAGE = """\
499/4242  declined  terminal (never)
The person called sent the call away with our
own app.

  event       AnswerFailed, the end of a call
  carrier     SIP 603, Q.850 21
  category    ExpectedError (inferred)
  owner       callee: the person or device
              called
  confidence  high
  matched by  exact: event, code and subcode
  read as     AnswerFailed

What to do
  1. Write it down in the list of calls that
     are over.
  2. Do not call this person again by machine.

Where the documents disagree
  One document says this, another one says
  that, and a third says nothing.

Sources
  - override (local), o.toml: entry 1 (event
    AnswerFailed, code 499, subcode 4242)

https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/voice-video-calling/\
troubleshooting-codes
"""


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    file = tmp_path / "ours.toml"
    file.write_text(OVERRIDES, "utf-8")
    return file


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["explain", "--json", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def verdict(outcome: dict[str, Any]) -> dict[str, Any]:
    """All of an outcome but the code as given, which is a part of its id."""
    return {name: value for name, value in outcome.items() if name not in ("code", "outcome_id")}


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """The key and value block of a page."""
    assert main(["explain", *arguments]) == 0
    block = capsys.readouterr().out.split("\n\n")[1]
    return {line[:14].strip(): line[14:] for line in block.splitlines()}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of bad input, which is all that is printed."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


# explain


def test_the_page_is_laid_out_within_the_terminals_width(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headline, summary, facts, advice, note, sources, and the link, which alone is never broken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "46")
    (tmp_path / "o.toml").write_text(OWN_ROW, "utf-8")
    arguments = ["499", "4242", "--event", "Microsoft.Communication.AnswerCallFailed", "--sip", "603", "--q850", "21"]
    assert main(["explain", "--overrides", "o.toml", *arguments]) == 0
    assert capsys.readouterr().out == PAGE


@pytest.mark.parametrize("columns", ["5", "40", "53", "80", "300"])
def test_no_line_but_the_link_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """A page is at least 40 and at most 100 columns wide, and else as wide as the terminal."""
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["explain", "403", "510403"]) == 0
    *lines, link = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= max(40, min(100, int(columns)))
    assert link == classify(None, 403, 510403).documentation


FACTS = {
    "a pair": (
        ["486", "560486"],
        {
            "event": "any: read as the end of a call",
            "category": "Success (documented)",
            "owner": "callee: the person or device called",
            "confidence": "high",
            "matched by": "pair: code and subcode, whatever the event",
        },
    ),
    "another spelling of a pair": (
        ["497", "560487"],
        {
            "event": "any: read as the end of a call",
            "category": "Success (documented)",
            "owner": "nobody: it ended as intended",
            "confidence": "medium",
            "matched by": "pair: code and subcode, whatever the event",
            "read as": "487/560487",
        },
    ),
    "refined by the carrier": (
        ["500", "560503", "--sip", "486", "--q850", "17", "--event", "CallDisconnected"],
        {
            "event": "CallDisconnected, the end of a call",
            "carrier": "SIP 486, Q.850 17",
            "category": "Success (inferred)",
            "owner": "callee: the person or device called",
            "confidence": "high",
            "matched by": "pair: code and subcode, whatever the event",
            "refined by": "q850: the carrier's Q.850 cause, which says more than the subcode",
        },
    ),
    "an operation": (
        ["400", "8535", "--event", "playfailed"],
        {
            "event": "PlayFailed, an operation within a call",
            "category": "UnexpectedClientError (inferred)",
            "owner": "app: whoever develops your app",
            "confidence": "high",
            "matched by": "exact: event, code and subcode",
        },
    ),
    "a family of subcodes": (
        ["404", "549123"],
        {
            "event": "any: read as the end of a call",
            "category": "UnexpectedServerError (inferred)",
            "owner": "carrier: the carrier or the SBC's operator",
            "confidence": "low",
            "matched by": "sip_subcode: the family 549xxx of the subcode",
        },
    ),
    "a range": (
        ["499"],
        {
            "event": "any: read as the end of a call",
            "category": "UnexpectedClientError (inferred)",
            "owner": "app: whoever develops your app",
            "confidence": "low",
            "matched by": "range: only the range 400-499 of the code; neither code nor subcode is listed",
        },
    ),
    "a code alone": (
        ["403"],
        {
            "event": "any: read as the end of a call",
            "category": "UnexpectedClientError (inferred)",
            "owner": "admin: whoever runs the resource, the numbers or the SBC",
            "confidence": "high",
            "matched by": "code: the code alone",
        },
    ),
    "a code with a subcode that is not listed": (
        ["200", "99", "--event", "CreateCallFailed"],
        {
            "event": "CreateCallFailed, the end of a call",
            "category": "Unknown (inferred)",
            "owner": "app: whoever develops your app",
            "confidence": "low",
            "matched by": "code: the code alone; the subcode is not listed",
            "refined by": "event: the event's name, which outranks the code",
        },
    ),
    "nothing": (
        ["999", "123"],
        {
            "event": "any: read as the end of a call",
            "category": "Unknown (inferred)",
            "owner": "app: whoever develops your app",
            "confidence": "low",
            "matched by": "none: no row knows the code or the subcode",
        },
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), FACTS.values(), ids=FACTS.keys())
def test_the_page_says_in_words_how_the_verdict_was_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: dict[str, str]
) -> None:
    """An unknown pair is not an error: the page shows the fallback, and the rung of the ladder it rests on."""
    monkeypatch.setenv("COLUMNS", "100")
    assert facts(capsys, *arguments) == expected


MUST_HOLD = {
    "487/10004 AnswerFailed": (
        ["487", "10004", "--event", "AnswerFailed"],
        {
            "cause": "no_answer",
            "disposition": "retryable",
            "retry_class": "later",
            "category": "ExpectedError",
            "match": "exact",
        },
    ),
    "486/560486": (["486", "560486"], {"cause": "busy", "disposition": "retryable", "category": "Success"}),
    "603/0": (["603", "0"], {"cause": "declined", "disposition": "terminal", "retry_class": "never"}),
    "0/560000": (["0", "560000"], {"cause": "hung_up", "disposition": "terminal", "code": 0}),
    "200/560000": (["200", "560000"], {"cause": "hung_up", "disposition": "terminal", "code": 200}),
    "497/560487": (["497", "560487"], {"cause": "canceled", "retry_class": "none", "match": "pair"}),
    "404/8522": (["404", "8522"], {"cause": "not_found"}),
    "405/8522": (["405", "8522"], {"cause": "misconfigured"}),
    "429/10110": (["429", "10110"], {"cause": "limit_reached"}),
    "500/560503 SIP 486 Q.850 17": (
        ["--sip", "486", "--q850", "17", "500", "560503"],
        {"cause": "busy", "disposition": "retryable", "owner": "callee", "refined_by": "q850"},
    ),
    "999/123": (["999", "123"], {"match": "none", "category": "Unknown", "disposition": "terminal"}),
    "200/5002 CreateCallFailed": (
        ["--event", "CreateCallFailed", "200", "5002"],
        {"cause": "declined", "category": "ExpectedError", "disposition": "terminal", "retry_class": "never"},
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), MUST_HOLD.values(), ids=MUST_HOLD.keys())
def test_the_verdicts_that_must_hold(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: dict[str, object]
) -> None:
    """What Ringback promises of the best known codes, as the command tells it."""
    outcome = explained(capsys, *arguments)
    assert {name: outcome[name] for name in expected} == expected


def test_0_and_200_are_one_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """The tables' code 0 is the wire's 200: only the code as given differs."""
    assert verdict(explained(capsys, "0", "560000")) == verdict(explained(capsys, "200", "560000"))


def test_497_is_read_as_487(capsys: pytest.CaptureFixture[str]) -> None:
    """An alias answers with its entry: only the code as given differs."""
    assert verdict(explained(capsys, "497", "560487")) == verdict(explained(capsys, "487", "560487"))


@pytest.mark.parametrize(
    ("arguments", "event", "numbers", "details"),
    [
        (["487", "10004", "--event", "AnswerFailed"], "AnswerFailed", (487, 10004), {}),
        (["500", "560503", "--sip", "486", "--q850", "17"], None, (500, 560503), {"sip": 486, "q850": 17}),
        (["-1", "-2147483647"], None, (-1, -2147483647), {}),
        (["+486"], None, (486, None), {}),
        (["--sip", "-5", "486", "-7"], None, (486, -7), {"sip": -5}),
        (["--", "-1"], None, (-1, None), {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_json_is_the_outcome(
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    event: str | None,
    numbers: tuple[int, int | None],
    details: dict[str, int],
) -> None:
    """explain --json prints to_dict() of the outcome and nothing else; negative numbers are numbers."""
    assert main(["explain", "--json", *arguments]) == 0
    expected = classify(event, *numbers, **details).to_dict()  # type: ignore[arg-type]
    assert capsys.readouterr().out == json.dumps(expected, indent=2) + "\n"


def test_overrides_change_what_is_explained(capsys: pytest.CaptureFixture[str], overrides: Path) -> None:
    """With --overrides the answer is that of the overridden catalog."""
    catalog = Catalog.default().with_overrides(overrides)
    expected = classify(None, 486, 560486, catalog=catalog).to_dict()
    assert expected["retry_class"] == "now"
    assert explained(capsys, "--overrides", str(overrides), "486", "560486") == expected


@pytest.mark.parametrize(
    ("event", "hint"),
    [("CreateCalFailed", "; did you mean 'CreateCallFailed'?"), ("Zzz", "")],
    ids=["a slip of the pen", "unlike any"],
)
def test_an_unknown_event_is_explained_with_a_warning(
    capsys: pytest.CaptureFixture[str], event: str, hint: str
) -> None:
    """An unknown event is no error, since the service adds events; standard error says how it is read."""
    assert main(["explain", "--json", "--event", event, "486", "560486"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == classify(event, 486, 560486).to_dict()
    assert captured.err == f"ringback explain: event {event!r} is not known, so it is read as an operation{hint}\n"


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("explain abc", f"ringback explain: code 'abc' is not a whole number; {EXAMPLE}"),
        ("explain 486 4x", f"ringback explain: subcode '4x' is not a whole number; {EXAMPLE}"),
        ("explain 4.5", f"ringback explain: code '4.5' is not a whole number; {EXAMPLE}"),
        ("explain 4_8", f"ringback explain: code '4_8' is not a whole number; {EXAMPLE}"),
        (
            "explain 486 --sip x",
            "ringback explain: sip 'x' is not a whole number; write for example: ringback explain --sip 17 486 560486",
        ),
        (
            "explain 486 --q850 9999999999",
            "ringback explain: q850 '9999999999' is larger than any code, which is at most 2147483647; "
            "write for example: ringback explain --q850 17 486 560486",
        ),
        (
            f"explain -{'9' * 5000}",
            "ringback explain: code '-9999999999999999999' is larger than any code, which is at most 2147483647; "
            f"{EXAMPLE}",
        ),
        (
            "explain",
            "ringback explain: the following arguments are required: CODE; see ringback explain --help",
        ),
        ("explain 1 2 3", "ringback: unrecognized arguments: 3; see ringback --help"),
        (
            "explain --overrides /nowhere/o.toml 486",
            "ringback explain: /nowhere/o.toml: cannot be read (No such file or directory); name an existing TOML file",
        ),
        (
            "catalog --output /nowhere/c.json",
            "ringback catalog: output '/nowhere/c.json' cannot be written (No such file or directory); "
            "name a file in an existing folder",
        ),
        ("", "ringback: no command given; write for example: ringback explain 486 560486, or see ringback --help"),
    ],
    ids=lambda value: value[:40],
)
def test_bad_input_is_refused_with_the_remedy(capsys: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    """Exit code 2, nothing on standard output, and one line that names the value, the rule and the remedy."""
    assert refused(capsys, *arguments.split()) == f"{message}\n"


@pytest.mark.parametrize("arguments", ["expl", "catalog --format xml", "explain --jso 486"])
def test_what_no_command_knows_is_refused(capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    """A command, format or option that does not exist is bad input, and the message leads to the help."""
    prog = "ringback catalog" if "xml" in arguments else "ringback"
    message = refused(capsys, *arguments.split())
    assert message.startswith(f"{prog}: ")
    assert message.endswith(f"; see {prog} --help\n")


# catalog


def test_json_holds_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """The export is the version and to_dict() of every entry, and JSON is the default."""
    assert main(["catalog"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported == {
        "version": version("ringback"),
        "entries": [entry.to_dict() for entry in Catalog.default().entries],
    }


def test_csv_reads_back_to_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """One line is one entry; lists are joined by bars, what is absent is empty, and no line ends in a return."""
    assert main(["catalog", "--format", "csv"]) == 0
    text = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = [entry.to_dict() for entry in Catalog.default().entries]
    assert [
        {name: row[name].split(" | ") if row[name] else [] for name in ("events", "advice", "sources")} for row in rows
    ] == [{name: each[name] for name in ("events", "advice", "sources")} for each in expected]
    scalars = [name for name in expected[0] if name not in ("events", "advice", "sources")]
    assert [[row[name] for name in scalars] for row in rows] == [
        ["" if each[name] is None else str(each[name]) for name in scalars] for each in expected
    ]
    assert "\r" not in text
    assert len(text.splitlines()) == len(expected) + 1


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def tables(text: str) -> dict[str, list[dict[str, str]]]:
    """Markdown tables by their headings, as rows by column."""
    found: dict[str, list[dict[str, str]]] = {}
    for part in text.split("\n## ")[1:]:
        heading, _, table = part.partition("\n\n")
        head, rule, *rows = table.strip().splitlines()
        assert set(rule) == {"|", "-"}
        found[heading] = [dict(zip(cells(head), cells(row), strict=True)) for row in rows]
    return found


def test_markdown_has_one_table_for_each_kind_of_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Every entry is a row in the table of its kind, with its key, verdict, summary and advice."""
    assert main(["catalog", "--format", "markdown"]) == 0
    found = tables(capsys.readouterr().out)
    assert list(found) == [
        "A code and a subcode",
        "Families of subcodes",
        "Generic subcodes, whatever the code",
        "A code alone",
        "A range of codes",
        "A carrier's SIP status",
        "A carrier's Q.850 cause",
        "When no key answers",
    ]
    names = ("code", "subcode", "sip", "q850", "special", "cause", "retry_class", "summary")
    rows = sorted([row.get(name, "") for name in names] for table in found.values() for row in table)
    entries = [entry.to_dict() for entry in Catalog.default().entries]
    assert rows == sorted(["" if each[name] is None else str(each[name]) for name in names] for each in entries)


def test_markdown_escapes_what_would_break_a_table(capsys: pytest.CaptureFixture[str], overrides: Path) -> None:
    """Bars and angle brackets of a text stay text, and each step of the advice has its own line in the cell."""
    assert main(["catalog", "--format", "markdown", "--overrides", str(overrides)]) == 0
    rows = tables(capsys.readouterr().out)["A code and a subcode"]
    advice = next(row["advice"] for row in rows if (row["code"], row["subcode"]) == ("486", "560486"))
    assert advice == "Call a | b at once.<br>Then &lt;wait>."


def test_a_row_of_csv_is_one_line_whatever_its_text(capsys: pytest.CaptureFixture[str], overrides: Path) -> None:
    """A line break within a text becomes a space, so that tools which read by line see one entry a line."""
    assert main(["catalog", "--format", "csv", "--overrides", str(overrides)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["note"] for row in rows if row["subcode"] == "560486" and row["code"] == "486"] == [
        "First line. Second line."
    ]


@pytest.mark.parametrize("kind", ["json", "csv", "markdown"])
def test_output_is_written_to_a_file_as_it_would_be_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, overrides: Path, kind: str
) -> None:
    """--output writes the same text, UTF-8 with plain line ends, and prints nothing."""
    file = tmp_path / "catalog"
    arguments = ["catalog", "--format", kind, "--overrides", str(overrides)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert main([*arguments, "--output", str(file)]) == 0
    assert capsys.readouterr() == ("", "")
    assert file.read_bytes() == printed.encode()


# The terminal


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, and can only show ASCII."""

    def __init__(self) -> None:
        self.shown = io.BytesIO()
        super().__init__(self.shown, "ascii", newline="\n")

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("no_color", "headline"),
    [
        ("", "\x1b[1;32m486/560486  busy  retryable (now)\x1b[0m"),
        ("1", "486/560486  busy  retryable (now)"),
    ],
    ids=["styled", "NO_COLOR"],
)
def test_only_a_terminal_gets_style_and_it_never_gets_what_it_cannot_show(
    monkeypatch: pytest.MonkeyPatch, overrides: Path, no_color: str, headline: str
) -> None:
    """Style needs a terminal and no NO_COLOR; a letter that the terminal lacks is escaped, not fatal."""
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = Terminal()
    with redirect_stdout(terminal):
        assert main(["explain", "486", "560486", "--overrides", str(overrides)]) == 0
    lines = terminal.shown.getvalue().decode("ascii").splitlines()
    assert lines[:2] == [headline, "Besetzt: der M\\xfcller spricht."]


def test_a_terminal_verdict_is_bold_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Green is for calls worth another try alone."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    with redirect_stdout(terminal):
        assert main(["explain", "603", "0"]) == 0
    headline = terminal.shown.getvalue().decode("ascii").splitlines()[0]
    assert headline == "\x1b[1m603/0  declined  terminal (never)\x1b[0m"


def test_a_full_disk_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An output that cannot be written exits with 1 and the reason, not with a traceback."""
    with open("/dev/full", "w") as full, redirect_stdout(full):  # noqa: PTH123 - a device
        assert main(["catalog"]) == 1
    assert capsys.readouterr().err == "ringback: the output cannot be written (No space left on device)\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    """Standard output closed early, as by head, ends the command in silence."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as closed, redirect_stdout(closed):  # noqa: PTH123 - a descriptor, not a path
        assert main(["catalog"]) == 0


def test_head_sees_the_first_line_and_nobody_a_traceback() -> None:
    """The same with a real pipe: ringback catalog | head -1."""
    command = [sys.executable, "-m", "ringback", "catalog", "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"events,scope,code,subcode,")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_an_interrupt_ends_the_command_without_a_traceback() -> None:
    """Ctrl-C is 130, as from any command of a shell."""

    class Interrupted(io.StringIO):
        def write(self, _: str) -> int:
            raise KeyboardInterrupt

    with redirect_stdout(Interrupted()):
        assert main(["explain", "486"]) == 130


# Help and version


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the name and the version of the distribution."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ringback {version('ringback')}\n"


def test_the_package_runs_as_a_module(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """python -m ringback is the command, and its exit code that of the process."""
    assert importlib.import_module("ringback.__main__").main is main
    monkeypatch.setattr(sys, "argv", ["ringback", "--version"])
    with pytest.raises(SystemExit) as done:
        # By its path: pytest rewrites the modules of a distribution that has a plugin, and cannot run one by name.
        runpy.run_path(str(Path(ringback.__file__).with_name("__main__.py")), run_name="__main__")
    assert done.value.code == 0
    assert capsys.readouterr().out == f"ringback {version('ringback')}\n"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ([], ["explain", "catalog", "demo", "--version", "example: ringback explain 486 560486"]),
        (["explain"], ["CODE", "SUBCODE", "--event E", "--sip N", "--q850 N", "--overrides FILE", "--json"]),
        (["catalog"], ["--format {json,markdown,csv,html}", "--output FILE", "--out DIR", "--overrides FILE", "diff"]),
        (["demo"], ["--app FILE", "--json-logs"]),
        (["worker"], ["MODULE:ROUTER", "--store URL", "--concurrency N", "--drain SECONDS"]),
        (["dead"], ["list", "show", "replay", "discard"]),
        (["dead", "list"], ["--store URL", "--json", "--limit N"]),
        (["dead", "replay"], ["KEY", "--all", "--store URL", "--json"]),
        (["redials", "cancel"], ["CONTACT", "--router MODULE:ROUTER", "--store URL"]),
        (["store"], ["stats", "purge"]),
    ],
    ids=lambda value: " ".join(value) if len(value) < 3 else "",
)
def test_help_names_every_argument(capsys: pytest.CaptureFixture[str], command: list[str], named: list[str]) -> None:
    """--help is complete, and good."""
    assert main([*command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert [each for each in named if each not in text] == []


# demo


@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--app", "app.py"]], ids=" ".join)
def test_a_missing_uvicorn_is_a_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Without uvicorn the demo says what to install, and exits with 1."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(arguments) == 1
    assert capsys.readouterr() == ("", "ringback demo: uvicorn is not installed; run: pip install 'ringback[demo]'\n")


def test_a_missing_uvicorn_matters_to_no_other_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn is an extra: what does not need it runs without it."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert explained(capsys, "603", "0") == classify(None, 603, 0).to_dict()


def test_an_app_that_is_none_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that does not exist is named, with what it should hold."""
    assert refused(capsys, "demo", "--app", "nowhere.py") == (
        "ringback demo: app 'nowhere.py' is no Python file; name a file with create_app(settle=...)\n"
    )


def test_the_demo_exits_with_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A demo that ran is good, whatever the app's hooks are."""
    app = tmp_path / "bare.py"
    app.write_text(
        "from starlette.applications import Starlette\n\n\n"
        "def create_app(settle: float) -> Starlette:\n    return Starlette()\n",
        "utf-8",
    )
    assert main(["demo", "--app", str(app)]) == 0
    assert capsys.readouterr().out.count("<- 404 Not Found") == len(POSTINGS)
