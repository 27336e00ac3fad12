"""What a page shows of a value."""

import math

import pytest

from ringback.console.view import Moment, moment, shown


@pytest.mark.parametrize("at", [1e20, -1e20, math.inf, math.nan])
def test_a_time_that_no_calendar_has_is_never(at):
    """Whoever reads the page sees the rest of it."""
    assert moment(at) == Moment("", "never")
    assert moment(0.0) == Moment("1970-01-01T00:00:00Z", "1970-01-01 00:00:00")


def test_no_text_turns_the_writing_of_its_neighbour():
    """A reason keeps its lines, and shows what nobody would see."""
    assert shown({"reason": "<\u202e\x1b[2J>\nto +15550100199", "hooks": ["\ud83d"]}) == {
        "reason": r"<\u202e\x1b[2J>" + "\nto [phone]",
        "hooks": [r"\ud83d"],
    }
