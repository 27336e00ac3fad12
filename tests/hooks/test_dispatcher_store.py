"""A dispatcher with a store: its start, faults of the store, and redials."""

from __future__ import annotations

import asyncio
import hmac
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dispatching import (
    CONNECTED,
    LEG,
    OPERATION,
    RETRYABLE,
    Bench,
    Clock,
    Fake,
    Recorder,
    bound_to,
    request_of,
    told,
    turns,
    until,
)
from ringback import ConfigurationError, HookContext, HookPolicy, Outcome, RedialPolicy, StoreError, StoreUnavailable
from ringback.core.events import Result
from ringback.hooks import dispatcher as dispatch
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.router import HandlerRouter
from ringback.stores import DeadLetter, MemoryStore, Stats
from ringback.stores.sqlite import SQLiteStore
from ringback.work.items import Kind, Progress
from ringback.work.keys import short
from ringback.work.redial import repeatability

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANY_HOUR = RedialPolicy(hours=None, jitter=0)


def test_an_unknown_store_failure_policy_is_refused() -> None:
    """A typing error must not decide about lost outcomes."""
    with pytest.raises(ConfigurationError) as refused:
        Bench(on_store_failure="ignore")
    assert str(refused.value) == "on_store_failure 'ignore' is unknown; use 'refuse' or 'inline'"


@pytest.mark.parametrize("store", [None, MemoryStore()], ids=["none", "in-memory"])
def test_without_a_worker_a_store_in_memory_is_refused(store: MemoryStore | None) -> None:
    """Nobody else could ever work on what waits in it."""
    with pytest.raises(ConfigurationError) as refused:
        Dispatcher(HandlerRouter(), Recorder(), store=store, worker=False)
    assert str(refused.value) == "worker=False needs a store that another process can work on; pass store="


def with_hook(bench: Bench) -> None:
    bench.router.on_retryable(bench.hook("again"))


def with_redial(bench: Bench) -> None:
    bench.router.redial(contact=lambda outcome: None, policy=ANY_HOUR)(bench.hook("redial"))


def with_nothing(bench: Bench) -> None:
    pass


