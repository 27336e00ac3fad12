"""Waits for events of a call: what answers them, in which order, and what is forgotten."""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from records import lines_in
from ringback import (
    CallEnded,
    CallOutcomeMiddleware,
    Calls,
    Catalog,
    ConfigurationError,
    OperationFailed,
    OutcomeRouter,
    RingbackError,
    WaitTimeout,
    classify,
    parse_delivery,
)
from ringback.core.outcome import classify_event
from ringback.exceptions import WaitError
from ringback.receiving.intake import Received
from ringback_catalog import EVENTS
from waiting import LEG, OTHER, App, busy, event, turns

if TYPE_CHECKING:
    from starlette.requests import Request

    from ringback import Event


@pytest.fixture
def app() -> App:
    return App()


# What answers a wait.


async def test_a_wait_gets_the_event_that_comes(app: App) -> None:
    """The event as received, whose own bytes are at hand."""
    (waiting,) = await app.begin(app.calls.wait_for("RecognizeCompleted", call_connection_id=LEG))
    app.hears(event("ParticipantsUpdated"), event("RecognizeCompleted", OTHER))
    given = event("RecognizeCompleted")
    app.hears(given)
    answer = await waiting
    assert (answer.name, json.loads(answer.raw)) == ("RecognizeCompleted", given)


async def test_an_event_that_came_before_its_wait_is_kept(app: App) -> None:
    """The answer to createCall may be slower than the first event."""
    app.hears(event("CallConnected"))
    assert (await app.calls.wait_for("CallConnected", call_connection_id=LEG, timeout=0)).name == "CallConnected"


async def test_through_the_middleware_a_wait_is_answered() -> None:
    """The middleware tells the calls of its router, whatever the route says."""
    router = OutcomeRouter()
    calls = Calls(router)

    async def route(request: Request) -> Response:
        return Response(status_code=500)

    asgi = Starlette(routes=[Route("/cb", route, methods=["POST"])])
    asgi.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=asgi), base_url="http://app") as client:
        await client.post("/cb", json=[event("CallConnected")])
    assert (await calls.wait_for("CallConnected", call_connection_id=LEG)).name == "CallConnected"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param("PlayCompleted", id="name"),
        pytest.param("Microsoft.Communication.PlayCompleted", id="type"),
        pytest.param(["PlayCompleted", "PlayFailed"], id="names"),
        pytest.param(lambda event: event.name.startswith("Play"), id="predicate"),
    ],
)
async def test_an_event_is_wanted_by_name_names_or_predicate(app: App, wanted: Any) -> None:
    """All the same to a wait."""
    app.hears(event("CallConnected"), event("PlayCompleted"))
    assert (await app.calls.wait_for(wanted, call_connection_id=LEG, timeout=0)).name == "PlayCompleted"


async def test_a_newer_event_is_wanted_by_its_full_type(app: App) -> None:
    """The service adds events faster than we release."""
    app.hears(event("CallDreamt"))
    wanted = "Microsoft.Communication.CallDreamt"
    assert (await app.calls.wait_for(wanted, call_connection_id=LEG, timeout=0)).name == "CallDreamt"


async def test_an_operation_is_told_from_another_by_its_context(app: App) -> None:
    """Of two plays in one call each wait gets its own."""
    first, second = await app.begin(
        *(app.calls.wait_for("PlayCompleted", call_connection_id=LEG, operation_context=each) for each in ("a", "b"))
    )
    app.hears(event("PlayCompleted", context="b"), event("PlayCompleted", context="a"))
    assert [(await each).data.operation_context for each in (first, second)] == ["a", "b"]


async def test_a_call_whose_id_is_not_known_yet_is_found_by_its_context(app: App) -> None:
    """Before createCall has answered, and whether the event or the wait comes first."""
    app.hears(event("CallConnected", OTHER, context="order-7"))
    found = await app.calls.wait_for("CallConnected", operation_context="order-7", timeout=0)
    (waiting,) = await app.begin(app.calls.wait_for("CallConnected", operation_context="order-8"))
    app.hears(event("CallConnected", context="order-8"))
    assert [found.data.call_connection_id, (await waiting).data.call_connection_id] == [OTHER, LEG]


