"""A redial that is due: whether it may be placed now, later or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from redialing import BUSY, KEY, NAME, NEW_LEG, NOW, Bench, failed, sent
from ringback import HookPolicy, Outcome, RedialPolicy
from ringback.work.contact_call import LONGEST_WINDOW, CallRecord, CallState
from ringback.work.items import Progress, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400.0


def answers(*given: Any) -> tuple[Callable[..., Any], list[tuple[str, datetime]]]:
    """A ``may_call`` that gives these answers, and what it is asked."""
    left, asked = list(given), list[tuple[str, datetime]]()

    def may_call(contact: str, at: datetime) -> Any:
        asked.append((contact, at))
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return may_call, asked


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def test_a_redial_whose_worker_was_late_waits_for_the_next_open_hour() -> None:
    """In the contact's zone: 22:13 in London is 17:13 in New York, where one may call."""
    policy = RedialPolicy(hours=("08:00", "21:00"))
    bench = Bench(policy=policy, time_zone="Europe/London")
    morning = 1_700_035_200.0
    assert await bench.attempt(Progress(generation=1)) == Settlement(
        State.READY, Progress(generation=1), due_at=morning
    )
    assert bench.happened() == [("redial_put_off", BUSY, morning, 2)]

    bench.now = morning
    assert (await bench.attempt(Progress(generation=1), attempt=2)).state is State.DONE

    bench = Bench(policy=policy, time_zone=lambda outcome: "America/New_York")
    assert (await bench.attempt()).state is State.DONE


async def test_a_request_that_may_have_placed_the_call_is_not_repeated_at_a_closed_hour() -> None:
    """If the service had not taken the first one, the repeated one would ring now."""
    bench = Bench(NEW_LEG, policy=RedialPolicy(hours=("08:00", "21:00")))
    reason = "a limit of the policy forbids to repeat the request now"
    assert await bench.attempt(sent(), attempt=2) == Settlement(
        State.DONE, sent(), reason=reason, call=CallState.UNKNOWN
    )
    assert bench.happened() == [("redial_unknown", BUSY, 2, reason)]


async def test_a_time_zone_that_raises_is_asked_again_like_a_hook() -> None:
    """No call is placed at a time that nobody knows; without an answer the redial is a dead letter."""

    def unsure(outcome: Outcome) -> str:
        raise LookupError("no tenant")

    bench = Bench(time_zone=unsure, hooks=HookPolicy(attempts=2))
    error = LookupError("no tenant")
    first = await bench.attempt()
    assert first == Settlement(State.READY, Progress(tries={"placing": 1}), due_at=NOW + 37.5, call=CallState.PLANNED)
    reason = f"{NAME}: LookupError: no tenant"
    dead = Settlement(State.DEAD, Progress(tries={"placing": 2}), reason=reason, call=CallState.CANCELED)
    assert await bench.attempt(first.progress, attempt=2) == dead
    assert bench.happened() == [failed(error, 1, 37.5), failed(error, 2)]


async def test_a_call_is_placed_although_the_clock_goes_on() -> None:
    """Between the look at the hours and the word of the contact's state time passes."""
    bench = Bench(NEW_LEG, policy=RedialPolicy(hours=("22:00", "23:00")))
    ticks = iter(range(100))
    bench.caller.clock = lambda: NOW + next(ticks) * 0.01
    assert (await bench.attempt()).state is State.DONE


