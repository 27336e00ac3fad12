"""Once for each call, whatever the order and however often its events arrive."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import Event, Outcome, classify_event
from ringback.core.events import EventData, Result
from ringback.work.latch import Latch, Offer, informed

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
OTHER_LEG = "1f0e5c1a-0000-4000-8000-000000000002"
CALL = "1f0e5c1a-0000-4000-8000-00000000000c"
BUSY = Result(486, 560486)


def told(
    name: str,
    leg: str | None = LEG,
    result: Result | None = BUSY,
    *,
    call: str | None = CALL,
    event_id: str | None = None,
) -> Outcome:
    data = EventData(call_connection_id=leg, correlation_id=call, result_information=result)
    event = Event(type=f"Microsoft.Communication.{name}", id=event_id or f"{name}-{leg or call}", data=data)
    outcome = classify_event(event)
    assert outcome is not None
    return outcome


def waiting_in(latch: Latch) -> tuple[str, ...]:
    """The keys of the ends that still settle, oldest first."""
    return tuple(latch._settling)


def test_an_ending_is_opened_and_taken_once() -> None:
    """What was taken is not there to be taken again."""
    latch, outcome = Latch(), told("CallDisconnected")
    assert latch.take(outcome.outcome_id) is None
    assert latch.offer(outcome) is Offer.OPENED
    assert (waiting_in(latch), len(latch._taken)) == ((f"call:{LEG}",), 0)
    assert latch.take(outcome.outcome_id) is outcome
    assert (latch.take(outcome.outcome_id), waiting_in(latch), len(latch._taken)) == (None, (), 1)


def test_operations_of_two_sources_are_two() -> None:
    """Equal ids are no redelivery where the sources differ."""
    latch = Latch()
    played = [
        Outcome(Event("Microsoft.Communication.PlayFailed", "1", source), told("PlayFailed").verdict)
        for source in ("calling/a", "calling/b", None)
    ]
    assert [latch.offer(each) for each in played] == [Offer.OPENED] * 3
    assert [latch.offer(each) for each in played] == [Offer.DUPLICATE] * 3


def test_settling_endings_are_listed_oldest_first() -> None:
    """Who drains the latch acts in the order in which the calls ended."""
    latch = Latch()
    for leg in (OTHER_LEG, LEG):
        latch.offer(told("CallDisconnected", leg))
    latch.offer(told("CreateCallFailed", OTHER_LEG))
    assert waiting_in(latch) == (f"call:{OTHER_LEG}", f"call:{LEG}")


DISCONNECTED, CREATE_FAILED = told("CallDisconnected"), told("CreateCallFailed")
BARE_DISCONNECTED, BARE_CREATE_FAILED = told("CallDisconnected", result=None), told("CreateCallFailed", result=None)
CONNECT_FAILED = told("ConnectFailed")


@pytest.mark.parametrize(
    ("best", "rest"),
    [
        pytest.param(CREATE_FAILED, DISCONNECTED, id="a-start-failure"),
        pytest.param(BARE_CREATE_FAILED, BARE_DISCONNECTED, id="a-start-failure-though-neither-has-a-result"),
        pytest.param(CREATE_FAILED, BARE_DISCONNECTED, id="a-result-and-start-failure"),
        pytest.param(DISCONNECTED, BARE_CREATE_FAILED, id="a-result-before-a-start-failure"),
    ],
)
@pytest.mark.parametrize("best_first", [True, False], ids=["best-first", "best-last"])
def test_the_more_informative_of_the_pair_wins(best: Outcome, rest: Outcome, best_first: bool) -> None:
    """A result outranks none, then the event that says that the call never started; the order means nothing."""
    latch = Latch()
    pair = (best, rest) if best_first else (rest, best)
    assert [latch.offer(each) for each in pair] == [Offer.OPENED, Offer.MERGED]
    assert latch.take(f"call:{LEG}") == Outcome(best.event, best.verdict, rest.event)


def test_of_two_equally_informative_events_the_first_wins() -> None:
    """A tie changes nothing that was already known."""
    latch = Latch()
    assert [latch.offer(each) for each in (CREATE_FAILED, CONNECT_FAILED)] == [Offer.OPENED, Offer.MERGED]
    assert latch.take(f"call:{LEG}") == Outcome(CREATE_FAILED.event, CREATE_FAILED.verdict, CONNECT_FAILED.event)


@pytest.mark.parametrize(
    "again", [DISCONNECTED, told("CallDisconnected", event_id="another-id")], ids=["same", "new-id"]
)
def test_a_redelivery_is_a_duplicate_while_it_settles_and_after(again: Outcome) -> None:
    """The same event of the same leg is the same news, whatever its event id."""
    latch = Latch()
    assert [latch.offer(DISCONNECTED), latch.offer(again)] == [Offer.OPENED, Offer.DUPLICATE]
    assert latch.take(f"call:{LEG}") is DISCONNECTED
    assert [latch.offer(again), latch.take(f"call:{LEG}")] == [Offer.DUPLICATE, None]


def test_a_late_sibling_is_a_duplicate() -> None:
    """Once the hooks were called, the other event of the call cannot call them again."""
    latch = Latch()
    latch.offer(DISCONNECTED)
    assert latch.take(f"call:{LEG}") is DISCONNECTED
    assert [latch.offer(CREATE_FAILED), latch.take(f"call:{LEG}")] == [Offer.DUPLICATE, None]


@pytest.mark.parametrize(
    ("reports", "best", "sibling"),
    [
        pytest.param(
            (BARE_DISCONNECTED, BARE_CREATE_FAILED, DISCONNECTED), DISCONNECTED, BARE_CREATE_FAILED, id="result"
        ),
        pytest.param((BARE_DISCONNECTED, DISCONNECTED, CREATE_FAILED), CREATE_FAILED, DISCONNECTED, id="start-failure"),
        pytest.param((DISCONNECTED, CREATE_FAILED, CONNECT_FAILED), CREATE_FAILED, DISCONNECTED, id="no-more"),
    ],
)
def test_a_third_report_counts_if_it_says_more(reports: tuple[Outcome, ...], best: Outcome, sibling: Outcome) -> None:
    """The hooks get the best of all that came while the end settled, with one sibling."""
    latch = Latch()
    third = Offer.MERGED if best is reports[2] else Offer.DUPLICATE
    assert [latch.offer(each) for each in reports] == [Offer.OPENED, Offer.MERGED, third]
    assert latch.take(f"call:{LEG}") == Outcome(best.event, best.verdict, sibling.event)


def test_while_a_late_reason_settles_other_reports_are_its_siblings() -> None:
    """One of them may have the operation context; hooks get no third outcome of the end."""
    latch, late = Latch(), informed(f"call:{LEG}")
    assert latch.offer(BARE_DISCONNECTED) is Offer.OPENED
    latch.take(f"call:{LEG}")
    assert [latch.offer(each) for each in (CREATE_FAILED, BARE_DISCONNECTED)] == [Offer.OPENED, Offer.MERGED]
    assert latch.take(late) == Outcome(CREATE_FAILED.event, CREATE_FAILED.verdict, BARE_DISCONNECTED.event)
    assert latch.offer(BARE_DISCONNECTED) is Offer.DUPLICATE


def test_each_leg_of_a_call_has_its_own_ending() -> None:
    """After a transfer two legs end, with one correlation id: both are told."""
    latch, legs = Latch(), [told("CallDisconnected", leg) for leg in (LEG, OTHER_LEG)]
    assert [latch.offer(each) for each in legs] == [Offer.OPENED, Offer.OPENED]
    assert [latch.take(each.outcome_id) for each in legs] == legs


def test_operations_are_told_apart_by_their_event_id() -> None:
    """Two operations of one leg are two outcomes; one delivered twice is one."""
    latch, played = Latch(), [told("PlayFailed", event_id=f"e{number}") for number in range(2)]
    assert [latch.offer(each) for each in (*played, played[0])] == [Offer.OPENED, Offer.OPENED, Offer.DUPLICATE]
    assert [latch.take(each.outcome_id) for each in played] == played


def ended(leg: str | None = None, call: str | None = CALL) -> Outcome:
    return told("CallEnded", leg, None, call=call)


def test_call_ended_after_a_leg_is_a_duplicate() -> None:
    """Event Grid's CallEnded tells of a whole call: it adds nothing once a leg has told its own end."""
    latch = Latch()
    assert [latch.offer(DISCONNECTED), latch.offer(ended())] == [Offer.OPENED, Offer.DUPLICATE]
    assert waiting_in(latch) == (f"call:{LEG}",)


