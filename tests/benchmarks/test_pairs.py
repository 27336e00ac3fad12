"""Figures that were taken in turns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import Round, Spread, beyond, in_decodes, ratio, spread, summary

FIGURES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30)


def test_a_spread_is_the_quartiles() -> None:
    """The outermost figures count for no more than that they are outside."""
    assert spread([1.0, 2.0, 3.0, 4.0, 1000.0]) == Spread(low=2.0, median=3.0, high=4.0)


def test_one_figure_is_its_own_spread() -> None:
    """A smoke run has no more."""
    assert spread([2.5]) == Spread(2.5, 2.5, 2.5)


def test_no_figures_have_no_spread() -> None:
    """Not zero, which would look like one."""
    with pytest.raises(ValueError, match="measure at least one round"):
        spread([])


@settings(deadline=None)
@given(figures=FIGURES)
def test_a_median_lies_between_the_quartiles_and_these_among_the_figures(figures: list[float]) -> None:
    """Whatever was measured."""
    low, median, high = spread(figures)
    slack = 1 + 1e-9
    assert min(figures) <= low * slack
    assert low <= median * slack
    assert median <= high * slack
    assert high <= max(figures) * slack


def test_a_ratio_is_of_figures_of_the_same_round() -> None:
    """A machine that is slow for one round changes nothing."""
    rounds = [Round(1.0, 2.0, 0.5), Round(100.0, 200.0, 50.0), Round(1.0, 2.0, 0.5)]
    assert ratio(rounds) == Spread(2.0, 2.0, 2.0)
    assert in_decodes(rounds) == Spread(2.0, 2.0, 2.0)


def test_what_is_beyond_the_bare_route_is_told_for_an_event() -> None:
    """In microseconds; below zero where the candidate spares the route its work."""
    assert beyond([Round(0.002, 0.003, 1.0)], events=100) == pytest.approx((10.0, 10.0, 10.0))
    assert beyond([Round(0.002, 0.001, 1.0)], events=1).median == pytest.approx(-1000.0)


def test_a_summary_has_plain_values() -> None:
    """Ready for JSON."""
    told = {"low": 1.5, "median": 1.5, "high": 1.5}
    assert summary([Round(0.5, 0.75, 0.25)], events=250_000) == {
        "rounds": 1,
        "ratio": told,
        "beyond_us_per_event": {"low": 1.0, "median": 1.0, "high": 1.0},
        "beyond_in_decodes": {"low": 1.0, "median": 1.0, "high": 1.0},
        "us_per_request": 750_000.0,
        "bare_us_per_request": 500_000.0,
        "decode_us_per_request": 250_000.0,
    }