async def test_a_predicate_alone_may_ask_of_any_call(app: App) -> None:
    """Also for an event that names no call; the end of some call ends nothing."""
    (waiting,) = await app.begin(app.calls.wait_for(lambda event: event.name == "IncomingCall"))
    app.hears(busy(), event("IncomingCall", None))
    assert (await waiting).name == "IncomingCall"
    with pytest.raises(WaitTimeout):
        await app.calls.wait_for(lambda event: event.name == "IncomingCall", timeout=0)


# Once, and in order.


async def test_each_wait_takes_the_next_event(app: App) -> None:
    """In the order of arrival, each once; what was not asked for stays where it is."""
    for number in (1, 2):
        app.hears(event("PlayCompleted", context=f"play-{number}"), event("RecognizeCompleted", context=f"{number}"))
    async with app.calls.call(LEG) as call:
        answers = [await call.wait_for(["PlayCompleted", "RecognizeCompleted"], timeout=0) for _ in range(2)]
        answers += [await call.wait_for("RecognizeCompleted", timeout=0)]
        answers += [await call.wait_for("PlayCompleted", timeout=0)]
        with pytest.raises(WaitTimeout):
            await call.wait_for(["PlayCompleted", "RecognizeCompleted"], timeout=0)
    assert [each.data.operation_context for each in answers] == ["play-1", "1", "2", "play-2"]


async def test_every_wait_under_way_gets_the_event(app: App) -> None:
    """One event answers several; then it is taken."""
    waits = await app.begin(*(app.calls.wait_for("PlayCompleted", call_connection_id=LEG) for _ in range(3)))
    app.hears(event("PlayCompleted", context="one"))
    assert [(await each).data.operation_context for each in waits] == ["one"] * 3
    with pytest.raises(WaitTimeout):
        await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)


async def test_that_a_call_is_connected_every_wait_gets_to_know(app: App) -> None:
    """It is a state of the call and not the answer to one operation; so is its end."""
    app.hears(event("CallConnected"))
    for _ in range(2):
        assert (await app.calls.wait_for("CallConnected", call_connection_id=LEG, timeout=0)).name == "CallConnected"
    app.hears(busy())
    for _ in range(2):
        assert (await app.calls.ended(call_connection_id=LEG, timeout=0)).cause == "busy"


@pytest.mark.parametrize("taken", [False, True], ids=["waiting", "taken"])
async def test_a_redelivered_event_is_seen_once(app: App, taken: bool) -> None:
    """Also one that was taken already, and nothing else is known of the call."""
    same = event("PlayCompleted")
    app.hears(same)
    if not taken:
        app.hears(same)
    await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)
    if taken:
        app.hears(same)
    with pytest.raises(WaitTimeout):
        await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)


async def test_equal_ids_of_two_sources_are_two_events(app: App) -> None:
    """As CloudEvents says: source and id together name an event."""
    first = event("PlayCompleted", context="a")
    app.hears(first, {**first, "source": "another"}, first)
    for _ in range(2):
        await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)
    with pytest.raises(WaitTimeout):
        await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)


async def test_events_without_an_id_are_all_events(app: App) -> None:
    """Nothing tells that they are the same; what is said only once in a call's life is nevertheless."""
    app.hears(*(event(name, id=None) for name in ("PlayCompleted", "PlayCompleted", "CallConnected", "CallConnected")))
    seen: list[str] = []
    app.calls.on(LEG, "PlayCompleted", "CallConnected")(lambda event: seen.append(event.name))
    await turns(lambda: len(seen) == 3)
    assert seen == ["PlayCompleted", "PlayCompleted", "CallConnected"]


# What fails a wait.


@pytest.mark.parametrize("earlier", [False, True], ids=["under way", "later"])
@pytest.mark.parametrize("name", ["CallDisconnected", "CreateCallFailed", "AnswerFailed", "ConnectFailed"])
async def test_a_call_that_ends_first_fails_the_wait_at_once(app: App, name: str, earlier: bool) -> None:
    """With the outcome; not when the time is over. An operation's wait ends with its call, whatever its context.

    tests/waits/test_contexts.py has the wait that names no call, and begins later.
    """
    if earlier:
        app.hears(busy(name, context="order-7"))
    asked = [
        app.calls.wait_for("CallConnected", call_connection_id=LEG),
        app.calls.wait_for("PlayCompleted", call_connection_id=LEG, operation_context="play-1"),
        app.calls.wait_for(lambda event: False, call_connection_id=LEG),
    ]
    if not earlier:
        asked.append(app.calls.wait_for("CallConnected", operation_context="order-7"))
    waits = await app.begin(*asked)
    if not earlier:
        app.hears(busy(name, context="order-7"))
    abouts = ["CallConnected", "PlayCompleted", "what the predicate asks for", "CallConnected"]
    for waiting, about in zip(waits, abouts[: len(waits)], strict=True):
        with pytest.raises(CallEnded) as ended:
            await waiting
        assert str(ended.value) == f"the call ended before {about}: busy"
        assert ended.value.outcome is not None
        assert ended.value.event is ended.value.outcome.event
        assert (ended.value.outcome.cause, ended.value.outcome.event_name) == ("busy", name)


