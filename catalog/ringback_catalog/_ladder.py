"""The ladder: from a result to one verdict, most specific first; what carriers add; what the event's name overrules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ringback_catalog._events import event_name, scope_of
from ringback_catalog._index import SUCCEEDED
from ringback_catalog._model import (
    INTENDED,
    CategoryBasis,
    Cause,
    Confidence,
    Entry,
    Match,
    ResultCategory,
    RetryClass,
    Scope,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ringback_catalog._index import Index


@dataclass(frozen=True, slots=True)
class Verdict:
    """The entry that answers, the rung it was found on, and what changed the first answer.

    ``refined_by`` is ``sip`` or ``q850`` where a carrier's detail said more than the code,
    ``event`` where the event's name contradicts the code and outranks it, else ``None``.
    """

    entry: Entry
    match: Match
    refined_by: str | None = None
    facts: Mapping[str, Any] = field(init=False, repr=False, compare=False)
    """The verdict's share of an outcome as JSON-ready values, made once for all outcomes it answers for."""
    rendered: dict[Any, Any] = field(init=False, repr=False, compare=False)
    """What others derive from the verdict and need often. Theirs to fill, and to keep small."""

    def __post_init__(self) -> None:
        entry = self.entry
        facts: dict[str, Any] = {
            "category": entry.category.value,
            "category_basis": entry.basis.value,
            "cause": entry.cause.value,
            "disposition": entry.disposition.value,
            "retry_class": entry.retry.value,
            "owner": entry.owner.value,
            "confidence": entry.confidence.value,
            "match": self.match.value,
            "refined_by": self.refined_by,
            "summary": entry.summary,
            "advice": list(entry.advice),
            "documentation": entry.documentation,
            "sources": [str(source) for source in entry.sources],
        }
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "rendered", {})


class Ladder:
    """The rungs over one index. Pure: the same question has the same answer."""

    def __init__(self, index: Index) -> None:
        self._index = index

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
        code, subcode = self._index.normal(code, subcode)
        found = self._climb(name, code, subcode)
        refined = self._refine(found, name, code, subcode, sip, phrase, q850)
        return self._outrank(refined, name, code)

    def _climb(self, name: str | None, code: int | None, subcode: int | None) -> Verdict:
        """Rungs 1 to 7 of the ladder: the first that knows the key answers."""
        if code is None and subcode is None:
            return Verdict(self._index.special["unreported"], Match.NONE)
        for match, entry in self._rungs(name, scope_of(name), code, subcode):
            if entry is not None:
                return Verdict(entry, match)
        return Verdict(self._index.special["unknown"], Match.NONE)

    def _rungs(
        self, name: str | None, scope: Scope, code: int | None, subcode: int | None
    ) -> Iterable[tuple[Match, Entry | None]]:
        event = name or ""
        if subcode is not None:
            if code is not None:
                yield Match.EXACT, self._index.exact.get((event, code, subcode))
                yield (
                    Match.PAIR,
                    self._index.scoped.get((scope, code, subcode)) or self._index.pairs.get((code, subcode)),
                )
            yield Match.SIP_SUBCODE, self._decoded(subcode)
            yield Match.GENERIC_SUBCODE, self._generic(code, subcode)
        if code is not None:
            yield Match.CODE, self._index.exact.get((event, code, None))
            yield Match.CODE, self._index.scoped.get((scope, code, None)) or self._index.codes.get(code)
            yield Match.RANGE, self._range(code)

    def _range(self, code: int) -> Entry | None:
        """The narrowest range with this code."""
        found = [codes for codes in self._index.ranges if code in codes]
        return self._index.ranges[min(found, key=lambda codes: codes.high - codes.low)] if found else None

    def _decoded(self, subcode: int) -> Entry | None:
        """Microsoft's own families first; then 560ZZZ (outbound) and 540ZZZ (inbound), ZZZ a SIP status."""
        if not 0 <= subcode < 10**7:
            return None
        digits = str(subcode)
        found = [pattern for pattern in self._index.patterns if re.fullmatch(pattern.replace("x", "[0-9]"), digits)]
        if found:
            return self._index.patterns[min(found, key=lambda pattern: pattern.count("x"))]
        leg, status = divmod(subcode, 1000)
        if leg not in (540, 560) or not 400 <= status < 700:
            return None
        answer = self._index.sip.get((status, None))
        if answer is None or leg == 560:
            return answer
        # Microsoft's own proxy also answers on the inbound leg: the far side is not surely to blame.
        return replace(answer, confidence=Confidence.LOW)

    def _generic(self, code: int | None, subcode: int) -> Entry | None:
        entry = self._index.subcodes.get(subcode)
        if entry is None or code is None or not entry.with_codes:
            return entry
        return entry if any(code in codes for codes in entry.with_codes) else None

    def _refine(
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
        contradicted = failed(name) and found.entry.retry is RetryClass.NONE
        if not vague or (found.entry.cause in INTENDED and not contradicted):
            return found
        if q850 is not None:
            entry = self._index.q850.get(q850)
            if entry is not None and entry.specific:
                return Verdict(entry, found.match, "q850")
        if sip is not None and sip >= 300:
            entry = self._index.sip.get((sip, phrase))
            repeated = phrase is None and subcode is not None and subcode % 1000 == sip
            if entry is not None and not repeated:
                return Verdict(entry, found.match, "sip")
        return found

    def _outrank(self, found: Verdict, name: str | None, code: int | None) -> Verdict:
        """The event's name outranks the code: what failed did not end as intended, and the reverse."""
        entry = found.entry
        if failed(name) and entry.retry is RetryClass.NONE:
            if entry.cause in _SAYS_NOTHING_OF_FAILURE:
                return Verdict(self._index.special["contradicted"], found.match, "event")
            if entry.category is ResultCategory.SUCCESS and code == 200:
                entry = replace(
                    entry,
                    category=ResultCategory.EXPECTED_ERROR,
                    basis=CategoryBasis.INFERRED,
                    confidence=Confidence.LOW,
                )
            return Verdict(replace(entry, retry=RetryClass.NEVER), found.match, "event")
        if _succeeded(name) and found.match is not Match.EXACT and entry.cause is not Cause.SUCCEEDED:
            succeeded = self._index.scoped[SUCCEEDED]
            return Verdict(replace(succeeded, confidence=Confidence.LOW), found.match, "event")
        return found


_SAYS_NOTHING_OF_FAILURE = frozenset({Cause.ENDED, Cause.SUCCEEDED, Cause.TRANSFERRED})


def failed(name: str | None) -> bool:
    return name is not None and name.endswith("Failed")


def _succeeded(name: str | None) -> bool:
    return name is not None and name.endswith("Succeeded")
