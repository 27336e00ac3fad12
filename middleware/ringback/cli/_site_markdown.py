"""A page of the catalog as Markdown, with the same addresses and headings as in HTML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.cli._site_pages import Line, Link, Page, Section

SUFFIX = ".md"

FILES: dict[str, str] = {}
"""Markdown loads nothing."""


def render(page: Page, version: str) -> str:
    """The whole document; what Markdown would read as a mark is escaped."""
    up = "../" * page.path.count("/")
    trail = " / ".join(_link(link, up) for link in page.above)
    facts = "\n".join(f"- **{_plain(name)}**: {_line(line, up)}" for name, line in page.facts)
    blocks = [
        trail,
        f"# {_plain(page.title)}",
        _plain(page.lead),
        facts,
        *(block for section in page.sections for block in _section(section, up)),
        _plain(f"Ringback {version}"),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _section(section: Section, up: str) -> Iterator[str]:
    yield f"## {_plain(section.title) if section.link is None else _link(section.link, up)}"
    yield _plain(section.text)
    marks = (f"{number}." if section.ordered else "-" for number in range(1, len(section.lines) + 1))
    yield "\n".join(f"{mark} {_line(line, up)}" for mark, line in zip(marks, section.lines, strict=True))


def _line(line: Line, up: str) -> str:
    return ": ".join(filter(None, ["" if line.link is None else _link(line.link, up), _plain(line.text)]))


def _link(link: Link, up: str) -> str:
    if link.page is not None:
        return f"[{_plain(link.text)}]({up}{link.page}{SUFFIX})"
    if link.url is not None and re.fullmatch(r"https?://[^\s<>()]+", link.url):
        return f"[{_plain(link.text)}]({link.url})"
    return _plain(link.text)


def _plain(text: str) -> str:
    one_line = " ".join(text.split()).replace("&", "&amp;")
    marked = re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", one_line)
    # At the start of a line these begin a list.
    return re.sub(r"^([0-9]*)([-+.)])", r"\1\\\2", marked)
