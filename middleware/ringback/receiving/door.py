"""The settings of one door: their defaults, and the values that a door refuses at start. Pure.

A door is one way in: the middleware on its paths, one decorated endpoint, or one handler. Behind all doors of a router
stands the engine (:mod:`ringback.receiving.engine`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringback.core.events import MAX_BODY, MAX_EVENTS
from ringback.receiving.gate import MAX_HEADERS, UNSET, Unset
from ringback.settings import DOOR, refuse_misplaced, refuse_negative, refuse_nothing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ringback.senders.auth import Check

BODY_TIMEOUT = 10.0
"""Seconds that a sender may take for the body. Event Grid waits 30 seconds for an answer.

Source: https://learn.microsoft.com/azure/event-grid/delivery-and-retry
"""


@dataclass(frozen=True, slots=True)
class Door:
    """The settings of one door, checked. The names are those of :class:`ringback.settings.DoorSettings`."""

    auth: Check | Collection[Check] | Unset | None = UNSET
    max_body: int = MAX_BODY
    max_events: int = MAX_EVENTS
    max_depth: int | None = None
    max_headers: int = MAX_HEADERS
    body_timeout: float = BODY_TIMEOUT

    def __post_init__(self) -> None:
        for name in ("max_body", "max_events", "max_headers"):
            refuse_nothing(name, getattr(self, name))
        if self.max_depth is not None:
            refuse_nothing("max_depth", self.max_depth)
        refuse_negative("body_timeout", self.body_timeout)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Door:
        """A door with these settings by name.

        Raises :class:`ConfigurationError` for a name that no door has, and for a value that cannot work.
        """
        refuse_misplaced(given, DOOR)
        return cls(**given)
