"""The page Now: what fails beyond the usual, since when and who must act; what has arrived, the figures, new calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse

from ringback.console import charts, filters
from ringback.console.alarms import alarms, status_of
from ringback.console.arrivals import arrivals, by_answer
from ringback.console.colours import FAILED, INTENDED, RETRYABLE
from ringback.console.desk import only, range_of
from ringback.console.filters import address
from ringback.console.headline import headline
from ringback.console.remedies import remedy_for
from ringback.console.rows import Number, Verdicts, call_address, pair_rows, row_of_ended
from ringback.console.view import shown
from ringback.core.times import DAY, HOUR
from ringback.work.deliveries import ACCEPTED
from ringback_catalog import RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.arrivals import Arrivals
    from ringback.console.desk import Desk
    from ringback.console.snapshot import Snapshot
    from ringback.work.history import Count
    from ringback_catalog import Catalog


MOST_ROWS = 8
"""Failing pairs that the page shows; the others are folded."""


async def page(desk: Desk, request: Request) -> Response:
    """The page of the range that the address names; the list of calls, if the address chooses calls."""
    asked = request.query_params
    if asked and set(asked) <= set(filters.NAMES):
        return RedirectResponse(f"calls?{request.url.query}", 303)
    only(request, frozenset({"range"}))
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
        calls=[call_address(row_of_ended(each)["name"], token) for each in snapshot.latest],
    )


async def deliveries(desk: Desk) -> dict[str, Any]:
    """The view, redacted. Raises the stores' :class:`~ringback.exceptions.StoreError`."""

    async def read() -> dict[str, Any]:
        return shown(view_of_deliveries(await arrivals(desk.stores(), desk.clock(), desk.unwritten())))

    return await desk.reader.shared.get("deliveries", read)


def view_of_deliveries(arrived: Arrivals) -> dict[str, Any]:
    """The view of what has arrived. A day is the last hour with the 23 hours before. ``reasons`` has what was not
    accepted, with the likely cause.
    """
    found = alarms(arrived)
    hour = by_answer(arrived.lately)
    day = by_answer((*arrived.lately, *(each for each in arrived.before if each.at >= arrived.since + HOUR - DAY)))
    return {
        "at": arrived.at,
        "status": status_of(found),
        "alarms": found,
        "last": arrived.last,
        "hour": hour[ACCEPTED],
        "day": day[ACCEPTED],
        "reasons": [
            {"result": answer[0], "reason": answer[1], "hour": hour[answer], "day": count, "why": remedy_for(answer)[0]}
            for answer, count in sorted(day.items(), key=lambda item: (-hour[item[0]], -item[1], item[0]))
            if answer != ACCEPTED
        ],
    }


def view_of(snapshot: Snapshot, catalog: Catalog) -> dict[str, Any]:
    chosen, counts, since, until = snapshot.range, snapshot.counts, snapshot.since, snapshot.at
    verdicts = Verdicts(catalog, snapshot)
    times = (since, snapshot.hour.since, until)
    pairs = pair_rows(snapshot.pairs, snapshot.hour.pairs, verdicts, _sum(counts), times)
    failing = [row for row in pairs if row["retry"] is not RetryClass.NONE]
    figures = _figures(snapshot)
    return {
        "range": chosen.name,
        "title": chosen.title,
        "at": until,
        "since": since,
        "headline": headline(snapshot, verdicts),
        "figures": figures,
        "waits": snapshot.stats,
        "failing": failing[:MOST_ROWS],
        "more": failing[MOST_ROWS:],
        "intended": [row for row in pairs if row["retry"] is RetryClass.NONE],
        "good": figures[1],
        "causes": charts.by_cause(counts, since, until, chosen),
        "dispositions": charts.by_ending(counts, since, until, chosen),
        "rates": charts.rates(counts, since, until, chosen),
        "rate_ticks": charts.RATE_TICKS,
        "latest": list(map(row_of_ended, snapshot.latest)),
    }


def _figures(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The numbers of the last hour beside those of the range, with their shares of all calls."""
    hour, counts = snapshot.hour, snapshot.counts
    numbers = {name: (_sum(hour.counts, name), _sum(counts, name)) for name in (INTENDED, RETRYABLE, FAILED)}
    numbers |= {"ended": (hour.ended, _sum(counts)), "unrecognized": (hour.unrecognized, snapshot.unrecognized)}
    figures: list[dict[str, Any]] = []
    for name, title, conditions in _FIGURES:
        lately, whole = numbers[name]
        links = [
            address({**conditions, "since": since, "until": snapshot.at}) for since in (hour.since, snapshot.since)
        ]
        figures.append(
            {
                "name": name,
                "title": title,
                "hour": Number(lately, links[0]),
                "range": Number(whole, links[1]),
                "hour_share": charts.share_of(lately, hour.ended),
                "share": charts.share_of(whole, numbers["ended"][1]),
            }
        )
    return figures


_FIGURES: tuple[tuple[str, str, Mapping[str, object]], ...] = (
    ("ended", "Calls ended", {}),
    (INTENDED, "As intended", charts.CONDITIONS[INTENDED]),
    (RETRYABLE, "Retryable", charts.CONDITIONS[RETRYABLE]),
    (FAILED, "Terminal failures", charts.CONDITIONS[FAILED]),
    ("unrecognized", "Unrecognized", {"recognized": False}),
)
"""The name and the title of each figure, and the conditions that its calls meet."""


def _sum(counts: Iterable[Count], name: str | None = None) -> int:
    return sum(count.count for count in counts if name is None or charts.ending(count) == name)
