"""The paths of the entries' pages, for the command that writes pages and the catalog that links to pages."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringback_catalog._model import Entry, Key

SUFFIXES = (".html", ".md", "/", "")
"""The ends of a page's address: as the command writes the pages, or as servers of pages shorten them."""

_PLAIN = re.compile(r"[!#-;=?-~]+")
"""The signs of an address: ASCII without spaces, quotes and angle brackets, which end an address in a text."""


class Site(NamedTuple):
    """A published copy of the catalog's pages: the address of its folder, and the end of a page's address."""

    base: str
    suffix: str

    def linked(self, entries: Sequence[Entry]) -> Mapping[Entry, Entry]:
        """Every entry with its copy that links to a page. All entries together, because equal paths get numbers."""
        paths = page_paths(entry.key for entry in entries)
        return {
            entry: replace(entry, page=f"{self.base}{path}{self.suffix}")
            for entry, path in zip(entries, paths, strict=True)
        }


def site(base: str, suffix: str) -> Site:
    """The site at an address. Raises :class:`CatalogError` for an address that is no link or holds a secret."""
    if suffix not in SUFFIXES:
        raise CatalogError(f"suffix {suffix!r} is none of {SUFFIXES}; write what the addresses of your pages end in")
    if not isinstance(base, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CatalogError(
            f"pages at {base!r} cannot be linked to: an address is text; see that the environment variable is set"
        )
    try:
        parts = urlsplit(base)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and _PLAIN.fullmatch(base) is not None
    except ValueError:
        parts, named = urlsplit(""), False
    # A login or a query holds secrets, and every log line has the address.
    if not named or "@" in parts.netloc or "?" in base or "#" in base:
        shown = re.sub(r"(?<=//)[^/?#]*@|[?#].*", "...", base, flags=re.DOTALL)[:100]
        raise CatalogError(
            f"pages at {shown!r} cannot be linked to: an address is http:// or https:// and a host, in ASCII, without "
            "a login, a query or a fragment; write for example https://ops.example/catalog/"
        )
    return Site(f"{base.rstrip('/')}/", suffix)


def page_paths(keys: Iterable[Key]) -> list[str]:
    """The paths of the keys' pages, in the order of the keys. docs/catalog.md promises that the key alone decides.

    Keys that differ in signs alone, such as two phrases of overrides, get numbers.
    """
    taken: Counter[str] = Counter()
    found: list[str] = []
    for key in keys:
        path = f"entries/{_slug(key)}"
        taken[path] += 1
        found.append(path if taken[path] == 1 else f"{path}_{taken[path]}")
    return found


def _slug(key: Key) -> str:
    numbers = "-".join(str(number) for number in (key.code, key.subcode) if number is not None)
    slug = {
        "pair": numbers,
        "code": f"code-{numbers}",
        "range": f"codes-{key.codes}",
        "subcode": f"subcode-{numbers}",
        "pattern": f"subcode-{key.pattern}",
        "sip": f"sip-{key.sip}-{key.phrase or ''}",
        "q850": f"q850-{key.q850}",
        "special": str(key.special),
    }[key.kind]
    words = "-".join([*key.events, key.scope or "", slug])
    # Letters that every file system and address takes; 100 leave room for a suffix.
    return re.sub("[^a-z0-9]+", "-", words.lower()).strip("-")[:100]
