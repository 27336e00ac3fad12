"""The page Now: what fails, since when and who must act; the figures and the calls of a range."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ringback.console.charts import FAILED, INTENDED, RETRYABLE, Chart, Rate, chart, ending, rates, share
from ringback.console.deliveries import deliveries
from ringback.console.desk import only, range_of
from ringback.console.headline import Headline, headline
from ringback.console.snapshot import PAIRS, Snapshot
from ringback.console.verdicts import Verdicts
from ringback.console.view import Moment, action_of, moment, shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.work.history import Ended, Pair
    from ringback_catalog import Catalog

PARAMETERS = frozenset({"range"})


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


class NowView(Struct, frozen=True):
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
    latest: tuple[EndedRow, ...]


async def page(desk: Desk, request: Request) -> Response:
    """The page of the range that the address names."""
    only(request, PARAMETERS)
    chosen = range_of(request)

    async def read() -> dict[str, Any]:
        return shown(view_of(await desk.reader.snapshot(chosen), desk.catalog))

    view = await desk.reader.shared.get(f"now {chosen.name}", read)
    arrived = await deliveries(desk)
    return desk.answer(request, "now.html", view=view, stores=len(desk.stores()), arrived=arrived)


def view_of(snapshot: Snapshot, catalog: Catalog) -> NowView:
    chosen, counts = snapshot.range, snapshot.counts
    verdicts = Verdicts(catalog, snapshot)
    figures = _figures(snapshot)
    return NowView(
        range=chosen.name,
        title=chosen.title,
        at=moment(snapshot.at),
        since=moment(snapshot.since),
        figures=figures,
        headline=headline(snapshot, verdicts),
        causes=chart(counts, snapshot.since, chosen, lambda count: count.cause.value),
        dispositions=chart(counts, snapshot.since, chosen, ending, (INTENDED, RETRYABLE, FAILED)),
        rates=rates(counts, snapshot.since, chosen),
        pairs=tuple(pair_row(pair, verdicts, figures.ended) for pair in snapshot.pairs[:PAIRS]),
        latest=tuple(map(_ended, snapshot.latest)),
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


def pair_row(pair: Pair, verdicts: Verdicts, ended: int) -> PairRow:
    outcome = verdicts.of(pair)
    return PairRow(
        event=pair.event,
        code=pair.code,
        subcode=pair.subcode,
        match=pair.match.value,
        cause=pair.cause.value,
        count=pair.count,
        share=share(pair.count, ended),
        last=moment(pair.last_at),
        retry=None if outcome is None else outcome.retry_class.value,
        action=action_of(outcome),
        owner=None if outcome is None else outcome.owner.value,
        summary=_ELSEWHERE if outcome is None else outcome.summary,
        advice=() if outcome is None else outcome.advice,
        # An override may name any text as its documentation; the page links to web addresses only.
        documentation=None if outcome is None or not outcome.documentation.startswith(_WEB) else outcome.documentation,
    )


def _ended(ended: Ended) -> EndedRow:
    outcome = ended.outcome
    return EndedRow(
        at=moment(ended.at),
        event=ended.event,
        code=ended.code,
        subcode=ended.subcode,
        cause=ended.cause.value,
        retry=ended.retry.value,
        action=action_of(outcome),
        disposition=ended.retry.disposition.value,
        state=ended.state.value,
        duplicates=ended.duplicates,
        call=None if outcome is None else outcome.call_connection_id,
        correlation=None if outcome is None else outcome.correlation_id,
        summary=None if outcome is None else outcome.summary,
    )


_ELSEWHERE = "Its verdict rests on SIP or Q.850 details, or on overrides; a single call of it says more."
_WEB = ("https://", "http://")
