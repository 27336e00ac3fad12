"""Which calls have an id that somebody looks for, of the keys and the notes that a store keeps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, json

from ringback.core.delivery import digest_of
from ringback.work.keys import END, short
from ringback.work.latch import informed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ringback.work.call_detail import StoredItem
    from ringback.work.told import Told

MOST = 400
"""Values of one statement, and a few more. Before version 3.32 SQLite takes 999: https://www.sqlite.org/limits.html"""

_INFORMED = informed("")


def leg_in(key: str) -> str | None:
    """The id of the leg, or of the call, in the key of an end; ``None`` for the key of anything else."""
    return key.removeprefix(END).removesuffix(_INFORMED) if key.startswith(END) else None


def keys_of(name: str) -> list[str]:
    """The keys that the item of an end or of an operation may have, if ``name`` is an id of it, or its key."""
    keys = [name, f"{END}{name}"]
    return [short(key) for each in keys for key in (each, informed(each))]


class Match(Struct, frozen=True):
    """A leg or a call with the id that somebody looks for. The last event told of it ``at`` a time.

    ``key`` is that of the item of its end, if it has ended.
    """

    at: float
    leg: str | None
    call: str | None
    key: str | None = None

    def is_named(self, name: str) -> bool:
        """Whether ``name`` is the id of this leg or call, or the key of its end, and not an operation context."""
        return self.key in keys_of(name) or short(name) in (self.leg, self.call)

    def has(self, told: Told) -> bool:
        """Whether an event told of this call, or of this leg where no event names the call."""
        return told.call == self.call if self.call is not None else told.leg == self.leg

    def keys(self, told: Iterable[Told]) -> list[str]:
        """The keys that items of this call may have; ``told`` is what events told beside them."""
        keys = [each.key for each in told if each.key is not None]
        keys += [] if self.key is None else [self.key]
        return keys + ([] if self.leg is None else keys_of(self.leg))


def match_of_item(key: str, call: str | None, at: float) -> Match:
    return Match(at, leg_in(key), call, key)


def matches_in(told: Iterable[Told], name: str) -> Iterator[Match]:
    """The calls of the notes that have the id ``name``. Numbers and texts may find other notes as well."""
    kept, server = short(name), digest_of(name)
    for each in told:
        if kept in (each.leg, each.call, each.id, each.context) or each.server == server:
            yield Match(each.at, each.leg, each.call)


class Ends(Struct, frozen=True):
    """The keys that the ends somebody looks for may have, and the calls of which every end is meant."""

    keys: frozenset[str]
    calls: frozenset[str]

    def has(self, key: str, call: str | None) -> bool:
        """Whether the item with this key, of this call, is one of the ends."""
        return key in self.keys or call in self.calls


def ends_of(matches: Iterable[Match]) -> Ends:
    """The ends that the matches mean: for a leg that leg's own end, for a match without a leg all ends of its call.

    The latest matches come first, and as many count as one statement can ask for.
    """
    keys, calls = set[str](), set[str]()
    for match in sorted(matches, key=lambda match: -match.at):
        # A match has at most eight keys.
        if len(keys) + len(calls) >= MOST:
            break
        if match.key is not None:
            keys.add(match.key)
        elif match.leg is not None:
            # Where no event has told of the leg's end, Event Grid may have told of the call's.
            keys.update(key for name in (match.leg, match.call) if name is not None for key in keys_of(name))
        elif match.call is not None:  # pragma: no branch - what names neither is found by its key
            calls.add(match.call)
    return Ends(frozenset(keys), frozenset(calls))


def search_for(name: str, found: Iterable[Match]) -> dict[str, bytes | float] | None:
    """What a search for ``name``, of which an index has ``found`` these, looks for, and ``since`` when in the notes.

    ``None`` if no search is needed. No index has the operation contexts of calls that go on, and a later call may have
    the one of a call that has ended.
    """
    if any(match.is_named(name) for match in found):
        return None
    # The id in any field. Few events have it anywhere, so a search that looks for it first is faster.
    text, digest, last = json.encode(short(name)), json.encode(digest_of(name)), newest(found)
    fields = {"event": b'"i":' + text, "context": b'"x":' + text, "server": b'"v":' + digest}
    return {"name": text, **fields, "since": 0.0 if last is None else last.at}


def newest(matches: Iterable[Match]) -> Match | None:
    return max(matches, key=lambda match: match.at, default=None)


def contact_in(items: Iterable[StoredItem]) -> str | None:
    """The contact of a call; an event may come before anybody knows whom it concerns."""
    return next((item.contact for item in items if item.contact is not None), None)
