"""A verdict as stored bytes, and back; and the words of a verdict in the columns of a row. Pure.

The bytes have the verdict's whole entry, so that a hook gets what was decided when the event came, whatever catalog the
worker has. A process of a newer release may share the store: a word that only the newer release knows counts as
unknown.
"""

from __future__ import annotations

import dataclasses
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from ringback.stores._json import encoded
from ringback_catalog import (
    Catalog,
    CategoryBasis,
    Cause,
    Codes,
    Confidence,
    Entry,
    Key,
    Match,
    Owner,
    ResultCategory,
    RetryAction,
    RetryAfter,
    RetryClass,
    Source,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

E = TypeVar("E", bound="StrEnum")


class _Verdict(Struct, frozen=True, omit_defaults=True):
    """A verdict with its whole entry. A source of the packaged catalog stands as its id, any other with all its fields.

    ``retry_action`` is the entry's, ``action`` the verdict's. Earlier releases stored neither.
    """

    match: Match
    key: dict[str, Any]
    cause: Cause
    category: ResultCategory
    basis: CategoryBasis
    retry: RetryClass
    owner: Owner
    confidence: Confidence
    summary: str
    advice: tuple[str, ...]
    sources: tuple[str | Source, ...]
    note: str | None = None
    # Earlier releases stored whether there are several causes, as true or false.
    mixture: tuple[Cause, ...] | bool = ()
    specific: bool = True
    with_codes: tuple[Codes, ...] = ()
    retry_action: RetryAction | None = None
    retry_after: RetryAfter | None = None
    page: str | None = None
    stated: tuple[str, ...] = ()
    refined_by: str | None = None
    action: RetryAction | None = None
    unheard: str | None = None


class StoredVerdict(Struct, frozen=True, gc=False):
    """A verdict as JSON, a number of 63 bits from the hash of the JSON, and the verdict's columns of a history."""

    id: int
    text: bytes
    cause: str
    category: str
    retry: str
    match: str


def stored_verdict(verdict: Verdict) -> StoredVerdict:
    """The stored form of a verdict, which is made once for as long as at most :data:`_MOST` forms are kept."""
    kept = _kept.get(id(verdict))
    # The verdict stands beside its stored form: as long as the verdict lives, no other verdict has its id.
    if kept is not None and kept[0] is verdict:
        return kept[1]
    if len(_kept) >= _MOST:
        _kept.clear()
    stored = _stored(verdict)
    _kept[id(verdict)] = verdict, stored
    return stored


def _stored(verdict: Verdict) -> StoredVerdict:
    entry, packaged = verdict.entry, _packaged()
    fields = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    fields["key"] = {name: value for name, value in dataclasses.asdict(entry.key).items() if value not in (None, ())}
    fields["sources"] = tuple(source.id if packaged.get(source.id) == source else source for source in entry.sources)
    fields |= {"refined_by": verdict.refined_by, "action": verdict.retry_action, "unheard": verdict.unheard}
    text = encoded(_Verdict(match=verdict.match, **fields))
    # SQLite's integers have 63 bits and a sign: https://www.sqlite.org/datatype3.html
    number = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
    return StoredVerdict(number, text, entry.cause.value, entry.category.value, entry.retry.value, verdict.match.value)


@lru_cache(maxsize=1024)
def loaded(text: bytes) -> tuple[Verdict, bool]:
    """The verdict of a stored text, and whether the text has the verdict's retry action. Equal texts share one verdict.

    Raises :class:`msgspec.DecodeError` or :class:`~ringback_catalog.CatalogError` for any other bytes.
    """
    stored = _decoder.decode(text)
    own = ("match", "refined_by", "action", "unheard")
    fields = {name: getattr(stored, name) for name in stored.__struct_fields__ if name not in own}
    fields["key"] = msgspec.convert(stored.key, Key)
    fields["mixture"] = () if isinstance(stored.mixture, bool) else stored.mixture
    fields["sources"] = tuple(_source(source) if isinstance(source, str) else source for source in stored.sources)
    action = stored.action or RetryAction.NONE
    verdict = Verdict(Entry(**fields), stored.match, stored.refined_by, action, stored.unheard)
    return verdict, stored.action is not None


def _source(name: str) -> Source:
    # Of a source that only a newer release's catalog has, this release knows the id alone.
    return _packaged().get(name) or Source(id=name, document=name, table="", date="", url="")


@lru_cache(maxsize=1)
def _packaged() -> dict[str, Source]:
    return {source.id: source for entry in Catalog.default().entries for source in entry.sources}


_kept: dict[int, tuple[Verdict, StoredVerdict]] = {}
"""One for the process, because all stores of a process get the verdicts of the same catalogs."""

_MOST = 1024
_decoder = msgspec.json.Decoder(_Verdict)


def _known(kind: type[E], otherwise: E) -> Callable[[str], E]:
    words = {member.value: member for member in kind}
    return lambda word: words.get(word, otherwise)


known_cause = _known(Cause, Cause.UNKNOWN)
known_category = _known(ResultCategory, ResultCategory.UNKNOWN)
known_retry = _known(RetryClass, RetryClass.AFTER_FIX)
known_match = _known(Match, Match.NONE)
known_owner = _known(Owner, Owner.NOBODY)
