"""The banner: what fails more than is usual for this hour, since when, who must act, and what to do. Pure."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ringback.console.filters import address
from ringback.console.snapshot import POINT
from ringback.core.times import DAY, HOUR
from ringback_catalog import Owner, RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringback.console.rows import Verdicts
    from ringback.console.snapshot import Snapshot
    from ringback.work.history import Count
    from ringback_catalog import Cause

IDLE = frozenset({Owner.NOBODY, Owner.CALLEE})
"""Owners whom nobody on call can reach or help."""

FEWEST = 5
"""Calls of a cause in an hour that make it worth a word."""

ENOUGH = 20
"""Calls that say what is usual."""

UNCOMPARED = 0.2
"""The share of the hour's calls from which on a cause fails, where nothing says what is usual."""

STEPS = (POINT, 3 * POINT, HOUR)
"""Seconds of a point: the shortest with :data:`FULL` calls on average says since when something fails."""
FULL = 10

WHOLE = DAY - 2 * HOUR
"""Seconds: what has failed for so long, since the first call that was read, fails all through the day."""


class Usual(Struct, frozen=True):
    """What is usual for the hour: how many calls end, and how many of them of each cause, on average.

    ``by`` says what was compared: ``days`` at this hour, or else the ``hours`` before.
    """

    by: str
    number: int
    ended: float
    failed: Mapping[Cause, float]

    def share(self, cause: Cause) -> float:
        return self.failed.get(cause, 0.0) / self.ended


def headline(snapshot: Snapshot, verdicts: Verdicts) -> dict[str, Any]:
    """``state`` is ``failing``, ``usual`` (something fails, as it does at this hour), ``fine`` or ``quiet`` (no call).

    ``worst`` fails most beyond what is usual. If its owner is idle, ``ours`` is the worst failure with another owner.
    """
    hour, usual = snapshot.hour, usual_of(snapshot)
    failed = _failed(hour.counts)
    state = "quiet" if not hour.ended else "usual" if failed else "fine"
    times = {"since": hour.since, "until": hour.until}
    beyond = {cause: count - (usual.share(cause) * hour.ended if usual else 0.0) for cause, count in failed.items()}
    above = [cause for cause in failed if _is_above(failed[cause], hour.ended, usual, cause)]
    ranked = sorted(above, key=lambda cause: (-beyond[cause], cause.value))
    found = [_failure(cause, snapshot, verdicts, usual) for cause in ranked]
    worst = found[0] if found else None
    ours = None
    if worst is not None and worst[0] in IDLE:
        ours = next((failure for owner, failure in found[1:] if owner not in IDLE), None)
    return {
        "state": "failing" if worst else state,
        "ended": hour.ended,
        "failed": failed.total(),
        "link": address(times),
        "failed_link": address({"intended": False, **times}),
        "usual": usual,
        "usual_failed": None if usual is None else sum(usual.failed.values()) / usual.ended,
        "worst": None if worst is None else worst[1],
        "ours": ours,
    }


def usual_of(snapshot: Snapshot) -> Usual | None:
    """What is usual for the hour: as on the days before, else as in the hours before; ``None`` with too few calls."""
    days = [count for hour in snapshot.before for count in hour.counts]
    if _ended(days) >= ENOUGH:
        return _usual("days", len(snapshot.before), days)
    rest = [count for count in snapshot.recent if count.at + POINT <= snapshot.hour.since]
    if _ended(rest) < ENOUGH:
        return None
    return _usual("hours", max(1, round((snapshot.hour.since - min(count.at for count in rest)) / HOUR)), rest)


def _usual(by: str, number: int, counts: Sequence[Count]) -> Usual:
    failed = {cause: count / number for cause, count in _failed(counts).items()}
    return Usual(by, number, _ended(counts) / number, failed)


def _is_above(count: int, ended: int, usual: Usual | None, cause: Cause) -> bool:
    """Whether so many calls of a cause are more than chance makes of what is usual: by three standard deviations of a
    Poisson distribution, https://en.wikipedia.org/wiki/Poisson_distribution.
    """
    if count < FEWEST:
        return False
    if usual is None:
        return count / ended >= UNCOMPARED
    expected = usual.share(cause) * ended
    return count >= expected + 3 * math.sqrt(expected + 1)


