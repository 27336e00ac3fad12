"""The record of one call as a value: its legs with their entries, verdicts, durations and hooks. Pure.

A store has three things of a call, its :class:`Traces`: what events told (:class:`~ringback.work.told.Told`), the items
that ends and failed operations became, and what is known of the contact. :func:`ringback.work.call_fold.folded` makes a
:class:`CallDetailRecord` of them, anew for each reader, so that no door has to read before it writes.

A call has one :class:`Leg` for each call connection id; the legs share a correlation id. Each leg has its own end, and
so its own durations. A duration is the difference of two events' own times, whatever the order in which they came:
talk time from CallConnected to the first end of the leg, ring time from Event Grid's IncomingCall to CallConnected, or
to the end of a call that was never connected. Nothing tells when an outbound call began to ring, so an outbound call
has no ring time. Where an event has no time of its own, the time when a door saw it stands in.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from ringback.core.times import iso_of
from ringback.privacy.redaction import redact, redact_contact
from ringback.work.contact import Contact
from ringback.work.contact_call import CallState  # noqa: TC001 - msgspec reads the annotations
from ringback.work.items import Progress, State  # noqa: TC001 - likewise
from ringback.work.told import Told  # noqa: TC001 - likewise
from ringback_catalog import (  # noqa: TC001 - likewise
    Cause,
    Disposition,
    Match,
    Owner,
    ResultCategory,
    RetryClass,
    Verdict,
)


class _Shown(Struct, frozen=True):
    """A value whose ``repr`` is redacted, because a ``repr`` ends up in logs."""

    def to_dict(self) -> dict[str, Any]:
        """All that is known as JSON-ready values, redacted, with times as ISO 8601 in UTC."""
        return {name: _shown(getattr(self, name), name) for name in self.__struct_fields__}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_dict()}>"


class StoredItem(Struct, frozen=True):
    """The item of an end or of a failed operation, as a store has it.

    ``told`` has the events of an end: the first report and its sibling. An item that another one has replaced in the
    history has no ``cause``, and neither has an operation. ``verdict`` is ``None`` if the store has forgotten it.
    """

    key: str
    at: float
    state: State
    event: str
    attempts: int
    progress: Progress
    told: tuple[Told, ...] = ()
    reason: str | None = None
    duplicates: int = 0
    contact: str | None = None
    code: int | None = None
    subcode: int | None = None
    match: Match | None = None
    cause: Cause | None = None
    category: ResultCategory | None = None
    retry: RetryClass | None = None
    owner: Owner | None = None
    verdict: Verdict | None = None

    @property
    def leg(self) -> str | None:
        """The leg that the events of an end name."""
        return next((each.leg for each in self.told if each.leg is not None), None)

    @property
    def call(self) -> str | None:
        """The correlation id that the events of an end name."""
        return next((each.call for each in self.told if each.call is not None), None)


class Traces(Struct, frozen=True):
    """Whatever a store has of one call: what events told beside the ends, the items, and the contact by its name."""

    told: tuple[Told, ...] = ()
    items: tuple[StoredItem, ...] = ()
    contact: str | None = None
    known: Contact = Contact()


class EntryKind(StrEnum):
    """What an event meant for its call."""

    INCOMING = "incoming"
    STARTED = "started"
    CONNECTED = "connected"
    OPERATION_FAILED = "operation_failed"
    TRANSFERRED = "transferred"
    ENDED = "ended"
    SIBLING = "sibling"
    """The second report of an end, such as CreateCallFailed beside CallDisconnected."""


class HookResult(StrEnum):
    """What has become of a hook."""

    RETURNED = "returned"
    GIVEN_UP = "given_up"
    WAITING = "waiting"
    """The hook has failed and will be called again."""


class HookRun(_Shown, frozen=True):
    """A hook that was called, and how many attempts it took; ``reason`` is that of a hook that was given up, redacted.

    ``retry_at`` is when the hook may be called again, in seconds since the epoch.
    """

    hook: str
    result: HookResult
    attempts: int
    reason: str | None = None
    retry_at: float | None = None


class Entry(_Shown, frozen=True):
    """One event of a leg, in the order of the events' own times. ``copies`` counts how often a door saw it again.

    ``at`` is when a door saw the event first, and ``time`` is the event's own time; both in seconds since the epoch.
    """

    kind: EntryKind
    event: str
    at: float
    time: float | None
    event_id: str | None
    code: int | None = None
    subcode: int | None = None
    sip: int | None = None
    q850: int | None = None
    copies: int = 0
    hooks: tuple[HookRun, ...] = ()


class Ending(_Shown, frozen=True):
    """The verdict on the end of a leg, with the evidence that it rests on.

    ``sip`` and ``q850`` are the codes of a carrier, and ``refined_by`` says which of them changed the verdict.
    ``summary`` and ``advice`` are there for as long as the store keeps the whole verdict.
    """

    event: str
    code: int | None
    subcode: int | None
    match: Match
    cause: Cause
    category: ResultCategory
    retry_class: RetryClass
    disposition: Disposition
    owner: Owner | None
    sip: int | None = None
    q850: int | None = None
    refined_by: str | None = None
    summary: str | None = None
    advice: tuple[str, ...] = ()


class Leg(_Shown, frozen=True):
    """One leg of a call: what was told of it, its verdict, and what became of its hooks.

    ``answered`` is ``None`` where no event tells. Times are in seconds since the epoch, durations in seconds. ``state``
    is that of the item of its end. ``duplicates`` counts further reports of the end, that changed nothing.
    """

    call_connection_id: str | None
    correlation_id: str | None
    operation_context: str | None
    entries: tuple[Entry, ...]
    ending: Ending | None = None
    connected_at: float | None = None
    ended_at: float | None = None
    answered: bool | None = None
    ring_seconds: float | None = None
    talk_seconds: float | None = None
    transferred: bool = False
    state: State | None = None
    seen_at: float | None = None
    """When the store got the end."""
    duplicates: int = 0
    hooks: tuple[HookRun, ...] = ()
    reason: str | None = None
    """Why the item of the end is a dead letter, redacted."""


class OtherCall(_Shown, frozen=True):
    """Another call to the same contact, placed or to be placed ``at`` a time, as far as events have told of it."""

    at: float
    state: CallState
    is_redial: bool
    call_connection_id: str | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    cause: str | None = None


class CallDetailRecord(_Shown, frozen=True):
    """What is known of one call. ``entries`` are those of no leg, such as IncomingCall and Event Grid's CallEnded.

    ``redials`` counts the redials to the contact after the last call that the app placed itself, up to this call;
    ``None`` if no contact is known. ``contact`` is private unless the router hashes contacts.
    """

    correlation_id: str | None
    legs: tuple[Leg, ...]
    entries: tuple[Entry, ...] = ()
    contact: str | None = None
    redials: int | None = None
    before: tuple[OtherCall, ...] = ()
    after: tuple[OtherCall, ...] = ()

    def leg(self, call_connection_id: str | None) -> Leg | None:
        """The leg with this id."""
        return next((leg for leg in self.legs if leg.call_connection_id == call_connection_id), None)


class EndedLeg(Struct, frozen=True, gc=False):
    """What a log and a metric say of a leg that has ended, as of the time when its end has settled.

    ``number`` is the place of the leg among the ``legs`` of its call, from 1. The other fields are those of
    :class:`Leg` and of :class:`CallDetailRecord`.
    """

    correlation_id: str | None
    call_connection_id: str | None
    operation_context: str | None
    connected_at: float | None
    ended_at: float
    answered: bool | None
    ring_seconds: float | None
    talk_seconds: float | None
    transferred: bool
    number: int
    legs: int
    redials: int | None


def _shown(value: Any, name: str = "") -> Any:
    """The value as JSON has it. A time is a text of ISO 8601 in UTC; texts are redacted, and a contact as contacts are.

    ``name`` is the field's: those that end in ``_at`` and ``time`` are times in seconds since the epoch.
    """
    if isinstance(value, Struct):
        return {field: _shown(getattr(value, field), field) for field in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_shown(each, name) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and (name in _TIMES or name.endswith("_at")):
        return iso_of(value)
    if isinstance(value, str):
        return redact_contact(str(value)) if name == "contact" else redact(str(value))
    return value


_TIMES = ("at", "time")
