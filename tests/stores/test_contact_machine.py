"""Contacts, their calls and the redials in any order and at any time, against a plain model of what is allowed.

The machine plays the service, the persons and the app, and one or two processes of Ringback on one store. The machine
tells events, lets functions fail, lets processes die, cancels and replays. When a redial function is called, the model
says from what the processes were told whether a call is allowed then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contact_model import ASKS, CERTAIN, ENDS, EXPECTED, NOON, PEOPLE, UNCERTAIN, Model, working_for
from ringback import HookPolicy, Outcome, RedialPolicy
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.router import HandlerRouter
from ringback.work.contact import Step
from ringback.work.contact_call import UNSEEN, CallState
from ringback.work.items import Kind
from ringback.work.redial import REQUEST_ID
from ringback_catalog import Scope
from stepwise import LEASE, Bench, PostgresBench, SQLiteBench

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from contact_model import Call
    from ringback.stores import DeliveryStore
    from ringback.work.items import Claim, DeadLetter

pytestmark = pytest.mark.untraced

SETTLE, HOUR, DAY = 1.0, 3600.0, 86_400.0

ANSWERS = st.sampled_from([*["placed"] * 4, *CERTAIN, *UNCERTAIN, *[f"{answer}, placed" for answer in UNCERTAIN] * 3])
EVENTS = st.sampled_from(["CallConnected", "CallDisconnected", "CallDisconnected", "CreateCallFailed"])
FIRST = st.sampled_from([*["CallDisconnected"] * 6, "CallConnected", "AnswerFailed"])
RESULTS = st.sampled_from([*["busy"] * 8, "lost", "lost", *sorted(ENDS)])
MISHAPS = st.sampled_from(["contact fails", "hook fails", "replay", "replay", "cancel", "never", "allow", "allow"])
WHO = st.sampled_from(["ann", "ann", "ann", "bob"])
WHICH = st.integers(0, 7)

POLICIES = st.builds(
    RedialPolicy,
    delays=st.sampled_from([{}, {"busy": 0, "service_error": 5}, {"busy": 90}]),
    jitter=st.just(0.0),
    max_attempts=st.sampled_from([2, 3, 5]),
    window=st.sampled_from([2 * HOUR, 3 * DAY]),
    max_per_day=st.sampled_from([None, 2]),
    calendar_days=st.booleans(),
    caps=st.sampled_from([(), [(1, HOUR)]]),
    hours=st.sampled_from([None, ("11:00", "13:00"), ("12:50", "12:20"), {"wed-fri": ("00:00", "24:00")}]),
    call_back=st.booleans(),
    rest_after_answer=st.sampled_from([0.0, 900.0]),
    rest_after_refusal=st.sampled_from([0.0, 1800.0, None]),
)
TIMES = st.sampled_from([0.2, SETTLE, 5.0, LEASE, 90.0, 240.0, UNSEEN + 1, HOUR, 9 * HOUR, DAY])


class Watch:
    """An observer that keeps track of the redials that wait."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None:  # noqa: ARG002
        self.model.planned[outcome.call_connection_id or ""] = self.model.call(outcome).contact

    def redial_canceled(self, outcome: Outcome) -> None:
        contact = self.model.call(outcome).contact
        self.model.planned = {leg: whose for leg, whose in self.model.planned.items() if whose != contact}

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None:  # noqa: ARG002
        self.model.planned.pop(outcome.call_connection_id or "", None)

    def redial_skipped(self, outcome: Outcome, reason: str) -> None:  # noqa: ARG002
        self.model.planned.pop(outcome.call_connection_id or "", None)

    def hook_failed(self, _: Outcome, hook: str, error: Exception, *__: object) -> None:
        if not isinstance(error, EXPECTED) and "the worker died" not in str(error):
            self.model.faults.append(f"{hook}: {error!r}")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Process:
    """One process: a dispatcher over a store, and what the process works on."""

    def __init__(self, model: Model, bench: Bench, store: DeliveryStore) -> None:
        self.model, self.bench, self.store = model, bench, store
        self.works: dict[asyncio.Task[None], Claim] = {}
        self.held: list[Claim] = []
        """What the process has claimed, and has not begun to work on."""
        self.begin()

    def begin(self) -> None:
        """A new start: nobody knows any more what the process worked on."""
        model, router = self.model, HandlerRouter()
        self.owner = f"process {next(model.names)}"
        router.redial(contact=model.contact, policy=model.policy)(dial_of(model))

        @router.on_retryable
        async def retryable(outcome: Outcome) -> None:
            model.hears(outcome, "retryable")

        @router.on_terminal
        async def terminal(outcome: Outcome) -> None:
            model.hears(outcome, "terminal")

        observer: Any = Watch(model)
        hooks = HookPolicy(attempts=model.attempts, backoff=2, jitter=0, timeout=None)
        self.dispatcher = Dispatcher(
            router, observer, store=self.store, settle=SETTLE, hooks=hooks, clock=lambda: model.now
        )
        # The machine works on what is due, step by step.
        self.dispatcher._work_here = lambda: None  # type: ignore[method-assign]

    async def works_on(self, *, settles: bool = True) -> None:
        """Claims what is due, and works until each work is done or waits for the answer of a redial function."""
        claims, self.held = [*self.held, *await self.bench.claim(self)], []
        for claim in claims:
            if claim.item.outcome.scope is Scope.CALL:
                self.model.claimed.add(claim.item.outcome.call_connection_id or "")
            task = asyncio.get_running_loop().create_task(self._work(claim, settles))
            self.works[task] = claim
            task.add_done_callback(lambda _: self.model.changed.set())
        await self.goes_on()

    async def _work(self, claim: Claim, settles: bool) -> None:
        working_for.set(claim)
        settlement = await self.dispatcher._work(claim)
        outcome = claim.item.outcome
        if outcome.scope is Scope.CALL and any(name.endswith("(contact)") for name in settlement.progress.done):
            self.model.open.discard(outcome.call_connection_id or "")
        if settles:
            await self.bench.settle(self, claim, settlement)
        if settlement.call is CallState.PLANNED:
            self.model.planned[outcome.call_connection_id or ""] = self.model.call(outcome).contact

    async def goes_on(self) -> None:
        while True:
            self.model.changed.clear()
            for task in [task for task in self.works if task.done()]:
                del self.works[task]
                task.result()
            flying = [flight.work for flight in self.model.flights]
            if all(any(work is claim for work in flying) for claim in self.works.values()):
                self.model.learns()
                return
            await self.model.changed.wait()

    async def ends(self, *, gives_back: bool) -> None:
        works, self.works, self.held = self.works, {}, []
        for task in works:
            task.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        if gives_back:
            for claim in works.values():
                await self.bench.give_back(self, claim)
        self.begin()


