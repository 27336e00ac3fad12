"""Registration and its faults, which handlers an outcome concerns, sinks and redials."""

from __future__ import annotations

import gc
import itertools
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import (
    Cause,
    ConfigurationError,
    Outcome,
    RedialPolicy,
    RegistrationError,
    Scope,
    classify,
)
from ringback.hooks.registration import RedialRegistration
from ringback.hooks.router import HandlerRouter

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = classify("CallDisconnected", 486, 560486)
HUNG_UP = classify("CallDisconnected", 200, 560000)
UNKNOWN = classify("CallDisconnected", 999, 123)
SERVER_ERROR = classify("CallDisconnected", 599, 123)
UNREPORTED = classify("CallDisconnected", None, None)
PLAY_FAILED = classify("PlayFailed", 400, 8536)
UNKNOWN_PLAY = classify("PlayFailed", 999, 123)
ADD_BUSY = classify("AddParticipantFailed", 486, 560486)


def hook(outcome: Outcome) -> None:
    """A handler that fits."""


def other(outcome: Outcome) -> None:
    """Another handler that fits."""


def on_failure(outcome: Outcome, error: Exception) -> None:
    """An error handler that fits."""


def concerned(router: HandlerRouter, outcome: Outcome) -> list[Callable[..., Any]]:
    return [each.handler for each in router.registrations if each.fits(outcome)]


@pytest.mark.parametrize(
    ("criteria", "heard"),
    [
        pytest.param({"cause": "busy"}, False, id="cause"),
        pytest.param({"code": 486}, False, id="code"),
        pytest.param({"disposition": "retryable"}, False, id="disposition"),
        pytest.param({"when": lambda o: True}, False, id="predicate"),
        pytest.param({"scope": "operation"}, True, id="scope"),
        pytest.param({"event": "AddParticipantFailed"}, True, id="event"),
        pytest.param({"event": "AddParticipantFailed", "cause": "busy"}, True, id="event-and-cause"),
        pytest.param({"scope": "operation", "cause": "declined"}, False, id="scope-and-another-cause"),
    ],
)
def test_operations_reach_only_who_asks_for_them(criteria: dict[str, Any], heard: bool) -> None:
    """Operations are many and mostly fine: without ``event`` or ``scope`` they are left out."""
    router = HandlerRouter()
    router.on(**criteria)(hook)
    assert concerned(router, ADD_BUSY) == [hook] * heard


@pytest.mark.parametrize(
    ("outcome", "called"),
    [
        pytest.param(BUSY, ["retryable"], id="retryable"),
        pytest.param(HUNG_UP, ["terminal"], id="terminal"),
        pytest.param(UNREPORTED, ["terminal"], id="unreported"),
        pytest.param(UNKNOWN, ["terminal", "unrecognized"], id="unknown"),
        pytest.param(SERVER_ERROR, ["retryable", "unrecognized"], id="unknown-server-error"),
        pytest.param(ADD_BUSY, [], id="retryable-operation"),
        pytest.param(PLAY_FAILED, [], id="terminal-operation"),
        pytest.param(UNKNOWN_PLAY, ["unrecognized"], id="unknown-operation"),
    ],
)
def test_every_ended_call_is_retryable_or_terminal(outcome: Outcome, called: list[str]) -> None:
    """The two hear of calls alone and never both; what the catalog does not know is told besides."""
    router = HandlerRouter()

    @router.on_retryable
    def retryable(outcome: Outcome) -> None: ...

    @router.on_terminal
    def terminal(outcome: Outcome) -> None: ...

    @router.on_unrecognized
    def unrecognized(outcome: Outcome) -> None: ...

    assert [each.__name__ for each in concerned(router, outcome)] == called


