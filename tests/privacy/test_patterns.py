"""Regular expressions: every one of the product means the same on every patch release that is supported."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import re._constants as opcodes
import re._parser as parser
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import ringback.cli
import ringback_catalog
from ringback import ConfigurationError
from ringback.privacy import private, written

ROOT = Path(__file__).parents[2]
SOURCES = sorted(each for room in ("middleware", "catalog", "examples") for each in (ROOT / room).glob("**/*.py"))

# New in Python 3.11. CPython compiles them wrongly until 3.11.5 where one stands in another; Debian 12 has 3.11.2.
NEW = {opcodes.POSSESSIVE_REPEAT, opcodes.ATOMIC_GROUP}


def has_new(parsed: object) -> bool:
    """Whether a pattern, as CPython's own parser reads it, has a possessive quantifier or an atomic group."""
    if isinstance(parsed, parser.SubPattern | list | tuple):
        return any(map(has_new, parsed))
    return any(parsed is each for each in NEW)


def shows_new(text: str) -> bool:
    """The same by its signs alone, for a text that may be a piece of a pattern. Escapes and sets are no signs."""
    signs = re.sub(r"\\.|\[\^?\]?[^\]\n]*\]", "x", text, flags=re.DOTALL)
    return re.search(r"\(\?>|[*+?}]\+", signs) is not None


def texts(path: Path) -> list[str]:
    """Every text of a module that works with patterns, the fixed parts of f-strings among them; no docstring.

    It imports re, or stands where the pieces of the one pattern for private text are.
    """
    tree = ast.parse(path.read_text("utf-8"))
    if path.parent.name != "privacy" and not any(
        isinstance(node, ast.Import) and any(each.name == "re" for each in node.names) for node in ast.walk(tree)
    ):
        return []
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said]
    given = [node.value for node in found if isinstance(node.value, str | bytes)]
    return [each if isinstance(each, str) else each.decode("latin-1") for each in given]


@pytest.mark.parametrize(
    "pattern", ["a++", "a*+b", "a?+", "a{2,3}+", "(?>a)", "x(?:a(?:b++)+)", "[ab]++|c", "(?=(?>a))", "(?:a|b*+)"]
)
def test_what_is_new_is_recognised(pattern):
    """By the parser and by its signs, however deep it stands."""
    assert has_new(parser.parse(pattern))
    assert shows_new(pattern)


@pytest.mark.parametrize(
    "pattern", ["a+", r"\++", "[+]+", "[*+]+", "(?:a+)+", "a{2}", "(?=>)", "a+?b*?", r"\(?>", "[]+]"]
)
def test_what_is_old_is_not_taken_for_it(pattern):
    """Quantifiers of every release, and signs that are none."""
    assert not has_new(parser.parse(pattern))
    assert not shows_new(pattern)


@pytest.mark.untraced
def test_no_source_has_a_possessive_quantifier_or_an_atomic_group():
    """No text of a module that works with patterns, wherever it is put together and compiled."""
    found = [(path, text) for path in SOURCES for text in texts(path) if shows_new(text)]
    assert found == []


def test_no_compiled_pattern_has_one():
    """What is put together at import is looked at as it is compiled, in tables too."""
    for package in (ringback, ringback_catalog):
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "." not in each.name.removeprefix("ringback.") and "__main__" not in each.name:
                # An extra may be missing.
                with suppress(ImportError, ConfigurationError):
                    importlib.import_module(each.name)
    # Compiled at its first use, and no module holds it.
    found = [("ringback.privacy.private", private.private_text())]
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] in ("ringback", "ringback_catalog"):
            values = [
                part for value in vars(module).values() for part in (value if type(value) in (list, tuple) else [value])
            ]
            flat = [part for value in values for part in (value if type(value) in (list, tuple) else [value])]
            found += [(name, part) for part in flat if isinstance(part, re.Pattern)]
    assert written._ESCAPED in {pattern for _, pattern in found}
    assert [pair for pair in found if has_new(parser.parse(pair[1].pattern, pair[1].flags))] == []
