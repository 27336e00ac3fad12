"""Waits that name no call, but an operation context, which an app may use again for the next call."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import CallEnded, Calls, OperationFailed, OutcomeRouter, WaitTimeout, parse_delivery
from ringback.exceptions import WaitError
from ringback.receiving.intake import Received
from ringback.waits.backlog import Wanted
from waiting import LEG, OTHER, App, busy, event

if TYPE_CHECKING:
    from ringback import Event

CONTEXT = "order-7"
HINT = "; a call of this operation_context ended before: pass call_connection_id"


def of(name: str, leg: str = LEG) -> Any:
    return event(name, leg, context=CONTEXT)


@pytest.fixture
def app() -> App:
    return App()


EARLIER = [
    pytest.param([busy(context=CONTEXT)], id="busy"),
    pytest.param([busy("CallDisconnected", context=CONTEXT), busy("CreateCallFailed")], id="reported twice"),
    pytest.param([busy("AnswerFailed", context=CONTEXT)], id="never answered"),
    pytest.param([of("CallConnected"), busy(context=CONTEXT)], id="connected"),
    pytest.param([busy(context=CONTEXT), of("CallConnected")], id="in any order"),
    pytest.param([of("CallConnected"), of("PlayCompleted"), busy()], id="played"),
    pytest.param([of("CallConnected"), of("PlayFailed"), busy()], id="not played"),
    pytest.param([of("CallConnected"), event("CallEnded", LEG, context=CONTEXT)], id="by Event Grid"),
]


@pytest.mark.parametrize("earlier", EARLIER)
@pytest.mark.parametrize("wanted", ["CallConnected", "PlayCompleted", "CallDisconnected"])
async def test_an_earlier_call_does_not_answer_for_the_next(app: App, wanted: str, earlier: list[Any]) -> None:
    """An app that calls again uses the context again; what it waits for is the call that it has placed now."""
    app.hears(*earlier)
    (waiting,) = await app.begin(app.calls.wait_for(wanted, operation_context=CONTEXT))
    app.hears(of(wanted, OTHER) if wanted != "CallDisconnected" else busy(leg=OTHER, context=CONTEXT))
    assert (await waiting).data.call_connection_id == OTHER


@pytest.mark.parametrize("earlier", EARLIER)
async def test_a_wait_that_passes_an_earlier_call_over_says_so(app: App, earlier: list[Any]) -> None:
    """The call of the wait may have failed before the wait began; who names the call is told at once."""
    app.hears(*earlier)
    with pytest.raises(WaitTimeout) as late:
        await app.calls.wait_for("RecognizeCompleted", operation_context=CONTEXT, timeout=0)
    assert str(late.value) == f"RecognizeCompleted did not come within 0 seconds{HINT}"
    with pytest.raises(CallEnded):
        await app.calls.wait_for("RecognizeCompleted", call_connection_id=LEG, timeout=0)
    with pytest.raises(WaitTimeout) as late:
        await app.calls.wait_for("RecognizeCompleted", operation_context="order-8", timeout=0)
    assert str(late.value) == "RecognizeCompleted did not come within 0 seconds"


async def test_what_an_earlier_call_still_reports_ends_nothing(app: App) -> None:
    """The second report of its end, or an event that was under way for long."""
    app.hears(busy(context=CONTEXT))
    (waiting,) = await app.begin(app.calls.wait_for("CallConnected", operation_context=CONTEXT))
    app.hears(busy("CreateCallFailed", context=CONTEXT), of("CallConnected"))
    app.hears(of("CallConnected", OTHER))
    assert (await waiting).data.call_connection_id == OTHER


async def test_the_end_of_the_call_ends_a_wait_that_had_begun(app: App) -> None:
    """Whatever ended before with the same context."""
    app.hears(busy(context=CONTEXT))
    waits = await app.begin(
        app.calls.wait_for("CallConnected", operation_context=CONTEXT),
        app.calls.wait_for("PlayCompleted", operation_context=CONTEXT),
    )
    app.hears(event("PlayFailed", OTHER, 400, 8535, context=CONTEXT), busy(leg=OTHER, context=CONTEXT))
    with pytest.raises(CallEnded):
        await waits[0]
    with pytest.raises(OperationFailed):
        await waits[1]


async def test_an_earlier_event_of_a_call_that_goes_on_counts(app: App) -> None:
    """The answer to createCall may be slower than the first event."""
    app.hears(busy(context=CONTEXT), of("CallConnected", OTHER))
    found = await app.calls.wait_for("CallConnected", operation_context=CONTEXT, timeout=0)
    assert found.data.call_connection_id == OTHER


async def test_a_wait_of_a_call_and_a_context_is_of_that_call(app: App) -> None:
    """Its end is no earlier call's."""
    app.hears(of("PlayCompleted"), busy(context=CONTEXT))
    async with app.calls.call(LEG) as call:
        await call.wait_for("PlayCompleted", operation_context=CONTEXT, timeout=0)
        with pytest.raises(CallEnded):
            await call.wait_for("PlayCompleted", operation_context=CONTEXT, timeout=0)


