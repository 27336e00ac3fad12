"""What a store must do: keep an acknowledged item until its hooks have run, and give it to one worker at a time.

Values and a Protocol, no I/O. An item is claim, payload and job in one row. A put takes the item's key, and the
key stays taken after the item is done. The dispatcher decides what becomes of an item; a store only carries that
decision out. One suite of tests runs over every implementation. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.outcome import Outcome  # noqa: TC001 - msgspec reads the annotations
from ringback.work.contact import LONGEST_WINDOW, CallState
from ringback.work.pace import UNPACED

if TYPE_CHECKING:
    from ringback.work.call_detail import Traces
    from ringback.work.contact import Change
    from ringback.work.deliveries import Counted
    from ringback.work.history import History
    from ringback.work.latch import Offer
    from ringback.work.letters import LetterChange, Standing
    from ringback.work.pace import Pace
    from ringback.work.told import Told

T = TypeVar("T")

NOBODY = ""
"""The target of an outcome for which no redial function knows a contact."""
REMEMBER_CALLS = LONGEST_WINDOW
"""Seconds for which a store remembers dead letters and calls to contacts: as long as the longest window of a policy."""


class Kind(StrEnum):
    """What a worker does with an item."""

    OUTCOME = "outcome"
    """Plan a redial and call the hooks."""
    REDIAL = "redial"
    """Call the app's redial function."""


def whom(kept: tuple[str | None, str | None], new: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
    """Contact and target of an end that two events report. CreateCallFailed lacks what tells the contact."""
    for contact, target in (kept, new):
        if contact is not None:
            return contact, target
    return kept if kept == new else (None, None)


class State(StrEnum):
    """The state of an item. Only ``ready`` and ``running`` items are work; the others keep a key taken."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELED = "canceled"


# gc=False: items, claims and settlements are in no reference cycle, and there are as many as calls that wait, so
# the garbage collector would visit them in vain.
class Item(Struct, frozen=True, gc=False):
    """One piece of work. ``key`` is unique for as long as the store remembers the key.

    ``contact`` is the contact that the call was to reach, and ``target`` names the redial function that knows the
    contact; :data:`NOBODY` if none does, and ``None`` if none was asked. ``number``, for redials alone, counts the
    calls to the contact, the first call included.
    """

    key: str
    kind: Kind
    due_at: float
    outcome: Outcome
    contact: str | None = None
    target: str | None = None
    number: int = 1


class Progress(Struct, frozen=True, gc=False, omit_defaults=True):
    """What the attempts at an item have done so far, by the names of the hooks. The next attempt goes on from here.

    Hooks in ``done`` have returned. Hooks in ``failed`` were given up, and their reasons are the values. ``tries``
    counts the failed attempts of the other hooks, and ``wait`` says when a hook may be called again. ``trying`` is the
    hook that was running at the last checkpoint; ``alone`` says that the worker tried no other item then that a dead
    worker had left, so that the worker's death is of this item's doing. ``replayed`` says that a person made the dead
    letter ready again.

    For a redial, ``first_sent`` is the time of its first request, and ``generation`` counts the answers that said for
    certain that no call was placed.

    ``before`` is there while a person may take the last change of the item back, until a worker begins with the item.
    In a dead letter it names the change that was taken back.
    """

    done: tuple[str, ...] = ()
    failed: Mapping[str, str] = {}
    tries: Mapping[str, int] = {}
    wait: Mapping[str, float] = {}
    trying: str | None = None
    alone: bool = False
    first_sent: float | None = None
    generation: int = 0
    replayed: bool = False
    before: Before | None = None

    def late(self, hook: str) -> Progress:
        """The progress once this hook has returned, though an attempt took it for failed."""
        failed, tries, wait = (
            {name: of[name] for name in of if name != hook} for of in (self.failed, self.tries, self.wait)
        )
        return replace(self, done=(*self.done, hook), failed=failed, tries=tries, wait=wait)

    def settlement(self) -> Settlement:
        """What an item comes to with this progress, once no hook runs."""
        if self.wait:
            return Settlement(State.READY, self, due_at=min(self.wait.values()))
        if self.failed:
            reason = "; ".join(f"{hook}: {reason}" for hook, reason in self.failed.items())
            return Settlement(State.DEAD, self, reason=reason)
        return Settlement(State.DONE, self)

    def for_replay(self, before: Before | None = None) -> Progress:
        """The progress of a replayed dead letter: hooks stay done, and a redial stays the same request."""
        sent, generation = self.first_sent, self.generation
        return Progress(done=self.done, first_sent=sent, generation=generation, replayed=True, before=before)

    def without_change(self) -> Progress:
        """The progress without what a person did to the item: as a worker gets it, and whoever reads a dead letter."""
        return self if self.before is None else replace(self, before=None)


class Before(Struct, frozen=True, gc=False, omit_defaults=True):
    """A dead letter as it was before the change of this name, see :class:`~ringback.work.letters.LetterChange`."""

    change: str
    attempts: int
    reason: str
    died_at: float
    progress: Progress


class Claim(Struct, frozen=True, gc=False):
    """An item that one worker has until the lease ends. ``attempt`` counts the claims of the item, from 1.

    ``redelivered``: an earlier attempt began and did not end. ``crashed``: the worker of that attempt died. ``put_at``
    is when the item was put.
    """

    item: Item
    attempt: int
    redelivered: bool = False
    crashed: bool = False
    progress: Progress = Progress()
    put_at: float = 0.0


class Settlement(Struct, frozen=True, gc=False):
    """What became of a claim: done, dead with a reason, or ready again at ``due_at``.

    ``call`` is what has become of the call of a redial, and ``leg`` the call connection id, if the redial function
    returned the id. ``late`` has the functions that took too long and still run: each holds its place among the items
    that a worker works on until it ends, and then gives what to settle, which counts unless somebody else has worked
    on the item since.
    """

    state: State
    progress: Progress = Progress()
    due_at: float = 0.0
    reason: str | None = None
    call: CallState | None = None
    leg: str | None = None
    late: tuple[Awaitable[tuple[Claim, Settlement] | None], ...] = ()


Work = Callable[[Claim], Awaitable[Settlement]]
"""Works on one claim. Raises only :class:`asyncio.CancelledError`, when its task is cancelled."""


class DeadLetter(Struct, frozen=True):
    """An item that was given up. A person may read, replay or discard a dead letter.

    ``outcome`` is ``None`` if the store cannot read the stored outcome. ``contact`` is private unless the app has the
    router hash contacts.
    """

    key: str
    kind: Kind
    outcome: Outcome | None
    attempts: int
    reason: str
    died_at: float
    progress: Progress
    target: str | None = None
    contact: str | None = None


class Stats(Struct, frozen=True):
    """Counts of items by state, and of redials that wait and that are in progress.

    ``oldest_due``: seconds since the oldest due item was due. ``redials_paused``: seconds until the end of a pause.
    """

    ready: int = 0
    running: int = 0
    done: int = 0
    dead: int = 0
    canceled: int = 0
    redials: int = 0
    oldest_due: float = 0.0
    redials_in_progress: int = 0
    redials_paused: float = 0.0


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

        Of several calls with an operation context, that which was told of last. ``None`` if there is no such call.
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
