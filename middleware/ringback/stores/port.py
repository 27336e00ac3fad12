"""What a store must do: keep what was acknowledged until its hooks have run, and give it to one worker at a time.

Values and a Protocol, no I/O. An *item* is claim, payload and job in one row: its key is taken the
moment it is put, and stays taken after it is done. The dispatcher decides what is to be done with
an item; a store only carries it out. One suite of tests runs over every implementation.
Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from ringback.latch import Offer  # noqa: TC001 - msgspec reads the annotations
from ringback.outcome import Outcome  # noqa: TC001 - likewise
from ringback.redial import LONGEST_WINDOW

if TYPE_CHECKING:
    from ringback.redial import Plan
    from ringback.stores.history import History


DAY = 86_400.0
REMEMBER_CALLS = LONGEST_WINDOW
"""Seconds for which dead letters, and calls to contacts, are remembered: no window of a policy is longer."""


class Kind(StrEnum):
    """What is to be done with an item."""

    OUTCOME = "outcome"
    """Plan a redial and call the hooks."""
    REDIAL = "redial"
    """Call the user's redial function."""


class State(StrEnum):
    """Where an item stands. Only ``ready`` and ``running`` items are work; the others remember."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELED = "canceled"


# Items, claims and what becomes of them are part of no cycle, and as many as the calls that wait: the garbage
# collector need not look at them.
class Item(Struct, frozen=True, gc=False):
    """Something to do once. ``key`` is unique for as long as the store remembers it.

    ``target`` names the redial function, ``number`` says which call to the contact this is, the
    first included; both are for redials alone.
    """

    key: str
    kind: Kind
    due_at: float
    outcome: Outcome
    contact: str | None = None
    target: str | None = None
    number: int = 1


class Progress(Struct, frozen=True, gc=False, omit_defaults=True):
    """How far an item came, for the next attempt: by the names of its hooks.

    ``done`` have returned, ``failed`` were given up with this reason, ``tries`` counts the
    attempts of the others that failed, ``wait`` says when each may be called again. ``trying``
    was being called when this was written. A redial keeps the time of its first request and how
    often it was told for certain that no call was placed.
    """

    done: tuple[str, ...] = ()
    failed: Mapping[str, str] = {}
    tries: Mapping[str, int] = {}
    wait: Mapping[str, float] = {}
    trying: str | None = None
    first_sent: float | None = None
    generation: int = 0

    def replayed(self) -> Progress:
        """Of a dead letter that is made ready again: what is done stays done, a redial stays the same call."""
        return Progress(done=self.done, first_sent=self.first_sent, generation=self.generation)


class Claim(Struct, frozen=True, gc=False):
    """An item that is ours to work on until the lease ends. ``attempt`` is counted by claiming, from 1.

    ``redelivered``: an earlier attempt began and did not end. ``crashed``: because its worker died.
    """

    item: Item
    attempt: int
    redelivered: bool = False
    crashed: bool = False
    progress: Progress = Progress()


class Settlement(Struct, frozen=True, gc=False):
    """What became of a claim: done, dead with a reason, or ready again at ``due_at``.

    ``leg`` is the call connection id of the call that a redial has placed, if it said so.
    """

    state: State
    progress: Progress = Progress()
    due_at: float = 0.0
    reason: str | None = None
    leg: str | None = None


Work = Callable[[Claim], Awaitable[Settlement]]
"""Works on one claim. Never raises, except when it is cancelled."""


class Redial(Struct, frozen=True):
    """The wish to call ``contact`` again because of ``item.outcome``, at a time yet to be decided."""

    contact: str
    item: Item
    leg: str | None


class CallRecord(Struct, frozen=True):
    """A call to a contact that was placed or is to be placed at ``at``."""

    key: str
    at: float


Decide = Callable[[Sequence[CallRecord]], "Plan"]
"""Decides on a redial from the contact's calls, those to come included. Pure: it may be asked more than once."""


class DeadLetter(Struct, frozen=True):
    """An item that was given up, for a person to look at, replay or discard.

    ``outcome`` is ``None`` if what is stored cannot be read.
    """

    key: str
    kind: Kind
    outcome: Outcome | None
    attempts: int
    reason: str
    died_at: float
    progress: Progress
    target: str | None = None


class Stats(Struct, frozen=True):
    """How much there is: items by state, redials to come, and the age of the oldest item that is due, in seconds."""

    ready: int = 0
    running: int = 0
    done: int = 0
    dead: int = 0
    canceled: int = 0
    redials: int = 0
    oldest_due: float = 0.0


class DeliveryStore(Protocol):
    """Keeps items through crashes. Every method but :meth:`stop` and :meth:`close` raises
    :class:`~ringback.exceptions.StoreUnavailable` for a fault that may pass, and
    :class:`~ringback.exceptions.StoreError` for one that will not.
    """

    on_fault: Callable[[Exception], None]
    """Told of each fault that :meth:`run` survives. Set by who runs it."""

    @property
    def durable(self) -> bool:
        """Whether what was put survives the process."""
        ...

    @property
    def history(self) -> History:
        """What the store can tell a person. In memory it begins when it is first asked for."""
        ...

    async def open(self) -> None:
        """Connect, check, bring the schema up to date. May be called again, also after a failure."""
        ...

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        """Persist all items in one transaction, or none; say of each whether its key was new.

        The end of a call whose sibling event still settles is merged into it; the more informative
        outcome wins. Event Grid's CallEnded yields to a leg's own end.
        """
        ...

    async def run(self, work: Work, concurrency: int) -> None:
        """Work on what is due, at most ``concurrency`` claims at a time, until :meth:`stop`.

        Survives faults of the store that pass. Items of workers that died are taken over when
        their lease ends.
        """
        ...

    async def stop(self, timeout: float) -> int:
        """Claim nothing more, give running work ``timeout`` seconds, then cancel it and give it back.

        Returns how many claims were cancelled. :meth:`run` then returns.
        """
        ...

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        """Write down how far a claim came. False if the claim is no longer ours."""
        ...

    async def plan(self, redial: Redial, decide: Decide) -> Plan | None:
        """Note the call that has ended, and schedule ``redial.item`` as ``decide`` says; all in one transaction.

        ``None`` if this redial was planned before, or another of the contact is still to come. Nobody
        else plans for the contact meanwhile, in this process or any other.
        """
        ...

    async def cancel(self, contact: str, leg: str | None = None) -> int:
        """Cancel the contact's redials that have not begun; with ``leg``, also note that call. How many there were."""
        ...

    async def stats(self) -> Stats: ...

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        """The dead letters, newest first."""
        ...

    async def replay(self, key: str) -> bool:
        """Make a dead letter ready again, with all its attempts; hooks that were done stay done. False if none."""
        ...

    async def discard(self, key: str) -> bool:
        """Give a dead letter up for good; its key stays taken. False if there is none."""
        ...

    async def purge(self) -> int:
        """Forget what is older than the store's retention: first the payload, then the key. How many rows changed."""
        ...

    async def close(self) -> None: ...
