"""One attempt at an outcome: which hooks are called, with what, and how far the item has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ringback import GiveUp, HookContext, HookPolicy, Outcome, RedialPolicy, Retry, StoreUnavailable, classify_event
from ringback.attempts import STORE_PAUSE, HookCaller, LeaseLost, described
from ringback.events import Event, EventData, Result
from ringback.redial import Exhausted, Planned
from ringback.router import HandlerRouter
from ringback.stores.port import CallRecord, Claim, Item, Kind, Progress, Redial, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.redial import Plan
    from ringback.stores.port import Decide

NOW = 1_700_000_000.0
LEG = "2a0d7b3c-0000-4000-8000-000000000001"
KEY = f"call:{LEG}"
NEW = Progress()
DOWN = StoreUnavailable("the store is down")
POLICY = HookPolicy(attempts=3, backoff=10, max_backoff=30, jitter=0.5, timeout=None)


def told(name: str, code: int, subcode: int) -> Outcome:
    data = EventData(call_connection_id=LEG, result_information=Result(code, subcode))
    outcome = classify_event(Event(type=f"Microsoft.Communication.{name}", data=data))
    assert outcome is not None
    return outcome


BUSY = told("CallDisconnected", 486, 560486)
HUNG_UP = told("CallDisconnected", 200, 560000)
UNKNOWN_RESULT = told("PlayFailed", 999, 123)
CONNECTED = told("CallConnected", 200, 0)
PLAY_FAILED = told("PlayFailed", 400, 8536)


class Recorder:
    """An observer that writes down what it is told; errors by their repr."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*arguments: Any) -> None:
            self._log.append((name, *(repr(each) if isinstance(each, Exception) else each for each in arguments)))

        return tell


