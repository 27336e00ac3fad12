"""An event seen through the catalog: what happened, whether to call again, who acts. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from ringback.events import Diagnostic, Event, EventData, Result
from ringback.redaction import redact_if_told
from ringback_catalog import (
    CALL_EVENTS,
    START_FAILURES,
    Catalog,
    CategoryBasis,
    Cause,
    Confidence,
    Disposition,
    Match,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
    Verdict,
    event_name,
    scope_of,
)

if TYPE_CHECKING:
    from datetime import datetime

Detail: TypeAlias = "Diagnostic | int | tuple[int | None, str | None] | None"
"""A SIP status or Q.850 cause: the bare code, ``(code, message)``, or a :class:`Diagnostic`."""


class Outcome(Struct, frozen=True, gc=False):
    """One classified event. Frozen; holds the event and the verdict, everything else is read from them.

    ``sibling`` is the other event of the same call that was merged into this one, if any.
    ``attempts_exhausted`` makes a retryable outcome terminal: the redial policy allows no further call. The
    outcome keeps the event's original texts; :meth:`to_dict` and ``repr`` redact them.
    """

    event: Event
    verdict: Verdict
    sibling: Event | None = None
    attempts_exhausted: bool = False

    @property
    def outcome_id(self) -> str:
        """The same for every event that reports the same ending: key of deduplication and idempotency.

        ``call:<callConnectionId>`` for the end of a call leg, ``event:<id>`` for an operation.
        """
        data = self.event.data
        if _scope(self.event.type) is Scope.CALL:
            leg = data.call_connection_id
            if leg is not None:
                return f"call:{leg}"
            whole = data.correlation_id or data.server_call_id
            if whole is not None:
                return f"call:{whole}"
        if self.event.id is not None:
            return f"event:{self.event.id}"
        return f"{self.event_name}:{data.call_connection_id}:{self.code}:{self.subcode}:{self.event.time}"

    @property
    def event_id(self) -> str | None:
        return self.event.id

    @property
    def event_type(self) -> str:
        """The type as received, with its prefix."""
        return self.event.type

    @property
    def event_name(self) -> str:
        """The short name in the service's spelling: ``CallDisconnected``."""
        return event_name(self.event.type)

    @property
    def scope(self) -> Scope:
        return _scope(self.event.type)

    @property
    def result(self) -> Result | None:
        return self.event.data.result_information

    @property
    def code(self) -> int | None:
        """As received: the tables' 0 stays 0, the wire's 200 stays 200."""
        result = self.event.data.result_information
        return None if result is None else result.code

    @property
    def subcode(self) -> int | None:
        result = self.event.data.result_information
        return None if result is None else result.subcode

    @property
    def message(self) -> str | None:
        """Microsoft's text as received. Unstable, may hold phone numbers: no key, and not for logs."""
        result = self.event.data.result_information
        return None if result is None else result.message

    @property
    def sip(self) -> Diagnostic | None:
        result = self.event.data.result_information
        return None if result is None else result.sip

    @property
    def q850(self) -> Diagnostic | None:
        result = self.event.data.result_information
        return None if result is None else result.q850

    @property
    def category(self) -> ResultCategory:
        return self.verdict.entry.category

    @property
    def category_basis(self) -> CategoryBasis:
        return self.verdict.entry.basis

    @property
    def cause(self) -> Cause:
        return self.verdict.entry.cause

    @property
    def retry_class(self) -> RetryClass:
        return self.verdict.entry.retry

    @property
    def disposition(self) -> Disposition:
        if self.attempts_exhausted:
            return Disposition.TERMINAL
        return self.verdict.entry.retry.disposition

    @property
    def retryable(self) -> bool:
        return self.disposition is Disposition.RETRYABLE

    @property
    def owner(self) -> Owner:
        return self.verdict.entry.owner

    @property
    def confidence(self) -> Confidence:
        return self.verdict.entry.confidence

    @property
    def match(self) -> Match:
        return self.verdict.match

    @property
    def refined_by(self) -> str | None:
        return self.verdict.refined_by

    @property
    def summary(self) -> str:
        return self.verdict.entry.summary

    @property
    def advice(self) -> tuple[str, ...]:
        return self.verdict.entry.advice

    @property
    def documentation(self) -> str:
        return self.verdict.entry.documentation

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.verdict.facts["sources"])

    @property
    def recognized(self) -> bool:
        """Whether the catalog knows this result: false where only its code, its range or nothing is known."""
        if self.code is None and self.subcode is None:
            return True
        if self.match is Match.CODE:
            return self.subcode in (None, 0)
        return self.match not in (Match.RANGE, Match.NONE)

    @property
    def call_connection_id(self) -> str | None:
        """The leg: joins the events of one connection."""
        return self.event.data.call_connection_id

    @property
    def server_call_id(self) -> str | None:
        return self.event.data.server_call_id

    @property
    def correlation_id(self) -> str | None:
        """The whole call: joins its legs."""
        return self.event.data.correlation_id

    @property
    def operation_context(self) -> str | None:
        """What the app set when it created the call; CreateCallFailed lacks it, so its sibling lends it."""
        own = self.event.data.operation_context
        if own is None and self.sibling is not None:
            return self.sibling.data.operation_context
        return own

    @property
    def occurred_at(self) -> datetime | None:
        return self.event.occurred_at

    def informs(self) -> tuple[bool, bool]:
        """How much this event says of its call's end, for choosing among siblings; the greater wins."""
        return (self.result is not None, self.event_name in START_FAILURES)

    def merged_with(self, other: Outcome) -> Outcome:
        """The more informative of two outcomes of one call, with the other's event as its sibling."""
        best, rest = (other, self) if other.informs() > self.informs() else (self, other)
        return Outcome(best.event, best.verdict, best.sibling or rest.event)

    def exhausted(self) -> Outcome:
        """The same outcome, terminal because the contact may not be called again."""
        return Outcome(self.event, self.verdict, self.sibling, attempts_exhausted=True)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values, redacted: the same keys as in the log line and ``explain --json``."""
        occurred = self.occurred_at
        facts = self.verdict.facts
        return {
            "outcome_id": redact_if_told(self.outcome_id),
            "event_id": redact_if_told(self.event_id),
            "event_type": redact_if_told(self.event_type),
            "scope": self.scope.value,
            "code": self.code,
            "subcode": self.subcode,
            **facts,
            "disposition": self.disposition.value,
            # Lists of one's own: what a reader appends to one outcome is not said of the next.
            "advice": facts["advice"].copy(),
            "sources": facts["sources"].copy(),
            "call_connection_id": redact_if_told(self.call_connection_id),
            "server_call_id": redact_if_told(self.server_call_id),
            "correlation_id": redact_if_told(self.correlation_id),
            "operation_context": redact_if_told(self.operation_context),
            "occurred_at": None if occurred is None else occurred.isoformat(),
            "message": redact_if_told(self.message),
            "sip": _detail_dict(self.sip),
            "q850": _detail_dict(self.q850),
        }

    def __repr__(self) -> str:
        call = f" {redact_if_told(self.outcome_id)}" if self.event.id or self.call_connection_id else ""
        return (
            f"<Outcome {redact_if_told(self.event_name)} {self.code}/{self.subcode} {self.cause.value}"
            f" {self.disposition.value} ({self.retry_class.value}){call}>"
        )


def classify(
    event: str | None,
    code: int | None,
    subcode: int | None,
    *,
    sip: Detail = None,
    q850: Detail = None,
    catalog: Catalog | None = None,
) -> Outcome:
    """The outcome of a result, without HTTP and without a loop. Never raises for any numbers.

    ``event`` is a type or name, ``None`` for any end of a call; ``code`` and ``subcode`` both
    ``None`` mean that no result was reported.
    """
    details = _detail(sip), _detail(q850)
    result = Result(code, subcode, None, *details)
    reported = any(value is not None for value in (code, subcode, *details))
    data = EventData(result_information=result if reported else None)
    return _judged(Event(type=event or "", data=data), catalog or Catalog.default())


def classify_event(event: Event, catalog: Catalog | None = None) -> Outcome | None:
    """The outcome of a received event; ``None`` if it neither ends a call nor carries a result."""
    result = event.data.result_information
    if result is None:
        if event_name(event.type) not in CALL_EVENTS:
            return None
    elif result.sip is None and result.q850 is None:
        # As below, for what nearly every event is.
        return Outcome(event, (catalog or Catalog.default()).look_up(event.type or None, result.code, result.subcode))
    return _judged(event, catalog or Catalog.default())


@lru_cache(maxsize=1024)
def _scope(event_type: str) -> Scope:
    return scope_of(event_name(event_type) or None)


def _judged(event: Event, catalog: Catalog) -> Outcome:
    result = event.data.result_information
    if result is None:
        return Outcome(event, catalog.look_up(event.type or None, None, None))
    sip, q850 = result.sip, result.q850
    return Outcome(
        event,
        catalog.look_up(
            event.type or None,
            result.code,
            result.subcode,
            sip=None if sip is None else sip.code,
            sip_message=None if sip is None else sip.message,
            q850=None if q850 is None else q850.code,
        ),
    )


def _detail(detail: Detail) -> Diagnostic | None:
    if detail is None or isinstance(detail, Diagnostic):
        return detail
    return Diagnostic(detail) if isinstance(detail, int) else Diagnostic(*detail)


def _detail_dict(detail: Diagnostic | None) -> dict[str, Any] | None:
    return None if detail is None else {"code": detail.code, "message": redact_if_told(detail.message)}
