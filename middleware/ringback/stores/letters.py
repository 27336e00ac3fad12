"""What an SQL store writes into the row of a dead letter when a person changes the letter, or takes that back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import json
from msgspec.structs import replace

from ringback.exceptions import StoreError
from ringback.stores.record import dump_progress, load_progress
from ringback.work.letters import Act, LetterChange

if TYPE_CHECKING:
    from ringback.work.items import Before


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
    """The progress of a letter that the change takes."""
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
