"""The page Catalog: pairs that the catalog does not know, with overrides to copy; and what it knows of a result."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ringback.console.desk import only, range_of
from ringback.console.filters import address, chosen
from ringback.console.listing import listed
from ringback.console.rows import Number, PairRow, pair_rows
from ringback.console.snapshot import UNRECOGNIZED, Snapshot
from ringback.console.stanza import stanza
from ringback.console.verdicts import Verdicts
from ringback.console.view import Moment, moment, shown
from ringback.core.glossary import ACTIONS, CAUSES, MATCHED, OWNERS, RETRIES
from ringback.core.outcome import classify
from ringback.exceptions import ConfigurationError
from ringback.work.history import recognized
from ringback_catalog import Scope, event_name, source_lines

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.core.outcome import Outcome
    from ringback_catalog import Catalog

PARAMETERS = frozenset({"range"})
WEEK = 604_800
RESULT = frozenset({"event", "code", "subcode"})


class CatalogView(Struct, frozen=True):
    range: str
    at: Moment
    since: Moment
    unrecognized: tuple[PairRow, ...]
    known: tuple[PairRow, ...]
    count: int
    link: str


class EntryView(Struct, frozen=True):
    """What the catalog says of a result, without a carrier's details. ``facts`` are names with texts."""

    event: str
    code: int | None
    subcode: int | None
    cause: str
    retry: str
    disposition: str
    summary: str
    facts: tuple[tuple[str, str], ...]
    advice: tuple[str, ...]
    note: str | None
    sources: tuple[tuple[str, str], ...]
    documentation: str | None
    calls: Number
    recognized: bool


async def page(desk: Desk, request: Request) -> Response:
    """The unrecognized pairs of the range that the address names, and the others."""
    only(request, PARAMETERS)
    snapshot = await desk.reader.snapshot(range_of(request))
    return desk.answer(request, "catalog.html", view=shown(view_of(snapshot, desk.catalog)))


async def entry(desk: Desk, request: Request) -> Response:
    """What the catalog knows of the result that the address names, and how many calls of a week ended with it."""
    only(request, RESULT)
    read = chosen(request.query_params.multi_items(), desk.clock(), lambda text: text)
    if read.faults:
        raise ConfigurationError("; ".join(read.faults))
    event, code, subcode = (read.values.get(name) for name in ("event", "code", "subcode"))
    code, subcode = (None if number == "none" else number for number in (code, subcode))
    until = math.floor(desk.clock())
    wanted: dict[str, Any] = {"event": event and event_name(event), "since": float(until - WEEK), "until": float(until)}
    wanted |= {name: "none" if number is None else number for name, number in (("code", code), ("subcode", subcode))}
    count = (await listed(desk, wanted, 1)).total
    outcome = classify(event, code, subcode, catalog=desk.catalog)
    view = entry_view(outcome, event or "", Number(count, address(wanted)))
    block = None if view.recognized else stanza(code, subcode, view.cause, view.retry, outcome.owner.value)
    return desk.answer(request, "entry.html", view=shown(view), block=block)


def view_of(snapshot: Snapshot, catalog: Catalog) -> CatalogView:
    verdicts = Verdicts(catalog, snapshot)
    ended = sum(count.count for count in snapshot.counts)
    times = (snapshot.since, snapshot.hour.since, snapshot.at)
    unknown = pair_rows(snapshot.unknown, snapshot.hour.pairs, verdicts, ended, times)
    pairs = pair_rows(snapshot.pairs, snapshot.hour.pairs, verdicts, ended, times)
    return CatalogView(
        range=snapshot.range.name,
        at=moment(snapshot.at),
        since=moment(snapshot.since),
        unrecognized=tuple(unknown[:UNRECOGNIZED]),
        known=tuple(sorted((row for row in pairs if row not in unknown), key=lambda row: -row.range.count)),
        count=snapshot.unrecognized,
        link=address({"recognized": False, "since": snapshot.since, "until": snapshot.at}),
    )


def entry_view(outcome: Outcome, event: str, calls: Number) -> EntryView:
    found, code, subcode = outcome.verdict.entry, outcome.code, outcome.subcode
    return EntryView(
        event=event_name(event),
        code=code,
        subcode=subcode,
        cause=outcome.cause.value,
        retry=outcome.retry_class.value,
        disposition=outcome.disposition.value,
        summary=outcome.summary,
        facts=_facts(outcome),
        advice=outcome.advice,
        note=found.note,
        sources=tuple((line, same.url) for line, same in zip(_lines(outcome), found.sources, strict=True)),
        documentation=outcome.documentation if outcome.documentation.startswith(("https://", "http://")) else None,
        calls=calls,
        recognized=recognized(code, subcode, outcome.match),
    )


def _facts(outcome: Outcome) -> tuple[tuple[str, str], ...]:
    again = f"; {ACTIONS[outcome.retry_action]}" if outcome.retryable else ""
    found, wait = outcome.verdict.entry, outcome.retry_after
    return (
        ("Cause", CAUSES[outcome.cause]),
        ("Call again", f"{RETRIES[outcome.retry_class]}{again}"),
        ("Wait at least", "–" if wait is None else str(wait)),  # noqa: RUF001 - a dash for a reader
        ("Who acts", f"{outcome.owner}: {OWNERS[outcome.owner]}"),
        ("Category", f"{outcome.category} ({outcome.category_basis}), confidence {outcome.confidence}"),
        ("Scope", "the end of a call" if outcome.scope is Scope.CALL else "an operation within a call"),
        ("Found by", MATCHED[outcome.match]),
        ("Row", f"override {found.overrides[-1]}" if found.overrides else str(found.key)),
    )


def _lines(outcome: Outcome) -> list[str]:
    return [line for source in outcome.verdict.entry.sources for line in source_lines((source,))]
