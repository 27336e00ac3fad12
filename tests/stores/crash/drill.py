"""Faults in random order while events come in: counts what was lost, and what ran twice without a death.

    make drill                                               30 minutes, half of them on each engine
    make drill ARGS="--minutes 2 --seed 7 --engine sqlite"   the same faults in the same order for the same seed
    make drill ARGS="--lease 12"                             on a machine that is busy with other things

Two servers and a worker share a store; a sender repeats each event until it is acknowledged. What hooks do is read from
the journal of ``troubles.py``, in which the drill notes each death of a process: the order of its lines says what came
first.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from crash_rig import Process, Rig, event
from machine import LIBRARY, Machine
from places import ENGINES, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from places import Faults, Place, Say

GUILTY = {"hangs", "exits", "leaves", "dies"}
"""Kinds of hooks that never return. Their calls, and no other ones, may become dead letters."""
DAY = 86_400
JUMPS = (-DAY, -3600, 0, 60, 3600, 2 * DAY)
WITNESSED = {"its log removed"}
"""Faults between two acknowledgements: what a log holds is lost with it if no process has it open, and then looks."""
QUIET = 180.0
"""Seconds without a line in the journal after which what is not done counts as lost. A hook that hangs takes minutes:
it is tried eight times, and of what died with its process a worker tries one at a time.
"""
MUST_BE_0 = ("innocents among them", "processes that ended by themselves", "ran twice without a death", "lost")


def settings(lease: float) -> dict[str, str]:
    """Those of the processes, which all follow from the lease.

    A hook that blocks the loop does so for longer than a lease, and for less than a process has that is told to stop.
    More attempts than by default: a process dies every few seconds, and might die five times in an innocent slow hook.
    """
    seconds = {"LEASE": lease, "SECONDS": lease + 2, "TIMEOUT": 2 * lease + 8, "DRAIN": lease + 8}
    return {"ATTEMPTS": "8", **{name: f"{value:g}" for name, value in seconds.items()}}


def kind(key: str) -> str:
    return key.removeprefix("call:").partition("-")[0]


class Runs(NamedTuple):
    """What the journal says, by the keys of calls; and processes that ended though nobody and no hook ended them."""

    begun: set[str]
    returned: set[str]
    twice_after_a_death: set[str]
    twice: set[str]
    ended: set[int]


def runs(facts: Iterable[tuple[float, int, str, str]]) -> Runs:
    """A run may follow another one of the same call only if the process of the earlier one has died in between."""
    found = Runs(set(), set(), set(), set(), set())
    last: dict[str, int] = {}
    killers: set[int] = set()
    dead: set[int] = set()
    for _, pid, fact, key in facts:
        if fact in ("killed", "ended"):
            dead.add(pid)
            if fact == "ended" and pid in last.values() and pid not in killers:
                found.ended.add(pid)
        elif fact == "begin":
            found.begun.add(key)
            if kind(key) == "dies":
                killers.add(pid)
            if key in last and kind(key) not in GUILTY:
                (found.twice_after_a_death if last[key] in dead else found.twice).add(key)
            last[key] = pid
        elif fact in ("end", "redelivered"):
            found.returned.add(key)
    return found


class Drill:
    """The drill of one engine. ``clock`` is that of its processes; nobody sets it if it is ``None``."""

    def __init__(self, folder: Path, place: Place, clock: Machine | None, seed: int, said: Say, lease: float) -> None:
        self.rig, self.clock, self.said = Rig(folder, place.url, free_port), clock, said
        self.chance, self._load = random.Random(seed), random.Random(f"load of {seed}")
        self.sent: list[str] = []
        self.did: Counter[str] = Counter()
        self._numbers = itertools.count()
        self._meant: set[int] = set()
        self._over = False
        self.faults: Faults = {
            "a process killed": self._kill,
            "all processes killed": self._kill_all,
            "a process told to stop": self._redeploy,
            **{f"a hook that {each}": lambda each=each: self._send([each]) for each in (*sorted(GUILTY), "blocks")},
        }
        self.faults |= place.faults if clock is None else {**place.faults, "the clock set": self._jump}
        environment = settings(lease) if clock is None else {**settings(lease), **clock.environment}
        self.servers = [
            self.rig.server(app="troubles", log=folder / f"log-{number}", **environment, STORE=url)
            for number, url in enumerate((place.url, place.other))
        ]
        self.processes = [*self.servers, self.rig.worker("troubles", folder / "log-worker", **environment)]

    async def run(self, minutes: float) -> Counter[str]:
        await asyncio.gather(*(server.ready() for server in self.servers))
        watches = [asyncio.create_task(self._watch(process)) for process in self.processes]
        load = asyncio.create_task(self._send_on())
        end = time.monotonic() + 60 * minutes
        bag: list[str] = []
        began = time.monotonic()
        while time.monotonic() < end:
            # Each fault comes once before any comes again.
            bag = bag or self.chance.sample(sorted(self.faults), len(self.faults))
            name = bag.pop()
            self.said(f"{time.monotonic() - began:6.1f} s {name}")
            self.did[name] += 1
            if name in WITNESSED:
                await self._send(["good"])
            await self.faults[name]()
            if name in WITNESSED:
                await self._send(["good"])
            await asyncio.sleep(self.chance.uniform(0.5, 4))
        self._over = True
        async with asyncio.timeout(QUIET):
            await load
        for process in self.processes:
            # Hooks that hang keep their threads.
            await self._redeploy(process)
        try:
            return await self._counts()
        finally:
            for watch in watches:
                watch.cancel()

    async def _counts(self) -> Counter[str]:
        sent, size, quiet_since = {f"call:{name}" for name in self.sent}, 0, time.monotonic()
        states: dict[str, str] = {}
        while not sent <= states.keys() or {"ready", "running"} & set(states.values()):
            before, size = size, self.rig.journal.stat().st_size
            quiet_since = quiet_since if size == before else time.monotonic()
            if time.monotonic() > quiet_since + QUIET:
                break
            await asyncio.sleep(0.5)
            states = {key: state for key, (state, _) in (await self.rig.rows()).items()}
        found = runs(self.rig.facts())
        dead = {key for key, state in states.items() if state == "dead"}
        reasons = await self.rig.reasons()
        for reason, count in Counter((kind(key), reasons[key]) for key in dead).items():
            self.said(f"dead letters: {count} of {': '.join(reason)}")
        lost = sent - found.returned - dead
        innocents = {key for key in dead if kind(key) not in GUILTY}
        for what, which in (("lost", lost), ("twice without a death", found.twice), ("innocents dead", innocents)):
            if which:
                self.said(f"{what}: {sorted(which)[:20]}")
        for row in await self.rig.whole([*lost][:5]):
            self.said(f"lost: {row}")
        return Counter(
            {
                "acknowledged": len(sent),
                "begun": len(found.begun),
                "returned": len(found.returned),
                "dead letters": len(dead),
                "innocents among them": len(innocents),
                "processes that died": len(self.rig.deaths),
                "processes that ended by themselves": len(found.ended),
                "ran twice with a death in between": len(found.twice_after_a_death),
                "ran twice without a death": len(found.twice),
                "lost": len(lost),
            }
        )

    async def _send_on(self) -> None:
        while not self._over:
            known = self._load.choices(self.sent, k=2) if self.sent else []
            await self._send(self._load.choices(["good", "quick", "slow"], [12, 6, 1], k=10), known)
            await asyncio.sleep(0.3)

    async def _send(self, kinds: Sequence[str], known: Sequence[str] = ()) -> None:
        new = [f"{each}-{next(self._numbers)}" for each in kinds]
        await self.rig.send([event(name) for name in (*new, *known)], self.servers, senders=4)
        self.sent += new

    async def _watch(self, process: Process) -> None:
        """Note when the process has died, then start it again."""
        while True:
            assert process.popen is not None
            if process.popen.poll() is not None:
                meant = process.pid in self._meant or process.pid in process.killed
                with self.rig.journal.open("a") as journal:
                    journal.write(f"{time.time():.6f} {process.pid} {'killed' if meant else 'ended'} -\n")
                process.start()
            await asyncio.sleep(0.02)

    async def _kill(self) -> None:
        self.chance.choice(self.processes).kill()

    async def _kill_all(self) -> None:
        for process in self.processes:
            process.kill()

    async def _redeploy(self, process: Process | None = None) -> None:
        process = process or self.chance.choice(self.processes)
        self._meant.add(process.pid)
        await asyncio.to_thread(process.terminate)

    async def _jump(self) -> None:
        assert self.clock is not None
        self.clock.set(self.chance.choice(JUMPS))


def drill(engine: str, minutes: float, seed: int, lease: float, words: Sequence[str] = ("",)) -> Counter[str]:
    """What one engine's drill counted. Only faults whose names have one of the words happen."""

    def said(text: str) -> None:
        print(f"{engine}: {text}", flush=True)  # noqa: T201

    folder = Path(tempfile.mkdtemp(prefix="ringback-drill-"))
    with ExitStack() as at_end:
        place = ENGINES[engine](folder, at_end, said, lease)
        if LIBRARY is None:
            said("left out: clocks that are set (apt-get install faketime)")
        made = Drill(folder, place, None if LIBRARY is None else Machine(folder), seed, said, lease)
        at_end.callback(made.rig.close)
        made.faults = {name: fault for name, fault in made.faults.items() if any(word in name for word in words)}
        counts = asyncio.run(made.run(minutes))
        said(f"{made.did.total()} faults: {', '.join(f'{name} {count}' for name, count in sorted(made.did.items()))}")
    if passed(counts):
        shutil.rmtree(folder)
    else:
        said(f"the journal and the logs are in {folder}")
    return counts


def passed(counts: Counter[str]) -> bool:
    return not any(counts[what] for what in MUST_BE_0)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="of all engines together (30)")
    parser.add_argument("--seed", type=int, default=None, help="the order of the faults (any)")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="one engine alone")
    parser.add_argument(
        "--lease", type=float, default=6.0, help="seconds; the longer, the less a busy machine matters (6)"
    )
    parser.add_argument("--fault", action="append", metavar="WORD", help="faults of such names alone")
    given = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(10_000) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)  # noqa: T201
    engines = given.engine or list(ENGINES)
    counts: Counter[str] = Counter()
    for engine in engines:
        # Not +=, which forgets what is 0.
        counts.update(drill(engine, given.minutes / len(engines), seed, given.lease, given.fault or [""]))
    print(", ".join(f"{what} {count}" for what, count in counts.items()))  # noqa: T201
    return 0 if passed(counts) else 1


if __name__ == "__main__":
    sys.exit(main())
