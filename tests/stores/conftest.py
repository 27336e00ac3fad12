"""A PostgreSQL of the tests' own, and a fresh database of it for each test."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pooler import Pooler
    from ringback.stores import DeliveryStore

USER = "ringback"
PASSWORD = "of-the-tests"


class Server:
    """A PostgreSQL server in a temporary folder, on a port of 127.0.0.1, which keeps nothing on a power cut."""

    def __init__(self, binaries: Path, port: int) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="ringback-postgres-"))
        self._counter = itertools.count(1)
        self.port = port
        self._account = None if os.geteuid() else _account()
        if self._account is not None:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run("initdb", "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync", "-E", "UTF8")

    def url(self, database: str = "postgres", *, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=''", "fsync=off", "full_page_writes=off")
        options = " ".join([f"-p {self.port}", *(f"-c {each}" for each in settings)])
        self._run("pg_ctl", "-w", "-s", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-w", "-s", "-m", mode, "stop")

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(self._counter)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, url: str | None = None) -> None:
        import psycopg

        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def remove(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        account = self._account
        command = [str(self._binaries / program), "-D", str(self._folder / "data"), *arguments]
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
            # The server inherits them; a pipe would be waited for until it ends.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else done.returncode}")


def _account() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("neither a user postgres nor nobody")


def _binaries() -> Path | None:
    # The newest of Debian's first: a wrapper in PATH may not do as another user.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).resolve().parent] if found else []
    return next((each for each in folders if (each / "initdb").exists() and (each / "pg_ctl").exists()), None)


def _missing(what: str) -> NoReturn:
    if os.environ.get("RINGBACK_REQUIRE_POSTGRES"):
        pytest.fail(f"RINGBACK_REQUIRE_POSTGRES is set, but {what}")
    pytest.skip(what)


def _server(port: int) -> Iterator[Server]:
    if importlib.util.find_spec("procrastinate") is None:
        _missing("the extra postgres is not installed")
    binaries = _binaries()
    if binaries is None:
        _missing("no PostgreSQL is installed (no initdb in PATH nor in /usr/lib/postgresql/*/bin)")
    server = Server(binaries, port)
    server.start()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres(free_port: Callable[[], int]) -> Iterator[Server]:
    """A server for all tests of a worker; none may stop it."""
    yield from _server(free_port())


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    """The URL of an empty database."""
    return postgres.fresh()


@pytest.fixture(scope="module")
def mortal_postgres(free_port: Callable[[], int]) -> Iterator[Server]:
    """A server that tests may stop, and must have started again."""
    yield from _server(free_port())


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
    made = Pooler(server.port, port, USER, PASSWORD, _account() if os.geteuid() == 0 else None)
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
async def make(
    request: pytest.FixtureRequest, engine: str, tmp_path: Path, clock: Callable[[], float]
) -> AsyncIterator[Callable[[], DeliveryStore]]:
    """Stores, on one file or database if they are durable. A module has its own ``clock``."""
    stores: list[DeliveryStore] = []
    url = request.getfixturevalue("postgres_url") if engine in ("postgres", "pgbouncer") else ""
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
