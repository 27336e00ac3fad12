"""Results as goals, tables and a page."""

from __future__ import annotations

import re
from typing import Any

import performance
import pytest
import tables
from goals import GOALS, Verdict, verdicts
from run import RESULTS, SECTIONS

TABLE = tables.Table("ratios", "Ratios", ("", "1 event"), [("bare", "1.00"), ("ringback", "1.30")])
ONE = {"low": 1.0, "median": 1.0, "high": 1.0}


def in_process(**ratios: float) -> dict[str, Any]:
    """Results of one event each, by candidate; a name's underscores are spaces."""
    rows = {
        name.replace("_", " "): {
            "1": {
                "ratio": {"low": value - 0.1, "median": value, "high": value + 0.1},
                "beyond_us_per_event": ONE,
                "beyond_in_decodes": ONE,
                "bare_us_per_request": 16.0,
                "decode_us_per_request": 1.0,
            }
        }
        for name, value in ratios.items()
    }
    return {"inprocess": rows}


def test_a_table_for_the_terminal_has_its_figures_below_each_other() -> None:
    """Text to the left, figures to the right."""
    assert tables.as_text(TABLE) == "Ratios\n\n          1 event\nbare         1.00\nringback     1.30"


def test_a_table_for_a_page_is_markdown() -> None:
    """Figures to the right as well."""
    assert tables.as_markdown(TABLE) == ("Ratios:\n\n|  | 1 event |\n|---|--:|\n| bare | 1.00 |\n| ringback | 1.30 |")


def test_a_table_of_ratios_has_the_quartiles() -> None:
    """In brackets behind the median."""
    first, *_ = tables.tables(in_process(ringback=1.3))
    assert first == tables.Table(
        "ratios",
        "CPU time in process, as a ratio to the bare route: median (quartiles)",
        ("", "1 event"),
        [("ringback", "1.30 (1.20-1.40)")],
    )


@pytest.mark.parametrize(
    ("ratio", "met"), [pytest.param(1.45, True, id="just reached"), pytest.param(1.46, False, id="just missed")]
)
def test_a_goal_that_is_an_upper_limit(ratio: float, met: bool) -> None:
    """The limit itself is allowed."""
    first = verdicts(in_process(ringback=ratio))[0]
    assert first == Verdict("1 event with its log line, as a ratio to the bare route", ratio, "at most 1.45", met)


@pytest.mark.parametrize(
    ("ratio", "met"), [pytest.param(3.3, True, id="just reached"), pytest.param(3.2, False, id="just missed")]
)
def test_a_goal_that_is_a_lower_limit(ratio: float, met: bool) -> None:
    """How many times cheaper something is than something else."""
    results = {"inprocess": in_process(ringback=1.0)["inprocess"]}
    results["inprocess"]["sample style, as published"] = in_process(sample=ratio)["inprocess"]["sample"]
    assert Verdict(
        "times cheaper than the samples as published, which do much less, 1 event", ratio, "at least 3.30", met
    ) in verdicts(results)


def test_a_goal_that_was_not_measured_is_neither_reached_nor_missed() -> None:
    """A run may be of one section alone."""
    assert {(each.value, each.met) for each in verdicts({})} == {(None, None)}
    assert len(verdicts({})) == len(GOALS)


PAGE = "# Page\n\n<!-- begin one -->\nold\n<!-- end -->\n\ntext\n\n<!-- begin two -->\nkept\n<!-- end -->\n"


def test_a_page_is_filled_between_its_marks() -> None:
    """What the run has not measured stays."""
    assert performance.page(PAGE, {"one": "new \\1"}) == PAGE.replace("old", "new \\1")


def test_filling_a_page_twice_changes_nothing_more() -> None:
    """The marks stay where they are."""
    once = performance.page(PAGE, {"one": "new"})
    assert performance.page(once, {"one": "new"}) == once


def test_a_part_without_a_place_is_refused() -> None:
    """A table that nobody sees is a mistake."""
    with pytest.raises(ValueError, match="no place for three"):
        performance.page(PAGE, {"three": ""})


def test_the_page_has_figures_of_all_sections() -> None:
    """It is written by one run of everything, whose figures lie beside it."""
    text = (performance.DOCS / "performance.md").read_text("utf-8")
    results = performance.json.loads((performance.DOCS / "performance" / "results.json").read_text("utf-8"))
    assert set(results) == {"environment", *SECTIONS}
    assert performance.page(text, performance.parts(results)) == text
    assert not re.search(r"begin \w+ -->\n<!-- end", text)
    shown = set(re.findall(r"\(performance/([\w-]+\.svg)\)", text))
    assert shown == {file.name for file in (performance.DOCS / "performance").glob("*.svg")}
    assert RESULTS.name == "benchmark.json"
