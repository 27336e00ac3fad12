"""When to call again: no plan breaks a rule of its policy, in any zone, at any hour; and one redial stays one call."""

from __future__ import annotations

import dataclasses
import math
import os
import random
from datetime import UTC, datetime, time, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from itertools import product
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringback import Catalog, Cause, ConfigurationError, RetryAction, RetryClass, classify
from ringback.work.contact_call import LONGEST_WINDOW, NOT_RUNG
from ringback.work.redial import Exhausted, NotRetryable, Planned, Skipped, awake, decide, repeatability, time_zone
from ringback.work.redial_policy import RedialPolicy
from ringback_catalog import CALL_EVENTS
from zones import DAY, DAYS, Week, at, is_open, moments, pairs, time_zones, weeks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOON = at("2026-06-15T12:00")


def plan(policy: RedialPolicy, calls: list[float], now: float, zone: str | tzinfo = "UTC", **changes: Any) -> Any:
    asked: dict[str, Any] = {"cause": Cause.BUSY, "retry_class": RetryClass.LATER, "chance": 0.0} | changes
    cause, retry_class, chance = (asked.pop(name) for name in ("cause", "retry_class", "chance"))
    return decide(policy, cause, retry_class, calls, now=now, zone=time_zone(zone), random=lambda: chance, **asked)


spans = st.sampled_from([0.0, 0.5, 60.0, 600.0, 1800.0, 7200.0, 30_000.0, DAY, 3 * DAY, 366 * DAY])
counted = spans.filter(lambda span: 0 < span <= LONGEST_WINDOW)
policies = st.builds(
    RedialPolicy,
    delays=st.dictionaries(
        st.sampled_from(list(Cause)), spans | st.lists(spans, min_size=1, max_size=3).map(tuple), max_size=3
    ),
    backoff=spans,
    max_backoff=spans,
    jitter=st.floats(0, 1),
    max_attempts=st.integers(1, 6),
    window=counted,
    max_per_day=st.none() | st.integers(1, 3),
    hours=st.none() | weeks,
    caps=st.lists(st.tuples(st.integers(1, 4), counted), max_size=2),
    calendar_days=st.booleans(),
    max_unrung=st.integers(1, 4),
    another_hour=st.booleans(),
)
offsets = st.lists(st.floats(-5 * DAY, 5 * DAY) | st.integers(-40, 40).map(lambda n: n * 1800.0), max_size=12)
chances = st.floats(0, 1, exclude_max=True)
ROUNDED = 2e-6
"""Seconds. A datetime counts microseconds, and a float may lie between two."""


def is_allowed(policy: RedialPolicy, week: Week | None, calls: Sequence[float], moment: float, zone: tzinfo) -> bool:
    """Whether a call at this moment keeps the hours, the day and the caps. Written another way than the product."""
    if week is not None and not is_open(moment, week, zone):
        return False
    caps = list(policy.caps)
    if policy.max_per_day is not None and not policy.calendar_days:
        caps.append((policy.max_per_day, DAY))
    elif policy.max_per_day is not None:
        day = datetime.fromtimestamp(moment, zone).date()
        near = [call for call in calls if abs(call - moment) < 5 * DAY]
        if sum(datetime.fromtimestamp(call, zone).date() == day for call in near) >= policy.max_per_day:
            return False
    all_calls = [*calls, moment]
    return all(
        sum(first <= call < first + span - ROUNDED for call in all_calls) <= most  # type: ignore[operator]
        for most, span in caps
        for first in all_calls
        if first <= moment < first + span - ROUNDED  # type: ignore[operator]
    )


