"""Once for each call: which outcomes a dispatcher takes together, passes over, or says that nobody handles."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dispatching import (
    ADD_BUSY,
    CREATE_FAILED,
    LEG,
    OPERATION,
    PAIR,
    RETRYABLE,
    TERMINAL,
    UNKNOWN_OPERATION,
    UNKNOWN_RETRYABLE,
    Bench,
    told,
    turns,
)
from ringback import (
    Event,
    Outcome,
    classify_event,
)
from ringback.core.events import EventData, Result
from ringback.hooks.dispatcher import Dispatcher
from ringback.stores import Stats


@pytest.mark.parametrize("pair", [(RETRYABLE, CREATE_FAILED), (CREATE_FAILED, RETRYABLE)], ids=["as-sent", "reversed"])
@pytest.mark.parametrize("together", [True, False], ids=["one-delivery", "two-deliveries"])
async def test_the_pair_of_a_failed_create_calls_its_hooks_once(pair: tuple[Outcome, Outcome], together: bool) -> None:
    """Two events of one call in either order are one outcome; on redelivery no hook is called."""
    bench = Bench(settle=1)
    bench.router.on_retryable(bench.hook("again"))
    bench.router.on(event="CallDisconnected")(bench.hook("disconnected"))
    bench.router.on(event="CreateCallFailed")(bench.hook("failed"))
    for delivery in [pair] if together else [[each] for each in pair]:
        await bench.dispatcher.accept(delivery)
        await turns()
    assert bench.calls == []
    await bench.passes()
    assert bench.calls == [("again", PAIR), ("disconnected", PAIR), ("failed", PAIR)]
    assert bench.observer.told == []
    bench.calls.clear()
    await bench.dispatcher.accept(pair)
    await bench.passes()
    assert bench.calls == []
    assert bench.observer.told == [("duplicate", *pair)]


async def test_a_redelivery_while_the_call_settles_is_a_duplicate() -> None:
    """The settle time is for the sibling; the same event again adds nothing."""
    bench = Bench(settle=1)
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatcher.accept([RETRYABLE, RETRYABLE])
    await bench.passes()
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("duplicate", RETRYABLE)]
    assert bench.observer.duplicates_bound == [RETRYABLE.outcome_id]


@pytest.mark.parametrize(("settings", "seconds"), [({"settle": 0.25}, 0.25), ({}, 1.0)], ids=["given", "standard"])
async def test_the_settle_time_is_as_configured_and_one_second_by_default(
    settings: dict[str, float], seconds: float
) -> None:
    """No hook is called before it is over, and none later."""
    bench = Bench()
    bench.dispatcher = Dispatcher(bench.router, bench.observer, store=bench.store, clock=bench.clock, **settings)  # type: ignore[arg-type]
    bench.router.on_terminal(bench.hook("close"))
    other = told(leg="another", result=Result(200, 560000))
    await bench.dispatcher.accept([TERMINAL, other])
    await bench.passes(seconds / 2)
    assert bench.calls == []
    await bench.passes(seconds / 2)
    assert bench.calls == [("close", TERMINAL), ("close", other)]


async def test_without_a_settle_time_the_first_event_decides() -> None:
    """``settle=0`` trades the sibling for speed: no time passes, and the sibling is a duplicate."""
    bench = Bench(settle=0)
    bench.router.on_retryable(bench.hook("again"))
    await bench.dispatcher.accept([RETRYABLE])
    await turns()
    assert bench.calls == [("again", RETRYABLE)]
    await bench.dispatch(CREATE_FAILED)
    assert bench.calls == [("again", RETRYABLE)]
    assert bench.observer.told == [("duplicate", CREATE_FAILED)]


async def test_a_forgotten_call_is_news_again() -> None:
    """The memory of endings is bounded by the store's ``capacity``."""
    bench = Bench(capacity=1)
    bench.router.on_retryable(bench.hook("again"))
    other = told(leg="other")
    for outcome in (RETRYABLE, other, RETRYABLE, RETRYABLE):
        await bench.dispatch(outcome)
    assert bench.calls == [("again", RETRYABLE), ("again", other), ("again", RETRYABLE)]
    assert bench.observer.told == [("duplicate", RETRYABLE)]


