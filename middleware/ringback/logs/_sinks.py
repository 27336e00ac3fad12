"""Where lines go: the app's structlog, else the standard library's logging, else standard output.

An app that has its own pipeline renders its lines itself. Only :func:`configure` configures anything.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog

from ringback.core.fields import Line
from ringback.core.times import iso
from ringback.exceptions import ConfigurationError
from ringback.logs._text import LINES, Text
from ringback.privacy.redaction import redact
from ringback.privacy.written import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ringback.core.outcome import Outcome

LOGGER = "ringback"
"""The name of the logger of every line, in logging and in structlog."""

IDS = ("call_connection_id", "server_call_id", "correlation_id")
"""The ids that a door binds to the request's context, so that the app's own lines carry the ids, too."""

line = Line()
"""Makes the fields of an outcome's line, with the detail that the app gave to :func:`configure`."""

_kept: _Structlog | None = None
_METHODS = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


def sink() -> _Structlog | _Logging:
    """The sink that the app's logging asks for now; an app may set logging up anew. A sink's ``write`` may raise."""
    global _kept
    to: _Structlog | _Logging
    if structlog.is_configured():
        config = structlog.get_config()
        if _kept is None or _kept.config != config:
            # A sink lives as long as its configuration.
            _kept = _Structlog(config)
        elif not config["cache_logger_on_first_use"]:
            _kept.logger = None
        to = _kept
        if not to.on_logging:
            return to
    elif _has_handlers():
        to = _Logging()
    else:
        return _output()
    if not _logger().disabled:
        return to
    _advise_once(_DISABLED, _output())
    return _output()


# Not made at import: `logging.config.dictConfig` disables the loggers that exist before it.
_logger = cache(lambda: logging.getLogger(LOGGER))


def _has_handlers() -> bool:
    """Whether a handler writes the logger's lines. A NullHandler, which any library may add, writes none."""
    at: logging.Logger | None = _logger()
    while at is not None:
        for handler in at.handlers:
            if type(handler) is not logging.NullHandler:
                return True
        at = at.parent if at.propagate else None
    return False


_advised: set[str] = set()
"""The advice that this process has written about lines that go nowhere, or elsewhere."""

_DISABLED = (
    "a configuration has disabled the logger 'ringback'; lines go to standard output; configure with "
    "disable_existing_loggers=False"
)
_NOT_WRITTEN = "outcomes of level INFO (busy, no answer, hung up) are not written, for "
_UNSET = (
    f"{_NOT_WRITTEN}the level is WARNING, logging's own where nobody sets any; add "
    "logging.getLogger('ringback').setLevel(logging.INFO)"
)
_UNHANDLED = (
    f"{_NOT_WRITTEN}structlog hands lines to logging, and that has no handler for 'ringback'; add "
    "logging.basicConfig(level=logging.INFO, format='%(message)s')"
)


def _advise_once(advice: str, to: _Structlog | _Logging) -> None:
    if advice not in _advised:
        _advised.add(advice)
        write(to, logging.WARNING, "logs.unheard", {"advice": advice})


def _is_handled(level: int, to: _Structlog | _Logging) -> bool:
    """Whether the logger's handlers get lines of a level. If not, and by no choice of the app, ``to`` gets advice."""
    sets_level = _logger()
    if not sets_level.isEnabledFor(level):
        while sets_level.parent is not None and not sets_level.level:
            sets_level = sets_level.parent
        is_default = sets_level.parent is None and sets_level.level == logging.WARNING
        # Whoever has called `logging.disable` has chosen, and no level would change what is written.
        if is_default and sets_level.manager.disable < level:
            _advise_once(_UNSET, to)
        return False
    if level < logging.WARNING and not _has_handlers():
        # Without a handler, logging writes warnings and errors to standard error.
        _advise_once(_UNHANDLED, to)
    return True


def write(to: _Structlog | _Logging, level: int, event: str, fields: Mapping[str, Any]) -> None:
    """Write one line to the sink; to standard output if the app's own logging raises. Never raises."""
    try:
        if sys.exception() is None:
            to.write(level, event, fields)
        else:
            _write_aside(to, level, event, fields)
    except Exception:
        # An error of the app's logging must lose neither the line nor the delivery.
        with suppress(Exception):
            _output().write(level, event, fields)


def _write_aside(to: _Structlog | _Logging, level: int, event: str, fields: Mapping[str, Any]) -> None:
    """Write one line while an exception is handled: a handler that fails would print that exception, unredacted."""
    try:
        raise _Handled(f"{event}: the line has what was raised, redacted") from None
    except _Handled:
        to.write(level, event, fields)


class _Handled(Exception):
    """Stands for the exception that is handled while a line is written, and shows nothing of it."""


def emit(
    level: int, event: str, about: Outcome | None = None, /, *, raised: Exception | None = None, **fields: Any
) -> None:
    """Write one line with its texts redacted, if the sink takes the level.

    ``about`` is the outcome of the line, and ``raised`` the exception whose traceback the line has.
    """
    to = sink()
    if to.takes(level):
        if about is not None:
            words = {name: getattr(about, name).value for name in ("cause", "disposition", "retry_class")}
            fields = {"outcome_id": about.outcome_id, **words, **fields}
        redacted = {name: redact(value) if isinstance(value, str) else value for name, value in fields.items()}
        if raised is not None:
            # As text, not as exc_info, because an error of a hook or listener may name a number. Each part by itself: a
            # traceback may be longer than a text that is kept whole.
            parts = map(redact, traceback.format_exception(raised))
            # What is cut has lost its line feed.
            redacted["exception"] = "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)
        write(to, level, event, redacted)


