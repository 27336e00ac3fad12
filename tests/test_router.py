"""Registration, its faults, and which handlers an outcome concerns."""

from __future__ import annotations

import functools
import gc
import itertools
from datetime import UTC
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback import (
    Cause,
    ConfigurationError,
    Disposition,
    HookContext,
    Match,
    Outcome,
    Owner,
    RedialPolicy,
    RegistrationError,
    ResultCategory,
    RetryClass,
    Scope,
    classify,
)
from ringback.router import HandlerRouter, RedialRegistration, handler_name

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = classify("CallDisconnected", 486, 560486)
HUNG_UP = classify("CallDisconnected", 200, 560000)
CREATE_FAILED = classify("CreateCallFailed", 487, 10004)
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
    return [each.handler for each in router.registrations if each.concerns(outcome)]


def asks(outcome: Outcome, **criteria: Any) -> bool:
    """Whether a handler registered with these criteria is concerned by the outcome."""
    router = HandlerRouter()
    router.on(**criteria)(hook)
    return concerned(router, outcome) == [hook]


@pytest.mark.parametrize(
    ("criteria", "matching", "other_outcome"),
    [
        pytest.param({"event": "CreateCallFailed"}, CREATE_FAILED, BUSY, id="event"),
        pytest.param({"event": ["CreateCallFailed", "AnswerFailed"]}, CREATE_FAILED, BUSY, id="events"),
        pytest.param({"code": 486}, BUSY, HUNG_UP, id="code"),
        pytest.param({"code": {486, 487}}, CREATE_FAILED, HUNG_UP, id="codes"),
        pytest.param({"code": range(400, 500)}, BUSY, SERVER_ERROR, id="code-range"),
        pytest.param({"subcode": 560486}, BUSY, HUNG_UP, id="subcode"),
        pytest.param({"subcode": (560486, 10004)}, CREATE_FAILED, HUNG_UP, id="subcodes"),
        pytest.param({"subcode": range(560000, 561000)}, HUNG_UP, UNREPORTED, id="subcode-range"),
        pytest.param({"category": ResultCategory.EXPECTED_ERROR}, CREATE_FAILED, BUSY, id="category"),
        pytest.param({"category": "ExpectedError"}, CREATE_FAILED, BUSY, id="category-text"),
        pytest.param({"category": [ResultCategory.SUCCESS, "Unknown"]}, UNKNOWN, CREATE_FAILED, id="categories"),
        pytest.param({"cause": Cause.BUSY}, BUSY, HUNG_UP, id="cause"),
        pytest.param({"cause": "busy"}, BUSY, HUNG_UP, id="cause-text"),
        pytest.param({"cause": {"no_answer", Cause.BUSY}}, CREATE_FAILED, HUNG_UP, id="causes"),
        pytest.param({"retry_class": RetryClass.LATER}, BUSY, HUNG_UP, id="retry-class"),
        pytest.param({"retry_class": "none"}, HUNG_UP, BUSY, id="retry-class-text"),
        pytest.param({"retry_class": ("none", "after_fix")}, UNKNOWN, BUSY, id="retry-classes"),
        pytest.param({"owner": Owner.CALLEE}, BUSY, HUNG_UP, id="owner"),
        pytest.param({"owner": "azure"}, SERVER_ERROR, BUSY, id="owner-text"),
        pytest.param({"owner": {"app", "azure"}}, UNKNOWN, BUSY, id="owners"),
        pytest.param({"disposition": Disposition.RETRYABLE}, BUSY, HUNG_UP, id="disposition"),
        pytest.param({"disposition": "terminal"}, HUNG_UP, BUSY, id="disposition-text"),
        pytest.param({"disposition": ["terminal"]}, HUNG_UP, BUSY, id="dispositions"),
        pytest.param({"match": Match.NONE}, UNKNOWN, BUSY, id="match"),
        pytest.param({"match": ("range", "none")}, SERVER_ERROR, BUSY, id="matches"),
        pytest.param({"scope": Scope.CALL}, BUSY, PLAY_FAILED, id="scope"),
        pytest.param({"scope": "operation"}, PLAY_FAILED, BUSY, id="scope-text"),
        pytest.param({"when": lambda o: o.code == 486}, BUSY, HUNG_UP, id="predicate"),
        pytest.param({"cause": "busy", "code": range(400, 500)}, BUSY, CREATE_FAILED, id="two-criteria"),
        pytest.param({"cause": "busy", "when": lambda o: o.subcode == 560486}, BUSY, HUNG_UP, id="and-predicate"),
    ],
)
def test_a_criterion_selects_the_outcomes_it_names(
    criteria: dict[str, Any], matching: Outcome, other_outcome: Outcome
) -> None:
    """A criterion is a value, a collection or a range; every one given must hold."""
    assert (asks(matching, **criteria), asks(other_outcome, **criteria)) == (True, False)


