"""What may be registered: a callable that fits, refused at once otherwise; its name, and what it asks for."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ringback.exceptions import RegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable

_OFFERED = frozenset({"outcome", "attempt", "headers", "contact", "ctx"})
"""What a redial passes by name to the function that calls again."""


class ContextBy(StrEnum):
    """How a handler asks for its context."""

    NONE = "none"
    NAMED = "named"
    SECOND = "second"


def handler_name(handler: Callable[..., Any]) -> str:
    """``module.qualname`` of a function, the class of any other callable."""
    named: Any = handler if hasattr(handler, "__qualname__") else type(handler)
    module = getattr(named, "__module__", None)  # methods of builtins have none
    return named.__qualname__ if module is None else f"{module}.{named.__qualname__}"


def refuse_uncallable(
    handler: object, arguments: int, shape: str, role: str = "handler", named: tuple[str, ...] = ()
) -> None:
    """Refuse what is no function, yields, or cannot take so many ``arguments`` and those ``named``.

    ``shape`` and ``role`` are for the message: how it is called, and as what.
    """
    if not callable(handler):
        raise RegistrationError(f"{role} {handler!r} is not callable; register a function {shape}")
    name = handler_name(handler)
    called = (handler, type(handler).__call__)
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in called):
        raise RegistrationError(f"{role} {name} yields; register a function that returns")
    try:
        signature = inspect.signature(handler)
    except ValueError:
        # Some builtins tell nothing about their arguments; they get the benefit of the doubt.
        return
    try:
        signature.bind(*[None] * arguments, **dict.fromkeys(named))
    except TypeError:
        raise RegistrationError(
            f"{role} {name}{signature} cannot be called as {shape}; change its parameters"
        ) from None


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it makes a coroutine; also an object whose ``__call__`` is async."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def context_by(handler: Callable[..., Any]) -> ContextBy:
    """How the handler asks for its context: by a parameter ``ctx``. Refuses a handler that cannot be called."""
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        # Not callable, which is refused below, or a builtin that tells nothing.
        parameters = []
    kind = next((each.kind for each in parameters if each.name == "ctx"), None)
    if kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        refuse_uncallable(handler, 1, "(outcome, ctx)", named=("ctx",))
        return ContextBy.NAMED
    if kind is inspect.Parameter.POSITIONAL_ONLY and parameters[1:] and parameters[1].name == "ctx":
        refuse_uncallable(handler, 2, "(outcome, ctx)")
        return ContextBy.SECOND
    refuse_uncallable(handler, 1, "(outcome)")
    return ContextBy.NONE


def redial_parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Which of the values that a redial offers the function takes."""
    if not callable(function):
        raise RegistrationError(f"redial {function!r} is not callable; decorate a function")
    name = handler_name(function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise RegistrationError(f"redial {name} yields; register a function that returns")
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:
        raise RegistrationError(f"redial {name} does not tell its parameters; decorate a function") from None
    taken: set[str] = set()
    for parameter in parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            taken |= _OFFERED
        elif parameter.name in _OFFERED and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY:
            taken.add(parameter.name)
        elif parameter.default is parameter.empty and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            raise RegistrationError(
                f"redial {name} has a parameter {parameter.name!r}; it may have {', '.join(sorted(_OFFERED))}"
            )
    return frozenset(taken)
