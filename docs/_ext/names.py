"""Names in docstrings: a docstring writes a name as the source does, `ConfigurationError`, and here it is found."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from sphinx import addnodes
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

PRINTED = re.compile(r"~(?:\w+\.)+|<function (\w+)[^>]*>+|<(factory)>")


def _plain(app: Sphinx, tree: nodes.document) -> None:
    """No guesses by Sphinx: of two objects of one name it would take the first for a type in a signature."""
    for wanted in tree.findall(addnodes.pending_xref):
        wanted.attributes.pop("refspecific", None)


def _found(
    app: Sphinx, env: BuildEnvironment, wanted: addnodes.pending_xref, text: nodes.TextElement
) -> nodes.Element | None:
    """What the module of the docstring calls so, else the only documented object of that name.

    A type in a signature may be documented nowhere.
    """
    if wanted.get("refdomain") != "py":
        return None
    name = wanted["reftarget"]
    objects = env.domains.python_domain.objects
    meant = getattr(sys.modules.get(wanted.get("py:module") or ""), name, None)
    key = f"{getattr(meant, '__module__', None)}.{getattr(meant, '__qualname__', None)}"
    named = (
        [objects[key]] if key in objects else [each for known, each in objects.items() if known.endswith(f".{name}")]
    )
    places = {(each.docname, each.node_id) for each in named}
    if len(places) == 1:
        page, anchor = places.pop()
        return make_refnode(app.builder, wanted["refdoc"], page, anchor, text, name)
    in_signature = any(isinstance(each, addnodes.desc_signature) for each in _around(wanted))
    return text if in_signature else None


def _around(node: nodes.Node) -> list[nodes.Node]:
    found: list[nodes.Node] = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def _shortened(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """A signature without the parts that nobody reads: modules of types, and what Python prints of a function."""
    if signature is None:
        return None
    return PRINTED.sub(lambda found: found[1] or ("..." if found[2] else ""), signature), returned


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", _plain)
    app.connect("missing-reference", _found)
    app.connect("autodoc-process-signature", _shortened)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
