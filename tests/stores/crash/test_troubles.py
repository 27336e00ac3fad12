"""Nothing that a hook does costs another call its hook: hooks that hang, block the loop, exit, or kill their process.

Real processes, with the time-outs and leases of the app made short. Figures are counted in the journal of the hooks.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from ringback.testing.signing import default_issuer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.untraced


def keys(kind: str, count: int) -> set[str]:
    return {f"call:{kind}-{number}" for number in range(count)}


def bodies(rig: Any, kind: str, count: int) -> list[bytes]:
    return [rig.event(f"{kind}-{number}") for number in range(count)]


def begun(rig: Any) -> Counter[str]:
    return Counter(key for _, _, fact, key in rig.facts() if fact == "begin")


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def asked(url: str, times: int) -> list[float]:
    """How many milliseconds each answer took, one request after the other."""
    took: list[float] = []
    async with aiohttp.ClientSession() as session:
        for _ in range(times):
            began = time.monotonic()
            async with session.get(url) as reply:
                assert reply.status == 204
            took.append(1000 * (time.monotonic() - began))
            await asyncio.sleep(0.01)
    return took


def lines(log: Path, event: str) -> list[dict[str, Any]]:
    """The lines of this event in the log of a process, which writes JSON on its standard output."""
    said = (line for line in log.read_text("utf-8").splitlines() if line.startswith("{"))
    return [line for line in map(json.loads, said) if line["event"] == event]


async def test_without_a_store_slow_hooks_are_all_called(make_rig: Callable[[str], Any]) -> None:
    """However few threads the loop's own executor has: 200 calls of a hook of three seconds."""
    rig = make_rig("memory")
    server = rig.server(app="troubles", SECONDS="3")
    await server.ready()
    await rig.send(bodies(rig, "slow", 200), [server])
    await until(lambda: len(rig.ends()) == 200)
    assert rig.ends() == dict.fromkeys(keys("slow", 200), 1)


async def test_slow_hooks_run_once(rig: Any) -> None:
    """A hook that waits for a thread has not begun, so it is neither late nor taken over: 16 run at once, 24 wait."""
    server = rig.server(app="troubles", SECONDS="2.5", TIMEOUT="6")
    await server.ready()
    await rig.send(bodies(rig, "slow", 40), [server])
    rows = await rig.settled()
    assert {state for state, _ in rows.values()} == {"done"}
    assert rig.ends() == begun(rig) == dict.fromkeys(keys("slow", 40), 1)
    assert [fact for *_, fact, _ in rig.facts() if fact == "redelivered"] == []


@pytest.mark.parametrize(("store", "timeout"), [("memory", 1), ("sqlite", 1), ("sqlite", 60)])
async def test_hooks_that_hang_cost_no_other_call_its_hook(
    make_rig: Callable[[str], Any], tmp_path: Path, store: str, timeout: int
) -> None:
    """Nor the app its threads, nor a sender its token check, nor a deployment its end."""
    rig = make_rig("memory" if store == "memory" else f"sqlite:///{tmp_path / 'ringback.db'}")
    rig.headers = default_issuer().headers()
    with default_issuer().serve() as url:
        server = rig.server(app="troubles", log=tmp_path / "log", KEYS=url, TIMEOUT=str(timeout), DRAIN="1")
        await server.ready()
        # The first request fetches the keys, with six hooks that hang already.
        await rig.send(bodies(rig, "hangs", 6), [server])
        await until(lambda: len(begun(rig)) == 6)
        answers = asyncio.create_task(asked(f"http://127.0.0.1:{server.port}/resolves", 100))
        await rig.send(bodies(rig, "good", 200), [server])
        await until(lambda: len(rig.ends()) == 200)
        took = sorted(await answers)
    rig.report(f"the app's own answers beside six hung hooks: {took[50]:.0f} ms in the median, {took[-1]:.0f} at most")
    assert rig.ends() == dict.fromkeys(keys("good", 200), 1)
    assert begun(rig) == dict.fromkeys(keys("good", 200) | keys("hangs", 6), 1)
    # On a busy machine a good one may overrun its time-out, too.
    late = keys("hangs", 6) if timeout == 1 else set[str]()
    await until(lambda: late <= {line["outcome_id"] for line in lines(tmp_path / "log", "hook.overran")})
    began = time.monotonic()
    await asyncio.to_thread(server.terminate)
    rig.report(f"ended {time.monotonic() - began:.2f} s after SIGTERM, with a drain of 1 s")
    assert set(rig.ends()) == keys("good", 200)


