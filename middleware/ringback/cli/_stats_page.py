"""The page that ``ringback stats`` prints: tables and sparklines."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ringback.tally import CauseCount, Summary

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "._-=+*#@"
"""Where the terminal's encoding has no blocks."""

_BESIDE = 54
"""Columns before a sparkline that stands in the row itself."""
_ENOUGH = 12
_LISTED = 8
"""Names of one kind that are listed."""

_SCOPES = {"call": "Ends of calls", "operation": "Operations within calls"}
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def columns_in(width: int) -> int:
    """Columns that a sparkline has on a page of this width."""
    beside = width - _BESIDE
    return beside if beside >= _ENOUGH else width - 13


def page(summary: Summary, width: int, *, styled: bool, encoding: str) -> Iterator[str]:
    """The lines of the page, none wider than ``width``."""
    bars = _BARS if _can_show(_BARS, encoding) else _PLAIN_BARS

    def title(text: str) -> str:
        text = text[:width]
        return f"\x1b[1m{text}\x1b[0m" if styled else text

    yield title(f"{_many(summary.outcomes, 'outcome')} in {_many(summary.lines.read, 'line')}")
    yield from _wrapped(_about(summary), width)
    for scope in dict.fromkeys(each.scope for each in summary.causes):
        rows = [each for each in summary.causes if each.scope == scope]
        yield ""
        yield title(f"{_SCOPES.get(scope, scope)}: {sum(each.count for each in rows):,}")
        for row in rows:
            yield from (_shown(line, encoding) for line in _row(row, width, bars, styled=styled))
    if summary.buckets_from is not None:
        yield from _wrapped(f"a column is {_span(summary.bucket_seconds)}, from {summary.buckets_from}", width, "  ")
    if summary.pairs:
        yield ""
        yield title(f"Top codes: {len(summary.pairs)} of {summary.different_pairs:,}")
    for pair in summary.pairs:
        codes = f"{'-' if pair.code is None else pair.code}/{'-' if pair.subcode is None else pair.subcode}"
        verdict = f"{codes}  {pair.cause}  {pair.count:,}  {pair.share:.1%}"
        yield from (_shown(line, encoding) for line in _wrapped(verdict, width, "  "))
        yield from (_shown(line, encoding) for line in _wrapped(pair.summary, width, "    "))
    yield ""
    yield title("Besides")
    for line in _besides(summary):
        yield from (_shown(each, encoding) for each in _wrapped(line, width, "  ", "    "))


def _about(summary: Summary) -> str:
    said: list[str] = []
    if summary.first is not None:
        said.append(f"from {summary.first} to {summary.last}")
    if summary.repeated:
        said.append(f"{_many(summary.repeated, 'line')} repeated an outcome and counted once")
    lines = summary.lines
    if lines.no_json:
        said.append(f"{lines.no_json:,} no JSON, skipped")
    if lines.unreadable:
        said.append(f"{lines.unreadable:,} with values of a wrong type, skipped")
    if lines.out_of_range:
        said.append(f"{lines.out_of_range:,} out of the range of time")
    return "; ".join(said)


def _row(row: CauseCount, width: int, bars: str, *, styled: bool) -> Iterator[str]:
    series = _sparkline(row.series, bars)
    count = f"{row.count:,}"
    beside = width - _BESIDE >= _ENOUGH
    room = 20 if beside else width - 15 - len(count)
    # Colour goes on the word, so that widths are those of what is seen.
    disposition = f"{row.disposition:<9.9}"
    if styled and row.disposition == "retryable":
        disposition = f"\x1b[32m{disposition}\x1b[0m"
    start = f"  {row.cause[:room]:<{room}} {disposition}"
    if beside:
        yield f"{start} {count:>11} {row.share:>7.1%}  {series}".rstrip()
        return
    yield f"{start}  {count}"
    yield f"    {row.share:>6.1%} {series}".rstrip()


def _sparkline(series: Sequence[int], bars: str) -> str:
    """A bar a number, of this row's own height; a blank where nothing was counted."""
    highest = max(series, default=0)
    return "".join(bars[(each * len(bars) - 1) // highest] if each else " " for each in series)


def _besides(summary: Summary) -> Iterator[str]:
    yield f"deliveries rejected: {_listed(summary.deliveries_rejected)}"
    yield f"callbacks refused: {_listed(summary.callbacks_rejected)}"
    given_up = f"; {summary.hooks_given_up:,} not to be called again" if summary.hooks_failed else ""
    yield f"hooks failed: {_listed(summary.hooks_failed)}{given_up}"
    yield "redials: " + ", ".join(f"{number:,} {step}" for step, number in summary.redials.items())


def _listed(counts: Mapping[str, int]) -> str:
    names = [f"{name} {number:,}" for name, number in counts.items()]
    if len(names) > _LISTED:
        names[_LISTED:] = [f"{len(names) - _LISTED} more"]
    total = sum(counts.values())
    return f"{total:,} ({', '.join(names)})" if names else f"{total}"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _span(seconds: int) -> str:
    unit, name = next(each for each in _UNITS if seconds % each[0] == 0)
    return _many(seconds // unit, name)


def _wrapped(text: str, width: int, first: str = "", others: str | None = None) -> list[str]:
    further = first if others is None else others
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False)


def _can_show(text: str, encoding: str) -> bool:
    return _shown(text, encoding) == text


def _shown(text: str, encoding: str) -> str:
    return text.encode(encoding, "replace").decode(encoding)
