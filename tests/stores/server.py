"""A PostgreSQL of the tests' own, which they may stop."""

from __future__ import annotations

import contextlib
import fcntl
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

BARE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC
"""
"""Ends whoever has left a connection open, and leaves what a new database has."""

EMPTY = """
    SET session_replication_role = replica;
    DO $$ DECLARE name regclass; BEGIN
        FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE 'LOCK TABLE ' || name;
            CONTINUE WHEN name::text IN ('ringback_meta', 'ringback_lane') OR pg_relation_size(name) = 0;
            IF pg_relation_size(name) < 100000 THEN
                EXECUTE 'DELETE FROM ' || name;
            ELSE
                EXECUTE 'TRUNCATE ' || name || ' CASCADE';
            END IF;
        END LOOP;
        PERFORM setval(seqrelid, 1, false) FROM pg_sequence;
        IF to_regclass('ringback_lane') IS NOT NULL THEN
            UPDATE ringback_lane SET next_at = 0, paused_until = 0;
        END IF;
    END $$
"""
"""Removes all rows, and leaves what a store has once it was opened: the tables, their version and the lane."""


class Server:
    """A PostgreSQL server in a temporary folder, on a port of 127.0.0.1, which keeps nothing on a power cut."""

    def __init__(self, binaries: Path, port: int, clusters: Path | None = None) -> None:
        """``clusters``: where all processes of a run find the files of a new cluster, which one of them makes."""
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="ringback-postgres-"))
        self._counter = itertools.count(1)
        self._lent: dict[bool, list[str]] = {True: [], False: []}
        self.port = port
        self.runs = False
        self._account = None if os.geteuid() else account()
        if self._account is not None:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        if clusters is None:
            self._init()
        else:
            self._copy(clusters)

    def _init(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        # A password that a connection proves in a tenth of the time that SCRAM takes: a test makes several.
        settings = ("-U", USER, "-A", "md5", f"--pwfile={password}", "--no-sync", "-E", "UTF8")
        self._run("initdb", *settings, "--wal-segsize=1")

    def _copy(self, clusters: Path) -> None:
        """A copy takes a tenth of the time. cp keeps the account that PostgreSQL insists on."""
        ready = clusters / "postgres-cluster"
        with (clusters / "postgres-cluster.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ready.exists():
                self._init()
                subprocess.run(["cp", "-a", self._folder / "data", ready], check=True)
                return
        subprocess.run(["cp", "-a", ready, self._folder / "data"], check=True)

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
    def lent(self, *, bare: bool) -> Iterator[str]:
        """The URL of a database that is lent again and again: a new one is three hundred files, to make and to remove.

        ``bare``: without tables. Otherwise there may be those of Ringback, and there are no rows.
        """
        import psycopg

        free = self._lent[bare]
        url = free.pop() if free else self.fresh()
        yield url
        # Whoever still works on it keeps it.
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            self.execute(f"SET lock_timeout = '2s'; {BARE if bare else EMPTY}", url)
            free.append(url)

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
