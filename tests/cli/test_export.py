"""``ringback catalog`` as one text: JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from ringback import Catalog
from ringback.cli import main

if TYPE_CHECKING:
    from pathlib import Path

OVERRIDES = """
[[entry]]
code = 486
subcode = 560486
advice = ["Call a | b at once.", "Then <wait>."]
note = "First line.\\nSecond line."
"""


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    file = tmp_path / "ours.toml"
    file.write_text(OVERRIDES, "utf-8")
    return file


def test_json_holds_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """The export is the version and to_dict() of every entry, and JSON is the default."""
    assert main(["catalog"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported == {
        "version": version("ringback"),
        "entries": [entry.to_dict() for entry in Catalog.default().entries],
    }


def test_csv_reads_back_to_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """One line is one entry; lists are joined by bars, a wait is seconds and factor, what is absent is empty."""
    assert main(["catalog", "--format", "csv"]) == 0
    text = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = [entry.to_dict() for entry in Catalog.default().entries]
    assert [
        {name: row[name].split(" | ") if row[name] else [] for name in ("events", "mixture", "advice", "sources")}
        for row in rows
    ] == [{name: each[name] for name in ("events", "mixture", "advice", "sources")} for each in expected]
    assert [row["retry_after"] for row in rows] == [
        "" if each["retry_after"] is None else "{seconds} x {factor:g}".format(**each["retry_after"])  # type: ignore[arg-type]
        for each in expected
    ]
    lists = ("events", "mixture", "advice", "sources", "retry_after")
    scalars = [name for name in expected[0] if name not in lists]
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
