"""A text with every escaped sign decoded, and where each decoded sign begins in the text as written.

A text reaches a log through JSON, URLs, HTML or ``repr``, often through two of them. A pattern that searches the
decoded text for phone numbers need not know how the "+" is escaped.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from html import unescape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Escape(NamedTuple):
    before: str
    held: str
    after: str
    sign: Callable[[str], str]
    """Gives the sign for the text that ``held`` matches."""
    source: str


def _of_hex(held: str) -> str:
    return chr(int(held, 16))


def _of_digits(held: str) -> str:
    return chr(int(held))


def _of_name(held: str) -> str:
    return unescape(f"&{held};")


def _blank(_: str) -> str:
    return " "


def _of_percents(held: str) -> str:
    return bytes.fromhex(re.sub("%(?:25)*", "", held)).decode("utf-8", "replace")[0]


# A match starts only where a run of backslashes, of "25" or of "amp;" starts, so that time is linear in the text.
_RUN = r"(?<!\\)\\+"
_AGAIN = r"&(?:amp;)*"
_NAMES = "amp|apos|colon|commat|equals|gt|hyphen|lpar|lt|nbsp|num|period|plus|quot|rpar|sol"
_ESCAPES = {
    "unicode": _Escape(
        rf"(?:{_RUN}|%)u", "[0-9a-fA-F]{4}", "", _of_hex, "JSON: the service and .NET write + so; JavaScript: %u002B"
    ),
    "braced": _Escape(rf"{_RUN}u\{{0*", "[0-9a-fA-F]{1,5}", r"\}", _of_hex, "JavaScript"),
    "wide": _Escape(rf"{_RUN}U000", "[0-9a-fA-F]{5}", "", _of_hex, "Python"),
    "byte": _Escape(rf"{_RUN}x", "[0-9a-fA-F]{2}", "", _of_hex, "Python, JavaScript"),
    "quote": _Escape(_RUN, "[\"']", "", str, "JSON in JSON, repr"),
    "slash": _Escape(_RUN, "/", "", str, "JSON of PHP and others"),
    "blank": _Escape(_RUN, "[nrt]", "", _blank, "JSON, repr"),
    "percent": _Escape(
        "%(?:25)*",
        "[0-7][0-9a-fA-F]|[CcEe][0-9a-fA-F](?:%(?:25)*[89abAB][0-9a-fA-F]){1,2}",
        "",
        _of_percents,
        "URLs, often encoded twice",
    ),
    "decimal": _Escape(rf"{_AGAIN}\#0*", "[0-9]{1,6}", ";", _of_digits, "HTML, XML"),
    "hexadecimal": _Escape(rf"{_AGAIN}\#[xX]0*", "[0-9a-fA-F]{1,5}", ";", _of_hex, "HTML, XML"),
    "named": _Escape(_AGAIN, _NAMES, ";", _of_name, "HTML"),
}
_ESCAPED = re.compile("|".join(f"{row.before}(?P<{name}>{row.held}){row.after}" for name, row in _ESCAPES.items()))
_FOREIGN = re.compile(r"[^\x00-\x7f]")

BLANK = "\ue020"
_DELIMITERS = frozenset("\"'&#<>?[]/\\")


def escaped(sign: str) -> str:
    """A letter of no alphabet that stands for an escaped delimiter, one letter for all white space; else the sign.

    An escaped delimiter may begin a value, as in ``\\"secret\\":\\"...``, but ends no value that began without an
    escape: in ``?code=a%26b`` all of ``a%26b`` is the code.
    """
    if sign.isspace():
        return BLANK
    return chr(ord(BLANK) - ord(" ") + ord(sign)) if sign in _DELIMITERS else sign


def meant(text: str) -> tuple[str, Sequence[int]]:
    """The decoded text; and for each decoded sign where it begins in ``text``, then the length of ``text``.

    Signs of other scripts that stand for digits, spaces, dashes and other ASCII signs become the ASCII signs.
    """
    pieces: list[str] = []
    places: list[int] = []
    last = 0
    # Most texts have no sign that an escape begins with, and the search costs time.
    for found in _ESCAPED.finditer(text) if "\\" in text or "%" in text or "&" in text else ():
        start, end = found.span()
        name = str(found.lastgroup)
        sign = _ESCAPES[name].sign(found[name])
        # An escaped slash delimits like a plain slash: a sender that escapes slashes escapes every slash.
        pieces += text[last:start], sign if name == "slash" else escaped(sign)
        places += range(last, start + 1)
        last = end
    pieces.append(text[last:])
    read = "".join(pieces)
    if not read.isascii():
        read = _FOREIGN.sub(lambda found: _in_ascii(found[0]), read)
    return read, [*places, *range(last, len(text) + 1)] if places else range(len(text) + 1)


@lru_cache(maxsize=1024)
def _in_ascii(sign: str) -> str:
    digit = unicodedata.decimal(sign, None)
    if digit is not None:
        return str(digit)
    category = unicodedata.category(sign)
    if category == "Pd" or sign == "\u2212":
        return "-"
    if sign in _MIDDLE_DOTS:
        return "."
    if category == "Cf":
        # Numbers that a person copied from an address book hold invisible marks of the writing direction.
        return INVISIBLE
    folded = unicodedata.normalize("NFKC", sign)
    # A raised digit marks a footnote, and is no part of a number.
    return folded if len(folded) == 1 and not folded.isdigit() else sign


INVISIBLE = "\u200b"
_MIDDLE_DOTS = "\u00b7\u2022\u2027\u2219\u22c5"


def visible(text: str, *, kept: str = "") -> str:
    """The text with an escape for each sign that a terminal obeys, that nobody sees or that no stream takes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in kept else repr(each)[1:-1] for each in text)
