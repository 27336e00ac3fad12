"""The look-up: from (event, code, subcode) and a carrier's details to one verdict, most specific first."""

from __future__ import annotations

import re
import tomllib
from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ringback_catalog import _load
from ringback_catalog._errors import CatalogError
from ringback_catalog._events import event_name, scope_of
from ringback_catalog._model import (
    INTENDED,
    CategoryBasis,
    Cause,
    Codes,
    Confidence,
    Entry,
    Key,
    Match,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

MEMO_SIZE = 4096
"""How many answers one catalog remembers. Codes are few; a sender of nonsense must not fill memory."""

Overrides = str | PathLike[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A TOML file of ``[[entry]]`` blocks, or the same as ``{"entry": [...]}`` or a list of blocks."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The entry that answers, the rung it was found on, and what changed the first answer.

    ``refined_by`` is ``sip`` or ``q850`` where a carrier's detail said more than the code,
    ``event`` where the event's name contradicts the code and outranks it, else ``None``.
    """

    entry: Entry
    match: Match
    refined_by: str | None = None


class Catalog:
    """A set of entries and the ladder over them. Immutable; :meth:`with_overrides` gives a new one.

    Raises :class:`CatalogError` if two entries have the same key, or if one lacks that the
    ladder's last resort needs: the look-up itself never raises.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._index = _Index(entries)
        self._index.refuse_gaps()
        self._memo: dict[tuple[object, ...], Verdict] = {}

    @staticmethod
    @lru_cache(maxsize=1)
    def default() -> Catalog:
        """The catalog that comes with the package, loaded once."""
        return Catalog(_load.load_entries())

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry once, in the order of its key."""
        return self._index.entries

    def look_up(
        self,
        event: str | None,
        code: int | None,
        subcode: int | None,
        *,
        sip: int | None = None,
        sip_message: str | None = None,
        q850: int | None = None,
    ) -> Verdict:
        """The verdict for a result. Never raises, whatever the numbers; unknown is a verdict too.

        ``event`` is a type as received or a name; ``None`` means the end of some call. ``code``
        and ``subcode`` both ``None`` mean that the event carried no result.
        """
        phrase = self._index.phrase(sip, sip_message)
        remembered = (event, code, subcode, sip, phrase, q850)
        verdict = self._memo.get(remembered)
        if verdict is None:
            verdict = self._index.judge(event, code, subcode, sip, phrase, q850)
            if len(self._memo) >= MEMO_SIZE:
                self._memo.clear()
            self._memo[remembered] = verdict
        return verdict

    def with_overrides(self, overrides: Overrides) -> Catalog:
        """A catalog with these rows changed or added; everything else answers as before.

        A row names its key and any fields to change. Without ``events`` it changes the answer
        for every event; with them only for those, and over a row without, whichever comes
        first. A row by ``scope`` is a key of its own. A row whose key the catalog lacks adds an
        entry and needs ``cause``, ``retry`` and ``summary``. Each changed entry lists the
        override among its ``sources``. Raises :class:`CatalogError` naming the file, the key
        and the remedy.
        """
        changed = copy(self)
        changed._index = self._index.copy()
        changed._memo = {}
        place, rows = _override_rows(overrides)
        blocks: list[tuple[Key, dict[str, Any], str]] = []
        seen: set[Key] = set()
        for number, row in enumerate(rows, start=1):
            where = f"{place}: entry {number}"
            key = self._index.canonical(_load.key_of(dict(row), where))
            for single in [replace(key, events=(event,)) for event in key.events] or [key]:
                if single in seen:
                    raise CatalogError(f"{where} ({single}): this key stands twice; keep one block")
                seen.add(single)
            blocks.append((key, dict(row), where))
        for key, row, where in sorted(blocks, key=lambda block: bool(block[0].events)):
            changed._index.override(key, row, where)
        return changed


class _Index:
    """The entries by key, and the ladder that asks for them. Plain data; the catalog guards it."""

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
        only_with_events: deque[Entry] = deque()
        for entry in entries:
            for table, key in self._places(entry.key):
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
        if _SUCCEEDED not in self.scoped:
            missing.append("scope operation, code 200, subcode 0")
        if missing:
            raise CatalogError(
                f"a catalog needs an entry for {missing[0]}; start from Catalog.default() and use with_overrides"
            )

    def copy(self) -> _Index:
        twin = copy(self)
        for name, table in vars(self).items():
            setattr(twin, name, dict(table))
        return twin

    @property
    def entries(self) -> tuple[Entry, ...]:
        tables = (
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
        found = dict.fromkeys(entry for table in tables for entry in table.values())
        return tuple(sorted(found, key=lambda entry: (entry.key.kind, entry.key.order)))

    def phrase(self, sip: int | None, message: str | None) -> str | None:
        """The phrase of a SIP row that this status text contains, in lower case."""
        if sip is None or not message:
            return None
        text = message.lower()
        for number, phrase in self.sip:
            if number == sip and phrase is not None and phrase in text:
                return phrase
        return None

    def judge(
        self,
        event: str | None,
        code: int | None,
        subcode: int | None,
        sip: int | None,
        phrase: str | None,
        q850: int | None,
    ) -> Verdict:
        name = None if event is None else event_name(event)
        code, subcode = self.normal(code, subcode)
        found = self.climb(name, code, subcode)
        refined = self.refine(found, name, code, subcode, sip, phrase, q850)
        return self.outrank(refined, name, code)

    def normal(self, code: int | None, subcode: int | None) -> tuple[int | None, int | None]:
        """Rung 0: the tables' 0 is the wire's 200, and aliases read as the key they mean."""
        if code == 0:
            code = 200
        if subcode is not None:
            subcode = self.same_subcode.get(subcode, subcode)
            if code is not None:
                return self.same_pair.get((code, subcode), (code, subcode))
        return code, subcode

    def climb(self, name: str | None, code: int | None, subcode: int | None) -> Verdict:
        """Rungs 1 to 7 of the ladder: the first that knows the key answers."""
        if code is None and subcode is None:
            return Verdict(self.special["unreported"], Match.NONE)
        for match, entry in self._rungs(name, scope_of(name), code, subcode):
            if entry is not None:
                return Verdict(entry, match)
        return Verdict(self.special["unknown"], Match.NONE)

    def _rungs(
        self, name: str | None, scope: Scope, code: int | None, subcode: int | None
    ) -> Iterable[tuple[Match, Entry | None]]:
        event = name or ""
        if subcode is not None:
            if code is not None:
                yield Match.EXACT, self.exact.get((event, code, subcode))
                yield Match.PAIR, self.scoped.get((scope, code, subcode)) or self.pairs.get((code, subcode))
            yield Match.SIP_SUBCODE, self._decoded(subcode)
            yield Match.GENERIC_SUBCODE, self._generic(code, subcode)
        if code is not None:
            yield Match.CODE, self.exact.get((event, code, None))
            yield Match.CODE, self.scoped.get((scope, code, None)) or self.codes.get(code)
            yield Match.RANGE, self._range(code)

    def _range(self, code: int) -> Entry | None:
        """The narrowest range with this code."""
        found = [codes for codes in self.ranges if code in codes]
        return self.ranges[min(found, key=lambda codes: codes.high - codes.low)] if found else None

    def _decoded(self, subcode: int) -> Entry | None:
        """Microsoft's own families first; then 560ZZZ (outbound) and 540ZZZ (inbound), ZZZ a SIP status."""
        if not 0 <= subcode < 10**7:
            return None
        digits = str(subcode)
        found = [pattern for pattern in self.patterns if re.fullmatch(pattern.replace("x", "[0-9]"), digits)]
        if found:
            return self.patterns[min(found, key=lambda pattern: pattern.count("x"))]
        leg, status = divmod(subcode, 1000)
        if leg not in (540, 560) or not 400 <= status < 700:
            return None
        answer = self.sip.get((status, None))
        if answer is None or leg == 560:
            return answer
        # Microsoft's own proxy also answers on the inbound leg: the far side is not surely to blame.
        return replace(answer, confidence=Confidence.LOW)

    def _generic(self, code: int | None, subcode: int) -> Entry | None:
        entry = self.subcodes.get(subcode)
        if entry is None or code is None or not entry.with_codes:
            return entry
        return entry if any(code in codes for codes in entry.with_codes) else None

    def refine(
        self,
        found: Verdict,
        name: str | None,
        code: int | None,
        subcode: int | None,
        sip: int | None,
        phrase: str | None,
        q850: int | None,
    ) -> Verdict:
        """A carrier's details sharpen a verdict that is unknown, generic or a mixture, and no other.

        A specific Q.850 cause outranks the SIP status, which outranks the subcode's suffix. A
        success, a cancel or an answer elsewhere stands, unless the event says that it failed.
        """
        vague = (
            found.match not in (Match.EXACT, Match.PAIR)
            or found.entry.mixture
            or (code is not None and 500 <= code < 600)
        )
        contradicted = _failed(name) and found.entry.retry is RetryClass.NONE
        if not vague or (found.entry.cause in INTENDED and not contradicted):
            return found
        if q850 is not None:
            entry = self.q850.get(q850)
            if entry is not None and entry.specific:
                return Verdict(entry, found.match, "q850")
        if sip is not None and sip >= 300:
            entry = self.sip.get((sip, phrase))
            repeated = phrase is None and subcode is not None and subcode % 1000 == sip
            if entry is not None and not repeated:
                return Verdict(entry, found.match, "sip")
        return found

    def outrank(self, found: Verdict, name: str | None, code: int | None) -> Verdict:
        """The event's name outranks the code: what failed did not end as intended, and the reverse."""
        entry = found.entry
        if _failed(name) and entry.retry is RetryClass.NONE:
            if entry.cause in _SAYS_NOTHING_OF_FAILURE:
                return Verdict(self.special["contradicted"], found.match, "event")
            if entry.category is ResultCategory.SUCCESS and code == 200:
                entry = replace(
                    entry,
                    category=ResultCategory.EXPECTED_ERROR,
                    basis=CategoryBasis.INFERRED,
                    confidence=Confidence.LOW,
                )
            return Verdict(replace(entry, retry=RetryClass.NEVER), found.match, "event")
        if _succeeded(name) and found.match is not Match.EXACT and entry.cause is not Cause.SUCCEEDED:
            succeeded = self.scoped[_SUCCEEDED]
            return Verdict(replace(succeeded, confidence=Confidence.LOW), found.match, "event")
        return found

    def canonical(self, key: Key) -> Key:
        """An override's key after the same normalisation as a look-up's."""
        code, subcode = self.normal(key.code, key.subcode)
        return replace(key, code=code, subcode=subcode, events=tuple(event_name(each) for each in key.events))

    def override(self, key: Key, row: dict[str, Any], where: str) -> None:
        """Change or add what one row of overrides says, and nothing else."""
        where = f"{where} ({key})"
        _load.refuse_unknown(row, where)
        if "sources" in row:
            raise CatalogError(f"{where}: sources cannot be overridden; the override itself becomes a source")
        changes = _load.verdict_of(row, {}, where)
        if changes.get("retry") is RetryClass.NONE and any(_failed(event) for event in key.events):
            raise CatalogError(f"{where}: what failed did not end as intended; write now, later, after_fix or never")
        source = Source(id="override", document="override", table=where, date="local", url=_OVERRIDE_URL)
        for table, place in self._addressed(key):
            base = table.get(place) or self._base(key, place)
            try:
                table[place] = _overridden(base, key, changes, source)
            except CatalogError as error:
                raise CatalogError(f"{where}: {str(error).partition(': ')[2]}") from None

    def _addressed(self, key: Key) -> Iterable[tuple[dict[Any, Entry], Any]]:
        """Where a row's key points: itself, and without events the same key of every event too."""
        places = self._places(key)
        if key.kind in ("pair", "code") and not key.events and key.scope is None:
            for exact in list(self.exact):
                if exact[1:] == (key.code, key.subcode):
                    places.append((self.exact, exact))
        return places

    def _base(self, key: Key, place: Any) -> Entry | None:
        """What an event's key, not in the catalog by itself, rests on: the same key of any event."""
        if not key.events:
            return None
        event, code, subcode = place
        general = self.codes.get(code) if subcode is None else self.pairs.get((code, subcode))
        return self.scoped.get((scope_of(event), code, subcode)) or general

    def _places(self, key: Key) -> list[tuple[dict[Any, Entry], Any]]:
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


_SUCCEEDED = (Scope.OPERATION, 200, 0)
_SAYS_NOTHING_OF_FAILURE = frozenset({Cause.ENDED, Cause.SUCCEEDED, Cause.TRANSFERRED})
_OVERRIDE_URL = (
    "https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/"
    "voice-video-calling/troubleshooting-codes"
)


def _failed(name: str | None) -> bool:
    return name is not None and name.endswith("Failed")


def _succeeded(name: str | None) -> bool:
    return name is not None and name.endswith("Succeeded")


def _pair(key: Key) -> tuple[int, int]:
    return cast("int", key.code), cast("int", key.subcode)


def _overridden(base: Entry | None, key: Key, changes: dict[str, Any], source: Source) -> Entry:
    if base is not None:
        named = replace(base.key, events=key.events) if key.events else base.key
        return replace(base, key=named, sources=(*base.sources, source), **changes)
    missing = [name for name in ("cause", "retry", "summary") if name not in changes]
    if missing:
        raise CatalogError(
            f"{key}: {', '.join(missing)} missing; the catalog has no such key, so the row adds an entry, "
            "which needs cause, retry and summary"
        )
    fields: dict[str, Any] = _NEW | changes
    return Entry(key=key, sources=(source,), **fields)


_NEW: dict[str, Any] = {
    "category": ResultCategory.UNKNOWN,
    "basis": CategoryBasis.INFERRED,
    "owner": Owner.APP,
    "confidence": Confidence.HIGH,
    "advice": ("Follow your own team's note on this code.",),
}


def _override_rows(overrides: Overrides) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """The name that leads messages, and the blocks."""
    if isinstance(overrides, str | PathLike):
        path = Path(overrides)
        place = str(path)
        try:
            content: Mapping[str, Any] | Sequence[Mapping[str, Any]] = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise CatalogError(f"{place}: cannot be read ({error.strerror}); name an existing TOML file") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CatalogError(f"{place}: is not TOML: {error}") from error
    else:
        place, content = "overrides", overrides
    if isinstance(content, Mapping):
        unknown = [name for name in content if name != "entry"]
        if unknown:
            raise CatalogError(f"{place}: unknown table {unknown[0]!r}; write each row as a block [[entry]]")
        content = content.get("entry", [])
    rows: Any = content
    if not isinstance(content, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise CatalogError(f"{place}: rows must be blocks [[entry]], each a table of key and fields")
    return place, content
