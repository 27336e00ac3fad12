"""``ringback stats``: counts the lines of log files or of standard input, and prints the counts."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import msgspec

from ringback.cli._numbers import count
from ringback.cli._progress import Progress
from ringback.cli._screen import wants_style, width
from ringback.cli._stats_text import columns_in, page
from ringback.cli.reading import Counted, Line, TooLong, found_in
from ringback.cli.stats.tally import Tally
from ringback.cli.stats.times import second_of
from ringback.exceptions import RingbackError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from ringback.cli.reading import Found

TOP = 10
_CHUNK = 64 * 1024


class LogUnreadable(RingbackError):
    """A log file cannot be opened, or cannot be read to its end."""


def add(command: argparse.ArgumentParser) -> None:
    """The options of ``ringback stats``."""
    command.add_argument("files", metavar="LOGFILE", nargs="+", help="may end in .gz; - is standard input")
    command.add_argument("--since", metavar="TIME", type=_moment, help="from this ISO 8601 time on")
    command.add_argument("--until", metavar="TIME", type=_moment, help="before this ISO 8601 time")
    command.add_argument("--top", metavar="N", type=count, default=TOP, help="codes to list; default: 10")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def stats(arguments: argparse.Namespace) -> int:
    """Print the counts of the files: a page, or one JSON object. 1 if a file holds no outcome."""
    tally = Tally(since=arguments.since, until=arguments.until)
    empty = read(arguments.files, tally, "stats", Counted)
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


def read(files: Sequence[str], counting: Counting, command: str, kind: type[Counted] = Line) -> list[str]:
    """Count the files, one after another, with a bar; ``-`` is standard input.

    Returns the names of the files without an outcome, and says that ``ringback command`` found no outcome in these.
    """
    progress = Progress(_size(files))
    try:
        empty = _count(files, counting, progress, kind)
    finally:
        progress.end()
    for name in empty:
        # The file may be the wrong one, or the app's logging may hide its outcomes.
        print(
            f"ringback {command}: {_called(name)} holds no outcome; give it a log with call.outcome lines (see "
            "docs/stats.md for what is read), and see that your logging lets level info through",
            file=sys.stderr,
        )
    return empty


def _count(files: Sequence[str], counting: Counting, progress: Progress, kind: type[Counted]) -> list[str]:
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
                counting.count(found_in(chunks(stream, position), kind), _called(name, quoted=False))
            except TooLong as error:
                raise LogUnreadable(f"{_called(name)}: {error}") from error
            before += position()
        if counting.held == held:
            empty.append(name)
    return empty


def _moment(text: str) -> float:
    """The argument of ``--since`` and ``--until``, in seconds since 1970."""
    second = second_of(text)
    if second is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write for example 2026-01-15T09:30:00Z")
    return second


@contextmanager
def _opened(name: str) -> Generator[tuple[BinaryIO, Callable[[], int]]]:
    """Open a file, with a function that says how many bytes on the disk have been read."""
    try:
        if name == "-":
            if sys.stdin is None:
                raise LogUnreadable("standard input is closed; name a file")
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
        raise LogUnreadable(f"{_called(name)} cannot be read to its end ({why})") from error


def _called(name: str, *, quoted: bool = True) -> str:
    if name == "-":
        return "standard input"
    return f"file {name!r}" if quoted else name


def _size(files: Sequence[str]) -> int:
    """Bytes of all files; 0 if one of the names is no regular file."""
    paths = [Path(name) for name in files]
    return sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else 0