@given(
    policy=policies,
    week=st.none() | weeks,
    cause=st.sampled_from(list(Cause)),
    retry_class=st.sampled_from([RetryClass.NOW, RetryClass.LATER]),
    now=moments,
    offsets=offsets,
    lost=offsets,
    zone=time_zones,
    chance=chances,
    wished=st.sampled_from([0.0, DAY / 3, 2 * DAY, 32 * DAY]),
)
def test_no_plan_breaks_a_rule_of_its_policy(
    policy: Any,
    week: Week | None,
    cause: Cause,
    retry_class: RetryClass,
    now: float,
    offsets: list[float],
    lost: list[float],
    zone: Any,
    chance: float,
    wished: float,
) -> None:
    """A plan is after the delay and the app's word, within the hours, and above no cap in any window of its time.

    A worker that looks again at the planned time finds it allowed.
    """
    policy = replaced(policy, hours=week)
    calls, unrung = [now, *(now + offset for offset in offsets)], [now + offset for offset in lost]
    asked: list[float] = []

    def random() -> float:
        asked.append(chance)
        return chance

    settings: dict[str, Any] = {"now": now, "zone": zone, "unrung": unrung, "not_before": now + wished}
    found = decide(policy, cause, retry_class, calls, random=random, **settings)
    assert len(asked) <= 1
    assert found == decide(policy, cause, retry_class, calls, random=random, **settings)
    rung, failed = (sum(each > now - policy.window for each in times) for times in (calls, unrung))
    redials = failed - 1 if failed and cause in NOT_RUNG else rung - 1
    if rung >= policy.max_attempts:
        assert found == Exhausted("max_attempts")
    elif failed >= policy.max_unrung:
        assert found == Exhausted("max_unrung")
    elif wished > LONGEST_WINDOW + policy.delay(cause, retry_class, redials):
        assert found == Exhausted("may_call")
    elif isinstance(found, Exhausted):
        assert found.limit in ("hours", "caps", "max_per_day")
        earliest = now + max(wished, policy.delay(cause, retry_class, 9) * 2)
        for step in range(0, 8 * 24, 5):
            moment = earliest + step * 3600
            assert not is_allowed(policy, week, calls, moment, zone) or moment > now + max(8 * DAY, policy.window)
    else:
        assert isinstance(found, Planned)
        assert found.number == rung + failed + 1
        assert found.at >= now + wished
        assert found.at >= now + min(policy.delay(cause, retry_class, redials) for redials in range(12))
        assert is_allowed(policy, week, calls, found.at, zone)
        assert awake(policy, found.at, zone, calls) == found.at


def replaced(policy: RedialPolicy, **changes: Any) -> RedialPolicy:
    return dataclasses.replace(policy, **changes)


@given(policy=policies, week=weeks, due=moments, offsets=offsets, zone=time_zones)
def test_a_late_worker_keeps_hours_and_caps(
    policy: Any, week: Week, due: float, offsets: list[float], zone: Any
) -> None:
    """A redial that is due at a closed hour, or beside other calls, waits for the next time that is allowed."""
    policy = replaced(policy, hours=week)
    calls = [due - abs(offset) for offset in offsets]
    found = awake(policy, due, zone, calls)
    if isinstance(found, Exhausted):
        assert found.limit in ("hours", "caps", "max_per_day")
    else:
        assert found >= due
        assert is_allowed(policy, week, calls, found, zone)
        assert awake(policy, found, zone, calls) == found
        waited = [due + 600 * step for step in range(int((found - due) / 600))]
        # A clock that is put forward takes an opening along, in Apia a whole day.
        longest = 24 if "Apia" in str(zone) else 2
        assert sum(is_allowed(policy, week, calls, moment, zone) for moment in waited) <= longest * 6


@given(used=st.sets(st.integers(0, 23), max_size=23), now=moments, zone=time_zones, chance=chances)
def test_another_hour_is_one_at_which_nobody_failed_to_answer(
    used: set[int], now: float, zone: Any, chance: float
) -> None:
    """Of the contact's clock, within the window, and only after ``no_answer``."""
    policy = RedialPolicy(hours=None, another_hour=True, max_per_day=None, jitter=0.5)
    midnight = datetime.fromtimestamp(now, zone).replace(hour=0, minute=30, fold=0) - timedelta(days=2)
    missed = [midnight.replace(hour=hour).timestamp() for hour in used]
    found = plan(policy, [now], now, zone, cause=Cause.NO_ANSWER, unanswered=missed, chance=chance)
    shown = {datetime.fromtimestamp(each, zone).hour for each in missed}
    assert datetime.fromtimestamp(found.at, zone).hour not in shown
    assert plan(policy, [now], now, zone, unanswered=missed) == Planned(now + 600, 2)


