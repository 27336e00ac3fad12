"""What a policy of redials may say: how long to wait, and which settings are refused."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import Catalog, Cause, ConfigurationError, Disposition, RedialPolicy, RetryClass
from ringback.work.contact_call import LONGEST_WINDOW
from ringback.work.hours import hours_of
from ringback.work.items import REMEMBER_CALLS
from ringback.work.redial_policy import FIRST_OF_NOW, WORKING_HOURS
from ringback_catalog import RetryAfter
from zones import DAY

NOW, LATER = RetryClass.NOW, RetryClass.LATER


@pytest.mark.parametrize(
    ("cause", "retry_class", "delays"),
    [
        (Cause.BUSY, LATER, [600, 600, 600, 600]),
        (Cause.NO_ANSWER, LATER, [1800, 1800, 1800, 1800]),
        (Cause.UNREACHABLE, LATER, [1800, 1800, 1800, 1800]),
        (Cause.SERVICE_ERROR, LATER, [300, 600, 1200, 2400]),
        (Cause.THROTTLED, LATER, [300, 600, 1200, 2400]),
        (Cause.CARRIER_ERROR, LATER, [300, 600, 1200, 2400]),
        (Cause.CLIENT_NETWORK, NOW, [30, 600, 1200, 2400]),
        (Cause.SERVICE_ERROR, NOW, [30, 600, 1200, 2400]),
        (Cause.BUSY, NOW, [600, 600, 600, 600]),
    ],
)
def test_the_delay_comes_from_the_cause(cause: Cause, retry_class: RetryClass, delays: list[int]) -> None:
    """The table's causes wait the same each time; the others back off, but for the first redial of ``now``."""
    assert [RedialPolicy().delay(cause, retry_class, redials) for redials in range(4)] == delays


def test_every_retryable_cause_has_a_delay() -> None:
    """The default policy waits from five minutes to an hour; half a minute once, where the catalog says ``now``."""
    retryable = [entry for entry in Catalog.default().entries if entry.disposition is Disposition.RETRYABLE]
    assert len(retryable) > 100
    policy = RedialPolicy()
    for entry in retryable:
        for retry_class in (NOW, LATER):
            delays = [policy.delay(entry.cause, retry_class, redials) for redials in (0, 1, 10, 5000)]
            assert all(300 <= delay <= 3600 or (retry_class is NOW and delay == FIRST_OF_NOW) for delay in delays)


@pytest.mark.parametrize(
    ("advised", "settings", "delays"),
    [
        (RetryAfter(300), {}, [300, 300, 300, 300]),
        (RetryAfter(60), {}, [60, 60, 60, 60]),
        (RetryAfter(300, 2.0), {}, [300, 600, 1200, 2400]),
        (RetryAfter(1200, 2.0), {"max_backoff": 1500}, [1200, 1500, 1500, 1500]),
        (RetryAfter(7200, 2.0), {}, [7200, 7200, 7200, 7200]),
        (RetryAfter(300), {"delays": {"busy": 5}}, [5, 5, 5, 5]),
        (RetryAfter(300), {"delays": {"busy": [1800, timedelta(hours=1)]}}, [1800, 3600, 3600, 3600]),
        (RetryAfter(300), {"delays": {"no_answer": 5}}, [300, 300, 300, 300]),
    ],
)
@pytest.mark.parametrize("retry_class", [NOW, LATER])
def test_the_delay_comes_from_the_documents_where_they_say_one(
    advised: RetryAfter, settings: dict[str, Any], delays: list[int], retry_class: RetryClass
) -> None:
    """Instead of the cause's: never earlier, and as much later each time, up to the ceiling; the user's word wins."""
    policy = RedialPolicy(**settings)
    assert [policy.delay(Cause.BUSY, retry_class, redials, advised) for redials in range(4)] == delays


spans = st.sampled_from([0.0, 0.5, 60.0, 1800.0, 30_000.0, 366 * DAY])


@given(
    own=spans | st.lists(spans, min_size=1, max_size=4),
    backoff=spans,
    max_backoff=spans,
    cause=st.sampled_from(list(Cause)),
    redials=st.integers(0, 5000),
    advised=st.none() | st.builds(RetryAfter, st.integers(1, 7 * 86400), st.floats(1, 10)),
)
def test_no_call_is_earlier_than_the_documents_advise(
    own: Any, backoff: float, max_backoff: float, cause: Cause, redials: int, advised: RetryAfter | None
) -> None:
    """Unless the user says when; and no later call comes sooner than the one before it."""
    policy = RedialPolicy(backoff=backoff, max_backoff=max_backoff, delays={"busy": own})
    delay = policy.delay(cause, LATER, redials, advised)
    if cause is Cause.BUSY:
        steps = own if isinstance(own, list) else [own]
        assert delay == steps[min(redials, len(steps) - 1)]
        return
    assert delay >= (0 if advised is None else advised.seconds)
    assert policy.delay(cause, LATER, redials + 1, advised) >= delay


