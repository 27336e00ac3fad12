"""A PostgreSQL of the tests' own, which they may stop."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "ringback"
PASSWORD = "of-the-tests"


class Server:
    """A PostgreSQL server in a temporary folder, on a port of 127.0.0.1, which keeps nothing on a power cut."""

    def __init__(self, binaries: Path, port: int) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="ringback-postgres-"))
        self._counter = itertools.count(1)
        self._emptied: list[str] = []
        self.port = port
        self.runs = False
        self._account = None if os.geteuid() else account()
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
        self.runs = True

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-w", "-s", "-m", mode, "stop")
        self.runs = False

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(self._counter)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    @contextlib.contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of an empty database, to be lent again: a new one is three hundred files, to make and to remove."""
        import psycopg

        url = self._emptied.pop() if self._emptied else self.fresh()
        yield url
        # Whoever still works on it keeps it.
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            self.execute("SET lock_timeout = '2s'; DROP SCHEMA public CASCADE; CREATE SCHEMA public", url)
            self._emptied.append(url)

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
        as_user = self._account
        command = [str(self._binaries / program), "-D", str(self._folder / "data"), *arguments]
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            user=None if as_user is None else as_user.pw_uid,
            group=None if as_user is None else as_user.pw_gid,
            extra_groups=None if as_user is None else [],
            # The server inherits them; a pipe would be waited for until it ends.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else done.returncode}")


def account() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("neither a user postgres nor nobody")


def binaries() -> Path | None:
    # The newest of Debian's first: a wrapper in PATH may not do as another user.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).resolve().parent] if found else []
    return next((each for each in folders if (each / "initdb").exists() and (each / "pg_ctl").exists()), None)
