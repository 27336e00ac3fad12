"""One attempt at an outcome: which hooks are called, with what, and how far the item has come."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from attempting import BUSY, DOWN, HUNG_UP, KEY, NOW, UNKNOWN_RESULT, Bench, checkpoint, done, named, ready, told
from ringback import GiveUp, HookContext, HookPolicy, Outcome, Retry
from ringback.hooks.attempt import STORE_PAUSE, LeaseLost
from ringback.work.items import Progress, Settlement, State

# Hooks


async def test_a_hook_that_returns_is_done() -> None:
    """A single hook needs no checkpoint: who died can only have died in it."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("only"))
    assert await bench.attempt() == done("app.only")
    assert bench.happened() == [("called", "only", BUSY)]


@pytest.mark.parametrize(
    ("policy", "failed_before", "error", "retry_in"),
    [
        pytest.param({}, 0, ValueError("no"), 12.5, id="first"),
        pytest.param({}, 1, ValueError("no"), 25.0, id="second-twice-as-long"),
        pytest.param({"attempts": 9}, 5, ValueError("no"), 37.5, id="at-most-max-backoff"),
        pytest.param({"jitter": 0}, 0, ValueError("no"), 10.0, id="no-jitter"),
        pytest.param({}, 2, ValueError("no"), None, id="last"),
        pytest.param({}, 0, Retry(after=7), 7.0, id="retry-after"),
        pytest.param({}, 1, Retry(), 25.0, id="retry-after-the-usual-time"),
        pytest.param({}, 2, Retry(after=7), None, id="retry-when-no-attempt-is-left"),
        pytest.param({}, 0, GiveUp("no use"), None, id="give-up"),
        pytest.param({"retry_errors": False}, 0, ValueError("no"), None, id="errors-are-final"),
        pytest.param({"retry_errors": False}, 0, Retry(after=0), 0.0, id="errors-are-final-and-retry-is-none"),
    ],
)
async def test_when_a_hook_that_raises_is_called_again(
    policy: dict[str, Any], failed_before: int, error: Exception, retry_in: float | None
) -> None:
    """As the policy says, from the attempts of this hook alone; after the last one the item is a dead letter."""
    settings = {"attempts": 3, "backoff": 10, "max_backoff": 30, "jitter": 0.5, "timeout": None} | policy
    bench = Bench(HookPolicy(**settings))
    bench.router.on_retryable(bench.hook("only", error))
    tries = {"app.only": failed_before} if failed_before else {}
    settlement = await bench.attempt(Progress(tries=tries), attempt=17)
    attempt = failed_before + 1
    if retry_in is None:
        reason = f"{type(error).__name__}: {error}"
        progress = Progress(failed={"app.only": reason}, tries=tries)
        assert settlement == Settlement(State.DEAD, progress, reason=f"app.only: {reason}")
    else:
        assert settlement == ready(retry_in, tries={"app.only": attempt}, wait={"app.only": NOW + retry_in})
    assert bench.happened() == [
        ("called", "only", BUSY),
        ("hook_failed", BUSY, "app.only", repr(error), attempt, retry_in),
    ]


