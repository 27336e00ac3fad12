"""Links from a page to what is not part of the site: on the site they lead to the file on GitHub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SOURCE = "https://github.com/ringback/ringback"
RELATIVE = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def led_out(text: str, folder: Path, docs: Path) -> str:
    """The page with every link that leaves ``docs`` as an absolute one. ``folder`` is the page's own."""

    def link(found: re.Match[str]) -> str:
        place, mark, heading = found[1].partition("#")
        target = (folder / place).resolve()
        if target.is_relative_to(docs):
            return found[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"]({SOURCE}/{kind}/main/{target.relative_to(docs.parent)}{mark}{heading})"

    return RELATIVE.sub(link, text)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    docs = Path(app.srcdir).resolve()
    source[0] = led_out(source[0], (docs / page).parent, docs)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