def test_where_no_other_hour_is_left_any_open_one_will_do() -> None:
    """The wish never gives a redial up."""
    missed = [at("2026-06-14T09:30"), at("2026-06-14T10:30"), at("2026-06-14T11:30")]
    policy = RedialPolicy(hours=("09:00", "12:00"), another_hour=True, jitter=0)
    now = at("2026-06-15T10:00")
    asked = {"cause": Cause.NO_ANSWER, "unanswered": missed}
    assert plan(policy, [now], now, **asked) == Planned(now + 1800, 2)
    asked["unanswered"] = missed[:2]
    assert plan(policy, [now], now, **asked) == Planned(at("2026-06-15T11:00"), 2)
    # What lies before the window is forgotten.
    asked["unanswered"] = [at("2026-06-01T10:30")]
    assert plan(policy, [now], now, **asked) == Planned(now + 1800, 2)


@given(pair=pairs, now=moments, zone=time_zones)
@example(pair=(time(8), time(21)), now=at("2026-10-24T20:00+00:00"), zone=ZoneInfo("Europe/Berlin"))
def test_a_call_is_put_off_no_longer_than_the_hours_are_closed(pair: Any, now: float, zone: Any) -> None:
    """All of the time between the delay's end and the call is closed, but for as long as a clock was put forward."""
    policy = RedialPolicy(delays={"busy": 0}, jitter=0, hours=pair)
    found = plan(policy, [now], now, zone)
    week = {day: [pair] for day in DAYS}
    loud = [n for n in range(0, int(found.at - now), 60) if is_open(now + n, week, zone)]
    assert len(loud) <= (24 * 60 if str(zone) == "Pacific/Apia" else 120)


@pytest.mark.parametrize("retry_class", [RetryClass.NONE, RetryClass.AFTER_FIX, RetryClass.NEVER])
def test_what_is_terminal_is_never_redialled(retry_class: RetryClass) -> None:
    """A delay configured for a cause makes no terminal outcome retryable."""
    policy = RedialPolicy(delays=dict.fromkeys(Cause, 1.0), max_attempts=1000, max_per_day=None)
    for cause in Cause:
        assert plan(policy, [], 0.0, cause=cause, retry_class=retry_class) == NotRetryable(), cause


@pytest.mark.parametrize("action", [each for each in RetryAction if each is not RetryAction.PLACE_CALL])
@pytest.mark.parametrize("call_back", [False, True])
def test_only_what_is_answered_with_a_call_is_redialled(action: RetryAction, call_back: bool) -> None:
    """Whatever the delays say; who had called the app is dialled if the policy says so."""
    policy = RedialPolicy(delays=dict.fromkeys(Cause, 1.0), call_back=call_back)
    for cause, retry_class in product(Cause, (RetryClass.NOW, RetryClass.LATER)):
        found = plan(policy, [NOON], NOON, cause=cause, retry_class=retry_class, retry_action=action)
        if call_back and action is RetryAction.CALL_BACK:
            assert found == Planned(NOON + 1, 2), (cause, retry_class)
        else:
            assert found == Skipped(policy.skips(action) or ""), (cause, retry_class)
            assert found.reason, (cause, retry_class)


