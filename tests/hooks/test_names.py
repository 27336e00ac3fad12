"""The names of handlers: told or their own, the same after a restart, and refused where a store could mix them up."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attempting import BUSY, Bench, done
from ringback import EventGridSink, HookContext, Outcome, OutcomeRouter, RegistrationError, Retry
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.router import HandlerRouter
from ringback.logs import LogObserver
from ringback.work.items import Progress, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HERE = __name__
UNNAMED = "has no name of its own, by which a store could know it after a restart; give it one: name='...'"
EQUAL = "and a store could not tell them apart after a restart; give one of them another: name='...'"


def hook(outcome: Outcome) -> None: ...


def of_two(url: str, outcome: Outcome) -> None: ...


def made() -> Callable[[Outcome], None]:
    def inner(outcome: Outcome) -> None: ...

    return inner


class Hook:
    def __call__(self, outcome: Outcome) -> None: ...

    def method(self, outcome: Outcome) -> None: ...


class Sink:
    def wants(self, _: Outcome) -> bool:
        return True

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None: ...


REGISTER: dict[str, Callable[..., Any]] = {
    "on_retryable": lambda router, handler, **name: router.on_retryable(**name)(handler),
    "on_terminal": lambda router, handler, **name: router.on_terminal(**name)(handler),
    "on_unrecognized": lambda router, handler, **name: router.on_unrecognized(**name)(handler),
    "on": lambda router, handler, **name: router.on(cause="busy", **name)(handler),
    "add_sink": lambda router, _, **name: router.add_sink(Sink(), **name),
    "redial": lambda router, _, **name: router.redial(contact=lambda outcome: None, **name)(lambda contact: None),
}
"""How a handler is registered, by the method. A sink and a redial function are their own."""

ANY = pytest.mark.parametrize("register", REGISTER.values(), ids=REGISTER)
HOOKS = pytest.mark.parametrize(
    "register", [each for name, each in REGISTER.items() if name not in ("add_sink", "redial")]
)


def names_of(router: HandlerRouter) -> list[str]:
    return [name for name, _ in router.roster.hooks] + [redial.name for redial in router.redials]


@pytest.fixture
def stored(tmp_path: Path) -> OutcomeRouter:
    return OutcomeRouter(store=f"sqlite:///{tmp_path}/ringback.db")


# A name that is told


@ANY
def test_a_handler_may_be_given_a_name(register: Callable[..., Any]) -> None:
    """By every way to register one; its class, module or place in the code no longer matter."""
    router = HandlerRouter()
    register(router, hook, name="close:ticket-7")
    assert names_of(router) == ["close:ticket-7"]


def test_the_decorators_work_bare_and_called() -> None:
    """A decorated function stays what it was."""
    router = HandlerRouter()
    for decorator in (router.on_retryable, router.on_terminal, router.on_unrecognized):
        assert decorator(hook) is hook
        assert decorator()(other := made()) is other
    assert [each.told for each in router.registrations] == [None] * 6

    def complain(outcome: Outcome, error: Exception) -> None: ...

    assert router.on_error(complain) is complain
    assert router.on_error(name="pager")(again := functools.partial(complain)) is again
    assert [each.name for each in router.roster.error_handlers] == [f"{HERE}.{complain.__qualname__}", "pager"]


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a#2", "app.call_again (contact)", "attempts_exhausted", "x" * 101, 7, b"a", True]
)
@ANY
def test_what_is_no_name_is_refused(register: Callable[..., Any], name: Any) -> None:
    """It stands in a log, in a command line, and beside words of Ringback's own."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError, match="is no name of a handler; write up to 100 letters"):
        register(router, hook, name=name)
    with pytest.raises(RegistrationError, match="is no name of a handler; write up to 100 letters"):
        router.on_error(name=name)
    assert names_of(router) == []


async def test_a_hook_is_called_by_its_name() -> None:
    """In its context, in the log, and in what a store keeps of it."""
    bench, told = Bench(), list[HookContext]()

    async def again(outcome: Outcome, ctx: HookContext) -> None:
        told.append(ctx)
        raise Retry(after=5)

    bench.router.on_retryable(name="again")(again)
    settlement = await bench.attempt()
    assert list(settlement.progress.wait) == ["again"]
    assert [(ctx.hook, ctx.idempotency_key.partition("/")[2]) for ctx in told] == [("again", "again")]
    assert [entry[2] for entry in bench.happened()] == ["again"]


async def test_an_error_handler_is_reported_by_its_name() -> None:
    """It has no other use."""
    bench = Bench()
    bench.router.on(when=lambda outcome: 1 / 0)(bench.hook("only"))
    bench.caller.policy = bench.caller.policy.__class__(attempts=1, timeout=None)

    @bench.router.on_error(name="pager")
    def complain(outcome: Outcome, error: Exception) -> None:
        raise LookupError

    await bench.attempt()
    assert [entry[2] for entry in bench.happened()] == ["app.only (when)", "pager"]


