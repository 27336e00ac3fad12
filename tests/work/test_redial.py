"""When to call again: no plan breaks a rule of its policy, in any zone, at any hour; and one redial stays one call."""

from __future__ import annotations

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

from ringback import Catalog, Cause, ConfigurationError, Disposition, RetryAction, RetryClass, classify
from ringback.work.items import REMEMBER_CALLS
from ringback.work.redial import Exhausted, NotRetryable, Planned, Skipped, awake, decide, repeatability, time_zone
from ringback.work.redial_policy import LONGEST_WINDOW, RedialPolicy
from ringback_catalog import CALL_EVENTS, RetryAfter

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400.0
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Pacific/Kiritimati",
]
# Moments around which clocks or calendars jump, and one around which nothing happens.
JUMPS = [
    "2026-03-29T01:00+00:00",  # Berlin, forward
    "2026-10-25T01:00+00:00",  # Berlin, back
    "2026-03-08T07:00+00:00",  # New York, forward
    "2026-11-01T06:00+00:00",  # New York, back
    "2026-10-03T15:30+00:00",  # Lord Howe, forward by half an hour
    "2026-04-04T15:00+00:00",  # Lord Howe, back by half an hour
    "2011-12-30T10:00+00:00",  # Apia leaves out a day
    "2010-11-07T02:31+00:00",  # St John's, back at 00:01 into the day before
    "2018-02-18T02:00+00:00",  # Sao Paulo, back at midnight
    "2017-10-15T03:00+00:00",  # Sao Paulo, no midnight
    "2026-11-01T05:00+00:00",  # Havana, midnight twice
    "2026-06-15T12:00+00:00",
]


def at(text: str, zone: str = "UTC") -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp()


def plan(policy: RedialPolicy, calls: list[float], now: float, zone: str | tzinfo = "UTC", **changes: Any) -> Any:
    asked: dict[str, Any] = {"cause": Cause.BUSY, "retry_class": RetryClass.LATER, "chance": 0.0} | changes
    return decide(
        policy,
        asked["cause"],
        asked["retry_class"],
        calls,
        now=now,
        zone=time_zone(zone),
        random=lambda: asked["chance"],
        **{name: asked[name] for name in ("retry_action", "retry_after") if name in asked},
    )


def is_quiet(moment: float, hours: Any, zone: tzinfo) -> bool:
    """Written another way than the module: by walking the clock face, in microseconds since midnight."""
    start, end = ((each.hour * 60 + each.minute) * 60_000_000 for each in hours)
    local = datetime.fromtimestamp(moment, zone)
    shown = ((local.hour * 60 + local.minute) * 60 + local.second) * 1_000_000 + local.microsecond
    return (shown - start) % 86_400_000_000 < (end - start) % 86_400_000_000


times_of_day = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
quiet = st.none() | st.tuples(times_of_day, times_of_day).filter(lambda pair: pair[0] != pair[1])
spans = st.sampled_from([0.0, 0.5, 60.0, 600.0, 1800.0, 7200.0, 30_000.0, DAY, 3 * DAY, 366 * DAY])
policies = st.builds(
    RedialPolicy,
    delays=st.dictionaries(st.sampled_from(list(Cause)), spans, max_size=3),
    backoff=spans,
    max_backoff=spans,
    jitter=st.floats(0, 1),
    max_attempts=st.integers(1, 6),
    window=spans.filter(lambda span: 0 < span <= LONGEST_WINDOW),
    max_per_day=st.none() | st.integers(1, 3),
    quiet_hours=quiet,
)
nows = st.builds(
    lambda jump, hours: at(jump) + hours * 3600, st.sampled_from(JUMPS), st.floats(-49, 49) | st.integers(-48, 48)
)
offsets = st.lists(st.floats(-5 * DAY, 5 * DAY) | st.integers(-40, 40).map(lambda n: n * 1800.0), max_size=12)
chances = st.floats(0, 1, exclude_max=True)


