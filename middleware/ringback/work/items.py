"""What a store keeps: items, how far the work on them has come, what becomes of them. Times are since the epoch, UTC.

An item is claim, payload and job in one row. A put takes the item's key, and the key stays taken after the item is
done. The dispatcher decides what becomes of an item; a store only carries that decision out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Never

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.outcome import Outcome  # noqa: TC001 - msgspec reads the annotations
from ringback.exceptions import StoreError
from ringback.privacy.redaction import Shown
from ringback.work.contact_call import LONGEST_WINDOW, CallState
from ringback.work.keys import short

if TYPE_CHECKING:
    from ringback.work.contact import Contact

NOBODY = ""
"""The target of an outcome for which no redial function knows a contact."""
REMEMBER_CALLS = LONGEST_WINDOW
"""Seconds for which a store remembers dead letters and calls to contacts: as long as the longest window of a policy."""


class _Stored(StrEnum):
    """What a store keeps as a word in a column."""

    @classmethod
    def _missing_(cls, value: object) -> Never:
        raise StoreError(
            f"an item in the store has the {cls.__name__.lower()} {value!r}, which is none of {', '.join(cls)}; it is "
            "damaged, or of a newer release: upgrade this process, or delete the row"
        )


class Kind(_Stored):
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


class State(_Stored):
    """The state of an item. Only ``ready`` and ``running`` items are work; the others keep a key taken."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELED = "canceled"


# gc=False: items, claims and settlements are in no reference cycle, and there are as many as calls that wait, so
# the garbage collector would visit them in vain.
class Item(Shown, frozen=True, gc=False):
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


class Progress(Shown, frozen=True, gc=False, omit_defaults=True):
    """What the attempts at an item have done so far, by the names of the hooks. The next attempt goes on from here.

    Hooks in ``done`` have returned. Hooks in ``failed`` were given up, and their reasons are the values. ``tries``
    counts the failed attempts of the other hooks, and ``wait`` says when a hook may be called again. ``trying`` is the
    hook that was running at the last checkpoint. ``alone`` says that the worker was trying no other item of a dead
    worker then: if the worker has died, this item is to blame. ``replayed`` says that a person made the dead letter
    ready again. ``overran`` names the functions that an attempt left running: they had overrun their time-out.

    For a redial, ``first_sent`` is the time of its first request, and ``generation`` counts the answers that said for
    certain that no call was placed.

    ``before`` is the dead letter as it was before a person changed it. It stays while the person may take the change
    back, until a worker begins with the item. In a dead letter it names the change that was taken back.
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
    overran: tuple[str, ...] = ()

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
        sent, generation, overran = self.first_sent, self.generation, self.overran
        return Progress(
            done=self.done, first_sent=sent, generation=generation, replayed=True, before=before, overran=overran
        )

    def without_change(self) -> Progress:
        """The progress without what a person did to the item: as a worker gets it, and whoever reads a dead letter."""
        return self if self.before is None else replace(self, before=None)


class Before(Shown, frozen=True, gc=False, omit_defaults=True):
    """A dead letter as it was before the change of this name, see :class:`~ringback.work.letters.LetterChange`."""

    change: str
    attempts: int
    reason: str
    died_at: float
    progress: Progress


class Claim(Shown, frozen=True, gc=False):
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


class Settlement(Shown, frozen=True, gc=False):
    """What became of a claim: done, dead with a reason, or ready again at ``due_at``.

    ``call`` is what has become of the call of a redial, and ``leg`` the call connection id, if the redial function
    returned the id. ``late`` has an awaitable for each function that took too long and still runs. The function holds
    its place among the items of the worker until it ends. Then the awaitable gives what to settle, which counts unless
    somebody else has worked on the item since.
    """

    state: State
    progress: Progress = Progress()
    due_at: float = 0.0
    reason: str | None = None
    call: CallState | None = None
    leg: str | None = None
    late: tuple[Awaitable[tuple[Claim, Settlement] | None], ...] = ()

    def after(self, decided: float, now: float) -> Settlement:
        """The settlement that was made when the wall clock showed ``decided``, as it is written ``now``.

        A store may be away for long in between. If the clock was set back meanwhile, the item waits no longer for that.
        """
        is_late = self.state is State.READY and now < decided
        return replace(self, due_at=self.due_at + now - decided) if is_late else self

    def noted_in(self, known: Contact, key: str, now: float) -> Contact:
        """What is known of the contact once the claim on the redial of this key is settled so."""
        assert self.call is not None
        at = self.due_at if self.state is State.READY else now
        return known.redial(key, self.call, at, leg=short(self.leg))


Work = Callable[[Claim], Awaitable[Settlement]]
"""Works on one claim. Raises only :class:`asyncio.CancelledError`, when its task is cancelled."""


class DeadLetter(Shown, frozen=True):
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
