"""The one sentence at the top: what fails most, since when, and who must act. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback_catalog import Cause, Owner, RetryClass

if TYPE_CHECKING:
    from ringback.console.snapshot import Snapshot
    from ringback.console.verdicts import Verdicts

IDLE = frozenset({Owner.NOBODY, Owner.CALLEE})
"""Owners who are not waiting for anybody's call at 3 a.m."""


class Failure(Struct, frozen=True):
    """A cause of calls that did not end as intended.

    ``since`` and ``until`` bound its latest run, in UTC: points of time, the bars of the success rate, in which calls
    ended, and of them with it at least a quarter of the share in the point that had most; ``lately`` is how many in
    that run. ``whole``: no call of the range ended before the run. ``now``: none after it, but perhaps in the point
    that is not over. ``acts`` says who must act.
    """

    cause: str
    count: int
    lately: int
    share: float
    since: str
    until: str
    whole: bool
    now: bool
    acts: str
    summary: str | None
    advice: str | None


class Headline(Struct, frozen=True):
    """What fails most; and, if nobody of ours can act on that, what fails most of the rest."""

    worst: Failure
    ours: Failure | None


def headline(snapshot: Snapshot, verdicts: Verdicts) -> Headline | None:
    """``None`` if every call ended as intended."""
    failed = [count for count in snapshot.counts if count.retry is not RetryClass.NONE]
    sums: Counter[Cause] = Counter()
    for count in failed:
        sums[count.cause] += count.count
    ranked = sorted(sums, key=lambda cause: (-sums[cause], cause.value))
    if not ranked:
        return None
    ended = sum(count.count for count in snapshot.counts)
    failures = [_failure(cause, ended, snapshot, verdicts) for cause in ranked]
    (owner, worst), rest = failures[0], failures[1:]
    ours = next((each for who, each in rest if who not in IDLE), None) if owner in IDLE else None
    return Headline(worst, ours)


def _failure(cause: Cause, ended: int, snapshot: Snapshot, verdicts: Verdicts) -> tuple[Owner | None, Failure]:
    # The most frequent pair speaks for its cause.
    outcome = next(
        (
            told
            for pair in snapshot.pairs
            if pair.cause is cause
            and (told := verdicts.of(pair)) is not None
            and told.retry_class is not RetryClass.NONE
        ),
        None,
    )
    owner = None if outcome is None else outcome.owner
    point = snapshot.range.point
    sums, all_sums = Counter[int](), Counter[int]()
    for each in snapshot.counts:
        at = int((each.at - snapshot.since) // point)
        all_sums[at] += each.count
        if each.cause is cause and each.retry is not RetryClass.NONE:
            sums[at] += each.count
    peak = max(sums, key=lambda at: (sums[at], at))
    enough = sums[peak] / all_sums[peak] / 4
    high = {at for at in sums if sums[at] / all_sums[at] >= enough}
    # A night without calls is no end of a failure.
    points = sorted(all_sums)
    last = first = points.index(max(high))
    while first > 0 and points[first - 1] in high:
        first -= 1
    return owner, Failure(
        cause=cause.value,
        count=sums.total(),
        lately=sum(sums[each] for each in points[first : last + 1]),
        share=sums.total() / ended,
        since=_clock(snapshot.since + points[first] * point),
        until=_clock(snapshot.since + (points[last] + 1) * point),
        whole=first == 0,
        now=len(points) - last <= 2,
        acts=_ACTS[owner],
        summary=None if outcome is None else outcome.summary,
        advice=None if outcome is None else next(iter(outcome.advice), None),
    )


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %b %H:%M}"


_ACTS = {
    Owner.NOBODY: "nobody must act",
    Owner.CALLEE: "only the person called can act",
    Owner.APP: "the app's developers must act",
    Owner.ADMIN: "the administrator of the Azure resource must act",
    Owner.CARRIER: "the carrier must act",
    Owner.AZURE: "Microsoft must act",
    None: "who must act depends on the call, see the pairs",
}
