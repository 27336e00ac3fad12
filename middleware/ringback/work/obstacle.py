"""What stands in the way of another call to a contact. Pure."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ringback.core.times import SLACK
from ringback.work.contact_call import LASTS, UNSEEN, CallRecord, CallState, Report, Word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.work.contact import Contact
    from ringback.work.redial_policy import RedialPolicy


def obstacle(
    contact: Contact, policy: RedialPolicy, ended: Report, *, now: float, redial: str | None = None
) -> str | None:
    """What stands in the way of another call to the contact, in words; ``None`` if nothing does.

    ``ended`` is the report of the call that asks for another one. What another call has said after the end of that call
    always stands in the way. What another call has said before stands in the way for the rest that the policy gives.
    ``redial`` is the key of the redial that is about to be placed.
    """
    call = contact.call(ended.leg or ended.name)
    if call is None:
        # The call was forgotten, so nobody can say that anything came before its end.
        began = since = 0.0
    else:
        began, since = call.at, call.at if call.ended_at is None else call.ended_at
        if ended.sent_at is not None and ended.sent_at < since - SLACK:
            # The event came late, and what became known meanwhile came after the end.
            since = ended.sent_at
        if call.word not in (None, Word.ASKS):
            return _WORDS[call.word]
    if contact.never:
        return "the contact must never be called (never_call)"
    if contact.canceled_at is not None and contact.canceled_at >= min(began, since - UNSEEN):
        return "the app has canceled the redials of the contact"
    others = [other for other in contact.calls if other is not call and other.key != redial]
    answer, refusal = policy.rests
    rests = {Word.STOPPED: 0.0, Word.REACHED: answer, Word.BLOCKED: refusal, Word.REFUSED: refusal}
    for word, at in chain.from_iterable(other.says() for other in others):
        if at >= since - rests[word]:
            return _WORDS[word]
    if any(_in_progress(other, now) for other in others):
        return "another call to the contact is in progress"
    return None


def _in_progress(call: CallRecord, now: float) -> bool:
    longest = _LONGEST.get(call.state)
    return longest is not None and call.at > now - longest


_LONGEST: Mapping[CallState, float] = {**LASTS, CallState.PLACING: UNSEEN}
"""Seconds for which a call in this state counts as in progress."""

_WORDS: Mapping[Word, str] = {
    Word.REACHED: "the contact was reached by another call",
    Word.REFUSED: "a call to the contact was refused",
    Word.BLOCKED: "a network blocks calls to the contact",
    Word.STOPPED: "another call to the contact has ended for good",
}
