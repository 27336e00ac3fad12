"""The words that start ``ringback`` on this machine, for commands that work when a reader types them."""

from __future__ import annotations

import shlex
from pathlib import Path


def command_name(program: str, executable: str, found: str | None) -> str:
    """The words to type for ``ringback``.

    ``program`` is ``sys.argv[0]``, ``executable`` the interpreter's path, ``found`` the path that the shell finds for
    ``ringback``. For a command outside of the PATH the words have the command's path, for ``python -m ringback`` the
    interpreter's.
    """
    if Path(program).name == "__main__.py":
        return f"{shlex.quote(executable)} -m ringback"
    if found is not None and Path(found).resolve() == Path(program).resolve():
        return "ringback"
    return shlex.quote(program)
