"""Text for a terminal: how wide a page is, how to wrap, cut, align and style lines, and a bar while a command works."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from ringback.privacy.written import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDEST = 100
"""Columns of text at most, however wide the terminal: longer lines are hard to read."""

_BLANKS = dict.fromkeys(map(ord, "\t\n\v\f\r"), " ")
_CELLS = 24
_EVERY = 0.1
_FIRST = 0.5
"""Seconds before a bar appears."""


def width(least: int = 40) -> int:
    """Columns of a page: the terminal's number, or 80 where no terminal has a number."""
    return max(least, min(WIDEST, shutil.get_terminal_size().columns))


def wants_style() -> bool:
    """Whether bold and colours are shown: https://no-color.org. A terminal named ``dumb`` would print their codes."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout is not None and sys.stdout.isatty() and not plain


def wrapped(text: str, width: int, first: str = "", others: str | None = None) -> list[str]:
    """The text in lines of at most ``width`` columns.

    The first line begins with ``first``, further lines with ``others``, or with ``first`` if that is ``None``.
    """
    further = first if others is None else others
    words = visible(text.translate(_BLANKS))
    return textwrap.wrap(words, width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False)


def pair(code: int | None, subcode: int | None) -> str:
    """A code and a subcode as people write them: ``486/560486``."""
    shown = "-" if code is None else str(code)
    return shown if subcode is None else f"{shown}/{subcode}"


def cut(text: str, width: int) -> str:
    """The text, with three dots in the last columns where it is wider than ``width`` columns."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def bold(text: str, *, styled: bool, style: str = "1") -> str:
    """The text in bold, or in the SGR ``style``, if it is ``styled``."""
    return f"\x1b[{style}m{text}\x1b[0m" if styled else text


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, the names of the columns first. Each cell is as wide as the widest of its column."""
    rows = [[*map(visible, row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]


def moment(at: float | None) -> str:
    """The second in UTC; a dash for no time."""
    return "-" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def many(number: int, noun: str, form: str = "") -> str:
    """So many things in words: ``1 redial``, ``2 redials``. ``form`` is that of the number, such as a comma."""
    return f"{number:{form}} {noun}{'' if number == 1 else 's'}"


def say(line: str) -> None:
    """Print a line at once, for a person who watches."""
    print(line, flush=True)


def tell(command: str, text: str) -> None:
    """Print a message of a command, such as ``ringback dead list``, on standard error."""
    print(f"{command}: {visible(text)}", file=sys.stderr, flush=True)


class Progress:
    """A bar on standard error, if that is a terminal.

    ``total`` is the size of all files in bytes, or the number of things, which ``noun`` names; 0 if that is unknown.
    ``clock`` counts seconds.
    """

    def __init__(
        self, total: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic, noun: str = "lines"
    ) -> None:
        self._total = total
        self._noun = noun
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        # Standard error is None where a process has none.
        watched = self._stream is not None and self._stream.isatty()
        self._next = clock() + _FIRST if watched else float("inf")
        self._drawn = 0

    def at(self, done: int, lines: int) -> None:
        """``done`` of the total and ``lines`` lines or things are done."""
        if self._next == float("inf"):
            return
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _EVERY
        text = f"{lines:,} {self._noun}"
        if self._total:
            share = min(1.0, done / self._total)
            text = f"[{'#' * int(share * _CELLS):.<{_CELLS}}] {share:4.0%}  {text}"
        self._write(text)

    def end(self) -> None:
        if self._drawn:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()
            self._drawn = 0

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text:<{self._drawn}}")
        self._stream.flush()
        self._drawn = max(self._drawn, len(text))
