"""The answer of the catalog for one result."""

from __future__ import annotations

from dataclasses import dataclass

from ringback_catalog._again import RetryAction, RetryAfter
from ringback_catalog._model import Entry  # noqa: TC001 - who asks for the types of the fields finds it
from ringback_catalog._words import Disposition, Match


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