@pytest.mark.parametrize("wanted", ["CallConnected", "CallDisconnected"])
async def test_a_call_that_is_forgotten_in_between_ends_its_waits_all_the_same(wanted: str) -> None:
    """With few calls kept others push it out before the wait goes on, and another wait makes it known again."""
    app = App(calls=1)
    ended, waiting = await app.begin(
        app.calls.ended(call_connection_id=LEG), app.calls.wait_for(wanted, operation_context=CONTEXT)
    )
    app.hears(busy(context=CONTEXT), *(event("CallConnected", f"leg-{number}") for number in range(3)))
    assert (await ended).cause == "busy"
    app.hears(*(event("CallConnected", f"leg-{number}") for number in range(3)))
    (again,) = await app.begin(app.calls.wait_for("PlayCompleted", call_connection_id=LEG))
    if wanted == "CallConnected":
        with pytest.raises(CallEnded) as told:
            await waiting
        assert told.value.outcome is not None
        assert told.value.outcome.cause == "busy"
    else:
        assert (await waiting).name == wanted
    again.cancel()


async def test_a_call_known_again_has_the_outcome_of_its_own_event() -> None:
    """The wait has not gone on yet when the call is forgotten and known again."""
    app = App(calls=1)
    (waiting,) = await app.begin(app.calls.wait_for("CallConnected", operation_context=CONTEXT))
    app.hears(busy(context=CONTEXT), event("CallConnected", "leg-1"), event("CallConnected", "leg-2"))
    app.hears(event("PlayCompleted", LEG))
    with pytest.raises(CallEnded) as told:
        await waiting
    assert told.value.outcome is not None
    assert told.value.outcome.cause == "busy"


async def test_an_end_without_an_outcome_is_an_error_that_says_so() -> None:
    """Whoever hands deliveries to the router by hand may leave the outcomes out."""
    router = OutcomeRouter()
    calls = Calls(router)
    waiting = asyncio.ensure_future(calls.wait_for("CallConnected", call_connection_id=LEG))
    await asyncio.sleep(0)
    ended = parse_delivery(json.dumps([busy()]))
    router.notify(Received(ended, ()))
    with pytest.raises(WaitError, match="came to the router without its outcome"):
        await waiting


