"""Rows of a store as the values of a history, records of calls among them; and which rows a filter chooses. Pure."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ringback.exceptions import ConfigurationError, StoreError
from ringback.stores.call_matches import Ends, leg_in
from ringback.stores.record import load_contact, outcome_of, progress_of, time_of
from ringback.stores.stored_told import dump_end, load_told
from ringback.stores.verdicts import known_category, known_cause, known_match, known_owner, known_retry
from ringback.work.call_detail import StoredItem, Traces
from ringback.work.contact import Contact
from ringback.work.history import CallFilter, Count, Ended, Pair, Waiting
from ringback.work.items import Kind, State
from ringback.work.told import Told
from ringback_catalog import EMPTY_SUBCODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ringback.core.outcome import Outcome
    from ringback_catalog import Cause, ResultCategory, RetryClass


def refuse_odd_steps(since: float, step: float) -> None:
    """Raise :class:`ConfigurationError` unless the seconds ``since`` and ``step`` are finite, and ``step`` positive."""
    if not (0 < step < math.inf and math.isfinite(since)):
        raise ConfigurationError(
            f"history: since {since!r} and step {step!r} make no bars; give seconds, step positive"
        )


def counts_of(rows: Iterable[tuple[float, str, str, str, int]], since: float, step: float) -> Sequence[Count]:
    """The counts of rows in any order: the step's number from ``since``, cause, category, retry class and count."""
    counts: Counter[tuple[int, Cause, ResultCategory, RetryClass]] = Counter()
    for bar, cause, category, retry, count in rows:
        counts[int(bar), known_cause(cause), known_category(category), known_retry(retry)] += count
    return [
        Count(since + bar * step, cause, category, retry, count)
        for (bar, cause, category, retry), count in sorted(counts.items())
    ]


def pair_of(*row: Any) -> Pair:
    """The pair of a row: event, code, subcode, match, cause, retry class, how many calls, and the time of the last."""
    event, code, subcode, match, cause, retry, count, last_at = row
    return Pair(event, code, subcode, known_match(match), known_cause(cause), known_retry(retry), count, last_at)


def ended_of(*row: Any) -> Ended:
    """The ended call of a row: key, time, state, event, code, subcode, match, cause, category, retry class, how many
    duplicates, and what :func:`~ringback.stores.record.load` takes.
    """
    key, at, state, event, code, subcode, match, cause, category, retry, duplicates, *stored = row
    verdict = known_match(match), known_cause(cause), known_category(category), known_retry(retry)
    return Ended(key, at, State(state), event, code, subcode, *verdict, duplicates, outcome_of(*stored))


def waiting_of(*row: Any) -> Waiting:
    """The item of a row: key, kind, state, time, attempts, payload, sibling, contact, target, number, progress, and the
    verdict where the store keeps verdicts apart.
    """
    key, kind, state, due_at, attempts, payload, sibling, contact, target, number, progress, *verdict = row
    place, outcome = (State(state), time_of("due_at", due_at), attempts), outcome_of(payload, sibling, *verdict)
    return Waiting(key, Kind(kind), *place, outcome, contact, target, number, progress_of(progress).without_change())


def contact_of(name: str, state: bytes | str) -> tuple[str, Contact]:
    """The contact of a row: a new contact if what is known cannot be read."""
    try:
        return name, load_contact(state)
    except StoreError:
        return name, Contact()


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
        progress_of(progress),
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
        heard = (*by_leg.get(item.leg or "", ()), *by_call.get(item.call or "", ()))
        found.append(Traces(heard, (item,), item.contact))
    return found


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


# As `ringback_catalog.recognized`.
_RECOGNIZED = f"""(code IS NULL OR CASE match
    WHEN 'code' THEN coalesce(subcode, 0) IN ({", ".join(map(str, sorted(EMPTY_SUBCODES)))})
    ELSE coalesce(match, '') NOT IN ('range', 'none')
END)"""