@pytest.mark.parametrize(
    ("registered", "store", "durable", "expected"),
    [
        (with_hook, lambda: None, False, [("volatile",)]),
        (with_redial, lambda: None, False, [("volatile",)]),
        (with_nothing, lambda: None, False, []),
        # Whoever says it aloud knows.
        (with_hook, lambda: "memory", False, []),
        (with_redial, MemoryStore, False, []),
        (with_hook, lambda: Fake(Clock()), True, []),
    ],
    ids=["hook", "redial", "nothing", "memory said", "memory given", "with-store"],
)
async def test_what_a_crash_would_lose_is_told_at_the_start(
    registered: Callable[[Bench], None],
    store: Callable[[], Any],
    durable: bool,
    expected: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only where there is something to lose, no store that keeps it, and nobody has asked for that."""
    monkeypatch.setattr(dispatch, "serving", lambda pid: 1)
    bench = Bench()
    bench.dispatcher = Dispatcher(bench.router, bench.observer, store=store(), clock=bench.clock)
    registered(bench)
    await bench.dispatcher.start()
    await bench.dispatcher.drain(5)
    assert (bench.dispatcher.store.durable, bench.observer.told) == (durable, expected)


@pytest.mark.parametrize(("register", "expected"), [(with_redial, [("volatile",)]), (with_hook, [])])
async def test_redials_in_the_memory_of_several_processes_are_told_of(
    register: Callable[[Bench], None], expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process knows whom another one has called, or who has refused there."""
    monkeypatch.setattr(dispatch, "serving", lambda pid: 2)
    bench = Bench()
    bench.dispatcher = Dispatcher(bench.router, bench.observer, store="memory", clock=bench.clock)
    register(bench)
    await bench.dispatcher.start()
    await bench.dispatcher.drain(5)
    assert bench.observer.told == expected


def sqlite(path: Path, **settings: Any) -> Bench:
    """A dispatcher with a real store, in real time."""
    return Bench(store=SQLiteStore(path / "queue.db", poll=0.05, lease=5.0, min_free=0), clock=time.time, **settings)


def fake(**settings: Any) -> tuple[Bench, Fake]:
    clock = Clock()
    store = Fake(clock)
    bench = Bench(store=store, **settings)
    clock.now, bench.clock = bench.clock.now, clock
    bench.dispatcher = Dispatcher(
        bench.router, bench.observer, store=store, clock=clock, random=lambda: 0.0, **{"settle": 0.0} | settings
    )
    return bench, store


async def test_without_a_worker_outcomes_are_only_persisted_and_another_start_works_on_them(tmp_path: Path) -> None:
    """What waits in the store is worked on from the start, before any delivery, in the order in which it came."""
    outcomes = [told(leg=f"leg-{number}") for number in range(3)]
    persists = sqlite(tmp_path, worker=False)
    persists.router.on_retryable(persists.hook("never"))
    await persists.dispatcher.start()
    await persists.dispatcher.accept(outcomes)
    waiting = await persists.store.stats()
    await persists.dispatcher.drain(5)
    assert (waiting.ready, persists.calls, persists.observer.told) == (3, [], [])
    works = sqlite(tmp_path, hooks=HookPolicy(concurrency=1))
    works.router.on_retryable(works.hook("again"))
    await works.dispatcher.start()
    await until(lambda: len(works.calls) == 3)
    await works.dispatcher.drain(5)
    assert (works.calls, works.observer.told) == ([("again", each) for each in outcomes], [])
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_durable_outcome_is_called_once_in_a_context_without_a_request(tmp_path: Path) -> None:
    """Another process may have put it, so a hook sees what the observer binds and nothing else."""
    bench = sqlite(tmp_path)

    @bench.router.on_retryable
    async def hook(outcome: Outcome) -> None:
        bench.calls.append((outcome, bound_to(), request_of.get()))

    request_of.set("request 7")
    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await bench.dispatcher.accept([RETRYABLE])
    await until(lambda: bench.calls)
    await bench.dispatcher.drain(5)
    assert bench.calls == [(RETRYABLE, f"call:{LEG}", None)]
    assert bench.observer.told == [("duplicate", RETRYABLE)]


async def test_a_late_hook_is_given_back_and_the_next_start_calls_it_again(tmp_path: Path) -> None:
    """It may have done its work, so it is told of the earlier attempt."""
    first = sqlite(tmp_path)

    @first.router.on_retryable
    async def stuck(outcome: Outcome, ctx: HookContext) -> None:
        first.calls.append(ctx)
        await asyncio.Event().wait()

    await first.dispatcher.start()
    await first.dispatcher.accept([RETRYABLE])
    await until(lambda: first.calls)
    await first.dispatcher.drain(0.02)
    assert first.observer.told == [("given back", 1, 0.02)]
    second = sqlite(tmp_path)
    second.router.on_retryable(second.hook("again"))

    @second.router.on_retryable
    async def hook(outcome: Outcome, ctx: HookContext) -> None:
        second.calls.append(ctx)

    await second.dispatcher.start()
    await until(lambda: len(second.calls) == 2)
    await second.dispatcher.drain(5)
    (begun,), (again, ctx) = first.calls, second.calls
    assert again == ("again", RETRYABLE)
    assert begun == HookContext(begun.hook, f"call:{LEG}/{begun.hook}", 1, False)
    assert ctx == HookContext(ctx.hook, f"call:{LEG}/{ctx.hook}", 1, True)
    assert second.observer.told == []


async def test_a_store_that_cannot_work_stops_the_start(tmp_path: Path) -> None:
    """Nobody would know of outcomes that are never kept; no worker is left behind."""
    bench = sqlite(tmp_path / "missing")
    with pytest.raises(StoreError, match="its folder does not exist"):
        await bench.dispatcher.start()
    assert (bench.observer.told, asyncio.all_tasks()) == ([], {asyncio.current_task()})
    await bench.dispatcher.drain(5)


async def test_a_store_that_is_down_at_the_start_is_reported_and_used_when_it_is_back() -> None:
    """An app must be able to start before its database."""
    bench, store = fake()
    bench.router.on_retryable(bench.hook("again"))
    store.faults["open"] = StoreUnavailable("down")
    await bench.dispatcher.start()
    assert bench.observer.told == [("store", "StoreUnavailable('down')")]
    store.faults.clear()
    await bench.dispatch(RETRYABLE)
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("store", "StoreUnavailable('down')")]