class _Structlog:
    """Through the processors of a configuration of structlog, as the logger ``ringback``."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.on_logging = isinstance(config["logger_factory"], structlog.stdlib.LoggerFactory)
        # From the class: an instance of some wrapper classes has a method of any name.
        self._is_enabled_for: Any = getattr(config["wrapper_class"], "is_enabled_for", None)
        self.logger: Any = None
        """What the configuration writes to, or ``None`` for a new one with the next line."""

    def takes(self, level: int) -> bool:
        if self.on_logging:
            _is_handled(level, self)
        try:
            return self._is_enabled_for is None or bool(self._is_enabled_for(None, level))
        except Exception:
            # Structlog's wrapper of logging and an app's own may need the instance; `write` asks the instance.
            self._is_enabled_for = None
            return True

    def write(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        config = self.config
        # Another thread's line may set the attribute back at any time.
        logger = self.logger
        if logger is None:
            logger = self.logger = config["logger_factory"](LOGGER)
        # As the context: structlog hands arguments by name from function to function, which takes a third of a line.
        context = config["context_class"](fields)
        bound = config["wrapper_class"](logger, processors=config["processors"], context=context)
        # By the level's name: not every wrapper class of structlog has a method `log` that takes a level.
        written = getattr(bound, _METHODS[level])(event)
        if isinstance(written, CoroutineType):
            # A line may come from any thread, so nobody would await it.
            written.close()
            raise TypeError(f"{config['wrapper_class']!r} is async")


def _output() -> _Structlog:
    """To standard output as JSON, from level ``info``: for an app that has configured no logging."""
    return _Structlog(pipeline(logging.INFO, "json"))


class _Logging:
    """To the logger ``ringback``: every key in the record, for formatters of JSON; a line of text for the others."""

    def takes(self, level: int) -> bool:
        return _is_handled(level, self)

    def write(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        text = Text(event, fields, line.in_text if event == "call.outcome" else fields)
        # Not as `extra`: logging refuses an `extra` key that the app's own record factory has set.
        # The event stands in the message, by which services that collect errors tell one kind of line from another.
        record = _logger().makeRecord(LOGGER, level, __file__, 0, f"{event}%s", (text,), None, "write")
        vars(record).update(fields, event=event)
        if IDS[0] not in fields:
            # As structlog's merge_contextvars does: a hook's line leads to its call, also where an operation failed.
            bound = structlog.contextvars.get_contextvars()
            for name in bound.keys() & IDS:
                vars(record).setdefault(name, bound[name])
        _logger().handle(record)


def leading(_: object, __: str, line: Any) -> Any:
    """The line with the time, and with time, level and event first, where a reader looks. A processor of structlog."""
    # As structlog's own TimeStamper writes the time.
    line["timestamp"] = iso(datetime.now(UTC), "Z")
    return _FIRST | line


_FIRST: dict[str, Any] = dict.fromkeys(("timestamp", "level", "event"))


def to_json(line: Any, **_: Any) -> str:
    """The line as compact JSON in ASCII: some terminals show nothing else, and UTF-8 cannot hold a lone surrogate."""
    try:
        return msgspec.json.encode(line, enc_hook=repr).decode("ascii")
    except UnicodeError:
        return json.dumps(line, default=repr)


_THRESHOLDS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _to_terminal() -> Any:
    # The exception of a line is a text: a formatter of exceptions, as there is one with rich, would warn.
    plain = structlog.dev.plain_traceback
    render = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain)

    def renderer(logger: Any, method: str, line: Any) -> Any:
        shown = {name: visible(value, kept=LINES) if isinstance(value, str) else value for name, value in line.items()}
        return render(logger, method, shown)

    return renderer


_RENDERERS: dict[str, Callable[[], Any]] = {
    "json": lambda: structlog.processors.JSONRenderer(serializer=to_json),
    "console": _to_terminal,
}


def pipeline(level: int, renderer: str) -> dict[str, Any]:
    """The settings that :func:`configure` gives to structlog: lines of ``level`` and above, to standard output."""
    return {
        "processors": [
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            leading,
            _RENDERERS[renderer](),
        ],
        "context_class": dict,
        "wrapper_class": structlog.make_filtering_bound_logger(level),
        # Cheaper than structlog's own choice, `print`.
        "logger_factory": structlog.WriteLoggerFactory(),
        "cache_logger_on_first_use": True,
    }


def configure(*, level: str = "info", renderer: str = "json", detail: Literal["lean", "full"] = "lean") -> bool:
    """Configure structlog for an app that has not: JSON lines on standard output, or ``"console"``.

    ``detail="full"`` adds the long keys to ``call.outcome`` (see docs/logs.md), whoever has configured structlog.
    Returns whether the function configured structlog: an existing configuration stays as it is. Raises
    :class:`ConfigurationError` for an unknown level, renderer or detail.
    """
    global line
    if str(level).lower() not in _THRESHOLDS:
        raise ConfigurationError(f"level {level!r} is unknown; use debug, info, warning or error")
    if renderer not in _RENDERERS:
        raise ConfigurationError(f"renderer {renderer!r} is unknown; use {' or '.join(map(repr, _RENDERERS))}")
    if detail not in ("lean", "full"):
        raise ConfigurationError(f"detail {detail!r} is unknown; use 'lean' or 'full'")
    line = Line(full=detail == "full")
    if structlog.is_configured():
        return False
    structlog.configure(**pipeline(_THRESHOLDS[level.lower()], renderer))
    return True