# How many events a wait looks at.


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The events that any wait has looked at."""
    seen: list[Event] = []
    answer = Wanted.answer

    def noted(self: Wanted, event: Event) -> Any:
        seen.append(event)
        return answer(self, event)

    monkeypatch.setattr(Wanted, "answer", noted)
    return seen


async def test_a_wait_looks_at_the_events_of_its_context_alone(app: App, looked_at: list[Event]) -> None:
    """Of a thousand calls, when it begins and while it waits; so ten waits hold the loop no longer than one."""
    app.hears(
        *(
            event(name, f"leg-{number}", context=f"order-{number}")
            for number in range(1000)
            for name in ("CallConnected", "PlayCompleted", "ParticipantsUpdated")
        )
    )
    assert looked_at == []
    waits = await app.begin(
        *(app.calls.wait_for("RecognizeCompleted", operation_context=f"order-{number}") for number in range(10))
    )
    assert len(looked_at) == 3 * 10
    looked_at.clear()
    app.hears(*(event("RecognizeCompleted", f"leg-{number}", context=f"order-{number}") for number in range(1000)))
    assert [(await each).data.operation_context for each in waits] == [f"order-{number}" for number in range(10)]
    assert len(looked_at) == 10


async def test_a_wait_looks_no_further_than_its_answer(app: App, looked_at: list[Event]) -> None:
    """A predicate alone may have to look at every call, but not behind the event that it wants."""
    app.hears(*(event("CallConnected", f"leg-{number}", context=CONTEXT) for number in range(1000)))
    await app.calls.wait_for(lambda event: event.name == "CallConnected")
    await app.calls.wait_for("CallConnected", operation_context=CONTEXT)
    assert len(looked_at) == 2


CONTEXTS = [None, "a", "b"]
LEGS = ["leg-1", "leg-2", "leg-3"]
EVENTS = st.tuples(
    st.sampled_from(["CallConnected", "PlayCompleted", "PlayFailed", "ParticipantsUpdated", "CallDisconnected"]),
    st.sampled_from(LEGS),
    st.sampled_from(CONTEXTS),
)


@given(
    before=st.lists(EVENTS, max_size=12),
    after=st.lists(EVENTS, max_size=12),
    wanted=st.sampled_from(["CallConnected", "PlayCompleted", "CallDisconnected"]),
    backlog=st.integers(1, 3),
    kept=st.integers(1, 3),
)
def test_only_a_call_that_goes_on_answers(before: Any, after: Any, wanted: str, backlog: int, kept: int) -> None:
    """Whatever came, in any order, with any number of calls kept: never a call that had ended, nor another context."""

    async def plays() -> None:
        app = App(backlog=backlog, calls=kept)
        app.hears(*(event(*each[:2], context=each[2]) for each in before))
        known = {each[1] for each in before if each[1] in app.calls._legs._legs}
        ended = {leg for name, leg, _ in before if name == "CallDisconnected" and leg in known}
        (waiting,) = await app.begin(app.calls.wait_for(wanted, operation_context="a", timeout=0))
        app.hears(*(event(*each[:2], context=each[2]) for each in after))
        (answer,) = await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(answer, WaitTimeout):
            return
        found = (answer.event if isinstance(answer, WaitError) else answer).data
        assert found.operation_context == "a"
        if kept == len(LEGS):
            # With fewer calls kept a call may be forgotten, and be known anew when it is heard of again.
            assert found.call_connection_id not in ended

    asyncio.run(plays())


@given(
    steps=st.lists(EVENTS | st.sampled_from(["wait", "cancel", "later"]), max_size=40),
    backlog=st.integers(1, 3),
    kept=st.integers(1, 3),
)
def test_nothing_is_left_of_calls_that_are_forgotten(steps: Any, backlog: int, kept: int) -> None:
    """The index of contexts has the kept events, all of them and no others."""

    async def plays() -> None:
        app = App(backlog=backlog, calls=kept)
        legs, waits = app.calls._legs, list[asyncio.Task[Any]]()
        for step in steps:
            if step == "wait":
                waits += await app.begin(app.calls.wait_for("PlayCompleted", operation_context="a"))
            elif step == "cancel":
                for each in waits:
                    each.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
                waits.clear()
            elif step == "later":
                app.now += 1000
            else:
                app.hears(event(*step[:2], context=step[2]))
            everything = sorted(kept.number for leg in legs._legs.values() for kept in leg.backlog)
            assert [each.number for each in legs._kept.of(None)] == everything
            of_contexts = [len(legs._kept.of(context)) for context in ("a", "b")]
            assert sum(of_contexts) <= len(everything)
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        app.now += 1000
        assert (len(app.calls), legs._kept.of(None), legs._kept._of, legs._anywhere) == (0, [], {}, {})

    asyncio.run(plays())
