"""The sentence at the top: when a failure began is when its share of the calls rose, not when there was a first one."""

from __future__ import annotations

import pytest

from ringback import Cause, ResultCategory, RetryClass
from ringback.console.headline import Failure, headline
from ringback.console.snapshot import RANGES, Snapshot
from ringback.console.verdicts import Verdicts
from ringback.work.history import Count, Pair
from ringback.work.items import Stats
from ringback_catalog import Catalog, Match

DAY = RANGES["24h"]
NOON = 1_768_478_400.0
SINCE = DAY.since(NOON)
PAIR = Pair("CallDisconnected", 503, 560503, Match.SIP_SUBCODE, Cause.CARRIER_ERROR, 1, NOON)


def day(*hours: tuple[int, int]) -> Snapshot:
    """By hour from the first on: how many calls ended well, and how many with a carrier's error."""
    counts: list[Count] = []
    for hour, (well, failed) in enumerate(hours):
        at = SINCE + hour * 3600
        kinds = (
            (Cause.HUNG_UP, ResultCategory.SUCCESS, RetryClass.NONE, well),
            (Cause.CARRIER_ERROR, ResultCategory.UNEXPECTED_SERVER_ERROR, RetryClass.LATER, failed),
        )
        counts += [Count(at, *kind) for kind in kinds if kind[3]]
    return Snapshot(DAY, NOON, SINCE, tuple(counts), (PAIR,), (), False, (), Stats())


def told(snapshot: Snapshot) -> Failure:
    found = headline(snapshot, Verdicts(Catalog.default(), snapshot))
    assert found is not None
    return found.worst


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        pytest.param([(20, 1)] * 9 + [(18, 6), (5, 30), (1, 3)], (9, 12, 39, False, True), id="a-trickle-before"),
        pytest.param([(20, 1)] * 3 + [(5, 30)] + [(20, 1)] * 4, (3, 4, 30, False, False), id="over-since"),
        pytest.param([(20, 2)] * 6, (0, 6, 12, True, True), id="all-through"),
        pytest.param([(20, 0), (5, 5), (0, 0), (5, 5), (1, 0)], (1, 4, 10, False, True), id="a-night-between"),
        pytest.param([(9, 9), (20, 0), (9, 9)], (2, 3, 9, False, True), id="the-latest-of-two"),
    ],
)
def test_a_failure_began_when_its_share_rose(
    hours: list[tuple[int, int]], expected: tuple[int, int, int, bool, bool]
) -> None:
    """The latest run of hours with at least a quarter of the share in the hour that had most of them."""
    first, end, lately, whole, now = expected
    found = told(day(*hours))
    assert (found.since, found.until) == (hour_of(first), hour_of(end))
    assert (found.lately, found.whole, found.now) == (lately, whole, now)


def hour_of(number: int) -> str:
    began = (int(SINCE) // 3600 + number) % 24
    return f"{14 if int(SINCE) % 86_400 // 3600 + number < 24 else 15} Jan {began:02}:00"