async def test_hooks_that_wait_are_called_when_each_is_due_and_done_ones_never_again() -> None:
    """The item comes back for the first that is due; who waits longer is left alone until then."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("one"))
    bench.router.on_retryable(bench.hook("two", Retry(after=50)))
    bench.router.on_retryable(bench.hook("three", Retry(after=20)))

    first = await bench.attempt()
    wait = {"app.two": NOW + 50, "app.three": NOW + 20}
    assert first == ready(20, done=("app.one",), tries={"app.two": 1, "app.three": 1}, wait=wait)
    assert bench.happened() == [
        checkpoint(trying="app.one"),
        ("called", "one", BUSY),
        checkpoint(done=("app.one",), trying="app.two"),
        ("called", "two", BUSY),
        ("hook_failed", BUSY, "app.two", repr(Retry()), 1, 50.0),
        checkpoint(done=("app.one",), tries={"app.two": 1}, wait={"app.two": NOW + 50}, trying="app.three"),
        ("called", "three", BUSY),
        ("hook_failed", BUSY, "app.three", repr(Retry()), 1, 20.0),
    ]

    bench.now = NOW + 20
    second = await bench.attempt(first.progress, attempt=2)
    assert second == ready(
        50, done=("app.one", "app.three"), tries={"app.two": 1, "app.three": 1}, wait={"app.two": NOW + 50}
    )
    assert bench.happened() == [("called", "three", BUSY)]

    bench.now = NOW + 50
    third = await bench.attempt(second.progress, attempt=3)
    tries = {"app.two": 1, "app.three": 1}
    assert third == Settlement(State.DONE, Progress(done=("app.one", "app.three", "app.two"), tries=tries))
    assert bench.happened() == [("called", "two", BUSY)]


async def test_hooks_that_are_due_together_keep_the_order_of_registration() -> None:
    """Who waited longer does not go first."""
    bench = Bench()
    for name in ("one", "two", "three"):
        bench.router.on_retryable(bench.hook(name))
    progress = Progress(wait={"app.three": NOW - 9, "app.two": NOW - 3, "app.one": NOW})
    assert await bench.attempt(progress, attempt=2) == done("app.one", "app.two", "app.three")
    assert [name for kind, name, *_ in bench.happened() if kind == "called"] == ["one", "two", "three"]


async def test_a_hook_that_waits_is_called_whatever_its_predicate_says_by_now() -> None:
    """It was concerned when it asked to be called again."""
    bench = Bench()
    bench.router.on(when=lambda outcome: False)(bench.hook("only"))
    assert await bench.attempt(Progress(wait={"app.only": NOW}), attempt=2) == done("app.only")
    assert bench.happened() == [("called", "only", BUSY)]


async def test_one_failed_hook_makes_a_dead_letter_when_no_other_waits() -> None:
    """Every reason is told, in the order in which they were given up; those still waiting come first."""
    bench = Bench(HookPolicy(attempts=1, timeout=None))
    bench.router.on_retryable(bench.hook("one", ValueError("a")))
    bench.router.on_retryable(bench.hook("two"))
    bench.router.on_retryable(bench.hook("three", GiveUp("b")))
    failed = {"app.one": "ValueError: a", "app.three": "GiveUp: b"}
    progress = Progress(done=("app.two",), failed=failed)
    reason = "app.one: ValueError: a; app.three: GiveUp: b"
    assert await bench.attempt() == Settlement(State.DEAD, progress, reason=reason)
    bench.happened()


async def test_a_hook_whose_item_is_due_does_not_wait_for_a_clock_that_was_set_back() -> None:
    """The store has moved the item's time, which was the earliest of its hooks'; their distances stay as they were."""
    bench = Bench()
    for name in ("one", "two", "three"):
        bench.router.on_retryable(bench.hook(name))
    day = 86_400
    before = Progress(done=("app.three",), tries={"app.one": 1}, wait={"app.one": NOW + day, "app.two": NOW + day + 20})
    wait = {"app.two": NOW + 20}
    assert await bench.attempt(before, attempt=2) == ready(
        20, done=("app.three", "app.one"), tries={"app.one": 1}, wait=wait
    )
    assert [name for kind, name, *_ in bench.happened() if kind == "called"] == ["one"]


async def test_a_handler_registered_several_times_is_called_once() -> None:
    """Stacked decorators mean *or*, also when the handler has to be called again."""
    bench = Bench()
    handler = bench.hook("only", Retry(after=1))
    bench.router.on_retryable(handler)
    bench.router.on(cause="busy")(handler)
    bench.router.on(code=486)(handler)
    first = await bench.attempt()
    assert first == ready(1, tries={"app.only": 1}, wait={"app.only": NOW + 1})
    bench.now += 1
    second = Settlement(State.DONE, Progress(done=("app.only",), tries={"app.only": 1}))
    assert await bench.attempt(first.progress, attempt=2) == second
    assert [entry[:2] for entry in bench.happened()] == [
        ("called", "only"),
        ("hook_failed", BUSY),
        ("called", "only"),
    ]


async def test_handlers_of_one_name_are_told_apart_by_their_order() -> None:
    """Two lambdas are two hooks, wherever the first of them is registered again."""
    bench = Bench()
    first, second, third = (bench.hook("same") for _ in range(3))
    bench.router.on_retryable(first)
    bench.router.on_retryable(second)
    bench.router.on(cause="busy")(first)
    bench.router.on_retryable(third)
    assert await bench.attempt() == done("app.same", "app.same#2", "app.same#3")
    progress = Progress(done=("app.same", "app.same#3"))
    bench.happened()
    assert await bench.attempt(progress, attempt=2) == done("app.same", "app.same#3", "app.same#2")
    assert bench.happened() == [("called", "same", BUSY)]


async def test_a_hook_that_takes_too_long_has_failed() -> None:
    """The time-out of the policy is an exception like any other, with a text that tells it from a client's own."""
    bench = Bench(HookPolicy(attempts=1, timeout=0.01))

    async def stuck(outcome: Outcome) -> None:
        await asyncio.Event().wait()

    bench.router.on_retryable(named(stuck, "stuck"))
    late = "the function did not return within 0.01 s"
    progress = Progress(failed={"app.stuck": f"TimeoutError: {late}"})
    assert await bench.attempt() == Settlement(State.DEAD, progress, reason=f"app.stuck: TimeoutError: {late}")
    assert bench.happened() == [("hook_failed", BUSY, "app.stuck", repr(TimeoutError(late)), 1, None)]


