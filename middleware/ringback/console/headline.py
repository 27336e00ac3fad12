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
"""Owners whom nobody on call can reach or help."""


class Failure(Struct, frozen=True):
    """A cause of calls that did not end as intended.

    ``since`` and ``until``, in UTC, bound the latest run of the failure. A run is a row of points in which calls ended,
    without regard to points without calls. In every point of a run, the share of calls with this cause is at least a
    quarter of the share in the point that had most of them. ``lately`` counts the failure's calls in the run.
    ``whole``: no call of the range ended before the run. ``now``: no call ended after the run, except in the point that
    is not over. ``acts`` says who must act.
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
    """``worst`` fails most. If its owner is idle, ``ours`` is the worst failure with another owner."""

    worst: Failure
    ours: Failure | None


def headline(snapshot: Snapshot, verdicts: Verdicts) -> Headline | None:
    """The headline of a snapshot; ``None`` if every call ended as intended."""
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
    ours = next((failure for acting, failure in rest if acting not in IDLE), None) if owner in IDLE else None
    return Headline(worst, ours)


def _failure(cause: Cause, ended: int, snapshot: Snapshot, verdicts: Verdicts) -> tuple[Owner | None, Failure]:
    # The verdict on the most frequent pair stands for the cause.
    outcome = next(
        (
            found
            for pair in snapshot.pairs
            if pair.cause is cause
            and (found := verdicts.of(pair)) is not None
            and found.retry_class is not RetryClass.NONE
        ),
        None,
    )
    owner = None if outcome is None else outcome.owner
    point = snapshot.range.point
    sums, all_sums = Counter[int](), Counter[int]()
    for count in snapshot.counts:
        at = int((count.at - snapshot.since) // point)
        all_sums[at] += count.count
        if count.cause is cause and count.retry is not RetryClass.NONE:
            sums[at] += count.count
    peak = max(sums, key=lambda at: (sums[at], at))
    enough = sums[peak] / all_sums[peak] / 4
    high = {at for at in sums if sums[at] / all_sums[at] >= enough}
    # Points without calls do not end a run.
    points = sorted(all_sums)
    last = first = points.index(max(high))
    while first > 0 and points[first - 1] in high:
        first -= 1
    return owner, Failure(
        cause=cause.value,
        count=sums.total(),
        lately=sum(sums[at] for at in points[first : last + 1]),
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