@given(
    event=st.sampled_from(["CallDisconnected", "CreateCallFailed", "PlayFailed", "CallConnected", None]),
    code=st.none() | st.integers(-1, 700),
    subcode=st.none() | st.integers(0, 600_000),
)
def test_who_is_concerned_also_hears_of_it(event: str | None, code: int | None, subcode: int | None) -> None:
    """No handler that is concerned is lost to the question whether anybody listens at all."""
    router, outcome = HandlerRouter(), classify(event, code, subcode)
    for register in (
        router.on_retryable,
        router.on_terminal,
        router.on_unrecognized,
        router.on(cause=list(Cause)),
        router.on(scope=list(Scope)),
        router.on(event="PlayFailed"),
    ):
        register(hook)
    assert all(each.may_concern(outcome) for each in router.registrations if each.fits(outcome))
    named = [each.concern.value for each in router.registrations if each.fits(outcome)]
    assert (named.count("on_retryable") + named.count("on_terminal") == 1) is (outcome.scope is Scope.CALL)


def test_handlers_come_in_the_order_of_their_registration() -> None:
    """Whatever they asked for, first registered is first."""
    router = HandlerRouter()
    router.on_unrecognized(hook)
    router.on(code=599)(other)
    router.on_retryable(hook)
    router.on(match="range")(hook)
    assert concerned(router, SERVER_ERROR) == [hook, other, hook, hook]


def test_an_included_router_stands_where_it_was_included() -> None:
    """Included handlers come at their place, also nested ones, also those registered later."""
    outer, middle, inner = HandlerRouter(), HandlerRouter(), HandlerRouter()

    def first(outcome: Outcome) -> None: ...

    def last(outcome: Outcome) -> None: ...

    outer.on_retryable(first)
    outer.include(middle)
    outer.on_retryable(last)
    middle.include(inner)
    middle.on_retryable(other)
    inner.on_retryable(hook)
    assert concerned(outer, BUSY) == [first, hook, other, last]
    assert list(outer.routers()) == [outer, middle, inner]


def handlers(router: HandlerRouter) -> tuple[object, ...]:
    return tuple(registered.handler for registered in router.roster.error_handlers)


def test_error_handlers_of_included_routers_come_once() -> None:
    """A router that is included by two ways hears of an error once."""
    outer, left, right, shared = (HandlerRouter() for _ in range(4))
    for router in (left, right):
        outer.include(router)
        router.include(shared)

    def own(outcome: Outcome, error: Exception) -> None: ...

    shared.on_error(on_failure)
    outer.on_error(own)
    assert handlers(outer) == (own, on_failure)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_of_routers_is_refused(length: int) -> None:
    """A router that includes itself, over however many others, would never end."""
    routers = [HandlerRouter() for _ in range(length)]
    for outer, inner in itertools.pairwise(routers):
        outer.include(inner)
    with pytest.raises(RegistrationError) as raised:
        routers[-1].include(routers[0])
    assert str(raised.value) == "include() would make the router include itself; include it in one direction only"
    assert list(routers[0].routers()) == routers


def test_only_routers_can_be_included() -> None:
    """A web framework's router, or a module, holds no handlers of ours."""
    with pytest.raises(RegistrationError) as raised:
        HandlerRouter().include("jobs")  # type: ignore[arg-type]
    assert str(raised.value) == "include() takes an OutcomeRouter, not 'jobs'"


class AsyncPredicate:
    async def __call__(self, outcome: Outcome) -> bool:
        return outcome.retryable


def takes_none() -> None: ...


def generator(outcome: Outcome) -> Any:
    yield outcome


async def async_generator(outcome: Outcome) -> Any:
    yield outcome


async def async_predicate(outcome: Outcome) -> bool:
    return False


HERE = __name__


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        pytest.param({"when": 5}, "when 5 is not callable; register a function (outcome)", id="when-not-callable"),
        pytest.param(
            {"when": takes_none},
            f"when {HERE}.takes_none() -> 'None' cannot be called as (outcome); change its parameters",
            id="when-arity",
        ),
        pytest.param(
            {"when": generator}, f"when {HERE}.generator yields; register a function that returns", id="when-yields"
        ),
        pytest.param(
            {"when": async_generator},
            f"when {HERE}.async_generator yields; register a function that returns",
            id="when-yields-async",
        ),
        pytest.param(
            {},
            "on() needs at least one criterion, such as cause='busy'; for all calls that ended use on_retryable "
            "and on_terminal",
            id="no-criteria",
        ),
    ],
)
def test_on_that_cannot_work_is_refused_at_once(criteria: dict[str, Any], message: str) -> None:
    """A predicate is a function that answers at once; and who asks for nothing would hear of everything."""
    with pytest.raises(RegistrationError) as raised:
        HandlerRouter().on(**criteria)
    assert str(raised.value) == message