@pytest.mark.parametrize("error", [StoreUnavailable("down"), StoreError("corrupt")], ids=["passing", "lasting"])
async def test_what_the_store_does_not_take_is_not_accepted(error: StoreError) -> None:
    """The sender hears of it and comes again; then it is news, and no duplicate."""
    bench, store = fake()
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatcher.start()
    store.faults["put"] = error
    with pytest.raises(StoreError) as raised:
        await bench.dispatcher.accept([RETRYABLE, told(leg="other")])
    await turns()
    assert (raised.value, bench.calls, bench.observer.told) == (error, [], [("store", repr(error))])
    assert await store.stats() == Stats()
    store.faults.clear()
    await bench.dispatch(RETRYABLE)
    assert (bench.calls, bench.observer.told) == ([("again", RETRYABLE)], [("store", repr(error))])


async def test_inline_keeps_in_memory_what_the_store_does_not_take() -> None:
    """The hooks are called from memory, once, and draining waits for them too."""
    bench, store = fake(on_store_failure="inline")

    @bench.router.on_retryable
    async def slow(outcome: Outcome) -> None:
        await asyncio.sleep(0.02)
        bench.calls.append(outcome)

    await bench.dispatcher.start()
    store.faults["put"] = StoreUnavailable("down")
    await bench.dispatcher.accept([RETRYABLE])
    await bench.dispatcher.accept([RETRYABLE])
    await bench.dispatcher.drain(5)
    bypassed = [("store", "StoreUnavailable('down')"), ("bypassed", 1)]
    assert (bench.calls, bench.observer.told) == ([RETRYABLE], [*bypassed, *bypassed, ("duplicate", RETRYABLE)])
    assert (await store.stats(), asyncio.all_tasks()) == (Stats(), {asyncio.current_task()})


async def test_what_waits_inline_is_hastened_too() -> None:
    """The store that is down does not know it, and the door does not know where it waits."""
    bench, store = fake(on_store_failure="inline", settle=3600)
    bench.router.on(event="PlayFailed")(bench.hook("play"))
    await bench.dispatcher.start()
    store.faults["put"] = StoreUnavailable("down")
    await bench.dispatcher.hasten(await bench.dispatcher.accept([OPERATION]))
    await turns()
    assert bench.calls == [("play", OPERATION)]
    await bench.dispatcher.drain(5)


AWAY = "the store is away, so nobody knows whether the contact may be called"
DOWN, BYPASSED = ("store", "StoreUnavailable('down')"), ("bypassed", 1)


async def test_nobody_is_redialled_from_memory() -> None:
    """What is known of the contact is in the store. The hooks hear of the call, and there is nothing to cancel."""
    bench, store = fake(on_store_failure="inline")
    bench.router.redial(contact=lambda outcome: "contact 7", policy=ANY_HOUR)(bench.hook("never"))
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatcher.start()
    store.faults["put"] = StoreUnavailable("down")
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert await bench.router.cancel_redials("contact 7") == 0
    await bench.dispatcher.drain(5)
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [DOWN, BYPASSED, ("skipped", RETRYABLE, AWAY)]


MEANWHILE = {
    "declined": told(leg="other", result=Result(603, 0)),
    "hung-up": told(leg="other", result=Result(200, 560000)),
    "answered": told("CallConnected", leg="other", result=Result(200, 0)),
}


@pytest.mark.parametrize("knows", [True, False], ids=["at-once", "when-hooks-run"])
@pytest.mark.parametrize("planned", [True, False], ids=["planned-before", "ended-after"])
@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
async def test_what_was_heard_while_the_store_was_away_stands_in_the_way(
    meanwhile: Outcome, planned: bool, knows: bool
) -> None:
    """Of redials that wait in the store, and of those that are planned later; and the store knows it from then on."""
    bench, store = fake(on_store_failure="inline")
    doubts = [] if knows else [meanwhile]

    def contact(outcome: Outcome) -> str:
        if outcome in doubts:
            doubts.remove(outcome)
            raise LookupError
        return "contact 7"

    bench.router.redial(contact=contact, policy=ANY_HOUR)(bench.hook("never"))
    await bench.dispatcher.start()
    if planned:
        await bench.dispatcher.accept([RETRYABLE])
        await turns()
        assert (await store.stats()).redials == 1
    store.faults["put"] = StoreUnavailable("down")
    # The same event twice is one report.
    for _ in range(2):
        await bench.dispatcher.accept([meanwhile])
        await turns()
    store.faults.clear()
    if not planned:
        await bench.dispatcher.accept([RETRYABLE])
    await bench.passes(600)
    assert bench.calls == []
    assert [entry[0] for entry in bench.observer.told if entry[0] in ("skipped", "placed")] == ["skipped"]
    assert [call.leg for call in store._contacts.known("contact 7").calls].count("other") == 1
    await bench.dispatcher.drain(5)


