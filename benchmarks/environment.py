"""On what a run was made: enough to compare two of them by, and nothing of whose machine it is."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("ringback", "starlette", "structlog", "msgspec", "fastapi", "uvicorn", "httptools", "uvloop", "granian")


def described(now: datetime | None = None) -> dict[str, str]:
    """Interpreter, processor, day and versions of the packages that are installed."""
    made = {
        "date": f"{now or datetime.now(UTC):%Y-%m-%d}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
    }
    for package in PACKAGES:
        try:
            made[package] = version(package)
        except PackageNotFoundError:
            made[package] = "not installed"
    return made


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
