"""Over real sockets: a server in a process of its own, wrk in another, in turns; CPU of the server a request.

All servers of a kind run from beginning to end, and each is idle but in its turn. Requests a second are told as well,
but depend on how many cores the load generator leaves to the server; CPU a request does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import apps
import procfs
import served
import traffic
from pairs import compared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

HERE = Path(__file__).parent
CONNECTIONS = 32
_UVICORN = "-m uvicorn served:app --host 127.0.0.1 --port {port} --log-level critical --no-access-log"
SERVERS = {
    "uvicorn": ("Starlette", f"{_UVICORN} --loop asyncio --http h11"),
    "uvicorn, httptools and uvloop": ("Starlette", f"{_UVICORN} --loop uvloop --http httptools"),
    "granian": ("Starlette", "-m granian served:app --interface asgi --host 127.0.0.1 --port {port} --no-log"),
    "uvicorn, FastAPI": ("FastAPI", f"{_UVICORN} --loop asyncio --http h11"),
    "gunicorn, Flask": (
        "Flask",
        "-m gunicorn served:app --preload --bind 127.0.0.1:{port} --threads 8 --log-level critical",
    ),
}
"""By the name in the tables: the framework of the apps, and the command of the server.

Without ``--preload`` gunicorn takes connections before it has an app to answer them.
"""
_MARK = "NUMBER-GOES-"
_starts = iter(range(1, 2**20))


class Load(NamedTuple):
    """One turn of a server: requests a second, CPU microseconds a request, latency in microseconds, MiB resident."""

    rate: float
    cpu_us: float
    p50_us: float
    p99_us: float
    mib: float


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(server: str, name: str, **settings: str) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    """The process and its port, once it takes connections. Its log lines go to the null device.

    ``settings`` are added to its environment.
    """
    port = free_port()
    framework, command = SERVERS[server]
    process = subprocess.Popen(
        [sys.executable, *command.format(port=port).split()],
        cwd=HERE,
        env={**os.environ, "FRAMEWORK": framework, "CANDIDATE": name, **settings},
        stdout=subprocess.DEVNULL,
    )
    try:
        _await_start(process, port)
        yield process, port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            for each in procfs.family(process.pid):
                os.kill(each, 9)
            process.wait()


def _await_start(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it took a connection")
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the server took no connection on port {port} within 30 s")


def refuse_without_wrk() -> None:
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is not installed; apt-get install wrk, or leave out the section 'sockets'")


def request(folder: Path) -> Path:
    """A file with the bytes of a request, with marks where wrk is to put a number."""
    content = f"[{traffic.event(0).replace('0' * 12, _MARK)}]"
    head = f"POST {traffic.PATH} HTTP/1.1\r\nHost: app.example.com\r\nContent-Type: application/json\r\n"
    file = folder / "request"
    file.write_bytes(f"{head}Content-Length: {len(content)}\r\n\r\n{content}".encode())
    return file


def loaded(pid: int, port: int, seconds: int, file: Path, connections: int = CONNECTIONS) -> Load:
    """One turn. Raises :class:`RuntimeError` for any answer but 200."""
    # Numbers of this turn; the last twelve digits of an id have place for them all.
    start = str(next(_starts) << 24)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "load.lua")]
    before = procfs.cpu_seconds(pid)
    told = subprocess.run(
        [*command, f"http://127.0.0.1:{port}", "--", str(file), _MARK, start],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    spent = procfs.cpu_seconds(pid) - before
    memory = sum(map(procfs.resident_mib, procfs.family(pid)))
    found = re.search(r"^RESULT (.+)$", told, re.MULTILINE)
    result = json.loads(found[1]) if found else {"requests": 0, "errors": 1}
    if result["errors"] or not result["requests"]:
        raise RuntimeError(f"wrk had errors: {told}")
    count = result["requests"]
    return Load(count / result["seconds"], spent / count * 1e6, result["p50_us"], result["p99_us"], memory)


def measured(
    server: str, names: Iterable[str], rounds: int, seconds: int, say: Callable[[str], object]
) -> dict[str, Any]:
    """By candidate: ratios to the bare route of the same round, and medians of the rest."""
    taken: dict[str, list[Load]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as place:
        file = request(Path(place))
        running = {name: stack.enter_context(serving(server, name)) for name in taken}
        for process, port in running.values():
            loaded(process.pid, port, 1, file)  # warms up
        order = list(running)
        for number in range(rounds):
            say(f"sockets: {server}, round {number + 1} of {rounds}")
            order.append(order.pop(0))
            for name in order:
                process, port = running[name]
                taken[name].append(loaded(process.pid, port, seconds, file))
    return {name: _summary(loads, taken[apps.BARE]) for name, loads in taken.items()}


def _summary(loads: list[Load], reference: list[Load]) -> dict[str, Any]:
    return {
        "cpu_ratio": compared([each.cpu_us for each in loads], [each.cpu_us for each in reference]),
        **{name: round(statistics.median(getattr(each, name) for each in loads), 1) for name in Load._fields},
    }


def section(*, quick: bool, say: Callable[[str], object]) -> dict[str, Any]:
    """By server and candidate. Raises :class:`RuntimeError` without wrk."""
    refuse_without_wrk()
    rounds, seconds = (1, 1) if quick else (5, 2)
    return {
        server: measured(server, list(served.FRAMEWORKS[framework])[: 2 if quick else None], rounds, seconds, say)
        for server, (framework, _) in SERVERS.items()
    }
