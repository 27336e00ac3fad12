"""``ringback demo``: runs the demo, as wide and as coloured as the terminal is."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.cli._screen import tell, wants_style, width
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    import argparse


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--app", metavar="FILE", type=Path, help="a Python file with create_app(settle=...) of your own"
    )
    command.add_argument("--json-logs", action="store_true", help="print the log lines as they are: whole, in JSON")


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo. 1 if it cannot run here."""
    # Imported when it is used, because it imports the simulator.
    from ringback.cli.demo import DemoUnavailable, run

    try:
        run(
            arguments.app,
            json_logs=arguments.json_logs,
            width=width(60),
            styled=wants_style(),
            command=command_name(sys.argv[0], sys.executable, shutil.which("ringback")),
        )
    except DemoUnavailable as error:
        tell("ringback demo", redact(str(error)))
        return 1
    return 0


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
