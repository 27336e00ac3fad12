"""The attributes of an event and its outcome in a span, and the words that a metric may have."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import Struct

from ringback.privacy.redaction import redact, redact_place
from ringback_catalog import EVENTS

if TYPE_CHECKING:
    from ringback.core.events import Event
    from ringback.core.outcome import Outcome

Attributes: TypeAlias = "dict[str, str | int]"
Words: TypeAlias = "tuple[str, ...]"
"""Words of closed sets, one for each name of :data:`CLASSIFIED_BY` or of :data:`SETTLED_BY`."""

# Metrics, spans and log lines use the same names.
CLASSIFIED_BY = ("event", "cause", "category", "disposition", "match")
"""The attributes of the count of events."""
SETTLED_BY = ("cause", "category", "disposition", "retry_action")
"""The attributes of the count of calls."""

KNOWN = frozenset(EVENTS)
LONGEST = 256
"""Characters of a text in a span, at most."""

# Event types of the service, which need no redaction.
_TYPES = frozenset(f"Microsoft.Communication.{name}" for name in KNOWN)


def words(outcome: Outcome) -> Words:
    """The values of :data:`CLASSIFIED_BY`: ``other`` for an event name that the catalog does not know."""
    name, verdict = outcome.event_name, outcome.verdict
    entry = verdict.entry
    return (name if name in KNOWN else "other", entry.cause, entry.category, outcome.disposition, verdict.match)


def settled_words(outcome: Outcome) -> Words:
    """The values of :data:`SETTLED_BY`."""
    return (outcome.cause, outcome.category, outcome.disposition, outcome.retry_action)


@lru_cache(maxsize=1024)
def _classified(classified: Words, retry_action: str) -> Attributes:
    # The cache shares this dictionary, so no caller may change it.
    attributes: Attributes = {name: str(word) for name, word in zip(CLASSIFIED_BY, classified, strict=True)}
    return attributes | {"retry_action": str(retry_action)}


def of_outcome(outcome: Outcome) -> Attributes:
    return {"outcome_id": clean(outcome.outcome_id)} | _classified(words(outcome), outcome.retry_action)


def of_event(event: Event, version: str | None) -> Attributes:
    """The attributes of a CloudEvent, without missing ones.

    https://opentelemetry.io/docs/specs/semconv/registry/attributes/cloudevents/
    """
    attributes: Attributes = {"cloudevents.event_type": event.type if event.type in _TYPES else clean(event.type)}
    if event.id is not None:
        attributes["cloudevents.event_id"] = clean(event.id)
    if event.source is not None:
        attributes["cloudevents.event_source"] = _cut(redact_place(event.source))
    if version is not None:
        attributes["cloudevents.event_spec_version"] = version if version == "1.0" else clean(version)
    return attributes


def clean(text: str) -> str:
    return _cut(redact(text))


def _cut(redacted: str) -> str:
    # Redaction comes before the cut: it does not know half a phone number. Exporters refuse lone surrogates.
    cut = redacted[:LONGEST]
    return cut if cut.isascii() else cut.encode("utf-8", "backslashreplace").decode()


class Extra(Struct):
    """The fields of an event that spans need and outcomes do not."""

    specversion: Any = None
    specVersion: Any = None  # noqa: N815 - some deliveries spell it so
    traceparent: Any = None

    @property
    def version(self) -> str | None:
        found = self.specversion or self.specVersion
        return found if isinstance(found, str) else None


def extras(body: bytes, count: int) -> list[Extra]:
    """One for each of the delivery's ``count`` events; all empty where some elements are no events."""
    content = body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    try:
        found = _array.decode(content) if content[:1] == b"[" else [_object.decode(content)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = []
    return found if len(found) == count else [Extra()] * count


_array = msgspec.json.Decoder(list[Extra])
_object = msgspec.json.Decoder(Extra)
