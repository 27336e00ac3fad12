"""The command ``ringback``: the catalog, the demo, a worker for the hooks, and what waits or died in a store."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ringback.cli import _dead, _doctor, _drift, _heard, _simulate, _site, _stats, _store, _worker
from ringback.cli._export import FORMATS
from ringback.cli._page import page, wants_style
from ringback.exceptions import RingbackError, StoreError
from ringback.outcome import classify
from ringback.redaction import redact
from ringback_catalog import CALL_EVENTS, OPERATION_EVENTS, Catalog, event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDEST = 100
"""Columns of text at most, however wide the terminal: longer lines are hard to read."""

_BIGGEST = 2**31 - 1
_EXAMPLE = "ringback explain 486 560486"


class InputError(RingbackError):
    """An argument that no command can work with."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0 is good, 2 bad input, 130 an interrupt; 1 what cannot be: a demo, an output, a store
    that does not work, a key that is in none.
    """
    try:
        status = _run(argv)
        print(end="", flush=True)
    except OSError as error:
        # Python flushes standard output once more at exit; let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            # The reader has seen enough.
            return 0
        print(f"ringback: the output cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as done:
        return 2 if done.code else 0
    try:
        command: Callable[[argparse.Namespace], int] = arguments.run
        return command(arguments)
    except StoreError as error:
        print(f"{arguments.prog}: {redact(str(error))}", file=sys.stderr)
        return 1
    except RingbackError as error:
        print(f"{arguments.prog}: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """One line for a fault, in the form of every other message."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


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
    parser.set_defaults(run=_top, prog=parser.prog)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], about: str, more: str) -> _Parser:
        return _added(commands, name, run, about, more)

    explain = add(
        "explain",
        _explain,
        "explain a code and subcode",
        "Print what the catalog knows of a result: why the call ended, whether to call again, what to do.",
    )
    explain.epilog = (
        "examples: ringback explain 487 10004 --event AnswerFailed; ringback explain --sip 486 --q850 17 500 560503"
    )
    explain.add_argument(
        "code",
        metavar="CODE",
        # Only a terminal must give one: anything else on standard input is read for outcomes.
        nargs="?" if _heard.is_offered() else None,
        help="the code of resultInformation, such as 486; 0 reads as 200. Without it, every outcome in a delivery or "
        "in log lines from standard input is explained",
    )
    explain.add_argument("subcode", metavar="SUBCODE", nargs="?", help="its subCode, such as 560486")
    explain.add_argument("--event", metavar="E", help="the event's type or name; default: the end of some call")
    explain.add_argument("--sip", metavar="N", help="the code of sipDetails: a carrier's SIP status")
    explain.add_argument("--q850", metavar="N", help="the code of q850Details: a carrier's Q.850 cause")
    explain.add_argument("--json", action="store_true", help="print the outcome as JSON, with the log line's keys")
    catalog = add(
        "catalog",
        _catalog,
        "export the whole catalog",
        "Print every entry of the catalog: JSON with everything, CSV with a row for each entry, Markdown to read.",
    )
    catalog.add_argument(
        "--format", choices=list(dict.fromkeys([*FORMATS, *_site.FORMATS])), default="json", help="default: json"
    )
    catalog.add_argument("--output", metavar="FILE", type=Path, help="write to FILE, not to standard output")
    catalog.add_argument(
        "--out", metavar="DIR", type=Path, help="write a page for each entry and cause: html, markdown"
    )
    explain.add_argument("--pages", metavar="URL", help="link to your copy of the pages that catalog --out writes")
    for command in (explain, catalog):
        command.add_argument("--overrides", metavar="FILE", help="apply a TOML file of your own verdicts first")
    _add_diff(catalog)
    demo = add(
        "demo",
        _demo,
        "post a dozen deliveries to a real server and watch",
        "Start an app on a free port of this machine, post it a dozen deliveries, and show each log line and hook. "
        "Leaves nothing behind.",
    )
    demo.add_argument("--app", metavar="FILE", type=Path, help="a Python file with create_app(settle=...) of your own")
    demo.add_argument("--json-logs", action="store_true", help="print the log lines as they are: whole, in JSON")
    worker = add(
        "worker",
        _worker.work,
        "call the hooks of an app in a process of their own",
        "Work on what waits in the app's store until SIGTERM or Ctrl-C; hooks then get some time to finish, and a "
        "second signal ends it at once. Several may run, also beside the app.",
    )
    worker.epilog = "example: ringback worker app:router --store sqlite:///ringback.db"
    worker.add_argument("router", metavar="MODULE:ROUTER", help="where the router is, such as app:router")
    worker.add_argument("--concurrency", metavar="N", type=_count, help="hooks at a time; default: the router's, or 16")
    worker.add_argument(
        "--drain", metavar="SECONDS", type=_seconds, default=_worker.DRAIN, help="time for hooks to finish; default: 20"
    )
    worker.add_argument("--store", metavar="URL", help=f"default: ${_store.VARIABLE}, or the router's")
    _add_stats(commands)
    _add_stores(commands)
    _add_simulator(commands)
    about = "check a deployment as a first caller would"
    more = "Send harmless requests to a callback URL and say what is wrong and what to do: 1 if there is a problem."
    doctor = _added(commands, "doctor", _doctor.doctor, about, more)
    doctor.epilog = "example: ringback doctor --url https://app.example.com/api/callbacks/1"
    _doctor.add(doctor, _seconds)
    return parser