async def test_operations_are_held_back_until_the_sender_has_the_response() -> None:
    """An operation has no sibling to wait for, but a route; delivered again it is a duplicate."""
    bench = Bench(settle=1)
    bench.router.on(event="PlayFailed")(bench.hook("play"))
    early = await bench.dispatcher.accept([OPERATION, OPERATION, RETRYABLE])
    await turns()
    assert bench.calls == []
    await bench.dispatcher.hasten(early)
    await turns()
    assert bench.calls == [("play", OPERATION)]
    assert bench.observer.told == [("duplicate", OPERATION)]
    assert set(early) == {OPERATION.outcome_id}


async def test_operations_are_passed_over_unless_somebody_asks() -> None:
    """They cost no memory and no duplicate line in an app that has no use for them."""
    bench = Bench(capacity=1)
    for register in (bench.router.on_retryable, bench.router.on_terminal, bench.router.on_unrecognized):
        register(bench.hook("call"))
    bench.router.on(cause="busy")(bench.hook("busy"))
    bench.router.on(when=lambda outcome: True)(bench.hook("all"))
    await bench.dispatch(TERMINAL)
    bench.calls.clear()
    await bench.dispatch(OPERATION, OPERATION, ADD_BUSY, TERMINAL)
    # That the call is still remembered shows that no operation took its place.
    assert (bench.calls, bench.observer.told) == ([], [("duplicate", TERMINAL)])


def whole(call: str, result: Result | None = None) -> Outcome:
    """Event Grid's end of a whole call."""
    data = EventData(correlation_id=call, result_information=result)
    outcome = classify_event(Event(type="Microsoft.Communication.CallEnded", id=f"whole-{call}", data=data))
    assert outcome is not None
    return outcome


WHOLE = whole("call-1")


def of_call_1(outcome: Outcome) -> Outcome:
    data = replace(outcome.event.data, correlation_id="call-1")
    return replace(outcome, event=replace(outcome.event, data=data))


@pytest.mark.parametrize("first", ["whole", "leg"])
@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("leg", [RETRYABLE, TERMINAL, told(result=Result(None, None))], ids=["busy", "ended", "silent"])
async def test_the_end_of_a_whole_call_without_a_reason_calls_no_hook(first: str, late: bool, leg: Outcome) -> None:
    """Beside the leg's own event, whichever comes first, and however late."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("retryable"))
    bench.router.on_terminal(bench.hook("terminal"))
    bench.router.on_unrecognized(bench.hook("unrecognized"))
    bench.router.on(when=lambda outcome: True)(bench.hook("all"))
    bench.router.on(scope="call")(bench.hook("calls"))
    outcomes = [of_call_1(leg), WHOLE] if first == "leg" else [WHOLE, of_call_1(leg)]
    for together in [[each] for each in outcomes] if late else [outcomes]:
        await bench.dispatch(*together)
    asked = "retryable" if leg.retryable else "terminal"
    assert bench.calls == [(each, of_call_1(leg)) for each in (asked, "all", "calls")]


async def test_who_asks_for_the_end_of_a_whole_call_by_its_name_hears_of_it() -> None:
    """An app that has Event Grid alone; with a reason, it is an end like any other."""
    bench = Bench()
    bench.router.on(event="CallEnded")(bench.hook("ended"))
    bench.router.on_terminal(bench.hook("terminal"))
    await bench.dispatch(WHOLE)
    assert bench.calls == [("ended", WHOLE)]
    bench.calls.clear()
    explained = whole("call-2", Result(603, 0))
    await bench.dispatch(explained)
    assert bench.calls == [("ended", explained), ("terminal", explained)]


async def test_the_first_event_with_a_reason_reaches_its_hook_after_an_end_without_one() -> None:
    """An older API version's event came first, and was settled: the hooks hear of the reason, once."""
    bench = Bench()
    bench.router.on_retryable(bench.hook("retryable"))
    bench.router.on_terminal(bench.hook("terminal"))
    silent = classify_event(Event(type=RETRYABLE.event.type, id="s", data=EventData(call_connection_id=LEG)))
    assert silent is not None
    for outcome in (silent, RETRYABLE, CREATE_FAILED, silent):
        await bench.dispatch(outcome)
    assert bench.calls == [("terminal", silent), ("retryable", RETRYABLE)]
    assert bench.observer.told == [("duplicate", CREATE_FAILED), ("duplicate", silent)]


