"""The time of a line, in seconds since 1970. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringback.cli.reading import Counted

LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def second_of(text: str) -> float | None:
    """An ISO 8601 time as seconds since 1970, ``None`` for any other text. A time without an offset is in UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    second = (time.replace(tzinfo=UTC) if time.tzinfo is None else time).timestamp()
    return second if 0 <= second < LATEST else None


def second_of_line(line: Counted) -> float | None:
    """The time of a line whose ``timestamp`` is no text, in seconds since 1970; the line may have it under any key."""
    stamp = line.timestamp
    if stamp is None:
        stamps = (line.time, line.ts, line.at_timestamp, line.asctime, line.occurred_at)
        stamp = next((known for known in stamps if known is not None), None)
    if isinstance(stamp, str):
        return second_of(stamp)
    if stamp is None:
        return None
    # Some log set-ups write milliseconds, which as seconds would be far in the future.
    second = stamp / 1000 if stamp > 1e11 else float(stamp)
    return second if 0 <= second < LATEST else None
