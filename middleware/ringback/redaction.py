"""What must not leave through a log line or an error body: phone numbers, raw ids, SIP URIs, tokens, secrets."""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from string import ascii_letters, digits, hexdigits
from typing import TYPE_CHECKING, Literal, NamedTuple

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

# One pass, first alternative wins; the first line only skips quickly where nothing can start. What is
# kept is matched to step over it: a GUID is an id to join on and may end in digits, a fraction may
# have as many as a phone number, and so may a hash. "Bearer" before a plain word is Q.850's ("Bearer
# capability not authorized"). A token's head stops where another could start, all else is bounded or
# anchored: time is linear in the text, which strangers write. No secret contains a bracket, so what
# stands in for one is never taken for one.
_PRIVATE = re.compile(
    r"""
  (?: (?=[+(%?&\[]) | (?<![A-Za-z])(?=[\da-fA-FiIsStT]) )
  (?:
    (?P<guid>  \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b )
  | (?P<hashed> \[(?:phone|id|sip|token|context|secret):[0-9a-f]{10}\] )
  | (?i: incoming_?call_?context \\*["']?\s*[:=]\s*\\*["']? )
    (?P<context> (?: ['.,;:)}!?]*+ (?:[^\s&"<>\[\]\\'.,;:)}!?]++|\\(?=[/u]))++ )++ )
  | [?&](?i: secret|token|sig|code|key|access_token )=
    (?P<secret> (?: ['.,;:)}!?]*+ (?:[^\s&\#"<>\[\]\\'.,;:)}!?]++|\\(?=[/u]))++ )++ )
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

# What no alternative above can match: words with few digits, where dashes and slashes do not join digits to digits.
_OPEN = re.compile(r"(?:[0-9]{0,8}[-/]?[A-Za-z_][A-Za-z_/-]*+)++[0-9]{0,8}={0,2}")
_KEPT = frozenset({"guid", "fraction"})
_HIDDEN = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)

LONGEST_REMEMBERED = 512
"""Characters of a text for which its redaction is remembered; what is remembered stays small by that."""
_MANY = 2048

SHORTEST_KEY = 16
"""Bytes of a key that is not to be guessed."""
_HASH_DIGITS = 10


def is_open(text: str) -> bool:
    """Whether nothing in a text is private, for most texts of which that is so; they are ASCII without quotes."""
    letters = text.encode("ascii", "replace")
    # As in open_ids. What stands before a GUID is nothing to redact, and nothing that changes what is behind it.
    if letters[-36:].translate(_SHAPES) == _GUID and letters[:-36] in _BEFORE_A_GUID:
        return True
    rest = letters.translate(None, _IN_WORDS)
    # With no other signs, and fewer digits than the shortest number has, nothing can be private.
    if not rest or (len(rest) <= _FEW and rest.isdigit()):
        return True
    return _OPEN.fullmatch(text) is not None


def open_ids(event: str | None, leg: str | None, call: str | None, server: str | None) -> bool:
    """Whether nothing is private in an event's ids, if they are such as the service makes them. All at once.

    The first three are GUIDs; a server call id is a URL in base64, of some hundred letters.
    """
    # Letters become what they are good for: three GUIDs are then always the same text.
    if f"{event}\n{leg}\n{call}".encode("ascii", "replace").translate(_SHAPES) != _THREE_GUIDS:
        return False
    if server is None:
        return True
    letters = server.encode("ascii", "replace")
    if letters.isalnum():
        # In one long word nothing can start that is private, but a number may be the whole of it.
        return not letters.isdigit()
    rest = letters.translate(None, _LETTERS)
    if rest and (rest != b"=" or server[-1] != "="):
        # What ends in "?" is "/" in base64: then the parts between count.
        return is_open(server)
    return not server.rstrip("=").isdigit()


_SHAPES = bytes(ord("x") if chr(each) in hexdigits else each if chr(each) in "-\n" else 0 for each in range(256))
_GUID = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_BEFORE_A_GUID = frozenset({b"", b"call:", b"event:", b"calling/callConnections/"})
_THREE_GUIDS = b"\n".join(3 * [_GUID])
_LETTERS = f"{ascii_letters}{digits}_".encode()
_IN_WORDS = f"{ascii_letters}_/-".encode()
_FEW = 8


def redact(text: str) -> str:
    """The text with whatever is private in it replaced, as :func:`use_redaction` says."""
    if is_open(text):
        # Most of what is asked for: the ids to join on, and words.
        return text
    return _current.remembered(text) if len(text) <= LONGEST_REMEMBERED else _current.redacted(text)


def redact_if_told(text: str | None) -> str | None:
    """``None`` for what was not told, the redacted text else."""
    return None if text is None else redact(text)


def redact_to_json(text: str) -> str:
    """The redacted text as a JSON string in ASCII."""
    return _current.rendered(text) if len(text) <= LONGEST_REMEMBERED else quoted(_current.redacted(text))


def redact_place(text: str) -> str:
    """The redacted source or subject of an event, also without what its URL may hide: user, query and fragment."""
    return text if is_open(text) else redact(_HIDDEN.sub("", text))


def current() -> object:
    """The mode at work: another one whenever :func:`use_redaction` has been called. For who remembers what it made."""
    return _current


def use_redaction(mode: Literal["mask", "hash"] | None, key: bytes | str | None = None) -> None:
    """Choose, for the whole process, what stands in for private text in logs, error bodies and JSON.

    ``"mask"``, the default, leaves its kind: ``[phone]``. ``"hash"`` adds ten hex digits that are
    the same wherever the same text stood, ``[phone:3f9a1c02b7]``, so that lines can be joined by
    them; ``key``, of 16 bytes or more, keeps numbers from being found by trying all of them. A phone
    number's hash does not depend on how it is written. ``None`` redacts nothing: for a developer's
    own machine. Raises :class:`ConfigurationError` for an unknown mode, and for a key that is
    missing, too short or of no use.
    """
    global _current
    if mode == "hash":
        _current = _redaction(_hashing(_checked(key)))
    elif key is not None:
        raise ConfigurationError(f"redaction {mode!r} takes no key; pass mode 'hash', or leave the key out")
    elif mode == "mask":
        _current = _redaction(_masked)
    elif mode is None:
        _current = _Redaction(str, str, quoted)
    else:
        raise ConfigurationError(f"redaction {mode!r} is unknown; use 'mask', 'hash' or None")


class _Redaction(NamedTuple):
    """A mode at work. Exchanged as one, with what it remembers: no thread sees half of a change."""

    redacted: Callable[[str], str]
    remembered: Callable[[str], str]
    rendered: Callable[[str], str]


def _redaction(replaced: Callable[[re.Match[str]], str]) -> _Redaction:
    def redacted(text: str) -> str:
        return _PRIVATE.sub(replaced, text)

    def rendered(text: str) -> str:
        return quoted(redacted(text))

    # A call's ids stand in several lines, and event types and messages in every one. Long texts are
    # left out, so that what is remembered stays small.
    remembered = lru_cache(maxsize=_MANY)
    return _Redaction(redacted, remembered(redacted), remembered(rendered))


def _masked(found: re.Match[str]) -> str:
    kind = str(found.lastgroup)
    if kind in _KEPT:
        return found[0]
    if kind == "hashed":
        # Nobody hashes in this mode: it may be a number that was written like one.
        return found[0].partition(":")[0] + "]"
    return f"{_before(found, kind)}[{kind}]"


def _hashing(key: bytes) -> Callable[[re.Match[str]], str]:
    def hashed(found: re.Match[str]) -> str:
        kind = str(found.lastgroup)
        if kind in _KEPT or kind == "hashed":
            return found[0]
        text = _normalised(kind, found[kind]).encode("utf-8", "surrogatepass")
        return f"{_before(found, kind)}[{kind}:{hmac.digest(key, text, 'sha256').hex()[:_HASH_DIGITS]}]"

    return hashed


def _before(found: re.Match[str], kind: str) -> str:
    """What names the private text and stays: a parameter's name, a key."""
    return found[0][: found.start(kind) - found.start()]


def _normalised(kind: str, text: str) -> str:
    """The same for each way to write the same thing; a phone number is its digits, whatever it is part of."""
    lowered = text.lower()
    if kind == "phone" or lowered.startswith(("4:", "tel:")):
        bare = lowered.removeprefix("4:").removeprefix("tel:").removeprefix("%2b")
        return "".join(str(int(each)) for each in bare if each.isdecimal()).removeprefix("00") or lowered
    if kind == "token":
        return text.split()[-1]
    return text if kind in ("context", "secret") else lowered


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