class FakeStore:
    """A store that writes down what it is asked, and answers as the test says."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log
        self.answers: list[bool | Exception] = []
        self.calls: Sequence[CallRecord] | Exception | None = ()
        self.canceled = 0

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        # A copy, as any store makes one: the caller goes on with the same mappings.
        wrote = Progress(
            progress.done, dict(progress.failed), dict(progress.tries), dict(progress.wait), progress.trying
        )
        self._log.append(("checkpoint", key, wrote))
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def plan(self, redial: Redial, decide: Decide) -> Plan | None:
        self._log.append(("plan", redial))
        if isinstance(self.calls, Exception):
            raise self.calls
        return None if self.calls is None else decide(self.calls)

    async def cancel(self, contact: str, leg: str | None = None) -> int:
        self._log.append(("cancel", contact, leg))
        return self.canceled


class Bench:
    """A caller with everything around it. ``log`` holds what was called, told and stored, in order."""

    def __init__(self, policy: HookPolicy = POLICY) -> None:
        self.now = NOW
        self.log: list[Any] = []
        self.router = HandlerRouter()
        self.store = FakeStore(self.log)
        observer: Any = Recorder(self.log)
        store: Any = self.store
        self.caller = HookCaller(self.router, observer, store, policy, lambda: self.now, lambda: 0.5)

    def hook(self, name: str, *ends: Exception | None) -> Any:
        """A hook named ``app.<name>`` whose calls end like this, one after the other; without ends it returns."""
        left = list(ends)

        async def hook(outcome: Outcome) -> None:
            self.log.append(("called", name, outcome))
            if left and (error := left.pop(0)) is not None:
                raise error

        return named(hook, name)

    def hook_of_context(self, name: str, *ends: Exception | None) -> Any:
        left = list(ends)

        async def hook(outcome: Outcome, ctx: HookContext) -> None:
            self.log.append(("called", name, ctx))
            if left and (error := left.pop(0)) is not None:
                raise error

        return named(hook, name)

    def on_error(self) -> None:
        @self.router.on_error
        def complain(outcome: Outcome, error: Exception) -> None:
            self.log.append(("complained", outcome, repr(error)))

    async def attempt(self, progress: Progress = NEW, outcome: Outcome = BUSY, **claim: Any) -> Settlement:
        item = Item(outcome.outcome_id, Kind.OUTCOME, 0.0, outcome)
        return await self.caller.attempt(Claim(item, claim.pop("attempt", 1), progress=progress, **claim))

    def happened(self) -> list[Any]:
        """What the log holds, which is empty afterwards."""
        happened = self.log.copy()
        self.log.clear()
        return happened


def named(function: Any, name: str) -> Any:
    function.__module__, function.__qualname__ = "app", name
    return function


def ready(after: float, **progress: Any) -> Settlement:
    return Settlement(State.READY, Progress(**progress), due_at=NOW + after)


def done(*names: str) -> Settlement:
    return Settlement(State.DONE, Progress(done=names))


def checkpoint(**progress: Any) -> tuple[str, str, Progress]:
    return ("checkpoint", KEY, Progress(**progress))


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

    waits = Progress(done=("app.two",), failed={"app.one": "ValueError: a"}, wait={"app.three": NOW + 5})
    assert await bench.attempt(waits, attempt=2) == Settlement(State.READY, waits, due_at=NOW + 5)
    assert bench.happened() == []


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
    """The time-out of the policy is an exception like any other."""
    bench = Bench(HookPolicy(attempts=1, timeout=0.01))

    async def stuck(outcome: Outcome) -> None:
        await asyncio.Event().wait()

    bench.router.on_retryable(named(stuck, "stuck"))
    progress = Progress(failed={"app.stuck": "TimeoutError:"})
    assert await bench.attempt() == Settlement(State.DEAD, progress, reason="app.stuck: TimeoutError:")
    assert bench.happened() == [("hook_failed", BUSY, "app.stuck", "TimeoutError()", 1, None)]


async def test_a_sync_hook_is_called_too() -> None:
    """In a thread, so that it stops nobody."""
    bench = Bench()

    def plain(outcome: Outcome) -> None:
        bench.log.append(("called", "plain", outcome))

    bench.router.on_retryable(named(plain, "plain"))
    assert await bench.attempt() == done("app.plain")
    assert bench.happened() == [("called", "plain", BUSY)]


async def test_a_predicate_that_raises_counts_as_no_and_is_reported() -> None:
    """The hook is not called; the others are, and nothing is left to be tried again."""
    bench = Bench()
    bench.on_error()

    def unsure(outcome: Outcome) -> bool:
        raise KeyError("tenant")

    bench.router.on(when=unsure)(bench.hook("never"))
    bench.router.on_retryable(bench.hook("other"))
    assert await bench.attempt() == done("app.other")
    assert bench.happened() == [
        ("hook_failed", BUSY, "app.never (when)", "KeyError('tenant')", 1, None),
        ("complained", BUSY, "KeyError('tenant')"),
        ("called", "other", BUSY),
    ]


async def test_a_hook_that_waits_and_is_no_longer_registered_makes_a_dead_letter() -> None:
    """Renamed or removed: it is for a person to say what becomes of it. The others are called."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("here"))
    gone = [f"app.gone_{number}" for number in range(9)]
    progress = Progress(wait=dict.fromkeys(gone, NOW + 5), tries={"app.gone_0": 1})
    why = "no hook of this name is registered in this worker"
    assert await bench.attempt(progress, attempt=2) == Settlement(
        State.DEAD,
        Progress(done=("app.here",), failed=dict.fromkeys(gone, why), tries={"app.gone_0": 1}),
        reason="; ".join(f"{name}: {why}" for name in gone),
    )
    assert bench.happened() == [("called", "here", BUSY)]


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
        checkpoint(done=("app.one",), tries=tries, trying="app.three"),
        ("called", "three", HookContext("app.three", f"{KEY}/app.three", 1, redelivered=False)),
        checkpoint(done=("app.one", "app.three"), tries=tries, trying="app.two"),
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
        checkpoint(done=("app.one",), tries=tries, wait=wait, trying="app.two"),
        ("called", "two", BUSY),
        checkpoint(done=("app.one", "app.two"), tries=tries, wait=wait, trying="app.three"),
        ("called", "three", BUSY),
    ]


