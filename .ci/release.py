"""Whether a tag may become a release: it names the version, and the changelog has the version with its day."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def faults(tag: str, project: str, changelog: str) -> list[str]:
    """What is wrong, a line each, with what to do."""
    version = tomllib.loads(project)["project"]["version"]
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag!r}, and pyproject.toml has the version {version}; tag v{version}")
    newest = re.search(r"^## (.*)$", changelog, re.MULTILINE)
    if newest is None or not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", newest[1]):
        found.append(f"CHANGELOG.md does not begin with a heading such as '## {version} (2026-01-15)'; write the day")
    return found


if __name__ == "__main__":
    wrong = faults(
        sys.argv[1], (ROOT / "pyproject.toml").read_text("utf-8"), (ROOT / "CHANGELOG.md").read_text("utf-8")
    )
    print("\n".join(wrong) or "the tag, the version and the changelog agree")
    sys.exit(bool(wrong))