async def test_a_sync_hook_is_called_too() -> None:
    """In a thread, so that it stops nobody."""
    bench = Bench()

    def plain(outcome: Outcome) -> None:
        bench.log.append(("called", "plain", outcome))

    bench.router.on_retryable(named(plain, "plain"))
    assert await bench.attempt() == done("app.plain")
    assert bench.happened() == [("called", "plain", BUSY)]


async def test_a_hook_that_waits_and_is_no_longer_registered_makes_a_dead_letter() -> None:
    """Renamed or removed: it is for a person to say what becomes of it. The log and the error handlers hear of it, and
    the others are called."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("here"))
    bench.on_error()
    gone = [f"app.gone_{number}" for number in range(9)]
    progress = Progress(wait=dict.fromkeys(gone, NOW + 5), tries={"app.gone_0": 1})
    error = LookupError("no hook of this name is registered in this worker")
    why = f"LookupError: {error}"
    assert await bench.attempt(progress, attempt=2) == Settlement(
        State.DEAD,
        Progress(done=("app.here",), failed=dict.fromkeys(gone, why), tries={"app.gone_0": 1}),
        reason="; ".join(f"{name}: {why}" for name in gone),
    )
    happened = bench.happened()
    assert happened[:3] == [
        ("hook_failed", BUSY, "app.gone_0", repr(error), 2, None),
        ("complained", BUSY, repr(error)),
        ("hook_failed", BUSY, "app.gone_1", repr(error), 1, None),
    ]
    assert happened[len(gone) * 2 :] == [("called", "here", BUSY)]


# Contexts


async def test_a_context_tells_the_attempt_and_a_key_for_it() -> None:
    """The key is the same for every attempt of a hook, and another one for another hook."""
    bench = Bench()
    bench.router.on_retryable(bench.hook_of_context("one", Retry(after=0)))
    bench.router.on_retryable(bench.hook_of_context("two"))
    first = await bench.attempt()
    await bench.attempt(first.progress, attempt=2)
    assert [ctx for kind, _, ctx, *_ in bench.happened() if kind == "called"] == [
        HookContext("app.one", f"{KEY}/app.one", 1, redelivered=False),
        HookContext("app.two", f"{KEY}/app.two", 1, redelivered=False),
        HookContext("app.one", f"{KEY}/app.one", 2, redelivered=False),
    ]


@pytest.mark.parametrize(
    ("trying", "redelivered"),
    [
        pytest.param(None, [True, True], id="nobody-knows-which"),
        pytest.param("app.one", [True, False], id="the-first"),
        pytest.param("app.two", [False, True], id="the-second"),
    ],
)
async def test_redelivered_is_said_to_who_may_have_been_called(trying: str | None, redelivered: list[bool]) -> None:
    """A hook that was not being called when the last attempt ended is called for the first time."""
    bench = Bench()
    bench.router.on_retryable(bench.hook_of_context("one"))
    bench.router.on_retryable(bench.hook_of_context("two"))
    assert await bench.attempt(Progress(trying=trying), attempt=2, redelivered=True) == done("app.one", "app.two")
    assert [ctx.redelivered for kind, _, ctx in bench.happened() if kind == "called"] == redelivered


async def test_redelivered_is_said_where_another_process_may_still_run_the_hook() -> None:
    """A sync hook that has overrun its time-out cannot be stopped, so the store keeps that it was left running. That
    holds for this hook alone, whatever a later attempt comes to, and after a replay.
    """
    go = threading.Event()

    def stuck(_: Outcome) -> None:
        go.wait(30)

    here = Bench(HookPolicy(attempts=3, timeout=0.01))
    here.router.on_retryable(named(stuck, "stuck"))
    here.router.on_retryable(here.hook("other", Retry()))
    first = await here.attempt()
    go.set()
    await asyncio.gather(*first.late)
    assert first.progress.overran == ("app.stuck",)
    there = Bench(HookPolicy(attempts=9, timeout=None))
    there.now += 60
    there.router.on_retryable(there.hook_of_context("stuck", ValueError()))
    there.router.on_retryable(there.hook_of_context("other"))
    second = await there.attempt(first.progress, attempt=2)
    there.now += 600
    third = await there.attempt(second.progress, attempt=3)
    await there.attempt(third.progress.for_replay(), attempt=1)
    await there.attempt(first.progress.for_replay(), attempt=1)
    contexts = [each[2] for each in there.happened() if each[0] == "called"]
    assert [(ctx.hook, ctx.redelivered) for ctx in contexts] == [
        ("app.stuck", True),
        ("app.other", False),
        ("app.stuck", True),
        ("app.stuck", True),
        ("app.other", False),
    ]


# Crashes


async def test_a_crash_is_blamed_on_the_hook_that_was_being_called_and_it_goes_last() -> None:
    """It counts against this one before anybody is called, so that the next death counts from here."""
    bench = Bench()
    for name in ("one", "two", "three"):
        bench.router.on_retryable(bench.hook_of_context(name))
    progress = Progress(done=("app.one",), trying="app.two")
    settlement = await bench.attempt(progress, attempt=2, redelivered=True, crashed=True)
    tries = {"app.two": 1}
    finished = Progress(done=("app.one", "app.three", "app.two"), tries=tries)
    assert settlement == Settlement(State.DONE, finished)
    assert bench.happened() == [
        checkpoint(done=("app.one",), tries=tries, trying="app.two"),
        checkpoint(done=("app.one",), tries=tries, trying="app.three", alone=True),
        ("called", "three", HookContext("app.three", f"{KEY}/app.three", 1, redelivered=False)),
        checkpoint(done=("app.one", "app.three"), tries=tries, trying="app.two", alone=True),
        ("called", "two", HookContext("app.two", f"{KEY}/app.two", 2, redelivered=True)),
    ]


@pytest.mark.parametrize("trying", [None, "app.gone"], ids=["unknown", "no-longer-registered"])
async def test_a_crash_of_nobody_in_particular_is_blamed_on_all_that_are_due(trying: str | None) -> None:
    """Who waits or is done cannot have done it."""
    bench = Bench()
    for name in ("one", "two", "three", "four"):
        bench.router.on_retryable(bench.hook(name))
    progress = Progress(done=("app.one",), wait={"app.four": NOW + 5}, tries={"app.two": 1}, trying=trying)
    settlement = await bench.attempt(progress, attempt=2, redelivered=True, crashed=True)
    tries, wait = {"app.two": 2, "app.three": 1}, {"app.four": NOW + 5}
    assert settlement == ready(5, done=("app.one", "app.two", "app.three"), tries=tries, wait=wait)
    assert bench.happened() == [
        checkpoint(done=("app.one",), tries=tries, wait=wait, trying=trying),
        checkpoint(done=("app.one",), tries=tries, wait=wait, trying="app.two", alone=True),
        ("called", "two", BUSY),
        checkpoint(done=("app.one", "app.two"), tries=tries, wait=wait, trying="app.three", alone=True),
        ("called", "three", BUSY),
    ]


async def test_a_hook_that_kills_its_worker_every_time_is_given_up() -> None:
    """After as many deaths as there are attempts it is not called again; the others are. The record counts the last."""
    bench = Bench()
    bench.on_error()
    bench.router.on_retryable(bench.hook("killer"))
    bench.router.on_retryable(bench.hook("other"))
    progress = Progress(tries={"app.killer": 2}, wait={"app.killer": NOW}, trying="app.killer", alone=True)
    settlement = await bench.attempt(progress, attempt=3, redelivered=True, crashed=True)
    why = "the worker died while this hook ran, in attempt 3"
    tries = {"app.killer": 2}
    assert settlement == Settlement(
        State.DEAD,
        Progress(done=("app.other",), failed={"app.killer": f"RuntimeError: {why}"}, tries=tries),
        reason=f"app.killer: RuntimeError: {why}",
    )
    assert bench.happened() == [
        checkpoint(tries={"app.killer": 3}, wait={"app.killer": NOW}, trying="app.killer"),
        ("hook_failed", BUSY, "app.killer", repr(RuntimeError(why)), 3, None),
        ("complained", BUSY, repr(RuntimeError(why))),
        checkpoint(failed={"app.killer": f"RuntimeError: {why}"}, tries=tries, trying="app.other", alone=True),
        ("called", "other", BUSY),
    ]


@pytest.mark.parametrize("trying", [None, "app.only"], ids=["unknown", "with-others"])
async def test_nobody_is_given_up_for_a_death_that_another_item_may_have_caused(trying: str | None) -> None:
    """It counts, so that no hook is called more often than the policy says; and the hook is tried by itself."""
    bench = Bench()
    bench.router.on_retryable(bench.hook_of_context("only"))
    progress, tries = Progress(tries={"app.only": 2}, trying=trying), {"app.only": 3}
    settlement = await bench.attempt(progress, attempt=3, redelivered=True, crashed=True)
    assert settlement == Settlement(State.DONE, Progress(done=("app.only",), tries=tries))
    assert bench.happened() == [
        checkpoint(tries=tries, trying=trying),
        checkpoint(tries=tries, trying="app.only", alone=True),
        ("called", "only", HookContext("app.only", f"{KEY}/app.only", 4, redelivered=True)),
    ]


async def test_an_item_that_kills_its_worker_before_any_hook_is_given_up() -> None:
    """No hook is there to be blamed, so no count of theirs would ever end it."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("only"))
    progress = Progress(done=("app.other",))
    error = RuntimeError("the worker died again, in attempt 30, before any hook was called")
    reason = f"RuntimeError: {error}"
    dead = Settlement(State.DEAD, progress, reason=reason)
    assert await bench.attempt(progress, attempt=31, redelivered=True, crashed=True) == dead
    assert bench.happened() == [("hook_failed", BUSY, "ringback", repr(error), 30, None)]


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({"attempt": 30, "redelivered": True, "crashed": True}, id="as-often-as-is-borne"),
        pytest.param({"attempt": 31, "redelivered": True}, id="given-back"),
        pytest.param({"attempt": 31}, id="asked-for-more"),
    ],
)
async def test_many_attempts_alone_do_not_end_an_item(claim: dict[str, Any]) -> None:
    """Only deaths without number do."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("only"))
    assert (await bench.attempt(**claim)).state is State.DONE
    assert bench.happened()[-1] == ("called", "only", BUSY)


# Stores


@pytest.mark.parametrize("claim", [{}, {"attempt": 2, "crashed": True}], ids=["calling", "blaming"])
async def test_a_claim_that_was_taken_over_calls_nobody(claim: dict[str, Any]) -> None:
    """Somebody else does, by now."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("one"))
    bench.router.on_retryable(bench.hook("two"))
    bench.store.answers = [False]
    with pytest.raises(LeaseLost):
        await bench.attempt(**claim)
    assert [kind for kind, *_ in bench.happened()] == ["checkpoint"]


