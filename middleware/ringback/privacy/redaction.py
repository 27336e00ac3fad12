"""The redaction of texts: what replaces private text in log lines, error bodies and JSON.

The table of private.py finds the private text; this module replaces it.
"""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from string import ascii_letters, digits, hexdigits
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from ringback.exceptions import ConfigurationError
from ringback.privacy.kinds import HASHED, KEPT
from ringback.privacy.private import group_of, private_text
from ringback.privacy.written import meant

if TYPE_CHECKING:
    from collections.abc import Callable

# Texts that no row of private.py matches: words with few digits, where dashes and slashes do not join digits to digits.
# A longer text that ends in "==" may be 64 bytes in base64.
_OPEN = re.compile(r"[A-Za-z_/-]*(?:[0-9]{1,8}[-/]?[A-Za-z_][A-Za-z_/-]*)*[0-9]{0,8}(?:=?|==(?<!.{88}))")
_KEYED_HASH = re.compile("[0-9a-f]{64}")
_HIDDEN = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)

LONGEST_REMEMBERED = 512
"""Characters of the longest text whose redaction is cached: longer texts would fill memory."""

LONGEST = 2048
"""Characters of the longest text that is kept whole. A megabyte of a sender's text would hold the event loop for a
second, and fill the log."""
_BEYOND = 512
"""Characters behind a cut that are searched as well, for private text that begins before the cut."""

SHORTEST_KEY = 16
"""Bytes of the shortest key that nobody can guess."""
_HASH_DIGITS = 10


def is_open(text: str) -> bool:
    """Whether a cheap test finds that a text holds nothing private. ``False`` leaves the answer to the patterns."""
    if " " in text:
        # Everything below says the same at twenty times the cost: most messages have blanks between words.
        return False
    letters = text.encode("ascii", "replace")
    rest = letters.translate(None, _IN_WORDS)
    # With no other signs, and fewer digits than the shortest number has, nothing can be private.
    if not rest or (len(rest) <= _FEW and rest.isdigit()):
        return True
    # As in open_ids. The known prefixes of a GUID are not private, and change no match behind them.
    if letters[-36:].translate(_SHAPES) == _GUID and letters[:-36] in _BEFORE_A_GUID:
        return True
    return _OPEN.fullmatch(text) is not None


def open_ids(event: str | None, leg: str | None, call: str | None, server: str | None) -> bool:
    """Whether an event's ids are written as the service writes them, so that :func:`redact` would change none.

    The first three are GUIDs; a server call id is a URL in base64, of some hundred letters.
    """
    # One translation turns every hex digit into "x", so that one comparison knows three GUIDs.
    if f"{event}\n{leg}\n{call}".encode("ascii", "replace").translate(_SHAPES) != _THREE_GUIDS:
        return False
    if server is None:
        return True
    if len(server) > LONGEST:
        return False
    letters = server.encode("ascii", "replace")
    if letters.isalnum():
        # No private text begins within a word of letters and digits, but the whole word may be a number.
        return not letters.isdigit()
    rest = letters.translate(None, _LETTERS)
    if rest and (rest != b"=" or server[-1] != "="):
        # A "/" of base64 divides the id into words, which `is_open` looks at.
        return is_open(server)
    return not server.rstrip("=").isdigit()


_SHAPES = bytes(ord("x") if chr(byte) in hexdigits else byte if chr(byte) in "-\n" else 0 for byte in range(256))
_GUID = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_BEFORE_A_GUID = frozenset({b"", b"call:", b"event:", b"calling/callConnections/"})
_THREE_GUIDS = b"\n".join(3 * [_GUID])
_LETTERS = f"{ascii_letters}{digits}_".encode()
_IN_WORDS = f"{ascii_letters}_/-".encode()
_FEW = 8


def redact(text: str) -> str:
    """The text with all private text in it replaced, in the mode that :func:`use_redaction` chose.

    Of a text of more than :data:`LONGEST` characters only the beginning is kept, with the number of its characters.
    """
    if len(text) > LONGEST:
        return f"{_current.begun(text[:LONGEST])}[... of {len(text)} characters]"
    if is_open(text):
        return text
    return _current.remembered(text) if len(text) <= LONGEST_REMEMBERED else _current.redacted(text)


def redact_if_told(text: str | None) -> str | None:
    """The redacted text; ``None`` for ``None``."""
    return None if text is None else redact(text)


def is_hashed(contact: str) -> bool:
    """Whether this is a contact as a store has it for a redial that hashes contacts."""
    return _KEYED_HASH.fullmatch(contact) is not None


def redact_contact(contact: str | None) -> str | None:
    """The head of a keyed hash of a contact. Redaction cannot recognize a name or an address, so neither is shown."""
    if contact is None:
        return None
    return f"hash {contact[:12]}" if is_hashed(contact) else "[contact]"


def redact_repr(value: object) -> str:
    """The redacted ``repr``: for an error about a setting, which may be a secret in the wrong place."""
    return redact(repr(value))


class Shown(Struct, frozen=True):
    """A value whose ``repr`` is redacted, because a ``repr`` ends up in logs."""

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = (f"{name}={redact_contact(value) if name == 'contact' else value!r}" for name, value in values)
        return redact(f"{type(self).__name__}({', '.join(shown)})")


