"""``ringback dead``: prints, replays or discards dead letters, the items that the worker gave up."""

from __future__ import annotations

import json
import shutil
from functools import partial
from typing import TYPE_CHECKING

from ringback.cli._screen import Progress, cut, moment, pair, tell, wrapped
from ringback.cli._store import FILTERS, add_filters, agrees, none_of, operated, selected
from ringback.cli._values import count, named
from ringback.core.times import iso_second
from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact
from ringback.privacy.written import visible
from ringback.work.hook_runs import returned_in, tries_in
from ringback.work.letters import Act, LetterChange
from ringback.work.selection import EVERYTHING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ringback.hooks.operators import Operator
    from ringback.stores import DeadLetter

LIMIT = 100
"""Dead letters that ``dead list`` prints by default."""

_UNBOUNDED = 200
"""Columns of an output that is no terminal, for grep: every letter has one line."""
_REASON = 24
"""Columns that a reason needs in the letter's line; with fewer columns the reason gets its own lines."""
_COLUMNS = ("KEY", "KIND", "CAUSE", "CODE", "TRIES", "DIED (UTC)")


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    listed = command("list", list_, "the newest dead letters; TRIES: calls of the hook that was called most often")
    add_filters(listed, "since")
    listed.add_argument("--limit", metavar="N", type=count, default=LIMIT, help=f"default: {LIMIT}")
    command("show", show, "all that is known of one").add_argument("key", metavar="KEY", type=named)
    for act, done, about in (
        (Act.REPLAY, "replayed", "make them ready again, with all their attempts: those of the keys, or those chosen"),
        (Act.DISCARD, "discarded", "give them up for good: those of the keys, or those chosen"),
    ):
        change = command(act.value, partial(_change, act=act, done=done), about)
        change.add_argument("keys", metavar="KEY", nargs="*", type=named)
        change.add_argument("--all", action="store_true", help="every dead letter that there is")
        add_filters(change, "since")
        change.add_argument("--limit", metavar="N", type=count, help="the oldest N of those that are chosen")
        change.add_argument("--dry-run", action="store_true", help="only list what would be changed")
        change.add_argument("--yes", action="store_true", help="do not ask; a script is not asked either")


def list_(arguments: argparse.Namespace) -> int:
    """Print the newest of the chosen dead letters: a table, or a JSON object a line."""

    async def newest(operator: Operator) -> tuple[Sequence[DeadLetter], int]:
        chosen = selected(arguments, operator)
        if chosen == EVERYTHING:
            return await operator.dead(limit=arguments.limit), (await operator.store.stats()).dead
        letters = await operator.dead(chosen)
        return letters[: arguments.limit], len(letters)

    letters, total = operated(arguments, newest)
    if arguments.json:
        _print_json(letters)
    elif not letters:
        print(none_of("dead letters", arguments))
    else:
        print("\n".join(table(letters, _width())))
    if len(letters) < total:
        tell(arguments.prog, f"the newest {len(letters)} of {total}; --limit {total} shows all")
    return 0


def show(arguments: argparse.Namespace) -> int:
    letter = operated(arguments, lambda operator: operator.letter(arguments.key))
    if letter is None:
        return _missing(arguments, [arguments.key])
    if arguments.json:
        _print_json([letter])
    else:
        print("\n".join(page(letter, min(100, _width()))))
    return 0


def _change(arguments: argparse.Namespace, act: Act, done: str) -> int:
    chosen = any(getattr(arguments, name, None) is not None for name in FILTERS)
    if bool(arguments.keys) + arguments.all + chosen != 1:
        raise ConfigurationError(
            f"name the keys to {act}, or choose with --cause and the like, or pass --all, and one of these alone; "
            "ringback dead list shows what there is"
        )
    changed: dict[str, bool] = {}
    try:
        agreed = operated(arguments, lambda operator: _changed(operator, arguments, act, changed))
    finally:
        # A person who interrupts the command sees what is done.
        if changed:
            _print_changed(arguments, changed, done)
    if not agreed:
        tell(arguments.prog, "nothing was changed")
        return 1
    if not changed and not arguments.json:
        print(none_of("dead letters", arguments))
    missing = [key for key, was in changed.items() if not was]
    # Another process has meanwhile changed a chosen letter that is gone.
    return _missing(arguments, missing) if missing and arguments.keys else 0


async def _changed(operator: Operator, arguments: argparse.Namespace, act: Act, changed: dict[str, bool]) -> bool:
    """Change the letters, and note each key in ``changed``. False if the person at the terminal does not agree."""
    for key in arguments.keys:
        one = operator.replay if act is Act.REPLAY else operator.discard
        changed[key] = await operator.letter(key) is not None if arguments.dry_run else await one(key)
    if arguments.keys:
        return True
    selection = selected(arguments, operator)
    # The oldest letter comes first, as the items came. A letter that dies again meanwhile is not changed twice.
    keys = [letter.key for letter in reversed(await operator.dead(selection))][: arguments.limit]
    if arguments.dry_run:
        changed.update(dict.fromkeys(keys, True))
    elif keys and not agrees(arguments, f"{act} {len(keys)} dead letters ({selection.words()})"):
        return False
    else:
        progress = Progress(len(keys), noun="dead letters")

        def took(some: Sequence[str]) -> None:
            changed.update(dict.fromkeys(some, True))
            progress.at(len(changed), len(changed))

        await operator.change_dead(LetterChange(act, operator.clock()), keys, selection.words(), took)
        progress.end()
    return True


