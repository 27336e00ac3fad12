"""Renders the operations page as HTML, from templates of Jinja2; and the files of the pages, which are read once."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.responses import Response

from ringback.console.colours import LOOKS
from ringback.console.snapshot import RANGES
from ringback.console.view import moment
from ringback.exceptions import needs_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment
    from starlette.requests import Request

NAVIGATION = (("./", "Now"), ("calls", "Calls"), ("work", "Work"), ("catalog", "Catalog"))
"""The pages with a place of their own at the top: their addresses from the console's root, and their names."""


def page(template: str, **values: object) -> str:
    """The document of a template. ``up`` leads from the page's folder to the console's root."""
    return environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """One for all consoles of a process, for to compile the templates takes longer than to answer from them.

    Raises :class:`MissingExtra` if Jinja2 is not installed.
    """
    with needs_extra("the operations page", "console"):
        from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ringback.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {
        "count": "{:,}".format,
        "moment": moment,
        "pair": _pair,
        "percent": _percent,
        "seconds": _seconds,
        "span": _span,
        "words": _words,
    }
    environment.filters.update(filters)
    known: dict[str, Any] = {
        "asset": asset_address,
        "looks": LOOKS,
        "navigation": NAVIGATION,
        "zip": zip,
        "ranges": tuple(RANGES.values()),
        "version": importlib.metadata.version("ringback"),
    }
    environment.globals.update(known)
    return environment


def _percent(share: float | None) -> str:
    if share is None:
        return "–"  # noqa: RUF001 - a dash for a reader
    percent = f"{share * 100:.1f}"
    # Rounding must not claim all or none.
    if percent == "100.0" and share < 1:
        return "> 99.9 %"
    if percent == "0.0" and share > 0:
        return "< 0.1 %"
    return f"{percent} %"


def _span(seconds: float) -> str:
    """Seconds in their two greatest units: ``3 h 12 min``."""
    left = int(abs(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number:,} {unit}")
    return " ".join(parts[:2])


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"  # noqa: RUF001 - a dash for a reader
    return f"{seconds:.1f} s" if seconds < 60 else _span(seconds)


def _pair(row: Mapping[str, Any]) -> str:
    code, subcode = row["code"], row["subcode"]
    if code is None and subcode is None:
        return "–"  # noqa: RUF001 - a dash for a reader
    return f"{'–' if code is None else code}/{'–' if subcode is None else subcode}"  # noqa: RUF001


def _words(slug: str) -> str:
    return slug.replace("_", " ")


TYPES = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon-problem.svg": "image/svg+xml",
    "icon.svg": "image/svg+xml",
    "work.js": "text/javascript; charset=utf-8",
}


class Asset(Struct, frozen=True):
    """A file: ``version`` is a hash of the content, ``packed`` the content with gzip."""

    content: bytes
    packed: bytes
    version: str


@lru_cache(maxsize=1)
def assets() -> dict[str, Asset]:
    """The files by name."""
    folder = files("ringback.console") / "static"
    return {name: _asset((folder / name).read_bytes()) for name in TYPES}


def asset_address(name: str) -> str:
    """The file's URL relative to the page. The URL changes with the content, so browsers may cache it for ever."""
    return f"static/{name}?v={assets()[name].version}"


def asset(request: Request) -> Response:
    """The file, 304 if the browser has it, or 404."""
    name = request.path_params["name"]
    found = assets().get(name)
    if found is None:
        return Response("404: no such file\n", 404, media_type="text/plain")
    current = request.query_params.get("v") == found.version
    headers = {
        "cache-control": "private, max-age=31536000, immutable" if current else "no-cache",
        "etag": f'"{found.version}"',
        "vary": "accept-encoding",
    }
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["content-encoding"] = "gzip"
    return Response(found.packed if packed else found.content, 200, headers, TYPES[name])


def _asset(content: bytes) -> Asset:
    return Asset(content, gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest()[:16])
