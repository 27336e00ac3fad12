"""How many processes serve the app, as with uvicorn --workers and the like. Linux alone tells, in /proc."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


def serving(pid: int, proc: Path = Path("/proc")) -> int:
    """How many processes serve the app of the process ``pid``, which counts as well; 1 where the system does not tell.

    A server of several processes gives each of them its socket. So the others are children of the same parent, run by
    the same command, that have a socket in common with ``pid``. A server may still start some of them.
    """
    try:
        mine = _Process.at(proc / str(pid))
        others = [folder for folder in proc.iterdir() if folder.name.isdigit() and folder.name != str(pid)]
    except OSError:
        return 1
    return 1 + sum(_serves_too(folder, mine) for folder in others)


class _Process(NamedTuple):
    parent: str
    command: bytes
    sockets: frozenset[str]

    @classmethod
    def at(cls, folder: Path) -> _Process:
        # A number in the command may differ between the processes, such as that of a pipe to the parent.
        command = re.sub(rb"\d+", b"", (folder / "cmdline").read_bytes())
        # A service manager may give the output of all that it runs one socket.
        files = [file for file in (folder / "fd").iterdir() if int(file.name) > 2]
        return cls(_parent(folder), command, frozenset(name for name in map(_target, files) if name[:7] == "socket:"))


def _serves_too(folder: Path, mine: _Process) -> bool:
    try:
        # Few processes have this parent, so that the rest is read of few.
        if _parent(folder) != mine.parent:
            return False
        other = _Process.at(folder)
    except OSError:
        # The process has ended meanwhile, or it is another user's.
        return False
    return other.command == mine.command and not other.sockets.isdisjoint(mine.sockets)


def _parent(folder: Path) -> str:
    # The second field is the program's name in brackets, which may itself have brackets and blanks.
    return (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        # The file was closed meanwhile, such as the one by which the folder was read.
        return ""
