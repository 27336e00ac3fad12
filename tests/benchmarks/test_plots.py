"""Plots of a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import plots
import pytest

if TYPE_CHECKING:
    from pathlib import Path

SPREAD = {"low": 1.1, "median": 1.2, "high": 1.4}
CELL = {"ratio": SPREAD, "beyond_us_per_event": SPREAD}
RESULTS = {
    "inprocess": {name: {"1": CELL, "1000": CELL} for name in ("no-op middleware", "ringback", "FastAPI, same work")},
    "sockets": {"uvicorn": {"bare route": {"cpu_ratio": SPREAD}, "ringback": {"cpu_ratio": SPREAD}}},
}


def test_each_section_has_its_plots(tmp_path: Path) -> None:
    """And one that was not run has none."""
    assert {file.name for file in plots.draw(RESULTS, tmp_path)} == {"ratios.svg", "by-size.svg", "sockets.svg"}
    rest = plots.draw({"sockets": RESULTS["sockets"]}, tmp_path / "rest")
    assert [file.name for file in rest] == ["sockets.svg"]


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    """A page that is written again changes only where its figures did."""
    first, second = (plots.draw(RESULTS, tmp_path / name) for name in ("first", "second"))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_a_plot_reads_on_any_page(tmp_path: Path) -> None:
    """Its text is grey, as text, and nothing is behind it."""
    for file in plots.draw(RESULTS, tmp_path):
        drawing = file.read_text("utf-8")
        assert "ringback" in drawing
        assert set(re.findall(r"<text style=\"[^\"]*fill: (#\w+)", drawing)) == {plots.NEUTRAL}
        background = re.search(r'id="patch_1">(.*?)</g>', drawing, re.DOTALL)
        assert background is not None
        assert 'style="fill: none"' in background[1]


def test_a_run_of_few_sizes_is_drawn_as_far_as_it_goes(tmp_path: Path) -> None:
    """Of one that is neither 1 nor 1000 events there is still a plot."""
    figure = plots.ratios({"ringback": {"7": CELL}})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["7 events a request"]


@pytest.mark.parametrize(
    ("name", "shade"),
    [
        pytest.param("ringback, log off", plots.OURS, id="ours"),
        pytest.param("sample style, as published", plots.OTHERS, id="samples"),
        pytest.param("FastAPI, same work", plots.OTHERS, id="fastapi"),
        pytest.param("bare route", plots.NEUTRAL, id="neither"),
    ],
)
def test_colours_say_whose_a_bar_is(name: str, shade: str) -> None:
    """Ringback's, or what one would write without it."""
    assert plots.colour(name) == shade
