"""What a person does with the work that waits in a store, whoever asks: a command, the console, or code of the app."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ringback import logs
from ringback.hooks.planning import names_of, say_of
from ringback.privacy.redaction import redact
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import LONGEST_CALL
from ringback.work.items import Kind, State
from ringback.work.keys import short
from ringback.work.letters import Act
from ringback.work.programme import Tally
from ringback.work.selection import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from datetime import tzinfo

    from ringback.hooks.registration import RedialRegistration
    from ringback.logs import ByPerson
    from ringback.work.contact_call import CallRecord
    from ringback.work.delivery_store import DeliveryStore
    from ringback.work.history import Waiting
    from ringback.work.items import DeadLetter
    from ringback.work.letters import LetterChange
    from ringback.work.programme import Programme
    from ringback.work.selection import Selection

T = TypeVar("T")

_ALL = 2**31 - 1
AT_ONCE = 500
"""Dead letters that one transaction changes: other work of the store waits for no more."""
_PAGE = 500
"""Contacts that are read and counted at once: the loop does its other work between two pages."""


def _ignore(_: object) -> None:
    """Stands for ``told`` where a caller needs no keys."""


class InProgress(NamedTuple):
    """A redial that holds a place in the lane, and until when it does if no event says more (seconds, UTC)."""

    call: CallRecord
    contact: str
    """The contact's key as the store has it."""
    until: float


