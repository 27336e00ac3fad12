"""One line as text: ``key=value`` behind the event's name, for handlers of logging that write no JSON."""

from __future__ import annotations

from itertools import chain
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ringback.privacy.written import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_TEXT = 400
"""Characters of a line of text: more does not fit on a terminal's screen with other lines."""

LINES = "\n\t"
"""What stays in a text of several lines, such as a traceback."""

_BELOW = ("exception", "example")
_CUT = "..."
"""The end of a value that was cut, in ASCII: many a stream, such as one of Latin-1, cannot write an ellipsis."""


class Text(msgspec.Struct):
    """The ``key=value`` behind the event of a line, made only if a handler asks.

    A value that does not fit into the line is cut; tracebacks follow.
    """

    event: str
    fields: Mapping[str, Any]
    keys: Iterable[str]

    def __str__(self) -> str:
        fields, parts = self.fields, [self.event]
        for name in self.keys:
            value = fields.get(name)
            if value is not None and name not in _BELOW:
                text = value if type(value) is str else _words(value)
                parts.append(f"{name}={text if text.isalnum() else _quoted(text)}")
        line = " ".join(parts)
        if len(line) > LONGEST_TEXT:
            line = _cut(parts, fields)
        for name in _BELOW:
            if name in fields:
                line = f"{line}\n{visible(fields[name].rstrip(), kept=LINES)}"
        return line[len(self.event) :]

    def __repr__(self) -> str:
        """The text: logging shows a record's arguments where a handler fails, Sentry beside each issue."""
        return repr(str(self))


def _words(value: object) -> str:
    return " ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)


def _quoted(text: str) -> str:
    if not text.isprintable():
        # As JSON escapes text, so that no text of a sender can begin a line of its own.
        return encode_basestring_ascii(text)
    return encode_basestring(text) if " " in text or '"' in text else text


def _cut(parts: Iterable[str], fields: Mapping[str, Any]) -> str:
    """The parts that fit, and as much of the others. A text is cut before it is quoted, so that a quote closes it."""
    line, *parts = parts
    for part in parts:
        name = part.partition("=")[0]
        text, room = _words(fields[name]), LONGEST_TEXT - len(line) - len(name) - len(f" ={_CUT}")
        cuts = (f"{name}={_quoted(text[:length] + _CUT)}" for length in range(room, 0, -1))
        fitting = (f"{line} {each}" for each in chain([part], cuts))
        line = next((each for each in fitting if len(each) <= LONGEST_TEXT), line)
    return line