async def test_an_unknown_operation_reaches_the_unrecognized_hook() -> None:
    """What the catalog does not know is never dropped, whether anybody else asks for operations or not."""
    bench = Bench()
    bench.router.on_unrecognized(bench.hook("unrecognized"))
    await bench.dispatch(UNKNOWN_OPERATION, OPERATION)
    assert bench.calls == [("unrecognized", UNKNOWN_OPERATION)]


async def test_an_unhandled_retryable_call_is_reported_once_only() -> None:
    """One line tells the developer what to add; a line for each call would only be noise."""
    bench = Bench()
    bench.router.on_terminal(bench.hook("close"))
    bench.router.on(cause="declined")(bench.hook("declined"))
    await bench.dispatch(TERMINAL)
    assert bench.observer.told == []
    await bench.dispatch(told(leg="first"), told(leg="second"))
    assert bench.observer.told == [("unhandled", told(leg="first"))]


async def test_what_nobody_asks_for_is_not_kept() -> None:
    """An app that only reads its log pays for no hook; what comes again is told all the same, and what is unhandled."""
    bench = Bench()
    hung_up = told(leg="second", result=Result(200, 560000))
    await bench.dispatch(hung_up, RETRYABLE, OPERATION, hung_up, RETRYABLE, told(leg="third"))
    await turns()
    assert bench.observer.told == [("duplicate", hung_up, RETRYABLE), ("unhandled", RETRYABLE)]
    assert await bench.dispatcher.store.stats() == Stats()


async def test_what_a_page_asks_for_is_kept() -> None:
    """Somebody looks at the calls that end, though no hook is called for them."""
    bench = Bench()
    history = bench.dispatcher.store.history
    await bench.dispatch(TERMINAL, TERMINAL)
    assert [each.outcome for each in await history.latest(10)] == [TERMINAL]
    assert bench.observer.told == [("duplicate", TERMINAL)]


async def test_the_unrecognized_hook_handles_no_retry() -> None:
    """It hears of gaps in the catalog; nobody has asked for the retryable call."""
    bench = Bench()
    bench.router.on_unrecognized(bench.hook("unrecognized"))
    await bench.dispatch(UNKNOWN_RETRYABLE)
    assert bench.calls == [("unrecognized", UNKNOWN_RETRYABLE)]
    assert bench.observer.told == [("unhandled", UNKNOWN_RETRYABLE)]


async def test_a_hook_that_is_both_unrecognized_and_retryable_handles_the_retry() -> None:
    """It is called once, and the call is not reported as unhandled, whichever came first."""
    bench = Bench()
    hook = bench.hook("both")
    bench.router.on_unrecognized(hook)
    bench.router.on_retryable(hook)
    await bench.dispatch(UNKNOWN_RETRYABLE)
    assert (bench.calls, bench.observer.told) == ([("both", UNKNOWN_RETRYABLE)], [])


async def test_a_retryable_operation_is_never_unhandled() -> None:
    """Only calls are called again."""
    bench = Bench()
    bench.router.on(scope="operation", cause="declined")(bench.hook("declined"))
    await bench.dispatch(ADD_BUSY)
    assert (bench.calls, bench.observer.told) == ([], [])