def dial_of(model: Model) -> Callable[..., object]:
    """The app's redial function, in the shape that tells what the machine wants to be told."""

    async def dial(contact: str, outcome: Outcome, headers: dict[str, str]) -> object:
        return await model.requested(contact, outcome.call_connection_id or "", headers[REQUEST_ID], None)

    async def dial_with_context(
        contact: str, outcome: Outcome, headers: dict[str, str], operation_context: str
    ) -> object:
        return await model.requested(contact, outcome.call_connection_id or "", headers[REQUEST_ID], operation_context)

    return dial_with_context if model.tells == "context" else dial


class Machine(RuleBasedStateMachine):
    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench

    @initialize(
        policy=POLICIES,
        tells=st.sampled_from(["leg", "response", "context", "nothing"]),
        attempts=st.sampled_from([2, 4]),
    )
    def begin(self, policy: RedialPolicy, tells: str, attempts: int) -> None:
        self.bench.now = NOON
        self.model = Model(policy, tells)
        self.model.attempts = attempts
        stores = self.bench.run(self.bench.stores())
        self.processes = [Process(self.model, self.bench, store) for store in stores]
        self.a_call("ann", "CallDisconnected", "busy", 0)

    def process(self, which: int) -> Process:
        return self.processes[which % len(self.processes)]

    def tell(self, which: int, call: Call, name: str) -> None:
        model = self.model
        if model.unsure(call):
            return
        again = name in call.sent
        call.sent.setdefault(name, model.now)
        outcome = call.event(name)
        known = call.told.copy()
        self.bench.run(self.process(which).dispatcher.accept([outcome]))
        model.learns()
        new = call.told - known
        if call.end in ASKS and not again and call.leg not in model.claimed and "CallDisconnected" in new:
            model.open.add(call.leg)

    # What the app and the persons do

    @rule(contact=WHO, event=FIRST, end=RESULTS, which=WHICH)
    def a_call(self, contact: str, event: str, end: str, which: int) -> None:
        """The app calls, or they do, and the first event comes."""
        call = self.model.begins(contact)
        call.theirs, call.result = event == "AnswerFailed", end if event == "CallDisconnected" else ""
        self.tell(which, call, event)

    @precondition(lambda self: self.model.calls)
    @rule(number=st.integers(0, 4), event=EVENTS, end=RESULTS, which=WHICH)
    def an_event(self, number: int, event: str, end: str, which: int) -> None:
        """An event of one of the latest calls, again or for the first time."""
        call = self.model.calls[-1 - number % len(self.model.calls)]
        if call.theirs:
            event = "AnswerFailed"
        elif event != "CallConnected":
            call.result = call.result or end
            if call.result == "hung up":
                event = "CallDisconnected"
        self.tell(which, call, event)

    @rule(end=RESULTS, which=WHICH)
    def the_story_goes_on(self, end: str, which: int) -> None:
        """What is next is done, and a call that a redial places ends soon."""
        model = self.model
        self.what_is_next_is_due(which)
        while model.flights:
            self.a_redial_function_answers("placed", which)
            call = model.redials[-1]
            call.result = call.result or end
            self.time_passes(20.0)
            self.tell(which, call, "CallDisconnected")

    @rule(answer=ANSWERS, event=st.sampled_from([None, "CallConnected", "CallDisconnected"]), end=RESULTS, which=WHICH)
    def a_redial_is_tried(self, answer: str, event: str | None, end: str, which: int) -> None:
        """What is next is done; an event of the call may come before the redial function returns."""
        model = self.model
        self.what_is_next_is_due(which)
        for flight in model.flights[:1]:
            if event is not None and "placed" in answer:
                call = model.place(flight)
                call.result = call.result or end
                self.tell(which, call, event)
            self.a_redial_function_answers(answer, 0)

    @rule(mishap=MISHAPS, contact=WHO, number=st.integers(1, 3), which=WHICH)
    def a_mishap(self, mishap: str, contact: str, number: int, which: int) -> None:
        if mishap == "contact fails":
            self.model.contact_fails = number
        elif mishap == "hook fails":
            self.model.hook_fails = number
        elif mishap == "replay":
            self.replay(number)
        elif mishap == "allow":
            barred = self.bench.run(self.process(which).dispatcher.allow_call(contact))
            assert barred is (contact in self.model.never)
            self.model.never.discard(contact)
        else:
            dispatcher = self.process(which).dispatcher
            self.cancel(contact, dispatcher.never_call if mishap == "never" else dispatcher.cancel_redials)
            if mishap == "never":
                self.model.never.add(contact)

    def cancel(self, contact: str, said: Callable[[str], Awaitable[int]]) -> None:
        model = self.model
        count = self.bench.run(said(contact))
        model.canceled[contact].append(model.now)
        waiting = [leg for leg, whose in model.planned.items() if whose == contact]
        settling = [call.leg for call in model.calls if call.leg in model.open and call.contact == contact]
        if model.exact:
            assert count == len(waiting) + len(settling)
        for leg in waiting:
            del model.planned[leg]
        model.open -= set(settling)

    def replay(self, number: int) -> None:
        store = self.processes[0].store
        dead = self.bench.run(store.dead())
        if dead:
            letter = dead[number % len(dead)]
            assert self.bench.run(store.replay(letter.key))
            self._is_replayed(letter)

    # What the processes do

    @rule(which=WHICH)
    def works(self, which: int) -> None:
        self.bench.run(self.process(which).works_on())

    @rule(which=WHICH)
    def what_is_next_is_due(self, which: int) -> None:
        """The time comes at which an item is due, and a process or both work on the item."""
        due_at = self.bench.run(self.bench.next_due(self.process(which)))
        if due_at is not None:
            self.time_passes(max(0.0, due_at - self.model.now))
        self.works(which)

    @precondition(lambda self: self.model.flights)
    @rule(answer=ANSWERS, which=WHICH)
    def a_redial_function_answers(self, answer: str, which: int) -> None:
        model = self.model
        model.answers(model.flights[which % len(model.flights)], answer)
        for process in self.processes:
            self.bench.run(process.goes_on())

    @precondition(lambda self: self.bench.mortal)
    @rule(which=WHICH, how=st.sampled_from(["settles nothing", "stops", "dies", "stalls"]), placed=st.booleans())
    def a_process_ends(self, which: int, how: str, placed: bool) -> None:
        """The process dies or is stopped, and starts again. A call that it was about to place may be placed."""
        process, self.model.exact = self.process(which), False
        if how == "stalls":
            # The process goes on later, but others take its work over.
            process.held += self.bench.run(self.bench.claim(process))
            self.bench.run(self.bench.forget(process.owner))
            return
        if how == "settles nothing":
            self.bench.run(process.works_on(settles=False))
        for flight in self.model.flights:
            if placed and any(flight.work is claim for claim in process.works.values()):
                self.model.place(flight)
        self.bench.run(process.ends(gives_back=how == "stops"))

    def _is_replayed(self, letter: DeadLetter) -> None:
        outcome = letter.outcome
        assert outcome is not None
        if letter.kind is Kind.REDIAL and letter.progress.first_sent is None:
            self.model.planned[outcome.call_connection_id or ""] = self.model.call(outcome).contact

    @invariant()
    def nobody_is_called_who_must_not_be(self) -> None:
        assert not self.model.faults, self.model.faults

    @invariant()
    def no_call_goes_uncounted(self) -> None:
        for contact in PEOPLE:
            calls = [call for call in self.model.calls if call.contact == contact and call.began_at is not None]
            known = self.bench.run(self.processes[0].store.change(contact, lambda known: Step(known, known)))
            assert known is not None
            counted = known.times() + known.times(unrung=True)
            assert len(counted) >= sum(not call.theirs for call in calls), known

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        self.model.now += seconds
        self.bench.now = self.model.now
        self.bench.run(self.bench.renew([process.owner for process in self.processes]))

    def teardown(self) -> None:
        try:
            if hasattr(self, "processes"):
                self._finish()
        finally:
            for process in getattr(self, "processes", []):
                self.bench.run(process.ends(gives_back=False))

    def _finish(self) -> None:
        """In the end each hook has returned or is dead, and whoever was busy is called again."""
        model = self.model
        model.contact_fails = model.hook_fails = 0
        for _ in range(200):
            for process in self.processes:
                self.bench.run(process.works_on())
            while model.flights:
                model.answers(model.flights[0], "placed")
                for process in self.processes:
                    self.bench.run(process.goes_on())
            stats = self.bench.run(self.processes[0].store.stats())
            if not stats.ready and not stats.running:
                break
            self.time_passes(HOUR / 2)
        else:
            raise AssertionError(f"work is left: {stats}")
        for call in model.calls:
            if {"CallDisconnected", "CreateCallFailed", "AnswerFailed"} & call.sent.keys():
                assert any(leg == call.leg for leg, _ in model.heard), f"no hook has heard of {call.leg}"
        assert not model.faults, model.faults


def run(bench: Bench, share: float) -> None:
    try:
        run_state_machine_as_test(
            lambda: Machine(bench),
            settings=settings(
                max_examples=max(1, int(settings.default.max_examples * share)),
                stateful_step_count=30,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        bench.run(bench.close())
        bench.runner.close()


@pytest.mark.hypothesis
def test_in_memory_nobody_is_called_who_must_not_be() -> None:
    run(Bench(), 1.0)


@pytest.mark.hypothesis
def test_in_sqlite_nobody_is_called_who_must_not_be(tmp_path: Path) -> None:
    run(SQLiteBench(tmp_path / "ringback.db"), 0.5)


@pytest.mark.hypothesis
def test_in_postgresql_nobody_is_called_who_must_not_be(postgres_url: str) -> None:
    run(PostgresBench(postgres_url), 0.1)
