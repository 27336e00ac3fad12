"""Values of options as a person types them: numbers, times, causes and codes."""

from __future__ import annotations

import argparse
import re
import time

from ringback.cli.reading.line import second_of
from ringback.core.times import span_in
from ringback_catalog import Cause


def count(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of things; write a whole number from 1")
    return int(text)


def integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number; write for example 8765") from None


def factor(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no factor; write for example 10 or 0.5") from None


def seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write for example 20")
    return float(text)


def some(text: str, fault: str = "finds nothing; give a value, or leave the option out") -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"it is empty, which {fault}")
    return text


def named(text: str) -> str:
    return some(text, "names nothing; give a value")


def of_cause(text: str) -> Cause:
    try:
        return Cause(text)
    except ValueError:
        causes = ", ".join(sorted(Cause))
        raise argparse.ArgumentTypeError(f"{text!r} is no cause; there are {causes}") from None


def of_code(text: str) -> tuple[int, int | None]:
    """The code, and the subcode if there is one."""
    found = re.fullmatch("([0-9]{1,6})(?:[/#]([0-9]{1,9}))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no code; write for example 486, or 486/560486")
    return int(found[1]), None if found[2] is None else int(found[2])


def moment(text: str, more: str = "") -> float:
    second = second_of(text)
    if second is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write for example 2026-01-15T09:30:00Z{more}")
    return second


def ago(text: str) -> float:
    return _at(text, -1)


def ahead(text: str) -> float:
    return time.time() if text == "now" else _at(text, 1)


def _at(text: str, sign: int) -> float:
    span = span_in(text)
    return moment(text, ", or 2h, or 3d") if span is None else time.time() + sign * span