def test_every_setting_can_be_overridden() -> None:
    """Delays by name or member, seconds, timedeltas or lists; the back-off and its ceiling; hours either way."""
    policy = RedialPolicy(
        delays={"busy": 5, Cause.THROTTLED: [timedelta(minutes=2), 180]},
        backoff=timedelta(seconds=10),
        max_backoff=15,
        window=timedelta(hours=1),
        quiet_hours=("21:00", time(8)),
        caps=[[3, DAY], (5, timedelta(days=30))],
        rest_after_refusal=timedelta(days=2),
    )
    assert dict(policy.delays) == {Cause.BUSY: 5.0, Cause.THROTTLED: (120.0, 180.0)}
    assert policy.window == 3600.0
    assert policy.opened == hours_of(("08:00", "21:00"))
    assert policy.limits == (("max_per_day", 3, DAY), ("caps", 3, DAY), ("caps", 5, 30 * DAY))
    assert policy.rests == (3600.0, 2 * DAY)
    causes = (Cause.BUSY, Cause.THROTTLED, Cause.MEDIA)
    assert [policy.delay(cause, LATER, 1) for cause in causes] == [5.0, 180.0, 15.0]


def test_a_copy_of_a_policy_is_the_policy() -> None:
    """What was read once is read again."""
    policy = RedialPolicy(quiet_hours=("21:00", "08:00"), delays={"busy": [5, 6]}, caps=[(3, DAY)])
    copy = replace(policy, max_attempts=2)
    assert (copy.opened, dict(copy.delays), copy.caps) == (policy.opened, dict(policy.delays), policy.caps)


def test_the_usual_policy_calls_in_working_hours() -> None:
    """Any hour must be said aloud."""
    assert RedialPolicy().opened == WORKING_HOURS == hours_of(("09:00", "20:00"))
    assert RedialPolicy(hours=None).opened is None
    assert RedialPolicy().limits == (("max_per_day", 3, DAY),)
    assert RedialPolicy(max_per_day=None).limits == RedialPolicy(calendar_days=True).limits == ()


@pytest.mark.parametrize("name", ["call_back", "calendar_days", "another_hour"])
@pytest.mark.parametrize("value", [1, None, "yes"])
def test_a_switch_is_true_or_false(name: str, value: Any) -> None:
    """A slip must not have people called."""
    with pytest.raises(ConfigurationError, match=f"{name} .* is neither True nor False"):
        RedialPolicy(**{name: value})


NO_TIMES = [-1, -0.001, math.nan, math.inf, -math.inf, 1e300, True, "60", None, timedelta(-1), timedelta.max]
NO_COUNTS = [0, -1, 2.5, math.nan, math.inf, True, "3"]
WRONG = [
    *(
        ({name: value}, f"redial: {name} {value!r} is no time")
        for name in ("backoff", "max_backoff")
        for value in NO_TIMES
    ),
    *(({"window": value}, f"redial: window {value!r} is no time") for value in NO_TIMES),
    *(({"delays": {"busy": value}}, f"redial: the delay of busy {value!r} is no time") for value in NO_TIMES),
    *(({"delays": {"busy": [5, value]}}, f"redial: the delay of busy {value!r} is no time") for value in NO_TIMES),
    ({"delays": {"busy": []}}, "redial: the delay of busy is an empty list; write"),
    *(({"caps": [(3, value)]}, f"redial: the time of a cap {value!r} is no time") for value in NO_TIMES),
    *(({"caps": [(value, 60)]}, f"redial: the calls of a cap {value!r} is no number of calls") for value in NO_COUNTS),
    *(({"caps": value}, f"redial: caps {value!r} are no pairs; write") for value in [None, 3, (3, 60), [(3,)], "ab"]),
    ({"caps": [(3, 0)]}, "redial: a cap over no time limits nothing; write"),
    ({"caps": [(3, timedelta(days=32))]}, "redial: the time of a cap 2764800.0 is longer than calls are remembered"),
    *(
        ({name: value}, f"redial: {name} {value!r} is no number of calls")
        for name in ("max_attempts", "max_per_day", "max_unrung")
        for value in NO_COUNTS
    ),
    ({"max_attempts": None}, "redial: max_attempts None is no number of calls; write a whole number from 1"),
    *(({"jitter": value}, f"redial: jitter {value!r} is no share") for value in [-0.1, 1.1, math.nan, True, "0.1"]),
    ({"window": 0}, "redial: window 0 limits nothing; write"),
    ({"window": 31 * DAY + 1}, "redial: window 2678401.0 is longer than calls are remembered; write at most"),
    ({"window": timedelta(days=32)}, "redial: window 2764800.0 is longer than calls are remembered; write at most"),
    ({"delays": {"engaged": 5}}, "redial: delays names 'engaged', which is no cause; there are ended, hung_up"),
    ({"delays": {("busy",): 5}}, "redial: delays names ('busy',), which is no cause"),
    ({"delays": [("busy", 5)]}, "redial: delays [('busy', 5)] is no mapping; write"),
    ({"hours": "21:00-08:00"}, "redial: hours ['21:00-08:00'] are no pair of times of day; write"),
    ({"quiet_hours": ("21:00",)}, "redial: quiet_hours ('21:00',) are no pair of times of day; write"),
    (
        {"hours": None, "quiet_hours": ("21:00", "08:00")},
        "redial: hours and quiet_hours say the same thing twice; write",
    ),
    ({"may_call": "yes"}, "redial: may_call 'yes' is not callable; write a function (contact, at)"),
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
