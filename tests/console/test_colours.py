"""A cause looks the same wherever it stands, and like no other; every look is to be seen on light and on dark pages."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ringback.console
from ringback.console.charts import by_cause, by_ending
from ringback.console.colours import CAUSE_COLOURS, CAUSES, ENDING_COLOURS, ENDINGS, LOOKS
from ringback.console.pages import page
from ringback.console.snapshot import RANGES
from ringback.work.history import Count
from ringback_catalog import Cause, ResultCategory, RetryClass

STYLE = (Path(ringback.console.__file__).parent / "static" / "console.css").read_text("utf-8")
NOON = 1_767_268_800.0


def test_every_cause_has_a_look_of_its_own() -> None:
    """And dispositions have others: not even a colour of theirs is that of a cause."""
    assert set(CAUSES) == set(Cause)
    assert len(set(LOOKS.values())) == len(LOOKS) == len(Cause) + len(ENDINGS)
    assert not set(CAUSE_COLOURS) & set(ENDING_COLOURS)
    assert {look.colour for look in CAUSES.values()} <= set(CAUSE_COLOURS)
    assert {LOOKS[name].colour for name in ENDINGS} == set(ENDING_COLOURS)


COUNTS = st.lists(
    st.builds(
        Count,
        st.integers(0, 7 * 288).map(lambda points: NOON - points * 300),
        st.sampled_from(Cause),
        st.just(ResultCategory.SUCCESS),
        st.sampled_from(RetryClass),
        st.integers(1, 1000),
    )
)


@given(COUNTS, st.sampled_from(list(RANGES.values())))
def test_a_cause_is_drawn_alike_in_every_range(counts: list[Count], chosen) -> None:
    """Whatever else there is: a piece names its look by its cause, and a bar is as high as its calls are many."""
    since = chosen.since(NOON + 1)
    within = [count for count in counts if count.at >= since]
    for chart in (by_cause(within, since, NOON + 1, chosen), by_ending(within, since, NOON + 1, chosen)):
        assert {piece["name"] for bar in chart["bars"] for piece in bar["pieces"]} <= {
            each["name"] for each in chart["series"]
        }
        assert {each["name"] for each in chart["series"]} <= LOOKS.keys()
        assert sum(bar["total"] for bar in chart["bars"]) == sum(each["total"] for each in chart["series"])
        for bar in chart["bars"]:
            assert bar["total"] == sum(piece["count"] for piece in bar["pieces"])
            assert all(piece["y"] >= 0 for piece in bar["pieces"])
            for piece, other in itertools.pairwise(sorted(bar["pieces"], key=lambda piece: piece["count"])):
                assert piece["height"] <= other["height"]
        assert 1 <= len(chart["ticks"]) <= 5
        labelled = [bar for bar in chart["bars"] if bar["label"]]
        assert 3 <= len(labelled) <= 9
        assert 1 <= sum(bar["major"] for bar in labelled) <= 5


def test_a_page_draws_the_looks_of_the_table() -> None:
    """Each with its colour, by the name that charts and tables use."""
    text = page("wrong.html", up="", token="", reason="")
    drawn = dict(re.findall(r'<pattern id="look-(\w+)" class="(\w+)"', text))
    assert drawn == {name: look.colour for name, look in LOOKS.items()}


def variables(mode: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    return found if mode == "light" else found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark))


def contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio"""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(factor * part for factor, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dim, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_colour_is_to_be_seen(mode: str) -> None:
    """A contrast of 3 to what is behind it, and a rule of the style sheet that fills with it."""
    colours = variables(mode)
    for name in (*CAUSE_COLOURS, *ENDING_COLOURS):
        assert contrast(colours[name], colours["panel"]) >= 3, name
        assert f".{name} .ink {{ fill: var(--{name}); }}" in STYLE
    assert len({colours[name] for name in (*CAUSE_COLOURS, *ENDING_COLOURS)}) == len(CAUSE_COLOURS) + 3


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_dispositions_are_told_apart_by_brightness(mode: str) -> None:
    """By people who see no colours, on paper without any, and in that order."""
    colours = variables(mode)
    seen = [contrast(colours[name], colours["panel"]) for name in ENDING_COLOURS]
    assert seen == sorted(seen)
    assert all(later / earlier > 1.5 for earlier, later in itertools.pairwise(seen))
