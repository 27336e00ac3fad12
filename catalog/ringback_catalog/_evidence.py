"""What a carrier's detail does to a verdict: a detail may make any verdict stricter, and relax only a vague verdict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ringback_catalog._again import RetryAction
from ringback_catalog._words import INTENDED, Cause, Confidence, Disposition, Match, RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback_catalog._model import Entry

_REFUSED = frozenset({Cause.DECLINED, Cause.BLOCKED})

# How strict a verdict is: an app may call again by itself, after a person changed something, or never.
_STRICTNESS = {
    RetryClass.NOW: 0,
    RetryClass.LATER: 0,
    RetryClass.AFTER_FIX: 1,
    RetryClass.NEVER: 2,
}

_SURE = frozenset({Match.EXACT, Match.PAIR})


def phrases(keys: Iterable[tuple[int, str | None]]) -> dict[int, tuple[tuple[str, str], ...]]:
    """The phrases of the SIP rows by status, the longest first: a phrase's letters, and the phrase of the row."""
    found: dict[int, list[tuple[str, str]]] = {}
    for sip, phrase in keys:
        if phrase is not None:
            found.setdefault(sip, []).append((_letters(phrase), phrase))
    return {sip: tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair))) for sip, pairs in found.items()}


def phrase_in(text: str, known: Iterable[tuple[str, str]]) -> str | None:
    """The known phrase that the text of a SIP status contains, whatever the carrier's spaces and hyphens."""
    letters = _letters(text)
    return next((phrase for compared, phrase in known if compared in letters), None)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def deciding_detail(sip: Entry | None, q850: Entry | None, *, repeated: bool, alone: bool) -> tuple[Entry, str] | None:
    """The row of the detail that counts as the carrier's answer, with its name, ``sip`` or ``q850``; or ``None``.

    A specific Q.850 cause outranks the SIP status. No cause outranks a status that is a final word, because gateways
    fill in a cause by default. ``repeated``: the status only repeats the subcode. ``alone``: neither a status nor a
    subcode says why, so a cause counts, too, that gateways use as a catch-all.
    """
    if q850 is not None and q850.specific and (sip is None or _outranks(q850, sip)):
        return q850, "q850"
    if sip is not None:
        return None if repeated else (sip, "sip")
    if q850 is not None and alone and q850.cause is not Cause.UNKNOWN and q850.retry is not RetryClass.NONE:
        return q850, "q850"
    return None


def is_final_word(entry: Entry) -> bool:
    """Whether a status says that the person refused, a network blocked the call, or nobody has the number."""
    return entry.cause in _REFUSED or (entry.cause is Cause.INVALID_NUMBER and not entry.mixture)


def _outranks(q850: Entry, sip: Entry) -> bool:
    """Whether the cause says more than the status.

    The status says more if a person states its retry class; if it is a final word and the cause is not, or if the
    status is a plain refusal; and if the status is stricter and the cause is of low confidence.
    """
    if sip.is_last_word and not q850.is_last_word:
        return False
    if is_final_word(sip):
        return is_final_word(q850) and (sip.mixture != () or sip.cause not in _REFUSED)
    return q850.confidence is not Confidence.LOW or _strictness(sip) <= _strictness(q850)


def counts(detail: Entry, by: str, found: Entry, match: Match, *, server_error: bool, contradicted: bool) -> bool:
    """Whether the detail decides instead of the entry that the look-up found for the codes.

    ``contradicted``: the event's name says that the operation failed and the code says that it did not.
    """
    if found.cause in INTENDED and found.disposition is Disposition.TERMINAL:
        # A success, a cancel and an answer elsewhere stand, unless the row names the detail's cause in its mixture.
        return detail.cause in found.mixture
    if by == "sip" and detail.cause in _REFUSED and not detail.mixture:
        return True
    if contradicted and detail.disposition is Disposition.TERMINAL:
        return True
    if _strictness(detail) > _strictness(found):
        return True
    if is_final_word(found) and not found.mixture:
        return False
    known = match in _SURE or bool(found.mixture)
    if known and _strictness(detail) < _strictness(found) and detail.confidence is Confidence.LOW:
        # A detail of low confidence shows neither that the number exists nor that nobody refused.
        return False
    return _is_vague(found, match, server_error)


def denies_failure(entry: Entry, code: int | None) -> bool:
    """Whether the words of an entry that ended as intended deny that anything failed; those of a cancel do not."""
    succeeded = code is not None and 200 <= code < 300
    return succeeded or entry.cause not in (Cause.CANCELED, Cause.ANSWERED_ELSEWHERE)


def _strictness(entry: Entry) -> int:
    if entry.cause is Cause.ANSWERED_ELSEWHERE:
        return _STRICTNESS[RetryClass.NEVER]
    return _STRICTNESS.get(entry.retry, 0)


def _is_vague(found: Entry, match: Match, server_error: bool) -> bool:
    """Whether the codes leave open what happened to a call. A row that repeats an operation judges no call."""
    if found.retry_action is RetryAction.REPEAT_OPERATION:
        return False
    return match not in _SURE or bool(found.mixture) or server_error
