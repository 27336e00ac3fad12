"""The files of the pages. The process reads them once."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

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


def address(name: str) -> str:
    """The file's URL relative to the page. The URL changes with the content, so browsers may cache it for ever."""
    return f"static/{name}?v={assets()[name].version}"


def answer(request: Request) -> Response:
    """The file, 304 if the browser has it, or 404."""
    name = request.path_params["name"]
    asset = assets().get(name)
    if asset is None:
        return Response("404: no such file\n", 404, media_type="text/plain")
    current = request.query_params.get("v") == asset.version
    headers = {
        "cache-control": "private, max-age=31536000, immutable" if current else "no-cache",
        "etag": f'"{asset.version}"',
        "vary": "accept-encoding",
    }
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["content-encoding"] = "gzip"
    return Response(asset.packed if packed else asset.content, 200, headers, TYPES[name])


def _asset(content: bytes) -> Asset:
    return Asset(content, gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest()[:16])
