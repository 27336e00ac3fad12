"""Which code of a page a picture of the documentation shows: a picture that is older than the code is found out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ringback_catalog import Catalog

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "middleware" / "ringback"
CLI = PACKAGE / "cli"
CODE = {
    "console": (PACKAGE / "console",),
    "catalog": (CLI / "site", *sorted(CLI.glob("_site*.py")), CLI / "_explain_text.py"),
}
"""What makes the page, by the first word of the names of its pictures: templates, styles, scripts, and the code that
fills them. A folder stands for all files in it.
"""

ENTRY = "code 486, subcode 560486"


def fingerprint(page: str) -> str:
    """A hash of the page's code, and for the catalog of the entry that its picture shows."""
    entries = [entry.to_dict() for entry in Catalog.default().entries if str(entry.key) == ENTRY]
    found = hashlib.sha256(json.dumps(entries).encode() if page == "catalog" else b"")
    for file in files(*CODE[page]):
        found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()


def files(*places: Path) -> list[Path]:
    """The files, and all files in the folders, but what Python compiles of them."""
    found = {file for place in places for file in (place.rglob("*") if place.is_dir() else [place])}
    return sorted(file for file in found if file.is_file() and file.suffix != ".pyc")


def write_down(images: Path, page: str) -> None:
    """That the pictures of the page in ``images`` show the code as it is now."""
    file = images / "taken.json"
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    file.write_text(json.dumps(known | {page: fingerprint(page)}, indent=2, sort_keys=True) + "\n", "utf-8")
