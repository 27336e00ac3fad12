"""The table of private text: patterns with their reasons. The first row that matches at a place counts.

The patterns search decoded text (see :mod:`ringback.privacy.written`), so no pattern knows an escape. Text that looks
private and is not has a row of a kind in :data:`~ringback.privacy.kinds.KEPT`, which steps over the text.

Strangers write the texts, so the time of a search must be linear: a row starts only where a run of its letters
starts, or looks ahead a fixed way, or ends in what the row has matched. No row needs a possessive quantifier or an
atomic group, which CPython compiles wrongly before 3.11.5.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from ringback.privacy.kinds import HASHED, KINDS, STAND_IN
from ringback.privacy.named_values import (
    ESCAPED_QUOTES,
    IN_HEADER,
    IN_LIST,
    IN_URL,
    IS,
    OPENING,
    QUOTE,
    QUOTES,
    SOME,
    SPACE,
    ending,
    value,
)
from ringback.privacy.phone_numbers import DIGIT, END, FORMS
from ringback.privacy.written import BLANK, escaped


class Row(NamedTuple):
    """One way to write something."""

    kind: str
    first: str
    """The signs that a match may begin with, as in a regular expression's set: so the search skips most rows."""
    before: str
    """The pattern of the text before the private text, such as its name. The redaction keeps this text."""
    private: str
    why: str


_APOSTROPHE = f"['{escaped(chr(39))}]"
_DATE = r"(?:19|20)\d\d[./-]\d\d[./-]\d\d|\d\d?[./-]\d\d?[./-](?:19|20)\d\d"
_TIME = r"\d\d?:\d\d:\d\d(?:[.,]\d{1,9})?(?!\d)(?:[+-]\d\d:?\d\d(?!\d))?"
_TRACE = "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
GUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# What a number may begin with, and what may follow it in an address.
_LEAD = rf"[+( {BLANK}]{{0,4}}\d"
_REST = r"(?:[^\s\"'`<>;,)\[\]}]|\[(?=[0-9a-fA-F]{0,4}:))"
# "Bearer capability not authorized" is Q.850's, "Basic authentication" anybody's.
_NO_WORD = r"(?!(?:[A-Z]?[a-z]{1,19}|[A-Z]{2,20})[.:,]?(?![\w.~+/=-]))"

_KEYS = (
    "access|account|admin|api|auth|client|encryption|functions?|host|instrumentation|master|private|primary|sas|secondary"
    "|secret|service|shared(?:[-_]?access)?|signing|storage|subscription|webhook|x-ms-[a-z-]{1,32}"
)
_TOKENS = "access|api|auth|bearer|csrf|id|refresh|sas|security|session|xsrf"
_SECRETS = rf"secret|pass(?:word|wd|phrase)|(?<![a-z])(?:pwd|jwt)|(?:{_KEYS})[-_ ]?key|(?:{_TOKENS})[-_]?token"
_LETTERS = "abcefhijmprswxABCEFHIJMPRSWX"