@pytest.mark.parametrize("misused", [hook, "busy"], ids=["bare-decorator", "positional"])
def test_on_without_names_is_refused(misused: Any) -> None:
    """``@router.on`` without parentheses would swallow the function."""
    with pytest.raises(RegistrationError) as raised:
        HandlerRouter().on(misused)
    assert str(raised.value) == "on() takes criteria by name; write @router.on(cause='busy'), not @router.on"


def test_an_error_handler_takes_two_arguments() -> None:
    """A hook is no error handler."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError) as raised:
        router.on_error(hook)
    assert str(raised.value) == (
        f"handler {HERE}.hook(outcome: 'Outcome') -> 'None' cannot be called as (outcome, error); change its parameters"
    )
    assert handlers(router) == ()


@pytest.mark.parametrize(
    ("register", "concern"),
    [
        pytest.param(lambda router: router.on_retryable(hook), "on_retryable", id="retryable"),
        pytest.param(lambda router: router.on_terminal(hook), "on_terminal", id="terminal"),
        pytest.param(lambda router: router.on_unrecognized(hook), "on_unrecognized", id="unrecognized"),
        pytest.param(lambda router: router.on(code=[486, 487], cause="busy")(hook), "on", id="on"),
    ],
)
def test_the_same_registration_twice_is_refused(register: Callable[[HandlerRouter], Any], concern: str) -> None:
    """A second one would never change anything, so it is a mistake."""
    router = HandlerRouter()
    register(router)
    with pytest.raises(RegistrationError) as raised:
        register(router)
    assert str(raised.value) == (
        f"handler {HERE}.hook is already registered with {concern} for the same criteria; "
        "remove one of the two registrations"
    )
    assert len(list(router.registrations)) == 1


def test_the_same_error_handler_twice_is_refused() -> None:
    """The handler would get every error twice."""
    router = HandlerRouter()
    router.on_error(on_failure)
    with pytest.raises(RegistrationError) as raised:
        router.on_error(on_failure)
    assert str(raised.value) == (
        f"handler {HERE}.on_failure is already registered with on_error; remove one of the two registrations"
    )
    assert handlers(router) == (on_failure,)


def test_an_error_handler_may_be_registered_late() -> None:
    """Also after a delivery has read the roster."""
    router = HandlerRouter()
    assert handlers(router) == ()
    router.on_error(on_failure)
    assert handlers(router) == (on_failure,)


def test_every_decorator_returns_the_function() -> None:
    """A decorated function stays what it was, so that it can be tested, called and decorated again."""
    router = HandlerRouter()
    assert router.on_retryable(hook) is hook
    assert router.on_terminal(hook) is hook
    assert router.on_unrecognized(hook) is hook
    assert router.on(cause="busy")(hook) is hook
    assert router.on_error(on_failure) is on_failure


def test_stacked_decorators_mean_or() -> None:
    """A function may be registered with several criteria; each is its own registration."""
    router = HandlerRouter()

    @router.on(cause="busy")
    @router.on(code=999)
    def either(outcome: Outcome) -> None: ...

    assert [bool(concerned(router, each)) for each in (BUSY, UNKNOWN, HUNG_UP)] == [True, True, False]


# Redials


def contact(outcome: Outcome) -> str | None:
    return "customer-1"


def place(outcome: Outcome) -> None: ...


async def place_async(headers: dict[str, str]) -> None: ...


def test_a_redial_is_a_function_with_its_settings() -> None:
    """The decorator returns the very function."""
    router = HandlerRouter()
    policy = RedialPolicy(max_attempts=2)
    assert router.redial(contact=contact, policy=policy, time_zone="Europe/Berlin")(place) is place
    assert router.redial(contact=contact, hash_contacts="sixteen-bytes-ok")(place_async) is place_async
    assert router.redials == (
        RedialRegistration(place, policy, contact, ZoneInfo("Europe/Berlin"), frozenset({"outcome"})),
        RedialRegistration(place_async, RedialPolicy(), contact, None, frozenset({"headers"}), b"sixteen-bytes-ok"),
    )
    assert list(router.registrations) == []


def redials(*functions: Any, **settings: Any) -> tuple[RedialRegistration, ...]:
    router = HandlerRouter()
    for function in functions:
        router.redial(**{"contact": contact} | settings)(function)
    return router.redials


def positional_outcome(outcome: Outcome, /) -> None: ...


def not_offered(outcome: Outcome, tenant: str) -> None: ...


class Placer:
    def place(self, contact: str) -> None: ...


MAY_HAVE = "it may have attempt, contact, ctx, headers, history, operation_context, outcome"


@pytest.mark.parametrize(
    ("settings", "function", "message"),
    [
        pytest.param({}, None, "redial None is not callable; decorate a function", id="not-callable"),
        pytest.param({}, generator, f"redial {HERE}.generator yields; register a function that returns", id="yields"),
        pytest.param(
            {},
            async_generator,
            f"redial {HERE}.async_generator yields; register a function that returns",
            id="async-yields",
        ),
        pytest.param(
            {}, dict, "redial builtins.dict does not tell its parameters; decorate a function", id="no-signature"
        ),
        pytest.param(
            {},
            Placer.place,
            f"redial {HERE}.Placer.place takes the object first; "
            "a method is registered from an object: obj.method, once there is one",
            id="unbound-method",
        ),
        pytest.param(
            {}, not_offered, f"redial {HERE}.not_offered has a parameter 'tenant'; {MAY_HAVE}", id="not-offered"
        ),
        pytest.param(
            {},
            positional_outcome,
            f"redial {HERE}.positional_outcome has a parameter 'outcome'; {MAY_HAVE}",
            id="positional-only",
        ),
        pytest.param(
            {"contact": "customer-1"},
            place,
            "contact 'customer-1' is not callable; register a function (outcome)",
            id="contact-not-callable",
        ),
        pytest.param(
            {"contact": takes_none},
            place,
            f"contact {HERE}.takes_none() -> 'None' cannot be called as (outcome); change its parameters",
            id="contact-of-nothing",
        ),
        pytest.param({"policy": 3}, place, "policy 3 is no RedialPolicy", id="policy"),
        pytest.param(
            {"policy": RedialPolicy(may_call=takes_none)},
            place,
            f"may_call {HERE}.takes_none() -> 'None' cannot be called as (contact, at); change its parameters",
            id="may-call",
        ),
        pytest.param(
            {"time_zone": takes_none},
            place,
            f"time_zone {HERE}.takes_none() -> 'None' cannot be called as (outcome); change its parameters",
            id="time-zone-function",
        ),
        pytest.param(
            {"time_zone": "Mars/Olympus"},
            place,
            "redial: 'Mars/Olympus' is no time zone; write an IANA name such as 'Europe/Berlin' "
            "(on a machine without time zone data, install tzdata)",
            id="time-zone",
        ),
        pytest.param(
            {"hash_contacts": "short"},
            place,
            "hash_contacts of 5 bytes can be guessed; use at least 16",
            id="short-key",
        ),
        pytest.param(
            {"hash_contacts": True},
            place,
            "hash_contacts is neither text nor bytes but bool; give a secret of at least 16 bytes, or leave it out",
            id="no-key",
        ),
    ],
)
def test_a_redial_that_cannot_work_is_refused_at_once(settings: dict[str, Any], function: Any, message: str) -> None:
    """Not in the night in which the first call fails."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError) as raised:
        router.redial(**{"contact": contact} | settings)(function)
    assert str(raised.value) == message
    assert router.redials == ()