async def test_a_hook_that_kills_its_worker_every_time_is_given_up() -> None:
    """After as many deaths as there are attempts it is not called again; the others are."""
    bench = Bench()
    bench.on_error()
    bench.router.on_retryable(bench.hook("killer"))
    bench.router.on_retryable(bench.hook("other"))
    progress = Progress(tries={"app.killer": 2}, wait={"app.killer": NOW}, trying="app.killer")
    settlement = await bench.attempt(progress, attempt=3, redelivered=True, crashed=True)
    why = "the worker died during this call and every one before"
    tries = {"app.killer": 3}
    assert settlement == Settlement(
        State.DEAD,
        Progress(done=("app.other",), failed={"app.killer": f"RuntimeError: {why}"}, tries=tries),
        reason=f"app.killer: RuntimeError: {why}",
    )
    assert bench.happened() == [
        checkpoint(tries=tries, wait={"app.killer": NOW}, trying="app.killer"),
        ("hook_failed", BUSY, "app.killer", repr(RuntimeError(why)), 3, None),
        ("complained", BUSY, repr(RuntimeError(why))),
        ("called", "other", BUSY),
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


# Redials

CONTACT = "app.call_again (contact)"


def redial(bench: Bench, name: str = "call_again", **settings: Any) -> None:
    async def function(outcome: Outcome) -> None: ...

    settings = {"contact": lambda outcome: "customer-1"} | settings
    bench.router.redial(policy=RedialPolicy(jitter=0), **settings)(named(function, name))


def wish(contact: str = "customer-1", name: str = "app.call_again", outcome: Outcome = BUSY) -> tuple[str, Redial]:
    """What the store is asked for."""
    return ("plan", Redial(contact, Item(f"redial:{KEY}", Kind.REDIAL, 0.0, outcome, contact, name), LEG))


async def test_a_redial_is_planned_before_the_hooks_are_called() -> None:
    """From the contact's calls, the clock and the policy; the hooks hear of a retryable outcome."""
    bench = Bench()
    redial(bench)
    bench.router.on_retryable(bench.hook("only"))
    bench.store.calls = [CallRecord("a", NOW - 100), CallRecord("b", NOW)]
    assert await bench.attempt() == done(CONTACT, "app.only")
    assert bench.happened() == [wish(), ("redial_scheduled", BUSY, NOW + 600, 3), ("called", "only", BUSY)]


async def test_a_redial_that_was_planned_before_is_not_told_again() -> None:
    """And it handles the outcome, though no hook does."""
    bench = Bench()
    redial(bench)
    bench.store.calls = None
    assert await bench.attempt() == done(CONTACT)
    assert bench.happened() == [wish()]


async def test_an_outcome_that_may_not_be_redialed_is_terminal_for_the_hooks() -> None:
    """Also when one of them is called again: the store is asked once."""
    bench = Bench()
    redial(bench)
    bench.router.on_retryable(bench.hook("retryable"))
    bench.router.on_terminal(bench.hook("terminal", Retry(after=5)))
    bench.router.on_terminal(bench.hook("other"))
    bench.store.calls = [CallRecord(f"{number}", NOW - number) for number in range(3)]
    first = await bench.attempt()
    names = (CONTACT, "attempts_exhausted", "app.other")
    assert first == ready(5, done=names, tries={"app.terminal": 1}, wait={"app.terminal": NOW + 5})
    assert [entry for entry in bench.happened() if entry[0] != "checkpoint"] == [
        wish(),
        ("redial_exhausted", BUSY, "max_attempts"),
        ("called", "terminal", BUSY.exhausted()),
        ("hook_failed", BUSY.exhausted(), "app.terminal", repr(Retry()), 1, 5.0),
        ("called", "other", BUSY.exhausted()),
    ]
    bench.now += 5
    second = Settlement(State.DONE, Progress(done=(*names, "app.terminal"), tries={"app.terminal": 1}))
    assert await bench.attempt(first.progress, attempt=2) == second
    assert bench.happened() == [("called", "terminal", BUSY.exhausted())]


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(HUNG_UP, id="terminal"),
        pytest.param(CONNECTED, id="connected"),
        pytest.param(told("CallConnected", 486, 560486), id="connected-whatever-it-reports"),
    ],
)
@pytest.mark.parametrize("canceled", [0, 1])
async def test_a_call_that_was_answered_or_must_not_be_repeated_cancels_what_was_planned(
    outcome: Outcome, canceled: int
) -> None:
    """The leg is noted, and the cancellation told if there was anything to cancel."""
    bench = Bench()
    redial(bench)
    bench.store.canceled = canceled
    assert await bench.attempt(outcome=outcome) == done(CONTACT)
    assert bench.happened() == [("cancel", "customer-1", LEG)] + [("redial_canceled", outcome)] * canceled


async def test_operations_plan_nothing() -> None:
    """A prompt that could not be played says nothing of whether the contact was reached."""
    bench = Bench()
    redial(bench)
    assert await bench.attempt(outcome=PLAY_FAILED) == done()
    assert bench.happened() == []


async def test_the_first_registration_that_names_a_contact_has_the_call() -> None:
    """None, and an empty text, leave it to the next; nobody behind the first is asked."""
    bench = Bench()
    redial(bench, "one", contact=lambda outcome: None)
    redial(bench, "two", contact=lambda outcome: "")
    redial(bench, "three", contact=lambda outcome: "customer-3")
    redial(bench, "four", contact=lambda outcome: bench.log.append("asked"))
    assert await bench.attempt() == done("app.three (contact)")
    assert bench.happened() == [wish("customer-3", "app.three"), ("redial_scheduled", BUSY, NOW + 600, 2)]


