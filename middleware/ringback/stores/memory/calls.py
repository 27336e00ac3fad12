"""What the store in memory remembers of calls for their records: of the last calls, and nothing of an event's body."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, field

from ringback.core.outcome import Outcome, informs_more
from ringback.stores.call_matches import Match, contact_in, ends_of, leg_in, match_of_item, matches_in
from ringback.work.call_detail import StoredItem, Traces
from ringback.work.contact import Contact
from ringback.work.history import CallFilter, Found
from ringback.work.items import Item, Progress, State
from ringback.work.keys import short
from ringback.work.latch import Offer, informed, remember
from ringback.work.told import Told, told_by
from ringback_catalog import Verdict, recognized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ringback.stores.memory.letters import Row

MOST_TOLD = 256
"""Events of one call that are remembered beside its ends, the first ones: an app may fail to play for hours."""


class Kept(Struct):
    """An item, for as long as its call is remembered."""

    at: float
    told: tuple[Told, ...]
    verdict: Verdict | None
    informs: int
    ends_call: bool
    contact: str | None
    duplicates: int = 0
    state: State = State.READY
    attempts: int = 0
    progress: Progress = Progress()


class End(NamedTuple):
    """An end of a call, with all that its events reported."""

    kept: Kept
    outcome: Outcome


class _Call(Struct):
    """What is remembered of one call, under the correlation id or, where no event has one, under the leg."""

    told: list[Told] = field(default_factory=list[Told])
    items: dict[str, Kept] = field(default_factory=dict[str, Kept])
    legs: set[str] = field(default_factory=set[str])


class MemoryCalls:
    """Remembers the last ``capacity`` calls, and as many ends of calls. ``known`` is what is known of each contact,
    ``live`` the items by key.
    """

    def __init__(self, capacity: int, known: Mapping[str, Contact], live: Mapping[str, Row]) -> None:
        self._capacity = capacity
        self._known = known
        self._live = live
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._of_leg: dict[str, str] = {}
        self.ends: OrderedDict[str, End] = OrderedDict()
        """The ends by the keys of their items, but for those that another end has replaced."""

    def note(self, told: Told) -> None:
        call = self._call_of(told.call, told.leg, told.event)
        if len(call.told) < MOST_TOLD:
            call.told.append(told)

    def put(self, key: str, item: Item, offer: Offer, now: float) -> None:
        """Note an item that the store put under this key at the time ``now``; the latch answered ``offer``."""
        outcome = item.outcome
        ends_call = outcome.ends_call
        call = self._call_of(*_ids(outcome), key)
        late = short(informed(key))
        key = late if offer is Offer.DUPLICATE and late in self.ends else key
        end = self.ends.get(key)
        kept = call.items.get(key) if end is None else end.kept
        if offer is Offer.OPENED:
            first = (told_by(outcome.event, now, outcome.refined_by),) if ends_call else ()
            kept = call.items[key] = Kept(now, first, outcome.verdict, outcome.informs(), ends_call, item.contact)
            if ends_call:
                remember(self.ends, key, End(kept, outcome), self._capacity)
                self._yield(key, item)
        elif kept is None:
            return
        elif offer is Offer.MERGED:
            told = told_by(outcome.event, now, outcome.refined_by)
            if informs_more(outcome.informs(), kept.informs):
                kept.told, kept.verdict, kept.informs = (told, *kept.told), outcome.verdict, outcome.informs()
            else:
                kept.told += (told,)
            kept.contact = kept.contact or item.contact
            if end is not None:
                self.ends[key] = End(kept, end.outcome.merged_with(outcome))
        else:
            kept.duplicates += 1

    def settled(self, key: str, state: State, row: Row) -> None:
        """Note the state that the item of this key has reached, and what its ``row`` has come to."""
        found = [call.items.get(key) for call in self._named(*_ids(row.item.outcome), key)]
        for kept in (*found, self.ends[key].kept if key in self.ends else None):
            if kept is not None:
                kept.state, kept.attempts, kept.progress = state, row.attempts, row.progress

    def call(self, name: str) -> Traces | None:
        found = max(self._matches(name), key=lambda found: found[0].at, default=None)
        return None if found is None else self._traces(found[1])

    def of(self, outcome: Outcome) -> Traces | None:
        """What is known of the call of an outcome, by its ids alone."""
        # Most calls of an app without CallConnected have no notes.
        call = next(self._named(*_ids(outcome)), None) if self._calls else None
        return None if call is None else self._traces(call)

    def _traces(self, call: _Call) -> Traces:
        items = tuple(self._item(key, kept) for key, kept in call.items.items())
        contact = contact_in(items)
        return Traces(tuple(call.told), items, contact, self._known.get(contact or "", Contact()))

    def calls(self, chosen: CallFilter, limit: int, offset: int, *, oldest_first: bool) -> Found:
        ends = None if chosen.name is None else ends_of(match for match, _ in self._matches(chosen.name))
        ended = [
            (kept, self._item(key, kept), call)
            for call in self._calls.values()
            for key, kept in call.items.items()
            if kept.ends_call and kept.verdict is not None and (ends is None or ends.has(key, _call_in(kept)))
        ]
        found = sorted((each for each in ended if _meets(each[1], chosen)), key=lambda each: each[0].at)
        found = found if oldest_first else found[::-1]
        page = found[offset : offset + limit]
        return Found([Traces(_heard(call, item), (item,), item.contact) for _, item, call in page], len(found))

    def _call_of(self, correlation: str | None, leg: str | None, otherwise: str) -> _Call:
        """The call of these ids, which is made if there is none."""
        name = correlation or (None if leg is None else self._of_leg.get(leg)) or leg or otherwise
        call = self._calls.get(name)
        if call is None:
            call = self._calls[name] = _Call()
            if len(self._calls) > self._capacity:
                _, old = self._calls.popitem(last=False)
                for each in old.legs:
                    self._of_leg.pop(each, None)
        if leg is not None and leg not in call.legs:
            call.legs.add(leg)
            self._of_leg[leg] = name
        return call

    def _named(self, *names: str | None) -> Iterator[_Call]:
        """The calls of which one of the names is the correlation id, the leg, or the key."""
        for name in names:
            if name is not None:
                call = self._calls.get(self._of_leg.get(name, name))
                if call is not None:
                    yield call

    def _matches(self, name: str) -> Iterator[tuple[Match, _Call]]:
        """Each match of this id, with its call."""
        whole = next(self._named(short(name), leg_in(name)), None)
        for call in self._calls.values() if whole is None else (whole,):
            yield from ((match, call) for match in matches_in(call.told, name))
            for key, kept in call.items.items():
                if name in (key, short(informed(key))) or any(matches_in(kept.told, name)):
                    yield match_of_item(key, _call_in(kept), kept.at), call

    def _item(self, key: str, kept: Kept) -> StoredItem:
        row = self._live.get(key)
        latest, verdict, told = kept if row is None else row, kept.verdict, kept.told
        first = told[0] if told else None
        fields: dict[str, Any] = {}
        if verdict is not None and first is not None:
            entry = verdict.entry
            fields = {"code": first.code, "subcode": first.subcode, "match": verdict.match, "cause": entry.cause}
            fields |= {"category": entry.category, "retry": entry.retry, "owner": entry.owner, "verdict": verdict}
        return StoredItem(
            key,
            kept.at,
            latest.state,
            "" if first is None else first.event,
            latest.attempts,
            latest.progress,
            told,
            row.reason or None if row is not None else None,
            kept.duplicates,
            kept.contact,
            **fields,
        )

    def _yield(self, key: str, item: Item) -> None:
        """Take the verdict from an end that this one replaces: the same end without a reason, or Event Grid's end of
        the whole call. The leg's own event says more than that, whichever comes first.
        """
        correlation, uninformed = item.outcome.correlation_id, short(item.key)
        is_own = item.outcome.event_name != "CallEnded" and correlation is not None
        whole = short(f"call:{correlation}") if is_own else None
        for other in {uninformed, whole} - {key}:
            end = self.ends.get(other or "")
            if end is not None and (other == uninformed or [each.event for each in end.kept.told] == ["CallEnded"]):
                end.kept.verdict = None
                self.ends.pop(other or "")


def _ids(outcome: Outcome) -> tuple[str | None, str | None]:
    """The correlation id and the leg, as notes have them."""
    return short(outcome.correlation_id), short(outcome.call_connection_id)


def _call_in(kept: Kept) -> str | None:
    return next((told.call for told in kept.told if told.call is not None), None)


def _heard(call: _Call, item: StoredItem) -> tuple[Told, ...]:
    return tuple(each for each in call.told if each.leg in (item.leg, None))


def _meets(item: StoredItem, chosen: CallFilter) -> bool:
    row = {name: getattr(item, name, None) for name in ("cause", "code", "subcode", "event", "category", "retry")}
    row |= {"acts": item.owner, "contact": item.contact}
    within = (chosen.since is None or item.at >= chosen.since) and (chosen.until is None or item.at < chosen.until)
    known = chosen.recognized in (None, recognized(item.code, item.subcode, item.match))
    return within and known and all(row[name] in values for name, values in chosen.columns())
