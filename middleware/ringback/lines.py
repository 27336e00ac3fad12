"""The line of an outcome as text, where the app's structlog is one whose result is known: the same line, sooner.

Rendering is most of what a line costs, and all but its ids is the same for every outcome with one verdict: that
share is rendered once. It is done only if every processor, the logger and its level are among those of which
this file knows what they do; any other configuration goes its own way, see :mod:`ringback.logs`.
"""

from __future__ import annotations

import json
import logging
import re
import time
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
import structlog
from msgspec import Struct
from structlog.contextvars import (
    STRUCTLOG_KEY_PREFIX,
    bind_contextvars,
    merge_contextvars,
    reset_contextvars,
)
from structlog.processors import (
    JSONRenderer,
    StackInfoRenderer,
    TimeStamper,
    UnicodeDecoder,
    add_log_level,
    format_exc_info,
)

from ringback.redaction import is_open, open_ids, redact, redact_to_json
from ringback_catalog import PREFIX, Cause, ResultCategory, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextvars import ContextVar

    from ringback.events import Diagnostic, Event
    from ringback.outcome import Outcome

EVENT = "call.outcome"

IDS = ("call_connection_id", "server_call_id", "correlation_id")
"""The ids bound to the request's context, so that the app's own lines carry them too."""


def _variables() -> tuple[ContextVar[Any], ...]:
    """Where structlog keeps what is bound by the names of the ids."""
    tokens = bind_contextvars(**dict.fromkeys(IDS, ""))
    reset_contextvars(**tokens)
    return tuple(tokens[name].var for name in IDS)


VARIABLES = _variables()


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


# In the order of :meth:`Outcome.to_dict`; what outcomes share stands behind the second.
_APART = (
    "outcome_id",
    "event_id",
    "call_connection_id",
    "server_call_id",
    "correlation_id",
    "operation_context",
    "occurred_at",
    "message",
    "sip",
    "q850",
)
_MANY = 64
"""Types and codes of one verdict whose share is kept."""
_AT_ONCE = 32
"""Lines that are written at once, of about 2 kB each."""
_AS_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\d?(?:\+00:00|Z)", re.ASCII).fullmatch

# A tuple: comparing three costs less than hashing a member of an enumeration.
_CALM = (Cause.BUSY, Cause.NO_ANSWER, Cause.DECLINED)
_LEVELS = {
    ResultCategory.SUCCESS: logging.INFO,
    ResultCategory.EXPECTED_ERROR: logging.WARNING,
    ResultCategory.UNEXPECTED_CLIENT_ERROR: logging.WARNING,
    ResultCategory.UNEXPECTED_SERVER_ERROR: logging.ERROR,
    ResultCategory.UNKNOWN: logging.WARNING,
}
_THRESHOLDS = {structlog.make_filtering_bound_logger(level): level for level in (0, 10, 20, 30, 40, 50)}
_NAMES = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_FACTORIES = (structlog.PrintLoggerFactory, structlog.WriteLoggerFactory)
# What these do, they do to keys that no line of an outcome has; the context may have them, see _OTHERS_KEYS.
_IDLE = (StackInfoRenderer, UnicodeDecoder, type(format_exc_info))
_OTHERS_KEYS = frozenset({"level", "timestamp", "exc_info", "exception", "stack_info", "stack"})
# Types that every renderer renders alike. Whole numbers are up to 2**53.
_PLAIN = (str, bool, type(None))
_SAFE = 2**53
_SPACED, _COMPACT = (", ", ": "), (",", ":")


