"""What the catalog says of a pair that was counted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.outcome import Outcome, classify

if TYPE_CHECKING:
    from ringback.console.snapshot import Snapshot
    from ringback.stores.history import Pair
    from ringback_catalog import Catalog


class Verdicts:
    """The catalog's verdict on a pair; where its calls were stored with another, theirs, if one is at hand."""

    def __init__(self, catalog: Catalog, snapshot: Snapshot) -> None:
        self._catalog = catalog
        outcomes = (
            *(each.outcome for each in snapshot.latest),
            *(each.outcome for each in snapshot.dead),
            *(each.outcome for each in (*snapshot.hooks, *snapshot.redials)),
        )
        self._stored = {
            (each.event_name, each.code, each.subcode, each.match, each.cause): each
            for each in outcomes
            if each is not None
        }

    def of(self, pair: Pair) -> Outcome | None:
        """An outcome with the pair's verdict; ``None`` if a detail has refined it that no pair tells."""
        outcome = classify(pair.event, pair.code, pair.subcode, catalog=self._catalog)
        if outcome.cause is pair.cause and outcome.match is pair.match:
            return outcome
        stored = self._stored.get((pair.event, pair.code, pair.subcode, pair.match, pair.cause))
        return stored if stored is not None or outcome.cause is not pair.cause else outcome
