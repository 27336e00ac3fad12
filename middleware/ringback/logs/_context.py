"""Every line that the app writes while a request or a hook of a call runs has the ids of the call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

from ringback.privacy.redaction import open_ids, redact_if_told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ringback.core.events import Event

IDS = ("call_connection_id", "server_call_id", "correlation_id")
"""The ids that a door binds to the request's context, so that the app's own lines carry the ids, too."""

_tokens = bind_contextvars(**dict.fromkeys(IDS, ""))
reset_contextvars(**_tokens)
# The variables in which structlog keeps the ids; `bind_contextvars` would look every variable up for every request.
_LEG, _SERVER, _CALL = (_tokens[name].var for name in IDS)


# As many contexts as deliveries wait for a store. No context is part of a cycle, so the collector need not look.
class Bound(Struct, gc=False, eq=False):
    """A context in which log lines carry the ids of a call.

    ``are_open``: the ids are those of one event, and none of the ids had to be redacted.
    """

    leg: str | None
    server: str | None
    call: str | None
    are_open: bool = False
    tokens: Any = ()

    def __enter__(self) -> None:
        self.tokens = (
            self.leg is not None and _LEG.set(self.leg),
            self.server is not None and _SERVER.set(self.server),
            self.call is not None and _CALL.set(self.call),
        )

    def __exit__(self, *_: object) -> None:
        for token in self.tokens:
            if token:
                token.var.reset(token)


def bound_ids(events: Sequence[Event]) -> Bound:
    """The context that binds the call ids that all these events share, and unbinds the ids at its end."""
    if len(events) == 1:
        data = events[0].data
        leg, server, call = data.call_connection_id, data.server_call_id, data.correlation_id
        if open_ids(events[0].id, leg, call, server):
            return Bound(leg, server, call, True)
    else:
        leg, server, call = (_shared(getattr(event.data, name) for event in events) for name in IDS)
    return Bound(redact_if_told(leg), redact_if_told(server), redact_if_told(call))


def _shared(ids: Iterable[str | None]) -> str | None:
    """The id, if all events with an id have the same id. In a batch the first two events mostly differ."""
    first: str | None = None
    for value in ids:
        if first is None:
            first = value
        elif value is not None and value != first:
            return None
    return first


class ContextFilter(logging.Filter):
    """For plain logging: gives every record the call ids of the request, and ``-`` where the request has no such id.

    Add the filter to a handler, and name ``%(call_connection_id)s`` in the handler's format.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        bound = get_contextvars()
        for name in IDS:
            # An outcome's own line has the ids of its event already.
            vars(record).setdefault(name, bound.get(name, "-"))
        return True
