"""Numbers that a person types: of things, and of seconds."""

from __future__ import annotations

import argparse
import re


def count(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of things; write a whole number from 1")
    return int(text)


def seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write for example 20")
    return float(text)
