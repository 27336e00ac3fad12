"""A line of text: ``key=value`` as logging's text, ConsoleRenderer, LogfmtRenderer and KeyValueRenderer write a line.

These writers quote every value with a blank, so that no text of a sender can pass for a key. A value that is cut off is
left out.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ringback.cli.reading.line import EVENTS, OUTCOME, Why, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_NAME = re.compile(rf"(?<![\w.\"'])(?:{'|'.join(map(re.escape, EVENTS))})(?![\w.])")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?(?![\w.,])")
_DOUBLE, _SINGLE = r'"(?:[^"\\]|\\.)*"', r"'(?:[^'\\]|\\.)*'"
_LIST = rf"""\[(?:{_DOUBLE}|{_SINGLE}|[^\]"'])*\]"""
_OBJECT = rf"""\{{(?:{_DOUBLE}|{_SINGLE}|[^}}"'])*\}}"""
_PAIR = re.compile(
    rf"""(?<![^\ ])(?P<key>[A-Za-z_][\w.@-]*)=(?:
        (?P<quoted>{_DOUBLE}|{_SINGLE}|{_LIST}|{_OBJECT})(?![^\ ])
        |(?P<bare>[^\ "'][^\ ]*|(?![^\ ]))
        |(?P<cut>.*)
    )""",
    re.VERBOSE,
)
_TWO_VALUES = re.compile(r"'.* [A-Za-z_][\w.@-]*=")
_KEY_WITHIN = re.compile(r" [A-Za-z_][\w.@-]*=")
# Python's quotes around a text with a space; logfmt has double quotes there.
_IN_PYTHON = re.compile(r"'[^=]* [^=]*'")
_NOTHING = ("", "None", "null")
WHOLE = "confidence"
"""A key of every line but those of logging's text, which leaves the carrier's words out and cuts long values."""

_CUT = ("...", "…")
"""How a cut value ends in logging's text, and how it ended before 0.2.0."""

_LONGEST = 100_000
"""Characters that a value may have to be read as Python."""


def fields_in(text: str) -> Mapping[str, Any] | Why | None:
    """The fields of one line of text; ``None`` for a text that another program wrote."""
    text = _COLOURS.sub("", text).strip("\r\n")
    fields: dict[str, Any] = {}
    start = len(text)
    pairs = list(_PAIR.finditer(text))
    is_python = any(_IN_PYTHON.fullmatch(pair["quoted"] or "") for pair in pairs)
    for pair in pairs:
        key, start = pair["key"], min(start, pair.start())
        value = pair["bare"] if pair["quoted"] is None else literal(pair["quoted"])
        if pair["cut"] is not None:
            break
        if not is_python and _TWO_VALUES.match(pair["quoted"] or ""):
            # Python's quotes stand around one text; in logfmt two texts may have one such quote.
            continue
        if value is None and _KEY_WITHIN.search(pair["quoted"]):
            # One value has the bracket that begins here, and another value the bracket that ends.
            return Why.CUT
        if key in fields:
            return Why.TWICE
        # LogfmtRenderer writes the end of a line as \n, and a backslash before an n in the same way.
        if value not in _NOTHING and "\\n" not in (pair["bare"] or ""):
            fields[key] = value
    # The name may stand between the fields as well: OpenTelemetry's own format begins with fields.
    before = text[:start] + " ".join(
        text[one.end() : other.start()] for one, other in pairwise(pairs) if one["cut"] is None
    )
    name = next(iter(_NAME.findall(before)), None) or name_of(fields)
    if name is None:
        return None
    fields["event"] = name
    time = _TIME.search(before)
    if time is not None and "timestamp" not in fields:
        fields["timestamp"] = time[0]
    if name == OUTCOME and WHOLE not in fields:
        fields = {key: value for key, value in fields.items() if not str(value).endswith(_CUT)}
        fields["schema"] = 0
    return fields


def literal(text: str) -> Any:
    """The value of a text that is JSON or a Python literal; ``None`` for any other text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if len(text) > _LONGEST:
            return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