ROWS = (
    Row(HASHED, r"\[", "", rf"\[(?:{'|'.join(KINDS)}):[0-9a-f]{{10}}\]", "nothing is hashed twice"),
    Row(
        "context", "iI", rf"(?i:incoming_?call_?context){IS}", value(ending(IN_LIST)), "it answers the call for anyone"
    ),
    Row(
        "secret",
        rf"?&{escaped('?')}{escaped('&')}",
        rf"[?&{escaped('?')}{escaped('&')}]"
        r"(?i:secret|token|sig|sas|jwt|sid|session_?id|key|access_token|code(?!=[1-6]\d\d(?![^\s&#,;)\"'])))="
        rf"{SOME}",
        ending(IN_URL),
        "the secret of a callback URL, a function's key, a signed URL; a code of three digits is a status",
    ),
    Row(
        "token",
        "aAsS",
        rf"(?i:(?<![a-z])(?:authorization|aeg-sas-(?:key|token))|shared[-_]?access[-_]?signature){IS}",
        value(rf"(?i:Digest)\s[^\n]+|(?:[A-Za-z][\w-]*{SPACE}{{1,8}})?{ending(IN_HEADER)}"),
        "whatever its scheme",
    ),
    Row(
        "secret",
        _LETTERS,
        # First a cheap test for the end of a name: most words are no names.
        rf"(?=[\w-]{{2,48}}(?: [kK][eE][yY])?{SPACE}{{0,8}}[:={QUOTES}])(?i:{_SECRETS}){IS}",
        value(ending(IN_LIST)),
        "connection strings, settings, headers",
    ),
    Row(
        "secret",
        "tTsS",
        rf"(?i:(?<![a-z])(?:token|sig|signature|sas|session[-_]?id))"
        rf"(?:{SPACE}?=(?:{SPACE}(?={QUOTE}))?{OPENING}|[{QUOTES}]{SPACE}?:{SPACE}?{SOME}{QUOTE}{SOME})",
        value(ending(IN_LIST)),
        'settings and JSON; a sentence may well say "token: expired"',
    ),
    Row(
        "secret",
        "cCsS",
        rf"(?i:(?<![a-z])(?:set-)?cookie){IS}(?=[\w.-]+=)",
        value(r'[^\n"]+'),
        "a session is a person's",
    ),
    Row(
        "secret",
        "kK",
        rf"(?i:(?<![a-z])key){IS}",
        r"(?!aHR0c|[0-9a-fA-F]+(?![\w+/=-]))[A-Za-z0-9+/]{40,}={0,2}",
        "a name of anything, unless its value is long and no hash",
    ),
    Row(
        "secret",
        "kK",
        rf"(?i:(?<![a-z])key[12]){IS}",
        r"[A-Za-z0-9+/_-]{20,}={0,2}",
        "as Azure names a resource's two keys",
    ),
    Row(
        "secret",
        "kK",
        rf"(?i:keycredential)\({SPACE}{{0,8}}(?:[a-z]{{1,16}}=)?{SOME}{QUOTE}{SOME}",
        value(ending(IN_LIST)),
        "as Azure's clients take it",
    ),
    Row(
        "secret",
        "-",
        rf"--?(?=[\w-]{{3,48}}{SPACE})(?i:(?:[a-z\d]{{1,16}}[-_]){{0,2}}(?:{_SECRETS}|token)){SPACE}{{1,8}}(?!-){OPENING}",
        value(ending(r"""[^\s"<>\[\]]""")),
        "on a command line",
    ),
    Row(
        "secret",
        "B",
        rf"BEGIN [A-Z0-9 ]{{0,24}}PRIVATE KEY(?: BLOCK)?-----(?!\s*{STAND_IN})",
        r"[^-]+(?:-(?!-)[^-]+)*(?:-*END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?)?-*",
        "PEM",
    ),
    Row(
        "secret",
        "A-Za-z0-9+/",
        r"(?<![\w+/\]-])",
        r"(?!aHR0c)[A-Za-z0-9+/]{86}==(?!=)",
        "64 bytes in base64, as Azure makes keys; a server call id is a URL",
    ),
    Row("address", "g", "", r"(?<![\w.+-])git@[\w.-]+", "nobody's"),
    Row(
        "secret",
        r"\S",
        "",
        rf"(?:(?<=//)[^\s/?#\"<>\[\]]+|(?<={escaped('/') * 2})[^\s/{escaped('/')}?#\"<>\[\]]+)(?=@)",
        "user and password in a URL",
    ),
    Row(
        "secret",
        r"\S",
        r"(?<=//)",
        rf"[^\s/:@{QUOTES}<>\[\]]{{0,64}}:(?!\d{{1,5}}(?:[\s/?#,;.)\]}}{QUOTES}{BLANK}]|\Z)|{STAND_IN})[^\n/@]{{1,128}}(?=@[\w\[])",
        "a password with signs that a URL may not have; a port is none",
    ),
    Row(
        "email",
        r"\w.+-",
        "",
        rf"(?:(?<![\w.+-])(?:(?![bBfFrRuU]{{1,2}}{_APOSTROPHE})[\w.+-]+{_APOSTROPHE})?(?=[.+-]*\w)[\w.+-]+|(?:(?<=[\d_])|(?<=-----)(?=\w))[\w.+-]{{1,64}})"
        r"@(?:localhost\b|(?:[\w-]{1,63}\.)+[^\W\d_]{2,}(?:[\w-]*\w)?)(?:[\w.+-]*(?=@))?",
        "the second where something else that is private ends in the middle of a word",
    ),
    Row("guid", "0-9a-fA-F", "", rf"\b(?:{GUID.pattern}|{_TRACE})\b", "an id to join on, which may end in digits"),
    Row(
        "guid",
        "0-9a-fA-F",
        r"(?<![\w-])",
        r"(?=[\d-]{0,17}[a-fA-F])[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5}(?![\w-])",
        "a network card's address",
    ),
    Row(
        "token",
        "e",
        "",
        r"eyJ(?:(?!(?<![A-Za-z])eyJ)[\w-])+(?:\.[\w-]*){2,}",
        "a signed token; its head stops where another could start",
    ),
    Row(
        "token",
        "bBsS",
        r"(?<![A-Za-z])",
        rf"(?i:Bearer[\s{BLANK}]+){_NO_WORD}[\w.~+/=-]+|(?i:(?:Basic|SharedKey)[\s{BLANK}]+){_NO_WORD}[\w.~+/=:-]{{8,}}",
        "what a header says, without its name",
    ),
    Row(
        "sip",
        "sStT",
        r"(?<![A-Za-z])",
        rf"(?i:tel):(?://)?(?:{_LEAD}{DIGIT}{{2,}}{_REST}*|{_REST}+)"
        rf"|(?i:sips?):(?:(?=[+(0]){_LEAD}{DIGIT}{{4,}}{_REST}*|{_REST}+)",
        "its user is a number, however it is written, or a name",
    ),
    Row(
        "id",
        "248",
        r"(?<!\w)",
        r"(?:4:\+?\d{5,}|8:[A-Za-z-]+:[\w:.+-]*\w|28:(?:[A-Za-z-]+:[\w:.+-]*\w|[\w-]{8,}))",
        "raw ids of numbers, users and bots",
    ),
    Row(
        "secret",
        r"\S",
        r"(?<=\w:)(?<!call:)(?<!event:)",
        rf"""[^\s/"'<>\[\]:@{ESCAPED_QUOTES}{escaped("/")}][^\s"'<>\[\]:@{ESCAPED_QUOTES}]{{0,127}}(?=@\w)""",
        "user and password of a host",
    ),
    Row(
        "time",
        "0-9",
        r"(?<!\d)",
        rf"(?:{_DATE})(?![./-]?\d)(?:[T ]{_TIME})?|{_TIME}"
        rf"|(?<!\w)20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])(?:[0-5]\d){{2}}(?!\w)"
        rf"|(?<!\w)1\d{{9}}\.\d{{3,9}}(?!\w)",
        "dates and times with their fractions and zones, of 14 digits, and since 1970 with a fraction",
    ),
    *(Row("phone", *form) for form in FORMS),
    Row(
        "phone",
        "cCfFmMpPtT",
        r"(?i:(?:phone|mobile|msisdn|fax|call(?:er|ee)(?:[ _-]?id)?(?=[ _-]?number)|(?<![a-z])(?:tel|cell))"
        r"(?:[ _-]?(?:number|no\.?))?)"
        rf"{IS}(?:\{{{SPACE}{{0,8}}[{QUOTES}]?value{IS})?",
        rf"\d{DIGIT}{{4,}}{END}",
        "a number that is too short to be known but by its name",
    ),
    Row("fraction", "0-9", r"(?<!\w)", r"(?:0|[1-9]\d{0,7})\.\d+", "it may have as many digits as a number"),
)

# The places where a row may begin, so that the search tries no other: the start of a word; within a word a capital
# letter, an "s" or a "p" (secret, password), and a letter behind a digit or "_".
_BEGIN = rf"(?:(?<!\w)(?=\S)|(?=[A-Zsp+(?&\[{escaped('?')}{escaped('&')}])|(?<=[\d_])(?=[A-Za-z.-]))"


@cache
def private_text() -> re.Pattern[str]:
    """Matches the next text in decoded text that is private or that the search steps over; see :func:`group_of`.

    The first call compiles the pattern, which takes half as long as all other imports of Ringback: who only imports
    Ringback does not wait for that. Each door calls this at start-up, so that no request waits either.
    """
    rows = (f"(?=[{row.first}])(?:{row.before})(?P<{row.kind}_{at}>{row.private})" for at, row in enumerate(ROWS))
    return re.compile(f"{_BEGIN}(?:{'|'.join(rows)})")


def group_of(found: re.Match[str]) -> tuple[str, str]:
    """The kind of a match, and the name of the group that holds the private text without ``Row.before``."""
    group = str(found.lastgroup)
    return group.partition("_")[0], group
