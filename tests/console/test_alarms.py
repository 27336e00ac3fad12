"""The judgement of what arrives, as a table of deployments: what is red, what is in doubt, and what is in order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.console.alarms import DOCTOR, QUIET, Alarm, Severity, alarms, span, status_of
from ringback.console.arrivals import Arrivals, arrivals, usual
from ringback.console.remedies import REMEDIES, remedy_for
from ringback.core.times import DAY, HOUR, WEEK
from ringback.stores import MemoryStore
from ringback.work.deliveries import ACCEPTED, REASONS, Counted, Deliveries, LastDelivery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback.work.deliveries import Answer

NOW = 1_767_268_830.0
"""Thursday 2026-01-01 12:00:30 UTC."""

SUNDAY = NOW + 3 * DAY

AUDIENCE: Answer = ("refused", "audience_wrong")
NO_TOKEN: Answer = ("refused", "token_missing")
NO_JSON: Answer = ("malformed", "not_json")
STORE: Answer = ("unavailable", "store")
LEFT: Answer = ("interrupted", "sender_left")


class Arrived:
    """A deployment's past, told in seconds before ``now``."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.since = int(now // 60) * 60 - HOUR + 60
        self.minutes: Counter[tuple[float, Answer]] = Counter()
        self.hours: Counter[tuple[float, Answer]] = Counter()
        self.last: dict[str, float] = {}
        self.first = now
        self.called: float | None = None

    def came(self, ago: float, count: int = 1, answer: Answer = ACCEPTED) -> Arrived:
        at = self.now - ago
        minute = at // 60 * 60
        if minute >= self.since:
            self.minutes[minute, answer] += count
        else:
            self.hours[self.since - (self.since - minute + HOUR - 1) // HOUR * HOUR, answer] += count
        self.first = min(self.first, minute)
        self.last[answer[0]] = max(at, self.last.get(answer[0], at))
        return self

    def every(self, step: float, begin: float, end: float, count: int = 1, answer: Answer = ACCEPTED) -> Arrived:
        """So many every ``step`` seconds, from ``begin`` to ``end`` seconds ago."""
        ago = begin
        while ago >= end:
            self.came(ago, count, answer)
            ago -= step
        return self

    def days(self, numbers: Iterable[int], end: float = 0.0, count: int = 60) -> Arrived:
        """Calls round the clock on the days that are so many days ago, counted to ``end``."""
        for number in numbers:
            self.every(HOUR, number * DAY + DAY - HOUR, number * DAY + end, count)
        return self

    def arrivals(self) -> Arrivals:
        arrived = {result: at for result, at in self.last.items() if result != "handshake"}
        last = LastDelivery(
            max(arrived.values(), default=None), arrived.get("accepted"), self.first if self.last else None
        )
        lately, before = (
            tuple(Deliveries(at, *answer, count) for (at, answer), count in sorted(counts.items()))
            for counts in (self.minutes, self.hours)
        )
        return Arrivals(self.now, self.since, lately, before, last, self.called)

    def judged(self) -> list[tuple[str, str]]:
        return [(each.name, each.severity.value) for each in alarms(self.arrivals())]


RED, AMBER = "problem", "warning"
WEEKS = range(1, 29)

DEPLOYMENTS = {
    "nothing has ever arrived": (Arrived(), [("never", RED)]),
    "a handshake and nothing else": (Arrived().came(600, 1, ("handshake", "eventgrid")), [("never", RED)]),
    "every callback refused from the beginning": (Arrived().every(60, 1200, 60, 1, AUDIENCE), [("every_refused", RED)]),
    "one callback, and it is refused": (Arrived().came(10, 1, AUDIENCE), [("every_refused", RED)]),
    "no token from the beginning: a gateway takes it off": (Arrived().came(9, 20, NO_TOKEN), [("every_refused", RED)]),
    "all refused for hours, and then nobody called": (Arrived().came(5 * HOUR, 20, AUDIENCE), [("every_refused", RED)]),
    "refused since a new secret, in the middle of the hour": (
        Arrived().every(60, 50 * 60, 20 * 60, 5).every(60, 17 * 60, 60, 5, ("refused", "secret_wrong")),
        [("every_refused", RED)],
    ),
    "refused in the same minute as the last accepted one, and not since": (
        Arrived().days(WEEKS).every(60, 3000, 60).came(30, 2, AUDIENCE), []
    ),
    "most refused": (Arrived().every(60, 3000, 0).every(60, 3000, 0, 3, AUDIENCE), [("most_refused", RED)]),
    "a fifth refused": (Arrived().every(60, 3000, 0, 4).every(60, 3000, 0, 1, AUDIENCE), [("some_refused", AMBER)]),
    "a few refused among many": (Arrived().every(60, 3000, 0, 40).came(100, 9, AUDIENCE), []),
    "a flood of strangers beside the usual calls": (
        Arrived().days(WEEKS).every(60, 3000, 0).every(60, 3000, 0, 50, NO_TOKEN), [("most_refused", AMBER)]
    ),
    "a stranger in a quiet night": (Arrived().days([1, 2, 3], count=0).came(9 * HOUR, 40).came(700, 5, NO_TOKEN), [
        ("every_refused", AMBER)
    ]),
    "a stranger yesterday in a deployment that rests": (Arrived().came(50 * HOUR, 4).came(20 * HOUR, 5, NO_TOKEN), []),
    "no token where calls are usual": (
        Arrived().days(WEEKS).came(2 * HOUR, 60).every(60, 3500, 30, 1, NO_TOKEN), [("every_refused", RED)]
    ),
    "every body malformed": (Arrived().every(60, 1200, 0, 2, NO_JSON), [("every_malformed", RED)]),
    "a tenth malformed": (Arrived().every(60, 3000, 0, 9).every(60, 3000, 0, 1, NO_JSON), [("some_malformed", AMBER)]),
    "the store is away": (
        Arrived().every(60, 3000, 600).every(60, 500, 0, 1, STORE), [("every_unavailable", RED)]
    ),
    "the store was away for a moment": (
        Arrived().every(60, 3500, 0).came(2000, 1, STORE), [("some_unavailable", AMBER)]
    ),
    "a network that breaks off": (Arrived().every(60, 1200, 0, 1, LEFT), [("every_interrupted", RED)]),
    "two faults, none of them alone": (
        Arrived().came(700, 6, AUDIENCE).came(600, 4, STORE), [("most_refused", RED), ("some_unavailable", AMBER)]
    ),
    "two faults for hours, and then nobody called": (
        Arrived().came(7 * HOUR, 6, AUDIENCE).came(8 * HOUR, 4, STORE), [("most_refused", RED)]
    ),
    "calls as ever": (Arrived().days(WEEKS).every(60, 3500, 0), []),
    "silent for an hour where calls are usual": (Arrived().days(WEEKS).came(HOUR + 100, 60), [("silent", RED)]),
    "silent for two minutes where thousands are usual": (
        Arrived().days(WEEKS, count=9000).every(60, 3500, 120, 150), []
    ),
    "silent for ten minutes where thousands are usual": (
        Arrived().days(WEEKS, count=9000).every(60, 3500, 600, 150), [("silent", RED)]
    ),
    "a silent Sunday, as Sundays are": (
        Arrived(SUNDAY).days([day for day in WEEKS if day % 7]).came(13 * HOUR, 60), []
    ),
    "a silent Sunday where Sundays have calls": (Arrived(SUNDAY).days(WEEKS).came(2 * HOUR, 60), [("silent", RED)]),
    "the first Sunday": (Arrived(SUNDAY).days(range(1, 6)).came(3 * HOUR, 60), [("silent", AMBER)]),
    "silent on a weekday of the first week": (Arrived().days(range(1, 5)).came(2 * HOUR, 60), [("silent", RED)]),
    "silent on the second day": (Arrived().days([1, 2]).came(30 * HOUR, 60), [("silent", AMBER)]),
    "silent on the first day": (Arrived().every(60, 5 * HOUR, 2 * HOUR), [("silent", AMBER)]),
    "a single call an hour ago": (Arrived().came(HOUR + 600, 4), []),
    "one of the last Thursdays was a holiday": (
        Arrived().days([day for day in WEEKS if day != 7]).came(2 * HOUR, 60), [("silent", AMBER)]
    ),
    "few calls a day": (Arrived().days(WEEKS, count=1).came(3 * HOUR, 1), []),
    "silent for three weeks": (Arrived().days(range(21, 29)).came(21 * DAY, 60), [("silent", RED)]),
    "calls from before there were counts": (Arrived(), []),
}  # fmt: skip
DEPLOYMENTS["calls from before there were counts"][0].called = NOW - 5


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_deployment_is_judged_as_a_person_would(name: str) -> None:
    """Red before anybody asks where it is certain; a warning where it may be a stranger's doing, or a holiday."""
    deployment, expected = DEPLOYMENTS[name]
    assert deployment.judged() == expected


def test_an_alarm_says_since_when_why_and_what_to_do() -> None:
    """As `ringback doctor` would, with the command that asks."""
    [alarm] = alarms(Arrived().came(1200, 20, AUDIENCE).came(1100, 3, ("refused", "token_expired")).arrivals())
    assert alarm == Alarm(
        name="every_refused",
        severity=Severity.PROBLEM,
        what="Every delivery is refused with 401: 23 of 23, most often because of audience_wrong.",
        since=NOW - 1200 - 30,
        why="the tokens are for another resource than the one that the verifier names",
        remedy=remedy_for(AUDIENCE)[1],
        doubt="",
        metric='ringback.deliveries{result="refused"}',
        command=DOCTOR,
    )


def test_a_silence_is_compared_with_the_days_that_are_named() -> None:
    """The reader sees what is usual, and on which days."""
    [alarm] = alarms(Arrived(SUNDAY).days(WEEKS).came(2 * HOUR, 60).arrivals())
    assert alarm.what == (
        "No delivery has been accepted for 2 hours. On the last 4 Sundays 120 came in the same time on average."
    )
    assert (alarm.since, alarm.doubt) == (SUNDAY - 2 * HOUR, "")


def test_a_silence_without_another_day_says_how_often_they_came() -> None:
    [alarm] = alarms(Arrived().every(60, 5 * HOUR, 2 * HOUR).arrivals())
    assert alarm.what == "No delivery has been accepted for 2 hours; before that they came every 60 seconds."
    assert alarm.doubt == "There is no earlier day to compare with: the calls may have ended for the day."


@pytest.mark.parametrize(
    ("days", "doubt"),
    [
        ([1], "There is one earlier day to compare with."),
        (range(1, 6), "There are not two Sundays to compare with."),
    ],
)
def test_doubt_is_said_as_doubt(days: Iterable[int], doubt: str) -> None:
    """A person may know better than the counts."""
    [alarm] = alarms(Arrived(SUNDAY).days(days).came(3 * HOUR, 60).arrivals())
    assert (alarm.severity, alarm.doubt) == (Severity.WARNING, doubt)


def test_refusals_begin_after_the_last_accepted_delivery() -> None:
    """Also where that was hours ago."""
    [alarm] = alarms(Arrived().days(WEEKS).came(5 * HOUR, 9).every(600, 4 * HOUR, 60, 1, AUDIENCE).arrivals())
    assert alarm.since is not None
    assert NOW - 5 * HOUR <= alarm.since <= NOW - 4 * HOUR


@pytest.mark.parametrize(
    ("found", "word"), [([], "ok"), ([Severity.WARNING], "warning"), ([Severity.PROBLEM], "problem")]
)
def test_the_page_has_one_word_for_its_state(found: list[Severity], word: str) -> None:
    assert status_of([Alarm("a", each, "", None, "", "") for each in found]) == word


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 second"), (1.4, "1 second"), (59, "59 seconds"), (89, "89 seconds"), (90, "2 minutes"),
        (5399, "90 minutes"), (5400, "2 hours"), (3 * DAY, "3 days"), (4000 * DAY, "4,000 days"),
    ],
)  # fmt: skip
def test_a_time_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_every_reason_has_a_cause_and_a_remedy() -> None:
    """A row of the table is a reason that there is, and each reason that is no good answer has texts."""
    for result, reasons in REASONS.items():
        for reason in reasons if result not in ("accepted", "handshake") else ():
            why, remedy = remedy_for((result, reason))
            assert why
            assert why[0].islower()
            assert remedy.endswith(".")
    assert all(reason in REASONS[result] for result, reason in REMEDIES)


