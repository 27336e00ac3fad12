"""The names of handlers: a store knows a handler by its name, so a name must be the same after a restart. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ringback.exceptions import RegistrationError

if TYPE_CHECKING:
    from ringback.hooks.registration import Roster


def checked_name(name: object) -> str | None:
    """The name that an app gives a handler; ``None`` for none. Raises :class:`RegistrationError` for no name."""
    if name is None:
        return None
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
        raise RegistrationError(
            f"name {name!r} is no name of a handler; write up to 100 letters, digits and . _ : / -, "
            "such as 'close_ticket'"
        )
    return name


def refuse_mixed_up(roster: Roster, *, stored: bool) -> None:
    """Raises :class:`RegistrationError` for a handler with two names.

    If a store keeps the names (``stored``), also for two handlers of one name, and for one without a name of its own.
    """
    told: list[tuple[object, str]] = []
    for registration in (each for _, each in roster.hooks if each.told is not None):
        other = next((name for known, name in told if known == registration.handler), registration.name)
        if other != registration.name:
            raise RegistrationError(
                f"handler {registration.name!r} is registered as {other!r}, too, and is one hook that runs once; "
                "give it one name"
            )
        told.append((registration.handler, registration.name))
    if stored:
        for name, each in roster.hooks:
            _refuse_unstable("handler", name, each.handler, any(known == each.handler for known, _ in told))
        for redial in roster.redials:
            _refuse_unstable("redial", redial.name, redial.function, redial.told is not None)


def _refuse_unstable(role: str, name: str, handler: object, is_told: bool) -> None:
    # A roster numbers equal names by their order, and another release of the app may have another order.
    own, _, number = name.partition("#")
    if number:
        raise RegistrationError(
            f"two {role}s have the name {own}, and a store could not tell them apart after a restart; "
            "give one of them another: name='...'"
        )
    if is_unnamed(handler) and not is_told:
        raise RegistrationError(
            f"{role} {own} has no name of its own, by which a store could know it after a restart; "
            "give it one: name='...'"
        )


def is_unnamed(handler: object) -> bool:
    """Whether the handler is a lambda, or an object, such as a partial, without a name beside its class's."""
    name = getattr(handler, "__qualname__", None)
    return not isinstance(name, str) or name.rpartition(".")[2] == "<lambda>"


_NAME = re.compile(r"[\w.:/-]{1,100}")

# The progress of an item has this word beside the names of its hooks.
_TAKEN = frozenset({"attempts_exhausted"})
