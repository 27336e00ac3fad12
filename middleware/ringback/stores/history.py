"""What a store can tell a person: which calls ended how, what waits, what comes. Values and a Protocol, no I/O.

A call is one row: an end that was merged with its sibling event counts once, a redelivered one not again, and
Event Grid's CallEnded not beside a leg's own end. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from ringback.outcome import Outcome  # noqa: TC001 - msgspec reads the annotations
from ringback.stores.port import Kind, State  # noqa: TC001 - likewise
from ringback_catalog import Cause, Match, ResultCategory, RetryClass  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from collections.abc import Sequence


class Count(Struct, frozen=True):
    """How many calls that ended in the ``step`` seconds from ``at`` on had this cause, category and retry class."""

    at: float
    cause: Cause
    category: ResultCategory
    retry: RetryClass
    count: int


class Pair(Struct, frozen=True):
    """How many calls ended with this event, code and subcode, how the entry was found, and when last."""

    event: str
    code: int | None
    subcode: int | None
    match: Match
    cause: Cause
    count: int
    last_at: float


class Ended(Struct, frozen=True):
    """One call that ended: when that was put, what became of its item, and how often it was told again.

    ``outcome`` is ``None`` where it is forgotten, or cannot be read; its cause and retry class stay.
    """

    key: str
    at: float
    state: State
    event: str
    code: int | None
    subcode: int | None
    match: Match
    cause: Cause
    category: ResultCategory
    retry: RetryClass
    duplicates: int
    outcome: Outcome | None


class Waiting(Struct, frozen=True):
    """One item that is ready or running. ``contact`` is as it is stored, and private unless it was hashed."""

    key: str
    kind: Kind
    state: State
    due_at: float
    attempts: int
    outcome: Outcome | None
    contact: str | None = None
    target: str | None = None
    number: int = 1


class History(Protocol):
    """Reads a store, for a page or a report. Slower than what hooks need, and never in their way.

    Every method raises as those of :class:`~ringback.stores.port.DeliveryStore` do.
    """

    async def counts(self, since: float, until: float, step: float) -> Sequence[Count]:
        """Calls by time, cause, category and retry class, oldest first. ``at`` is ``since`` and whole steps."""
        ...

    async def pairs(self, since: float, limit: int, match: Match | None = None) -> Sequence[Pair]:
        """The most frequent pairs since then, the most frequent first; with ``match``, of these alone."""
        ...

    async def latest(self, limit: int) -> Sequence[Ended]:
        """The calls that ended last, newest first."""
        ...

    async def waiting(self, kind: Kind, limit: int) -> Sequence[Waiting]:
        """What is ready or running, what is due first first."""
        ...
