"""The page Catalog: pairs that the catalog does not know, each with an override to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.console.desk import only, range_of
from ringback.console.now import PairRow, pair_row
from ringback.console.snapshot import UNRECOGNIZED, Snapshot
from ringback.console.verdicts import Verdicts
from ringback.console.view import Moment, moment, shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback_catalog import Catalog

PARAMETERS = frozenset({"range"})


class CatalogView(Struct, frozen=True):
    range: str
    at: Moment
    since: Moment
    unrecognized: tuple[PairRow, ...]


async def page(desk: Desk, request: Request) -> Response:
    """The unrecognized pairs of the range that the address names."""
    only(request, PARAMETERS)
    snapshot = await desk.reader.snapshot(range_of(request))
    return desk.answer(request, "catalog.html", view=shown(view_of(snapshot, desk.catalog)))


def view_of(snapshot: Snapshot, catalog: Catalog) -> CatalogView:
    verdicts = Verdicts(catalog, snapshot)
    ended = sum(count.count for count in snapshot.counts)
    return CatalogView(
        range=snapshot.range.name,
        at=moment(snapshot.at),
        since=moment(snapshot.since),
        unrecognized=tuple(pair_row(pair, verdicts, ended) for pair in snapshot.unrecognized[:UNRECOGNIZED]),
    )
