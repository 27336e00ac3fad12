"""``python -m ringback_catalog``: what it prints and how it exits."""

from pathlib import Path

import pytest

from ringback_catalog import Catalog, _load, source_lines
from ringback_catalog.__main__ import main

ROW = """
[[entry]]
code = {code}
subcode = 60
cause = "busy"
category = "Success"
basis = "inferred"
retry = "later"
owner = "callee"
confidence = "high"
summary = "Busy."
advice = ["Call again.", "Or write."]
sources = ["doc#table"]
note = "They disagree."
"""
SOURCES = """
[doc]
document = "A document"
date = "2024"
url = "https://example.com/"
tables = { table = "a table" }
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a small catalog in place of the package's own; the command takes no path."""
    (tmp_path / "entries").mkdir()
    (tmp_path / "sources.toml").write_text(SOURCES)
    (tmp_path / "entries" / "README.txt").write_text("no entries here")
    monkeypatch.setattr(_load, "package_files", lambda: tmp_path)
    return tmp_path


def test_check_passes_the_catalog_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    """A clean catalog says how many entries it has, and exits with 0."""
    code = main(["check"])
    assert capsys.readouterr().out == f"{len(_load.load_entries())} entries, no finding\n"
    assert code == 0


def test_check_prints_each_finding(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each finding, and exit code 1."""
    (package / "entries" / "4xx.toml").write_text(ROW.format(code=486) + ROW.format(code=404))
    code = main(["check"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4xx.toml: code 404, subcode 60: stands after code 486, subcode 60; move it up"
    assert [line.partition(" ")[0] for line in lines[1:]] == ["entries:"] * 28
    assert code == 1


def test_check_prints_a_file_that_is_no_toml(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the pen in a file is a finding with its line, no traceback."""
    (package / "entries" / "4xx.toml").write_text("[[entry]]\ncode = \n")
    code = main(["check"])
    assert capsys.readouterr().out == "4xx.toml: is not TOML: Invalid value (at line 2, column 8)\n"
    assert code == 1


def test_check_prints_a_row_that_cannot_be(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row that does not load is the finding."""
    (package / "entries" / "4xx.toml").write_text(ROW.format(code='"4xx"'))
    code = main(["check"])
    assert capsys.readouterr().out == "4xx.toml: entry 1: code: '4xx' is not a code or a range such as '400-499'\n"
    assert code == 1


def test_show_prints_the_entries_of_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    """A key with rows for several events prints each, with a blank line between."""
    code = main(["show", "487", "10004"])
    blocks = capsys.readouterr().out.split("\n\n")
    rows = [entry for entry in Catalog.default().entries if (entry.key.code, entry.key.subcode) == (487, 10004)]
    assert [block.splitlines()[:2] for block in blocks] == [[str(row.key), f"  {row.summary}"] for row in rows]
    assert len(rows) > 1
    assert code == 0


def test_show_reads_0_as_200(capsys: pytest.CaptureFixture[str]) -> None:
    """The tables' 0 is the wire's 200."""
    assert main(["show", "0", "560000"]) == 0
    tables = capsys.readouterr().out
    assert main(["show", "200", "560000"]) == 0
    assert capsys.readouterr().out == tables
    assert tables.startswith("event CallDisconnected, code 200, subcode 560000\n")


def test_show_prints_a_whole_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """Key, summary, verdict, numbered advice, sources, note."""
    entry = Catalog.default().look_up(None, 487, 560487).entry
    main(["show", "487", "560487"])
    assert capsys.readouterr().out.splitlines() == [
        "code 487, subcode 560487",
        f"  {entry.summary}",
        "  cause canceled, terminal, retry none, owner nobody",
        "  category Success (documented), confidence medium",
        *[f"  {number}. {step}" for number, step in enumerate(entry.advice, start=1)],
        "  mixture of canceled, no_answer",
        *[f"  source: {line}" for line in source_lines(entry.sources)],
        f"  note: {entry.note}",
    ]


def test_show_says_what_to_make_again_and_when(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the row knows it."""
    main(["show", "429", "8565"])
    assert capsys.readouterr().out.splitlines()[2] == (
        "  cause throttled, retryable, retry later, again repeat_operation, "
        "wait 1 second, then 2 times as long each time, owner app"
    )


@pytest.mark.parametrize(
    ("argv", "first"),
    [
        (["497", "560487"], ["no entry has this key itself; match pair answers:", "code 487, subcode 560487"]),
        (["999", "123"], ["no entry has this key itself; match none answers:", "special unknown"]),
        (["499"], ["no entry has this key itself; match range answers:", "code 400-499"]),
    ],
    ids=" ".join,
)
def test_show_falls_back_to_the_look_up(argv: list[str], first: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A key without a row of its own is no error: what answers for it is printed, with its rung."""
    assert main(["show", *argv]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == first


@pytest.mark.parametrize(
    ("argv", "last"),
    [
        ([], "python -m ringback_catalog: error: the following arguments are required: COMMAND"),
        (["show"], "python -m ringback_catalog show: error: the following arguments are required: CODE"),
        (
            ["show", "busy"],
            "python -m ringback_catalog show: error: argument CODE: 'busy' is not a whole number; "
            "write digits only, such as 486",
        ),
        (
            ["show", "486", "\u0661"],
            "python -m ringback_catalog show: error: argument SUBCODE: '\u0661' is not a whole number; "
            "write digits only, such as 486",
        ),
    ],
    ids=["nothing", "no-code", "word", "foreign-digit"],
)
def test_bad_input_exits_with_2_and_the_remedy(argv: list[str], last: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of the error names the value and what to write."""
    with pytest.raises(SystemExit) as exited:
        main(argv)
    assert exited.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == last


def test_help_names_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer learns the commands from --help."""
    with pytest.raises(SystemExit) as exited:
        main(["--help"])
    text = capsys.readouterr().out
    assert exited.value.code == 0
    assert [line.split()[0] for line in text.splitlines() if line.startswith("    ") and line[4] != " "] == [
        "check",
        "show",
    ]