async def test_the_end_of_another_call_ends_nothing(app: App) -> None:
    """Neither of a call with another id, nor of one with another context."""
    waits = await app.begin(
        app.calls.wait_for("CallConnected", call_connection_id=LEG),
        app.calls.wait_for("CallConnected", operation_context="order-7"),
    )
    app.hears(busy(leg=OTHER, context="order-8"), event("CallConnected", context="order-7"))
    assert [(await each).data.call_connection_id for each in waits] == [LEG, LEG]


async def test_what_the_call_still_said_comes_before_its_end(app: App) -> None:
    """Events may arrive in any order: a wait that begins later gets what it asks for if that is there."""
    app.hears(busy(), event("CallConnected"), event("PlayCompleted"))
    async with app.calls.call(LEG) as call:
        assert (await call.wait_for("CallConnected", timeout=0)).name == "CallConnected"
        assert (await call.wait_for("PlayCompleted", timeout=0)).name == "PlayCompleted"
        with pytest.raises(CallEnded):
            await call.wait_for("PlayCompleted", timeout=0)


async def test_the_end_itself_may_be_waited_for(app: App) -> None:
    """By its name as an event, or as the outcome whichever event says so: the more informative of two."""
    event_of, outcome_of = await app.begin(
        app.calls.wait_for("CallDisconnected", call_connection_id=LEG, operation_context="order-7"),
        app.calls.ended(call_connection_id=LEG),
    )
    app.hears(event("CallDisconnected", LEG, 486, 560486), event("CreateCallFailed", LEG, 486, 560486))
    assert (await event_of).name == "CallDisconnected"
    outcome = await outcome_of
    assert (outcome.event_name, outcome.sibling and outcome.sibling.name) == ("CreateCallFailed", "CallDisconnected")


async def test_an_outcome_is_that_of_the_apps_own_catalog() -> None:
    """The catalog of the middleware, not the default one."""
    catalog = Catalog.default().with_overrides({"entry": [{"code": 486, "subcode": 560486, "cause": "blocked"}]})
    app = App(catalog)
    app.hears(busy())
    assert (await app.calls.ended(call_connection_id=LEG, timeout=0)).cause == "blocked"


@pytest.mark.parametrize(
    ("asked", "came"),
    [
        ("PlayCompleted", "PlayFailed"),
        ("PlayStarted", "PlayCanceled"),
        ("RecognizeCompleted", "RecognizeFailed"),
        ("CallTransferAccepted", "CallTransferFailed"),
        ("AddParticipantSucceeded", "AddParticipantFailed"),
        ("MediaStreamingStopped", "MediaStreamingFailed"),
        ("TranscriptionStopped", "TranscriptionFailed"),
        ("TranscriptionUpdated", "TranscriptionFailed"),
        ("HoldAudioStarted", "HoldFailed"),
        ("PlayResumed", "PlayFailed"),
    ],
)
async def test_an_operation_that_failed_fails_its_wait(app: App, asked: str, came: str) -> None:
    """With the outcome of the event that came instead, of the same context."""
    (waiting,) = await app.begin(app.calls.wait_for(asked, call_connection_id=LEG, operation_context="op-1"))
    app.hears(event(came, LEG, 400, 8535, context="op-2"), event(came, LEG, 400, 8535, context="op-1"))
    with pytest.raises(OperationFailed) as failed:
        await waiting
    expected = classify(came, 400, 8535)
    assert str(failed.value) == f"{came} came instead of {asked}: {expected.cause}"
    assert failed.value.outcome is not None
    assert (failed.value.outcome.cause, failed.value.outcome.operation_context) == (expected.cause, "op-1")


