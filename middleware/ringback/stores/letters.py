"""The row of a dead letter in an SQL store: the letter, and what a person's change writes, or takes back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import json
from msgspec.structs import replace

from ringback.exceptions import StoreError
from ringback.stores.record import dump_progress, load_progress, outcome_of, progress_of, time_of
from ringback.work.items import DeadLetter, Kind
from ringback.work.letters import Act, LetterChange

if TYPE_CHECKING:
    from ringback.work.items import Before


def letter_of(*row: Any) -> DeadLetter:
    """The dead letter of a row: key, kind, payload, sibling, attempts, reason, time, progress, target, contact, and the
    verdict where the store keeps verdicts apart.
    """
    key, kind, payload, sibling, attempts, reason, died_at, progress, target, contact, *verdict = row
    tried = attempts, reason or "", time_of("finished_at", died_at), progress_of(progress).without_change()
    return DeadLetter(key, Kind(kind), outcome_of(payload, sibling, *verdict), *tried, target, contact)


def takes(change: LetterChange, stored: bytes | None) -> bool:
    """Whether the change may take a letter with this progress. One that cannot be read may only be given up for good:
    with a progress of nothing, hooks that are done would be called again.
    """
    try:
        load_progress(stored)
    except StoreError:
        return change.act is Act.DISCARD and change.name is None
    return True


def progress_after(
    change: LetterChange, stored: bytes | None, attempts: int, reason: str | None, died_at: float
) -> bytes | None:
    if change.act is Act.DISCARD and change.name is None:
        return None
    progress = load_progress(stored)
    before = change.before(attempts, reason or "", died_at, progress)
    return dump_progress(progress.for_replay(before) if change.act is Act.REPLAY else replace(progress, before=before))


def name_in(change: LetterChange) -> bytes:
    """The name of the change, as it stands in the stored progress of the change's letters."""
    return json.encode(change.name)


def before(change: LetterChange, stored: bytes | None) -> Before | None:
    """What a letter was before the change took the letter; ``None`` if it did not."""
    try:
        return change.made(load_progress(stored))
    except StoreError:
        return None
