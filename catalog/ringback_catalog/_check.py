"""The rules over all rows together: order, unique keys, one answer for a pair, no unused cause and no unused source."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ringback_catalog._words import Cause, RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ringback_catalog._model import Entry, Key

Files: TypeAlias = "Mapping[str, Sequence[Entry]]"
"""The entries of every file by its name, in the order of the file."""

SUMMARY_LENGTH = 100
"""Characters of the longest summary, which must fit one line of a log or a terminal."""


class Finding(NamedTuple):
    """A broken rule: the file, the key of the row, and what to do."""

    file: str
    key: str
    rule: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.rule}"


def check(files: Files, sources: Iterable[str]) -> list[Finding]:
    """Every finding in these files, rule by rule; ``sources`` are the ids of the tables that entries may cite."""
    return [
        *_out_of_order(files),
        *_repeated(files),
        *_ambiguous(files),
        *_intended_failures(files),
        *_long_summaries(files),
        *_unused_causes(files),
        *_uncited(files, sources),
    ]


def _out_of_order(files: Files) -> Iterator[Finding]:
    for file, entries in files.items():
        for before, entry in pairwise(entries):
            if entry.key.order < before.key.order:
                yield Finding(file, str(entry.key), f"stands after {before.key}; move it up")


def _repeated(files: Files) -> Iterator[Finding]:
    first: dict[Key, str] = {}
    for file, entry in _rows(files):
        for key in [replace(entry.key, events=(event,)) for event in entry.key.events] or [entry.key]:
            if key in first:
                yield Finding(file, str(key), f"stands twice, first in {first[key]}; keep one")
            first.setdefault(key, file)


def _ambiguous(files: Files) -> Iterator[Finding]:
    """Without a row for any event, the only row of an event answers; of two such rows neither is the better answer."""
    rivals: dict[tuple[int | None, int | None], list[tuple[str, Key]]] = defaultdict(list)
    for file, entry in _rows(files):
        if entry.key.kind == "pair" and entry.key.scope is None:
            rivals[entry.key.code, entry.key.subcode].append((file, entry.key))
    for rows in rivals.values():
        if len(rows) > 1 and all(key.events for _, key in rows):
            file, key = rows[-1]
            yield Finding(file, str(key), f"competes with {rows[0][1]} for other events; add a row without events")


def _intended_failures(files: Files) -> Iterator[Finding]:
    for file, entry in _rows(files):
        if entry.retry is RetryClass.NONE and any(event.endswith("Failed") for event in entry.key.events):
            yield Finding(file, str(entry.key), "what failed did not end as intended; write another retry than 'none'")


def _long_summaries(files: Files) -> Iterator[Finding]:
    for file, entry in _rows(files):
        if len(entry.summary) > SUMMARY_LENGTH:
            yield Finding(
                file, str(entry.key), f"summary has {len(entry.summary)} characters; at most {SUMMARY_LENGTH}"
            )


def _unused_causes(files: Files) -> Iterator[Finding]:
    used = {entry.cause for _, entry in _rows(files)}
    return (
        Finding("entries", f"cause {cause}", "no entry has it; remove it or add the entry that needs it")
        for cause in Cause
        if cause not in used
    )


def _uncited(files: Files, sources: Iterable[str]) -> Iterator[Finding]:
    cited = {source.id for _, entry in _rows(files) for source in entry.sources}
    return (
        Finding("sources.toml", source, "no entry cites it; remove it or cite it")
        for source in sources
        if source not in cited
    )


def _rows(files: Files) -> Iterator[tuple[str, Entry]]:
    return ((file, entry) for file, entries in files.items() for entry in entries)
