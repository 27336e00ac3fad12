"""Loads the router that ``module:attribute`` names; servers name an app in the same way."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import ringback_catalog
from ringback.exceptions import ConfigurationError
from ringback.hooks.router import HandlerRouter
from ringback.privacy.redaction import redact

# With a separator at the end: an app may be called ringback_app.
_OURS = tuple(f"{folder}{os.sep}" for folder in (Path(__file__).parents[1], Path(ringback_catalog.__file__).parent))
_REMEDY = "write module:attribute as for a server, such as 'app:router'"


def loaded(target: str) -> HandlerRouter:
    """Import the module, with the working directory on the path, and return the module's router.

    The attribute may be dotted, and may be a function without arguments that returns the router. Raises
    :class:`ConfigurationError` for any other attribute.
    """
    name, _, path = target.partition(":")
    if not path or not all(part.isidentifier() for part in f"{name}.{path}".split(".")):
        raise ConfigurationError(f"router {target!r} is no name of one; {_REMEDY}")
    found: Any = _imported(target, name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigurationError(
                f"router {target!r}: {part!r} is not in {_described(found)}; name an OutcomeRouter of the module"
            ) from None
    return found if isinstance(found, HandlerRouter) else _made(target, found)


def asked(target: str) -> HandlerRouter:
    """As :func:`loaded`, for a command that prints an answer: what the app prints, and a log that it sets up for
    standard output, go to standard error.
    """
    with redirect_stdout(sys.stderr):
        return loaded(target)


def _imported(target: str, name: str) -> Any:
    folder = os.getcwd()  # noqa: PTH109 - an entry of sys.path is text
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except Exception as error:
        there = not (isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."))
        remedy = "mend it, or set what it needs" if there else f"name a module that is installed or in {folder}"
        raise ConfigurationError(
            f"router {target!r}: module {name!r} cannot be imported ({_fault(error)}); {remedy}"
        ) from error


def _made(target: str, make: Any) -> HandlerRouter:
    if not callable(make):
        raise ConfigurationError(
            f"router {target!r} is {_described(make)}, no router; name an OutcomeRouter, or a function that returns one"
        )
    try:
        made: Any = make()
    except Exception as error:
        raise ConfigurationError(
            f"router {target!r} is {_described(make)}, which cannot be called without arguments for a router "
            f"({_fault(error)}); name an OutcomeRouter, or a function that returns one"
        ) from error
    if not isinstance(made, HandlerRouter):
        if inspect.iscoroutine(made):
            # Python warns of a coroutine that nobody awaits.
            made.close()
        raise ConfigurationError(
            f"router {target!r} returned {_described(made)}, no router; let it return an OutcomeRouter"
        )
    return made


def _described(found: Any) -> str:
    kind = type(found).__name__
    name = getattr(found, "__name__", None)
    return f"the {kind} {name}" if isinstance(name, str) else f"a {kind}"


def _fault(error: Exception) -> str:
    """The exception in one line, with the last place outside Ringback: a setting that Ringback refuses is the app's."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    last = next((frame for frame in frames if not frame.filename.startswith(("<", *_OURS))), None)
    where = "" if last is None or last.filename == importlib.__file__ else f", {last.filename}, line {last.lineno}"
    # The message of an app that cannot start may quote the app's settings.
    return f"{type(error).__name__}: {redact(' '.join(str(error).split()))}{where}"
