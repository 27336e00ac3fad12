"""The log lines: their names, their keys, their levels, and where they go. With lines.py all that imports structlog.

The key table is in docs/logs.md. A line goes to the app's structlog if that is configured, else
to the standard library's logger ``ringback`` if logging has a handler, else to standard output
as JSON. Nothing here configures anything unless :func:`configure` is called.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import structlog
from msgspec import Struct
from structlog.contextvars import get_contextvars

from ringback import lines
from ringback.exceptions import ConfigurationError, error_text
from ringback.hooks import GiveUp, Retry
from ringback.lines import IDS, level_of
from ringback.redaction import open_ids, redact, redact_if_told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ringback.events import Event
    from ringback.intake import Received, Reply
    from ringback.lines import Written
    from ringback.outcome import Outcome

LOGGER = "ringback"
_MOST_FAULTS = 20
"""Faults of one delivery that are listed in its line; a hostile batch must not fill the log."""


def call_outcome(outcome: Outcome) -> None:
    """The one line that matters: ``call.outcome`` with every key of :meth:`Outcome.to_dict`."""
    level = level_of(outcome)
    if _heard(level):
        _emit(level, "call.outcome", outcome.to_dict())


def rendered(received: Received, *, ids_are_open: bool = False) -> Written | None:
    """The lines of a delivery's outcomes, for :func:`received` to write; ``None`` if structlog is to render them then.

    Made while all that they say is at hand: with a store, other deliveries come before they may be written. Their
    time is that. ``ids_are_open`` is what :func:`bound_ids` has found.
    """
    if not received.outcomes or not structlog.is_configured():
        return None
    try:
        return lines.written(received.outcomes, ids_are_open=ids_are_open)
    except Exception:
        # Whatever is odd, structlog is to say.
        return None


def received(received: Received, written: Written | None) -> None:
    """A delivery on its way to the route: its elements that are no events, and a line for each outcome."""
    faults = received.delivery.faults
    if faults:
        listed = [{"index": fault.index, "reason": redact(fault.reason)} for fault in faults[:_MOST_FAULTS]]
        _emit(logging.WARNING, "delivery.elements_rejected", {"count": len(faults), "faults": listed})
    if written is None:
        for outcome in received.outcomes:
            call_outcome(outcome)
        return
    try:
        for text in written.texts:
            written.logger.msg(text)
    except Exception:
        # How much of it arrived nobody knows: it is not written there again.
        for outcome in received.outcomes:
            level = level_of(outcome)
            if _heard(level):
                _emit_at_last(level, lines.EVENT, outcome.to_dict())


def listeners_failed(faults: Iterable[tuple[str, Exception]]) -> None:
    """Listeners that raised: a line for each, as for a hook, and nothing else happens."""
    for listener, error in faults:
        # As text, not as exc_info: what a listener raises may name a number.
        told = redact("".join(traceback.format_exception(error)))
        fields = {"listener": listener, "error": redact(error_text(error)), "exception": told}
        _emit(logging.ERROR, "listener.failed", fields)


def answered(reply: Reply) -> None:
    """A request that was answered without calling the route: a handshake, or a delivery that is none."""
    if reply.status == 200:
        _emit(logging.INFO, "handshake.answered", {"schema": reply.fact})
    elif reply.sender_refused:
        callback_rejected(reply.status, reply.fact)
    else:
        _emit(logging.WARNING, "delivery.rejected", {"status": reply.status, "reason": redact(reply.fact)})


def callback_rejected(status: int, reason: str) -> None:
    """A sender that was not let through: why, and nothing of what it sent. Not every one, if they are many."""
    suppressed = _refusals.spend()
    if suppressed is not None:
        # Ours are slugs; a check of the app's own may say anything.
        fields = {"status": status, "reason": redact(reason), "suppressed": suppressed}
        _emit(logging.WARNING, "callback.rejected", fields)


def callbacks_unverified() -> None:
    """Nothing checks the sender: said once at start-up."""
    advice = (
        "anyone who can reach the callback URL can send events; pass auth=CallbackTokenVerifier(audience=...), "
        "or auth=None to accept every sender"
    )
    _emit(logging.WARNING, "callbacks.unverified", {"advice": advice})


def dead_letter_replayed(key: str, by: str | None) -> None:
    """A person made a dead letter ready again; who, as far as the page was told."""
    _emit(logging.INFO, "dead_letter.replayed", _by_hand(key, by))


def dead_letter_discarded(key: str, by: str | None) -> None:
    """A person gave a dead letter up."""
    _emit(logging.INFO, "dead_letter.discarded", _by_hand(key, by))


def _by_hand(key: str, by: str | None) -> dict[str, Any]:
    return {"key": redact(key), "by": redact_if_told(by)}


class Budget:
    """At most ``lines`` in any ``seconds``; says how many were left out before the next that is written."""

    def __init__(self, lines: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines = lines
        self._seconds = seconds
        self._clock = clock
        self._written: deque[float] = deque(maxlen=lines)
        self._suppressed = 0

    def spend(self) -> int | None:
        """How many lines were suppressed since the last one; ``None`` if this one is to be, too."""
        now = self._clock()
        if len(self._written) == self._lines and now - self._written[0] < self._seconds:
            self._suppressed += 1
            return None
        self._written.append(now)
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed


_refusals = Budget(lines=20, seconds=10.0)
_store_faults = Budget(lines=5, seconds=10.0)


class KeyLog:
    """What became of fetches of signing keys, as log lines."""

    def keys_fetched(self, url: str, count: int) -> None:
        _emit(logging.INFO, "keys.fetched", {"url": url, "count": count})

    def keys_unreachable(self, url: str, error: Exception, cached: int) -> None:
        fields = {"url": url, "error": redact(error_text(error)), "cached": cached}
        _emit(logging.WARNING if cached else logging.ERROR, "keys.unreachable", fields)


def sender_disconnected() -> None:
    """A sender that left before its body was complete: there was nobody to answer and nothing to pass on."""
    _emit(logging.WARNING, "delivery.interrupted", {"reason": "the sender disconnected before the body was complete"})


class LogObserver:
    """What became of outcomes and hooks, as log lines."""

    def bound(self, outcome: Outcome) -> AbstractContextManager[None]:
        return bound_ids([outcome.event])

    def outcome_duplicate(self, outcome: Outcome) -> None:
        _emit(
            logging.INFO,
            "call.outcome_duplicate",
            _brief(outcome)
            | {
                "event_id": redact_if_told(outcome.event_id),
                "event_type": redact(outcome.event_type),
            },
        )

    def outcome_unhandled(self, outcome: Outcome) -> None:
        _emit(
            logging.WARNING,
            "outcome.unhandled",
            _brief(outcome)
            | {
                "advice": "a call may be tried again and no handler asked for it; add one; this line is not repeated",
                "example": "@router.on_retryable\nasync def call_again(outcome: Outcome) -> None: ...",
            },
        )

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception, attempt: int, retry_in: float | None) -> None:
        fields = _brief(outcome) | {"hook": hook, "error": redact(error_text(error)), "attempt": attempt}
        fields["retry_in_seconds"] = None if retry_in is None else round(retry_in, 3)
        if isinstance(error, Retry | GiveUp):
            # The hook's own decision, not a fault of it.
            _emit(logging.WARNING, "hook.failed", fields)
            return
        # As text, not as exc_info: what a hook raises may name the number it was to call.
        fields["exception"] = redact("".join(traceback.format_exception(error)))
        _emit(logging.ERROR, "hook.failed", fields)

    def hooks_abandoned(self, count: int, seconds: float) -> None:
        _emit(logging.ERROR, "hooks.abandoned", {"count": count, "timeout_seconds": seconds})

    def hooks_given_back(self, count: int, seconds: float) -> None:
        _emit(logging.WARNING, "hooks.given_back", {"count": count, "timeout_seconds": seconds})

    def hooks_volatile(self) -> None:
        advice = (
            "outcomes wait for their hooks in memory, and a crash loses what waits; "
            "pass store='sqlite:///ringback.db' to keep them"
        )
        _emit(logging.WARNING, "hooks.volatile", {"advice": advice})

    def lifespan_missing(self) -> None:
        advice = (
            "the server did not announce the app's start, so nothing is worked on before the first delivery, and "
            "nothing is drained at the end; switch lifespan on, await router.start(), or run 'ringback worker'"
        )
        _emit(logging.WARNING, "lifespan.missing", {"advice": advice})

    def lease_lost(self, outcome: Outcome) -> None:
        _emit(logging.WARNING, "hook.lease_lost", _brief(outcome))

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None:
        _emit(logging.INFO, "redial.scheduled", _brief(outcome) | {"attempt": number, "due_at": _iso(at)})

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None:
        _emit(logging.WARNING, "redial.exhausted", _brief(outcome) | {"limit": limit})

    def redial_canceled(self, outcome: Outcome) -> None:
        _emit(logging.INFO, "redial.canceled", _brief(outcome))

    def redial_placed(self, outcome: Outcome, number: int, leg: str | None) -> None:
        placed = redact_if_told(leg)
        _emit(logging.INFO, "redial.placed", _brief(outcome) | {"attempt": number, "placed_call_connection_id": placed})

    def redial_unknown(self, outcome: Outcome, number: int, reason: str) -> None:
        _emit(logging.WARNING, "redial.unknown", _brief(outcome) | {"attempt": number, "reason": redact(reason)})

    def store_unavailable(self, error: Exception) -> None:
        suppressed = _store_faults.spend()
        if suppressed is not None:
            fields = {"error": redact(error_text(error)), "suppressed": suppressed}
            _emit(logging.ERROR, "store.unavailable", fields)

    def store_bypassed(self, count: int) -> None:
        _emit(logging.ERROR, "store.bypassed", {"count": count})


# Part of no cycle, and as many as the deliveries that wait for a store: the garbage collector need not look.
class Bound(Struct, gc=False, eq=False):
    """A context in which log lines carry the ids of a call.

    ``are_open``: all ids are those of one event, and nothing in them had to be redacted.
    """

    # Each an id, and within the context what unbinds it.
    leg: Any
    server: Any
    call: Any
    are_open: bool = False

    def __enter__(self) -> None:
        # What `bind_contextvars` does, but that it looks up each variable by its name.
        if self.leg is not None:
            self.leg = _LEG.set(self.leg)
        if self.server is not None:
            self.server = _SERVER.set(self.server)
        if self.call is not None:
            self.call = _CALL.set(self.call)

    def __exit__(self, *_: object) -> None:
        if self.leg is not None:
            _LEG.reset(self.leg)
        if self.server is not None:
            _SERVER.reset(self.server)
        if self.call is not None:
            _CALL.reset(self.call)


def bound_ids(events: Sequence[Event]) -> Bound:
    """Bind the call ids that these events share to structlog's contextvars, and unbind them whatever happens."""
    if len(events) == 1:
        # Nearly every request comes by here.
        event = events[0]
        data = event.data
        leg, server, call = data.call_connection_id, data.server_call_id, data.correlation_id
        if open_ids(event.id, leg, call, server):
            return Bound(leg, server, call, True)
    else:
        leg, server, call = _shared(events)
    return Bound(redact_if_told(leg), redact_if_told(server), redact_if_told(call))