def _failure(
    cause: Cause, snapshot: Snapshot, verdicts: Verdicts, usual: Usual | None
) -> tuple[Owner | None, dict[str, Any]]:
    """A cause of calls that did not end as intended in the last hour, with who must act: ``count`` of all that ended.

    ``usual`` is the share that is usual, or ``None`` if nothing tells. ``since`` and ``until`` bound the latest run of
    points in which the share was nearer to that of the hour than to the usual one, and ``lately`` counts the calls of
    the run. ``whole``: the run is as old as the day that is read. ``now``: the run goes on.
    """
    # The verdict on the most frequent pair stands for the cause.
    pairs = (each for each in snapshot.hour.pairs if each.cause is cause and each.retry is not RetryClass.NONE)
    outcome = next((found for pair in pairs if (found := verdicts.of(pair)) is not None), None)
    owner = None if outcome is None else outcome.owner
    hour = snapshot.hour
    count = _failed(hour.counts)[cause]
    share, usually = count / hour.ended, None if usual is None else usual.share(cause)
    since, until, lately, whole = _run(snapshot, cause, (usually or 0.0) + (share - (usually or 0.0)) / 3)
    conditions = {"cause": cause.value, "intended": False, "until": hour.until}
    return owner, {
        "cause": cause,
        "count": count,
        "share": share,
        "usual": usually,
        "since": since,
        "until": until,
        "lasted": hour.until - since,
        "lately": lately,
        "whole": whole and hour.until - since >= WHOLE,
        "now": until >= hour.until,
        "acts": _ACTS[owner],
        "summary": None if outcome is None else outcome.summary,
        "advice": None if outcome is None else next(iter(outcome.advice), None),
        "link": address({**conditions, "since": hour.since}),
        "since_link": address({**conditions, "since": since, "until": min(until, hour.until)}),
    }


def _run(snapshot: Snapshot, cause: Cause, enough: float) -> tuple[float, float, int, bool]:
    """From when until when the share of the cause was ``enough`` last, its calls then, and whether there was no call
    before. Points without calls end no run.
    """
    step = _step(snapshot.recent)
    first = min(count.at for count in snapshot.recent)
    sums, all_sums = Counter[int](), Counter[int]()
    for count in snapshot.recent:
        at = int((count.at - first) // step)
        all_sums[at] += count.count
        if count.cause is cause and count.retry is not RetryClass.NONE:
            sums[at] += count.count
    points = sorted(all_sums)
    high = {at for at in points if sums[at] and sums[at] / all_sums[at] >= enough}
    # The points do not begin with the hour, so that calls before it may hide what failed within it.
    high = high or {max(sums, key=lambda at: (sums[at] / all_sums[at], at))}
    last = begin = points.index(max(high))
    while begin > 0 and points[begin - 1] in high:
        begin -= 1
    # The point that is not over says little, and so a run that ended just before it goes on.
    goes_on = len(points) - last <= 2
    until = snapshot.hour.until if goes_on else first + (points[last] + 1) * step
    lately = sum(sums[at] for at in points[begin : len(points) if goes_on else last + 1])
    return first + points[begin] * step, until, lately, begin == 0


def _step(counts: Sequence[Count]) -> int:
    ended = _ended(counts)
    for step in STEPS:
        if ended >= FULL * len({count.at // step for count in counts}):
            return step
    return STEPS[-1]


def _failed(counts: Iterable[Count]) -> Counter[Cause]:
    sums: Counter[Cause] = Counter()
    for count in counts:
        if count.retry is not RetryClass.NONE:
            sums[count.cause] += count.count
    return sums


def _ended(counts: Iterable[Count]) -> int:
    return sum(count.count for count in counts)


_ACTS = {
    Owner.NOBODY: "nobody must act",
    Owner.CALLEE: "only the person called can act",
    Owner.APP: "the app's developers must act",
    Owner.ADMIN: "the administrator of the Azure resource must act",
    Owner.CARRIER: "the carrier must act",
    Owner.AZURE: "Microsoft must act",
    None: "who must act depends on the call",
}