@pytest.mark.parametrize("scope", [("call", "operation"), {Scope.CALL, Scope.OPERATION}], ids=["tuple", "set"])
def test_both_scopes_select_calls_and_operations(scope: Any) -> None:
    """Whoever names both scopes hears of everything."""
    assert [asks(each, scope=scope) for each in (BUSY, PLAY_FAILED)] == [True, True]


@pytest.mark.parametrize(
    "event",
    ["AnswerFailed", "Microsoft.Communication.AnswerFailed", "AnswerCallFailed", "answerfailed", " AnswerFailed "],
    ids=["short", "full", "alias", "case", "spaces"],
)
def test_an_event_is_meant_however_it_is_written(event: str) -> None:
    """Short name, full type, alias and case all mean the same event."""
    heard = [classify(name, 401, 71005) for name in ("AnswerFailed", "Microsoft.Communication.AnswerCallFailed")]
    assert [asks(each, event=event) for each in (*heard, BUSY)] == [True, True, False]


def test_an_unknown_full_type_is_taken_at_its_word() -> None:
    """The service adds events faster than we release, so a full type needs no place in a table."""
    newer = "Microsoft.Communication.CallSangFailed"
    assert [asks(classify(name, 400, 1), event=newer) for name in (newer, "CallSangFailed")] == [True, True]
    assert not asks(BUSY, event=newer)


@pytest.mark.parametrize("asked", [0, 200, (0,), range(1), range(200, 300)], ids=str)
@pytest.mark.parametrize("reported", [0, 200])
def test_code_0_is_200(asked: Any, reported: int) -> None:
    """The tables write 0 where the wire has 200; a handler hears of both, whichever it names."""
    assert asks(classify("CallDisconnected", reported, 560000), code=asked)


@pytest.mark.parametrize("number", ["code", "subcode"])
def test_an_absent_number_meets_no_number(number: str) -> None:
    """An unreported result has no code, not the code 0."""
    assert not asks(UNREPORTED, **{number: range(-1_000_000, 1_000_000)})
    assert not asks(UNREPORTED, **{number: 0})


@given(low=st.integers(-10, 700), size=st.integers(1, 300), code=st.integers(1, 699).filter(lambda code: code != 200))
@settings(deadline=None)
def test_a_range_means_the_same_as_its_members(low: int, size: int, code: int) -> None:
    """A range is a collection that was not written out."""
    outcome, codes = classify("CallDisconnected", code, 1), range(low, low + size)
    assert asks(outcome, code=codes) == asks(outcome, code=list(codes)) == (code in codes)


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
    assert asks(ADD_BUSY, **criteria) is heard


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
@settings(deadline=None)
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
    assert all(each.hears_of(outcome) for each in router.registrations if each.concerns(outcome))
    named = [each.concern.value for each in router.registrations if each.concerns(outcome)]
    assert (named.count("on_retryable") + named.count("on_terminal") == 1) is (outcome.scope is Scope.CALL)


def test_the_predicate_is_asked_last() -> None:
    """A predicate may rely on the other criteria."""
    asked: list[Outcome] = []
    router = HandlerRouter()
    router.on(cause="busy", when=lambda outcome: bool(asked.append(outcome)) or True)(hook)
    assert (concerned(router, HUNG_UP), concerned(router, BUSY), asked) == ([], [hook], [BUSY])


def test_the_predicate_may_answer_with_any_truth() -> None:
    """``when`` is asked for truth, not for a bool."""
    assert [asks(BUSY, when=lambda o: o.code), asks(BUSY, when=lambda o: o.sip)] == [True, False]