def test_call_ended_that_still_settles_gives_way_to_a_leg() -> None:
    """The leg says more; the one it replaces is neither taken nor told later."""
    latch = Latch()
    assert [latch.offer(ended()), latch.offer(DISCONNECTED)] == [Offer.OPENED, Offer.OPENED]
    assert waiting_in(latch) == (f"call:{LEG}",)
    assert [latch.take(f"call:{CALL}"), latch.offer(ended())] == [None, Offer.DUPLICATE]
    assert latch.take(f"call:{LEG}") is DISCONNECTED


def test_call_ended_alone_is_told() -> None:
    """An app that has only Event Grid hears of the end all the same."""
    latch, outcome = Latch(), ended()
    assert latch.offer(outcome) is Offer.OPENED
    assert latch.take(f"call:{CALL}") is outcome


def test_call_ended_of_another_call_is_told() -> None:
    """A leg speaks for its own call alone."""
    latch = Latch()
    latch.offer(DISCONNECTED)
    assert latch.offer(ended(call="1f0e5c1a-0000-4000-8000-00000000000d")) is Offer.OPENED


def test_call_ended_of_a_leg_merges_with_that_leg() -> None:
    """Where CallEnded names the leg it is that leg's sibling like any other."""
    latch = Latch()
    assert [latch.offer(ended(LEG)), latch.offer(DISCONNECTED)] == [Offer.OPENED, Offer.MERGED]
    assert latch.take(f"call:{LEG}") == Outcome(DISCONNECTED.event, DISCONNECTED.verdict, ended(LEG).event)