async def test_a_hook_that_blocks_the_loop_runs_once(rig: Any, tmp_path: Path) -> None:
    """Its process lives, though its loop stands still for more than three leases; and the process says so."""
    servers = [rig.server(app="troubles", log=tmp_path / f"log-{number}", SECONDS="7") for number in range(2)]
    await asyncio.gather(*(server.ready() for server in servers))
    await rig.send(bodies(rig, "blocks", 1), servers[:1])
    rows = await rig.settled()
    assert {state for state, _ in rows.values()} == {"done"}
    assert rig.ends() == begun(rig) == {"call:blocks-0": 1}
    said = [line for server in servers for line in lines(server.log, "loop.blocked")]
    assert {line["hook"] for line in said} == {"troubles.hook_in_loop"}
    rig.report(f"loop.blocked says {[line['seconds'] for line in said]} s of 7")


async def test_a_hook_cannot_end_its_server(rig: Any) -> None:
    """`sys.exit()` in a thread, and KeyboardInterrupt in the loop, are failures of that hook alone."""
    server = rig.server(app="troubles", ATTEMPTS="2")
    await server.ready()
    process = server.pid
    await rig.send([*bodies(rig, "exits", 2), *bodies(rig, "leaves", 2), *bodies(rig, "good", 10)], [server])
    rows = await rig.settled()
    assert {key for key, (state, _) in rows.items() if state == "dead"} == keys("exits", 2) | keys("leaves", 2)
    assert begun(rig) == dict.fromkeys(keys("exits", 2) | keys("leaves", 2), 2) | dict.fromkeys(keys("good", 10), 1)
    assert server.popen.poll() is None
    assert {pid for _, pid, _, _ in rig.facts()} == {process}


async def test_a_hook_that_kills_its_process_harms_itself_alone(rig: Any) -> None:
    """Of 13 events that begin together one is poison. Whoever starts the process again loses no other one."""
    server = rig.server(app="troubles", ATTEMPTS="3")
    await server.ready()
    deaths = 0

    async def start_again() -> None:
        nonlocal deaths
        while True:
            if server.popen.poll() is not None:
                deaths += 1
                server.start()
            await asyncio.sleep(0.05)

    # On a busy machine the poison kills before all are sent.
    restarting = asyncio.create_task(start_again())
    await rig.send([rig.event("dies-0"), *bodies(rig, "good", 12)], [server], senders=1)
    rows = await rig.settled()
    restarting.cancel()
    await asyncio.wait({restarting})
    assert {key for key, (state, _) in rows.items() if state == "dead"} == {"call:dies-0"}
    assert set(rig.ends()) == keys("good", 12)
    # Whose process died after the return and before its record is called again, and told so.
    told: dict[str, list[str]] = {}
    for _, _, fact, key in rig.facts():
        if fact in ("end", "redelivered"):
            told.setdefault(key, []).append(fact)
    assert [facts for facts in told.values() if facts not in (["end"], ["redelivered"], ["end", "redelivered"])] == []
    assert (deaths, begun(rig)["call:dies-0"]) == (3, 3)
    reason = "troubles.hook: RuntimeError: the worker died while this hook ran, in attempt 3"
    assert await rig.reasons() == {"call:dies-0": reason}
    rig.report(f"{deaths} deaths; begun {dict(Counter(begun(rig).values()))}")