_LEG, _SERVER, _CALL = lines.VARIABLES


def _shared(events: Sequence[Event]) -> tuple[str | None, str | None, str | None]:
    datas = [event.data for event in events]
    return (
        _only(data.call_connection_id for data in datas),
        _only(data.server_call_id for data in datas),
        _only(data.correlation_id for data in datas),
    )


def _only(ids: Iterable[str | None]) -> str | None:
    """The id that all have who have one. Of a batch the first two mostly tell."""
    first: str | None = None
    for each in ids:
        if each is not None and each != first:
            if first is not None:
                return None
            first = each
    return first


def configure(*, level: str = "info", renderer: str = "json") -> bool:
    """Configure structlog for an app that has not: JSON lines on standard output, or ``"console"``.

    Returns whether it did: an existing structlog configuration is left alone. Raises
    :class:`ConfigurationError` for an unknown level or renderer.
    """
    threshold = _THRESHOLDS.get(str(level).lower())
    if threshold is None:
        raise ConfigurationError(f"level {level!r} is unknown; use debug, info, warning or error")
    if renderer not in _RENDERERS:
        raise ConfigurationError(f"renderer {renderer!r} is unknown; use {' or '.join(map(repr, _RENDERERS))}")
    if structlog.is_configured():
        return False
    structlog.configure(
        processors=[*_PROCESSORS, _RENDERERS[renderer]()],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=True,
    )
    return True


