"""What one POST delivers: one event or several, also once more."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

import msgspec

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.testing.builder import CloudEvent


def batch(*events: CloudEvent | Iterable[CloudEvent]) -> tuple[CloudEvent, ...]:
    """Several events for one delivery, in order. A pair, such as of :func:`failed_call`, counts as its two events.

    Raises :class:`ConfigurationError` for what is no event, such as text or an event within two lists.
    """
    return tuple(event for one_or_more in events for event in _each(one_or_more))


def _each(given: object) -> Iterator[CloudEvent]:
    several = isinstance(given, Iterable) and not isinstance(given, Mapping | str | bytes)
    for event in cast("Iterable[object]", given if several else [given]):
        if not isinstance(event, Mapping):
            raise ConfigurationError(
                f"a {type(event).__name__} is no event; pass what a builder gives, or a decoded JSON object"
            )
        yield cast("CloudEvent", event)


def delivery(*events: CloudEvent | Iterable[CloudEvent]) -> bytes:
    """The body of one POST: a JSON array of the events.

    Event Grid sends a single CloudEvent without an array, and so does this function.
    """
    content = [dict(event) for event in batch(*events)]
    if len(content) == 1 and "type" in content[0] and str(content[0].get("source", "")).startswith("/subscriptions/"):
        return msgspec.json.encode(content[0])
    return msgspec.json.encode(content)


def redelivered(event: CloudEvent) -> CloudEvent:
    """An equal copy of the event, for a redelivery; a change of the copy leaves the event as it is."""
    return copy.deepcopy(event)