def ends_of_calls(count: int) -> Iterator[tuple[str, int, int, int | None, tuple[int, str | None] | None]]:
    """Ends of calls as the catalog and the carriers know them, mixed by chance: event, code, subcode, Q.850, SIP."""
    chance = random.Random(16)
    keys = [entry.key for entry in Catalog.default().entries]
    codes = sorted({key.code for key in keys if key.code is not None} | {402, 466, 599, 603, 607, 608, 699})
    subcodes = sorted({key.subcode for key in keys if key.subcode is not None} | {0, 123, 560603, 560607, 540608})
    causes = [key.q850 for key in keys if key.q850 is not None]
    statuses = sorted({key.sip for key in keys if key.sip is not None} | {200, 183, 699})
    pairs = [(key.code, key.subcode) for key in keys if key.code is not None and key.subcode is not None]
    events = sorted(CALL_EVENTS)
    phrases = [None, "", "Decline", "Network Blocked", "Network  Blocked", "network-blocked", "Busy Here", "?"]
    for _ in range(count):
        pair = chance.choice(pairs) if chance.random() < 0.6 else (chance.choice(codes), chance.choice(subcodes))
        q850 = chance.choice(causes) if chance.random() < 0.6 else None
        sip = (chance.choice(statuses), chance.choice(phrases)) if chance.random() < 0.6 else None
        yield chance.choice(events), *pair, q850, sip


def test_no_end_of_a_call_rings_anybody_who_must_not_be_rung() -> None:
    """No person who refused, no number that does not exist, nobody whom a network blocks, and for no operation.

    Judged by what the carrier itself said, beside what the outcome says of itself. `make fuzz` draws 100,000 ends.
    """
    drawn = 100_000 if "RINGBACK_FUZZ_EXAMPLES" in os.environ else 10_000
    policy = RedialPolicy(delays=dict.fromkeys(Cause, 1.0), max_attempts=1000, max_per_day=None)
    never = {Cause.DECLINED, Cause.INVALID_NUMBER, Cause.BLOCKED}
    rung = 0
    for event, code, subcode, q850, sip in ends_of_calls(drawn):
        outcome = classify(event, code, subcode, q850=q850, sip=sip)
        planned = plan(
            policy,
            [],
            0.0,
            cause=outcome.cause,
            retry_class=outcome.retry_class,
            retry_action=outcome.retry_action,
            retry_after=outcome.retry_after,
        )
        if not isinstance(planned, Planned):
            continue
        rung += 1
        told = (event, code, subcode, q850, sip, outcome)
        assert outcome.cause not in never, told
        assert outcome.retry_action is RetryAction.PLACE_CALL, told
        # An incoming call that was not answered, and a call that was joined, are none that the app placed.
        assert event not in ("AnswerFailed", "ConnectFailed"), told
        status, text = sip or (None, None)
        assert status not in (607, 608), told
        assert not (status == 603 and "blocked" in (text or "").lower()), told
        # Unallocated, and rejected by the person called.
        assert q850 not in (1, 21), told
    # So that this is no test of a policy that rings nobody.
    assert rung > drawn / 20


def test_jitter_adds_a_share_of_the_delay() -> None:
    assert plan(RedialPolicy(jitter=0.5), [NOON], NOON, chance=0.5) == Planned(NOON + 750, 2)


def test_the_budget_of_attempts_is_shared_by_all_causes_and_not_waited_for() -> None:
    """Calls still to come count; as many as allowed in the window that ends now is the end."""
    policy = RedialPolicy(max_attempts=3, window=3600, max_per_day=None)
    assert plan(policy, [NOON - 3601, NOON - 3600, NOON], NOON) == Planned(NOON + 600, 2)
    assert plan(policy, [NOON - 3599, NOON, NOON + 50], NOON) == Exhausted("max_attempts")
    assert plan(policy, [NOON - 3599, NOON - 1, NOON], NOON, cause=Cause.MEDIA) == Exhausted("max_attempts")


@pytest.mark.parametrize("calls", [[], [NOON - 5000.0]], ids=["nothing known", "began before the window"])
def test_the_call_that_has_just_ended_always_counts(calls: list[float]) -> None:
    """One attempt means no redial, also after a call longer than the window."""
    policy = RedialPolicy(window=60, max_per_day=None)
    assert plan(policy, calls, NOON) == Planned(NOON + 600, 2)
    assert plan(RedialPolicy(window=60, max_attempts=1), calls, NOON) == Exhausted("max_attempts")


