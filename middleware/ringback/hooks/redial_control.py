"""What an app says of a contact to whoever plans the redials of a router: no more now, never again, or again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from ringback.hooks.registration import Planner


class RedialControl:
    """The part of a router that knows its planners: the dispatchers, each of which plans in one store."""

    def __init__(self) -> None:
        self._planners: WeakSet[Planner] = WeakSet()
        self._watchers: list[Callable[[Planner], object]] = []

    if TYPE_CHECKING:

        def routers(self) -> Iterable[Self]:
            """This router and every included router."""
            ...

    def attach(self, planner: Planner) -> None:
        """Makes :meth:`cancel_redials` call this planner, and calls the watchers with the planner."""
        for router in self.routers():
            if planner not in router._planners:
                router._planners.add(planner)
                for watcher in tuple(router._watchers):
                    watcher(planner)

    def watch_planners(self, watcher: Callable[[Planner], object]) -> None:
        """Calls ``watcher`` at once with every planner of this router, and later with every new one.

        The console finds its stores in this way: the planner of an app is a dispatcher.
        """
        self._watchers.append(watcher)
        for planner in list(self._planners):
            watcher(planner)

    async def cancel_redials(self, contact: str) -> int:
        """Cancels the redials to a contact that have not begun, in every store of this router. Returns their number.

        Raises :class:`~ringback.exceptions.StoreError` for a fault of a store, and :class:`ConfigurationError` for a
        contact that is no text, or empty.
        """
        return sum([await planner.cancel_redials(contact) for planner in self.planners()])

    async def never_call(self, contact: str) -> int:
        """Forbids redials to a contact, until :meth:`allow_call`, in every store of this router. Returns how many calls
        that prevents now.

        Calls that the app places itself are the app's affair. A store in memory forgets the word with the process.
        Raises :class:`~ringback.exceptions.StoreError` for a fault of a store, and :class:`ConfigurationError` if this
        process has no store that could keep the word, or for a contact that is no text, or empty.
        """
        return sum([await planner.never_call(contact) for planner in self._needed("never_call")])

    async def allow_call(self, contact: str) -> bool:
        """Takes :meth:`never_call` back, so that the next outcome may get a redial. Returns whether it was in force.

        Raises as :meth:`never_call`.
        """
        return any([await planner.allow_call(contact) for planner in self._needed("allow_call")])

    def planners(self) -> list[Planner]:
        """The planners so far. A router that names a store has one from the first call of this method on."""
        return list(self._planners)

    def _needed(self, name: str) -> list[Planner]:
        """The planners, for the method of this name. Raises :class:`ConfigurationError` if there is none."""
        found = self.planners()
        if not found:
            raise ConfigurationError(
                f"{name}() found no store: nothing in this process uses the router yet; call it in the app, or run "
                "ringback redials block or unblock"
            )
        return found
