"""``ringback stats``: counts the lines of log files or of standard input, and prints the counts."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import msgspec

from ringback.cli._screen import Progress, bold, many, tell, wants_style, width, wrapped
from ringback.cli._values import count, moment
from ringback.cli.reading.frames import TooLong, found_in
from ringback.cli.stats.tally import Tally
from ringback.core.times import DAY, HOUR, MINUTE
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from ringback.cli.reading.frames import Found
    from ringback.cli.stats.tally import CauseCount, Summary

TOP = 10
_CHUNK = 64 * 1024

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "._-=+*#@"
"""For a terminal whose encoding has no blocks."""

_BESIDE = 54
"""Columns before a sparkline that stands in the cause's own line."""
_ENOUGH = 12
_LISTED = 8
"""Names of one kind that the page lists."""

_SCOPES = {"call": "Ends of calls", "operation": "Operations within calls"}
_UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1, "second"))


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", metavar="LOGFILE", nargs="+", help="may end in .gz; - is standard input")
    command.add_argument("--since", metavar="TIME", type=moment, help="from this ISO 8601 time on")
    command.add_argument("--until", metavar="TIME", type=moment, help="before this ISO 8601 time")
    command.add_argument("--top", metavar="N", type=count, default=TOP, help="codes to list; default: 10")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def stats(arguments: argparse.Namespace) -> int:
    """Print the counts of the files: a page, or one JSON object. 1 if a file holds no outcome."""
    tally = Tally(since=arguments.since, until=arguments.until)
    empty = read(arguments.files, tally, "stats")
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(tally.summary(top=arguments.top)), indent=2))
    else:
        columns = width()
        summary = tally.summary(columns_in(columns), arguments.top)
        print("\n".join(page(summary, columns, styled=wants_style(), encoding=sys.stdout.encoding)))
    return 1 if empty else 0


class Counting(Protocol):
    """Counts the lines of files: the tally of ``stats``, or the changes of ``whatif``."""

    held: int

    def count(self, found: Iterable[Found], name: str) -> None: ...


def read(files: Sequence[str], counting: Counting, command: str) -> list[str]:
    """Count the files, one after another, with a bar; ``-`` is standard input.

    Returns the names of the files without an outcome, and says that ``ringback command`` found no outcome in these.
    """
    progress = Progress(_size(files))
    try:
        empty = _count(files, counting, progress)
    finally:
        progress.end()
    for name in empty:
        # The file may be the wrong one, or the app's logging may hide its outcomes.
        tell(
            f"ringback {command}",
            f"{_called(name)} holds no outcome; give it a log with call.outcome lines (see "
            "https://ringback.github.io/ringback/stats.html for what is read), and see that your logging lets level "
            "info through",
        )
    return empty


def _count(files: Sequence[str], counting: Counting, progress: Progress) -> list[str]:
    before = lines = 0
    empty: list[str] = []

    def chunks(stream: BinaryIO, position: Callable[[], int]) -> Iterator[bytes]:
        nonlocal lines
        while chunk := stream.read(_CHUNK):
            yield chunk
            lines += chunk.count(b"\n")
            progress.at(before + position(), lines)

    for name in files:
        held = counting.held
        with _opened(name) as (stream, position):
            try:
                counting.count(found_in(chunks(stream, position)), _called(name, quoted=False))
            except TooLong as error:
                raise ConfigurationError(f"{_called(name)}: {error}") from error
            before += position()
        if counting.held == held:
            empty.append(name)
    return empty


@contextmanager
def _opened(name: str) -> Generator[tuple[BinaryIO, Callable[[], int]]]:
    """Open a file, with a function that says how many bytes on the disk have been read."""
    try:
        if name == "-":
            if sys.stdin is None:
                raise ConfigurationError("standard input is closed; name a file")
            yield sys.stdin.buffer, lambda: 0
            return
        with Path(name).open("rb") as file:
            if name.endswith(".gz"):
                # The unpacked stream counts unpacked bytes; the file beneath counts bytes on the disk.
                with gzip.open(file) as unpacked:
                    yield cast("BinaryIO", unpacked), file.tell
            else:
                yield file, file.tell
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{_called(name)} cannot be read to its end ({why})") from error


def _called(name: str, *, quoted: bool = True) -> str:
    if name == "-":
        return "standard input"
    return f"file {name!r}" if quoted else name


def _size(files: Sequence[str]) -> int:
    """Bytes of all files; 0 if one of the names is no regular file."""
    paths = [Path(name) for name in files]
    return sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else 0


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

    yield title(f"{many(summary.outcomes, 'outcome', ',')} in {many(summary.lines.read, 'line', ',')}")
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
        yield title(f"Not read: {many(sum(reason.count for reason in summary.not_read), 'line', ',')}")
    for reason in summary.not_read:
        yield from paragraph(f"{reason.count:,}  {reason.why}; the first is {reason.first}", others="    ")


def _about(summary: Summary) -> str:
    facts: list[str] = []
    if summary.first is not None:
        facts.append(f"from {summary.first} to {summary.last}")
    if summary.repeated:
        facts.append(f"{many(summary.repeated, 'line', ',')} repeated an outcome and counted once")
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


def _span(seconds: int) -> str:
    unit, name = next((unit, name) for unit, name in _UNITS if seconds % unit == 0)
    return many(seconds // unit, name, ",")


def _shown(text: str, encoding: str) -> str:
    return text.encode(encoding, "replace").decode(encoding)
