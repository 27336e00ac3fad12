"""How often a hook is tried, and when again: bounded whatever it raises, whatever the settings."""

from __future__ import annotations

import math
import pickle
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import ConfigurationError
from ringback.work.policy import GiveUp, HookContext, HookPolicy, Retry

YEAR = 366 * 86_400.0


def never() -> float:
    raise AssertionError("chance was asked")


RETRIES = [
    # (case, settings, attempt, error, chance, seconds until the next attempt)
    ("first failure", {}, 1, ValueError(), 0.0, 2.0),
    ("second failure", {}, 2, ValueError(), 0.0, 4.0),
    ("jitter", {}, 3, ValueError(), 0.5, 9.0),
    ("ceiling", {"attempts": 99, "jitter": 0}, 50, ValueError(), 0.5, 600.0),
    ("attempt beyond floats", {"attempts": 10**6, "jitter": 0}, 9**6, ValueError(), 0.5, 600.0),
    ("last attempt", {}, 5, ValueError(), 0.0, None),
    ("past the last", {}, 6, Retry(), 0.0, None),
    ("one attempt", {"attempts": 1}, 1, Retry(after=5), 0.0, None),
    ("asked to wait", {}, 1, Retry(after=5), 0.9, 5.0),
    ("asked as timedelta", {}, 1, Retry(after=timedelta(minutes=2)), 0.9, 120.0),
    ("asked for a time in the place of the reason", {}, 1, Retry(60), 0.9, 60.0),  # type: ignore[arg-type]
    ("asked for no time", {}, 1, Retry("busy just now"), 0.0, 2.0),
    ("asked past the ceiling", {}, 1, Retry(after=7200), 0.0, 7200.0),
    ("asked on the last", {}, 5, Retry(after=5), 0.0, None),
    ("gave up", {}, 1, GiveUp("no such order"), 0.0, None),
    ("errors end it", {"retry_errors": False}, 1, ValueError(), 0.0, None),
    ("errors end it, not Retry", {"retry_errors": False}, 1, Retry(), 0.0, 2.0),
    ("no waiting", {"backoff": 0}, 1, ValueError(), 0.9, 0.0),
]


@pytest.mark.parametrize(
    ("policy", "attempt", "error", "chance", "seconds"), [pytest.param(*row[1:], id=row[0]) for row in RETRIES]
)
def test_when_a_hook_is_tried_again(
    policy: dict[str, Any], attempt: int, error: Exception, chance: float, seconds: float | None
) -> None:
    """What it raised decides whether, the policy when; a time it asks for stands as it is."""
    assert HookPolicy(**policy).retry_in(attempt, error, lambda: chance) == seconds


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        pytest.param(-1, 0.0, id="negative"),
        pytest.param(timedelta(days=-1), 0.0, id="negative timedelta"),
        pytest.param(-math.inf, 0.0, id="minus infinity"),
        pytest.param(math.inf, YEAR, id="infinity"),
        pytest.param(10**400, YEAR, id="no float"),
        pytest.param(timedelta.max, YEAR, id="longest timedelta"),
        pytest.param(math.nan, None, id="not a number"),
        pytest.param(True, None, id="a flag"),
        pytest.param("5", None, id="a text"),
        pytest.param(0, 0.0, id="at once"),
    ],
)
def test_a_slip_in_after_is_still_a_wish_to_be_called_again(after: Any, kept: float | None) -> None:
    """No value of ``after`` raises: at once, a year or the usual time."""
    error = Retry(after=after)
    assert error.after == kept
    assert HookPolicy().retry_in(1, error, lambda: 0.0) == (2.0 if kept is None else kept)


def test_a_subclass_need_not_call_its_base() -> None:
    """It asks for the usual time, or sets ``after`` itself, within the same bounds."""

    class Later(Retry):
        def __init__(self, after: float | None = None) -> None:
            if after is not None:
                self.after = after

    assert HookPolicy().retry_in(1, Later(), lambda: 0.0) == 2.0
    assert HookPolicy().retry_in(1, Later(-5.0), never) == 0.0


