"""What a span tells of an event and its outcome, as OpenTelemetry's attributes; and the words a metric may have."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import Struct

from ringback.redaction import redact, redact_place
from ringback_catalog import CALL_EVENTS, OPERATION_EVENTS

if TYPE_CHECKING:
    from ringback.events import Event
    from ringback.outcome import Outcome

Attributes: TypeAlias = "dict[str, str | int]"
Words: TypeAlias = "tuple[str, str, str, str, str]"
"""What an outcome is counted by: a word of a closed set for each of :data:`CLASSIFIED_BY`."""

CLASSIFIED_BY = ("event", "cause", "category", "disposition", "match")
KNOWN = CALL_EVENTS | OPERATION_EVENTS
LONGEST = 256
"""Characters of a text that a span tells of."""

# Texts that need no look: what the service calls its own events.
_TYPES = frozenset(f"Microsoft.Communication.{name}" for name in KNOWN)


def words(outcome: Outcome) -> Words:
    """Words of closed sets, whatever the sender wrote. Its enumerations are texts already."""
    name, verdict = outcome.event_name, outcome.verdict
    entry = verdict.entry
    return (name if name in KNOWN else "other", entry.cause, entry.category, outcome.disposition, verdict.match)


@lru_cache(maxsize=1024)
def _classified(told: Words) -> Attributes:
    # One for all outcomes of a kind, so never to be changed.
    return {f"ringback.{name}": str(word) for name, word in zip(CLASSIFIED_BY, told, strict=True)}


def of_outcome(outcome: Outcome) -> Attributes:
    return {"ringback.outcome_id": clean(outcome.outcome_id)} | _classified(words(outcome))


def of_event(event: Event, version: str | None) -> Attributes:
    """OpenTelemetry's attributes of a CloudEvent; what is missing is left out."""
    told: Attributes = {"cloudevents.event_type": event.type if event.type in _TYPES else clean(event.type)}
    if event.id is not None:
        told["cloudevents.event_id"] = clean(event.id)
    if event.source is not None:
        told["cloudevents.event_source"] = _cut(redact_place(event.source))
    if version is not None:
        told["cloudevents.event_spec_version"] = version if version == "1.0" else clean(version)
    return told


def clean(text: str) -> str:
    return _cut(redact(text))


def _cut(redacted: str) -> str:
    # Redacted before it is cut: half a number is no number to the redaction. Exporters refuse lone surrogates.
    cut = redacted[:LONGEST]
    return cut if cut.isascii() else cut.encode("utf-8", "backslashreplace").decode()


class Extra(Struct):
    """What an element says that no outcome needs."""

    specversion: Any = None
    specVersion: Any = None  # noqa: N815 - as some deliveries have it
    traceparent: Any = None

    @property
    def version(self) -> str | None:
        found = self.specversion or self.specVersion
        return found if isinstance(found, str) else None


def extras(body: bytes, count: int) -> list[Extra]:
    """One for each of the delivery's ``count`` events. Elements that are no events leave it open which is whose."""
    content = body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    try:
        found = _array.decode(content) if content[:1] == b"[" else [_object.decode(content)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = []
    return found if len(found) == count else [Extra()] * count


_array = msgspec.json.Decoder(list[Extra])
_object = msgspec.json.Decoder(Extra)
