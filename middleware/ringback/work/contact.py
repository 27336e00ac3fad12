"""What is known of a contact: the calls to the contact, and what the app has said of further calls. Pure.

A store keeps one :class:`Contact` for each contact, notes in it what events report as soon as they come, and changes it
in transactions that exclude each other. Planning a redial and placing a redial both ask
:func:`ringback.work.obstacle.obstacle`. Times are seconds since the epoch, UTC.

A redial counts as a call from its plan on, by the key of its item. Any other call counts when an event of it comes, by
its leg, which is the call connection id. The leg of a redial is told by the redial function, which returns what
``create_call`` returned, or by the operation context that Ringback offers to the function. Where neither is told, the
next leg that nobody has told counts as the redial's, so that one call does not count twice. Where nobody can say
whether a redial was placed, a leg that nobody has told counts beside the redial.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.times import END_OF_TIME
from ringback.work.contact_call import (
    FINAL,
    LASTS,
    LONGEST_WINDOW,
    UNCOUNTED,
    UNPLACED,
    UNSEEN,
    CallRecord,
    CallState,
    PastCall,
    Report,
)

if TYPE_CHECKING:
    from ringback.work.items import Item, Progress

T = TypeVar("T")


class Contact(Struct, frozen=True, omit_defaults=True):
    """The calls to one contact, in the order in which they became known, and when the app last canceled redials.

    ``never`` says that nobody may call the contact again, until somebody takes that back.
    """

    calls: tuple[CallRecord, ...] = ()
    canceled_at: float | None = None
    never: bool = False

    def call(self, name: str) -> CallRecord | None:
        """The call with this key or this leg."""
        return next((call for call in self.calls if name in (call.key, call.leg)), None)

    def times(self, without: str | None = None, *, unrung: bool = False) -> list[float]:
        """When the calls were or are to be placed, the earliest first, but for the call with the key ``without``.

        With ``unrung`` the calls that failed before anything can have rung, else all others.
        """
        counted = (call for call in self.calls if call.state not in UNCOUNTED and call.unrung is unrung)
        return sorted(call.at for call in counted if call.key != without)

    @property
    def unanswered(self) -> list[float]:
        """When the calls were placed that have ended, may have rung, and were not answered."""
        counted = (call for call in self.calls if call.state not in UNCOUNTED and not call.unrung)
        return [call.at for call in counted if call.ended_at is not None and call.answered_at is None]

    def history(self, without: str) -> tuple[PastCall, ...]:
        """The calls that were placed, the earliest first, but for the call with the key ``without``."""
        placed = (call for call in self.calls if call.state not in UNPLACED and call.key != without)
        return tuple(
            PastCall(call.at, call.answered_at, call.ended_at, is_redial=not call.by_app)
            for call in sorted(placed, key=lambda call: call.at)
        )

    @property
    def planned(self) -> tuple[str, ...]:
        """The keys of the redials that wait for their time."""
        return tuple(call.key for call in self.calls if call.state is CallState.PLANNED)

    @property
    def lasting(self) -> list[tuple[CallRecord, float]]:
        """The redials in progress, and until when each counts as in progress if no event says more.

        A redial whose function is running is not meant: a worker has its item.
        """
        return [(call, call.at + LASTS[call.state]) for call in self.calls if call.state in LASTS and not call.by_app]

    @property
    def busy_until(self) -> float | None:
        """Until when a redial of the contact counts as in progress if no event says more; ``None`` without one."""
        return max((until for _, until in self.lasting), default=None)

    def recent(self, now: float) -> Contact:
        """The contact without the calls that no policy asks for any more."""
        calls = tuple(call for call in self.calls if call.last > now - LONGEST_WINDOW)
        return self if len(calls) == len(self.calls) else replace(self, calls=calls)

    def noted(self, report: Report, at: float, *, late: bool = False) -> Contact:
        """The contact after an event that came at ``at``. To note an event again changes nothing.

        ``late``: hooks have the end of this call already. Only a refusal or a block then changes the word.
        """
        call = self._reported(report, at)
        if call is None:
            call = CallRecord(report.name, at, report.leg, CallState.ENDED if report.counts else CallState.NOT_OURS)
        unrung = call.unrung if report.rung is None else not report.rung
        return self._with(replace(call, leg=report.leg, unrung=unrung).after(report, at, late=late))

    def _reported(self, report: Report, at: float) -> CallRecord | None:
        """The call of a report: by the leg, by the operation context, or the oldest redial that has told no leg."""
        known = self.call(report.leg or report.name)
        if known is not None or report.leg is None or not report.counts:
            return known
        untold = [call for call in self.calls if call.leg is None and call.state in _UNTOLD]
        if report.context is not None:
            ours = next((call for call in untold if call.context == report.context), None)
            if ours is not None:
                return ours
        return next((call for call in untold if _may_be(call, report, at)), None)

    def decided(self, report: Report) -> Contact:
        """The contact once it is decided, by the most informative report, whether a redial follows the call."""
        call = self.call(report.leg or report.name)
        if call is None or report.connected:
            return self
        state = CallState.ENDED if call.state is CallState.OPEN else call.state
        if call.word not in FINAL:
            call = replace(call, word=report.word, cause=report.cause)
        return self._with(replace(call, state=state))

    def given_up(self, name: str, limit: str) -> Contact:
        """The contact once a limit of the policy has forbidden the redial of the call with this key or this leg."""
        call = self.call(name)
        return self if call is None else self._with(replace(call, gave_up=limit))

    def redial(
        self, key: str, state: CallState, at: float, *, leg: str | None = None, context: str | None = None
    ) -> Contact:
        """The contact once the redial of this key has come into this state at the time ``at``."""
        known, call = self, self.call(key) or CallRecord(key, at)
        if state in (CallState.PLACED, CallState.UNKNOWN):
            return self._placed(call, state, leg)
        if call.leg is not None:
            # An event has told of a call that this redial placed, whatever the function says.
            known, call = self._apart(call), CallRecord(key, at)
        return known._with(replace(call, state=state, at=at, context=context))

    def _placed(self, call: CallRecord, state: CallState, leg: str | None) -> Contact:
        """The redial function has returned, perhaps with the leg. Events of the call may have come before."""
        if call.leg is not None and leg in (None, call.leg):
            # An event with the operation context has told the leg.
            return self
        known = self
        if call.leg is not None:
            known, call = self._apart(call), CallRecord(call.key, call.at, context=call.context)
        ours = known._first_untold(call) if leg is None and state is CallState.PLACED else known.call(leg or "")
        if ours is None:
            return known._with(replace(call, state=state, leg=leg))
        if not _by_leg(ours):
            # Another redial has told the same leg, so this one has told none.
            return known._with(replace(call, state=state))
        return known._without(ours.key)._with(replace(ours, key=call.key, at=call.at, context=call.context))

    def _first_untold(self, redial: CallRecord) -> CallRecord | None:
        """The first call that became known while the redial was placed, and that no redial has told."""
        if redial.context is not None:
            return None
        return next((call for call in self.calls if _by_leg(call) and call.at > redial.at), None)

    def canceled(self, now: float) -> tuple[Contact, tuple[str, ...], int]:
        """The contact once the app wants no redials, the keys of the redials, and how many calls that prevents.

        An end that waits for its decision counts as one, for it asked for a call.
        """
        planned = self.planned
        waiting = sum(call.state is CallState.OPEN for call in self.calls)
        calls = tuple(replace(call, state=_CANCELED.get(call.state, call.state)) for call in self.calls)
        return replace(self, calls=calls, canceled_at=now), planned, len(planned) + waiting

    def barred(self, now: float) -> tuple[Contact, tuple[str, ...], int]:
        """The contact once nobody may call it any more; the rest is as of :meth:`canceled`."""
        after, keys, count = self.canceled(now)
        return replace(after, never=True), keys, count

    def allowed(self) -> tuple[Contact, tuple[str, ...], int]:
        """The contact once it may be called again, no redials to cancel, and 1 if it was barred."""
        return replace(self, never=False), (), int(self.never)

    def changed_at(self, now: float) -> float:
        """From when on a store counts the time after which it forgets the contact. A barred one is never forgotten, and
        one whose redial waits longer than that not before the redial is due.
        """
        planned = (call.at for call in self.calls if call.state is CallState.PLANNED)
        return END_OF_TIME if self.never else max((now, *planned))

    def hastened(self, key: str, now: float) -> Contact | None:
        """The contact once the redial of this key is due; ``None`` if the redial does not wait for its time."""
        call = self._in_state(key, CallState.PLANNED)
        return None if call is None else self._with(replace(call, at=min(call.at, now)))

    def ended(self, key: str, now: float) -> Contact | None:
        """The contact once a person has said that this redial is no longer in progress; ``None`` if it was not.

        Nobody knows how the call has ended. An event that comes later still says it.
        """
        call = next((call for call, until in self.lasting if call.key == key and until > now), None)
        return None if call is None else self._with(replace(call, state=CallState.ENDED, ended_at=now))

    def closed(self) -> tuple[Contact, tuple[str, ...]]:
        """The contact without the redials that wait, and the keys of these redials."""
        calls = tuple(
            replace(call, state=CallState.CANCELED) if call.state is CallState.PLANNED else call for call in self.calls
        )
        return replace(self, calls=calls), self.planned

    def replayed(self, key: str, now: float) -> Contact:
        """The contact once the dead redial of this key waits again. A call that may have been placed stays so."""
        call = self._in_state(key, CallState.CANCELED)
        return self if call is None else self._with(replace(call, state=CallState.PLANNED, at=now))

    def taken_back(self, key: str) -> Contact:
        """The contact once the redial of this key, which was :meth:`replayed` and has not begun, is dead again."""
        call = self._in_state(key, CallState.PLANNED)
        return self if call is None else self._with(replace(call, state=CallState.CANCELED))

    def _in_state(self, key: str, state: CallState) -> CallRecord | None:
        call = self.call(key)
        return call if call is not None and call.state is state else None

    def _with(self, changed: CallRecord) -> Contact:
        if all(call.key != changed.key for call in self.calls):
            return replace(self, calls=(*self.calls, changed))
        return replace(self, calls=tuple(changed if call.key == changed.key else call for call in self.calls))

    def _without(self, key: str) -> Contact:
        return replace(self, calls=tuple(call for call in self.calls if call.key != key))

    def _apart(self, call: CallRecord) -> Contact:
        """The contact with this call of a redial as a call by its leg."""
        return self._without(call.key)._with(replace(call, key=f"leg:{call.leg}", context=None))


def _by_leg(call: CallRecord) -> bool:
    """Whether no redial has told of this call to the contact."""
    return call.by_app and call.state is not CallState.NOT_OURS


def _may_be(redial: CallRecord, report: Report, at: float) -> bool:
    """Whether a report of a leg that nobody has told may be of this redial, whose function has told no leg."""
    told = redial.context is not None and report.context is not None
    return redial.state is CallState.PLACED and not told and redial.at <= at < redial.at + UNSEEN


_UNTOLD = (CallState.PLACING, CallState.UNKNOWN, CallState.PLACED)

_CANCELED = {CallState.PLANNED: CallState.CANCELED, CallState.OPEN: CallState.ENDED}
"""What becomes of a call when the app wants no redials."""


class Step(Struct, Generic[T], frozen=True):
    """What a store carries out in one transaction: the contact's new state, a redial to put, redials to cancel, and
    redials that are to be due now.

    ``checkpoint`` is the progress of the claim on the item of this key. If the worker has lost the claim, the store
    carries nothing out. ``result`` is for whoever asked for the step.
    """

    contact: Contact
    result: T
    put: Item | None = None
    cancel: tuple[str, ...] = ()
    hasten: tuple[str, ...] = ()
    checkpoint: tuple[str, Progress] | None = None


Change = Callable[[Contact], Step[T]]
"""Makes a step from what is known of the contact. Pure: a store may call it twice."""
