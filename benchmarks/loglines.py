"""The ways in which an app has configured its structlog. All write to the same real file: the null device.

What ``ringback.logs.configure`` sets up writes to standard output, so that is put there, too.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from ringback import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    Configure = Callable[[], object]

SINK = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process
atexit.register(SINK.close)
BYTES = Path(os.devnull).open("wb")  # noqa: SIM115 - likewise
atexit.register(BYTES.close)


def off() -> None:
    """A level that no line of an outcome reaches."""
    _plain(logging.CRITICAL)


def configured() -> None:
    """As ``ringback.logs.configure`` leaves it."""
    logs.configure()


def plain() -> None:
    """As the documentation of structlog says for JSON lines."""
    _plain(logging.INFO)


def fast() -> None:
    """As structlog's page on performance says: orjson, and bytes straight to the file."""
    renderer = structlog.processors.JSONRenderer(serializer=orjson.dumps)
    _plain(logging.INFO, renderer, structlog.BytesLoggerFactory(BYTES), structlog.processors.format_exc_info)


def plain_logging() -> None:
    """An app that knows nothing of structlog: the text of ``basicConfig``."""
    handler = logging.StreamHandler(SINK)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    _through(handler)


def through_logging() -> None:
    """As the documentation of structlog says for an app whose libraries log, too: all lines go through ``logging``."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(SINK)
    handler.setFormatter(formatter)
    _through(handler)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


SETUPS: Mapping[str, Configure] = {
    "ringback.logs.configure()": configured,
    "structlog": plain,
    "structlog with orjson": fast,
    "structlog through logging": through_logging,
    "plain logging": plain_logging,
}
"""By the name in the tables."""


class _Records:
    """An app's own logger without structlog; keys are attributes of the record."""

    def __getattr__(self, level: str) -> Callable[..., None]:
        write = getattr(logging.getLogger("app"), level)
        return lambda event, **keys: write(event, extra=keys)


def app_logger() -> Any:
    """The logger of an app's own lines."""
    return structlog.get_logger("app") if structlog.is_configured() else _Records()


def _through(handler: logging.Handler) -> None:
    for name in ("app", "ringback"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)


def _plain(level: int, renderer: Any = None, file: Any = None, *further: Any) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *further,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer or structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=file or structlog.PrintLoggerFactory(SINK),
        cache_logger_on_first_use=True,
    )


@contextlib.contextmanager
def configuration(configure: Configure) -> Generator[None]:
    """Everything within logs in one of these ways."""
    structlog.reset_defaults()
    with contextlib.redirect_stdout(SINK):
        configure()
        try:
            yield
        finally:
            structlog.reset_defaults()
            for name in ("app", "ringback"):
                logging.getLogger(name).handlers.clear()
