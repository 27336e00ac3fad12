"""The page that ``ringback explain`` prints for one outcome."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TYPE_CHECKING

from ringback_catalog import PREFIX, Catalog, Match, Owner, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.outcome import Outcome
    from ringback_catalog import Entry

_MATCHED = {
    Match.EXACT: "event, code and subcode",
    Match.PAIR: "code and subcode, whatever the event",
    Match.SIP_SUBCODE: "the SIP status within the subcode; the pair itself is not listed",
    Match.GENERIC_SUBCODE: "the subcode, whatever the code",
    Match.CODE: "the code alone",
    Match.RANGE: "only the range of the code",
    Match.NONE: "no row knows the code or the subcode",
}
_REFINED = {
    "sip": "the carrier's SIP status, which says more than the subcode",
    "q850": "the carrier's Q.850 cause, which says more than the subcode",
    "event": "the event's name, which outranks the code",
}
OWNERS = {
    Owner.NOBODY: "it ended as intended",
    Owner.CALLEE: "the person or device called",
    Owner.APP: "whoever develops your app",
    Owner.ADMIN: "whoever runs the resource, the numbers or the SBC",
    Owner.CARRIER: "the carrier or the SBC's operator",
    Owner.AZURE: "Microsoft",
}
"""Who must act, in words."""


def page(outcome: Outcome, catalog: Catalog, width: int) -> Iterator[str]:
    """The lines of the page, none wider than ``width`` but for the link."""
    entry = outcome.verdict.entry
    verdict = f"{outcome.disposition} ({outcome.retry_class})"
    parts = [_pair(outcome.code, outcome.subcode), outcome.cause, verdict]
    # One line where it fits, else one each.
    headline = ("  " if len("  ".join(parts)) <= width else "\n").join(parts)
    yield _styled(headline, "1;32" if outcome.retryable else "1")
    yield from _wrapped(outcome.summary, width)
    yield ""
    for name, text in _facts(outcome, catalog):
        yield from _wrapped(text, width, f"  {name:<12}", " " * 14)
    yield from ("", _styled("What to do", "1"))
    for number, step in enumerate(outcome.advice, start=1):
        yield from _wrapped(step, width, f"  {number}. ", " " * 5)
    if entry.note is not None:
        yield from ("", _styled("Where the documents disagree", "1"))
        yield from _wrapped(entry.note, width, "  ", "  ")
    yield from ("", _styled("Sources", "1"))
    for source in outcome.sources:
        yield from _wrapped(source, width, "  - ", "    ")
    # Whole, however long: a link that is broken over two lines cannot be opened.
    yield from ("", outcome.documentation)


def _facts(outcome: Outcome, catalog: Catalog) -> Iterator[tuple[str, str]]:
    scope = "the end of a call" if outcome.scope is Scope.CALL else "an operation within a call"
    yield "event", f"{outcome.event_name}, {scope}" if outcome.event_name else f"any: read as {scope}"
    details = {"SIP": outcome.sip, "Q.850": outcome.q850}
    reported = ", ".join(f"{name} {detail.code}" for name, detail in details.items() if detail is not None)
    if reported:
        yield "carrier", reported
    yield "category", f"{outcome.category} ({outcome.category_basis})"
    yield "owner", f"{outcome.owner}: {OWNERS[outcome.owner]}"
    yield "confidence", outcome.confidence
    # Before any refinement: the entry that the key itself led to.
    found = catalog.look_up(outcome.event_type or None, outcome.code, outcome.subcode)
    yield "matched by", f"{outcome.match}: {_matched(outcome, found.entry)}"
    if outcome.refined_by is not None:
        yield "refined by", f"{outcome.refined_by}: {_REFINED[outcome.refined_by]}"
    read_as = _read_as(outcome, found.entry)
    if read_as:
        yield "read as", read_as


def _matched(outcome: Outcome, found: Entry) -> str:
    if found.key.pattern is not None:
        return f"the family {found.key.pattern} of the subcode"
    if found.key.codes is not None:
        return f"only the range {found.key.codes} of the code; neither code nor subcode is listed"
    unlisted = outcome.match is Match.CODE and outcome.subcode is not None
    return _MATCHED[outcome.match] + ("; the subcode is not listed" if unlisted else "")


def _read_as(outcome: Outcome, found: Entry) -> str:
    """The key in the catalog's spelling where an alias was given, else nothing."""
    given = outcome.event_type.strip()
    short = given[len(PREFIX) :] if given.lower().startswith(PREFIX.lower()) else given
    renamed = outcome.event_name if short.lower() != outcome.event_name.lower() else ""
    key = found.key
    # Code 0 is no alias worth a word where only the code was looked at.
    paired = key.code is not None and key.subcode is not None
    respelled = paired and (key.code, key.subcode) != (outcome.code, outcome.subcode)
    return " ".join(filter(None, [renamed, _pair(key.code, key.subcode) if respelled else ""]))


def _pair(code: int | None, subcode: int | None) -> str:
    return str(code) if subcode is None else f"{code}/{subcode}"


def _wrapped(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=others, break_on_hyphens=False, tabsize=1)


def _styled(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if wants_style() else text


def wants_style() -> bool:
    # https://no-color.org
    return sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
