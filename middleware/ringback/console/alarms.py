"""The judgement of what has arrived: refusals, malformed deliveries, 503, and silence where calls are usual. Pure.

Doubt is said as doubt: what may be a stranger's doing, or has nothing to be compared with, is a warning and no problem.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.console.arrivals import usual
from ringback.console.remedies import remedy_for
from ringback.core.times import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ringback.console.arrivals import Arrivals
    from ringback.work.deliveries import Answer, Result

DOCTOR = "ringback doctor --url https://HOST/CALLBACK-PATH"
"""The command that asks a deployment from outside; the page does not know the URL."""

FEW = 3
"""Deliveries after the last accepted one, from which on they say more than the hour does."""

SOME = 10
"""Deliveries of the last hour from which on a tenth of all is worth a warning."""

QUIET = 300.0
"""Seconds without a delivery that are no silence yet, however many calls are usual."""

MISSED, MISSED_PERHAPS = 30.0, 10.0
"""Deliveries that are usual in the time of a silence. A call brings some four, and calls come by chance: where eight
calls are usual, none comes in one of 3,000 such times; where two or three are usual, in one of ten."""


class Severity(StrEnum):
    """How much is known to be wrong."""

    PROBLEM = "problem"
    WARNING = "warning"


class Alarm(Struct, frozen=True):
    """One fault of what arrives. ``name`` is a stable word; ``since`` is in seconds since 1970.

    ``why`` is the likely cause, ``doubt`` what else it may be; ``metric`` the metric that an alert can ask.
    """

    name: str
    severity: Severity
    what: str
    since: float | None
    why: str
    remedy: str
    doubt: str = ""
    metric: str = ""
    command: str = DOCTOR


def alarms(arrivals: Arrivals) -> tuple[Alarm, ...]:
    """All that is wrong with what arrives, problems first."""
    found = [*_answered(arrivals)]
    if not any(each.severity is Severity.PROBLEM and each.name.startswith("every_") for each in found):
        # What is refused is not silent.
        found += _silent(arrivals)
    return tuple(sorted(found, key=lambda each: each.severity is not Severity.PROBLEM))


class _Fault(Struct, frozen=True):
    """Answers of some results. ``verb`` says of deliveries what happened to them."""

    name: str
    results: tuple[Result, ...]
    verb: str
    harmless: frozenset[str] = frozenset()
    """Reasons for which anybody can be answered so who has found the URL."""


_FAULTS = (
    _Fault(
        "refused",
        ("refused",),
        "refused with 401",
        frozenset({"token_missing", "secret_missing", "scheme_unknown", "subscription_unknown"}),
    ),
    _Fault("unavailable", ("unavailable",), "answered with 503"),
    _Fault(
        "malformed",
        ("malformed", "too_large"),
        "rejected as malformed or too large",
        frozenset({"empty", "not_json", "no_event", "encoding", "validation", "too_deep", "body", "headers", "events"}),
    ),
    _Fault("interrupted", ("interrupted",), "broken off before the body was complete"),
)


def _answered(arrivals: Arrivals) -> Iterator[Alarm]:
    accepted_in = [each.at for each in arrivals.lately if each.result == "accepted"]
    # After the last minute with an accepted delivery something may have changed.
    begin = max(accepted_in, default=arrivals.since - MINUTE) + MINUTE
    counts, hour = arrivals.counts(begin), arrivals.counts()
    if counts.total() < FEW:
        # Where nothing came within the hour, what came before it is the latest that is known.
        counts = hour or arrivals.unaccepted()
    for fault in _FAULTS:
        of_fault = {answer: count for answer, count in counts.items() if answer[0] in fault.results}
        if of_fault:
            yield from (
                alarm
                for alarm in _of(fault, of_fault, counts.total(), arrivals)
                if hour or alarm.severity is Severity.PROBLEM
            )


def _of(fault: _Fault, found: dict[Answer, int], total: int, arrivals: Arrivals) -> Iterator[Alarm]:
    count = sum(found.values())
    if count == total:
        share, what = "every", f"Every delivery is {fault.verb}: {count:,} of {total:,}"
    elif 2 * count > total:
        share, what = "most", f"Most deliveries are {fault.verb}: {count:,} of {total:,}"
    elif fault.name == "unavailable" or (count >= SOME and 10 * count >= total):
        share, what = "some", f"{count:,} of {total:,} deliveries are {fault.verb}"
    else:
        return
    worst = max(found, key=lambda answer: (found[answer], answer))
    why, remedy = remedy_for(worst)
    doubt = _doubt(fault, found, arrivals)
    yield Alarm(
        name=f"{share}_{fault.name}",
        severity=Severity.WARNING if doubt or share == "some" else Severity.PROBLEM,
        what=f"{what}, {_reasons(found)}.",
        since=_since(fault, share, arrivals),
        why=why,
        remedy=remedy,
        doubt=doubt,
        metric=f'ringback.deliveries{{result="{worst[0]}"}}',
    )


def _doubt(fault: _Fault, found: dict[Answer, int], arrivals: Arrivals) -> str:
    """Why this may be a stranger's doing alone; nothing where Microsoft's deliveries are missing beside."""
    if arrivals.last.accepted is None or any(reason not in fault.harmless for _, reason in found):
        return ""
    if _missing(arrivals, arrivals.last.accepted) is Severity.PROBLEM:
        return ""
    return "A stranger who has found the URL is answered so as well, and no delivery is missing for certain."


def _reasons(found: dict[Answer, int]) -> str:
    first, *others = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    named = f"because of {first[0][1]}"
    return f"most often {named}" if others else named


def _since(fault: _Fault, share: str, arrivals: Arrivals) -> float:
    """The first delivery of the kind in a row that no accepted delivery ended; else the first of the last hour."""
    if share != "every" and arrivals.counts():
        return min(each.at for each in arrivals.lately if each.result in fault.results)
    accepted = arrivals.last.accepted or 0.0
    times = [each.at for each in (*arrivals.before, *arrivals.lately) if each.result in fault.results]
    return max(accepted, min(at for at in times if at + HOUR > accepted))


def _silent(arrivals: Arrivals) -> Iterator[Alarm]:
    last = arrivals.last
    if last.any is None:
        if arrivals.called is None:
            yield _never(validated=last.first is not None)
        return
    begin = last.any if last.accepted is None else last.accepted
    severity = _missing(arrivals, begin)
    if severity is None:
        return
    usually = usual(arrivals, begin, arrivals.at)
    quiet = span(arrivals.at - begin)
    if usually.counts:
        what = (
            f"No delivery has been accepted for {quiet}. On the {usually.days} "
            f"{usually.mean:,.0f} came in the same time" + (" on average." if len(usually.counts) > 1 else ".")
        )
    else:
        what = f"No delivery has been accepted for {quiet}; before that they came every {span(1 / _pace(arrivals))}."
    yield Alarm(
        name="silent",
        severity=severity,
        what=what,
        since=begin,
        why="nobody calls, or events no longer reach the app: the callback URL, the event subscription or the tunnel "
        "has changed, or the certificate has ended",
        remedy="Place a call. If nothing arrives, ask the deployment from outside, and see in the portal whether the "
        "event subscription delivers.",
        doubt=usually.doubt or ("" if usually.least >= MISSED else "One of these days was nearly as quiet."),
        metric='ringback.deliveries{result="accepted"}',
    )


def _missing(arrivals: Arrivals, begin: float) -> Severity | None:
    """Whether deliveries are missing that usually come in the time from ``begin`` on."""
    if arrivals.at - begin < QUIET:
        return None
    usually = usual(arrivals, begin, arrivals.at)
    if usually.counts:
        if usually.least >= MISSED and not usually.doubt:
            return Severity.PROBLEM
        return Severity.WARNING if usually.mean >= MISSED_PERHAPS else None
    rate = _pace(arrivals)
    return Severity.WARNING if rate * (arrivals.at - begin) >= MISSED else None


def _pace(arrivals: Arrivals) -> float:
    """Deliveries accepted a second, from the first to the last."""
    first, end = arrivals.last.first, arrivals.last.accepted
    if first is None or end is None or end - first < QUIET:
        return 0.0
    return arrivals.accepted(first, end) / (end - first)


def _never(*, validated: bool) -> Alarm:
    if validated:
        what = "No event has ever arrived; Event Grid has validated the URL."
        why = "no call has been placed, or the event subscription filters the events away"
    else:
        what = "Nothing has ever arrived."
        why = "no call has been placed, or nobody reaches the app: the callback URL, the event subscription, the tunnel"
    return Alarm(
        name="never",
        severity=Severity.PROBLEM,
        what=what,
        since=None,
        why=why,
        remedy="Place a call. See that create_call and answer_call get the public https address of this app, with the "
        "path of the door; that the tunnel runs; and that the event subscription names the same address.",
        doubt="Right for a deployment that is new.",
        metric='ringback.deliveries{result="accepted"}',
    )


def span(seconds: float) -> str:
    """A time in its greatest unit, rounded: ``3 hours``."""
    for unit, size in (("day", DAY), ("hour", HOUR), ("minute", MINUTE)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.0f} {unit}s"
    return f"{max(1.0, seconds):,.0f} second{'s' if seconds >= 1.5 else ''}"


def status_of(found: Sequence[Alarm]) -> str:
    """One word for the page: ``problem``, ``warning`` or ``ok``."""
    return found[0].severity.value if found else "ok"
