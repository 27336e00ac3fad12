"""How a text writes a name and its value: what stands between the two, and where the value ends."""

from __future__ import annotations

from ringback.privacy.kinds import STAND_IN
from ringback.privacy.written import BLANK, escaped

SPACE = rf"[ \t{BLANK}]"
ESCAPED_QUOTES = escaped('"') + escaped("'")
QUOTES = f"\"'{ESCAPED_QUOTES}"

# Signs within a value, and signs that end the sentence where they stand behind the value. A value without quotes has
# no bracket, so that no pattern takes a stand-in for a value.
_LAST = "'.,;:)}!?"
IN_URL = r"""[^\s&#"<>\[\]]"""
IN_LIST = r"""[^\s&;"<>\[\]]"""
IN_HEADER = r"""[^\s"<>\[\]]"""


def ending(signs: str) -> str:
    """The pattern of the longest run of these signs whose last sign may end a value."""
    return rf"{signs}*{signs[:-1]}{_LAST}\\]"


# "token=missing" says what is wrong, and no token.
_NOTHING = (
    "(?i:none|null|nil|true|false|missing|absent|unset|empty|undefined|expired|invalid|required)"
    rf"(?:[\s&,;.)\]}}<>{QUOTES}{BLANK}]|\Z)"
)
SOME = rf"(?!(?:[\[(]{{1,2}}\s{{0,16}})?(?:b?[{QUOTES}])?{STAND_IN}|{_NOTHING})"
# The beginning of a value: a quote, perhaps behind the bracket of a list. Go prints lists without quotes.
QUOTE = rf"(?:[\[(]{{1,2}}\s{{0,16}})?b?[{QUOTES}]"
OPENING = rf"{SOME}(?:{QUOTE}|\[)?{SOME}"
# What stands between a name and its value in URLs, lists, JSON, reprs of dictionaries and of pairs. In YAML the value
# may be the whole next line.
IS = (
    rf"(?::(?: [|>][+-]?)?\n[ \t]{{1,16}}(?=\S+(?:\n|\Z)){SOME}"
    rf"|[{QUOTES}]?{SPACE}{{0,8}}[:=]{{1,2}}>?{SPACE}{{0,8}}{OPENING}"
    rf"|[{QUOTES}],{SPACE}{{0,8}}{SOME}{QUOTE}{SOME})"
)
# No value begins behind the last quote of a text, or behind the closing quote of a value.
_QUOTED = rf"""(?![)\]}}]*(?:[,\n]|\Z))(?:(?<=")[^"\n]+|(?<=')[^'\n]+|(?<=[{ESCAPED_QUOTES}])[^{QUOTES}\n]+)"""


def _listed(quote: str) -> str:
    """The pattern of all values of a list, from the first quote on."""
    of_list = rf"(?:(?<=[\[(]{quote})|(?<=[\[(]b{quote}))"
    on_lines = (
        rf"(?<=  {quote})[^{quote}\n]+(?:{quote},\n\s{{1,64}}{quote}[^{quote}\n]+(?={quote}(?:,|\s{{0,64}}[\])])))+"
    )
    return rf"{of_list}[^{quote}\n]+(?:{quote},\s{{0,16}}b?{quote}[^{quote}\n]+)*|{on_lines}"


_LISTED = "|".join(_listed(quote) for quote in ('"', "'", *ESCAPED_QUOTES))
_BRACED = r"\{(?:[^{}\n]|\}\}){1,128}\}"


def value(plain: str) -> str:
    """A value to its closing quote or brace, or ``plain`` for one without. A second "=" begins no value."""
    return rf"(?:{_LISTED}|{_QUOTED}|(?<![{QUOTES}])(?![{QUOTES}{BLANK}:=]|[|>][+-]?\n)(?:{_BRACED}|{plain}))"
