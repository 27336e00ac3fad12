"""The verdicts of an app laid over the catalog: Ringback reads and checks the overrides at start-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringback_catalog import _fields, _load
from ringback_catalog._events import is_failure, scope_of
from ringback_catalog._evidence import denies_failure
from ringback_catalog._model import VERDICT, Entry, Key
from ringback_catalog._sources import OVERRIDE, Source
from ringback_catalog._words import STATUS, CategoryBasis, Confidence, Owner, ResultCategory, RetryClass
from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback_catalog._index import Index

Overrides = str | PathLike[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""The path of a TOML file of ``[[entry]]`` blocks; or its content, a list of blocks, or one block."""


def lay_over(index: Index, overrides: Overrides) -> Index:
    """A copy of the index with the rows of the overrides changed or added. Raises :class:`CatalogError`."""
    changed = index.copy()
    place, rows = _override_rows(overrides)
    blocks: list[tuple[Key, dict[str, Any], str]] = []
    seen: set[Key] = set()
    for number, given in enumerate(rows, start=1):
        where = f"{place}: entry {number}"
        row = _load.spelled(given, where)
        key = index.canonical(_load.key_of(row, where))
        for single in [replace(key, events=(event,)) for event in key.events] or [key]:
            if single in seen:
                raise CatalogError(f"{where} ({single}): this key stands twice; keep one block")
            seen.add(single)
        blocks.append((key, row, f"{where} ({key})"))
    # Rows with events last, because they outrank rows for every event, whichever comes first in the file.
    for key, row, where in sorted(blocks, key=lambda block: bool(block[0].events)):
        _override(changed, key, row, where)
    return changed


def _override(index: Index, key: Key, row: dict[str, Any], where: str) -> None:
    """Change or add the entries of one row in the index."""
    _load.refuse_unknown(row, where, ("refine",))
    if "sources" in row:
        raise CatalogError(f"{where}: sources cannot be overridden; the override itself becomes a source")
    changes = _load.verdict_of(row, {}, where)
    stated = _stated(key, row, changes, where)
    if changes.get("retry") is RetryClass.NONE and any(is_failure(event) for event in key.events):
        raise CatalogError(f"{where}: what failed did not end as intended; write now, later, after_fix or never")
    source = Source(id=OVERRIDE, document=OVERRIDE, table=where, date="local", url=_OVERRIDE_URL)
    for table, place in _addressed(index, key):
        base = table.get(place) or _base(index, key, place)
        try:
            table[place] = _overridden(base, key, changes, source, stated)
        except CatalogError as error:
            raise CatalogError(f"{where}: {str(error).partition(': ')[2]}") from None
        _load.refuse_idle(table[place], changes, where)


