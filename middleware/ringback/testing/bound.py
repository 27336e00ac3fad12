"""The builders of events, bound to one call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ringback.settings import nearest
from ringback.testing import events, grid
from ringback.testing.builder import Builder, call_event
from ringback.testing.calls import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.testing.builder import CloudEvent


class CallEvents:
    """Every builder of ``ringback.testing`` that takes a call, as a method: ``call_events.call_disconnected(486)``.

    ``call`` is the call of all events; by default a new call.
    """

    if TYPE_CHECKING:
        # The two builders of several events; `__getattr__` finds them as it finds the others.
        failed_call: Callable[..., tuple[CloudEvent, CloudEvent]]
        rejected_call: Callable[..., tuple[CloudEvent, CloudEvent]]

    def __init__(self, call: Call | None = None) -> None:
        self.call = call or Call()

    @classmethod
    def seeded(cls, seed: int | str, **fields: str | None) -> CallEvents:
        """The builders for :meth:`Call.seeded`: the ids and times are the same in every run."""
        return cls(Call.seeded(seed, **fields))

    def leg(self) -> CallEvents:
        """The builders for another leg of the call."""
        return CallEvents(self.call.leg())

    def __getattr__(self, name: str) -> Callable[..., CloudEvent]:
        if name not in BOUND:
            hint = nearest(name, BOUND)
            raise AttributeError(f"ringback.testing has no builder {name!r} that takes a call{hint}")
        return partial(BOUND[name], call=self.call)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *BOUND})


BOUND: dict[str, Callable[..., Any]] = {
    name: builder for name, builder in vars(events).items() if isinstance(builder, Builder)
} | {
    builder.__name__: builder
    for builder in (
        call_event,
        events.failed_call,
        events.rejected_call,
        grid.call_ended,
        grid.call_participant_added,
        grid.call_participant_removed,
        grid.call_started,
        grid.grid_event,
        grid.incoming_call,
        grid.recording_file_status_updated,
    )
}
"""The builders that take a call, by name."""
