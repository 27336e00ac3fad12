"""What a predicate of a hook may be, and what becomes of its hook when the predicate raises."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attempting import BUSY, HUNG_UP, NOW, Bench, done, ready
from ringback import GiveUp, HookContext, HookPolicy, Outcome, Retry
from ringback.work.items import Progress, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Callable

WHEN = "app.only (when)"
ERROR = KeyError("tenant")


def answers(*each: object) -> Callable[[Outcome], Any]:
    """A predicate with these answers, one after the other; it raises those that are exceptions."""
    left = list(each)

    def when(outcome: Outcome) -> object:
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return when


def later(*each: object) -> Callable[[Outcome], Any]:
    """A sync predicate whose answers must be awaited."""
    sync = answers(*each)

    async def awaited(outcome: Outcome) -> object:
        await asyncio.sleep(0)
        return sync(outcome)

    return lambda outcome: awaited(outcome)


def asynchronous(*each: object) -> Callable[[Outcome], Any]:
    sync = answers(*each)

    async def when(outcome: Outcome) -> object:
        return sync(outcome)

    return when


SHAPES = pytest.mark.parametrize("shape", [answers, later, asynchronous])


def called(bench: Bench) -> list[Any]:
    return [entry for entry in bench.happened() if entry[0] == "called"]


@SHAPES
@pytest.mark.parametrize("answer", [True, False, 486, None, "yes", ""], ids=repr)
async def test_a_predicate_is_asked_for_truth(shape: Callable[..., Any], answer: object) -> None:
    """Sync, async, or sync around async; not for a bool."""
    bench = Bench()
    bench.router.on(cause="busy", when=shape(answer))(bench.hook("only"))
    assert await bench.attempt() == (done("app.only") if answer else done())
    assert called(bench) == ([("called", "only", BUSY)] if answer else [])


async def test_the_predicate_is_asked_last() -> None:
    """A predicate may rely on the other criteria."""
    bench, asked = Bench(), list[Outcome]()
    bench.router.on(cause="busy", when=lambda outcome: bool(asked.append(outcome)) or True)(bench.hook("only"))
    assert await bench.attempt(outcome=HUNG_UP) == done()
    assert (await bench.attempt(), asked) == (done("app.only"), [BUSY])


@SHAPES
async def test_a_predicate_that_raises_once_does_not_lose_its_hook(shape: Callable[..., Any]) -> None:
    """It is asked again, as the policy says, and its hook is called for the first time then; others go on."""
    bench = Bench()
    bench.on_error()
    contexts: list[HookContext] = []

    @bench.router.on(when=shape(ERROR, True))
    async def only(outcome: Outcome, ctx: HookContext) -> None:
        contexts.append(ctx)

    name = f"{__name__}.{only.__qualname__}"
    bench.router.on_retryable(bench.hook("other"))
    first = await bench.attempt()
    when = f"{name} (when)"
    assert first == ready(12.5, done=("app.other",), tries={when: 1}, wait={when: NOW + 12.5})
    assert bench.happened() == [("hook_failed", BUSY, when, repr(ERROR), 1, 12.5), ("called", "other", BUSY)]
    bench.now += 12.5
    second = await bench.attempt(first.progress, attempt=2)
    assert second == Settlement(State.DONE, Progress(done=("app.other", name), tries={when: 1}))
    assert [(ctx.attempt, ctx.redelivered) for ctx in contexts] == [(1, False)]


@SHAPES
async def test_a_predicate_that_says_no_after_all_ends_the_matter(shape: Callable[..., Any]) -> None:
    """The hook is not concerned, and that is an answer."""
    bench = Bench()
    bench.router.on(when=shape(ERROR, False))(bench.hook("only"))
    first = await bench.attempt()
    bench.now += 12.5
    assert await bench.attempt(first.progress, attempt=2) == Settlement(State.DONE, Progress(tries={WHEN: 1}))
    assert called(bench) == []


@pytest.mark.parametrize(
    ("errors", "waits"),
    [
        pytest.param([ERROR, ERROR, ERROR], [12.5, 25.0], id="attempts"),
        pytest.param([GiveUp("no tenant")], [], id="gives-up"),
        pytest.param([Retry(after=7), GiveUp("no tenant")], [7.0], id="asks-for-a-time"),
        pytest.param([SystemExit(), KeyboardInterrupt(), StopIteration()], [12.5, 25.0], id="no-exceptions"),
    ],
)
async def test_a_predicate_that_keeps_raising_makes_a_dead_letter(
    errors: list[BaseException], waits: list[float]
) -> None:
    """With the reason, and the error handlers hear of the last; a replay asks it anew."""
    bench = Bench()
    bench.on_error()
    bench.router.on(when=answers(*errors, True))(bench.hook("only"))
    settlement = Settlement(State.READY)
    for number, wait in enumerate([*waits, None], 1):
        settlement = await bench.attempt(settlement.progress, attempt=number)
        told = [entry for entry in bench.happened() if entry[0] != "checkpoint"]
        assert [entry[0] for entry in told] == ["hook_failed", "complained"][: 2 if wait is None else 1]
        assert told[0][4:] == (number, wait)
        assert settlement.state is (State.DEAD if wait is None else State.READY)
        bench.now += wait or 0
    assert settlement.reason is not None
    assert settlement.reason.startswith(f"{WHEN}: ")
    assert list(settlement.progress.failed) == [WHEN]
    again = await bench.attempt(settlement.progress.for_replay(), attempt=1)
    assert again.state is State.DONE
    assert called(bench) == [("called", "only", BUSY)]


async def test_a_dead_predicate_does_not_hold_others_up() -> None:
    """Nobody asks it again while another hook still waits."""
    bench = Bench(HookPolicy(attempts=1, timeout=None))
    bench.router.on(when=answers(ERROR))(bench.hook("only"))
    bench.router.on_retryable(bench.hook("other", Retry(after=5)))
    patient = HookPolicy(attempts=2, retry_errors=False, timeout=None)
    bench.caller.policy = patient
    first = await bench.attempt()
    assert first.state is State.READY
    bench.now += 5
    second = await bench.attempt(first.progress, attempt=2)
    assert second.reason == f"{WHEN}: KeyError: 'tenant'"
    assert [name for _, name, _ in called(bench)] == ["other", "other"]


async def test_a_predicate_is_asked_again_when_its_own_time_has_come() -> None:
    """Not when another hook of the outcome is called again."""
    bench = Bench()
    bench.router.on(when=answers(ERROR, True))(bench.hook("only"))
    bench.router.on_retryable(bench.hook("other", Retry(after=5)))
    first = await bench.attempt()
    bench.now += 5
    second = await bench.attempt(first.progress, attempt=2)
    assert [name for _, name, _ in called(bench)] == ["other", "other"]
    assert second.due_at == NOW + 12.5
    bench.now = NOW + 12.5
    assert (await bench.attempt(second.progress, attempt=3)).state is State.DONE
    assert called(bench) == [("called", "only", BUSY)]


@pytest.mark.parametrize("raises_first", [True, False])
async def test_of_stacked_predicates_one_yes_is_enough(raises_first: bool) -> None:
    """They mean *or*: the hook is called at once, and once, whatever another predicate raises."""
    bench = Bench()
    hook = bench.hook("only")
    predicates = [answers(ERROR), answers(True)]
    for when in predicates if raises_first else reversed(predicates):
        bench.router.on(when=when)(hook)
    assert await bench.attempt() == done("app.only")
    assert bench.happened() == [("called", "only", BUSY)]


async def test_of_stacked_predicates_all_are_asked_again() -> None:
    """A no beside an exception is no answer of the hook."""
    bench = Bench()
    hook = bench.hook("only")
    bench.router.on(when=answers(ERROR, False))(hook)
    bench.router.on(when=answers(False, True))(hook)
    first = await bench.attempt()
    assert first == ready(12.5, tries={WHEN: 1}, wait={WHEN: NOW + 12.5})
    bench.now += 12.5
    assert (await bench.attempt(first.progress, attempt=2)).progress.done == ("app.only",)


async def test_an_answer_that_nobody_can_await_is_no_yes() -> None:
    """A task is true whatever it will return."""
    bench, tasks = Bench(), list[asyncio.Task[bool]]()

    async def no() -> bool:
        return False

    async def when(outcome: Outcome) -> Any:
        tasks.append(asyncio.ensure_future(no()))
        return tasks[0]

    bench.router.on(when=when)(bench.hook("only"))
    assert (await bench.attempt()).state is State.READY
    assert [entry[:3] for entry in bench.happened()] == [("hook_failed", BUSY, WHEN)]
    await tasks[0]


async def test_a_predicate_has_the_time_of_a_hook() -> None:
    """One that never answers must not hold the worker."""
    bench = Bench(HookPolicy(attempts=1, timeout=0.001))

    async def stuck(outcome: Outcome) -> bool:
        await asyncio.Event().wait()
        raise AssertionError

    bench.router.on(when=stuck)(bench.hook("only"))
    assert (await bench.attempt()).reason == f"{WHEN}: TimeoutError: the function did not return within 0.001 s"


@pytest.mark.parametrize("gone", ["predicate", "hook"])
async def test_a_predicate_that_a_release_removes_does_not_hold_its_item(gone: str) -> None:
    """A hook that no longer asks is called; what becomes of a hook that is gone a person says."""
    bench = Bench()
    if gone == "predicate":
        bench.router.on(cause="busy")(bench.hook("only"))
    settlement = await bench.attempt(Progress(tries={WHEN: 1}, wait={WHEN: NOW - 1}), attempt=2)
    if gone == "predicate":
        assert settlement == Settlement(State.DONE, Progress(done=("app.only",), tries={WHEN: 1}))
    else:
        assert settlement.reason == f"{WHEN}: LookupError: no hook of this name is registered in this worker"


async def test_a_hook_in_doubt_is_a_hook() -> None:
    """Nobody is told that no hook wants the outcome."""
    bench = Bench()
    bench.router.on(when=answers(ERROR))(bench.hook("only"))
    await bench.attempt()
    assert [entry[0] for entry in bench.happened()] == ["hook_failed"]


@given(
    questions=st.lists(st.sampled_from([True, False, ERROR]), min_size=3, max_size=3),
    calls=st.lists(st.sampled_from([None, ERROR]), min_size=3, max_size=3),
    shape=st.sampled_from([answers, later, asynchronous]),
)
def test_no_hook_is_lost(questions: list[Any], calls: list[Any], shape: Callable[..., Any]) -> None:
    """Its predicate has said no, it has returned, or it is a dead letter: never done in silence."""
    bench = Bench()
    bench.router.on(when=shape(*questions))(bench.hook("only", *calls))

    async def to_the_end() -> Settlement:
        settlement = Settlement(State.READY)
        for number in itertools.count(1):
            settlement = await bench.attempt(settlement.progress, attempt=number)
            if settlement.state is not State.READY:
                return settlement
            bench.now = settlement.due_at
        raise AssertionError

    settlement = asyncio.run(to_the_end())
    decided = next((answer for answer in questions if answer is not ERROR), ERROR)
    if decided is False:
        assert (settlement.state, settlement.progress.done) == (State.DONE, ())
    elif decided is True and None in calls:
        assert (settlement.state, settlement.progress.done) == (State.DONE, ("app.only",))
    else:
        assert list(settlement.progress.failed) == [WHEN if decided is ERROR else "app.only"]
        assert settlement.state is State.DEAD
