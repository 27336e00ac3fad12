"""Servers that are measured, and what the kernel says of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import procfs
import pytest
import run
import served
import sockets

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def answer(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        return connection.recv(1024).partition(b"\r\n")[0]


@pytest.mark.parametrize("server", sockets.SERVERS)
def test_a_served_candidate_takes_the_requests_that_wrk_sends(tmp_path: Path, server: str) -> None:
    """The body is as long as its header says, and every request is of another call."""
    template = sockets.request(tmp_path).read_bytes()
    head, _, content = template.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(content)}".encode() in head
    assert len(sockets._MARK) == 12
    name = list(served.FRAMEWORKS[sockets.SERVERS[server][0]])[1]
    with sockets.serving(server, name) as (process, port):
        filled = template.replace(sockets._MARK.encode(), b"00000000002a")
        assert b"NUMBER" not in filled
        assert answer(port, filled) == b"HTTP/1.1 200 OK"
        assert procfs.cpu_seconds(process.pid) > 0
        assert procfs.resident_mib(process.pid) > 5
    assert process.poll() is not None


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")
def test_a_turn_over_sockets_has_figures_of_every_kind(tmp_path: Path) -> None:
    """Of a second."""
    with sockets.serving("granian", "bare route") as (process, port):
        load = sockets.loaded(process.pid, port, 1, sockets.request(tmp_path))
    assert min(load) > 0
    assert load.p50_us <= load.p99_us


def test_a_server_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a figure, and not a wait for ever."""
    monkeypatch.setitem(sockets.SERVERS, "none", ("Starlette", "-c pass {port}"))
    with pytest.raises(RuntimeError, match="ended with 0 before it took a connection"), sockets.serving("none", "x"):
        pass


def test_without_wrk_the_section_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before any server is started."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install wrk"):
        sockets.section(quick=True, say=str)


def test_a_family_is_a_process_and_its_children() -> None:
    """Servers have workers, whose time is theirs."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {os.getpid(), child.pid} <= set(procfs.family(os.getpid()))
        assert procfs.family(child.pid) == [child.pid]
        child.communicate(b"\n")


def test_the_environment_names_no_machine() -> None:
    """What was run on which kind of processor, and not on whose."""
    told = run.environment()
    assert set(told) == {"date", "python", "machine", *run.PACKAGES}
    assert socket.gethostname() not in json.dumps(told)