async def test_a_failure_without_a_result_has_no_outcome(app: App) -> None:
    """PlayCanceled says nothing but that it is so."""
    app.hears(event("PlayCanceled"))
    with pytest.raises(OperationFailed) as failed:
        await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)
    assert failed.value.outcome is None
    assert failed.value.event is not None
    assert (str(failed.value), failed.value.event.name) == (
        "PlayCanceled came instead of PlayCompleted",
        "PlayCanceled",
    )


async def test_a_failure_that_was_asked_for_is_an_answer(app: App) -> None:
    """Silence is an ordinary answer to a question."""
    app.hears(event("RecognizeFailed", LEG, 400, 8510))
    names = ["RecognizeCompleted", "RecognizeFailed"]
    assert (await app.calls.wait_for(names, call_connection_id=LEG, timeout=0)).name == "RecognizeFailed"


async def test_a_wait_ends_after_its_timeout(app: App) -> None:
    """One of our family and one of Python's own; the text names no call."""
    with pytest.raises(WaitTimeout) as late:
        await app.calls.wait_for(["PlayCompleted", "PlayFailed"], call_connection_id=LEG, timeout=0.01)
    assert str(late.value) == "PlayCompleted or PlayFailed did not come within 0.01 seconds"
    assert isinstance(late.value, WaitError | RingbackError | TimeoutError)
    assert (late.value.event, late.value.outcome, len(app.calls)) == (None, None, 0)


@pytest.mark.parametrize("earlier", [False, True], ids=["under way", "later"])
async def test_what_a_predicate_raises_the_wait_raises(app: App, earlier: bool) -> None:
    """Nobody else is disturbed, and the event is not taken."""
    if earlier:
        app.hears(event("PlayCompleted"))

    def predicate(event: Event) -> bool:
        raise KeyError(event.name)

    broken, other = await app.begin(
        app.calls.wait_for(predicate, call_connection_id=LEG),
        app.calls.wait_for("PlayCompleted", call_connection_id=LEG),
    )
    if not earlier:
        app.hears(event("PlayCompleted"))
    with pytest.raises(KeyError):
        await broken
    assert (await other).name == "PlayCompleted"


# What is refused.


@pytest.mark.parametrize("wanted", ["", "Microsoft.Communication.", [], [7]])
async def test_a_wait_that_names_no_event_is_refused(app: App, wanted: Any) -> None:
    """When it begins, with the remedy; handlers likewise."""
    with pytest.raises(ConfigurationError, match="there is no event to wait for"):
        await app.calls.wait_for(wanted, call_connection_id=LEG)
    with pytest.raises(ConfigurationError, match="there is no event to wait for"):
        app.calls.on(LEG, *([wanted] if isinstance(wanted, str) else wanted))
    nothing: Any = 7
    with pytest.raises(ConfigurationError, match="7: there is no event to wait for"):
        await app.calls.wait_for(nothing, call_connection_id=LEG)


@pytest.mark.parametrize(
    ("wanted", "advice"),
    [
        (
            "CallConected",
            "no SDK that was known when this release was made has an event 'CallConected'; "
            "did you mean 'CallConnected'?",
        ),
        (
            "x",
            "no SDK that was known when this release was made has an event 'x'; "
            "is it spelled as the service spells it?",
        ),
    ],
)
async def test_a_name_that_no_sdk_knows_is_waited_for_and_warned_about_once(
    app: App, caplog: pytest.LogCaptureFixture, wanted: str, advice: str
) -> None:
    """The service adds events faster than we release; but a slip of the pen would wait for ever in silence."""
    app.hears(event(wanted))
    assert (await app.calls.wait_for([wanted], call_connection_id=LEG, timeout=0)).name == wanted
    app.calls.on(LEG, wanted)(print)
    with pytest.raises(WaitTimeout):
        await app.calls.wait_for(wanted, call_connection_id=LEG, timeout=0)
    said = lines_in(caplog.records)
    assert said == [{"event": "wait.event_unknown", "awaited": wanted, "advice": advice}]