async def test_a_call_without_a_contact_is_left_to_the_hooks() -> None:
    """And told of as unhandled if there is none."""
    bench = Bench()
    redial(bench, contact=lambda outcome: None)
    assert await bench.attempt() == done()
    assert bench.happened() == [("outcome_unhandled", BUSY)]


async def test_a_hashed_contact_is_all_that_the_store_gets() -> None:
    """HMAC-SHA-256 in hex, keyed with the secret."""
    bench = Bench()
    redial(bench, contact=lambda outcome: "+1 555 0100", hash_contacts="sixteen-bytes-ok")
    assert await bench.attempt() == done(CONTACT)
    hashed = "741fa6b619e83d0f8239efac8bfeddfc71df02f2dd435cc426edce8ec889a2a6"
    assert bench.happened() == [wish(hashed), ("redial_scheduled", BUSY, NOW + 600, 2)]


@pytest.mark.parametrize("broken", ["contact", "time_zone"])
async def test_a_contact_function_that_raises_is_called_again_like_a_hook_and_stops_none(broken: str) -> None:
    """It waits, fails for good with the last attempt, and the hooks are called meanwhile."""
    bench = Bench()
    bench.on_error()

    def unsure(outcome: Outcome) -> str:
        raise LookupError("no tenant")

    settings: dict[str, Any] = {broken: unsure}
    redial(bench, **settings)
    bench.router.on_retryable(bench.hook("only"))
    error = repr(LookupError("no tenant"))

    first = await bench.attempt()
    assert first == ready(12.5, done=("app.only",), tries={CONTACT: 1}, wait={CONTACT: NOW + 12.5})
    assert bench.happened() == [("hook_failed", BUSY, CONTACT, error, 1, 12.5), ("called", "only", BUSY)]

    early = await bench.attempt(first.progress, attempt=2)
    assert early == first
    assert bench.happened() == []

    bench.now = NOW + 12.5
    second = await bench.attempt(early.progress, attempt=3)
    assert second == ready(37.5, done=("app.only",), tries={CONTACT: 2}, wait={CONTACT: NOW + 37.5})
    assert bench.happened() == [("hook_failed", BUSY, CONTACT, error, 2, 25.0)]

    bench.now = NOW + 37.5
    third = await bench.attempt(second.progress, attempt=4)
    failed = {CONTACT: "LookupError: no tenant"}
    dead = Settlement(
        State.DEAD,
        Progress(done=("app.only",), failed=failed, tries={CONTACT: 2}),
        reason=f"{CONTACT}: LookupError: no tenant",
    )
    assert third == dead
    assert bench.happened() == [("hook_failed", BUSY, CONTACT, error, 3, None), ("complained", BUSY, error)]

    assert await bench.attempt(third.progress, attempt=5) == dead
    assert bench.happened() == []


async def test_a_contact_that_is_no_text_is_a_failure() -> None:
    """A function that returns a customer instead of a key would have no limits."""
    bench = Bench(HookPolicy(attempts=1))
    redial(bench, contact=lambda outcome: 15550100)
    reason = "RegistrationError: contact of app.call_again returned a int; return text or None"
    assert await bench.attempt() == Settlement(
        State.DEAD, Progress(failed={CONTACT: reason}), reason=f"{CONTACT}: {reason}"
    )


async def test_a_contact_function_that_failed_once_may_succeed_later() -> None:
    """Then the redial is planned after all."""
    bench = Bench()
    answers: list[str | Exception] = [LookupError("no tenant"), "customer-1"]

    def contact(outcome: Outcome) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    redial(bench, contact=contact)
    first = await bench.attempt()
    bench.happened()
    bench.now = first.due_at
    settled = Settlement(State.DONE, Progress(done=(CONTACT,), tries={CONTACT: 1}))
    assert await bench.attempt(first.progress, attempt=2) == settled
    assert bench.happened() == [wish(), ("redial_scheduled", BUSY, NOW + 612.5, 2)]


@pytest.mark.parametrize("earlier", ["customer-1", LookupError("no tenant")], ids=["names", "raises"])
async def test_who_is_no_longer_asked_is_no_longer_waited_for(earlier: str | Exception) -> None:
    """Once an earlier registration has the call, a later one's wait would make the item due at once, for ever."""
    bench = Bench()

    def contact(outcome: Outcome) -> str:
        if isinstance(earlier, Exception):
            raise earlier
        return earlier

    redial(bench, contact=contact)
    redial(bench, "other", contact=lambda outcome: "customer-2")
    waits = Progress(tries={"app.other (contact)": 1}, wait={"app.other (contact)": NOW - 1})
    settlement = await bench.attempt(waits, attempt=2)
    tries = {"app.other (contact)": 1}
    if isinstance(earlier, Exception):
        assert settlement == ready(12.5, tries=tries | {CONTACT: 1}, wait={CONTACT: NOW + 12.5})
    else:
        assert settlement == Settlement(State.DONE, Progress(done=(CONTACT,), tries=tries))


