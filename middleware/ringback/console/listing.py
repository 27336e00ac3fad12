"""A page of the calls in all stores of a console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError
from ringback.hooks.call_records import MOST, PAGE, CallPage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.console.desk import Desk


async def listed(
    desk: Desk, values: Mapping[str, Any], limit: int = PAGE, offset: int = 0, *, oldest_first: bool = False
) -> CallPage:
    """At most ``limit`` calls that ``values``, the filters of :meth:`~ringback.hooks.call_records.CallRecords.list`,
    choose. Raises :class:`ConfigurationError` for a value that no call can have, and for a place in the lists of
    several stores that is too far to merge them up to it.
    """
    await desk.reader.opened()
    records = desk.records()
    if len(records) == 1:
        return await records[0].list(**values, limit=limit, offset=offset, oldest_first=oldest_first)
    if offset + limit > MOST:
        raise ConfigurationError(
            f"call {offset + limit} of several stores is too far to count to ({MOST}); give since and until"
        )
    pages = [await each.list(**values, limit=offset + limit, oldest_first=oldest_first) for each in records]
    legs = sorted(
        (leg for page in pages for leg in page.calls), key=lambda leg: leg.seen_at or 0.0, reverse=not oldest_first
    )
    return CallPage(tuple(legs[offset : offset + limit]), sum(page.total for page in pages), offset)