def test_an_exception_of_the_predicate_propagates() -> None:
    """Who asks a registration isolates it; the router hides nothing."""
    with pytest.raises(ZeroDivisionError):
        asks(BUSY, when=lambda o: 1 / 0)


@pytest.mark.parametrize("event", ["CallDisconnected", "CreateCallFailed"])
def test_a_merged_outcome_answers_for_both_of_its_events(event: str) -> None:
    """A handler for either event of the pair hears of their one outcome."""
    pair = classify("CallDisconnected", 487, 10004).merged_with(CREATE_FAILED)
    assert pair == Outcome(CREATE_FAILED.event, CREATE_FAILED.verdict, classify("CallDisconnected", 487, 10004).event)
    assert asks(pair, event=event)
    assert not asks(pair, event="AnswerFailed")


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


def test_error_handlers_of_included_routers_come_once() -> None:
    """A router that is included by two ways hears of an error once."""
    outer, left, right, shared = (HandlerRouter() for _ in range(4))
    for router in (left, right):
        outer.include(router)
        router.include(shared)

    def own(outcome: Outcome, error: Exception) -> None: ...

    shared.on_error(on_failure)
    outer.on_error(own)
    assert outer.error_handlers == (own, on_failure)


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


class Yielding:
    def __call__(self, outcome: Outcome) -> Any:
        yield outcome


class AsyncPredicate:
    async def __call__(self, outcome: Outcome) -> bool:
        return outcome.retryable


class Hook:
    def method(self, outcome: Outcome) -> None: ...

    def __call__(self, outcome: Outcome) -> None: ...


def takes_two(outcome: Outcome, request: object) -> None: ...


def takes_none() -> None: ...


def wants_keyword(outcome: Outcome, *, tenant: str) -> None: ...


def generator(outcome: Outcome) -> Any:
    yield outcome


async def async_generator(outcome: Outcome) -> Any:
    yield outcome


async def async_predicate(outcome: Outcome) -> bool:
    return False