# One handler


@pytest.mark.parametrize("told_first", [True, False])
async def test_two_registrations_of_a_handler_are_one_hook(told_first: bool) -> None:
    """It runs once, and a name that one of them tells is the name of both."""
    bench = Bench()
    handler = bench.hook("only")
    for name in ["told", None] if told_first else [None, "told"]:
        bench.router.on(cause="busy" if name else None, code=None if name else 486, name=name)(handler)
    assert names_of(bench.router) == ["told", "told"]
    assert await bench.attempt() == done("told")
    assert bench.happened() == [("called", "only", BUSY)]


@pytest.mark.parametrize("included", [True, False])
def test_a_handler_with_two_names_is_refused(included: bool) -> None:
    """It would be two hooks, and each would run. Nothing is left behind."""
    outer, inner = HandlerRouter(), HandlerRouter()
    outer.include(inner)
    outer.on(cause="busy", name="one")(hook)
    with pytest.raises(RegistrationError) as refused:
        (inner if included else outer).on_terminal(name="two")(hook)
    assert str(refused.value).endswith("too, and is one hook that runs once; give it one name")
    assert names_of(outer) == ["one"]
    outer.on_terminal(name="one")(hook)
    assert names_of(outer) == ["one", "one"]


# Where a store keeps the names

NAMELESS = {
    "lambda": lambda: lambda outcome: None,
    "partial": lambda: functools.partial(of_two, "https://app"),
    "partial-of-a-method": lambda: functools.partial(Hook().method),
    "object": lambda: Hook(),
}


@HOOKS
@pytest.mark.parametrize("nameless", NAMELESS.values(), ids=NAMELESS)
def test_a_handler_without_a_name_is_refused_with_a_store(
    register: Callable[..., Any], nameless: Callable[[], Any], stored: OutcomeRouter
) -> None:
    """When it is registered, with the remedy; the remedy works, and without a store none is needed."""
    handler = nameless()
    with pytest.raises(RegistrationError) as refused:
        register(stored, handler)
    assert str(refused.value).startswith("handler ")
    assert str(refused.value).endswith(UNNAMED)
    assert names_of(stored) == []
    register(stored, handler, name="told")
    assert names_of(stored) == ["told"]
    for router in (OutcomeRouter(), OutcomeRouter(store="memory")):
        register(router, handler)
        assert len(names_of(router)) == 1


def test_a_redial_without_a_name_is_refused_with_a_store(stored: OutcomeRouter) -> None:
    """The store keeps the name of the function that is to be called."""
    with pytest.raises(RegistrationError) as refused:
        REGISTER["redial"](stored, None)
    assert str(refused.value).startswith("redial ")
    assert str(refused.value).endswith(UNNAMED)
    assert names_of(stored) == []
    REGISTER["redial"](stored, None, name="told")
    assert names_of(stored) == ["told"]


@pytest.mark.parametrize(
    "handler", [hook, made(), Hook().method, functools.lru_cache(hook)], ids=["function", "local", "method", "cached"]
)
def test_a_handler_with_a_name_of_its_own_needs_no_other(handler: Any, stored: OutcomeRouter) -> None:
    """A function of a module, of a function, a method, and what was given a name as a decorator gives one."""
    stored.on_retryable(handler)
    stored.add_sink(Sink())
    assert names_of(stored) == [f"{HERE}.{handler.__qualname__}", f"{HERE}.Sink"]


EQUALS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "one-factory": lambda: (made(), made()),
    "methods-of-two": lambda: (Hook().method, Hook().method),
}


@pytest.mark.parametrize("two", EQUALS.values(), ids=EQUALS)
@pytest.mark.parametrize("place", ["here", "inner", "include"])
def test_two_handlers_of_one_name_are_refused_with_a_store(
    two: Callable[[], tuple[Any, Any]], place: str, stored: OutcomeRouter
) -> None:
    """Wherever the second is registered. Numbered by their order, another order would call another hook again."""
    first, second = two()
    inner = OutcomeRouter()
    stored.on_retryable(first)
    if place == "include":
        inner.on_retryable(second)
    elif place == "inner":
        stored.include(inner)
    register: dict[str, Callable[[], object]] = {
        "here": lambda: stored.on_terminal(second),
        "inner": lambda: inner.on_terminal(second),
        "include": lambda: stored.include(inner),
    }
    with pytest.raises(RegistrationError) as refused:
        register[place]()
    assert str(refused.value).startswith(f"two handlers have the name {HERE}.")
    assert str(refused.value).endswith(EQUAL)
    assert len(names_of(stored)) == 1
    stored.on_terminal(name="another")(second)
    assert names_of(stored)[1:] == ["another"]


