"""The line of an outcome as text, where the app's structlog is one whose result is known: the same line, sooner.

Rendering is most of what a line costs, and all but its ids is the same for every outcome with one verdict: that
share is rendered once. It is done only if every processor, the logger and its level are among those of which
this file knows what they do; any other configuration goes its own way, see :mod:`ringback.logs`.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import structlog
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.processors import (
    JSONRenderer,
    StackInfoRenderer,
    TimeStamper,
    UnicodeDecoder,
    add_log_level,
    format_exc_info,
)

from ringback.redaction import is_open, redact
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ringback.events import Diagnostic
    from ringback.outcome import Outcome

EVENT = "call.outcome"


def leading(_: object, __: str, line: Any) -> Any:
    """Time, level and event first: what a reader's eye looks for in a long line."""
    return {name: line.pop(name) for name in ("timestamp", "level", "event") if name in line} | line


def to_json(line: Any, **_: Any) -> str:
    """The line as compact JSON in ASCII."""
    try:
        text = msgspec.json.encode(line, enc_hook=repr).decode()
    except UnicodeEncodeError:
        text = ""
    # Half a surrogate pair, and a terminal that knows ASCII alone, take only what is escaped.
    return text if text and text.isascii() else json.dumps(line, default=repr)


# In the order of :meth:`Outcome.to_dict`; the verdict's share stands between the two.
_BEFORE = ("outcome_id", "event_id", "event_type", "scope", "code", "subcode")
_AFTER = (
    "call_connection_id",
    "server_call_id",
    "correlation_id",
    "operation_context",
    "occurred_at",
    "message",
    "sip",
    "q850",
)
_LEVELS = {structlog.make_filtering_bound_logger(level): level for level in (0, 10, 20, 30, 40, 50)}
_NAMES = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_FACTORIES = (structlog.PrintLoggerFactory, structlog.WriteLoggerFactory)
# What these do, they do to keys that no line of an outcome has; the context may have them, see _OTHERS_KEYS.
_IDLE = (StackInfoRenderer, UnicodeDecoder, type(format_exc_info))
_OTHERS_KEYS = frozenset({"level", "timestamp", "exc_info", "exception", "stack_info", "stack"})
# Types that every renderer renders alike. Whole numbers are up to 2**53.
_PLAIN = (str, bool, type(None))
_SAFE = 2**53
_SPACED, _COMPACT = (", ", ": "), (",", ":")


class Written(NamedTuple):
    """The lines of those outcomes that are heard as one text, and the app's logger that writes it."""

    outcomes: Sequence[tuple[Outcome, int]]
    text: str
    logger: Any


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What a known configuration does with a line: from which level it is written, and what is put around it."""

    level: int
    with_context: bool
    stamper: TimeStamper | None
    signs: tuple[str, str]
    """Between two members, and between a name and its value."""
    frames: Mapping[int, tuple[str, str]]
    """By level, what stands before and after what the outcome says itself; with places for context and time."""
    logger: Callable[[], Any]

    def context(self) -> str | None:
        """What is bound besides the line's own; ``None`` if that is something that only structlog can sort in."""
        text = ""
        if self.with_context:
            comma, colon = self.signs
            for name, value in get_contextvars().items():
                # What the line says itself wins.
                if name in _OWN:
                    continue
                plain = type(value) in _PLAIN or (type(value) is int and -_SAFE <= value <= _SAFE)
                if name in _OTHERS_KEYS or not plain:
                    return None
                text += f"{comma}{quoted(name)}{colon}{json.dumps(value)}"
        return text

    def time(self) -> str:
        stamper = self.stamper
        if stamper is None:
            return ""
        if stamper.utc and stamper.fmt == "iso":
            return f'"{iso(time.time_ns())}"'
        return json.dumps(stamper(None, "", {})["timestamp"])


def written(outcomes: Sequence[tuple[Outcome, int]]) -> Written | None:
    """The lines of outcomes that have been given their levels; ``None`` if structlog is to write them itself.

    They are written at once, and so have one time.
    """
    shortcut = _current()
    if shortcut is None:
        return None
    heard = [each for each in outcomes if each[1] >= shortcut.level]
    if not heard:
        return Written(heard, "", None)
    context = shortcut.context()
    if context is None:
        return None
    signs = shortcut.signs
    around = {"context": context, "timestamp": shortcut.time()}
    frames: dict[int, tuple[str, str]] = {}
    texts: list[str] = []
    for outcome, level in heard:
        if outcome.attempts_exhausted:
            # Then its disposition is not that of its verdict.
            return None
        frame = frames.get(level)
        if frame is None:
            before, after = shortcut.frames[level]
            frame = frames[level] = before % around, after % around
        texts.append(f"{frame[0]}{_said(outcome, signs)}{frame[1]}")
    return Written(heard, "\n".join(texts), shortcut.logger())


