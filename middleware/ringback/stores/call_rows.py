"""What a store keeps of a call beside its items, as bytes and back; and its items as a record has them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, json
from msgspec.structs import replace

from ringback.core.delivery import digest_of
from ringback.exceptions import StoreError
from ringback.stores.record import load_progress, outcome_of
from ringback.stores.stored_told import END, dump_end, load_told
from ringback.stores.words import known_category, known_cause, known_match, known_owner, known_retry
from ringback.work.call_detail import StoredItem, Traces
from ringback.work.items import Progress, State
from ringback.work.keys import short
from ringback.work.latch import informed
from ringback.work.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ringback.core.outcome import Outcome
    from ringback.work.call_filter import CallFilter


ITEM = (
    "key, created_at, state, event, attempts, progress, told, reason, duplicates, contact, code, subcode, match, cause,"
    " category, retry, acts, call, context, payload, sibling"
)
"""The columns that :func:`item_of` takes, in order; the verdict follows, where a store keeps verdicts apart."""


def item_of(*row: Any) -> StoredItem:
    """The item of a row. What cannot be read is left out, because the rest of the record is worth reading."""
    key, at, state, event, attempts, progress, told, reason, duplicates, contact, code, subcode, *rest = row
    match, cause, category, retry, owner, call, context, payload, sibling, *verdict = rest
    outcome = outcome_of(payload, sibling, *verdict)
    return StoredItem(
        key,
        at,
        State(state),
        event,
        attempts,
        _progress(progress),
        _told_of(key, call, context, told, outcome, {"event": event, "at": at, "code": code, "subcode": subcode}),
        reason,
        duplicates,
        contact,
        code,
        subcode,
        None if match is None else known_match(match),
        None if cause is None else known_cause(cause),
        None if category is None else known_category(category),
        None if retry is None else known_retry(retry),
        None if owner is None else known_owner(owner),
        None if outcome is None else outcome.verdict,
    )


def _told_of(
    key: str,
    call: str | None,
    context: str | None,
    stored: bytes | None,
    outcome: Outcome | None,
    columns: dict[str, Any],
) -> tuple[Told, ...]:
    if stored is None and outcome is not None:
        # An earlier release has put the item.
        stored = dump_end(outcome, columns["at"], key)
    leg = leg_in(key)
    own = None if leg is None or leg == call else leg
    whole = (each if each.event else replace(each, **columns) for each in load_told(stored))
    return tuple(replace(each, leg=each.leg or own, call=call, context=context) for each in whole)


def leg_in(key: str) -> str | None:
    """The id of the leg, or of the call, in the key of an end; ``None`` for the key of anything else."""
    return key.removeprefix(END).removesuffix(_INFORMED) if key.startswith(END) else None


def keys_of(name: str) -> list[str]:
    """The keys that the item of an end or of an operation may have, if ``name`` is an id of it, or its key."""
    keys = [name, f"{END}{name}"]
    return [short(key) for each in keys for key in (each, informed(each))]


def texts_of(name: str) -> dict[str, bytes]:
    """What stands in the fields of an event that has this id, operation context, or server call id.

    ``name`` is the id in any field. Few events have it anywhere, so a search that looks for it first is faster.
    """
    name_, digest = json.encode(short(name)), json.encode(digest_of(name))
    return {"name": name_, "event": b'"i":' + name_, "context": b'"x":' + name_, "server": b'"v":' + digest}


class Match(Struct, frozen=True):
    """A leg or a call that has the id which somebody looks for, last told of ``at`` a time.

    ``key`` is that of the item of its end, if it has ended.
    """

    at: float
    leg: str | None
    call: str | None
    key: str | None = None

    def has(self, told: Told) -> bool:
        """Whether an event told of this call, or of this leg where no event names the call."""
        return told.call == self.call if self.call is not None else told.leg == self.leg

    def keys(self, told: Iterable[Told]) -> list[str]:
        """The keys that items of this call may have; ``told`` is what events told beside them."""
        keys = [each.key for each in told if each.key is not None]
        keys += [] if self.key is None else [self.key]
        return keys + ([] if self.leg is None else keys_of(self.leg))


def match_of_item(key: str, call: str | None, at: float) -> Match:
    return Match(at, leg_in(key), call, key)


def matches_in(told: Iterable[Told], name: str) -> Iterator[Match]:
    """The calls of the notes that have the id ``name``. Numbers and texts may find other notes as well."""
    kept, server = short(name), digest_of(name)
    for each in told:
        if kept in (each.leg, each.call, each.id, each.context) or each.server == server:
            yield Match(each.at, each.leg, each.call)


class Ends(Struct, frozen=True):
    """The keys that the ends somebody looks for may have, and the calls of which every end is meant."""

    keys: frozenset[str]
    calls: frozenset[str]

    def has(self, key: str, call: str | None) -> bool:
        """Whether the item with this key, of this call, is one of the ends."""
        return key in self.keys or call in self.calls


def ends_of(matches: Iterable[Match]) -> Ends:
    """The ends of what somebody has found: of a leg that leg's alone, of what names no leg those of its call.

    They are those of the matches that were told of last, as many as one statement can ask for.
    """
    keys, calls = set[str](), set[str]()
    for match in sorted(matches, key=lambda match: -match.at):
        if len(keys) + len(calls) >= _MOST_ENDS:
            break
        if match.key is not None:
            keys.add(match.key)
        elif match.leg is not None:
            # Where no event has told of the leg's end, Event Grid may have told of the call's.
            keys.update(key for name in (match.leg, match.call) if name is not None for key in keys_of(name))
        elif match.call is not None:  # pragma: no branch - what names neither is found by its key
            calls.add(match.call)
    return Ends(frozenset(keys), frozenset(calls))


def newest(matches: Iterable[Match]) -> Match | None:
    return max(matches, key=lambda match: match.at, default=None)


def contact_in(items: Iterable[StoredItem]) -> str | None:
    """The contact of a call; an event may come before anybody knows whom it concerns."""
    return next((item.contact for item in items if item.contact is not None), None)


def page(items: Iterable[StoredItem], told: Iterable[Told]) -> list[Traces]:
    """The traces of each end by itself, with what was told of its leg and of its call."""
    by_leg, by_call = dict[str, list[Told]](), dict[str, list[Told]]()
    for each in told:
        if each.leg is not None:
            by_leg.setdefault(each.leg, []).append(each)
        elif each.call is not None:  # pragma: no branch - what names neither is never asked for
            by_call.setdefault(each.call, []).append(each)
    found: list[Traces] = []
    for item in items:
        leg, call = ids_in(item)
        heard = (*by_leg.get(leg or "", ()), *by_call.get(call or "", ()))
        found.append(Traces(heard, (item,), item.contact))
    return found


def ids_in(item: StoredItem) -> tuple[str | None, str | None]:
    """The leg and the call of an end."""
    told = item.told
    return next((each.leg for each in told if each.leg), None), next((each.call for each in told if each.call), None)


def condition(chosen: CallFilter, ends: Ends | None, mark: str) -> tuple[str, list[str | int | float]]:
    """What a row must meet, with the engine's ``mark`` for each value; and the values."""
    parts = list(_conditions(chosen, ends))
    where = " AND ".join(text.format(*[mark] * len(values)) for text, values in parts)
    return where, [value for _, values in parts for value in values]


