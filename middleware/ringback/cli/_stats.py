"""``ringback stats``: what a JSON log adds up to, read once from files or standard input."""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from ringback.cli._page import wants_style
from ringback.cli._progress import Progress
from ringback.cli._stats_page import columns_in, page
from ringback.exceptions import RingbackError
from ringback.tally import Tally, second_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

WIDEST = 100
TOP = 10
_CHUNK = 256 * 1024
_LONGEST = 1024 * 1024
"""Bytes of a line that are kept. A longer one loses its middle, or a file without line ends would fill the memory."""


class LogUnreadable(RingbackError):
    """A file that cannot be opened or read to its end."""


def stats(arguments: argparse.Namespace) -> int:
    """Print what the files add up to: a page, or one JSON object."""
    tally = Tally(since=arguments.since, until=arguments.until)
    files: Sequence[str] = arguments.files
    progress = Progress(_size(files))
    try:
        read(files, tally, progress)
    finally:
        progress.end()
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(tally.summary(top=arguments.top)), indent=2))
        return 0
    width = max(40, min(WIDEST, shutil.get_terminal_size().columns))
    summary = tally.summary(columns_in(width), arguments.top)
    print("\n".join(page(summary, width, styled=wants_style(), encoding=sys.stdout.encoding)))
    return 0


def read(files: Sequence[str], tally: Tally, progress: Progress) -> None:
    """Count the lines of the files, one after another; ``-`` is standard input."""
    before = lines = 0
    for name in files:
        with _opened(name) as (stream, position):
            for batch in _batches(stream.read):
                tally.count(batch)
                lines += len(batch)
                progress.at(before + position(), lines)
            before += position()


def moment(text: str) -> float:
    """The argument of ``--since`` and ``--until``, in seconds since 1970."""
    second = second_of(text)
    if second is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write for example 2026-01-15T09:30:00Z")
    return second


@contextmanager
def _opened(name: str) -> Generator[tuple[BinaryIO, Callable[[], int]]]:
    """A file to read, and how far it has been read in bytes on the disk."""
    try:
        if name == "-":
            if sys.stdin is None:
                raise LogUnreadable("standard input is closed; name a file")
            yield sys.stdin.buffer, lambda: 0
            return
        with Path(name).open("rb") as file:
            if name.endswith(".gz"):
                # It reads whole blocks of the file, and says itself where it is in what they unpack to.
                with gzip.open(file) as unpacked:
                    yield cast("BinaryIO", unpacked), file.tell
            else:
                yield file, file.tell
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise LogUnreadable(f"{_called(name)} cannot be read to its end ({why})") from error


def _called(name: str) -> str:
    return "standard input" if name == "-" else f"file {name!r}"


def _batches(read: Callable[[int], bytes]) -> Iterator[list[bytes]]:
    """The lines, many at a time: a step for each would cost as much as to look at it."""
    rest = b""
    while chunk := read(_CHUNK):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[:_LONGEST]
        yield lines
    yield [rest]


def _size(files: Sequence[str]) -> int:
    """Bytes of all files; 0 if one is no file whose size is known."""
    paths = [Path(name) for name in files]
    if not all(path.is_file() for path in paths):
        return 0
    return sum(path.stat().st_size for path in paths)