HERE = __name__
CAUSES = ", ".join(Cause)
CATEGORIES = "Success, ExpectedError, UnexpectedClientError, UnexpectedServerError, Unknown"
NOT_EVENT = "is not an event of Call Automation that carries a result"


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        pytest.param({"cause": "bussy"}, f"cause 'bussy' is not one of {CAUSES}; did you mean 'busy'?", id="cause"),
        pytest.param({"cause": "zzz"}, f"cause 'zzz' is not one of {CAUSES}", id="cause-like-none"),
        pytest.param({"cause": ["busy", 7]}, f"cause 7 is not one of {CAUSES}", id="cause-number"),
        pytest.param(
            {"cause": [["busy"]]}, f"cause ['busy'] is not one of {CAUSES}; did you mean 'busy'?", id="cause-nested"
        ),
        pytest.param(
            {"category": "success"},
            f"category 'success' is not one of {CATEGORIES}; did you mean 'Success'?",
            id="case",
        ),
        pytest.param(
            {"category": Cause.BUSY}, f"category <Cause.BUSY: 'busy'> is not one of {CATEGORIES}", id="another-enum"
        ),
        pytest.param(
            {"retry_class": "soon"}, "retry_class 'soon' is not one of none, now, later, after_fix, never", id="retry"
        ),
        pytest.param(
            {"owner": "admins"},
            "owner 'admins' is not one of nobody, callee, app, admin, carrier, azure; did you mean 'admin'?",
            id="owner",
        ),
        pytest.param(
            {"disposition": "retriable"},
            "disposition 'retriable' is not one of retryable, terminal; did you mean 'retryable'?",
            id="disposition",
        ),
        pytest.param({"scope": "leg"}, "scope 'leg' is not one of call, operation", id="scope"),
        pytest.param(
            {"match": "pairs"},
            "match 'pairs' is not one of exact, pair, sip_subcode, generic_subcode, code, range, none; "
            "did you mean 'pair'?",
            id="match",
        ),
        pytest.param(
            {"event": "CallDisconected"},
            f"event 'CallDisconected' {NOT_EVENT}; did you mean 'CallDisconnected'?; for a newer one write its "
            "full type, Microsoft.Communication.CallDisconected",
            id="event",
        ),
        pytest.param(
            {"event": 486},
            f"event 486 {NOT_EVENT}; for a newer one write its full type, Microsoft.Communication.486",
            id="event-number",
        ),
        pytest.param(
            {"event": [["CallDisconnected"]]},
            f"event ['CallDisconnected'] {NOT_EVENT}; did you mean 'CallDisconnected'?; for a newer one write its "
            "full type, Microsoft.Communication.['CallDisconnected']",
            id="event-nested",
        ),
        pytest.param(
            {"event": "Microsoft.Communication."},
            f"event 'Microsoft.Communication.' {NOT_EVENT}; for a newer one write its full type, "
            "Microsoft.Communication.Microsoft.Communication.",
            id="event-prefix-alone",
        ),
        pytest.param(
            {"code": "486"}, "code '486' is not a whole number; write code=486 or code=range(400, 500)", id="code-text"
        ),
        pytest.param(
            {"code": [486, 487.5]},
            "code 487.5 is not a whole number; write code=486 or code=range(400, 500)",
            id="code-fraction",
        ),
        pytest.param(
            {"subcode": True},
            "subcode True is not a whole number; write subcode=486 or subcode=range(400, 500)",
            id="subcode-bool",
        ),
        *(
            pytest.param(
                {name: empty},
                f"{name} allows no value, so the handler could never be called; name at least one",
                id=f"empty-{name}-{type(empty).__name__}",
            )
            for name, empty in (("code", ()), ("subcode", range(5, 5)), ("cause", []), ("event", set()))
        ),
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
            {"when": async_predicate},
            f"when {HERE}.async_predicate is async; write a predicate that returns a bool",
            id="when-async",
        ),
        pytest.param(
            {"when": AsyncPredicate()},
            f"when {HERE}.AsyncPredicate is async; write a predicate that returns a bool",
            id="when-async-object",
        ),
        pytest.param(
            {},
            "on() needs at least one criterion, such as cause='busy'; for all calls that ended use on_retryable "
            "and on_terminal",
            id="no-criteria",
        ),
    ],
)
def test_a_criterion_that_cannot_work_is_refused_at_once(criteria: dict[str, Any], message: str) -> None:
    """A fault of configuration is raised with its remedy when registering, not on the first call of the night."""
    with pytest.raises(RegistrationError) as raised:
        HandlerRouter().on(**criteria)
    assert str(raised.value) == message
    assert isinstance(raised.value, ConfigurationError)


