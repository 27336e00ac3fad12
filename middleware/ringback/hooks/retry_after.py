"""How long a failed request asks to wait: the headers of HTTP errors."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

LONGEST_PAUSE = 86_400.0
"""Seconds of the longest wait that a header may ask for."""

_HEADERS = (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("Retry-After", 1.0))
"""The headers, and the seconds of their unit, in the order in which azure-core reads them.

Source: https://github.com/Azure/azure-sdk-for-python, azure/core/pipeline/policies/_utils.py, get_retry_after
"""


def retry_after(error: Exception, now: float) -> float | None:
    """Seconds to wait, from 0 to a day; ``None`` without a legal header. ``now`` is for dates, seconds since the epoch.

    Source: RFC 9110, section 10.2.3. The errors of azure-core and httpx have the headers in ``response.headers``.
    """
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
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


def _seconds(given: str, unit: float, now: float) -> float | None:
    try:
        seconds = float(given) * unit
    except ValueError:
        try:
            return parsedate_to_datetime(given).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    # A NaN differs from itself.
    return None if seconds != seconds or seconds < 0 else seconds