@dataclass(frozen=True, slots=True)
class Operator:
    """Looks at the redials and the dead letters of a store and changes them; each change is logged with who made it.

    ``by`` names the person. ``redials`` are those of a router that hashes its contacts: ``router.redials``. ``clock``
    gives seconds since the epoch. Every method raises as those of the store do.
    """

    store: DeliveryStore
    by: str | None = None
    redials: Iterable[RedialRegistration] = ()
    clock: Callable[[], float] = time.time

    def names(self, contact: str) -> frozenset[str]:
        """The names under which a store may have the app's contact."""
        return names_of(self.redials, contact)

    # Redials

    async def waiting(self, chosen: Selection = EVERYTHING, limit: int = _ALL) -> Sequence[Waiting]:
        """The first ``limit`` of the chosen redials that wait or whose function is running, as they are due."""
        history = self.store.history
        if chosen == EVERYTHING:
            return await history.waiting(Kind.REDIAL, limit)
        return [redial for redial in await history.waiting(Kind.REDIAL, _ALL) if chosen.has_redial(redial)][:limit]

    async def redial(self, key: str) -> Waiting | None:
        """The redial of this key, in whatever state; also of the redacted key, if one alone waits under that."""
        found = await self.store.history.item(short(key))
        if found is None:
            found = _alone([redial for redial in await self.waiting() if redact(redial.key) == key])
        return found if found is not None and found.kind is Kind.REDIAL else None

    async def in_progress(self) -> Sequence[InProgress]:
        """The redials that hold a place in the lane: placed, perhaps placed, or connected, and not known to have ended.

        The first to give its place back comes first. Redials whose functions are running are among :meth:`waiting`.
        """
        now = self.clock()
        found = [
            InProgress(call, name, until)
            async for name, contact in _contacts(self.store, now - LONGEST_CALL)
            for call, until in contact.lasting
            if until > now
        ]
        return sorted(found, key=lambda each: each.until)

    async def ended(self, key: str) -> bool:
        """Gives the place in the lane back that the redial of this key holds: its call has ended, and no event came.

        Also of the redacted key, if one alone has that. Whether the redial was in progress. If the end is reported
        later, it counts as any other.
        """
        running = await self.in_progress()
        exact = [each for each in running if each.call.key == key]
        found = _alone(exact or [each for each in running if redact(each.call.key) == key])
        if found is None:
            return False
        key, now = found.call.key, self.clock()

        def step(known: Contact) -> Step[bool]:
            after = known.ended(key, now)
            return Step(known, False) if after is None else Step(after, True)

        changed = await self.store.change(found.contact, step)
        if changed:
            logs.done_by(self.by, "redial.ended", key=key)
        return bool(changed)

    async def known(self, name: str) -> Contact:
        """What the store knows of the contact that the store has under this name."""
        return await self.store.change(name, lambda known: Step(known, known)) or Contact()

    async def run_now(self, key: str) -> str | None:
        """Makes a redial that waits due now. ``None`` once that is done, or why it is not.

        Hours, caps, ``may_call`` and the pace still decide when the call is placed, and redials that were due before
        come first.
        """
        redial = await self.redial(key)
        if redial is None or redial.contact is None:
            return "no redial has that key"
        if redial.state is not State.READY:
            return _NOT_WAITING[redial.state]
        key, now = redial.key, self.clock()

        def hastened(known: Contact) -> Step[bool]:
            after = known.hastened(key, now)
            return Step(known, False) if after is None else Step(after, True, hasten=(key,))

        if not await self.store.change(redial.contact, hastened):
            return "an earlier request may have placed the call; the worker repeats that request, or gives it up"
        logs.done_by(self.by, "redial.hastened", key=key)
        return None

    async def cancel(self, contact: str) -> int:
        """Cancels the redials to a contact that have not begun. Returns how many calls that prevents."""
        count = await say_of(self.redials, self.store, contact, partial(Contact.canceled, now=self.clock()))
        if count:
            logs.done_by(self.by, "redials.canceled", count=count)
        return count

    async def block(self, contact: str) -> int:
        """Forbids redials to a contact until :meth:`unblock`. Returns how many calls that prevents now."""
        count = await say_of(self.redials, self.store, contact, partial(Contact.barred, now=self.clock()))
        logs.done_by(self.by, "redial.blocked", count=count)
        return count

    async def unblock(self, contact: str) -> bool:
        """Takes :meth:`block`, or a router's ``never_call``, back. Returns whether the contact was blocked."""
        changed = await say_of(self.redials, self.store, contact, Contact.allowed) > 0
        if changed:
            logs.done_by(self.by, "redial.unblocked")
        return changed

    async def report(self, since: float = 0.0, zone: tzinfo = UTC) -> Programme:
        """What became of the calls to contacts from ``since`` on, in seconds since the epoch; hours of ``zone``."""
        return await programme_of([self.store], since, zone)

    # Dead letters

    async def dead(self, chosen: Selection = EVERYTHING, limit: int = _ALL) -> Sequence[DeadLetter]:
        """The newest ``limit`` of the chosen dead letters, newest first."""
        if chosen == EVERYTHING:
            return await self.store.dead(limit)
        return [letter for letter in await self.store.dead(_ALL) if chosen.has_letter(letter)][:limit]

    async def letter(self, key: str) -> DeadLetter | None:
        """The dead letter of this key; also of the redacted key, if one alone has that."""
        letters = await self.store.dead(_ALL)
        exact = next((letter for letter in letters if letter.key == short(key)), None)
        return exact or _alone([letter for letter in letters if redact(letter.key) == key])

    async def replay(self, key: str) -> bool:
        """Makes the dead letter of this key ready again, with all its attempts. Whether there is one."""
        return await self._changed(self.store.replay, key, "dead_letter.replayed")

    async def discard(self, key: str) -> bool:
        """Gives the dead letter of this key up for good. Whether there is one."""
        return await self._changed(self.store.discard, key, "dead_letter.discarded")

    async def change_dead(
        self, change: LetterChange, keys: Sequence[str], chosen: str, told: Callable[[Sequence[str]], None] = _ignore
    ) -> int:
        """Carries the change out on the dead letters of these keys, and returns how many it took.

        ``chosen`` says which they are, in words for the log, where one line tells of all of them, also if the store
        fails in between: 500 letters are one transaction. ``told`` gets the keys that each one took.
        """
        count = 0
        try:
            for start in range(0, len(keys), AT_ONCE):
                some = keys[start : start + AT_ONCE]
                took = set(await self.store.change_letters(some, change))
                count += len(took)
                told([key for key in some if short(key) in took])
        finally:
            if count:
                logs.done_by(self.by, _DONE[change.act], count=count, chosen=chosen, change=change.name)
        return count

    async def take_back(self, change: LetterChange) -> int:
        """Makes the letters of a change with a name dead again, as they were. Returns how many that was.

        A letter with which a worker has begun stays as it is, and a discard is final from the change's ``due_at`` on.
        """
        count = await self.store.take_back(change)
        if count:
            logs.done_by(self.by, "dead_letters.taken_back", count=count, change=change.name)
        return count

    async def _changed(self, change: Callable[[str], Awaitable[bool]], key: str, event: ByPerson) -> bool:
        changed = await change(key)
        if not changed:
            letter = await self.letter(key)
            changed = letter is not None and await change(letter.key)
        if changed:
            logs.done_by(self.by, event, key=key)
        return changed


async def programme_of(stores: Iterable[DeliveryStore], since: float, zone: tzinfo = UTC) -> Programme:
    """What became of the calls to the contacts of several stores, as :meth:`Operator.report` says."""
    tally = Tally(since, zone)
    for store in stores:
        async for _, contact in _contacts(store, since):
            tally.add(contact)
    return tally.programme()


async def _contacts(store: DeliveryStore, since: float) -> AsyncIterator[tuple[str, Contact]]:
    """Every contact of whom something was noted from ``since`` on, by the name that the store has."""
    after, page = "", _PAGE
    while page == _PAGE:
        contacts = await store.history.contacts(since, after, _PAGE)
        for each in contacts:
            yield each
        page = len(contacts)
        after = contacts[-1][0] if contacts else after


def _alone(found: Sequence[T]) -> T | None:
    return found[0] if len(found) == 1 else None


_DONE: dict[Act, ByPerson] = {Act.REPLAY: "dead_letters.replayed", Act.DISCARD: "dead_letters.discarded"}

_NOT_WAITING = {
    State.RUNNING: "its function is being called",
    State.DONE: "it was placed or given up, and waits no more",
    State.DEAD: "it is a dead letter; see ringback dead show",
    State.CANCELED: "it was canceled",
}