def _print_changed(arguments: argparse.Namespace, changed: Mapping[str, bool], done: str) -> None:
    if arguments.json:
        for key, was in changed.items():
            fields = {"key": redact(key), done: was and not arguments.dry_run}
            print(json.dumps({**fields, "dry_run": was} if arguments.dry_run else fields))
        return
    for key in [key for key, was in changed.items() if was]:
        print(f"{'would be ' if arguments.dry_run else ''}{done} {redact(key)}")


def _missing(arguments: argparse.Namespace, keys: Sequence[str]) -> int:
    for key in keys:
        tell(arguments.prog, f"no dead letter has the key {redact(key)!r}; see ringback dead list")
    return 1


def table(letters: Sequence[DeadLetter], width: int) -> Iterator[str]:
    """A line for every letter, no wider than ``width``; where a line has no room for its reason, the reason follows."""
    rows = [_COLUMNS, *map(_cells, letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = width - sum(widths) - 2 * len(widths)
    beside = room >= _REASON
    reasons = ["REASON", *(redact(letter.reason) for letter in letters)]
    for number, (row, reason) in enumerate(zip(rows, reasons, strict=True)):
        line = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True))
        if beside:
            yield f"{line}  {cut(visible(' '.join(reason.split())), room)}".rstrip()
        elif sum(widths) + 2 * len(widths) - 2 <= width:
            yield line.rstrip()
            yield from wrapped(reason, width, "  ") if number else ()
        elif number:
            # Not even the columns fit. A person cannot copy a key that is broken over two lines.
            yield row[0]
            yield from wrapped(", ".join(row[1:-1]) + f" tries, {row[-1]}", width, "  ")
            yield from wrapped(reason, width, "  ")


def page(letter: DeadLetter, width: int) -> Iterator[str]:
    """The lines of ``ringback dead show``."""
    yield redact(letter.key)
    for name, text in _facts(letter):
        yield from wrapped(redact(text), width, f"  {name:<12}", " " * 14)
    if letter.outcome is not None:
        yield from ("", "What to do about the call")
        for number, step in enumerate(letter.outcome.advice, start=1):
            yield from wrapped(step, width, f"  {number}. ", " " * 5)
    yield from ("", "What to do about the letter")
    yield f"  ringback dead replay {redact(letter.key)}"
    yield f"  ringback dead discard {redact(letter.key)}"


def _facts(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    yield "kind", str(letter.kind)
    if letter.target is not None:
        yield "function", letter.target
    yield "died", f"{moment(letter.died_at)} UTC, tries: {tries_in(letter.progress)}"
    yield "reason", letter.reason
    if returned := returned_in(letter.progress):
        yield "done", ", ".join(returned)
    for hook, reason in letter.progress.failed.items():
        yield "failed", f"{hook}: {reason}"
    outcome = letter.outcome
    if outcome is None:
        yield "outcome", "what is stored cannot be read"
        return
    verdict = f"{outcome.cause}  {outcome.disposition} ({outcome.retry_class})"
    yield "outcome", f"{pair(outcome.code, outcome.subcode)}  {verdict}"
    yield "summary", outcome.summary
    yield "event", outcome.event_name
    details = {
        "call": outcome.call_connection_id,
        "correlation": outcome.correlation_id,
        "context": outcome.operation_context,
        "message": outcome.message,
    }
    yield from ((name, text) for name, text in details.items() if text)


def _print_json(letters: Sequence[DeadLetter]) -> None:
    for letter in letters:
        fields = {
            "key": redact(letter.key),
            "kind": letter.kind.value,
            "target": letter.target,
            "attempts": letter.attempts,
            "tries": tries_in(letter.progress),
            "reason": redact(letter.reason),
            "died_at": iso_second(letter.died_at),
            "done": list(returned_in(letter.progress)),
            "failed": {hook: redact(reason) for hook, reason in letter.progress.failed.items()},
            "outcome": None if letter.outcome is None else letter.outcome.to_dict(),
        }
        print(json.dumps(fields))


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    outcome = letter.outcome
    what = ("unreadable", "-") if outcome is None else (outcome.cause.value, pair(outcome.code, outcome.subcode))
    return redact(letter.key), letter.kind.value, *what, str(tries_in(letter.progress)), moment(letter.died_at)


def _width() -> int:
    return max(40, shutil.get_terminal_size((_UNBOUNDED, 24)).columns)
