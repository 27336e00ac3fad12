"""The dead letters of an SQLite store, and what a person makes of them. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.letters import before, letter_of, name_in, progress_after, takes
from ringback.stores.record import dump_progress
from ringback.stores.sqlite.redials import keep, known_of
from ringback.stores.sqlite.schema import WHOLE
from ringback.work.keys import short
from ringback.work.letters import Act, LetterChange, Standing, standing, taken_back

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ringback.work.items import Before, DeadLetter


_DEAD = f"""
    SELECT key, kind, payload, sibling, attempts, reason, finished_at, progress, target, contact, text
    FROM {WHOLE} WHERE state = 'dead' ORDER BY finished_at DESC, items.id DESC LIMIT ?
"""
_DEAD_LETTER = "SELECT progress, contact, attempts, reason, finished_at FROM items WHERE key = ? AND state = 'dead'"
_REPLAY = """
    UPDATE items SET state = 'ready', attempts = 0, due_at = :due_at, waits_since = :now, reason = NULL,
        finished_at = NULL, progress = :progress
    WHERE key = :key
"""
_DISCARD = """
    UPDATE items SET state = 'canceled', payload = NULL, sibling = NULL, progress = NULL, contact = NULL
    WHERE key = :key
"""
# Whoever may take the discard back finds the letter whole. A purge then forgets it.
_HOLD = """
    UPDATE items SET state = 'canceled', finished_at = :due_at, reason = coalesce(reason, ''), progress = :progress
    WHERE key = :key
"""
# The name is looked for in the bytes first, so that few rows are read; only the progress says whose they are.
_CHANGED = """
    SELECT key, contact, progress, due_at AS takes_effect FROM items
    WHERE state = 'ready' AND kind IN ('outcome', 'redial') AND due_at BETWEEN :first AND :last AND attempts = 0
        AND instr(progress, :name)
    UNION ALL SELECT key, contact, progress, finished_at FROM items
    WHERE state = 'canceled' AND finished_at BETWEEN :first AND :last AND finished_at > :now
        AND instr(progress, :name)
"""
_BACK = "SELECT progress FROM items WHERE state = 'dead' AND instr(progress, :name)"
_TAKE_BACK = """
    UPDATE items SET state = 'dead', attempts = ?, reason = ?, finished_at = ?, progress = ? WHERE key = ?
"""


def dead(connection: sqlite3.Connection, limit: int) -> Sequence[DeadLetter]:
    return [letter_of(*row) for row in connection.execute(_DEAD, (limit,)).fetchall()]


def carry_out(connection: sqlite3.Connection, change: LetterChange, keys: Sequence[str], now: float) -> Sequence[str]:
    """Change the letters of these keys. Gives the keys of those that the change takes."""
    statement = _DISCARD if change.name is None else _HOLD
    if change.act is Act.REPLAY:
        statement = _REPLAY
    changed: list[str] = []
    for key in map(short, keys):
        row = connection.execute(_DEAD_LETTER, (key,)).fetchone()
        if row is None or not takes(change, row["progress"]):
            continue
        progress = progress_after(change, row["progress"], row["attempts"], row["reason"], row["finished_at"])
        values = {"key": key, "now": now, "due_at": change.due_at, "progress": progress}
        connection.execute(statement, values)
        if change.act is Act.REPLAY and row["contact"] is not None:
            known = known_of(connection, row["contact"], now)
            keep(connection, row["contact"], known, known.replayed(key, change.due_at), now)
        changed.append(key)
    return changed


def take_back(connection: sqlite3.Connection, change: LetterChange, now: float) -> int:
    """Make the letters of the change dead again. Gives their number."""
    count = 0
    for row, was in _changed(connection, change, now):
        count += 1
        values = was.attempts, was.reason, was.died_at, dump_progress(taken_back(was)), row["key"]
        connection.execute(_TAKE_BACK, values)
        if row["contact"] is not None:
            known = known_of(connection, row["contact"], now)
            keep(connection, row["contact"], known, known.taken_back(row["key"]), now)
    return count


def standing_of(connection: sqlite3.Connection, change: LetterChange, now: float) -> Standing:
    times = [row["takes_effect"] for row, _ in _changed(connection, change, now)]
    back = connection.execute(_BACK, {"name": name_in(change)}).fetchall()
    return standing(times, sum(before(change, row["progress"]) is not None for row in back))


def _changed(connection: sqlite3.Connection, change: LetterChange, now: float) -> Sequence[tuple[sqlite3.Row, Before]]:
    """The letters that may be taken back, each with what it was."""
    first, last = change.span()
    values = {"first": first, "last": last, "now": now, "name": name_in(change)}
    rows = connection.execute(_CHANGED, values).fetchall()
    return [(row, was) for row in rows if (was := before(change, row["progress"])) is not None]