class ContextFilter(logging.Filter):
    """For plain logging: gives every record the call ids of the request, ``-`` where there are none.

    Add it to a handler, and name ``%(call_connection_id)s`` in the handler's format.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        bound = get_contextvars()
        for name in IDS:
            setattr(record, name, bound.get(name, "-"))
        return True


def _emit(level: int, event: str, fields: Mapping[str, Any]) -> None:
    try:
        if structlog.is_configured():
            _log(structlog.get_logger(LOGGER), level, event, fields)
            return
        # Also true for a handler of the root logger, which then gets the line.
        if (plain := logging.getLogger(LOGGER)).hasHandlers():
            plain.log(level, "%s", _Plain(event, fields), extra={"ringback": {"event": event, **fields}})
            return
    except Exception:
        # The app's own logging refused the line: neither the line nor the delivery may be lost for that.
        pass
    _emit_at_last(level, event, fields)


def _emit_at_last(level: int, event: str, fields: Mapping[str, Any]) -> None:
    # Where even standard output is gone there is nobody left to tell.
    with suppress(Exception):
        _log(_fallback(), level, event, fields)


def _heard(level: int) -> bool:
    """Whether a line of this level goes anywhere: one that does not need not be put together."""
    if structlog.is_configured():
        # Asked of the class: structlog's plain BoundLogger takes any name for that of a log method.
        wrapper = structlog.get_config()["wrapper_class"]
        return not hasattr(wrapper, "is_enabled_for") or _bound_hears(level)
    plain = logging.getLogger(LOGGER)
    return not plain.hasHandlers() or plain.isEnabledFor(level)


def _bound_hears(level: int) -> bool:
    try:
        return bool(structlog.get_logger(LOGGER).bind().is_enabled_for(level))
    except Exception:
        # A configuration that cannot work: let the line find out, and go elsewhere.
        return True


def _log(logger: Any, level: int, event: str, fields: Mapping[str, Any]) -> None:
    # By the method's name: not every wrapper class of structlog has a method `log` that takes a level.
    getattr(logger, logging.getLevelName(level).lower())(event, **fields)


class _Plain:
    """A line for readers of plain text, put together only if a handler wants it; a traceback follows below."""

    def __init__(self, event: str, fields: Mapping[str, Any]) -> None:
        self._event, self._fields = event, fields

    def __str__(self) -> str:
        shown = {name: value for name, value in self._fields.items() if value not in (None, []) and name in _PLAIN_KEYS}
        line = " ".join([self._event, *(f"{name}={_quoted(value)}" for name, value in shown.items())])
        return "\n".join([line, *(self._fields[name].rstrip() for name in _BELOW if name in self._fields)])


_PLAIN_KEYS = frozenset(
    "event_type code subcode cause disposition retry_class owner category match summary advice call_connection_id "
    "correlation_id operation_context status reason suppressed count faults hook error schema outcome_id "
    "timeout_seconds url cached attempt retry_in_seconds due_at limit placed_call_connection_id".split()
)
_BELOW = ("exception", "example")


def _quoted(value: Any) -> str:
    text = " ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
    # Escaped like JSON, so that no text of a sender can begin a line of its own.
    return (
        text
        if text.isprintable() and not set(' "') & set(text)
        else json.dumps(text, ensure_ascii=not text.isprintable())
    )


def _brief(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome_id": redact(outcome.outcome_id),
        "cause": outcome.cause.value,
        "disposition": outcome.disposition.value,
        "retry_class": outcome.retry_class.value,
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


_THRESHOLDS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_PROCESSORS: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    lines.leading,
)

_RENDERERS: dict[str, Any] = {
    "json": lambda: structlog.processors.JSONRenderer(serializer=lines.to_json),
    "console": lambda: structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
}


def _fallback() -> Any:
    """A logger of our own for a process in which nobody configured any logging."""
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stdout),
        processors=[*_PROCESSORS, _RENDERERS["json"]()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