def _stated(key: Key, row: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The fields that no detail changes: those that the row states, and none if the row says ``refine = true``."""
    refines = _fields.flag(row.get("refine", False), f"{where}: refine")
    stated = {name for name in VERDICT if name in changes}
    if "refine" in row and (key.q850 is not None or key.phrase is not None or key.special in STATUS):
        raise CatalogError(
            f"{where}: refine goes with a row that details refine, and this row is a detail; leave it out"
        )
    if refines and not stated:
        raise CatalogError(
            f"{where}: refine = true lets carriers' details change what the row states, and the row states nothing; "
            "state for example retry, or leave refine out"
        )
    if refines:
        return ()
    if not stated.isdisjoint(_CATEGORY):
        # What Microsoft documents is its own category and no other.
        stated.update(_CATEGORY)
    return tuple(name for name in VERDICT if name in stated)


def _addressed(index: Index, key: Key) -> Iterable[tuple[dict[Any, Entry], Any]]:
    """The places of the entries that a row changes: its key, and without events the same key of every event."""
    places = index.places(key)
    if key.kind in ("pair", "code") and not key.events and key.scope is None:
        for exact in list(index.exact):
            if exact[1:] == (key.code, key.subcode):
                places.append((index.exact, exact))
    if key.special is not None and not key.events:
        places += [
            (index.special, place) for place in index.special if place[0] == key.special and place[1] is not None
        ]
    return places


def _base(index: Index, key: Key, place: Any) -> Entry | None:
    """The entry that a new key starts from: that of the same key for any event, or for the one event that has it."""
    if key.special is not None:
        return index.special_of(key.special, None)
    if not key.events:
        borrowed = index.borrowed.get(place) if key.kind == "pair" and key.scope is None else None
        return None if borrowed is None else replace(borrowed, key=key)
    event, code, subcode = place
    general = (
        index.codes.get(code)
        if subcode is None
        else index.pairs.get((code, subcode), index.borrowed.get((code, subcode)))
    )
    base = index.scoped.get((scope_of(event), code, subcode)) or general
    if base is not None and base.retry is RetryClass.NONE and is_failure(event) and denies_failure(base, code):
        # An event that failed outranks a success, so another row has answered.
        return replace(index.special_of("contradicted", event), key=replace(base.key, events=key.events))
    return base


def _overridden(
    base: Entry | None, key: Key, changes: dict[str, Any], source: Source, stated: tuple[str, ...]
) -> Entry:
    if base is not None:
        stated = tuple(name for name in VERDICT if name in stated or (name in base.stated and name not in changes))
        named = replace(base.key, events=key.events) if key.events else base.key
        if "retry" in changes and changes["retry"].disposition is not base.disposition:
            # What the base says of making again belongs to the base's verdict.
            changes = {"retry_action": None, "retry_after": None} | changes
        return replace(base, key=named, sources=(*base.sources, source), stated=stated, **changes)
    missing = [name for name in ("cause", "retry", "summary") if name not in changes]
    if missing:
        raise CatalogError(
            f"{key}: {', '.join(missing)} missing; the catalog has no such key, so the row adds an entry, "
            "which needs cause, retry and summary"
        )
    fields: dict[str, Any] = _NEW | changes
    return Entry(key=key, sources=(source,), stated=stated, **fields)


_CATEGORY = frozenset({"category", "basis"})

_NEW: dict[str, Any] = {
    "category": ResultCategory.UNKNOWN,
    "basis": CategoryBasis.INFERRED,
    "owner": Owner.APP,
    "confidence": Confidence.HIGH,
    "advice": ("Follow your own team's note on this code.",),
}


def _override_rows(overrides: Overrides) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """The name that begins error messages, and the blocks."""
    if isinstance(overrides, str | PathLike):
        import tomllib

        path = Path(overrides)
        place = str(path)
        try:
            content: Mapping[str, Any] | Sequence[Mapping[str, Any]] = tomllib.loads(path.read_text("utf-8-sig"))
        except OSError as error:
            raise CatalogError(f"{place}: cannot be read ({error.strerror}); name an existing TOML file") from error
        except UnicodeDecodeError as error:
            raise CatalogError(
                f"{place}: is not UTF-8 (byte {error.start}: {error.reason}); save it as UTF-8"
            ) from error
        except tomllib.TOMLDecodeError as error:
            raise CatalogError(f"{place}: is not TOML: {error}") from error
    else:
        place, content = "overrides", overrides
    if isinstance(content, Mapping) and _load.KEY_FIELDS & _load.spelled(content, place).keys():
        content = [content]
    if isinstance(content, Mapping):
        unknown = [name for name in content if name != "entry"]
        if unknown:
            raise CatalogError(f"{place}: unknown table {unknown[0]!r}; write each row as a block [[entry]]")
        content = content.get("entry", [])
    rows: Any = content
    if not isinstance(content, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise CatalogError(f"{place}: rows must be blocks [[entry]], each a table of key and fields")
    return place, content


_OVERRIDE_URL = (
    "https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/"
    "voice-video-calling/troubleshooting-codes"
)
