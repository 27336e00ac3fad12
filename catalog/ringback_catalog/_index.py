"""The entries by key: a table for every kind of key, and the aliases of keys. Plain data."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from ringback_catalog._events import event_name
from ringback_catalog._model import Entry
from ringback_catalog._toml import package_files, read_toml
from ringback_catalog._words import SPECIAL, Scope
from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ringback_catalog._codes import Codes
    from ringback_catalog._model import Key

_SUCCEEDED = (Scope.OPERATION, 200, 0)


class Index:
    """The tables of entries: every attribute is one. Nothing changes a built index; overrides change a copy."""

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
        self.special: dict[tuple[str, str | None], Entry] = {}
        self.borrowed: dict[tuple[int, int], Entry] = {}
        for entry in entries:
            if not isinstance(entry, Entry):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise CatalogError(
                    f"a catalog has entries, and {entry!r} is none; for rows of your own write "
                    "Catalog.default().with_overrides('overrides.toml')"
                )
            for table, key in self.places(entry.key):
                if key in table:
                    raise CatalogError(f"{entry.key}: this key stands twice; keep one entry")
                table[key] = entry
            if entry.key.events and entry.key.kind == "pair":
                # A pair in an event's table alone also answers for other events, where no general row does.
                pair = cast("tuple[int, int]", (entry.key.code, entry.key.subcode))
                self.borrowed.setdefault(pair, entry)

    def refuse_gaps(self) -> None:
        missing = [f"special {name}" for name in SPECIAL if (name, None) not in self.special]
        if _SUCCEEDED not in self.scoped:
            missing.append("scope operation, code 200, subcode 0")
        if missing:
            raise CatalogError(
                f"a catalog needs an entry for {missing[0]}; start from Catalog.default() and use with_overrides"
            )

    @property
    def succeeded(self) -> Entry:
        """The entry of an operation that succeeded."""
        return self.scoped[_SUCCEEDED]

    def copy(self) -> Index:
        twin = copy(self)
        for name, table in vars(self).items():
            setattr(twin, name, dict(table))
        return twin

    def replaced(self, entries: Mapping[Entry, Entry]) -> Index:
        """A copy of the index in which every entry gives way to the entry that ``entries`` maps it to."""
        twin = self.copy()
        for table in vars(twin).values():
            for place, entry in table.items():
                table[place] = entries[entry]
        return twin

    @property
    def entries(self) -> tuple[Entry, ...]:
        tables: Iterable[dict[Any, Entry]] = vars(self).values()
        found = dict.fromkeys(entry for table in tables for entry in table.values())
        return tuple(sorted(found, key=lambda entry: (entry.key.kind, entry.key.order)))

    def special_of(self, special: str, event: str | None) -> Entry:
        """The entry of a special answer: the event's own entry, or else the entry of any event."""
        return self.special.get((special, event)) or self.special[special, None]

    def sole(self) -> dict[int, tuple[int, Entry]]:
        """For every subcode that the catalog has with one code alone, that code and the entry."""
        found: dict[int, dict[int, Entry]] = {}
        # The general rows last, so that they replace the rows of one event.
        for table in (self.borrowed, self.pairs):
            for (code, subcode), entry in table.items():
                found.setdefault(subcode, {})[code] = entry
        return {subcode: next(iter(rows.items())) for subcode, rows in found.items() if len(rows) == 1}

    @staticmethod
    def normal(code: int | None, subcode: int | None) -> tuple[int | None, int | None]:
        """Rung 0: code 0 becomes 200, and an alias becomes the key that it means."""
        subcodes, pairs = _aliases()
        if code == 0:
            code = 200
        if subcode is not None:
            subcode = subcodes.get(subcode, subcode)
            if code is not None:
                return pairs.get((code, subcode), (code, subcode))
        return code, subcode

    def canonical(self, key: Key) -> Key:
        """The key of an override after the normalisation that a look-up does."""
        code, subcode = self.normal(key.code, key.subcode)
        return replace(key, code=code, subcode=subcode, events=tuple(event_name(event) for event in key.events))

    def places(self, key: Key) -> list[tuple[dict[Any, Entry], Any]]:
        """The table and the place in the table for every single key within ``key``."""
        if key.special is not None:
            return [(self.special, (key.special, event)) for event in key.events or (None,)]
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
        }
        return [by_kind[key.kind]]


@lru_cache(maxsize=1)
def _aliases() -> tuple[dict[int, int], dict[tuple[int, int], tuple[int, int]]]:
    """What a subcode is read as whatever its code, and what a code with its subcode is."""
    subcodes: dict[int, int] = {}
    pairs: dict[tuple[int, int], tuple[int, int]] = {}
    for alias in read_toml(package_files() / "aliases.toml")["subcode"]:
        if "code" in alias:
            pairs[alias["code"], alias["subcode"]] = tuple(alias["read_as"])
        else:
            subcodes[alias["subcode"]] = alias["read_as"]
    return subcodes, pairs
