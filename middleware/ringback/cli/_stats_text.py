"""The text that ``ringback stats`` prints: tables and sparklines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.cli._screen import bold, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ringback.cli.stats.tally import CauseCount, Summary

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "._-=+*#@"
"""For a terminal whose encoding has no blocks."""

_BESIDE = 54
"""Columns before a sparkline that stands in the cause's own line."""
_ENOUGH = 12
_LISTED = 8
"""Names of one kind that the page lists."""

_SCOPES = {"call": "Ends of calls", "operation": "Operations within calls"}
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def columns_in(width: int) -> int:
    """Columns that a sparkline has on a page of this width."""
    beside = width - _BESIDE
    return beside if beside >= _ENOUGH else width - 13


def page(summary: Summary, width: int, *, styled: bool, encoding: str) -> Iterator[str]:
    """The lines of the page, none wider than ``width``."""
    bars = _BARS if _shown(_BARS, encoding) == _BARS else _PLAIN_BARS

    def title(text: str) -> str:
        return bold(text[:width], styled=styled)

    def paragraph(text: str, first: str = "  ", others: str | None = None) -> list[str]:
        return [_shown(line, encoding) for line in wrapped(text, width, first, others)]

    yield title(f"{_many(summary.outcomes, 'outcome')} in {_many(summary.lines.read, 'line')}")
    yield from wrapped(_about(summary), width)
    for scope in dict.fromkeys(row.scope for row in summary.causes):
        rows = [row for row in summary.causes if row.scope == scope]
        yield ""
        yield title(f"{_SCOPES.get(scope, scope)}: {sum(row.count for row in rows):,}")
        for row in rows:
            yield from (_shown(line, encoding) for line in _row(row, width, bars, styled=styled))
    if summary.buckets_from is not None:
        yield from wrapped(f"a column is {_span(summary.bucket_seconds)}, from {summary.buckets_from}", width, "  ")
    if summary.pairs:
        yield ""
        yield title(f"Top codes: {len(summary.pairs)} of {summary.different_pairs:,}")
    for pair in summary.pairs:
        codes = f"{'-' if pair.code is None else pair.code}/{'-' if pair.subcode is None else pair.subcode}"
        yield from paragraph(f"{codes}  {pair.cause}  {pair.count:,}  {pair.share:.1%}")
        yield from paragraph(pair.summary, "    ")
    yield ""
    yield title("Besides")
    for line in _besides(summary):
        yield from paragraph(line, others="    ")
    if summary.not_read:
        yield ""
        yield title(f"Not read: {_many(sum(reason.count for reason in summary.not_read), 'line')}")
    for reason in summary.not_read:
        yield from paragraph(f"{reason.count:,}  {reason.why}; the first is {reason.first}", others="    ")


def _about(summary: Summary) -> str:
    facts: list[str] = []
    if summary.first is not None:
        facts.append(f"from {summary.first} to {summary.last}")
    if summary.repeated:
        facts.append(f"{_many(summary.repeated, 'line')} repeated an outcome and counted once")
    if summary.lines.out_of_range:
        facts.append(f"{summary.lines.out_of_range:,} out of the range of time")
    return "; ".join(facts)


def _row(row: CauseCount, width: int, bars: str, *, styled: bool) -> Iterator[str]:
    series = _sparkline(row.series, bars)
    count = f"{row.count:,}"
    beside = width - _BESIDE >= _ENOUGH
    room = 20 if beside else width - 15 - len(count)
    # Colour goes on the padded word: its escape sequences have no width on the screen.
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
    """A bar for every number, as high as its part of the row's highest number; a blank for 0."""
    highest = max(series, default=0)
    return "".join(bars[(number * len(bars) - 1) // highest] if number else " " for number in series)


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
    unit, name = next((unit, name) for unit, name in _UNITS if seconds % unit == 0)
    return _many(seconds // unit, name)


def _shown(text: str, encoding: str) -> str:
    return text.encode(encoding, "replace").decode(encoding)
