"""What does a person type? The command ``ringback``."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NoReturn

from ringback.cli import (
    _calls,
    _catalog,
    _dead,
    _demo,
    _doctor,
    _explain,
    _record,
    _redials,
    _simulate,
    _stats,
    _store,
    _whatif,
    _worker,
)
from ringback.cli._screen import tell
from ringback.cli._values import some
from ringback.exceptions import ConfigurationError, RingbackError, StoreError, needs_extra
from ringback.privacy.redaction import redact
from ringback.privacy.written import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EXAMPLE = "ringback explain 486 560486"
SHELLS = ("bash", "zsh", "fish", "tcsh")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 is success, 2 bad input, 130 an interrupt. 1 is a demo, an output or a store that does not work, a key that no
    store has, a file without outcomes, a problem that ``doctor`` finds, or a change that ``whatif`` finds.
    """
    # Texts of apps and senders have letters that not every output can hold. An output without an encoding holds all.
    reconfigure: Any = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    try:
        status = _run(argv)
        print(end="", flush=True)
    except OSError as error:
        # Python flushes standard output once more at exit, which must not raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            # The program at the other end of the pipe has read enough.
            return 0
        # A file that a command has looked for has a name.
        what = "the output cannot be written" if error.filename is None else f"'{error.filename}' cannot be read"
        tell("ringback", f"{what} ({error.strerror})")
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    try:
        arguments, unknown = parser.parse_known_args(argv)
        if unknown:
            # argparse would name the program and not the command, whose help lists what there is.
            parser.prog = arguments.prog
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as done:
        return 2 if done.code else 0
    try:
        command: Callable[[argparse.Namespace], int] = arguments.run
        return command(arguments)
    except StoreError as error:
        tell(arguments.prog, redact(str(error)))
        return 1
    except RingbackError as error:
        tell(arguments.prog, str(error))
        return 2


class _Parser(argparse.ArgumentParser):
    """Reports a fault in one line, in the form of every other message."""

    def error(self, message: str) -> NoReturn:
        # A mistyped option leaves its value, such as the URL of a database, in the message.
        self.exit(2, f"{self.prog}: {visible(redact(message))}; see {self.prog} --help\n")


if TYPE_CHECKING:
    # At run time the class of argparse takes no parameter.
    _Commands = argparse._SubParsersAction[_Parser]  # pyright: ignore[reportPrivateUsage]


