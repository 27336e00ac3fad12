"""The hours in which a contact may be called: how they are written, and which clock they are read on."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given

from ringback import ConfigurationError
from ringback.work.hours import DAYS, hours_of, outside
from zones import Week, is_open, moments, pairs, time_zones, weeks

NINE, TEN, TWO, EIGHT = 9 * 3600, 10 * 3600, 14 * 3600, 20 * 3600
ALL_DAY = ((0, 86_400),)

WRITTEN = [
    pytest.param(("09:00", "20:00"), [((NINE, EIGHT),)] * 7, id="every day"),
    pytest.param([time(9), "20:00"], [((NINE, EIGHT),)] * 7, id="a list, a time"),
    pytest.param({"mon-fri": ("09:00", "20:00")}, [((NINE, EIGHT),)] * 5 + [()] * 2, id="from day to day"),
    pytest.param({"Sat, Sunday": ("09", "20:00:00")}, [()] * 5 + [((NINE, EIGHT),)] * 2, id="days"),
    pytest.param({"sat-mon": ("09:00", "20:00")}, [((NINE, EIGHT),), *[()] * 4, *[((NINE, EIGHT),)] * 2], id="round"),
    pytest.param(
        {"mon": [("10:00", "14:00"), ("09:00", "10:00")], "tue": []}, [((NINE, TWO),), *[()] * 6], id="pairs that touch"
    ),
    pytest.param(
        {"mon": [("14:00", "20:00"), ("09:00", "10:00")]},
        [((NINE, TEN), (TWO, EIGHT)), *[()] * 6],
        id="a rest at noon, in any order",
    ),
    pytest.param({"mon, mon-tue": ("09:00", "20:00")}, [((NINE, EIGHT),)] * 2 + [()] * 5, id="a day twice in one key"),
    pytest.param({"sun": ("20:00", "09:00")}, [((0, NINE),), *[()] * 5, ((EIGHT, 86_400),)], id="over midnight"),
    pytest.param({"mon": ("09:00", "00:00")}, [((NINE, 86_400),), *[()] * 6], id="until midnight"),
    pytest.param({"mon": ("09:00", "24:00")}, [((NINE, 86_400),), *[()] * 6], id="until 24:00"),
    pytest.param(("00:00", "24:00"), [ALL_DAY] * 7, id="always"),
]


@pytest.mark.parametrize(("setting", "days"), WRITTEN)
def test_hours_are_a_pair_or_pairs_by_day(setting: Any, days: Any) -> None:
    """Days that no key names are closed; pairs of one day may touch and overlap."""
    hours = hours_of(setting)
    assert hours.days == tuple(days)
    assert hours_of(hours) is hours


@pytest.mark.parametrize(
    ("quiet", "open_pairs"),
    [
        (("20:00", "09:00"), ((NINE, EIGHT),)),
        (("10:00", "14:00"), ((0, TEN), (TWO, 86_400))),
        (("00:00", "09:00"), ((NINE, 86_400),)),
        (("20:00", "24:00"), ((0, EIGHT),)),
    ],
)
def test_quiet_hours_leave_all_others_open(quiet: Any, open_pairs: Any) -> None:
    assert outside(quiet).days == (open_pairs,) * 7


NO_PAIRS = ["09:00-20:00", "ab", ("09:00",), (), ("25:00", "08:00"), (21, 8), 5, None, {"09:00"}]
NO_PAIRS += [("09:00Z", "20:00"), ("09:00", "20:00", "21:00"), time(9)]
NO_DAYS: list[Any] = ["", "mo", "monx", "mon-", "-mon", "mon-tue-wed", "mon,", "holidays", 1, None, ("mon", "tue")]


@pytest.mark.parametrize("pair", NO_PAIRS, ids=repr)
@pytest.mark.parametrize("read", [hours_of, outside, lambda pair: hours_of({"mon": [("09:00", "10:00"), pair]})])
def test_what_is_no_pair_is_refused(read: Any, pair: Any) -> None:
    """The error names the value and the remedy."""
    with pytest.raises(ConfigurationError) as refused:
        read(pair)
    named = "quiet_hours" if read is outside else "hours"
    assert str(refused.value).startswith(f"redial: {named} ")
    assert "are no pair of times of day; write a pair such as" in str(refused.value) or pair == ()


@pytest.mark.parametrize("pair", [("09:00", "09:00"), ("24:00", "09:00"), (time(0), "00:00")])
def test_a_pair_without_time_is_refused(pair: Any) -> None:
    for read, name in ((hours_of, "hours"), (outside, "quiet_hours")):
        with pytest.raises(ConfigurationError) as refused:
            read(pair)
        assert str(refused.value).startswith(f"redial: {name} {pair!r} have no time between them; write")


def test_quiet_hours_of_the_whole_day_are_refused() -> None:
    """No hour is left to call in. They must not become a day that is open throughout."""
    with pytest.raises(ConfigurationError) as refused:
        outside(("00:00", "24:00"))
    assert str(refused.value).startswith("redial: quiet_hours ('00:00', '24:00') leave no time to call; write a pair")


@pytest.mark.parametrize("days", NO_DAYS, ids=repr)
def test_what_is_no_day_is_refused(days: Any) -> None:
    """A slip must not leave a day open or closed."""
    with pytest.raises(ConfigurationError) as refused:
        hours_of({days: ("09:00", "20:00")})
    assert str(refused.value).startswith(f"redial: hours name {days!r}, which is no day; write mon, tue, wed,")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"mon-fri": ("09:00", "20:00"), "wed": ("10:00", "14:00")}, "wed in 'mon-fri' and in 'wed'"),
        ({"wed": [], "Mon-Fri": ("09:00", "20:00")}, "wed in 'wed' and in 'Mon-Fri'"),
        ({"mon": ("09:00", "20:00"), "monday": ("09:00", "20:00")}, "mon in 'mon' and in 'monday'"),
    ],
)
def test_a_day_that_two_keys_name_is_refused(setting: Any, told: str) -> None:
    """Whoever writes it may want either key's times, and a person would be rung by the other's."""
    with pytest.raises(ConfigurationError) as refused:
        hours_of(setting)
    assert str(refused.value).startswith(f"redial: hours name {told}; name each day in one key, such as {{")


@pytest.mark.parametrize("setting", [{}, {"mon": []}, []])
def test_hours_without_an_open_time_are_refused(setting: Any) -> None:
    """Such a policy would place no call and say nothing of it."""
    with pytest.raises(ConfigurationError, match=r"leave no time to call; write .*, or None for any hour"):
        hours_of(setting)


@given(week=weeks, moment=moments, zone=time_zones)
def test_closed_hours_end_at_the_next_open_minute(week: Week, moment: float, zone: Any) -> None:
    """By the clock of the zone alone: nothing before the answer is open, and the answer is."""
    hours = hours_of(week)
    local = datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
    opening = hours.closed_until(local)
    assert (opening is None) is is_open(moment, week, zone)
    if opening is not None:
        assert local < opening <= local + timedelta(days=7)
        assert hours.closed_until(opening) is None
        assert hours.closed_until(opening - timedelta(microseconds=1)) == opening


@given(pair=pairs)
def test_quiet_hours_are_the_others_of_a_day(pair: tuple[time, time]) -> None:
    """No minute is both quiet and open, and none is neither."""
    opened, quiet = outside(pair), hours_of(pair)
    for minute in range(0, 24 * 60, 7):
        local = datetime(2026, 6, 15) + timedelta(minutes=minute)
        assert (opened.closed_until(local) is None) is (quiet.closed_until(local) is not None)


def test_days_are_the_calendar_s() -> None:
    """In the order of ``datetime.weekday``."""
    assert [datetime(2026, 6, 15 + number).strftime("%a").lower() for number in range(7)] == list(DAYS)
