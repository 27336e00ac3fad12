"""How fast redials are placed: never above the rate or the bound, whatever the clock does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import ConfigurationError, Pace
from ringback.core.times import SLACK
from ringback.work.pace import AGAIN, FASTEST, LONGEST_PAUSE, UNPACED, Lane

rates = st.floats(0.01, FASTEST)


@given(rate=rates, waits=st.lists(st.floats(0, 3), max_size=60), wanted=st.integers(1, 200))
def test_no_window_has_more_redials_than_the_rate_allows(rate: float, waits: list[float], wanted: int) -> None:
    """In any ten seconds there are ten times the rate, and what one moment may have."""
    pace, lane, now = Pace(per_second=rate), Lane(), 1000.0
    placed: list[float] = []
    for wait in waits:
        now += wait
        taken = min(wanted, lane.room(pace, 0, now) or 0)
        placed += [now] * taken
        lane = lane.after(pace, taken, now)
    for start in placed:
        assert sum(start <= at < start + 10.0 for at in placed) <= 10.0 * rate + pace.at_once


@given(rate=rates, backlog=st.integers(1, 50))
def test_a_lane_that_opens_gives_redials_evenly(rate: float, backlog: int) -> None:
    """A worker that looks when the lane says so places every redial, one step after the other and none sooner."""
    pace, lane, now = Pace(per_second=rate), Lane(), 50.0
    looks = 0
    while backlog:
        room = lane.room(pace, 0, now)
        assert room is not None
        assert room >= 1
        taken = min(backlog, room)
        backlog, lane, looks = backlog - taken, lane.after(pace, taken, now), looks + 1
        following = lane.next_look(pace, 0.0, now, full=False)
        assert following == lane.next_at == now + taken / rate
        now = following
    assert looks <= 50


@given(bound=st.integers(1, 20), busy=st.integers(0, 40))
def test_no_more_are_in_progress_than_the_bound(bound: int, busy: int) -> None:
    """What is in progress takes the room of the lane; without a rate that is the only limit."""
    assert Lane().room(Pace(in_progress=bound), busy, 0.0) == max(0, bound - busy)
    assert Lane().room(Pace(per_second=10.0, in_progress=bound), busy, 0.0) == min(1, max(0, bound - busy))


def test_without_a_pace_there_is_room_for_all() -> None:
    """And nothing is written of what was taken."""
    assert Lane().room(UNPACED, 10_000, 0.0) is None
    assert Lane().after(UNPACED, 7, 5.0) == Lane()


def test_a_pause_closes_the_lane_of_every_pace() -> None:
    """Until its end; a later, shorter pause does not shorten the first."""
    lane = Lane().paused(200.0).paused(150.0)
    assert lane == Lane(paused_until=200.0)
    assert [lane.room(UNPACED, 0, now) for now in (100.0, 199.9, 200.0)] == [0, 0, None]
    assert lane.next_look(UNPACED, 120.0, 100.0, full=True) == 200.0


def test_a_clock_that_was_put_back_stops_nobody() -> None:
    """A time further ahead than any rate or pause sets is of another clock."""
    pace = Pace(per_second=2.0)
    lane = Lane(next_at=4000.0, paused_until=4000.0 + LONGEST_PAUSE)
    assert lane.room(pace, 0, 100.0) == 1


@given(rate=rates, behind=st.floats(0, SLACK - 0.001))
def test_a_process_whose_clock_is_a_little_behind_keeps_to_the_lane(rate: float, behind: float) -> None:
    """To what another process has just taken, and to the longest pause that it was told."""
    pace, now = Pace(per_second=rate), 1000.0
    assert Lane().after(pace, pace.at_once, now).room(pace, 0, now - behind) == 0
    assert Lane().paused(now + LONGEST_PAUSE).room(pace, 0, now - behind) == 0


def test_when_a_worker_looks_again() -> None:
    """When the next redial is due; if the lane is full, soon, because another process may hear of a call's end."""
    pace = Pace(in_progress=1)
    assert Lane().next_look(pace, None, 100.0, full=False) is None
    assert Lane().next_look(pace, 130.0, 100.0, full=False) == 130.0
    assert Lane().next_look(pace, 90.0, 100.0, full=True) == 100.0 + AGAIN


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"per_second": 0}, "pace: per_second 0 is no rate"),
        ({"per_second": -1.0}, "pace: per_second -1.0 is no rate"),
        ({"per_second": FASTEST + 1}, "write calls a second up to 1000"),
        ({"per_second": float("nan")}, "per_second nan is no rate"),
        ({"per_second": True}, "per_second True is no rate"),
        ({"per_second": "1"}, "per_second '1' is no rate"),
        ({"in_progress": 0}, "pace: in_progress 0 accepts nothing"),
        ({"in_progress": 1.5}, "pace: in_progress 1.5 is no whole number"),
    ],
)
def test_a_pace_that_cannot_work_is_refused(settings: dict[str, Any], message: str) -> None:
    """With the value, the rule and the remedy."""
    with pytest.raises(ConfigurationError, match=message):
        Pace(**settings)
