"""A router with the routers that it includes: what is registered with them, and who plans their redials. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from ringback.exceptions import ConfigurationError, RegistrationError
from ringback.hooks.names import refuse_mixed_up
from ringback.hooks.registration import Roster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ringback.hooks.dispatcher import Dispatcher
    from ringback.hooks.registration import ErrorHook, Listener, RedialRegistration, Registration

T = TypeVar("T")


class RouterTree:
    """The part of a router that keeps what is registered here, the routers that are included, and the dispatchers, each
    of which plans redials in one store.
    """

    def __init__(self) -> None:
        self._parts: list[Registration | RouterTree] = []
        self._includers: list[RouterTree] = []
        self._changes = 0
        self._error_handlers: list[ErrorHook] = []
        self._redials: list[RedialRegistration] = []
        self._listeners: list[Listener] = []
        self._roster: Roster | None = None
        self._dispatchers: WeakSet[Dispatcher] = WeakSet()
        self._watchers: list[Callable[[Dispatcher], object]] = []

    def include(self, other: RouterTree) -> None:
        """Includes all handlers of another router here, also those that are registered later."""
        if not isinstance(other, RouterTree):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"include() takes an OutcomeRouter, not {other!r}")
        if self in other.routers():
            raise RegistrationError("include() would make the router include itself; include it in one direction only")
        self._add(self._parts, other)
        other._includers.append(self)
        for dispatcher in list(self._dispatchers):
            other.attach(dispatcher)

    def routers(self) -> Iterator[RouterTree]:
        """This router and every included router, in order."""
        yield self
        for part in self._parts:
            if isinstance(part, RouterTree):
                yield from part.routers()

    @property
    def registrations(self) -> Iterator[Registration]:
        """Every registration in order. The registrations of an included router stand where the router was included."""
        for part in self._parts:
            if isinstance(part, RouterTree):
                yield from part.registrations
            else:
                yield part

    @property
    def roster(self) -> Roster:
        """All registrations. The roster is made anew only after a change, because every delivery reads the roster."""
        roster = self._roster
        if roster is None or roster.changes != self._changes:
            routers = list(self.routers())
            self._roster = roster = Roster.of(
                self._changes,
                self.registrations,
                (redial for router in routers for redial in router._redials),
                (handler for router in routers for handler in router._error_handlers),
                (listener for router in routers for listener in router._listeners),
            )
        return roster

    def _changed(self) -> None:
        """Counts a change here and in every router that includes this one, so that each makes its roster anew."""
        self._changes += 1
        for router in self._includers:
            router._changed()

    @property
    def redials(self) -> tuple[RedialRegistration, ...]:
        """Every redial in order. The redials of included routers come last."""
        return self.roster.redials

    def attach(self, dispatcher: Dispatcher) -> None:
        """Makes :meth:`cancel_redials` call this dispatcher, and calls the watchers with the dispatcher."""
        for router in self.routers():
            if dispatcher not in router._dispatchers:
                router._dispatchers.add(dispatcher)
                for watcher in tuple(router._watchers):
                    watcher(dispatcher)

    def watch_dispatchers(self, watcher: Callable[[Dispatcher], object]) -> None:
        """Calls ``watcher`` with every dispatcher, of now and later: the console finds its stores in this way."""
        self._watchers.append(watcher)
        for dispatcher in list(self._dispatchers):
            watcher(dispatcher)

    async def cancel_redials(self, contact: str) -> int:
        """Cancels the redials to a contact that have not begun, in every store of this router. Returns their number.

        Raises :class:`~ringback.exceptions.StoreError` for a fault of a store, and :class:`ConfigurationError` for a
        contact that is no text, or empty.
        """
        return sum([await dispatcher.cancel_redials(contact) for dispatcher in self.dispatchers()])

    async def never_call(self, contact: str) -> int:
        """Forbids redials to a contact, until :meth:`allow_call`, in every store of this router. Returns how many calls
        that prevents now.

        Calls that the app places itself are the app's affair. A store in memory forgets the word with the process.
        Raises :class:`~ringback.exceptions.StoreError` for a fault of a store, and :class:`ConfigurationError` if this
        process has no store that could keep the word, or for a contact that is no text, or empty.
        """
        return sum([await dispatcher.never_call(contact) for dispatcher in self._needed("never_call")])

    async def allow_call(self, contact: str) -> bool:
        """Takes :meth:`never_call` back, so that the next outcome may get a redial. Returns whether it was in force.

        Raises as :meth:`never_call`.
        """
        return any([await dispatcher.allow_call(contact) for dispatcher in self._needed("allow_call")])

    def dispatchers(self) -> list[Dispatcher]:
        """The dispatchers so far. A router that names a store has one from the first call of this method on."""
        return list(self._dispatchers)

    def _needed(self, name: str) -> list[Dispatcher]:
        """The dispatchers, for the method of this name. Raises :class:`ConfigurationError` if there is none."""
        found = self.dispatchers()
        if not found:
            raise ConfigurationError(
                f"{name}() found no store: nothing in this process uses the router yet; call it in the app, or run "
                "ringback redials block or unblock"
            )
        return found

    @property
    def _is_stored(self) -> bool:
        """Whether a store keeps the names of handlers beyond the process."""
        return False

    def _add(self, parts: list[T], part: T) -> None:
        """Adds a registration or a router, unless a name of a handler would not do here or in an including router."""
        parts.append(part)
        self._changed()
        try:
            self._refuse_mixed_up()
        except RegistrationError:
            parts.pop()
            self._changed()
            raise

    def _refuse_mixed_up(self) -> None:
        refuse_mixed_up(self.roster, stored=self._is_stored)
        for router in self._includers:
            router._refuse_mixed_up()
