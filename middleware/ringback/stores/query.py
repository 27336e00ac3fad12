"""The settings behind the question mark of a store's URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def settings_in(query: str, kinds: Mapping[str, Callable[[str], Any]], shown: str) -> dict[str, Any]:
    """The settings by name, read as ``kinds`` says. Errors name the store as ``shown``.

    Raises :class:`ConfigurationError` for a name that ``kinds`` lacks or that is there twice, and for a value that is
    no number.
    """
    settings: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in kinds:
            raise ConfigurationError(f"store {shown!r}: {name!r} is no setting; there are {', '.join(kinds)}")
        if name in settings:
            raise ConfigurationError(f"store {shown!r}: {name!r} is set twice; leave one of the two out")
        try:
            settings[name] = kinds[name](value)
        except (KeyError, ValueError):
            raise ConfigurationError(f"store {shown!r}: {name} {value!r} is no number") from None
    return settings
