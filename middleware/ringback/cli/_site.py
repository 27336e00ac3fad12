"""``ringback catalog --out DIR``: the catalog as a folder of pages."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from ringback.cli import _site_html, _site_markdown
from ringback.cli._site_pages import pages
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ringback_catalog import Entry

FORMATS = {"html": _site_html, "markdown": _site_markdown}


def files(entries: Sequence[Entry], kind: str) -> dict[str, str]:
    """Every file by its path below the folder; the same bytes for the same entries and release."""
    form = FORMATS[kind]
    release = version("ringback")
    return {**{f"{page.path}{form.SUFFIX}": form.render(page, release) for page in pages(entries)}, **form.FILES}


def write(entries: Sequence[Entry], kind: str, folder: Path) -> int:
    """Write the pages, over those of an earlier run, and say how many; other files stay.

    Raises :class:`ConfigurationError` if the folder cannot be written.
    """
    found = files(entries, kind)
    try:
        for path, text in found.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(
            f"folder '{folder}' cannot be written ({error.strerror}); name a new or an empty folder"
        ) from error
    return len(found)
