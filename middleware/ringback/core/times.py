"""Times as texts. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.json import encode


def iso(at: datetime, zone: str = "+00:00") -> str:
    """A time in UTC, to the microsecond, as ISO 8601. ``zone`` is how the text says UTC."""
    # Each line has such a text, and `isoformat` takes eight times the instructions.
    return f"{encode(at)[1:-2].decode()}{zone}"


def iso_of(at: float) -> str:
    """As :func:`iso`, of seconds since the epoch."""
    return iso(datetime.fromtimestamp(at, UTC))
