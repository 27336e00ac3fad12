"""A copy of the documentation against the catalog: tables read, rows repaired, differences named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback_catalog import Catalog, ResultCategory

# A tool for maintainers: the tests of a wheel have none, and the lowest versions are not its own.
pytest.importorskip("bs4")
pytest.importorskip("markdown_it")
drift = pytest.importorskip("drift")
from drift import Listed, differences, main, read, tables  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = Catalog.default()

MARKDOWN = """\
# Codes

| title | made up |
|---|---|
| date | today |

| Subcode | Code | Message (public preview) | Result Categories (preview *) | Advice |
|--- |:---: |---:|---|---|
| 0 | 0 | It went well. | Success | |
| 560486 | 486 | Occupied \\| engaged. | Success | wait |
| 3100 | 410 | A network. | UnxpectedClientError | |
"""

HTML = """\
<h2>Codes</h2>
<table><thead><tr><th>SubCode</th><th>Code</th><th>Message</th><th>Result categories</th></tr></thead>
<tbody>
<tr><td>0</td><td>0</td><td>It went <b>well</b>.</td><td>Success</td></tr>
<tr><td>560486</td><td>486</td><td>Occupied<br>or &amp; engaged.</td><td>Success</td></tr>
</tbody></table>
"""


def listed(*pairs: tuple[int | None, int | None]) -> list[Listed]:
    """Rows of keys alone."""
    return [Listed(None, code, subcode, None, "", 1) for code, subcode in pairs]


def table(*rows: str, heading: str = "Code | Subcode | Result category") -> str:
    """A Markdown table with these rows."""
    columns = heading.count("|") + 1
    return "\n".join([f"| {heading} |", f"|{'---|' * columns}", *rows])


def keys(text: str) -> list[str]:
    return [str(row) for row in read(text)[0]]


def gone(row: tuple[int | None, int | None], source: str) -> list[str]:
    """The keys of a source that a page with this row alone no longer lists."""
    found = differences(listed(row), CATALOG, source)
    return [line.removeprefix("gone").strip().partition("  ")[0] for line in found if line.startswith("gone")]


# tables


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("a | b\nc | d", [], id="bars are no table"),
        pytest.param("|---|---|", [], id="no heading"),
        pytest.param("a | b\n--- | ---\nc | d", [(1, ["a", "b"]), (3, ["c", "d"])], id="no outer bars"),
        pytest.param("|a|b|\n|-|-|\n|c|d\\|", [(1, ["a", "b"]), (3, ["c", "d|"])], id="an escaped last bar"),
        pytest.param("|a|b|\n|-|-|\n||d|", [(1, ["a", "b"]), (3, ["", "d"])], id="an empty cell"),
        pytest.param(
            "|a|b|\n|-|-|\n|c|\nd|\n|e|f|", [(1, ["a", "b"]), (3, ["c", "d"]), (5, ["e", "f"])], id="a broken row"
        ),
        pytest.param("- text\n|a|b|\n|-|-|\ntext", [(2, ["a", "b"])], id="no blank lines around it"),
        pytest.param("```\n|a|b|\n|-|-|\n```", [], id="a table in a code block"),
        pytest.param("\n<table>\n<tr><td>a<br>b</td></tr></table>", [(3, ["a b"])], id="HTML"),
        pytest.param("<table><tr><td>a", [(1, ["a"])], id="no end tags"),
        pytest.param("</table><tr><td>a</td></tr>x</b>", [], id="cells without a table"),
    ],
)
def test_a_table_is_found(text: str, found: list[tuple[int, list[str]]]) -> None:
    """Rows are cells from left to right with the line where they start."""
    assert [row for rows in tables(text) for row in rows] == found


def test_tables_are_apart() -> None:
    """A table ends where its bars end; one within another is its own."""
    markdown = "|a|b|\n|-|-|\n\n|c|d|\n|-|-|\nx\n"
    html = "<table><tr><td>e<table><tr><td>f</td></tr></table></td></tr></table>"
    cells = [[cells for _, cells in rows] for rows in tables(markdown + html)]
    assert cells == [[["a", "b"]], [["c", "d"]], [["ef"]], [["f"]]]


# rows


@pytest.mark.parametrize("text", [MARKDOWN, HTML], ids=["markdown", "html"])
def test_a_page_is_read(text: str) -> None:
    """Columns are known by their headings, in any order; other tables are passed over."""
    assert keys(text)[:2] == ["0/0", "486/560486"]


def test_a_row_is_read_whole() -> None:
    """Its event, codes, category and message, and the line it is on; a slip in a category is repaired and noted."""
    assert read(MARKDOWN) == (
        [
            Listed(None, 0, 0, ResultCategory.SUCCESS, "It went well.", 9),
            Listed(None, 486, 560486, ResultCategory.SUCCESS, "Occupied | engaged.", 10),
            Listed(None, 410, 3100, ResultCategory.UNEXPECTED_CLIENT_ERROR, "A network.", 11),
        ],
        ["line 11: category UnxpectedClientError is read as UnexpectedClientError"],
    )


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("| 487/10004 |", ["487/10004"]),
        ("| `487/10004` | |", ["487/10004"]),
        ("| `0`/`200` | 5000 |", ["0/5000", "200/5000"]),
        ("| 0/200 | 5000 |", ["0/5000", "200/5000"]),
        ("| `0`/`200` | |", ["0", "200"]),
        ("| 490, 491 and 496 | |", ["490", "491", "496"]),
        ("| **404** | |", ["404"]),
        ("| | 8522 |", ["subcode 8522"]),
        ("| 480 | 10037, 10076 |", ["480/10037", "480/10076"]),
    ],
)
def test_codes_come_in_many_forms(row: str, found: list[str]) -> None:
    """A pair in one cell, several codes in one, one alone."""
    assert keys(table(row)) == found


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ("| 400-499 | 1 |", "line 3: 400-499 / 1 is no code, or a range of them; ignored"),
        ("| 4xx | |", "line 3: 4xx is no code, or a range of them; ignored"),
        ("| 400 | 560ZZZ |", "line 3: 400 / 560ZZZ is no code, or a range of them; ignored"),
        ("| 4000000000 | |", "line 3: 4000000000 is no code, or a range of them; ignored"),
        ("| | | Success |", "line 3: nothing is no code, or a range of them; ignored"),
        ("| \x1b[31m5xx | |", "line 3: [31m5xx is no code, or a range of them; ignored"),
    ],
)
def test_what_is_no_code_is_noted(row: str, note: str) -> None:
    """A range is no row to compare; what a page holds is shown without what a terminal would act on."""
    assert read(table(row)) == ([], [note])


def test_shifted_columns_are_repaired() -> None:
    """A code that slipped into the column of the subcodes is a code."""
    text = table("| 404, 405 | No such call. | |", heading="Subcode | Code | Message")
    assert read(text) == (
        [Listed(None, 404, None, None, "No such call.", 3), Listed(None, 405, None, None, "No such call.", 3)],
        ["line 3: 404, 405 stands in the column of the subcodes, but is read as a code"],
    )


def test_events_are_read_by_their_names() -> None:
    """Several in one cell are a row each; the documents' other names are the service's."""
    text = table("| CreateCallFailed / AnswerCallFailed | 404 | 8522 |", heading="Callback Event | Code | Subcode")
    assert keys(text) == ["CreateCallFailed 404/8522", "AnswerFailed 404/8522"]


def test_an_unknown_category_is_noted() -> None:
    """It is nothing to compare with."""
    assert read(table("| 404 | 8522 | Failure |")) == (
        [Listed(None, 404, 8522, None, "", 3)],
        ["line 3: Failure is no result category; ignored"],
    )


def test_a_long_message_is_cut() -> None:
    """A line of the report stays a line."""
    ((row,), _) = read(table(f"| 404 | 8522 | {'word ' * 40}|", heading="Code | Subcode | Message"))
    assert len(row.text) == 80
    assert row.text.endswith("…")


@given(
    st.lists(st.sampled_from(["|", "-", "\n", "Code", "Subcode", "404", " ", "/", "<table>", "<tr>", "<td>", "`", "0"]))
)
def test_any_text_is_read(parts: list[str]) -> None:
    """Tolerant: no text raises, and each row has a code or a subcode."""
    rows, _ = read("".join(parts))
    assert all((row.code, row.subcode) != (None, None) for row in rows)


# differences


def test_the_catalogs_own_keys_are_no_drift() -> None:
    """Every entry for a code, a pair or a subcode, written as a row, is known with its category."""
    rows = [
        Listed(event, entry.key.code, entry.key.subcode, entry.category, "", 1)
        for entry in CATALOG.entries
        if entry.key.kind in ("pair", "code", "subcode") and entry.key.scope is None
        for event in entry.key.events or (None,)
    ]
    assert differences(rows, CATALOG) == []
    assert len(rows) > 300


@pytest.mark.parametrize("pair", [(0, 0), (497, 560487), (486, 60486)], ids=str)
def test_other_spellings_are_known(pair: tuple[int, int]) -> None:
    """The tables' 0 is the wire's 200; known misprints are read as what they mean."""
    assert differences(listed(pair), CATALOG) == []


@pytest.mark.parametrize("pair", [(486, 4242), (486, 560999), (499, 8522), (299, None), (None, 6)], ids=str)
def test_a_row_that_only_a_family_knows_is_new(pair: tuple[int | None, int | None]) -> None:
    """Coming near is not knowing; twice the same is one."""
    (row,) = listed(pair)
    assert differences([row, row], CATALOG) == [f"new      {row}  no category, line 1: "]


def test_another_category_is_a_change() -> None:
    """Once for each category, with that of the entry it differs from."""
    row = Listed(None, 486, 560486, ResultCategory.EXPECTED_ERROR, "", 1)
    change = "changed  486/560486  Success in the catalog, ExpectedError in line 1"
    assert differences([row, row], CATALOG) == [change]


def test_what_a_document_no_longer_lists_is_gone() -> None:
    """Only of what cites it, and only if no row bears the entry out."""
    cited = gone((0, 0), "server-2024-05")
    entries = {str(entry.key): entry for entry in CATALOG.entries}
    assert all("server-2024-05#end" in [source.id for source in entries[key].sources] for key in cited)
    assert "code 486, subcode 560486" in cited
    assert "code 200, subcode 0" not in cited
    assert gone((0, 0), "server-2024-05#end") == cited


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ((487, 560487), "code 487, subcode 560487"),
        ((408, 1), "code 408"),
        ((None, 8537), "code 408, subcode 8537"),
        ((503, 560503), "code 500, subcode 560503"),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
def test_what_bears_an_entry_out(row: tuple[int | None, int], key: str) -> None:
    """The pair, any row of a code, the subcode alone, and six digits with another code."""
    (entry,) = [entry for entry in CATALOG.entries if str(entry.key) == key]
    source = entry.sources[0].id
    assert key in gone((200, 1), source)
    assert key not in gone(row, source)


def test_families_and_ranges_are_never_gone() -> None:
    """No row of such a table could name them."""
    cited = gone((200, 1), "call-automation-2024-07")
    entries = {str(entry.key): entry for entry in CATALOG.entries}
    assert {entries[key].key.kind for key in cited} == {"pair", "code", "subcode"}


# command


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A copy with one row of each kind of difference."""
    file = tmp_path / "page.md"
    rows = ("| 486 | 560486 | ExpectedError |", "| 486 | 4242 | Success |", "| 499 | 1 | |", "| 4xx | |")
    file.write_text(table(*rows), "utf-8")
    return file