def _conditions(chosen: CallFilter, ends: Ends | None) -> Iterator[tuple[str, Sequence[str | int | float]]]:
    """What a row must meet, with ``{}`` for each value: the filter, and to be one of the ``ends``, if there are any."""
    yield "cause IS NOT NULL", ()
    if ends is not None:
        by_key, keys = _one_of("key", sorted(ends.keys))
        by_call, calls = _one_of("call", sorted(ends.calls))
        by_call += " AND ends_call"
        # SQLite uses no index where one side of an OR has no column.
        yield (f"({by_key} OR {by_call})" if keys and calls else by_call if calls else by_key), (*keys, *calls)
    for name, values in chosen.columns():
        yield _one_of(name, values)
    if chosen.recognized is not None:
        yield _RECOGNIZED if chosen.recognized else f"NOT {_RECOGNIZED}", ()
    if chosen.since is not None:
        yield "created_at >= {}", (chosen.since,)
    if chosen.until is not None:
        yield "created_at < {}", (chosen.until,)


def _one_of(column: str, allowed: Sequence[str | int | None]) -> tuple[str, Sequence[str | int]]:
    values = [value for value in allowed if value is not None]
    if len(values) < len(allowed):
        return f"{column} IS NULL", ()
    return (f"{column} IN ({', '.join(['{}'] * len(values))})" if values else "1 = 0"), values


def _progress(stored: bytes | None) -> Progress:
    try:
        return load_progress(stored)
    except StoreError:
        return Progress()


# As `ringback.work.call_filter.recognized`.
_RECOGNIZED = """(CASE
    WHEN match = 'code' THEN coalesce(subcode, 0) = 0
    ELSE match NOT IN ('range', 'none') OR code IS NULL AND subcode IS NULL
END)"""
_INFORMED = informed("")
_MOST_ENDS = 400
"""A match has at most eight keys. Before version 3.32 SQLite takes 999 values: https://www.sqlite.org/limits.html"""