@given(
    policy=policies,
    cause=st.sampled_from(list(Cause)),
    retry_class=st.sampled_from([RetryClass.NOW, RetryClass.LATER]),
    now=nows,
    offsets=offsets,
    zone=st.sampled_from(ZONES),
    chance=chances,
)
def test_no_plan_breaks_a_rule_of_its_policy(
    policy: Any, cause: Cause, retry_class: RetryClass, now: float, offsets: list[float], zone: str, chance: float
) -> None:
    """A planned call is after the delay, not in quiet hours, and above no limit of its window and its day."""
    calls = [now, *(now + offset for offset in offsets)]
    asked: list[float] = []

    def random() -> float:
        asked.append(chance)
        return chance

    clock = ZoneInfo(zone)
    found = decide(policy, cause, retry_class, calls, now=now, zone=clock, random=random)
    assert len(asked) <= 1
    assert found == decide(policy, cause, retry_class, calls, now=now, zone=clock, random=random)
    made = sum(each > now - policy.window for each in calls)
    if made >= policy.max_attempts:
        assert found == Exhausted("max_attempts")
    elif isinstance(found, Exhausted):
        assert found == Exhausted("max_per_day")
        assert policy.max_per_day is not None
        assert len([each for each in calls if each > now]) >= policy.max_per_day
    else:
        assert isinstance(found, Planned)
        assert found.number == made + 1
        assert found.at >= now + policy.delay(cause, made - 1)
        assert sum(found.at - policy.window < each <= found.at for each in calls) + 1 <= policy.max_attempts
        if policy.quiet_hours is not None:
            assert not is_quiet(found.at, policy.quiet_hours, clock)
        if policy.max_per_day is not None:
            day = datetime.fromtimestamp(found.at, clock).date()
            assert sum(datetime.fromtimestamp(each, clock).date() == day for each in calls) < policy.max_per_day


@given(hours=quiet.filter(bool), now=nows, zone=st.sampled_from(ZONES))
@example(hours=(time(21), time(8)), now=at("2026-10-24T20:00+00:00"), zone="Europe/Berlin")
def test_a_call_is_put_off_no_longer_than_it_is_quiet(hours: Any, now: float, zone: str) -> None:
    """All of the time between the delay's end and the call is quiet, but for as long as a clock was put forward."""
    policy = RedialPolicy(delays={"busy": 0}, jitter=0, quiet_hours=hours)
    found = plan(policy, [now], now, zone)
    clock = ZoneInfo(zone)
    loud = [n for n in range(0, int(found.at - now), 60) if not is_quiet(now + n, hours, clock)]
    longest = 24 * 60 if zone == "Pacific/Apia" else 60
    assert len(loud) <= longest


@pytest.mark.parametrize("retry_class", [RetryClass.NONE, RetryClass.AFTER_FIX, RetryClass.NEVER])
def test_what_is_terminal_is_never_redialled(retry_class: RetryClass) -> None:
    """A delay configured for a cause makes no terminal outcome retryable."""
    policy = RedialPolicy(delays=dict.fromkeys(Cause, 1.0), max_attempts=1000, max_per_day=None)
    for cause in Cause:
        assert plan(policy, [], 0.0, cause=cause, retry_class=retry_class) == NotRetryable(), cause


@pytest.mark.parametrize(
    ("cause", "delays"),
    [
        (Cause.BUSY, [600, 600, 600]),
        (Cause.NO_ANSWER, [1800, 1800, 1800]),
        (Cause.UNREACHABLE, [1800, 1800, 1800]),
        (Cause.CLIENT_NETWORK, [60, 60, 60]),
        (Cause.SERVICE_ERROR, [30, 60, 120]),
        (Cause.THROTTLED, [30, 60, 120]),
        (Cause.CARRIER_ERROR, [30, 60, 120]),
    ],
)
def test_the_delay_comes_from_the_cause(cause: Cause, delays: list[int]) -> None:
    """The table's causes wait the same each time; the others back off."""
    policy = RedialPolicy(max_attempts=9, max_per_day=None)
    planned = [plan(policy, [1000.0 + n for n in range(made)], 1000.0, cause=cause) for made in (1, 2, 3)]
    assert planned == [Planned(1000.0 + delay, number) for number, delay in enumerate(delays, start=2)]


def test_every_retryable_cause_has_a_delay() -> None:
    """Where a row says nothing of its own, the default policy waits from half a minute to an hour."""
    retryable = [entry for entry in Catalog.default().entries if entry.disposition is Disposition.RETRYABLE]
    assert len(retryable) > 100
    policy = RedialPolicy()
    for entry in retryable:
        for redials in (0, 1, 10, 5000):
            assert 30 <= policy.delay(entry.cause, redials) <= 3600


