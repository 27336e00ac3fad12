"""The fence ``mermaid``, as GitHub has it: the reader's browser draws it, with the script that lies in ``_static``.

No kept extension fits: sphinxcontrib-mermaid imports its script as a module, which no browser does for a site that is
opened from a disk.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import Directive

if TYPE_CHECKING:
    from typing import Any, ClassVar

    from sphinx.application import Sphinx

SCRIPTS = ("mermaid.tiny.js", "diagrams.js")


class Diagram(nodes.General, nodes.Element):
    """The text of one diagram."""


class Mermaid(Directive):
    has_content: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        return [Diagram(text="\n".join(self.content))]


def _write(translator: Any, diagram: nodes.Element) -> None:
    translator.body.append(f'<pre class="mermaid">{escape(diagram["text"])}</pre>')
    raise nodes.SkipNode


def _load(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """Most pages have no diagram, and the script is large."""
    if tree is not None and next(tree.findall(Diagram), None) is not None:
        for name in SCRIPTS:
            app.add_js_file(name, loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(Diagram, html=(_write, None))
    app.add_directive("mermaid", Mermaid)
    app.connect("html-page-context", _load)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
