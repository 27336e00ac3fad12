"""The events of a call that later waits may want, and what an event means to a wait. Pure."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError
from ringback.hooks.guarded import told
from ringback.hooks.signatures import refuse_async, refuse_uncallable
from ringback.settings import nearest
from ringback_catalog import CALL_EVENTS, EVENTS, INSTEAD_OF, PREFIX, EventKind, event_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.core.events import Event
    from ringback.core.outcome import Outcome

EventFilter = str | Collection[str] | Callable[["Event"], bool]
"""A name or a type of an event, a collection of names, or a predicate that takes an event."""

ONCE = frozenset(name for name, row in EVENTS.items() if row.kind in (EventKind.BEGIN, EventKind.END))
"""Events that come at most once in a call, such as CallConnected. No wait takes such an event away from other waits."""

ANSWERS = frozenset(name for name, row in EVENTS.items() if row.kind is EventKind.ANSWER)
"""Events that answer one operation. All others, unknown types included, report what goes on in the call."""


class Answer(StrEnum):
    """What an event means to a wait."""

    WANTED = "wanted"
    FAILED = "failed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a wait or a handler wants, of which leg, and of which operation."""

    names: frozenset[str] = frozenset()
    when: Callable[[Event], bool] | None = None
    leg: str | None = None
    context: str | None = None

    @property
    def by_context(self) -> bool:
        """Whether the operation context alone says which call is meant."""
        return self.leg is None and self.context is not None

    def answer(self, event: Event) -> Answer | None:
        """What an event of the leg means to the wait; ``None`` if the wait ignores the event.

        Raises what the predicate raises.
        """
        name, data = event.name, event.data
        ending = name in CALL_EVENTS
        # The end of a leg also ends its operations, whatever context the event has. CreateCallFailed has none.
        if self.context not in (None, data.operation_context) and not (ending and self.leg is not None):
            return None
        if name in self.names if self.when is None else told(self.when, event):
            return Answer.WANTED
        if self.leg is None and self.context is None:
            # The wait takes any call, so the end of one call does not end the wait.
            return None
        if ending:
            return Answer.ENDED
        return Answer.FAILED if any(name in INSTEAD_OF.get(wanted_name, ()) for wanted_name in self.names) else None


def wanted(events: EventFilter, leg: str | None = None, context: str | None = None) -> Wanted:
    """Reads the arguments of a wait. Raises :class:`ConfigurationError` where ``events`` names no event.

    A predicate is called where an event arrives, in any thread, so it must not be async.
    """
    if callable(events):
        refuse_uncallable(events, 1, "(event)", "predicate")
        refuse_async(events, "predicate")
        return Wanted(when=events, leg=leg, context=context)
    several = not isinstance(events, str) and isinstance(events, Collection)  # pyright: ignore[reportUnnecessaryIsInstance]
    given: Collection[object] = events if several else [events]
    names = frozenset(event_name(name) if isinstance(name, str) else "" for name in given)
    if not names or "" in names:
        raise ConfigurationError(
            f"{events!r}: there is no event to wait for; name one, such as 'CallConnected', or several in a list"
        )
    return Wanted(names, leg=leg, context=context)


def doubtful(event: str) -> str | None:
    """Why this name of an event may be misspelled; ``None`` for a name that an SDK knows, and for a full type."""
    name = event_name(event)
    if name in EVENTS or event.startswith(PREFIX):
        return None
    hint = nearest(name, EVENTS) or "; is it spelled as the service spells it?"
    return f"no SDK that was known when this release was made has an event {name!r}{hint}"


@dataclass(eq=False, slots=True)
class Arrival:
    """One received event with its outcome, if the event has one. ``number`` is the place in the order of arrival.

    ``takers`` counts the waits that have taken the event.
    """

    event: Event
    outcome: Outcome | None
    number: int
    takers: int = 0


class KeptByContext:
    """The kept events of all calls, in the order of arrival: all of them, or those of one operation context."""

    def __init__(self) -> None:
        self._all: dict[int, Arrival] = {}
        self._of: dict[str, dict[int, Arrival]] = {}

    def add(self, arrival: Arrival) -> None:
        self._all[arrival.number] = arrival
        context = arrival.event.data.operation_context
        if context is not None:
            self._of.setdefault(context, {})[arrival.number] = arrival

    def remove(self, arrival: Arrival) -> None:
        del self._all[arrival.number]
        context = arrival.event.data.operation_context
        if context is not None:
            kept = self._of[context]
            del kept[arrival.number]
            if not kept:
                del self._of[context]

    def of(self, context: str | None) -> list[Arrival]:
        """The events of a context; all events for ``None``."""
        kept = self._all if context is None else self._of.get(context, {})
        # An event that was given back stands behind younger ones.
        return [kept[number] for number in sorted(kept)]