def iso(nanoseconds: int) -> str:
    """A time since 1970 as structlog's stamper writes it; the second, which many lines share, is written once."""
    seconds, rest = divmod(nanoseconds // 1000, 1_000_000)
    return f"{_second(seconds)}.{rest:06}Z" if rest else f"{_second(seconds)}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def _said(outcome: Outcome, signs: tuple[str, str]) -> str:
    """The members of :meth:`Outcome.to_dict`, in its order."""
    rendered = outcome.verdict.rendered
    shared = rendered.get(signs[0])
    if shared is None:
        shared = rendered[signs[0]] = json.dumps(dict(outcome.verdict.facts), separators=signs)[1:-1]
    # Apart, for filling in a template costs by its length.
    before, after = _TEMPLATES[signs]
    event = outcome.event
    data = event.data
    leg = _text(data.call_connection_id)
    scope = outcome.scope
    result = data.result_information
    occurred = event.occurred_at
    head = before % (
        # The prefix is nothing to redact, and nothing that changes what is redacted behind it.
        f'"call:{leg[1:]}' if scope is Scope.CALL and leg != "null" else _text(outcome.outcome_id),
        _text(event.id),
        _text(event.type),
        scope.value,
        "null" if result is None or result.code is None else result.code,
        "null" if result is None or result.subcode is None else result.subcode,
    )
    tail = after % (
        leg,
        _text(data.server_call_id),
        _text(data.correlation_id),
        _text(outcome.operation_context),
        "null" if occurred is None else f'"{occurred.isoformat()}"',
        "null" if result is None else _text(result.message),
        "null" if result is None or result.sip is None else _detail(result.sip, signs),
        "null" if result is None or result.q850 is None else _detail(result.q850, signs),
    )
    return f"{head}{signs[0]}{shared}{signs[0]}{tail}"


def _detail(detail: Diagnostic, signs: tuple[str, str]) -> str:
    comma, colon = signs
    code = "null" if detail.code is None else detail.code
    return f'{{"code"{colon}{code}{comma}"message"{colon}{_text(detail.message)}}}'


def _text(text: str | None) -> str:
    if text is None:
        return "null"
    return f'"{text}"' if is_open(text) else quoted(redact(text))


class _Seen(NamedTuple):
    """A configuration, and what it means. Exchanged as one, so that no thread sees half of a change."""

    configuration: tuple[object, ...]
    shortcut: Shortcut | None


def use_shortcut(allowed: bool) -> None:
    """Whether any configuration is a known one: for tests, which show that it makes no difference."""
    global _allowed
    _allowed = allowed


def _current() -> Shortcut | None:
    """How the app's structlog is configured now; looked at each time, for it may be configured anew."""
    global _seen
    if not _allowed:
        return None
    config = structlog.get_config()
    now = (*config["processors"], config["wrapper_class"], config["logger_factory"], config["context_class"])
    seen = _seen
    if now != seen.configuration:
        seen = _seen = _Seen(now, _shortcut(config))
    return seen.shortcut


def _shortcut(config: dict[str, Any]) -> Shortcut | None:
    level = _LEVELS.get(config["wrapper_class"])
    factory = config["logger_factory"]
    *processors, renderer = config["processors"] or [None]
    signs = _signs(renderer)
    if level is None or signs is None or config["context_class"] is not dict or type(factory) not in _FACTORIES:
        return None
    leads = bool(processors) and processors[-1] is leading
    adds: list[str] = []
    stamper: TimeStamper | None = None
    for processor in processors[:-1] if leads else processors:
        if processor is merge_contextvars:
            adds.append("context")
        elif processor is add_log_level:
            adds.append("level")
        elif type(processor) is TimeStamper and processor.key == "timestamp":
            adds.append("timestamp")
            stamper = processor
        elif type(processor) not in _IDLE:
            return None
    if len(set(adds)) < len(adds):
        return None
    frames = {each: _frame(adds, name, signs, leads=leads) for each, name in _NAMES.items()}
    return Shortcut(level, "context" in adds, stamper, signs, frames, factory)


def _signs(renderer: object) -> tuple[str, str] | None:
    """How a renderer writes JSON; ``None`` for one that may write anything."""
    if type(renderer) is JSONRenderer:
        if vars(renderer) == vars(JSONRenderer()):
            return _SPACED
        if vars(renderer) == vars(JSONRenderer(serializer=to_json)):
            return _COMPACT
    return None


def _frame(adds: Sequence[str], level: str, signs: tuple[str, str], *, leads: bool) -> tuple[str, str]:
    comma, colon = signs
    members = {
        "event": f'"event"{colon}"{EVENT}"{comma}',
        "level": f'"level"{colon}"{level}"{comma}',
        "timestamp": f'"timestamp"{colon}%(timestamp)s{comma}',
    }
    if leads:
        first = [members[name] for name in ("timestamp", "level", "event") if name == "event" or name in adds]
        return "{" + "".join(first), ("%(context)s" if "context" in adds else "") + "}"
    # The context brings its commas with it, each before a member.
    rest = ["%(context)s" if name == "context" else f"{comma}{members[name].removesuffix(comma)}" for name in adds]
    return "{", f"{comma}{members['event'].removesuffix(comma)}{''.join(rest)}}}"


_OWN = frozenset(
    "category category_basis cause disposition retry_class owner confidence match refined_by summary advice "
    "documentation sources event".split()
).union(_BEFORE, _AFTER)
_TEMPLATES = {
    signs: tuple(
        signs[0].join(f'"{name}"{signs[1]}' + ('"%s"' if name == "scope" else "%s") for name in names)
        for names in (_BEFORE, _AFTER)
    )
    for signs in (_SPACED, _COMPACT)
}
_allowed = True
_seen = _Seen((), None)