ANSWERS = st.sampled_from([(result, reason) for result, reasons in REASONS.items() for reason in reasons])
PAST = st.lists(st.tuples(st.integers(0, 28 * DAY - HOUR), st.integers(1, 500), ANSWERS), max_size=40)


@given(past=PAST)
def test_any_past_is_judged(past: list[tuple[int, int, Answer]]) -> None:
    """Whatever came: an alarm has a time that is past, problems come first, and good answers alone are no fault."""
    deployment = Arrived()
    for ago, count, answer in past:
        deployment.came(ago, count, answer)
    found = alarms(deployment.arrivals())
    assert all(each.since is None or each.since <= NOW for each in found)
    assert [each.severity for each in found] == sorted([each.severity for each in found], key=list(Severity).index)
    assert len({each.name for each in found}) == len(found)
    if {answer[0] for _, _, answer in past} <= {"accepted"}:
        assert {each.name for each in found} <= {"silent", "never"}


@given(past=PAST, quiet=st.floats(QUIET, 6 * DAY))
def test_what_is_usual_is_never_more_than_what_came(past: list[tuple[int, int, Answer]], quiet: float) -> None:
    """Each of the days counts once."""
    deployment = Arrived()
    for ago, count, answer in past:
        deployment.came(ago, count, answer)
    arrived = deployment.arrivals()
    usually = usual(arrived, NOW - quiet, NOW)
    assert all(0 <= each <= sum(count for _, count, _ in past) + 1e-6 for each in usually.counts)
    assert usually.least <= usually.mean + 1e-6


async def test_several_stores_are_judged_as_one() -> None:
    """Two middlewares with stores of their own are one deployment."""
    stores = [MemoryStore(clock=lambda: NOW) for _ in range(2)]
    minute = int(NOW // 60) * 60
    await stores[0].count_deliveries([Counted(minute - HOUR + 60, "accepted", "", 2, NOW - HOUR + 60)])
    await stores[0].count_deliveries([Counted(minute - WEEK, "accepted", "", 3, NOW - WEEK)])
    await stores[1].count_deliveries([Counted(minute - HOUR + 60, "accepted", "", 5, NOW - HOUR + 70)])
    await stores[1].count_deliveries([Counted(minute, "refused", "audience_wrong", 1, NOW)])
    found = await arrivals(stores, NOW)
    assert found.lately == (
        Deliveries(minute - HOUR + 60, "accepted", "", 7),
        Deliveries(minute, "refused", "audience_wrong", 1),
    )
    assert sum(each.count for each in found.before) == 3
    assert found.last == LastDelivery(NOW, NOW - HOUR + 70, (minute - WEEK) // HOUR * HOUR)
    assert found.called is None
