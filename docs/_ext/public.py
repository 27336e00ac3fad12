"""The directive ``public``: every name of a module's ``__all__``, so that a new name is on the site by itself.

Sphinx's own ``automodule`` finds no docstring of a constant that another module defines, and leaves the constant out.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar

    from sphinx.application import Sphinx


class Public(SphinxDirective):
    """``except``: names that another page documents."""

    required_arguments: ClassVar[int] = 1
    option_spec: ClassVar[dict[str, Any]] = {"except": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        module = import_module(self.arguments[0])
        left_out = self.options.get("except", "").split()
        names = [name for name in module.__all__ if name not in left_out]
        lines = list(_lines(module.__name__, {name: getattr(module, name) for name in names}))
        entries = nodes.container()
        self.state.nested_parse(StringList(lines, source=module.__name__), self.content_offset, entries)
        return entries.children


def _lines(module: str, values: dict[str, object]) -> Iterator[str]:
    """The page's reStructuredText. Constants without a docstring share an entry with others of their class."""
    yield from (f".. py:currentmodule:: {module}", "")
    alike: dict[type, list[str]] = {}
    for name, value in values.items():
        if inspect.isclass(value):
            kind = "exception" if issubclass(value, BaseException) else "class"
            yield from (f".. auto{kind}:: {name}", "")
        elif inspect.isroutine(inspect.unwrap(value)):  # type: ignore[arg-type]
            yield from (f".. autofunction:: {name}", "")
        elif told := _told(name, value, module):
            yield from (f".. py:data:: {name}", "", *(f"   {line}" for line in told), "")
        else:
            alike.setdefault(type(value), []).append(name)
    for shared, names in alike.items():
        yield from (f".. py:data:: {names[0]}", *(f"             {each}" for each in names[1:]))
        yield from (f"   :type: {shared.__name__}", "", f"   Each is a :class:`{shared.__name__}`.", "")


def _told(name: str, value: object, module: str) -> list[str]:
    """The docstring that stands below the constant, wherever the package defines the constant."""
    for each in sorted(known for known in sys.modules if f"{known}.".startswith(f"{module}.")):
        if vars(sys.modules[each]).get(name) is value:
            told = ModuleAnalyzer.for_module(each).find_attr_docs().get(("", name))
            if told:
                return told
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("public", Public)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
