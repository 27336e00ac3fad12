"""The catalog: a set of entries, the look-up over them, and the answers it remembers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ringback_catalog import _load
from ringback_catalog._index import Index
from ringback_catalog._ladder import Ladder, Verdict
from ringback_catalog._overrides import Overrides, lay_over
from ringback_catalog._pages import Site, site

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback_catalog._model import Entry

MEMO_SIZE = 4096
"""How many answers one catalog remembers. Codes are few; a sender of nonsense must not fill memory."""


class Catalog:
    """A set of entries and the ladder over them. Immutable; :meth:`with_overrides` gives a new one.

    Raises :class:`CatalogError` if two entries have the same key, or if one lacks that the
    ladder's last resort needs: the look-up itself never raises.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._index = Index(entries)
        self._index.refuse_gaps()
        self._ladder = Ladder(self._index)
        self._memo: dict[tuple[object, ...], Verdict] = {}
        self._site: Site | None = None

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
        phrase = None if sip is None else self._index.phrase(sip, sip_message)
        remembered = (event, code, subcode, sip, phrase, q850)
        verdict = self._memo.get(remembered)
        if verdict is None:
            verdict = self._ladder.judge(event, code, subcode, sip, phrase, q850)
            if len(self._memo) >= MEMO_SIZE:
                self._memo.clear()
            self._memo[remembered] = verdict
        return verdict

    def with_overrides(self, overrides: Overrides) -> Catalog:
        """A catalog with these rows changed or added; everything else answers as before.

        A row names its key and any fields to change. Without ``events`` it changes the answer
        for every event; with them only for those, and over a row without, whichever comes
        first. A row by ``scope`` is a key of its own. A row whose key the catalog lacks adds an
        entry and needs ``cause``, ``retry`` and ``summary``. The names that an outcome's JSON uses
        (``retry_class``, ``event_type``) are read as well. Each changed entry lists the
        override among its ``sources``. Raises :class:`CatalogError` naming the file, the key
        and the remedy.
        """
        return Catalog._over(lay_over(self._index, overrides), self._site)

    def with_pages(self, base: str, *, suffix: str = ".html") -> Catalog:
        """A catalog whose ``documentation`` is each entry's page in your own copy of the catalog's pages.

        ``base`` is the address of the folder that ``ringback catalog --out`` wrote: pages are at
        ``<base>entries/486-560486.html``. ``suffix`` is what their addresses end in where you publish
        them: ``.html``, ``.md``, ``/`` or nothing. With overrides in any order; write the pages with the
        same ones. Raises :class:`CatalogError` for an address that cannot lead there.
        """
        return Catalog._over(self._index, site(base, suffix))

    @classmethod
    def _over(cls, index: Index, pages: Site | None) -> Catalog:
        catalog = cls.__new__(cls)
        if pages is not None:
            index = index.replaced(pages.linked(index.entries))
        catalog._index = index
        catalog._ladder = Ladder(index)
        catalog._memo = {}
        catalog._site = pages
        return catalog
