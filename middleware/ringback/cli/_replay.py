"""The options that replay what ``ringback record`` has written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    import argparse

    from ringback.simulator.scenarios import Scenario


def add_replay(command: argparse.ArgumentParser) -> None:
    """The options of a command that replays a recording."""
    command.add_argument("--recording", metavar="FILE", type=Path, help="what ringback record has written")
    command.add_argument("--call", metavar="NAME", help="only this call of the recording, such as call-1")


def replayed(arguments: argparse.Namespace, *, whole: bool) -> list[Scenario]:
    """The scenarios of ``--recording``: of whole calls, or of calls that a client plays. Empty without the option.

    Raises :class:`ConfigurationError` for options that do not go together.
    """
    from ringback.simulator.recordings.replay import played_calls, whole_calls

    if arguments.recording is None:
        if arguments.call is not None:
            raise ConfigurationError("--call names a call of a recording; add --recording FILE")
        return []
    if arguments.scenario is not None:
        raise ConfigurationError("a scenario and --recording say the opposite; give one of them")
    found = (whole_calls if whole else played_calls)(arguments.recording, arguments.call)
    for each in found:
        print(f"{each.name}: {each.about}")
    return found
