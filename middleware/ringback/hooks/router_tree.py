"""A router with the routers that it includes: the registrations of all of them, in order. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ringback.exceptions import RegistrationError
from ringback.hooks.names import refuse_mixed_up
from ringback.hooks.redial_control import RedialControl
from ringback.hooks.registration import Roster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.hooks.registration import ErrorHook, Listener, RedialRegistration, Registration

T = TypeVar("T")


class RouterTree(RedialControl):
    """The part of a router that keeps what is registered here, and the routers that are included."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Registration | RouterTree] = []
        self._includers: list[RouterTree] = []
        self._changes = 0
        self._error_handlers: list[ErrorHook] = []
        self._redials: list[RedialRegistration] = []
        self._listeners: list[Listener] = []
        self._roster: Roster | None = None

    def include(self, other: RouterTree) -> None:
        """Includes all handlers of another router here, also those that are registered later."""
        if not isinstance(other, RouterTree):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(f"include() takes an OutcomeRouter, not {other!r}")
        if self in other.routers():
            raise RegistrationError("include() would make the router include itself; include it in one direction only")
        self._add(self._parts, other)
        other._includers.append(self)
        for planner in list(self._planners):
            other.attach(planner)

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
