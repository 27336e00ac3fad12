"""Text for a terminal: how wide a page is, and how to wrap, cut and style lines."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

WIDEST = 100
"""Columns of text at most, however wide the terminal: longer lines are hard to read."""


def width(least: int = 40) -> int:
    """Columns of a page: the terminal's number, or 80 where no terminal has a number."""
    return max(least, min(WIDEST, shutil.get_terminal_size().columns))


def wants_style() -> bool:
    """Whether bold and colours are shown: https://no-color.org."""
    return sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def wrapped(text: str, width: int, first: str = "", others: str | None = None) -> list[str]:
    """The text in lines of at most ``width`` columns.

    The first line begins with ``first``, further lines with ``others``, or with ``first`` if that is ``None``.
    """
    further = first if others is None else others
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False, tabsize=1
    )


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