@pytest.mark.parametrize("names", [("one", "one"), (None, f"{HERE}.hook"), (f"{HERE}.hook", None)])
def test_a_name_that_is_told_twice_is_refused_with_a_store(
    names: tuple[str | None, str | None], stored: OutcomeRouter
) -> None:
    """Also where it is another handler's own."""
    handlers = [hook, made()] if names[0] is None else [made(), hook]
    stored.on_retryable(name=names[0])(handlers[0])
    with pytest.raises(RegistrationError, match=r"^two handlers have the name .*, and a store could not tell them"):
        stored.on_retryable(name=names[1])(handlers[1])


def test_sinks_of_one_class_are_told_apart_by_name(stored: OutcomeRouter) -> None:
    """One is named by its class, as there is mostly one."""
    sinks = [EventGridSink(f"https://topic-{number}.example/api/events", "key") for number in range(2)]
    stored.add_sink(sinks[0])
    with pytest.raises(RegistrationError, match=r"^two handlers have the name ringback.eventgrid.EventGridSink, "):
        stored.add_sink(sinks[1])
    stored.add_sink(sinks[1], name="archive")
    # A sink has a registration for each of its criteria.
    assert list(dict.fromkeys(names_of(stored))) == ["ringback.eventgrid.EventGridSink", "archive"]


def test_redials_of_one_name_are_refused_with_a_store(stored: OutcomeRouter) -> None:
    """Also two redials of one function with two policies, in two routers."""

    def place(contact: str) -> None: ...

    inner = OutcomeRouter()
    stored.redial(contact=lambda outcome: None)(place)
    inner.redial(contact=lambda outcome: None)(place)
    with pytest.raises(RegistrationError, match=r"^two redials have the name "):
        stored.include(inner)
    assert len(stored.redials) == 1


def test_the_same_handler_twice_is_one_with_a_store(stored: OutcomeRouter) -> None:
    """A method is a new object each time, and the same hook."""
    handler, told = Hook(), functools.partial(of_two, "x")
    stored.on_retryable(handler.method)
    stored.on_terminal(handler.method)
    stored.on(cause="busy", name="told")(told)
    stored.on(code=486, name="told")(told)
    stored.on(code=487)(told)
    assert [name.rpartition(".")[2] for name in names_of(stored)] == ["method", "method", "told", "told", "told"]


def test_a_store_of_another_kind_is_asked_when_its_worker_starts(tmp_path: Path) -> None:
    """As `ringback worker --store` does for a router without one."""
    router = OutcomeRouter()
    router.on_retryable(functools.partial(of_two, "x"))
    with pytest.raises(RegistrationError, match="has no name of its own"):
        Dispatcher(router, LogObserver(), store=f"sqlite:///{tmp_path}/ringback.db")
    Dispatcher(router, LogObserver(), store="memory")


@given(st.permutations(["a", "b", "c", "d"]), st.permutations(["a", "b", "c", "d"]))
def test_a_name_does_not_depend_on_the_order(first: list[str], second: list[str]) -> None:
    """A hook that was added in front takes no other's name."""
    handlers = {name: functools.partial(of_two, name) for name in "abcd"}
    named = []
    for order in (first, second):
        router = HandlerRouter()
        for name in order:
            router.on_retryable(name=name)(handlers[name])
        named.append({id(registration.handler): name for name, registration in router.roster.hooks})
    assert named[0] == named[1]


async def test_a_hook_that_is_added_in_front_changes_no_others_progress() -> None:
    """After a restart what has returned does not run again, and the new one runs for the first time."""
    calls: list[str] = []

    def bench_of(*names: str) -> Bench:
        bench = Bench()
        for name in names:
            bench.router.on_retryable(name=name)(functools.partial(lambda name, outcome: calls.append(name), name))
        return bench

    before, after = bench_of("second", "third"), bench_of("first", "second", "third")
    settlement = await before.attempt(Progress(done=("second",)))
    assert (settlement.progress.done, calls) == (("second", "third"), ["third"])
    settlement = await after.attempt(Progress(done=("second",)))
    assert settlement == Settlement(State.DONE, Progress(done=("second", "first", "third")))
    assert calls == ["third", "first", "third"]


def test_without_a_store_numbers_tell_handlers_apart() -> None:
    """Nothing outlives the process that has given them."""
    router = HandlerRouter()
    for handler in (hook, lambda outcome: None, lambda outcome: None, made(), made()):
        router.on_retryable(handler)
    names = names_of(router)
    assert len(set(names)) == 5
    assert [name.partition("#")[2] for name in names] == ["", "", "2", "", "2"]
    assert all(one != other for one, other in itertools.combinations(names, 2))
