"""The page Catalog: pairs that the catalog does not know, with overrides to copy; and what it knows of a result."""

from __future__ import annotations

import math
import tomllib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ringback.console.desk import listed, only, range_of
from ringback.console.filters import address, chosen
from ringback.console.rows import Number, Verdicts, pair_rows, web_address
from ringback.console.view import shown
from ringback.core.glossary import ACTIONS, CAUSES, MATCHED, OWNERS, RETRIES
from ringback.core.outcome import classify
from ringback.core.times import WEEK
from ringback.exceptions import ConfigurationError
from ringback_catalog import Catalog, CatalogError, Cause, Owner, RetryClass, Scope, event_name, source_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.desk import Desk
    from ringback.console.snapshot import Snapshot
    from ringback.core.outcome import Outcome

UNRECOGNIZED = 25
"""Rows of the unrecognized pairs, at most."""
RESULT = frozenset({"event", "code", "subcode"})


async def page(desk: Desk, request: Request) -> Response:
    """The unrecognized pairs of the range that the address names, and the others."""
    only(request, frozenset({"range"}))
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
    block = None if outcome.recognized else stanza(code, subcode, outcome.cause, outcome.retry_class, outcome.owner)
    return desk.answer(request, "entry.html", view=shown(view), block=block)


def view_of(snapshot: Snapshot, catalog: Catalog) -> dict[str, Any]:
    verdicts = Verdicts(catalog, snapshot)
    ended = sum(count.count for count in snapshot.counts)
    times = (snapshot.since, snapshot.hour.since, snapshot.at)
    unknown = pair_rows(snapshot.unknown, snapshot.hour.pairs, verdicts, ended, times)
    pairs = pair_rows(snapshot.pairs, snapshot.hour.pairs, verdicts, ended, times)
    return {
        "range": snapshot.range.name,
        "at": snapshot.at,
        "unrecognized": [row | {"block": _block_of(row)} for row in unknown[:UNRECOGNIZED]],
        "known": sorted((row for row in pairs if row not in unknown), key=lambda row: -row["range"].count),
        "count": snapshot.unrecognized,
        "link": address({"recognized": False, "since": snapshot.since, "until": snapshot.at}),
    }


def _block_of(row: Mapping[str, Any]) -> str | None:
    return stanza(row["code"], row["subcode"], row["cause"], row["retry"], row["owner"])


def entry_view(outcome: Outcome, event: str, calls: Number) -> dict[str, Any]:
    """What the catalog says of a result, without a carrier's details. ``facts`` are names with texts."""
    found = outcome.verdict.entry
    return {
        "event": event_name(event),
        "code": outcome.code,
        "subcode": outcome.subcode,
        "cause": outcome.cause,
        "retry": outcome.retry_class,
        "disposition": outcome.disposition,
        "summary": outcome.summary,
        "facts": _facts(outcome),
        "advice": outcome.advice,
        "note": found.note,
        "sources": [(line, each.url) for each in found.sources for line in source_lines((each,))],
        "documentation": web_address(outcome.documentation),
        "calls": calls,
    }


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


@lru_cache(maxsize=1024)
def stanza(
    code: int | None,
    subcode: int | None,
    cause: str = Cause.UNKNOWN,
    retry: str | None = None,
    owner: str | None = None,
) -> str | None:
    """TOML for :meth:`~ringback_catalog.Catalog.with_overrides`; ``None`` if no row can have these numbers.

    The block holds numbers and words of the catalog, so nothing private. Unedited, the block changes no verdict.
    """
    for verdict in ((cause, retry or RetryClass.AFTER_FIX, owner or Owner.APP), _NEUTRAL):
        block = _block(code, subcode, *verdict)
        try:
            Catalog.default().with_overrides(tomllib.loads(block))
        except CatalogError:
            continue
        return block
    return None


def _block(code: int | None, subcode: int | None, cause: str, retry: str, owner: str) -> str:
    numbers = {"code": code, "subcode": subcode}
    key = "".join(f"{name} = {number}\n" for name, number in numbers.items() if number is not None)
    return (
        f"[[entry]]\n{key}"
        "# why it ended; the causes are those of `ringback catalog`\n"
        f'cause = "{Cause(cause)}"\n'
        "# none, now, later, after_fix or never: may we call again?\n"
        f'retry = "{RetryClass(retry)}"\n'
        "# nobody, callee, app, admin, carrier or azure: who must act?\n"
        f'owner = "{Owner(owner)}"\n'
        'summary = "Say in one line what happened."\n'
        'advice = ["Say what to do about it."]\n'
        "# leave this out, and nothing that a carrier reports with a call (SIP, Q.850) changes the row\n"
        "refine = true\n"
    )


_NEUTRAL = (Cause.UNKNOWN, RetryClass.AFTER_FIX, Owner.APP)