@pytest.mark.parametrize("name", sorted(EVENTS))
async def test_every_event_that_an_sdk_knows_can_be_waited_for(
    app: App, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """By its name, without a warning."""
    app.hears(event(name))
    assert (await app.calls.wait_for(name, call_connection_id=LEG, timeout=0)).name == name
    assert caplog.records == []


async def test_a_wait_that_any_call_could_answer_is_refused(app: App) -> None:
    """createCall may return no id: that must not become a wait for anybody's event."""
    with pytest.raises(ConfigurationError, match="any call could answer"):
        await app.calls.wait_for("CallConnected", call_connection_id=None)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"backlog": 0}, "backlog 0 accepts nothing; give a positive number"),
        ({"backlog": "32"}, "backlog '32' is no whole number; give a positive one"),
        ({"calls": 0}, "calls 0 accepts nothing; give a positive number"),
        ({"calls": None}, "calls None is no whole number; give a positive one"),
        ({"keep": 0}, "keep 0 keeps nothing; give a positive number of seconds"),
        ({"keep": "60"}, "keep '60' is no time; give seconds, 0 for none"),
    ],
)
def test_limits_that_keep_nothing_are_refused(limits: dict[str, Any], says: str) -> None:
    """At start-up, and so is what is no number, such as the text of an environment variable."""
    with pytest.raises(ConfigurationError) as raised:
        Calls(OutcomeRouter(), **limits)
    assert str(raised.value) == says


def test_what_is_no_router_is_refused() -> None:
    """Such as the app."""
    app: Any = "app"
    with pytest.raises(ConfigurationError, match="router 'app' is no OutcomeRouter; pass the router of the app"):
        Calls(app)


@pytest.mark.parametrize("timeout", ["30", None, math.nan])
async def test_a_timeout_that_is_no_number_is_refused(app: App, timeout: Any) -> None:
    """It would end nowhere, or with an error of asyncio's."""
    with pytest.raises(ConfigurationError, match=f"timeout {timeout!r} is no time; give seconds"):
        await app.calls.wait_for("CallConnected", call_connection_id="a", timeout=timeout)


# What is forgotten.


async def test_a_call_keeps_its_last_events(caplog: pytest.LogCaptureFixture) -> None:
    """As many as the backlog has places, the oldest are forgotten; that it is connected is not."""
    app = App(backlog=2)
    app.hears(event("CallConnected"), *(event("PlayCompleted", context=each) for each in "abc"))
    async with app.calls.call(LEG) as call:
        answers = [await call.wait_for("PlayCompleted", timeout=0) for _ in range(2)]
        assert [each.data.operation_context for each in answers] == ["b", "c"]
        with pytest.raises(WaitTimeout):
            await call.wait_for("PlayCompleted", timeout=0)
        await call.wait_for("CallConnected", timeout=0)


@pytest.mark.parametrize(
    "flood", ["ParticipantsUpdated", "RecordingStateChanged", "ContinuousDtmfRecognitionToneReceived", "CallDreamt"]
)
async def test_what_a_call_reports_pushes_no_answer_out(app: App, flood: str) -> None:
    """However often a state changes, the answer to an operation is kept for its wait; of the states the last are."""
    app.hears(event("PlayCompleted"), *(event(flood, context=str(number)) for number in range(100)))
    async with app.calls.call(LEG) as call:
        assert (await call.wait_for("PlayCompleted", timeout=0)).name == "PlayCompleted"
        kept = [await call.wait_for(lambda _: True, timeout=0) for _ in range(32)]
        assert [each.data.operation_context for each in kept] == [str(number) for number in range(68, 100)]


@pytest.mark.parametrize(
    ("rare", "flood"), [("RecordingStateChanged", "ParticipantsUpdated"), ("RecognizeCompleted", "PlayCompleted")]
)
async def test_the_name_that_is_there_most_often_gives_up_its_oldest(app: App, rare: str, flood: str) -> None:
    """Among states, and among answers."""
    app.hears(event(rare), *(event(flood) for _ in range(100)))
    assert (await app.calls.wait_for(rare, call_connection_id=LEG, timeout=0)).name == rare


async def test_redeliveries_are_remembered_for_as_many_events_again() -> None:
    """Bounded, too: an event that comes again after four others is a new one where two are kept."""
    app = App(backlog=2)
    events = [event("PlayCompleted", context=each) for each in "abcde"]
    app.hears(*events, events[1], events[0])
    async with app.calls.call(LEG) as call:
        answers = [await call.wait_for("PlayCompleted", timeout=0) for _ in range(2)]
    assert [each.data.operation_context for each in answers] == ["e", "a"]


