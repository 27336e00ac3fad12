"""What is known of a contact: the calls to the contact, and what stands in the way of another call. Pure.

A store keeps one :class:`Contact` for each contact, notes in it what events report as soon as they come, and changes it
in transactions that exclude each other. Planning a redial and placing a redial both ask :func:`obstacle`. Times are
seconds since the epoch, UTC.

A redial counts as a call from its plan on, by the key of its item. Any other call counts when an event of it comes, by
its leg, which is the call connection id. The leg of a redial is told by the redial function, which returns what
``create_call`` returned, or by the operation context that Ringback offers to the function. Where neither is told, the
next leg that nobody has told counts as the redial's, so that one call does not count twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ringback.work.keys import short
from ringback.work.redial_policy import LONGEST_WINDOW
from ringback_catalog import Cause, RetryAction, RetryClass, Scope, action_after

if TYPE_CHECKING:
    from ringback.core.outcome import Outcome
    from ringback.work.items import Item, Progress
    from ringback.work.redial_policy import RedialPolicy

T = TypeVar("T")

CONNECTED = "CallConnected"
"""The event of a contact who has answered."""

UNSEEN = 600.0
"""Seconds for which a call may be under way although no event of the call has come: longer than any call rings."""

LONGEST_CALL = 12 * 3600.0
"""Seconds after which a connected call that never reports its end no longer counts as in progress."""


class CallState(StrEnum):
    """What is known of one call to a contact."""

    PLANNED = "planned"
    """A redial that waits for its time."""
    PLACING = "placing"
    """The redial function was called, and has not returned: the call may have been placed."""
    PLACED = "placed"
    """The redial function has returned, and no event of the call has come."""
    CONNECTED = "connected"
    OPEN = "open"
    """The call has ended, and nobody has decided yet whether a redial follows."""
    ENDED = "ended"
    CANCELED = "canceled"
    """A redial that placed no call, and does not count."""


class Why(StrEnum):
    """What speaks against calls to a contact from a moment on."""

    REACHED = "reached"
    """The contact has answered a call."""
    REFUSED = "refused"
    """The person or the number says no: the retry class ``never``."""
    BLOCKED = "blocked"
    """A network blocks the calls."""
    CANCELED = "canceled"
    """The app has called ``cancel_redials``."""
    STOPPED = "stopped"
    """A call has failed in a way that no further call mends, or was canceled by the app."""


class CallRecord(Struct, frozen=True, omit_defaults=True):
    """A call that was placed or is to be placed at ``at``, and that ended at ``ended_at``. ``leg`` is its call
    connection id, and ``context`` the operation context that Ringback offered for the call, where they are known.
    """

    key: str
    at: float
    leg: str | None = None
    state: CallState = CallState.ENDED
    ended_at: float | None = None
    context: str | None = None


class Mark(Struct, frozen=True, omit_defaults=True):
    """When something last spoke against calls to a contact, and the leg that reported it."""

    at: float
    leg: str | None = None


class Report(Struct, frozen=True):
    """What one event reports of a contact: a call was answered or has ended.

    ``name`` is the key of the call unless a redial placed the call. ``why`` is what speaks against another call.
    ``asks`` says that the event asks for another call, and ``counts`` that the app had called the contact.
    """

    name: str
    leg: str | None
    context: str | None
    connected: bool
    why: Why | None
    asks: bool
    counts: bool


def report_of(outcome: Outcome) -> Report | None:
    """The report of an outcome; ``None`` for an event that neither answers nor ends a call to a contact."""
    connected = outcome.event_name == CONNECTED
    if not connected and (outcome.scope is not Scope.CALL or outcome.unexplained):
        return None
    why = Why.REACHED if connected else _why(outcome)
    asks = outcome.retryable and outcome.retry_action is RetryAction.PLACE_CALL and not connected
    # Nobody had called the contact whose own call was not answered.
    counts = why is not None or action_after(outcome.event_name, outcome.subcode) is RetryAction.PLACE_CALL
    leg, context = outcome.call_connection_id, outcome.operation_context
    return Report(
        name=short(f"leg:{leg or outcome.outcome_id}"),
        leg=None if leg is None else short(leg),
        context=None if context is None else short(context),
        connected=connected,
        why=why,
        asks=asks,
        counts=counts,
    )


def _why(outcome: Outcome) -> Why | None:
    if outcome.retryable:
        return None
    if outcome.cause is Cause.CANCELED:
        return Why.STOPPED
    if outcome.cause is Cause.BLOCKED:
        return Why.BLOCKED
    if outcome.retry_class is RetryClass.NEVER:
        return Why.REFUSED
    if outcome.retry_class is RetryClass.NONE:
        return Why.REACHED
    return Why.STOPPED


class Contact(Struct, frozen=True, omit_defaults=True):
    """The calls to one contact, in the order in which they became known, and the last mark of each kind."""

    calls: tuple[CallRecord, ...] = ()
    marks: Mapping[Why, Mark] = {}

    def call(self, name: str) -> CallRecord | None:
        """The call with this key or this leg."""
        return next((call for call in self.calls if name in (call.key, call.leg)), None)

    def times(self, without: str | None = None) -> list[float]:
        """When the calls were or are to be placed, the earliest first, but for the call with the key ``without``."""
        return sorted(call.at for call in self.calls if call.state is not CallState.CANCELED and call.key != without)

    @property
    def has_planned(self) -> bool:
        """Whether a redial waits for its time."""
        return any(call.state is CallState.PLANNED for call in self.calls)

    def recent(self, now: float) -> Contact:
        """The contact without the calls that no policy asks for any more."""
        calls = tuple(call for call in self.calls if call.at > now - LONGEST_WINDOW)
        return self if len(calls) == len(self.calls) else replace(self, calls=calls)

    def noted(self, report: Report, now: float) -> Contact:
        """The contact after an event. A second report of the same changes nothing but the time of its mark."""
        call = self._reported(report)
        if call is None and not report.counts:
            return self
        call = replace(call or CallRecord(report.name, now), leg=report.leg)
        if not report.connected and call.ended_at is None:
            call = replace(call, ended_at=now)
        if call.ended_at is None:
            call = replace(call, state=CallState.CONNECTED)
        else:
            call = replace(call, state=CallState.OPEN if report.asks else CallState.ENDED)
        contact = self._with(call)
        if report.asks and report.leg is not None:
            # The leg may have reached the contact; its end says that the conversation was lost.
            marks = {why: mark for why, mark in self.marks.items() if mark.leg != report.leg}
            contact = replace(contact, marks=marks)
        return contact if report.why is None else contact.marked(report.why, now, report.leg)

    def _reported(self, report: Report) -> CallRecord | None:
        """The call of a report: by the leg, by the operation context, or the oldest redial that has told no leg."""
        known = self.call(report.leg or report.name)
        if known is not None or report.leg is None:
            return known
        untold = [call for call in self.calls if call.leg is None and call.state in _UNTOLD]
        ours = [call for call in untold if call.context is not None and call.context == report.context]
        # A redial function that returns no leg may have placed the call of this leg.
        return next(iter(ours + [call for call in untold if call.state is CallState.PLACED]), None)

    def marked(self, why: Why, now: float, leg: str | None = None) -> Contact:
        return replace(self, marks={**self.marks, why: Mark(now, leg)})

    def decided(self, report: Report) -> Contact:
        """The contact once it is decided whether a redial follows the call of this report."""
        call = self.call(report.leg or report.name)
        if call is None or call.state is not CallState.OPEN:
            return self
        return self._with(replace(call, state=CallState.ENDED))

    def redial(
        self, key: str, state: CallState, at: float, *, leg: str | None = None, context: str | None = None
    ) -> Contact:
        """The contact once the redial of this key has come into this state at the time ``at``."""
        call = self.call(key) or CallRecord(key, at)
        if state is CallState.PLACED:
            return self._placed(call, leg)
        return self._with(replace(call, state=state, at=at, context=context or call.context))

    def _placed(self, call: CallRecord, leg: str | None) -> Contact:
        """The redial function has returned, perhaps with the leg. Events of the call may have come before."""
        if call.leg is not None and leg in (None, call.leg):
            # An event with the operation context has told the leg.
            return self
        ours = self.call(leg) if leg is not None else self._first_untold(call)
        if ours is None:
            return self._with(replace(call, state=CallState.PLACED, leg=leg))
        rest = replace(self, calls=tuple(other for other in self.calls if other.key != ours.key))
        return rest._with(replace(call, leg=ours.leg, state=ours.state, ended_at=ours.ended_at))

    def _first_untold(self, redial: CallRecord) -> CallRecord | None:
        """The first call that became known while the redial was placed, and that no redial has told."""
        return next((call for call in self.calls if call.key.startswith("leg:") and call.at > redial.at), None)

    def canceled(self, now: float) -> tuple[Contact, tuple[str, ...], int]:
        """The contact once the app wants no redials, the keys of the redials, and how many calls that prevents.

        An end that waits for its decision counts as one, for it asked for a call.
        """
        planned = tuple(call.key for call in self.calls if call.state is CallState.PLANNED)
        waiting = sum(call.state is CallState.OPEN for call in self.calls)
        calls = tuple(replace(call, state=_CANCELED.get(call.state, call.state)) for call in self.calls)
        return replace(self, calls=calls).marked(Why.CANCELED, now), planned, len(planned) + waiting

    def closed(self) -> tuple[Contact, tuple[str, ...]]:
        """The contact without the redials that wait, and the keys of these redials."""
        planned = tuple(call.key for call in self.calls if call.state is CallState.PLANNED)
        calls = tuple(
            replace(call, state=CallState.CANCELED) if call.state is CallState.PLANNED else call for call in self.calls
        )
        return replace(self, calls=calls), planned

    def _with(self, changed: CallRecord) -> Contact:
        if all(call.key != changed.key for call in self.calls):
            return replace(self, calls=(*self.calls, changed))
        return replace(self, calls=tuple(changed if call.key == changed.key else call for call in self.calls))


_UNTOLD = (CallState.PLACED, CallState.PLACING)

_CANCELED = {CallState.PLANNED: CallState.CANCELED, CallState.OPEN: CallState.ENDED}
"""What becomes of a call when the app wants no redials."""


class Step(Struct, Generic[T], frozen=True):
    """What a store carries out in one transaction: the contact's new state, a redial to put, and redials to cancel.

    ``checkpoint`` is the progress of the claim on the item of this key. If the worker has lost the claim, the store
    carries nothing out. ``result`` is for whoever asked for the step.
    """

    contact: Contact
    result: T
    put: Item | None = None
    cancel: tuple[str, ...] = ()
    checkpoint: tuple[str, Progress] | None = None


Change = Callable[[Contact], Step[T]]
"""Makes a step from what is known of the contact. Pure: a store may call it twice."""


def obstacle(
    contact: Contact, policy: RedialPolicy, ended: Report, *, now: float, redial: str | None = None
) -> str | None:
    """What stands in the way of another call to the contact, in words; ``None`` if nothing does.

    ``ended`` is the report of the call that asks for another one. What came after that call's end always stands in the
    way, and what came before for the rest that the policy gives. A mark of the same leg is no obstacle: the leg's own
    end is the later word. ``redial`` is the key of the redial that is about to be placed.
    """
    call = contact.call(ended.leg or ended.name)
    since = now if call is None else call.at if call.ended_at is None else call.ended_at
    for why, mark in contact.marks.items():
        if (mark.leg is None or mark.leg != ended.leg) and mark.at >= since - _rest(policy, why):
            return _WORDS[why]
    if any(_in_progress(other, now) for other in contact.calls if other is not call and other.key != redial):
        return "another call to the contact is in progress"
    return None


def _in_progress(call: CallRecord, now: float) -> bool:
    longest = _LONGEST.get(call.state)
    return longest is not None and call.at > now - longest


def _rest(policy: RedialPolicy, why: Why) -> float:
    """Seconds for which a mark stands in the way of the redials of calls that end later."""
    answer, refusal = policy.rests
    return {
        Why.REACHED: answer,
        Why.REFUSED: refusal,
        Why.BLOCKED: refusal,
        Why.CANCELED: UNSEEN,
        Why.STOPPED: 0.0,
    }[why]


_LONGEST: Mapping[CallState, float] = {
    CallState.PLACING: UNSEEN,
    CallState.PLACED: UNSEEN,
    CallState.CONNECTED: LONGEST_CALL,
}
"""Seconds for which a call in this state counts as in progress."""

_WORDS: Mapping[Why, str] = {
    Why.REACHED: "the contact was reached by another call",
    Why.REFUSED: "another call to the contact was refused",
    Why.BLOCKED: "a network blocks calls to the contact",
    Why.CANCELED: "the app has canceled the redials of the contact",
    Why.STOPPED: "another call to the contact has ended for good",
}
