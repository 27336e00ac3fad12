"""TOML to entries: the only place that reads files, and the one that explains a bad row."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from ringback_catalog._errors import CatalogError
from ringback_catalog._model import (
    CategoryBasis,
    Cause,
    Codes,
    Confidence,
    Entry,
    Key,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.resources.abc import Traversable

E_ = TypeVar("E_", bound=StrEnum)

_PATTERN = re.compile(r"[1-9x][0-9x]{2,6}")
_CODES = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")

KEY_FIELDS = frozenset({"events", "scope", "code", "subcode", "sip", "phrase", "q850", "special"})
REQUIRED = ("cause", "category", "basis", "retry", "owner", "confidence", "summary", "advice", "sources")
SPECIAL = ("contradicted", "unknown", "unreported")

Row = dict[str, Any]
"""One ``[[entry]]`` block as TOML gives it."""


def package_files() -> Traversable:
    return files("ringback_catalog")


def read_toml(place: Traversable) -> dict[str, Any]:
    return tomllib.loads(place.read_text("utf-8"))


def load_sources() -> dict[str, Source]:
    """Every ``document#table`` an entry may cite."""
    documents = read_toml(package_files() / "sources.toml")
    return {
        f"{name}#{table}": Source(
            id=f"{name}#{table}",
            document=document["document"],
            table=title,
            date=document["date"],
            url=document["url"],
        )
        for name, document in documents.items()
        for table, title in document["tables"].items()
    }


def entry_files() -> Iterator[tuple[str, list[Row]]]:
    """Each file of entries with its blocks, in the order of its name."""
    folder = package_files() / "entries"
    for place in sorted(folder.iterdir(), key=lambda place: place.name):
        if place.name.endswith(".toml"):
            yield place.name, read_toml(place)["entry"]


def load_entries() -> tuple[Entry, ...]:
    """All entries of the package, in file and block order. Raises :class:`CatalogError`."""
    sources = load_sources()
    return tuple(
        entry_of(row, sources, f"{name}: entry {number}")
        for name, rows in entry_files()
        for number, row in enumerate(rows, start=1)
    )


def entry_of(row: Row, sources: Mapping[str, Source], place: str) -> Entry:
    """A whole block as an :class:`Entry`; ``place`` leads every error message."""
    key = key_of(row, place)
    where = f"{place} ({key})"
    refuse_unknown(row, where)
    missing = [name for name in REQUIRED if name not in row]
    if missing:
        raise CatalogError(f"{where}: {', '.join(missing)} missing; a new entry needs {', '.join(REQUIRED)}")
    try:
        return Entry(key=key, **verdict_of(row, sources, where))
    except CatalogError as error:
        if str(error).startswith(where):
            raise
        raise CatalogError(f"{place} ({error})") from None


def verdict_of(row: Row, sources: Mapping[str, Source], where: str) -> dict[str, Any]:
    """The fields of a block that are not its key, checked and converted."""
    return {
        name: convert(row[name], sources, f"{where}: {name}")
        for name, convert in _CONVERT.items()
        if name in row
    }


def refuse_unknown(row: Row, where: str) -> None:
    for name in row:
        if name not in KEY_FIELDS and name not in _CONVERT:
            raise CatalogError(f"{where}: unknown field {name!r}{did_you_mean(name, [*KEY_FIELDS, *_CONVERT])}")


