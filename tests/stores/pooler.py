"""PgBouncer in transaction pooling, in front of a PostgreSQL of the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    import pwd

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
"""Debian's package puts it where only root looks."""

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
server_idle_timeout = 1
max_client_conn = 200
server_connect_timeout = 2
server_login_retry = 0.2
logfile = {folder}/log
pidfile = {folder}/pid
"""


class Pooler:
    """Lends few connections of the server at ``server`` to many clients, each for one transaction alone."""

    def __init__(
        self, server: int, port: int, user: str, password: str, account: pwd.struct_passwd | None, size: int = 3
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ringback-pgbouncer-"))
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        (self._folder / "ini").write_text(
            SETTINGS.format(server=server, port=port, user=user, password=password, size=size, folder=self._folder)
        )
        if account is not None:
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            os.chown(self._folder / "ini", account.pw_uid, account.pw_gid)

    def url(self, of_server: str) -> str:
        """The URL of the same database by way of the pooler."""
        return f"{of_server.rpartition('@')[0]}@127.0.0.1:{self.port}/{of_server.rpartition('/')[2]}"

    def start(self) -> None:
        assert PROGRAM is not None
        account = self._account
        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(self._folder / "ini")],
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(f"postgresql://x:x@127.0.0.1:{self.port}/postgres").close()
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self._folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End as a crash does: every connection breaks."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return (self._folder / "log").read_text()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
