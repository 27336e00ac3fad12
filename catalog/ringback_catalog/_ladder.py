"""The ladder: from a result to one verdict, the most specific rung first; then carriers' details, the event's name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ringback_catalog._again import RetryAction, action_after
from ringback_catalog._events import event_name, is_failure, is_success, scope_of
from ringback_catalog._evidence import counts, deciding_detail, denies_failure, is_final_word, phrase_in, phrases
from ringback_catalog._model import Verdict
from ringback_catalog._sources import OVERRIDE
from ringback_catalog._words import STATUS, Cause, Confidence, Disposition, Match, RetryClass, Scope
from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback_catalog._index import Index
    from ringback_catalog._model import Entry


class _Found(NamedTuple):
    """What a step of the judgement passes to the next step."""

    entry: Entry
    match: Match
    refined_by: str | None = None
    unheard: str | None = None


class Ladder:
    """The rungs over one index. Pure: the same result has the same verdict."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._phrases = phrases(index.sip)
        self._sole = index.sole()
        self._statuses = {word.lower(): word for word, _ in index.special if word in STATUS}

    def status_of(
        self, code: int | None, subcode: int | None, sip: int | None, message: str
    ) -> tuple[int | None, str | None]:
        """The SIP status, and the phrase of a row of this status that ``message`` contains.

        Without a status, the code or the status within the subcode counts, if one has a row with such a phrase.
        """
        for status in (sip,) if sip else (code, _status_within(subcode)):
            known = None if status is None else self._phrases.get(status)
            phrase = None if known is None else phrase_in(message, known)
            if phrase is not None:
                return status, phrase
        return sip, None

    def status(self, details: str) -> str | None:
        """The row's spelling of the status details of media streaming or transcription; ``None`` without a row."""
        return self._statuses.get(details.strip().lower())

    def judge(
        self,
        event: str | None,
        code: int | None,
        subcode: int | None,
        sip: int | None,
        phrase: str | None,
        q850: int | None,
        status: str | None = None,
    ) -> Verdict:
        name = (event_name(event) or None) if event is not None else None
        code, subcode = self._index.normal(code, subcode)
        found = self._outrank(self._climb(name, code, subcode), name, code)
        refined = self._outrank(self._refine(found, code, subcode, sip, phrase, q850), name, code)
        if status is not None and name in _HAS_STATUS:
            # The service's word for the failure of this event says more than any code and any carrier.
            refined = _heard(found, self._index.special_of(status, name), "status")
        entry = refined.entry
        if refined.match in _UNSURE and subcode is not None and subcode not in EMPTY_SUBCODES:
            entry = replace(entry, confidence=Confidence.LOW)
        return Verdict(entry, refined.match, refined.refined_by, _action(entry, name, subcode), refined.unheard)

    def _climb(self, name: str | None, code: int | None, subcode: int | None) -> _Found:
        """The entry on the first rung that knows the key."""
        if code is None and (subcode is None or subcode == 0 or name is not None):
            return _Found(self._index.special_of("unreported", name), Match.NONE)
        for match, entry in self._rungs(name, scope_of(name), code, subcode):
            if entry is not None:
                return _Found(entry, match)
        return _Found(self._index.special_of("unknown", name), Match.NONE)

    def _rungs(
        self, name: str | None, scope: Scope, code: int | None, subcode: int | None
    ) -> Iterable[tuple[Match, Entry | None]]:
        index, event = self._index, name or ""
        if subcode is not None and code is not None:
            yield Match.EXACT, index.exact.get((event, code, subcode))
            yield Match.PAIR, index.scoped.get((scope, code, subcode)) or index.pairs.get((code, subcode))
            general = None if subcode in EMPTY_SUBCODES else self._generic(code, subcode)
            if general is None:
                yield Match.PAIR, index.borrowed.get((code, subcode))
            if subcode not in EMPTY_SUBCODES:
                decided = self._of_code(event, scope, code)
                yield Match.SIP_SUBCODE, self._suffix(decided, code, subcode)
                yield Match.GENERIC_SUBCODE, _allowed(general, decided, final=_ends_all(scope, code))
                yield Match.SUBCODE, _allowed(self._elsewhere(code, subcode), decided, final=True)
        elif subcode is not None:
            yield Match.SIP_SUBCODE, self._decoded(subcode)
            yield Match.GENERIC_SUBCODE, self._generic(None, subcode)
        if code is not None:
            yield Match.CODE, index.exact.get((event, code, None))
            yield Match.CODE, index.scoped.get((scope, code, None)) or index.codes.get(code) or self._final(code)
            yield Match.RANGE, self._range(code)

    def _of_code(self, event: str, scope: Scope, code: int) -> Entry | None:
        """The entry of the code alone."""
        index = self._index
        own = index.exact.get((event, code, None)) or index.scoped.get((scope, code, None))
        return own or index.codes.get(code) or self._final(code) or self._range(code)

    def _final(self, status: int | None) -> Entry | None:
        """The row of a SIP status that is a final word without a mixture."""
        row = None if status is None else self._index.sip.get((status, None))
        return row if row is not None and is_final_word(row) and not row.mixture else None

    def _range(self, code: int) -> Entry | None:
        """The narrowest range with this code."""
        found = [codes for codes in self._index.ranges if code in codes]
        return self._index.ranges[min(found, key=lambda codes: codes.high - codes.low)] if found else None

    def _suffix(self, decided: Entry | None, code: int, subcode: int) -> Entry | None:
        """The entry of the decoded subcode; of low confidence if the subcode does not repeat its code."""
        entry = self._decoded(subcode)
        if entry is None or subcode % 1000 == code:
            return entry
        allowed = _allowed(entry, decided, final=True)
        if allowed is None or subcode // 1000 not in _LEGS:
            return allowed
        return replace(allowed, confidence=Confidence.LOW)

    def _decoded(self, subcode: int) -> Entry | None:
        """Microsoft's own families first; then 560ZZZ (outbound) and 540ZZZ (inbound), ZZZ a SIP status."""
        if not 0 <= subcode < 10**7:
            return None
        digits = str(subcode)
        found = [pattern for pattern in self._index.patterns if re.fullmatch(pattern.replace("x", "[0-9]"), digits)]
        if found:
            return self._index.patterns[min(found, key=lambda pattern: pattern.count("x"))]
        leg, status = divmod(subcode, 1000)
        if leg not in _LEGS or not 400 <= status < 700:
            return None
        answer = self._index.sip.get((status, None))
        if answer is None or leg == 560:
            return answer
        # Microsoft's proxy answers on the inbound leg, too, so the answer may not be the far side's.
        return replace(answer, confidence=Confidence.LOW)

    def _elsewhere(self, code: int, subcode: int) -> Entry | None:
        """The entry of the subcode with the only other code that it is known with; no success for a failure."""
        own, entry = self._sole.get(subcode, (code, None))
        if entry is None or (200 <= own < 300 and not 200 <= code < 300):
            return None
        return replace(entry, confidence=Confidence.LOW)

    def _generic(self, code: int | None, subcode: int) -> Entry | None:
        entry = self._index.subcodes.get(subcode)
        if entry is None or code is None or not entry.with_codes:
            return entry
        return entry if any(code in codes for codes in entry.with_codes) else None

    def _refine(
        self,
        found: _Found,
        code: int | None,
        subcode: int | None,
        sip: int | None,
        phrase: str | None,
        q850: int | None,
    ) -> _Found:
        """The verdict after the carrier's details."""
        status = self._index.sip.get((sip, phrase)) if sip is not None and sip >= 300 else None
        cause = None if q850 is None else self._index.q850.get(q850)
        if status is None and cause is None:
            return found
        # A subcode of the phone network has six digits, the last three of which are a SIP status.
        suffix = subcode % 1000 if subcode is not None and 500_000 <= subcode < 600_000 else None
        decoded = _status_within(subcode) is not None
        # Where the subcode does not decode to a SIP status, a final word repeats nothing, whatever the last digits.
        repeated = phrase is None and suffix == sip and (decoded or status is None or not is_final_word(status))
        if status is not None and status.is_last_word:
            # A person's word on a status may differ from the row of the pair.
            repeated = False
        alone = status is None and suffix is None
        detail = deciding_detail(status, cause, repeated=repeated, alone=alone)
        if detail is None:
            return found
        entry, by = detail
        declared = found.match in (Match.EXACT, Match.PAIR) and found.entry.mixture
        final = self._final(code) or self._final(_status_within(subcode))
        stands = final is not None and found.entry.disposition is Disposition.TERMINAL and not declared
        if stands and (by == "q850" or entry.disposition is Disposition.RETRYABLE):
            # No detail relaxes a final word, and no cause that gateways fill in says more than a final word.
            return found
        decides = counts(
            entry,
            by,
            found.entry,
            found.match,
            server_error=code is not None and 500 <= code < 600,
            contradicted=found.refined_by == "event",
        )
        return _heard(found, entry, by) if decides else found

    def _outrank(self, found: _Found, name: str | None, code: int | None) -> _Found:
        """The verdict after the event's name, which outranks the code: no failed event ended as intended."""
        entry = found.entry
        if is_failure(name) and entry.retry is RetryClass.NONE:
            if denies_failure(entry, code):
                return found._replace(entry=self._index.special_of("contradicted", name), refined_by="event")
            return found._replace(entry=replace(entry, retry=RetryClass.NEVER), refined_by=found.refined_by or "event")
        if is_success(name) and found.match is not Match.EXACT and entry.cause is not Cause.SUCCEEDED:
            return found._replace(entry=replace(self._index.succeeded, confidence=Confidence.LOW), refined_by="event")
        return found