def key_of(row: Row, place: str) -> Key:
    """The key fields of a block; exactly one kind of key."""
    code, codes = _code(row.get("code"), place)
    subcode, pattern = _subcode(row.get("subcode"), place)
    key = Key(
        events=_events(row.get("events", ()), place),
        scope=_enum(Scope)(row["scope"], {}, f"{place}: scope") if "scope" in row else None,
        code=code,
        codes=codes,
        subcode=subcode,
        pattern=pattern,
        sip=_integer(row.get("sip"), f"{place}: sip"),
        phrase=row.get("phrase"),
        q850=_integer(row.get("q850"), f"{place}: q850"),
        special=row.get("special"),
    )
    if key.special is not None and key.special not in SPECIAL:
        raise CatalogError(f"{place}: special {key.special!r} is not one of {', '.join(SPECIAL)}")
    kinds = [
        key.code is not None or key.codes is not None or key.subcode is not None or key.pattern is not None,
        key.sip is not None,
        key.q850 is not None,
        key.special is not None,
    ]
    if sum(kinds) != 1:
        raise CatalogError(
            f"{place}: the key must be one of code and/or subcode, sip, q850 or special; found {key or 'none'}"
        )
    if key.events and key.kind not in ("pair", "code"):
        raise CatalogError(f"{place} ({key}): events go only with code, or code and subcode")
    return key


def did_you_mean(value: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(value), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def _integer(value: object, where: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise CatalogError(f"{where}: {value!r} is not a whole number")


def _code(value: object, place: str) -> tuple[int | None, Codes | None]:
    """A code as a number, or a range as ``"400-499"``. 0 reads as 200."""
    if isinstance(value, str):
        codes = _range(value, {}, f"{place}: code")
        return None, codes
    code = _integer(value, f"{place}: code")
    return 200 if code == 0 else code, None


def _subcode(value: object, place: str) -> tuple[int | None, str | None]:
    """A subcode as a number, or a family as ``"549xxx"``."""
    if not isinstance(value, str):
        return _integer(value, f"{place}: subcode"), None
    if _PATTERN.fullmatch(value) and "x" in value:
        return None, value
    raise CatalogError(f"{place}: subcode {value!r} is neither a number nor a pattern such as '549xxx'")


def _events(value: object, place: str) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if isinstance(names, list | tuple) and all(isinstance(name, str) and name for name in names):
        return tuple(name.removeprefix("Microsoft.Communication.") for name in names)
    raise CatalogError(f"{place}: events {value!r} is not a list of event names")


def _range(value: object, _: object, where: str) -> Codes:
    found = _CODES.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise CatalogError(f"{where}: {value!r} is not a code or a range such as '400-499'")
    low, high = int(found[1]), int(found[2] or found[1])
    if low > high:
        raise CatalogError(f"{where}: {value!r} runs backwards; write '{high}-{low}'")
    return Codes(low, high)


def _enum(kind: type[E_]) -> Any:
    def convert(value: object, _: object, where: str) -> E_:
        try:
            return kind(value)
        except ValueError:
            raise CatalogError(f"{where} {value!r}{did_you_mean(value, [each.value for each in kind])}") from None

    return convert


def _text(value: object, _: object, where: str) -> str:
    if isinstance(value, str):
        return value
    raise CatalogError(f"{where}: {value!r} is not text")


def _texts(value: object, _: object, where: str) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise CatalogError(f"{where}: {value!r} is not a list of texts")


def _flag(value: object, _: object, where: str) -> bool:
    if isinstance(value, bool):
        return value
    raise CatalogError(f"{where}: {value!r} is neither true nor false")


def _sources(value: object, sources: Mapping[str, Source], where: str) -> tuple[Source, ...]:
    names = _texts(value, sources, where)
    for name in names:
        if name not in sources:
            raise CatalogError(f"{where} {name!r} is not in sources.toml{did_you_mean(name, sources)}")
    return tuple(sources[name] for name in names)


def _ranges(value: object, _: object, where: str) -> tuple[Codes, ...]:
    return tuple(_range(each, _, where) for each in _texts(value, _, where))


# How each field of a block is read. The order is the reading order of a block.
_CONVERT: dict[str, Any] = {
    "cause": _enum(Cause),
    "category": _enum(ResultCategory),
    "basis": _enum(CategoryBasis),
    "retry": _enum(RetryClass),
    "owner": _enum(Owner),
    "confidence": _enum(Confidence),
    "summary": _text,
    "advice": _texts,
    "sources": _sources,
    "note": _text,
    "mixture": _flag,
    "specific": _flag,
    "with_codes": _ranges,
}