class _Buffer:
    """At most ``size`` events that no wait has taken, and the keys of the last ``2 * size`` events that came.

    A full buffer drops an event of the name that the buffer has most often, the oldest event first.
    """

    def __init__(self, size: int, index: KeptByContext) -> None:
        self._size = size
        self._index = index
        self.kept: list[Arrival] = []
        self.seen: OrderedDict[tuple[str | None, str, str], None] = OrderedDict()

    def repeated(self, arrival: Arrival) -> bool:
        """Remembers the event. True if an event with the same source, id and name came before."""
        event = arrival.event
        if event.id is None:
            return False
        key = (event.source, event.id, event.name)
        if key in self.seen:
            return True
        self.seen[key] = None
        # Keys are kept longer than events, because the sender may redeliver an event that a wait has taken.
        if len(self.seen) > 2 * self._size:
            self.seen.popitem(last=False)
        return False

    def keep(self, arrival: Arrival) -> None:
        self.kept.append(arrival)
        self._index.add(arrival)
        if len(self.kept) > self._size:
            counts = Counter(kept.event.name for kept in self.kept)
            self.drop(max(self.kept, key=lambda kept: (counts[kept.event.name], -kept.number)))

    def drop(self, arrival: Arrival) -> None:
        self.kept.remove(arrival)
        self._index.remove(arrival)


class Backlog:
    """The events of one call that no wait has taken: at most ``size`` answers, and ``size`` other events.

    Answers have a buffer of their own, so that frequent reports such as ParticipantsUpdated push no answer out.
    ``index`` has the events of all calls.
    """

    def __init__(self, size: int, index: KeptByContext) -> None:
        self._index = index
        self._once: dict[str, Arrival] = {}
        self._answers = _Buffer(size, index)
        self._states = _Buffer(size, index)
        self.ending: Outcome | None = None
        self.ended: int | None = None
        """The number of the event that was the first to report the end."""

    @property
    def blank(self) -> bool:
        """Whether no event of the call has come."""
        return not (self._once or any(buffer.kept or buffer.seen for buffer in (self._answers, self._states)))

    def __iter__(self) -> Iterator[Arrival]:
        """In the order of arrival."""
        everything = (*self._once.values(), *self._answers.kept, *self._states.kept)
        return iter(sorted(everything, key=lambda arrival: arrival.number))

    def add(self, arrival: Arrival) -> bool:
        """Keeps an event. False for a redelivery."""
        name = arrival.event.name
        if name in ONCE:
            if name in self._once:
                return False
            self._once[name] = arrival
            self._index.add(arrival)
            if name in CALL_EVENTS:
                self._end(arrival)
            return True
        buffer = self._buffer(arrival)
        if buffer.repeated(arrival):
            return False
        buffer.keep(arrival)
        return True

    def take(self, arrival: Arrival) -> None:
        """A wait has taken this event: no later wait gets the event, unless the event is in :data:`ONCE`."""
        arrival.takers += 1
        buffer = self._buffer(arrival)
        if arrival in buffer.kept:
            buffer.drop(arrival)

    def give_back(self, arrival: Arrival) -> bool:
        """The wait that took this event was cancelled. True if another wait can take the event now."""
        arrival.takers -= 1
        if arrival.takers or arrival.event.name in ONCE:
            return False
        buffer = self._buffer(arrival)
        buffer.keep(arrival)
        return arrival in buffer.kept

    def forget(self) -> None:
        """Takes the events of the call out of the index."""
        for arrival in self:
            self._index.remove(arrival)

    def _end(self, arrival: Arrival) -> None:
        if self.ended is None:
            self.ended = arrival.number
        if arrival.outcome is not None:
            self.ending = arrival.outcome if self.ending is None else self.ending.merged_with(arrival.outcome)

    def _buffer(self, arrival: Arrival) -> _Buffer:
        return self._answers if arrival.event.name in ANSWERS else self._states
