"""What must not leave through a log line or an error body: phone numbers, raw ids, SIP URIs, tokens."""

from __future__ import annotations

import re
from functools import lru_cache

# One pass, first alternative wins; the first line only skips quickly where nothing can start. What is
# kept is matched to step over it: a GUID is an id to join on and may end in digits, a fraction may
# have as many as a phone number. "Bearer" before a plain word is Q.850's ("Bearer capability not
# authorized"). A token's head stops where another could start, all else is bounded or anchored: time
# is linear in the text, which strangers write.
_PRIVATE = re.compile(
    r"""
  (?: (?=[+(%]) | (?<![A-Za-z])(?=[\da-fA-FsStT]) )
  (?:
    (?P<guid>  \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b )
  | (?P<token> eyJ(?:(?!(?<![A-Za-z])eyJ)[\w-])+(?:\.[\w-]*){2,}
             | (?i:Bearer)\s+(?![A-Za-z]{1,20}[.:]?(?![\w.~+/=-]))[\w.~+/=-]+ )
  | (?P<sip>   (?i:sips?|tel):[^\s"'<>;,)\]}]+ )
  | (?P<id>    (?<!\w)
               (?: 4:\+?\d{5,} | 8:[A-Za-z-]+:[\w:.+-]*\w | 28:(?:[A-Za-z-]+:[\w:.+-]*\w | [\w-]{8,}) ) )
  | (?P<phone> (?:\+|%2[Bb])\d[\d\ \xa0\u2010-\u2015().\/-]{5,}\d
             | (?: \(\d{3}\)[\ .-]?\d{3}[\ .-]\d{4} | (?<!\w)(?:\d{3}[\ .-]\d{3}[\ .-]\d{4} | \d{9,15}) )
               (?! (?!(?i:sips?:|tel:|Bearer\s)|eyJ) \w ) )
  | (?P<fraction> (?<!\w)\d{1,8}\.\d+ )
  )
    """,
    re.VERBOSE,
)

_KEPT = frozenset({"guid", "fraction"})


_SHORT = 512
_MANY = 2048


def redact(text: str) -> str:
    """The text with every phone number, raw id, SIP URI and token replaced by its kind in brackets."""
    return _remembered(text) if len(text) <= _SHORT else _redacted(text)


def _redacted(text: str) -> str:
    return _PRIVATE.sub(_replaced, text)


# A call's ids stand in several lines, and event types and messages in every one. Long texts are
# left out, so that what is remembered stays small.
_remembered = lru_cache(maxsize=_MANY)(_redacted)


def _replaced(found: re.Match[str]) -> str:
    return found[0] if found.lastgroup in _KEPT else f"[{found.lastgroup}]"
