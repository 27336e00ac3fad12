"""Makes the record of one call of what a store has of it. Pure."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ringback.work.call_detail import CallDetailRecord, EndedLeg, Ending, Entry, EntryKind, Leg, OtherCall
from ringback.work.contact_call import CONNECTED, UNPLACED
from ringback.work.hook_runs import EXHAUSTED, hook_runs
from ringback.work.keys import short
from ringback.work.told import INCOMING, TRANSFERRED, Told, second_of
from ringback_catalog import CALL_EVENTS, START_FAILURES, Cause, Disposition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from ringback.core.outcome import Outcome
    from ringback.work.call_detail import StoredItem, Traces
    from ringback.work.contact import Contact


def folded(traces: Traces) -> CallDetailRecord | None:
    """The record of a call; ``None`` if nothing is known of one. Legs stand in the order of their first events."""
    ends, operations = _by_leg(traces.items), {item.key: item for item in traces.items}
    told: dict[str | None, list[Told]] = {leg: [] for leg in ends}
    for each in traces.told:
        told.setdefault(each.leg, []).append(each)
    for items in ends.values():
        for item in items:
            told[item.leg].extend(item.told)
    entries = {leg: tuple(_entries(some, operations)) for leg, some in told.items() if some or leg is not None}
    whole = entries.pop(None, ())
    if _is_call_without_leg(ends.get(None, ())):
        entries[None] = tuple(entry for entry in whole if entry.event in CALL_EVENTS)
        whole = tuple(entry for entry in whole if entry.event not in CALL_EVENTS)
    if not entries and not whole:
        return None
    incoming = min((_moment(each) for each in whole if each.kind is EntryKind.INCOMING), default=None)
    order = sorted(entries, key=lambda leg: (min(map(_moment, entries[leg]), default=0.0), leg or ""))
    call = next((each.call for some in told.values() for each in some if each.call is not None), None)
    legs: list[Leg] = []
    for leg in order:
        # Only the first leg of a call can be the one that rang.
        rang_at = None if legs else incoming
        legs.append(_leg(leg, call, told[leg], entries[leg], ends.get(leg, ()), rang_at))
    names = {leg.call_connection_id for leg in legs} - {None}
    redials, before, after = _others(traces.known, names)
    return CallDetailRecord(call, tuple(legs), whole, traces.contact, redials, before, after)


def ended_leg(outcome: Outcome, traces: Traces | None, now: float) -> EndedLeg:
    """What :func:`folded` would say of the leg of an end that has settled, whether or not a store has the end as well.

    Most calls are never looked at, and each has a line, so this makes no record. ``now`` stands in for a missing time.
    """
    data = outcome.event.data
    leg = short(data.call_connection_id)
    events = (outcome.event,) if outcome.sibling is None else (outcome.event, outcome.sibling)
    ended_at = min([now if (second := second_of(event)) is None else second for event in events])
    begins: dict[str | None, float] = {leg: ended_at}
    connected_at, incoming_at, transferred = None, None, False
    context = outcome.operation_context
    for told in () if traces is None else chain(traces.told, *[item.told for item in traces.items]):
        at = told.happened_at
        if told.event == INCOMING:
            incoming_at = at if incoming_at is None else min(at, incoming_at)
        if told.leg is None:
            continue
        begins[told.leg] = min(at, begins.get(told.leg, at))
        if told.leg == leg:
            context = context or told.context
            transferred = transferred or told.event == TRANSFERRED
            if told.event == CONNECTED:
                connected_at = at if connected_at is None else min(at, connected_at)
    order = sorted(begins, key=lambda each: (begins[each], each or "")) if len(begins) > 1 else [leg]
    rang_until = ended_at if connected_at is None else connected_at
    return EndedLeg(
        data.correlation_id,
        data.call_connection_id,
        context,
        connected_at,
        ended_at,
        True if connected_at is not None else _answered(outcome.verdict.entry.cause, [event.name for event in events]),
        _between(incoming_at, rang_until) if order[0] == leg else None,
        _between(connected_at, ended_at),
        transferred,
        order.index(leg) + 1,
        len(begins),
        None if traces is None else _others(traces.known, set(begins))[0],
    )


def _by_leg(items: Iterable[StoredItem]) -> dict[str | None, list[StoredItem]]:
    """The items of ends, by leg; that with the verdict stands last."""
    ends: dict[str | None, list[StoredItem]] = {}
    for item in sorted(items, key=lambda item: item.cause is not None):
        if item.event in CALL_EVENTS and not item.key.startswith("redial:"):
            ends.setdefault(item.leg, []).append(item)
    return ends


def _is_call_without_leg(ends: Sequence[StoredItem]) -> bool:
    """Whether an end without a leg counts as a call: no leg of that call has reported an end of its own."""
    return any(item.event != "CallEnded" or item.cause is not None for item in ends)


def _entries(told: Iterable[Told], operations: dict[str, StoredItem]) -> Iterator[Entry]:
    """The events in the order of their times. An event that came again counts as a copy of the first."""
    seen: dict[tuple[object, ...], list[Told]] = {}
    for each in sorted(told, key=lambda each: (each.happened_at, each.at)):
        seen.setdefault((each.event, each.time, each.id, each.code, each.subcode), []).append(each)
    has_end = False
    for first, *others in seen.values():
        kind = _KINDS.get(first.event, EntryKind.OPERATION_FAILED)
        if kind is EntryKind.ENDED and first.event != "CallEnded":
            kind, has_end = (EntryKind.SIBLING if has_end else kind), True
        item = None if first.key is None else operations.get(first.key)
        yield Entry(
            kind,
            first.event,
            first.at,
            first.time,
            first.id,
            first.code,
            first.subcode,
            first.sip,
            first.q850,
            len(others),
            () if item is None else hook_runs(item.progress),
        )


_KINDS = {
    **dict.fromkeys(CALL_EVENTS, EntryKind.ENDED),
    INCOMING: EntryKind.INCOMING,
    "CallStarted": EntryKind.STARTED,
    CONNECTED: EntryKind.CONNECTED,
    TRANSFERRED: EntryKind.TRANSFERRED,
}


def _moment(entry: Entry) -> float:
    return entry.at if entry.time is None else entry.time


def _leg(
    leg: str | None,
    call: str | None,
    told: Sequence[Told],
    entries: tuple[Entry, ...],
    ends: Sequence[StoredItem],
    incoming_at: float | None,
) -> Leg:
    """One leg, of what was told of it and of the items of its end, of which the last has the verdict."""
    end = ends[-1] if ends else None
    ending = None if end is None else _ending(end, told)
    cause = None if ending is None else ending.cause
    connected_at = _first(entries, EntryKind.CONNECTED)
    ended_at = _first(entries, EntryKind.ENDED, EntryKind.SIBLING)
    rang_until = ended_at if connected_at is None else connected_at
    return Leg(
        leg,
        next((each.call for each in told if each.call is not None), call),
        next((each.context for each in told if each.context is not None), None),
        entries,
        ending,
        connected_at,
        ended_at,
        True if connected_at is not None else _answered(cause, [entry.event for entry in entries]),
        _between(incoming_at, rang_until),
        _between(connected_at, ended_at),
        any(entry.kind is EntryKind.TRANSFERRED for entry in entries),
        None if end is None else end.state,
        None if end is None else end.at,
        sum(item.duplicates for item in ends),
        tuple(run for item in ends for run in hook_runs(item.progress)),
        None if end is None else end.reason,
    )


def _first(entries: Iterable[Entry], *kinds: EntryKind) -> float | None:
    return min((_moment(entry) for entry in entries if entry.kind in kinds), default=None)


def _between(begin: float | None, end: float | None) -> float | None:
    """Seconds, to the microsecond, which is as exact as a number of seconds since the epoch."""
    return None if begin is None or end is None else round(max(0.0, end - begin), 6)


def _ending(end: StoredItem, told: Sequence[Told]) -> Ending | None:
    if end.cause is None or end.retry is None or end.category is None or end.match is None:
        return None
    first = next((each for each in told if (each.event, each.code) == (end.event, end.code)), None)
    is_exhausted = EXHAUSTED in end.progress.done
    return Ending(
        end.event,
        end.code,
        end.subcode,
        end.match,
        end.cause,
        end.category,
        end.retry,
        Disposition.TERMINAL if is_exhausted else end.retry.disposition,
        end.owner,
        None if first is None else first.sip,
        None if first is None else first.q850,
        None if first is None else first.refined_by,
        None if end.verdict is None else end.verdict.entry.summary,
        () if end.verdict is None else end.verdict.entry.advice,
    )


def _answered(cause: Cause | None, events: Collection[str]) -> bool | None:
    """Whether somebody answered a leg of which nobody saw a CallConnected, by its cause and the events of its end."""
    if not START_FAILURES.isdisjoint(events):
        return False
    return ANSWERED.get(cause)


ANSWERED: Mapping[Cause | None, bool] = {
    Cause.ENDED: True,
    Cause.HUNG_UP: True,
    Cause.REMOVED: True,
    Cause.TRANSFERRED: True,
    Cause.ANSWERED_ELSEWHERE: False,
    Cause.BLOCKED: False,
    Cause.BUSY: False,
    Cause.CANCELED: False,
    Cause.DECLINED: False,
    Cause.INVALID_NUMBER: False,
    Cause.NO_ANSWER: False,
    Cause.NOT_FOUND: False,
    Cause.UNREACHABLE: False,
}
"""Whether somebody answered a call with such an end. Every other cause says nothing of that."""


def _others(known: Contact, legs: set[str | None]) -> tuple[int | None, tuple[OtherCall, ...], tuple[OtherCall, ...]]:
    """The redials up to this call, and the calls to the contact before and after it."""
    calls = sorted(known.calls, key=lambda call: call.at)
    place = next((index for index, call in enumerate(calls) if call.leg in legs), None)
    others = [
        OtherCall(call.at, call.state, not call.by_app, call.leg, call.answered_at, call.ended_at, call.cause)
        for call in calls
    ]
    if place is None:
        return None, (), ()
    redials = 0
    for call in calls[: place + 1]:
        if call.state not in UNPLACED:
            redials = 0 if call.by_app else redials + 1
    return redials, tuple(others[:place]), tuple(others[place + 1 :])