def test_attempts_that_never_left_are_counted_apart() -> None:
    """They use up neither attempts nor days nor caps, back off by their own number, and are bounded as well."""
    policy = RedialPolicy(max_attempts=2, max_per_day=1, caps=[(1, DAY)], max_unrung=3, jitter=0)
    lost = [NOON - 700, NOON - 600, NOON]
    asked: dict[str, Any] = {"cause": Cause.THROTTLED}
    assert plan(policy, [], NOON, unrung=lost[2:], **asked) == Planned(NOON + 300, 2)
    assert plan(policy, [], NOON, unrung=lost[1:], **asked) == Planned(NOON + 600, 3)
    assert plan(policy, [], NOON, unrung=lost, **asked) == Exhausted("max_unrung")
    # One call has rung, so the day is full until tomorrow at this time, and the next attempt is the last to ring.
    rung = NOON - 3600
    assert plan(policy, [rung], NOON, unrung=lost[1:], **asked) == Planned(rung + DAY, 4)
    assert plan(policy, [rung, rung], NOON, unrung=lost[1:], **asked) == Exhausted("max_attempts")
    # A call that rang and was busy backs off as if none had been lost.
    assert plan(RedialPolicy(delays={"busy": [60, 120]}), [NOON], NOON, unrung=lost[:2], chance=0) == Planned(
        NOON + 60, 4
    )


def test_a_window_shorter_than_the_delay_is_a_defined_plan() -> None:
    """Each call then stands alone in its window; the day's limit still holds."""
    policy = RedialPolicy(window=1, max_attempts=2, max_per_day=2)
    assert plan(policy, [NOON], NOON) == Planned(NOON + 600, 2)
    assert plan(policy, [NOON - 3600, NOON], NOON) == Planned(NOON - 3600 + DAY, 2)


def test_a_day_is_24_hours() -> None:
    """Three calls before midnight leave no room for three after it."""
    late = at("2026-06-15T23:25")
    calls = [late, late + 600, late + 1200]
    policy = RedialPolicy(max_attempts=6, max_per_day=3, hours=None, jitter=0)
    assert plan(policy, calls, calls[-1]) == Planned(late + DAY, 4)
    calendar = RedialPolicy(max_attempts=6, max_per_day=3, hours=None, jitter=0, calendar_days=True)
    assert plan(calendar, calls, calls[-1]) == Planned(at("2026-06-16T00:00"), 4)


def test_every_cap_is_kept() -> None:
    """The one that keeps the contact waiting longest decides; one that holds until the horizon is the end."""
    policy = RedialPolicy(max_attempts=9, max_per_day=None, caps=[(2, DAY), (3, timedelta(days=5))], jitter=0)
    assert plan(policy, [NOON - 60, NOON], NOON) == Planned(NOON - 60 + DAY, 3)
    assert plan(policy, [NOON - 3 * DAY, NOON - 60, NOON], NOON) == Planned(NOON + 2 * DAY, 4)
    month = RedialPolicy(max_attempts=9, caps=[(2, 30 * DAY)])
    assert plan(month, [NOON - 60, NOON], NOON) == Exhausted("caps")
    assert plan(month, [NOON - 29 * DAY, NOON], NOON) == Planned(NOON + DAY, 2)


def test_the_app_s_word_puts_a_call_off() -> None:
    """To the time itself where that is open; a time beyond the memory of calls gives the redial up."""
    policy = RedialPolicy(jitter=1)
    assert plan(policy, [NOON], NOON, not_before=NOON + 7200, chance=0.5) == Planned(NOON + 7200, 2)
    assert plan(policy, [NOON], NOON, not_before=NOON + DAY / 2) == Planned(at("2026-06-16T09:00"), 2)
    assert plan(policy, [NOON], NOON, not_before=NOON + LONGEST_WINDOW + 601) == Exhausted("may_call")
    slow = RedialPolicy(delays={"busy": timedelta(days=60)}, jitter=0)
    assert plan(slow, [NOON], NOON, not_before=NOON + 61 * DAY) == Planned(NOON + 61 * DAY, 2)
    assert plan(slow, [NOON], NOON, not_before=NOON + 92 * DAY) == Exhausted("may_call")


