"""The store that a command works on, what options choose of it, and the commands of the store as a whole."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import os
import sys
import time
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import msgspec

from ringback.cli._router import asked
from ringback.cli._screen import many
from ringback.cli._values import ago, ahead, of_cause, of_code, some
from ringback.core.times import DAY
from ringback.exceptions import ConfigurationError
from ringback.hooks.operators import Operator
from ringback.logs import LOGGER
from ringback.receiving.engine import Settings
from ringback.stores import open_store
from ringback.work.selection import Selection

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

    from ringback.hooks.router import HandlerRouter
    from ringback.stores import DeliveryStore, Stats
    from ringback.work.deliveries import Deliveries, LastDelivery

T = TypeVar("T")

VARIABLE = "RINGBACK_STORE"
"""The environment variable that names the store where ``--store`` does not."""

_REMEDY = f"pass --store 'sqlite:///ringback.db' or 'postgresql://...', or set {VARIABLE}"

FILTERS = ("cause", "code", "hook", "contact", "since", "due")
MOST_KEPT = 10_000
"""Lines of the log that a command keeps back at most."""


def chosen(given: str | None, router: HandlerRouter | None = None) -> DeliveryStore:
    """The store of ``--store``, of the environment, or of the router, in this order. The store is not open yet.

    Raises :class:`ConfigurationError` if there is no store, or if the store dies with its process.
    """
    store = given or os.environ.get(VARIABLE) or settings_of(router).store
    if store is None:
        raise ConfigurationError(f"no store is named; {_REMEDY}")
    opened = open_store(store)
    if not opened.durable:
        raise ConfigurationError(
            f"store {type(opened).__name__} is in memory, where no other process finds anything; {_REMEDY}"
        )
    return opened


def settings_of(router: HandlerRouter | None) -> Settings:
    """The settings of a router's engine; the defaults for a router without an engine."""
    settings = getattr(router, "settings", None)
    return settings if isinstance(settings, Settings) else Settings()


def store_name(store: DeliveryStore, url: str | None) -> str:
    """The store's file, or its URL without a password, or the name of its class."""
    path = file_of(store)
    if path is not None:
        return str(path.resolve())
    if url is None:
        return type(store).__name__
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_of(store: DeliveryStore) -> Path | None:
    """The file of an SQLite store; ``None`` for other stores."""
    path = getattr(store, "path", None)
    return path if isinstance(path, Path) else None


def answer_of_store(
    arguments: argparse.Namespace, ask: Callable[[DeliveryStore], Awaitable[T]], router: HandlerRouter | None = None
) -> T:
    """Open the store, ask it, close it, and return its answer. What is not there raises and is not made."""
    store = chosen(arguments.store, router)
    _refuse_no_file(file_of(store))
    make_no_tables: Callable[[], None] = getattr(store, "make_no_tables", lambda: None)
    make_no_tables()

    async def answer() -> T:
        try:
            await store.open()
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(answer())


def _refuse_no_file(path: Path | None) -> None:
    if path is not None and (not path.exists() or path.stat().st_size == 0):
        raise ConfigurationError(
            f"there is no store in '{path.resolve()}'; name the file that the app writes: 'sqlite:///name.db' is "
            "relative to the working directory, 'sqlite:////folder/name.db' is absolute"
        )


def add_filters(command: argparse.ArgumentParser, *more: str) -> None:
    """Add the options that choose. ``more`` is ``since`` for dead letters, ``due`` for redials."""
    command.add_argument("--cause", type=of_cause, help="those of this cause, such as busy")
    command.add_argument("--code", metavar="CODE", type=of_code, help="those of this code, or CODE/SUBCODE")
    command.add_argument("--hook", metavar="NAME", type=some, help="those of this hook or redial function")
    command.add_argument("--contact", type=some, help="those of this contact, by the key of the app's contact function")
    if "since" in more:
        command.add_argument(
            "--since", metavar="TIME", type=ago, help="those that died since 2h or 3d ago, or since an ISO 8601 time"
        )
    if "due" in more:
        command.add_argument(
            "--due", metavar="TIME", type=ahead, help="those due by now, within 2h or 3d, or by an ISO 8601 time"
        )
    add_router(command)