async def test_a_call_is_forgotten_some_time_after_it_was_last_heard_of() -> None:
    """Its end as well as a call that has not ended."""
    app = App(keep=60)
    app.hears(busy(), event("CallConnected", OTHER))
    app.now += 40
    app.hears(event("PlayCompleted", OTHER))
    app.now += 20
    assert len(app.calls) == 1
    with pytest.raises(WaitTimeout):
        await app.calls.ended(call_connection_id=LEG, timeout=0)
    await app.calls.wait_for("CallConnected", call_connection_id=OTHER, timeout=0)
    app.now += 60
    assert len(app.calls) == 0


async def test_of_too_many_calls_the_one_heard_of_longest_ago_is_forgotten() -> None:
    """A flood of events of made-up calls stays within its bounds."""
    app = App(calls=10)
    app.hears(*(event("CallConnected", f"leg-{number}") for number in range(100)), event("PlayCompleted", "leg-90"))
    app.hears(event("CallConnected", "leg-100"))
    assert len(app.calls) == 10
    await app.calls.wait_for("CallConnected", call_connection_id="leg-90", timeout=0)
    with pytest.raises(WaitTimeout):
        await app.calls.wait_for("CallConnected", call_connection_id="leg-91", timeout=0)


async def test_while_a_call_is_open_it_is_not_forgotten() -> None:
    """Neither for its age nor for the number of others; an app may think for long before it asks."""
    app = App(calls=1, keep=60)
    async with app.calls.call(LEG) as call, app.calls.call(LEG):
        app.hears(event("CallConnected"), busy())
        app.now += 1000
        app.hears(*(event("CallConnected", f"leg-{number}") for number in range(10)))
        assert (await call.wait_for("CallConnected", timeout=0)).name == "CallConnected"
        assert (await call.ended(timeout=0)).cause == "busy"
        assert len(app.calls) == 2
    assert len(app.calls) == 1


async def test_asking_for_a_call_that_nobody_knows_leaves_nothing_behind(app: App) -> None:
    """However the wait ends."""
    async with app.calls.call(LEG) as call:
        with pytest.raises(WaitTimeout):
            await call.wait_for("CallConnected", timeout=0)
    (waiting,) = await app.begin(app.calls.wait_for("CallConnected", operation_context="order-7"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (len(app.calls), app.calls._legs._anywhere) == (0, {})


# Cancellation.


@pytest.mark.parametrize("place", [{"call_connection_id": LEG}, {"operation_context": "play"}], ids=["leg", "anywhere"])
async def test_an_event_that_a_cancelled_wait_did_not_live_to_see_goes_to_the_next(app: App, place: Any) -> None:
    """To one that began meanwhile, else to the first one later; in its old place in the order."""
    first, second = event("PlayCompleted", context="play"), event("PlayCompleted", context="play")
    (cancelled,) = await app.begin(app.calls.wait_for("PlayCompleted", **place))
    app.hears(first, second)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    ids = [(await app.calls.wait_for("PlayCompleted", **place, timeout=0)).id for _ in range(2)]
    assert ids == [first["id"], second["id"]]
    (cancelled,) = await app.begin(app.calls.wait_for("PlayCompleted", **place))
    app.hears(third := event("PlayCompleted", context="play"))
    cancelled.cancel()
    (waiting,) = await app.begin(app.calls.wait_for("PlayCompleted", **place))
    assert (await waiting).id == third["id"]


async def test_an_event_that_another_wait_has_seen_is_not_had_again(app: App) -> None:
    """Cancelled or not, one of two has got it; nor is what every wait gets to know given back."""
    waits = await app.begin(*(app.calls.wait_for("PlayCompleted", call_connection_id=LEG) for _ in range(2)))
    app.hears(event("PlayCompleted"))
    waits[0].cancel()
    await waits[1]
    (connected,) = await app.begin(app.calls.wait_for("CallConnected", call_connection_id=LEG))
    app.hears(event("CallConnected"))
    connected.cancel()
    await asyncio.gather(waits[0], connected, return_exceptions=True)
    with pytest.raises(WaitTimeout):
        await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)
    await app.calls.wait_for("CallConnected", call_connection_id=LEG, timeout=0)


async def test_what_is_given_back_to_a_full_backlog_is_the_first_to_be_forgotten() -> None:
    """The bound holds, also for a call that was forgotten meanwhile."""
    app = App(backlog=1, calls=1)
    (cancelled, gone) = await app.begin(
        app.calls.wait_for("PlayCompleted", call_connection_id=LEG),
        app.calls.wait_for("PlayCompleted", operation_context="gone"),
    )
    app.hears(event("PlayCompleted", context="a"), event("PlayCompleted", context="b"))
    app.hears(
        event("PlayCompleted", OTHER, context="gone"), event("CallConnected", "leg-3"), event("CallConnected", "leg-4")
    )
    cancelled.cancel()
    gone.cancel()
    await asyncio.gather(cancelled, gone, return_exceptions=True)
    answer = await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)
    assert answer.data.operation_context == "b"
    with pytest.raises(WaitTimeout):
        await app.calls.wait_for("PlayCompleted", operation_context="gone", timeout=0)