def _add_diff(catalog: _Parser) -> None:
    """A part of ``catalog``, which works without it as well."""
    about = "compare a copy of Microsoft's tables with the catalog"
    more = (
        "Read a saved page, Markdown or HTML, and list what differs: new rows, changed categories and, with --source, "
        "rows that are gone. 0 if nothing does, 1 if something does, 2 for a file without codes."
    )
    parts = catalog.add_subparsers(title="commands", metavar="[COMMAND]")
    diff = _added(parts, "diff", _drift.diff, about, more)
    diff.epilog = "example: ringback catalog diff page.md --source calling-2024-10#end"
    diff.add_argument("file", metavar="FILE", type=Path, help="the saved page")
    diff.add_argument("--source", metavar="ID", help="what the page is a copy of: a document, or document#table")
    diff.add_argument("--json", action="store_true", help="print JSON")
    # Not to undo what was given before `diff`.
    diff.add_argument("--overrides", metavar="FILE", default=argparse.SUPPRESS, help="as above")


def _add_simulator(commands: _Commands) -> None:
    """Calls without a subscription."""
    about = "a local Call Automation service for the real client"
    more = "Serve Call Automation on this machine: answer the client's requests, post the callbacks of a scenario."
    simulate = _added(commands, "simulate", _simulate.simulate, about, more)
    simulate.epilog = "example: ringback simulate --scenario busy"
    _simulate.add_simulate(simulate)
    more = "Post the events of one scenario to an endpoint and print each answer; 1 if one was not accepted."
    trigger = _added(commands, "trigger", _simulate.trigger, "post one scenario's events to an endpoint", more)
    trigger.epilog = "example: ringback trigger busy --to http://127.0.0.1:8000/api/callbacks/1"
    _simulate.add_trigger(trigger)


def _add_stats(commands: _Commands) -> None:
    """What a log adds up to."""
    more = "Count what is in a JSON log: outcomes by cause over time, codes, refusals, failed hooks and redials."
    command = _added(commands, "stats", _stats.stats, "summarise a JSON log", more)
    command.epilog = "example: ringback stats app.log app.log.1.gz --since 2026-01-15"
    command.add_argument("files", metavar="LOGFILE", nargs="+", help="may end in .gz; - is standard input")
    command.add_argument("--since", metavar="TIME", type=_stats.moment, help="from this ISO 8601 time on")
    command.add_argument("--until", metavar="TIME", type=_stats.moment, help="before this ISO 8601 time")
    command.add_argument("--top", metavar="N", type=_count, default=_stats.TOP, help="codes to list; default: 10")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _add_stores(commands: _Commands) -> None:
    """The commands for what is in a store."""
    about = "see, replay or discard what was given up"
    parts = _group(
        commands, "dead", about, "Dead letters: outcomes and redials whose hooks were given up.", "dead list"
    )
    listed = _asking(parts, "list", _dead.list_, "the newest dead letters")
    listed.add_argument("--limit", metavar="N", type=_count, default=_dead.LIMIT, help=f"default: {_dead.LIMIT}")
    _asking(parts, "show", _dead.show, "all that is known of one").add_argument("key", metavar="KEY")
    replay = _asking(parts, "replay", _dead.replay, "make them ready again, with all their attempts")
    replay.add_argument("keys", metavar="KEY", nargs="*")
    replay.add_argument("--all", action="store_true", help="every dead letter that there is")
    discard = _asking(parts, "discard", _dead.discard, "give them up for good")
    discard.add_argument("keys", metavar="KEY", nargs="+")

    about = "cancel the redials to a contact"
    parts = _group(commands, "redials", about, "Redials that are still to come.", "redials cancel customer-17")
    cancel = _asking(parts, "cancel", _store.cancel, "cancel the redials to a contact that have not begun")
    cancel.add_argument("contact", metavar="CONTACT", help="the key that the app's contact function returns")
    cancel.add_argument("--router", metavar="MODULE:ROUTER", help="needed if the router hashes its contacts")

    about = "count or purge what is in a store"
    parts = _group(commands, "store", about, "What is in a store.", "store stats")
    _asking(parts, "stats", _store.stats, "how many items there are in each state")
    _asking(parts, "purge", _store.purge, "forget what is older than the store's retention, now")


def _group(commands: _Commands, name: str, about: str, more: str, example: str) -> _Commands:
    def missing(_: argparse.Namespace) -> int:
        raise InputError(f"no command given; write for example: ringback {example}, or see ringback {name} --help")

    return _added(commands, name, missing, about, more).add_subparsers(title="commands", metavar="COMMAND")