def redact_place(text: str) -> str:
    """The redacted source or subject of an event, without the user, query and fragment of its URL."""
    return text if is_open(text) else redact(_HIDDEN.sub("", text))


def use_redaction(mode: Literal["mask", "hash"] | None, key: bytes | str | None = None) -> None:
    """Choose, for the whole process, what replaces private text in logs, error bodies and JSON.

    ``"mask"``, the default, writes the kind of the private text: ``[phone]``. ``"hash"`` adds ten hex digits,
    ``[phone:3f9a1c02b7]``. Equal texts have equal digits, so that a reader can join lines; a phone number has the
    same digits however it is written. ``key``, of 16 bytes or more, keeps a reader from trying all phone numbers.
    ``None`` redacts nothing: for a developer's own machine. Raises :class:`ConfigurationError` for an unknown mode,
    for ``"hash"`` without a key, for a short key, and for a key in another mode.
    """
    global _current
    if mode == "hash":
        _current = _redaction(_hashing(_checked(key)))
    elif key is not None:
        raise ConfigurationError(f"redaction {mode!r} takes no key; pass mode 'hash', or leave the key out")
    elif mode == "mask":
        _current = _redaction(_masked)
    elif mode is None:
        _current = _Redaction(str, str, str)
    else:
        # What is as long as a key may be the key.
        shown = f" {mode!r}" if len(str(mode)) < SHORTEST_KEY else ""
        raise ConfigurationError(f"redaction{shown} is unknown; use 'mask', 'hash' or None")


class _Redaction(NamedTuple):
    """One mode with its cache. :func:`use_redaction` replaces both at once, so that no thread mixes two modes."""

    redacted: Callable[[str], str]
    remembered: Callable[[str], str]
    begun: Callable[[str], str]
    """Redacts the beginning of a longer text, and leaves out what the end of the beginning may have cut in two."""


def _redaction(standing_in: Callable[[str, str], str]) -> _Redaction:
    def redacted_until(text: str, end: int) -> str:
        """The redacted text up to ``end``, or up to the private text that stands there."""
        read, places = meant(text)
        pieces: list[str] = []
        last = 0
        for found in private_text().finditer(read):
            kind, group = group_of(found)
            if kind not in KEPT:
                first, after = (places[place] for place in found.span(group))
                if after > end:
                    end = min(end, first)
                    break
                pieces += text[last:first], standing_in(kind, found[group])
                last = after
        return "".join([*pieces, text[last:end]])

    def redacted(text: str) -> str:
        return redacted_until(text, len(text))

    def begun(text: str) -> str:
        # At a blank, because private text of any length has none.
        return redacted_until(text, max(text.rfind(blank, 0, -_BEYOND) for blank in " \n") + 1)

    # A call's ids stand in several lines, and the same event types and messages in lines of all calls.
    return _Redaction(redacted, lru_cache(maxsize=2048)(redacted), begun)


def _masked(kind: str, private: str) -> str:
    # This mode makes no hashes, so what looks like a hash may be a number.
    return private.partition(":")[0] + "]" if kind == HASHED else f"[{kind}]"


def _hashing(key: bytes) -> Callable[[str, str], str]:
    def hashed(kind: str, private: str) -> str:
        if kind == HASHED:
            return private
        text = _normalised(kind, private).encode("utf-8", "surrogatepass")
        return f"[{kind}:{hmac.digest(key, text, 'sha256').hex()[:_HASH_DIGITS]}]"

    return hashed


def _normalised(kind: str, private: str) -> str:
    """One text for all spellings of the same private text; a phone number's digits, also for a ``tel:`` address."""
    lowered = private.lower()
    if kind == "phone" or lowered.startswith(("4:", "tel:")):
        return _number(lowered.removeprefix("4:").removeprefix("tel:")) or lowered
    if kind == "token":
        return private.split()[-1] if private.strip() else private
    return private if kind in ("context", "secret") else lowered


# Australia dials 0011 for "+". No number of North America begins with 11, so 0011 is not 00 and 11. A number of Turin
# also begins with 011, and is shorter than any number that a caller dials with 011 for "+".
_ABROAD = re.compile(r"\(?\+[ (]*(?:00)?|(?:0011(?=[1-9])|011(?=\D*[1-9](?:\D*\d){8})|00)")


def _number(written: str) -> str:
    """The digits of a phone number, without what a caller dials for "+" or drops when calling from abroad."""
    abroad = _ABROAD.match(written)
    rest = written[abroad.end() :].replace("(0)", "") if abroad else written
    return "".join(filter(str.isdecimal, rest))


def _checked(key: bytes | str | None) -> bytes:
    given = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    if not isinstance(given, bytes):
        raise ConfigurationError("redaction 'hash' needs a key, bytes or text; pass key=secrets.token_bytes(32)")
    if len(given) < SHORTEST_KEY:
        raise ConfigurationError(
            f"a redaction key of {len(given)} bytes can be guessed; use at least {SHORTEST_KEY}, "
            "such as secrets.token_bytes(32), the same in every process whose lines are to be joined"
        )
    return given


_current = _redaction(_masked)
