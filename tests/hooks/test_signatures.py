"""What can be registered: callables that fit, their names, and what they ask for."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from ringback import HookContext, Outcome, PastCall, RegistrationError, classify
from ringback.hooks.router import HandlerRouter
from ringback.hooks.signatures import handler_name, takes

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = __name__
BUSY = classify("CallDisconnected", 486, 560486)
CTX = HookContext("app.hook", "call:1/app.hook")


def hook(outcome: Outcome) -> None:
    """A handler that fits."""


def takes_none() -> None: ...


def generator(outcome: Outcome) -> Any:
    yield outcome


async def async_generator(outcome: Outcome) -> Any:
    yield outcome


class Yielding:
    def __call__(self, outcome: Outcome) -> Any:
        yield outcome


class Hook:
    def method(self, outcome: Outcome) -> None: ...

    def __call__(self, outcome: Outcome) -> None: ...


def takes_two(outcome: Outcome, request: object) -> None: ...


def wants_keyword(outcome: Outcome, *, tenant: str) -> None: ...


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        pytest.param(
            None,
            "handler None is not callable; register a function (outcome) or (outcome, ctx), ctx by its name",
            id="not-callable",
        ),
        pytest.param(
            takes_two,
            f"handler {HERE}.takes_two(outcome: 'Outcome', request: 'object') -> 'None' cannot be called as "
            "(outcome) or (outcome, ctx), ctx by its name; change its parameters",
            id="two-arguments",
        ),
        pytest.param(
            wants_keyword,
            f"handler {HERE}.wants_keyword(outcome: 'Outcome', *, tenant: 'str') -> 'None' cannot be called as "
            "(outcome) or (outcome, ctx), ctx by its name; change its parameters",
            id="keyword",
        ),
        pytest.param(
            Hook.method,
            f"handler {HERE}.Hook.method(self, outcome: 'Outcome') -> 'None' cannot be called as (outcome) or "
            "(outcome, ctx), ctx by its name; a method is registered from an object: obj.method, once there is one",
            id="unbound-method",
        ),
        pytest.param(
            functools.partial(takes_none),
            "handler functools.partial() -> 'None' cannot be called as (outcome) or (outcome, ctx), ctx by its name; "
            "change its parameters",
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


class WithContext:
    def __call__(self, outcome: Outcome, ctx: HookContext) -> None: ...

    def method(self, outcome: Outcome, *, ctx: HookContext | None = None) -> None: ...


def named_ctx(outcome: Outcome, ctx: HookContext) -> None: ...


def keyword_ctx(outcome: Outcome, *, tenant: str = "mine", ctx: HookContext) -> None: ...


def late_ctx(outcome: Outcome, tenant: str = "mine", ctx: HookContext | None = None) -> None: ...


def positional_ctx(outcome: Outcome, ctx: HookContext, /) -> None: ...


def first_ctx(ctx: Outcome, /) -> None: ...


def another_name(outcome: Outcome, context: HookContext | None = None) -> None: ...


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


def takes_all(**kwargs: Any) -> None: ...


def takes_any(*args: Any, tenant: str = "mine") -> None: ...


def takes_named(
    outcome: Outcome,
    attempt: int,
    *,
    headers: Any,
    contact: str,
    ctx: HookContext | None = None,
    history: tuple[PastCall, ...],
    operation_context: str,
) -> None:
    """Everything by its name."""


ALL = frozenset({"outcome", "attempt", "headers", "contact", "ctx", "history", "operation_context"})


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
    router = HandlerRouter()
    router.redial(contact=lambda outcome: "customer-1")(function)
    (redial,) = router.redials
    assert redial.parameters == parameters


@pytest.mark.parametrize(
    ("function", "expected"),
    [(lambda *, final: None, True), (lambda final, /: None, False), (print, False), (7, False)],
    ids=["by-name", "by-place", "no-such", "no-function"],
)
def test_which_names_a_function_takes(function: Any, expected: bool) -> None:
    """What tells no parameters takes none by name."""
    assert takes(function, "final") is expected
