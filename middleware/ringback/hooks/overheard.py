"""What events reported of contacts while the store was away. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from ringback.work.contact_call import report_of
from ringback.work.latch import remember

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback.work.contact import Contact
    from ringback.work.contact_call import Report
    from ringback.work.items import Item


class Overheard:
    """Remembers reports that no store has, of the last ``capacity`` contacts, until the process ends.

    Whoever changes a contact in the store adds them, so that nobody is called who was reached or has refused.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        # Tuples, because a store may read them in a thread.
        self._reports: OrderedDict[str, tuple[tuple[Report, float], ...]] = OrderedDict()

    def note(self, contact: str, report: Report, at: float) -> None:
        """Remembers the report of an event that came at ``at``."""
        known = self._reports.get(contact, ())
        if all(report != each for each, _ in known):
            remember(self._reports, contact, (*known, (report, at)), self._capacity)

    def note_all(self, items: Iterable[Item], at: float) -> None:
        """Remembers what these items report of contacts. Their events came at ``at``."""
        for item in items:
            report = report_of(item.outcome)
            if item.contact is not None and report is not None:
                self.note(item.contact, report, at)

    def added(self, contact: str, known: Contact) -> Contact:
        """What the store knows of the contact, and these reports."""
        for report, at in self._reports.get(contact, ()):
            # The hooks have these ends from memory.
            known = known.noted(report, at, late=True)
        return known
