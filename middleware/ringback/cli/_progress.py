"""A bar on standard error while a command takes its time; no bar where standard error is no terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_CELLS = 24
_EVERY = 0.1
_FIRST = 0.5
"""Seconds before the bar appears."""


class Progress:
    """``total`` is the size of all files in bytes, or the number of things, which ``noun`` names; 0 if that is unknown.
    ``clock`` counts seconds.
    """

    def __init__(
        self,
        total: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        noun: str = "lines",
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
        """Blank the bar's line."""
        if self._drawn:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()
            self._drawn = 0

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text:<{self._drawn}}")
        self._stream.flush()
        self._drawn = max(self._drawn, len(text))