async def test_a_store_that_fails_in_the_middle_keeps_what_is_done() -> None:
    """What has returned is not called again, though no checkpoint told of it; the rest is for later."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("one"))
    bench.router.on_retryable(bench.hook("two", Retry(after=50)))
    bench.router.on_retryable(bench.hook("three"))
    bench.store.answers = [True, True, DOWN]
    first = await bench.attempt()
    tries, wait = {"app.two": 1}, {"app.two": NOW + 50}
    assert first == ready(STORE_PAUSE, done=("app.one",), tries=tries, wait=wait)
    assert bench.happened()[-2:] == [
        checkpoint(done=("app.one",), tries=tries, wait=wait, trying="app.three"),
        ("store_unavailable", repr(DOWN)),
    ]
    bench.now = first.due_at
    second = await bench.attempt(first.progress, attempt=2)
    assert second == ready(50, done=("app.one", "app.three"), tries=tries, wait=wait)
    assert bench.happened() == [("called", "three", BUSY)]


# Outcomes that nobody handles


async def test_an_outcome_that_nobody_handles_is_told_once() -> None:
    """The app has no hook for it, which one line is enough to say."""
    bench = Bench()
    for _ in range(2):
        assert await bench.attempt() == done()
    assert bench.happened() == [("outcome_unhandled", BUSY)]


@pytest.mark.parametrize(
    ("outcome", "attempt"),
    [
        pytest.param(HUNG_UP, 1, id="terminal"),
        pytest.param(told("AddParticipantFailed", 486, 560486), 1, id="operation"),
        pytest.param(BUSY, 2, id="later-attempt"),
    ],
)
async def test_what_needs_no_handler_is_not_told(outcome: Outcome, attempt: int) -> None:
    """Only a call that may be tried again is lost by not being handled, and is told of at the first attempt."""
    bench = Bench()
    assert await bench.attempt(outcome=outcome, attempt=attempt) == done()
    assert bench.happened() == []


async def test_the_unrecognized_hook_handles_nothing() -> None:
    """It hears of results that the catalog does not know, beside the other handlers."""
    bench = Bench()
    bench.router.on_unrecognized(bench.hook("unknown"))
    retryable = told("CallDisconnected", 408, 999)
    assert (retryable.retryable, retryable.recognized) == (True, False)
    assert await bench.attempt(outcome=retryable) == done("app.unknown")
    assert bench.happened() == [("outcome_unhandled", retryable), ("called", "unknown", retryable)]
    assert await bench.attempt(outcome=UNKNOWN_RESULT) == done("app.unknown")
    assert bench.happened() == [("called", "unknown", UNKNOWN_RESULT)]
