"""The catalog's verdict on a counted pair. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.core.outcome import Outcome, classify

if TYPE_CHECKING:
    from ringback.console.snapshot import Snapshot
    from ringback.work.history import Pair
    from ringback_catalog import Catalog


class Verdicts:
    """The catalog's verdict on a pair; if the stores have another, that of a stored outcome in the snapshot."""

    def __init__(self, catalog: Catalog, snapshot: Snapshot) -> None:
        self._catalog = catalog
        self._stored = {
            (outcome.event_name, outcome.code, outcome.subcode, outcome.match, outcome.cause): outcome
            for ended in snapshot.latest
            if (outcome := ended.outcome) is not None
        }

    def of(self, pair: Pair) -> Outcome | None:
        """An outcome with the pair's verdict; ``None`` if the verdict rests on a detail that no pair has."""
        outcome = classify(pair.event, pair.code, pair.subcode, catalog=self._catalog)
        if outcome.cause is pair.cause and outcome.match is pair.match:
            return outcome
        stored = self._stored.get((pair.event, pair.code, pair.subcode, pair.match, pair.cause))
        return stored if stored is not None or outcome.cause is not pair.cause else outcome
