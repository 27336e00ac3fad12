"""An outcome as a CloudEvent, and the closed set of types that the CloudEvent may have."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError
from ringback.hooks.criteria import met, read_criteria
from ringback.privacy.redaction import redact
from ringback.settings import nearest
from ringback_catalog import Disposition, RetryClass, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ringback.core.outcome import Outcome
    from ringback.hooks.criteria import Values


class PublishedType(StrEnum):
    """The ``type`` of a CloudEvent, a closed set of stable names. ``CRITERIA`` alone decide it."""

    CALL_RETRYABLE = "Ringback.CallRetryable"
    CALL_TERMINAL = "Ringback.CallTerminal"
    OPERATION_FAILED = "Ringback.OperationFailed"
    OPERATION_SUCCEEDED = "Ringback.OperationSucceeded"


CALLS = (PublishedType.CALL_RETRYABLE, PublishedType.CALL_TERMINAL)
"""The types of the events that tell of the end of a call."""

CRITERIA: Mapping[str, Mapping[str, Values]] = {
    PublishedType.CALL_RETRYABLE: {"scope": Scope.CALL, "disposition": Disposition.RETRYABLE},
    PublishedType.CALL_TERMINAL: {"scope": Scope.CALL, "disposition": Disposition.TERMINAL},
    # An operation without a known success has failed.
    PublishedType.OPERATION_FAILED: {"scope": Scope.OPERATION, "retry_class": {*RetryClass} - {RetryClass.NONE}},
    PublishedType.OPERATION_SUCCEEDED: {"scope": Scope.OPERATION, "retry_class": RetryClass.NONE},
}
"""Which outcomes each type is for: the arguments of ``on()``. Every outcome meets the criteria of one type."""


def published_type(outcome: Outcome) -> PublishedType:
    """The type that the sink publishes an outcome as."""
    return next(published for published, criteria in _READ if met(criteria, outcome))


_READ = [(PublishedType(published), read_criteria(given)) for published, given in CRITERIA.items()]


def cloud_event(outcome: Outcome, source: str) -> dict[str, Any]:
    """The redacted outcome as a structured CloudEvent 1.0 in JSON. The same outcome gives the same event.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
    """
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": _event_id(outcome),
        "source": source,
        "type": published_type(outcome).value,
        "datacontenttype": "application/json",
        "data": outcome.to_dict(),
    }
    if outcome.call_connection_id is not None:
        event["subject"] = f"callConnections/{redact(outcome.call_connection_id)}"
    if outcome.occurred_at is not None:
        event["time"] = outcome.occurred_at.isoformat()
    return event


def _event_id(outcome: Outcome) -> str:
    """The outcome's id. Redaction may make two private ids equal; the event's time and id tell them apart."""
    cleaned = redact(outcome.outcome_id)
    if cleaned == outcome.outcome_id:
        return cleaned
    return redact(f"{cleaned}:{outcome.event.time}:{outcome.event_id}")


def chosen(types: Iterable[str]) -> frozenset[str]:
    """The names in ``types`` as a set. Raises :class:`ConfigurationError` for none and for an unknown name."""
    names = frozenset([types] if isinstance(types, str) else types or ())
    known = [published.value for published in PublishedType]
    if not names:
        raise ConfigurationError(
            f"event grid: types is empty: nothing would be published; name some of {', '.join(known)}"
        )
    for name in sorted(names.difference(known), key=str):
        raise ConfigurationError(f"event grid: type {name!r} is not one of {', '.join(known)}{nearest(name, known)}")
    return names
