"""Figures that were taken in turns, as tables, plots and a page."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import handshake
import inprocess
import plots
import pytest
import run
import sockets
import tables
from hypothesis import given
from hypothesis import strategies as st
from pairs import compared, spread

if TYPE_CHECKING:
    from pathlib import Path

FIGURES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30)


def cell(ratio: float) -> dict[str, Any]:
    return {"ratio": {"low": ratio - 0.1, "median": ratio, "high": ratio + 0.1}, "us": 20.0 * ratio, "bare_us": 20.0}


def served(cpu_us: float, mib: float) -> dict[str, Any]:
    ratio = {"low": cpu_us, "median": cpu_us, "high": cpu_us}
    return {"cpu_ratio": ratio, "cpu_us": cpu_us * 100, "rate": 2.0, "p50_us": 3.0, "p99_us": 4.0, "mib": mib}


RESULTS: dict[str, Any] = {
    "environment": {"date": "2026-01-02"},
    "inprocess": {name: {"1": cell(ratio)} for name, ratio in (("ringback", 1.5), ("sample style", 5.0))},
    "setups": {
        f"{side}; {setup}": {size: cell(ratio) for size in ("1", "100")}
        for setup in ("structlog", "orjson")
        for side, ratio in (("ringback", 2.0), ("samples", 2.2), ("same work", 5.0))
    },
    "verifying": {
        "OpenSSL alone": {"us": 20.0, "ratio": 1.0},
        "Ringback, a new token": {"us": 50.0, "ratio": 2.5},
        "Ringback, a known token": {"us": 4.0, "ratio": 0.2},
    },
    "handshake_us": 900.0,
    "instructions": {"ringback, log off, 1 event": 1.87, "ringback, 1 event": 2.8},
    "durable": {"rate": {"without store": 2000, "sqlite": 1800}, "ratio": {"low": 0.8, "median": 0.9, "high": 1.0}},
    "memory": {"events": 1000, "grown_mib": 0.5},
    "start": {"ms": {"msgspec": 100.0, "ringback": 150.0}, "ratio": {"low": 1.4, "median": 1.5, "high": 1.6}},
    "sockets": {"uvicorn": {"bare route": served(1.0, 30.0), "ringback": served(1.25, 40.0)}},
}


@given(figures=FIGURES)
def test_a_median_lies_between_the_quartiles_and_these_among_the_figures(figures: list[float]) -> None:
    """To the third digit; one figure is its own spread."""
    low, median, high = spread(figures).values()
    assert round(min(figures), 3) <= low <= median <= high <= round(max(figures), 3)


def test_no_figures_are_no_spread() -> None:
    """And the remedy is said."""
    with pytest.raises(ValueError, match="measure at least one round"):
        spread([])


def test_a_ratio_is_of_figures_of_the_same_round() -> None:
    """A machine that is slow for one round changes nothing."""
    assert compared([2.0, 200.0, 2.0], [1.0, 100.0, 1.0]) == {"low": 2.0, "median": 2.0, "high": 2.0}
    rounds = [inprocess.Round(0.5, 0.75), inprocess.Round(5.0, 7.5), inprocess.Round(0.5, 0.75)]
    ratio = {"low": 1.5, "median": 1.5, "high": 1.5}
    assert inprocess.summary(rounds) == {"ratio": ratio, "us": 750_000.0, "bare_us": 500_000.0}
    loads = [sockets.Load(100.0, 20.0, 1.0, 2.0, 5.0), sockets.Load(300.0, 40.0, 3.0, 4.0, 7.0)]
    bare = [sockets.Load(200.0, 10.0, 1.0, 2.0, 4.0), sockets.Load(600.0, 20.0, 1.0, 2.0, 4.0)]
    assert list(sockets._summary(loads, bare).values()) == [dict.fromkeys(ratio, 2.0), 200.0, 30.0, 2.0, 3.0, 6.0]


def test_a_goal_is_reached_or_not_and_one_without_a_figure_is_left_out() -> None:
    """The limit itself is allowed; a run may be of one section alone."""
    assert [goal.row[1:] for goal in tables.goals(RESULTS)] == [
        ("at most 2.50", "2.50", "yes"),
        ("at most 0.15", "0.20", "no"),
        ("at least 0.95", "1.10", "yes"),
        ("at least 1.10", "1.10", "yes"),
        ("at least 1.20", "1.10", "no"),
        ("at least 2.00", "2.50", "yes"),
        ("at least 3.00", "2.50", "no"),
        ("at most 1.55", "1.87", "no"),
        ("at most 1.60", "1.25", "yes"),
        ("at least 0.85", "0.90", "yes"),
        ("at most 4.00", "0.50", "yes"),
        ("at most 1.40", "1.50", "no"),
    ]
    assert list(tables.goals({})) == []


def test_the_bill_says_what_a_delivery_costs_beside_what_else_is_paid() -> None:
    """Microseconds of a delivery, deliveries a second, memory."""
    text = tables.bill(RESULTS)
    assert re.findall(r"[*][*](.+?)[*][*]", text) == ["10 microseconds", "8000 deliveries a second and core", "10 MiB"]
    assert re.findall(r"\b(900|100|10000)\b", text) == ["900", "100", "10000"]


def test_a_handshake_takes_some_time() -> None:
    """Of the server, in microseconds."""
    assert handshake.microseconds(3) > 0


def test_a_table_has_the_quartiles_behind_the_median() -> None:
    """And all parts have their marks, which the page knows."""
    parts = tables.parts(RESULTS)
    assert parts["ratios"].splitlines()[:3] == ["|  | 1 event |", "|---|--:|", "| ringback | 1.50 (1.40-1.60) |"]
    text = "".join(f"<!-- begin {name} -->\nold\n<!-- end -->\n" for name in parts)
    once = run.page(text, parts)
    assert "old" not in once
    assert run.page(once, parts) == once
    assert run.page(text, {}) == text
    with pytest.raises(ValueError, match="no place for goals"):
        run.page("", {"goals": ""})


def test_a_plot_reads_on_any_page_and_is_the_same_twice(tmp_path: Path) -> None:
    """Its text is grey, as text, with nothing behind it; a section that was not run has none."""
    files = plots.draw(RESULTS, tmp_path / "first")
    assert [file.name for file in files] == ["ratios.svg", "sockets.svg"]
    again = plots.draw(RESULTS, tmp_path / "second")
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]
    for file in files:
        drawing = ElementTree.parse(file).getroot()
        assert "ringback" in [each.text for each in drawing.iter("{http://www.w3.org/2000/svg}text")]
        assert drawing.get("fill") == plots.NEUTRAL
        assert {each.get("fill") for each in drawing.iter("{http://www.w3.org/2000/svg}text")} == {None}
    assert plots.draw({}, tmp_path) == []


def test_the_page_is_that_of_the_figures_beside_it() -> None:
    """It is written by one run, whose figures and plots lie beside it."""
    text = (run.DOCS / "performance.md").read_text("utf-8")
    results = json.loads((run.DOCS / "performance" / "results.json").read_text("utf-8"))
    assert set(results) == {"environment", "handshake_us", "instructions", *run.SECTIONS}
    assert run.page(text, tables.parts(results)) == text
    shown = set(re.findall(r"\(performance/([\w-]+\.svg)\)", text))
    assert shown == {file.name for file in (run.DOCS / "performance").glob("*.svg")}
