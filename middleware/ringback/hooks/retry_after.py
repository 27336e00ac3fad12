"""How long a failed request asks to wait: the headers of HTTP errors."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ringback.work.pace import LONGEST_PAUSE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEADERS = (("Retry-After", 1.0), ("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001))
"""The headers, and the seconds of their unit, in the order in which azure-core reads them.

Source: https://github.com/Azure/azure-sdk-for-python, azure/core/pipeline/policies/_utils.py, get_retry_after
"""


def retry_after(error: BaseException, now: float) -> float | None:
    """Seconds to wait, from 0 to a day; ``None`` without a legal header. ``now`` is for dates, seconds since the epoch.

    Source: RFC 9110, section 10.2.3. The errors of azure-core and httpx have the headers in ``response.headers``.
    """
    for cause in causes(error):
        headers: Any = getattr(getattr(cause, "response", None), "headers", None)
        for name, unit in _HEADERS:
            try:
                # The headers of azure-core and httpx ignore the case of a name.
                given = str(headers[name])
            except (KeyError, TypeError):
                continue
            seconds = _seconds(given.strip(), unit, now)
            if seconds is not None:
                return min(max(0.0, seconds), LONGEST_PAUSE)
    return None


def causes(
    error: BaseException, of: Callable[[BaseException], BaseException | None] = attrgetter("__cause__")
) -> Iterator[BaseException]:
    """The error, and what it was raised from, or what else ``of`` gives as the cause of an error."""
    known: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in known:
        known.append(cause)
        cause = of(cause)
    return iter(known)


def _seconds(given: str, unit: float, now: float) -> float | None:
    try:
        seconds = float(given) * unit
    except ValueError:
        return _until(given, now)
    # A NaN compares as false.
    return seconds if seconds >= 0 else None


def _until(date: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        # Two of the three formats of a date in HTTP name no zone or `-0000`, and all mean GMT.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return None
