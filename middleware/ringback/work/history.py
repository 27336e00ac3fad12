"""What a person can read in a store: which calls ended how, and which items wait. Values and a Protocol, no I/O.

A call is one row: two sibling events count once, a redelivery does not count, and Event Grid's CallEnded does not
count beside the end of a leg. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from msgspec import Struct

from ringback.core.outcome import Outcome  # noqa: TC001 - msgspec reads the annotations
from ringback.privacy.redaction import Shown
from ringback.work.items import Kind, Progress, State
from ringback_catalog import Cause, Disposition, Match, Owner, ResultCategory, RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ringback.work.call_detail import Traces
    from ringback.work.contact import Contact
    from ringback.work.deliveries import Deliveries, LastDelivery


class Count(Struct, frozen=True):
    """How many calls with this cause, category and retry class ended in the ``step`` seconds that begin at ``at``."""

    at: float
    cause: Cause
    category: ResultCategory
    retry: RetryClass
    count: int


class Pair(Struct, frozen=True):
    """How many calls ended with this event, code and subcode, by which match and with which verdict, and when the last
    one ended.
    """

    event: str
    code: int | None
    subcode: int | None
    match: Match
    cause: Cause
    retry: RetryClass
    count: int
    last_at: float


class Ended(Shown, frozen=True):
    """One call that ended. ``at`` is when the store got the end; ``duplicates`` counts the redeliveries of the end.

    ``outcome`` is ``None`` if the store has forgotten or cannot read the outcome; cause and retry class stay.
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


class Waiting(Shown, frozen=True):
    """One item, which is ready or running unless somebody asks for its key.

    ``attempts`` counts the claims of the item; :func:`~ringback.work.hook_runs.tries_in` counts the calls in its
    ``progress``. ``contact`` is private unless the app has the router hash contacts.
    """

    key: str
    kind: Kind
    state: State
    due_at: float
    attempts: int
    outcome: Outcome | None
    contact: str | None = None
    target: str | None = None
    number: int = 1
    progress: Progress = Progress()


class CallFilter(Shown, frozen=True, kw_only=True):
    """The calls that ended and meet every condition that is given; all of them, if none is.

    ``event`` is a short name. ``since`` and ``until`` bound the time when the store got the end, in seconds since the
    epoch: from ``since`` on, and before ``until``. ``contacts`` are the contact's names as stores have them. ``name``
    is any id of the call, see :meth:`~ringback.work.delivery_store.DeliveryStore.call`. ``disposition`` is that of the
    verdict, whatever a redial policy makes of it. A ``code`` or ``subcode`` of ``"none"`` chooses the calls that came
    without one. ``intended``: whether the call ended as intended, which is retry class ``none``. ``recognized``: as
    :attr:`ringback.core.outcome.Outcome.recognized` says.
    """

    cause: Cause | None = None
    code: int | Literal["none"] | None = None
    subcode: int | Literal["none"] | None = None
    event: str | None = None
    disposition: Disposition | None = None
    category: ResultCategory | None = None
    owner: Owner | None = None
    since: float | None = None
    until: float | None = None
    contacts: frozenset[str] | None = None
    name: str | None = None
    intended: bool | None = None
    recognized: bool | None = None

    def columns(self) -> Iterator[tuple[str, Sequence[str | int | None]]]:
        """The columns of an item of which the values are limited, each with the values that are allowed."""
        wanted = (
            ("cause", self.cause and self.cause.value),
            ("event", self.event),
            ("category", self.category and self.category.value),
            ("acts", self.owner and self.owner.value),
        )
        yield from ((name, (value,)) for name, value in wanted if value is not None)
        for name, number in (("code", self.code), ("subcode", self.subcode)):
            if number is not None:
                yield name, (None if number == "none" else number,)
        if self.disposition is not None or self.intended is not None:
            yield "retry", [each.value for each in RetryClass if self._may_end(each)]
        if self.contacts is not None:
            yield "contact", sorted(self.contacts)

    def _may_end(self, retry: RetryClass) -> bool:
        return self.disposition in (None, retry.disposition) and self.intended in (None, retry is RetryClass.NONE)


class Found(NamedTuple):
    """One page of the calls that were asked for, the newest first, and how many there are on all pages."""

    calls: Sequence[Traces]
    total: int


class History(Protocol):
    """Reads a store for a page or a report. A read may be slow, and no hook waits for a read.

    Every method raises as the methods of :class:`~ringback.work.delivery_store.DeliveryStore` do.
    """

    async def counts(self, since: float, until: float, step: float) -> Sequence[Count]:
        """Calls by time, cause, category and retry class, oldest first. ``at`` is ``since`` plus whole steps."""
        ...

    async def pairs(
        self, since: float, limit: int, match: Match | None = None, until: float = math.inf
    ) -> Sequence[Pair]:
        """At most ``limit`` pairs from ``since`` on and before ``until``, most frequent first. ``match`` limits the
        pairs to this match.
        """
        ...

    async def latest(self, limit: int) -> Sequence[Ended]:
        """The last ``limit`` calls that ended, newest first."""
        ...

    async def waiting(self, kind: Kind, limit: int) -> Sequence[Waiting]:
        """At most ``limit`` items that are ready or running, in the order in which they are due."""
        ...

    async def item(self, key: str) -> Waiting | None:
        """The item of this key in whatever state; ``None`` if the store has none, or has forgotten it."""
        ...

    async def calls(self, chosen: CallFilter, limit: int, offset: int = 0, *, oldest_first: bool = False) -> Found:
        """At most ``limit`` of the chosen calls that ended, after the first ``offset`` of them: the newest first, or
        the oldest.

        Each leg that has ended is a call here, with what was told of the leg, and without the contact's other calls.
        """
        ...

    async def deliveries(self, since: float, until: float, step: float) -> Sequence[Deliveries]:
        """Deliveries by time, result and reason, oldest first. ``at`` is ``since`` plus whole steps.

        A store counts by the minute for a day, and by the hour for 31 days: a count belongs to the step in which its
        minute or hour begins. The counts of the last seconds are not here yet.
        """
        ...

    async def last_delivery(self) -> LastDelivery:
        """When the last delivery came, the last accepted one, and the first that the store has a count of."""
        ...

    async def contacts(self, since: float, after: str, limit: int) -> Sequence[tuple[str, Contact]]:
        """At most ``limit`` contacts of whom something was noted from ``since`` on, in the order of their names, with
        what is known of them. The names come after the name ``after``, so that a reader takes one page after the other.
        """
        ...
