"""One row of the catalog, the rules that a row must keep, and the row as the answer for one result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringback_catalog._again import RetryAction, RetryAfter
from ringback_catalog._codes import Codes  # noqa: TC001 - who asks for the types of the fields finds it
from ringback_catalog._sources import OVERRIDE, Source, source_lines
from ringback_catalog._words import (
    INTENDED,
    SPECIAL,
    CategoryBasis,
    Cause,
    Confidence,
    Disposition,
    Match,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
)
from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Key:
    """The key of an entry, of exactly one :attr:`kind`.

    ``code`` 200 stands for 0 as well. ``events`` are event names without the ``Microsoft.Communication.`` prefix;
    empty means any event. ``pattern`` is a subcode with ``x`` for any digit. ``phrase`` limits a SIP status to
    messages that contain the phrase.
    """

    events: tuple[str, ...] = ()
    scope: Scope | None = None
    code: int | None = None
    subcode: int | None = None
    pattern: str | None = None
    codes: Codes | None = None
    sip: int | None = None
    phrase: str | None = None
    q850: int | None = None
    special: str | None = None

    @property
    def kind(self) -> str:
        """``pair``, ``pattern``, ``subcode``, ``code``, ``range``, ``sip``, ``q850`` or ``special``."""
        if self.special is not None:
            return "special"
        if self.sip is not None:
            return "sip"
        if self.q850 is not None:
            return "q850"
        if self.codes is not None:
            return "range"
        if self.pattern is not None:
            return "pattern"
        if self.code is None:
            return "subcode"
        return "code" if self.subcode is None else "pair"

    @property
    def order(self) -> tuple[object, ...]:
        """The sort key of the entries in a file."""
        low = self.codes.low if self.codes is not None else self.code
        high = self.codes.high if self.codes is not None else -1
        return (
            self.special or "",
            -1 if self.sip is None else self.sip,
            self.phrase or "",
            -1 if self.q850 is None else self.q850,
            high,
            -1 if low is None else low,
            self.pattern or "",
            -1 if self.subcode is None else self.subcode,
            self.scope or "",
            self.events,
        )

    def __str__(self) -> str:
        named = {
            "event": "/".join(self.events) or None,
            "scope": self.scope,
            "code": self.codes or self.code,
            "subcode": self.pattern or self.subcode,
            "sip": self.sip,
            "phrase": self.phrase,
            "q850": self.q850,
            "special": self.special,
        }
        return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One reviewed row: what happened, who must act, what to do. Raises :class:`CatalogError` for an impossible row.

    ``mixture`` names the causes that carriers report under one key, of which SIP and Q.850 details may name the true
    one. ``with_codes`` limits a generic subcode to the codes that it does not contradict. ``specific`` is false for a
    Q.850 cause that says nothing. ``retry_action`` overrules the event's rule of what to make again, ``retry_after``
    is the wait that a source names. ``page`` is the address of the entry's page, see :meth:`Catalog.with_pages`.
    ``stated`` has the fields, of those in ``VERDICT``, that overrides state for good: no detail changes these.
    """

    key: Key
    cause: Cause
    category: ResultCategory
    basis: CategoryBasis
    retry: RetryClass
    owner: Owner
    confidence: Confidence
    summary: str
    advice: tuple[str, ...]
    sources: tuple[Source, ...]
    note: str | None = None
    mixture: tuple[Cause, ...] = ()
    specific: bool = True
    with_codes: tuple[Codes, ...] = ()
    retry_action: RetryAction | None = None
    retry_after: RetryAfter | None = None
    page: str | None = None
    stated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for broken, rule in _IMPOSSIBLE.items():
            if broken(self):
                raise CatalogError(f"{self.key}: {rule}")

    @property
    def disposition(self) -> Disposition:
        return self.retry.disposition

    @property
    def is_last_word(self) -> bool:
        """Whether an override states for good when to call again, so that no detail is heard."""
        return "retry" in self.stated

    @property
    def overrides(self) -> tuple[str, ...]:
        """Where the overrides are that changed or added the entry, the last word last."""
        return tuple(source.table for source in self.sources if source.id == OVERRIDE)

    @property
    def documentation(self) -> str:
        """The entry's own page; without one, the public page of its first source."""
        return self.sources[0].url if self.page is None else self.page

    def to_dict(self) -> Mapping[str, object]:
        """The entry as the catalog export writes it: plain values, keys in reading order."""
        key = self.key
        return {
            "events": list(key.events),
            "scope": key.scope,
            "code": str(key.codes) if key.codes is not None else key.code,
            "subcode": key.pattern if key.pattern is not None else key.subcode,
            "sip": key.sip,
            "phrase": key.phrase,
            "q850": key.q850,
            "special": key.special,
            "cause": self.cause,
            "category": self.category,
            "category_basis": self.basis,
            "disposition": self.disposition,
            "retry_class": self.retry,
            "retry_action": self.retry_action,
            "retry_after": None if self.retry_after is None else self.retry_after.to_dict(),
            "owner": self.owner,
            "confidence": self.confidence,
            "mixture": list(self.mixture),
            "summary": self.summary,
            "advice": list(self.advice),
            "sources": list(source_lines(self.sources)),
            "documentation": self.documentation,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The entry that answers, the rung on which the look-up found the entry, and what changed the first answer.

    ``refined_by`` is ``sip`` or ``q850`` where a carrier's detail says more than the code, ``status`` where the
    service's word for the failure of media streaming or transcription does, ``event`` where the event's name
    contradicts the code and outranks it, else ``None``. ``retry_action`` is what the app is to make again: the entry's
    action, or else the event's; ``none`` if terminal. ``unheard`` is ``sip``, ``q850`` or ``status`` where that detail
    would have changed the answer, and an override has the last word; else ``None``.
    """

    entry: Entry
    match: Match
    refined_by: str | None = None
    retry_action: RetryAction = RetryAction.NONE
    unheard: str | None = None

    @property
    def retry_after(self) -> RetryAfter | None:
        """How long to wait at least, where the entry's sources say so; ``None`` for a terminal entry."""
        return self.entry.retry_after if self.entry.disposition is Disposition.RETRYABLE else None


VERDICT = (
    "cause",
    "category",
    "basis",
    "retry",
    "retry_action",
    "retry_after",
    "owner",
    "confidence",
    "summary",
    "advice",
    "note",
)
"""The fields of an entry that are a judgement. The other fields say when the entry answers, or where it comes from."""


# The tests that make a row impossible, with the remedy.
_IMPOSSIBLE: dict[Callable[[Entry], bool], str] = {
    lambda e: (
        e.retry is RetryClass.NONE and e.cause not in INTENDED
    ): "retry 'none' means ended as intended; this cause needs now, later, after_fix or never",
    lambda e: (
        e.cause is Cause.DECLINED and e.retry is not RetryClass.NEVER
    ): "a person's refusal is never retried; write retry 'never'",
    lambda e: (
        e.category is ResultCategory.UNKNOWN and e.basis is CategoryBasis.DOCUMENTED
    ): "category Unknown cannot be documented; write basis 'inferred'",
    lambda e: (
        e.category is ResultCategory.UNEXPECTED_SERVER_ERROR and e.retry is RetryClass.NONE
    ): "a server error is no intended ending; write another retry class",
    lambda e: (
        e.key.special in SPECIAL and (e.retry is RetryClass.NONE or e.category is ResultCategory.SUCCESS)
    ): "knowing nothing never means success; write another retry class and category",
    lambda e: (
        e.retry_action is RetryAction.NONE and e.disposition is Disposition.RETRYABLE
    ): "retry now or later asks for something again; write what, or leave retry_action out for the event's",
    lambda e: bool(e.with_codes) and e.key.kind != "subcode": "with_codes goes only with a subcode alone",
    lambda e: not e.specific and e.key.kind != "q850": "specific goes only with q850",
    lambda e: not e.summary.strip() or "\n" in e.summary: "summary must be one line of text",
    lambda e: not e.advice or not all(step.strip() for step in e.advice): "advice needs at least one step, none empty",
    lambda e: not e.sources: "sources must name at least one table",
}
