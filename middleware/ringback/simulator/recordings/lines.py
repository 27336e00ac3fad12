"""A recording: a JSON line for each delivery, with the seconds since the first one and its events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One delivery. ``at`` is in seconds; ``status`` is the app's answer, ``None`` if it gave none.

    ``path`` is for a reader alone. A line may have further members.
    """

    at: float
    events: list[dict[str, Any]]
    status: int | None = None
    path: str = ""


def written(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def read(path: Path) -> list[tuple[int, Line]]:
    """The lines of a file with their numbers, in the order of time.

    Raises :class:`ConfigurationError`, which names the file, the line and the rule.
    """
    try:
        rows = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"recording '{path}' cannot be read ({error.strerror})") from error
    lines = [(number, _line(path, number, row)) for number, row in enumerate(rows, 1) if row.strip()]
    return sorted(lines, key=lambda each: each[1].at)


def refused(path: Path, number: int, why: object) -> ConfigurationError:
    """The error for a line that is none."""
    return ConfigurationError(
        f"recording '{path}', line {number}: {why}; mend or delete the line, or record anew with ringback record"
    )


def _line(path: Path, number: int, row: bytes) -> Line:
    try:
        line = msgspec.json.decode(row, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refused(path, number, error) from error
    if not 0 <= line.at < math.inf:
        raise refused(path, number, f"at is {line.at:g}, and has to be 0 or more seconds")
    return line
