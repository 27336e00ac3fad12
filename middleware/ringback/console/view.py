"""The values of a snapshot that the page shows. Pure.

Other modules use :func:`shown` alone, which redacts every text, so that no template can show a private text.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Struct

from ringback.console.charts import FAILED, INTENDED, RETRYABLE, Chart, Rate, chart, ending, rates, share
from ringback.console.headline import Headline, headline
from ringback.console.snapshot import PAIRS, UNRECOGNIZED, Snapshot
from ringback.console.verdicts import Verdicts
from ringback.privacy.redaction import redact, redact_contact
from ringback.work.programme import Programme  # noqa: TC001 - msgspec reads the annotations
from ringback_catalog import RetryAction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback.core.outcome import Outcome
    from ringback.work.history import Ended, Pair, Waiting
    from ringback.work.items import DeadLetter
    from ringback_catalog import Catalog


class Moment(Struct, frozen=True):
    """A time in UTC, as HTML's ``datetime`` and as text."""

    machine: str
    text: str


class Figures(Struct, frozen=True):
    """``failed``: terminal, but not as intended. ``rate`` is 0 to 1, or ``None`` if no call ended."""

    ended: int
    intended: int
    retryable: int
    failed: int
    rate: float | None
    unrecognized: int
    unrecognized_cut: bool
    dead: int
    ready: int
    running: int
    redials: int
    redials_in_progress: int
    redials_paused: float
    oldest_due: float


class PairRow(Struct, frozen=True):
    event: str
    code: int | None
    subcode: int | None
    match: str
    cause: str
    count: int
    share: float | None
    last: Moment
    retry: str | None
    action: str | None
    owner: str | None
    summary: str
    advice: tuple[str, ...]
    documentation: str | None


class EndedRow(Struct, frozen=True):
    at: Moment
    event: str
    code: int | None
    subcode: int | None
    cause: str
    retry: str
    action: str | None
    disposition: str
    state: str
    duplicates: int
    call: str | None
    correlation: str | None
    summary: str | None


class WaitingRow(Struct, frozen=True):
    """``late`` is the seconds since the due time, negative before it."""

    key: str
    state: str
    due: Moment
    late: float
    attempts: int
    code: int | None
    subcode: int | None
    cause: str | None
    contact: str | None
    target: str | None
    number: int


class DeadRow(Struct, frozen=True):
    key: str
    kind: str
    code: int | None
    subcode: int | None
    cause: str | None
    attempts: int
    died: Moment
    reason: str
    failed: tuple[str, ...]
    done: tuple[str, ...]
    target: str | None


class View(Struct, frozen=True):
    range: str
    title: str
    at: Moment
    since: Moment
    figures: Figures
    headline: Headline | None
    causes: Chart
    dispositions: Chart
    rates: tuple[Rate, ...]
    pairs: tuple[PairRow, ...]
    unrecognized: tuple[PairRow, ...]
    latest: tuple[EndedRow, ...]
    hooks: tuple[WaitingRow, ...]
    redials: tuple[WaitingRow, ...]
    dead: tuple[DeadRow, ...]
    programme: Programme


def shown(snapshot: Snapshot, catalog: Catalog) -> dict[str, Any]:
    """The redacted :class:`View` of a snapshot, as a dictionary for the templates."""
    return cast("dict[str, Any]", _redacted(msgspec.to_builtins(_view(snapshot, catalog))))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(field) for name, field in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in cast("Iterable[Any]", value)]
    return value


def _view(snapshot: Snapshot, catalog: Catalog) -> View:
    chosen, counts = snapshot.range, snapshot.counts
    verdicts = Verdicts(catalog, snapshot)
    figures = _figures(snapshot)

    def row(pair: Pair) -> PairRow:
        return _pair(pair, verdicts, figures.ended)

    return View(
        range=chosen.name,
        title=chosen.title,
        at=_moment(snapshot.at),
        since=_moment(snapshot.since),
        figures=figures,
        headline=headline(snapshot, verdicts),
        causes=chart(counts, snapshot.since, chosen, lambda count: count.cause.value),
        dispositions=chart(counts, snapshot.since, chosen, ending, (INTENDED, RETRYABLE, FAILED)),
        rates=rates(counts, snapshot.since, chosen),
        pairs=tuple(map(row, snapshot.pairs[:PAIRS])),
        unrecognized=tuple(map(row, snapshot.unrecognized[:UNRECOGNIZED])),
        latest=tuple(map(_ended, snapshot.latest)),
        hooks=tuple(_waiting(item, snapshot.at) for item in snapshot.hooks),
        redials=tuple(_waiting(item, snapshot.at) for item in snapshot.redials),
        dead=tuple(map(_dead, snapshot.dead)),
        programme=snapshot.programme,
    )


