"""The entries by key: a table for each kind of key, and the other spellings of a key. Plain data."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ringback_catalog import _load
from ringback_catalog._errors import CatalogError
from ringback_catalog._events import event_name
from ringback_catalog._model import Codes, Entry, Key, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SUCCEEDED = (Scope.OPERATION, 200, 0)
"""The key of the entry that answers for an operation that went well."""


class Index:
    """Where each entry stands. Built once; only a copy of it is ever changed, by overrides."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.exact: dict[tuple[str, int, int | None], Entry] = {}
        self.scoped: dict[tuple[Scope, int, int | None], Entry] = {}
        self.pairs: dict[tuple[int, int], Entry] = {}
        self.codes: dict[int, Entry] = {}
        self.subcodes: dict[int, Entry] = {}
        self.patterns: dict[str, Entry] = {}
        self.ranges: dict[Codes, Entry] = {}
        self.sip: dict[tuple[int, str | None], Entry] = {}
        self.q850: dict[int, Entry] = {}
        self.special: dict[str, Entry] = {}
        self.same_pair: dict[tuple[int, int], tuple[int, int]] = {}
        self.same_subcode: dict[int, int] = {}
        for alias in _load.read_toml(_load.package_files() / "aliases.toml")["subcode"]:
            if "code" in alias:
                self.same_pair[alias["code"], alias["subcode"]] = tuple(alias["read_as"])
            else:
                self.same_subcode[alias["subcode"]] = alias["read_as"]
        only_with_events: list[Entry] = []
        for entry in entries:
            for table, key in self.places(entry.key):
                if key in table:
                    raise CatalogError(f"{entry.key}: this key stands twice; keep one entry")
                table[key] = entry
            if entry.key.events and entry.key.kind == "pair":
                only_with_events.append(entry)
        # A pair that only an event's table lists still says most about the same pair elsewhere.
        for entry in only_with_events:
            self.pairs.setdefault(_pair(entry.key), entry)

    def refuse_gaps(self) -> None:
        missing = [f"special {name}" for name in _load.SPECIAL if name not in self.special]
        if SUCCEEDED not in self.scoped:
            missing.append("scope operation, code 200, subcode 0")
        if missing:
            raise CatalogError(
                f"a catalog needs an entry for {missing[0]}; start from Catalog.default() and use with_overrides"
            )

    def copy(self) -> Index:
        twin = copy(self)
        for name, table in vars(self).items():
            setattr(twin, name, dict(table))
        return twin

    def replaced(self, entries: Mapping[Entry, Entry]) -> Index:
        """A copy with each entry in the place of the one it stands for."""
        twin = self.copy()
        for table in twin._tables():
            for place, entry in table.items():
                table[place] = entries[entry]
        return twin

    @property
    def entries(self) -> tuple[Entry, ...]:
        found = dict.fromkeys(entry for table in self._tables() for entry in table.values())
        return tuple(sorted(found, key=lambda entry: (entry.key.kind, entry.key.order)))

    def _tables(self) -> tuple[dict[Any, Entry], ...]:
        return (
            self.pairs,
            self.exact,
            self.scoped,
            self.patterns,
            self.subcodes,
            self.codes,
            self.ranges,
            self.sip,
            self.q850,
            self.special,
        )

    def phrase(self, sip: int | None, message: str | None) -> str | None:
        """The phrase of a SIP row that this status text contains, in lower case."""
        if sip is None or not message:
            return None
        text = message.lower()
        for number, phrase in self.sip:
            if number == sip and phrase is not None and phrase in text:
                return phrase
        return None

    def normal(self, code: int | None, subcode: int | None) -> tuple[int | None, int | None]:
        """Rung 0: the tables' 0 is the wire's 200, and aliases read as the key they mean."""
        if code == 0:
            code = 200
        if subcode is not None:
            subcode = self.same_subcode.get(subcode, subcode)
            if code is not None:
                return self.same_pair.get((code, subcode), (code, subcode))
        return code, subcode

    def canonical(self, key: Key) -> Key:
        """An override's key after the same normalisation as a look-up's."""
        code, subcode = self.normal(key.code, key.subcode)
        return replace(key, code=code, subcode=subcode, events=tuple(event_name(each) for each in key.events))

    def places(self, key: Key) -> list[tuple[dict[Any, Entry], Any]]:
        """The table and the position in it for each key an entry answers to."""
        if key.events:
            return [(self.exact, (event, key.code, key.subcode)) for event in key.events]
        if key.scope is not None:
            return [(self.scoped, (key.scope, key.code, key.subcode))]
        by_kind: dict[str, tuple[dict[Any, Entry], object]] = {
            "pair": (self.pairs, (key.code, key.subcode)),
            "code": (self.codes, key.code),
            "range": (self.ranges, key.codes),
            "pattern": (self.patterns, key.pattern),
            "subcode": (self.subcodes, key.subcode),
            "sip": (self.sip, (key.sip, key.phrase)),
            "q850": (self.q850, key.q850),
            "special": (self.special, key.special),
        }
        return [by_kind[key.kind]]


def _pair(key: Key) -> tuple[int, int]:
    return cast("int", key.code), cast("int", key.subcode)