@pytest.mark.parametrize("misused", [hook, "busy"], ids=["bare-decorator", "positional"])
def test_on_without_names_is_refused(misused: Any) -> None:
    """``@router.on`` without parentheses would swallow the function."""
    with pytest.raises(RegistrationError) as raised:
        HandlerRouter().on(misused)
    assert str(raised.value) == "on() takes criteria by name; write @router.on(cause='busy'), not @router.on"


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        pytest.param(None, "handler None is not callable; register a function (outcome)", id="not-callable"),
        pytest.param(
            takes_two,
            f"handler {HERE}.takes_two(outcome: 'Outcome', request: 'object') -> 'None' cannot be called as "
            "(outcome); change its parameters",
            id="two-arguments",
        ),
        pytest.param(
            wants_keyword,
            f"handler {HERE}.wants_keyword(outcome: 'Outcome', *, tenant: 'str') -> 'None' cannot be called as "
            "(outcome); change its parameters",
            id="keyword",
        ),
        pytest.param(
            Hook.method,
            f"handler {HERE}.Hook.method(self, outcome: 'Outcome') -> 'None' cannot be called as (outcome); "
            "change its parameters",
            id="unbound-method",
        ),
        pytest.param(
            functools.partial(takes_none),
            "handler functools.partial() -> 'None' cannot be called as (outcome); change its parameters",
            id="partial",
        ),
        pytest.param(generator, f"handler {HERE}.generator yields; register a function that returns", id="generator"),
        pytest.param(
            async_generator,
            f"handler {HERE}.async_generator yields; register a function that returns",
            id="async-generator",
        ),
        pytest.param(
            Yielding(), f"handler {HERE}.Yielding yields; register a function that returns", id="generator-object"
        ),
    ],
)
@pytest.mark.parametrize("register", ["on_retryable", "on_terminal", "on_unrecognized", "on"])
def test_a_handler_that_cannot_be_called_is_refused(register: str, handler: Any, message: str) -> None:
    """What cannot be called as ``handler(outcome)`` is refused by every decorator, and leaves nothing behind."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError) as raised:
        (router.on(cause="busy") if register == "on" else getattr(router, register))(handler)
    assert str(raised.value) == message
    assert list(router.registrations) == []


def test_an_error_handler_takes_two_arguments() -> None:
    """A hook is no error handler."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError) as raised:
        router.on_error(hook)
    assert str(raised.value) == (
        f"handler {HERE}.hook(outcome: 'Outcome') -> 'None' cannot be called as (outcome, error); change its parameters"
    )
    assert router.error_handlers == ()


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
    """It would be told of every error twice."""
    router = HandlerRouter()
    router.on_error(on_failure)
    with pytest.raises(RegistrationError) as raised:
        router.on_error(on_failure)
    assert str(raised.value) == (
        f"handler {HERE}.on_failure is already registered with on_error; remove one of the two registrations"
    )
    assert router.error_handlers == (on_failure,)


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


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        pytest.param(hook, f"{HERE}.hook", id="function"),
        pytest.param(Hook().method, f"{HERE}.Hook.method", id="bound-method"),
        pytest.param(Hook(), f"{HERE}.Hook", id="object"),
        pytest.param(functools.partial(takes_two, request=None), "functools.partial", id="partial"),
        pytest.param([].append, "list.append", id="builtin-method"),
        pytest.param({}.update, "dict.update", id="builtin-without-signature"),
        pytest.param("".__eq__, "str.__eq__", id="slot"),
    ],
)
def test_any_callable_of_one_argument_has_a_name_to_be_reported_by(handler: Callable[..., Any], name: str) -> None:
    """Functions, methods, objects and builtins are all accepted, and named in the log."""
    router = HandlerRouter()
    router.on_retryable(handler)
    assert [each.name for each in router.registrations] == [name] == [handler_name(handler)]


# Contexts


class WithContext:
    def __call__(self, outcome: Outcome, ctx: HookContext) -> None: ...

    def method(self, outcome: Outcome, *, ctx: HookContext | None = None) -> None: ...


def named_ctx(outcome: Outcome, ctx: HookContext) -> None: ...


def keyword_ctx(outcome: Outcome, *, tenant: str = "mine", ctx: HookContext) -> None: ...


def late_ctx(outcome: Outcome, tenant: str = "mine", ctx: HookContext | None = None) -> None: ...


def positional_ctx(outcome: Outcome, ctx: HookContext, /) -> None: ...


def first_ctx(ctx: Outcome, /) -> None: ...


def another_name(outcome: Outcome, context: HookContext | None = None) -> None: ...


CTX = HookContext("app.hook", "call:1/app.hook")


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        pytest.param(hook, ((BUSY,), {}), id="none"),
        pytest.param(named_ctx, ((BUSY,), {"ctx": CTX}), id="second"),
        pytest.param(keyword_ctx, ((BUSY,), {"ctx": CTX}), id="keyword"),
        pytest.param(late_ctx, ((BUSY,), {"ctx": CTX}), id="third"),
        pytest.param(positional_ctx, ((BUSY, CTX), {}), id="positional-only"),
        pytest.param(first_ctx, ((BUSY,), {}), id="positional-only-first"),
        pytest.param(another_name, ((BUSY,), {}), id="another-name"),
        pytest.param(WithContext(), ((BUSY,), {"ctx": CTX}), id="object"),
        pytest.param(WithContext().method, ((BUSY,), {"ctx": CTX}), id="method"),
        pytest.param(print, ((BUSY,), {}), id="builtin"),
        pytest.param(dict, ((BUSY,), {}), id="builtin-without-signature"),
    ],
)
def test_a_handler_asks_for_its_context_by_the_name_of_a_parameter(handler: Any, arguments: Any) -> None:
    """``ctx``, wherever it stands; nothing else is passed to it than the outcome."""
    router = HandlerRouter()
    router.on_retryable(handler)
    (registration,) = router.registrations
    assert registration.arguments(BUSY, CTX) == arguments