def test_redial_without_names_is_refused() -> None:
    """``@router.redial`` without parentheses would swallow the function."""
    with pytest.raises(RegistrationError) as raised:
        HandlerRouter().redial(place, contact=contact)
    assert str(raised.value) == "redial() takes settings by name; write @router.redial(contact=...)"


def test_the_same_redial_twice_is_refused() -> None:
    """A call has one redial; the second registration would be for other contacts, under the same name."""
    router = HandlerRouter()
    router.redial(contact=contact)(place)
    with pytest.raises(RegistrationError) as raised:
        router.redial(contact=contact)(place)
    assert str(raised.value) == f"redial {HERE}.place is already registered; remove one of the two"
    assert len(router.redials) == 1


def made() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


def test_redials_of_one_name_are_told_apart_by_their_order() -> None:
    """Functions made by another one are called the same."""
    inner = f"{HERE}.made.<locals>.inner"
    assert [each.name for each in redials(made(), place, made(), made())] == [
        inner,
        f"{HERE}.place",
        f"{inner}#2",
        f"{inner}#3",
    ]


def test_redials_of_included_routers_come_once_and_behind() -> None:
    """A router may be included by two ways; equal names are told apart over all of them."""
    outer, middle, inner = HandlerRouter(), HandlerRouter(), HandlerRouter()
    outer.include(middle)
    outer.include(inner)
    middle.include(inner)
    first, second = made(), made()
    inner.redial(contact=contact)(first)
    outer.redial(contact=contact)(second)
    assert [(each.function, each.number) for each in outer.redials] == [(second, 1), (first, 2)]
    assert [(each.function, each.number) for each in inner.redials] == [(first, 1)]