def add_router(command: argparse.ArgumentParser) -> None:
    command.add_argument("--router", metavar="MODULE:ROUTER", help="needed if the router hashes its contacts")


HASHED = "; if contacts are hashed, name the router: --router MODULE:ROUTER"


def none_of(what: str, arguments: argparse.Namespace) -> str:
    """What a list says that is empty. A contact that the store has hashed is not found by the name as it was given."""
    asks_in_vain = arguments.contact is not None and arguments.router is None
    return f"no {what}{HASHED if asks_in_vain else ''}"


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
    router = None if given is None else asked(given)
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


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    command("stats", stats, "how many items there are in each state")
    command("purge", purge, "forget what is older than the store's retention, now")
    backed_up = command("backup", backup, "copy the file of an SQLite store, while the app runs")
    backed_up.add_argument("file", metavar="FILE", type=Path, help="the copy, which must not be there yet")
    backed_up.add_argument("--force", action="store_true", help="replace FILE if it is there")


def backup(arguments: argparse.Namespace) -> int:
    path = file_of(chosen(arguments.store))
    if path is None:
        raise ConfigurationError(
            "a PostgreSQL store is backed up by PostgreSQL: pg_dump --format=custom --file=ringback.dump DATABASE"
        )
    _refuse_no_file(path)
    from ringback.stores.sqlite.whole import back_up

    target: Path = arguments.file
    size = back_up(path, target, overwrite=arguments.force)
    text = (
        f"{size} bytes in {target}, a copy of {path}: to use it, end all processes of the app, remove {path.name}-wal "
        f"and {path.name}-shm, move the copy into place"
    )
    print(json.dumps({"file": str(target), "bytes": size}) if arguments.json else text)
    return 0


def stats(arguments: argparse.Namespace, clock: Callable[[], float] = time.time) -> int:
    """Print how many items there are in each state, and what has arrived."""
    now = clock()

    async def ask(store: DeliveryStore) -> tuple[Stats, LastDelivery, Sequence[Deliveries]]:
        history = store.history
        return (
            await store.stats(),
            await history.last_delivery(),
            await history.deliveries(now - DAY, now + DAY, 2 * DAY),
        )

    stats, last, came = answer_of_store(arguments, ask)
    counts = msgspec.structs.asdict(stats)
    for name in ("oldest_due", "redials_paused"):
        counts[name] = round(counts[name], 3)
    since = None if last.any is None else round(now - last.any, 3)
    lines = [f"{name:<19} {_MEANINGS[name].format(value)}" for name, value in counts.items()]
    lines.append(f"{'last_delivery':<19} {'    never' if since is None else f'{since:>8g}s'}  {_arrived(came)}")
    told = {
        "last_delivery": since,
        "deliveries": [{"result": each.result, "reason": each.reason, "count": each.count} for each in came],
    }
    print(json.dumps(counts | told) if arguments.json else "\n".join(lines))
    return 0


def _arrived(came: Sequence[Deliveries]) -> str:
    named = (f"{each.count} {each.result}{f' ({each.reason})' if each.reason else ''}" for each in came)
    return f"since the last delivery; in 24 hours {', '.join(named) or 'none'}"


_MEANINGS = {
    "ready": "{:>9}  wait for their hooks or their time, redials to come included",
    "running": "{:>9}  are being worked on",
    "done": "{:>9}  are done, and remembered against duplicates",
    "dead": "{:>9}  were given up: see ringback dead list",
    "canceled": "{:>9}  were cancelled or discarded",
    "redials": "{:>9}  calls are still to come",
    "oldest_due": "{:>8g}s  since the oldest that waits was due",
    "redials_in_progress": "{:>9}  redials have begun, and no event has told of their end",
    "redials_paused": "{:>8g}s  until redials go on, because the service has asked for a pause",
}


def purge(arguments: argparse.Namespace) -> int:
    changed = answer_of_store(arguments, lambda store: store.purge())
    text = f"{many(changed, 'row')} forgotten, in whole or in part"
    print(json.dumps({"changed": changed}) if arguments.json else text)
    return 0
