"""What the app's ``may_call`` does to a plan: the app is asked about the very time that would be planned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from attempting import BUSY, HUNG_UP, KEY, NOW, Bench, done, named
from ringback import HookPolicy, Outcome, RedialPolicy
from ringback.work.contact import Contact
from ringback.work.contact_call import LONGEST_WINDOW, CallRecord, CallState
from ringback.work.items import Progress, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Callable

CONTACT = "app.call_again (contact)"
ANSWERED = Contact((CallRecord("leg:x", NOW - 60, "x", CallState.ENDED, NOW - 50, answered_at=NOW - 55),))


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def redial(bench: Bench, *answers: Any, time_zone: Any = "UTC", hash_contacts: str | None = None, **policy: Any) -> Any:
    """A redial whose app gives these answers, one after the other. Returns the list of what the app is asked."""
    left, asked = list(answers), list[tuple[str, datetime]]()

    async def may_call(contact: str, moment: datetime) -> Any:
        asked.append((contact, moment))
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(moment) if callable(answer) else answer

    async def call_again(outcome: Outcome) -> None: ...

    policy = {"hours": None, "jitter": 0.5, "may_call": may_call} | policy
    bench.router.redial(
        policy=RedialPolicy(**policy),
        contact=lambda outcome: "customer-1",
        time_zone=time_zone,
        hash_contacts=hash_contacts,
    )(named(call_again, "call_again"))
    return asked


def told(bench: Bench) -> list[Any]:
    """What the observer was told."""
    return [entry for entry in bench.happened() if entry[0] not in ("change", "outcome_unhandled")]


async def test_the_app_is_asked_about_the_time_that_is_planned() -> None:
    """On the contact's clock, with the jitter, although the clock goes on and chance says something else each time."""
    bench = Bench()
    asked = redial(bench, True, time_zone="Asia/Tokyo")
    ticks, chances = iter(range(99)), iter([0.5, 0.1, 0.9, 0.2])
    bench.caller.planner.clock = lambda: NOW + next(ticks)
    bench.caller.planner.random = lambda: next(chances)
    assert await bench.attempt() == done(CONTACT)
    assert asked == [("customer-1", at(NOW + 750))]
    assert asked[0][1].tzinfo == ZoneInfo("Asia/Tokyo")
    assert told(bench) == [("redial_scheduled", BUSY, NOW + 750, 2)]


async def test_a_later_time_is_planned_and_asked_about_again() -> None:
    """Where hours or caps put the call off further, the app is asked about the time that then is planned."""
    bench = Bench()
    asked = redial(bench, at(NOW + 3600), True, hours=("09:00", "20:00"))
    morning = datetime(2023, 11, 15, 9, tzinfo=UTC)
    first = morning + timedelta(seconds=150)
    assert await bench.attempt() == done(CONTACT)
    assert [moment for _, moment in asked] == [first]
    assert told(bench) == [("redial_scheduled", BUSY, first.timestamp(), 2)]

    bench = Bench()
    asked = redial(bench, at(NOW + 3600), at(NOW + 3 * 3600), True)
    assert await bench.attempt() == done(CONTACT)
    assert [moment for _, moment in asked] == [at(NOW + 750), at(NOW + 3600), at(NOW + 3 * 3600)]
    assert told(bench) == [("redial_scheduled", BUSY, NOW + 3 * 3600, 2)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(False, "may_call of the policy does not allow the call"), ("a public holiday", "a public holiday")],
)
async def test_whom_the_app_does_not_allow_to_call_gets_no_redial(answer: Any, reason: str) -> None:
    """The line has the reason; the hooks hear of a retryable outcome."""
    bench = Bench()
    redial(bench, answer)
    assert await bench.attempt() == done(CONTACT)
    assert told(bench) == [("redial_skipped", BUSY, reason)]
    assert not bench.store.known.planned  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda moment: moment + timedelta(hours=1), id="ever-later"),
        pytest.param(lambda moment: at(NOW + LONGEST_WINDOW + 1000), id="too-late"),
        pytest.param(lambda moment: datetime.max.replace(tzinfo=UTC), id="never"),
    ],
)
async def test_a_time_that_never_comes_gives_the_redial_up(answer: Callable[[datetime], datetime]) -> None:
    bench = Bench()
    redial(bench, answer)
    settlement = await bench.attempt()
    assert settlement.progress.done == (CONTACT, "attempts_exhausted")
    assert told(bench) == [("redial_exhausted", BUSY, "may_call")]


async def test_an_app_that_raises_is_asked_again_like_a_hook() -> None:
    """No redial is planned for a contact whom nobody knows to be allowed; in the end that is a dead letter."""
    bench = Bench(HookPolicy(attempts=1, timeout=None))
    redial(bench, LookupError("no table"))
    reason = "LookupError: no table"
    progress = Progress(done=("told_without_contact",), failed={CONTACT: reason})
    assert await bench.attempt() == Settlement(State.DEAD, progress, reason=f"{CONTACT}: {reason}")


@pytest.mark.parametrize(
    ("outcome", "known", "policy"),
    [
        pytest.param(HUNG_UP, Contact(), {}, id="nothing to redial"),
        pytest.param(BUSY, ANSWERED, {}, id="an obstacle"),
        pytest.param(BUSY, replace(Contact(), never=True), {}, id="never"),
        pytest.param(BUSY, Contact(), {"max_attempts": 1}, id="no attempt left"),
        pytest.param(BUSY, Contact().redial(f"redial:{KEY}", CallState.PLANNED, NOW), {}, id="planned before"),
    ],
)
async def test_the_app_is_asked_only_about_a_call_that_would_be_planned(
    outcome: Outcome, known: Contact, policy: Any
) -> None:
    bench = Bench()
    asked = redial(bench, True, **policy)
    bench.store.known = known
    await bench.attempt(outcome=outcome)
    assert asked == []


async def test_the_app_is_asked_for_the_contact_and_not_for_its_hash() -> None:
    bench = Bench()
    asked = redial(bench, True, hash_contacts="sixteen-bytes-ok")
    assert await bench.attempt() == done(CONTACT)
    assert [contact for contact, _ in asked] == ["customer-1"]


async def test_an_attempt_that_never_left_is_planned_apart() -> None:
    """The store's contact says how many were lost, and which hours have been tried."""
    bench = Bench()
    redial(bench, True, max_attempts=1, jitter=0)
    lost = CallRecord("leg:x", NOW - 900, "x", ended_at=NOW - 900, unrung=True)
    bench.store.known = Contact((lost,))
    await bench.attempt()
    assert told(bench) == [("redial_exhausted", BUSY, "max_attempts")]


async def test_of_two_calls_to_a_contact_one_gets_the_redial_and_the_line_of_the_other_says_so() -> None:
    """A reader of the log finds out why the second call has no redial of its own."""
    planned = CallRecord("redial:call:another", NOW + 60, state=CallState.PLANNED)
    bench = Bench()
    bench.store.known = Contact((planned,))
    asked = redial(bench, True)
    assert await bench.attempt() == done(CONTACT)
    assert told(bench) == [("redial_skipped", BUSY, "another redial to the contact waits")]
    assert asked == []
    assert planned in bench.store.known.calls
