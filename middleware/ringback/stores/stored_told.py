"""What events told of calls, as bytes in a store, and back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import DecodeError, Struct, json
from msgspec.structs import replace

from ringback.stores._json import encoded
from ringback.work.contact_call import CONNECTED
from ringback.work.keys import END, numbered
from ringback.work.told import LEFT_OUT, Told, told_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ringback.core.outcome import Outcome


def dump_end(outcome: Outcome, at: float, key: str) -> bytes:
    """What the end of a call told, without what its row has in columns; and what the sibling of the end told.

    Commas stand between what several events told. ``at`` is when a door saw the end. ``key`` is that of the row.
    """
    told = told_by(outcome.event, at, outcome.refined_by)
    # The key of an end without a leg has the call's id.
    is_told_by_key = told.leg != told.call and key == f"{END}{told.leg}"
    leg = None if is_told_by_key else told.leg
    own = encoded(replace(told, event="", at=LEFT_OUT, leg=leg, call=None, context=None, code=None, subcode=None))
    return own if outcome.sibling is None else own + b"," + _dump_sibling(told_by(outcome.sibling, at))


def merged_told(kept: Mapping[str, Any], new: Mapping[str, Any]) -> bytes | None:
    """What the events of two rows told, once the rows settle together; ``None`` if neither row has any of that."""
    told = [*_filled(kept), *_filled(new)]
    return b",".join(map(_dump_sibling, told)) or None


def _dump_sibling(told: Told) -> bytes:
    """What an event told, without the call and the context, which the row of the other event has."""
    return encoded(replace(told, call=None, context=None))


def _filled(row: Mapping[str, Any]) -> Iterator[Told]:
    for each in load_told(row["told"]):
        names = {"event": row["event"], "at": round(row["created_at"], 3)}
        # An event that was merged before has names of its own.
        yield each if each.event else replace(each, code=row["code"], subcode=row["subcode"], **names)


def load_told(stored: bytes | None) -> tuple[Told, ...]:
    """What was kept; nothing for ``None``, and for bytes that nobody wrote."""
    if not stored:
        return ()
    try:
        return _decoder.decode(b"[%b]" % stored)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        # A record that lacks an entry is better than none.
        return ()


class Note(Struct, frozen=True, gc=False):
    """What an event told, as an SQL store writes it: with the numbers that stand for its leg and its call."""

    at: float
    leg: int | None
    call: int | None
    told: bytes


def note_of(told: Told) -> Note:
    leg, call = (None if name is None else numbered(name) for name in (told.leg, told.call))
    # Most notes say that a call was connected: that is what a note without a name says.
    name = "" if told.event == CONNECTED else told.event
    return Note(told.at, leg, call, encoded(replace(told, event=name, at=LEFT_OUT)))


def told_in(rows: Iterable[tuple[float, bytes]]) -> Iterator[Told]:
    """What the notes of these rows say: when a door saw the event, and the fields."""
    for at, stored in rows:
        yield from (replace(each, event=each.event or CONNECTED, at=at) for each in load_told(stored))


_decoder = json.Decoder(tuple[Told, ...])