def test_a_leg_without_connection_id_joins_call_ended_and_is_kept_when_another_leg_comes() -> None:
    """Only a CallEnded that stands alone gives way: what a leg has told is never dropped."""
    latch, nameless = Latch(), told("CallDisconnected", None)
    assert [latch.offer(ended()), latch.offer(nameless)] == [Offer.OPENED, Offer.MERGED]
    assert latch.offer(DISCONNECTED) is Offer.OPENED
    assert waiting_in(latch) == (f"call:{CALL}", f"call:{LEG}")


def test_calls_without_correlation_id_know_nothing_of_each_other() -> None:
    """What cannot be joined is told rather than lost."""
    latch = Latch()
    outcomes = [told("CallDisconnected", call=None), ended(OTHER_LEG, None)]
    assert [latch.offer(each) for each in outcomes] == [Offer.OPENED, Offer.OPENED]


def test_the_ending_taken_first_is_forgotten_first() -> None:
    """Beyond its capacity the latch forgets, and what it forgot is news again."""
    latch = Latch(capacity=2)
    outcomes = [told("CallDisconnected", f"leg-{number}", call=f"call-{number}") for number in range(3)]
    for outcome in outcomes:
        latch.offer(outcome)
        latch.take(outcome.outcome_id)
    assert len(latch._taken) == 2
    assert [latch.offer(each) for each in reversed(outcomes)] == [Offer.DUPLICATE, Offer.DUPLICATE, Offer.OPENED]


def test_a_leg_is_forgotten_for_call_ended_beyond_the_capacity() -> None:
    """The memory of whole calls is bounded like that of endings."""
    latch = Latch(capacity=1)
    for call in ("call-0", "call-1"):
        latch.offer(told("CallDisconnected", f"leg-of-{call}", call=call))
    assert [latch.offer(ended(call=call)) for call in ("call-0", "call-1")] == [Offer.OPENED, Offer.DUPLICATE]


CALLS = ("CallDisconnected", "CreateCallFailed", "AnswerFailed")
EVENTS = st.builds(
    lambda name, leg, reported: told(
        name,
        f"leg-{leg}",
        BUSY if reported or name == "PlayFailed" else None,
        call=f"call-{leg % 2}",
        event_id=f"{name}-{leg}",
    ),
    st.sampled_from((*CALLS, "PlayFailed")),
    st.integers(0, 4),
    st.booleans(),
)
STEPS = st.lists(st.tuples(st.sampled_from(["offer", "offer", "take"]), EVENTS), max_size=60)


def is_told_again(outcome: Outcome, taken: dict[str, Outcome]) -> bool:
    """Whether its leg's end was taken without a result, and this has one."""
    return outcome.result is not None and outcome.outcome_id in taken and taken[outcome.outcome_id].result is None


