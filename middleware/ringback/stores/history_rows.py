"""Rows of a store as the values of a history. Pure."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from ringback.exceptions import ConfigurationError, StoreError
from ringback.stores.record import load_contact, outcome_of, progress_of, time_of
from ringback.stores.verdicts import known_category, known_cause, known_match, known_retry
from ringback.work.contact import Contact
from ringback.work.history import Count, Ended, Pair, Waiting
from ringback.work.items import Kind, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from enum import StrEnum

    from ringback_catalog import Cause, ResultCategory, RetryClass


E = TypeVar("E", bound="StrEnum")


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
