"""Which store a command works on; what is in it; and the redials that wait there."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import msgspec

from ringback.cli._router import loaded
from ringback.exceptions import ConfigurationError
from ringback.stores import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from ringback.router import HandlerRouter
    from ringback.stores import DeliveryStore

T = TypeVar("T")

VARIABLE = "RINGBACK_STORE"
"""The environment variable that names the store where ``--store`` does not."""

_REMEDY = f"pass --store 'sqlite:///ringback.db' or 'postgresql://...', or set {VARIABLE}"


def chosen(given: str | None, router: HandlerRouter | None = None) -> DeliveryStore:
    """The store of ``--store``, of the environment, or of the router, in this order; nothing is opened yet.

    Raises :class:`ConfigurationError` if there is none, or one that dies with its process.
    """
    of_router: str | DeliveryStore | None = getattr(router, "store", None)
    store = given or os.environ.get(VARIABLE) or of_router
    if store is None:
        raise ConfigurationError(f"no store is named; {_REMEDY}")
    opened = open_store(store)
    if not opened.durable:
        raise ConfigurationError(
            f"store {type(opened).__name__} is in memory, where no other process finds anything; {_REMEDY}"
        )
    return opened


def named(store: DeliveryStore, url: str | None) -> str:
    """The store in words, without a password."""
    path = file_of(store)
    if path is not None:
        return str(path.resolve())
    if url is None:
        return type(store).__name__
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_of(store: DeliveryStore) -> Path | None:
    """The file of a store that has one."""
    path = getattr(store, "path", None)
    return path if isinstance(path, Path) else None


def looked_at(
    arguments: argparse.Namespace, ask: Callable[[DeliveryStore], Awaitable[T]], router: HandlerRouter | None = None
) -> T:
    """What the store answers. A look at a file that is not there does not make one."""
    store = chosen(arguments.store, router)
    path = file_of(store)
    if path is not None and (not path.exists() or path.stat().st_size == 0):
        raise ConfigurationError(
            f"there is no store in '{path.resolve()}'; name the file that the app writes: 'sqlite:///name.db' is "
            "relative to the working directory, 'sqlite:////folder/name.db' is absolute"
        )

    async def asked() -> T:
        async with _open(store):
            return await ask(store)

    return asyncio.run(asked())


@asynccontextmanager
async def _open(store: DeliveryStore) -> AsyncGenerator[None]:
    try:
        await store.open()
        yield
    finally:
        await store.close()


def stats(arguments: argparse.Namespace) -> int:
    """Print how many items there are in each state."""
    found = msgspec.structs.asdict(looked_at(arguments, lambda store: store.stats()))
    found["oldest_due"] = round(found["oldest_due"], 3)
    if arguments.json:
        print(json.dumps(found))
        return 0
    for name, value in found.items():
        print(f"{name:<11} {_MEANINGS[name].format(value)}")
    return 0


_MEANINGS = {
    "ready": "{:>9}  wait for their hooks, redials included",
    "running": "{:>9}  are being worked on",
    "done": "{:>9}  are done, and remembered against duplicates",
    "dead": "{:>9}  were given up: see ringback dead list",
    "canceled": "{:>9}  were cancelled or discarded",
    "redials": "{:>9}  calls are still to come",
    "oldest_due": "{:>8g}s  since the oldest that waits was due",
}


def purge(arguments: argparse.Namespace) -> int:
    """Forget what is older than the store's retention, now."""
    changed = looked_at(arguments, lambda store: store.purge())
    print(json.dumps({"changed": changed}) if arguments.json else f"{_rows(changed)} forgotten, in whole or in part")
    return 0


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel the redials to a contact that have not begun."""
    contact: str = arguments.contact
    router = None if arguments.router is None else loaded(arguments.router)
    # A router may keep only a hash of its contacts.
    keys = {contact} if router is None else {each.stored(contact) for each in router.redials} or {contact}

    async def canceled(store: DeliveryStore) -> int:
        return sum([await store.cancel(key) for key in sorted(keys)])

    count = looked_at(arguments, canceled, router)
    print(json.dumps({"canceled": count}) if arguments.json else f"{count} redial{'' if count == 1 else 's'} cancelled")
    return 0 if count else 1


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
