"""``ringback explain``: prints the catalog's answer for one result, or for every outcome in standard input."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from urllib.parse import urlencode

from ringback.cli import _outcomes
from ringback.cli._explain_text import page
from ringback.cli._outcomes import FORMS, event_of, pair_in, result_in, status, whole
from ringback.cli._screen import pair, tell, width
from ringback.cli.reading.frames import found_in
from ringback.cli.reading.line import Reasons, Why
from ringback.core.outcome import Outcome, classify, classify_event
from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact
from ringback.privacy.written import visible
from ringback.settings import nearest
from ringback_catalog import EVENTS, Catalog, event_name

_NAME = "ringback explain"

FORM = "https://github.com/ringback/ringback/issues/new"
"""Where an issue is made. The names in the query are the ids of the form's fields:
https://docs.github.com/issues/tracking-your-work-with-issues/using-issues/creating-an-issue
"""


def add(command: argparse.ArgumentParser) -> None:
    command.epilog = (
        "examples: ringback explain 487 10004 --event AnswerFailed; ringback explain --sip 486 --q850 17 500 560503; "
        "ringback explain 'DiagCode: 486#560486.@'"
    )
    command.add_argument(
        "code",
        metavar="CODE",
        # A person at a terminal must give a code. From a pipe or a file the command reads outcomes.
        nargs="?" if _outcomes.is_offered() else None,
        help="the code of resultInformation, such as 486; 0 reads as 200. Also 486/560486, 486#560486, a message with "
        "its DiagCode, or JSON. Without it, or with -, every outcome in a delivery or in log lines from standard "
        "input is explained",
    )
    command.add_argument("subcode", metavar="SUBCODE", nargs="?", help="its subCode, such as 560486")
    command.add_argument(
        "--event", metavar="E", type=_event, help="the event's type or name; default: the end of some call"
    )
    command.add_argument(
        "--sip", metavar="N", help="sipDetails: a carrier's SIP status, also with words: '603 Network Blocked'"
    )
    command.add_argument("--q850", metavar="N", help="the code of q850Details: a carrier's Q.850 cause")
    command.add_argument("--sources", action="store_true", help="all sources, and where they disagree")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the outcome as JSON, with the log line's keys")
    form.add_argument("--report", action="store_true", help="print a link to the project's form, filled in")
    command.add_argument("--pages", metavar="URL", help="link to your copy of the pages that catalog --out writes")
    command.add_argument("--overrides", metavar="FILE", help="apply a TOML file of your own verdicts first")


def _event(text: str) -> str:
    if not event_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} names no event; write for example AnswerFailed, or leave it out")
    return text


def explain(arguments: argparse.Namespace) -> int:
    """Print a page, or JSON, for every outcome, and one line for every reason why input could not be read."""
    if arguments.code is None or (arguments.code == "-" and _outcomes.is_offered()):
        return _from_input(arguments)
    catalog = _catalog(arguments)
    outcomes = _of_words(arguments, catalog)
    if arguments.event is not None and event_name(arguments.event) not in EVENTS:
        # A warning and no error: Microsoft adds events faster than Ringback is released.
        hint = nearest(event_name(arguments.event), EVENTS)
        tell(_NAME, f"event {redact(arguments.event)!r} is not known, so it is read as an operation{hint}")
    if arguments.report:
        print("\n".join(map(link, outcomes)))
        return 0
    if arguments.json:
        # One object is laid out for a person; several objects are lines for a program.
        indent = 2 if len(outcomes) == 1 else None
        print("\n".join(json.dumps(outcome.to_dict(), indent=indent) for outcome in outcomes))
        return 0
    columns = width()
    rule = f"\n\n{'-' * columns}\n\n"
    print(rule.join("\n".join(page(outcome, catalog, columns, whole=arguments.sources)) for outcome in outcomes))
    return 0


def _of_words(arguments: argparse.Namespace, catalog: Catalog) -> list[Outcome]:
    """The outcomes of the command's words: one for a code and a subcode, for JSON as many as the JSON has."""
    code, subcode = arguments.code, arguments.subcode
    sip, q850 = status(arguments.sip), whole("q850", arguments.q850)
    words = code if subcode is None else f"{code} {subcode}"
    if words.lstrip()[:1] in ("{", "["):
        return _of_json(words, arguments, catalog)
    code, subcode = pair_in(words) or (code, subcode)
    numbers = whole("code", code), whole("subcode", subcode)
    return [classify(arguments.event, *numbers, sip=sip, q850=q850, catalog=catalog)]


