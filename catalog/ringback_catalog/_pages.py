"""Where each entry's page is: one function for who writes the pages and for who links to them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ringback_catalog._errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringback_catalog._model import Entry, Key

SUFFIXES = (".html", ".md", "/", "")
"""What a page's address may end in: as the pages are written, or as servers of such pages shorten them."""


_PLAIN = re.compile(r"[!#-;=?-~]+")
"""What may stand in an address: ASCII, no space, nothing that ends it where it is printed between signs."""


class Site(NamedTuple):
    """A published copy of the catalog's pages: the address of its folder, and what each page's address ends in."""

    base: str
    suffix: str

    def linked(self, entries: Sequence[Entry]) -> Mapping[Entry, Entry]:
        """Each entry as one that links to its page; which page an entry has depends on all of them."""
        paths = page_paths(entry.key for entry in entries)
        return {
            entry: replace(entry, page=f"{self.base}{path}{self.suffix}")
            for entry, path in zip(entries, paths, strict=True)
        }


def site(base: str, suffix: str) -> Site:
    """The site at an address. Raises :class:`CatalogError` for what cannot lead to a page, or should not be logged."""
    if suffix not in SUFFIXES:
        raise CatalogError(f"suffix {suffix!r} is none of {SUFFIXES}; write what the addresses of your pages end in")
    try:
        parts = urlsplit(base)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and _PLAIN.fullmatch(base) is not None
    except ValueError:
        parts, named = urlsplit(""), False
    # What a login or a query holds back would stand in every log line.
    if not named or "@" in parts.netloc or "?" in base or "#" in base:
        shown = re.sub(r"(?<=//)[^/?#]*@|[?#].*", "...", base, flags=re.DOTALL)[:100]
        raise CatalogError(
            f"pages at {shown!r} cannot be linked to: an address is http:// or https:// and a host, in ASCII, without "
            "a login, a query or a fragment; write for example https://ops.example/catalog/"
        )
    return Site(f"{base.rstrip('/')}/", suffix)


def page_paths(keys: Iterable[Key]) -> list[str]:
    """The path of each key's page, as docs/catalog.md promises it: no entry's text, only its key, decides.

    Keys that differ in signs alone, as two phrases of somebody's overrides may, are numbered.
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
    # The letters of any file system and any address; 100 leave room for a suffix in each of them.
    return re.sub("[^a-z0-9]+", "-", words.lower()).strip("-")[:100]