def test_what_is_raised_says_why() -> None:
    """The reason, or a sentence that stands in for it; it survives a process boundary."""
    assert [str(error) for error in (Retry("line busy"), Retry(), GiveUp("no such order"), GiveUp())] == [
        "line busy",
        "the hook asked to be called again",
        "no such order",
        "the hook gave up",
    ]
    copied = pickle.loads(pickle.dumps(Retry("line busy", after=3)))
    assert (str(copied), copied.after) == ("line busy", 3.0)


def test_a_context_is_of_a_first_attempt_unless_it_says_otherwise() -> None:
    assert asdict(HookContext("close", "call:1:close")) == {
        "hook": "close",
        "idempotency_key": "call:1:close",
        "attempt": 1,
        "redelivered": False,
    }


waits = st.floats(0, YEAR)
policies = st.builds(
    HookPolicy,
    attempts=st.integers(1, 10**6),
    backoff=waits,
    max_backoff=waits,
    jitter=st.floats(0, 1),
    timeout=st.none() | st.floats(0.001, YEAR),
    retry_errors=st.booleans(),
)
errors = st.sampled_from([ValueError(), Retry(), GiveUp()]) | st.builds(
    Retry, after=st.none() | st.floats() | st.integers() | st.timedeltas()
)


@given(
    policy=policies,
    attempt=st.integers(1, 10**6),
    error=errors,
    chance=st.floats(0, 1, exclude_max=True),
)
def test_the_wait_is_bounded(policy: HookPolicy, attempt: int, error: Exception, chance: float) -> None:
    """Never negative, never above the ceiling and its jitter, or a year if the hook asked; always a number."""
    seconds = policy.retry_in(attempt, error, lambda: chance)
    if attempt >= policy.attempts or isinstance(error, GiveUp):
        assert seconds is None
    elif isinstance(error, Retry) and error.after is not None:
        assert seconds == error.after
        assert 0 <= error.after <= YEAR
    elif isinstance(error, Retry) or policy.retry_errors:
        assert seconds is not None
        assert 0 <= seconds <= policy.max_backoff * (1 + policy.jitter)
    else:
        assert seconds is None


@given(policy=policies, attempt=st.integers(1, 2000))
def test_each_wait_is_at_least_the_one_before(policy: HookPolicy, attempt: int) -> None:
    """Without jitter, up to the ceiling."""
    one, next_one = (policy.retry_in(each, Retry(), lambda: 0.0) for each in (attempt, attempt + 1))
    if one is not None and next_one is not None:
        assert one <= next_one <= policy.max_backoff


NO_COUNTS = [0, -1, 2.5, math.nan, math.inf, True, "3", None]
NO_TIMES = [-1, math.nan, math.inf, -math.inf, 1e300, True, "2", timedelta(seconds=2)]
WRONG = [
    *(
        (name, value, f"hooks: {name} {value!r} is no number of calls; write a whole number from 1")
        for name in ("attempts", "concurrency", "threads")
        for value in NO_COUNTS
        if (name, value) != ("threads", None)
    ),
    *(
        (name, value, f"hooks: {name} {value!r} is out of range; write seconds, from 0 to a year")
        for name in ("backoff", "max_backoff", "timeout")
        for value in NO_TIMES
    ),
    *(
        (name, None, f"hooks: {name} None is out of range; write seconds, from 0 to a year")
        for name in ("backoff", "max_backoff")
    ),
    *(
        ("jitter", value, f"hooks: jitter {value!r} is out of range; write a share of the waiting time, from 0 to 1")
        for value in [-0.1, 1.1, math.nan, True, "0.1", None]
    ),
    ("timeout", 0, "hooks: timeout 0 lets no hook finish; give seconds, or None"),
    ("retry_errors", 1, "hooks: retry_errors 1 is neither True nor False; write one of them"),
    ("retry_errors", None, "hooks: retry_errors None is neither True nor False; write one of them"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG, ids=[f"{name}={value!r}" for name, value, _ in WRONG])
def test_a_setting_that_cannot_work_is_refused(name: str, value: Any, message: str) -> None:
    """When the policy is made, naming the value, the rule and the remedy."""
    with pytest.raises(ConfigurationError) as refused:
        HookPolicy(**{name: value})
    assert str(refused.value) == message


def test_a_hook_may_take_as_long_as_it_likes() -> None:
    assert HookPolicy(timeout=None).timeout is None