def test_a_full_calendar_day_puts_a_call_off_to_the_next_one_of_the_contact() -> None:
    """Calls that are no longer in the window count for the day; spread, they leave midnight."""
    policy = RedialPolicy(max_per_day=2, jitter=0.5, hours=None, calendar_days=True)
    now = at("2026-06-15T10:00", "Asia/Kathmandu")
    midnight = at("2026-06-16T00:00", "Asia/Kathmandu")
    assert plan(policy, [now - 100, now], now, "Asia/Kathmandu") == Planned(midnight, 3)
    assert plan(policy, [now - 100, now], now, "Asia/Kathmandu", chance=0.5) == Planned(midnight + 150, 3)
    full_too = [now - 100, now, midnight + 60, midnight + 120]
    policy = replaced(policy, max_attempts=9)
    assert plan(policy, full_too, now, "Asia/Kathmandu") == Planned(midnight + DAY, 5)


@pytest.mark.parametrize("calendar_days", [False, True])
@pytest.mark.parametrize("hours", [None, ("08:00", "21:00")])
def test_no_day_with_room_is_the_end(calendar_days: bool, hours: Any) -> None:
    """With every day up to the horizon full, also where the last step to it was a closed night."""
    calls = [NOON + n * DAY for n in range(12)]
    policy = RedialPolicy(max_per_day=1, max_attempts=99, hours=hours, calendar_days=calendar_days)
    assert plan(policy, calls, NOON) == Exhausted("max_per_day")


class _AlwaysNight(tzinfo):
    """A clock that stands still: no zone of this world, but a tzinfo."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(0)

    def fromutc(self, moment: datetime) -> datetime:
        return moment.replace(hour=23, minute=0)


def test_a_clock_that_shows_closed_hours_only_is_the_end() -> None:
    """The search ends at the horizon."""
    assert plan(RedialPolicy(), [0.0], 0.0, _AlwaysNight()) == Exhausted("hours")


CLOSED = [
    # (case, zone, hours, now, planned)
    ("evening", "Europe/Berlin", ("08:00", "21:00"), "2026-06-15T22:00", "2026-06-16T08:00"),
    ("small hours", "Europe/Berlin", ("08:00", "21:00"), "2026-06-16T03:00", "2026-06-16T08:00"),
    ("at noon", "Europe/Berlin", ("14:00", "12:00"), "2026-06-16T12:30", "2026-06-16T14:00"),
    ("just closed", "Europe/Berlin", ("08:00", "21:00"), "2026-06-15T21:00", "2026-06-16T08:00"),
    ("just open", "Europe/Berlin", ("08:00", "21:00"), "2026-06-16T08:00", "2026-06-16T08:00"),
    ("friday", "Europe/Berlin", {"mon-fri": ("08:00", "21:00")}, "2026-06-19T22:00", "2026-06-22T08:00"),
    ("saturday", "Europe/Berlin", {"sun": ("10:00", "11:00")}, "2026-06-20T12:00", "2026-06-21T10:00"),
    ("a week", "Europe/Berlin", {"sun": ("10:00", "11:00")}, "2026-06-21T11:00", "2026-06-28T10:00"),
    ("rest at noon", "UTC", {"mon": [("09:00", "12:00"), ("14:00", "18:00")]}, "2026-06-15T13:00", "2026-06-15T14:00"),
    ("night shift", "UTC", {"fri": ("22:00", "06:00")}, "2026-06-20T05:59", "2026-06-20T05:59"),
    ("night shift over", "UTC", {"fri": ("22:00", "06:00")}, "2026-06-20T06:00", "2026-06-26T22:00"),
    ("clock forward", "Europe/Berlin", ("08:00", "21:00"), "2026-03-28T22:00", "2026-03-29T08:00"),
    ("clock back", "Europe/Berlin", ("08:00", "21:00"), "2026-10-24T22:00", "2026-10-25T08:00"),
    ("start skipped", "Europe/Berlin", ("02:30", "21:00"), "2026-03-28T22:00", "2026-03-29T01:30+00:00"),
    ("start twice", "Europe/Berlin", ("02:30", "21:00"), "2026-10-24T22:00", "2026-10-25T00:30+00:00"),
    ("closed again", "Europe/Berlin", ("02:30", "21:00"), "2026-10-25T01:15+00:00", "2026-10-25T01:30+00:00"),
    ("day left out", "Pacific/Apia", ("08:00", "21:00"), "2011-12-29T22:00", "2011-12-31T08:00"),
    ("nearly never", "Asia/Kathmandu", ("08:00", "08:01"), "2026-06-15T08:01", "2026-06-16T08:00"),
    ("hour left out", "Europe/Berlin", ("02:30", "03:00"), "2026-03-28T03:00", "2026-03-30T02:30"),
]
closed = pytest.mark.parametrize(
    ("zone", "hours", "now", "planned"), [pytest.param(*row[1:], id=row[0]) for row in CLOSED]
)


@closed
def test_a_call_at_a_closed_hour_is_put_off_to_the_next_open_one(zone: str, hours: Any, now: str, planned: str) -> None:
    """By the contact's clock, whatever is done to it meanwhile."""
    policy = RedialPolicy(delays={"busy": 0}, hours=hours)
    assert plan(policy, [], at(now, zone), zone) == Planned(at(planned, zone), 2)


