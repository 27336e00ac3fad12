"""The documentation site, made once for all processes of a run of the tests; `.ci/run` has made it before."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def built(folder: Path) -> Path:
    """The site, in RINGBACK_SITE or made in ``folder``, strictly: a warning of Sphinx fails."""
    if "RINGBACK_SITE" in os.environ:
        return Path(os.environ["RINGBACK_SITE"])
    site = folder / "site"
    with (folder / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (site / "index.html").exists():
            strictly = "--fail-on-warning --keep-going --quiet --builder html".split()
            made = subprocess.run(
                [sys.executable, "-B", "-m", "sphinx", *strictly, "--doctree-dir", folder / "doctrees", DOCS, site],
                capture_output=True,
                text=True,
            )
            assert made.returncode == 0, made.stderr
            assert made.stderr == ""
    return site