def _status_within(subcode: int | None) -> int | None:
    """The SIP status that a phone call's subcode ends in: 560ZZZ outbound, 540ZZZ inbound."""
    return subcode % 1000 if subcode is not None and subcode // 1000 in _LEGS else None


def recognized(code: int | None, subcode: int | None, match: Match | None) -> bool:
    """Whether the catalog knows the result of an event: false where it knows only the code, the range or nothing.

    There is nothing to know where the event reports no code. ``match`` is ``None`` where nobody can tell any more.
    """
    if code is None:
        return True
    if match is Match.CODE:
        return subcode is None or subcode in EMPTY_SUBCODES
    return match not in (Match.RANGE, Match.NONE)


EMPTY_SUBCODES = frozenset({0, 9001, 9002, 9998, 9999})
"""The subcodes that say nothing: the code beside such a subcode decides."""

_LEGS = frozenset({540, 560})
"""The digits before the SIP status in the subcode of a phone call: inbound, outbound."""

_HAS_STATUS = frozenset({"MediaStreamingFailed", "TranscriptionFailed"})
"""The failures that carry status details. None is the end of a call, so no word relaxes such an end."""

_UNSURE = frozenset({Match.SUBCODE, Match.CODE, Match.RANGE, Match.NONE})
"""The rungs for a subcode that the catalog does not know, or not with this code."""


