"""From TOML to entries, with an error message that explains a bad row."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ringback_catalog._again import RetryAction
from ringback_catalog._fields import CONVERT, code_range, did_you_mean, enum_of, integer, sources_in, text, texts
from ringback_catalog._model import Entry, Key
from ringback_catalog._sources import Source
from ringback_catalog._toml import package_files, read_toml
from ringback_catalog._words import SPECIAL, STATUS, Disposition, Scope
from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ringback_catalog._codes import Codes


_PATTERN = re.compile(r"[1-9x][0-9x]{2,6}")

KEY_FIELDS = frozenset({"events", "scope", "code", "subcode", "sip", "phrase", "q850", "special"})
REQUIRED = ("cause", "category", "basis", "retry", "owner", "confidence", "summary", "advice", "sources")
Row = dict[str, Any]
"""One ``[[entry]]`` block as TOML gives it."""


def load_sources() -> dict[str, Source]:
    """Every table that an entry may cite, by its id ``document#table``."""
    documents = read_toml(package_files() / "sources.toml")
    return {
        f"{name}#{table}": Source(
            id=f"{name}#{table}",
            document=document["document"],
            table=title,
            date=document["date"],
            url=f"{document['url']}{_place_of(document, table)}",
            page=document.get("page", document["document"]),
        )
        for name, document in documents.items()
        for table, title in document["tables"].items()
    }


def _place_of(document: Mapping[str, Any], table: str) -> str:
    """The end of a table's address behind the document's address: a pivot of the page, a path, or a section."""
    if table in document.get("pivots", {}):
        return f"?pivots={document['pivots'][table]}"
    return str(document.get("paths", {}).get(table) or document.get("anchor", "").format(table))


def load_entries() -> tuple[Entry, ...]:
    """All entries of the package, in the order of files and blocks. Raises :class:`CatalogError`."""
    return tuple(entry for entries in load_files().values() for entry in entries)


def load_files() -> dict[str, tuple[Entry, ...]]:
    """The entries of every file of the package by the file's name, in order. Raises :class:`CatalogError`."""
    sources = load_sources()
    places = sorted((package_files() / "entries").iterdir(), key=lambda place: place.name)
    return {
        place.name: tuple(
            entry_of(row, sources, f"{place.name}: entry {number}")
            for number, row in enumerate(read_toml(place).get("entry", []), start=1)
        )
        for place in places
        if place.name.endswith(".toml")
    }


def entry_of(row: Row, sources: Mapping[str, Source], place: str) -> Entry:
    """The entry of a whole block. Raises :class:`CatalogError`, whose message begins with ``place``."""
    key = key_of(row, place)
    where = f"{place} ({key})"
    refuse_unknown(row, where)
    missing = [name for name in REQUIRED if name not in row]
    if missing:
        raise CatalogError(f"{where}: {', '.join(missing)} missing; a new entry needs {', '.join(REQUIRED)}")
    fields = verdict_of(row, sources, where)
    try:
        entry = Entry(key=key, **fields)
    except CatalogError as error:
        raise CatalogError(f"{where}: {str(error).partition(': ')[2]}") from None
    refuse_idle(entry, fields, where)
    return entry


def refuse_idle(entry: Entry, given: Mapping[str, Any], where: str) -> None:
    """Refuse a terminal row that says what to make again, or how long to wait."""
    if entry.disposition is Disposition.TERMINAL:
        for name in ("retry_action", "retry_after"):
            if given.get(name) not in (None, RetryAction.NONE):
                raise CatalogError(f"{where}: {name} goes only with retry now or later; leave it out")


def verdict_of(row: Row, sources: Mapping[str, Source], where: str) -> dict[str, Any]:
    """The fields of a block that are not its key, checked and converted."""
    fields = {name: convert(row[name], f"{where}: {name}") for name, convert in CONVERT.items() if name in row}
    if "sources" in row:
        fields["sources"] = sources_in(row["sources"], f"{where}: sources", sources)
    return fields


def refuse_unknown(row: Row, where: str, also: Iterable[str] = ()) -> None:
    """Refuse a field that no block has; ``also`` are the further fields of a block of overrides."""
    known = (*KEY_FIELDS, *CONVERT, "sources", *also)
    for name in row:
        if name not in known:
            raise CatalogError(f"{where}: unknown field {name!r}{did_you_mean(name, known)}")


