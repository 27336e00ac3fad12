"""The catalog: a set of entries, the look-up over the entries, and a cache of verdicts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ringback_catalog import _load
from ringback_catalog._index import Index
from ringback_catalog._ladder import Ladder
from ringback_catalog._overrides import Overrides, lay_over
from ringback_catalog._pages import Site, site

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback_catalog._model import Entry, Verdict

MEMO_SIZE = 4096
"""Verdicts in the cache of one catalog. Codes are few, but a sender of made-up codes must not fill memory."""


class Catalog:
    """A set of entries and the ladder over them. Immutable; :meth:`with_overrides` gives a new catalog.

    Raises :class:`CatalogError` if two entries have the same key, or if an entry is missing that the last rung needs.
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
        """The catalog that comes with the package. The first call loads it."""
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
        status: str | None = None,
    ) -> Verdict:
        """The verdict for a result. Never raises, whatever the numbers: unknown is a verdict, too.

        ``event`` is a type as received or a name; ``None`` means the end of some call. ``code`` and ``subcode`` are
        both ``None`` for an event without a result. ``status`` is the event's status details of media streaming or
        transcription, such as ``authenticationFailure``.
        """
        phrase = None
        if sip_message:
            sip, phrase = self._ladder.status_of(code, subcode, sip, sip_message)
        word = None if status is None else self._ladder.status(status)
        remembered = (event, code, subcode, sip, phrase, q850, word)
        verdict = self._memo.get(remembered)
        if verdict is None:
            verdict = self._ladder.judge(event, code, subcode, sip, phrase, q850, word)
            if len(self._memo) >= MEMO_SIZE:
                self._memo.clear()
            self._memo[remembered] = verdict
        return verdict

    def with_overrides(self, overrides: Overrides) -> Catalog:
        """A catalog with these rows changed or added; everything else answers as before.

        A row names its key and any fields to change. A row without ``events`` changes the answer for every event. A
        row with ``events`` changes the answer for these events, and outranks a row without, whichever comes first. A
        row with ``scope`` has a key of its own. A row whose key the catalog lacks adds an entry and needs ``cause``,
        ``retry`` and ``summary``. The field names of an outcome's JSON (``retry_class``, ``event_type``) work, too. A
        changed entry lists the override among its ``sources``. No carrier's detail changes a field that a row states,
        and none is heard if the row states ``retry``, unless the row says ``refine = true``. Raises
        :class:`CatalogError` that names the file, the key and the remedy.
        """
        return Catalog._over(lay_over(self._index, overrides), self._site)

    def with_pages(self, base: str, *, suffix: str = ".html") -> Catalog:
        """A catalog whose entries link in ``documentation`` to your own copy of the catalog's pages.

        ``base`` is the address of the folder that ``ringback catalog --out`` wrote: pages are at
        ``<base>entries/486-560486.html``. ``suffix`` is the end of the published addresses: ``.html``, ``.md``, ``/``
        or nothing. Call this before or after :meth:`with_overrides`, and write the pages with the same overrides.
        Raises :class:`CatalogError` for an address that cannot lead to a page.
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
