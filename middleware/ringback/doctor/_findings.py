"""One fact about a deployment: fine, or a fault with what the table of faults says of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ringback.doctor._faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the deployment. ``fault`` is a stable name for what is wrong; empty where nothing is."""

    check: str
    severity: Severity
    what: str
    fault: str = ""
    why: str = ""
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        names = ("check", "severity", "fault", "what", "why", "remedy")
        return {name: str(getattr(self, name)) for name in names}


def fine(check: str, what: str) -> Finding:
    return Finding(check, Severity.OK, what)


def told(check: str, fault: str, what: str, severity: Severity = Severity.PROBLEM) -> Finding:
    why, remedy = FAULTS[fault]
    return Finding(check, severity, what, fault, why, remedy)


def count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(each.severity is severity for each in findings)
