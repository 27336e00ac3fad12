"""Times: as texts, the last one of a calendar, and how far two clocks may differ. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.json import encode

END_OF_TIME = 253_402_300_799.0
"""Seconds since the epoch: the end of the year 9999."""

SLACK = 5.0
"""Seconds by which a wall clock may move without being said to have jumped, and by which another's may differ."""


def iso(at: datetime, zone: str = "+00:00") -> str:
    """A time in UTC, to the microsecond, as ISO 8601. ``zone`` is how the text says UTC."""
    # Each line has such a text, and `isoformat` takes eight times the instructions.
    return f"{encode(at)[1:-2].decode()}{zone}"


def iso_of(at: float) -> str:
    """As :func:`iso`, of seconds since the epoch."""
    return iso(datetime.fromtimestamp(at, UTC))


def second_of(at: float) -> str:
    """As :func:`iso_of`, to the second: what people read."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