def ctx_alone(ctx: HookContext) -> None: ...


def ctx_and_more(outcome: Outcome, tenant: str, ctx: HookContext) -> None: ...


def positional_and_more(outcome: Outcome, ctx: HookContext, tenant: str, /) -> None: ...


@pytest.mark.parametrize("handler", [ctx_alone, ctx_and_more, positional_and_more])
def test_a_handler_of_a_context_that_cannot_be_called_is_refused(handler: Any) -> None:
    """At its registration, like any other."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError, match=r"cannot be called as \(outcome, ctx\); change its parameters$"):
        router.on_retryable(handler)
    assert list(router.registrations) == []


# Sinks


class Sink:
    def __init__(self, *wanted: Outcome) -> None:
        self.wanted = wanted

    def wants(self, outcome: Outcome) -> bool:
        return outcome in self.wanted

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None: ...


@pytest.mark.parametrize("outcome", [BUSY, HUNG_UP, PLAY_FAILED, UNKNOWN], ids=repr)
def test_a_sink_gets_what_it_wants(outcome: Outcome) -> None:
    """Of calls and of operations, with a context."""
    router = HandlerRouter()
    sink = Sink(BUSY, PLAY_FAILED)
    router.add_sink(sink)
    (registration,) = router.registrations
    assert registration.hears_of(outcome)
    assert registration.concerns(outcome) == (outcome in (BUSY, PLAY_FAILED))
    assert registration.arguments(outcome, CTX) == ((outcome,), {"ctx": CTX})
    assert registration.name == f"{HERE}.Sink"


def test_what_is_no_sink_is_refused() -> None:
    """A hook does not say which outcomes it wants."""
    router = HandlerRouter()
    with pytest.raises(RegistrationError) as raised:
        router.add_sink(hook)  # type: ignore[arg-type]
    remedy = "has no wants(outcome); pass an EventGridSink, or register a hook"
    assert str(raised.value) == f"sink {hook!r} {remedy}"
    assert list(router.registrations) == []


def test_the_same_sink_twice_is_refused() -> None:
    """It would publish nothing more."""
    router = HandlerRouter()
    sink = Sink()
    router.add_sink(sink)
    with pytest.raises(RegistrationError):
        router.add_sink(sink)


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
        RedialRegistration(
            place_async, RedialPolicy(), contact, ZoneInfo("UTC"), frozenset({"headers"}), b"sixteen-bytes-ok"
        ),
    )
    assert list(router.registrations) == []


def redials(*functions: Any, **settings: Any) -> tuple[RedialRegistration, ...]:
    router = HandlerRouter()
    for function in functions:
        router.redial(**{"contact": contact} | settings)(function)
    return router.redials


def takes_all(**kwargs: Any) -> None: ...


def takes_any(*args: Any, tenant: str = "mine") -> None: ...


def takes_named(outcome: Outcome, attempt: int, *, headers: Any, contact: str, ctx: HookContext | None = None) -> None:
    """Everything by its name."""


ALL = frozenset({"outcome", "attempt", "headers", "contact", "ctx"})


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        pytest.param(takes_none, frozenset(), id="nothing"),
        pytest.param(takes_all, ALL, id="kwargs"),
        pytest.param(takes_any, frozenset(), id="args-and-defaults"),
        pytest.param(takes_named, ALL, id="by-name"),
        pytest.param(functools.partial(takes_named, attempt=2), ALL, id="partial"),
    ],
)
def test_a_redial_function_takes_what_is_offered_by_name(function: Any, parameters: frozenset[str]) -> None:
    """Every other parameter needs a default."""
    (redial,) = redials(function)
    assert redial.parameters == parameters


def positional_outcome(outcome: Outcome, /) -> None: ...


def not_offered(outcome: Outcome, tenant: str) -> None: ...


MAY_HAVE = "it may have attempt, contact, ctx, headers, outcome"


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
        pytest.param(
            {"contact": async_predicate},
            place,
            f"contact {HERE}.async_predicate is async; write a function that returns text",
            id="contact-async",
        ),
        pytest.param(
            {"contact": AsyncPredicate()},
            place,
            f"contact {HERE}.AsyncPredicate is async; write a function that returns text",
            id="contact-async-object",
        ),
        pytest.param({"policy": 3}, place, "policy 3 is no RedialPolicy", id="policy"),
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


@pytest.mark.parametrize(
    ("returned", "key", "stored"),
    [
        pytest.param("customer-1", None, "customer-1", id="as-it-is"),
        pytest.param(
            "+1 555 0100",
            b"sixteen-bytes-ok",
            "741fa6b619e83d0f8239efac8bfeddfc71df02f2dd435cc426edce8ec889a2a6",
            id="hashed",
        ),
        pytest.param(None, b"sixteen-bytes-ok", None, id="none"),
        pytest.param("", b"sixteen-bytes-ok", None, id="empty"),
    ],
)
def test_a_contact_is_kept_as_it_is_or_hashed(returned: str | None, key: bytes | None, stored: str | None) -> None:
    """With HMAC-SHA-256 in hex; whoever cancels redials names the contact itself."""
    (redial,) = redials(place, contact=lambda outcome: returned, hash_contacts=key)
    assert redial.contact_of(BUSY) == stored
    if stored is not None:
        assert redial.stored(str(returned)) == stored


def test_any_text_can_be_hashed() -> None:
    """A lone surrogate does not raise."""
    (redial,) = redials(place, contact=lambda outcome: "\ud800", hash_contacts=b"sixteen-bytes-ok")
    assert len(str(redial.contact_of(BUSY))) == 64


def test_a_contact_that_is_no_text_is_refused() -> None:
    """Two objects of one customer would be two contacts."""
    (redial,) = redials(place, contact=lambda outcome: 15550100)
    with pytest.raises(RegistrationError) as raised:
        redial.contact_of(BUSY)
    assert str(raised.value) == f"contact of {HERE}.place returned a int; return text or None"


@pytest.mark.parametrize(
    ("given", "zone"),
    [
        pytest.param("Europe/Berlin", ZoneInfo("Europe/Berlin"), id="name"),
        pytest.param(UTC, UTC, id="tzinfo"),
        pytest.param(lambda outcome: "Asia/Tokyo", ZoneInfo("Asia/Tokyo"), id="function-of-a-name"),
        pytest.param(lambda outcome: UTC, UTC, id="function-of-a-tzinfo"),
    ],
)
def test_a_time_zone_is_that_of_all_contacts_or_of_each(given: Any, zone: Any) -> None:
    """A function is asked for every outcome."""
    (redial,) = redials(place, time_zone=given)
    assert redial.zone_of(BUSY) == zone


def test_a_time_zone_that_a_function_makes_up_is_refused() -> None:
    """When it is asked for: nobody can know before."""
    (redial,) = redials(place, time_zone=lambda outcome: "Mars/Olympus")
    with pytest.raises(ConfigurationError):
        redial.zone_of(BUSY)


class Planner:
    def __init__(self, canceled: int) -> None:
        self.canceled = canceled
        self.asked: list[str] = []

    async def cancel_redials(self, contact: str) -> int:
        self.asked.append(contact)
        return self.canceled


async def test_redials_are_canceled_wherever_the_router_is_used() -> None:
    """By every planner it is attached to, itself or by a router that includes it, before or after."""
    outer, inner, late = HandlerRouter(), HandlerRouter(), HandlerRouter()
    outer.include(inner)
    of_outer, of_inner = Planner(2), Planner(1)
    outer.attach(of_outer)
    inner.attach(of_inner)
    outer.include(late)
    assert await inner.cancel_redials("customer-1") == 3
    assert await outer.cancel_redials("customer-2") == 2
    assert await late.cancel_redials("customer-3") == 2
    assert of_outer.asked == ["customer-1", "customer-2", "customer-3"]
    assert of_inner.asked == ["customer-1"]


async def test_a_planner_that_is_gone_is_not_asked() -> None:
    """A router outlives the apps that tests make of it."""
    router = HandlerRouter()
    router.attach(Planner(1))
    gc.collect()
    assert await router.cancel_redials("customer-1") == 0
