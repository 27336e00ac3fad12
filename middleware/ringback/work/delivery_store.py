"""What a store must do: keep an acknowledged item until its hooks have run, and give it to one worker at a time.

One suite of tests runs over every implementation. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from ringback.work.pace import UNPACED, Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.work.call_detail import Traces
    from ringback.work.contact import Change
    from ringback.work.deliveries import Counted
    from ringback.work.history import History
    from ringback.work.items import DeadLetter, Item, Progress, Stats, Work
    from ringback.work.latch import Offer
    from ringback.work.letters import LetterChange, Standing
    from ringback.work.told import Told

T = TypeVar("T")


class DeliveryStore(Protocol):
    """Keeps items through crashes. Every method but :meth:`stop` and :meth:`close` raises
    :class:`~ringback.exceptions.StoreUnavailable` for a fault that may pass, and
    :class:`~ringback.exceptions.StoreError` for a fault that stays.
    """

    on_fault: Callable[[Exception], None]
    """The store calls this with each fault that :meth:`run` survives. The dispatcher sets it."""
    on_blocked: Callable[[str | None, float], None]
    """A store whose work has leases calls this, from any thread, with the name of the task that keeps the event loop of
    :meth:`run` from going on, and for how many seconds, if that is longer than a third of a lease.
    """

    @property
    def durable(self) -> bool:
        """Whether the items survive the process."""
        ...

    @property
    def history(self) -> History:
        """What a person can read in the store. The store in memory records a history from the first access on."""
        ...

    async def open(self) -> None:
        """Connects, checks the store and migrates the schema. A second call is allowed, also after a failure."""
        ...

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        """Persists all items in one transaction, or none. Returns one :class:`Offer` for each item, in order.

        While a call's end settles, the store merges the sibling event into the end, and the more informative outcome
        wins. A leg's own end replaces Event Grid's CallEnded. What an outcome with a contact reports is noted in the
        state of the contact, also what a duplicate reports.
        """
        ...

    async def note(self, told: Sequence[Told]) -> None:
        """Keeps what events told of calls beside the ends, for the records of the calls. The ends are in the items."""
        ...

    async def count_deliveries(self, counted: Sequence[Counted]) -> None:
        """Adds these counts to those of the same minute, result and reason, in one statement, for the history."""
        ...

    async def call(self, name: str) -> Traces | None:
        """All that there is of one call, by any id of it: a call connection id, the correlation id, an operation
        context, the id of an event, a server call id, or the key of an item.

        Of several calls with one operation context, the call whose event came last. ``None`` if there is no such call.
        """
        ...

    async def hasten(self, keys: Sequence[str]) -> None:
        """Makes these items due now, those that wait for their first claim. Ignores every other key."""
        ...

    async def run(self, work: Work, concurrency: int, pace: Pace = UNPACED) -> None:
        """Claims due items and works on at most ``concurrency`` outcomes and as many redials at a time, until
        :meth:`stop`. Claims redials no faster than ``pace`` and the pauses allow, the oldest due first.

        Survives faults of the store that pass. Takes over the items of a dead worker when their lease ends.
        """
        ...

    async def stop(self, timeout: float) -> int:
        """Stops claiming, gives running work ``timeout`` seconds, then cancels the rest and gives its items back.

        Returns how many claims were cancelled. :meth:`run` then returns.
        """
        ...

    async def pause_redials(self, until: float) -> None:
        """No worker of the store claims a redial before ``until``, in seconds since the epoch."""
        ...

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        """Stores the progress of a claim. False if this worker has lost the claim."""
        ...

    async def change(self, contact: str, step: Change[T]) -> T | None:
        """Carries out what ``step`` makes of the contact's state, in one transaction, and returns the step's result.

        The transaction excludes every other change of the contact, in this process and in others. ``None`` if the
        step has a checkpoint and this worker has lost the claim.
        """
        ...

    async def stats(self) -> Stats: ...

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        """At most ``limit`` dead letters, newest first."""
        ...

    async def replay(self, key: str) -> bool:
        """Makes a dead letter ready again, with all its attempts; hooks stay done. False if there is none.

        A redial that was not placed waits again in the state of its contact.
        """
        ...

    async def discard(self, key: str) -> bool:
        """Gives a dead letter up for good; its key stays taken. False if there is none."""
        ...

    async def change_letters(self, keys: Sequence[str], change: LetterChange) -> Sequence[str]:
        """Replays or discards the dead letters of these keys in one transaction, as :meth:`replay` and :meth:`discard`.

        Returns the keys of those that there were, and whose progress the store can read.
        """
        ...

    async def take_back(self, change: LetterChange) -> int:
        """Makes the letters of a change dead again, as they were, in one transaction. Returns how many there were.

        A replayed letter with which a worker has begun stays as it is, and so does a letter that somebody changed
        since.
        """
        ...

    async def standing(self, change: LetterChange) -> Standing:
        """What there is of a change with a name, whichever process carried the change out."""
        ...

    async def purge(self) -> int:
        """Forgets payloads, then keys, that are older than the store's retention. Returns how many rows changed."""
        ...

    async def close(self) -> None: ...
