"""Sinks: hooks with a rule of their own, and what a store keeps for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatching import Recorder
from ringback import Cause, EventGridSink, HookContext, Outcome, RegistrationError, Scope, classify
from ringback.eventgrid import PublishedType
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.router import HandlerRouter
from ringback.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ringback.work.items import Item
    from ringback.work.latch import Offer

BUSY = classify("CallDisconnected", 486, 560486)
HUNG_UP = classify("CallDisconnected", 200, 560000)
UNKNOWN = classify("CallDisconnected", 999, 123)
PLAY_FAILED = classify("PlayFailed", 400, 8536)
CTX = HookContext("app.hook", "call:1/app.hook")
HERE = __name__


class Sink:
    """A sink that says what it is asked for."""

    def __init__(self, *wanted: Outcome, **declared: Any) -> None:
        self.wanted = wanted
        self.asked: list[Outcome] = []
        vars(self).update(declared)

    def wants(self, outcome: Outcome) -> bool:
        self.asked.append(outcome)
        return outcome in self.wanted

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None: ...

    def __repr__(self) -> str:
        return "<Sink>"


def yields(outcome: Outcome) -> Iterator[bool]:
    yield True


class Noting(MemoryStore):
    """A store that notes what is put."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Item] = []

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        self.items += items
        return await super().put(items)


async def kept_for(sink: Any, *outcomes: Outcome) -> list[Outcome]:
    """The outcomes that a store keeps for an app with this sink alone."""
    router, store = HandlerRouter(), Noting()
    router.add_sink(sink)
    dispatcher = Dispatcher(router, Recorder(), store=store, settle=3600)
    await dispatcher.accept(outcomes)
    kept = [item.outcome for item in store.items]
    await dispatcher.drain(5)
    return kept


@pytest.mark.parametrize("outcome", [BUSY, HUNG_UP, PLAY_FAILED, UNKNOWN], ids=repr)
def test_a_sink_gets_what_it_wants(outcome: Outcome) -> None:
    """Of calls and of operations, with a context."""
    router = HandlerRouter()
    sink = Sink(BUSY, PLAY_FAILED)
    router.add_sink(sink)
    (registration,) = router.registrations
    assert registration.may_concern(outcome)
    assert registration.fits(outcome)
    assert registration.when == sink.wants
    assert registration.arguments(outcome, CTX) == ((outcome,), {"ctx": CTX})
    assert registration.name == f"{HERE}.Sink"


