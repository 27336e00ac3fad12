"""The options by which a person chooses dead letters or redials, and the person at a command."""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import re
import sys
import time
from logging.handlers import MemoryHandler
from typing import TYPE_CHECKING

from ringback.cli._router import loaded
from ringback.cli._store import answer_of_store
from ringback.cli.stats.times import second_of
from ringback.hooks.operators import Operator
from ringback.logs import LOGGER
from ringback.work.selection import Selection
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    T = TypeVar("T")

FILTERS = ("cause", "code", "hook", "contact", "since", "due")
MOST_KEPT = 10_000
"""Lines of the log that a command keeps back at most."""
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def add_filters(command: argparse.ArgumentParser, *more: str) -> None:
    """Add the options that choose. ``more`` is ``since`` for dead letters, ``due`` for redials."""
    command.add_argument("--cause", type=of_cause, help="those of this cause, such as busy")
    command.add_argument("--code", metavar="CODE", type=of_code, help="those of this code, or CODE/SUBCODE")
    command.add_argument("--hook", metavar="NAME", help="those of this hook or redial function")
    command.add_argument("--contact", help="those of this contact, by the key of the app's contact function")
    if "since" in more:
        command.add_argument(
            "--since", metavar="TIME", type=ago, help="those that died since 2h or 3d ago, or since an ISO 8601 time"
        )
    if "due" in more:
        command.add_argument(
            "--due", metavar="TIME", type=_ahead, help="those due by now, within 2h or 3d, or by an ISO 8601 time"
        )
    add_router(command)


def add_router(command: argparse.ArgumentParser) -> None:
    command.add_argument("--router", metavar="MODULE:ROUTER", help="needed if the router hashes its contacts")


def selected(arguments: argparse.Namespace, operator: Operator) -> Selection:
    """What the options of :func:`add_filters` choose, all together."""
    given = {name: getattr(arguments, name, None) for name in FILTERS}
    code, subcode = given.pop("code") or (None, None)
    contact = given.pop("contact")
    contacts = None if contact is None else operator.names(contact)
    return Selection(code=code, subcode=subcode, contacts=contacts, **given)


def agrees(arguments: argparse.Namespace, what: str) -> bool:
    """Whether the person at a terminal agrees to this; who passes ``--yes``, and a script, need not be asked."""
    if arguments.yes or sys.stdin is None or not sys.stdin.isatty():
        return True
    print(f"{arguments.prog}: {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def operated(arguments: argparse.Namespace, operate: Callable[[Operator], Awaitable[T]]) -> T:
    """Open the store of the command and let the person at the command operate on it."""
    # A router may keep only a hash of its contacts.
    given: str | None = getattr(arguments, "router", None)
    router = None if given is None else loaded(given)
    redials = () if router is None else router.redials
    return answer_of_store(arguments, lambda store: operate(Operator(store, _person(), redials)), router)


def _person() -> str:
    """The person, as the machine names them. Where nothing logs, lines go to standard error."""
    logger = logging.getLogger(LOGGER)
    if not logger.hasHandlers():
        lines = logging.StreamHandler()
        lines.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        # On a terminal the lines come when the command ends, because until then a bar may stand there.
        watched = sys.stderr is not None and sys.stderr.isatty()
        logger.addHandler(MemoryHandler(MOST_KEPT, logging.ERROR, lines) if watched else lines)
        logger.setLevel(logging.INFO)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container a user may have no name.
        return f"user {os.getuid()}"


def of_cause(text: str) -> Cause:
    """The cause of this name, for an option of a command."""
    try:
        return Cause(text)
    except ValueError:
        causes = ", ".join(sorted(Cause))
        raise argparse.ArgumentTypeError(f"{text!r} is no cause; there are {causes}") from None


def of_code(text: str) -> tuple[int, int | None]:
    """The code, and the subcode if there is one, for an option of a command."""
    found = re.fullmatch("([0-9]{1,6})(?:[/#]([0-9]{1,9}))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no code; write for example 486, or 486/560486")
    return int(found[1]), None if found[2] is None else int(found[2])


def ago(text: str) -> float:
    return _at(text, -1)


def _ahead(text: str) -> float:
    return time.time() if text == "now" else _at(text, 1)


def _at(text: str, sign: int) -> float:
    span = re.fullmatch(f"([0-9]{{1,6}})({'|'.join(_UNITS)})", text)
    if span is not None:
        return time.time() + sign * int(span[1]) * _UNITS[span[2]]
    second = second_of(text)
    if second is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write for example 2026-01-15T09:30:00Z, or 2h, or 3d")
    return second
