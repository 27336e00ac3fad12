"""What a request asks to play, and how long that lasts: words at the pace of a speaker, a file a few seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ringback.simulator.wire import Refused, list_of, object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WORD = 0.4
"""Seconds that a word takes: 150 words in a minute."""

FILE = 3.0
"""Seconds that a file takes, which the simulator does not fetch."""


def sources(content: Mapping[str, Any]) -> list[object]:
    """The sources that a request names. Raises :class:`Refused` for none."""
    found = list_of(content.get("playSources"))
    if not found:
        raise Refused(400, "8523", "playSources is missing.")
    return found


def seconds(sources: Iterable[object], name: str) -> float:
    """How long these sources of a request last. Raises :class:`Refused` for a source that cannot be played."""
    return sum(_length(source, f"{name}[{index}]") for index, source in enumerate(sources))


def spoken(text: str) -> float:
    """The seconds that it takes to say this."""
    return WORD * len(text.split())


def _length(source: object, name: str) -> float:
    given = object_of(source)
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in _PARTS:
        raise Refused(400, "8523", f"{name} has kind {kind!r}; the kinds are {', '.join(_PARTS)}.")
    value = object_of(given.get(kind)).get(_PARTS[kind])
    if isinstance(value, str) and value.strip():
        return FILE if kind == "file" else spoken(re.sub(r"<[^>]*>", " ", value))
    if kind == "file":
        raise Refused(400, "8523", f"{name} has no uri.")
    # Microsoft's list of subcodes: "Play Source Text Or Ssml Empty".
    raise Refused(400, "8582", f"{name} has no text.")


# Kind of a source: the member that holds what is played.
_PARTS = {"file": "uri", "text": "text", "ssml": "ssmlText"}
