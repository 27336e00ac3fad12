"""An event and the catalog's verdict on it: what happened, whether to call again, who acts. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.delivery import Diagnostic, Event, EventData, Result, digest_of
from ringback.core.fields import as_dict
from ringback.privacy.redaction import redact
from ringback_catalog import (
    CALL_EVENTS,
    EVENTS,
    START_FAILURES,
    Catalog,
    CategoryBasis,
    Cause,
    Confidence,
    Disposition,
    Match,
    Owner,
    ResultCategory,
    RetryAction,
    RetryAfter,
    RetryClass,
    Scope,
    Verdict,
    event_name,
    recognized,
    scope_of,
    source_lines,
)

if TYPE_CHECKING:
    from datetime import datetime

Detail: TypeAlias = "Diagnostic | int | str | tuple[int | str | None, str | None] | None"
"""A SIP status or Q.850 cause: the bare code, ``(code, message)``, or a :class:`Diagnostic`."""

LEVEL, REFUSED, LAST_WORD = 4, 64, 1024
"""What :meth:`Outcome.informs` adds for a level, a result that forbids a call, an override. Stores keep the sum."""


class Outcome(Struct, frozen=True, gc=False):
    """One classified event. Frozen; holds the event and the verdict, and every property reads one of the two.

    ``sibling`` is the other event of the same call that :meth:`merged_with` joined with this one, if any.
    ``attempts_exhausted`` makes a retryable outcome terminal: the redial policy allows no further call.
    ``source_digest`` stands for the event's source where a store has redacted the source. The outcome keeps the
    event's original texts; :meth:`to_dict` and ``repr`` redact the texts. A store on a disk redacts the texts of the
    service and keeps no raw bytes, so hooks behind such a store get the event without these.
    """

    event: Event
    verdict: Verdict
    sibling: Event | None = None
    attempts_exhausted: bool = False
    source_digest: str | None = None

    @property
    def outcome_id(self) -> str:
        """The key of deduplication and idempotency: every event that reports the same ending has the same id.

        ``call:<callConnectionId>`` for the end of a call leg. For an operation ``event:<id>:<digest of the source>``,
        because source and id together name a CloudEvent, and ``event:<id>`` for an event without a source.
        """
        data = self.event.data
        if _ends_call(self.event.type):
            leg = data.call_connection_id
            if leg is not None:
                return f"call:{leg}"
            whole = data.correlation_id or data.server_call_id
            if whole is not None:
                return f"call:{whole}"
        if self.event.id is not None:
            digest = self.source_digest or digest_of(self.event.source)
            return f"event:{self.event.id}" if digest is None else f"event:{self.event.id}:{digest}"
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
        return Scope.CALL if self.ends_call else Scope.OPERATION

    @property
    def ends_call(self) -> bool:
        """Whether the event ends a call, or says that the call never started: whether :attr:`scope` is ``call``."""
        return _ends_call(self.event.type)

    @property
    def result(self) -> Result | None:
        return self.event.data.result_information

    @property
    def code(self) -> int | None:
        """The code as received: a 0 stays 0 and a 200 stays 200, though both name one row of the catalog."""
        return None if (result := self.event.data.result_information) is None else result.code

    @property
    def subcode(self) -> int | None:
        return None if (result := self.event.data.result_information) is None else result.subcode

    @property
    def message(self) -> str | None:
        """Microsoft's text as received. Unstable, and may hold phone numbers: do not compare or log the text."""
        return None if (result := self.event.data.result_information) is None else result.message

    @property
    def sip(self) -> Diagnostic | None:
        return None if (result := self.event.data.result_information) is None else result.sip

    @property
    def q850(self) -> Diagnostic | None:
        return None if (result := self.event.data.result_information) is None else result.q850

    @property
    def status_details(self) -> str | None:
        """The service's word for why media streaming or transcription started, stopped or failed, or ``None``."""
        return self.event.data.status_details

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
    def retry_action(self) -> RetryAction:
        """What the app is to make again: a call for ``place_call`` alone; ``none`` for a terminal outcome."""
        return RetryAction.NONE if self.attempts_exhausted else self.verdict.retry_action

    @property
    def retry_after(self) -> RetryAfter | None:
        """How long to wait at least before :attr:`retry_action`, where a source says so; ``None`` if terminal."""
        return None if self.attempts_exhausted else self.verdict.retry_after

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
    def override(self) -> str | None:
        """Where the override is that made or changed the verdict's entry: the file, the row's number and its key."""
        return self.verdict.entry.overrides[-1] if self.verdict.entry.overrides else None

    @property
    def unheard(self) -> str | None:
        """``sip``, ``q850`` or ``status`` if an override kept this detail from changing the verdict."""
        return self.verdict.unheard

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
        return source_lines(self.verdict.entry.sources)

    @property
    def recognized(self) -> bool:
        """Whether the catalog knows this result: false where it knows only the result's code, range or nothing."""
        if self.code is None and self.subcode is not None and not self.event.type:
            # A subcode without an event is a question to `classify`.
            return self.match is not Match.NONE
        return recognized(self.code, self.subcode, self.match)

    @property
    def call_connection_id(self) -> str | None:
        """The id of the call leg, which all events of one connection carry."""
        return self.event.data.call_connection_id

    @property
    def server_call_id(self) -> str | None:
        return self.event.data.server_call_id

    @property
    def correlation_id(self) -> str | None:
        """The id of the whole call, which the events of all legs carry."""
        return self.event.data.correlation_id

    @property
    def operation_context(self) -> str | None:
        """The text that the app gave to the operation. CreateCallFailed lacks it, so the sibling's text counts."""
        own = self.event.data.operation_context
        if own is None and self.sibling is not None:
            return self.sibling.data.operation_context
        return own

    @property
    def occurred_at(self) -> datetime | None:
        return self.event.occurred_at

    @property
    def unexplained(self) -> bool:
        """Whether this is Event Grid's bare end of a whole call: each leg reports its end in an event of its own."""
        return not self.reported and self.event_name == "CallEnded"

    @property
    def reported(self) -> bool:
        """Whether the event carries a code or a carrier's detail."""
        result = self.event.data.result_information
        if result is None:
            return False
        return result.code is not None or result.sip is not None or result.q850 is not None

    @property
    def level(self) -> int:
        """How far this event explains the call's end: 1 with a result, 0 without, -1 for the bare end of a whole call.

        Hooks that had the end get a later event of the same end only if the later event has a higher level.
        """
        if self.reported:
            return 1
        return -1 if self.event_name == "CallEnded" else 0

    def informs(self) -> int:
        """How much this event says of the call's end: a sum for ``informs_more``.

        2 stands for a carrier's detail, which may say that the person refused, 1 for a call that never started.
        """
        detailed = self.sip is not None or self.q850 is not None
        # Where the two reports contradict each other, doubt rings no person.
        refused = self.reported and self.retry_class is RetryClass.NEVER
        word = LAST_WORD * self.verdict.entry.is_last_word + REFUSED * refused
        return word + LEVEL * self.level + 2 * detailed + (self.event_name in START_FAILURES)

    def merged_with(self, other: Outcome) -> Outcome:
        """The more informative of two outcomes of one call, with the other's event as its sibling."""
        best, rest = (other, self) if informs_more(other.informs(), self.informs()) else (self, other)
        return replace(best, sibling=best.sibling or rest.event)

    def exhausted(self) -> Outcome:
        """The same outcome, terminal because the redial policy allows no further call to the contact."""
        return replace(self, attempts_exhausted=True)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values, redacted: the same keys as in the log line and ``explain --json``."""
        return as_dict(self)

    def __repr__(self) -> str:
        call = f" {redact(self.outcome_id)}" if self.event.id or self.call_connection_id else ""
        return (
            f"<Outcome {redact(self.event_name)} {self.code}/{self.subcode} {self.cause.value}"
            f" {self.disposition.value} ({self.retry_class.value}){call}>"
        )


def classify(
    event: str | None,
    code: int | str | None,
    subcode: int | str | None,
    *,
    sip: Detail = None,
    q850: Detail = None,
    catalog: Catalog | None = None,
) -> Outcome:
    """The outcome of a result, without HTTP and without a loop. Every number has an outcome.

    ``event`` is a type or name, ``None`` for any end of a call; an unknown event, such as a misspelled one, is read as
    an operation. ``code`` and ``subcode`` are both ``None`` for an event without a result; each may be text of digits,
    as on the wire, and so may the code of ``sip`` and ``q850``.
    Raises :class:`TypeError` for a code or subcode that is no number, and for a detail that is none.
    """
    numbers = _whole(code, "code"), _whole(subcode, "subcode")
    details = _detail(sip, "sip"), _detail(q850, "q850")
    reported = any(value is not None for value in (*numbers, *details))
    data = EventData(result_information=Result(*numbers, None, *details) if reported else None)
    return _judged(Event(type=event or "", data=data), catalog or Catalog.default())


def classify_event(event: Event, catalog: Catalog | None = None) -> Outcome | None:
    """The outcome of a received event; ``None`` if the event neither ends a call nor reports a result or failure."""
    if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a {type(event).__name__} is no Event; parse_delivery(body).events has those of a body")
    data = event.data
    result = data.result_information
    if result is None:
        name = event_name(event.type)
        if name not in CALL_EVENTS and not _failed(name, data.call_connection_id):
            return None
    elif data.is_plain:
        # What `_judged` does, without the steps that nearly no event needs.
        return Outcome(event, (catalog or Catalog.default()).look_up(event.type or None, result.code, result.subcode))
    return _judged(event, catalog or Catalog.default())


def level_of(informs: int) -> int:
    """The level in a number of :meth:`Outcome.informs`: what the words, multiples of ``REFUSED``, leave over."""
    return (informs + LEVEL) % REFUSED // LEVEL - 1


def informs_more(one: int, other: int) -> bool:
    """Whether the first of two siblings wins, by the numbers of :meth:`Outcome.informs`: the level counts first."""
    return (level_of(one), one) > (level_of(other), other)


@lru_cache(maxsize=1024)
def _ends_call(event_type: str) -> bool:
    return scope_of(event_name(event_type) or None) is Scope.CALL


def _failed(name: str, leg: str | None) -> bool:
    """Whether an operation of a call failed. An unknown event counts if it names a leg: other services fail, too."""
    return name.endswith("Failed") and (name in EVENTS or leg is not None)


def _judged(event: Event, catalog: Catalog) -> Outcome:
    result = event.data.result_information
    if result is None:
        return Outcome(event, catalog.look_up(event.type or None, None, None, status=event.data.status_details))
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
            status=event.data.status_details,
        ),
    )


def _whole(value: object, name: str, or_else: str = "None") -> int | None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value.strip()):
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError(f"{name} {redact(repr(value))} is not a whole number; write for example 486, '486' or {or_else}")


def _detail(detail: Detail, name: str) -> Diagnostic | None:
    match detail:
        case None | Diagnostic():
            return detail
        case (code, None | str() as message):
            return Diagnostic(_whole(code, name), message)
        case _:
            return Diagnostic(_whole(detail, name, "(486, 'Busy Here')"))
