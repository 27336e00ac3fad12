"""All that there is to say of a deployment, in order, and when its first answer is enough."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ringback.doctor._answers import Answer, Failure, Lost
from ringback.doctor._findings import Severity, fine, told
from ringback.doctor._verdicts import VERDICTS
from ringback.doctor._way import in_front, judge_link, judge_scheme

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ringback.doctor._answers import Connected, Seen
    from ringback.doctor._findings import Finding
    from ringback.doctor._target import Target

SLOWEST = 30.0
"""Seconds after which Event Grid gives a delivery up."""

SLOW = 10.0
"""Seconds from which an answer is too near to that."""

SKEW = 60.0
"""Seconds by which clocks may differ; a token is valid for 300, and verifiers allow for a minute or two."""


def judge(
    where: Target, link: Connected | Failure, seen: Mapping[str, Seen], *, timeout: float = SLOWEST
) -> tuple[Finding, ...]:
    """Everything there is to say, in the order of the checks. ``seen`` has what came, by the name of its probe."""
    return tuple(_findings(where, link, seen, timeout))


def blocks(where: Target, first: Seen) -> bool:
    """Whether the first answer says that whatever else is asked would be answered the same."""
    return isinstance(first, Failure) or first.status in (404, 405) or in_front(where, first) is not None


def _findings(where: Target, link: Connected | Failure, seen: Mapping[str, Seen], timeout: float) -> Iterator[Finding]:
    yield judge_scheme(where)
    if isinstance(link, Failure):
        yield _lost("connection", link, timeout)
        return
    yield from judge_link(where, link)
    for name, each in seen.items():
        yield from _judged(name, each, where, seen, timeout)
    answers = {name: each for name, each in seen.items() if isinstance(each, Answer)}
    if answers:
        yield _speed(answers)
        yield _clock(next(iter(answers.values())))


def _judged(name: str, each: Seen, where: Target, seen: Mapping[str, Seen], timeout: float) -> Iterator[Finding]:
    if isinstance(each, Failure):
        if name == "too_large" and each.lost is Lost.CLOSED:
            yield told(name, "large_cut_off", each.detail, Severity.WARNING)
        else:
            yield _lost(name, each, timeout)
        return
    blocked = in_front(where, each) if name in ("sender", "signed") else None
    if blocked is not None:
        yield blocked
    # A stranger without any token was let in already: that he is with one says nothing new.
    elif not (name == "token" and _let_in(seen.get("sender"))):
        yield VERDICTS[name](each)


def _let_in(first: Seen | None) -> bool:
    return isinstance(first, Answer) and first.accepted


def _speed(answers: Mapping[str, Answer]) -> Finding:
    name, slowest = max(answers.items(), key=lambda each: each[1].seconds)
    what = f"the slowest answer ({name}) took {slowest.seconds:.1f} s"
    if slowest.seconds > SLOWEST:
        return told("time", "too_slow", what)
    if slowest.seconds > SLOW:
        return told("time", "too_slow", what, Severity.WARNING)
    return fine("time", what)


def _clock(answer: Answer) -> Finding:
    try:
        # Of HTTP's dates each is in UTC, whatever it says (RFC 9110, section 5.6.7).
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return told("clock", "clock_unknown", "the answer has no Date to compare with", Severity.WARNING)
    # The answer was made somewhere between the request and now: that much is no difference.
    apart = theirs - answer.at if theirs > answer.at else min(0.0, theirs - (answer.at - answer.seconds))
    if abs(apart) > SKEW:
        return told("clock", "clock_skewed", f"its clock is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}")
    return fine("clock", f"its clock and this machine's are within {SKEW:.0f} s")


def _lost(check: str, failure: Failure, timeout: float) -> Finding:
    what = failure.detail
    if failure.lost is Lost.TIMEOUT:
        what = f"nothing came within {timeout:g} s"
    return told(check, failure.lost.value, what)
