"""Real processes whose wall clock is set while they work, by libfaketime: nothing waits for it, nothing runs twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from machine import LIBRARY, Machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.untraced

DAY = 86_400
needs_faketime = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed (apt-get install faketime)")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def ended(rig: Any, count: int, within: float = 30.0) -> Counter[str]:
    """How often each hook has returned, once so many have."""
    end = time.monotonic() + within
    while sum(rig.ends().values()) < count and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    ends: Counter[str] = rig.ends()
    return ends


@needs_faketime
async def test_an_hour_back_holds_nothing_up(rig: Any, machine: Machine) -> None:
    """What was acknowledged just before, and what waits for its next attempt, has its hook within seconds."""
    server = rig.server(SETTLE="4", **machine.environment)
    await server.ready()
    before = [rig.event(f"before-{number}") for number in range(20)]
    await rig.send(before, [server])
    machine.set(-3600)
    await rig.send([rig.event(f"after-{number}") for number in range(20)], [server])
    ends = await ended(rig, 40)
    assert ends == Counter({f"call:{when}-{number}": 1 for when in ("before", "after") for number in range(20)})


@needs_faketime
async def test_a_minute_forward_runs_nothing_twice(rig: Any, machine: Machine) -> None:
    """Two processes, whose leases would all have ended."""
    servers = [rig.server(HOOK_SECONDS="3", LEASE="20", **machine.environment) for _ in range(2)]
    await asyncio.gather(*(server.ready() for server in servers))
    await rig.send([rig.event(f"leg-{number}") for number in range(6)], servers)
    await begun(rig, 6)
    machine.set(60)
    ends = await ended(rig, 6)
    await asyncio.sleep(3)
    assert (ends, rig.ends()) == (Counter({f"call:leg-{number}": 1 for number in range(6)}), ends)
    assert Counter(fact for _, _, fact, _ in rig.facts()) == {"begin": 6, "end": 6}


@needs_faketime
def test_a_process_whose_clock_is_set_waits_for_others_that_open_the_file(machine: Machine) -> None:
    code = "from ringback.stores.sqlite.lock import pause; pause(0.01)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **machine.environment}, check=True)


async def begun(rig: Any, count: int) -> None:
    end = time.monotonic() + 30
    while sum(fact == "begin" for _, _, fact, _ in rig.facts()) < count:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


@needs_faketime
async def test_eight_days_forward_and_back_forget_nothing(rig: Any, machine: Machine) -> None:
    """The purge that comes in between leaves what is known, so an event that comes again is none."""
    server = rig.server(**machine.environment)
    await server.ready()
    known = [rig.event(f"leg-{number}") for number in range(20)]
    await rig.send(known, [server])
    ends = await ended(rig, 20)
    machine.set(8 * DAY)
    # The housekeeping comes with every third of a lease, of two seconds; the first purge with the start.
    await asyncio.sleep(3)
    await rig.send([rig.event("then")], [server])
    machine.set(0)
    await rig.send(known, [server])
    ends |= Counter({"call:then": 1})
    assert await ended(rig, 21) == ends
    await asyncio.sleep(2)
    assert rig.ends() == ends


REMOVED: dict[str, Callable[[Path], None]] = {
    "files": lambda path: [each.unlink() for each in path.parent.glob(f"{path.name}*")] and None,
    "database": lambda path: path.unlink(),
    "log": lambda path: path.with_name(f"{path.name}-wal").unlink(),
    "renamed": lambda path: path.rename(path.with_name("away.db")) and None,
    "cut": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("how", REMOVED)
async def test_nothing_is_acknowledged_into_a_file_that_is_gone(
    make_rig: Callable[[str], Any], tmp_path: Path, how: str
) -> None:
    """After the death of the process, whatever was answered 204 is in the file, unless somebody took the file away."""
    path = tmp_path / "ringback.db"
    rig = make_rig(f"sqlite:///{path}")
    server = rig.server(WORKER="0")
    await server.ready()
    await rig.send([rig.event("before")], [server])
    REMOVED[how](path)
    answers = await rig.post_once([rig.event(f"leg-{number:02}") for number in range(20)], server)
    more = await rig.post_once([rig.event(f"more-{number:02}") for number in range(20)], server)
    server.kill()
    rows = {} if how in ("files", "database", "renamed", "cut") else await rig.rows()
    kept = sum(answer for status, answer in (answers + more).items() if status == 204)
    assert set(answers + more) <= {204, 503}
    assert answers[503] > 0
    if rows:
        # The log's loss costs one answer; then all goes on.
        assert more == Counter({204: 20})
        assert "call:before" in rows
        assert {f"call:more-{number:02}" for number in range(20)} <= set(rows)
    else:
        assert kept == 0
