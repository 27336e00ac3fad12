"""The page Now: what fails beyond the usual, since when and who must act; the figures and the newest calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.responses import RedirectResponse

from ringback.console import filters
from ringback.console.charts import (
    CONDITIONS,
    RATE_TICKS,
    Chart,
    Rate,
    Tick,
    by_cause,
    by_ending,
    ending,
    rates,
    share_of,
)
from ringback.console.colours import FAILED, INTENDED, RETRYABLE
from ringback.console.deliveries import deliveries
from ringback.console.desk import only, range_of
from ringback.console.filters import address
from ringback.console.headline import Headline, headline
from ringback.console.rows import CallRow, Number, PairRow, call_address, pair_rows, row_of_ended
from ringback.console.verdicts import Verdicts
from ringback.console.view import Moment, moment, shown
from ringback.work.items import Stats  # noqa: TC001 - msgspec reads the annotations
from ringback_catalog import RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.console.snapshot import Snapshot
    from ringback.work.history import Count
    from ringback_catalog import Catalog

PARAMETERS = frozenset({"range"})

MOST_ROWS = 8
"""Failing pairs that the page shows; the others are folded."""


class Figure(Struct, frozen=True):
    """A number of the last hour beside that of the range."""

    name: str
    title: str
    hint: str
    hour: Number
    range: Number
    share: float | None
    hour_share: float | None


class NowView(Struct, frozen=True):
    range: str
    title: str
    at: Moment
    since: Moment
    headline: Headline
    figures: tuple[Figure, ...]
    waits: Stats
    failing: tuple[PairRow, ...]
    more: tuple[PairRow, ...]
    intended: tuple[PairRow, ...]
    good: Number
    good_hour: Number
    causes: Chart
    dispositions: Chart
    rates: tuple[Rate, ...]
    rate_ticks: tuple[Tick, ...]
    latest: tuple[CallRow, ...]


async def page(desk: Desk, request: Request) -> Response:
    """The page of the range that the address names; the list of calls, if the address chooses calls."""
    asked = request.query_params
    if asked and set(asked) <= set(filters.NAMES):
        return RedirectResponse(f"calls?{request.url.query}", 303)
    only(request, PARAMETERS)
    chosen = range_of(request)

    async def read() -> tuple[Snapshot, dict[str, Any]]:
        snapshot = await desk.reader.snapshot(chosen)
        return snapshot, shown(view_of(snapshot, desk.catalog))

    snapshot, view = await desk.reader.shared.get(f"now {chosen.name}", read)
    arrived, token = await deliveries(desk), desk.token(request)
    return desk.answer(
        request,
        "now.html",
        view=view,
        stores=len(desk.stores()),
        arrived=arrived,
        calls=[call_address(row_of_ended(each).name, token) for each in snapshot.latest],
    )


def view_of(snapshot: Snapshot, catalog: Catalog) -> NowView:
    chosen, counts, since, until = snapshot.range, snapshot.counts, snapshot.since, snapshot.at
    verdicts = Verdicts(catalog, snapshot)
    ended = _sum(counts)
    times = (since, snapshot.hour.since, until)
    pairs = pair_rows(snapshot.pairs, snapshot.hour.pairs, verdicts, ended, times)
    failing = tuple(row for row in pairs if row.retry != RetryClass.NONE)
    figures = _figures(snapshot)
    return NowView(
        range=chosen.name,
        title=chosen.title,
        at=moment(until),
        since=moment(since),
        headline=headline(snapshot, verdicts),
        figures=figures,
        waits=snapshot.stats,
        failing=failing[:MOST_ROWS],
        more=failing[MOST_ROWS:],
        intended=tuple(row for row in pairs if row.retry == RetryClass.NONE),
        good=figures[1].range,
        good_hour=figures[1].hour,
        causes=by_cause(counts, since, until, chosen),
        dispositions=by_ending(counts, since, until, chosen),
        rates=rates(counts, since, until, chosen),
        rate_ticks=RATE_TICKS,
        latest=tuple(map(row_of_ended, snapshot.latest)),
    )


def _figures(snapshot: Snapshot) -> tuple[Figure, ...]:
    hour, counts = snapshot.hour, snapshot.counts
    whole, lately = _sum(counts), hour.ended

    def figure(name: str, title: str, hint: str, numbers: tuple[int, int], conditions: dict[str, object]) -> Figure:
        links = [
            address({**conditions, "since": since, "until": snapshot.at}) for since in (hour.since, snapshot.since)
        ]
        return Figure(
            name,
            title,
            hint,
            Number(numbers[0], links[0]),
            Number(numbers[1], links[1]),
            share_of(numbers[1], whole),
            share_of(numbers[0], lately),
        )

    endings = {name: (_sum(hour.counts, name), _sum(counts, name)) for name in (INTENDED, RETRYABLE, FAILED)}
    return (
        figure("ended", "Calls ended", "", (lately, whole), {}),
        figure("intended", "As intended", "retry class none", endings[INTENDED], {**CONDITIONS[INTENDED]}),
        figure("retryable", "Retryable", "call again, now or later", endings[RETRYABLE], {**CONDITIONS[RETRYABLE]}),
        figure("failed", "Terminal failures", "after a fix, or never", endings[FAILED], {**CONDITIONS[FAILED]}),
        figure(
            "unrecognized",
            "Unrecognized",
            "not in the catalog",
            (hour.unrecognized, snapshot.unrecognized),
            {"recognized": False},
        ),
    )


def _sum(counts: Iterable[Count], name: str | None = None) -> int:
    return sum(count.count for count in counts if name is None or ending(count) == name)