async def test_a_worker_whose_store_gives_up_is_reported_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a worker runs no delivery would start it, and it would idle for ever."""
    monkeypatch.setattr(dispatch, "STORE_PAUSE", 0.01)
    bench, store = fake()
    bench.router.on_retryable(bench.hook("again"))
    store.faults["run"] = StoreError("no rights")
    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await until(lambda: len(bench.observer.told) >= 2)
    assert (set(bench.observer.told), bench.calls) == ({("store", "StoreError('no rights')")}, [])
    store.faults.clear()
    await until(lambda: bench.calls)
    await bench.dispatcher.drain(5)
    assert (bench.calls, asyncio.all_tasks()) == ([("again", RETRYABLE)], {asyncio.current_task()})


async def test_draining_waits_for_no_worker_that_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause of a worker whose store gave up ends with the shutdown."""
    monkeypatch.setattr(dispatch, "STORE_PAUSE", 3600.0)
    bench, store = fake()
    store.faults["run"] = ValueError("not ours")
    await bench.dispatcher.start()
    await turns()
    async with asyncio.timeout(5):
        await bench.dispatcher.drain(4)
    assert bench.observer.told == [("store", "ValueError('not ours')")]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_store_that_raises_while_it_stops_is_reported_and_not_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Started again then, it would never end."""
    monkeypatch.setattr(dispatch, "STORE_PAUSE", 3600.0)
    bench, store = fake()
    store.ends_with = StoreError("gone")
    await bench.dispatcher.start()
    await turns()
    async with asyncio.timeout(5):
        await bench.dispatcher.drain(4)
    assert bench.observer.told == [("store", "StoreError('gone')")]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_delivery_while_the_worker_pauses_starts_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loop has one worker, also when that has to wait for its store."""
    monkeypatch.setattr(dispatch, "STORE_PAUSE", 3600.0)
    bench, store = fake()
    store.faults["run"] = StoreError("no rights")
    await bench.dispatcher.start()
    await turns()
    before = asyncio.all_tasks()
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert asyncio.all_tasks() == before
    await bench.dispatcher.drain(5)


async def test_an_exception_of_ours_makes_a_dead_letter() -> None:
    """It is visible and may be replayed, where the outcome would else be tried for ever."""
    bench, store = fake()
    bench.router.on_retryable(bench.hook("one"))
    bench.router.on_retryable(bench.hook("two"))
    store.faults["checkpoint"] = ValueError("no line")
    await bench.dispatcher.start()
    await bench.dispatch(RETRYABLE)
    assert bench.calls == []
    assert bench.observer.told == [("failed", RETRYABLE, "ringback", "ValueError('no line')", 1, None)]
    letter = DeadLetter(f"call:{LEG}", Kind.OUTCOME, RETRYABLE, 1, "ValueError: no line", bench.clock.now, Progress())
    assert await store.dead() == [letter]


async def test_work_that_was_taken_over_is_left_to_the_other_worker() -> None:
    """It is told, and no hook is called here; settled as ready, for a store that is wrong about it."""
    bench, store = fake()
    bench.router.on_retryable(bench.hook("one"))
    bench.router.on_retryable(bench.hook("two"))
    await bench.dispatcher.start()
    store.ours = False
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert (bench.calls, bench.observer.told) == ([], [("lease lost", RETRYABLE)])
    store.ours = True
    await bench.passes(1)
    await bench.dispatcher.drain(5)
    assert (bench.calls, bench.observer.told) == ([("one", RETRYABLE), ("two", RETRYABLE)], [("lease lost", RETRYABLE)])


