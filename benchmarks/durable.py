"""What durability costs: acknowledged requests a second over sockets, as ratios within one run.

    make bench-durable                      the table
    make bench-durable ARGS="--rounds 9"    steadier

Each candidate is an app under uvicorn in a process of its own, on a store or without; it takes turns
with the others. A load generator keeps 64 connections busy, each with one event of another call. What
is measured is the acknowledgement: calls settle long after the run, so that no hook runs beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import loglines
import samples
from apps import bare, starlette
from traffic import PATH, body

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, classify_event, open_store, parse_delivery
from ringback.stores.port import Item, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette

CONNECTIONS = 64
SECONDS = 3.0
CANDIDATES = ("bare", "without store", "sqlite", "sample style", "sample style, same work")
OWN_LEG = b"1f0e5c1a-0000-4000-8000-0000bench000"


def create_app() -> Starlette:
    """The candidate that the environment names."""
    loglines.plain()
    name = os.environ["CANDIDATE"]
    if name == "bare":
        return starlette(bare)
    if name.startswith("sample"):
        return starlette(samples.published if name == "sample style" else samples.same_work)
    router = OutcomeRouter()

    @router.on_retryable
    async def call_again(_: Outcome) -> None:
        """What a hook costs beyond being called is the app's."""

    app = starlette(bare)
    app.add_middleware(
        CallOutcomeMiddleware, router=router, auth=None, path=PATH, store=os.environ.get("STORE") or None, settle=3600.0
    )
    return app


class Connection(asyncio.Protocol):
    """Posts one delivery after the other and counts the answers."""

    def __init__(self) -> None:
        head, _, tail = request().partition(OWN_LEG)
        self._parts = [*(head + OWN_LEG + tail).split(OWN_LEG)]
        self._answers = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._post()

    def data_received(self, data: bytes) -> None:
        # Bodies are empty and answers small: each comes as one piece.
        if not data.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204")):
            raise RuntimeError(data[:200].decode())
        self._answers += 1
        self._post()

    @property
    def answers(self) -> int:
        return self._answers

    def _post(self) -> None:
        assert self.transport is not None
        if not self.transport.is_closing():
            self.transport.write(str(uuid.uuid4()).encode().join(self._parts))


def request() -> bytes:
    content = body(1)
    leg = content.partition(b'"source":"calling/callConnections/')[2][:36]
    content = content.replace(leg, OWN_LEG)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def load(port: int) -> float:
    """Answers a second."""
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(Connection, "127.0.0.1", port) for _ in range(CONNECTIONS)]
    connections = [protocol for _, protocol in made]
    await asyncio.sleep(0.3)
    before, start = sum(each.answers for each in connections), time.perf_counter()
    await asyncio.sleep(SECONDS)
    rate = (sum(each.answers for each in connections) - before) / (time.perf_counter() - start)
    for transport, _ in made:
        transport.close()
    return rate


def measure(name: str, folder: Path) -> float:
    """One candidate in a fresh process, on a fresh store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    store = f"sqlite:///{folder / uuid.uuid4().hex}.db" if name == "sqlite" else ""
    command = [sys.executable, "-m", "uvicorn", "--factory", "durable:create_app", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "error", "--no-access-log"],
        cwd=Path(__file__).parent,
        env={**os.environ, "CANDIDATE": name, "STORE": store},
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        return asyncio.run(load(port))
    finally:
        process.kill()
        process.wait()


async def inserts(folder: Path, seconds: float = 3.0) -> float:
    """Group-committed inserts a second of the SQLite store by itself, at concurrency 64."""
    store = open_store(f"sqlite:///{folder / uuid.uuid4().hex}.db?max_backlog=100000000")
    outcome = classify_event(parse_delivery(body(1)).events[0])
    assert outcome is not None
    end, count = time.perf_counter() + seconds, 0

    async def put() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await store.put([Item(f"call:{uuid.uuid4()}", Kind.OUTCOME, time.time() + 3600, outcome)])
            count += 1

    await store.open()
    await asyncio.gather(*(put() for _ in range(CONNECTIONS)))
    await store.close()
    return count / seconds


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    arguments = parser.parse_args(argv)
    taken: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for _ in range(arguments.rounds):
            for name in CANDIDATES:
                taken[name].append(measure(name, folder))
        rate = asyncio.run(inserts(folder))
    reference = taken["without store"]
    print(f"requests/s as a ratio to the app without a store, median of {arguments.rounds} rounds (least-most)\n")
    for name, rates in taken.items():
        each = sorted(one / base for one, base in zip(rates, reference, strict=True))
        absolute = statistics.median(rates)
        print(f"{name:28}{statistics.median(each):6.2f} ({each[0]:.2f}-{each[-1]:.2f}) {absolute:8.0f}/s")
    print(f"\ngroup-committed inserts by themselves, for orientation: {rate:.0f}/s")


if __name__ == "__main__":
    main()
