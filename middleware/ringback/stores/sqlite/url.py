"""What the URL of an SQLite store says: a file, and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def parts_of(url: str) -> tuple[str, str]:
    """The path and the query of a URL. Raises :class:`ConfigurationError` for a URL that names no file."""
    remedy = (
        "write 'sqlite:///ringback.db' for a file in the working directory, "
        "'sqlite:////var/lib/app/ringback.db' for any other, or None to keep everything in memory"
    )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"the URL of the SQLite store cannot be read; {remedy}") from None
    path = unquote(parts.path).removeprefix("/")
    if path.startswith("~"):
        raise ConfigurationError(f"store {path!r}: nobody expands '~' in a URL; write 'sqlite:////' and the whole path")
    if parts.netloc or parts.fragment or not path or path == ":memory:" or "\0" in path:
        # Without the URL, which may hold a password if its scheme is a mistake.
        raise ConfigurationError(f"the URL of the SQLite store names no file; {remedy}")
    return path, parts.query


SETTINGS: dict[str, Callable[[str], Any]] = {
    "lease": float,
    "poll": float,
    "timeout": float,
    "max_backlog": int,
    "min_free": int,
    "keep": float,
    "remember": float,
    "network": {"0": False, "1": True}.__getitem__,
}
"""The settings that may follow the path, and how the text of each is read."""