async def test_what_has_returned_before_the_work_was_taken_over_counts() -> None:
    """Unless the other worker has begun; so no hook is called again that has returned."""
    bench, store = fake()

    @bench.router.on_retryable(name="one")
    async def one(outcome: Outcome) -> None:
        bench.calls.append(("one", outcome))
        store.ours = False

    bench.router.on_retryable(bench.hook("two"))
    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert (bench.calls, bench.observer.told) == ([("one", RETRYABLE)], [("lease lost", RETRYABLE)])
    store.ours = True
    await bench.passes(1)
    await bench.dispatcher.drain(5)
    assert bench.calls == [("one", RETRYABLE), ("two", RETRYABLE)]


@pytest.mark.parametrize(
    ("task", "hook"), [("ringback hook app.one", "app.one"), ("Task-7", None), (None, None)], ids=str
)
async def test_a_loop_that_stands_still_is_told_with_the_hook_that_runs(task: str | None, hook: str | None) -> None:
    """Other code of the app has no name here."""
    bench, store = fake()
    store.on_blocked(task, 7.0)
    assert bench.observer.told == [("blocked", hook, 7.0)]


async def test_the_task_of_an_async_hook_has_its_name() -> None:
    """By which another thread finds out who keeps the loop."""
    bench, _ = fake()

    @bench.router.on_retryable(name="app.one")
    async def one(outcome: Outcome) -> None:
        task = asyncio.current_task()
        assert task is not None
        bench.calls.append(task.get_name())

    await bench.dispatcher.start()
    await bench.dispatch(RETRYABLE)
    assert bench.calls == ["ringback hook app.one"]


async def test_a_redial_whose_store_is_down_is_tried_again() -> None:
    """The function is not called before it is written down that it will be."""
    bench, store = fake()

    @bench.router.redial(contact=lambda outcome: "contact 7", policy=ANY_HOUR)
    async def again(attempt: int) -> None:
        bench.calls.append(attempt)

    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    at = bench.clock.now + 600
    store.faults["checkpoint"] = StoreUnavailable("down")
    await bench.passes(600)
    expected = [("scheduled", RETRYABLE, at, 2), ("store", "StoreUnavailable('down')")]
    assert (bench.calls, bench.observer.told) == ([], expected)
    store.faults.clear()
    await bench.passes(1)
    await bench.dispatcher.drain(5)
    assert (bench.calls, bench.observer.told) == ([2], [*expected, ("placed", RETRYABLE, 2, None)])