@pytest.mark.parametrize("action", [each for each in RetryAction if each is not RetryAction.PLACE_CALL])
@pytest.mark.parametrize("call_back", [False, True])
def test_only_what_is_answered_with_a_call_is_redialled(action: RetryAction, call_back: bool) -> None:
    """Whatever the delays say; who had called the app is dialled if the policy says so."""
    policy = RedialPolicy(delays=dict.fromkeys(Cause, 1.0), call_back=call_back)
    for cause, retry_class in product(Cause, (RetryClass.NOW, RetryClass.LATER)):
        found = plan(policy, [0.0], 0.0, cause=cause, retry_class=retry_class, retry_action=action)
        if call_back and action is RetryAction.CALL_BACK:
            assert found == Planned(1.0, 2), (cause, retry_class)
        else:
            assert found == Skipped(policy.skips(action) or ""), (cause, retry_class)
            assert found.reason, (cause, retry_class)


@pytest.mark.parametrize(
    ("advised", "settings", "delays"),
    [
        (RetryAfter(300), {}, [300, 300, 300, 300]),
        (RetryAfter(300, 2.0), {}, [300, 600, 1200, 2400]),
        (RetryAfter(1200, 2.0), {"max_backoff": 1500}, [1200, 1500, 1500, 1500]),
        (RetryAfter(7200, 2.0), {}, [7200, 7200, 7200, 7200]),
        (RetryAfter(300), {"delays": {"busy": 5}}, [5, 5, 5, 5]),
    ],
)
def test_the_delay_comes_from_the_documents_where_they_say_one(
    advised: RetryAfter, settings: dict[str, Any], delays: list[int]
) -> None:
    """Instead of the cause's: never earlier, and as much later each time, up to the ceiling; the user's word wins."""
    policy = RedialPolicy(max_attempts=9, max_per_day=None, **settings)
    calls = [[1000.0 + n for n in range(made)] for made in (1, 2, 3, 4)]
    planned = [plan(policy, each, 1000.0, retry_after=advised) for each in calls]
    assert planned == [Planned(1000.0 + delay, number) for number, delay in enumerate(delays, start=2)]


def test_a_cause_that_backs_off_does_so_above_the_documents_delay() -> None:
    """Where no row and no table says how a delay grows, it is doubled as without the documents."""
    policy = RedialPolicy()
    assert [policy.delay(Cause.SERVICE_ERROR, n, RetryAfter(100)) for n in range(5)] == [100, 100, 120, 240, 480]
    assert policy.delay(Cause.SERVICE_ERROR, 5000, RetryAfter(100, 10)) == 3600


@given(
    policy=policies,
    cause=st.sampled_from(list(Cause)),
    redials=st.integers(0, 5000),
    advised=st.builds(RetryAfter, st.integers(1, 7 * 86400), st.floats(1, 10)),
)
def test_no_call_is_earlier_than_the_documents_advise(
    policy: RedialPolicy, cause: Cause, redials: int, advised: RetryAfter
) -> None:
    """Unless the user says when; and no later call comes sooner than the one before it."""
    delay = policy.delay(cause, redials, advised)
    if cause in policy.delays:
        assert delay == policy.delays[cause]
    else:
        assert delay >= advised.seconds
    assert policy.delay(cause, redials + 1, advised) >= delay


@pytest.mark.parametrize("name", ["call_back"])
@pytest.mark.parametrize("value", [1, None, "yes"])
def test_a_switch_is_true_or_false(name: str, value: Any) -> None:
    """A slip must not have people called."""
    with pytest.raises(ConfigurationError, match=f"{name} .* is neither True nor False"):
        RedialPolicy(**{name: value})


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


def test_every_setting_can_be_overridden() -> None:
    """Delays by name or member, seconds or timedeltas; the back-off and its ceiling."""
    policy = RedialPolicy(
        delays={"busy": 5, Cause.THROTTLED: timedelta(minutes=2)},
        backoff=timedelta(seconds=10),
        max_backoff=15,
        window=timedelta(hours=1),
        quiet_hours=("21:00", time(8)),
    )
    assert dict(policy.delays) == {Cause.BUSY: 5.0, Cause.THROTTLED: 120.0}
    assert policy.window == 3600.0
    assert policy.quiet_hours == (time(21), time(8))
    causes = (Cause.BUSY, Cause.THROTTLED, Cause.MEDIA)
    assert [policy.delay(cause, 1) for cause in causes] == [5.0, 120.0, 15.0]


def test_jitter_adds_a_share_of_the_delay() -> None:
    assert plan(RedialPolicy(jitter=0.5), [0.0], 0.0, chance=0.5) == Planned(750.0, 2)