class Written(Struct, frozen=True, gc=False):
    """The lines of those outcomes that are heard, and the app's logger that writes them.

    One text is written at once: all lines of a usual delivery. Of a large batch it is some at a time, put together when
    those before are written, for texts that outgrow the processor's cache cost more than they save.
    """

    texts: Iterable[str]
    logger: Any


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What a known configuration does with a line: from which level it is written, and what is put around it."""

    level: int
    with_context: bool
    time: Callable[[], str]
    """The time now as JSON, or nothing."""
    signs: tuple[str, str]
    """Between two members, and between a name and its value."""
    around: Mapping[int, Callable[[str, str], tuple[str, str]]]
    """By level, of context and time: what stands before and after what the outcome says itself."""
    logger: Callable[[], Any]

    def context(self) -> str | None:
        """What is bound besides the line's own; ``None`` if that is something that only structlog can sort in."""
        text = ""
        if self.with_context:
            comma, colon = self.signs
            # As `get_contextvars` does, but that it passes over what is bound for every delivery, and said in the line.
            for variable, value in copy_context().items():
                if variable in VARIABLES or value is Ellipsis or not variable.name.startswith(STRUCTLOG_KEY_PREFIX):
                    continue
                name = variable.name.removeprefix(STRUCTLOG_KEY_PREFIX)
                # What the line says itself wins.
                if name in _OWN:
                    continue
                plain = type(value) in _PLAIN or (type(value) is int and -_SAFE <= value <= _SAFE)
                if name in _OTHERS_KEYS or not plain:
                    return None
                text += f"{comma}{quoted(name)}{colon}{json.dumps(value)}"
        return text


def level_of(outcome: Outcome) -> int:
    """``info`` for successes and for what people do (busy, no answer, declined), ``error`` for server errors."""
    entry = outcome.verdict.entry
    return logging.INFO if entry.cause in _CALM else _LEVELS[entry.category]


def written(outcomes: Sequence[Outcome], *, ids_are_open: bool = False) -> Written | None:
    """The lines of outcomes; ``None`` if structlog is to write them itself.

    They have one time. ``ids_are_open``: nothing in their ids is private.
    """
    shortcut = _current()
    if shortcut is None:
        return None
    for outcome in outcomes:
        if outcome.attempts_exhausted:
            # Then its disposition is not that of its verdict.
            return None
    if shortcut.level > logging.ERROR:
        return Written((), None)
    context = shortcut.context()
    if context is None:
        return None
    if len(outcomes) == 1:
        # Nearly every delivery: nothing to be shared among lines.
        share = _share(outcomes[0], shortcut.signs)
        if share.level < shortcut.level:
            return Written((), None)
        frame = shortcut.around[share.level](context, shortcut.time())
        return Written((_line(outcomes[0], share, frame, ids_are_open),), shortcut.logger())
    texts = _texts(outcomes, shortcut, context, shortcut.time(), ids_are_open)
    return Written(texts if len(outcomes) > _AT_ONCE else [*texts], shortcut.logger())


def _texts(
    outcomes: Sequence[Outcome], shortcut: Shortcut, context: str, time: str, ids_are_open: bool
) -> Iterator[str]:
    least, signs, around = shortcut.level, shortcut.signs, shortcut.around
    frames: dict[int, tuple[str, str]] = {}
    for start in range(0, len(outcomes), _AT_ONCE):
        lines: list[str] = []
        for outcome in outcomes[start : start + _AT_ONCE]:
            share = _share(outcome, signs)
            frame = frames.get(share.level)
            if frame is None:
                if share.level < least:
                    continue
                frame = frames[share.level] = around[share.level](context, time)
            lines.append(_line(outcome, share, frame, ids_are_open))
        if lines:
            yield "\n".join(lines)


def _timed(stamper: TimeStamper | None) -> Callable[[], str]:
    if stamper is None:
        return lambda: ""
    if stamper.utc and stamper.fmt == "iso":
        return lambda: f'"{iso(time.time_ns())}"'
    return lambda: json.dumps(stamper(None, "", {})["timestamp"])


def iso(nanoseconds: int) -> str:
    """A time since 1970 as structlog's stamper writes it; the second, which many lines share, is written once."""
    digits = str(nanoseconds).zfill(10)
    second, micros = _second(digits[:-9]), digits[-9:-3]
    return f"{second}Z" if micros == "000000" else f"{second}.{micros}Z"


