"""The outcome of a redial programme: which attempt reached whom, and what ended the attempts. Pure.

The figures come from what is known of each :class:`~ringback.work.contact.Contact`. A call that the app placed itself
is attempt 1, and the redials that follow it are 2, 3 and so on. Calls from before causes were noted have none. A redial
of which nobody can say whether it was placed is no attempt.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.work.contact_call import UNCOUNTED, CallRecord, CallState, Word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.work.contact import Contact


class Share(Struct, frozen=True):
    """Of so many calls, how many reached the contact, and how many failed before anything can have rung.

    ``name`` says which calls: the number of the attempt, the hour of the day, or the cause of the call before.
    """

    name: str
    calls: int
    reached: int
    unrung: int


class GivenUp(Struct, frozen=True):
    """How many times a limit of the policy ended the attempts, after a call that ended with this cause."""

    limit: str
    cause: str
    count: int


class Programme(Struct, frozen=True):
    """What became of the calls since ``since``, in seconds since the epoch.

    ``contacts`` were called, and ``reached`` of them answered or ended a call as intended. ``waiting`` redials are to
    come. ``hours`` are those of one time zone.
    """

    since: float
    contacts: int = 0
    reached: int = 0
    waiting: int = 0
    attempts: tuple[Share, ...] = ()
    given_up: tuple[GivenUp, ...] = ()
    causes: tuple[Share, ...] = ()
    hours: tuple[Share, ...] = ()


class Tally:
    """Counts what contacts tell of the calls since a time. Hours are those of ``zone``."""

    def __init__(self, since: float = 0.0, zone: tzinfo = UTC) -> None:
        self._since = since
        self._zone = zone
        self._contacts = self._reached = self._waiting = 0
        self._attempts, self._causes, self._hours = _Counts(), _Counts(), _Counts()
        self._given_up: Counter[tuple[str, str]] = Counter()

    def add(self, contact: Contact) -> None:
        number, cause, counted, reached = 0, UNKNOWN, False, False
        for call in sorted(contact.calls, key=lambda call: call.at):
            if call.state is CallState.PLANNED:
                self._waiting += 1
                continue
            placed = call.state not in _UNTOLD
            before, cause = cause, call.cause or UNKNOWN if placed else cause
            if call.gave_up is not None and call.last >= self._since:
                self._given_up[call.gave_up, cause] += 1
            if not placed:
                continue
            number = 1 if call.by_app else max(1, number) + 1
            if call.at >= self._since:
                counted, reached = True, reached or _was_reached(call)
                self._attempts.add(number, call)
                self._hours.add(datetime.fromtimestamp(call.at, self._zone).hour, call)
                if not call.by_app:
                    self._causes.add(before, call)
        self._contacts += counted
        self._reached += reached

    def programme(self) -> Programme:
        """What has been counted so far: attempts and hours in order, limits and causes with the most first."""
        given_up = sorted(self._given_up.items(), key=lambda counted: (-counted[1], counted[0]))
        causes = sorted(self._causes.shares("{}"), key=lambda share: (-share.calls, share.name))
        return Programme(
            since=self._since,
            contacts=self._contacts,
            reached=self._reached,
            waiting=self._waiting,
            attempts=tuple(self._attempts.shares("{}")),
            given_up=tuple(GivenUp(*names, count) for names, count in given_up),
            causes=tuple(causes),
            hours=tuple(self._hours.shares("{:02}")),
        )


class _Counts:
    def __init__(self) -> None:
        self._calls = Counter[int | str]()
        self._reached = Counter[int | str]()
        self._unrung = Counter[int | str]()

    def add(self, name: int | str, call: CallRecord) -> None:
        self._calls[name] += 1
        self._reached[name] += _was_reached(call)
        self._unrung[name] += call.unrung

    def shares(self, form: str) -> Iterator[Share]:
        for name, calls in sorted(self._calls.items()):
            yield Share(form.format(name), calls, self._reached[name], self._unrung[name])


def _was_reached(call: CallRecord) -> bool:
    return call.answered_at is not None or call.word is Word.REACHED


_UNTOLD = (*UNCOUNTED, CallState.UNKNOWN)
"""The states that are no call. Where nobody can say whether a redial was placed, an event of the call tells: with the
operation context of the redial it is the redial's, whose state it changes; any other is of a call of its own.
"""

UNKNOWN = "unknown"
"""The cause where none was noted."""