def test_the_budget_of_attempts_is_shared_by_all_causes_and_not_waited_for() -> None:
    """Calls still to come count; as many as allowed in the window that ends now is the end."""
    policy = RedialPolicy(max_attempts=3, window=3600, max_per_day=None)
    now = 100_000.0
    assert plan(policy, [now - 3601, now - 3600, now], now) == Planned(now + 600, 2)
    assert plan(policy, [now - 3599, now, now + 50], now) == Exhausted("max_attempts")
    assert plan(policy, [now - 3599, now - 1, now], now, cause=Cause.MEDIA) == Exhausted("max_attempts")


@pytest.mark.parametrize("calls", [[], [-5000.0]], ids=["nothing known", "began before the window"])
def test_the_call_that_has_just_ended_always_counts(calls: list[float]) -> None:
    """One attempt means no redial, also after a call longer than the window."""
    policy = RedialPolicy(window=60, max_per_day=None)
    assert plan(policy, calls, 0.0) == Planned(600.0, 2)
    assert plan(RedialPolicy(window=60, max_attempts=1), calls, 0.0) == Exhausted("max_attempts")


def test_a_window_shorter_than_the_delay_is_a_defined_plan() -> None:
    """Each call then stands alone in its window; the day's limit still holds."""
    policy = RedialPolicy(window=1, max_attempts=2, max_per_day=2)
    now = at("2026-06-15T10:00")
    assert plan(policy, [now], now) == Planned(now + 600, 2)
    assert plan(policy, [now - 3600, now], now) == Planned(at("2026-06-16T00:00"), 2)


def test_a_full_day_puts_a_call_off_to_the_next_one_of_the_contact() -> None:
    """Calls that are no longer in the window count for the day; spread, they leave midnight."""
    policy = RedialPolicy(max_per_day=2, jitter=0.5)
    now = at("2026-06-15T10:00", "Asia/Kathmandu")
    midnight = at("2026-06-16T00:00", "Asia/Kathmandu")
    assert plan(policy, [now - 100, now], now, "Asia/Kathmandu") == Planned(midnight, 3)
    assert plan(policy, [now - 100, now], now, "Asia/Kathmandu", chance=0.5) == Planned(midnight + 150, 3)
    full_too = [now - 100, now, midnight + 60, midnight + 120]
    policy = RedialPolicy(max_per_day=2, max_attempts=9)
    assert plan(policy, full_too, now, "Asia/Kathmandu") == Planned(midnight + DAY, 5)


def test_no_day_with_room_is_the_end() -> None:
    """With every day up to the horizon full, also where the last step to it was a quiet night."""
    now = at("2026-06-15T10:00")
    calls = [now + n * DAY for n in range(12)]
    for hours in (None, ("21:00", "08:00")):
        policy = RedialPolicy(max_per_day=1, max_attempts=99, quiet_hours=hours)
        assert plan(policy, calls, now) == Exhausted("max_per_day")