def _of_json(words: str, arguments: argparse.Namespace, catalog: Catalog) -> list[Outcome]:
    try:
        content = json.loads(words)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"argument {words[:60]!r} is no JSON ({error}); give {FORMS}") from error
    if arguments.sip is not None or arguments.q850 is not None:
        raise ConfigurationError("--sip and --q850 go with a code; write sipDetails and q850Details into the JSON")
    result = result_in(content)
    if result is not None:
        outcome = classify_event(event_of(result, arguments.event), catalog)
        return [] if outcome is None else [outcome]
    if arguments.event is not None:
        raise ConfigurationError("--event goes with a result; an event names its own type, so leave --event out")
    outcomes = [outcome for outcome, _ in _outcomes.outcomes(found_in([words.encode("utf-8", "replace")]), catalog)]
    if not outcomes:
        raise ConfigurationError(f"argument {words[:60]!r} holds no result; give {FORMS}")
    return outcomes


def _from_input(arguments: argparse.Namespace) -> int:
    if (arguments.event, arguments.sip, arguments.q850) != (None, None, None):
        raise ConfigurationError(
            "--event, --sip and --q850 need a code; write for example: ringback explain --sip 486 500"
        )
    if arguments.report:
        raise ConfigurationError("--report needs a code; write for example: ringback explain 486 560486 --report")
    catalog, columns = _catalog(arguments), width()
    reasons = Reasons()
    any_printed = False
    for outcome, line in _outcomes.outcomes(_outcomes.piped(sys.stdin.buffer), catalog, reasons):
        if arguments.json:
            print(json.dumps(outcome.to_dict()))
        else:
            rule = ["", "-" * columns, ""] if any_printed else []
            lines = page(outcome, catalog, columns, whole=arguments.sources)
            print("\n".join([*rule, *_ids(outcome), *lines]))
        # A person may be following a log that goes on.
        sys.stdout.flush()
        any_printed = True
        if line is not None and line.schema == 0 and line.cause != outcome.cause:
            verdict = redact(f"{line.cause} ({line.retry_class})"[:60])
            tell(_NAME, f"a line of text leaves out what the carrier said: its verdict was {verdict!a}")
    for reason in reasons.ranked:
        if not any_printed or reason.why != Why.NO_LINE:
            tell(_NAME, reason.text)
    if not any_printed:
        tell(
            _NAME,
            "standard input holds no outcome; give it a delivery's body (a JSON array of CloudEvents, or one) or "
            "a log with call.outcome lines, or name a code: ringback explain 486 560486",
        )
    return 0 if any_printed else 1


def _ids(outcome: Outcome) -> list[str]:
    """A line with the outcome's id and time; no line for a result that came without an event."""
    if not outcome.event.type:
        return []
    fields = outcome.to_dict()
    ids = (str(fields[name]) for name in ("outcome_id", "occurred_at") if fields[name] is not None)
    return [visible("  ".join(ids))]


def _catalog(arguments: argparse.Namespace) -> Catalog:
    catalog = _outcomes.catalog_of(arguments.overrides)
    return catalog if arguments.pages is None else catalog.with_pages(arguments.pages)


def link(outcome: Outcome) -> str:
    """The address of the form: numbers, the catalog's own words, and the event's name, redacted."""
    verdict = f"{outcome.cause}, {outcome.category}, retry {outcome.retry_class}, owner {outcome.owner}"
    fields = {
        "template": "code.yml",
        "title": f"Code: {pair(outcome.code, outcome.subcode)}",
        "event": redact(outcome.event_name),
        "code": outcome.code,
        "subcode": outcome.subcode,
        "sip": outcome.sip and outcome.sip.code,
        "q850": outcome.q850 and outcome.q850.code,
        "answer": f"{verdict} (match {outcome.match}, ringback {version('ringback')})",
    }
    return f"{FORM}?{urlencode({name: value for name, value in fields.items() if value not in (None, '')})}"
