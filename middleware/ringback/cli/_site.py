"""``ringback catalog --out DIR``: the catalog as a folder of pages, from the templates in ``site/``."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.cli._site_pages import TITLE, pages
from ringback.exceptions import ConfigurationError, needs_extra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

    from ringback_catalog import Entry

FORMATS = {"html": (".html", ("style.css", "search.js", "copy.js")), "markdown": (".md", ())}
"""The suffix of each format's pages, and the files that these load."""

_FOLDER = Path(__file__).with_name("site")


def template(kind: str) -> Template:
    """The template of a format, which renders a ``page`` of a ``version``.

    Jinja2 escapes every text in HTML, the filter ``plain`` in Markdown. Raises :class:`MissingExtra` without Jinja2.
    """
    with needs_extra("a folder of pages", "console"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(plain=_plain, fenced=_fenced)
    return environment.get_template(f"page{FORMATS[kind][0]}", globals={"catalog": TITLE})


def files(entries: Sequence[Entry], kind: str) -> dict[str, str]:
    """The text of every file by the file's path below the folder. The same entries and release give the same text."""
    form, release = template(kind), version("ringback")
    suffix, loaded = FORMATS[kind]
    written = {f"{page.path}{suffix}": form.render(page=page, version=release) for page in pages(entries)}
    return written | {name: (_FOLDER / name).read_text("utf-8") for name in loaded}


def write(entries: Sequence[Entry], kind: str, folder: Path) -> int:
    """Write the files over those of an earlier run, and return their number. Other files of the folder stay.

    Raises :class:`ConfigurationError` if the folder cannot be written.
    """
    texts = files(entries, kind)
    try:
        for path, text in texts.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(
            f"folder '{folder}' cannot be written ({error.strerror}); name a new or an empty folder"
        ) from error
    return len(texts)


def _plain(text: str) -> str:
    """A text in one line of Markdown, with every mark of Markdown escaped."""
    one_line = " ".join(text.split()).replace("&", "&amp;")
    marked = re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", one_line)
    # At the start of a line these marks begin a list.
    return re.sub(r"^([0-9]*)([-+.)])", r"\1\\\2", marked)


def _fenced(code: str) -> str:
    """A text of several lines between fences that are longer than any fence within the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{fence}\n{code}\n{fence}"
