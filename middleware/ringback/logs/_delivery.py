"""What the log has of a delivery and of the call that it ends, and the ids of the call in every line of the app."""

from __future__ import annotations

import logging
from logging import ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

from ringback.core.times import iso_of
from ringback.logs import _sinks
from ringback.logs._sinks import IDS, emit, sink, write
from ringback.privacy.redaction import open_ids, redact, redact_if_told
from ringback_catalog import Cause, Owner, ResultCategory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ringback.core.events import Event
    from ringback.core.outcome import Outcome
    from ringback.receiving.intake import Received
    from ringback.work.call_detail import EndedLeg

MOST_LISTED = 20
"""Faults or ids in the line of one delivery: a hostile batch must not fill the log."""

_tokens = bind_contextvars(**dict.fromkeys(IDS, ""))
reset_contextvars(**_tokens)
# The variables in which structlog keeps the ids; `bind_contextvars` would look every variable up for every request.
_LEG, _SERVER, _CALL = (_tokens[name].var for name in IDS)


def received(received: Received, *, ids_are_open: bool = False) -> Iterator[None]:
    """Write what a delivery brought, a line at each step, so that the caller can do other work between two lines.

    There is one line for all elements that are no events, one for each outcome, and one for all elements that say the
    same as an earlier one. ``ids_are_open`` is :attr:`Bound.are_open`, which :func:`bound_ids` sets.
    """
    faults = received.delivery.faults
    if faults:
        listed = [{"index": fault.index, "reason": redact(fault.reason)} for fault in faults[:MOST_LISTED]]
        emit(WARNING, "delivery.elements_rejected", count=len(faults), faults=listed)
    if received.outcomes and (to := sink()).takes(ERROR):
        # An outcome's level is at most ERROR.
        line, repeated = _sinks.line, 0
        written: dict[str | None, Event] = {}
        for outcome in received.outcomes:
            event = outcome.event
            first = written.setdefault(event.id, event)
            if first is not event and _says_the_same(first, event):
                repeated += 1
                continue
            level = level_of(outcome)
            if to.takes(level):
                write(to, level, "call.outcome", line(outcome, ids_are_open=ids_are_open))
                yield
        if repeated:
            emit(INFO, "delivery.elements_repeated", count=repeated)


def _says_the_same(one: Event, other: Event) -> bool:
    return (one.type, one.source, one.time, one.data) == (other.type, other.source, other.time, other.data)


def level_of(outcome: Outcome) -> int:
    """``INFO`` for a success, a callee's decision or a mere end; ``ERROR`` for a server's error; else ``WARNING``."""
    entry = outcome.verdict.entry
    calm = entry.cause in _CALM or (entry.cause is Cause.UNREPORTED and entry.owner is Owner.NOBODY)
    return INFO if calm else _LEVELS.get(entry.category, WARNING)


# A tuple: to compare three members costs less than to hash one.
_CALM = (Cause.BUSY, Cause.NO_ANSWER, Cause.DECLINED)
_LEVELS = {ResultCategory.SUCCESS: INFO, ResultCategory.UNEXPECTED_SERVER_ERROR: ERROR}


def ended_fields(outcome: Outcome, leg: EndedLeg) -> dict[str, Any]:
    """The keys of ``call.ended``, redacted; a key without a value is left out.

    The line is about one leg, as hooks are, and about what is known of the call when the leg's end has settled.
    """
    outcome_id, connection, call = outcome.outcome_id, leg.call_connection_id, leg.correlation_id
    # One look at all ids. The id of an outcome that ends a leg is made of the leg's.
    if not open_ids(outcome.event.id, connection, call, None):
        outcome_id, connection, call = redact(outcome_id), redact_if_told(connection), redact_if_told(call)
    entry, result, context = outcome.verdict.entry, outcome.event.data.result_information, leg.operation_context
    fields: dict[str, Any] = {
        "outcome_id": outcome_id,
        "cause": str(entry.cause),
        "disposition": str(outcome.disposition),
        "retry_class": str(entry.retry),
        "call_connection_id": connection,
        "correlation_id": call,
        "operation_context": None if context is None else redact(context),
        "code": None if result is None else result.code,
        "subcode": None if result is None else result.subcode,
        "answered": leg.answered,
        "duration_seconds": None if leg.talk_seconds is None else round(leg.talk_seconds, 3),
        "ring_seconds": None if leg.ring_seconds is None else round(leg.ring_seconds, 3),
        "connected_at": None if leg.connected_at is None else iso_of(leg.connected_at),
        "ended_at": iso_of(leg.ended_at),
        "transferred": leg.transferred or None,
        "leg": leg.number,
        "legs": leg.legs,
        "redials": leg.redials,
    }
    return {name: value for name, value in fields.items() if value is not None}


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
