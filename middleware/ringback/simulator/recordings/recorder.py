"""Keeps the deliveries that pass the proxy: each is a line of the recording as soon as the app has answered."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from ringback.core.events import parse_delivery
from ringback.exceptions import ConfigurationError, DeliveryError
from ringback.receiving.intake import VALIDATION
from ringback.simulator.posting import shown
from ringback.simulator.recordings.lines import Line, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

    from ringback.simulator.recordings.proxy import Answer, Request
    from ringback.simulator.recordings.pseudonyms import Pseudonyms


def opened(path: Path) -> FileIO:
    """A new file that its owner alone may read. Raises :class:`ConfigurationError` for a file that is there already."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except FileExistsError:
        raise ConfigurationError(f"--out '{path}' is there already; name another file, or move it away") from None
    except OSError as error:
        raise ConfigurationError(f"--out '{path}' cannot be written ({error.strerror})") from error
    return os.fdopen(handle, "wb", buffering=0)


class Recorder:
    """Writes lines to ``file`` and says one of each request. ``clock`` gives seconds.

    ``kept`` counts the deliveries of the recording.
    """

    def __init__(
        self,
        file: FileIO,
        pseudonyms: Pseudonyms,
        say: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._pseudonyms = pseudonyms
        self._say = say
        self.now = clock
        self._begin: float | None = None
        self.kept = 0

    def keep(self, at: float, request: Request, answer: Answer) -> None:
        """Keep a request that came at ``at`` if it is a delivery. Never raises for what the request holds."""
        path = shown(f"http://app{request.target.partition('?')[0]}").removeprefix("http://app")
        events = _events(request)
        line = f"{' '.join(name for name, _ in events) or request.method} {path}: {answer.error or answer.status}"
        if not events:
            self._say(f"-> {line}; no events, not kept")
            return
        self._begin = at if self._begin is None else self._begin
        private = [self._pseudonyms.event(event) for _, event in events]
        status = None if answer.error else answer.status
        try:
            self._file.write(written(Line(round(max(0.0, at - self._begin), 3), private, status, path)))
        except OSError as error:
            self._say(f"-> {line}; cannot be kept ({error.strerror})")
            return
        self.kept += 1
        self._say(f"-> {line}")


def _events(request: Request) -> list[tuple[str, dict[str, Any]]]:
    """The names of a delivery's events, and the events as decoded JSON.

    Event Grid's validation is none: its code is for the app alone.
    """
    if request.method != "POST":
        return []
    try:
        events = [event for event in parse_delivery(request.body).events if event.type.lower() != VALIDATION]
        return [(_shown(event.name.rpartition(".")[2]), _decoded(event.raw)) for event in events]
    except (DeliveryError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _decoded(raw: bytes) -> dict[str, Any]:
    """The event, with its data as an object where the sender wrote the data as JSON in a text."""
    event: dict[str, Any] = msgspec.json.decode(raw)
    if isinstance(data := event.get("data"), str):
        with suppress(msgspec.DecodeError):
            event["data"] = msgspec.json.decode(data)
    return event


def _shown(name: str) -> str:
    # Anybody may send a type, and this one goes to a terminal.
    return name if name.isascii() and name.isalpha() and len(name) <= _LONGEST_NAME else "event"


_LONGEST_NAME = 60
