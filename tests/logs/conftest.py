"""What tests of the log start with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.contextvars import clear_contextvars

from ringback import logs
from ringback.logs import _sinks

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """structlog, the logger ``ringback``, the bound context, what was said of unheard lines: as in a new process."""
    root, plain = logging.getLogger(), logging.getLogger(logs.LOGGER)
    level = root.level
    structlog.reset_defaults()
    clear_contextvars()
    monkeypatch.setattr(_sinks, "_advised", set())
    yield
    structlog.reset_defaults()
    clear_contextvars()
    root.setLevel(level)
    plain.handlers.clear()
    plain.filters.clear()
    plain.disabled, plain.propagate = False, True
    plain.setLevel(logging.NOTSET)
