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
from ringback.hooks.planning import LeaseLost
from ringback.work.contact import Contact
from ringback.work.contact_call import CallRecord, CallState, Report, report_of
from ringback.work.items import NOBODY, Item, Kind, Progress, Settlement, State

if TYPE_CHECKING:
    from ringback.work.contact import Change


# Redials

CONTACT = "app.call_again (contact)"


def redial(bench: Bench, name: str = "call_again", **settings: Any) -> None:
    async def function(outcome: Outcome) -> None: ...

    settings = {"contact": lambda outcome: "customer-1"} | settings
    bench.router.redial(policy=RedialPolicy(hours=None, jitter=0), **settings)(named(function, name))


def planned(
    due_at: float, number: int = 2, contact: str = "customer-1", name: str = "app.call_again", outcome: Outcome = BUSY
) -> tuple[Any, ...]:
    """The store puts a redial."""
    return ("change", contact, Item(f"redial:{KEY}", Kind.REDIAL, due_at, outcome, None, name, number), ())


UNPLANNED = ("change", "customer-1", None, ())
"""The store puts no redial."""


def called_at(*times: float) -> Contact:
    """A contact with calls that have ended."""
    return Contact(tuple(CallRecord(f"leg:{number}", at, f"{number}") for number, at in enumerate(times)))


def report(outcome: Outcome) -> Report:
    found = report_of(outcome)
    assert found is not None
    return found


async def test_a_redial_is_planned_before_the_hooks_are_called() -> None:
    """From the contact's calls, the clock and the policy; the hooks hear of a retryable outcome."""
    bench = Bench()
    redial(bench)
    bench.router.on_retryable(bench.hook("only"))
    bench.store.known = called_at(NOW - 100)
    assert await bench.attempt() == done(CONTACT, "app.only")
    assert bench.happened() == [
        planned(NOW + 1200, 3),
        ("redial_scheduled", BUSY, NOW + 1200, 3),
        ("called", "only", BUSY),
    ]


async def test_a_redial_that_was_planned_before_is_not_told_again() -> None:
    """And it handles the outcome, though no hook does."""
    bench = Bench()
    redial(bench)
    bench.store.known = Contact().redial(f"redial:{KEY}", CallState.PLANNED, NOW)
    assert await bench.attempt() == done(CONTACT)
    assert bench.happened() == [UNPLANNED]


