"""How deliveries were answered, in every store: counts add up, old minutes become hours, and hours are forgotten."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.times import HOUR
from ringback.exceptions import ConfigurationError
from ringback.work.deliveries import (
    FINE,
    OTHER,
    REASONS,
    Counted,
    Deliveries,
    LastDelivery,
    deliveries_of,
    folded_before,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ringback.stores import DeliveryStore
    from ringback.work.deliveries import Result

NOW = 1_800_001_800
"""Half past some hour."""

DAY = 86_400
MONTH = 31 * DAY


class Clock:
    """A time that only a test moves on."""

    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def counted(at: int, result: Result = "accepted", reason: str = "", count: int = 1, late: float = 30.0) -> Counted:
    return Counted(at, result, reason, count, at + late)


async def by_hour(store: DeliveryStore, since: float = 0.0, until: float = 2.0 * NOW) -> Sequence[Deliveries]:
    return await store.history.deliveries(since, until, HOUR)


async def test_counts_of_one_minute_and_reason_add_up(store: DeliveryStore, clock: Clock) -> None:
    """Several processes count for one store, and each does so many times in a minute."""
    wrong = counted(NOW, "refused", "audience_wrong", 20)
    await store.count_deliveries([counted(NOW, count=2), wrong])
    await store.count_deliveries([counted(NOW, count=3), wrong, counted(NOW + 60)])
    assert await store.history.deliveries(NOW - 60, NOW + 120, 60) == [
        Deliveries(NOW, "accepted", "", 5),
        Deliveries(NOW, "refused", "audience_wrong", 40),
        Deliveries(NOW + 60, "accepted", "", 1),
    ]


async def test_a_minute_belongs_to_the_step_in_which_it_begins(store: DeliveryStore, clock: Clock) -> None:
    """The range has its beginning and does not have its end."""
    await store.count_deliveries([counted(NOW + 60 * minute, count=10**minute) for minute in range(6)])
    assert await store.history.deliveries(NOW + 30, NOW + 300, 120) == [
        Deliveries(NOW + 30, "accepted", "", 110),
        Deliveries(NOW + 150, "accepted", "", 11_000),
    ]


async def test_a_new_store_has_no_delivery(store: DeliveryStore) -> None:
    """Nothing is known, which is not the same as nothing for a while."""
    assert await by_hour(store) == []
    assert await store.history.last_delivery() == LastDelivery()


async def test_the_last_delivery_is_told_with_the_last_accepted_one(store: DeliveryStore, clock: Clock) -> None:
    """A handshake brings no event. A count that comes late changes no later time."""
    await store.count_deliveries([counted(NOW - 60, "handshake", "eventgrid", late=59.0)])
    assert await store.history.last_delivery() == LastDelivery(None, None, NOW - 60)
    await store.count_deliveries([counted(NOW, late=7.5), counted(NOW, "refused", "token_expired", late=12.25)])
    await store.count_deliveries([counted(NOW, late=3.0), counted(NOW + 60, "handshake", "eventgrid")])
    assert await store.history.last_delivery() == LastDelivery(NOW + 12.25, NOW + 7.5, NOW - 60)


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
async def test_steps_that_are_none_are_refused(store: DeliveryStore, step: float) -> None:
    """As for the counts of calls."""
    with pytest.raises(ConfigurationError, match="make no bars"):
        await store.history.deliveries(0.0, 1.0, step)


async def test_minutes_become_hours_after_a_day_and_are_forgotten_after_a_month(
    store: DeliveryStore, clock: Clock
) -> None:
    """No count is lost by becoming a part of an hour. The last delivery is known for ever."""
    old = folded_before(NOW) - HOUR
    await store.count_deliveries([counted(old + 60 * minute, count=minute + 1) for minute in range(60)])
    await store.count_deliveries([counted(old + 60, "refused", "secret_wrong", 7), counted(NOW - 60), counted(NOW)])
    await settled(store)
    assert await store.history.deliveries(0.0, NOW + 60, 60) == [
        Deliveries(old, "accepted", "", 60 * 61 // 2),
        Deliveries(old, "refused", "secret_wrong", 7),
        Deliveries(NOW - 60, "accepted", "", 1),
        Deliveries(NOW, "accepted", "", 1),
    ]
    await store.count_deliveries([counted(old + 120, count=100)])
    clock.now += 2 * DAY
    await settled(store)
    assert await by_hour(store) == [
        Deliveries(old, "accepted", "", 60 * 61 // 2 + 100),
        Deliveries(old, "refused", "secret_wrong", 7),
        Deliveries(NOW - 1800, "accepted", "", 2),
    ]
    clock.now += MONTH
    await settled(store)
    assert await by_hour(store) == [
        Deliveries(old, "refused", "secret_wrong", 7),
        Deliveries(NOW - 1800, "accepted", "", 2),
    ]
    assert await store.history.last_delivery() == LastDelivery(NOW + 30.0, NOW + 30.0, old)


async def settled(store: DeliveryStore) -> None:
    """Let the store fold and forget: one on a disk when it purges, one in memory with the next count."""
    await store.purge()
    await store.count_deliveries([])


async def test_a_flood_of_refusals_makes_few_rows(store: DeliveryStore, clock: Clock) -> None:
    """Whatever strangers send for a month: as many counts as hours and minutes have reasons."""
    refusals = [("refused", reason) for reason in REASONS["refused"]]
    for hour in range(0, 32 * 24, 6):
        clock.now = NOW + hour * HOUR
        await store.count_deliveries(
            [counted(int(clock.now) - 1800, "refused", reason, 10**6) for _, reason in refusals]
        )
        await settled(store)
    told = await store.history.deliveries(0.0, 2.0 * clock.now, 60)
    assert len(told) <= len(refusals) * (31 * 4 + 2)


ANSWERS = [(result, reason) for result, reasons in REASONS.items() for reason in reasons]


def drawn(seed: int) -> list[Counted]:
    """Counts of any minutes of thirty days."""
    draw = random.Random(seed)
    minutes = [(NOW // 60 - draw.randrange(30 * 1440)) * 60 for _ in range(150)]
    return [counted(at, *draw.choice(ANSWERS), draw.randrange(1, 1000)) for at in minutes]


def sums(counts: Iterable[Counted | Deliveries]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for each in counts:
        found[each.result, each.reason] += each.count
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_steps_add_up_to_what_was_counted(store: DeliveryStore, seed: int) -> None:
    """Minutes or hours, and however long the steps: nothing is lost, nothing counts twice, and each has its hour."""
    counts = drawn(seed)
    hours: Counter[tuple[int, str, str]] = Counter()
    for each in counts:
        hours[each.at - each.at % HOUR, each.result, each.reason] += each.count
    for begin, end in ((0, 100), (100, 150)):
        await store.count_deliveries(counts[begin:end])
        for _ in range(2):
            for step in (60.0, 300.0, 3600.0, 86_400.0):
                told = await store.history.deliveries(0.0, NOW + 60.0, step)
                assert sums(told) == sums(counts[:end])
            await settled(store)
    assert {(each.at, each.result, each.reason): each.count for each in await by_hour(store)} == hours


def test_words_of_a_newer_release_are_counted_as_others_or_left_out() -> None:
    """The processes of one store need not be of one release."""
    rows = [(1.0, "refused", "moon_wrong", 3), (1.0, "refused", OTHER, 4), (0.0, "eaten", "", 5)]
    assert deliveries_of(rows, 100.0, 60.0) == [Deliveries(160.0, "refused", OTHER, 7)]


@given(now=st.floats(DAY, 4e9))
def test_whole_hours_alone_are_folded(now: float) -> None:
    """An hour is either minutes or an hour, and what is younger than a day stays minutes."""
    before = folded_before(now)
    assert before % HOUR == 0
    assert now - FINE - HOUR < before <= now - FINE
