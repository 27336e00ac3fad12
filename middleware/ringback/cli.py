"""The command ``ringback``: what the catalog knows of a code, all of the catalog, and the demo."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import shutil
import sys
import textwrap
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ringback.exceptions import RingbackError
from ringback.outcome import classify
from ringback_catalog import CALL_EVENTS, OPERATION_EVENTS, PREFIX, Catalog, Match, Owner, Scope, event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ringback.outcome import Outcome
    from ringback_catalog import Entry

WIDEST = 100
"""Columns of text at most, however wide the terminal: longer lines are hard to read."""

_BIGGEST = 2**31 - 1
_EXAMPLE = "ringback explain 486 560486"


class InputError(RingbackError):
    """An argument that no command can work with."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0 is good, 2 bad input, 1 a demo that cannot run here, 130 an interrupt."""
    try:
        status = _run(argv)
        print(end="", flush=True)
    except BrokenPipeError:
        # The reader has seen enough. Python flushes standard output once more at exit; let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
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
    except RingbackError as error:
        print(f"{arguments.prog}: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """One line for a fault, in the form of every other message."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


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
        command = commands.add_parser(name, help=about, description=more, allow_abbrev=False)
        command.set_defaults(run=run, prog=command.prog)
        return command

    explain = add(
        "explain",
        _explain,
        "explain a code and subcode",
        "Print what the catalog knows of a result: why the call ended, whether to call again, what to do.",
    )
    explain.epilog = (
        "examples: ringback explain 487 10004 --event AnswerFailed; ringback explain --sip 486 --q850 17 500 560503"
    )
    explain.add_argument("code", metavar="CODE", help="the code of resultInformation, such as 486; 0 reads as 200")
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
    catalog.add_argument("--format", choices=list(_FORMATS), default="json", help="default: json")
    catalog.add_argument("--output", metavar="FILE", type=Path, help="write to FILE, not to standard output")
    for command in (explain, catalog):
        command.add_argument("--overrides", metavar="FILE", help="apply a TOML file of your own verdicts first")
    demo = add(
        "demo",
        _demo,
        "post a dozen deliveries to a real server and watch",
        "Start an app on a free port of this machine, post it a dozen deliveries, and show each log line and hook. "
        "Leaves nothing behind.",
    )
    demo.add_argument("--app", metavar="FILE", type=Path, help="a Python file with create_app(settle=...) of your own")
    demo.add_argument("--json-logs", action="store_true", help="print the log lines as they are: whole, in JSON")
    return parser


def _top(arguments: argparse.Namespace) -> int:
    if not arguments.version:
        raise InputError(f"no command given; write for example: {_EXAMPLE}, or see ringback --help")
    print(f"ringback {version('ringback')}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    numbers = {name: _whole(name, getattr(arguments, name)) for name in ("code", "subcode", "sip", "q850")}
    catalog = _chosen(arguments.overrides)
    outcome = classify(arguments.event, **numbers, catalog=catalog)
    _warn_of_unknown_event(arguments.event)
    if arguments.json:
        print(json.dumps(outcome.to_dict(), indent=2))
    else:
        _say("\n".join(_page(outcome, catalog)))
    return 0


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


def _warn_of_unknown_event(event: str | None) -> None:
    # No fault: the service adds events faster than we release. But a slip of the pen should not pass in silence.
    known = CALL_EVENTS | OPERATION_EVENTS
    if event is None or event_name(event) in known:
        return
    close = get_close_matches(event_name(event), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    print(f"ringback explain: event {event!r} is not known, so it is read as an operation{hint}", file=sys.stderr)


# The page of one outcome.

_MATCHED = {
    Match.EXACT: "event, code and subcode",
    Match.PAIR: "code and subcode, whatever the event",
    Match.SIP_SUBCODE: "the SIP status within the subcode; the pair itself is not listed",
    Match.GENERIC_SUBCODE: "the subcode, whatever the code",
    Match.CODE: "the code alone",
    Match.RANGE: "only the range of the code",
    Match.NONE: "no row knows the code or the subcode",
}
_REFINED = {
    "sip": "the carrier's SIP status, which says more than the subcode",
    "q850": "the carrier's Q.850 cause, which says more than the subcode",
    "event": "the event's name, which outranks the code",
}
_OWNERS = {
    Owner.NOBODY: "it ended as intended",
    Owner.CALLEE: "the person or device called",
    Owner.APP: "whoever develops your app",
    Owner.ADMIN: "whoever runs the resource, the numbers or the SBC",
    Owner.CARRIER: "the carrier or the SBC's operator",
    Owner.AZURE: "Microsoft",
}


def _page(outcome: Outcome, catalog: Catalog) -> Iterator[str]:
    width = max(40, min(WIDEST, shutil.get_terminal_size().columns))
    entry = outcome.verdict.entry
    verdict = f"{outcome.disposition} ({outcome.retry_class})"
    parts = [_pair(outcome.code, outcome.subcode), outcome.cause, verdict]
    # One line where it fits, else one each.
    headline = ("  " if len("  ".join(parts)) <= width else "\n").join(parts)
    yield _styled(headline, "1;32" if outcome.retryable else "1")
    yield from _wrapped(outcome.summary, width)
    yield ""
    for name, text in _facts(outcome, catalog):
        yield from _wrapped(text, width, f"  {name:<12}", " " * 14)
    yield from ("", _styled("What to do", "1"))
    for number, step in enumerate(outcome.advice, start=1):
        yield from _wrapped(step, width, f"  {number}. ", " " * 5)
    if entry.note is not None:
        yield from ("", _styled("Where the documents disagree", "1"))
        yield from _wrapped(entry.note, width, "  ", "  ")
    yield from ("", _styled("Sources", "1"))
    for source in outcome.sources:
        yield from _wrapped(source, width, "  - ", "    ")
    # Whole, however long: a link that is broken over two lines cannot be opened.
    yield from ("", outcome.documentation)


def _facts(outcome: Outcome, catalog: Catalog) -> Iterator[tuple[str, str]]:
    scope = "the end of a call" if outcome.scope is Scope.CALL else "an operation within a call"
    yield "event", f"{outcome.event_name}, {scope}" if outcome.event_name else f"any: read as {scope}"
    details = {"SIP": outcome.sip, "Q.850": outcome.q850}
    reported = ", ".join(f"{name} {detail.code}" for name, detail in details.items() if detail is not None)
    if reported:
        yield "carrier", reported
    yield "category", f"{outcome.category} ({outcome.category_basis})"
    yield "owner", f"{outcome.owner}: {_OWNERS[outcome.owner]}"
    yield "confidence", outcome.confidence
    # Before any refinement: the entry that the key itself led to.
    found = catalog.look_up(outcome.event_type or None, outcome.code, outcome.subcode)
    yield "matched by", f"{outcome.match}: {_matched(outcome, found.entry)}"
    if outcome.refined_by is not None:
        yield "refined by", f"{outcome.refined_by}: {_REFINED[outcome.refined_by]}"
    read_as = _read_as(outcome, found.entry)
    if read_as:
        yield "read as", read_as


def _matched(outcome: Outcome, found: Entry) -> str:
    if found.key.pattern is not None:
        return f"the family {found.key.pattern} of the subcode"
    if found.key.codes is not None:
        return f"only the range {found.key.codes} of the code; neither code nor subcode is listed"
    unlisted = outcome.match is Match.CODE and outcome.subcode is not None
    return _MATCHED[outcome.match] + ("; the subcode is not listed" if unlisted else "")


def _read_as(outcome: Outcome, found: Entry) -> str:
    """The key in the catalog's spelling where an alias was given, else nothing."""
    given = outcome.event_type.strip()
    short = given[len(PREFIX) :] if given.lower().startswith(PREFIX.lower()) else given
    renamed = outcome.event_name if short.lower() != outcome.event_name.lower() else ""
    key = found.key
    # Code 0 is no alias worth a word where only the code was looked at.
    paired = key.code is not None and key.subcode is not None
    respelled = paired and (key.code, key.subcode) != (outcome.code, outcome.subcode)
    return " ".join(filter(None, [renamed, _pair(key.code, key.subcode) if respelled else ""]))


def _pair(code: int | None, subcode: int | None) -> str:
    return str(code) if subcode is None else f"{code}/{subcode}"


def _wrapped(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=others, break_on_hyphens=False, tabsize=1)


def _styled(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if _wants_style() else text


def _wants_style() -> bool:
    # https://no-color.org
    return sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _say(text: str) -> None:
    """Print, also to a terminal that cannot show every letter of somebody's overrides."""
    try:
        print(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "backslashreplace").decode(encoding))


# The export of the catalog.


def _catalog(arguments: argparse.Namespace) -> int:
    text = _FORMATS[arguments.format](_chosen(arguments.overrides).entries)
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


def _as_json(entries: Iterable[Entry]) -> str:
    return json.dumps({"version": version("ringback"), "entries": [entry.to_dict() for entry in entries]}, indent=2)


def _as_csv(entries: Iterable[Entry]) -> str:
    rows = [{name: _cell(value) for name, value in entry.to_dict().items()} for entry in entries]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().removesuffix("\n")


def _cell(value: Any) -> str:
    """One line of text: lists joined by bars, nothing for what is absent."""
    joined = " | ".join(_texts(value))
    return " ".join(joined.split())


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(each) for each in cast("list[object]", value)]
    return [] if value is None else [str(value)]


_KINDS = {
    "pair": "A code and a subcode",
    "pattern": "Families of subcodes",
    "subcode": "Generic subcodes, whatever the code",
    "code": "A code alone",
    "range": "A range of codes",
    "sip": "A carrier's SIP status",
    "q850": "A carrier's Q.850 cause",
    "special": "When no key answers",
}
_KEYS = ("code", "subcode", "events", "scope", "sip", "phrase", "q850", "special")
_COLUMNS = ("cause", "disposition", "retry_class", "category", "owner", "confidence", "summary", "advice")


def _as_markdown(entries: Iterable[Entry]) -> str:
    tables = {kind: [entry.to_dict() for entry in entries if entry.key.kind == kind] for kind in _KINDS}
    parts = ["# The Ringback catalog"]
    for kind, rows in tables.items():
        keys = [name for name in _KEYS if any(row[name] not in (None, []) for row in rows)]
        parts.append(f"## {_KINDS[kind]}\n\n" + "\n".join(_table([*keys, *_COLUMNS], rows)))
    return "\n\n".join(parts)


def _table(columns: Sequence[str], rows: Iterable[Any]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(_markdown(row[name]) for name in columns)} |"


def _markdown(value: Any) -> str:
    # A cell is one line; steps stand below each other.
    lines = map(_cell, _texts(value))
    return "<br>".join(line.replace("<", "&lt;").replace("|", "\\|") for line in lines)


_FORMATS: dict[str, Callable[[Iterable[Entry]], str]] = {"json": _as_json, "markdown": _as_markdown, "csv": _as_csv}


def _demo(arguments: argparse.Namespace) -> int:
    from ringback import demo

    width = max(60, min(WIDEST, shutil.get_terminal_size().columns))
    try:
        demo.run(arguments.app, json_logs=arguments.json_logs, width=width, styled=_wants_style())
    except demo.DemoUnavailable as error:
        print(f"ringback demo: {error}", file=sys.stderr)
        return 1
    return 0
