"""What is counted of calls, and rows of a store, as values of its history. Pure.

A word that only a newer release knows, beside which this process may run, is taken for unknown.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from ringback.exceptions import ConfigurationError, StoreError
from ringback.stores.history import Count, Ended, Pair, Waiting
from ringback.stores.port import Kind, State
from ringback.stores.record import load
from ringback_catalog import Cause, Match, ResultCategory, RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from enum import StrEnum

    from ringback.outcome import Outcome

E = TypeVar("E", bound="StrEnum")


def refuse_odd_steps(since: float, step: float) -> None:
    """Raise :class:`ConfigurationError` for times that cannot be divided into steps."""
    if not (0 < step < math.inf and math.isfinite(since)):
        raise ConfigurationError(
            f"history: since {since!r} and step {step!r} make no bars; give seconds, step positive"
        )


def counts_of(rows: Iterable[tuple[float, str, str, str, int]], since: float, step: float) -> Sequence[Count]:
    """Rows are the number of a step, cause, category, retry class and count, in any order."""
    counts: Counter[tuple[int, Cause, ResultCategory, RetryClass]] = Counter()
    for bar, cause, category, retry, count in rows:
        counts[int(bar), _cause(cause), _category(category), _retry(retry)] += count
    return [
        Count(since + bar * step, cause, category, retry, count)
        for (bar, cause, category, retry), count in sorted(counts.items())
    ]


def pair_of(
    event: str, code: int | None, subcode: int | None, match: str, cause: str, count: int, last_at: float
) -> Pair:
    return Pair(event, code, subcode, _match(match), _cause(cause), count, last_at)


def ended_of(
    key: str,
    at: float,
    state: str,
    event: str,
    code: int | None,
    subcode: int | None,
    match: str,
    cause: str,
    category: str,
    retry: str,
    duplicates: int,
    payload: bytes | None,
    sibling: bytes | None,
    verdict: bytes | None = None,
) -> Ended:
    return Ended(
        key=key,
        at=at,
        state=State(state),
        event=event,
        code=code,
        subcode=subcode,
        match=_match(match),
        cause=_cause(cause),
        category=_category(category),
        retry=_retry(retry),
        duplicates=duplicates,
        outcome=_outcome(payload, sibling, verdict),
    )


def waiting_of(
    key: str,
    kind: str,
    state: str,
    due_at: float,
    attempts: int,
    payload: bytes | None,
    sibling: bytes | None,
    contact: str | None,
    target: str | None,
    number: int,
    verdict: bytes | None = None,
) -> Waiting:
    outcome = _outcome(payload, sibling, verdict)
    return Waiting(key, Kind(kind), State(state), due_at, attempts, outcome, contact, target, number)


def _outcome(payload: bytes | None, sibling: bytes | None, verdict: bytes | None) -> Outcome | None:
    if payload is None:
        return None
    try:
        return load(payload, sibling, verdict)
    except StoreError:
        return None


def _known(kind: type[E], word: str, otherwise: E) -> E:
    try:
        return kind(word)
    except ValueError:
        return otherwise


def _cause(word: str) -> Cause:
    return _known(Cause, word, Cause.UNKNOWN)


def _category(word: str) -> ResultCategory:
    return _known(ResultCategory, word, ResultCategory.UNKNOWN)


def _retry(word: str) -> RetryClass:
    return _known(RetryClass, word, RetryClass.AFTER_FIX)


def _match(word: str) -> Match:
    return _known(Match, word, Match.NONE)