async def test_an_answer_that_comes_together_with_the_timeout_counts(app: App) -> None:
    """Taken is given: nothing falls between the two."""

    async def late() -> Event:
        return await app.calls.wait_for("PlayCompleted", call_connection_id=LEG, timeout=0)

    waiting = asyncio.ensure_future(late())
    await asyncio.sleep(0)
    app.hears(event("PlayCompleted"))
    assert (await waiting).name == "PlayCompleted"


# Other loops and threads.


async def test_events_may_be_heard_in_another_thread(app: App) -> None:
    """A WSGI server has no loop; the wait is woken in its own."""
    (waiting,) = await app.begin(app.calls.wait_for("CallConnected", call_connection_id=LEG))
    await asyncio.to_thread(app.hears, event("CallConnected"))
    assert (await waiting).name == "CallConnected"


async def test_a_wait_may_be_in_another_loop(app: App) -> None:
    """Of a thread that runs its own; one that has been closed disturbs nobody."""
    begun = threading.Event()

    async def waits() -> str:
        asyncio.get_running_loop().call_soon(begun.set)
        return (await app.calls.wait_for("CallConnected", call_connection_id=LEG)).name

    other = asyncio.ensure_future(asyncio.to_thread(asyncio.run, waits()))
    await asyncio.to_thread(begun.wait)

    def abandoned() -> None:
        loop = asyncio.new_event_loop()
        waiting = app.calls.wait_for("CallConnected", call_connection_id=LEG)
        task = loop.create_task(waiting)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        # Its end is never to come: nobody is to complain.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        left.append(task)

    left: list[Any] = []
    await asyncio.to_thread(abandoned)
    app.hears(event("CallConnected"))
    assert await other == "CallConnected"


# The documentation.


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("CallDisconnected", "busy", id="ends first"),
        pytest.param("PlayCompleted", "hung_up", id="is reminded"),
        pytest.param("PlayFailed", "hung_up", id="cannot be reminded"),
    ],
)
async def test_the_python_of_the_page_runs(name: str, told: str) -> None:
    """docs/waits.md in one namespace, with a client that only says what it was asked."""
    text = (Path(__file__).parents[2] / "docs" / "waits.md").read_text("utf-8")
    names: dict[str, Any] = {"PROMPT": "prompt"}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(block, names)

    def hears(event: Any) -> None:
        delivery = parse_delivery(json.dumps([event]))
        outcome = classify_event(delivery.events[0])
        names["router"].notify(Received(delivery, () if outcome is None else (outcome,)))

    class Connection:
        async def play_media(self, _: str, operation_context: str) -> None:
            hears(event("PlayCompleted", context="another"))
            hears(event(name, context=operation_context))

        async def hang_up(self, **_: bool) -> None:
            hears(event("CallDisconnected", LEG, 0, 0))

    class Client:
        async def create_call(self, *_: str, **__: str) -> Any:
            # Before the id of the call is known.
            hears(busy() if name == "CallDisconnected" else event("CallConnected"))
            return SimpleNamespace(call_connection_id=LEG)

        def get_call_connection(self, _: str) -> Connection:
            return Connection()

    assert await names["remind"](Client(), "+15550100123", "https://app.invalid/cb") == told
    await names["follow"](SimpleNamespace(call_connection_id=LEG))