class _AlwaysNight(tzinfo):
    """A clock that stands still: no zone of this world, but a tzinfo."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(0)

    def fromutc(self, moment: datetime) -> datetime:
        return moment.replace(hour=23, minute=0)


def test_a_clock_that_shows_quiet_hours_only_is_the_end() -> None:
    """The search ends at the horizon."""
    policy = RedialPolicy(quiet_hours=("21:00", "08:00"))
    assert plan(policy, [0.0], 0.0, _AlwaysNight()) == Exhausted("quiet_hours")


QUIET = [
    # (case, zone, quiet hours, now, planned)
    ("evening", "Europe/Berlin", ("21:00", "08:00"), "2026-06-15T22:00", "2026-06-16T08:00"),
    ("small hours", "Europe/Berlin", ("21:00", "08:00"), "2026-06-16T03:00", "2026-06-16T08:00"),
    ("at noon", "Europe/Berlin", ("12:00", "14:00"), "2026-06-16T12:30", "2026-06-16T14:00"),
    ("begins", "Europe/Berlin", ("21:00", "08:00"), "2026-06-15T21:00", "2026-06-16T08:00"),
    ("just over", "Europe/Berlin", ("21:00", "08:00"), "2026-06-16T08:00", "2026-06-16T08:00"),
    ("clock forward", "Europe/Berlin", ("21:00", "08:00"), "2026-03-28T22:00", "2026-03-29T08:00"),
    ("clock back", "Europe/Berlin", ("21:00", "08:00"), "2026-10-24T22:00", "2026-10-25T08:00"),
    ("end skipped", "Europe/Berlin", ("21:00", "02:30"), "2026-03-28T22:00", "2026-03-29T01:30+00:00"),
    ("end twice", "Europe/Berlin", ("21:00", "02:30"), "2026-10-24T22:00", "2026-10-25T00:30+00:00"),
    ("quiet again", "Europe/Berlin", ("21:00", "02:30"), "2026-10-25T01:15+00:00", "2026-10-25T01:30+00:00"),
    ("day left out", "Pacific/Apia", ("21:00", "08:00"), "2011-12-29T22:00", "2011-12-31T08:00"),
    ("nearly always", "Asia/Kathmandu", ("08:01", "08:00"), "2026-06-15T08:01", "2026-06-16T08:00"),
    ("hour left out", "Europe/Berlin", ("03:00", "02:30"), "2026-03-28T03:00", "2026-03-30T02:30"),
]


@pytest.mark.parametrize(("zone", "hours", "now", "planned"), [pytest.param(*row[1:], id=row[0]) for row in QUIET])
def test_a_call_in_quiet_hours_is_put_off_to_their_end(zone: str, hours: Any, now: str, planned: str) -> None:
    """By the contact's clock, whatever is done to it meanwhile."""
    policy = RedialPolicy(delays={"busy": 0}, quiet_hours=hours)
    assert plan(policy, [], at(now, zone), zone) == Planned(at(planned, zone), 2)