def _figures(snapshot: Snapshot) -> Figures:
    sums: Counter[str] = Counter()
    for count in snapshot.counts:
        sums[ending(count)] += count.count
    ended, stats = sum(sums.values()), snapshot.stats
    return Figures(
        ended=ended,
        intended=sums[INTENDED],
        retryable=sums[RETRYABLE],
        failed=sums[FAILED],
        rate=share(sums[INTENDED], ended),
        unrecognized=sum(pair.count for pair in snapshot.unrecognized),
        unrecognized_cut=snapshot.unrecognized_cut,
        dead=stats.dead,
        ready=stats.ready,
        running=stats.running,
        redials=stats.redials,
        redials_in_progress=stats.redials_in_progress,
        redials_paused=stats.redials_paused,
        oldest_due=stats.oldest_due,
    )


def _pair(pair: Pair, verdicts: Verdicts, ended: int) -> PairRow:
    outcome = verdicts.of(pair)
    return PairRow(
        event=pair.event,
        code=pair.code,
        subcode=pair.subcode,
        match=pair.match.value,
        cause=pair.cause.value,
        count=pair.count,
        share=share(pair.count, ended),
        last=_moment(pair.last_at),
        retry=None if outcome is None else outcome.retry_class.value,
        action=_action(outcome),
        owner=None if outcome is None else outcome.owner.value,
        summary=_ELSEWHERE if outcome is None else outcome.summary,
        advice=() if outcome is None else outcome.advice,
        # An override may name any text as its documentation; the page links to web addresses only.
        documentation=None if outcome is None or not outcome.documentation.startswith(_WEB) else outcome.documentation,
    )


def _ended(ended: Ended) -> EndedRow:
    outcome = ended.outcome
    return EndedRow(
        at=_moment(ended.at),
        event=ended.event,
        code=ended.code,
        subcode=ended.subcode,
        cause=ended.cause.value,
        retry=ended.retry.value,
        action=_action(outcome),
        disposition=ended.retry.disposition.value,
        state=ended.state.value,
        duplicates=ended.duplicates,
        call=None if outcome is None else outcome.call_connection_id,
        correlation=None if outcome is None else outcome.correlation_id,
        summary=None if outcome is None else outcome.summary,
    )


def _action(outcome: Outcome | None) -> str | None:
    """The operation to retry; ``None`` for a call that the app places, and for no retry."""
    if outcome is None or outcome.retry_action in (RetryAction.PLACE_CALL, RetryAction.NONE):
        return None
    return outcome.retry_action.value


def _waiting(item: Waiting, now: float) -> WaitingRow:
    code, subcode, cause = _result(item.outcome)
    return WaitingRow(
        key=item.key,
        state=item.state.value,
        due=_moment(item.due_at),
        late=now - item.due_at,
        attempts=item.attempts,
        code=code,
        subcode=subcode,
        cause=cause,
        contact=redact_contact(item.contact),
        target=item.target,
        number=item.number,
    )


def _dead(letter: DeadLetter) -> DeadRow:
    code, subcode, cause = _result(letter.outcome)
    return DeadRow(
        key=letter.key,
        kind=letter.kind.value,
        code=code,
        subcode=subcode,
        cause=cause,
        attempts=letter.attempts,
        died=_moment(letter.died_at),
        reason=letter.reason,
        failed=tuple(f"{hook}: {reason}" for hook, reason in letter.progress.failed.items()),
        done=letter.progress.done,
        target=letter.target,
    )


def _result(outcome: Outcome | None) -> tuple[int | None, int | None, str | None]:
    return (None, None, None) if outcome is None else (outcome.code, outcome.subcode, outcome.cause.value)


def _moment(at: float) -> Moment:
    try:
        time = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        # A policy may schedule a redial at any time, however late.
        return Moment("", "never")
    return Moment(f"{time:%Y-%m-%dT%H:%M:%SZ}", f"{time:%Y-%m-%d %H:%M:%S}")


_ELSEWHERE = "Its verdict rests on SIP or Q.850 details, or on overrides; a single call of it says more."
_WEB = ("https://", "http://")
