"""Which processes serve the same app: pictures of /proc as servers and others make them, and two real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ringback.hooks.processes import serving

if TYPE_CHECKING:
    from collections.abc import Callable

ME = 40

Picture = dict[int, tuple[int, str, tuple[str, ...]]]
"""Parent, command and files from number 3 on, by the process."""

SPAWNED = "python -c from_multiprocessing.spawn_spawn_main(tracker_fd=7,pipe_handle={}) --multiprocessing-fork"
TRACKER = "python -c from_multiprocessing.resource_tracker_main(6)"
GUNICORN = "python gunicorn -w 3 app:app"
XDIST = "python -c exec(eval(sys.stdin.readline()))"
PICTURES: dict[str, tuple[Picture, int]] = {
    "uvicorn-workers": (
        {
            30: (1, "python uvicorn app:app --workers 2", ("socket:[7]",)),
            39: (30, TRACKER, ("pipe:[1]",)),
            40: (30, SPAWNED.format(9), ("socket:[7]", "socket:[8]")),
            41: (30, SPAWNED.format(14), ("socket:[7]", "socket:[9]")),
        },
        2,
    ),
    "uvicorn-reloader": (
        {
            30: (1, "python uvicorn app:app --reload", ("socket:[7]",)),
            39: (30, TRACKER, ("pipe:[1]",)),
            40: (30, SPAWNED.format(9), ("socket:[7]",)),
        },
        1,
    ),
    "gunicorn": (
        {30: (1, GUNICORN, ("socket:[7]",)), **dict.fromkeys((40, 41, 42), (30, GUNICORN, ("socket:[7]",)))},
        3,
    ),
    "one-gunicorn-worker": ({30: (1, GUNICORN, ("socket:[7]",)), 40: (30, GUNICORN, ("socket:[7]",))}, 1),
    "one-process": ({30: (1, "bash", ()), 40: (30, "python uvicorn app:app", ("socket:[7]",))}, 1),
    "two-servers-of-a-shell": (
        {
            30: (1, "bash", ()),
            40: (30, "python uvicorn app:app --port 8000", ("socket:[7]",)),
            41: (30, "python uvicorn app:app --port 8001", ("socket:[8]",)),
        },
        1,
    ),
    "others-of-supervisord": (
        {
            30: (1, "python supervisord", ("socket:[7]",)),
            40: (30, "python uvicorn app:app", ("socket:[7]",)),
            41: (30, "python celery worker", ("socket:[7]",)),
            42: (30, "python uvicorn app:app", ("socket:[9]",)),
        },
        1,
    ),
    "several-of-supervisord-on-one-socket": (
        {
            30: (1, "python supervisord", ("socket:[7]",)),
            40: (30, "python uvicorn app:app --fd 3", ("socket:[7]",)),
            41: (30, "python uvicorn app:app --fd 3", ("socket:[7]",)),
        },
        2,
    ),
    "workers-of-xdist": (
        {30: (1, "pytest -n2", ()), 40: (30, XDIST, ("socket:[7]",)), 41: (30, XDIST, ("socket:[8]",))},
        1,
    ),
    "workers-of-a-pool": (
        {
            30: (1, "python main.py", ()),
            40: (30, SPAWNED.format(9), ("socket:[7]",)),
            41: (30, SPAWNED.format(14), ("pipe:[7]",)),
        },
        1,
    ),
    "first-of-a-container": (
        {40: (0, "python uvicorn app:app", ("socket:[7]",)), 41: (0, "python uvicorn app:app", ("socket:[8]",))},
        1,
    ),
    "a-child-of-this-one": ({40: (1, GUNICORN, ("socket:[7]",)), 41: (40, GUNICORN, ("socket:[7]",))}, 1),
}


def draw(proc: Path, picture: Picture) -> None:
    for pid, (parent, command, files) in picture.items():
        folder = proc / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "stat").write_text(f"{pid} (a (name) 7) S {parent} {pid} 0")
        (folder / "cmdline").write_text(command.replace(" ", "\0"))
        for number, target in enumerate(("/dev/null", "socket:[1]", "socket:[1]", *files)):
            (folder / "fd" / str(number)).symlink_to(target)


@pytest.mark.parametrize(("picture", "count"), PICTURES.values(), ids=PICTURES)
def test_those_are_counted_that_share_a_servers_socket(tmp_path: Path, picture: Picture, count: int) -> None:
    """The same parent, the same command but for numbers, and a socket in common that is no output."""
    draw(tmp_path, picture)
    (tmp_path / "self").mkdir()
    assert serving(ME, tmp_path) == count


@pytest.mark.parametrize("hidden", ["stat", "cmdline", "fd", "fd/3"])
def test_what_cannot_be_read_is_not_counted(tmp_path: Path, hidden: str) -> None:
    """A process may end at any time, and another user's shows little; nor does a system without /proc tell."""
    draw(tmp_path, PICTURES["uvicorn-workers"][0])
    (tmp_path / "41" / hidden).rename(tmp_path / "hidden")
    if hidden == "fd/3":
        (tmp_path / "41" / "fd" / "3").mkdir()
    assert serving(ME, tmp_path) == 1
    assert serving(4711, tmp_path) == 1
    assert serving(ME, tmp_path / "nowhere") == 1


APP = """
from starlette.applications import Starlette

from ringback import CallOutcomeMiddleware, OutcomeRouter

router = OutcomeRouter()
router.on_retryable(lambda outcome: None)
app = Starlette()
app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks", auth=None)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux alone tells")
@pytest.mark.parametrize(
    ("command", "processes"),
    [
        pytest.param("uvicorn app:app --port {} --workers 2", 2, id="uvicorn"),
        pytest.param("uvicorn app:app --port {} --reload", 1, id="reloader"),
        pytest.param("gunicorn app:app -b 127.0.0.1:{} -w 2 -k uvicorn.workers.UvicornWorker", 2, id="gunicorn"),
    ],
)
def test_a_real_server_is_seen(tmp_path: Path, free_port: Callable[[], int], command: str, processes: int) -> None:
    """Each process writes its line; the last one to start has seen them all."""
    (tmp_path / "app.py").write_text(APP)
    output = tmp_path / "output"
    arguments = [sys.executable, "-m", *command.format(free_port()).split()]
    with output.open("w") as file:
        server = subprocess.Popen(arguments, stdout=file, stderr=file, cwd=tmp_path, start_new_session=True)
    try:
        for _ in range(1000):
            lines = [json.loads(line) for line in output.read_text().splitlines() if "hooks.volatile" in line]
            if len(lines) == processes:
                break
            time.sleep(0.02)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
    assert len(lines) == processes, output.read_text()
    assert max(line.get("processes", 1) for line in lines) == processes