def test_no_drift_is_0(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Notes alone are no drift."""
    page.write_text(MARKDOWN, "utf-8-sig")
    assert main([str(page)]) == 0
    assert capsys.readouterr().out == (
        "note     line 11: category UnxpectedClientError is read as UnexpectedClientError\n"
        "0 differences in 3 rows of the page\n"
    )


def test_drift_is_1(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each difference, and how many there are."""
    assert main([str(page)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "new      486/4242  Success, line 4: ",
        "new      499/1  no category, line 5: ",
        "changed  486/560486  Success in the catalog, ExpectedError in line 3",
        "note     line 6: 4xx is no code, or a range of them; ignored",
        "3 differences in 3 rows of the page",
    ]


def test_gone_rows_are_shown(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --source, each with its summary."""
    assert main([str(page), "--source", "server-2024-05"]) == 1
    summary = CATALOG.look_up(None, 410, 301005).entry.summary
    assert f"gone     code 410, subcode 301005  {summary}" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"no table", [], "no table has a column for codes; save the page as Markdown or HTML"),
        (b"\xff\xfe", [], "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (None, [], "[Errno 2] No such file or directory: '{}'"),
        (
            MARKDOWN.encode(),
            ["--source", "server-2024-5"],
            "no entry cites source 'server-2024-5'; write for example server-2024-05, server-2024-05#end, "
            "service-limits",
        ),
        (
            MARKDOWN.encode(),
            ["--source", "\u00e9"],
            "no entry cites source '\u00e9'; write for example call-automation-2024-07, "
            "call-automation-2024-07#codes, call-automation-2024-07#diagnostics",
        ),
    ],
    ids=["no codes", "no text", "no file", "a slip in the source", "no such source"],
)
def test_bad_input_is_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, arguments: list[str], message: str
) -> None:
    """One line names the page and what is wrong with it, or with the source."""
    file = tmp_path / "page.md"
    if content is not None:
        file.write_bytes(content)
    assert main([str(file), *arguments]) == 2
    assert capsys.readouterr() == ("", f"drift: {file}: {message.format(file)}\n")
