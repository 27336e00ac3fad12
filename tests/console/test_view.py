"""What a page shows of a value."""

import math

import pytest

from ringback.console.view import Moment, moment


@pytest.mark.parametrize("at", [1e20, -1e20, math.inf, math.nan])
def test_a_time_that_no_calendar_has_is_never(at):
    """Whoever reads the page sees the rest of it."""
    assert moment(at) == Moment("", "never")
    assert moment(0.0) == Moment("1970-01-01T00:00:00Z", "1970-01-01 00:00:00")