@pytest.mark.parametrize(
    ("wants", "message"),
    [
        pytest.param(lambda: True, "cannot be called as (outcome); change its parameters", id="arity"),
        pytest.param(yields, "yields; register a function that returns", id="yields"),
    ],
)
def test_a_sink_whose_wants_cannot_be_asked_is_refused(wants: Any, message: str) -> None:
    """When it is registered, as any predicate."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError) as raised:
        router.add_sink(Sink(wants=wants))
    assert str(raised.value).startswith("wants ")
    assert str(raised.value).endswith(message)
    assert list(router.registrations) == []


def test_what_is_no_sink_is_refused() -> None:
    """A hook does not say which outcomes it wants."""

    def hook(outcome: Outcome) -> None: ...

    router = HandlerRouter()
    with pytest.raises(RegistrationError) as raised:
        router.add_sink(hook)  # type: ignore[arg-type]
    remedy = "has no wants(outcome); pass an EventGridSink, or register a hook"
    assert str(raised.value) == f"sink {hook!r} {remedy}"
    assert list(router.registrations) == []


@pytest.mark.parametrize("declared", [{}, {"criteria": [{"cause": "busy"}, {"cause": "declined"}]}], ids=str)
def test_the_same_sink_twice_is_refused(declared: Any) -> None:
    """It would publish nothing more."""
    router = HandlerRouter()
    sink = Sink(**declared)
    router.add_sink(sink)
    with pytest.raises(RegistrationError):
        router.add_sink(sink)


OPERATIONS = [
    *(classify(name, 200, 0) for name in ("PlayCompleted", "RecognizeCompleted", "CallConnected")),
    *(classify(name, code, subcode) for name, code, subcode in (("PlayFailed", 400, 8536), ("HoldFailed", 500, 9999))),
    classify("Unheard", 486, 560486),
]
criteria = st.fixed_dictionaries(
    {"scope": st.sampled_from([[Scope.OPERATION], list(Scope)])},
    optional={
        "event": st.lists(st.sampled_from(["PlayFailed", "PlayCompleted"]), min_size=1),
        "code": st.sampled_from([486, range(200, 300), [400, 500]]),
        "cause": st.lists(st.sampled_from(Cause), min_size=1),
    },
)


@given(alternatives=st.lists(criteria, min_size=1, max_size=3), operation=st.sampled_from(OPERATIONS))
def test_a_store_keeps_the_operations_that_meet_the_criteria(alternatives: Any, operation: Outcome) -> None:
    """As hooks with these criteria would ask for them, and before anybody asks the sink itself."""
    asking = HandlerRouter()
    for given_ in alternatives:
        asking.on(**given_)(lambda outcome: None)
    meets = any(each.fits(operation) for each in asking.registrations)
    sink = Sink(operation, criteria=alternatives)
    router = HandlerRouter()
    router.add_sink(sink)
    assert any(each.may_concern(operation) for each in router.registrations) is meets
    assert sink.asked == []
    assert any(each.fits(operation) for each in router.registrations) is meets
    hook = HandlerRouter()
    hook.on(**alternatives[0])(print)
    # What holds for a sink holds for any hook: a criterion is compared before the store keeps an operation.
    assert all(each.may_concern(operation) is each.fits(operation) for each in hook.registrations)


@given(types=st.sets(st.sampled_from(PublishedType), min_size=1))
async def test_a_store_keeps_for_event_grid_what_is_published(types: set[str]) -> None:
    """A row for each operation of a type that the sink publishes, and none for another; the ends of calls as ever."""
    sink = EventGridSink("https://t.example/api/events", "a-made-up-key", types=types)
    kept = await kept_for(sink, *OPERATIONS, BUSY)
    assert kept == [*(each for each in OPERATIONS if sink.wants(each)), BUSY]


async def test_a_sink_that_declares_nothing_may_want_anything() -> None:
    """So the store keeps all, and the worker asks; criteria without event and scope are for calls alone."""
    assert await kept_for(Sink(), *OPERATIONS, BUSY) == [*OPERATIONS, BUSY]
    assert await kept_for(Sink(criteria={"cause": "busy"}), *OPERATIONS, BUSY) == [BUSY]


def test_a_sink_with_several_criteria_is_one_hook() -> None:
    """The same criteria twice are once, and the hook has one name."""
    router = HandlerRouter()
    router.add_sink(Sink(criteria=[{"cause": "busy"}, {"scope": "operation"}, {"cause": ["busy"]}]))
    assert len(list(router.registrations)) == 2
    assert {name for name, _ in router.roster.hooks} == {f"{HERE}.Sink"}


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ({}, "criteria {} of sink <Sink> choose no outcome; write a mapping such as {'scope': 'operation'}"),
        ([], "criteria [] of sink <Sink> choose no outcome"),
        ("operation", "criteria 'operation' of sink <Sink> choose no outcome"),
        (None, "criteria None of sink <Sink> choose no outcome"),
        ([{"scope": "call"}, "operation"], "criteria [{'scope': 'call'}, 'operation'] of sink <Sink> choose"),
        ({"scope": None}, "criteria {'scope': None} of sink <Sink> choose no outcome"),
        ({"scopes": "call"}, "criterion 'scopes' is not one of event, code, subcode,"),
        ({"scope": "calls"}, "scope 'calls' is not one of call, operation; did you mean 'call'?"),
    ],
)
def test_criteria_that_cannot_work_are_refused(declared: Any, fault: str) -> None:
    """When the sink is added, and nothing of the sink is registered."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError) as raised:
        router.add_sink(Sink(criteria=declared))
    assert str(raised.value).startswith(fault)
    assert list(router.registrations) == []
