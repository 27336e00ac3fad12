"""What `import ringback` takes beside an import of what it stands on, each in a fresh process, in turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

from pairs import compared

BASE, OURS = "starlette.applications, structlog, msgspec", "ringback"
_PROGRAM = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"


def section(rounds: int) -> dict[str, Any]:
    """By what is imported, milliseconds of CPU; and the ratio of the two. The first round warms up."""
    taken: dict[str, list[float]] = {BASE: [], OURS: []}
    for _ in range(rounds + 1):
        for name, seconds in taken.items():
            program = [sys.executable, "-c", _PROGRAM.format(name)]
            seconds.append(float(subprocess.run(program, capture_output=True, text=True, check=True).stdout))
    counted = {name: seconds[1:] for name, seconds in taken.items()}
    ms = {name: round(statistics.median(seconds) * 1e3, 1) for name, seconds in counted.items()}
    return {"ms": ms, "ratio": compared(counted[OURS], counted[BASE])}
