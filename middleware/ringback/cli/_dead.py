"""``ringback dead``: the items that were given up, for a person to look at, replay or discard."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ringback.cli._store import looked_at
from ringback.exceptions import ConfigurationError
from ringback.redaction import redact
from ringback.stores.record import short

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from ringback.stores import DeadLetter, DeliveryStore

LIMIT = 100
"""Dead letters that are listed unless more are asked for."""

_ALL = 2**31 - 1
_UNBOUNDED = 200
"""Columns where nobody looks at a terminal: a line for each letter, for grep."""
_REASON = 24
"""Columns that a reason needs beside the others; with fewer it gets lines of its own."""
_COLUMNS = ("KEY", "KIND", "CAUSE", "CODE", "TRIES", "DIED (UTC)")


def list_(arguments: argparse.Namespace) -> int:
    """Print the newest dead letters: a table, or a JSON object a line."""

    async def asked(store: DeliveryStore) -> tuple[Sequence[DeadLetter], int]:
        return await store.dead(arguments.limit), (await store.stats()).dead

    letters, total = looked_at(arguments, asked)
    if arguments.json:
        _print_json(letters)
    elif not letters:
        print("no dead letters")
    else:
        print("\n".join(table(letters, _width())))
    if len(letters) < total:
        print(f"{arguments.prog}: the newest {len(letters)} of {total}; --limit {total} shows all", file=sys.stderr)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print all that is known of one dead letter."""
    key: str = arguments.key
    letter = looked_at(arguments, lambda store: _found(store, key))
    if letter is None:
        return _missing(arguments, [key])
    if arguments.json:
        _print_json([letter])
    else:
        print("\n".join(page(letter, min(100, _width()))))
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Make dead letters ready again, those named or all."""
    if bool(arguments.keys) == arguments.all:
        raise ConfigurationError("name the keys to replay, or pass --all, and not both; ringback dead list shows them")
    return _each(arguments, lambda store: store.replay, "replayed")


def discard(arguments: argparse.Namespace) -> int:
    """Give dead letters up for good."""
    return _each(arguments, lambda store: store.discard, "discarded")


def _each(
    arguments: argparse.Namespace, change: Callable[[DeliveryStore], Callable[[str], Awaitable[bool]]], done: str
) -> int:
    async def asked(store: DeliveryStore) -> dict[str, bool]:
        keys: Sequence[str] = arguments.keys
        if not keys:
            # Oldest first, as they came. Those that die again meanwhile are not taken twice.
            keys = [each.key for each in reversed(await store.dead(_ALL))]
        return {key: await _changed(store, key, change(store)) for key in keys}

    changed = looked_at(arguments, asked)
    if arguments.json:
        for key, was in changed.items():
            print(json.dumps({"key": redact(key), done: was}))
    else:
        for key in [key for key, was in changed.items() if was]:
            print(f"{done} {redact(key)}")
        if not changed:
            print("no dead letters")
    missing = [key for key, was in changed.items() if not was]
    # A letter of --all that is gone was somebody else's meanwhile.
    return _missing(arguments, missing) if missing and arguments.keys else 0


async def _changed(store: DeliveryStore, key: str, change: Callable[[str], Awaitable[bool]]) -> bool:
    if await change(key):
        return True
    letter = await _found(store, key)
    return letter is not None and await change(letter.key)


async def _found(store: DeliveryStore, key: str) -> DeadLetter | None:
    """The letter of that key, also if it is given as it is shown: without what is private in it."""
    letters = await store.dead(_ALL)
    exact = next((each for each in letters if each.key == short(key)), None)
    alike = [each for each in letters if redact(each.key) == key]
    return exact or (alike[0] if len(alike) == 1 else None)


def _missing(arguments: argparse.Namespace, keys: Sequence[str]) -> int:
    for key in keys:
        print(f"{arguments.prog}: no dead letter has the key {redact(key)!r}; see ringback dead list", file=sys.stderr)
    return 1


def table(letters: Sequence[DeadLetter], width: int) -> Iterator[str]:
    """A line for each letter, no wider than ``width``; where a line has no room for reasons, they stand below."""
    rows = [_COLUMNS, *map(_cells, letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = width - sum(widths) - 2 * len(widths)
    beside = room >= _REASON
    reasons = ["REASON", *(redact(each.reason) for each in letters)]
    for number, (row, reason) in enumerate(zip(rows, reasons, strict=True)):
        line = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True))
        if beside:
            yield f"{line}  {_cut(reason, room)}".rstrip()
        elif sum(widths) + 2 * len(widths) - 2 <= width:
            yield line.rstrip()
            yield from _wrapped(reason, width, "  ") if number else ()
        elif number:
            # Not even the columns fit. A key that is broken over two lines cannot be copied.
            yield row[0]
            yield from _wrapped(", ".join(row[1:-1]) + f" tries, {row[-1]}", width, "  ")
            yield from _wrapped(reason, width, "  ")


def page(letter: DeadLetter, width: int) -> Iterator[str]:
    """The lines of ``ringback dead show``."""
    yield redact(letter.key)
    for name, text in _facts(letter):
        yield from _wrapped(redact(text), width, f"  {name:<12}", " " * 14)
    if letter.outcome is not None:
        yield from ("", "What to do about the call")
        for number, step in enumerate(letter.outcome.advice, start=1):
            yield from _wrapped(step, width, f"  {number}. ", " " * 5)
    yield from ("", "What to do about the letter")
    yield f"  ringback dead replay {redact(letter.key)}"
    yield f"  ringback dead discard {redact(letter.key)}"


def _facts(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    yield "kind", str(letter.kind)
    if letter.target is not None:
        yield "function", letter.target
    yield "died", f"{_moment(letter.died_at)} UTC, tries: {letter.attempts}"
    yield "reason", letter.reason
    if letter.progress.done:
        yield "done", ", ".join(letter.progress.done)
    for hook, reason in letter.progress.failed.items():
        yield "failed", f"{hook}: {reason}"
    outcome = letter.outcome
    if outcome is None:
        yield "outcome", "what is stored cannot be read"
        return
    yield "outcome", f"{_pair(letter)}  {outcome.cause}  {outcome.disposition} ({outcome.retry_class})"
    yield "summary", outcome.summary
    yield "event", outcome.event_name
    for name, text in (
        ("call", outcome.call_connection_id),
        ("correlation", outcome.correlation_id),
        ("context", outcome.operation_context),
        ("message", outcome.message),
    ):
        if text:
            yield name, text


def _print_json(letters: Sequence[DeadLetter]) -> None:
    for letter in letters:
        print(json.dumps(_dict(letter)))


def _dict(letter: DeadLetter) -> dict[str, Any]:
    progress = letter.progress
    return {
        "key": redact(letter.key),
        "kind": letter.kind.value,
        "target": letter.target,
        "attempts": letter.attempts,
        "reason": redact(letter.reason),
        "died_at": datetime.fromtimestamp(letter.died_at, UTC).isoformat(timespec="seconds"),
        "done": list(progress.done),
        "failed": {hook: redact(reason) for hook, reason in progress.failed.items()},
        "outcome": None if letter.outcome is None else letter.outcome.to_dict(),
    }


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    cause = "unreadable" if letter.outcome is None else letter.outcome.cause.value
    return redact(letter.key), letter.kind.value, cause, _pair(letter), str(letter.attempts), _moment(letter.died_at)


def _pair(letter: DeadLetter) -> str:
    outcome = letter.outcome
    if outcome is None or outcome.code is None:
        return "-"
    return str(outcome.code) if outcome.subcode is None else f"{outcome.code}/{outcome.subcode}"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def _cut(text: str, room: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= room else f"{line[: room - 3]}..."


def _wrapped(text: str, width: int, first: str, others: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=first if others is None else others,
        break_on_hyphens=False,
        tabsize=1,
    )


def _width() -> int:
    return max(40, shutil.get_terminal_size((_UNBOUNDED, 24)).columns)
