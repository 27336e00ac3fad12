"""A store and the processes that share it, which can be killed, and a sender that does not give up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HERE = Path(__file__).parent

RESULTS = {
    "busy": (486, 560486),
    "no_answer": (487, 10004),
    "service_error": (500, 0),
    "throttled": (429, 0),
    "hung_up": (200, 560000),
}


def event(leg: str, name: str = "CallDisconnected", result: str = "busy", context: str | None = None) -> bytes:
    code, subcode = RESULTS[result]
    data = {
        "callConnectionId": leg,
        "correlationId": f"call-of-{leg}",
        "resultInformation": {"code": code, "subCode": subcode, "message": "made for the crash suite"},
    }
    if context is not None:
        data["operationContext"] = context
    return json.dumps(
        [
            {
                "id": f"{name}-{leg}",
                "source": f"calling/callConnections/{leg}",
                "type": f"Microsoft.Communication.{name}",
                "specversion": "1.0",
                "data": data,
            }
        ]
    ).encode()


@dataclass
class Process:
    """One process of the app or of a worker, always startable again on the same port."""

    command: Sequence[str]
    environment: dict[str, str]
    port: int | None = None
    log: Path | None = None
    """Where its log lines and errors go; by default the former go nowhere."""
    popen: subprocess.Popen[bytes] | None = None
    killed: dict[int, float] = field(default_factory=dict)

    def start(self) -> None:
        environment = {**os.environ, **self.environment}
        with (self.log or Path(os.devnull)).open("ab") as out:
            errors = None if self.log is None else out
            self.popen = subprocess.Popen(self.command, cwd=HERE, env=environment, stdout=out, stderr=errors)

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    async def ready(self) -> None:
        """Wait until it listens."""
        assert self.port is not None
        while True:
            assert self.popen is not None
            assert self.popen.poll() is None, "the process ended by itself"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def memory(self) -> int:
        """Bytes that are resident."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """What a crash is: no handler runs, nothing is flushed."""
        if self.popen is not None and self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
            self.killed[self.popen.pid] = time.time()

    def terminate(self) -> int:
        """What a deployment does."""
        ended = self.popen
        assert ended is not None
        ended.send_signal(signal.SIGTERM)
        # The drain is at most 20 s; a busy machine takes its time for the rest.
        return ended.wait(90)


class Rig:
    """A store, a journal, and the processes that share them."""

    event = staticmethod(event)

    def __init__(self, folder: Path, url: str, free_port: Callable[[], int]) -> None:
        self.url = url
        self.free_port = free_port
        self.journal = folder / "journal"
        self.journal.touch()
        self.environment = {"STORE": url, "JOURNAL": str(self.journal)}
        self.processes: list[Process] = []
        self.acknowledged = 0
        self.headers: dict[str, str] = {}

    def server(
        self, port: int | None = None, app: str = "service", log: Path | None = None, **environment: str
    ) -> Process:
        port = port or self.free_port()
        command = [sys.executable, "-m", "uvicorn", "--factory", f"{app}:create_app", "--port", str(port)]
        return self._process([*command, "--log-level", "error"], environment, port, log)

    def worker(self, app: str = "service", log: Path | None = None, **environment: str) -> Process:
        command = [sys.executable, "-c", f"import {app}; {app}.work()"]
        return self._process(command, environment, None, log)

    def _process(
        self, command: Sequence[str], environment: dict[str, str], port: int | None, log: Path | None = None
    ) -> Process:
        process = Process(command, {**self.environment, **environment}, port, log)
        self.processes.append(process)
        process.start()
        return process

    def report(self, text: str) -> None:
        """What was counted, for who runs the suite by itself (``make crash``)."""
        engine = self.url.partition(":")[0]
        print(f"\n{engine}: {text}", file=sys.stderr)  # noqa: T201

    def close(self) -> None:
        for process in self.processes:
            process.kill()

    @property
    def deaths(self) -> dict[int, float]:
        return {pid: at for process in self.processes for pid, at in process.killed.items()}

    def facts(self) -> list[tuple[float, int, str, str]]:
        lines = (line.split(" ", 3) for line in self.journal.read_text().splitlines())
        return [(float(at), int(pid), fact, key) for at, pid, fact, key in lines]

    def ends(self) -> Counter[str]:
        """How often the hook of each call was completed."""
        return Counter(key for _, _, fact, key in self.facts() if fact in ("end", "redelivered"))

    async def rows(self) -> dict[str, tuple[str, float | None]]:
        """State and time of the end of each item, read from the store itself."""
        if self.url.startswith("sqlite"):
            with sqlite3.connect(self.url.removeprefix("sqlite:///")) as connection:
                found = connection.execute("SELECT key, state, finished_at FROM items").fetchall()
        else:
            import psycopg

            async with await psycopg.AsyncConnection.connect(self.url) as connection:
                cursor = await connection.execute("SELECT key, state, finished_at FROM ringback_items")
                found = await cursor.fetchall()
        return {key: (state, None if at is None else float(at)) for key, state, at in found}

    async def whole(self, keys: Sequence[str]) -> list[dict[str, object]]:
        """What the store has in the rows of these items, and of their jobs."""
        if self.url.startswith("sqlite"):
            with sqlite3.connect(self.url.removeprefix("sqlite:///")) as connection:
                connection.row_factory = sqlite3.Row
                query = f"SELECT * FROM items WHERE key IN ({', '.join('?' * len(keys))})"
                return [dict(row) for row in connection.execute(query, keys)]
        import psycopg
        from psycopg.rows import dict_row

        query = """
            SELECT item.*, job.status, job.scheduled_at, clock_timestamp() AS now FROM ringback_items AS item
            LEFT JOIN procrastinate_jobs AS job ON job.args ->> 'key' = item.key WHERE item.key = ANY(%s)
        """
        async with await psycopg.AsyncConnection.connect(self.url, row_factory=dict_row) as connection:
            return await (await connection.execute(query, (list(keys),))).fetchall()

    async def reasons(self) -> dict[str, str]:
        """Why each dead letter died."""
        from ringback.stores import open_store

        store = open_store(self.url)
        try:
            return {letter.key: letter.reason for letter in await store.dead()}
        finally:
            await store.close()

    async def settled(self, seconds: float = 60.0) -> dict[str, tuple[str, float | None]]:
        """The rows, once nothing waits and nothing runs any more. Fails when nothing has happened for so many seconds:
        on a busy machine a process takes long to start, and of what died with one a worker tries one at a time.
        """
        seen: object = None
        end = time.monotonic() + seconds
        while True:
            rows = await self.rows()
            open_rows = {key: row for key, row in rows.items() if row[0] in ("ready", "running")}
            if rows and not open_rows:
                return rows
            if seen != (seen := (rows, self.journal.stat().st_size)):
                end = time.monotonic() + seconds
            elif time.monotonic() > end:
                left = await self.whole([*open_rows][:3])
                codes = [None if each.popen is None else each.popen.poll() for each in self.processes]
                raise AssertionError(f"{len(open_rows)} items are left, processes {codes} (None: alive): {left}")
            await asyncio.sleep(0.2)

    async def post_once(self, deliveries: Sequence[bytes], target: Process) -> Counter[int]:
        """The answers to each delivery, posted once."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), headers=self.headers) as session:

            async def post(delivery: bytes) -> int:
                async with session.post(f"http://127.0.0.1:{target.port}/callbacks", data=delivery) as reply:
                    return reply.status

            return Counter(await asyncio.gather(*map(post, deliveries)))

    async def send(self, deliveries: Iterable[bytes], targets: Sequence[Process], senders: int = 32) -> Counter[int]:
        """Post each delivery until it is acknowledged, as Event Grid does. The answers, 0 for none at all."""
        waiting = iter(deliveries)
        answers: Counter[int] = Counter()
        timeout = aiohttp.ClientTimeout(total=10)

        async def sender(number: int) -> None:
            async with aiohttp.ClientSession(timeout=timeout, headers=self.headers) as session:
                for turn, delivery in enumerate(waiting):
                    while True:
                        target = targets[(number + turn) % len(targets)]
                        try:
                            async with session.post(
                                f"http://127.0.0.1:{target.port}/callbacks", data=delivery
                            ) as reply:
                                status = reply.status
                        except (aiohttp.ClientError, TimeoutError, ConnectionError):
                            status = 0
                        answers[status] += 1
                        if status == 204:
                            self.acknowledged += 1
                            break
                        turn += 1
                        await asyncio.sleep(0.05)

        await asyncio.gather(*(sender(number) for number in range(senders)))
        return answers