async def test_an_outcome_that_may_not_be_redialed_is_terminal_for_the_hooks() -> None:
    """Also when one of them is called again: the store is asked once."""
    bench = Bench()
    redial(bench)
    bench.router.on_retryable(bench.hook("retryable"))
    bench.router.on_terminal(bench.hook("terminal", Retry(after=5)))
    bench.router.on_terminal(bench.hook("other"))
    bench.store.known = called_at(NOW - 1, NOW - 2)
    first = await bench.attempt()
    names = (CONTACT, "attempts_exhausted", "app.other")
    assert first == ready(5, done=names, tries={"app.terminal": 1}, wait={"app.terminal": NOW + 5})
    assert [entry for entry in bench.happened() if entry[0] != "checkpoint"] == [
        UNPLANNED,
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
@pytest.mark.parametrize("waits", [False, True])
async def test_a_call_that_was_answered_or_must_not_be_repeated_cancels_what_was_planned(
    outcome: Outcome, waits: bool
) -> None:
    """The cancellation is told if there was anything to cancel."""
    bench = Bench()
    redial(bench)
    if waits:
        bench.store.known = Contact().redial("redial:1", CallState.PLANNED, NOW)
    assert await bench.attempt(outcome=outcome) == done(CONTACT)
    change = ("change", "customer-1", None, ("redial:1",) * waits)
    assert bench.happened() == [change] + [("redial_canceled", outcome)] * waits


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
    assert bench.happened() == [UNPLANNED, ("redial_skipped", outcome, reason), ("called", "only", outcome)]
    assert isinstance(bench.store.known, Contact)
    assert len(bench.store.known.times()) == noted


async def test_who_had_called_is_called_back_if_the_policy_says_so() -> None:
    """It is a person's decision, and made once."""
    bench = Bench()
    missed = told("AnswerFailed", 487, 10004)
    bench.router.redial(
        policy=RedialPolicy(hours=None, jitter=0, call_back=True), contact=lambda outcome: "customer-1"
    )(named(bench.hook("unused"), "call_again"))
    assert await bench.attempt(outcome=missed) == done(CONTACT)
    assert bench.happened() == [planned(NOW + 1800, outcome=missed), ("redial_scheduled", missed, NOW + 1800, 2)]


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
    assert bench.happened() == [
        planned(NOW + 600, 2, "customer-3", "app.three"),
        ("redial_scheduled", BUSY, NOW + 600, 2),
    ]


async def test_a_call_without_a_contact_is_left_to_the_hooks() -> None:
    """And told of as unhandled if there is none. The line of a call that might be repeated says why it is not."""
    bench = Bench()
    redial(bench, contact=lambda outcome: None)
    assert await bench.attempt() == done()
    reason = "no contact function says whom the call was to"
    assert bench.happened() == [("redial_skipped", BUSY, reason), ("outcome_unhandled", BUSY)]

    bench = Bench()
    redial(bench, contact=lambda outcome: None)
    assert await bench.attempt(attempt=2) == done()
    assert await bench.attempt(outcome=HUNG_UP) == done()
    assert bench.happened() == []


async def test_a_hashed_contact_is_all_that_the_store_gets() -> None:
    """HMAC-SHA-256 in hex, keyed with the secret."""
    bench = Bench()
    redial(bench, contact=lambda outcome: "+1 555 0100", hash_contacts="sixteen-bytes-ok")
    assert await bench.attempt() == done(CONTACT)
    hashed = "741fa6b619e83d0f8239efac8bfeddfc71df02f2dd435cc426edce8ec889a2a6"
    assert bench.happened() == [planned(NOW + 600, 2, hashed), ("redial_scheduled", BUSY, NOW + 600, 2)]


@pytest.mark.parametrize("broken", ["contact", "time_zone"])
async def test_a_contact_function_that_raises_is_called_again_before_any_hook_is_called(broken: str) -> None:
    """The hooks hear one verdict; with the last attempt it fails for good, and the hooks are called all the same."""
    bench = Bench()
    bench.on_error()

    def unsure(outcome: Outcome) -> str:
        raise LookupError("no tenant")

    settings: dict[str, Any] = {broken: unsure}
    redial(bench, **settings)
    bench.router.on_retryable(bench.hook("only"))
    error = repr(LookupError("no tenant"))

    first = await bench.attempt()
    assert first == ready(12.5, tries={CONTACT: 1}, wait={CONTACT: NOW + 12.5})
    assert bench.happened() == [("hook_failed", BUSY, CONTACT, error, 1, 12.5)]

    # The item is due, and the clock was set back by 12.5 s meanwhile.
    second = await bench.attempt(first.progress, attempt=2)
    assert second == ready(25.0, tries={CONTACT: 2}, wait={CONTACT: NOW + 25.0})
    assert bench.happened() == [("hook_failed", BUSY, CONTACT, error, 2, 25.0)]

    bench.now = NOW + 25.0
    third = await bench.attempt(second.progress, attempt=3)
    failed = {CONTACT: "LookupError: no tenant"}
    dead = Settlement(
        State.DEAD,
        Progress(done=("told_without_contact", "app.only"), failed=failed, tries={CONTACT: 2}),
        reason=f"{CONTACT}: LookupError: no tenant",
    )
    assert third == dead
    assert bench.happened() == [
        ("hook_failed", BUSY, CONTACT, error, 3, None),
        ("complained", BUSY, error),
        ("called", "only", BUSY),
    ]

    assert await bench.attempt(third.progress, attempt=5) == dead
    assert bench.happened() == []


async def test_the_time_zone_is_asked_of_whom_has_a_contact_alone() -> None:
    """A function that knows the contacts of one tenant knows no others' zones."""
    bench = Bench()
    redial(bench, "one", contact=lambda outcome: None, time_zone=lambda outcome: {}["nobody"])
    redial(bench, "two", contact=lambda outcome: "customer-2")
    assert await bench.attempt() == done("app.two (contact)")
    assert bench.happened() == [
        planned(NOW + 600, 2, "customer-2", "app.two"),
        ("redial_scheduled", BUSY, NOW + 600, 2),
    ]


async def test_a_contact_that_was_known_when_the_event_came_is_not_asked_for_again() -> None:
    """The store has noted the event by then, and notes it once."""
    bench = Bench()
    asked: list[Outcome] = []
    redial(bench, contact=asked.append)
    known = Contact().noted(report(BUSY), NOW)
    bench.store.known = known
    assert await bench.attempt(contact="customer-1", target="app.call_again") == done(CONTACT)
    assert await bench.attempt(contact=None, target=NOBODY) == done()
    assert asked == []
    assert bench.store.known == known.decided(report(BUSY)).redial(f"redial:{KEY}", CallState.PLANNED, NOW + 600)


async def test_what_speaks_against_a_call_is_told() -> None:
    """One line says why nobody is called; the hooks hear of a retryable outcome."""
    bench = Bench()
    redial(bench)
    bench.router.on_retryable(bench.hook("only"))
    bench.store.known = Contact(canceled_at=NOW)
    assert await bench.attempt() == done(CONTACT, "app.only")
    reason = "the app has canceled the redials of the contact"
    assert bench.happened() == [UNPLANNED, ("redial_skipped", BUSY, reason), ("called", "only", BUSY)]


async def test_a_contact_that_is_no_text_is_a_failure() -> None:
    """A function that returns a customer instead of a key would have no limits."""
    bench = Bench(HookPolicy(attempts=1))
    redial(bench, contact=lambda outcome: 15550100)
    reason = "RegistrationError: contact of app.call_again returned a int; return text or None"
    assert await bench.attempt() == Settlement(
        State.DEAD, Progress(done=("told_without_contact",), failed={CONTACT: reason}), reason=f"{CONTACT}: {reason}"
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
    assert bench.happened() == [planned(NOW + 612.5), ("redial_scheduled", BUSY, NOW + 612.5, 2)]


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
    bench.store.known = DOWN
    assert await bench.attempt() == ready(STORE_PAUSE)
    assert bench.happened() == [("change", "customer-1"), ("store_unavailable", repr(DOWN))]


async def test_what_the_store_decides_by_is_asked_as_often_as_it_likes() -> None:
    """A store that has to repeat its transaction decides again, by the clock of that moment."""
    bench = Bench()
    redial(bench)
    change = bench.store.change

    async def twice(contact: str, step: Change[Any]) -> Any:
        step(called_at(NOW, NOW, NOW))
        return await change(contact, step)

    bench.store.change = twice  # type: ignore[method-assign]
    await bench.attempt()
    assert bench.happened() == [planned(NOW + 600), ("redial_scheduled", BUSY, NOW + 600, 2)]


async def test_a_claim_that_was_taken_over_plans_nothing() -> None:
    """Another worker decides by now."""
    bench = Bench()
    redial(bench)
    bench.store.answers = [False]
    with pytest.raises(LeaseLost):
        await bench.attempt()
    assert bench.store.known == Contact()


# Errors


async def test_error_handlers_are_called_on_the_last_failure() -> None:
    """All of them, in order, and who takes ``final`` with each failure; what one of them raises is only reported."""
    bench = Bench(HookPolicy(attempts=2, backoff=10, jitter=0, timeout=0.01))
    bench.router.on_retryable(bench.hook("only", ValueError("a"), ValueError("b")))

    async def breaks(outcome: Outcome, error: Exception) -> None:
        raise TypeError("further")

    async def stuck(outcome: Outcome, error: Exception) -> None:
        await asyncio.Event().wait()

    bench.router.on_error(named(breaks, "breaks"))
    bench.router.on_error(named(stuck, "stuck"))
    bench.on_error()

    @bench.router.on_error
    def of_each(outcome: Outcome, error: Exception, *, final: bool) -> None:
        bench.log.append(("of each", repr(error), final))

    first = await bench.attempt()
    assert bench.happened() == [
        ("called", "only", BUSY),
        ("hook_failed", BUSY, "app.only", repr(ValueError("a")), 1, 10.0),
        ("of each", repr(ValueError("a")), False),
    ]
    bench.now = first.due_at
    second = await bench.attempt(first.progress, attempt=2)
    progress = Progress(failed={"app.only": "ValueError: b"}, tries={"app.only": 1})
    assert second == Settlement(State.DEAD, progress, reason="app.only: ValueError: b")
    assert bench.happened() == [
        ("called", "only", BUSY),
        ("hook_failed", BUSY, "app.only", repr(ValueError("b")), 2, None),
        ("hook_failed", BUSY, "app.breaks", repr(TypeError("further")), 1, None),
        ("hook_failed", BUSY, "app.stuck", repr(TimeoutError("the function did not return within 0.01 s")), 1, None),
        ("complained", BUSY, repr(ValueError("b"))),
        ("of each", repr(ValueError("b")), True),
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