@pytest.mark.parametrize(("limit", "settings"), [("max_per_day", {"max_per_day": 2}), ("caps", {"caps": [(2, DAY)]})])
async def test_calls_that_were_placed_meanwhile_put_a_redial_off(limit: str, settings: Any) -> None:
    """A cap that is reached until the horizon gives the redial up."""
    bench = Bench(NEW_LEG, policy=RedialPolicy(**{"hours": None, "max_per_day": None, "max_attempts": 99} | settings))
    bench.store.known = bench.store.known._with(CallRecord("leg:x", NOW - 60, "x", ended_at=NOW - 59))
    assert await bench.attempt() == Settlement(State.READY, Progress(), due_at=NOW - 60 + DAY)
    assert bench.happened() == [("redial_put_off", BUSY, NOW - 60 + DAY, 2)]
    for day in range(1, 12):
        bench.store.known = bench.store.known._with(CallRecord(f"leg:{day}", NOW + day * DAY, f"{day}"))
        bench.store.known = bench.store.known._with(CallRecord(f"leg:{day}b", NOW + day * DAY, f"{day}b"))
    assert await bench.attempt() == Settlement(State.DONE, Progress(), reason=limit)
    assert bench.happened() == [("redial_exhausted", BUSY, limit)]


async def test_a_budget_that_is_used_up_meanwhile_gives_the_redial_up() -> None:
    """The other calls count, and not the redial itself."""
    bench = Bench(NEW_LEG, policy=RedialPolicy(hours=None, max_attempts=2))
    bench.store.known = bench.store.known._with(CallRecord("leg:x", NOW - 60, "x", ended_at=NOW - 59))
    assert await bench.attempt() == Settlement(State.DONE, Progress(), reason="max_attempts")


# The app's word when the redial is due


async def test_the_app_is_asked_again_when_a_redial_is_due() -> None:
    """About now, on the contact's clock."""
    may_call, asked = answers(True)
    policy = RedialPolicy(hours=None, may_call=may_call)
    bench = Bench(NEW_LEG, policy=policy, time_zone="America/New_York")
    assert (await bench.attempt()).state is State.DONE
    assert asked == [("customer-1", at(NOW))]
    assert asked[0][1].tzinfo == ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(False, "may_call of the policy does not allow the call"), ("on the do-not-call list", "on the do-not-call list")],
)
async def test_whom_the_app_no_longer_allows_to_call_is_not_called(answer: Any, reason: str) -> None:
    """The line has the reason. A request that may have placed the call is not repeated."""
    bench = Bench(NEW_LEG, policy=RedialPolicy(hours=None, may_call=answers(answer)[0]))
    assert await bench.attempt() == Settlement(State.DONE, Progress(), reason=reason)
    assert bench.happened() == [("redial_skipped", BUSY, reason)]
    call = bench.store.known.call(KEY)
    assert call is not None
    assert call.state is CallState.CANCELED

    bench = Bench(NEW_LEG, policy=RedialPolicy(hours=None, may_call=answers(answer)[0]))
    assert await bench.attempt(sent(), attempt=2) == Settlement(
        State.DONE, sent(), reason=reason, call=CallState.UNKNOWN
    )


async def test_a_later_time_puts_the_redial_off_into_the_hours() -> None:
    """And the app is asked again then."""
    may_call, asked = answers(at(NOW + 3600), True)
    bench = Bench(NEW_LEG, policy=RedialPolicy(may_call=may_call))
    morning = datetime(2023, 11, 15, 9, tzinfo=UTC).timestamp()
    assert await bench.attempt() == Settlement(State.READY, Progress(), due_at=morning)
    bench.now = morning
    assert (await bench.attempt()).state is State.DONE
    assert asked == [("customer-1", at(NOW)), ("customer-1", at(morning))]


async def test_a_time_that_never_comes_gives_the_redial_up() -> None:
    """However often the app names a later one, for a redial is put off no longer than calls are remembered."""
    # The catalog advises ten minutes after `busy`, and the jitter adds one.
    far = at(NOW) + timedelta(seconds=LONGEST_WINDOW + 661)
    bench = Bench(NEW_LEG, policy=RedialPolicy(hours=None, may_call=answers(far)[0]))
    assert await bench.attempt() == Settlement(State.DONE, Progress(), reason="may_call")
    assert bench.happened() == [("redial_exhausted", BUSY, "may_call")]
    bench = Bench(NEW_LEG, policy=RedialPolicy(hours=None, may_call=answers(datetime.max.replace(tzinfo=UTC))[0]))
    assert await bench.attempt() == Settlement(State.DONE, Progress(), reason="may_call")
    policy = RedialPolicy(hours=None, delays={"busy": 600}, jitter=0.5)
    bench = Bench(NEW_LEG, policy=replace(policy, may_call=answers(at(NOW + 60))[0]))
    assert await bench.attempt(put_at=NOW + 59 - LONGEST_WINDOW - 900) == Settlement(
        State.DONE, Progress(), reason="may_call"
    )