@closed
def test_a_late_worker_waits_for_the_next_open_hour(zone: str, hours: Any, now: str, planned: str) -> None:
    """A call that was due by day is not made at night; the limits of attempts were settled when it was planned."""
    policy = RedialPolicy(hours=hours, max_attempts=1, max_per_day=1)
    assert awake(policy, at(now, zone), time_zone(zone)) == at(planned, zone)


class _RightFromUtcOnly(tzinfo):
    """As pytz: the zone of an object given to ``datetime`` is its oldest local mean time."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=-4, minutes=-56)

    def fromutc(self, moment: datetime) -> datetime:
        return moment - timedelta(hours=5)


def test_the_clock_is_read_from_utc_alone() -> None:
    """So that a zone of pytz, wrong the other way round, is right as well."""
    policy = RedialPolicy(delays={"busy": 0}, hours=("08:00", "21:00"))
    assert plan(policy, [], at("2026-01-15T23:00-05:00"), _RightFromUtcOnly()) == Planned(
        at("2026-01-16T08:00-05:00"), 2
    )


@pytest.mark.parametrize("moment", [0.0, 0.1 + 0.2, math.inf, -math.inf, 1e300])
def test_a_late_worker_waits_for_no_hour_that_never_comes(moment: float) -> None:
    """Without hours, and outside the calendar: now. By a clock that shows closed hours alone: never."""
    assert awake(RedialPolicy(hours=None), moment, UTC) == moment
    never = Exhausted("hours") if 0 <= moment < 1 else moment
    assert awake(RedialPolicy(), moment, _AlwaysNight()) == never


def test_the_calls_of_a_night_are_spread_after_its_end() -> None:
    """By the same jitter that spreads them by day, so that they are not all made in one second."""
    policy = RedialPolicy(jitter=0.5)
    now = at("2026-06-15T23:00")
    planned = [plan(policy, [now], now, chance=chance) for chance in (0.0, 0.25, 0.5)]
    assert planned == [Planned(at(f"2026-06-16T09:0{minutes}"), 2) for minutes in ("0", "1:15", "2:30")]


@pytest.mark.parametrize(
    ("hours", "calls", "planned"),
    [
        pytest.param(("20:59", "21:00"), [], "2026-06-16T20:59", id="closed again"),
        pytest.param(("23:59", "22:30"), ["2026-06-16T09:00"], "2026-06-15T23:59", id="another day, full"),
        pytest.param(("23:59", "22:30"), [], "2026-06-15T23:59", id="another day"),
    ],
)
def test_nothing_is_spread_beyond_what_is_allowed(hours: Any, calls: list[str], planned: str) -> None:
    """Where the spread would lead to a closed hour or another day, the opening is taken itself."""
    policy = RedialPolicy(jitter=1, hours=hours, max_per_day=1, max_attempts=9, calendar_days=True)
    now = at("2026-06-15T22:45")
    made = [now - 3 * DAY, *map(at, calls)]
    assert plan(policy, made, now, chance=0.5) == Planned(at(planned), len(made) + 1)


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf, 1e300, -1e300, -62_135_596_800.0, 253_402_300_799.0])
def test_a_clock_outside_the_calendar_plans_nothing(now: float) -> None:
    """It can count no attempts."""
    assert plan(RedialPolicy(), [now], now) == Exhausted("max_attempts")


@given(calls=st.lists(st.floats(), max_size=5), zone=time_zones, policy=policies)
@example(calls=[253_402_300_800.0, math.inf], zone=UTC, policy=RedialPolicy(caps=[(1, 1)], another_hour=True))
def test_no_history_makes_the_decision_raise(calls: list[float], zone: Any, policy: RedialPolicy) -> None:
    """Times that are none are a defined plan."""
    for cause in (Cause.BUSY, Cause.NO_ANSWER):
        asked = {"cause": cause, "unrung": calls, "unanswered": calls}
        assert isinstance(plan(policy, calls, at("9989-12-31T23:00"), zone, **asked), Planned | Exhausted)
        assert isinstance(plan(policy, [], at("9989-12-31T23:00"), zone, **asked), Planned | Exhausted)


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "", "../etc/passwd", "a\0b", 5, None, pytest.param(tzinfo(), id="tzinfo()")], ids=repr
)
def test_what_is_no_zone_is_refused(name: Any) -> None:
    """A name nobody knows, and an object that tells no time."""
    with pytest.raises(ConfigurationError, match=r"is no time zone; write an IANA name such as 'Europe/Berlin'"):
        time_zone(name)


def test_a_zone_is_taken_by_name_or_as_it_is() -> None:
    assert time_zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert time_zone(UTC) is UTC


def test_the_headers_of_a_repeatable_request() -> None:
    """A GUID, and RFC 9110's date in GMT, to the second; the names are the SDK's."""
    assert repeatability("redial:order-42:2", 0, 1_792_000_000.9) == {
        "Repeatability-Request-ID": "6b382a5f-70f3-5339-8f32-836f6e8bfe02",
        "Repeatability-First-Sent": "Wed, 14 Oct 2026 17:46:40 GMT",
    }


@given(
    one=st.tuples(st.text(), st.integers(0, 99)),
    other=st.tuples(st.text(), st.integers(0, 99)),
    first_sent=st.floats(0, 4e9),
)
@example(one=("\ud800", 0), other=("?", 0), first_sent=0.0)
@example(one=("a#1", 2), other=("a", 12), first_sent=0.0)
def test_one_redial_is_one_request(one: tuple[str, int], other: tuple[str, int], first_sent: float) -> None:
    """The same for the same key and generation, another for any other, whenever it was first sent."""
    headers = repeatability(*one, first_sent)
    assert headers == repeatability(*one, first_sent)
    assert str(UUID(headers["Repeatability-Request-ID"])) == headers["Repeatability-Request-ID"]
    assert parsedate_to_datetime(headers["Repeatability-First-Sent"]).timestamp() == math.floor(first_sent)
    same = headers["Repeatability-Request-ID"] == repeatability(*other, 0.0)["Repeatability-Request-ID"]
    assert same is (one == other)
