"""A time is written as Python writes it."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ringback.core.times import iso, iso_of, iso_second


@given(
    at=st.datetimes(timezones=st.just(UTC))
    | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))
)
def test_a_time_in_utc_is_written_as_isoformat_writes_it(at: datetime) -> None:
    """In any year, with and without a fraction; ``Z`` where a reader wants that."""
    assert iso(at) == at.isoformat()
    assert iso(at, "Z") == at.isoformat().replace("+00:00", "Z")


def test_a_second_since_the_epoch_is_written_in_utc() -> None:
    """To the microsecond, and to the second for people; the epoch itself is a time as any other."""
    assert [iso_of(at) for at in (0.0, 1768470000.123456)] == [
        "1970-01-01T00:00:00+00:00",
        "2026-01-15T09:40:00.123456+00:00",
    ]
    assert iso_second(1768470000.9) == "2026-01-15T09:40:00+00:00"
