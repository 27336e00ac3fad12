"""What a deployment answered to a first caller, and what to do about it. Pure: who asks is ``ringback doctor``.

Probes are what to ask; answers and failures are what came; findings are what that means.
"""

from __future__ import annotations

from ringback.doctor._answers import Answer, Connected, Failure, Lost, Seen
from ringback.doctor._faults import FAULTS
from ringback.doctor._findings import Finding, Severity, count
from ringback.doctor._judgement import SLOWEST, blocks, judge
from ringback.doctor._probes import LARGE, Probe, further, strangers_event
from ringback.doctor._target import Target, target

__all__ = [
    "FAULTS",
    "LARGE",
    "SLOWEST",
    "Answer",
    "Connected",
    "Failure",
    "Finding",
    "Lost",
    "Probe",
    "Seen",
    "Severity",
    "Target",
    "blocks",
    "count",
    "further",
    "judge",
    "strangers_event",
    "target",
]
