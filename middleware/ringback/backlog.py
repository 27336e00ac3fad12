"""What a call has said, for those who ask later, and what a wait makes of it. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError
from ringback_catalog import CALL_EVENTS, OPERATION_EVENTS, PREFIX, event_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.events import Event
    from ringback.outcome import Outcome

EventFilter = str | Collection[str] | Callable[["Event"], bool]
"""An event's name or type, several, or a predicate of the event."""

ONCE = CALL_EVENTS | {"CallConnected"}
"""What is said at most once in a call's life. It is a state and not an answer to one operation: nobody takes it."""

FAILED_BY: dict[str, frozenset[str]] = {
    "AddParticipantSucceeded": frozenset({"AddParticipantFailed"}),
    "CallTransferAccepted": frozenset({"CallTransferFailed"}),
    "CancelAddParticipantSucceeded": frozenset({"CancelAddParticipantFailed"}),
    "ContinuousDtmfRecognitionToneReceived": frozenset({"ContinuousDtmfRecognitionToneFailed"}),
    "MediaStreamingStarted": frozenset({"MediaStreamingFailed"}),
    "MoveParticipantSucceeded": frozenset({"MoveParticipantFailed"}),
    "PlayCompleted": frozenset({"PlayCanceled", "PlayFailed"}),
    "PlayStarted": frozenset({"PlayCanceled", "PlayFailed"}),
    "RecognizeCompleted": frozenset({"RecognizeCanceled", "RecognizeFailed"}),
    "RecordingStateChanged": frozenset({"StartRecordingFailed"}),
    "RemoveParticipantSucceeded": frozenset({"RemoveParticipantFailed"}),
    "SendDtmfTonesCompleted": frozenset({"SendDtmfTonesFailed"}),
    "TranscriptionStarted": frozenset({"TranscriptionFailed"}),
}
"""What comes instead of an event when the operation failed (events of azure-communication-callautomation 1.6.0)."""


class Answer(StrEnum):
    """What an event is to who waits."""

    WANTED = "wanted"
    FAILED = "failed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The events that somebody waits for, of which call, and of which operation."""

    names: frozenset[str] = frozenset()
    when: Callable[[Event], bool] | None = None
    leg: str | None = None
    context: str | None = None

    def answer(self, event: Event) -> Answer | None:
        """What an event of the leg is to this wait; ``None`` if it is nothing. A predicate's exception propagates."""
        name, data = event.name, event.data
        ending = name in CALL_EVENTS
        # CreateCallFailed lacks the context, and an operation ends with its call, whose context is another.
        if self.context not in (None, data.operation_context) and not (ending and self.leg is not None):
            return None
        if name in self.names if self.when is None else self.when(event):
            return Answer.WANTED
        if self.leg is None and self.context is None:
            # Any call will do, so the end of one ends nothing.
            return None
        if ending:
            return Answer.ENDED
        return Answer.FAILED if any(name in FAILED_BY.get(each, ()) for each in self.names) else None


def wanted(events: EventFilter, leg: str | None = None, context: str | None = None) -> Wanted:
    """What to look for. Raises :class:`ConfigurationError` for names that no event has, and for none."""
    if callable(events):
        return Wanted(when=events, leg=leg, context=context)
    names = frozenset(_name(each) for each in ([events] if isinstance(events, str) else events))
    if not names:
        raise ConfigurationError("there is no event to wait for; name one, such as 'CallConnected'")
    return Wanted(names, leg=leg, context=context)


def _name(event: str) -> str:
    known, name = CALL_EVENTS | OPERATION_EVENTS, event_name(event)
    # A full type is taken at its word, as in @router.on: the service adds events faster than we release.
    if name not in known and not (name and event.startswith(PREFIX)):
        close = get_close_matches(event, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigurationError(f"event {event!r} is none of Call Automation{hint}; or write its full type, {PREFIX}…")
    return name


@dataclass(eq=False, slots=True)
class Said:
    """An event with its outcome, if it has one, and its place in the order of arrival."""

    event: Event
    outcome: Outcome | None
    number: int
    takers: int = 0


class Backlog:
    """The events of one call that nobody has taken: at most ``size``, the oldest are forgotten first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._once: dict[str, Said] = {}
        self._open: deque[Said] = deque(maxlen=size)
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.ending: Outcome | None = None

    @property
    def blank(self) -> bool:
        """Whether the call was never heard of."""
        return not (self._once or self._open or self._seen)

    def __iter__(self) -> Iterator[Said]:
        """In the order of arrival."""
        return iter(sorted((*self._once.values(), *self._open), key=lambda said: said.number))

    def add(self, said: Said) -> bool:
        """Take note of an event; whether it is new."""
        name = said.event.name
        if name in ONCE:
            if name in self._once:
                return False
            self._once[name] = said
            if said.outcome is not None and name in CALL_EVENTS:
                self.ending = said.outcome if self.ending is None else self.ending.merged_with(said.outcome)
            return True
        if said.event.id is not None:
            key = (said.event.id, name)
            if key in self._seen:
                return False
            self._seen[key] = None
            # Longer than the events themselves: one that was taken may still come again.
            if len(self._seen) > 2 * self._size:
                self._seen.popitem(last=False)
        self._open.append(said)
        return True

    def take(self, said: Said) -> None:
        """Somebody has got this event; nobody who asks later gets it, unless it is said only once."""
        said.takers += 1
        if said in self._open:
            self._open.remove(said)

    def give_back(self, said: Said) -> bool:
        """Who took this event did not live to see it; whether it is to be had again."""
        said.takers -= 1
        if said.takers or said.event.name in ONCE:
            return False
        self._open = deque(sorted((said, *self._open), key=lambda each: each.number), maxlen=self._size)
        return said in self._open
