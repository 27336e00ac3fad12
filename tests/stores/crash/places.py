"""The stores of a drill, and what may happen to each beside its processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pooler import PROGRAM, Pooler
from ports import free_ports
from server import PASSWORD, USER, Server, account, binaries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import ExitStack
    from pathlib import Path

    Faults = dict[str, Callable[[], Awaitable[object]]]
    Say = Callable[[str], object]

free_port = free_ports()


class Place(NamedTuple):
    """The URL of a store, the URL for the second server, and the store's faults."""

    url: str
    other: str
    faults: Faults


def sqlite(folder: Path, at_end: ExitStack, said: Say, lease: float) -> Place:
    """A file on a disk of its own, which may be full for longer than a lease."""
    disk = folder / "disk"
    disk.mkdir()
    path = disk / "ringback.db"
    faults: Faults = {}
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "drill", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        said(f"left out: a full disk ({mounted.stderr.decode().strip()})")
    else:
        at_end.callback(subprocess.run, ["umount", "--lazy", disk], check=False)
        at_end.callback(lambda: shutil.copytree(disk, folder / "store"))

        async def full() -> None:
            ballast = disk / "ballast"
            with ballast.open("wb") as file:
                while free := os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize:
                    with suppress(OSError):
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
            await asyncio.sleep(lease + 1)
            ballast.unlink()

        faults["the disk full"] = full

    async def away() -> None:
        path.rename(path.with_name("away.db"))
        await asyncio.sleep(lease + 1)
        path.with_name("away.db").rename(path)

    async def without_log() -> None:
        path.with_name(f"{path.name}-wal").unlink(missing_ok=True)

    url = f"sqlite:///{path}"
    return Place(url, url, {**faults, "the file renamed": away, "its log removed": without_log})


def postgres(_: Path, at_end: ExitStack, said: Say, lease: float) -> Place:
    """A server, which the first process goes to straight and the second by way of PgBouncer."""
    found = binaries()
    if found is None:
        raise SystemExit("no PostgreSQL is installed; give --engine sqlite")
    server = Server(found, free_port())
    at_end.callback(server.remove)
    server.start()
    url = other = server.fresh()

    async def down() -> None:
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(lease + 1)
        await asyncio.to_thread(server.start)

    faults: Faults = {"PostgreSQL stopped and started": down}
    if PROGRAM is None:
        said("left out: PgBouncer (apt-get install pgbouncer)")
    else:
        # More connections than one process has: a loop that a hook blocks keeps those of unfinished transactions.
        pooler = Pooler(server.port, free_port(), USER, PASSWORD, account() if os.geteuid() == 0 else None, size=20)
        at_end.callback(pooler.remove)
        pooler.start()
        other = pooler.url(url)

        async def restarted() -> None:
            pooler.stop()
            # Not as long as a lease: one process alone is cut off, and the other would take over what runs in it.
            await asyncio.sleep(lease / 2)
            await asyncio.to_thread(pooler.start)

        faults["PgBouncer stopped and started"] = restarted
    return Place(url, other, faults)


ENGINES = {"sqlite": sqlite, "postgres": postgres}