class Recorder:
    def __init__(self, canceled: int) -> None:
        self.canceled = canceled
        self.asked: list[str] = []

    async def cancel_redials(self, contact: str) -> int:
        self.asked.append(contact)
        return self.canceled

    async def never_call(self, contact: str) -> int:
        self.asked.append(f"never {contact}")
        return self.canceled

    async def allow_call(self, contact: str) -> bool:
        self.asked.append(f"allow {contact}")
        return self.canceled > 1


def recorder(canceled: int) -> Any:
    """What stands in place of a dispatcher."""
    return Recorder(canceled)


async def test_redials_are_canceled_wherever_the_router_is_used() -> None:
    """By every dispatcher it is attached to, itself or by a router that includes it, before or after."""
    outer, inner, late = HandlerRouter(), HandlerRouter(), HandlerRouter()
    outer.include(inner)
    of_outer, of_inner = recorder(2), recorder(1)
    outer.attach(of_outer)
    inner.attach(of_inner)
    outer.include(late)
    assert await inner.cancel_redials("customer-1") == 3
    assert await outer.cancel_redials("customer-2") == 2
    assert await late.cancel_redials("customer-3") == 2
    assert of_outer.asked == ["customer-1", "customer-2", "customer-3"]
    assert of_inner.asked == ["customer-1"]


async def test_contacts_are_barred_wherever_the_router_is_used() -> None:
    """One store that had barred the contact is enough for a change."""
    outer, inner = HandlerRouter(), HandlerRouter()
    outer.include(inner)
    of_outer, of_inner = recorder(2), recorder(1)
    outer.attach(of_outer)
    inner.attach(of_inner)
    assert (await inner.never_call("c"), await outer.never_call("c")) == (3, 2)
    assert (await inner.allow_call("c"), await outer.allow_call("c")) == (True, True)
    assert of_inner.asked == ["never c", "allow c"]
    of_outer.canceled = 0
    assert await inner.allow_call("c") is False


@pytest.mark.parametrize("name", ["never_call", "allow_call"])
async def test_a_word_that_nobody_would_keep_is_refused(name: str) -> None:
    """A person who must not be called would be called all the same."""
    with pytest.raises(ConfigurationError) as refused:
        await getattr(HandlerRouter(), name)("customer-1")
    assert str(refused.value) == (
        f"{name}() found no store: nothing in this process uses the router yet; call it in the app, or run ringback "
        "redials block or unblock"
    )


async def test_a_dispatcher_that_is_gone_is_not_asked() -> None:
    """A router outlives the apps that tests make of it."""
    router = HandlerRouter()
    router.attach(recorder(1))
    gc.collect()
    assert await router.cancel_redials("customer-1") == 0


def test_who_watches_is_told_of_every_dispatcher_once() -> None:
    """Also of one that was there before; a router may be included by two ways."""
    inner, middle, outer = HandlerRouter(), HandlerRouter(), HandlerRouter()
    early, late = recorder(0), recorder(0)
    seen: list[object] = []
    middle.include(inner)
    outer.include(inner)
    outer.include(middle)
    outer.attach(early)
    inner.watch_dispatchers(seen.append)
    outer.attach(late)
    outer.attach(early)
    assert seen == [early, late]