async def test_a_redial_that_is_decided_is_not_decided_again_for_another_contact() -> None:
    """A contact function may know by now what it did not know then; one outcome is one redial."""
    bench = Bench()
    redial(bench, "one", contact=lambda outcome: "customer-1")
    redial(bench, "two", contact=lambda outcome: "customer-2")
    progress = Progress(done=("app.two (contact)",))
    assert await bench.attempt(progress, attempt=2) == Settlement(State.DONE, progress)
    assert bench.happened() == []


async def test_a_store_that_cannot_plan_is_asked_again_before_any_hook_is_called() -> None:
    """The hooks are to be told whether the outcome is still retryable."""
    bench = Bench()
    redial(bench)
    bench.router.on_retryable(bench.hook("only"))
    bench.store.calls = DOWN
    assert await bench.attempt() == ready(STORE_PAUSE)
    assert bench.happened() == [wish(), ("store_unavailable", repr(DOWN))]


async def test_what_the_store_decides_by_is_asked_as_often_as_it_likes() -> None:
    """A store that has to repeat its transaction decides again, by the clock of that moment."""
    bench = Bench()
    redial(bench)
    plans: list[Plan] = []

    async def plan(redial: Redial, decide: Decide) -> Plan | None:
        plans.extend([decide([CallRecord("a", NOW)]), decide([CallRecord(key, NOW) for key in "abc"])])
        return plans[0]

    bench.store.plan = plan  # type: ignore[method-assign]
    await bench.attempt()
    assert plans == [Planned(NOW + 600, 2), Exhausted("max_attempts")]
    assert bench.happened() == [("redial_scheduled", BUSY, NOW + 600, 2)]


# Errors


async def test_error_handlers_are_called_on_the_last_failure_only() -> None:
    """All of them, in order; what one raises, or takes too long for, is only reported."""
    bench = Bench(HookPolicy(attempts=2, backoff=10, jitter=0, timeout=0.01))
    bench.router.on_retryable(bench.hook("only", ValueError("a"), ValueError("b")))

    async def breaks(outcome: Outcome, error: Exception) -> None:
        raise TypeError("further")

    async def stuck(outcome: Outcome, error: Exception) -> None:
        await asyncio.Event().wait()

    bench.router.on_error(named(breaks, "breaks"))
    bench.router.on_error(named(stuck, "stuck"))
    bench.on_error()
    first = await bench.attempt()
    assert bench.happened() == [
        ("called", "only", BUSY),
        ("hook_failed", BUSY, "app.only", repr(ValueError("a")), 1, 10.0),
    ]
    bench.now = first.due_at
    second = await bench.attempt(first.progress, attempt=2)
    progress = Progress(failed={"app.only": "ValueError: b"}, tries={"app.only": 1})
    assert second == Settlement(State.DEAD, progress, reason="app.only: ValueError: b")
    assert bench.happened() == [
        ("called", "only", BUSY),
        ("hook_failed", BUSY, "app.only", repr(ValueError("b")), 2, None),
        ("hook_failed", BUSY, "app.breaks", repr(TypeError("further")), 1, None),
        ("hook_failed", BUSY, "app.stuck", repr(TimeoutError()), 1, None),
        ("complained", BUSY, repr(ValueError("b"))),
    ]


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(ValueError("no"), "ValueError: no", id="plain"),
        pytest.param(ValueError(), "ValueError:", id="empty"),
        pytest.param(ValueError("a\n  b\tc\r\n"), "ValueError: a b c", id="one-line"),
        pytest.param(ValueError("cannot call +1 555 0100 123"), "ValueError: cannot call [phone]", id="redacted"),
        pytest.param(ValueError("x y" * 400), ("ValueError: " + "x y" * 400)[:500], id="not-long"),
        pytest.param(Unreadable(), "Unreadable: its text cannot be read", id="unreadable"),
    ],
)
def test_what_a_dead_letter_says_of_an_exception(error: Exception, text: str) -> None:
    """One line, redacted, of 500 characters at most, whatever the exception is."""
    assert described(error) == text
