"""A range of codes, of a key or of the rows that a generic subcode is limited to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codes:
    """An inclusive range of codes, written ``"400-499"``, or one code."""

    low: int
    high: int

    def __contains__(self, code: int) -> bool:
        return self.low <= code <= self.high

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