async def test_a_busy_contact_is_called_again_until_its_attempts_are_exhausted() -> None:
    """Busy, scheduled, called with the headers of one call, busy again, and then terminal; nothing happens twice."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("retryable"))
    bench.router.on_terminal(bench.hook("terminal"))

    @bench.router.redial(contact=lambda outcome: "contact 7", policy=replace(ANY_HOUR, max_attempts=2))
    async def again(outcome: Outcome, attempt: int, headers: dict[str, str], contact: str) -> str:
        bench.calls.append(("again", outcome, attempt, headers, contact))
        return "leg-2"

    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    at = bench.clock.now + 600
    assert bench.calls == [("retryable", RETRYABLE)]
    assert bench.observer.told == [("scheduled", RETRYABLE, at, 2)]
    await bench.passes(599)
    assert len(bench.calls) == 1
    await bench.passes(1)
    headers = repeatability(short(f"redial:call:{LEG}"), 0, at)
    assert bench.calls[1:] == [("again", RETRYABLE, 2, headers, "contact 7")]
    assert bench.observer.told[1:] == [("placed", RETRYABLE, 2, "leg-2")]
    second = told(leg="leg-2")
    await bench.dispatcher.accept([second])
    await turns()
    assert bench.calls[2:] == [("terminal", second.exhausted())]
    assert bench.observer.told[2:] == [("exhausted", second, "max_attempts")]
    await bench.dispatch(RETRYABLE, second)
    assert (len(bench.calls), bench.observer.told[3:]) == (3, [("duplicate", RETRYABLE, second)])
    assert await bench.store.stats() == Stats(done=3)


async def test_redials_are_canceled_by_the_contact_as_the_app_knows_it() -> None:
    """The router asks every dispatcher; stores know the contact by the hash of each registration that has one."""
    bench, store = fake()
    key, contact = b"0123456789abcdef", "+15550100"

    @bench.router.redial(contact=lambda outcome: contact, hash_contacts=key, policy=ANY_HOUR)
    async def hashed() -> None:
        bench.calls.append("hashed")

    @bench.router.redial(contact=lambda outcome: None, policy=ANY_HOUR)
    async def plain() -> None:
        bench.calls.append("plain")

    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert bench.observer.told == [("scheduled", RETRYABLE, bench.clock.now + 600, 2)]
    # The standard library's own words for it.
    stored = hmac.new(key, contact.encode(), "sha256").hexdigest()
    store.changed.clear()
    assert await bench.router.cancel_redials(contact) == 1
    assert store.changed == sorted([contact, stored])
    assert await bench.router.cancel_redials(contact) == 0
    await bench.passes(600)
    await bench.dispatcher.drain(5)
    assert bench.calls == []


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ({}, True),
        ({"time_zone": "UTC"}, False),
        ({"time_zone": lambda outcome: "UTC"}, False),
        ({"policy": ANY_HOUR}, False),
        ({"policy": replace(ANY_HOUR, calendar_days=True)}, True),
        ({"policy": replace(ANY_HOUR, another_hour=True)}, True),
    ],
    ids=["hours", "UTC said", "function", "any hour", "calendar days", "another hour"],
)
@pytest.mark.parametrize("durable", [False, True])
async def test_a_policy_that_reads_the_clock_of_nobody_knows_where_says_so(
    settings: dict[str, Any], lacks: bool, durable: bool
) -> None:
    """Once for each redial, when the app starts."""
    bench = fake()[0] if durable else Bench(store="memory")

    @bench.router.redial(contact=lambda outcome: None, name="call_again", **settings)
    def call_again() -> None: ...

    await bench.dispatcher.start()
    await bench.dispatcher.drain(5)
    assert bench.observer.told == [("zone unset", "call_again")] * lacks


async def test_a_contact_is_barred_as_the_app_knows_it() -> None:
    """Under the hash as well; no redial follows a call until the contact is allowed again."""
    bench, store = fake()
    contact = "+15550100"

    @bench.router.redial(contact=lambda outcome: contact, hash_contacts=b"0123456789abcdef", policy=ANY_HOUR)
    async def hashed() -> None: ...

    assert await bench.router.never_call(contact) == 0
    assert store.changed == [bench.router.redials[0].stored(contact)]
    await bench.dispatcher.start()
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert await bench.router.allow_call(contact) is True
    assert await bench.router.allow_call(contact) is False
    await bench.dispatcher.drain(5)
    assert [each for each in bench.observer.told if each[0] == "scheduled"] == []


@pytest.mark.parametrize("change", ["never_call", "allow_call", "cancel_redials"])
@pytest.mark.parametrize(
    ("contact", "told"), [(None, "no text but NoneType"), (7, "no text but int"), ("", "an empty text")], ids=repr
)
async def test_what_names_no_contact_is_refused(change: str, contact: Any, told: str) -> None:
    """Else a person who asked for peace would be called, and the app would have heard that all is well."""
    bench, store = fake()
    bench.router.redial(contact=lambda outcome: "c", name="call_again", time_zone="UTC")(lambda: None)
    with pytest.raises(ConfigurationError) as refused:
        await getattr(bench.router, change)(contact)
    assert str(refused.value) == f"the contact is {told}; give the key that the contact function returns"
    assert store.changed == []


async def test_without_a_redial_the_contact_itself_is_canceled() -> None:
    """A process that only persists may know nothing of the functions that another one calls."""
    bench, store = fake()
    assert (await bench.router.cancel_redials("contact 7"), store.changed) == (0, ["contact 7"])


async def test_a_connected_call_is_taken_only_where_there_are_redials() -> None:
    """It takes back a planned redial; an app without any has no use for it."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatch(CONNECTED)
    assert await bench.store.stats() == Stats()
    bench.router.redial(contact=lambda outcome: "contact 7", policy=ANY_HOUR)(bench.hook("never"))
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    await bench.dispatcher.accept([CONNECTED])
    await turns()
    await bench.passes(600)
    await bench.dispatcher.drain(5)
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("scheduled", RETRYABLE, bench.clock.now, 2), ("canceled", CONNECTED)]
    assert await bench.store.stats() == Stats(done=2, canceled=1)