def spelled(row: Mapping[str, Any], place: str) -> Row:
    """The block with the names of an outcome's JSON replaced by the field names of a block."""
    renamed: Row = {}
    for name, value in row.items():
        own = _OTHER_NAMES.get(name, name)
        if own in renamed:
            raise CatalogError(f"{place}: {own!r} stands twice, also as {name!r}; keep one")
        renamed[own] = value
    return renamed


_OTHER_NAMES = {
    "event": "events",
    "event_type": "events",
    "retry_class": "retry",
    "category_basis": "basis",
}


def key_of(row: Row, place: str) -> Key:
    """The key of a block. Raises :class:`CatalogError` for a block without exactly one kind of key."""
    code, codes = _code(row.get("code"), place)
    subcode, pattern = _subcode(row.get("subcode"), place)
    key = Key(
        events=_events(row.get("events", ()), place),
        scope=enum_of(Scope)(row["scope"], f"{place}: scope") if "scope" in row else None,
        code=code,
        codes=codes,
        subcode=subcode,
        pattern=pattern,
        sip=integer(row.get("sip"), f"{place}: sip"),
        phrase=_phrase(row["phrase"], f"{place}: phrase") if "phrase" in row else None,
        q850=integer(row.get("q850"), f"{place}: q850"),
        special=row.get("special"),
    )
    if key.special is not None and key.special not in SPECIAL + STATUS:
        close = get_close_matches(str(key.special), STATUS, n=1)
        hint = f", nor a word of status details; did you mean {close[0]!r}?" if close else ""
        raise CatalogError(f"{place}: special {key.special!r} is not one of {', '.join(SPECIAL)}{hint}")
    kinds = [
        key.code is not None or key.codes is not None or key.subcode is not None or key.pattern is not None,
        key.sip is not None,
        key.q850 is not None,
        key.special is not None,
    ]
    if sum(kinds) != 1:
        raise CatalogError(
            f"{place}: the key must be one of code and/or subcode, sip, q850 or special; found {str(key) or 'none'}"
        )
    for broken, rule in _IMPOSSIBLE_KEYS.items():
        if broken(key):
            raise CatalogError(f"{place} ({key}): {rule}")
    return key


def _code(value: object, place: str) -> tuple[int | None, Codes | None]:
    """A code from a number, or a range from ``"400-499"``. 0 becomes 200."""
    if isinstance(value, str):
        codes = code_range(value, f"{place}: code")
        if codes.low < codes.high:
            return None, codes
        value = codes.low
    code = integer(value, f"{place}: code")
    return 200 if code == 0 else code, None


def _subcode(value: object, place: str) -> tuple[int | None, str | None]:
    """A subcode from a number, or a pattern from ``"549xxx"``."""
    if not isinstance(value, str):
        return integer(value, f"{place}: subcode"), None
    if _PATTERN.fullmatch(value) and "x" in value:
        return None, value
    raise CatalogError(
        f"{place}: subcode {value!r} is neither a number such as 560486 (no quotes) nor a pattern such as '549xxx'"
    )


def _events(value: object, place: str) -> tuple[str, ...]:
    names = texts([value] if isinstance(value, str) else value, f"{place}: events")
    if all(names):
        return tuple(name.removeprefix("Microsoft.Communication.") for name in names)
    raise CatalogError(f"{place}: events {value!r} is not a list of event names such as ['CreateCallFailed']")


def _phrase(value: object, where: str) -> str:
    """A part of a SIP status text, in lower case."""
    phrase = text(value, where).strip().lower()
    if phrase:
        return phrase
    raise CatalogError(f"{where}: {value!r} is empty; name words of the SIP message, or leave phrase out")


# The keys that no look-up reaches, or of which a look-up reads a part alone, with the remedy.
_IMPOSSIBLE_KEYS: dict[Callable[[Key], bool], str] = {
    lambda key: (
        bool(key.events) and key.kind not in ("pair", "code", "special")
    ): "events go only with code, or code and subcode, or special",
    lambda key: (
        key.scope is not None and key.kind not in ("pair", "code")
    ): "scope goes only with code, or code and subcode",
    lambda key: bool(key.events) and key.scope is not None: "events already say the scope; keep one of the two",
    lambda key: key.phrase is not None and key.sip is None: "phrase goes only with sip",
    lambda key: (
        key.codes is not None and (key.subcode is not None or key.pattern is not None)
    ): "a range of codes takes no subcode; write one code, or leave the subcode out",
    lambda key: key.pattern is not None and key.code is not None: "a pattern goes with any code; leave the code out",
}
