"""The check of a function at registration: its name, its parameters, and whether the function is async."""

from __future__ import annotations

import functools
import inspect
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from ringback.exceptions import RegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable

_OFFERED = frozenset({"outcome", "attempt", "headers", "contact", "ctx", "history", "operation_context"})
"""The arguments that a redial function may take, by name."""


class ContextBy(StrEnum):
    """How a handler takes its :class:`HookContext`: not at all, by name, or as the second argument."""

    NONE = "none"
    NAMED = "named"
    SECOND = "second"


def handler_name(handler: object) -> str:
    """``module.qualname`` of a function, or of the class of any other callable."""
    named: Any = handler if hasattr(handler, "__qualname__") else type(handler)
    module = getattr(named, "__module__", None)  # methods of builtins have none
    return named.__qualname__ if module is None else f"{module}.{named.__qualname__}"


def refuse_uncallable(
    handler: object, arguments: int, shape: str, role: str = "handler", named: tuple[str, ...] = ()
) -> None:
    """Raises :class:`RegistrationError` if ``handler`` is no callable, yields, or does not take the arguments.

    ``arguments`` counts the positional ones, ``named`` has the names of the others. ``shape``, such as ``(outcome)``,
    and ``role`` are for the message.
    """
    if not callable(handler):
        raise RegistrationError(f"{role} {handler!r} is not callable; register a function {shape}")
    name = handler_name(handler)
    if _yields(handler):
        raise RegistrationError(f"{role} {name} yields; register a function that returns")
    try:
        signature = inspect.signature(handler)
    except ValueError:
        # Some builtins have no signature. They are accepted.
        return
    try:
        signature.bind(*[None] * arguments, **dict.fromkeys(named))
    except TypeError:
        remedy = _OF_AN_OBJECT if is_method(handler) else "change its parameters"
        raise RegistrationError(f"{role} {name}{signature} cannot be called as {shape}; {remedy}") from None


def is_method(function: object) -> bool:
    """Whether this is a function in the body of a class, which takes the object first."""
    if not inspect.isfunction(function) or "." not in function.__qualname__.rpartition("<locals>.")[2]:
        return False
    return next(iter(inspect.signature(function).parameters), None) == "self"


_OF_AN_OBJECT = "a method is registered from an object: obj.method, once there is one"


def takes(function: object, name: str) -> bool:
    """Whether the function has a parameter of this name that can be given by name."""
    try:
        parameter = inspect.signature(cast("Callable[..., Any]", function)).parameters.get(name)
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY


def refuse_async(function: Callable[..., Any], role: str) -> None:
    """Raises :class:`RegistrationError` for an async function, whose coroutine nobody would await."""
    if is_async(function):
        raise RegistrationError(f"{role} {handler_name(function)} is async; register a function that returns")


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call returns a coroutine: of an async function, or of an object whose ``__call__`` is async."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(bare(function))


def bare(function: Any) -> Any:
    """The Python function behind partials, methods and objects with ``__call__``; a class or builtin as it is."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isroutine(function) or isinstance(function, type):
            return function
        else:
            call = inspect.getattr_static(cast("object", function).__class__, "__call__", None)
            return call if inspect.isfunction(call) else function


def context_by(handler: Callable[..., Any]) -> ContextBy:
    """How the handler takes its context: by a parameter ``ctx``. Raises :class:`RegistrationError` for a misfit."""
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        # The handler is a builtin without a signature, or no callable, which is refused below.
        parameters = []
    kind = next((parameter.kind for parameter in parameters if parameter.name == "ctx"), None)
    if kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        refuse_uncallable(handler, 1, "(outcome, ctx)", named=("ctx",))
        return ContextBy.NAMED
    if kind is inspect.Parameter.POSITIONAL_ONLY and parameters[1:] and parameters[1].name == "ctx":
        refuse_uncallable(handler, 2, "(outcome, ctx)")
        return ContextBy.SECOND
    refuse_uncallable(handler, 1, "(outcome) or (outcome, ctx), ctx by its name")
    return ContextBy.NONE


def redial_parameters(function: Callable[..., Any]) -> frozenset[str]:
    """The arguments of a redial that the function takes, by name. Raises :class:`RegistrationError` for a misfit."""
    if not callable(function):
        raise RegistrationError(f"redial {function!r} is not callable; decorate a function")
    name = handler_name(function)
    if _yields(function):
        raise RegistrationError(f"redial {name} yields; register a function that returns")
    if is_method(function):
        raise RegistrationError(f"redial {name} takes the object first; {_OF_AN_OBJECT}")
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


def _yields(function: Any) -> bool:
    behind = bare(function)
    return inspect.isgeneratorfunction(behind) or inspect.isasyncgenfunction(behind)