async def test_the_delay_of_the_policy_is_no_putting_off_by_the_app() -> None:
    """A redial may have waited for longer than calls are remembered when the app first hears of its time."""
    policy = RedialPolicy(hours=None, delays={"busy": timedelta(days=60)}, jitter=0.5)
    bench = Bench(NEW_LEG, policy=replace(policy, may_call=answers(at(NOW + 60))[0]))
    settlement = await bench.attempt(put_at=NOW - 90 * 86_400)
    assert settlement == Settlement(State.READY, Progress(), due_at=NOW + 60)


async def test_hours_alone_give_up_no_redial_however_old() -> None:
    """One that a person has replayed may be older than the memory of calls."""
    bench = Bench(NEW_LEG, policy=RedialPolicy())
    settlement = await bench.attempt(put_at=NOW - 2 * LONGEST_WINDOW)
    assert settlement.state is State.READY


async def test_an_app_that_raises_is_asked_again_like_a_hook() -> None:
    """Doubt rings nobody."""
    error = LookupError("no table")
    bench = Bench(policy=RedialPolicy(hours=None, backoff=30, jitter=0, may_call=answers(error, error)[0]))
    first = await bench.attempt()
    assert first == Settlement(State.READY, Progress(tries={"placing": 1}), due_at=NOW + 30, call=CallState.PLANNED)
    assert bench.happened() == [failed(error, 1, 30.0)]
    dead = await bench.attempt(Progress(tries={"placing": 2}))
    assert (dead.state, dead.reason, dead.call) == (State.DEAD, f"{NAME}: LookupError: no table", CallState.CANCELED)


async def test_the_app_is_asked_for_the_contact_and_not_for_its_hash() -> None:
    may_call, asked = answers(True)
    policy = RedialPolicy(hours=None, may_call=may_call)
    bench = Bench(NEW_LEG, policy=policy, hash_contacts="sixteen-bytes-ok")
    stored = bench.router.redials[0].stored("customer-1")
    assert (await bench.attempt(contact=stored)).state is State.DONE
    assert [contact for contact, _ in asked] == ["customer-1"]


class Away(tzinfo):
    """A time zone of an app that tells the time while the app starts."""

    def utcoffset(self, dt: datetime | None, /) -> timedelta:
        if dt is None or dt.year > 1970:
            raise LookupError("no zone")
        return timedelta(0)

    def dst(self, dt: datetime | None, /) -> timedelta:
        return timedelta(0) if dt is None else dt - dt

    def tzname(self, dt: datetime | None, /) -> str:
        return f"away from {dt}"


async def test_a_zone_that_tells_no_time_costs_an_attempt() -> None:
    """As a function that raises: error handlers hear of it, and in the end the redial is a dead letter."""
    error = LookupError("no zone")
    bench = Bench(policy=RedialPolicy(backoff=30, jitter=0), time_zone=Away())
    first = await bench.attempt()
    assert first == Settlement(State.READY, Progress(tries={"placing": 1}), due_at=NOW + 30, call=CallState.PLANNED)
    last = await bench.attempt(Progress(tries={"placing": 2}))
    assert (last.state, last.reason, last.call) == (State.DEAD, f"{NAME}: LookupError: no zone", CallState.CANCELED)
    assert bench.happened() == [failed(error, 1, 30.0), failed(error, 3)]
