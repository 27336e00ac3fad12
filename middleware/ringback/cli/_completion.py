"""``ringback completion``: the script with which a shell completes commands and options, without starting Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.exceptions import needs_extra

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

SHELLS = ("bash", "zsh", "fish", "tcsh")


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def completion(parser: Callable[[], argparse.ArgumentParser], arguments: argparse.Namespace) -> int:
    """Print the script for a shell. Raises :class:`MissingExtra` without shtab."""
    with needs_extra("ringback completion", "completion"):
        import shtab
    print(shtab.complete(parser(), shell=arguments.shell))
    return 0
