"""``python -m ringback_catalog check``: what it prints and how it exits."""

from pathlib import Path

import pytest

from ringback_catalog import _load
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


@pytest.mark.parametrize(
    ("argv", "last"),
    [
        ([], "python -m ringback_catalog: error: the following arguments are required: command"),
        (
            ["show"],
            "python -m ringback_catalog: error: argument command: invalid choice: 'show' (choose from 'check')",
        ),
    ],
    ids=["nothing", "word"],
)
def test_bad_input_exits_with_2_and_the_remedy(argv: list[str], last: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of the error names what there is. From Python 3.12 on the choices have no quotes."""
    with pytest.raises(SystemExit) as exited:
        main(argv)
    assert exited.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].replace("'", "") == last.replace("'", "")
