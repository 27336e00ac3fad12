"""What one event tells of its call: name, times, ids and numbers, and nothing else of its body. Pure.

A door sees more than ends of calls: that a call was connected, that an operation failed, that a call was transferred.
No hook waits for most of these events, so a store keeps them beside its items, for the record of the call.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from ringback.core.delivery import BIGGEST, Event, digest_of
from ringback.work.contact_call import CONNECTED
from ringback.work.keys import short
from ringback_catalog import CALL_EVENTS, event_name

INCOMING = "IncomingCall"
"""Event Grid's event of a call that somebody makes to the app. The call rings from then on."""

TRANSFERRED = "CallTransferAccepted"
"""The event of a call that another party has taken over."""

LEFT_OUT = 0.0
"""The time that stores leave out. msgspec leaves out the default itself, and no other zero."""

NOTED = frozenset({INCOMING, "CallStarted", CONNECTED, TRANSFERRED})
"""The events that tell how a call went on, beside the ends of calls and the failures."""

_SHORT_NAMES: dict[str, str] = dict(
    zip(
        "event at time id leg call server context code subcode sip q850 refined_by key".split(),
        "e a t i l c v x n s p q r k".split(),
        strict=True,
    )
)


class Told(Struct, frozen=True, gc=False, omit_defaults=True, rename=_SHORT_NAMES):
    """What an event told. Stores keep the fields under one letter each, and never give a letter another meaning.

    ``event`` is the short name. A door saw the event ``at`` a time of its own clock; ``time`` is the event's own time.
    Both are seconds since the epoch, UTC. Stores leave out what columns of theirs say. ``leg`` is the call connection
    id, ``call`` the correlation id, ``server`` a digest of the server call id, which may be long, and ``context`` the
    operation context. ``sip`` and ``q850`` are the codes of a carrier, and ``refined_by`` says which of them changed
    the verdict. ``key`` is the key of an operation's item, if the operation failed.
    """

    event: str = ""
    at: float = LEFT_OUT
    time: float | None = None
    id: str | None = None
    leg: str | None = None
    call: str | None = None
    server: str | None = None
    context: str | None = None
    code: int | None = None
    subcode: int | None = None
    sip: int | None = None
    q850: int | None = None
    refined_by: str | None = None
    key: str | None = None

    @property
    def happened_at(self) -> float:
        """The event's own time, or else when a door saw the event."""
        return self.at if self.time is None else self.time


@lru_cache(maxsize=1024)
def is_noted(event_type: str) -> bool:
    """Whether a record has events of this type, beside the ends of calls, which are in the items of a store."""
    name = event_name(event_type)
    return name in NOTED or (name.endswith("Failed") and name not in CALL_EVENTS)


def second_of(event: Event) -> float | None:
    """The event's own time in seconds since the epoch."""
    occurred = event.occurred_at
    return None if occurred is None else occurred.timestamp()


def told_by(event: Event, at: float, refined_by: str | None = None, key: str | None = None) -> Told:
    """What the event told a door ``at`` a time in seconds since the epoch. Texts of the service are left out, and so is
    the result of what went well.
    """
    data = event.data
    name, result = event_name(event.type), data.result_information
    result = None if name in NOTED else result
    sip, q850 = (None, None) if result is None else (result.sip, result.q850)
    return Told(
        event=short(name),
        at=round(at, 3),
        time=second_of(event),
        id=short(event.id),
        leg=short(data.call_connection_id),
        call=short(data.correlation_id),
        server=digest_of(data.server_call_id),
        context=short(data.operation_context),
        code=None if result is None else number(result.code),
        subcode=None if result is None else number(result.subcode),
        sip=None if sip is None else number(sip.code),
        q850=None if q850 is None else number(q850.code),
        refined_by=refined_by,
        key=key,
    )


def number(value: int | None) -> int | None:
    """The number, or ``None`` for one that no event can carry; ``classify`` takes any number."""
    return None if value is None or abs(value) > BIGGEST else int(value)
