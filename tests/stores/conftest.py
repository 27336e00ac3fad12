"""A PostgreSQL of the tests' own, and a fresh database of it for each test."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from crew import Clock
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore
from server import PASSWORD, USER, Server, account, binaries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from pooler import Pooler
    from ringback.stores import DeliveryStore


def _missing(what: str) -> NoReturn:
    if os.environ.get("RINGBACK_REQUIRE_POSTGRES"):
        pytest.fail(f"RINGBACK_REQUIRE_POSTGRES is set, but {what}")
    pytest.skip(what)


def _server(port: int, clusters: Path) -> Iterator[Server]:
    if importlib.util.find_spec("procrastinate") is None:
        _missing("the extra postgres is not installed")
    found = binaries()
    if found is None:
        _missing("no PostgreSQL is installed (no initdb in PATH nor in /usr/lib/postgresql/*/bin)")
    server = Server(found, port, clusters)
    server.start()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres(free_port: Callable[[], int], folder_of_the_run: Path) -> Iterator[Server]:
    """A server for all tests of a worker; none may stop it."""
    yield from _server(free_port(), folder_of_the_run)


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.lent(bare=True) as url:
        yield url


@pytest.fixture
def lent_url(postgres: Server) -> Iterator[str]:
    """The URL of a database without rows, for a test that closes its stores."""
    with postgres.lent(bare=False) as url:
        yield url


@pytest.fixture(scope="module")
def _mortal(free_port: Callable[[], int], folder_of_the_run: Path) -> Iterator[Server]:
    yield from _server(free_port(), folder_of_the_run)


@pytest.fixture
def mortal_postgres(_mortal: Server) -> Iterator[Server]:
    """A server that tests may stop. One that fails meanwhile leaves the next a server that runs."""
    yield _mortal
    if not _mortal.runs:
        _mortal.start()


@pytest.fixture(scope="session")
def pooler(postgres: Server, free_port: Callable[[], int]) -> Iterator[Pooler]:
    """PgBouncer before the server of a worker's tests."""
    yield from _pooler(postgres, free_port())


@pytest.fixture
def mortal_pooler(postgres: Server, free_port: Callable[[], int]) -> Iterator[Pooler]:
    """PgBouncer that a test may stop."""
    yield from _pooler(postgres, free_port())


def _pooler(server: Server, port: int) -> Iterator[Pooler]:
    from pooler import PROGRAM, Pooler

    if PROGRAM is None:
        _missing("no PgBouncer is installed (no pgbouncer in PATH nor in /usr/sbin)")
    made = Pooler(server.port, port, USER, PASSWORD, account() if os.geteuid() == 0 else None)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """What keeps the items. A module whose suite also runs through PgBouncer has a fixture of its own."""
    return str(request.param)


@pytest.fixture
def clock() -> Clock:
    """The clock of the stores. A test may move it on."""
    return Clock()


@pytest.fixture
async def make(
    request: pytest.FixtureRequest, engine: str, tmp_path: Path, clock: Callable[[], float]
) -> AsyncIterator[Callable[[], DeliveryStore]]:
    """Stores, on one file or database if they are durable."""
    stores: list[DeliveryStore] = []
    url = request.getfixturevalue("lent_url") if engine in ("postgres", "pgbouncer") else ""
    if engine == "pgbouncer":
        url = request.getfixturevalue("pooler").url(url)

    def made() -> DeliveryStore:
        store: DeliveryStore
        if engine == "memory":
            store = MemoryStore(clock=clock)
        elif engine == "sqlite":
            store = SQLiteStore(tmp_path / "ringback.db", poll=0.05, lease=5.0, timeout=10.0, min_free=0, clock=clock)
        else:
            from ringback.stores.postgres import PostgresStore

            store = PostgresStore(url, poll=0.05, lease=5.0, timeout=10.0, clock=clock)
        stores.append(store)
        return store

    yield made
    for store in stores:
        await store.close()


@pytest.fixture
async def store(make: Callable[[], DeliveryStore]) -> DeliveryStore:
    store = make()
    await store.open()
    return store
