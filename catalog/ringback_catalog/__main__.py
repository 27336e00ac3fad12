"""``python -m ringback_catalog check``: check the rows of the catalog."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ringback_catalog import _load
from ringback_catalog._check import check
from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Print every finding. 0 without a finding, 1 with one. Raises :class:`SystemExit` (2) for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m ringback_catalog",
        description="Check order, uniqueness, sources, causes and lengths of every file of entries. Prints 'file: key: "
        "rule' for each finding; exit code 1 if there is one.",
    )
    parser.add_argument("command", choices=["check"])
    parser.parse_args(argv)
    try:
        files = _load.load_files()
    except CatalogError as error:
        print(error)
        return 1
    findings = check(files, _load.load_sources())
    for finding in findings:
        print(finding)
    if not findings:
        print(f"{sum(map(len, files.values()))} entries, no finding")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
