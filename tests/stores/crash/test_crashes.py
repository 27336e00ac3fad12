"""Nothing that was acknowledged is lost, and no hook runs again once it is done, however often processes are killed.

Real processes on both engines. ``make crash`` runs it whole; the usual tests run a part, see SCALE in conftest.py.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.untraced


def deliveries(event: Callable[..., bytes], calls: int, duplicates: int, chance: random.Random) -> list[bytes]:
    """Some calls report their end as a pair; all of it, and the duplicates, come in any order."""
    sent: list[bytes] = []
    for number in range(calls):
        leg = f"leg-{number:05}"
        result = chance.choice(["busy", "no_answer", "service_error", "hung_up"])
        sent.append(event(leg, "CallDisconnected", result))
        if number % 4 == 0 and result != "hung_up":
            sent.append(event(leg, "CreateCallFailed", result))
    sent += chance.choices(sent, k=duplicates)
    chance.shuffle(sent)
    return sent


def runs_after_done(rig: Any, rows: dict[str, tuple[str, float | None]]) -> list[str]:
    """The hooks that began after their item was recorded as done."""
    ended = {key: at for key, (_, at) in rows.items() if at is not None}
    return [key for at, _, fact, key in rig.facts() if fact == "begin" and at > ended[key]]


def excused(rig: Any) -> set[str]:
    """The calls whose hook was running, or just completed and not yet recorded, when its process was killed."""
    deaths = rig.deaths
    last_of: dict[int, set[str]] = {}
    for at, pid, _, key in rig.facts():
        if pid in deaths and deaths[pid] - at < 1.0:
            last_of.setdefault(pid, set()).add(key)
    return set().union(*last_of.values())


async def test_nothing_acknowledged_is_lost_and_nothing_done_runs_again(rig: Any, scale: float) -> None:
    """Events with duplicates and reordered pairs, while the server and a worker are killed again and again."""
    chance = random.Random(4)
    calls, kills = int(8000 * scale), max(4, int(20 * scale))
    sent = deliveries(rig.event, calls, int(2000 * scale), chance)
    server, worker = rig.server(), rig.worker()
    await server.ready()

    async def kill() -> None:
        for number in range(kills):
            # Spread over the run, whatever the machine's speed.
            while rig.acknowledged < len(sent) * (number + chance.random()) / kills:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            victim = worker if number % 3 == 2 else server
            victim.kill()
            victim.start()
            if victim is server:
                await server.ready()

    killing = asyncio.create_task(kill())
    answers = await rig.send(sent, [server])
    await killing
    rows = await rig.settled()

    assert answers[204] == len(sent)
    assert {state for state, _ in rows.values()} == {"done"}
    ends = rig.ends()
    assert set(ends) == {f"call:leg-{number:05}" for number in range(calls)}, "acknowledged and lost"
    assert runs_after_done(rig, rows) == []
    twice = {key for key, count in ends.items() if count > 1}
    assert twice <= excused(rig)

    # Everything once more: nothing is news.
    before = len(rig.facts())
    again = await rig.send(sent[: int(1000 * scale)], [server])
    await asyncio.sleep(1.0)
    assert (len(rig.facts()), set(again)) == (before, {204})
    rig.report(f"{len(sent)} events, {kills} kills, {len(twice)} hooks completed twice, answers {dict(answers)}")


async def test_two_replicas_call_each_hook_once(rig: Any, scale: float) -> None:
    """Both receive every event; then one dies, and the other finishes what it had."""
    calls = int(2000 * scale)
    bodies = [rig.event(f"leg-{number:05}") for number in range(calls)]
    first, second = rig.server(HOOK_SECONDS="0.05"), rig.server(HOOK_SECONDS="0.05")
    await asyncio.gather(first.ready(), second.ready())
    await asyncio.gather(rig.send(bodies, [first], 16), rig.send(bodies, [second], 16))
    await rig.settled()
    assert rig.ends() == Counter({f"call:leg-{number:05}": 1 for number in range(calls)})

    more = [rig.event(f"more-{number:03}") for number in range(100)]
    await rig.send(more, [first, second])
    await asyncio.sleep(0.7)
    first.kill()
    rows = await rig.settled()
    ends = rig.ends()
    assert {key for key in ends if "more" in key} == {f"call:more-{number:03}" for number in range(100)}
    assert {key for key, count in ends.items() if count > 1} <= excused(rig)
    assert runs_after_done(rig, rows) == []


async def test_a_rolling_redeploy_strands_nothing(rig: Any, scale: float) -> None:
    """A new process starts, the old one is told to stop, again and again, under load."""
    calls = int(1000 * scale)
    bodies = [rig.event(f"leg-{number:05}") for number in range(calls)]
    current = rig.server(HOOK_SECONDS="0.1")
    await current.ready()
    targets = [current]
    sending = asyncio.create_task(rig.send(bodies, targets, 8))
    for _ in range(3):
        await asyncio.sleep(0.5)
        following = rig.server(HOOK_SECONDS="0.1")
        await following.ready()
        targets[0] = following
        # uvicorn ends as if by the signal, once it has drained.
        assert await asyncio.to_thread(current.terminate) == -signal.SIGTERM
        current = following
    await sending
    await rig.settled()
    assert rig.ends() == Counter({f"call:leg-{number:05}": 1 for number in range(calls)})


async def test_redials_are_placed_once_however_often_the_worker_dies(rig: Any, acs: Any, scale: float) -> None:
    """Through the real client, against a service that honours repeatability and kills the worker as it answers."""
    crashes = max(3, int(14 * scale))
    contacts = [f"order-{number:02}" for number in range(max(16, int(60 * scale)))]
    server = rig.server(SERVICE=acs.url, WORKER="0", SETTLE="0.1")
    worker = rig.worker(SERVICE=acs.url)
    await server.ready()
    acs.victims(worker, crashes)
    await rig.send([rig.event(f"leg-{each}", context=each) for each in contacts], [server])
    await rig.send([rig.event(f"leg-{each}", "CreateCallFailed", context=each) for each in contacts], [server])
    rows = await rig.settled()
    redials = {key: state for key, (state, _) in rows.items() if key.startswith("redial:")}
    assert redials == {f"redial:call:leg-{each}": "done" for each in contacts}
    assert (len(acs.deaths), Counter(acs.placed)) == (crashes, Counter(contacts))
    rig.report(f"{acs.requests} requests, {len(acs.deaths)} crashes, {len(acs.placed)} calls placed")


async def test_no_contact_is_called_more_often_than_the_policy_allows(rig: Any, acs: Any) -> None:
    """Every call that is placed fails for another reason, is reported twice, and to two replicas."""
    chance = random.Random(7)
    contacts = [f"order-{number:02}" for number in range(20)]
    replicas = [rig.server(SERVICE=acs.url, SETTLE="0.1", MAX_ATTEMPTS="3") for _ in range(2)]
    await asyncio.gather(*(each.ready() for each in replicas))
    told: set[str] = set()

    async def tell(leg: str, contact: str) -> None:
        cause = chance.choice(["busy", "no_answer", "service_error", "throttled"])
        # A failure of the service to create a call would say that nothing rang, and count apart.
        both = "CreateCallFailed" if cause in ("busy", "no_answer") else "CallDisconnected"
        reports = [rig.event(leg, name, cause, contact) for name in ("CallDisconnected", both)]
        await rig.send(chance.sample(reports * 2, 4), chance.sample(replicas, 2), 4)
        told.add(leg)

    await asyncio.gather(*(tell(f"first-{each}", each) for each in contacts))
    for _ in range(8):
        await rig.settled()
        fresh = [(leg, contact) for leg, contact in acs.calls if leg not in told]
        if not fresh:
            break
        await asyncio.gather(*(tell(leg, contact) for leg, contact in fresh))
    # The first call was the app's own: with it three.
    assert Counter(acs.placed) == Counter(dict.fromkeys(contacts, 2))


async def test_a_postgresql_that_goes_and_comes_back_costs_only_answers_of_503(
    mortal_postgres: Any, make_rig: Any, scale: float
) -> None:
    """Under load nothing but 204 and 503 is answered, no thread is left behind, and nothing acknowledged is lost."""
    rig = make_rig(mortal_postgres.fresh())
    server = rig.server()
    await server.ready()
    before = [rig.event(f"before-{number:03}") for number in range(100)]
    await rig.send(before, [server])
    threads, memory = server.threads(), server.memory()

    mortal_postgres.stop()
    bodies = [rig.event(f"down-{number:03}") for number in range(100)]
    # Each takes as long as a put may wait for PostgreSQL.
    for _ in range(max(1, int(5 * scale))):
        assert set(await rig.post_once(bodies, server)) == {503}
    while_down = server.threads()

    sending = asyncio.create_task(rig.send(bodies, [server]))
    await asyncio.sleep(0.5)
    mortal_postgres.start()
    answers = await sending
    assert set(answers) <= {204, 503}
    await rig.settled()
    assert set(rig.ends()) == {f"call:{kind}-{number:03}" for kind in ("before", "down") for number in range(100)}
    assert while_down <= threads + 4
    assert server.threads() <= threads + 4
    assert server.memory() <= memory + 64 * 1024 * 1024