def _ends_all(scope: Scope, code: int) -> bool:
    """Whether a code is final for the call: a refusal for all devices, or a success of the call's end."""
    return 600 <= code < 700 or (200 <= code < 300 and scope is Scope.CALL)


def _allowed(entry: Entry | None, decided: Entry | None, *, final: bool) -> Entry | None:
    """The entry of a subcode; ``None`` where the entry is retryable and the code's entry rules that out."""
    rules_out = (
        final
        and decided is not None
        and (decided.retry in (RetryClass.NONE, RetryClass.NEVER) or is_final_word(decided))
    )
    return None if rules_out and entry is not None and entry.disposition is Disposition.RETRYABLE else entry


def _heard(found: _Found, detail: Entry, by: str) -> _Found:
    """What the detail makes of the row that was found. A person's word is last: the detail changes no stated field.

    Who says when to call again has judged the whole result, so beside a stated retry class the detail says nothing.
    """
    row = found.entry
    if row.is_last_word:
        return found._replace(unheard=by)
    return _Found(_with(detail, row) if row.stated else detail, found.match, by)


def _with(detail: Entry, row: Entry) -> Entry:
    """The detail's entry with the fields that a person states for the row, and with that person's overrides."""
    stated = {name: getattr(row, name) for name in row.stated}
    sources = (*detail.sources, *(source for source in row.sources if source.id == OVERRIDE))
    try:
        return replace(detail, sources=sources, stated=row.stated, **stated)
    except CatalogError:
        # The detail's retry class cannot stand beside the stated cause: a call that is not retried rings nobody.
        never = {"retry": RetryClass.NEVER, "retry_action": None, "retry_after": None}
        return replace(detail, sources=sources, stated=row.stated, **(stated | never))


def _action(entry: Entry, name: str | None, subcode: int | None) -> RetryAction:
    if entry.disposition is Disposition.TERMINAL:
        return RetryAction.NONE
    after = action_after(name, subcode)
    if entry.retry_action is None or (after is RetryAction.REPEAT_OPERATION and not entry.overrides):
        # Where only an operation failed no row knows a call to make again; a person may.
        return after
    return entry.retry_action
