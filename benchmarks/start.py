"""What importing costs, and which modules it loads; and the memory of a process that has worked for a while.

Each import is measured in a fresh interpreter, in turns with one that imports nothing: the median of the differences.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairs import spread

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
STATEMENTS = {
    "starlette, structlog, msgspec": "import starlette.applications, starlette.routing, structlog, msgspec",
    "ringback": "import ringback",
    "ringback, with a verifier": "import ringback; ringback.CallbackTokenVerifier(audience='a')",
    "fastapi": "import fastapi",
    "both Azure SDKs": "import azure.communication.callautomation, azure.eventgrid",
}
_MODULES = """
import json, sys
before = set(sys.modules)
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
_WORK = """
import asyncio, sys
import apps, loglines, procfs, served
from traffic import body, handle
name, events, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
candidate = served.NAMES[name]
async def work():
    app = candidate.make()
    for _ in range(requests):
        assert await handle(app, body(events)) == 200
        await asyncio.sleep(0)
with loglines.configuration(candidate.log):
    asyncio.run(work())
print(procfs.peak_mib())
"""
WORKERS = ("bare route", "ringback", "sample style, same work", "FastAPI, same work")


def cpu_ms(code: str) -> float:
    """User and system time of an interpreter that runs this code, from its start to its end."""
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, code
    return (used.ru_utime + used.ru_stime) * 1000


def modules(statement: str) -> list[str]:
    """Every module that a fresh interpreter loads with this statement, sorted."""
    told = subprocess.run(
        [sys.executable, "-c", _MODULES.format(statement=statement)], capture_output=True, text=True, check=True
    )
    loaded: list[str] = json.loads(told.stdout)
    return loaded


def slowest(statement: str, count: int = 10) -> list[dict[str, object]]:
    """The modules that take longest by themselves, by ``-X importtime``, in milliseconds of wall time."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement], capture_output=True, text=True, check=True
    )
    found = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \| *(\S+)$", told.stderr, re.MULTILINE)
    ranked = sorted(((int(own) / 1000, name) for own, name in found), reverse=True)
    return [{"module": name, "ms": own} for own, name in ranked[:count]]


def peak_mib(name: str, events: int, requests: int) -> float:
    """The most that a process had in memory which answered so many requests, one after the other."""
    told = subprocess.run(
        [sys.executable, "-c", _WORK, name, str(events), str(requests)],
        capture_output=True,
        text=True,
        check=True,
        cwd=HERE,
    )
    return float(told.stdout)


def section(*, quick: bool, say: Callable[[str], object]) -> dict[str, Any]:
    """``import``: milliseconds and modules by statement; ``memory``: peak MiB by app and events of a request."""
    imports: dict[str, Any] = {}
    for name, statement in STATEMENTS.items():
        say(f"import: {name}")
        taken = [cpu_ms(statement) - cpu_ms("pass") for _ in range(1 if quick else 11)]
        loaded = modules(statement)
        packages = sorted({each.partition(".")[0] for each in loaded} - set(sys.stdlib_module_names))
        imports[name] = {"cpu_ms": spread(taken)._asdict(), "modules": len(loaded), "packages": packages}
    imports["ringback"]["slowest"] = slowest(STATEMENTS["ringback"])
    memory: dict[str, Any] = {}
    for name in WORKERS[:2] if quick else WORKERS:
        say(f"memory: {name}")
        shapes = ((1, 100),) if quick else ((1, 20_000), (1000, 20))
        memory[name] = {str(events): peak_mib(name, events, requests) for events, requests in shapes}
    return {"import": imports, "memory": memory}
