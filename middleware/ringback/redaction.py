"""What must not leave through a log line or an error body: phone numbers, raw ids, SIP URIs, tokens."""

from __future__ import annotations

import re

# One pass, first alternative wins. A GUID is matched only to step over it: it is an id to join on,
# and its last group may be all digits.
_PRIVATE = re.compile(
    r"""
    (?P<guid>  \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b )
  | (?P<token> \beyJ[\w-]+\.[\w-]+\.[\w-]* | \bBearer\s+[^\s"',;]+ )
  | (?P<sip>   \b(?:sips?|tel):[^\s"'<>;,)\]}]+ )
  | (?P<id>    (?<![\w:]) (?: 4:\+?\d{5,} | 8:[a-z]+:[\w:.+-]+ | 28:(?:[a-z]+:[\w:.+-]+ | [0-9a-fA-F-]{8,}) ) )
  | (?P<phone> \+\d[\d\ ().-]{5,}\d | (?<![\w.]) (?: \(?\d{3}\)?[\ .-]\d{3}[\ .-]\d{4} | \d{9,15} ) (?!\w) )
    """,
    re.VERBOSE,
)


def redact(text: str) -> str:
    """The text with every phone number, raw id, SIP URI and token replaced by its kind in brackets."""
    return _PRIVATE.sub(_replaced, text)


def _replaced(found: re.Match[str]) -> str:
    return found[0] if found.lastgroup == "guid" else f"[{found.lastgroup}]"