@given(steps=STEPS)
def test_any_interleaving_lets_every_ending_through_exactly_once(steps: list[tuple[str, Outcome]]) -> None:
    """Pairs, redeliveries, operations and takes in any order: one outcome for each id, the best of its events.

    A leg's end that was taken without a result is let through once more, with the first event that has one.
    """
    latch = Latch()
    opened, told = Counter[str](), Counter[str]()
    taken: dict[str, Outcome] = {}
    joined: dict[str, list[Outcome]] = {}

    def take(key: str) -> None:
        outcome = latch.take(key)
        if outcome is not None:
            told[key] += 1
            taken[key] = outcome
            # The first of the most informative; `max` keeps the first of equals too.
            best = max(joined[key], key=Outcome.informs)
            others = [each.event for each in joined[key] if each is not best]
            assert (outcome.event, outcome.verdict) == (best.event, best.verdict)
            assert outcome.sibling in (others or [None])

    for action, outcome in steps:
        key = latch.name_of(outcome, outcome.outcome_id)
        late = informed(outcome.outcome_id)
        is_late = is_told_again(outcome, taken) or late in waiting_in(latch)
        assert key == (late if is_late else outcome.outcome_id)
        if action == "take":
            assert (key in waiting_in(latch)) is (opened[key] > told[key])
            take(key)
            continue
        offer = latch.offer(outcome)
        if not opened[key]:
            assert offer is Offer.OPENED
        elif told[key]:
            assert offer is Offer.DUPLICATE
        else:
            best = max(joined[key], key=Outcome.informs)
            brings_result = best.result is None and outcome.result is not None
            is_sibling = len(joined[key]) == 1 or outcome.informs() > best.informs()
            merges = brings_result or (outcome.event_name != best.event_name and is_sibling)
            assert offer is (Offer.MERGED if merges else Offer.DUPLICATE)
        opened[key] += offer is Offer.OPENED
        if offer is not Offer.DUPLICATE:
            joined.setdefault(key, []).append(outcome)

    for key in waiting_in(latch):
        take(key)
    offered = {outcome.outcome_id for action, outcome in steps if action == "offer"}
    assert told == opened
    assert set(told.values()) <= {1}
    assert {key for key in told if not key.endswith("/informed")} == offered
    # Whatever came, each ending for which somebody had a reason was told with it, last.
    with_reason = {each.outcome_id for action, each in steps if action == "offer" and each.result is not None}
    assert {key.removesuffix("/informed") for key, each in taken.items() if each.result is not None} == with_reason


@given(steps=STEPS, capacity=st.integers(0, 4))
def test_memory_is_bounded_and_nothing_that_settles_is_lost(steps: list[tuple[str, Outcome]], capacity: int) -> None:
    """However small the capacity: what settles is kept, what was taken is remembered as long as there is room."""
    latch = Latch(capacity)
    settling: set[str] = set()
    last: list[str] = []
    for action, outcome in steps:
        key = latch.name_of(outcome, outcome.outcome_id)
        if action == "take":
            assert (latch.take(key) is not None) is (key in settling)
            if key in settling:
                settling.remove(key)
                last = [*last, key][-capacity:] if capacity else []
        elif latch.offer(outcome) is Offer.OPENED:
            assert key not in last
            assert key not in settling
            settling.add(key)
        assert set(waiting_in(latch)) == settling
        assert len(latch._taken) <= capacity


def test_the_first_event_with_a_reason_is_told_after_an_end_without_one() -> None:
    """Once, and with its sibling; what comes after that is a duplicate."""
    latch = Latch()
    assert latch.offer(BARE_DISCONNECTED) is Offer.OPENED
    assert latch.take(f"call:{LEG}") is BARE_DISCONNECTED
    assert latch.offer(BARE_CREATE_FAILED) is Offer.DUPLICATE
    assert [latch.offer(each) for each in (DISCONNECTED, CREATE_FAILED)] == [Offer.OPENED, Offer.MERGED]
    assert waiting_in(latch) == (f"call:{LEG}/informed",)
    told_again = latch.take(f"call:{LEG}/informed")
    assert told_again == Outcome(CREATE_FAILED.event, CREATE_FAILED.verdict, DISCONNECTED.event)
    again = (DISCONNECTED, CREATE_FAILED, BARE_DISCONNECTED)
    assert [latch.offer(each) for each in again] == [Offer.DUPLICATE] * 3


def test_the_same_event_with_a_reason_replaces_one_that_settles_without() -> None:
    """It was not told yet, so that it is told once."""
    latch = Latch()
    assert [latch.offer(each) for each in (BARE_DISCONNECTED, DISCONNECTED)] == [Offer.OPENED, Offer.MERGED]
    assert latch.take(f"call:{LEG}") == Outcome(DISCONNECTED.event, DISCONNECTED.verdict, BARE_DISCONNECTED.event)