@lru_cache(maxsize=1)
def _second(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().removesuffix("+00:00")


class _Share(NamedTuple):
    """What the lines of all outcomes with one verdict, event type, code and subcode have in common."""

    level: int
    ends_call: bool
    ending: str
    """What stands before the id of the leg that ended, or of the event, in the id of the outcome."""
    names: tuple[str, ...]
    """The names of the members with their signs; between the second and the third all that the verdict says."""
    open: tuple[str, ...]
    """The same as far as ids go, with the quotes around them: these need nothing but to be put between."""
    signs: tuple[str, str]


def _share(outcome: Outcome, signs: tuple[str, str]) -> _Share:
    event, verdict = outcome.event, outcome.verdict
    result = event.data.result_information
    key = (event.type, signs) if result is None else (event.type, signs, result.code, result.subcode)
    share: _Share | None = verdict.rendered.get(key)
    if share is None:
        share = _shared(outcome, signs)
        # What had to be redacted may be redacted otherwise tomorrow.
        if event.type.startswith(PREFIX) and is_open(event.type.removeprefix(PREFIX)):
            if len(verdict.rendered) >= _MANY:
                # Types and codes are a sender's, and without end.
                verdict.rendered.clear()
            verdict.rendered[key] = share
    return share


def _shared(outcome: Outcome, signs: tuple[str, str]) -> _Share:
    comma, colon = signs
    members = {
        "event_type": redact(outcome.event_type),
        "scope": outcome.scope.value,
        "code": outcome.code,
        "subcode": outcome.subcode,
        **outcome.verdict.facts,
    }
    middle = json.dumps(members, separators=signs)[1:-1]
    names = [f"{comma}{quoted(name)}{colon}" for name in _APART]
    names[0] = names[0].removeprefix(comma)
    names[2] = f"{comma}{middle}{names[2]}"
    ends_call = outcome.scope is Scope.CALL
    ending = "call:" if ends_call else "event:"
    a, b, c, d, e, f, *_ = names
    opened = (f'{a}"{ending}', f'"{b}"', f'"{c}"', f'"{d}', f'{e}"', f'"{f}')
    return _Share(level_of(outcome), ends_call, ending, tuple(names), opened, signs)


def _line(outcome: Outcome, share: _Share, frame: tuple[str, str], ids_are_open: bool) -> str:
    """The line: the members of :meth:`Outcome.to_dict` in its order, with what stands around them."""
    event = outcome.event
    data = event.data
    result = data.result_information
    message = sip = q850 = "null"
    if result is not None:
        if result.message is not None:
            # Of many calls the same, and never open.
            message = redact_to_json(result.message)
        if result.sip is not None:
            sip = _detail(result.sip, share.signs)
        if result.q850 is not None:
            q850 = _detail(result.q850, share.signs)
    leg, server, call = data.call_connection_id, data.server_call_id, data.correlation_id
    context = data.operation_context
    if context is None and outcome.sibling is not None:
        context = outcome.operation_context
    before, after = frame
    a, b, c, d, e, f, g, h, i, j = share.names
    context, time = _text(context), _time(event)
    if ids_are_open or open_ids(event.id, leg, call, server):
        # As they are, in one go: nearly every line is written here.
        a, b, c, d, e, f = share.open
        ending = leg if share.ends_call else event.id
        place = "null" if server is None else f'"{server}"'
        return (
            f"{before}{a}{ending}{b}{event.id}{c}{leg}{d}{place}{e}{call}{f}{context}"
            f"{g}{time}{h}{message}{i}{sip}{j}{q850}{after}"
        )
    leg = _text(leg)
    # The prefix is nothing to redact, and nothing that changes what is redacted behind it.
    ending = f'"{share.ending}{leg[1:]}' if share.ends_call and leg != "null" else _text(outcome.outcome_id)
    return (
        f"{before}{a}{ending}{b}{_text(event.id)}{c}{leg}{d}{_text(server)}{e}{_text(call)}{f}{context}"
        f"{g}{time}{h}{message}{i}{sip}{j}{q850}{after}"
    )


def _time(event: Event) -> str:
    told = event.time
    if told is not None and _AS_WRITTEN(told) and told[20:26] != "000000":
        # The service's own way to write it, which is ours but for a seventh digit.
        try:
            datetime.fromisoformat(told)
        except ValueError:
            return "null"
        return f'"{told[:26]}+00:00"'
    occurred = event.occurred_at
    return "null" if occurred is None else f'"{occurred.isoformat()}"'


def _detail(detail: Diagnostic, signs: tuple[str, str]) -> str:
    comma, colon = signs
    code = "null" if detail.code is None else detail.code
    return f'{{"code"{colon}{code}{comma}"message"{colon}{_text(detail.message)}}}'


def _text(text: str | None) -> str:
    if text is None:
        return "null"
    return f'"{text}"' if is_open(text) else redact_to_json(text)


class _Seen(NamedTuple):
    """A configuration, and what it means. Exchanged as one, so that no thread sees half of a change."""

    configuration: Mapping[str, object]
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
    seen = _seen
    if config != seen.configuration:
        # With a list of its own: the app's may be changed in place.
        now = {**config, "processors": [*config["processors"]]}
        seen = _seen = _Seen(now, _shortcut(config))
    return seen.shortcut


def _shortcut(config: dict[str, Any]) -> Shortcut | None:
    level = _THRESHOLDS.get(config["wrapper_class"])
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
    around = _around(adds, signs, leads=leads)
    return Shortcut(level, "context" in adds, _timed(stamper), signs, around, _logger(config))


def _logger(config: dict[str, Any]) -> Callable[[], Any]:
    factory = config["logger_factory"]
    if not config["cache_logger_on_first_use"]:
        return cast("Callable[[], Any]", factory)
    # As structlog has it then: one for all.
    return lru_cache(maxsize=1)(factory)


def _signs(renderer: object) -> tuple[str, str] | None:
    """How a renderer writes JSON; ``None`` for one that may write anything."""
    if type(renderer) is JSONRenderer:
        if vars(renderer) == vars(JSONRenderer()):
            return _SPACED
        if vars(renderer) == vars(JSONRenderer(serializer=to_json)):
            return _COMPACT
    return None


def _around(
    adds: Sequence[str], signs: tuple[str, str], *, leads: bool
) -> Mapping[int, Callable[[str, str], tuple[str, str]]]:
    return {level: _frame(f'"level"{signs[1]}"{name}"', adds, signs, leads) for level, name in _NAMES.items()}


def _frame(
    level: str, adds: Sequence[str], signs: tuple[str, str], leads: bool
) -> Callable[[str, str], tuple[str, str]]:
    comma, colon = signs
    event = f'"event"{colon}"{EVENT}"'
    stamp = f'"timestamp"{colon}'
    levelled, timed = "level" in adds, "timestamp" in adds
    first = f"{{{stamp}" if timed else "{"
    second = f"{comma if timed else ''}{level + comma if levelled else ''}{event}{comma}"

    def leading(context: str, time: str) -> tuple[str, str]:
        return f"{first}{time}{second}", f"{context}}}"

    # The context brings its commas with it, each before a member. What is not added is nothing, wherever it stands.
    members = {"context": "\0", "level": f"{comma}{level}", "timestamp": f"{comma}{stamp}\1"}
    added = "".join([members[name] for name in adds])
    added += ("" if "context" in adds else "\0") + ("" if timed else "\1")
    context_first = added.index("\0") < added.index("\1")
    head, middle, tail = re.split("[\0\1]", f"{comma}{event}{added}}}")

    def trailing(context: str, time: str) -> tuple[str, str]:
        if context_first:
            return "{", f"{head}{context}{middle}{time}{tail}"
        return "{", f"{head}{time}{middle}{context}{tail}"

    return leading if leads else trailing


_OWN = frozenset(
    "event outcome_id event_id event_type scope code subcode category category_basis cause disposition retry_class "
    "owner confidence match refined_by summary advice documentation sources call_connection_id server_call_id "
    "correlation_id operation_context occurred_at message sip q850".split()
)
_allowed = True
_seen = _Seen({}, None)
