"""One attempt at an outcome: the redial that is planned for it, and what is said of errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from attempting import (
    BUSY,
    CONNECTED,
    DOWN,
    HUNG_UP,
    KEY,
    LEG,
    NOW,
    PLAY_FAILED,
    Bench,
    done,
    named,
    ready,
    told,
)
from ringback import HookPolicy, Outcome, RedialPolicy, Retry, classify_event
from ringback.core.events import Event, EventData
from ringback.hooks.attempt import STORE_PAUSE, described
from ringback.work.items import CallRecord, Item, Kind, Progress, Redial, Settlement, State
from ringback.work.redial import Exhausted, Planned

if TYPE_CHECKING:
    from ringback.work.items import Decide
    from ringback.work.redial import Plan


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
    assert bench.happened() == [wish(), ("redial_scheduled", BUSY, NOW + 1200, 3), ("called", "only", BUSY)]


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


@pytest.mark.parametrize(
    ("outcome", "noted"),
    [
        pytest.param(told("AnswerFailed", 487, 10004), False, id="they-had-called"),
        pytest.param(told("AnswerFailed", 400, 8500), False, id="the-caller-is-on-the-line"),
        pytest.param(told("ConnectFailed", 408, 10057), False, id="connect"),
        pytest.param(told("CallDisconnected", 400, 8510), True, id="an-operation-of-a-call-that-was-placed"),
    ],
)
async def test_what_is_not_answered_with_a_call_is_skipped(outcome: Outcome, noted: bool) -> None:
    """One line says what is to be made again; the hooks hear of it. A call that the app had placed counts."""
    bench = Bench()
    redial(bench)
    bench.router.on_retryable(bench.hook("only"))
    reason = RedialPolicy().skips(outcome.retry_action)
    assert outcome.retryable
    assert await bench.attempt(outcome=outcome) == done(CONTACT, "app.only")
    asked = [wish(outcome=outcome)] if noted else []
    assert bench.happened() == [*asked, ("redial_skipped", outcome, reason), ("called", "only", outcome)]


async def test_who_had_called_is_called_back_if_the_policy_says_so() -> None:
    """It is a person's decision, and made once."""
    bench = Bench()
    missed = told("AnswerFailed", 487, 10004)
    bench.router.redial(policy=RedialPolicy(jitter=0, call_back=True), contact=lambda outcome: "customer-1")(
        named(bench.hook("unused"), "call_again")
    )
    assert await bench.attempt(outcome=missed) == done(CONTACT)
    assert bench.happened() == [wish(outcome=missed), ("redial_scheduled", missed, NOW + 1800, 2)]


async def test_the_mere_end_of_a_whole_call_plans_and_cancels_nothing() -> None:
    """It says neither that the contact was reached nor that it was not."""
    bench = Bench()
    redial(bench)
    data = EventData(correlation_id="call-1")
    whole = classify_event(Event(type="Microsoft.Communication.CallEnded", data=data))
    assert await bench.attempt(outcome=whole) == done()
    assert bench.happened() == []


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
