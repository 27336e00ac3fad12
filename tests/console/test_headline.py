"""The banner: a cause fails when it is more than usual, and since its share rose, not since its first call."""

from __future__ import annotations

from typing import Any

import pytest

from ringback import Cause, ResultCategory, RetryClass
from ringback.console.headline import headline
from ringback.console.rows import Verdicts
from ringback.console.snapshot import RANGES, Hour, Snapshot
from ringback.console.view import moment
from ringback.work.history import Count, Pair
from ringback.work.items import Stats
from ringback_catalog import Catalog, Match

DAY = RANGES["24h"]
NOON = 1_768_478_400.0
PAIR = Pair("CallDisconnected", 503, 560503, Match.SIP_SUBCODE, Cause.CARRIER_ERROR, RetryClass.LATER, 1, NOON)
WELL = (Cause.HUNG_UP, ResultCategory.SUCCESS, RetryClass.NONE)
BAD = (Cause.CARRIER_ERROR, ResultCategory.UNEXPECTED_SERVER_ERROR, RetryClass.LATER)


def counts(*points: tuple[int, int], step: int = 3600) -> tuple[Count, ...]:
    """By points of time that end at noon: how many calls ended well, and how many with a carrier's error."""
    began = NOON - len(points) * step
    return tuple(
        Count(began + number * step, *kind, count)
        for number, both in enumerate(points)
        for kind, count in zip((WELL, BAD), both, strict=True)
        if count
    )


def told(recent: tuple[Count, ...], before: tuple[tuple[int, int], ...] = (), pair: Pair = PAIR) -> dict[str, Any]:
    """With the last hour as the last of what is ``recent``, and the same hour of the days before."""
    hour = Hour(NOON, tuple(count for count in recent if count.at >= NOON - 3600), (pair,))
    days = tuple(Hour(NOON - days * 86_400, counts(each)) for days, each in enumerate(before, start=1))
    snapshot = Snapshot(
        DAY, NOON, DAY.since(NOON), recent, (pair,), (), 0, recent, hour, days, (), Stats()
    )  # fmt: skip
    return headline(snapshot, Verdicts(Catalog.default(), snapshot))


def worst(*given: tuple[int, int]) -> dict[str, Any]:
    found = told(counts(*given))["worst"]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        pytest.param([(20, 1)] * 9 + [(18, 6), (5, 30), (3, 20)], (10, 12, 50, False, True), id="a-trickle-before"),
        pytest.param([(20, 0)] * 6 + [(0, 20)] * 6, (6, 12, 120, False, True), id="half-a-day"),
        pytest.param([(20, 20)] * 6, (5, 6, 20, False, True), id="no-more-than-before"),
        pytest.param([(40, 0), (5, 5), (0, 0), (5, 5), (2, 8)], (1, 5, 18, False, True), id="a-night-between"),
        pytest.param([(60, 0), (0, 20), (60, 0), (5, 15)], (3, 4, 15, False, True), id="the-latest-of-two"),
    ],
)
def test_a_failure_began_when_its_share_rose(
    hours: list[tuple[int, int]], expected: tuple[int, int, int, bool, bool]
) -> None:
    """To a third of the way from the usual share to that of the hour."""
    first, end, lately, whole, now = expected
    if hours == [(20, 20)] * 6:
        assert told(counts(*hours))["worst"] is None
        return
    found = worst(*hours)
    began = NOON - 3600 * (len(hours) - first)
    day = 14 if began < NOON - 12 * 3600 else 15
    assert moment(found["since"]).machine == f"2026-01-{day}T{int(began // 3600) % 24:02}:00:00Z"
    assert found["lasted"] == 3600 * (len(hours) - first)
    assert moment(found["until"]).machine == f"2026-01-15T{12 - len(hours) + end:02}:00:00Z"
    assert (found["lately"], found["whole"], found["now"]) == (lately, whole, now)


@pytest.mark.parametrize(("hours", "whole"), [(1, False), (21, False), (22, True), (24, True)])
def test_what_fails_since_the_first_call_fails_all_through_the_day_if_that_is_a_day(hours: int, whole: bool) -> None:
    """A store that is a minute old has no day behind it."""
    found = told(counts(*[(10, 30)] * hours), before=((40, 0),))["worst"]
    assert found is not None
    assert (found["whole"], found["now"], found["lasted"]) == (whole, True, 3600 * hours)


def test_a_failure_that_is_over_says_so() -> None:
    """Points of five minutes, if there are calls enough: twenty minutes of it, and then none."""
    points = [(20, 0)] * 30 + [(2, 18)] * 4 + [(20, 0)] * 6
    found = told(counts(*points, step=300))["worst"]
    assert found is not None
    assert (moment(found["since"]).machine[11:16], moment(found["until"]).machine[11:16]) == ("11:10", "11:30")
    assert (found["count"], found["lately"], found["now"], found["whole"]) == (72, 72, False, False)
    assert "since=2026-01-15T11:10:00Z&until=2026-01-15T11:30:00Z" in found["since_link"]


def test_what_hides_among_calls_before_the_hour_is_found_at_its_height() -> None:
    """The points do not begin with the hour."""
    recent = (Count(NOON - 5400, *WELL, 1000), Count(NOON - 3600, *WELL, 5), Count(NOON - 3500, *BAD, 6))
    found = told(recent)["worst"]
    assert found is not None
    assert found["lately"] == 6


@pytest.mark.parametrize(
    ("now", "before", "state"),
    [
        pytest.param((30, 0), ((30, 5),), "fine", id="nothing-fails"),
        pytest.param((0, 0), ((30, 5),), "quiet", id="no-call"),
        pytest.param((30, 4), ((30, 0),), "usual", id="too-few-to-tell"),
        pytest.param((30, 5), ((30, 0),), "failing", id="new"),
        pytest.param((30, 12), ((30, 10), (30, 8)), "usual", id="as-always"),
        pytest.param((30, 60), ((30, 10), (30, 8)), "failing", id="more-than-always"),
        pytest.param((300, 120), ((30, 12),), "usual", id="as-always-of-more-calls"),
        pytest.param((30, 5), ((5, 0),), "usual", id="nothing-to-compare-with"),
        pytest.param((20, 5), (), "failing", id="a-fifth-of-all"),
    ],
)
def test_what_is_usual_is_no_alarm(now: tuple[int, int], before: tuple[tuple[int, int], ...], state: str) -> None:
    """Only what chance does not make of the same hour of the days before."""
    found = told(counts(now), before)
    assert found["state"] == state
    assert (found["worst"] is not None) is (state == "failing")
    assert (found["ended"], found["failed"]) == (sum(now), now[1])


def test_a_verdict_that_no_call_explains_names_nobody() -> None:
    """A cause that overrides have given."""
    pair = Pair("CallDisconnected", 200, 0, Match.PAIR, Cause.CARRIER_ERROR, RetryClass.LATER, 1, NOON)
    found = told(counts((0, 20)), pair=pair)["worst"]
    assert found is not None
    assert (found["acts"], found["summary"], found["advice"]) == ("who must act depends on the call", None, None)
