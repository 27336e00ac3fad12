"""The lines of Ringback in the records of plain logging."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}


def line_in(record: logging.LogRecord) -> dict[str, Any]:
    """What stands in the record beside what the logging module puts there."""
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def lines_in(records: Iterable[logging.LogRecord]) -> list[dict[str, Any]]:
    """The lines of the logger ``ringback``."""
    return [line_in(record) for record in records if record.name == "ringback"]