class _RightFromUtcOnly(tzinfo):
    """As pytz: the zone of an object given to ``datetime`` is its oldest local mean time."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=-4, minutes=-56)

    def fromutc(self, moment: datetime) -> datetime:
        return moment - timedelta(hours=5)


def test_the_clock_is_read_from_utc_alone() -> None:
    """So that a zone of pytz, wrong the other way round, is right as well."""
    policy = RedialPolicy(delays={"busy": 0}, quiet_hours=("21:00", "08:00"))
    assert plan(policy, [], at("2026-01-15T23:00-05:00"), _RightFromUtcOnly()) == Planned(
        at("2026-01-16T08:00-05:00"), 2
    )


@pytest.mark.parametrize(("zone", "hours", "now", "planned"), [pytest.param(*row[1:], id=row[0]) for row in QUIET])
def test_a_late_worker_waits_for_the_end_of_quiet_hours(zone: str, hours: Any, now: str, planned: str) -> None:
    """A call that was due by day is not made at night; the limits of attempts were settled when it was planned."""
    policy = RedialPolicy(quiet_hours=hours, max_attempts=1, max_per_day=1)
    assert awake(policy, at(now, zone), time_zone(zone)) == at(planned, zone)


@pytest.mark.parametrize("moment", [0.0, 0.1 + 0.2, math.inf, -math.inf, 1e300])
def test_a_late_worker_waits_for_no_end_that_never_comes(moment: float) -> None:
    """Without quiet hours, and outside the calendar: now. By a clock that shows nothing else: never."""
    assert awake(RedialPolicy(), moment, UTC) == moment
    never = None if 0 <= moment < 1 else moment
    assert awake(RedialPolicy(quiet_hours=("21:00", "08:00")), moment, _AlwaysNight()) == never


def test_the_calls_of_a_night_are_spread_after_its_end() -> None:
    """By the same jitter that spreads them by day, so that they are not all made in one second."""
    policy = RedialPolicy(jitter=0.5, quiet_hours=("21:00", "08:00"))
    now = at("2026-06-15T23:00")
    planned = [plan(policy, [now], now, chance=chance) for chance in (0.0, 0.25, 0.5)]
    assert planned == [Planned(at(f"2026-06-16T08:0{minutes}"), 2) for minutes in ("0", "1:15", "2:30")]


@pytest.mark.parametrize(
    ("hours", "calls", "planned"),
    [
        pytest.param(("21:00", "20:59"), [], "2026-06-16T20:59", id="quiet again"),
        pytest.param(("22:30", "23:59"), ["2026-06-16T09:00"], "2026-06-15T23:59", id="another day, full"),
        pytest.param(("22:30", "23:59"), [], "2026-06-15T23:59", id="another day"),
    ],
)
def test_nothing_is_spread_beyond_what_is_allowed(hours: Any, calls: list[str], planned: str) -> None:
    """Where the spread would lead into quiet hours or another day, the end of the quiet hours is taken itself."""
    policy = RedialPolicy(jitter=1, quiet_hours=hours, max_per_day=1, max_attempts=9)
    now = at("2026-06-15T22:45")
    made = [now - 3 * DAY, *map(at, calls)]
    assert plan(policy, made, now, chance=0.5) == Planned(at(planned), len(made) + 1)


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf, 1e300, -1e300, -62_135_596_800.0, 253_402_300_799.0])
def test_a_clock_outside_the_calendar_plans_nothing(now: float) -> None:
    """It can count no attempts."""
    assert plan(RedialPolicy(quiet_hours=("21:00", "08:00")), [now], now) == Exhausted("max_attempts")


@given(calls=st.lists(st.floats(), max_size=5), zone=st.sampled_from(ZONES), policy=policies)
def test_no_history_makes_the_decision_raise(calls: list[float], zone: str, policy: RedialPolicy) -> None:
    """Times that are none are a defined plan."""
    assert isinstance(plan(policy, calls, at("9989-12-31T23:00"), zone), Planned | Exhausted)


NO_TIMES = [-1, -0.001, math.nan, math.inf, -math.inf, 1e300, True, "60", None, timedelta(-1), timedelta.max]
NO_COUNTS = [0, -1, 2.5, math.nan, math.inf, True, "3"]
WRONG = [
    *(({name: value}, f"redial: {name} {value!r} is no time") for name in ("backoff", "window") for value in NO_TIMES),
    *(({"max_backoff": value}, f"redial: max_backoff {value!r} is no time") for value in NO_TIMES),
    *(({"delays": {"busy": value}}, f"redial: the delay of busy {value!r} is no time") for value in NO_TIMES),
    *(({"max_attempts": value}, f"redial: max_attempts {value!r} is no number of calls") for value in NO_COUNTS),
    *(({"max_per_day": value}, f"redial: max_per_day {value!r} is no number of calls") for value in NO_COUNTS),
    ({"max_attempts": None}, "redial: max_attempts None is no number of calls; write a whole number from 1"),
    *(({"jitter": value}, f"redial: jitter {value!r} is no share") for value in [-0.1, 1.1, math.nan, True, "0.1"]),
    ({"window": 0}, "redial: window 0 limits nothing; write"),
    ({"window": 31 * DAY + 1}, "redial: window 2678401.0 is longer than calls are remembered; write at most"),
    ({"window": timedelta(days=32)}, "redial: window 2764800.0 is longer than calls are remembered; write at most"),
    ({"delays": {"engaged": 5}}, "redial: delays names 'engaged', which is no cause; there are ended, hung_up"),
    ({"delays": {("busy",): 5}}, "redial: delays names ('busy',), which is no cause"),
    ({"delays": [("busy", 5)]}, "redial: delays [('busy', 5)] is no mapping; write"),
    *(
        ({"quiet_hours": value}, f"redial: quiet_hours {value!r} is no pair of times of day; write")
        for value in ["21:00-08:00", "ab", ("21:00",), (), ("25:00", "08:00"), (21, 8), 5, {"21:00", "08:00"}]
    ),
    ({"quiet_hours": ("21:00", "21:00")}, "redial: quiet_hours ('21:00', '21:00') are equal or have a time zone"),
    ({"quiet_hours": ("21:00Z", "08:00")}, "redial: quiet_hours ('21:00Z', '08:00') are equal or have a time zone"),
    ({"quiet_hours": ("21:00", "08:00Z")}, "redial: quiet_hours ('21:00', '08:00Z') are equal or have a time zone"),
]


@pytest.mark.parametrize(("setting", "message"), WRONG, ids=[f"{nth} {[*row[0]]}" for nth, row in enumerate(WRONG)])
def test_a_setting_that_cannot_work_is_refused(setting: dict[str, Any], message: str) -> None:
    """When the policy is made, naming the value, the rule and the remedy."""
    with pytest.raises(ConfigurationError) as refused:
        RedialPolicy(**setting)
    assert str(refused.value).startswith(message)
    assert "; write " in str(refused.value) or "there are" in str(refused.value)


def test_the_longest_window_is_as_long_as_calls_are_remembered() -> None:
    """A call that a store has forgotten cannot be counted."""
    assert RedialPolicy(window=timedelta(days=31)).window == LONGEST_WINDOW == REMEMBER_CALLS


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
