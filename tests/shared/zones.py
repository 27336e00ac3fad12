"""Zones whose clocks do all that clocks do, and the moments at which they do it."""

from __future__ import annotations

from datetime import datetime, time, tzinfo
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Week: TypeAlias = "Mapping[str, Sequence[tuple[time, time]]]"

DAY = 86_400.0
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",  # put back in winter instead of forward in summer
    "Africa/Casablanca",  # put back for a month each year
    "Africa/Cairo",
    "America/New_York",
    "America/Los_Angeles",
    "America/Phoenix",  # never put
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "Antarctica/Troll",  # by two hours
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
]
# Moments around which clocks or calendars jump, and one around which nothing happens.
JUMPS = [
    "2026-03-29T01:00+00:00",  # Berlin and Troll, forward
    "2026-10-25T01:00+00:00",  # Berlin and Troll, back
    "2026-03-08T07:00+00:00",  # New York, forward
    "2026-11-01T06:00+00:00",  # New York, back
    "2026-10-03T15:30+00:00",  # Lord Howe, forward by half an hour
    "2026-04-04T15:00+00:00",  # Lord Howe, back by half an hour
    "2011-12-30T10:00+00:00",  # Apia leaves out a day
    "2010-11-07T02:31+00:00",  # St John's, back at 00:01 into the day before
    "2018-02-18T02:00+00:00",  # Sao Paulo, back at midnight
    "2017-10-15T03:00+00:00",  # Sao Paulo, no midnight
    "2026-11-01T05:00+00:00",  # Havana, midnight twice
    "2026-06-15T12:00+00:00",
]


def at(text: str, zone: str = "UTC") -> float:
    """Seconds since the epoch."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp()


def is_open(moment: float, week: Week, zone: tzinfo) -> bool:
    """Whether hours by day are open. Written another way than the product: by walking the clock face."""
    local = datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
    now, today = local.time(), local.weekday()
    of_today, of_yesterday = (week.get(DAYS[day], ()) for day in (today, today - 1))
    return any(start <= now < end if start < end else now >= start for start, end in of_today) or any(
        end <= start and now < end for start, end in of_yesterday
    )


times_of_day = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
pairs = st.tuples(times_of_day, times_of_day).filter(lambda pair: pair[0] != pair[1])
weeks = st.one_of(
    pairs.map(lambda pair: {day: [pair] for day in DAYS}),
    st.dictionaries(st.sampled_from(DAYS), st.lists(pairs, min_size=1, max_size=2), min_size=1),
)
moments = st.builds(
    lambda jump, hours: at(jump) + hours * 3600, st.sampled_from(JUMPS), st.floats(-49, 49) | st.integers(-48, 48)
)
time_zones = st.sampled_from(ZONES).map(ZoneInfo)