def _parser() -> _Parser:
    parser = _Parser(
        prog="ringback",
        description="Why did the call end, and should we call again? "
        "The codes of Azure Communication Services, explained.",
        epilog=f"example: {_EXAMPLE}",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print Ringback's version")
    parser.set_defaults(run=_top, prog=parser.prog, store=None, json=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_catalog(commands)
    about = "post a dozen deliveries to a real server and watch"
    more = (
        "Start an app on a free port of this machine, post it a dozen deliveries, and show each log line and hook. "
        "Leaves nothing behind."
    )
    _demo.add(_added(commands, "demo", _demo.demo, about, more))
    about = "call the hooks of an app in a process of their own"
    more = (
        "Work on what waits in the app's store until SIGTERM or Ctrl-C; hooks then get some time to finish, and a "
        "second signal ends it at once. Several may run, also beside the app."
    )
    example = "worker app:router --store sqlite:///ringback.db"
    _worker.add(_added(commands, "worker", _worker.work, about, more, example))
    _add_logs(commands)
    _add_stores(commands)
    _add_simulator(commands)
    about = "check a deployment as a first caller would"
    more = "Send harmless requests to a callback URL and say what is wrong and what to do: 1 if there is a problem."
    example = "doctor --url https://app.example.com/api/callbacks/1"
    _doctor.add(_added(commands, "doctor", _doctor.doctor, about, more, example))
    about = "a script that completes commands and options"
    more = (
        "Print the script with which a shell completes commands and options. Where it goes: "
        "https://ringback.github.io/ringback/completion.html"
    )
    completion = _added(commands, "completion", _completion, about, more, "completion bash")
    completion.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    return parser


def _add_catalog(commands: _Commands) -> None:
    """Add the commands that say what results mean."""
    about = "explain a code and subcode"
    more = "Print what the catalog knows of a result: why the call ended, whether to call again, what to do."
    _explain.add(_added(commands, "explain", _explain.explain, about, more))
    about = "export the whole catalog"
    more = "Print every entry of the catalog: JSON with everything, CSV with a row for each entry, Markdown to read."
    _catalog.add(_added(commands, "catalog", _catalog.catalog, about, more))


def _add_logs(commands: _Commands) -> None:
    """Add the commands that read a log."""
    more = (
        "Count what is in a log or in rows exported from Azure Monitor: outcomes by cause over time, codes, refusals, "
        "failed hooks and redials. Exit codes: 0, 1 a file holds no outcome, 2 bad input or a file that cannot be read."
    )
    example = "stats app.log app.log.1.gz --since 2026-01-15"
    _stats.add(_added(commands, "stats", _stats.stats, "summarise a log", more, example))
    about = "what other verdicts or redials would have changed"
    more = (
        "List the outcomes of a log or a store that your overrides, or another redial policy, would have changed. "
        "Exit codes: 0 nothing would have changed, 1 something would have, or a file holds no outcome, 2 bad input or "
        "a store that cannot be read."
    )
    example = "whatif app.log --overrides my.toml"
    _whatif.add(_added(commands, "whatif", _whatif.whatif, about, more, example))


def _add_stores(commands: _Commands) -> None:
    """Add the commands for the items of a store."""
    about = "see, replay or discard what was given up"
    parts = _group(
        commands, "dead", about, "Dead letters: outcomes and redials whose hooks were given up.", "dead list"
    )
    _dead.add(partial(_add_store_command, parts))

    about = "see the redials to come, place one now, or cancel some"
    more = "Redials that are still to come. Alone: how many wait, are in progress, and how long a pause lasts."
    group = _added(commands, "redials", _redials.lane, about, more, "redials list --cause busy --due 2h")
    _add_store_options(group)
    parts = group.add_subparsers(title="commands", metavar="COMMAND")
    _redials.add(partial(_add_store_command, parts))

    about = "see what became of one call, or list the calls that ended"
    more = "The records of calls in a store: what was told of each, its verdict, its hooks, its redials."
    parts = _group(commands, "calls", about, more, "calls list --cause busy --since 2h")
    _calls.add(partial(_add_store_command, parts))

    about = "count, purge or back up what is in a store"
    _store.add(partial(_add_store_command, _group(commands, "store", about, "What is in a store.", "store stats")))


def _add_simulator(commands: _Commands) -> None:
    """Add the commands that need no subscription."""
    about = "a local Call Automation service for the real client"
    more = "Serve Call Automation on this machine: answer the client's requests, post the callbacks of a scenario."
    _simulate.add_simulate(_added(commands, "simulate", _simulate.simulate, about, more, "simulate --scenario busy"))
    about = "post one scenario's events to an endpoint"
    more = "Post the events of one scenario to an endpoint and print each answer; 1 if one was not accepted."
    example = "trigger busy --to http://127.0.0.1:8000/api/callbacks/1"
    _simulate.add_trigger(_added(commands, "trigger", _simulate.trigger, about, more, example))
    about = "keep the deliveries of a real app, to replay them"
    more = (
        "Forward every request to a real app, give its answer back, and keep the deliveries as JSON lines without what "
        "is private. Then: ringback trigger --recording FILE --to URL."
    )
    example = "record --to http://127.0.0.1:8000 --out calls.jsonl"
    _record.add_record(_added(commands, "record", _record.record, about, more, example))


def _group(commands: _Commands, name: str, about: str, more: str, example: str) -> _Commands:
    def missing(_: argparse.Namespace) -> int:
        raise ConfigurationError(
            f"no command given; write for example: ringback {example}, or see ringback {name} --help"
        )

    return _added(commands, name, missing, about, more).add_subparsers(title="commands", metavar="COMMAND")


def _add_store_command(parts: _Commands, name: str, run: Callable[[argparse.Namespace], int], about: str) -> _Parser:
    command = _added(parts, name, run, about, f"{about[:1].upper()}{about[1:]}.")
    _add_store_options(command)
    return command


def _add_store_options(command: _Parser) -> None:
    # Suppressed, because the default of a command would take the place of what was given to its group.
    unset = argparse.SUPPRESS
    command.add_argument("--store", metavar="URL", type=some, default=unset, help=f"default: ${_store.VARIABLE}")
    command.add_argument("--json", action="store_true", default=unset, help="print JSON, an object a line")


def _added(
    commands: _Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    about: str,
    more: str,
    example: str | None = None,
) -> _Parser:
    epilog = None if example is None else f"example: ringback {example}"
    command = commands.add_parser(name, help=about, description=more, epilog=epilog, allow_abbrev=False)
    command.set_defaults(run=run, prog=command.prog)
    return command


def _top(arguments: argparse.Namespace) -> int:
    if not arguments.version:
        raise ConfigurationError(f"no command given; write for example: {_EXAMPLE}, or see ringback --help")
    print(f"ringback {version('ringback')}")
    return 0


def _completion(arguments: argparse.Namespace) -> int:
    """Print the script with which a shell completes commands and options, without starting Python."""
    with needs_extra("ringback completion", "completion"):
        import shtab
    print(shtab.complete(_parser(), shell=arguments.shell))
    return 0