def _asking(parts: _Commands, name: str, run: Callable[[argparse.Namespace], int], about: str) -> _Parser:
    command = _added(parts, name, run, about, f"{about[:1].upper()}{about[1:]}.")
    command.add_argument("--store", metavar="URL", help=f"default: ${_store.VARIABLE}")
    command.add_argument("--json", action="store_true", help="print JSON, an object a line")
    return command


def _added(commands: _Commands, name: str, run: Callable[[argparse.Namespace], int], about: str, more: str) -> _Parser:
    command = commands.add_parser(name, help=about, description=more, allow_abbrev=False)
    command.set_defaults(run=run, prog=command.prog)
    return command


def _count(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of things; write a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write for example 20")
    return float(text)


def _top(arguments: argparse.Namespace) -> int:
    if not arguments.version:
        raise InputError(f"no command given; write for example: {_EXAMPLE}, or see ringback --help")
    print(f"ringback {version('ringback')}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    if arguments.code is None:
        return _explain_input(arguments)
    numbers = {name: _whole(name, getattr(arguments, name)) for name in ("code", "subcode", "sip", "q850")}
    catalog = _linked(arguments)
    outcome = classify(arguments.event, **numbers, catalog=catalog)
    _warn_of_unknown_event(arguments.event)
    if arguments.json:
        print(json.dumps(outcome.to_dict(), indent=2))
    else:
        width = max(40, min(WIDEST, shutil.get_terminal_size().columns))
        _say("\n".join(page(outcome, catalog, width)))
    return 0


def _explain_input(arguments: argparse.Namespace) -> int:
    if any(each is not None for each in (arguments.event, arguments.sip, arguments.q850)):
        raise InputError("--event, --sip and --q850 need a code; write for example: ringback explain --sip 486 500")
    width = max(40, min(WIDEST, shutil.get_terminal_size().columns))
    catalog = _linked(arguments)
    return _heard.explain(sys.stdin.buffer, catalog, as_json=arguments.json, width=width, say=_say)


def _whole(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    option = "" if name in ("code", "subcode") else f"--{name} 17 "
    remedy = f"write for example: ringback explain {option}486 560486"
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise InputError(f"{name} {text!r} is not a whole number; {remedy}")
    # By its length first: Python refuses to read a number of thousands of digits.
    if len(text) > 12 or abs(int(text)) > _BIGGEST:
        raise InputError(f"{name} {text[:20]!r} is larger than any code, which is at most {_BIGGEST}; {remedy}")
    return int(text)


def _chosen(overrides: str | None) -> Catalog:
    return Catalog.default() if overrides is None else Catalog.default().with_overrides(overrides)


def _linked(arguments: argparse.Namespace) -> Catalog:
    catalog = _chosen(arguments.overrides)
    return catalog if arguments.pages is None else catalog.with_pages(arguments.pages)


def _warn_of_unknown_event(event: str | None) -> None:
    # No fault: the service adds events faster than we release. But a slip of the pen should not pass in silence.
    known = CALL_EVENTS | OPERATION_EVENTS
    if event is None or event_name(event) in known:
        return
    close = get_close_matches(event_name(event), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    print(f"ringback explain: event {event!r} is not known, so it is read as an operation{hint}", file=sys.stderr)


def _catalog(arguments: argparse.Namespace) -> int:
    if arguments.out is not None or arguments.format not in FORMATS:
        return _pages(arguments)
    text = FORMATS[arguments.format](_chosen(arguments.overrides).entries)
    if arguments.output is None:
        _say(text)
        return 0
    try:
        arguments.output.write_text(f"{text}\n", "utf-8", newline="\n")
    except OSError as error:
        raise InputError(
            f"output '{arguments.output}' cannot be written ({error.strerror}); name a file in an existing folder"
        ) from error
    return 0


def _pages(arguments: argparse.Namespace) -> int:
    if arguments.out is None or arguments.output is not None or arguments.format not in _site.FORMATS:
        raise InputError(
            "--out goes with --format html or markdown, html only with --out, and --output with neither; write for "
            "example: ringback catalog --format html --out site"
        )
    count = _site.write(_chosen(arguments.overrides).entries, arguments.format, arguments.out)
    _say(f"{count} files in {arguments.out}")
    return 0


def _say(text: str) -> None:
    """Print, also to a terminal that cannot show every letter of somebody's overrides."""
    try:
        print(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "backslashreplace").decode(encoding))


def _demo(arguments: argparse.Namespace) -> int:
    from ringback import demo

    width = max(60, min(WIDEST, shutil.get_terminal_size().columns))
    try:
        demo.run(arguments.app, json_logs=arguments.json_logs, width=width, styled=wants_style())
    except demo.DemoUnavailable as error:
        print(f"ringback demo: {error}", file=sys.stderr)
        return 1
    return 0
